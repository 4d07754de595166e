//! Minutes of a day as sets of bits, and the merge that makes order and repetition harmless (DESIGN §1).
//!
//! Not responsible for how a session becomes minutes (`session`), nor for which minutes count (`calendar`).

use std::{fmt, ops, str::FromStr};

/// Minutes in a civil day.
pub const MINUTES_PER_DAY: u16 = 1_440;

/// Length of a stored set: one bit a minute.
pub const BYTES: usize = MINUTES_PER_DAY as usize / 8;

const WORDS: usize = 23;

/// A set of minutes of one civil day. Minute 0 is 00:00, minute 1,439 is 23:59.
///
/// Stored with minute 0 as the highest bit of the first byte, which is also the bit order of SQL's `bit(1440)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MinuteSet([u64; WORDS]);

/// Minutes `[start, end)` of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// First minute, 0 to 1,439.
    pub start: u16,
    /// The minute after the last, 1 to 1,440.
    pub end: u16,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (a, b) = (self.start, self.end);
        write!(f, "{:02}:{:02}-{:02}:{:02}", a / 60, a % 60, b / 60, b % 60)
    }
}

/// Stored bits that are no set of minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a set of minutes has {BYTES} bytes, not {0}")]
pub struct WrongLength(pub usize);

/// A text that is no set of minutes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no run of minutes such as 08:00-08:40")]
pub struct NoRun(String);

/// As runs: `08:00-08:40 09:05-09:06`; nothing for the empty set.
impl fmt::Display for MinuteSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs: Vec<_> = self.runs().iter().map(ToString::to_string).collect();
        f.write_str(&runs.join(" "))
    }
}

/// The reverse; runs may come in any order.
impl FromStr for MinuteSet {
    type Err = NoRun;

    fn from_str(text: &str) -> Result<Self, NoRun> {
        let mut set = Self::EMPTY;
        for text in text.split_whitespace() {
            let Some((start, end)) = run(text) else {
                return Err(NoRun(text.chars().take(40).collect()));
            };
            set.insert(start, end);
        }
        Ok(set)
    }
}

/// `08:00-08:40` as its first minute and the one after its last; `None` for anything else.
pub(super) fn run(text: &str) -> Option<(u16, u16)> {
    let (start, end) = text.split_once('-')?;
    let (start, end) = (minute(start.trim())?, minute(end.trim())?);
    (start < end).then_some((start, end))
}

/// `08:40` as the minute of the day, 24:00 included; `None` for anything else.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && minute <= MINUTES_PER_DAY).then_some(minute)
}

impl MinuteSet {
    /// No minute.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Adds the minutes `[start, end)`; what lies past the day's end is left out.
    pub fn insert(&mut self, start: u16, end: u16) {
        let (start, end) = (usize::from(start), usize::from(end.min(MINUTES_PER_DAY)));
        let mut at = start;
        while at < end {
            let stop = end.min((at / 64 + 1) * 64);
            let width = stop - at;
            let bits = if width == 64 {
                !0
            } else {
                ((1 << width) - 1) << (64 - width)
            };
            self.0[at / 64] |= bits >> (at % 64);
            at = stop;
        }
    }

    /// The set of the minutes `[start, end)`.
    #[must_use]
    pub fn of(start: u16, end: u16) -> Self {
        let mut set = Self::EMPTY;
        set.insert(start, end);
        set
    }

    /// Whether a minute is in the set.
    #[must_use]
    pub fn contains(&self, minute: u16) -> bool {
        minute < MINUTES_PER_DAY
            && (self.0[usize::from(minute) / 64] << (minute % 64)) & (1 << 63) != 0
    }

    /// How many minutes: 0 to 1,440.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether there is no minute.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// Whether every minute of this set is also in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        (*self & *other) == *self
    }

    /// The minutes as runs, in order, none touching the next.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut at = 0;
        while let Some(start) = self.next(at, true) {
            let end = self.next(start, false).unwrap_or(MINUTES_PER_DAY);
            runs.push(Run { start, end });
            at = end;
        }
        runs
    }

    /// The first minute from `at` on that is in the set (or, for `present` false, is not).
    fn next(&self, at: u16, present: bool) -> Option<u16> {
        let mut at = at;
        while at < MINUTES_PER_DAY {
            let word = self.0[usize::from(at) / 64];
            let word = if present { word } else { !word };
            let rest = word << (at % 64);
            if rest != 0 {
                let found = at + u16::try_from(rest.leading_zeros()).unwrap_or(0);
                return (found < MINUTES_PER_DAY).then_some(found);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }

    /// The bits as they are stored.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; WORDS * 8];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        let mut stored = [0; BYTES];
        stored.copy_from_slice(&bytes[..BYTES]);
        stored
    }

    /// Reads stored bits.
    ///
    /// # Errors
    /// [`WrongLength`] unless there are exactly 180 bytes.
    pub fn from_bytes(stored: &[u8]) -> Result<Self, WrongLength> {
        if stored.len() != BYTES {
            return Err(WrongLength(stored.len()));
        }
        let mut bytes = [0; WORDS * 8];
        bytes[..BYTES].copy_from_slice(stored);
        let mut words = [0; WORDS];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = chunk
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        Ok(Self(words))
    }
}

