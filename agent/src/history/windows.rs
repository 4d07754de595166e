//! Windows: boots by the System event log, asked for by the system's own `wevtutil`.
//!
//! Not responsible for what its events say (`events`).

use std::{
    io::{self, Read},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{History, HistoryError, events};

/// At most so many bytes of an answer are read: more than [`MOST_EVENTS`] are long.
const LARGEST: u64 = 64 * 1024 * 1024;
/// The latest of more are looked at. A day has some ten.
const MOST_EVENTS: u32 = 20_000;
/// A log that hangs is not waited for any longer.
const PATIENCE: Duration = Duration::from_mins(1);

/// See [`super::spans`].
///
/// # Errors
/// [`HistoryError`].
pub fn spans(since: i64, now: i64) -> Result<History, HistoryError> {
    let answer = ask().map_err(HistoryError::Unreadable)?;
    let seen = events::parse(&answer);
    if seen.is_empty() {
        // Every Windows logs its boots: one that tells of none tells nothing at all.
        let nothing = io::Error::other("the System event log tells of no boot");
        return Err(HistoryError::Unreadable(nothing));
    }
    Ok(History::from_records(&events::records(&seen), since, now))
}

/// The events in XML, in the order in which they were written.
fn ask() -> io::Result<String> {
    let mut child = Command::new("wevtutil")
        .args([
            "query-events",
            "System",
            "/format:xml",
            "/reversedirection:true",
        ])
        .arg(format!("/count:{MOST_EVENTS}"))
        .arg(format!("/query:{}", events::query()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let answer = read(&mut child);
    if answer.is_err() {
        child.kill().ok();
    }
    let status = child.wait()?;
    let answer = answer?;
    if !status.success() {
        return Err(io::Error::other(format!("wevtutil: {status}")));
    }
    Ok(answer)
}

fn read(child: &mut Child) -> io::Result<String> {
    let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut answer = Vec::new();
        let read = output.take(LARGEST).read_to_end(&mut answer);
        tell.send(read.map(|_| answer)).ok();
    });
    let answer = told
        .recv_timeout(PATIENCE)
        .map_err(|_late| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
