//! Terminal-days that are old enough go; the sums of their school-days stay, and are final.
//!
//! Not responsible for which are old enough, nor for what still needs them (`retention` of the service).

use jiff::civil::Date;
use rusqlite::Connection;

use super::{
    failure::Failure,
    registry,
    values::{Day, period},
};
use crate::{
    domain::{ids::CountyCode, usage::Period},
    store::StoreError,
};

/// Terminal-days removed in one transaction: reports wait no longer than for a batch.
const STEP: u32 = 20_000;

/// The first day whose minutes are kept; `None` while all are.
pub(super) fn kept_from(connection: &Connection) -> Result<Option<Date>, Failure> {
    let day: Option<Day> =
        connection.query_row("SELECT kept_from FROM meta", [], |row| row.get(0))?;
    Ok(day.map(|day| day.0))
}

/// The first day that has minutes.
pub(super) fn first_day(connection: &Connection) -> Result<Option<Date>, Failure> {
    let day: Option<Day> =
        connection.query_row("SELECT min(day) FROM terminal_day", [], |row| row.get(0))?;
    Ok(day.map(|day| day.0))
}

/// From now on nothing before this day is taken or counted anew.
pub(super) fn keep_from(connection: &Connection, day: Date) -> Result<(), Failure> {
    let dirty: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM dirty_school_day WHERE day < ?1)",
        [Day(day)],
        |row| row.get(0),
    )?;
    if dirty {
        return Err(StoreError::Conflict(format!(
            "school-days before {day} are not rolled up yet"
        ))
        .into());
    }
    let moved = connection.execute(
        "UPDATE meta SET kept_from = ?1 WHERE kept_from IS NULL OR kept_from < ?1",
        [Day(day)],
    )?;
    if moved > 0 {
        registry::raise_version(connection)?;
    }
    Ok(())
}

/// Removes some of what is no longer kept; returns how many terminal-days.
pub(super) fn sweep(connection: &Connection) -> Result<u64, Failure> {
    let removed = connection.execute(
        "DELETE FROM terminal_day WHERE (day, terminal) IN (
            SELECT d.day, d.terminal FROM terminal_day d
            WHERE d.day < (SELECT kept_from FROM meta) ORDER BY d.day, d.terminal LIMIT ?1)",
        [STEP],
    )?;
    Ok(removed as u64)
}

/// Notes that a period stands in a frozen evaluation.
pub(super) fn note_evaluated(
    connection: &Connection,
    county: &CountyCode,
    period: Period,
) -> Result<(), Failure> {
    let key = registry::county_key(connection, county)?
        .ok_or_else(|| Failure::not_found("county", county))?;
    connection.execute(
        "INSERT INTO evaluated (county, first_day, last_day) VALUES (?1, ?2, ?3)
         ON CONFLICT (county, first_day, last_day) DO NOTHING",
        (key, Day(period.first), Day(period.last)),
    )?;
    Ok(())
}

/// A county's evaluated periods, in order of time.
pub(super) fn evaluated(
    connection: &Connection,
    county: &CountyCode,
) -> Result<Vec<Period>, Failure> {
    let mut select = connection.prepare(
        "SELECT e.first_day, e.last_day FROM evaluated e JOIN county c ON c.id = e.county
         WHERE c.code = ?1 ORDER BY e.first_day, e.last_day",
    )?;
    let periods = select.query_map([county.as_str()], |row| period(row, 0))?;
    Ok(periods.collect::<Result<_, _>>()?)
}
