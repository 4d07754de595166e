//! Making a run: its rubric is kept with it, and a correction begins with what the corrected run knew.

use super::{
    Entry, EvaluationError, RubricText, enter,
    evidence::{fits, stages},
    load::inputs_of,
};
use crate::{
    domain::{
        ids::CountyCode,
        rubric::{self, SchoolEvidence},
        usage::Period,
    },
    store::{ContentDigest, NewRun, Run, Store},
};

/// A run to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvaluation {
    /// Makes the making repeatable, 1 to 64 characters.
    pub key: String,
    /// Whose.
    pub county: CountyCode,
    /// Such as 2025-2026学年考核.
    pub name: String,
    /// The days that count.
    pub period: Period,
    /// A kept rubric; `None` for the built-in one.
    pub rubric: Option<ContentDigest>,
    /// The frozen run that this one corrects.
    pub supersedes: Option<i64>,
    /// The frozen run whose minutes are taken instead of those that the store has.
    pub minutes_from: Option<i64>,
    /// Who makes it.
    pub by: String,
    /// Unix seconds.
    pub at: i64,
}

/// Makes a draft. The same key with the same content is the run that is there.
///
/// A correction begins with the corrected run's evidence, as far as it fits the new rubric, and with its exclusions.
///
/// # Errors
/// As `EvaluationStore::create_run`, and as [`super::load`] for the corrected run.
pub async fn create(store: &dyn Store, new: NewEvaluation) -> Result<Run, EvaluationError> {
    let digest = match new.rubric {
        Some(digest) => digest,
        None => store.put_rubric(rubric::DEFAULT, new.at).await?,
    };
    let run = store
        .create_run(NewRun {
            key: new.key,
            county: new.county,
            name: new.name,
            period: new.period,
            rubric: digest,
            supersedes: new.supersedes,
            minutes_from: new.minutes_from,
            by: new.by,
            at: new.at,
        })
        .await?;
    let Some(corrected) = run.supersedes else {
        return Ok(run);
    };
    // Evidence comes last and whole: where there is any, nothing is left to take over.
    if run.frozen().is_some() || !store.evidence(run.id, None).await?.is_empty() {
        return Ok(run);
    }
    take_over(store, &run, corrected).await?;
    Ok(store.run(run.id).await?)
}

async fn take_over(store: &dyn Store, run: &Run, corrected: i64) -> Result<(), EvaluationError> {
    let (_, inputs) = inputs_of(store, corrected).await?;
    let text = store.rubric(run.rubric).await?;
    let text = text.ok_or(EvaluationError::NoRubric(run.rubric))?.text;
    let rubric = RubricText::parse(text)?.rubric;
    let stages = stages(store, &run.county).await?;
    let mut entries = Vec::new();
    for (school, evidence) in inputs.evidence {
        let of_school = |evidence: SchoolEvidence| {
            evidence.into_iter().map(|(item, evidence)| Entry {
                school: school.clone(),
                item,
                evidence: Some(evidence),
            })
        };
        entries.extend(of_school(evidence).filter(|entry| fits(&rubric, &stages, entry)));
    }
    for kept in inputs.exclusions {
        store.add_exclusion(run.id, kept.exclusion).await?;
    }
    enter(store, run.id, None, entries).await?;
    Ok(())
}
