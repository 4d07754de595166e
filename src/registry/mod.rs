//! Changes of the registry: tables of schools and terminals, approvals of waiting terminals, moves.
//!
//! The work is pure (`plan`: a table and what is known → a change, or every mistake); only [`import`], [`approve`] and
//! [`relocate`] touch the store. Not responsible for reading the registry (`store`) or for files (callers).

mod approve;
mod plan;
mod relocate;
mod row;
mod schools;
mod terminals;

pub use crate::tables::Format;
pub use approve::{Approval, ApproveError, approve};
pub use relocate::{Goes, RelocateError, relocate, relocate_school};
pub use row::{ImportReport, RowError};

use crate::{
    store::{Store, StoreError, TerminalFilter},
    tables::{self, Limits},
};
use row::Snapshot;

/// Why an import could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store could not do it.
    #[error("the import could not be stored")]
    Store(#[from] StoreError),
}

/// Imports a table of schools or terminals, all or nothing. Every mistake is in the report, in Chinese.
///
/// # Errors
/// [`ImportError`] where the store fails; mistakes of the table are no error but the report's content.
pub async fn import(
    store: &dyn Store,
    content: &[u8],
    format: Option<Format>,
    file_name: &str,
    dry_run: bool,
) -> Result<ImportReport, ImportError> {
    let sheets = match tables::read(content, format, Limits::TABLE) {
        Ok(sheets) => sheets,
        Err(message) => return Ok(ImportReport::refused(vec![RowError::file(message)])),
    };
    let snapshot = snapshot(store).await?;
    let (mut report, change) = plan::plan(&sheets, &snapshot);
    if report.errors.is_empty() && !dry_run {
        store.change_registry(change).await?;
        report.applied = true;
    }
    tracing::info!(
        file = file_name,
        dry_run,
        errors = report.errors.len(),
        added = report.added,
        changed = report.changed,
        "import"
    );
    Ok(report)
}

async fn snapshot(store: &dyn Store) -> Result<Snapshot, StoreError> {
    let mut snapshot = Snapshot::default();
    for county in store.counties().await? {
        for school in store.schools(&county.code).await? {
            snapshot.schools.insert(school.code.clone(), school);
        }
        snapshot.counties.insert(county.code.clone(), county);
    }
    for terminal in store.terminals(&TerminalFilter::default()).await? {
        snapshot.terminals.insert(terminal.id, terminal.placements);
    }
    Ok(snapshot)
}
