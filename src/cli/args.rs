//! Arguments, as clap reads them. Not responsible for acting on them.

mod access;
mod evaluation;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jiff::civil::Date;

use crate::{
    demo::DemoArgs,
    domain::ids::{CountyCode, SchoolCode, Stage, TerminalId},
    enrolment::{MAX_DAYS, MAX_USES},
    simulate::Sabotage,
};

pub use access::{
    AddTokenArgs, AddUserArgs, AuditArgs, AuditCommand, ChangeUserArgs, TokensCommand, UsersCommand,
};
pub use evaluation::{
    CreateRunArgs, EvidenceCommand, ExcludeArgs, ExplainArgs, ExportArgs, FreezeArgs,
    ImportEvidenceArgs, ListEvidenceArgs, RubricCommand, RunsCommand, SetEvidenceArgs,
    ShowRubricArgs, WhatIfArgs, WorkbookArgs,
};

/// Classpulse (课脉): measures how long schools use their classroom terminals, and scores it.
///
/// Exit codes: 0 done; 1 failed; 2 wrong arguments or configuration; 3 the given data has mistakes, nothing changed.
#[derive(Debug, Parser)]
#[command(version, about, long_about)]
pub struct Cli {
    /// Configuration file (TOML). Without it, defaults and CLASSPULSE_… environment variables hold.
    #[arg(
        long,
        short,
        global = true,
        env = "CLASSPULSE_CONFIG",
        value_name = "FILE"
    )]
    pub config: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to log on standard error, such as debug or classpulse=debug.
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service: broker, ingest, rollup, gRPC.
    Serve,
    /// Play a whole county in one process, with real agents' code, broker, store and averages.
    Demo(DemoArgs),
    /// Import schools, terminals (CSV or XLSX) or a teaching calendar (TOML). All or nothing.
    Import(ImportArgs),
    /// Average usage of a county's schools, of one school's terminals, or one terminal's day.
    Usage(UsageArgs),
    /// 后台监测 points of a county's schools.
    Score(PeriodArgs),
    /// Rubrics (考核评估细则): check, show, keep.
    Rubric {
        /// What to do with them.
        #[command(subcommand)]
        command: RubricCommand,
    },
    /// Evaluation runs: every school's points by the whole rubric, frozen and explained.
    Runs {
        /// What to do with them.
        #[command(subcommand)]
        command: RunsCommand,
    },
    /// Evidence for a run: by workbook or item by item.
    Evidence {
        /// What to do with it.
        #[command(subcommand)]
        command: EvidenceCommand,
    },
    /// Reports that could not be believed.
    Quarantine {
        /// What to do with them.
        #[command(subcommand)]
        command: QuarantineCommand,
    },
    /// Terminals: those that wait for approval, enrolment codes, keys, incidents.
    Terminals {
        /// What to do with them.
        #[command(subcommand)]
        command: TerminalsCommand,
    },
    /// What is collected of a classroom and how long it is kept (隐私说明), as Markdown: drawn from the contract and the
    /// schema of this very program.
    Privacy,
    /// Files for an outside broker.
    Broker {
        /// Which.
        #[command(subcommand)]
        command: BrokerCommand,
    },
    /// Certificates for the service's own listeners.
    Tls {
        /// What to do with them.
        #[command(subcommand)]
        command: TlsCommand,
    },
    /// Accounts of people who use the dashboard: a login name and a role each.
    Users {
        /// What to do with them.
        #[command(subcommand)]
        command: UsersCommand,
    },
    /// Tokens with which other systems use gRPC and JSON.
    Tokens {
        /// What to do with them.
        #[command(subcommand)]
        command: TokensCommand,
    },
    /// The audit log: who changed or exported what, when, from where.
    Audit {
        /// What to do with it.
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Keep everything in a file: a copy of the SQLite file, also while the service runs, or a portable export.
    Backup(BackupArgs),
    /// Put a backup into the configured store, which must be empty. A portable export goes into any kind of store.
    Restore(RestoreArgs),
    /// Play virtual weeks of terminals with every fault, and compare every minute with the truth.
    Simulate(SimulateArgs),
    /// The configuration.
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

/// What to simulate.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// How many seeds, one after the other from --from on.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub from: u64,
    /// Only this seed.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    pub seed: Option<u64>,
    /// Virtual days, 1 to 60.
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=60))]
    pub days: u16,
    /// Terminals, 1 to 1,000.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub terminals: u16,
    /// Seeds played at a time, 1 to 64.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub jobs: u8,
    /// Instead: every clock fault with every power loss, disk fate and image, a row each. --seeds plays each so often.
    #[arg(long, conflicts_with_all = ["seed", "sabotage"])]
    pub matrix: bool,
    /// Only rows of the matrix whose conditions, as it names them with commas between, have this text in them.
    #[arg(long, value_name = "TEXT", requires = "matrix")]
    pub only: Option<String>,
    /// Build a fault into the product, to see that it is found.
    #[arg(long, hide = true)]
    pub sabotage: Option<Sabotage>,
}

