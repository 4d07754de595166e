//! Two runs beside each other: which points differ, school by school and item by item, and which inputs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::{
    EvaluationError, Inputs, Loaded, Results, SchoolMinutes, SchoolResult, TerminalMinutes, load,
    parts::minutes_key,
};
use crate::{
    domain::{
        ids::{SchoolCode, TerminalId},
        rubric::{Points, SchoolEvidence, ScoreSheet, sheet::ItemScore},
    },
    store::{ContentDigest, Exclusion, Store},
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
    /// Schools with other terminals, service or minutes; `None` where minutes were not compared.
    pub minutes: Option<Vec<SchoolCode>>,
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
    let minutes = differing(&first.inputs, &second.inputs);
    Ok(Comparison::of(&first, &second, Some(minutes)))
}

/// How far minutes are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Where that is quick: of two frozen runs over the same days. Else every school's minutes would have to be looked at.
    Quick,
    /// As far as they were read; a frozen run's by its parts.
    Whole,
}

/// The same of runs that were read before. Minutes of two frozen runs are compared by their parts, so that these need not
/// be read whole; a draft's only where both were, for that takes seconds for a county's year.
///
/// # Errors
/// As [`load`].
pub async fn compare_of(
    store: &dyn Store,
    first: &Loaded,
    second: &Loaded,
    depth: Depth,
) -> Result<Comparison, EvaluationError> {
    if depth == Depth::Quick && first.inputs.facts.period() != second.inputs.facts.period() {
        return Ok(Comparison::of(first, second, None));
    }
    if first.run.frozen().is_none() || second.run.frozen().is_none() {
        let both = [&first.inputs, &second.inputs];
        let whole = depth == Depth::Whole && both.iter().all(|inputs| inputs.is_whole());
        let minutes = whole.then(|| differing(&first.inputs, &second.inputs));
        return Ok(Comparison::of(first, second, minutes));
    }
    let (before, after) = (
        parts_of(store, first).await?,
        parts_of(store, second).await?,
    );
    let mut minutes = Vec::new();
    for code in changed(&before.iter().collect(), &after.iter().collect()) {
        let key = minutes_key(&code);
        let both = before.contains_key(&code) && after.contains_key(&code);
        let same = both && {
            let first = store.run_part(first.run.id, &key).await?;
            let second = store.run_part(second.run.id, &key).await?;
            without_rooms(&first).eq(without_rooms(&second))
        };
        if !same {
            minutes.push(code);
        }
    }
    Ok(Comparison::of(first, second, Some(minutes)))
}

/// The digest of each school's minutes.
async fn parts_of(
    store: &dyn Store,
    loaded: &Loaded,
) -> Result<BTreeMap<SchoolCode, ContentDigest>, EvaluationError> {
    let mut parts: HashMap<String, ContentDigest> = HashMap::new();
    for part in store.run_parts(loaded.run.id).await? {
        parts.insert(part.key, part.digest);
    }
    let codes = loaded.inputs.schools.iter().map(|school| &school.code);
    let digest = |code: &SchoolCode| Some((code.clone(), *parts.get(&minutes_key(code))?));
    Ok(codes.filter_map(digest).collect())
}

/// The text of a school's minutes without the names of rooms, in pieces: a room's new name counts nothing. Texts of the
/// same minutes are the same, for they are canonical, and no text within them holds a bare quotation mark.
fn without_rooms(text: &str) -> impl Iterator<Item = &str> {
    text.split("\"room\":\"").enumerate().map(|(at, piece)| {
        // What follows a room's heading begins with its name.
        if at == 0 { piece } else { after_name(piece) }
    })
}

/// What follows the end of a JSON text.
fn after_name(piece: &str) -> &str {
    let mut escaped = false;
    let end = piece.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or("", |end| &piece[end..])
}

impl Comparison {
    /// What differs between two runs, of which these schools' minutes do.
    fn of(first: &Loaded, second: &Loaded, minutes: Option<Vec<SchoolCode>>) -> Self {
        let schools = differences(&first.results, &second.results).into_iter();
        Self {
            schools: schools
                .filter(|one| !one.items.is_empty() || one.before.is_none() || one.after.is_none())
                .collect(),
            inputs: InputDifference::of(&first.inputs, &second.inputs, minutes),
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
            count("使用分钟", self.minutes.as_ref().map_or(0, Vec::len)),
            count("排除", exclusions),
        ];
        let differ: Vec<String> = differ.into_iter().flatten().collect();
        match (differ.is_empty(), self.minutes.is_some()) {
            (true, true) => "两次考核的依据完全相同。".to_owned(),
            (true, false) => "使用分钟另行比较;其余依据完全相同。".to_owned(),
            (false, true) => format!("不同的依据:{}。", differ.join("、")),
            (false, false) => format!("不同的依据:{};使用分钟另行比较。", differ.join("、")),
        }
    }

    fn of(first: &Inputs, second: &Inputs, minutes: Option<Vec<SchoolCode>>) -> Self {
        Self {
            period: first.facts.period() != second.facts.period(),
            rubric: first.rubric.text != second.rubric.text,
            calendar: first.calendar.text != second.calendar.text,
            schools: changed(
                &first.schools.iter().map(|one| (&one.code, one)).collect(),
                &second.schools.iter().map(|one| (&one.code, one)).collect(),
            ),
            evidence: evidence(first, second),
            minutes,
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

/// Schools whose minutes differ, of runs that were read whole.
fn differing(first: &Inputs, second: &Inputs) -> Vec<SchoolCode> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minutes(rooms: &[String], used: u16) -> SchoolMinutes {
        let terminals = rooms.iter().enumerate().map(|(number, room)| {
            let mut one = TerminalMinutes {
                room: room.clone(),
                service: vec![(
                    jiff::civil::date(2026, 9, 1),
                    jiff::civil::date(2026, 9, 30),
                )],
                ..TerminalMinutes::default()
            };
            let runs = crate::domain::minutes::MinuteSet::of(used, used + 40);
            let day = jiff::civil::date(2026, 9, 7);
            one.used.insert(day, crate::evaluation::minutes::Runs(runs));
            (format!("T-{number}").parse().unwrap(), one)
        });
        SchoolMinutes {
            terminals: terminals.collect(),
        }
    }

    proptest! {
        /// Whatever rooms are called, also as the text itself: equal but for them is equal.
        #[test]
        fn texts_without_rooms_tell_minutes_apart(
            before in prop::collection::vec(r#"[a-z"\\:{},\n一]{0,9}|","room":"|\\"#, 1..4),
            after in prop::collection::vec(r#"[a-z"\\:{},\n一]{0,9}|","room":"|\\"#, 1..4),
            same in any::<bool>(),
        ) {
            let (first, second) = (minutes(&before, 480), minutes(&after, if same { 480 } else { 481 }));
            let texts = [&first, &second].map(|one| serde_json::to_string(one).unwrap());
            let equal = without_rooms(&texts[0]).eq(without_rooms(&texts[1]));
            prop_assert_eq!(equal, same && before.len() == after.len());
        }
    }
}
