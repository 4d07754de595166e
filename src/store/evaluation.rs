//! What the store keeps of evaluation: rubrics as texts, runs, evidence, exclusions, and the parts of frozen runs.
//!
//! Texts, keys and digests only: what they mean is `domain::rubric`'s and `evaluation`'s business. Schools and terminals
//! are kept by their codes, not by reference: what the registry does later must not reach into a frozen run.

use std::{
    fmt::{self, Write as _},
    io::{Read as _, Write as _},
    str::FromStr,
};

use async_trait::async_trait;
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

use super::StoreError;
use crate::domain::{
    ids::{CountyCode, SchoolCode, TerminalId},
    rubric,
    usage::Period,
};

pub(super) mod check;

/// Longest key of a run, in characters.
pub const MAX_RUN_KEY: usize = 64;

/// Longest reason, name or note, in characters.
pub const MAX_WORDS: usize = 500;

/// Longest key of an item of evidence, in characters.
pub const MAX_ITEM_KEY: usize = 64;

/// Largest text of one item's evidence, bytes.
pub const MAX_EVIDENCE_BYTES: usize = 1 << 20;

/// Largest rubric, bytes: as much as is read.
pub const MAX_RUBRIC_BYTES: usize = rubric::file::MAX_BYTES;

/// Most exclusions that are made in a run: more is a mistake of who asks.
pub const MAX_EXCLUSIONS: usize = 10_000;

/// Largest part of a frozen run, deflated, bytes: it must fit on a line of an export.
pub const MAX_PART_BYTES: usize = 8 << 20;

/// Largest part of a frozen run, as it is read back, bytes.
const MAX_INFLATED: u64 = 1 << 30;

/// SHA-256 of a content, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentDigest(pub(super) [u8; 32]);

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct InvalidDigest;

impl ContentDigest {
    /// The digest of a content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            write!(text, "{byte:02x}")?;
        }
        f.pad(&text)
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentDigest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(InvalidDigest);
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16)
                .map_err(|_digit| InvalidDigest)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for ContentDigest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentDigest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as Deserialize>::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// A rubric as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredRubric {
    /// Of its text.
    pub digest: ContentDigest,
    /// As the bureau wrote it.
    pub text: String,
    /// When it was first stored, Unix seconds.
    pub stored_at: i64,
}

/// A run to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// Told apart from the county's other runs by this, 1 to 64 characters; the same key again is the same run.
    pub key: String,
    /// Whose.
    pub county: CountyCode,
    /// Such as 2026-2027学年第一学期考核; 1 to 500 characters.
    pub name: String,
    /// The days that count.
    pub period: Period,
    /// A stored rubric.
    pub rubric: ContentDigest,
    /// The frozen run that this one corrects.
    pub supersedes: Option<i64>,
    /// The frozen run whose minutes are taken instead of those that the store has.
    pub minutes_from: Option<i64>,
    /// Who creates it, 1 to 500 characters.
    pub by: String,
    /// Unix seconds.
    pub at: i64,
    /// What it begins with, kept in the same transaction. No content of the run's: a repeated creation keeps none.
    pub evidence: Vec<EvidenceChange>,
    /// Days that don't count from the beginning, likewise.
    pub exclusions: Vec<Exclusion>,
}

impl NewRun {
    /// The draft that is made of it under this number.
    #[must_use]
    pub fn as_run(&self, id: i64) -> Run {
        Run {
            id,
            key: self.key.clone(),
            county: self.county.clone(),
            name: self.name.clone(),
            period: self.period,
            rubric: self.rubric,
            supersedes: self.supersedes,
            minutes_from: self.minutes_from,
            by: self.by.clone(),
            at: self.at,
            revision: 0,
            state: RunState::Draft,
        }
    }
}

/// An evaluation run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Its number in this store; never given twice.
    pub id: i64,
    /// Its key among the county's runs, which moves with it.
    pub key: String,
    /// Whose.
    pub county: CountyCode,
    /// Its name.
    pub name: String,
    /// The days that count.
    pub period: Period,
    /// Its rubric.
    pub rubric: ContentDigest,
    /// The frozen run that this one corrects.
    pub supersedes: Option<i64>,
    /// The frozen run whose minutes are taken.
    pub minutes_from: Option<i64>,
    /// Who created it.
    pub by: String,
    /// Unix seconds.
    pub at: i64,
    /// Rises with every change of its evidence and exclusions.
    pub revision: i64,
    /// Whether it can still be changed.
    pub state: RunState,
}

/// Whether a run can still be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It can.
    Draft,
    /// It can't, ever.
    Frozen(Freeze),
}

/// That a run was frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// Over all its parts.
    pub digest: ContentDigest,
    /// Who, 1 to 500 characters.
    pub by: String,
    /// Unix seconds.
    pub at: i64,
    /// What that person wrote beside it, up to 500 characters.
    pub note: String,
}

impl Run {
    /// How it was frozen; `None` for a draft.
    #[must_use]
    pub fn frozen(&self) -> Option<&Freeze> {
        match &self.state {
            RunState::Draft => None,
            RunState::Frozen(freeze) => Some(freeze),
        }
    }

