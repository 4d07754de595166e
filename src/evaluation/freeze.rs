//! Freezing a run: its inputs and results become parts with one digest, and nothing changes it any more.

use jiff::civil::Date;

use super::{EvaluationError, Results, load::draft, parts};
use crate::{
    store::{ContentDigest, Freeze, FreezeRun, Part, Run, RunState, Store, StoreError},
    tasks::blocking,
};

/// Who freezes, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freezing {
    /// The revision that this person has seen; `None` for the one that is there.
    pub revision: Option<i64>,
    /// The figures that this person has seen ([`Results::figures`]), or their first digits; empty for any.
    pub figures: String,
    /// Who, 1 to 500 characters.
    pub by: String,
    /// Unix seconds.
    pub at: i64,
    /// The local day of `at`: a period that goes on is not frozen.
    pub today: Date,
    /// What that person writes beside it, up to 500 characters.
    pub note: String,
    /// Whether questions without an answer may score 0 for good.
    pub accept_missing: bool,
}

/// Freezes a draft.
///
/// # Errors
/// As [`super::load`]; `Changed` where the run gives other figures than expected; `NotOver` while the period goes on; `Missing` where answers are missing and that was not accepted; `Store` with `Conflict` where the run is frozen already or was changed in between.
pub async fn freeze(
    store: &dyn Store,
    run: i64,
    freezing: Freezing,
) -> Result<Run, EvaluationError> {
    let found = store.run(run).await?;
    let revision = freezing.revision.unwrap_or(found.revision);
    if let Some(freeze) = found.frozen() {
        return Err(
            StoreError::Conflict(format!("run {run} was frozen by {} already", freeze.by)).into(),
        );
    }
    if revision != found.revision {
        let problem = format!(
            "run {run} stands at revision {}, not {revision}",
            found.revision
        );
        return Err(StoreError::Conflict(problem).into());
    }
    if found.period.last >= freezing.today {
        return Err(EvaluationError::NotOver {
            last: found.period.last,
            today: freezing.today,
        });
    }
    let mut inputs = draft(store, &found).await?;
    inputs.facts.frozen_by = Some(freezing.by.clone());
    inputs.facts.frozen_at = Some(freezing.at);
    inputs.facts.note = Some(freezing.note.clone());
    let accepted = freezing.accept_missing;
    let seen = freezing.figures;
    let (kept, digest) = blocking(move || {
        let results = Results::of(&inputs)?;
        let figures = results.figures().to_string();
        if !figures.starts_with(&seen) {
            return Err(EvaluationError::Changed {
                expected: seen,
                found: figures,
            });
        }
        let missing = results.missing();
        if missing > 0 && !accepted {
            return Err(EvaluationError::Missing(missing));
        }
        let texts = parts::texts(&inputs, &results)?;
        let kept: Result<Vec<Part>, StoreError> = texts
            .into_iter()
            .map(|(key, text)| Part::new(key, &text))
            .collect();
        let kept = kept?;
        let digest = digest(&kept);
        Ok((kept, digest))
    })
    .await?;
    let freeze = Freeze {
        digest,
        by: freezing.by,
        at: freezing.at,
        note: freezing.note,
    };
    let wanted = FreezeRun {
        run,
        revision,
        parts: kept,
        freeze: freeze.clone(),
    };
    store.freeze_run(wanted).await?;
    Ok(Run {
        state: RunState::Frozen(freeze),
        ..found
    })
}

fn digest(kept: &[Part]) -> ContentDigest {
    let pairs = kept.iter().map(|part| {
        let info = part.info();
        (info.key.as_str(), info.digest)
    });
    parts::digest_of(pairs)
}
