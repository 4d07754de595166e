//! The administration of accounts and tokens. Each change is recorded as the acting person's.
//!
//! Not responsible for whether they may (fronts).

use serde_json::{Value, json};

use super::{Access, AccessError, current, secret};
use crate::{
    domain::{
        access::{Role, Scope, password_fault},
        ids::Login,
    },
    store::{Account, Link, NewToken, StoreError, Token},
};

/// How long a set-up link holds, seconds.
const LINK_FOR: i64 = 24 * 3_600;

/// Longest that a token holds, days.
pub const MAX_TOKEN_DAYS: u32 = 730;

/// How often a change is tried again that another came before.
const TRIES: u32 = 8;

/// A link that was made; its code is in this answer and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetUp {
    /// The address's path, such as `/setup/CODE`.
    pub path: String,
    /// Unix seconds.
    pub expires_at: i64,
}

/// What to change of an account; `None` leaves it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountChange {
    /// What it is for.
    pub role: Option<Role>,
    /// Which part of the country.
    pub scope: Option<Scope>,
    /// Whether nobody may log in.
    pub locked: Option<bool>,
    /// Forget failed logins.
    pub forgive: bool,
}

/// How an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountState {
    /// An administrator let nobody in with it.
    Stopped,
    /// Nobody has set its password yet.
    NotSetUp,
    /// Too many failed logins; it opens again by itself.
    LockedOut,
    /// Its owner can log in.
    Usable,
}

impl AccountState {
    /// Of an account, at a moment in Unix seconds.
    #[must_use]
    pub fn of(account: &Account, now: i64) -> Self {
        if account.locked {
            Self::Stopped
        } else if account.password.is_none() {
            Self::NotSetUp
        } else if account.lockout().locked_until(now).is_some() {
            Self::LockedOut
        } else {
            Self::Usable
        }
    }

    /// In people's words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Stopped => "已停用",
            Self::NotSetUp => "待设置",
            Self::LockedOut => "暂时锁定",
            Self::Usable => "正常",
        }
    }
}

fn told(account: &Account) -> Value {
    json!({
        "role": account.role, "scope": account.scope, "locked": account.locked,
        "set_up": account.password.is_some(), "failures": account.failures,
    })
}

fn told_token(token: &Token) -> Value {
    json!({
        "name": token.name, "role": token.role, "scope": token.scope, "expires_at": token.expires_at,
        "revoked": token.revoked,
    })
}

fn fit(role: Role, scope: &Scope) -> Result<(), AccessError> {
    match role.scope_fault(scope) {
        Some(fault) => Err(AccessError::Unfit(fault.to_owned())),
        None => Ok(()),
    }
}

/// Somebody who can log in and administer.
fn administers(account: &Account) -> bool {
    account.role == Role::Administrator && account.password.is_some() && !account.locked
}

/// Whether the acting person is at the service's machine.
fn at_console() -> bool {
    current().is_some_and(|who| who.origin() == "console")
}

impl Access {
    /// Every account.
    ///
    /// # Errors
    /// The store's.
    pub async fn accounts(&self) -> Result<Vec<Account>, AccessError> {
        Ok(self.store.accounts().await?)
    }

    /// Every token.
    ///
    /// # Errors
    /// The store's.
    pub async fn tokens(&self) -> Result<Vec<Token>, AccessError> {
        Ok(self.store.tokens().await?)
    }

    /// Changes an account by a rule, again where another change came first. Returns it before and after.
    ///
    /// The last administrator stays one.
    pub(super) async fn change(
        &self,
        login: &Login,
        rule: impl Fn(&mut Account) -> Result<(), AccessError>,
    ) -> Result<(Account, Account), AccessError> {
        self.change_any(login, true, rule).await
    }

    /// The same; `keeps` where the last administrator must stay one.
    async fn change_any(
        &self,
        login: &Login,
        keeps: bool,
        rule: impl Fn(&mut Account) -> Result<(), AccessError>,
    ) -> Result<(Account, Account), AccessError> {
        for _ in 0..TRIES {
            let found = self.store.account(login).await?;
            let before = found.ok_or_else(|| AccessError::Unknown(login.to_string()))?;
            let mut after = before.clone();
            rule(&mut after)?;
            let ends = administers(&before) && !administers(&after);
            if keeps && ends && !self.others_administer(login).await? {
                let fault = "至少要有一个可以登录的管理员:请先建好另一个管理员账号";
                return Err(AccessError::Unfit(fault.to_owned()));
            }
            if self.store.put_account(&after).await? {
                return Ok((before, after));
            }
        }
        Err(AccessError::Changed)
    }

    /// Whether somebody else can log in and administer.
    async fn others_administer(&self, login: &Login) -> Result<bool, AccessError> {
        let accounts = self.store.accounts().await?;
        let mut others = accounts.iter().filter(|one| one.login != *login);
        Ok(others.any(administers))
    }

