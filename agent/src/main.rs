//! The agent's program: arguments → configuration → run → exit code.
//!
//! Not responsible for anything that it could be asked twice: the work is the library's.

mod inspect;
mod session;
mod setup;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use classpulse_agent::{
    chain::chain,
    config::{Config, ConfigError, LogFormat, Settings},
    install::{InstallOptions, UninstallOptions},
    local::Hearing,
    publish::SaveNow,
    run,
    watchdog::Watchdog,
};
use tokio::sync::watch;
use tracing::{error, info, warn};

/// From the word to stop to the end, whatever hangs.
const LONGEST_END: Duration = Duration::from_millis(1_900);

/// Classpulse agent: senses how long this classroom terminal is on and used, and reports it.
///
/// Exit codes: 0 stopped in order; 1 failed; 2 wrong arguments or configuration.
#[derive(Parser)]
#[command(version, about, long_about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sense and report until stopped.
    Run {
        /// Configuration file (TOML) with the same names as the flags, `-` as `_`.
        #[arg(long, env = "CLASSPULSE_AGENT_CONFIG")]
        config: Option<PathBuf>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Enrol now, and say how it went. Not while the agent runs: it enrols by itself.
    Enrol {
        /// Configuration file (TOML).
        #[arg(long, env = "CLASSPULSE_AGENT_CONFIG")]
        config: Option<PathBuf>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Find out what is wrong with this terminal, and say the mend. Exit code 1 where anything is.
    Doctor {
        /// Configuration file (TOML).
        #[arg(long, env = "CLASSPULSE_AGENT_CONFIG")]
        config: Option<PathBuf>,
        #[command(flatten)]
        settings: Settings,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show how the agent is: what it senses, today's minutes, its connection, and what waits in the journal.
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
    /// Look at this session (its last input, presentations, sound) for the agent. Started at logon, one for each
    /// session; ends with it.
    Session(session::Place),
    /// Be the service: for Windows's service manager, which `install` tells of it.
    #[cfg(windows)]
    Service {
        /// Configuration file (TOML); agent.toml in the data folder unless said.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Make this machine a terminal, or upgrade it in place. What is not said stays as it is configured.
    Install(InstallOptions),
    /// Stop the service and remove it; configuration, identity and journal stay.
    Uninstall(UninstallOptions),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run { config, settings } => with(config.as_deref(), settings, start),
        Command::Status {
            config,
            settings,
            json,
        } => with(config.as_deref(), settings, |config| {
            inspect::status(&config, json)
        }),
        Command::Enrol { config, settings } => with(config.as_deref(), settings, |config| {
            let enrol = inspect::enrol(&config);
            within_runtime(enrol)
        }),
        Command::Doctor {
            config,
            settings,
            json,
        } => {
            let config = Config::load(config.as_deref(), settings);
            within_runtime(inspect::doctor(config, json))
        }
        Command::Session(place) => session::run(&place),
        #[cfg(windows)]
        Command::Service { config } => serve(config),
        Command::Install(options) => setup::install(&options),
        Command::Uninstall(options) => setup::uninstall(&options),
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

fn start(config: Config) -> ExitCode {
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::from(config.log_level));
    match config.log {
        LogFormat::Text => lines.with_target(false).init(),
        LogFormat::Json => lines.json().init(),
    }
    within_runtime(sense_and_report(config))
}

fn within_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("classpulse-agent: the runtime can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(work);
    // A name that is still being looked up would hold the end for as long as the resolver pleases.
    runtime.shutdown_background();
    code
}

#[cfg(windows)]
fn serve(config: Option<PathBuf>) -> ExitCode {
    match classpulse_agent::service_windows::dispatch(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("classpulse-agent: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn sense_and_report(config: Config) -> ExitCode {
    let (stop, stopped) = watch::channel(false);
    let second_signal = async {
        stop_signal().await;
        info!("stopping");
        Watchdog::default().arm(LONGEST_END, || {
            eprintln!("classpulse-agent: ended without its last words: the disk hangs");
            std::process::exit(1)
        });
        stop.send_replace(true);
        stop_signal().await;
    };
    let sessions = tokio::select! {
        sessions = run::run(config, stopped, SaveNow::default(), Hearing::default()) => sessions,
        () = second_signal => {
            warn!("stopped at once; the journal keeps what was not heard");
            return ExitCode::FAILURE;
        }
    };
    let sessions = match sessions {
        Ok(sessions) => sessions,
        Err(error) => {
            error!(error = chain(&error), "the agent can't begin");
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

#[cfg(unix)]
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

/// Of a console: Ctrl-C, Ctrl-Break, its window closed, the machine shut down. The last two leave some seconds.
#[cfg(windows)]
async fn stop_signal() {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
    let signals =
        || Ok::<_, std::io::Error>((ctrl_c()?, ctrl_break()?, ctrl_close()?, ctrl_shutdown()?));
    match signals() {
        Ok((mut c, mut brk, mut close, mut shutdown)) => tokio::select! {
            _ = c.recv() => {}
            _ = brk.recv() => {}
            _ = close.recv() => {}
            _ = shutdown.recv() => {}
        },
        // Without a console nobody can say stop but the service manager.
        Err(_) => std::future::pending().await,
    }
}
