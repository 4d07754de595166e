//! What integration tests share: a service on free ports with its own folder, and terminals that speak MQTT.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use classpulse::{
    access::{Access, guarded},
    app::App,
    clock::SystemClock,
    config::Config,
    domain::ids::{CountyCode, SchoolCode, Stage, TerminalId},
    gate::Gate,
    store::{
        County, Placement, RegistryChange, School, SharedStore,
        postgres::{PostgresOptions, PostgresStore},
        sqlite::SqliteStore,
    },
    tls::TlsOptions,
};
use classpulse_proto::{
    topic::{self, Channel},
    v1::{Ack, Kind, Report, Session},
};
use jiff::civil::{Date, date};
use prost::Message as _;
use rumqttc::v5::{
    AsyncClient, Event, MqttOptions,
    mqttbytes::{QoS, v5::Packet},
};
use tempfile::TempDir;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A service of its own.
pub(crate) struct Service {
    pub app: App,
    pub folder: TempDir,
}

pub(crate) fn config(folder: &TempDir, more: &str) -> Config {
    let path = folder.path().join("test.db");
    let text = format!(
        "store = \"sqlite:{}\"\napi.listen = \"127.0.0.1:0\"\ningest.linger_ms = 2\nrollup.interval_ms = 100\n{more}\n",
        path.display()
    );
    Config::parse(&text, |_| None).unwrap()
}

pub(crate) const EMBEDDED: &str = "[broker]\nlisten = \"127.0.0.1:0\"";

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(EMBEDDED).await
    }

    pub(crate) async fn start_with(broker: &str) -> Self {
        let folder = TempDir::new().unwrap();
        Self::start_in(folder, broker).await
    }

    /// Starts on a folder, which may hold an earlier service's data.
    pub(crate) async fn start_in(folder: TempDir, broker: &str) -> Self {
        let config = config(&folder, broker);
        let store: SharedStore =
            Arc::new(SqliteStore::open(&folder.path().join("test.db")).unwrap());
        let app = App::start(&config, store, Arc::new(SystemClock))
            .await
            .unwrap();
        Self { app, folder }
    }

    /// Starts on a PostgreSQL database.
    pub(crate) async fn start_on(url: &str, broker: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let options = PostgresOptions {
            url: url.to_owned(),
            password: None,
            tls: TlsOptions::default(),
            connections: 4,
        };
        let store: SharedStore = Arc::new(PostgresStore::open(&options).await.unwrap());
        let app = App::start(&config(&folder, broker), store, Arc::new(SystemClock))
            .await
            .unwrap();
        Self { app, folder }
    }

    /// Waits until it is connected to its outside broker.
    pub(crate) async fn connected(&self) {
        let connected = async {
            while !self
                .app
                .metrics
                .render()
                .contains("\nclasspulse_broker_connected 1\n")
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, connected).await.unwrap();
    }

    pub(crate) fn broker(&self) -> SocketAddr {
        self.app.broker.unwrap()
    }

    pub(crate) async fn stop(self) -> TempDir {
        self.app.stop(Duration::from_secs(10)).await;
        self.folder
    }
}

/// The door of a service where nobody must log in, and its store behind it.
pub(crate) fn open_door(store: SharedStore) -> (Gate, SharedStore) {
    let clock = Arc::new(SystemClock);
    let access = Access::new(store.clone(), clock.clone());
    (Gate::new(access, false, false), guarded(store, clock))
}

/// A county with one primary school and one junior school.
pub(crate) const COUNTY: &str = "231123";
pub(crate) const PRIMARY: &str = "2123000001";
pub(crate) const JUNIOR: &str = "3123000002";

pub(crate) fn county() -> CountyCode {
    COUNTY.parse().unwrap()
}

pub(crate) fn school(code: &str) -> SchoolCode {
    code.parse().unwrap()
}

pub(crate) fn terminal(name: &str) -> TerminalId {
    name.parse().unwrap()
}

pub(crate) const CALENDAR: &str = r#"
name = "试验"
[[term]]
name = "第一学期"
first = "2026-09-01"
last = "2027-01-15"
[[holiday]]
name = "国庆节"
first = "2026-10-01"
last = "2026-10-07"
[[timetable]]
lessons = ["08:00-08:40", "09:00-09:40", "10:00-10:40", "13:30-14:10"]
[[timetable]]
stages = ["初中"]
lessons = ["08:00-08:45", "09:00-09:45", "10:00-10:45", "13:30-14:15", "14:30-15:15"]
"#;

