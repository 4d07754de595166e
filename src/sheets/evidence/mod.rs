//! The workbook in which a bureau fills in evidence: the same columns and texts for writing and for reading.
//!
//! # Layout
//! One sheet a first-level indicator, one row a school; above each column the item's id and its question, which is all
//! that reading goes by. Awards and reports stand in a sheet of their own, one a row (`list`).
//! `write` makes it ([`workbook`]), `checks` are its drop-down lists and limits, `guide` is its first sheet, `read`
//! takes it back ([`read`]()); `origin` says which run's it is and whether it is still the latest.
//!
//! A cell that reads as it would be written is no change. So who entered an answer and when stay with it for as long
//! as nobody alters it, and a workbook that went out and comes back changes nothing.
//! Not responsible for whether evidence is fit (`domain::rubric::evidence::check`) or kept (`store`).

mod checks;
mod guide;
pub mod list;
mod origin;
mod read;
mod write;

pub use origin::Origin;
pub use read::{CellFault, Change, Overwritten, Reading, read};
pub use write::workbook;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::rubric::{
    Field, FieldKind, Group, ItemEvidence, Rubric, Value,
    definition::Item,
    rule::{Condition, Rule, Share},
};

/// Heading of the school's code: rows are found by it.
const CODE: &str = "学校标识码";
/// Heading of the school's name.
const SCHOOL: &str = "学校";
/// Heading of the school's stage.
const STAGE: &str = "学段";
/// Heading of where an answer comes from.
const SOURCE: &str = "材料依据";
/// Heading of references to attachments.
const ATTACHMENTS: &str = "附件";
/// The hidden sheet by which a workbook of another rubric or run is told, and whether it is the latest.
const MARKER: &str = "_classpulse";
/// Its first word.
const KIND: &str = "classpulse-evidence";
/// Its version of columns and texts.
const FORMAT: &str = "2";

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// An answer.
    Answer(Field),
    /// Where answers come from.
    Source,
    /// References to attachments, one a line.
    Attachments,
}

/// One column of a group's sheet.
#[derive(Debug, Clone)]
struct Column<'a> {
    item: &'a Item,
    part: Part,
}

impl Column<'_> {
    /// The question.
    fn key(&self) -> &str {
        match &self.part {
            Part::Answer(field) => &field.key,
            Part::Source => SOURCE,
            Part::Attachments => ATTACHMENTS,
        }
    }

    /// The heading by which it is found: item and question.
    fn heading(&self) -> String {
        format!("{} {}", self.item.id, self.key())
    }
}

/// A heading without the line breaks and spaces that people put in.
fn plain_heading(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// The columns of a first-level indicator; none for what the system measures itself.
fn columns(group: &Group) -> Vec<Column<'_>> {
    let items = group
        .indicators
        .iter()
        .flat_map(|indicator| &indicator.items);
    items.flat_map(item_columns).collect()
}

fn item_columns(item: &Item) -> Vec<Column<'_>> {
    let fields = item.fields();
    if fields.is_empty() {
        return Vec::new();
    }
    let keys: BTreeSet<String> = fields.iter().map(|field| field.key.clone()).collect();
    let asked = fields
        .into_iter()
        .filter(|field| !matches!(field.kind, FieldKind::List { .. }))
        .map(Part::Answer);
    // A question may be called 附件 itself; then it is the question.
    let around = [(SOURCE, Part::Source), (ATTACHMENTS, Part::Attachments)];
    let around = around
        .into_iter()
        .filter(|(name, _)| !keys.contains(*name))
        .map(|(_, part)| part);
    let parts: Vec<Part> = asked.chain(around).collect();
    parts
        .into_iter()
        .map(|part| Column { item, part })
        .collect()
}

/// Every column of every sheet, by its heading.
fn known(rubric: &Rubric) -> BTreeMap<String, Column<'_>> {
    let all = rubric.groups.iter().flat_map(columns);
    all.map(|column| (plain_heading(&column.heading()), column))
        .collect()
}

/// The name of a group's sheet.
fn sheet_name(group: &Group) -> String {
    super::style::sheet_name(&format!("{} {}", group.id, group.name))
}

/// A cell's content as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    Empty,
    Text(String),
    /// A number, by its text.
    Number(String),
}

impl Shown {
    fn text(text: &str) -> Self {
        if text.is_empty() {
            Self::Empty
        } else {
            Self::Text(text.to_owned())
        }
    }

    /// As it reads back: trimmed, as every cell is.
    fn read_back(&self) -> &str {
        match self {
            Self::Empty => "",
            Self::Text(text) | Self::Number(text) => text.trim(),
        }
    }
}

/// What stands in a column for this evidence.
fn shown(part: &Part, evidence: Option<&ItemEvidence>) -> Shown {
    let Some(evidence) = evidence else {
        return Shown::Empty;
    };
    match part {
        Part::Source => Shown::text(&evidence.source),
        Part::Attachments => Shown::text(&evidence.attachments.join("\n")),
        Part::Answer(field) => evidence.values.get(&field.key).map_or(Shown::Empty, answer),
    }
}

fn answer(value: &Value) -> Shown {
    match value {
        Value::Count(_) | Value::Number(_) | Value::Points(_) => Shown::Number(value.to_string()),
        // Lists have a sheet of their own.
        Value::List(_) => Shown::Empty,
        word => Shown::text(&word.to_string()),
    }
}

/// The shares of a rule, which say who may answer 不适用.
fn shares(rule: &Rule) -> Vec<&Share> {
    fn of(condition: &Condition) -> Option<&Share> {
        match condition {
            Condition::Share(share) => Some(share),
            Condition::Met(_) | Condition::AllDone { .. } | Condition::AtLeast { .. } => None,
        }
    }
    match rule {
        Rule::Threshold { share, .. } => vec![share],
        other => other.conditions().iter().filter_map(of).collect(),
    }
}

#[cfg(test)]
mod tests;
