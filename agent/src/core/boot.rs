//! One boot: its sessions in its own monotonic time, how they begin, grow and end.
//!
//! Not responsible for when to report them (`outbox`) or for where they lie in civil time (`session`).

use classpulse_proto::v1::{self, ClockState, SignalKind};

use super::{
    BootId, CoreEvent, Now, Observation, as_signed,
    dated::{Dated, Verdict},
    session::{CUT_MS, Carried, Kind, Seen, Session},
    signal::{MOST_OF_A_KIND, Noted},
    state::{JournalState, StoredBoot, StoredSession},
};

/// Clocks that differ by no more did not stand still: the machine was not suspended.
pub(super) const SUSPEND_MS: u64 = 5_000;
/// Most cuts at one look, 500 days: a clock that jumps further is wrong, and must not fill the memory.
const MOST_CUTS: usize = 1_000;
/// Numbers left out when an agent starts again within a boot: sessions that the process before opened and reported
/// after its last write had some of them, and a number must never stand for two sessions.
pub(crate) const UNWRITTEN_NUMBERS: u32 = 100;
/// Sequence numbers left out likewise, beyond the ms since boot: so far ahead of the clock was the process before at most,
/// where it sent many reports in its last millisecond. An answer to one of those must mean nothing to this process.
const UNWRITTEN_REPORTS: u64 = 1_000;
/// The same for sequence numbers of a boot that is over; they rise by about one a millisecond.
const UNWRITTEN_SEQUENCES: u64 = 3_600_000;
/// An agent that was away for less was restarted by its service manager, or by an upgrade.
const GAP_MS: u64 = 60_000;

/// Acknowledged sessions that are remembered: a term of a machine that is never switched off has more.
const MOST_FORGOTTEN: usize = 1_000;

/// What a report says of a boot's sessions.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// How far all of them can be trusted to lie where they say.
    pub(super) clock: ClockState,
    pub(super) sessions: Vec<v1::Session>,
    pub(super) carried: Vec<Carried>,
    /// There is more to say than fits.
    pub(super) more: bool,
}

#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that have nothing to do with each other"
)]
pub(super) struct Boot {
    pub(super) id: BootId,
    /// Unix ms minus ms since boot, by the best knowledge of time.
    pub(super) offset_ms: i64,
    /// Whether network time or the service has vouched for the offset in this boot.
    pub(super) synced: bool,
    /// Whether the service knows the machine's facts for this boot.
    pub(super) facts_known: bool,
    /// What is not acknowledged yet, open sessions included.
    pub(super) sessions: Vec<Session>,
    /// The latest of what was acknowledged in this process, for the log at its end; at most [`MOST_FORGOTTEN`].
    forgotten: Vec<Seen>,
    powered_count: u32,
    used_count: u32,
    /// The last look: its moment, and how long the machine had slept until then.
    pub(super) last: Option<(u64, u64)>,
    /// Input before this moment is already in a session, or lies before a sleep.
    pub(super) use_floor_ms: u64,
    last_sequence: u64,
    /// What the hardware clock said at the first look, minus ms since boot; `None` where nobody looked in time.
    pub(super) hardware_ms: Option<i64>,
    /// The clock was set while nobody vouched for it: what it says is somebody's word, not the hardware's.
    pub(super) disturbed: bool,
    /// Whether the hardware clock may date a boot that is over and heard no time.
    pub(super) verdict: Verdict,
    /// It slept at this moment, and since then nobody has vouched for the offset again.
    pub(super) doubted_ms: Option<u64>,
    /// The system's clock at the last look, minus ms since boot: tells a step while no agent ran.
    pub(super) wall_ms: Option<i64>,
    /// What the machine's clocks said when the boot before ended, Unix ms; empty where nobody knows.
    pub(super) left_ms: Vec<i64>,
    /// What is not acknowledged yet.
    pub(super) signals: Vec<Noted>,
    signal_count: u32,
    /// The agent was told to stop.
    pub(super) stopped: bool,
    /// From the machine's own log of its boots before the installation.
    pub(super) history: bool,
}

impl JournalState {
    /// Every session that waits, by the best knowledge of time, older boots first.
    #[must_use]
    pub fn sessions(&self) -> Vec<Seen> {
        self.boots
            .iter()
            .filter_map(Boot::from_stored)
            .flat_map(|boot| boot.seen())
            .collect()
    }
}

