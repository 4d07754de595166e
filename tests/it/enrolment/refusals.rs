//! What enrolment refuses: requests that do not hold, passing clients that want more than to ask, floods.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use classpulse::{
    clock::{Clock, SystemClock},
    enrolment::{Enrolment, MAX_REQUEST_BYTES},
    observe::Metrics,
    store::{SharedStore, sqlite::SqliteStore},
};
use classpulse_proto::{
    topic::{self, Channel},
    v1::{EnrolRefusal, enrol_response::Result as Said},
};
use jiff::{Timestamp, tz::TimeZone};
use prost::Message as _;
use rumqttc::v5::mqttbytes::{
    QoS,
    v5::{LastWill, PubAckReason, SubscribeReasonCode},
};
use tempfile::TempDir;

use super::{Plain, ask, ask_with, code, enrolled, request};
use crate::support::{Service, report, used};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_hold_is_refused_with_its_reason() {
    let service = Service::start().await;
    let (broker, store) = (service.broker(), service.app.store.clone());
    let code = code(&store, 1).await;
    let refusal = async |password: &str, payload: Vec<u8>| {
        let answer = ask_with(broker, password, payload).await.unwrap();
        match answer.result.unwrap() {
            Said::Refusal(refusal) => EnrolRefusal::try_from(refusal).unwrap(),
            Said::Enrolled(enrolled) => panic!("{}", enrolled.terminal),
        }
    };
    let good = request(&code, 1).encode_to_vec();
    let nobodys = "2222-2222-2222";
    let all = [
        (nobodys, good.clone(), EnrolRefusal::Code),
        (
            &code,
            request(nobodys, 1).encode_to_vec(),
            EnrolRefusal::Code,
        ),
        (
            nobodys,
            request(nobodys, 1).encode_to_vec(),
            EnrolRefusal::Code,
        ),
        ("x", request("x", 1).encode_to_vec(), EnrolRefusal::Code),
        (&code, vec![0xff; 30], EnrolRefusal::Malformed),
        (
            &code,
            vec![0; MAX_REQUEST_BYTES + 1],
            EnrolRefusal::Malformed,
        ),
    ];
    for (password, payload, expected) in all {
        assert_eq!(refusal(password, payload).await, expected, "{password}");
    }
    enrolled(ask(broker, &code, 1).await);
    assert_eq!(
        refusal(&code, request(&code, 60).encode_to_vec()).await,
        EnrolRefusal::Code
    );
    let id = store.codes(None).await.unwrap()[0].id;
    store.revoke_code(id).await.unwrap();
    assert_eq!(refusal(&code, good).await, EnrolRefusal::Code);
    let figures = service.app.metrics.render();
    assert!(
        figures.contains("\nclasspulse_enrolled_total 1\n"),
        "{figures}"
    );
    assert!(
        figures.contains("\nclasspulse_not_enrolled_total 8\n"),
        "{figures}"
    );
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_client_can_do_nothing_but_ask() {
    let service = Service::start().await;
    let (broker, store) = (service.broker(), service.app.store.clone());
    let code = code(&store, 5).await;
    let name = topic::passing(7);
    let refused = "refused NotAuthorized";
    for (user, password) in [
        (name.as_str(), ""),
        (&name, &"x".repeat(65)),
        (&topic::passing(8), &code),
        ("t-1", &code),
    ] {
        let said = Plain::new(broker, &name, user, password).connect().await;
        assert_eq!(said.unwrap_err(), refused, "{user} {password}");
    }
    let state = topic::of(&name, Channel::State);
    let will = LastWill::new(state.clone(), "x", QoS::AtLeastOnce, false, None);
    let said = Plain::with(broker, &name, &name, &code, Some(will))
        .connect()
        .await;
    assert_eq!(said.unwrap_err(), refused);

    let mut machine = Plain::new(broker, &name, &name, &code);
    machine.connect().await.unwrap();
    let own = |channel| topic::of(&name, channel);
    let asking = request(&code, 1).encode_to_vec();
    let word = machine.publish(&own(Channel::Enrol), asking.clone()).await;
    assert_eq!(
        word,
        Ok(PubAckReason::NotAuthorized),
        "it does not listen yet"
    );
    for filter in [
        own(Channel::Ack),
        own(Channel::Enrol),
        topic::of("t-1", Channel::Ack),
        topic::of(&topic::passing(8), Channel::Enrolled),
        topic::ALL_ENROLS.to_owned(),
        "classpulse/v1/+/enrolled".to_owned(),
        "#".to_owned(),
    ] {
        let said = machine.subscribe(&filter).await;
        assert_eq!(said, SubscribeReasonCode::NotAuthorized, "{filter}");
    }
    let said = machine.subscribe(&own(Channel::Enrolled)).await;
    assert!(matches!(said, SubscribeReasonCode::Success(_)), "{said:?}");
    let one = report(1, vec![used(1, 1_788_220_800, 1_788_221_400)]).encode_to_vec();
    for topic in [
        own(Channel::Report),
        state,
        own(Channel::Enrolled),
        topic::of("t-1", Channel::Report),
        topic::of(&topic::passing(8), Channel::Enrol),
    ] {
        let word = machine.publish(&topic, one.clone()).await;
        assert_eq!(word, Ok(PubAckReason::NotAuthorized), "{topic}");
    }
    // A terminal can't ask in its own name either, nor read answers.
    let mut other = Plain::new(broker, "t-1", "t-1", "");
    other.connect().await.unwrap();
    let word = other
        .publish(&topic::of("t-1", Channel::Enrol), asking.clone())
        .await;
    assert_eq!(word, Ok(PubAckReason::NotAuthorized));
    let said = other.subscribe(&topic::of("t-1", Channel::Enrolled)).await;
    assert_eq!(said, SubscribeReasonCode::NotAuthorized);

    assert_eq!(service.app.metrics.reports(), 0);
    assert!(store.keys().await.unwrap().is_empty());
    // Five questions over one connection, each slower than the one before, and no sixth.
    let started = tokio::time::Instant::now();
    for _ in 0..4 {
        let word = machine.publish(&own(Channel::Enrol), vec![0xff]).await;
        assert_eq!(word, Ok(PubAckReason::NoMatchingSubscribers));
    }
    assert!(started.elapsed() >= Duration::from_secs(7));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_client_is_cut_off_after_a_minute() {
    let service = Service::start().await;
    let broker = service.broker();
    let name = topic::passing(9);
    let mut machine = Plain::new(broker, &name, &name, "whatever");
    machine.connect().await.unwrap();
    let started = tokio::time::Instant::now();
    let mut terminal = Plain::new(broker, "t-1", "t-1", "");
    terminal.connect().await.unwrap();
    let waiting = async { while machine.events.poll().await.is_ok() {} };
    let cut = tokio::time::timeout(Duration::from_secs(90), waiting).await;
    assert!(cut.is_ok(), "it is still there");
    assert!(
        started.elapsed() > Duration::from_secs(50),
        "{:?}",
        started.elapsed()
    );
    let said = terminal.subscribe(&topic::of("t-1", Channel::Ack)).await;
    assert!(
        matches!(said, SubscribeReasonCode::Success(_)),
        "a terminal stays: {said:?}"
    );
    service.stop().await;
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
struct Standing(AtomicI64);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Relaxed)).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_requests_is_told_to_come_later() {
    let folder = TempDir::new().unwrap();
    let store: SharedStore = Arc::new(SqliteStore::open(&folder.path().join("test.db")).unwrap());
    let code = code(&store, 100).await;
    let clock = Arc::new(Standing(AtomicI64::new(SystemClock.now().as_millisecond())));
    let (zone, metrics) = (TimeZone::UTC, Arc::new(Metrics::default()));
    let enrolment = Enrolment::new(store.clone(), clock.clone(), zone, metrics, false);
    let flood = async |first: u8| {
        let all = (first..first + 80).map(|number| {
            let payload = request(&code, number).encode_to_vec();
            let (enrolment, code) = (&enrolment, code.as_bytes());
            async move { enrolment.answer("x", Some(code), &payload).await.result }
        });
        let answers = futures::future::join_all(all).await;
        let busy = Said::Refusal(EnrolRefusal::Busy.into());
        answers
            .into_iter()
            .filter(|said| *said != Some(busy.clone()))
            .count()
    };
    assert_eq!(flood(0).await, 40);
    assert_eq!(flood(80).await, 0);
    clock.0.fetch_add(500, Relaxed);
    assert_eq!(flood(160).await, 10);
    assert_eq!(store.keys().await.unwrap().len(), 50);
    store.close().await;
    // A store that fails is no reason to throw a code away.
    clock.0.fetch_add(60_000, Relaxed);
    let payload = request(&code, 1).encode_to_vec();
    let answer = enrolment.answer("x", Some(code.as_bytes()), &payload).await;
    assert_eq!(
        answer.result,
        Some(Said::Refusal(EnrolRefusal::Busy.into()))
    );
}
