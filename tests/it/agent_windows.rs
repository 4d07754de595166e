//! The agent's program for Windows, under Wine, against the service: what it logged is what the service counts, over a
//! kill and a broker that went away; input injected into a session becomes used minutes through its helper.
//!
//! `./deploy/test` makes what is needed: the program, a Wine prefix to copy, Wine, Xvfb and xdotool.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

use classpulse::domain::session::Session;
use tempfile::TempDir;

use crate::{
    agent_process::{held, logged, painted, until},
    servers::mosquitto::{KEEPS, Mosquitto},
    support::{PATIENCE, Service, register},
};

/// What the cross build made, by its place in the repository.
pub(crate) fn made(place: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    assert!(
        path.exists(),
        "run ./deploy/test: it makes {}",
        path.display()
    );
    path
}

/// Where the cross build keeps its own things, the Wine prefix among them: as `deploy/cross` has it.
#[expect(clippy::disallowed_methods, reason = "a script tells a test")]
fn cross() -> PathBuf {
    let said = std::env::var("CLASSPULSE_CROSS").unwrap_or_else(|_| "target/cross".to_owned());
    made(&said)
}

/// Kills what it holds when the test is done with it.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Waits for a process that was told to end.
fn ended(child: &mut Child) -> bool {
    const LOOK: Duration = Duration::from_millis(50);
    for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        std::thread::sleep(LOOK);
    }
    false
}

/// A Windows of a test's own, which ends with the test.
pub(crate) struct Windows {
    pub(crate) folder: TempDir,
    display: Option<String>,
}

impl Windows {
    pub(crate) fn start(display: Option<&Screen>) -> Self {
        let from = cross().join("wine");
        assert!(from.join("ready").exists(), "run ./deploy/test");
        // Beside it, where hard links reach.
        let folder = TempDir::new_in(cross()).unwrap();
        let to = folder.path().join("wine");
        // Hard links, for its hundreds of megabytes; the registry is written in place and is copied.
        let copy = |arguments: &[&str]| {
            let mut cp = Command::new("cp");
            assert!(cp.args(arguments).arg(&to).status().unwrap().success());
        };
        copy(&["-al", from.to_str().unwrap()]);
        for registry in ["system.reg", "user.reg", "userdef.reg"] {
            let file = from.join(registry);
            copy(&["--remove-destination", file.to_str().unwrap()]);
        }
        Self {
            folder,
            display: display.map(|screen| screen.name.clone()),
        }
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("WINEPREFIX", self.folder.path().join("wine"))
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", "mscoree=;mshtml=;winemenubuilder.exe=")
            .env("NO_COLOR", "1")
            .env_remove("DISPLAY")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(display) = &self.display {
            command.env("DISPLAY", display);
        }
        command
    }

    /// Starts a program of Windows.
    fn run(&self, arguments: &[&str]) -> Killed {
        let child = self.command("wine").args(arguments).spawn();
        Killed(child.expect("wine: run ./deploy/test"))
    }

    /// Starts the helper in the session.
    fn help(&self) -> Killed {
        let program = made("target/dist/classpulse-agent.exe");
        self.run(&[program.to_str().unwrap(), "session"])
    }

    /// How many helpers the agent hears, as its status says.
    fn helpers(&self, name: &str) -> u64 {
        let program = made("target/dist/classpulse-agent.exe");
        let answer = self
            .command("wine")
            .arg(program)
            .args(["status", "--json", "--server", "127.0.0.1:9"])
            .args(["--terminal", name, "--journal", &self.journal(name)])
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        let status: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
        let sources = status["agent"]["sensing"].as_array();
        let session = sources.and_then(|all| all.iter().find(|one| one["source"] == "session"));
        session.map_or(0, |one| one["count"].as_u64().unwrap_or(0))
    }

