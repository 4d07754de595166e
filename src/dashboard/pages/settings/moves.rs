//! Terminals that move to another school, or leave service: one, or all of a school.

use axum::{Form, extract::State, response::Redirect};
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    dashboard::{Context, failure::Failure, form},
    domain::ids::TerminalId,
    registry::{self, Goes, RelocateError},
    store::School,
};

fn school_options(schools: &[School], none: &str) -> Markup {
    html! {
        option value="" { (none) }
        @for school in schools { option value=(school.code) { (school.name) } }
    }
}

/// The forms.
pub(super) fn part(schools: &[School], today: jiff::civil::Date, terminal: &str) -> Markup {
    html! {
        h2 #moves { "调拨与停用" }
        p.note {
            "调拨从某天起把终端归到另一所学校;停用后不再算应计日。以前的使用留在原来的学校,已冻结的考核不受影响。"
        }
        form.filters method="post" action="/settings/move" {
            label { "终端编号" input type="text" name="terminal" maxlength="64" required value=(terminal); }
            label { "调到" select name="school" required { (school_options(schools, "选择学校")) } }
            label { "教室" input type="text" name="room" maxlength="40" size="8" placeholder="不变"; }
            label { "从哪天起" input type="date" name="day" required value=(today); }
            button type="submit" { "调拨" }
        }
        form.filters method="post" action="/settings/retire" {
            label { "终端编号" input type="text" name="terminal" maxlength="64" required value=(terminal); }
            label { "最后使用日" input type="date" name="day" required value=(today); }
            button type="submit" { "停用" }
        }
        details {
            summary { "整校调拨或停用(撤并学校)" }
            form.filters method="post" action="/settings/move" {
                label { "哪所学校的全部终端" select name="from" required { (school_options(schools, "选择学校")) } }
                label { "调到" select name="school" required { (school_options(schools, "选择学校")) } }
                label { "从哪天起" input type="date" name="day" required value=(today); }
                button type="submit" { "全部调拨" }
            }
            form.filters method="post" action="/settings/retire" {
                label { "哪所学校的全部终端" select name="from" required { (school_options(schools, "选择学校")) } }
                label { "最后使用日" input type="date" name="day" required value=(today); }
                button type="submit" { "全部停用" }
            }
        }
    }
}

/// Which terminals, where to, and when.
#[derive(Debug, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(in crate::dashboard) struct MoveForm {
    /// One terminal.
    terminal: String,
    /// All terminals of this school instead.
    from: String,
    school: String,
    room: String,
    day: String,
}

/// Moves.
pub(in crate::dashboard) async fn relocate(
    State(at): State<Context>,
    Form(form): Form<MoveForm>,
) -> Result<Redirect, Failure> {
    let day = form::day("日期", &form.day)?;
    let room: String = form.room.trim().chars().take(40).collect();
    let goes = Goes::To {
        school: form::school(&form.school)?,
        room: (!room.is_empty()).then_some(room),
        from: day.unwrap_or_else(|| at.today()),
    };
    carry_out(&at, &form, &goes).await
}

/// Takes out of service.
pub(in crate::dashboard) async fn retire(
    State(at): State<Context>,
    Form(form): Form<MoveForm>,
) -> Result<Redirect, Failure> {
    let day = form::day("最后使用日", &form.day)?;
    let goes = Goes::Away {
        last: day.unwrap_or_else(|| at.today()),
    };
    carry_out(&at, &form, &goes).await
}

async fn carry_out(at: &Context, form: &MoveForm, goes: &Goes) -> Result<Redirect, Failure> {
    let store = at.store();
    let done = if form.from.is_empty() {
        let terminal: Result<TerminalId, _> = form.terminal.trim().parse();
        let terminal = terminal.map_err(|_error| Failure::field("终端", "编号不合规"))?;
        tracing::info!(%terminal, ?goes, "a terminal was moved on the dashboard");
        registry::relocate(store, &[terminal], goes).await
    } else {
        let school = form::school(&form.from)?;
        if matches!(goes, Goes::To { school: to, .. } if *to == school) {
            return Err(Failure::field("学校", "调出和调入不能是同一所学校"));
        }
        tracing::info!(%school, ?goes, "a school's terminals were moved on the dashboard");
        registry::relocate_school(store, &school, at.today(), goes).await
    };
    let done = done.map_err(refused)?;
    at.freshen().await?;
    Ok(Redirect::to(&format!(
        "/settings?done=moved&counted={done}#moves"
    )))
}

fn refused(error: RelocateError) -> Failure {
    let said = match error {
        RelocateError::Store(error) => return Failure::Store(error),
        RelocateError::Unknown(terminal) => format!("没有登记编号为“{terminal}”的终端"),
        RelocateError::Waits(terminal) => {
            format!("终端 {terminal} 还在等待批准,请到“数据质量”批准")
        }
        RelocateError::TooEarly { terminal, since } => format!(
            "终端 {terminal} 从 {since} 起才在现在的位置,日期要更晚;要改以前的登记,请导入终端表"
        ),
        RelocateError::Left { terminal, last } => {
            format!("终端 {terminal} 已在 {last} 停用")
        }
        RelocateError::NoTerminals(school) => format!("学校 {school} 没有在用的终端"),
    };
    Failure::Refused(said)
}
