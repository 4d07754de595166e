//! A rubric as it stands after checking: first-level indicators, second-level indicators, items, and the readings of
//! what the published text leaves open.
//!
//! Not responsible for how a file says it (`file`), nor for awarding (`scoring`).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    points::Points,
    rule::{NotApplicable, Rule, Share},
};
use crate::domain::{ids::Stage, usage::Fraction};

/// A checked rubric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rubric {
    /// Short name, such as `xunke-2018`.
    pub id: String,
    /// The published title.
    pub title: String,
    /// Who issued it, as published; may be empty.
    pub issuer: String,
    /// When it was issued, as published; may be empty.
    pub issued: String,
    /// What all weights add up to.
    pub total: Points,
    /// First-level indicators (一级指标), in the order of the page.
    pub groups: Vec<Group>,
    /// How what the text leaves open is read.
    pub readings: Vec<Reading>,
}

/// A first-level indicator (一级指标).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Such as `4`.
    pub id: String,
    /// Such as 应用创新.
    pub name: String,
    /// What it can give.
    pub weight: Points,
    /// Whether its items may add up to more, which the weight then caps (奖励加分).
    pub capped: bool,
    /// Its second-level indicators.
    pub indicators: Vec<Indicator>,
}

/// A second-level indicator (二级指标): what carries a weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indicator {
    /// Such as `4.3`.
    pub id: String,
    /// A heading over several indicators, where the page has one between the two levels; else empty.
    pub section: String,
    /// Such as 后台监测; empty where the first-level indicator has no second level.
    pub name: String,
    /// What it can give.
    pub weight: Points,
    /// Its items.
    pub items: Vec<Item>,
}

/// One scored item, or the veto.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Such as `4.3.1`.
    pub id: String,
    /// The condition, as published.
    pub text: String,
    /// How it awards.
    pub rule: Rule,
    /// Ids of the readings that concern it.
    pub readings: Vec<String>,
}

/// How something that the published text leaves open is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Such as `R3`.
    pub id: String,
    /// The reading, for people.
    pub text: String,
    /// What it decides, where a rule asks it.
    pub switch: Option<Switch>,
}

/// What a reading decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switch {
    /// What a part that can't apply to a school gives.
    NotApplicable(NotApplicable),
    /// What a veto takes.
    Veto(VetoScope),
    /// Whether "达80%以上" includes the bound.
    Bound {
        /// Whether it does.
        inclusive: bool,
    },
}

impl Switch {
    /// The word for it in a rubric file.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotApplicable(NotApplicable { met: true, .. }) => "met",
            Self::NotApplicable(NotApplicable { met: false, .. }) => "unmet",
            Self::Veto(VetoScope::Indicator) => "indicator",
            Self::Veto(VetoScope::Group) => "group",
            Self::Bound { inclusive: true } => "at_least",
            Self::Bound { inclusive: false } => "above",
        }
    }

    /// The same switch with another word.
    ///
    /// # Errors
    /// The words that are allowed.
    pub fn turned(&self, word: &str) -> Result<Self, &'static str> {
        match (self, word) {
            (Self::NotApplicable(old), "met" | "unmet") => Ok(Self::NotApplicable(NotApplicable {
                met: word == "met",
                stages: old.stages.clone(),
            })),
            (Self::NotApplicable(_), _) => Err("met(视为达标)、unmet(视为未达标)"),
            (Self::Veto(_), "indicator") => Ok(Self::Veto(VetoScope::Indicator)),
            (Self::Veto(_), "group") => Ok(Self::Veto(VetoScope::Group)),
            (Self::Veto(_), _) => Err("indicator(二级指标)、group(一级指标)"),
            (Self::Bound { .. }, "at_least" | "above") => Ok(Self::Bound {
                inclusive: word == "at_least",
            }),
            (Self::Bound { .. }, _) => Err("at_least(含界限)、above(不含界限)"),
        }
    }
}

/// What a veto takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VetoScope {
    /// Every point of its second-level indicator.
    Indicator,
    /// Every point of its first-level indicator.
    Group,
}

