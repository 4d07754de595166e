//! Terminals as they are asked for: their standing for ingest, their history for the bureau.

use rusqlite::{Connection, OptionalExtension, Row, Statement};

use super::{
    failure::Failure,
    values::{Day, Text, period, unsigned},
};
use crate::{
    domain::{
        ids::{SchoolCode, TerminalId},
        usage::Period,
    },
    store::{Placement, Standing, Terminal, TerminalFilter},
};

/// What ingest must know of these terminals, in their order.
pub(super) fn standings(
    connection: &Connection,
    terminals: &[TerminalId],
) -> Result<Vec<Standing>, Failure> {
    let mut find = connection.prepare("SELECT id FROM terminal WHERE name = ?1")?;
    let mut spans = connection
        .prepare("SELECT from_day, to_day FROM placement WHERE terminal = ?1 ORDER BY from_day")?;
    let mut standings = Vec::with_capacity(terminals.len());
    for terminal in terminals {
        let key: Option<i64> = find
            .query_row([terminal.as_str()], |row| row.get(0))
            .optional()?;
        let Some(key) = key else {
            standings.push(Standing::Unknown);
            continue;
        };
        let periods: Vec<Period> = spans
            .query_map([key], |row| period(row, 0))?
            .collect::<Result<_, _>>()?;
        standings.push(if periods.is_empty() {
            Standing::Pending
        } else {
            Standing::Registered(periods)
        });
    }
    Ok(standings)
}

/// How many terminals wait for approval.
pub(super) fn pending_count(connection: &Connection) -> Result<u64, Failure> {
    Ok(connection.query_row(
        "SELECT count(*) FROM terminal t
         WHERE NOT EXISTS (SELECT 1 FROM placement p WHERE p.terminal = t.id)",
        [],
        |row| unsigned(row, 0),
    )?)
}

/// Terminals that pass a filter, by id.
pub(super) fn list(
    connection: &Connection,
    filter: &TerminalFilter,
) -> Result<Vec<Terminal>, Failure> {
    let mut select = connection.prepare(
        "SELECT t.id, t.name, t.first_heard, t.last_heard, t.clock_offset, t.version, t.os
         FROM terminal t
         WHERE t.name > ?1
            AND (?2 IS NULL OR t.id IN (
                SELECT p.terminal FROM school s JOIN placement p ON p.school = s.id WHERE s.code = ?2))
            AND (NOT ?3 OR NOT EXISTS (SELECT 1 FROM placement p WHERE p.terminal = t.id))
         ORDER BY t.name LIMIT ?4",
    )?;
    let mut history = History::new(connection)?;
    let mut rows = select.query((
        filter.after.as_ref().map_or("", TerminalId::as_str),
        filter.school.as_ref().map(SchoolCode::as_str),
        filter.pending_only,
        // SQLite takes a negative limit for none.
        filter.limit.map_or(-1, i64::from),
    ))?;
    let mut terminals = Vec::new();
    while let Some(row) = rows.next()? {
        terminals.push(history.complete(row)?);
    }
    Ok(terminals)
}

/// One terminal.
pub(super) fn one(
    connection: &Connection,
    terminal: &TerminalId,
) -> Result<Option<Terminal>, Failure> {
    let mut select = connection.prepare(
        "SELECT id, name, first_heard, last_heard, clock_offset, version, os FROM terminal WHERE name = ?1",
    )?;
    let mut history = History::new(connection)?;
    let mut rows = select.query([terminal.as_str()])?;
    rows.next()?.map(|row| history.complete(row)).transpose()
}

/// Reads terminals' placements.
struct History<'c>(Statement<'c>);

impl<'c> History<'c> {
    fn new(connection: &'c Connection) -> Result<Self, Failure> {
        Ok(Self(connection.prepare(
            "SELECT s.code, p.room, p.from_day, p.to_day
             FROM placement p JOIN school s ON s.id = p.school WHERE p.terminal = ?1 ORDER BY p.from_day",
        )?))
    }

    fn complete(&mut self, row: &Row<'_>) -> Result<Terminal, Failure> {
        let key: i64 = row.get(0)?;
        let placements = self.0.query_map([key], |row| {
            Ok(Placement {
                school: row.get::<_, Text<_>>(0)?.0,
                room: row.get(1)?,
                from: row.get::<_, Day>(2)?.0,
                to: row.get::<_, Day>(3)?.to(),
            })
        })?;
        Ok(Terminal {
            placements: placements.collect::<Result<_, _>>()?,
            id: row.get::<_, Text<_>>(1)?.0,
            first_heard: row.get(2)?,
            last_heard: row.get(3)?,
            clock_offset: row.get(4)?,
            version: row.get(5)?,
            os: row.get(6)?,
        })
    }
}
