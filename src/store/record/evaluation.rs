//! Evaluation as it moves between stores: a run is one record, followed by its evidence, exclusions and parts.
//!
//! What follows a run names the state that it is of: it is taken in only where the run stands at that very state, so that
//! no import adds anything to a run that was frozen otherwise. Not responsible for what the texts mean.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    domain::ids::{CountyCode, SchoolCode},
    store::{ContentDigest, Exclusion, Freeze, PartInfo, Run},
};

/// A rubric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRubric {
    /// As the bureau wrote it; its digest follows from it.
    pub text: String,
    /// Unix seconds.
    pub stored_at: i64,
}

/// An evaluation run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRun {
    /// Whose.
    pub county: CountyCode,
    /// Its key in the county.
    pub key: String,
    /// Its number, which it keeps where that is free.
    pub number: i64,
    /// Its name.
    pub name: String,
    /// First day.
    pub first: Date,
    /// Last day.
    pub last: Date,
    /// Its rubric.
    pub rubric: ContentDigest,
    /// The key of the run that it corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<String>,
    /// The key of the run whose minutes are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes_from: Option<String>,
    /// Who created it.
    pub by: String,
    /// Unix seconds.
    pub at: i64,
    /// How often it was changed.
    pub revision: i64,
    /// How it was frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Freeze>,
}

impl KeptRun {
    pub(in crate::store) fn new(
        run: Run,
        supersedes: Option<String>,
        minutes_from: Option<String>,
    ) -> Self {
        let frozen = run.frozen().cloned();
        Self {
            county: run.county,
            key: run.key,
            number: run.id,
            name: run.name,
            first: run.period.first,
            last: run.period.last,
            rubric: run.rubric,
            supersedes,
            minutes_from,
            by: run.by,
            at: run.at,
            revision: run.revision,
            frozen,
        }
    }

    /// What follows it says that it is of this.
    pub(in crate::store) fn state(&self) -> OfRun {
        OfRun {
            county: self.county.clone(),
            key: self.key.clone(),
            revision: self.revision,
            digest: self.frozen.as_ref().map(|freeze| freeze.digest),
        }
    }
}

/// A run at one of its states.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfRun {
    /// Whose.
    pub county: CountyCode,
    /// Its key in the county.
    pub key: String,
    /// How often it was changed.
    pub revision: i64,
    /// What it was frozen as; `None` for a draft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<ContentDigest>,
}

/// One item's evidence of one school.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRunEvidence {
    /// Of which run.
    pub of: OfRun,
    /// The school.
    pub school: SchoolCode,
    /// The rubric's item.
    pub item: String,
    /// The evidence.
    pub content: String,
}

/// Days of a terminal that don't count in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRunExclusion {
    /// Of which run.
    pub of: OfRun,
    /// Its number within the run.
    pub number: i64,
    /// What it says.
    pub exclusion: Exclusion,
}

/// A part of a frozen run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRunPart {
    /// Of which run.
    pub of: OfRun,
    /// What is known of it.
    pub part: PartInfo,
    /// Its content, deflated (zlib).
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub deflated: Vec<u8>,
}

fn to_base64<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    STANDARD
        .decode(text)
        .map_err(|_wrong| D::Error::custom("not base64"))
}
