//! One attempt to become a terminal: the machine shows its school's code, and is answered once. And a terminal's way to a
//! new key, which is the same road.
//!
//! How it goes stands in the contract (`proto/v1/enrolment.proto`). Not responsible for trying again or for keeping what
//! was answered (`link`).

use std::{fmt, io, time::Duration};

use classpulse_proto::{
    topic::{self, Channel},
    v1::{
        AgentFacts, EnrolRefusal, EnrolRequest, EnrolResponse, Enrolled, Hardware, Renewal,
        enrol_response::Result as Outcome,
    },
};
use prost::Message as _;
use rumqttc::v5::{
    AsyncClient, Event, EventLoop,
    mqttbytes::{
        QoS,
        v5::{Packet, SubscribeReasonCode},
    },
};

use crate::access::{Access, Hitch};

/// The longest wait for the answer, from the attempt's begin.
const WAIT: Duration = Duration::from_secs(30);
/// The longest wait for an orderly end.
const GOODBYE: Duration = Duration::from_millis(500);
/// Requests that may wait for the connection.
const REQUESTS: usize = 8;
/// Most characters of a room.
pub const MOST_ROOM: usize = 64;

/// What the machine shows.
#[derive(Clone, PartialEq)]
pub struct Application {
    /// The school's enrolment code.
    pub code: String,
    /// The room, as whoever installs says it; may be empty.
    pub room: String,
    /// What the machine is.
    pub hardware: Hardware,
    /// About the agent and its system.
    pub facts: AgentFacts,
}

/// Without the code.
impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application")
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

/// The machine is a terminal.
#[derive(Clone, PartialEq)]
pub struct Welcome {
    /// Its identity.
    pub enrolled: Enrolled,
    /// The service's clock, Unix ms.
    pub server_time_ms: i64,
}

/// Why it is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolError {
    /// The code: mistyped, revoked, used up or out of date.
    #[error("the server refuses this enrolment code; ask the county's office for a new one")]
    Code,
    /// The request: an agent that is too old, or a room that is no text.
    #[error("the server can't read this agent's request; is the agent too old?")]
    Malformed,
    /// The service can't answer now.
    #[error("the server can't enrol now")]
    Busy,
    /// Nobody answers: the broker is there, and the service is not.
    #[error("the broker is there, and nobody answers")]
    Silence,
    /// What answered is no answer.
    #[error("the answer can't be read")]
    Garbled,
    /// A new key could not be kept, and is not used.
    #[error("the new key can't be kept: {0}")]
    NotKept(String),
    /// There is no getting through.
    #[error("{}", .0.words())]
    Hitch(Hitch),
}

/// Asks once. `random` makes the passing name.
///
/// # Errors
/// [`EnrolError`].
pub async fn enrol(
    access: &Access,
    application: &Application,
    random: u64,
) -> Result<Welcome, EnrolError> {
    let name = topic::passing(random);
    let mut road = Road::open(access, &name, &name, &application.code)?;
    let answer = tokio::time::timeout(WAIT, road.ask(&request(application))).await;
    let answer = answer.unwrap_or(Err(EnrolError::Silence));
    road.close(&answer).await;
    answer
}

/// A terminal shows its key and gets the one that holds from now on; where that is a new one, `keep` must have it on disk
/// before it is used for the first time, which makes the old one worthless. Cut off anywhere, one of the two that `keep`
/// knows holds.
///
/// # Errors
/// [`EnrolError`]; the old key holds, or both do.
pub async fn renew(
    access: &Access,
    terminal: &str,
    key: &str,
    random: u64,
    keep: impl FnOnce(&str) -> io::Result<()>,
) -> Result<(), EnrolError> {
    let name = topic::passing(random);
    let mut road = Road::open(access, &name, terminal, key)?;
    let renewing = async {
        let given = road.ask(&renewal(terminal, key)).await?.enrolled;
        if given.terminal != terminal {
            return Err(EnrolError::Garbled);
        }
        if given.key != key {
            keep(&given.key).map_err(|error| EnrolError::NotKept(error.to_string()))?;
            // Its first use, also where the broker asks nobody.
            road.ask(&renewal(terminal, &given.key)).await?;
        }
        Ok(())
    };
    let done = tokio::time::timeout(WAIT, renewing).await;
    let done = done.unwrap_or(Err(EnrolError::Silence));
    road.close(&done).await;
    done
}