    /// As Windows names it.
    fn journal(&self, name: &str) -> String {
        let journal = self.folder.path().join(format!("{name}.journal"));
        format!("Z:{}", journal.display()).replace('/', "\\")
    }

    fn agent(&self, broker: SocketAddr, name: &str) -> Agent {
        let log = self.folder.path().join(format!("{name}.log"));
        let file = fs::OpenOptions::new().create(true).append(true).open(&log);
        let journal = self.journal(name);
        let child = self
            .command("wine")
            .arg(made("target/dist/classpulse-agent.exe"))
            .args(["run", "--server", &broker.to_string(), "--terminal", name])
            .args(["--tick-seconds", "1", "--heartbeat-seconds", "15"])
            .args(["--jitter-seconds", "0", "--journal", &journal])
            .stderr(Stdio::from(file.unwrap()))
            .spawn();
        Agent {
            child: Killed(child.expect("wine: run ./deploy/test")),
            log,
        }
    }
}

impl Drop for Windows {
    fn drop(&mut self) {
        for end in ["-k", "-w"] {
            let mut server = self.command("timeout");
            server.args(["20", "wineserver", end]).status().ok();
        }
    }
}

/// An agent's process.
struct Agent {
    child: Killed,
    log: PathBuf,
}

impl Agent {
    /// Ctrl-C, as Wine passes it on; and the sessions that it says it recorded in this boot.
    fn stop(mut self) -> Vec<Session> {
        let pid = self.child.0.id().to_string();
        let told = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(told.success() && ended(&mut self.child.0), "stops in order");
        logged(&fs::read_to_string(&self.log).unwrap())
    }

    fn said(&self, words: &str) -> usize {
        fs::read_to_string(&self.log)
            .unwrap()
            .matches(words)
            .count()
    }
}

/// An X display of a test's own.
pub(crate) struct Screen {
    name: String,
    _server: Killed,
}

impl Screen {
    fn start() -> Self {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten"])
            .arg("tcp")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb: run ./deploy/test");
        let mut number = String::new();
        let mut said = BufReader::new(server.stdout.take().unwrap());
        said.read_line(&mut number).unwrap();
        Self {
            name: format!(":{}", number.trim()),
            _server: Killed(server),
        }
    }

