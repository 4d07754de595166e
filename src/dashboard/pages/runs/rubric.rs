//! 考核评估细则: the rubric as published, the readings of what it leaves open, and a county's own.

use axum::{
    extract::{Multipart, Query, State},
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse as _, Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{files::unwritten, list::rubrics};
use crate::{
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        form, guard,
        layout::Page,
        table::{Cell, Column, Table, answer, attachment},
    },
    domain::{
        access::Permission,
        rubric::{Group, Rubric, definition::Item},
    },
    sheets::rubric as sheet,
    store::ContentDigest,
    tasks::blocking,
};

/// What the address asks for beside the filters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Asked {
    /// A kept rubric; the built-in one unless given.
    digest: String,
}

type Kept = (ContentDigest, Rubric, bool);

impl Asked {
    fn chosen<'a>(&self, all: &'a [Kept]) -> Result<&'a Kept, Failure> {
        let found = if self.digest.is_empty() {
            all.first()
        } else {
            all.iter()
                .find(|(digest, ..)| digest.to_string() == self.digest)
        };
        found.ok_or_else(|| Failure::field("细则", "没有保存这个摘要的细则,请从列表中选择"))
    }
}

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Query(filters): Query<Filters>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let may = guard::may(&at, &headers, Permission::ManageRuns);
    let all = rubrics(&at).await?;
    let chosen = asked.chosen(&all)?;
    let items = items(&chosen.1);
    answer(&filters, &[&items], &chosen.1.id, || {
        let told = html! {
            @if filters.done == "imported" { p.good role="status" { "细则已保存,新建考核时可以选用。" } }
        };
        markup(&all, chosen, may, &told)
    })
}

/// The rubric as a workbook.
pub(in crate::dashboard) async fn download(
    State(at): State<Context>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let all = rubrics(&at).await?;
    let rubric = asked.chosen(&all)?.1.clone();
    let name = format!("{}.xlsx", rubric.title.replace(['/', '\\', ':'], "-"));
    let made = blocking(move || sheet::xlsx(&rubric).map_err(unwritten));
    Ok(attachment("rubric", &name, made.await?))
}

/// Checks a rubric's file, and keeps it where that was asked for.
pub(in crate::dashboard) async fn upload(
    State(at): State<Context>,
    form: Multipart,
) -> Result<Response, Failure> {
    let upload = form::upload(form).await?;
    let text = String::from_utf8(upload.content)
        .map_err(|_error| Failure::field("细则文件", "不是 UTF-8 文本"))?;
    let all = rubrics(&at).await?;
    let shown = Asked::default();
    let shown = shown.chosen(&all)?;
    let (status, told) = match Rubric::parse(&text) {
        Err(faults) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            html! { div.bad role="alert" { p { "没有保存。" } pre { (faults) } } },
        ),
        Ok(rubric) if upload.action == "save" => {
            let now = at.parts.clock.now().as_second();
            let digest = at.store().put_rubric(&text, now).await?;
            tracing::info!(%digest, id = rubric.id, "a rubric was kept on the dashboard");
            let to = format!("/rubric?digest={digest}&done=imported");
            return Ok(Redirect::to(&to).into_response());
        }
        Ok(rubric) => (
            StatusCode::OK,
            html! { p.good role="status" {
                "“" (rubric.title) "”检查通过,还没有保存:一级指标 " (rubric.groups.len()) " 个,条目 " (rubric.items().count()) " 条,满分 " (rubric.total.short()) " 分。"
            } },
        ),
    };
    let page = markup(&all, shown, true, &told);
    Ok((status, Html(page.into_string())).into_response())
}

