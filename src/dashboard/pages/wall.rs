//! 大屏: the county at a glance for a screen on the wall, live.

use axum::{
    extract::{Query, State},
    response::{Html, IntoResponse as _, Response},
};
use maud::{Markup, html};

use crate::{
    dashboard::{Context, chart, failure::Failure, filters::Filters, layout::Page, text},
    domain::usage::{Fraction, display},
    query::{self, Count, SchoolNow, State as Doing},
};

/// Seconds between two looks of a browser that runs no script.
const REFRESH: u32 = 30;

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Query(filters): Query<Filters>,
) -> Result<Response, Failure> {
    let (_, county) = filters.county(&at).await?;
    let part = part(&at, &filters).await?;
    let page = Page {
        title: format!("{}班班通使用实况", county.name),
        current: "/wall",
        class: "wall",
        refresh: Some(REFRESH),
        ..Page::default()
    };
    let live = format!("/live?view=wall&county={}", county.code);
    let content = html! { section aria-label="实况" data-live=(live) { (part) } };
    Ok(Html(page.markup(&content).into_string()).into_response())
}

/// Today's average of a school so far: counted minutes a terminal in service.
fn average(school: &SchoolNow) -> Fraction {
    let terminals = school.terminals.len();
    if terminals == 0 {
        return Fraction::from_integer(0);
    }
    Fraction::new(school.counted().into(), terminals as u128)
}

/// Everything that changes.
pub(in crate::dashboard) async fn part(at: &Context, filters: &Filters) -> Result<Markup, Failure> {
    let (_, county) = filters.county(at).await?;
    let moment = at.moment();
    let mut schools = query::county_now(at.store(), &county.code, &moment).await?;
    let count: Count = schools.iter().map(SchoolNow::count).sum();
    schools.sort_by_key(|school| {
        (
            std::cmp::Reverse(average(school)),
            school.school.code.clone(),
        )
    });
    let highest = schools.first().map_or(Fraction::from_integer(0), average);
    let counted: u64 = schools.iter().map(SchoolNow::counted).sum();
    let mean = if count.terminals == 0 {
        Fraction::from_integer(0)
    } else {
        Fraction::new(counted.into(), count.terminals.into())
    };
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
                (big("今日平均(分钟/台)", &display(mean), ""))
            }
        }
        ol class=(class) aria-label="各校今日使用,按今日平均排列" {
            @for school in &schools { (tile(school, highest)) }
        }
    })
}

fn big(name: &str, value: &str, class: &str) -> Markup {
    html! { div class=(class) { dt { (name) } dd { (value) } } }
}

fn tile(school: &SchoolNow, highest: Fraction) -> Markup {
    let (count, average) = (school.count(), average(school));
    html! {
        li.tile {
            a href={ "/schools/" (school.school.code) } { (school.school.name) }
            p.tile-figures {
                span { span.tile-value { (display(average)) } span.more { " 分钟/台" } }
                span { span.more { "在用 " } strong { (count.in_use) } "/" (count.terminals) span.more { " 台" } }
            }
            (chart::bar(text::share(average, highest)))
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
