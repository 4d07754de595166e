//! The way to the server: where it is, how it is recognised, and what it means when there is no getting through.
//!
//! Names are looked up at every connection: a server may move. No proxy, ever. Not responsible for who speaks (`link`,
//! `enrol`).

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rumqttc::{
    TlsConfiguration, Transport,
    v5::{ConnectionError, MqttOptions, StateError, TlsError, mqttbytes::v5::ConnectReturnCode},
};
use rustls::ClientConfig;

use crate::{chain::chain, tls, tls::Dates};

/// The broker hears something at least so often, and says that a terminal is gone at most half as long again after it was
/// cut off. Reports come each minute and keep routers' tables awake; pings come all the same, at 256 bytes with their
/// answer, and should be rare. A connection that is dead is noticed by a report that is not answered:
/// at least one in five minutes asks, and every one where reports are rarer than that. Where no answer comes, the next one
/// asks for the broker's receipt, and its absence ends the connection.
pub const KEEP_ALIVE: Duration = Duration::from_mins(30);
/// The longest wait for TCP, TLS and the broker's welcome together, seconds. Village networks are slow.
const CONNECTING: u64 = 15;
/// Publishes without the broker's answer. The client reserves room for all it may have: by default 13 MB.
const INFLIGHT: u16 = 32;
/// Largest packet either way.
const MAX_PACKET: u32 = 64 * 1024;

/// Where the server is, and how it is recognised.
#[derive(Debug, Clone)]
pub struct Access {
    /// Host name or address of the broker.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How it is recognised.
    pub trust: Trust,
}

/// How the server is recognised.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Not at all: plain text.
    Plain,
    /// By its certificate.
    Authority(Arc<ClientConfig>),
    /// It can't be yet: nothing is sent, in plain text neither. What is recorded waits.
    Broken(Unread),
}

/// An authority's file that could not be used.
#[derive(Debug, Clone)]
pub struct Unread {
    file: PathBuf,
    dates: Dates,
    why: String,
}

impl Unread {
    /// What was wrong with it when it was read last.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl Trust {
    /// By certificates of the authority in this PEM file, which is read now.
    #[must_use]
    pub fn pinned(file: &Path, dates: Dates) -> Self {
        match tls::client(file, dates) {
            Ok(tls) => Self::Authority(tls),
            Err(error) => Self::Broken(Unread {
                file: file.to_owned(),
                dates,
                why: chain(&error),
            }),
        }
    }
}

impl Access {
    /// In plain text, as for a broker on the same machine.
    #[must_use]
    pub fn plain(host: String, port: u16) -> Self {
        let trust = Trust::Plain;
        Self { host, port, trust }
    }

    /// The name or address that a certificate must have. An address in brackets is none.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.trust {
            Trust::Plain => &self.host,
            _ => self.host.trim_matches(['[', ']']),
        }
    }

    /// Before each attempt: an authority's file that could not be used is read again. It may lie on a partition that came
    /// late, or somebody has mended it.
    ///
    /// # Errors
    /// [`Hitch::Away`] where it still can't be used.
    pub fn ready(&mut self) -> Result<(), Hitch> {
        if let Trust::Broken(unread) = &self.trust {
            self.trust = Trust::pinned(&unread.file, unread.dates);
        }
        self.recognises().map(drop)
    }

    /// How TLS recognises the server; `None` in plain text.
    fn recognises(&self) -> Result<Option<&Arc<ClientConfig>>, Hitch> {
        match &self.trust {
            Trust::Plain => Ok(None),
            Trust::Authority(tls) => Ok(Some(tls)),
            Trust::Broken(unread) => Err(Hitch::Away(unread.why.clone())),
        }
    }

    /// What every client here has in common.
    ///
    /// # Errors
    /// [`Hitch::Away`] where the server could not be recognised.
    pub fn options(&self, client_id: &str, password: &str) -> Result<MqttOptions, Hitch> {
        let mut mqtt = MqttOptions::new(client_id, self.name(), self.port);
        mqtt.set_credentials(client_id, password);
        mqtt.set_keep_alive(KEEP_ALIVE);
        mqtt.set_connection_timeout(CONNECTING);
        mqtt.set_clean_start(true);
        mqtt.set_max_packet_size(Some(MAX_PACKET));
        mqtt.set_outgoing_inflight_upper_limit(INFLIGHT);
        if let Some(tls) = self.recognises()? {
            mqtt.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(
                Arc::clone(tls),
            )));
        }
        Ok(mqtt)
    }
}

/// Why there is no getting through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hitch {
    /// No network, or nobody there. It will be there again.
    Away(String),
    /// The TLS handshake was cut short. Once, that may be a server that restarts.
    Cut(String),
    /// Something else answers in the server's place.
    Impostor(String),
    /// The server is there, and refuses this client's name or password.
    Login(String),
}

impl Hitch {
    /// In words.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Self::Away(why) | Self::Cut(why) | Self::Impostor(why) | Self::Login(why) => why,
        }
    }
}

impl From<&ConnectionError> for Hitch {
    fn from(error: &ConnectionError) -> Self {
        let words = error.to_string();
        match error {
            ConnectionError::Tls(TlsError::Io(error)) => match tls(error) {
                Some(wrong) => Self::Impostor(wrong.to_string()),
                None => Self::Cut(format!("the TLS handshake was cut short: {error}")),
            },
            ConnectionError::Tls(_) => Self::Impostor(words),
            ConnectionError::ConnectionRefused(
                ConnectReturnCode::BadUserNamePassword
                | ConnectReturnCode::NotAuthorized
                | ConnectReturnCode::Banned
                | ConnectReturnCode::ClientIdentifierNotValid,
            ) => Self::Login(words),
            ConnectionError::NotConnAck(_)
            | ConnectionError::MqttState(
                StateError::Deserialization(_)
                | StateError::WrongPacket
                | StateError::Unsolicited(_)
                | StateError::IncomingPacketTooLarge { .. },
            ) => Self::Impostor(format!("it does not speak MQTT 5: {words}")),
            _ => Self::Away(words),
        }
    }
}

/// What TLS itself found wrong, where it did: the rest is the network's.
fn tls(error: &io::Error) -> Option<&rustls::Error> {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
}

#[cfg(test)]
mod tests;
