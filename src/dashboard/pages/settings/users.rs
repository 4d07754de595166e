//! 用户: accounts, what they are for, and the one-time links with which people set them up.

use axum::{
    Form,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse as _, Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    access::{AccessError, AccountChange, AccountState, SetUp},
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        guard,
        layout::Page,
        table::{Cell, Column, Table, answer},
        text,
    },
    domain::{
        access::{Permission, Role, Scope},
        ids::Login,
    },
    store::{Account, County, School},
};

/// What may be chosen as a scope.
struct Places {
    counties: Vec<(County, Vec<School>)>,
}

impl Places {
    async fn read(at: &Context) -> Result<Self, Failure> {
        let mut counties = Vec::new();
        for county in at.store().counties().await? {
            let schools = at.store().schools(&county.code).await?;
            counties.push((county, schools));
        }
        Ok(Self { counties })
    }

    /// A scope in people's words.
    fn name(&self, scope: &Scope) -> String {
        let county = |code| {
            let found = self.counties.iter().find(|(county, _)| county.code == code);
            found.map_or_else(|| code.to_string(), |(county, _)| county.name.clone())
        };
        match scope {
            Scope::All => "全部".to_owned(),
            Scope::County(code) => county(code.clone()),
            Scope::Township(code, name) => format!("{} {name}", county(code.clone())),
            Scope::School(code) => {
                let mut schools = self.counties.iter().flat_map(|(_, schools)| schools);
                let found = schools.find(|school| school.code == *code);
                found.map_or_else(|| code.to_string(), |school| school.name.clone())
            }
        }
    }

    fn options(&self, chosen: Option<&Scope>) -> Markup {
        let option = |scope: &Scope, name: &str| {
            html! { option value=(scope) selected[chosen == Some(scope)] { (name) } }
        };
        html! {
            (option(&Scope::All, "全部"))
            @for (county, schools) in &self.counties {
                optgroup label=(county.name) {
                    (option(&Scope::County(county.code.clone()), &format!("{}全县", county.name)))
                    @for town in crate::dashboard::filters::townships(schools.iter()) {
                        (option(&Scope::Township(county.code.clone(), town.clone()), &town))
                    }
                    @for school in schools {
                        (option(&Scope::School(school.code.clone()), &school.name))
                    }
                }
            }
        }
    }
}

/// Whether these roles leave anything to choose: who administers or audits stays that, and sees everything.
fn is_choice(roles: &[Role]) -> bool {
    !matches!(roles, [Role::Administrator | Role::Auditor])
}

/// The roles that an account of this one may have from now on.
fn next_roles(role: Role) -> Vec<Role> {
    let next = Role::ALL.into_iter();
    next.filter(|to| role.change_fault(*to).is_none()).collect()
}

fn options_of(roles: &[Role], chosen: Option<Role>) -> Markup {
    html! {
        @for role in roles {
            option value=(role) selected[chosen == Some(*role)] { (role.name()) }
        }
    }
}

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Query(filters): Query<Filters>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let may = guard::may(&at, &headers, Permission::ManageUsers);
    let known = Known::read(&at, may).await?;
    answer(&filters, &[&known.table], &at.today().to_string(), || {
        known.page(&html! {})
    })
}

struct Known {
    places: Places,
    table: Table,
    may: bool,
    only_looks: String,
}

impl Known {
    async fn read(at: &Context, may: bool) -> Result<Self, Failure> {
        let places = Places::read(at).await?;
        let accounts = at.parts.gate.access().accounts().await?;
        let table = table(&accounts, &places, at, may);
        Ok(Self {
            places,
            table,
            may,
            only_looks: guard::only_looks(at),
        })
    }

