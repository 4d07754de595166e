//! Accounts, sessions, tokens, set-up links and the audit log. Entries of all processes follow one another:
//! each holds the row of `meta`, which has the log's end, to the end of its transaction.
//!
//! Not responsible for the chain's hashes (`store::access`).

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresStore,
    connection::{Lock, On},
    failure::Failure,
    values::{fixed, text, unsigned32},
};
use crate::{
    domain::ids::Login,
    store::{
        AccessStore, Account, AuditFilter, ContentDigest, Digest, Ends, Entry, Head, Link,
        MAX_ACCOUNTS, MAX_ENTRIES, NewToken, Put, PutAccount, Recorded, Recording, Session,
        StoreError, Token,
        access::{Outcomes, entries, room_for, taken},
    },
};

#[async_trait]
impl AccessStore for PostgresStore {
    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        read!(self, "list accounts", |on| accounts(&on))
    }

    async fn account(&self, login: &Login) -> Result<Option<Account>, StoreError> {
        read!(self, "read an account", |on| account(&on, login))
    }

    async fn add_account(&self, new: &Account) -> Result<(), StoreError> {
        write!(self, "keep an account", |on| add_account(&on, new))
    }

    async fn add_first(&self, account: &Account, link: Digest) -> Result<bool, StoreError> {
        write!(self, "keep the first account", |on| add_first(
            &on, account, link
        ))
    }

    async fn put_account(&self, change: &PutAccount) -> Result<Put, StoreError> {
        write!(self, "change an account", |on| put_account(&on, change))
    }

    async fn session(&self, hash: Digest) -> Result<Option<(Session, Account)>, StoreError> {
        read!(self, "read a session", |on| session(&on, hash))
    }

    async fn touch_session(&self, hash: Digest, at: i64) -> Result<(), StoreError> {
        write!(self, "note a session's use", |on| on.execute(
            "UPDATE session SET seen_at = greatest(seen_at, $2) WHERE hash = $1",
            &[&&hash[..], &at]
        ))
        .map(drop)
    }

    async fn end_session(&self, hash: Digest) -> Result<(), StoreError> {
        write!(self, "end a session", |on| on
            .execute("DELETE FROM session WHERE hash = $1", &[&&hash[..]]))
        .map(drop)
    }

    async fn add_token(&self, token: &NewToken) -> Result<Token, StoreError> {
        write!(self, "keep a token", |on| add_token(&on, token))
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        read!(self, "list tokens", |on| async {
            let sql = "SELECT id, name, role, scope, created_at, expires_at, used_at, revoked
                 FROM token ORDER BY id DESC LIMIT $1";
            let rows = on.rows(sql, &[&i64::from(MAX_ACCOUNTS)]).await?;
            rows.iter().map(read_token).collect::<Result<_, Failure>>()
        })
    }

    async fn token(&self, hash: Digest) -> Result<Option<Token>, StoreError> {
        read!(self, "read a token", |on| token_of(&on, &hash))
    }

    async fn touch_token(&self, id: i64, at: i64) -> Result<(), StoreError> {
        write!(self, "note a token's use", |on| on.execute(
            "UPDATE token SET used_at = greatest(used_at, $2) WHERE id = $1",
            &[&id, &at]
        ))
        .map(drop)
    }

    async fn revoke_token(&self, id: i64) -> Result<Token, StoreError> {
        write!(self, "take a token back", |on| async {
            let sql = "UPDATE token SET revoked = true WHERE id = $1
                 RETURNING id, name, role, scope, created_at, expires_at, used_at, revoked";
            let found = on.maybe(sql, &[&id]).await?;
            let found = found.ok_or_else(|| Failure::not_found("token", &id))?;
            read_token(&found)
        })
    }

    async fn put_link(&self, link: &Link) -> Result<(), StoreError> {
        write!(self, "keep a link", |on| put_link(&on, link))
    }

    async fn link(&self, hash: Digest) -> Result<Option<Link>, StoreError> {
        read!(self, "read a link", |on| async {
            let sql = "SELECT login, created_at, expires_at FROM link WHERE hash = $1";
            let found = on.maybe(sql, &[&&hash[..]]).await?;
            let read = |row: &Row| -> Result<Link, Failure> {
                let named: Option<&str> = row.try_get(0)?;
                Ok(Link {
                    hash,
                    login: named.map(|_| text(row, 0)).transpose()?,
                    created_at: row.try_get(1)?,
                    expires_at: row.try_get(2)?,
                })
            };
            found.as_ref().map(read).transpose()
        })
    }

    async fn record(&self, entry: &Entry) -> Result<Recorded, StoreError> {
        write!(self, "record what was done", |on| append(&on, entry))
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<Recorded>, StoreError> {
        read!(self, "read the audit log", |on| async {
            let rows = on
                .rows(
                    "SELECT number, at, who, origin, action, target, before, after, hash FROM audit
                     WHERE at >= $1 AND at < $2 AND ($3::text IS NULL OR who = $3)
                        AND ($4::text IS NULL OR starts_with(action, $4))
                     ORDER BY number DESC LIMIT $5",
                    &[
                        &filter.since,
                        &filter.until,
                        &filter.who,
                        &filter.action,
                        &i64::from(filter.limit.min(MAX_ENTRIES)),
                    ],
                )
                .await?;
            rows.iter()
                .map(read_recorded)
                .collect::<Result<_, Failure>>()
        })
    }

    async fn audit_after(&self, number: i64) -> Result<Vec<Recorded>, StoreError> {
        read!(self, "read the audit log", |on| after(
            &on,
            number,
            MAX_ENTRIES
        ))
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        read!(self, "read the audit log's end", |on| head(&on))
    }
}

