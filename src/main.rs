//! The service's program: arguments → configuration → run → exit code.

use std::process::ExitCode;

use clap::Parser as _;
use classpulse::cli::{self, args::Cli};

fn main() -> ExitCode {
    cli::run(&Cli::parse())
}
