//! The 后台监测 points of a county's schools over a period.
//!
//! Not responsible for the formula and its reasons (`domain::monitoring`).

use std::collections::HashMap;

use super::{QueryError, SchoolFilter, SchoolUsage, school_usage};
use crate::{
    domain::{
        ids::{CountyCode, SchoolCode},
        monitoring::{self, Candidate, Score},
        usage::{Fraction, Period},
    },
    store::{School, Store},
};

/// One school's points, with the school.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchoolPoints {
    /// The school.
    pub school: School,
    /// Its points, and why.
    pub score: Score,
}

/// A county's points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountyMonitoring {
    /// The highest average.
    pub highest: Fraction,
    /// Who set it.
    pub highest_schools: Vec<SchoolCode>,
    /// Highest points first, equals by school code.
    pub schools: Vec<SchoolPoints>,
}

/// Scores every registered school of a county.
///
/// # Errors
/// `NoCalendar`, `Store`.
pub async fn monitoring_scores(
    store: &dyn Store,
    county: &CountyCode,
    period: Period,
) -> Result<CountyMonitoring, QueryError> {
    let usage = school_usage(store, county, period, &SchoolFilter::default()).await?;
    Ok(scored(&usage))
}

/// The same for usage that is known: of all the county's schools, else the highest average is another.
#[must_use]
pub fn scored(usage: &[SchoolUsage]) -> CountyMonitoring {
    let candidates: Vec<Candidate> = usage
        .iter()
        .map(|one| Candidate {
            school: one.school.code.clone(),
            stage: one.school.stage,
            average: one.average,
            service_days: one.due.service_days,
        })
        .collect();
    let mut schools: HashMap<SchoolCode, School> = usage
        .iter()
        .map(|one| (one.school.code.clone(), one.school.clone()))
        .collect();
    let scores = monitoring::score(&candidates);
    let named = scores.schools.into_iter().filter_map(|score| {
        let school = schools.remove(&score.school)?;
        Some(SchoolPoints { school, score })
    });
    CountyMonitoring {
        highest: scores.highest,
        highest_schools: scores.highest_schools,
        schools: named.collect(),
    }
}
