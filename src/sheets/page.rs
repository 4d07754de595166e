//! The published page's own layout: 一级指标 | 二级指标 | 权重 | 考核内容, one row an item, merged as on the page.
//!
//! Not responsible for the columns to the right of it: score sheets and the rubric's rendering bring their own.

use rust_xlsxwriter::{Format, Worksheet, XlsxError};

use super::style;
use crate::domain::rubric::{Group, Indicator, Rubric, definition::Item};

/// First level, section, second level, weight, text.
const WIDTHS: [f64; 5] = [9.0, 8.0, 10.0, 6.0, 36.0];
const FIRST: u32 = 0;
const SECTION: u32 = 1;
const SECOND: u32 = 2;
const WEIGHT: u32 = 3;
const TEXT: u32 = 4;
/// First column to the right of the layout.
const RIGHT: u32 = 5;

/// A cell to the right of the layout.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    /// A text.
    Text(String),
    /// A short text, in the middle.
    Word(String),
    /// Points, by the text that shows them.
    Points(String),
}

/// The text and the cells of a row under a group with a cap.
pub(super) type Capped<'a> = dyn Fn(&Group) -> (String, Vec<Cell>) + 'a;

/// What stands to the right.
pub(super) struct Right<'a> {
    /// Headings and widths.
    pub(super) columns: &'a [(&'a str, f64)],
    /// An item's cells.
    pub(super) item: &'a dyn Fn(&Item) -> Vec<Cell>,
    /// A row under a group with a cap, where there is to be one.
    pub(super) capped: Option<&'a Capped<'a>>,
    /// The cells of the last row, 合计.
    pub(super) total: Vec<Cell>,
}

impl Right<'_> {
    /// The last column of the whole table.
    pub(super) fn last(&self) -> u16 {
        u16::try_from(self.columns.len()).unwrap_or(u16::MAX) + 4
    }
}

/// An item's text with its number within the indicator, as the page numbers it.
pub(super) fn numbered(indicator: &Indicator, item: &Item) -> String {
    let number = item.id.rsplit('.').next().unwrap_or_default();
    if indicator.items.len() > 1 {
        format!("{number}、{}", item.text)
    } else {
        item.text.clone()
    }
}

/// A group's name with its weight, as the page writes it.
pub(super) fn group_title(group: &Group) -> String {
    let cap = if group.capped { "分封顶" } else { "" };
    format!("{}\n({}{cap})", group.name, group.weight.short())
}

/// Writes the table from row `top` on; gives the row after it.
pub(super) fn table(
    sheet: &mut Worksheet,
    rubric: &Rubric,
    top: u32,
    right: &Right<'_>,
) -> Result<u32, XlsxError> {
    let mut table = Table {
        sheet,
        right,
        row: top,
        text: style::text(),
        middle: style::centred(),
        points: style::points(),
    };
    table.headings()?;
    for group in &rubric.groups {
        table.group(group)?;
    }
    table.total(rubric)?;
    Ok(table.row)
}

struct Table<'a, 'b> {
    sheet: &'a mut Worksheet,
    right: &'a Right<'b>,
    row: u32,
    text: Format,
    middle: Format,
    points: Format,
}

impl Table<'_, '_> {
    fn headings(&mut self) -> Result<(), XlsxError> {
        let (row, format) = (self.row, style::heading());
        for (column, width) in (0..).zip(WIDTHS) {
            self.sheet.set_column_width(column, width)?;
        }
        for (name, first, last) in [
            ("一级指标", FIRST, FIRST),
            ("二级指标", SECTION, SECOND),
            ("权重", WEIGHT, WEIGHT),
            ("考核内容", TEXT, TEXT),
        ] {
            style::merge(self.sheet, [row, first, row, last], name, &format)?;
        }
        for (column, (name, width)) in (5..).zip(self.right.columns) {
            self.sheet.set_column_width(column, *width)?;
            self.sheet
                .write_string_with_format(row, column, *name, &format)?;
        }
        self.sheet.set_row_height(row, 24)?;
        self.row += 1;
        Ok(())
    }

