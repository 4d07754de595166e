//! `install` and `uninstall`: what was done in lines, what went wrong in one. Not responsible for doing it.

use std::process::ExitCode;

use classpulse_agent::{
    install::{self, InstallError, InstallOptions, UninstallOptions},
    run::chain,
};

pub(crate) fn install(options: &InstallOptions) -> ExitCode {
    tell(install::install(options))
}

pub(crate) fn uninstall(options: &UninstallOptions) -> ExitCode {
    tell(install::uninstall(options))
}

fn tell(done: Result<Vec<String>, InstallError>) -> ExitCode {
    match done {
        Ok(lines) => {
            for line in lines {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("classpulse-agent: {}", chain(&error));
            match error {
                InstallError::Option { .. } => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
