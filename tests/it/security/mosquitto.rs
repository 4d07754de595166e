//! A real Mosquitto with the files that `classpulse broker mosquitto` writes: terminals get in with their own keys only,
//! speak for themselves only, machines enrol, keys are revoked and renewed.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use classpulse::{
    clock::{Clock as _, SystemClock},
    store::KeyChange,
};
use classpulse_proto::{
    topic::{self, Channel},
    v1::{EnrolRefusal, Enrolled, Report, enrol_response::Result as Said},
};
use prost::Message as _;
use rumqttc::v5::mqttbytes::{
    QoS,
    v5::{LastWill, Packet, PubAckReason},
};
use tempfile::TempDir;

use crate::{
    enrolment::{
        Plain, ask, code, enrolled,
        keys::{Renewing, change, renewed},
        log_in, serving_since_yesterday, until,
    },
    servers::{free_port, mosquitto::Mosquitto, wait_for},
    support::{Service, report, used},
};

/// The service's side: a folder with its password, its ports.
struct County {
    folder: TempDir,
    port: u16,
    enrol_port: u16,
}

impl County {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(
            folder.path().join("password"),
            "the service's own password\n",
        )
        .unwrap();
        Self {
            folder,
            port: free_port(),
            enrol_port: free_port(),
        }
    }

    fn outside(&self) -> String {
        format!(
            "[broker]\nkind = \"outside\"\nport = {}\nuser = \"classpulse\"\npassword_file = {:?}\nshared = true",
            self.port,
            self.folder.path().join("password").display().to_string()
        )
    }

    /// What the command says, in JSON.
    fn write(&self, store: &Path) -> serde_json::Value {
        let (store, port) = (format!("sqlite:{}", store.display()), self.port.to_string());
        let password = self.folder.path().join("password").display().to_string();
        let out = self.files();
        let enrol = self.enrol_port.to_string();
        let (status, said, error) = super::run(
            &[
                ("CLASSPULSE_STORE", &store),
                ("CLASSPULSE_BROKER_KIND", "outside"),
                ("CLASSPULSE_BROKER_USER", "classpulse"),
                ("CLASSPULSE_BROKER_PASSWORD_FILE", &password),
            ],
            &[
                "--json",
                "broker",
                "mosquitto",
                "--out",
                &out,
                "--port",
                &port,
                "--enrol-port",
                &enrol,
            ],
        );
        assert_eq!(status, 0, "{error}");
        serde_json::from_str(&said).unwrap()
    }

    /// Where machines without a key may ask.
    fn enrolling(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.enrol_port).into()
    }

    fn files(&self) -> String {
        self.folder.path().join("mosquitto").display().to_string()
    }
}

/// A county with its Mosquitto, and two terminals that Mosquitto knows.
struct Scene {
    county: County,
    service: Service,
    mosquitto: Mosquitto,
    one: Enrolled,
    other: Enrolled,
    /// A report of ten minutes.
    good: Vec<u8>,
}

/// What Mosquitto says to a login that it does not know.
const REFUSED: &str = "refused NotAuthorized";

impl Scene {
    /// Machines enrol where that is all that can be done, and get in elsewhere once Mosquitto is told.
    async fn start() -> Self {
        let county = County::new();
        let service = Service::start_with(&county.outside()).await;
        let database = service.folder.path().join("test.db");
        let code = code(&service.app.store, 9).await;
        let first = county.write(&database);
        assert_eq!(first["terminals"], 0);
        assert_eq!(first["written"].as_array().unwrap().len(), 4);
        let again = county.write(&database);
        assert!(again["written"].as_array().unwrap().is_empty(), "{again}");
        let mosquitto = Mosquitto::start_included(county.port, Path::new(&county.files()));
        wait_for(county.enrol_port, "mosquitto's second listener");
        service.connected().await;
        let (broker, enrolling) = (mosquitto.address(), county.enrolling());
        let mut found = None;
        while found.is_none() {
            let asking = ask(enrolling, &code, 1);
            found = tokio::time::timeout(Duration::from_secs(2), asking)
                .await
                .ok();
        }
        let one = enrolled(found.unwrap());
        let other = enrolled(ask(enrolling, &code, 50).await);
        let early = log_in(broker, &one.terminal, &one.key).await;
        assert_eq!(early.unwrap_err(), REFUSED, "not yet known");
        assert_eq!(county.write(&database)["terminals"], 2);
        mosquitto.reload();
        until("the new passwords", async || {
            log_in(broker, &one.terminal, &one.key).await.is_ok()
        })
        .await;
        serving_since_yesterday(&service.app.store, &[&one, &other]).await;
        let now = SystemClock.now().as_second();
        let good = report(1, vec![used(1, now - 600, now)]).encode_to_vec();
        Self {
            county,
            service,
            mosquitto,
            one,
            other,
            good,
        }
    }

    async fn log_in(&self, who: &Enrolled) -> Plain {
        let broker = self.mosquitto.address();
        let mut link = Plain::new(broker, &who.terminal, &who.terminal, &who.key);
        link.connect().await.unwrap();
        link
    }

    /// Mosquitto is told of the keys as they are now.
    fn tell(&self) -> serde_json::Value {
        let told = self
            .county
            .write(&self.service.folder.path().join("test.db"));
        self.mosquitto.reload();
        told
    }

