//! What the page on data quality lets change: entries are tried again, waiting terminals go into service.

use axum::{Form, extract::State, response::Redirect};
use serde::Deserialize;

use crate::{
    dashboard::{Again, Context, failure::Failure, form},
    domain::ids::TerminalId,
    registry::{self, Approval, ApproveError},
};

/// Which entries to replay.
#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct ReplayForm {
    id: Option<i64>,
    reason: Option<String>,
}

/// Tries quarantine entries again.
pub(in crate::dashboard) async fn replay(
    State(at): State<Context>,
    Form(form): Form<ReplayForm>,
) -> Result<Redirect, Failure> {
    if form.id.is_none() && form.reason.is_none() {
        return Err(Failure::field("重放", "请选择一条记录或一种原因"));
    }
    let which = Again {
        id: form.id,
        reason: form.reason,
    };
    tracing::info!(?which, "a replay was asked for on the dashboard");
    let done = at.parts.replayer.replay(which).await?;
    at.freshen().await?;
    Ok(Redirect::to(&format!(
        "/quality?done=replayed&tried={}&counted={}",
        done.tried, done.counted
    )))
}

/// A waiting terminal and where it stands.
#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct ApproveForm {
    terminal: String,
    school: String,
    #[serde(default)]
    room: String,
}

/// Puts a waiting terminal into service.
pub(in crate::dashboard) async fn approve(
    State(at): State<Context>,
    Form(form): Form<ApproveForm>,
) -> Result<Redirect, Failure> {
    let terminal: TerminalId = form
        .terminal
        .parse()
        .map_err(|_error| Failure::field("终端", "编号不合规"))?;
    let school = form::school(&form.school)?;
    let approval = Approval {
        terminal,
        school,
        room: form.room.trim().chars().take(40).collect(),
        from: None,
    };
    tracing::info!(terminal = %approval.terminal, school = %approval.school, "a terminal was approved on the dashboard");
    let done = registry::approve(at.store(), vec![approval], &at.parts.zone).await;
    done.map_err(|error| match error {
        ApproveError::Store(error) => Failure::Store(error),
        ApproveError::UnknownTerminal(_) => Failure::field("终端", "从未报告过,无法批准"),
        ApproveError::InService(_) | ApproveError::Twice(_) => {
            Failure::field("终端", "已经批准过;要调拨请导入终端表")
        }
    })?;
    at.freshen().await?;
    Ok(Redirect::to("/quality?done=approved#pending"))
}
