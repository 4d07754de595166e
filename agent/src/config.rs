//! The agent's settings: flags over environment over one small file over defaults. The only reader of the environment.
//!
//! Not responsible for settings that the service changes from afar (`core`).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use classpulse_proto::topic;
use serde::Deserialize;

use crate::{enrol::MOST_ROOM, local::carrier, sense::machine};

/// What can be said on the command line, by environment, or (in the file) under the same names.
#[derive(Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The county's server, as HOST:PORT.
    #[arg(long, env = "CLASSPULSE_AGENT_SERVER")]
    pub server: Option<String>,
    /// The certificate authority (PEM) whose certificate the server shows, the only one trusted; without it, plain text.
    #[arg(long, env = "CLASSPULSE_AGENT_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// The school's enrolment code. Not a flag: every user of a machine sees a program's flags.
    #[arg(skip)]
    pub code: Option<String>,
    /// The room, such as "三年级(2)班", said once when enrolling; at most 64 characters.
    #[arg(long, env = "CLASSPULSE_AGENT_ROOM")]
    pub room: Option<String>,
    /// A terminal's id given by hand, for a broker that asks for no key: 1 to 64 of A-Z a-z 0-9 . _ - Such a terminal
    /// does not enrol.
    #[arg(long, env = "CLASSPULSE_AGENT_TERMINAL")]
    pub terminal: Option<String>,
    /// The identity's file; beside the journal, unless said.
    #[arg(long, env = "CLASSPULSE_AGENT_IDENTITY", value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Report power-on times from before the installation, by the machine's own log.
    #[arg(long, env = "CLASSPULSE_AGENT_HISTORY", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub history: Option<bool>,
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
    /// At most so many seconds before the first connection, 0 to 300.
    #[arg(long, env = "CLASSPULSE_AGENT_JITTER")]
    pub jitter_seconds: Option<u64>,
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
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// Host name or address of the broker.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The authority that the server is recognised by; plain text without it.
    pub ca_file: Option<PathBuf>,
    /// The school's enrolment code.
    pub code: Option<String>,
    /// The room; may be empty.
    pub room: String,
    /// The terminal's id, where it was given by hand.
    pub terminal: Option<String>,
    /// The identity's file.
    pub identity: PathBuf,
    /// Whether power-on times from before the installation are reported.
    pub history: bool,
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
    /// At most so many seconds before the first connection.
    pub jitter_seconds: u64,
    /// How log lines look.
    pub log: LogFormat,
    /// Which log lines are written.
    pub log_level: LogLevel,
}

