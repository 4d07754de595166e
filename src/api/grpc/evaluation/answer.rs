//! The domain's words → what `Evaluation` answers.

use std::collections::HashMap;

use classpulse_proto::v1::{self, answer::Answer};
use tonic::Status;

use crate::{
    api::convert,
    domain::{
        rubric::{
            self, Field, FieldKind, Group, Indicator, Item, ItemEvidence, Points, Reading, Rubric,
            Switch, Value,
            file::Fault,
            list::ListRow,
            sheet::{GroupScore, IndicatorScore, ItemScore, ItemState},
        },
        usage::Period,
    },
    evaluation::{
        Comparison, Explanation, InputDifference, ItemDifference, Known, Loaded, SchoolDifference,
        TerminalDayExplanation, TerminalExplanation, Unfit, Verification, WhatIf,
    },
    sheets::results::Results,
    store::{ContentDigest, KeptExclusion, Run},
};

/// A kept rubric was sound when it was stored.
fn parse(text: &str) -> Result<Rubric, Status> {
    Rubric::parse(text).map_err(|faults| {
        tracing::error!(%faults, "a kept rubric can't be read");
        Status::data_loss("a kept rubric can't be read, the operator's log says why")
    })
}

pub(super) fn rubric_summary(text: &str) -> Result<v1::RubricSummary, Status> {
    Ok(summary(&parse(text)?, text))
}

fn summary(rubric: &Rubric, text: &str) -> v1::RubricSummary {
    v1::RubricSummary {
        digest: ContentDigest::of(text.as_bytes()).to_string(),
        id: rubric.id.clone(),
        title: rubric.title.clone(),
        built_in: text == rubric::DEFAULT,
        fault: String::new(),
    }
}

/// One of all that are kept; one that can't be read hides no other.
pub(super) fn kept_rubric(text: &str) -> v1::RubricSummary {
    Rubric::parse(text).map_or_else(
        |faults| v1::RubricSummary {
            digest: ContentDigest::of(text.as_bytes()).to_string(),
            fault: faults.to_string(),
            ..v1::RubricSummary::default()
        },
        |rubric| summary(&rubric, text),
    )
}

pub(super) fn rubric(text: String) -> Result<v1::Rubric, Status> {
    let rubric = parse(&text)?;
    Ok(v1::Rubric {
        summary: Some(summary(&rubric, &text)),
        total: rubric.total.short(),
        groups: rubric.groups.iter().map(group).collect(),
        readings: rubric.readings.iter().map(reading).collect(),
        issuer: rubric.issuer,
        issued: rubric.issued,
        text,
    })
}

fn group(from: &Group) -> v1::RubricGroup {
    v1::RubricGroup {
        id: from.id.clone(),
        name: from.name.clone(),
        weight: from.weight.short(),
        capped: from.capped,
        indicators: from.indicators.iter().map(indicator).collect(),
    }
}

fn indicator(from: &Indicator) -> v1::RubricIndicator {
    v1::RubricIndicator {
        id: from.id.clone(),
        section: from.section.clone(),
        name: from.name.clone(),
        weight: from.weight.short(),
        items: from.items.iter().map(item).collect(),
    }
}

fn item(from: &Item) -> v1::RubricItem {
    v1::RubricItem {
        id: from.id.clone(),
        text: from.text.clone(),
        kind: from.rule.kind().to_owned(),
        max: from.max().map_or_else(String::new, Points::short),
        questions: from.fields().into_iter().map(question).collect(),
        readings: from.readings.clone(),
    }
}

fn question(from: Field) -> v1::Question {
    let (kind, choices) = match from.kind {
        FieldKind::YesNo => ("yes_no", Vec::new()),
        FieldKind::Count => ("count", Vec::new()),
        FieldKind::Number => ("number", Vec::new()),
        FieldKind::Choice(choices) => ("choice", choices),
        FieldKind::Points { .. } => ("points", Vec::new()),
        FieldKind::Text => ("text", Vec::new()),
        FieldKind::List { .. } => ("list", Vec::new()),
    };
    v1::Question {
        key: from.key,
        kind: kind.to_owned(),
        choices,
        may_not_apply: from.may_not_apply,
    }
}

