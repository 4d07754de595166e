//! Logins that were refused, by name and by address: whoever tries on is answered slowly, and fills no log.
//!
//! The right key is let in whoever else tries wrong ones, for 256 random bits can't be guessed: a limit that shut terminals
//! out would only be a way to shut them out. Not responsible for judging a login (`door`).

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::access::network;

/// What is counted is counted for so long.
const WINDOW: Duration = Duration::from_mins(1);

/// Refused logins of one name in a [`WINDOW`] that are answered at once.
const PER_NAME: u32 = 10;

/// The same from one address, behind which a whole school may stand.
const PER_ADDRESS: u32 = 200;

/// Machines that may ask to enrol from one address in a [`WINDOW`].
const PASSING_PER_ADDRESS: u32 = 300;

/// How long the answer to more takes.
const SLOW: Duration = Duration::from_secs(3);

/// Answers that are held back at once. Beyond that they are given at once: a thousand waiting ones would cost more.
const MOST_HELD: usize = 256;

/// Names, and addresses, that are counted at once. A table that is full begins anew.
const MOST: usize = 20_000;

/// Past its limit, one refusal in so many is logged.
const LOG_EVERY: u32 = 100;

/// Refused logins.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempts(Arc<Mutex<Tables>>);

#[derive(Debug, Default)]
struct Tables {
    names: Table<String>,
    addresses: Table<IpAddr>,
    passing: Table<IpAddr>,
    held: usize,
}

/// What to do with one more refusal.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Whether the log should hear of it.
    pub(super) log: bool,
    held: Option<Held>,
}

impl Verdict {
    /// Waits as long as the answer should.
    pub(super) async fn wait(self) {
        if let Some(held) = self.held {
            tokio::time::sleep(SLOW).await;
            drop(held);
        }
    }
}

/// An answer that is held back, until dropped.
#[derive(Debug)]
struct Held(Attempts);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.lock().held -= 1;
    }
}

impl Attempts {
    /// Every change is one step, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A login of this name from this address was refused.
    pub(super) fn refused(&self, name: &str, from: Option<SocketAddr>, now: Instant) -> Verdict {
        let mut tables = self.lock();
        let by_name = tables.names.count(name.to_owned(), now);
        let by_address = from.map_or(0, |from| tables.addresses.count(network(from.ip()), now));
        let slow = by_name > PER_NAME || by_address > PER_ADDRESS;
        let held = (slow && tables.held < MOST_HELD).then(|| {
            tables.held += 1;
            Held(self.clone())
        });
        let log = !slow || by_name.max(by_address).is_multiple_of(LOG_EVERY);
        Verdict { log, held }
    }

    /// Whether one more machine at this address may ask to enrol.
    pub(super) fn may_pass(&self, from: Option<SocketAddr>, now: Instant) -> bool {
        let Some(from) = from else { return true };
        self.lock().passing.count(network(from.ip()), now) <= PASSING_PER_ADDRESS
    }
}

/// How often since when.
#[derive(Debug)]
struct Table<K>(HashMap<K, (Instant, u32)>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq> Table<K> {
    /// One more; how many that makes in this window.
    fn count(&mut self, key: K, now: Instant) -> u32 {
        let over = |since: Instant| now.duration_since(since) >= WINDOW;
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            self.0.retain(|_, (since, _)| !over(*since));
            if self.0.len() >= MOST {
                self.0.clear();
            }
        }
        let (since, times) = self.0.entry(key).or_insert((now, 0));
        if over(*since) {
            (*since, *times) = (now, 0);
        }
        *times = times.saturating_add(1);
        *times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn one_name_and_one_address_are_slowed_and_only_so_many_at_once() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let here = Some(from("10.0.0.1:5"));
        for _ in 0..PER_NAME {
            let verdict = attempts.refused("a", here, now);
            assert!(verdict.log && verdict.held.is_none());
        }
        let slow = attempts.refused("a", Some(from("10.0.0.2:5")), now);
        assert!(!slow.log && slow.held.is_some());
        slow.wait().await;
        assert_eq!(now.elapsed(), SLOW);
        assert!(attempts.refused("b", here, now).held.is_none());
        for number in 0..PER_ADDRESS {
            attempts.refused(&number.to_string(), here, now);
        }
        let held: Vec<_> = (0..1_000)
            .map(|number| attempts.refused(&format!("x{number}"), here, now))
            .collect();
        let count = held.iter().filter(|verdict| verdict.held.is_some()).count();
        assert_eq!(count, MOST_HELD);
        assert!((5..=20).contains(&held.iter().filter(|verdict| verdict.log).count()));
        drop(held);
        assert_eq!(attempts.lock().held, 0);
        let later = now + WINDOW;
        assert!(attempts.refused("a", here, later).held.is_none());
    }

    #[test]
    fn tables_stay_small_and_networks_are_counted_as_one() {
        let mut table = Table::default();
        let now = Instant::now();
        for number in 0..3 * MOST {
            table.count(number, now);
        }
        assert!(table.0.len() <= MOST);
        assert_eq!(
            network(from("[2001:db8:1:2::5]:1").ip()),
            network(from("[2001:db8:1:2:ffff::]:9").ip())
        );
        assert_eq!(
            network(from("[::ffff:10.0.0.1]:1").ip()),
            from("10.0.0.1:2").ip()
        );
    }
}
