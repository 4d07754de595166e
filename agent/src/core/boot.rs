//! One boot: its sessions in its own monotonic time, how they grow, and where they lie in civil time.
//!
//! Not responsible for when to report them (`outbox`).

use classpulse_proto::v1;

use super::{
    BootId, CoreEvent, Now, Observation, as_signed,
    state::{JournalState, StoredBoot, StoredSession},
};

/// A session is cut after so long: the service refuses sessions of more than a day.
const CUT_MS: u64 = 12 * 3_600 * 1_000;
/// Clocks that differ by less did not stand still: the machine was not suspended.
const SUSPEND_MS: u64 = 5_000;

/// What a session stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The machine was on.
    Powered,
    /// Somebody used it.
    Used,
}

/// A session as a log line shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What it stands for.
    pub kind: Kind,
    /// Number within boot and kind.
    pub number: u32,
    /// Unix seconds, by the best knowledge of time.
    pub start: i64,
    /// Unix seconds.
    pub end: i64,
    /// Whether it may still grow.
    pub open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) kind: Kind,
    pub(super) number: u32,
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    pub(super) open: bool,
    /// Start in Unix seconds, fixed when first reported: from then on the session only grows.
    placed: Option<i64>,
}

/// What a report said of a session: its name and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) kind: Kind,
    pub(super) number: u32,
    pub(super) end_ms: u64,
    pub(super) open: bool,
}

impl Carried {
    /// Whether this is the session's final form.
    pub(super) fn is_end_of(&self, session: &Session) -> bool {
        (self.kind, self.number, self.end_ms) == (session.kind, session.number, session.end_ms)
            && !self.open
            && !session.open
    }
}

impl Session {
    fn seen(&self, offset_ms: i64) -> Seen {
        let start = self
            .placed
            .unwrap_or_else(|| unix(self.start_ms, offset_ms));
        Seen {
            kind: self.kind,
            number: self.number,
            start,
            end: self.end(start),
            open: self.open,
        }
    }

    fn end(&self, start: i64) -> i64 {
        start.saturating_add(as_signed(self.end_ms.saturating_sub(self.start_ms) / 1_000))
    }
}

