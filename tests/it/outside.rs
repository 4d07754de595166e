//! The same service, unchanged, against a real Mosquitto: both versions of MQTT, TLS with a private authority,
//! several aggregators on one subscription, and a broker that restarts, with and without its memory.

use std::{fs, sync::Arc, time::Duration};

use classpulse::{
    app::{App, AppError},
    clock::SystemClock,
    domain::usage::Period,
    store::{SharedStore, sqlite::SqliteStore},
};
use classpulse_proto::v1::Report;
use jiff::civil::date;
use prost::Message as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use tempfile::TempDir;

use crate::{
    servers::{
        free_port,
        mosquitto::{FORGETS, KEEPS, Mosquitto},
        wait_for,
    },
    support::{Link, PATIENCE, PRIMARY, Service, config, register, report, terminal, used},
};

/// 2026-09-01T08:00:00+08:00.
const LESSON: i64 = 1_788_220_800;

const DAY: Period = Period {
    first: date(2026, 9, 1),
    last: date(2026, 9, 1),
};

fn outside(port: u16, more: &str) -> String {
    format!("[broker]\nkind = \"outside\"\nhost = \"127.0.0.1\"\nport = {port}\n{more}\n")
}

fn names(count: usize) -> Vec<(String, &'static str)> {
    (0..count)
        .map(|index| (format!("m-{index}"), PRIMARY))
        .collect()
}

/// One session that grows by a minute a report, twenty times.
fn growing(round: u64) -> Vec<Report> {
    let start = LESSON + i64::try_from(round).unwrap() * 3_600;
    (1..=20)
        .map(|part| {
            let end = start + i64::try_from(part).unwrap() * 60;
            report(round * 100 + part, vec![used(1, start, end)])
        })
        .collect()
}

/// Sends as agents do: what is not acknowledged is reported again.
async fn insist(mosquitto: &Mosquitto, name: &str, reports: &[Report]) {
    let mut link = Link::connect(mosquitto.address(), name).await;
    let sent = async {
        while tokio::time::timeout(Duration::from_secs(2), link.send_all(name, reports))
            .await
            .is_err()
        {}
    };
    tokio::time::timeout(PATIENCE, sent).await.unwrap();
}

async fn minutes(store: &SharedStore, name: &str) -> u32 {
    let days = store.terminal_days(&terminal(name), DAY).await.unwrap();
    days.iter().map(|(_, minutes)| minutes.used.count()).sum()
}

