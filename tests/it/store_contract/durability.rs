//! Laws of keeping: what was answered is there for the next process, what was not is whole or absent.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    task::Poll,
    time::Duration,
};

use classpulse::{
    domain::usage::Minutes,
    store::{Batch, StoreError, TerminalFilter},
};
use futures::FutureExt;

use super::{
    Database,
    fixtures::{
        ALWAYS, TUESDAY, calendar, contact, county, day, placed, roll_up_all, school, schools,
        since, terminal, used,
    },
};

pub(super) async fn marks_survive_a_restart(database: &Database) {
    let store = database.open().await;
    store.change_registry(schools([1])).await.unwrap();
    store
        .set_calendar(&county(), &calendar(16), 0)
        .await
        .unwrap();
    store
        .change_registry(placed(1, vec![since(1, TUESDAY)]))
        .await
        .unwrap();
    store
        .commit(day(1, TUESDAY, &used(470, 520)))
        .await
        .unwrap();
    store.close().await;

    let store = database.open().await;
    assert!(
        store
            .school_sums(&county(), ALWAYS)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(roll_up_all(&*store).await, 1);
    let sums = store.school_sums(&county(), ALWAYS).await.unwrap();
    let minutes = Minutes {
        counted: 40,
        powered: 50,
        used: 50,
        lessons_taught: 1,
        reporting: 1,
    };
    assert_eq!((sums[0].minutes, sums[0].reporting_terminals), (minutes, 1));
    store.close().await;
    assert_eq!(roll_up_all(&*database.open().await).await, 0);
}

pub(super) async fn a_commit_cut_off_is_whole_or_absent(database: &Database) {
    const ROWS: u32 = 300;
    let batch = |round: u32| Batch {
        days: (0..ROWS)
            .map(|n| (terminal(round * ROWS + n), TUESDAY, used(1, 9)))
            .collect(),
        ..Batch::default()
    };
    for round in 0..8 {
        let store = database.open().await;
        let mut commit = store.commit(batch(round)).boxed();
        // Asked once, so that it is under way; then everything is dropped at a different moment each time.
        let first = futures::poll!(&mut commit);
        assert!(matches!(first, Poll::Pending | Poll::Ready(Ok(_))));
        tokio::time::sleep(Duration::from_millis(u64::from(round))).await;
        drop(commit);
        drop(store);
        let store = database.open().await;
        let known = store
            .terminals(&TerminalFilter::default())
            .await
            .unwrap()
            .len();
        assert_eq!(known % ROWS as usize, 0, "round {round}: {known}");
        store.close().await;
    }
}

/// How the process below is told where the database is.
const DATABASE: &str = "CLASSPULSE_TEST_DATABASE";

/// How many batches the process below makes: more than it ever gets to.
const BATCHES: u32 = 100_000;

/// A terminal in none of them: while this process waits for its turn, the other may have made thousands.
const OF_NO_BATCH: u32 = BATCHES * 50;

/// What the process below commits in its n-th batch.
fn numbered(n: u32) -> Batch {
    let days = (0..50)
        .map(|row| (terminal(n * 50 + row), TUESDAY, used(1, 9)))
        .collect();
    Batch {
        days,
        contacts: vec![contact(n * 50, i64::from(n))],
        ..Batch::default()
    }
}

pub(super) async fn a_killed_process_has_kept_all_that_it_was_told(database: &Database) {
    for round in 0..3 {
        let path = "store_contract::durability::commits_until_it_is_killed";
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--nocapture", "--exact", path])
            .env(DATABASE, database.name())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The other process writes while this one does.
        let store = database.open().await;
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut numbers = lines.filter_map(|line| {
            line.unwrap()
                .rsplit_once("committed ")?
                .1
                .parse::<u32>()
                .ok()
        });
        let last = numbers.nth(20 + round).unwrap();
        store
            .commit(day(OF_NO_BATCH, TUESDAY, &used(1, 2)))
            .await
            .unwrap();
        process.kill().unwrap();
        drop(numbers);
        process.wait().unwrap();
        let known = store
            .terminals(&TerminalFilter::default())
            .await
            .unwrap()
            .len()
            - 1;
        assert_eq!(known % 50, 0, "a batch is whole or absent");
        assert!(
            known > last as usize * 50,
            "{known} terminals, though batch {last} was committed"
        );
        let heard = store.terminal(&terminal(last * 50)).await.unwrap().unwrap();
        assert_eq!(heard.last_heard, Some(i64::from(last)));
        store.close().await;
    }
}

#[tokio::test]
#[ignore = "the process that a_killed_process_has_kept_all_that_it_was_told starts and kills"]
async fn commits_until_it_is_killed() {
    #[expect(
        clippy::disallowed_methods,
        reason = "told by the process that started this one"
    )]
    let name = std::env::var(DATABASE).unwrap();
    let store = Database::open_by(&name).await;
    for n in 0..BATCHES {
        store.commit(numbered(n)).await.unwrap();
        println!("committed {n}");
    }
}

pub(super) async fn committed_work_is_there_for_the_next_process(database: &Database) {
    let store = database.open().await;
    store.commit(day(1, TUESDAY, &used(1, 9))).await.unwrap();
    // Neither closed nor dropped: as if the process had been killed here.
    let other = database.open().await;
    assert_eq!(
        other.terminal_days(&terminal(1), ALWAYS).await.unwrap(),
        [(TUESDAY, used(1, 9))]
    );
    other.commit(day(1, TUESDAY, &used(5, 20))).await.unwrap();
    assert_eq!(
        store.terminal_days(&terminal(1), ALWAYS).await.unwrap(),
        [(TUESDAY, used(1, 20))]
    );
    drop(store);
    other.close().await;
}

pub(super) async fn a_closed_store_says_so(database: &Database) {
    let store = database.open().await;
    store.commit(day(1, TUESDAY, &used(1, 9))).await.unwrap();
    store.pending_count().await.unwrap();
    futures::join!(store.close(), store.close());
    store.close().await;
    assert!(matches!(
        store.commit(Batch::default()).await,
        Err(StoreError::Closed)
    ));
    assert!(matches!(store.roll_up(1).await, Err(StoreError::Closed)));
    assert!(matches!(
        store.pending_count().await,
        Err(StoreError::Closed)
    ));
    assert!(matches!(
        store.school(&school(1)).await,
        Err(StoreError::Closed)
    ));
    let store = database.open().await;
    let (commit, ()) = futures::join!(store.commit(day(1, TUESDAY, &used(9, 20))), store.close());
    assert!(matches!(commit, Ok(_) | Err(StoreError::Closed)));
    let end = if commit.is_ok() { 20 } else { 9 };
    let store = database.open().await;
    assert_eq!(
        store.terminal_days(&terminal(1), ALWAYS).await.unwrap(),
        [(TUESDAY, used(1, end))]
    );
    store.close().await;
}
