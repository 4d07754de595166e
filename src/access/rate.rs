//! Bounds on guessing that no account keeps: by address, by names that nobody has, and on how much of it is recorded.
//!
//! In memory: a restart forgets it, what accounts keep stays.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use crate::domain::access::{LOCKED_FOR, Lockout};

/// Failures from one address within the time of a lock, after which it is no longer listened to.
const MAX_BY_ADDRESS: u32 = 50;

/// Addresses and names that are remembered; beyond, those without a lock go.
const MAX_KNOWN: usize = 10_000;

/// Entries for failed logins in one minute; more are counted, and told with the next.
const MAX_ENTRIES: u32 = 60;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    addresses: HashMap<String, Lockout>,
    names: HashMap<String, Lockout>,
    minute: i64,
    entries: u32,
    untold: u64,
}

fn note(known: &mut HashMap<String, Lockout>, key: &str, now: i64) {
    if known.len() >= MAX_KNOWN && !known.contains_key(key) {
        known.retain(|_, one| now < one.failed_at.saturating_add(LOCKED_FOR));
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
    }
    let one = known.entry(key.to_owned()).or_default();
    *one = one.failed(now);
}

impl Failures {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an address has failed too often. A proxy on this machine stands for many and is never shut out.
    pub(super) fn shut_out(&self, origin: &str, now: i64) -> bool {
        let inner = self.inner();
        inner.addresses.get(origin).is_some_and(|one| {
            one.failures >= MAX_BY_ADDRESS && now < one.failed_at.saturating_add(LOCKED_FOR)
        })
    }

    /// Notes a failure from an address.
    pub(super) fn failed(&self, origin: &str, now: i64) {
        let local = origin
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback());
        if !local {
            note(&mut self.inner().addresses, origin, now);
        }
    }

    /// Whether a name that nobody has would be locked if somebody had it: it must look the same.
    pub(super) fn name_locked(&self, name: &str, now: i64) -> bool {
        let inner = self.inner();
        inner
            .names
            .get(name)
            .is_some_and(|one| one.locked_until(now).is_some())
    }

    /// Notes a failure of a name that nobody has.
    pub(super) fn name_failed(&self, name: &str, now: i64) {
        note(&mut self.inner().names, name, now);
    }

    /// Whether to record a failure now, and how many were not recorded before it.
    pub(super) fn entry(&self, now: i64) -> Option<u64> {
        let mut inner = self.inner();
        let minute = now.div_euclid(60);
        if inner.minute != minute {
            (inner.minute, inner.entries) = (minute, 0);
        }
        if inner.entries >= MAX_ENTRIES {
            inner.untold += 1;
            return None;
        }
        inner.entries += 1;
        Some(std::mem::take(&mut inner.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_shut_out_and_told_in_few_entries() {
        let failures = Failures::default();
        for _ in 0..MAX_BY_ADDRESS {
            assert!(!failures.shut_out("192.0.2.1", 100));
            failures.failed("192.0.2.1", 100);
            failures.failed("127.0.0.1", 100);
        }
        assert!(failures.shut_out("192.0.2.1", 101));
        assert!(!failures.shut_out("127.0.0.1", 101) && !failures.shut_out("192.0.2.2", 101));
        assert!(!failures.shut_out("192.0.2.1", 100 + LOCKED_FOR));
        let told = (0..1_000).filter(|_| failures.entry(100).is_some()).count();
        assert_eq!(told, 60);
        assert_eq!(failures.entry(160), Some(940));
        assert_eq!(failures.entry(160), Some(0));
        // Memory is bounded, whatever names come.
        for number in 0..3 * MAX_KNOWN {
            failures.name_failed(&number.to_string(), 100);
        }
        assert!(failures.inner().names.len() <= MAX_KNOWN);
        for _ in 0..5 {
            failures.name_failed("x", 100);
        }
        assert!(failures.name_locked("x", 101) && !failures.name_locked("y", 101));
    }
}
