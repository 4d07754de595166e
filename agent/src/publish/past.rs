//! Power-on times from before the installation: read once, beside the driver, when the terminal is enrolled and the time
//! is known.
//!
//! Not responsible for what a log proves (`history`) or for reporting it (`core`).

use std::pin::Pin;

use ring::digest;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{info, warn};

use crate::{
    core::BootId,
    history::{self, MOST_DAYS},
};

const DAY: i64 = 86_400;

/// The reading, which may take seconds.
#[derive(Debug)]
pub(super) enum Past {
    /// Nobody wants it, or it is done.
    Done,
    /// It waits for its time.
    Wanted,
    /// A thread reads.
    Reading(JoinHandle<Vec<(i64, i64)>>),
}

impl Past {
    pub(super) fn new(wanted: bool) -> Self {
        if wanted { Self::Wanted } else { Self::Done }
    }

    /// Begins to read, at this Unix second, unless that was done.
    pub(super) fn begin(&mut self, now: i64) {
        if matches!(self, Self::Wanted) {
            *self = Self::Reading(spawn_blocking(move || read(now)));
        }
    }

    /// What was read, [start, end) in Unix seconds; waits for ever where nothing is to be read. May be dropped and
    /// asked again.
    pub(super) async fn read(&mut self) -> Vec<(i64, i64)> {
        let Self::Reading(reading) = self else {
            return std::future::pending().await;
        };
        let spans = Pin::new(reading).await.unwrap_or_default();
        *self = Self::Done;
        spans
    }
}

fn read(now: i64) -> Vec<(i64, i64)> {
    match history::spans(now.saturating_sub(MOST_DAYS * DAY), now) {
        Ok(found) => {
            info!(
                spans = found.spans.len(),
                hours = found.seconds() / 3_600,
                "power-on times from before the installation"
            );
            let spans = found.spans.iter();
            spans.map(|span| (span.start, span.end)).collect()
        }
        Err(error) => {
            warn!(%error, "no power-on times from before the installation");
            Vec::new()
        }
    }
}

/// The boot under which a terminal's past is reported: the same at every repetition.
pub(super) fn history_id(terminal: &str) -> BootId {
    let whole = format!("classpulse history {terminal}");
    let digest = digest::digest(&digest::SHA256, whole.as_bytes());
    let mut id = BootId::default();
    for (to, from) in id.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    id
}
