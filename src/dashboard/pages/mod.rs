//! The pages, one file each.

pub(super) mod audit;
pub(super) mod overview;
pub(super) mod quality;
pub(super) mod runs;
pub(super) mod school;
pub(super) mod settings;
pub(super) mod terminal;
pub(super) mod wall;

use maud::{Markup, html};

use super::filters::{Filters, Scope};
use crate::store::County;

/// A figure with its name and what stands under it.
fn figure(name: &str, value: &str, unit: &str, note: &Markup) -> Markup {
    html! {
        div.figure {
            dt { (name) }
            dd { span.value { (value) } " " span.unit { (unit) } }
            dd.note { (note) }
        }
    }
}

/// The form that chooses the days: a term, or from and to.
fn days_fields(filters: &Filters, scope: &Scope) -> Markup {
    let chosen = scope.term.as_ref().map(|term| term.first);
    html! {
        label { "学期"
            select name="term" {
                @if chosen.is_none() { option value="" selected { "自选日期" } }
                @for term in scope.calendar.terms().iter().rev() {
                    option value=(term.first) selected[chosen == Some(term.first)] { (term.name) }
                }
            }
        }
        label { "从" input type="date" name="from" value=(filters.from); }
        label { "到" input type="date" name="to" value=(filters.to); }
    }
}

/// The form that chooses the county of a page; nothing where there is only one.
fn county_form(page: &str, counties: &[County], here: Option<&County>) -> Markup {
    if counties.len() < 2 {
        return html! {};
    }
    html! {
        form.filters.above method="get" action=(page) aria-label="选择区县" {
            label { "区县" select name="county" {
                @for county in counties {
                    option value=(county.code) selected[here == Some(county)] { (county.name) }
                }
            } }
            button type="submit" { "切换" }
        }
    }
}
