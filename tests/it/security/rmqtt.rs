//! A real RMQTT 0.24 as it is shipped (`deploy/broker/rmqtt`), which asks the service over TLS who may do what: terminals
//! get in with their own keys and speak for themselves only, machines enrol, a revoked terminal is silent, and neither a
//! Last Will nor a name full of placeholders makes anybody another.

use std::{fs, net::SocketAddr, time::Duration};

use classpulse::{
    clock::{Clock as _, SystemClock},
    domain::usage::Period,
    store::KeyChange,
};
use classpulse_proto::{
    topic::{self, Channel},
    v1::{Enrolled, Report},
};
use jiff::civil::date;
use prost::Message as _;
use rumqttc::v5::mqttbytes::{
    QoS,
    v5::{LastWill, Packet, PubAckReason, SubscribeReasonCode},
};
use tempfile::TempDir;

use super::certificates;
use crate::{
    enrolment::{
        Plain, ask, code, enrolled,
        keys::{change, renewed},
        log_in, serving_since_yesterday, until,
    },
    servers::{free_port, rmqtt::Rmqtt},
    support::{PRIMARY, Service, register, report, terminal, used},
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What RMQTT says to a login that the service refuses, and to what else it refuses.
const REFUSED: &str = "refused BadUserNamePassword";

/// A name that no login has: that of the first terminal and a 1, as a placeholder reads in the question whether one may
/// subscribe.
const OWN: &str = "2123000001-00011";

/// A terminal that never comes: its name could be the end of a machine's passing one.
const HEX: &str = "c0ffee";

/// A service behind an RMQTT, and two terminals that enrolled there.
struct Scene {
    service: Service,
    rmqtt: Rmqtt,
    folder: TempDir,
    one: Enrolled,
    other: Enrolled,
    /// A report of ten minutes.
    good: Vec<u8>,
}

impl Scene {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        certificates(folder.path());
        let file = |name: &str| folder.path().join(name).display().to_string();
        fs::write(file("password"), "the service's own password\n").unwrap();
        fs::write(file("secret"), SECRET).unwrap();
        let tls = free_port();
        let text = format!(
            "[broker]\nkind = \"outside\"\nhost = \"127.0.0.1\"\nport = {tls}\ntls = true\nca_file = {:?}\nshared = true\n\
             user = {OWN:?}\npassword_file = {:?}\nauth_secret_file = {:?}\nkeys = \"required\"\n\
             [tls]\ncertificate_file = {:?}\nkey_file = {:?}\n",
            file("ca.pem"),
            file("password"),
            file("secret"),
            file("server.pem"),
            file("server.key"),
        );
        let service = Service::start_with(&text).await;
        let code = code(&service.app.store, 9).await;
        register(&service.app.store, &[(HEX.to_owned(), PRIMARY)]).await;
        let rmqtt = Rmqtt::start(service.app.api, SECRET, tls, folder.path());
        service.connected().await;
        // The service is in; that its subscriptions hold is seen by the first answer.
        let mut found = None;
        while found.is_none() {
            let asking = ask(rmqtt.address(), &code, 1);
            let asked = tokio::time::timeout(Duration::from_secs(2), asking).await;
            found = asked.ok();
        }
        let one = enrolled(found.unwrap());
        let other = enrolled(ask(rmqtt.address(), &code, 50).await);
        assert_eq!(format!("{}1", one.terminal), OWN);
        serving_since_yesterday(&service.app.store, &[&one, &other]).await;
        let now = SystemClock.now().as_second();
        let good = report(1, vec![used(1, now - 600, now)]).encode_to_vec();
        Self {
            service,
            rmqtt,
            folder,
            one,
            other,
            good,
        }
    }

    fn broker(&self) -> SocketAddr {
        self.rmqtt.address()
    }

    async fn log_in(&self, who: &Enrolled) -> Plain {
        let mut link = Plain::new(self.broker(), &who.terminal, &who.terminal, &who.key);
        link.connect().await.unwrap();
        link
    }

    async fn used(&self, name: &str) -> u32 {
        let always = Period {
            first: date(2020, 1, 1),
            last: date(2100, 1, 1),
        };
        let store = &self.service.app.store;
        let days = store.terminal_days(&terminal(name), always).await.unwrap();
        days.iter().map(|(_, minutes)| minutes.used.count()).sum()
    }

    async fn on_record(&self, reason: &str, about: &str) {
        until(&format!("{reason} on record"), async || {
            let kept = self.service.app.store.quarantine(0, 100).await.unwrap();
            kept.iter()
                .any(|entry| entry.reason == reason && entry.terminal.contains(about))
        })
        .await;
    }

    /// Where something does not go as it should, the broker's own words help.
    async fn stop(self) {
        let log = fs::read_to_string(self.rmqtt.log()).unwrap();
        assert!(!log.contains(&self.one.key), "no key is logged");
        self.service.stop().await;
        drop(self.folder);
    }
}

