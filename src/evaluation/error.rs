//! Why evaluation can't be done; each error names the way out.

use jiff::civil::Date;

use crate::{
    domain::{
        calendar::CalendarError,
        ids::{CountyCode, SchoolCode, TerminalId},
        rubric::{definition::TurnError, file::Faults},
    },
    store::{ContentDigest, MAX_EXCLUSIONS, StoreError},
    tasks::CutOff,
};

use super::Unfit;

/// Why evaluation can't be done.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The store could not answer, or refuses: unknown run, frozen run, another revision.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run's rubric is not kept.
    #[error("rubric {0} is not kept")]
    NoRubric(ContentDigest),
    /// A rubric can't be used.
    #[error("the rubric can't be used")]
    Rubric(#[source] Faults),
    /// A reading can't be turned as asked.
    #[error("the reading can't be turned")]
    Reading(#[from] TurnError),
    /// The county has no calendar: nothing says which minutes count.
    #[error("county {0} has no calendar: set one with `classpulse import --calendar FILE`")]
    NoCalendar(CountyCode),
    /// A calendar can't be used.
    #[error("the calendar can't be used")]
    Calendar(#[source] CalendarError),
    /// Kept evidence is not what this program reads.
    #[error("the evidence for item {item} of school {school} can't be read: {problem}")]
    Evidence {
        /// The school.
        school: SchoolCode,
        /// The item.
        item: String,
        /// What is wrong.
        problem: String,
    },
    /// Evidence that does not fit the run's rubric; nothing of it was taken.
    #[error("{} entries of evidence don't fit the rubric; the first is for item {} of school {}", .0.len(), .0.first().map_or("", |one| one.item.as_str()), .0.first().map_or("", |one| one.school.as_str()))]
    Unfit(Vec<Unfit>),
    /// Minutes of the period are no longer kept.
    #[error("minutes are kept from {kept_from} on, and the run begins on {first}: {}", way_out(.frozen))]
    MinutesGone {
        /// The run's first day.
        first: Date,
        /// From when on minutes are kept.
        kept_from: Date,
        /// Frozen runs that have the whole period's minutes, newest first.
        frozen: Vec<i64>,
    },
    /// The run whose minutes are to be taken does not have them all.
    #[error("run {run} has minutes from {first} to {last} only: give this run a period within")]
    MinutesFrom {
        /// The run that is referred to.
        run: i64,
        /// Its first day.
        first: Date,
        /// Its last day.
        last: Date,
    },
    /// A period that is none.
    #[error(
        "a run's days go from a first to a last one, at most 3660 days later, not from {first} to {last}"
    )]
    Period {
        /// First day.
        first: Date,
        /// Last day.
        last: Date,
    },
    /// Days that can't be excluded.
    #[error(
        "terminal {terminal} stood in no school of the county on any day of the run from {first} to {last}: check its id and the days"
    )]
    Exclusion {
        /// Whose days.
        terminal: TerminalId,
        /// First day.
        first: Date,
        /// Last day.
        last: Date,
    },
    /// The run gives other points than those that were looked at.
    #[error(
        "the run's figures are {found} now, not {expected}: evidence, minutes, schools or the calendar changed since; look again, then freeze"
    )]
    Changed {
        /// What was looked at.
        expected: String,
        /// What it gives now.
        found: String,
    },
    /// The period goes on.
    #[error(
        "the run's period ends on {last}, and today is {today}: freeze it from the day after on, or make a run with an earlier end"
    )]
    NotOver {
        /// The run's last day.
        last: Date,
        /// Today.
        today: Date,
    },
    /// Answers are missing, which would score 0 for good.
    #[error(
        "{0} answers are missing and would score 0 for good: enter them, or accept that when freezing (accept_missing, --accept-missing)"
    )]
    Missing(usize),
    /// More exclusions than a run may have.
    #[error(
        "{0} exclusions, but a run has at most {MAX_EXCLUSIONS}: exclude a terminal's days as one span"
    )]
    Exclusions(usize),
    /// The run is a draft, and only a frozen one will do.
    #[error("run {0} is a draft: freeze it first")]
    NotFrozen(i64),
    /// A part of a frozen run is not what it should be.
    #[error("part {part} of the frozen run can't be read: {problem}")]
    Part {
        /// Which.
        part: String,
        /// What is wrong.
        problem: String,
    },
    /// Something that was asked about is not in the run.
    #[error("{what} {id} is not in the run")]
    Unknown {
        /// Such as "school".
        what: &'static str,
        /// Its id as asked.
        id: String,
    },
    /// Minutes of a school are needed that were not read.
    #[error("the minutes of school {0} were not read")]
    Unread(SchoolCode),
    /// The work was cut off.
    #[error("the computation was cut off")]
    CutOff(#[from] CutOff),
}

fn way_out(frozen: &[i64]) -> String {
    match frozen.first() {
        Some(run) => format!("make the run with minutes_from = {run}, whose parts have them"),
        None => "no frozen run has them; give the run a later period".to_owned(),
    }
}

impl EvaluationError {
    pub(super) fn part(part: &str, problem: &(impl ToString + ?Sized)) -> Self {
        Self::Part {
            part: part.to_owned(),
            problem: problem.to_string(),
        }
    }
}
