//! Keeps school-days fresh in the background, and tells who listens what changed.
//!
//! Answers never depend on it: every query freshens first (`query::freshen`). Not responsible for the sums (store).

use std::{sync::Arc, time::Duration};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    observe::{Metrics, chain},
    store::{SchoolDay, SharedStore},
};

/// School-days in one transaction: keeps the writer free for reports in between.
const STEP: u32 = 256;

/// Rolls up every `interval` until `stop`.
pub async fn run(
    store: SharedStore,
    changes: broadcast::Sender<SchoolDay>,
    metrics: Arc<Metrics>,
    interval: Duration,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = step(&store, &changes, &metrics).await {
            warn!(error = %chain(&error), "the rollup failed; trying again");
        }
    }
}

async fn step(
    store: &SharedStore,
    changes: &broadcast::Sender<SchoolDay>,
    metrics: &Metrics,
) -> Result<(), crate::store::StoreError> {
    loop {
        let days = store.roll_up(STEP).await?;
        if days.is_empty() {
            return Ok(());
        }
        debug!(school_days = days.len(), "rolled up");
        metrics.rolled_up(days.len());
        for day in days {
            // Nobody listening is fine.
            drop(changes.send(day));
        }
    }
}
