//! Everything out, page by page, and pages of another store in: how a county moves (see [`Record`]).

use jiff::civil::Date;
use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{
    commit::{self, Terminals},
    dirty,
    failure::Failure,
    registry, retention, terminals,
    values::{Day, Text, day_minutes, signed, unsigned},
};
use crate::{
    domain::{ids::TerminalId, usage::Period},
    store::{
        Batch, CalendarVersion, Evaluated, Heard, KeptDay, KeptRefusal, KeptSum, KeptTerminal,
        Record, TerminalFilter,
        record::{PAGE, Parts},
    },
};

/// Pages that are sent as they fill.
struct Pages {
    to: mpsc::Sender<Vec<Record>>,
    page: Vec<Record>,
}

/// Nobody takes pages any more.
struct Gone;

/// Either kind of end of an export.
enum End {
    Gone,
    Failed(Failure),
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl<E: Into<Failure>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Pages {
    fn add(&mut self, record: Record) -> Result<(), Gone> {
        self.page.push(record);
        if self.page.len() >= PAGE {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Gone> {
        if self.page.is_empty() {
            return Ok(());
        }
        let page = std::mem::take(&mut self.page);
        self.to.blocking_send(page).map_err(|_gone| Gone)
    }
}

/// Sends everything; blocks where pages are not taken.
pub(super) fn export(
    connection: &Connection,
    to: mpsc::Sender<Vec<Record>>,
) -> Result<(), Failure> {
    let mut pages = Pages {
        to,
        page: Vec::new(),
    };
    match send_all(connection, &mut pages) {
        Ok(()) | Err(End::Gone) => Ok(()),
        Err(End::Failed(failure)) => Err(failure),
    }
}

fn send_all(connection: &Connection, pages: &mut Pages) -> Result<(), End> {
    let counties = registry::counties(connection)?;
    let mut schools = Vec::new();
    for county in counties {
        schools.extend(registry::schools(connection, &county.code)?);
        pages.add(Record::County(county))?;
    }
    schools.sort_unstable_by(|a, b| a.code.cmp(&b.code));
    for school in schools {
        pages.add(Record::School(school))?;
    }
    let mut calendars = connection.prepare(
        "SELECT c.code, k.version, k.text, k.stored_at FROM calendar k JOIN county c ON c.id = k.county
         ORDER BY c.code, k.version",
    )?;
    let mut rows = calendars.query([])?;
    while let Some(row) = rows.next()? {
        pages.add(Record::Calendar(CalendarVersion {
            county: row.get::<_, Text<_>>(0)?.0,
            version: row.get(1)?,
            text: row.get(2)?,
            stored_at: row.get(3)?,
        }))?;
    }
    for county in registry::counties(connection)? {
        for period in retention::evaluated(connection, &county.code)? {
            pages.add(Record::Evaluated(Evaluated {
                county: county.code.clone(),
                first: period.first,
                last: period.last,
            }))?;
        }
    }
    send_terminals(connection, pages)?;
    if let Some(kept) = retention::kept_from(connection)? {
        pages.add(Record::KeptFrom(kept))?;
        send_sums(connection, pages, kept)?;
    }
    send_days(connection, pages)?;
    send_refusals(connection, pages)?;
    Ok(pages.send()?)
}

fn send_terminals(connection: &Connection, pages: &mut Pages) -> Result<(), End> {
    let mut boot = connection.prepare("SELECT boot_id FROM terminal WHERE name = ?1")?;
    for terminal in terminals::list(connection, &TerminalFilter::default())? {
        let boot_id: Option<Vec<u8>> = boot.query_row([terminal.id.as_str()], |row| row.get(0))?;
        let heard = match (
            terminal.first_heard,
            terminal.last_heard,
            terminal.clock_offset,
        ) {
            (Some(first), Some(last), Some(clock_offset)) => Some(Heard {
                first,
                last,
                clock_offset,
                boot_id: boot_id.unwrap_or_default(),
                version: terminal.version,
                os: terminal.os,
            }),
            _ => None,
        };
        pages.add(Record::Terminal(KeptTerminal {
            id: terminal.id,
            placements: terminal.placements,
            heard,
        }))?;
    }
    Ok(())
}

/// Sums that no longer follow from minutes.
fn send_sums(connection: &Connection, pages: &mut Pages, before: Date) -> Result<(), End> {
    let mut select = connection.prepare(
        "SELECT s.code, d.day, d.counted, d.powered, d.used, d.lessons_taught, d.reporting
         FROM school_day d JOIN school s ON s.id = d.school WHERE d.day < ?1 ORDER BY s.code, d.day",
    )?;
    let mut rows = select.query([Day(before)])?;
    while let Some(row) = rows.next()? {
        pages.add(Record::Sum(KeptSum {
            school: row.get::<_, Text<_>>(0)?.0,
            day: row.get::<_, Day>(1)?.0,
            counted: unsigned(row, 2)?,
            powered: unsigned(row, 3)?,
            used: unsigned(row, 4)?,
            lessons_taught: unsigned(row, 5)?,
            reporting: unsigned(row, 6)?,
        }))?;
    }
    Ok(())
}

fn send_days(connection: &Connection, pages: &mut Pages) -> Result<(), End> {
    let mut names = connection.prepare("SELECT id, name FROM terminal ORDER BY name")?;
    let mut days = connection.prepare(
        "SELECT day, powered, used, last_seen FROM terminal_day
         WHERE terminal = ?1 AND day >= coalesce((SELECT kept_from FROM meta), day) ORDER BY day",
    )?;
    let mut names = names.query([])?;
    while let Some(row) = names.next()? {
        let (key, name): (i64, Text<TerminalId>) = (row.get(0)?, row.get(1)?);
        let mut rows = days.query([key])?;
        while let Some(row) = rows.next()? {
            let minutes = day_minutes(row, 1)?;
            pages.add(Record::Day(Box::new(KeptDay {
                terminal: name.0.clone(),
                day: row.get::<_, Day>(0)?.0,
                powered: minutes.powered,
                used: minutes.used,
                last_seen: minutes.last_seen,
            })))?;
        }
    }
    Ok(())
}

fn send_refusals(connection: &Connection, pages: &mut Pages) -> Result<(), End> {
    let mut select = connection.prepare(
        "SELECT terminal, fingerprint, reason, detail, payload, first_at, last_at, received_day, times, waiting
         FROM quarantine ORDER BY terminal, fingerprint",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        pages.add(Record::Refusal(KeptRefusal {
            terminal: row.get(0)?,
            fingerprint: row.get(1)?,
            reason: row.get(2)?,
            detail: row.get(3)?,
            payload: row.get(4)?,
            first_at: row.get(5)?,
            last_at: row.get(6)?,
            received_day: row.get::<_, Day>(7)?.0,
            times: row.get(8)?,
            waiting: row.get(9)?,
        }))?;
    }
    Ok(())
}

