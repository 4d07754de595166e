//! What becomes of terminals' keys: revoked ones end a connection, new ones are fetched without a visit, and whatever is
//! cut off in between, one of the two that a terminal knows holds.

use std::{process::Command, time::Duration};

use classpulse::{
    clock::{Clock as _, SystemClock},
    store::{KeyChange, SharedStore, sqlite::SqliteStore},
};
use classpulse_agent::{
    config::{Config, Settings},
    identity::{Identity, IdentityFile},
    local::Hearing,
    publish::SaveNow,
    run,
};
use classpulse_proto::{
    topic::{self, Channel},
    v1::{
        EnrolRefusal, EnrolRequest, EnrolResponse, Enrolled, Renewal,
        enrol_response::Result as Said,
    },
};
use prost::Message as _;
use rumqttc::v5::mqttbytes::{
    QoS,
    v5::{Packet, PubAckReason, SubscribeReasonCode},
};
use tempfile::TempDir;
use tokio::sync::watch;

use super::{Plain, ask, code, enrolled, log_in};
use crate::support::{PATIENCE, Service, report, used};

const BAD: &str = "refused BadUserNamePassword";

/// Another process on the same store.
fn elsewhere(service: &Service) -> SharedStore {
    let path = service.folder.path().join("test.db");
    std::sync::Arc::new(SqliteStore::open(&path).unwrap())
}

pub(crate) async fn change(store: &SharedStore, terminal: &str, change: KeyChange) {
    let (terminal, at) = (terminal.parse().unwrap(), SystemClock.now().as_second());
    let changed = store.change_keys(&[terminal], change, at).await.unwrap();
    assert_eq!(changed, 1, "{change:?}");
}

/// The key that a terminal fetches once it is asked to, by the road it reports on; and it is told the same one again.
pub(crate) async fn renewed(
    broker: std::net::SocketAddr,
    store: &SharedStore,
    who: &Enrolled,
) -> String {
    change(store, &who.terminal, KeyChange::Renew).await;
    let mut asking = Renewing::open(broker, &who.terminal, &who.key)
        .await
        .unwrap();
    let mut new = String::new();
    until("a new key", async || {
        new = enrolled(asking.ask(&who.terminal, &who.key).await).key;
        new != who.key
    })
    .await;
    assert_eq!(enrolled(asking.ask(&who.terminal, &new).await).key, new);
    new
}

/// Waits for what must come to be.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_late| panic!("in time: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_ends_the_connection_it_holds_and_comes_back_restored() {
    let service = Service::start().await;
    let (broker, store) = (service.broker(), service.app.store.clone());
    let code = code(&store, 5).await;
    let (one, other) = (
        enrolled(ask(broker, &code, 1).await),
        enrolled(ask(broker, &code, 50).await),
    );
    let mut speaking = Plain::new(broker, &one.terminal, &one.terminal, &one.key);
    speaking.connect().await.unwrap();
    let mut neighbour = Plain::new(broker, &other.terminal, &other.terminal, &other.key);
    neighbour.connect().await.unwrap();

    // By the command line, as an operator does it.
    let at = tokio::time::Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_classpulse"))
        .env(
            "CLASSPULSE_STORE",
            format!("sqlite:{}", service.folder.path().join("test.db").display()),
        )
        .args(["terminals", "keys", "revoke", &one.terminal])
        .output()
        .unwrap();
    assert!(output.status.success());
    let lost = speaking.until(|_| None::<()>).await.unwrap_err();
    assert!(lost.starts_with("lost:"), "{lost}");
    assert!(at.elapsed() < Duration::from_mins(1), "{:?}", at.elapsed());
    assert_eq!(
        log_in(broker, &one.terminal, &one.key).await.unwrap_err(),
        BAD
    );
    // Nor does a code bring it back.
    assert_eq!(
        ask(broker, &code, 1).await,
        Said::Refusal(EnrolRefusal::Code.into())
    );
    // The neighbour has noticed nothing.
    let now = SystemClock.now().as_second();
    let topic = topic::of(&other.terminal, Channel::Report);
    let word = neighbour
        .publish(
            &topic,
            report(1, vec![used(1, now - 60, now)]).encode_to_vec(),
        )
        .await;
    assert_eq!(word, Ok(PubAckReason::NoMatchingSubscribers));

    change(&store, &one.terminal, KeyChange::Restore).await;
    until("restored", async || {
        log_in(broker, &one.terminal, &one.key).await.is_ok()
    })
    .await;
    service.stop().await;
}

/// A connection under a passing name, as a terminal that renews its key makes it.
pub(crate) struct Renewing {
    machine: Plain,
    name: String,
}

