//! Terminals' keys, in memory: 20,000 terminals that come back at eight cost no read each.
//!
//! All keys are read at once when the store says that any has changed, which is asked at most once a second. So a key that
//! another process revokes or gives holds within a second or two. Not responsible for making keys.

use std::{
    collections::HashMap,
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use tracing::{info, warn};

use super::{digest, same};
use crate::{
    clock::SharedClock,
    domain::ids::TerminalId,
    observe::chain,
    store::{Digest, Key, KeyChange, SharedStore, StoreError},
};

/// How long what is known holds before the store is asked again, ms.
const FRESH: i64 = 1_000;

/// Whether a terminal may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may, as long as [`Pass`] holds.
    Allowed(Pass),
    /// It may not, for this reason.
    Refused(&'static str),
    /// Nobody knows: the store has not told any key yet.
    Unknown,
}

/// By what a terminal was let in: the hash of the key that it showed, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass(Option<Digest>);

impl Pass {
    /// Whether it showed a key.
    #[must_use]
    pub const fn has_key(&self) -> bool {
        self.0.is_some()
    }
}

/// A key as it is compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) hash: Digest,
    /// Takes its place once it is used.
    pub(super) next: Option<Digest>,
    /// The terminal is to ask for a new one.
    pub(super) renew: bool,
    pub(super) revoked: bool,
}

/// Which of a terminal's keys was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Current,
    Next,
}

impl Known {
    /// Compares with all there is, so that its time tells nothing.
    pub(super) fn compare(&self, shown: &Digest) -> Option<Shown> {
        let next = self.next.is_some_and(|next| same(&next, shown));
        if same(&self.hash, shown) {
            Some(Shown::Current)
        } else {
            next.then_some(Shown::Next)
        }
    }
}

impl From<&Key> for Known {
    fn from(key: &Key) -> Self {
        Self {
            hash: key.hash,
            next: key.next,
            renew: key.renew,
            revoked: key.revoked,
        }
    }
}

#[derive(Debug)]
pub(super) struct Keys {
    store: SharedStore,
    clock: SharedClock,
    /// A terminal without a key may not log in at all.
    required: bool,
    known: RwLock<HashMap<Box<str>, Known>>,
    /// Rises whenever `known` changes.
    changes: AtomicU64,
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
            changes: AtomicU64::new(0),
            loaded: AtomicBool::new(false),
            asked_at: AtomicI64::new(i64::MIN),
            version: tokio::sync::Mutex::default(),
        }
    }

    /// Whether a terminal may log in with what it shows. A new key that is used for the first time holds alone from then
    /// on.
    pub(super) async fn admit(&self, terminal: &str, shown: Option<&[u8]>) -> Admission {
        self.freshen().await;
        if !self.loaded.load(Relaxed) {
            return Admission::Unknown;
        }
        let known = match self.read(terminal) {
            None if self.required => {
                return Admission::Refused("this terminal has no key, and keys are required");
            }
            None => return Admission::Allowed(Pass(None)),
            Some(known) => known,
        };
        let Some(shown) = shown.map(digest) else {
            return Admission::Refused("it has a key and does not show it");
        };
        match known.compare(&shown) {
            None => Admission::Refused("its key is another one"),
            Some(_) if known.revoked => Admission::Refused("its key was revoked"),
            Some(Shown::Current) => Admission::Allowed(Pass(Some(shown))),
            Some(Shown::Next) => {
                self.used(terminal, shown).await;
                Admission::Allowed(Pass(Some(shown)))
            }
        }
    }

    /// Whether a terminal that was let in may stay, by what is known now.
    pub(super) fn holds(&self, terminal: &str, pass: Pass) -> bool {
        match (self.read(terminal), pass.0) {
            (None, _) => true,
            (Some(known), Some(shown)) => !known.revoked && known.compare(&shown).is_some(),
            (Some(_), None) => false,
        }
    }

    /// A terminal's key as it is known now.
    pub(super) fn read(&self, terminal: &str) -> Option<Known> {
        let known = self.known.read();
        let known = known.unwrap_or_else(std::sync::PoisonError::into_inner);
        known.get(terminal).copied()
    }

    /// A new key was used: the old one is worth nothing. Where the store can't keep that now, the next use says it again.
    pub(super) async fn used(&self, terminal: &str, key: Digest) {
        let Ok(id) = terminal.parse::<TerminalId>() else {
            return;
        };
        let at = self.clock.now().as_second();
        let done = self
            .store
            .change_keys(std::slice::from_ref(&id), KeyChange::Use(key), at)
            .await;
        match done {
            Ok(0) => {
                // Another process was first, or the key was revoked meanwhile: the store knows.
                *self.version.lock().await = None;
                self.asked_at.store(i64::MIN, Relaxed);
            }
            Ok(_) => {
                info!(terminal, "a new key is used; the old one is worth nothing");
                self.learn(&id, key).await;
            }
            Err(error) => {
                warn!(terminal, error = %chain(&error), "that a new key is used could not be kept");
            }
        }
    }

    /// A key that holds alone now. At once: the machine logs in with it within milliseconds.
    pub(super) async fn learn(&self, terminal: &TerminalId, hash: Digest) {
        let known = Known {
            hash,
            next: None,
            renew: false,
            revoked: false,
        };
        self.put(terminal, known).await;
    }

    /// What this process has just changed.
    pub(super) async fn put(&self, terminal: &TerminalId, key: Known) {
        // Not while the store is read: what was read before must not take its place.
        let held = self.version.lock().await;
        self.write(|known| {
            known.insert(terminal.as_str().into(), key);
        });
        drop(held);
    }

    fn write(&self, change: impl FnOnce(&mut HashMap<Box<str>, Known>)) {
        let known = self.known.write();
        change(&mut known.unwrap_or_else(std::sync::PoisonError::into_inner));
        self.changes.fetch_add(1, Relaxed);
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Relaxed)
    }

    /// Asks the store whether anything has changed. One asks at a time; the others go on with what is known.
    pub(super) async fn freshen(&self) {
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
            .iter()
            .map(|key| (key.terminal.as_str().into(), Known::from(key)))
            .collect();
        self.write(|known| *known = keys);
        *version = Some(found);
        Ok(())
    }
}
