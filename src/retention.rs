//! Retention: terminal-days go when they are old enough and nothing needs them any more. School-days' sums stay.
//!
//! A day is needed while it lies in a term of any county for which no evaluation that covers it is frozen, or while a
//! county has no calendar that could tell. So nothing goes by age alone. Not responsible for removing (`store`).

use std::time::Duration;

use jiff::{ToSpan as _, civil::Date, tz::TimeZone};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    clock::SharedClock,
    domain::usage::Period,
    observe::chain,
    store::{SharedStore, Store, StoreError, StoredCalendar},
};

/// How often it is looked.
const INTERVAL: Duration = Duration::from_hours(6);

/// School-days brought up to date in one transaction before their minutes go.
const STEP: u32 = 256;

/// Looks every few hours until `stop`. `days` is the least age at which minutes go.
pub async fn run(
    store: SharedStore,
    clock: SharedClock,
    zone: TimeZone,
    days: u32,
    stop: CancellationToken,
) {
    loop {
        let today = zone.to_datetime(clock.now()).date();
        match expire(&*store, today, days).await {
            Ok(0) => {}
            Ok(removed) => info!(
                removed,
                "terminal-days that nothing needs any more are gone"
            ),
            Err(error) => warn!(error = %chain(&error), "retention failed; trying again later"),
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Removes terminal-days older than `days` before `today`, whole months of them, as far as nothing needs them.
/// Returns how many.
///
/// # Errors
/// The store's; what has gone by then was not needed either.
pub async fn expire(store: &dyn Store, today: Date, days: u32) -> Result<u64, StoreError> {
    let Ok(oldest) = today.checked_sub(i64::from(days).days()) else {
        return Ok(0);
    };
    let Some(first) = store.first_day().await? else {
        return Ok(0);
    };
    let needed = first_needed(store, first, oldest).await?;
    let from = needed.first_of_month();
    if first < from {
        while !store.roll_up(STEP).await?.is_empty() {}
        store.keep_from(from).await?;
    }
    let mut removed = 0;
    loop {
        match store.sweep().await? {
            0 => return Ok(removed),
            more => removed += more,
        }
    }
}

/// The first day from `first` on that something needs; `end` if nothing before it.
async fn first_needed(store: &dyn Store, first: Date, end: Date) -> Result<Date, StoreError> {
    let mut needed = end;
    for county in store.counties().await? {
        let Some(calendar) = store.calendar(&county.code).await? else {
            return Ok(first);
        };
        let evaluated = store.evaluated(&county.code).await?;
        let open = first
            .series(1.day())
            .take_while(|day| *day < needed)
            .find(|day| is_needed(&calendar, &evaluated, *day));
        needed = open.unwrap_or(needed);
    }
    Ok(needed)
}

fn is_needed(calendar: &StoredCalendar, evaluated: &[Period], day: Date) -> bool {
    let in_term = calendar
        .calendar
        .terms()
        .iter()
        .any(|term| (term.first..=term.last).contains(&day));
    in_term && !evaluated.iter().any(|period| period.contains(day))
}
