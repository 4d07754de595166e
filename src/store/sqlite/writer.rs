//! The one thread that writes: transactions of this process wait in a queue instead of for SQLite's lock.
//!
//! Other processes may write to the same file; their transactions and these exclude one another by SQLite's lock.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{access, failure::Failure};
use crate::store::{
    Recording, StoreError,
    access::{Outcomes, entries},
};

/// Transactions that may wait; callers beyond wait asynchronously. Small, for each may carry a batch of many rows.
pub(super) const WRITER_QUEUE: usize = 16;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The way to the writer thread.
#[derive(Clone)]
pub(super) struct Writer {
    thread: Arc<Thread>,
    /// What is recorded with every change that goes this way.
    recordings: Vec<Recording>,
}

struct Thread {
    /// Taken away by `close`; the thread ends when the last clone is gone and the queue is empty.
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    /// What `close` waits for. Held while waiting, so that a second `close` waits as well.
    handle: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(mut connection: Connection) -> std::io::Result<Self> {
        let (queue, mut jobs) = mpsc::channel::<Job>(WRITER_QUEUE);
        let thread = thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || {
                while let Some(job) = jobs.blocking_recv() {
                    job(&mut connection);
                }
                if let Err(error) = connection.execute_batch("PRAGMA optimize") {
                    tracing::warn!(%error, "the database could not be optimized while closing");
                }
            })?;
        Ok(Self {
            thread: Arc::new(Thread {
                queue: Mutex::new(Some(queue)),
                handle: tokio::sync::Mutex::new(Some(thread)),
            }),
            recordings: Vec::new(),
        })
    }

    /// The same, recording this as well.
    pub(super) fn recording(&self, recording: Recording) -> Self {
        let mut writer = self.clone();
        writer.recordings.push(recording);
        writer
    }

    /// Does the work in a transaction, which is committed if it succeeds and leaves nothing if it fails. What is to be
    /// recorded of it is in the same transaction.
    ///
    /// Once queued it is done, even if the caller no longer waits.
    pub(super) async fn run<T: Outcomes + Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let queue = self
            .thread
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let (reply, outcome) = oneshot::channel();
        let recordings = self.recordings.clone();
        let job: Job = Box::new(move |connection| {
            let done = in_transaction(connection, &recordings, work);
            let done = done.map_err(|error| error.while_doing(doing));
            // Nobody waits any longer: what is done is done.
            drop(reply.send(done));
        });
        let Some(queue) = queue else {
            return Err(StoreError::Closed);
        };
        if queue.send(job).await.is_err() {
            return Err(StoreError::Closed);
        }
        drop(queue);
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Lets queued work finish, then closes the connection. Later work is refused.
    pub(super) async fn close(&self) {
        drop(
            self.thread
                .queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let mut thread = self.thread.handle.lock().await;
        if let Some(thread) = thread.take()
            && !matches!(
                tokio::task::spawn_blocking(|| thread.join()).await,
                Ok(Ok(()))
            )
        {
            tracing::error!("the database's writer thread ended badly");
        }
    }
}

fn in_transaction<T: Outcomes>(
    connection: &mut Connection,
    recordings: &[Recording],
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = work(&transaction)?;
    for entry in entries(recordings, done.outcome()) {
        access::append(&transaction, &entry)?;
    }
    transaction.commit()?;
    Ok(done)
}
