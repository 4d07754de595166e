//! Who this machine is to the service, bound to its hardware: a file beside the journal.
//!
//! A disk's image carries this file to other machines. There it is another's, and so is the journal: both are put
//! aside, and the machine enrols as itself. Not responsible for enrolling (`enrol`, `link`).

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use classpulse_proto::v1::Hardware;

use crate::{
    hardware::{Likeness, likeness},
    journal::FileJournal,
    keep::{Found, KeptFile, Magic, Trouble},
};

const MAGIC: &Magic = b"CPIDENT\x01";
/// What another machine's files are called from then on.
const FOREIGN: &str = ".foreign";

/// What the file says.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Identity {
    /// The terminal's id; empty while the machine is not enrolled.
    #[prost(string, tag = "1")]
    pub terminal: String,
    /// Its password.
    #[prost(string, tag = "2")]
    pub key: String,
    /// The server that gave it, as HOST:PORT.
    #[prost(string, tag = "3")]
    pub server: String,
    /// The school's name, for people.
    #[prost(string, tag = "4")]
    pub school: String,
    /// The machine that it was given to, and whose journal lies beside it.
    #[prost(message, optional, tag = "5")]
    pub hardware: Option<Hardware>,
    /// When, Unix seconds by the server's clock; 0 while the machine is not enrolled.
    #[prost(sint64, tag = "6")]
    pub enrolled_at: i64,
    /// The password before this one; empty for none. A broker that learns of new ones late still takes it.
    #[prost(string, tag = "7")]
    pub previous_key: String,
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("terminal", &self.terminal)
            .field("server", &self.server)
            .field("school", &self.school)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Whether the machine is a terminal.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        !self.terminal.is_empty()
    }
}

/// The identity's file.
#[derive(Debug, Clone)]
pub struct IdentityFile(KeptFile);

/// How the agent begins.
#[derive(Debug)]
pub struct Beginning {
    /// Who the machine is; `None` while it is not enrolled.
    pub identity: Option<Identity>,
    /// Where another machine's files are now.
    pub foreign: Vec<PathBuf>,
    /// The journal may be loaded. False where it is another machine's and could not be put aside.
    pub own_journal: bool,
    /// For the log.
    pub troubles: Vec<BeginningTrouble>,
}

