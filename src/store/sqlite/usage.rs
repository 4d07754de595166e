//! Questions about minutes: sums from the rollup, and the terminal-days behind them.
//!
//! A terminal-day belongs to the school in which the terminal stood on that day, which `placement` alone says.

use std::collections::HashMap;

use jiff::civil::Date;
use rusqlite::{Connection, OptionalExtension};

use super::{
    failure::Failure,
    values::{Day, Text, day_minutes, period, unsigned},
};
use crate::{
    domain::{
        ids::{CountyCode, SchoolCode, TerminalId},
        minutes::DayMinutes,
        usage::{Minutes, Period},
    },
    store::{SchoolSum, TerminalDays},
};

/// Sums of a county's schools over a period, by school.
pub(super) fn school_sums(
    connection: &Connection,
    county: &CountyCode,
    period: Period,
) -> Result<Vec<SchoolSum>, Failure> {
    let (first, last) = (Day(period.first), Day(period.last));
    let mut sums = connection.prepare(
        "SELECT s.id, s.code, sum(d.counted), sum(d.powered), sum(d.used), sum(d.lessons_taught), sum(d.reporting),
            max(d.reporting)
         FROM county c CROSS JOIN school s CROSS JOIN school_day d
         WHERE c.code = ?1 AND s.county = c.id AND d.school = s.id AND d.day BETWEEN ?2 AND ?3
         GROUP BY s.id ORDER BY s.code",
    )?;
    let mut placed = connection.prepare(
        "SELECT count(DISTINCT terminal) FROM placement WHERE school = ?1 AND from_day <= ?3 AND to_day >= ?2",
    )?;
    // One probe a placement, not a walk through the period's terminal-days. A row has minutes, so its existence is enough.
    let mut reporting = connection.prepare(
        "SELECT count(DISTINCT p.terminal) FROM placement p
         WHERE p.school = ?1 AND p.from_day <= ?3 AND p.to_day >= ?2
            AND EXISTS (
                SELECT 1 FROM terminal_day d
                WHERE d.terminal = p.terminal AND d.day BETWEEN max(p.from_day, ?2) AND min(p.to_day, ?3))",
    )?;
    let mut rows = sums.query((county.as_str(), first, last))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let school: i64 = row.get(0)?;
        // Mostly all report on some day, and then that day tells; else each is asked for.
        let (most, placed): (u32, u32) = (
            row.get(7)?,
            placed.query_row((school, first, last), |row| row.get(0))?,
        );
        let reporting_terminals = if most == placed {
            placed
        } else {
            reporting.query_row((school, first, last), |row| row.get(0))?
        };
        found.push(SchoolSum {
            school: row.get::<_, Text<_>>(1)?.0,
            minutes: Minutes {
                counted: unsigned(row, 2)?,
                powered: unsigned(row, 3)?,
                used: unsigned(row, 4)?,
                lessons_taught: unsigned(row, 5)?,
                reporting: unsigned(row, 6)?,
            },
            reporting_terminals,
        });
    }
    Ok(found)
}

/// Terminal-days of one school, by terminal and day.
pub(super) fn school_terminal_days(
    connection: &Connection,
    school: &SchoolCode,
    period: Period,
) -> Result<Vec<(TerminalId, Date, DayMinutes)>, Failure> {
    let mut find = connection.prepare("SELECT id FROM school WHERE code = ?1")?;
    let key: Option<i64> = find
        .query_row([school.as_str()], |row| row.get(0))
        .optional()?;
    let Some(key) = key else {
        return Ok(Vec::new());
    };
    // Day by day, as the table lies: a school's terminals of one day are near each other, a terminal's days are not.
    // The days with minutes are those that `dirty` speaks of.
    let mut days = connection.prepare(
        "SELECT day FROM school_day WHERE school = ?1 AND day BETWEEN ?2 AND ?3
         UNION SELECT day FROM dirty_school_day WHERE school = ?1 AND day BETWEEN ?2 AND ?3",
    )?;
    let mut minutes = connection.prepare(
        "SELECT d.terminal, d.powered, d.used, d.last_seen
         FROM placement p CROSS JOIN terminal_day d
         WHERE p.school = ?1 AND p.from_day <= ?2 AND p.to_day >= ?2 AND d.day = ?2 AND d.terminal = p.terminal",
    )?;
    let mut names = connection.prepare(
        "SELECT DISTINCT t.id, t.name FROM placement p CROSS JOIN terminal t
         WHERE p.school = ?1 AND t.id = p.terminal",
    )?;
    let names: HashMap<i64, TerminalId> = names
        .query_map([key], |row| Ok((row.get(0)?, row.get::<_, Text<_>>(1)?.0)))?
        .collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    let mut days = days.query((key, Day(period.first), Day(period.last)))?;
    while let Some(day) = days.next()? {
        let day: Day = day.get(0)?;
        let mut rows = minutes.query((key, day))?;
        while let Some(row) = rows.next()? {
            if let Some(name) = names.get(&row.get(0)?) {
                found.push((name, day.0, day_minutes(row, 1)?));
            }
        }
    }
    found.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    Ok(found
        .into_iter()
        .map(|(name, day, minutes)| (name.clone(), day, minutes))
        .collect())
}

