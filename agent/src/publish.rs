//! The driver: ties the core to sensing, a journal and an MQTT connection, until told to stop.
//!
//! Not responsible for any decision about sessions or reports (`core`).

use std::time::Duration;

use classpulse_proto::{
    topic::{self, Channel},
    v1::{Report, SignalKind},
};
use prost::Message as _;
use rand::{RngExt as _, SeedableRng as _};
use rumqttc::v5::{
    AsyncClient,
    mqttbytes::{QoS, v5::PublishProperties},
};
use tokio::{
    sync::{mpsc, watch},
    time::MissedTickBehavior,
};
use tracing::{debug, error, info, warn};

mod past;
mod save_now;

use past::{Past, history_id};
pub use save_now::SaveNow;

use crate::{
    access::Access,
    clock::Clock,
    core::{Core, CoreEvent, Now, Seen},
    journal::JournalStore,
    link::{Enrolment, Line, Link, Login, REPORT_ALIAS, state_message},
    local::StatusBoard,
    sense::Sense,
    status::{Bulletin, Connection},
};

/// Connection events that may wait for the driver.
const EVENTS: usize = 64;
/// How long a stop waits for its last reports' acknowledgements, and then for the connection's orderly end: less than
/// two seconds in all, with the journal's last write. Nobody waits for an agent at the switch.
const LAST_WORDS: (Duration, Duration) = (Duration::from_millis(1_400), Duration::from_millis(300));
/// Looks at the machine are never nearer together.
const SHORTEST_TICK: Duration = Duration::from_secs(1);

/// How to connect, and how often to look.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the server is.
    pub access: Access,
    /// Who speaks; `None` while the machine is no terminal.
    pub login: Option<Login>,
    /// How it becomes one, or again one when its key is refused; `None` where it was named by hand.
    pub enrolment: Option<Enrolment>,
    /// Between two looks at the machine; at least a second.
    pub tick: Duration,
    /// At most so long before the first connection, so that a school's terminals don't come all at once.
    pub jitter: Duration,
    /// Seeds the jitter.
    pub seed: u64,
    /// Where `status` looks.
    pub board: StatusBoard,
    /// The county's civil time minus UTC, seconds, for `status`.
    pub utc_offset_seconds: i64,
    /// Whether power-on times from before the installation are to be read and reported, where that was not done yet.
    pub history: bool,
    /// Asks for the journal to be written at once.
    pub save_now: SaveNow,
    /// What was wrong with the journal and the identity at the start, for `status`.
    pub found: Vec<String>,
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
    let (links, mut events) = mpsc::channel(EVENTS);
    let mut random = rand::rngs::StdRng::seed_from_u64(options.seed);
    let first = options.jitter.mul_f64(random.random_range(0.0..1.0));
    let line = Line {
        access: options.access,
        login: options.login,
        enrolment: options.enrolment,
        links,
        random,
        jitter: options.jitter,
    };
    let line = spawn(line.keep(first));
    let mut driver = Driver {
        core: &mut core,
        speaker: None,
        link: LinkState::Down,
        bulletin: Bulletin::new(clock.now(), options.utc_offset_seconds, options.found),
    };
    let mut past = Past::new(options.history && !driver.core.has_history());
    let mut ticks = tokio::time::interval(options.tick.max(SHORTEST_TICK));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let now = clock.now();
                driver.hear_of_sleep(&options.save_now);
                driver.core.observe(now, sense.observe(now.mono_ms, now.wall_ms));
                driver.note_unseen(now, sense.unseen_seconds());
            }
            event = events.recv() => if let Some(event) = event {
                // Before an answer says any time.
                driver.hear_of_sleep(&options.save_now);
                driver.handle(clock.now(), event);
            } else {
                error!("the connection's task has ended by itself");
                break;
            },
            spans = past.read() => {
                let terminal = driver.speaker.as_ref().map_or("", |speaker| &speaker.terminal);
                let id = history_id(terminal);
                driver.core.take_history(clock.now(), id, &spans);
            }
            () = options.board.wanted() => {
                let now = clock.now();
                options.board.set(driver.bulletin.show(now, driver.core, &sense.sights()));
                continue;
            }
            () = options.save_now.wanted() => {
                let now = clock.now();
                driver.core.observe(now, sense.observe(now.mono_ms, now.wall_ms));
                driver.save(now, &mut journal, true);
                options.save_now.answer();
            }
            () = told(&mut stop) => break,
        }
        let now = clock.now();
        // What is said must be known to the journal: a restart goes on from there.
        driver.save(now, &mut journal, false);
        driver.greet(now);
        driver.send(now);
        driver.log();
        if driver.link == LinkState::Up && driver.core.knows_time() {
            past.begin(now.wall_ms.div_euclid(1_000));
        }
        let waits = driver.core.waiting();
        progress.send_if_modified(|waiting| std::mem::replace(waiting, waits) != waits);
    }
    driver
        .last_words(&mut clock, &mut sense, &mut journal, &mut events)
        .await;
    line.abort();
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

/// What the driver knows of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Down,
    /// Connected; the subscription and the terminal's state are still to be said.
    New,
    Up,
}

/// Through whom to speak, as which terminal.
struct Speaker {
    terminal: String,
    client: AsyncClient,
    /// The broker takes a number for a topic.
    numbers: bool,
    /// It knows the number of the report's topic.
    named: bool,
}

