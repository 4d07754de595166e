//! The agent's own folder, closed to all but the system and administrators before anything in it is read or written.
//!
//! Anybody may make folders in `%ProgramData%`. One that a pupil made beforehand stays the pupil's whatever is done with
//! it (an owner can always open what is his), and what lies in it is his word: it is put aside, never taken over.

use std::{fs, io, path::Path};

use super::{Done, InstallError};
use crate::win32::{self, Found, Owner};

/// All for the system and administrators, who own it; nothing for anybody else. A session's helper needs the program and
/// the pipe, and neither lies here.
pub(super) const CLOSED: &str = "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)";
/// Folders and files of one name put aside; with more, somebody is playing.
const ASIDES: u32 = 1_000;
/// What a name that was put aside has after its own.
const ASIDE: &str = ".untrusted-";
/// Somebody who makes the folder again each time it was put aside is not played with for ever.
const TRIES: u32 = 10;

/// What is to be done with what lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Keep,
    /// Under another name.
    Aside,
    /// An administrator's link: it is not followed, and not moved either.
    Refuse,
}

/// Where the disk keeps no owners (Wine's does not), they tell nothing.
fn judge(owner: Owner, link: bool, owners_kept: bool) -> Verdict {
    match owner {
        Owner::Other | Owner::Unknown if owners_kept => Verdict::Aside,
        _ if link => Verdict::Refuse,
        _ => Verdict::Keep,
    }
}

/// Closes folders.
pub(super) struct Guard {
    /// Whether the disk on which such a path lies keeps owners.
    owners_kept: fn(&Path) -> io::Result<bool>,
}

impl Guard {
    pub(super) fn new() -> Self {
        Self {
            owners_kept: owners_are_kept,
        }
    }

    /// Closes a folder that is there and to be trusted; what in it is not is put aside. False where there is none, or a
    /// stranger's: that is left untouched.
    pub(super) fn take(&self, folder: &Path, done: &mut Done) -> Result<bool, InstallError> {
        let Some(found) = look(folder)? else {
            return Ok(false);
        };
        match self.judge(folder, &found)? {
            Verdict::Aside => return Ok(false),
            Verdict::Refuse => {
                let link = io::Error::other("it is a link / 是链接或联接点,请删除后重试");
                return Err(InstallError::file(folder, "use this folder")(link));
            }
            Verdict::Keep => {}
        }
        found
            .close(CLOSED)
            .map_err(InstallError::file(folder, "close it to others"))?;
        // Closed now, but it may have been open before.
        let inside = fs::read_dir(folder).map_err(InstallError::file(folder, "look into"))?;
        for entry in inside.flatten() {
            if entry.file_name().to_string_lossy().contains(ASIDE) {
                continue;
            }
            let path = entry.path();
            if let Some(found) = look(&path)?
                && self.judge(&path, &found)? == Verdict::Aside
            {
                drop(found);
                aside(&path, done)?;
            }
        }
        Ok(true)
    }

    /// Makes the folder, closed from its first moment, where [`Self::take`] found none; a stranger's is put aside.
    pub(super) fn make(&self, folder: &Path, done: &mut Done) -> Result<(), InstallError> {
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent).map_err(InstallError::file(parent, "make"))?;
        }
        for _ in 0..TRIES {
            match win32::make_folder(folder, CLOSED) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(InstallError::file(folder, "make")(error)),
            }
            if self.take(folder, done)? {
                return Ok(());
            }
            aside(folder, done)?;
        }
        let busy = io::Error::from(io::ErrorKind::ResourceBusy);
        Err(InstallError::file(folder, "make")(busy))
    }

    /// Whether a stranger made what lies there, or nobody can tell.
    pub(super) fn is_strange(&self, path: &Path) -> Result<bool, InstallError> {
        match look(path)? {
            Some(found) => Ok(self.judge(path, &found)? == Verdict::Aside),
            None => Ok(false),
        }
    }

    fn judge(&self, path: &Path, found: &Found) -> Result<Verdict, InstallError> {
        // Asked only where it matters: asking makes a folder.
        let kept = found.owner == Owner::Trusted
            || (self.owners_kept)(path).map_err(InstallError::file(path, "learn whose it is"))?;
        Ok(judge(found.owner, found.link, kept))
    }
}

fn look(path: &Path) -> Result<Option<Found>, InstallError> {
    win32::look(path).map_err(InstallError::file(path, "look at"))
}

