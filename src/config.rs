//! Configuration: one TOML file, environment overrides, defaults that work. The only reader of the environment.
//!
//! Every mistake is named with its key and what is allowed there, all at once (`classpulse config check`).
//! Not responsible for acting on any of it (`app`).
//!
//! # Layout
//! `keys` is the table of all keys, `values` what was said for each; `store`, `broker` and `listen` check their subject, and
//! this file the rest.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::tz::TimeZone;

use self::values::{Values, environment};
pub use self::{
    broker::{BrokerConfig, OutsideBroker},
    keys::KEYS,
    store::{PostgresUrl, StoreUrl, without_password},
};
use crate::{observe::LogFormat, tls::ServerTls};

mod broker;
mod keys;
mod listen;
mod store;
mod values;

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Cuts days and shows times.
    pub zone: TimeZone,
    /// Where data is kept.
    pub store: StoreUrl,
    /// Where gRPC and HTTP listen; loopback unless set.
    pub api: SocketAddr,
    /// By which names besides localhost and addresses gRPC and HTTP may be asked, where nobody must log in.
    pub names: Vec<String>,
    /// Whether whoever reaches the dashboard may change things there; else only a browser on this machine.
    pub dashboard_actions: bool,
    /// Whether people must log in, and other systems show a token.
    pub access_required: bool,
    /// The broker.
    pub broker: BrokerConfig,
    /// Whether a terminal without a key may not log in to the embedded broker at all.
    pub keys_required: bool,
    /// Secures our own listeners, all of them: MQTT, gRPC and HTTP. `None` for plain text.
    pub tls: Option<ServerTls>,
    /// The file with the secret that outside brokers show when they ask who may do what; `None` where none asks.
    pub auth_secret_file: Option<PathBuf>,
    /// How long a batch of reports waits for company.
    pub linger: Duration,
    /// Seconds between terminals' reports, told to them with every acknowledgement; 0 leaves it to them.
    pub heartbeat_seconds: u32,
    /// Seconds without input after which use has ended, told likewise; 0 leaves it to them.
    pub idle_seconds: u32,
    /// How often school-days are brought up to date in the background.
    pub rollup: Duration,
    /// Least age in days at which terminal-days may go; `None` keeps all.
    pub retention: Option<u32>,
    /// How long a stopping service may take.
    pub shutdown: Duration,
    /// What is logged, in `tracing`'s words.
    pub log_filter: String,
    /// How it is logged.
    pub log_format: LogFormat,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mistake {
    /// Such as `broker.listen`; empty for the file as a whole.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

/// All mistakes of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file, where there is one.
    pub file: Option<PathBuf>,
    /// At least one.
    pub mistakes: Vec<Mistake>,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}:", file.display())?,
            None => write!(f, "configuration:")?,
        }
        for mistake in &self.mistakes {
            match mistake.key.as_str() {
                "" => write!(f, "\n  {}", mistake.problem)?,
                key => write!(f, "\n  {key}: {}", mistake.problem)?,
            }
        }
        Ok(())
    }
}

impl Config {
    /// Reads the file (if any), lays the environment over it, and checks everything.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let fail = |key: &str, problem: String| ConfigError {
            file: file.map(Path::to_owned),
            mistakes: vec![Mistake {
                key: key.to_owned(),
                problem,
            }],
        };
        let text = match file {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| fail("", format!("can't be read: {error}")))?,
            None => String::new(),
        };
        Self::parse(&text, environment).map_err(|mistakes| ConfigError {
            file: file.map(Path::to_owned),
            mistakes,
        })
    }

    /// The same from a text and any environment; for tests.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn parse(
        text: &str,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let values = Values::collect(text, environment, &mut mistakes);
        let config = values.check(&mut mistakes);
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(mistakes),
        }
    }

    /// Whether browsers reach the pages over our own TLS: then cookies can be `Secure`.
    #[must_use]
    pub const fn https(&self) -> bool {
        self.tls.is_some()
    }
}

impl Config {
    /// A page's address, as a browser on this machine finds it.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.api)
    }
}

