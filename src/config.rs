//! Configuration: one TOML file, environment overrides, defaults that work. The only reader of the environment.
//!
//! Every mistake is named with its key and what is allowed there, all at once (`classpulse config check`).
//! Not responsible for acting on any of it (`app`).

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::tz::TimeZone;

use crate::{
    observe::LogFormat,
    tls::{ServerTls, TlsOptions},
};

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Cuts days and shows times.
    pub zone: TimeZone,
    /// Where data is kept.
    pub store: StoreUrl,
    /// Where gRPC and HTTP listen; loopback unless set.
    pub api: SocketAddr,
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

/// Where data is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// One file.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(PostgresUrl),
}

/// Where a PostgreSQL server is, and as whom to speak to it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    /// `postgres://user@host:port/database`, as libpq takes it.
    pub url: String,
    /// File that holds the password, nothing else.
    pub password_file: Option<PathBuf>,
    /// Whom to trust.
    pub tls: TlsOptions,
    /// Most connections at once.
    pub connections: usize,
}

impl std::fmt::Debug for PostgresUrl {
    /// Leaves out a password inside the URL.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresUrl")
            .field("url", &without_password(&self.url))
            .field("password_file", &self.password_file)
            .field("tls", &self.tls)
            .field("connections", &self.connections)
            .finish()
    }
}

/// `postgres://user:…@host/database`: what may be shown of a URL.
#[must_use]
pub fn without_password(url: &str) -> String {
    let shown = url.split_once("://").and_then(|(scheme, rest)| {
        let (login, place) = rest.rsplit_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some(format!("{scheme}://{user}:…@{place}"))
    });
    let shown = shown.unwrap_or_else(|| url.to_owned());
    match shown.split_once("password=") {
        Some((before, _)) => format!("{before}password=…"),
        None => shown,
    }
}

/// Which broker carries the reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerConfig {
    /// Our own, in this process; loopback unless set.
    Embedded(SocketAddr),
    /// Someone else's.
    Outside(OutsideBroker),
}

/// Someone else's broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideBroker {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The version of MQTT: 5, or 3 for MQTT 3.1.1.
    pub protocol: u8,
    /// Keeps the session over restarts; each aggregator needs its own.
    pub client_id: String,
    /// User name, and the file with the password.
    pub login: Option<(String, PathBuf)>,
    /// Encrypts the connection.
    pub tls: Option<TlsOptions>,
    /// Whether several aggregators share the reports.
    pub shared: bool,
    /// Whether it keeps each report until it is acknowledged (QoS 1).
    pub keep: bool,
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

