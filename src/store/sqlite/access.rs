//! Accounts, sessions, tokens, set-up links and the audit log. Changes run inside the writer's transaction.
//!
//! Not responsible for the chain's hashes (`store::access`).

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{
    SqliteStore,
    failure::Failure,
    values::{Text, fixed, unsigned32},
};
use crate::{
    domain::ids::Login,
    store::{
        AccessStore, Account, AuditFilter, ContentDigest, Digest, Ends, Entry, Head, Link,
        MAX_ACCOUNTS, MAX_ENTRIES, NewToken, Put, PutAccount, Recorded, Session, StoreError, Token,
        access::{room_for, taken},
    },
};

#[async_trait]
impl AccessStore for SqliteStore {
    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.readers.run("list accounts", accounts).await
    }

    async fn account(&self, login: &Login) -> Result<Option<Account>, StoreError> {
        let login = login.clone();
        self.readers
            .run("read an account", move |on| account(on, &login))
            .await
    }

    async fn add_account(&self, new: &Account) -> Result<(), StoreError> {
        let new = new.clone();
        self.writer
            .run("keep an account", move |on| add_account(on, &new))
            .await
    }

    async fn add_first(&self, account: &Account, link: Digest) -> Result<bool, StoreError> {
        let account = account.clone();
        self.writer
            .run("keep the first account", move |on| {
                add_first(on, &account, link)
            })
            .await
    }

    async fn put_account(&self, change: &PutAccount) -> Result<Put, StoreError> {
        let change = change.clone();
        self.writer
            .run("change an account", move |on| put_account(on, &change))
            .await
    }

    async fn session(&self, hash: Digest) -> Result<Option<(Session, Account)>, StoreError> {
        self.readers
            .run("read a session", move |on| session(on, hash))
            .await
    }

    async fn touch_session(&self, hash: Digest, at: i64) -> Result<(), StoreError> {
        self.writer
            .run("note a session's use", move |on| {
                let sql = "UPDATE session SET seen_at = max(seen_at, ?2) WHERE hash = ?1";
                on.execute(sql, (&hash[..], at))?;
                Ok(())
            })
            .await
    }

    async fn end_session(&self, hash: Digest) -> Result<(), StoreError> {
        self.writer
            .run("end a session", move |on| {
                on.execute("DELETE FROM session WHERE hash = ?1", [&hash[..]])?;
                Ok(())
            })
            .await
    }

    async fn add_token(&self, token: &NewToken) -> Result<Token, StoreError> {
        let token = token.clone();
        self.writer
            .run("keep a token", move |on| add_token(on, &token))
            .await
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.readers
            .run("list tokens", |on| {
                let mut select = on.prepare(&format!("{TOKEN} ORDER BY id DESC LIMIT ?1"))?;
                let found = select.query_map([MAX_ACCOUNTS], read_token)?;
                Ok(found.collect::<Result<_, _>>()?)
            })
            .await
    }

    async fn token(&self, hash: Digest) -> Result<Option<Token>, StoreError> {
        self.readers
            .run("read a token", move |on| {
                let sql = format!("{TOKEN} WHERE hash = ?1");
                Ok(on.query_row(&sql, [&hash[..]], read_token).optional()?)
            })
            .await
    }

    async fn touch_token(&self, id: i64, at: i64) -> Result<(), StoreError> {
        self.writer
            .run("note a token's use", move |on| {
                let sql = "UPDATE token SET used_at = max(coalesce(used_at, ?2), ?2) WHERE id = ?1";
                on.execute(sql, (id, at))?;
                Ok(())
            })
            .await
    }

    async fn revoke_token(&self, id: i64) -> Result<Token, StoreError> {
        self.writer
            .run("take a token back", move |on| {
                on.execute("UPDATE token SET revoked = 1 WHERE id = ?1", [id])?;
                let found = on.query_row(&format!("{TOKEN} WHERE id = ?1"), [id], read_token);
                found
                    .optional()?
                    .ok_or_else(|| Failure::not_found("token", &id))
            })
            .await
    }

    async fn put_link(&self, link: &Link) -> Result<(), StoreError> {
        let link = link.clone();
        self.writer
            .run("keep a link", move |on| put_link(on, &link))
            .await
    }

    async fn link(&self, hash: Digest) -> Result<Option<Link>, StoreError> {
        self.readers
            .run("read a link", move |on| {
                let sql = "SELECT login, created_at, expires_at FROM link WHERE hash = ?1";
                let found = on.query_row(sql, [&hash[..]], |row| {
                    Ok(Link {
                        hash,
                        login: row.get::<_, Option<Text<_>>>(0)?.map(|login| login.0),
                        created_at: row.get(1)?,
                        expires_at: row.get(2)?,
                    })
                });
                Ok(found.optional()?)
            })
            .await
    }

    async fn record(&self, entry: &Entry) -> Result<Recorded, StoreError> {
        let entry = entry.clone();
        self.writer
            .run("record what was done", move |on| append(on, &entry))
            .await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<Recorded>, StoreError> {
        let filter = filter.clone();
        self.readers
            .run("read the audit log", move |on| {
                let mut select = on.prepare(&format!(
                    "{AUDIT} WHERE at >= ?1 AND at < ?2 AND (?3 IS NULL OR who = ?3)
                        AND (?4 IS NULL OR substr(action, 1, length(?4)) = ?4)
                     ORDER BY number DESC LIMIT ?5"
                ))?;
                let found = select.query_map(
                    (
                        filter.since,
                        filter.until,
                        filter.who,
                        filter.action,
                        filter.limit.min(MAX_ENTRIES),
                    ),
                    read_recorded,
                )?;
                Ok(found.collect::<Result<_, _>>()?)
            })
            .await
    }

    async fn audit_after(&self, number: i64) -> Result<Vec<Recorded>, StoreError> {
        self.readers
            .run("read the audit log", move |on| {
                after(on, number, MAX_ENTRIES)
            })
            .await
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        self.readers.run("read the audit log's end", head).await
    }
}

