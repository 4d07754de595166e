//! The agent without its hands: what it saw, what to send next, when it may forget. Sans-IO.
//!
//! Time and observations are arguments, reports and journal states are answers. Not responsible for sensing, files or
//! network: the same core runs in the real agent and in simulations.

mod boot;
mod dated;
mod dating;
mod hearing;
mod outbox;
mod session;
mod signal;
mod state;
mod today;
mod view;
mod waking;
mod wall;

use classpulse_proto::v1::{Ack, AgentFacts, Report, Settings, SignalKind};

pub use dating::BEGINNING_MS;
pub use session::{Kind, Seen};
pub use state::{JournalState, StoredBoot, StoredDay, StoredSession, StoredSignal};
pub use today::Lengths;

pub(crate) use boot::UNWRITTEN_NUMBERS;

use boot::Boot;
use hearing::Sleeps;
use outbox::{Moment, Outbox};
use today::Tally;
use wall::Wall;

/// A boot's id: new at each power-on.
pub type BootId = [u8; 16];

/// A moment as the machine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since boot, suspends included, in ms.
    pub mono_ms: u64,
    /// Since boot, suspends left out, in ms.
    pub awake_ms: u64,
    /// The system clock, Unix ms.
    pub wall_ms: i64,
    /// Whether the system vouches for its clock (network time).
    pub wall_synced: bool,
}

/// What was sensed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Observation {
    /// The latest input, ms since boot; `None` where there was none yet.
    pub last_input_mono_ms: Option<u64>,
    /// Sound or film playing now.
    pub playing: bool,
    /// A presentation or a programme over the whole screen now, or one that asks that the screen stays on.
    pub presenting: bool,
}

/// What the core is told at its start.
#[derive(Debug, Clone)]
pub struct CoreConfig {
    /// The terminal's id.
    pub terminal: String,
    /// About this machine, for the boot's first report.
    pub facts: AgentFacts,
    /// Seconds between reports, unless the service says otherwise.
    pub heartbeat_seconds: u32,
    /// Seconds without input after which use has ended, unless the service says otherwise.
    pub idle_seconds: u32,
    /// The hardware clock minus ms since boot, where it can be read apart from the system's clock: once network time has
    /// set the system's, it alone tells whether the battery is well.
    pub hardware_ms: Option<i64>,
    /// The county's civil time minus UTC, seconds: where a day begins that people are told of. Reports don't know it.
    pub utc_offset_seconds: i64,
}

/// Something worth a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoreEvent {
    /// A session began.
    Opened(Seen),
    /// A session ended.
    Closed(Seen),
    /// The clock can be trusted now; it was off by so many ms.
    ClockSynced(i64),
}

/// Allowed heartbeat periods, seconds.
const HEARTBEAT: std::ops::RangeInclusive<u32> = 15..=3_600;
/// Allowed idle thresholds, seconds.
const IDLE: std::ops::RangeInclusive<u32> = 30..=3_600;
/// At most one journal write in so many ms, and at most so much that no journal knows.
const JOURNAL_MS: u64 = 15_000;
/// Looks come a little early or late; less than this is no reason to write a look earlier, ms.
const JITTER_MS: u64 = 500;
/// An answer that took longer says too little about the time now: it must stay below what paints a minute. The next
/// report's answer will tell.
const ANSWER_MS: u64 = 15_000;
/// Trouble that goes on is noted once in so many ms.
const RECUR_MS: u64 = 3_600_000;
/// What a service's clock can say, Unix ms: 2020 to 2200. Anything else is no time, and dates no session.
const SERVER_TIME_MS: std::ops::Range<i64> = 1_577_836_800_000..7_258_118_400_000;

/// The agent's whole state.
#[derive(Debug)]
pub struct Core {
    config: CoreConfig,
    /// What the service wants instead of the configuration; 0 where it wants nothing.
    ordered: Settings,
    current: Boot,
    /// Earlier boots with sessions that are not acknowledged yet, oldest first.
    older: Vec<Boot>,
    outbox: Outbox,
    changed: bool,
    /// When the journal's state was last given out; `None` asks for it at once.
    written_ms: Option<u64>,
    /// The last look, and how long after the one before.
    looked: Option<(u64, u64)>,
    /// The last look that a given state knows.
    known_ms: Option<u64>,
    last_ack_ms: i64,
    /// The latest moment at which the time was known, Unix ms.
    known_time_ms: i64,
    /// What the system's clock did.
    wall: Wall,
    sleep: Sleeps,
    history_taken: bool,
    /// What of the latest day was acknowledged.
    tally: Tally,
    /// When each kind of recurring trouble was noted last, ms since boot.
    noted: Vec<(SignalKind, u64)>,
    events: Vec<CoreEvent>,
}

