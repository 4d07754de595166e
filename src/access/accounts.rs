//! The administration of accounts and tokens. Each change and its entry, the acting person's, are one transaction.
//!
//! Not responsible for whether they may (fronts).

use serde_json::{Value, json};

use super::{Access, AccessError, current, secret};
use crate::{
    domain::{
        access::{Role, Scope, password_fault},
        ids::Login,
    },
    store::{
        Account, Digest, Ends, Link, NewToken, Put, PutAccount, Recording, Session, SharedStore,
        StoreError, Token,
    },
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

/// A new password; whoever has forgotten the old one too often may try again.
fn set_password(account: &mut Account, hash: &str, now: i64) {
    account.password = Some(hash.to_owned());
    account.password_at = Some(now);
    account.failures = 0;
    account.failed_at = 0;
}

/// What goes with a change of an account.
#[derive(Debug, Clone)]
pub(super) struct With<'a> {
    pub(super) trail: Trail<'a>,
    /// The link that it uses up.
    pub(super) link: Option<Digest>,
    /// A session that begins, and since when others' may have begun.
    pub(super) begins: Option<(Session, i64)>,
    /// Whether it may be the last administrator's end.
    pub(super) ends_administration: bool,
}

impl<'a> With<'a> {
    /// Nothing but this entry; the last administrator stays one.
    pub(super) const fn trail(trail: Trail<'a>) -> Self {
        Self {
            trail,
            link: None,
            begins: None,
            ends_administration: false,
        }
    }
}