const ACCOUNT: &str =
    "SELECT a.login, a.role, a.scope, a.password, a.password_at, a.locked, a.failures, a.failed_at,
        a.created_at, a.login_at, a.revision FROM account a";

fn read_account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        login: row.get::<_, Text<_>>(0)?.0,
        role: row.get::<_, Text<_>>(1)?.0,
        scope: row.get::<_, Text<_>>(2)?.0,
        password: row.get(3)?,
        password_at: row.get(4)?,
        locked: row.get(5)?,
        failures: unsigned32(row, 6)?,
        failed_at: row.get(7)?,
        created_at: row.get(8)?,
        login_at: row.get(9)?,
        revision: row.get(10)?,
    })
}

/// Accounts by login name.
pub(super) fn accounts(connection: &Connection) -> Result<Vec<Account>, Failure> {
    let mut select = connection.prepare(&format!("{ACCOUNT} ORDER BY a.login LIMIT ?1"))?;
    let found = select.query_map([MAX_ACCOUNTS], read_account)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn account(connection: &Connection, login: &Login) -> Result<Option<Account>, Failure> {
    let sql = format!("{ACCOUNT} WHERE a.login = ?1");
    let found = connection.query_row(&sql, [login.as_str()], read_account);
    Ok(found.optional()?)
}

fn add_account(connection: &Connection, new: &Account) -> Result<(), Failure> {
    let kept = connection.query_row("SELECT count(*) FROM account", [], |row| row.get(0))?;
    room_for(kept)?;
    match insert_account(connection, new)? {
        0 => Err(taken("account", &new.login).into()),
        _ => Ok(()),
    }
}

fn add_first(connection: &Connection, new: &Account, link: Digest) -> Result<bool, Failure> {
    let set_up = accounts(connection)?
        .iter()
        .any(Account::is_set_up_administrator);
    if set_up || !take_link(connection, link, None)? {
        return Ok(false);
    }
    add_account(connection, new)?;
    Ok(true)
}

/// Uses a link of this account up, or of the first administrator; false where there is none.
fn take_link(
    connection: &Connection,
    hash: Digest,
    login: Option<&Login>,
) -> Result<bool, Failure> {
    let sql = "DELETE FROM link WHERE hash = ?1 AND login IS ?2";
    Ok(connection.execute(sql, (&hash[..], login.map(Login::as_str)))? > 0)
}

/// Keeps an account where there is none of its name; how many were kept.
pub(super) fn insert_account(connection: &Connection, new: &Account) -> Result<usize, Failure> {
    Ok(connection.execute(
        "INSERT INTO account (login, role, scope, password, password_at, locked, failures, failed_at, created_at,
            login_at, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (login) DO NOTHING",
        (
            new.login.as_str(),
            new.role.key(),
            new.scope.to_string(),
            &new.password,
            new.password_at,
            new.locked,
            new.failures,
            new.failed_at,
            new.created_at,
            new.login_at,
            new.revision,
        ),
    )?)
}

fn put_account(connection: &Connection, change: &PutAccount) -> Result<Put, Failure> {
    let after = &change.account;
    let login = &after.login;
    let known = account(connection, login)?;
    let Some(before) = known.filter(|known| known.revision == after.revision) else {
        return Ok(Put::Overtaken);
    };
    if change.ends_administration(&before)
        && !accounts(connection)?
            .iter()
            .any(|one| one.login != *login && one.administers())
    {
        return Ok(Put::LastAdministrator);
    }
    if let Some(link) = change.link
        && !take_link(connection, link, Some(login))?
    {
        return Ok(Put::LinkGone);
    }
    update_account(connection, after)?;
    if let Ends::AllBut(kept) = change.ends {
        let kept = kept.unwrap_or_default();
        let sql = "DELETE FROM session WHERE login = ?1 AND hash <> ?2";
        connection.execute(sql, (login.as_str(), &kept[..]))?;
    }
    if let Some((session, stale)) = &change.begins {
        begin_session(connection, session, *stale)?;
    }
    Ok(Put::Done)
}

/// As it is given, with the next revision.
fn update_account(connection: &Connection, account: &Account) -> Result<(), Failure> {
    connection.execute(
        "UPDATE account SET role = ?2, scope = ?3, password = ?4, password_at = ?5, locked = ?6, failures = ?7,
            failed_at = ?8, login_at = ?9, revision = revision + 1
         WHERE login = ?1",
        (
            account.login.as_str(),
            account.role.key(),
            account.scope.to_string(),
            &account.password,
            account.password_at,
            account.locked,
            account.failures,
            account.failed_at,
            account.login_at,
        ),
    )?;
    Ok(())
}

fn begin_session(connection: &Connection, session: &Session, stale: i64) -> Result<(), Failure> {
    connection.execute("DELETE FROM session WHERE created_at < ?1", [stale])?;
    connection.execute(
        "INSERT INTO session (hash, login, created_at, seen_at) VALUES (?1, ?2, ?3, ?4)",
        (
            &session.hash[..],
            session.login.as_str(),
            session.created_at,
            session.seen_at,
        ),
    )?;
    Ok(())
}

fn session(connection: &Connection, hash: Digest) -> Result<Option<(Session, Account)>, Failure> {
    let sql = "SELECT login, created_at, seen_at FROM session WHERE hash = ?1";
    let found = connection.query_row(sql, [&hash[..]], |row| {
        Ok(Session {
            hash,
            login: row.get::<_, Text<_>>(0)?.0,
            created_at: row.get(1)?,
            seen_at: row.get(2)?,
        })
    });
    let Some(found) = found.optional()? else {
        return Ok(None);
    };
    let account = account(connection, &found.login)?;
    Ok(account.map(|account| (found, account)))
}

const TOKEN: &str =
    "SELECT id, name, role, scope, created_at, expires_at, used_at, revoked FROM token";

fn read_token(row: &Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        id: row.get(0)?,
        name: row.get::<_, Text<_>>(1)?.0,
        role: row.get::<_, Text<_>>(2)?.0,
        scope: row.get::<_, Text<_>>(3)?.0,
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
        used_at: row.get(6)?,
        revoked: row.get(7)?,
    })
}

