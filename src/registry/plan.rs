//! A table and what is known → one change, or every mistake with its place. Pure.
//!
//! Not responsible for reading files (`tables`), for the rows' rules (`schools`, `terminals`) or for storing the change.

use super::{
    row::{Columns, Errors, ImportReport, RowError, Snapshot},
    schools, terminals,
};
use crate::{store::RegistryChange, tables::Sheet};

/// Most mistakes that are listed.
const MAX_ERRORS: usize = 1_000;

/// Reads schools first, so that terminals may refer to schools of the same file.
pub(super) fn plan(sheets: &[Sheet], snapshot: &Snapshot) -> (ImportReport, RegistryChange) {
    let (mut report, mut change) = (ImportReport::default(), RegistryChange::default());
    let mut errors = Errors::default();
    let (mut school_sheets, mut terminal_sheets) = (Vec::new(), Vec::new());
    for sheet in sheets {
        let has = |heading: &str| sheet.headings.iter().any(|found| found == heading);
        if has("终端编号") {
            terminal_sheets.extend(Columns::of(sheet, &terminals::COLUMNS, &mut errors));
        } else if has("学校名称") {
            school_sheets.extend(Columns::of(sheet, &schools::COLUMNS, &mut errors));
        } else {
            let message = "看不出是什么表:学校表要有“学校名称”列,终端表要有“终端编号”列".to_owned();
            errors.0.push(RowError {
                sheet: sheet.name.clone(),
                row: sheet.heading_row,
                column: String::new(),
                message,
            });
        }
    }
    schools::plan(
        &school_sheets,
        snapshot,
        &mut report,
        &mut change,
        &mut errors,
    );
    terminals::plan(
        &terminal_sheets,
        snapshot,
        &mut report,
        &mut change,
        &mut errors,
    );
    let more = errors.0.len().saturating_sub(MAX_ERRORS);
    errors.0.truncate(MAX_ERRORS);
    if more > 0 {
        errors
            .0
            .push(RowError::file(format!("……另有 {more} 处错误未列出")));
    }
    if errors.0.is_empty() {
        return (report, change);
    }
    (ImportReport::refused(errors.0), RegistryChange::default())
}
