//! A terminal of a test: the real driver, somebody always at the keyboard.

use std::path::Path;

use classpulse_agent::{
    access::Access,
    clock::{Clock as _, SystemClock},
    core::{Core, CoreConfig, Observation, Seen},
    enrol::Application,
    identity::IdentityFile,
    journal::MemoryJournal,
    link::{Enrolment, Login},
    local::StatusBoard,
    publish::{self, Options, SaveNow},
    sense::Sense,
};
use classpulse_proto::v1::{AgentFacts, Hardware};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Duration, Instant, sleep},
};

struct Somebody;

impl Sense for Somebody {
    fn observe(&mut self, mono_ms: u64, _: i64) -> Observation {
        Observation {
            last_input_mono_ms: Some(mono_ms),
            ..Observation::default()
        }
    }

    fn missing(&self) -> Vec<String> {
        Vec::new()
    }
}

pub(crate) struct Terminal {
    pub(crate) board: StatusBoard,
    stop: watch::Sender<bool>,
    task: JoinHandle<Vec<Seen>>,
}

impl Terminal {
    pub(crate) fn start(
        access: Access,
        login: Option<Login>,
        enrolment: Option<Enrolment>,
    ) -> Self {
        let mut clock = SystemClock;
        let config = CoreConfig {
            terminal: String::new(),
            facts: AgentFacts::default(),
            heartbeat_seconds: 15,
            idle_seconds: 300,
            hardware_ms: None,
            utc_offset_seconds: 0,
        };
        let core = Core::start([7; 16], clock.now(), config, None);
        let board = StatusBoard::default();
        let options = Options {
            access,
            login,
            enrolment,
            tick: Duration::from_secs(1),
            jitter: Duration::ZERO,
            seed: 1,
            board: board.clone(),
            utc_offset_seconds: 0,
            history: false,
            save_now: SaveNow::default(),
            found: Vec::new(),
        };
        let (stop, stopped) = watch::channel(false);
        let (progress, _) = watch::channel(0);
        let driver = publish::run(
            options,
            core,
            Somebody,
            clock,
            MemoryJournal::default(),
            stopped,
            progress,
        );
        Self {
            board,
            stop,
            task: tokio::spawn(driver),
        }
    }

    /// What `status` would show, once its connection is in this state.
    pub(crate) async fn reaches(&self, state: &str) -> Value {
        let began = Instant::now();
        loop {
            let shown = self.board.ask().await;
            if shown["connection"]["state"] == state {
                return shown;
            }
            assert!(
                began.elapsed() < Duration::from_mins(1),
                "never {state}: {shown:#}"
            );
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// How long stopping took.
    pub(crate) async fn stop(self) -> Duration {
        let began = Instant::now();
        self.stop.send_replace(true);
        self.task.await.unwrap();
        began.elapsed()
    }
}

pub(crate) fn named(terminal: &str, key: &str) -> Login {
    Login {
        terminal: terminal.to_owned(),
        key: key.to_owned(),
        previous: String::new(),
    }
}

pub(crate) fn application() -> Application {
    Application {
        code: "7KQ4-M2XD-9TRA".to_owned(),
        room: "三年级(2)班".to_owned(),
        hardware: Hardware {
            board: vec![1; 16],
            disk: vec![2; 16],
            macs: vec![vec![3; 16]],
        },
        facts: AgentFacts {
            version: "0.1.0".to_owned(),
            ..AgentFacts::default()
        },
    }
}

pub(crate) fn enrolment(file: &Path) -> Enrolment {
    let application = application();
    Enrolment {
        hardware: application.hardware.clone(),
        application: Some(application),
        file: IdentityFile::new(file.to_owned()),
    }
}
