//! A run's evidence and exclusions as lists: a draft's as the store has them now, a frozen run's from its parts, which its
//! digest covers.

use super::{
    EvaluationError,
    load::known_evidence,
    parts::{self, EVIDENCE, EXCLUSIONS, RUN, Texts},
};
use crate::{
    domain::{ids::SchoolCode, rubric::ItemEvidence},
    store::{KeptExclusion, Run, Store},
};

/// One item's evidence of one school.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The school.
    pub school: SchoolCode,
    /// The rubric's item.
    pub item: String,
    /// What is known.
    pub evidence: ItemEvidence,
}

/// A run's evidence, of one school or all, by school and item.
///
/// # Errors
/// `Store` for an unknown run; `Evidence` or `Part` where it can't be read.
pub async fn list_evidence(
    store: &dyn Store,
    run: i64,
    school: Option<&SchoolCode>,
) -> Result<Vec<Known>, EvaluationError> {
    let run = store.run(run).await?;
    let all = match run.frozen() {
        None => known_evidence(store, run.id).await?,
        Some(_) => parts::evidence(&some(store, &run, EVIDENCE).await?)?,
    };
    let wanted = all
        .into_iter()
        .filter(|(code, _)| school.is_none_or(|school| school == code));
    Ok(wanted
        .flat_map(|(school, evidence)| {
            evidence.into_iter().map(move |(item, evidence)| Known {
                school: school.clone(),
                item,
                evidence,
            })
        })
        .collect())
}

/// A run's exclusions, in the order in which they were made.
///
/// # Errors
/// `Store` for an unknown run; `Part` where they can't be read.
pub async fn list_exclusions(
    store: &dyn Store,
    run: i64,
) -> Result<Vec<KeptExclusion>, EvaluationError> {
    let run = store.run(run).await?;
    match run.frozen() {
        None => Ok(store.exclusions(run.id).await?),
        Some(_) => parts::exclusions(&some(store, &run, EXCLUSIONS).await?),
    }
}

/// One part, and what says how it is written.
async fn some(store: &dyn Store, run: &Run, key: &str) -> Result<Texts, EvaluationError> {
    let mut texts = Texts::new();
    for key in [RUN, key] {
        texts.insert(key.to_owned(), store.run_part(run.id, key).await?);
    }
    parts::facts(&texts)?;
    Ok(texts)
}