impl Values {
    fn check(&self, mistakes: &mut Vec<Mistake>) -> Option<Config> {
        let zone = TimeZone::get(self.get("time_zone")).ok();
        if zone.is_none() {
            self.wrong("time_zone", mistakes);
        }
        let store = self.store(mistakes);
        let api = self.parsed("api.listen", mistakes);
        let names = self.names(mistakes);
        let dashboard_actions = self.parsed("dashboard.actions", mistakes);
        let required = [("auto", None), ("yes", Some(true)), ("no", Some(false))];
        let required = self.one_of("access.required", &required, mistakes);
        let access_required = required
            .and_then(|said| said.or_else(|| api.map(|api: SocketAddr| !api.ip().is_loopback())));
        let broker = self.broker(mistakes);
        let keys = [("enrolled", false), ("required", true)];
        let keys_required = self.one_of("broker.keys", &keys, mistakes);
        let tls = self.listeners(api, broker.as_ref(), mistakes);
        let auth_secret_file = self.file("broker.auth_secret_file");
        let linger = self.between("ingest.linger_ms", 0, 2_000, mistakes);
        let rollup = self.between("rollup.interval_ms", 100, 60_000, mistakes);
        let heartbeat = self.zero_or("terminals.heartbeat_s", 15, 3_600, mistakes);
        let idle = self.zero_or("terminals.idle_s", 30, 3_600, mistakes);
        let retention = self.zero_or("retention.days", 90, 7_300, mistakes);
        let shutdown = self.between("shutdown_s", 1, 300, mistakes);
        let log_filter = self.get("log.filter").to_owned();
        if tracing_subscriber::EnvFilter::try_new(&log_filter).is_err() {
            self.wrong("log.filter", mistakes);
        }
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let log_format = self.one_of("log.format", &formats, mistakes);
        Some(Config {
            zone: zone?,
            store: store?,
            api: api?,
            names: names?,
            dashboard_actions: dashboard_actions?,
            access_required: access_required?,
            broker: broker?,
            keys_required: keys_required?,
            tls,
            auth_secret_file,
            linger: Duration::from_millis(linger?),
            heartbeat_seconds: heartbeat?,
            idle_seconds: idle?,
            rollup: Duration::from_millis(rollup?),
            retention: Some(retention?).filter(|days| *days > 0),
            shutdown: Duration::from_secs(shutdown?),
            log_filter,
            log_format: log_format?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn nothing_said_works_and_listens_on_loopback_only() {
        let config = Config::parse("", nothing).unwrap();
        assert!(config.api.ip().is_loopback());
        assert!(
            matches!(config.broker, BrokerConfig::Embedded(address) if address.ip().is_loopback())
        );
        assert_eq!(config.store, StoreUrl::Sqlite("data/classpulse.db".into()));
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let text =
            "store = \"sqlite:a.db\"\n[api]\nlisten = \"127.0.0.1:1\"\n[ingest]\nlinger_ms = 5\n";
        let environment =
            |name: &str| (name == "CLASSPULSE_API_LISTEN").then(|| "127.0.0.1:2".to_owned());
        let config = Config::parse(text, environment).unwrap();
        assert_eq!(config.api.port(), 2);
        assert_eq!(config.linger, Duration::from_millis(5));
        assert_eq!(config.store, StoreUrl::Sqlite("a.db".into()));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let text = "time_zone = \"Mars\"\nstore = \"mysql:x\"\nstoer = 1\nshutdown_s = 0\n[api]\nlisten = \"here\"\n\
                    [broker]\nkind = \"outside\"\nport = 70000\nuser = \"u\"\n[log]\nformat = \"xml\"\n";
        let mistakes = Config::parse(text, nothing).unwrap_err();
        let keys: Vec<_> = mistakes
            .iter()
            .map(|mistake| mistake.key.as_str())
            .collect();
        assert_eq!(
            keys,
            [
                "stoer",
                "time_zone",
                "store",
                "api.listen",
                "broker.port",
                "broker.user",
                "shutdown_s",
                "log.format"
            ]
        );
        let broken = Config::parse("a = [", nothing).unwrap_err();
        assert!(broken[0].problem.contains("line 1"), "{broken:?}");
    }
}
