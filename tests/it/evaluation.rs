//! Evaluation runs, through the store: frozen figures stay, follow from their parts, and can be appealed against.

mod bounds;
mod county;
mod format;
mod front;
mod glance;

use std::io::Write as _;

use classpulse::{
    domain::{
        doubt::DoubtKind,
        incident::Incident,
        rubric::{self, Points, Value},
        usage::{Fraction, Period},
    },
    evaluation::{
        Changes, Entered, Entry, EvaluationError, Excluded, Freezing, InputDifference,
        NewEvaluation, Results, Verification, compare, create, enter, explain, freeze, inputs_of,
        list_evidence, list_exclusions, load, load_again, verify, what_if,
    },
    query,
    retention::expire,
    store::{
        Batch, ContentDigest, EvaluationStore, Exclusion, MAX_EXCLUSIONS, NewRun, Record, Store,
        StoreError,
    },
};
use flate2::{Compression, write::ZlibEncoder};
use jiff::civil::date;

use self::county::{
    CALENDAR, Kept, MONDAY, NOW, PERIOD, county, day, draft, entry, everything, filled, freezing,
    moved, new_run, registry, report, school, since, terminal, yes,
};

/// The whole term.
const TERM: Period = Period {
    first: date(2026, 8, 31),
    last: date(2027, 1, 15),
};

fn exclusion(number: u32, first: i64, last: i64) -> Exclusion {
    Exclusion {
        terminal: terminal(number),
        first: day(first),
        last: day(last),
        reason: "整夜开机".to_owned(),
        by: "李四".to_owned(),
        at: NOW,
    }
}

fn average(results: &Results, number: u32) -> (u64, u64) {
    let found = &results.school(&school(number)).unwrap().monitoring;
    let expected = Fraction::new(found.counted.into(), found.service_days.into());
    assert_eq!(found.average, expected);
    (found.counted, found.service_days)
}

fn total(results: &Results, number: u32) -> Points {
    results.school(&school(number)).unwrap().sheet.total
}

