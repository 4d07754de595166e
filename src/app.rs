//! The composition root: what the service is made of, in which order it starts, and in which it stops.
//!
//! Sources stop first, then stages drain in order, the store closes last. Not responsible for signals (`cli`).

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{Router, http::header, routing::get};
use classpulse_proto::v1;
use jiff::tz::TimeZone;
use prost::Message as _;
use tokio::{net::TcpListener, sync::broadcast};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    access::{self, Access, AccessError, SetUp, Who},
    api::{self, Limits, Names, Parts, ReportSink, ServeError, SinkError},
    broker::{
        Broker, BrokerError,
        asked::{self, MIN_SECRET, Questions},
    },
    clock::SharedClock,
    config::{BrokerConfig, Config, OutsideBroker},
    dashboard::{self, Again, Replayed, Replayer},
    enrolment::Enrolment,
    gate::Gate,
    ingest::{
        Intake, IntakeError, Pipeline,
        outside::{self, Outside, Version},
        replay::{self, Selection},
    },
    login,
    observe::{Metrics, chain},
    retention, rollup,
    store::{SchoolDay, SharedStore, StoreError},
    tasks::{self, Task},
    tls::{self, Certificate, TlsError},
    web::{self, Actions},
};

/// Seconds between the reports of a terminal that was told nothing.
const TERMINALS_OWN_HEARTBEAT: u32 = 60;

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The broker's address.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The API's address.
    #[error("gRPC can't listen on {address}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The first administrator's link.
    #[error("no link for the first administrator")]
    Access(#[from] AccessError),
    /// A file with a password or secret.
    #[error("the secret in {file} can't be read")]
    Password {
        /// As configured.
        file: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// TLS to the outside broker.
    #[error("TLS to the outside broker")]
    Tls(#[from] TlsError),
    /// TLS at our own listeners.
    #[error("tls.certificate_file and tls.key_file can't be used")]
    Listeners(#[source] TlsError),
    /// The secret of outside brokers.
    #[error(
        "{file}, the file of broker.auth_secret_file, holds a secret of fewer than {MIN_SECRET} characters"
    )]
    Secret {
        /// As configured.
        file: String,
    },
}

/// A running service.
#[derive(Debug)]
pub struct App {
    /// Where gRPC and HTTP answer.
    pub api: SocketAddr,
    /// Where terminals connect; `None` with an outside broker.
    pub broker: Option<SocketAddr>,
    /// Where everything is kept.
    pub store: SharedStore,
    /// What happened so far.
    pub metrics: Arc<Metrics>,
    /// The first administrator's link, where one is needed; shown to the operator and never logged.
    pub setup: Option<SetUp>,
    /// Secures our own listeners; looked at each minute, and where whoever runs the service says so.
    pub certificate: Option<Arc<Certificate>>,
    /// School-days as they change.
    pub changes: broadcast::Sender<SchoolDay>,
    /// No more reports are taken.
    draining: CancellationToken,
    /// What stands in the queue is committed, and no more.
    committed: CancellationToken,
    /// No more requests are taken.
    ending: CancellationToken,
    /// Reads the outside broker; ends by `draining`.
    source: Option<Task>,
    /// The embedded broker; has no end of its own.
    broker_task: Option<Task>,
    ingest: Task,
    rollup: Task,
    /// Lets old minutes go, where that is configured.
    retention: Option<Task>,
    /// Follows the certificate's files, where there are any.
    following: Option<Task>,
    api_task: Task,
}

impl App {
    /// Starts everything. On an error nothing is left running.
    ///
    /// # Errors
    /// [`AppError`]: an address that is taken, a password that can't be read.
    pub async fn start(
        config: &Config,
        store: SharedStore,
        clock: SharedClock,
    ) -> Result<Self, AppError> {
        let metrics = Arc::new(Metrics::default());
        let (draining, committed, ending) = (
            CancellationToken::new(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let certificate = certificate(config)?;
        let tls = secured(certificate.as_ref())?;
        let changes = api::changes();
        let (listener, api) = listen(config.api).await?;
        let pipeline = Pipeline {
            store: store.clone(),
            clock: clock.clone(),
            zone: config.zone.clone(),
            metrics: metrics.clone(),
            linger: config.linger,
            settings: settings(config),
            stop: committed.clone(),
        };
        let (intake, ingesting) = pipeline.start();
        let sink = Arc::new(Sink {
            intake: intake.clone(),
            draining: draining.clone(),
        });
        let enrolment = enrolment(config, &store, &clock, &metrics);
        let asked = questions(config, &enrolment, &metrics).await?;
        let carrying = Carrying {
            intake,
            enrolment,
            metrics: metrics.clone(),
            draining: draining.clone(),
            certificate: certificate.clone(),
        };
        let door = Door::open(config, &store, &clock, tls.is_some()).await?;
        let (broker, broker_task, source) = carrying.start(config).await?;
        let retaining = config.retention.map(|days| {
            let (store, zone) = (door.guarded.clone(), config.zone.clone());
            let letting_go = retention::run(store, clock.clone(), zone, days, ending.clone());
            access::acting(Who::service(), letting_go)
        });
        let dashboard = dashboard::router(dashboard::Parts {
            store: door.guarded.clone(),
            zone: config.zone.clone(),
            clock: clock.clone(),
            heartbeat: heartbeat(config),
            changes: changes.clone(),
            drain: draining.clone(),
            replayer: door.replayer(config, &clock),
            actions: actions(config),
            gate: door.gate.clone(),
        });
        let parts = Parts {
            store: door.guarded.clone(),
            zone: config.zone.clone(),
            clock: Arc::new(move || clock.now()),
            sink,
            changes: changes.clone(),
            drain: draining.clone(),
            http: door.beside(metrics.clone()).merge(dashboard).merge(asked),
            names: names(config),
            gate: door.gate,
            tls,
            limits: Limits {
                grace: config.shutdown / 8,
                ..Limits::default()
            },
        };
        let rolling = rollup::run(
            store.clone(),
            changes.clone(),
            metrics.clone(),
            config.rollup,
            ending.clone(),
        );
        let following = certificate.clone().map(|one| one.follow(ending.clone()));
        info!(%api, broker = broker.map(tracing::field::display), "serving");
        Ok(Self {
            api,
            broker,
            store,
            metrics,
            setup: door.setup,
            changes,
            source,
            broker_task,
            ingest: tasks::start("ingest", ingesting),
            rollup: tasks::start("rollup", rolling),
            retention: retaining.map(|work| tasks::start("retention", work)),
            following: following.map(|work| tasks::start("certificate", work)),
            certificate,
            api_task: tasks::start("api", serve(listener, parts, ending.clone())),
            draining,
            committed,
            ending,
        })
    }

    /// Stops in order: sources, ingest, rollup and API, store. Takes at most `deadline`.
    pub async fn stop(self, deadline: Duration) {
        let step = deadline / 5;
        self.draining.cancel();
        if let Some(source) = self.source {
            source.finish(step).await;
        }
        self.committed.cancel();
        self.ingest.finish(step).await;
        self.ending.cancel();
        self.api_task.finish(step).await;
        self.rollup.finish(step).await;
        for other in [self.retention, self.following].into_iter().flatten() {
            other.finish(step).await;
        }
        if let Some(broker) = self.broker_task {
            broker.stop();
        }
        self.store.close().await;
        info!("stopped: {}", self.metrics.closing());
    }
}

/// What carries reports and requests for enrolment in.
struct Carrying {
    intake: Intake,
    enrolment: Arc<Enrolment>,
    metrics: Arc<Metrics>,
    draining: CancellationToken,
    /// Secures the embedded broker.
    certificate: Option<Arc<Certificate>>,
}

impl Carrying {
    /// The embedded broker's address and task, or the task that reads an outside one.
    async fn start(
        self,
        config: &Config,
    ) -> Result<(Option<SocketAddr>, Option<Task>, Option<Task>), AppError> {
        let Self {
            intake,
            enrolment,
            metrics,
            draining,
            certificate,
        } = self;
        match &config.broker {
            BrokerConfig::Embedded(address) => {
                let tls = certificate.as_ref();
                let broker =
                    Broker::bind(*address, tls, intake, enrolment, metrics, draining).await?;
                let address = broker.address();
                let task = tasks::start("broker", broker.run());
                Ok((Some(address), Some(task), None))
            }
            BrokerConfig::Outside(outside) => {
                let outside = log_in(outside).await?;
                let reading = outside::run(outside, intake, enrolment, metrics, draining);
                Ok((None, None, Some(tasks::start("outside", reading))))
            }
        }
    }
}

fn enrolment(
    config: &Config,
    store: &SharedStore,
    clock: &SharedClock,
    metrics: &Arc<Metrics>,
) -> Arc<Enrolment> {
    let (zone, required) = (config.zone.clone(), config.keys_required);
    Arc::new(Enrolment::new(
        store.clone(),
        clock.clone(),
        zone,
        metrics.clone(),
        required,
    ))
}

/// A listener, and where it really listens.
async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), AppError> {
    let listening = async {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    listening
        .await
        .map_err(|source| AppError::Listen { address, source })
}

/// What secures our own listeners.
fn certificate(config: &Config) -> Result<Option<Arc<Certificate>>, AppError> {
    let read = config.tls.as_ref().map(Certificate::read);
    read.transpose().map_err(AppError::Listeners)
}

/// The same for gRPC and HTTP.
fn secured(
    certificate: Option<&Arc<Certificate>>,
) -> Result<Option<Arc<rustls::ServerConfig>>, AppError> {
    let made = certificate.map(|one| one.server(&[b"h2", b"http/1.1"]));
    let made = made.transpose().map_err(AppError::Listeners)?;
    Ok(made.map(Arc::new))
}

/// Answers an outside broker's questions, where the configuration has its secret.
async fn questions(
    config: &Config,
    enrolment: &Arc<Enrolment>,
    metrics: &Arc<Metrics>,
) -> Result<Router, AppError> {
    let Some(file) = &config.auth_secret_file else {
        return Ok(Router::new());
    };
    let secret = secret(file).await?;
    if secret.chars().count() < MIN_SECRET {
        let file = file.display().to_string();
        return Err(AppError::Secret { file });
    }
    let own = match &config.broker {
        BrokerConfig::Outside(OutsideBroker {
            login: Some((user, file)),
            ..
        }) => Some((user.clone(), self::secret(file).await?)),
        _ => None,
    };
    Ok(asked::router(Questions {
        enrolment: enrolment.clone(),
        metrics: metrics.clone(),
        secret,
        own,
    }))
}

/// A secret from its file.
async fn secret(file: &Path) -> Result<String, AppError> {
    let secret = tokio::fs::read_to_string(file).await;
    let secret = secret.map_err(|source| AppError::Password {
        file: file.display().to_string(),
        source,
    })?;
    Ok(secret.trim_end().to_owned())
}

async fn serve(listener: TcpListener, parts: Parts, ending: CancellationToken) {
    if let Err(error) = api::serve(listener, parts, ending).await {
        let error: &ServeError = &error;
        warn!(error = %chain(error), "the API ended");
    }
}

fn settings(config: &Config) -> Option<v1::Settings> {
    let settings = v1::Settings {
        heartbeat_seconds: config.heartbeat_seconds,
        idle_seconds: config.idle_seconds,
    };
    (settings != v1::Settings::default()).then_some(settings)
}

/// Seconds between terminals' reports, as they are told or as they choose themselves.
fn heartbeat(config: &Config) -> u32 {
    match config.heartbeat_seconds {
        0 => TERMINALS_OWN_HEARTBEAT,
        told => told,
    }
}

/// What people and other systems go through.
struct Door {
    gate: Gate,
    /// Each sees their own part of the store, and what they change is recorded.
    guarded: SharedStore,
    setup: Option<SetUp>,
}

impl Door {
    async fn open(
        config: &Config,
        store: &SharedStore,
        clock: &SharedClock,
        secure: bool,
    ) -> Result<Self, AppError> {
        let access = Access::new(store.clone(), clock.clone());
        let gate = Gate::new(access, config.access_required, secure);
        let setup = if gate.is_required() {
            access::acting(Who::service(), gate.access().first_link()).await?
        } else {
            None
        };
        Ok(Self {
            gate,
            guarded: access::guarded(store.clone(), clock.clone()),
            setup,
        })
    }

    /// Replays for the dashboard, as whoever asks.
    fn replayer(&self, config: &Config, clock: &SharedClock) -> Arc<dyn Replayer> {
        Arc::new(Replays {
            store: self.guarded.clone(),
            clock: clock.clone(),
            zone: config.zone.clone(),
        })
    }

    /// Plain HTTP beside the dashboard, behind the same door.
    fn beside(&self, metrics: Arc<Metrics>) -> Router {
        let login = login::router(self.gate.clone());
        web::guarded(http(metrics), self.gate.clone()).merge(login)
    }
}

/// Where people log in, their roles say who may change what.
fn actions(config: &Config) -> Actions {
    let anyone = config.dashboard_actions || config.access_required;
    match (anyone, config.api.ip().is_loopback()) {
        (true, _) => Actions::Anyone,
        (false, true) => Actions::Here,
        (false, false) => Actions::Nobody,
    }
}

/// Where people log in, a page elsewhere is nobody.
fn names(config: &Config) -> Names {
    if config.access_required {
        return Names::Any;
    }
    Names::Only(config.names.clone().into())
}

/// Replays for the dashboard.
struct Replays {
    store: SharedStore,
    clock: SharedClock,
    zone: TimeZone,
}

#[async_trait]
impl Replayer for Replays {
    async fn replay(&self, which: Again) -> Result<Replayed, StoreError> {
        let selection = Selection {
            id: which.id,
            terminal: None,
            reason: which.reason,
        };
        let at = self.clock.now().as_second();
        let done = replay::replay(self.store.as_ref(), &selection, at, &self.zone).await?;
        Ok(Replayed {
            tried: done.tried,
            counted: done.counted,
        })
    }
}

fn http(metrics: Arc<Metrics>) -> Router {
    let render = move || async move {
        (
            [(
                header::CONTENT_TYPE,
                "text/plain; version=0.0.4; charset=utf-8",
            )],
            metrics.render(),
        )
    };
    Router::new().route("/metrics", get(render))
}

/// What the outside broker is asked with; the password comes from its file.
async fn log_in(config: &OutsideBroker) -> Result<Outside, AppError> {
    let login = match &config.login {
        None => None,
        Some((user, file)) => Some((user.clone(), secret(file).await?)),
    };
    let tls = match &config.tls {
        None => None,
        Some(options) => Some(Arc::new(tls::client(options)?)),
    };
    Ok(Outside {
        host: config.host.clone(),
        port: config.port,
        version: if config.protocol == 3 {
            Version::V3
        } else {
            Version::V5
        },
        tls,
        client_id: config.client_id.clone(),
        login,
        shared: config.shared,
        keep: config.keep,
    })
}

/// `Ingest.Report` goes the same way as a report over MQTT.
struct Sink {
    intake: Intake,
    draining: CancellationToken,
}

#[async_trait]
impl ReportSink for Sink {
    async fn accept(&self, report: v1::Report) -> Result<v1::Ack, SinkError> {
        if self.draining.is_cancelled() {
            return Err(SinkError::Draining);
        }
        let outcome = self
            .intake
            .try_accept(report.encode_to_vec().into())
            .await
            .map_err(|error| match error {
                IntakeError::Full => SinkError::Full,
                IntakeError::Closed => SinkError::Draining,
            })?;
        if let Some((reason, detail)) = outcome.refused.into_iter().next() {
            return Err(SinkError::Refused {
                field: reason.field().to_owned(),
                message: format!("{reason}: {detail}"),
            });
        }
        outcome.ack.ok_or(SinkError::Full)
    }
}