    /// Moves the mouse every second, until told to stop.
    fn person(&self) -> (Sender<()>, JoinHandle<()>) {
        let display = self.name.clone();
        let (enough, moved_enough) = channel();
        let moving = move || {
            for place in (100..).step_by(7) {
                let at = (place % 500).to_string();
                let mut hand = Command::new("xdotool");
                hand.args(["mousemove", &at, &at]).env("DISPLAY", &display);
                hand.status().expect("xdotool: run ./deploy/test");
                let wait = moved_enough.recv_timeout(Duration::from_secs(1));
                if wait != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
        };
        (enough, std::thread::spawn(moving))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn input_in_a_session_becomes_used_minutes_and_a_kill_loses_none() {
    let service = Service::start().await;
    let store = service.app.store.clone();
    register(&store, &[]).await;
    let screen = Screen::start();
    let windows = Windows::start(Some(&screen));
    // A desktop, so that X tells Wine of the mouse; and the helper in its session.
    let _desktop = windows.run(&["explorer", "/desktop=classroom,800x600"]);
    let agent = windows.agent(service.broker(), "windows-1");
    let _helper = windows.help();
    let used = async || {
        let days = held(&store, "windows-1").await;
        days.iter().any(|(_, _, used)| !used.is_empty())
    };
    until("the agent's first minutes", async || {
        !held(&store, "windows-1").await.is_empty()
    })
    .await;
    // The helper is heard, and two reports came that would have said what it saw: nobody is there.
    until("the helper", async || windows.helpers("windows-1") == 1).await;
    let heard = service.app.metrics.reports();
    until("two reports with the helper", async || {
        service.app.metrics.reports() >= heard + 2
    })
    .await;
    assert!(!used().await, "nobody is there");

    let (enough, moving) = screen.person();
    until("a used minute", used).await;
    // Cut off without a word, and started again in the same boot.
    let before = held(&store, "windows-1").await;
    drop(agent);
    let agent = windows.agent(service.broker(), "windows-1");
    until("a heartbeat", async || {
        held(&store, "windows-1").await != before
    })
    .await;
    enough.send(()).ok();
    moving.join().unwrap();
    let sessions = agent.stop();

    until("what it logged", async || {
        held(&store, "windows-1").await == painted(&sessions)
    })
    .await;
    let after = held(&store, "windows-1").await;
    for (day, powered, used) in &before {
        let kept = after
            .iter()
            .any(|(now, on, in_use)| now == day && powered.is_subset(on) && used.is_subset(in_use));
        assert!(kept, "what was there before the kill, on {day}");
    }
    assert_eq!(store.quarantine_counts().await.unwrap(), []);
    drop(windows);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_without_a_broker_outlives_a_kill_and_arrives() {
    let service = Service::start().await;
    register(&service.app.store, &[]).await;
    let address = service.broker();
    let windows = Windows::start(None);
    let agent = windows.agent(address, "windows-2");
    let store = service.app.store.clone();
    until("a connection", async || {
        !held(&store, "windows-2").await.is_empty()
    })
    .await;
    let data = service.stop().await;
    // Long enough for the journal's next writing; then killed, with nobody to tell.
    tokio::time::sleep(Duration::from_secs(20)).await;
    drop(agent);
    let agent = windows.agent(address, "windows-2");
    until("that the agent runs", async || agent.said("sensing") == 2).await;
    let broker = format!("[broker]\nlisten = \"{address}\"");
    let service = Service::start_in(data, &broker).await;
    let store = service.app.store.clone();
    let metrics = service.app.metrics.clone();
    until("a report after the restart", async || metrics.reports() > 0).await;
    let sessions = agent.stop();
    until("what it logged", async || {
        held(&store, "windows-2").await == painted(&sessions)
    })
    .await;
    drop(windows);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outside_broker_that_ends_and_a_power_cut_lose_nothing() {
    let mut mosquitto = Mosquitto::start(KEEPS);
    let broker = format!(
        "[broker]\nkind = \"outside\"\nhost = \"127.0.0.1\"\nport = {}\n",
        mosquitto.port
    );
    let service = Service::start_with(&broker).await;
    let store = service.app.store.clone();
    register(&store, &[]).await;
    let windows = Windows::start(None);
    let agent = windows.agent(mosquitto.address(), "windows-3");
    until("the first minutes over Mosquitto", async || {
        !held(&store, "windows-3").await.is_empty()
    })
    .await;
    // The broker goes; what is recorded meanwhile is in the journal when the agent is killed, as by a power cut.
    mosquitto.end();
    until("that the broker is missed", async || {
        agent.said("no connection") > 0
    })
    .await;
    let written = windows.folder.path().join("windows-3.journal");
    let before = fs::metadata(&written).unwrap().modified().unwrap();
    until("a write of the journal", async || {
        fs::metadata(&written).unwrap().modified().unwrap() > before
    })
    .await;
    drop(agent);
    let agent = windows.agent(mosquitto.address(), "windows-3");
    until("that the agent runs", async || agent.said("sensing") == 2).await;
    let connected = agent.said(" connected");
    mosquitto.start_again();
    until("a connection to the broker that is back", async || {
        agent.said(" connected") > connected
    })
    .await;
    let reports = service.app.metrics.reports();
    until("a report after it", async || {
        service.app.metrics.reports() > reports
    })
    .await;
    let sessions = agent.stop();
    until("what it logged", async || {
        held(&store, "windows-3").await == painted(&sessions)
    })
    .await;
    assert_eq!(store.quarantine_counts().await.unwrap(), []);
    drop(windows);
    service.stop().await;
}
