//! The agent's settings: flags over environment over one small file over defaults. The only reader of the environment.
//!
//! Not responsible for settings that the service changes from afar (`core`), or for which id a terminal has in the end
//! (`identity`).

mod places;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use classpulse_proto::topic;
use serde::Deserialize;

use crate::{local::carrier, sense::machine};

pub use places::default_file;

/// Longest room, in characters.
const LONGEST_ROOM: usize = 64;
/// Longest code as typed, in bytes.
const LONGEST_CODE: usize = 64;

/// What can be said on the command line, by environment, or (in the file) under the same names.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Broker, as HOST:PORT.
    #[arg(long, env = "CLASSPULSE_AGENT_SERVER")]
    pub server: Option<String>,
    /// The certificate authority (PEM) that alone is trusted: the connection is then TLS. Without it, plain text.
    #[arg(long, env = "CLASSPULSE_AGENT_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// The terminal's id, where it is not to be enrolled: 1 to 64 of A-Z a-z 0-9 . _ -
    #[arg(long, env = "CLASSPULSE_AGENT_TERMINAL")]
    pub terminal: Option<String>,
    /// The school's enrolment code, by file or `CLASSPULSE_AGENT_CODE`. No flag: everybody on a machine can read those.
    #[arg(skip)]
    pub code: Option<String>,
    /// The room, as whoever installs says it: at most 64 characters.
    #[arg(long, env = "CLASSPULSE_AGENT_ROOM")]
    pub room: Option<String>,
    /// The identity's file; beside the journal, unless said.
    #[arg(long, env = "CLASSPULSE_AGENT_IDENTITY", value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// The journal's file.
    #[arg(long, env = "CLASSPULSE_AGENT_JOURNAL")]
    pub journal: Option<PathBuf>,
    /// Where helpers in people's sessions and `status` speak to the agent.
    #[arg(long, env = "CLASSPULSE_AGENT_SOCKET")]
    pub socket: Option<PathBuf>,
    /// Sources of signs of use, separated by commas; all that the system has, unless said.
    #[arg(long, env = "CLASSPULSE_AGENT_SOURCES", value_delimiter = ',')]
    pub sources: Option<Vec<String>>,
    /// Seconds between two looks at the machine, 1 to 15.
    #[arg(long, env = "CLASSPULSE_AGENT_TICK")]
    pub tick_seconds: Option<u64>,
    /// Seconds between reports, 15 to 3600, until the service says otherwise.
    #[arg(long, env = "CLASSPULSE_AGENT_HEARTBEAT")]
    pub heartbeat_seconds: Option<u32>,
    /// Seconds without input after which use has ended, 30 to 3600, until the service says otherwise.
    #[arg(long, env = "CLASSPULSE_AGENT_IDLE")]
    pub idle_seconds: Option<u32>,
    /// At most so many seconds before a boot's first connection, and before one that was lost comes back, 0 to 300: so
    /// that a county's terminals don't come all at once.
    #[arg(long, env = "CLASSPULSE_AGENT_JITTER")]
    pub jitter_seconds: Option<u64>,
    /// The county's civil time minus UTC, in minutes, -720 to 840: where a day begins in `status`. 480, China's, unless
    /// said; the same as the service's `time_zone`. What is reported does not depend on it.
    #[arg(
        long,
        env = "CLASSPULSE_AGENT_UTC_OFFSET",
        value_name = "MINUTES",
        allow_negative_numbers = true
    )]
    pub utc_offset_minutes: Option<i32>,
    /// Report power-on times from before the installation, once, after enrolment.
    #[arg(long, env = "CLASSPULSE_AGENT_HISTORY", value_name = "BOOL")]
    pub history: Option<bool>,
    /// How log lines look.
    #[arg(long, env = "CLASSPULSE_AGENT_LOG", value_name = "FORMAT")]
    pub log: Option<LogFormat>,
    /// The least important log lines to write; acknowledgements are at debug.
    #[arg(long, env = "CLASSPULSE_AGENT_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Which log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what keeps the agent from its work.
    Error,
    /// And what it works around.
    Warn,
    /// And every session and change of the connection.
    #[default]
    Info,
    /// And every acknowledgement.
    Debug,
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
        }
    }
}