fn add_token(connection: &Connection, new: &NewToken) -> Result<Token, Failure> {
    let (kept, alike): (i64, i64) = connection.query_row(
        "SELECT count(*), count(*) FILTER (WHERE name = ?1 AND revoked = 0) FROM token",
        [new.name.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    room_for(kept)?;
    if alike > 0 {
        return Err(taken("token", &new.name).into());
    }
    connection.execute(
        "INSERT INTO token (name, hash, role, scope, created_at, expires_at, revoked) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
        (
            new.name.as_str(),
            &new.hash[..],
            new.role.key(),
            new.scope.to_string(),
            new.created_at,
            new.expires_at,
        ),
    )?;
    let sql = format!("{TOKEN} WHERE hash = ?1");
    Ok(connection.query_row(&sql, [&new.hash[..]], read_token)?)
}

fn put_link(connection: &Connection, link: &Link) -> Result<(), Failure> {
    let login = link.login.as_ref().map(Login::as_str);
    if let Some(login) = &link.login
        && account(connection, login)?.is_none()
    {
        return Err(Failure::not_found("account", login));
    }
    connection.execute("DELETE FROM link WHERE login IS ?1", [login])?;
    connection.execute(
        "INSERT INTO link (hash, login, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
        (&link.hash[..], login, link.created_at, link.expires_at),
    )?;
    Ok(())
}

const AUDIT: &str =
    "SELECT number, at, who, origin, action, target, before, after, hash FROM audit";

fn read_recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    Ok(Recorded {
        number: row.get(0)?,
        entry: Entry {
            at: row.get(1)?,
            who: row.get(2)?,
            origin: row.get(3)?,
            action: row.get(4)?,
            target: row.get(5)?,
            before: row.get(6)?,
            after: row.get(7)?,
        },
        hash: ContentDigest(fixed(row, 8)?),
    })
}

/// Entries after a number, in order.
pub(super) fn after(
    connection: &Connection,
    number: i64,
    limit: u32,
) -> Result<Vec<Recorded>, Failure> {
    let mut select = connection.prepare(&format!(
        "{AUDIT} WHERE number > ?1 ORDER BY number LIMIT ?2"
    ))?;
    let found = select.query_map((number, limit), read_recorded)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The log's end.
pub(super) fn head(connection: &Connection) -> Result<Head, Failure> {
    let sql = "SELECT audit_number, audit_hash FROM meta";
    Ok(connection.query_row(sql, [], |row| {
        Ok(Head {
            number: row.get(0)?,
            hash: ContentDigest(fixed(row, 1)?),
        })
    })?)
}

/// Puts an entry at the log's end.
pub(super) fn append(connection: &Connection, entry: &Entry) -> Result<Recorded, Failure> {
    let next = head(connection)?.next(entry);
    insert_recorded(connection, &next)?;
    Ok(next)
}

/// Puts an entry with its number and hash at the log's end.
pub(super) fn insert_recorded(connection: &Connection, next: &Recorded) -> Result<(), Failure> {
    let Entry {
        at,
        who,
        origin,
        action,
        target,
        before,
        after,
    } = &next.entry;
    let hash = &next.hash.0[..];
    connection.execute(
        "INSERT INTO audit (number, at, who, origin, action, target, before, after, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        (
            next.number,
            at,
            who,
            origin,
            action,
            target,
            before,
            after,
            hash,
        ),
    )?;
    let sql = "UPDATE meta SET audit_number = ?1, audit_hash = ?2";
    connection.execute(sql, (next.number, hash))?;
    Ok(())
}
