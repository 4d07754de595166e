//! Questions about usage against the store in memory: who is listed, in which order, with which divisors.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that is wrong must stop the test"
)]

use std::sync::Arc;

use classpulse::{
    domain::{
        ids::Stage,
        minutes::MinuteSet,
        usage::{Fraction, Period},
    },
    query::{self, Asked, QueryError, SchoolFilter},
    store::{County, School},
};
use jiff::civil::date;

use crate::fake_store::{COUNTY, FakeStore, JUNIOR, PRIMARY, SILENT, id, placed};

/// Eight teaching days.
const TERM_SO_FAR: Period = Period {
    first: date(2026, 9, 1),
    last: date(2026, 9, 10),
};

#[tokio::test]
async fn every_school_is_listed_best_first_and_silent_ones_too() {
    let store = FakeStore::with_county();
    let found = query::school_usage(&*store, &id(COUNTY), TERM_SO_FAR, &SchoolFilter::default())
        .await
        .unwrap();
    let told: Vec<_> = found
        .iter()
        .map(|one| {
            (
                one.school.code.as_str(),
                one.average,
                one.terminals,
                one.reporting_terminals,
                one.due.lessons,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (JUNIOR, Fraction::new(25, 2), 1, 1, 16),
            (PRIMARY, Fraction::new(15, 4), 2, 1, 32),
            (SILENT, Fraction::from_integer(0), 1, 0, 16),
        ]
    );
}

#[tokio::test]
async fn equal_averages_stand_by_code_and_filters_join() {
    let store = FakeStore::with_county();
    store.state().days.clear();
    let codes = async |filter| {
        let found = query::school_usage(&*store, &id(COUNTY), TERM_SO_FAR, &filter)
            .await
            .unwrap();
        found
            .into_iter()
            .map(|one| one.school.code.to_string())
            .collect::<Vec<_>>()
    };
    let town = || Some("奇克镇".to_owned());
    for (stage, township, expected) in [
        (None, None, vec![PRIMARY, JUNIOR, SILENT]),
        (Some(Stage::Primary), None, vec![PRIMARY, SILENT]),
        (None, town(), vec![PRIMARY, JUNIOR]),
        (Some(Stage::Junior), town(), vec![JUNIOR]),
        (Some(Stage::Senior), None, vec![]),
    ] {
        assert_eq!(codes(SchoolFilter { stage, township }).await, expected);
    }
}

#[tokio::test]
async fn a_terminal_that_changed_its_room_is_one_terminal() {
    let store = FakeStore::with_county();
    let moved = vec![
        placed(
            PRIMARY,
            "一年一班",
            date(2026, 9, 1),
            Some(date(2026, 9, 4)),
        ),
        placed(PRIMARY, "二年一班", date(2026, 9, 5), None),
    ];
    store.state().put("T-2", moved);
    store
        .state()
        .put("T-6", vec![placed(PRIMARY, "", date(2026, 9, 11), None)]);
    let found = query::school_usage(&*store, &id(COUNTY), TERM_SO_FAR, &SchoolFilter::default())
        .await
        .unwrap();
    let primary = found
        .iter()
        .find(|one| one.school.code.as_str() == PRIMARY)
        .unwrap();
    assert_eq!((primary.terminals, primary.due.service_days), (2, 16));
    let terminals = query::terminal_usage(&*store, &id(PRIMARY), TERM_SO_FAR)
        .await
        .unwrap();
    let told: Vec<_> = terminals
        .iter()
        .map(|one| {
            (
                one.terminal.as_str(),
                one.room.as_str(),
                one.due.service_days,
            )
        })
        .collect();
    assert_eq!(told, [("T-2", "二年一班", 8), ("T-1", "一年一班", 8)]);
}

#[tokio::test]
async fn terminals_are_listed_silent_first_then_by_minutes_then_by_id() {
    let store = FakeStore::with_county();
    let since = date(2026, 9, 1);
    for (terminal, minutes) in [("T-9", 10), ("T-8", 10), ("T-7", 0)] {
        let mut state = store.state();
        state.put(terminal, vec![placed(PRIMARY, "", since, None)]);
        // Outside teaching time: heard, but nothing counts.
        state.used(terminal, since, 1_000, 1_001);
        state.used(terminal, since, 480, 480 + minutes);
    }
    let found = query::terminal_usage(&*store, &id(PRIMARY), TERM_SO_FAR)
        .await
        .unwrap();
    let told: Vec<_> = found
        .iter()
        .map(|one| (one.terminal.as_str(), one.minutes.counted))
        .collect();
    assert_eq!(
        told,
        [
            ("T-2", 0),
            ("T-7", 0),
            ("T-8", 10),
            ("T-9", 10),
            ("T-1", 60)
        ]
    );
    assert_eq!((found[0].last_seen, found[4].last_seen), (0, 1_788_222_000));
}

#[tokio::test]
async fn minutes_count_only_while_the_terminal_stood_there() {
    let store = FakeStore::with_county();
    let history = vec![
        placed(PRIMARY, "", date(2026, 9, 1), Some(date(2026, 9, 1))),
        placed(JUNIOR, "", date(2026, 9, 2), None),
    ];
    store.state().put("T-1", history);
    store.state().used("T-1", date(2026, 9, 2), 480, 500);
    let found = query::terminal_usage(&*store, &id(PRIMARY), TERM_SO_FAR)
        .await
        .unwrap();
    let one = found
        .iter()
        .find(|one| one.terminal.as_str() == "T-1")
        .unwrap();
    assert_eq!(
        (
            one.minutes.counted,
            one.due.service_days,
            one.minutes.reporting
        ),
        (60, 1, 1)
    );
    let day = query::terminal_day(&*store, &id("T-1"), date(2026, 9, 2))
        .await
        .unwrap();
    assert_eq!(
        (day.placement.unwrap().school.as_str(), day.counted),
        (JUNIOR, 20)
    );
    assert_eq!(day.teaching, MinuteSet::of(480, 690));
}

#[tokio::test]
async fn a_day_without_reports_school_or_calendar_is_an_answer() {
    let store = FakeStore::with_county();
    for (terminal, day, taught) in [
        ("T-2", date(2026, 9, 1), true),
        ("T-2", date(2026, 9, 5), false),
        ("T-2", date(2026, 8, 31), false),
        ("T-5", date(2026, 9, 1), false),
    ] {
        let found = query::terminal_day(&*store, &id(terminal), day)
            .await
            .unwrap();
        assert!(found.minutes.powered.is_empty() && found.counted == 0);
        assert_eq!(!found.teaching.is_empty(), taught, "{terminal} {day}");
    }
    store.state().calendar = None;
    assert!(
        query::terminal_day(&*store, &id("T-1"), date(2026, 9, 1))
            .await
            .unwrap()
            .teaching
            .is_empty()
    );
    let error = query::terminal_day(&*store, &id("T-99"), date(2026, 9, 1))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            QueryError::NotFound {
                what: "terminal",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn the_county_and_the_period_are_filled_in_or_their_lack_is_named() {
    let store = FakeStore::with_county();
    let today = date(2026, 9, 11);
    let resolved = query::resolve(&*store, Asked::default(), today)
        .await
        .unwrap();
    assert_eq!(
        (resolved.county.as_str(), resolved.period),
        (COUNTY, TERM_SO_FAR)
    );
    let early = query::resolve(&*store, Asked::default(), date(2026, 8, 1))
        .await
        .unwrap_err();
    assert!(matches!(early, QueryError::NoTerm { .. }), "{early}");
    store.state().calendar = None;
    let error = query::resolve(&*store, Asked::default(), today)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("classpulse import --calendar FILE"),
        "{error}"
    );
    store.state().counties.push(County {
        code: id("231124"),
        name: "孙吴县".to_owned(),
    });
    let error = query::resolve_county(&*store, None).await.unwrap_err();
    assert!(
        matches!(
            error,
            QueryError::Field {
                field: "county",
                ..
            }
        ),
        "{error}"
    );
    let error = query::resolve_county(&*store, Some(id("999999")))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "county 999999 is not registered");
    store.state().counties.clear();
    assert!(matches!(
        query::resolve_county(&*store, None).await,
        Err(QueryError::NoCounty)
    ));
}

#[tokio::test]
async fn freshen_goes_on_until_nothing_is_dirty() {
    let store = FakeStore::with_county();
    for counted in 0..2_500 {
        store.state().change(PRIMARY, counted);
    }
    let mut told = Vec::new();
    let changed = query::freshen(&*store, |day| told.push(day.minutes.counted))
        .await
        .unwrap();
    assert_eq!((changed, told.len(), told[2_499]), (2_500, 2_500, 2_499));
    assert_eq!(query::freshen(&*store, |_| {}).await.unwrap(), 0);
}

#[tokio::test]
async fn points_follow_the_highest_average() {
    let store = FakeStore::with_county();
    let found = query::monitoring_scores(&*store, &id(COUNTY), TERM_SO_FAR)
        .await
        .unwrap();
    assert_eq!(found.highest, Fraction::new(25, 2));
    let told: Vec<_> = found
        .schools
        .iter()
        .map(|one| (one.school.code.as_str(), one.score.points))
        .collect();
    let points = [
        Fraction::from_integer(15),
        Fraction::new(9, 2),
        Fraction::from_integer(0),
    ];
    assert_eq!(
        told,
        [
            (JUNIOR, points[0]),
            (PRIMARY, points[1]),
            (SILENT, points[2])
        ]
    );
}

#[tokio::test]
async fn a_thousand_schools_with_many_spans_are_answered_fast() {
    let store = Arc::new(FakeStore::default());
    {
        let mut state = store.state();
        state.calendar = FakeStore::with_county().state().calendar.clone();
        for index in 0..1_000 {
            let code = format!("XK-{index:04}");
            let (name, township) = (code.clone(), String::new());
            state.schools.push(School {
                code: id(&code),
                name,
                stage: Stage::Primary,
                township,
                county: id(COUNTY),
            });
            for terminal in 0..20_i8 {
                let place = placed(&code, "", date(2026, 9, 1 + terminal), None);
                state.put(&format!("{code}-{terminal}"), vec![place]);
            }
        }
    }
    let year = Period {
        first: date(2026, 9, 1),
        last: date(2027, 8, 31),
    };
    let begun = tokio::time::Instant::now();
    let found = query::school_usage(&*store, &id(COUNTY), year, &SchoolFilter::default())
        .await
        .unwrap();
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    assert!(found.len() == 1_000 && found.iter().all(|one| one.terminals == 20));
}
