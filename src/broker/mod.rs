//! The embedded MQTT broker: terminals log in with their keys, publish their reports, read their acknowledgements; and
//! machines that are no terminals yet ask to be, under a passing name, and can do nothing else (`door`, `passing`).
//!
//! Each report is handed to ingest from the publish hook, which the broker awaits before it answers: a PUBACK means
//! committed, and a slow store slows the terminals, with no queue between. A terminal can speak only for itself, and
//! has few reports in ingest at once (`turns`). Where ingest takes too long the terminal is told to come again, so that
//! its connection lives through the store's bad hour.
//! Not responsible for judging reports (ingest), codes and keys (`enrolment`) or for outside brokers (`ingest::outside`).

pub mod asked;
mod attempts;
mod door;
mod front;
pub mod mosquitto;
mod passing;
mod retain;
mod rules;
mod turns;

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU16,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use classpulse_proto::topic::{self, Channel};
use prost::Message as _;
use rmqtt::{
    codec::v5::PublishAckReason,
    context::ServerContext,
    hook::{Handler, HookResult, Parameter, ReturnType, Type},
    net::Builder,
    server::MqttServer,
    session::Session,
    types::{CodecPublish, From, Id, Publish, PublishAclResult, PublishResult, QoS},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::{
    enrolment::Enrolment,
    ingest::{Intake, assemble::Outcome},
    observe::Metrics,
    tasks,
    tls::Certificate,
};
use attempts::Attempts;
use door::Inside;
use front::Front;
use passing::Passing;
use turns::Turns;

/// Largest MQTT packet. Well above the largest report, so that a report that is too large lands in quarantine.
const MAX_PACKET: u32 = 256 * 1024;

/// Most terminals that may be connected at once: a county's 20,000 and some room.
const MAX_SESSIONS: isize = 25_000;

/// Messages that may wait for one terminal: acknowledgements only, which may be lost without harm.
const MAX_QUEUE: usize = 1_000;

/// How long a report may wait for its room in ingest, and then for its commit, before the terminal is told to come
/// again. Well below half of what clients wait for the answer to a ping: meanwhile the connection answers nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the library listens: for `front` alone.
const INSIDE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How long the library may take over a login that `front` has passed on.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// Numbers that a client may use for topics: a terminal's report has one, which spares it 40 bytes a minute.
const MAX_ALIASES: u16 = 4;

/// MQTT 3.1.1's protocol level: it can't refuse a publish other than by ending the connection.
const MQTT_3: u8 = 4;

/// Publishes that a terminal may have unanswered; each is answered after its commit.
const MAX_INFLIGHT: NonZeroU16 = NonZeroU16::new(64).unwrap();

/// Why the broker could not start.
#[derive(Debug, thiserror::Error)]
#[error("the broker can't listen on {address}")]
pub struct BrokerError {
    address: SocketAddr,
    #[source]
    source: rmqtt::Error,
}

/// A broker that listens.
pub struct Broker {
    address: SocketAddr,
    server: MqttServer,
    front: Front,
    gate: Gate,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// Listens on an address (port 0 for any), with TLS where it is given, reports going to `intake`.
    /// Once `draining` is cancelled, publishes are refused, so that terminals keep what they have.
    ///
    /// # Errors
    /// [`BrokerError`] where the address is taken or not ours.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<&Arc<Certificate>>,
        intake: Intake,
        enrolment: Arc<Enrolment>,
        metrics: Arc<Metrics>,
        draining: CancellationToken,
    ) -> Result<Self, BrokerError> {
        let failed = |source| BrokerError { address, source };
        let secured = match tls {
            None => None,
            Some(tls) => Some(tls.server(&[]).map_err(|error| failed(error.into()))?),
        };
        let context = ServerContext::new()
            .mqtt_max_sessions(MAX_SESSIONS)
            .busy_check_enable(false)
            .build()
            .await;
        let gate = Gate {
            context: context.clone(),
            intake,
            enrolment,
            metrics,
            draining,
            turns: Turns::default(),
            passing: Passing::default(),
            inside: Inside::default(),
            attempts: Attempts::default(),
        };
        *context.extends.retain_mut().await = Box::new(retain::Latest::default());
        let hooks = context.extends.hook_mgr().register();
        for kind in [
            Type::ClientAuthenticate,
            Type::ClientDisconnected,
            Type::ClientSubscribeCheckAcl,
            Type::MessagePublishCheckAcl,
        ] {
            hooks.add(kind, Box::new(gate.clone())).await;
        }
        hooks.start().await;
        let listener = Builder::new()
            .name("terminals")
            .laddr(INSIDE)
            .proxy_protocol(true)
            .nodelay(true)
            .allow_anonymous(false)
            .max_packet_size(MAX_PACKET)
            .max_clientid_len(topic::MAX_TERMINAL)
            .max_mqueue_len(MAX_QUEUE)
            .max_inflight(MAX_INFLIGHT)
            .max_handshaking_limit(25_000)
            .handshake_timeout(HANDSHAKE)
            .max_topic_aliases(MAX_ALIASES)
            .max_qos_allowed(QoS::AtLeastOnce)
            .message_expiry_interval(Duration::ZERO)
            .session_expiry_interval(Duration::ZERO)
            .backlog(4_096)
            .bind()
            .and_then(rmqtt::net::Listener::tcp)
            .map_err(failed)?;
        let inside = listener.local_addr().map_err(failed)?;
        let (address, front) =
            front::bind(address, secured, inside).map_err(|error| failed(error.into()))?;
        let server = MqttServer::new(context).listener_by_id(listener, 1).build();
        info!(%address, tls = tls.is_some(), "the broker listens");
        Ok(Self {
            address,
            server,
            front,
            gate,
        })
    }

    /// Where terminals connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until dropped: the library has no other end.
    pub async fn run(self) {
        tokio::select! {
            ended = self.server.run() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "the broker ended");
                }
            }
            () = self.front.run() => {}
            () = self.gate.watch() => {}
        }
    }
}

