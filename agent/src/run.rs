//! Puts the agent together: configuration → sensing, journal, core → the driver, until told to stop.
//!
//! Not responsible for arguments, signals and exit codes (the program and the service manager's entry).

use std::{convert::Infallible, path::Path, time::Duration};

use classpulse_proto::v1::{AgentFacts, Hardware};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{
    access::{Access, Trust},
    chain::chain,
    clock::{Clock as _, SystemClock, hardware_ms},
    config::{Config, ConfigError},
    core::{BEGINNING_MS, Core, CoreConfig, Now, Seen},
    enrol::{Application, EnrolError},
    hardware,
    identity::{Beginning, Identity, IdentityFile},
    journal::{FileJournal, JournalStore as _, Loaded},
    link::{Enrolment, Login},
    local::{Accept, Hearing, Hub, Speakers, StatusBoard, carrier, serve},
    publish::{self, Options, SaveNow},
    sense::{Sense as _, machine},
    tls::Dates,
};

/// Between two tries to listen for local helpers.
const LISTEN_AGAIN: Duration = Duration::from_secs(30);
/// A machine that is on for so long was not switched on with all others, ms: the agent alone is new.
const LONG_ON_MS: u64 = 600_000;
/// Then the first connection waits no longer than this, s.
const SHORT_JITTER: u64 = 5;

/// Why the agent could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Without it nobody can tell one power-on from the next.
    #[error("the system tells no boot id")]
    BootId(#[source] std::io::Error),
    /// The machine has no name, and none can be kept for it.
    #[error(transparent)]
    Name(#[from] ConfigError),
}

/// Senses and reports until `stop` says true; `save_now` may ask for the journal in between, and `hearing` says who is
/// heard on people's sessions. The answer is every session of this boot, for the log.
///
/// # Errors
/// [`RunError`], before anything was sensed.
pub async fn run(
    config: Config,
    stop: watch::Receiver<bool>,
    save_now: SaveNow,
    hearing: Hearing,
) -> Result<Vec<Seen>, RunError> {
    let boot = machine::boot_id().map_err(RunError::BootId)?;
    let mut clock = SystemClock;
    let mut journal = FileJournal::new(config.journal.clone());
    let who = Who::find(&config, &journal)?;
    let loaded = if who.own_journal {
        journal.load()
    } else {
        Loaded::default()
    };
    let mut found = who.troubles.clone();
    for trouble in &loaded.troubles {
        warn!(trouble = chain(trouble), "the journal was not whole");
        found.push(chain(trouble));
    }
    let known_ms = loaded.state.as_ref().map_or(0, |state| state.known_ms);
    let access = access(&config, known_ms);
    let board = StatusBoard::default();
    let hub = Hub {
        feed: Some(hearing.feed.clone()),
        board: board.clone(),
        now_ms: || SystemClock.now().mono_ms,
    };
    let sense = machine::open(&config.sources, hearing.feed);
    let missing = sense.missing();
    for source in &missing {
        warn!(
            source,
            "this source is not on this machine, or may not be read"
        );
    }
    let now = clock.now();
    let facts = facts(now, missing);
    let core_config = CoreConfig {
        hardware_ms: hardware_ms(now),
        terminal: who.terminal().to_owned(),
        facts: facts.clone(),
        heartbeat_seconds: config.heartbeat_seconds,
        idle_seconds: config.idle_seconds,
        utc_offset_seconds: config.utc_offset_seconds(),
    };
    let core = Core::start(boot, now, core_config, loaded.state);
    info!(
        terminal = who.terminal(),
        server = format!("{}:{}", config.host, config.port),
        tls = !matches!(access.trust, Trust::Plain),
        "sensing"
    );
    let long_on = now.mono_ms > LONG_ON_MS;
    let jitter = config
        .jitter_seconds
        .min(if long_on { SHORT_JITTER } else { u64::MAX });
    let options = Options {
        access,
        enrolment: who.enrolment(&config, facts),
        login: who.login,
        tick: Duration::from_secs(config.tick_seconds),
        jitter: Duration::from_secs(jitter),
        seed: now.mono_ms ^ u64::from(crc32fast::hash(&boot)),
        board,
        utc_offset_seconds: config.utc_offset_seconds(),
        history: config.history,
        save_now,
        found,
    };
    let (progress, _) = watch::channel(0);
    // Together in one task: local connections end with the driver.
    tokio::select! {
        sessions = publish::run(options, core, sense, clock, journal, stop, progress) => Ok(sessions),
        never = hear(&config.socket, hub, hearing.speakers) => match never {},
    }
}

/// The way to the server, as configured. Where its authority's file can't be used, nothing is sent in plain text
/// instead, and each attempt to connect reads it again. `known_ms` is the last known time, Unix ms; 0 where none is.
#[must_use]
pub fn access(config: &Config, known_ms: i64) -> Access {
    let since_ms = known_ms.max(BEGINNING_MS);
    let dates = Dates {
        vouched: || SystemClock.now().wall_synced,
        since: u64::try_from(since_ms / 1_000).unwrap_or(0),
    };
    let trust = match config.ca_file.as_deref() {
        None => Trust::Plain,
        Some(file) => Trust::pinned(file, dates),
    };
    Access {
        host: config.host.clone(),
        port: config.port,
        trust,
    }
}

/// Why `enrol` did not.
#[derive(Debug, thiserror::Error)]
pub enum EnrolNowError {
    /// It would take the running agent's identity from under it.
    #[error("the agent runs, and enrols by itself; `classpulse-agent status` says how it stands")]
    Running,
    /// There is nothing to show.
    #[error(
        "there is no enrolment code: set `code` in the configuration, or CLASSPULSE_AGENT_CODE"
    )]
    NoCode,
    /// The terminal was named by hand.
    #[error("`terminal` is set: this terminal was named by hand")]
    Named,
    /// The server can't be recognised.
    #[error("{0}")]
    Trust(String),
    /// The server's answer, or its absence.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// The machine has no name of its own either.
    #[error(transparent)]
    Name(#[from] ConfigError),
    /// Enrolled, and not kept.
    #[error("enrolled, and the identity can't be kept")]
    Save(#[source] std::io::Error),
}

/// Enrols now, once, and keeps the identity.
///
/// # Errors
/// [`EnrolNowError`].
pub async fn enrol(config: &Config) -> Result<Identity, EnrolNowError> {
    if carrier::connect(&config.socket).is_ok() {
        return Err(EnrolNowError::Running);
    }
    if config.terminal.is_some() {
        return Err(EnrolNowError::Named);
    }
    let access = access(config, 0);
    if let Trust::Broken(unread) = &access.trust {
        return Err(EnrolNowError::Trust(unread.why().to_owned()));
    }
    let who = Who::find(config, &FileJournal::new(config.journal.clone()))?;
    let enrolment = who.enrolment(config, facts(SystemClock.now(), Vec::new()));
    let Some((application, enrolment)) =
        enrolment.and_then(|it| Some((it.application.clone()?, it)))
    else {
        return Err(EnrolNowError::NoCode);
    };
    let welcome = crate::enrol::enrol(&access, &application, rand::random()).await?;
    let identity = enrolment.identity(&access, welcome);
    enrolment
        .file
        .save(&identity)
        .map_err(EnrolNowError::Save)?;
    Ok(identity)
}

/// About this machine, for a boot's first report.
fn facts(now: Now, missing_sources: Vec<String>) -> AgentFacts {
    AgentFacts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        os: machine::os_name(),
        booted_at: (now.wall_ms - i64::try_from(now.mono_ms).unwrap_or(0)).div_euclid(1_000),
        missing_sources,
    }
}

