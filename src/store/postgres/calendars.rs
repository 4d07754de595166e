//! Counties' calendars: versions as texts, of which the latest is in force.

use super::{
    connection::{Lock, On},
    dirty,
    failure::Failure,
    registry,
};
use crate::{
    domain::{calendar::Calendar, ids::CountyCode},
    store::{StoreError, StoredCalendar, counting::Calendars},
};

/// The calendar in force of the county with this key.
pub(super) async fn in_force(
    on: &On<'_>,
    calendars: &Calendars,
    county: i32,
) -> Result<Option<StoredCalendar>, Failure> {
    let found = latest(on, county).await?;
    let parsed = found.map(|(version, text)| calendars.parsed(i64::from(county), version, text));
    Ok(parsed.transpose()?)
}

/// Puts a text in force as a new version, unless it already is.
pub(super) async fn set(
    on: &On<'_>,
    county: &CountyCode,
    text: &str,
    at: i64,
) -> Result<i64, Failure> {
    Calendar::parse(text).map_err(|error| StoreError::Conflict(error.to_string()))?;
    on.lock(Lock::Registry).await?;
    let key = registry::county_key(on, county)
        .await?
        .ok_or_else(|| Failure::not_found("county", county))?;
    let version = match latest(on, key).await? {
        Some((version, known)) if known == text => return Ok(version),
        Some((version, _)) => version + 1,
        None => 1,
    };
    on.execute(
        "INSERT INTO calendar (county, version, text, stored_at) VALUES ($1, $2, $3, $4)",
        &[&key, &version, &text, &at],
    )
    .await?;
    dirty::mark_county(on, key).await?;
    registry::raise_version(on).await?;
    Ok(version)
}

async fn latest(on: &On<'_>, county: i32) -> Result<Option<(i64, String)>, Failure> {
    let found = on
        .maybe(
            "SELECT version, text FROM calendar WHERE county = $1 ORDER BY version DESC LIMIT 1",
            &[&county],
        )
        .await?;
    found
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .transpose()
}
