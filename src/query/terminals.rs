//! One school's terminals over a period, and one terminal's day.
//!
//! Not responsible for a county's schools (`schools`), nor for who approves terminals (`registry`).

use std::{collections::HashMap, sync::Arc};

use jiff::civil::Date;

use super::{LessonGrid, QueryError, calendar, school};
use crate::{
    domain::{
        calendar::Calendar,
        ids::{SchoolCode, Stage, TerminalId},
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

/// What is known of a school over a period, read once for all that is asked of it.
#[derive(Debug)]
pub struct SchoolPeriod {
    code: SchoolCode,
    stage: Stage,
    calendar: Arc<Calendar>,
    period: Period,
    terminals: Vec<Terminal>,
    days: Vec<(TerminalId, Date, DayMinutes)>,
}

/// Reads a school's period.
///
/// # Errors
/// `NotFound` for an unknown school, `NoCalendar`, `Store`.
pub async fn school_period(
    store: &dyn Store,
    code: &SchoolCode,
    period: Period,
) -> Result<SchoolPeriod, QueryError> {
    let school = school(store, code).await?;
    let calendar = calendar(store, &school.county).await?.calendar;
    let filter = TerminalFilter {
        school: Some(code.clone()),
        ..TerminalFilter::default()
    };
    Ok(SchoolPeriod {
        code: code.clone(),
        stage: school.stage,
        calendar,
        period,
        days: store.school_terminal_days(code, period).await?,
        terminals: store.terminals(&filter).await?,
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
    Ok(school_period(store, code, period).await?.usage())
}

impl SchoolPeriod {
    /// The terminals that stood there on any of the days, in the order of [`terminal_usage`].
    #[must_use]
    pub fn usage(&self) -> Vec<TerminalUsage> {
        let mut done: HashMap<&TerminalId, (Minutes, i64)> = HashMap::new();
        for (terminal, day, minutes) in &self.days {
            let (sum, last_seen) = done.entry(terminal).or_default();
            *sum += usage::terminal_day(&self.calendar, self.stage, *day, minutes);
            *last_seen = minutes.last_seen.max(*last_seen);
        }
        // Most terminals of a school stood there over the same days.
        let mut dues: HashMap<Period, Due> = HashMap::new();
        let mut found = Vec::new();
        for terminal in &self.terminals {
            let mut stays = stays(terminal, &self.code, self.period).peekable();
            if stays.peek().is_none() {
                continue;
            }
            let (mut due, mut room) = (Due::default(), "");
            for (placement, stay) in stays {
                due += *dues.entry(stay).or_insert_with(|| {
                    usage::due(&self.calendar, self.stage, self.period, stay, 1)
                });
                room = &placement.room;
            }
            let (minutes, last_seen) = done.remove(&terminal.id).unwrap_or_default();
            found.push(TerminalUsage {
                terminal: terminal.id.clone(),
                room: room.to_owned(),
                minutes,
                due,
                last_seen,
            });
        }
        found.sort_by(|a, b| a.rank().cmp(&b.rank()));
        found
    }

    /// When in the week its terminals are used: every lesson of the period, by weekday and number.
    #[must_use]
    pub fn lessons(&self) -> LessonGrid {
        let stays: Vec<Period> = self
            .terminals
            .iter()
            .flat_map(|terminal| stays(terminal, &self.code, self.period))
            .map(|(_, stay)| stay)
            .collect();
        let mut grid = LessonGrid::new();
        let Period { first, last } = self.period;
        for (day, teaching) in self.calendar.teaching_days(self.stage, first, last) {
            let here = stays.iter().filter(|stay| stay.contains(day)).count() as u64;
            let weekday = day.weekday().to_monday_zero_offset();
            for number in 0..teaching.lessons.len() {
                grid.entry((weekday, number)).or_default().due += here;
            }
        }
        for (_, day, minutes) in &self.days {
            let Some(teaching) = self.calendar.teaching(self.stage, *day) else {
                continue;
            };
            let weekday = day.weekday().to_monday_zero_offset();
            for (number, lesson) in teaching.lessons.iter().enumerate() {
                if (minutes.used & *lesson).count() >= self.calendar.lesson_minutes() {
                    grid.entry((weekday, number)).or_default().taught += 1;
                }
            }
        }
        grid.retain(|_, cell| cell.due != 0);
        grid
    }
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
