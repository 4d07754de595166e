//! What a demo terminal does on a day, seeded: the script that the real agent core is driven by, and the truth to
//! compare its minutes with.
//!
//! Not responsible for sensing or reporting: that is the agent's own code.

use jiff::civil::Date;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::county::{Actor, Role};
use crate::domain::{
    calendar::TeachingDay,
    minutes::{MINUTES_PER_DAY, MinuteSet},
};

/// One power-on, in seconds since local midnight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// When it is switched on.
    pub on: i64,
    /// When it is switched off.
    pub off: i64,
    /// Whether it is cut off at the wall instead of shut down.
    pub cut: bool,
    /// When somebody uses it, in order, never overlapping.
    pub uses: Vec<Use>,
}

/// One use, in seconds since local midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// First input, or the film's start.
    pub start: i64,
    /// Last input, or the film's end.
    pub end: i64,
    /// A film: sound without input.
    pub film: bool,
}

/// The script of one terminal's day; empty for a day on which it stays off.
#[must_use]
pub fn day(seed: u64, actor: &Actor, day: Date, teaching: Option<&TeachingDay>) -> Vec<Boot> {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ hash(&format!("{} {day}", actor.id)));
    match (actor.role, teaching) {
        (Role::Silent, _) | (Role::Usual | Role::PowerCut | Role::DeadClock, None) => Vec::new(),
        (Role::Cheater, _) => vec![Boot {
            on: 0,
            off: 86_340,
            cut: false,
            uses: vec![Use {
                start: 60,
                end: 86_280,
                film: false,
            }],
        }],
        (role, Some(teaching)) => vec![school_day(
            &mut random,
            actor,
            teaching,
            role == Role::PowerCut,
        )],
    }
}

fn school_day(random: &mut ChaCha8Rng, actor: &Actor, teaching: &TeachingDay, cut: bool) -> Boot {
    let minute = |value: u16| i64::from(value) * 60;
    let mut uses = Vec::new();
    for lesson in &teaching.lessons {
        let Some(run) = lesson.runs().first().copied() else {
            continue;
        };
        if random.random_range(0..1_000) >= actor.diligence {
            continue;
        }
        let start = minute(run.start) + 60 * random.random_range(0..4);
        let end = minute(run.end) - 60 * random.random_range(0..6);
        if random.random_range(0..4) == 0 {
            // Ten minutes of explaining at the board, then a film to the end.
            let pause = start + 60 * random.random_range(5..10);
            uses.push(Use {
                start,
                end: pause,
                film: false,
            });
            uses.push(Use {
                start: pause + 480,
                end,
                film: true,
            });
        } else {
            uses.push(Use {
                start,
                end,
                film: false,
            });
        }
    }
    let on = 7 * 3_600 + 60 * random.random_range(10..50);
    let mut off = 16 * 3_600 + 60 * random.random_range(10..40);
    if random.random_range(0..10) == 0 {
        // A club after school: used, but outside teaching time.
        uses.push(Use {
            start: 16 * 3_600 + 2_700,
            end: 17 * 3_600 + 1_800,
            film: false,
        });
        off = 17 * 3_600 + 2_400;
    }
    if cut && random.random_range(0..3) == 0 {
        off = 60 * random.random_range(600..900);
        for one in &mut uses {
            one.end = one.end.min(off);
        }
        uses.retain(|one| one.start < one.end);
        return Boot {
            on,
            off,
            cut: true,
            uses,
        };
    }
    Boot {
        on,
        off,
        cut: false,
        uses,
    }
}

/// The minutes that a day's script amounts to, found without the agent: uses less than `idle` seconds apart are one.
#[must_use]
pub fn truth(boots: &[Boot], idle: i64) -> (MinuteSet, MinuteSet) {
    let (mut powered, mut used) = (MinuteSet::EMPTY, MinuteSet::EMPTY);
    for boot in boots {
        set(&mut powered, boot.on, boot.off);
        let mut merged: Vec<(i64, i64)> = Vec::new();
        for one in &boot.uses {
            match merged.last_mut().filter(|last| one.start - last.1 < idle) {
                Some(last) => last.1 = last.1.max(one.end),
                None => merged.push((one.start, one.end)),
            }
        }
        for (start, end) in merged {
            set(&mut used, start, end);
        }
    }
    (powered, used)
}

/// Scripts lie on whole minutes, so that no rounding is part of the truth.
fn set(minutes: &mut MinuteSet, start: i64, end: i64) {
    let minute = |second: i64| u16::try_from(second / 60).unwrap_or(MINUTES_PER_DAY);
    minutes.insert(minute(start), minute(end));
}

/// FNV-1a: makes a seed of a text.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::demo::county::{Cast, FULL};
    use crate::domain::{calendar::Calendar, ids::Stage};

    #[test]
    fn scripts_are_repeatable_orderly_and_on_whole_minutes() {
        let cast = Cast::new(FULL, date(2026, 11, 25)).unwrap();
        let calendar = Calendar::parse(&cast.calendar).unwrap();
        let monday = date(2026, 11, 16);
        let teaching = calendar.teaching(Stage::Primary, monday);
        let mut cuts = 0;
        for actor in &cast.actors {
            let boots = day(7, actor, monday, teaching);
            assert_eq!(boots, day(7, actor, monday, teaching));
            for boot in &boots {
                cuts += usize::from(boot.cut);
                assert!(boot.on < boot.off && boot.on % 60 == 0 && boot.off % 60 == 0);
                assert!(
                    boot.uses
                        .windows(2)
                        .all(|pair| pair[0].end <= pair[1].start),
                    "{boot:?}"
                );
                for one in &boot.uses {
                    assert!(
                        boot.on < one.start && one.start < one.end && one.end <= boot.off,
                        "{boot:?}"
                    );
                    assert!(one.start % 60 == 0 && one.end % 60 == 0);
                }
            }
            let (powered, used) = truth(&boots, 300);
            assert!(used.is_subset(&powered));
        }
        assert!(cuts <= 1);
    }
}
