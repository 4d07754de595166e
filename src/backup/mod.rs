//! Backups: a copy of the SQLite file, or an export that any backend takes in (`portable`).
//!
//! A backup never overwrites a file, and appears under its name only when it is whole. Not responsible for opening
//! stores (`cli`).

mod portable;

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

pub use portable::{Contents, Header, check, export, pages};
use tempfile::NamedTempFile;

use crate::store::{StoreError, sqlite};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A copy of a SQLite database.
    Sqlite,
    /// A portable export.
    Portable,
}

/// Why a backup or a restore failed. Nothing is half-done: what it was to make is not there.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file could not be read or written.
    #[error("{file} could not be {doing}")]
    File {
        /// Which.
        file: PathBuf,
        /// Such as "written".
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is a file already.
    #[error("{0} is there already and is not overwritten: name another file, or move it away")]
    Exists(PathBuf),
    /// The file is none of ours, or not whole.
    #[error("{file}{}: {problem}", line.map_or_else(String::new, |line| format!(", line {line}")))]
    Wrong {
        /// Which.
        file: PathBuf,
        /// Where, counted from 1; `None` for the file as a whole.
        line: Option<u64>,
        /// What is wrong.
        problem: String,
    },
    /// The store could not give or take.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    fn file(file: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::File {
            file,
            doing,
            source,
        }
    }

    fn wrong(file: &Path, line: Option<u64>, problem: impl Into<String>) -> Self {
        Self::Wrong {
            file: file.to_owned(),
            line,
            problem: problem.into(),
        }
    }
}

/// What a file is, from its first bytes.
///
/// # Errors
/// `File` if it can't be read, `Wrong` if it is neither.
pub fn kind(file: &Path) -> Result<Kind, BackupError> {
    let mut start = Vec::new();
    std::fs::File::open(file)
        .and_then(|open| open.take(16).read_to_end(&mut start))
        .map_err(BackupError::file(file, "read"))?;
    if start == b"SQLite format 3\0" {
        Ok(Kind::Sqlite)
    } else if start.starts_with(&[0x1f, 0x8b]) {
        Ok(Kind::Portable)
    } else {
        Err(BackupError::wrong(
            file,
            None,
            "is no backup of Classpulse: neither a SQLite file nor a portable export",
        ))
    }
}

/// Copies a SQLite database, also while a service writes to it. Blocks. `progress` is told pages done and in all.
///
/// # Errors
/// `Exists` if `to` is there, else the system's or the database's.
pub fn copy_sqlite(
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), BackupError> {
    // Opening a database that is not there would make an empty one.
    std::fs::File::open(from).map_err(BackupError::file(from, "read"))?;
    let part = beginning(to)?;
    sqlite::copy(from, part.path(), progress)?;
    finish(part, to)
}

/// A file beside the wanted one, which takes its name when it is whole.
fn beginning(to: &Path) -> Result<NamedTempFile, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let folder = to
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(".classpulse-")
        .suffix(".part")
        .tempfile_in(folder)
        .map_err(BackupError::file(to, "written"))
}

fn finish(part: NamedTempFile, to: &Path) -> Result<(), BackupError> {
    let synced = part.as_file().sync_all();
    synced.map_err(BackupError::file(to, "written"))?;
    match part.persist_noclobber(to) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(BackupError::Exists(to.to_owned()))
        }
        Err(error) => Err(BackupError::file(to, "written")(error.error)),
    }
}
