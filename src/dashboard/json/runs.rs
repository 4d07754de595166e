//! Evaluation runs as JSON: the list, and one run's points with their reasons.

use axum::{
    extract::{Path, Query, State},
    http::header,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, answers::Period};
use crate::{
    dashboard::{
        Context,
        failure::{JsonFailure, Problem},
        filters::Filters,
        pages::runs::opened,
    },
    sheets::{results, run as sheet},
    store::Run,
};

/// A county's runs, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Runs {
    county: String,
    runs: Vec<RunInfo>,
}

/// One run.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RunInfo {
    run: i64,
    name: String,
    period: Period,
    /// `draft` or `frozen`.
    state: &'static str,
    /// The run that it corrects.
    supersedes: Option<i64>,
    /// Of a frozen run: over all that it is.
    digest: Option<String>,
    frozen_by: Option<String>,
    /// Unix seconds.
    frozen_at: Option<i64>,
}

impl From<&Run> for RunInfo {
    fn from(run: &Run) -> Self {
        let freeze = run.frozen();
        Self {
            run: run.id,
            name: run.name.clone(),
            period: run.period.into(),
            state: if freeze.is_some() { "frozen" } else { "draft" },
            supersedes: run.supersedes,
            digest: freeze.map(|freeze| freeze.digest.to_string()),
            frozen_by: freeze.map(|freeze| freeze.by.clone()),
            frozen_at: freeze.map(|freeze| freeze.at),
        }
    }
}

/// A county's evaluation runs, newest first.
#[utoipa::path(get, path = "/api/v1/runs",
    params(("county" = Option<String>, Query, description = "Six digits; the first county unless given")),
    responses((status = 200, body = Runs), (status = 409, body = Problem, description = "Nothing is registered yet")))]
pub(super) async fn list(
    State(at): State<Context>,
    Query(filters): Query<Filters>,
) -> Answer<Runs> {
    let (_, county) = filters.county(&at).await?;
    let runs = at.store().runs(&county.code).await?;
    Ok(axum::Json(Runs {
        county: county.code.to_string(),
        runs: runs.iter().map(Into::into).collect(),
    }))
}

/// Every school's points in a run, each with its reason: a draft's as they would be, a frozen run's as they were frozen.
#[utoipa::path(get, path = "/api/v1/runs/{run}",
    params(("run" = i64, Path, description = "The run's number")),
    responses(
        (status = 200, description = "The same as the run's file `json`", content_type = "application/json"),
        (status = 404, body = Problem)))]
pub(super) async fn one(
    State(at): State<Context>,
    Path(run): Path<String>,
) -> Result<Response, JsonFailure> {
    let loaded = at.loaded(opened(&at, &run).await?).await?;
    let said = results::json(&sheet::results(&loaded, &at.parts.zone));
    let headers = [(header::CONTENT_TYPE, "application/json")];
    Ok((headers, said).into_response())
}