    /// Whether creating it again would say the same. Who and when are no content.
    fn is(&self, new: &NewRun) -> bool {
        (&self.county, &self.key, &self.name, self.period)
            == (&new.county, &new.key, &new.name, new.period)
            && (self.rubric, self.supersedes, self.minutes_from)
                == (new.rubric, new.supersedes, new.minutes_from)
    }
}

/// One item's evidence of one school.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptEvidence {
    /// The school.
    pub school: SchoolCode,
    /// The rubric's item.
    pub item: String,
    /// The evidence, as `domain::rubric` writes it.
    pub content: String,
}

/// A change of one item's evidence of one school.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceChange {
    /// A school of the run's county.
    pub school: SchoolCode,
    /// The rubric's item, 1 to 64 characters.
    pub item: String,
    /// The new evidence; `None` takes it away.
    pub content: Option<String>,
}

/// Days of a terminal that don't count in a run: as if it were not in service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// Whose days.
    pub terminal: TerminalId,
    /// First day.
    pub first: Date,
    /// Last day.
    pub last: Date,
    /// Why, 1 to 500 characters.
    pub reason: String,
    /// Who decided it, 1 to 500 characters.
    pub by: String,
    /// Unix seconds.
    pub at: i64,
}

/// An exclusion that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptExclusion {
    /// Its number within the run; never given twice there.
    pub id: i64,
    /// What it says.
    #[serde(flatten)]
    pub exclusion: Exclusion,
}

impl Exclusion {
    /// The days.
    #[must_use]
    pub fn period(&self) -> Period {
        Period {
            first: self.first,
            last: self.last,
        }
    }

    /// Whether both exclude the same for the same reason.
    pub(super) fn is(&self, other: &Self) -> bool {
        (&self.terminal, self.period()) == (&other.terminal, other.period())
            && (&self.reason, &self.by) == (&other.reason, &other.by)
    }
}

/// One content of a frozen run, deflated as it is made: not while a transaction waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub(super) info: PartInfo,
    pub(super) deflated: Vec<u8>,
}

/// What is known of a part without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartInfo {
    /// Such as `minutes/2123000001`; at most 64 characters.
    pub key: String,
    /// Of its content.
    pub digest: ContentDigest,
    /// Length of its content.
    pub bytes: u64,
}

impl Part {
    /// A part of this content.
    ///
    /// # Errors
    /// `Conflict` for a key or a content that is too long.
    pub fn new(key: impl Into<String>, content: &str) -> Result<Self, StoreError> {
        let key = key.into();
        check_words("a part's key", &key, MAX_ITEM_KEY)?;
        let deflated = deflate(content).map_err(|source| StoreError::Unfit {
            doing: "deflate a part",
            source: Box::new(source),
        })?;
        if deflated.len() > MAX_PART_BYTES {
            return Err(StoreError::Conflict(format!(
                "part {key} has {} bytes when deflated, at most {MAX_PART_BYTES} are kept",
                deflated.len()
            )));
        }
        let info = PartInfo {
            key,
            digest: ContentDigest::of(content.as_bytes()),
            bytes: content.len() as u64,
        };
        Ok(Self { info, deflated })
    }

    /// What is known of it.
    #[must_use]
    pub fn info(&self) -> &PartInfo {
        &self.info
    }
}

fn deflate(content: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content.as_bytes())?;
    encoder.finish()
}

/// The content of a stored part. Whether it is what its digest says is the reader's to check.
pub(super) fn inflate(key: &str, deflated: &[u8]) -> Result<String, StoreError> {
    let mut content = String::new();
    let mut from = ZlibDecoder::new(deflated).take(MAX_INFLATED);
    match from.read_to_string(&mut content) {
        Ok(_) => Ok(content),
        Err(error) => Err(StoreError::Damaged(format!("part {key}: {error}"))),
    }
}

/// Freezes a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeRun {
    /// Which.
    pub run: i64,
    /// The revision that the parts were made of.
    pub revision: i64,
    /// Everything that the run is.
    pub parts: Vec<Part>,
    /// Who, when, and over what digest.
    pub freeze: Freeze,
}

/// What the service keeps of evaluation.
///
/// A frozen run is never changed again: every method that would says `Conflict`. Retention, calendars and the registry
/// don't reach it.
#[async_trait]
pub trait EvaluationStore: Send + Sync {
    /// Every stored rubric, newest first.
    async fn rubrics(&self) -> Result<Vec<StoredRubric>, StoreError>;

    /// One rubric.
    async fn rubric(&self, digest: ContentDigest) -> Result<Option<StoredRubric>, StoreError>;

    /// Keeps a rubric's text; the same text again changes nothing.
    ///
    /// # Errors
    /// `Conflict` for a text that is longer than [`MAX_RUBRIC_BYTES`] or has a NUL.
    async fn put_rubric(&self, text: &str, at: i64) -> Result<ContentDigest, StoreError>;

    /// Makes a draft. The same key with the same content is the run that is there.
    ///
    /// # Errors
    /// `NotFound` for an unknown county, rubric or run that it refers to; `Conflict` where the key has another content, a
    /// run referred to is a draft or another county's, or a text is too long or missing.
    async fn create_run(&self, new: NewRun) -> Result<Run, StoreError>;

