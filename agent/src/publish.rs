//! The driver: ties the core to sensing, a journal and an MQTT connection, until told to stop.
//!
//! Not responsible for any decision about sessions or reports (`core`).

use std::time::Duration;

use classpulse_proto::{
    topic::{self, Channel},
    v1::{Ack, State},
};
use prost::Message as _;
use rand::{RngExt as _, SeedableRng as _};
use rumqttc::v5::{
    AsyncClient, Event, EventLoop, MqttOptions,
    mqttbytes::{
        QoS,
        v5::{LastWill, Packet},
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior},
};
use tracing::{debug, error, info, warn};

use crate::{
    clock::Clock,
    core::{Core, CoreEvent, Now, Seen},
    journal::JournalStore,
    sense::Sense,
};

/// Requests that may wait for the connection; reports in flight are bounded by the core.
const REQUESTS: usize = 64;
/// Publishes without the broker's answer. The client reserves room for all it may have: by default 13 MB.
const INFLIGHT: u16 = 32;
/// Connection events that may wait for the driver.
const EVENTS: usize = 64;
/// Largest packet either way.
const MAX_PACKET: u32 = 64 * 1024;
/// First and longest pause before connecting again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// A connection that held so long was a good one: the next loss begins with the first pause again. Two machines under
/// one identity throw each other out, and must not do it at full speed.
const GOOD: Duration = Duration::from_mins(1);
/// How long a stop waits for its last reports' acknowledgements, and then for the connection's orderly end.
const LAST_WORDS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(500));
/// Looks at the machine are never nearer together.
const SHORTEST_TICK: Duration = Duration::from_secs(1);

/// How to connect, and how often to look.
#[derive(Debug, Clone)]
pub struct Options {
    /// Host name or address of the broker.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The terminal's id: client id and user name.
    pub terminal: String,
    /// Between two looks at the machine; at least a second.
    pub tick: Duration,
    /// At most so long before the first connection, so that a school's terminals don't come all at once.
    pub jitter: Duration,
    /// Seeds the jitter.
    pub seed: u64,
}

enum Link {
    Up,
    Down(String),
    Ack(Ack),
}

/// Runs until `stop` says true (or its sender is gone). Every session of this boot is returned for the log.
///
/// `progress` is told how many sessions wait for an acknowledgement whenever that changes.
pub async fn run(
    options: Options,
    mut core: Core,
    mut sense: impl Sense,
    mut clock: impl Clock,
    mut journal: impl JournalStore,
    mut stop: watch::Receiver<bool>,
    progress: watch::Sender<usize>,
) -> Vec<Seen> {
    let (client, events) = connect(&options);
    let (links, mut link) = mpsc::channel(EVENTS);
    let mut random = rand::rngs::StdRng::seed_from_u64(options.seed);
    let poll = spawn(poll(
        events,
        links,
        options.jitter.mul_f64(random.random_range(0.0..1.0)),
        random,
    ));
    let mut driver = Driver {
        core: &mut core,
        client: &client,
        terminal: &options.terminal,
        link: LinkState::Down,
        saved: true,
    };
    let mut ticks = tokio::time::interval(options.tick.max(SHORTEST_TICK));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let now = clock.now();
                driver.core.observe(now, sense.observe(now.mono_ms, now.wall_ms));
            }
            event = link.recv() => if let Some(event) = event {
                driver.handle(clock.now(), event);
            } else {
                error!("the connection's task has ended by itself");
                break;
            },
            () = told(&mut stop) => break,
        }
        let now = clock.now();
        // What is said must be known to the journal: a restart goes on from there.
        driver.save(now, &mut journal, false);
        driver.greet(now);
        driver.send(now);
        driver.log();
        let waits = driver.core.waiting();
        progress.send_if_modified(|waiting| std::mem::replace(waiting, waits) != waits);
    }
    driver
        .last_words(&mut clock, &mut sense, &mut journal, &mut link)
        .await;
    poll.abort();
    core.sessions()
}

/// Waits until told to stop; a sender that has gone means the same.
async fn told(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// The one place where a task is started: the event loop must be polled without being cancelled.
#[expect(
    clippy::disallowed_methods,
    reason = "the driver's one task, ended by the driver"
)]
fn spawn(work: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(work)
}

fn connect(options: &Options) -> (AsyncClient, EventLoop) {
    let mut mqtt = MqttOptions::new(&options.terminal, &options.host, options.port);
    mqtt.set_credentials(&options.terminal, "");
    mqtt.set_keep_alive(Duration::from_mins(1));
    mqtt.set_clean_start(true);
    mqtt.set_max_packet_size(Some(MAX_PACKET));
    mqtt.set_outgoing_inflight_upper_limit(INFLIGHT);
    let state = topic::of(&options.terminal, Channel::State);
    mqtt.set_last_will(LastWill::new(
        state,
        state_message(false, 0),
        QoS::AtLeastOnce,
        true,
        None,
    ));
    AsyncClient::new(mqtt, REQUESTS)
}

fn state_message(online: bool, since: i64) -> Vec<u8> {
    State { online, since }.encode_to_vec()
}

