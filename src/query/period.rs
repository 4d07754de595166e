//! Which days are meant: given ones checked and clipped to today, or the term's up to yesterday.
//!
//! Not responsible for reading dates from text (`api`), nor for which of the days are teaching days (`domain`).

use jiff::{ToSpan as _, civil::Date};

use super::{QueryError, calendar, resolve_county};
use crate::{
    domain::{calendar::Calendar, ids::CountyCode, usage::Period},
    store::Store,
};

/// Most days from the first to the last of a period: ten years and some.
pub const MAX_PERIOD_DAYS: i32 = 3_660;

/// What a question leaves open or says.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// `None` means the only county registered.
    pub county: Option<CountyCode>,
    /// `None` means the term so far.
    pub period: Option<Period>,
}

/// What a question means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// A registered county.
    pub county: CountyCode,
    /// At least one day, none after today.
    pub period: Period,
}

/// Fills in and checks the county and the period.
///
/// # Errors
/// As [`resolve_county`] and [`resolve_period`].
pub async fn resolve(store: &dyn Store, asked: Asked, today: Date) -> Result<Resolved, QueryError> {
    let county = resolve_county(store, asked.county).await?;
    let period = resolve_period(store, &county, asked.period, today).await?;
    Ok(Resolved { county, period })
}

/// The days that are meant: given ones, clipped to today; else the term that today lies in (or the last one before
/// it), from its first day to yesterday, at least its first day.
///
/// # Errors
/// `Field` for days out of order, too many, or all after today; `NoCalendar` and `NoTerm` where no period is given
/// and none can be derived.
pub async fn resolve_period(
    store: &dyn Store,
    county: &CountyCode,
    asked: Option<Period>,
    today: Date,
) -> Result<Period, QueryError> {
    if let Some(given) = asked {
        return checked(given, today);
    }
    let stored = calendar(store, county).await?;
    term_so_far(&stored.calendar, today).ok_or_else(|| QueryError::NoTerm {
        county: county.clone(),
    })
}

fn checked(given: Period, today: Date) -> Result<Period, QueryError> {
    let Period { first, last } = given;
    if last < first {
        return Err(QueryError::field(
            "period.to",
            format!("{last} lies before the first day, {first}"),
        ));
    }
    if (last - first).get_days() > MAX_PERIOD_DAYS {
        let problem = format!("{last} is more than {MAX_PERIOD_DAYS} days after {first}");
        return Err(QueryError::field("period.to", problem));
    }
    if first > today {
        return Err(QueryError::field(
            "period.from",
            format!("{first} lies after today, {today}"),
        ));
    }
    Ok(Period {
        first,
        last: last.min(today),
    })
}

fn term_so_far(calendar: &Calendar, today: Date) -> Option<Period> {
    let term = calendar.term_at(today)?;
    let yesterday = today.saturating_sub(1.day());
    Some(Period {
        first: term.first,
        last: yesterday.min(term.last).max(term.first),
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_given_period_is_checked_and_clipped() {
        let today = date(2026, 10, 15);
        let days = |first, last| Period { first, last };
        for (given, expected) in [
            (
                days(date(2026, 9, 1), date(2026, 9, 30)),
                Ok(date(2026, 9, 30)),
            ),
            (
                days(date(2026, 9, 1), date(2026, 9, 1)),
                Ok(date(2026, 9, 1)),
            ),
            (days(date(2026, 9, 1), date(2027, 1, 15)), Ok(today)),
            (days(today, date(2026, 10, 16)), Ok(today)),
            (days(date(2016, 10, 7), date(2026, 10, 15)), Ok(today)),
            (
                days(date(2016, 10, 6), date(2026, 10, 15)),
                Err("period.to"),
            ),
            (
                days(date(-9999, 1, 1), date(9999, 12, 31)),
                Err("period.to"),
            ),
            (days(date(2026, 9, 2), date(2026, 9, 1)), Err("period.to")),
            (
                days(date(2026, 10, 16), date(2026, 10, 17)),
                Err("period.from"),
            ),
        ] {
            match (checked(given, today), expected) {
                (Ok(found), Ok(last)) => assert_eq!(found, days(given.first, last)),
                (Err(QueryError::Field { field, .. }), Err(expected)) => {
                    assert_eq!(field, expected, "{given:?}");
                }
                (found, _) => panic!("{given:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_term_so_far_ends_yesterday() {
        let calendar = Calendar::parse(
            r#"
            name = "试验"
            [[term]]
            name = "第一学期"
            first = "2026-09-01"
            last = "2027-01-15"
            [[term]]
            name = "第二学期"
            first = "2027-03-01"
            last = "2027-07-10"
            [[timetable]]
            hours = ["08:00-11:30"]
            "#,
        )
        .unwrap();
        let (autumn, spring) = (date(2026, 9, 1), date(2027, 3, 1));
        for (today, expected) in [
            (date(2026, 8, 31), None),
            (autumn, Some((autumn, autumn))),
            (date(2026, 9, 2), Some((autumn, autumn))),
            (date(2026, 9, 3), Some((autumn, date(2026, 9, 2)))),
            (date(2027, 1, 15), Some((autumn, date(2027, 1, 14)))),
            (date(2027, 2, 10), Some((autumn, date(2027, 1, 15)))),
            (spring, Some((spring, spring))),
            (date(2030, 1, 1), Some((spring, date(2027, 7, 10)))),
        ] {
            let found = term_so_far(&calendar, today).map(|period| (period.first, period.last));
            assert_eq!(found, expected, "{today}");
        }
    }
}
