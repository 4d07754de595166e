//! The front on a real port, asked through the generated clients, by hand-made gRPC-Web and by plain HTTP.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that is wrong must stop the test"
)]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use axum::routing::get;
use classpulse::{
    api::{self, Limits, Names, Parts, ReportSink, ServeError, SinkError},
    domain::incident::{Incident, Kind},
    store::SchoolDay,
};
use classpulse_proto::v1::{
    self, ingest_client::IngestClient, registry_client::RegistryClient,
    scoring_client::ScoringClient, usage_client::UsageClient,
};
use futures::StreamExt as _;
use jiff::tz::TimeZone;
use tokio::{net::TcpListener, sync::broadcast, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, codec::CompressionEncoding::Gzip, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;

use crate::{
    fake_store::{COUNTY, FakeStore, JUNIOR, PRIMARY, SILENT},
    support::open_door,
};

mod answers;
mod port;
mod refusals;

struct Sink;

#[async_trait]
impl ReportSink for Sink {
    async fn accept(&self, report: v1::Report) -> Result<v1::Ack, SinkError> {
        match report.sequence {
            1 => Ok(v1::Ack {
                boot_id: report.boot_id,
                sequences: vec![1],
                ..v1::Ack::default()
            }),
            2 => Err(SinkError::Full),
            3 => Err(SinkError::Draining),
            _ => Err(SinkError::Refused {
                field: "sequence".to_owned(),
                message: "must be at least 1".to_owned(),
            }),
        }
    }
}

/// The front, served until it is dropped.
struct Front {
    address: SocketAddr,
    channel: Channel,
    store: Arc<FakeStore>,
    changes: broadcast::Sender<SchoolDay>,
    drain: CancellationToken,
    shutdown: CancellationToken,
    served: JoinSet<Result<(), ServeError>>,
}

impl Front {
    /// On 2026-09-11 at 08:00 in Shanghai.
    async fn start(limits: Limits, changes: broadcast::Sender<SchoolDay>) -> Self {
        let store = FakeStore::with_county();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (drain, shutdown) = (CancellationToken::new(), CancellationToken::new());
        let (gate, guarded) = open_door(store.clone());
        let parts = Parts {
            store: guarded,
            gate,
            // What `raw` says.
            names: Names::Only(Arc::new(["test".to_owned()])),
            zone: TimeZone::get("Asia/Shanghai").unwrap(),
            clock: Arc::new(|| "2026-09-11T00:00:00Z".parse().unwrap()),
            sink: Arc::new(Sink),
            changes: changes.clone(),
            drain: drain.clone(),
            http: axum::Router::new().route("/metrics", get(async || "up 1\n")),
            tls: None,
            limits,
        };
        let mut served = JoinSet::new();
        served.spawn(api::serve(listener, parts, shutdown.clone()));
        let channel = Channel::from_shared(format!("http://{address}"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        Self {
            address,
            channel,
            store,
            changes,
            drain,
            shutdown,
            served,
        }
    }

    async fn new() -> Self {
        Self::start(Limits::default(), api::changes()).await
    }

    fn usage(&self) -> UsageClient<Channel> {
        UsageClient::new(self.channel.clone())
    }

    fn registry(&self) -> RegistryClient<Channel> {
        RegistryClient::new(self.channel.clone())
    }

    /// Sends bytes over a new connection and reads all of the answer.
    async fn raw(&self, head: &str, body: &[u8]) -> String {
        let request = format!(
            "{head}\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let (address, body) = (self.address, body.to_vec());
        let exchange = move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            stream
                .write_all(&[request.into_bytes(), body].concat())
                .unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            String::from_utf8_lossy(&answer).into_owned()
        };
        tokio::task::spawn_blocking(exchange).await.unwrap()
    }
}

fn framed(message: &impl prost::Message) -> Vec<u8> {
    let body = message.encode_to_vec();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [vec![0], length.to_vec(), body].concat()
}

fn wrong_field(status: &Status) -> String {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_details_bad_request().unwrap();
    assert!(
        status
            .message()
            .contains(&details.field_violations[0].description)
    );
    details.field_violations[0].field.clone()
}

fn days(from: &str, to: &str) -> v1::Period {
    v1::Period {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}
