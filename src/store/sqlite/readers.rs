//! A few read-only connections, each used by one question at a time; readers and the writer never wait for each other.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{connection, failure::Failure};
use crate::store::StoreError;

/// Questions answered at once; further ones wait asynchronously.
pub(super) const READERS: u32 = 4;

/// The pool; a clone is the same one.
#[derive(Clone)]
pub(super) struct Readers {
    path: PathBuf,
    /// One a running question; closed with the store.
    permits: Arc<Semaphore>,
    /// Connections not in use. Opened when first needed, so there are never more than permits.
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// A pool without connections yet.
    pub(super) fn new(path: PathBuf) -> Self {
        let permits = Arc::new(Semaphore::new(READERS as usize));
        Self {
            path,
            permits,
            idle: Arc::default(),
        }
    }

    /// Asks a question; all its statements see the same state of the database.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_closed| StoreError::Closed)?;
        let (path, idle) = (self.path.clone(), Arc::clone(&self.idle));
        let answer = tokio::task::spawn_blocking(move || {
            let found = lock(&idle).pop();
            let mut connection = match found {
                Some(connection) => connection,
                None => connection::open_reader(&path)?,
            };
            let answer = in_snapshot(&mut connection, work);
            lock(&idle).push(connection);
            drop(permit);
            answer
        });
        match answer.await {
            Ok(answer) => answer.map_err(|error| error.while_doing(doing)),
            Err(error) => Err(StoreError::Driver {
                doing,
                source: Box::new(error),
            }),
        }
    }

    /// Waits for running questions and closes the connections. Later questions are refused.
    pub(super) async fn close(&self) {
        // An error means that it was closed before.
        if let Ok(all) = self.permits.acquire_many(READERS).await {
            self.permits.close();
            lock(&self.idle).clear();
            drop(all);
        }
    }
}

fn lock(idle: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

fn in_snapshot<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let transaction = connection.transaction()?;
    let answer = work(&transaction)?;
    transaction.finish()?;
    Ok(answer)
}
