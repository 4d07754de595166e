//! Reports through real MQTT to averages and points: order, repetition and splitting change nothing; what can't be
//! believed waits in quarantine, and is counted once its cause is mended.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use classpulse::{
    clock::{Clock as _, SystemClock},
    domain::{
        calendar::Calendar,
        ids::Stage,
        monitoring::points_hundredths,
        usage::{Fraction, Period},
    },
    ingest::{
        decode::MAX_REPORT_BYTES,
        replay::{Selection, replay},
    },
    query,
    store::{IncidentFilter, RegistryChange, SharedStore, TerminalFilter},
};
use classpulse_proto::v1::{ClockState, Kind, Report, Session, Signal, SignalKind};
use jiff::{
    Timestamp,
    civil::{Date, date},
    tz::TimeZone,
};
use prost::Message as _;
use rand::{RngExt as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::servers::{
    mosquitto::{FORGETS, Mosquitto},
    postgres,
};
use crate::support::{
    CALENDAR, JUNIOR, Link, PRIMARY, Service, county, placement, register, report, school,
    terminal, used,
};

const SEED: u64 = 0x000C_1A55;

/// 2026-09-01T00:00:00+08:00.
const DAY_ONE: i64 = 1_788_192_000;

/// When what was not acknowledged is said again.
const AGAIN: Duration = Duration::from_secs(30);

const PERIOD: Period = Period {
    first: date(2026, 9, 1),
    last: date(2026, 9, 11),
};

/// (terminal, session) in order of making.
fn thousand_sessions(random: &mut ChaCha8Rng) -> Vec<(usize, Session)> {
    (0..1_000)
        .map(|number| {
            let start = DAY_ONE + random.random_range(0..10 * 86_400);
            let length = if random.random_range(0..3) == 0 {
                100
            } else {
                9_000
            };
            let end = start + random.random_range(0..length);
            let kind = if random.random_range(0..4) == 0 {
                Kind::Powered
            } else {
                Kind::Used
            };
            let session = Session {
                kind: kind.into(),
                number,
                start,
                end,
                open: false,
            };
            (random.random_range(0..10), session)
        })
        .collect()
}

fn names() -> Vec<(String, &'static str)> {
    (0..10)
        .map(|index| {
            (
                format!("t-{index}"),
                if index < 6 { PRIMARY } else { JUNIOR },
            )
        })
        .collect()
}

/// Per terminal, the reports to send in order.
type Plan = BTreeMap<usize, Vec<Report>>;

fn plan(chunks: &[(usize, Vec<Session>)]) -> Plan {
    let mut plan = Plan::new();
    for (index, sessions) in chunks {
        let reports = plan.entry(*index).or_default();
        reports.push(report(reports.len() as u64 + 1, sessions.clone()));
    }
    plan
}

/// One report a session, as they came.
fn in_order(all: &[(usize, Session)]) -> Plan {
    plan(
        &all.iter()
            .map(|(index, session)| (*index, vec![*session]))
            .collect::<Vec<_>>(),
    )
}

fn shuffled(all: &[(usize, Session)], random: &mut ChaCha8Rng) -> Plan {
    let mut all = all.to_vec();
    all.shuffle(random);
    in_order(&all)
}

/// Cumulative reports, each sent up to three times, every session again and again.
fn duplicated(all: &[(usize, Session)], random: &mut ChaCha8Rng) -> Plan {
    let mut said: BTreeMap<usize, Vec<Session>> = BTreeMap::new();
    let mut chunks = Vec::new();
    for (index, session) in all {
        let sessions = said.entry(*index).or_default();
        sessions.push(*session);
        let latest = sessions[sessions.len().saturating_sub(20)..].to_vec();
        for _ in 0..random.random_range(1..4) {
            chunks.push((*index, latest.clone()));
        }
    }
    plan(&chunks)
}

/// Every session grows over several reports, which arrive shuffled.
fn split(all: &[(usize, Session)], random: &mut ChaCha8Rng) -> Plan {
    let mut chunks = Vec::new();
    for (index, session) in all {
        for _ in 0..random.random_range(0..3) {
            let end = random.random_range(session.start..=session.end);
            chunks.push((
                *index,
                vec![Session {
                    end,
                    open: true,
                    ..*session
                }],
            ));
        }
        chunks.push((*index, vec![*session]));
    }
    chunks.shuffle(random);
    plan(&chunks)
}

/// What every terminal's minutes must be, found minute by minute without the product's painting.
fn reference(all: &[(usize, Session)]) -> BTreeMap<(usize, i64), bool> {
    let mut minutes = BTreeMap::new();
    for (index, session) in all {
        for minute in session.start.div_euclid(60)..=session.end.div_euclid(60) {
            let covered = session.end.min(minute * 60 + 60) - session.start.max(minute * 60);
            if covered >= 30 {
                let used = minutes.entry((*index, minute)).or_insert(false);
                *used |= session.kind() == Kind::Used;
            }
        }
    }
    minutes
}

/// What the store holds, in the reference's words.
async fn held(store: &SharedStore) -> BTreeMap<(usize, i64), bool> {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let mut minutes = BTreeMap::new();
    for (index, (name, _)) in names().iter().enumerate() {
        for (day, held) in store.terminal_days(&terminal(name), PERIOD).await.unwrap() {
            let midnight = day
                .to_zoned_datetime(zone.clone())
                .unwrap()
                .timestamp()
                .as_second()
                / 60;
            for run in held.powered.runs() {
                for minute in run.start..run.end {
                    minutes.insert(
                        (index, midnight + i64::from(minute)),
                        held.used.contains(minute),
                    );
                }
            }
        }
    }
    minutes
}

/// (counted minutes, service days, points) of each school, found from the reference alone.
fn reference_scores(
    minutes: &BTreeMap<(usize, i64), bool>,
) -> BTreeMap<&'static str, (u64, u64, u32)> {
    let calendar = Calendar::parse(CALENDAR).unwrap();
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    for ((index, minute), used) in minutes {
        let (code, stage) = if *index < 6 {
            (PRIMARY, Stage::Primary)
        } else {
            (JUNIOR, Stage::Junior)
        };
        let local = minute + 8 * 60;
        let day: Date = Timestamp::from_second(local * 60)
            .unwrap()
            .to_zoned_datetime(TimeZone::UTC)
            .date();
        let of_day = u16::try_from(local.rem_euclid(1_440)).unwrap();
        if *used
            && calendar
                .teaching(stage, day)
                .is_some_and(|teaching| teaching.mask.contains(of_day))
        {
            *counted.entry(code).or_default() += 1;
        }
    }
    // 1 to 4 and 7 to 11 September are school days: nine.
    let sums = [
        (PRIMARY, counted[PRIMARY], 6 * 9),
        (JUNIOR, counted[JUNIOR], 4 * 9),
    ];
    let best = sums
        .iter()
        .map(|(_, counted, days)| Fraction::new((*counted).into(), (*days).into()))
        .max()
        .unwrap();
    sums.into_iter()
        .map(|(code, counted, days)| {
            let average = Fraction::new(counted.into(), days.into());
            (
                code,
                (counted, days, points_hundredths(average * 15 / best)),
            )
        })
        .collect()
}