fn reading(from: &Reading) -> v1::Reading {
    v1::Reading {
        id: from.id.clone(),
        text: from.text.clone(),
        word: from.switch.as_ref().map_or("", Switch::word).to_owned(),
    }
}

pub(super) fn rubric_fault(from: Fault) -> v1::RubricFault {
    v1::RubricFault {
        line: u32::try_from(from.line).unwrap_or(u32::MAX),
        problem: from.problem,
    }
}

pub(super) fn run(from: Run) -> v1::Run {
    let freeze = from.frozen().map(|freeze| v1::Freeze {
        digest: freeze.digest.to_string(),
        by: freeze.by.clone(),
        at: freeze.at,
        note: freeze.note.clone(),
    });
    v1::Run {
        id: from.id,
        key: from.key,
        county: from.county.to_string(),
        name: from.name,
        period: Some(convert::to_period(from.period)),
        rubric: from.rubric.to_string(),
        supersedes: from.supersedes.unwrap_or_default(),
        minutes_from: from.minutes_from.unwrap_or_default(),
        by: from.by,
        at: from.at,
        revision: from.revision,
        freeze,
    }
}

pub(super) fn known(from: Known) -> v1::Evidence {
    evidence(from.school.as_str(), &from.item, from.evidence)
}

fn evidence(school: &str, item: &str, from: ItemEvidence) -> v1::Evidence {
    let answers: HashMap<String, v1::Answer> = from
        .values
        .into_iter()
        .map(|(key, value)| (key, answer(value)))
        .collect();
    v1::Evidence {
        school_code: school.to_owned(),
        item: item.to_owned(),
        answers,
        source: from.source,
        attachments: from.attachments,
        by: from.by,
        at: from.at,
    }
}

fn answer(from: Value) -> v1::Answer {
    let answer = match from {
        Value::YesNo(answer) => Answer::YesNo(answer),
        Value::Count(count) => Answer::Count(count),
        Value::Number(number) => Answer::Number(number.to_string()),
        Value::Choice(choice) => Answer::Choice(choice),
        Value::NotApplicable => Answer::NotApplicable(true),
        Value::Points(points) => Answer::Points(points.to_string()),
        Value::Text(text) => Answer::Text(text),
        Value::List(rows) => Answer::List(v1::AwardList {
            rows: rows.into_iter().map(row).collect(),
        }),
    };
    v1::Answer {
        answer: Some(answer),
    }
}

fn row(from: ListRow) -> v1::Award {
    v1::Award {
        title: from.title,
        level: from.level,
        prize: from.prize,
        person: from.person.unwrap_or_default(),
        proof: from.proof,
    }
}

pub(super) fn evidence_fault(from: Unfit) -> v1::EvidenceFault {
    v1::EvidenceFault {
        school_code: from.school.to_string(),
        item: from.item,
        question: from.key,
        problem: from.problem,
    }
}

pub(super) fn exclusion(from: KeptExclusion) -> v1::Exclusion {
    let KeptExclusion { id, exclusion } = from;
    v1::Exclusion {
        id,
        terminal: exclusion.terminal.to_string(),
        period: Some(convert::to_period(exclusion.period())),
        reason: exclusion.reason,
        by: exclusion.by,
        at: exclusion.at,
    }
}

fn points(from: Points) -> v1::PointsValue {
    // A points value is one JSON string: a decimal or a fraction.
    let exact = serde_json::to_value(from).ok();
    v1::PointsValue {
        exact: exact
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default(),
        display: from.to_string(),
    }
}

/// Every school's sheet, best total first, with its rank.
pub(super) fn sheets(results: &Results) -> Vec<v1::SchoolSheet> {
    let ranked = results.ranked().into_iter();
    ranked
        .map(|ranked| v1::SchoolSheet {
            school: Some(convert::school(ranked.of.school.clone())),
            rank: u32::try_from(ranked.rank).unwrap_or(u32::MAX),
            total: Some(points(ranked.of.sheet.total)),
            groups: ranked.of.sheet.groups.iter().map(group_sheet).collect(),
        })
        .collect()
}

