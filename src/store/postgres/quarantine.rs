//! What could not be believed: kept once per mistake, bounded per terminal and day, and read back.
//!
//! Two aggregators that fill a terminal's day at the same moment may pass the bound by what one of them holds.
//! Not responsible for replaying: ingest does, and says in a batch which entries it has counted after all.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
};

use super::{
    connection::On,
    failure::Failure,
    values::{Day, storable, unsigned},
};
use crate::store::{MAX_QUARANTINE_PER_TERMINAL_DAY, Quarantined, Refusal};

/// These entries no longer wait.
pub(super) async fn mark_replayed(on: &On<'_>, ids: &[i64]) -> Result<(), Failure> {
    if !ids.is_empty() {
        on.execute(
            "UPDATE quarantine SET waiting = false WHERE id = ANY ($1)",
            &[&ids],
        )
        .await?;
    }
    Ok(())
}

/// A mistake: its sender and its fingerprint.
type Mistake<'a> = (Cow<'a, str>, &'a [u8]);

/// A mistake with its repetitions in one batch.
struct Folded<'a> {
    /// The latest arrival: its words and bytes stay.
    latest: &'a Refusal,
    /// The first arrival, whose day it counts for.
    first: &'a Refusal,
    first_at: i64,
    times: i64,
}

fn mistake(refusal: &Refusal) -> Mistake<'_> {
    (storable(&refusal.terminal), &refusal.fingerprint)
}

/// Keeps refusals; returns the indices of those that found their terminal's day full.
pub(super) async fn keep(on: &On<'_>, refusals: &[Refusal]) -> Result<Vec<usize>, Failure> {
    if refusals.is_empty() {
        return Ok(Vec::new());
    }
    let known = known(on, refusals).await?;
    let mut room = room(on, refusals).await?;
    let mut folded: BTreeMap<Mistake<'_>, Folded<'_>> = BTreeMap::new();
    let mut overflowed = Vec::new();
    for (index, refusal) in refusals.iter().enumerate() {
        let mistake = mistake(refusal);
        if !folded.contains_key(&mistake)
            && !known.contains(&(mistake.0.to_string(), mistake.1.to_vec()))
        {
            let day = (mistake.0.to_string(), Day(refusal.received_day));
            let left = room.entry(day).or_default();
            if *left <= 0 {
                overflowed.push(index);
                continue;
            }
            *left -= 1;
        }
        let fold = folded.entry(mistake).or_insert(Folded {
            latest: refusal,
            first: refusal,
            first_at: refusal.received_at,
            times: 0,
        });
        fold.times += 1;
        fold.first_at = fold.first_at.min(refusal.received_at);
        if refusal.received_at >= fold.latest.received_at {
            fold.latest = refusal;
        }
    }
    write(on, &folded).await?;
    Ok(overflowed)
}