/// What the log says of a change of an account.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trail<'a> {
    /// Nothing: nobody meant to change it.
    Nothing,
    /// Its action.
    Named(&'a str),
    /// Its action, and the account before and after.
    Change(&'a str),
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

    /// Changes an account by a rule, again where another change came first, and all in one transaction: with the sessions
    /// that the rule ends, with what `with` says, and with its entry in the log. Returns how it stands then.
    pub(super) async fn change(
        &self,
        login: &Login,
        with: With<'_>,
        rule: impl Fn(&mut Account) -> Result<Ends, AccessError>,
    ) -> Result<Account, AccessError> {
        for _ in 0..TRIES {
            let found = self.store.account(login).await?;
            let before = found.ok_or_else(|| AccessError::Unknown(login.to_string()))?;
            let mut after = before.clone();
            let ends = rule(&mut after)?;
            let put = PutAccount {
                ends,
                begins: with.begins.clone(),
                link: with.link,
                keeps_administrator: !with.ends_administration,
                ..PutAccount::from(after.clone())
            };
            let store = match with.trail {
                Trail::Nothing => self.store.clone(),
                Trail::Named(action) => {
                    self.with_entry(action, login.as_str(), &Value::Null, &Value::Null)
                }
                Trail::Change(action) => {
                    self.with_entry(action, login.as_str(), &told(&before), &told(&after))
                }
            };
            match store.put_account(&put).await? {
                Put::Done => return Ok(after),
                Put::Overtaken => {}
                Put::LinkGone => return Err(AccessError::Link),
                Put::LastAdministrator => {
                    let fault = "至少要有一个可以登录的管理员:请先建好另一个管理员账号";
                    return Err(AccessError::Unfit(fault.to_owned()));
                }
            }
        }
        Err(AccessError::Changed)
    }

    /// Makes an account, and the link with which its owner sets it up.
    ///
    /// # Errors
    /// A name that is taken, a role that does not fit the scope.
    pub async fn add(&self, login: &Login, role: Role, scope: Scope) -> Result<SetUp, AccessError> {
        fit(role, &scope)?;
        let account = Account::new(login.clone(), role, scope, self.second());
        let added = self.with_new(&account).add_account(&account).await;
        self.untaken(login, added).await?;
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
        let with = With::trail(Trail::Change("account.change"));
        let rule = |account: &mut Account| {
            let (role, scope) = (account.role, account.scope.clone());
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
            let same = (role, &scope) == (account.role, &account.scope) && !account.locked;
            Ok(if same { Ends::None } else { Ends::AllBut(None) })
        };
        self.change(login, with, rule).await
    }

    /// Takes an account's password and sessions away, and makes a new link.
    ///
    /// # Errors
    /// An unknown account; the last administrator's, but by whoever is at the console.
    pub async fn reset(&self, login: &Login) -> Result<SetUp, AccessError> {
        let with = With {
            ends_administration: at_console(),
            ..With::trail(Trail::Change("account.reset"))
        };
        let rule = |account: &mut Account| {
            account.password = None;
            account.password_at = None;
            account.failures = 0;
            account.failed_at = 0;
            Ok(Ends::AllBut(None))
        };
        self.change(login, with, rule).await?;
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
        let target = login.map_or("first administrator", Login::as_str);
        let after = json!({ "expires_at": link.expires_at });
        self.with_entry("account.link", target, &Value::Null, &after)
            .put_link(&link)
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
        Ok(accounts.iter().any(Account::is_set_up_administrator))
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
        let (link, now) = (secret::digest(code), self.second());
        if first {
            let mut account = Account::new(login.clone(), Role::Administrator, Scope::All, now);
            account.password = Some(hash);
            account.password_at = Some(now);
            self.add_first(&account, link).await?;
        } else {
            let with = With {
                link: Some(link),
                ..With::trail(Trail::Named("account.setup"))
            };
            let rule = |account: &mut Account| {
                set_password(account, &hash, now);
                Ok(Ends::AllBut(None))
            };
            self.change(&login, with, rule).await?;
        }
        Ok(login)
    }

    async fn add_first(&self, account: &Account, link: Digest) -> Result<(), AccessError> {
        let login = &account.login;
        let set_up = self.entry("account.setup", login.as_str(), &Value::Null, &Value::Null);
        let store = self.with_new(account);
        let added = store
            .recording(Recording::of(set_up))
            .add_first(account, link)
            .await;
        if self.untaken(login, added).await? {
            Ok(())
        } else {
            Err(AccessError::Link)
        }
    }

    /// The store, where a new account is recorded.
    fn with_new(&self, account: &Account) -> SharedStore {
        let login = account.login.as_str();
        self.with_entry("account.add", login, &Value::Null, &told(account))
    }

    /// Of the ways in which an account can't be added, tells the one that another name mends.
    async fn untaken<T>(
        &self,
        login: &Login,
        added: Result<T, StoreError>,
    ) -> Result<T, AccessError> {
        match added {
            Err(StoreError::Conflict(_)) if self.store.account(login).await?.is_some() => {
                Err(AccessError::Taken(login.to_string()))
            }
            other => Ok(other?),
        }
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
        let verified = account.password;
        if !open || !self.passwords.verify(old, verified.as_deref()).await? {
            if open {
                self.count_failure(login, now).await?;
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
        let session = who.as_ref().and_then(super::Who::session);
        let with = With::trail(Trail::Named("account.password"));
        let rule = |account: &mut Account| {
            // Whoever has taken the old password away meanwhile meant it.
            if account.password != verified || account.locked {
                return Err(AccessError::Changed);
            }
            set_password(account, &hash, now);
            Ok(Ends::AllBut(session))
        };
        self.change(login, with, rule).await?;
        Ok(())
    }

    /// Counts a wrong password.
    pub(super) async fn count_failure(&self, login: &Login, now: i64) -> Result<(), AccessError> {
        let rule = |account: &mut Account| {
            let failed = account.lockout().failed(now);
            account.failures = failed.failures;
            account.failed_at = failed.failed_at;
            Ok(Ends::None)
        };
        self.change(login, With::trail(Trail::Nothing), rule)
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
        let after = told_token(&new.kept_as(0));
        let store = self.with_entry("token.add", name.as_str(), &Value::Null, &after);
        match store.add_token(&new).await {
            Err(StoreError::Conflict(_)) => Err(AccessError::Taken(name.to_string())),
            other => Ok((text, other?)),
        }
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// An unknown number.
    pub async fn revoke_token(&self, id: i64) -> Result<Token, AccessError> {
        let known = self.store.tokens().await?;
        let known = known.into_iter().find(|token| token.id == id);
        let mut token = known.ok_or_else(|| AccessError::Unknown(id.to_string()))?;
        token.revoked = true;
        let after = told_token(&token);
        let store = self.with_entry("token.revoke", token.name.as_str(), &Value::Null, &after);
        Ok(store.revoke_token(id).await?)
    }
}
