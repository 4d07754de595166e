//! Averages of a county's schools, silent schools and silent terminals included.
//!
//! Not responsible for what a minute counts (`domain::usage`), nor for the sums (`store`'s rollup).

use std::collections::{BTreeMap, HashMap};

use super::{QueryError, calendar};
use crate::{
    domain::{
        calendar::Calendar,
        ids::{CountyCode, SchoolCode, Stage},
        usage::{self, Due, Fraction, Minutes, Period},
    },
    store::{School, SchoolSum, ServiceSpan, Store, TerminalFilter},
};

/// Which of a county's schools.
#[derive(Debug, Clone, Default)]
pub struct SchoolFilter {
    /// Only this stage (学段).
    pub stage: Option<Stage>,
    /// Only this township.
    pub township: Option<String>,
}

impl SchoolFilter {
    fn admits(&self, school: &School) -> bool {
        self.stage.is_none_or(|stage| stage == school.stage)
            && self
                .township
                .as_ref()
                .is_none_or(|township| *township == school.township)
    }
}

/// One school over a period (DESIGN §3).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SchoolUsage {
    /// The school.
    pub school: School,
    /// What its terminals did.
    pub minutes: Minutes,
    /// What its terminals owed: the divisors.
    pub due: Due,
    /// Minutes per terminal per teaching day, exact.
    #[serde(serialize_with = "as_display")]
    pub average: Fraction,
    /// Terminals in service on at least one day of the period.
    pub terminals: u64,
    /// Of those, terminals with at least one powered minute in the period.
    pub reporting_terminals: u32,
}

fn as_display<S: serde::Serializer>(value: &Fraction, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&usage::display(*value))
}

/// Every registered school that the filter admits, silent or not: highest average first, equals by code.
///
/// # Errors
/// `NoCalendar`, `Store`.
pub async fn school_usage(
    store: &dyn Store,
    county: &CountyCode,
    period: Period,
    filter: &SchoolFilter,
) -> Result<Vec<SchoolUsage>, QueryError> {
    let stored = calendar(store, county).await?;
    let mut schools = store.schools(county).await?;
    schools.retain(|school| filter.admits(school));
    let mut sums: HashMap<SchoolCode, SchoolSum> = store
        .school_sums(county, period)
        .await?
        .into_iter()
        .map(|sum| (sum.school.clone(), sum))
        .collect();
    let mut spans = in_period(store.service_spans(county).await?, period);
    let mut dues = Dues {
        calendar: &stored.calendar,
        known: HashMap::new(),
    };
    let mut found = Vec::with_capacity(schools.len());
    for school in schools {
        let sum = sums.remove(&school.code);
        let spans = spans.remove(&school.code).unwrap_or_default();
        let due = dues.sum(school.stage, &spans);
        let minutes = sum.as_ref().map(|sum| sum.minutes).unwrap_or_default();
        found.push(SchoolUsage {
            average: usage::average(minutes, due),
            terminals: terminals(store, &school.code, &spans, period).await?,
            reporting_terminals: sum.map_or(0, |sum| sum.reporting_terminals),
            school,
            minutes,
            due,
        });
    }
    found.sort_by(|a, b| usage::ranking((a.average, &a.school.code), (b.average, &b.school.code)));
    Ok(found)
}

/// Spans by school, clipped to the period; those without a day in it are left out.
fn in_period(spans: Vec<ServiceSpan>, period: Period) -> BTreeMap<SchoolCode, Vec<(Period, u64)>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for span in spans {
        let clipped = span.service.overlap(period);
        if clipped.first <= clipped.last {
            found
                .entry(span.school)
                .or_default()
                .push((clipped, span.terminals));
        }
    }
    found
}

/// What one terminal owes, by stage and clipped service: a county has thousands of spans, but few different ones.
struct Dues<'a> {
    calendar: &'a Calendar,
    known: HashMap<(Stage, Period), Due>,
}

impl Dues<'_> {
    fn sum(&mut self, stage: Stage, spans: &[(Period, u64)]) -> Due {
        let mut sum = Due::default();
        for (span, terminals) in spans {
            let one = self.known.entry((stage, *span));
            let one = one.or_insert_with(|| usage::due(self.calendar, stage, *span, *span, 1));
            sum += Due {
                service_days: one.service_days * terminals,
                lessons: one.lessons * terminals,
            };
        }
        sum
    }
}

/// How many terminals stood in the school on a day of the period.
///
/// A terminal that changed its room has two spans, which never share a day. So where all spans share a day, their
/// sum counts nothing twice; only elsewhere the terminals themselves are asked for.
async fn terminals(
    store: &dyn Store,
    school: &SchoolCode,
    spans: &[(Period, u64)],
    period: Period,
) -> Result<u64, QueryError> {
    let latest_first = spans.iter().map(|(span, _)| span.first).max();
    let earliest_last = spans.iter().map(|(span, _)| span.last).min();
    if latest_first <= earliest_last {
        return Ok(spans.iter().map(|(_, terminals)| terminals).sum());
    }
    let filter = TerminalFilter {
        school: Some(school.clone()),
        ..TerminalFilter::default()
    };
    let all = store.terminals(&filter).await?;
    Ok(all
        .iter()
        .filter(|terminal| {
            super::terminals::stays(terminal, school, period)
                .next()
                .is_some()
        })
        .count() as u64)
}
