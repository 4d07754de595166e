//! 考核: evaluation runs, from the draft to the frozen one and its corrections.
//!
//! # Layout
//! `list` makes runs; `summary`, `school` and `item` show what they came to, from the county down to a terminal's
//! minutes; `evidence`, `entry` (with the rows of `awards`) and `workbook` take what schools have done; `exclusions`,
//! `what_if` and `freeze` lead to the frozen run; `compare`, `verify` and `files` are for afterwards. `rubric` shows what
//! is scored by.
//!
//! Not responsible for anything that points follow from (`evaluation`).

mod awards;
pub(in crate::dashboard) mod compare;
pub(in crate::dashboard) mod entry;
pub(in crate::dashboard) mod evidence;
pub(in crate::dashboard) mod exclusions;
pub(in crate::dashboard) mod files;
pub(in crate::dashboard) mod freeze;
pub(in crate::dashboard) mod item;
pub(in crate::dashboard) mod list;
pub(in crate::dashboard) mod rubric;
pub(in crate::dashboard) mod school;
pub(in crate::dashboard) mod summary;
pub(in crate::dashboard) mod verify;
pub(in crate::dashboard) mod what_if;
pub(in crate::dashboard) mod workbook;

use std::cmp::Ordering;

use axum::http::Method;
use maud::{Markup, html};

use crate::{
    dashboard::{
        Context,
        failure::Failure,
        guard,
        layout::Page,
        table::{Cell, Column, Table},
        text,
    },
    domain::{
        doubt::Doubt,
        ids::SchoolCode,
        rubric::{Points, sheet::ItemState},
    },
    evaluation::{Loaded, SchoolDifference, Watch},
    store::{Run, StoreError},
};

/// Most rows of a list that may grow with schools times questions; exports have all.
const SHOWN: usize = 100;

/// Pages of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tab {
    Summary,
    Evidence,
    Exclusions,
    WhatIf,
    Freeze,
    Verify,
    Compare,
}

impl Tab {
    const fn name(self) -> &'static str {
        match self {
            Self::Summary => "成绩",
            Self::Evidence => "材料",
            Self::Exclusions => "排除",
            Self::WhatIf => "假设试算",
            Self::Freeze => "冻结",
            Self::Verify => "核验",
            Self::Compare => "比较",
        }
    }

    /// As in the table of permissions.
    const fn route(self) -> &'static str {
        match self {
            Self::Summary => "/runs/{run}",
            Self::Evidence => "/runs/{run}/evidence",
            Self::Exclusions => "/runs/{run}/exclusions",
            Self::WhatIf => "/runs/{run}/what-if",
            Self::Freeze => "/runs/{run}/freeze",
            Self::Verify => "/runs/{run}/verify",
            Self::Compare => "/runs/compare",
        }
    }

    fn opens(self) -> bool {
        guard::opens(&Method::GET, self.route())
    }

    fn address(self, run: &Run) -> String {
        let id = run.id;
        match self {
            Self::Summary => format!("/runs/{id}"),
            Self::Evidence => format!("/runs/{id}/evidence"),
            Self::Exclusions => format!("/runs/{id}/exclusions"),
            Self::WhatIf => format!("/runs/{id}/what-if"),
            Self::Freeze => format!("/runs/{id}/freeze"),
            Self::Verify => format!("/runs/{id}/verify"),
            Self::Compare => match run.supersedes {
                Some(before) => format!("/runs/compare?before={before}&after={id}"),
                None => format!("/runs/compare?after={id}"),
            },
        }
    }
}

/// The run of an address.
pub(in crate::dashboard) async fn opened(at: &Context, run: &str) -> Result<Run, Failure> {
    let id = run.parse().map_err(|_no_number| StoreError::NotFound {
        what: "run",
        id: run.chars().take(20).collect(),
    })?;
    Ok(at.store().run(id).await?)
}

/// The school of an address.
fn school_code(code: &str) -> Result<SchoolCode, Failure> {
    let unknown = |_error| StoreError::NotFound {
        what: "school",
        id: code.chars().take(40).collect(),
    };
    Ok(code.parse().map_err(unknown)?)
}