/// Two rounds of reports around a restart of Mosquitto.
async fn over_a_restart(mosquitto: &mut Mosquitto, service: Service) {
    let store = service.app.store.clone();
    let names = names(3);
    register(&store, &names).await;
    for round in 1..=2 {
        if round == 2 {
            mosquitto.end();
            mosquitto.start_again();
        }
        for (name, _) in &names {
            insist(mosquitto, name, &growing(round)).await;
        }
    }
    for (name, _) in &names {
        assert_eq!(minutes(&store, name).await, 40, "{name}");
    }
    assert!(service.app.broker.is_none());
    let figures = service.app.metrics.render();
    assert!(
        figures.contains("\nclasspulse_broker_connected 1\n"),
        "{figures}"
    );
    assert!(
        !figures.contains("\nclasspulse_broker_losses_total 0\n"),
        "the restart was seen"
    );
    assert!(figures.contains("\nclasspulse_waiting_reports 0\n"));
    assert!(figures.contains("\nclasspulse_waiting_bytes 0\n"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_carries_reports_over_a_restart_with_its_memory() {
    let mut mosquitto = Mosquitto::start(KEEPS);
    let service = Service::start_with(&outside(mosquitto.port, "shared = true")).await;
    over_a_restart(&mut mosquitto, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_carries_reports_over_a_restart_without_its_memory() {
    let mut mosquitto = Mosquitto::start(FORGETS);
    let service = Service::start_with(&outside(mosquitto.port, "")).await;
    over_a_restart(&mut mosquitto, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_carries_reports_over_a_restart() {
    let mut mosquitto = Mosquitto::start(KEEPS);
    let more = "protocol = 3\nshared = true";
    let service = Service::start_with(&outside(mosquitto.port, more)).await;
    over_a_restart(&mut mosquitto, service).await;
}

/// What came while the aggregator was away waits at the broker, and a report that MQTT 3.1.1 can't refuse by its size
/// goes to quarantine instead of coming again forever.
#[tokio::test(flavor = "multi_thread")]
async fn a_persistent_session_holds_reports_for_an_aggregator_that_is_away() {
    for (protocol, large) in [(5, 100_000), (3, 400_000)] {
        let mosquitto = Mosquitto::start(KEEPS);
        let broker = outside(mosquitto.port, &format!("protocol = {protocol}"));
        let service = Service::start_with(&broker).await;
        register(&service.app.store, &names(1)).await;
        insist(&mosquitto, "m-0", &growing(1)).await;
        let folder = service.stop().await;

        let mut link = Link::connect(mosquitto.address(), "m-0").await;
        link.publish("m-0", vec![7; large]).await;
        for one in growing(2) {
            link.publish("m-0", one.encode_to_vec()).await;
        }
        // Mosquitto answers in order, so all of it is there.
        tokio::time::sleep(Duration::from_millis(300)).await;

        let service = Service::start_in(folder, &broker).await;
        let mut missing: std::collections::BTreeSet<u64> = (201..=220).collect();
        while !missing.is_empty() {
            for sequence in link.ack().await.sequences {
                missing.remove(&sequence);
            }
        }
        let store = service.app.store.clone();
        assert_eq!(minutes(&store, "m-0").await, 40);
        let refused = store.quarantine_counts().await.unwrap();
        assert_eq!(refused, [("too_large".to_owned(), 1)], "MQTT {protocol}");
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_aggregators_share_the_reports_and_one_may_die() {
    for protocol in [5, 3] {
        let mosquitto = Mosquitto::start(KEEPS);
        let broker = |id| {
            let more = format!("protocol = {protocol}\nshared = true\nclient_id = \"{id}\"");
            outside(mosquitto.port, &more)
        };
        let first = Service::start_with(&broker("one")).await;
        let store: SharedStore =
            Arc::new(SqliteStore::open(&first.folder.path().join("test.db")).unwrap());
        let second = App::start(
            &config(&first.folder, &broker("two")),
            store,
            Arc::new(SystemClock),
        )
        .await
        .unwrap();
        let names = names(4);
        register(&first.app.store, &names).await;
        for (name, _) in &names {
            insist(&mosquitto, name, &growing(1)).await;
        }
        let shares = (first.app.metrics.reports(), second.metrics.reports());
        assert!(
            shares.0 > 0 && shares.1 > 0 && shares.0 + shares.1 >= 80,
            "each had some: {shares:?}"
        );
        second.stop(Duration::from_secs(10)).await;
        for (name, _) in &names {
            insist(&mosquitto, name, &growing(2)).await;
        }
        for (name, _) in &names {
            assert_eq!(minutes(&first.app.store, name).await, 40, "{name}");
        }
        first.stop().await;
    }
}

/// One whose issuer and subject were alike would pass for self-signed.
fn named(who: &str, names: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, who);
    params
}

/// A private authority, and what it signed.
pub(crate) struct Authority {
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = named("authority", Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        for (who, names) in [
            ("server", vec!["127.0.0.1".to_owned()]),
            ("client", Vec::new()),
        ] {
            let key = KeyPair::generate().unwrap();
            let signed = named(who, names).signed_by(&key, &issuer).unwrap();
            fs::write(folder.path().join(format!("{who}.pem")), signed.pem()).unwrap();
            fs::write(
                folder.path().join(format!("{who}.key")),
                key.serialize_pem(),
            )
            .unwrap();
        }
        Self { folder }
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A Mosquitto with one listener for terminals and one with TLS that asks for a client's certificate.
    fn mosquitto(&self) -> (Mosquitto, u16) {
        let port = free_port();
        let more = format!(
            "{KEEPS}listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
            self.file("ca.pem"),
            self.file("server.pem"),
            self.file("server.key")
        );
        let mosquitto = Mosquitto::start(&more);
        wait_for(port, "mosquitto's TLS");
        (mosquitto, port)
    }
}

fn with_tls(port: u16, trusted: &Authority, own: &Authority) -> String {
    outside(
        port,
        &format!(
            "tls = true\nca_file = {:?}\nclient_cert_file = {:?}\nclient_key_file = {:?}",
            trusted.file("ca.pem"),
            own.file("client.pem"),
            own.file("client.key")
        ),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_trusts_its_own_authority_and_no_other() {
    let (right, wrong) = (Authority::new(), Authority::new());
    let (mosquitto, port) = right.mosquitto();
    let service = Service::start_with(&with_tls(port, &right, &right)).await;
    register(&service.app.store, &names(1)).await;
    insist(&mosquitto, "m-0", &growing(1)).await;
    let folder = service.stop().await;
    let log = mosquitto.log();
    assert!(log.contains(&format!("on port {port}")), "{log}");

    // Neither a stranger's broker nor a stranger's certificate; what is reported meanwhile is not lost.
    let mut folder = folder;
    for broker in [
        with_tls(port, &wrong, &right),
        with_tls(port, &right, &wrong),
        outside(port, ""),
    ] {
        let service = Service::start_in(folder, &broker).await;
        while service
            .app
            .metrics
            .render()
            .contains("classpulse_broker_losses_total 0\n")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut link = Link::connect(mosquitto.address(), "m-0").await;
        let reports = growing(2);
        let heard = link.send_all("m-0", &reports);
        let heard = tokio::time::timeout(Duration::from_secs(1), heard).await;
        assert!(heard.is_err(), "nobody listens");
        assert_eq!(service.app.metrics.reports(), 0);
        folder = service.stop().await;
    }

    let service = Service::start_in(folder, &with_tls(port, &right, &right)).await;
    insist(&mosquitto, "m-0", &growing(3)).await;
    // Mosquitto kept the first refusals' reports in the session of the first round.
    insist(&mosquitto, "m-0", &growing(2)).await;
    assert_eq!(minutes(&service.app.store, "m-0").await, 60);
    service.stop().await;
}

#[tokio::test]
async fn wrong_tls_files_are_named_before_anything_starts() {
    let authority = Authority::new();
    let folder = TempDir::new().unwrap();
    for (broker, said) in [
        (
            outside(
                1,
                &format!("tls = true\nca_file = {:?}", authority.file("none.pem")),
            ),
            "none.pem holds no certificate",
        ),
        (
            outside(
                1,
                &format!("tls = true\nca_file = {:?}", authority.file("server.key")),
            ),
            "server.key holds no certificate",
        ),
    ] {
        let store: SharedStore =
            Arc::new(SqliteStore::open(&folder.path().join("test.db")).unwrap());
        let error = App::start(&config(&folder, &broker), store, Arc::new(SystemClock))
            .await
            .unwrap_err();
        assert!(matches!(error, AppError::Tls(_)));
        let said_all = classpulse::observe::chain(&error);
        assert!(said_all.contains(said), "{said_all}");
    }
}
