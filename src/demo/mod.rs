//! A whole county in one process: broker, store, ingest, averages, gRPC, and terminals that run the real agent's code.
//!
//! First a term passes in virtual time while every terminal is offline; then they come online and send their journals
//! as real reports over MQTT, are compared with the truth, and go on live. Nothing here is used by `serve`.

pub mod behaviour;
pub mod county;
mod play;
mod show;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use jiff::{Span, civil::Date};
use tracing::info;

use crate::{
    app::{App, AppError},
    clock::{SharedClock, SystemClock},
    config::{BrokerConfig, Config, StoreUrl},
    domain::{
        calendar::{Calendar, CalendarError},
        ids::InvalidId,
        usage::Period,
    },
    query::{self, QueryError},
    store::{SharedStore, StoreError, sqlite::SqliteStore},
    tasks,
};
use county::{Cast, Size};

/// How to play.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// Keep the data here instead of in a folder that is deleted at the end.
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Seed of everything that happens; the same seed and day play the same.
    #[arg(long, default_value_t = 20_181_024)]
    pub seed: u64,
    /// Stop after the term has been sent, counted and compared with the truth.
    #[arg(long)]
    pub once: bool,
    /// Schools, 1 to 12.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u8).range(1..=12))]
    pub schools: u8,
    /// Terminals of the largest school, 1 to 99.
    #[arg(long, default_value_t = 26, value_parser = clap::value_parser!(u8).range(1..=99))]
    pub terminals: u8,
    /// Weeks of term that lie behind, 1 to 40.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u8).range(1..=40))]
    pub weeks: u8,
}

