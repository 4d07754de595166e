//! `broker mosquitto`: the files of a Mosquitto between terminals and the service, written anew from the keys as they are.
//!
//! Not responsible for what is in them (`broker::mosquitto`) or for telling Mosquitto (its unit's reload).

use serde_json::json;

use super::{
    FAILED, Failure, Opened, REFUSED,
    args::MosquittoArgs,
    files::{self, GROUP, PUBLIC},
    output::{self, print},
};
use crate::{
    broker::mosquitto::{FILES, Listening, OWN_USER, acl, configuration, enrol_acl, passwords},
    config::{BrokerConfig, OutsideBroker},
};

pub(super) async fn mosquitto(at: &Opened, arguments: &MosquittoArgs) -> Result<(), Failure> {
    let own = own_login(at).await?;
    let keys = at.store.keys().await?;
    let folder = &arguments.out;
    files::folder(folder)?;
    let whole = std::path::absolute(folder)
        .map_err(|error| Failure::said(FAILED, format!("{}: {error}", folder.display())))?;
    let before = std::fs::read_to_string(folder.join(FILES[0])).unwrap_or_default();
    let login = own
        .as_ref()
        .map(|(user, password)| (user.as_str(), password.as_str()));
    let made = passwords(&keys, login, &before);
    let user = login.map_or(OWN_USER, |(user, _)| user);
    let listening = Listening {
        port: arguments.port,
        enrol_port: arguments.enrol_port,
        tls: at.config.tls.clone(),
    };
    let texts = [
        (made.text.clone(), GROUP),
        (acl(user), PUBLIC),
        (enrol_acl(), PUBLIC),
        (
            configuration(&listening, &whole.display().to_string()),
            PUBLIC,
        ),
    ];
    let mut prepared = Vec::new();
    for (name, (text, mode)) in FILES.iter().zip(texts) {
        let path = folder.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        prepared.push(files::prepare(path, &text, mode)?);
    }
    let mut written = Vec::new();
    for file in prepared {
        written.push(file.replace()?);
    }
    if !written.is_empty() {
        let told = json!({ "files": written, "terminals": made.terminals });
        let name = whole.display().to_string();
        let record = at
            .access
            .record("export", &name, &serde_json::Value::Null, &told);
        record.await?;
    }
    if at.json {
        return output::json(&json!({
            "written": written, "terminals": made.terminals, "without_password": made.without,
        }));
    }
    for path in &written {
        print(&format!("已写入 {}", path.display()));
    }
    print(&format!(
        "{} 个终端可登录{}",
        made.terminals,
        if written.is_empty() {
            ",文件无变化"
        } else {
            ";请让 Mosquitto 重新加载(systemctl reload mosquitto)"
        }
    ));
    if made.without > 0 {
        print(&format!(
            "{} 个终端的密钥早于此功能,尚不能登录 Mosquitto:先连接内置服务并更换密钥(terminals keys rotate --all)",
            made.without
        ));
    }
    Ok(())
}

/// As whom the service comes in, as the configuration has it.
async fn own_login(at: &Opened) -> Result<Option<(String, String)>, Failure> {
    let BrokerConfig::Outside(OutsideBroker {
        login: Some((user, file)),
        ..
    }) = &at.config.broker
    else {
        return Ok(None);
    };
    if user.contains([':', '\n']) {
        let said = "broker.user: Mosquitto's password file has no names with a colon";
        return Err(Failure::said(REFUSED, said));
    }
    let text = tokio::fs::read_to_string(file).await.map_err(|error| {
        let said = format!("broker.password_file {}: {error}", file.display());
        Failure::said(super::USAGE, said)
    })?;
    Ok(Some((user.clone(), text.trim_end().to_owned())))
}
