//! 比较: two runs beside each other, school by school and item by item, and what differs in what they follow from.

use axum::{
    extract::{Query, State},
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{differences, opened, state};
use crate::{
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        layout::Page,
        table::{Cell, Column, Table, answer},
    },
    domain::ids::SchoolCode,
    evaluation::{self, Depth, EvidenceDifference, InputDifference, Loaded},
    store::{Exclusion, Run},
};

/// What the address asks for beside the filters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Asked {
    before: String,
    after: String,
}

impl Asked {
    fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("before", &self.before)
            .append_pair("after", &self.after)
            .finish()
    }

    /// Where minutes are compared.
    fn minutes(&self) -> String {
        format!("/runs/compare/minutes?{}", self.query())
    }
}

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Query(filters): Query<Filters>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let after = match asked.after.as_str() {
        "" => None,
        run => Some(opened(&at, run).await?),
    };
    let county = match &after {
        Some(run) => run.county.clone(),
        None => filters.county(&at).await?.1.code,
    };
    let runs = at.store().runs(&county).await?;
    let both = match (&*asked.before, &after) {
        ("", _) | (_, None) => None,
        (before, Some(after)) => {
            let before = at.loaded(opened(&at, before).await?).await?;
            Some((before, at.loaded(after.clone()).await?))
        }
    };
    let compared = match &both {
        None => None,
        Some((before, after)) => {
            let found = evaluation::compare_of(at.store(), before, after, Depth::Quick).await?;
            Some((found, before, after))
        }
    };
    let tables = compared.as_ref().map(|(found, before, after)| {
        [
            differences("schools", "各校变化", &found.schools),
            evidence(&found.inputs.evidence, before, after),
            exclusions(&found.inputs),
        ]
    });
    let all: Vec<&Table> = tables.iter().flatten().collect();
    let name = format!("考核{}与{}", asked.before, asked.after);
    answer(&filters, &all, &name, || {
        let page = Page {
            title: "比较两次考核".to_owned(),
            current: "/runs",
            crumbs: vec![("/runs".to_owned(), "考核".to_owned())],
            ..Page::default()
        };
        let query = asked.query();
        page.markup(&html! {
            (form(&runs, &asked))
            @if let Some((found, ..)) = &compared {
                section.card aria-label="依据" {
                    p { (found.inputs.sentence()) }
                    (minutes_of(&found.inputs, &asked))
                }
            }
            @for table in tables.iter().flatten() {
                section.card aria-labelledby=(table.key) { (table.html(&query)) }
            }
        })
    })
}

/// Which schools' minutes differ: a page of its own, for every school's are looked at where one is a draft, or the days
/// differ.
pub(in crate::dashboard) async fn minutes(
    State(at): State<Context>,
    Query(filters): Query<Filters>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let before = opened(&at, &asked.before).await?;
    let after = opened(&at, &asked.after).await?;
    let (before, after) = if before.frozen().is_some() && after.frozen().is_some() {
        (at.loaded(before).await?, at.loaded(after).await?)
    } else {
        (at.whole(before).await?, at.whole(after).await?)
    };
    let found = evaluation::compare_of(at.store(), &before, &after, Depth::Whole).await?;
    // Both were read whole, or are frozen; never is "not compared" shown as "the same".
    let differ = found
        .inputs
        .minutes
        .ok_or_else(|| Failure::Refused("两次考核的使用分钟没有读全,请刷新页面重试".to_owned()))?;
    let row = |code: &SchoolCode| {
        let name = school_name(code, &before, &after);
        vec![Cell::from(name), Cell::from(code.to_string())]
    };
    let table = Table {
        key: "minutes",
        caption: "使用分钟不同的学校".to_owned(),
        columns: vec![Column::Head("学校"), Column::Text("学校标识码")],
        rows: differ.iter().map(row).collect(),
        empty: "使用分钟相同。",
    };
    let name = format!("考核{}与{}使用分钟", asked.before, asked.after);
    answer(&filters, &[&table], &name, || {
        let query = asked.query();
        let page = Page {
            title: "比较使用分钟".to_owned(),
            current: "/runs",
            crumbs: vec![
                ("/runs".to_owned(), "考核".to_owned()),
                (format!("/runs/compare?{query}"), "比较两次考核".to_owned()),
            ],
            ..Page::default()
        };
        page.markup(&html! {
            section.card aria-label="使用分钟" {
                div data-part="minutes" { (told(differ.len(), &asked)) }
                @if !differ.is_empty() { (table.html(&query)) }
            }
        })
    })
}