/// Settings that hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Host name or address of the broker.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// PEM file of the only authority that is trusted; plain text without it.
    pub ca_file: Option<PathBuf>,
    /// The terminal's id, where it is said and not given by enrolment.
    pub terminal: Option<String>,
    /// The school's enrolment code.
    pub code: Option<String>,
    /// The room; empty where nobody says it.
    pub room: String,
    /// The identity's file.
    pub identity: PathBuf,
    /// Below which the machine describes its hardware: `/`, but for machines that are made of files.
    pub hardware_root: PathBuf,
    /// The journal's file.
    pub journal: PathBuf,
    /// Where helpers and `status` speak to the agent.
    pub socket: PathBuf,
    /// Names of the sources of signs of use.
    pub sources: Vec<String>,
    /// Seconds between two looks at the machine.
    pub tick_seconds: u64,
    /// Seconds between reports.
    pub heartbeat_seconds: u32,
    /// Seconds without input after which use has ended.
    pub idle_seconds: u32,
    /// At most so many seconds before the first connection, and before one that was lost comes back.
    pub jitter_seconds: u64,
    /// The county's civil time minus UTC, minutes: not the machine's own, which is a classroom's guess. Of use to people
    /// alone: the service paints days in its own zone.
    pub utc_offset_minutes: i32,
    /// Whether power-on times from before the installation are reported.
    pub history: bool,
    /// How log lines look.
    pub log: LogFormat,
    /// Which log lines are written.
    pub log_level: LogLevel,
}

/// A setting that can't hold.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file.
    #[error("{0}: {1}")]
    File(PathBuf, String),
    /// The machine has no id, and none could be kept for it.
    #[error("this machine has no id, and {} can't keep one for it; say `terminal`, or a `code`", .0.display())]
    Identity(PathBuf, #[source] io::Error),
    /// A value.
    #[error("{key} = {value} ({place}): must be {allowed}")]
    Value {
        /// Which setting.
        key: &'static str,
        /// As given; a secret is not repeated.
        value: String,
        /// Where it was said.
        place: String,
        /// What is allowed.
        allowed: String,
    },
}

