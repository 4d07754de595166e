//! Questions about minutes: sums from the rollup, and the terminal-days behind them.
//!
//! A terminal-day belongs to the school in which the terminal stood on that day, which `placement` alone says.

use std::collections::HashMap;

use jiff::civil::Date;

use super::{
    connection::On,
    failure::Failure,
    values::{Day, day_minutes, text, unsigned},
};
use crate::{
    domain::{
        ids::{CountyCode, SchoolCode, TerminalId},
        minutes::DayMinutes,
        usage::{Minutes, Period},
    },
    store::{SchoolSum, StoreError, TerminalDays},
};

/// Sums of a county's schools over a period, by school.
pub(super) async fn school_sums(
    on: &On<'_>,
    county: &CountyCode,
    period: Period,
) -> Result<Vec<SchoolSum>, Failure> {
    let (county, first, last) = (county.as_str(), Day(period.first), Day(period.last));
    let sums = on
        .rows(
            "SELECT s.id, s.code, sum(d.counted)::int8, sum(d.powered)::int8, sum(d.used)::int8,
                sum(d.lessons_taught)::int8, sum(d.reporting)::int8, max(d.reporting)
             FROM county c JOIN school s ON s.county = c.id JOIN school_day d ON d.school = s.id
             WHERE c.code = $1 AND d.day BETWEEN $2 AND $3
             GROUP BY s.id, s.code ORDER BY s.code",
            &[&county, &first, &last],
        )
        .await?;
    let mut most = HashMap::new();
    for row in &sums {
        most.insert(row.try_get::<_, i32>(0)?, row.try_get::<_, i64>(7)?);
    }
    let reporting = reporting(on, county, first, last, &most).await?;
    sums.iter()
        .map(|row| {
            let school: i32 = row.try_get(0)?;
            Ok(SchoolSum {
                school: text(row, 1)?,
                minutes: Minutes {
                    counted: unsigned(row, 2)?,
                    powered: unsigned(row, 3)?,
                    used: unsigned(row, 4)?,
                    lessons_taught: unsigned(row, 5)?,
                    reporting: unsigned(row, 6)?,
                },
                reporting_terminals: reporting.get(&school).copied().unwrap_or_default(),
            })
        })
        .collect()
}

/// Terminals that reported while placed in a school, by school. `most` is the most on any one day: mostly that is all
/// that were placed, and then it tells; else each placement is asked for.
async fn reporting(
    on: &On<'_>,
    county: &str,
    first: Day,
    last: Day,
    most: &HashMap<i32, i64>,
) -> Result<HashMap<i32, u32>, Failure> {
    let placed = on
        .rows(
            "SELECT p.school, count(DISTINCT p.terminal)
             FROM county c JOIN school s ON s.county = c.id JOIN placement p ON p.school = s.id
             WHERE c.code = $1 AND p.from_day <= $3 AND p.to_day >= $2 GROUP BY p.school",
            &[&county, &first, &last],
        )
        .await?;
    let (mut found, mut open) = (HashMap::new(), Vec::new());
    for row in &placed {
        let (school, placed): (i32, i64) = (row.try_get(0)?, row.try_get(1)?);
        if most.get(&school) == Some(&placed) {
            found.insert(school, count(row)?);
        } else {
            open.push(school);
        }
    }
    if open.is_empty() {
        return Ok(found);
    }
    let rows = on
        .rows(
            "SELECT p.school, count(DISTINCT p.terminal)
             FROM placement p
             WHERE p.school = ANY ($1) AND p.from_day <= $3 AND p.to_day >= $2
                AND EXISTS (
                    SELECT 1 FROM terminal_day d
                    WHERE d.terminal = p.terminal AND d.day BETWEEN $2 AND $3
                        AND d.day BETWEEN p.from_day AND p.to_day)
             GROUP BY p.school",
            &[&open, &first, &last],
        )
        .await?;
    for row in &rows {
        found.insert(row.try_get(0)?, count(row)?);
    }
    Ok(found)
}

/// Reads a count of terminals, the second column.
fn count(row: &tokio_postgres::Row) -> Result<u32, Failure> {
    Ok(u32::try_from(unsigned(row, 1)?)
        .map_err(|error| StoreError::Damaged(format!("a count of terminals: {error}")))?)
}

