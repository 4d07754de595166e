//! Where the agent lives on Windows. The system tells its folders by its environment.

use std::path::{Path, PathBuf};

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
    #[expect(
        clippy::disallowed_methods,
        reason = "not a setting: Windows tells where its folders are"
    )]
    pub fn here() -> Self {
        let of = |name: &str, usual: &str| {
            std::env::var_os(name).map_or_else(|| PathBuf::from(usual), PathBuf::from)
        };
        Self {
            programs: of("ProgramFiles", r"C:\Program Files").join("Classpulse"),
            data: of("ProgramData", r"C:\ProgramData").join("Classpulse"),
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
        self.programs.join("classpulse-agent.exe")
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