/// Makes a folder of the administrators' beside it, looks whether it is theirs, and removes it.
fn owners_are_kept(path: &Path) -> io::Result<bool> {
    for number in 1..=ASIDES {
        let probe = beside(path, &format!(".probe-{number}"));
        match win32::make_folder(&probe, CLOSED) {
            Ok(()) => {
                let found = win32::look(&probe);
                fs::remove_dir(&probe).ok();
                return Ok(found?.is_some_and(|found| found.owner == Owner::Trusted));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Renames to the first free name with this ending, and says so. A link is renamed itself.
fn aside(path: &Path, done: &mut Done) -> Result<(), InstallError> {
    let free = (1..=ASIDES)
        .map(|number| beside(path, &format!("{ASIDE}{number}")))
        .find(|name| fs::symlink_metadata(name).is_err());
    let Some(name) = free else {
        let many = io::Error::other("too many such names beside it");
        return Err(InstallError::file(path, "put aside")(many));
    };
    fs::rename(path, &name).map_err(InstallError::file(path, "put aside"))?;
    let what = "不是管理员所建,已移开 not made by an administrator, put aside";
    done.say(true, what, &name);
    Ok(())
}

fn beside(path: &Path, ending: &str) -> std::path::PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_administrators_made_is_kept_and_no_link_is_followed() {
        use Verdict::{Aside, Keep, Refuse};
        for (owner, link, owners_kept, verdict) in [
            (Owner::Trusted, false, true, Keep),
            (Owner::Trusted, true, true, Refuse),
            (Owner::Other, false, true, Aside),
            (Owner::Other, true, true, Aside),
            (Owner::Unknown, false, true, Aside),
            (Owner::Unknown, true, true, Aside),
            // A disk that keeps no owners.
            (Owner::Other, false, false, Keep),
            (Owner::Other, true, false, Refuse),
            (Owner::Unknown, false, false, Keep),
            (Owner::Unknown, true, false, Refuse),
        ] {
            let judged = judge(owner, link, owners_kept);
            assert_eq!(judged, verdict, "{owner:?} {link} {owners_kept}");
        }
    }

    #[test]
    fn a_strangers_folder_is_put_aside_with_all_that_lies_in_it() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("Classpulse");
        // All is a stranger's here: a test's own files belong to the one who runs it.
        let guard = Guard {
            owners_kept: |_| Ok(true),
        };
        let names = || {
            let entries = fs::read_dir(place.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        for (number, asides) in [
            (1, &["Classpulse.untrusted-1"][..]),
            (2, &["Classpulse.untrusted-1", "Classpulse.untrusted-2"]),
        ] {
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("agent.toml"), format!("{number}")).unwrap();
            let mut done = Done::default();
            assert!(guard.is_strange(&folder).unwrap());
            assert!(!guard.take(&folder, &mut done).unwrap(), "not taken");
            assert!(folder.join("agent.toml").exists(), "and not touched");
            guard.make(&folder, &mut done).unwrap();
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "a fresh one");
            assert!(done.changed && done.lines.len() == 1, "{:?}", done.lines);
            assert!(
                done.lines[0].contains(asides[number - 1]),
                "{:?}",
                done.lines
            );
            let kept = place.path().join(asides[number - 1]).join("agent.toml");
            assert_eq!(fs::read_to_string(kept).unwrap(), format!("{number}"));
            fs::remove_dir(&folder).unwrap();
            assert_eq!(names(), asides);
        }
    }

    #[test]
    fn a_folder_that_is_trusted_is_closed_and_stays_with_what_is_in_it() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("deep/Classpulse");
        let guard = Guard::new();
        let mut done = Done::default();
        assert!(!guard.take(&folder, &mut done).unwrap(), "nothing there");
        guard.make(&folder, &mut done).unwrap();
        fs::write(folder.join("agent.toml"), "server").unwrap();
        // Whether this disk keeps owners or not: our own is ours.
        assert!(guard.take(&folder, &mut done).unwrap());
        guard.make(&folder, &mut done).unwrap();
        assert_eq!(
            fs::read_to_string(folder.join("agent.toml")).unwrap(),
            "server"
        );
        assert!(done.lines.is_empty(), "{:?}", done.lines);
        let beside = fs::read_dir(folder.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1, "no probe is left");
    }
}
