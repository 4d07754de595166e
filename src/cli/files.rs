//! Files that a command makes: whole or not at all, and closed to others where they hold secrets.
//!
//! Not responsible for what is in them.

use std::{
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::{FAILED, Failure};

/// For the owner alone.
pub(super) const PRIVATE: u32 = 0o600;

/// For the folder's group too: a broker must read its passwords.
pub(super) const GROUP: u32 = 0o640;

/// For everyone to read.
pub(super) const PUBLIC: u32 = 0o644;

/// A file of this text that is not there yet under its name.
pub(super) struct Prepared {
    part: tempfile::NamedTempFile,
    to: PathBuf,
}

fn failed(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::said(FAILED, format!("{}: {error}", path.display()))
}

/// Makes a folder, where it is missing.
pub(super) fn folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|error| failed(path, &error))
}

/// Writes a file beside its place. Nothing is seen of it, and it is gone again if it does not get there.
pub(super) fn prepare(to: PathBuf, text: &str, mode: u32) -> Result<Prepared, Failure> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let written = || {
        let mut part = tempfile::Builder::new()
            .prefix(".classpulse-")
            .permissions(std::fs::Permissions::from_mode(mode))
            .tempfile_in(folder)?;
        part.write_all(text.as_bytes())?;
        // What the process may not give away by default, it still may by its own word.
        part.as_file()
            .set_permissions(std::fs::Permissions::from_mode(mode))?;
        part.as_file().sync_all()?;
        Ok::<_, std::io::Error>(part)
    };
    match written() {
        Ok(part) => Ok(Prepared { part, to }),
        Err(error) => Err(failed(&to, &error)),
    }
}

impl Prepared {
    /// Puts it in its place, over what is there.
    pub(super) fn replace(self) -> Result<PathBuf, Failure> {
        let Self { part, to } = self;
        match part.persist(&to) {
            Ok(_) => Ok(to),
            Err(error) => Err(failed(&to, &error.error)),
        }
    }

    /// Puts it in its place, if that is free.
    pub(super) fn add(self) -> Result<PathBuf, Failure> {
        let Self { part, to } = self;
        match part.persist_noclobber(&to) {
            Ok(_) => Ok(to),
            Err(error) => Err(failed(&to, &error.error)),
        }
    }
}
