//! Dirty marks: which school-days the rollup must bring up to date.
//!
//! The rule that everything here keeps: a school-day on which a terminal placed there has minutes is marked, or has a
//! row in `school_day` that is up to date. So "all school-days with data" can be read from these two tables alone,
//! without walking through the terminal-days.

use rusqlite::{Connection, Statement};

use super::{
    failure::Failure,
    retention,
    values::{Day, unsigned},
};
use crate::domain::{ids::CountyCode, usage::Period};

// Days before `meta.kept_from` are never marked: their minutes may be gone, and their sums are final.

/// Adds marks; an older mark of the same school-day keeps its place.
pub(super) struct Marks<'c>(Statement<'c>);

impl<'c> Marks<'c> {
    /// Prepares to add.
    pub(super) fn new(connection: &'c Connection) -> Result<Self, Failure> {
        Ok(Self(connection.prepare(
            "INSERT INTO dirty_school_day (school, day) VALUES (?1, ?2) ON CONFLICT (school, day) DO NOTHING",
        )?))
    }

    /// Marks one school-day.
    pub(super) fn add(&mut self, school: i64, day: Day) -> Result<(), Failure> {
        self.0.execute((school, day))?;
        Ok(())
    }
}

/// Marks the school-days on which a terminal has minutes, under the placements that it has now.
pub(super) fn mark_terminal(connection: &Connection, terminal: i64) -> Result<(), Failure> {
    connection.execute(
        "INSERT INTO dirty_school_day (school, day)
         SELECT p.school, d.day
         FROM placement p CROSS JOIN terminal_day d
         WHERE p.terminal = ?1 AND d.terminal = ?1 AND d.day BETWEEN p.from_day AND p.to_day
            AND d.day >= coalesce((SELECT kept_from FROM meta), d.day)
         ON CONFLICT (school, day) DO NOTHING",
        [terminal],
    )?;
    Ok(())
}

/// Marks all school-days of a school that have data.
pub(super) fn mark_school(connection: &Connection, school: i64) -> Result<(), Failure> {
    connection.execute(
        "INSERT INTO dirty_school_day (school, day)
         SELECT school, day FROM school_day
         WHERE school = ?1 AND day >= coalesce((SELECT kept_from FROM meta), day)
         ON CONFLICT (school, day) DO NOTHING",
        [school],
    )?;
    Ok(())
}

/// Marks all school-days of a county that have data.
pub(super) fn mark_county(connection: &Connection, county: i64) -> Result<(), Failure> {
    connection.execute(
        "INSERT INTO dirty_school_day (school, day)
         SELECT d.school, d.day
         FROM school s CROSS JOIN school_day d
         WHERE s.county = ?1 AND d.school = s.id AND d.day >= coalesce((SELECT kept_from FROM meta), d.day)
         ON CONFLICT (school, day) DO NOTHING",
        [county],
    )?;
    Ok(())
}

/// Marks the school-days of a county and period from the terminal-days themselves, trusting no rule: the way to rebuild a
/// rollup. Slower than the others, for it walks through the keys of the period's terminal-days.
///
/// Returns how many school-days of the county and period are now marked.
pub(super) fn mark_period(
    connection: &Connection,
    county: &CountyCode,
    period: Period,
) -> Result<u64, Failure> {
    let kept = retention::kept_from(connection)?.unwrap_or(period.first);
    let bounds = (
        county.as_str(),
        Day(period.first.max(kept)),
        Day(period.last),
    );
    connection.execute(
        "INSERT INTO dirty_school_day (school, day)
         SELECT DISTINCT p.school, d.day
         FROM county c CROSS JOIN school s CROSS JOIN placement p CROSS JOIN terminal_day d
         WHERE c.code = ?1 AND s.county = c.id AND p.school = s.id AND d.terminal = p.terminal
            AND d.day BETWEEN max(p.from_day, ?2) AND min(p.to_day, ?3)
         UNION
         SELECT d.school, d.day
         FROM county c CROSS JOIN school s CROSS JOIN school_day d
         WHERE c.code = ?1 AND s.county = c.id AND d.school = s.id AND d.day BETWEEN ?2 AND ?3
         ON CONFLICT (school, day) DO NOTHING",
        bounds,
    )?;
    Ok(connection.query_row(
        "SELECT count(*)
         FROM county c CROSS JOIN school s CROSS JOIN dirty_school_day m
         WHERE c.code = ?1 AND s.county = c.id AND m.school = s.id AND m.day BETWEEN ?2 AND ?3",
        bounds,
        |row| unsigned(row, 0),
    )?)
}
