//! Everything out, page by page, and pages of another store in: how a county moves (see [`Record`]).

mod evaluation;

use jiff::civil::Date;
use rusqlite::{Connection, Row};
use tokio::sync::mpsc;

use super::{
    access,
    commit::{self, Terminals},
    dirty,
    failure::Failure,
    identity, incidents, registry, retention, terminals,
    values::{Day, Text, day_minutes, signed, unsigned, unsigned32},
};
use crate::{
    domain::{ids::TerminalId, usage::Period},
    store::{
        Batch, CalendarVersion, Evaluated, Heard, KeptBoots, KeptCode, KeptDay, KeptIdentity,
        KeptIncident, KeptRefusal, KeptSum, KeptTerminal, MAX_ENTRIES, Record, TerminalFilter,
        access::moves_in,
        record::{PAGE, PAGE_BYTES, Parts},
    },
};

/// Pages that are sent as they fill.
struct Pages {
    to: mpsc::Sender<Vec<Record>>,
    page: Vec<Record>,
    /// Of what may be large.
    bytes: usize,
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
        self.bytes += record.bytes();
        self.page.push(record);
        if self.page.len() >= PAGE || self.bytes >= PAGE_BYTES {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Gone> {
        if self.page.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
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
        bytes: 0,
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
    send_codes(connection, pages)?;
    send_terminals(connection, pages)?;
    send_identities(connection, pages)?;
    incidents::each(connection, |incident| {
        let kept = KeptIncident::new(incident);
        pages.add(Record::Incident(kept)).map_err(End::from)
    })?;
    if let Some(kept) = retention::kept_from(connection)? {
        pages.add(Record::KeptFrom(kept))?;
        send_sums(connection, pages, kept)?;
    }
    send_days(connection, pages)?;
    send_refusals(connection, pages)?;
    evaluation::send(connection, pages)?;
    send_people(connection, pages)?;
    Ok(pages.send()?)
}

/// Accounts by name, then the audit log.
fn send_people(connection: &Connection, pages: &mut Pages) -> Result<(), End> {
    for account in access::accounts(connection)? {
        pages.add(Record::Account(Box::new(account)))?;
    }
    let mut last = 0;
    loop {
        let entries = access::after(connection, last, MAX_ENTRIES)?;
        let Some(end) = entries.last() else {
            return Ok(());
        };
        last = end.number;
        for one in entries {
            pages.add(Record::Recorded(Box::new(one)))?;
        }
    }
}

fn take_people(connection: &Connection, parts: &Parts) -> Result<(), Failure> {
    for account in &parts.accounts {
        access::insert_account(connection, account)?;
    }
    for one in &parts.recorded {
        let head = access::head(connection)?;
        let kept = if one.number <= head.number {
            access::after(connection, one.number - 1, 1)?
        } else {
            Vec::new()
        };
        if moves_in(head, kept.first(), one)? {
            access::insert_recorded(connection, one)?;
        }
    }
    Ok(())
}

fn send_codes(connection: &Connection, pages: &mut Pages) -> Result<(), End> {
    let mut select = connection.prepare(
        "SELECT c.hash, s.code, c.uses, c.used, c.created_at, c.expires_at, c.revoked
         FROM code c JOIN school s ON s.id = c.school ORDER BY c.created_at, c.hash",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        pages.add(Record::Code(KeptCode {
            hash: row.get(0)?,
            school: row.get::<_, Text<_>>(1)?.0,
            uses: unsigned32(row, 2)?,
            used: unsigned32(row, 3)?,
            created_at: row.get(4)?,
            expires_at: row.get(5)?,
            revoked: row.get(6)?,
        }))?;
    }
    Ok(())
}

fn send_identities(connection: &Connection, pages: &mut Pages) -> Result<(), End> {
    let mut select = connection.prepare(
        "SELECT i.terminal, t.name, i.key, i.enrolled_at, coalesce(c.hash, x''), i.revoked,
            i.changed_at, i.salted, i.renew, i.next_key, i.next_salted
         FROM identity i JOIN terminal t ON t.id = i.terminal LEFT JOIN code c ON c.id = i.code ORDER BY t.name",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let hardware = identity::hardware(connection, row.get(0)?)?;
        let terminal = row.get::<_, Text<_>>(1)?.0;
        pages.add(Record::Identity(KeptIdentity {
            key: row.get(2)?,
            enrolled_at: row.get(3)?,
            code: row.get(4)?,
            revoked: row.get(5)?,
            changed_at: row.get(6)?,
            salted: row.get::<_, Option<_>>(7)?.unwrap_or_default(),
            renew: row.get(8)?,
            next_key: row.get::<_, Option<_>>(9)?.unwrap_or_default(),
            next_salted: row.get::<_, Option<_>>(10)?.unwrap_or_default(),
            ..KeptIdentity::of_hardware(terminal, &hardware)
        }))?;
    }
    Ok(())
}

