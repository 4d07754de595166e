//! Two machines under one identity, found by their boots: one machine's boots follow each other, two machines' take turns.
//!
//! What must be known of a terminal is its latest living boot and the one before, each with its highest sequence number.
//! A boot that comes back with a *new* report after the next one began takes a turn. Reports may be late and out of
//! order, so a turn counts only when the newer boot has been there for [`SETTLED`]: by then one machine's older boot has
//! said all it had to say. More than two machines push each other out of this memory; then a boot speaks that nobody
//! remembers and that does not introduce itself (a boot's first report carries facts), which counts less.
//! The stores keep this state beside a terminal's contact and change it in the same statement; the contract suite
//! compares them with this. Not responsible for which reports are of a living boot (ingest).

/// How long after a boot's first report the boot before may still be heard with reports that were under way, seconds.
pub const SETTLED: i64 = 300;

/// What a boot's return counts.
pub const RETURN: i32 = 3;

/// What a boot that nobody remembers and that does not introduce itself counts.
pub const STRANGER: i32 = 2;

/// From here on they are two machines: two returns, or three strangers.
pub const ALARM: i32 = 6;

/// From here on nothing more is counted.
pub const MOST: i32 = 1_000;

/// A boot and its highest sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Its id.
    pub boot: [u8; 16],
    /// Of a report without `over` and without `history`.
    pub sequence: i64,
}

/// What is known of a terminal's living boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boots {
    /// The boot that spoke last.
    pub latest: Heard,
    /// The one before it.
    pub before: Option<Heard>,
    /// When the newer of the two was first heard, Unix seconds of the service.
    pub since: i64,
    /// How strongly they take turns.
    pub turns: i32,
}

impl Boots {
    /// The first living boot that was heard.
    #[must_use]
    pub const fn new(latest: Heard, at: i64) -> Self {
        Self {
            latest,
            before: None,
            since: at,
            turns: 0,
        }
    }

    /// A report of a living boot. `introduced` where it came with facts, or where this terminal never says any.
    pub fn hear(&mut self, heard: Heard, facts: bool, introduced: bool, at: i64) {
        let settled = at >= self.since.saturating_add(SETTLED);
        if heard.boot == self.latest.boot {
            self.latest.sequence = self.latest.sequence.max(heard.sequence);
            if facts {
                // It was no stranger, its introduction came late.
                self.turns = (self.turns - STRANGER).max(0);
            }
            return;
        }
        if let Some(before) = &mut self.before
            && before.boot == heard.boot
        {
            if settled && heard.sequence > before.sequence {
                (self.before, self.latest) = (Some(self.latest), heard);
                self.count(RETURN);
            } else {
                before.sequence = before.sequence.max(heard.sequence);
            }
            return;
        }
        if !introduced && !settled {
            // As likely a late report of a boot that is long over.
            return;
        }
        if introduced {
            self.turns = 0;
        } else {
            self.count(STRANGER);
        }
        (self.before, self.latest) = (Some(self.latest), heard);
        self.since = at;
    }

    fn count(&mut self, points: i32) {
        if self.turns < MOST {
            self.turns += points;
        }
    }

    /// Whether two machines speak.
    #[must_use]
    pub const fn are_two_machines(&self) -> bool {
        self.turns >= ALARM
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One report as it arrives.
    #[derive(Debug, Clone, Copy)]
    struct Arrival {
        boot: u8,
        sequence: i64,
        facts: bool,
        at: i64,
    }

    fn play(mut arrivals: Vec<Arrival>) -> Option<Arrival> {
        arrivals.sort_by_key(|one| one.at);
        let mut boots: Option<Boots> = None;
        arrivals.into_iter().find(|one| {
            let heard = Heard {
                boot: [one.boot; 16],
                sequence: one.sequence,
            };
            match &mut boots {
                None => boots = Some(Boots::new(heard, one.at)),
                Some(boots) => boots.hear(heard, one.facts, one.facts, one.at),
            }
            boots.is_some_and(|boots| boots.are_two_machines())
        })
    }

    /// A machine that reports every `beat` seconds from `from` to `to`.
    fn machine(boot: u8, from: i64, to: i64, beat: i64) -> Vec<Arrival> {
        (from..to)
            .step_by(usize::try_from(beat).unwrap())
            .enumerate()
            .map(|(index, at)| Arrival {
                boot,
                sequence: (at - from) * 1_000 + 1,
                facts: index == 0,
                at,
            })
            .collect()
    }

    #[test]
    fn two_turns_are_two_machines_and_one_is_not() {
        let one = |boot, sequence, at| Arrival {
            boot,
            sequence,
            facts: sequence == 1,
            at,
        };
        let mut all = vec![
            one(1, 1, 0),
            one(1, 9, 540),
            one(2, 1, 600),
            one(1, 10, 900),
        ];
        assert!(play(all.clone()).is_none(), "one late report");
        all.push(one(1, 10, 1_000));
        assert!(play(all.clone()).is_none(), "and the same again");
        all.push(one(2, 2, 1_001));
        assert!(play(all).is_some());
    }

    proptest! {
        #[test]
        fn one_machine_never_raises_it(
            boots in prop::collection::vec((0..900_i64, 1..4_000_i64), 1..40),
            beat in 15..600_i64,
            delays in prop::collection::vec(0..SETTLED, 1..97),
            copies in prop::collection::vec(0..3_usize, 1..89),
        ) {
            let (mut all, mut at) = (Vec::new(), 0);
            for (number, (pause, length)) in boots.iter().enumerate() {
                at += pause;
                all.extend(machine(u8::try_from(number).unwrap(), at, at + length, beat));
                at += length;
            }
            let mut delayed = Vec::new();
            for (index, one) in all.into_iter().enumerate() {
                for copy in 0..=copies[index % copies.len()] {
                    let delay = delays[(index * 7 + copy * 31) % delays.len()];
                    delayed.push(Arrival { at: one.at + delay, ..one });
                }
            }
            prop_assert!(play(delayed).is_none());
        }

        #[test]
        fn machines_that_live_together_always_raise_it(
            starts in prop::collection::vec(0..600_i64, 2..8),
            beat in 15..120_i64,
            jitter in prop::collection::vec(0..20_i64, 1..53),
        ) {
            let mut all = Vec::new();
            for (number, start) in starts.iter().enumerate() {
                all.extend(machine(u8::try_from(number).unwrap(), *start, 3 * 3_600, beat));
            }
            for (index, one) in all.iter_mut().enumerate() {
                one.at += jitter[index % jitter.len()];
            }
            let raised = play(all);
            prop_assert!(raised.is_some());
            // A lesson is enough.
            prop_assert!(raised.is_some_and(|at| at.at < 600 + 40 * 60), "{raised:?}");
        }
    }
}
