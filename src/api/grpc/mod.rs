//! The gRPC services put together: limits, compression, health, reflection, gRPC-Web, and the HTTP routes beside them.
//!
//! Not responsible for sockets and signals (`serve`).

use std::sync::Arc;

use axum::middleware;
use classpulse_proto::v1::{
    evaluation_server, ingest_server, registry_server, scoring_server, usage_server,
};
use futures::{Stream, StreamExt as _};
use jiff::{civil::Date, tz::TimeZone};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, codec::CompressionEncoding::Gzip, service::Routes};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, HealthCheckResponse, health_server},
    server::{HealthReporter, HealthService},
};
use tonic_web::GrpcWebLayer;

use super::{Clock, Parts, ReportSink, ServeError, deadline, names};
use crate::{
    access, query,
    store::{SchoolDay, SharedStore, Store},
};

mod evaluation;
pub(super) mod guard;
mod ingest;
mod registry;
mod scoring;
mod usage;

/// Largest request of `Registry` and `Evaluation`: an import of 8 MiB and its envelope.
const MAX_IMPORT: usize = 9 * 1024 * 1024;

/// Largest request of every other service; a full report has about 30 KiB.
const MAX_REQUEST: usize = 256 * 1024;

/// Largest answer.
const MAX_RESPONSE: usize = 16 * 1024 * 1024;

/// The services that health speaks of; the empty name stands for all of them.
const SERVICES: [&str; 6] = [
    "",
    usage_server::SERVICE_NAME,
    scoring_server::SERVICE_NAME,
    evaluation_server::SERVICE_NAME,
    registry_server::SERVICE_NAME,
    ingest_server::SERVICE_NAME,
];

/// The front, ready to be served.
#[derive(Debug)]
pub struct Api {
    /// Every route: gRPC, gRPC-Web and the caller's plain HTTP.
    pub routes: axum::Router,
    /// Tells load balancers whether to send requests here.
    pub health: Health,
    /// Cancelled when watch streams must end; follows `Parts::drain`.
    pub ending: CancellationToken,
}

/// Sets what the gRPC health service says.
#[derive(Debug, Clone)]
pub struct Health(HealthReporter);

impl Health {
    /// Every service takes requests.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// No service wants new requests.
    pub async fn not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        for service in SERVICES {
            self.0.set_service_status(service, status).await;
        }
    }
}

/// What every service needs to answer.
#[derive(Clone)]
struct Context {
    store: SharedStore,
    zone: TimeZone,
    clock: Clock,
    changes: broadcast::Sender<SchoolDay>,
    /// Ends watch streams.
    ending: CancellationToken,
}

impl Context {
    fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    fn today(&self) -> Date {
        self.zone.to_datetime((self.clock)()).date()
    }

    /// Records that something is given away.
    async fn exported(&self, what: &str) -> Result<(), Status> {
        let at = (self.clock)().as_second();
        access::record(self.store(), at, "export", what).await?;
        Ok(())
    }

    /// Brings the sums up to date and tells the watchers.
    async fn freshen(&self) -> Result<(), Status> {
        // Sending fails where nobody watches, which is no failure.
        query::freshen(self.store(), |day| drop(self.changes.send(day))).await?;
        Ok(())
    }
}

macro_rules! limited {
    ($server:expr, $request:expr) => {
        $server
            .accept_compressed(Gzip)
            .send_compressed(Gzip)
            .max_decoding_message_size($request)
            .max_encoding_message_size(MAX_RESPONSE)
    };
}

/// Puts the front together; all services say `SERVING`.
///
/// # Errors
/// [`ServeError::Descriptors`].
pub async fn router(parts: Parts) -> Result<Api, ServeError> {
    let Parts {
        store,
        zone,
        clock,
        sink,
        changes,
        drain,
        gate,
        names,
        http,
        limits,
        tls: _,
    } = parts;
    let ending = drain.child_token();
    let context = Arc::new(Context {
        store,
        zone,
        clock,
        changes,
        ending: ending.clone(),
    });
    let health = Health(HealthReporter::new());
    health.serving().await;
    let routes = services(&context, sink, &health)?
        .into_axum_router()
        .route_layer(middleware::from_fn_with_state(gate, guard::enter))
        .route_layer(middleware::from_fn_with_state(
            limits.timeout,
            deadline::keep,
        ))
        .route_layer(GrpcWebLayer::new());
    Ok(Api {
        routes: http
            .merge(routes)
            .layer(middleware::from_fn_with_state(names, names::known)),
        health,
        ending,
    })
}

fn services(
    context: &Arc<Context>,
    sink: Arc<dyn ReportSink>,
    health: &Health,
) -> Result<Routes, ServeError> {
    let usage = usage_server::UsageServer::new(usage::Service(Arc::clone(context)));
    let scoring = scoring_server::ScoringServer::new(scoring::Service(Arc::clone(context)));
    let evaluation =
        evaluation_server::EvaluationServer::new(evaluation::Service(Arc::clone(context)));
    let registry = registry_server::RegistryServer::new(registry::Service(Arc::clone(context)));
    let ingest = ingest_server::IngestServer::new(ingest::Service(sink));
    let health = EndingHealth {
        inner: HealthService::from_health_reporter(health.0.clone()),
        ending: context.ending.clone(),
    };
    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(classpulse_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Not `Routes::default()`: its fallback would answer for the caller's HTTP routes.
    Ok(Routes::from(axum::Router::new())
        .add_service(limited!(usage, MAX_REQUEST))
        .add_service(limited!(scoring, MAX_REQUEST))
        .add_service(limited!(evaluation, MAX_IMPORT))
        .add_service(limited!(registry, MAX_IMPORT))
        .add_service(limited!(ingest, MAX_REQUEST))
        .add_service(health_server::HealthServer::new(health))
        .add_service(described().build_v1()?)
        .add_service(described().build_v1alpha()?))
}

/// The health service, whose watch streams end with the service: an open one would hold up the stop.
struct EndingHealth {
    inner: HealthService,
    ending: CancellationToken,
}

/// A stream of answers.
type Answers<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl health_server::Health for EndingHealth {
    type WatchStream = Answers<HealthCheckResponse>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.inner.check(request).await
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let stream = self.inner.watch(request).await?.into_inner();
        Ok(Response::new(
            stream
                .take_until(self.ending.clone().cancelled_owned())
                .boxed(),
        ))
    }
}