fn read_account(row: &Row) -> Result<Account, Failure> {
    Ok(Account {
        login: text(row, 0)?,
        role: text(row, 1)?,
        scope: text(row, 2)?,
        password: row.try_get(3)?,
        password_at: row.try_get(4)?,
        locked: row.try_get(5)?,
        failures: unsigned32(row, 6)?,
        failed_at: row.try_get(7)?,
        created_at: row.try_get(8)?,
        login_at: row.try_get(9)?,
        revision: row.try_get(10)?,
    })
}

/// Accounts by login name.
pub(super) async fn accounts(on: &On<'_>) -> Result<Vec<Account>, Failure> {
    let sql = "SELECT login, role, scope, password, password_at, locked, failures, failed_at, created_at, login_at, revision
         FROM account ORDER BY login LIMIT $1";
    let rows = on.rows(sql, &[&i64::from(MAX_ACCOUNTS)]).await?;
    rows.iter().map(read_account).collect()
}

async fn account(on: &On<'_>, login: &Login) -> Result<Option<Account>, Failure> {
    let sql = "SELECT login, role, scope, password, password_at, locked, failures, failed_at, created_at, login_at, revision
         FROM account WHERE login = $1";
    let found = on.maybe(sql, &[&login.as_str()]).await?;
    found.as_ref().map(read_account).transpose()
}

async fn add_account(on: &On<'_>, new: &Account) -> Result<(), Failure> {
    let kept = on.row("SELECT count(*) FROM account", &[]).await?;
    room_for(kept.try_get(0)?)?;
    match insert_account(on, new).await? {
        0 => Err(taken("account", &new.login).into()),
        _ => Ok(()),
    }
}

async fn add_first(on: &On<'_>, new: &Account, link: Digest) -> Result<bool, Failure> {
    on.lock(Lock::Access).await?;
    let set_up = accounts(on)
        .await?
        .iter()
        .any(Account::is_set_up_administrator);
    if set_up || !take_link(on, link, None).await? {
        return Ok(false);
    }
    add_account(on, new).await?;
    Ok(true)
}

/// Uses a link of this account up, or of the first administrator; false where there is none.
async fn take_link(on: &On<'_>, hash: Digest, login: Option<&Login>) -> Result<bool, Failure> {
    let sql = "DELETE FROM link WHERE hash = $1 AND login IS NOT DISTINCT FROM $2";
    let login = login.map(Login::as_str);
    Ok(on.execute(sql, &[&&hash[..], &login]).await? > 0)
}

/// Keeps an account where there is none of its name; how many were kept.
pub(super) async fn insert_account(on: &On<'_>, new: &Account) -> Result<u64, Failure> {
    on.execute(
        "INSERT INTO account (login, role, scope, password, password_at, locked, failures, failed_at, created_at,
            login_at, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (login) DO NOTHING",
        &[
            &new.login.as_str(),
            &new.role.key(),
            &new.scope.to_string(),
            &new.password,
            &new.password_at,
            &new.locked,
            &i64::from(new.failures),
            &new.failed_at,
            &new.created_at,
            &new.login_at,
            &new.revision,
        ],
    )
    .await
}

