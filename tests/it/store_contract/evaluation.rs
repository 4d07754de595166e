//! Laws of evaluation: a run is created once, changed while it is a draft, and never after it was frozen; all of it moves.

use classpulse::{
    domain::{ids::SchoolCode, usage::Period},
    retention::expire,
    store::{
        ContentDigest, EvidenceChange, Exclusion, Freeze, FreezeRun, KeptEvidence, MAX_EXCLUSIONS,
        MAX_RUBRIC_BYTES, NewRun, Part, Record, RegistryChange, Run, RunState, SharedStore, Store,
        StoreError,
    },
};
use jiff::civil::date;

use super::{
    Database,
    fixtures::{
        TUESDAY, calendar, county, day, placed, primary, roll_up_all, school, schools, since,
        terminal, used,
    },
    incidents::everything,
};

/// 2027-01-20T08:00:00+08:00.
const NOW: i64 = 1_800_403_200;

const TERM: Period = Period {
    first: date(2026, 8, 31),
    last: date(2027, 1, 15),
};

pub(super) async fn filled(database: &Database) -> SharedStore {
    let store = database.open().await;
    store.change_registry(schools([1, 2])).await.unwrap();
    let text = calendar(16);
    store.set_calendar(&county(), &text, 0).await.unwrap();
    let change = placed(1, vec![since(1, TUESDAY)]);
    store.change_registry(change).await.unwrap();
    store
}

async fn new(store: &dyn Store, key: &str) -> NewRun {
    of_rubric(store.put_rubric("name = \"细则\"", NOW).await.unwrap(), key)
}

pub(super) fn of_rubric(rubric: ContentDigest, key: &str) -> NewRun {
    NewRun {
        key: key.to_owned(),
        county: county(),
        name: "2026-2027学年第一学期".to_owned(),
        period: TERM,
        rubric,
        supersedes: None,
        minutes_from: None,
        by: "王五".to_owned(),
        at: NOW,
        evidence: Vec::new(),
        exclusions: Vec::new(),
    }
}

async fn draft(store: &dyn Store, key: &str) -> Run {
    let new = new(store, key).await;
    store.create_run(new).await.unwrap()
}

pub(super) fn change(number: u32, item: &str, content: Option<&str>) -> EvidenceChange {
    EvidenceChange {
        school: school(number),
        item: item.to_owned(),
        content: content.map(str::to_owned),
    }
}

pub(super) fn exclusion(number: u32) -> Exclusion {
    Exclusion {
        terminal: terminal(number),
        first: TUESDAY,
        last: TUESDAY,
        reason: "整夜开机".to_owned(),
        by: "李四".to_owned(),
        at: NOW,
    }
}

pub(super) fn freezing(run: i64, revision: i64, parts: &[(&str, &str)]) -> FreezeRun {
    let parts = parts
        .iter()
        .map(|(key, content)| Part::new(*key, content).unwrap());
    FreezeRun {
        run,
        revision,
        parts: parts.collect(),
        freeze: Freeze {
            digest: ContentDigest::of(b"all"),
            by: "王五".to_owned(),
            at: NOW + 1,
            note: "已核对".to_owned(),
        },
    }
}

/// A run with evidence, an exclusion and two parts.
async fn frozen(store: &dyn Store, key: &str) -> Run {
    let id = draft(store, key).await.id;
    let changes = vec![
        change(2, "1.1.1", Some("{\"a\":1}")),
        change(1, "1.1.1", Some("{}")),
    ];
    store.put_evidence(id, None, changes).await.unwrap();
    store.add_exclusion(id, exclusion(1)).await.unwrap();
    let parts = [
        ("run", "{\"name\":\"一\"}"),
        ("minutes/XK-01", "{\"t\":[]}\n"),
    ];
    store.freeze_run(freezing(id, 2, &parts)).await.unwrap();
    store.run(id).await.unwrap()
}

