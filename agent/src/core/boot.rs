//! One boot: its sessions in its own monotonic time, how they begin, grow and end.
//!
//! Not responsible for when to report them (`outbox`) or for where they lie in civil time (`session`).

use classpulse_proto::v1;

use super::{
    BootId, CoreEvent, Now, Observation, as_signed,
    session::{CUT_MS, Carried, Kind, Seen, Session},
    state::{JournalState, StoredBoot},
};

/// Clocks that differ by no more did not stand still: the machine was not suspended.
const SUSPEND_MS: u64 = 5_000;
/// Most cuts at one look, 500 days: a clock that jumps further is wrong, and must not fill the memory.
const MOST_CUTS: usize = 1_000;
/// Numbers left out when an agent starts again within a boot: sessions that the process before opened and reported
/// after its last write had some of them, and a number must never stand for two sessions.
const UNWRITTEN_NUMBERS: u32 = 100;
/// The same for sequence numbers of a boot that is over; they rise by about one a millisecond.
const UNWRITTEN_SEQUENCES: u64 = 3_600_000;

#[derive(Debug)]
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
    /// What was acknowledged in this process, for the log at its end.
    forgotten: Vec<Seen>,
    powered_count: u32,
    used_count: u32,
    /// The last look: its moment, and how long the machine had slept until then.
    last: Option<(u64, u64)>,
    /// Input before this moment is already in a session, or lies before a sleep.
    use_floor_ms: u64,
    last_sequence: u64,
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
        }
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

    /// The agent starts in this boot, for the first time or again.
    pub(super) fn resume(&mut self, now: Now, events: &mut Vec<CoreEvent>) {
        let slept = now.mono_ms.saturating_sub(now.awake_ms);
        if self.powered_count == 0 {
            // On since the boot, although the agent came later. When it slept in between nobody knows.
            self.open(Kind::Powered, slept, events);
            self.grow(Kind::Powered, slept, now.mono_ms, events);
        } else {
            self.powered_count = self.powered_count.saturating_add(UNWRITTEN_NUMBERS);
            self.used_count = self.used_count.saturating_add(UNWRITTEN_NUMBERS);
        }
        self.last.get_or_insert((now.mono_ms, slept));
    }

    /// The next report's sequence number: rises within a boot, also over restarts of the agent.
    pub(super) fn next_sequence(&mut self, now: Now) -> u64 {
        self.last_sequence = self.last_sequence.saturating_add(1).max(now.mono_ms);
        self.last_sequence
    }
}

/// How sessions live.
impl Boot {
    fn open(&mut self, kind: Kind, start_ms: u64, events: &mut Vec<CoreEvent>) {
        let count = match kind {
            Kind::Powered => &mut self.powered_count,
            Kind::Used => &mut self.used_count,
        };
        *count = count.saturating_add(1);
        let session = Session::new(kind, *count, start_ms);
        events.push(CoreEvent::Opened(session.seen(self.offset_ms)));
        self.sessions.push(session);
    }

    fn current(&mut self, kind: Kind) -> Option<&mut Session> {
        self.sessions
            .iter_mut()
            .rev()
            .find(|session| session.kind == kind && session.open)
    }

    fn close(&mut self, kind: Kind, events: &mut Vec<CoreEvent>) {
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
        let active = if seen.playing || seen.presenting {
            Some(now.mono_ms)
        } else {
            input
        };
        if let Some(end) = self.current(Kind::Used).map(|session| session.end_ms) {
            let within = end..end.saturating_add(idle_ms);
            let reached = active.filter(|at| within.contains(at)).unwrap_or(end);
            self.grow(Kind::Used, reached, reached, events);
            if now.mono_ms.saturating_sub(reached) >= idle_ms {
                self.close(Kind::Used, events);
            }
        }
        if self.current(Kind::Used).is_none() {
            let fresh =
                |at: &u64| *at >= self.use_floor_ms && now.mono_ms.saturating_sub(*at) < idle_ms;
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
    /// Up to `most` of the wanted sessions as a report says them, oldest first. None before the boot's time is known;
    /// a boot that is over will know no better time, and is dated by its own clock.
    pub(super) fn say(
        &mut self,
        over: bool,
        most: usize,
        wanted: impl Fn(&Session) -> bool,
    ) -> (Vec<v1::Session>, Vec<Carried>) {
        if !(self.synced || over) {
            return (Vec::new(), Vec::new());
        }
        let offset_ms = self.offset_ms;
        self.sessions
            .iter_mut()
            .filter(|session| wanted(session))
            .take(most)
            .map(|session| session.say(offset_ms))
            .unzip()
    }

    /// Drops the closed sessions whose final end was carried.
    pub(super) fn forget(&mut self, carried: &[Carried]) {
        let offset_ms = self.offset_ms;
        let forgotten = &mut self.forgotten;
        self.sessions.retain(|session| {
            let done = carried.iter().any(|said| said.is_end_of(session));
            if done {
                forgotten.push(session.seen(offset_ms));
            }
            !done
        });
    }

    /// Everything that is held, or was acknowledged in this process.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let held = self
            .sessions
            .iter()
            .map(|session| session.seen(self.offset_ms));
        let mut all: Vec<Seen> = self.forgotten.iter().copied().chain(held).collect();
        all.sort_by_key(|seen| (seen.kind, seen.number));
        all
    }
}