impl Default for MinuteSet {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl ops::BitOr for MinuteSet {
    type Output = Self;
    fn bitor(mut self, other: Self) -> Self {
        self |= other;
        self
    }
}

impl ops::BitOrAssign for MinuteSet {
    fn bitor_assign(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine |= theirs;
        }
    }
}

impl ops::BitAnd for MinuteSet {
    type Output = Self;
    fn bitand(mut self, other: Self) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine &= theirs;
        }
        self
    }
}

impl fmt::Debug for MinuteSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(
                self.runs()
                    .iter()
                    .map(|run| format_args!("{run}").to_string()),
            )
            .finish()
    }
}

/// What is known of one terminal on one day. Only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DayMinutes {
    /// The machine was on.
    pub powered: MinuteSet,
    /// The machine was used. Always inside `powered`.
    pub used: MinuteSet,
    /// The latest end of any session, Unix seconds; tells how far the day is known.
    pub last_seen: i64,
}

impl DayMinutes {
    /// Joins what two reports, aggregators or replays know: commutative, associative, idempotent.
    pub fn merge(&mut self, other: &Self) {
        self.powered |= other.powered;
        self.used |= other.used;
        self.last_seen = self.last_seen.max(other.last_seen);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_set() -> impl Strategy<Value = MinuteSet> {
        proptest::collection::vec((0..MINUTES_PER_DAY, 0..=MINUTES_PER_DAY), 0..6).prop_map(
            |runs| {
                let mut set = MinuteSet::EMPTY;
                for (a, b) in runs {
                    set.insert(a, b);
                }
                set
            },
        )
    }

    fn any_day() -> impl Strategy<Value = DayMinutes> {
        (any_set(), any_set(), 0..10_000_i64).prop_map(|(powered, used, last_seen)| DayMinutes {
            powered: powered | used,
            used,
            last_seen,
        })
    }

    fn merged(a: &DayMinutes, b: &DayMinutes) -> DayMinutes {
        let mut sum = *a;
        sum.merge(b);
        sum
    }

    proptest! {
        #[test]
        fn insert_agrees_with_one_bit_at_a_time(a in 0..MINUTES_PER_DAY, b in 0..=1_500_u16) {
            let set = MinuteSet::of(a, b);
            for minute in 0..MINUTES_PER_DAY {
                prop_assert_eq!(set.contains(minute), minute >= a && minute < b);
            }
            prop_assert_eq!(set.count(), u32::from(b.min(MINUTES_PER_DAY).saturating_sub(a)));
        }

        #[test]
        fn bytes_and_runs_say_the_same(set in any_set()) {
            prop_assert_eq!(MinuteSet::from_bytes(&set.to_bytes()).unwrap(), set);
            let mut again = MinuteSet::EMPTY;
            let runs = set.runs();
            for run in &runs {
                again.insert(run.start, run.end);
            }
            prop_assert_eq!(again, set);
            prop_assert_eq!(set.to_string().parse::<MinuteSet>(), Ok(set));
            prop_assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start));
        }

        #[test]
        fn merge_is_a_join(a in any_day(), b in any_day(), c in any_day()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &a), a);
            prop_assert!(a.powered.is_subset(&merged(&a, &b).powered));
            prop_assert!(merged(&a, &b).used.is_subset(&merged(&a, &b).powered));
        }
    }

    #[test]
    fn a_run_lies_within_a_day() {
        for (text, count) in [("08:00-08:40", 40), ("00:00-24:00", 1_440)] {
            assert_eq!(text.parse::<MinuteSet>().unwrap().count(), count, "{text}");
        }
        for text in [
            "08:40-08:40",
            "08:60-09:00",
            "23:00-24:01",
            "10:45-1115:55",
            "0:0-65535:0",
            "-1:00-01:00",
        ] {
            assert!(text.parse::<MinuteSet>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_minute_is_the_highest_bit() {
        let bytes = MinuteSet::of(0, 1).to_bytes();
        assert_eq!(bytes[0], 0x80);
        let bytes = MinuteSet::of(1_439, 1_440).to_bytes();
        assert_eq!(bytes[BYTES - 1], 1);
        assert_eq!(MinuteSet::from_bytes(&[0; 3]), Err(WrongLength(3)));
    }
}
