//! What really happened, in true time: when each machine was on, and what a look could see of its use.
//!
//! Kept beside the product and never read by it. Not responsible for comparing (`verdict`).

use std::collections::{BTreeMap, BTreeSet};

use classpulse_agent::core::{BootId, JournalState, StoredBoot};

/// What may be lost before the power goes, seconds.
pub const TAIL: i64 = 15;

/// How far a boot may be shifted whose wrong clock was corrected by the service's answer, seconds: an answer is
/// believed while it is at most 15 s old, and names whole seconds.
pub const SERVICE_DATING: i64 = 16;

/// An interval of truth in true Unix seconds, with what must and what may be recorded of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) truth: (i64, i64),
    pub(super) must: (i64, i64),
    pub(super) may: (i64, i64),
}

/// An input, or a film at the moment of a look.
#[derive(Debug, Clone, Copy)]
struct Sight {
    at: i64,
    look: i64,
    /// How many sleeps came before it.
    sleeps: u32,
    /// Seen, but perhaps not written before the power or the agent went.
    soft: bool,
}

/// How a journal dates a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Dating {
    pub(super) vouched: bool,
    /// Its clock minus the truth, ms.
    pub(super) error_ms: i64,
}

/// A sleep that time since boot does not count, seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uncounted {
    pub(super) woke: i64,
    pub(super) gap: i64,
}

/// A sleep that time since boot counts, and over which somebody set the clock while nobody had said the time.
#[derive(Debug, Clone, Copy)]
pub(super) struct SetOver {
    /// When it was over.
    pub(super) woke: i64,
    /// The clock's error before it, seconds.
    pub(super) error: i64,
}

/// One boot of one machine.
#[derive(Debug)]
pub(super) struct Boot {
    pub(super) machine: usize,
    pub(super) terminal: usize,
    pub(super) number: u32,
    pub(super) on: i64,
    pub(super) off: i64,
    pub(super) ending: &'static str,
    pub(super) powered: Vec<Span>,
    /// Since when it is awake, with the earliest second that may be recorded.
    awake: Option<(i64, i64)>,
    sights: Vec<Sight>,
    sleeps: u32,
    /// The last input before its sleep.
    last_input: Option<i64>,
    /// Errors of its clock while nobody had vouched for it, seconds.
    pub(super) errors: BTreeSet<i64>,
    /// When somebody first vouched for its clock so that the agent must have heard it.
    pub(super) vouched: Option<i64>,
    /// The sleep that its time since boot lacks.
    pub(super) uncounted: Option<Uncounted>,
    /// The sleep over which its clock was set.
    pub(super) set_over: Option<SetOver>,
    /// Its clock was set right after that sleep before anybody looked, and nobody had known the time before: what came
    /// before it is moved by the sleep.
    pub(super) unseen: bool,
    /// Its clock stood still without power, and the agent began without knowing of the machine's boot before: what that boot
    /// knew of the time, and where it left the clock, is gone with the disk, or there was no agent in it.
    pub(super) orphan: bool,
    /// Before which second everything is certainly written.
    pub(super) written: i64,
    /// As its own disk dated it when it ended.
    pub(super) dating: Option<Dating>,
    /// As any journal dated it that an agent began with.
    pub(super) datings: BTreeSet<Dating>,
}

impl Boot {
    /// Whether its clock was ever wrong before somebody vouched for it.
    pub(super) fn was_wrong(&self) -> bool {
        self.errors.iter().any(|error| *error != 0)
    }

    pub(super) fn saw(&mut self, at: i64, look: i64) {
        if self.sights.last().is_some_and(|last| last.at >= at) {
            return;
        }
        self.sights.push(Sight {
            at,
            look,
            sleeps: self.sleeps,
            soft: false,
        });
    }

    /// What was seen after this second was perhaps not written.
    pub(super) fn soften(&mut self, written: i64) {
        for sight in self.sights.iter_mut().rev() {
            if sight.look <= written {
                break;
            }
            sight.soft = true;
        }
    }

    /// It falls asleep; `input` was the last before that, whether a look saw it or not.
    pub(super) fn sleep(&mut self, at: i64, input: Option<i64>) {
        self.last_input = input;
        self.finish(at, at - TAIL);
        self.sleeps += 1;
    }

    /// It woke from a sleep that its clock did not count; the clock is off by so much now.
    pub(super) fn lose(&mut self, woke: i64, gap: i64, error: i64) {
        self.uncounted = Some(Uncounted { woke, gap });
        self.errors.insert(error);
    }

    pub(super) fn wake(&mut self, at: i64) {
        self.awake = Some((at, at - TAIL));
    }

    /// The power goes; everything until `written` is certainly in the journal.
    pub(super) fn end(&mut self, at: i64, written: i64, ending: &'static str) {
        self.finish(at, written);
        self.soften(written);
        (self.off, self.written, self.ending) = (at, written, ending);
    }

    fn finish(&mut self, at: i64, written: i64) {
        if let Some((from, earliest)) = self.awake.take() {
            self.powered.push(Span {
                truth: (from, at),
                must: (from, written),
                may: (earliest, at),
            });
        }
    }

