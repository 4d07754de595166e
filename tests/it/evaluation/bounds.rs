//! What may be entered is bounded so that the store keeps it.

use classpulse::{
    domain::{
        ids::Stage,
        rubric::{
            self, ItemEvidence, Value,
            evidence::{LIST, MAX_ATTACHMENTS, MAX_TEXT, check},
            list::{self, ListRow},
        },
    },
    store::MAX_EVIDENCE_BYTES,
};

#[test]
fn the_fullest_list_fits_what_is_kept_of_an_item() {
    let county = rubric::Rubric::parse(rubric::DEFAULT).unwrap();
    let item = county.item("5.1").unwrap();
    let text = |length| "𠀀".repeat(length);
    let row = |length| ListRow {
        title: text(length),
        level: "省".to_owned(),
        prize: "一等奖".to_owned(),
        person: Some(u32::MAX),
        proof: text(length),
    };
    let with = |rows| ItemEvidence {
        values: [(LIST.to_owned(), Value::List(rows))].into(),
        source: text(MAX_TEXT),
        attachments: vec![text(MAX_TEXT); MAX_ATTACHMENTS],
        by: text(MAX_TEXT),
        at: i64::MIN,
    };
    let fullest = with(vec![row(list::MAX_ROW_TEXT); list::MAX_ROWS]);
    assert_eq!(check(&county, Stage::Primary, item, &fullest), []);
    assert!(serde_json::to_string(&fullest).unwrap().len() < MAX_EVIDENCE_BYTES);
    let longer = with(vec![row(list::MAX_ROW_TEXT + 1)]);
    let faults = check(&county, Stage::Primary, item, &longer);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(
        faults
            .iter()
            .all(|fault| fault.problem.contains("1 至 200 字")),
        "{faults:?}"
    );
}
