//! What of a civil day was acknowledged, and so stands in no session any more: people who ask are told the whole day, also
//! after the agent or the machine has started again.
//!
//! For people alone, by the length of sessions: what counts, the service paints and counts. Not responsible for the calendar
//! (`status`).

use std::ops::Range;

use super::{Kind, Seen, StoredDay};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// How long a machine was on and used on a civil day, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lengths {
    /// On.
    pub powered: i64,
    /// Used.
    pub used: i64,
}

/// The latest day of which anything was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    utc_offset: i64,
    /// Its first second, Unix seconds.
    begins: i64,
    lengths: Lengths,
}

impl Tally {
    /// As a journal keeps it. `utc_offset` is the civil day's, seconds.
    pub(super) fn new(utc_offset: i64, stored: Option<&StoredDay>) -> Self {
        let seconds = |of: fn(&StoredDay) -> u32| stored.map_or(0, of).into();
        Self {
            utc_offset,
            begins: stored.map_or(i64::MIN, |day| day.begins),
            lengths: Lengths {
                powered: seconds(|day| day.powered_seconds),
                used: seconds(|day| day.used_seconds),
            },
        }
    }

    /// None before anything was acknowledged.
    pub(super) fn stored(&self) -> Option<StoredDay> {
        let seconds = |length: i64| u32::try_from(length).unwrap_or(u32::MAX);
        (self.begins != i64::MIN).then(|| StoredDay {
            begins: self.begins,
            powered_seconds: seconds(self.lengths.powered),
            used_seconds: seconds(self.lengths.used),
        })
    }

    /// A session was acknowledged in its final form: what of it lies in the latest day is kept. Sessions of one kind don't
    /// overlap, so their lengths add up.
    pub(super) fn add(&mut self, session: &Seen) {
        if session.end <= session.start {
            return;
        }
        let day = self.day(session.end - 1);
        if day.start > self.begins {
            self.begins = day.start;
            self.lengths = Lengths::default();
        }
        let within = self.begins..self.begins.saturating_add(DAY);
        let length = covered([session].into_iter(), &within);
        match session.kind {
            Kind::Powered => self.lengths.powered += length,
            Kind::Used => self.lengths.used += length,
        }
    }

    /// The civil day that a moment lies in, Unix seconds.
    pub(super) fn day(&self, unix: i64) -> Range<i64> {
        let local = unix.saturating_add(self.utc_offset);
        let begins = local.div_euclid(DAY).saturating_mul(DAY);
        let begins = begins.saturating_sub(self.utc_offset);
        begins..begins.saturating_add(DAY)
    }

    /// The day that a moment lies in, with the sessions that are still held.
    pub(super) fn with(&self, now: i64, held: &[Seen]) -> Lengths {
        let day = self.day(now);
        let acknowledged = if day.start == self.begins {
            self.lengths
        } else {
            Lengths::default()
        };
        let of = |kind: Kind| covered(held.iter().filter(|seen| seen.kind == kind), &day);
        Lengths {
            powered: (acknowledged.powered + of(Kind::Powered)).min(DAY),
            used: (acknowledged.used + of(Kind::Used)).min(DAY),
        }
    }
}

/// Seconds of a time that any of the sessions covers.
fn covered<'a>(sessions: impl Iterator<Item = &'a Seen>, within: &Range<i64>) -> i64 {
    let mut spans: Vec<(i64, i64)> = sessions
        .map(|seen| (seen.start.max(within.start), seen.end.min(within.end)))
        .filter(|(start, end)| start < end)
        .collect();
    spans.sort_unstable();
    let (mut sum, mut until) = (0, within.start);
    for (start, end) in spans {
        sum += (end - start.max(until)).max(0);
        until = until.max(end);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(kind: Kind, start: i64, end: i64) -> Seen {
        Seen {
            kind,
            number: 1,
            start,
            end,
            open: false,
        }
    }

    #[test]
    fn covered_time_is_counted_once_and_only_within_the_day() {
        let seen = |start, end| seen(Kind::Powered, start, end);
        for (spans, sum) in [
            (vec![], 0),
            (vec![seen(0, 100)], 0),
            (vec![seen(900, 1_100), seen(1_050, 1_200)], 200),
            (
                vec![seen(1_900, 2_500), seen(1_000, 1_010), seen(1_000, 1_010)],
                110,
            ),
            (vec![seen(0, 9_999), seen(1_500, 1_600)], 1_000),
        ] {
            assert_eq!(covered(spans.iter(), &(1_000..2_000)), sum, "{spans:?}");
        }
    }

    #[test]
    fn the_latest_day_is_kept_in_the_countys_zone() {
        // Midnight in China lies at 16:00 UTC.
        let midnight = 1_788_220_800 - 8 * 3_600;
        let mut tally = Tally::new(8 * 3_600, None);
        assert_eq!(tally.stored(), None);
        tally.add(&seen(Kind::Powered, midnight - 900, midnight - 300));
        assert_eq!(tally.with(midnight - 1, &[]).powered, 600);
        // It goes over midnight: what lies after it begins the new day.
        tally.add(&seen(Kind::Powered, midnight - 200, midnight + 700));
        tally.add(&seen(Kind::Used, midnight + 100, midnight + 160));
        // Yesterday's comes late, and is not today's.
        tally.add(&seen(Kind::Used, midnight - 100, midnight));
        let stored = tally.stored();
        let tally = Tally::new(8 * 3_600, stored.as_ref());
        let held = [seen(Kind::Powered, midnight + 1_000, midnight + 1_300)];
        let today = Lengths {
            powered: 1_000,
            used: 60,
        };
        assert_eq!(tally.with(midnight + 1_300, &held), today);
        // Tomorrow nothing of it counts.
        assert_eq!(tally.with(midnight + DAY, &held), Lengths::default());
        assert_eq!(tally.day(midnight - 1).end, midnight);
    }
}
