//! Made-up schools and evidence for the tests of sheets: random, but fit.

use std::{collections::BTreeMap, sync::LazyLock};

use proptest::prelude::*;
use rand::{SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::{
    domain::{
        ids::{SchoolCode, Stage},
        rubric::{
            self, Decimal, Field, FieldKind, Item, ItemEvidence, Rubric, SchoolEvidence, Value,
            evidence::{JUDGE, check},
            list::{ListKind, ListRow},
        },
    },
    store::School,
};

pub(super) static RUBRIC: LazyLock<Rubric> =
    LazyLock::new(|| Rubric::parse(rubric::DEFAULT).unwrap());

pub(super) type Evidence = BTreeMap<SchoolCode, SchoolEvidence>;

pub(super) fn school(number: u32, stage: Stage) -> School {
    School {
        code: format!("21230{number:05}").parse().unwrap(),
        name: format!("第{number}学校"),
        stage,
        township: String::new(),
        county: "231123".parse().unwrap(),
    }
}

/// A few schools of different stages.
pub(super) fn schools() -> Vec<School> {
    vec![
        school(1, Stage::Primary),
        school(2, Stage::Junior),
        school(3, Stage::Primary),
        school(4, Stage::NineYear),
    ]
}

/// Texts that workbooks have stumbled over.
const TEXTS: [&str; 14] = [
    "见档案 3-1",
    "=1+1",
    "+86",
    "-",
    "@SUM(A1)",
    "'引号",
    "a<b>&\"c\"",
    "两行\n文字",
    "_x0041_",
    "_x000D_尾",
    "007",
    "1e5",
    "𠮷野家",
    "是",
];

fn text(rng: &mut ChaCha8Rng) -> String {
    (*TEXTS.choose(rng).unwrap()).to_owned()
}

fn list_rows(rng: &mut ChaCha8Rng, kind: ListKind, cells: &[rubric::rule::Cell]) -> Vec<ListRow> {
    let count = rng.random_range(1..4);
    let row = |rng: &mut ChaCha8Rng| {
        let cell = cells.choose(rng).unwrap();
        ListRow {
            // A title is one line.
            title: text(rng).replace('\n', " "),
            level: cell.level.clone(),
            prize: cell.prize.clone(),
            person: (kind == ListKind::Persons).then(|| rng.random_range(1..40)),
            proof: if rng.random() {
                text(rng)
            } else {
                String::new()
            },
        }
    };
    (0..count).map(|_| row(rng)).collect()
}

fn random_value(rng: &mut ChaCha8Rng, field: &Field) -> Value {
    let hundredths =
        |rng: &mut ChaCha8Rng, most| Decimal::of_hundredths(rng.random_range(0..=most));
    match &field.kind {
        FieldKind::Count if field.may_not_apply && rng.random() => Value::NotApplicable,
        FieldKind::YesNo => Value::YesNo(rng.random()),
        FieldKind::Count => Value::Count(rng.random_range(0..60)),
        FieldKind::Number => Value::Number(hundredths(rng, 100_000)),
        FieldKind::Choice(names) => Value::Choice(names.choose(rng).unwrap().clone()),
        FieldKind::Points { max } => Value::Points(hundredths(rng, max.hundredths())),
        FieldKind::Text => Value::Text(text(rng)),
        FieldKind::List { kind, cells } => Value::List(list_rows(rng, *kind, cells)),
    }
}

/// Evidence that is fit: what contradicts is taken out again.
fn random_item(rng: &mut ChaCha8Rng, stage: Stage, item: &Item) -> Option<ItemEvidence> {
    let mut evidence = ItemEvidence {
        source: if rng.random() {
            text(rng)
        } else {
            String::new()
        },
        attachments: (0..rng.random_range(0..3)).map(|_| text(rng)).collect(),
        by: "张".to_owned(),
        at: 1_800_000_000,
        ..ItemEvidence::default()
    };
    // Line breaks part attachments.
    evidence.attachments.retain(|one| !one.contains('\n'));
    let all: bool = rng.random();
    for field in item.fields() {
        if all || rng.random() {
            let value = random_value(rng, &field);
            evidence.values.insert(field.key, value);
        }
    }
    for _ in 0..8 {
        let faults = check(&RUBRIC, stage, item, &evidence);
        if faults.is_empty() {
            let empty = evidence.values.is_empty()
                && evidence.source.is_empty()
                && evidence.attachments.is_empty();
            return (!empty).then_some(evidence);
        }
        for fault in faults {
            if fault.key == rubric::evidence::GIVEN {
                for key in [rubric::evidence::GIVEN, rubric::evidence::REASON, JUDGE] {
                    evidence.values.remove(key);
                }
            }
            evidence.values.remove(&fault.key);
        }
    }
    None
}

pub(super) fn random_evidence(seed: u64, schools: &[School]) -> Evidence {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut all = Evidence::new();
    for school in schools {
        let known: SchoolEvidence = (RUBRIC.items())
            .filter(|item| !item.fields().is_empty())
            .filter_map(|item| {
                let evidence = random_item(&mut rng, school.stage, item)?;
                Some((item.id.clone(), evidence))
            })
            .collect();
        all.insert(school.code.clone(), known);
    }
    all
}
