//! What a county's terminals do at this moment, and how far the day has come.
//!
//! Not responsible for whole days and periods (`schools`, `terminals`), nor for when this is asked (callers).

use std::collections::{BTreeMap, HashMap};

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use super::QueryError;
use crate::{
    domain::{
        calendar::Calendar,
        ids::{CountyCode, SchoolCode, Stage, TerminalId},
        minutes::{DayMinutes, MinuteSet},
        session::day_of,
        usage::{self, Due, Fraction, Minutes, Period},
    },
    store::{Placement, School, Store, Terminal, TerminalFilter},
};

/// Teaching days without a word after which a terminal counts as silent.
pub const SILENT_AFTER: usize = 3;

/// Days without a word after which a terminal is silent where no calendar tells teaching days.
const SILENT_DAYS: i64 = 7;

/// Seconds that a report may be late on its way.
const LATE: i64 = 15;

/// What a terminal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not heard for [`SILENT_AFTER`] teaching days or more, or never: look at it first.
    Silent,
    /// In use at this moment.
    InUse,
    /// Heard within two heartbeats, and not in use.
    On,
    /// Neither of these: switched off, or cut off for less than [`SILENT_AFTER`] teaching days.
    Off,
}

/// The moment that is asked about, as the service sees it.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Now.
    pub at: Timestamp,
    /// Cuts days.
    pub zone: TimeZone,
    /// Seconds between two reports of a terminal.
    pub heartbeat: u32,
}

impl Moment {
    /// The civil day.
    #[must_use]
    pub fn today(&self) -> Date {
        self.zone.to_datetime(self.at).date()
    }

    /// The minute of the day, 0 to 1,439.
    #[must_use]
    pub fn minute(&self) -> u16 {
        let time = self.zone.to_datetime(self.at).time();
        u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or(0)
    }

    /// How long a terminal that is on may be quiet, seconds.
    fn quiet(&self) -> i64 {
        2 * i64::from(self.heartbeat) + LATE
    }
}

/// One terminal in service, now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalNow {
    /// The terminal.
    pub terminal: TerminalId,
    /// The room; may be empty.
    pub room: String,
    /// What it does.
    pub state: State,
    /// When it was last heard, Unix seconds.
    pub last_heard: Option<i64>,
    /// Today's minutes so far.
    pub today: DayMinutes,
    /// Of these, what counts.
    pub counted: u64,
}

/// One school now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchoolNow {
    /// The school.
    pub school: School,
    /// Its terminals in service today, silent ones first, then by room and id.
    pub terminals: Vec<TerminalNow>,
}

/// How many terminals do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Count {
    /// In service today.
    pub terminals: u64,
    /// In use now.
    pub in_use: u64,
    /// On, and not in use.
    pub on: u64,
    /// Off.
    pub off: u64,
    /// Silent.
    pub silent: u64,
}

impl SchoolNow {
    /// How many of its terminals do what.
    #[must_use]
    pub fn count(&self) -> Count {
        let mut count = Count::default();
        for one in &self.terminals {
            count.terminals += 1;
            match one.state {
                State::InUse => count.in_use += 1,
                State::On => count.on += 1,
                State::Off => count.off += 1,
                State::Silent => count.silent += 1,
            }
        }
        count
    }

    /// Today's counted minutes so far.
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.terminals.iter().map(|one| one.counted).sum()
    }
}

impl std::iter::Sum for Count {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            terminals: sum.terminals + one.terminals,
            in_use: sum.in_use + one.in_use,
            on: sum.on + one.on,
            off: sum.off + one.off,
            silent: sum.silent + one.silent,
        })
    }
}

/// Every school of a county with its terminals in service today, by school code.
///
/// # Errors
/// `Store`.
pub async fn county_now(
    store: &dyn Store,
    county: &CountyCode,
    moment: &Moment,
) -> Result<Vec<SchoolNow>, QueryError> {
    let schools = store.schools(county).await?;
    let terminals = store.terminals(&TerminalFilter::default()).await?;
    let days = store.county_days(county, &[moment.today()]).await?;
    let calendar = store.calendar(county).await?.map(|stored| stored.calendar);
    let watch = Watch::new(moment, calendar.as_deref());
    let today = days.into_iter().flat_map(|one| {
        let days = one.days.into_iter();
        days.map(move |(_, minutes)| (one.terminal.clone(), minutes))
    });
    Ok(watch.schools(schools, terminals, today.collect()))
}

/// One school with its terminals in service today.
///
/// # Errors
/// `NotFound` for an unknown school, `Store`.
pub async fn school_now(
    store: &dyn Store,
    code: &SchoolCode,
    moment: &Moment,
) -> Result<SchoolNow, QueryError> {
    let school = super::school(store, code).await?;
    let filter = TerminalFilter {
        school: Some(code.clone()),
        ..TerminalFilter::default()
    };
    let (terminals, today) = (store.terminals(&filter).await?, moment.today());
    let one_day = Period {
        first: today,
        last: today,
    };
    let days = store.school_terminal_days(code, one_day).await?;
    let days = days.into_iter();
    let days = days.map(|(terminal, _, minutes)| (terminal, minutes));
    let calendar = store.calendar(&school.county).await?;
    let calendar = calendar.map(|stored| stored.calendar);
    let watch = Watch::new(moment, calendar.as_deref());
    let empty = SchoolNow {
        school: school.clone(),
        terminals: Vec::new(),
    };
    let found = watch.schools(vec![school], terminals, days.collect());
    Ok(found.into_iter().next().unwrap_or(empty))
}

/// Judges terminals at one moment.
struct Watch<'a> {
    moment: &'a Moment,
    calendar: Option<&'a Calendar>,
    /// By stage, the first day of those on which a word must have come.
    since: HashMap<Stage, Date>,
}

