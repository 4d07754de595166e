//! Inputs and results as the texts that a frozen run is kept as, and back.
//!
//! Canonical: maps are sorted and nothing is a float, so the same inputs are the same bytes on every machine and for ever.
//! The texts are a contract with every run that was ever frozen: what would change a figure raises [`FORMAT`], and a run
//! of a later format is refused. Not responsible for keeping them (store).

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    CalendarText, EvaluationError, Inputs, Results, RubricText, RunFacts, SchoolFacts,
    SchoolMinutes, Watch,
};
use crate::{
    domain::{ids::SchoolCode, rubric::SchoolEvidence},
    store::{ContentDigest, Exclusion, KeptExclusion},
};

/// How the texts are written, and the rules by which results follow from them.
pub(super) const FORMAT: u32 = 1;

/// What the run is.
pub(super) const RUN: &str = "run";
/// The rubric's text.
pub(super) const RUBRIC: &str = "rubric";
/// The calendar's text and version.
pub(super) const CALENDAR: &str = "calendar";
/// The schools.
pub(super) const SCHOOLS: &str = "schools";
/// All evidence.
pub(super) const EVIDENCE: &str = "evidence";
/// All exclusions.
pub(super) const EXCLUSIONS: &str = "exclusions";
/// All results.
pub(super) const RESULTS: &str = "results";
/// What was to be looked at before freezing.
pub(super) const WATCH: &str = "watch";

/// Key → content.
pub(super) type Texts = BTreeMap<String, String>;

/// The key of a school's minutes.
pub(super) fn minutes_key(school: &SchoolCode) -> String {
    format!("minutes/{school}")
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptCalendar {
    version: i64,
    text: String,
}

#[derive(serde::Serialize)]
struct KeptFacts<'a> {
    format: u32,
    #[serde(flatten)]
    facts: &'a RunFacts,
}

#[derive(serde::Deserialize)]
struct Written {
    format: u32,
}

fn json(key: &str, value: &impl Serialize) -> Result<String, EvaluationError> {
    serde_json::to_string(value).map_err(|error| EvaluationError::part(key, &error))
}

/// The parts of a run.
pub(super) fn texts(inputs: &Inputs, results: &Results) -> Result<Texts, EvaluationError> {
    let calendar = KeptCalendar {
        version: inputs.calendar.version,
        text: inputs.calendar.text.clone(),
    };
    let run = KeptFacts {
        format: FORMAT,
        facts: &inputs.facts,
    };
    let exclusions: BTreeMap<i64, &Exclusion> = inputs
        .exclusions
        .iter()
        .map(|one| (one.id, &one.exclusion))
        .collect();
    let mut texts = Texts::new();
    let mut put = |key: &str, text: String| texts.insert(key.to_owned(), text);
    put(RUN, json(RUN, &run)?);
    put(RUBRIC, inputs.rubric.text.clone());
    put(CALENDAR, json(CALENDAR, &calendar)?);
    put(SCHOOLS, json(SCHOOLS, &inputs.schools)?);
    put(EVIDENCE, json(EVIDENCE, &inputs.evidence)?);
    put(EXCLUSIONS, json(EXCLUSIONS, &exclusions)?);
    put(RESULTS, json(RESULTS, results)?);
    put(WATCH, json(WATCH, &results.watch)?);
    for (school, minutes) in inputs.minutes.iter() {
        let key = minutes_key(school);
        let text = json(&key, minutes)?;
        put(&key, text);
    }
    Ok(texts)
}

/// A part's text.
pub(super) fn text<'a>(texts: &'a Texts, key: &str) -> Result<&'a str, EvaluationError> {
    let found = texts.get(key).map(String::as_str);
    found.ok_or_else(|| EvaluationError::part(key, "it is not there"))
}

fn read<T: DeserializeOwned>(texts: &Texts, key: &str) -> Result<T, EvaluationError> {
    from_json(key, text(texts, key)?)
}

fn from_json<T: DeserializeOwned>(key: &str, text: &str) -> Result<T, EvaluationError> {
    serde_json::from_str(text).map_err(|error| EvaluationError::part(key, &error))
}

