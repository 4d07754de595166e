//! What terminals told beside minutes: kept once, bounded per terminal, read newest first.
//!
//! Two aggregators that fill a terminal's bound at the same moment may pass it by what one of them holds.
//! Not responsible for what they mean (`domain::incident`).

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio_postgres::Row;

use super::{
    connection::On,
    failure::Failure,
    values::{fixed, text, unsigned32},
};
use crate::{
    domain::{
        ids::TerminalId,
        incident::{Incident, Kind},
    },
    store::{INCIDENT_SPAN, IncidentFilter, MAX_INCIDENTS_PER_TERMINAL},
};

/// What makes an incident the same: terminal, boot, kind, number.
type Name = (i32, [u8; 16], &'static str, i64);

/// Keeps incidents, each with its terminal's key; returns how many found no room. What is known changes nothing.
pub(super) async fn keep(on: &On<'_>, incidents: &[(i32, &Incident)]) -> Result<usize, Failure> {
    if incidents.is_empty() {
        return Ok(0);
    }
    let mut wanted: BTreeMap<Name, &Incident> = BTreeMap::new();
    for (key, incident) in incidents {
        wanted.entry(name(*key, incident)).or_insert(incident);
    }
    for known in known(on, &wanted).await? {
        wanted.remove(&known);
    }
    if wanted.is_empty() {
        return Ok(0);
    }
    let mut room = room(on, &wanted).await?;
    let all = wanted.len();
    wanted.retain(|(terminal, ..), _| {
        let left = room.entry(*terminal).or_default();
        *left -= 1;
        *left >= 0
    });
    add(on, &wanted).await?;
    Ok(all - wanted.len())
}

/// Keeps some without a bound: another store's, or those of an enrolment.
pub(super) async fn add_all(on: &On<'_>, incidents: &[(i32, &Incident)]) -> Result<(), Failure> {
    let wanted = incidents
        .iter()
        .map(|(key, incident)| (name(*key, incident), *incident));
    add(on, &wanted.collect()).await
}

fn name(key: i32, incident: &Incident) -> Name {
    (
        key,
        incident.boot_id,
        incident.kind.key(),
        i64::from(incident.number),
    )
}

struct Columns<'a> {
    terminals: Vec<i32>,
    boots: Vec<&'a [u8]>,
    kinds: Vec<&'static str>,
    numbers: Vec<i64>,
}

fn columns<'a>(wanted: &'a BTreeMap<Name, &Incident>) -> Columns<'a> {
    Columns {
        terminals: wanted.keys().map(|name| name.0).collect(),
        boots: wanted.keys().map(|name| &name.1[..]).collect(),
        kinds: wanted.keys().map(|name| name.2).collect(),
        numbers: wanted.keys().map(|name| name.3).collect(),
    }
}

async fn known(on: &On<'_>, wanted: &BTreeMap<Name, &Incident>) -> Result<HashSet<Name>, Failure> {
    let Columns {
        terminals,
        boots,
        kinds,
        numbers,
    } = columns(wanted);
    let rows = on
        .rows(
            "SELECT i.terminal, i.boot_id, i.kind, i.number
             FROM (SELECT unnest($1::int4[]) AS terminal, unnest($2::bytea[]) AS boot_id, unnest($3::text[]) AS kind,
                    unnest($4::int8[]) AS number) n
                JOIN incident i USING (terminal, boot_id, kind, number)",
            &[&terminals, &boots, &kinds, &numbers],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let kind: Kind = text(row, 2)?;
            Ok((row.try_get(0)?, fixed(row, 1)?, kind.key(), row.try_get(3)?))
        })
        .collect()
}

