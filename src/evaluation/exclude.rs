//! Excluding days of a terminal from a draft: only days that could count in it.
//!
//! Not responsible for what an exclusion takes (`minutes`).

use jiff::civil::Date;

use super::EvaluationError;
use crate::{
    domain::{ids::CountyCode, usage::Period},
    store::{Exclusion, KeptExclusion, Placement, Store},
};

/// Excludes days of a terminal from a draft.
///
/// # Errors
/// `Exclusion` where the terminal stood in no school of the county on any of the days, or none of them is the run's: a
/// slip of the hand must not look as if something had been excluded. `Store` as `EvaluationStore::add_exclusion`.
pub async fn exclude(
    store: &dyn Store,
    run: i64,
    exclusion: Exclusion,
) -> Result<KeptExclusion, EvaluationError> {
    let found = store.run(run).await?;
    let days = exclusion.period().overlap(found.period);
    if !stood(store, &exclusion, &found.county, days).await? {
        return Err(EvaluationError::Exclusion {
            terminal: exclusion.terminal,
            first: exclusion.first,
            last: exclusion.last,
        });
    }
    let id = store.add_exclusion(run, exclusion.clone()).await?;
    let kept = store.exclusions(run).await?;
    let kept = kept.into_iter().find(|one| one.id == id);
    Ok(kept.unwrap_or(KeptExclusion { id, exclusion }))
}

async fn stood(
    store: &dyn Store,
    exclusion: &Exclusion,
    county: &CountyCode,
    days: Period,
) -> Result<bool, EvaluationError> {
    let Some(terminal) = store.terminal(&exclusion.terminal).await? else {
        return Ok(false);
    };
    let schools = store.schools(county).await?;
    let here = |placement: &&Placement| {
        let stay = days.overlap(Period {
            first: placement.from,
            last: placement.to.unwrap_or(Date::MAX),
        });
        stay.first <= stay.last && schools.iter().any(|school| school.code == placement.school)
    };
    Ok(terminal.placements.iter().any(|placement| here(&placement)))
}
