//! Verifying a frozen run: its parts are what was frozen, and the results follow from them to the last byte.
//!
//! From the stored parts alone: no minutes, calendar or registry of today is looked at.

use serde::Serialize;

use super::{
    EvaluationError, Results, RunFacts,
    load::blocking,
    parts::{self, Texts},
};
use crate::store::{ContentDigest, Freeze, PartInfo, Run, Store, StoreError};

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The run.
    pub run: i64,
    /// The digest that it was frozen with.
    pub digest: ContentDigest,
    /// How many parts it has.
    pub parts: usize,
    /// What is not as it was; empty for a sound run.
    pub faults: Vec<PartFault>,
}

/// A part that is not as it was frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartFault {
    /// Its key, or `digest` for the whole.
    pub part: String,
    /// What is wrong.
    pub problem: String,
}

impl Verification {
    /// Whether all is as it was frozen.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Verifies a frozen run.
///
/// # Errors
/// `NotFrozen`; `Store` where the store can't be read. What is wrong with the run is no error but the answer.
pub async fn verify(store: &dyn Store, run: i64) -> Result<Verification, EvaluationError> {
    let run = store.run(run).await?;
    let Some(freeze) = run.frozen().cloned() else {
        return Err(EvaluationError::NotFrozen(run.id));
    };
    let infos = store.run_parts(run.id).await?;
    let (mut texts, mut faults) = (Texts::new(), Vec::new());
    for info in &infos {
        match store.run_part(run.id, &info.key).await {
            Ok(text) => {
                texts.insert(info.key.clone(), text);
            }
            Err(StoreError::Damaged(problem)) => faults.push(fault(&info.key, &problem)),
            Err(error) => return Err(error.into()),
        }
    }
    blocking(move || {
        faults.extend(check(&run, &freeze, &infos, &texts));
        Ok(Verification {
            run: run.id,
            digest: freeze.digest,
            parts: infos.len(),
            faults,
        })
    })
    .await
}

fn fault(part: &str, problem: &(impl ToString + ?Sized)) -> PartFault {
    PartFault {
        part: part.to_owned(),
        problem: problem.to_string(),
    }
}

fn check(run: &Run, freeze: &Freeze, infos: &[PartInfo], texts: &Texts) -> Vec<PartFault> {
    let mut faults = Vec::new();
    for info in infos {
        let Some(text) = texts.get(&info.key) else {
            continue;
        };
        let digest = ContentDigest::of(text.as_bytes());
        if digest != info.digest {
            let problem = format!("its SHA-256 is {digest}, frozen was {}", info.digest);
            faults.push(fault(&info.key, &problem));
        }
    }
    let now = texts
        .iter()
        .map(|(key, text)| (key.as_str(), ContentDigest::of(text.as_bytes())));
    let digest = parts::digest_of(now);
    if digest != freeze.digest {
        let problem = format!(
            "the parts' digest is {digest}, frozen was {}",
            freeze.digest
        );
        faults.push(fault("digest", &problem));
    }
    if let Err(problem) = recompute(run, freeze, texts) {
        faults.push(problem);
    }
    faults
}

/// The results once more, from the parts.
fn recompute(run: &Run, freeze: &Freeze, texts: &Texts) -> Result<(), PartFault> {
    let said = |error: EvaluationError| match error {
        EvaluationError::Part { part, problem } => fault(&part, &problem),
        EvaluationError::Rubric(faults) => fault(parts::RUBRIC, &faults),
        EvaluationError::Calendar(error) => fault(parts::CALENDAR, &error),
        other => fault(parts::RESULTS, &other),
    };
    let inputs = parts::inputs(texts).map_err(said)?;
    if !is_of(&inputs.facts, run, freeze) {
        return Err(fault(
            parts::RUN,
            "it tells of another run than the one it belongs to",
        ));
    }
    let again = parts::results_text(&Results::of(&inputs)).map_err(said)?;
    let kept = parts::text(texts, parts::RESULTS).map_err(said)?;
    if again == kept {
        return Ok(());
    }
    let same = again
        .bytes()
        .zip(kept.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    Err(fault(
        parts::RESULTS,
        &format!(
            "the results that follow from the parts differ from the kept ones, from byte {same} on"
        ),
    ))
}

fn is_of(facts: &RunFacts, run: &Run, freeze: &Freeze) -> bool {
    (&facts.key, &facts.county.code, &facts.name, facts.period())
        == (&run.key, &run.county, &run.name, run.period)
        && (&facts.created_by, facts.created_at) == (&run.by, run.at)
        && (
            facts.frozen_by.as_ref(),
            facts.frozen_at,
            facts.note.as_ref(),
        ) == (Some(&freeze.by), Some(freeze.at), Some(&freeze.note))
}
