//! Rubric, evidence and 后台监测 → a score sheet with a reason for every figure.
//!
//! Exact, and independent of the order in which evidence came. Not responsible for whether evidence is fit
//! (`evidence::check`): what is not fit scores as if it were missing.

use std::collections::BTreeMap;

use super::{
    definition::{Group, Indicator, Item, Rubric, VetoScope},
    evidence::{ItemEvidence, SchoolEvidence, Value},
    points::Points,
    rule::Rule,
    sheet::{GroupScore, IndicatorScore, ItemScore, ItemState, ScoreSheet},
};
use crate::domain::monitoring;

pub(super) mod conditions;
mod items;

/// Scores one school.
///
/// `monitoring` is its 后台监测 result, scored with the rubric's own weight ([`Rubric::monitoring_weight`]); without one
/// the item waits like any that lacks evidence.
#[must_use]
pub fn score(
    rubric: &Rubric,
    evidence: &SchoolEvidence,
    monitoring: Option<&monitoring::Score>,
) -> ScoreSheet {
    let school = School {
        rubric,
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
        let award = items::award(
            self.rubric,
            &item.rule,
            self.values(&item.id),
            self.monitoring,
        );
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