fn group_sheet(from: &GroupScore) -> v1::GroupSheet {
    v1::GroupSheet {
        id: from.id.clone(),
        points: Some(points(from.points)),
        uncapped: Some(points(from.uncapped)),
        indicators: from.indicators.iter().map(indicator_sheet).collect(),
    }
}

fn indicator_sheet(from: &IndicatorScore) -> v1::IndicatorSheet {
    v1::IndicatorSheet {
        id: from.id.clone(),
        points: Some(points(from.points)),
        items: from.items.iter().map(item_sheet).collect(),
    }
}

fn item_sheet(from: &ItemScore) -> v1::ItemSheet {
    let state = match from.state {
        ItemState::Scored => "scored",
        ItemState::NotApplicable => "not_applicable",
        ItemState::Missing => "missing",
        ItemState::Vetoed => "vetoed",
    };
    v1::ItemSheet {
        id: from.id.clone(),
        points: Some(points(from.points)),
        state: state.to_owned(),
        reason: from.reason.clone(),
        missing: from.missing.clone(),
    }
}

/// The 后台监测 points alone, highest first.
pub(super) fn monitoring(loaded: &Loaded) -> Result<v1::MonitoringScores, Status> {
    let results = &loaded.results;
    let schools: Result<Vec<_>, Status> = results
        .by_monitoring()
        .into_iter()
        .map(|one| {
            let found = &one.monitoring;
            let of_item = loaded.inputs.rubric.rubric.monitoring_item();
            let reason = of_item.and_then(|item| one.sheet.item(&item.id));
            Ok(v1::SchoolScore {
                school_code: one.school.code.to_string(),
                name: one.school.name.clone(),
                stage: one.school.stage.to_string(),
                average: Some(convert::fraction(found.average)?),
                points: Some(convert::fraction(found.points.value())?),
                points_hundredths: convert::narrow("points", found.points.hundredths())?,
                points_display: found.points.to_string(),
                stage_points_hundredths: convert::narrow(
                    "points",
                    found.stage_points.hundredths(),
                )?,
                reason: reason.map_or_else(String::new, |item| item.reason.clone()),
            })
        })
        .collect();
    Ok(v1::MonitoringScores {
        county: loaded.inputs.facts.county.code.to_string(),
        period: Some(convert::to_period(loaded.inputs.facts.period())),
        highest_average: Some(convert::fraction(results.highest)?),
        highest_schools: results
            .highest_schools
            .iter()
            .map(ToString::to_string)
            .collect(),
        schools: schools?,
    })
}

pub(super) fn inspection(loaded: &Loaded) -> Result<v1::RunInspection, Status> {
    let results = &loaded.results;
    let watch = &results.watch;
    let doubts = watch.doubts.iter().flat_map(|school| {
        school.doubts.iter().map(|doubt| v1::Doubt {
            terminal: doubt.terminal.to_string(),
            school_code: school.school.to_string(),
            kind: doubt.kind.key().to_owned(),
            sentence: doubt.sentence.clone(),
            days: doubt.days,
            period: Some(convert::to_period(Period {
                first: doubt.first,
                last: doubt.last,
            })),
        })
    });
    Ok(v1::RunInspection {
        findings: watch.sentences.clone(),
        highest_schools: results
            .highest_schools
            .iter()
            .map(ToString::to_string)
            .collect(),
        highest_average: Some(convert::fraction(results.highest)?),
        next_school: watch
            .next
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        doubts: doubts.collect(),
        missing_answers: convert::narrow("missing answers", results.missing())?,
        revision: loaded.run.revision,
        figures: results.figures().to_string(),
    })
}