/// Terminal-days of one school, by terminal and day.
pub(super) async fn school_terminal_days(
    on: &On<'_>,
    school: &SchoolCode,
    period: Period,
) -> Result<Vec<(TerminalId, Date, DayMinutes)>, Failure> {
    let rows = on
        .rows(
            "SELECT t.name, d.day, d.powered, d.used, d.last_seen
             FROM school s JOIN placement p ON p.school = s.id JOIN terminal t ON t.id = p.terminal
                JOIN terminal_day d ON d.terminal = p.terminal AND d.day BETWEEN p.from_day AND p.to_day
             WHERE s.code = $1 AND d.day BETWEEN $2 AND $3 AND p.from_day <= $3 AND p.to_day >= $2
             ORDER BY t.name, d.day",
            &[&school.as_str(), &Day(period.first), &Day(period.last)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok((
                text(row, 0)?,
                row.try_get::<_, Day>(1)?.0,
                day_minutes(row, 2)?,
            ))
        })
        .collect()
}

/// Sums of one school's days, by day.
pub(super) async fn school_days(
    on: &On<'_>,
    school: &SchoolCode,
    period: Period,
) -> Result<Vec<(Date, Minutes)>, Failure> {
    let rows = on
        .rows(
            "SELECT d.day, d.counted::int8, d.powered::int8, d.used::int8, d.lessons_taught::int8, d.reporting::int8
             FROM school s JOIN school_day d ON d.school = s.id
             WHERE s.code = $1 AND d.day BETWEEN $2 AND $3 ORDER BY d.day",
            &[&school.as_str(), &Day(period.first), &Day(period.last)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let minutes = Minutes {
                counted: unsigned(row, 1)?,
                powered: unsigned(row, 2)?,
                used: unsigned(row, 3)?,
                lessons_taught: unsigned(row, 4)?,
                reporting: unsigned(row, 5)?,
            };
            Ok((row.try_get::<_, Day>(0)?.0, minutes))
        })
        .collect()
}

/// Minutes of every terminal that stood in a school of the county on these days, by school and terminal.
pub(super) async fn county_days(
    on: &On<'_>,
    county: &CountyCode,
    days: &[Date],
) -> Result<Vec<TerminalDays>, Failure> {
    let days: Vec<Day> = days.iter().copied().map(Day).collect();
    let rows = on
        .rows(
            "SELECT s.code, t.name, d.day, d.powered, d.used, d.last_seen
             FROM county c JOIN school s ON s.county = c.id JOIN placement p ON p.school = s.id
                JOIN terminal t ON t.id = p.terminal JOIN terminal_day d ON d.terminal = p.terminal
             WHERE c.code = $1 AND d.day = ANY($2) AND p.from_day <= d.day AND p.to_day >= d.day
             ORDER BY s.code, t.name, d.day",
            &[&county.as_str(), &days],
        )
        .await?;
    let mut found: Vec<TerminalDays> = Vec::new();
    for row in &rows {
        let (school, terminal) = (text(row, 0)?, text(row, 1)?);
        let day = (row.try_get::<_, Day>(2)?.0, day_minutes(row, 3)?);
        match found.last_mut() {
            Some(last) if last.school == school && last.terminal == terminal => last.days.push(day),
            _ => found.push(TerminalDays {
                school,
                terminal,
                days: vec![day],
            }),
        }
    }
    Ok(found)
}

/// One terminal's days, wherever it stood.
pub(super) async fn terminal_days(
    on: &On<'_>,
    terminal: &TerminalId,
    period: Period,
) -> Result<Vec<(Date, DayMinutes)>, Failure> {
    let rows = on
        .rows(
            "SELECT d.day, d.powered, d.used, d.last_seen
             FROM terminal t JOIN terminal_day d ON d.terminal = t.id
             WHERE t.name = $1 AND d.day BETWEEN $2 AND $3 ORDER BY d.day",
            &[&terminal.as_str(), &Day(period.first), &Day(period.last)],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get::<_, Day>(0)?.0, day_minutes(row, 1)?)))
        .collect()
}
