//! How use goes through weeks, days and lessons: trends of a school, its lesson grid, the days of a terminal.
//!
//! Not responsible for totals of a period (`schools`, `terminals`).

use std::collections::{BTreeMap, HashMap};

use jiff::{ToSpan as _, civil::Date};

use super::{QueryError, calendar, school};
use crate::{
    domain::{
        calendar::{Calendar, Term},
        ids::{SchoolCode, TerminalId},
        minutes::DayMinutes,
        usage::{self, Due, Fraction, Minutes, Period},
    },
    store::{Placement, Store},
};

/// One week of a school.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Week {
    /// Its Monday.
    pub monday: Date,
    /// What its terminals did in it.
    pub minutes: Minutes,
    /// What they owed.
    pub due: Due,
    /// Minutes per terminal per teaching day; 0 in a week without one.
    pub average: Fraction,
}

/// The Monday of a day's week.
#[must_use]
pub fn monday(day: Date) -> Date {
    day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days())
}

/// A school's weeks from the period's first to its last, those without teaching included.
///
/// # Errors
/// `NotFound` for an unknown school, `NoCalendar`, `Store`.
pub async fn school_weeks(
    store: &dyn Store,
    code: &SchoolCode,
    period: Period,
) -> Result<Vec<Week>, QueryError> {
    let school = school(store, code).await?;
    let calendar = calendar(store, &school.county).await?.calendar;
    let mut sums: HashMap<Date, Minutes> = HashMap::new();
    for (day, minutes) in store.school_days(code, period).await? {
        *sums.entry(monday(day)).or_default() += minutes;
    }
    let spans = store.service_spans(&school.county).await?;
    let spans: Vec<_> = spans.iter().filter(|span| span.school == *code).collect();
    let mondays = monday(period.first).series(1.week());
    let weeks = mondays.take_while(|first| *first <= period.last);
    Ok(weeks
        .map(|first| {
            let week = Period {
                first,
                last: first.saturating_add(6.days()),
            }
            .overlap(period);
            let mut due = Due::default();
            for span in &spans {
                due += usage::due(&calendar, school.stage, week, span.service, span.terminals);
            }
            let minutes = sums.get(&first).copied().unwrap_or_default();
            Week {
                monday: first,
                minutes,
                due,
                average: usage::average(minutes, due),
            }
        })
        .collect())
}

/// The term before the one that a day lies in, and the term a year before it, where the calendar has them.
#[must_use]
pub fn earlier_terms(calendar: &Calendar, day: Date) -> (Option<&Term>, Option<&Term>) {
    let Some(current) = calendar.term_at(day) else {
        return (None, None);
    };
    let earlier = calendar.terms().iter().rev();
    let before = earlier.clone().find(|term| term.last < current.first);
    // Terms begin within two months of where they began a year before.
    let then = current.first.saturating_sub(1.year());
    let near = |term: &&Term| {
        let (low, high) = (
            then.saturating_sub(60.days()),
            then.saturating_add(60.days()),
        );
        low <= term.first && term.first <= high
    };
    let mut earlier = earlier;
    (before, earlier.find(near))
}

/// The day of an earlier term that lies as many weeks from its beginning as `day` from its own term's, on the same
/// weekday.
#[must_use]
pub fn same_day_of(term: &Term, current: &Term, day: Date) -> Option<Date> {
    let days = (day - monday(current.first)).get_days();
    let then = monday(term.first).saturating_add(i64::from(days).days());
    (term.first <= then && then <= term.last).then_some(then)
}

/// Lessons of one weekday and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LessonCell {
    /// Lessons with enough counted minutes.
    pub taught: u64,
    /// Lessons due.
    pub due: u64,
}

/// Weekday (0 is Monday) and number of the lesson (from 0) → lessons.
pub type LessonGrid = BTreeMap<(i8, usize), LessonCell>;

