//! The front of the service: gRPC, gRPC-Web and plain HTTP routes on one port. Transport only.
//!
//! The caller binds the socket, gives the clock, the sink for reports and the signals to drain and to stop.
//! Not responsible for the answers (`query`, `registry`), nor for judging reports (the sink's other end).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use classpulse_proto::v1;
use jiff::{Timestamp, tz::TimeZone};
use tokio::{net::TcpListener, sync::broadcast};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Server, TcpIncoming};

use crate::{
    gate::Gate,
    store::{SchoolDay, SharedStore, StoreError},
};

mod convert;
mod deadline;
mod error;
mod grpc;
mod names;
mod page;
mod secure;

pub use grpc::{
    Api, Health,
    guard::{METHODS, Method, Sees, Trail},
    router,
};
pub use names::Names;

/// Changed school-days kept for watchers that read slowly; one that falls behind further gets a resync.
pub const CHANGES_KEPT: usize = 4_096;

/// The channel of changed school-days, with [`CHANGES_KEPT`] places.
#[must_use]
pub fn changes() -> broadcast::Sender<SchoolDay> {
    broadcast::Sender::new(CHANGES_KEPT)
}

/// Why a report given to [`ReportSink::accept`] was not committed.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The report, or a session of it, can't be believed; it is kept in quarantine.
    #[error("{field}: {message}")]
    Refused {
        /// The wrong field, such as `sessions[2].end`.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// The intake is full: the same report may be sent again later.
    #[error("the intake is full, send the report again later")]
    Full,
    /// The service is stopping and takes no more reports.
    #[error("the service is stopping, send the report again later")]
    Draining,
    /// The report could not be committed.
    #[error("the report could not be stored")]
    Store(#[source] StoreError),
}

/// Where `Ingest.Report` hands its reports to; `ingest` and `api` meet only in the composition root.
#[async_trait]
pub trait ReportSink: Send + Sync {
    /// Answers once the report is committed to the store.
    ///
    /// # Errors
    /// [`SinkError`] says whether it is the report or the service that is at fault.
    async fn accept(&self, report: v1::Report) -> Result<v1::Ack, SinkError>;
}

/// Reads the time: the front's only way to know it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What protects the service from its callers.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest time to an answer (for a stream: to its beginning); a caller's shorter `grpc-timeout` wins.
    pub timeout: Duration,
    /// Requests of one connection that are worked on at once; more wait.
    pub concurrent_requests: usize,
    /// Streams that one HTTP/2 connection may hold open, watchers included.
    pub concurrent_streams: u32,
    /// How often a quiet HTTP/2 connection is pinged, so that dead peers and sleeping routers are noticed.
    pub keepalive: Duration,
    /// How long open connections may take to end after the stop signal.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            concurrent_requests: 64,
            concurrent_streams: 256,
            keepalive: Duration::from_secs(30),
            grace: Duration::from_secs(10),
        }
    }
}

/// What the front is made of; the caller wires it.
#[derive(Clone)]
pub struct Parts {
    /// Answers come from here; each person sees their own part of it (`access::guarded`).
    pub store: SharedStore,
    /// Says which civil day a moment belongs to.
    pub zone: TimeZone,
    /// Says what moment it is.
    pub clock: Clock,
    /// Takes the reports of `Ingest.Report`.
    pub sink: Arc<dyn ReportSink>,
    /// Changed school-days: watchers listen, and whatever brings sums up to date tells of it here.
    pub changes: broadcast::Sender<SchoolDay>,
    /// Cancelled when the service begins to stop: health says so and watch streams end.
    pub drain: CancellationToken,
    /// Finds out who asks.
    pub gate: Gate,
    /// By which names the port may be asked.
    pub names: Names,
    /// Plain HTTP routes (dashboard, metrics) for the same port; may bring their own fallback.
    pub http: axum::Router,
    /// What protects the service from its callers.
    pub limits: Limits,
    /// Secures the port; `None` for plain text.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("store", &self.store)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Why the front could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The contract's own description can't be read: a mistake of the build.
    #[error("the descriptors for gRPC reflection can't be read")]
    Descriptors(#[from] tonic_reflection::server::Error),
    /// The server failed.
    #[error("the gRPC and HTTP server failed")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves until `shutdown`, then lets running requests end.
///
/// On `parts.drain` (or `shutdown`) health turns to `NOT_SERVING` and watch streams end; other requests are
/// still answered until `shutdown`. Connections that have not ended after `limits.grace` are left behind.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    listener: TcpListener,
    parts: Parts,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let (limits, drain, tls) = (parts.limits.clone(), parts.drain.clone(), parts.tls.clone());
    let api = router(parts).await?;
    let stopping = async {
        tokio::select! {
            () = drain.cancelled() => {}
            () = shutdown.cancelled() => {}
        }
        api.health.not_serving().await;
        api.ending.cancel();
        shutdown.cancelled().await;
    };
    let server = Server::builder()
        .accept_http1(true)
        .http2_keepalive_interval(Some(limits.keepalive))
        .tcp_nodelay(true)
        .max_concurrent_streams(limits.concurrent_streams)
        .concurrency_limit_per_connection(limits.concurrent_requests);
    let routes = api.routes.with_state(());
    let server = async {
        if let Some(tls) = tls {
            let incoming = Box::pin(secure::incoming(listener, tls));
            return server
                .serve_with_incoming_shutdown(routes, incoming, stopping)
                .await;
        }
        let incoming = TcpIncoming::from(listener)
            .with_nodelay(Some(true))
            .with_keepalive(Some(limits.keepalive));
        server
            .serve_with_incoming_shutdown(routes, incoming, stopping)
            .await
    };
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(limits.grace).await;
    };
    tokio::select! {
        done = server => Ok(done?),
        () = overdue => {
            tracing::warn!(grace = ?limits.grace, "connections did not end in time and are left behind");
            Ok(())
        }
    }
}
