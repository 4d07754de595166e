//! 学校: its figures, its weeks against earlier terms, its lessons, its terminals today.

use std::collections::HashMap;

use axum::{
    extract::{Path, Query, State},
    http::Method,
    response::Response,
};
use maud::{Markup, html};

use super::{days_fields, figure, runs};
use crate::{
    dashboard::{
        Context,
        chart::{self, Line, Span},
        failure::Failure,
        filters::{Filters, Scope, address},
        guard,
        layout::Page,
        table::{Cell, Column, Table, answer},
        text,
    },
    domain::{
        ids::{SchoolCode, TerminalId},
        minutes::MinuteSet,
        usage::{Period, display},
    },
    query::{
        self, LessonCell, LessonGrid, SchoolFilter, SchoolNow, SchoolPoints, SchoolUsage,
        State as Doing, TerminalUsage,
    },
    store::{Run, School},
};

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Path(code): Path<String>,
    Query(mut filters): Query<Filters>,
) -> Result<Response, Failure> {
    let unknown = |_error| query::QueryError::NotFound {
        what: "school",
        id: code.chars().take(40).collect(),
    };
    let code: SchoolCode = code.parse().map_err(unknown)?;
    let school = query::school(at.store(), &code).await?;
    filters.county = school.county.to_string();
    let scope = filters.scope(&at).await?;
    filters.county.clear();
    at.freshen().await?;
    let now = query::school_now(at.store(), &code, &at.moment()).await?;
    let period = query::school_period(at.store(), &code, scope.period).await?;
    let usage = period.usage();
    let teaching = scope.calendar.teaching(school.stage, at.today());
    let teaching = teaching.map(|day| day.mask).unwrap_or_default();
    let terminals = terminals(&now, &usage, &teaching, &at);
    let lines = lines(&at, &code, &scope).await?;
    let weeks = weeks_table(&lines);
    let standing = standing(&at, &code, &scope).await?;
    let grid = period.lessons();
    let sheets = sheets(&at, &school).await?;
    let lessons = lessons_table(&grid);
    let tables = [&terminals, &weeks, &lessons];
    answer(&filters, &tables, &scope.days(), || {
        let page = Page {
            title: school.name.clone(),
            lead: format!(
                "{} · {} · 学校标识码 {}",
                school.stage,
                if school.township.is_empty() {
                    text::NONE
                } else {
                    &school.township
                },
                school.code
            ),
            current: "/",
            crumbs: vec![(
                address("/", &filters.days_query()),
                format!("{}总览", scope.county.name),
            )],
            ..Page::default()
        };
        page.markup(&html! {
            form.filters.above method="get" aria-label="选择时间" {
                (days_fields(&filters, &scope))
                button type="submit" { "查看" }
            }
            section aria-label="主要数字" { (figures(standing.as_ref(), &now)) }
            div.columns {
                section.card.wide aria-labelledby="trend" {
                    h2 #trend { "每周平均(分钟/台·日)" }
                    (chart::trend(&lines, "每周平均使用分钟,本学期与上学期、去年同期比较,数字见下方数据表"))
                    details { summary { "数据表" } (weeks.html(&filters.query())) }
                }
                section.card aria-labelledby="lessons" {
                    h2 #lessons { "课时使用率" }
                    @if grid.is_empty() { p.empty { "这段时间没有课时安排。" } } @else {
                        (chart::lessons(&grid))
                        details { summary { "数据表" } (lessons.html(&filters.query())) }
                    }
                }
            }
            section.card aria-labelledby="terminals" {
                (terminals.html(&filters.query()))
                (strip_legend())
            }
            @if !sheets.is_empty() {
                section.card aria-labelledby="sheets" {
                    h2 #sheets { "考核评分表" }
                    dl.facts {
                        @for run in &sheets {
                            dt { a href={ "/runs/" (run.id) "/schools/" (code) } { (run.name) } }
                            dd { (run.period.first) " 至 " (run.period.last) " · " (runs::state(run)) }
                        }
                    }
                }
            }
        })
    })
}

