//! What callers of `Evaluation` say → the domain's words, each mistake with its field.

use std::collections::BTreeMap;

use classpulse_proto::v1::{self, answer::Answer};
use tonic::Status;

use crate::{
    api::{convert, error},
    domain::{
        rubric::{Decimal, ItemEvidence, Value, list::ListRow},
        usage::Period,
    },
    evaluation::{Changes, Entry, Excluded},
    store::ContentDigest,
};

/// A digest; empty for none.
pub(super) fn digest(name: &str, text: &str) -> Result<Option<ContentDigest>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let read: Result<ContentDigest, _> = text.parse();
    read.map(Some)
        .map_err(|problem| error::field(name, problem.to_string()))
}

/// A run that is referred to; 0 for none.
pub(super) fn run(number: i64) -> Option<i64> {
    (number != 0).then_some(number)
}

/// One entry; one that says nothing takes away what is known.
pub(super) fn entry(index: usize, given: v1::Evidence, now: i64) -> Result<Entry, Status> {
    let at = |field: &str| format!("evidence[{index}].{field}");
    let mut values = BTreeMap::new();
    for (key, answer) in given.answers {
        let name = format!("answers[{key}]");
        let value = value(&at(&name), answer.answer)?;
        values.insert(key, value);
    }
    let nothing = values.is_empty() && given.source.is_empty() && given.attachments.is_empty();
    Ok(Entry {
        school: convert::required(&at("school_code"), &given.school_code)?,
        item: given.item,
        evidence: (!nothing).then_some(ItemEvidence {
            values,
            source: given.source,
            attachments: given.attachments,
            by: given.by,
            at: now,
        }),
    })
}

fn decimal(name: &str, text: &str) -> Result<Decimal, Status> {
    let read: Result<Decimal, _> = text.parse();
    read.map_err(|problem| error::field(name, problem.to_string()))
}

fn value(name: &str, answer: Option<Answer>) -> Result<Value, Status> {
    Ok(match answer {
        None => {
            return Err(error::field(
                name,
                "an answer is needed; leave the question out to give none",
            ));
        }
        Some(Answer::YesNo(answer)) => Value::YesNo(answer),
        Some(Answer::Count(count)) => Value::Count(count),
        Some(Answer::Number(text)) => Value::Number(decimal(name, &text)?),
        Some(Answer::Choice(choice)) => Value::Choice(choice),
        Some(Answer::NotApplicable(true)) => Value::NotApplicable,
        Some(Answer::NotApplicable(false)) => {
            return Err(error::field(name, "not_applicable is true or left out"));
        }
        Some(Answer::Points(text)) => Value::Points(decimal(name, &text)?),
        Some(Answer::Text(text)) => Value::Text(text),
        Some(Answer::List(list)) => Value::List(list.rows.into_iter().map(row).collect()),
    })
}

fn row(given: v1::Award) -> ListRow {
    ListRow {
        title: given.title,
        level: given.level,
        prize: given.prize,
        person: (given.person != 0).then_some(given.person),
        proof: given.proof,
    }
}

/// What to try; days are those of the run where none are given.
pub(super) fn changes(given: v1::WhatIfRequest, whole: Period) -> Result<Changes, Status> {
    let mut exclude = Vec::with_capacity(given.exclude.len());
    for (index, one) in given.exclude.into_iter().enumerate() {
        let period = convert::period(one.period)?.unwrap_or(whole);
        exclude.push(Excluded {
            terminal: convert::required(&format!("exclude[{index}].terminal"), &one.terminal)?,
            first: period.first,
            last: period.last,
        });
    }
    let mut readings: Vec<(String, String)> = given.readings.into_iter().collect();
    readings.sort();
    Ok(Changes {
        exclude,
        readings,
        rubric: Some(given.rubric_text).filter(|text| !text.is_empty()),
        ..Changes::default()
    })
}