/// Every key, with the default that is used where neither file nor environment says otherwise.
/// The environment's name for `broker.listen` is `CLASSPULSE_BROKER_LISTEN`.
pub const KEYS: [(&str, &str, &str); 35] = [
    (
        "time_zone",
        "Asia/Shanghai",
        "IANA time zone in which days begin and end",
    ),
    (
        "store",
        "sqlite:data/classpulse.db",
        "sqlite:FILE or postgres://USER@HOST:PORT/DATABASE",
    ),
    (
        "postgres.password_file",
        "",
        "file that holds the database password, nothing else",
    ),
    (
        "postgres.ca_file",
        "",
        "PEM file of the authority that vouches for the database server; empty for the system's",
    ),
    (
        "postgres.connections",
        "8",
        "most connections to the database, 2 to 100",
    ),
    (
        "api.listen",
        "127.0.0.1:50051",
        "address and port of the dashboard, gRPC, gRPC-Web and /metrics",
    ),
    (
        "dashboard.actions",
        "false",
        "true lets whoever reaches the dashboard change things there; false only a browser on this machine, where api.listen is loopback",
    ),
    (
        "access.required",
        "auto",
        "whether people must log in and other systems show a token: yes, no, or auto for yes unless api.listen is loopback",
    ),
    (
        "retention.days",
        "0",
        "age in days at which minutes go, once a frozen evaluation holds their period: 90 to 7300, or 0 for never",
    ),
    ("broker.kind", "embedded", "embedded or outside"),
    (
        "broker.listen",
        "127.0.0.1:1883",
        "address and port of the embedded broker",
    ),
    (
        "broker.keys",
        "enrolled",
        "at the embedded broker, enrolled: a terminal that has a key must show it; required: every terminal must have one",
    ),
    (
        "broker.auth_secret_file",
        "",
        "file with the secret (at least 32 characters) that an outside broker shows when it asks /broker/auth and /broker/acl; empty: nobody is answered there",
    ),
    (
        "tls.certificate_file",
        "",
        "PEM file with the certificate of our own listeners (MQTT, gRPC, HTTP), such as `classpulse tls init` makes; empty for plain text",
    ),
    ("tls.key_file", "", "PEM file with its private key"),
    (
        "tls.plain",
        "loopback",
        "where our listeners may speak plain text: loopback, or anywhere (readable and forgeable on the way)",
    ),
    ("broker.host", "127.0.0.1", "host of the outside broker"),
    (
        "broker.port",
        "1883",
        "port of the outside broker, 1 to 65535",
    ),
    (
        "broker.protocol",
        "5",
        "MQTT version at the outside broker: 5, or 3 for MQTT 3.1.1",
    ),
    (
        "broker.tls",
        "false",
        "true for TLS to the outside broker (its port is often 8883)",
    ),
    (
        "broker.ca_file",
        "",
        "with TLS: PEM of the authorities to trust; empty for the system's",
    ),
    (
        "broker.client_cert_file",
        "",
        "with TLS: PEM of our own certificate, if the broker asks for one",
    ),
    (
        "broker.client_key_file",
        "",
        "with TLS: PEM of its private key",
    ),
    (
        "broker.client_id",
        "classpulse-1",
        "client id at the outside broker; each aggregator needs its own",
    ),
    (
        "broker.user",
        "",
        "user name at the outside broker; empty for none",
    ),
    (
        "broker.password_file",
        "",
        "file that holds the password, nothing else",
    ),
    (
        "broker.shared",
        "false",
        "true where several aggregators share the reports",
    ),
    (
        "broker.qos",
        "1",
        "1: the broker keeps each report until it is committed; 0: cheaper, and terminals say again what is dropped",
    ),
    (
        "ingest.linger_ms",
        "20",
        "how long a batch waits for company, 0 to 2000",
    ),
    (
        "terminals.heartbeat_s",
        "0",
        "seconds between reports, told to terminals: 15 to 3600, or 0 to leave it to them",
    ),
    (
        "terminals.idle_s",
        "0",
        "seconds without input that end use, told to terminals: 30 to 3600, or 0 to leave it to them",
    ),
    (
        "rollup.interval_ms",
        "1000",
        "how often averages are brought up to date, 100 to 60000",
    ),
    ("shutdown_s", "10", "how long stopping may take, 1 to 300"),
    (
        "log.filter",
        "info,rmqtt=warn",
        "such as info or classpulse=debug",
    ),
    ("log.format", "text", "text or json"),
];