/// All that is known of a run.
async fn whole(
    store: &dyn Store,
    id: i64,
) -> (Run, Vec<KeptEvidence>, String, Vec<(String, String)>) {
    let mut contents = Vec::new();
    for part in store.run_parts(id).await.unwrap() {
        let content = store.run_part(id, &part.key).await.unwrap();
        assert_eq!(part.digest, ContentDigest::of(content.as_bytes()));
        assert_eq!(part.bytes, content.len() as u64);
        contents.push((part.key, content));
    }
    (
        store.run(id).await.unwrap(),
        store.evidence(id, None).await.unwrap(),
        format!("{:?}", store.exclusions(id).await.unwrap()),
        contents,
    )
}

fn is_conflict<T: std::fmt::Debug>(outcome: &Result<T, StoreError>, said: &str) {
    assert!(
        matches!(outcome, Err(StoreError::Conflict(text)) if text.contains(said)),
        "{outcome:?} should conflict: {said}"
    );
}

fn is_missing<T: std::fmt::Debug>(outcome: &Result<T, StoreError>, wanted: &str) {
    assert!(
        matches!(outcome, Err(StoreError::NotFound { what, .. }) if *what == wanted),
        "{outcome:?} should miss a {wanted}"
    );
}

pub(super) async fn twenty_at_once_create_one_run(database: &Database) {
    let (store, other) = (filled(database).await, database.open().await);
    let wanted = new(&*store, "k-1").await;
    let all = (0..20).map(|number| {
        let store = if number % 2 == 0 { &store } else { &other };
        let mut wanted = wanted.clone();
        // Who and when are no content: the retry of another clerk is the same run.
        wanted.at += number;
        async move { store.create_run(wanted).await.unwrap() }
    });
    let made = futures::future::join_all(all).await;
    assert!(made.iter().all(|run| *run == made[0]), "{made:?}");
    assert_eq!((made[0].id, made[0].revision), (1, 0));
    assert_eq!(made[0].state, RunState::Draft);
    assert_eq!(store.runs(&county()).await.unwrap(), made[..1]);

    let another = NewRun {
        name: "别的".to_owned(),
        ..wanted.clone()
    };
    is_conflict(&other.create_run(another).await, "another content");
    // Twenty with a key each: each gets a number of its own.
    let all = (0..20).map(|number| {
        let store = if number % 2 == 0 { &store } else { &other };
        let wanted = NewRun {
            key: format!("n-{number}"),
            ..wanted.clone()
        };
        async move { store.create_run(wanted).await.unwrap().id }
    });
    let mut ids = futures::future::join_all(all).await;
    ids.sort_unstable();
    assert_eq!(ids, (2..=21).collect::<Vec<_>>());
    let listed: Vec<_> = store.runs(&county()).await.unwrap();
    assert!(listed.windows(2).all(|pair| pair[0].id > pair[1].id));
    // A number that was given is never given again.
    store.discard_run(21).await.unwrap();
    assert_eq!(draft(&*store, "later").await.id, 22);
    is_missing(&store.run(21).await, "evaluation run");
    store.close().await;
    other.close().await;
}

