//! Installation on Linux with systemd. Not responsible for packages (`deploy/agent/build-deb`).

use super::{InstallError, InstallOptions, UninstallOptions};

pub fn install(_options: &InstallOptions) -> Result<Vec<String>, InstallError> {
    Ok(Vec::new())
}

pub fn uninstall(_options: &UninstallOptions) -> Result<Vec<String>, InstallError> {
    Ok(Vec::new())
}
