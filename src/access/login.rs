//! Proving who somebody is: by password, by a session's cookie, by a token.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Access, AccessError, Reach, Who,
    accounts::{Trail, With},
    acting, secret,
};
use crate::{
    domain::{
        access::{MAX_PASSWORD, Scope},
        ids::Login,
    },
    store::{Account, Digest, Ends, Session, StoreError},
};

/// How long a session holds without a request.
pub const SESSION_IDLE: Duration = Duration::from_mins(30);

/// How long a session holds at all.
pub const SESSION_LONGEST: Duration = Duration::from_hours(12);

/// How exactly it is noted when a session or a token was last used, seconds.
const TOUCH: i64 = 60;

/// Somebody has logged in.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// What the browser shows from now on; not kept anywhere else.
    pub cookie: String,
    /// Who it is.
    pub login: Login,
}

/// Why somebody is not let in. What is wrong with name or password is not told apart.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A wrong name or password, or an account that nobody may log in to now.
    #[error("登录名或密码不正确,或账号暂时锁定(连续 5 次失败锁定 15 分钟)")]
    Wrong,
    /// Too many passwords are being checked.
    #[error("系统正忙,请稍后重试")]
    Busy,
    /// The store's.
    #[error("数据库未能完成操作")]
    Store(#[from] StoreError),
}

impl From<AccessError> for Refused {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Store(error) => Self::Store(error),
            _ => Self::Busy,
        }
    }
}

impl Access {
    /// Logs somebody in.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn log_in(
        &self,
        name: &str,
        password: &str,
        origin: &str,
    ) -> Result<LoggedIn, Refused> {
        let now = self.second();
        let login: Option<Login> = name.parse().ok();
        let account = match &login {
            Some(login) => self.store.account(login).await?,
            None => None,
        };
        let open = match &account {
            Some(account) => account.lockout().locked_until(now).is_none(),
            None => !self.failures.name_locked(name, now),
        };
        if !open || self.failures.shut_out(origin, now) || password.len() > 4 * MAX_PASSWORD {
            self.failures.failed(origin, now);
            self.tell_failure(name, origin, "locked").await?;
            return Err(Refused::Wrong);
        }
        let kept = account
            .as_ref()
            .and_then(|account| account.password.as_deref());
        let fits = self.passwords.verify(password, kept).await?;
        let Some(account) = account.filter(|account| fits && !account.locked) else {
            self.failures.failed(origin, now);
            self.note_failure(login.as_ref(), name, now).await?;
            self.tell_failure(name, origin, "wrong").await?;
            return Err(Refused::Wrong);
        };
        let (cookie, hash) = secret::draw("");
        let session = Session {
            hash,
            login: account.login.clone(),
            created_at: now,
            seen_at: now,
        };
        let with = With {
            begins: Some((session, now - seconds(SESSION_LONGEST))),
            ..With::trail(Trail::Named("login"))
        };
        let rule = |kept_now: &mut Account| {
            // What was verified must hold still: the account may have been closed, or have another password.
            if kept_now.locked || kept_now.password != account.password {
                return Err(AccessError::Changed);
            }
            kept_now.failures = 0;
            kept_now.failed_at = 0;
            kept_now.login_at = Some(now);
            Ok(Ends::None)
        };
        let who = self.who_of(&account, origin, hash).await?;
        acting(who, self.change(&account.login, with, rule)).await?;
        Ok(LoggedIn {
            cookie,
            login: account.login,
        })
    }

    async fn note_failure(
        &self,
        login: Option<&Login>,
        name: &str,
        now: i64,
    ) -> Result<(), Refused> {
        let Some(login) = login else {
            self.failures.name_failed(name, now);
            return Ok(());
        };
        match self.count_failure(login, now).await {
            Err(AccessError::Unknown(_)) => self.failures.name_failed(name, now),
            other => drop(other?),
        }
        Ok(())
    }

    async fn tell_failure(&self, name: &str, origin: &str, why: &str) -> Result<(), StoreError> {
        let Some(untold) = self.failures.entry(self.second()) else {
            return Ok(());
        };
        // What is no login name may be a password that was typed in the wrong field.
        let target = name.parse::<Login>().map_or("?", |_| name);
        tracing::info!(target, origin, why, "somebody was not let in");
        let after = json!({ "why": why, "not_recorded_before": untold });
        let told = self.record("login.failed", target, &Value::Null, &after);
        acting(Who::nobody(origin), told).await?;
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The store's.
    pub async fn log_out(&self, who: &Who) -> Result<(), StoreError> {
        if let Some(session) = who.session() {
            let ending = async {
                self.with_entry("logout", who.name(), &Value::Null, &Value::Null)
                    .end_session(session)
                    .await
            };
            acting(who.clone(), ending).await?;
        }
        Ok(())
    }

    /// Who shows this cookie; `None` where it holds no longer.
    ///
    /// # Errors
    /// The store's.
    pub async fn by_cookie(&self, cookie: &str, origin: &str) -> Result<Option<Who>, StoreError> {
        let (hash, now) = (secret::digest(cookie), self.second());
        let Some((session, account)) = self.store.session(hash).await? else {
            return Ok(None);
        };
        let holds = now < session.seen_at + seconds(SESSION_IDLE)
            && now < session.created_at + seconds(SESSION_LONGEST)
            && !account.locked
            && account.password.is_some();
        if !holds {
            self.store.end_session(hash).await?;
            return Ok(None);
        }
        if now >= session.seen_at + TOUCH {
            self.store.touch_session(hash, now).await?;
        }
        Ok(Some(self.who_of(&account, origin, hash).await?))
    }

    /// Which program shows this token; `None` where it does not hold.
    ///
    /// # Errors
    /// The store's.
    pub async fn by_token(&self, text: &str, origin: &str) -> Result<Option<Who>, StoreError> {
        let now = self.second();
        let found = self.store.token(secret::digest(text)).await?;
        let Some(token) = found.filter(|token| !token.revoked && now < token.expires_at) else {
            return Ok(None);
        };
        if token.used_at.is_none_or(|used| now >= used + TOUCH) {
            self.store.touch_token(token.id, now).await?;
        }
        let reach = self.reach(&token.scope).await?;
        Ok(Some(Who::token(&token.name, origin, token.role, reach)))
    }

    async fn who_of(
        &self,
        account: &Account,
        origin: &str,
        session: Digest,
    ) -> Result<Who, StoreError> {
        let reach = self.reach(&account.scope).await?;
        Ok(Who::account(
            &account.login,
            origin,
            account.role,
            reach,
            session,
        ))
    }

    /// A scope with what the registry knows of it.
    async fn reach(&self, scope: &Scope) -> Result<Reach, StoreError> {
        Ok(match Reach::from(scope) {
            Reach::School(code, _) => {
                let school = self.store.school(&code).await?;
                Reach::School(code, school.map(|school| school.county))
            }
            other => other,
        })
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
