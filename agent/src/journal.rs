//! The journal's file.
//!
//! Not responsible for what it says (`core::JournalState`), when it is written (`publish`), or how it is kept (`keep`).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tracing::warn;

use crate::{
    core::JournalState,
    keep::{self, Found, KeptFile, Magic, UNREAD},
};

mod split;

pub use crate::keep::{Kept, Problem, Trouble};
pub use split::{join, mark, split};

const MAGIC: &Magic = b"CPJRNL\x00\x01";
/// What a file is called after it was read at last, and its sessions are in the journal again.
const TAKEN_IN: &str = ".taken-in";

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
    older: KeptFile,
    current: KeptFile,
    /// What could not be read at an earlier start and was taken in at this one, until the next write holds it.
    taken_in: Vec<KeptFile>,
    /// What the older part holds, as a checksum of its bytes; `None` while that is not known.
    older_holds: Option<u32>,
    /// It was said that the older part can't be written.
    told: bool,
}

impl FileJournal {
    /// At this path; `.older` beside it, and `.bak`, `.new`, `.corrupt` and `.unread` beside each.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let mut older = path.clone().into_os_string();
        older.push(".older");
        Self {
            older: KeptFile::new(older.into(), MAGIC),
            current: KeptFile::new(path, MAGIC),
            taken_in: Vec::new(),
            older_holds: None,
            told: false,
        }
    }

    /// What is kept, touching nothing: for a look from outside while an agent runs.
    #[must_use]
    pub fn look(&self) -> Loaded {
        together([self.older.look(), self.current.look()].map(|found| (Vec::new(), found)))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.current.path()
    }

    /// Bytes on the disk now, without what stands beside.
    #[must_use]
    pub fn size(&self) -> u64 {
        let size = |file: &KeptFile| fs::metadata(file.path()).map_or(0, |about| about.len());
        size(&self.older) + size(&self.current)
    }

    /// Another machine's journal (a cloned disk): renamed, so that it is neither found again nor lost.
    ///
    /// # Errors
    /// The system's; then it is still where it was, and must not be loaded.
    pub fn put_aside(&self, ending: &str) -> io::Result<Vec<PathBuf>> {
        let mut aside = self.older.put_aside(ending)?;
        aside.extend(self.current.put_aside(ending)?);
        for file in [&self.older, &self.current] {
            for unread in file.asides(UNREAD) {
                aside.extend(unread.put_aside(ending)?);
            }
        }
        Ok(aside)
    }
}

impl FileJournal {
    fn save_older(&mut self, older: &JournalState) -> io::Result<()> {
        let holds = mark(older);
        if self.older_holds == Some(holds) {
            return Ok(());
        }
        // Nothing in it, and no file: there is nothing to say.
        if holds != mark(&JournalState::default()) || self.older.path().exists() {
            self.older.save(older)?;
        }
        self.older_holds = Some(holds);
        Ok(())
    }
}

/// Everything as one journal, oldest first: of each part what was once put aside unread, then the part itself.
fn together(parts: [(Vec<JournalState>, Found<JournalState>); 2]) -> Loaded {
    let mut loaded = Loaded::default();
    for (unread, found) in parts {
        loaded.troubles.extend(found.troubles);
        let states = unread.into_iter().chain(found.said);
        loaded.state = loaded.state.into_iter().chain(states).reduce(join);
    }
    loaded
}

/// What can be read by now of what was put aside unread, and where it stands.
fn read_at_last(part: &KeptFile) -> (Vec<KeptFile>, Vec<JournalState>) {
    let unread = part.asides(UNREAD).into_iter();
    unread
        .filter_map(|file| file.look().said.map(|said| (file, said)))
        .unzip()
}

impl JournalStore for FileJournal {
    fn load(&mut self) -> Loaded {
        self.older_holds = None;
        // Before a file of this start is called so.
        let (mut files, older) = read_at_last(&self.older);
        let (more, current) = read_at_last(&self.current);
        files.extend(more);
        self.taken_in = files;
        together([(older, self.older.load()), (current, self.current.load())])
    }