pub(super) async fn what_a_run_refers_to_must_be_there(database: &Database) {
    let store = filled(database).await;
    let text = "name = \"细则\"";
    let digest = store.put_rubric(text, NOW).await.unwrap();
    assert_eq!(digest, ContentDigest::of(text.as_bytes()));
    assert_eq!(store.put_rubric(text, NOW + 9).await.unwrap(), digest);
    let kept = store.rubric(digest).await.unwrap().unwrap();
    assert_eq!((kept.text.as_str(), kept.stored_at), (text, NOW));
    store.put_rubric("另一份", NOW + 5).await.unwrap();
    let listed = store.rubrics().await.unwrap();
    let texts: Vec<_> = listed.iter().map(|rubric| rubric.text.as_str()).collect();
    assert_eq!(texts, ["另一份", text]);
    let unknown = ContentDigest::of(b"unknown");
    assert_eq!(store.rubric(unknown).await.unwrap(), None);
    is_conflict(&store.put_rubric("a\0b", NOW).await, "NUL");
    let long = "长".repeat(MAX_RUBRIC_BYTES / 3 + 1);
    is_conflict(&store.put_rubric(&long, NOW).await, "bytes");

    let good = new(&*store, "k").await;
    let with = |change: fn(&mut NewRun)| {
        let mut run = good.clone();
        change(&mut run);
        store.create_run(run)
    };
    let missing = with(|run| run.county = "110000".parse().unwrap()).await;
    is_missing(&missing, "county");
    is_missing(
        &with(|run| run.rubric = ContentDigest::of(b"unknown")).await,
        "rubric",
    );
    let missing = with(|run| run.supersedes = Some(9)).await;
    is_missing(&missing, "evaluation run");
    let missing = with(|run| run.minutes_from = Some(9)).await;
    is_missing(&missing, "evaluation run");
    is_conflict(&with(|run| run.key = "x".repeat(65)).await, "64");
    is_conflict(&with(|run| run.key.clear()).await, "key");
    is_conflict(&with(|run| " ".clone_into(&mut run.name)).await, "name");
    is_conflict(&with(|run| run.by.clear()).await, "creates");
    is_conflict(
        &with(|run| run.period.last = date(2026, 8, 30)).await,
        "before",
    );
    assert_eq!(store.runs(&county()).await.unwrap(), []);

    let first = draft(&*store, "first").await;
    let second = NewRun {
        supersedes: Some(first.id),
        ..new(&*store, "second").await
    };
    is_conflict(&store.create_run(second.clone()).await, "not frozen");
    let freeze = freezing(first.id, 0, &[]);
    store.freeze_run(freeze).await.unwrap();
    let made = store.create_run(second.clone()).await.unwrap();
    assert_eq!((made.supersedes, made.minutes_from), (Some(first.id), None));
    let mut change = schools([]);
    change.counties[0].code = "110000".parse().unwrap();
    store.change_registry(change).await.unwrap();
    let foreign = NewRun {
        county: "110000".parse().unwrap(),
        ..second
    };
    is_conflict(&store.create_run(foreign).await, "231123");
    store.close().await;
}

pub(super) async fn evidence_is_taken_whole_or_not_at_all(database: &Database) {
    let store = filled(database).await;
    let id = draft(&*store, "k").await.id;
    let put = |expected, changes| store.put_evidence(id, expected, changes);
    let both = vec![
        change(2, "1.1.1", Some("b")),
        change(1, "1.1.1", Some("a")),
        change(1, "2.1", Some("c")),
    ];
    assert_eq!(put(Some(0), both.clone()).await.unwrap(), 1);
    let listed = async |school: Option<SchoolCode>| {
        let found = store.evidence(id, school.as_ref()).await.unwrap();
        let pairs = found
            .into_iter()
            .map(|one| format!("{} {} {}", one.school, one.item, one.content));
        pairs.collect::<Vec<_>>()
    };
    let all = ["XK-01 1.1.1 a", "XK-01 2.1 c", "XK-02 1.1.1 b"];
    assert_eq!(listed(None).await, all);
    assert_eq!(listed(Some(school(2))).await, all[2..]);
    // The same again is no change, so nobody's freeze fails for it.
    assert_eq!(put(None, both).await.unwrap(), 1);
    assert_eq!(put(None, vec![change(2, "9", None)]).await.unwrap(), 1);

    let stale = put(Some(0), vec![change(1, "2.1", Some("x"))]).await;
    is_conflict(&stale, "revision 1, not 0");
    let unknown = vec![change(1, "2.1", Some("x")), change(7, "2.1", Some("x"))];
    is_missing(&put(None, unknown).await, "school");
    let twice = vec![change(1, "2.1", Some("x")), change(1, "2.1", Some("y"))];
    is_conflict(&put(None, twice).await, "twice");
    let nul = vec![change(1, "2.1", Some("x")), change(2, "2.1", Some("a\0"))];
    is_conflict(&put(None, nul).await, "NUL");
    let nameless = vec![change(1, "2.1", Some("x")), change(1, "", None)];
    is_conflict(&put(None, nameless).await, "item");
    assert_eq!(listed(None).await, all);
    assert_eq!(store.run(id).await.unwrap().revision, 1);

    let away = vec![change(1, "1.1.1", None), change(2, "1.1.1", Some("d"))];
    assert_eq!(put(Some(1), away).await.unwrap(), 2);
    assert_eq!(listed(None).await, ["XK-01 2.1 c", "XK-02 1.1.1 d"]);
    // Another county's school is nobody here.
    let mut moved = schools([]);
    moved.counties[0].code = "110000".parse().unwrap();
    moved.schools.push(primary(3));
    moved.schools[0].county = "110000".parse().unwrap();
    store.change_registry(moved).await.unwrap();
    let foreign = put(None, vec![change(3, "2.1", Some("x"))]).await;
    is_missing(&foreign, "school");
    is_missing(&store.evidence(99, None).await, "evaluation run");
    let none = store.put_evidence(99, None, Vec::new()).await;
    is_missing(&none, "evaluation run");

    // Many at once: each change is there, each raised the revision.
    let other = database.open().await;
    let all = (0..10).map(|number| {
        let store = if number % 2 == 0 { &store } else { &other };
        let one = vec![change(1, &format!("p-{number}"), Some("x"))];
        async move { store.put_evidence(id, None, one).await.unwrap() }
    });
    let mut revisions = futures::future::join_all(all).await;
    revisions.sort_unstable();
    assert_eq!(revisions, (3..13).collect::<Vec<_>>());
    assert_eq!(listed(Some(school(1))).await.len(), 11);
    // What goes with a draft comes not back with its key.
    store.discard_run(id).await.unwrap();
    let again = draft(&*store, "k").await.id;
    assert_eq!(store.evidence(again, None).await.unwrap(), []);
    store.close().await;
    other.close().await;
}

