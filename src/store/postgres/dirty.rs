//! Dirty marks: which school-days the rollup must bring up to date.
//!
//! The rule that everything here keeps: a school-day on which a terminal placed there has minutes is marked, or has a
//! row in `school_day` that is up to date. So "all school-days with data" can be read from these two tables alone,
//! without walking through the terminal-days.
//!
//! Marks are only ever added, never found to be there already: a mark that stands may be about to vanish with a
//! rollup that does not see the minutes for which it would be needed again.

use super::{
    connection::On,
    failure::Failure,
    retention,
    values::{Day, unsigned},
};
use crate::domain::{ids::CountyCode, usage::Period};

// Days before `meta.kept_from` are never marked: their minutes may be gone, and their sums are final.

/// Marks the school-days on which these terminals have minutes, under the placements that they have now.
pub(super) async fn mark_terminals(on: &On<'_>, terminals: &[i32]) -> Result<(), Failure> {
    on.execute(
        "INSERT INTO dirty_school_day (school, day)
         SELECT DISTINCT p.school, d.day
         FROM placement p JOIN terminal_day d ON d.terminal = p.terminal AND d.day BETWEEN p.from_day AND p.to_day
         WHERE p.terminal = ANY ($1) AND d.day >= coalesce((SELECT kept_from FROM meta), d.day)",
        &[&terminals],
    )
    .await?;
    Ok(())
}

/// Marks all school-days of a school that have data.
pub(super) async fn mark_school(on: &On<'_>, school: i32) -> Result<(), Failure> {
    on.execute(
        "INSERT INTO dirty_school_day (school, day)
         SELECT school, day FROM (
            SELECT school, day FROM school_day WHERE school = $1
            UNION SELECT school, day FROM dirty_school_day WHERE school = $1) d
         WHERE d.day >= coalesce((SELECT kept_from FROM meta), d.day)",
        &[&school],
    )
    .await?;
    Ok(())
}

/// Marks all school-days of a county that have data.
pub(super) async fn mark_county(on: &On<'_>, county: i32) -> Result<(), Failure> {
    on.execute(
        "INSERT INTO dirty_school_day (school, day)
         SELECT school, day FROM (
            SELECT d.school, d.day FROM school s JOIN school_day d ON d.school = s.id WHERE s.county = $1
            UNION
            SELECT d.school, d.day FROM school s JOIN dirty_school_day d ON d.school = s.id WHERE s.county = $1) d
         WHERE d.day >= coalesce((SELECT kept_from FROM meta), d.day)",
        &[&county],
    )
    .await?;
    Ok(())
}

/// Marks the school-days of a county and period from the terminal-days themselves, trusting no rule: the way to rebuild a
/// rollup. Slower than the others, for it walks through the keys of the period's terminal-days.
///
/// Returns how many school-days of the county and period are now marked.
pub(super) async fn mark_period(
    on: &On<'_>,
    county: &CountyCode,
    period: Period,
) -> Result<u64, Failure> {
    let kept = retention::kept_from(on).await?.unwrap_or(period.first);
    let (first, last) = (Day(period.first.max(kept)), Day(period.last));
    let county = county.as_str();
    on.execute(
        "INSERT INTO dirty_school_day (school, day)
         SELECT DISTINCT p.school, d.day
         FROM county c JOIN school s ON s.county = c.id JOIN placement p ON p.school = s.id
            JOIN terminal_day d ON d.terminal = p.terminal AND d.day BETWEEN p.from_day AND p.to_day
         WHERE c.code = $1 AND d.day BETWEEN $2 AND $3
         UNION
         SELECT d.school, d.day
         FROM county c JOIN school s ON s.county = c.id JOIN school_day d ON d.school = s.id
         WHERE c.code = $1 AND d.day BETWEEN $2 AND $3",
        &[&county, &first, &last],
    )
    .await?;
    let row = on
        .row(
            "SELECT count(DISTINCT (m.school, m.day))
             FROM county c JOIN school s ON s.county = c.id JOIN dirty_school_day m ON m.school = s.id
             WHERE c.code = $1 AND m.day BETWEEN $2 AND $3",
            &[&county, &first, &last],
        )
        .await?;
    unsigned(&row, 0)
}