/// Who may do what, and the way of a report from the broker into ingest.
#[derive(Clone)]
struct Gate {
    context: ServerContext,
    intake: Intake,
    enrolment: Arc<Enrolment>,
    metrics: Arc<Metrics>,
    draining: CancellationToken,
    turns: Turns,
    passing: Passing,
    inside: Inside,
    attempts: Attempts,
}

#[expect(
    elided_lifetimes_in_paths,
    reason = "the library's trait is written so"
)]
#[async_trait]
impl Handler for Gate {
    async fn hook(&self, parameter: &Parameter, before: Option<HookResult>) -> ReturnType {
        match parameter {
            Parameter::ClientAuthenticate(info) => {
                (false, Some(HookResult::AuthResult(self.log_in(info).await)))
            }
            Parameter::ClientSubscribeCheckAcl(session, subscribe) => (
                false,
                Some(HookResult::SubscribeAclResult(
                    self.subscribe(session, subscribe),
                )),
            ),
            Parameter::MessagePublishCheckAcl(session, publish) => (
                false,
                Some(HookResult::PublishAclResult(
                    self.publish(session, publish).await,
                )),
            ),
            Parameter::ClientDisconnected(session, _) => {
                self.inside.leave(&session.id);
                (true, before)
            }
            _ => (true, before),
        }
    }
}

impl Gate {
    async fn publish(&self, session: &Session, publish: &Publish) -> PublishAclResult {
        let (client, topic): (&str, &str) = (&session.id.client_id, &publish.topic);
        let passes = topic::is_passing(client);
        if !passes && !self.may_speak(&session.id) {
            self.metrics.broker_refusal();
            info!(client, "publish refused: its key no longer holds");
            return send_away("your key no longer holds");
        }
        let own = topic::parse(topic).filter(|_| rules::may_publish(client, topic));
        match own {
            Some((name, Channel::Enrol)) if !publish.retain => {
                self.enrol(session, name, &publish.payload).await
            }
            Some((_, Channel::State)) => PublishAclResult::allow(),
            Some((name, Channel::Report)) => {
                let terminal = name.to_owned();
                self.report(session, terminal, publish.payload.clone())
                    .await
            }
            _ => {
                self.metrics.broker_refusal();
                info!(
                    client,
                    topic, "publish refused: a terminal speaks only for itself"
                );
                if !passes {
                    self.put_on_record(client, topic, &publish.payload).await;
                }
                refuse(PublishAckReason::NotAuthorized, "not your topic")
            }
        }
    }

    /// Answers a machine that wants to be a terminal. One that does not listen is not heard: its answer can't come again.
    async fn enrol(&self, session: &Session, name: &str, payload: &[u8]) -> PublishAclResult {
        if !self.listens(&session.id).await {
            return refuse(PublishAckReason::NotAuthorized, "subscribe first");
        }
        let Some((password, pause)) = self.passing.ask(name) else {
            self.metrics.broker_refusal();
            return send_away("too many requests over one connection");
        };
        tokio::time::sleep(pause).await;
        let answer = if self.draining.is_cancelled() {
            self.enrolment.busy()
        } else {
            self.enrolment.answer(name, Some(&password), payload).await
        };
        let topic = topic::of(name, Channel::Enrolled);
        self.tell(&session.id, topic, answer.encode_to_vec()).await;
        taken()
    }