/// Which county, which days.
#[derive(Debug, Clone, Default, Args)]
pub struct PeriodArgs {
    /// Six-digit county code; not needed where only one county is registered.
    #[arg(long)]
    pub county: Option<CountyCode>,
    /// First day. Without days: from the current term's first day to yesterday.
    #[arg(long, requires = "to", value_name = "YYYY-MM-DD")]
    pub from: Option<Date>,
    /// Last day, included.
    #[arg(long, requires = "from", value_name = "YYYY-MM-DD")]
    pub to: Option<Date>,
}

/// What to show of usage.
#[derive(Debug, Clone, Default, Args)]
pub struct UsageArgs {
    /// County and days.
    #[command(flatten)]
    pub period: PeriodArgs,
    /// Only schools of this stage (学段), such as 小学.
    #[arg(long)]
    pub stage: Option<Stage>,
    /// Only schools of this township.
    #[arg(long)]
    pub township: Option<String>,
    /// This school's terminals instead.
    #[arg(long, conflicts_with_all = ["stage", "township", "terminal"])]
    pub school: Option<SchoolCode>,
    /// This terminal's day instead, as runs of minutes.
    #[arg(long, conflicts_with_all = ["stage", "township"])]
    pub terminal: Option<TerminalId>,
    /// The day for --terminal; today if not given.
    #[arg(long, requires = "terminal", value_name = "YYYY-MM-DD")]
    pub day: Option<Date>,
}

/// What to import.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// Table of schools or terminals (.csv, .xlsx), or a calendar (.toml).
    pub file: PathBuf,
    /// Check and count, change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The county a calendar is for; not needed where only one is registered.
    #[arg(long)]
    pub county: Option<CountyCode>,
}

/// Where to keep everything.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// The file to make; it must not exist.
    pub file: PathBuf,
    /// A portable export, which every kind of store can take in. Always so for PostgreSQL.
    #[arg(long)]
    pub portable: bool,
}

/// What to restore.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// What `classpulse backup` made.
    pub file: PathBuf,
    /// Go on with an interrupted restore of the same portable export; merges with what is there.
    #[arg(long)]
    pub resume: bool,
}

/// What to do with the quarantine.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// List what waits there, with reasons.
    List(SelectionArgs),
    /// Check entries again, now that their cause is mended; what passes is counted.
    Replay(SelectionArgs),
}

/// Which entries.
#[derive(Debug, Clone, Default, Args)]
pub struct SelectionArgs {
    /// Only this entry.
    #[arg(long)]
    pub id: Option<i64>,
    /// Only this terminal's.
    #[arg(long)]
    pub terminal: Option<String>,
    /// Only those refused for this reason, such as `before_service`.
    #[arg(long)]
    pub reason: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    pub limit: u32,
}

