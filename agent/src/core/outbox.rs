//! When to send which report, and which report carried what. Not responsible for sessions themselves (`boot`).

use std::collections::BTreeMap;

use classpulse_proto::v1::{self, Report};

use super::{
    BootId, CoreConfig, Now,
    boot::{Boot, Said},
    session::{Carried, Session},
};

/// Most sessions in one report: about 4 KB.
const SESSIONS: usize = 200;
/// Most reports under way at a time; the last place is the current boot's, so that its heartbeat never waits.
const WINDOW: usize = 8;
/// Most reports remembered: late acknowledgements of older ones teach nothing, and the sessions are said again.
const REMEMBERED: usize = 32;

/// Longest that a terminal goes on without asking for an answer, ms. In between, reports that only let open sessions
/// grow are quiet: nothing is forgotten by their acknowledgement.
const ANSWER_EVERY_MS: u64 = 300_000;

/// What one report carried.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) sent_ms: u64,
    /// Its connection is gone: it may have arrived, and it may not.
    lost: bool,
    /// The broker must say that it has it.
    receipt: bool,
    pub(super) sessions: Vec<Carried>,
    /// Numbers of signals.
    pub(super) signals: Vec<u32>,
    pub(super) facts: bool,
}

/// What a report will say.
#[derive(Debug, Default)]
struct Unsaid {
    said: Said,
    signals: Vec<v1::Signal>,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    connected: bool,
    /// Reports without an acknowledgement, by boot and sequence. Older ones wait here for a late one.
    flights: BTreeMap<(BootId, u64), Flight>,
    /// When the current boot's last report went out; `None` asks for one at once.
    beat_ms: Option<u64>,
    /// When the last answer came over this connection.
    answered_ms: Option<u64>,
}

/// What the current moment means for reports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Now,
    /// Unix seconds by the best knowledge of time.
    pub(super) sent_at: i64,
    pub(super) heartbeat_ms: u64,
}

impl Moment {
    fn passed(&self, since_ms: u64) -> bool {
        self.now.mono_ms.saturating_sub(since_ms) >= self.heartbeat_ms
    }

    /// Still waited for. What was not acknowledged within a heartbeat is said again.
    fn under_way(&self, flight: &Flight) -> bool {
        !flight.lost && !self.passed(flight.sent_ms)
    }
}

impl Outbox {
    pub(super) fn connected(&mut self) {
        self.lose();
        self.connected = true;
        self.beat_ms = None;
        self.answered_ms = None;
    }

    pub(super) fn disconnected(&mut self) {
        self.lose();
        self.connected = false;
    }

    fn lose(&mut self) {
        for flight in self.flights.values_mut() {
            flight.lost = true;
        }
    }

    pub(super) fn hurry(&mut self) {
        self.beat_ms = None;
    }

    /// An answer has come to a report that was waited for.
    pub(super) fn answered(&mut self, now: Now) {
        self.answered_ms = Some(now.mono_ms);
    }

    pub(super) fn acknowledged(&mut self, boot: &[u8], sequence: u64) -> Option<Flight> {
        let boot: BootId = boot.try_into().ok()?;
        self.flights.remove(&(boot, sequence))
    }

    /// Reports that are waited for.
    pub(super) fn under_way(&self, moment: Moment) -> usize {
        self.flights
            .values()
            .filter(|flight| moment.under_way(flight))
            .count()
    }

    /// The next report: older boots first, oldest sessions first.
    pub(super) fn next(
        &mut self,
        moment: Moment,
        older: &mut [Boot],
        current: &mut Boot,
        config: &CoreConfig,
    ) -> Option<Report> {
        if !self.connected {
            return None;
        }
        let under_way = self.under_way(moment);
        if under_way + 1 < WINDOW {
            for boot in older {
                let unsaid = self.unsaid(moment, boot);
                if !(unsaid.said.sessions.is_empty() && unsaid.signals.is_empty()) {
                    return Some(self.send(moment, boot, unsaid, None, true));
                }
            }
        }
        let due = self.beat_ms.is_none_or(|at| moment.passed(at));
        if !due || under_way >= WINDOW {
            return None;
        }
        let unsaid = self.unsaid(moment, current);
        // What a report left out goes as soon as the window lets it.
        self.beat_ms = (!unsaid.said.more).then_some(moment.now.mono_ms);
        let facts = (!current.facts_known).then_some(config);
        Some(self.send(moment, current, unsaid, facts, false))
    }