/// What carries and keeps the reports. The pipeline must not be able to tell.
enum Setting {
    /// One process: embedded broker, SQLite.
    Embedded,
    /// A broker and a database of others, and so many aggregators between them, on a shared subscription.
    Outside(usize),
}

/// Services on one store, and where terminals connect.
struct Running {
    services: Vec<Service>,
    broker: SocketAddr,
    /// Ends with the test.
    _mosquitto: Option<Mosquitto>,
}

impl Running {
    async fn start(setting: &Setting) -> Self {
        let Setting::Outside(aggregators) = setting else {
            let service = Service::start().await;
            return Self {
                broker: service.broker(),
                services: vec![service],
                _mosquitto: None,
            };
        };
        let mosquitto = Mosquitto::start(FORGETS);
        let url = postgres::shared().database();
        let mut services = Vec::new();
        for number in 0..*aggregators {
            let broker = format!(
                "[broker]\nkind = \"outside\"\nport = {}\nclient_id = \"pipeline-{number}\"\nshared = true",
                mosquitto.port
            );
            services.push(Service::start_on(&url, &broker).await);
        }
        for service in &services {
            service.connected().await;
        }
        Self {
            services,
            broker: mosquitto.address(),
            _mosquitto: Some(mosquitto),
        }
    }

    async fn stop(self) {
        for service in self.services {
            service.stop().await;
        }
    }
}

