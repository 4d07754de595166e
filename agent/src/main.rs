//! The agent's program: arguments → configuration → run → exit code.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use classpulse_agent::{
    clock::{Clock as _, SystemClock},
    config::{Config, ConfigError, Settings},
    core::{Core, CoreConfig, Kind, Seen},
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
        } => with(config.as_deref(), settings, |config| status(&config, json)),
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
            eprintln!("classpulse-agent: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(config: Config) -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
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
        warn!(trouble, "the journal was not whole");
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
    let signal = async {
        stop_signal().await;
        info!("stopping");
        stop.send_replace(true);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        sessions = work => {
            for seen in sessions {
                info!(
                    kind = ?seen.kind, number = seen.number, start = seen.start, end = seen.end, open = seen.open,
                    "recorded in this boot"
                );
            }
        }
        () = signal => {}
    }
    ExitCode::SUCCESS
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

fn status(config: &Config, json: bool) -> ExitCode {
    let loaded = FileJournal::new(config.journal.clone()).load();
    for trouble in &loaded.troubles {
        eprintln!("classpulse-agent: {trouble}");
    }
    let Some(state) = loaded.state else {
        eprintln!(
            "classpulse-agent: no journal at {}",
            config.journal.display()
        );
        return ExitCode::FAILURE;
    };
    let sessions: Vec<Seen> = state.sessions();
    if json {
        let sessions: Vec<_> = sessions
            .iter()
            .map(|seen| {
                let kind = if seen.kind == Kind::Used { "used" } else { "powered" };
                serde_json::json!({ "kind": kind, "number": seen.number, "start": seen.start, "end": seen.end, "open": seen.open })
            })
            .collect();
        let answer = serde_json::json!({
            "terminal": config.terminal, "waiting": sessions,
            "heartbeat_seconds": state.heartbeat_seconds, "idle_seconds": state.idle_seconds,
        });
        println!("{answer:#}");
        return ExitCode::SUCCESS;
    }
    println!(
        "{}: {} sessions wait for an acknowledgement",
        config.terminal,
        sessions.len()
    );
    for seen in sessions {
        let open = if seen.open { "open" } else { "closed" };
        println!(
            "  {:?} {} {} to {} ({} min, {open})",
            seen.kind,
            seen.number,
            seen.start,
            seen.end,
            (seen.end - seen.start) / 60
        );
    }
    ExitCode::SUCCESS
}
