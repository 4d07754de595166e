//! Machines become terminals over real MQTT, at the embedded broker and through Mosquitto: with the right code, once, and
//! with no way to anything else; and from then on they log in with their keys. The machine is a plain MQTT client.

mod command_line;
pub(crate) mod keys;
mod refusals;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use classpulse::{
    clock::{Clock as _, SystemClock},
    domain::{ids::TerminalId, usage::Period},
    enrolment::{Enrolment, Terms, create_code},
    observe::Metrics,
    store::{KeyChange, RegistryChange, SharedStore, sqlite::SqliteStore},
};
use classpulse_proto::{
    topic::{self, Channel},
    v1::{
        EnrolRefusal, EnrolRequest, EnrolResponse, Enrolled, Hardware,
        enrol_response::Result as Said,
    },
};
use jiff::{civil::date, tz::TimeZone};
use prost::Message as _;
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions,
    mqttbytes::{
        QoS,
        v5::{ConnectReturnCode, LastWill, Packet, PubAckReason, SubscribeReasonCode},
    },
};

use crate::{
    servers::mosquitto::{FORGETS, Mosquitto},
    support::{
        EMBEDDED, Link, PATIENCE, PRIMARY, Service, placement, register, report, school, terminal,
        used,
    },
};

pub(crate) use keys::until;

/// A plain client.
pub(crate) struct Plain {
    pub(crate) client: AsyncClient,
    events: EventLoop,
}

impl Plain {
    pub(crate) fn new(broker: SocketAddr, name: &str, user: &str, password: &str) -> Self {
        Self::with(broker, name, user, password, None)
    }

    pub(crate) fn with(
        broker: SocketAddr,
        name: &str,
        user: &str,
        password: &str,
        will: Option<LastWill>,
    ) -> Self {
        let mut options = MqttOptions::new(name, broker.ip().to_string(), broker.port());
        options.set_credentials(user, password);
        options.set_connection_timeout(30);
        if let Some(will) = will {
            options.set_last_will(will);
        }
        let (client, events) = AsyncClient::new(options, 64);
        Self { client, events }
    }

