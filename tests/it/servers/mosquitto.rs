//! A Mosquitto of a test's own: private port, private folder, stopped at the end.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{free_port, signal, wait_for};

/// A Mosquitto that ends with the test.
pub(crate) struct Mosquitto {
    child: Child,
    pub(crate) port: u16,
    folder: TempDir,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// As in `deploy/broker/mosquitto.conf`.
pub(crate) const KEEPS: &str = "persistence true\nautosave_interval 1\n";
pub(crate) const FORGETS: &str = "persistence false\n";

impl Mosquitto {
    /// Anybody may come.
    pub(crate) fn start(more: &str) -> Self {
        Self::start_with(free_port(), more)
    }

    pub(crate) fn start_with(port: u16, more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence_location {}/\n\
             max_queued_messages 100000\nmax_inflight_messages 10000\nuser root\n{more}",
            folder.path().display()
        );
        fs::write(folder.path().join("mosquitto.conf"), text).unwrap();
        let child = Self::spawn(folder.path());
        wait_for(port, "mosquitto");
        Self {
            child,
            port,
            folder,
        }
    }

    /// With the configuration in a folder, which says all but as whom it runs.
    pub(crate) fn start_included(port: u16, include: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let text = format!("user root\ninclude_dir {}\n", include.display());
        fs::write(folder.path().join("mosquitto.conf"), text).unwrap();
        let child = Self::spawn(folder.path());
        wait_for(port, "mosquitto");
        Self {
            child,
            port,
            folder,
        }
    }

    /// It reads its files again.
    pub(crate) fn reload(&self) {
        signal(self.child.id(), "HUP");
    }

    fn spawn(folder: &Path) -> Child {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("log"))
            .unwrap();
        Command::new(program())
            .arg("-c")
            .arg(folder.join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// kill -9: what was not saved is forgotten.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, so that it saves what it has.
    pub(crate) fn end(&mut self) {
        signal(self.child.id(), "TERM");
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port and folder.
    pub(crate) fn start_again(&mut self) {
        self.child = Self::spawn(self.folder.path());
        wait_for(self.port, "mosquitto");
    }
}

fn program() -> PathBuf {
    [
        "/usr/sbin/mosquitto",
        "/usr/bin/mosquitto",
        "/usr/local/sbin/mosquitto",
    ]
    .into_iter()
    .map(PathBuf::from)
    .find(|path| path.exists())
    .expect("mosquitto is installed by deploy/test")
}
