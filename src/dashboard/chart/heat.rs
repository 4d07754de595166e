//! The lesson grid: weekday by number of the lesson, a table whose cells are shaded.

use maud::{Markup, html};

use super::shade;
use crate::{
    dashboard::text,
    domain::usage::{self, Fraction},
    query::LessonGrid,
};

/// 课时使用率 of every weekday and lesson.
pub(in crate::dashboard) fn lessons(grid: &LessonGrid) -> Markup {
    let days: std::collections::BTreeSet<i8> = grid.keys().map(|(day, _)| *day).collect();
    let lessons = grid.keys().map(|(_, number)| number + 1).max().unwrap_or(0);
    html! {
        div.scroll tabindex="0" role="group" aria-label="课时使用率热力图" {
            table.heat {
                caption.unseen { "各星期、各节课的课时使用率" }
                thead { tr {
                    th scope="col" { "节次" }
                    @for day in &days { th scope="col" { "周" (text::weekday(*day)) } }
                } }
                tbody {
                    @for number in 0..lessons {
                        tr {
                            th scope="row" { "第" (number + 1) "节" }
                            @for day in &days {
                                @match grid.get(&(*day, number)) {
                                    None => { td.none { (text::NONE) } }
                                    Some(cell) => {
                                        td class=(shade(cell.taught, cell.due))
                                            title={ "用了 " (cell.taught) " 节,应上 " (cell.due) " 节" } {
                                            (whole(cell.taught, cell.due))
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A share in whole per cent, rounded half up.
pub(in crate::dashboard) fn whole(taught: u64, due: u64) -> String {
    if due == 0 {
        return text::NONE.to_owned();
    }
    format!(
        "{}%",
        usage::hundredths(Fraction::new(taught.into(), due.into()))
    )
}