fn own(who: &Enrolled, channel: Channel) -> String {
    topic::of(&who.terminal, channel)
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_get_in_with_their_own_keys_and_speak_for_themselves() {
    let scene = Scene::start().await;
    let (one, other) = (&scene.one, &scene.other);
    for (client, user, key) in [
        (&one.terminal, &one.terminal, &other.key),
        (&one.terminal, &one.terminal, &"x".repeat(60_000)),
        (&other.terminal, &other.terminal, &String::new()),
        (&one.terminal, &other.terminal, &other.key),
        (&"nobody".to_owned(), &"nobody".to_owned(), &one.key),
        (&OWN.to_owned(), &OWN.to_owned(), &one.key),
    ] {
        let said = Plain::new(scene.broker(), client, user, key)
            .connect()
            .await;
        assert_eq!(said.unwrap_err(), REFUSED, "{client} {user}");
    }
    // Its own report is heard and counts.
    let mut speaking = scene.log_in(one).await;
    let word = speaking
        .publish(&own(one, Channel::Report), scene.good.clone())
        .await;
    assert_eq!(word, Ok(PubAckReason::Success));
    until("its minutes", async || {
        (9..=11).contains(&scene.used(&one.terminal).await)
    })
    .await;
    // On another's topic it speaks in its own name, and a report that says another one is on record as forged.
    let mut forged = Report::decode(scene.good.as_slice()).unwrap();
    forged.terminal.clone_from(&other.terminal);
    let word = speaking
        .publish(&own(other, Channel::Report), forged.encode_to_vec())
        .await;
    assert_eq!(word, Ok(PubAckReason::Success));
    scene.on_record("topic_mismatch", &one.terminal).await;
    for topic in [
        own(one, Channel::Ack),
        own(other, Channel::Ack),
        own(one, Channel::Enrol),
        "other/topic".to_owned(),
        "classpulse/v1/x/y/report".to_owned(),
    ] {
        let word = speaking.publish(&topic, scene.good.clone()).await;
        assert_eq!(word, Ok(PubAckReason::NotAuthorized), "{topic}");
    }
    for filter in [
        "#",
        "+/+/+/report",
        "classpulse/#",
        "$SYS/#",
        topic::ALL_REPORTS,
        topic::SHARED_REPORTS,
        "$share/other/classpulse/v1/+/report",
        topic::ALL_ENROLS,
        topic::SHARED_ENROLS,
        &own(other, Channel::Report),
        &own(other, Channel::State),
    ] {
        let word = speaking.subscribe(filter).await;
        assert_eq!(word, SubscribeReasonCode::NotAuthorized, "{filter}");
    }
    assert_eq!(scene.used(&other.terminal).await, 0);

    // It hears its own answers and none of others', whatever it asks for.
    let mut rival = scene.log_in(other).await;
    for filter in [own(one, Channel::Ack), own(other, Channel::Ack)] {
        let word = rival.subscribe(&filter).await;
        assert!(matches!(word, SubscribeReasonCode::Success(_)), "{word:?}");
    }
    speaking.subscribe(&own(one, Channel::Ack)).await;
    for (link, who) in [(&mut speaking, one), (&mut rival, other)] {
        let said = link.client.publish(
            own(who, Channel::Report),
            QoS::AtLeastOnce,
            false,
            scene.good.clone(),
        );
        said.await.unwrap();
        let first = link.until(|packet| match packet {
            Packet::Publish(publish) => Some(publish.topic),
            _ => None,
        });
        assert_eq!(first.await.unwrap(), own(who, Channel::Ack).as_bytes());
    }
    scene.stop().await;
}

/// RMQTT does not ask about Last Wills: whoever gets in may leave one for any topic, a machine without a key too.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_will_speaks_for_nobody_else() {
    let scene = Scene::start().await;
    let (one, other) = (&scene.one, &scene.other);
    let will = |retain| {
        let aim = own(one, Channel::Report);
        LastWill::new(aim, scene.good.clone(), QoS::AtLeastOnce, retain, None)
    };
    let machine = topic::passing(7);
    for (client, user, key, retain) in [
        (&machine, &machine, &"any code".to_owned(), false),
        (&other.terminal, &other.terminal, &other.key, true),
    ] {
        let mut link = Plain::with(scene.broker(), client, user, key, Some(will(retain)));
        link.connect().await.unwrap();
        // Gone without a word.
        drop(link);
    }
    scene.on_record("bad_terminal", &machine).await;
    until("its own minutes", async || {
        scene.used(&other.terminal).await > 0
    })
    .await;
    assert_eq!(scene.used(&one.terminal).await, 0, "nothing in its name");
    scene.stop().await;
}

