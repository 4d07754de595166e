//! Laws of retention: what goes was not needed, what was summed stays, and nothing comes back by half.

use classpulse::{
    domain::usage::Period,
    retention::expire,
    store::{Record, SharedStore, StoreError},
};
use jiff::civil::{Date, date};
use tokio::sync::mpsc;

use super::{
    Database,
    fixtures::{
        ALWAYS, calendar, county, day, placed, roll_up_all, school, schools, since, terminal, used,
    },
};

/// A day of the term, long ago as the tests see it.
const IN_TERM: Date = date(2026, 9, 15);
/// Before the term.
const HOLIDAY: Date = date(2026, 7, 15);
const TODAY: Date = date(2027, 12, 1);

async fn filled(database: &Database) -> SharedStore {
    let store = database.open().await;
    store.change_registry(schools([1, 2])).await.unwrap();
    store
        .set_calendar(&county(), &calendar(16), 0)
        .await
        .unwrap();
    for number in 1..3 {
        let placement = since(number, date(2026, 1, 1));
        let change = placed(number, vec![placement]);
        store.change_registry(change).await.unwrap();
        for one in [HOLIDAY, IN_TERM, date(2027, 11, 1)] {
            store
                .commit(day(number, one, &used(480, 540)))
                .await
                .unwrap();
        }
    }
    store
}

async fn days(store: &SharedStore) -> Vec<Date> {
    let days = store.terminal_days(&terminal(1), ALWAYS).await.unwrap();
    days.into_iter().map(|(day, _)| day).collect()
}

async fn exported(store: &SharedStore) -> Vec<Record> {
    let (send, mut pages) = mpsc::channel(1);
    let reading = async {
        let mut all = Vec::new();
        while let Some(page) = pages.recv().await {
            all.extend(page);
        }
        all
    };
    let (done, all) = futures::join!(store.export(send), reading);
    done.unwrap();
    all
}

pub(super) async fn a_term_stays_until_its_evaluation_is_frozen(database: &Database) {
    let store = filled(database).await;
    assert_eq!(expire(&*store, TODAY, 7_300).await.unwrap(), 0);
    assert_eq!(expire(&*store, TODAY, 90).await.unwrap(), 2);
    assert_eq!(days(&store).await, [IN_TERM, date(2027, 11, 1)]);
    // The holiday was no term's; the term is nobody's evaluation yet. Half of one is not enough.
    let half = Period {
        first: date(2026, 8, 31),
        last: date(2026, 9, 14),
    };
    store.note_evaluated(&county(), half).await.unwrap();
    assert_eq!(expire(&*store, TODAY, 90).await.unwrap(), 0);
    let whole = Period {
        first: date(2026, 8, 31),
        last: date(2027, 1, 15),
    };
    store.note_evaluated(&county(), whole).await.unwrap();
    store.note_evaluated(&county(), whole).await.unwrap();
    assert_eq!(store.evaluated(&county()).await.unwrap(), [half, whole]);
    assert_eq!(expire(&*store, TODAY, 90).await.unwrap(), 2);
    assert_eq!(days(&store).await, [date(2027, 11, 1)]);
    assert_eq!(store.first_day().await.unwrap(), Some(date(2027, 11, 1)));
    store.close().await;
}

pub(super) async fn without_a_calendar_all_stays(database: &Database) {
    let store = database.open().await;
    store.change_registry(schools([1])).await.unwrap();
    store.commit(day(1, HOLIDAY, &used(1, 9))).await.unwrap();
    assert_eq!(expire(&*store, TODAY, 90).await.unwrap(), 0);
    assert_eq!(days(&store).await, [HOLIDAY]);
    store.close().await;
}

pub(super) async fn sums_outlive_their_minutes(database: &Database) {
    let store = filled(database).await;
    let whole = Period {
        first: date(2026, 8, 31),
        last: date(2027, 1, 15),
    };
    store.note_evaluated(&county(), whole).await.unwrap();
    roll_up_all(&*store).await;
    let sums = async || {
        let sums = store.school_sums(&county(), ALWAYS).await.unwrap();
        sums.into_iter().map(|sum| sum.minutes).collect::<Vec<_>>()
    };
    let before = sums().await;
    assert_eq!(before[0].counted, 60);
    let version = store.registry_version().await.unwrap();
    assert_eq!(expire(&*store, TODAY, 90).await.unwrap(), 4);
    assert!(store.registry_version().await.unwrap() > version);
    let kept = store.kept_from().await.unwrap().unwrap();
    assert_eq!(kept, date(2027, 9, 1));

    // Whatever changes afterwards counts anew only what is there.
    let stricter = calendar(16).replace("daily_cap_minutes = 300", "daily_cap_minutes = 7");
    store.set_calendar(&county(), &stricter, 1).await.unwrap();
    store.mark_all_dirty(&county(), ALWAYS).await.unwrap();
    let moved = placed(1, vec![since(2, date(2026, 1, 1))]);
    store.change_registry(moved).await.unwrap();
    roll_up_all(&*store).await;
    let after = sums().await;
    assert_eq!(
        (after[0].counted, after[1].counted),
        (before[0].counted, before[1].counted)
    );
    // The move took the kept day with it, and that one only.
    assert_eq!(after[0].powered + 60, before[0].powered);
    assert_eq!(after[1].powered, before[1].powered + 60);

    let late = store.commit(day(1, IN_TERM, &used(600, 700))).await;
    assert!(matches!(late, Err(StoreError::Unfit { .. })), "{late:?}");
    store.keep_from(date(2020, 1, 1)).await.unwrap();
    assert_eq!(store.kept_from().await.unwrap(), Some(kept), "never back");

    // And they move with the county.
    let all = exported(&store).await;
    let other = database.another();
    let other = other.open().await;
    for page in all.chunks(3) {
        other.take_in(page.to_vec()).await.unwrap();
    }
    roll_up_all(&*other).await;
    assert_eq!(exported(&other).await, all);
    assert_eq!(
        other.school_sums(&county(), ALWAYS).await.unwrap(),
        store.school_sums(&county(), ALWAYS).await.unwrap()
    );
    assert!(all.contains(&Record::KeptFrom(kept)));
    other.close().await;
    store.close().await;
}

pub(super) async fn a_dirty_day_keeps_its_minutes(database: &Database) {
    let store = filled(database).await;
    let early = store.keep_from(date(2027, 1, 1)).await;
    assert!(matches!(early, Err(StoreError::Conflict(_))), "{early:?}");
    assert_eq!(store.sweep().await.unwrap(), 0);
    assert_eq!(days(&store).await.len(), 3);
    assert!(store.school(&school(1)).await.unwrap().is_some());
    store.close().await;
}
