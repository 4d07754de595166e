//! How sheets look: formats, names of sheets, the height that a text needs.
//!
//! Not responsible for what stands in them.

use std::collections::BTreeSet;

use rust_xlsxwriter::{Color, Format, FormatAlign, FormatBorder, Worksheet, XlsxError};

/// Every Windows in a bureau has it; others take their own Chinese font for it.
const FONT: &str = "宋体";
/// Size of ordinary text, in points.
pub(super) const SIZE: f64 = 10.0;
/// Longest sheet name, in characters.
const MAX_NAME: usize = 31;
/// Tallest row that spreadsheets have, in points.
const MAX_HEIGHT: f64 = 409.0;

/// Background of headings.
const HEAD: Color = Color::RGB(0x00DD_EBF7);
/// Background of every second item's headings.
const OTHER_HEAD: Color = Color::RGB(0x00E2_EFDA);
/// Background of what must not be changed.
const GREY: Color = Color::RGB(0x00ED_EDED);

/// Bordered, wrapped, centred from top to bottom.
fn cell() -> Format {
    Format::new()
        .set_font_name(FONT)
        .set_font_size(SIZE)
        .set_border(FormatBorder::Thin)
        .set_align(FormatAlign::VerticalCenter)
        .set_text_wrap()
}

/// Text, from the left.
pub(super) fn text() -> Format {
    cell().set_align(FormatAlign::Left)
}

/// A short text or a whole number, in the middle.
pub(super) fn centred() -> Format {
    cell().set_align(FormatAlign::Center)
}

/// Points and averages.
pub(super) fn points() -> Format {
    centred().set_num_format("0.00")
}

/// A heading.
pub(super) fn heading() -> Format {
    centred().set_bold().set_background_color(HEAD)
}

/// A heading beside another that must be told apart.
pub(super) fn other_heading() -> Format {
    heading().set_background_color(OTHER_HEAD)
}

/// A cell that is not for filling in.
pub(super) fn locked() -> Format {
    text().set_background_color(GREY)
}

/// A sheet's title.
pub(super) fn title() -> Format {
    plain()
        .set_font_size(16)
        .set_bold()
        .set_align(FormatAlign::Center)
}

/// Text outside of the table.
pub(super) fn plain() -> Format {
    Format::new()
        .set_font_name(FONT)
        .set_font_size(SIZE)
        .set_align(FormatAlign::VerticalCenter)
        .set_text_wrap()
}

/// Figures become floating numbers here and nowhere else: what is given is the text that every other output shows.
pub(super) fn number(shown: &str) -> f64 {
    shown.parse().unwrap_or_default()
}

/// The height that a text needs in a column of this width (in a spreadsheet's units), in points.
///
/// Spreadsheets fit a row to its text only where no cell is merged, so it is reckoned here: a Chinese character is as
/// wide as its size, others are about half of that.
pub(super) fn height(text: &str, width: f64, size: f64) -> f64 {
    // A unit is 7 pixels at 96 dots an inch; 5 more are margins. Half a character stays free at the end of a line.
    let room = ((width * 7.0 - 6.0) * 0.75 - size * 0.5).max(size);
    let lines: f64 = text
        .lines()
        .map(|line| (advance(line, size) / room).ceil().max(1.0))
        .sum();
    (lines.max(1.0) * size * 1.35 + 5.0).min(MAX_HEIGHT)
}

fn advance(line: &str, size: f64) -> f64 {
    let wide = line.chars().filter(|c| !c.is_ascii()).count();
    let narrow = line.chars().count() - wide;
    // 4 % more: fonts differ, a line breaks before a character that does not fit, and never before a full stop.
    (count(wide) + count(narrow) * 0.6) * size * 1.04
}

/// Small counts are exact in a float.
fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// A range as one cell, also where it is only one.
pub(super) fn merge(
    sheet: &mut Worksheet,
    [first_row, first_col, last_row, last_col]: [u32; 4],
    text: &str,
    format: &Format,
) -> Result<(), XlsxError> {
    let column = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    let (first, last) = (column(first_col), column(last_col));
    if first_row == last_row && first == last {
        sheet.write_string_with_format(first_row, first, text, format)?;
    } else {
        sheet.merge_range(first_row, first, last_row, last, text, format)?;
    }
    Ok(())
}

/// Names for sheets: what spreadsheets forbid is left out, and no name comes twice.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// A name like this one; `apart` tells it from another that reads the same.
    pub(super) fn take(&mut self, name: &str, apart: &str) -> String {
        let plain = sheet_name(name);
        let free = |name: &str| !name.is_empty() && !self.0.contains(&name.to_lowercase());
        let taken = if free(&plain) {
            plain
        } else {
            let room = MAX_NAME.saturating_sub(apart.chars().count() + 1);
            let start: String = plain.chars().take(room).collect();
            sheet_name(&format!("{start} {apart}"))
        };
        self.0.insert(taken.to_lowercase());
        taken
    }
}

/// A name without what spreadsheets forbid.
pub(super) fn sheet_name(name: &str) -> String {
    let allowed = |c: char| {
        if "[]:*?/\\'".contains(c) || c.is_control() {
            ' '
        } else {
            c
        }
    };
    // Spreadsheets count UTF-16; names beyond it are cut in halves of rare characters, so those count twice.
    let mut left = MAX_NAME;
    let cut: String = name
        .chars()
        .map(allowed)
        .take_while(|c| {
            let fits = left >= c.len_utf16();
            left = left.saturating_sub(c.len_utf16());
            fits
        })
        .collect();
    cut.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_allowed_and_apart() {
        let mut names = Names::default();
        assert_eq!(names.take("一中", "2131000001"), "一中");
        assert_eq!(names.take("一中", "2131000002"), "一中 2131000002");
        assert_eq!(names.take("A/B[1]:'x'", "1"), "A B 1   x");
        assert_eq!(names.take("a b 1   X", "2"), "a b 1   X 2");
        let long = "很".repeat(40);
        assert_eq!(names.take(&long, "3").chars().count(), 31);
        let other = names.take(&long, "2131000004");
        assert_eq!(other.chars().count(), 31);
        assert!(other.ends_with(" 2131000004"), "{other}");
        assert_eq!(names.take("***", "7"), "7");
        assert_eq!(sheet_name(&"𠮷".repeat(20)).chars().count(), 15);
    }

    #[test]
    fn longer_texts_need_more_height() {
        let one = height("记满分", 20.0, SIZE);
        let two = height("记满分\n记满分", 20.0, SIZE);
        let long = height(&"记满分".repeat(20), 20.0, SIZE);
        assert!(one < two && two < long, "{one} {two} {long}");
    }
}
