//! 终端: one day's minutes, the term's days, facts and incidents.

use axum::{
    extract::{Path, Query, State},
    http::Method,
    response::Response,
};
use jiff::{ToSpan as _, civil::Date};
use maud::{Markup, html};

use super::{
    quality::{doubt_columns, doubt_row},
    runs::exclusions,
    school::strip_legend,
};
use crate::{
    dashboard::{
        Context,
        chart::{self, Span},
        failure::Failure,
        filters::Filters,
        guard,
        layout::Page,
        table::{Cell, Column, Table, answer},
        text,
    },
    domain::{ids::TerminalId, minutes::MinuteSet, usage::Period},
    query::{self, HistoryDay, TerminalDay},
    store::{IncidentFilter, School, Terminal},
};

/// Most incidents that are listed.
const INCIDENTS: u32 = 100;

/// Days of history where no calendar tells a term.
const HISTORY: i64 = 90;

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Path(id): Path<String>,
    Query(filters): Query<Filters>,
) -> Result<Response, Failure> {
    let unknown = || query::QueryError::NotFound {
        what: "terminal",
        id: id.chars().take(64).collect(),
    };
    let id: TerminalId = id.parse().map_err(|_error| unknown())?;
    let terminal = at.store().terminal(&id).await?.ok_or_else(unknown)?;
    let today = at.today();
    let date = filters.date()?.unwrap_or(today);
    let day = query::terminal_day(at.store(), &id, date).await?;
    let place = day.placement.as_ref().or(terminal.placements.last());
    let school = match place {
        Some(place) => Some(query::school(at.store(), &place.school).await?),
        None => None,
    };
    let period = history_period(&at, school.as_ref(), date).await?;
    let history = query::terminal_history(at.store(), &id, period).await?;
    let (runs, days) = (runs_table(&day), days_table(&history));
    let incidents = incidents(&at, &id).await?;
    let doubts = doubts(&at, &id, school.as_ref(), period).await?;
    let county = school.as_ref().map(|school| &school.county);
    let exclusions = exclusions::everywhere(&at, county, Some(&id)).await?;
    let tables = [&runs, &days, &incidents, &doubts, &exclusions];
    answer(&filters, &tables, &format!("{id}_{date}"), || {
        let room = place.map(|place| place.room.clone()).unwrap_or_default();
        let page = Page {
            title: format!("终端 {id}"),
            lead: match &school {
                Some(school) if room.is_empty() => school.name.clone(),
                Some(school) => format!("{} · {room}", school.name),
                None => "等待批准,还不属于任何学校".to_owned(),
            },
            current: "/",
            crumbs: crumbs(school.as_ref()),
            ..Page::default()
        };
        page.markup(&html! {
            section.card aria-labelledby="day" {
                (day_part(&id, &day, today))
                details { summary { "各时段" } (runs.html(&filters.query())) }
            }
            section.card aria-labelledby="doubts" {
                (doubts.html(&filters.query()))
                @if !doubts.rows.is_empty() { p.note { "要在考核中不计这些日子,请到该次“考核”的“排除”写明理由。" } }
            }
            @if !exclusions.rows.is_empty() {
                section.card aria-labelledby="exclusions" { (exclusions.html(&filters.query())) }
            }
            div.columns {
                section.card aria-labelledby="calendar" {
                    h2 #calendar { "每日计入分钟" }
                    (chart::calendar(&history, date, |day| format!("/terminals/{id}?date={day}")))
                    details { summary { "数据表" } (days.html(&filters.query())) }
                }
                div {
                    section.card aria-labelledby="facts" { h2 #facts { "设备情况" } (facts(&terminal, &at)) }
                    section.card aria-labelledby="incidents" { (incidents.html(&filters.query())) }
                }
            }
        })
    })
}

fn crumbs(school: Option<&School>) -> Vec<(String, String)> {
    let mut crumbs = vec![("/".to_owned(), "总览".to_owned())];
    if let Some(school) = school {
        crumbs.push((format!("/schools/{}", school.code), school.name.clone()));
    }
    crumbs
}

/// The term around a day, up to today.
async fn history_period(
    at: &Context,
    school: Option<&School>,
    date: Date,
) -> Result<Period, Failure> {
    let calendar = match school {
        Some(school) => at.store().calendar(&school.county).await?,
        None => None,
    };
    let term = calendar
        .as_ref()
        .and_then(|stored| stored.calendar.term_at(date));
    let period = match term {
        Some(term) if date <= term.last => Period {
            first: term.first,
            last: term.last.min(at.today()).max(date),
        },
        _ => Period {
            first: date.saturating_sub(HISTORY.days()),
            last: date,
        },
    };
    Ok(period)
}

fn day_part(id: &TerminalId, day: &TerminalDay, today: Date) -> Markup {
    let minutes = &day.minutes;
    let label = format!(
        "{}:开机 {} 分钟,使用 {} 分钟,计入 {} 分钟",
        text::day(day.day),
        minutes.powered.count(),
        minutes.used.count(),
        day.counted
    );
    let link = |day: Date| format!("/terminals/{id}?date={day}");
    let tomorrow = day.day.saturating_add(1.day());
    let span = Span::around([&minutes.powered, &day.teaching]);
    let span = if span.end - span.start > 16 * 60 {
        Span::DAY
    } else {
        span
    };
    html! {
        div.table-head {
            h2 #day { (text::day(day.day)) }
            nav.days-nav aria-label="选择日期" {
                a.button.quiet href=(link(day.day.saturating_sub(1.day()))) { "‹ 前一天" }
                form.inline method="get" action={ "/terminals/" (id) } {
                    input type="date" name="date" value=(day.day) max=(today) aria-label="日期";
                    button type="submit" { "查看" }
                }
                @if tomorrow <= today { a.button.quiet href=(link(tomorrow)) { "后一天 ›" } }
            }
        }
        div.big-strip tabindex="0" role="group" aria-label="全天时间线" {
            (chart::timeline(span, &day.teaching, &minutes.powered, &minutes.used, &label))
            (chart::hours(span))
        }
        (strip_legend())
        dl.facts.across {
            div { dt { "开机" } dd { (minutes.powered.count()) " 分钟" } }
            div { dt { "使用" } dd { (minutes.used.count()) " 分钟" } }
            div { dt { "计入" } dd { (day.counted) " 分钟" } }
            div { dt { "上课时间" } dd {
                @if day.teaching.is_empty() { "非教学日" } @else { (day.teaching.count()) " 分钟" }
            } }
        }
    }
}

fn runs_table(day: &TerminalDay) -> Table {
    let of = |set: &MinuteSet, name: &'static str| {
        let rows = set.runs().into_iter().map(move |run| {
            vec![
                Cell::from(name),
                text::clock(run.start).into(),
                text::clock(run.end).into(),
                Cell::count(run.end - run.start),
            ]
        });
        rows.collect::<Vec<_>>()
    };
    let mut rows = of(&day.minutes.used, "使用");
    rows.extend(of(&day.minutes.powered, "开机"));
    rows.extend(of(&day.teaching, "上课时间"));
    Table {
        key: "runs",
        caption: "各时段".to_owned(),
        columns: vec![
            Column::Head("种类"),
            Column::Text("开始"),
            Column::Text("结束"),
            Column::Number("分钟"),
        ],
        rows,
        empty: "这一天没有记录。",
    }
}

