//! The agent's program: arguments → configuration → run → exit code.
//!
//! Not responsible for anything that it could be asked twice: the work is the library's.

mod status;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use classpulse_agent::{
    clock::{Clock as _, SystemClock},
    config::{Config, ConfigError, LogFormat, Settings},
    core::{Core, CoreConfig},
    journal::{FileJournal, JournalStore as _},
    publish::{self, Options},
    sense::{
        Sense as _,
        linux::{self, LinuxSense, Source},
    },
};
use classpulse_proto::v1::AgentFacts;
use tokio::sync::watch;
use tracing::{error, info, warn};

/// Classpulse agent: senses how long this classroom terminal is on and used, and reports it.
///
/// Exit codes: 0 stopped in order; 1 failed; 2 wrong arguments or configuration.
#[derive(Debug, Parser)]
#[command(version, about, long_about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sense and report until stopped.
    Run {
        /// Configuration file (TOML) with the same names as the flags, `-` as `_`.
        #[arg(long, env = "CLASSPULSE_AGENT_CONFIG")]
        config: Option<PathBuf>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Show what the journal holds.
    Status {
        /// Configuration file (TOML).
        #[arg(long, env = "CLASSPULSE_AGENT_CONFIG")]
        config: Option<PathBuf>,
        #[command(flatten)]
        settings: Settings,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run { config, settings } => with(config.as_deref(), settings, run),
        Command::Status {
            config,
            settings,
            json,
        } => with(config.as_deref(), settings, |config| {
            show_status(&config, json)
        }),
    }
}

fn with(
    file: Option<&Path>,
    settings: Settings,
    work: impl FnOnce(Config) -> ExitCode,
) -> ExitCode {
    match Config::load(file, settings) {
        Ok(config) => work(config),
        Err(error) => {
            let error: ConfigError = error;
            eprintln!("classpulse-agent: {}", chain(&error));
            ExitCode::from(2)
        }
    }
}

fn run(config: Config) -> ExitCode {
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::from(config.log_level));
    match config.log {
        LogFormat::Text => lines.with_target(false).init(),
        LogFormat::Json => lines.json().init(),
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "the runtime can't start");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(sense_and_report(config))
}

async fn sense_and_report(config: Config) -> ExitCode {
    let boot = match linux::boot_id() {
        Ok(boot) => boot,
        Err(error) => {
            error!(%error, "the kernel tells no boot id");
            return ExitCode::FAILURE;
        }
    };
    let mut clock = SystemClock;
    let mut journal = FileJournal::new(config.journal.clone());
    let loaded = journal.load();
    for trouble in &loaded.troubles {
        warn!(trouble = chain(trouble), "the journal was not whole");
    }
    let sources = Source::ALL
        .into_iter()
        .filter(|source| config.sources.iter().any(|name| name == source.name()));
    let sense = LinuxSense::new("/".into(), sources.collect());
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
        os: linux::os_name(),
        booted_at: (now.wall_ms - i64::try_from(now.mono_ms).unwrap_or(0)).div_euclid(1_000),
        missing_sources: missing,
    };
    let core_config = CoreConfig {
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
    let (stop, stopped) = watch::channel(false);
    let (progress, _) = watch::channel(0);
    let work = publish::run(options, core, sense, clock, journal, stopped, progress);
    let second_signal = async {
        stop_signal().await;
        info!("stopping");
        stop.send_replace(true);
        stop_signal().await;
    };
    let sessions = tokio::select! {
        sessions = work => sessions,
        () = second_signal => {
            warn!("stopped at once; the journal keeps what was not heard");
            return ExitCode::FAILURE;
        }
    };
    for seen in sessions {
        info!(
            kind = ?seen.kind, number = seen.number, start = seen.start, end = seen.end, open = seen.open,
            "recorded in this boot"
        );
    }
    if *stop.borrow() {
        ExitCode::SUCCESS
    } else {
        error!("stopped without having been told to");
        ExitCode::FAILURE
    }
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

fn show_status(config: &Config, json: bool) -> ExitCode {
    let loaded = FileJournal::new(config.journal.clone()).look();
    for trouble in &loaded.troubles {
        eprintln!("classpulse-agent: {}", chain(trouble));
    }
    let Some(state) = loaded.state else {
        eprintln!(
            "classpulse-agent: no journal at {}",
            config.journal.display()
        );
        return ExitCode::FAILURE;
    };
    if json {
        println!("{:#}", status::json(config, &state));
    } else {
        print!("{}", status::words(config, &state));
    }
    ExitCode::SUCCESS
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
