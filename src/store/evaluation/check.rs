//! What is refused of evaluation without asking a database, so that both backends refuse the same in the same words.

use std::collections::HashSet;

use super::{
    EvidenceChange, Exclusion, FreezeRun, MAX_EVIDENCE_BYTES, MAX_EXCLUSIONS, MAX_ITEM_KEY,
    MAX_RUBRIC_BYTES, MAX_RUN_KEY, MAX_WORDS, NewRun, Run, StoreError, check_words,
};

fn conflict(said: impl Into<String>) -> StoreError {
    StoreError::Conflict(said.into())
}

pub(in crate::store) fn rubric(text: &str) -> Result<(), StoreError> {
    if text.len() > MAX_RUBRIC_BYTES || text.contains('\0') {
        return Err(conflict(format!(
            "a rubric has at most {MAX_RUBRIC_BYTES} bytes, none of them NUL"
        )));
    }
    Ok(())
}

pub(in crate::store) fn new_run(new: &NewRun) -> Result<(), StoreError> {
    check_words("a run's key", &new.key, MAX_RUN_KEY)?;
    check_words("a run's name", &new.name, MAX_WORDS)?;
    check_words("who creates a run", &new.by, MAX_WORDS)?;
    if new.period.last < new.period.first {
        return Err(conflict(format!(
            "the period's last day, {}, lies before its first, {}",
            new.period.last, new.period.first
        )));
    }
    evidence(&new.evidence)?;
    new.exclusions.iter().try_for_each(exclusion)
}

/// A run that another one refers to.
pub(in crate::store) fn referred(new: &NewRun, found: &Run) -> Result<(), StoreError> {
    if found.county != new.county {
        return Err(conflict(format!(
            "run {} is county {}'s",
            found.id, found.county
        )));
    }
    match found.frozen() {
        Some(_) => Ok(()),
        None => Err(conflict(format!("run {} is not frozen", found.id))),
    }
}

/// A key that is there already.
pub(in crate::store) fn again(found: Run, new: &NewRun) -> Result<Run, StoreError> {
    if found.is(new) {
        return Ok(found);
    }
    Err(conflict(format!(
        "run {} has the key {:?} and another content: give the new run another key",
        found.id, found.key
    )))
}

pub(in crate::store) fn draft(run: &Run, revision: Option<i64>) -> Result<(), StoreError> {
    if let Some(freeze) = run.frozen() {
        return Err(conflict(format!(
            "run {} was frozen by {} and does not change any more: make a new run that supersedes it",
            run.id, freeze.by
        )));
    }
    match revision {
        Some(expected) if expected != run.revision => Err(conflict(format!(
            "run {} was changed in between: it is at revision {}, not {expected}",
            run.id, run.revision
        ))),
        _ => Ok(()),
    }
}

pub(in crate::store) fn evidence(changes: &[EvidenceChange]) -> Result<(), StoreError> {
    let mut seen = HashSet::new();
    for change in changes {
        let EvidenceChange {
            school,
            item,
            content,
        } = change;
        check_words("an item's key", item, MAX_ITEM_KEY)?;
        if !seen.insert((school, item)) {
            return Err(conflict(format!(
                "item {item} of school {school} stands twice in the change"
            )));
        }
        let content = content.as_deref().unwrap_or_default();
        if content.len() > MAX_EVIDENCE_BYTES || content.contains('\0') {
            return Err(conflict(format!(
                "evidence for item {item} of school {school} has more than {MAX_EVIDENCE_BYTES} bytes, or a NUL"
            )));
        }
    }
    Ok(())
}

pub(in crate::store) fn exclusion(exclusion: &Exclusion) -> Result<(), StoreError> {
    check_words("an exclusion's reason", &exclusion.reason, MAX_WORDS)?;
    check_words("who excludes", &exclusion.by, MAX_WORDS)?;
    if exclusion.last < exclusion.first {
        return Err(conflict(format!(
            "an exclusion's last day, {}, lies before its first, {}",
            exclusion.last, exclusion.first
        )));
    }
    Ok(())
}

/// Room for one more exclusion beside those that a run has.
pub(in crate::store) fn room(exclusions: usize) -> Result<(), StoreError> {
    if exclusions >= MAX_EXCLUSIONS {
        return Err(conflict(format!(
            "the run has {MAX_EXCLUSIONS} exclusions, and no more are taken: exclude a terminal's days as one span"
        )));
    }
    Ok(())
}

pub(in crate::store) fn freeze(freeze: &FreezeRun) -> Result<(), StoreError> {
    check_words("who freezes a run", &freeze.freeze.by, MAX_WORDS)?;
    if !freeze.freeze.note.is_empty() {
        check_words("a note", &freeze.freeze.note, MAX_WORDS)?;
    }
    let mut seen = HashSet::new();
    match freeze
        .parts
        .iter()
        .find(|part| !seen.insert(&part.info.key))
    {
        None => Ok(()),
        Some(part) => Err(conflict(format!("part {} stands twice", part.info.key))),
    }
}