impl Core {
    /// Begins with what the journal holds. Sessions that an earlier boot left open end where they were last seen.
    #[must_use]
    pub fn start(
        boot: BootId,
        now: Now,
        config: CoreConfig,
        journal: Option<JournalState>,
    ) -> Self {
        let journal = journal.unwrap_or_default();
        let mut older: Vec<Boot> = journal.boots.iter().filter_map(Boot::from_stored).collect();
        let same = older.iter().position(|old| old.id == boot);
        // A boot that is known: the agent was restarted, and the machine was on all the time.
        let mut current = match same {
            Some(index) => older.remove(index),
            None => Boot::after(older.last(), boot),
        };
        // What is heard of the time at this start is noted with a number too.
        current.leave_out_numbers(now);
        older.retain(|old| !old.is_done());
        for old in &mut older {
            old.end();
        }
        let tally = Tally::new(config.utc_offset_seconds, journal.acknowledged.as_ref());
        let mut core = Self {
            config,
            ordered: Settings::default(),
            older,
            outbox: Outbox::default(),
            changed: true,
            written_ms: None,
            looked: None,
            known_ms: None,
            last_ack_ms: journal.last_ack_ms,
            known_time_ms: journal.known_ms,
            wall: Wall::new(current.wall_ms),
            sleep: Sleeps::default(),
            history_taken: journal.history_taken,
            current,
            tally,
            noted: Vec::new(),
            events: vec![],
        };
        core.take_settings(journal.heartbeat_seconds, journal.idle_seconds);
        core.sync_from_system(now);
        core.current.resume(now, &mut core.events);
        core
    }

    /// Notes something that the bureau should see and that may recur: once an hour at most, and a few times a boot.
    pub fn note(&mut self, now: Now, kind: SignalKind, seconds: i64) {
        let recent = |at: u64| now.mono_ms.saturating_sub(at) < RECUR_MS;
        if self
            .noted
            .iter()
            .any(|(known, at)| *known == kind && recent(*at))
        {
            return;
        }
        self.noted.retain(|(known, _)| *known != kind);
        self.noted.push((kind, now.mono_ms));
        self.changed |= self.current.note(kind, now.mono_ms, seconds);
    }

    /// Takes in power-on times from before the installation, Unix seconds, in order and without overlaps; once in a
    /// journal's life. `id` must be the same for the same machine, so that a repetition says the same.
    pub fn take_history(&mut self, now: Now, id: BootId, spans: &[(i64, i64)]) {
        if std::mem::replace(&mut self.history_taken, true) {
            return;
        }
        self.changed = true;
        self.written_ms = None;
        let Some(boot) = Boot::of_history(id, spans) else {
            return;
        };
        let seconds = spans.iter().map(|(start, end)| end.saturating_sub(*start));
        self.current
            .note(SignalKind::History, now.mono_ms, seconds.sum());
        self.older.insert(0, boot);
    }

    /// Whether somebody has vouched for the time in this boot.
    #[must_use]
    pub fn knows_time(&self) -> bool {
        self.current.is_sure()
    }

    /// Whether power-on times from before the installation were taken in already.
    #[must_use]
    pub fn has_history(&self) -> bool {
        self.history_taken
    }

    /// The agent is told to stop. Where it goes on within this boot, the gap between is somebody's doing.
    pub fn stopping(&mut self) {
        self.current.stopped = true;
        self.changed = true;
    }

    /// The system says that the machine has slept: time since boot may lack that.
    pub fn woken(&mut self) {
        self.sleep.woken = true;
    }

    /// Takes in what was sensed.
    pub fn observe(&mut self, now: Now, observation: Observation) {
        self.notice_sleep(now);
        self.sync_from_system(now);
        self.wall.look(&mut self.current);
        self.know_time(now);
        let pause = self
            .looked
            .map_or(0, |(at, _)| now.mono_ms.saturating_sub(at));
        self.looked = Some((now.mono_ms, pause));
        let idle_ms = u64::from(self.settings().1) * 1_000;
        self.current
            .observe(now, observation, idle_ms, &mut self.events);
        self.changed = true;
    }

    /// The connection stands; the first report goes at once.
    pub fn connected(&mut self, now: Now) {
        // Often the first thing after a sleep: what is asked now tells the time, where it was seen to be over.
        self.notice_sleep(now);
        self.outbox.connected();
    }

    /// The connection is gone; nothing is produced until the next one.
    pub fn disconnected(&mut self, _now: Now) {
        self.outbox.disconnected();
    }

    /// The next report to send now; ask until there is none. A driver writes the journal first, where that is due.
    pub fn poll(&mut self, now: Now) -> Option<Report> {
        let moment = self.moment(now);
        let report = self
            .outbox
            .next(moment, &mut self.older, &mut self.current, &self.config)?;
        self.changed = true;
        Some(report)
    }

    /// Whether the broker must say that it has a report that [`Self::poll`] gave (`QoS` 1). Of the others nothing is missed
    /// where they are lost: the next report says the same and more.
    #[must_use]
    pub fn wants_receipt(&self, report: &Report) -> bool {
        self.outbox.wants_receipt(&report.boot_id, report.sequence)
    }

