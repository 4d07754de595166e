//! What happens when something is full, slow or away: memory stays within named bounds, nobody starves, nothing that
//! was acknowledged is missing, and all goes on by itself.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    sync::Arc,
    time::Duration,
};

use classpulse::{
    app::App,
    clock::SystemClock,
    domain::usage::Period,
    ingest::{
        Intake, IntakeError, Pipeline,
        pipeline::{MAX_BATCH, OVERHEAD, QUEUE, QUEUE_BYTES},
    },
    observe::Metrics,
};
use classpulse_proto::v1::{AgentFacts, Report};
use futures::{StreamExt as _, stream::FuturesUnordered};
use jiff::{civil::date, tz::TimeZone};
use prost::Message as _;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{
    fake_store::FakeStore,
    servers::{free_port, process::Aggregator},
    support::{
        EMBEDDED, Link, PATIENCE, PRIMARY, Service, config, register, report, terminal, used,
    },
};

/// 2026-09-01T08:00:00+08:00.
const LESSON: i64 = 1_788_220_800;

const DAY: Period = Period {
    first: date(2026, 9, 1),
    last: date(2026, 9, 1),
};

fn one(sequence: u64, minutes: i64) -> Report {
    report(sequence, vec![used(1, LESSON, LESSON + minutes * 60)])
}

/// A pipeline on a store that fails.
fn pipeline(
    store: &Arc<FakeStore>,
) -> (
    Intake,
    Arc<Metrics>,
    impl Future<Output = ()> + Send + use<>,
) {
    store.state().broken = true;
    let metrics = Arc::new(Metrics::default());
    let parts = Pipeline {
        store: store.clone(),
        clock: Arc::new(SystemClock),
        zone: TimeZone::get("Asia/Shanghai").unwrap(),
        metrics: metrics.clone(),
        linger: Duration::from_millis(20),
        settings: None,
        stop: CancellationToken::new(),
    };
    let (intake, work) = parts.start();
    (intake, metrics, work)
}

/// Everybody hands in a report and waits, while the store is away for an hour; then all of it is committed.
async fn an_hour_away(terminals: usize, padding: usize) -> (u64, u64) {
    let store = Arc::new(FakeStore::default());
    let (intake, metrics, work) = pipeline(&store);
    #[expect(clippy::disallowed_methods, reason = "the pipeline beside the test")]
    let work = tokio::spawn(work);
    let mut waiting: FuturesUnordered<_> = (0..terminals)
        .map(|index| {
            let mut report = one(1, 5);
            report.facts = (padding > 0).then(|| AgentFacts {
                os: "x".repeat(padding),
                ..AgentFacts::default()
            });
            let intake = intake.clone();
            async move {
                let payload = report.encode_to_vec().into();
                intake.accept(Some(format!("t-{index}")), payload).await
            }
        })
        .collect();
    let hour = tokio::time::sleep(Duration::from_hours(1));
    tokio::pin!(hour);
    let mut most = (0, 0);
    loop {
        tokio::select! {
            () = &mut hour => break,
            done = waiting.next() => panic!("the store is away: {done:?}"),
            () = tokio::time::sleep(Duration::from_mins(1)) => {
                let (reports, bytes) = metrics.waiting_now();
                most = (most.0.max(reports), most.1.max(bytes));
            }
        }
    }
    assert_eq!(
        intake.try_accept(one(1, 1).encode_to_vec().into()).await,
        Err(IntakeError::Full),
        "who does not wait is told so"
    );
    let failures = metrics.store_failures();
    assert!((360..800).contains(&failures), "{failures} in an hour");
    store.state().broken = false;
    while let Some(done) = waiting.next().await {
        assert!(done.unwrap().ack.is_some());
    }
    assert_eq!(metrics.waiting_now(), (0, 0), "nothing is kept");
    assert_eq!(store.state().days.len(), terminals);
    drop(intake);
    work.await.unwrap();
    most
}

