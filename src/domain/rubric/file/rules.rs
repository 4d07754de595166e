//! The rules of a rubric file: their shapes in TOML, and their checks.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;

use super::{Checker, Literal};
use crate::domain::{
    rubric::{
        definition::{Reading, Switch},
        list::ListKind,
        points::{Decimal, Points},
        rule::{Ask, Band, Cell, Condition, Lapses, Rule, Share},
    },
    usage::Fraction,
};

/// Keys that discretionary items have beside their questions.
const OWN_KEYS: [&str; 4] = [
    super::super::evidence::GIVEN,
    super::super::evidence::REASON,
    super::super::evidence::JUDGE,
    super::super::evidence::LIST,
];

/// Most points of one rule, and most entries of its lists: far beyond any rubric.
const MAX_ENTRIES: usize = 100;

type Label = Spanned<String>;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum RawRule {
    AllOrNothing(RawConditional),
    Checklist {
        each: Literal,
        parts: Vec<Label>,
    },
    Threshold(RawThreshold),
    Tiers(RawTiers),
    Deduction(RawDeduction),
    Grade {
        ask: Label,
        options: Vec<(Label, Literal)>,
    },
    Counts(RawCounts),
    Discretionary(RawConditional),
    CountyRatio {
        points: Literal,
    },
    Veto {
        when: Label,
        scope: Option<Label>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConditional {
    points: Literal,
    when: Vec<Spanned<RawCondition>>,
}

/// One of: `met`; `due` and `done`; `number` and `at_least`; `part`, `whole` and `at_least`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCondition {
    met: Option<Label>,
    due: Option<Label>,
    done: Option<Label>,
    number: Option<Label>,
    part: Option<Label>,
    whole: Option<Label>,
    at_least: Option<Literal>,
    bound: Option<Label>,
    not_applicable: Option<Label>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawThreshold {
    points: Literal,
    part: Label,
    whole: Label,
    at_least: Literal,
    bound: Option<Label>,
    not_applicable: Option<Label>,
}

/// What a threshold and a condition of that kind have in common.
struct RawShare {
    part: Label,
    whole: Label,
    at_least: Literal,
    bound: Option<Label>,
    not_applicable: Option<Label>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTiers {
    part: Label,
    whole: Label,
    #[serde(default)]
    within: bool,
    bands: Vec<RawBand>,
    otherwise: Option<RawOtherwise>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBand {
    at_least: Literal,
    points: Literal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOtherwise {
    met: Label,
    points: Literal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDeduction {
    full: Literal,
    each: Literal,
    count: Option<Label>,
    due: Option<Label>,
    done: Option<Label>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCounts {
    unit: Label,
    #[serde(default)]
    levels: Vec<String>,
    #[serde(default)]
    prizes: Vec<String>,
    points: Vec<Vec<Literal>>,
    list: Option<ListKind>,
}

/// A bound as it is written: `"80%"`, `"1/2"`, `"1"`, `5`.
fn fraction(text: &str) -> Option<Fraction> {
    let whole = |text: &str| text.parse::<Decimal>().ok().map(Decimal::value);
    if let Some(percent) = text.strip_suffix('%') {
        return Some(whole(percent)? / Fraction::from_integer(100));
    }
    if let Some((above, below)) = text.split_once('/') {
        let (above, below) = (whole(above)?, whole(below)?);
        return (below > Fraction::from_integer(0)).then(|| above / below);
    }
    whole(text)
}

/// The rule, and its mistakes to the checker.
pub(super) fn rule(checker: &mut Checker<'_>, raw: Spanned<RawRule>, readings: &[Reading]) -> Rule {
    let at = Spanned::new(raw.span(), ());
    let mut rules = Rules {
        checker,
        readings,
        at,
        keys: OWN_KEYS.iter().map(|key| (*key).to_owned()).collect(),
    };
    let rule = rules.rule(raw.into_inner());
    if rule.max() == Some(Points::ZERO) && !matches!(rule, Rule::Veto { .. }) {
        rules.fault("条目最高分不能是 0");
    }
    rule
}

struct Rules<'a, 'b> {
    checker: &'a mut Checker<'b>,
    readings: &'a [Reading],
    /// Where the rule stands.
    at: Spanned<()>,
    /// Questions of the item so far: they are keys, so none may stand twice.
    keys: BTreeSet<String>,
}

impl Rules<'_, '_> {
    fn fault(&mut self, problem: impl Into<String>) {
        self.checker.fault(&self.at, problem);
    }

    fn ask(&mut self, label: &Label) -> Ask {
        let text = self.checker.words("提问", label);
        if !self.keys.insert(text.clone()) {
            self.checker
                .fault(label, format!("同一条目中“{text}”出现两次"));
        }
        text
    }

    fn entries(&mut self, what: &str, count: usize) {
        if !(1..=MAX_ENTRIES).contains(&count) {
            self.fault(format!("{what}应有 1 至 {MAX_ENTRIES} 个,现有 {count} 个"));
        }
    }

    fn bound(&mut self, bound: &Literal) -> Fraction {
        fraction(self.checker.letters(bound).0).unwrap_or_else(|| {
            self.checker
                .fault(bound, "界限写作“80%”“1/2”或“1”,最多两位小数");
            Fraction::from_integer(0)
        })
    }

    /// The id of a reading that must be there with the right kind of switch.
    fn reading(
        &mut self,
        id: Option<&Label>,
        key: &str,
        fits: impl Fn(&Switch) -> bool,
    ) -> Option<String> {
        let label = id?;
        let id = label.get_ref();
        let found = self.readings.iter().find(|reading| reading.id == *id);
        if !found.is_some_and(|reading| reading.switch.as_ref().is_some_and(fits)) {
            let problem = format!("没有编号为 {id}、带 {key} 选项的解读");
            self.checker.fault(label, problem);
        }
        Some(id.clone())
    }

    fn share(&mut self, raw: &RawShare) -> Share {
        Share {
            part: self.ask(&raw.part),
            whole: self.ask(&raw.whole),
            at_least: self.fraction_of_whole(&raw.at_least),
            bound: self.reading(raw.bound.as_ref(), "bound", |switch| {
                matches!(switch, Switch::Bound { .. })
            }),
            not_applicable: self.reading(raw.not_applicable.as_ref(), "not_applicable", |switch| {
                matches!(switch, Switch::NotApplicable(_))
            }),
        }
    }

    fn fraction_of_whole(&mut self, raw: &Literal) -> Fraction {
        let found = self.bound(raw);
        let zero = Fraction::from_integer(0);
        if found == zero || found > Fraction::from_integer(1) {
            self.checker.fault(raw, "比例的界限应大于 0,不超过 100%");
        }
        found
    }

    fn rule(&mut self, raw: RawRule) -> Rule {
        match raw {
            RawRule::AllOrNothing(raw) => Rule::AllOrNothing {
                points: self.checker.points(&raw.points),
                when: self.conditions(raw.when),
            },
            RawRule::Discretionary(raw) => Rule::Discretionary {
                points: self.checker.points(&raw.points),
                when: self.conditions(raw.when),
            },
            RawRule::Checklist { each, parts } => {
                self.entries("parts", parts.len());
                Rule::Checklist {
                    each: self.checker.points(&each),
                    parts: parts.iter().map(|part| self.ask(part)).collect(),
                }
            }
            RawRule::Threshold(raw) => Rule::Threshold {
                points: self.checker.points(&raw.points),
                share: self.share(&RawShare {
                    part: raw.part,
                    whole: raw.whole,
                    at_least: raw.at_least,
                    bound: raw.bound,
                    not_applicable: raw.not_applicable,
                }),
            },
            RawRule::Tiers(raw) => self.tiers(&raw),
            RawRule::Deduction(raw) => self.deduction(&raw),
            RawRule::Grade { ask, options } => {
                self.entries("options", options.len());
                let mut names = BTreeSet::new();
                for (name, _) in &options {
                    if !names.insert(name.get_ref().clone()) {
                        let problem = format!("等级“{}”出现两次", name.get_ref());
                        self.checker.fault(name, problem);
                    }
                }
                Rule::Grade {
                    ask: self.ask(&ask),
                    options: options
                        .into_iter()
                        .map(|(name, points)| {
                            let name = self.checker.words("等级", &name);
                            (name, self.checker.points(&points))
                        })
                        .collect(),
                }
            }
            RawRule::Counts(raw) => self.counts(&raw),
            RawRule::CountyRatio { points } => Rule::CountyRatio {
                points: self.checker.points(&points),
            },
            RawRule::Veto { when, scope } => Rule::Veto {
                ask: self.ask(&when),
                scope: self.reading(scope.as_ref(), "veto", |switch| {
                    matches!(switch, Switch::Veto(_))
                }),
            },
        }
    }

    fn conditions(&mut self, raw: Vec<Spanned<RawCondition>>) -> Vec<Condition> {
        self.entries("when", raw.len());
        raw.into_iter()
            .filter_map(|raw| self.condition(raw))
            .collect()
    }

    fn condition(&mut self, raw: Spanned<RawCondition>) -> Option<Condition> {
        let at = Spanned::new(raw.span(), ());
        let RawCondition {
            met,
            due,
            done,
            number,
            part,
            whole,
            at_least,
            bound,
            not_applicable,
        } = raw.into_inner();
        let readings = bound.is_some() || not_applicable.is_some();
        match (met, due, done, number, part, whole, at_least) {
            (Some(met), None, None, None, None, None, None) if !readings => {
                Some(Condition::Met(self.ask(&met)))
            }
            (None, Some(due), Some(done), None, None, None, None) if !readings => {
                Some(Condition::AllDone {
                    due: self.ask(&due),
                    done: self.ask(&done),
                })
            }
            (None, None, None, Some(number), None, None, Some(bound)) if !readings => {
                self.at_least(&number, &bound)
            }
            (None, None, None, None, Some(part), Some(whole), Some(at_least)) => {
                Some(Condition::Share(self.share(&RawShare {
                    part,
                    whole,
                    at_least,
                    bound,
                    not_applicable,
                })))
            }
            _ => {
                self.checker.fault(
                    &at,
                    "条件应是下列之一:met;due 和 done;number 和 at_least;part、whole 和 at_least",
                );
                None
            }
        }
    }

    fn at_least(&mut self, number: &Label, bound: &Literal) -> Option<Condition> {
        let ask = self.ask(number);
        if self.checker.letters(bound).1 {
            self.checker.fault(bound, "number 的界限应是数,如 5");
            return None;
        }
        Some(Condition::AtLeast {
            ask,
            bound: self.checker.decimal(bound),
        })
    }

    fn tiers(&mut self, raw: &RawTiers) -> Rule {
        self.entries("bands", raw.bands.len());
        let (part, whole) = (self.ask(&raw.part), self.ask(&raw.whole));
        let mut bands: Vec<Band> = Vec::new();
        for band in &raw.bands {
            let found = Band {
                at_least: self.bound(&band.at_least),
                points: self.checker.points(&band.points),
            };
            if let Some(above) = bands.last()
                && (found.at_least >= above.at_least || found.points >= above.points)
            {
                self.checker
                    .fault(&band.at_least, "各档应从高到低:界限和分值都要比上一档小");
            }
            if raw.within && found.at_least > Fraction::from_integer(1) {
                self.checker
                    .fault(&band.at_least, "within = true 时界限不超过 100%");
            }
            bands.push(found);
        }
        let otherwise = raw.otherwise.as_ref().map(|otherwise| {
            let points = self.checker.points(&otherwise.points);
            if bands.last().is_some_and(|lowest| points >= lowest.points) {
                self.checker
                    .fault(&otherwise.met, "otherwise 的分值应比最低一档小");
            }
            (self.ask(&otherwise.met), points)
        });
        Rule::Tiers {
            part,
            whole,
            within: raw.within,
            bands,
            otherwise,
        }
    }

    fn deduction(&mut self, raw: &RawDeduction) -> Rule {
        let lapses = match (&raw.count, &raw.due, &raw.done) {
            (Some(count), None, None) => Lapses::Count(self.ask(count)),
            (None, Some(due), Some(done)) => Lapses::Shortfall {
                due: self.ask(due),
                done: self.ask(done),
            },
            _ => {
                self.fault("扣分条目应写 count,或 due 和 done");
                Lapses::Count(String::new())
            }
        };
        let each = self.checker.points(&raw.each);
        if each == Points::ZERO {
            self.fault("每次扣分 each 不能是 0");
        }
        Rule::Deduction {
            full: self.checker.points(&raw.full),
            each,
            lapses,
        }
    }

    fn counts(&mut self, raw: &RawCounts) -> Rule {
        let unit = self.checker.words("unit", &raw.unit);
        let or_one = |names: &[String]| match names {
            [] => vec![String::new()],
            names => names.to_vec(),
        };
        let (levels, prizes) = (or_one(&raw.levels), or_one(&raw.prizes));
        let (rows, columns) = (levels.len(), prizes.len());
        if raw.points.len() != rows || raw.points.iter().any(|row| row.len() != columns) {
            self.fault(format!(
                "points 应有 {rows} 行(每个级别一行),每行 {columns} 个分值(每个奖次一个)"
            ));
        }
        self.entries("points", rows * columns);
        let mut cells = Vec::new();
        for (level, row) in levels.iter().zip(&raw.points) {
            for (prize, points) in prizes.iter().zip(row) {
                let key = if level.is_empty() && prize.is_empty() {
                    unit.clone()
                } else {
                    format!("{level}{prize}")
                };
                let cell = Cell {
                    key,
                    level: level.clone(),
                    prize: prize.clone(),
                    points: self.checker.points(points),
                };
                if !self.keys.insert(cell.key.clone()) {
                    self.fault(format!("级别、奖次“{}”出现两次", cell.key));
                }
                cells.push(cell);
            }
        }
        Rule::Counts {
            unit,
            cells,
            list: raw.list,
        }
    }
}