async fn run_plan(
    setting: &Setting,
    plan: Plan,
) -> (
    BTreeMap<(usize, i64), bool>,
    BTreeMap<String, (u64, u64, u32)>,
) {
    let running = Running::start(setting).await;
    let store = running.services[0].app.store.clone();
    register(&store, &names()).await;
    let mut sending = Vec::new();
    for (index, reports) in plan {
        let (name, _) = names()[index].clone();
        let broker = running.broker;
        sending.push(async move {
            // What an outside broker drops before anybody has subscribed is said again, as agents do.
            loop {
                let mut link = Link::connect(broker, &name).await;
                let sent = link.send_all(&name, &reports);
                if tokio::time::timeout(AGAIN, sent).await.is_ok() {
                    break;
                }
            }
        });
    }
    futures::future::join_all(sending).await;
    let minutes = held(&store).await;
    query::freshen(store.as_ref(), |_| ()).await.unwrap();
    let scores = query::monitoring_scores(store.as_ref(), &county(), PERIOD)
        .await
        .unwrap();
    let usage = query::school_usage(
        store.as_ref(),
        &county(),
        PERIOD,
        &query::SchoolFilter::default(),
    )
    .await
    .unwrap();
    let found = usage.iter().map(|one| {
        let points = scores
            .schools
            .iter()
            .find(|other| other.school.code == one.school.code)
            .unwrap();
        let points = points_hundredths(points.score.points);
        (
            one.school.code.to_string(),
            (one.minutes.counted, one.due.service_days, points),
        )
    });
    let found = found.collect();
    assert_eq!(store.quarantine_counts().await.unwrap(), []);
    let shares: Vec<u64> = running
        .services
        .iter()
        .map(|service| service.app.metrics.reports())
        .collect();
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    running.stop().await;
    (minutes, found)
}