/// Takes in a page. What is there stays or is merged.
pub(super) fn take_in(connection: &Connection, page: Vec<Record>) -> Result<(), Failure> {
    let parts = Parts::of(page);
    registry::change(connection, &parts.registry)?;
    let mut calendar = connection.prepare(
        "INSERT INTO calendar (county, version, text, stored_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (county, version) DO NOTHING",
    )?;
    for one in &parts.calendars {
        let county = registry::county_key(connection, &one.county)?
            .ok_or_else(|| Failure::not_found("county", &one.county))?;
        calendar.execute((county, one.version, &one.text, one.stored_at))?;
        dirty::mark_county(connection, county)?;
    }
    for one in &parts.evaluated {
        let period = Period {
            first: one.first,
            last: one.last,
        };
        retention::note_evaluated(connection, &one.county, period)?;
    }
    take_sums(connection, &parts)?;
    let mut known = Terminals::new(connection)?;
    let mut heard = connection.prepare(
        "UPDATE terminal SET first_heard = ?2, last_heard = ?3, clock_offset = ?4, boot_id = ?5, version = ?6, os = ?7
         WHERE id = ?1 AND coalesce(last_heard, ?3) <= ?3",
    )?;
    for (name, said) in &parts.heard {
        let Heard {
            first,
            last,
            clock_offset,
            boot_id,
            version,
            os,
        } = said;
        let key = known.key(name)?;
        heard.execute((key, first, last, clock_offset, boot_id, version, os))?;
    }
    let batch = Batch {
        days: parts.days,
        ..Batch::default()
    };
    commit::commit(connection, &batch)?;
    let mut refusal = connection.prepare(
        "INSERT INTO quarantine
            (terminal, fingerprint, reason, detail, payload, first_at, last_at, received_day, times, waiting)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (terminal, fingerprint) DO NOTHING",
    )?;
    for one in &parts.refusals {
        refusal.execute((
            &one.terminal,
            &one.fingerprint,
            &one.reason,
            &one.detail,
            &one.payload,
            one.first_at,
            one.last_at,
            Day(one.received_day),
            one.times,
            one.waiting,
        ))?;
    }
    Ok(())
}

/// Sums come before the minutes that follow them.
fn take_sums(connection: &Connection, parts: &Parts) -> Result<(), Failure> {
    if let Some(kept) = parts.kept_from {
        retention::keep_from(connection, kept)?;
    }
    let mut add = connection.prepare(
        "INSERT INTO school_day (school, day, counted, powered, used, lessons_taught, reporting)
         SELECT id, ?2, ?3, ?4, ?5, ?6, ?7 FROM school WHERE code = ?1
         ON CONFLICT (school, day) DO NOTHING",
    )?;
    for sum in &parts.sums {
        add.execute((
            sum.school.as_str(),
            Day(sum.day),
            signed(sum.counted)?,
            signed(sum.powered)?,
            signed(sum.used)?,
            signed(sum.lessons_taught)?,
            signed(sum.reporting)?,
        ))?;
    }
    Ok(())
}