struct Driver<'a> {
    core: &'a mut Core,
    /// Of the last connection.
    speaker: Option<Speaker>,
    link: LinkState,
    bulletin: Bulletin,
}

impl Driver<'_> {
    fn handle(&mut self, now: Now, link: Link) {
        match link {
            Link::Up(terminal, client, numbers) => {
                info!("connected");
                self.bulletin.connection(now, Connection::Up, None);
                self.speaker = Some(Speaker {
                    terminal,
                    client,
                    numbers,
                    named: false,
                });
                self.link = LinkState::New;
            }
            Link::Down(why) => {
                warn!(why, "no connection; trying again");
                self.down(now, Connection::Down, why);
            }
            Link::Impostor(why) => {
                warn!(why, "something else answers in the server's place");
                self.core.note(now, SignalKind::ServerRefused, 0);
                self.down(now, Connection::Impostor, why);
            }
            Link::Denied(why) => {
                warn!(why, "the server refuses this terminal's key");
                self.down(now, Connection::Denied, why);
            }
            Link::NotEnrolled(why) => {
                warn!(why, "this machine is not enrolled; what is recorded waits");
                self.down(now, Connection::NotEnrolled, why);
            }
            Link::Enrolled(identity) => self.bulletin.enrolled(&identity),
            Link::Ack(ack) => {
                debug!(sequences = ?ack.sequences, "acknowledged");
                self.core.acknowledged(now, &ack);
            }
        }
    }

    fn hear_of_sleep(&mut self, save_now: &SaveNow) {
        if save_now.has_woken() {
            self.core.woken();
        }
    }

    fn note_unseen(&mut self, now: Now, seconds: u64) {
        if seconds > 0 {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            self.core.note(now, SignalKind::SessionUnseen, seconds);
        }
    }

    fn down(&mut self, now: Now, connection: Connection, why: String) {
        self.bulletin.connection(now, connection, Some(why));
        self.link = LinkState::Down;
        self.core.disconnected(now);
    }

    /// Asks for acknowledgements and says that the terminal is here, before any report. Where the connection's queue
    /// is full, with the next tick.
    fn greet(&mut self, now: Now) {
        if self.link != LinkState::New {
            return;
        }
        let Some(speaker) = &self.speaker else { return };
        if speaker.ask_for_answers() && speaker.say_state(true, now) {
            self.link = LinkState::Up;
            self.core.connected(now);
        } else {
            debug!("the connection's queue is full; the terminal is announced later");
        }
    }

    fn send(&mut self, now: Now) {
        let Some(speaker) = &mut self.speaker else {
            return;
        };
        while let Some(report) = self.core.poll(now) {
            let receipt = self.core.wants_receipt(&report);
            if let Err(error) = speaker.report(&report, receipt) {
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
        let trouble = journal.save(&state).err();
        match (&trouble, self.bulletin.journal_trouble()) {
            (None, Some(_)) => info!("the journal is written again"),
            (Some(error), None) => {
                self.core.note(now, SignalKind::JournalLost, 0);
                warn!(%error, "the journal can't be written; sessions are kept in memory only");
            }
            _ => {}
        }
        self.bulletin.saved(now, state, trouble.as_ref());
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
        self.core.stopping();
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
        let said = self.speaker.as_ref().is_some_and(|speaker| {
            speaker.say_state(false, now) && speaker.client.try_disconnect().is_ok()
        });
        if !said {
            debug!("gone without a word; the Last Will speaks");
            return;
        }
        let gone = async {
            while let Some(event) = link.recv().await {
                if !matches!(event, Link::Up(..) | Link::Ack(_)) {
                    break;
                }
            }
        };
        if tokio::time::timeout(LAST_WORDS.1, gone).await.is_err() {
            debug!("the broker did not end the connection in time");
        }
    }
}

impl Speaker {
    /// False where the connection's queue is full.
    fn ask_for_answers(&self) -> bool {
        let ack = topic::of(&self.terminal, Channel::Ack);
        // One that is lost with its connection does no harm: the report comes again. So nobody needs to hear that it came.
        self.client.try_subscribe(ack, QoS::AtMostOnce).is_ok()
    }

    /// Queues a report; the error is what the connection's queue says.
    fn report(&mut self, report: &Report, receipt: bool) -> Result<(), String> {
        let qos = if receipt {
            QoS::AtLeastOnce
        } else {
            QoS::AtMostOnce
        };
        let topic = if self.named {
            String::new()
        } else {
            topic::of(&self.terminal, Channel::Report)
        };
        let properties = PublishProperties {
            topic_alias: self.numbers.then_some(REPORT_ALIAS),
            ..PublishProperties::default()
        };
        let payload = report.encode_to_vec();
        self.client
            .try_publish_with_properties(topic, qos, false, payload, properties)
            .map_err(|error| error.to_string())?;
        self.named = self.numbers;
        Ok(())
    }

    /// Queues the terminal's state; false where the connection's queue is full.
    fn say_state(&self, online: bool, now: Now) -> bool {
        let state = topic::of(&self.terminal, Channel::State);
        let message = state_message(online, now.wall_ms.div_euclid(1_000));
        self.client
            .try_publish(state, QoS::AtLeastOnce, true, message)
            .is_ok()
    }
}
