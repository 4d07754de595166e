//! Verifying a frozen run: its parts are what was frozen, its rows say the same, and every figure follows from the parts.
//!
//! From the stored run alone: no minutes, calendar or registry of today is looked at. Sentences may be worded otherwise by
//! another version of the program, which is said and is no fault; the watch is a record of what was shown before freezing,
//! and only its digest is looked at.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    EvaluationError, Inputs, Results, RunFacts, Watch,
    load::known_evidence,
    parts::{self, Texts},
};
use crate::{
    domain::ids::SchoolCode,
    domain::rubric::SchoolEvidence,
    store::{ContentDigest, Freeze, KeptExclusion, PartInfo, Run, Store, StoreError},
    tasks::blocking,
};

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
    /// Reasons of items that this version words otherwise; the points are the same.
    pub reworded: usize,
}

/// A part that is not as it was frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartFault {
    /// Its key, or `digest` for the whole. The part's own key also where the run's rows say something else than the part.
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

/// What the rows of a run say beside its parts.
struct Rows {
    run: Run,
    freeze: Freeze,
    /// The keys of the runs that it refers to.
    supersedes: Option<String>,
    minutes_from: Option<String>,
    evidence: Result<BTreeMap<SchoolCode, SchoolEvidence>, String>,
    exclusions: Vec<KeptExclusion>,
}

async fn rows(store: &dyn Store, run: Run, freeze: Freeze) -> Result<Rows, EvaluationError> {
    let evidence = match known_evidence(store, run.id).await {
        Ok(evidence) => Ok(evidence),
        Err(EvaluationError::Store(error)) => return Err(error.into()),
        Err(unreadable) => Err(unreadable.to_string()),
    };
    Ok(Rows {
        supersedes: key(store, run.supersedes).await?,
        minutes_from: key(store, run.minutes_from).await?,
        exclusions: store.exclusions(run.id).await?,
        evidence,
        run,
        freeze,
    })
}

async fn key(store: &dyn Store, run: Option<i64>) -> Result<Option<String>, EvaluationError> {
    match run {
        Some(run) => Ok(Some(store.run(run).await?.key)),
        None => Ok(None),
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
    let rows = rows(store, run, freeze).await?;
    blocking(move || {
        faults.extend(digests(&rows.freeze, &infos, &texts));
        let mut reworded = 0;
        match parts::inputs(&texts) {
            Err(error) => faults.push(unreadable(error)),
            Ok(inputs) => {
                faults.extend(differing_rows(&rows, &inputs));
                match recompute(&inputs, &texts) {
                    Ok(count) => reworded = count,
                    Err(problem) => faults.push(problem),
                }
            }
        }
        Ok(Verification {
            run: rows.run.id,
            digest: rows.freeze.digest,
            parts: infos.len(),
            faults,
            reworded,
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

fn unreadable(error: EvaluationError) -> PartFault {
    match error {
        EvaluationError::Part { part, problem } => fault(&part, &problem),
        EvaluationError::Rubric(faults) => fault(parts::RUBRIC, &faults),
        EvaluationError::Calendar(error) => fault(parts::CALENDAR, &error),
        other => fault(parts::RESULTS, &other),
    }
}

fn digests(freeze: &Freeze, infos: &[PartInfo], texts: &Texts) -> Vec<PartFault> {
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
    faults
}

/// Rows that say something else than the parts, which the digest covers and rows it does not.
fn differing_rows(rows: &Rows, inputs: &Inputs) -> Vec<PartFault> {
    let mut faults = Vec::new();
    if !is_of(&inputs.facts, rows) {
        let problem = "it tells of another run than the one it belongs to";
        faults.push(fault(parts::RUN, problem));
    }
    let rubric = ContentDigest::of(inputs.rubric.text.as_bytes());
    if rubric != rows.run.rubric {
        let problem = format!(
            "the run names rubric {}, frozen was {rubric}",
            rows.run.rubric
        );
        faults.push(fault(parts::RUBRIC, &problem));
    }
    match &rows.evidence {
        Err(problem) => faults.push(fault(parts::EVIDENCE, problem)),
        Ok(evidence) if *evidence != inputs.evidence => {
            let problem = "what is kept beside the parts is not the evidence that was frozen";
            faults.push(fault(parts::EVIDENCE, problem));
        }
        Ok(_) => {}
    }
    if rows.exclusions != inputs.exclusions {
        let problem = "what is kept beside the parts is not the exclusions that were frozen";
        faults.push(fault(parts::EXCLUSIONS, problem));
    }
    faults
}

fn is_of(facts: &RunFacts, rows: &Rows) -> bool {
    let (run, freeze) = (&rows.run, &rows.freeze);
    (&facts.key, &facts.county.code, &facts.name, facts.period())
        == (&run.key, &run.county, &run.name, run.period)
        && (&facts.created_by, facts.created_at) == (&run.by, run.at)
        && (&facts.supersedes, &facts.minutes_from) == (&rows.supersedes, &rows.minutes_from)
        && (
            facts.frozen_by.as_ref(),
            facts.frozen_at,
            facts.note.as_ref(),
        ) == (Some(&freeze.by), Some(freeze.at), Some(&freeze.note))
}

/// The results once more, from the parts; how many reasons are worded otherwise.
fn recompute(inputs: &Inputs, texts: &Texts) -> Result<usize, PartFault> {
    let kept = parts::results(texts).map_err(unreadable)?;
    let again = Results::of(inputs).map_err(unreadable)?;
    let reasons = |results: &Results| -> Vec<String> {
        let items = results.schools.iter().flat_map(|one| one.sheet.items());
        items.map(|item| item.reason.clone()).collect()
    };
    let pairs = reasons(&kept).into_iter().zip(reasons(&again));
    let reworded = pairs.filter(|(kept, again)| kept != again).count();
    let (kept, again) = (figures(kept), figures(again));
    if kept == again {
        return Ok(reworded);
    }
    let mut pairs = kept.schools.iter().zip(&again.schools);
    let place = pairs
        .find(|(kept, again)| kept != again)
        .map_or_else(String::new, |(one, _)| {
            format!(", first at school {}", one.school.code)
        });
    let problem =
        format!("the results that follow from the parts differ from the kept ones{place}");
    Err(fault(parts::RESULTS, &problem))
}

/// Results without what is no figure.
fn figures(mut results: Results) -> Results {
    results.watch = Watch::default();
    for item in results
        .schools
        .iter_mut()
        .flat_map(|one| one.sheet.items_mut())
    {
        item.reason.clear();
    }
    results
}