/// Refuses a frozen run.
fn draft(run: &Run) -> Result<(), Failure> {
    match run.frozen() {
        None => Ok(()),
        Some(freeze) => Err(Failure::Refused(format!(
            "考核已由{}冻结,不能再改;要更正,请新建一次更正考核",
            freeze.by
        ))),
    }
}

/// Whether it is frozen, in a word.
pub(in crate::dashboard) fn state(run: &Run) -> &'static str {
    match run.frozen() {
        None => "草稿",
        Some(_) => "已冻结",
    }
}

/// Head of a page about a run.
fn page(run: &Run, tab: Tab) -> Page {
    let period = format!("考核期 {} 至 {}", run.period.first, run.period.last);
    let mut page = Page {
        title: run.name.clone(),
        lead: format!("{} · {period}", state(run)),
        current: "/runs",
        crumbs: vec![("/runs".to_owned(), "考核".to_owned())],
        ..Page::default()
    };
    if tab != Tab::Summary {
        if Tab::Summary.opens() {
            page.crumbs
                .push((Tab::Summary.address(run), run.name.clone()));
        }
        tab.name().clone_into(&mut page.title);
        page.lead = format!("{} · {} · {period}", run.name, state(run));
    }
    page
}

/// Head of a page about a school in a run.
fn school_page(run: &Run, title: String, more: Vec<(String, String)>) -> Page {
    let mut page = page(run, Tab::Evidence);
    page.title = title;
    page.crumbs.extend(more);
    page
}

/// The way between the pages of a run.
fn tabs(run: &Run, here: Tab) -> Markup {
    let last = if run.frozen().is_some() {
        Tab::Verify
    } else {
        Tab::Freeze
    };
    let all = [
        Tab::Summary,
        Tab::Evidence,
        Tab::Exclusions,
        Tab::WhatIf,
        last,
        Tab::Compare,
    ];
    html! {
        nav.jump aria-label="本次考核" {
            @for tab in all.into_iter().filter(|tab| tab.opens()) {
                a href=(tab.address(run)) aria-current=[(tab == here).then_some("page")] { (tab.name()) }
            }
        }
    }
}

/// A mark beside a reason.
const fn mark(state: ItemState) -> &'static str {
    match state {
        ItemState::Scored => "",
        ItemState::NotApplicable => "不适用",
        ItemState::Missing => "缺材料",
        ItemState::Vetoed => "否决",
    }
}

/// Who sets the county's maximum, how far from the next.
fn watch_words(watch: &Watch) -> Markup {
    html! { @for sentence in &watch.sentences { p { (sentence) } } }
}

/// The same with what looks doubtful there.
fn watch_part(watch: &Watch, doubts: &Table) -> Markup {
    html! {
        @if doubts.rows.is_empty() {
            h2 #doubts { "最高校" }
        } @else {
            (doubts.html(""))
        }
        (watch_words(watch))
    }
}

/// What looks doubtful of the schools that set the maximum; with a way to exclude it.
fn doubts(loaded: &Loaded, watch: &Watch, may: bool) -> Table {
    let may = may && loaded.run.frozen().is_none();
    let name = |code: &SchoolCode| {
        let school = loaded.inputs.school(code);
        school.map_or_else(|_| code.to_string(), |school| school.name.clone())
    };
    let mut rows = Vec::new();
    for school in &watch.doubts {
        for doubt in &school.doubts {
            let mut row = vec![
                Cell::link(
                    doubt.terminal.to_string(),
                    &format!("/terminals/{}?date={}", doubt.terminal, doubt.first),
                ),
                name(&school.school).into(),
                doubt.sentence.clone().into(),
                text::doubt_mend(doubt.kind).into(),
                doubt.first.to_string().into(),
                doubt.last.to_string().into(),
            ];
            if may {
                row.push(Cell::shown(exclude_link(loaded.run.id, doubt)));
            }
            rows.push(row);
        }
    }
    let mut columns = vec![
        Column::Head("终端"),
        Column::Text("学校"),
        Column::Long("可疑之处"),
        Column::Long("处理建议"),
        Column::Text("起"),
        Column::Text("止"),
    ];
    if may {
        columns.push(Column::Shown("操作"));
    }
    Table {
        key: "doubts",
        caption: "最高校的可疑之处".to_owned(),
        columns,
        rows,
        empty: "最高校的终端没有发现可疑之处。",
    }
}

