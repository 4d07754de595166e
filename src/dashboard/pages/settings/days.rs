//! 放假与调休: single days of the teaching calendar by form, for who would rather not write its file.

use axum::{
    Form,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use jiff::civil::{Date, Weekday};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Told, answer_with, calendar_wrong, version};
use crate::{
    dashboard::{Context, failure::Failure, filters::Filters, form, text},
    domain::calendar::{Calendar, DayChange, Holiday},
    store::{County, StoredCalendar},
};

/// The longest name of a holiday, characters.
const MAX_NAME: usize = 30;

/// What stands there, and the forms to change it where that is allowed.
pub(super) fn part(county: &County, stored: &StoredCalendar, today: Date, may: bool) -> Markup {
    let calendar = &stored.calendar;
    let fields = html! {
        input type="hidden" name="county" value=(county.code);
        input type="hidden" name="version" value=(stored.version);
    };
    let drop = |action: &str, first: Date, last: Date, what: &str| {
        html! {
            @if may {
                form.inline method="post" action="/settings/calendar/days" {
                    (fields)
                    input type="hidden" name="first" value=(first);
                    input type="hidden" name="last" value=(last);
                    button.small type="submit" name="do" value=(action) aria-label={ "删除 " (what) } { "删除" }
                }
            }
        }
    };
    html! {
        div.pair {
            div {
                h3 { "放假" }
                @if calendar.holidays().is_empty() { p.empty { "没有登记放假。" } }
                ul.plain { @for holiday in calendar.holidays() {
                    li class=[(holiday.last < today).then_some("past")] {
                        span { strong { (holiday.name) } " " (holiday.first) @if holiday.last > holiday.first { " 至 " (holiday.last) } }
                        (drop("drop_holiday", holiday.first, holiday.last, &holiday.name))
                    }
                } }
                @if may {
                    form.filters method="post" action="/settings/calendar/days" {
                        (fields)
                        label { "名称" input type="text" name="name" required maxlength=(MAX_NAME) size="8" placeholder="如 运动会"; }
                        label { "从" input type="date" name="first" required; }
                        label { "到(一天可不填)" input type="date" name="last"; }
                        button type="submit" name="do" value="add_holiday" { "加放假" }
                    }
                }
            }
            div {
                h3 { "调休上课" }
                @if calendar.makeups().next().is_none() { p.empty { "没有登记调休。" } }
                ul.plain { @for (date, follows) in calendar.makeups() {
                    li class=[(date < today).then_some("past")] {
                        span {
                            strong { (text::day(date)) } " 按" (weekday(follows)) "课表"
                            @if !in_a_term(calendar, date) { "(不在学期内,不计)" }
                        }
                        (drop("drop_makeup", date, date, &date.to_string()))
                    }
                } }
                @if may {
                    form.filters method="post" action="/settings/calendar/days" {
                        (fields)
                        label { "哪天上课" input type="date" name="first" required; }
                        label { "按星期几的课表" select name="follows" required {
                            option value="" { "请选择" }
                            @for (at, day) in weekdays() { option value=(at) { (weekday(day)) } }
                        } }
                        button type="submit" name="do" value="add_makeup" { "加调休" }
                    }
                }
            }
        }
    }
}

fn weekdays() -> impl Iterator<Item = (i8, Weekday)> {
    (0..7).filter_map(|at| Some((at, Weekday::from_monday_zero_offset(at).ok()?)))
}

fn weekday(day: Weekday) -> String {
    format!("星期{}", text::weekday(day.to_monday_zero_offset()))
}

fn in_a_term(calendar: &Calendar, day: Date) -> bool {
    let mut terms = calendar.terms().iter();
    terms.any(|term| term.first <= day && day <= term.last)
}

/// One change of a calendar's days.
#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct DaysForm {
    county: String,
    /// Of the calendar that was looked at.
    version: i64,
    #[serde(default)]
    name: String,
    first: String,
    #[serde(default)]
    last: String,
    /// From 0 for Monday.
    #[serde(default)]
    follows: String,
    #[serde(rename = "do")]
    action: String,
}

impl DaysForm {
    fn change(&self) -> Result<DayChange, Failure> {
        let first =
            form::day("日期", &self.first)?.ok_or_else(|| Failure::field("日期", "请选择一天"))?;
        let last = form::day("日期", &self.last)?.unwrap_or(first);
        Ok(match self.action.as_str() {
            "add_holiday" => {
                let name = self.name.trim();
                let long = name.chars().count() > MAX_NAME;
                if name.is_empty() || long || name.chars().any(char::is_control) {
                    return Err(Failure::field("名称", format!("请写 1 至 {MAX_NAME} 字")));
                }
                let name = name.to_owned();
                DayChange::AddHoliday(Holiday { name, first, last })
            }
            "drop_holiday" => DayChange::DropHoliday(first, last),
            "add_makeup" => {
                let chosen = self.follows.parse().ok();
                let mut days = weekdays();
                let follows = days.find(|(at, _)| Some(*at) == chosen);
                let (_, follows) = follows.ok_or_else(|| Failure::field("课表", "请选择星期几"))?;
                DayChange::AddMakeup(first, follows)
            }
            "drop_makeup" => DayChange::DropMakeup(first),
            other => return Err(Failure::field("操作", format!("没有“{other}”这种操作"))),
        })
    }
}

/// Changes the days and puts the calendar in force as a further version.
pub(in crate::dashboard) async fn change(
    State(at): State<Context>,
    Form(form): Form<DaysForm>,
) -> Result<Response, Failure> {
    let county = form::county(&at, &form.county).await?;
    let change = form.change()?;
    let stored = at.store().calendar(&county).await?;
    if version(stored.as_ref()) != form.version {
        let said = "教学日历刚刚被改过:请重新打开设置页,核对后再改";
        return Err(Failure::Refused(said.to_owned()));
    }
    let text = stored.map_or_else(String::new, |stored| stored.text);
    match change.of(&text) {
        Ok(text) => {
            let now = at.parts.clock.now().as_second();
            let version = at.store().set_calendar(&county, &text, now).await?;
            tracing::info!(%county, version, ?change, "days of a calendar were changed on the dashboard");
            let to = format!("/settings?county={county}&done=days#calendar");
            Ok(Redirect::to(&to).into_response())
        }
        Err(error) => {
            let filters = Filters {
                county: county.to_string(),
                ..Filters::default()
            };
            let told = Told {
                calendar: Some(calendar_wrong(&error)),
                ..Told::default()
            };
            answer_with(&at, &filters, StatusCode::UNPROCESSABLE_ENTITY, told).await
        }
    }
}