/// A setting that can't hold.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: can't be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// The file says something that it can't: the place and what would be allowed are in the cause.
    #[error("{}: not a configuration", .0.display())]
    File(PathBuf, #[source] Box<toml::de::Error>),
    /// A value.
    #[error("{key} = {value:?} ({place}): must be {allowed}")]
    Value {
        /// The file's name, or "command line or environment".
        place: String,
        /// Which setting.
        key: &'static str,
        /// As given.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

impl Config {
    /// Lays `said` (flags, environment) over the file over defaults. Without a file, the system's own, where there is
    /// one.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or the setting, and what is allowed.
    pub fn load(file: Option<&Path>, mut said: Settings) -> Result<Self, ConfigError> {
        said.code = environment("CLASSPULSE_AGENT_CODE");
        let default = default_file();
        let file = file
            .map(Path::to_owned)
            .or(Some(default).filter(|it| it.exists()));
        let Some(path) = file else {
            return Self::check(said, Settings::default(), "");
        };
        let text = fs::read_to_string(&path)
            .map_err(|error| ConfigError::Unreadable(path.clone(), error))?;
        let from_file = toml::from_str(&text)
            .map_err(|error| ConfigError::File(path.clone(), Box::new(error)))?;
        Self::check(said, from_file, &path.display().to_string())
    }

    fn check(said: Settings, file: Settings, name: &str) -> Result<Self, ConfigError> {
        let wrong = |of_file: bool, key, value: &str, allowed: &str| {
            let place = if of_file {
                name
            } else {
                "command line or environment"
            };
            wrong(place, key, value, allowed)
        };
        let of_file = said.server.is_none();
        let server = said
            .server
            .or(file.server)
            .unwrap_or_else(|| "127.0.0.1:1883".to_owned());
        let parts = server
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        let Some((host, port)) = parts.filter(|(host, port)| !host.is_empty() && *port != 0) else {
            let allowed = "HOST:PORT, such as 10.1.2.3:1883";
            return Err(wrong(of_file, "server", &server, allowed));
        };
        let journal = said
            .journal
            .or(file.journal)
            .unwrap_or_else(default_journal);
        let of_file = said.terminal.is_none();
        let terminal = said.terminal.or(file.terminal);
        if let Some(terminal) = &terminal
            && (!topic::is_terminal(terminal) || topic::is_passing(terminal))
        {
            let allowed = "1 to 64 of A-Z a-z 0-9 . _ -";
            return Err(wrong(of_file, "terminal", terminal, allowed));
        }
        let of_file = said.room.is_none();
        let room = said.room.or(file.room).unwrap_or_default();
        if room.chars().count() > MOST_ROOM {
            return Err(wrong(of_file, "room", &room, "at most 64 characters"));
        }
        let of_file = said.sources.is_none();
        let sources = said.sources.or(file.sources).unwrap_or_else(|| {
            machine::SOURCES
                .iter()
                .map(|name| (*name).to_owned())
                .collect()
        });
        if let Some(unknown) = sources
            .iter()
            .find(|source| !machine::SOURCES.contains(&source.as_str()))
        {
            return Err(wrong(
                of_file,
                "sources",
                unknown,
                &machine::SOURCES.join(", "),
            ));
        }
        let number = Numbers { name };
        Ok(Self {
            host,
            port,
            ca_file: said.ca_file.or(file.ca_file),
            code: said
                .code
                .or(file.code)
                .filter(|code| !code.trim().is_empty()),
            room,
            terminal,
            identity: said
                .identity
                .or(file.identity)
                .unwrap_or_else(|| beside(&journal)),
            history: said.history.or(file.history).unwrap_or(false),
            journal,
            socket: said
                .socket
                .or(file.socket)
                .unwrap_or_else(|| carrier::DEFAULT.into()),
            sources,
            tick_seconds: number.within(
                "tick_seconds",
                (said.tick_seconds, file.tick_seconds),
                5,
                1..=15,
            )?,
            heartbeat_seconds: number.within(
                "heartbeat_seconds",
                (said.heartbeat_seconds, file.heartbeat_seconds),
                60,
                15..=3_600,
            )?,
            idle_seconds: number.within(
                "idle_seconds",
                (said.idle_seconds, file.idle_seconds),
                300,
                30..=3_600,
            )?,
            jitter_seconds: number.within(
                "jitter_seconds",
                (said.jitter_seconds, file.jitter_seconds),
                60,
                0..=300,
            )?,
            log: said.log.or(file.log).unwrap_or_default(),
            log_level: said.log_level.or(file.log_level).unwrap_or_default(),
        })
    }
}

fn wrong(place: &str, key: &'static str, value: &str, allowed: &str) -> ConfigError {
    ConfigError::Value {
        place: place.to_owned(),
        key,
        value: value.to_owned(),
        allowed: allowed.to_owned(),
    }
}

/// Settings that are numbers, and the name of the file that may have said them.
struct Numbers<'a> {
    name: &'a str,
}

impl Numbers<'_> {
    /// What was said, else what the file has, else the default; where it is in range.
    fn within<T: PartialOrd + Copy + std::fmt::Display>(
        &self,
        key: &'static str,
        (said, file): (Option<T>, Option<T>),
        default: T,
        allowed: std::ops::RangeInclusive<T>,
    ) -> Result<T, ConfigError> {
        let value = said.or(file).unwrap_or(default);
        if allowed.contains(&value) {
            return Ok(value);
        }
        let place = if said.is_some() {
            "command line or environment"
        } else {
            self.name
        };
        let allowed = format!("{} to {}", allowed.start(), allowed.end());
        Err(wrong(place, key, &value.to_string(), &allowed))
    }
}

/// The identity goes where the journal is: a restore card spares both or neither.
fn beside(journal: &Path) -> PathBuf {
    if journal.file_name().is_some_and(|name| name == "journal") {
        return journal.with_file_name("identity");
    }
    let mut name = journal.to_owned().into_os_string();
    name.push(".identity");
    name.into()
}

/// One variable of the environment, where it is text and not empty.
#[expect(clippy::disallowed_methods, reason = "the environment's one home")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where the configuration is, unless it is said.
#[cfg(not(windows))]
#[must_use]
pub fn default_file() -> PathBuf {
    PathBuf::from("/etc/classpulse-agent/agent.toml")
}

