//! `status`, `doctor` and `enrol`: what is printed, and the exit code. Not responsible for what they find.

use std::process::ExitCode;

use classpulse_agent::{
    chain::chain,
    config::{Config, ConfigError},
    doctor, run, status,
};

pub(crate) fn status(config: &Config, json: bool) -> ExitCode {
    let state = status::ask(config);
    for trouble in state["journal_troubles"].as_array().into_iter().flatten() {
        eprintln!("classpulse-agent: {}", trouble.as_str().unwrap_or_default());
    }
    if state["agent"].is_null() && state["waiting"].is_null() {
        eprintln!(
            "classpulse-agent: no agent runs, and there is no journal at {}",
            config.journal.display()
        );
        return ExitCode::FAILURE;
    }
    if json {
        println!("{state:#}");
    } else {
        print!("{}", status::words(&state));
    }
    ExitCode::SUCCESS
}

pub(crate) async fn doctor(config: Result<Config, ConfigError>, json: bool) -> ExitCode {
    let findings = match config {
        Ok(config) => doctor::examine(&config).await,
        Err(error) => doctor::misconfigured(chain(&error)),
    };
    if json {
        println!("{:#}", doctor::json(&findings));
    } else {
        print!("{}", doctor::words(&findings));
    }
    if doctor::all_well(&findings) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

pub(crate) async fn enrol(config: &Config) -> ExitCode {
    match run::enrol(config).await {
        Ok(identity) => {
            println!("{} {}", identity.terminal, identity.school);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("classpulse-agent: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}
