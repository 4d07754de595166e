//! What evaluation runs of a made-up county are filled and frozen with, and how its classrooms are used.

use std::collections::BTreeMap;

use classpulse::{
    domain::{
        ids::SchoolCode,
        minutes::MinuteSet,
        rubric::{self, FieldKind, ItemEvidence, Rubric, Value},
    },
    evaluation::{Entry, Freezing},
};
use jiff::civil::Date;
use rand::{Rng, RngExt as _};

/// Evidence for every item of every school: full marks as far as one answer a question can give them.
pub(crate) fn answers(schools: impl Iterator<Item = SchoolCode>) -> Vec<Entry> {
    let rubric = Rubric::parse(rubric::DEFAULT).expect("a rubric");
    let entries = schools.flat_map(|school| {
        rubric.items().map(move |item| Entry {
            school: school.clone(),
            item: item.id.clone(),
            evidence: Some(answered(item)),
        })
    });
    entries.collect()
}

fn answered(item: &rubric::Item) -> ItemEvidence {
    let mut values = BTreeMap::new();
    for field in item.fields() {
        let value = match field.kind {
            FieldKind::YesNo => Value::YesNo(true),
            FieldKind::Count => Value::Count(4),
            FieldKind::Number => Value::Number(6.into()),
            FieldKind::Choice(names) => Value::Choice(names[0].clone()),
            _ => continue,
        };
        values.insert(field.key, value);
    }
    ItemEvidence {
        values,
        source: "见材料第一册第 12 页".to_owned(),
        attachments: vec!["A-12.pdf".to_owned()],
        by: "张三".to_owned(),
        at: 1_790_000_000,
    }
}

/// Frozen on a day after the period, whatever is missing.
pub(crate) fn freezing(today: Date) -> Freezing {
    Freezing {
        revision: None,
        figures: String::new(),
        by: "王五".to_owned(),
        at: 1_800_000_000,
        today,
        note: String::new(),
        accept_missing: true,
    }
}

/// Two to six stretches of 10 to 45 minutes from 08:00 to before 16:00.
pub(crate) fn used(random: &mut impl Rng) -> MinuteSet {
    let mut used = MinuteSet::EMPTY;
    for _ in 0..random.random_range(2..=6) {
        let start = random.random_range(480..900_u16);
        used.insert(start, start + random.random_range(10..=45));
    }
    used
}
