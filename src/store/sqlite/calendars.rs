//! Counties' calendars: versions as texts, of which the latest is in force.

use rusqlite::{Connection, OptionalExtension};

use super::{dirty, failure::Failure, registry};
use crate::{
    domain::{calendar::Calendar, ids::CountyCode},
    store::{StoreError, StoredCalendar, counting::Calendars},
};

/// The calendar in force of the county with this key.
pub(super) fn in_force(
    connection: &Connection,
    calendars: &Calendars,
    county: i64,
) -> Result<Option<StoredCalendar>, Failure> {
    let found = latest(connection, county)?;
    let parsed = found.map(|(version, text)| calendars.parsed(county, version, text));
    Ok(parsed.transpose()?)
}

/// Puts a text in force as a new version, unless it already is.
pub(super) fn set(
    connection: &Connection,
    county: &CountyCode,
    text: &str,
    at: i64,
) -> Result<i64, Failure> {
    Calendar::parse(text).map_err(|error| StoreError::Conflict(error.to_string()))?;
    let key = registry::county_key(connection, county)?
        .ok_or_else(|| Failure::not_found("county", county))?;
    let version = match latest(connection, key)? {
        Some((version, known)) if known == text => return Ok(version),
        Some((version, _)) => version + 1,
        None => 1,
    };
    connection.execute(
        "INSERT INTO calendar (county, version, text, stored_at) VALUES (?1, ?2, ?3, ?4)",
        (key, version, text, at),
    )?;
    dirty::mark_county(connection, key)?;
    registry::raise_version(connection)?;
    Ok(version)
}

fn latest(connection: &Connection, county: i64) -> Result<Option<(i64, String)>, Failure> {
    Ok(connection
        .query_row(
            "SELECT version, text FROM calendar WHERE county = ?1 ORDER BY version DESC LIMIT 1",
            [county],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?)
}
