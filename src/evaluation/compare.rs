//! Two runs beside each other: which points differ, school by school and item by item, and which inputs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    EvaluationError, Inputs, Loaded, Results, SchoolMinutes, SchoolResult, TerminalMinutes, load,
};
use crate::{
    domain::{
        ids::{SchoolCode, TerminalId},
        rubric::{Points, SchoolEvidence, ScoreSheet, sheet::ItemScore},
    },
    store::{Exclusion, Store},
};

/// What differs between two runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Schools with any item that differs, by code.
    pub schools: Vec<SchoolDifference>,
    /// What it may come from.
    pub inputs: InputDifference,
}

/// One school in two runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchoolDifference {
    /// The school.
    pub school: SchoolCode,
    /// Its name, as the later run has it.
    pub name: String,
    /// Its total in the first; `None` where it is not in that run.
    pub before: Option<Points>,
    /// Its total in the second, likewise.
    pub after: Option<Points>,
    /// Items whose points, state or reason differ, in the rubric's order.
    pub items: Vec<ItemDifference>,
}

/// One item of one school in two runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemDifference {
    /// The item.
    pub item: String,
    /// In the first; `None` where the rubric or the run does not have it.
    pub before: Option<ItemScore>,
    /// In the second, likewise.
    pub after: Option<ItemScore>,
}

/// Which inputs differ.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct InputDifference {
    /// Whether the days that count differ.
    pub period: bool,
    /// Whether the rubrics' texts differ.
    pub rubric: bool,
    /// Whether the calendars' texts differ.
    pub calendar: bool,
    /// Schools in one run only, or with another name, stage or township.
    pub schools: Vec<SchoolCode>,
    /// Evidence, by school and item.
    pub evidence: Vec<EvidenceDifference>,
    /// Schools with other terminals, service or minutes.
    pub minutes: Vec<SchoolCode>,
    /// Exclusions of the first run only.
    pub exclusions_before: Vec<Exclusion>,
    /// Exclusions of the second run only.
    pub exclusions_after: Vec<Exclusion>,
}

/// Evidence that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EvidenceDifference {
    /// The school.
    pub school: SchoolCode,
    /// The item.
    pub item: String,
    /// Whether an answer differs, not only who said it, when, or from where.
    pub values: bool,
}

/// Compares two runs, drafts or frozen.
///
/// # Errors
/// As [`load`].
pub async fn compare(
    store: &dyn Store,
    first: i64,
    second: i64,
) -> Result<Comparison, EvaluationError> {
    let (first, second) = (load(store, first).await?, load(store, second).await?);
    Ok(Comparison::of(&first, &second))
}

impl Comparison {
    /// What differs between two runs.
    #[must_use]
    pub fn of(first: &Loaded, second: &Loaded) -> Self {
        let schools = differences(&first.results, &second.results).into_iter();
        Self {
            schools: schools
                .filter(|one| !one.items.is_empty() || one.before.is_none() || one.after.is_none())
                .collect(),
            inputs: InputDifference::of(&first.inputs, &second.inputs),
        }
    }
}

/// Every school of either, by code, with the items that differ.
pub(super) fn differences(first: &Results, second: &Results) -> Vec<SchoolDifference> {
    let by_code = |results: &'_ Results| -> BTreeMap<SchoolCode, SchoolResult> {
        let schools = results.schools.iter();
        schools
            .map(|one| (one.school.code.clone(), one.clone()))
            .collect()
    };
    let (first, second) = (by_code(first), by_code(second));
    let codes: BTreeSet<&SchoolCode> = first.keys().chain(second.keys()).collect();
    let difference = |code: &&SchoolCode| {
        let (before, after) = (first.get(*code), second.get(*code));
        let known = after.or(before)?;
        Some(SchoolDifference {
            school: (*code).clone(),
            name: known.school.name.clone(),
            before: before.map(|one| one.sheet.total),
            after: after.map(|one| one.sheet.total),
            items: items(before.map(|one| &one.sheet), after.map(|one| &one.sheet)),
        })
    };
    codes.iter().filter_map(difference).collect()
}

fn items(before: Option<&ScoreSheet>, after: Option<&ScoreSheet>) -> Vec<ItemDifference> {
    let (Some(before), Some(after)) = (before, after) else {
        // The whole school is missing on one side: nothing is gained by listing every item.
        return Vec::new();
    };
    let gone = before
        .items()
        .filter(|one| after.item(&one.id).is_none())
        .map(|one| (Some(one), None));
    let here = after.items().map(|one| (before.item(&one.id), Some(one)));
    here.chain(gone)
        .filter(|(before, after)| before != after)
        .filter_map(|(before, after)| {
            Some(ItemDifference {
                item: after.or(before)?.id.clone(),
                before: before.cloned(),
                after: after.cloned(),
            })
        })
        .collect()
}

