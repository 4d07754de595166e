//! What the pages look like.

use axum::response::Html;
use maud::{Markup, html};

use crate::{
    access::Who,
    domain::{
        access::{MAX_PASSWORD, MIN_PASSWORD, Role},
        ids::Login,
    },
    web::layout::Page,
};

fn told(good: Option<&str>, bad: Option<&str>) -> Markup {
    html! {
        @if let Some(said) = good { p.good role="status" { (said) "。" } }
        @if let Some(said) = bad { p.bad role="alert" { (said) "。" } }
    }
}

fn password(name: &str, label: &str, complete: &str) -> Markup {
    html! {
        label { (label)
            input type="password" name=(name) required autocomplete=(complete) maxlength=(MAX_PASSWORD);
        }
    }
}

/// The name that goes with a new password, for whatever keeps passwords.
fn known(login: &str) -> Markup {
    html! {
        input.unseen type="text" name="username" value=(login) readonly autocomplete="username" tabindex="-1"
            aria-hidden="true";
    }
}

fn rules() -> Markup {
    html! {
        p.note {
            "密码至少 " (MIN_PASSWORD) " 个字符,包含大写字母、小写字母、数字、其他字符中的三类,不要用常见密码或登录名。"
        }
    }
}

/// Where people log in.
pub(super) fn login(next: &str, name: &str, good: Option<&str>, bad: Option<&str>) -> Html<String> {
    Page::plain("登录").html(&html! {
        section.card.narrow {
            (told(good, bad))
            form.stacked method="post" action="/login" {
                input type="hidden" name="next" value=(next);
                label { "登录名"
                    input type="text" name="login" value=(name) required autofocus autocomplete="username"
                        autocapitalize="none" spellcheck="false" maxlength="32";
                }
                (password("password", "密码", "current-password"))
                p.buttons { button.primary type="submit" { "登录" } }
            }
            p.note { "没有账号或忘记密码?请联系本单位的课脉管理员,管理员会发给您一次性设置链接。" }
        }
    })
}

/// One's own account.
pub(super) fn account(who: &Who, good: Option<&str>, bad: Option<&str>) -> Html<String> {
    let role = who.role().map(Role::name).unwrap_or_default();
    let page = Page {
        lead: format!("{} · {role}", who.name()),
        ..Page::plain("我的账号")
    };
    page.html(&html! {
        section.card.narrow aria-labelledby="password" {
            h2 #password { "更改密码" }
            (told(good, bad))
            form.stacked method="post" action="/account" {
                (known(who.name()))
                (password("old", "原密码", "current-password"))
                (password("new", "新密码", "new-password"))
                (password("again", "再输一次新密码", "new-password"))
                p.buttons { button.primary type="submit" { "更改密码" } }
            }
            (rules())
        }
    })
}

/// Where an account is set up.
pub(super) fn setup(login: Option<&Login>, name: &str, bad: Option<&str>) -> Html<String> {
    let page = match login {
        Some(login) => Page {
            lead: format!("登录名 {login}"),
            ..Page::plain("设置账号")
        },
        None => Page {
            lead: "这是本系统的第一个账号,用来建立其他账号。".to_owned(),
            ..Page::plain("设置第一个管理员")
        },
    };
    page.html(&html! {
        section.card.narrow {
            (told(None, bad))
            form.stacked method="post" {
                @if let Some(login) = login { (known(login.as_str())) } @else {
                    label { "登录名(小写字母、数字,不要用真实姓名)"
                        input type="text" name="login" value=(name) required autofocus autocomplete="username"
                            autocapitalize="none" spellcheck="false" minlength="2" maxlength="32";
                    }
                }
                (password("new", "密码", "new-password"))
                (password("again", "再输一次密码", "new-password"))
                p.buttons { button.primary type="submit" { "设置" } }
            }
            (rules())
        }
    })
}
