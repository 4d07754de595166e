//! The agent without its hands: what it saw, what to send next, when it may forget. Sans-IO.
//!
//! Time and observations are arguments, reports and journal states are answers. Not responsible for sensing, files or
//! network: the same core runs in the real agent and in simulations.

mod boot;
mod outbox;
mod state;

use classpulse_proto::v1::{Ack, AgentFacts, Report};

pub use boot::{Kind, Seen};
pub use state::{JournalState, StoredBoot, StoredSession};

use boot::Boot;
use outbox::Outbox;

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
/// At most one journal write in so many ms.
const JOURNAL_MS: u64 = 15_000;
/// A server clock nearer than this is not worth a correction.
const CLOCK_TOLERANCE_MS: i64 = 2_000;

/// The agent's whole state.
#[derive(Debug)]
pub struct Core {
    config: CoreConfig,
    current: Boot,
    /// Earlier boots with sessions that are not acknowledged yet, oldest first.
    older: Vec<Boot>,
    outbox: Outbox,
    changed: bool,
    written_ms: Option<u64>,
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
        let mut config = config;
        take_settings(&mut config, journal.heartbeat_seconds, journal.idle_seconds);
        let mut older: Vec<Boot> = journal.boots.iter().filter_map(Boot::from_stored).collect();
        let same = older.iter().position(|old| old.id == boot);
        let mut current = match same {
            // The agent was restarted; the machine was on all the time.
            Some(index) => older.remove(index),
            None => Boot::new(boot),
        };
        current.resume(now);
        for old in &mut older {
            old.end();
        }
        older.retain(|old| !old.sessions.is_empty());
        let mut core = Self {
            config,
            current,
            older,
            outbox: Outbox::default(),
            changed: true,
            written_ms: None,
            events: vec![],
        };
        core.sync_from_system(now);
        core
    }

    fn sync_from_system(&mut self, now: Now) {
        let offset = now.wall_ms.saturating_sub(as_signed(now.mono_ms));
        if self.current.synced {
            return;
        }
        self.current.offset_ms = offset;
        if now.wall_synced {
            self.current.synced = true;
            self.events.push(CoreEvent::ClockSynced(0));
        }
    }

    /// Takes in what was sensed.
    pub fn observe(&mut self, now: Now, observation: Observation) {
        self.sync_from_system(now);
        let idle_ms = u64::from(self.config.idle_seconds) * 1_000;
        self.current
            .observe(now, observation, idle_ms, &mut self.events);
        self.changed = true;
    }

    /// The connection stands; the first report goes at once.
    pub fn connected(&mut self, _now: Now) {
        self.outbox.connected();
    }

    /// The connection is gone; nothing is produced until the next one.
    pub fn disconnected(&mut self, _now: Now) {
        self.outbox.disconnected();
    }

    /// The next report to send now; ask until there is none.
    pub fn poll(&mut self, now: Now) -> Option<Report> {
        let heartbeat_ms = u64::from(self.config.heartbeat_seconds) * 1_000;
        let boots = self
            .older
            .iter_mut()
            .chain(std::iter::once(&mut self.current));
        let (report, placed) = self.outbox.next(now, heartbeat_ms, boots, &self.config)?;
        self.changed |= placed;
        Some(report)
    }

    /// Asks for a report at the next poll, whatever the heartbeat says.
    pub fn report_now(&mut self) {
        self.outbox.hurry();
    }

    /// What an acknowledged report carried in its final form is forgotten.
    pub fn acknowledged(&mut self, now: Now, ack: &Ack) {
        if ack.boot_id.as_slice() == self.current.id && ack.server_time_ms > 0 {
            let offset = ack.server_time_ms.saturating_sub(as_signed(now.mono_ms));
            let off = offset.saturating_sub(self.current.offset_ms);
            if !self.current.synced {
                self.events.push(CoreEvent::ClockSynced(off));
                // Sessions waited for the time; they go at once.
                self.outbox.hurry();
            }
            if off.unsigned_abs() > CLOCK_TOLERANCE_MS.unsigned_abs() {
                self.current.offset_ms = offset;
            }
            self.current.synced = true;
        }
        for sequence in &ack.sequences {
            let Some(carried) = self.outbox.acknowledged(&ack.boot_id, *sequence) else {
                continue;
            };
            let boots = self
                .older
                .iter_mut()
                .chain(std::iter::once(&mut self.current));
            for boot in boots.filter(|boot| boot.id.as_slice() == ack.boot_id) {
                boot.forget(&carried.sessions);
                boot.facts_known |= carried.facts;
            }
            self.changed = true;
        }
        self.older.retain(|old| !old.sessions.is_empty());
        if let Some(settings) = &ack.settings {
            self.changed |= take_settings(
                &mut self.config,
                settings.heartbeat_seconds,
                settings.idle_seconds,
            );
        }
    }

    /// The state to write, where something changed and the last write is long enough ago.
    pub fn journal_due(&mut self, now: Now) -> Option<JournalState> {
        let waited = self
            .written_ms
            .is_none_or(|at| now.mono_ms.saturating_sub(at) >= JOURNAL_MS);
        if !(self.changed && waited) {
            return None;
        }
        Some(self.flush(now))
    }

    /// The state to write, now.
    pub fn flush(&mut self, now: Now) -> JournalState {
        self.changed = false;
        self.written_ms = Some(now.mono_ms);
        JournalState {
            boots: self
                .older
                .iter()
                .chain(std::iter::once(&self.current))
                .map(Boot::stored)
                .collect(),
            heartbeat_seconds: self.config.heartbeat_seconds,
            idle_seconds: self.config.idle_seconds,
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

    /// Every session of this boot that is still held or was seen by this process, in order of its start.
    #[must_use]
    pub fn sessions(&self) -> Vec<Seen> {
        self.current.seen()
    }

    /// Sessions that no acknowledgement covers yet, of all boots; open ones included.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.older
            .iter()
            .map(|boot| boot.sessions.len())
            .sum::<usize>()
            + self.current.sessions.len()
    }

    /// Earlier boots that are not delivered yet.
    #[must_use]
    pub fn older_boots(&self) -> usize {
        self.older.len()
    }

    /// When to poll again at the latest, in ms since boot.
    #[must_use]
    pub fn settings(&self) -> (u32, u32) {
        (self.config.heartbeat_seconds, self.config.idle_seconds)
    }
}

#[cfg(test)]
mod tests;

fn as_signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Takes settings that are in range; 0 means no change. True if anything changed.
fn take_settings(config: &mut CoreConfig, heartbeat: u32, idle: u32) -> bool {
    let before = (config.heartbeat_seconds, config.idle_seconds);
    if HEARTBEAT.contains(&heartbeat) {
        config.heartbeat_seconds = heartbeat;
    }
    if IDLE.contains(&idle) {
        config.idle_seconds = idle;
    }
    before != (config.heartbeat_seconds, config.idle_seconds)
}
