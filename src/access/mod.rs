//! Who somebody is, and what they did: logins, sessions, tokens, set-up links, the administration of accounts, and the
//! audit log.
//!
//! # Layout
//! - [`Who`]: the acting person or program; fronts find out once a request and say so by [`acting`].
//! - [`Access`]: proves who somebody is (`login`), and keeps accounts and tokens (`accounts`).
//! - [`guarded()`]: a store that shows each acting person only their part of the country, and records every change.
//! - [`verify`]: finds any edit or gap of the log.
//!
//! Not responsible for what a role may do (`domain::access`), nor for pages, headers and status codes (fronts).

mod accounts;
pub mod audit;
mod guarded;
mod login;
mod passwords;
mod rate;
mod secret;
mod who;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

pub use self::{
    accounts::{AccountChange, AccountState, MAX_TOKEN_DAYS, SetUp},
    audit::{Verified, verify},
    guarded::guarded,
    login::{LoggedIn, Refused, SESSION_IDLE, SESSION_LONGEST},
    who::{Reach, Who, acting, acting_widely, current, may},
};
use self::{passwords::Passwords, rate::Failures};
use crate::{
    clock::SharedClock,
    store::{Entry, Recorded, Recording, SharedStore, Store, StoreError},
};

/// Why an account can't be had or changed. Shown to people, so in Chinese.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The store's.
    #[error("数据库未能完成操作")]
    Store(#[from] StoreError),
    /// There is one of this name.
    #[error("“{0}”已经存在,请换一个名称")]
    Taken(String),
    /// There is none of this name.
    #[error("没有名为“{0}”的账号或令牌")]
    Unknown(String),
    /// What was asked for is not allowed.
    #[error("{0}")]
    Unfit(String),
    /// The link is used up, taken back or too old.
    #[error("链接无效:可能已使用、已过期或被新的链接取代,请向管理员索取新的链接")]
    Link,
    /// Too many passwords are being checked.
    #[error("系统正忙,请稍后重试")]
    Busy,
    /// Another change came in between.
    #[error("账号刚被别人更改,请重试")]
    Changed,
}

/// Proves who somebody is, and keeps accounts.
#[derive(Debug)]
pub struct Access {
    store: SharedStore,
    clock: SharedClock,
    passwords: Passwords,
    failures: Failures,
}

impl Access {
    /// On the store itself, not on a [`guarded()`] one.
    #[must_use]
    pub fn new(store: SharedStore, clock: SharedClock) -> Arc<Self> {
        Arc::new(Self {
            store,
            clock,
            passwords: Passwords::default(),
            failures: Failures::default(),
        })
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn second(&self) -> i64 {
        self.now().as_second()
    }

    /// Records what the acting person did that changes nothing here, such as an export.
    ///
    /// # Errors
    /// The store's: what was done is then not in the log, and whoever did it must hear so.
    pub async fn record(
        &self,
        action: &str,
        target: &str,
        before: &Value,
        after: &Value,
    ) -> Result<Recorded, StoreError> {
        let entry = self.entry(action, target, before, after);
        self.store.record(&entry).await
    }

    fn entry(&self, action: &str, target: &str, before: &Value, after: &Value) -> Entry {
        entry(self.second(), action, target, before, after)
    }

    /// The store, where the next change is recorded as the acting person's: both or neither.
    fn with_entry(&self, action: &str, target: &str, before: &Value, after: &Value) -> SharedStore {
        let entry = self.entry(action, target, before, after);
        self.store.recording(Recording::of(entry))
    }
}

/// Records what the acting person did with the store as a whole, such as a backup.
///
/// # Errors
/// The store's.
pub async fn record(
    store: &dyn Store,
    at: i64,
    action: &str,
    target: &str,
) -> Result<Recorded, StoreError> {
    let nothing = Value::Null;
    store
        .record(&entry(at, action, target, &nothing, &nothing))
        .await
}

/// An entry of what the acting person did; nulls stand for nothing.
fn entry(at: i64, action: &str, target: &str, before: &Value, after: &Value) -> Entry {
    let who = current().unwrap_or_else(Who::service);
    let entry = Entry {
        at,
        who: who.name().to_owned(),
        origin: who.origin().to_owned(),
        action: action.to_owned(),
        ..Entry::default()
    };
    about(entry, target, before, after)
}

/// The entry, of this target and change.
fn about(entry: Entry, target: &str, before: &Value, after: &Value) -> Entry {
    let said = |value: &Value| match value {
        Value::Null => String::new(),
        value => value.to_string(),
    };
    Entry {
        target: target.chars().take(200).collect(),
        before: said(before),
        after: said(after),
        ..entry
    }
}
