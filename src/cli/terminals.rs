//! `terminals codes` and `terminals incidents`, and what `terminals keys` shares with them. Not responsible for what codes may do (`enrolment`, store).

use jiff::civil::Date;
use serde_json::json;

use super::{
    FAILED, Failure, Opened, REFUSED,
    args::{CodesCommand, CreateCodeArgs, IncidentsArgs},
    output::{self, print, table},
};
use crate::{
    domain::{ids::SchoolCode, incident::Incident},
    enrolment::{self, Terms},
    observe::chain,
    query::{self, QueryError},
    store::{EnrolmentCode, IncidentFilter, StoreError},
};

pub(super) async fn codes(at: &Opened, command: &CodesCommand) -> Result<(), Failure> {
    match command {
        CodesCommand::Create(arguments) => create(at, arguments).await,
        CodesCommand::List { school } => list(at, school.as_ref()).await,
        CodesCommand::Revoke { id } => revoke(at, *id).await,
    }
}

/// A school or code that is not there is a mistake of what was given.
pub(super) fn refused(error: StoreError) -> Failure {
    match &error {
        StoreError::NotFound { .. } => Failure::said(REFUSED, chain(&error)),
        _ => error.into(),
    }
}

pub(super) async fn known_school(at: &Opened, school: &SchoolCode) -> Result<String, Failure> {
    match query::school(at.store.as_ref(), school).await {
        Ok(school) => Ok(school.name),
        Err(error @ QueryError::NotFound { .. }) => Err(Failure::said(REFUSED, chain(&error))),
        Err(error) => Err(error.into()),
    }
}

async fn create(at: &Opened, arguments: &CreateCodeArgs) -> Result<(), Failure> {
    let name = known_school(at, &arguments.school).await?;
    let terms = Terms {
        school: arguments.school.clone(),
        uses: arguments.uses,
        days: arguments.days,
    };
    let (code, listed) = enrolment::create_code(at.store.as_ref(), terms, at.now)
        .await
        .map_err(refused)?;
    if at.json {
        return output::json(&json!({ "code": code, "listed": listed }));
    }
    print(&format!(
        "{code}\n\n{name}({})的注册码,编号 {}:可注册 {} 台新终端,{} 之前有效。\n此码只显示这一次,请现在抄下。",
        listed.school,
        listed.id,
        listed.uses,
        at.local(listed.expires_at)
    ));
    Ok(())
}

async fn list(at: &Opened, school: Option<&SchoolCode>) -> Result<(), Failure> {
    if let Some(school) = school {
        known_school(at, school).await?;
    }
    let codes = at.store.codes(school).await?;
    if at.json {
        return output::json(&codes);
    }
    let mut rows = table(
        &[
            "编号",
            "学校标识码",
            "状态",
            "创建",
            "有效至",
            "已用",
            "可用",
        ],
        5,
    );
    for code in &codes {
        rows.add_row([
            code.id.to_string(),
            code.school.to_string(),
            state(code, at.now.as_second()).to_owned(),
            at.local(code.created_at),
            at.local(code.expires_at),
            code.used.to_string(),
            code.uses.to_string(),
        ]);
    }
    print(&rows.to_string());
    Ok(())
}

fn state(code: &EnrolmentCode, now: i64) -> &'static str {
    if code.revoked {
        "已收回"
    } else if now >= code.expires_at {
        "已过期"
    } else if code.used >= code.uses {
        "已用完"
    } else {
        "有效"
    }
}

async fn revoke(at: &Opened, id: i64) -> Result<(), Failure> {
    at.store.revoke_code(id).await.map_err(refused)?;
    if at.json {
        return output::json(&json!({ "revoked": id }));
    }
    print(&format!("注册码 {id} 已收回,已注册的终端不受影响"));
    Ok(())
}

pub(super) async fn incidents(at: &Opened, arguments: &IncidentsArgs) -> Result<(), Failure> {
    let since = match arguments.since {
        None => i64::MIN,
        Some(day) => midnight(at, day)?,
    };
    let filter = IncidentFilter {
        terminal: arguments.terminal.clone(),
        since,
        limit: arguments.limit,
        ..IncidentFilter::default()
    };
    let incidents = at.store.incidents(&filter).await?;
    if at.json {
        let shown = incidents.iter().map(|incident| shown(at, incident));
        return output::json(&shown.collect::<Vec<_>>());
    }
    let mut rows = table(&["收到", "终端", "种类", "说明"], 99);
    for incident in &incidents {
        rows.add_row([
            at.local(incident.received_at),
            incident.terminal.to_string(),
            incident.kind.to_string(),
            incident.sentence(&at.config.zone),
        ]);
    }
    print(&rows.to_string());
    print(&format!("共 {} 条", incidents.len()));
    Ok(())
}

fn shown(at: &Opened, incident: &Incident) -> serde_json::Value {
    json!({
        "terminal": incident.terminal, "kind": incident.kind, "at": incident.at, "seconds": incident.seconds,
        "received_at": incident.received_at, "sentence": incident.sentence(&at.config.zone),
    })
}

fn midnight(at: &Opened, day: Date) -> Result<i64, Failure> {
    let midnight = day.to_zoned_datetime(at.config.zone.clone());
    let midnight = midnight.map_err(|error| Failure::said(FAILED, error.to_string()))?;
    Ok(midnight.timestamp().as_second())
}
