//! What answers hold, named as gRPC's messages name it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    domain::{
        minutes::MinuteSet,
        monitoring,
        usage::{self, display},
    },
    query,
};

/// An exact fraction.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Fraction {
    numerator: String,
    denominator: String,
    /// Two decimals, rounded half up.
    display: String,
}

impl From<usage::Fraction> for Fraction {
    fn from(value: usage::Fraction) -> Self {
        Self {
            numerator: value.numer().to_string(),
            denominator: value.denom().to_string(),
            display: display(value),
        }
    }
}

/// Days, both included.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Period {
    from: String,
    to: String,
}

impl From<usage::Period> for Period {
    fn from(period: usage::Period) -> Self {
        Self {
            from: period.first.to_string(),
            to: period.last.to_string(),
        }
    }
}

/// A county's schools over a period.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SchoolUsages {
    pub(super) county: String,
    pub(super) period: Period,
    pub(super) schools: Vec<SchoolUsage>,
}

/// One school over a period.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SchoolUsage {
    school_code: String,
    name: String,
    stage: String,
    township: String,
    counted_minutes: u64,
    service_days: u64,
    /// Minutes per terminal per teaching day.
    average: Fraction,
    average_display: String,
    powered_minutes: u64,
    used_minutes: u64,
    terminals: u64,
    reporting_terminals: u32,
    lessons_taught: u64,
    lessons_due: u64,
}

impl From<&query::SchoolUsage> for SchoolUsage {
    fn from(from: &query::SchoolUsage) -> Self {
        Self {
            school_code: from.school.code.to_string(),
            name: from.school.name.clone(),
            stage: from.school.stage.to_string(),
            township: from.school.township.clone(),
            counted_minutes: from.minutes.counted,
            service_days: from.due.service_days,
            average: from.average.into(),
            average_display: display(from.average),
            powered_minutes: from.minutes.powered,
            used_minutes: from.minutes.used,
            terminals: from.terminals,
            reporting_terminals: from.reporting_terminals,
            lessons_taught: from.minutes.lessons_taught,
            lessons_due: from.due.lessons,
        }
    }
}

/// One school's terminals over a period.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TerminalUsages {
    pub(super) school_code: String,
    pub(super) period: Period,
    pub(super) terminals: Vec<TerminalUsage>,
}

/// One terminal over a period.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TerminalUsage {
    terminal: String,
    room: String,
    counted_minutes: u64,
    service_days: u64,
    powered_minutes: u64,
    used_minutes: u64,
    days_reported: u64,
    /// Latest end of any session, Unix seconds; 0 without one.
    last_seen: i64,
}

impl From<&query::TerminalUsage> for TerminalUsage {
    fn from(from: &query::TerminalUsage) -> Self {
        Self {
            terminal: from.terminal.to_string(),
            room: from.room.clone(),
            counted_minutes: from.minutes.counted,
            service_days: from.due.service_days,
            powered_minutes: from.minutes.powered,
            used_minutes: from.minutes.used,
            days_reported: from.minutes.reporting,
            last_seen: from.last_seen,
        }
    }
}

/// Minutes `[start, end)` of a day.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MinuteRun {
    start: u16,
    end: u16,
}

fn runs(set: &MinuteSet) -> Vec<MinuteRun> {
    let runs = set.runs().into_iter();
    runs.map(|run| MinuteRun {
        start: run.start,
        end: run.end,
    })
    .collect()
}

/// One terminal's day.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TerminalDay {
    terminal: String,
    date: String,
    powered: Vec<MinuteRun>,
    used: Vec<MinuteRun>,
    teaching: Vec<MinuteRun>,
    counted_minutes: u64,
    last_seen: i64,
    /// Empty where it stood in no school.
    school_code: String,
}

impl From<&query::TerminalDay> for TerminalDay {
    fn from(from: &query::TerminalDay) -> Self {
        let school = from
            .placement
            .as_ref()
            .map(|place| place.school.to_string());
        Self {
            terminal: from.terminal.to_string(),
            date: from.day.to_string(),
            powered: runs(&from.minutes.powered),
            used: runs(&from.minutes.used),
            teaching: runs(&from.teaching),
            counted_minutes: from.counted,
            last_seen: from.minutes.last_seen,
            school_code: school.unwrap_or_default(),
        }
    }
}

/// A county's points.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Scores {
    pub(super) county: String,
    pub(super) period: Period,
    pub(super) highest_average: Fraction,
    pub(super) highest_schools: Vec<String>,
    pub(super) schools: Vec<SchoolScore>,
}

/// One school's points.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SchoolScore {
    school_code: String,
    name: String,
    stage: String,
    average: Fraction,
    points: Fraction,
    points_hundredths: u32,
    points_display: String,
    /// As they would be among schools of the same stage.
    stage_points_hundredths: u32,
    /// Why, in one Chinese sentence.
    reason: String,
}

impl From<&query::SchoolPoints> for SchoolScore {
    fn from(from: &query::SchoolPoints) -> Self {
        let query::SchoolPoints { school, score } = from;
        Self {
            school_code: school.code.to_string(),
            name: school.name.clone(),
            stage: school.stage.to_string(),
            average: score.average.into(),
            points: score.points.into(),
            points_hundredths: monitoring::points_hundredths(score.points),
            points_display: display(score.points),
            stage_points_hundredths: monitoring::points_hundredths(score.stage_points),
            reason: score.reason.clone(),
        }
    }
}

/// What a county's terminals do now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CountyNow {
    county: String,
    /// Unix seconds.
    at: i64,
    total: Count,
    schools: Vec<SchoolNow>,
}

/// How many terminals do what.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Count {
    terminals: u64,
    in_use: u64,
    on: u64,
    off: u64,
    silent: u64,
}

impl From<query::Count> for Count {
    fn from(from: query::Count) -> Self {
        Self {
            terminals: from.terminals,
            in_use: from.in_use,
            on: from.on,
            off: from.off,
            silent: from.silent,
        }
    }
}

/// One school now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SchoolNow {
    school_code: String,
    name: String,
    count: Count,
    /// Today's so far.
    counted_minutes: u64,
}

impl CountyNow {
    pub(super) fn of(county: &str, moment: &query::Moment, schools: &[query::SchoolNow]) -> Self {
        let total: query::Count = schools.iter().map(query::SchoolNow::count).sum();
        let one = |school: &query::SchoolNow| SchoolNow {
            school_code: school.school.code.to_string(),
            name: school.school.name.clone(),
            count: school.count().into(),
            counted_minutes: school.counted(),
        };
        Self {
            county: county.to_owned(),
            at: moment.at.as_second(),
            total: total.into(),
            schools: schools.iter().map(one).collect(),
        }
    }
}
