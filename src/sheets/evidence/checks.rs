//! Drop-down lists and limits of cells, with Chinese words where something does not fit.
//!
//! They help while somebody types; what is pasted passes them by, so reading checks everything again.

use rust_xlsxwriter::{
    DataValidation, DataValidationErrorStyle, DataValidationRule, Formula, Worksheet, XlsxError,
};

use super::{Column, Part, shares};
use crate::{
    domain::{
        ids::Stage,
        rubric::{
            FieldKind, Rubric,
            evidence::{GIVEN, MAX_ATTACHMENTS, MAX_COUNT, MAX_TEXT, NOT_APPLICABLE, expected},
        },
    },
    sheets::style,
    store::School,
};

/// Longest list inside a check, in UTF-16 units; longer ones refer to cells.
const MAX_INSIDE: usize = 255;
/// Longest title of a message.
const MAX_TITLE: usize = 32;
/// Longest message.
const MAX_MESSAGE: usize = 255;

/// The first characters that fit; messages are help, and a rubric's own words may be long.
fn cut(text: &str, room: usize) -> String {
    let mut left = room;
    let fits = |c: &char| {
        let fits = left >= c.len_utf16();
        left = left.saturating_sub(c.len_utf16());
        fits
    };
    text.chars().take_while(fits).collect()
}

/// Words that are too long for a check itself, kept in the hidden sheet.
pub(super) struct Choices<'a> {
    sheet: &'a mut Worksheet,
    column: u16,
}

impl<'a> Choices<'a> {
    /// From this column on.
    pub(super) const fn of(sheet: &'a mut Worksheet, column: u16) -> Self {
        Self { sheet, column }
    }

    /// A drop-down list of these words.
    pub(super) fn list(&mut self, words: &[impl AsRef<str>]) -> Result<DataValidation, XlsxError> {
        let units: usize = words
            .iter()
            .map(|word| word.as_ref().encode_utf16().count() + 1)
            .sum();
        let inside = |word: &str| !word.contains([',', '"']) && word.trim() == word;
        let all_inside = words.iter().all(|word| inside(word.as_ref()));
        if units <= MAX_INSIDE && all_inside {
            return DataValidation::new().allow_list_strings(words);
        }
        let column = self.column;
        self.column += 1;
        for (row, word) in (0..).zip(words) {
            self.sheet.write_string(row, column, word.as_ref())?;
        }
        let name = rust_xlsxwriter::utility::column_number_to_name(column);
        let sheet = self.sheet.name();
        let range = format!("='{sheet}'!${name}$1:${name}${}", words.len());
        Ok(DataValidation::new().allow_list_formula(Formula::new(range)))
    }
}

/// Adds a title and a message for what does not fit.
pub(super) fn refuse(check: DataValidation, message: &str) -> Result<DataValidation, XlsxError> {
    check
        .set_error_style(DataValidationErrorStyle::Stop)
        .set_error_title("填写有误")?
        .set_error_message(cut(message, MAX_MESSAGE))
}

/// Adds a hint that is shown while the cell is selected.
pub(super) fn hint(
    check: DataValidation,
    title: &str,
    message: &str,
) -> Result<DataValidation, XlsxError> {
    check
        .set_input_title(cut(title, MAX_TITLE))?
        .set_input_message(cut(message, MAX_MESSAGE))
}

/// At most this many characters.
pub(super) fn at_most(characters: usize) -> DataValidation {
    let most = u32::try_from(characters).unwrap_or(u32::MAX);
    DataValidation::new().allow_text_length(DataValidationRule::LessThanOrEqualTo(most))
}

/// 0 to the largest count, whole.
pub(super) fn whole_from(least: i32) -> DataValidation {
    let most = i32::try_from(MAX_COUNT).unwrap_or(i32::MAX);
    DataValidation::new().allow_whole_number(DataValidationRule::Between(least, most))
}

/// Puts the checks of one column on the rows of these schools, the first of which stands in row `top`.
pub(super) fn add(
    sheet: &mut Worksheet,
    rubric: &Rubric,
    column: &Column<'_>,
    at: u16,
    (top, schools): (u32, &[School]),
    choices: &mut Choices<'_>,
) -> Result<(), XlsxError> {
    for (row, count, stage) in runs(rubric, column, schools) {
        let check = match stage {
            Some(_) => may_not_apply(choices)?,
            None => check(column, choices)?,
        };
        sheet.add_data_validation(top + row, at, top + row + count - 1, at, &check)?;
    }
    Ok(())
}

/// Runs of schools with the same check: first, how many, and a stage of those that may answer 不适用.
fn runs(
    rubric: &Rubric,
    column: &Column<'_>,
    schools: &[School],
) -> Vec<(u32, u32, Option<Stage>)> {
    let share = shares(&column.item.rule)
        .into_iter()
        .find(|share| share.whole == column.key());
    let may = |school: &School| {
        let stage = school.stage;
        share.is_some_and(|share| rubric.may_not_apply(share, stage))
    };
    let mut runs: Vec<(u32, u32, Option<Stage>)> = Vec::new();
    for (row, school) in (0..).zip(schools) {
        let stage = may(school).then_some(school.stage);
        match runs.last_mut() {
            Some((_, count, before)) if before.is_some() == stage.is_some() => *count += 1,
            _ => runs.push((row, 1, stage)),
        }
    }
    runs
}

/// A list lets only its own words pass, and here a count is as good; so it offers, and refuses nothing.
fn may_not_apply(choices: &mut Choices<'_>) -> Result<DataValidation, XlsxError> {
    let check = choices.list(&[NOT_APPLICABLE])?.show_error_message(false);
    hint(
        check,
        "可填“不适用”",
        "没有这样的学生时选“不适用”,并把相应的人数留空;否则填整数。",
    )
}

fn check(column: &Column<'_>, choices: &mut Choices<'_>) -> Result<DataValidation, XlsxError> {
    let field = match &column.part {
        Part::Source => {
            let message = format!("材料依据最多 {MAX_TEXT} 字。");
            return refuse(at_most(MAX_TEXT), &message);
        }
        Part::Attachments => {
            let message = format!("附件最多 {MAX_ATTACHMENTS} 个,每个最多 {MAX_TEXT} 字。");
            let check = refuse(at_most(MAX_ATTACHMENTS * (MAX_TEXT + 1)), &message)?;
            let how = "写文件名或档案编号;多个附件用换行(Alt+Enter)或分号隔开。";
            return hint(check, "附件", how);
        }
        Part::Answer(field) => field,
    };
    let message = format!("应为{}。", expected(&field.kind));
    let check = match &field.kind {
        FieldKind::YesNo => choices.list(&["是", "否"])?,
        FieldKind::Choice(names) => choices.list(names)?,
        FieldKind::Count => whole_from(0),
        FieldKind::Number => DataValidation::new()
            .allow_decimal_number(DataValidationRule::Between(0.0, 1_000_000_000.0)),
        FieldKind::Points { max } => {
            let most = style::number(&max.to_string());
            DataValidation::new().allow_decimal_number(DataValidationRule::Between(0.0, most))
        }
        FieldKind::Text | FieldKind::List { .. } => at_most(MAX_TEXT),
    };
    let check = refuse(check, &message)?;
    if field.key == GIVEN {
        let how = "条件没有达到时才填,并写明酌情理由和评分人;条件达到按满分记,三格都留空。";
        return hint(check, GIVEN, how);
    }
    Ok(check)
}