impl InputDifference {
    /// What differs, in one Chinese sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let count = |name: &str, count: usize| (count > 0).then(|| format!("{name}({count} 处)"));
        let whole = |name: &str, differs: bool| differs.then(|| name.to_owned());
        let exclusions = self.exclusions_before.len() + self.exclusions_after.len();
        let differ = [
            whole("考核期", self.period),
            whole("细则", self.rubric),
            whole("教学日历", self.calendar),
            count("学校", self.schools.len()),
            count("材料", self.evidence.len()),
            count("使用分钟", self.minutes.len()),
            count("排除", exclusions),
        ];
        let differ: Vec<String> = differ.into_iter().flatten().collect();
        if differ.is_empty() {
            return "两次考核的依据完全相同。".to_owned();
        }
        format!("不同的依据:{}", differ.join("、"))
    }

    fn of(first: &Inputs, second: &Inputs) -> Self {
        Self {
            period: first.facts.period() != second.facts.period(),
            rubric: first.rubric.text != second.rubric.text,
            calendar: first.calendar.text != second.calendar.text,
            schools: changed(
                &first.schools.iter().map(|one| (&one.code, one)).collect(),
                &second.schools.iter().map(|one| (&one.code, one)).collect(),
            ),
            evidence: evidence(first, second),
            minutes: minutes(first, second),
            exclusions_before: only_in(first, second),
            exclusions_after: only_in(second, first),
        }
    }
}

/// Keys with another value, or in one map only.
fn changed<T: PartialEq>(
    first: &BTreeMap<&SchoolCode, T>,
    second: &BTreeMap<&SchoolCode, T>,
) -> Vec<SchoolCode> {
    let keys: BTreeSet<&SchoolCode> = first.keys().chain(second.keys()).copied().collect();
    let differ = keys
        .into_iter()
        .filter(|key| first.get(key) != second.get(key));
    differ.cloned().collect()
}

fn minutes(first: &Inputs, second: &Inputs) -> Vec<SchoolCode> {
    // A room's new name counts nothing.
    let plain = |minutes: &SchoolMinutes| -> BTreeMap<TerminalId, TerminalMinutes> {
        let terminals = minutes.terminals.iter();
        let unnamed = terminals.map(|(id, one)| {
            let room = String::new();
            (
                id.clone(),
                TerminalMinutes {
                    room,
                    ..one.clone()
                },
            )
        });
        unnamed.collect()
    };
    let of = |inputs: &Inputs| -> BTreeMap<SchoolCode, BTreeMap<TerminalId, TerminalMinutes>> {
        let schools = inputs.minutes.iter();
        schools
            .map(|(code, minutes)| (code.clone(), plain(minutes)))
            .collect()
    };
    let (first, second) = (of(first), of(second));
    changed(&first.iter().collect(), &second.iter().collect())
}

fn evidence(first: &Inputs, second: &Inputs) -> Vec<EvidenceDifference> {
    let schools: BTreeSet<&SchoolCode> = first
        .evidence
        .keys()
        .chain(second.evidence.keys())
        .collect();
    let nothing = SchoolEvidence::new();
    let mut found = Vec::new();
    for school in schools {
        let before = first.evidence.get(school).unwrap_or(&nothing);
        let after = second.evidence.get(school).unwrap_or(&nothing);
        let items: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for item in items {
            let (before, after) = (before.get(item), after.get(item));
            if before != after {
                let values = before.map(|one| &one.values) != after.map(|one| &one.values);
                found.push(EvidenceDifference {
                    school: school.clone(),
                    item: item.clone(),
                    values,
                });
            }
        }
    }
    found
}

/// Exclusions that the other run does not have: who, when and why are not what is excluded.
fn only_in(here: &Inputs, there: &Inputs) -> Vec<Exclusion> {
    let same = |a: &Exclusion, b: &Exclusion| a.terminal == b.terminal && a.period() == b.period();
    let all = here.exclusions.iter().map(|one| &one.exclusion);
    all.filter(|one| {
        !there
            .exclusions
            .iter()
            .any(|other| same(one, &other.exclusion))
    })
    .cloned()
    .collect()
}
