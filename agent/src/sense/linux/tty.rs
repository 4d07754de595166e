//! Access times of consoles and pseudo-terminals, as `w` reads them.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use super::entries;

/// Whether there are any.
pub(super) fn there(root: &Path) -> bool {
    root.join("dev/pts").exists() || root.join("dev/tty1").exists()
}

/// The latest access to a console or pseudo-terminal, in ms since boot.
pub(super) fn look(root: &Path, mono_ms: u64, wall_ms: i64) -> Option<u64> {
    let digits = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    let consoles = entries(&root.join("dev"), |name| {
        name.strip_prefix("tty").is_some_and(digits)
    });
    let pseudo = entries(&root.join("dev/pts"), digits);
    let latest = consoles
        .into_iter()
        .chain(pseudo)
        .filter_map(|path| fs::metadata(path).ok())
        .filter(|about| !untouched(about))
        .map(|about| {
            about
                .atime()
                .saturating_mul(1_000)
                .saturating_add(about.atime_nsec() / 1_000_000)
        });
    let ago = wall_ms.saturating_sub(latest.max()?);
    // Before this boot, or in the future: the clock was set meanwhile, so nothing is known.
    let ago = u64::try_from(ago).ok()?;
    mono_ms.checked_sub(ago).filter(|at| *at > 0)
}

/// Whether nobody has read or written a device since it was made: its times are still those of its making, which say
/// nothing of input.
fn untouched(about: &fs::Metadata) -> bool {
    let accessed = (about.atime(), about.atime_nsec());
    about.file_type().is_char_device()
        && accessed == (about.mtime(), about.mtime_nsec())
        && accessed == (about.ctime(), about.ctime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_access_to_a_terminal_is_the_last_input() {
        let root = tempfile::tempdir().unwrap();
        let pts = root.path().join("dev/pts");
        fs::create_dir_all(&pts).unwrap();
        fs::write(pts.join("0"), "").unwrap();
        fs::write(pts.join("ptmx"), "").unwrap();
        let atime = fs::metadata(pts.join("0")).unwrap().atime() * 1_000;
        let seen = look(root.path(), 100_000, atime + 40_000).unwrap();
        assert!((60_000..61_000).contains(&seen), "{seen}");
        // Before the boot, and in the future, nothing is known.
        assert_eq!(look(root.path(), 1_000, atime + 40_000), None);
        assert_eq!(look(root.path(), 100_000, atime - 40_000), None);
    }
}
