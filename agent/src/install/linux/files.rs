//! Files that are put in place whole, and only where they differ. Not responsible for what they say.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
};

use super::InstallError;

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user: u32,
    pub(super) group: u32,
}

/// How a file shall be.
pub(super) struct Wanted<'a> {
    bytes: &'a [u8],
    mode: u32,
    group: Option<u32>,
}

impl<'a> Wanted<'a> {
    /// For all to read.
    pub(super) fn readable(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            mode: 0o644,
            group: None,
        }
    }

    /// For all to run.
    pub(super) fn program(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            mode: 0o755,
            group: None,
        }
    }

    /// For root, and the service's group to read, where there is one.
    pub(super) fn secret(bytes: &'a [u8], service: Option<Owner>) -> Self {
        Self {
            bytes,
            mode: if service.is_some() { 0o640 } else { 0o600 },
            group: service.map(|service| service.group),
        }
    }

    fn is_there(&self, path: &Path) -> bool {
        let same = |about: &fs::Metadata| {
            about.is_file()
                && about.mode() & 0o7777 == self.mode
                && self.group.is_none_or(|group| about.gid() == group)
                && about.len() == self.bytes.len() as u64
        };
        fs::symlink_metadata(path).is_ok_and(|about| same(&about))
            && fs::read(path).is_ok_and(|bytes| bytes == self.bytes)
    }
}

/// Puts a file in place, whole or not at all, and its folder where that is missing. False where it was so already.
pub(super) fn put(path: &Path, wanted: &Wanted<'_>) -> Result<bool, InstallError> {
    if wanted.is_there(path) {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(InstallError::file(folder, "make this folder"))?;
    }
    let mut new = path.to_owned().into_os_string();
    new.push(".new");
    let new = PathBuf::from(new);
    let write = || -> io::Result<()> {
        remove_if_there(&new)?;
        // Nobody reads a secret between its making and its owner's.
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(wanted.bytes)?;
        if wanted.group.is_some() {
            chown(&new, None, wanted.group)?;
        }
        file.set_permissions(fs::Permissions::from_mode(wanted.mode))?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    let written = write();
    if written.is_err() {
        fs::remove_file(&new).ok();
    }
    written.map_err(InstallError::file(path, "write"))?;
    Ok(true)
}

/// Removes a file, and its folder where that was made for it alone. False where there was none.
pub(super) fn remove(path: &Path) -> Result<bool, InstallError> {
    let there = remove_if_there(path).map_err(InstallError::file(path, "remove"))?;
    let own = Path::new("classpulse-agent.service.d");
    if let Some(folder) = path.parent().filter(|folder| folder.ends_with(own)) {
        // One that holds more stays.
        fs::remove_dir(folder).ok();
    }
    Ok(there)
}

fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Links to a path of the machine. False where the link is there.
pub(super) fn link(path: &Path, to: &str) -> Result<bool, InstallError> {
    if fs::read_link(path).is_ok_and(|there| there == Path::new(to)) {
        return Ok(false);
    }
    remove(path)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(InstallError::file(folder, "make this folder"))?;
    }
    symlink(to, path).map_err(InstallError::file(path, "link"))?;
    Ok(true)
}

/// Makes a folder the service's own: one that is missing, or empty. False where it is another's and in use.
pub(super) fn take_over(folder: &Path, service: Option<Owner>) -> Result<bool, InstallError> {
    fs::create_dir_all(folder).map_err(InstallError::file(folder, "make this folder"))?;
    let Some(service) = service else {
        return Ok(false);
    };
    let failed = |action| InstallError::file(folder, action);
    let about = fs::metadata(folder).map_err(failed("look at"))?;
    let mut inside = fs::read_dir(folder).map_err(failed("look into"))?;
    if inside.next().is_some() {
        return Ok(about.uid() == service.user);
    }
    let mode = fs::Permissions::from_mode(0o700);
    let owned = chown(folder, Some(service.user), Some(service.group))
        .and_then(|()| fs::set_permissions(folder, mode));
    // A file system without owners (FAT) lets in whom its mount lets in.
    Ok(owned.is_ok())
}
