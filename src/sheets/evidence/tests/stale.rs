//! A workbook that is not the run's latest takes nothing away: an old one, a template, a sheet without a marker.

use super::*;
use crate::domain::ids::SchoolCode;

/// 2.1.2 and its two counts, beside [`MET`] of another sheet.
const COMPUTERS: &str = "办公电脑台数";
const TEACHERS: &str = "专任教师人数";

fn computers(count: u64) -> ItemEvidence {
    let mut evidence = known(&[
        (COMPUTERS, Value::Count(count)),
        (TEACHERS, Value::Count(40)),
    ]);
    "台账".clone_into(&mut evidence.source);
    evidence
}

fn awards(titles: &[&str]) -> ItemEvidence {
    let row = |title: &&str| ListRow {
        title: (*title).to_owned(),
        level: "县".to_owned(),
        prize: String::new(),
        person: None,
        proof: String::new(),
    };
    known(&[(LIST, Value::List(titles.iter().map(row).collect()))])
}

fn titles(evidence: &ItemEvidence) -> Vec<&str> {
    let rows = list::rows(Some(evidence)).iter();
    let mut titles: Vec<&str> = rows.map(|row| row.title.as_str()).collect();
    titles.sort_unstable();
    titles
}

#[test]
fn a_colleague_s_answers_survive_an_older_copy() {
    // A and B export the empty run; A fills in one sheet, B another, and B imports last.
    let copy = export(&Evidence::new());
    let of_a = of_first("2.1.2", computers(9));
    let reading = import_at(8, &of_a, &copy).unwrap();
    assert_eq!(reading.changes, [], "nothing of A's goes");
    assert_eq!((reading.left_alone, reading.removed()), (3, 0));
    let note = reading.note().unwrap();
    assert!(
        note.contains("3 项") && note.contains("重新导出材料表"),
        "{note}"
    );
    // The same cells in the latest workbook clear.
    let reading = import_at(7, &of_a, &copy).unwrap();
    assert_eq!((reading.removed(), reading.left_alone), (1, 0));
    // A revision that the run has not reached comes from another store.
    let reading = import_at(6, &of_a, &copy).unwrap();
    assert_eq!((reading.removed(), reading.left_alone), (0, 3));
}

#[test]
fn a_template_and_a_sheet_without_a_marker_clear_nothing() {
    let current = of_first("2.1.2", computers(9));
    let empty = Origin {
        empty: true,
        ..run_at(7)
    };
    let template = workbook(&RUBRIC, &schools(), &current, &empty).unwrap();
    let reading = import_at(7, &current, &template).unwrap();
    assert_eq!((reading.changes.len(), reading.left_alone), (0, 3));

    let headings = [CODE, "2.1.2 办公电脑台数", "2.1.2 附件"];
    let copied = sheet(&headings, &[&[ONE, "", "甲.pdf"]]);
    let reading = import_at(7, &current, &copied).unwrap();
    let taken = reading.changes[0].evidence.as_ref().unwrap();
    assert_eq!(taken.attachments, ["甲.pdf"]);
    assert_eq!(taken.values, computers(9).values);
    assert_eq!(
        (reading.left_alone, reading.overwritten.len()),
        (1, 0),
        "what was empty before is not overwritten"
    );
}