/// What a run is, from its parts.
pub(super) fn facts(texts: &Texts) -> Result<RunFacts, EvaluationError> {
    readable(texts)?;
    read(texts, RUN)
}

/// Refuses a format of a later program, before anything else of it is misread.
fn readable(texts: &Texts) -> Result<(), EvaluationError> {
    let Written { format } = read(texts, RUN)?;
    if format == FORMAT {
        return Ok(());
    }
    let problem = format!(
        "the run was frozen in format {format} and this program reads format {FORMAT}: use the version of classpulse that froze it, or a later one"
    );
    Err(EvaluationError::part(RUN, &problem))
}

/// Evidence, from its part.
pub(super) fn evidence(
    texts: &Texts,
) -> Result<BTreeMap<SchoolCode, SchoolEvidence>, EvaluationError> {
    read(texts, EVIDENCE)
}

/// Exclusions, from their part.
pub(super) fn exclusions(texts: &Texts) -> Result<Vec<KeptExclusion>, EvaluationError> {
    let by_number: BTreeMap<i64, Exclusion> = read(texts, EXCLUSIONS)?;
    let kept = by_number.into_iter();
    Ok(kept
        .map(|(id, exclusion)| KeptExclusion { id, exclusion })
        .collect())
}

/// The schools, from their part.
pub(super) fn schools(texts: &Texts) -> Result<Vec<SchoolFacts>, EvaluationError> {
    read(texts, SCHOOLS)
}

/// A school's minutes, from their part.
pub(super) fn minutes(
    texts: &Texts,
    school: &SchoolCode,
) -> Result<SchoolMinutes, EvaluationError> {
    read(texts, &minutes_key(school))
}

/// Results, from their parts.
pub(super) fn results(texts: &Texts) -> Result<Results, EvaluationError> {
    readable(texts)?;
    let watch: Watch = read(texts, WATCH)?;
    let results: Results = read(texts, RESULTS)?;
    Ok(Results { watch, ..results })
}

/// Inputs, from the parts alone.
pub(super) fn inputs(texts: &Texts) -> Result<Inputs, EvaluationError> {
    let inputs = without_minutes(texts)?;
    let mut all_minutes = BTreeMap::new();
    for school in &inputs.schools {
        all_minutes.insert(school.code.clone(), minutes(texts, &school.code)?);
    }
    Ok(Inputs {
        minutes: Arc::new(all_minutes),
        ..inputs
    })
}

/// The parts of [`without_minutes`] and [`results`].
pub(super) const SMALL: [&str; 8] = [
    RUN, RUBRIC, CALENDAR, SCHOOLS, EVIDENCE, EXCLUSIONS, RESULTS, WATCH,
];

/// Inputs without any school's minutes.
pub(super) fn without_minutes(texts: &Texts) -> Result<Inputs, EvaluationError> {
    let facts = facts(texts)?;
    let calendar: KeptCalendar = read(texts, CALENDAR)?;
    Ok(Inputs {
        facts,
        rubric: RubricText::parse(text(texts, RUBRIC)?.to_owned())?,
        calendar: CalendarText::parse(calendar.version, calendar.text)?,
        schools: schools(texts)?,
        evidence: evidence(texts)?,
        exclusions: exclusions(texts)?,
        minutes: Arc::default(),
    })
}

/// The digest of a run: over lines of key and digest, sorted by key.
#[must_use]
pub fn digest_of<'a>(parts: impl IntoIterator<Item = (&'a str, ContentDigest)>) -> ContentDigest {
    let sorted: BTreeMap<&str, ContentDigest> = parts.into_iter().collect();
    let mut lines = String::new();
    for (key, digest) in sorted {
        lines.extend([key, " ", &digest.to_string(), "\n"]);
    }
    ContentDigest::of(lines.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_digest_is_of_its_sorted_lines() {
        let (a, b) = (ContentDigest::of(b"a"), ContentDigest::of(b"b"));
        let expected = ContentDigest::of(format!("k/1 {a}\nk/2 {b}\n").as_bytes());
        assert_eq!(digest_of([("k/2", b), ("k/1", a)]), expected);
        assert_ne!(digest_of([("k/1", b), ("k/2", a)]), expected);
    }
}