    /// The older part first: until the other is written too, a boot that has just ended stands in both. Where it can't
    /// be written, the other holds everything.
    fn save(&mut self, state: &JournalState) -> io::Result<()> {
        let (older, current) = split(state);
        match self.save_older(&older) {
            Ok(()) => {
                self.told = false;
                self.current.save(&current)?;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    let path = self.older.path().display();
                    warn!(%error, %path, "this part of the journal can't be written; the other holds it too");
                }
                self.current.save(state)?;
            }
        }
        for file in std::mem::take(&mut self.taken_in) {
            // Else it is taken in once more, which changes nothing.
            drop(file.put_aside(TAKEN_IN));
        }
        Ok(())
    }
}

/// A state as the file holds it.
#[must_use]
pub fn encode(state: &JournalState) -> Vec<u8> {
    keep::seal(MAGIC, state)
}

/// A file's bytes as a state.
///
/// # Errors
/// What is wrong with them.
pub fn decode(bytes: &[u8]) -> Result<JournalState, Problem> {
    keep::open(MAGIC, bytes)
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

    /// A link that leads to itself: it stands there, and nobody can read it.
    #[cfg(unix)]
    fn unreadable(path: &Path) {
        std::os::unix::fs::symlink(path, path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_stands_there_and_cannot_be_read_is_put_aside_and_taken_in_once_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = FileJournal::new(path.clone());
        unreadable(&path);
        let loaded = journal.load();
        assert_eq!(loaded.state, None);
        let [
            Trouble::Unreadable {
                kept: Kept::As(aside),
                ..
            },
        ] = &loaded.troubles[..]
        else {
            panic!("{:?}", loaded.troubles);
        };
        assert_eq!(*aside, folder.path().join("journal.unread"));
        let boot = |id: u8| StoredBoot {
            id: vec![id; 16],
            ..state(1).boots.remove(0)
        };
        let with = |ids: &[u8]| JournalState {
            boots: ids.iter().map(|id| boot(*id)).collect(),
            ..state(1)
        };
        journal.save(&with(&[2])).unwrap();
        // At the next start it can be read.
        fs::remove_file(aside).unwrap();
        fs::write(aside, encode(&with(&[1]))).unwrap();
        assert_eq!(journal.load().state, Some(with(&[1, 2])));
        assert!(aside.exists(), "no write holds it yet");
        journal.save(&with(&[1, 2])).unwrap();
        assert!(!aside.exists());
        assert_eq!(journal.load().state, Some(with(&[1, 2])));
    }

    #[test]
    fn whatever_was_put_aside_unread_is_taken_in_oldest_boots_first() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let with = |ids: &[u8]| JournalState {
            boots: ids
                .iter()
                .map(|id| StoredBoot {
                    id: vec![*id; 16],
                    ..state(1).boots.remove(0)
                })
                .collect(),
            ..state(1)
        };
        let unread: [(&str, &[u8]); 3] = [
            ("journal.older.unread-3", &[1, 2]),
            ("journal.unread", &[3]),
            ("journal.unread-2", &[4]),
        ];
        for (name, ids) in unread {
            fs::write(at(name), encode(&with(ids))).unwrap();
        }
        // One that still says nothing stays as it is, whatever becomes of the others.
        fs::write(at("journal.unread-5"), "torn").unwrap();
        let mut journal = FileJournal::new(at("journal"));
        journal.save(&with(&[5])).unwrap();
        let whole = with(&[1, 2, 3, 4, 5]);
        assert_eq!(journal.load().state, Some(whole.clone()));
        journal.save(&whole).unwrap();
        assert!(unread.iter().all(|(name, _)| !at(name).exists()));
        assert!(at("journal.unread-2.taken-in").exists());
        assert!(at("journal.unread-5").exists());
        assert_eq!(journal.load().state, Some(whole));
        // Another machine's is neither taken in nor lost.
        fs::write(at("journal.unread-2"), encode(&with(&[6]))).unwrap();
        fs::write(at("journal.older.unread"), encode(&with(&[7]))).unwrap();
        let aside = journal.put_aside(".foreign").unwrap();
        assert!(aside.contains(&at("journal.unread-2.foreign")), "{aside:?}");
        assert!(aside.iter().all(|path| path.exists()));
        assert_eq!(journal.load().state, None);
    }

    #[test]
    fn two_lives_of_one_boot_are_both_kept_where_the_first_could_not_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let life = |start_ms: u64, length_ms: u64| {
            let mut life = state(1);
            life.boots[0].used_count = 1;
            life.boots[0].sessions[0].used = true;
            life.boots[0].sessions[0].start_ms = start_ms;
            life.boots[0].sessions[0].length_ms = length_ms;
            life
        };
        let unread = encode(&life(300_000, 600_000));
        fs::write(folder.path().join("journal.unread"), unread).unwrap();
        let mut journal = FileJournal::new(folder.path().join("journal"));
        journal.save(&life(7_200_000, 2_400_000)).unwrap();
        // Taken in twice, where the agent is cut off after the write: nothing changes.
        for _ in 0..2 {
            let found = journal.load().state.unwrap();
            let sessions: Vec<_> = found.boots[0]
                .sessions
                .iter()
                .map(|one| (one.number, one.start_ms, one.length_ms))
                .collect();
            let expected = [(1, 300_000, 600_000), (101, 7_200_000, 2_400_000)];
            assert_eq!(sessions, expected);
            FileJournal::new(folder.path().join("journal"))
                .save(&found)
                .unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_was_never_read_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        unreadable(&path);
        // It can't be put aside either: every name is taken.
        let names: Vec<PathBuf> = (1..=1_000)
            .map(|number| match number {
                1 => folder.path().join("journal.unread"),
                _ => folder.path().join(format!("journal.unread-{number}")),
            })
            .collect();
        for name in &names {
            fs::write(name, "").unwrap();
        }
        let mut journal = FileJournal::new(path.clone());
        let loaded = journal.load();
        let kept_here = |one: &Trouble| {
            matches!(
                one,
                Trouble::Unreadable {
                    kept: Kept::Here(_),
                    ..
                }
            )
        };
        assert!(
            loaded.troubles.iter().any(kept_here),
            "{:?}",
            loaded.troubles
        );
        let error = journal.save(&state(1)).unwrap_err().to_string();
        assert!(error.contains("not replaced"), "{error}");
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        // As soon as there is room, the journal is written again.
        fs::remove_file(&names[6]).unwrap();
        journal.save(&state(2)).unwrap();
        assert!(fs::symlink_metadata(&names[6]).unwrap().is_symlink());
        assert_eq!(journal.look().state, Some(state(2)));
    }

    #[test]
    fn a_part_that_cannot_be_written_stops_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = FileJournal::new(folder.path().join("journal"));
        let boot = |id: u8, number: u32| StoredBoot {
            id: vec![id; 16],
            ..state(number).boots.remove(0)
        };
        let with = |current: u32| JournalState {
            boots: vec![boot(1, 1), boot(2, current)],
            ..state(1)
        };
        journal
            .save(&JournalState {
                boots: vec![boot(1, 1)],
                ..state(1)
            })
            .unwrap();
        // A folder stands where the older part's next generation is written.
        let blocked = folder.path().join("journal.older.new");
        fs::create_dir(&blocked).unwrap();
        for current in 1..=3 {
            journal.save(&with(current)).unwrap();
            assert_eq!(journal.look().state, Some(with(current)));
        }
        fs::remove_dir(&blocked).unwrap();
        journal.save(&with(4)).unwrap();
        assert!(folder.path().join("journal.older").exists());
        assert_eq!(journal.load().state, Some(with(4)));
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