/// What the page says of minutes. What takes long comes later, from the page of its own.
fn minutes_of(inputs: &InputDifference, asked: &Asked) -> Markup {
    if let Some(differ) = &inputs.minutes {
        return told(differ.len(), asked);
    }
    html! {
        div data-later=(asked.minutes()) data-part="minutes" {
            p {
                a href=(asked.minutes()) { "比较使用分钟" }
                "(要读两次考核的全部分钟,约需几秒)"
                span.while-busy role="status" { "正在比较…" }
            }
        }
    }
}

fn told(differ: usize, asked: &Asked) -> Markup {
    html! {
        p {
            @if differ == 0 {
                "各校使用分钟相同。"
            } @else {
                a href=(asked.minutes()) { (differ) " 所学校的使用分钟不同" } "。"
            }
        }
    }
}

fn school_name(code: &SchoolCode, before: &Loaded, after: &Loaded) -> String {
    let known = [after, before].into_iter();
    let mut known = known.filter_map(|loaded| loaded.inputs.school(code).ok());
    known
        .next()
        .map(|found| found.name.clone())
        .unwrap_or_default()
}

fn form(runs: &[Run], asked: &Asked) -> Markup {
    let select = |name: &str, chosen: &str| {
        html! {
            select name=(name) required {
                option value="" { "请选择" }
                @for run in runs {
                    option value=(run.id) selected[run.id.to_string() == chosen] {
                        (run.id) " " (run.name) "(" (state(run)) ")"
                    }
                }
            }
        }
    };
    html! {
        form.filters.above method="get" action="/runs/compare" aria-label="选择两次考核" {
            label { "原来" (select("before", &asked.before)) }
            label { "现在" (select("after", &asked.after)) }
            button type="submit" { "比较" }
        }
    }
}

fn evidence(found: &[EvidenceDifference], before: &Loaded, after: &Loaded) -> Table {
    let row = |one: &EvidenceDifference| {
        let what = if one.values {
            "回答不同"
        } else {
            "只是依据、附件、填报人或时间不同"
        };
        vec![
            Cell::from(school_name(&one.school, before, after)),
            one.school.to_string().into(),
            one.item.clone().into(),
            what.into(),
        ]
    };
    Table {
        key: "evidence",
        caption: "不同的材料".to_owned(),
        columns: vec![
            Column::Head("学校"),
            Column::Text("学校标识码"),
            Column::Text("条目"),
            Column::Long("不同之处"),
        ],
        rows: found.iter().map(row).collect(),
        empty: "材料相同。",
    }
}

fn exclusions(from: &InputDifference) -> Table {
    let row = |of: &'static str, one: &Exclusion| {
        vec![
            Cell::from(of),
            Cell::from(one.terminal.to_string()),
            one.first.to_string().into(),
            one.last.to_string().into(),
            one.reason.clone().into(),
            one.by.clone().into(),
        ]
    };
    let before = from.exclusions_before.iter();
    let after = from.exclusions_after.iter();
    Table {
        key: "exclusions",
        caption: "不同的排除".to_owned(),
        columns: vec![
            Column::Head("只在"),
            Column::Text("终端"),
            Column::Text("起"),
            Column::Text("止"),
            Column::Long("理由"),
            Column::Text("决定人"),
        ],
        rows: before
            .map(|one| row("原来", one))
            .chain(after.map(|one| row("现在", one)))
            .collect(),
        empty: "排除相同。",
    }
}
