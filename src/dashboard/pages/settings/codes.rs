//! Enrolment codes: issue one, see which hold, take one back.

use axum::{
    Form,
    extract::State,
    http::StatusCode,
    response::{Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Known, Told, answer_with};
use crate::{
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        form,
        table::{Cell, Column, Table},
        text,
    },
    enrolment::{self, MAX_DAYS, MAX_USES, Terms},
    store::{EnrolmentCode, School},
};

pub(super) fn table(known: &Known, at: &Context, may: bool) -> Table {
    let now = at.parts.clock.now().as_second();
    let zone = &at.parts.zone;
    let row = |code: &EnrolmentCode| {
        let school = known.schools.iter().find(|one| one.code == code.school);
        let name = school.map_or_else(|| code.school.to_string(), |school| school.name.clone());
        let state = if code.revoked {
            "已收回"
        } else if code.expires_at <= now {
            "已过期"
        } else if code.used >= code.uses {
            "已用完"
        } else {
            "可用"
        };
        let mut row = vec![
            Cell::from(code.id.to_string()),
            name.into(),
            format!("{}/{}", code.used, code.uses).into(),
            text::moment(code.expires_at, zone).into(),
            state.into(),
        ];
        if may {
            row.push(Cell::shown(html! {
                @if state == "可用" {
                    form.inline method="post" action="/settings/codes/revoke" {
                        input type="hidden" name="id" value=(code.id);
                        button type="submit" aria-label={ "收回第 " (code.id) " 号注册码" } { "收回" }
                    }
                }
            }));
        }
        row
    };
    let mut columns = vec![
        Column::Head("编号"),
        Column::Text("学校"),
        Column::Text("已用/可用次数"),
        Column::Text("有效期至"),
        Column::Text("状态"),
    ];
    if may {
        columns.push(Column::Shown("操作"));
    }
    Table {
        key: "codes",
        caption: "注册码".to_owned(),
        columns,
        rows: known.codes.iter().map(row).collect(),
        empty: "还没有注册码。给学校发一个,终端安装时输入即可归入该校。",
    }
}

pub(super) fn form(schools: &[School]) -> Markup {
    html! {
        form.filters method="post" action="/settings/codes" {
            label { "学校" select name="school" required {
                option value="" { "选择学校" }
                @for school in schools { option value=(school.code) { (school.name) } }
            } }
            label { "可注册台数" input type="number" name="uses" value="30" min="1" max=(MAX_USES) required; }
            label { "有效天数" input type="number" name="days" value="30" min="1" max=(MAX_DAYS) required; }
            button.primary type="submit" { "生成注册码" }
        }
    }
}

/// For which school, how often, how long.
#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct IssueForm {
    school: String,
    uses: u32,
    days: u32,
}

/// Issues a code and shows it, this once.
pub(in crate::dashboard) async fn issue(
    State(at): State<Context>,
    Form(form): Form<IssueForm>,
) -> Result<Response, Failure> {
    let school = form::school(&form.school)?;
    if !(1..=MAX_USES).contains(&form.uses) || !(1..=MAX_DAYS).contains(&form.days) {
        let allowed = format!("台数 1 到 {MAX_USES},天数 1 到 {MAX_DAYS}");
        return Err(Failure::field("注册码", allowed));
    }
    let terms = Terms {
        school,
        uses: form.uses,
        days: form.days,
    };
    let now = at.parts.clock.now();
    let (code, kept) = enrolment::create_code(at.store(), terms, now).await?;
    tracing::info!(id = kept.id, school = %kept.school, "an enrolment code was issued on the dashboard");
    let told = Told {
        code: Some(html! {
            p.good role="status" {
                "新注册码:" strong.code { (code) } " 只显示这一次,请抄下或复制;有效期至 "
                (text::moment(kept.expires_at, &at.parts.zone)) "。"
            }
        }),
        ..Told::default()
    };
    answer_with(&at, &Filters::default(), StatusCode::OK, told).await
}

/// Which code.
#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct RevokeForm {
    id: i64,
}

/// Takes a code back.
pub(in crate::dashboard) async fn revoke(
    State(at): State<Context>,
    Form(form): Form<RevokeForm>,
) -> Result<Redirect, Failure> {
    at.store().revoke_code(form.id).await?;
    tracing::info!(
        id = form.id,
        "an enrolment code was taken back on the dashboard"
    );
    Ok(Redirect::to("/settings#codes"))
}