/// RMQTT fills in its questions one placeholder after the other, in names too.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_full_of_placeholders_makes_nobody_another() {
    let scene = Scene::start().await;
    let one = &scene.one;
    // At the login it is a passing name with the password in it; later it reads as the terminal's.
    let passing = topic::passing(0x00c0_ffee);
    let (client, password) = (
        format!("%P{HEX}"),
        passing.strip_suffix(HEX).unwrap().to_owned(),
    );
    let mut link = Plain::new(scene.broker(), &client, &client, &password);
    link.connect().await.unwrap();
    let (report, ack) = (
        topic::of(HEX, Channel::Report),
        topic::of(HEX, Channel::Ack),
    );
    let word = link.publish(&report, scene.good.clone()).await;
    assert_eq!(word, Ok(PubAckReason::NotAuthorized));
    let word = link.subscribe(&ack).await;
    assert_eq!(word, SubscribeReasonCode::NotAuthorized);
    assert_eq!(scene.used(HEX).await, 0);

    // At the login it is a terminal with its key; when it subscribes it reads as the service.
    let client = format!("{}%A", one.terminal);
    let mut link = Plain::new(scene.broker(), &client, &client, &one.key);
    link.connect().await.unwrap();
    for filter in [
        topic::ALL_REPORTS,
        topic::SHARED_REPORTS,
        topic::ALL_ENROLS,
        topic::SHARED_ENROLS,
    ] {
        let word = link.subscribe(filter).await;
        assert_eq!(word, SubscribeReasonCode::NotAuthorized, "{filter}");
    }
    for channel in [Channel::Report, Channel::Ack, Channel::Enrolled] {
        let word = link.publish(&own(one, channel), scene.good.clone()).await;
        assert_eq!(word, Ok(PubAckReason::NotAuthorized), "{channel}");
    }
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_renewed_and_revoked_there_too() {
    let scene = Scene::start().await;
    let (one, other, store) = (&scene.one, &scene.other, &scene.service.app.store);
    let broker = scene.broker();
    let new = renewed(broker, store, one).await;
    assert_eq!(log_in(broker, &one.terminal, &new).await, Ok(()));

    // A revoked one that is connected is refused as soon as the service knows, and gets in no more.
    let mut link = scene.log_in(other).await;
    let began = tokio::time::Instant::now();
    change(store, &other.terminal, KeyChange::Revoke).await;
    let topic = own(other, Channel::Report);
    until("it is refused", async || {
        let word = link.publish(&topic, b"{}".to_vec()).await;
        word == Ok(PubAckReason::NotAuthorized)
    })
    .await;
    assert!(began.elapsed() < Duration::from_mins(1));
    let word = link.publish(&topic, scene.good.clone()).await;
    assert_eq!(word, Ok(PubAckReason::NotAuthorized));
    let said = log_in(broker, &other.terminal, &other.key).await;
    assert_eq!(said.unwrap_err(), REFUSED);
    assert_eq!(scene.used(&other.terminal).await, 0);
    scene.stop().await;
}

/// Where the service can't be asked, nobody gets in and nobody is heard.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_service_nobody_may_do_anything() {
    let scene = Scene::start().await;
    let mut link = scene.log_in(&scene.one).await;
    scene.service.stop().await;
    let broker = scene.rmqtt.address();
    let said = log_in(broker, &scene.one.terminal, &scene.one.key).await;
    assert_eq!(said.unwrap_err(), REFUSED);
    let topic = own(&scene.one, Channel::Report);
    let word = link.publish(&topic, scene.good.clone()).await;
    assert_eq!(word, Ok(PubAckReason::NotAuthorized));
}
