//! From minutes to averages: what a terminal-day counts, what a school's period sums to (DESIGN §3).
//!
//! Not responsible for keeping sums up to date (store's rollup), nor for points (`monitoring`).

use std::{cmp::Ordering, ops};

use jiff::civil::Date;
use num_rational::Ratio;

use super::{
    calendar::{Calendar, TeachingDay},
    ids::Stage,
    minutes::DayMinutes,
};

/// An exact fraction.
pub type Fraction = Ratio<u128>;

/// What terminal-days add up to. Sums of any grouping are equal: addition is all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Minutes {
    /// Used minutes inside teaching time, capped per terminal and day.
    pub counted: u64,
    /// All powered minutes.
    pub powered: u64,
    /// All used minutes.
    pub used: u64,
    /// Lessons with enough counted minutes.
    pub lessons_taught: u64,
    /// Terminal-days with at least one powered minute.
    pub reporting: u64,
}

impl ops::AddAssign for Minutes {
    fn add_assign(&mut self, other: Self) {
        self.counted += other.counted;
        self.powered += other.powered;
        self.used += other.used;
        self.lessons_taught += other.lessons_taught;
        self.reporting += other.reporting;
    }
}

impl std::iter::Sum for Minutes {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

/// What one terminal's day counts in a school of this stage.
#[must_use]
pub fn terminal_day(calendar: &Calendar, stage: Stage, day: Date, minutes: &DayMinutes) -> Minutes {
    let teaching = calendar.teaching(stage, day);
    let counted = teaching.map_or(0, |teaching| (minutes.used & teaching.mask).count());
    Minutes {
        counted: u64::from(calendar.daily_cap().map_or(counted, |cap| counted.min(cap))),
        powered: u64::from(minutes.powered.count()),
        used: u64::from(minutes.used.count()),
        lessons_taught: teaching.map_or(0, |teaching| lessons_taught(calendar, teaching, minutes)),
        reporting: u64::from(!minutes.powered.is_empty()),
    }
}

fn lessons_taught(calendar: &Calendar, teaching: &TeachingDay, minutes: &DayMinutes) -> u64 {
    let taught = |lesson: &&_| (minutes.used & **lesson).count() >= calendar.lesson_minutes();
    teaching.lessons.iter().filter(taught).count() as u64
}

/// What is due in a period: the divisors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Due {
    /// Σ in-service teaching days of the registered terminals, silent ones included.
    pub service_days: u64,
    /// Σ lesson periods over the same.
    pub lessons: u64,
}

impl ops::AddAssign for Due {
    fn add_assign(&mut self, other: Self) {
        self.service_days += other.service_days;
        self.lessons += other.lessons;
    }
}

/// Days of a period, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Period {
    /// First day.
    pub first: Date,
    /// Last day; a period whose last day lies before its first holds no day.
    pub last: Date,
}

impl Period {
    /// The days in both.
    #[must_use]
    pub fn overlap(self, other: Self) -> Self {
        Self {
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        }
    }

    /// Whether a day lies in it.
    #[must_use]
    pub fn contains(self, day: Date) -> bool {
        self.first <= day && day <= self.last
    }
}

/// What `terminals` terminals in service over `service` owe in `period`.
#[must_use]
pub fn due(
    calendar: &Calendar,
    stage: Stage,
    period: Period,
    service: Period,
    terminals: u64,
) -> Due {
    let both = period.overlap(service);
    let mut due = Due::default();
    for (_, teaching) in calendar.teaching_days(stage, both.first, both.last) {
        due.service_days += terminals;
        due.lessons += terminals * teaching.lessons.len() as u64;
    }
    due
}

/// Minutes per terminal per teaching day, exact. 0 where no service day is due.
#[must_use]
pub fn average(minutes: Minutes, due: Due) -> Fraction {
    if due.service_days == 0 {
        return Fraction::from_integer(0);
    }
    Fraction::new(minutes.counted.into(), due.service_days.into())
}

/// 课时使用率: lessons taught ÷ lessons due. `None` where no lesson is due.
#[must_use]
pub fn lesson_rate(minutes: Minutes, due: Due) -> Option<Fraction> {
    (due.lessons != 0).then(|| Fraction::new(minutes.lessons_taught.into(), due.lessons.into()))
}

/// Hundredths of a fraction, rounded half up; for display and sheets only.
#[must_use]
pub fn hundredths(value: Fraction) -> u128 {
    (value.numer() * 200 + value.denom()) / (value.denom() * 2)
}