fn markup(all: &[Kept], (digest, rubric, built_in): &Kept, may: bool, told: &Markup) -> Markup {
    let issued = [rubric.issuer.as_str(), rubric.issued.as_str()].join(" ");
    let page = Page {
        title: rubric.title.clone(),
        lead: issued.trim().to_owned(),
        current: "/runs",
        crumbs: vec![("/runs".to_owned(), "考核".to_owned())],
        ..Page::default()
    };
    page.markup(&html! {
        (told)
        @if all.len() > 1 {
            form.filters.above method="get" action="/rubric" {
                label { "细则" select name="digest" {
                    @for (own, rubric, _) in all {
                        option value=(own) selected[own == digest] { (rubric.id) " " (rubric.title) }
                    }
                } }
                button type="submit" { "查看" }
            }
        }
        section.card aria-labelledby="rubric" {
            div.table-head {
                h2 #rubric { "细则" @if *built_in { "(程序自带)" } }
                span.exports {
                    a.export href={ "?digest=" (digest) "&format=csv&table=items" } download="" { "下载 CSV" }
                    a.export href={ "/rubric/file?digest=" (digest) } download="" { "下载 XLSX" }
                }
            }
            (published(rubric))
        }
        section.card aria-labelledby="readings" {
            h2 #readings { "解读:原文没有说清的地方怎样办理" }
            dl.facts { @for reading in &rubric.readings { dt id=(reading.id) { (reading.id) } dd { (reading.text) } } }
        }
        @if may { section.card aria-labelledby="own" { (own_form()) } }
    })
}

fn own_form() -> Markup {
    html! {
        h2 #own { "换用本县自己的细则" }
        p.note { "细则是一个文本文件(格式见 deploy/rubric/README.md)。检查会指出每一处错误所在的行;保存后新建考核时选用,已有的考核不受影响。" }
        form.filters method="post" action="/rubric" enctype="multipart/form-data" {
            label { "细则文件" input type="file" name="file" required accept=".toml,.txt"; }
            button type="submit" name="do" value="check" { "检查" }
            button.primary type="submit" name="do" value="save" { "保存" }
        }
    }
}

/// What an item can give; nothing where a veto only takes.
pub(super) fn most(item: &Item) -> String {
    match item.max() {
        Some(most) if most.hundredths() > 0 => most.short(),
        Some(_) => "—".to_owned(),
        None => "不限".to_owned(),
    }
}

fn items(rubric: &Rubric) -> Table {
    let mut rows = Vec::new();
    for group in &rubric.groups {
        for indicator in &group.indicators {
            for item in &indicator.items {
                rows.push(vec![
                    Cell::from(item.id.clone()),
                    group.to_string().into(),
                    indicator.title(group).into(),
                    indicator.weight.short().into(),
                    item.text.clone().into(),
                    most(item).into(),
                    item.rule.kind().into(),
                    item.readings.join("、").into(),
                ]);
            }
        }
    }
    Table {
        key: "items",
        caption: "考核评估细则".to_owned(),
        columns: vec![
            Column::Head("条目"),
            Column::Text("一级指标"),
            Column::Text("二级指标"),
            Column::Number("权重"),
            Column::Long("考核内容"),
            Column::Number("满分"),
            Column::Text("计分规则"),
            Column::Text("解读"),
        ],
        rows,
        empty: "",
    }
}

/// The page's own layout: what it merges, is merged.
fn published(rubric: &Rubric) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label="考核评估细则" {
            table.published {
                caption.unseen { (rubric.title) }
                thead { tr {
                    th scope="col" { "一级指标" } th scope="col" { "二级指标" } th.num scope="col" { "权重" }
                    th scope="col" { "条目" } th scope="col" { "考核内容" } th.num scope="col" { "满分" }
                    th scope="col" { "计分规则" } th scope="col" { "解读" }
                } }
                @for group in &rubric.groups { tbody { (group_rows(group)) } }
                tfoot { tr {
                    th scope="row" colspan="2" { "合计" } td.num { (rubric.total.short()) } td colspan="5" {}
                } }
            }
        }
    }
}

fn group_rows(group: &Group) -> Markup {
    let count: usize = group.indicators.iter().map(|one| one.items.len()).sum();
    html! {
        @for (number, indicator) in group.indicators.iter().enumerate() {
            @for (place, item) in indicator.items.iter().enumerate() {
                tr {
                    @if number == 0 && place == 0 {
                        th scope="rowgroup" rowspan=(count) { (group.name) " (" (group.weight.short()) @if group.capped { "分封顶" } ")" }
                    }
                    @if place == 0 {
                        td rowspan=(indicator.items.len()) { (indicator.title(group)) }
                        td.num rowspan=(indicator.items.len()) { (indicator.weight.short()) }
                    }
                    td { (item.id) }
                    td.long { (item.text) }
                    td.num { (most(item)) }
                    td.line { (item.rule.kind()) }
                    td { @for id in &item.readings { a href={ "#" (id) } { (id) } " " } }
                }
            }
        }
    }
}