pub(super) async fn exclusions_are_a_persons_word(database: &Database) {
    let store = filled(database).await;
    let id = draft(&*store, "k").await.id;
    let first = store.add_exclusion(id, exclusion(1)).await.unwrap();
    let mut later = exclusion(1);
    later.last = date(2026, 9, 3);
    let second = store.add_exclusion(id, later.clone()).await.unwrap();
    let mut again = exclusion(1);
    again.at += 60;
    assert_eq!(store.add_exclusion(id, again).await.unwrap(), first);
    assert_eq!(store.run(id).await.unwrap().revision, 2);
    let kept = store.exclusions(id).await.unwrap();
    assert_eq!((kept[0].id, kept[1].id), (first, second));
    assert_eq!(
        (&kept[0].exclusion, &kept[1].exclusion),
        (&exclusion(1), &later)
    );

    let with = |change: fn(&mut Exclusion)| {
        let mut wrong = exclusion(1);
        change(&mut wrong);
        store.add_exclusion(id, wrong)
    };
    is_conflict(&with(|one| one.reason.clear()).await, "reason");
    is_conflict(&with(|one| one.reason = "长".repeat(501)).await, "500");
    is_conflict(&with(|one| "\t".clone_into(&mut one.by)).await, "who");
    is_conflict(
        &with(|one| one.last = date(2026, 8, 31)).await,
        "before its first",
    );
    is_missing(&with(|one| one.terminal = terminal(99)).await, "terminal");
    is_missing(
        &store.add_exclusion(99, exclusion(1)).await,
        "evaluation run",
    );
    is_missing(&store.exclusions(99).await, "evaluation run");
    is_missing(&store.remove_exclusion(id, 99).await, "exclusion");

    // A number that was given is never given again: nobody removes another's by mistake.
    store.remove_exclusion(id, second).await.unwrap();
    let third = store.add_exclusion(id, later).await.unwrap();
    assert!(third > second);
    is_missing(&store.remove_exclusion(id, second).await, "exclusion");
    assert_eq!(store.run(id).await.unwrap().revision, third);

    // As many as there may be: one that is there is no further one.
    let mut all = everything(&*store).await;
    all.retain(|record| matches!(record, Record::RunExclusion(_)));
    let Some(Record::RunExclusion(one)) = all.pop() else {
        panic!("no exclusion")
    };
    let count = MAX_EXCLUSIONS - store.exclusions(id).await.unwrap().len();
    let more = (0..count).map(|number| {
        let mut more = one.clone();
        more.number = 1_000_000 + i64::try_from(number).unwrap();
        Record::RunExclusion(more)
    });
    store.take_in(more.collect()).await.unwrap();
    let kept = store.exclusions(id).await.unwrap().len();
    assert_eq!(kept, MAX_EXCLUSIONS);
    let new = || {
        let mut new = exclusion(1);
        "另一天".clone_into(&mut new.reason);
        new
    };
    is_conflict(&store.add_exclusion(id, new()).await, "10000 exclusions");
    let known = store.add_exclusion(id, exclusion(1)).await.unwrap();
    assert_eq!(known, first);
    store.remove_exclusion(id, 1_000_000).await.unwrap();
    store.add_exclusion(id, new()).await.unwrap();
    store.close().await;
}