    async fn heard(&self, who: &Enrolled) -> bool {
        let name = who.terminal.parse().unwrap();
        let terminal = self.service.app.store.terminal(&name).await;
        terminal.unwrap().unwrap().last_heard.is_some()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_get_in_with_their_own_keys_and_speak_for_themselves() {
    let scene = Scene::start().await;
    let (one, other, store) = (&scene.one, &scene.other, &scene.service.app.store);
    let own = |channel| topic::of(&one.terminal, channel);
    let its = |channel| topic::of(&other.terminal, channel);
    let mut stranger = Plain::new(scene.county.enrolling(), &one.terminal, &one.terminal, "");
    stranger.connect().await.unwrap();
    let word = stranger
        .publish(&own(Channel::Report), scene.good.clone())
        .await;
    assert_eq!(word, Ok(PubAckReason::NotAuthorized));
    for (name, key) in [
        (&one.terminal, &other.key),
        (&one.terminal, &"x".to_owned()),
        (&other.terminal, &String::new()),
        (&"nobody".to_owned(), &one.key),
    ] {
        let said = log_in(scene.mosquitto.address(), name, key).await;
        assert_eq!(said.unwrap_err(), REFUSED, "{name}");
    }
    // Its own report is heard, and nobody's else.
    let mut speaking = scene.log_in(one).await;
    let word = speaking
        .publish(&own(Channel::Report), scene.good.clone())
        .await;
    assert!(word.is_ok(), "{word:?}");
    until("its report", async || scene.heard(one).await).await;
    for topic in [its(Channel::Report), its(Channel::State), own(Channel::Ack)] {
        let word = speaking.publish(&topic, scene.good.clone()).await;
        assert_eq!(word, Ok(PubAckReason::NotAuthorized), "{topic}");
    }
    // On the topic of a machine that asks, in another's name: no road into another's minutes.
    let mut forged = Report::decode(scene.good.as_slice()).unwrap();
    forged.terminal.clone_from(&other.terminal);
    let word = speaking
        .publish(&own(Channel::Enrol), forged.encode_to_vec())
        .await;
    assert!(word.is_ok(), "Mosquitto lets it through: {word:?}");
    until("it is on record", async || {
        let kept = store.quarantine(0, 10).await.unwrap();
        kept.iter()
            .any(|entry| entry.reason == "topic_mismatch" && entry.terminal == own(Channel::Enrol))
    })
    .await;
    assert!(!scene.heard(other).await);

    // Mosquitto grants a subscription and keeps back what it may not hear: it hears its own answer, and none of others'.
    for filter in [own(Channel::Ack), its(Channel::Ack), "#".to_owned()] {
        speaking.subscribe(&filter).await;
    }
    let mut rival = scene.log_in(other).await;
    rival.subscribe(&its(Channel::Ack)).await;
    for (link, topic, answers) in [
        (&mut rival, its(Channel::Report), its(Channel::Ack)),
        (&mut speaking, own(Channel::Report), own(Channel::Ack)),
    ] {
        let said = link
            .client
            .publish(topic, QoS::AtLeastOnce, false, scene.good.clone());
        said.await.unwrap();
        let first = link.until(|packet| match packet {
            Packet::Publish(publish) => Some(publish.topic),
            _ => None,
        });
        assert_eq!(first.await.unwrap(), answers.as_bytes());
    }
    scene.service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_renewed_and_revoked_there_too() {
    let scene = Scene::start().await;
    let (one, other, store) = (&scene.one, &scene.other, &scene.service.app.store);
    let broker = scene.mosquitto.address();
    // A new key, by the same road, through the terminals' own listener.
    let new = renewed(broker, store, one).await;
    // Until Mosquitto is told, it knows the old one, and a terminal keeps both.
    assert_eq!(log_in(broker, &one.terminal, &one.key).await, Ok(()));
    scene.tell();
    until("the new key", async || {
        log_in(broker, &one.terminal, &new).await.is_ok()
    })
    .await;
    assert!(log_in(broker, &one.terminal, &one.key).await.is_err());

    // A revoked one is not heard even before Mosquitto is told, and is sent off when it is.
    let mut link = scene.log_in(other).await;
    let mut asking = Renewing::open(broker, &other.terminal, &other.key)
        .await
        .unwrap();
    change(store, &other.terminal, KeyChange::Revoke).await;
    until("the service knows", async || {
        renewal_is_refused(&mut asking, other).await
    })
    .await;
    let topic = topic::of(&other.terminal, Channel::Report);
    assert!(link.publish(&topic, scene.good.clone()).await.is_ok());
    assert_eq!(scene.tell()["terminals"], 1);
    let lost = link.until(|_| None::<()>).await.unwrap_err();
    assert!(lost.starts_with("lost:"), "{lost}");
    assert!(log_in(broker, &other.terminal, &other.key).await.is_err());
    assert!(!scene.heard(other).await, "its report went nowhere");
    scene.service.stop().await;
}

/// Who is cut off leaves a word behind: in its own name alone, and a machine without a key none at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_will_speaks_for_nobody_else() {
    let scene = Scene::start().await;
    let (one, other) = (&scene.one, &scene.other);
    let machine = topic::passing(7);
    let aim = |who: &Enrolled| topic::of(&who.terminal, Channel::Report);
    let (doors, login) = (scene.county.enrolling(), scene.mosquitto.address());
    for (at, client, key, will) in [
        (doors, &machine, "any code", aim(one)),
        (login, &other.terminal, other.key.as_str(), aim(one)),
        // By this one it is seen that the others were looked at.
        (login, &other.terminal, &other.key, aim(other)),
    ] {
        let will = LastWill::new(will, scene.good.clone(), QoS::AtLeastOnce, false, None);
        let mut link = Plain::with(at, client, client, key, Some(will));
        link.connect().await.unwrap();
        drop(link);
    }
    until("its own word", async || scene.heard(other).await).await;
    assert!(!scene.heard(one).await, "nothing in its name");
    scene.service.stop().await;
}

async fn renewal_is_refused(asking: &mut Renewing, who: &Enrolled) -> bool {
    let said = asking.ask(&who.terminal, &who.key).await;
    said == Said::Refusal(EnrolRefusal::Code.into())
}
