//! A small county to test with: names, calendars, batches.

use classpulse::{
    domain::{
        ids::{CountyCode, SchoolCode, Stage, TerminalId},
        minutes::{DayMinutes, MinuteSet},
        usage::Period,
    },
    store::{Batch, Contact, County, Placement, RegistryChange, School, Store},
};
use jiff::civil::{Date, date};

/// Every day that any test uses.
pub(super) const ALWAYS: Period = Period {
    first: date(2026, 1, 1),
    last: date(2027, 12, 31),
};

/// A Tuesday inside the term.
pub(super) const TUESDAY: Date = date(2026, 9, 1);

pub(super) fn county() -> CountyCode {
    "231123".parse().unwrap()
}

pub(super) fn school(number: u32) -> SchoolCode {
    format!("XK-{number:02}").parse().unwrap()
}

pub(super) fn terminal(number: u32) -> TerminalId {
    format!("t-{number:05}").parse().unwrap()
}

/// Hours that count from 8:00 to `until`, two lessons, a daily cap of 300 minutes.
pub(super) fn calendar(until: u16) -> String {
    format!(
        r#"
        name = "试验"
        [policy]
        daily_cap_minutes = 300
        [[term]]
        name = "第一学期"
        first = "2026-08-31"
        last = "2027-01-15"
        [[timetable]]
        hours = ["08:00-{until:02}:00"]
        lessons = ["08:00-08:40", "09:00-09:40"]
        [[timetable]]
        stages = ["初中"]
        hours = ["06:00-{until:02}:00"]
        "#
    )
}

/// A placement that goes on.
pub(super) fn since(number: u32, from: Date) -> Placement {
    Placement {
        school: school(number),
        room: "101".to_owned(),
        from,
        to: None,
    }
}

/// A placement that ended.
pub(super) fn between(number: u32, from: Date, to: Date) -> Placement {
    Placement {
        to: Some(to),
        ..since(number, from)
    }
}

pub(super) fn schools(numbers: impl IntoIterator<Item = u32>) -> RegistryChange {
    RegistryChange {
        counties: vec![County {
            code: county(),
            name: "逊克县".to_owned(),
        }],
        schools: numbers.into_iter().map(primary).collect(),
        placements: Vec::new(),
    }
}

pub(super) fn primary(number: u32) -> School {
    School {
        code: school(number),
        name: format!("第{number}小学"),
        stage: Stage::Primary,
        township: "奇克镇".to_owned(),
        county: county(),
    }
}

pub(super) fn placed(number: u32, placements: Vec<Placement>) -> RegistryChange {
    RegistryChange {
        placements: vec![(terminal(number), placements)],
        ..RegistryChange::default()
    }
}

/// Powered and used over the same minutes, `last_seen` the number of the last.
pub(super) fn used(start: u16, end: u16) -> DayMinutes {
    let set = MinuteSet::of(start, end);
    DayMinutes {
        powered: set,
        used: set,
        last_seen: i64::from(end),
    }
}

pub(super) fn powered(start: u16, end: u16) -> DayMinutes {
    DayMinutes {
        used: MinuteSet::EMPTY,
        ..used(start, end)
    }
}

pub(super) fn day(number: u32, day: Date, minutes: &DayMinutes) -> Batch {
    Batch {
        days: vec![(terminal(number), day, *minutes)],
        ..Batch::default()
    }
}

pub(super) fn contact(number: u32, received_at: i64) -> Contact {
    Contact {
        terminal: terminal(number),
        received_at,
        clock_offset: 0,
        boot_id: [7; 16],
        sequence: None,
        facts: None,
    }
}

/// Brings the rollup up to date; returns how many school-days that took.
pub(super) async fn roll_up_all(store: &dyn Store) -> usize {
    let mut done = 0;
    loop {
        let days = store.roll_up(7).await.unwrap();
        if days.is_empty() {
            return done;
        }
        done += days.len();
    }
}
