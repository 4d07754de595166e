//! Terminals as they are asked for: their standing for ingest, their history for the bureau.

use std::collections::HashMap;

use tokio_postgres::Row;

use super::{
    connection::On,
    failure::Failure,
    transfer,
    values::{Day, text, unsigned},
};
use crate::{
    domain::{
        ids::{SchoolCode, TerminalId},
        usage::Period,
    },
    store::{Standing, Terminal, TerminalFilter},
};

/// What ingest must know of these terminals, in their order.
pub(super) async fn standings(
    on: &On<'_>,
    terminals: &[TerminalId],
) -> Result<Vec<Standing>, Failure> {
    let names: Vec<&str> = terminals.iter().map(TerminalId::as_str).collect();
    let rows = on
        .rows(
            "SELECT t.name, p.from_day, p.to_day
             FROM terminal t LEFT JOIN placement p ON p.terminal = t.id
             WHERE t.name = ANY ($1) ORDER BY t.name, p.from_day",
            &[&names],
        )
        .await?;
    let mut found: HashMap<&str, Vec<Period>> = HashMap::new();
    for row in &rows {
        let periods = found.entry(row.try_get(0)?).or_default();
        if let (Some(first), Some(last)) = (
            row.try_get::<_, Option<Day>>(1)?,
            row.try_get::<_, Option<Day>>(2)?,
        ) {
            periods.push(Period {
                first: first.0,
                last: last.0,
            });
        }
    }
    Ok(names
        .iter()
        .map(|name| match found.get(name) {
            None => Standing::Unknown,
            Some(periods) if periods.is_empty() => Standing::Pending,
            Some(periods) => Standing::Registered(periods.clone()),
        })
        .collect())
}

/// How many terminals wait for approval.
pub(super) async fn pending_count(on: &On<'_>) -> Result<u64, Failure> {
    let row = on
        .row("SELECT count(*) FROM terminal WHERE NOT placed", &[])
        .await?;
    unsigned(&row, 0)
}

/// Terminals that pass a filter, by id.
pub(super) async fn list(on: &On<'_>, filter: &TerminalFilter) -> Result<Vec<Terminal>, Failure> {
    let rows = on
        .rows(
            "SELECT t.id, t.name, h.first_heard, h.last_heard, h.clock_offset, coalesce(h.version, ''), coalesce(h.os, '')
             FROM terminal t LEFT JOIN heard h ON h.terminal = t.id
             WHERE t.name > $1
                AND ($2::text IS NULL OR t.id IN (
                    SELECT p.terminal FROM school s JOIN placement p ON p.school = s.id WHERE s.code = $2))
                AND (NOT $3 OR NOT t.placed)
             ORDER BY t.name LIMIT $4",
            &[
                &filter.after.as_ref().map_or("", TerminalId::as_str),
                &filter.school.as_ref().map(SchoolCode::as_str),
                &filter.pending_only,
                &filter.limit.map(i64::from),
            ],
        )
        .await?;
    complete(on, &rows).await
}

/// One terminal.
pub(super) async fn one(on: &On<'_>, terminal: &TerminalId) -> Result<Option<Terminal>, Failure> {
    let rows = on
        .rows(
            "SELECT t.id, t.name, h.first_heard, h.last_heard, h.clock_offset, coalesce(h.version, ''), coalesce(h.os, '')
             FROM terminal t LEFT JOIN heard h ON h.terminal = t.id WHERE t.name = $1",
            &[&terminal.as_str()],
        )
        .await?;
    Ok(complete(on, &rows).await?.pop())
}

/// Terminals with their placements.
async fn complete(on: &On<'_>, rows: &[Row]) -> Result<Vec<Terminal>, Failure> {
    let keys: Vec<i32> = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    let mut histories = transfer::placements(on, &keys).await?;
    rows.iter()
        .zip(keys)
        .map(|(row, key)| {
            Ok(Terminal {
                id: text(row, 1)?,
                placements: histories.remove(&key).unwrap_or_default(),
                first_heard: row.try_get(2)?,
                last_heard: row.try_get(3)?,
                clock_offset: row.try_get(4)?,
                version: row.try_get(5)?,
                os: row.try_get(6)?,
            })
        })
        .collect()
}
