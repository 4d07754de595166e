//! Laws of the quarantine: one entry a mistake, bounded, never forgotten (DESIGN §2, "Refusals").

use classpulse::store::{Batch, Committed, MAX_QUARANTINE_PER_TERMINAL_DAY, Quarantined, Refusal};
use jiff::ToSpan;

use super::{Database, fixtures::TUESDAY};

fn refusal(fingerprint: u32, received_at: i64) -> Refusal {
    Refusal {
        terminal: "somebody/else".to_owned(),
        fingerprint: fingerprint.to_be_bytes().to_vec(),
        reason: "ends_before_start".to_owned(),
        detail: format!("at {received_at}"),
        payload: received_at.to_string().into_bytes(),
        received_at,
        received_day: TUESDAY,
    }
}

fn refused(quarantined: Vec<Refusal>) -> Batch {
    Batch {
        quarantined,
        ..Batch::default()
    }
}

pub(super) async fn the_same_mistake_is_one_entry(database: &Database) {
    let store = database.open().await;
    store
        .commit(refused(vec![refusal(1, 50), refusal(1, 70)]))
        .await
        .unwrap();
    let late = Refusal {
        reason: "too_old".to_owned(),
        ..refusal(1, 40)
    };
    store
        .commit(refused(vec![late, refusal(2, 60)]))
        .await
        .unwrap();
    let other = Refusal {
        terminal: "t-00001".to_owned(),
        reason: "future".to_owned(),
        ..refusal(1, 65)
    };
    store.commit(refused(vec![other])).await.unwrap();
    let found = store.quarantine(0, 10).await.unwrap();
    assert_eq!(found.len(), 3);
    let first = Quarantined {
        id: found[0].id,
        terminal: "somebody/else".to_owned(),
        reason: "ends_before_start".to_owned(),
        detail: "at 70".to_owned(),
        payload: b"70".to_vec(),
        first_at: 40,
        last_at: 70,
        times: 3,
    };
    assert_eq!(found[0], first);
    assert_eq!(store.quarantine(0, 1).await.unwrap(), [first]);
    assert_eq!(store.quarantine(found[0].id, 10).await.unwrap(), found[1..]);
    let counts = [
        ("ends_before_start".to_owned(), 2),
        ("future".to_owned(), 1),
    ];
    assert_eq!(store.quarantine_counts().await.unwrap(), counts);
    assert_eq!(
        store.pending_count().await.unwrap(),
        0,
        "a refused sender is not registered"
    );
    store.close().await;
}

pub(super) async fn a_full_day_refuses_more(database: &Database) {
    let store = database.open().await;
    let most = MAX_QUARANTINE_PER_TERMINAL_DAY;
    let many = (0..most + 2).map(|number| refusal(number, 10)).collect();
    let index = most as usize;
    let committed = store.commit(refused(many)).await.unwrap();
    assert_eq!(
        committed,
        Committed {
            overflowed: vec![index, index + 1],
            ..Committed::default()
        }
    );
    let tomorrow = Refusal {
        received_day: TUESDAY + 1.day(),
        ..refusal(most, 20)
    };
    let other = Refusal {
        terminal: "t-00001".to_owned(),
        ..refusal(most, 20)
    };
    let batch = refused(vec![refusal(0, 20), refusal(most, 20), tomorrow, other]);
    let committed = store.commit(batch).await.unwrap();
    assert_eq!(
        committed.overflowed,
        [1],
        "a known mistake, another day and another terminal have room"
    );
    let found = store.quarantine(0, 1_000).await.unwrap();
    assert_eq!(found.len(), index + 2);
    assert_eq!(found[0].times, 2);
    store.close().await;
}

pub(super) async fn what_is_replayed_no_longer_waits(database: &Database) {
    let store = database.open().await;
    store
        .commit(refused(vec![refusal(1, 10), refusal(2, 10)]))
        .await
        .unwrap();
    let ids: Vec<_> = store
        .quarantine(0, 10)
        .await
        .unwrap()
        .iter()
        .map(|entry| entry.id)
        .collect();
    let replayed = Batch {
        replayed: vec![ids[0], 999_999],
        ..Batch::default()
    };
    store.commit(replayed.clone()).await.unwrap();
    let found = store.quarantine(0, 10).await.unwrap();
    assert_eq!(
        found.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        ids[1..]
    );
    assert_eq!(
        store.quarantine_counts().await.unwrap(),
        [("ends_before_start".to_owned(), 1)]
    );
    // It came again, or was refused once more by the very batch that replays it.
    store
        .commit(Batch {
            quarantined: vec![refusal(1, 30)],
            ..replayed
        })
        .await
        .unwrap();
    let found = store.quarantine(0, 10).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].id, found[0].times, found[0].last_at),
        (ids[0], 2, 30)
    );
    store.close().await;
}
