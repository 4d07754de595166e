//! Makes this machine a terminal: program, service, one configuration file. Again and again, with the same result.
//!
//! The system's part (`install`, `uninstall`) is under `install/`. Not responsible for enrolment: the agent does that when
//! it first runs.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::config::{self, Config, ConfigError};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(windows)]
mod windows;

/// Installs or upgrades in place. What is not said stays as the configuration has it. The answer is what was done, a
/// line each, for whoever installs.
///
/// # Errors
/// [`InstallError`] names the step; what was done before it stays, and the next attempt goes on from there.
#[cfg(target_os = "linux")]
pub use linux::install;
#[cfg(windows)]
pub use windows::install;

/// Stops the service and removes it and the program. Configuration, identity and journal stay unless `purge` is said.
///
/// # Errors
/// [`InstallError`] names the step.
#[cfg(target_os = "linux")]
pub use linux::uninstall;
#[cfg(windows)]
pub use windows::uninstall;

/// What can be said when installing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct InstallOptions {
    /// The county's server, as HOST:PORT.
    #[arg(long)]
    pub server: Option<String>,
    /// The school's enrolment code.
    #[arg(long)]
    pub code: Option<String>,
    /// The county's certificate authority (PEM): copied, and from then on the only one that is trusted.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Speak in plain text, which everybody on the way can read and change. For a server in a network of its own.
    #[arg(long, conflicts_with = "ca")]
    pub plain: bool,
    /// The room, such as "三年级(2)班".
    #[arg(long)]
    pub room: Option<String>,
    /// The journal's file; on another partition where a restore card restores this one.
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Report power-on times from before the installation, by the machine's own log.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub history: Option<bool>,
    /// Install into this folder as if it were the machine, and start nothing. For images and tests.
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

/// What can be said when uninstalling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct UninstallOptions {
    /// Remove configuration, identity and journal too. What the service has not acknowledged is lost.
    #[arg(long)]
    pub purge: bool,
    /// Uninstall from this folder as if it were the machine.
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

/// Why an installation did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Only an administrator may.
    #[error("installing needs an administrator: {0}")]
    NotAllowed(&'static str),
    /// What a package manager put in place it must take away.
    #[error("it was installed as a package: say `{0}`")]
    Packaged(&'static str),
    /// What the configuration would say.
    #[error("the configuration would not hold")]
    Configuration(#[source] ConfigError),
    /// An option, or the configuration that there is.
    #[error("{key}: {problem}")]
    Option {
        /// Which.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A file or folder.
    #[error("{}: {action}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What could not be done with it.
        action: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The service manager.
    #[error("the service manager: {action}")]
    Service {
        /// What it was asked.
        action: String,
        /// Its answer.
        #[source]
        source: io::Error,
    },
}

impl InstallError {
    /// For `map_err`: what could not be done with a path.
    pub(crate) fn file(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            path,
            action,
            source,
        }
    }
}

/// The configuration file's text after the options were laid over what it says; `ca` is where the copy of the
/// certificate authority lies, where one was given or was there. Lines, comments and keys that are not meant stay.
///
/// # Errors
/// [`InstallError`] where the text is not TOML, before or after, a value can't hold, or nobody says a server.
pub fn configuration(
    existing: &str,
    options: &InstallOptions,
    ca: Option<&Path>,
) -> Result<String, InstallError> {
    let text = |value: &str| toml::Value::from(value).to_string();
    let path = |value: &Path| text(&value.to_string_lossy());
    let said = [
        ("server", options.server.as_deref().map(text)),
        ("code", options.code.as_deref().map(text)),
        ("room", options.room.as_deref().map(text)),
        ("ca_file", ca.map(path)),
        ("journal", options.journal.as_deref().map(path)),
        ("history", options.history.map(|yes| yes.to_string())),
    ];
    let before = read(existing)?;
    let mut lines: Vec<String> = existing.lines().map(str::to_owned).collect();
    if options.plain {
        lines.retain(|line| !is_about(line, "ca_file"));
    }
    for (key, value) in said {
        let Some(value) = value else { continue };
        let line = format!("{key} = {value}");
        match lines.iter().position(|line| is_about(line, key)) {
            Some(place) => lines[place] = line,
            None => lines.push(line),
        }
    }
    let new = lines.join("\n") + "\n";
    let after = read(&new)?;
    if !options.plain && turns_plain(&before, &after) {
        return Err(InstallError::Option {
            key: "ca",
            problem: "say --ca FILE, the county's certificate authority; or --plain, and everybody on the way can read and change what is said / 请用 --ca 指定根证书文件;确要明文传输请加 --plain"
                .to_owned(),
        });
    }
    if !after.contains_key("server") {
        return Err(InstallError::Option {
            key: "server",
            problem: "say --server HOST:PORT".to_owned(),
        });
    }
    Config::parse(&new, &config::default_file()).map_err(InstallError::Configuration)?;
    Ok(new)
}

/// Whether a new server on another machine would be spoken to in plain text. What was so before was said then.
fn turns_plain(before: &toml::Table, after: &toml::Table) -> bool {
    let server = after.get("server").and_then(toml::Value::as_str);
    let host = server.and_then(|server| Some(server.rsplit_once(':')?.0));
    let own = host.is_some_and(|host| {
        let host = host.trim_matches(['[', ']']);
        let loopback = |host: std::net::IpAddr| host.is_loopback();
        host == "localhost" || host.parse().is_ok_and(loopback)
    });
    let new = before.get("server") != after.get("server") || before.contains_key("ca_file");
    server.is_some() && new && !own && !after.contains_key("ca_file")
}

/// A journal's file and what the agent keeps beside it under the same name with an ending.
fn beside(path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let name = name.to_string_lossy();
    let ours = |entry: &fs::DirEntry| {
        let other = entry.file_name();
        let rest = other.to_str().and_then(|other| other.strip_prefix(&*name));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    entries
        .flatten()
        .filter(ours)
        .map(|entry| entry.path())
        .collect()
}

fn is_about(line: &str, key: &str) -> bool {
    line.trim_start()
        .strip_prefix(key)
        .is_some_and(|rest| rest.trim_start().starts_with('='))
}

fn read(text: &str) -> Result<toml::Table, InstallError> {
    toml::from_str(text).map_err(|error: toml::de::Error| InstallError::Option {
        key: "configuration",
        problem: error.to_string(),
    })
}

/// The text of the county's authority, which must hold a certificate.
fn read_authority(path: &Path) -> Result<String, InstallError> {
    let text = fs::read_to_string(path).map_err(InstallError::file(path, "read"))?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        Ok(text)
    } else {
        Err(InstallError::Option {
            key: "ca",
            problem: format!("{} holds no certificate in PEM", path.display()),
        })
    }
}

#[cfg(test)]
mod tests;
