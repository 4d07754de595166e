//! Inputs → every school's score sheet, the county's maximum, and what looks doubtful there.
//!
//! Pure, and the only way to points: a draft, a freeze, a verification and a what-if all come through here. Their JSON is a
//! contract with frozen runs: a field that comes later has a default, and one that is not known is passed over.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    EvaluationError, Inputs, SchoolFacts, Watch,
    minutes::{Counted, Excluded, count},
    watch::watch,
};
use crate::{
    domain::{
        ids::{SchoolCode, TerminalId},
        monitoring::{self, Candidate, CountyScores},
        rubric::{self, Points, SchoolEvidence, ScoreSheet},
        usage::{self, Due, Fraction, Minutes},
    },
    store::ContentDigest,
};

/// A run's results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    /// The highest average, minutes per terminal per teaching day.
    #[serde(with = "exact")]
    pub highest: Fraction,
    /// Who set it; none where it is 0.
    pub highest_schools: Vec<SchoolCode>,
    /// Highest total first, equals by code.
    pub schools: Vec<SchoolResult>,
    /// What to look at before freezing. Kept as a part of its own: no figure follows from it.
    #[serde(skip)]
    pub watch: Watch,
}

/// One school's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchoolResult {
    /// The school.
    pub school: SchoolFacts,
    /// Its points, each with a reason.
    pub sheet: ScoreSheet,
    /// What its terminals did.
    pub monitoring: MonitoringResult,
}

/// What a school's terminals did, exclusions left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitoringResult {
    /// Minutes that count.
    pub counted: u64,
    /// Σ teaching days of the terminals in service: the divisor.
    pub service_days: u64,
    /// Lessons taught with a terminal.
    pub lessons_taught: u64,
    /// Lessons due.
    pub lessons: u64,
    /// Terminals with a day that is due.
    pub terminals: u64,
    /// Of those, terminals with a counted minute.
    pub counting_terminals: u64,
    /// Minutes per terminal per teaching day, exact.
    #[serde(with = "exact")]
    pub average: Fraction,
    /// The points for it.
    pub points: Points,
    /// The points as they would be among schools of the same stage. For comparison only.
    pub stage_points: Points,
}

/// Fractions as `n/d` or a decimal, nothing lost.
mod exact {
    use super::{Deserialize as _, Deserializer, Fraction, Points, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Fraction, to: S) -> Result<S::Ok, S::Error> {
        Points::exactly(*value).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Fraction, D::Error> {
        Points::deserialize(from).map(Points::value)
    }
}

impl Results {
    /// Scores every school of a run.
    ///
    /// # Errors
    /// `Unread` where the run was not read whole.
    pub fn of(inputs: &Inputs) -> Result<Self, EvaluationError> {
        Self::from_counted(inputs, &counted(inputs)?)
    }

    /// Scores every school once more where evidence, the rubric, or exclusions of these terminals alone are others than in
    /// `before`: what schools' terminals come to is taken from there, which is by far the most of the work. The minutes of
    /// these terminals' schools were read.
    ///
    /// # Errors
    /// `Unread`, for a school that would set the maximum.
    pub(super) fn again(
        inputs: &Inputs,
        before: &Self,
        excluded: &BTreeSet<TerminalId>,
    ) -> Result<Self, EvaluationError> {
        let counted = counted_again(inputs, before, excluded)?;
        Self::from_counted(inputs, &counted)
    }

    /// Scores what every school's terminals come to, in the order of the schools.
    ///
    /// # Errors
    /// `Unread`, for a school that sets the maximum: what looks doubtful there is a result.
    pub(super) fn from_counted(
        inputs: &Inputs,
        counted: &[Counted],
    ) -> Result<Self, EvaluationError> {
        let scores = county(inputs, counted);
        let watch = watch(inputs, &scores)?;
        let by_school: HashMap<&SchoolCode, &monitoring::Score> = scores
            .schools
            .iter()
            .map(|score| (&score.school, score))
            .collect();
        let nothing = SchoolEvidence::new();
        let schools = inputs
            .schools
            .iter()
            .zip(counted)
            .filter_map(|(school, counted)| {
                let score = by_school.get(&school.code)?;
                let evidence = inputs.evidence.get(&school.code).unwrap_or(&nothing);
                Some(SchoolResult {
                    school: school.clone(),
                    sheet: rubric::score(
                        &inputs.rubric.rubric,
                        school.stage,
                        evidence,
                        Some(score),
                    ),
                    monitoring: monitoring_result(counted, score),
                })
            });
        let mut schools: Vec<SchoolResult> = schools.collect();
        schools.sort_by(|a, b| {
            let key = |one: &SchoolResult| one.sheet.total.value();
            usage::ranking((key(a), &a.school.code), (key(b), &b.school.code))
        });
        Ok(Self {
            highest: scores.highest,
            highest_schools: scores.highest_schools,
            schools,
            watch,
        })
    }

