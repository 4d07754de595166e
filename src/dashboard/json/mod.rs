//! `/api/v1`: the same questions as gRPC as JSON over HTTP, and their OpenAPI document.
//!
//! Figures come from the same functions as pages and gRPC; `*_display` is what people see.

mod answers;
mod runs;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::get,
};
use utoipa::OpenApi;

use super::{
    Context,
    failure::{Failure, JsonFailure, Problem},
    filters::Filters,
};
use crate::{
    domain::ids::{SchoolCode, TerminalId},
    query::{self, SchoolFilter},
};
use answers::{
    CountyNow, Fraction, Period, SchoolNow, SchoolScore, SchoolUsage, SchoolUsages, Scores,
    TerminalDay, TerminalUsage, TerminalUsages,
};

type Answer<T> = Result<Json<T>, JsonFailure>;

/// The document of all answers.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "课脉 Classpulse",
        description = "各校班班通终端使用时长与后台监测得分。与 gRPC 接口同一套查询,数字一致。"
    ),
    paths(
        openapi,
        now,
        schools,
        terminals,
        terminal_day,
        scores,
        runs::list,
        runs::one
    ),
    components(schemas(
        Problem,
        Fraction,
        Period,
        SchoolUsage,
        TerminalUsage,
        SchoolScore,
        SchoolNow,
        runs::RunInfo
    ))
)]
struct Document;

/// Routes under `/api/v1`.
pub(super) fn routes() -> Router<Context> {
    Router::new()
        .route("/api/v1/openapi.json", get(openapi))
        .route("/api/v1/now", get(now))
        .route("/api/v1/schools", get(schools))
        .route("/api/v1/schools/{code}/terminals", get(terminals))
        .route("/api/v1/terminals/{id}/days/{date}", get(terminal_day))
        .route("/api/v1/scores", get(scores))
        .route("/api/v1/runs", get(runs::list))
        .route("/api/v1/runs/{run}", get(runs::one))
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", responses((status = 200, description = "OpenAPI 3.1")))]
async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}

/// What the county's terminals do now, school by school.
#[utoipa::path(get, path = "/api/v1/now",
    params(("county" = Option<String>, Query, description = "Six digits; the first county unless given")),
    responses((status = 200, body = CountyNow), (status = 409, body = Problem, description = "Nothing is registered yet")))]
async fn now(State(at): State<Context>, Query(filters): Query<Filters>) -> Answer<CountyNow> {
    let (_, county) = filters.county(&at).await?;
    let moment = at.moment();
    let schools = query::county_now(at.store(), &county.code, &moment).await?;
    Ok(Json(CountyNow::of(county.code.as_str(), &moment, &schools)))
}

/// Every school's usage over a period, highest average first.
#[utoipa::path(get, path = "/api/v1/schools",
    params(
        ("county" = Option<String>, Query, description = "Six digits; the first county unless given"),
        ("term" = Option<String>, Query, description = "A term, by its first day"),
        ("from" = Option<String>, Query, description = "First day, such as 2026-09-01"),
        ("to" = Option<String>, Query, description = "Last day; clipped to today"),
        ("stage" = Option<String>, Query, description = "学段, such as 小学"),
        ("township" = Option<String>, Query, description = "乡镇")),
    responses((status = 200, body = SchoolUsages), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn schools(
    State(at): State<Context>,
    Query(filters): Query<Filters>,
) -> Answer<SchoolUsages> {
    let scope = filters.scope(&at).await?;
    at.freshen().await?;
    let county = &scope.county.code;
    let found = query::school_usage(at.store(), county, scope.period, &scope.filter).await?;
    Ok(Json(SchoolUsages {
        county: county.to_string(),
        period: scope.period.into(),
        schools: found.iter().map(Into::into).collect(),
    }))
}

/// One school's terminals over a period, silent ones first.
#[utoipa::path(get, path = "/api/v1/schools/{code}/terminals",
    params(
        ("code" = String, Path, description = "学校标识码"),
        ("term" = Option<String>, Query, description = "A term, by its first day"),
        ("from" = Option<String>, Query, description = "First day"),
        ("to" = Option<String>, Query, description = "Last day; clipped to today")),
    responses((status = 200, body = TerminalUsages), (status = 404, body = Problem)))]
async fn terminals(
    State(at): State<Context>,
    Path(code): Path<String>,
    Query(mut filters): Query<Filters>,
) -> Answer<TerminalUsages> {
    let parsed: Result<SchoolCode, _> = code.parse();
    let code = parsed.map_err(|_error| Failure::field("学校标识码", "不合规"))?;
    let school = query::school(at.store(), &code).await?;
    filters.county = school.county.to_string();
    let scope = filters.scope(&at).await?;
    let found = query::terminal_usage(at.store(), &code, scope.period).await?;
    Ok(Json(TerminalUsages {
        school_code: code.to_string(),
        period: scope.period.into(),
        terminals: found.iter().map(Into::into).collect(),
    }))
}

/// One terminal's minutes on one day.
#[utoipa::path(get, path = "/api/v1/terminals/{id}/days/{date}",
    params(
        ("id" = String, Path, description = "The terminal's id"),
        ("date" = String, Path, description = "Such as 2026-09-01")),
    responses((status = 200, body = TerminalDay), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn terminal_day(
    State(at): State<Context>,
    Path((id, date)): Path<(String, String)>,
) -> Answer<TerminalDay> {
    let parsed: Result<TerminalId, _> = id.parse();
    let id = parsed.map_err(|_error| Failure::field("终端", "编号不合规"))?;
    let asked = Filters {
        date,
        ..Filters::default()
    };
    let day = asked.date()?.unwrap_or_else(|| at.today());
    let found = query::terminal_day(at.store(), &id, day).await?;
    Ok(Json((&found).into()))
}

/// The 后台监测 points of every school of a county.
#[utoipa::path(get, path = "/api/v1/scores",
    params(
        ("county" = Option<String>, Query, description = "Six digits; the first county unless given"),
        ("term" = Option<String>, Query, description = "A term, by its first day"),
        ("from" = Option<String>, Query, description = "First day"),
        ("to" = Option<String>, Query, description = "Last day; clipped to today")),
    responses((status = 200, body = Scores), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn scores(State(at): State<Context>, Query(filters): Query<Filters>) -> Answer<Scores> {
    let scope = filters.scope(&at).await?;
    at.freshen().await?;
    let (county, everyone) = (&scope.county.code, SchoolFilter::default());
    let usage = query::school_usage(at.store(), county, scope.period, &everyone).await?;
    let found = query::scored(&usage);
    Ok(Json(Scores {
        county: county.to_string(),
        period: scope.period.into(),
        highest_average: found.highest.into(),
        highest_schools: found
            .highest_schools
            .iter()
            .map(ToString::to_string)
            .collect(),
        schools: found.schools.iter().map(Into::into).collect(),
    }))
}