impl Renewing {
    pub(crate) async fn open(
        broker: std::net::SocketAddr,
        user: &str,
        key: &str,
    ) -> Result<Self, String> {
        let name = topic::passing(rand::random());
        let mut machine = Plain::new(broker, &name, user, key);
        machine.connect().await?;
        let answers = topic::of(&name, Channel::Enrolled);
        let subscribed = machine.subscribe(&answers).await;
        assert!(matches!(subscribed, SubscribeReasonCode::Success(_)));
        Ok(Self { machine, name })
    }

    pub(crate) async fn ask(&mut self, terminal: &str, key: &str) -> Said {
        let request = EnrolRequest {
            renew: Some(Renewal {
                terminal: terminal.to_owned(),
                key: key.to_owned(),
            }),
            ..EnrolRequest::default()
        };
        let topic = topic::of(&self.name, Channel::Enrol);
        let payload = request.encode_to_vec();
        self.machine
            .client
            .publish(topic, QoS::AtLeastOnce, false, payload)
            .await
            .unwrap();
        let answer = self.machine.until(|packet| match packet {
            Packet::Publish(publish) => EnrolResponse::decode(publish.payload).unwrap().result,
            _ => None,
        });
        answer.await.unwrap()
    }
}

/// One renewal over a connection of its own.
async fn renew(broker: std::net::SocketAddr, terminal: &str, key: &str) -> Result<Said, String> {
    let mut asking = Renewing::open(broker, terminal, key).await?;
    Ok(asking.ask(terminal, key).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_keys_hold_until_the_new_one_is_used() {
    let service = Service::start().await;
    let (broker, store) = (service.broker(), service.app.store.clone());
    let code = code(&store, 5).await;
    let first = enrolled(ask(broker, &code, 1).await);
    let second = enrolled(ask(broker, &code, 50).await);
    let (terminal, old) = (first.terminal.as_str(), first.key.as_str());
    // Nobody asked for a new one: the same is said.
    let same = enrolled(renew(broker, terminal, old).await.unwrap());
    assert_eq!((same.key.as_str(), same.known), (old, true));
    change(&elsewhere(&service), terminal, KeyChange::Renew).await;
    until("a new key", async || {
        enrolled(renew(broker, terminal, old).await.unwrap()).key != old
    })
    .await;
    // The answer is lost, and it asks again: what was given last is what counts.
    let lost = enrolled(renew(broker, terminal, old).await.unwrap()).key;
    let new = enrolled(renew(broker, terminal, old).await.unwrap()).key;
    assert!(new != lost && new.len() == 43);
    assert_eq!(log_in(broker, terminal, &lost).await.unwrap_err(), BAD);
    assert_eq!(log_in(broker, terminal, old).await, Ok(()));
    // Another terminal's key is no proof, nor is none.
    let mut stranger = Renewing::open(broker, &second.terminal, &second.key)
        .await
        .unwrap();
    let refused = Said::Refusal(EnrolRefusal::Code.into());
    assert_eq!(stranger.ask(terminal, &second.key).await, refused);
    assert_eq!(stranger.ask(terminal, "").await, refused);
    assert_eq!(renew(broker, terminal, "x").await.unwrap_err(), BAD);
    let nobody = renew(broker, "nobody-knows-me", "x").await.unwrap_err();
    assert_eq!(nobody, "refused NotAuthorized", "there is no key to renew");

    // The first use ends the old key, and whoever is connected with it.
    let mut speaking = Plain::new(broker, terminal, terminal, old);
    speaking.connect().await.unwrap();
    let confirmed = {
        let mut asking = Renewing::open(broker, terminal, old).await.unwrap();
        enrolled(asking.ask(terminal, &new).await)
    };
    assert_eq!(confirmed.key, new);
    assert_eq!(log_in(broker, terminal, old).await.unwrap_err(), BAD);
    let lost = speaking.until(|_| None::<()>).await.unwrap_err();
    assert!(lost.starts_with("lost:"), "{lost}");
    assert_eq!(log_in(broker, terminal, &new).await, Ok(()));

    // The same by a login instead.
    change(&elsewhere(&service), terminal, KeyChange::Renew).await;
    let mut newer = String::new();
    until("another new key", async || {
        newer = enrolled(renew(broker, terminal, &new).await.unwrap()).key;
        newer != new
    })
    .await;
    assert_eq!(log_in(broker, terminal, &newer).await, Ok(()));
    assert_eq!(log_in(broker, terminal, &new).await.unwrap_err(), BAD);
    // Revoked, it gets none.
    change(&store, terminal, KeyChange::Revoke).await;
    until("revoked", async || {
        renew(broker, terminal, &newer).await.is_err()
    })
    .await;
    service.stop().await;
}

/// Runs an agent while something is waited for.
async fn while_running(config: Config, done: impl Future<Output = ()>) {
    let (stop, stopped) = watch::channel(false);
    let waits = async {
        done.await;
        stop.send_replace(true);
    };
    let (ran, ()) = tokio::join!(
        run::run(config, stopped, SaveNow::default(), Hearing::default()),
        waits
    );
    ran.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_replaces_its_key_by_itself() {
    let service = Service::start().await;
    let (broker, store) = (service.broker(), service.app.store.clone());
    let code = code(&store, 5).await;
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let text = format!(
        "server = \"{broker}\"\ncode = \"{code}\"\njournal = {:?}\nsocket = {:?}\nsources = [\"tty\"]\ntick_seconds = 1\n\
         heartbeat_seconds = 15\njitter_seconds = 0\n",
        path("journal"),
        path("local.sock"),
    );
    std::fs::write(folder.path().join("agent.toml"), text).unwrap();
    let config =
        Config::load(Some(&folder.path().join("agent.toml")), Settings::default()).unwrap();
    let file = IdentityFile::new(folder.path().join("identity"));
    let kept = || file.look().said.filter(Identity::is_enrolled);
    let enrolling = until("enrolled", async || kept().is_some());
    while_running(config.clone(), enrolling).await;
    let before = kept().unwrap();
    change(&elsewhere(&service), &before.terminal, KeyChange::Renew).await;
    // Answers tell it, the first one soon after it starts and others every few minutes: by then the service must know.
    until("the service knows", async || {
        let asked = renew(broker, &before.terminal, &before.key).await;
        enrolled(asked.unwrap()).key != before.key
    })
    .await;
    let scene = async {
        until("a new key is kept", async || {
            kept().is_some_and(|now| now.key != before.key)
        })
        .await;
        let after = kept().unwrap();
        assert_eq!(after.previous_key, before.key);
        assert_eq!(
            (&after.terminal, &after.school),
            (&before.terminal, &before.school)
        );
        until("the old key is worth nothing", async || {
            let keys = store.keys().await.unwrap();
            !keys[0].renew && keys[0].next.is_none()
        })
        .await;
        // And it goes on reporting, with the new one.
        let id = before.terminal.parse().unwrap();
        let heard = async || store.terminal(&id).await.unwrap().unwrap().last_heard;
        let now = SystemClock.now().as_second();
        until("a report after it", async || heard().await > Some(now)).await;
    };
    while_running(config, scene).await;
    let after = kept().unwrap();
    assert_eq!(log_in(broker, &after.terminal, &after.key).await, Ok(()));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_on_anothers_topic_is_refused_and_on_record_under_its_sender() {
    let service = Service::start().await;
    let (broker, store) = (service.broker(), service.app.store.clone());
    let code = code(&store, 5).await;
    let (one, other) = (
        enrolled(ask(broker, &code, 1).await),
        enrolled(ask(broker, &code, 50).await),
    );
    let mut speaking = Plain::new(broker, &one.terminal, &one.terminal, &one.key);
    speaking.connect().await.unwrap();
    let now = SystemClock.now().as_second();
    let mut forged = report(1, vec![used(1, now - 3_600, now)]);
    for said in ["", &one.terminal, &other.terminal] {
        said.clone_into(&mut forged.terminal);
        let topic = topic::of(&other.terminal, Channel::Report);
        let word = speaking.publish(&topic, forged.encode_to_vec()).await;
        assert_eq!(word, Ok(PubAckReason::NotAuthorized), "{said}");
    }
    // On its own topic, in another's name.
    let own = topic::of(&one.terminal, Channel::Report);
    let word = speaking.publish(&own, forged.encode_to_vec()).await;
    assert_eq!(word, Ok(PubAckReason::NoMatchingSubscribers));
    let kept = store.quarantine(0, 10).await.unwrap();
    assert!(!kept.is_empty());
    for entry in &kept {
        assert_eq!(
            (entry.terminal.as_str(), entry.reason.as_str()),
            (one.terminal.as_str(), "topic_mismatch")
        );
        assert!(entry.detail.contains(&other.terminal), "{}", entry.detail);
    }
    for terminal in [&one.terminal, &other.terminal] {
        let terminal = store.terminal(&terminal.parse().unwrap()).await.unwrap();
        assert_eq!(terminal.unwrap().last_heard, None, "nothing is counted");
    }
    service.stop().await;
}
