//! Terminal-days that are old enough go, month by month; the sums of their school-days stay, and are final.
//!
//! Not responsible for which are old enough, nor for what still needs them (`retention` of the service).

use jiff::civil::Date;

use super::{
    connection::{Lock, On},
    failure::Failure,
    registry,
    values::{Day, period},
};
use crate::{
    domain::{ids::CountyCode, usage::Period},
    store::StoreError,
};

/// The first day whose minutes are kept; `None` while all are.
pub(super) async fn kept_from(on: &On<'_>) -> Result<Option<Date>, Failure> {
    let row = on.row("SELECT kept_from FROM meta", &[]).await?;
    Ok(row.try_get::<_, Option<Day>>(0)?.map(|day| day.0))
}

/// The first day that has minutes.
pub(super) async fn first_day(on: &On<'_>) -> Result<Option<Date>, Failure> {
    // One month after another, for no index leads with the day.
    for name in partitions(on).await? {
        let row = on.row(&format!("SELECT min(day) FROM {name}"), &[]).await?;
        if let Some(day) = row.try_get::<_, Option<Day>>(0)? {
            return Ok(Some(day.0));
        }
    }
    Ok(None)
}

/// From now on nothing before this day is taken or counted anew.
pub(super) async fn keep_from(on: &On<'_>, day: Date) -> Result<(), Failure> {
    on.lock(Lock::Registry).await?;
    let row = on
        .row(
            "SELECT EXISTS (SELECT 1 FROM dirty_school_day WHERE day < $1)",
            &[&Day(day)],
        )
        .await?;
    if row.try_get(0)? {
        return Err(StoreError::Conflict(format!(
            "school-days before {day} are not rolled up yet"
        ))
        .into());
    }
    let moved = on
        .execute(
            "UPDATE meta SET kept_from = $1 WHERE kept_from IS NULL OR kept_from < $1",
            &[&Day(day)],
        )
        .await?;
    if moved > 0 {
        registry::raise_version(on).await?;
    }
    Ok(())
}

/// Removes a month of what is no longer kept; returns how many terminal-days.
pub(super) async fn sweep(on: &On<'_>) -> Result<u64, Failure> {
    let Some(kept) = kept_from(on).await? else {
        return Ok(0);
    };
    // A question that takes long must not make all others wait behind this: the next sweep will do.
    on.batch("SET LOCAL lock_timeout = '2s'").await?;
    for name in partitions(on).await? {
        let removed = if month(&name).is_some_and(|end| end <= kept) {
            let row = on.row(&format!("SELECT count(*) FROM {name}"), &[]).await?;
            on.batch(&format!("DROP TABLE {name}")).await?;
            row.try_get::<_, i64>(0)?.unsigned_abs()
        } else {
            on.execute(&format!("DELETE FROM {name} WHERE day < $1"), &[&Day(kept)])
                .await?
        };
        if removed > 0 {
            return Ok(removed);
        }
    }
    Ok(0)
}

/// The partitions' names, the earliest first.
async fn partitions(on: &On<'_>) -> Result<Vec<String>, Failure> {
    let rows = on
        .rows(
            "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'terminal_day'::regclass ORDER BY c.relname <> 'terminal_day_early', c.relname",
            &[],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?)
}

/// The day after a month's partition, from its name.
fn month(name: &str) -> Option<Date> {
    let (year, month) = name.strip_prefix("terminal_day_")?.split_once('_')?;
    let first = Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()?;
    first.last_of_month().tomorrow().ok()
}

/// Notes that a period stands in a frozen evaluation.
pub(super) async fn note_evaluated(
    on: &On<'_>,
    county: &CountyCode,
    period: Period,
) -> Result<(), Failure> {
    let key = registry::county_key(on, county)
        .await?
        .ok_or_else(|| Failure::not_found("county", county))?;
    on.execute(
        "INSERT INTO evaluated (county, first_day, last_day) VALUES ($1, $2, $3)
         ON CONFLICT (county, first_day, last_day) DO NOTHING",
        &[&key, &Day(period.first), &Day(period.last)],
    )
    .await?;
    Ok(())
}

/// A county's evaluated periods, in order of time.
pub(super) async fn evaluated(on: &On<'_>, county: &CountyCode) -> Result<Vec<Period>, Failure> {
    let rows = on
        .rows(
            "SELECT e.first_day, e.last_day FROM evaluated e JOIN county c ON c.id = e.county
             WHERE c.code = $1 ORDER BY e.first_day, e.last_day",
            &[&county.as_str()],
        )
        .await?;
    rows.iter().map(|row| period(row, 0)).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::month;

    #[test]
    fn a_months_end_is_read_from_its_partitions_name() {
        assert_eq!(month("terminal_day_2026_12"), Some(date(2027, 1, 1)));
        for other in ["terminal_day_early", "terminal_day_2026_13", "school_day"] {
            assert_eq!(month(other), None, "{other}");
        }
    }
}