fn exclude_link(run: i64, doubt: &Doubt) -> Markup {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("terminal", doubt.terminal.as_str())
        .append_pair("from", &doubt.first.to_string())
        .append_pair("to", &doubt.last.to_string())
        .append_pair("reason", &doubt.sentence)
        .finish();
    html! {
        a href={ "/runs/" (run) "/exclusions?" (query) "#add" } { "排除…" }
        " "
        a href={ "/runs/" (run) "/what-if?x=" (doubt.terminal) ":" (doubt.first) ":" (doubt.last) } { "试算" }
    }
}

/// Questions without an answer, one item a row.
fn missing(loaded: &Loaded) -> Table {
    let mut rows = Vec::new();
    for school in &loaded.results.schools {
        for item in school.sheet.items().filter(|item| !item.missing.is_empty()) {
            let form = format!(
                "/runs/{}/schools/{}/evidence#i-{}",
                loaded.run.id, school.school.code, item.id
            );
            rows.push(vec![
                Cell::from(school.school.name.clone()),
                school.school.code.to_string().into(),
                Cell::link(item.id.clone(), &form),
                item.missing.join("、").into(),
            ]);
        }
    }
    Table {
        key: "missing",
        caption: "未填的材料".to_owned(),
        columns: vec![
            Column::Head("学校"),
            Column::Exported("学校标识码"),
            Column::Text("条目"),
            Column::Long("未填的内容"),
        ],
        rows,
        empty: "材料已填齐。",
    }
}

/// A table of which a page shows only the first rows.
fn long(table: &Table, query: &str) -> Markup {
    html! {
        (table.first(SHOWN).html(query))
        @if table.rows.len() > SHOWN {
            p.note { "共 " (table.rows.len()) " 行,这里只列前 " (SHOWN) " 行,下载的文件有全部。" }
        }
    }
}

fn points(points: Option<Points>) -> String {
    points.map_or_else(|| text::NONE.to_owned(), |points| points.to_string())
}

/// By how much points moved, `+0.50`; empty where they did not.
fn moved(before: Option<Points>, after: Option<Points>) -> String {
    let (Some(before), Some(after)) = (before, after) else {
        return String::new();
    };
    match after.cmp(&before) {
        Ordering::Equal => String::new(),
        Ordering::Greater => format!("+{}", after.less(before)),
        Ordering::Less => format!("−{}", before.less(after)),
    }
}

/// Schools with their totals before and after, and the items that differ.
fn differences(key: &'static str, caption: &str, schools: &[SchoolDifference]) -> Table {
    let row = |one: &SchoolDifference| {
        let items = one.items.iter().filter_map(|item| {
            let side = |score: &Option<crate::domain::rubric::sheet::ItemScore>| {
                points(score.as_ref().map(|score| score.points))
            };
            let (before, after) = (side(&item.before), side(&item.after));
            (before != after).then(|| format!("{} {before}→{after}", item.item))
        });
        vec![
            Cell::from(one.name.clone()),
            one.school.to_string().into(),
            points(one.before).into(),
            points(one.after).into(),
            moved(one.before, one.after).into(),
            items.collect::<Vec<_>>().join(";").into(),
        ]
    };
    Table {
        key,
        caption: caption.to_owned(),
        columns: vec![
            Column::Head("学校"),
            Column::Exported("学校标识码"),
            Column::Number("原总分"),
            Column::Number("新总分"),
            Column::Number("变化"),
            Column::Long("变化的条目"),
        ],
        rows: schools.iter().map(row).collect(),
        empty: "各校各条的计分完全相同。",
    }
}
