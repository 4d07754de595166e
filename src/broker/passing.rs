//! Machines that ask to become terminals: who is connected under a passing name, with which password, how often it has
//! asked, and its end after a minute.
//!
//! Not responsible for judging what they ask (`enrolment`).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use rmqtt::types::Id;

/// Most passing clients at once; more are told to come later.
const MOST: usize = 1_000;

/// How long a passing client may stay: an enrolment takes less than a second.
pub(super) const STAY: Duration = Duration::from_mins(1);

/// Requests over one connection. Each after the first waits, twice as long as the one before.
const MOST_REQUESTS: u32 = 5;

/// The pause before the second request's answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Passing clients by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Passing(Arc<Mutex<HashMap<String, Guest>>>);

#[derive(Debug)]
struct Guest {
    id: Id,
    password: Bytes,
    requests: u32,
}

impl Passing {
    /// Every change is one step, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Guest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one in; false where too many are. A second connection of the same name takes the first one's place.
    pub(super) fn admit(&self, id: &Id, password: Bytes) -> bool {
        let mut guests = self.lock();
        let name: &str = &id.client_id;
        if guests.len() >= MOST && !guests.contains_key(name) {
            return false;
        }
        let guest = Guest {
            id: id.clone(),
            password,
            requests: 0,
        };
        guests.insert(name.to_owned(), guest);
        true
    }

    /// One more request: the password of its connection, and how long it waits. `None` when it has asked enough.
    pub(super) fn ask(&self, name: &str) -> Option<(Bytes, Duration)> {
        let mut guests = self.lock();
        let guest = guests.get_mut(name)?;
        if guest.requests >= MOST_REQUESTS {
            return None;
        }
        guest.requests += 1;
        let pause = match guest.requests {
            1 => Duration::ZERO,
            more => PAUSE * 2_u32.pow(more - 2),
        };
        Some((guest.password.clone(), pause))
    }

    /// This connection is over.
    pub(super) fn forget(&self, id: &Id) {
        let mut guests = self.lock();
        let name: &str = &id.client_id;
        if guests.get(name).is_some_and(|guest| guest.id == *id) {
            guests.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> Id {
        Id::new(1, 1, None, None, name.to_owned().into(), None)
    }

    #[test]
    fn requests_of_one_connection_wait_longer_and_longer_and_end() {
        let passing = Passing::default();
        let one = id("enrol-1");
        assert!(passing.ask("enrol-1").is_none(), "nobody has come in");
        assert!(passing.admit(&one, Bytes::from_static(b"code")));
        let pauses: Vec<_> = std::iter::from_fn(|| passing.ask("enrol-1"))
            .map(|(_, pause)| pause.as_secs())
            .collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8]);
        passing.forget(&one);
        assert!(passing.lock().is_empty());
    }

    #[test]
    fn only_so_many_are_let_in_at_once() {
        let passing = Passing::default();
        for number in 0..MOST {
            assert!(passing.admit(&id(&number.to_string()), Bytes::new()));
        }
        assert!(!passing.admit(&id("more"), Bytes::new()));
        assert!(passing.admit(&id("7"), Bytes::new()), "the same again");
        passing.forget(&id("8"));
    }
}
