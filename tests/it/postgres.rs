//! What only the PostgreSQL backend must show: several processes at once, months, TLS, reconnecting, data it refuses.
//!
//! The laws that every backend keeps are in `store_contract`.

use std::{collections::BTreeMap, fs, process::Command, sync::Arc, time::Duration};

use classpulse::{
    clock::SystemClock,
    domain::{
        minutes::{DayMinutes, MinuteSet},
        usage::Period,
    },
    ingest::{
        Pipeline,
        replay::{Selection, replay},
    },
    observe::Metrics,
    store::{
        Batch, Refusal, RegistryChange, SharedStore, Store, StoreError,
        postgres::{PostgresOptions, PostgresStore},
    },
    tls::TlsOptions,
};
use classpulse_proto::v1::AgentFacts;
use futures::future::join_all;
use jiff::{
    ToSpan as _,
    civil::{Date, date},
    tz::TimeZone,
};
use prost::Message as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{
    servers::postgres::{self, Postgres},
    support::{JUNIOR, PRIMARY, county, placement, register, report, terminal, used},
};

const DAY: Date = date(2026, 9, 1);

fn options(url: &str) -> PostgresOptions {
    PostgresOptions {
        url: url.to_owned(),
        password: None,
        tls: TlsOptions::default(),
        connections: 4,
    }
}

pub(crate) async fn open(url: &str) -> SharedStore {
    Arc::new(PostgresStore::open(&options(url)).await.unwrap())
}

/// A session beside the store's.
pub(crate) async fn session(url: &str) -> tokio_postgres::Client {
    let connected = tokio_postgres::connect(url, tokio_postgres::NoTls).await;
    let (client, connection) = connected.unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test's own task")]
    tokio::spawn(connection);
    client
}

fn minutes(start: u16, end: u16) -> DayMinutes {
    let set = MinuteSet::of(start, end);
    DayMinutes {
        powered: set,
        used: set,
        last_seen: i64::from(end),
    }
}

/// The seed of this run; a failing one is printed and can be put here.
fn seed() -> u64 {
    let seed = rand::random();
    println!("seed {seed}");
    seed
}

const DAYS: i64 = 100;

const ALL: Period = Period {
    first: DAY,
    last: date(2026, 12, 31),
};

/// Two terminals of one school on one day: their minutes in parts, in any order.
fn parts(rng: &mut ChaCha8Rng, names: [&str; 2], day: Date) -> Vec<Batch> {
    let mut part = |name: &str| {
        let start = rng.random_range(0..1_400);
        Batch {
            days: vec![(
                terminal(name),
                day,
                minutes(start, start + rng.random_range(1..40_u16)),
            )],
            ..Batch::default()
        }
    };
    (0..2).flat_map(|_| names.map(&mut part)).collect()
}

