//! Tasks: started by name, stopped in order, awaited with a deadline. The home of `tokio::spawn`.
//!
//! Not responsible for the order itself (`app`).

use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tracing::{Instrument as _, error, info_span, warn};

/// A running task with a name.
#[derive(Debug)]
pub struct Task {
    name: &'static str,
    handle: JoinHandle<()>,
}

/// Starts a task. Its log lines carry its name.
#[expect(clippy::disallowed_methods, reason = "the one home of spawning")]
pub fn start(name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> Task {
    Task {
        name,
        handle: tokio::spawn(work.instrument(info_span!("task", name))),
    }
}

/// Work did not come to its end: it panicked, or the program is ending.
#[derive(Debug, thiserror::Error)]
#[error("the work was cut off")]
pub struct CutOff(#[source] JoinError);

/// Does work that takes long where it makes nobody wait.
///
/// # Errors
/// The work's, or [`CutOff`].
pub async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<CutOff> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(CutOff)?
}

/// Does work to its end, also where whoever waits for it gives up: the steps of a change belong together.
///
/// # Errors
/// The work panicked.
#[expect(clippy::disallowed_methods, reason = "the one home of spawning")]
pub async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, JoinError> {
    tokio::spawn(work.in_current_span()).await
}

impl Task {
    /// Waits for the task's end; past the deadline it is cut off, and said so. True if it ended by itself.
    pub async fn finish(self, deadline: Duration) -> bool {
        let abort = self.handle.abort_handle();
        match tokio::time::timeout(deadline, self.handle).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                error!(task = self.name, %error, "a task failed");
                false
            }
            Err(_elapsed) => {
                warn!(
                    task = self.name,
                    ?deadline,
                    "a task did not end in time and was cut off"
                );
                abort.abort();
                false
            }
        }
    }

    /// Ends the task at once; for work that has no end of its own.
    pub fn stop(self) {
        self.handle.abort();
    }
}

/// Tells of each SIGHUP: what was read at the start may have changed. While nobody listens, it ends the program.
#[derive(Debug)]
pub struct Reloads(Option<tokio::signal::unix::Signal>);

impl Reloads {
    /// Listens from now on.
    #[must_use]
    pub fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let listening = signal(SignalKind::hangup());
        if let Err(error) = &listening {
            warn!(%error, "SIGHUP is not heard");
        }
        Self(listening.ok())
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        if let Some(signal) = &mut self.0
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// Waits for SIGINT (Ctrl-C) or SIGTERM.
pub async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
