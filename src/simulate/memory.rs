//! A store in memory with the commit semantics of [`crate::store::Batch`], and the seam that any store fits.
//!
//! Not responsible for rollups, the registry's history or durability: the real stores have a contract suite for those.

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::{
    domain::{ids::TerminalId, minutes::DayMinutes, usage::Period},
    store::{
        Batch, Committed, MAX_QUARANTINE_PER_TERMINAL_DAY, Quarantined, Refusal, Standing,
        StoreError,
    },
};

/// What the simulation needs of a store.
pub trait Keeper {
    /// Puts terminals into service from a day on, before anything is heard of them.
    ///
    /// # Errors
    /// The store's.
    fn register(&mut self, terminals: &[(TerminalId, Date)]) -> Result<(), StoreError>;

    /// As [`crate::store::Store::standings`].
    ///
    /// # Errors
    /// The store's.
    fn standings(&mut self, terminals: &[TerminalId]) -> Result<Vec<Standing>, StoreError>;

    /// As [`crate::store::Store::commit`].
    ///
    /// # Errors
    /// The store's.
    fn commit(&mut self, batch: Batch) -> Result<Committed, StoreError>;

    /// Every day of a terminal.
    ///
    /// # Errors
    /// The store's.
    fn days(&mut self, terminal: &TerminalId) -> Result<Vec<(Date, DayMinutes)>, StoreError>;

    /// Every waiting quarantine entry.
    ///
    /// # Errors
    /// The store's.
    fn quarantine(&mut self) -> Result<Vec<Quarantined>, StoreError>;
}

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    service: BTreeMap<TerminalId, Vec<Period>>,
    days: BTreeMap<(TerminalId, Date), DayMinutes>,
    quarantined: BTreeMap<(String, Vec<u8>), Entry>,
    per_day: BTreeMap<(String, Date), u32>,
    /// Sabotage: the last writer wins.
    last_writer_wins: bool,
}

#[derive(Debug)]
struct Entry {
    id: i64,
    reason: String,
    detail: String,
    payload: Vec<u8>,
    first_at: i64,
    last_at: i64,
    times: u64,
}

impl MemoryStore {
    /// Empty; with `last_writer_wins` it merges wrongly, to check the checker.
    #[must_use]
    pub fn new(last_writer_wins: bool) -> Self {
        Self {
            last_writer_wins,
            ..Self::default()
        }
    }

    fn quarantine_one(&mut self, refusal: Refusal) -> bool {
        let next = i64::try_from(self.quarantined.len()).unwrap_or(i64::MAX - 1) + 1;
        let key = (refusal.terminal.clone(), refusal.fingerprint);
        if let Some(entry) = self.quarantined.get_mut(&key) {
            entry.times += 1;
            if refusal.received_at >= entry.last_at {
                entry.reason = refusal.reason;
                entry.detail = refusal.detail;
                entry.payload = refusal.payload;
            }
            entry.first_at = entry.first_at.min(refusal.received_at);
            entry.last_at = entry.last_at.max(refusal.received_at);
            return true;
        }
        let kept = self
            .per_day
            .entry((refusal.terminal, refusal.received_day))
            .or_default();
        if *kept >= MAX_QUARANTINE_PER_TERMINAL_DAY {
            return false;
        }
        *kept += 1;
        let entry = Entry {
            id: next,
            reason: refusal.reason,
            detail: refusal.detail,
            payload: refusal.payload,
            first_at: refusal.received_at,
            last_at: refusal.received_at,
            times: 1,
        };
        self.quarantined.insert(key, entry);
        true
    }
}

impl Keeper for MemoryStore {
    fn register(&mut self, terminals: &[(TerminalId, Date)]) -> Result<(), StoreError> {
        for (terminal, first) in terminals {
            let service = Period {
                first: *first,
                last: Date::constant(9999, 12, 31),
            };
            self.service.insert(terminal.clone(), vec![service]);
        }
        Ok(())
    }

    fn standings(&mut self, terminals: &[TerminalId]) -> Result<Vec<Standing>, StoreError> {
        let standing = |terminal: &TerminalId| match self.service.get(terminal) {
            Some(service) if service.is_empty() => Standing::Pending,
            Some(service) => Standing::Registered(service.clone()),
            None => Standing::Unknown,
        };
        Ok(terminals.iter().map(standing).collect())
    }

    fn commit(&mut self, batch: Batch) -> Result<Committed, StoreError> {
        for contact in batch.contacts {
            self.service.entry(contact.terminal).or_default();
        }
        for (terminal, day, minutes) in batch.days {
            self.service.entry(terminal.clone()).or_default();
            if minutes.powered.is_empty() && minutes.used.is_empty() {
                continue;
            }
            let kept = self.days.entry((terminal, day)).or_default();
            if self.last_writer_wins {
                *kept = minutes;
            } else {
                kept.merge(&minutes);
            }
        }
        let mut overflowed = Vec::new();
        for (index, refusal) in batch.quarantined.into_iter().enumerate() {
            if !self.quarantine_one(refusal) {
                overflowed.push(index);
            }
        }
        Ok(Committed {
            overflowed,
            ..Committed::default()
        })
    }

    fn days(&mut self, terminal: &TerminalId) -> Result<Vec<(Date, DayMinutes)>, StoreError> {
        let from = (terminal.clone(), Date::MIN);
        let to = (terminal.clone(), Date::MAX);
        let days = self.days.range(from..=to);
        Ok(days.map(|((_, day), minutes)| (*day, *minutes)).collect())
    }

    fn quarantine(&mut self) -> Result<Vec<Quarantined>, StoreError> {
        let entry = |((terminal, _), entry): (&(String, Vec<u8>), &Entry)| Quarantined {
            id: entry.id,
            terminal: terminal.clone(),
            reason: entry.reason.clone(),
            detail: entry.detail.clone(),
            payload: entry.payload.clone(),
            first_at: entry.first_at,
            last_at: entry.last_at,
            times: entry.times,
        };
        let mut entries: Vec<_> = self.quarantined.iter().map(entry).collect();
        entries.sort_by_key(|entry| entry.id);
        Ok(entries)
    }
}
