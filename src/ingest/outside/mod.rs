//! Reports from an outside broker (Mosquitto, EMQX, RMQTT …), acknowledged by hand; and requests for enrolment, answered.
//!
//! A message is acknowledged to the broker only after its commit; what is unacknowledged at a crash comes again, and
//! what the broker itself forgets the terminals repeat. All of rumqttc stands in this folder, behind `link`'s seam.
//! Not responsible for judging reports.

mod link;
mod v4;
mod v5;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use classpulse_proto::topic::{self, Channel};
use futures::{StreamExt as _, stream::FuturesUnordered};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use self::link::{Client, Connection, Heard, Message};
use super::{Intake, IntakeError, assemble::Outcome, decode::MAX_REPORT_BYTES, pipeline::Room};
use crate::{enrolment::Enrolment, observe::Metrics, tasks};

/// Reports that the broker may have handed over without our acknowledgement (MQTT 5's Receive Maximum). In MQTT 3.1.1
/// the broker's own window holds.
pub const RECEIVE_MAXIMUM: u16 = 10_000;

/// Messages that no broker can exceed without our acknowledgement: each has a packet id of its own.
const UNANSWERED: usize = u16::MAX as usize;

/// Acknowledgements, of both kinds, that may wait for the connection.
const REQUESTS: usize = 2 * UNANSWERED;

/// Requests for enrolment that wait to be answered; what finds no room the machine asks again. And the answers that the
/// broker may have without its word.
const ENROLMENTS: usize = 64;

/// See [`ENROLMENTS`].
const ANSWERS: u16 = 64;

/// Largest packet that an MQTT 5 broker may send: as in the embedded broker, well above the largest report.
const MAX_PACKET: usize = 4 * MAX_REPORT_BYTES;

/// How often a silent connection is tried.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long an MQTT 5 broker keeps reports for an aggregator that is away.
const SESSION_ALONE: Duration = Duration::from_hours(24);

/// The same where others share the reports: brokers go on dealing an absent one its share, which the terminals must
/// then report again. Long enough for a restart. In MQTT 3.1.1 the session ends with the connection instead.
const SESSION_SHARED: Duration = Duration::from_secs(30);

/// First and longest pause before connecting again.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// A connection that held so long was a good one: after it, the pauses begin with the first again.
const GOOD: Duration = Duration::from_secs(10);

/// How often it is asked which keys changed.
const KEYS: Duration = Duration::from_secs(5);

/// How often acknowledgements that found no room are tried again.
const AGAIN: Duration = Duration::from_millis(10);

/// Which version of MQTT to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// MQTT 5: the broker is told how much we take.
    V5,
    /// MQTT 3.1.1, for brokers that know no other.
    V3,
}

/// Which broker, and as whom.
#[derive(Clone)]
pub struct Outside {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The version of MQTT.
    pub version: Version,
    /// Client id: the same one after a restart finds the same session, and what it held back.
    pub client_id: String,
    /// User name and password.
    pub login: Option<(String, String)>,
    /// Encrypts the connection and checks who answers.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Whether several aggregators share the reports.
    pub shared: bool,
    /// Whether the broker keeps each report until we acknowledge it (QoS 1). Without, it spends less on each and may
    /// drop some when we are slow or away; terminals say again what was not acknowledged.
    pub keep: bool,
}

/// Without the password.
impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("user", &self.login.as_ref().map(|(user, _)| user))
            .field("tls", &self.tls.is_some())
            .field("shared", &self.shared)
            .field("keep", &self.keep)
            .finish()
    }
}

/// Reads reports until `stop`, then finishes those in hand and leaves the session to the broker.
pub async fn run(
    outside: Outside,
    intake: Intake,
    enrolment: Arc<Enrolment>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    match outside.version {
        Version::V5 => {
            let (client, link) = v5::connect(&outside);
            read(outside, client, link, intake, enrolment, metrics, stop).await;
        }
        Version::V3 => {
            let (client, link) = v4::connect(&outside);
            read(outside, client, link, intake, enrolment, metrics, stop).await;
        }
    }
}

async fn read<C: Connection>(
    outside: Outside,
    client: C::Client,
    link: C,
    intake: Intake,
    enrolment: Arc<Enrolment>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let (arrivals, arrived) = mpsc::channel(UNANSWERED);
    let (requests, requested) = mpsc::channel(ENROLMENTS);
    let refreshing = tasks::start("keys", keep_fresh(enrolment.clone()));
    let answering = enrol(requested, client.clone(), enrolment.clone());
    let answering = tasks::start("enrolments", answering);
    let epoch = Epoch::default();
    let polling = Polling {
        link,
        client: client.clone(),
        intake: intake.clone(),
        arrivals,
        requests,
        epoch: epoch.clone(),
        metrics,
        stop,
        outside,
    };
    let poll = tasks::start("outside broker", polling.run());
    work(arrived, &client, &intake, &enrolment, &epoch).await;
    refreshing.stop();
    poll.finish(Duration::from_secs(3)).await;
    answering.finish(Duration::from_secs(1)).await;
}

