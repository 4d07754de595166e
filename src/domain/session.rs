//! Sessions, and how they paint minutes on civil days (DESIGN §1, "Painting").
//!
//! Not responsible for whether a session can be believed: that is ingest's check.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::minutes::{DayMinutes, MINUTES_PER_DAY, MinuteSet};

/// What a session stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The machine was on.
    Powered,
    /// The machine was used; implies that it was on.
    Used,
}

/// A half-open interval `[start, end)` in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Session {
    /// What the interval means.
    pub kind: Kind,
    /// Inclusive.
    pub start: i64,
    /// Exclusive; at least `start`.
    pub end: i64,
}

/// One session's share of one civil day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Painted {
    /// The civil day in the deployment's time zone.
    pub day: Date,
    /// What it adds to that day.
    pub minutes: DayMinutes,
}

/// A second's length of time in which the zone's offset stands still, in local seconds since 1970-01-01T00:00.
struct Stretch {
    from: i64,
    to: i64,
    offset: i64,
}

/// The days that a session touches, with the minutes that it paints: those of which it covers at least 30 s.
///
/// A session that grows only ever paints more. A day on which it covers less than 30 s of every minute is left out.
/// Instants outside the calendar's range paint nothing.
#[must_use]
pub fn paint(session: &Session, zone: &TimeZone) -> Vec<Painted> {
    let mut painted: Vec<Painted> = Vec::new();
    for stretch in stretches(session.start, session.end, zone) {
        let mut day = stretch.from.div_euclid(SECONDS_PER_DAY);
        while day * SECONDS_PER_DAY < stretch.to {
            let midnight = day * SECONDS_PER_DAY;
            let from = stretch.from.max(midnight) - midnight;
            let to = stretch.to.min(midnight + SECONDS_PER_DAY) - midnight;
            if let (Some((start, end)), Some(date)) = (covered(from, to), date(day)) {
                let set = MinuteSet::of(start, end);
                let minutes = DayMinutes {
                    powered: set,
                    used: if session.kind == Kind::Used {
                        set
                    } else {
                        MinuteSet::EMPTY
                    },
                    last_seen: midnight + to - stretch.offset,
                };
                match painted.last_mut().filter(|last| last.day == date) {
                    Some(last) => last.minutes.merge(&minutes),
                    None => painted.push(Painted { day: date, minutes }),
                }
            }
            day += 1;
        }
    }
    painted
}

/// The civil day of an instant. `None` outside the years −9999 to 9999.
#[must_use]
pub fn day_of(unix: i64, zone: &TimeZone) -> Option<Date> {
    let at = Timestamp::from_second(unix).ok()?;
    Some(zone.to_datetime(at).date())
}

const SECONDS_PER_DAY: i64 = 86_400;

/// Cuts `[start, end)` where the zone's offset changes, and turns it into local time.
fn stretches(start: i64, end: i64, zone: &TimeZone) -> Vec<Stretch> {
    let mut found = Vec::with_capacity(1);
    let mut at = start;
    while at < end {
        let Ok(now) = Timestamp::from_second(at) else {
            break;
        };
        let offset = i64::from(zone.to_offset(now).seconds());
        let change = zone
            .following(now)
            .next()
            .map(|change| change.timestamp().as_second());
        let stop = change.map_or(end, |change| change.min(end));
        found.push(Stretch {
            from: at + offset,
            to: stop + offset,
            offset,
        });
        at = stop;
    }
    found
}

/// The minutes of a day of which `[from, to)`, seconds since local midnight, covers at least 30 s.
fn covered(from: i64, to: i64) -> Option<(u16, u16)> {
    if from.div_euclid(60) == (to - 1).div_euclid(60) && to - from < 30 {
        return None;
    }
    let start = u16::try_from((from + 29).div_euclid(60)).ok()?;
    let end = u16::try_from((to + 30).div_euclid(60)).ok()?;
    (start < end).then_some((start, end.min(MINUTES_PER_DAY)))
}

