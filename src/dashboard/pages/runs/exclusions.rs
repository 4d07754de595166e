//! Days of terminals that don't count in a run, each with a name and a reason.

use axum::{
    Form,
    extract::{Path, Query, State},
    http::{HeaderMap, Method},
    response::{Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Tab, draft, opened, page as head, tabs};
use crate::{
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        form, guard,
        table::{Cell, Column, Table, answer},
        text,
    },
    domain::{
        access::Permission,
        ids::{CountyCode, TerminalId},
    },
    evaluation,
    store::{Exclusion, KeptExclusion, Run},
};

/// What the form begins with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Asked {
    terminal: String,
    from: String,
    to: String,
    reason: String,
}

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Path(run): Path<String>,
    Query(filters): Query<Filters>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let run = opened(&at, &run).await?;
    let may = guard::may(&at, &headers, Permission::ManageRuns) && run.frozen().is_none();
    let found = evaluation::list_exclusions(at.store(), run.id).await?;
    let table = table(&run, &found, &at, may);
    answer(&filters, &[&table], &format!("考核{}", run.id), || {
        head(&run, Tab::Exclusions).markup(&html! {
            (tabs(&run, Tab::Exclusions))
            @if let Some(said) = message(&filters) { p.good role="status" { (said) } }
            section.card aria-labelledby="exclusions" {
                (table.html(""))
                p.note { "被排除的日子既不计入分钟,也不算应计日;理由和决定人随考核一起冻结。" }
            }
            @if may { section.card aria-labelledby="add" { (add_form(&run, &asked)) } }
        })
    })
}

/// Exclusions in all of a county's runs, newest run first; of one terminal, or of all.
pub(in crate::dashboard) async fn everywhere(
    at: &Context,
    county: Option<&CountyCode>,
    terminal: Option<&TerminalId>,
) -> Result<Table, Failure> {
    let mut rows = Vec::new();
    let runs = match county {
        Some(county) if guard::opens(&Method::GET, "/runs/{run}/exclusions") => {
            at.store().runs(county).await?
        }
        _ => Vec::new(),
    };
    for run in runs {
        for one in at.store().exclusions(run.id).await? {
            let kept = one.exclusion;
            if terminal.is_some_and(|terminal| *terminal != kept.terminal) {
                continue;
            }
            rows.push(vec![
                Cell::link(
                    kept.terminal.to_string(),
                    &format!("/terminals/{}?date={}", kept.terminal, kept.first),
                ),
                Cell::link(
                    format!("{} {}", run.id, run.name),
                    &format!("/runs/{}/exclusions", run.id),
                ),
                kept.first.to_string().into(),
                kept.last.to_string().into(),
                kept.reason.into(),
                kept.by.into(),
                text::moment(kept.at, &at.parts.zone).into(),
            ]);
        }
    }
    Ok(Table {
        key: "exclusions",
        caption: "考核中排除的日子".to_owned(),
        columns: vec![
            Column::Head("终端"),
            Column::Text("考核"),
            Column::Text("起"),
            Column::Text("止"),
            Column::Long("理由"),
            Column::Text("决定人"),
            Column::Text("时间"),
        ],
        rows,
        empty: "没有排除任何日子。",
    })
}

fn message(filters: &Filters) -> Option<&'static str> {
    match filters.done.as_str() {
        "added" => Some("已排除。"),
        "removed" => Some("已撤回排除。"),
        _ => None,
    }
}

