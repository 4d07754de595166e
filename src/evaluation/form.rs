//! What a form of evidence is made of: the run's rubric, its schools, and what is known so far.
//!
//! Not responsible for how a form looks (workbooks, pages).

use std::collections::BTreeMap;

use super::{EvaluationError, Loaded, RubricText, glance, load::known_evidence};
use crate::{
    domain::{
        ids::{CountyCode, SchoolCode},
        rubric::{Rubric, SchoolEvidence},
        usage::Period,
    },
    store::{School, Store},
};

/// What a form is made of.
#[derive(Debug, Clone)]
pub struct Form {
    /// Whose run it is.
    pub county: CountyCode,
    /// The run's key among the county's.
    pub key: String,
    /// Its name.
    pub name: String,
    /// The days that count.
    pub period: Period,
    /// What asks.
    pub rubric: Rubric,
    /// Who is asked, by code.
    pub schools: Vec<School>,
    /// What is known.
    pub evidence: BTreeMap<SchoolCode, SchoolEvidence>,
    /// The revision that this is.
    pub revision: i64,
}

/// Reads what a form of a run is made of; no minutes are read for it.
///
/// # Errors
/// As [`glance`].
pub async fn form(store: &dyn Store, run: i64) -> Result<Form, EvaluationError> {
    let found = store.run(run).await?;
    if found.frozen().is_some() {
        let Loaded { run, inputs, .. } = glance(store, run).await?;
        let county = inputs.facts.county.code;
        let schools = inputs.schools.into_iter().map(|school| School {
            code: school.code,
            name: school.name,
            stage: school.stage,
            township: school.township,
            county: county.clone(),
        });
        return Ok(Form {
            county: run.county,
            key: run.key,
            name: run.name,
            period: run.period,
            rubric: inputs.rubric.rubric,
            schools: schools.collect(),
            evidence: inputs.evidence,
            revision: run.revision,
        });
    }
    let text = store.rubric(found.rubric).await?;
    let text = text.ok_or(EvaluationError::NoRubric(found.rubric))?;
    Ok(Form {
        rubric: RubricText::parse(text.text)?.rubric,
        schools: store.schools(&found.county).await?,
        county: found.county,
        key: found.key,
        name: found.name,
        period: found.period,
        evidence: known_evidence(store, run).await?,
        revision: found.revision,
    })
}