/// What was not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum BeginningTrouble {
    /// The file was not whole.
    #[error("the identity was not whole")]
    File(#[source] Trouble),
    /// It can't be written: it lasts until the agent ends.
    #[error("the identity can't be kept")]
    Save(#[source] io::Error),
    /// The other machine's files stay where they are, and are not used.
    #[error("another machine's identity and journal can't be put aside")]
    Foreign(#[source] io::Error),
}

impl IdentityFile {
    /// At this path, for nobody but its owner to read.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(KeptFile::new(path, MAGIC).private())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// What it says, touching nothing.
    #[must_use]
    pub fn look(&self) -> Found<Identity> {
        self.0.look()
    }

    /// Keeps an identity.
    ///
    /// # Errors
    /// The system's.
    pub fn save(&self, identity: &Identity) -> io::Result<()> {
        self.0.save(identity)
    }

    /// Who this machine is. To be asked before the journal is loaded: on another machine's disk both are put aside.
    ///
    /// The file is written also before the machine is enrolled, so that its journal is known to be its own.
    #[must_use]
    pub fn begin(&self, here: &Hardware, journal: &FileJournal) -> Beginning {
        let found: Found<Identity> = self.0.load();
        let mut beginning = Beginning {
            identity: None,
            foreign: Vec::new(),
            own_journal: true,
            troubles: found
                .troubles
                .into_iter()
                .map(BeginningTrouble::File)
                .collect(),
        };
        let known = found.said.unwrap_or_default();
        let before = known.hardware.clone().unwrap_or_default();
        let now = if likeness(&before, here) == Likeness::Other {
            if let Err(error) = self.part(journal, &mut beginning.foreign) {
                beginning.own_journal = false;
                beginning.troubles.push(BeginningTrouble::Foreign(error));
                return beginning;
            }
            Identity {
                hardware: Some(here.clone()),
                ..Identity::default()
            }
        } else {
            Identity {
                hardware: Some(renewed(before, here)),
                ..known.clone()
            }
        };
        if now != known
            && let Err(error) = self.save(&now)
        {
            beginning.troubles.push(BeginningTrouble::Save(error));
        }
        beginning.identity = Some(now).filter(Identity::is_enrolled);
        beginning
    }

    /// The journal first: cut off in between, the next start sees that the identity is another's, and goes on.
    fn part(&self, journal: &FileJournal, moved: &mut Vec<PathBuf>) -> io::Result<()> {
        moved.extend(journal.put_aside(FOREIGN)?);
        moved.extend(self.0.put_aside(FOREIGN)?);
        Ok(())
    }
}

/// A machine's marks as they are now: parts are replaced one by one over the years. What it does not tell now (a run
/// by a lesser user) stays known.
fn renewed(before: Hardware, here: &Hardware) -> Hardware {
    let either = |now: &Vec<u8>, before| if now.is_empty() { before } else { now.clone() };
    Hardware {
        board: either(&here.board, before.board),
        disk: either(&here.disk, before.disk),
        macs: if here.macs.is_empty() {
            before.macs
        } else {
            here.macs.clone()
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        core::JournalState,
        hardware::{Said, marks},
        journal::JournalStore as _,
    };

    fn machine(number: u8) -> Hardware {
        marks(&Said {
            board_serial: format!("BOARD-{number}A"),
            disk: format!("DISK-{number}A"),
            macs: vec![[0, 0x1A, 0x2B, 1, 2, number]],
            ..Said::default()
        })
    }

    fn given_to(hardware: Hardware) -> Identity {
        Identity {
            terminal: "t-1".to_owned(),
            key: "the-secret-key".to_owned(),
            server: "county:8883".to_owned(),
            school: "第一小学".to_owned(),
            hardware: Some(hardware),
            enrolled_at: 7,
            previous_key: String::new(),
        }
    }

    struct Disk {
        /// Goes with the test.
        #[cfg_attr(
            not(unix),
            expect(dead_code, reason = "its permissions are looked at on Unix only")
        )]
        folder: tempfile::TempDir,
        file: IdentityFile,
        journal: FileJournal,
    }

    fn disk() -> Disk {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = FileJournal::new(folder.path().join("journal"));
        let file = IdentityFile::new(folder.path().join("identity"));
        journal.save(&JournalState::default()).unwrap();
        journal
            .save(&JournalState {
                last_ack_ms: 5,
                ..JournalState::default()
            })
            .unwrap();
        Disk {
            folder,
            file,
            journal,
        }
    }

    #[test]
    fn the_same_machine_keeps_its_identity_through_repairs() {
        let mut disk = disk();
        disk.file.save(&given_to(machine(1))).unwrap();
        let mut here = machine(1);
        // One part after the other, until none is left of the first.
        here.disk = machine(2).disk;
        assert_eq!(
            disk.file
                .begin(&here, &disk.journal)
                .identity
                .unwrap()
                .terminal,
            "t-1"
        );
        here.board = machine(2).board;
        assert!(disk.file.begin(&here, &disk.journal).identity.is_some());
        here.macs = machine(2).macs;
        let begun = disk.file.begin(&here, &disk.journal);
        assert_eq!(begun.identity.unwrap().hardware, Some(machine(2)));
        // A run that may not read the hardware forgets nothing.
        assert!(
            disk.file
                .begin(&Hardware::default(), &disk.journal)
                .identity
                .is_some()
        );
        assert_eq!(disk.file.look().said.unwrap().hardware, Some(machine(2)));
        assert!(begun.foreign.is_empty() && begun.own_journal);
        assert_eq!(disk.journal.load().state.unwrap().last_ack_ms, 5);
    }

    #[test]
    fn a_cloned_image_parts_with_identity_and_journal_and_deletes_nothing() {
        for enrolled in [true, false] {
            let mut disk = disk();
            if enrolled {
                disk.file.save(&given_to(machine(1))).unwrap();
            } else {
                // The image was made before its machine could enrol: its journal is still its own.
                assert!(
                    disk.file
                        .begin(&machine(1), &disk.journal)
                        .identity
                        .is_none()
                );
            }
            let began = disk.file.begin(&machine(2), &disk.journal);
            assert!(began.identity.is_none() && began.own_journal);
            assert!(began.troubles.is_empty(), "{:?}", began.troubles);
            assert!(disk.journal.load().state.is_none());
            assert_eq!(
                began.foreign.len(),
                3,
                "journal, its last generation, identity"
            );
            assert!(began.foreign.iter().all(|path| path.exists()));
            // From then on the machine is its own.
            disk.journal.save(&JournalState::default()).unwrap();
            disk.file.save(&given_to(machine(2))).unwrap();
            let again = disk.file.begin(&machine(2), &disk.journal);
            assert!(again.identity.is_some() && again.foreign.is_empty());
            assert!(disk.journal.load().state.is_some());
        }
    }

    #[test]
    fn cut_off_while_parting_it_goes_on() {
        let mut disk = disk();
        disk.file.save(&given_to(machine(1))).unwrap();
        disk.journal.put_aside(FOREIGN).unwrap();
        let began = disk.file.begin(&machine(2), &disk.journal);
        assert!(began.identity.is_none() && disk.journal.load().state.is_none());
        assert_eq!(began.foreign.len(), 1);
    }

    #[test]
    fn a_machine_that_tells_nothing_of_itself_keeps_what_it_has() {
        let disk = disk();
        let nothing = Hardware::default();
        assert!(disk.file.begin(&nothing, &disk.journal).identity.is_none());
        disk.file.save(&given_to(nothing.clone())).unwrap();
        assert!(disk.file.begin(&nothing, &disk.journal).identity.is_some());
        assert!(
            disk.file
                .begin(&machine(1), &disk.journal)
                .identity
                .is_some()
        );
    }

    #[test]
    fn the_key_is_for_its_owner_and_for_no_log() {
        let disk = disk();
        let identity = given_to(machine(1));
        assert!(!format!("{identity:?}").contains("secret"));
        disk.file.save(&identity).unwrap();
        disk.file.save(&identity).unwrap();
        #[cfg(unix)]
        for name in ["identity", "identity.bak"] {
            use std::os::unix::fs::PermissionsExt as _;
            let about = fs::metadata(disk.folder.path().join(name)).unwrap();
            assert_eq!(about.permissions().mode() & 0o777, 0o600);
        }
        fs::write(disk.file.path(), "torn").unwrap();
        let began = disk.file.begin(&machine(1), &disk.journal);
        assert_eq!(began.identity, Some(identity), "the last generation");
        assert_eq!(began.troubles.len(), 1);
    }

    #[test]
    fn a_folder_that_is_gone_is_said_so() {
        let file = IdentityFile::new("/nowhere/at/all/identity".into());
        let journal = FileJournal::new("/nowhere/at/all/journal".into());
        let began = file.begin(&machine(1), &journal);
        assert!(matches!(began.troubles[..], [BeginningTrouble::Save(_)]));
    }
}