pub(super) async fn a_freeze_is_of_the_revision_that_was_read(database: &Database) {
    let store = filled(database).await;
    let id = draft(&*store, "k").await.id;
    store
        .put_evidence(id, Some(0), vec![change(1, "1.1.1", Some("a"))])
        .await
        .unwrap();
    let stale = freezing(id, 0, &[("run", "x")]);
    is_conflict(&store.freeze_run(stale).await, "revision 1, not 0");
    assert_eq!(store.run(id).await.unwrap().state, RunState::Draft);
    assert_eq!(store.run_parts(id).await.unwrap(), []);
    assert_eq!(store.evaluated(&county()).await.unwrap(), []);

    let twice = freezing(id, 1, &[("run", "x"), ("run", "y")]);
    is_conflict(&store.freeze_run(twice).await, "twice");
    let mut nobody = freezing(id, 1, &[]);
    nobody.freeze.by.clear();
    is_conflict(&store.freeze_run(nobody).await, "who freezes");
    let mut talk = freezing(id, 1, &[]);
    talk.freeze.note = "长".repeat(501);
    is_conflict(&store.freeze_run(talk).await, "note");
    is_missing(
        &store.freeze_run(freezing(99, 0, &[])).await,
        "evaluation run",
    );

    // Evidence and a freeze at once, often: the freeze never leaves out what was taken before it.
    let other = database.open().await;
    for round in 0..20 {
        let id = draft(&*store, &format!("race-{round}")).await.id;
        let evidence = store.put_evidence(id, None, vec![change(1, "1.1.1", Some("a"))]);
        let freeze = other.freeze_run(freezing(id, 0, &[("run", "without")]));
        let (evidence, freeze) = futures::join!(evidence, freeze);
        assert!(
            evidence.is_ok() != freeze.is_ok(),
            "{evidence:?} {freeze:?}"
        );
        let kept = store.evidence(id, None).await.unwrap().len();
        assert_eq!(kept, usize::from(evidence.is_ok()));
    }
    // Two freeze at once: one does.
    let id = draft(&*store, "both").await.id;
    let (one, two) = futures::join!(
        store.freeze_run(freezing(id, 0, &[("run", "1")])),
        other.freeze_run(freezing(id, 0, &[("run", "2")]))
    );
    assert!(one.is_ok() != two.is_ok());
    let expected = if one.is_ok() { "1" } else { "2" };
    assert_eq!(store.run_part(id, "run").await.unwrap(), expected);
    assert_eq!(store.evaluated(&county()).await.unwrap(), [TERM]);
    store.close().await;
    other.close().await;
}