#[tokio::test(flavor = "multi_thread")]
async fn order_repetition_and_splitting_change_nothing() {
    all_plans(&Setting::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_repetition_and_splitting_change_nothing_with_mosquitto_and_postgresql() {
    all_plans(&Setting::Outside(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_repetition_and_splitting_change_nothing_with_two_aggregators() {
    all_plans(&Setting::Outside(2)).await;
}

async fn all_plans(setting: &Setting) {
    println!("seed {SEED:#x}");
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let all = thousand_sessions(&mut random);
    let expected = reference(&all);
    let scores = reference_scores(&expected);
    assert!(
        scores.values().any(|score| score.2 == 1_500)
            && scores.values().any(|score| score.2 < 1_500)
    );
    let plans = [
        ("in order", in_order(&all)),
        ("shuffled", shuffled(&all, &mut random)),
        ("duplicated", duplicated(&all, &mut random)),
        ("split", split(&all, &mut random)),
    ];
    for (name, plan) in plans {
        let reports: usize = plan.values().map(Vec::len).sum();
        let (minutes, found) = run_plan(setting, plan).await;
        assert!(minutes == expected, "{name}: minutes differ");
        for (code, score) in &scores {
            assert_eq!(found[*code], *score, "{name}: {code}");
        }
        println!(
            "{name}: {reports} reports, {} minutes, {found:?}",
            minutes.len()
        );
    }
}

/// Publishes one payload and waits until the service has dealt with it.
async fn publish_and_wait(service: &Service, link: &Link, name: &str, payload: Vec<u8>) {
    let before = service.app.metrics.reports();
    link.publish(name, payload).await;
    let deadline = tokio::time::Instant::now() + crate::support::PATIENCE;
    while service.app.metrics.reports() == before {
        assert!(
            tokio::time::Instant::now() < deadline,
            "not dealt with in time"
        );
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Before `q-1`'s service began: 2026-08-31 at 09:00.
const AUGUST: i64 = DAY_ONE - 86_400 + 9 * 3_600;

/// A bad session with a good one beside it, one minute of 2026-09-01.
fn with_good(number: u32, bad: Session) -> Vec<u8> {
    let start = DAY_ONE + i64::from(number) * 600;
    let good = used(100 + number, start, start + 60);
    report(number.into(), vec![good, bad]).encode_to_vec()
}

/// Every kind of bad report, by the reason it must be refused for.
fn bad_reports(now: i64) -> Vec<(&'static str, Vec<u8>)> {
    let whole = |change: fn(&mut Report)| {
        let mut bad = report(50, vec![used(1, DAY_ONE, DAY_ONE + 60)]);
        change(&mut bad);
        bad.encode_to_vec()
    };
    let unknown_kind = Session {
        kind: 7,
        ..used(1, DAY_ONE, DAY_ONE + 60)
    };
    vec![
        ("undecodable", vec![0xff; 40]),
        ("too_large", vec![b'{'; MAX_REPORT_BYTES + 1]),
        (
            "topic_mismatch",
            whole(|bad| "q-2".clone_into(&mut bad.terminal)),
        ),
        ("bad_boot_id", whole(|bad| bad.boot_id = vec![1; 3])),
        ("bad_sequence", whole(|bad| bad.sequence = 0)),
        (
            "too_many_sessions",
            whole(|bad| bad.sessions = vec![Session::default(); 1_001]),
        ),
        ("unknown_kind", with_good(1, unknown_kind)),
        (
            "ends_before_start",
            with_good(2, used(2, DAY_ONE + 60, DAY_ONE)),
        ),
        ("too_long", with_good(3, used(3, DAY_ONE, DAY_ONE + 86_401))),
        ("in_future", with_good(4, used(4, now, now + 3_600))),
        (
            "clock_unset",
            with_good(5, used(5, 946_684_800, 946_684_860)),
        ),
        (
            "before_service",
            with_good(6, used(6, AUGUST, AUGUST + 600)),
        ),
    ]
}

async fn used_on(store: &SharedStore, day: Date) -> u32 {
    let period = Period {
        first: day,
        last: day,
    };
    let days = store.terminal_days(&terminal("q-1"), period).await.unwrap();
    days.first().map_or(0, |(_, minutes)| minutes.used.count())
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_reports_land_in_quarantine_with_their_reason_and_count_once_mended() {
    let service = Service::start().await;
    let store = service.app.store.clone();
    register(&store, &[("q-1".to_owned(), PRIMARY)]).await;
    let link = Link::connect(service.broker(), "q-1").await;
    let now = SystemClock.now().as_second();
    let cases = bad_reports(now);
    for (_, payload) in &cases {
        publish_and_wait(&service, &link, "q-1", payload.clone()).await;
    }
    // The same bad session again, grown: one entry, twice seen.
    let grown = with_good(7, used(6, AUGUST, AUGUST + 1_200));
    publish_and_wait(&service, &link, "q-1", grown).await;

    let entries = store.quarantine(0, 100).await.unwrap();
    let found: BTreeSet<&str> = entries.iter().map(|entry| entry.reason.as_str()).collect();
    let expected: BTreeSet<&str> = cases.iter().map(|(reason, _)| *reason).collect();
    assert_eq!((found, entries.len()), (expected, cases.len()));
    assert!(
        entries
            .iter()
            .all(|entry| entry.terminal == "q-1" && !entry.detail.is_empty())
    );
    let early = entries
        .iter()
        .find(|entry| entry.reason == "before_service")
        .unwrap();
    assert_eq!(early.times, 2);
    assert_eq!(
        used_on(&store, date(2026, 9, 1)).await,
        7,
        "the good sessions beside the bad ones count"
    );

    replay_before_and_after_the_mend(&store, now, cases.len()).await;
    service.stop().await;
}

async fn replay_before_and_after_the_mend(store: &SharedStore, now: i64, entries: usize) {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let early = Selection {
        reason: Some("before_service".to_owned()),
        ..Selection::default()
    };
    let done = replay(store.as_ref(), &early, now, &zone).await.unwrap();
    assert_eq!((done.tried, done.counted), (1, 0), "not mended yet");
    assert_eq!(used_on(store, date(2026, 8, 31)).await, 0);

    // The terminal was in service all along. Nothing else is let through.
    let change = RegistryChange {
        placements: vec![(terminal("q-1"), vec![placement(PRIMARY, date(2026, 8, 1))])],
        ..RegistryChange::default()
    };
    store.change_registry(change).await.unwrap();
    let done = replay(store.as_ref(), &Selection::default(), now, &zone)
        .await
        .unwrap();
    assert_eq!((done.tried, done.counted), (entries as u64, 1), "{done:?}");
    assert_eq!(
        used_on(store, date(2026, 8, 31)).await,
        20,
        "the grown session, once"
    );
    let left = store.quarantine(0, 100).await.unwrap();
    assert_eq!(left.len(), entries - 1);
    assert!(left.iter().all(|entry| entry.reason != "before_service"));
    // An hour later the session that was in the future can be believed.
    let done = replay(store.as_ref(), &Selection::default(), now + 4_000, &zone)
        .await
        .unwrap();
    assert_eq!(done.counted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_terminal_waits_for_approval_and_then_counts() {
    let service = Service::start().await;
    let store = service.app.store.clone();
    register(&store, &[]).await;
    let mut link = Link::connect(service.broker(), "new-1").await;
    let lesson = DAY_ONE + 8 * 3_600;
    link.send_all("new-1", &[report(1, vec![used(1, lesson, lesson + 1_200)])])
        .await;
    let pending = TerminalFilter {
        pending_only: true,
        ..TerminalFilter::default()
    };
    let waiting = store.terminals(&pending).await.unwrap();
    assert_eq!(
        waiting
            .iter()
            .map(|one| one.id.as_str())
            .collect::<Vec<_>>(),
        ["new-1"]
    );
    let counted = || {
        let store = store.clone();
        async move {
            query::freshen(store.as_ref(), |_| ()).await.unwrap();
            let (county, all) = (county(), query::SchoolFilter::default());
            let usage = query::school_usage(store.as_ref(), &county, PERIOD, &all).await;
            usage
                .unwrap()
                .iter()
                .map(|one| one.minutes.counted)
                .sum::<u64>()
        }
    };
    assert_eq!(counted().await, 0);
    let approval = classpulse::registry::Approval {
        terminal: terminal("new-1"),
        school: school(PRIMARY),
        room: "3-2班".to_owned(),
        from: None,
    };
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    classpulse::registry::approve(store.as_ref(), vec![approval], &zone)
        .await
        .unwrap();
    assert_eq!(
        counted().await,
        20,
        "what it reported before its approval counts"
    );
    assert!(store.terminals(&pending).await.unwrap().is_empty());
    link.send_all(
        "new-1",
        &[report(2, vec![used(2, lesson + 3_600, lesson + 3_660)])],
    )
    .await;
    assert_eq!(counted().await, 21);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_counts_as_protobuf_does() {
    let service = Service::start().await;
    let store = service.app.store.clone();
    register(&store, &[("j-1".to_owned(), PRIMARY)]).await;
    let mut link = Link::connect(service.broker(), "j-1").await;
    let text = format!(
        r#"{{"bootId":"AAECAwQFBgcICQoLDA0ODw==","sequence":"1","sessions":[{{"kind":"KIND_USED","number":1,"start":"{}","end":"{}"}}]}}"#,
        DAY_ONE,
        DAY_ONE + 300
    );
    link.publish("j-1", text.into_bytes()).await;
    assert_eq!(link.ack().await.sequences, [1]);
    let days = store.terminal_days(&terminal("j-1"), PERIOD).await.unwrap();
    assert_eq!(days[0].1.used.count(), 5);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_speaks_only_for_itself() {
    let service = Service::start().await;
    let store = service.app.store.clone();
    register(
        &store,
        &[("v-1".to_owned(), PRIMARY), ("v-2".to_owned(), PRIMARY)],
    )
    .await;
    let mut link = Link::connect(service.broker(), "v-1").await;
    link.publish(
        "v-2",
        report(1, vec![used(1, DAY_ONE, DAY_ONE + 600)]).encode_to_vec(),
    )
    .await;
    link.send_all("v-1", &[report(2, vec![used(1, DAY_ONE, DAY_ONE + 60)])])
        .await;
    assert!(
        store
            .terminal_days(&terminal("v-2"), PERIOD)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        store.terminal_days(&terminal("v-1"), PERIOD).await.unwrap()[0]
            .1
            .used
            .count(),
        1
    );
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_restart_without_rollup() {
    let service = Service::start().await;
    register(&service.app.store, &[("r-1".to_owned(), PRIMARY)]).await;
    let mut link = Link::connect(service.broker(), "r-1").await;
    let lesson = DAY_ONE + 8 * 3_600;
    link.send_all("r-1", &[report(1, vec![used(1, lesson, lesson + 1_800)])])
        .await;
    drop(link);
    let folder = service.stop().await;
    let service = Service::start_in(folder, crate::support::EMBEDDED).await;
    let store = service.app.store.clone();
    query::freshen(store.as_ref(), |_| ()).await.unwrap();
    let usage = query::school_usage(
        store.as_ref(),
        &county(),
        PERIOD,
        &query::SchoolFilter::default(),
    )
    .await
    .unwrap();
    let found = usage
        .iter()
        .find(|one| one.school.code == school(PRIMARY))
        .unwrap();
    assert_eq!((found.minutes.counted, found.due.service_days), (30, 9));
    service.stop().await;
}

/// What was signalled: kind, number, seconds.
async fn incidents(store: &SharedStore) -> Vec<(&'static str, u32, i64)> {
    let all = IncidentFilter {
        limit: 100,
        ..IncidentFilter::default()
    };
    let told = store.incidents(&all).await.unwrap();
    let mut kinds: Vec<_> = told
        .iter()
        .map(|one| (one.kind.key(), one.number, one.seconds))
        .collect();
    kinds.sort_unstable();
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_history_and_signals_are_told_apart() {
    let service = Service::start().await;
    let store = service.app.store.clone();
    register(&store, &[("q-1".to_owned(), PRIMARY)]).await;
    let mut link = Link::connect(service.broker(), "q-1").await;
    let powered = |number, start, end| Session {
        kind: Kind::Powered.into(),
        ..used(number, start, end)
    };
    let unsynced = Report {
        clock: ClockState::Unsynced.into(),
        ..report(1, vec![used(1, DAY_ONE, DAY_ONE + 600), powered(1, 0, 60)])
    };
    // It grows, and its clock is set meanwhile: one entry still.
    let grown = Report {
        clock: ClockState::Unsynced.into(),
        ..report(2, vec![used(1, DAY_ONE + 7_200, DAY_ONE + 9_000)])
    };
    let borne_out = Report {
        clock: ClockState::Hardware.into(),
        over: true,
        ..report(3, vec![used(2, DAY_ONE, DAY_ONE + 60)])
    };
    let history = Report {
        boot_id: vec![4; 16],
        clock: ClockState::Synced.into(),
        history: true,
        ..report(
            1,
            vec![
                powered(1, AUGUST, AUGUST + 600),
                used(1, AUGUST, AUGUST + 600),
            ],
        )
    };
    let gap = |number, kind: SignalKind| Signal {
        kind: kind.into(),
        number,
        at: DAY_ONE,
        seconds: 300,
    };
    let mut telling = report(4, vec![used(3, DAY_ONE + 600, DAY_ONE + 660)]);
    telling.signals = vec![
        gap(1, SignalKind::AgentGap),
        gap(2, SignalKind::Unspecified),
        gap(1, SignalKind::ServerRefused),
        gap(3, SignalKind::SessionUnseen),
    ];
    let again = Report {
        sequence: 5,
        ..telling.clone()
    };
    link.send_all("q-1", &[unsynced, grown, borne_out, telling, again])
        .await;
    link.send_all("q-1", &[history]).await;
    let mut flood = report(6, vec![]);
    flood.signals = vec![gap(9, SignalKind::AgentGap); 101];
    publish_and_wait(&service, &link, "q-1", flood.encode_to_vec()).await;

    let counts: BTreeMap<_, _> = store
        .quarantine_counts()
        .await
        .unwrap()
        .into_iter()
        .collect();
    let expected = [
        ("bad_signal", 1),
        ("history_used", 1),
        ("too_many_signals", 1),
        ("unplaced", 2),
    ];
    let expected: BTreeMap<_, _> = expected
        .map(|(reason, count)| (reason.to_owned(), count))
        .into();
    assert_eq!(counts, expected);
    assert_eq!(used_on(&store, date(2026, 9, 1)).await, 2);
    let august = Period {
        first: date(2026, 8, 31),
        last: date(2026, 8, 31),
    };
    let days = store.terminal_days(&terminal("q-1"), august).await.unwrap();
    let minutes = days[0].1;
    assert_eq!((minutes.powered.count(), minutes.used.count()), (10, 0));
    let kinds = incidents(&store).await;
    let expected = [
        ("agent_gap", 1, 300),
        ("server_refused", 1, 300),
        ("session_unseen", 3, 300),
    ];
    assert_eq!(kinds, expected);
    // Nothing can mend what is unplaced by trying it again.
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let now = SystemClock.now().as_second();
    let done = replay(store.as_ref(), &Selection::default(), now, &zone)
        .await
        .unwrap();
    assert_eq!((done.tried, done.counted), (5, 0), "{done:?}");
    service.stop().await;
}
