//! A term's days as a calendar: weeks by weekdays, each day shaded by its counted minutes and leading to its page.

use std::collections::BTreeMap;

use jiff::civil::Date;
use maud::{Markup, html};

use crate::{
    dashboard::text,
    query::{HistoryDay, monday},
};

/// The days; `link` makes a day's address.
pub(in crate::dashboard) fn calendar(
    days: &[HistoryDay],
    chosen: Date,
    link: impl Fn(Date) -> String,
) -> Markup {
    let mut weeks: BTreeMap<Date, Vec<&HistoryDay>> = BTreeMap::new();
    for day in days {
        weeks.entry(monday(day.day)).or_default().push(day);
    }
    let most = days
        .iter()
        .map(|day| day.minutes.counted)
        .max()
        .unwrap_or(0);
    html! {
        div.scroll tabindex="0" role="group" aria-label="每日使用日历" {
            table.days {
                caption.unseen { "每日计入分钟" }
                thead { tr {
                    th scope="col" { "周" }
                    @for day in 0..7 { th scope="col" { (text::weekday(day)) } }
                } }
                tbody {
                    @for (first, days) in &weeks {
                        tr {
                            th scope="row" { (text::short_day(*first)) }
                            @for at in 0..7 {
                                @match days.iter().find(|day| day.day.weekday().to_monday_zero_offset() == at) {
                                    None => { td {} }
                                    Some(day) => { td { (one(day, most, day.day == chosen, &link(day.day))) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn one(day: &HistoryDay, most: u64, chosen: bool, link: &str) -> Markup {
    let (class, said) = match (&day.known, day.taught) {
        (_, false) if day.minutes.powered > 0 => ("off", "非教学日,有开机".to_owned()),
        (_, false) => ("off", "非教学日".to_owned()),
        (None, true) => ("quiet", "教学日,没有报告".to_owned()),
        (Some(_), true) => ("", format!("计入 {} 分钟", day.minutes.counted)),
    };
    let shade = if day.taught && day.known.is_some() {
        super::shade(day.minutes.counted, most)
    } else {
        String::new()
    };
    html! {
        a href=(link) class={ (class) " " (shade) } aria-current=[chosen.then_some("date")] title=(said) {
            span aria-hidden="true" { (day.day.day()) }
            @if day.known.is_some() { small aria-hidden="true" { (day.minutes.counted) } }
            span.unseen { (text::short_day(day.day)) "," (said) }
        }
    }
}
