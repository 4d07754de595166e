//! `terminals keys`: how terminals' keys stand, revoking, restoring and renewing them.
//!
//! A running service learns of a change within a few seconds. Not responsible for what keys may do (`enrolment`, store).

use serde_json::json;

use super::{
    Failure, Opened, USAGE,
    args::{KeysCommand, RotateKeysArgs},
    output::{self, print, table},
    terminals::{known_school, refused},
};
use crate::{
    domain::ids::TerminalId,
    enrolment::list_keys,
    store::{Key, KeyChange},
};

pub(super) async fn keys(at: &Opened, command: &KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::List { school } => {
            if let Some(school) = school {
                known_school(at, school).await?;
            }
            list(
                at,
                &list_keys(at.store.as_ref(), school.as_ref(), at.today()).await?,
            )
        }
        KeysCommand::Revoke { terminals } => change(at, terminals, KeyChange::Revoke).await,
        KeysCommand::Restore { terminals } => change(at, terminals, KeyChange::Restore).await,
        KeysCommand::Rotate(arguments) => rotate(at, arguments).await,
    }
}

fn list(at: &Opened, keys: &[Key]) -> Result<(), Failure> {
    if at.json {
        let shown = keys.iter().map(|key| {
            json!({
                "terminal": key.terminal, "enrolled_at": key.enrolled_at, "changed_at": key.changed_at,
                "revoked": key.revoked, "renewing": key.renew,
            })
        });
        return output::json(&shown.collect::<Vec<_>>());
    }
    let mut rows = table(&["终端", "状态", "注册", "最近变更"], 99);
    for key in keys {
        rows.add_row([
            key.terminal.to_string(),
            state(key).to_owned(),
            at.local(key.enrolled_at),
            at.local(key.changed_at),
        ]);
    }
    print(&rows.to_string());
    print(&format!("共 {} 个密钥", keys.len()));
    Ok(())
}

fn state(key: &Key) -> &'static str {
    match (key.revoked, key.renew) {
        (true, _) => "已吊销",
        (false, true) => "等待更换",
        (false, false) => "有效",
    }
}

async fn rotate(at: &Opened, arguments: &RotateKeysArgs) -> Result<(), Failure> {
    let wanted = match (&arguments.school, arguments.all) {
        (None, false) => arguments.terminals.clone(),
        (school, _) => {
            if let Some(school) = school {
                known_school(at, school).await?;
            }
            let keys = list_keys(at.store.as_ref(), school.as_ref(), at.today()).await?;
            keys.into_iter().map(|key| key.terminal).collect()
        }
    };
    if wanted.is_empty() && arguments.school.is_none() && !arguments.all {
        let said = "whose keys? name terminals, or --school, or --all";
        return Err(Failure::said(USAGE, said));
    }
    change(at, &wanted, KeyChange::Renew).await
}

async fn change(at: &Opened, terminals: &[TerminalId], change: KeyChange) -> Result<(), Failure> {
    let changed = at
        .store
        .change_keys(terminals, change, at.now.as_second())
        .await
        .map_err(refused)?;
    if at.json {
        return output::json(&json!({ "terminals": terminals.len(), "changed": changed }));
    }
    let done = match change {
        KeyChange::Revoke => "吊销,一分钟内生效,已连接的终端会被断开",
        KeyChange::Restore => "恢复,原密钥重新有效",
        _ => "要求更换:终端在下次应答后自行更换,旧密钥到新密钥首次使用时作废",
    };
    print(&format!(
        "{} 个终端的密钥已{done}(其中 {changed} 个有变化)",
        terminals.len()
    ));
    Ok(())
}
