//! Runs that were just looked at: a county's points are not reckoned anew for every click.
//!
//! A frozen run never changes. A draft is shown again as long as nothing that it follows from has changed: its revision,
//! the registry, the calendar, and minutes as far as the rollup of this process tells of them; what another process rolls
//! up is seen after some minutes. Whoever freezes confirms figures by their digest, which is computed afresh.
//! Not responsible for reading runs (`evaluation`).

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::broadcast::{self, error::TryRecvError};

use super::{Context, failure::Failure};
use crate::{
    access,
    domain::ids::SchoolCode,
    evaluation::{self, Loaded},
    store::{Run, SchoolDay},
};

/// Runs kept in memory. Points of a hundred schools take a few megabytes; minutes, which a comparison with a draft reads
/// whole, take a hundred more for a year.
const KEPT: usize = 4;

/// How old a draft may be whose minutes change, seconds: in the midst of a term they always do.
const CHANGING: i64 = 60;

/// How old a draft may be, seconds.
const DRAFT: i64 = 600;

/// How long a run is kept after it was read, seconds: memory goes back when nobody looks.
const IDLE: i64 = 1_800;

/// What a draft follows from beside its own revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Versions {
    registry: i64,
    calendar: i64,
}

/// How good minutes are that were read.
#[derive(Debug, Clone, Copy)]
struct Age {
    /// When they were read, Unix seconds.
    at: i64,
    versions: Versions,
    /// Whether minutes of the run's days changed since.
    stale: bool,
}

/// A run as it was read.
#[derive(Debug)]
struct Seen {
    loaded: Arc<Loaded>,
    age: Age,
}

#[derive(Debug)]
struct Kept {
    seen: Vec<Seen>,
    changes: broadcast::Receiver<SchoolDay>,
}

/// Runs that were just looked at.
#[derive(Debug)]
pub(super) struct Runs {
    kept: Mutex<Kept>,
    /// One is read at a time: whoever else wants the same finds it then, and memory stays bounded.
    reading: tokio::sync::Mutex<()>,
}

/// What is known of a run.
enum Found {
    /// All of it.
    Whole(Arc<Loaded>),
    /// All but evidence and exclusions.
    Minutes(Arc<Loaded>, Age),
    Nothing,
}

impl Kept {
    /// Marks what can't be shown for long any more.
    fn hear(&mut self) {
        loop {
            let changed = match self.changes.try_recv() {
                Ok(changed) => Some(changed.day),
                Err(TryRecvError::Lagged(_)) => None,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            };
            for one in &mut self.seen {
                let period = one.loaded.run.period;
                one.age.stale |= changed.is_none_or(|day| period.contains(day));
            }
        }
    }
}

impl Runs {
    pub(super) fn new(changes: &broadcast::Sender<SchoolDay>) -> Self {
        Self {
            kept: Mutex::new(Kept {
                seen: Vec::new(),
                changes: changes.subscribe(),
            }),
            reading: tokio::sync::Mutex::default(),
        }
    }

    fn find(&self, run: &Run, now: i64, versions: Versions) -> Found {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.hear();
        kept.seen
            .retain(|one| (0..IDLE).contains(&(now - one.age.at)));
        let found = kept.seen.iter().find(|one| one.loaded.run.id == run.id);
        let Some(one) = found else {
            return Found::Nothing;
        };
        let same = one.loaded.run == *run;
        if same && run.frozen().is_some() {
            return Found::Whole(one.loaded.clone());
        }
        let limit = if one.age.stale { CHANGING } else { DRAFT };
        if one.age.versions != versions || now - one.age.at >= limit {
            return Found::Nothing;
        }
        if same {
            Found::Whole(one.loaded.clone())
        } else {
            Found::Minutes(one.loaded.clone(), one.age)
        }
    }

    fn keep(&self, seen: Seen) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // What was told before this was read is in it.
        kept.hear();
        let id = seen.loaded.run.id;
        kept.seen.retain(|one| one.loaded.run.id != id);
        kept.seen.insert(0, seen);
        kept.seen.truncate(KEPT);
    }
}

