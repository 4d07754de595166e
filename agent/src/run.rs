//! Puts the agent together: configuration → sensing, journal, core → the driver, until told to stop.
//!
//! Not responsible for arguments, signals and exit codes (the program and the service manager's entry).

use std::{convert::Infallible, path::Path, time::Duration};

use classpulse_proto::v1::AgentFacts;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{
    clock::{Clock as _, SystemClock},
    config::Config,
    core::{Core, CoreConfig, Seen},
    journal::{FileJournal, JournalStore as _},
    local::{Feed, Hub, StatusBoard, carrier, serve},
    publish::{self, Options},
    sense::{Sense as _, machine},
};

/// Between two tries to listen for local helpers.
const LISTEN_AGAIN: Duration = Duration::from_secs(30);

/// Why the agent could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Without it nobody can tell one power-on from the next.
    #[error("the system tells no boot id")]
    BootId(#[source] std::io::Error),
}

/// Senses and reports until `stop` says true. The answer is every session of this boot, for the log.
///
/// # Errors
/// [`RunError`], before anything was sensed.
pub async fn run(config: Config, stop: watch::Receiver<bool>) -> Result<Vec<Seen>, RunError> {
    let boot = machine::boot_id().map_err(RunError::BootId)?;
    let mut clock = SystemClock;
    let mut journal = FileJournal::new(config.journal.clone());
    let loaded = journal.load();
    for trouble in &loaded.troubles {
        warn!(trouble = chain(trouble), "the journal was not whole");
    }
    let feed = Feed::default();
    let hub = Hub {
        feed: feed.clone(),
        board: StatusBoard::default(),
        now_ms: || SystemClock.now().mono_ms,
    };
    let sense = machine::open(&config.sources, feed);
    let missing = sense.missing();
    for source in &missing {
        warn!(
            source,
            "this source is not on this machine, or may not be read"
        );
    }
    let now = clock.now();
    let facts = AgentFacts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        os: machine::os_name(),
        booted_at: (now.wall_ms - i64::try_from(now.mono_ms).unwrap_or(0)).div_euclid(1_000),
        missing_sources: missing,
    };
    let core_config = CoreConfig {
        hardware_ms: None,
        terminal: config.terminal.clone(),
        facts,
        heartbeat_seconds: config.heartbeat_seconds,
        idle_seconds: config.idle_seconds,
    };
    let core = Core::start(boot, now, core_config, loaded.state);
    info!(
        terminal = config.terminal,
        server = format!("{}:{}", config.host, config.port),
        "sensing"
    );
    let options = Options {
        host: config.host,
        port: config.port,
        terminal: config.terminal,
        tick: Duration::from_secs(config.tick_seconds),
        jitter: Duration::from_secs(config.jitter_seconds),
        seed: now.mono_ms ^ u64::from(crc32fast::hash(&boot)),
    };
    let (progress, _) = watch::channel(0);
    // Together in one task: local connections end with the driver.
    tokio::select! {
        sessions = publish::run(options, core, sense, clock, journal, stop, progress) => Ok(sessions),
        never = listen(&config.socket, hub) => match never {},
    }
}

/// Attends to local helpers. Where that can't be, sensing goes on without them, and it is tried again: an agent that
/// is just being replaced may still listen.
async fn listen(at: &Path, hub: Hub) -> Infallible {
    let mut told = false;
    loop {
        match carrier::listen(at) {
            Ok(listener) => return serve(listener, hub).await,
            Err(error) if !told => {
                warn!(at = %at.display(), %error, "no session helper and no status is heard");
                told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

/// An error and its causes in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
