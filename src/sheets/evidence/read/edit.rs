//! What a cell's text alters, or why it does not fit.

use crate::{
    domain::rubric::{
        Field, FieldKind, ItemEvidence, Value,
        evidence::{LIST, expected},
    },
    sheets::evidence::{ATTACHMENTS, NOT_APPLICABLE, Part, SOURCE},
};

/// An answer that a cell alters.
pub(super) enum Edit {
    Answer(String, Option<Value>),
    Source(String),
    Attachments(Vec<String>),
}

/// Alters evidence; gives the key of what was altered.
pub(super) fn apply(evidence: &mut ItemEvidence, edit: Edit) -> String {
    match edit {
        Edit::Answer(key, Some(value)) => {
            evidence.values.insert(key.clone(), value);
            key
        }
        Edit::Answer(key, None) => {
            evidence.values.remove(&key);
            key
        }
        Edit::Source(text) => {
            evidence.source = text;
            SOURCE.to_owned()
        }
        Edit::Attachments(all) => {
            evidence.attachments = all;
            ATTACHMENTS.to_owned()
        }
    }
}

pub(super) fn edit(part: &Part, text: &str) -> Result<Edit, String> {
    match part {
        Part::Source => Ok(Edit::Source(text.to_owned())),
        Part::Attachments => {
            let all = text.split(['\n', ';', '\u{ff1b}']).map(str::trim);
            let all = all.filter(|one| !one.is_empty()).map(str::to_owned);
            Ok(Edit::Attachments(all.collect()))
        }
        Part::Answer(field) => {
            let value = if text.is_empty() {
                None
            } else {
                Some(value(field, text)?)
            };
            Ok(Edit::Answer(field.key.clone(), value))
        }
    }
}

fn value(field: &Field, text: &str) -> Result<Value, String> {
    if text == NOT_APPLICABLE && field.may_not_apply {
        return Ok(Value::NotApplicable);
    }
    let value = match &field.kind {
        FieldKind::YesNo => match text {
            "是" => Some(Value::YesNo(true)),
            "否" => Some(Value::YesNo(false)),
            _ => None,
        },
        FieldKind::Count => text.parse().ok().map(Value::Count),
        FieldKind::Number => text.parse().ok().map(Value::Number),
        FieldKind::Points { .. } => text.parse().ok().map(Value::Points),
        FieldKind::Choice(names) => {
            let name = names.iter().find(|name| name.trim() == text);
            name.cloned().map(Value::Choice)
        }
        FieldKind::Text => Some(Value::Text(text.to_owned())),
        FieldKind::List { .. } => None,
    };
    value.ok_or_else(|| {
        let found: String = text.chars().take(40).collect();
        let or = if field.may_not_apply {
            "或“不适用”"
        } else {
            ""
        };
        format!("“{found}”不对,应为{}{or}", expected(&field.kind))
    })
}

/// An altered list, for `awards`.
pub(super) fn listed(rows: Option<Value>) -> Edit {
    Edit::Answer(LIST.to_owned(), rows)
}
