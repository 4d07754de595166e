//! Any table as a workbook of one sheet: what a page shows, to be worked with in a spreadsheet.
//!
//! Text cells are texts, whatever they begin with: no spreadsheet runs them. Not responsible for what a table says.

use rust_xlsxwriter::{Workbook, Worksheet, XlsxError};

use super::{WriteError, style};

/// Narrowest and widest column, in a spreadsheet's units.
const WIDTHS: (usize, usize) = (8, 60);

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// Its heading.
    pub heading: &'a str,
    /// Whether its cells are figures, where they read as such.
    pub figures: bool,
}

/// A table with its caption, a line about it, and rows of as many cells as there are columns.
///
/// # Errors
/// [`WriteError`] where it does not fit into a workbook, such as a million rows.
pub fn xlsx(
    caption: &str,
    about: &str,
    columns: &[Column<'_>],
    rows: &[Vec<&str>],
) -> Result<Vec<u8>, WriteError> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    let name = style::sheet_name(caption);
    sheet.set_name(if name.is_empty() { "表" } else { &name })?;
    let last = u16::try_from(columns.len().saturating_sub(1)).unwrap_or(u16::MAX);
    style::merge(sheet, [0, 0, 0, last.into()], caption, &style::title())?;
    style::merge(sheet, [1, 0, 1, last.into()], about, &style::plain())?;
    sheet.set_row_height(0, 30)?;
    for (at, column) in (0..).zip(columns) {
        sheet.write_string_with_format(2, at, column.heading, &style::heading())?;
        let cells = rows.iter().filter_map(|row| row.get(usize::from(at)));
        let widest = cells.map(|text| columns_wide(text)).max().unwrap_or(0);
        let wide = widest.max(columns_wide(column.heading)) + 2;
        let wide = u16::try_from(wide.clamp(WIDTHS.0, WIDTHS.1)).unwrap_or(8);
        sheet.set_column_width(at, wide)?;
    }
    for (row, cells) in (3..).zip(rows) {
        for ((at, column), text) in (0..).zip(columns).zip(cells) {
            cell(sheet, (row, at), column.figures, text)?;
        }
    }
    sheet.set_freeze_panes(3, 1)?;
    if let (Ok(count), false) = (u32::try_from(rows.len()), rows.is_empty()) {
        sheet.autofilter(2, 0, count + 2, last)?;
    }
    sheet
        .set_paper_size(9)
        .set_landscape()
        .set_print_fit_to_pages(1, 0)
        .set_repeat_rows(2, 2)?
        .set_footer("&C第 &P 页 共 &N 页");
    Ok(book.save_to_buffer()?)
}

fn cell(
    sheet: &mut Worksheet,
    (row, column): (u32, u16),
    figures: bool,
    text: &str,
) -> Result<(), XlsxError> {
    match figures.then(|| places(text)).flatten() {
        Some(places) => {
            let shown = match places {
                0 => "0".to_owned(),
                some => format!("0.{}", "0".repeat(some)),
            };
            let format = style::centred().set_num_format(shown);
            sheet.write_number_with_format(row, column, style::number(text), &format)?;
        }
        None => {
            sheet.write_string_with_format(row, column, text, &style::text())?;
        }
    }
    Ok(())
}

/// How many places a plain decimal such as 12 or 87.35 has; `None` for any other text, also for a code with zeros before it.
fn places(text: &str) -> Option<usize> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    let plain = digits(whole) && digits(places) && (whole == "0" || !whole.starts_with('0'));
    let places = if text.contains('.') { places.len() } else { 0 };
    // A spreadsheet holds fifteen digits.
    (plain && whole.len() + places <= 15).then_some(places)
}

/// How many Latin letters wide a text is.
fn columns_wide(text: &str) -> usize {
    let of = |line: &str| line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    text.lines().map(of).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use calamine::{Data, Reader as _, Xlsx};

    use super::*;

    #[test]
    fn figures_are_numbers_and_all_else_is_text() {
        let columns = [
            Column {
                heading: "学校",
                figures: false,
            },
            Column {
                heading: "平均",
                figures: true,
            },
        ];
        let rows = [
            vec!["=1+1", "87.35"],
            vec!["@SUM(A1)", "12"],
            vec!["-2", "—"],
            vec!["\t=1", "=2"],
            vec!["2123000001", "007"],
        ];
        let content = xlsx("各校/排名", "2026-09-01", &columns, &rows).unwrap();
        let mut book: Xlsx<_> = Xlsx::new(Cursor::new(content)).unwrap();
        let sheet = book.worksheet_range("各校 排名").unwrap();
        let text = |row, column| match sheet.get_value((row, column)) {
            Some(Data::String(text)) => text.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(text(0, 0), "各校/排名");
        assert_eq!(text(2, 1), "平均");
        for (row, [first, _]) in (3..).zip(rows.clone().map(|row| [row[0], row[1]])) {
            assert_eq!(text(row, 0), first);
        }
        assert_eq!(sheet.get_value((3, 1)), Some(&Data::Float(87.35)));
        assert_eq!(sheet.get_value((4, 1)), Some(&Data::Float(12.0)));
        for (row, expected) in [(5, "—"), (6, "=2"), (7, "007")] {
            assert_eq!(text(row, 1), expected);
        }
        let formulas = book.worksheet_formula("各校 排名").unwrap();
        assert!(formulas.cells().all(|(_, _, formula)| formula.is_empty()));
    }
}
