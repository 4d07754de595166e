//! 考核评分表: one school's points in the page's own layout, with 计分 and 扣分说明.

use rust_xlsxwriter::{FormatAlign, FormatBorder, Workbook, Worksheet, XlsxError};

use super::{Ranked, Results};
use crate::{
    domain::{
        ids::SchoolCode,
        rubric::{
            Group, Rule, ScoreSheet,
            definition::Item,
            sheet::{ItemScore, ItemState},
        },
    },
    sheets::{
        WriteError,
        page::{self, Cell, Right},
        style,
    },
};

/// Row of the table's headings.
const TOP: u32 = 4;
/// 计分 and 扣分说明, with their widths.
const COLUMNS: [(&str, f64); 2] = [("计分", 8.0), ("扣分说明", 30.0)];

/// 考核评分表 of one school as a workbook; `None` where the results have no such school.
///
/// # Errors
/// [`WriteError`] where it does not fit into a workbook.
pub fn school_xlsx(results: &Results, school: &SchoolCode) -> Result<Option<Vec<u8>>, WriteError> {
    let ranked = results.ranked();
    let Some(one) = ranked.iter().find(|one| one.of.school.code == *school) else {
        return Ok(None);
    };
    let mut book = Workbook::new();
    let sheet = book.add_worksheet().set_name("考核评分表")?;
    write(sheet, results, *one)?;
    Ok(Some(book.save_to_buffer()?))
}

/// What stands at the foot of each page. `&` begins a command there. How many pages there are is left out: a workbook
/// that is printed as a whole counts those of all its sheets.
pub(super) fn footer(results: &Results, right: &str) -> String {
    let short = |text: &str| text.chars().take(80).collect::<String>().replace('&', "&&");
    let (state, right) = (short(&results.state), short(right));
    format!("&L&8{state}&C第 &P 页&R&8{right}")
}

pub(super) fn write(
    sheet: &mut Worksheet,
    results: &Results,
    ranked: Ranked<'_>,
) -> Result<(), XlsxError> {
    let scores = &ranked.of.sheet;
    let item = |item: &Item| match scores.item(&item.id) {
        Some(score) => vec![
            Cell::Points(score.points.to_string()),
            Cell::Text(remark(item, score)),
        ],
        None => vec![Cell::Text(String::new()), Cell::Text(String::new())],
    };
    let capped = |group: &Group| cap(group, scores);
    let right = Right {
        columns: &COLUMNS,
        item: &item,
        capped: Some(&capped),
        total: vec![
            Cell::Points(scores.total.to_string()),
            Cell::Text(String::new()),
        ],
    };
    let last = right.last();
    above(sheet, results, ranked, last)?;
    let end = page::table(sheet, &results.rubric, TOP, &right)?;
    let end = signatures(sheet, end, last)?;
    sheet
        .set_freeze_panes(TOP + 1, 0)?
        .set_paper_size(9)
        .set_portrait()
        .set_margins(0.5, 0.5, 0.6, 0.7, 0.3, 0.3)
        .set_print_fit_to_pages(1, 0)
        .set_print_center_horizontally(true)
        .set_repeat_rows(TOP, TOP)?
        .set_print_area(0, 0, end, last)?
        .set_print_first_page_number(1)
        .set_footer(footer(results, &ranked.of.school.name));
    Ok(())
}

/// Title, rubric, school.
fn above(
    sheet: &mut Worksheet,
    results: &Results,
    ranked: Ranked<'_>,
    last: u16,
) -> Result<(), XlsxError> {
    let line = style::plain().set_align(FormatAlign::Center);
    let school = &ranked.of.school;
    let who = format!(
        "学校:{}({})\u{3000}学段:{}\u{3000}名次:第 {} 名,共 {} 所",
        school.name,
        school.code,
        school.stage,
        ranked.rank,
        results.schools.len()
    );
    let title = format!("{}考核评分表", school.name);
    sheet.merge_range(0, 0, 0, last, &title, &style::title())?;
    sheet.merge_range(1, 0, 1, last, &results.rubric.title, &line)?;
    sheet.merge_range(2, 0, 2, last, &results.about(), &line)?;
    sheet.merge_range(3, 0, 3, last, &who, &style::plain().set_bold())?;
    let width = 100.0;
    sheet.set_row_height(0, style::height(&title, width, 16.0))?;
    for (row, text) in (1..).zip([&results.rubric.title, &results.about(), &who]) {
        sheet.set_row_height(row, style::height(text, width, style::SIZE))?;
    }
    Ok(())
}

/// Why points are what they are, where that is not plain from the item's own text.
pub(super) fn remark(item: &Item, score: &ItemScore) -> String {
    let plain = matches!(
        item.rule,
        Rule::AllOrNothing { .. }
            | Rule::Checklist { .. }
            | Rule::Threshold { .. }
            | Rule::Tiers { .. }
            | Rule::Deduction { .. }
            | Rule::Grade { .. }
    );
    // Full points by evidence say it themselves; by judgement, by measure or by a reading they do not.
    if plain && score.state == ItemState::Scored && item.max() == Some(score.points) {
        return String::new();
    }
    score.reason.clone()
}

fn cap(group: &Group, scores: &ScoreSheet) -> (String, Vec<Cell>) {
    let text = format!("小计({} 分封顶)", group.weight.short());
    let Some(score) = scores.groups.iter().find(|score| score.id == group.id) else {
        return (text, Vec::new());
    };
    let remark = if score.is_capped() {
        format!(
            "各条合计 {} 分,超过 {} 分的部分不计。",
            score.uncapped.short(),
            group.weight.short()
        )
    } else {
        "各条合计,未超过封顶。".to_owned()
    };
    let cells = vec![Cell::Points(score.points.to_string()), Cell::Text(remark)];
    (text, cells)
}

/// Lines to sign on; gives the last row.
fn signatures(sheet: &mut Worksheet, end: u32, last: u16) -> Result<u32, XlsxError> {
    let row = end + 1;
    let format = style::plain().set_align(FormatAlign::Bottom);
    let under = format.clone().set_border_bottom(FormatBorder::Thin);
    let date = format.clone().set_align(FormatAlign::Right);
    sheet.set_row_height(end, 12)?;
    sheet.set_row_height(row, 32)?;
    sheet.merge_range(row, 0, row, 1, "学校负责人(签字):", &format)?;
    sheet.merge_range(row, 2, row, 3, "", &under)?;
    sheet.write_string_with_format(row, 4, "评估人员(签字):", &date)?;
    sheet.merge_range(row, 5, row, last, "", &under)?;
    sheet.set_row_height(row + 1, 32)?;
    sheet.merge_range(
        row + 1,
        0,
        row + 1,
        last,
        "日期:\u{3000}\u{3000}\u{3000}年\u{3000}\u{3000}月\u{3000}\u{3000}日",
        &date,
    )?;
    Ok(row + 1)
}