/// As a journal keeps it.
impl Boot {
    pub(super) fn new(id: BootId) -> Self {
        Self {
            id,
            offset_ms: 0,
            synced: false,
            facts_known: false,
            sessions: Vec::new(),
            forgotten: Vec::new(),
            powered_count: 0,
            used_count: 0,
            last: None,
            use_floor_ms: 0,
            last_sequence: 0,
            hardware_ms: None,
            disturbed: false,
            verdict: Verdict::Open,
            doubted_ms: None,
            wall_ms: None,
            left_ms: Vec::new(),
            signals: Vec::new(),
            signal_count: 0,
            stopped: false,
            history: false,
        }
    }

    /// A new one, after the one that the journal knows last.
    pub(super) fn after(before: Option<&Self>, id: BootId) -> Self {
        Self {
            left_ms: before.map_or(Vec::new(), Self::clocks_left_at),
            ..Self::new(id)
        }
    }

    /// Power-on times from before the installation, Unix seconds, as a boot of their own. None if there are none.
    pub(super) fn of_history(id: BootId, spans: &[(i64, i64)]) -> Option<Self> {
        let (base, _) = *spans.first()?;
        let mut boot = Self {
            offset_ms: base.saturating_mul(1_000),
            history: true,
            ..Self::new(id)
        };
        for (start, end) in spans {
            let since_base = |at: i64| u64::try_from(at.saturating_sub(base)).unwrap_or(0) * 1_000;
            let (mut from, to) = (since_base(*start), since_base(*end));
            while from < to {
                let until = to.min(cut_after(from, boot.offset_ms));
                boot.powered_count = boot.powered_count.saturating_add(1);
                let stored = StoredSession {
                    number: boot.powered_count,
                    start_ms: from,
                    length_ms: until - from,
                    ..StoredSession::default()
                };
                boot.sessions.push(Session::from_stored(&stored));
                from = until;
            }
        }
        (!boot.sessions.is_empty()).then_some(boot)
    }

    pub(super) fn from_stored(stored: &StoredBoot) -> Option<Self> {
        Some(Self {
            offset_ms: stored.offset_ms,
            synced: stored.synced,
            sessions: stored.sessions.iter().map(Session::from_stored).collect(),
            powered_count: stored.powered_count,
            used_count: stored.used_count,
            last: stored.seen_ms.map(|seen_ms| (seen_ms, stored.slept_ms)),
            use_floor_ms: stored.use_floor_ms,
            last_sequence: stored.last_sequence,
            hardware_ms: stored.hardware_ms,
            disturbed: stored.disturbed,
            verdict: Verdict::from_stored(stored.verdict),
            doubted_ms: stored.doubted_ms,
            wall_ms: stored.wall_ms,
            left_ms: stored.left_ms.clone(),
            signals: stored
                .signals
                .iter()
                .filter_map(Noted::from_stored)
                .collect(),
            signal_count: stored.signal_count,
            stopped: stored.stopped,
            history: stored.history,
            ..Self::new(stored.id.as_slice().try_into().ok()?)
        })
    }

    pub(super) fn stored(&self) -> StoredBoot {
        StoredBoot {
            id: self.id.to_vec(),
            offset_ms: self.offset_ms,
            synced: self.synced,
            powered_count: self.powered_count,
            used_count: self.used_count,
            sessions: self.sessions.iter().map(Session::stored).collect(),
            last_sequence: self.last_sequence,
            seen_ms: self.last.map(|(seen_ms, _)| seen_ms),
            slept_ms: self.last.map_or(0, |(_, slept_ms)| slept_ms),
            use_floor_ms: self.use_floor_ms,
            hardware_ms: self.hardware_ms,
            disturbed: self.disturbed,
            verdict: self.verdict.stored(),
            signal_count: self.signal_count,
            signals: self.signals.iter().map(Noted::stored).collect(),
            stopped: self.stopped,
            history: self.history,
            doubted_ms: self.doubted_ms,
            wall_ms: self.wall_ms,
            left_ms: self.left_ms.clone(),
        }
    }

    /// The boot is over: what it left open ended where it was last seen.
    pub(super) fn end(&mut self) {
        for session in &mut self.sessions {
            session.open = false;
        }
        let seen_ms = self.last.map_or(0, |(seen_ms, _)| seen_ms);
        self.last_sequence = self
            .last_sequence
            .max(seen_ms)
            .saturating_add(UNWRITTEN_SEQUENCES);
    }

