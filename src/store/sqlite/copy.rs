//! A consistent copy of a database file while others write to it (SQLite's online backup).

use std::{path::Path, time::Duration};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use super::failure::Failure;
use crate::store::StoreError;

/// Pages copied between two looks at the progress: 16 MiB.
const STEP: std::ffi::c_int = 4_096;

/// How long a step waits for a lock before it is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// Copies a database as it is at this moment, and checks the copy. `progress` is told pages done and pages in all.
///
/// The copy is one file. `to` should not exist; what is there is written over.
///
/// # Errors
/// `Driver` if a file can't be read or written, `Damaged` if the copy fails SQLite's own check.
pub fn copy(from: &Path, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
    copied(from, to, progress).map_err(|failure| failure.while_doing("copy its file"))
}

fn copied(from: &Path, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Failure> {
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // One state for the whole copy, or every commit meanwhile would start it anew.
    source.execute_batch("BEGIN")?;
    source.query_row("SELECT count(*) FROM sqlite_schema", [], |row| {
        row.get::<_, i64>(0)
    })?;
    let mut copy = Connection::open(to)?;
    {
        let backup = Backup::new(&source, &mut copy)?;
        loop {
            let step = backup.step(STEP)?;
            let all = backup.progress();
            let (all, left) = (count(all.pagecount), count(all.remaining));
            progress(all.saturating_sub(left), all);
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                // Busy or locked: somebody checkpoints.
                _ => std::thread::sleep(PAUSE),
            }
        }
    }
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    let said: String = copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if said != "ok" {
        return Err(StoreError::Damaged(format!("the copy: {said}")).into());
    }
    copy.close().map_err(|(_connection, error)| error)?;
    Ok(())
}

fn count(pages: std::ffi::c_int) -> u64 {
    u64::try_from(pages).unwrap_or_default()
}