/// When in the week a school's terminals are used: every lesson of the period, by weekday and number.
///
/// # Errors
/// `NotFound` for an unknown school, `NoCalendar`, `Store`.
pub async fn lesson_grid(
    store: &dyn Store,
    code: &SchoolCode,
    period: Period,
) -> Result<LessonGrid, QueryError> {
    Ok(super::school_period(store, code, period).await?.lessons())
}

/// One day of a terminal's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryDay {
    /// The day.
    pub day: Date,
    /// What is known of it; `None` without a report.
    pub known: Option<DayMinutes>,
    /// What it counts.
    pub minutes: Minutes,
    /// Whether it is taught in the school where the terminal stood.
    pub taught: bool,
    /// Whether the terminal stood in a school.
    pub in_service: bool,
}

/// Every day of a period for one terminal.
///
/// # Errors
/// `NotFound` for an unknown terminal, `Store`.
pub async fn terminal_history(
    store: &dyn Store,
    id: &TerminalId,
    period: Period,
) -> Result<Vec<HistoryDay>, QueryError> {
    let terminal = store.terminal(id).await?;
    let terminal = terminal.ok_or_else(|| QueryError::NotFound {
        what: "terminal",
        id: id.to_string(),
    })?;
    let mut places = Vec::new();
    for place in &terminal.placements {
        let school = school(store, &place.school).await?;
        let calendar = store.calendar(&school.county).await?;
        places.push((place, school.stage, calendar.map(|stored| stored.calendar)));
    }
    let mut known: HashMap<Date, DayMinutes> =
        store.terminal_days(id, period).await?.into_iter().collect();
    let stood = |day: Date| {
        let stands = |place: &Placement| place.from <= day && place.to.is_none_or(|to| day <= to);
        places.iter().find(move |(place, ..)| stands(place))
    };
    let days = period.first.series(1.day());
    Ok(days
        .take_while(|day| *day <= period.last)
        .map(|day| {
            let known = known.remove(&day);
            let (mut minutes, mut taught) = (Minutes::default(), false);
            let place = stood(day);
            if let Some((_, stage, Some(calendar))) = place {
                taught = calendar.teaching(*stage, day).is_some();
                if let Some(known) = &known {
                    minutes = usage::terminal_day(calendar, *stage, day, known);
                }
            } else if let Some(known) = &known {
                minutes.powered = u64::from(known.powered.count());
                minutes.used = u64::from(known.used.count());
                minutes.reporting = 1;
            }
            HistoryDay {
                day,
                known,
                minutes,
                taught,
                in_service: place.is_some(),
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_day_finds_its_like_in_earlier_terms() {
        let calendar = Calendar::parse(
            r#"
            name = "试验"
            [[term]]
            name = "甲"
            first = "2025-09-01"
            last = "2026-01-16"
            [[term]]
            name = "乙"
            first = "2026-03-02"
            last = "2026-07-10"
            [[term]]
            name = "丙"
            first = "2026-09-01"
            last = "2027-01-15"
            [[timetable]]
            hours = ["08:00-11:30"]
            "#,
        )
        .unwrap();
        let names = |day| {
            let (before, year) = earlier_terms(&calendar, day);
            let name = |term: &Term| term.name.clone();
            (before.map(name), year.map(name))
        };
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(names(date(2026, 11, 24)), (some("乙"), some("甲")));
        assert_eq!(names(date(2026, 4, 1)), (some("甲"), None));
        assert_eq!(names(date(2025, 10, 1)), (None, None));
        assert_eq!(names(date(2025, 8, 1)), (None, None));
        let [_, spring, autumn] = calendar.terms() else {
            panic!("three terms")
        };
        // The thirteenth week's Tuesday.
        let day = date(2026, 11, 24);
        let then = same_day_of(spring, autumn, day).unwrap();
        assert_eq!(then, date(2026, 5, 26));
        assert_eq!(then.weekday(), day.weekday());
        assert_eq!(same_day_of(spring, autumn, date(2027, 1, 15)), None);
    }
}
