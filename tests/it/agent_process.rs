//! The real agent's process against the service: what it logged is what the service counts, over kill -9 and restart,
//! and real keystrokes on a pseudo-terminal become used minutes.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::RecvTimeoutError,
    time::Duration,
};

use classpulse::{
    domain::{
        minutes::{DayMinutes, MinuteSet},
        session::{Kind, Session, paint},
        usage::Period,
    },
    store::{SharedStore, TerminalFilter},
};
use jiff::{civil::date, tz::TimeZone};
use tempfile::TempDir;

use crate::support::{PATIENCE, Service, register, terminal};

const ALWAYS: Period = Period {
    first: date(2020, 1, 1),
    last: date(2100, 1, 1),
};

/// The agent's program, which `./deploy/test` builds first.
pub(crate) fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("classpulse-agent");
    assert!(
        path.exists(),
        "run ./deploy/test: it builds {}",
        path.display()
    );
    path
}

/// Where an agent listens for its helpers.
pub(crate) fn socket(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join(format!("{name}.sock"))
}

pub(crate) struct Agent {
    child: Child,
    log: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Agent {
    /// An agent that sees pseudo-terminals.
    pub(crate) fn start(folder: &TempDir, broker: SocketAddr, name: &str) -> Self {
        Self::start_by(Command::new(program()), folder, broker, name, "tty")
    }

    /// The program started by a command of the caller's, with these sources.
    pub(crate) fn start_by(
        mut command: Command,
        folder: &TempDir,
        broker: SocketAddr,
        name: &str,
        sources: &str,
    ) -> Self {
        let log = folder.path().join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = command
            .args(["run", "--terminal", name, "--sources", sources])
            .args(["--server", &broker.to_string()])
            .args(["--tick-seconds", "1", "--heartbeat-seconds", "15"])
            .args(["--jitter-seconds", "0"])
            .arg("--journal")
            .arg(folder.path().join(format!("{name}.journal")))
            .arg("--socket")
            .arg(socket(folder, name))
            .env("NO_COLOR", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::from(file))
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// SIGTERM, and the sessions that it says it recorded in this boot.
    pub(crate) fn stop(mut self) -> Vec<Session> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        logged(&std::fs::read_to_string(&self.log).unwrap())
    }
}

/// The sessions that an agent said it recorded when it was last stopped.
pub(crate) fn logged(log: &str) -> Vec<Session> {
    let last = log.rfind("stopping").expect("it stopped in order");
    log[last..]
        .lines()
        .filter(|line| line.contains("recorded in this boot"))
        .map(parse)
        .collect()
}

fn parse(line: &str) -> Session {
    let field = |name: &str| -> &str {
        let (_, rest) = line
            .split_once(&format!("{name}="))
            .unwrap_or_else(|| panic!("{name} in {line}"));
        rest.split_whitespace().next().unwrap()
    };
    let kind = if field("kind") == "Used" {
        Kind::Used
    } else {
        Kind::Powered
    };
    Session {
        kind,
        start: field("start").parse().unwrap(),
        end: field("end").parse().unwrap(),
    }
}

/// All minutes of sessions, whatever the day.
pub(crate) fn painted(sessions: &[Session]) -> Vec<(jiff::civil::Date, MinuteSet, MinuteSet)> {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let mut days = std::collections::BTreeMap::<_, DayMinutes>::new();
    for part in sessions.iter().flat_map(|session| paint(session, &zone)) {
        days.entry(part.day).or_default().merge(&part.minutes);
    }
    days.into_iter()
        .map(|(day, minutes)| (day, minutes.powered, minutes.used))
        .collect()
}

pub(crate) async fn held(
    store: &SharedStore,
    name: &str,
) -> Vec<(jiff::civil::Date, MinuteSet, MinuteSet)> {
    let days = store.terminal_days(&terminal(name), ALWAYS).await.unwrap();
    days.into_iter()
        .map(|(day, minutes)| (day, minutes.powered, minutes.used))
        .collect()
}

pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + 2 * PATIENCE;
    while !done().await {
        assert!(tokio::time::Instant::now() < deadline, "in time: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_agent_logged_is_what_the_service_counts() {
    let folder = TempDir::new().unwrap();
    let service = Service::start().await;
    let store = service.app.store.clone();
    register(&store, &[]).await;

    // A person at a pseudo-terminal: something that types every second, and something that reads it.
    let typist = Command::new("script")
        .args(["-q", "-c", "cat > /dev/null", "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let mut typist = typist.expect("script(1), of util-linux");
    let mut keys = typist.stdin.take().unwrap();
    let (enough, typed_enough) = std::sync::mpsc::channel::<()>();
    let typing = std::thread::spawn(move || {
        use std::io::Write as _;
        // Until told, or until the test is gone.
        while typed_enough.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
            if keys.write_all(b"x\n").is_err() {
                break;
            }
        }
    });

    let agent = Agent::start(&folder, service.broker(), "real-1");
    until("the agent's first minutes", async || {
        !held(&store, "real-1").await.is_empty()
    })
    .await;
    let pending = TerminalFilter {
        pending_only: true,
        ..TerminalFilter::default()
    };
    let waiting = store.terminals(&pending).await.unwrap();
    assert_eq!(waiting[0].version, env!("CARGO_PKG_VERSION"));
    assert!(!waiting[0].os.is_empty());

    // Cut off without a word, and started again in the same boot: the same session goes on.
    drop(agent);
    let agent = Agent::start(&folder, service.broker(), "real-1");
    // The kernel tells a terminal's access times in steps of 8 s; half a minute of typing paints a minute.
    until("a used minute", async || {
        held(&store, "real-1")
            .await
            .iter()
            .any(|(_, _, used)| !used.is_empty())
    })
    .await;
    enough.send(()).ok();
    typing.join().unwrap();
    let sessions = agent.stop();
    typist.kill().ok();
    typist.wait().ok();

    // In pieces of twelve hours, where this machine has been on for longer.
    let powered = sessions
        .iter()
        .filter(|session| session.kind == Kind::Powered);
    let length: i64 = powered.map(|session| session.end - session.start).sum();
    let uptime: f64 = std::fs::read_to_string("/proc/uptime")
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    #[expect(clippy::cast_precision_loss, reason = "seconds of uptime")]
    let gap = (uptime - length as f64).abs();
    assert!(gap < 30.0, "on since the boot: {length} s of {uptime} s");
    until("what it logged", async || {
        held(&store, "real-1").await == painted(&sessions)
    })
    .await;
    assert_eq!(store.quarantine_counts().await.unwrap(), []);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_without_a_broker_arrives_once_there_is_one() {
    let folder = TempDir::new().unwrap();
    let service = Service::start().await;
    register(&service.app.store, &[]).await;
    let address = service.broker();
    let agent = Agent::start(&folder, address, "real-2");
    let store = service.app.store.clone();
    until("a connection", async || {
        !held(&store, "real-2").await.is_empty()
    })
    .await;
    let data = service.stop().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let broker = format!("[broker]\nlisten = \"{address}\"");
    let service = Service::start_in(data, &broker).await;
    let store = service.app.store.clone();
    let metrics = service.app.metrics.clone();
    until("a report after the restart", async || metrics.reports() > 0).await;
    let sessions = agent.stop();
    until("what it logged", async || {
        held(&store, "real-2").await == painted(&sessions)
    })
    .await;
    service.stop().await;
}
