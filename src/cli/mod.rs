//! The command line: arguments → configuration → work → exit code.
//!
//! Commands work on the store directly, so they answer whether or not the service runs.
//! Not responsible for the work itself (`app`, `query`, `registry`, `evaluation`, `sheets`, `enrolment`, `ingest::replay`, `demo`, `simulate`).

pub mod args;
mod audit;
mod backup;
mod broker;
mod certificates;
mod evidence;
mod files;
mod keys;
mod output;
mod quarantine;
mod registry;
mod rubric;
mod runs;
mod service;
mod simulate;
mod terminals;
pub mod trail;
mod usage;
mod users;

use std::{path::Path, process::ExitCode, sync::Arc};

use args::{
    BrokerCommand, Cli, Command, ConfigCommand, QuarantineCommand, TerminalsCommand, TlsCommand,
};
use jiff::Timestamp;

use crate::{
    access::{self, Access, Who},
    clock::{Clock as _, SystemClock},
    config::{Config, PostgresUrl, StoreUrl, without_password},
    domain::ids::InvalidId,
    evaluation::EvaluationError,
    observe::chain,
    store::{
        SharedStore, StoreError,
        postgres::{PostgresOptions, PostgresStore},
        sqlite::SqliteStore,
    },
    tasks::CutOff,
};

/// Why a command failed, and how it exits.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

/// The work could not be done.
const FAILED: u8 = 1;
/// Arguments or configuration are wrong. (clap exits with the same.)
const USAGE: u8 = 2;
/// The given file or data has mistakes; nothing was changed.
const REFUSED: u8 = 3;

impl Failure {
    fn failed(error: &dyn std::error::Error) -> Self {
        Self {
            message: chain(error),
            code: FAILED,
        }
    }

    fn usage(error: &dyn std::error::Error) -> Self {
        Self {
            message: chain(error),
            code: USAGE,
        }
    }

    fn said(code: u8, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::failed(&error)
    }
}

impl From<CutOff> for Failure {
    fn from(error: CutOff) -> Self {
        Self::failed(&error)
    }
}

impl From<InvalidId> for Failure {
    fn from(error: InvalidId) -> Self {
        Self::usage(&error)
    }
}

impl From<EvaluationError> for Failure {
    fn from(error: EvaluationError) -> Self {
        use EvaluationError as Error;
        let code = match &error {
            Error::Store(StoreError::NotFound { .. } | StoreError::Conflict(_))
            | Error::NoRubric(_)
            | Error::Rubric(_)
            | Error::Reading(_)
            | Error::NoCalendar(_)
            | Error::Unfit(_)
            | Error::MinutesGone { .. }
            | Error::MinutesFrom { .. }
            | Error::NotOver { .. }
            | Error::Period { .. }
            | Error::Exclusion { .. }
            | Error::Changed { .. }
            | Error::Missing(_)
            | Error::NotFrozen(_)
            | Error::Unknown { .. } => REFUSED,
            _ => FAILED,
        };
        Self::said(code, chain(&error))
    }
}

impl From<crate::query::QueryError> for Failure {
    fn from(error: crate::query::QueryError) -> Self {
        Self::failed(&error)
    }
}