    fn page(&self, told: &Markup) -> Markup {
        let page = Page {
            title: "用户".to_owned(),
            lead: "一个账号只有登录名和角色,不登记姓名。管理员和审计员不能是同一账号。".to_owned(),
            current: "/settings/users",
            ..Page::default()
        };
        page.markup(&html! {
            (told)
            @if !self.may { p.notice.card role="status" { (self.only_looks) "。" } }
            section.card aria-labelledby="users" { (self.table.html("")) }
            @if self.may {
                section.card aria-labelledby="add" {
                    h2 #add { "新建账号" }
                    form.filters method="post" action="/settings/users/add" {
                        label { "登录名" input type="text" name="login" required minlength="2" maxlength="32"
                            pattern="[a-z][a-z0-9._\\-]+" title="小写字母开头,可用小写字母、数字和 . _ -"
                            autocapitalize="none" spellcheck="false" autocomplete="off"; }
                        label { "角色" select name="role" { (options_of(&Role::ALL, None)) } }
                        label { "范围" select name="scope" { (self.places.options(None)) } }
                        button.primary type="submit" { "新建并生成设置链接" }
                    }
                    p.note { "登录名不要用真实姓名、身份证号或电话。乡镇或学校范围的账号只能是查看员,管理员和审计员的范围只能是“全部”。" }
                }
                section.card aria-labelledby="roles" {
                    h2 #roles { "各角色的权限" }
                    (permissions())
                }
            }
        })
    }
}

/// Which role may do what.
fn permissions() -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label="各角色的权限" { table {
            thead { tr {
                th scope="col" { "权限" }
                @for role in Role::ALL { th.plain scope="col" { (role.name()) } }
            } }
            tbody { @for permission in Permission::ALL {
                tr {
                    th scope="row" { (permission.name()) }
                    @for role in Role::ALL { td { @if role.may(permission) { "✓" } @else { span.unseen { "无" } } } }
                }
            } }
        } }
    }
}

fn table(accounts: &[Account], places: &Places, at: &Context, may: bool) -> Table {
    let (now, zone) = (at.parts.clock.now().as_second(), &at.parts.zone);
    let row = |one: &Account| {
        let mut row = vec![
            Cell::from(one.login.to_string()),
            one.role.name().into(),
            places.name(&one.scope).into(),
            AccountState::of(one, now).words().into(),
            text::heard(one.login_at, zone).into(),
        ];
        if may {
            row.push(Cell::shown(forms(one, places, now)));
        }
        row
    };
    let mut columns = vec![
        Column::Head("登录名"),
        Column::Text("角色"),
        Column::Text("范围"),
        Column::Text("状态"),
        Column::Text("最近登录"),
    ];
    if may {
        columns.push(Column::Shown("操作"));
    }
    Table {
        key: "users",
        caption: "账号".to_owned(),
        columns,
        rows: accounts.iter().map(row).collect(),
        empty: "还没有账号。",
    }
}

fn forms(one: &Account, places: &Places, now: i64) -> Markup {
    let open = matches!(
        AccountState::of(one, now),
        AccountState::Usable | AccountState::NotSetUp
    );
    let (action, verb) = if open {
        ("true", "停用")
    } else {
        ("false", "启用")
    };
    let roles = next_roles(one.role);
    html! {
        div.row-forms {
            form.inline method="post" action="/settings/users/lock" {
                input type="hidden" name="login" value=(one.login);
                input type="hidden" name="locked" value=(action);
                button type="submit" aria-label={ (verb) " " (one.login) } { (verb) }
            }
            form.inline method="post" action="/settings/users/reset" {
                input type="hidden" name="login" value=(one.login);
                button type="submit" aria-label={ "重置 " (one.login) } { "重置密码" }
            }
            @if is_choice(&roles) {
                details { summary { "更改" }
                    form.filters method="post" action="/settings/users/change" {
                        input type="hidden" name="login" value=(one.login);
                        label { "角色" select name="role" { (options_of(&roles, Some(one.role))) } }
                        label { "范围" select name="scope" { (places.options(Some(&one.scope))) } }
                        button type="submit" { "保存" }
                    }
                }
            } @else {
                span.note { "角色和范围不能更改" }
            }
        }
    }
}

