//! Evidence → the workbook; with none of it, the template.

use std::collections::BTreeMap;

use rust_xlsxwriter::{Format, FormatAlign, ProtectionOptions, Workbook, Worksheet, XlsxError};

use super::{
    CODE, Column, MARKER, Part, SCHOOL, STAGE, Shown,
    checks::{self, Choices},
    columns, guide,
    list::{self, HEADINGS, Listed},
    origin::{self, Origin},
    sheet_name, shown,
};
use crate::{
    domain::{
        ids::SchoolCode,
        rubric::{FieldKind, Group, Rubric, SchoolEvidence, evidence::MAX_TEXT},
    },
    sheets::{WriteError, style},
    store::School,
};

/// Rows of headings above the schools.
const TOP: u32 = 3;
/// Columns of the school beside the answers.
const LEFT: u16 = 3;
/// Their widths.
const LEFT_WIDTHS: [f64; 3] = [12.0, 24.0, 11.0];
/// Height of a school's row, where no text needs more.
const ROW: f64 = 18.0;
/// How wide a page of A3 is, in units of columns.
const PAGE: f64 = 200.0;
/// Rows of 名单 that have drop-down lists.
const LIST_ROWS: u32 = 20_000;

/// The workbook of these schools, in this order, with what is known of them.
///
/// Where `origin` says that it is empty it is the template, and `evidence` is not looked at.
///
/// # Errors
/// [`WriteError`] where it does not fit into a workbook, such as a million schools.
pub fn workbook(
    rubric: &Rubric,
    schools: &[School],
    evidence: &BTreeMap<SchoolCode, SchoolEvidence>,
    origin: &Origin,
) -> Result<Vec<u8>, WriteError> {
    let nothing = BTreeMap::new();
    let mut book = Workbook::new();
    guide::write(book.add_worksheet(), rubric)?;
    let mut marker = Worksheet::new();
    marker.set_name(MARKER)?;
    for (column, word) in (0..).zip(origin.words(rubric)) {
        marker.write_string(0, column, word)?;
    }
    marker.set_very_hidden(true);
    let mut choices = Choices::of(&mut marker, origin::FREE);
    let known = Known {
        rubric,
        schools,
        evidence: if origin.empty { &nothing } else { evidence },
    };
    for group in &rubric.groups {
        let columns = columns(group);
        if !columns.is_empty() {
            known.group(book.add_worksheet(), group, &columns, &mut choices)?;
        }
    }
    let listed = list::listed(rubric);
    if !listed.is_empty() {
        known.list(book.add_worksheet(), &listed, &mut choices)?;
    }
    book.push_worksheet(marker);
    Ok(book.save_to_buffer()?)
}

struct Known<'a> {
    rubric: &'a Rubric,
    schools: &'a [School],
    evidence: &'a BTreeMap<SchoolCode, SchoolEvidence>,
}

/// Everything may be done in a sheet but altering what it is read by.
fn protect(sheet: &mut Worksheet) {
    sheet.protect_with_options(&ProtectionOptions {
        format_cells: true,
        format_columns: true,
        format_rows: true,
        insert_rows: true,
        delete_rows: true,
        sort: true,
        use_autofilter: true,
        ..ProtectionOptions::default()
    });
}

fn width(part: &Part) -> f64 {
    match part {
        Part::Source => 18.0,
        Part::Attachments => 16.0,
        Part::Answer(field) => match field.kind {
            FieldKind::Text if field.key.chars().count() > 3 => 20.0,
            FieldKind::YesNo | FieldKind::Number => 13.0,
            _ => 11.0,
        },
    }
}

fn answer_format(part: &Part) -> Format {
    let format = match part {
        Part::Source | Part::Attachments => style::text().set_num_format("@"),
        Part::Answer(field) => match field.kind {
            FieldKind::Text | FieldKind::List { .. } => style::text().set_num_format("@"),
            FieldKind::Choice(_) => style::centred().set_num_format("@"),
            _ => style::centred(),
        },
    };
    format.set_unlocked()
}

