//! Terminals' keys, in memory: 20,000 terminals that come back at eight cost no read each.
//!
//! All keys are read at once when the store says that any has changed, which is asked at most once a second. So a key that
//! another process revokes or gives holds within a second. Not responsible for making keys.

use std::{
    collections::HashMap,
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
    },
};

use tracing::warn;

use super::{digest, same};
use crate::{
    clock::SharedClock,
    domain::ids::TerminalId,
    observe::chain,
    store::{Digest, SharedStore, StoreError},
};

/// How long what is known holds before the store is asked again, ms.
const FRESH: i64 = 1_000;

/// Whether a terminal may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Allowed,
    /// It may not, for this reason.
    Refused(&'static str),
    /// Nobody knows: the store has not told any key yet.
    Unknown,
}

/// A key: its hash, and whether it was revoked.
type Known = (Digest, bool);

#[derive(Debug)]
pub(super) struct Keys {
    store: SharedStore,
    clock: SharedClock,
    /// A terminal without a key may not log in at all.
    required: bool,
    known: RwLock<HashMap<Box<str>, Known>>,
    /// Whether the store has told the keys at all.
    loaded: AtomicBool,
    /// When the store was asked last, Unix milliseconds.
    asked_at: AtomicI64,
    /// The version that is known; whoever asks the store or changes what is known holds it.
    version: tokio::sync::Mutex<Option<i64>>,
}

impl Keys {
    pub(super) fn new(store: SharedStore, clock: SharedClock, required: bool) -> Self {
        Self {
            store,
            clock,
            required,
            known: RwLock::default(),
            loaded: AtomicBool::new(false),
            asked_at: AtomicI64::new(i64::MIN),
            version: tokio::sync::Mutex::default(),
        }
    }

    /// Whether a terminal may log in with what it shows.
    pub(super) async fn admit(&self, terminal: &str, shown: Option<&[u8]>) -> Admission {
        self.freshen().await;
        if !self.loaded.load(Relaxed) {
            return Admission::Unknown;
        }
        let known = self.read(terminal);
        match (known, shown) {
            (None, _) if self.required => {
                Admission::Refused("this terminal has no key, and keys are required")
            }
            (None, _) => Admission::Allowed,
            (Some((_, true)), _) => Admission::Refused("its key was revoked"),
            (Some(_), None) => Admission::Refused("it has a key and does not show it"),
            (Some((hash, false)), Some(shown)) => {
                if same(&hash, &digest(shown)) {
                    Admission::Allowed
                } else {
                    Admission::Refused("its key is another one")
                }
            }
        }
    }

    fn read(&self, terminal: &str) -> Option<Known> {
        let known = self.known.read();
        let known = known.unwrap_or_else(std::sync::PoisonError::into_inner);
        known.get(terminal).copied()
    }

    /// A key that this process has just given. It holds at once: the machine logs in with it within milliseconds.
    pub(super) async fn learn(&self, terminal: &TerminalId, hash: Digest) {
        // Not while the store is read: what was read before must not take its place.
        let held = self.version.lock().await;
        self.write(|known| {
            known.insert(terminal.as_str().into(), (hash, false));
        });
        drop(held);
    }

    fn write(&self, change: impl FnOnce(&mut HashMap<Box<str>, Known>)) {
        let known = self.known.write();
        change(&mut known.unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// Asks the store whether anything has changed. One asks at a time; the others go on with what is known.
    async fn freshen(&self) {
        let now = self.clock.now().as_millisecond();
        // A clock that was set back counts as well.
        if now.abs_diff(self.asked_at.load(Relaxed)) < FRESH.unsigned_abs() {
            return;
        }
        let mut version = if self.loaded.load(Relaxed) {
            match self.version.try_lock() {
                Ok(version) => version,
                Err(_busy) => return,
            }
        } else {
            self.version.lock().await
        };
        if now.abs_diff(self.asked_at.load(Relaxed)) < FRESH.unsigned_abs() {
            return;
        }
        match self.ask(&mut version).await {
            Ok(()) => self.loaded.store(true, Relaxed),
            Err(error) => {
                warn!(error = %chain(&error), "keys could not be read; going on with those that are known");
            }
        }
        self.asked_at.store(now, Relaxed);
    }

    async fn ask(&self, version: &mut Option<i64>) -> Result<(), StoreError> {
        // First the version: a change in between is seen by the next question.
        let found = self.store.identity_version().await?;
        if *version == Some(found) {
            return Ok(());
        }
        let keys = self.store.keys().await?;
        let keys = keys
            .into_iter()
            .map(|key| (key.terminal.as_str().into(), (key.hash, key.revoked)))
            .collect();
        self.write(|known| *known = keys);
        *version = Some(found);
        Ok(())
    }
}
