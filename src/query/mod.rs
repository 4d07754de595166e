//! Questions about usage, asked well: which days are meant, which schools belong in, what each one's figures are.
//!
//! Answers are exact and up to date (see [`freshen`]). No transport, no clock: today is an argument.
//! Not responsible for how an answer is shown (`api`), nor for keeping the sums (`store`).

use crate::{
    domain::ids::{CountyCode, SchoolCode},
    store::{School, SchoolDay, Store, StoreError, StoredCalendar},
};

mod doubts;
mod now;
mod period;
mod rhythm;
mod schools;
mod scores;
mod terminals;

pub use doubts::{county_doubts, terminal_doubts};
pub use now::{
    Count, DaySoFar, Moment, SILENT_AFTER, SchoolNow, State, TerminalNow, county_now, day_so_far,
    school_now,
};
pub use period::{Asked, MAX_PERIOD_DAYS, Resolved, resolve, resolve_period};
pub use rhythm::{
    HistoryDay, LessonCell, LessonGrid, Week, earlier_terms, lesson_grid, monday, same_day_of,
    school_weeks, terminal_history,
};
pub use schools::{SchoolFilter, SchoolUsage, school_usage};
pub use scores::{CountyMonitoring, SchoolPoints, monitoring_scores, scored};
pub use terminals::{
    SchoolPeriod, TerminalDay, TerminalUsage, school_period, terminal_day, terminal_usage,
};

/// School-days that one round of [`freshen`] brings up to date: bounds the length of one write transaction.
pub const ROLL_UP_ROUND: u32 = 1_000;

/// Most rounds of one [`freshen`]: an answer must come even while reports pour in faster than they are summed.
pub const MAX_ROLL_UP_ROUNDS: u32 = 10_000;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A field of the question is wrong; says which and how to mend it.
    #[error("{field}: {problem}")]
    Field {
        /// The field's name, as the contract writes it, such as `period.from`.
        field: &'static str,
        /// What is wrong, and what is allowed.
        problem: String,
    },
    /// The question names something that is not registered.
    #[error("{what} {id} is not registered")]
    NotFound {
        /// Such as "school".
        what: &'static str,
        /// Its id as given.
        id: String,
    },
    /// No county is registered, so that none can be meant.
    #[error("no county is registered yet: import the table of schools first")]
    NoCounty,
    /// The county has no calendar: nothing says which days and minutes count.
    #[error("county {county} has no calendar: set one with `classpulse import --calendar FILE`")]
    NoCalendar {
        /// The county.
        county: CountyCode,
    },
    /// No term has begun, so that no period can be taken from it.
    #[error("no term of county {county} has begun yet: give a period")]
    NoTerm {
        /// The county.
        county: CountyCode,
    },
    /// The store could not answer.
    #[error("the store could not answer")]
    Store(#[from] StoreError),
}

impl QueryError {
    pub(crate) fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Field {
            field,
            problem: problem.into(),
        }
    }
}

/// Brings the sums up to date, so that the next answer holds every committed minute.
///
/// `tell` hears of every changed school-day as soon as its sums are stored, round by round: a caller that is
/// cut off half-way has still told of what it did. Returns how many school-days changed.
///
/// # Errors
/// [`QueryError::Store`].
pub async fn freshen(
    store: &dyn Store,
    mut tell: impl FnMut(SchoolDay) + Send,
) -> Result<u64, QueryError> {
    let mut changed = 0;
    for _ in 0..MAX_ROLL_UP_ROUNDS {
        let round = store.roll_up(ROLL_UP_ROUND).await?;
        if round.is_empty() {
            break;
        }
        changed += round.len() as u64;
        round.into_iter().for_each(&mut tell);
    }
    Ok(changed)
}

/// The county that is meant: the one given, else the only one registered.
///
/// # Errors
/// `NotFound` for an unknown county; `Field` where none is given but several are registered; `NoCounty`.
pub async fn resolve_county(
    store: &dyn Store,
    given: Option<CountyCode>,
) -> Result<CountyCode, QueryError> {
    let counties = store.counties().await?;
    let Some(code) = given else {
        return match counties.as_slice() {
            [] => Err(QueryError::NoCounty),
            [only] => Ok(only.code.clone()),
            [first, ..] => {
                let problem = format!(
                    "several counties are registered, name one, such as {}",
                    first.code
                );
                Err(QueryError::field("county", problem))
            }
        };
    };
    if counties.iter().any(|county| county.code == code) {
        return Ok(code);
    }
    Err(QueryError::NotFound {
        what: "county",
        id: code.to_string(),
    })
}

/// A school that must be registered.
///
/// # Errors
/// `NotFound`, `Store`.
pub async fn school(store: &dyn Store, code: &SchoolCode) -> Result<School, QueryError> {
    let found = store.school(code).await?;
    found.ok_or_else(|| QueryError::NotFound {
        what: "school",
        id: code.to_string(),
    })
}

async fn calendar(store: &dyn Store, county: &CountyCode) -> Result<StoredCalendar, QueryError> {
    let found = store.calendar(county).await?;
    found.ok_or_else(|| QueryError::NoCalendar {
        county: county.clone(),
    })
}
