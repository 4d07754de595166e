//! The pipeline's moving part: a bounded queue, a batch, one commit, then every report's outcome.
//!
//! While a batch commits, the next one gathers in the queue; when the queue is full, senders wait, and the broker
//! holds the rest. Not responsible for judging reports (`assemble`) or for carrying bytes (`broker`, `outside`).

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use classpulse_proto::v1::Settings;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::assemble::{Assembly, Decoded, Incoming, Known, Outcome, open};
use crate::{
    clock::SharedClock,
    domain::ids::TerminalId,
    observe::{Metrics, Waiting, chain},
    store::{Batch, Committed, SharedStore, Standing, StoreError},
};

/// Reports that may wait for the next batch. Beyond it senders wait, and their broker with them.
pub const QUEUE: usize = 20_000;

/// Bytes of reports that may wait or be in the commit that is under way; a report costs its length and
/// [`OVERHEAD`]. Beyond it senders wait as well.
pub const QUEUE_BYTES: usize = 64 << 20;

/// What a report costs beside its payload, bytes: names, channels, places in lists.
pub const OVERHEAD: usize = 512;

/// Most reports in one commit.
pub const MAX_BATCH: usize = 20_000;

/// Most terminals that may wait for approval; more unknown ones go to quarantine.
pub const MAX_PENDING_TERMINALS: u64 = 20_000;

/// Most terminals whose standing is remembered between batches.
const MAX_CACHED: usize = 100_000;

/// First and longest pause before a failed commit is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

struct Delivery {
    incoming: Incoming,
    arrived: Timestamp,
    done: oneshot::Sender<Outcome>,
    /// Given back when the report's outcome is known.
    _held: Held,
}

/// A report's share of [`QUEUE_BYTES`].
#[derive(Debug)]
struct Held {
    _bytes: OwnedSemaphorePermit,
    _waiting: Waiting,
}

/// Room in the intake for one report; given back where it is not used.
#[derive(Debug)]
pub struct Room {
    slot: mpsc::OwnedPermit<Delivery>,
    held: Held,
}

/// Why a report was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// The queue is full; the report was not taken.
    #[error("the intake is full")]
    Full,
    /// The pipeline has stopped; the report was not committed.
    #[error("the intake is closed")]
    Closed,
}

/// Where reports are handed in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Intake {
    queue: mpsc::Sender<Delivery>,
    bytes: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    clock: SharedClock,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("arrived", &self.arrived)
            .finish_non_exhaustive()
    }
}

impl Intake {
    /// Hands in a report, waiting for room, and waits until it is committed.
    ///
    /// # Errors
    /// `Closed` when the pipeline stopped before the commit; the report may come again.
    pub async fn accept(
        &self,
        topic_terminal: Option<String>,
        payload: Bytes,
    ) -> Result<Outcome, IntakeError> {
        let room = self.room(payload.len()).await?;
        self.accept_in(room, topic_terminal, payload).await
    }

    /// Waits for room for a report of so many bytes; those who wait get it in the order in which they came.
    ///
    /// # Errors
    /// `Closed` when the pipeline has stopped.
    pub async fn room(&self, bytes: usize) -> Result<Room, IntakeError> {
        let permits = Arc::clone(&self.bytes).acquire_many_owned(cost(bytes));
        let permits = permits.await.map_err(|_closed| IntakeError::Closed)?;
        let slot = self.queue.clone().reserve_owned().await;
        let slot = slot.map_err(|_closed| IntakeError::Closed)?;
        Ok(self.hold(slot, permits, bytes))
    }

    /// Hands in a report that has its room, and waits until it is committed.
    ///
    /// # Errors
    /// As [`Intake::accept`].
    pub async fn accept_in(
        &self,
        room: Room,
        topic_terminal: Option<String>,
        payload: Bytes,
    ) -> Result<Outcome, IntakeError> {
        self.deliver(room, topic_terminal, payload)
            .await
            .map_err(|_closed| IntakeError::Closed)
    }

    /// The same without waiting for room.
    ///
    /// # Errors
    /// `Full` at once where there is no room, else as [`Intake::accept`].
    pub async fn try_accept(&self, payload: Bytes) -> Result<Outcome, IntakeError> {
        let permits = Arc::clone(&self.bytes).try_acquire_many_owned(cost(payload.len()));
        let permits = permits.map_err(|_full| IntakeError::Full)?;
        let slot = self.queue.clone().try_reserve_owned();
        let slot = slot.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => IntakeError::Full,
            mpsc::error::TrySendError::Closed(_) => IntakeError::Closed,
        })?;
        let room = self.hold(slot, permits, payload.len());
        self.accept_in(room, None, payload).await
    }

    fn hold(
        &self,
        slot: mpsc::OwnedPermit<Delivery>,
        bytes: OwnedSemaphorePermit,
        length: usize,
    ) -> Room {
        let waiting = self.metrics.waiting(length);
        let held = Held {
            _bytes: bytes,
            _waiting: waiting,
        };
        Room { slot, held }
    }

    /// Puts a report into the queue at once; its outcome comes with its commit.
    fn deliver(
        &self,
        room: Room,
        topic_terminal: Option<String>,
        payload: Bytes,
    ) -> oneshot::Receiver<Outcome> {
        let (done, outcome) = oneshot::channel();
        let arrived = self.clock.now();
        let received_at = arrived.as_second();
        let incoming = Incoming {
            topic_terminal,
            payload,
            received_at,
            replay_of: None,
        };
        room.slot.send(Delivery {
            incoming,
            arrived,
            done,
            _held: room.held,
        });
        outcome
    }
}

