//! A trend by week: this term's line before those of earlier terms.

use maud::{Markup, html};

use crate::domain::usage::{Fraction, display, hundredths};

/// One line; a week without teaching has no point.
#[derive(Debug, Clone)]
pub(in crate::dashboard) struct Line {
    /// Such as 本学期.
    pub(in crate::dashboard) name: String,
    /// `now`, `before` or `year`: how it is drawn.
    pub(in crate::dashboard) class: &'static str,
    /// By number of the week.
    pub(in crate::dashboard) weeks: Vec<Option<Fraction>>,
}

const LEFT: u128 = 46;
const RIGHT: u128 = 12;
const TOP: u128 = 14;
const BOTTOM: u128 = 28;
const WIDTH: u128 = 720;
const HEIGHT: u128 = 250;

/// Where weeks and minutes stand in the drawing.
struct Scale {
    weeks: u128,
    /// The highest mark, minutes.
    top: u128,
    /// Minutes between two marks.
    step: u128,
}

impl Scale {
    fn of(lines: &[Line]) -> Self {
        let weeks = lines.iter().map(|line| line.weeks.len()).max().unwrap_or(1);
        let values = lines.iter().flat_map(|line| line.weeks.iter().flatten());
        let most = values.map(|value| value.ceil().to_integer()).max();
        let most = most.unwrap_or(0).max(10);
        let steps = [2, 5, 10, 20, 25, 50, 100, 200, 500];
        let step = steps
            .into_iter()
            .find(|step| step * 5 >= most)
            .unwrap_or(500);
        Self {
            weeks: (weeks as u128).max(2),
            top: most.div_ceil(step) * step,
            step,
        }
    }

    fn x(&self, week: usize) -> u128 {
        LEFT + (week as u128) * (WIDTH - LEFT - RIGHT) / (self.weeks - 1)
    }

    fn y(&self, hundredths: u128) -> u128 {
        let room = HEIGHT - TOP - BOTTOM;
        TOP + room - (hundredths * room / (self.top * 100)).min(room)
    }
}

/// The lines, the last one drawn first so that the first lies on top.
pub(in crate::dashboard) fn trend(lines: &[Line], label: &str) -> Markup {
    let scale = Scale::of(lines);
    let marks = (0..=scale.top / scale.step).map(|mark| mark * scale.step);
    let every = (scale.weeks / 10).max(1);
    html! {
        div.scroll tabindex="0" role="group" aria-label="每周平均的折线图" {
            svg.trend viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) {
                @for mark in marks {
                    @let y = scale.y(mark * 100);
                    line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
                    text.mark x=(LEFT - 8) y=(y + 4) text-anchor="end" { (mark) }
                }
                @for week in (0..scale.weeks).step_by(usize::try_from(every).unwrap_or(1)) {
                    @let week = usize::try_from(week).unwrap_or(0);
                    text.mark x=(scale.x(week)) y=(HEIGHT - 8) text-anchor="middle" { (week + 1) "周" }
                }
                @for line in lines.iter().rev() { (drawn(line, &scale)) }
            }
        }
        ul.legend {
            @for line in lines { li class=(line.class) { span.key aria-hidden="true" {} (line.name) } }
        }
    }
}

fn drawn(line: &Line, scale: &Scale) -> Markup {
    let points = line.weeks.iter().enumerate();
    let points: Vec<_> = points
        .filter_map(|(week, value)| Some((week, (*value)?)))
        .map(|(week, value)| (week, value, scale.x(week), scale.y(hundredths(value))))
        .collect();
    let corners: Vec<String> = points
        .iter()
        .map(|(_, _, x, y)| format!("{x},{y}"))
        .collect();
    html! {
        g class={ "series " (line.class) } {
            polyline points=(corners.join(" ")) {}
            @for (week, value, x, y) in points {
                circle cx=(x) cy=(y) r="3" {
                    title { (line.name) " 第" (week + 1) "周 " (display(value)) " 分钟/台·日" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_holds_every_value() {
        let line = |values: &[u128]| Line {
            name: "本学期".to_owned(),
            class: "now",
            weeks: values
                .iter()
                .map(|value| Some(Fraction::from_integer(*value)))
                .collect(),
        };
        for (values, top, step) in [
            (&[][..], 10, 2),
            (&[0, 0], 10, 2),
            (&[31, 7], 40, 10),
            (&[240, 101, 5], 250, 50),
        ] {
            let scale = Scale::of(&[line(values)]);
            assert_eq!((scale.top, scale.step), (top, step), "{values:?}");
            assert_eq!(scale.y(scale.top * 100), TOP);
            assert_eq!(scale.y(0), HEIGHT - BOTTOM);
        }
    }
}
