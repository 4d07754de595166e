//! Whether conditions hold, and the words for it.

use std::collections::BTreeMap;

use crate::domain::{
    rubric::{
        definition::Rubric,
        evidence::Value,
        rule::{Condition, Share},
    },
    usage::{Fraction, display},
};

/// Whether all conditions hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::domain::rubric) enum Verdict {
    /// All do.
    Met,
    /// At least one does not.
    Unmet,
    /// None fails, but some answer is missing.
    Open,
}

/// A verdict with its words.
#[derive(Debug, Clone)]
pub(in crate::domain::rubric) struct Judged {
    pub(in crate::domain::rubric) verdict: Verdict,
    /// What was found for each condition that has an answer.
    pub(in crate::domain::rubric) words: Vec<String>,
    /// Questions without an answer.
    pub(in crate::domain::rubric) missing: Vec<String>,
    /// Whether some part can't apply to this school.
    pub(in crate::domain::rubric) not_applicable: bool,
}

/// A fraction in percent, for people: two places, rounded half up.
pub(super) fn percent(value: Fraction) -> String {
    let shown = display(value * Fraction::from_integer(100));
    let shown = shown.trim_end_matches('0').trim_end_matches('.');
    format!("{shown}%")
}

/// The words and the verdict of one condition, or the questions without an answer.
type Found = Result<(bool, String, bool), Vec<String>>;

/// Judges conditions by the answers that are there.
pub(in crate::domain::rubric) fn judge(
    rubric: &Rubric,
    when: &[Condition],
    values: &BTreeMap<String, Value>,
) -> Judged {
    let answers = Answers { rubric, values };
    let mut judged = Judged {
        verdict: Verdict::Met,
        words: Vec::new(),
        missing: Vec::new(),
        not_applicable: false,
    };
    let (mut failed, mut open) = (false, false);
    for condition in when {
        match answers.condition(condition) {
            Ok((holds, words, not_applicable)) => {
                failed |= !holds;
                judged.words.push(words);
                judged.not_applicable |= not_applicable;
            }
            Err(missing) => {
                open = true;
                judged.missing.extend(missing);
            }
        }
    }
    judged.verdict = match (failed, open) {
        (true, _) => Verdict::Unmet,
        (false, true) => Verdict::Open,
        (false, false) => Verdict::Met,
    };
    judged
}

/// What evidence answers.
pub(super) struct Answers<'a> {
    pub(super) rubric: &'a Rubric,
    pub(super) values: &'a BTreeMap<String, Value>,
}

impl Answers<'_> {
    pub(super) fn yes_no(&self, key: &str) -> Option<bool> {
        match self.values.get(key)? {
            Value::YesNo(answer) => Some(*answer),
            _ => None,
        }
    }

    pub(super) fn count(&self, key: &str) -> Option<u64> {
        match self.values.get(key)? {
            Value::Count(count) => Some(*count),
            _ => None,
        }
    }

    /// Two counts, or which of them are missing.
    pub(super) fn counts(&self, first: &str, second: &str) -> Result<(u64, u64), Vec<String>> {
        match (self.count(first), self.count(second)) {
            (Some(one), Some(two)) => Ok((one, two)),
            (one, two) => {
                let missing = [(one, first), (two, second)].into_iter();
                let missing = missing.filter(|(found, _)| found.is_none());
                Err(missing.map(|(_, key)| key.to_owned()).collect())
            }
        }
    }

    fn condition(&self, condition: &Condition) -> Found {
        match condition {
            Condition::Met(ask) => match self.yes_no(ask) {
                Some(true) => Ok((true, ask.clone(), false)),
                Some(false) => Ok((false, format!("未达到:{ask}"), false)),
                None => Err(vec![ask.clone()]),
            },
            Condition::AllDone { due, done } => {
                let (owed, had) = self.counts(due, done)?;
                let words = format!("{due} {owed},{done} {had}");
                Ok((owed > 0 && had >= owed, words, false))
            }
            Condition::AtLeast { ask, bound } => match self.values.get(ask) {
                Some(Value::Number(figure)) => {
                    let holds = figure >= bound;
                    let relation = if holds { "达到" } else { "未达到" };
                    Ok((holds, format!("{ask} {figure},{relation} {bound}"), false))
                }
                _ => Err(vec![ask.clone()]),
            },
            Condition::Share(share) => self.share(share),
        }
    }

    /// Whether a share reaches its bound; as the reading says where it can't apply.
    pub(super) fn share(&self, share: &Share) -> Found {
        if self.values.get(&share.whole) == Some(&Value::NotApplicable)
            && let Some(reading) = self.rubric.not_applicable(share)
        {
            let id = share.not_applicable.as_deref().unwrap_or_default();
            let taken = if reading.met {
                "视为达标"
            } else {
                "视为未达标"
            };
            let words = format!("“{}”不适用,按解读 {id} {taken}", share.whole);
            return Ok((reading.met, words, true));
        }
        let (part, whole) = self.counts(&share.part, &share.whole)?;
        if whole == 0 {
            return Err(vec![share.whole.clone()]);
        }
        let value = Fraction::new(part.into(), whole.into());
        let holds = self.rubric.reaches(share, value);
        let relation = if holds { "达到" } else { "未达到" };
        let words = format!(
            "{} {part} ÷ {} {whole} = {},{relation} {}",
            share.part,
            share.whole,
            percent(value),
            percent(share.at_least)
        );
        Ok((holds, words, false))
    }
}
