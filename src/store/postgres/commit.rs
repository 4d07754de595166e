//! One ingest batch: contacts, minutes, dirty marks, quarantine and incidents. Each is one statement over arrays, and all writers
//! touch rows in the order of their keys, so that they never wait for each other in a circle.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{
    connection::{Lock, On},
    failure::Failure,
    incidents, quarantine, retention,
    values::{Bits, Day},
};
use crate::{
    domain::{boots::ALARM, ids::TerminalId, incident::Incident},
    store::{Batch, Committed, Contact, StoreError, boots::boots_sql},
};

/// Most terminals whose keys are remembered; beyond, all are looked up anew. About 100 bytes each.
const MAX_KEYS: usize = 500_000;

/// Terminals' keys by name. A terminal is never renamed or deleted, so nothing here goes stale.
#[derive(Default)]
pub(super) struct Keys(Mutex<HashMap<TerminalId, i32>>);

/// Keys that a transaction has added, true once it is committed.
pub(super) type Added = Vec<(TerminalId, i32)>;

impl Keys {
    /// The keys of these terminals, in their order, as far as they are known.
    fn known(&self, names: &[&TerminalId]) -> Vec<Option<i32>> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().map(|name| keys.get(*name).copied()).collect()
    }

    /// Remembers what a committed transaction has looked up or added.
    pub(super) fn remember(&self, added: Added) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() + added.len() > MAX_KEYS {
            keys.clear();
        }
        keys.extend(added);
    }
}

