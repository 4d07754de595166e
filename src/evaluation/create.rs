//! Making a run: its rubric is kept with it, and a correction begins with what the corrected run knew.

use jiff::civil::Date;

use super::{
    Entry, EvaluationError, RubricText, Unfit,
    evidence::{faults, stages},
    load::inputs_of,
};
use crate::{
    domain::{
        ids::CountyCode,
        rubric::{self, SchoolEvidence},
        usage::Period,
    },
    query::MAX_PERIOD_DAYS,
    store::{ContentDigest, EvidenceChange, Exclusion, NewRun, Run, Store},
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
    /// The days that count; it may well end in the future, and is frozen when it is over.
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

/// A run that was made, or was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The run.
    pub run: Run,
    /// Evidence of the corrected run that does not fit this one: another rubric, a school that has left. Nobody's word
    /// goes without being told.
    pub left_out: Vec<Unfit>,
}

/// Makes a draft. The same key with the same content is the run that is there.
///
/// A correction begins with the corrected run's evidence, as far as it fits, and with its exclusions.
///
/// # Errors
/// `Period` for days out of order or too many; as `EvaluationStore::create_run`, and as [`super::load`] for the
/// corrected run.
pub async fn create(store: &dyn Store, new: NewEvaluation) -> Result<Created, EvaluationError> {
    check(new.period)?;
    let digest = match new.rubric {
        Some(digest) => digest,
        None => store.put_rubric(rubric::DEFAULT, new.at).await?,
    };
    let begins = match new.supersedes {
        Some(corrected) => taken_over(store, &new.county, digest, corrected).await?,
        None => Beginning::default(),
    };
    let wanted = NewRun {
        key: new.key,
        county: new.county,
        name: new.name,
        period: new.period,
        rubric: digest,
        supersedes: new.supersedes,
        minutes_from: new.minutes_from,
        by: new.by,
        at: new.at,
        evidence: begins.evidence,
        exclusions: begins.exclusions,
    };
    Ok(Created {
        run: store.create_run(wanted).await?,
        left_out: begins.left_out,
    })
}

fn check(period: Period) -> Result<(), EvaluationError> {
    let days = |first: Date, last: Date| (last - first).get_days();
    let fits = (0..=MAX_PERIOD_DAYS).contains(&days(period.first, period.last));
    if fits {
        Ok(())
    } else {
        Err(EvaluationError::Period {
            first: period.first,
            last: period.last,
        })
    }
}

/// What a correction begins with.
#[derive(Default)]
struct Beginning {
    evidence: Vec<EvidenceChange>,
    exclusions: Vec<Exclusion>,
    left_out: Vec<Unfit>,
}

async fn taken_over(
    store: &dyn Store,
    county: &CountyCode,
    digest: ContentDigest,
    corrected: i64,
) -> Result<Beginning, EvaluationError> {
    let (_, inputs) = inputs_of(store, corrected).await?;
    let text = store.rubric(digest).await?;
    let text = text.ok_or(EvaluationError::NoRubric(digest))?.text;
    let rubric = RubricText::parse(text)?.rubric;
    let stages = stages(store, county).await?;
    let mut begins = Beginning::default();
    let entries =
        inputs
            .evidence
            .into_iter()
            .flat_map(|(school, evidence): (_, SchoolEvidence)| {
                evidence.into_iter().map(move |(item, evidence)| Entry {
                    school: school.clone(),
                    item,
                    evidence: Some(evidence),
                })
            });
    for (index, entry) in entries.enumerate() {
        let unfit = faults(&rubric, &stages, index, &entry);
        if unfit.is_empty() {
            begins.evidence.push(entry.change()?);
        }
        begins.left_out.extend(unfit);
    }
    for kept in inputs.exclusions {
        if store.terminal(&kept.exclusion.terminal).await?.is_some() {
            begins.exclusions.push(kept.exclusion);
        }
    }
    Ok(begins)
}