fn date(days_since_epoch: i64) -> Option<Date> {
    let noon = days_since_epoch
        .checked_mul(SECONDS_PER_DAY)?
        .checked_add(SECONDS_PER_DAY / 2)?;
    day_of(noon, &TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn shanghai() -> TimeZone {
        TimeZone::get("Asia/Shanghai").unwrap()
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    fn used(start: i64, end: i64) -> Session {
        Session {
            kind: Kind::Used,
            start,
            end,
        }
    }

    /// Second by second, with no cleverness.
    fn reference(session: &Session, zone: &TimeZone) -> HashMap<(Date, u16), u32> {
        let mut seconds = HashMap::new();
        for second in session.start..session.end {
            let local = zone.to_datetime(Timestamp::from_second(second).unwrap());
            let minute =
                u16::try_from(local.hour()).unwrap() * 60 + u16::try_from(local.minute()).unwrap();
            *seconds.entry((local.date(), minute)).or_insert(0) += 1;
        }
        seconds.retain(|_, covered| *covered >= 30);
        seconds
    }

    #[test]
    fn a_session_is_cut_at_local_midnight() {
        let painted = paint(
            &used(
                at("2026-09-01T23:50:00+08:00"),
                at("2026-09-02T00:10:00+08:00"),
            ),
            &shanghai(),
        );
        assert_eq!(painted.len(), 2);
        assert_eq!(painted[0].day, date(2026, 9, 1));
        assert_eq!(painted[0].minutes.used, MinuteSet::of(1_430, 1_440));
        assert_eq!(
            painted[0].minutes.last_seen,
            at("2026-09-02T00:00:00+08:00")
        );
        assert_eq!(painted[1].day, date(2026, 9, 2));
        assert_eq!(painted[1].minutes.powered, MinuteSet::of(0, 10));
    }

    #[test]
    fn half_a_minute_paints_and_less_does_not() {
        let minute = at("2026-09-01T08:00:00+08:00");
        for (from, to, count) in [
            (0, 30, 1),
            (0, 29, 0),
            (30, 60, 1),
            (31, 60, 0),
            (20, 45, 0),
            (31, 89, 0),
            (30, 90, 2),
            (15, 45, 1),
        ] {
            let painted = paint(&used(minute + from, minute + to), &shanghai());
            let found: u32 = painted.iter().map(|part| part.minutes.used.count()).sum();
            assert_eq!(found, count, "{from}..{to}");
        }
    }

    #[test]
    fn a_day_of_25_hours_keeps_its_1440_minutes() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let painted = paint(
            &Session {
                kind: Kind::Powered,
                start: at("2026-10-25T00:00:00+02:00"),
                end: at("2026-10-26T00:00:00+01:00"),
            },
            &zone,
        );
        assert_eq!(painted.len(), 1);
        assert_eq!(painted[0].minutes.powered.count(), 1_440);
        assert!(painted[0].minutes.used.is_empty());
    }

    #[test]
    fn instants_beyond_the_calendar_paint_nothing() {
        assert!(paint(&used(i64::MAX - 90, i64::MAX - 30), &shanghai()).is_empty());
        assert!(paint(&used(50, 50), &shanghai()).is_empty());
    }

    proptest! {
        #[test]
        fn painting_agrees_with_counting_seconds(start in 0..200_000_i64, length in 0..100_000_i64, berlin: bool) {
            let (zone, base) = if berlin {
                (TimeZone::get("Europe/Berlin").unwrap(), at("2026-03-28T00:00:00Z"))
            } else {
                (shanghai(), at("2026-08-31T00:00:00Z"))
            };
            let session = used(base + start, base + start + length);
            let mut found = HashSet::new();
            for part in paint(&session, &zone) {
                for run in part.minutes.used.runs() {
                    for minute in run.start..run.end {
                        found.insert((part.day, minute));
                    }
                }
                prop_assert!(part.minutes.used.is_subset(&part.minutes.powered));
            }
            let expected = reference(&session, &zone);
            prop_assert_eq!(found.len(), expected.len());
            prop_assert!(expected.keys().all(|key| found.contains(key)));
        }

        #[test]
        fn a_growing_session_only_paints_more(start in 0..90_000_i64, length in 0..90_000_i64, more in 0..90_000_i64) {
            let base = at("2026-08-31T00:00:00Z");
            let total = |end| {
                let mut days = HashMap::new();
                for part in paint(&used(base + start, base + end), &shanghai()) {
                    days.insert(part.day, part.minutes.used);
                }
                days
            };
            let (before, after) = (total(start + length), total(start + length + more));
            for (day, minutes) in before {
                prop_assert!(minutes.is_subset(&after[&day]));
            }
        }
    }
}