/// Writers, rollups and a registrar meet on one school-day after another, each through connections of its own; nobody
/// comes back to a day. Afterwards every minute is there, and the rollup says the same as one made anew from the minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_aggregators_and_a_registrar_leave_no_minute_and_no_sum_behind() {
    let url = postgres::shared().database();
    let stores = join_all((0..4).map(|_| open(&url))).await;
    let names: Vec<_> = (0..2 * DAYS)
        .map(|number| (format!("t-{number:03}"), PRIMARY))
        .collect();
    register(&stores[0], &names).await;
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let mut truth: BTreeMap<_, DayMinutes> = BTreeMap::new();
    for (pair, round) in names.chunks(2).zip(0..DAYS) {
        let day = DAY + round.days();
        let batches = parts(&mut rng, [&pair[0].0, &pair[1].0], day);
        for (name, day, minutes) in batches.iter().flat_map(|batch| &batch.days) {
            truth
                .entry((name.clone(), *day))
                .or_default()
                .merge(minutes);
        }
        let change = RegistryChange {
            placements: vec![(terminal(&pair[0].0), vec![placement(JUNIOR, DAY)])],
            ..RegistryChange::default()
        };
        let mut delay = || Duration::from_micros(rng.random_range(0..3_000));
        let commits = join_all(stores.iter().zip(batches).map(|(store, batch)| {
            let delay = delay();
            async move {
                tokio::time::sleep(delay).await;
                store.commit(batch).await.unwrap();
                store.roll_up(9).await.unwrap();
            }
        }));
        let delay = delay();
        let registrar = async {
            tokio::time::sleep(delay).await;
            stores[3].change_registry(change).await.unwrap();
        };
        let rolling = join_all(stores.iter().map(|store| async {
            for _ in 0..3 {
                store.roll_up(9).await.unwrap();
            }
        }));
        futures::join!(commits, registrar, rolling);
    }

    let store = &stores[0];
    let mut found = BTreeMap::new();
    for (name, _) in &names {
        let name = terminal(name);
        for (day, minutes) in store.terminal_days(&name, ALL).await.unwrap() {
            found.insert((name.clone(), day), minutes);
        }
    }
    assert_eq!(found, truth);

    while !store.roll_up(1_000).await.unwrap().is_empty() {}
    let kept = store.school_sums(&county(), ALL).await.unwrap();
    assert!(store.mark_all_dirty(&county(), ALL).await.unwrap() > 0);
    while !store.roll_up(1_000).await.unwrap().is_empty() {}
    let anew = store.school_sums(&county(), ALL).await.unwrap();
    assert_eq!(kept, anew, "a mark was lost");
    let powered: u64 = anew.iter().map(|sum| sum.minutes.powered).sum();
    let painted: u64 = truth
        .values()
        .map(|day| u64::from(day.powered.count()))
        .sum();
    assert_eq!(powered, painted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_may_open_a_new_database_and_a_new_month_at_once() {
    let url = postgres::shared().database();
    let stores = join_all((0..6).map(|_| open(&url))).await;
    let months = [
        date(1999, 1, 1),
        date(2026, 11, 30),
        date(2026, 12, 1),
        date(2031, 2, 28),
    ];
    join_all(stores.iter().map(|store| {
        let days = months.map(|day| (terminal("t-1"), day, minutes(1, 9)));
        store.commit(Batch {
            days: days.to_vec(),
            ..Batch::default()
        })
    }))
    .await
    .into_iter()
    .for_each(|done| drop(done.unwrap()));
    let always = Period {
        first: date(1990, 1, 1),
        last: date(2040, 1, 1),
    };
    let days = stores[5]
        .terminal_days(&terminal("t-1"), always)
        .await
        .unwrap();
    assert_eq!(days, months.map(|day| (day, minutes(1, 9))));
}

#[tokio::test]
async fn another_programs_database_and_a_newer_one_are_refused_and_left_alone() {
    let url = postgres::shared().database();
    let client = session(&url).await;
    client
        .batch_execute("CREATE TABLE theirs (a integer)")
        .await
        .unwrap();
    let error = PostgresStore::open(&options(&url)).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Conflict(said) if said.contains("another program")),
        "{error}"
    );
    client.batch_execute("DROP TABLE theirs").await.unwrap();
    open(&url).await.close().await;
    let newer = "INSERT INTO migration (number, name, program) VALUES (99, 'later', '9.9')";
    client.batch_execute(newer).await.unwrap();
    let error = PostgresStore::open(&options(&url)).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Conflict(said) if said.contains("newer")),
        "{error}"
    );
}

fn refusal(terminal: &str, detail: &str) -> Refusal {
    Refusal {
        terminal: terminal.to_owned(),
        fingerprint: vec![1],
        reason: "future".to_owned(),
        detail: detail.to_owned(),
        payload: vec![0, 255],
        received_at: 1,
        received_day: DAY,
    }
}