/// What a report of so many bytes takes from [`QUEUE_BYTES`]: never more than there is.
fn cost(bytes: usize) -> u32 {
    let cost = bytes.saturating_add(OVERHEAD).min(QUEUE_BYTES);
    u32::try_from(cost).unwrap_or(u32::MAX)
}

/// What the pipeline works with.
#[derive(Debug)]
pub struct Pipeline {
    /// Where batches are committed.
    pub store: SharedStore,
    /// For arrival times and latencies.
    pub clock: SharedClock,
    /// Cuts days.
    pub zone: TimeZone,
    /// Counts what happens.
    pub metrics: Arc<Metrics>,
    /// How long a batch waits for company after its first report: trades latency for fewer disk syncs.
    pub linger: Duration,
    /// What terminals are told with every acknowledgement.
    pub settings: Option<Settings>,
    /// No more reports are taken; those in the queue are still committed.
    pub stop: CancellationToken,
}

impl Pipeline {
    /// The intake, and the pipeline's work as a future that ends after `stop` (or when every
    /// intake is gone), once all is committed.
    pub fn start(self) -> (Intake, impl Future<Output = ()> + Send) {
        let (queue, reports) = mpsc::channel(QUEUE);
        let intake = Intake {
            queue,
            bytes: Arc::new(Semaphore::new(QUEUE_BYTES)),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
        };
        let worker = Worker {
            parts: self,
            standings: HashMap::new(),
            version: None,
            kept_from: None,
        };
        (intake, worker.run(reports))
    }
}

struct Worker {
    parts: Pipeline,
    /// What is known of terminals, true for `version` of the registry.
    standings: HashMap<TerminalId, Standing>,
    version: Option<i64>,
    /// The first day whose minutes are kept, true for `version` likewise.
    kept_from: Option<Date>,
}

impl Worker {
    async fn run(mut self, mut reports: mpsc::Receiver<Delivery>) {
        let mut gathered = Vec::new();
        let stop = self.parts.stop.clone();
        loop {
            let count = tokio::select! {
                count = reports.recv_many(&mut gathered, MAX_BATCH) => count,
                () = stop.cancelled(), if !reports.is_closed() => {
                    reports.close();
                    continue;
                }
            };
            if count == 0 {
                break;
            }
            if gathered.len() < MAX_BATCH && !self.parts.linger.is_zero() {
                tokio::time::sleep(self.parts.linger).await;
                // Takes what has come meanwhile, without waiting again.
                while gathered.len() < MAX_BATCH {
                    let Ok(next) = reports.try_recv() else { break };
                    gathered.push(next);
                }
            }
            self.handle(std::mem::take(&mut gathered)).await;
        }
        info!("ingest has drained");
    }

    /// Commits reports and tells their senders. What the database refuses is halved until the report that it refuses
    /// stands alone and goes to quarantine, so that it neither holds nor drops its neighbours.
    #[tracing::instrument(name = "batch", level = "debug", skip_all, fields(reports = deliveries.len()))]
    async fn handle(&mut self, deliveries: Vec<Delivery>) {
        let mut waiting = vec![deliveries];
        while let Some(mut deliveries) = waiting.pop() {
            match self.commit_all(&deliveries).await {
                Ok(outcomes) => self.answer(deliveries, outcomes),
                Err(refused) if deliveries.len() > 1 => {
                    debug!(reports = deliveries.len(), %refused, "the store refuses a batch; halving it");
                    let second = deliveries.split_off(deliveries.len() / 2);
                    waiting.extend([second, deliveries]);
                }
                Err(refused) => {
                    let outcomes = self.set_aside(&deliveries, refused).await;
                    self.answer(deliveries, outcomes);
                }
            }
        }
    }

    /// One commit. The error is what the database says of data that it refuses.
    async fn commit_all(&mut self, deliveries: &[Delivery]) -> Result<Vec<Outcome>, String> {
        let decoded: Vec<Decoded> = deliveries
            .iter()
            .map(|delivery| open(&delivery.incoming, &self.parts.zone))
            .collect();
        let room = self.learn(&decoded).await;
        let mut known = Known {
            standings: &self.standings,
            room_for_unknown: room,
            kept_from: self.kept_from,
        };
        let mut assembly = Assembly::default();
        for (delivery, decoded) in deliveries.iter().zip(decoded) {
            assembly.add(&delivery.incoming, decoded, &mut known, &self.parts.zone);
        }
        let committed = self.commit(assembly.batch()).await?;
        Ok(assembly.finish(&committed, self.parts.settings))
    }