#[tokio::test(start_paused = true)]
async fn a_store_away_for_an_hour_costs_no_more_than_the_queue_of_reports() {
    let terminals = QUEUE + MAX_BATCH + 5_000;
    let (reports, _) = an_hour_away(terminals, 0).await;
    assert!(
        (QUEUE as u64..=(QUEUE + MAX_BATCH) as u64).contains(&reports),
        "{reports}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_away_for_an_hour_costs_no_more_than_the_queue_of_bytes() {
    let padding = 60_000;
    let terminals = 2 * QUEUE_BYTES / padding;
    let (reports, bytes) = an_hour_away(terminals, padding).await;
    let (reports, bytes) = (
        usize::try_from(reports).unwrap(),
        usize::try_from(bytes).unwrap(),
    );
    assert!(bytes + reports * OVERHEAD <= QUEUE_BYTES, "{bytes}");
    assert!(bytes > QUEUE_BYTES * 9 / 10, "and no less: {bytes}");
}

/// The store is away for the embedded broker: connections live, a terminal that floods has a few reports in hand and no
/// more, others have theirs, and every one in hand is acknowledged once the store is back, without being sent again.
#[tokio::test(flavor = "multi_thread")]
async fn terminals_stay_connected_through_a_store_outage_and_a_flood_takes_four_places() {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(FakeStore::default());
    let app = App::start(
        &config(&folder, EMBEDDED),
        store.clone(),
        Arc::new(SystemClock),
    )
    .await
    .unwrap();
    let broker = app.broker.unwrap();
    let mut flood = Link::connect(broker, "flood").await;
    let mut others = Vec::new();
    for index in 0..20 {
        others.push(Link::connect(broker, &format!("o-{index}")).await);
    }
    store.state().broken = true;
    for sequence in 1..=50 {
        flood
            .publish("flood", one(sequence, 1).encode_to_vec())
            .await;
    }
    for (index, link) in others.iter().enumerate() {
        let name = format!("o-{index}");
        link.publish(&name, one(1, 3).encode_to_vec()).await;
    }
    // One report of a connection at a time, each told to come again after ten seconds: the flood has its four after
    // half a minute, and the rest are told at once.
    let full = async {
        while app.metrics.busy_count() < 50 + 20 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(app.metrics.waiting_now().0 <= 4 + 20);
        }
    };
    tokio::time::timeout(PATIENCE, full).await.unwrap();
    assert_eq!(app.metrics.waiting_now().0, 4 + 20);
    assert!(app.metrics.store_failures() > 5);

    store.state().broken = false;
    let mut sequences = Vec::new();
    while sequences.len() < 4 {
        sequences.extend(flood.ack().await.sequences);
    }
    sequences.sort_unstable();
    assert_eq!(sequences, [1, 2, 3, 4]);
    for link in &mut others {
        assert_eq!(link.ack().await.sequences, [1]);
    }
    // And the same connections carry what follows.
    flood.send_all("flood", &[one(51, 9)]).await;
    assert_eq!(app.metrics.waiting_now(), (0, 0));
    for link in std::iter::once(&flood).chain(&others) {
        assert_eq!(link.losses(), 0, "a connection was lost");
    }
    app.stop(Duration::from_secs(5)).await;
}

/// One terminal sends as fast as it can; twenty others go on as if it were not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_flooding_terminal_does_not_starve_the_others() {
    const FLOOD: u64 = 3_000;
    let service = Service::start().await;
    let mut names: Vec<_> = (0..20)
        .map(|index| (format!("o-{index}"), PRIMARY))
        .collect();
    names.push(("flood".to_owned(), PRIMARY));
    register(&service.app.store, &names).await;
    names.pop();
    let mut flood = Link::connect(service.broker(), "flood").await;
    for sequence in 1..=FLOOD {
        flood
            .publish("flood", one(sequence, 1).encode_to_vec())
            .await;
    }
    let started = tokio::time::Instant::now();
    let mut others: FuturesUnordered<_> = names
        .iter()
        .map(|(name, _)| {
            let broker = service.broker();
            async move {
                let mut link = Link::connect(broker, name).await;
                let mut worst = Duration::ZERO;
                for sequence in 1..=20 {
                    let sent = tokio::time::Instant::now();
                    link.send_all(name, &[one(sequence, i64::try_from(sequence).unwrap())])
                        .await;
                    worst = worst.max(sent.elapsed());
                }
                worst
            }
        })
        .collect();
    let mut worst = Duration::ZERO;
    while let Some(one) = others.next().await {
        worst = worst.max(one);
    }
    let took = started.elapsed();
    let mut flooded = Vec::new();
    while let Some(ack) = flood.ack_now() {
        flooded.extend(ack.sequences);
    }
    println!(
        "others: 20 × 20 reports in {took:?}, worst answer {worst:?}; the flood got {} of {FLOOD} through meanwhile",
        flooded.len()
    );
    assert!(
        (flooded.len() as u64) < FLOOD,
        "it flooded as long as the others were at work"
    );
    assert!(worst < Duration::from_secs(2), "{worst:?}");
    while (flooded.len() as u64) < FLOOD {
        flooded.extend(flood.ack().await.sequences);
    }
    service.stop().await;
}