/// PostgreSQL's texts hold no NUL; what a stranger sends may.
#[tokio::test]
async fn a_nul_in_a_strangers_name_is_kept_readable_and_data_it_refuses_is_told_apart() {
    let store = open(&postgres::shared().database()).await;
    let batch = Batch {
        quarantined: vec![refusal("a\0b", "c\0d"), refusal("a\0b", "e\0f")],
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    let found = store.quarantine(0, 9).await.unwrap();
    assert_eq!(
        (
            found[0].terminal.as_str(),
            found[0].detail.as_str(),
            found[0].times
        ),
        ("a\u{FFFD}b", "e\u{FFFD}f", 2)
    );
    let unfit = Batch {
        days: vec![(terminal("t-1"), date(-9_999, 1, 1), minutes(1, 9))],
        ..Batch::default()
    };
    let error = store.commit(unfit).await.unwrap_err();
    assert!(matches!(error, StoreError::Unfit { .. }), "{error}");
    assert_eq!(
        store.pending_count().await.unwrap(),
        0,
        "nothing of it was kept"
    );
}

/// Killed, then gone for a while, then back: the store fails meanwhile and goes on by itself afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_found_again() {
    let mut server = Postgres::start();
    let store = open(&server.database()).await;
    let day = |minute| Batch {
        days: vec![(terminal("t-1"), DAY, minutes(minute, minute + 1))],
        ..Batch::default()
    };
    store.commit(day(1)).await.unwrap();
    server.kill();
    let error = store.commit(day(2)).await.unwrap_err();
    assert!(matches!(error, StoreError::Driver { .. }), "{error}");
    server.start_again();
    let again = async {
        while store.commit(day(3)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again)
        .await
        .unwrap();
    let found = store.terminal_days(&terminal("t-1"), ALL).await.unwrap();
    let mut expected = minutes(1, 2);
    expected.merge(&minutes(3, 4));
    assert_eq!(found, [(DAY, expected)]);
    store.close().await;
}

/// A server with a certificate of a private authority: trusted when that is named, refused otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_spoken_with_whom_the_authority_vouches_for_and_nobody_else() {
    let folder = TempDir::new().unwrap();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (certificate, key) = (
        file("server.pem", &own.cert.pem()),
        file("server.key", &own.signing_key.serialize_pem()),
    );
    let stranger = file("other.pem", &other.cert.pem());
    // The server reads its key as the user it runs as, and only if nobody else may.
    let script = format!(
        "chmod 755 '{0}'; chmod 600 '{1}'; [ \"$(id -u)\" != 0 ] || chown postgres: '{1}'",
        folder.path().display(),
        key.display()
    );
    assert!(
        Command::new("sh")
            .args(["-c", &script])
            .status()
            .unwrap()
            .success()
    );
    let server = Postgres::start_with(&format!(
        "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'",
        certificate.display(),
        key.display()
    ));
    let url = server.database().replace("127.0.0.1", "localhost") + "?sslmode=require";
    let trusting = |file| PostgresOptions {
        tls: TlsOptions {
            ca_file: Some(file),
            identity: None,
        },
        ..options(&url)
    };
    let store = PostgresStore::open(&trusting(certificate)).await.unwrap();
    assert_eq!(store.pending_count().await.unwrap(), 0);
    store.close().await;
    let error = PostgresStore::open(&trusting(stranger)).await.unwrap_err();
    assert!(matches!(error, StoreError::Driver { .. }), "{error}");
}

/// Data that passes every check and that the database refuses all the same: it alone goes to quarantine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisonous_report_neither_holds_nor_drops_its_neighbours() {
    const START: i64 = 1_788_220_800;
    let url = postgres::shared().database();
    let store = open(&url).await;
    let client = session(&url).await;
    let poison =
        "ALTER TABLE heard ADD CONSTRAINT poison CHECK (version IS NULL OR version <> 'poison')";
    client.batch_execute(poison).await.unwrap();
    let metrics = Arc::new(Metrics::default());
    let pipeline = Pipeline {
        store: store.clone(),
        clock: Arc::new(SystemClock),
        zone: TimeZone::get("Asia/Shanghai").unwrap(),
        metrics: metrics.clone(),
        linger: Duration::from_millis(50),
        settings: None,
        stop: CancellationToken::new(),
    };
    let stop = pipeline.stop.clone();
    let (intake, working) = pipeline.start();
    let sending = async {
        let reports = (0..200_u32).map(|number| {
            let mut report = report(1, vec![used(1, START, START + 1_800)]);
            if number % 61 == 17 {
                report.facts = Some(AgentFacts {
                    version: "poison".to_owned(),
                    ..AgentFacts::default()
                });
            }
            intake.accept(
                Some(format!("p-{number:03}")),
                report.encode_to_vec().into(),
            )
        });
        let outcomes = join_all(reports).await;
        stop.cancel();
        outcomes
    };
    let (outcomes, ()) = futures::join!(sending, working);
    let mut poisoned = Vec::new();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let outcome = outcome.unwrap();
        assert!(outcome.ack.is_some(), "kept one way or the other");
        if let Some((reason, _)) = outcome.refused.first() {
            assert_eq!(reason.key(), "unstorable");
            poisoned.push(number);
        }
        let name = terminal(&format!("p-{number:03}"));
        let landed = store.terminal_days(&name, ALL).await.unwrap().len();
        assert_eq!(landed, outcome.accepted, "p-{number:03}");
    }
    assert_eq!(poisoned, [17, 78, 139]);
    let waiting = store.quarantine(0, 9).await.unwrap();
    assert_eq!(waiting.len(), 3);
    assert!(waiting[0].detail.contains("poison"), "{waiting:?}");

    // Mended, they count.
    client
        .batch_execute("ALTER TABLE heard DROP CONSTRAINT poison")
        .await
        .unwrap();
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let done = replay(&*store, &Selection::default(), START + 2_000, &zone)
        .await
        .unwrap();
    assert_eq!((done.tried, done.counted), (3, 3));
    let landed = store.terminal_days(&terminal("p-017"), ALL).await.unwrap();
    assert_eq!(landed[0].1.used.count(), 30);
}
