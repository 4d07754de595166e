//! One attempt to become a terminal: the machine shows its school's code, and is answered once.
//!
//! How it goes stands in the contract (`proto/v1/enrolment.proto`). Not responsible for trying again or for keeping what
//! was answered (`link`).

use std::{fmt, time::Duration};

use classpulse_proto::{
    topic::{self, Channel},
    v1::{
        AgentFacts, EnrolRefusal, EnrolRequest, EnrolResponse, Enrolled, Hardware,
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
    let mqtt = access
        .options(&name, &application.code)
        .map_err(EnrolError::Hitch)?;
    let (client, mut events) = AsyncClient::new(mqtt, REQUESTS);
    let answer = tokio::time::timeout(WAIT, ask(&client, &mut events, &name, application)).await;
    let answer = answer.unwrap_or(Err(EnrolError::Silence));
    if !matches!(answer, Err(EnrolError::Hitch(_))) && client.try_disconnect().is_ok() {
        let gone = async { while events.poll().await.is_ok() {} };
        // The broker may hold the line; it is cut anyway.
        drop(tokio::time::timeout(GOODBYE, gone).await);
    }
    answer
}

async fn ask(
    client: &AsyncClient,
    events: &mut EventLoop,
    name: &str,
    application: &Application,
) -> Result<Welcome, EnrolError> {
    let (question, answer) = (
        topic::of(name, Channel::Enrol),
        topic::of(name, Channel::Enrolled),
    );
    loop {
        let packet = match events.poll().await {
            Ok(Event::Incoming(packet)) => packet,
            Ok(Event::Outgoing(_)) => continue,
            Err(error) => {
                return Err(match Hitch::from(&error) {
                    // The code is the password: this broker knows it to be wrong.
                    Hitch::Login(_) => EnrolError::Code,
                    hitch => EnrolError::Hitch(hitch),
                });
            }
        };
        let queued = match packet {
            Packet::ConnAck(_) => client.try_subscribe(answer.clone(), QoS::AtLeastOnce),
            // Heard from now on.
            Packet::SubAck(ack) => match ack.return_codes.first() {
                Some(SubscribeReasonCode::Success(_)) => client.try_publish(
                    question.clone(),
                    QoS::AtLeastOnce,
                    false,
                    request(application).encode_to_vec(),
                ),
                _ => return Err(EnrolError::Code),
            },
            Packet::Publish(publish) if publish.topic == answer.as_bytes() => {
                return EnrolResponse::decode(publish.payload)
                    .ok()
                    .map_or(Err(EnrolError::Garbled), read);
            }
            _ => Ok(()),
        };
        if queued.is_err() {
            return Err(EnrolError::Silence);
        }
    }
}

fn request(application: &Application) -> EnrolRequest {
    EnrolRequest {
        code: application.code.clone(),
        hardware: Some(application.hardware.clone()),
        facts: Some(application.facts.clone()),
        room: application.room.clone(),
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
