//! The outlier watch: who sets the county's highest average, how far from the next, and which of its terminals look
//! doubtful. Shown before anyone freezes, for that one school divides every school's points.
//!
//! Not responsible for the rules (`domain::doubt`), nor for excluding anything.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{EvaluationError, Inputs, SchoolFacts, TerminalMinutes, minutes::Excluded};
use crate::domain::{
    doubt::{self, Doubt, Observed},
    ids::{SchoolCode, TerminalId},
    minutes::MinuteSet,
    monitoring::CountyScores,
    usage::display,
};

/// What to look at before freezing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Watch {
    /// In Chinese, one sentence after the other: who, how far, how many doubts.
    pub sentences: Vec<String>,
    /// The school with the highest average below the maximum; `None` where there is none.
    pub next: Option<SchoolCode>,
    /// What looks doubtful of the schools that set the maximum, school by school.
    pub doubts: Vec<SchoolDoubts>,
}

/// One school's doubts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchoolDoubts {
    /// The school.
    pub school: SchoolCode,
    /// By terminal and kind.
    pub doubts: Vec<Doubt>,
}

/// Looks at the schools that set a county's maximum.
///
/// # Errors
/// `Unread`.
pub(super) fn watch(inputs: &Inputs, scores: &CountyScores) -> Result<Watch, EvaluationError> {
    let excluded = Excluded::new(&inputs.exclusions);
    let holders = inputs
        .schools
        .iter()
        .filter(|school| scores.highest_schools.contains(&school.code));
    let doubts: Result<Vec<SchoolDoubts>, EvaluationError> = holders
        .map(|school| {
            Ok(SchoolDoubts {
                school: school.code.clone(),
                doubts: school_doubts(inputs, school, &excluded)?,
            })
        })
        .collect();
    let doubts = doubts?;
    let next = scores
        .schools
        .iter()
        .find(|score| score.average < scores.highest);
    Ok(Watch {
        sentences: sentences(inputs, scores, &doubts),
        next: next.map(|score| score.school.clone()),
        doubts,
    })
}

/// What looks doubtful of one school in a run. Excluded days are not looked at: somebody has decided about them.
fn school_doubts(
    inputs: &Inputs,
    school: &SchoolFacts,
    excluded: &Excluded<'_>,
) -> Result<Vec<Doubt>, EvaluationError> {
    let minutes = inputs.minutes_of(&school.code)?;
    let calendar = &inputs.calendar.calendar;
    let undecided = |id: &TerminalId, terminal: &TerminalMinutes| -> BTreeSet<Date> {
        let told = terminal.two_machines.iter().copied();
        told.filter(|day| excluded.of(id, *day).is_none()).collect()
    };
    let terminals: Vec<_> = minutes
        .terminals
        .iter()
        .map(|(id, terminal)| (id, terminal, undecided(id, terminal)))
        .collect();
    let observed: Vec<Observed<'_>> = terminals
        .iter()
        .map(|(id, terminal, two_machines)| {
            let days = terminal.used.iter().filter(|(day, _)| {
                excluded.of(id, **day).is_none() && calendar.teaching(school.stage, **day).is_some()
            });
            Observed {
                terminal: id,
                days: days
                    .map(|(day, runs)| (*day, runs.0))
                    .collect::<Vec<(_, MinuteSet)>>(),
                two_machines,
            }
        })
        .collect();
    Ok(doubt::doubts(calendar, school.stage, &observed))
}

fn sentences(inputs: &Inputs, scores: &CountyScores, doubts: &[SchoolDoubts]) -> Vec<String> {
    let name = |code: &SchoolCode| {
        let found = inputs.schools.iter().find(|school| school.code == *code);
        found.map_or_else(|| code.to_string(), |school| school.name.clone())
    };
    if scores.highest_schools.is_empty() {
        return vec!["全县各校计入时间均为0,没有最高校。".to_owned()];
    }
    let holders: Vec<String> = scores.highest_schools.iter().map(name).collect();
    let mut said = vec![format!(
        "全县最高平均使用时间 {} 分钟/台·日,由{}取得。",
        display(scores.highest),
        holders.join("、")
    )];
    let next = scores
        .schools
        .iter()
        .find(|score| score.average < scores.highest);
    if let Some(next) = next {
        said.push(format!(
            "其次是{},{} 分钟/台·日,相差 {} 分钟。",
            name(&next.school),
            display(next.average),
            display(scores.highest - next.average)
        ));
    }
    let count: usize = doubts.iter().map(|one| one.doubts.len()).sum();
    said.push(if count == 0 {
        "最高校的终端没有发现可疑之处。".to_owned()
    } else {
        format!("最高校的终端有 {count} 处可疑,冻结前请核对。")
    });
    said
}
