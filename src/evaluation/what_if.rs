//! What every school's points would be if some days were excluded, a reading or an answer were another. Nothing is saved.

use std::{collections::BTreeSet, sync::Arc};

use jiff::civil::Date;
use serde::Serialize;

use super::{
    Entry, EvaluationError, Inputs, Results, RubricText, SchoolDifference, Watch,
    compare::differences,
    evidence::{Stages, faults},
    glance::{reading_more, with_schools_of},
    load::{Loaded, load},
};
use crate::{
    domain::{
        ids::TerminalId,
        usage::{Fraction, display},
    },
    store::{Exclusion, KeptExclusion, MAX_EXCLUSIONS, Store},
};

/// What is to be different.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Days of terminals that don't count, beside those that are excluded.
    pub exclude: Vec<Excluded>,
    /// Readings by id, and the word that each is to take; after the rubric.
    pub readings: Vec<(String, String)>,
    /// Another rubric.
    pub rubric: Option<String>,
    /// Evidence instead of what is known, fit as when it is entered.
    pub evidence: Vec<Entry>,
}

/// Days of a terminal that don't count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excluded {
    /// Whose days.
    pub terminal: TerminalId,
    /// First day.
    pub first: Date,
    /// Last day.
    pub last: Date,
}

/// What would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WhatIf {
    /// Every school, by code, with the items that would differ.
    pub schools: Vec<SchoolDifference>,
    /// The county's highest average as it is, two decimals.
    pub highest_before: String,
    /// As it would be.
    pub highest_after: String,
    /// Who would set it, how far from the next, and what looks doubtful there.
    pub watch_after: Watch,
    /// All results as they would be.
    #[serde(skip)]
    pub after: Results,
}

/// Scores a run, draft or frozen, with changes.
///
/// # Errors
/// As [`load`]; `Unfit` for evidence that could not be entered, `Exclusions` for too many, `Unknown` for a terminal that is in no school of the run, `Reading` and `Rubric`.
pub async fn what_if(
    store: &dyn Store,
    run: i64,
    changes: Changes,
) -> Result<WhatIf, EvaluationError> {
    what_if_of(store, Arc::new(load(store, run).await?), changes).await
}

/// The same of a run that was read before, whole or not.
///
/// # Errors
/// As [`what_if`].
pub async fn what_if_of(
    store: &dyn Store,
    loaded: Arc<Loaded>,
    changes: Changes,
) -> Result<WhatIf, EvaluationError> {
    let excluded = changes.exclude.iter();
    let excluded: BTreeSet<_> = excluded.map(|one| one.terminal.clone()).collect();
    let loaded = with_schools_of(store, loaded, &excluded).await?;
    reading_more(store, loaded, move |loaded| {
        let mut inputs = loaded.inputs.clone();
        apply(&mut inputs, changes.clone())?;
        let after = Results::again(&inputs, &loaded.results, &excluded)?;
        let shown = |highest: Fraction| display(highest);
        Ok(WhatIf {
            schools: differences(&loaded.results, &after),
            highest_before: shown(loaded.results.highest),
            highest_after: shown(after.highest),
            watch_after: after.watch.clone(),
            after,
        })
    })
    .await
}

fn apply(inputs: &mut Inputs, changes: Changes) -> Result<(), EvaluationError> {
    if let Some(text) = changes.rubric {
        inputs.rubric = RubricText::parse(text)?;
    }
    for (id, word) in &changes.readings {
        inputs.rubric.rubric = inputs.rubric.rubric.with_reading(id, word)?;
    }
    put_evidence(inputs, changes.evidence)?;
    let count = inputs.exclusions.len() + changes.exclude.len();
    if !changes.exclude.is_empty() && count > MAX_EXCLUSIONS {
        return Err(EvaluationError::Exclusions(count));
    }
    for excluded in changes.exclude {
        exclude(inputs, excluded)?;
    }
    Ok(())
}

fn put_evidence(inputs: &mut Inputs, entries: Vec<Entry>) -> Result<(), EvaluationError> {
    let schools = inputs.schools.iter();
    let stages: Stages = schools
        .map(|school| (school.code.clone(), school.stage))
        .collect();
    let rubric = &inputs.rubric.rubric;
    let numbered = entries.iter().enumerate();
    let unfit: Vec<_> = numbered
        .flat_map(|(index, entry)| faults(rubric, &stages, index, entry))
        .collect();
    if !unfit.is_empty() {
        return Err(EvaluationError::Unfit(unfit));
    }
    for entry in entries {
        let known = inputs.evidence.entry(entry.school).or_default();
        match entry.evidence {
            Some(evidence) => known.insert(entry.item, evidence),
            None => known.remove(&entry.item),
        };
    }
    Ok(())
}

fn exclude(inputs: &mut Inputs, excluded: Excluded) -> Result<(), EvaluationError> {
    let known = |terminal| {
        let mut schools = inputs.minutes.values();
        schools.any(|school| school.terminals.contains_key(terminal))
    };
    if !known(&excluded.terminal) {
        return Err(EvaluationError::Unknown {
            what: "terminal",
            id: excluded.terminal.to_string(),
        });
    }
    let id = inputs.exclusions.last().map_or(1, |last| last.id + 1);
    inputs.exclusions.push(KeptExclusion {
        id,
        exclusion: Exclusion {
            terminal: excluded.terminal,
            first: excluded.first,
            last: excluded.last,
            reason: "假设".to_owned(),
            by: "假设".to_owned(),
            at: 0,
        },
    });
    Ok(())
}
