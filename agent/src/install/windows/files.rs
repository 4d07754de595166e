//! Files that are put in place whole, and only where they differ. Not responsible for what they say, or for who may
//! read them: a folder's rules hold for what is made in it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::InstallError;

/// Puts a file in place, whole or not at all, and its folder where that is missing. False where it was so already.
pub(super) fn put(path: &Path, bytes: &[u8]) -> Result<bool, InstallError> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(InstallError::file(folder, "make this folder"))?;
    }
    let mut new = path.to_owned().into_os_string();
    new.push(".new");
    let new = PathBuf::from(new);
    let write = || -> io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&new, path)
    };
    let written = write();
    if written.is_err() {
        fs::remove_file(&new).ok();
    }
    written.map_err(InstallError::file(path, "write"))?;
    Ok(true)
}

/// Removes a file, or a folder with all in it. False where there is none, or something in it is still in use: a process
/// that was just ended holds its files for a moment.
pub(super) fn remove(path: &Path) -> Result<bool, InstallError> {
    const TRIES: u32 = 10;
    for again in 1..=TRIES {
        let removed = if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        match removed {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) if again == TRIES && !is_in_use(&error) => {
                return Err(InstallError::file(path, "remove")(error));
            }
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
    Ok(false)
}

fn is_in_use(error: &io::Error) -> bool {
    const ACCESS_DENIED: i32 = 5;
    const SHARING_VIOLATION: i32 = 32;
    const NOT_EMPTY: i32 = 145;
    matches!(
        error.raw_os_error(),
        Some(ACCESS_DENIED | SHARING_VIOLATION | NOT_EMPTY)
    )
}
