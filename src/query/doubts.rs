//! What looks doubtful of terminals' use now, before any run: the same rules as for a run's best schools.
//!
//! Not responsible for the rules (`domain::doubt`), nor for excluding anything (`evaluation`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use super::{QueryError, calendar, school};
use crate::{
    domain::{
        calendar::Calendar,
        doubt::{self, Doubt, Observed},
        ids::{CountyCode, SchoolCode, Stage, TerminalId},
        incident::Kind,
        minutes::MinuteSet,
        session::day_of,
        usage::Period,
    },
    store::{IncidentFilter, School, Store},
};

/// Days of a county that are read at once: a week's, for what else they hold is not kept.
const AT_ONCE: usize = 5;

/// Use of one school's terminals by day.
type Use = BTreeMap<TerminalId, Vec<(Date, MinuteSet)>>;

/// Doubts about one terminal over a period, on the teaching days of the school where it stands, by kind; the school's
/// other terminals are looked at for patterns that they share.
///
/// # Errors
/// `NotFound` for an unknown school, `NoCalendar`, `Store`.
pub async fn terminal_doubts(
    store: &dyn Store,
    id: &TerminalId,
    code: &SchoolCode,
    period: Period,
    zone: &TimeZone,
) -> Result<Vec<Doubt>, QueryError> {
    let school = school(store, code).await?;
    let calendar = calendar(store, &school.county).await?.calendar;
    let mut used = Use::new();
    for (terminal, day, minutes) in store.school_terminal_days(code, period).await? {
        used.entry(terminal).or_default().push((day, minutes.used));
    }
    let told = two_machines(store, Some(id), period, zone).await?;
    let mut found = doubts(&calendar, school.stage, &used, &told);
    found.retain(|doubt| doubt.terminal == *id);
    Ok(found)
}

/// Doubts about a county's terminals over a short period, school by school; schools without any are left out.
///
/// Holds the use of every terminal of the county at once, so it is meant for weeks, not for terms.
///
/// # Errors
/// `NoCalendar`, `Store`.
pub async fn county_doubts(
    store: &dyn Store,
    county: &CountyCode,
    period: Period,
    zone: &TimeZone,
) -> Result<Vec<(School, Vec<Doubt>)>, QueryError> {
    let calendar = calendar(store, county).await?.calendar;
    let mut used: HashMap<SchoolCode, Use> = HashMap::new();
    let told = two_machines(store, None, period, zone).await?;
    // Of other days nothing is judged.
    let judged = |day: &Date| {
        let mut stages = Stage::ALL.into_iter();
        stages.any(|stage| calendar.teaching(stage, *day).is_some())
            || told.values().any(|days| days.contains(day))
    };
    let days = period.first.series(1.day());
    let days = days.take_while(|day| *day <= period.last);
    let days: Vec<Date> = days.filter(judged).collect();
    for some in days.chunks(AT_ONCE) {
        for one in store.county_days(county, some).await? {
            let days = one.days.iter().map(|(day, minutes)| (*day, minutes.used));
            let of_school = used.entry(one.school).or_default();
            let of_terminal = of_school.entry(one.terminal).or_default();
            of_terminal.extend(days);
        }
    }
    let mut found = Vec::new();
    for school in store.schools(county).await? {
        let Some(used) = used.get(&school.code) else {
            continue;
        };
        let doubts = doubts(&calendar, school.stage, used, &told);
        if !doubts.is_empty() {
            found.push((school, doubts));
        }
    }
    Ok(found)
}

fn doubts(
    calendar: &Calendar,
    stage: Stage,
    used: &Use,
    told: &BTreeMap<TerminalId, BTreeSet<Date>>,
) -> Vec<Doubt> {
    let nothing = BTreeSet::new();
    let observed: Vec<Observed<'_>> = used
        .iter()
        .map(|(terminal, days)| {
            let taught = |(day, used): &&(Date, MinuteSet)| {
                !used.is_empty() && calendar.teaching(stage, *day).is_some()
            };
            Observed {
                terminal,
                days: days.iter().filter(taught).copied().collect(),
                two_machines: told.get(terminal).unwrap_or(&nothing),
            }
        })
        .collect();
    doubt::doubts(calendar, stage, &observed)
}

/// Days on which two machines were found under a terminal's identity, of one terminal or all.
async fn two_machines(
    store: &dyn Store,
    terminal: Option<&TerminalId>,
    period: Period,
    zone: &TimeZone,
) -> Result<BTreeMap<TerminalId, BTreeSet<Date>>, QueryError> {
    let midnight = |day: Date| {
        let begins = zone.to_timestamp(day.at(0, 0, 0, 0));
        begins.map(Timestamp::as_second)
    };
    let filter = IncidentFilter {
        terminal: terminal.cloned(),
        kind: Some(Kind::TwoMachines),
        since: midnight(period.first).unwrap_or(0),
        until: period.last.tomorrow().and_then(midnight).ok(),
        limit: u32::MAX,
    };
    let mut found: BTreeMap<TerminalId, BTreeSet<Date>> = BTreeMap::new();
    for incident in store.incidents(&filter).await? {
        if let Some(day) = day_of(incident.at, zone).filter(|day| period.contains(*day)) {
            found.entry(incident.terminal).or_default().insert(day);
        }
    }
    Ok(found)
}
