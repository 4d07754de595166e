//! 数据质量: what could not be believed, who waits, what happened, whose clock is off, who is silent; each with its mend.

pub(in crate::dashboard) mod forms;

use std::collections::HashMap;

use axum::{
    extract::{Query, State},
    http::HeaderMap,
    response::Response,
};
use jiff::ToSpan as _;
use maud::{Markup, html};

use super::{county_form, runs, school::badge};
use crate::{
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        guard,
        layout::Page,
        table::{Cell, Column, Table, answer},
        text, translate,
    },
    domain::{
        access::Permission,
        doubt::Doubt,
        ids::{CountyCode, TerminalId},
        usage::Period,
    },
    query::{self, QueryError, SchoolNow, State as Doing},
    store::{IncidentFilter, Quarantined, School, Terminal, TerminalFilter},
};

/// Most entries of the quarantine that are listed.
const ENTRIES: u32 = 300;

/// Most incidents that are listed.
const INCIDENTS: u32 = 300;

/// How far back incidents are listed, seconds: thirty days.
const INCIDENT_SPAN: i64 = 30 * 86_400;

/// How many days back doubts are looked for.
const DOUBT_DAYS: i64 = 14;

/// A clock that is off by more is told, seconds.
const CLOCK_OFF: i64 = 120;

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Query(filters): Query<Filters>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let may = guard::may(&at, &headers, Permission::Replay);
    let (counties, county) = filters.county(&at).await?;
    let now = query::county_now(at.store(), &county.code, &at.moment()).await?;
    let schools = at.store().schools(&county.code).await?;
    let terminals = at.store().terminals(&TerminalFilter::default()).await?;
    let refused = at.store().quarantine_counts().await?;
    let tables = [
        silent(&now, &at),
        waiting(&terminals, &schools, &at, may),
        incidents(&at, &now).await?,
        clocks(&terminals, &now, &at),
        doubts(&at, &county.code).await?,
        runs::exclusions::everywhere(&at, Some(&county.code), None).await?,
        reasons(&refused, may),
        entries(&at.store().quarantine(0, ENTRIES).await?, &at, may),
    ];
    let all: Vec<&Table> = tables.iter().collect();
    answer(&filters, &all, &at.today().to_string(), || {
        let page = Page {
            title: "数据质量".to_owned(),
            lead: "不可信的数据不会被悄悄丢弃:它们在这里等待处理。".to_owned(),
            current: "/quality",
            ..Page::default()
        };
        page.markup(&html! {
            @if let Some(message) = message(&filters) { p.notice.card role="status" { (message) } }
            (county_form("/quality", &counties, Some(&county)))
            nav.jump aria-label="本页各项" {
                @for table in &tables {
                    a href={ "#" (table.key) } { (table.caption) " " strong { (table.rows.len()) } }
                }
            }
            @for table in &tables {
                section.card aria-labelledby=(table.key) { (table.html(&filters.query())) }
            }
            @if !may { p.note { (guard::only_looks(&at)) "。" } }
        })
    })
}

fn message(filters: &Filters) -> Option<String> {
    let Filters { tried, counted, .. } = filters;
    match filters.done.as_str() {
        "replayed" => Some(format!("已重放 {tried} 条,其中 {counted} 条现已计入。")),
        "approved" => Some("已批准,该终端的时长从登记日期起计入。".to_owned()),
        _ => None,
    }
}

fn again_button(name: &str, value: &str, label: &str) -> Cell {
    Cell::shown(html! {
        form.inline method="post" action="/quality/replay" {
            input type="hidden" name=(name) value=(value);
            button type="submit" aria-label=(label) { "重放" }
        }
    })
}

fn reasons(counts: &[(String, u64)], may: bool) -> Table {
    let row = |(key, count): &(String, u64)| {
        let (what, mend) = text::reason(key);
        let mut row = vec![
            what.into(),
            Cell::from(key.as_str()),
            Cell::count(*count),
            mend.into(),
        ];
        if may {
            row.push(again_button("reason", key, &format!("重放全部“{what}”")));
        }
        row
    };
    let mut columns = vec![
        Column::Head("原因"),
        Column::Exported("原因代码"),
        Column::Number("条数"),
        Column::Long("处理建议"),
    ];
    if may {
        columns.push(Column::Shown("操作"));
    }
    Table {
        key: "reasons",
        caption: "隔离区汇总".to_owned(),
        columns,
        rows: counts.iter().map(row).collect(),
        empty: "隔离区是空的。",
    }
}

