//! What every backend needs to count a school-day's minutes: the school's facts and its county's calendar, parsed once.
//!
//! Not responsible for where texts and rows come from (the backends).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::civil::Date;

use super::{StoreError, StoredCalendar};
use crate::domain::{
    calendar::Calendar,
    ids::{CountyCode, SchoolCode, Stage},
    minutes::DayMinutes,
    usage::{self, Minutes},
};

/// Parsed calendars by county's key and version. A stored version never changes, so nothing here goes stale.
#[derive(Default)]
pub(super) struct Calendars(Mutex<HashMap<i64, (i64, Arc<Calendar>)>>);

impl Calendars {
    /// A stored text with its calendar.
    pub(super) fn parsed(
        &self,
        county: i64,
        version: i64,
        text: String,
    ) -> Result<StoredCalendar, StoreError> {
        let mut parsed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, calendar)) = parsed.get(&county)
            && *known == version
        {
            let calendar = Arc::clone(calendar);
            return Ok(StoredCalendar {
                version,
                text,
                calendar,
            });
        }
        let calendar = Calendar::parse(&text).map_err(|error| {
            StoreError::Damaged(format!("version {version} of a calendar: {error}"))
        })?;
        let calendar = Arc::new(calendar);
        parsed.insert(county, (version, Arc::clone(&calendar)));
        Ok(StoredCalendar {
            version,
            text,
            calendar,
        })
    }
}

/// What must be known of a school to count its minutes.
pub(super) struct Counting {
    pub(super) county: CountyCode,
    pub(super) code: SchoolCode,
    pub(super) stage: Stage,
    /// Without one nothing counts, but powered and used minutes are summed all the same.
    pub(super) calendar: Option<StoredCalendar>,
}

impl Counting {
    /// A terminal-day's part of its school-day.
    pub(super) fn count(&self, day: Date, minutes: &DayMinutes) -> Minutes {
        match &self.calendar {
            Some(stored) => usage::terminal_day(&stored.calendar, self.stage, day, minutes),
            None => Minutes {
                powered: u64::from(minutes.powered.count()),
                used: u64::from(minutes.used.count()),
                reporting: u64::from(!minutes.powered.is_empty()),
                ..Minutes::default()
            },
        }
    }
}