    /// Makes an account, and the link with which its owner sets it up.
    ///
    /// # Errors
    /// A name that is taken, a role that does not fit the scope.
    pub async fn add(&self, login: &Login, role: Role, scope: Scope) -> Result<SetUp, AccessError> {
        fit(role, &scope)?;
        let account = Account::new(login.clone(), role, scope, self.second());
        match self.store.add_account(&account).await {
            Err(StoreError::Conflict(_)) if self.store.account(login).await?.is_some() => {
                return Err(AccessError::Taken(login.to_string()));
            }
            other => other?,
        }
        self.record("account.add", login.as_str(), &Value::Null, &told(&account))
            .await?;
        self.link(login).await
    }

    /// Changes an account. Who loses a right loses their sessions.
    ///
    /// # Errors
    /// What roles do not allow, and the last administrator's end.
    pub async fn change_account(
        &self,
        login: &Login,
        change: &AccountChange,
    ) -> Result<Account, AccessError> {
        let (before, after) = self
            .change(login, |account| {
                if let Some(role) = change.role {
                    if let Some(fault) = account.role.change_fault(role) {
                        return Err(AccessError::Unfit(fault.to_owned()));
                    }
                    account.role = role;
                }
                if let Some(scope) = &change.scope {
                    account.scope = scope.clone();
                }
                fit(account.role, &account.scope)?;
                if let Some(locked) = change.locked {
                    account.locked = locked;
                }
                if change.forgive {
                    account.failures = 0;
                    account.failed_at = 0;
                }
                Ok(())
            })
            .await?;
        if (before.role, &before.scope) != (after.role, &after.scope) || after.locked {
            self.store.end_sessions(login, None).await?;
        }
        self.record(
            "account.change",
            login.as_str(),
            &told(&before),
            &told(&after),
        )
        .await?;
        Ok(after)
    }

    /// Takes an account's password and sessions away, and makes a new link.
    ///
    /// # Errors
    /// An unknown account; the last administrator's, but by whoever is at the console.
    pub async fn reset(&self, login: &Login) -> Result<SetUp, AccessError> {
        let (before, after) = self
            .change_any(login, !at_console(), |account| {
                account.password = None;
                account.password_at = None;
                account.failures = 0;
                account.failed_at = 0;
                Ok(())
            })
            .await?;
        self.store.end_sessions(login, None).await?;
        self.record(
            "account.reset",
            login.as_str(),
            &told(&before),
            &told(&after),
        )
        .await?;
        self.link(login).await
    }

    /// Makes a link for an account; earlier ones hold no longer.
    ///
    /// # Errors
    /// An unknown account.
    pub async fn link(&self, login: &Login) -> Result<SetUp, AccessError> {
        if self.store.account(login).await?.is_none() {
            return Err(AccessError::Unknown(login.to_string()));
        }
        self.make_link(Some(login)).await
    }

    async fn make_link(&self, login: Option<&Login>) -> Result<SetUp, AccessError> {
        let now = self.second();
        let (code, hash) = secret::draw("");
        let link = Link {
            hash,
            login: login.cloned(),
            created_at: now,
            expires_at: now + LINK_FOR,
        };
        self.store.put_link(&link).await?;
        let target = login.map_or("first administrator", Login::as_str);
        let after = json!({ "expires_at": link.expires_at });
        self.record("account.link", target, &Value::Null, &after)
            .await?;
        Ok(SetUp {
            path: format!("/setup/{code}"),
            expires_at: link.expires_at,
        })
    }

    /// The link for the first administrator; `None` where somebody can administer already.
    ///
    /// # Errors
    /// The store's.
    pub async fn first_link(&self) -> Result<Option<SetUp>, AccessError> {
        if self.has_administrator().await? {
            return Ok(None);
        }
        Ok(Some(self.make_link(None).await?))
    }

    /// Whether an administrator's account was set up, also one that is locked.
    async fn has_administrator(&self) -> Result<bool, AccessError> {
        let accounts = self.store.accounts().await?;
        let any = |one: &Account| one.role == Role::Administrator && one.password.is_some();
        Ok(accounts.iter().any(any))
    }

    /// Whose link this is: `None` inside for the first administrator's, which holds only while there is none.
    ///
    /// # Errors
    /// `Link` where it does not hold.
    pub async fn linked(&self, code: &str) -> Result<Option<Login>, AccessError> {
        let link = self.store.link(secret::digest(code)).await?;
        let link = link.filter(|link| self.second() < link.expires_at);
        let login = link.ok_or(AccessError::Link)?.login;
        if login.is_none() && self.has_administrator().await? {
            return Err(AccessError::Link);
        }
        Ok(login)
    }

