//! Who gets in, and what nobody gets: TLS at our own listeners, files and answers for outside brokers, and attacks that are
//! tried for real.

mod attacks;
mod fields;
mod hostile;
mod http_auth;
mod mosquitto;
mod rmqtt;
mod table;
mod tls;

use std::{path::Path, process::Command};

/// Exit code, and what was said on standard output and standard error.
fn run(environment: &[(&str, &str)], arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_classpulse"))
        .envs(environment.iter().copied())
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    (output.status.code().unwrap(), out, err)
}

/// A private authority and a server's certificate, as an operator makes them.
fn certificates(folder: &Path) {
    let dir = folder.display().to_string();
    let (status, _, said) = run(
        &[],
        &["tls", "init", "--dir", &dir, "--name", "classpulse.test"],
    );
    assert_eq!(status, 0, "{said}");
}