pub(super) async fn a_frozen_run_refuses_every_change(database: &Database) {
    let store = filled(database).await;
    let run = frozen(&*store, "k").await;
    let freeze = run.frozen().unwrap();
    assert_eq!(*freeze, freezing(0, 0, &[]).freeze);
    let before = whole(&*store, run.id).await;
    let number = store.exclusions(run.id).await.unwrap()[0].id;
    let id = run.id;
    let said = "frozen by 王五";
    let one = || vec![change(1, "1.1.1", Some("x"))];
    is_conflict(&store.put_evidence(id, None, one()).await, said);
    is_conflict(&store.put_evidence(id, Some(2), one()).await, said);
    is_conflict(&store.put_evidence(id, None, Vec::new()).await, said);
    let away = vec![change(1, "1.1.1", None)];
    is_conflict(&store.put_evidence(id, None, away).await, said);
    is_conflict(&store.add_exclusion(id, exclusion(1)).await, said);
    is_conflict(&store.remove_exclusion(id, number).await, said);
    is_conflict(&store.discard_run(id).await, said);
    let again = freezing(id, 2, &[("more", "x")]);
    is_conflict(&store.freeze_run(again).await, said);
    assert_eq!(whole(&*store, id).await, before);
    // The retry of its creation still finds it.
    assert_eq!(draft(&*store, "k").await, before.0);
    store.close().await;
}

pub(super) async fn parts_read_back_byte_for_byte(database: &Database) {
    let store = filled(database).await;
    let id = draft(&*store, "k").await.id;
    let long: String = (0..200_000_u32)
        .map(|number| char::from_u32(32 + number * 7_919 % 90).unwrap())
        .collect();
    let odd = "\u{feff}\r\n\t\0 课脉 \u{1F600} \\ \" \u{7f}";
    let parts = [("a", ""), ("b", odd), ("c/1", &long), ("c/10", "x\n")];
    store.freeze_run(freezing(id, 0, &parts)).await.unwrap();
    let (_, _, _, contents) = whole(&*store, id).await;
    let expected = parts.map(|(key, content)| (key.to_owned(), content.to_owned()));
    assert_eq!(contents, expected);
    is_missing(&store.run_part(id, "z").await, "part");
    is_missing(&store.run_part(99, "a").await, "evaluation run");
    is_missing(&store.run_parts(99).await, "evaluation run");
    let draft = draft(&*store, "d").await.id;
    assert_eq!(store.run_parts(draft).await.unwrap(), []);
    store.close().await;
}

pub(super) async fn frozen_runs_are_out_of_reach(database: &Database) {
    let store = filled(database).await;
    store
        .commit(day(1, TUESDAY, &used(480, 520)))
        .await
        .unwrap();
    roll_up_all(&*store).await;
    let id = frozen(&*store, "k").await.id;
    let before = whole(&*store, id).await;
    // The period is evaluated: its minutes go.
    let removed = expire(&*store, date(2028, 12, 1), 90).await.unwrap();
    assert_eq!(removed, 1);
    assert_eq!(whole(&*store, id).await, before);

    let text = calendar(12);
    store.set_calendar(&county(), &text, 5).await.unwrap();
    let mut renamed = schools([]);
    "改名县".clone_into(&mut renamed.counties[0].name);
    renamed.counties.push(classpulse::store::County {
        code: "110000".parse().unwrap(),
        name: "别县".to_owned(),
    });
    renamed.schools.push(primary(1));
    "改名小学".clone_into(&mut renamed.schools[0].name);
    renamed.schools[0].county = "110000".parse().unwrap();
    renamed
        .placements
        .push((terminal(1), vec![since(2, TUESDAY)]));
    store.change_registry(renamed).await.unwrap();
    let gone = RegistryChange {
        placements: vec![(terminal(1), Vec::new())],
        ..RegistryChange::default()
    };
    store.change_registry(gone).await.unwrap();
    roll_up_all(&*store).await;
    assert_eq!(whole(&*store, id).await, before);
    store.close().await;
}

