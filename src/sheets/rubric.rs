//! The rubric rendered back from its data, in the page's layout, to lay beside the published page.
//!
//! Not responsible for scores (`results`).

use std::fmt::Write as _;

use rust_xlsxwriter::Workbook;

use super::{
    WriteError,
    page::{self, Cell, Right},
    style,
};
use crate::domain::rubric::{Group, Rubric, definition::Item};

/// Where and when it was issued, as published.
fn issued(rubric: &Rubric) -> String {
    let parts = [rubric.issuer.as_str(), rubric.issued.as_str()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

/// What an item can give; nothing where each award adds more.
fn most(item: &Item) -> String {
    match item.max() {
        Some(most) if most.hundredths() > 0 => most.short(),
        Some(_) => "—".to_owned(),
        None => "不限".to_owned(),
    }
}

/// The rubric as a workbook: the page's table with each item's id, most points, kind of rule and readings, and the
/// readings' texts under it.
///
/// # Errors
/// [`WriteError`] where it does not fit into a workbook.
pub fn xlsx(rubric: &Rubric) -> Result<Vec<u8>, WriteError> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.set_name("考核评估细则")?;
    let item = |item: &Item| {
        vec![
            Cell::Word(item.id.clone()),
            Cell::Word(most(item)),
            Cell::Word(item.rule.kind().to_owned()),
            Cell::Word(item.readings.join("、")),
        ]
    };
    let empty = || Cell::Word(String::new());
    let right = Right {
        columns: &[
            ("条目", 8.0),
            ("满分", 6.0),
            ("计分规则", 10.0),
            ("解读", 12.0),
        ],
        item: &item,
        capped: None,
        total: vec![empty(), Cell::Word(rubric.total.short()), empty(), empty()],
    };
    let last = right.last();
    sheet.merge_range(0, 0, 0, last, &rubric.title, &style::title())?;
    sheet.set_row_height(0, 48)?;
    let line = style::plain().set_align(rust_xlsxwriter::FormatAlign::Center);
    sheet.merge_range(1, 0, 1, last, &issued(rubric), &line)?;
    let under = page::table(sheet, rubric, 2, &right)? + 1;
    let width = 105.0;
    for (row, reading) in (under..).zip(&rubric.readings) {
        let text = format!("{} {}", reading.id, reading.text);
        sheet.merge_range(row, 0, row, last, &text, &style::plain())?;
        sheet.set_row_height(row, style::height(&text, width, style::SIZE))?;
    }
    sheet
        .set_freeze_panes(3, 0)?
        .set_paper_size(9)
        .set_portrait()
        .set_margins(0.6, 0.6, 0.7, 0.7, 0.3, 0.3)
        .set_print_fit_to_pages(1, 0)
        .set_repeat_rows(2, 2)?
        .set_footer("&C第 &P 页 共 &N 页");
    Ok(book.save_to_buffer()?)
}

/// The rubric as a Markdown table, one row an item; what the page merges stands once.
#[must_use]
pub fn markdown(rubric: &Rubric) -> String {
    let mut out = format!("# {}\n\n", escape(&rubric.title));
    let issued = issued(rubric);
    if !issued.is_empty() {
        // Writing to a string can't fail.
        let _ = writeln!(out, "{}\n", escape(&issued));
    }
    out.push_str("| 一级指标 | 二级指标 | 权重 | 条目 | 考核内容 | 满分 | 计分规则 | 解读 |\n");
    out.push_str("|---|---|---:|---|---|---:|---|---|\n");
    for group in &rubric.groups {
        rows(&mut out, group);
    }
    let total = rubric.total.short();
    let _ = writeln!(out, "| 合计 | | {total} | | | {total} | | |");
    if !rubric.readings.is_empty() {
        out.push_str("\n## 解读\n\n");
        for reading in &rubric.readings {
            let choice = reading
                .switch
                .as_ref()
                .map_or_else(String::new, |switch| format!("(取值 `{}`)", switch.word()));
            let text = escape(&reading.text);
            let _ = writeln!(out, "- **{}** {text}{choice}", escape(&reading.id));
        }
    }
    out
}

fn rows(out: &mut String, group: &Group) {
    let mut group_title = page::group_title(group).replace('\n', "");
    let mut section = "";
    for indicator in &group.indicators {
        let mut name = match indicator.section.as_str() {
            "" => indicator.name.clone(),
            one if one == section => indicator.name.clone(),
            one => format!("{one}:{}", indicator.name),
        };
        section = &indicator.section;
        let mut weight = indicator.weight.short();
        for item in &indicator.items {
            let cells = [
                std::mem::take(&mut group_title),
                std::mem::take(&mut name),
                std::mem::take(&mut weight),
                item.id.clone(),
                page::numbered(indicator, item),
                most(item),
                item.rule.kind().to_owned(),
                item.readings.join("、"),
            ];
            let cells = cells.map(|cell| escape(&cell));
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
    }
}

/// A text that can't end its cell or begin a tag.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace('<', "&lt;")
        .replace('\n', " ")
}

#[cfg(test)]
mod tests;
