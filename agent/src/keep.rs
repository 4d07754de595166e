//! Small files that are whole or not there: checksummed, replaced atomically, the last good one kept beside it.
//!
//! Not responsible for what they say (`journal`, `identity`) or when they are written.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Magic with version, length, CRC-32.
const HEADER: usize = 16;
/// A larger file is none of ours: years offline stay below.
const LARGEST: u64 = 64 * 1024 * 1024;
/// Files of one name kept aside; the next one stays where it is, and is said so.
const ASIDES: u32 = 1_000;
/// What a file is called from then on that stands there and can't be read.
pub const UNREAD: &str = ".unread";
/// A virus scanner has a file for a moment: so often it is read again, and so long after each.
const READ_AGAIN: (u32, Duration) = (5, Duration::from_millis(200));

/// The first bytes of a kind of file; the last of them is the format's version.
pub type Magic = [u8; 8];

/// One thing that was wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The file stands there and can't be read.
    #[error("{}: can't be read; {kept}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Where it is now.
        kept: Kept,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The file is torn, damaged, or not one of ours.
    #[error("{}: {problem}; {kept}", path.display())]
    Bad {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
        /// Where it is now.
        kept: Kept,
    },
}

/// What is wrong with a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not one of ours, or one of a later program.
    #[error("not a file of this program")]
    Foreign,
    /// Shorter or longer than it says.
    #[error("torn: {found} bytes where {expected} were written")]
    Torn {
        /// Bytes found.
        found: u64,
        /// Bytes expected.
        expected: u64,
    },
    /// The checksum differs.
    #[error("damaged: the checksum differs")]
    Damaged,
    /// Whole, and yet it says nothing.
    #[error("not readable: {0}")]
    Undecodable(prost::DecodeError),
}

/// A file's bytes, or why they are none of ours.
type Content = Result<Vec<u8>, Problem>;

/// What became of a bad file. It is never deleted.
#[derive(Debug)]
pub enum Kept {
    /// It has another name now.
    As(PathBuf),
    /// It could not be renamed.
    Here(io::Error),
    /// Nobody asked for it to be moved.
    Untouched,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::As(path) => write!(f, "kept as {}", path.display()),
            Self::Here(error) => write!(f, "and can't be put aside: {error}"),
            Self::Untouched => write!(f, "left as it is"),
        }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Found<T> {
    /// What the first good generation says.
    pub said: Option<T>,
    /// Every step down from the file to its last good generation to nothing.
    pub troubles: Vec<Trouble>,
}

/// Such a file: at its path, with `.bak`, `.new` and what was put aside beside it.
#[derive(Debug, Clone)]
pub struct KeptFile {
    path: PathBuf,
    magic: &'static Magic,
    private: bool,
    /// What stands there could be neither read nor put aside. Clones share it.
    unread: Arc<AtomicBool>,
}

impl KeptFile {
    /// At this path.
    #[must_use]
    pub fn new(path: PathBuf, magic: &'static Magic) -> Self {
        Self {
            path,
            magic,
            private: false,
            unread: Arc::default(),
        }
    }