fn days_table(history: &[HistoryDay]) -> Table {
    let row = |day: &HistoryDay| {
        let kind = match (day.in_service, day.taught) {
            (false, _) => "不在用",
            (true, false) => "非教学日",
            (true, true) => "教学日",
        };
        vec![
            text::day(day.day).into(),
            kind.into(),
            Cell::count(day.minutes.counted),
            Cell::count(day.minutes.used),
            Cell::count(day.minutes.powered),
            Cell::count(day.minutes.lessons_taught),
        ]
    };
    Table {
        key: "days",
        caption: "每日使用".to_owned(),
        columns: vec![
            Column::Head("日期"),
            Column::Text("种类"),
            Column::Number("计入分钟"),
            Column::Number("使用分钟"),
            Column::Number("开机分钟"),
            Column::Number("用了的课时"),
        ],
        rows: history.iter().map(row).collect(),
        empty: "没有数据。",
    }
}

fn facts(terminal: &Terminal, at: &Context) -> Markup {
    let zone = &at.parts.zone;
    let or_none = |text: &str| {
        if text.is_empty() {
            text::NONE.to_owned()
        } else {
            text.to_owned()
        }
    };
    html! {
        dl.facts {
            dt { "最近报告" } dd { (text::heard(terminal.last_heard, zone)) }
            dt { "首次报告" } dd { (text::heard(terminal.first_heard, zone)) }
            dt { "时钟" } dd { (terminal.clock_offset.map_or_else(|| text::NONE.to_owned(), text::offset)) }
            dt { "程序版本" } dd { (or_none(&terminal.version)) }
            dt { "操作系统" } dd { (or_none(&terminal.os)) }
            dt { "安装位置" }
            dd {
                @if terminal.placements.is_empty() { "等待批准," a href="/quality#pending" { "去批准" } }
                @for place in &terminal.placements {
                    div {
                        a href={ "/schools/" (place.school) } { (place.school) }
                        " " (place.room) "," (place.from) " 起"
                        @if let Some(to) = place.to { ",至 " (to) }
                    }
                }
                @if !terminal.placements.is_empty() && guard::opens(&Method::POST, "/settings/move") {
                    a href={ "/settings?terminal=" (terminal.id) "#moves" } { "调拨或停用" }
                }
            }
        }
    }
}

/// What looks doubtful of its use in these days, with the reason and the mend.
async fn doubts(
    at: &Context,
    id: &TerminalId,
    school: Option<&School>,
    period: Period,
) -> Result<Table, Failure> {
    let found = match school {
        Some(school) => {
            query::terminal_doubts(at.store(), id, &school.code, period, &at.parts.zone).await
        }
        None => Ok(Vec::new()),
    };
    let found = match found {
        Err(query::QueryError::NoCalendar { .. }) => Vec::new(),
        other => other?,
    };
    Ok(Table {
        key: "doubts",
        caption: "可疑的使用".to_owned(),
        columns: doubt_columns(false),
        rows: found.iter().map(|doubt| doubt_row(doubt, None)).collect(),
        empty: "本学期没有发现可疑的使用。",
    })
}

async fn incidents(at: &Context, id: &TerminalId) -> Result<Table, Failure> {
    let filter = IncidentFilter {
        terminal: Some(id.clone()),
        kind: None,
        until: None,
        since: 0,
        limit: INCIDENTS,
    };
    let found = at.store().incidents(&filter).await?;
    let row = |one: &crate::domain::incident::Incident| {
        vec![
            text::moment(one.received_at, &at.parts.zone).into(),
            one.sentence(&at.parts.zone).into(),
            text::incident_mend(one.kind).into(),
        ]
    };
    Ok(Table {
        key: "incidents",
        caption: "事件".to_owned(),
        columns: vec![
            Column::Head("上报时间"),
            Column::Long("事件"),
            Column::Long("处理建议"),
        ],
        rows: found.iter().map(row).collect(),
        empty: "没有事件。",
    })
}