    /// Sets an account up with a link, which is then used up. The first administrator gives a name.
    ///
    /// # Errors
    /// A link that does not hold, a password that is too weak, a name that can't be one.
    pub async fn set_up(
        &self,
        code: &str,
        name: &str,
        password: &str,
    ) -> Result<Login, AccessError> {
        let linked = self.linked(code).await?;
        let first = linked.is_none();
        let fault = "登录名为 2 到 32 个小写字母、数字或 . _ -,以字母开头,不要用真实姓名";
        let named = || {
            let named = name.trim().parse();
            named.map_err(|_unfit| AccessError::Unfit(fault.to_owned()))
        };
        let login: Login = linked.map_or_else(named, Ok)?;
        if let Some(fault) = password_fault(password, login.as_str()) {
            return Err(AccessError::Unfit(fault));
        }
        if first && self.store.account(&login).await?.is_some() {
            return Err(AccessError::Taken(login.to_string()));
        }
        let hash = self.passwords.hash(password).await?;
        if first && self.has_administrator().await? {
            return Err(AccessError::Link);
        }
        if !self.store.take_link(secret::digest(code)).await? {
            return Err(AccessError::Link);
        }
        let now = self.second();
        if first {
            let mut account = Account::new(login.clone(), Role::Administrator, Scope::All, now);
            account.password = Some(hash);
            account.password_at = Some(now);
            self.store.add_account(&account).await?;
            self.record("account.add", login.as_str(), &Value::Null, &told(&account))
                .await?;
        } else {
            self.put_password(&login, &hash, now).await?;
            self.store.end_sessions(&login, None).await?;
        }
        self.record("account.setup", login.as_str(), &Value::Null, &Value::Null)
            .await?;
        Ok(login)
    }

    async fn put_password(&self, login: &Login, hash: &str, now: i64) -> Result<(), AccessError> {
        let put = self.change(login, |account| {
            account.password = Some(hash.to_owned());
            account.password_at = Some(now);
            account.failures = 0;
            account.failed_at = 0;
            Ok(())
        });
        put.await?;
        Ok(())
    }

    /// Changes the acting person's own password, and ends their other sessions.
    ///
    /// # Errors
    /// A wrong old password (which counts as a failed login), a new one that is too weak.
    pub async fn change_password(&self, old: &str, new: &str) -> Result<(), AccessError> {
        let who = current();
        let login = who.as_ref().and_then(|who| who.login());
        let login = login.ok_or_else(|| AccessError::Unknown("-".to_owned()))?;
        let found = self.store.account(login).await?;
        let account = found.ok_or_else(|| AccessError::Unknown(login.to_string()))?;
        let now = self.second();
        let open = account.lockout().locked_until(now).is_none();
        if !open
            || !self
                .passwords
                .verify(old, account.password.as_deref())
                .await?
        {
            if open {
                let failed = account.lockout().failed(now);
                let noted = self.change(login, |account| {
                    account.failures = failed.failures;
                    account.failed_at = failed.failed_at;
                    Ok(())
                });
                noted.await?;
            }
            let said = "原密码不正确,或失败次数过多,请 15 分钟后再试";
            return Err(AccessError::Unfit(said.to_owned()));
        }
        if let Some(fault) = password_fault(new, login.as_str()) {
            return Err(AccessError::Unfit(fault));
        }
        if old == new {
            return Err(AccessError::Unfit("新密码不能与原密码相同".to_owned()));
        }
        let hash = self.passwords.hash(new).await?;
        self.put_password(login, &hash, now).await?;
        let session = who.as_ref().and_then(super::Who::session);
        self.store.end_sessions(login, session).await?;
        self.record(
            "account.password",
            login.as_str(),
            &Value::Null,
            &Value::Null,
        )
        .await?;
        Ok(())
    }

    /// Makes a token; its text is in this answer and nowhere else.
    ///
    /// # Errors
    /// A name that is taken, a role that does not fit the scope or is an administrator's.
    pub async fn add_token(
        &self,
        name: &Login,
        role: Role,
        scope: Scope,
        days: u32,
    ) -> Result<(String, Token), AccessError> {
        fit(role, &scope)?;
        if role == Role::Administrator {
            let fault = "令牌不能是管理员:用户只由人管理";
            return Err(AccessError::Unfit(fault.to_owned()));
        }
        let (text, hash) = secret::draw("cpt_");
        let now = self.second();
        let new = NewToken {
            name: name.clone(),
            hash,
            role,
            scope,
            created_at: now,
            expires_at: now + i64::from(days.clamp(1, MAX_TOKEN_DAYS)) * 86_400,
        };
        let token = match self.store.add_token(&new).await {
            Err(StoreError::Conflict(_)) => return Err(AccessError::Taken(name.to_string())),
            other => other?,
        };
        self.record(
            "token.add",
            name.as_str(),
            &Value::Null,
            &told_token(&token),
        )
        .await?;
        Ok((text, token))
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// An unknown number.
    pub async fn revoke_token(&self, id: i64) -> Result<Token, AccessError> {
        let token = match self.store.revoke_token(id).await {
            Err(StoreError::NotFound { id, .. }) => return Err(AccessError::Unknown(id)),
            other => other?,
        };
        self.record(
            "token.revoke",
            token.name.as_str(),
            &Value::Null,
            &told_token(&token),
        )
        .await?;
        Ok(token)
    }
}