/// Sums of one school's days, by day.
pub(super) fn school_days(
    connection: &Connection,
    school: &SchoolCode,
    period: Period,
) -> Result<Vec<(Date, Minutes)>, Failure> {
    let mut sums = connection.prepare(
        "SELECT d.day, d.counted, d.powered, d.used, d.lessons_taught, d.reporting
         FROM school s CROSS JOIN school_day d
         WHERE s.code = ?1 AND d.school = s.id AND d.day BETWEEN ?2 AND ?3 ORDER BY d.day",
    )?;
    let mut rows = sums.query((school.as_str(), Day(period.first), Day(period.last)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let minutes = Minutes {
            counted: unsigned(row, 1)?,
            powered: unsigned(row, 2)?,
            used: unsigned(row, 3)?,
            lessons_taught: unsigned(row, 4)?,
            reporting: unsigned(row, 5)?,
        };
        found.push((row.get::<_, Day>(0)?.0, minutes));
    }
    Ok(found)
}

/// Minutes of every terminal that stood in a school of the county on these days, by school and terminal.
pub(super) fn county_days(
    connection: &Connection,
    county: &CountyCode,
    days: &[Date],
) -> Result<Vec<TerminalDays>, Failure> {
    let (Some(first), Some(last)) = (days.iter().min(), days.iter().max()) else {
        return Ok(Vec::new());
    };
    let mut stays = Stays::between(connection, county, *first, *last)?;
    // A day's rows lie together. Where each terminal stood is known by then: asking the database for every row, and
    // letting it sort them, took most of the time.
    let mut minutes = connection
        .prepare("SELECT terminal, powered, used, last_seen FROM terminal_day WHERE day = ?1")?;
    let mut days = days.to_vec();
    days.sort_unstable();
    days.dedup();
    for day in days {
        let mut rows = minutes.query([Day(day)])?;
        while let Some(row) = rows.next()? {
            let terminal: i64 = row.get(0)?;
            if let Some(stood) = stays.on(terminal, day) {
                stood.days.push((day, day_minutes(row, 1)?));
            }
        }
    }
    let mut found: Vec<TerminalDays> = stays.all.into_iter().map(|(_, stood)| stood).collect();
    found.retain(|stood| !stood.days.is_empty());
    found.sort_by(|a, b| (&a.school, &a.terminal).cmp(&(&b.school, &b.terminal)));
    // One that came back stood there twice.
    found.dedup_by(|again, before| {
        let same = (&again.school, &again.terminal) == (&before.school, &before.terminal);
        if same {
            before.days.append(&mut again.days);
        }
        same
    });
    Ok(found)
}

/// Where a county's terminals stood, and their minutes there.
#[derive(Debug, Default)]
struct Stays {
    /// Earliest first in each school.
    all: Vec<(Period, TerminalDays)>,
    /// By terminal, the places of its own in that list.
    of: HashMap<i64, Vec<usize>>,
}

impl Stays {
    /// Those between two days, without minutes yet.
    fn between(
        connection: &Connection,
        county: &CountyCode,
        first: Date,
        last: Date,
    ) -> Result<Self, Failure> {
        let mut placed = connection.prepare(
            "SELECT p.from_day, p.to_day, p.terminal, s.id, s.code, t.name
             FROM county c CROSS JOIN school s CROSS JOIN placement p CROSS JOIN terminal t
             WHERE c.code = ?1 AND s.county = c.id AND p.school = s.id AND p.from_day <= ?3 AND p.to_day >= ?2
                AND t.id = p.terminal
             ORDER BY s.id, p.from_day",
        )?;
        let mut rows = placed.query((county.as_str(), Day(first), Day(last)))?;
        let mut found = Self::default();
        let mut school: Option<(i64, SchoolCode)> = None;
        while let Some(row) = rows.next()? {
            let key: i64 = row.get(3)?;
            let code = match &school {
                Some((known, code)) if *known == key => code.clone(),
                _ => row.get::<_, Text<SchoolCode>>(4)?.0,
            };
            school = Some((key, code.clone()));
            let stood = TerminalDays {
                school: code,
                terminal: row.get::<_, Text<_>>(5)?.0,
                days: Vec::new(),
            };
            let own = found.of.entry(row.get(2)?).or_default();
            own.push(found.all.len());
            found.all.push((period(row, 0)?, stood));
        }
        Ok(found)
    }

    /// Where a terminal stood on a day: in one school at most.
    fn on(&mut self, terminal: i64, day: Date) -> Option<&mut TerminalDays> {
        let own = self.of.get(&terminal)?.iter();
        let mut own = own.copied();
        let place = own.find(|place| {
            let stay = self.all.get(*place);
            stay.is_some_and(|(span, _)| span.contains(day))
        })?;
        self.all.get_mut(place).map(|(_, stood)| stood)
    }
}

/// One terminal's days, wherever it stood.
pub(super) fn terminal_days(
    connection: &Connection,
    terminal: &TerminalId,
    period: Period,
) -> Result<Vec<(Date, DayMinutes)>, Failure> {
    let mut find = connection.prepare("SELECT id FROM terminal WHERE name = ?1")?;
    let mut rows = find.query([terminal.as_str()])?;
    let Some(row) = rows.next()? else {
        return Ok(Vec::new());
    };
    let key: i64 = row.get(0)?;
    let mut days = connection.prepare(
        "SELECT day, powered, used, last_seen FROM terminal_day
         WHERE terminal = ?1 AND day BETWEEN ?2 AND ?3 ORDER BY day",
    )?;
    let days = days.query_map((key, Day(period.first), Day(period.last)), |row| {
        Ok((row.get::<_, Day>(0)?.0, day_minutes(row, 1)?))
    })?;
    Ok(days.collect::<Result<_, _>>()?)
}
