//! 总览: the county now, today against days like it, and its schools ranked.

use std::collections::HashMap;

use axum::{
    extract::{Query, State},
    http::Method,
    response::Response,
};
use futures::{
    TryFutureExt as _,
    future::{try_join, try_join_all},
};
use jiff::ToSpan as _;
use maud::{Markup, html};

use super::{days_fields, figure};
use crate::{
    access,
    dashboard::{
        Context, chart,
        failure::Failure,
        filters::{Filters, Scope, address, townships},
        guard,
        layout::Page,
        table::{Cell, Column, Table, answer},
        text,
    },
    domain::{
        ids::{SchoolCode, Stage},
        usage::display,
    },
    query::{
        self, Count, CountyMonitoring, DaySoFar, SchoolFilter, SchoolNow, SchoolPoints, SchoolUsage,
    },
};

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Query(filters): Query<Filters>,
) -> Result<Response, Failure> {
    let scope = filters.scope(&at).await?;
    at.freshen().await?;
    let (store, everyone) = (at.store(), SchoolFilter::default());
    let all = query::school_usage(store, &scope.county.code, scope.period, &everyone).await?;
    let scores = query::scored(&all);
    let towns = townships(all.iter().map(|one| &one.school));
    let table = ranking(&all, &scores, &scope, &filters);
    let whole = guard::opens(&Method::GET, "/live");
    let now = if whole && filters.format.is_empty() {
        now_part(&at, &filters).await?
    } else {
        html! {}
    };
    answer(&filters, &[&table], &scope.days(), || {
        let page = Page {
            title: format!("{}总览", scope.county.name),
            lead: format!("今天是 {}", text::day(at.today())),
            current: "/",
            ..Page::default()
        };
        let live = address(
            "/live",
            &form_urlencoded::Serializer::new(String::new())
                .append_pair("view", "now")
                .append_pair("county", scope.county.code.as_str())
                .finish(),
        );
        page.markup(&html! {
            @if whole { section aria-label="现在" data-live=(live) { (now) } }
            section.card aria-labelledby="schools" {
                (filter_form(&filters, &scope, &towns))
                (table.html(&filters.query()))
                p.note {
                    (text::short_day(scope.period.first)) "至" (text::short_day(scope.period.last))
                    @if let Some(term) = &scope.term { "(" (term.name) ")" }
                    ";全县最高 " strong { (display(scores.highest)) } " 分钟/台·日。"
                    span.trial { "试算" } "分按 15 × 本校平均 ÷ 全县最高 计算,仅供参考,以正式考核结果为准。"
                }
            }
        })
    })
}

fn filter_form(filters: &Filters, scope: &Scope, towns: &[String]) -> Markup {
    html! {
        form.filters method="get" action="/" aria-label="筛选" {
            @if scope.counties.len() > 1 {
                label { "区县" select name="county" {
                    @for county in &scope.counties {
                        option value=(county.code) selected[county.code == scope.county.code] { (county.name) }
                    }
                } }
            }
            (days_fields(filters, scope))
            label { "学段" select name="stage" {
                option value="" { "全部" }
                @for stage in Stage::ALL {
                    option value=(stage.name()) selected[scope.filter.stage == Some(stage)] { (stage.name()) }
                }
            } }
            label { "乡镇" select name="township" {
                option value="" { "全部" }
                @for town in towns {
                    option value=(town) selected[scope.filter.township.as_ref() == Some(town)] { (town) }
                }
            } }
            button type="submit" { "筛选" }
            a.button.quiet href="/" { "重置" }
        }
    }
}

/// The county's ranking; schools that the filter leaves out still set the highest average and the ranks.
pub(in crate::dashboard) fn ranking(
    all: &[SchoolUsage],
    scores: &CountyMonitoring,
    scope: &Scope,
    filters: &Filters,
) -> Table {
    let by_school: HashMap<&SchoolCode, &SchoolPoints> = scores
        .schools
        .iter()
        .map(|one| (&one.school.code, one))
        .collect();
    let mut rows = Vec::new();
    let (mut rank, mut before) = (0, None);
    for (at, one) in all.iter().enumerate() {
        // Equal averages share their rank.
        if before != Some(one.average) {
            (rank, before) = (at + 1, Some(one.average));
        }
        let school = &one.school;
        let stage = scope.filter.stage.is_none_or(|stage| stage == school.stage);
        let township = scope.filter.township.as_ref();
        if stage && township.is_none_or(|township| *township == school.township) {
            let points = by_school.get(&school.code).map(|one| &one.score);
            rows.push(row(rank, one, points, scores, filters));
        }
    }
    Table {
        key: "schools",
        caption: "各校使用排名".to_owned(),
        columns: vec![
            Column::Number("名次"),
            Column::Head("学校"),
            Column::Exported("学校标识码"),
            Column::Text("学段"),
            Column::Text("乡镇"),
            Column::Number("平均(分钟/台·日)"),
            Column::Number("占全县最高"),
            Column::Number("试算分(满分15)"),
            Column::Number("课时使用率"),
            Column::Number("有报告终端"),
            Column::Number("终端"),
            Column::Exported("计入分钟"),
            Column::Exported("应计台·日"),
            Column::Exported("试算说明"),
        ],
        rows,
        empty: "没有符合条件的学校。请放宽筛选条件。",
    }
}