/// What is kept of evaluation moves between stores of either kind, page by page, and pages may come again.
pub(super) async fn runs_move_with_the_county(database: &Database) {
    let store = filled(database).await;
    let first = frozen(&*store, "z-first").await;
    let correction = NewRun {
        supersedes: Some(first.id),
        minutes_from: Some(first.id),
        ..new(&*store, "a-correction").await
    };
    // It sorts before the run that it refers to, and its number is not the next one.
    store
        .discard_run(draft(&*store, "gone").await.id)
        .await
        .unwrap();
    let second = store.create_run(correction).await.unwrap();
    store
        .put_evidence(second.id, None, vec![change(1, "5.1", Some("[1]"))])
        .await
        .unwrap();
    store.add_exclusion(second.id, exclusion(1)).await.unwrap();
    let all = everything(&*store).await;
    let kind = |wanted: fn(&Record) -> bool| all.iter().filter(|one| wanted(one)).count();
    assert_eq!(kind(|one| matches!(one, Record::Rubric(_))), 1);
    assert_eq!(kind(|one| matches!(one, Record::Run(_))), 2);
    assert_eq!(kind(|one| matches!(one, Record::RunEvidence(_))), 3);
    assert_eq!(kind(|one| matches!(one, Record::RunExclusion(_))), 2);
    assert_eq!(kind(|one| matches!(one, Record::RunPart(_))), 2);
    for record in &all {
        let text = serde_json::to_string(record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), *record);
    }

    // Through a store of each kind, and back.
    let mut through = vec![database.another(), Database::sqlite()];
    through.extend([Database::postgres(), database.another()]);
    let mut moved = all.clone();
    for target in through {
        let other = target.open().await;
        for pages in [moved.chunks(2), moved.chunks(7)] {
            for page in pages {
                other.take_in(page.to_vec()).await.unwrap();
            }
        }
        moved = everything(&*other).await;
        assert_eq!(moved, all);
        for id in [first.id, second.id] {
            assert_eq!(whole(&*other, id).await, whole(&*store, id).await);
        }
        // Drafts go on, with numbers that nobody has.
        let revision = other
            .put_evidence(second.id, Some(2), vec![change(2, "5.1", Some("[2]"))])
            .await
            .unwrap();
        let freeze = freezing(second.id, revision, &[("run", "x")]);
        other.freeze_run(freeze).await.unwrap();
        assert_eq!(draft(&*other, "next").await.id, second.id + 1);
        other.close().await;
    }
    store.close().await;
}

pub(super) async fn an_import_adds_nothing_to_a_run_frozen_otherwise(database: &Database) {
    let store = filled(database).await;
    let theirs = frozen(&*store, "k").await;
    let all = everything(&*store).await;

    let target = database.another();
    let other = filled(&target).await;
    // Its numbers are taken, and its key is another run's.
    let taken = draft(&*other, "other").await;
    assert_eq!(taken.id, theirs.id);
    let ours = draft(&*other, "k").await;
    let one = vec![change(1, "7", Some("ours"))];
    other.put_evidence(ours.id, None, one).await.unwrap();
    let before = whole(&*other, ours.id).await;
    other.take_in(all.clone()).await.unwrap();
    assert_eq!(whole(&*other, ours.id).await, before, "a draft");
    let mut freeze = freezing(ours.id, 1, &[("run", "ours")]);
    freeze.freeze.digest = ContentDigest::of(b"ours");
    other.freeze_run(freeze).await.unwrap();
    let before = whole(&*other, ours.id).await;
    other.take_in(all.clone()).await.unwrap();
    assert_eq!(whole(&*other, ours.id).await, before, "frozen");

    // Under another key it comes whole, with the next free number.
    let renamed = all.into_iter().map(|mut record| {
        match &mut record {
            Record::Run(run) => "r".clone_into(&mut run.key),
            Record::RunEvidence(one) => "r".clone_into(&mut one.of.key),
            Record::RunExclusion(one) => "r".clone_into(&mut one.of.key),
            Record::RunPart(one) => "r".clone_into(&mut one.of.key),
            _ => {}
        }
        record
    });
    other.take_in(renamed.collect()).await.unwrap();
    let came = &other.runs(&county()).await.unwrap()[0];
    assert_eq!((came.key.as_str(), came.id), ("r", ours.id + 1));
    let (_, evidence, exclusions, parts) = whole(&*other, came.id).await;
    let (_, their_evidence, their_exclusions, their_parts) = whole(&*store, theirs.id).await;
    assert_eq!(
        (evidence, exclusions, parts),
        (their_evidence, their_exclusions, their_parts)
    );
    store.close().await;
    other.close().await;
}