    fn group(&mut self, group: &Group) -> Result<(), XlsxError> {
        let first = self.row;
        let mut heights = Vec::new();
        let mut spans = Vec::new();
        for indicator in &group.indicators {
            let start = self.row;
            for item in &indicator.items {
                let cells = (self.right.item)(item);
                heights.push(self.line(&numbered(indicator, item), &cells)?);
            }
            spans.push((indicator, start, self.row - 1));
        }
        let capped = self.right.capped.filter(|_| group.capped);
        if let Some(capped) = capped {
            let (text, cells) = capped(group);
            heights.push(self.line(&text, &cells)?);
            // The cap is part of the group: what stands to its left reaches down to it.
            if let Some((_, _, last)) = spans.last_mut() {
                *last += 1;
            }
        }
        let unnamed = group.indicators.iter().all(|one| one.name.is_empty());
        let title = [
            first,
            FIRST,
            self.row - 1,
            if unnamed { SECOND } else { FIRST },
        ];
        style::merge(self.sheet, title, &group_title(group), &self.middle)?;
        for (indicator, start, last) in &spans {
            let weight = indicator.weight.short();
            style::merge(
                self.sheet,
                [*start, WEIGHT, *last, WEIGHT],
                &weight,
                &self.middle,
            )?;
            if !unnamed {
                let from = if indicator.section.is_empty() {
                    SECTION
                } else {
                    SECOND
                };
                let place = [*start, from, *last, SECOND];
                style::merge(self.sheet, place, &indicator.name, &self.middle)?;
                let width: f64 = WIDTHS[from as usize..=SECOND as usize].iter().sum();
                let needed = style::height(&indicator.name, width, style::SIZE);
                stretch(&mut heights, first, (*start, *last), needed);
            }
        }
        if !unnamed {
            self.sections(&spans)?;
        }
        for (row, height) in (first..).zip(heights) {
            self.sheet.set_row_height(row, height)?;
        }
        Ok(())
    }

    /// Headings over several indicators of a group.
    fn sections(&mut self, spans: &[(&Indicator, u32, u32)]) -> Result<(), XlsxError> {
        for run in spans.chunk_by(|(one, ..), (next, ..)| one.section == next.section) {
            if let (Some((one, start, _)), Some((_, _, last))) = (run.first(), run.last())
                && !one.section.is_empty()
            {
                let place = [*start, SECTION, *last, SECTION];
                style::merge(self.sheet, place, &one.section, &self.middle)?;
            }
        }
        Ok(())
    }

    /// The text and what stands right of it; gives the height that they need.
    fn line(&mut self, text: &str, cells: &[Cell]) -> Result<f64, XlsxError> {
        let row = self.row;
        self.sheet
            .write_string_with_format(row, 4, text, &self.text)?;
        let mut height = style::height(text, WIDTHS[TEXT as usize], style::SIZE);
        for (column, cell) in (5..).zip(cells) {
            let width = self.right.columns.get(usize::from(column) - RIGHT as usize);
            let width = width.map_or(0.0, |(_, width)| *width);
            height = height.max(self.cell(row, column, cell, width)?);
        }
        self.row += 1;
        Ok(height.max(20.0))
    }

    fn cell(&mut self, row: u32, column: u16, cell: &Cell, width: f64) -> Result<f64, XlsxError> {
        match cell {
            Cell::Text(text) => {
                self.sheet
                    .write_string_with_format(row, column, text, &self.text)?;
                Ok(style::height(text, width, style::SIZE))
            }
            Cell::Word(text) => {
                self.sheet
                    .write_string_with_format(row, column, text, &self.middle)?;
                Ok(style::height(text, width, style::SIZE))
            }
            Cell::Points(shown) => {
                let number = style::number(shown);
                self.sheet
                    .write_number_with_format(row, column, number, &self.points)?;
                Ok(0.0)
            }
        }
    }

    fn total(&mut self, rubric: &Rubric) -> Result<(), XlsxError> {
        let row = self.row;
        let bold = style::heading();
        style::merge(self.sheet, [row, FIRST, row, SECOND], "合计", &bold)?;
        let total = rubric.total.short();
        style::merge(self.sheet, [row, WEIGHT, row, WEIGHT], &total, &bold)?;
        self.sheet.write_blank(row, 4, &bold)?;
        for (column, cell) in (5..).zip(&self.right.total) {
            match cell {
                Cell::Points(shown) => {
                    let format = bold.clone().set_num_format("0.00");
                    let number = style::number(shown);
                    self.sheet
                        .write_number_with_format(row, column, number, &format)?
                }
                Cell::Text(text) | Cell::Word(text) => self
                    .sheet
                    .write_string_with_format(row, column, text, &bold)?,
            };
        }
        self.sheet.set_row_height(row, 24)?;
        self.row += 1;
        Ok(())
    }
}

/// Makes rows `start..=last` together as high as a merged cell beside them needs.
fn stretch(heights: &mut [f64], first: u32, (start, last): (u32, u32), needed: f64) {
    let (start, last) = ((start - first) as usize, (last - first) as usize);
    let Some(rows) = heights.get_mut(start..=last) else {
        return;
    };
    let lacking = needed - rows.iter().sum::<f64>();
    if let Some(row) = rows.last_mut()
        && lacking > 0.0
    {
        *row += lacking;
    }
}
