//! Bounds on guessing that no account keeps: by address, by names that nobody has, and on how much of it is recorded.
//!
//! In memory: a restart forgets it, what accounts keep stays.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use crate::domain::access::{self, LOCKED_FOR, Lockout};

/// Failures from one address within the time of a lock, after which it is no longer listened to.
const MAX_BY_ADDRESS: u32 = 50;

/// Addresses and names that are remembered; beyond, those without a lock go.
const MAX_KNOWN: usize = 10_000;

/// As much of a name as is remembered, bytes.
const MAX_NAME: usize = 64;

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

/// A name as it is remembered.
fn short(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME)]
}

fn address(origin: &str) -> Option<IpAddr> {
    let address: Option<IpAddr> = origin.parse().ok();
    address.map(|address| address.to_canonical())
}

/// Whose address it is, where it is one.
fn network(origin: &str) -> String {
    address(origin).map_or_else(
        || short(origin).to_owned(),
        |address| access::network(address).to_string(),
    )
}

impl Failures {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an address has failed too often. A proxy on this machine stands for many and is never shut out.
    pub(super) fn shut_out(&self, origin: &str, now: i64) -> bool {
        let network = network(origin);
        let inner = self.inner();
        inner.addresses.get(&network).is_some_and(|one| {
            one.failures >= MAX_BY_ADDRESS && now < one.failed_at.saturating_add(LOCKED_FOR)
        })
    }

    /// Notes a failure from an address.
    pub(super) fn failed(&self, origin: &str, now: i64) {
        let local = address(origin).is_some_and(|address| address.is_loopback());
        if !local {
            note(&mut self.inner().addresses, &network(origin), now);
        }
    }

    /// Whether a name that nobody has would be locked if somebody had it: it must look the same.
    pub(super) fn name_locked(&self, name: &str, now: i64) -> bool {
        let inner = self.inner();
        inner
            .names
            .get(short(name))
            .is_some_and(|one| one.locked_until(now).is_some())
    }

    /// Notes a failure of a name that nobody has.
    pub(super) fn name_failed(&self, name: &str, now: i64) {
        note(&mut self.inner().names, short(name), now);
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

    #[test]
    fn one_customer_is_one_address_and_a_long_name_is_cut() {
        let failures = Failures::default();
        for number in 0..MAX_BY_ADDRESS {
            failures.failed(&format!("2001:db8:1:2::{number:x}"), 100);
            failures.failed("::ffff:192.0.2.1", 100);
            failures.failed("::ffff:127.0.0.1", 100);
            failures.failed("::1", 100);
        }
        for (origin, shut_out) in [
            ("2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:3::1", false),
            ("192.0.2.1", true),
            ("::ffff:127.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(failures.shut_out(origin, 101), shut_out, "{origin}");
        }
        let long = "长".repeat(5_000);
        for _ in 0..5 {
            failures.name_failed(&long, 100);
        }
        assert!(failures.name_locked(&long, 101));
        assert!(failures.inner().names.keys().all(|name| name.len() <= 64));
    }
}
