//! `users` and `tokens`. Not responsible for what accounts may be (`access`, `domain::access`).

use serde_json::json;

use super::{
    FAILED, Failure, Opened, REFUSED,
    args::{AddTokenArgs, TokensCommand, UsersCommand},
    output::{self, print, table},
};
use crate::{
    access::{AccessError, AccountChange, AccountState, SetUp},
    observe::chain,
    store::{Account, Token},
};

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        let code = match &error {
            AccessError::Store(_) | AccessError::Busy | AccessError::Changed => FAILED,
            _ => REFUSED,
        };
        Self::said(code, chain(&error))
    }
}

pub(super) async fn users(at: &Opened, command: &UsersCommand) -> Result<(), Failure> {
    let access = &at.access;
    let change = async |login, change: AccountChange| {
        let account = access.change_account(login, &change).await?;
        if at.json {
            return output::json(&shown(&account));
        }
        print(&format!(
            "{login}:{},范围 {},{}",
            account.role.name(),
            account.scope,
            AccountState::of(&account, at.now.as_second()).words()
        ));
        Ok(())
    };
    match command {
        UsersCommand::List => list(at).await,
        UsersCommand::Add(new) => {
            let link = access.add(&new.login, new.role, new.scope.clone()).await?;
            told_link(at, new.login.as_str(), &link)
        }
        UsersCommand::Change(arguments) => {
            let what = AccountChange {
                role: arguments.role,
                scope: arguments.scope.clone(),
                ..AccountChange::default()
            };
            change(&arguments.login, what).await
        }
        UsersCommand::Lock { login } => {
            let what = AccountChange {
                locked: Some(true),
                ..AccountChange::default()
            };
            change(login, what).await
        }
        UsersCommand::Unlock { login } => {
            let what = AccountChange {
                locked: Some(false),
                forgive: true,
                ..AccountChange::default()
            };
            change(login, what).await
        }
        UsersCommand::Reset { login } => {
            let link = access.reset(login).await?;
            told_link(at, login.as_str(), &link)
        }
        UsersCommand::Link { login: Some(login) } => {
            let link = access.link(login).await?;
            told_link(at, login.as_str(), &link)
        }
        UsersCommand::Link { login: None } => match access.first_link().await? {
            Some(link) => told_link(at, "首位管理员", &link),
            None => Err(Failure::said(
                REFUSED,
                "已经有管理员:请写明账号,如 classpulse users link NAME",
            )),
        },
    }
}

fn told_link(at: &Opened, whose: &str, link: &SetUp) -> Result<(), Failure> {
    let address = at.config.page(&link.path);
    if at.json {
        return output::json(&json!({ "link": address, "expires_at": link.expires_at }));
    }
    print(&format!(
        "{address}\n\n{whose}的一次性设置链接,{} 之前有效,用过即失效。只显示这一次,请交给本人。",
        at.local(link.expires_at)
    ));
    Ok(())
}

/// Without the password's hash.
fn shown(account: &Account) -> serde_json::Value {
    json!({
        "login": account.login, "role": account.role, "scope": account.scope, "locked": account.locked,
        "set_up": account.password.is_some(), "failures": account.failures,
        "created_at": account.created_at, "login_at": account.login_at,
    })
}

async fn list(at: &Opened) -> Result<(), Failure> {
    let accounts = at.access.accounts().await?;
    if at.json {
        return output::json(&accounts.iter().map(shown).collect::<Vec<_>>());
    }
    let mut rows = table(&["登录名", "角色", "范围", "状态", "最近登录"], 99);
    for account in &accounts {
        rows.add_row([
            account.login.to_string(),
            account.role.name().to_owned(),
            account.scope.to_string(),
            AccountState::of(account, at.now.as_second())
                .words()
                .to_owned(),
            account
                .login_at
                .map(|login| at.local(login))
                .unwrap_or_default(),
        ]);
    }
    print(&rows.to_string());
    Ok(())
}

pub(super) async fn tokens(at: &Opened, command: &TokensCommand) -> Result<(), Failure> {
    match command {
        TokensCommand::Add(arguments) => add_token(at, arguments).await,
        TokensCommand::List => list_tokens(at).await,
        TokensCommand::Revoke { id } => {
            let token = at.access.revoke_token(*id).await?;
            if at.json {
                return output::json(&token);
            }
            print(&format!("令牌 {}({id})已收回", token.name));
            Ok(())
        }
    }
}

async fn add_token(at: &Opened, new: &AddTokenArgs) -> Result<(), Failure> {
    let made = at
        .access
        .add_token(&new.name, new.role, new.scope.clone(), new.days);
    let (text, token) = made.await?;
    if at.json {
        return output::json(&json!({ "token": text, "listed": token }));
    }
    print(&format!(
        "{text}\n\n{}的令牌,编号 {}:{},范围 {},{} 之前有效。只显示这一次,请现在抄下。",
        token.name,
        token.id,
        token.role.name(),
        token.scope,
        at.local(token.expires_at)
    ));
    Ok(())
}

fn token_state(token: &Token, now: i64) -> &'static str {
    if token.revoked {
        "已收回"
    } else if now >= token.expires_at {
        "已过期"
    } else {
        "有效"
    }
}

async fn list_tokens(at: &Opened) -> Result<(), Failure> {
    let tokens = at.access.tokens().await?;
    if at.json {
        return output::json(&tokens);
    }
    let headings = ["编号", "名称", "角色", "范围", "状态", "有效至", "最近使用"];
    let mut rows = table(&headings, 99);
    for token in &tokens {
        rows.add_row([
            token.id.to_string(),
            token.name.to_string(),
            token.role.name().to_owned(),
            token.scope.to_string(),
            token_state(token, at.now.as_second()).to_owned(),
            at.local(token.expires_at),
            token.used_at.map(|used| at.local(used)).unwrap_or_default(),
        ]);
    }
    print(&rows.to_string());
    Ok(())
}