/// The runs that show whoever acts a sheet of this school; none to who may not see scores.
async fn sheets(at: &Context, school: &School) -> Result<Vec<Run>, Failure> {
    if !guard::opens(&Method::GET, "/runs/{run}/schools/{code}") {
        return Ok(Vec::new());
    }
    Ok(at.store().runs(&school.county).await?)
}

/// What the colours of a strip mean.
pub(in crate::dashboard) fn strip_legend() -> Markup {
    html! {
        ul.legend {
            li.k-used { span.key aria-hidden="true" {} "使用" }
            li.k-powered { span.key aria-hidden="true" {} "开机" }
            li.k-teaching { span.key aria-hidden="true" {} "上课时间" }
        }
    }
}

/// The school's usage among the county's, its rank and its points.
struct Standing {
    usage: SchoolUsage,
    points: SchoolPoints,
    rank: usize,
    schools: usize,
}

async fn standing(
    at: &Context,
    code: &SchoolCode,
    scope: &Scope,
) -> Result<Option<Standing>, Failure> {
    let everyone = SchoolFilter::default();
    let all = query::school_usage(at.store(), &scope.county.code, scope.period, &everyone).await?;
    let scores = query::scored(&all);
    let points = scores
        .schools
        .into_iter()
        .find(|one| one.school.code == *code);
    let schools = all.len();
    let own = all.iter().find(|one| one.school.code == *code).cloned();
    Ok(own.zip(points).map(|(usage, points)| {
        let better = all.iter().filter(|other| other.average > usage.average);
        Standing {
            rank: better.count() + 1,
            usage,
            points,
            schools,
        }
    }))
}

fn figures(standing: Option<&Standing>, now: &SchoolNow) -> Markup {
    let count = now.count();
    html! {
        dl.figures {
            @if let Some(Standing { usage, points, rank, schools }) = standing {
                (figure("平均使用", &display(usage.average), "分钟/台·日",
                    &html! { "全县第 " (rank) " 名,共 " (schools) " 所" }))
                (figure("后台监测试算", &display(points.score.points), "分",
                    &html! { span.trial { "试算" } (points.score.reason) }))
                (figure("课时使用率", &text::rate(usage.minutes, usage.due), "",
                    &html! { "用了 " (usage.minutes.lessons_taught) " 节,应上 " (usage.due.lessons) " 节" }))
            }
            (figure("现在", &count.in_use.to_string(), "台在用", &html! {
                "开机未用 " (count.on) " 台,关机 " (count.off) " 台,静默 " (count.silent) " 台"
            }))
        }
    }
}

/// The school's weeks in the days asked about, in the term before and in the term a year before.
async fn lines(at: &Context, code: &SchoolCode, scope: &Scope) -> Result<Vec<Line>, Failure> {
    let (before, year) = query::earlier_terms(&scope.calendar, scope.period.last);
    let whole = |term: &crate::domain::calendar::Term| Period {
        first: term.first,
        last: term.last,
    };
    let name = if scope.term.is_some() {
        "本学期"
    } else {
        "所选时间"
    };
    let mut lines = Vec::new();
    for (name, class, period) in [
        (name, "now", Some(scope.period)),
        ("上学期", "before", before.map(whole)),
        ("去年同期", "year", year.map(whole)),
    ] {
        let Some(period) = period else { continue };
        let weeks = query::school_weeks(at.store(), code, period).await?;
        if class != "now" && weeks.iter().all(|week| week.minutes.reporting == 0) {
            continue;
        }
        let weeks = weeks
            .into_iter()
            .map(|week| (week.due.service_days != 0).then_some(week.average));
        lines.push(Line {
            name: name.to_owned(),
            class,
            weeks: weeks.collect(),
        });
    }
    Ok(lines)
}

/// Every weekday and lesson with the figures of the heat map.
fn lessons_table(grid: &LessonGrid) -> Table {
    let row = |((day, number), cell): (&(i8, usize), &LessonCell)| {
        vec![
            Cell::from(format!("周{}", text::weekday(*day))),
            format!("第{}节", number + 1).into(),
            Cell::count(cell.taught),
            Cell::count(cell.due),
            chart::whole(cell.taught, cell.due).into(),
        ]
    };
    Table {
        key: "rates",
        caption: "各节课时使用率".to_owned(),
        columns: vec![
            Column::Head("星期"),
            Column::Text("节次"),
            Column::Number("用了的课时"),
            Column::Number("应上的课时"),
            Column::Number("课时使用率"),
        ],
        rows: grid.iter().map(row).collect(),
        empty: "这段时间没有课时安排。",
    }
}

