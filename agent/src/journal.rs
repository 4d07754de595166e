//! The journal's file: whole or not there. Checksummed, replaced atomically, the last good one kept beside it.
//!
//! Not responsible for what it says (`core::JournalState`) or when it is written (`publish`).

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use prost::Message as _;

use crate::core::JournalState;

mod split;

pub use split::{join, split};

const MAGIC: &[u8; 8] = b"CPJRNL\x00\x01";
/// Magic with version, length, CRC-32.
const HEADER: usize = 16;
/// A larger file is none of ours: years offline stay below.
const LARGEST: u64 = 64 * 1024 * 1024;
/// Bad files kept aside; the next one stays where it is, and is said so.
const ASIDES: u32 = 1_000;

/// Where a journal is kept.
pub trait JournalStore: Send {
    /// What was kept, and what was wrong with it.
    fn load(&mut self) -> Loaded;

    /// Keeps a state in the place of the one before, whole or not at all.
    ///
    /// # Errors
    /// The system's: the disk is full, read-only, gone.
    fn save(&mut self, state: &JournalState) -> io::Result<()>;
}

/// What a journal held.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The state, if any could be read.
    pub state: Option<JournalState>,
    /// What was wrong, for the log: every step down from the journal to its last good generation to nothing.
    pub troubles: Vec<Trouble>,
}

/// One thing that was wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The file can't be read.
    #[error("{}: can't be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// The file is torn, damaged, or not a journal.
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
    /// Not a journal, or one of a later program.
    #[error("not a journal of this program")]
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
    /// Whole, and yet no journal state.
    #[error("not readable as a journal: {0}")]
    Undecodable(prost::DecodeError),
}

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

/// A journal in memory, for simulations.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal {
    /// What was saved last.
    pub state: Option<JournalState>,
}

impl JournalStore for MemoryJournal {
    fn load(&mut self) -> Loaded {
        Loaded {
            state: self.state.clone(),
            troubles: Vec::new(),
        }
    }

    fn save(&mut self, state: &JournalState) -> io::Result<()> {
        self.state = Some(state.clone());
        Ok(())
    }
}

/// A journal in files: the boot that goes on in one, boots that are over in another, `.older`.
#[derive(Debug, Clone)]
pub struct FileJournal {
    older: Part,
    current: Part,
    /// What the older part holds, as a checksum of its bytes; `None` while that is not known.
    older_holds: Option<u32>,
}

impl FileJournal {
    /// At this path; `.older` beside it, and `.bak`, `.new` and `.corrupt` beside each.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            older: Part(beside(&path, ".older")),
            current: Part(path),
            older_holds: None,
        }
    }

    /// What is kept, touching nothing: for a look from outside while an agent runs.
    #[must_use]
    pub fn look(&self) -> Loaded {
        self.find(|_, _| Kept::Untouched)
    }

    /// Bytes on the disk now.
    #[must_use]
    pub fn size(&self) -> u64 {
        let size = |part: &Part| fs::metadata(&part.0).map_or(0, |about| about.len());
        size(&self.older) + size(&self.current)
    }

    fn find(&self, bad: impl Fn(&Part, &Path) -> Kept) -> Loaded {
        let older = self.older.find(|path| bad(&self.older, path));
        let mut current = self.current.find(|path| bad(&self.current, path));
        current.troubles.splice(..0, older.troubles);
        current.state = match (older.state, current.state) {
            (None, current) => current,
            (older, None) => older,
            (Some(older), Some(current)) => Some(join(older, current)),
        };
        current
    }
}

impl JournalStore for FileJournal {
    fn load(&mut self) -> Loaded {
        self.older_holds = None;
        self.find(Part::put_aside)
    }

    /// The older part first: until the other is written too, a boot that has just ended stands in both.
    fn save(&mut self, state: &JournalState) -> io::Result<()> {
        let (older, current) = split(state);
        let bytes = encode(&older);
        let holds = crc32fast::hash(&bytes);
        if self.older_holds != Some(holds) {
            // Nothing in it, and no file: there is nothing to say.
            if !older.boots.is_empty() || self.older.0.exists() {
                self.older.save(&bytes)?;
            }
            self.older_holds = Some(holds);
        }
        self.current.save(&encode(&current))
    }
}