/// A reading that can't be turned so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TurnError {
    /// No such reading.
    #[error("本细则没有解读 {id};有选项的解读:{known}")]
    Unknown {
        /// As asked.
        id: String,
        /// Those with a choice.
        known: String,
    },
    /// The reading explains, but decides nothing.
    #[error("解读 {id} 只是说明,没有可改的选项")]
    Fixed {
        /// As asked.
        id: String,
    },
    /// Not one of its words.
    #[error("解读 {id} 不能取“{word}”,可取:{allowed}")]
    Word {
        /// As asked.
        id: String,
        /// As asked.
        word: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

impl Rubric {
    /// All items, in the order of the page.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.indicators().flat_map(|indicator| &indicator.items)
    }

    /// All second-level indicators, in the order of the page.
    pub fn indicators(&self) -> impl Iterator<Item = &Indicator> {
        self.groups.iter().flat_map(|group| &group.indicators)
    }

    /// The item with this id.
    #[must_use]
    pub fn item(&self, id: &str) -> Option<&Item> {
        self.items().find(|item| item.id == id)
    }

    /// The reading with this id.
    #[must_use]
    pub fn reading(&self, id: &str) -> Option<&Reading> {
        self.readings.iter().find(|reading| reading.id == id)
    }

    /// The item of 后台监测, where the rubric has one.
    #[must_use]
    pub fn monitoring_item(&self) -> Option<&Item> {
        self.items()
            .find(|item| matches!(item.rule, Rule::CountyRatio { .. }))
    }

    /// The weight of 后台监测; 0 where the rubric has no such item.
    #[must_use]
    pub fn monitoring_weight(&self) -> Points {
        let max = self.monitoring_item().and_then(Item::max);
        max.unwrap_or(Points::ZERO)
    }

    /// The same rubric with one reading turned, as for a what-if.
    ///
    /// # Errors
    /// [`TurnError`]: no such reading, or not one of its words.
    pub fn with_reading(&self, id: &str, word: &str) -> Result<Self, TurnError> {
        let mut turned = self.clone();
        let Some(reading) = turned.readings.iter_mut().find(|reading| reading.id == id) else {
            let known = self.readings.iter().filter(|known| known.switch.is_some());
            let known: Vec<&str> = known.map(|known| known.id.as_str()).collect();
            return Err(TurnError::Unknown {
                id: id.to_owned(),
                known: known.join("、"),
            });
        };
        let Some(switch) = &reading.switch else {
            return Err(TurnError::Fixed { id: id.to_owned() });
        };
        let new = switch.turned(word).map_err(|allowed| TurnError::Word {
            id: id.to_owned(),
            word: word.to_owned(),
            allowed,
        })?;
        reading.switch = Some(new);
        Ok(turned)
    }

    fn switch(&self, id: &str) -> Option<&Switch> {
        self.reading(id)?.switch.as_ref()
    }

    /// What a share that can't apply gives, where a reading allows that it can't.
    #[must_use]
    pub fn not_applicable(&self, share: &Share) -> Option<&NotApplicable> {
        match self.switch(share.not_applicable.as_ref()?)? {
            Switch::NotApplicable(reading) => Some(reading),
            _ => None,
        }
    }

    /// What a veto takes; its second-level indicator where no reading says so.
    #[must_use]
    pub fn veto_scope(&self, reading: Option<&str>) -> VetoScope {
        match reading.and_then(|id| self.switch(id)) {
            Some(Switch::Veto(scope)) => *scope,
            _ => VetoScope::Indicator,
        }
    }

    /// Whether a fraction reaches a share's bound.
    #[must_use]
    pub fn reaches(&self, share: &Share, value: Fraction) -> bool {
        let bound = share.bound.as_ref().and_then(|id| self.switch(id));
        match bound {
            Some(Switch::Bound { inclusive: false }) => value > share.at_least,
            _ => value >= share.at_least,
        }
    }

    /// Whether a school of this stage may say that a share can't apply to it.
    #[must_use]
    pub fn may_not_apply(&self, share: &Share, stage: Stage) -> bool {
        self.not_applicable(share)
            .is_some_and(|reading| reading.stages.is_empty() || reading.stages.contains(&stage))
    }
}

impl Item {
    /// The most it can give by itself; `None` where each award adds more.
    #[must_use]
    pub fn max(&self) -> Option<Points> {
        self.rule.max()
    }
}

impl Indicator {
    /// Its name, or its group's where it has none of its own.
    #[must_use]
    pub fn title<'a>(&'a self, group: &'a Group) -> &'a str {
        if self.name.is_empty() {
            &group.name
        } else {
            &self.name
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name, self.weight.short())
    }
}
