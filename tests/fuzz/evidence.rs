//! Evidence workbooks, as they come back from schools.

use std::{collections::BTreeMap, sync::LazyLock};

use classpulse::{
    domain::rubric::{self, Rubric, evidence},
    sheets::evidence::{Origin, read, workbook},
    store::School,
};

use crate::{seeds, target};

static RUBRIC: LazyLock<Rubric> = LazyLock::new(|| Rubric::parse(rubric::DEFAULT).unwrap());

fn schools() -> [School; 2] {
    [("2123000001", "小学"), ("2123000002", "初中")].map(|(code, stage)| School {
        code: code.parse().unwrap(),
        name: format!("第{code}学校"),
        stage: stage.parse().unwrap(),
        township: String::new(),
        county: "231123".parse().unwrap(),
    })
}

fn origin() -> Origin {
    Origin {
        county: "231123".parse().unwrap(),
        run_key: "run".to_owned(),
        run_name: "2026年度".to_owned(),
        revision: 1,
        empty: false,
    }
}

pub(crate) static PARTS: LazyLock<seeds::Parts> = LazyLock::new(|| {
    let book = workbook(&RUBRIC, &schools(), &BTreeMap::new(), &origin()).unwrap();
    seeds::parts(&book)
});

/// What is taken is fit to be kept; what is not taken is refused with a place and words.
fn tried(bytes: &[u8]) {
    let schools = schools();
    let read = read(
        &RUBRIC,
        &schools,
        &BTreeMap::new(),
        &origin(),
        "录入员",
        1_788_220_800,
        bytes,
    );
    match read {
        Err(faults) => {
            assert!(!faults.is_empty());
            assert!(faults.iter().all(|fault| !fault.to_string().is_empty()));
        }
        Ok(reading) => {
            for change in &reading.changes {
                let school = schools
                    .iter()
                    .find(|one| one.code == change.school)
                    .unwrap();
                let item = RUBRIC.item(&change.item).unwrap();
                if let Some(kept) = &change.evidence {
                    let faults = evidence::check(&RUBRIC, school.stage, item, kept);
                    assert!(faults.is_empty(), "{faults:?} of {kept:?}");
                }
            }
        }
    }
}

target!(
    /// Any bytes that are called a workbook.
    any_file_is_evidence_or_refused,
    1_000,
    |bytes: &[u8]| tried(bytes)
);

target!(
    /// A workbook of ours of which one part was written by somebody else.
    any_part_of_a_workbook_may_lie,
    300,
    |bytes: &[u8]| {
        if let Some((which, part)) = bytes.split_first() {
            tried(&PARTS.with_part(*which, part));
        }
    }
);

target!(
    /// A workbook of ours in which anything was typed anywhere.
    anything_may_be_typed,
    300,
    |bytes: &[u8]| {
        let typed = String::from_utf8_lossy(bytes);
        tried(&PARTS.typed(&typed));
    }
);
