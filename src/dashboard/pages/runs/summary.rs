//! One run: every school's points, who sets the county's maximum, what is missing, what can be done.

use axum::{
    extract::{Path, Query, State},
    http::HeaderMap,
    response::Response,
};
use maud::{Markup, html};

use super::{Tab, doubts, missing, opened, page as head, tabs, watch_part};
use crate::{
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        guard,
        pages::figure,
        table::{Cell, Column, Table, answer},
        text,
    },
    domain::{access::Permission, usage::display},
    evaluation::Loaded,
    sheets::run::{self, Export},
    store::{Freeze, Run},
};

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Path(run): Path<String>,
    Query(filters): Query<Filters>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let may = guard::may(&at, &headers, Permission::ManageRuns);
    let loaded = at.loaded(opened(&at, &run).await?).await?;
    let ranking = ranking(&loaded, &at);
    let doubts = doubts(&loaded, &loaded.results.watch, may);
    let missing = missing(&loaded);
    let tables = [&ranking, &doubts, &missing];
    answer(
        &filters,
        &tables,
        &format!("考核{}", loaded.run.id),
        || {
            let run = &loaded.run;
            let query = filters.query();
            head(run, Tab::Summary).markup(&html! {
                @if let Some(said) = message(&filters) { p.good role="status" { (said) } }
                (tabs(run, Tab::Summary))
                (figures(&loaded))
                @if let Some(freeze) = run.frozen() { (frozen(run, freeze, &at)) }
                section.card aria-labelledby="ranking" {
                    (ranking.html(&query))
                    p.note { "点学校名看考核评分表和每一分的理由。" }
                }
                section.card aria-labelledby="doubts" {
                    (watch_part(&loaded.results.watch, &doubts))
                }
                section.card aria-labelledby="files" { (files(run)) }
                @if may { (actions(run)) }
            })
        },
    )
}

fn message(filters: &Filters) -> Option<&'static str> {
    match filters.done.as_str() {
        "created" => Some("草稿已建立。接下来填写材料,核对最高校,再冻结。"),
        "frozen" => Some("已冻结:材料、细则、日历、使用分钟和成绩都已存下,今后不会再变。"),
        _ => None,
    }
}

/// The school ranking, as the workbook has it.
fn ranking(loaded: &Loaded, at: &Context) -> Table {
    let results = run::results(loaded, &at.parts.zone);
    let groups = &loaded.inputs.rubric.rubric.groups;
    let mut columns = vec![
        Column::Number("名次"),
        Column::Head("学校"),
        Column::Exported("学校标识码"),
        Column::Text("学段"),
    ];
    columns.extend(groups.iter().map(|group| Column::Figure(group.to_string())));
    columns.extend([
        Column::Number("总分"),
        Column::Number("平均使用"),
        Column::Number("未填"),
    ]);
    let mut rows = Vec::new();
    for ranked in results.ranked() {
        let (school, sheet) = (&ranked.of.school, &ranked.of.sheet);
        let own = format!("/runs/{}/schools/{}", loaded.run.id, school.code);
        let mut row = vec![
            ranked.rank.to_string().into(),
            Cell::link(school.name.clone(), &own),
            school.code.to_string().into(),
            school.stage.name().into(),
        ];
        row.extend(
            sheet
                .groups
                .iter()
                .map(|group| Cell::from(group.points.to_string())),
        );
        let total = sheet.total.to_string();
        row.push(Cell::drawn(total.clone(), html! { strong { (total) } }));
        let average = ranked.of.monitoring.as_ref();
        row.push(
            average
                .map_or_else(|| text::NONE.to_owned(), |score| display(score.average))
                .into(),
        );
        let open = sheet.missing().count();
        row.push(if open == 0 {
            Cell::from("0")
        } else {
            Cell::link(open.to_string(), &format!("{own}/evidence"))
        });
        rows.push(row);
    }
    Table {
        key: "ranking",
        caption: "考核评分汇总表".to_owned(),
        columns,
        rows,
        empty: "没有学校。",
    }
}

fn figures(loaded: &Loaded) -> Markup {
    let results = &loaded.results;
    let missing = results.missing();
    let holders: Vec<&str> = results
        .highest_schools
        .iter()
        .filter_map(|code| Some(results.school(code)?.school.name.as_str()))
        .collect();
    let highest = if holders.is_empty() {
        html! { "没有最高校" }
    } else {
        html! { "由" (holders.join("、")) "取得" }
    };
    let note = if missing == 0 {
        html! { "已填齐" }
    } else {
        html! { @if loaded.run.frozen().is_some() { "已按 0 分冻结" } @else { "暂记 0 分" } }
    };
    let seen: String = results.figures().to_string().chars().take(16).collect();
    html! {
        dl.figures {
            (figure("学校", &results.schools.len().to_string(), "所", &html! { "细则 " a href={ "/rubric?digest=" (loaded.run.rubric) } { (loaded.inputs.rubric.rubric.id) } }))
            (figure("全县最高平均使用", &display(results.highest), "分钟/台·日", &highest))
            (figure("未填的材料", &missing.to_string(), "项", &note))
            (figure("排除", &loaded.inputs.exclusions.len().to_string(), "条", &html! { "成绩摘要 " code { (seen) } }))
        }
    }
}

fn frozen(run: &Run, freeze: &Freeze, at: &Context) -> Markup {
    html! {
        section.card.notice aria-labelledby="frozen" {
            h2 #frozen { "已冻结" }
            dl.facts {
                dt { "冻结人" } dd { (freeze.by) }
                dt { "时间" } dd { (text::moment(freeze.at, &at.parts.zone)) }
                dt { "摘要" } dd { code.digest { (freeze.digest) } }
                @if !freeze.note.is_empty() { dt { "说明" } dd { (freeze.note) } }
                @if let Some(before) = run.supersedes {
                    dt { "更正" } dd { a href={ "/runs/" (before) } { "第 " (before) " 号考核" } }
                }
            }
        }
    }
}

/// Files of a run, and whether each is of one school.
fn files(run: &Run) -> Markup {
    let address = |kind: Export| format!("/runs/{}/files/{kind}", run.id);
    html! {
        h2 #files { "下载" }
        p.buttons {
            a.button href=(address(Export::SummaryXlsx)) download="" { "汇总表 XLSX" }
            a.button href=(address(Export::AllXlsx)) download="" { "汇总表和各校评分表 XLSX" }
            a.button href=(address(Export::SummaryCsv)) download="" { "汇总表 CSV" }
            a.button href=(address(Export::ItemsCsv)) download="" { "各校各条 CSV" }
            a.button href=(address(Export::Json)) download="" { "全部 JSON" }
        }
        p.note { "一所学校的考核评分表在该校的页面下载。" }
    }
}

fn actions(run: &Run) -> Markup {
    html! {
        @if run.frozen().is_some() {
            p.buttons { a.button href={ "/runs?supersedes=" (run.id) "#create" } { "新建更正考核…" } }
        } @else {
            details.card {
                summary { "删除草稿…" }
                p { "草稿连同已填的材料和排除一起删除,不能恢复。" }
                form method="post" action={ "/runs/" (run.id) "/discard" } {
                    button type="submit" { "确认删除第 " (run.id) " 号草稿" }
                }
            }
        }
    }
}
