//! What could not be believed: kept once per mistake, bounded per terminal and day, and read back.
//!
//! Not responsible for replaying: ingest does, and says in a batch which entries it has counted after all.

use rusqlite::Connection;

use super::{
    failure::Failure,
    values::{Day, unsigned},
};
use crate::store::{MAX_QUARANTINE_PER_TERMINAL_DAY, Quarantined, Refusal};

/// These entries no longer wait.
pub(super) fn mark_replayed(connection: &Connection, ids: &[i64]) -> Result<(), Failure> {
    let mut mark = connection.prepare("UPDATE quarantine SET waiting = 0 WHERE id = ?1")?;
    for id in ids {
        mark.execute([id])?;
    }
    Ok(())
}

/// Keeps refusals; returns the indices of those that found their terminal's day full.
pub(super) fn keep(connection: &Connection, refusals: &[Refusal]) -> Result<Vec<usize>, Failure> {
    // The same mistake again: the latest arrival's words and bytes stay, and it waits, replayed or not.
    let mut again = connection.prepare(
        "UPDATE quarantine SET
            times = times + 1,
            waiting = 1,
            reason = CASE WHEN ?3 >= last_at THEN ?4 ELSE reason END,
            detail = CASE WHEN ?3 >= last_at THEN ?5 ELSE detail END,
            payload = CASE WHEN ?3 >= last_at THEN ?6 ELSE payload END,
            first_at = min(first_at, ?3),
            last_at = max(last_at, ?3)
         WHERE terminal = ?1 AND fingerprint = ?2",
    )?;
    let mut count = connection
        .prepare("SELECT count(*) FROM quarantine WHERE terminal = ?1 AND received_day = ?2")?;
    let mut add = connection.prepare(
        "INSERT INTO quarantine
            (terminal, fingerprint, reason, detail, payload, first_at, last_at, received_day, times, waiting)
         VALUES (?1, ?2, ?4, ?5, ?6, ?3, ?3, ?7, 1, 1)",
    )?;
    let mut overflowed = Vec::new();
    for (index, refusal) in refusals.iter().enumerate() {
        let Refusal {
            terminal,
            fingerprint,
            reason,
            detail,
            payload,
            received_at,
            received_day,
        } = refusal;
        if again.execute((terminal, fingerprint, received_at, reason, detail, payload))? > 0 {
            continue;
        }
        let day = Day(*received_day);
        let kept: u32 = count.query_row((terminal, day), |row| row.get(0))?;
        if kept >= MAX_QUARANTINE_PER_TERMINAL_DAY {
            overflowed.push(index);
            continue;
        }
        add.execute((
            terminal,
            fingerprint,
            received_at,
            reason,
            detail,
            payload,
            day,
        ))?;
    }
    Ok(overflowed)
}

/// Entries that wait, by number.
pub(super) fn list(
    connection: &Connection,
    after: i64,
    limit: u32,
) -> Result<Vec<Quarantined>, Failure> {
    let mut select = connection.prepare(
        "SELECT id, terminal, reason, detail, payload, first_at, last_at, times
         FROM quarantine WHERE waiting = 1 AND id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let entries = select.query_map((after, limit), |row| {
        Ok(Quarantined {
            id: row.get(0)?,
            terminal: row.get(1)?,
            reason: row.get(2)?,
            detail: row.get(3)?,
            payload: row.get(4)?,
            first_at: row.get(5)?,
            last_at: row.get(6)?,
            times: unsigned(row, 7)?,
        })
    })?;
    Ok(entries.collect::<Result<_, _>>()?)
}

/// How many wait, by reason.
pub(super) fn counts(connection: &Connection) -> Result<Vec<(String, u64)>, Failure> {
    let mut select = connection.prepare(
        "SELECT reason, count(*) FROM quarantine WHERE waiting = 1 GROUP BY reason ORDER BY reason",
    )?;
    let counts = select.query_map([], |row| Ok((row.get(0)?, unsigned(row, 1)?)))?;
    Ok(counts.collect::<Result<_, _>>()?)
}
