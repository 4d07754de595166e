//! 考核评分汇总表: all schools by rank, every second-level indicator, 平均 and 合计.

use rust_xlsxwriter::{Format, FormatAlign, Workbook, Worksheet, XlsxError};

use super::{Figure, Ranked, Results, average, figures, school, sum};
use crate::{
    domain::{rubric::Points, usage::display},
    sheets::{
        WriteError,
        style::{self, Names},
    },
};

/// Name of the sheet.
const SHEET: &str = "考核评分汇总表";
/// Title, line, two rows of headings.
const TOP: u32 = 4;
/// Columns before the figures, with their widths.
const LEFT: [(&str, f64); 4] = [
    ("名次", 5.5),
    ("学校标识码", 12.0),
    ("学校", 24.0),
    ("学段", 11.0),
];
/// Width of a figure.
const FIGURE: f64 = 7.5;
/// Columns after the figures.
pub(super) const RIGHT: [&str; 3] = [
    "总分",
    "平均使用时间(分钟/台·日)",
    "后台监测按学段折算(参考)",
];
/// Their widths.
const RIGHT_WIDTHS: [f64; 3] = [8.0, 10.0, 10.0];
/// How wide a table may be on A4: beyond it letters get smaller than 7 points.
const A4: f64 = 215.0;

/// 考核评分汇总表 as a workbook.
///
/// # Errors
/// [`WriteError`] where it does not fit into a workbook.
pub fn summary_xlsx(results: &Results) -> Result<Vec<u8>, WriteError> {
    let mut book = Workbook::new();
    write(book.add_worksheet().set_name(SHEET)?, results)?;
    Ok(book.save_to_buffer()?)
}

/// 考核评分汇总表, then one 考核评分表 a school in the order of ranks, as one workbook.
///
/// # Errors
/// [`WriteError`] where it does not fit into a workbook.
pub fn all_xlsx(results: &Results) -> Result<Vec<u8>, WriteError> {
    let mut book = Workbook::new();
    write(book.add_worksheet().set_name(SHEET)?, results)?;
    let mut names = Names::default();
    names.take(SHEET, "");
    for ranked in results.ranked() {
        let one = &ranked.of.school;
        let name = names.take(&one.name, one.code.as_str());
        let sheet = book.add_worksheet().set_name(name)?;
        school::write(sheet, results, ranked)?;
    }
    Ok(book.save_to_buffer()?)
}

