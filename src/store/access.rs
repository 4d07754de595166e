//! What the store keeps of people: accounts, sessions, tokens, set-up links, and the audit log.
//!
//! Secrets are kept as hashes: passwords as argon2 makes them, the rest (256 random bits each) as SHA-256.
//! Not responsible for what anybody may do (`domain::access`), nor for making secrets (`access`).

mod chain;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{ContentDigest, Digest, StoreError};
use crate::domain::{
    access::{Lockout, Role, Scope},
    ids::Login,
};

pub(super) use chain::moves_in;
pub use chain::{Chain, Fault};

/// Most accounts, and most tokens.
pub const MAX_ACCOUNTS: u32 = 10_000;

/// Most entries in one answer of the audit log.
pub const MAX_ENTRIES: u32 = 10_000;

/// Longest text of one side of an audit entry, bytes; longer ones are cut, with their digest.
pub const MAX_ENTRY_TEXT: usize = 16 * 1024;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// What it is called.
    pub login: Login,
    /// What it is for.
    pub role: Role,
    /// Which part of the country.
    pub scope: Scope,
    /// As argon2 writes it (PHC); `None` until it was set up.
    pub password: Option<String>,
    /// When that was set, Unix seconds.
    pub password_at: Option<i64>,
    /// Whether an administrator has locked it.
    pub locked: bool,
    /// Failed logins in a row since the last success.
    pub failures: u32,
    /// When the last of them was, Unix seconds; 0 for none.
    pub failed_at: i64,
    /// Unix seconds.
    pub created_at: i64,
    /// When somebody last logged in, Unix seconds.
    pub login_at: Option<i64>,
    /// Rises with every change: a change is refused where another came first.
    pub revision: i64,
}

impl Account {
    /// A new one, that nobody can log in to yet.
    #[must_use]
    pub const fn new(login: Login, role: Role, scope: Scope, at: i64) -> Self {
        Self {
            login,
            role,
            scope,
            password: None,
            password_at: None,
            locked: false,
            failures: 0,
            failed_at: 0,
            created_at: at,
            login_at: None,
            revision: 0,
        }
    }

    /// Its failed logins.
    #[must_use]
    pub const fn lockout(&self) -> Lockout {
        Lockout {
            failures: self.failures,
            failed_at: self.failed_at,
        }
    }
}

/// A browser's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of what the browser shows.
    pub hash: Digest,
    /// Whose.
    pub login: Login,
    /// Unix seconds.
    pub created_at: i64,
    /// When it was last used, Unix seconds; not to the second.
    pub seen_at: i64,
}

/// A token to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// What it is called: which system uses it.
    pub name: Login,
    /// SHA-256 of its text.
    pub hash: Digest,
    /// What it may do.
    pub role: Role,
    /// Which part of the country.
    pub scope: Scope,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds; from then on it is refused.
    pub expires_at: i64,
}

/// A token that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Its number in this store.
    pub id: i64,
    /// What it is called.
    pub name: Login,
    /// What it may do.
    pub role: Role,
    /// Which part of the country.
    pub scope: Scope,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub expires_at: i64,
    /// When it was last used, Unix seconds; not to the second.
    pub used_at: Option<i64>,
    /// Whether it was taken back.
    pub revoked: bool,
}

/// A one-time link with which somebody sets a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// SHA-256 of its code.
    pub hash: Digest,
    /// Whose; `None` for the first administrator, who chooses a name.
    pub login: Option<Login>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds; from then on it is refused.
    pub expires_at: i64,
}

/// Something that somebody did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Unix seconds.
    pub at: i64,
    /// A login name, `token:NAME`, the operating system's user, or `-` where nobody has logged in.
    pub who: String,
    /// An address, or `console`.
    pub origin: String,
    /// Its stable key, such as `registry.change`.
    pub action: String,
    /// What it was done to; may be empty.
    pub target: String,
    /// What stood before, in JSON; empty for nothing.
    pub before: String,
    /// What stands now, in JSON; empty for nothing.
    pub after: String,
}

/// An entry in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Counts from 1, without a gap.
    pub number: i64,
    /// What was done.
    pub entry: Entry,
    /// Over the hash of the entry before, the number and the entry.
    pub hash: ContentDigest,
}

/// The log's end, kept beside it: without it, cutting off the last entries would show nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Head {
    /// The last entry's number; 0 for none.
    pub number: i64,
    /// Its hash; zeros for none.
    pub hash: ContentDigest,
}