    /// Use around a sleep that nobody saw, by the time that dates it later, where it is other than what the looks saw moved by
    /// the sleep: it goes on over the sleep, or its last input was seen only after it.
    pub(super) fn used_over_sleep(&self, idle: i64) -> Option<(i64, i64)> {
        let sleep = self.uncounted.filter(|_| self.unseen)?;
        let used = self.used(true, idle);
        let seen = used.iter().rfind(|span| span.0 < sleep.woke).copied();
        let late = self
            .last_input
            .filter(|input| seen.is_none_or(|(_, end)| *input > end));
        let (start, end) = match (seen, late) {
            (Some((start, end)), Some(input)) if input - end < idle => (start, input),
            (_, Some(input)) => (input, input),
            (seen, None) => seen?,
        };
        let (start, end) = (start + sleep.gap, end + sleep.gap);
        let again = used.iter().find(|span| span.0 >= sleep.woke);
        match again.filter(|again| again.0 - end < idle) {
            Some(again) => Some((start, again.1)),
            None => late.map(|_| (start, end)),
        }
    }

    /// Used intervals: from input to input while less than the idle threshold passes. With `all`, also what was
    /// perhaps not written.
    pub(super) fn used(&self, all: bool, idle: i64) -> Vec<(i64, i64)> {
        let mut found: Vec<(i64, i64)> = Vec::new();
        let mut sleeps = 0;
        for sight in self.sights.iter().filter(|sight| all || !sight.soft) {
            match found.last_mut() {
                Some((_, end)) if sight.sleeps == sleeps && sight.at - *end < idle => {
                    *end = sight.at;
                }
                _ => found.push((sight.at, sight.at)),
            }
            sleeps = sight.sleeps;
        }
        found
    }
}

/// Every boot there was.
#[derive(Debug, Default)]
pub(super) struct Truth {
    pub(super) boots: Vec<Boot>,
    by_id: BTreeMap<BootId, usize>,
}

impl Truth {
    pub(super) fn begin(
        &mut self,
        id: BootId,
        machine: usize,
        terminal: usize,
        number: u32,
        on: i64,
    ) -> usize {
        let index = self.boots.len();
        self.by_id.insert(id, index);
        self.boots.push(Boot {
            machine,
            terminal,
            number,
            on,
            off: on,
            ending: "",
            powered: Vec::new(),
            awake: Some((on, on)),
            sights: Vec::new(),
            sleeps: 0,
            last_input: None,
            errors: BTreeSet::new(),
            vouched: None,
            uncounted: None,
            set_over: None,
            unseen: false,
            orphan: false,
            written: on,
            dating: None,
            datings: BTreeSet::new(),
        });
        index
    }

    fn dating(&self, stored: &StoredBoot) -> Option<(usize, Dating)> {
        let id: BootId = stored.id.as_slice().try_into().ok()?;
        let index = *self.by_id.get(&id)?;
        let dating = Dating {
            vouched: stored.synced,
            error_ms: stored.offset_ms - self.boots[index].on * 1_000,
        };
        Some((index, dating))
    }

    /// An agent begins with this journal, in this boot: what is over there will be dated so.
    pub(super) fn loaded(&mut self, state: &JournalState, current: Option<usize>) {
        for stored in &state.boots {
            if let Some((index, dating)) = self.dating(stored)
                && Some(index) != current
            {
                self.boots[index].datings.insert(dating);
            }
        }
    }

    /// An agent begins with this journal, or none, in this boot whose clock stood still before it.
    pub(super) fn began(&mut self, boot: usize, state: Option<&JournalState>) {
        let machine = self.boots[boot].machine;
        let mut earlier = self.boots[..boot].iter();
        let Some(before) = earlier.rposition(|one| one.machine == machine) else {
            return;
        };
        let known = state.into_iter().flat_map(|state| &state.boots);
        let mut known = known.filter_map(|stored| Some(self.dating(stored)?.0));
        self.boots[boot].orphan |= !known.any(|one| one == before || one == boot);
    }

    /// A boot has ended; this is what its disk says of it.
    pub(super) fn dated(&mut self, boot: usize, state: &JournalState) {
        let found = state.boots.iter().find_map(|stored| {
            self.dating(stored)
                .filter(|(index, _)| *index == boot)
                .map(|(_, dating)| dating)
        });
        self.boots[boot].dating = found;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slept from 1,000 to 5,000 of true time, which its clock did not count, and was used before and after as told.
    fn boot(seen: &[i64], last_input: i64, after: &[i64]) -> Boot {
        let mut truth = Truth::default();
        let index = truth.begin([1; 16], 0, 0, 1, 0);
        let mut boot = truth.boots.remove(index);
        for at in seen {
            boot.saw(*at, *at);
        }
        boot.sleep(1_000, Some(last_input));
        boot.wake(5_000);
        boot.lose(5_000, 4_000, 0);
        boot.unseen = true;
        for at in after {
            boot.saw(*at, *at);
        }
        boot
    }

    #[test]
    fn only_what_the_looks_did_not_see_is_moved_over_a_sleep() {
        for (seen, last_input, after, expected) in [
            // All was seen, and it ended there.
            (vec![900, 950], 950, vec![], None),
            (vec![900, 950], 950, vec![5_400], None),
            // It goes on within the idle threshold, counted from the moved end.
            (vec![900, 950], 950, vec![5_020], Some((4_900, 5_020))),
            // The last input was seen after the sleep only.
            (vec![900, 950], 990, vec![], Some((4_900, 4_990))),
            (vec![900, 950], 990, vec![5_020], Some((4_900, 5_020))),
            (vec![100, 200], 990, vec![], Some((4_990, 4_990))),
            (vec![], 990, vec![5_020], Some((4_990, 5_020))),
        ] {
            let boot = boot(&seen, last_input, &after);
            assert_eq!(
                boot.used_over_sleep(300),
                expected,
                "{seen:?} {last_input} {after:?}"
            );
        }
        let mut seen = boot(&[900, 950], 990, &[]);
        seen.unseen = false;
        assert_eq!(seen.used_over_sleep(300), None, "the agent noticed it");
    }
}