fn entries(found: &[Quarantined], at: &Context, may: bool) -> Table {
    let zone = &at.parts.zone;
    let row = |one: &Quarantined| {
        let (what, _) = text::reason(&one.reason);
        let detail = translate::detail(&one.reason, &one.detail, zone);
        let mut row = vec![
            one.id.to_string().into(),
            terminal_cell(&one.terminal),
            what.into(),
            Cell::drawn(detail.clone(), html! { small { (detail) } }),
            text::moment(one.first_at, zone).into(),
            text::moment(one.last_at, zone).into(),
            Cell::count(one.times),
        ];
        if may {
            let id = one.id.to_string();
            row.push(again_button("id", &id, &format!("重放第 {id} 条")));
        }
        row
    };
    let mut columns = vec![
        Column::Head("编号"),
        Column::Text("终端"),
        Column::Text("原因"),
        Column::Long("说明"),
        Column::Text("首次"),
        Column::Text("最近"),
        Column::Number("次数"),
    ];
    if may {
        columns.push(Column::Shown("操作"));
    }
    Table {
        key: "quarantine",
        caption: "隔离区明细".to_owned(),
        columns,
        rows: found.iter().map(row).collect(),
        empty: "没有等待处理的记录。",
    }
}

/// A terminal's name, which leads to its page where it can be one.
fn terminal_cell(name: &str) -> Cell {
    match name.parse::<TerminalId>() {
        Ok(id) => Cell::link(name, &format!("/terminals/{id}")),
        Err(_) => Cell::from(name),
    }
}

fn waiting(terminals: &[Terminal], schools: &[School], at: &Context, may: bool) -> Table {
    let zone = &at.parts.zone;
    let pending = terminals.iter().filter(|one| one.placements.is_empty());
    let row = |one: &Terminal| {
        let mut row = vec![
            terminal_cell(one.id.as_str()),
            text::heard(one.first_heard, zone).into(),
            text::heard(one.last_heard, zone).into(),
            one.os.clone().into(),
        ];
        if may {
            row.push(Cell::shown(approve_form(&one.id, schools)));
        }
        row
    };
    let mut columns = vec![
        Column::Head("终端"),
        Column::Text("首次报告"),
        Column::Text("最近报告"),
        Column::Text("操作系统"),
    ];
    if may {
        columns.push(Column::Shown("批准到"));
    }
    Table {
        key: "pending",
        caption: "待批准终端".to_owned(),
        columns,
        rows: pending.map(row).collect(),
        empty: "没有等待批准的终端。",
    }
}

fn approve_form(id: &TerminalId, schools: &[School]) -> Markup {
    html! {
        form.inline method="post" action="/quality/approve" {
            input type="hidden" name="terminal" value=(id);
            select name="school" required aria-label={ "终端 " (id) " 所在学校" } {
                option value="" { "选择学校" }
                @for school in schools { option value=(school.code) { (school.name) } }
            }
            input type="text" name="room" maxlength="40" size="8" placeholder="教室" aria-label="教室";
            button type="submit" { "批准" }
        }
    }
}

async fn incidents(at: &Context, now: &[SchoolNow]) -> Result<Table, Failure> {
    let zone = &at.parts.zone;
    let filter = IncidentFilter {
        terminal: None,
        kind: None,
        until: None,
        since: at.parts.clock.now().as_second() - INCIDENT_SPAN,
        limit: INCIDENTS,
    };
    let schools = schools_of(now);
    let row = |one: crate::domain::incident::Incident| {
        vec![
            terminal_cell(one.terminal.as_str()),
            school_name(&schools, &one.terminal).into(),
            one.sentence(zone).into(),
            text::incident_mend(one.kind).into(),
            text::moment(one.received_at, zone).into(),
        ]
    };
    let found = at.store().incidents(&filter).await?;
    Ok(Table {
        key: "incidents",
        caption: "近30天事件".to_owned(),
        columns: vec![
            Column::Head("终端"),
            Column::Text("学校"),
            Column::Long("事件"),
            Column::Long("处理建议"),
            Column::Text("上报时间"),
        ],
        rows: found.into_iter().map(row).collect(),
        empty: "近 30 天没有事件。",
    })
}

