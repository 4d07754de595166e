//! What is measured, as processes of its own: service, Mosquitto, PostgreSQL. Each ends with its value.
//!
//! Also what they cost: CPU time and memory, from `/proc`. Not responsible for the load.

use std::{
    fs::{self, File},
    io::Read as _,
    net::TcpStream,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    setup::{self, Settings},
    spread::now,
};

/// How long a server may take to listen, and to end.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    /// What it is called in tables.
    pub name: String,
    child: Child,
    log: PathBuf,
}

/// What a process (with its children) has cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// CPU seconds, user and system.
    pub cpu: f64,
    /// Peak memory in MB. Where a server is several processes: their proportional share (PSS) now.
    pub megabytes: f64,
}

impl Server {
    fn start(name: impl Into<String>, log: PathBuf, command: &mut Command) -> Self {
        let name = name.into();
        let file = File::create(&log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a log file"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} can't be started: {error}"));
        Self { name, child, log }
    }

    /// Waits until a port answers.
    fn listens(mut self, port: u16) -> Self {
        let begun = now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = self.child.try_wait().expect("a child");
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "{} does not listen on {port}: {}",
                self.name,
                self.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        self
    }

    /// Everything that it has logged.
    pub(crate) fn said(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(&self.log) {
            drop(file.read_to_end(&mut text));
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// What it has cost so far.
    pub(crate) fn cost(&self) -> Cost {
        cost_of(self.child.id(), true)
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended already.
            kill_process(pid, signal).ok();
        }
    }

    /// Asks it to end in order, waits, and returns the last line it logged.
    pub(crate) fn stop(mut self, signal: Signal) -> String {
        self.signal(signal);
        let begun = now();
        loop {
            if self.child.try_wait().expect("a child").is_some() {
                break;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{} does not end: {}",
                self.name,
                self.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        self.said().lines().last().unwrap_or_default().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // PostgreSQL's children end with it only if it is asked.
            self.signal(Signal::QUIT);
            std::thread::sleep(Duration::from_millis(300));
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// This process's own cost.
pub(crate) fn own_cost() -> Cost {
    cost_of(std::process::id(), false)
}

fn cost_of(pid: u32, with_children: bool) -> Cost {
    let mut pids = vec![pid];
    if with_children {
        pids.extend(children(pid));
    }
    let cpu = pids.iter().filter_map(|pid| cpu(*pid, with_children)).sum();
    let megabytes = match pids.as_slice() {
        [one] => kilobytes(&format!("/proc/{one}/status"), "VmHWM:"),
        all => all
            .iter()
            .filter_map(|pid| kilobytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:"))
            .reduce(|a, b| a + b),
    };
    Cost {
        cpu,
        megabytes: megabytes.unwrap_or(0.0) / 1_000.0,
    }
}

/// The fields of `/proc/PID/stat` after the name, which may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn cpu(pid: u32, with_children: bool) -> Option<f64> {
    // utime, stime, then those of children that have ended.
    let fields = stat(pid)?;
    let wanted = if with_children { 11..15 } else { 11..13 };
    let ticks: u32 = fields
        .get(wanted)?
        .iter()
        .filter_map(|one| one.parse::<u32>().ok())
        .sum();
    let per_second = u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    Some(f64::from(ticks) / f64::from(per_second))
}

fn children(parent: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid).and_then(|fields| fields.get(1)?.parse().ok()) == Some(parent))
        .collect()
}

fn kilobytes(file: &str, key: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Mosquitto on a port of its own, with limits that lose nothing.
pub(crate) fn mosquitto(folder: &Path, port: u16, persistence: bool) -> Server {
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence {persistence}\npersistence_location {}/\n\
         max_queued_messages 1000000\nmax_inflight_messages 10000\nset_tcp_nodelay true\nsys_interval 0\n\
         connection_messages false\nlog_type error\nlog_type warning\n{}",
        folder.display(),
        if rustix::process::getuid().is_root() {
            "user root\n"
        } else {
            ""
        },
    );
    let file = folder.join("mosquitto.conf");
    fs::write(&file, text).expect("a configuration");
    let program = [
        "/usr/sbin/mosquitto",
        "/usr/bin/mosquitto",
        "/usr/local/sbin/mosquitto",
    ]
    .into_iter()
    .find(|path| Path::new(path).exists())
    .expect("mosquitto must be installed");
    let mut command = Command::new(program);
    command.arg("-c").arg(file);
    Server::start("Mosquitto", folder.join("mosquitto.log"), &mut command).listens(port)
}

/// A cluster of its own, durable as in production. Returns the server and the store's URL.
pub(crate) fn postgres(folder: &Path) -> (Server, String) {
    let programs = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL must be installed");
    let mut versions: Vec<_> = programs
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    versions.sort();
    let programs = versions.pop().expect("PostgreSQL must be installed");
    let (data, port) = (folder.join("pg"), setup::free_port().expect("a port"));
    fs::create_dir(&data).expect("a folder");
    let root = rustix::process::getuid().is_root();
    if root {
        // PostgreSQL refuses to be root, and its user must reach its folder.
        let id = |kind| {
            let found = Command::new("id")
                .args([kind, "postgres"])
                .output()
                .expect("id");
            String::from_utf8_lossy(&found.stdout)
                .trim()
                .parse::<u32>()
                .expect("the user postgres")
        };
        chown(&data, Some(id("-u")), Some(id("-g"))).expect("to be root");
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("our folder");
    }
    let run = |program: &str| {
        let path = programs.join(program);
        if root {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=postgres", "--regid=postgres", "--init-groups"])
                .arg(path);
            command
        } else {
            Command::new(path)
        }
    };
    let made = run("initdb")
        .args([
            "--username=classpulse",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-sync",
            "--locale=C",
            "-D",
        ])
        .arg(&data)
        .current_dir("/")
        .output()
        .expect("initdb");
    assert!(
        made.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let mut server = run("postgres");
    server.arg("-D").arg(&data).current_dir("/");
    for setting in [
        &format!("port={port}"),
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "shared_buffers=1GB",
        "max_wal_size=8GB",
        "checkpoint_timeout=15min",
        "wal_compression=off",
        "jit=off",
    ] {
        server.args(["-c", setting]);
    }
    let server =
        Server::start("PostgreSQL", folder.join("postgres.log"), &mut server).listens(port);
    (
        server,
        format!("postgres://classpulse@127.0.0.1:{port}/postgres"),
    )
}

/// Writes the configuration and imports the tables into the store.
pub(crate) fn import(folder: &Path, settings: &Settings, tables: &[String]) {
    let config = configure(folder, settings, "import");
    for table in tables {
        let done = Command::new(crate::program())
            .arg("--config")
            .arg(&config)
            .args(["import", table])
            .output()
            .expect("the service's program");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "import of {table}: {said}");
    }
}

fn configure(folder: &Path, settings: &Settings, name: &str) -> PathBuf {
    let file = folder.join(format!("{name}.toml"));
    fs::write(&file, settings.text()).expect("a configuration");
    file
}

/// Starts the service.
pub(crate) fn service(folder: &Path, settings: &Settings) -> Server {
    let number = settings.outside.map_or(1, |(number, _)| number);
    let config = configure(folder, settings, &format!("service-{number}"));
    let log = folder.join(format!("service-{number}.log"));
    let mut command = Command::new(crate::program());
    command.arg("--config").arg(config).arg("serve");
    let name = match settings.outside {
        Some((number, of)) if of > 1 => format!("aggregator {number}"),
        Some(_) => "aggregator".to_owned(),
        None => "service (broker inside)".to_owned(),
    };
    let server = Server::start(name, log, &mut command).listens(settings.api);
    if settings.outside.is_none() {
        return server.listens(settings.broker);
    }
    // Reports that are published before the subscription stands would be lost to it.
    let begun = now();
    while !server.said().contains("connected to the outside broker") {
        assert!(
            begun.elapsed() < PATIENCE,
            "no connection to the broker: {}",
            server.said()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    server
}