/// Why the demo could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The folder for its data.
    #[error("the folder {folder} can't be made")]
    Folder {
        /// As given or chosen.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The service.
    #[error(transparent)]
    App(#[from] AppError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A question.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The demo's own county, a mistake of the program.
    #[error("the demo's county is wrong")]
    County(#[from] InvalidId),
    /// The demo's own calendar, a mistake of the program.
    #[error("the demo's calendar is wrong")]
    Calendar(#[from] CalendarError),
    /// Journals did not arrive whole.
    #[error("{waiting} terminals had not delivered their journals after {patience:?}")]
    Undelivered {
        /// How many.
        waiting: usize,
        /// How long was waited without any progress.
        patience: Duration,
    },
    /// What was counted is not what happened: a fault of the program.
    #[error("figures differ from the truth:\n{0}")]
    Differs(String),
}

/// How long delivery may stand still.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often the live table is drawn.
const REFRESH: Duration = Duration::from_secs(5);

/// Plays until Ctrl-C, or with `--once` until the figures have been compared.
///
/// # Errors
/// [`DemoError`].
pub async fn run(arguments: &DemoArgs, config: Config) -> Result<(), DemoError> {
    let (folder, keep) = folder(arguments)?;
    let config = Config {
        store: StoreUrl::Sqlite(folder.join("demo.db")),
        ..config
    };
    let played = play(arguments, &config, &folder).await;
    if !keep {
        drop(tokio::fs::remove_dir_all(&folder).await);
    }
    played
}

fn folder(arguments: &DemoArgs) -> Result<(PathBuf, bool), DemoError> {
    let (folder, keep) = match &arguments.data {
        Some(folder) => (folder.clone(), true),
        None => (
            std::env::temp_dir().join(format!("classpulse-demo-{}", std::process::id())),
            false,
        ),
    };
    std::fs::create_dir_all(&folder).map_err(|source| DemoError::Folder {
        folder: folder.clone(),
        source,
    })?;
    Ok((folder, keep))
}

async fn play(
    arguments: &DemoArgs,
    config: &Config,
    folder: &std::path::Path,
) -> Result<(), DemoError> {
    let clock: SharedClock = Arc::new(SystemClock);
    let today = config.zone.to_datetime(clock.now()).date();
    let size = Size {
        schools: arguments.schools.into(),
        terminals: arguments.terminals.into(),
        weeks: arguments.weeks.into(),
    };
    let cast = Cast::new(size, today)?;
    let calendar = Calendar::parse(&cast.calendar)?;
    let store: SharedStore = Arc::new(SqliteStore::open(&folder.join("demo.db"))?);
    let county = cast.registry.counties[0].code.clone();
    store.change_registry(cast.registry.clone()).await?;
    store
        .set_calendar(&county, &cast.calendar, clock.now().as_second())
        .await?;
    let app = start(config, store.clone(), clock.clone()).await?;
    let broker = app.broker.unwrap_or(config.api);
    show::opening(&app, broker, folder, &cast, arguments.seed);

    let period = Period {
        first: cast.first,
        last: yesterday(today),
    };
    show::say("a term passes in virtual time, every terminal offline …");
    let term = play::pass_term(&cast, &calendar, period, arguments.seed, &config.zone);
    show::say(&format!(
        "{} terminals come online and send {} sessions …",
        term.terminals.len(),
        term.sessions
    ));
    let truth = term.truth;
    let live = play::go_live(term.terminals, broker, arguments.seed, &clock, &config.zone);
    let done = deliver_and_watch(
        &app,
        &store,
        &calendar,
        &cast,
        period,
        &truth,
        &live,
        arguments.once,
    )
    .await;
    show::say("stopping …");
    live.finish().await;
    app.stop(config.shutdown).await;
    done
}

/// Starts on the usual ports; where these are taken, on free ones.
async fn start(config: &Config, store: SharedStore, clock: SharedClock) -> Result<App, AppError> {
    match App::start(config, store.clone(), clock.clone()).await {
        Ok(app) => Ok(app),
        Err(error) => {
            info!(error = %crate::observe::chain(&error), "taking free ports instead");
            let free = SocketAddr::from(([127, 0, 0, 1], 0));
            let config = Config {
                api: free,
                broker: BrokerConfig::Embedded(free),
                ..config.clone()
            };
            App::start(&config, store, clock).await
        }
    }
}

fn yesterday(today: Date) -> Date {
    today.saturating_sub(Span::new().days(1))
}

#[expect(
    clippy::too_many_arguments,
    reason = "one call, from the function above"
)]
async fn deliver_and_watch(
    app: &App,
    store: &SharedStore,
    calendar: &Calendar,
    cast: &Cast,
    period: Period,
    truth: &play::Truth,
    live: &play::Live,
    once: bool,
) -> Result<(), DemoError> {
    let stopped = tasks::stop_signal();
    tokio::pin!(stopped);
    tokio::select! {
        delivered = delivered(live, app) => delivered?,
        () = &mut stopped => return Ok(()),
    }
    query::freshen(store.as_ref(), |_| ()).await?;
    show::table(store, cast, period, false).await?;
    let differences = play::compare(store, calendar, cast, period, truth).await?;
    if !differences.is_empty() {
        return Err(DemoError::Differs(differences.join("\n")));
    }
    show::say(&format!(
        "compared with the truth: {} terminal-days and {} schools, no difference; {}",
        truth.days(),
        cast.registry.schools.len(),
        show::quarantined(store).await?
    ));
    if once {
        return Ok(());
    }
    show::say("live now; Ctrl-C stops");
    loop {
        tokio::select! {
            () = tokio::time::sleep(REFRESH) => {}
            () = &mut stopped => return Ok(()),
        }
        query::freshen(store.as_ref(), |_| ()).await?;
        show::table(store, cast, period, true).await?;
    }
}

/// Waits until every journal is acknowledged.
async fn delivered(live: &play::Live, app: &App) -> Result<(), DemoError> {
    let (mut left, mut still) = (usize::MAX, Duration::ZERO);
    let step = Duration::from_millis(250);
    loop {
        let (waiting, sessions) = live.waiting();
        if waiting == 0 {
            return Ok(());
        }
        still = if sessions < left {
            Duration::ZERO
        } else {
            still + step
        };
        left = left.min(sessions);
        if still > PATIENCE {
            return Err(DemoError::Undelivered {
                waiting,
                patience: PATIENCE,
            });
        }
        let reports = app.metrics.reports();
        show::progress(waiting, reports);
        tokio::time::sleep(step).await;
    }
}