/// One file with its generations.
#[derive(Debug, Clone)]
struct Part(PathBuf);

impl Part {
    /// The first good generation; `bad` is told of every bad one before it.
    fn find(&self, bad: impl Fn(&Path) -> Kept) -> Loaded {
        let mut troubles = Vec::new();
        for path in [self.0.clone(), beside(&self.0, ".bak")] {
            match read(&path).map(|bytes| bytes.and_then(|bytes| decode(&bytes))) {
                Ok(Ok(state)) => {
                    let state = Some(state);
                    return Loaded { state, troubles };
                }
                Ok(Err(problem)) => {
                    let kept = bad(&path);
                    troubles.push(Trouble::Bad {
                        path,
                        problem,
                        kept,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => troubles.push(Trouble::Unreadable(path, error)),
            }
        }
        Loaded {
            state: None,
            troubles,
        }
    }

    /// Renames a bad file to the first free `.corrupt` name.
    fn put_aside(&self, path: &Path) -> Kept {
        let free = (1..=ASIDES)
            .map(|number| match number {
                1 => beside(&self.0, ".corrupt"),
                _ => beside(&self.0, &format!(".corrupt-{number}")),
            })
            .find(|name| !name.exists());
        let Some(aside) = free else {
            return Kept::Here(io::Error::other("too many bad files beside it"));
        };
        match fs::rename(path, &aside) {
            Ok(()) => Kept::As(aside),
            Err(error) => Kept::Here(error),
        }
    }

    fn save(&self, bytes: &[u8]) -> io::Result<()> {
        let new = beside(&self.0, ".new");
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // Without a journal to follow it, the last good generation stays until the rename is done.
        if self.0.exists() {
            keep_generation(&self.0, &beside(&self.0, ".bak"))?;
        }
        fs::rename(&new, &self.0)?;
        sync_folder(&self.0)
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(ending);
    name.into()
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
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<Result<Vec<u8>, Problem>> {
    if fs::metadata(path)?.len() > LARGEST {
        return Ok(Err(Problem::Foreign));
    }
    fs::read(path).map(Ok)
}

/// Makes the rename itself safe.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// A folder can't be flushed on Windows. NTFS keeps renames in a journal of its own: after a power cut the name leads to
/// the old file or to the new one, never to a part; the new one's bytes were flushed before. The last few seconds of
/// renames may be undone, which is a journal that is some seconds older.
#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "as elsewhere, where it can fail")]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// A state as the file holds it: header with length and checksum, then the state.
#[must_use]
pub fn encode(state: &JournalState) -> Vec<u8> {
    let body = state.encode_to_vec();
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// A file's bytes as a state.
///
/// # Errors
/// What is wrong with them.
pub fn decode(bytes: &[u8]) -> Result<JournalState, Problem> {
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
    if &header[..8] != MAGIC {
        return Err(Problem::Foreign);
    }
    if usize::try_from(number(8)) != Ok(body.len()) {
        return Err(torn(HEADER as u64 + u64::from(number(8))));
    }
    if number(12) != crc32fast::hash(body) {
        return Err(Problem::Damaged);
    }
    JournalState::decode(body).map_err(Problem::Undecodable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{StoredBoot, StoredSession};

    fn state(number: u32) -> JournalState {
        let session = StoredSession {
            number,
            length_ms: 5,
            ..StoredSession::default()
        };
        let boot = StoredBoot {
            id: vec![3; 16],
            sessions: vec![session],
            ..StoredBoot::default()
        };
        JournalState {
            boots: vec![boot],
            heartbeat_seconds: 60,
            idle_seconds: 300,
            ..JournalState::default()
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_nothing_is_an_empty_start() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = FileJournal::new(folder.path().join("journal"));
        let nothing = journal.load();
        assert!(nothing.state.is_none() && nothing.troubles.is_empty());
        journal.save(&state(1)).unwrap();
        journal.save(&state(2)).unwrap();
        let found = journal.load();
        assert_eq!(found.state, Some(state(2)));
        assert!(found.troubles.is_empty());
    }

    #[test]
    fn a_torn_or_damaged_journal_falls_back_to_the_last_good_one_and_is_kept() {
        let good = encode(&state(2));
        let torn = (0..good.len()).map(|length| good[..length].to_vec());
        let flipped = (0..good.len()).map(|at| {
            let mut bytes = good.clone();
            bytes[at] ^= 0x10;
            bytes
        });
        for bad in torn.chain(flipped) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal");
            let mut journal = FileJournal::new(path.clone());
            journal.save(&state(1)).unwrap();
            journal.save(&state(2)).unwrap();
            fs::write(&path, &bad).unwrap();
            assert_eq!(journal.look().state, Some(state(1)));
            assert_eq!(fs::read(&path).unwrap(), bad, "a look moves nothing");
            let loaded = journal.load();
            assert_eq!(loaded.state, Some(state(1)));
            assert_eq!(loaded.troubles.len(), 1);
            assert_eq!(
                fs::read(folder.path().join("journal.corrupt")).unwrap(),
                bad
            );
            journal.save(&state(3)).unwrap();
            assert_eq!(journal.load().state, Some(state(3)));
        }
    }

    #[test]
    fn boots_that_are_over_are_written_when_they_change_and_not_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = FileJournal::new(path.clone());
        let older = folder.path().join("journal.older");
        journal.save(&state(1)).unwrap();
        assert!(!older.exists(), "nothing is over yet");
        let boot = |id: u8, number: u32| StoredBoot {
            id: vec![id; 16],
            ..state(number).boots.remove(0)
        };
        let with = |current: u32| JournalState {
            boots: vec![boot(1, 1), boot(2, current)],
            ..state(1)
        };
        journal.save(&with(1)).unwrap();
        let written = fs::metadata(&older).unwrap().modified().unwrap();
        let inode = fs::read(&older).unwrap();
        journal.save(&with(2)).unwrap();
        assert_eq!(fs::metadata(&older).unwrap().modified().unwrap(), written);
        assert_eq!(fs::read(&older).unwrap(), inode);
        assert_eq!(journal.load().state, Some(with(2)));
        // An acknowledgement takes the older boot away.
        journal.save(&state(3)).unwrap();
        assert_eq!(journal.load().state, Some(state(3)));
        // The newer part is torn in both its generations: what is over is still there.
        journal.save(&with(2)).unwrap();
        for torn in ["journal", "journal.bak"] {
            fs::write(folder.path().join(torn), "torn").unwrap();
        }
        let loaded = journal.load();
        assert_eq!(loaded.state.unwrap().boots, [boot(1, 1)]);
        assert_eq!(loaded.troubles.len(), 2);
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_and_no_panic() {
        let mut journal = FileJournal::new("/nowhere/at/all/journal".into());
        assert!(journal.save(&state(1)).is_err());
        assert_eq!(journal.load().state, None);
    }

    #[test]
    fn bad_files_are_kept_each_under_its_own_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = FileJournal::new(path.clone());
        fs::write(&path, "homework").unwrap();
        fs::write(folder.path().join("journal.bak"), "more homework").unwrap();
        let loaded = journal.load();
        assert_eq!(loaded.state, None);
        assert_eq!(loaded.troubles.len(), 2);
        assert!(loaded.troubles[0].to_string().contains("journal.corrupt"));
        let held = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(held("journal.corrupt"), "homework");
        assert_eq!(held("journal.corrupt-2"), "more homework");
    }

    #[test]
    fn the_last_good_generation_outlives_a_save_that_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = FileJournal::new(path.clone());
        journal.save(&state(1)).unwrap();
        journal.save(&state(2)).unwrap();
        fs::write(&path, "torn").unwrap();
        assert_eq!(journal.load().state, Some(state(1)));
        // The new generation can't be written: a folder stands in its place.
        fs::create_dir(folder.path().join("journal.new")).unwrap();
        assert!(journal.save(&state(3)).is_err());
        assert_eq!(journal.load().state, Some(state(1)));
        fs::remove_dir(folder.path().join("journal.new")).unwrap();
        journal.save(&state(3)).unwrap();
        assert_eq!(journal.load().state, Some(state(3)));
    }
}
