//! End to end: terminals → broker → aggregator → database, every part a process of its own, nothing lost.
//!
//! `load` (the default) measures sustained reports a second, CPU and memory of every part, and latency; `storm` connects
//! thousands of terminals at once. `cargo bench --bench ingest -- --help` explains the options; README.md the figures.
//! Not responsible for single steps (`micro`) or for questions (`queries`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that can't go on says where"
)]

mod frames;
mod load;
mod reports;
mod servers;
mod setup;
#[path = "../common/spread.rs"]
mod spread;
mod storm;
mod terminals;
mod verify;

use std::{path::PathBuf, sync::OnceLock};

use clap::{Parser, Subcommand};
use jiff::{Timestamp, tz};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::{
    load::LoadArgs,
    reports::{Form, Reports},
    setup::Settings,
    storm::StormArgs,
};

/// Classpulse end to end: sustained rate, cost, latency, memory.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    load: LoadArgs,
    #[command(subcommand)]
    command: Option<Mode>,
}

/// What holds for every mode.
#[derive(Debug, Clone, clap::Args)]
struct Common {
    /// A quick run with little of everything: shows that it works, measures nothing.
    #[arg(long, global = true)]
    test: bool,
    /// Another build of the service to measure, such as an earlier one.
    #[arg(long, global = true, value_name = "FILE")]
    program: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Sustained load (the default).
    Load(LoadArgs),
    /// Thousands of terminals on the embedded broker, reconnecting all at once after restarts.
    Storm(StormArgs),
}

/// What every run needs: a folder, the tables, the first service's settings.
struct Rig {
    folder: TempDir,
    settings: Settings,
    reports: Reports,
}

impl Rig {
    fn new(form: Form, answers: u64, settings: Settings, folder: TempDir) -> Self {
        let now = Timestamp::from_second(setup::unix_now()).expect("now");
        let today = tz::Offset::UTC.to_datetime(now).date();
        Self {
            folder,
            settings,
            reports: Reports::new(today, form, answers),
        }
    }

    /// Embedded broker and SQLite, with so many terminals registered.
    fn embedded(terminals: usize, form: Form, linger: u64) -> Self {
        let folder = TempDir::new().expect("a folder");
        let store = format!("sqlite:{}", folder.path().join("bench.db").display());
        let settings = Settings {
            store,
            api: setup::free_port().expect("a port"),
            broker: setup::free_port().expect("a port"),
            outside: None,
            linger,
        };
        let rig = Self::new(form, 1, settings, folder);
        rig.register(terminals);
        rig
    }

    fn register(&self, terminals: usize) {
        let tables = setup::tables(self.folder.path(), terminals, self.reports.first_day);
        servers::import(self.folder.path(), &self.settings, &tables.expect("tables"));
    }
}

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// The service's program that is measured.
fn program() -> PathBuf {
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_classpulse"));
    PROGRAM.get().cloned().unwrap_or_else(built)
}

/// As many open files as the system lets us have; children inherit it.
fn raise_open_files() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    // The limit in force is read back, whatever became of this.
    setrlimit(Resource::Nofile, wanted).ok();
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn main() {
    // Cargo says `--bench` to every bench; only to some of them it means anything.
    let arguments = std::env::args_os().filter(|argument| argument != "--bench");
    let cli = Cli::parse_from(arguments);
    if let Some(program) = &cli.common.program {
        PROGRAM.get_or_init(|| program.clone());
    }
    frames::check();
    match cli.command {
        None => load::run(&cli.load, &cli.common),
        Some(Mode::Load(arguments)) => load::run(&arguments, &cli.common),
        Some(Mode::Storm(arguments)) => storm::run(&arguments, &cli.common),
    }
}