/// How many more each terminal may make.
async fn room(
    on: &On<'_>,
    wanted: &BTreeMap<Name, &Incident>,
) -> Result<HashMap<i32, i64>, Failure> {
    let mut from: BTreeMap<i32, i64> = BTreeMap::new();
    for ((terminal, ..), incident) in wanted {
        let since = incident.received_at.saturating_sub(INCIDENT_SPAN);
        let earliest = from.entry(*terminal).or_insert(since);
        *earliest = since.min(*earliest);
    }
    let (terminals, since): (Vec<i32>, Vec<i64>) = from.into_iter().unzip();
    let rows = on
        .rows(
            "SELECT n.terminal, count(i.id)
             FROM (SELECT unnest($1::int4[]) AS terminal, unnest($2::int8[]) AS since) n
                LEFT JOIN incident i ON i.terminal = n.terminal AND i.received_at > n.since
             GROUP BY n.terminal",
            &[&terminals, &since],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let kept: i64 = row.try_get(1)?;
            let left = i64::from(MAX_INCIDENTS_PER_TERMINAL) - kept;
            Ok((row.try_get(0)?, left))
        })
        .collect()
}

async fn add(on: &On<'_>, wanted: &BTreeMap<Name, &Incident>) -> Result<(), Failure> {
    if wanted.is_empty() {
        return Ok(());
    }
    let Columns {
        terminals,
        boots,
        kinds,
        numbers,
    } = columns(wanted);
    let column = |value: fn(&Incident) -> i64| -> Vec<i64> {
        wanted.values().map(|incident| value(incident)).collect()
    };
    let (at, seconds, received) = (
        column(|incident| incident.at),
        column(|incident| incident.seconds),
        column(|incident| incident.received_at),
    );
    on.execute(
        "INSERT INTO incident (terminal, boot_id, kind, number, at, seconds, received_at)
         SELECT unnest($1::int4[]), unnest($2::bytea[]), unnest($3::text[]), unnest($4::int8[]), unnest($5::int8[]),
            unnest($6::int8[]), unnest($7::int8[])
         ON CONFLICT (terminal, boot_id, kind, number) DO NOTHING",
        &[
            &terminals, &boots, &kinds, &numbers, &at, &seconds, &received,
        ],
    )
    .await?;
    Ok(())
}

/// Those that pass a filter, newest first.
pub(super) async fn list(on: &On<'_>, filter: &IncidentFilter) -> Result<Vec<Incident>, Failure> {
    let rows = on
        .rows(
            "SELECT t.name, i.boot_id, i.kind, i.number, i.at, i.seconds, i.received_at
             FROM incident i JOIN terminal t ON t.id = i.terminal
             WHERE i.received_at >= $1 AND ($2::text IS NULL OR t.name = $2)
                AND ($4::int8 IS NULL OR i.received_at < $4) AND ($5::text IS NULL OR i.kind = $5)
             ORDER BY i.received_at DESC, i.id DESC LIMIT $3",
            &[
                &filter.since,
                &filter.terminal.as_ref().map(TerminalId::as_str),
                &i64::from(filter.limit),
                &filter.until,
                &filter.kind.map(Kind::key),
            ],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// Where a page of all incidents ends.
pub(super) type After = (String, Vec<u8>, String, i64);

/// A page of all of them by terminal and key.
pub(super) async fn page(on: &On<'_>, after: &After) -> Result<Vec<Incident>, Failure> {
    let rows = on
        .rows(
            "SELECT t.name, i.boot_id, i.kind, i.number, i.at, i.seconds, i.received_at
             FROM incident i JOIN terminal t ON t.id = i.terminal
             WHERE (t.name, i.boot_id, i.kind, i.number) > ($1, $2, $3, $4)
             ORDER BY t.name, i.boot_id, i.kind, i.number LIMIT 1000",
            &[&after.0, &after.1, &after.2, &after.3],
        )
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Incident, Failure> {
    Ok(Incident {
        terminal: text(row, 0)?,
        boot_id: fixed(row, 1)?,
        kind: text(row, 2)?,
        number: unsigned32(row, 3)?,
        at: row.try_get(4)?,
        seconds: row.try_get(5)?,
        received_at: row.try_get(6)?,
    })
}
