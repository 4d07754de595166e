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

use crate::{local::carrier, sense::machine};

/// What can be said on the command line, by environment, or (in the file) under the same names.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Broker, as HOST:PORT.
    #[arg(long, env = "CLASSPULSE_AGENT_SERVER")]
    pub server: Option<String>,
    /// The terminal's id: 1 to 64 of A-Z a-z 0-9 . _ -
    #[arg(long, env = "CLASSPULSE_AGENT_TERMINAL")]
    pub terminal: Option<String>,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Host name or address of the broker.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The terminal's id.
    pub terminal: String,
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
    /// The file.
    #[error("{0}: {1}")]
    File(PathBuf, String),
    /// The machine has no id, and none could be kept for it.
    #[error("this machine has no id, and {} can't keep one for it; give --terminal", .0.display())]
    Identity(PathBuf, #[source] io::Error),
    /// A value.
    #[error("{key} = {value:?}: must be {allowed}")]
    Value {
        /// Which setting.
        key: &'static str,
        /// As given.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

impl Config {
    /// Lays `said` (flags, environment) over the file over defaults.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or the setting, and what is allowed.
    pub fn load(file: Option<&Path>, said: Settings) -> Result<Self, ConfigError> {
        let from_file = match file {
            None => Settings::default(),
            Some(path) => {
                let wrong = |error: &dyn std::fmt::Display| {
                    ConfigError::File(path.to_owned(), error.to_string())
                };
                let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
                toml::from_str(&text).map_err(|error| wrong(&error))?
            }
        };
        Self::check(said, from_file)
    }

    fn check(said: Settings, file: Settings) -> Result<Self, ConfigError> {
        let server = said
            .server
            .or(file.server)
            .unwrap_or_else(|| "127.0.0.1:1883".to_owned());
        let parts = server
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        let Some((host, port)) = parts.filter(|(host, port)| !host.is_empty() && *port != 0) else {
            return Err(wrong("server", &server, "HOST:PORT, such as 10.1.2.3:1883"));
        };
        let journal = said
            .journal
            .or(file.journal)
            .unwrap_or_else(default_journal);
        let terminal = match said.terminal.or(file.terminal) {
            Some(terminal) => terminal,
            None => default_terminal(Path::new("/etc/machine-id"), &journal)?,
        };
        if !topic::is_terminal(&terminal) {
            return Err(wrong("terminal", &terminal, "1 to 64 of A-Z a-z 0-9 . _ -"));
        }
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
            return Err(wrong("sources", unknown, &machine::SOURCES.join(", ")));
        }
        let tick = said.tick_seconds.or(file.tick_seconds).unwrap_or(5);
        let heartbeat = said
            .heartbeat_seconds
            .or(file.heartbeat_seconds)
            .unwrap_or(60);
        let idle = said.idle_seconds.or(file.idle_seconds).unwrap_or(300);
        let jitter = said.jitter_seconds.or(file.jitter_seconds).unwrap_or(5);
        Ok(Self {
            host,
            port,
            terminal,
            journal,
            socket: said
                .socket
                .or(file.socket)
                .unwrap_or_else(|| carrier::DEFAULT.into()),
            sources,
            tick_seconds: between("tick_seconds", tick, 1, 15, "1 to 15")?,
            heartbeat_seconds: between("heartbeat_seconds", heartbeat, 15, 3_600, "15 to 3600")?,
            idle_seconds: between("idle_seconds", idle, 30, 3_600, "30 to 3600")?,
            jitter_seconds: between("jitter_seconds", jitter, 0, 300, "0 to 300")?,
            log: said.log.or(file.log).unwrap_or_default(),
            log_level: said.log_level.or(file.log_level).unwrap_or_default(),
        })
    }
}

fn wrong(key: &'static str, value: &str, allowed: &str) -> ConfigError {
    ConfigError::Value {
        key,
        value: value.to_owned(),
        allowed: allowed.to_owned(),
    }
}

fn between<T: PartialOrd + Copy + std::fmt::Display>(
    key: &'static str,
    value: T,
    low: T,
    high: T,
    allowed: &'static str,
) -> Result<T, ConfigError> {
    if low <= value && value <= high {
        Ok(value)
    } else {
        Err(wrong(key, &value.to_string(), allowed))
    }
}

/// The machine's own id, hashed: stable, and says nothing of the machine or its users. A machine without one gets a
/// random id, kept beside the journal.
fn default_terminal(machine_id: &Path, journal: &Path) -> Result<String, ConfigError> {
    let text = fs::read_to_string(machine_id).unwrap_or_default();
    let id = text.trim();
    if id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        // Two halves: a checksum of the whole has only 32 bits, too few for a province.
        let (high, low) = id.as_bytes().split_at(16);
        return Ok(format!(
            "pc-{:08x}{:08x}",
            crc32fast::hash(high),
            crc32fast::hash(low)
        ));
    }
    let mut kept = journal.to_owned().into_os_string();
    kept.push(".terminal");
    let kept = PathBuf::from(kept);
    if let Ok(text) = fs::read_to_string(&kept)
        && topic::is_terminal(text.trim())
    {
        return Ok(text.trim().to_owned());
    }
    let id = format!("pc-{:016x}", rand::random::<u64>());
    match fs::write(&kept, &id) {
        Ok(()) => Ok(id),
        Err(error) => Err(ConfigError::Identity(kept, error)),
    }
}

