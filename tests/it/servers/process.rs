//! The real `classpulse serve` as a process of a test's own: started, killed and started again on one configuration.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use classpulse::store::{
    SharedStore,
    postgres::{PostgresOptions, PostgresStore},
    sqlite::SqliteStore,
};

use super::{free_port, signal, wait_for};

/// An aggregator that ends with the test.
pub(crate) struct Aggregator {
    child: Option<Child>,
    folder: PathBuf,
    name: String,
    store: String,
    broker_port: Option<u16>,
    pub(crate) api_port: u16,
}

impl Drop for Aggregator {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Aggregator {
    /// Writes its configuration; `broker` is the `[broker]` table, with a fixed port where it is the embedded one.
    pub(crate) fn new(folder: &Path, name: &str, store: &str, broker: &str) -> Self {
        let api_port = free_port();
        let text = format!(
            "store = {store:?}\n{broker}\n[api]\nlisten = \"127.0.0.1:{api_port}\"\n[rollup]\ninterval_ms = 300\n\
             [log]\nfilter = \"info,rmqtt=warn\"\n"
        );
        fs::write(folder.join(format!("{name}.toml")), text).unwrap();
        let broker_port = broker
            .split_once("listen = \"127.0.0.1:")
            .map(|(_, rest)| rest.split('"').next().unwrap().parse().unwrap());
        Self {
            child: None,
            folder: folder.to_owned(),
            name: name.to_owned(),
            store: store.to_owned(),
            broker_port,
            api_port,
        }
    }

    /// The same store, opened by the test.
    pub(crate) async fn open_store(&self) -> SharedStore {
        match self.store.strip_prefix("sqlite:") {
            Some(path) => Arc::new(SqliteStore::open(Path::new(path)).unwrap()),
            None => Arc::new(
                PostgresStore::open(&PostgresOptions {
                    url: self.store.clone(),
                    password: None,
                    tls: classpulse::tls::TlsOptions::default(),
                    connections: 4,
                })
                .await
                .unwrap(),
            ),
        }
    }

    pub(crate) fn store_url(&self) -> &str {
        &self.store
    }

    /// Starts it and waits until it listens. One that ends by itself is started again, as by systemd.
    pub(crate) fn start(&mut self) {
        self.spawn();
        for _ in 0..100 {
            std::thread::sleep(std::time::Duration::from_millis(100));
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                self.spawn();
            }
            if std::net::TcpStream::connect(("127.0.0.1", self.api_port)).is_ok() {
                break;
            }
        }
        wait_for(self.api_port, &self.name);
        if let Some(port) = self.broker_port {
            wait_for(port, &self.name);
        }
    }

    /// Starts it. A file that grows too large is an error for it, not its end.
    fn spawn(&mut self) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join(format!("{}.log", self.name)))
            .unwrap();
        let child = Command::new("/bin/sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(env!("CARGO_BIN_EXE_classpulse"))
            .arg("--config")
            .arg(self.folder.join(format!("{}.toml", self.name)))
            .arg("serve")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    pub(crate) fn broker(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.broker_port.unwrap()).into()
    }

    /// What it logged, over all its lives.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join(format!("{}.log", self.name))).unwrap_or_default()
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// A signal by its name, such as `HUP`.
    pub(crate) fn tell(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// SIGTERM, and an end in order.
    pub(crate) fn stop(&mut self) {
        self.tell("TERM");
        let status = self.child.take().unwrap().wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Files that it writes grow no further than so many bytes.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let done = Command::new("prlimit")
            .arg(format!("--fsize={limit}:unlimited"))
            .args(["--pid", &self.pid().to_string()])
            .status()
            .expect("prlimit(1), of util-linux");
        assert!(done.success());
    }
}
