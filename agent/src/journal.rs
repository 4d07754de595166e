//! The journal's file: whole or not there. Checksummed, replaced atomically, the last good one kept beside it.
//!
//! Not responsible for what it says (`core::JournalState`) or when it is written (`publish`).

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use prost::Message as _;

use crate::core::JournalState;

const MAGIC: &[u8; 8] = b"CPJRNL\x00\x01";
/// Magic, length, CRC-32.
const HEADER: usize = 16;

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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Loaded {
    /// The state, if any could be read.
    pub state: Option<JournalState>,
    /// What was wrong, for the log.
    pub troubles: Vec<String>,
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

/// A journal in a file.
#[derive(Debug, Clone)]
pub struct FileJournal {
    path: PathBuf,
}

impl FileJournal {
    /// At this path; `.bak`, `.new` and `.corrupt` beside it.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(ending);
        name.into()
    }
}

impl JournalStore for FileJournal {
    fn load(&mut self) -> Loaded {
        let mut troubles = Vec::new();
        for path in [self.path.clone(), self.beside(".bak")] {
            match fs::read(&path) {
                Ok(bytes) => match decode(&bytes) {
                    Ok(state) => {
                        return Loaded {
                            state: Some(state),
                            troubles,
                        };
                    }
                    Err(problem) => {
                        let aside = self.beside(".corrupt");
                        let kept = fs::rename(&path, &aside).map_or_else(
                            |error| error.to_string(),
                            |()| aside.display().to_string(),
                        );
                        troubles.push(format!("{}: {problem}; kept as {kept}", path.display()));
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => troubles.push(format!("{}: {error}", path.display())),
            }
        }
        Loaded {
            state: None,
            troubles,
        }
    }

    fn save(&mut self, state: &JournalState) -> io::Result<()> {
        let (new, bak) = (self.beside(".new"), self.beside(".bak"));
        let mut file = File::create(&new)?;
        file.write_all(&encode(state))?;
        file.sync_all()?;
        // A hard link keeps the old generation while the rename puts the new one in its place at one stroke.
        drop(fs::remove_file(&bak));
        if self.path.exists() && fs::hard_link(&self.path, &bak).is_err() {
            drop(fs::copy(&self.path, &bak));
        }
        fs::rename(&new, &self.path)?;
        sync_folder(&self.path)
    }
}

/// Makes the rename itself safe.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn encode(state: &JournalState) -> Vec<u8> {
    let body = state.encode_to_vec();
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

fn decode(bytes: &[u8]) -> Result<JournalState, String> {
    let (header, body) = bytes
        .split_at_checked(HEADER)
        .ok_or("torn: shorter than its header")?;
    let number = |at: usize| {
        header[at..at + 4]
            .iter()
            .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte))
    };
    if &header[..8] != MAGIC {
        return Err("not a journal of this program".to_owned());
    }
    if usize::try_from(number(8)) != Ok(body.len()) {
        return Err(format!("torn: {} bytes of {}", body.len(), number(8)));
    }
    if number(12) != crc32fast::hash(body) {
        return Err("damaged: the checksum differs".to_owned());
    }
    JournalState::decode(body).map_err(|error| error.to_string())
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
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_nothing_is_an_empty_start() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = FileJournal::new(folder.path().join("journal"));
        assert_eq!(journal.load(), Loaded::default());
        journal.save(&state(1)).unwrap();
        journal.save(&state(2)).unwrap();
        assert_eq!(
            journal.load(),
            Loaded {
                state: Some(state(2)),
                troubles: vec![]
            }
        );
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
    fn a_folder_that_is_gone_is_an_error_and_no_panic() {
        let mut journal = FileJournal::new("/nowhere/at/all/journal".into());
        assert!(journal.save(&state(1)).is_err());
        assert_eq!(journal.load().state, None);
    }
}