    /// Leaves out the numbers that the process before may have given away, before this one gives away any.
    pub(super) fn leave_out_numbers(&mut self, now: Now) {
        self.last_sequence = self
            .last_sequence
            .max(now.mono_ms)
            .saturating_add(UNWRITTEN_REPORTS);
        // A boot that no journal knows may have had an agent all the same, whose journal can't be read any more, or
        // never could be written. It opened less than one of a kind a second.
        let unknown = u32::try_from(now.mono_ms / 1_000).unwrap_or(u32::MAX);
        let fresh = self.last.is_none();
        for count in [
            &mut self.powered_count,
            &mut self.used_count,
            &mut self.signal_count,
        ] {
            *count = if fresh {
                unknown.max(*count)
            } else {
                count.saturating_add(UNWRITTEN_NUMBERS)
            };
        }
    }

    /// The agent starts in this boot, for the first time or again.
    pub(super) fn resume(&mut self, now: Now, events: &mut Vec<CoreEvent>) {
        let slept = now.mono_ms.saturating_sub(now.awake_ms);
        self.note_gap(now, slept);
        if self.last.is_none() {
            // On since the boot, although the agent came later. When it slept in between nobody knows.
            self.open(Kind::Powered, slept, events);
            self.grow(Kind::Powered, slept, now.mono_ms, events);
        }
        self.last.get_or_insert((now.mono_ms, slept));
    }

    /// The machine was on and no agent ran: somebody, or something, ended it.
    fn note_gap(&mut self, now: Now, slept: u64) {
        let kind = if std::mem::take(&mut self.stopped) {
            SignalKind::AgentStopped
        } else {
            SignalKind::AgentGap
        };
        let Some((seen_ms, slept_before)) = self.last else {
            return;
        };
        let asleep = slept.saturating_sub(slept_before);
        let gap = now.mono_ms.saturating_sub(seen_ms).saturating_sub(asleep);
        if gap >= GAP_MS {
            self.note(kind, seen_ms, as_signed(gap / 1_000));
        }
    }

    /// Notes something that the bureau should see; false where enough of the kind wait.
    pub(super) fn note(&mut self, kind: SignalKind, at_ms: u64, seconds: i64) -> bool {
        let said = self.signals.iter().filter(|one| one.kind == kind).count();
        if said >= MOST_OF_A_KIND {
            return false;
        }
        self.signal_count = self.signal_count.saturating_add(1);
        self.signals.push(Noted {
            kind,
            number: self.signal_count,
            at_ms,
            seconds,
            placed: None,
        });
        true
    }

    /// The next report's sequence number: rises within a boot, also over restarts of the agent.
    pub(super) fn next_sequence(&mut self, now: Now) -> u64 {
        self.last_sequence = self.last_sequence.saturating_add(1).max(now.mono_ms);
        self.last_sequence
    }
}

/// How sessions live.
impl Boot {
    pub(super) fn open(&mut self, kind: Kind, start_ms: u64, events: &mut Vec<CoreEvent>) {
        let count = match kind {
            Kind::Powered => &mut self.powered_count,
            Kind::Used => &mut self.used_count,
        };
        *count = count.saturating_add(1);
        let session = Session::new(kind, *count, start_ms);
        events.push(CoreEvent::Opened(session.seen(self.offset_ms)));
        self.sessions.push(session);
    }

    pub(super) fn current(&mut self, kind: Kind) -> Option<&mut Session> {
        self.sessions
            .iter_mut()
            .rev()
            .find(|session| session.kind == kind && session.open)
    }

    pub(super) fn close(&mut self, kind: Kind, events: &mut Vec<CoreEvent>) {
        let offset_ms = self.offset_ms;
        let Some(session) = self.current(kind) else {
            return;
        };
        session.open = false;
        let end_ms = session.end_ms;
        events.push(CoreEvent::Closed(session.seen(offset_ms)));
        if kind == Kind::Used {
            self.use_floor_ms = self.use_floor_ms.max(end_ms.saturating_add(1));
        }
    }

    /// Extends the open session to `end`, or opens one from `begin`; cuts what has become too long.
    fn grow(&mut self, kind: Kind, begin: u64, end: u64, events: &mut Vec<CoreEvent>) {
        if self.current(kind).is_none() {
            self.open(kind, begin, events);
        }
        let offset_ms = self.offset_ms;
        for _ in 0..MOST_CUTS {
            let Some(session) = self.current(kind) else {
                return;
            };
            let cut = cut_after(session.start_ms, offset_ms);
            session.end_ms = session.end_ms.max(end.min(cut));
            if end <= cut {
                return;
            }
            self.close(kind, events);
            self.open(kind, cut, events);
        }
    }