    /// For nobody but its owner to read, where the system knows such a thing.
    #[must_use]
    pub fn private(self) -> Self {
        Self {
            private: true,
            ..self
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is kept, touching nothing: for a look from outside while an agent runs.
    #[must_use]
    pub fn look<T: prost::Message + Default>(&self) -> Found<T> {
        self.find(read, |_, _| Kept::Untouched)
    }

    /// What is kept; bad files are put aside, and so are those that can't be read. May take some seconds.
    #[must_use]
    pub fn load<T: prost::Message + Default>(&self) -> Found<T> {
        self.unread.store(false, Ordering::Relaxed);
        self.find(read_patiently, |path, ending| {
            let kept = self.aside(path, ending);
            if ending == UNREAD && matches!(kept, Kept::Here(_)) {
                self.unread.store(true, Ordering::Relaxed);
            }
            kept
        })
    }

    /// The first good generation; `bad` is told of every bad one before it, and how such are called.
    fn find<T: prost::Message + Default>(
        &self,
        read: fn(&Path) -> io::Result<Content>,
        bad: impl Fn(&Path, &str) -> Kept,
    ) -> Found<T> {
        let mut troubles = Vec::new();
        for path in [self.path.clone(), self.beside(".bak")] {
            match read(&path).map(|bytes| bytes.and_then(|bytes| open(self.magic, &bytes))) {
                Ok(Ok(said)) => {
                    let said = Some(said);
                    return Found { said, troubles };
                }
                Ok(Err(problem)) => {
                    let kept = bad(&path, ".corrupt");
                    troubles.push(Trouble::Bad {
                        path,
                        problem,
                        kept,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => {
                    let kept = bad(&path, UNREAD);
                    troubles.push(Trouble::Unreadable { path, kept, source });
                }
            }
        }
        Found {
            said: None,
            troubles,
        }
    }

    /// Keeps something in the place of what was kept before, whole or not at all.
    ///
    /// # Errors
    /// The system's: the disk is full, read-only, gone; or what stands there was never read, and can't be put aside.
    pub fn save(&self, what: &impl prost::Message) -> io::Result<()> {
        let (new, bak) = (self.beside(".new"), self.beside(".bak"));
        if self.unread.load(Ordering::Relaxed) {
            self.spare(&bak)?;
            self.spare(&self.path)?;
            self.unread.store(false, Ordering::Relaxed);
        }
        let mut file = self.create(&new)?;
        file.write_all(&seal(self.magic, what))?;
        file.sync_all()?;
        // Without a file to follow it, the last good generation stays until the rename is done.
        if self.path.exists() {
            keep_generation(&self.path, &bak)?;
        }
        drop(file);
        replace(&new, &self.path)
    }

    /// Makes room where a file stands that was never read.
    fn spare(&self, path: &Path) -> io::Result<()> {
        if !stands(path) {
            return Ok(());
        }
        match self.aside(path, UNREAD) {
            Kept::Here(error) => Err(io::Error::new(
                error.kind(),
                format!("what stands there can't be read, and is not replaced: {error}"),
            )),
            Kept::As(_) | Kept::Untouched => Ok(()),
        }
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        if self.private {
            open_private(options, path)
        } else {
            options.open(path)
        }
    }

    /// Renames all generations, so that none is found again: each to the first free name with this ending. The answer
    /// is where they are now; none where there were none.
    ///
    /// # Errors
    /// The first that could not be renamed.
    pub fn put_aside(&self, ending: &str) -> io::Result<Vec<PathBuf>> {
        let mut moved = Vec::new();
        for path in [self.beside(".bak"), self.path.clone()] {
            if !stands(&path) {
                continue;
            }
            match self.aside(&path, ending) {
                Kept::As(path) => moved.push(path),
                Kept::Here(error) => return Err(error),
                Kept::Untouched => {}
            }
        }
        Ok(moved)
    }

    /// What stands aside under this ending, in the order of its numbers.
    #[must_use]
    pub fn asides(&self, ending: &str) -> Vec<Self> {
        self.aside_names(ending)
            .filter(|name| stands(name))
            .map(|name| Self::new(name, self.magic))
            .collect()
    }

    fn aside_names(&self, ending: &str) -> impl Iterator<Item = PathBuf> {
        (1..=ASIDES).map(move |number| match number {
            1 => self.beside(ending),
            _ => self.beside(&format!("{ending}-{number}")),
        })
    }

    /// Renames a file to the first free name with this ending.
    fn aside(&self, path: &Path, ending: &str) -> Kept {
        let Some(aside) = self.aside_names(ending).find(|name| !stands(name)) else {
            return Kept::Here(io::Error::other("too many such files beside it"));
        };
        match fs::rename(path, &aside) {
            Ok(()) => Kept::As(aside),
            Err(error) => Kept::Here(error),
        }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(ending);
        name.into()
    }
}

/// An administrator who enrols by hand writes for the agent's own user, who alone may read the file.
#[cfg(unix)]
fn give_to_the_folders_owner(file: &File, path: &Path) {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if let (Ok(folder), Ok(own)) = (fs::metadata(folder), file.metadata())
        && folder.uid() != own.uid()
    {
        // Only an administrator can; for others the file is in the right hands already.
        drop(fchown(file, Some(folder.uid()), Some(folder.gid())));
    }
}

/// Keeps the old generation as `bak` while a rename puts the new one in its place at one stroke: by a hard link, or
/// by a copy where the file system has no links.
fn keep_generation(path: &Path, bak: &Path) -> io::Result<()> {
    match fs::remove_file(bak) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if fs::hard_link(path, bak).is_err() {
        fs::copy(path, bak)?;
        // There is only this one while the other's name changes hands.
        OpenOptions::new().write(true).open(bak)?.sync_all()?;
    }
    Ok(())
}

/// Whether anything has this name, be it a link that leads nowhere.
fn stands(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// As [`read`], and again for a while where somebody else has the file.
fn read_patiently(path: &Path) -> io::Result<Content> {
    for _ in 0..READ_AGAIN.0 {
        match read(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => thread::sleep(READ_AGAIN.1),
            answer => return answer,
        }
    }
    read(path)
}

fn read(path: &Path) -> io::Result<Content> {
    if fs::metadata(path)?.len() > LARGEST {
        return Ok(Err(Problem::Foreign));
    }
    fs::read(path).map(Ok)
}

#[cfg(unix)]
fn open_private(mut options: OpenOptions, path: &Path) -> io::Result<File> {
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    give_to_the_folders_owner(&file, path);
    Ok(file)
}

/// The folder is closed to others, by the installation, and so is what is made in it.
#[cfg(not(unix))]
#[expect(
    clippy::needless_pass_by_value,
    reason = "as elsewhere, where it is changed"
)]
fn open_private(options: OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

/// Puts a file in another's place, at one stroke, and makes the rename itself safe.
#[cfg(not(windows))]
fn replace(new: &Path, path: &Path) -> io::Result<()> {
    fs::rename(new, path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Folders can't be opened as files and flushed, and only NTFS keeps renames in a journal of its own: on a stick or a
/// partition with FAT or exFAT, where a restore card has people put the journal, the standard library's rename would be
/// back before the disk has it, and a power cut would leave the old file, or none. So it is asked to wait for the disk.
/// Somebody who reads the old file (a look from outside, a virus scanner) is in the way of that: then the standard
/// library's, which replaces an open file where Windows can, is better than none.
#[cfg(windows)]
fn replace(new: &Path, path: &Path) -> io::Result<()> {
    crate::win32::replace(new, path).or_else(|_in_use| fs::rename(new, path))
}

/// Something as a file holds it: header with length and checksum, then what it says.
#[must_use]
pub fn seal(magic: &Magic, what: &impl prost::Message) -> Vec<u8> {
    let body = what.encode_to_vec();
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(magic);
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// What a file's bytes say.
///
/// # Errors
/// What is wrong with them.
pub fn open<T: prost::Message + Default>(magic: &Magic, bytes: &[u8]) -> Result<T, Problem> {
    let torn = |expected: u64| Problem::Torn {
        found: bytes.len() as u64,
        expected,
    };
    let (header, body) = bytes
        .split_at_checked(HEADER)
        .ok_or_else(|| torn(HEADER as u64))?;
    let number = |at: usize| {
        header[at..at + 4]
            .iter()
            .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte))
    };
    if &header[..8] != magic {
        return Err(Problem::Foreign);
    }
    if usize::try_from(number(8)) != Ok(body.len()) {
        return Err(torn(HEADER as u64 + u64::from(number(8))));
    }
    if number(12) != crc32fast::hash(body) {
        return Err(Problem::Damaged);
    }
    T::decode(body).map_err(Problem::Undecodable)
}