/// A connection under a passing name.
struct Road {
    client: AsyncClient,
    events: EventLoop,
    name: String,
    /// It hears the answers.
    listens: bool,
}

impl Road {
    fn open(access: &Access, name: &str, user: &str, password: &str) -> Result<Self, EnrolError> {
        let mut mqtt = access.options(name, password).map_err(EnrolError::Hitch)?;
        mqtt.set_credentials(user, password);
        let (client, events) = AsyncClient::new(mqtt, REQUESTS);
        Ok(Self {
            client,
            events,
            name: name.to_owned(),
            listens: false,
        })
    }

    async fn ask(&mut self, request: &EnrolRequest) -> Result<Welcome, EnrolError> {
        let (question, answer) = (
            topic::of(&self.name, Channel::Enrol),
            topic::of(&self.name, Channel::Enrolled),
        );
        let client = &self.client;
        let say = || {
            let payload = request.encode_to_vec();
            client
                .try_publish(question.clone(), QoS::AtLeastOnce, false, payload)
                .is_ok()
        };
        if self.listens && !say() {
            return Err(EnrolError::Silence);
        }
        loop {
            let packet = match self.events.poll().await {
                Ok(Event::Incoming(packet)) => packet,
                Ok(Event::Outgoing(_)) => continue,
                Err(error) => {
                    return Err(match Hitch::from(&error) {
                        // The code or key is the password: this broker knows it to be wrong.
                        Hitch::Login(_) => EnrolError::Code,
                        hitch => EnrolError::Hitch(hitch),
                    });
                }
            };
            let queued = match packet {
                Packet::ConnAck(_) => client
                    .try_subscribe(answer.clone(), QoS::AtLeastOnce)
                    .is_ok(),
                // Heard from now on.
                Packet::SubAck(ack) => match ack.return_codes.first() {
                    Some(SubscribeReasonCode::Success(_)) => {
                        self.listens = true;
                        say()
                    }
                    _ => return Err(EnrolError::Code),
                },
                Packet::Publish(publish) if publish.topic == answer.as_bytes() => {
                    return EnrolResponse::decode(publish.payload)
                        .ok()
                        .map_or(Err(EnrolError::Garbled), read);
                }
                _ => true,
            };
            if !queued {
                return Err(EnrolError::Silence);
            }
        }
    }

    /// In order, where there is somebody to part from.
    async fn close<T>(mut self, done: &Result<T, EnrolError>) {
        if !matches!(done, Err(EnrolError::Hitch(_))) && self.client.try_disconnect().is_ok() {
            let gone = async { while self.events.poll().await.is_ok() {} };
            // The broker may hold the line; it is cut anyway.
            drop(tokio::time::timeout(GOODBYE, gone).await);
        }
    }
}

fn renewal(terminal: &str, key: &str) -> EnrolRequest {
    EnrolRequest {
        renew: Some(Renewal {
            terminal: terminal.to_owned(),
            key: key.to_owned(),
        }),
        ..EnrolRequest::default()
    }
}

fn request(application: &Application) -> EnrolRequest {
    EnrolRequest {
        code: application.code.clone(),
        hardware: Some(application.hardware.clone()),
        facts: Some(application.facts.clone()),
        room: application.room.clone(),
        renew: None,
    }
}

fn read(response: EnrolResponse) -> Result<Welcome, EnrolError> {
    match response.result {
        Some(Outcome::Enrolled(enrolled))
            if topic::is_terminal(&enrolled.terminal)
                && !topic::is_passing(&enrolled.terminal)
                && !enrolled.key.is_empty() =>
        {
            Ok(Welcome {
                enrolled,
                server_time_ms: response.server_time_ms,
            })
        }
        Some(Outcome::Refusal(refusal)) => Err(match EnrolRefusal::try_from(refusal) {
            Ok(EnrolRefusal::Code) => EnrolError::Code,
            Ok(EnrolRefusal::Malformed) => EnrolError::Malformed,
            _ => EnrolError::Busy,
        }),
        _ => Err(EnrolError::Garbled),
    }
}
