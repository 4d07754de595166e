//! One school's terminals over a period, and one terminal's day.
//!
//! Not responsible for a county's schools (`schools`), nor for who approves terminals (`registry`).

use std::collections::HashMap;

use jiff::civil::Date;

use super::{QueryError, calendar, school};
use crate::{
    domain::{
        ids::{SchoolCode, TerminalId},
        minutes::{DayMinutes, MinuteSet},
        usage::{self, Due, Minutes, Period},
    },
    store::{Placement, Store, Terminal, TerminalFilter},
};

/// One terminal over a period, only the days on which it stood in the school asked about.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TerminalUsage {
    /// The terminal.
    pub terminal: TerminalId,
    /// The room where it stood last in the period; may be empty.
    pub room: String,
    /// What it did; `reporting` is the number of days with a powered minute.
    pub minutes: Minutes,
    /// What it owed.
    pub due: Due,
    /// Latest end of any session on these days, Unix seconds; 0 without one.
    pub last_seen: i64,
}

impl TerminalUsage {
    /// The order of the list: silent terminals first, then by counted minutes ascending, then by id.
    #[must_use]
    pub fn rank(&self) -> (bool, u64, &TerminalId) {
        (
            self.minutes.reporting != 0,
            self.minutes.counted,
            &self.terminal,
        )
    }
}

/// One terminal's civil day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalDay {
    /// The terminal.
    pub terminal: TerminalId,
    /// The day.
    pub day: Date,
    /// What is known of it; empty without reports.
    pub minutes: DayMinutes,
    /// Teaching time of that day for the terminal's school; empty on a day without teaching.
    pub teaching: MinuteSet,
    /// Used minutes in teaching time, capped.
    pub counted: u64,
    /// Where it stood on that day.
    pub placement: Option<Placement>,
}

/// The clipped periods over which a terminal stood in a school, in order of time.
pub(super) fn stays<'a>(
    terminal: &'a Terminal,
    school: &'a SchoolCode,
    period: Period,
) -> impl Iterator<Item = (&'a Placement, Period)> {
    let here = terminal
        .placements
        .iter()
        .filter(move |placement| placement.school == *school);
    here.filter_map(move |placement| {
        let stay = Period {
            first: placement.from,
            last: placement.to.unwrap_or(Date::MAX),
        }
        .overlap(period);
        (stay.first <= stay.last).then_some((placement, stay))
    })
}

/// The terminals that stood in a school on any day of the period: silent ones first, then by counted minutes
/// ascending, then by id.
///
/// # Errors
/// `NotFound` for an unknown school, `NoCalendar`, `Store`.
pub async fn terminal_usage(
    store: &dyn Store,
    code: &SchoolCode,
    period: Period,
) -> Result<Vec<TerminalUsage>, QueryError> {
    let school = school(store, code).await?;
    let calendar = calendar(store, &school.county).await?.calendar;
    let mut done: HashMap<TerminalId, (Minutes, i64)> = HashMap::new();
    for (terminal, day, minutes) in store.school_terminal_days(code, period).await? {
        let (sum, last_seen) = done.entry(terminal).or_default();
        *sum += usage::terminal_day(&calendar, school.stage, day, &minutes);
        *last_seen = minutes.last_seen.max(*last_seen);
    }
    let filter = TerminalFilter {
        school: Some(code.clone()),
        ..TerminalFilter::default()
    };
    // Most terminals of a school stood there over the same days.
    let mut dues: HashMap<Period, Due> = HashMap::new();
    let mut found = Vec::new();
    for terminal in store.terminals(&filter).await? {
        let Some((latest, _)) = stays(&terminal, code, period).last() else {
            continue;
        };
        let mut due = Due::default();
        for (_, stay) in stays(&terminal, code, period) {
            due += *dues
                .entry(stay)
                .or_insert_with(|| usage::due(&calendar, school.stage, period, stay, 1));
        }
        let (minutes, last_seen) = done.remove(&terminal.id).unwrap_or_default();
        let room = latest.room.clone();
        found.push(TerminalUsage {
            terminal: terminal.id,
            room,
            minutes,
            due,
            last_seen,
        });
    }
    found.sort_by(|a, b| a.rank().cmp(&b.rank()));
    Ok(found)
}

/// One terminal's day. A day without reports is an answer without minutes; a day on which it stood in no school
/// counts nothing, nor does one in a county without a calendar.
///
/// # Errors
/// `NotFound` for an unknown terminal, `Store`.
pub async fn terminal_day(
    store: &dyn Store,
    id: &TerminalId,
    day: Date,
) -> Result<TerminalDay, QueryError> {
    let unknown = || QueryError::NotFound {
        what: "terminal",
        id: id.to_string(),
    };
    let terminal = store.terminal(id).await?.ok_or_else(unknown)?;
    let days = store
        .terminal_days(
            id,
            Period {
                first: day,
                last: day,
            },
        )
        .await?;
    let minutes = days
        .into_iter()
        .find(|(found, _)| *found == day)
        .map(|(_, minutes)| minutes)
        .unwrap_or_default();
    let stood =
        |placement: &Placement| placement.from <= day && placement.to.is_none_or(|to| day <= to);
    let placement = terminal.placements.into_iter().find(stood);
    let (mut teaching, mut counted) = (MinuteSet::EMPTY, 0);
    if let Some(placement) = &placement {
        let school = school(store, &placement.school).await?;
        if let Some(stored) = store.calendar(&school.county).await? {
            let calendar = stored.calendar;
            teaching = calendar
                .teaching(school.stage, day)
                .map(|teaching| teaching.mask)
                .unwrap_or_default();
            counted = usage::terminal_day(&calendar, school.stage, day, &minutes).counted;
        }
    }
    Ok(TerminalDay {
        terminal: terminal.id,
        day,
        minutes,
        teaching,
        counted,
        placement,
    })
}