/// One raw value, and who said it.
struct Values(Vec<(&'static str, String)>);

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

#[expect(clippy::disallowed_methods, reason = "the one home of the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn mistake(mistakes: &mut Vec<Mistake>, key: &str, problem: impl Into<String>) {
    mistakes.push(Mistake {
        key: key.to_owned(),
        problem: problem.into(),
    });
}

impl Values {
    fn collect(
        text: &str,
        environment: impl Fn(&str) -> Option<String>,
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        let table = text.parse::<toml::Table>().unwrap_or_else(|error| {
            mistake(mistakes, "", error.to_string().trim_end());
            toml::Table::new()
        });
        let mut said = Vec::new();
        flatten("", &table, &mut said);
        for (key, _) in &said {
            if !KEYS.iter().any(|(known, ..)| known == key) {
                let allowed: Vec<_> = KEYS.iter().map(|(known, ..)| *known).collect();
                mistake(
                    mistakes,
                    key,
                    format!("is no known key; known are {}", allowed.join(", ")),
                );
            }
        }
        let values = KEYS.iter().map(|(key, default, _)| {
            let variable = format!("CLASSPULSE_{}", key.replace('.', "_").to_uppercase());
            let from_file = || {
                said.iter()
                    .find(|(name, _)| name == key)
                    .map(|(_, value)| value.clone())
            };
            (
                *key,
                environment(&variable)
                    .or_else(from_file)
                    .unwrap_or_else(|| (*default).to_owned()),
            )
        });
        Self(values.collect())
    }

    fn get(&self, key: &str) -> &str {
        self.0
            .iter()
            .find(|(name, _)| *name == key)
            .map_or("", |(_, value)| value)
    }

    fn parsed<T: std::str::FromStr>(
        &self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<T> {
        let value = self.get(key).parse().ok();
        if value.is_none() {
            self.wrong(key, mistakes);
        }
        value
    }

    fn between(
        &self,
        key: &'static str,
        low: u64,
        high: u64,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<u64> {
        let value = self
            .get(key)
            .parse()
            .ok()
            .filter(|value| (low..=high).contains(value));
        if value.is_none() {
            self.wrong(key, mistakes);
        }
        value
    }

    /// 0, or from `low` to `high`.
    fn zero_or(
        &self,
        key: &'static str,
        low: u32,
        high: u32,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<u32> {
        let value = self
            .get(key)
            .parse()
            .ok()
            .filter(|value| *value == 0 || (low..=high).contains(value));
        if value.is_none() {
            self.wrong(key, mistakes);
        }
        value
    }

    fn wrong(&self, key: &'static str, mistakes: &mut Vec<Mistake>) {
        let meaning = KEYS
            .iter()
            .find(|(known, ..)| *known == key)
            .map_or("", |(.., meaning)| meaning);
        mistake(
            mistakes,
            key,
            format!("{:?} is not valid here: {meaning}", self.get(key)),
        );
    }

    fn check(&self, mistakes: &mut Vec<Mistake>) -> Option<Config> {
        let zone = TimeZone::get(self.get("time_zone")).ok();
        if zone.is_none() {
            self.wrong("time_zone", mistakes);
        }
        let store = self.store(mistakes);
        let api = self.parsed("api.listen", mistakes);
        let dashboard_actions = self.parsed("dashboard.actions", mistakes);
        let access_required = match self.get("access.required") {
            "auto" => api.map(|api: SocketAddr| !api.ip().is_loopback()),
            "yes" => Some(true),
            "no" => Some(false),
            _ => {
                self.wrong("access.required", mistakes);
                None
            }
        };
        let broker = self.broker(mistakes);
        let keys_required = match self.get("broker.keys") {
            "enrolled" => Some(false),
            "required" => Some(true),
            _ => {
                self.wrong("broker.keys", mistakes);
                None
            }
        };
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
        let log_format = match self.get("log.format") {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => {
                self.wrong("log.format", mistakes);
                None
            }
        };
        Some(Config {
            zone: zone?,
            store: store?,
            api: api?,
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

    fn store(&self, mistakes: &mut Vec<Mistake>) -> Option<StoreUrl> {
        let file = |key| Some(PathBuf::from(self.get(key))).filter(|path| path != Path::new(""));
        let connections = self.between("postgres.connections", 2, 100, mistakes)?;
        let said = self.get("store");
        if let Some(path) = said.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            return Some(StoreUrl::Sqlite(path.into()));
        }
        if said.starts_with("postgres://") || said.starts_with("postgresql://") {
            return Some(StoreUrl::Postgres(PostgresUrl {
                url: said.to_owned(),
                password_file: file("postgres.password_file"),
                tls: TlsOptions {
                    ca_file: file("postgres.ca_file"),
                    identity: None,
                },
                connections: usize::try_from(connections).ok()?,
            }));
        }
        mistake(
            mistakes,
            "store",
            format!(
                "{:?} is not valid here: sqlite:FILE or postgres://USER@HOST:PORT/DATABASE",
                without_password(said)
            ),
        );
        None
    }

    fn broker(&self, mistakes: &mut Vec<Mistake>) -> Option<BrokerConfig> {
        match self.get("broker.kind") {
            "embedded" => self
                .parsed("broker.listen", mistakes)
                .map(BrokerConfig::Embedded),
            "outside" => {
                let keep = self
                    .between("broker.qos", 0, 1, mistakes)
                    .map(|qos| qos == 1);
                let (port, shared) = (
                    self.parsed("broker.port", mistakes),
                    self.parsed("broker.shared", mistakes),
                );
                let protocol = match self.get("broker.protocol") {
                    "5" => Some(5),
                    "3" => Some(3),
                    _ => {
                        self.wrong("broker.protocol", mistakes);
                        None
                    }
                };
                let encrypted = self.parsed("broker.tls", mistakes);
                let tls = self.broker_tls(encrypted != Some(false), mistakes);
                let (user, file) = (self.get("broker.user"), self.get("broker.password_file"));
                if user.is_empty() != file.is_empty() {
                    mistake(
                        mistakes,
                        "broker.user",
                        "a user needs a password_file, and the other way round",
                    );
                }
                for key in ["broker.host", "broker.client_id"] {
                    if self.get(key).is_empty() {
                        mistake(mistakes, key, "must not be empty");
                    }
                }
                Some(BrokerConfig::Outside(OutsideBroker {
                    host: self.get("broker.host").to_owned(),
                    port: port?,
                    protocol: protocol?,
                    client_id: self.get("broker.client_id").to_owned(),
                    login: (!user.is_empty()).then(|| (user.to_owned(), file.into())),
                    tls: tls.filter(|_| encrypted == Some(true)),
                    shared: shared?,
                    keep: keep?,
                }))
            }
            _ => {
                mistake(
                    mistakes,
                    "broker.kind",
                    format!(
                        "{:?} is neither embedded nor outside",
                        self.get("broker.kind")
                    ),
                );
                None
            }
        }
    }
}

impl Values {
    fn file(&self, key: &str) -> Option<PathBuf> {
        Some(self.get(key))
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    }

    /// How our own listeners are secured. Beyond this machine they are, or the configuration says that they are not.
    fn listeners(
        &self,
        api: Option<SocketAddr>,
        broker: Option<&BrokerConfig>,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<ServerTls> {
        let files = (self.file("tls.certificate_file"), self.file("tls.key_file"));
        let anywhere = match self.get("tls.plain") {
            "loopback" => false,
            "anywhere" => true,
            _ => {
                self.wrong("tls.plain", mistakes);
                true
            }
        };
        match files {
            (Some(certificate_file), Some(key_file)) => {
                return Some(ServerTls {
                    certificate_file,
                    key_file,
                });
            }
            (None, None) => {}
            _ => mistake(
                mistakes,
                "tls.certificate_file",
                "a certificate needs a key_file, and the other way round",
            ),
        }
        let embedded = match broker {
            Some(BrokerConfig::Embedded(address)) => Some(*address),
            _ => None,
        };
        for (key, address) in [("api.listen", api), ("broker.listen", embedded)] {
            if let Some(address) = address.filter(|at| !anywhere && !at.ip().is_loopback()) {
                mistake(
                    mistakes,
                    key,
                    format!(
                        "{address} is beyond this machine, and plain text there can be read and forged: set \
                         tls.certificate_file and tls.key_file (`classpulse tls init` makes them), or say \
                         tls.plain = \"anywhere\""
                    ),
                );
            }
        }
        None
    }

    /// Whom TLS trusts and how it appears, where it is on.
    fn broker_tls(&self, on: bool, mistakes: &mut Vec<Mistake>) -> Option<TlsOptions> {
        let file = |key: &str| Some(self.get(key)).filter(|path| !path.is_empty());
        let (ca, cert, key) = (
            file("broker.ca_file"),
            file("broker.client_cert_file"),
            file("broker.client_key_file"),
        );
        if !on && (ca.is_some() || cert.is_some() || key.is_some()) {
            mistake(
                mistakes,
                "broker.tls",
                "must be true where ca_file, client_cert_file or client_key_file is set",
            );
        }
        if cert.is_some() != key.is_some() {
            mistake(
                mistakes,
                "broker.client_cert_file",
                "a certificate needs a client_key_file, and the other way round",
            );
        }
        on.then(|| TlsOptions {
            ca_file: ca.map(Into::into),
            identity: cert.zip(key).map(|(cert, key)| (cert.into(), key.into())),
        })
    }
}

/// `[broker] listen = …` becomes `broker.listen`.
fn flatten(prefix: &str, table: &toml::Table, found: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let name = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            toml::Value::Table(inner) => flatten(&name, inner, found),
            toml::Value::String(text) => found.push((name, text.clone())),
            other => found.push((name, other.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &str) -> Option<String> {
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

    #[test]
    fn plain_text_stays_on_this_machine_unless_it_is_said() {
        let beyond = "[api]\nlisten = \"0.0.0.0:50051\"\n[broker]\nlisten = \"[::]:1883\"\n";
        let mistakes = Config::parse(beyond, nothing).unwrap_err();
        let keys: Vec<_> = mistakes.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["api.listen", "broker.listen"]);
        for part in ["tls.certificate_file", "tls init", "tls.plain"] {
            assert!(mistakes[0].problem.contains(part), "{mistakes:?}");
        }
        let said = format!("{beyond}[tls]\nplain = \"anywhere\"");
        assert!(Config::parse(&said, nothing).unwrap().tls.is_none());
        let secured = format!("{beyond}[tls]\ncertificate_file = \"c\"\nkey_file = \"k\"");
        let tls = Config::parse(&secured, nothing).unwrap().tls;
        assert_eq!(tls.unwrap().key_file, PathBuf::from("k"));
        for (text, key) in [
            ("[tls]\nkey_file = \"k\"", "tls.certificate_file"),
            ("[tls]\nplain = \"no\"", "tls.plain"),
        ] {
            assert_eq!(Config::parse(text, nothing).unwrap_err()[0].key, key);
        }
        // A terminal's broker elsewhere is not ours to secure.
        let outside = "[broker]\nkind = \"outside\"\nlisten = \"0.0.0.0:1883\"";
        assert!(Config::parse(outside, nothing).is_ok());
    }

    #[test]
    fn an_outside_broker_keeps_its_settings() {
        let text = "[broker]\nkind = \"outside\"\nhost = \"b\"\nshared = true\nuser = \"u\"\npassword_file = \"p\"\n";
        let BrokerConfig::Outside(outside) = Config::parse(text, nothing).unwrap().broker else {
            panic!("outside")
        };
        assert_eq!(
            (outside.host.as_str(), outside.port, outside.shared),
            ("b", 1883, true)
        );
        assert_eq!(outside.login, Some(("u".to_owned(), "p".into())));
        assert_eq!((outside.protocol, outside.tls), (5, None));
    }

    #[test]
    fn tls_to_a_broker_is_all_or_nothing() {
        let with =
            |more: &str| Config::parse(&format!("[broker]\nkind = \"outside\"\n{more}"), nothing);
        let all = "protocol = 3\ntls = true\nca_file = \"ca\"\nclient_cert_file = \"c\"\nclient_key_file = \"k\"";
        let BrokerConfig::Outside(outside) = with(all).unwrap().broker else {
            panic!("outside")
        };
        assert_eq!(outside.protocol, 3);
        let identity = Some(("c".into(), "k".into()));
        let ca_file = Some("ca".into());
        assert_eq!(outside.tls, Some(TlsOptions { ca_file, identity }));
        for (text, key) in [
            ("ca_file = \"ca\"", "broker.tls"),
            (
                "tls = true\nclient_key_file = \"k\"",
                "broker.client_cert_file",
            ),
            ("tls = 1", "broker.tls"),
            ("protocol = 4", "broker.protocol"),
            ("keys = \"sometimes\"", "broker.keys"),
        ] {
            assert_eq!(with(text).unwrap_err()[0].key, key, "{text}");
        }
    }
}