    /// Waits for the commit, sends the acknowledgement, and only then lets the broker answer.
    async fn report(
        &self,
        session: &Session,
        terminal: String,
        payload: Bytes,
    ) -> PublishAclResult {
        if self.draining.is_cancelled() {
            return send_away("the service is stopping");
        }
        let Some(turn) = self.turns.take(&terminal) else {
            return self.come_again(session).await;
        };
        let room = self.intake.room(payload.len());
        let Ok(room) = tokio::time::timeout(PATIENCE, room).await else {
            return self.come_again(session).await;
        };
        let (gate, to) = (self.clone(), session.id.clone());
        let mut taking = Box::pin(async move {
            let accepted = match room {
                Ok(room) => gate.intake.accept_in(room, Some(terminal), payload).await,
                Err(closed) => Err(closed),
            };
            drop(turn);
            match accepted {
                Ok(outcome) => gate.acknowledge(&to, outcome).await,
                Err(error) => {
                    debug!(%error, "a report was not taken");
                    return false;
                }
            }
            true
        });
        match tokio::time::timeout(PATIENCE, &mut taking).await {
            Ok(true) => taken(),
            Ok(false) => send_away("the service is stopping"),
            Err(_elapsed) => {
                // It stands in the queue and is acknowledged to the terminal once it is committed.
                drop(tasks::start("late report", async move {
                    taking.await;
                }));
                self.come_again(session).await
            }
        }
    }

    /// Ingest is full or slow: the terminal keeps what it has and reports again.
    async fn come_again(&self, session: &Session) -> PublishAclResult {
        const WHY: &str = "the service is busy, report again later";
        self.metrics.busy();
        debug!(client = %session.id.client_id, "a report was told to come again");
        match session.protocol().await {
            Ok(version) if version > MQTT_3 => refuse(PublishAckReason::QuotaExceeded, WHY),
            _ => send_away(WHY),
        }
    }

    async fn acknowledge(&self, to: &Id, outcome: Outcome) {
        if let (Some(terminal), Some(mut ack)) = (outcome.terminal, outcome.ack) {
            ack.renew_key = self.enrolment.wants_new_key(terminal.as_str());
            let topic = topic::of(terminal.as_str(), Channel::Ack);
            self.tell(to, topic, ack.encode_to_vec()).await;
        }
    }

    /// Whether a client has subscribed: it can have to nothing but what it is answered on.
    async fn listens(&self, client: &Id) -> bool {
        let entry = self.context.extends.shared().await.entry(client.clone());
        let subscriptions = match entry.session() {
            Some(session) => session.subscriptions().await.ok(),
            None => None,
        };
        match subscriptions {
            Some(subscriptions) => !subscriptions.is_empty().await,
            None => false,
        }
    }

    /// Straight to a client's connection (the one it has now), without a search through all subscriptions.
    async fn tell(&self, to: &Id, topic: String, payload: Vec<u8>) {
        if !self.listens(to).await {
            return;
        }
        let entry = self.context.extends.shared().await.entry(to.clone());
        let publish = CodecPublish {
            dup: false,
            retain: false,
            // A session ends with its connection, so that a higher QoS could not bring it over a new one either.
            qos: QoS::AtMostOnce,
            topic: topic.into(),
            packet_id: None,
            payload: payload.into(),
            properties: Some(rmqtt::codec::v5::PublishProperties::default()),
        };
        let from = From::from_system(to.clone());
        if let Err((_, _, error)) = entry.publish(from, publish.into()).await {
            // Harmless: the terminal reports again.
            debug!(client = %to.client_id, %error, "an answer was lost");
        }
    }
}

/// A report that is safe. MQTT's word for "accepted, and nobody else gets it" spares the search for subscribers;
/// below 0x80 it is a success to every client, and a client of MQTT 3.1.1 sees no code at all.
fn taken() -> PublishAclResult {
    let code = PublishAckReason::NoMatchingSubscribers;
    PublishAclResult(PublishResult::reason_code(code, None, false))
}

/// Refuses a publish; the terminal stays connected.
fn refuse(code: PublishAckReason, why: &'static str) -> PublishAclResult {
    PublishAclResult(PublishResult::reason_code(code, Some(why.into()), false))
}

/// Refuses a publish and ends the connection, so that the terminal looks for a service that takes reports.
fn send_away(why: &'static str) -> PublishAclResult {
    let code = PublishAckReason::ImplementationSpecificError;
    PublishAclResult(PublishResult::reason_code(code, Some(why.into()), true))
}
