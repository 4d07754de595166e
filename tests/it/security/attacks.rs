//! Attacks on terminals' road, each tried for real against a running service while an honest terminal reports: it loses no
//! minute, and nobody gains one. What is refused elsewhere: other names and topics (`enrolment`), plain text (`tls`).

use std::{net::SocketAddr, time::Duration};

use classpulse::{
    clock::{Clock as _, SystemClock},
    domain::{ids::TerminalId, usage::Period},
    enrolment::{Terms, create_code},
    store::{KeyChange, SharedStore},
};
use classpulse_proto::{
    topic::{self, Channel},
    v1::{
        ClockState, EnrolRefusal, Enrolled, Kind, Report, Session, enrol_response::Result as Said,
    },
};
use jiff::civil::date;
use prost::Message as _;
use rand::{RngExt as _, SeedableRng as _};
use rumqttc::v5::mqttbytes::v5::PubAckReason;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use crate::{
    enrolment::{Plain, ask, code, enrolled, keys::change, log_in, serving_since_yesterday, until},
    support::{EMBEDDED, PATIENCE, PRIMARY, Service, report, school, used},
};

/// How long an honest terminal may wait for its login and its report's receipt, whoever does what.
const SOON: Duration = Duration::from_secs(10);

/// A service where keys are required, and terminals that enrolled.
struct Scene {
    service: Service,
    honest: Enrolled,
    attacker: Enrolled,
}

impl Scene {
    async fn start() -> Self {
        let service = Service::start_with(&format!("{EMBEDDED}\nkeys = \"required\"")).await;
        let (broker, store) = (service.broker(), service.app.store.clone());
        let code = code(&store, 5).await;
        let honest = enrolled(ask(broker, &code, 1).await);
        let attacker = enrolled(ask(broker, &code, 50).await);
        serving_since_yesterday(&store, &[&honest, &attacker]).await;
        Self {
            service,
            honest,
            attacker,
        }
    }

    fn broker(&self) -> SocketAddr {
        self.service.broker()
    }

    fn store(&self) -> &SharedStore {
        &self.service.app.store
    }

    /// The honest terminal comes in and has a minute committed, soon.
    async fn honest_reports(&self, minute: u64) {
        let began = Instant::now();
        // On a whole minute: one that begins at its thirtieth second covers half of two, and paints both.
        let now = SystemClock.now().as_second() / 60;
        let start = (now - 600 + i64::try_from(minute).unwrap()) * 60;
        let mut link = self.log_in(&self.honest).await;
        let session = used(u32::try_from(minute).unwrap(), start, start + 60);
        let word = say(&mut link, &self.honest, &report(minute, vec![session])).await;
        assert_eq!(word, Ok(PubAckReason::NoMatchingSubscribers));
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }

    async fn log_in(&self, who: &Enrolled) -> Plain {
        let mut link = Plain::new(self.broker(), &who.terminal, &who.terminal, &who.key);
        link.connect().await.unwrap();
        link
    }

    /// Powered and used minutes of all days together.
    async fn minutes(&self, who: &Enrolled) -> (u32, u32) {
        let name: TerminalId = who.terminal.parse().unwrap();
        let always = Period {
            first: date(2020, 1, 1),
            last: date(2100, 1, 1),
        };
        let days = self.store().terminal_days(&name, always).await.unwrap();
        days.iter().fold((0, 0), |(powered, used), (_, day)| {
            (powered + day.powered.count(), used + day.used.count())
        })
    }
}