fn table(run: &Run, found: &[KeptExclusion], at: &Context, may: bool) -> Table {
    let row = |one: &KeptExclusion| {
        let kept = &one.exclusion;
        let page = format!("/terminals/{}?date={}", kept.terminal, kept.first);
        let mut row = vec![
            Cell::link(kept.terminal.to_string(), &page),
            kept.first.to_string().into(),
            kept.last.to_string().into(),
            kept.reason.clone().into(),
            kept.by.clone().into(),
            text::moment(kept.at, &at.parts.zone).into(),
        ];
        if may {
            row.push(Cell::shown(html! {
                form.inline method="post" action={ "/runs/" (run.id) "/exclusions/remove" } {
                    input type="hidden" name="id" value=(one.id);
                    button type="submit" aria-label={ "撤回排除:终端 " (kept.terminal) " " (kept.first) " 至 " (kept.last) } { "撤回" }
                }
            }));
        }
        row
    };
    let mut columns = vec![
        Column::Head("终端"),
        Column::Text("起"),
        Column::Text("止"),
        Column::Long("理由"),
        Column::Text("决定人"),
        Column::Text("时间"),
    ];
    if may {
        columns.push(Column::Shown("操作"));
    }
    Table {
        key: "exclusions",
        caption: "排除的终端日".to_owned(),
        columns,
        rows: found.iter().map(row).collect(),
        empty: "没有排除任何日子。",
    }
}

fn add_form(run: &Run, asked: &Asked) -> Markup {
    let or = |text: &str, day: jiff::civil::Date| {
        if text.is_empty() {
            day.to_string()
        } else {
            text.to_owned()
        }
    };
    html! {
        h2 #add { "排除一台终端的一段日子" }
        form.filters method="post" action={ "/runs/" (run.id) "/exclusions" } {
            label { "终端编号" input type="text" name="terminal" required maxlength="64" value=(asked.terminal); }
            label { "从" input type="date" name="from" required value=(or(&asked.from, run.period.first)); }
            label { "到" input type="date" name="to" required value=(or(&asked.to, run.period.last)); }
            label.wide-field { "理由" input type="text" name="reason" required maxlength="500" value=(asked.reason); }
            (form::who_field())
            button.primary type="submit" { "排除" }
        }
    }
}

/// Days to exclude.
#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct AddForm {
    terminal: String,
    from: String,
    to: String,
    reason: String,
    by: String,
}

/// Excludes days of a terminal.
pub(in crate::dashboard) async fn add(
    State(at): State<Context>,
    Path(run): Path<String>,
    Form(form): Form<AddForm>,
) -> Result<Redirect, Failure> {
    let run = opened(&at, &run).await?;
    draft(&run)?;
    let terminal: Result<TerminalId, _> = form.terminal.trim().parse();
    let reason = form.reason.trim();
    if reason.is_empty() {
        return Err(Failure::field("理由", "请写明为什么排除"));
    }
    let first = form::day("开始日期", &form.from)?.unwrap_or(run.period.first);
    let last = form::day("结束日期", &form.to)?.unwrap_or(run.period.last);
    if last < first {
        return Err(Failure::field("结束日期", "不能早于开始日期"));
    }
    let exclusion = Exclusion {
        terminal: terminal.map_err(|_error| Failure::field("终端编号", "编号不合规"))?,
        first,
        last,
        reason: reason.to_owned(),
        by: form::who(&form.by)?,
        at: at.parts.clock.now().as_second(),
    };
    tracing::info!(run = run.id, terminal = %exclusion.terminal, "days were excluded on the dashboard");
    evaluation::exclude(at.store(), run.id, exclusion).await?;
    Ok(Redirect::to(&format!(
        "/runs/{}/exclusions?done=added",
        run.id
    )))
}

/// Which exclusion.
#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct RemoveForm {
    id: i64,
}

/// Takes an exclusion back.
pub(in crate::dashboard) async fn remove(
    State(at): State<Context>,
    Path(run): Path<String>,
    Form(form): Form<RemoveForm>,
) -> Result<Redirect, Failure> {
    let run = opened(&at, &run).await?;
    draft(&run)?;
    at.store().remove_exclusion(run.id, form.id).await?;
    tracing::info!(
        run = run.id,
        id = form.id,
        "an exclusion was taken back on the dashboard"
    );
    Ok(Redirect::to(&format!(
        "/runs/{}/exclusions?done=removed",
        run.id
    )))
}