fn weeks_table(lines: &[Line]) -> Table {
    let weeks = lines.iter().map(|line| line.weeks.len()).max().unwrap_or(0);
    let mut columns = vec![Column::Head("周次")];
    for line in lines {
        columns.push(Column::Number(match line.class {
            "before" => "上学期",
            "year" => "去年同期",
            _ => "本期",
        }));
    }
    let cell = |line: &Line, week: usize| {
        let value = line.weeks.get(week).copied().flatten();
        Cell::from(value.map_or_else(|| text::NONE.to_owned(), display))
    };
    let row = |week: usize| {
        let head = Cell::from(format!("第{}周", week + 1));
        std::iter::once(head)
            .chain(lines.iter().map(|line| cell(line, week)))
            .collect()
    };
    Table {
        key: "weeks",
        caption: "每周平均".to_owned(),
        columns,
        rows: (0..weeks).map(row).collect(),
        empty: "没有数据。",
    }
}

/// The terminals in service today, silent ones first, then those that stood here in the period.
fn terminals(
    now: &SchoolNow,
    usage: &[TerminalUsage],
    teaching: &MinuteSet,
    at: &Context,
) -> Table {
    let zone = &at.parts.zone;
    let span = Span::around(now.terminals.iter().map(|one| &one.today.powered));
    let known: HashMap<&TerminalId, &TerminalUsage> =
        usage.iter().map(|one| (&one.terminal, one)).collect();
    let figures = |one: Option<&&TerminalUsage>| {
        let count = |of: fn(&TerminalUsage) -> u64| Cell::count(one.map_or(0, |one| of(one)));
        [
            count(|one| one.minutes.counted),
            count(|one| one.minutes.used),
            count(|one| one.minutes.powered),
            count(|one| one.minutes.reporting),
        ]
    };
    let mut rows = Vec::new();
    for one in &now.terminals {
        let label = format!(
            "今天开机 {} 分钟,使用 {} 分钟",
            one.today.powered.count(),
            one.today.used.count()
        );
        let strip = chart::timeline(span, teaching, &one.today.powered, &one.today.used, &label);
        let mut row = vec![
            head(&one.terminal),
            one.room.clone().into(),
            badge(one.state),
            Cell::shown(strip),
            Cell::count(one.counted),
        ];
        row.extend(figures(known.get(&one.terminal)));
        row.push(text::heard_short(one.last_heard, at.today(), zone).into());
        rows.push(row);
    }
    let here = |one: &&TerminalUsage| now.terminals.iter().all(|now| now.terminal != one.terminal);
    for one in usage.iter().filter(here) {
        let mut row = vec![
            head(&one.terminal),
            one.room.clone().into(),
            Cell::from("已离开"),
            Cell::default(),
            Cell::count(0_u64),
        ];
        row.extend(figures(Some(&one)));
        row.push(text::NONE.into());
        rows.push(row);
    }
    Table {
        key: "terminals",
        caption: "终端与今天的使用".to_owned(),
        columns: vec![
            Column::Head("终端"),
            Column::Text("教室"),
            Column::Text("现在"),
            Column::Shown("今天"),
            Column::Number("今天计入"),
            Column::Number("期内计入分钟"),
            Column::Number("使用分钟"),
            Column::Number("开机分钟"),
            Column::Number("报告天数"),
            Column::Text("最近报告"),
        ],
        rows,
        empty: "本校还没有登记终端。",
    }
}

fn head(terminal: &TerminalId) -> Cell {
    Cell::link(terminal.to_string(), &format!("/terminals/{terminal}"))
}

/// A state in words and colour.
pub(in crate::dashboard) fn badge(state: Doing) -> Cell {
    let (name, class) = (text::state(state), text::state_class(state));
    let shown = html! { span.badge.(class) { span.dot aria-hidden="true" {} (name) } };
    Cell::drawn(name, shown)
}
