//! Where mistakes stand, and all of them in the order in which somebody goes through the workbook.

use super::CellFault;

/// Most mistakes that are listed.
const MAX_FAULTS: usize = 1_000;

/// A cell.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Which sheet, from 1; 0 for the file as a whole.
    sheet: usize,
    row: u32,
    /// From 1; 0 for a whole row.
    column: usize,
    heading: String,
}

/// Mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    names: Vec<String>,
    sheet: usize,
    found: Vec<(Place, String)>,
}

/// A mistake of the file as a whole.
pub(super) fn file(problem: String) -> CellFault {
    CellFault {
        sheet: String::new(),
        row: 0,
        column: String::new(),
        heading: String::new(),
        problem,
    }
}

impl Faults {
    pub(super) fn next_sheet(&mut self, name: &str) {
        self.names.push(name.to_owned());
        self.sheet = self.names.len();
    }

    pub(super) const fn sheet(&self) -> usize {
        self.sheet
    }

    pub(super) const fn back_to(&mut self, sheet: usize) {
        self.sheet = sheet;
    }

    pub(super) fn cell(&self, row: u32, column: usize, heading: &str) -> Place {
        Place {
            sheet: self.sheet,
            row,
            column: column + 1,
            heading: heading.to_owned(),
        }
    }

    pub(super) fn row(&self, row: u32) -> Place {
        Place {
            sheet: self.sheet,
            row,
            ..Place::default()
        }
    }

    pub(super) fn add(&mut self, place: &Place, problem: impl Into<String>) {
        self.found.push((place.clone(), problem.into()));
    }

    /// A place as somebody finds it in the workbook, with what is said of it.
    pub(super) fn named(&self, place: &Place, problem: String) -> CellFault {
        let sheet = (place.sheet.checked_sub(1)).and_then(|at| self.names.get(at));
        CellFault {
            sheet: sheet.cloned().unwrap_or_default(),
            row: place.row,
            column: match u16::try_from(place.column) {
                Ok(0) | Err(_) => String::new(),
                Ok(column) => rust_xlsxwriter::utility::column_number_to_name(column - 1),
            },
            heading: place.heading.clone(),
            problem,
        }
    }

    /// All mistakes by sheet, row and column.
    pub(super) fn none_or_all(mut self) -> Result<(), Vec<CellFault>> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort();
        let more = self.found.len().saturating_sub(MAX_FAULTS);
        self.found.truncate(MAX_FAULTS);
        let found = self.found.iter();
        let found = found.map(|(place, problem)| self.named(place, problem.clone()));
        let mut all: Vec<CellFault> = found.collect();
        if more > 0 {
            all.push(file(format!("……另有 {more} 处错误未列出")));
        }
        Err(all)
    }
}
