//! 材料 of a run: how far each school is, and the workbook both ways.

use std::collections::BTreeMap;

use axum::{
    extract::{Path, Query, State},
    http::HeaderMap,
    response::Response,
};
use maud::{Markup, html};

use super::{Tab, opened, page as head, tabs};
use crate::{
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        form, guard,
        table::{Cell, Column, Table, answer},
    },
    domain::{access::Permission, rubric::score},
    evaluation::{self, Form},
    store::Run,
};

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Path(run): Path<String>,
    Query(filters): Query<Filters>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let may = guard::may(&at, &headers, Permission::EnterEvidence);
    let run = opened(&at, &run).await?;
    let form = evaluation::form(at.store(), run.id).await?;
    let table = table(&run, &form);
    answer(&filters, &[&table], &format!("考核{}", run.id), || {
        markup(&run, &table, may, &filters, &html! {})
    })
}

/// The page, with what a workbook came to.
pub(super) fn markup(
    run: &Run,
    table: &Table,
    may: bool,
    filters: &Filters,
    told: &Markup,
) -> Markup {
    head(run, Tab::Evidence).markup(&html! {
        (tabs(run, Tab::Evidence))
        @if filters.done == "imported" {
            p.good role="status" { "已导入:" (filters.tried) " 条材料有变化,其中删除 " (filters.counted) " 条。" }
        }
        section.card aria-labelledby="workbook" { (workbook_part(run, may)) (told) }
        section.card aria-labelledby="schools" { (table.html("")) }
    })
}

fn workbook_part(run: &Run, may: bool) -> Markup {
    let address = format!("/runs/{}/workbook", run.id);
    html! {
        h2 #workbook { "材料表(XLSX)" }
        p.note {
            "每个一级指标一张表,一行一所学校。下载后分给各校或各股室填写,再导入;先检查,确认后才写入,有一处错误就一格也不写。"
        }
        p.buttons {
            a.button href=(address) download="" { "下载材料表(含已填内容)" }
            a.button href={ (address) "?empty=1" } download="" { "下载空白模板" }
        }
        @if may && run.frozen().is_none() {
            form.filters method="post" action=(address) enctype="multipart/form-data" {
                label { "填好的材料表" input type="file" name="file" required accept=".xlsx"; }
                (form::who_field())
                button.primary type="submit" name="do" value="check" { "检查并预览" }
            }
        }
    }
}

/// How far each school is.
pub(super) fn table(run: &Run, form: &Form) -> Table {
    let nothing = BTreeMap::new();
    let asked: Vec<_> = form
        .rubric
        .items()
        .filter(|item| !item.fields().is_empty())
        .collect();
    let row = |school: &crate::store::School| {
        let known = form.evidence.get(&school.code).unwrap_or(&nothing);
        // Without minutes: 后台监测 is nothing that anybody fills in.
        let sheet = score(&form.rubric, school.stage, known, None);
        let open = |id: &str| sheet.item(id).map_or(0, |item| item.missing.len());
        let complete = asked.iter().filter(|item| open(&item.id) == 0).count();
        let questions: usize = asked.iter().map(|item| open(&item.id)).sum();
        let form = format!("/runs/{}/schools/{}/evidence", run.id, school.code);
        vec![
            Cell::link(school.name.clone(), &form),
            school.code.to_string().into(),
            school.stage.name().into(),
            Cell::from(format!("{complete}/{}", asked.len())),
            Cell::count(questions as u64),
        ]
    };
    Table {
        key: "schools",
        caption: "各校材料".to_owned(),
        columns: vec![
            Column::Head("学校"),
            Column::Text("学校标识码"),
            Column::Text("学段"),
            Column::Text("已填齐的条目"),
            Column::Number("未填的提问"),
        ],
        rows: form.schools.iter().map(row).collect(),
        empty: "本县没有学校。",
    }
}