/// What looks doubtful of the last days' use, with the reason and the mend.
async fn doubts(at: &Context, county: &CountyCode) -> Result<Table, Failure> {
    let last = at.today();
    let first = last.saturating_sub(DOUBT_DAYS.days());
    let period = Period { first, last };
    let found = query::county_doubts(at.store(), county, period, &at.parts.zone).await;
    let found = match found {
        // Without a calendar nothing counts, and the page's other parts are still of use.
        Err(QueryError::NoCalendar { .. }) => Vec::new(),
        other => other?,
    };
    let rows = found.iter().flat_map(|(school, doubts)| {
        let of = |doubt| doubt_row(doubt, Some(Cell::from(school.name.clone())));
        doubts.iter().map(of)
    });
    Ok(Table {
        key: "doubts",
        caption: format!("近{DOUBT_DAYS}天可疑的使用"),
        columns: doubt_columns(true),
        rows: rows.collect(),
        empty: "近 14 天没有发现可疑的使用。",
    })
}

/// Columns of [`doubt_row`].
pub(in crate::dashboard) fn doubt_columns(school: bool) -> Vec<Column> {
    let mut columns = vec![Column::Head("终端")];
    if school {
        columns.push(Column::Text("学校"));
    }
    columns.extend([
        Column::Long("可疑之处"),
        Column::Long("处理建议"),
        Column::Text("起"),
        Column::Text("止"),
        Column::Number("天数"),
    ]);
    columns
}

/// One doubt: where, why, and its mend.
pub(in crate::dashboard) fn doubt_row(doubt: &Doubt, school: Option<Cell>) -> Vec<Cell> {
    let page = format!("/terminals/{}?date={}", doubt.terminal, doubt.last);
    let mut row = vec![Cell::link(doubt.terminal.to_string(), &page)];
    row.extend(school);
    row.extend([
        doubt.sentence.clone().into(),
        text::doubt_mend(doubt.kind).into(),
        doubt.first.to_string().into(),
        doubt.last.to_string().into(),
        Cell::count(doubt.days),
    ]);
    row
}

fn schools_of(now: &[SchoolNow]) -> HashMap<&TerminalId, &School> {
    now.iter()
        .flat_map(|school| {
            let terminals = school.terminals.iter();
            terminals.map(|one| (&one.terminal, &school.school))
        })
        .collect()
}

fn school_name(schools: &HashMap<&TerminalId, &School>, terminal: &TerminalId) -> String {
    schools
        .get(terminal)
        .map_or_else(|| text::NONE.to_owned(), |school| school.name.clone())
}

fn clocks(terminals: &[Terminal], now: &[SchoolNow], at: &Context) -> Table {
    let schools = schools_of(now);
    let mut off: Vec<_> = terminals
        .iter()
        .filter_map(|one| Some((one, one.clock_offset?)))
        .filter(|(_, offset)| offset.abs() > CLOCK_OFF)
        .collect();
    off.sort_by_key(|(one, offset)| (std::cmp::Reverse(offset.abs()), &one.id));
    let row = |(one, offset): (&Terminal, i64)| {
        vec![
            terminal_cell(one.id.as_str()),
            school_name(&schools, &one.id).into(),
            text::offset(offset).into(),
            text::heard(one.last_heard, &at.parts.zone).into(),
            Cell::from("打开自动校时;关机后又不准的,更换主板电池"),
        ]
    };
    Table {
        key: "clocks",
        caption: "时钟不准".to_owned(),
        columns: vec![
            Column::Head("终端"),
            Column::Text("学校"),
            Column::Text("时钟"),
            Column::Text("最近报告"),
            Column::Long("处理建议"),
        ],
        rows: off.into_iter().map(row).collect(),
        empty: "所有终端的时钟都准。",
    }
}

fn silent(now: &[SchoolNow], at: &Context) -> Table {
    let mut rows = Vec::new();
    for school in now {
        let silent = school
            .terminals
            .iter()
            .filter(|one| one.state == Doing::Silent);
        for one in silent {
            rows.push(vec![
                terminal_cell(one.terminal.as_str()),
                Cell::link(
                    school.school.name.clone(),
                    &format!("/schools/{}", school.school.code),
                ),
                one.room.clone().into(),
                badge(one.state),
                text::heard(one.last_heard, &at.parts.zone).into(),
                Cell::from(if one.last_heard.is_none() {
                    "从未报告:检查是否已安装并注册终端程序"
                } else {
                    "检查电源与网络;已拆除的在终端表中登记停用日期"
                }),
            ]);
        }
    }
    Table {
        key: "silent",
        caption: "静默终端".to_owned(),
        columns: vec![
            Column::Head("终端"),
            Column::Text("学校"),
            Column::Text("教室"),
            Column::Text("状态"),
            Column::Text("最近报告"),
            Column::Long("处理建议"),
        ],
        rows,
        empty: "没有静默终端。",
    }
}