/// Which entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFilter {
    /// From this moment on, Unix seconds.
    pub since: i64,
    /// Before this moment, Unix seconds.
    pub until: i64,
    /// Only what this one did.
    pub who: Option<String>,
    /// Only actions that begin so.
    pub action: Option<String>,
    /// At most so many, up to [`MAX_ENTRIES`].
    pub limit: u32,
}

impl Default for AuditFilter {
    fn default() -> Self {
        Self {
            since: i64::MIN,
            until: i64::MAX,
            who: None,
            action: None,
            limit: MAX_ENTRIES,
        }
    }
}

/// What the service keeps of people. Every method does the whole of what it says, durably, or nothing.
#[async_trait]
pub trait AccessStore {
    /// Accounts by login name, at most [`MAX_ACCOUNTS`].
    async fn accounts(&self) -> Result<Vec<Account>, StoreError>;

    /// One account.
    async fn account(&self, login: &Login) -> Result<Option<Account>, StoreError>;

    /// Keeps a new account.
    ///
    /// # Errors
    /// `Conflict` where there is one of this name, or too many.
    async fn add_account(&self, account: &Account) -> Result<(), StoreError>;

    /// Keeps an account as it is given, with the next revision; false, and nothing done, where it changed since this
    /// revision was read.
    async fn put_account(&self, account: &Account) -> Result<bool, StoreError>;

    /// Keeps a session; those that began before `stale` go.
    async fn add_session(&self, session: &Session, stale: i64) -> Result<(), StoreError>;

    /// A session with its account.
    async fn session(&self, hash: Digest) -> Result<Option<(Session, Account)>, StoreError>;

    /// Notes that a session is used.
    async fn touch_session(&self, hash: Digest, at: i64) -> Result<(), StoreError>;

    /// Ends a session; again changes nothing.
    async fn end_session(&self, hash: Digest) -> Result<(), StoreError>;

    /// Ends an account's sessions but this one; how many.
    async fn end_sessions(&self, login: &Login, but: Option<Digest>) -> Result<u64, StoreError>;

    /// Keeps a token.
    ///
    /// # Errors
    /// `Conflict` where one of this name holds that is not taken back, or where there are too many.
    async fn add_token(&self, token: &NewToken) -> Result<Token, StoreError>;

    /// Tokens, newest first, at most [`MAX_ACCOUNTS`].
    async fn tokens(&self) -> Result<Vec<Token>, StoreError>;

    /// A token by its hash.
    async fn token(&self, hash: Digest) -> Result<Option<Token>, StoreError>;

    /// Notes that a token is used.
    async fn touch_token(&self, id: i64, at: i64) -> Result<(), StoreError>;

    /// Takes a token back; again changes nothing.
    ///
    /// # Errors
    /// `NotFound`.
    async fn revoke_token(&self, id: i64) -> Result<Token, StoreError>;

    /// Keeps a link; the account's earlier ones go.
    ///
    /// # Errors
    /// `NotFound` where there is no such account.
    async fn put_link(&self, link: &Link) -> Result<(), StoreError>;

    /// A link.
    async fn link(&self, hash: Digest) -> Result<Option<Link>, StoreError>;

    /// Uses a link up: true for one caller only, whoever else asks at the same time.
    async fn take_link(&self, hash: Digest) -> Result<bool, StoreError>;

    /// Puts an entry at the log's end. Nothing of the log ever changes or goes.
    async fn record(&self, entry: &Entry) -> Result<Recorded, StoreError>;

    /// Entries, newest first.
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<Recorded>, StoreError>;

    /// Entries after this number, in order, at most [`MAX_ENTRIES`].
    async fn audit_after(&self, number: i64) -> Result<Vec<Recorded>, StoreError>;

    /// The log's end.
    async fn audit_head(&self) -> Result<Head, StoreError>;
}

/// A new account, or the refusal of one too many.
pub(super) fn room_for(kept: i64) -> Result<(), StoreError> {
    if kept < i64::from(MAX_ACCOUNTS) {
        return Ok(());
    }
    Err(StoreError::Conflict(format!(
        "{MAX_ACCOUNTS} are kept already, which is the most"
    )))
}

/// There is one of this name.
pub(super) fn taken(what: &str, name: &Login) -> StoreError {
    StoreError::Conflict(format!("{what} {name} is there already"))
}
