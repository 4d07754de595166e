//! What each kind of rule awards, and the sentence that says why.

use std::collections::BTreeMap;

use super::conditions::{Answers, Verdict, judge, percent};
use crate::domain::{
    monitoring,
    rubric::{
        definition::Rubric,
        evidence::{EvidenceFault, GIVEN, JUDGE, LIST, REASON, Value},
        list::{self, ListKind},
        points::Points,
        rule::{Ask, Band, Cell, Condition, Lapses, Rule, Share},
    },
    usage::Fraction,
};

/// What an item gives.
pub(super) struct Award {
    pub(super) points: Points,
    pub(super) reason: String,
    pub(super) missing: Vec<String>,
    pub(super) not_applicable: bool,
}

impl Award {
    fn of(points: Points, reason: String) -> Self {
        Self {
            points,
            reason,
            missing: Vec::new(),
            not_applicable: false,
        }
    }

    fn missing(missing: Vec<String>) -> Self {
        Self {
            reason: format!("缺少材料:{};未补之前记 0 分。", missing.join("、")),
            missing,
            ..Self::of(Points::ZERO, String::new())
        }
    }
}

/// What unfit evidence gives: nothing, until it is mended.
pub(super) fn unfit(faults: Vec<EvidenceFault>) -> Award {
    let said: Vec<String> = faults
        .iter()
        .map(|fault| format!("“{}”{}", fault.key, fault.problem))
        .collect();
    Award {
        reason: format!("材料与细则不符({});改正之前记 0 分。", said.join(";")),
        missing: faults.into_iter().map(|fault| fault.key).collect(),
        ..Award::of(Points::ZERO, String::new())
    }
}

/// What a rule gives for these answers.
pub(super) fn award(
    rubric: &Rubric,
    rule: &Rule,
    values: &BTreeMap<String, Value>,
    monitoring: Option<&monitoring::Score>,
) -> Award {
    let answers = Answers { rubric, values };
    match rule {
        Rule::AllOrNothing { points, when } => all_or_nothing(&answers, *points, when),
        Rule::Checklist { each, parts } => checklist(&answers, *each, parts),
        Rule::Threshold { points, share } => threshold(&answers, *points, share),
        Rule::Tiers {
            part,
            whole,
            bands,
            otherwise,
            ..
        } => tiers(&answers, [part, whole], bands, otherwise.as_ref()),
        Rule::Deduction { full, each, lapses } => deduction(&answers, *full, *each, lapses),
        Rule::Grade { ask, options } => grade(&answers, ask, options),
        Rule::Counts { unit, cells, list } => counts(&answers, unit, cells, *list),
        Rule::Discretionary { points, when } => discretionary(&answers, *points, when),
        Rule::CountyRatio { .. } => monitoring.map_or_else(
            || Award::missing(vec!["后台监测结果".to_owned()]),
            |score| Award::of(Points::exactly(score.points), score.reason.clone()),
        ),
        Rule::Veto { ask, .. } => match answers.yes_no(ask) {
            None => Award::missing(vec![ask.clone()]),
            Some(false) => Award::of(Points::ZERO, format!("未{ask},不影响其他条目。")),
            Some(true) => Award::of(Points::ZERO, format!("{ask},一票否决。")),
        },
    }
}

fn all_or_nothing(answers: &Answers<'_>, points: Points, when: &[Condition]) -> Award {
    let judged = judge(answers.rubric, when, answers.values);
    let words = judged.words.join(";");
    let award = match judged.verdict {
        Verdict::Met => Award::of(points, format!("{words},记 {} 分。", points.short())),
        Verdict::Unmet => Award::of(Points::ZERO, format!("{words},记 0 分。")),
        Verdict::Open => return Award::missing(judged.missing),
    };
    Award {
        not_applicable: judged.not_applicable,
        missing: judged.missing,
        ..award
    }
}

fn checklist(answers: &Answers<'_>, each: Points, parts: &[Ask]) -> Award {
    let with = |answer: Option<bool>| -> Vec<&str> {
        let found = parts.iter().filter(|part| answers.yes_no(part) == answer);
        found.map(String::as_str).collect()
    };
    let (there, lacking, missing) = (with(Some(true)), with(Some(false)), with(None));
    if missing.len() == parts.len() {
        return Award::missing(parts.to_vec());
    }
    let points = each.times(there.len() as u64);
    let mut reason = format!("计 {} 项", there.len());
    let named = [
        ("", there.as_slice()),
        (";没有", &lacking),
        (";缺少材料", &missing),
    ];
    for (what, names) in named {
        if !names.is_empty() {
            reason = format!("{reason}{what}({})", names.join("、"));
        }
    }
    let reason = format!("{reason},记 {} 分。", points.short());
    Award {
        missing: missing.into_iter().map(str::to_owned).collect(),
        ..Award::of(points, reason)
    }
}

fn threshold(answers: &Answers<'_>, points: Points, share: &Share) -> Award {
    match answers.share(share) {
        Err(missing) => Award::missing(missing),
        Ok((holds, words, not_applicable)) => {
            let points = if holds { points } else { Points::ZERO };
            Award {
                not_applicable,
                ..Award::of(points, format!("{words},记 {} 分。", points.short()))
            }
        }
    }
}