    /// Takes in one look at the machine.
    pub(super) fn observe(
        &mut self,
        now: Now,
        seen: Observation,
        idle_ms: u64,
        events: &mut Vec<CoreEvent>,
    ) {
        let slept = now.mono_ms.saturating_sub(now.awake_ms);
        let (last, slept_before) = self.last.unwrap_or((now.mono_ms, slept));
        self.last = Some((now.mono_ms, slept));
        let nap = slept.saturating_sub(slept_before);
        let mut begin = last.min(now.mono_ms);
        if nap > SUSPEND_MS {
            // It slept at some moment since the last look: power ended there, and began again at the waking.
            self.close(Kind::Used, events);
            self.close(Kind::Powered, events);
            begin = begin.saturating_add(nap).min(now.mono_ms);
            self.use_floor_ms = self.use_floor_ms.max(begin);
        }
        self.grow(Kind::Powered, begin, now.mono_ms, events);
        self.observe_use(now, seen, idle_ms, events);
    }

    fn observe_use(
        &mut self,
        now: Now,
        seen: Observation,
        idle_ms: u64,
        events: &mut Vec<CoreEvent>,
    ) {
        let input = seen.last_input_mono_ms.map(|at| at.min(now.mono_ms));
        let goes_on = seen.playing || seen.presenting;
        let active = if goes_on { Some(now.mono_ms) } else { input };
        if let Some(end) = self.current(Kind::Used).map(|session| session.end_ms) {
            let within = end..end.saturating_add(idle_ms);
            let reached = active.filter(|at| within.contains(at)).unwrap_or(end);
            self.grow(Kind::Used, reached, reached, events);
            if now.mono_ms.saturating_sub(reached) >= idle_ms {
                self.close(Kind::Used, events);
            }
        }
        if self.current(Kind::Used).is_none() {
            // What goes on now is no input of before, also where time since boot stood still over a sleep.
            let fresh = |at: &u64| {
                (goes_on || *at >= self.use_floor_ms) && now.mono_ms.saturating_sub(*at) < idle_ms
            };
            if let Some(at) = active.filter(fresh) {
                self.open(Kind::Used, at, events);
            }
        }
    }

    /// The machine goes down in order.
    pub(super) fn close_all(&mut self, now: Now, events: &mut Vec<CoreEvent>) {
        if self.current(Kind::Powered).is_some() {
            self.grow(Kind::Powered, now.mono_ms, now.mono_ms, events);
        }
        self.close(Kind::Used, events);
        self.close(Kind::Powered, events);
    }
}

/// Where a session that began then is cut: after 12 hours, on a whole minute, so that no minute is left with two
/// pieces of which neither paints it.
fn cut_after(start_ms: u64, offset_ms: i64) -> u64 {
    let latest = start_ms.saturating_add(CUT_MS);
    let into_minute = offset_ms
        .saturating_add(as_signed(latest))
        .rem_euclid(60_000);
    latest.saturating_sub(into_minute.unsigned_abs())
}

/// What is said of it.
impl Boot {
    /// Whether somebody has vouched for its time, and no sleep came after that.
    pub(super) fn is_sure(&self) -> bool {
        self.synced && self.doubted_ms.is_none()
    }

    /// Whether its time is known, or known never to be.
    pub(super) fn is_dated(&self) -> bool {
        self.is_sure() || self.history || self.verdict != Verdict::Open
    }

    /// Whether it heard no time, or none since it slept, and nobody has judged its clock yet.
    pub(super) fn is_undated(&self) -> bool {
        !self.is_dated()
    }

    /// How far it can be trusted to lie where it says.
    fn clock(&self) -> ClockState {
        match self.verdict {
            _ if self.history => ClockState::Unspecified,
            _ if self.is_sure() => ClockState::Synced,
            Verdict::BorneOut => ClockState::Hardware,
            Verdict::Open | Verdict::Unplaceable => ClockState::Unsynced,
        }
    }

    /// The same of one of its sessions.
    fn clock_of(&self, session: &Session) -> ClockState {
        match session.dated {
            Dated::AsItsBoot => self.clock(),
            Dated::Known => ClockState::Synced,
            Dated::Lost => ClockState::Unsynced,
        }
    }

    /// By how much the true time was ahead of the hardware clock; `None` before the time is known, and where nobody
    /// looked at the hardware clock in time.
    pub(super) fn clock_error_ms(&self) -> Option<i64> {
        let hardware_ms = self.hardware_ms.filter(|_| self.synced)?;
        Some(self.offset_ms.saturating_sub(hardware_ms))
    }