/// The boot that was heard last, and what tells two machines.
fn boots(row: &Row<'_>) -> rusqlite::Result<(Option<Vec<u8>>, Option<KeptBoots>)> {
    let sequence: Option<i64> = row.get(1)?;
    let boots = match sequence {
        None => None,
        Some(sequence) => Some(KeptBoots {
            sequence,
            before_id: row.get::<_, Option<_>>(2)?.unwrap_or_default(),
            before_sequence: row.get::<_, Option<_>>(3)?.unwrap_or_default(),
            since: row.get::<_, Option<_>>(4)?.unwrap_or_default(),
            turns: row.get(5)?,
        }),
    };
    Ok((row.get(0)?, boots))
}

fn send_terminals(connection: &Connection, pages: &mut Pages) -> Result<(), End> {
    let mut living = connection.prepare(
        "SELECT boot_id, sequence, before_id, before_sequence, turns_since, turns FROM terminal WHERE name = ?1",
    )?;
    for terminal in terminals::list(connection, &TerminalFilter::default())? {
        let (boot_id, boots) = living.query_row([terminal.id.as_str()], boots)?;
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
                boots,
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
        "UPDATE terminal SET first_heard = ?2, last_heard = ?3, clock_offset = ?4, boot_id = ?5, version = ?6, os = ?7,
            sequence = ?8, before_id = ?9, before_sequence = ?10, turns_since = ?11, turns = ?12
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
            boots,
        } = said;
        let key = known.key(name)?;
        let before = boots.as_ref().filter(|boots| !boots.before_id.is_empty());
        heard.execute((
            key,
            first,
            last,
            clock_offset,
            boot_id,
            version,
            os,
            boots.as_ref().map(|boots| boots.sequence),
            before.map(|boots| &boots.before_id),
            before.map(|boots| boots.before_sequence),
            boots.as_ref().map(|boots| boots.since),
            boots.as_ref().map_or(0, |boots| boots.turns),
        ))?;
    }
    take_identities(connection, &parts, &mut known)?;
    let batch = Batch {
        days: parts.days.clone(),
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
    evaluation::take(connection, &parts)?;
    take_people(connection, &parts)
}

/// Codes, keys and incidents. Of two keys of a terminal the later one holds.
fn take_identities<'n>(
    connection: &Connection,
    parts: &'n Parts,
    known: &mut Terminals<'_, 'n>,
) -> Result<(), Failure> {
    let mut code = connection.prepare(
        "INSERT INTO code (hash, school, uses, used, created_at, expires_at, revoked)
         SELECT ?1, id, ?3, ?4, ?5, ?6, ?7 FROM school WHERE code = ?2 ON CONFLICT (hash) DO NOTHING",
    )?;
    for one in &parts.codes {
        let school = one.school.as_str();
        let added = code.execute((
            &one.hash,
            school,
            one.uses,
            one.used,
            one.created_at,
            one.expires_at,
            one.revoked,
        ))?;
        if added == 0 && registry::school(connection, &one.school)?.is_none() {
            return Err(Failure::not_found("school", &one.school));
        }
    }
    let mut identity = connection.prepare(
        "INSERT INTO identity AS known (terminal, key, enrolled_at, code, revoked, changed_at, salted, renew, next_key, next_salted)
         VALUES (?1, ?2, ?3, (SELECT id FROM code WHERE hash = ?4), ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (terminal) DO UPDATE SET
            key = excluded.key, enrolled_at = excluded.enrolled_at, code = excluded.code, revoked = excluded.revoked,
            changed_at = excluded.changed_at, salted = excluded.salted, renew = excluded.renew,
            next_key = excluded.next_key, next_salted = excluded.next_salted
         WHERE known.changed_at < excluded.changed_at",
    )?;
    for one in &parts.identities {
        let key = known.key(&one.terminal)?;
        let added = identity.execute((
            key,
            &one.key,
            one.enrolled_at,
            &one.code,
            one.revoked,
            one.changed(),
            KeptIdentity::optional(&one.salted),
            one.renew,
            KeptIdentity::optional(&one.next_key),
            KeptIdentity::optional(&one.next_salted),
        ))?;
        if added > 0 {
            identity::mark(connection, key, &one.hardware())?;
        }
    }
    if !parts.identities.is_empty() {
        identity::raise_version(connection)?;
    }
    for incident in &parts.incidents {
        let key = known.key(&incident.terminal)?;
        incidents::add(connection, key, incident)?;
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
