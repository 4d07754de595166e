//! What pages show of a run without reading every minute is what follows from every minute.

use std::collections::BTreeSet;

use classpulse::{
    evaluation::{
        Changes, Comparison, Depth, EvaluationError, Excluded, Explanation, Loaded, compare,
        compare_of, explain, freeze, glance, load, load_again, what_if, what_if_of, with_minutes,
    },
    query,
    store::{Exclusion, Placement, RegistryChange, Store},
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{
    county::{
        self, CALENDAR, NOW, county as code, day, draft, filled, freezing, report, school, terminal,
    },
    exclusion,
};

/// Both ways to read a run.
async fn both(store: &dyn Store, run: i64) -> (Loaded, Loaded) {
    query::freshen(store, |_| {}).await.unwrap();
    let whole = load(store, run).await.unwrap();
    let seen = glance(store, run).await.unwrap();
    assert_eq!(seen.run, whole.run);
    assert_eq!(seen.results, whole.results);
    assert_eq!(seen.results.watch, whole.results.watch);
    assert_eq!(seen.results.figures(), whole.results.figures());
    assert_eq!(seen.inputs.schools, whole.inputs.schools);
    assert_eq!(seen.inputs.evidence, whole.inputs.evidence);
    assert_eq!(seen.inputs.exclusions, whole.inputs.exclusions);
    for (code, minutes) in seen.inputs.minutes.iter() {
        assert_eq!(minutes, whole.inputs.minutes_of(code).unwrap());
    }
    (seen, whole)
}

fn some(random: &mut ChaCha8Rng) -> Exclusion {
    let first = random.random_range(-3..12);
    exclusion(
        random.random_range(1..6),
        first,
        first + random.random_range(0..9),
    )
}

/// Terminals that come, go and move, in a draft with exclusions; then what changes, is tried, frozen and compared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_glance_is_what_every_minute_says() {
    for seed in 0..12_u64 {
        println!("seed {seed}");
        let store: &dyn Store = &county::any(seed).await.store;
        let mut random = ChaCha8Rng::seed_from_u64(seed + 99);
        let run = draft(store, "k").await;
        for _ in 0..random.random_range(0..3) {
            store.add_exclusion(run, some(&mut random)).await.unwrap();
        }
        let (seen, _) = both(store, run).await;

        // Explained, tried, and read again after a change.
        for number in 1..=3 {
            let code = school(number);
            let wanted = BTreeSet::from([code.clone()]);
            let more = with_minutes(store, &seen, &wanted).await.unwrap();
            let of = Explanation::of(&more, &code, "4.3.1").unwrap();
            assert_eq!(of, explain(store, run, &code, "4.3.1").await.unwrap());
        }
        let tried = some(&mut random);
        let changes = Changes {
            exclude: vec![Excluded {
                terminal: tried.terminal.clone(),
                first: tried.first,
                last: tried.last,
            }],
            ..Changes::default()
        };
        let quick = what_if_of(store, seen.clone().into(), changes.clone()).await;
        let slow = what_if(store, run, changes.clone()).await;
        match (quick, slow) {
            (Ok(quick), Ok(slow)) => assert_eq!(quick, slow),
            (Err(quick), Err(slow)) => assert_eq!(quick.to_string(), slow.to_string()),
            (quick, slow) => panic!("{quick:?} and {slow:?}"),
        }
        store.add_exclusion(run, tried).await.unwrap();
        let again = load_again(store, &seen).await.unwrap();
        assert_eq!(again.results, load(store, run).await.unwrap().results);

        // Frozen, and a second run of other exclusions beside it.
        let other = draft(store, "other").await;
        let (first, second) = (glance(store, run).await, glance(store, other).await);
        let (first, second) = (first.unwrap(), second.unwrap());
        let mut whole = compare(store, run, other).await.unwrap();
        assert!(whole.inputs.minutes.take().is_some());
        for depth in [Depth::Quick, Depth::Whole] {
            let open = compare_of(store, &first, &second, depth).await.unwrap();
            assert_eq!(open, whole, "all but the minutes, which take long");
        }
        for run in [run, other] {
            freeze(store, run, freezing()).await.unwrap();
        }
        let (first, _) = both(store, run).await;
        let (second, _) = both(store, other).await;
        let quick = compare_of(store, &first, &second, Depth::Quick)
            .await
            .unwrap();
        assert_eq!(quick, compare(store, run, other).await.unwrap());
        let frozen = what_if_of(store, first.into(), changes.clone()).await;
        let slow = what_if(store, run, changes).await;
        assert_eq!(
            frozen.map_err(|error| said(&error)),
            slow.map_err(|error| said(&error))
        );
    }
}

