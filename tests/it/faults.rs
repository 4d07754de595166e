//! Whatever is killed, stopped, locked or fed with poison: every minute that a terminal recorded is counted once.
//!
//! Real processes under load (`stack`, `load`), or real agents (`agents`); faults in an order and at moments that a seed gives, which is printed.

mod agents;
mod load;
mod stack;

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed, time::Duration};

use classpulse::{domain::usage::Period, query, store::SharedStore};
use jiff::{civil::date, tz::TimeZone};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use self::{
    load::{Load, POISON, Terminal},
    stack::{Fault, Kind, Stack},
};
use crate::support::{PRIMARY, county, register, terminal};

const TERMINALS: u64 = 30;

/// How long after the last fault everything must have got through.
const PATIENCE: Duration = Duration::from_secs(90);

const ALWAYS: Period = Period {
    first: date(2026, 9, 1),
    last: date(2026, 9, 30),
};

/// Lessons of a primary school, minutes of the day: `support::CALENDAR` in numbers.
const LESSONS: [(i64, i64); 4] = [(480, 520), (540, 580), (600, 640), (810, 850)];

/// A pause of this many milliseconds at most, before or in a fault.
fn up_to(random: &mut ChaCha8Rng, milliseconds: u64) -> Duration {
    Duration::from_millis(random.random_range(100..milliseconds))
}