    /// A digest of every point of every school: what a person has looked at before freezing.
    #[must_use]
    pub fn figures(&self) -> ContentDigest {
        let mut text = String::new();
        for one in &self.schools {
            for item in one.sheet.items() {
                let points = item.points.value();
                let figure = format!("{} {} {points}\n", one.school.code, item.id);
                text.push_str(&figure);
            }
        }
        ContentDigest::of(text.as_bytes())
    }

    /// How many questions of all schools have no answer.
    #[must_use]
    pub fn missing(&self) -> usize {
        let sheets = self.schools.iter().map(|one| &one.sheet);
        sheets.map(|sheet| sheet.missing().count()).sum()
    }

    /// The schools by 后台监测 points, highest first, equals by code.
    #[must_use]
    pub fn by_monitoring(&self) -> Vec<&SchoolResult> {
        let mut schools: Vec<&SchoolResult> = self.schools.iter().collect();
        schools.sort_by(|a, b| {
            let key = |one: &SchoolResult| one.monitoring.points.value();
            usage::ranking((key(a), &a.school.code), (key(b), &b.school.code))
        });
        schools
    }

    /// One school's result.
    #[must_use]
    pub fn school(&self, code: &SchoolCode) -> Option<&SchoolResult> {
        self.schools.iter().find(|one| one.school.code == *code)
    }
}

/// What each school's terminals come to, in the order of the schools.
fn counted(inputs: &Inputs) -> Result<Vec<Counted>, EvaluationError> {
    let excluded = Excluded::new(&inputs.exclusions);
    let calendar = &inputs.calendar.calendar;
    let of = |school: &SchoolFacts| {
        let minutes = inputs.minutes_of(&school.code)?;
        Ok(count(calendar, school.stage, minutes, &excluded))
    };
    inputs.schools.iter().map(of).collect()
}

fn counted_again(
    inputs: &Inputs,
    before: &Results,
    excluded: &BTreeSet<TerminalId>,
) -> Result<Vec<Counted>, EvaluationError> {
    let every = Excluded::new(&inputs.exclusions);
    let calendar = &inputs.calendar.calendar;
    let known: HashMap<&SchoolCode, &MonitoringResult> = before
        .schools
        .iter()
        .map(|one| (&one.school.code, &one.monitoring))
        .collect();
    let of = |school: &SchoolFacts| {
        let minutes = inputs.minutes.get(&school.code);
        let here = |id| minutes.is_some_and(|minutes| minutes.terminals.contains_key(id));
        match known.get(&school.code) {
            Some(known) if !excluded.iter().any(here) => Ok(Counted::from(*known)),
            _ => {
                let minutes = inputs.minutes_of(&school.code)?;
                Ok(count(calendar, school.stage, minutes, &every))
            }
        }
    };
    inputs.schools.iter().map(of).collect()
}

impl From<&MonitoringResult> for Counted {
    fn from(known: &MonitoringResult) -> Self {
        Self {
            minutes: Minutes {
                counted: known.counted,
                lessons_taught: known.lessons_taught,
                ..Minutes::default()
            },
            due: Due {
                service_days: known.service_days,
                lessons: known.lessons,
            },
            terminals: known.terminals,
            counting: known.counting_terminals,
        }
    }
}

fn county(inputs: &Inputs, counted: &[Counted]) -> CountyScores {
    let schools = inputs.schools.iter().zip(counted);
    let candidates: Vec<Candidate> = schools
        .map(|(school, counted)| Candidate {
            school: school.code.clone(),
            stage: school.stage,
            average: usage::average(counted.minutes, counted.due),
            service_days: counted.due.service_days,
        })
        .collect();
    monitoring::score_of(
        &candidates,
        inputs.rubric.rubric.monitoring_weight().value(),
    )
}

fn monitoring_result(counted: &Counted, score: &monitoring::Score) -> MonitoringResult {
    MonitoringResult {
        counted: counted.minutes.counted,
        service_days: counted.due.service_days,
        lessons_taught: counted.minutes.lessons_taught,
        lessons: counted.due.lessons,
        terminals: counted.terminals,
        counting_terminals: counted.counting,
        average: score.average,
        points: Points::exactly(score.points),
        stage_points: Points::exactly(score.stage_points),
    }
}