fn said(error: &EvaluationError) -> String {
    error.to_string()
}

/// A terminal that never counts among many that do; a day that is used outside teaching; nothing at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminals_without_a_counted_minute_are_told_apart() {
    let store: &dyn Store = &filled().await.store;
    let placements = [6, 7, 8].map(|number| {
        let stands = Placement {
            to: Some(day(40)),
            ..county::since(1 + number % 2, day(-6))
        };
        (terminal(number), vec![stands])
    });
    let change = RegistryChange {
        placements: placements.to_vec(),
        ..RegistryChange::default()
    };
    store.change_registry(change).await.unwrap();
    // Powered and used at night; in a lesson of one day alone, which is not the day with most.
    report(store, 6, day(1), 1_300, 1_400).await;
    report(store, 7, day(8), 600, 601).await;
    let run = draft(store, "k").await;
    let (seen, _) = both(store, run).await;
    let counting = |number| {
        let found = seen.results.school(&school(number)).unwrap();
        (
            found.monitoring.counting_terminals,
            found.monitoring.terminals,
        )
    };
    assert_eq!(
        [counting(1), counting(2), counting(3)],
        [(2, 4), (3, 3), (1, 1)]
    );
    // Of the best school's minutes and no other's its doubts are found.
    assert_eq!(seen.results.highest_schools, [school(3)]);
    let read: Vec<_> = seen.inputs.minutes.keys().cloned().collect();
    assert_eq!(read, [school(3)]);
    let unread = Explanation::of(&seen, &school(1), "4.3.1").unwrap_err();
    assert!(matches!(unread, EvaluationError::Unread(code) if code == school(1)));

    let nobody: &dyn Store = &county::empty().store;
    nobody.change_registry(county::registry()).await.unwrap();
    nobody.set_calendar(&code(), CALENDAR, NOW).await.unwrap();
    let run = draft(nobody, "k").await;
    let (seen, _) = both(nobody, run).await;
    assert!(seen.results.highest_schools.is_empty() && seen.inputs.minutes.is_empty());
}

/// A room's new name is no difference of minutes, a minute more is; schools that came or left are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_minutes_are_compared_without_reading_them() {
    let store: &dyn Store = &filled().await.store;
    let mut seen = Vec::new();
    for key in ["first", "renamed", "more"] {
        let run = draft(store, key).await;
        freeze(store, run, freezing()).await.unwrap();
        seen.push(glance(store, run).await.unwrap());
        let renamed = Placement {
            room: "音乐\"教室\\".to_owned(),
            ..county::since(1, day(-6))
        };
        let change = RegistryChange {
            placements: vec![(terminal(1), vec![renamed])],
            ..RegistryChange::default()
        };
        store.change_registry(change).await.unwrap();
        if key == "renamed" {
            report(store, 3, day(1), 700, 701).await;
        }
    }
    let found = async |before: usize, after: usize| -> Comparison {
        let (before, after) = (&seen[before], &seen[after]);
        let quick = compare_of(store, before, after, Depth::Whole)
            .await
            .unwrap();
        let slow = compare(store, before.run.id, after.run.id).await.unwrap();
        assert_eq!(quick, slow);
        quick
    };
    assert_eq!(found(0, 1).await.inputs.minutes, Some(Vec::new()));
    assert_eq!(found(0, 2).await.inputs.minutes, Some(vec![school(2)]));
    assert_eq!(found(1, 2).await.inputs.minutes, Some(vec![school(2)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_run_has_its_terminals_where_they_stood_whatever_the_registry_says_since() {
    let store: &dyn Store = &filled().await.store;
    let run = draft(store, "k").await;
    freeze(store, run, freezing()).await.unwrap();
    // Both ways: it stood in another school all the time, and it came in the midst.
    for (number, placement) in [
        (1, county::since(2, day(-60))),
        (2, county::since(1, day(2))),
    ] {
        let change = RegistryChange {
            placements: vec![(terminal(number), vec![placement])],
            ..RegistryChange::default()
        };
        store.change_registry(change).await.unwrap();
        let changes = Changes {
            exclude: vec![Excluded {
                terminal: terminal(number),
                first: day(0),
                last: day(3),
            }],
            ..Changes::default()
        };
        let seen = glance(store, run).await.unwrap();
        let quick = what_if_of(store, seen.into(), changes.clone())
            .await
            .unwrap();
        assert_eq!(quick, what_if(store, run, changes).await.unwrap());
        let moved = quick.schools.iter().filter(|one| !one.items.is_empty());
        assert!(moved.count() > 0, "it is found, and counts");
    }
}