/// Which connection this is: an acknowledgement belongs to its own only. Held while one is queued, so that none slips
/// from a connection that is gone into the next.
#[derive(Debug, Clone, Default)]
struct Epoch(Arc<Mutex<u64>>);

impl Epoch {
    /// A number is whole at any moment.
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A report, the connection it came over, and its room in the intake.
struct Arrived<P> {
    epoch: u64,
    message: Message<P>,
    room: Room,
}

/// Polls the connection in a task of its own: polling is not documented as safe to cancel.
struct Polling<C: Connection> {
    link: C,
    client: C::Client,
    intake: Intake,
    arrivals: mpsc::Sender<Arrived<<C::Client as Client>::Publish>>,
    /// Passing names and what they ask.
    requests: mpsc::Sender<(String, Bytes)>,
    epoch: Epoch,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    outside: Outside,
}

impl<C: Connection> Polling<C> {
    async fn run(mut self) {
        let stopper = {
            let (client, stop) = (self.client.clone(), self.stop.clone());
            let filters = self.filters();
            let shared = self.outside.shared;
            tasks::start("outside broker's end", async move {
                stop.cancelled().await;
                // The others take it all from now on.
                client.leave(if shared { filters } else { &[] }).await;
            })
        };
        let mut pause = RETRY.0;
        let mut since: Option<tokio::time::Instant> = None;
        loop {
            match self.link.next().await {
                Ok(Heard::Connected { resumed }) => {
                    since = Some(tokio::time::Instant::now());
                    self.connected(resumed);
                }
                Ok(Heard::Message(message)) => {
                    if !self.arrived(message).await {
                        break;
                    }
                }
                Ok(Heard::NotSubscribed(why)) => {
                    error!(
                        why,
                        "the outside broker refuses a subscription: no report, or no request for enrolment, can come; \
                         check its access list"
                    );
                }
                Ok(Heard::Nothing) => {}
                Err(why) => {
                    let held = since.take();
                    self.lost();
                    if self.stop.is_cancelled() {
                        break;
                    }
                    if held.is_some_and(|since| since.elapsed() >= GOOD) {
                        pause = RETRY.0;
                    }
                    warn!(
                        host = self.outside.host,
                        port = self.outside.port,
                        why,
                        ?pause,
                        "no connection to the outside broker; trying again"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.stop.cancelled() => break,
                    }
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
        self.metrics.broker_connected(false);
        stopper.stop();
    }

    /// Subscribes on every connection: a broker that forgot our session forgot the subscription too, and one that did
    /// not is asked for what it does already.
    fn connected(&self, resumed: bool) {
        info!(
            host = self.outside.host,
            port = self.outside.port,
            resumed,
            "connected to the outside broker"
        );
        self.metrics.broker_connected(true);
        for filter in self.filters() {
            if !self.client.subscribe(filter, self.outside.keep) {
                error!(filter, "no room for the subscription: nothing can come");
            }
        }
    }

    fn filters(&self) -> &'static [&'static str] {
        if self.outside.shared {
            &[topic::SHARED_REPORTS, topic::SHARED_ENROLS]
        } else {
            &[topic::ALL_REPORTS, topic::ALL_ENROLS]
        }
    }

    /// Waits for room, and reads nothing meanwhile: the broker holds the rest. False once nobody listens.
    async fn arrived(&mut self, mut message: Message<<C::Client as Client>::Publish>) -> bool {
        if message.payload.len() > MAX_PACKET {
            // Its beginning tells what it was; it is too large for a report either way.
            warn!(topic = ?message.topic, bytes = message.payload.len(), "a message of no sensible size is cut short");
            message.payload = Bytes::copy_from_slice(&message.payload[..MAX_PACKET]);
        }
        if let Some(name) = passing_name(&message.topic) {
            self.requested(name, message);
            return true;
        }
        let epoch = *self.epoch.lock();
        let Ok(room) = self.intake.room(message.payload.len()).await else {
            return false;
        };
        let arrived = Arrived {
            epoch,
            message,
            room,
        };
        self.arrivals.send(arrived).await.is_ok()
    }

    /// A request for enrolment is acknowledged before it is answered: one that comes again after its answer would give the
    /// machine a new key behind its back. What is lost on the way the machine asks again.
    fn requested(&self, name: String, message: Message<<C::Client as Client>::Publish>) {
        if !self.client.acknowledge(&message.publish) {
            debug!(
                from = name,
                "a request for enrolment waits for its acknowledgement"
            );
        }
        if self.requests.try_send((name, message.payload)).is_err() {
            debug!("too many requests for enrolment; the machine asks again");
        }
    }

    /// What was read before the loss belongs to a connection that is gone; the broker sends it again.
    fn lost(&mut self) {
        let mut epoch = self.epoch.lock();
        *epoch += 1;
        self.link.forget();
        self.metrics.broker_lost();
    }
}

/// Who asks for enrolment, if a topic says so.
fn passing_name(topic: &[u8]) -> Option<String> {
    let (name, channel) = topic::parse(std::str::from_utf8(topic).ok()?)?;
    (channel == Channel::Enrol && topic::is_passing(name)).then(|| name.to_owned())
}

/// Answers requests for enrolment, one after the other. What a client logged in with only its broker knows.
async fn enrol<K: Client>(
    mut requested: mpsc::Receiver<(String, Bytes)>,
    client: K,
    enrolment: Arc<Enrolment>,
) {
    while let Some((name, payload)) = requested.recv().await {
        let answer = enrolment.answer(&name, None, &payload).await;
        if !client.answer(topic::of(&name, Channel::Enrolled), answer.encode_to_vec()) {
            debug!(to = name, "an answer to an enrolment was lost");
        }
    }
}

/// Learns which keys changed, for as long as it runs.
async fn keep_fresh(enrolment: Arc<Enrolment>) {
    loop {
        enrolment.refresh().await;
        tokio::time::sleep(KEYS).await;
    }
}

/// Hands arrivals to ingest, all at once, and answers each after its commit. Never waits for the connection: the
/// connection may be waiting for room that only these commits make.
async fn work<K: Client>(
    mut arrived: mpsc::Receiver<Arrived<K::Publish>>,
    client: &K,
    intake: &Intake,
    enrolment: &Enrolment,
    epoch: &Epoch,
) {
    let mut in_hand = FuturesUnordered::new();
    let mut owed = VecDeque::new();
    let mut open = true;
    while open || !in_hand.is_empty() {
        tokio::select! {
            next = arrived.recv(), if open => match next {
                Some(next) => in_hand.push(accept(intake, enrolment, next)),
                None => open = false,
            },
            Some((its, publish, outcome)) = in_hand.next() => {
                let Ok(outcome) = outcome else { continue };
                tell(client, enrolment, outcome);
                owed.push_back((its, publish));
                pay(client, &mut owed, epoch);
            }
            () = tokio::time::sleep(AGAIN), if !owed.is_empty() => pay(client, &mut owed, epoch),
        }
    }
}

/// A terminal whose key was revoked is not heard, whether or not its broker knows of it: its report goes nowhere, and it
/// keeps what it has.
async fn accept<P>(
    intake: &Intake,
    enrolment: &Enrolment,
    arrived: Arrived<P>,
) -> (u64, P, Result<Outcome, IntakeError>) {
    let Arrived {
        epoch,
        message,
        room,
    } = arrived;
    let topic = String::from_utf8_lossy(&message.topic);
    let terminal = match topic::parse(&topic) {
        Some((name, Channel::Report)) => name.to_owned(),
        // Not even what it says of itself is believed: nobody but its sender could come to speak on such a topic.
        _ => topic.chars().take(topic::MAX_TERMINAL).collect(),
    };
    if enrolment.is_revoked(&terminal) {
        debug!(terminal, "a report of a revoked terminal is let go");
        return (epoch, message.publish, Ok(Outcome::default()));
    }
    let outcome = intake
        .accept_in(room, Some(terminal), message.payload)
        .await;
    (epoch, message.publish, outcome)
}

/// The terminal's acknowledgement. One that is lost is harmless: the terminal reports again.
fn tell<K: Client>(client: &K, enrolment: &Enrolment, outcome: Outcome) {
    if let (Some(terminal), Some(mut ack)) = (outcome.terminal, outcome.ack) {
        ack.renew_key = enrolment.wants_new_key(terminal.as_str());
        let topic = topic::of(terminal.as_str(), Channel::Ack);
        if !client.tell(topic, ack.encode_to_vec()) {
            debug!(%terminal, "an acknowledgement was lost");
        }
    }
}

/// The broker's acknowledgements, as far as there is room for them. At most as many are owed as packets have ids.
fn pay<K: Client>(client: &K, owed: &mut VecDeque<(u64, K::Publish)>, epoch: &Epoch) {
    let now = epoch.lock();
    while let Some((its, publish)) = owed.front() {
        if *its == *now && !client.acknowledge(publish) {
            return;
        }
        owed.pop_front();
    }
}
