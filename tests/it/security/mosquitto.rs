//! A real Mosquitto with the files that `classpulse broker mosquitto` writes: terminals get in with their own keys only,
//! speak for themselves only, machines enrol, keys are revoked and renewed.

use std::{fs, path::Path, time::Duration};

use classpulse::{
    clock::{Clock as _, SystemClock},
    store::KeyChange,
};
use classpulse_proto::topic::{self, Channel};
use prost::Message as _;
use rumqttc::v5::mqttbytes::{
    QoS,
    v5::{Packet, PubAckReason},
};
use tempfile::TempDir;

use crate::{
    enrolment::{
        Plain, ask, code, enrolled,
        keys::{Renewing, change},
        log_in, until,
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
            self.folder.path().join("password")
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

    fn files(&self) -> String {
        self.folder.path().join("mosquitto").display().to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_get_in_with_their_own_keys_and_speak_for_themselves() {
    let county = County::new();
    let service = Service::start_with(&county.outside()).await;
    let (store, database) = (
        service.app.store.clone(),
        service.folder.path().join("test.db"),
    );
    let code = code(&store, 9).await;
    let first = county.write(&database);
    assert_eq!(first["terminals"], 0);
    assert_eq!(first["written"].as_array().unwrap().len(), 4);
    let again = county.write(&database);
    assert!(again["written"].as_array().unwrap().is_empty(), "{again}");
    let mosquitto = Mosquitto::start_included(county.port, Path::new(&county.files()));
    wait_for(county.enrol_port, "mosquitto's second listener");
    service.connected().await;
    let broker = mosquitto.address();
    let enrolling = ([127, 0, 0, 1], county.enrol_port).into();

    // Machines enrol where that is all that can be done.
    let mut found = None;
    while found.is_none() {
        let asking = ask(enrolling, &code, 1);
        found = tokio::time::timeout(Duration::from_secs(2), asking)
            .await
            .ok();
    }
    let one = enrolled(found.unwrap());
    let other = enrolled(ask(enrolling, &code, 50).await);
    let mut stranger = Plain::new(enrolling, &one.terminal, &one.terminal, "");
    stranger.connect().await.unwrap();
    let own = |channel| topic::of(&one.terminal, channel);
    let now = SystemClock.now().as_second();
    let good = report(1, vec![used(1, now - 600, now)]).encode_to_vec();
    let word = stranger.publish(&own(Channel::Report), good.clone()).await;
    assert_eq!(word, Ok(PubAckReason::NotAuthorized));
    let refused = "refused NotAuthorized";
    assert_eq!(
        log_in(broker, &one.terminal, &one.key).await.unwrap_err(),
        refused,
        "not yet known"
    );
    assert_eq!(county.write(&database)["terminals"], 2);
    mosquitto.reload();

    let mut speaking = Plain::new(broker, &one.terminal, &one.terminal, &one.key);
    until("the new passwords", async || {
        speaking = Plain::new(broker, &one.terminal, &one.terminal, &one.key);
        speaking.connect().await.is_ok()
    })
    .await;
    for (name, key) in [
        (&one.terminal, &other.key),
        (&one.terminal, &code),
        (&other.terminal, &String::new()),
        (&"nobody".to_owned(), &one.key),
    ] {
        assert_eq!(
            log_in(broker, name, key).await.unwrap_err(),
            refused,
            "{name}"
        );
    }
    // Its own report is heard, and nobody's else.
    assert!(
        speaking
            .publish(&own(Channel::Report), good.clone())
            .await
            .is_ok()
    );
    let id = one.terminal.parse().unwrap();
    until("its report", async || {
        store
            .terminal(&id)
            .await
            .unwrap()
            .unwrap()
            .last_heard
            .is_some()
    })
    .await;
    for topic in [
        topic::of(&other.terminal, Channel::Report),
        topic::of(&other.terminal, Channel::State),
        own(Channel::Ack),
    ] {
        let word = speaking.publish(&topic, good.clone()).await;
        assert_eq!(word, Ok(PubAckReason::NotAuthorized), "{topic}");
    }
    // On the topic of a machine that asks, in its own name: no road into another's minutes.
    let mut forged = report(1, vec![used(1, now - 600, now)]);
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
    let name = other.terminal.parse().unwrap();
    assert_eq!(
        store.terminal(&name).await.unwrap().unwrap().last_heard,
        None
    );
    // Mosquitto grants a subscription and keeps back what it may not hear: it hears its own answer, and none of others'.
    for filter in [
        own(Channel::Ack),
        topic::of(&other.terminal, Channel::Ack),
        topic::ALL_REPORTS.to_owned(),
        "#".to_owned(),
    ] {
        speaking.subscribe(&filter).await;
    }
    let mut rival = Plain::new(broker, &other.terminal, &other.terminal, &other.key);
    rival.connect().await.unwrap();
    let its = |channel| topic::of(&other.terminal, channel);
    rival.subscribe(&its(Channel::Ack)).await;
    for (link, topic, answers) in [
        (&mut rival, its(Channel::Report), its(Channel::Ack)),
        (&mut speaking, own(Channel::Report), own(Channel::Ack)),
    ] {
        link.client
            .publish(topic, QoS::AtLeastOnce, false, good.clone())
            .await
            .unwrap();
        let first = link.until(|packet| match packet {
            Packet::Publish(publish) => Some(publish.topic),
            _ => None,
        });
        assert_eq!(first.await.unwrap(), answers.as_bytes());
    }

    // A new key, by the same road, through the terminals' own listener.
    change(&store, &one.terminal, KeyChange::Renew).await;
    let mut asking = Renewing::open(broker, &one.terminal, &one.key)
        .await
        .unwrap();
    let mut new = String::new();
    until("a new key", async || {
        new = enrolled(asking.ask(&one.terminal, &one.key).await).key;
        new != one.key
    })
    .await;
    assert_eq!(enrolled(asking.ask(&one.terminal, &new).await).key, new);
    // Until Mosquitto is told, it knows the old one, and a terminal keeps both.
    assert_eq!(log_in(broker, &one.terminal, &one.key).await, Ok(()));
    county.write(&database);
    mosquitto.reload();
    until("the new key", async || {
        log_in(broker, &one.terminal, &new).await.is_ok()
    })
    .await;
    assert!(log_in(broker, &one.terminal, &one.key).await.is_err());

    // A revoked one is not heard even before Mosquitto is told, and does not get in afterwards.
    let mut neighbour = Plain::new(broker, &other.terminal, &other.terminal, &other.key);
    neighbour.connect().await.unwrap();
    change(&store, &other.terminal, KeyChange::Revoke).await;
    assert_eq!(county.write(&database)["terminals"], 1);
    mosquitto.reload();
    let lost = neighbour.until(|_| None::<()>).await.unwrap_err();
    assert!(lost.starts_with("lost:"), "{lost}");
    assert!(log_in(broker, &other.terminal, &other.key).await.is_err());
    service.stop().await;
}
