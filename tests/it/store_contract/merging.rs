//! Laws of merging: order, repetition and simultaneity change nothing (DESIGN §1).

use std::collections::BTreeMap;

use classpulse::{
    domain::{
        ids::TerminalId,
        minutes::{DayMinutes, MinuteSet},
        usage::Period,
    },
    store::{Batch, Contact},
};
use jiff::{ToSpan, civil::Date};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    Database,
    fixtures::{
        ALWAYS, TUESDAY, contact, day, placed, powered, school, schools, since, terminal, used,
    },
    model::Model,
};

/// Batches over few terminals and days, so that they overlap a lot.
fn overlapping(rng: &mut ChaCha8Rng, batches: usize, rows: usize) -> Vec<Batch> {
    (0..batches)
        .map(|_| {
            let mut days: BTreeMap<(TerminalId, Date), DayMinutes> = BTreeMap::new();
            for _ in 0..rows {
                let key = (
                    terminal(rng.random_range(0..12)),
                    TUESDAY + rng.random_range(0..4).days(),
                );
                let start = rng.random_range(0..1_400);
                let minutes = match rng.random_range(0..2) {
                    0 => powered(start, start + rng.random_range(1..200)),
                    _ => used(start, start + rng.random_range(1..60)),
                };
                days.entry(key).or_default().merge(&minutes);
            }
            let days = days
                .into_iter()
                .map(|((id, day), minutes)| (id, day, minutes))
                .collect();
            Batch {
                days,
                ..Batch::default()
            }
        })
        .collect()
}

/// A registry in which half of the terminals stand in two schools.
async fn county(database: &Database, model: &mut Model) {
    let store = database.open().await;
    let mut changes = vec![schools([1, 2])];
    changes.extend((0..6).map(|number| placed(number, vec![since(1 + number % 2, TUESDAY)])));
    for change in changes {
        model.change(&change);
        store.change_registry(change).await.unwrap();
    }
    store.close().await;
}

pub(super) async fn reports_in_any_order_and_number_give_the_same_minutes(database: &Database) {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut model = Model::default();
    county(database, &mut model).await;
    let batches = overlapping(&mut rng, 12, 20);
    for batch in &batches {
        model.commit(batch);
    }
    let mut sent: Vec<_> = batches.iter().chain(&batches[..6]).collect();
    sent.shuffle(&mut rng);
    let store = database.open().await;
    for (number, batch) in sent.into_iter().enumerate() {
        store.commit(batch.clone()).await.unwrap();
        // In between as well: a rolled-up day must become dirty again.
        if number % 5 == 0 {
            store.roll_up(3).await.unwrap();
        }
    }
    model.check(&*store).await;
    store.close().await;
}

pub(super) async fn two_writers_at_once_lose_nothing(database: &Database) {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut model = Model::default();
    county(database, &mut model).await;
    let batches = overlapping(&mut rng, 30, 20);
    for batch in &batches {
        model.commit(batch);
    }
    let (a, b) = (database.open().await, database.open().await);
    let write = async |store: classpulse::store::SharedStore, skip: usize| {
        for batch in batches.iter().skip(skip).step_by(2).chain(&batches[..4]) {
            store.commit(batch.clone()).await.unwrap();
        }
    };
    let roll_up = async {
        for _ in 0..10 {
            b.roll_up(5).await.unwrap();
        }
    };
    futures::join!(write(a.clone(), 0), write(b.clone(), 1), roll_up);
    model.check(&*a).await;
    a.close().await;
    model.check(&*b).await;
    b.close().await;
}

pub(super) async fn minutes_read_back_as_written(database: &Database) {
    let store = database.open().await;
    store.change_registry(schools([1])).await.unwrap();
    store
        .change_registry(placed(1, vec![since(1, TUESDAY)]))
        .await
        .unwrap();
    let mut minutes = powered(0, 1_440);
    minutes.used = MinuteSet::of(0, 1) | MinuteSet::of(63, 65) | MinuteSet::of(1_439, 1_440);
    minutes.last_seen = 1_788_220_800;
    store.commit(day(1, TUESDAY, &minutes)).await.unwrap();
    let mut older = used(700, 720);
    older.last_seen = 5;
    store.commit(day(1, TUESDAY, &older)).await.unwrap();
    minutes.used |= older.used;
    let found = store.terminal_days(&terminal(1), ALWAYS).await.unwrap();
    assert_eq!(found, [(TUESDAY, minutes)], "the later last_seen stays");
    let found = store
        .school_terminal_days(&school(1), ALWAYS)
        .await
        .unwrap();
    assert_eq!(found, [(terminal(1), TUESDAY, minutes)]);
    let before = Period {
        first: ALWAYS.first,
        last: TUESDAY - 1.day(),
    };
    assert!(
        store
            .terminal_days(&terminal(1), before)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .terminal_days(&terminal(2), ALWAYS)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .school_terminal_days(&school(2), ALWAYS)
            .await
            .unwrap()
            .is_empty()
    );
    // A day without any minute leaves no row: nothing is reported by it.
    let nothing = DayMinutes {
        last_seen: 9,
        ..DayMinutes::default()
    };
    store
        .commit(day(1, TUESDAY + 1.day(), &nothing))
        .await
        .unwrap();
    assert_eq!(
        store
            .terminal_days(&terminal(1), ALWAYS)
            .await
            .unwrap()
            .len(),
        1
    );
    store.close().await;
}

pub(super) async fn later_contacts_win_whatever_the_order(database: &Database) {
    let store = database.open().await;
    let facts = Some(("1.2.0".to_owned(), "Windows 10".to_owned()));
    let contacts = [
        Contact {
            clock_offset: 30,
            ..contact(1, 200)
        },
        Contact {
            clock_offset: -5,
            facts,
            boot_id: [1; 16],
            ..contact(1, 100)
        },
        contact(2, 150),
    ];
    for one in contacts {
        store
            .commit(Batch {
                contacts: vec![one],
                ..Batch::default()
            })
            .await
            .unwrap();
    }
    let found = store.terminal(&terminal(1)).await.unwrap().unwrap();
    assert_eq!(
        (found.first_heard, found.last_heard),
        (Some(100), Some(200))
    );
    assert_eq!(found.clock_offset, Some(30));
    assert_eq!(
        (found.version.as_str(), found.os.as_str()),
        ("1.2.0", "Windows 10")
    );
    let found = store.terminal(&terminal(2)).await.unwrap().unwrap();
    assert_eq!(
        (found.first_heard, found.last_heard, found.version.as_str()),
        (Some(150), Some(150), "")
    );
    store.close().await;
}
