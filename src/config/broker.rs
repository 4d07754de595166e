//! Which broker carries the reports, ours or somebody else's: the keys `broker.*`.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    Mistake,
    values::{Values, mistake},
};
use crate::tls::TlsOptions;

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

impl Values {
    pub(super) fn broker(&self, mistakes: &mut Vec<Mistake>) -> Option<BrokerConfig> {
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
                let protocols = [("5", 5), ("3", 3)];
                let protocol = self.one_of("broker.protocol", &protocols, mistakes);
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

    /// Whom TLS trusts and how it appears, where it is on.
    fn broker_tls(&self, on: bool, mistakes: &mut Vec<Mistake>) -> Option<TlsOptions> {
        let (ca_file, cert, key) = (
            self.file("broker.ca_file"),
            self.file("broker.client_cert_file"),
            self.file("broker.client_key_file"),
        );
        if !on && (ca_file.is_some() || cert.is_some() || key.is_some()) {
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
            ca_file,
            identity: cert.zip(key),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::nothing, *};
    use crate::config::Config;

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
