//! Counties' calendars: versions as texts, and the one in force parsed once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, OptionalExtension};

use super::{dirty, failure::Failure, registry};
use crate::{
    domain::{calendar::Calendar, ids::CountyCode},
    store::{StoreError, StoredCalendar},
};

/// Parsed calendars by county and version. A stored version never changes, so nothing here goes stale.
#[derive(Default)]
pub(super) struct Calendars(Mutex<HashMap<i64, (i64, Arc<Calendar>)>>);

impl Calendars {
    /// The calendar in force of the county with this key.
    pub(super) fn in_force(
        &self,
        connection: &Connection,
        county: i64,
    ) -> Result<Option<StoredCalendar>, Failure> {
        let Some((version, text)) = latest(connection, county)? else {
            return Ok(None);
        };
        let calendar = self.parsed(county, version, &text)?;
        Ok(Some(StoredCalendar {
            version,
            text,
            calendar,
        }))
    }

    fn parsed(&self, county: i64, version: i64, text: &str) -> Result<Arc<Calendar>, Failure> {
        let mut parsed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, calendar)) = parsed.get(&county)
            && *known == version
        {
            return Ok(Arc::clone(calendar));
        }
        let calendar = Calendar::parse(text).map_err(|error| {
            StoreError::Damaged(format!("version {version} of a calendar: {error}"))
        })?;
        let calendar = Arc::new(calendar);
        parsed.insert(county, (version, Arc::clone(&calendar)));
        Ok(calendar)
    }
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