/// Runs a command to its end. Answers go to standard output, everything else to standard error.
#[must_use]
pub fn run(cli: &Cli) -> ExitCode {
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("classpulse: {}", failure.message);
            }
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(cli: &Cli) -> Result<(), Failure> {
    if let Command::Config {
        command: ConfigCommand::Check,
    } = &cli.command
    {
        return service::config_check(cli);
    }
    if let Command::Simulate(arguments) = &cli.command {
        return simulate::simulate(arguments, cli.json);
    }
    if let Command::Tls {
        command: TlsCommand::Init(arguments),
    } = &cli.command
    {
        return certificates::init(arguments, SystemClock.now(), cli.json);
    }
    let config = Config::load(cli.config.as_deref()).map_err(|error| Failure::usage(&error))?;
    let filter = cli.log.as_deref().unwrap_or(match &cli.command {
        Command::Serve => config.log_filter.as_str(),
        // A command's own answer is what its user came for.
        _ => "warn",
    });
    crate::observe::start_logging(filter, config.log_format)
        .map_err(|error| Failure::said(USAGE, format!("--log {filter:?}: {error}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(&error))?;
    let work = access::acting(Who::console(&user()), run_command(cli, config));
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done
}

async fn run_command(cli: &Cli, config: Config) -> Result<(), Failure> {
    match &cli.command {
        Command::Serve => return service::serve(config).await,
        Command::Demo(arguments) => {
            return crate::demo::run(arguments, config)
                .await
                .map_err(|error| Failure::failed(&error));
        }
        Command::Backup(arguments) => {
            let now = SystemClock.now().as_second();
            return backup::backup(config, arguments, now, cli.json).await;
        }
        Command::Privacy => return service::privacy(&config, cli.json),
        Command::Restore(arguments) => {
            let now = SystemClock.now().as_second();
            return backup::restore(config, arguments, now, cli.json).await;
        }
        _ => {}
    }
    let store = open_store(&config.store).await?;
    let at = Opened {
        access: Access::new(store.clone(), Arc::new(SystemClock)),
        store: access::guarded(store.clone(), Arc::new(SystemClock)),
        config,
        now: SystemClock.now(),
        json: cli.json,
    };
    let done = match &cli.command {
        Command::Import(arguments) => registry::import(&at, arguments).await,
        Command::Usage(arguments) => usage::usage(&at, arguments).await,
        Command::Score(arguments) => usage::score(&at, arguments).await,
        Command::Rubric { command } => rubric::rubric(&at, command).await,
        Command::Runs { command } => runs::runs(&at, command).await,
        Command::Evidence { command } => evidence::evidence(&at, command).await,
        Command::Quarantine { command } => match command {
            QuarantineCommand::List(selection) => quarantine::list(&at, selection).await,
            QuarantineCommand::Replay(selection) => quarantine::replay(&at, selection).await,
        },
        Command::Broker {
            command: BrokerCommand::Mosquitto(arguments),
        } => broker::mosquitto(&at, arguments).await,
        Command::Terminals { command } => match command {
            TerminalsCommand::Pending => registry::pending(&at).await,
            TerminalsCommand::Approve(arguments) => registry::approve(&at, arguments).await,
            TerminalsCommand::Codes { command } => terminals::codes(&at, command).await,
            TerminalsCommand::Keys { command } => keys::keys(&at, command).await,
            TerminalsCommand::Incidents(arguments) => terminals::incidents(&at, arguments).await,
        },
        Command::Users { command } => users::users(&at, command).await,
        Command::Tokens { command } => users::tokens(&at, command).await,
        Command::Audit { command } => audit::audit(&at, command).await,
        Command::Serve
        | Command::Demo(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Privacy
        | Command::Simulate(_)
        | Command::Tls { .. }
        | Command::Config { .. } => Ok(()),
    };
    store.close().await;
    done
}

/// Whoever runs the command, by the operating system's name.
fn user() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut names = known.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id == uid).then(|| name.to_owned())
    });
    names.next().unwrap_or_else(|| format!("uid:{uid}"))
}

/// What every command on the store works with.
struct Opened {
    /// Accounts and tokens.
    access: Arc<Access>,
    /// Records what is changed.
    store: SharedStore,
    config: Config,
    now: Timestamp,
    json: bool,
}

impl Opened {
    fn today(&self) -> jiff::civil::Date {
        self.config.zone.to_datetime(self.now).date()
    }

    /// A moment as local civil time.
    fn local(&self, unix: i64) -> String {
        Timestamp::from_second(unix).map_or_else(
            |_| unix.to_string(),
            |at| {
                self.config
                    .zone
                    .to_datetime(at)
                    .strftime("%Y-%m-%d %H:%M:%S")
                    .to_string()
            },
        )
    }
}

/// Opens the store that the configuration names; a file's folder is made where it is missing.
pub(crate) async fn open_store(url: &StoreUrl) -> Result<SharedStore, Failure> {
    match url {
        StoreUrl::Sqlite(path) => open_sqlite(path).await,
        StoreUrl::Postgres(postgres) => open_postgres(postgres).await,
    }
}

async fn open_sqlite(path: &Path) -> Result<SharedStore, Failure> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        tokio::fs::create_dir_all(folder).await.map_err(|error| {
            Failure::said(
                FAILED,
                format!("can't make the folder {}: {error}", folder.display()),
            )
        })?;
    }
    let store = SqliteStore::open(path).map_err(|error| {
        Failure::said(
            FAILED,
            format!("store sqlite:{}: {}", path.display(), chain(&error)),
        )
    })?;
    Ok(Arc::new(store))
}

async fn open_postgres(postgres: &PostgresUrl) -> Result<SharedStore, Failure> {
    let password = match &postgres.password_file {
        None => None,
        Some(file) => {
            let text = tokio::fs::read_to_string(file).await.map_err(|error| {
                Failure::said(
                    USAGE,
                    format!("postgres.password_file {}: {error}", file.display()),
                )
            })?;
            Some(text.trim_end().to_owned())
        }
    };
    let options = PostgresOptions {
        url: postgres.url.clone(),
        password,
        tls: postgres.tls.clone(),
        connections: postgres.connections,
    };
    let store = PostgresStore::open(&options).await.map_err(|error| {
        Failure::said(
            FAILED,
            format!(
                "store {}: {}",
                without_password(&postgres.url),
                chain(&error)
            ),
        )
    })?;
    Ok(Arc::new(store))
}
