//! 大屏: the county at a glance for a screen on the wall, live.

use std::cmp::Reverse;

use axum::{
    extract::{Query, State},
    response::{Html, IntoResponse as _, Response},
};
use jiff::civil::Date;
use maud::{Markup, html};

use super::county_form;
use crate::{
    dashboard::{Context, chart, failure::Failure, filters::Filters, layout::Page, text},
    domain::{
        calendar::Calendar,
        usage::{Fraction, display},
    },
    query::{self, Count, SchoolNow, State as Doing},
};

/// Seconds between two looks of a browser that runs no script.
const REFRESH: u32 = 30;

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Query(filters): Query<Filters>,
) -> Result<Response, Failure> {
    let (counties, county) = filters.county(&at).await?;
    let part = part(&at, &filters).await?;
    let page = Page {
        title: format!("{}班班通使用实况", county.name),
        current: "/wall",
        class: "wall",
        refresh: Some(REFRESH),
        ..Page::default()
    };
    let live = format!("/live?view=wall&county={}", county.code);
    let content = html! {
        section aria-label="实况" data-live=(live) { (part) }
        (county_form("/wall", &counties, Some(&county)))
    };
    Ok(Html(page.markup(&content).into_string()).into_response())
}

/// Today's average of a school so far: counted minutes a terminal in service. `None` where nothing counts today: the
/// school is not taught, or has no terminal.
fn average(school: &SchoolNow, calendar: Option<&Calendar>, today: Date) -> Option<Fraction> {
    calendar?.teaching(school.school.stage, today)?;
    mean(school.counted(), school.terminals.len() as u64)
}

fn mean(counted: u64, terminals: u64) -> Option<Fraction> {
    (terminals > 0).then(|| Fraction::new(counted.into(), terminals.into()))
}

/// Everything that changes.
pub(in crate::dashboard) async fn part(at: &Context, filters: &Filters) -> Result<Markup, Failure> {
    let (_, county) = filters.county(at).await?;
    let moment = at.moment();
    let stored = at.store().calendar(&county.code).await?;
    let calendar = stored.as_ref().map(|stored| &*stored.calendar);
    let schools = query::county_now(at.store(), &county.code, &moment).await?;
    let count: Count = schools.iter().map(SchoolNow::count).sum();
    let mut schools: Vec<(Option<Fraction>, SchoolNow)> = schools
        .into_iter()
        .map(|school| (average(&school, calendar, moment.today()), school))
        .collect();
    schools.sort_by_key(|(average, school)| (Reverse(*average), school.school.code.clone()));
    let zero = Fraction::from_integer(0);
    let highest = schools
        .first()
        .and_then(|(average, _)| *average)
        .unwrap_or(zero);
    let taught = || schools.iter().filter(|(average, _)| average.is_some());
    let whole = mean(
        taught().map(|(_, school)| school.counted()).sum(),
        taught()
            .map(|(_, school)| school.terminals.len() as u64)
            .sum(),
    );
    let class = match schools.len() {
        0..=16 => "tiles few",
        17..=40 => "tiles",
        _ => "tiles many",
    };
    Ok(html! {
        div.wall-top {
            p.wall-time { strong { (text::clock(moment.minute())) } span { (text::day(moment.today())) } }
            dl.wall-figures {
                (big("正在使用", &count.in_use.to_string(), "s-used"))
                (big("开机未用", &count.on.to_string(), "s-on"))
                (big("关机", &count.off.to_string(), "s-off"))
                (big("静默", &count.silent.to_string(), "s-silent"))
                @match whole {
                    Some(mean) => { (big("今日平均(分钟/台)", &display(mean), "")) }
                    None => { (big("今日平均", "非教学日", "s-none")) }
                }
            }
        }
        ol class=(class) aria-label="各校今日使用,按今日平均排列" {
            @for (average, school) in &schools { (tile(school, *average, highest)) }
        }
    })
}

fn big(name: &str, value: &str, class: &str) -> Markup {
    html! { div class=(class) { dt { (name) } dd { (value) } } }
}

fn tile(school: &SchoolNow, average: Option<Fraction>, highest: Fraction) -> Markup {
    let count = school.count();
    let share = average.map_or(0, |average| text::share(average, highest));
    let figure = average.map_or_else(|| text::NONE.to_owned(), display);
    html! {
        li.tile {
            a href={ "/schools/" (school.school.code) } { (school.school.name) }
            p.tile-figures {
                span { span.tile-value { (figure) } span.more { " 分钟/台" } }
                span { span.more { "在用 " } strong { (count.in_use) } "/" (count.terminals) span.more { " 台" } }
            }
            (chart::bar(share))
            p.dots aria-hidden="true" {
                @for one in school.terminals.iter().take(60) {
                    i class=(dot(one.state)) {}
                }
            }
        }
    }
}

fn dot(state: Doing) -> &'static str {
    text::state_class(state)
}
