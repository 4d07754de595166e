//! One ingest batch: contacts, minutes, dirty marks, quarantine and incidents. Runs inside the writer's transaction.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use jiff::civil::Date;
use rusqlite::{Connection, OptionalExtension, Statement};

use super::{
    dirty::Marks,
    failure::Failure,
    incidents, quarantine, retention,
    values::{Bits, Day, Text},
};
use crate::{
    domain::{ids::TerminalId, incident::Incident, minutes::DayMinutes},
    store::{Batch, Committed, Contact, StoreError, boots::boots_sql},
};

/// Writes a batch.
pub(super) fn commit(connection: &Connection, batch: &Batch) -> Result<Committed, Failure> {
    let mut terminals = Terminals::new(connection)?;
    let two = note_contacts(connection, &batch.contacts, &mut terminals)?;
    merge_days(connection, &batch.days, &mut terminals)?;
    // First, so that an entry that is refused once more in the same batch waits again.
    quarantine::mark_replayed(connection, &batch.replayed)?;
    let overflowed = quarantine::keep(connection, &batch.quarantined)?;
    let dropped = incidents::keep(connection, &batch.incidents, &mut terminals)?;
    let mut terminals = Terminals::new(connection)?;
    let dropped_incidents = dropped + incidents::keep(connection, &two, &mut terminals)?;
    Ok(Committed {
        overflowed,
        dropped_incidents,
    })
}

/// Keys of terminals by name, looked up or added once a transaction.
pub(super) struct Terminals<'c, 'n> {
    find: Statement<'c>,
    add: Statement<'c>,
    known: HashMap<&'n TerminalId, i64>,
}

impl<'c, 'n> Terminals<'c, 'n> {
    /// Nothing looked up yet.
    pub(super) fn new(connection: &'c Connection) -> Result<Self, Failure> {
        Ok(Self {
            find: connection.prepare("SELECT id FROM terminal WHERE name = ?1")?,
            add: connection.prepare("INSERT INTO terminal (name) VALUES (?1) RETURNING id")?,
            known: HashMap::new(),
        })
    }

    /// The terminal's key; an unknown terminal is added, pending.
    pub(super) fn key(&mut self, name: &'n TerminalId) -> Result<i64, Failure> {
        match self.known.entry(name) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(unknown) => {
                let found = self
                    .find
                    .query_row([name.as_str()], |row| row.get(0))
                    .optional()?;
                let key = match found {
                    Some(key) => key,
                    None => self.add.query_row([name.as_str()], |row| row.get(0))?,
                };
                Ok(*unknown.insert(key))
            }
        }
    }
}

/// The latest report speaks of clock and boot, whatever the order of commits; facts stand in a boot's first report
/// only, so they are taken whenever they come. Returns what is to be said of terminals that are two machines.
fn note_contacts<'n>(
    connection: &Connection,
    contacts: &'n [Contact],
    terminals: &mut Terminals<'_, 'n>,
) -> Result<Vec<Incident>, Failure> {
    let mut note = connection.prepare(concat!(
        "UPDATE terminal AS known SET
            first_heard = min(coalesce(first_heard, ?2), ?2),
            last_heard = max(coalesce(last_heard, ?2), ?2),
            clock_offset = CASE WHEN ?2 >= coalesce(last_heard, ?2) THEN ?3 ELSE clock_offset END,
            version = coalesce(?5, version),
            os = coalesce(?6, os), ",
        boots_sql!("?4", "?7", "?2", "?5"),
        " WHERE id = ?1",
    ))?;
    for contact in contacts {
        let key = terminals.key(&contact.terminal)?;
        let facts = contact.facts.as_ref();
        let values = (
            key,
            contact.received_at,
            contact.clock_offset,
            &contact.boot_id[..],
            facts.map(|(version, _)| version),
            facts.map(|(_, os)| os),
            contact.sequence,
        );
        note.execute(values)?;
    }
    two_machines(connection, contacts)
}

/// What is to be said of those that spoke. A look at an index that is empty nearly always costs a batch less than
/// asking every row.
fn two_machines(connection: &Connection, contacts: &[Contact]) -> Result<Vec<Incident>, Failure> {
    let mut select = connection.prepare("SELECT name FROM terminal WHERE turns >= 6")?;
    let mut rows = select.query([])?;
    let mut two = Vec::new();
    while let Some(row) = rows.next()? {
        let name: Text<TerminalId> = row.get(0)?;
        let spoke = contacts
            .iter()
            .filter(|contact| contact.terminal == name.0 && contact.sequence.is_some());
        two.extend(
            spoke.map(|contact| Incident::two_machines(name.0.clone(), contact.received_at)),
        );
    }
    Ok(two)
}

