//! All that a run's points follow from, as one value.
//!
//! Not responsible for where it comes from (`load`), how it is kept (`parts`), nor what it gives (`results`).

use std::{collections::BTreeMap, sync::Arc};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{EvaluationError, SchoolMinutes};
use crate::{
    domain::{
        calendar::Calendar,
        ids::{CountyCode, SchoolCode, Stage},
        rubric::{Rubric, SchoolEvidence},
        usage::Period,
    },
    store::KeptExclusion,
};

/// All that a run's points follow from.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// What the run is.
    pub facts: RunFacts,
    /// What it scores by.
    pub rubric: RubricText,
    /// What counts as teaching time.
    pub calendar: CalendarText,
    /// The county's schools, by code.
    pub schools: Vec<SchoolFacts>,
    /// By school and item.
    pub evidence: BTreeMap<SchoolCode, SchoolEvidence>,
    /// Days that don't count, in the order in which they were excluded.
    pub exclusions: Vec<KeptExclusion>,
    /// By school; a school without terminals has an empty entry. Of every school where the run was read whole, else of those
    /// that were looked into ([`super::glance`]). By far the most of it, so what is computed from the same minutes shares
    /// them.
    pub minutes: Arc<BTreeMap<SchoolCode, SchoolMinutes>>,
}

impl Inputs {
    /// A school of the run.
    ///
    /// # Errors
    /// `Unknown`.
    pub fn school(&self, code: &SchoolCode) -> Result<&SchoolFacts, EvaluationError> {
        let found = self.schools.iter().find(|school| school.code == *code);
        found.ok_or_else(|| EvaluationError::Unknown {
            what: "school",
            id: code.to_string(),
        })
    }

    /// A school's minutes.
    ///
    /// # Errors
    /// `Unread` where they were not read.
    pub fn minutes_of(&self, code: &SchoolCode) -> Result<&SchoolMinutes, EvaluationError> {
        let found = self.minutes.get(code);
        found.ok_or_else(|| EvaluationError::Unread(code.clone()))
    }

    /// Whether the minutes of every school were read.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let mut schools = self.schools.iter();
        schools.all(|school| self.minutes.contains_key(&school.code))
    }
}

/// What a run is, without anything that differs from store to store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Its key in the county.
    pub key: String,
    /// Whose.
    pub county: CountyName,
    /// Its name.
    pub name: String,
    /// First day that counts.
    pub first: Date,
    /// Last day that counts.
    pub last: Date,
    /// The key of the run that it corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<String>,
    /// The key of the run whose minutes it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes_from: Option<String>,
    /// Who created it.
    pub created_by: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Who froze it; `None` for a draft, like the two below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_by: Option<String>,
    /// Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_at: Option<i64>,
    /// What that person wrote beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl RunFacts {
    /// The days that count.
    #[must_use]
    pub fn period(&self) -> Period {
        Period {
            first: self.first,
            last: self.last,
        }
    }
}

/// A county as the run knew it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountyName {
    /// Six digits.
    pub code: CountyCode,
    /// Such as 逊克县.
    pub name: String,
}

/// A school as the run knew it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchoolFacts {
    /// 学校标识码.
    pub code: SchoolCode,
    /// Its name.
    pub name: String,
    /// School stage (学段).
    pub stage: Stage,
    /// Township; may be empty.
    pub township: String,
}

/// A rubric with the text that it was read from.
#[derive(Debug, Clone)]
pub struct RubricText {
    /// As the bureau wrote it.
    pub text: String,
    /// The same, checked; for a what-if, with readings turned.
    pub rubric: Rubric,
}

impl RubricText {
    /// Reads a text.
    ///
    /// # Errors
    /// `Rubric` with every mistake.
    pub fn parse(text: String) -> Result<Self, EvaluationError> {
        let rubric = Rubric::parse(&text).map_err(EvaluationError::Rubric)?;
        Ok(Self { text, rubric })
    }
}

/// A calendar with the text that it was read from.
#[derive(Debug, Clone)]
pub struct CalendarText {
    /// Its version in the store that it comes from.
    pub version: i64,
    /// As the bureau wrote it.
    pub text: String,
    /// The same, checked.
    pub calendar: Calendar,
}

impl CalendarText {
    /// Reads a text.
    ///
    /// # Errors
    /// `Calendar`.
    pub fn parse(version: i64, text: String) -> Result<Self, EvaluationError> {
        let calendar = Calendar::parse(&text).map_err(EvaluationError::Calendar)?;
        Ok(Self {
            version,
            text,
            calendar,
        })
    }
}