fn unix(mono_ms: u64, offset_ms: i64) -> i64 {
    offset_ms
        .saturating_add(as_signed(mono_ms))
        .div_euclid(1_000)
}

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
    /// The last observation: its moment, and how long the machine had slept until then.
    last: Option<(u64, u64)>,
    pub(super) last_sequence: u64,
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
            last_sequence: 0,
        }
    }

    pub(super) fn from_stored(stored: &StoredBoot) -> Option<Self> {
        let session = |stored: &StoredSession| Session {
            kind: if stored.used {
                Kind::Used
            } else {
                Kind::Powered
            },
            number: stored.number,
            start_ms: stored.start_ms,
            end_ms: stored.start_ms.saturating_add(stored.length_ms),
            open: stored.open,
            placed: stored.placed,
        };
        Some(Self {
            offset_ms: stored.offset_ms,
            synced: stored.synced,
            sessions: stored.sessions.iter().map(session).collect(),
            powered_count: stored.powered_count,
            used_count: stored.used_count,
            ..Self::new(stored.id.as_slice().try_into().ok()?)
        })
    }

    pub(super) fn stored(&self) -> StoredBoot {
        let session = |session: &Session| StoredSession {
            used: session.kind == Kind::Used,
            number: session.number,
            start_ms: session.start_ms,
            length_ms: session.end_ms.saturating_sub(session.start_ms),
            open: session.open,
            placed: session.placed,
        };
        StoredBoot {
            id: self.id.to_vec(),
            offset_ms: self.offset_ms,
            synced: self.synced,
            powered_count: self.powered_count,
            used_count: self.used_count,
            sessions: self.sessions.iter().map(session).collect(),
        }
    }

    /// The boot is over: what it left open ended where it was last seen.
    pub(super) fn end(&mut self) {
        for session in &mut self.sessions {
            session.open = false;
        }
    }

    /// The agent starts in this boot, for the first time or again. A session of use that an earlier process left
    /// open ended where it was last seen: nobody knows what happened since.
    pub(super) fn resume(&mut self, now: Now) {
        for session in self
            .sessions
            .iter_mut()
            .filter(|session| session.kind == Kind::Used)
        {
            session.open = false;
        }
        if self.powered_count == 0 {
            // On since the boot, although the agent came later.
            let slept = now.mono_ms.saturating_sub(now.awake_ms);
            self.open(Kind::Powered, slept, slept);
        }
        // A sleep while no agent ran can't be told from the clocks alone; it is told from now on.
        self.last = Some((now.mono_ms, now.mono_ms.saturating_sub(now.awake_ms)));
    }

    fn open(&mut self, kind: Kind, start_ms: u64, end_ms: u64) {
        let count = match kind {
            Kind::Powered => &mut self.powered_count,
            Kind::Used => &mut self.used_count,
        };
        *count = count.saturating_add(1);
        let number = *count;
        self.sessions.push(Session {
            kind,
            number,
            start_ms,
            end_ms,
            open: true,
            placed: None,
        });
    }

    fn current(&mut self, kind: Kind) -> Option<&mut Session> {
        self.sessions
            .iter_mut()
            .rev()
            .find(|session| session.kind == kind && session.open)
    }

    fn close(&mut self, kind: Kind, events: &mut Vec<CoreEvent>) {
        let offset_ms = self.offset_ms;
        if let Some(session) = self.current(kind) {
            session.open = false;
            events.push(CoreEvent::Closed(session.seen(offset_ms)));
        }
    }

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
        let mut begin = last;
        if nap > SUSPEND_MS {
            // Asleep at some moment since the last look: power ends there, and begins again at the waking.
            self.close(Kind::Used, events);
            self.close(Kind::Powered, events);
            begin = now
                .mono_ms
                .saturating_sub(now.mono_ms.saturating_sub(last).saturating_sub(nap));
        }
        self.grow(Kind::Powered, begin, now.mono_ms, events);
        self.observe_use(now, seen, idle_ms, begin, events);
    }

    fn observe_use(
        &mut self,
        now: Now,
        seen: Observation,
        idle_ms: u64,
        begin: u64,
        events: &mut Vec<CoreEvent>,
    ) {
        let input = seen.last_input_mono_ms.map(|at| at.min(now.mono_ms));
        let active = if seen.playing {
            Some(now.mono_ms)
        } else {
            input
        };
        let known = self.current(Kind::Used).map(|session| session.end_ms);
        match (known, active) {
            (Some(end), Some(at)) if at > end && at - end < idle_ms => {
                self.grow(Kind::Used, at, at, events);
                if now.mono_ms.saturating_sub(at) >= idle_ms {
                    self.close(Kind::Used, events);
                }
            }
            (Some(end), _) if now.mono_ms.saturating_sub(end) >= idle_ms => {
                self.close(Kind::Used, events);
                self.begin_use(active.filter(|at| *at > end), now, idle_ms, events);
            }
            (Some(_), _) => {}
            (None, active) => {
                let after = self.last_use_end().max(begin.saturating_sub(idle_ms));
                self.begin_use(active.filter(|at| *at >= after), now, idle_ms, events);
            }
        }
    }

    fn last_use_end(&self) -> u64 {
        let used = self
            .sessions
            .iter()
            .filter(|session| session.kind == Kind::Used);
        used.map(|session| session.end_ms.saturating_add(1))
            .max()
            .unwrap_or(0)
    }

    fn begin_use(&mut self, at: Option<u64>, now: Now, idle_ms: u64, events: &mut Vec<CoreEvent>) {
        let Some(at) = at.filter(|at| now.mono_ms.saturating_sub(*at) < idle_ms) else {
            return;
        };
        self.grow(Kind::Used, at, at, events);
    }

    /// Extends the open session to `end`, or opens one from `begin`; cuts what has become too long.
    fn grow(&mut self, kind: Kind, begin: u64, end: u64, events: &mut Vec<CoreEvent>) {
        let offset_ms = self.offset_ms;
        let mut from = begin;
        while let Some(session) = self.current(kind) {
            let cut = session.start_ms.saturating_add(CUT_MS);
            session.end_ms = session.end_ms.max(end.min(cut));
            if end <= cut {
                return;
            }
            session.open = false;
            events.push(CoreEvent::Closed(session.seen(offset_ms)));
            from = cut;
            self.open(kind, from, from);
        }
        self.open(kind, from, end.max(from));
        if let Some(session) = self.current(kind) {
            events.push(CoreEvent::Opened(session.seen(offset_ms)));
        }
    }

    pub(super) fn close_all(&mut self, now: Now, events: &mut Vec<CoreEvent>) {
        self.grow(Kind::Powered, now.mono_ms, now.mono_ms, events);
        self.close(Kind::Used, events);
        self.close(Kind::Powered, events);
    }

    /// Whether its sessions may be dated: once time is known, or once the boot is over and no better time will come.
    fn may_place(&self, over: bool) -> bool {
        self.synced || over
    }

    /// Up to `most` of the wanted sessions as a report says them, oldest first. Placing is for good.
    pub(super) fn say(
        &mut self,
        over: bool,
        most: usize,
        wanted: impl Fn(&Session) -> bool,
    ) -> (Vec<v1::Session>, Vec<Carried>) {
        if !self.may_place(over) {
            return (Vec::new(), Vec::new());
        }
        let offset_ms = self.offset_ms;
        let said = self
            .sessions
            .iter_mut()
            .filter(|session| wanted(session))
            .take(most)
            .map(|session| {
                let start = *session
                    .placed
                    .get_or_insert_with(|| unix(session.start_ms, offset_ms));
                let kind = match session.kind {
                    Kind::Powered => v1::Kind::Powered,
                    Kind::Used => v1::Kind::Used,
                };
                let said = v1::Session {
                    kind: kind.into(),
                    number: session.number,
                    start,
                    end: session.end(start),
                    open: session.open,
                };
                let carried = Carried {
                    kind: session.kind,
                    number: session.number,
                    end_ms: session.end_ms,
                    open: session.open,
                };
                (said, carried)
            });
        said.unzip()
    }

    /// Drops the closed sessions whose final end was carried.
    pub(super) fn forget(&mut self, carried: &[Carried]) {
        let offset_ms = self.offset_ms;
        let forgotten = &mut self.forgotten;
        self.sessions.retain(|session| {
            let done = !session.open && carried.iter().any(|said| said.is_end_of(session));
            if done {
                forgotten.push(session.seen(offset_ms));
            }
            !done
        });
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        let mut all = self.forgotten.clone();
        all.extend(
            self.sessions
                .iter()
                .map(|session| session.seen(self.offset_ms)),
        );
        all.sort_by_key(|seen| (seen.kind, seen.number));
        all.dedup_by_key(|seen| (seen.kind, seen.number));
        all
    }
}