    /// What of a boot should be said now: all but the closed sessions that are under way in their final form.
    fn unsaid(&self, moment: Moment, boot: &mut Boot) -> Unsaid {
        let of_boot = self.flights.range((boot.id, 0)..=(boot.id, u64::MAX));
        let under_way: Vec<&Flight> = of_boot
            .map(|(_, flight)| flight)
            .filter(|flight| moment.under_way(flight))
            .collect();
        let ended = |session: &Session| {
            let mut said = under_way.iter().flat_map(|flight| &flight.sessions);
            said.any(|said| said.is_end_of(session))
        };
        let signals = boot.say_signals(|number| {
            let mut said = under_way.iter().flat_map(|flight| &flight.signals);
            said.any(|said| *said == number)
        });
        let said = boot.say(SESSIONS, |session| !ended(session));
        Unsaid { said, signals }
    }

    fn send(
        &mut self,
        moment: Moment,
        boot: &mut Boot,
        unsaid: Unsaid,
        facts: Option<&CoreConfig>,
        over: bool,
    ) -> Report {
        let sequence = boot.next_sequence(moment.now);
        let answered = self.answered_ms.is_some_and(|at| {
            moment.now.mono_ms.saturating_sub(at) + moment.heartbeat_ms <= ANSWER_EVERY_MS
        });
        let only_grows = boot.is_sure()
            && facts.is_none()
            && unsaid.signals.is_empty()
            && unsaid.said.sessions.iter().all(|session| session.open);
        let quiet = answered && only_grows;
        if !quiet {
            // The regular question takes nothing along that the next report would not say again, and its answer says
            // that it came. Only where none came must the broker say that it is there.
            let flight = Flight {
                sent_ms: moment.now.mono_ms,
                lost: false,
                receipt: !only_grows || self.is_unanswered(),
                sessions: unsaid.said.carried,
                signals: unsaid.signals.iter().map(|signal| signal.number).collect(),
                facts: facts.is_some(),
            };
            self.flights.insert((boot.id, sequence), flight);
            self.bound();
        }
        Report {
            boot_id: boot.id.to_vec(),
            sequence,
            sent_at: moment.sent_at,
            clock: unsaid.said.clock.into(),
            facts: facts.map(|config| config.facts.clone()),
            sessions: unsaid.said.sessions,
            terminal: String::new(),
            quiet,
            signals: unsaid.signals,
            history: boot.history,
            over,
        }
    }

    /// Whether something was asked over this connection since the last answer, or nothing was answered yet.
    fn is_unanswered(&self) -> bool {
        let Some(answered_ms) = self.answered_ms else {
            return true;
        };
        let mut flights = self.flights.values();
        flights.any(|flight| !flight.lost && flight.sent_ms >= answered_ms)
    }

    /// Whether the broker must say that it has this report.
    pub(super) fn wants_receipt(&self, boot: &[u8], sequence: u64) -> bool {
        let boot: Option<BootId> = boot.try_into().ok();
        boot.and_then(|boot| self.flights.get(&(boot, sequence)))
            .is_some_and(|flight| flight.receipt)
    }

    /// Forgets the report that was sent longest ago, where there are too many.
    fn bound(&mut self) {
        if self.flights.len() <= REMEMBERED {
            return;
        }
        let oldest = self.flights.iter().min_by_key(|(_, flight)| flight.sent_ms);
        if let Some(key) = oldest.map(|(key, _)| *key) {
            self.flights.remove(&key);
        }
    }
}
