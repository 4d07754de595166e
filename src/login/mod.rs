//! Pages for getting in and out: logging in, setting an account up by a one-time link, changing one's own password.
//!
//! Changes are taken only from this service's own pages (their `Origin`), and the cookie goes with none but these
//! (`SameSite=Strict`): forms need no tokens. Not responsible for what proves who somebody is (`access`).

mod pages;

use axum::{
    Form, Router,
    extract::{DefaultBodyLimit, Path, Query, Request, State},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use serde::Deserialize;

use crate::{
    access::{AccessError, Refused, Who, current},
    gate::Gate,
    web::{self, Actions, failure::Failure, guard},
};

/// Largest form: a name and two passwords.
const MAX_FORM: usize = 8 * 1024;

/// Every route, behind the gate.
pub fn router(gate: Gate) -> Router {
    let routes = Router::new()
        .route("/login", get(login_page).post(log_in))
        .route("/logout", axum::routing::post(log_out))
        .route("/account", get(account_page).post(change_password))
        .route("/setup/{code}", get(setup_page).post(set_up))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(middleware::from_fn(own_forms))
        .layer(middleware::from_fn(guard::deadline))
        .with_state(gate.clone());
    web::guarded(routes, gate)
}

/// Forms come from these pages only.
async fn own_forms(request: Request, next: middleware::Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    guard::changes(State(Actions::Anyone), request, next).await
}

/// Where to go afterwards: a page of this service, and nothing that a browser takes for another host.
fn own_page(next: &str) -> &str {
    let plain = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(['\\', '\r', '\n', '\t'])
        && !next.starts_with("/login")
        && !next.starts_with("/setup");
    if plain { next } else { "/" }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Next {
    next: String,
    done: String,
}

async fn login_page(State(gate): State<Gate>, Query(asked): Query<Next>) -> Response {
    if !gate.is_required() {
        // A page that wants somebody who logged in, such as one's own account, would send them here again.
        return Redirect::to("/").into_response();
    }
    if current().is_some_and(|who| who.role().is_some()) {
        return Redirect::to(own_page(&asked.next)).into_response();
    }
    let told = (asked.done == "setup").then_some("密码已设置,请登录");
    pages::login(own_page(&asked.next), "", told, None).into_response()
}

#[derive(Deserialize)]
struct LoginForm {
    login: String,
    password: String,
    #[serde(default)]
    next: String,
}

async fn log_in(
    State(gate): State<Gate>,
    Form(form): Form<LoginForm>,
) -> Result<Response, Failure> {
    let origin = current()
        .map(|who| who.origin().to_owned())
        .unwrap_or_default();
    let name = form.login.trim();
    match gate.access().log_in(name, &form.password, &origin).await {
        Ok(logged_in) => {
            let cookie = [(header::SET_COOKIE, gate.set_cookie(&logged_in.cookie))];
            Ok((cookie, Redirect::to(own_page(&form.next))).into_response())
        }
        Err(Refused::Store(error)) => Err(Failure::Store(error)),
        Err(refused) => {
            let status = match refused {
                Refused::Busy => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::UNAUTHORIZED,
            };
            let said = refused.to_string();
            let page = pages::login(own_page(&form.next), name, None, Some(&said));
            Ok((status, page).into_response())
        }
    }
}

async fn log_out(State(gate): State<Gate>) -> Result<Response, Failure> {
    if let Some(who) = current() {
        gate.access().log_out(&who).await?;
    }
    let cookie = [(header::SET_COOKIE, gate.set_cookie(""))];
    Ok((cookie, Redirect::to("/login")).into_response())
}

fn person() -> Result<Who, Failure> {
    current()
        .filter(|who| who.login().is_some())
        .ok_or(Failure::NotLoggedIn)
}

async fn account_page(Query(asked): Query<Next>) -> Result<Response, Failure> {
    let told = (asked.done == "password").then_some("密码已更改,其他设备上的登录已退出");
    Ok(pages::account(&person()?, told, None).into_response())
}

#[derive(Deserialize)]
struct PasswordForm {
    old: String,
    new: String,
    again: String,
}

async fn change_password(
    State(gate): State<Gate>,
    Form(form): Form<PasswordForm>,
) -> Result<Response, Failure> {
    let who = person()?;
    let done = if form.new == form.again {
        gate.access().change_password(&form.old, &form.new).await
    } else {
        Err(AccessError::Unfit("两次输入的新密码不一致".to_owned()))
    };
    match done {
        Ok(()) => Ok(Redirect::to("/account?done=password").into_response()),
        Err(AccessError::Unfit(said)) => {
            let page = pages::account(&who, None, Some(&said));
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn setup_page(
    State(gate): State<Gate>,
    Path(code): Path<String>,
) -> Result<Response, Failure> {
    let login = gate.access().linked(&code).await?;
    Ok(pages::setup(login.as_ref(), "", None).into_response())
}

#[derive(Deserialize)]
struct SetUpForm {
    #[serde(default)]
    login: String,
    new: String,
    again: String,
}

async fn set_up(
    State(gate): State<Gate>,
    Path(code): Path<String>,
    Form(form): Form<SetUpForm>,
) -> Result<Response, Failure> {
    let login = gate.access().linked(&code).await?;
    let done = if form.new == form.again {
        gate.access().set_up(&code, &form.login, &form.new).await
    } else {
        Err(AccessError::Unfit("两次输入的密码不一致".to_owned()))
    };
    match done {
        Ok(_) => Ok(Redirect::to("/login?done=setup").into_response()),
        Err(error @ (AccessError::Unfit(_) | AccessError::Taken(_))) => {
            let page = pages::setup(login.as_ref(), &form.login, Some(&error.to_string()));
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::own_page;

    #[test]
    fn nobody_is_sent_to_another_host() {
        for (next, page) in [
            ("/schools/1?term=2", "/schools/1?term=2"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/a\nb", "/"),
            ("/login?next=/login", "/"),
        ] {
            assert_eq!(own_page(next), page, "{next}");
        }
    }
}