async fn poll(
    mut events: EventLoop,
    links: mpsc::Sender<Link>,
    first: Duration,
    mut random: rand::rngs::StdRng,
) {
    tokio::time::sleep(first).await;
    let mut pause = RETRY.0;
    let mut up_since: Option<Instant> = None;
    loop {
        let link = match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                up_since = Some(Instant::now());
                Link::Up
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => match Ack::decode(publish.payload) {
                Ok(ack) => Link::Ack(ack),
                Err(foreign) => {
                    debug!(%foreign, "an acknowledgement can't be read");
                    continue;
                }
            },
            Ok(_) => continue,
            Err(error) => {
                // Reports repeat themselves; nothing of the old connection needs to be said again.
                events.state.events.clear();
                events.state.collision = None;
                events.pending.clear();
                Link::Down(error.to_string())
            }
        };
        let down = matches!(link, Link::Down(_));
        if links.send(link).await.is_err() {
            return;
        }
        if down {
            if up_since.take().is_some_and(|since| since.elapsed() >= GOOD) {
                pause = RETRY.0;
            }
            tokio::time::sleep(pause.mul_f64(random.random_range(0.0..1.0))).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }
}

/// What the driver knows of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Down,
    /// Connected; the subscription and the terminal's state are still to be said.
    New,
    Up,
}

struct Driver<'a> {
    core: &'a mut Core,
    client: &'a AsyncClient,
    terminal: &'a str,
    link: LinkState,
    /// Whether the last write of the journal went well.
    saved: bool,
}

impl Driver<'_> {
    fn handle(&mut self, now: Now, link: Link) {
        match link {
            Link::Up => {
                info!("connected");
                self.link = LinkState::New;
            }
            Link::Down(why) => {
                warn!(why, "no connection; trying again");
                self.link = LinkState::Down;
                self.core.disconnected(now);
            }
            Link::Ack(ack) => {
                debug!(sequences = ?ack.sequences, "acknowledged");
                self.core.acknowledged(now, &ack);
            }
        }
    }

    /// Asks for acknowledgements and says that the terminal is here, before any report. Where the connection's queue
    /// is full, with the next tick.
    fn greet(&mut self, now: Now) {
        if self.link != LinkState::New {
            return;
        }
        let ack = topic::of(self.terminal, Channel::Ack);
        let subscribed = self.client.try_subscribe(ack, QoS::AtLeastOnce).is_ok();
        if subscribed && self.say_state(true, now) {
            self.link = LinkState::Up;
            self.core.connected(now);
        } else {
            debug!("the connection's queue is full; the terminal is announced later");
        }
    }

    /// Queues the terminal's state; false where the connection's queue is full.
    fn say_state(&self, online: bool, now: Now) -> bool {
        let state = topic::of(self.terminal, Channel::State);
        let message = state_message(online, now.wall_ms.div_euclid(1_000));
        self.client
            .try_publish(state, QoS::AtLeastOnce, true, message)
            .is_ok()
    }

    fn send(&mut self, now: Now) {
        while let Some(report) = self.core.poll(now) {
            let topic = topic::of(self.terminal, Channel::Report);
            let payload = report.encode_to_vec();
            if let Err(error) = self
                .client
                .try_publish(topic, QoS::AtLeastOnce, false, payload)
            {
                // It is said again with the next heartbeat.
                debug!(%error, "a report could not be queued");
                return;
            }
        }
    }

    fn save(&mut self, now: Now, journal: &mut impl JournalStore, at_once: bool) {
        let state = if at_once {
            Some(self.core.flush(now))
        } else {
            self.core.journal_due(now)
        };
        let Some(state) = state else { return };
        match journal.save(&state) {
            Ok(()) if !self.saved => {
                info!("the journal is written again");
                self.saved = true;
            }
            Err(error) if self.saved => {
                warn!(%error, "the journal can't be written; sessions are kept in memory only");
                self.saved = false;
            }
            _ => {}
        }
    }

    fn log(&mut self) {
        for event in self.core.take_events() {
            match event {
                CoreEvent::Opened(seen) => {
                    info!(kind = ?seen.kind, number = seen.number, start = seen.start, "session opened");
                }
                CoreEvent::Closed(seen) => info!(
                    kind = ?seen.kind, number = seen.number, start = seen.start, end = seen.end,
                    minutes = (seen.end - seen.start) / 60, "session closed"
                ),
                CoreEvent::ClockSynced(off_ms) => info!(off_ms, "the clock can be trusted"),
            }
        }
    }

    /// A last look, a last report, and a short wait for its acknowledgement.
    ///
    /// Sessions stay open: an agent that starts again in this boot goes on with them, and a later boot ends them.
    async fn last_words(
        mut self,
        clock: &mut impl Clock,
        sense: &mut impl Sense,
        journal: &mut impl JournalStore,
        link: &mut mpsc::Receiver<Link>,
    ) {
        let now = clock.now();
        self.core
            .observe(now, sense.observe(now.mono_ms, now.wall_ms));
        self.core.report_now();
        self.save(now, journal, true);
        self.send(now);
        let heard = async {
            while self.link == LinkState::Up && self.core.in_flight(clock.now()) > 0 {
                let Some(event) = link.recv().await else {
                    break;
                };
                self.handle(clock.now(), event);
            }
        };
        if tokio::time::timeout(LAST_WORDS.0, heard).await.is_err() {
            debug!("stopped without a last acknowledgement; the journal keeps what was not heard");
        }
        self.save(clock.now(), journal, true);
        self.log();
        if self.link == LinkState::Up {
            self.say_goodbye(clock.now(), link).await;
        }
    }

    /// Says that the terminal is gone, and waits until the connection has carried it.
    async fn say_goodbye(&mut self, now: Now, link: &mut mpsc::Receiver<Link>) {
        if !(self.say_state(false, now) && self.client.try_disconnect().is_ok()) {
            debug!("gone without a word; the Last Will speaks");
            return;
        }
        let gone = async {
            while let Some(event) = link.recv().await {
                if matches!(event, Link::Down(_)) {
                    break;
                }
            }
        };
        if tokio::time::timeout(LAST_WORDS.1, gone).await.is_err() {
            debug!("the broker did not end the connection in time");
        }
    }
}