/// Two thousand terminals lose their service, and come back in the same moment with their reports.
#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_terminals_come_back_in_the_same_moment() {
    const TERMINALS: usize = 2_000;
    // Two ends of each connection in this process; up to the hard limit that needs no rights.
    let own = std::process::id().to_string();
    Command::new("prlimit")
        .args(["--nofile=8192:", "--pid", &own])
        .status()
        .ok();
    let port = free_port();
    let broker = format!("[broker]\nlisten = \"127.0.0.1:{port}\"");
    let mut service = Service::start_with(&broker).await;
    let names: Vec<_> = (0..TERMINALS)
        .map(|index| (format!("s-{index}"), PRIMARY))
        .collect();
    register(&service.app.store, &names).await;
    let address = service.broker();
    let connected = tokio::time::Instant::now();
    let links: FuturesUnordered<_> = names
        .iter()
        .map(|(name, _)| async move { (name, Link::connect_small(address, name).await) })
        .collect();
    let mut links: Vec<_> = links.collect().await;
    println!("{TERMINALS} connected in {:?}", connected.elapsed());
    for round in 1..=2_u64 {
        if round == 2 {
            let folder = service.stop().await;
            service = Service::start_in(folder, &broker).await;
        }
        let began = tokio::time::Instant::now();
        let reports = [one(round, i64::try_from(round).unwrap() * 10)];
        let all: FuturesUnordered<_> = links
            .iter_mut()
            .map(|(name, link)| {
                let reports = &reports;
                async move {
                    while tokio::time::timeout(Duration::from_secs(5), link.send_all(name, reports))
                        .await
                        .is_err()
                    {}
                }
            })
            .collect();
        tokio::time::timeout(PATIENCE, all.collect::<Vec<_>>())
            .await
            .expect("all acknowledged");
        println!(
            "round {round}: {TERMINALS} reports acknowledged in {:?}",
            began.elapsed()
        );
    }
    assert_eq!(service.app.metrics.waiting_now(), (0, 0));
    drop(links);
    let store = service.app.store.clone();
    for (name, _) in &names {
        let days = store.terminal_days(&terminal(name), DAY).await.unwrap();
        assert_eq!(days[0].1.used.count(), 20, "{name}");
    }
    service.stop().await;
}

/// The file system takes no more bytes (a limit on file size, for that needs no rights and no disk): nothing is
/// acknowledged, the log and the figures say why, and once there is room all goes on in the same process.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_acknowledgements_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let mut aggregator = Aggregator::new(
        folder.path(),
        "only",
        &format!("sqlite:{}/test.db", folder.path().display()),
        &format!("[broker]\nlisten = \"127.0.0.1:{}\"", free_port()),
    );
    let store = aggregator.open_store().await;
    register(&store, &[("d-1".to_owned(), PRIMARY)]).await;
    aggregator.start();
    let mut link = Link::connect(aggregator.broker(), "d-1").await;
    link.send_all("d-1", &[one(1, 1)]).await;

    aggregator.limit_files(Some(4_096));
    for sequence in 2..=4 {
        let minutes = i64::try_from(sequence).unwrap();
        link.publish("d-1", one(sequence, minutes).encode_to_vec())
            .await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(link.ack_now().is_none(), "nothing can be safe");
    let figures = figures(aggregator.api_port);
    assert!(figure(&figures, "classpulse_store_failures_total") > 0);
    assert!(figure(&figures, "classpulse_waiting_reports") > 0);
    assert!(figure(&figures, "classpulse_waiting_bytes") > 0);
    let log = aggregator.log();
    assert!(log.contains("the store failed; trying again"), "{log}");

    aggregator.limit_files(None);
    let mut missing = vec![2, 3, 4];
    while !missing.is_empty() {
        let ack = link.ack().await;
        missing.retain(|sequence| !ack.sequences.contains(sequence));
    }
    let days = store.terminal_days(&terminal("d-1"), DAY).await.unwrap();
    assert_eq!(days[0].1.used.count(), 4);
    aggregator.stop();
    store.close().await;
}

/// `/metrics` of a service on this machine.
fn figures(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut request = String::new();
    write!(
        request,
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn figure(figures: &str, name: &str) -> u64 {
    let line = figures
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {figures}"))
        .parse()
        .unwrap()
}
