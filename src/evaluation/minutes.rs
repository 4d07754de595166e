//! A school's terminals in a run: when they were in service, when they were used; what counts of it and what is due.
//!
//! Used minutes of every day of the period are kept, also of days without teaching: a calendar that is corrected after
//! the store's minutes are gone can still be counted. Not responsible for reading any of it (`load`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    domain::{
        calendar::Calendar,
        ids::{Stage, TerminalId},
        minutes::{DayMinutes, MinuteSet},
        usage::{self, Due, Minutes, Period},
    },
    store::KeptExclusion,
};

/// The terminals that stood in a school on any day of a run's period.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchoolMinutes {
    /// By id.
    pub terminals: BTreeMap<TerminalId, TerminalMinutes>,
}

/// One terminal, only the days on which it stood in the school.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerminalMinutes {
    /// The room where it stood last in the period; may be empty.
    pub room: String,
    /// First and last days in service within the period, in order of time.
    pub service: Vec<(Date, Date)>,
    /// Used minutes of days with any, as runs: `08:00-08:40 09:05-09:06`.
    pub used: BTreeMap<Date, Runs>,
    /// Days on which two machines were found under its identity.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub two_machines: BTreeSet<Date>,
}

/// A set of minutes, written as runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Runs(pub MinuteSet);

impl Serialize for Runs {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Runs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl TerminalMinutes {
    /// Whether it was in service here on a day.
    #[must_use]
    pub fn in_service(&self, day: Date) -> bool {
        let mut spans = self.service.iter();
        spans.any(|(first, last)| *first <= day && day <= *last)
    }

    /// The same within a period; `None` if nothing is left of its service.
    #[must_use]
    pub fn within(&self, period: Period) -> Option<Self> {
        let spans = self.service.iter().map(|(first, last)| {
            let both = period.overlap(Period {
                first: *first,
                last: *last,
            });
            (both.first, both.last)
        });
        let service: Vec<_> = spans.filter(|(first, last)| first <= last).collect();
        if service.is_empty() {
            return None;
        }
        let used = self.used.iter().filter(|(day, _)| period.contains(**day));
        let told = self.two_machines.iter();
        Some(Self {
            room: self.room.clone(),
            service,
            used: used.map(|(day, runs)| (*day, *runs)).collect(),
            two_machines: told.filter(|day| period.contains(**day)).copied().collect(),
        })
    }
}

/// Excluded days, by terminal.
#[derive(Debug, Clone, Default)]
pub(super) struct Excluded<'a>(HashMap<&'a TerminalId, Vec<&'a KeptExclusion>>);

impl<'a> Excluded<'a> {
    pub(super) fn new(exclusions: &'a [KeptExclusion]) -> Self {
        let mut by_terminal: HashMap<_, Vec<_>> = HashMap::new();
        for one in exclusions {
            let of = by_terminal.entry(&one.exclusion.terminal).or_default();
            of.push(one);
        }
        Self(by_terminal)
    }

    /// The first exclusion that takes this day of this terminal.
    pub(super) fn of(&self, terminal: &TerminalId, day: Date) -> Option<&'a KeptExclusion> {
        let of = self.0.get(terminal)?;
        let takes = |one: &&&KeptExclusion| one.exclusion.period().contains(day);
        of.iter().find(takes).copied()
    }

    fn is_empty(&self, terminal: &TerminalId) -> bool {
        !self.0.contains_key(terminal)
    }
}

/// What a school's terminals come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counted {
    /// Only `counted` and `lessons_taught` mean anything: powered minutes are not kept.
    pub(super) minutes: Minutes,
    pub(super) due: Due,
    /// Terminals with a day that is due.
    pub(super) terminals: u64,
    /// Of those, terminals with a counted minute.
    pub(super) counting: u64,
}

/// Counts a school's minutes as the store's rollup and [`usage::due`] do, leaving excluded days out on both sides.
pub(super) fn count(
    calendar: &Calendar,
    stage: Stage,
    school: &SchoolMinutes,
    excluded: &Excluded<'_>,
) -> Counted {
    let mut all = Counted::default();
    // Most terminals of a school stood there over the same days.
    let mut dues: HashMap<&[(Date, Date)], Due> = HashMap::new();
    for (id, terminal) in &school.terminals {
        let due = if excluded.is_empty(id) {
            let known = dues.entry(terminal.service.as_slice());
            *known.or_insert_with(|| due(calendar, stage, terminal, |_| false))
        } else {
            due(calendar, stage, terminal, |day| {
                excluded.of(id, day).is_some()
            })
        };
        let days = terminal.used.iter();
        let counts = |day: Date| terminal.in_service(day) && excluded.of(id, day).is_none();
        let minutes: Minutes = days
            .filter(|(day, _)| counts(**day))
            .map(|(day, runs)| terminal_day(calendar, stage, *day, runs))
            .sum();
        all.minutes += minutes;
        all.due += due;
        all.terminals += u64::from(due.service_days > 0);
        all.counting += u64::from(minutes.counted > 0);
    }
    all
}

/// What one terminal's day counts.
pub(super) fn terminal_day(calendar: &Calendar, stage: Stage, day: Date, used: &Runs) -> Minutes {
    let minutes = DayMinutes {
        used: used.0,
        ..DayMinutes::default()
    };
    usage::terminal_day(calendar, stage, day, &minutes)
}

