//! Where things lie on this system unless somebody says otherwise, and what a machine is called that nobody named.
//!
//! Not responsible for whether what lies there is any good.

use std::{
    fs,
    path::{Path, PathBuf},
};

use classpulse_proto::topic;

use super::ConfigError;

/// The configuration file that is read where none is named and this one exists.
#[must_use]
pub fn default_file() -> PathBuf {
    #[cfg(windows)]
    let folder = crate::folders::Folders::here().data;
    #[cfg(not(windows))]
    let folder = PathBuf::from("/etc/classpulse-agent");
    folder.join("agent.toml")
}

/// The agent's own folder.
fn state_folder() -> PathBuf {
    #[cfg(windows)]
    let folder = crate::folders::Folders::here().data;
    #[cfg(not(windows))]
    let folder = PathBuf::from("/var/lib/classpulse-agent");
    folder
}

/// The enrolment code, where the environment says it.
pub(super) fn code() -> Option<String> {
    variable("CLASSPULSE_AGENT_CODE")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the home of the agent's environment; clap reads the rest of it"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The service's folder where it may be written, else the working folder.
pub(super) fn default_journal() -> PathBuf {
    let folder = state_folder();
    if folder.is_dir() && writable(&folder) {
        folder.join("journal")
    } else {
        PathBuf::from("classpulse-agent.journal")
    }
}

/// Beside the journal: a restore card that leaves the one leaves the other.
pub(super) fn default_identity(journal: &Path) -> PathBuf {
    if journal.file_name().is_some_and(|name| name == "journal") {
        return journal.with_file_name("identity");
    }
    let mut name = journal.to_owned().into_os_string();
    name.push(".identity");
    name.into()
}

#[cfg(target_os = "linux")]
fn writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn writable(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|about| !about.permissions().readonly())
}

/// The machine's own id, hashed: stable, and says nothing of the machine or its users. A machine without one gets a
/// random id, kept beside the journal.
pub(super) fn default_terminal(machine_id: &Path, journal: &Path) -> Result<String, ConfigError> {
    let text = fs::read_to_string(machine_id).unwrap_or_default();
    let id = text.trim();
    if id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        // Two halves: a checksum of the whole has only 32 bits, too few for a province.
        let (high, low) = id.as_bytes().split_at(16);
        return Ok(format!(
            "pc-{:08x}{:08x}",
            crc32fast::hash(high),
            crc32fast::hash(low)
        ));
    }
    let mut kept = journal.to_owned().into_os_string();
    kept.push(".terminal");
    let kept = PathBuf::from(kept);
    if let Ok(text) = fs::read_to_string(&kept)
        && topic::is_terminal(text.trim())
    {
        return Ok(text.trim().to_owned());
    }
    let id = format!("pc-{:016x}", rand::random::<u64>());
    match fs::write(&kept, &id) {
        Ok(()) => Ok(id),
        Err(error) => Err(ConfigError::Identity(kept, error)),
    }
}
