//! Evidence entered into a draft: checked against the run's rubric, all of it or none.
//!
//! Not responsible for where it comes from (workbooks, calls).

use std::collections::HashMap;

use super::{EvaluationError, RubricText};
use crate::{
    domain::{
        ids::{CountyCode, SchoolCode, Stage},
        rubric::{ItemEvidence, Rubric, evidence::check},
    },
    store::{EvidenceChange, Store},
};

/// One item's evidence of one school, or that there is none any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The school.
    pub school: SchoolCode,
    /// The rubric's item.
    pub item: String,
    /// `None` takes it away.
    pub evidence: Option<ItemEvidence>,
}

/// Evidence that can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unfit {
    /// Its place among the entries, from 0.
    pub index: usize,
    /// The school.
    pub school: SchoolCode,
    /// The item.
    pub item: String,
    /// The question; empty for the item as a whole.
    pub key: String,
    /// What is wrong and what is allowed, a Chinese sentence.
    pub problem: String,
}

/// Puts evidence into a draft, whose revision rises if anything changed.
///
/// What says the same as before, but for who entered it and when, is left as it is.
///
/// # Errors
/// `Unfit` with everything that is wrong; `Store` for an unknown run, a frozen one, or another revision than expected.
pub async fn enter(
    store: &dyn Store,
    run: i64,
    expected_revision: Option<i64>,
    entries: Vec<Entry>,
) -> Result<Entered, EvaluationError> {
    let found = store.run(run).await?;
    let rubric = store.rubric(found.rubric).await?;
    let rubric = rubric.ok_or(EvaluationError::NoRubric(found.rubric))?;
    let rubric = RubricText::parse(rubric.text)?;
    let stages = stages(store, &found.county).await?;
    let unfit: Vec<Unfit> = entries
        .iter()
        .enumerate()
        .flat_map(|(index, entry)| faults(&rubric.rubric, &stages, index, entry))
        .collect();
    if !unfit.is_empty() {
        return Err(EvaluationError::Unfit(unfit));
    }
    let mut known = HashMap::new();
    for one in store.evidence(run, None).await? {
        known.insert((one.school, one.item), one.content);
    }
    let mut changes = Vec::with_capacity(entries.len());
    for entry in entries {
        let key = (entry.school.clone(), entry.item.clone());
        let kept = known.get(&key);
        let same = match (&entry.evidence, kept) {
            (None, None) => true,
            (Some(new), Some(kept)) => says_the_same(kept, new),
            _ => false,
        };
        if !same {
            changes.push(entry.change()?);
        }
    }
    let count = changes.len();
    let revision = store.put_evidence(run, expected_revision, changes).await?;
    Ok(Entered {
        revision,
        changed: count,
    })
}

/// What became of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    /// The run's revision now.
    pub revision: i64,
    /// Entries that said something new.
    pub changed: usize,
}

impl Entry {
    /// As the store keeps it.
    pub(super) fn change(self) -> Result<EvidenceChange, EvaluationError> {
        let text = self
            .evidence
            .as_ref()
            .map(serde_json::to_string)
            .transpose();
        let content = text.map_err(|error| EvaluationError::Evidence {
            school: self.school.clone(),
            item: self.item.clone(),
            problem: error.to_string(),
        })?;
        Ok(EvidenceChange {
            school: self.school,
            item: self.item,
            content,
        })
    }
}

/// The school stage of each school of a county: what some questions depend on.
pub(super) async fn stages(
    store: &dyn Store,
    county: &CountyCode,
) -> Result<Stages, EvaluationError> {
    let schools = store.schools(county).await?.into_iter();
    Ok(schools.map(|school| (school.code, school.stage)).collect())
}

/// School stages by school.
pub(super) type Stages = HashMap<SchoolCode, Stage>;

/// What keeps an entry from fitting a rubric; nothing where it fits.
pub(super) fn faults(rubric: &Rubric, stages: &Stages, index: usize, entry: &Entry) -> Vec<Unfit> {
    let unfit = |key: String, problem: String| Unfit {
        index,
        school: entry.school.clone(),
        item: entry.item.clone(),
        key,
        problem,
    };
    let whole = |problem: String| vec![unfit(String::new(), problem)];
    let Some(stage) = stages.get(&entry.school) else {
        return whole(format!("本县没有学校标识码为 {} 的学校", entry.school));
    };
    let Some(evidence) = &entry.evidence else {
        return Vec::new();
    };
    let Some(item) = rubric.item(&entry.item) else {
        return whole(format!("细则没有条目 {}", entry.item));
    };
    let faults = check(rubric, *stage, item, evidence).into_iter();
    faults
        .map(|fault| unfit(fault.key, fault.problem))
        .collect()
}

/// But for who and when.
fn says_the_same(kept: &str, new: &ItemEvidence) -> bool {
    let known: Result<ItemEvidence, _> = serde_json::from_str(kept);
    known.is_ok_and(|known| {
        (&known.values, &known.source, &known.attachments)
            == (&new.values, &new.source, &new.attachments)
    })
}
