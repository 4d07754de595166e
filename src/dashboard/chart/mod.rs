//! Drawings as SVG and tables, made on the server. Each says in words what it shows.

mod days;
mod heat;
mod lines;
mod timeline;

pub(super) use days::calendar;
pub(super) use heat::{lessons, whole};
pub(super) use lines::{Line, trend};
pub(super) use timeline::{Span, hours, timeline};

use maud::{Markup, html};

/// A bar of so many thousandths, beside the figure that says it in words.
pub(super) fn bar(thousandths: u32) -> Markup {
    html! {
        svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            rect.track x="0" y="0" width="1000" height="10" {}
            rect.fill x="0" y="0" width=(thousandths.min(1_000)) height="10" {}
        }
    }
}

/// The class of a share in per cent: eleven shades.
fn shade(taught: u64, due: u64) -> String {
    let tenth = (taught * 10).checked_div(due).unwrap_or(0);
    format!("h{}", tenth.min(10))
}