/// Load, faults at moments of the seed's choice, and the comparison of every minute.
async fn scenario(kind: Kind, seed: u64, plan: impl FnOnce(&mut ChaCha8Rng) -> Vec<Fault>) {
    println!("{kind:?}: seed {seed:#x}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut stack = tokio::task::block_in_place(|| Stack::start(kind));
    let store = stack.open_store().await;
    let names: Vec<_> = (0..TERMINALS)
        .map(|index| (format!("f-{index}"), PRIMARY))
        .collect();
    register(&store, &names).await;
    let load = Load::new();
    let broker = stack.broker();
    let living: Vec<_> = names
        .iter()
        .zip(seed..)
        .map(|((name, _), seed)| {
            #[expect(clippy::disallowed_methods, reason = "a terminal beside the others")]
            tokio::spawn(Terminal::new(name, seed).live(broker, load.clone()))
        })
        .collect();
    for fault in plan(&mut random) {
        tokio::time::sleep(Duration::from_millis(500) + up_to(&mut random, 1_500)).await;
        stack.suffer(fault).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    load.finish.store(true, Relaxed);
    let mended = tokio::time::Instant::now();
    let mut terminals = Vec::new();
    // Poison has no acknowledgement of its own: it is sent until it is seen.
    let poisoned = async {
        loop {
            let counts = store.quarantine_counts().await.unwrap_or_default();
            let kinds: u64 = counts.iter().map(|(_, count)| count).sum();
            if kinds == TERMINALS * POISON.len() as u64 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, poisoned).await.is_err() {
        let counts = store.quarantine_counts().await;
        panic!("seed {seed:#x}: quarantine {counts:?}\n{}", stack.logs());
    }
    load.over.store(true, Relaxed);
    for living in living {
        let Ok(done) = tokio::time::timeout(PATIENCE, living).await else {
            panic!("seed {seed:#x}: not acknowledged\n{}", stack.logs());
        };
        terminals.push(done.unwrap());
    }
    let safe = terminals.iter().filter_map(|one| one.safe_at).max();
    let recovered = safe.expect("all are safe") - mended;
    compare(&stack, &store, &terminals, &load, seed, recovered).await;
    store.close().await;
    tokio::task::block_in_place(|| stack.stop());
}

/// Every minute of every terminal, held and recorded, and the school's sum of them.
async fn compare(
    stack: &Stack,
    store: &SharedStore,
    terminals: &[Terminal],
    load: &Load,
    seed: u64,
    recovered: Duration,
) {
    let (mut recorded, mut lost, mut more, mut counted) = (0, 0, 0, 0);
    for one in terminals {
        let (truth, held) = (one.truth(), held(store, &one.name).await);
        recorded += truth.len();
        lost += truth
            .iter()
            .filter(|(minute, used)| held.get(minute) != Some(used))
            .count();
        more += held
            .keys()
            .filter(|minute| !truth.contains_key(minute))
            .count();
        counted += truth
            .iter()
            .filter(|(minute, used)| **used && in_lesson(**minute))
            .count();
        assert_eq!(
            one.poisoned.len(),
            POISON.len(),
            "each kind of poison was sent"
        );
    }
    query::freshen(store.as_ref(), |_| ()).await.unwrap();
    let all = query::SchoolFilter::default();
    let usage = query::school_usage(store.as_ref(), &county(), ALWAYS, &all)
        .await
        .unwrap();
    let summed: u64 = usage.iter().map(|one| one.minutes.counted).sum();
    let quarantined: BTreeMap<_, _> = store
        .quarantine_counts()
        .await
        .unwrap()
        .into_iter()
        .collect();
    let tally = &load.tally;
    println!(
        "{stack}: seed {seed:#x}: sent {} ({} twice, {} poison), landed {} acknowledgements, {recorded} minutes; \
         quarantined {quarantined:?}; lost {lost}, double {more}; counted {summed} of {counted}; \
         all acknowledged {recovered:?} after the load's end",
        tally.sent.load(Relaxed),
        tally.duplicates.load(Relaxed),
        tally.poison.load(Relaxed),
        tally.acknowledged.load(Relaxed),
    );
    assert!(recorded > 1_000, "{recorded} minutes are a load");
    assert_eq!((lost, more), (0, 0), "seed {seed:#x}");
    assert_eq!(
        summed, counted as u64,
        "seed {seed:#x}: the sum of the school"
    );
    let expected: BTreeMap<_, _> = POISON
        .iter()
        .map(|kind| ((*kind).to_owned(), TERMINALS))
        .collect();
    assert_eq!(quarantined, expected, "seed {seed:#x}");
}

fn in_lesson(minute: i64) -> bool {
    let of_day = (minute + 8 * 60).rem_euclid(1_440);
    LESSONS
        .iter()
        .any(|(start, end)| (*start..*end).contains(&of_day))
}

/// What the store holds of a terminal, in the truth's words.
async fn held(store: &SharedStore, name: &str) -> BTreeMap<i64, bool> {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let mut minutes = BTreeMap::new();
    for (day, held) in store.terminal_days(&terminal(name), ALWAYS).await.unwrap() {
        let midnight = day.to_zoned_datetime(zone.clone()).unwrap();
        let midnight = midnight.timestamp().as_second() / 60;
        for run in held.powered.runs() {
            for minute in run.start..run.end {
                minutes.insert(midnight + i64::from(minute), held.used.contains(minute));
            }
        }
    }
    minutes
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_broker_and_file_under_kill_9() {
    scenario(Kind::EmbeddedSqlite, 0xE5, |random| {
        (0..6)
            .map(|_| Fault::KillAggregator(0, up_to(random, 1_500)))
            .collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_and_file_under_kill_9() {
    scenario(Kind::MosquittoSqlite, 0x35, |random| {
        (0..8)
            .map(|_| match random.random_range(0..2) {
                0 => Fault::KillAggregator(0, up_to(random, 1_500)),
                _ => Fault::KillMosquitto(up_to(random, 1_500)),
            })
            .collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_and_postgresql_under_kill_9() {
    scenario(Kind::MosquittoPostgres, 0x3B, |random| {
        let mut faults = vec![
            Fault::KillAggregator(0, up_to(random, 1_000)),
            Fault::KillMosquitto(up_to(random, 1_000)),
            Fault::KillPostgres(up_to(random, 1_000)),
        ];
        faults.extend((0..5).map(|_| match random.random_range(0..3) {
            0 => Fault::KillAggregator(0, up_to(random, 1_500)),
            1 => Fault::KillMosquitto(up_to(random, 1_500)),
            _ => Fault::KillPostgres(up_to(random, 1_500)),
        }));
        faults
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_aggregators_with_a_database_that_hangs_stops_and_is_locked() {
    scenario(Kind::TwoAggregators, 0x2A, |random| {
        vec![
            Fault::PausePostgres(Duration::from_secs(10)),
            Fault::KillAggregator(0, up_to(random, 1_500)),
            Fault::StopPostgres(Duration::from_secs(10)),
            Fault::KillPostgres(up_to(random, 1_500)),
            Fault::LockTables(Duration::from_secs(14)),
            Fault::KillAggregator(1, up_to(random, 1_500)),
            Fault::KillMosquitto(up_to(random, 1_500)),
        ]
    })
    .await;
}
