//! Where the agent lives on Windows. The system is asked: a service's environment may say something else.

use std::path::{Path, PathBuf};

use crate::win32;

/// The program's file.
pub const PROGRAM: &str = "classpulse-agent.exe";

/// Both of the agent's folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// The program's.
    pub programs: PathBuf,
    /// Configuration, identity, journal, log: closed to all but the system and administrators.
    pub data: PathBuf,
}

impl Folders {
    /// This machine's.
    #[must_use]
    pub fn here() -> Self {
        let usual = |folder: &str| PathBuf::from(folder);
        let programs = win32::program_files().unwrap_or_else(|| usual(r"C:\Program Files"));
        let data = win32::program_data().unwrap_or_else(|| usual(r"C:\ProgramData"));
        Self {
            programs: programs.join("Classpulse"),
            data: data.join("Classpulse"),
        }
    }

    /// Those of a machine whose system drive is the folder `root`.
    #[must_use]
    pub fn under(root: &Path) -> Self {
        Self {
            programs: root.join("Program Files").join("Classpulse"),
            data: root.join("ProgramData").join("Classpulse"),
        }
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.programs.join(PROGRAM)
    }

    /// The configuration file.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.data.join("agent.toml")
    }

    /// The copy of the county's certificate authority.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.data.join("ca.pem")
    }

    /// The service's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.data.join("agent.log")
    }
}
