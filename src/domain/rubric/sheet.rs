//! A school's score sheet: the points of every item, each with its reason.
//!
//! Sheets are kept with frozen runs, so their JSON is a contract: a field that comes later has a
//! default, and one that is not known is passed over. Not responsible for how they look (workbooks).

use serde::{Deserialize, Serialize};

use super::points::Points;

/// A school's score sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreSheet {
    /// What it all comes to, 0 to the rubric's total.
    pub total: Points,
    /// First-level indicators, in the rubric's order.
    pub groups: Vec<GroupScore>,
}

/// A first-level indicator's points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupScore {
    /// Its id.
    pub id: String,
    /// What it gives.
    pub points: Points,
    /// What its items add up to; more than `points` only where the cap took the rest.
    pub uncapped: Points,
    /// Second-level indicators, in the rubric's order.
    pub indicators: Vec<IndicatorScore>,
}

impl GroupScore {
    /// Whether the cap took something.
    #[must_use]
    pub fn is_capped(&self) -> bool {
        self.uncapped > self.points
    }
}

/// A second-level indicator's points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndicatorScore {
    /// Its id.
    pub id: String,
    /// The sum of its items, before a group's cap.
    pub points: Points,
    /// Items, in the rubric's order.
    pub items: Vec<ItemScore>,
}

/// How an item came to its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// From evidence.
    Scored,
    /// From evidence, with a part that can't apply to this school.
    NotApplicable,
    /// Some evidence is missing, which gives 0 until it comes.
    Missing,
    /// A veto took its points.
    Vetoed,
}

/// An item's points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemScore {
    /// Its id.
    pub id: String,
    /// What it gives.
    pub points: Points,
    /// How it came to that.
    pub state: ItemState,
    /// Why, in one Chinese sentence.
    pub reason: String,
    /// Questions without an answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

impl ScoreSheet {
    /// All items, in the rubric's order.
    pub fn items(&self) -> impl Iterator<Item = &ItemScore> {
        self.indicators().flat_map(|indicator| &indicator.items)
    }

    /// All items, to be changed.
    pub fn items_mut(&mut self) -> impl Iterator<Item = &mut ItemScore> {
        let groups = self.groups.iter_mut();
        let indicators = groups.flat_map(|group| &mut group.indicators);
        indicators.flat_map(|indicator| &mut indicator.items)
    }

    /// All second-level indicators, in the rubric's order.
    pub fn indicators(&self) -> impl Iterator<Item = &IndicatorScore> {
        self.groups.iter().flat_map(|group| &group.indicators)
    }

    /// The item with this id.
    #[must_use]
    pub fn item(&self, id: &str) -> Option<&ItemScore> {
        self.items().find(|item| item.id == id)
    }

    /// What evidence is missing: item id and question.
    pub fn missing(&self) -> impl Iterator<Item = (&str, &str)> {
        self.items().flat_map(|item| {
            let keys = item.missing.iter();
            keys.map(|key| (item.id.as_str(), key.as_str()))
        })
    }
}