async fn say(link: &mut Plain, who: &Enrolled, report: &Report) -> Result<PubAckReason, String> {
    let topic = topic::of(&who.terminal, Channel::Report);
    link.publish(&topic, report.encode_to_vec()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_terminals_name_is_of_no_use_without_its_key() {
    let scene = Scene::start().await;
    let (honest, attacker) = (&scene.honest, &scene.attacker);
    for (client, user, key) in [
        (&honest.terminal, &honest.terminal, &attacker.key),
        (&honest.terminal, &attacker.terminal, &attacker.key),
        (&attacker.terminal, &honest.terminal, &attacker.key),
        (&honest.terminal, &honest.terminal, &String::new()),
    ] {
        let mut link = Plain::new(scene.broker(), client, user, key);
        let said = link.connect().await.unwrap_err();
        assert!(said.starts_with("refused"), "{client} {user}: {said}");
    }
    scene.honest_reports(1).await;
    scene.service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_replayed_adds_nothing() {
    let scene = Scene::start().await;
    let now = SystemClock.now().as_second();
    let recorded = report(7, vec![used(1, now - 7_200, now - 3_600)]);
    let mut link = scene.log_in(&scene.attacker).await;
    say(&mut link, &scene.attacker, &recorded).await.unwrap();
    let before = scene.minutes(&scene.attacker).await;
    assert!(before.1 >= 60, "{before:?}");
    for _ in 0..50 {
        say(&mut link, &scene.attacker, &recorded).await.unwrap();
    }
    // Over a new connection, in another boot's name, with other numbers.
    let mut link = scene.log_in(&scene.attacker).await;
    for byte in 0..20 {
        let mut again = recorded.clone();
        again.boot_id = vec![byte; 16];
        again.sequence = u64::from(byte) + 1;
        again.sessions[0].number = u32::from(byte) + 2;
        say(&mut link, &scene.attacker, &again).await.unwrap();
    }
    assert_eq!(scene.minutes(&scene.attacker).await, before);
    scene.service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_day_has_cannot_be_said() {
    let scene = Scene::start().await;
    let mut link = scene.log_in(&scene.attacker).await;
    let now = SystemClock.now().as_second();
    let session = |number, start, end| Session {
        kind: Kind::Used.into(),
        ..used(number, start, end)
    };
    // Longer than a day, from tomorrow, from before anything, backwards, without a kind.
    let mut wrong = vec![
        session(1, now - 90_000, now - 1),
        session(2, now + 3_600, now + 7_200),
        session(3, 0, 3_600),
        session(4, now - 60, now - 120),
        session(5, i64::MIN, i64::MAX),
        session(6, i64::MAX - 1, i64::MAX),
    ];
    wrong.push(Session {
        kind: 77,
        ..session(7, now - 60, now)
    });
    say(&mut link, &scene.attacker, &report(1, wrong.clone()))
        .await
        .unwrap();
    assert_eq!(scene.minutes(&scene.attacker).await, (0, 0));
    let kept = scene.store().quarantine(0, 100).await.unwrap();
    assert_eq!(kept.len(), wrong.len(), "each is on record: {kept:?}");
    // A clock that says of itself that it can't be trusted.
    let unsure = Report {
        clock: ClockState::Unsynced.into(),
        ..report(2, vec![session(1, now - 600, now)])
    };
    say(&mut link, &scene.attacker, &unsure).await.unwrap();
    assert_eq!(scene.minutes(&scene.attacker).await, (0, 0));
    // A thousand sessions over the same hour are one hour.
    let hour = (1..=1_000).map(|number| session(number, now - 3_600, now));
    say(&mut link, &scene.attacker, &report(3, hour.collect()))
        .await
        .unwrap();
    let (powered, used) = scene.minutes(&scene.attacker).await;
    assert!(
        used <= 61 && used <= powered && powered <= 61,
        "{used} of {powered}"
    );
    // And a report of more sessions than may be is refused whole.
    let flood = (1..=1_001).map(|number| session(number, now - 7_200, now - 3_600));
    say(&mut link, &scene.attacker, &report(4, flood.collect()))
        .await
        .unwrap();
    assert_eq!(scene.minutes(&scene.attacker).await, (powered, used));
    scene.service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_and_a_spent_or_dated_code_are_worth_nothing() {
    let scene = Scene::start().await;
    let (broker, store) = (scene.broker(), scene.store().clone());
    let mut link = scene.log_in(&scene.attacker).await;
    change(&store, &scene.attacker.terminal, KeyChange::Revoke).await;
    let lost = link.until(|_| None::<()>).await.unwrap_err();
    assert!(lost.starts_with("lost:"), "{lost}");
    assert!(
        log_in(broker, &scene.attacker.terminal, &scene.attacker.key)
            .await
            .is_err()
    );
    let make = async |days_ago: i64, uses| {
        let terms = Terms {
            school: school(PRIMARY),
            uses,
            days: 1,
        };
        let then = SystemClock.now() - jiff::SignedDuration::from_hours(24 * days_ago);
        create_code(store.as_ref(), terms, then).await.unwrap().0
    };
    let refused = Said::Refusal(EnrolRefusal::Code.into());
    assert_eq!(
        ask(broker, &make(2, 5).await, 90).await,
        refused,
        "out of date"
    );
    let once = make(0, 1).await;
    enrolled(ask(broker, &once, 100).await);
    assert_eq!(ask(broker, &once, 120).await, refused, "used up");
    assert_eq!(
        ask(broker, &once, 50).await,
        refused,
        "nor for the revoked one"
    );
    scene.honest_reports(1).await;
    scene.service.stop().await;
}

/// An MQTT 3.1.1 CONNECT of a terminal.
fn connect(name: &str, password: &str) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04\xC2\0\x3C".to_vec();
    for text in [name, name, password] {
        body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        body.extend(text.as_bytes());
    }
    let mut packet = vec![0x10, u8::try_from(body.len()).unwrap()];
    packet.extend(body);
    packet
}

/// The broker's word for a login: its code, or none where it cut the line.
async fn knock(broker: SocketAddr, name: &str, password: &str) -> Option<u8> {
    let mut stream = TcpStream::connect(broker).await.ok()?;
    stream.write_all(&connect(name, password)).await.ok()?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.ok()?;
    Some(answer[3])
}

/// Ten thousand wrong keys from one address, against one terminal and against many, while that terminal goes on.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_bad_logins_let_nobody_in_and_keep_nobody_out() {
    const ATTEMPTS: usize = 10_000;
    const AT_ONCE: usize = 400;
    let scene = Scene::start().await;
    let (broker, name) = (scene.broker(), scene.honest.terminal.clone());
    let done = std::cell::Cell::new(0);
    let attack = async {
        let all = (0..ATTEMPTS).map(|number| {
            let other = format!("guess-{number}");
            let name = if number % 2 == 0 { name.clone() } else { other };
            async move { knock(broker, &name, &format!("{number:043}")).await }
        });
        let mut all = futures::StreamExt::buffer_unordered(futures::stream::iter(all), AT_ONCE);
        while let Some(said) = futures::StreamExt::next(&mut all).await {
            assert_ne!(said, Some(0), "a wrong key got in");
            done.set(done.get() + 1);
        }
    };
    let honest = async {
        let mut minute = 0;
        while done.get() < ATTEMPTS {
            minute += 1;
            scene.honest_reports(minute).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        minute
    };
    let began = Instant::now();
    let ((), minutes) = tokio::time::timeout(Duration::from_mins(5), async {
        futures::future::join(attack, honest).await
    })
    .await
    .unwrap();
    println!(
        "{ATTEMPTS} bad logins in {:?}, {minutes} honest reports meanwhile",
        began.elapsed()
    );
    assert!(minutes >= 2);
    let (_, used) = scene.minutes(&scene.honest).await;
    assert_eq!(u64::from(used), minutes, "no minute is lost");
    let figures = scene.service.app.metrics.render();
    let refusals = figures
        .lines()
        .find_map(|line| line.strip_prefix("classpulse_broker_refusals_total "))
        .unwrap();
    assert!(
        refusals.parse::<usize>().unwrap() >= ATTEMPTS * 9 / 10,
        "{refusals}"
    );
    scene.service.stop().await;
}

/// Bytes that are no MQTT, or begin as if they were, on hundreds of connections.
#[tokio::test(flavor = "multi_thread")]
async fn malformed_packets_harm_nobody() {
    let scene = Scene::start().await;
    let (broker, seed) = (scene.broker(), 0x5EC_u64);
    println!("seed {seed:#x}");
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let good = connect(&scene.attacker.terminal, &scene.attacker.key);
    let mut attempts: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3],
        vec![0x10, 0xFF, 0xFF, 0xFF, 0x7F],
        vec![0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        vec![0x00; 64],
        vec![0xFF; 64],
        vec![0xC0, 0],
        vec![0x30, 5, 0, 1, b'a', b'b', b'c'],
    ];
    for _ in 0..400 {
        let mut bytes = good.clone();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        bytes.truncate(random.random_range(1..=bytes.len()));
        attempts.push(bytes);
    }
    // After a good login: a packet of every kind, with a body of rubbish.
    for kind in 0..=255_u8 {
        let mut bytes = good.clone();
        let length = random.random_range(0..60_u8);
        bytes.extend([kind, length]);
        bytes.extend((0..length).map(|_| random.random::<u8>()));
        attempts.push(bytes);
    }
    let count = attempts.len();
    let mut streams = Vec::new();
    for (number, bytes) in attempts.into_iter().enumerate() {
        let mut stream = TcpStream::connect(broker).await.unwrap();
        // The broker may hang up in the middle of it.
        drop(stream.write_all(&bytes).await);
        streams.push(stream);
        if number % 200 == 0 {
            scene
                .honest_reports(u64::try_from(number / 200).unwrap() + 1)
                .await;
        }
    }
    drop(streams);
    scene.honest_reports(50).await;
    let (_, used) = scene.minutes(&scene.honest).await;
    assert_eq!(used as usize, count.div_ceil(200) + 1);
    let others = scene
        .store()
        .terminals(&classpulse::store::TerminalFilter::default())
        .await
        .unwrap();
    assert_eq!(others.len(), 2, "and nobody was invented");
    scene.service.stop().await;
}

/// Connections that never say who they are.
#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_are_ended_and_stand_in_nobodys_way() {
    const HALF_OPEN: usize = 600;
    let scene = Scene::start().await;
    let whole = connect(&scene.attacker.terminal, "x");
    let mut streams = Vec::new();
    for number in 0..HALF_OPEN {
        let mut stream = TcpStream::connect(scene.broker()).await.unwrap();
        stream
            .write_all(&whole[..number % whole.len()])
            .await
            .unwrap();
        streams.push(stream);
    }
    scene.honest_reports(1).await;
    let waiting = futures::future::join_all(streams.iter_mut().map(async |stream| {
        let mut bytes = [0; 64];
        let read = stream.read(&mut bytes).await.unwrap_or(0);
        // What it is refused with, where it began a login.
        (read >= 4).then_some(bytes[3])
    }));
    let ended = tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("they are ended");
    assert_eq!(
        ended.iter().filter(|end| **end == Some(0)).count(),
        0,
        "nobody got in"
    );
    scene.honest_reports(2).await;
    until("all is counted", async || {
        scene.minutes(&scene.honest).await.1 == 2
    })
    .await;
    scene.service.stop().await;
}
