//! Months of terminal-days: each in a partition of its own, made when first needed.
//!
//! In a transaction of its own before the batch's, so that a batch never holds a lock that others wait for.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use jiff::civil::Date;

use super::{
    connection::{Connections, Lock, On},
    failure::Failure,
};

/// Days before it lie together in the first partition.
const FIRST: Date = jiff::civil::date(2020, 1, 1);

/// Months that are known to have a partition.
#[derive(Default)]
pub(super) struct Months(Mutex<BTreeSet<Date>>);

impl Months {
    /// Makes partitions for these days where they are missing.
    pub(super) async fn provide(
        &self,
        connections: &Connections,
        days: impl Iterator<Item = Date>,
    ) -> Result<(), Failure> {
        let missing = self.missing(days);
        if missing.is_empty() {
            return Ok(());
        }
        let (mut connection, _permit) = connections.get().await?;
        let on = On::write(&mut connection).await?;
        on.lock(Lock::Partitions).await?;
        for month in &missing {
            make(&on, *month).await?;
        }
        on.commit().await?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(missing);
        Ok(())
    }

    fn missing(&self, days: impl Iterator<Item = Date>) -> BTreeSet<Date> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        days.filter(|day| *day >= FIRST)
            .map(Date::first_of_month)
            .filter(|month| !known.contains(month))
            .collect()
    }
}

/// Filled first and attached then: attaching an empty table does not keep readers and writers of the others waiting.
async fn make(on: &On<'_>, month: Date) -> Result<(), Failure> {
    let name = format!("terminal_day_{:04}_{:02}", month.year(), month.month());
    let found = on
        .row("SELECT to_regclass($1) IS NOT NULL", &[&name])
        .await?;
    if found.try_get(0)? {
        return Ok(());
    }
    let next = month
        .last_of_month()
        .tomorrow()
        .map_or_else(|_last| "MAXVALUE".to_owned(), |next| format!("'{next}'"));
    // Room on each page for the rows' next versions: minutes change all day.
    on.batch(&format!(
        "CREATE TABLE {name} (LIKE terminal_day INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH (fillfactor = 60);
         ALTER TABLE terminal_day ATTACH PARTITION {name} FOR VALUES FROM ('{month}') TO ({next});"
    ))
    .await?;
    tracing::info!(%month, "a month's partition was made");
    Ok(())
}
