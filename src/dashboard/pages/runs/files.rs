//! A run's files: the same that the command line and gRPC give.

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use serde::Deserialize;

use super::{opened, school_code};
use crate::{
    dashboard::{Context, failure::Failure, table::attachment},
    observe::chain,
    sheets::{
        WriteError,
        run::{self, Export},
    },
    tasks::blocking,
};

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Asked {
    /// For a file of one school.
    school: String,
}

/// A workbook could not be written: the reason is the operator's.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
pub(super) fn unwritten(error: WriteError) -> Failure {
    tracing::error!(error = chain(&error), "a workbook could not be written");
    Failure::Unwritten
}

/// The file.
pub(in crate::dashboard) async fn file(
    State(at): State<Context>,
    Path((run, kind)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let kind: Export = kind.parse().map_err(|_unknown| {
        let all = Export::ALL.map(Export::name).join("、");
        Failure::field("文件", format!("可下载:{all}"))
    })?;
    let school = match asked.school.as_str() {
        "" => None,
        code => Some(school_code(code)?),
    };
    let loaded = at.loaded(opened(&at, &run).await?).await?;
    let zone = at.parts.zone.clone();
    let id = loaded.run.id;
    let made = blocking(move || {
        let results = run::results(&loaded, &zone);
        run::export(&results, kind, school.as_ref()).map_err(unwritten)
    });
    let (name, content) = made
        .await?
        .ok_or_else(|| Failure::field("学校", "请选择考核中的一所学校"))?;
    Ok(attachment(&format!("run-{id}"), &name, content))
}