/// Merges minutes into what is stored and marks the school-days of rows that gained something.
fn merge_days<'n>(
    connection: &Connection,
    days: &'n [(TerminalId, Date, DayMinutes)],
    terminals: &mut Terminals<'_, 'n>,
) -> Result<(), Failure> {
    let kept = retention::kept_from(connection)?;
    let mut rows = Vec::with_capacity(days.len());
    for (terminal, day, minutes) in days {
        if let Some(kept) = kept.filter(|kept| day < kept) {
            return Err(StoreError::no_longer_kept(*day, kept).into());
        }
        let key = terminals.key(terminal)?;
        // A row stands for at least one minute: `school_sums` counts reporting terminals by their rows.
        if !minutes.powered.is_empty() || !minutes.used.is_empty() {
            rows.push((key, Day(*day), minutes));
        }
    }
    // In the order of the table, so that neighbours share a page.
    rows.sort_unstable_by_key(|(key, day, _)| (*day, *key));

    // The WHERE leaves a row that gains nothing untouched: redelivery then costs neither log nor rollup.
    let mut merge = connection.prepare(
        "INSERT INTO terminal_day AS known (terminal, day, powered, used, last_seen) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (day, terminal) DO UPDATE SET
            powered = bits_or(known.powered, excluded.powered),
            used = bits_or(known.used, excluded.used),
            last_seen = max(known.last_seen, excluded.last_seen)
         WHERE excluded.last_seen > known.last_seen
            OR bits_or(known.powered, excluded.powered) <> known.powered
            OR bits_or(known.used, excluded.used) <> known.used",
    )?;
    let mut school = connection.prepare(
        "SELECT school FROM placement WHERE terminal = ?1 AND from_day <= ?2 AND to_day >= ?2",
    )?;
    let mut marks = Marks::new(connection)?;
    let mut marked = HashSet::new();
    for (terminal, day, minutes) in rows {
        let (powered, used) = (Bits::from(&minutes.powered), Bits::from(&minutes.used));
        if merge.execute((terminal, day, powered, used, minutes.last_seen))? == 0 {
            continue;
        }
        let school: Option<i64> = school
            .query_row((terminal, day), |row| row.get(0))
            .optional()?;
        if let Some(school) = school
            && marked.insert((school, day))
        {
            marks.add(school, day)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use rusqlite::Connection;

    use super::super::SqliteStore;
    use crate::{
        domain::{
            minutes::{DayMinutes, MinuteSet},
            usage::Period,
        },
        store::{Batch, Contact, Refusal, Store, StoreError},
    };

    #[tokio::test]
    async fn a_batch_of_which_the_last_part_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classpulse.db");
        let store = SqliteStore::open(&path).unwrap();
        let day = date(2026, 9, 1);
        let set = MinuteSet::of(480, 500);
        let contact = Contact {
            terminal: "t-1".parse().unwrap(),
            received_at: 1,
            clock_offset: 0,
            boot_id: [0; 16],
            sequence: None,
            facts: None,
        };
        let refusal = Refusal {
            terminal: "t-1".to_owned(),
            fingerprint: vec![1],
            reason: "future".to_owned(),
            detail: String::new(),
            payload: Vec::new(),
            received_at: 1,
            received_day: day,
        };
        let minutes = DayMinutes {
            powered: set,
            used: set,
            last_seen: 1,
        };
        let batch = Batch {
            days: vec![(contact.terminal.clone(), day, minutes)],
            contacts: vec![contact.clone()],
            quarantined: vec![refusal],
            ..Batch::default()
        };
        let other = Connection::open(&path).unwrap();
        other
            .execute_batch(
                "CREATE TRIGGER full BEFORE INSERT ON quarantine BEGIN SELECT RAISE(ABORT, 'disk is full'); END",
            )
            .unwrap();
        let error = store.commit(batch.clone()).await.unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Driver {
                    doing: "commit a batch",
                    ..
                }
            ),
            "{error}"
        );
        assert!(store.terminal(&contact.terminal).await.unwrap().is_none());

        other.execute_batch("DROP TRIGGER full").unwrap();
        store.commit(batch).await.unwrap();
        let found = store.terminal_days(
            &contact.terminal,
            Period {
                first: day,
                last: day,
            },
        );
        assert_eq!(found.await.unwrap(), [(day, minutes)]);
        store.close().await;
    }

    #[tokio::test]
    async fn damaged_minutes_are_named_as_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classpulse.db");
        let store = SqliteStore::open(&path).unwrap();
        Connection::open(&path)
            .unwrap()
            .execute_batch(
                "PRAGMA ignore_check_constraints = true;
                 INSERT INTO terminal (id, name) VALUES (1, 't-1');
                 INSERT INTO terminal_day VALUES (20000, 1, x'00', zeroblob(180), 0)",
            )
            .unwrap();
        let always = Period {
            first: date(1970, 1, 1),
            last: date(9999, 12, 31),
        };
        let error = store
            .terminal_days(&"t-1".parse().unwrap(), always)
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
        store.close().await;
    }
}
