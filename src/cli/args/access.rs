//! Arguments of `users`, `tokens` and `audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::civil::Date;

use crate::{
    access::MAX_TOKEN_DAYS,
    domain::{
        access::{Role, Scope},
        ids::Login,
    },
};

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// List them.
    List,
    /// Make one, and a one-time link with which its owner sets the password. Never name it after a person.
    Add(AddUserArgs),
    /// Change what one is for. Its sessions end.
    Change(ChangeUserArgs),
    /// Let nobody log in to it; its sessions end.
    Lock {
        /// The account.
        login: Login,
    },
    /// Let its owner log in again, also after too many failed logins.
    Unlock {
        /// The account.
        login: Login,
    },
    /// Take its password and sessions away, and make a new one-time link.
    Reset {
        /// The account.
        login: Login,
    },
    /// Make a new one-time link for an account, or for the first administrator while there is none.
    Link {
        /// The account; the first administrator's if not given.
        login: Option<Login>,
    },
}

/// What it is for.
#[derive(Debug, Clone, Args)]
pub struct AddUserArgs {
    /// The login name: 2 to 32 of a-z 0-9 . _ -, beginning with a letter.
    pub login: Login,
    /// viewer, evaluator, registrar, auditor or administrator.
    #[arg(long)]
    pub role: Role,
    /// all, county:231123, township:231123/奇克镇 or school:2123000001; the last two for viewers only.
    #[arg(long, default_value = "all")]
    pub scope: Scope,
}

/// What it is for from now on.
#[derive(Debug, Clone, Args)]
pub struct ChangeUserArgs {
    /// The account.
    pub login: Login,
    /// viewer, evaluator, registrar, auditor or administrator. No account is both of the last two, one after the other.
    #[arg(long, required_unless_present = "scope")]
    pub role: Option<Role>,
    /// all, county:231123, township:231123/奇克镇 or school:2123000001.
    #[arg(long)]
    pub scope: Option<Scope>,
}

/// What to do with other systems' tokens.
#[derive(Debug, Subcommand)]
pub enum TokensCommand {
    /// Make one. Its text is shown now and never again; a system sends it as `authorization: Bearer …`.
    Add(AddTokenArgs),
    /// List them, newest first, without their texts.
    List,
    /// Take one back.
    Revoke {
        /// Its number, as `list` shows it.
        id: i64,
    },
}

/// For which system, for what, how long.
#[derive(Debug, Clone, Args)]
pub struct AddTokenArgs {
    /// What to call it: 2 to 32 of a-z 0-9 . _ -, beginning with a letter.
    pub name: Login,
    /// viewer, evaluator, registrar or auditor.
    #[arg(long)]
    pub role: Role,
    /// all, county:231123, township:231123/奇克镇 or school:2123000001.
    #[arg(long, default_value = "all")]
    pub scope: Scope,
    /// How many days it holds, 1 to 730.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_TOKEN_DAYS)))]
    pub days: u32,
}

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Follow the chain from its beginning: any edit, gap or cut is found. Exit code 3 where there is one.
    Verify {
        /// An end that was noted elsewhere, as an earlier `verify` prints it: number:hash.
        #[arg(long, value_name = "NUMBER:HASH")]
        noted: Option<String>,
    },
    /// List entries, newest first.
    List(AuditArgs),
    /// Write entries to a CSV file, which is recorded as well.
    Export {
        /// Which entries.
        #[command(flatten)]
        which: AuditArgs,
        /// The file to make.
        #[arg(long, value_name = "FILE", default_value = "audit.csv")]
        out: PathBuf,
    },
}

/// Which entries.
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// First day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub from: Option<Date>,
    /// Last day, included.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub to: Option<Date>,
    /// Only what this one did: a login name, token:NAME, or a user of the console.
    #[arg(long)]
    pub who: Option<String>,
    /// Only actions that begin so, such as account.
    #[arg(long)]
    pub action: Option<String>,
    /// At most so many, 1 to 10,000.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}
