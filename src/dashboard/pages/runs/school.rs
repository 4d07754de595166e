//! 考核评分表: every item of one school with its points and the reason for them.

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use maud::{Markup, html};

use super::{Tab, mark, opened, rubric::most, school_code, school_page, tabs};
use crate::{
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        pages::figure,
        table::{Cell, Column, Table, answer},
    },
    domain::rubric::{Rubric, sheet::ItemState},
    evaluation::{EvaluationError, Loaded, SchoolResult},
    sheets::run::Export,
};

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Path((run, code)): Path<(String, String)>,
    Query(filters): Query<Filters>,
) -> Result<Response, Failure> {
    let code = school_code(&code)?;
    let loaded = at.loaded_for(opened(&at, &run).await?, &code).await?;
    let found = loaded.results.school(&code);
    let found = found.ok_or_else(|| EvaluationError::Unknown {
        what: "school",
        id: code.to_string(),
    })?;
    let table = table(&loaded, found);
    let name = format!("考核{}_{}", loaded.run.id, code);
    answer(&filters, &[&table], &name, || {
        let run = &loaded.run;
        let file = format!(
            "/runs/{}/files/{}?school={code}",
            run.id,
            Export::SchoolXlsx
        );
        let mut page = school_page(run, found.school.name.clone(), Vec::new());
        page.lead = format!(
            "考核评分表 · {} · {} · 学校标识码 {code}",
            run.name, found.school.stage
        );
        page.markup(&html! {
            (tabs(run, Tab::Summary))
            (figures(&loaded.inputs.rubric.rubric, found))
            p.buttons {
                @if Tab::Evidence.opens() {
                    a.button href={ "/runs/" (run.id) "/schools/" (code) "/evidence" } { "本校材料" }
                    a.button href=(file) download="" { "考核评分表 XLSX" }
                }
                a.button.quiet href={ "/schools/" (code) } { "本校使用情况" }
            }
            section.card aria-labelledby="items" {
                (table.html(&filters.query()))
                p.note { "点条目编号看依据、解读和计算过程。" }
            }
        })
    })
}

fn figures(rubric: &Rubric, found: &SchoolResult) -> Markup {
    let capped = |id: &str| {
        found
            .sheet
            .groups
            .iter()
            .find(|group| group.id == id && group.is_capped())
    };
    html! {
        dl.figures {
            (figure("总分", &found.sheet.total.to_string(), "分", &html! { "满分 " (rubric.total.short()) }))
            @for (group, score) in rubric.groups.iter().zip(&found.sheet.groups) {
                (figure(&group.name, &score.points.to_string(), "分", &html! {
                    @match capped(&group.id) {
                        Some(score) => { "共 " (score.uncapped.short()) " 分," (group.weight.short()) " 分封顶" },
                        None => { "满分 " (group.weight.short()) },
                    }
                }))
            }
        }
    }
}

fn table(loaded: &Loaded, found: &SchoolResult) -> Table {
    let base = format!(
        "/runs/{}/schools/{}/items",
        loaded.run.id, found.school.code
    );
    let mut rows = Vec::new();
    for group in &loaded.inputs.rubric.rubric.groups {
        for indicator in &group.indicators {
            for item in &indicator.items {
                let Some(score) = found.sheet.item(&item.id) else {
                    continue;
                };
                let state = mark(score.state);
                let reason = html! {
                    @if score.state != ItemState::Scored { span.trial { (state) } }
                    (score.reason)
                };
                rows.push(vec![
                    Cell::link(item.id.clone(), &format!("{base}/{}", item.id)),
                    group.name.clone().into(),
                    indicator.title(group).into(),
                    item.text.clone().into(),
                    most(item).into(),
                    score.points.to_string().into(),
                    state.into(),
                    Cell::drawn(score.reason.clone(), reason),
                ]);
            }
        }
    }
    Table {
        key: "items",
        caption: "考核评分表".to_owned(),
        columns: vec![
            Column::Head("条目"),
            Column::Exported("一级指标"),
            Column::Text("二级指标"),
            Column::Long("考核内容"),
            Column::Number("满分"),
            Column::Number("计分"),
            Column::Exported("状态"),
            Column::Long("理由"),
        ],
        rows,
        empty: "细则没有条目。",
    }
}
