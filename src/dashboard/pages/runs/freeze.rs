//! Freezing in two steps: what is about to be fixed is shown with its digest, then exactly that is confirmed.

use axum::{
    Form,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse as _, Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Tab, doubts, draft, long, missing, opened, page as head, tabs, watch_part};
use crate::{
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        form, guard,
        table::{Table, answer},
    },
    domain::access::Permission,
    evaluation::{self, EvaluationError, Freezing, Loaded},
    store::StoreError,
};

/// The first step.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Path(run): Path<String>,
    Query(filters): Query<Filters>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let may = guard::may(&at, &headers, Permission::FreezeRuns);
    let run = opened(&at, &run).await?;
    draft(&run)?;
    let loaded = at.loaded(run).await?;
    let (missing, doubts) = (
        missing(&loaded),
        doubts(&loaded, &loaded.results.watch, may),
    );
    answer(
        &filters,
        &[&missing, &doubts],
        &format!("考核{}", loaded.run.id),
        || markup(&loaded, [&missing, &doubts], may, &at, &html! {}),
    )
}

fn markup(
    loaded: &Loaded,
    [missing, doubts]: [&Table; 2],
    may: bool,
    at: &Context,
    told: &Markup,
) -> Markup {
    let run = &loaded.run;
    let figures = loaded.results.figures().to_string();
    let over = run.period.last < at.today();
    let open = loaded.results.missing();
    head(run, Tab::Freeze).markup(&html! {
        (tabs(run, Tab::Freeze))
        (told)
        section.card.notice aria-labelledby="what" {
            h2 #what { "冻结什么" }
            p {
                "冻结把细则、教学日历、材料、排除、每台终端的使用分钟和全部成绩存成一份,今后不再改变,一年后也能原样算出。更正要另建一次考核。"
            }
            dl.facts {
                dt { "成绩摘要" } dd { code.digest { (figures) } }
                dt { "学校" } dd { (loaded.results.schools.len()) " 所" }
                dt { "未填的材料" } dd { (open) " 项" @if open > 0 { ",冻结后记 0 分" } }
                dt { "排除" } dd { (loaded.inputs.exclusions.len()) " 条," a href={ "/runs/" (run.id) "/exclusions" } { "查看" } }
            }
        }
        section.card aria-labelledby="doubts" { (watch_part(&loaded.results.watch, doubts)) }
        section.card aria-labelledby="confirm" {
            h2 #confirm { "确认冻结" }
            @if !may {
                p.note { (guard::only_looks(at)) "。" }
            } @else if over {
                (confirm(run.id, run.revision, &figures, open))
            } @else {
                p.note { "考核期到 " (run.period.last) " 结束,次日起才能冻结;在此之前可以随时试算。" }
            }
        }
        section.card aria-labelledby="missing" { (long(missing, "")) }
    })
}

fn confirm(run: i64, revision: i64, figures: &str, missing: usize) -> Markup {
    html! {
        form method="post" action={ "/runs/" (run) "/freeze" } {
            input type="hidden" name="revision" value=(revision);
            input type="hidden" name="figures" value=(figures);
            @if missing > 0 {
                label.check {
                    input type="checkbox" name="accept" value="yes" required;
                    span { "我知道有 " (missing) " 项材料未填,这些按 0 分冻结" }
                }
            }
            label.check {
                input type="checkbox" name="sure" value="yes" required;
                span { "我已核对以上成绩(摘要 " code { (figures.get(..16).unwrap_or(figures)) } "),确认冻结" }
            }
            div.filters {
                label.wide-field { "说明(可不填)" input type="text" name="note" maxlength="500"; }
                (form::who_field())
                button.primary type="submit" { "冻结" }
            }
        }
    }
}

/// What was looked at, and by whom it is frozen.
#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct FreezeForm {
    revision: i64,
    figures: String,
    #[serde(default)]
    accept: String,
    #[serde(default)]
    sure: String,
    #[serde(default)]
    note: String,
    by: String,
}

/// The second step.
pub(in crate::dashboard) async fn freeze(
    State(at): State<Context>,
    Path(run): Path<String>,
    Form(form): Form<FreezeForm>,
) -> Result<Response, Failure> {
    let run = opened(&at, &run).await?;
    draft(&run)?;
    if form.sure != "yes" || form.figures.len() != 64 {
        return Err(Failure::field("确认", "请先查看成绩摘要,再勾选确认"));
    }
    let freezing = Freezing {
        revision: Some(form.revision),
        figures: form.figures,
        by: form::who(&form.by)?,
        at: at.parts.clock.now().as_second(),
        today: at.today(),
        note: form.note.trim().to_owned(),
        accept_missing: form.accept == "yes",
    };
    let id = run.id;
    match evaluation::freeze(at.store(), id, freezing).await {
        Ok(_) => {
            tracing::info!(run = id, "a run was frozen on the dashboard");
            Ok(Redirect::to(&format!("/runs/{id}?done=frozen")).into_response())
        }
        Err(
            error @ (EvaluationError::Changed { .. }
            | EvaluationError::Missing(_)
            | EvaluationError::NotOver { .. }
            | EvaluationError::Store(StoreError::Conflict(_))),
        ) => look_again(&at, id, &Failure::from(error)).await,
        Err(error) => Err(error.into()),
    }
}

/// The first step once more, as things stand now, with why it was not frozen.
async fn look_again(at: &Context, run: i64, why: &Failure) -> Result<Response, Failure> {
    let run = at.store().run(run).await?;
    draft(&run)?;
    let loaded = at.fresh(run).await?;
    let (missing, doubts) = (
        missing(&loaded),
        doubts(&loaded, &loaded.results.watch, true),
    );
    let told = html! { p.bad role="alert" { "没有冻结:" (why.sentence()) "。" } };
    let page = markup(&loaded, [&missing, &doubts], true, at, &told);
    Ok((StatusCode::CONFLICT, Html(page.into_string())).into_response())
}