/// The service's folder where it may be written, else the working folder.
fn default_journal() -> PathBuf {
    let folder = &state_folder();
    if folder.is_dir() && writable(folder) {
        folder.join("journal")
    } else {
        PathBuf::from("classpulse-agent.journal")
    }
}

#[cfg(not(windows))]
fn state_folder() -> PathBuf {
    PathBuf::from("/var/lib/classpulse-agent")
}

#[cfg(windows)]
fn state_folder() -> PathBuf {
    crate::folders::Folders::here().data
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

    #[test]
    fn flags_win_over_the_file_and_defaults_work() {
        let file: Settings =
            toml::from_str("server = \"a:1\"\nterminal = \"t-1\"\nidle_seconds = 60\n").unwrap();
        let said = Settings {
            server: Some("[::1]:1884".to_owned()),
            ..Settings::default()
        };
        let config = Config::check(said, file).unwrap();
        assert_eq!((config.host.as_str(), config.port), ("[::1]", 1884));
        assert_eq!(
            (
                config.terminal.as_str(),
                config.idle_seconds,
                config.heartbeat_seconds
            ),
            ("t-1", 60, 60)
        );
        assert_eq!(
            (config.log, config.log_level),
            (LogFormat::Text, LogLevel::Info)
        );
    }

    #[test]
    fn a_machine_keeps_its_id_with_and_without_one_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (machine_id, journal) = (folder.path().join("machine-id"), folder.path().join("j"));
        let id = || default_terminal(&machine_id, &journal);
        let random = id().unwrap();
        assert!(topic::is_terminal(&random) && random.starts_with("pc-"));
        assert_eq!(id().unwrap(), random);
        fs::write(&machine_id, "uninitialized\n").unwrap();
        assert_eq!(id().unwrap(), random);
        let mut found = std::collections::BTreeSet::from([random]);
        for own in [
            "0123456789abcdef0123456789abcdef\n",
            "0123456789abcdef0123456789abcdee\n",
        ] {
            fs::write(&machine_id, own).unwrap();
            assert_eq!(id().unwrap().len(), 19);
            found.insert(id().unwrap());
        }
        assert_eq!(found.len(), 3);
        let nowhere = folder.path().join("no/such/folder/j");
        let error = default_terminal(&folder.path().join("none"), &nowhere).unwrap_err();
        assert!(error.to_string().contains("--terminal"), "{error}");
    }

    #[test]
    fn mistakes_name_the_setting_and_what_is_allowed() {
        for (text, words) in [
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
            let error = Config::check(Settings::default(), file)
                .unwrap_err()
                .to_string();
            assert!(error.contains(words), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        fs::write(&path, "sever = \"a:1\"\n").unwrap();
        let error = Config::load(Some(&path), Settings::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("agent.toml") && error.contains("line 1") && error.contains("sever"),
            "{error}"
        );
    }
}
