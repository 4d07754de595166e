//! A small county in a SQLite file: three schools, five terminals, two weeks, evidence.

use std::collections::BTreeMap;

use classpulse::{
    domain::{
        ids::{CountyCode, SchoolCode, Stage, TerminalId},
        minutes::{DayMinutes, MinuteSet},
        rubric::{self, ItemEvidence, Value},
        usage::Period,
    },
    evaluation::{Entry, Freezing, enter},
    store::{
        Batch, County, NewRun, Placement, Record, RegistryChange, School, Store,
        sqlite::SqliteStore,
    },
};
use jiff::{
    ToSpan as _,
    civil::{Date, date},
};
use rand::{RngExt as _, SeedableRng as _};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// The Monday on which all begins.
pub(super) const MONDAY: Date = date(2026, 9, 7);

/// Two weeks: ten teaching days.
pub(super) const PERIOD: Period = Period {
    first: MONDAY,
    last: date(2026, 9, 20),
};

/// Long after the period.
pub(super) const TODAY: Date = date(2026, 10, 8);

/// 2026-10-08T09:00:00+08:00.
pub(super) const NOW: i64 = 1_791_421_200;

/// 200 minutes a day count, in five lessons.
pub(super) const CALENDAR: &str = r#"
name = "试验"
[[term]]
name = "第一学期"
first = "2026-08-31"
last = "2027-01-15"
[[timetable]]
lessons = ["08:00-08:40", "08:50-09:30", "09:40-10:20", "10:30-11:10", "13:30-14:10"]
"#;

pub(super) fn county() -> CountyCode {
    "231123".parse().unwrap()
}

/// 1 小学 (t-1, t-2), 2 小学 (t-3, t-4), 3 初中 (t-5).
pub(super) fn school(number: u32) -> SchoolCode {
    format!("212300000{number}").parse().unwrap()
}

pub(super) fn terminal(number: u32) -> TerminalId {
    format!("t-{number}").parse().unwrap()
}

pub(super) fn day(number: i64) -> Date {
    MONDAY + number.days()
}

pub(super) fn since(school_number: u32, from: Date) -> Placement {
    Placement {
        school: school(school_number),
        room: "一年一班".to_owned(),
        from,
        to: None,
    }
}

pub(super) fn registry() -> RegistryChange {
    let school = |number, name: &str, stage| School {
        code: school(number),
        name: name.to_owned(),
        stage,
        township: "奇克镇".to_owned(),
        county: county(),
    };
    let stands = |number, school| (terminal(number), vec![since(school, date(2026, 9, 1))]);
    RegistryChange {
        counties: vec![County {
            code: county(),
            name: "逊克县".to_owned(),
        }],
        schools: vec![
            school(1, "第一小学", Stage::Primary),
            school(2, "第二小学", Stage::Primary),
            school(3, "第三中学", Stage::Junior),
        ],
        placements: vec![
            stands(1, 1),
            stands(2, 1),
            stands(3, 2),
            stands(4, 2),
            stands(5, 3),
        ],
    }
}

/// A store that vanishes with this value.
pub(super) struct Kept {
    _folder: TempDir,
    pub(super) store: SqliteStore,
}

pub(super) fn empty() -> Kept {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("classpulse.db")).unwrap();
    Kept {
        _folder: folder,
        store,
    }
}