/// Registers the county, and terminals as (name, school) in service from 2026-09-01.
pub(crate) async fn register(store: &SharedStore, terminals: &[(String, &str)]) {
    let schools = [
        (PRIMARY, "甲小学", Stage::Primary),
        (JUNIOR, "乙初中", Stage::Junior),
    ];
    let change = RegistryChange {
        counties: vec![County {
            code: county(),
            name: "逊克县".to_owned(),
        }],
        schools: schools
            .map(|(code, name, stage)| School {
                code: school(code),
                name: name.to_owned(),
                stage,
                township: "奇克镇".to_owned(),
                county: county(),
            })
            .to_vec(),
        placements: terminals
            .iter()
            .map(|(name, code)| (terminal(name), vec![placement(code, date(2026, 9, 1))]))
            .collect(),
    };
    store.change_registry(change).await.unwrap();
    store.set_calendar(&county(), CALENDAR, 0).await.unwrap();
}

pub(crate) fn placement(code: &str, from: Date) -> Placement {
    Placement {
        school: school(code),
        room: String::new(),
        from,
        to: None,
    }
}

pub(crate) fn report(sequence: u64, sessions: Vec<Session>) -> Report {
    Report {
        boot_id: vec![9; 16],
        sequence,
        sessions,
        ..Report::default()
    }
}

pub(crate) fn used(number: u32, start: i64, end: i64) -> Session {
    Session {
        kind: Kind::Used.into(),
        number,
        start,
        end,
        open: false,
    }
}

/// A terminal's MQTT connection.
pub(crate) struct Link {
    pub client: AsyncClient,
    acks: tokio::sync::mpsc::UnboundedReceiver<Ack>,
    losses: Arc<AtomicU32>,
    poll: tokio::task::JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.poll.abort();
    }
}

impl Link {
    pub(crate) async fn connect(broker: SocketAddr, name: &str) -> Self {
        Self::connect_with(broker, name, 4_096, u16::MAX).await
    }

    /// The same with little memory, for many.
    pub(crate) async fn connect_small(broker: SocketAddr, name: &str) -> Self {
        Self::connect_with(broker, name, 8, 8).await
    }

    async fn connect_with(broker: SocketAddr, name: &str, requests: usize, inflight: u16) -> Self {
        let mut options = MqttOptions::new(name, broker.ip().to_string(), broker.port());
        options.set_credentials(name, "");
        options.set_max_packet_size(Some(1 << 20));
        options.set_outgoing_inflight_upper_limit(inflight);
        options.set_connection_timeout(30);
        let (client, mut events) = AsyncClient::new(options, requests);
        let losses = Arc::new(AtomicU32::new(0));
        let lost = losses.clone();
        client
            .subscribe(topic::of(name, Channel::Ack), QoS::AtLeastOnce)
            .await
            .unwrap();
        let (send, acks) = tokio::sync::mpsc::unbounded_channel();
        let (resubscribe, acks_topic) = (client.clone(), topic::of(name, Channel::Ack));
        let (ready, subscribed) = tokio::sync::oneshot::channel();
        let mut ready = Some(ready);
        #[expect(clippy::disallowed_methods, reason = "a test's own task")]
        let poll = tokio::spawn(async move {
            let mut again = false;
            loop {
                let event = events.poll().await;
                // Whenever there is room: what waits for a connection may have taken it all.
                if again && event.is_ok() {
                    let asked = resubscribe.try_subscribe(acks_topic.clone(), QoS::AtLeastOnce);
                    again = asked.is_err();
                }
                match event {
                    Ok(Event::Incoming(Packet::SubAck(_))) => {
                        if let Some(ready) = ready.take() {
                            ready.send(()).ok();
                        }
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        drop(send.send(Ack::decode(publish.payload).unwrap()));
                    }
                    Ok(_) => {}
                    Err(_) => {
                        lost.fetch_add(1, Relaxed);
                        // The broker forgets subscriptions of a session that is not kept.
                        again = true;
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        });
        tokio::time::timeout(PATIENCE, subscribed)
            .await
            .unwrap()
            .unwrap();
        Self {
            client,
            acks,
            losses,
            poll,
        }
    }

    pub(crate) async fn publish(&self, name: &str, payload: Vec<u8>) {
        self.client
            .publish(
                topic::of(name, Channel::Report),
                QoS::AtLeastOnce,
                false,
                payload,
            )
            .await
            .unwrap();
    }

    /// Publishes reports in this order and waits until each one's sequence is acknowledged.
    pub(crate) async fn send_all(&mut self, name: &str, reports: &[Report]) {
        let mut waiting: BTreeSet<u64> = reports.iter().map(|report| report.sequence).collect();
        for report in reports {
            self.publish(name, report.encode_to_vec()).await;
        }
        while !waiting.is_empty() {
            let ack = self.ack().await;
            for sequence in ack.sequences {
                waiting.remove(&sequence);
            }
        }
    }

    /// How often its connection was lost or could not be made.
    pub(crate) fn losses(&self) -> u32 {
        self.losses.load(Relaxed)
    }

    /// An Ack that is there already.
    pub(crate) fn ack_now(&mut self) -> Option<Ack> {
        self.acks.try_recv().ok()
    }

    pub(crate) async fn ack(&mut self) -> Ack {
        tokio::time::timeout(PATIENCE, self.acks.recv())
            .await
            .expect("an Ack in time")
            .unwrap()
    }
}