/// Who this machine is when the agent begins.
struct Who {
    login: Option<Login>,
    /// The identity's file and the machine's marks; `None` where the terminal was named by hand.
    bound: Option<(IdentityFile, Hardware)>,
    own_journal: bool,
    /// What was wrong with the identity, in words.
    troubles: Vec<String>,
}

impl Who {
    fn find(config: &Config, journal: &FileJournal) -> Result<Self, ConfigError> {
        let file = IdentityFile::new(config.identity.clone());
        // Nobody named it, nobody gave it a code: it has a name of its own, and waits to be approved under that.
        let nameless = config.terminal.is_none() && config.code.is_none();
        let named = match config.terminal.clone() {
            None if nameless && file.look().said.is_none() => Some(config.default_terminal()?),
            named => named,
        };
        if let Some(terminal) = named {
            return Ok(Self {
                login: Some(Login::without_key(terminal)),
                bound: None,
                own_journal: true,
                troubles: Vec::new(),
            });
        }
        let here = hardware::here(&config.hardware_root);
        let Beginning {
            identity,
            foreign,
            own_journal,
            troubles,
        } = file.begin(&here, journal);
        let troubles: Vec<String> = troubles.iter().map(|one| chain(one)).collect();
        for trouble in &troubles {
            warn!(trouble, "the identity");
        }
        for file in foreign {
            warn!(file = %file.display(), "another machine's, put aside: this disk was copied");
        }
        Ok(Self {
            login: identity.as_ref().map(Login::from),
            bound: Some((file, here)),
            own_journal,
            troubles,
        })
    }

    fn terminal(&self) -> &str {
        self.login.as_ref().map_or("", |login| &login.terminal)
    }

    fn enrolment(&self, config: &Config, facts: AgentFacts) -> Option<Enrolment> {
        let (file, hardware) = self.bound.clone()?;
        let application = config.code.clone().map(|code| Application {
            code,
            room: config.room.clone(),
            hardware: hardware.clone(),
            facts,
        });
        Some(Enrolment {
            application,
            file,
            hardware,
        })
    }
}

impl From<&Identity> for Login {
    fn from(identity: &Identity) -> Self {
        Self {
            terminal: identity.terminal.clone(),
            key: identity.key.clone(),
            previous: identity.previous_key.clone(),
        }
    }
}

/// Attends to local peers. Helpers that the service started come to a place of their own; nobody else is heard on
/// people's sessions then, and the usual place only tells the agent's state.
async fn hear(at: &Path, hub: Hub, speakers: Speakers) -> Infallible {
    let usual = |hub| listen(at, || carrier::listen(at), hub);
    match speakers {
        Speakers::Anybody => usual(hub).await,
        #[cfg(windows)]
        Speakers::Started(helpers) => {
            let unheard = Hub {
                feed: None,
                ..hub.clone()
            };
            tokio::select! {
                never = usual(unheard) => match never {},
                never = listen(helpers.place(), || helpers.listen(), hub) => match never {},
            }
        }
    }
}

/// Attends to those who come to a place. Where that can't be, sensing goes on without them, and it is tried again: an
/// agent that is just being replaced may still listen, or somebody else holds the place.
async fn listen<Door: Accept>(
    at: &Path,
    open: impl Fn() -> std::io::Result<Door>,
    hub: Hub,
) -> Infallible {
    let mut told = false;
    loop {
        match open() {
            Ok(door) => return serve(door, hub).await,
            Err(error) if !told => {
                let taken = error.kind() == std::io::ErrorKind::AddrInUse;
                warn!(
                    at = %at.display(), %error, taken,
                    "nobody on this machine is heard here, be it that another process has this place"
                );
                told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}