/// A fraction as a sheet shows it: two decimals, rounded half up.
#[must_use]
pub fn display(value: Fraction) -> String {
    let hundredths = hundredths(value);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The order of rankings: highest first, equals by their key.
pub fn ranking<K: Ord + ?Sized>(a: (Fraction, &K), b: (Fraction, &K)) -> Ordering {
    b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::minutes::MinuteSet;

    fn calendar() -> Calendar {
        Calendar::parse(
            r#"
            name = "试验"
            [policy]
            daily_cap_minutes = 100
            lesson_minutes = 15
            [[term]]
            name = "第一学期"
            first = "2026-09-01"
            last = "2027-01-15"
            [[timetable]]
            lessons = ["08:00-08:40", "09:00-09:40", "10:00-10:40"]
            "#,
        )
        .unwrap()
    }

    fn day(used: &[(u16, u16)], powered: (u16, u16)) -> DayMinutes {
        let mut minutes = DayMinutes {
            powered: MinuteSet::of(powered.0, powered.1),
            ..DayMinutes::default()
        };
        for (start, end) in used {
            minutes.used.insert(*start, *end);
        }
        minutes.powered |= minutes.used;
        minutes
    }

    #[test]
    fn only_teaching_time_counts_and_the_cap_holds() {
        let calendar = calendar();
        let school_day = date(2026, 9, 1);
        let used = day(&[(470, 495), (540, 560), (700, 800)], (400, 900));
        let found = terminal_day(&calendar, Stage::Primary, school_day, &used);
        assert_eq!(
            found,
            Minutes {
                counted: 35,
                powered: 500,
                used: 145,
                lessons_taught: 2,
                reporting: 1
            }
        );
        let full = day(&[(400, 900)], (400, 900));
        let found = terminal_day(&calendar, Stage::Primary, school_day, &full);
        assert_eq!((found.counted, found.lessons_taught), (100, 3));
        let sunday = terminal_day(&calendar, Stage::Primary, date(2026, 9, 6), &full);
        assert_eq!((sunday.counted, sunday.used), (0, 500));
    }

    #[test]
    fn silent_terminals_stay_in_the_divisor() {
        let calendar = calendar();
        let week = Period {
            first: date(2026, 8, 31),
            last: date(2026, 9, 6),
        };
        let always = Period {
            first: date(2000, 1, 1),
            last: date(2100, 1, 1),
        };
        let late = Period {
            first: date(2026, 9, 4),
            last: date(2100, 1, 1),
        };
        assert_eq!(
            due(&calendar, Stage::Primary, week, always, 3),
            Due {
                service_days: 12,
                lessons: 36
            }
        );
        assert_eq!(
            due(&calendar, Stage::Primary, week, late, 1),
            Due {
                service_days: 1,
                lessons: 3
            }
        );
        let none = Period {
            first: date(2026, 9, 9),
            last: date(2026, 9, 8),
        };
        assert_eq!(
            due(&calendar, Stage::Primary, none, always, 1),
            Due::default()
        );
    }

    #[test]
    fn rounding_is_half_up_and_only_for_display() {
        for (numer, denom, shown) in [
            (1, 8, "0.13"),
            (1, 3, "0.33"),
            (2, 3, "0.67"),
            (15, 1, "15.00"),
            (1_124, 1_402, "0.80"),
            (1, 200, "0.01"),
            (1, 201, "0.00"),
        ] {
            assert_eq!(display(Fraction::new(numer, denom)), shown);
        }
    }

    proptest! {
        #[test]
        fn a_silent_terminal_never_raises_the_average(
            counted in 0..1_000_000_u64, days in 0..10_000_u64, more in 0..10_000_u64,
        ) {
            let minutes = Minutes { counted: if days == 0 { 0 } else { counted }, ..Minutes::default() };
            let before = average(minutes, Due { service_days: days, lessons: 0 });
            let after = average(minutes, Due { service_days: days + more, lessons: 0 });
            prop_assert!(after <= before);
        }

        #[test]
        fn display_is_the_nearest_hundredth(numer in 0..1_000_000_u128, denom in 1..10_000_u128) {
            let value = Fraction::new(numer, denom);
            let shown = Fraction::new(hundredths(value), 100);
            let gap = if shown > value { shown - value } else { value - shown };
            prop_assert!(gap <= Fraction::new(1, 200));
            prop_assert!(gap < Fraction::new(1, 200) || shown > value, "a half goes up");
        }
    }
}
