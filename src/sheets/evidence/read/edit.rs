//! What a cell's text alters, or why it does not fit.

use crate::{
    domain::rubric::{
        ItemEvidence, Value,
        evidence::{LIST, attachments},
    },
    sheets::evidence::{ATTACHMENTS, Part, SOURCE},
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
        Part::Attachments => Ok(Edit::Attachments(attachments(text))),
        Part::Answer(field) => {
            let value = if text.is_empty() {
                None
            } else {
                Some(field.read(text)?)
            };
            Ok(Edit::Answer(field.key.clone(), value))
        }
    }
}

/// An altered list, for `awards`.
pub(super) fn listed(rows: Option<Value>) -> Edit {
    Edit::Answer(LIST.to_owned(), rows)
}