impl Known<'_> {
    fn group(
        &self,
        sheet: &mut Worksheet,
        group: &Group,
        columns: &[Column<'_>],
        choices: &mut Choices<'_>,
    ) -> Result<(), XlsxError> {
        sheet.set_name(sheet_name(group))?;
        sheet.set_freeze_panes(TOP, LEFT)?;
        self.schools(sheet, group)?;
        headings(sheet, group, columns)?;
        let mut heights = vec![ROW; self.schools.len()];
        for (at, column) in (LEFT..).zip(columns) {
            self.column(sheet, at, column, &mut heights)?;
            let rows = (TOP, self.schools);
            checks::add(sheet, self.rubric, column, at, rows, choices)?;
        }
        for (row, height) in (TOP..).zip(heights) {
            sheet.set_row_height(row, height)?;
        }
        sheet
            .set_paper_size(8)
            .set_landscape()
            .set_repeat_rows(0, TOP - 1)?
            .set_repeat_columns(0, LEFT - 1)?
            .set_vertical_page_breaks(&breaks(columns))?
            .set_footer("&C第 &P 页 共 &N 页");
        protect(sheet);
        Ok(())
    }

    /// One column's answers; rows grow to the heights that they need.
    fn column(
        &self,
        sheet: &mut Worksheet,
        at: u16,
        column: &Column<'_>,
        heights: &mut [f64],
    ) -> Result<(), XlsxError> {
        let (width, format) = (width(&column.part), answer_format(&column.part));
        sheet.set_column_width(at, width)?;
        let rows = (TOP..).zip(self.schools).zip(heights);
        for ((row, school), height) in rows {
            let evidence = self.evidence.get(&school.code);
            let evidence = evidence.and_then(|all| all.get(&column.item.id));
            match shown(&column.part, evidence) {
                Shown::Empty => sheet.write_blank(row, at, &format)?,
                Shown::Text(text) => {
                    *height = height.max(style::height(&text, width, style::SIZE));
                    sheet.write_string_with_format(row, at, text, &format)?
                }
                Shown::Number(text) => {
                    sheet.write_number_with_format(row, at, style::number(&text), &format)?
                }
            };
        }
        Ok(())
    }

    /// The grey cells at the left.
    fn schools(&self, sheet: &mut Worksheet, group: &Group) -> Result<(), XlsxError> {
        let locked = style::locked();
        let head = format!("{group}\n填写方法见“{}”表", guide::SHEET);
        sheet.merge_range(0, 0, TOP - 2, LEFT - 1, &head, &style::heading())?;
        for (at, (name, width)) in (0..).zip([CODE, SCHOOL, STAGE].into_iter().zip(LEFT_WIDTHS)) {
            sheet.set_column_width(at, width)?;
            sheet.write_string_with_format(TOP - 1, at, name, &style::heading())?;
        }
        for (row, school) in (TOP..).zip(self.schools) {
            let texts = [school.code.as_str(), &school.name, school.stage.name()];
            for (at, text) in (0..).zip(texts) {
                sheet.write_string_with_format(row, at, text, &locked)?;
            }
        }
        Ok(())
    }

    fn list(
        &self,
        sheet: &mut Worksheet,
        listed: &[Listed<'_>],
        choices: &mut Choices<'_>,
    ) -> Result<(), XlsxError> {
        sheet.set_name(list::SHEET)?;
        sheet.set_freeze_panes(1, 0)?;
        let format = style::text().set_num_format("@").set_unlocked();
        let person = style::centred().set_unlocked();
        let widths = [13.0, 8.0, 50.0, 9.0, 10.0, 12.0, 26.0];
        let headings = [CODE].into_iter().chain(HEADINGS);
        for (at, (heading, width)) in (0..).zip(headings.zip(widths)) {
            sheet.set_column_width(at, width)?;
            let format = if usize::from(at) == list::PERSON + 1 {
                &person
            } else {
                &format
            };
            sheet.set_column_format(at, format)?;
            sheet.write_string_with_format(0, at, heading, &style::heading())?;
        }
        let mut row = 1;
        for school in self.schools {
            for one in listed {
                let evidence = self.evidence.get(&school.code);
                let evidence = evidence.and_then(|all| all.get(&one.item.id));
                for award in list::rows(evidence) {
                    sheet.write_string_with_format(row, 0, school.code.as_str(), &format)?;
                    let texts = list::texts(&one.item.id, award);
                    for (at, text) in (1..).zip(&texts) {
                        if usize::from(at) == list::PERSON + 1 && !text.is_empty() {
                            let number = style::number(text);
                            sheet.write_number_with_format(row, at, number, &person)?;
                        } else if !text.is_empty() {
                            sheet.write_string_with_format(row, at, text, &format)?;
                        }
                    }
                    row += 1;
                }
            }
        }
        self.list_checks(sheet, listed, choices)?;
        sheet
            .set_paper_size(9)
            .set_landscape()
            .set_print_fit_to_pages(1, 0)
            .set_repeat_rows(0, 0)?
            .set_footer("&C第 &P 页 共 &N 页");
        protect(sheet);
        Ok(())
    }

    fn list_checks(
        &self,
        sheet: &mut Worksheet,
        listed: &[Listed<'_>],
        choices: &mut Choices<'_>,
    ) -> Result<(), XlsxError> {
        let codes: Vec<&str> = self
            .schools
            .iter()
            .map(|school| school.code.as_str())
            .collect();
        let items: Vec<&str> = listed.iter().map(|one| one.item.id.as_str()).collect();
        let levels = list::words(listed, |cell| &cell.level);
        let prizes = list::words(listed, |cell| &cell.prize);
        let drop_downs = [
            (0, codes, "应为本表所列学校的学校标识码。"),
            (list::ITEM + 1, items, "应为“说明”表中可用名单填写的条目。"),
            (list::LEVEL + 1, levels, "应从下拉列表中选级别。"),
            (
                list::PRIZE + 1,
                prizes,
                "应从下拉列表中选奖次;没有奖次的条目留空。",
            ),
        ];
        let mut put = |at: usize, check| {
            let at = u16::try_from(at).unwrap_or(u16::MAX);
            sheet.add_data_validation(1, at, LIST_ROWS, at, &check)?;
            Ok::<(), XlsxError>(())
        };
        for (at, words, message) in drop_downs {
            if !words.is_empty() {
                put(at, checks::refuse(choices.list(&words)?, message)?)?;
            }
        }
        let long = format!("最多 {MAX_TEXT} 字。");
        for at in [list::TITLE + 1, list::PROOF + 1] {
            put(at, checks::refuse(checks::at_most(MAX_TEXT), &long)?)?;
        }
        let message = "应为从 1 起的整数:同一竞赛中同一人用同一序号,不写姓名。";
        let person = checks::refuse(checks::whole_from(1), message)?;
        put(
            list::PERSON + 1,
            checks::hint(person, "获奖人序号", "按人次计的条目才填;不写姓名。")?,
        )
    }
}

/// The columns before which a printed page ends, so that an item stays on one where it can.
fn breaks(columns: &[Column<'_>]) -> Vec<u32> {
    let left: f64 = LEFT_WIDTHS.iter().sum();
    let (mut breaks, mut used, mut at) = (Vec::new(), left, u32::from(LEFT));
    for chunk in columns.chunk_by(|one, next| one.item.id == next.item.id) {
        let wide: f64 = chunk.iter().map(|column| width(&column.part)).sum();
        if used > left && used + wide > PAGE {
            breaks.push(at);
            used = left;
        }
        used += wide;
        at += u32::try_from(chunk.len()).unwrap_or(u32::MAX);
    }
    breaks
}

/// Three rows: the item, its text, and the question by which a column is found.
fn headings(sheet: &mut Worksheet, group: &Group, columns: &[Column<'_>]) -> Result<(), XlsxError> {
    let (mut text_height, mut question_height) = (0.0_f64, 0.0_f64);
    let mut at = LEFT;
    for (number, chunk) in columns
        .chunk_by(|one, next| one.item.id == next.item.id)
        .enumerate()
    {
        let Some(first) = chunk.first() else {
            continue;
        };
        let last = at + u16::try_from(chunk.len()).unwrap_or(u16::MAX) - 1;
        let head = if number % 2 == 0 {
            style::heading()
        } else {
            style::other_heading()
        };
        let all: f64 = chunk.iter().map(|column| width(&column.part)).sum();
        let rows = [about(group, first), first.item.text.clone()];
        for (row, text) in (0..).zip(&rows) {
            let place = [row, at.into(), row, last.into()];
            let format = match row {
                0 => head.clone(),
                _ => head.clone().unset_bold(),
            };
            // From the left: the middle of many columns is out of sight.
            let format = format.set_align(FormatAlign::Left);
            style::merge(sheet, place, text, &format)?;
        }
        text_height = text_height.max(style::height(&rows[1], all, style::SIZE));
        for (column, at) in chunk.iter().zip(at..) {
            // The id stands on a line of its own, so that the question reads as one.
            let heading = format!("{}\n{}", column.item.id, column.key());
            let needed = style::height(&heading, width(&column.part), style::SIZE);
            question_height = question_height.max(needed);
            let format = match &column.part {
                Part::Answer(_) => head.clone(),
                Part::Source | Part::Attachments => head.clone().unset_bold(),
            };
            sheet.write_string_with_format(TOP - 1, at, &heading, &format)?;
        }
        at = last + 1;
    }
    sheet.set_row_height(0, 20)?;
    sheet.set_row_height(1, text_height)?;
    sheet.set_row_height(2, question_height)?;
    Ok(())
}

/// Such as `1.1.1 组织机构(满分 1 分,全有或全无)`.
fn about(group: &Group, column: &Column<'_>) -> String {
    let item = column.item;
    let indicator = group
        .indicators
        .iter()
        .find(|one| one.items.iter().any(|of| of.id == item.id));
    let name = indicator.map_or(group.name.as_str(), |one| one.title(group));
    let most = item
        .max()
        .filter(|most| most.hundredths() > 0)
        .map_or_else(String::new, |most| format!("满分 {} 分,", most.short()));
    format!("{} {name}({most}{})", item.id, item.rule.kind())
}