    fn moment(&self, now: Now) -> Moment {
        Moment {
            now,
            sent_at: session::unix(now.mono_ms, self.current.offset_ms),
            heartbeat_ms: u64::from(self.settings().0) * 1_000,
        }
    }

    /// Reports whose acknowledgement is waited for.
    #[must_use]
    pub fn in_flight(&self, now: Now) -> usize {
        self.outbox.under_way(self.moment(now))
    }

    /// Asks for a report at the next poll, whatever the heartbeat says.
    pub fn report_now(&mut self) {
        self.outbox.hurry();
    }

    /// What an acknowledged report carried in its final form is forgotten. Acknowledgements of reports or boots that
    /// nobody waits for change nothing.
    pub fn acknowledged(&mut self, now: Now, ack: &Ack) {
        // Before the answer says any time.
        self.notice_sleep(now);
        let mut youngest: Option<u64> = None;
        for sequence in &ack.sequences {
            let Some(flight) = self.outbox.acknowledged(&ack.boot_id, *sequence) else {
                continue;
            };
            let age = now.mono_ms.saturating_sub(flight.sent_ms);
            youngest = Some(youngest.map_or(age, |youngest| youngest.min(age)));
            let boots = self.older.iter_mut().chain([&mut self.current]);
            for boot in boots.filter(|boot| boot.id.as_slice() == ack.boot_id) {
                for ended in boot.forget(&flight.sessions, &flight.signals) {
                    self.tally.add(&ended);
                }
                boot.facts_known |= flight.facts;
            }
        }
        let Some(age) = youngest else { return };
        self.outbox.answered(now);
        self.changed = true;
        self.older.retain(|old| !old.is_done());
        if SERVER_TIME_MS.contains(&ack.server_time_ms) {
            self.last_ack_ms = ack.server_time_ms;
            let asked_ms = now.mono_ms.saturating_sub(age);
            let own = ack.boot_id.as_slice() == self.current.id;
            if own && age <= ANSWER_MS && asked_ms >= self.sleep.woke_ms {
                let offset = ack.server_time_ms.saturating_sub(as_signed(now.mono_ms));
                self.date(now, offset, age);
            }
        }
        if let Some(settings) = &ack.settings {
            self.take_settings(settings.heartbeat_seconds, settings.idle_seconds);
        }
    }

    /// The state to write, where something changed and the last write is long enough ago.
    pub fn journal_due(&mut self, now: Now) -> Option<JournalState> {
        let waited = self
            .written_ms
            .is_none_or(|at| now.mono_ms.saturating_sub(at) >= JOURNAL_MS);
        if !(self.changed && (waited || self.would_know_too_little())) {
            return None;
        }
        Some(self.flush(now))
    }

    /// Whether a power cut just before the next look would take more than 15 s from the journal: writes that came for
    /// another reason, between looks, must not put off the next one.
    fn would_know_too_little(&self) -> bool {
        self.looked
            .zip(self.known_ms)
            .is_some_and(|((at, pause), known)| {
                at > known
                    && at.saturating_sub(known).saturating_add(pause) > JOURNAL_MS + JITTER_MS
            })
    }

    /// The state to write, now.
    pub fn flush(&mut self, now: Now) -> JournalState {
        self.changed = false;
        self.written_ms = Some(now.mono_ms);
        self.known_ms = self.looked.map(|(at, _)| at);
        JournalState {
            boots: self
                .older
                .iter()
                .chain(std::iter::once(&self.current))
                .map(Boot::stored)
                .collect(),
            heartbeat_seconds: self.ordered.heartbeat_seconds,
            idle_seconds: self.ordered.idle_seconds,
            last_ack_ms: self.last_ack_ms,
            known_ms: self.known_time_ms,
            history_taken: self.history_taken,
            acknowledged: self.tally.stored(),
        }
    }

    /// Closes what is open: the machine, or the agent, is going down in order.
    pub fn shutdown(&mut self, now: Now) {
        self.current.close_all(now, &mut self.events);
        self.changed = true;
        self.outbox.hurry();
    }

    /// What has happened since the last call.
    pub fn take_events(&mut self) -> Vec<CoreEvent> {
        std::mem::take(&mut self.events)
    }

    /// Takes settings that are in range; 0 means no change.
    fn take_settings(&mut self, heartbeat: u32, idle: u32) {
        if HEARTBEAT.contains(&heartbeat) {
            self.ordered.heartbeat_seconds = heartbeat;
        }
        if IDLE.contains(&idle) {
            self.ordered.idle_seconds = idle;
        }
    }
}

#[cfg(test)]
mod clock_tests;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod report_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod waking_tests;

/// Unix ms minus ms since boot, by the system's clock.
fn wall_offset(now: Now) -> i64 {
    now.wall_ms.saturating_sub(as_signed(now.mono_ms))
}

fn as_signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
