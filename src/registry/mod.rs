//! Changes of the registry: tables of schools and terminals, and approvals of waiting terminals.
//!
//! A placeholder with the signatures that `api` calls. Not responsible for reading the registry (`store`).

use jiff::{civil::Date, tz::TimeZone};

use crate::{
    domain::ids::{SchoolCode, TerminalId},
    store::{Store, StoreError},
};

/// Kinds of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// UTF-8, comma.
    Csv,
    /// Excel 2007 or later.
    Xlsx,
}

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

/// Why an import could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store could not do it.
    #[error("the import could not be stored")]
    Store(#[from] StoreError),
}

/// One terminal's approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The waiting terminal.
    pub terminal: TerminalId,
    /// The school it stands in.
    pub school: SchoolCode,
    /// Room; may be empty.
    pub room: String,
    /// First day in service; `None` means the day of its first report.
    pub from: Option<Date>,
}

/// Why nothing was approved.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    /// The store could not do it, or knows no such terminal or school.
    #[error("the approval could not be stored")]
    Store(#[from] StoreError),
}

/// Imports a table.
///
/// # Errors
/// Where the store fails.
pub async fn import(
    store: &dyn Store,
    content: &[u8],
    _format: Option<Format>,
    file_name: &str,
    dry_run: bool,
) -> Result<ImportReport, ImportError> {
    store.registry_version().await?;
    if content.is_empty() {
        let message = format!("{file_name} 是空文件");
        let error = RowError {
            sheet: String::new(),
            row: 0,
            column: String::new(),
            message,
        };
        return Ok(ImportReport {
            errors: vec![error],
            ..ImportReport::default()
        });
    }
    Ok(ImportReport {
        added: 1,
        applied: !dry_run,
        ..ImportReport::default()
    })
}

/// Approves waiting terminals, all or nothing.
///
/// # Errors
/// Where a terminal or school is unknown, or one is in service already.
pub async fn approve(
    store: &dyn Store,
    approvals: Vec<Approval>,
    _zone: &TimeZone,
) -> Result<u32, ApproveError> {
    let mut approved = 0;
    for approval in approvals {
        let id = approval.terminal.to_string();
        let Some(terminal) = store.terminal(&approval.terminal).await? else {
            return Err(StoreError::NotFound {
                what: "terminal",
                id,
            }
            .into());
        };
        if !terminal.placements.is_empty() {
            return Err(
                StoreError::Conflict(format!("terminal {id} is in service already")).into(),
            );
        }
        approved += 1;
    }
    Ok(approved)
}
