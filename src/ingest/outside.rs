//! Reports from an outside broker (Mosquitto, EMQX …): a rumqttc client with acknowledgements by hand.
//!
//! A publish is acknowledged to the broker only after its commit; what is unacknowledged at a crash comes again.
//! All of rumqttc stands in this file, so that it can be swapped. Not responsible for judging reports.

use std::time::Duration;

use classpulse_proto::topic::{self, Channel};
use futures::{StreamExt as _, stream::FuturesUnordered};
use prost::Message as _;
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions,
    mqttbytes::{
        QoS,
        v5::{Packet, Publish},
    },
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{Intake, IntakeError, assemble::Outcome, decode::MAX_REPORT_BYTES};
use crate::tasks;

/// Reports that the broker may have handed over without our acknowledgement (MQTT 5's Receive Maximum).
pub const RECEIVE_MAXIMUM: u16 = 10_000;

/// Requests (acknowledgements, Acks) that may wait for the connection.
const REQUESTS: usize = 2 * RECEIVE_MAXIMUM as usize;

/// First and longest pause before connecting again.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Which broker, and as whom.
#[derive(Debug, Clone)]
pub struct Outside {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Client id: the same one after a restart finds the same session, and what it held back.
    pub client_id: String,
    /// User name and password.
    pub login: Option<(String, String)>,
    /// Whether several aggregators share the reports.
    pub shared: bool,
}

/// A report and the connection it came over: an acknowledgement belongs to its own connection only.
struct Arrived {
    epoch: u64,
    publish: Publish,
}

/// Reads reports until `stop`, then finishes those in hand and leaves the session to the broker.
pub async fn run(outside: Outside, intake: Intake, stop: CancellationToken) {
    let mut options = MqttOptions::new(
        outside.client_id.clone(),
        outside.host.clone(),
        outside.port,
    );
    options.set_keep_alive(Duration::from_secs(30));
    options.set_clean_start(false);
    options.set_session_expiry_interval(Some(24 * 3_600));
    options.set_receive_maximum(Some(RECEIVE_MAXIMUM));
    options.set_max_packet_size(u32::try_from(4 * MAX_REPORT_BYTES).ok());
    options.set_manual_acks(true);
    options.set_outgoing_inflight_upper_limit(RECEIVE_MAXIMUM);
    if let Some((user, password)) = &outside.login {
        options.set_credentials(user, password);
    }
    let (client, events) = AsyncClient::new(options, REQUESTS);
    let (arrivals, arrived) = mpsc::channel(usize::from(RECEIVE_MAXIMUM));
    let (epochs, epoch) = tokio::sync::watch::channel(0);
    let polling = Polling {
        events,
        client: client.clone(),
        arrivals,
        epochs,
        stop: stop.clone(),
        shared: outside.shared,
    };
    let poll = tasks::start("outside broker", polling.run());
    work(arrived, &client, &intake, &epoch).await;
    poll.finish(Duration::from_secs(3)).await;
}

/// Polls the connection in a task of its own: polling is not documented as safe to cancel.
struct Polling {
    events: EventLoop,
    client: AsyncClient,
    arrivals: mpsc::Sender<Arrived>,
    epochs: tokio::sync::watch::Sender<u64>,
    stop: CancellationToken,
    shared: bool,
}

impl Polling {
    async fn run(self) {
        let Self {
            mut events,
            client,
            arrivals,
            epochs,
            stop,
            shared,
        } = self;
        let stopper = {
            let client = client.clone();
            let stop = stop.clone();
            tasks::start("outside broker's end", async move {
                stop.cancelled().await;
                drop(client.disconnect().await);
            })
        };
        let mut pause = RETRY.0;
        let mut held = None;
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    info!("connected to the outside broker");
                    pause = RETRY.0;
                    held = Some(*epochs.borrow());
                    let filter = if shared {
                        topic::SHARED_REPORTS
                    } else {
                        topic::ALL_REPORTS
                    };
                    if let Err(error) = client.try_subscribe(filter, QoS::AtLeastOnce) {
                        warn!(%error, "could not subscribe");
                    }
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    let epoch = held.unwrap_or_default();
                    if arrivals.send(Arrived { epoch, publish }).await.is_err() {
                        break;
                    }
                }
                Ok(Event::Incoming(Packet::Disconnect(_))) if stop.is_cancelled() => break,
                Ok(_) => {}
                Err(error) => {
                    if stop.is_cancelled() {
                        break;
                    }
                    // What was read before the failure belongs to a connection that is gone; the broker sends it again.
                    events.state.events.clear();
                    events.pending.clear();
                    epochs.send_modify(|epoch| *epoch += 1);
                    report(&error, pause);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = stop.cancelled() => break,
                    }
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
        stopper.stop();
    }
}

fn report(error: &ConnectionError, pause: Duration) {
    warn!(%error, ?pause, "no connection to the outside broker; trying again");
}

/// Hands arrivals to ingest, as many at once as the broker may have unacknowledged, and answers after each commit.
async fn work(
    mut arrived: mpsc::Receiver<Arrived>,
    client: &AsyncClient,
    intake: &Intake,
    epoch: &tokio::sync::watch::Receiver<u64>,
) {
    let mut in_hand = FuturesUnordered::new();
    let mut open = true;
    while open || !in_hand.is_empty() {
        tokio::select! {
            next = arrived.recv(), if open && in_hand.len() < usize::from(RECEIVE_MAXIMUM) => match next {
                Some(next) => in_hand.push(accept(intake, next)),
                None => open = false,
            },
            Some((arrived, outcome)) = in_hand.next() => {
                let epoch = *epoch.borrow();
                answer(client, arrived, outcome, epoch).await;
            }
        }
    }
}

async fn accept(intake: &Intake, arrived: Arrived) -> (Arrived, Result<Outcome, IntakeError>) {
    let terminal = std::str::from_utf8(&arrived.publish.topic)
        .ok()
        .and_then(topic::parse);
    let terminal = terminal
        .filter(|(_, channel)| *channel == Channel::Report)
        .map(|(name, _)| name.to_owned());
    let outcome = intake
        .accept(terminal, arrived.publish.payload.clone())
        .await;
    (arrived, outcome)
}

async fn answer(
    client: &AsyncClient,
    arrived: Arrived,
    outcome: Result<Outcome, IntakeError>,
    epoch: u64,
) {
    let Ok(outcome) = outcome else { return };
    if let (Some(terminal), Some(ack)) = (&outcome.terminal, &outcome.ack) {
        let topic = topic::of(terminal.as_str(), Channel::Ack);
        if let Err(error) = client.try_publish(topic, QoS::AtLeastOnce, false, ack.encode_to_vec())
        {
            // Harmless: the terminal reports again.
            debug!(%terminal, %error, "an acknowledgement was lost");
        }
    }
    if arrived.epoch == epoch && client.try_ack(&arrived.publish).is_err() {
        // The request queue holds twice what may be unacknowledged, so this is a moment's crowding.
        drop(client.ack(&arrived.publish).await);
    }
}
