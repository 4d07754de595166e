//! When to send which report, and which report carried what. Not responsible for sessions themselves (`boot`).

use std::collections::BTreeMap;

use classpulse_proto::v1::{ClockState, Report};

use super::{
    BootId, CoreConfig, Now,
    boot::{Boot, Carried, Session},
};

/// Most sessions in one report: about 4 KB.
const SESSIONS: usize = 200;
/// Most reports without an acknowledgement.
const WINDOW: usize = 8;

/// What one report carried.
#[derive(Debug)]
pub(super) struct Flight {
    sent_ms: u64,
    pub(super) sessions: Vec<Carried>,
    pub(super) facts: bool,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    connected: bool,
    /// Reports that are under way, by boot and sequence.
    flights: BTreeMap<(BootId, u64), Flight>,
    /// When the current boot's last report went out; `None` asks for one at once.
    beat_ms: Option<u64>,
}

impl Outbox {
    pub(super) fn connected(&mut self) {
        self.connected = true;
        self.beat_ms = None;
        // What the old connection carried may be lost.
        self.flights.clear();
    }

    pub(super) fn disconnected(&mut self) {
        self.connected = false;
        self.flights.clear();
    }

    pub(super) fn hurry(&mut self) {
        self.beat_ms = None;
    }

    pub(super) fn acknowledged(&mut self, boot: &[u8], sequence: u64) -> Option<Flight> {
        let boot: BootId = boot.try_into().ok()?;
        self.flights.remove(&(boot, sequence))
    }

    /// The next report, and whether it placed sessions for good. The last boot is the current one.
    pub(super) fn next<'a>(
        &mut self,
        now: Now,
        heartbeat_ms: u64,
        boots: impl Iterator<Item = &'a mut Boot>,
        config: &CoreConfig,
    ) -> Option<(Report, bool)> {
        if !self.connected {
            return None;
        }
        // What was not acknowledged within a heartbeat is said again.
        self.flights
            .retain(|_, flight| now.mono_ms.saturating_sub(flight.sent_ms) < heartbeat_ms);
        let mut boots = boots.peekable();
        while let Some(boot) = boots.next() {
            let over = boots.peek().is_some();
            let due = self
                .beat_ms
                .is_none_or(|at| now.mono_ms.saturating_sub(at) >= heartbeat_ms);
            if over && self.flights.len() >= WINDOW {
                continue;
            }
            if !over && !due {
                return None;
            }
            if let Some(report) = self.report(boot, over, due, now, config) {
                return Some((report, true));
            }
        }
        None
    }

    /// Whether a closed session is under way in its final form.
    fn under_way(&self, boot: BootId, session: &Session) -> bool {
        let of_boot = self.flights.range((boot, 0)..=(boot, u64::MAX));
        !session.open
            && of_boot
                .into_iter()
                .any(|(_, flight)| flight.sessions.iter().any(|said| said.is_end_of(session)))
    }

    fn report(
        &mut self,
        boot: &mut Boot,
        over: bool,
        due: bool,
        now: Now,
        config: &CoreConfig,
    ) -> Option<Report> {
        let id = boot.id;
        let (sessions, carried) = boot.say(over, SESSIONS, |session| !self.under_way(id, session));
        if over && sessions.is_empty() {
            return None;
        }
        let facts = !over && !boot.facts_known;
        let sequence = boot.last_sequence.saturating_add(1).max(now.mono_ms);
        boot.last_sequence = sequence;
        if !over && due {
            self.beat_ms = Some(now.mono_ms);
        }
        self.flights.insert(
            (boot.id, sequence),
            Flight {
                sent_ms: now.mono_ms,
                sessions: carried,
                facts,
            },
        );
        let clock = if boot.synced {
            ClockState::Synced
        } else {
            ClockState::Unsynced
        };
        Some(Report {
            boot_id: boot.id.to_vec(),
            sequence,
            sent_at: now.wall_ms.div_euclid(1_000),
            clock: clock.into(),
            facts: facts.then(|| config.facts.clone()),
            sessions,
            terminal: String::new(),
        })
    }
}
