//! The `Ingest` service: one report outside MQTT, answered once it is committed.

use std::sync::Arc;

use classpulse_proto::v1::{self, ingest_server};
use tonic::{Request, Response, Status};

use crate::api::ReportSink;

/// Hands reports to the sink.
pub(super) struct Service(pub(super) Arc<dyn ReportSink>);

#[tonic::async_trait]
impl ingest_server::Ingest for Service {
    async fn report(&self, request: Request<v1::Report>) -> Result<Response<v1::Ack>, Status> {
        Ok(Response::new(self.0.accept(request.into_inner()).await?))
    }
}