    /// From its start to its last look, Unix ms by its own clock; of a boot that slept, what came after that.
    pub(super) fn span_ms(&self) -> std::ops::RangeInclusive<i64> {
        let at = |ms: u64| self.offset_ms.saturating_add(as_signed(ms));
        let last = self.last.map_or(0, |(seen_ms, _)| seen_ms);
        at(self.doubted_ms.unwrap_or(0))..=at(last)
    }

    /// What the machine's clocks said at the last look, Unix ms.
    pub(super) fn clocks_left_at(&self) -> Vec<i64> {
        let last = as_signed(self.last.map_or(0, |(seen_ms, _)| seen_ms));
        let clocks = [self.wall_ms, self.hardware_ms].into_iter().flatten();
        clocks.map(|clock| clock.saturating_add(last)).collect()
    }

    /// Use that waits for the boot to be dated, ms.
    pub(super) fn used_ms(&self) -> u64 {
        let used = self
            .sessions
            .iter()
            .filter(|session| session.kind == Kind::Used && session.dated == Dated::AsItsBoot);
        used.map(|session| session.end_ms.saturating_sub(session.start_ms))
            .sum()
    }

    /// Whether nothing of it waits.
    pub(super) fn is_done(&self) -> bool {
        self.sessions.is_empty() && self.signals.is_empty()
    }

    /// The signals that are not under way, as a report says them; none before the boot's time is known.
    pub(super) fn say_signals(&self, under_way: impl Fn(u32) -> bool) -> Vec<v1::Signal> {
        let dated = self.is_dated();
        let unsaid = self
            .signals
            .iter()
            .filter(|signal| dated && !under_way(signal.number));
        unsaid.map(|signal| signal.said(self.offset_ms)).collect()
    }

    /// Up to `most` of the wanted sessions as a report says them, oldest first, and what is said of their clock: it is
    /// one for all of them, so others may be left for the next report. None of those that wait for the boot's time.
    pub(super) fn say(&mut self, most: usize, wanted: impl Fn(&Session) -> bool) -> Said {
        let dated = self.is_dated();
        let offset_ms = self.offset_ms;
        let ready: Vec<(usize, ClockState)> = self
            .sessions
            .iter()
            .enumerate()
            .filter(|(_, session)| wanted(session))
            .filter(|(_, session)| dated || session.dated != Dated::AsItsBoot)
            .map(|(index, session)| (index, self.clock_of(session)))
            .collect();
        // Closed ones first: they can be acknowledged for good, so that the next report has others to say. What is left
        // out is more to say at once only where it is closed; open ones are said again anyway.
        let is_closed = |index: usize| self.sessions.get(index).is_some_and(|one| !one.open);
        let first = ready.iter().find(|(index, _)| is_closed(*index));
        let clock = first.or(ready.first()).map_or(self.clock(), |(_, of)| *of);
        let told: Vec<usize> = ready
            .iter()
            .filter(|(_, of)| *of == clock)
            .map(|(index, _)| *index)
            .take(most)
            .collect();
        let more = ready
            .iter()
            .any(|(index, _)| is_closed(*index) && !told.contains(index));
        let (sessions, carried): (Vec<_>, Vec<_>) = told
            .iter()
            .filter_map(|index| Some(self.sessions.get_mut(*index)?.say(offset_ms)))
            .unzip();
        Said {
            clock,
            sessions,
            carried,
            more,
        }
    }

    /// Drops the closed sessions whose final end was carried, and the signals. The answer is those sessions.
    pub(super) fn forget(&mut self, carried: &[Carried], signals: &[u32]) -> Vec<Seen> {
        let mut gone = Vec::new();
        self.signals
            .retain(|signal| !signals.contains(&signal.number));
        let offset_ms = self.offset_ms;
        self.sessions.retain(|session| {
            let done = carried.iter().any(|said| said.is_end_of(session));
            if done {
                gone.push(session.seen(offset_ms));
            }
            !done
        });
        self.forgotten.extend(&gone);
        let over = self.forgotten.len().saturating_sub(MOST_FORGOTTEN);
        self.forgotten.drain(..over);
        gone
    }

    /// What is not acknowledged.
    pub(super) fn held(&self) -> impl Iterator<Item = Seen> {
        let sessions = self.sessions.iter();
        sessions.map(|session| session.seen(self.offset_ms))
    }

    /// Everything that is held, or was acknowledged in this process.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let mut all: Vec<Seen> = self.forgotten.iter().copied().chain(self.held()).collect();
        all.sort_by_key(|seen| (seen.kind, seen.number));
        all
    }
}