fn row(
    rank: usize,
    one: &SchoolUsage,
    points: Option<&crate::domain::monitoring::Score>,
    scores: &CountyMonitoring,
    filters: &Filters,
) -> Vec<Cell> {
    let link = address(
        &format!("/schools/{}", one.school.code),
        &filters.days_query(),
    );
    // A school's own people see the ranking, and of other schools nothing more.
    let seen = access::current().is_some_and(|who| who.reach().shows(&one.school));
    let zero = crate::domain::usage::Fraction::from_integer(0);
    let share = if scores.highest == zero {
        text::NONE.to_owned()
    } else {
        text::percent(one.average / scores.highest)
    };
    let bar = html! {
        span.barred { (chart::bar(text::share(one.average, scores.highest))) span.of { (share) } }
    };
    let reason = points.map(|score| score.reason.clone()).unwrap_or_default();
    let points = points.map_or_else(|| text::NONE.to_owned(), |score| display(score.points));
    let shown = html! { span.trial-points title=(reason) { (points) } };
    vec![
        rank.to_string().into(),
        if seen {
            Cell::link(one.school.name.clone(), &link)
        } else {
            one.school.name.clone().into()
        },
        one.school.code.to_string().into(),
        one.school.stage.to_string().into(),
        one.school.township.clone().into(),
        display(one.average).into(),
        Cell::drawn(share, bar),
        Cell::drawn(points, shown),
        text::rate(one.minutes, one.due).into(),
        Cell::count(one.reporting_terminals),
        Cell::count(one.terminals),
        Cell::count(one.minutes.counted),
        Cell::count(one.due.service_days),
        reason.into(),
    ]
}

/// What the county's terminals do now, and today against days like it.
pub(in crate::dashboard) async fn now_part(
    at: &Context,
    filters: &Filters,
) -> Result<Markup, Failure> {
    let (_, county) = filters.county(at).await?;
    let moment = at.moment();
    let now = query::county_now(at.store(), &county.code, &moment).map_err(Failure::from);
    let (schools, days) = try_join(now, compared(at, &county.code)).await?;
    let count: Count = schools.iter().map(SchoolNow::count).sum();
    Ok(html! {
        dl.figures {
            (figure("在用终端", &count.terminals.to_string(), "台", &html! { (schools.len()) " 所学校" }))
            (figure("正在使用", &count.in_use.to_string(), "台", &state("s-used", &share(count.in_use, count))))
            (figure("开机未用", &count.on.to_string(), "台", &state("s-on", &share(count.on, count))))
            (figure("关机", &count.off.to_string(), "台", &state("s-off", &share(count.off, count))))
            (figure("静默", &count.silent.to_string(), "台", &html! {
                @if guard::opens(&Method::GET, "/quality") {
                    a href="/quality#silent" { "连续 " (query::SILENT_AFTER) " 个教学日无消息" }
                } @else { "连续 " (query::SILENT_AFTER) " 个教学日无消息" }
            }))
        }
        (today(&days, moment.minute()))
    })
}

fn state(class: &str, note: &str) -> Markup {
    html! { span.dot.(class) aria-hidden="true" {} (note) }
}

fn share(part: u64, count: Count) -> String {
    if count.terminals == 0 {
        return text::NONE.to_owned();
    }
    let share = (part * 200 + count.terminals) / (count.terminals * 2);
    format!("{share}%")
}

/// Today, and days like it as far as they had come at this minute.
async fn compared(
    at: &Context,
    county: &crate::domain::ids::CountyCode,
) -> Result<Vec<(&'static str, Option<DaySoFar>)>, Failure> {
    let (store, moment) = (at.store(), at.moment());
    let Some(stored) = store.calendar(county).await? else {
        return Ok(Vec::new());
    };
    let (calendar, today) = (stored.calendar, moment.today());
    let (before, _) = query::earlier_terms(&calendar, today);
    let current = calendar.term_at(today).filter(|term| today <= term.last);
    let last_term = before
        .zip(current)
        .and_then(|(before, current)| query::same_day_of(before, current, today));
    let days = [
        ("今天", Some(today)),
        ("上周同日", Some(today.saturating_sub(1.week()))),
        ("上学期同周同日", last_term),
    ];
    let so_far = days.map(async |(name, day)| match day {
        Some(day) => query::day_so_far(store, county, day, moment.minute())
            .await
            .map(|so_far| (name, Some(so_far))),
        None => Ok((name, None)),
    });
    Ok(try_join_all(so_far).await?)
}

fn today(days: &[(&'static str, Option<DaySoFar>)], minute: u16) -> Markup {
    let Some((_, Some(now))) = days.first() else {
        return html! {};
    };
    html! {
        dl.figures.today aria-label={ "截至 " (text::clock(minute)) " 的使用" } {
            @for (name, day) in days {
                @match day {
                    None => { (figure(name, text::NONE, "", &html! { "教学日历中没有对应的日子" })) }
                    Some(day) if day.service_days == 0 => {
                        (figure(name, text::NONE, "", &html! { (text::day(day.day)) ",非教学日" }))
                    }
                    Some(day) => {
                        (figure(name, &display(day.average), "分钟/台", &html! {
                            @if day.day == now.day {
                                "截至 " (text::clock(minute)) ",已开机 " (day.reporting) " 台"
                            } @else {
                                (text::day(day.day)) " 同一时刻"
                                @if let Some(change) = text::change(now.average, day.average) {
                                    ",今天 " strong { (change) }
                                }
                            }
                        }))
                    }
                }
            }
        }
    }
}