impl<'a> Watch<'a> {
    fn new(moment: &'a Moment, calendar: Option<&'a Calendar>) -> Self {
        let today = moment.today();
        let since = |stage| {
            let Some(calendar) = calendar else {
                return today.saturating_sub(SILENT_DAYS.days());
            };
            // Two months reach over any holiday; beyond it every terminal may be quiet.
            let days = (1..=62).map(|back: i64| today.saturating_sub(back.days()));
            let mut taught = days.filter(|day| calendar.teaching(stage, *day).is_some());
            taught
                .nth(SILENT_AFTER - 1)
                .unwrap_or_else(|| today.saturating_sub(62.days()))
        };
        Self {
            moment,
            calendar,
            since: Stage::ALL
                .into_iter()
                .map(|stage| (stage, since(stage)))
                .collect(),
        }
    }

    fn schools(
        &self,
        schools: Vec<School>,
        terminals: Vec<Terminal>,
        mut days: HashMap<TerminalId, DayMinutes>,
    ) -> Vec<SchoolNow> {
        let mut found: BTreeMap<SchoolCode, SchoolNow> = schools
            .into_iter()
            .map(|school| {
                let terminals = Vec::new();
                (school.code.clone(), SchoolNow { school, terminals })
            })
            .collect();
        for terminal in terminals {
            let Some(place) = place(&terminal, self.moment.today()).cloned() else {
                continue;
            };
            let Some(at) = found.get_mut(&place.school) else {
                continue;
            };
            let today = days.remove(&terminal.id).unwrap_or_default();
            let one = self.terminal(terminal, place, &today, at.school.stage);
            at.terminals.push(one);
        }
        for school in found.values_mut() {
            school.terminals.sort_by(|a, b| {
                let silent = |one: &TerminalNow| one.state != State::Silent;
                (silent(a), &a.room, &a.terminal).cmp(&(silent(b), &b.room, &b.terminal))
            });
        }
        found.into_values().collect()
    }

    fn terminal(
        &self,
        terminal: Terminal,
        place: Placement,
        today: &DayMinutes,
        stage: Stage,
    ) -> TerminalNow {
        let day = self.moment.today();
        let counted = self.calendar.map_or(0, |calendar| {
            usage::terminal_day(calendar, stage, day, today).counted
        });
        TerminalNow {
            state: self.state(&terminal, &place, today, stage),
            terminal: terminal.id,
            room: place.room,
            last_heard: terminal.last_heard,
            today: *today,
            counted,
        }
    }

    fn state(
        &self,
        terminal: &Terminal,
        place: &Placement,
        today: &DayMinutes,
        stage: Stage,
    ) -> State {
        let now = self.moment.at.as_second();
        let heard = terminal.last_heard;
        if heard.is_some_and(|at| now - at <= self.moment.quiet()) {
            let minute = self.moment.minute();
            let back = u16::try_from(self.moment.quiet() / 60 + 1).unwrap_or(u16::MAX);
            let lately = MinuteSet::of(minute.saturating_sub(back), minute + 1);
            let used = !(today.used & lately).is_empty();
            return if used { State::InUse } else { State::On };
        }
        let since = self.since.get(&stage).copied().unwrap_or(Date::MIN);
        let heard = heard.and_then(|at| day_of(at, &self.moment.zone));
        let quiet = today.powered.is_empty() && heard.is_none_or(|day| day < since);
        if quiet && place.from <= since {
            State::Silent
        } else {
            State::Off
        }
    }
}

/// Where a terminal stands on a day.
fn place(terminal: &Terminal, day: Date) -> Option<&Placement> {
    let stands = |place: &&Placement| place.from <= day && place.to.is_none_or(|to| day <= to);
    terminal.placements.iter().find(stands)
}

/// How far a county's day had come at a minute of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DaySoFar {
    /// The day.
    pub day: Date,
    /// Counted minutes before the minute.
    pub counted: u64,
    /// Terminals in service, if the day is taught.
    pub service_days: u64,
    /// Minutes per terminal, exact.
    pub average: Fraction,
    /// Terminals that were on before the minute.
    pub reporting: u64,
}

/// Counts a day's minutes up to a minute, so that a day that is not over can be compared with one that is.
///
/// # Errors
/// `NoCalendar`, `Store`.
pub async fn day_so_far(
    store: &dyn Store,
    county: &CountyCode,
    day: Date,
    minute: u16,
) -> Result<DaySoFar, QueryError> {
    let calendar = super::calendar(store, county).await?.calendar;
    let stages: HashMap<SchoolCode, Stage> = store
        .schools(county)
        .await?
        .into_iter()
        .map(|school| (school.code, school.stage))
        .collect();
    let until = MinuteSet::of(0, minute);
    let mut sum = Minutes::default();
    for one in store.county_days(county, &[day]).await? {
        let Some(stage) = stages.get(&one.school) else {
            continue;
        };
        for (day, minutes) in one.days {
            let cut = DayMinutes {
                powered: minutes.powered & until,
                used: minutes.used & until,
                last_seen: minutes.last_seen,
            };
            sum += usage::terminal_day(&calendar, *stage, day, &cut);
        }
    }
    let one_day = Period {
        first: day,
        last: day,
    };
    let mut due = Due::default();
    for span in store.service_spans(county).await? {
        if let Some(stage) = stages.get(&span.school) {
            due += usage::due(&calendar, *stage, one_day, span.service, span.terminals);
        }
    }
    Ok(DaySoFar {
        day,
        counted: sum.counted,
        service_days: due.service_days,
        average: usage::average(sum, due),
        reporting: sum.reporting,
    })
}
