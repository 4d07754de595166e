//! The agent's settings: flags over environment over one small file over defaults. The only reader of the environment.
//!
//! Not responsible for settings that the service changes from afar (`core`).

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use classpulse_proto::topic;
use serde::Deserialize;

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
    /// Sources of signs of use, separated by commas: evdev, tty, alsa.
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
}

/// A setting that can't hold.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file.
    #[error("{0}: {1}")]
    File(PathBuf, String),
    /// A value.
    #[error("{key} = {value:?}: must be {allowed}")]
    Value {
        /// Which setting.
        key: &'static str,
        /// As given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

const SOURCES: [&str; 3] = ["evdev", "tty", "alsa"];

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
        let terminal = said
            .terminal
            .or(file.terminal)
            .unwrap_or_else(default_terminal);
        if !topic::is_terminal(&terminal) {
            return Err(wrong("terminal", &terminal, "1 to 64 of A-Z a-z 0-9 . _ -"));
        }
        let sources = said
            .sources
            .or(file.sources)
            .unwrap_or_else(|| SOURCES.map(str::to_owned).to_vec());
        if let Some(unknown) = sources
            .iter()
            .find(|source| !SOURCES.contains(&source.as_str()))
        {
            return Err(wrong("sources", unknown, "evdev, tty, alsa"));
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
            sources,
            tick_seconds: between("tick_seconds", tick, 1, 15, "1 to 15")?,
            heartbeat_seconds: between("heartbeat_seconds", heartbeat, 15, 3_600, "15 to 3600")?,
            idle_seconds: between("idle_seconds", idle, 30, 3_600, "30 to 3600")?,
            jitter_seconds: between("jitter_seconds", jitter, 0, 300, "0 to 300")?,
        })
    }
}

fn wrong(key: &'static str, value: &str, allowed: &'static str) -> ConfigError {
    ConfigError::Value {
        key,
        value: value.to_owned(),
        allowed,
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

/// The machine's own id, hashed: stable, and says nothing of the machine or its users.
fn default_terminal() -> String {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let id = id.trim();
    format!(
        "pc-{:08x}{:08x}",
        crc32fast::hash(id.as_bytes()),
        crc32fast::hash(format!("{id}+").as_bytes())
    )
}

/// The service's folder where it may be written, else the working folder.
fn default_journal() -> PathBuf {
    let folder = Path::new("/var/lib/classpulse-agent");
    let writable =
        fs::metadata(folder).is_ok_and(|about| about.is_dir() && !about.permissions().readonly());
    if writable {
        folder.join("journal")
    } else {
        PathBuf::from("classpulse-agent.journal")
    }
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
        assert!(topic::is_terminal(&default_terminal()));
    }

    #[test]
    fn mistakes_name_the_setting_and_what_is_allowed() {
        for (text, words) in [
            ("server = \"here\"", "HOST:PORT"),
            ("server = \"here:0\"", "HOST:PORT"),
            ("terminal = \"三年级\"", "1 to 64"),
            ("sources = [\"camera\"]", "evdev, tty, alsa"),
            ("tick_seconds = 60", "1 to 15"),
            ("heartbeat_seconds = 1", "15 to 3600"),
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