/// Which of these mistakes have an entry.
async fn known(on: &On<'_>, refusals: &[Refusal]) -> Result<HashSet<(String, Vec<u8>)>, Failure> {
    let mut mistakes: Vec<Mistake<'_>> = refusals.iter().map(mistake).collect();
    mistakes.sort_unstable();
    mistakes.dedup();
    let (terminals, fingerprints): (Vec<&str>, Vec<&[u8]>) = mistakes
        .iter()
        .map(|(terminal, fingerprint)| (terminal.as_ref(), *fingerprint))
        .unzip();
    let rows = on
        .rows(
            "SELECT q.terminal, q.fingerprint
             FROM (SELECT unnest($1::text[]) AS terminal, unnest($2::bytea[]) AS fingerprint) n
                JOIN quarantine q USING (terminal, fingerprint)",
            &[&terminals, &fingerprints],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// How many more entries each terminal's day takes.
async fn room(on: &On<'_>, refusals: &[Refusal]) -> Result<HashMap<(String, Day), i64>, Failure> {
    let mut days: Vec<(Cow<'_, str>, Day)> = refusals
        .iter()
        .map(|refusal| (storable(&refusal.terminal), Day(refusal.received_day)))
        .collect();
    days.sort_unstable();
    days.dedup();
    let (terminals, received): (Vec<&str>, Vec<Day>) = days
        .iter()
        .map(|(terminal, day)| (terminal.as_ref(), *day))
        .unzip();
    let rows = on
        .rows(
            "SELECT n.terminal, n.day, count(q.id)
             FROM (SELECT unnest($1::text[]) AS terminal, unnest($2::date[]) AS day) n
                LEFT JOIN quarantine q ON q.terminal = n.terminal AND q.received_day = n.day
             GROUP BY n.terminal, n.day",
            &[&terminals, &received],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let kept: i64 = row.try_get(2)?;
            let key = (row.try_get(0)?, row.try_get(1)?);
            Ok((key, i64::from(MAX_QUARANTINE_PER_TERMINAL_DAY) - kept))
        })
        .collect()
}

/// The same mistake again: the latest arrival's words and bytes stay, and it waits, replayed or not.
async fn write(on: &On<'_>, folded: &BTreeMap<Mistake<'_>, Folded<'_>>) -> Result<(), Failure> {
    let terminals: Vec<&str> = folded
        .keys()
        .map(|(terminal, _)| terminal.as_ref())
        .collect();
    let fingerprints: Vec<&[u8]> = folded.keys().map(|(_, fingerprint)| *fingerprint).collect();
    let reasons: Vec<Cow<'_, str>> = column(folded, |fold| storable(&fold.latest.reason));
    let details: Vec<Cow<'_, str>> = column(folded, |fold| storable(&fold.latest.detail));
    let payloads: Vec<&[u8]> = column(folded, |fold| &fold.latest.payload[..]);
    let first: Vec<i64> = column(folded, |fold| fold.first_at);
    let last: Vec<i64> = column(folded, |fold| fold.latest.received_at);
    let days: Vec<Day> = column(folded, |fold| Day(fold.first.received_day));
    let times: Vec<i64> = column(folded, |fold| fold.times);
    on.execute(
        "INSERT INTO quarantine AS known
            (terminal, fingerprint, reason, detail, payload, first_at, last_at, received_day, times, waiting)
         SELECT unnest($1::text[]), unnest($2::bytea[]), unnest($3::text[]), unnest($4::text[]), unnest($5::bytea[]),
            unnest($6::int8[]), unnest($7::int8[]), unnest($8::date[]), unnest($9::int8[]), true
         ON CONFLICT (terminal, fingerprint) DO UPDATE SET
            times = known.times + excluded.times,
            waiting = true,
            reason = CASE WHEN excluded.last_at >= known.last_at THEN excluded.reason ELSE known.reason END,
            detail = CASE WHEN excluded.last_at >= known.last_at THEN excluded.detail ELSE known.detail END,
            payload = CASE WHEN excluded.last_at >= known.last_at THEN excluded.payload ELSE known.payload END,
            first_at = least(known.first_at, excluded.first_at),
            last_at = greatest(known.last_at, excluded.last_at)",
        &[
            &terminals,
            &fingerprints,
            &reasons,
            &details,
            &payloads,
            &first,
            &last,
            &days,
            &times,
        ],
    )
    .await?;
    Ok(())
}

fn column<'a, T>(
    folded: &'a BTreeMap<Mistake<'_>, Folded<'_>>,
    value: impl Fn(&'a Folded<'_>) -> T,
) -> Vec<T> {
    folded.values().map(value).collect()
}

/// Entries that wait, by number.
pub(super) async fn list(on: &On<'_>, after: i64, limit: u32) -> Result<Vec<Quarantined>, Failure> {
    let rows = on
        .rows(
            "SELECT id, terminal, reason, detail, payload, first_at, last_at, times
             FROM quarantine WHERE waiting AND id > $1 ORDER BY id LIMIT $2",
            &[&after, &i64::from(limit)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Quarantined {
                id: row.try_get(0)?,
                terminal: row.try_get(1)?,
                reason: row.try_get(2)?,
                detail: row.try_get(3)?,
                payload: row.try_get(4)?,
                first_at: row.try_get(5)?,
                last_at: row.try_get(6)?,
                times: unsigned(row, 7)?,
            })
        })
        .collect()
}

/// How many wait, by reason.
pub(super) async fn counts(on: &On<'_>) -> Result<Vec<(String, u64)>, Failure> {
    let rows = on
        .rows(
            "SELECT reason, count(*) FROM quarantine WHERE waiting GROUP BY reason ORDER BY reason",
            &[],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, unsigned(row, 1)?)))
        .collect()
}