impl Runs {
    /// Keeps a run with more minutes for as long as the same was to be kept without them.
    fn put_in_place(&self, before: &Arc<Loaded>, more: Loaded) -> Arc<Loaded> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let more = Arc::new(more);
        let mut seen = kept.seen.iter_mut();
        if let Some(one) = seen.find(|one| Arc::ptr_eq(&one.loaded, before)) {
            one.loaded = more.clone();
        }
        more
    }
}

impl Context {
    /// A run with all that it is, as it was a moment ago.
    pub(super) async fn loaded(&self, run: Run) -> Result<Arc<Loaded>, Failure> {
        let versions = self.versions(&run).await?;
        if let Found::Whole(found) = self.runs.find(&run, self.now(), versions) {
            return Ok(found);
        }
        let _reading = self.runs.reading.lock().await;
        let (loaded, age) = match self.runs.find(&run, self.now(), versions) {
            Found::Whole(found) => return Ok(found),
            Found::Minutes(before, age) => {
                (evaluation::load_again(self.store(), &before).await?, age)
            }
            Found::Nothing => return self.read(run).await,
        };
        Ok(self.kept(loaded, age))
    }

    /// A run of which one school's part is shown: to who sees only a part of the county where the school is theirs. Of
    /// drafts they know nothing (`access::guarded`).
    pub(super) async fn loaded_for(
        &self,
        run: Run,
        school: &SchoolCode,
    ) -> Result<Arc<Loaded>, Failure> {
        let who = access::current();
        if !who.is_some_and(|who| who.reach().covers(&run.county)) {
            // Out of reach where it is another's.
            let found = self.store().school(school).await?;
            if found.is_none_or(|found| found.county != run.county) {
                return Err(Failure::Narrow);
            }
        }
        access::acting_widely(self.loaded(run)).await
    }

    /// The same, with this school's minutes.
    pub(super) async fn looked_into(
        &self,
        run: Run,
        school: &SchoolCode,
    ) -> Result<Arc<Loaded>, Failure> {
        let loaded = self.loaded_for(run, school).await?;
        if loaded.inputs.minutes_of(school).is_ok() {
            return Ok(loaded);
        }
        let schools = BTreeSet::from([school.clone()]);
        let more = evaluation::with_minutes(self.store(), &loaded, &schools);
        let more = access::acting_widely(more).await?;
        Ok(self.runs.put_in_place(&loaded, more))
    }

    /// A run with the minutes of every school.
    pub(super) async fn whole(&self, run: Run) -> Result<Arc<Loaded>, Failure> {
        let loaded = self.loaded(run).await?;
        if loaded.inputs.is_whole() {
            return Ok(loaded);
        }
        let _reading = self.runs.reading.lock().await;
        let whole = evaluation::load(self.store(), loaded.run.id).await?;
        Ok(self.runs.put_in_place(&loaded, whole))
    }

    /// A run as it is now.
    pub(super) async fn fresh(&self, run: Run) -> Result<Arc<Loaded>, Failure> {
        let _reading = self.runs.reading.lock().await;
        self.read(run).await
    }

    async fn read(&self, run: Run) -> Result<Arc<Loaded>, Failure> {
        let age = Age {
            at: self.now(),
            versions: self.versions(&run).await?,
            stale: false,
        };
        self.freshen().await?;
        let loaded = evaluation::glance(self.store(), run.id).await?;
        Ok(self.kept(loaded, age))
    }

    fn kept(&self, loaded: Loaded, age: Age) -> Arc<Loaded> {
        let loaded = Arc::new(loaded);
        self.runs.keep(Seen {
            loaded: loaded.clone(),
            age,
        });
        loaded
    }

    fn now(&self) -> i64 {
        self.parts.clock.now().as_second()
    }

    async fn versions(&self, run: &Run) -> Result<Versions, Failure> {
        let calendar = self.store().calendar(&run.county).await?;
        Ok(Versions {
            registry: self.store().registry_version().await?,
            calendar: calendar.map_or(0, |stored| stored.version),
        })
    }
}