    /// A county's runs, newest first.
    async fn runs(&self, county: &CountyCode) -> Result<Vec<Run>, StoreError>;

    /// One run.
    ///
    /// # Errors
    /// `NotFound`.
    async fn run(&self, run: i64) -> Result<Run, StoreError>;

    /// Removes a draft with its evidence and exclusions.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` where it is frozen.
    async fn discard_run(&self, run: i64) -> Result<(), StoreError>;

    /// A run's evidence, by school and item.
    ///
    /// # Errors
    /// `NotFound` for an unknown run.
    async fn evidence(
        &self,
        run: i64,
        school: Option<&SchoolCode>,
    ) -> Result<Vec<KeptEvidence>, StoreError>;

    /// Changes a draft's evidence, all or nothing; returns its revision, which rises if anything changed.
    ///
    /// # Errors
    /// `NotFound` for an unknown run, or a school that is not the run's county's; `Conflict` where the run is frozen, stands at another
    /// revision than expected, or a change is too long or stands twice.
    async fn put_evidence(
        &self,
        run: i64,
        expected_revision: Option<i64>,
        changes: Vec<EvidenceChange>,
    ) -> Result<i64, StoreError>;

    /// A run's exclusions, in the order in which they were made.
    ///
    /// # Errors
    /// `NotFound` for an unknown run.
    async fn exclusions(&self, run: i64) -> Result<Vec<KeptExclusion>, StoreError>;

    /// Excludes days of a terminal from a draft; returns the exclusion's number. One that says the same is the one that
    /// is there.
    ///
    /// # Errors
    /// `NotFound` for an unknown run or terminal; `Conflict` where the run is frozen, a text or day is wrong, or the run
    /// has [`MAX_EXCLUSIONS`].
    async fn add_exclusion(&self, run: i64, exclusion: Exclusion) -> Result<i64, StoreError>;

    /// Takes an exclusion of a draft back.
    ///
    /// # Errors
    /// `NotFound` for an unknown run or exclusion; `Conflict` where the run is frozen.
    async fn remove_exclusion(&self, run: i64, exclusion: i64) -> Result<(), StoreError>;

    /// Keeps a draft's parts, notes its period as evaluated, and lets nothing change it any more, in one transaction.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` where it is frozen already, stands at another revision, a part stands twice, or a text is
    /// too long or missing.
    async fn freeze_run(&self, freeze: FreezeRun) -> Result<(), StoreError>;

    /// A frozen run's parts, by key; none of a draft.
    ///
    /// # Errors
    /// `NotFound` for an unknown run.
    async fn run_parts(&self, run: i64) -> Result<Vec<PartInfo>, StoreError>;

    /// One part's content, byte for byte as it was frozen.
    ///
    /// # Errors
    /// `NotFound`; `Damaged` where it can't be read back.
    async fn run_part(&self, run: i64, key: &str) -> Result<String, StoreError>;
}

/// Something, and not too much of it, that every backend can hold.
fn check_words(what: &str, text: &str, most: usize) -> Result<(), StoreError> {
    let characters = text.chars().count();
    if text.trim().is_empty() || characters > most {
        return Err(StoreError::Conflict(format!(
            "{what} has 1 to {most} characters, not {characters}"
        )));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(StoreError::Conflict(format!(
            "{what} has a control character"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_read_back_as_written(content in ".{0,400}", times in 1..40_usize) {
            let content = content.repeat(times);
            let part = Part::new("results", &content).unwrap();
            prop_assert_eq!(part.info().bytes, content.len() as u64);
            prop_assert_eq!(part.info().digest, ContentDigest::of(content.as_bytes()));
            prop_assert_eq!(inflate("results", &part.deflated).unwrap(), content);
        }

        #[test]
        fn digests_read_what_they_print(bytes: [u8; 32]) {
            let digest = ContentDigest(bytes);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        }
    }

    #[test]
    fn a_digest_is_sha_256_in_hexadecimal() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(ContentDigest::of(b"").to_string(), empty);
        for wrong in ["", "e3", &empty[1..], &empty.replace('e', "é")] {
            assert_eq!(wrong.parse::<ContentDigest>(), Err(InvalidDigest));
        }
    }

    #[test]
    fn what_is_not_deflated_is_damage() {
        let part = Part::new("a", "aaaaaaaaaaaaaaaa").unwrap();
        let cut = &part.deflated[..part.deflated.len() - 5];
        for wrong in [&b"plain"[..], cut] {
            let error = inflate("a", wrong).unwrap_err();
            assert!(matches!(error, StoreError::Damaged(_)), "{error}");
        }
    }

    #[test]
    fn words_are_there_and_bounded() {
        for (text, good) in [
            ("原因", true),
            ("两行\n原因", true),
            ("", false),
            ("  ", false),
            ("a\0b", false),
            ("一二三四五六", false),
        ] {
            assert_eq!(check_words("a reason", text, 5).is_ok(), good, "{text:?}");
        }
    }
}