fn said(verification: &Verification) -> Vec<&str> {
    let faults = verification.faults.iter();
    faults.map(|fault| fault.part.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_run_stays_whatever_comes_later() {
    let Kept { store, .. } = &filled().await;
    let run = draft(store, "k").await;
    store.add_exclusion(run, exclusion(5, 1, 2)).await.unwrap();
    let before = load(store, run).await.unwrap();
    assert!(
        before
            .results
            .schools
            .iter()
            .all(|one| one.sheet.total > Points::ZERO)
    );

    let frozen = freeze(store, run, freezing()).await.unwrap();
    assert_eq!(store.run(run).await.unwrap(), frozen);
    let after = load(store, run).await.unwrap();
    assert_eq!(after.results, before.results, "freezing changes no figure");
    let sound = verify(store, run).await.unwrap();
    assert!(sound.is_sound(), "{sound:?}");
    assert_eq!(sound.parts, 8 + 3);
    assert_eq!(sound.reworded, 0);
    assert_eq!(store.evaluated(&county()).await.unwrap(), [PERIOD]);

    // Late reports, another calendar, another registry, and the minutes go.
    report(store, 1, day(3), 480, 700).await;
    assert_ne!(
        load(store, draft(store, "again").await)
            .await
            .unwrap()
            .results,
        before.results
    );
    let shorter = CALENDAR
        .replace(", \"13:30-14:10\"", "")
        .replace("08:40", "08:30");
    store.set_calendar(&county(), &shorter, NOW).await.unwrap();
    let mut change = registry();
    change.schools[0].name = "改名小学".to_owned();
    change.counties[0].name = "改名县".to_owned();
    change.placements = vec![
        (terminal(5), Vec::new()),
        (terminal(1), vec![since(2, MONDAY)]),
    ];
    store.change_registry(change).await.unwrap();
    query::freshen(store, |_| {}).await.unwrap();
    store.note_evaluated(&county(), TERM).await.unwrap();
    assert!(expire(store, date(2028, 1, 1), 90).await.unwrap() > 0);
    let all = everything(store).await;
    let other = moved(&all).await;
    for store in [store, &other.store] {
        assert_eq!(load(store, run).await.unwrap().results, before.results);
        let again = verify(store, run).await.unwrap();
        assert_eq!(again, sound);
    }
    assert_eq!(everything(&other.store).await, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_is_refused_while_anything_is_open() {
    let Kept { store, .. } = &filled().await;
    let run = draft(store, "k").await;
    assert!(matches!(
        verify(store, run).await,
        Err(EvaluationError::NotFrozen(_))
    ));
    let early = Freezing {
        today: PERIOD.last,
        ..freezing()
    };
    let refused = freeze(store, run, early).await.unwrap_err();
    assert!(
        matches!(refused, EvaluationError::NotOver { .. }),
        "{refused}"
    );
    let lacking = Freezing {
        accept_missing: false,
        ..freezing()
    };
    let refused = freeze(store, run, lacking).await.unwrap_err();
    let missing = load(store, run).await.unwrap().results.missing();
    assert!(missing > 0);
    assert!(
        matches!(refused, EvaluationError::Missing(count) if count == missing),
        "{refused}"
    );
    let stale = Freezing {
        revision: Some(0),
        ..freezing()
    };
    let refused = freeze(store, run, stale).await.unwrap_err();
    assert!(
        refused.to_string().contains("revision 1, not 0"),
        "{refused}"
    );
    assert!(store.run(run).await.unwrap().frozen().is_none());
    let next = Freezing {
        revision: Some(1),
        today: date(2026, 9, 21),
        ..freezing()
    };
    freeze(store, run, next).await.unwrap();
    let again = freeze(store, run, freezing()).await.unwrap_err();
    assert!(again.to_string().contains("frozen by 王五"), "{again}");
    let nowhere = freeze(store, 99, freezing()).await.unwrap_err();
    let missing = matches!(nowhere, EvaluationError::Store(StoreError::NotFound { .. }));
    assert!(missing, "{nowhere}");
}

/// Alters one part of a moved run, and with `hidden` also what is known of it.
fn altered(all: &[Record], key: &str, from: &str, to: &str, hidden: bool) -> Vec<Record> {
    let mut all = all.to_vec();
    let mut found = false;
    for record in &mut all {
        if let Record::RunPart(part) = record
            && part.part.key == key
        {
            let mut text = String::new();
            let mut inflate = flate2::read::ZlibDecoder::new(&part.deflated[..]);
            std::io::Read::read_to_string(&mut inflate, &mut text).unwrap();
            assert!(text.contains(from), "{key} has no {from}: {text}");
            let text = text.replacen(from, to, 1);
            let mut deflate = ZlibEncoder::new(Vec::new(), Compression::default());
            deflate.write_all(text.as_bytes()).unwrap();
            part.deflated = deflate.finish().unwrap();
            if hidden {
                part.part.digest = ContentDigest::of(text.as_bytes());
                part.part.bytes = text.len() as u64;
            }
            found = true;
        }
    }
    assert!(found, "{key}");
    all
}

async fn frozen_with_exclusion(store: &dyn Store) -> i64 {
    let run = draft(store, "k").await;
    store.add_exclusion(run, exclusion(5, 1, 2)).await.unwrap();
    freeze(store, run, freezing()).await.unwrap();
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tampered_part_is_found() {
    let Kept { store, .. } = &filled().await;
    let run = frozen_with_exclusion(store).await;
    let all = everything(store).await;
    let of = "minutes/2123000001";
    for (key, from, to, follows) in [
        (of, "08:00-08:30", "08:00-08:31", "results"),
        ("evidence", "\"yes_no\":true", "\"yes_no\":false", "results"),
        ("exclusions", "\"2026-09-09\"", "\"2026-09-10\"", "results"),
        ("rubric", "points = 1", "points = 0.5", ""),
        ("calendar", "08:00-08:40", "08:00-08:35", "results"),
        ("schools", "第一小学", "第七小学", "results"),
        ("results", "\"total\":\"", "\"total\":\"1", "results"),
        ("run", "王五", "赵六", "run"),
        ("watch", "第三中学", "第一小学", ""),
    ] {
        let plain = moved(&altered(&all, key, from, to, false)).await;
        let found = verify(&plain.store, run).await.unwrap();
        assert!(said(&found).contains(&key), "{key}: {found:?}");
        let hidden = moved(&altered(&all, key, from, to, true)).await;
        let found = verify(&hidden.store, run).await.unwrap();
        assert!(said(&found).contains(&"digest"), "{key}: {found:?}");
        if !follows.is_empty() {
            assert!(said(&found).contains(&follows), "{key}: {found:?}");
        }
    }
}

/// Alters rows.
type Change = Box<dyn Fn(&mut Record)>;

/// Rows beside the parts, each altered by itself, and where that is found.
fn row_changes(other: ContentDigest) -> Vec<(&'static str, Change)> {
    vec![
        (
            "rubric",
            Box::new(move |record| {
                if let Record::Run(run) = record
                    && run.key == "k"
                {
                    run.rubric = other;
                }
            }),
        ),
        (
            "run",
            Box::new(|record| {
                if let Record::Run(run) = record
                    && run.key == "k"
                {
                    run.supersedes = Some("before".to_owned());
                }
            }),
        ),
        (
            "run",
            Box::new(|record| {
                if let Record::Run(run) = record
                    && run.key == "k"
                {
                    run.minutes_from = Some("before".to_owned());
                }
            }),
        ),
        (
            "evidence",
            Box::new(|record| {
                if let Record::RunEvidence(one) = record {
                    one.content = one.content.replace("true", "false");
                }
            }),
        ),
        (
            "evidence",
            Box::new(|record| {
                if let Record::RunEvidence(one) = record {
                    "{}".clone_into(&mut one.content);
                }
            }),
        ),
        (
            "evidence",
            Box::new(|record| {
                if let Record::RunEvidence(one) = record
                    && one.item == "5.3"
                {
                    "5.4".clone_into(&mut one.item);
                }
            }),
        ),
        (
            "exclusions",
            Box::new(|record| {
                if let Record::RunExclusion(one) = record {
                    "没有理由".clone_into(&mut one.exclusion.reason);
                }
            }),
        ),
        (
            "exclusions",
            Box::new(|record| {
                if let Record::RunExclusion(one) = record {
                    one.number += 1;
                }
            }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tampered_row_is_found() {
    let Kept { store, .. } = &filled().await;
    let run = frozen_with_exclusion(store).await;
    let other = format!("{}\n# 另一份\n", rubric::DEFAULT);
    let other = store.put_rubric(&other, NOW).await.unwrap();
    let predecessor = draft(store, "before").await;
    freeze(store, predecessor, freezing()).await.unwrap();
    let all = everything(store).await;
    for (index, (expected, change)) in row_changes(other).into_iter().enumerate() {
        let mut altered = all.clone();
        altered.iter_mut().for_each(change);
        assert_ne!(altered, all, "{index}");
        // A run comes after those that it refers to.
        altered.sort_by_key(|record| match record {
            Record::Run(run) => 1 + u8::from(run.key == "k"),
            Record::RunEvidence(_) | Record::RunExclusion(_) | Record::RunPart(_) => 3,
            _ => 0,
        });
        let other = moved(&altered).await;
        let found = verify(&other.store, run).await.unwrap();
        assert_eq!(said(&found), [expected], "{index}: {found:?}");
        // What is listed is what was frozen, whatever the rows say.
        let (here, there) = (store, &other.store);
        assert_eq!(
            list_evidence(there, run, None).await.unwrap(),
            list_evidence(here, run, None).await.unwrap()
        );
        assert_eq!(
            list_exclusions(there, run).await.unwrap(),
            store.exclusions(run).await.unwrap()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_cut_or_gone_is_found() {
    let Kept { store, .. } = &filled().await;
    let run = frozen_with_exclusion(store).await;
    let all = everything(store).await;
    let of = "minutes/2123000001";
    let mut cut = all.clone();
    for record in &mut cut {
        if let Record::RunPart(part) = record
            && part.part.key == of
        {
            let half = part.deflated.len() / 2;
            part.deflated.truncate(half);
        }
    }
    let cut = moved(&cut).await;
    let found = verify(&cut.store, run).await.unwrap();
    assert!(said(&found).contains(&of), "{found:?}");
    assert!(matches!(
        load(&cut.store, run).await,
        Err(EvaluationError::Store(StoreError::Damaged(_)))
    ));
    let mut gone = all.clone();
    gone.retain(|record| !matches!(record, Record::RunPart(part) if part.part.key == of));
    let gone = moved(&gone).await;
    let found = verify(&gone.store, run).await.unwrap();
    assert_eq!(said(&found), ["digest", of], "{found:?}");
    let error = load(&gone.store, run).await.unwrap_err();
    assert!(
        matches!(&error, EvaluationError::Part { part, .. } if part == of),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitoring_figures_are_those_of_the_dashboards() {
    for seed in 0..6_u64 {
        println!("seed {seed}");
        let store = &county::any(seed).await.store;
        query::freshen(store, |_| {}).await.unwrap();
        let expected = query::monitoring_scores(store, &county(), PERIOD)
            .await
            .unwrap();
        let new = new_run(store, "k").await;
        let run = store.create_run(new).await.unwrap();
        let found = load(store, run.id).await.unwrap().results;
        assert_eq!(found.highest, expected.highest);
        assert_eq!(found.highest_schools, expected.highest_schools);
        for one in &expected.schools {
            let of = found.school(&one.school.code).unwrap();
            assert_eq!(of.monitoring.average, one.score.average);
            assert_eq!(of.monitoring.points, Points::exactly(one.score.points));
            assert_eq!(
                of.monitoring.stage_points,
                Points::exactly(one.score.stage_points)
            );
            let item = of.sheet.item("4.3.1").unwrap();
            assert_eq!(
                (item.points, &item.reason),
                (of.monitoring.points, &one.score.reason)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exclusion_takes_minutes_and_due_days() {
    let Kept { store, .. } = &filled().await;
    let run = draft(store, "k").await;
    let results = async || load(store, run).await.unwrap().results;
    // t-5: 70 minutes from 8:00 + weekday on, of which the break takes 10: 60 a day, ten days.
    let before = results().await;
    assert_eq!(average(&before, 3), (600, 10));
    assert_eq!(before.highest_schools, [school(3)]);
    store.add_exclusion(run, exclusion(5, 2, 5)).await.unwrap();
    assert_eq!(
        average(&results().await, 3),
        (420, 7),
        "three teaching days and a Saturday"
    );
    // Twice excluded is excluded once.
    store.add_exclusion(run, exclusion(5, 3, 3)).await.unwrap();
    assert_eq!(average(&results().await, 3), (420, 7));
    let whole = store
        .add_exclusion(run, exclusion(5, -9, 99))
        .await
        .unwrap();
    let without = results().await;
    let found = &without.school(&school(3)).unwrap().monitoring;
    assert_eq!(
        (found.counted, found.service_days, found.terminals),
        (0, 0, 0)
    );
    assert_eq!(without.highest_schools, [school(2)]);
    let item = without
        .school(&school(3))
        .unwrap()
        .sheet
        .item("4.3.1")
        .unwrap()
        .clone();
    assert!(item.reason.contains("没有在用终端"), "{}", item.reason);
    store.remove_exclusion(run, whole).await.unwrap();
    assert_eq!(average(&results().await, 3), (420, 7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_what_if_says_what_a_real_run_would() {
    let Kept { store, .. } = &filled().await;
    let first = draft(store, "first").await;
    freeze(store, first, freezing()).await.unwrap();
    let frozen = load(store, first).await.unwrap().results;
    let text = rubric::DEFAULT.replace("not_applicable = \"met\"", "not_applicable = \"unmet\"");
    assert_ne!(text, rubric::DEFAULT);
    let excluded = |number, first, last| Excluded {
        terminal: terminal(number),
        first: day(first),
        last: day(last),
    };
    let exclude = vec![excluded(5, 0, 3), excluded(3, 2, 2)];
    let by_reading = Changes {
        exclude: exclude.clone(),
        readings: vec![("R3".to_owned(), "unmet".to_owned())],
        ..Changes::default()
    };
    let by_text = Changes {
        exclude,
        rubric: Some(text.clone()),
        ..Changes::default()
    };
    let saved = everything(store).await;
    let what = what_if(store, first, by_reading).await.unwrap();
    assert_eq!(what, what_if(store, first, by_text).await.unwrap());
    assert_eq!(everything(store).await, saved, "nothing is saved");

    let new = NewRun {
        rubric: store.put_rubric(&text, NOW).await.unwrap(),
        supersedes: Some(first),
        minutes_from: Some(first),
        ..new_run(store, "second").await
    };
    let second = store.create_run(new).await.unwrap().id;
    enter(store, second, None, county::evidence())
        .await
        .unwrap();
    for one in [exclusion(5, 0, 3), exclusion(3, 2, 2)] {
        store.add_exclusion(second, one).await.unwrap();
    }
    freeze(store, second, freezing()).await.unwrap();
    let real = load(store, second).await.unwrap();
    assert_eq!(what.after, real.results);
    let compared = compare(store, first, second).await.unwrap();
    let moved: Vec<_> = what
        .schools
        .iter()
        .filter(|one| !one.items.is_empty())
        .cloned()
        .collect();
    assert_eq!(compared.schools, moved);
    for one in &what.schools {
        let number = u32::from(one.school.as_str().as_bytes()[9] - b'0');
        assert_eq!(one.before, Some(total(&frozen, number)));
        assert_eq!(one.after, Some(total(&real.results, number)));
    }
    assert_eq!(what.schools.len(), 3);
    assert_eq!(real.inputs.facts.supersedes.as_deref(), Some("first"));
    assert!(verify(store, second).await.unwrap().is_sound());

    // On a draft as well, and what is not there is named.
    let third = draft(store, "third").await;
    let nothing = what_if(store, third, Changes::default()).await.unwrap();
    assert!(
        nothing
            .schools
            .iter()
            .all(|one| one.items.is_empty() && one.before == one.after)
    );
    let unknown = Changes {
        exclude: vec![excluded(99, 0, 1)],
        ..Changes::default()
    };
    let error = what_if(store, third, unknown).await.unwrap_err();
    assert!(error.to_string().contains("terminal t-99"), "{error}");
    let many = Changes {
        exclude: vec![excluded(1, 0, 1); MAX_EXCLUSIONS + 1],
        ..Changes::default()
    };
    let error = what_if(store, third, many).await.unwrap_err();
    assert!(
        matches!(error, EvaluationError::Exclusions(10_001)),
        "{error}"
    );
    let turned = |id: &str, word: &str| Changes {
        readings: vec![(id.to_owned(), word.to_owned())],
        ..Changes::default()
    };
    for (id, word) in [("R99", "met"), ("R4", "met"), ("R3", "vielleicht")] {
        let error = what_if(store, third, turned(id, word)).await.unwrap_err();
        assert!(matches!(error, EvaluationError::Reading(_)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_is_read_again_as_far_as_it_changed() {
    let Kept { store, .. } = &filled().await;
    let run = draft(store, "first").await;
    let before = load(store, run).await.unwrap();
    enter(store, run, None, vec![yes(2, "1.1.2")])
        .await
        .unwrap();
    let excluded = store.add_exclusion(run, exclusion(3, 0, 2)).await.unwrap();
    let again = load_again(store, &before).await.unwrap();
    let fresh = load(store, run).await.unwrap();
    assert_eq!((&again.run, &again.results), (&fresh.run, &fresh.results));
    assert_ne!(average(&again.results, 2), average(&before.results, 2));
    store.remove_exclusion(run, excluded).await.unwrap();
    let back = load_again(store, &again).await.unwrap();
    assert_eq!(back.results, load(store, run).await.unwrap().results);
    assert_eq!(average(&back.results, 2), average(&before.results, 2));
    // Whoever froze it meanwhile decided.
    freeze(store, run, freezing()).await.unwrap();
    let frozen = load_again(store, &back).await.unwrap();
    assert!(frozen.run.frozen().is_some());
    assert_eq!(frozen.results, load(store, run).await.unwrap().results);
}

fn nothing_differs() -> InputDifference {
    InputDifference {
        minutes: Some(Vec::new()),
        ..InputDifference::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_finds_exactly_what_changed() {
    let Kept { store, .. } = &filled().await;
    let (first, second) = (draft(store, "first").await, draft(store, "second").await);
    let same = compare(store, first, second).await.unwrap();
    assert_eq!(same.schools, []);
    assert_eq!(same.inputs, nothing_differs());

    freeze(store, first, freezing()).await.unwrap();
    let changes = vec![
        yes(1, "1.1.2"),
        entry(3, "5.3", &[(0, Value::Count(3))]),
        Entry {
            school: school(2),
            item: "1.1.1".to_owned(),
            evidence: None,
        },
    ];
    enter(store, second, None, changes).await.unwrap();
    let found = compare(store, first, second).await.unwrap();
    let items: Vec<(String, &str, String)> = found
        .schools
        .iter()
        .flat_map(|one| {
            one.items.iter().map(|item| {
                let points = |score: &Option<rubric::sheet::ItemScore>| {
                    score.as_ref().unwrap().points.to_string()
                };
                let (before, after) = (points(&item.before), points(&item.after));
                (
                    one.school.to_string(),
                    item.item.as_str(),
                    format!("{before} {after}"),
                )
            })
        })
        .collect();
    assert_eq!(
        items,
        [
            (school(1).to_string(), "1.1.2", "0.00 1.00".to_owned()),
            (school(2).to_string(), "1.1.1", "1.00 0.00".to_owned()),
            (school(3).to_string(), "5.3", "2.00 3.00".to_owned()),
        ]
    );
    let evidence: Vec<(String, &str, bool)> = found
        .inputs
        .evidence
        .iter()
        .map(|one| (one.school.to_string(), one.item.as_str(), one.values))
        .collect();
    assert_eq!(
        evidence,
        [
            (school(1).to_string(), "1.1.2", true),
            (school(2).to_string(), "1.1.1", true),
            (school(3).to_string(), "5.3", true),
        ]
    );
    let inputs = &found.inputs;
    assert!(!inputs.rubric && !inputs.calendar && !inputs.period);
    assert_eq!(
        (&inputs.minutes, &*inputs.schools),
        (&Some(vec![]), &[][..])
    );

    // One more minute of the best school moves every school, and the comparison says why.
    report(store, 5, day(0), 480, 560).await;
    store
        .add_exclusion(second, exclusion(1, 0, 0))
        .await
        .unwrap();
    let found = compare(store, first, second).await.unwrap();
    assert_eq!(found.inputs.minutes, Some(vec![school(3)]));
    assert_eq!(found.inputs.exclusions_after, [exclusion(1, 0, 0)]);
    assert!(found.inputs.exclusions_before.is_empty());
    for one in &found.schools {
        assert!(one.items.iter().any(|item| item.item == "4.3.1"), "{one:?}");
    }
    assert_eq!(found.schools.len(), 3);
    let back = compare(store, second, first).await.unwrap();
    assert_eq!(back.inputs.exclusions_before, found.inputs.exclusions_after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minutes_that_are_gone_are_taken_from_a_frozen_run() {
    let Kept { store, .. } = &filled().await;
    let first = draft(store, "first").await;
    let wide = NewRun {
        period: Period {
            first: PERIOD.first,
            last: date(2026, 9, 25),
        },
        ..new_run(store, "wide").await
    };
    freeze(store, first, freezing()).await.unwrap();
    let before = load(store, first).await.unwrap().results;
    query::freshen(store, |_| {}).await.unwrap();
    // The whole term is somebody's evaluation, so that its minutes may go.
    store.note_evaluated(&county(), TERM).await.unwrap();
    assert!(expire(store, date(2028, 1, 1), 90).await.unwrap() > 0);

    let new = new_run(store, "second").await;
    let second = store.create_run(new.clone()).await.unwrap().id;
    let error = load(store, second).await.unwrap_err();
    match &error {
        EvaluationError::MinutesGone { frozen, .. } => assert_eq!(frozen, &[first]),
        other => panic!("{other}"),
    }
    assert!(error.to_string().contains("minutes_from = 1"), "{error}");
    let lone = store.create_run(wide.clone()).await.unwrap().id;
    let error = load(store, lone).await.unwrap_err();
    assert!(matches!(&error, EvaluationError::MinutesGone { frozen, .. } if frozen.is_empty()));

    // A day of teaching that was thought a holiday is counted from the kept minutes; a school that was renamed is shown so.
    let third = NewRun {
        key: "third".to_owned(),
        minutes_from: Some(first),
        ..new
    };
    let third = store.create_run(third).await.unwrap().id;
    enter(store, third, None, county::evidence()).await.unwrap();
    assert_eq!(load(store, third).await.unwrap().results, before);
    let mut change = registry();
    change.placements.clear();
    change.schools[0].name = "改名小学".to_owned();
    store.change_registry(change).await.unwrap();
    let named = load(store, third).await.unwrap();
    assert_eq!(named.inputs.schools[0].name, "改名小学");
    freeze(store, third, freezing()).await.unwrap();
    assert!(verify(store, third).await.unwrap().is_sound());
    let beyond = NewRun {
        key: "beyond".to_owned(),
        minutes_from: Some(first),
        ..wide
    };
    let beyond = store.create_run(beyond).await.unwrap().id;
    let error = load(store, beyond).await.unwrap_err();
    assert!(
        matches!(error, EvaluationError::MinutesFrom { run, .. } if run == first),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrected_calendar_finds_the_days_it_opens() {
    let Kept { store, .. } = &filled().await;
    let holiday = format!(
        "{CALENDAR}\n[[holiday]]\nname = \"误\"\nfirst = \"2026-09-09\"\nlast = \"2026-09-09\"\n"
    );
    store.set_calendar(&county(), &holiday, NOW).await.unwrap();
    let first = draft(store, "first").await;
    freeze(store, first, freezing()).await.unwrap();
    assert_eq!(
        average(&load(store, first).await.unwrap().results, 3),
        (540, 9)
    );
    store.set_calendar(&county(), CALENDAR, NOW).await.unwrap();
    let new = NewRun {
        minutes_from: Some(first),
        ..new_run(store, "second").await
    };
    let second = store.create_run(new).await.unwrap().id;
    assert_eq!(
        average(&load(store, second).await.unwrap().results, 3),
        (600, 10)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_explanation_goes_down_to_minutes() {
    let Kept { store, .. } = &filled().await;
    // Use on a Saturday is seen and does not count.
    report(store, 1, day(5), 480, 500).await;
    let run = draft(store, "k").await;
    store.add_exclusion(run, exclusion(1, 1, 1)).await.unwrap();
    for frozen in [false, true] {
        if frozen {
            freeze(store, run, freezing()).await.unwrap();
        }
        let found = explain(store, run, &school(1), "4.3.1").await.unwrap();
        let monitoring = found.monitoring.unwrap();
        let sum = |of: fn(&classpulse::evaluation::TerminalExplanation) -> u64| {
            monitoring.terminals.iter().map(of).sum::<u64>()
        };
        assert_eq!(sum(|one| one.counted), monitoring.sums.counted);
        assert_eq!(sum(|one| one.due_days), monitoring.sums.service_days);
        assert_eq!(monitoring.sums.service_days, 19);
        assert_eq!(monitoring.highest, "60.00");
        let one = &monitoring.terminals[0];
        assert_eq!(
            (one.terminal.as_str(), one.room.as_str()),
            ("t-1", "一年一班")
        );
        assert_eq!(
            (one.due_days, one.excluded_days, one.days.len()),
            (9, 1, 11)
        );
        let tuesday = &one.days[1];
        assert_eq!(
            (tuesday.day, tuesday.counted, tuesday.due),
            (day(1), 0, false)
        );
        assert_eq!(tuesday.used, "08:01-08:31");
        assert_eq!(
            tuesday.excluded.as_ref().unwrap().exclusion,
            exclusion(1, 1, 1)
        );
        let saturday = &one.days[5];
        assert_eq!(
            (saturday.teaching, saturday.used_minutes, saturday.counted),
            (None, 20, 0)
        );
        let monday = &one.days[0];
        assert_eq!(
            (monday.teaching, monday.counted, monday.due),
            (Some(200), 30, true)
        );

        let plain = explain(store, run, &school(2), "3.2.3").await.unwrap();
        assert!(plain.monitoring.is_none());
        assert_eq!(plain.evidence.unwrap().by, "张三");
        assert!(plain.readings.iter().any(|(id, _)| id == "R3"));
        for (number, item) in [(9, "4.3.1"), (1, "9.9")] {
            let error = explain(store, run, &school(number), item)
                .await
                .unwrap_err();
            assert!(matches!(error, EvaluationError::Unknown { .. }), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watch_names_who_sets_the_maximum_and_what_looks_wrong() {
    let Kept { store, .. } = &filled().await;
    let run = draft(store, "k").await;
    let calm = load(store, run).await.unwrap().results.watch;
    assert_eq!(
        calm.sentences,
        [
            "全县最高平均使用时间 60.00 分钟/台·日,由第三中学取得。",
            "其次是第二小学,45.00 分钟/台·日,相差 15.00 分钟。",
            "最高校的终端没有发现可疑之处。"
        ]
    );
    assert_eq!(calm.next, Some(school(2)));
    // t-3 runs all night and all day on two days, and someone copied its disk.
    for on in [0, 1] {
        report(store, 3, day(on), 0, 1_440).await;
        report(store, 4, day(on), 480, 900).await;
    }
    let told = Batch {
        incidents: vec![
            Incident::two_machines(terminal(3), 1_788_998_400),
            Incident::two_machines(terminal(3), NOW),
        ],
        ..Batch::default()
    };
    store.commit(told).await.unwrap();
    let watch = load(store, run).await.unwrap().results.watch;
    assert!(
        watch.sentences[0].contains("第二小学"),
        "{:?}",
        watch.sentences
    );
    assert_eq!(watch.doubts.len(), 1);
    let kinds: Vec<_> = watch.doubts[0]
        .doubts
        .iter()
        .map(|one| (one.terminal.as_str(), one.kind, one.days))
        .collect();
    assert_eq!(
        kinds,
        [
            ("t-3", DoubtKind::Night, 2),
            ("t-3", DoubtKind::AllDay, 2),
            ("t-3", DoubtKind::TwoMachines, 1),
        ]
    );
    assert!(
        watch.sentences[2].contains("3 处可疑"),
        "{:?}",
        watch.sentences
    );
    // What somebody has excluded is no longer doubted, and another school may have the maximum.
    store.add_exclusion(run, exclusion(3, 0, 1)).await.unwrap();
    store.add_exclusion(run, exclusion(4, 0, 1)).await.unwrap();
    let watch = load(store, run).await.unwrap().results.watch;
    assert!(
        watch.sentences[0].contains("第三中学"),
        "{:?}",
        watch.sentences
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_excluded_day_of_two_machines_is_no_longer_doubted() {
    let Kept { store, .. } = &filled().await;
    let run = draft(store, "k").await;
    // 8:00 of the first Wednesday and of the second, and the seconds around the period.
    let first = 1_788_998_400 - 86_400;
    let midnight = first - 2 * 86_400 - 8 * 3_600;
    let told = [
        midnight - 1,
        first,
        first + 7 * 86_400,
        midnight + 14 * 86_400,
    ];
    let batch = Batch {
        incidents: told
            .map(|at| Incident::two_machines(terminal(5), at))
            .into(),
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    let doubted = || async {
        let watch = load(store, run).await.unwrap().results.watch;
        assert!(
            watch.sentences[0].contains("第三中学"),
            "{:?}",
            watch.sentences
        );
        let all = watch.doubts.into_iter().flat_map(|one| one.doubts);
        all.map(|one| (one.kind, one.first, one.last))
            .collect::<Vec<_>>()
    };
    let two = DoubtKind::TwoMachines;
    assert_eq!(doubted().await, [(two, day(2), day(9))]);
    store.add_exclusion(run, exclusion(5, 2, 2)).await.unwrap();
    assert_eq!(doubted().await, [(two, day(9), day(9))]);
    store.add_exclusion(run, exclusion(5, 9, 9)).await.unwrap();
    assert_eq!(doubted().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_is_entered_whole_or_not_at_all() {
    let Kept { store, .. } = &filled().await;
    let new = new_run(store, "k").await;
    let run = store.create_run(new).await.unwrap().id;
    let wrong = vec![
        yes(1, "1.1.1"),
        entry(1, "3.2.3", &[(0, Value::YesNo(true))]),
        entry(9, "1.1.1", &[]),
        Entry {
            item: "7.7".to_owned(),
            ..yes(1, "1.1.1")
        },
        entry(3, "3.2.3", &[(1, Value::NotApplicable)]),
    ];
    let error = enter(store, run, None, wrong).await.unwrap_err();
    let EvaluationError::Unfit(unfit) = error else {
        panic!("{error}");
    };
    let places: Vec<usize> = unfit.iter().map(|one| one.index).collect();
    assert_eq!(places, [1, 2, 3, 4], "{unfit:?}");
    assert_eq!(store.evidence(run, None).await.unwrap(), []);

    assert_eq!(
        enter(store, run, Some(0), county::evidence())
            .await
            .unwrap(),
        Entered {
            revision: 1,
            changed: 6
        }
    );
    // Another clerk enters the same: who and when stay, and nobody's freeze fails for it.
    let mut again = county::evidence();
    for one in &mut again {
        let evidence = one.evidence.as_mut().unwrap();
        (evidence.by, evidence.at) = ("赵六".to_owned(), NOW + 9);
    }
    let unchanged = Entered {
        revision: 1,
        changed: 0,
    };
    assert_eq!(enter(store, run, Some(1), again).await.unwrap(), unchanged);
    // Only what says something new counts, also where what is not there is taken away.
    let mut some = vec![yes(1, "1.1.1"), yes(2, "2.1.1")];
    some.push(Entry {
        evidence: None,
        ..yes(3, "6.1")
    });
    let entered = enter(store, run, None, some).await.unwrap();
    assert_eq!((entered.revision, entered.changed), (2, 1));
    let (_, inputs) = inputs_of(store, run).await.unwrap();
    assert_eq!(inputs.evidence[&school(1)]["1.1.1"].by, "张三");
    let stale = enter(store, run, Some(0), vec![yes(1, "1.1.2")]).await;
    assert!(stale.unwrap_err().to_string().contains("revision 2, not 0"));
    freeze(store, run, freezing()).await.unwrap();
    let late = enter(store, run, None, vec![yes(1, "1.1.2")]).await;
    assert!(late.unwrap_err().to_string().contains("frozen"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_county_without_minutes_or_terminals_is_scored_too() {
    let kept = county::empty();
    let store = &kept.store;
    let mut change = registry();
    change.placements.clear();
    store.change_registry(change).await.unwrap();
    let new = new_run(store, "k").await;
    let run = store.create_run(new).await.unwrap().id;
    let error = load(store, run).await.unwrap_err();
    assert!(matches!(error, EvaluationError::NoCalendar(_)), "{error}");
    store.set_calendar(&county(), CALENDAR, 0).await.unwrap();
    let results = load(store, run).await.unwrap().results;
    assert!(results.highest_schools.is_empty());
    assert!(
        results
            .schools
            .iter()
            .all(|one| one.sheet.total == Points::ZERO)
    );
    assert_eq!(results.schools.len(), 3);
    freeze(store, run, freezing()).await.unwrap();
    assert!(verify(store, run).await.unwrap().is_sound());
}

fn correction(key: &str, supersedes: i64) -> NewEvaluation {
    NewEvaluation {
        key: key.to_owned(),
        county: county(),
        name: "更正".to_owned(),
        period: PERIOD,
        rubric: None,
        supersedes: Some(supersedes),
        minutes_from: None,
        by: "王五".to_owned(),
        at: NOW,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_correction_begins_with_what_was_known_and_tells_what_does_not_fit() {
    let Kept { store, .. } = &filled().await;
    let first = draft(store, "first").await;
    store
        .add_exclusion(first, exclusion(1, 1, 1))
        .await
        .unwrap();
    freeze(store, first, freezing()).await.unwrap();
    let made = create(store, correction("a", first)).await.unwrap();
    assert_eq!(made.left_out, []);
    let found = compare(store, first, made.run.id).await.unwrap();
    assert_eq!(found.inputs, nothing_differs());
    assert_eq!(found.schools, []);
    // Made once more, it stays as somebody has left it.
    let kept = store.exclusions(made.run.id).await.unwrap();
    store
        .remove_exclusion(made.run.id, kept[0].id)
        .await
        .unwrap();
    let again = create(store, correction("a", first)).await.unwrap();
    assert_eq!(again.run.id, made.run.id);
    assert_eq!(store.exclusions(made.run.id).await.unwrap(), []);

    // Another rubric has none of these items: nothing is taken over in silence.
    let example = include_str!("../../deploy/rubric/example.toml");
    let example = store.put_rubric(example, NOW).await.unwrap();
    let other = NewEvaluation {
        rubric: Some(example),
        ..correction("b", first)
    };
    let made = create(store, other).await.unwrap();
    assert_eq!(made.left_out.len(), county::evidence().len());
    assert!(
        made.left_out[0].problem.contains("没有条目"),
        "{:?}",
        made.left_out
    );
    assert_eq!(store.evidence(made.run.id, None).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_may_be_made_before_its_days_are_over() {
    let Kept { store, .. } = &filled().await;
    let year = Period {
        first: PERIOD.first,
        last: date(2027, 7, 10),
    };
    let new = |key: &str, period| NewEvaluation {
        supersedes: None,
        period,
        ..correction(key, 0)
    };
    let made = create(store, new("year", year)).await.unwrap().run;
    assert_eq!(made.period, year, "not cut at today");
    let refused = freeze(store, made.id, freezing()).await.unwrap_err();
    assert!(
        matches!(refused, EvaluationError::NotOver { .. }),
        "{refused}"
    );
    let backwards = Period {
        first: year.last,
        last: year.first,
    };
    let refused = create(store, new("none", backwards)).await.unwrap_err();
    assert!(
        matches!(refused, EvaluationError::Period { .. }),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_looked_at_is_what_is_frozen() {
    let Kept { store, .. } = &filled().await;
    let run = draft(store, "k").await;
    let seen = load(store, run)
        .await
        .unwrap()
        .results
        .figures()
        .to_string();
    let expecting = |figures: &str| Freezing {
        figures: figures.to_owned(),
        ..freezing()
    };
    // Minutes that come late raise no revision, but the figures are others.
    report(store, 1, day(0), 600, 640).await;
    let refused = freeze(store, run, expecting(&seen)).await.unwrap_err();
    assert!(
        matches!(refused, EvaluationError::Changed { .. }),
        "{refused}"
    );
    let now = load(store, run)
        .await
        .unwrap()
        .results
        .figures()
        .to_string();
    assert_ne!(now, seen);
    freeze(store, run, expecting(&now[..16])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_is_judged_again_where_a_school_s_stage_was_mended() {
    let Kept { store, .. } = &filled().await;
    let run = draft(store, "k").await;
    let points = async || {
        let results = load(store, run).await.unwrap().results;
        let item = results
            .school(&school(2))
            .unwrap()
            .sheet
            .item("3.2.3")
            .unwrap()
            .clone();
        (item.points, item.reason)
    };
    assert_eq!(
        points().await.0.short(),
        "1",
        "a primary school's 不适用 is taken as met"
    );
    let mut change = registry();
    change.schools[1].stage = classpulse::domain::ids::Stage::Junior;
    change.placements.clear();
    store.change_registry(change).await.unwrap();
    let (given, reason) = points().await;
    assert_eq!(given, Points::ZERO);
    assert!(
        reason.contains("材料与细则不符") && reason.contains("初中"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schools_that_came_or_left_since_keep_their_place_beside_frozen_minutes() {
    let Kept { store, .. } = &filled().await;
    let first = draft(store, "first").await;
    freeze(store, first, freezing()).await.unwrap();
    // School 3, which sets the maximum, goes to another county; school 4 comes.
    let mut change = registry();
    let mut newcomer = change.schools[0].clone();
    (newcomer.code, newcomer.name) = (school(4), "第四小学".to_owned());
    let mut other = change.counties[0].clone();
    other.code = "231124".parse().unwrap();
    change.schools[2].county = other.code.clone();
    change.schools.push(newcomer);
    change.counties.push(other);
    change.placements.clear();
    store.change_registry(change).await.unwrap();
    let mut new = correction("second", first);
    new.minutes_from = Some(first);
    let made = create(store, new).await.unwrap();
    assert!(
        made.left_out.iter().all(|one| one.school == school(3)),
        "{:?}",
        made.left_out
    );
    assert_eq!(made.left_out.len(), 2);
    let results = load(store, made.run.id).await.unwrap().results;
    assert_eq!(results.highest_schools, [school(3)]);
    assert_eq!(results.schools.len(), 4);
    enter(store, made.run.id, None, vec![yes(4, "1.1.1")])
        .await
        .unwrap();
    let results = load(store, made.run.id).await.unwrap().results;
    let item = results
        .school(&school(4))
        .unwrap()
        .sheet
        .item("1.1.1")
        .unwrap();
    assert_eq!(item.points.short(), "1");
}
