//! Runs that were just looked at: reading a county's year of minutes for every click would make pages slow.
//!
//! A frozen run never changes. A draft is kept for a moment and only at its revision: whoever freezes confirms figures by
//! their digest, which is computed afresh. Not responsible for reading runs (`evaluation`).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Context, failure::Failure};
use crate::{
    evaluation::{self, Loaded},
    store::Run,
};

/// Runs kept in memory; a county's year takes some megabytes.
const KEPT: usize = 3;

/// How old a draft may be shown, seconds.
const DRAFT: i64 = 60;

/// Longest time that a run is kept after it was read, in seconds: memory goes back when nobody looks.
const IDLE: i64 = Duration::from_mins(30).as_secs().cast_signed();

/// A run as it was read.
#[derive(Debug)]
struct Seen {
    loaded: Arc<Loaded>,
    /// Unix seconds.
    at: i64,
    /// The registry's version then.
    registry: i64,
    /// The calendar's version then.
    calendar: i64,
}

/// Runs that were just looked at.
#[derive(Debug, Default)]
pub(super) struct Runs(Mutex<Vec<Seen>>);

impl Runs {
    fn find(&self, run: &Run, now: i64, registry: i64, calendar: i64) -> Option<Arc<Loaded>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| (0..IDLE).contains(&(now - one.at)));
        let fits = |one: &&Seen| {
            let same = one.loaded.run == *run;
            let fresh =
                now - one.at < DRAFT && (one.registry, one.calendar) == (registry, calendar);
            same && (run.frozen().is_some() || fresh)
        };
        kept.iter().find(fits).map(|one| one.loaded.clone())
    }

    fn keep(&self, seen: Seen) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| one.loaded.run.id != seen.loaded.run.id);
        kept.insert(0, seen);
        kept.truncate(KEPT);
    }
}

impl Context {
    /// A run with all that it is, as it was a moment ago.
    pub(super) async fn loaded(&self, run: Run) -> Result<Arc<Loaded>, Failure> {
        let (now, registry, calendar) = self.versions(&run).await?;
        match self.runs.find(&run, now, registry, calendar) {
            Some(found) => Ok(found),
            None => self.fresh(run).await,
        }
    }

    /// A run as it is now.
    pub(super) async fn fresh(&self, run: Run) -> Result<Arc<Loaded>, Failure> {
        let (at, registry, calendar) = self.versions(&run).await?;
        let loaded = Arc::new(evaluation::load(self.store(), run.id).await?);
        self.runs.keep(Seen {
            loaded: loaded.clone(),
            at,
            registry,
            calendar,
        });
        Ok(loaded)
    }

    async fn versions(&self, run: &Run) -> Result<(i64, i64, i64), Failure> {
        let calendar = self.store().calendar(&run.county).await?;
        Ok((
            self.parts.clock.now().as_second(),
            self.store().registry_version().await?,
            calendar.map_or(0, |stored| stored.version),
        ))
    }
}