/// The keys of terminals, in their order; unknown ones are registered, pending. `names` are sorted, none twice.
pub(super) async fn keys(
    on: &On<'_>,
    known: &Keys,
    names: &[&TerminalId],
) -> Result<(Vec<i32>, Added), Failure> {
    let found = known.known(names);
    let missing: Vec<&str> = names
        .iter()
        .zip(&found)
        .filter(|(_, key)| key.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    let mut read = HashMap::new();
    if !missing.is_empty() {
        look_up(on, &missing, &mut read).await?;
        let unknown: Vec<&str> = missing
            .iter()
            .filter(|name| !read.contains_key(**name))
            .copied()
            .collect();
        if !unknown.is_empty() {
            on.execute(
                "INSERT INTO terminal (name) SELECT unnest($1::text[]) ON CONFLICT (name) DO NOTHING",
                &[&unknown],
            )
            .await?;
            look_up(on, &unknown, &mut read).await?;
        }
    }
    let mut keys = Vec::with_capacity(names.len());
    let mut added = Added::new();
    for (name, found) in names.iter().zip(found) {
        let key = match found {
            Some(key) => key,
            None => *read.get(name.as_str()).ok_or_else(|| {
                StoreError::Damaged(format!("terminal {name} vanished while it was added"))
            })?,
        };
        if found.is_none() {
            added.push(((*name).clone(), key));
        }
        keys.push(key);
    }
    Ok((keys, added))
}

async fn look_up(
    on: &On<'_>,
    names: &[&str],
    into: &mut HashMap<String, i32>,
) -> Result<(), Failure> {
    let rows = on
        .rows(
            "SELECT name, id FROM terminal WHERE name = ANY ($1)",
            &[&names],
        )
        .await?;
    for row in rows {
        into.insert(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(())
}

/// Writes a batch; the partitions that it needs are there.
pub(super) async fn commit(
    on: &On<'_>,
    known: &Keys,
    batch: &Batch,
) -> Result<(Committed, Added), Failure> {
    on.share(Lock::Registry).await?;
    if let Some(kept) = retention::kept_from(on).await?
        && let Some((_, day, _)) = batch.days.iter().find(|(_, day, _)| *day < kept)
    {
        return Err(StoreError::no_longer_kept(*day, kept).into());
    }
    let mut names: Vec<&TerminalId> = batch
        .contacts
        .iter()
        .map(|contact| &contact.terminal)
        .chain(batch.days.iter().map(|(terminal, ..)| terminal))
        .chain(batch.incidents.iter().map(|incident| &incident.terminal))
        .collect();
    names.sort_unstable();
    names.dedup();
    let (keys, added) = keys(on, known, &names).await?;
    let key = |name: &TerminalId| names.binary_search(&name).map_or(0, |at| keys[at]);
    let two = note_contacts(on, &batch.contacts, key).await?;
    merge_days(on, batch, key).await?;
    // First, so that an entry that is refused once more in the same batch waits again.
    quarantine::mark_replayed(on, &batch.replayed).await?;
    let overflowed = quarantine::keep(on, &batch.quarantined).await?;
    let told = batch.incidents.iter().chain(&two);
    let told: Vec<_> = told
        .map(|incident| (key(&incident.terminal), incident))
        .collect();
    let dropped_incidents = incidents::keep(on, &told).await?;
    let committed = Committed {
        overflowed,
        dropped_incidents,
    };
    Ok((committed, added))
}

/// The latest report speaks of clock and boot, whatever the order of commits; facts stand in a boot's first report
/// only, so they are taken whenever they come. Returns what is to be said of terminals that are two machines: the
/// database hands back these rows alone.
async fn note_contacts(
    on: &On<'_>,
    contacts: &[Contact],
    key: impl Fn(&TerminalId) -> i32,
) -> Result<Vec<Incident>, Failure> {
    if contacts.is_empty() {
        return Ok(Vec::new());
    }
    let mut sorted: Vec<(i32, &Contact)> = contacts
        .iter()
        .map(|contact| (key(&contact.terminal), contact))
        .collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    let column = |value: fn(&Contact) -> i64| -> Vec<i64> {
        sorted.iter().map(|(_, contact)| value(contact)).collect()
    };
    let keys: Vec<i32> = sorted.iter().map(|(key, _)| *key).collect();
    let (at, offset) = (
        column(|contact| contact.received_at),
        column(|contact| contact.clock_offset),
    );
    let boots: Vec<&[u8]> = sorted
        .iter()
        .map(|(_, contact)| &contact.boot_id[..])
        .collect();
    let fact = |which: fn(&(String, String)) -> &String| -> Vec<Option<&str>> {
        sorted
            .iter()
            .map(|(_, contact)| contact.facts.as_ref().map(|facts| which(facts).as_str()))
            .collect()
    };
    let (versions, systems) = (fact(|facts| &facts.0), fact(|facts| &facts.1));
    let sequences: Vec<Option<i64>> = sorted.iter().map(|(_, contact)| contact.sequence).collect();
    let two = on
        .rows(
            concat!(
                "WITH told AS (
                    INSERT INTO heard AS known
                        (terminal, first_heard, last_heard, clock_offset, boot_id, version, os, sequence, turns_since)
                    SELECT terminal, at, at, clock_offset, boot_id, version, os, sequence,
                        CASE WHEN sequence IS NOT NULL THEN at END
                    FROM (SELECT unnest($1::int4[]) AS terminal, unnest($2::int8[]) AS at, unnest($3::int8[]) AS clock_offset,
                        unnest($4::bytea[]) AS boot_id, unnest($5::text[]) AS version, unnest($6::text[]) AS os,
                        unnest($7::int8[]) AS sequence) n
                    ON CONFLICT (terminal) DO UPDATE SET
                        first_heard = least(known.first_heard, excluded.first_heard),
                        last_heard = greatest(known.last_heard, excluded.last_heard),
                        clock_offset = CASE WHEN excluded.last_heard >= known.last_heard
                            THEN excluded.clock_offset ELSE known.clock_offset END,
                        version = coalesce(excluded.version, known.version),
                        os = coalesce(excluded.os, known.os), ",
                boots_sql!("excluded.boot_id", "excluded.sequence", "excluded.last_heard", "excluded.version"),
                " RETURNING terminal, turns)
                 SELECT terminal FROM told WHERE turns >= $8"
            ),
            &[&keys, &at, &offset, &boots, &versions, &systems, &sequences, &ALARM],
        )
        .await?;
    let mut found = Vec::with_capacity(two.len());
    for row in &two {
        let terminal: i32 = row.try_get(0)?;
        if let Ok(at) = sorted.binary_search_by_key(&terminal, |(key, _)| *key)
            && sorted[at].1.sequence.is_some()
        {
            let Contact {
                terminal,
                received_at,
                ..
            } = sorted[at].1;
            found.push(Incident::two_machines(terminal.clone(), *received_at));
        }
    }
    Ok(found)
}

/// Merges minutes into what is stored and marks the school-days of rows that gained something.
async fn merge_days(
    on: &On<'_>,
    batch: &Batch,
    key: impl Fn(&TerminalId) -> i32,
) -> Result<(), Failure> {
    // A row stands for at least one minute: `school_sums` counts reporting terminals by their rows.
    let mut rows: Vec<_> = batch
        .days
        .iter()
        .filter(|(_, _, minutes)| !minutes.powered.is_empty() || !minutes.used.is_empty())
        .map(|(terminal, day, minutes)| (key(terminal), Day(*day), minutes))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_unstable_by_key(|(key, day, _)| (*key, *day));
    let mut columns = (
        Vec::with_capacity(rows.len()),
        Vec::with_capacity(rows.len()),
        Vec::with_capacity(rows.len()),
        Vec::with_capacity(rows.len()),
        Vec::with_capacity(rows.len()),
    );
    for (key, day, minutes) in rows {
        columns.0.push(key);
        columns.1.push(day);
        columns.2.push(Bits(minutes.powered));
        columns.3.push(Bits(minutes.used));
        columns.4.push(minutes.last_seen);
    }
    // varbit, for bit[] would be bit(1)[]. The WHERE leaves a row that gains nothing untouched: redelivery then costs
    // neither log nor rollup.
    on.execute(
        "WITH gained AS (
            INSERT INTO terminal_day AS known (terminal, day, powered, used, last_seen)
            SELECT unnest($1::int4[]), unnest($2::date[]), unnest($3::varbit[])::bit(1440),
                unnest($4::varbit[])::bit(1440), unnest($5::int8[])
            ON CONFLICT (terminal, day) DO UPDATE SET
                powered = known.powered | excluded.powered,
                used = known.used | excluded.used,
                last_seen = greatest(known.last_seen, excluded.last_seen)
            WHERE excluded.last_seen > known.last_seen
                OR (known.powered | excluded.powered) <> known.powered
                OR (known.used | excluded.used) <> known.used
            RETURNING terminal, day)
         INSERT INTO dirty_school_day (school, day)
         SELECT DISTINCT p.school, g.day
         FROM gained g JOIN placement p ON p.terminal = g.terminal AND g.day BETWEEN p.from_day AND p.to_day",
        &[&columns.0, &columns.1, &columns.2, &columns.3, &columns.4],
    )
    .await?;
    Ok(())
}
