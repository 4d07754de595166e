//! A day's minutes as a strip: teaching time behind, powered and used minutes before it.

use maud::{Markup, html};

use crate::domain::minutes::{MINUTES_PER_DAY, MinuteSet, Run};

/// Which part of the day a strip shows, in minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dashboard) struct Span {
    /// First minute, a whole hour.
    pub(in crate::dashboard) start: u16,
    /// The minute after the last, a whole hour.
    pub(in crate::dashboard) end: u16,
}

impl Span {
    /// From seven to eighteen o'clock, or further where any of the sets reaches.
    pub(in crate::dashboard) fn around<'a>(sets: impl IntoIterator<Item = &'a MinuteSet>) -> Self {
        let (mut start, mut end) = (7 * 60, 18 * 60);
        for run in sets.into_iter().flat_map(MinuteSet::runs) {
            start = start.min(run.start / 60 * 60);
            end = end.max(run.end.div_ceil(60) * 60);
        }
        Self { start, end }
    }

    /// The whole day.
    pub(in crate::dashboard) const DAY: Self = Self {
        start: 0,
        end: MINUTES_PER_DAY,
    };

    fn width(self) -> u16 {
        self.end - self.start
    }
}

/// A strip; `label` says in words what it shows.
pub(in crate::dashboard) fn timeline(
    span: Span,
    teaching: &MinuteSet,
    powered: &MinuteSet,
    used: &MinuteSet,
    label: &str,
) -> Markup {
    let layer = |set: &MinuteSet, class: &'static str, y: u16, height: u16| {
        let runs = set.runs();
        let inside = runs.iter().filter_map(|run| inside(*run, span));
        html! { @for (x, width) in inside {
            rect class=(class) x=(x) y=(y) width=(width) height=(height) {}
        } }
    };
    let hours = (span.start / 60 + 1..span.end / 60).map(|hour| hour * 60 - span.start);
    html! {
        svg.strip viewBox={ "0 0 " (span.width()) " 24" } preserveAspectRatio="none" role="img" aria-label=(label) {
            rect.ground x="0" y="0" width=(span.width()) height="24" {}
            (layer(teaching, "teaching", 0, 24))
            @for x in hours { rect.hour x=(x) y="0" width="1" height="24" {} }
            (layer(powered, "powered", 7, 10))
            (layer(used, "used", 4, 16))
        }
    }
}

/// The hours under strips of the same width.
pub(in crate::dashboard) fn hours(span: Span) -> Markup {
    let count = (span.end - span.start) / 60;
    let step = if count > 14 { 3 } else { 2 };
    let marks = (span.start / 60..=span.end / 60)
        .filter(|hour| (hour - span.start / 60).is_multiple_of(step));
    html! {
        svg.hours aria-hidden="true" focusable="false" {
            @for hour in marks {
                @let x = u32::from(hour * 60 - span.start) * 1_000 / u32::from(span.width());
                text x={ (x / 10) "." (x % 10) "%" } y="16" text-anchor=(anchor(x)) { (hour) ":00" }
            }
        }
    }
}

fn anchor(x: u32) -> &'static str {
    match x {
        0..20 => "start",
        980.. => "end",
        _ => "middle",
    }
}

fn inside(run: Run, span: Span) -> Option<(u16, u16)> {
    let (start, end) = (run.start.max(span.start), run.end.min(span.end));
    (start < end).then(|| (start - span.start, end - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_reaches_as_far_as_its_minutes() {
        let day = |start, end| Span::around([&MinuteSet::of(start, end)]);
        assert_eq!(
            day(480, 500),
            Span {
                start: 420,
                end: 1_080
            }
        );
        assert_eq!(
            day(59, 1_439),
            Span {
                start: 0,
                end: 1_440
            }
        );
        assert_eq!(
            inside(
                Run {
                    start: 400,
                    end: 430
                },
                day(480, 500)
            ),
            Some((0, 10))
        );
        assert_eq!(
            inside(
                Run {
                    start: 400,
                    end: 420
                },
                day(480, 500)
            ),
            None
        );
    }
}
