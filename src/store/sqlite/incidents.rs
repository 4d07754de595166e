//! What terminals told beside minutes: kept once, bounded per terminal, read newest first.
//!
//! Not responsible for what they mean (`domain::incident`).

use rusqlite::{Connection, Row};

use super::{
    commit::Terminals,
    failure::Failure,
    values::{Text, fixed, unsigned32},
};
use crate::{
    domain::{
        ids::TerminalId,
        incident::{Incident, Kind},
    },
    store::{INCIDENT_SPAN, IncidentFilter, MAX_INCIDENTS_PER_TERMINAL},
};

const ADD: &str = "INSERT INTO incident (terminal, boot_id, kind, number, at, seconds, received_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (terminal, boot_id, kind, number) DO NOTHING";

/// Keeps incidents; returns how many found no room. What is known changes nothing.
pub(super) fn keep<'n>(
    connection: &Connection,
    incidents: &'n [Incident],
    terminals: &mut Terminals<'_, 'n>,
) -> Result<usize, Failure> {
    if incidents.is_empty() {
        return Ok(0);
    }
    let mut known = connection.prepare(
        "SELECT count(*) FROM incident WHERE terminal = ?1 AND boot_id = ?2 AND kind = ?3 AND number = ?4",
    )?;
    let mut count = connection
        .prepare("SELECT count(*) FROM incident WHERE terminal = ?1 AND received_at > ?2")?;
    let mut dropped = 0;
    for incident in incidents {
        let key = terminals.key(&incident.terminal)?;
        let name = (
            key,
            &incident.boot_id[..],
            incident.kind.key(),
            incident.number,
        );
        let times: u32 = known.query_row(name, |row| row.get(0))?;
        if times > 0 {
            continue;
        }
        let from = incident.received_at.saturating_sub(INCIDENT_SPAN);
        let kept: u32 = count.query_row((key, from), |row| row.get(0))?;
        if kept >= MAX_INCIDENTS_PER_TERMINAL {
            dropped += 1;
            continue;
        }
        add(connection, key, incident)?;
    }
    Ok(dropped)
}

/// Keeps one without a bound: another store's, or one of an enrolment.
pub(super) fn add(
    connection: &Connection,
    terminal: i64,
    incident: &Incident,
) -> Result<(), Failure> {
    connection.prepare(ADD)?.execute((
        terminal,
        &incident.boot_id[..],
        incident.kind.key(),
        incident.number,
        incident.at,
        incident.seconds,
        incident.received_at,
    ))?;
    Ok(())
}

const COLUMNS: &str = "t.name, i.boot_id, i.kind, i.number, i.at, i.seconds, i.received_at
     FROM incident i JOIN terminal t ON t.id = i.terminal";

/// Those that pass a filter, newest first.
pub(super) fn list(
    connection: &Connection,
    filter: &IncidentFilter,
) -> Result<Vec<Incident>, Failure> {
    let mut select = connection.prepare(&format!(
        "SELECT {COLUMNS} WHERE i.received_at >= ?1 AND (?2 IS NULL OR t.name = ?2)
            AND i.received_at < coalesce(?4, {NEVER}) AND (?5 IS NULL OR i.kind = ?5)
         ORDER BY i.received_at DESC, i.id DESC LIMIT ?3",
        NEVER = i64::MAX
    ))?;
    let terminal = filter.terminal.as_ref().map(TerminalId::as_str);
    let kind = filter.kind.map(Kind::key);
    let wanted = (filter.since, terminal, filter.limit, filter.until, kind);
    let found = select.query_map(wanted, read)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Hands on all of them, by terminal and key.
pub(super) fn each<E: From<Failure> + From<rusqlite::Error>>(
    connection: &Connection,
    mut take: impl FnMut(Incident) -> Result<(), E>,
) -> Result<(), E> {
    let mut select = connection.prepare(&format!(
        "SELECT {COLUMNS} ORDER BY t.name, i.boot_id, i.kind, i.number"
    ))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        take(read(row)?)?;
    }
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Incident> {
    Ok(Incident {
        terminal: row.get::<_, Text<_>>(0)?.0,
        boot_id: fixed(row, 1)?,
        kind: row.get::<_, Text<Kind>>(2)?.0,
        number: unsigned32(row, 3)?,
        at: row.get(4)?,
        seconds: row.get(5)?,
        received_at: row.get(6)?,
    })
}
