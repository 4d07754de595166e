//! What was counted for an item of a school and why, down to terminal-days and minutes: what an appeal asks for.

use jiff::civil::Date;
use serde::Serialize;

use super::{
    EvaluationError, Inputs, Loaded, MonitoringResult, SchoolFacts, TerminalMinutes, load,
    minutes::{Excluded, Runs, terminal_day},
};
use crate::{
    domain::{
        ids::{SchoolCode, TerminalId},
        rubric::{ItemEvidence, Rule, sheet::ItemScore},
        usage::display,
    },
    store::{KeptExclusion, Store},
};

/// What was counted for an item of a school, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The school.
    pub school: SchoolFacts,
    /// The item's text, as published.
    pub text: String,
    /// Its points, with the reason in a Chinese sentence.
    pub score: ItemScore,
    /// The readings that concern it: id and text.
    pub readings: Vec<(String, String)>,
    /// What was known, with who said so and from where; `None` where nothing was.
    pub evidence: Option<ItemEvidence>,
    /// For 后台监测 only.
    pub monitoring: Option<MonitoringExplanation>,
}

/// What a school's terminals did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonitoringExplanation {
    /// The sums.
    pub sums: MonitoringResult,
    /// The county's highest average, two decimals.
    pub highest: String,
    /// Who set it.
    pub highest_schools: Vec<SchoolCode>,
    /// By id; their `counted` and `due_days` add up to the sums.
    pub terminals: Vec<TerminalExplanation>,
}

/// What one terminal did while it stood in the school.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TerminalExplanation {
    /// The terminal.
    pub terminal: TerminalId,
    /// The room where it stood last.
    pub room: String,
    /// Minutes that count.
    pub counted: u64,
    /// Days that were due.
    pub due_days: u64,
    /// Days that were excluded.
    pub excluded_days: u64,
    /// Teaching days in service, and other days with use, in order.
    pub days: Vec<TerminalDayExplanation>,
}

/// One terminal-day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TerminalDayExplanation {
    /// The day.
    pub day: Date,
    /// Minutes of teaching time; `None` on a day without teaching, whose use never counts.
    pub teaching: Option<u32>,
    /// Used minutes as runs, such as `08:00-08:40 09:05-09:06`.
    pub used: String,
    /// How many.
    pub used_minutes: u32,
    /// Of those, minutes in teaching time, capped; 0 where the day is excluded.
    pub counted: u64,
    /// Whether the day is in the divisor.
    pub due: bool,
    /// Why it does not count, and who said so.
    pub excluded: Option<KeptExclusion>,
}

/// Explains an item of a school in a run, draft or frozen.
///
/// # Errors
/// As [`load`]; `Unknown` for a school or an item that the run does not have.
pub async fn explain(
    store: &dyn Store,
    run: i64,
    school: &SchoolCode,
    item: &str,
) -> Result<Explanation, EvaluationError> {
    let loaded = load(store, run).await?;
    Explanation::of(&loaded, school, item)
}

impl Explanation {
    /// Explains an item of a school.
    ///
    /// # Errors
    /// `Unknown`; `Unread` for 后台监测 of a school whose minutes were not read.
    pub fn of(loaded: &Loaded, code: &SchoolCode, id: &str) -> Result<Self, EvaluationError> {
        let unknown = |what, id: &str| EvaluationError::Unknown {
            what,
            id: id.to_owned(),
        };
        let Loaded {
            inputs, results, ..
        } = loaded;
        let school = inputs.school(code)?;
        let result = results.school(code);
        let result = result.ok_or_else(|| unknown("school", code.as_str()))?;
        let rubric = &inputs.rubric.rubric;
        let item = rubric.item(id).ok_or_else(|| unknown("item", id))?;
        let score = result.sheet.item(id).ok_or_else(|| unknown("item", id))?;
        let readings = item.readings.iter().filter_map(|id| rubric.reading(id));
        let measured = matches!(item.rule, Rule::CountyRatio { .. });
        let terminals = if measured {
            terminals(inputs, school)?
        } else {
            Vec::new()
        };
        Ok(Self {
            school: school.clone(),
            text: item.text.clone(),
            score: score.clone(),
            readings: readings
                .map(|one| (one.id.clone(), one.text.clone()))
                .collect(),
            evidence: inputs
                .evidence
                .get(code)
                .and_then(|all| all.get(id))
                .cloned(),
            monitoring: measured.then(|| MonitoringExplanation {
                sums: result.monitoring.clone(),
                highest: display(results.highest),
                highest_schools: results.highest_schools.clone(),
                terminals,
            }),
        })
    }
}

fn terminals(
    inputs: &Inputs,
    school: &SchoolFacts,
) -> Result<Vec<TerminalExplanation>, EvaluationError> {
    let minutes = inputs.minutes_of(&school.code)?;
    let excluded = Excluded::new(&inputs.exclusions);
    let terminals = minutes.terminals.iter();
    Ok(terminals
        .map(|(id, terminal)| {
            let days = days(inputs, school, id, terminal, &excluded);
            let count = |wanted: fn(&TerminalDayExplanation) -> bool| {
                days.iter().filter(|day| wanted(day)).count() as u64
            };
            TerminalExplanation {
                terminal: id.clone(),
                room: terminal.room.clone(),
                counted: days.iter().map(|day| day.counted).sum(),
                due_days: count(|day| day.due),
                excluded_days: count(|day| day.teaching.is_some() && day.excluded.is_some()),
                days,
            }
        })
        .collect())
}

fn days(
    inputs: &Inputs,
    school: &SchoolFacts,
    id: &TerminalId,
    terminal: &TerminalMinutes,
    excluded: &Excluded<'_>,
) -> Vec<TerminalDayExplanation> {
    let calendar = &inputs.calendar.calendar;
    let taught = terminal.service.iter().flat_map(|(first, last)| {
        let days = calendar.teaching_days(school.stage, *first, *last);
        days.map(|(day, _)| day)
    });
    let mut all: Vec<Date> = taught.chain(terminal.used.keys().copied()).collect();
    all.sort_unstable();
    all.dedup();
    all.retain(|day| terminal.in_service(*day));
    all.into_iter()
        .map(|day| {
            let used = terminal.used.get(&day).copied().unwrap_or(Runs::default());
            let teaching = calendar.teaching(school.stage, day);
            let excluded = excluded.of(id, day).cloned();
            let counted = match excluded {
                Some(_) => 0,
                None => terminal_day(calendar, school.stage, day, &used).counted,
            };
            TerminalDayExplanation {
                day,
                teaching: teaching.map(|teaching| teaching.mask.count()),
                used: used.0.to_string(),
                used_minutes: used.0.count(),
                counted,
                due: teaching.is_some() && excluded.is_none(),
                excluded,
            }
        })
        .collect()
}