pub(super) fn verification(from: Verification) -> Result<v1::Verification, Status> {
    Ok(v1::Verification {
        sound: from.is_sound(),
        digest: from.digest.to_string(),
        parts: convert::narrow("parts", from.parts)?,
        reworded: convert::narrow("reworded", from.reworded)?,
        faults: from
            .faults
            .into_iter()
            .map(|fault| v1::PartFault {
                part: fault.part,
                problem: fault.problem,
            })
            .collect(),
    })
}

fn difference(from: SchoolDifference) -> v1::SchoolDifference {
    v1::SchoolDifference {
        school_code: from.school.to_string(),
        name: from.name,
        before: from.before.map(points),
        after: from.after.map(points),
        items: from.items.into_iter().map(item_difference).collect(),
    }
}

fn item_difference(from: ItemDifference) -> v1::ItemDifference {
    v1::ItemDifference {
        item: from.item,
        before: from.before.map(|item| points(item.points)),
        after: from.after.map(|item| points(item.points)),
    }
}

pub(super) fn comparison(from: Comparison) -> v1::Comparison {
    v1::Comparison {
        inputs: inputs(&from.inputs),
        schools: from.schools.into_iter().map(difference).collect(),
    }
}

fn inputs(from: &InputDifference) -> Vec<String> {
    let exclusions = !from.exclusions_before.is_empty() || !from.exclusions_after.is_empty();
    let differ = [
        ("period", from.period),
        ("rubric", from.rubric),
        ("calendar", from.calendar),
        ("schools", !from.schools.is_empty()),
        ("evidence", !from.evidence.is_empty()),
        (
            "minutes",
            from.minutes.as_ref().is_some_and(|one| !one.is_empty()),
        ),
        ("exclusions", exclusions),
    ];
    let found = differ.into_iter().filter(|(_, differs)| *differs);
    found.map(|(name, _)| name.to_owned()).collect()
}

pub(super) fn what_if(from: WhatIf) -> v1::WhatIfResponse {
    v1::WhatIfResponse {
        schools: from.schools.into_iter().map(difference).collect(),
        highest_before: from.highest_before,
        highest_after: from.highest_after,
        findings: from.watch_after.sentences,
    }
}

pub(super) fn explanation(from: Explanation, item: &str) -> Result<v1::Explanation, Status> {
    let monitoring = from.monitoring;
    let (counted_minutes, service_days) = monitoring.as_ref().map_or((0, 0), |found| {
        (found.sums.counted, found.sums.service_days)
    });
    let highest_average = monitoring
        .as_ref()
        .map_or_else(String::new, |found| found.highest.clone());
    let terminals = monitoring.map(|found| found.terminals);
    let terminals: Result<Vec<_>, Status> = terminals
        .unwrap_or_default()
        .into_iter()
        .map(terminal)
        .collect();
    Ok(v1::Explanation {
        item: Some(item_sheet(&from.score)),
        evidence: from
            .evidence
            .map(|known| evidence(from.school.code.as_str(), item, known)),
        text: from.text,
        readings: from
            .readings
            .into_iter()
            .map(|(id, text)| v1::Reading {
                id,
                text,
                word: String::new(),
            })
            .collect(),
        terminals: terminals?,
        counted_minutes,
        service_days,
        highest_average,
    })
}

fn terminal(from: TerminalExplanation) -> Result<v1::ExplainedTerminal, Status> {
    let days: Result<Vec<_>, Status> = from.days.into_iter().map(day).collect();
    Ok(v1::ExplainedTerminal {
        terminal: from.terminal.to_string(),
        due_days: convert::narrow("days", from.due_days)?,
        counted_minutes: from.counted,
        excluded_days: convert::narrow("days", from.excluded_days)?,
        days: days?,
        room: from.room,
    })
}

fn day(from: TerminalDayExplanation) -> Result<v1::ExplainedDay, Status> {
    Ok(v1::ExplainedDay {
        day: from.day.to_string(),
        counted: convert::narrow("minutes", from.counted)?,
        teaching: from.teaching.unwrap_or_default(),
        used: from.used,
        due: from.due,
        excluded: from.excluded.map(exclusion),
    })
}
