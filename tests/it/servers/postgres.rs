//! A PostgreSQL cluster of the test's own: its folder, its port, its end.
//!
//! PostgreSQL refuses to run as root; for root it runs as the user `postgres` of the Debian package.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;

use super::free_port;

/// A running cluster; user `classpulse`, no password on loopback.
pub(crate) struct Postgres {
    folder: TempDir,
    port: u16,
    /// A shell that holds the server and ends it when its standard input closes: so the server ends with the test
    /// process, however that ends.
    keeper: Option<Child>,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end();
    }
}

/// Databases made so far, for names that nobody else has.
static DATABASES: AtomicU32 = AtomicU32::new(0);

static SHARED: LazyLock<Postgres> = LazyLock::new(Postgres::start);

/// A cluster for all tests that only want a database of their own. It ends with the test process.
pub(crate) fn shared() -> &'static Postgres {
    &SHARED
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// The same with more lines for its configuration.
    pub(crate) fn start_with(settings: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        if root() {
            let owned = Command::new("chown").arg("postgres:").arg(&data).status();
            assert!(owned.unwrap().success());
        }
        let made = as_user(&program("initdb"))
            .args(["--auth=trust", "--username=classpulse", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .current_dir("/")
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let port = free_port();
        let lines = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 200\n\
             shared_buffers = 128MB\nlogging_collector = off\n{settings}\n"
        );
        fs::write(folder.path().join("more.conf"), lines).unwrap();
        let mut server = Self {
            folder,
            port,
            keeper: None,
        };
        server.start_again();
        server
    }

    /// Starts it on the same port and folder, after [`Postgres::kill`] or [`Postgres::end`].
    pub(crate) fn start_again(&mut self) {
        let data = self.data();
        // What a killed postmaster leaves behind; the next one would take our word that it is gone.
        fs::remove_file(data.join("postmaster.pid")).ok();
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let script = format!(
            "\"$0\" -D '{}' -c config_file='{}' & server=$!; read -r _; kill -INT $server; wait $server",
            data.display(),
            self.configuration().display(),
        );
        let keeper = as_user(Path::new("/bin/sh"))
            .arg("-c")
            .arg(script)
            .arg(program("postgres"))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.keeper = Some(keeper);
        self.wait();
    }

    /// The default configuration and ours, in one file outside the data folder.
    fn configuration(&self) -> PathBuf {
        let path = self.folder.path().join("postgresql.conf");
        let own = fs::read_to_string(self.folder.path().join("more.conf")).unwrap();
        let hba = self.data().join("pg_hba.conf");
        fs::write(&path, format!("hba_file = '{}'\n{own}", hba.display())).unwrap();
        path
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn wait(&self) {
        for _ in 0..600 {
            let ready = Command::new(program("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            if ready.unwrap().success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut log = String::new();
        let mut file = fs::File::open(self.folder.path().join("log")).unwrap();
        file.read_to_string(&mut log).unwrap();
        panic!("PostgreSQL does not answer on {}: {log}", self.port);
    }

    /// The postmaster's process id.
    pub(crate) fn pid(&self) -> u32 {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().trim().parse().unwrap()
    }

    fn signal(signal: &str, pid: u32) {
        let sent = Command::new("kill")
            .args([signal, &pid.to_string()])
            .status();
        assert!(sent.unwrap().success(), "kill {signal} {pid}");
    }

    /// Its processes: the postmaster and its children.
    fn family(&self) -> Vec<u32> {
        let postmaster = self.pid();
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"))
            .unwrap_or_default();
        let children = children
            .split_whitespace()
            .filter_map(|child| child.parse().ok());
        std::iter::once(postmaster).chain(children).collect()
    }

    /// `kill -9` of the postmaster; its children follow. [`Postgres::start_again`] lets it recover.
    pub(crate) fn kill(&mut self) {
        let family = self.family();
        Self::signal("-KILL", family[0]);
        for pid in &family[1..] {
            // Most end by themselves when they miss their postmaster.
            Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .stderr(Stdio::null())
                .status()
                .ok();
        }
        self.end();
    }

    /// Stops all its processes where they stand (SIGSTOP), as a machine that hangs.
    pub(crate) fn pause(&self) {
        for pid in self.family() {
            Self::signal("-STOP", pid);
        }
    }

    /// Lets them go on.
    pub(crate) fn resume(&self) {
        for pid in self.family() {
            Self::signal("-CONT", pid);
        }
    }

    /// Ends it in order.
    pub(crate) fn end(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait().ok();
        }
    }

    /// Where a database is; it need not exist.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://classpulse@127.0.0.1:{}/{database}", self.port)
    }

    /// A new, empty database; returns its URL.
    pub(crate) fn database(&self) -> String {
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        let made = Command::new(program("createdb"))
            .args(["-h", "127.0.0.1", "-U", "classpulse", "-T", "template0"])
            .args(["-p", &self.port.to_string(), &name])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        self.url(&name)
    }
}

fn root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// A command that does not run as root.
fn as_user(program: &Path) -> Command {
    if !root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--init-groups"])
        .arg(program);
    command
}

/// The newest version that Debian's packages have installed.
fn program(name: &str) -> PathBuf {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed by deploy/test")
        .map(|entry| entry.unwrap().path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    versions.sort();
    versions
        .pop()
        .expect("PostgreSQL is installed by deploy/test")
}