/// A column number; no rubric has so many figures that it ends.
fn column(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn write(sheet: &mut Worksheet, results: &Results) -> Result<(), XlsxError> {
    let figures = figures(&results.rubric);
    let last = column(LEFT.len() + figures.len() + RIGHT.len() - 1);
    sheet.merge_range(0, 0, 0, last, SHEET, &style::title())?;
    sheet.set_row_height(0, 30)?;
    let line = style::plain().set_align(FormatAlign::Center);
    sheet.merge_range(1, 0, 1, last, &results.about(), &line)?;
    sheet.set_row_height(1, 20)?;
    headings(sheet, &figures)?;
    let mut row = TOP;
    for ranked in results.ranked() {
        school_row(sheet, row, ranked, &figures)?;
        row += 1;
    }
    let table = Footer { results, figures };
    table.write(sheet, row, "平均", average)?;
    table.write(sheet, row + 1, "合计", |all| Some(sum(all)))?;
    let widths: f64 = LEFT.iter().map(|(_, width)| width).sum::<f64>()
        + RIGHT_WIDTHS.iter().sum::<f64>()
        + table.figures.iter().map(|_| FIGURE).sum::<f64>();
    let paper = if widths > A4 { 8 } else { 9 };
    sheet
        .set_freeze_panes(TOP, 3)?
        .set_paper_size(paper)
        .set_landscape()
        .set_margins(0.4, 0.4, 0.5, 0.6, 0.2, 0.3)
        .set_print_fit_to_pages(1, 0)
        .set_print_center_horizontally(true)
        .set_repeat_rows(0, TOP - 1)?
        .set_print_area(0, 0, row + 1, last)?
        .set_footer(school::footer(results, ""));
    Ok(())
}

fn headings(sheet: &mut Worksheet, figures: &[Figure<'_>]) -> Result<(), XlsxError> {
    let format = style::heading();
    for (at, (name, width)) in (0..).zip(LEFT) {
        sheet.set_column_width(at, width)?;
        sheet.merge_range(2, at, 3, at, name, &format)?;
    }
    let (mut at, mut height) = (column(LEFT.len()), 0.0_f64);
    for run in figures.chunk_by(|one, next| one.group().id == next.group().id) {
        let last = at + column(run.len()) - 1;
        for (figure, at) in run.iter().zip(at..) {
            let heading = figure.heading();
            height = height.max(style::height(&heading, FIGURE, style::SIZE));
            sheet.set_column_width(at, FIGURE)?;
            sheet.write_string_with_format(3, at, heading, &format)?;
        }
        match run {
            [] => {}
            // A group that is its own column says its name once.
            [Figure::Capped(_)] => {
                sheet.merge_range(2, at, 3, at, &run[0].heading(), &format)?;
            }
            [Figure::Indicator(_, one)] if one.name.is_empty() => {
                sheet.merge_range(2, at, 3, at, &run[0].heading(), &format)?;
            }
            [first, ..] => {
                let place = [2, at.into(), 2, last.into()];
                style::merge(sheet, place, &first.group().to_string(), &format)?;
            }
        }
        at = last + 1;
    }
    for (name, width) in RIGHT.iter().zip(RIGHT_WIDTHS) {
        sheet.set_column_width(at, width)?;
        sheet.merge_range(2, at, 3, at, name, &format)?;
        at += 1;
    }
    sheet.set_row_height(2, 22)?;
    sheet.set_row_height(3, height)?;
    Ok(())
}

fn school_row(
    sheet: &mut Worksheet,
    row: u32,
    ranked: Ranked<'_>,
    figures: &[Figure<'_>],
) -> Result<(), XlsxError> {
    let (text, middle, points) = (style::text(), style::centred(), style::points());
    let one = &ranked.of.school;
    let rank = f64::from(u32::try_from(ranked.rank).unwrap_or(u32::MAX));
    sheet
        .write_number_with_format(row, 0, rank, &middle)?
        .write_string_with_format(row, 1, one.code.as_str(), &middle)?
        .write_string_with_format(row, 2, &one.name, &text)?
        .write_string_with_format(row, 3, one.stage.name(), &middle)?;
    // Tighter than elsewhere: a county of a hundred schools is two pages.
    let height = style::height(&one.name, LEFT[2].1, style::SIZE) - 2.5;
    sheet.set_row_height(row, height)?;
    let sheet_points = figures.iter().map(|figure| figure.of(&ranked.of.sheet));
    let monitoring = ranked.of.monitoring.as_ref();
    let shown = sheet_points
        .chain([Some(ranked.of.sheet.total)])
        .map(|points| points.map(|points| points.to_string()))
        .chain([
            monitoring.map(|score| display(score.average)),
            monitoring.map(|score| display(score.stage_points)),
        ]);
    let total = LEFT.len() + figures.len();
    for (at, shown) in (LEFT.len()..).zip(shown) {
        let bold = points.clone().set_bold();
        let format = if at == total { &bold } else { &points };
        put(sheet, row, at, shown.as_deref(), format)?;
    }
    Ok(())
}

fn put(
    sheet: &mut Worksheet,
    row: u32,
    at: usize,
    shown: Option<&str>,
    format: &Format,
) -> Result<(), XlsxError> {
    match shown {
        Some(shown) => {
            let number = style::number(shown);
            sheet.write_number_with_format(row, column(at), number, format)?
        }
        None => sheet.write_blank(row, column(at), format)?,
    };
    Ok(())
}

/// The rows under the schools.
struct Footer<'a> {
    results: &'a Results,
    figures: Vec<Figure<'a>>,
}

impl Footer<'_> {
    fn write(
        &self,
        sheet: &mut Worksheet,
        row: u32,
        name: &str,
        over: fn(&[Points]) -> Option<Points>,
    ) -> Result<(), XlsxError> {
        let format = style::heading();
        let points = format.clone().set_num_format("0.00");
        sheet.merge_range(row, 0, row, 3, name, &format)?;
        sheet.set_row_height(row, 20)?;
        let shown = totals(self.results, &self.figures, over);
        // The last two are no points of the rubric: they have neither sum nor average.
        for (at, shown) in (LEFT.len()..).zip(shown.into_iter().chain([None, None])) {
            put(sheet, row, at, shown.as_deref(), &points)?;
        }
        Ok(())
    }
}

/// A row over all schools: each figure, then the total, as shown.
pub(super) fn totals(
    results: &Results,
    figures: &[Figure<'_>],
    over: fn(&[Points]) -> Option<Points>,
) -> Vec<Option<String>> {
    let sheets = || results.schools.iter().map(|one| &one.sheet);
    let mut columns: Vec<Vec<Points>> = figures
        .iter()
        .map(|figure| sheets().filter_map(|sheet| figure.of(sheet)).collect())
        .collect();
    columns.push(sheets().map(|sheet| sheet.total).collect());
    let shown = columns.iter().map(|all| over(all));
    shown
        .map(|points| points.map(|points| points.to_string()))
        .collect()
}