impl Config {
    /// Lays `said` (flags, environment) over the file over defaults. Without `file`, the system's own configuration
    /// file ([`default_file`]) is read where there is one.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or the setting, where it was said, and what is allowed.
    pub fn load(file: Option<&Path>, said: Settings) -> Result<Self, ConfigError> {
        let own = default_file();
        let said = Settings {
            code: said.code.or_else(places::code),
            ..said
        };
        match file.or_else(|| own.exists().then_some(own.as_path())) {
            None => Self::check(said, Settings::default(), &own),
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| ConfigError::File(path.to_owned(), error.to_string()))?;
                Self::check(said, settings(&text, path)?, path)
            }
        }
    }

    /// What a file with this text would say, over defaults: for a look before it is written.
    ///
    /// # Errors
    /// [`ConfigError`], as by [`Config::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::check(Settings::default(), settings(text, path)?, path)
    }

    /// The id of a machine that nobody named and that has no code to enrol with.
    ///
    /// # Errors
    /// [`ConfigError::Identity`] where the machine has none and none can be kept for it.
    pub fn default_terminal(&self) -> Result<String, ConfigError> {
        places::default_terminal(Path::new("/etc/machine-id"), &self.journal)
    }

    fn check(said: Settings, file: Settings, path: &Path) -> Result<Self, ConfigError> {
        let from = Origin { path };
        let (server, at) = from.either(said.server, file.server, "server");
        let server = server.unwrap_or_else(|| "127.0.0.1:1883".to_owned());
        let parts = server
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        let Some((host, port)) = parts.filter(|(host, port)| !host.is_empty() && *port != 0) else {
            return Err(at.wrong(&server, "HOST:PORT, such as 10.1.2.3:1883"));
        };
        let (terminal, at) = from.either(said.terminal, file.terminal, "terminal");
        if let Some(terminal) = terminal.as_deref().filter(|id| !topic::is_terminal(id)) {
            return Err(at.wrong(terminal, "1 to 64 of A-Z a-z 0-9 . _ -"));
        }
        let (code, at) = from.either(said.code, file.code, "code");
        let code = code.filter(|code| !code.trim().is_empty());
        if code.as_deref().is_some_and(|code| !looks_like_a_code(code)) {
            let allowed = "the school's enrolment code, such as 7KQ4-M2XD-9TRA";
            return Err(at.wrong("…", allowed));
        }
        let (room, at) = from.either(said.room, file.room, "room");
        let room = room.unwrap_or_default();
        if room.chars().count() > LONGEST_ROOM || room.chars().any(char::is_control) {
            return Err(at.wrong(&room, "at most 64 characters in one line"));
        }
        let (sources, at) = from.either(said.sources, file.sources, "sources");
        let all = || machine::SOURCES.iter().map(|name| (*name).to_owned());
        let sources = sources.unwrap_or_else(|| all().collect());
        let known = |source: &&String| machine::SOURCES.contains(&source.as_str());
        if let Some(unknown) = sources.iter().find(|source| !known(source)) {
            return Err(at.wrong(unknown, &machine::SOURCES.join(", ")));
        }
        let (tick, tick_at) = from.either(said.tick_seconds, file.tick_seconds, "tick_seconds");
        let (heartbeat, heartbeat_at) = from.either(
            said.heartbeat_seconds,
            file.heartbeat_seconds,
            "heartbeat_seconds",
        );
        let (idle, idle_at) = from.either(said.idle_seconds, file.idle_seconds, "idle_seconds");
        let (jitter, jitter_at) =
            from.either(said.jitter_seconds, file.jitter_seconds, "jitter_seconds");
        let (utc_offset, utc_offset_at) = from.either(
            said.utc_offset_minutes,
            file.utc_offset_minutes,
            "utc_offset_minutes",
        );
        let journal = said
            .journal
            .or(file.journal)
            .unwrap_or_else(places::default_journal);
        let identity = said
            .identity
            .or(file.identity)
            .unwrap_or_else(|| places::default_identity(&journal));
        Ok(Self {
            host,
            port,
            ca_file: said.ca_file.or(file.ca_file),
            terminal,
            code,
            room,
            identity,
            hardware_root: PathBuf::from("/"),
            journal,
            socket: said
                .socket
                .or(file.socket)
                .unwrap_or_else(|| carrier::DEFAULT.into()),
            sources,
            tick_seconds: tick_at.between(tick.unwrap_or(5), 1, 15)?,
            heartbeat_seconds: heartbeat_at.between(heartbeat.unwrap_or(60), 15, 3_600)?,
            idle_seconds: idle_at.between(idle.unwrap_or(300), 30, 3_600)?,
            jitter_seconds: jitter_at.between(jitter.unwrap_or(60), 0, 300)?,
            utc_offset_minutes: utc_offset_at.between(utc_offset.unwrap_or(480), -720, 840)?,
            history: said.history.or(file.history).unwrap_or_default(),
            log: said.log.or(file.log).unwrap_or_default(),
            log_level: said.log_level.or(file.log_level).unwrap_or_default(),
        })
    }
}

impl Config {
    /// The county's civil time minus UTC, seconds.
    #[must_use]
    pub fn utc_offset_seconds(&self) -> i64 {
        i64::from(self.utc_offset_minutes) * 60
    }
}

fn settings(text: &str, path: &Path) -> Result<Settings, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::File(path.to_owned(), error.to_string()))
}

/// Case, blanks and dashes do not matter, and what else a code is made of is the service's to say.
fn looks_like_a_code(code: &str) -> bool {
    code.len() <= LONGEST_CODE
        && code
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-'))
}

/// Which file lies under what was said.
struct Origin<'a> {
    path: &'a Path,
}

impl Origin<'_> {
    /// What was said before what is in the file, and where that was.
    fn either<T>(&self, said: Option<T>, file: Option<T>, key: &'static str) -> (Option<T>, At) {
        let place = match &said {
            Some(_) => "by flag or environment".to_owned(),
            None => format!("in {}", self.path.display()),
        };
        (said.or(file), At { key, place })
    }
}

/// A setting and where it was said.
struct At {
    key: &'static str,
    place: String,
}

impl At {
    fn wrong(self, value: &str, allowed: &str) -> ConfigError {
        ConfigError::Value {
            key: self.key,
            value: value.to_owned(),
            place: self.place,
            allowed: allowed.to_owned(),
        }
    }

    fn between<T: PartialOrd + Copy + std::fmt::Display>(
        self,
        value: T,
        low: T,
        high: T,
    ) -> Result<T, ConfigError> {
        if low <= value && value <= high {
            Ok(value)
        } else {
            Err(self.wrong(&value.to_string(), &format!("{low} to {high}")))
        }
    }
}

#[cfg(test)]
mod tests;
