//! What every page shares: head, navigation, heading, foot.

use axum::{http::Method, response::Html};
use maud::{DOCTYPE, Markup, html};

use super::{
    assets::{ICON, SCRIPT, STYLE},
    guard,
};
use crate::{access, domain::access::Role};

/// Pages in the navigation.
const PAGES: [(&str, &str); 7] = [
    ("/", "总览"),
    ("/runs", "考核"),
    ("/quality", "数据质量"),
    ("/wall", "大屏"),
    ("/settings", "设置"),
    ("/settings/users", "用户"),
    ("/audit", "操作记录"),
];

/// What a page says of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    /// Its heading and the start of its title.
    pub(crate) title: String,
    /// A line under the heading.
    pub(crate) lead: String,
    /// Which page of the navigation it belongs to.
    pub(crate) current: &'static str,
    /// The way here: addresses and names.
    pub(crate) crumbs: Vec<(String, String)>,
    /// A class for the whole page.
    pub(crate) class: &'static str,
    /// Seconds after which a browser without scripts loads it again.
    pub(crate) refresh: Option<u32>,
}

impl Page {
    /// A page outside the navigation.
    pub(crate) fn plain(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// The whole document.
    pub(crate) fn markup(&self, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="zh-CN" class=(self.class) {
                head {
                    meta charset="utf-8";
                    title { (self.title) " · 课脉" }
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    link rel="stylesheet" href=(STYLE.path());
                    link rel="icon" type="image/svg+xml" href=(ICON.path());
                    script src=(SCRIPT.path()) defer {}
                    @if let Some(seconds) = self.refresh {
                        noscript { meta http-equiv="refresh" content=(seconds); }
                    }
                }
                body {
                    a.skip href="#main" { "跳到正文" }
                    header.top {
                        a.brand href="/" { img src=(ICON.path()) alt="" width="26" height="26"; "课脉" }
                        nav aria-label="主导航" {
                            @for (path, name) in PAGES.iter().filter(|(path, _)| guard::opens(&Method::GET, path)) {
                                a href=(path) aria-current=[(*path == self.current).then_some("page")] { (name) }
                            }
                        }
                        @if let Some(who) = access::current().as_ref().filter(|who| who.login().is_some()) {
                            div.person {
                                a href="/account" title=[who.role().map(Role::name)] { (who.name()) }
                                form.inline method="post" action="/logout" { button type="submit" { "退出" } }
                            }
                        }
                    }
                    main id="main" tabindex="-1" {
                        @if !self.crumbs.is_empty() {
                            nav.crumbs aria-label="当前位置" {
                                @for (path, name) in &self.crumbs {
                                    a href=(path) { (name) } span aria-hidden="true" { " › " }
                                }
                                span { (self.title) }
                            }
                        }
                        div.heading {
                            h1 { (self.title) }
                            @if !self.lead.is_empty() { p.lead { (self.lead) } }
                        }
                        (content)
                    }
                    footer.foot {
                        "课脉 Classpulse " (env!("CARGO_PKG_VERSION"))
                        " · 只统计时长,不采集任何内容"
                        " · " a href="/api/v1/openapi.json" { "数据接口" }
                    }
                }
            }
        }
    }

    /// The document as an answer.
    pub(crate) fn html(&self, content: &Markup) -> Html<String> {
        Html(self.markup(content).into_string())
    }
}