async fn put_account(on: &On<'_>, change: &PutAccount) -> Result<Put, Failure> {
    let after = &change.account;
    let login = &after.login;
    let known = account(on, login).await?;
    let Some(before) = known.filter(|known| known.revision == after.revision) else {
        return Ok(Put::Overtaken);
    };
    let ends = change.ends_administration(&before);
    if ends || change.link.is_some() {
        on.lock(Lock::Access).await?;
    }
    // Held from here to the end; the lock comes first, for others that have it wait for rows.
    let sql = "SELECT FROM account WHERE login = $1 AND revision = $2 FOR UPDATE";
    let held = on.maybe(sql, &[&login.as_str(), &after.revision]).await?;
    if held.is_none() {
        return Ok(Put::Overtaken);
    }
    if ends
        && !accounts(on)
            .await?
            .iter()
            .any(|one| one.login != *login && one.administers())
    {
        return Ok(Put::LastAdministrator);
    }
    if let Some(link) = change.link
        && !take_link(on, link, Some(login)).await?
    {
        return Ok(Put::LinkGone);
    }
    update_account(on, after).await?;
    if let Ends::AllBut(kept) = change.ends {
        let kept = kept.unwrap_or_default();
        let sql = "DELETE FROM session WHERE login = $1 AND hash <> $2";
        on.execute(sql, &[&login.as_str(), &&kept[..]]).await?;
    }
    if let Some((session, stale)) = &change.begins {
        begin_session(on, session, *stale).await?;
    }
    Ok(Put::Done)
}

/// As it is given, with the next revision.
async fn update_account(on: &On<'_>, account: &Account) -> Result<(), Failure> {
    on.execute(
        "UPDATE account SET role = $2, scope = $3, password = $4, password_at = $5, locked = $6, failures = $7,
            failed_at = $8, login_at = $9, revision = revision + 1
         WHERE login = $1",
        &[
            &account.login.as_str(),
            &account.role.key(),
            &account.scope.to_string(),
            &account.password,
            &account.password_at,
            &account.locked,
            &i64::from(account.failures),
            &account.failed_at,
            &account.login_at,
        ],
    )
    .await?;
    Ok(())
}

async fn begin_session(on: &On<'_>, session: &Session, stale: i64) -> Result<(), Failure> {
    on.execute("DELETE FROM session WHERE created_at < $1", &[&stale])
        .await?;
    let (hash, login) = (&session.hash[..], session.login.as_str());
    on.execute(
        "INSERT INTO session (hash, login, created_at, seen_at) VALUES ($1, $2, $3, $4)",
        &[&hash, &login, &session.created_at, &session.seen_at],
    )
    .await?;
    Ok(())
}

async fn session(on: &On<'_>, hash: Digest) -> Result<Option<(Session, Account)>, Failure> {
    let sql = "SELECT login, created_at, seen_at FROM session WHERE hash = $1";
    let Some(row) = on.maybe(sql, &[&&hash[..]]).await? else {
        return Ok(None);
    };
    let found = Session {
        hash,
        login: text(&row, 0)?,
        created_at: row.try_get(1)?,
        seen_at: row.try_get(2)?,
    };
    let account = account(on, &found.login).await?;
    Ok(account.map(|account| (found, account)))
}

fn read_token(row: &Row) -> Result<Token, Failure> {
    Ok(Token {
        id: row.try_get(0)?,
        name: text(row, 1)?,
        role: text(row, 2)?,
        scope: text(row, 3)?,
        created_at: row.try_get(4)?,
        expires_at: row.try_get(5)?,
        used_at: row.try_get(6)?,
        revoked: row.try_get(7)?,
    })
}

async fn token_of(on: &On<'_>, hash: &Digest) -> Result<Option<Token>, Failure> {
    let sql = "SELECT id, name, role, scope, created_at, expires_at, used_at, revoked
         FROM token WHERE hash = $1";
    let found = on.maybe(sql, &[&&hash[..]]).await?;
    found.as_ref().map(read_token).transpose()
}