#[test]
fn what_an_older_copy_replaces_is_named_with_what_was_kept() {
    let copy = export(&of_first("2.1.2", computers(5)));
    let current = of_first("2.1.2", computers(9));
    let reading = import_at(8, &current, &copy).unwrap();
    assert_eq!(
        reading.changes[0].evidence.as_ref().unwrap().values[COMPUTERS],
        Value::Count(5)
    );
    let [cell] = reading.overwritten.as_slice() else {
        panic!("{reading:?}");
    };
    assert_eq!((cell.sheet.as_str(), cell.row), ("2 设备管理", 4));
    assert_eq!(
        (cell.heading.as_str(), cell.kept.as_str()),
        ("2.1.2 办公电脑台数", "9")
    );
    assert!(!cell.column.is_empty());
    assert!(reading.note().unwrap().contains("1 格"));
    // In the latest workbook it is an ordinary change.
    assert_eq!(import_at(7, &current, &copy).unwrap().overwritten, []);
    // Attachments that are only parted otherwise replace nothing.
    let mut attached = computers(9);
    attached.attachments = vec!["甲".to_owned(), "乙".to_owned()];
    let headings = [CODE, "2.1.2 附件", "2.1.2 办公电脑台数"];
    let parted = sheet(&headings, &[&[ONE, "甲;乙", "8"]]);
    let reading = import_at(8, &of_first("2.1.2", attached), &parted).unwrap();
    let headings: Vec<&str> = (reading.overwritten.iter())
        .map(|cell| cell.heading.as_str())
        .collect();
    assert_eq!(headings, ["2.1.2 办公电脑台数"]);
}

#[test]
fn a_list_of_an_older_copy_adds_its_rows_and_takes_none() {
    let copy = export(&of_first("5.2a", awards(&["甲", "甲", "乙"])));
    let current = of_first("5.2a", awards(&["甲", "丙"]));
    let reading = import_at(8, &current, &copy).unwrap();
    let taken = reading.changes[0].evidence.as_ref().unwrap();
    assert_eq!(titles(taken), ["丙", "乙", "甲", "甲"]);
    assert_eq!(reading.left_alone, 1);
    // Fewer rows than are kept are no change, and neither is a whole list less.
    let current = of_first("5.2a", awards(&["甲", "乙", "丙", "甲"]));
    let reading = import_at(8, &current, &copy).unwrap();
    assert_eq!((reading.changes.len(), reading.left_alone), (0, 1));
    let none = export(&Evidence::new());
    let reading = import_at(8, &current, &none).unwrap();
    assert_eq!((reading.changes.len(), reading.left_alone), (0, 4));
}

#[test]
fn another_run_s_workbook_is_refused_by_both_names() {
    let refused = |origin: Origin| {
        let book = workbook(&RUBRIC, &schools(), &Evidence::new(), &origin).unwrap();
        faults(import(&Evidence::new(), &book))
    };
    let last_year = Origin {
        run_key: "k25".to_owned(),
        run_name: "2025 年度".to_owned(),
        ..run_at(7)
    };
    assert_eq!(
        refused(last_year),
        [
            "!0 这是 231123 的考核“2025 年度”的材料表,要导入的是 231123 的考核“2026 年度”:请用本次考核导出的材料表"
        ]
    );
    let elsewhere = Origin {
        county: "231124".parse().unwrap(),
        ..run_at(7)
    };
    let found = refused(elsewhere);
    assert!(
        found[0].contains("231124") && found[0].contains("231123"),
        "{found:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn nothing_is_ever_lost_to_an_older_copy(seed in any::<u64>()) {
        let (old, now) = (random_evidence(seed, &schools()), random_evidence(seed ^ 1, &schools()));
        // What contradicts what is kept is refused as a whole, which loses nothing either.
        if let Ok(reading) = import_at(8, &now, &export(&old)) {
            prop_assert_eq!(reading.removed(), 0, "seed {}", seed);
            let after = applied(now.clone(), reading.changes);
            for (school, item, kept) in each(&now) {
                let found = &after[school][item];
                prop_assert!(kept.values.keys().all(|key| found.values.contains_key(key)), "seed {}", seed);
                prop_assert!(kept.source.is_empty() || !found.source.is_empty(), "seed {}", seed);
            }
        }
        let reading = import_at(8, &now, &export(&Evidence::new())).unwrap();
        prop_assert_eq!(reading.changes, vec![], "seed {}", seed);
    }
}

fn each(evidence: &Evidence) -> impl Iterator<Item = (&SchoolCode, &str, &ItemEvidence)> {
    let schools = evidence.iter();
    schools.flat_map(|(school, known)| {
        let items = known.iter();
        items.map(move |(item, evidence)| (school, item.as_str(), evidence))
    })
}
