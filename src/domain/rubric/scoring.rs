//! Rubric, evidence and 后台监测 → a score sheet with a reason for every figure.
//!
//! Exact, and independent of the order in which evidence came. Evidence is judged again as it is scored: what does not
//! fit the rubric, or a school whose stage was mended since, gives nothing and says so.

use std::collections::BTreeMap;

use super::{
    definition::{Group, Indicator, Item, Rubric, VetoScope},
    evidence::{self, ItemEvidence, SchoolEvidence, Value},
    points::Points,
    rule::Rule,
    sheet::{GroupScore, IndicatorScore, ItemScore, ItemState, ScoreSheet},
};
use crate::domain::{ids::Stage, monitoring};

pub(super) mod conditions;
mod items;

/// Scores one school of this stage.
///
/// `monitoring` is its 后台监测 result, scored with the rubric's own weight ([`Rubric::monitoring_weight`]); without one
/// the item waits like any that lacks evidence.
#[must_use]
pub fn score(
    rubric: &Rubric,
    stage: Stage,
    evidence: &SchoolEvidence,
    monitoring: Option<&monitoring::Score>,
) -> ScoreSheet {
    let school = School {
        rubric,
        stage,
        evidence,
        monitoring,
    };
    let groups: Vec<GroupScore> = rubric
        .groups
        .iter()
        .map(|group| school.group(group))
        .collect();
    ScoreSheet {
        total: groups.iter().map(|group| group.points).sum(),
        groups,
    }
}

struct School<'a> {
    rubric: &'a Rubric,
    stage: Stage,
    evidence: &'a SchoolEvidence,
    monitoring: Option<&'a monitoring::Score>,
}

impl School<'_> {
    fn group(&self, group: &Group) -> GroupScore {
        let items = || group.indicators.iter().flat_map(|one| &one.items);
        let veto = items().find_map(|item| self.veto(item, VetoScope::Group));
        let score = |indicator| self.indicator(group, indicator, veto);
        let indicators: Vec<IndicatorScore> = group.indicators.iter().map(score).collect();
        let uncapped: Points = indicators.iter().map(|one| one.points).sum();
        GroupScore {
            id: group.id.clone(),
            points: uncapped.min(group.weight),
            uncapped,
            indicators,
        }
    }

    fn indicator(
        &self,
        group: &Group,
        indicator: &Indicator,
        veto: Option<&str>,
    ) -> IndicatorScore {
        let items = || indicator.items.iter();
        let own = items().find_map(|item| self.veto(item, VetoScope::Indicator));
        let taken = veto
            .map(|what| (what, group.name.as_str()))
            .or_else(|| own.map(|what| (what, indicator.title(group))));
        let items: Vec<ItemScore> = items()
            .map(|item| {
                let score = self.item(item);
                match taken {
                    Some((what, of)) if !matches!(item.rule, Rule::Veto { .. }) => {
                        vetoed(score, what, of)
                    }
                    _ => score,
                }
            })
            .collect();
        IndicatorScore {
            id: indicator.id.clone(),
            points: items.iter().map(|item| item.points).sum(),
            items,
        }
    }

    /// What happened, if the item is a veto that takes this much.
    fn veto<'a>(&self, item: &'a Item, scope: VetoScope) -> Option<&'a str> {
        let Rule::Veto {
            ask,
            scope: reading,
        } = &item.rule
        else {
            return None;
        };
        let happened = self.values(&item.id).get(ask) == Some(&Value::YesNo(true));
        let takes = self.rubric.veto_scope(reading.as_deref()) == scope;
        (happened && takes).then_some(ask.as_str())
    }

    fn values(&self, item: &str) -> &BTreeMap<String, Value> {
        static NOTHING: BTreeMap<String, Value> = BTreeMap::new();
        let found: Option<&ItemEvidence> = self.evidence.get(item);
        found.map_or(&NOTHING, |evidence| &evidence.values)
    }

    fn item(&self, item: &Item) -> ItemScore {
        let values = self.values(&item.id);
        let faults = evidence::unsound(self.rubric, self.stage, item, values);
        let award = if faults.is_empty() {
            items::award(self.rubric, &item.rule, values, self.monitoring)
        } else {
            items::unfit(faults)
        };
        let state = if !award.missing.is_empty() {
            ItemState::Missing
        } else if award.not_applicable {
            ItemState::NotApplicable
        } else {
            ItemState::Scored
        };
        ItemScore {
            id: item.id.clone(),
            points: award.points,
            state,
            reason: award.reason,
            missing: award.missing,
        }
    }
}

fn vetoed(score: ItemScore, what: &str, of: &str) -> ItemScore {
    let before = score.points.short();
    ItemScore {
        points: Points::ZERO,
        state: ItemState::Vetoed,
        reason: format!("{what},“{of}”记 0 分;本条原应记 {before} 分。"),
        ..score
    }
}

#[cfg(test)]
mod tests;