async fn add_token(on: &On<'_>, new: &NewToken) -> Result<Token, Failure> {
    on.lock(Lock::Access).await?;
    let sql = "SELECT count(*), count(*) FILTER (WHERE name = $1 AND NOT revoked) FROM token";
    let counts = on.row(sql, &[&new.name.as_str()]).await?;
    room_for(counts.try_get(0)?)?;
    if counts.try_get::<_, i64>(1)? > 0 {
        return Err(taken("token", &new.name).into());
    }
    on.execute(
        "INSERT INTO token (name, hash, role, scope, created_at, expires_at, revoked)
         VALUES ($1, $2, $3, $4, $5, $6, false)",
        &[
            &new.name.as_str(),
            &&new.hash[..],
            &new.role.key(),
            &new.scope.to_string(),
            &new.created_at,
            &new.expires_at,
        ],
    )
    .await?;
    let found = token_of(on, &new.hash).await?;
    found.ok_or_else(|| StoreError::Damaged("a new token vanished".to_owned()).into())
}

async fn put_link(on: &On<'_>, link: &Link) -> Result<(), Failure> {
    on.lock(Lock::Access).await?;
    let login = link.login.as_ref().map(Login::as_str);
    if let Some(login) = &link.login
        && account(on, login).await?.is_none()
    {
        return Err(Failure::not_found("account", login));
    }
    let sql = "DELETE FROM link WHERE login IS NOT DISTINCT FROM $1";
    on.execute(sql, &[&login]).await?;
    on.execute(
        "INSERT INTO link (hash, login, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        &[&&link.hash[..], &login, &link.created_at, &link.expires_at],
    )
    .await?;
    Ok(())
}

fn read_recorded(row: &Row) -> Result<Recorded, Failure> {
    Ok(Recorded {
        number: row.try_get(0)?,
        entry: Entry {
            at: row.try_get(1)?,
            who: row.try_get(2)?,
            origin: row.try_get(3)?,
            action: row.try_get(4)?,
            target: row.try_get(5)?,
            before: row.try_get(6)?,
            after: row.try_get(7)?,
        },
        hash: ContentDigest(fixed(row, 8)?),
    })
}

/// Entries after a number, in order.
pub(super) async fn after(on: &On<'_>, number: i64, limit: u32) -> Result<Vec<Recorded>, Failure> {
    let sql = "SELECT number, at, who, origin, action, target, before, after, hash FROM audit
         WHERE number > $1 ORDER BY number LIMIT $2";
    let rows = on.rows(sql, &[&number, &i64::from(limit)]).await?;
    rows.iter().map(read_recorded).collect()
}

/// The log's end.
pub(super) async fn head(on: &On<'_>) -> Result<Head, Failure> {
    read_head(on, "SELECT audit_number, audit_hash FROM meta").await
}

async fn read_head(on: &On<'_>, sql: &str) -> Result<Head, Failure> {
    let row = on.row(sql, &[]).await?;
    Ok(Head {
        number: row.try_get(0)?,
        hash: ContentDigest(fixed(&row, 1)?),
    })
}

/// The log's end, for whoever goes on from it: nobody else does before this transaction ends.
///
/// The row and no lock of its own, for most changes raise a version in this row first: whoever held such a lock and
/// waited for the row would wait in a circle.
pub(super) async fn last(on: &On<'_>) -> Result<Head, Failure> {
    let sql = "SELECT audit_number, audit_hash FROM meta FOR UPDATE";
    read_head(on, sql).await
}

/// Puts an entry at the log's end.
async fn append(on: &On<'_>, entry: &Entry) -> Result<Recorded, Failure> {
    let next = last(on).await?.next(entry);
    insert_recorded(on, &next).await?;
    Ok(next)
}

/// Puts what is to be recorded of a change at the log's end.
pub(super) async fn record(
    on: &On<'_>,
    recordings: &[Recording],
    done: &impl Outcomes,
) -> Result<(), Failure> {
    for entry in entries(recordings, done.outcome()) {
        append(on, &entry).await?;
    }
    Ok(())
}

/// Puts an entry with its number and hash at the log's end.
pub(super) async fn insert_recorded(on: &On<'_>, next: &Recorded) -> Result<(), Failure> {
    let (entry, hash) = (&next.entry, &next.hash.0[..]);
    on.execute(
        "INSERT INTO audit (number, at, who, origin, action, target, before, after, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &[
            &next.number,
            &entry.at,
            &entry.who,
            &entry.origin,
            &entry.action,
            &entry.target,
            &entry.before,
            &entry.after,
            &hash,
        ],
    )
    .await?;
    let sql = "UPDATE meta SET audit_number = $1, audit_hash = $2";
    on.execute(sql, &[&next.number, &hash]).await?;
    Ok(())
}
