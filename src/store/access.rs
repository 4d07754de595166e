//! What the store keeps of people: accounts, sessions, tokens, set-up links, and the audit log.
//!
//! Secrets are kept as hashes: passwords as argon2 makes them, the rest (256 random bits each) as SHA-256.
//! Not responsible for what anybody may do (`domain::access`), nor for making secrets (`access`).

mod chain;
mod recording;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{ContentDigest, Digest, StoreError};
use crate::domain::{
    access::{Lockout, Role, Scope},
    ids::Login,
};

pub(super) use chain::moves_in;
pub use chain::{Chain, Fault};
pub use recording::Recording;
pub(super) use recording::{Outcomes, entries};

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

    /// Whether its owner can log in and administer.
    #[must_use]
    pub fn administers(&self) -> bool {
        self.is_set_up_administrator() && !self.locked
    }

    /// Whether it is an administrator's that was set up, also one that is locked.
    #[must_use]
    pub fn is_set_up_administrator(&self) -> bool {
        self.role == Role::Administrator && self.password.is_some()
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

/// A change of one account, with what stands or falls with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutAccount {
    /// As it shall stand, but for the revision, which is the one that was read.
    pub account: Account,
    /// Which of its sessions end.
    pub ends: Ends,
    /// A session of it that begins, and the moment before which everybody's begun ones go, Unix seconds.
    pub begins: Option<(Session, i64)>,
    /// Its link that this uses up: whoever comes second with it does nothing.
    pub link: Option<Digest>,
    /// Whether it is refused where nobody could log in and administer afterwards who can before.
    pub keeps_administrator: bool,
}

impl PutAccount {
    /// Whether it takes away what has to stay somewhere.
    pub(super) fn ends_administration(&self, before: &Account) -> bool {
        self.keeps_administrator && before.administers() && !self.account.administers()
    }
}

impl From<Account> for PutAccount {
    /// The account alone.
    fn from(account: Account) -> Self {
        Self {
            account,
            ends: Ends::None,
            begins: None,
            link: None,
            keeps_administrator: false,
        }
    }
}

/// Which sessions of an account end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// None.
    None,
    /// All but the one with this hash, or all.
    AllBut(Option<Digest>),
}

/// What became of a change of an account. But for `Done`, nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It was done.
    Done,
    /// Another change came first, or there is no such account.
    Overtaken,
    /// The link is used up or replaced.
    LinkGone,
    /// It was the last administrator's.
    LastAdministrator,
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

impl NewToken {
    /// What is kept of it under this number.
    #[must_use]
    pub fn kept_as(&self, id: i64) -> Token {
        Token {
            id,
            name: self.name.clone(),
            role: self.role,
            scope: self.scope.clone(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            used_at: None,
            revoked: false,
        }
    }
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

    /// Keeps the first administrator's account and uses the link up; false, and nothing done, where the link is not the
    /// one for the first administrator or is used up, or where an administrator has been set up.
    ///
    /// # Errors
    /// `Conflict` where there is an account of this name.
    async fn add_first(&self, account: &Account, link: Digest) -> Result<bool, StoreError>;

    /// Changes an account with all that goes with it, whole or not at all. Of several who take away each other's
    /// administration at once, one stays.
    async fn put_account(&self, change: &PutAccount) -> Result<Put, StoreError>;

    /// A session with its account.
    async fn session(&self, hash: Digest) -> Result<Option<(Session, Account)>, StoreError>;

    /// Notes that a session is used.
    async fn touch_session(&self, hash: Digest, at: i64) -> Result<(), StoreError>;

    /// Ends a session; again changes nothing.
    async fn end_session(&self, hash: Digest) -> Result<(), StoreError>;

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