/// What to do with terminals.
#[derive(Debug, Subcommand)]
pub enum TerminalsCommand {
    /// List those that wait for approval.
    Pending,
    /// Put some into service.
    Approve(ApproveArgs),
    /// Codes with which a school's machines enrol.
    Codes {
        /// What to do with them.
        #[command(subcommand)]
        command: CodesCommand,
    },
    /// Terminals' keys: how they stand, revoking, renewing.
    Keys {
        /// What to do with them.
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// What terminals reported beside minutes, and two machines under one identity; newest first.
    Incidents(IncidentsArgs),
}

/// What to do with enrolment codes.
#[derive(Debug, Subcommand)]
pub enum CodesCommand {
    /// Make one. Its text is shown now and never again.
    Create(CreateCodeArgs),
    /// List them, newest first, without their texts.
    List {
        /// Only this school's.
        #[arg(long)]
        school: Option<SchoolCode>,
    },
    /// Take one back; terminals that it enrolled stay.
    Revoke {
        /// Its number, as `list` shows it.
        id: i64,
    },
}

/// Files for an outside broker.
#[derive(Debug, Subcommand)]
pub enum BrokerCommand {
    /// Mosquitto's password file, access list and configuration, from terminals' keys as they are now. To be run again
    /// whenever keys change, at least every minute.
    Mosquitto(MosquittoArgs),
}

/// Where, and how Mosquitto listens.
#[derive(Debug, Clone, Args)]
pub struct MosquittoArgs {
    /// The folder; made where it is missing. Its group should be Mosquitto's, and be passed on (chmod g+s).
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Where terminals and the service come in.
    #[arg(long, default_value_t = 8883)]
    pub port: u16,
    /// Where machines without a key may ask for one; without it none enrols through this broker.
    #[arg(long, value_name = "PORT")]
    pub enrol_port: Option<u16>,
}

/// What to do with certificates.
#[derive(Debug, Subcommand)]
pub enum TlsCommand {
    /// Make a private authority and the server's certificate. Overwrites nothing; with an authority there, it makes a new
    /// server certificate by it.
    Init(TlsInitArgs),
}

/// Where, and for which server.
#[derive(Debug, Clone, Args)]
pub struct TlsInitArgs {
    /// The folder for ca.pem, ca.key, server.pem and server.key.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// A host name or address by which terminals and browsers reach the server; may be given more than once.
    #[arg(long, required = true)]
    pub name: Vec<String>,
}

/// What to do with terminals' keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// List them, by terminal.
    List {
        /// Only those of terminals in this school.
        #[arg(long)]
        school: Option<SchoolCode>,
    },
    /// Let nobody in with them any more, within a minute, and end the terminals' connections.
    Revoke {
        /// Whose keys.
        #[arg(required = true)]
        terminals: Vec<TerminalId>,
    },
    /// Let revoked ones in again.
    Restore {
        /// Whose keys.
        #[arg(required = true)]
        terminals: Vec<TerminalId>,
    },
    /// Have terminals replace their keys by themselves; the old ones hold until the new ones are used.
    Rotate(RotateKeysArgs),
}

/// Whose keys to replace.
#[derive(Debug, Clone, Args)]
pub struct RotateKeysArgs {
    /// These terminals'.
    pub terminals: Vec<TerminalId>,
    /// Instead: all of a school's.
    #[arg(long, conflicts_with_all = ["terminals", "all"])]
    pub school: Option<SchoolCode>,
    /// Instead: everyone's.
    #[arg(long, conflicts_with = "terminals")]
    pub all: bool,
}

/// For which school, how often, how long.
#[derive(Debug, Clone, Args)]
pub struct CreateCodeArgs {
    /// The school whose machines enrol with it (学校标识码).
    #[arg(long)]
    pub school: SchoolCode,
    /// How many machines, 1 to 1,000. One that is known already costs nothing.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_USES)))]
    pub uses: u32,
    /// How many days it holds, 1 to 365.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DAYS)))]
    pub days: u32,
}

/// Which incidents.
#[derive(Debug, Clone, Default, Args)]
pub struct IncidentsArgs {
    /// Only this terminal's.
    #[arg(long)]
    pub terminal: Option<TerminalId>,
    /// Only those received on this day or later.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub since: Option<Date>,
    /// At most so many, 1 to 1,000.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
}

/// Which terminals, and where they stand.
#[derive(Debug, Clone, Args)]
pub struct ApproveArgs {
    /// The waiting terminals.
    #[arg(required = true)]
    pub terminals: Vec<TerminalId>,
    /// The school they stand in (学校标识码).
    #[arg(long)]
    pub school: SchoolCode,
    /// The room; only with one terminal.
    #[arg(long, default_value = "")]
    pub room: String,
    /// First day in service; the day of the first report if not given.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub from: Option<Date>,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Explain every mistake, or show what holds.
    Check,
}