/// Where the configuration is, unless it is said.
#[cfg(windows)]
#[must_use]
pub fn default_file() -> PathBuf {
    state_folder().join("agent.toml")
}

/// Where an installed agent keeps its journal and identity.
#[cfg(not(windows))]
#[must_use]
pub fn state_folder() -> PathBuf {
    PathBuf::from("/var/lib/classpulse-agent")
}

/// Where an installed agent keeps its journal and identity.
#[cfg(windows)]
#[must_use]
pub fn state_folder() -> PathBuf {
    let data = environment("ProgramData").unwrap_or_else(|| r"C:\ProgramData".to_owned());
    PathBuf::from(data).join("Classpulse")
}

/// The service's folder where it may be written, else the working folder.
fn default_journal() -> PathBuf {
    let folder = state_folder();
    if folder.is_dir() && writable(&folder) {
        folder.join("journal")
    } else {
        PathBuf::from("classpulse-agent.journal")
    }
}

#[cfg(target_os = "linux")]
fn writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn writable(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|about| !about.permissions().readonly())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::chain;

    #[test]
    fn flags_win_over_the_file_and_defaults_work() {
        let file: Settings =
            toml::from_str("server = \"a:1\"\nterminal = \"t-1\"\nidle_seconds = 60\n").unwrap();
        let said = Settings {
            server: Some("[::1]:1884".to_owned()),
            ..Settings::default()
        };
        let config = Config::check(said, file, "agent.toml").unwrap();
        assert_eq!((config.host.as_str(), config.port), ("[::1]", 1884));
        assert_eq!(
            (
                config.terminal.as_deref(),
                config.idle_seconds,
                config.heartbeat_seconds
            ),
            (Some("t-1"), 60, 60)
        );
        assert_eq!(
            (config.log, config.log_level),
            (LogFormat::Text, LogLevel::Info)
        );
    }

    #[test]
    fn the_identity_lies_beside_the_journal_and_the_code_is_no_flag() {
        for (journal, identity) in [
            ("/data/journal", "/data/identity"),
            ("mine.journal", "mine.journal.identity"),
        ] {
            assert_eq!(beside(Path::new(journal)), Path::new(identity));
        }
        let file: Settings = toml::from_str(
            "code = \"7KQ4-M2XD\"\nroom = \"三年级(2)班\"\nca_file = \"/ca.pem\"\nhistory = true\njournal = \"/d/j\"\n",
        )
        .unwrap();
        let config = Config::check(Settings::default(), file, "agent.toml").unwrap();
        assert_eq!(config.code.as_deref(), Some("7KQ4-M2XD"));
        assert_eq!(config.room, "三年级(2)班");
        assert!(config.history && config.terminal.is_none());
        assert_eq!(config.jitter_seconds, 60);
        let command = <Settings as clap::Args>::augment_args(clap::Command::new("run"));
        assert!(command.get_arguments().all(|arg| arg.get_id() != "code"));
        assert!(command.get_arguments().any(|arg| arg.get_id() == "ca_file"));
    }

    #[test]
    fn mistakes_name_the_setting_and_what_is_allowed() {
        for (text, words) in [
            ("terminal = \"enrol-0123456789abcdef\"", "1 to 64"),
            ("server = \"here\"", "HOST:PORT"),
            ("server = \"here:0\"", "HOST:PORT"),
            ("terminal = \"三年级\"", "1 to 64"),
            ("sources = [\"camera\"]", "evdev, tty, alsa, session"),
            ("tick_seconds = 60", "1 to 15"),
            ("heartbeat_seconds = 1", "15 to 3600"),
            ("idle_seconds = 3601", "30 to 3600"),
            ("jitter_seconds = 301", "0 to 300"),
        ] {
            let file: Settings = toml::from_str(text).unwrap();
            let error = Config::check(Settings::default(), file, "agent.toml")
                .err()
                .unwrap()
                .to_string();
            let key = text.split(' ').next().unwrap();
            assert!(error.contains(words) && error.contains(key), "{error}");
            assert!(error.contains("agent.toml"), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        fs::write(&path, "sever = \"a:1\"\n").unwrap();
        let error = chain(
            &Config::load(Some(&path), Settings::default())
                .err()
                .unwrap(),
        );
        assert!(
            error.contains("agent.toml") && error.contains("line 1") && error.contains("sever"),
            "{error}"
        );
    }
}
