//! What the rules of every table are written in: headings, rows with their places, mistakes, and what is known.
//!
//! Not responsible for any rule of a particular table (`schools`, `terminals`).

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::{
    domain::ids::{CountyCode, SchoolCode, TerminalId},
    store::{County, Placement, School},
    tables::Sheet,
};

/// One mistake in a table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RowError {
    /// Sheet; empty for CSV.
    pub sheet: String,
    /// Row as a spreadsheet numbers it; 0 for the file as a whole.
    pub row: u32,
    /// Column heading; empty for the whole row.
    pub column: String,
    /// What is wrong and how to mend it, in Chinese.
    pub message: String,
}

impl RowError {
    pub(super) fn file(message: String) -> Self {
        Self {
            sheet: String::new(),
            row: 0,
            column: String::new(),
            message,
        }
    }
}

/// What an import did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct ImportReport {
    /// Nothing was changed if this is not empty.
    pub errors: Vec<RowError>,
    /// Rows that were new.
    pub added: u32,
    /// Rows that changed something.
    pub changed: u32,
    /// Rows that said what was known.
    pub unchanged: u32,
    /// True if the registry now holds the rows.
    pub applied: bool,
}

impl ImportReport {
    pub(super) fn refused(errors: Vec<RowError>) -> Self {
        Self {
            errors,
            ..Self::default()
        }
    }

    /// Counts rows by what they do to what is known.
    pub(super) fn count<T: PartialEq>(&mut self, known: Option<&T>, new: &T, rows: u32) {
        match known {
            None => self.added += rows,
            Some(known) if known == new => self.unchanged += rows,
            Some(_) => self.changed += rows,
        }
    }
}

/// What is known now.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    pub(super) counties: BTreeMap<CountyCode, County>,
    pub(super) schools: BTreeMap<SchoolCode, School>,
    pub(super) terminals: BTreeMap<TerminalId, Vec<Placement>>,
}

/// Mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Errors(pub(super) Vec<RowError>);

/// A sheet whose headings are known.
#[derive(Debug)]
pub(super) struct Columns<'a> {
    sheet: &'a Sheet,
    /// For each known heading, its column.
    places: Vec<(&'static str, usize)>,
}

/// A known heading, and whether it must be there.
pub(super) type Column = (&'static str, bool);

impl<'a> Columns<'a> {
    pub(super) fn of(sheet: &'a Sheet, known: &[Column], errors: &mut Errors) -> Option<Self> {
        let before = errors.0.len();
        let mut fail = |column: &str, message: String| {
            let (sheet, row) = (sheet.name.clone(), sheet.heading_row);
            errors.0.push(RowError {
                sheet,
                row,
                column: column.to_owned(),
                message,
            });
        };
        let all: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        let mut places = Vec::new();
        for (index, heading) in sheet
            .headings
            .iter()
            .enumerate()
            .filter(|(_, heading)| !heading.is_empty())
        {
            match known.iter().find(|(name, _)| name == heading) {
                None => fail(heading, format!("不认识的列,可用的列:{}", all.join("、"))),
                Some((name, _)) if places.iter().any(|(other, _)| other == name) => {
                    fail(name, "此列出现了两次".to_owned());
                }
                Some((name, _)) => places.push((*name, index)),
            }
        }
        for (name, _) in known
            .iter()
            .filter(|(name, needed)| *needed && !places.iter().any(|(other, _)| other == name))
        {
            fail(name, "缺少此列".to_owned());
        }
        (errors.0.len() == before).then_some(Self { sheet, places })
    }

    /// The rows, each with its place.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.sheet.rows.iter().map(|(number, cells)| Row {
            columns: self,
            number: *number,
            cells,
        })
    }
}

/// The cell's mistake is on the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mistake;

/// One row of a known sheet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    columns: &'a Columns<'a>,
    /// As a spreadsheet numbers it.
    pub(super) number: u32,
    cells: &'a [String],
}

impl Row<'_> {
    /// The text under a heading; empty where there is none.
    pub(super) fn text(&self, column: &str) -> &str {
        let place = self.columns.places.iter().find(|(name, _)| *name == column);
        place
            .and_then(|(_, index)| self.cells.get(*index))
            .map_or("", String::as_str)
    }

    pub(super) fn fail(&self, errors: &mut Errors, column: &str, message: impl Into<String>) {
        errors.0.push(RowError {
            sheet: self.columns.sheet.name.clone(),
            row: self.number,
            column: column.to_owned(),
            message: message.into(),
        });
    }

    /// A value that parses, or a mistake that says what is allowed.
    pub(super) fn parse<T: std::str::FromStr>(
        &self,
        errors: &mut Errors,
        column: &str,
        allowed: &str,
    ) -> Option<T> {
        let text = self.text(column);
        let value = text.parse().ok();
        if value.is_none() {
            self.fail(errors, column, format!("“{text}”不对,应为{allowed}"));
        }
        value
    }

    /// A name of 1 to 100 characters without control characters; may be empty where `optional`.
    pub(super) fn name(&self, errors: &mut Errors, column: &str, optional: bool) -> Option<String> {
        let text = self.text(column);
        if text.chars().count() > 100
            || text.chars().any(char::is_control)
            || (text.is_empty() && !optional)
        {
            self.fail(
                errors,
                column,
                format!("“{}”不对,应为 1 到 100 字", text.escape_debug()),
            );
            return None;
        }
        Some(text.to_owned())
    }

    /// A date; `None` for an empty cell.
    pub(super) fn date(&self, errors: &mut Errors, column: &str) -> Result<Option<Date>, Mistake> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        let date = date(text);
        if date.is_none() {
            self.fail(errors, column, format!("“{text}”不是日期,应如 2026-09-01"));
        }
        date.map(Some).ok_or(Mistake)
    }

    /// Where the row stands, for messages about another row.
    pub(super) fn place(&self) -> String {
        match self.columns.sheet.name.as_str() {
            "" => format!("第 {} 行", self.number),
            sheet => format!("“{sheet}”第 {} 行", self.number),
        }
    }
}

/// 2026-09-01, 2026/9/1, 2026.9.1 or 2026年9月1日, between 2000 and 2100.
fn date(text: &str) -> Option<Date> {
    let text = text.trim_end_matches('日');
    let parts: Vec<&str> = text.split(['-', '/', '.', '年', '月']).collect();
    let [year, month, day] = parts.as_slice() else {
        return None;
    };
    let year = year
        .parse()
        .ok()
        .filter(|year| (2_000..=2_100).contains(year))?;
    Date::new(year, month.parse().ok()?, day.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil;

    use super::*;

    #[test]
    fn dates_as_people_write_them() {
        for text in ["2026-09-01", "2026/9/1", "2026.9.1", "2026年9月1日"] {
            assert_eq!(date(text), Some(civil::date(2026, 9, 1)), "{text}");
        }
        for text in ["2026-02-30", "26-9-1", "1999-09-01", "九月一日", "2026-09"] {
            assert_eq!(date(text), None, "{text}");
        }
    }
}