fn login(text: &str) -> Result<Login, Failure> {
    let fault = "2 到 32 个小写字母、数字或 . _ -,以字母开头";
    text.trim()
        .parse()
        .map_err(|_unfit| Failure::field("登录名", fault))
}

fn role_and_scope(role: &str, scope: &str) -> Result<(Role, Scope), Failure> {
    let role = role
        .parse()
        .map_err(|_unknown| Failure::field("角色", "请从列表中选择"))?;
    let scope = scope
        .parse()
        .map_err(|_unknown| Failure::field("范围", "请从列表中选择"))?;
    Ok((role, scope))
}

/// The page after a form: with a link that is shown this once, or with what is wrong.
async fn told(
    at: &Context,
    login: &Login,
    done: Result<SetUp, AccessError>,
) -> Result<Response, Failure> {
    let (status, said) = match done {
        Ok(link) => (StatusCode::OK, link_told(at, login, &link)),
        Err(error @ (AccessError::Unfit(_) | AccessError::Taken(_))) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            html! { p.bad role="alert" { (error) "。" } },
        ),
        Err(error) => return Err(error.into()),
    };
    let page = Known::read(at, true).await?.page(&said);
    Ok((status, Html(page.into_string())).into_response())
}

fn link_told(at: &Context, login: &Login, link: &SetUp) -> Markup {
    html! {
        div.good role="status" {
            p { strong { (login) } " 的一次性设置链接(只显示这一次,"
                (text::moment(link.expires_at, &at.parts.zone)) " 之前有效,用过即失效)。请复制后当面或通过可靠途径交给本人:" }
            p { a.code href=(link.path) { (link.path) } }
        }
    }
}

/// A new account.
#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct AddForm {
    login: String,
    role: String,
    scope: String,
}

/// Makes an account.
pub(in crate::dashboard) async fn add(
    State(at): State<Context>,
    Form(form): Form<AddForm>,
) -> Result<Response, Failure> {
    let login = login(&form.login)?;
    let (role, scope) = role_and_scope(&form.role, &form.scope)?;
    let done = at.parts.gate.access().add(&login, role, scope).await;
    told(&at, &login, done).await
}

async fn change_one(
    at: &Context,
    login: &Login,
    change: AccountChange,
) -> Result<Response, Failure> {
    match at.parts.gate.access().change_account(login, &change).await {
        Ok(_) => Ok(Redirect::to("/settings/users").into_response()),
        Err(error) => told(at, login, Err(error)).await,
    }
}

/// Changes what an account is for.
pub(in crate::dashboard) async fn change(
    State(at): State<Context>,
    Form(form): Form<AddForm>,
) -> Result<Response, Failure> {
    let (role, scope) = role_and_scope(&form.role, &form.scope)?;
    let change = AccountChange {
        role: Some(role),
        scope: Some(scope),
        ..AccountChange::default()
    };
    change_one(&at, &login(&form.login)?, change).await
}

/// Which account, and whether nobody may log in to it.
#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct LockForm {
    login: String,
    locked: bool,
}

/// Lets nobody log in to an account, or its owner again.
pub(in crate::dashboard) async fn lock(
    State(at): State<Context>,
    Form(form): Form<LockForm>,
) -> Result<Response, Failure> {
    let change = AccountChange {
        locked: Some(form.locked),
        forgive: !form.locked,
        ..AccountChange::default()
    };
    change_one(&at, &login(&form.login)?, change).await
}

/// Which account.
#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct ResetForm {
    login: String,
}

/// Takes an account's password away, and makes a new link.
pub(in crate::dashboard) async fn reset(
    State(at): State<Context>,
    Form(form): Form<ResetForm>,
) -> Result<Response, Failure> {
    let login = login(&form.login)?;
    let done = at.parts.gate.access().reset(&login).await;
    told(&at, &login, done).await
}