    /// Puts reports that the database refuses into quarantine. If it refuses even that, nobody is acknowledged: they
    /// wait in their terminals' journals.
    async fn set_aside(&mut self, deliveries: &[Delivery], said: String) -> Vec<Outcome> {
        let mut assembly = Assembly::default();
        for delivery in deliveries {
            let decoded = open(&delivery.incoming, &self.parts.zone);
            let (incoming, zone) = (&delivery.incoming, &self.parts.zone);
            assembly.add_unstorable(incoming, &decoded, said.clone(), zone);
        }
        warn!(error = said, "the store refuses a report; to quarantine");
        match self.commit(assembly.batch()).await {
            Ok(committed) => assembly.finish(&committed, self.parts.settings),
            Err(said) => {
                warn!(
                    error = said,
                    "the store refuses a quarantine entry too; not acknowledged"
                );
                let overflowed = (0..deliveries.len()).collect();
                let committed = Committed {
                    overflowed,
                    ..Committed::default()
                };
                assembly.finish(&committed, None)
            }
        }
    }

    /// Tells senders what became of their reports.
    fn answer(&self, deliveries: Vec<Delivery>, outcomes: Vec<Outcome>) {
        let now = self.parts.clock.now();
        self.parts.metrics.batch(deliveries.len());
        for (delivery, outcome) in deliveries.into_iter().zip(outcomes) {
            let latency = now.duration_since(delivery.arrived).unsigned_abs();
            self.parts
                .metrics
                .report(outcome.accepted, outcome.kept, latency);
            for (reason, detail) in &outcome.refused {
                let terminal = outcome.terminal.as_ref().map(TerminalId::as_str);
                self.parts.metrics.refused(reason.key());
                debug!(terminal, %reason, detail, "to quarantine");
            }
            // A sender that no longer listens has gone; its report is committed all the same.
            drop(delivery.done.send(outcome));
        }
    }

    /// Learns the standings of all who speak; the answer is how many more unknown terminals may come.
    async fn learn(&mut self, decoded: &[Decoded]) -> u64 {
        let version = self.insist("read the registry's version", |store| async move {
            store.registry_version().await
        });
        let version = version.await;
        if self.version != Some(version) || self.standings.len() > MAX_CACHED {
            self.standings.clear();
            self.version = Some(version);
            let kept = self.insist("read from when minutes are kept", |store| async move {
                store.kept_from().await
            });
            self.kept_from = kept.await;
        }
        let mut unknown: Vec<TerminalId> = decoded
            .iter()
            .filter_map(|one| match one {
                Decoded::Good(good) if !self.standings.contains_key(&good.0) => {
                    Some(good.0.clone())
                }
                _ => None,
            })
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return 0;
        }
        let asked = Arc::new(unknown);
        let found = self.insist("look up terminals", |store| {
            let asked = Arc::clone(&asked);
            async move { store.standings(&asked).await }
        });
        let found = found.await;
        let any_unknown = found.contains(&Standing::Unknown);
        for (terminal, standing) in asked.iter().zip(found) {
            // An unknown terminal becomes a pending one with this very batch.
            self.standings.insert(terminal.clone(), standing);
        }
        if !any_unknown {
            return 0;
        }
        let pending = self.insist("count pending terminals", |store| async move {
            store.pending_count().await
        });
        MAX_PENDING_TERMINALS.saturating_sub(pending.await)
    }

    /// The error is what the database says of data that it refuses; everything else is tried again.
    async fn commit(&mut self, batch: Batch) -> Result<Committed, String> {
        let started = self.parts.clock.now();
        let committed = self.insist("commit a batch", |store| {
            let batch = batch.clone();
            async move {
                match store.commit(batch).await {
                    Err(error @ StoreError::Unfit { .. }) => Ok(Err(chain(&error))),
                    done => done.map(Ok),
                }
            }
        });
        let committed = committed.await;
        if let Ok(Committed {
            dropped_incidents: dropped @ 1..,
            ..
        }) = committed
        {
            self.parts.metrics.dropped_incidents(dropped);
            warn!(dropped, "a terminal tells too many incidents");
        }
        self.parts.metrics.commit(
            self.parts
                .clock
                .now()
                .duration_since(started)
                .unsigned_abs(),
        );
        // Terminals that were unknown are pending now; the store says so the next time they speak.
        self.standings
            .retain(|_, standing| *standing != Standing::Unknown);
        committed
    }

    /// Does what must be done, as often as it takes: reports wait in their queue and broker meanwhile.
    async fn insist<T, F, W>(&self, doing: &'static str, mut work: F) -> T
    where
        F: FnMut(SharedStore) -> W,
        W: Future<Output = Result<T, StoreError>>,
    {
        let mut pause = RETRY.0;
        let mut jitter = rand_chacha::ChaCha8Rng::seed_from_u64(
            self.parts.clock.now().as_millisecond().unsigned_abs(),
        );
        loop {
            match work(self.parts.store.clone()).await {
                Ok(done) => return done,
                Err(error) => {
                    self.parts.metrics.store_failure();
                    warn!(doing, error = %chain(&error), ?pause, "the store failed; trying again");
                }
            }
            tokio::time::sleep(pause.mul_f64(jitter.random_range(0.5..1.0))).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }
}