fn due(
    calendar: &Calendar,
    stage: Stage,
    terminal: &TerminalMinutes,
    excluded: impl Fn(Date) -> bool,
) -> Due {
    let mut sum = Due::default();
    for (first, last) in &terminal.service {
        for (day, teaching) in calendar.teaching_days(stage, *first, *last) {
            if !excluded(day) {
                sum += Due {
                    service_days: 1,
                    lessons: teaching.lessons.len() as u64,
                };
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use jiff::{ToSpan as _, civil::date};
    use proptest::prelude::*;

    use super::*;
    use crate::store::Exclusion;

    const FIRST: Date = date(2026, 9, 1);

    fn calendar() -> Calendar {
        Calendar::parse(
            r#"
            name = "试验"
            [policy]
            daily_cap_minutes = 50
            [[term]]
            name = "第一学期"
            first = "2026-09-01"
            last = "2026-09-30"
            [[timetable]]
            lessons = ["08:00-08:40", "09:00-09:40"]
            "#,
        )
        .unwrap()
    }

    fn exclusion(terminal: &str, first: i64, last: i64) -> KeptExclusion {
        KeptExclusion {
            id: 1,
            exclusion: Exclusion {
                terminal: terminal.parse().unwrap(),
                first: FIRST + first.days(),
                last: FIRST + last.days(),
                reason: "夜间".to_owned(),
                by: "李四".to_owned(),
                at: 0,
            },
        }
    }

    fn terminal(last: i64, used: &[(i64, u16, u16)]) -> TerminalMinutes {
        let days = used.iter().map(|(day, start, end)| {
            let runs = Runs(MinuteSet::of(*start, *end));
            (FIRST + day.days(), runs)
        });
        TerminalMinutes {
            service: vec![(FIRST, FIRST + last.days())],
            used: days.collect(),
            ..TerminalMinutes::default()
        }
    }

    #[test]
    fn an_excluded_day_is_no_service_and_no_minutes() {
        // Tuesday to Monday: five teaching days. Saturday is used and never counts.
        let one = terminal(6, &[(0, 480, 500), (1, 480, 600), (4, 480, 600)]);
        let two = terminal(6, &[(0, 480, 490)]);
        let terminals = [("a".parse().unwrap(), one), ("b".parse().unwrap(), two)];
        let school = SchoolMinutes {
            terminals: terminals.into(),
        };
        let found = |exclusions: &[KeptExclusion]| {
            let excluded = Excluded::new(exclusions);
            let all = count(&calendar(), Stage::Primary, &school, &excluded);
            (
                all.minutes.counted,
                all.due.service_days,
                all.due.lessons,
                all.terminals,
                all.counting,
            )
        };
        assert_eq!(found(&[]), (80, 10, 20, 2, 2));
        assert_eq!(found(&[exclusion("a", 1, 1)]), (30, 9, 18, 2, 2));
        assert_eq!(
            found(&[exclusion("a", 4, 5)]),
            (80, 10, 20, 2, 2),
            "no teaching"
        );
        assert_eq!(found(&[exclusion("a", -9, 99)]), (10, 5, 10, 1, 1));
        assert_eq!(found(&[exclusion("c", 0, 9)]), (80, 10, 20, 2, 2));
    }

    #[test]
    fn a_period_cuts_service_and_days() {
        let whole = terminal(20, &[(0, 480, 500), (9, 480, 500)]);
        let cut = whole.within(Period {
            first: FIRST + 5.days(),
            last: FIRST + 60.days(),
        });
        let cut = cut.unwrap();
        assert_eq!(cut.service, [(FIRST + 5.days(), FIRST + 20.days())]);
        assert_eq!(cut.used.len(), 1);
        let after = Period {
            first: FIRST + 21.days(),
            last: FIRST + 60.days(),
        };
        assert_eq!(whole.within(after), None);
    }

    proptest! {
        /// Counted by the very words of the law: as if the terminal had not been in service on that day.
        #[test]
        fn exclusion_is_as_if_not_in_service(
            used in prop::collection::vec((0..29_i64, 400..620_u16, 1..200_u16), 0..20),
            first in 0..29_i64, length in 0..10_i64,
        ) {
            let used: Vec<_> = used.iter().map(|(day, start, length)| (*day, *start, start + length)).collect();
            let whole = terminal(29, &used);
            let (last, id) = (first + length, "a".parse::<TerminalId>().unwrap());
            let mut cut = whole.clone();
            cut.service = [(0, first - 1), (last + 1, 29)]
                .into_iter()
                .filter(|(first, last)| first <= last)
                .map(|(first, last)| (FIRST + first.days(), FIRST + last.days()))
                .collect();
            let of = |terminal: TerminalMinutes| SchoolMinutes { terminals: [(id.clone(), terminal)].into() };
            let exclusions = [exclusion("a", first, last)];
            let calendar = calendar();
            let excluded = count(&calendar, Stage::Primary, &of(whole), &Excluded::new(&exclusions));
            let absent = count(&calendar, Stage::Primary, &of(cut), &Excluded::default());
            prop_assert_eq!(excluded, absent);
        }
    }
}