    /// Waits for what a packet says; an error of the connection in words.
    pub(crate) async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(Packet) -> Option<T>,
    ) -> Result<T, String> {
        let waiting = async {
            loop {
                match self.events.poll().await {
                    Ok(Event::Incoming(packet)) => {
                        if let Some(found) = wanted(packet) {
                            return Ok(found);
                        }
                    }
                    Ok(Event::Outgoing(_)) => {}
                    Err(ConnectionError::ConnectionRefused(code)) => {
                        return Err(format!("refused {code:?}"));
                    }
                    Err(error) => return Err(format!("lost: {error}")),
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("an answer in time")
    }

    /// Whether the broker lets it in.
    pub(crate) async fn connect(&mut self) -> Result<(), String> {
        self.until(|packet| match packet {
            Packet::ConnAck(ack) if ack.code == ConnectReturnCode::Success => Some(Ok(())),
            Packet::ConnAck(ack) => Some(Err(format!("refused {:?}", ack.code))),
            _ => None,
        })
        .await?
    }

    pub(crate) async fn subscribe(&mut self, filter: &str) -> SubscribeReasonCode {
        self.client
            .subscribe(filter, QoS::AtLeastOnce)
            .await
            .unwrap();
        self.until(|packet| match packet {
            Packet::SubAck(ack) => Some(ack.return_codes[0]),
            _ => None,
        })
        .await
        .unwrap()
    }

    /// Publishes, and tells the broker's word.
    pub(crate) async fn publish(
        &mut self,
        topic: &str,
        payload: Vec<u8>,
    ) -> Result<PubAckReason, String> {
        self.client
            .publish(topic, QoS::AtLeastOnce, false, payload)
            .await
            .unwrap();
        self.until(|packet| match packet {
            Packet::PubAck(ack) => Some(ack.reason),
            _ => None,
        })
        .await
    }
}

/// Asks as a machine does: under a passing name, with the code as password.
pub(crate) async fn ask_with(
    broker: SocketAddr,
    password: &str,
    payload: Vec<u8>,
) -> Result<EnrolResponse, String> {
    let name = topic::passing(rand::random());
    let mut machine = Plain::new(broker, &name, &name, password);
    machine.connect().await?;
    let answers = topic::of(&name, Channel::Enrolled);
    let subscribed = machine.subscribe(&answers).await;
    assert!(
        matches!(subscribed, SubscribeReasonCode::Success(_)),
        "{subscribed:?}"
    );
    machine
        .client
        .publish(
            topic::of(&name, Channel::Enrol),
            QoS::AtLeastOnce,
            false,
            payload,
        )
        .await
        .unwrap();
    let answer = machine
        .until(|packet| match packet {
            Packet::Publish(publish) => {
                assert_eq!(publish.topic, answers);
                Some(EnrolResponse::decode(publish.payload).unwrap())
            }
            _ => None,
        })
        .await?;
    machine.client.disconnect().await.unwrap();
    Ok(answer)
}

pub(crate) fn request(code: &str, number: u8) -> EnrolRequest {
    EnrolRequest {
        code: code.to_owned(),
        hardware: Some(Hardware {
            board: vec![number; 16],
            disk: vec![number + 1; 16],
            macs: vec![vec![number + 2; 16]],
        }),
        facts: None,
        room: "三年一班".to_owned(),
        renew: None,
    }
}

pub(crate) async fn ask(broker: SocketAddr, code: &str, number: u8) -> Said {
    let payload = request(code, number).encode_to_vec();
    let answer = ask_with(broker, code, payload).await.unwrap();
    assert!(
        answer
            .server_time_ms
            .abs_diff(SystemClock.now().as_millisecond())
            < 10_000
    );
    answer.result.unwrap()
}

pub(crate) fn enrolled(said: Said) -> Enrolled {
    match said {
        Said::Enrolled(enrolled) => enrolled,
        Said::Refusal(refusal) => panic!("{:?}", EnrolRefusal::try_from(refusal)),
    }
}

pub(crate) async fn code(store: &SharedStore, uses: u32) -> String {
    register(store, &[]).await;
    let terms = Terms {
        school: school(PRIMARY),
        uses,
        days: 7,
    };
    let made = create_code(store.as_ref(), terms, SystemClock.now()).await;
    made.unwrap().0
}

/// Puts terminals into service from yesterday on: what they report may have happened before midnight, and their enrolment is
/// of today.
pub(crate) async fn serving_since_yesterday(store: &SharedStore, who: &[&Enrolled]) {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let today = zone.to_datetime(SystemClock.now()).date();
    let placed = |one: &&Enrolled| {
        let since = placement(PRIMARY, today.yesterday().unwrap());
        (one.terminal.parse().unwrap(), vec![since])
    };
    let change = RegistryChange {
        placements: who.iter().map(placed).collect(),
        ..RegistryChange::default()
    };
    store.change_registry(change).await.unwrap();
}

pub(crate) async fn log_in(broker: SocketAddr, name: &str, password: &str) -> Result<(), String> {
    Plain::new(broker, name, name, password).connect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_becomes_a_terminal_and_speaks_with_its_key_alone() {
    let service = Service::start().await;
    let (broker, store) = (service.broker(), service.app.store.clone());
    let code = code(&store, 5).await;
    let first = enrolled(ask(broker, &code.to_lowercase().replace('-', " "), 1).await);
    assert_eq!(first.terminal, format!("{PRIMARY}-0001"));
    assert_eq!(
        (first.key.len(), first.known, first.school.as_str()),
        (43, false, "甲小学")
    );
    let bad = "refused BadUserNamePassword";
    assert_eq!(log_in(broker, &first.terminal, &first.key).await, Ok(()));
    let other = first.key.replace(|c: char| c.is_ascii_lowercase(), "x");
    for wrong in ["", "x", &other, &code] {
        let said = log_in(broker, &first.terminal, wrong).await.unwrap_err();
        assert_eq!(said, bad, "{wrong}");
    }
    assert_eq!(
        log_in(broker, "nobody-knows-me", "").await,
        Ok(()),
        "keys are not required here"
    );

    // It reports, and its minutes count in the code's school.
    let lesson = 1_788_220_800;
    let mut speaking = Plain::new(broker, &first.terminal, &first.terminal, &first.key);
    speaking.connect().await.unwrap();
    let name: TerminalId = first.terminal.parse().unwrap();
    let placed = store.terminal(&name).await.unwrap().unwrap().placements;
    assert_eq!(
        (placed[0].school.as_str(), placed[0].room.as_str()),
        (PRIMARY, "三年一班")
    );
    serving_since_yesterday(&store, &[&first]).await;
    let now = SystemClock.now().as_second();
    let one = report(
        1,
        vec![used(1, now - 600, now - 300), used(2, lesson, lesson + 60)],
    );
    let topic = topic::of(&first.terminal, Channel::Report);
    let word = speaking.publish(&topic, one.encode_to_vec()).await;
    assert_eq!(word, Ok(PubAckReason::NoMatchingSubscribers));
    let always = Period {
        first: date(2020, 1, 1),
        last: date(2100, 1, 1),
    };
    let days = store.terminal_days(&name, always).await.unwrap();
    let minutes: u32 = days.iter().map(|(_, minutes)| minutes.used.count()).sum();
    assert!((4..=6).contains(&minutes), "{minutes}");

    // Re-imaged: the same terminal, a new key, and the old one is worth nothing at once.
    let again = enrolled(ask(broker, &code, 1).await);
    assert_eq!((&again.terminal, again.known), (&first.terminal, true));
    assert_ne!(again.key, first.key);
    assert_eq!(
        log_in(broker, &first.terminal, &first.key)
            .await
            .unwrap_err(),
        bad
    );
    assert_eq!(log_in(broker, &first.terminal, &again.key).await, Ok(()));
    let clone = enrolled(ask(broker, &code, 50).await);
    assert_eq!(
        (clone.terminal, clone.known),
        (format!("{PRIMARY}-0002"), false)
    );
    assert_eq!(store.codes(None).await.unwrap()[0].used, 2);

    // Another process sees the keys, and so does this one after a restart.
    let folder = service.stop().await;
    let required = format!("{EMBEDDED}\nkeys = \"required\"");
    let service = Service::start_in(folder, &required).await;
    let broker = service.broker();
    assert_eq!(log_in(broker, &first.terminal, &again.key).await, Ok(()));
    assert_eq!(
        log_in(broker, &first.terminal, &first.key)
            .await
            .unwrap_err(),
        bad
    );
    assert_eq!(
        log_in(broker, "nobody-knows-me", "").await.unwrap_err(),
        bad
    );
    let figures = service.app.metrics.render();
    assert!(
        figures.contains("\nclasspulse_broker_refusals_total 2\n"),
        "{figures}"
    );
    // And a machine may still enrol.
    assert!(
        enrolled(ask(broker, &code, 90).await)
            .terminal
            .ends_with("-0003")
    );
    service.stop().await;
}

/// What another process does to keys holds here within a second or two.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_given_or_revoked_elsewhere_holds_soon() {
    let service = Service::start().await;
    let (broker, store) = (service.broker(), service.app.store.clone());
    let code = code(&store, 1).await;
    let first = enrolled(ask(broker, &code, 1).await);
    assert_eq!(log_in(broker, &first.terminal, &first.key).await, Ok(()));
    let other: SharedStore =
        Arc::new(SqliteStore::open(&service.folder.path().join("test.db")).unwrap());
    let refused = async |key: &str| {
        let soon = tokio::time::Instant::now() + Duration::from_secs(20);
        while log_in(broker, &first.terminal, key).await.is_ok() {
            assert!(tokio::time::Instant::now() < soon, "it still holds");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (zone, metrics) = (TimeZone::UTC, Arc::new(Metrics::default()));
    let elsewhere = Enrolment::new(other.clone(), Arc::new(SystemClock), zone, metrics, false);
    let payload = request(&code, 1).encode_to_vec();
    let answer = elsewhere.answer("x", None, &payload).await;
    let second = enrolled(answer.result.unwrap());
    assert_eq!((&second.terminal, second.known), (&first.terminal, true));
    refused(&first.key).await;
    assert_eq!(log_in(broker, &first.terminal, &second.key).await, Ok(()));

    let whose: [TerminalId; 1] = [first.terminal.parse().unwrap()];
    let now = SystemClock.now().as_second();
    let revoked = other.change_keys(&whose, KeyChange::Revoke, now).await;
    assert_eq!(revoked.unwrap(), 1);
    refused(&second.key).await;
    other.close().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_enrol_through_mosquitto() {
    for protocol in [5, 3] {
        let mosquitto = Mosquitto::start(FORGETS);
        let more = format!(
            "[broker]\nkind = \"outside\"\nport = {}\nprotocol = {protocol}\nshared = true",
            mosquitto.port
        );
        let service = Service::start_with(&more).await;
        service.connected().await;
        let store = service.app.store.clone();
        let code = code(&store, 1).await;
        let broker = mosquitto.address();
        // Until the subscription holds, Mosquitto drops what nobody reads.
        let mut found = None;
        while found.is_none() {
            let asking = ask_with(broker, &code, request(&code, 1).encode_to_vec());
            found = tokio::time::timeout(Duration::from_secs(1), asking)
                .await
                .ok();
        }
        let first = enrolled(found.unwrap().unwrap().result.unwrap());
        assert_eq!(first.terminal, format!("{PRIMARY}-0001"), "MQTT {protocol}");
        let again = enrolled(ask(broker, &code, 1).await);
        assert_eq!((&again.terminal, again.known), (&first.terminal, true));
        assert_eq!(
            ask(broker, &code, 50).await,
            Said::Refusal(EnrolRefusal::Code.into())
        );
        // Reports go on beside it.
        let mut link = Link::connect(broker, &first.terminal).await;
        serving_since_yesterday(&store, &[&first]).await;
        let now = SystemClock.now().as_second();
        link.send_all(&first.terminal, &[report(1, vec![used(1, now - 600, now)])])
            .await;
        assert!(
            store
                .terminal(&terminal(&first.terminal))
                .await
                .unwrap()
                .unwrap()
                .last_heard
                .is_some()
        );
        service.stop().await;
    }
}