fn tiers(
    answers: &Answers<'_>,
    [part, whole]: [&Ask; 2],
    bands: &[Band],
    otherwise: Option<&(Ask, Points)>,
) -> Award {
    let (of, all) = match answers.counts(part, whole) {
        Ok((of, all)) if all > 0 => (of, all),
        Ok(_) => return Award::missing(vec![whole.clone()]),
        Err(missing) => return Award::missing(missing),
    };
    let value = Fraction::new(of.into(), all.into());
    let words = format!("{part} {of} ÷ {whole} {all} = {}", percent(value));
    if let Some(band) = bands.iter().find(|band| value >= band.at_least) {
        let (bound, points) = (band_name(band.at_least), band.points);
        return Award::of(
            points,
            format!("{words},达到 {bound} 一档,记 {} 分。", points.short()),
        );
    }
    let lowest = bands.last().map_or_else(String::new, |band| {
        format!(",未达到最低一档 {}", band_name(band.at_least))
    });
    match otherwise {
        None => Award::of(Points::ZERO, format!("{words}{lowest},记 0 分。")),
        Some((met, points)) => match answers.yes_no(met) {
            Some(true) => Award::of(
                *points,
                format!("{words}{lowest};{met},记 {} 分。", points.short()),
            ),
            Some(false) => Award::of(Points::ZERO, format!("{words}{lowest},也未{met},记 0 分。")),
            None => Award::missing(vec![met.clone()]),
        },
    }
}

/// A bound in percent where that is exact, else as a fraction.
fn band_name(bound: Fraction) -> String {
    if (bound * Fraction::from_integer(10_000)).is_integer() {
        percent(bound)
    } else {
        format!("{}/{}", bound.numer(), bound.denom())
    }
}

fn deduction(answers: &Answers<'_>, full: Points, each: Points, lapses: &Lapses) -> Award {
    let (count, words) = match lapses {
        Lapses::Count(ask) => match answers.count(ask) {
            Some(count) => (count, format!("{ask} {count}")),
            None => return Award::missing(vec![ask.clone()]),
        },
        Lapses::Shortfall { due, done } => match answers.counts(due, done) {
            Ok((owed, had)) => (
                owed.saturating_sub(had),
                format!("{due} {owed},{done} {had}"),
            ),
            Err(missing) => return Award::missing(missing),
        },
    };
    let lost = each.times(count).min(full);
    let points = full.less(lost);
    let reason = if count == 0 {
        format!("{words},不扣分,记 {} 分。", points.short())
    } else {
        format!(
            "{words},每次扣 {} 分,共扣 {} 分,记 {} 分。",
            each.short(),
            lost.short(),
            points.short()
        )
    };
    Award::of(points, reason)
}

fn grade(answers: &Answers<'_>, ask: &Ask, options: &[(String, Points)]) -> Award {
    let Some(Value::Choice(chosen)) = answers.values.get(ask) else {
        return Award::missing(vec![ask.clone()]);
    };
    match options.iter().find(|(name, _)| name == chosen) {
        Some((name, points)) => {
            Award::of(*points, format!("{ask}:{name},记 {} 分。", points.short()))
        }
        None => Award::missing(vec![ask.clone()]),
    }
}

fn counts(answers: &Answers<'_>, unit: &str, cells: &[Cell], kind: Option<ListKind>) -> Award {
    let (counted, note) =
        if let (Some(kind), Some(Value::List(rows))) = (kind, answers.values.get(LIST)) {
            let counted = list::count(kind, cells, rows);
            let passed = match counted.passed_over {
                0 => String::new(),
                some => format!(",其中 {some} 行因同一人在同一竞赛中只计最高奖而不计"),
            };
            (counted.counts, format!("(名单 {} 行{passed})", rows.len()))
        } else {
            let given = cells
                .iter()
                .filter_map(|cell| Some((cell.key.as_str(), answers.count(&cell.key)?)));
            (given.collect(), String::new())
        };
    if counted.is_empty() && note.is_empty() {
        let asked = cells.first().map_or(unit, |cell| cell.key.as_str());
        let asked = match cells.len() {
            0 | 1 => asked.to_owned(),
            _ => format!("各级数量({unit})"),
        };
        return Award::missing(vec![asked]);
    }
    let points = list::worth(cells, &counted);
    let parts: Vec<String> = cells
        .iter()
        .filter_map(|cell| {
            let count = counted.get(cell.key.as_str()).filter(|count| **count > 0)?;
            let name = if cell.level.is_empty() && cell.prize.is_empty() {
                ""
            } else {
                &cell.key
            };
            Some(format!(
                "{name} {count} {unit} × {} 分",
                cell.points.short()
            ))
        })
        .collect();
    let words = if parts.is_empty() {
        "数量为 0".to_owned()
    } else {
        parts.join(",").trim_start().to_owned()
    };
    Award::of(points, format!("{words}{note},记 {} 分。", points.short()))
}

fn discretionary(answers: &Answers<'_>, points: Points, when: &[Condition]) -> Award {
    let judged = judge(answers.rubric, when, answers.values);
    let words = judged.words.join(";");
    if judged.verdict == Verdict::Met {
        return Award {
            not_applicable: judged.not_applicable,
            ..Award::of(points, format!("{words},记满分 {} 分。", points.short()))
        };
    }
    // Whether an evaluator may give a figure depends on the conditions: without them there is none.
    if judged.verdict == Verdict::Open {
        return Award::missing(judged.missing);
    }
    let text = |key: &str| match answers.values.get(key) {
        Some(Value::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    // An evaluator's figure without a name and a reason is none.
    if let (Some(Value::Points(given)), Some(reason), Some(judge)) =
        (answers.values.get(GIVEN), text(REASON), text(JUDGE))
    {
        let given = Points::from(*given).min(points);
        return Award {
            not_applicable: judged.not_applicable,
            ..Award::of(
                given,
                format!("{words};{judge}酌情记 {} 分:{reason}", given.short()),
            )
        };
    }
    Award {
        missing: vec![GIVEN.to_owned()],
        not_applicable: judged.not_applicable,
        ..Award::of(
            Points::ZERO,
            format!("{words};尚未酌情记分,未补之前记 0 分。"),
        )
    }
}