pub(super) async fn report(store: &dyn Store, number: u32, on: Date, start: u16, end: u16) {
    let set = MinuteSet::of(start, end);
    let minutes = DayMinutes {
        powered: set,
        used: set,
        last_seen: 7,
    };
    let batch = Batch {
        days: vec![(terminal(number), on, minutes)],
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
}

/// Terminal t-n is used n × 10 + 20 minutes a teaching day from 8:00 on, a little later each day.
pub(super) async fn filled() -> Kept {
    let kept = empty();
    kept.store.change_registry(registry()).await.unwrap();
    kept.store
        .set_calendar(&county(), CALENDAR, 0)
        .await
        .unwrap();
    for number in 1..=5_u16 {
        for week in [0, 7] {
            for weekday in 0..5_u16 {
                let start = 480 + weekday;
                let on = day(week + i64::from(weekday));
                // The first lesson has 40 minutes, then a break of 10: whatever it is, it is not the use itself.
                report(
                    &kept.store,
                    u32::from(number),
                    on,
                    start,
                    start + 20 + number * 10,
                )
                .await;
            }
        }
    }
    kept
}

/// Terminals that come, go and move; used at any time; a cap and a holiday.
pub(super) async fn any(seed: u64) -> Kept {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let kept = empty();
    let store = &kept.store;
    let mut change = registry();
    for (_, placements) in &mut change.placements {
        placements.clear();
        let mut from = day(random.random_range(-10..10));
        for _ in 0..random.random_range(1..4) {
            let to = from + i64::from(random.random_range(0..8_u8)).days();
            placements.push(Placement {
                to: Some(to),
                ..since(random.random_range(1..4), from)
            });
            from = to + i64::from(random.random_range(1..3_u8)).days();
        }
        if random.random_bool(0.5) {
            placements.last_mut().unwrap().to = None;
        }
    }
    store.change_registry(change).await.unwrap();
    let cap = random.random_range(60..250);
    let calendar = format!(
        "{CALENDAR}\n[policy]\ndaily_cap_minutes = {cap}\n\
         [[holiday]]\nname = \"假\"\nfirst = \"2026-09-10\"\nlast = \"2026-09-11\"\n"
    );
    store.set_calendar(&county(), &calendar, 0).await.unwrap();
    for _ in 0..80 {
        let (start, length) = (random.random_range(0..1_400), random.random_range(1..400));
        let on = day(random.random_range(-12..20));
        report(store, random.random_range(1..6), on, start, start + length).await;
    }
    kept
}

pub(super) fn answer(item: &str, values: &[(usize, Value)]) -> ItemEvidence {
    let rubric = rubric::Rubric::parse(rubric::DEFAULT).unwrap();
    let fields = rubric.item(item).unwrap().fields();
    let values: BTreeMap<String, Value> = values
        .iter()
        .map(|(at, value)| (fields[*at].key.clone(), value.clone()))
        .collect();
    ItemEvidence {
        values,
        source: "材料第一册".to_owned(),
        attachments: vec!["A-1.pdf".to_owned()],
        by: "张三".to_owned(),
        at: NOW - 100,
    }
}

pub(super) fn entry(number: u32, item: &str, values: &[(usize, Value)]) -> Entry {
    Entry {
        school: school(number),
        item: item.to_owned(),
        evidence: Some(answer(item, values)),
    }
}

pub(super) fn yes(number: u32, item: &str) -> Entry {
    entry(number, item, &[(0, Value::YesNo(true))])
}

pub(super) async fn new_run(store: &dyn Store, key: &str) -> NewRun {
    NewRun {
        key: key.to_owned(),
        county: county(),
        name: "2026年秋季考核".to_owned(),
        period: PERIOD,
        rubric: store.put_rubric(rubric::DEFAULT, NOW).await.unwrap(),
        supersedes: None,
        minutes_from: None,
        by: "王五".to_owned(),
        at: NOW,
        evidence: Vec::new(),
        exclusions: Vec::new(),
    }
}

/// What all three schools have, and something of each.
pub(super) fn evidence() -> Vec<Entry> {
    let mut all: Vec<Entry> = (1..=3).map(|number| yes(number, "1.1.1")).collect();
    all.push(yes(1, "2.1.1"));
    // R3: a primary school has no students in 初中 or above.
    all.push(entry(2, "3.2.3", &[(1, Value::NotApplicable)]));
    all.push(entry(3, "5.3", &[(0, Value::Count(2))]));
    all
}

/// A draft with evidence.
pub(super) async fn draft(store: &dyn Store, key: &str) -> i64 {
    let new = new_run(store, key).await;
    let run = store.create_run(new).await.unwrap();
    enter(store, run.id, Some(0), evidence()).await.unwrap();
    run.id
}

pub(super) fn freezing() -> Freezing {
    Freezing {
        revision: None,
        figures: String::new(),
        by: "王五".to_owned(),
        at: NOW + 50,
        today: TODAY,
        note: "已核对".to_owned(),
        accept_missing: true,
    }
}

pub(super) async fn everything(store: &dyn Store) -> Vec<Record> {
    let (send, mut pages) = mpsc::channel(4);
    let read = async {
        let mut all = Vec::new();
        while let Some(page) = pages.recv().await {
            all.extend(page);
        }
        all
    };
    let (done, all) = futures::future::join(store.export(send), read).await;
    done.unwrap();
    all
}

/// Another store with these records.
pub(super) async fn moved(records: &[Record]) -> Kept {
    let kept = empty();
    for page in records.chunks(50) {
        kept.store.take_in(page.to_vec()).await.unwrap();
    }
    kept
}
