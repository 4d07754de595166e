//! The kinds of rules by which an item awards points.
//!
//! Kinds are code, figures are data: a county writes figures and texts, never a script.
//! Not responsible for evaluating them (`scoring`), nor for reading them from a file (`file`).

use super::{
    list::ListKind,
    points::{Decimal, Points},
};
use crate::domain::{ids::Stage, usage::Fraction};

/// A question that evidence answers, as people see it. It is also the key of its answer within the item.
pub type Ask = String;

/// How an item awards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// All points where every condition holds, else none.
    AllOrNothing {
        /// What it gives.
        points: Points,
        /// What must hold.
        when: Vec<Condition>,
    },
    /// The same points for each thing that is there.
    Checklist {
        /// What each gives.
        each: Points,
        /// Yes or no.
        parts: Vec<Ask>,
    },
    /// All points where an exact fraction reaches its bound.
    Threshold {
        /// What it gives.
        points: Points,
        /// Of what, and how much.
        share: Share,
    },
    /// The points of the highest band that an exact fraction reaches.
    Tiers {
        /// Above the line.
        part: Ask,
        /// Below the line, at least 1.
        whole: Ask,
        /// Whether the part can't be more than the whole.
        within: bool,
        /// Highest bound first.
        bands: Vec<Band>,
        /// What still gives points where no band is reached.
        otherwise: Option<(Ask, Points)>,
    },
    /// Points taken from the full ones for each lapse, down to 0.
    Deduction {
        /// What is given without a lapse.
        full: Points,
        /// What each lapse takes.
        each: Points,
        /// What is a lapse.
        lapses: Lapses,
    },
    /// One of several grades.
    Grade {
        /// The question.
        ask: Ask,
        /// Each grade and its points.
        options: Vec<(String, Points)>,
    },
    /// Points for each one counted.
    Counts {
        /// What is counted, such as 人次.
        unit: String,
        /// Levels (and prizes) with the points of each.
        cells: Vec<Cell>,
        /// How a list is turned into counts, where the item can be given as a list.
        list: Option<ListKind>,
    },
    /// All points where every condition holds, else what an evaluator gives (酌情记分), with a name and a reason.
    Discretionary {
        /// The most it gives.
        points: Points,
        /// What must hold for all points.
        when: Vec<Condition>,
    },
    /// School's average ÷ county's highest average × points.
    CountyRatio {
        /// What the best school gets.
        points: Points,
    },
    /// Takes points away where something happened.
    Veto {
        /// Whether it happened.
        ask: Ask,
        /// The reading that says what it takes.
        scope: Option<String>,
    },
}

/// What must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Somebody saw that it does.
    Met(Ask),
    /// As many were done as were due.
    AllDone {
        /// At least 1.
        due: Ask,
        /// At most what was due.
        done: Ask,
    },
    /// A figure reaches a bound.
    AtLeast {
        /// The figure.
        ask: Ask,
        /// The least that is enough.
        bound: Decimal,
    },
    /// A fraction reaches its bound.
    Share(Share),
}

/// A part of a whole, compared as an exact fraction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Above the line, at most the whole.
    pub part: Ask,
    /// Below the line, at least 1.
    pub whole: Ask,
    /// The bound.
    pub at_least: Fraction,
    /// The reading that says whether the bound itself is enough; it is where none does.
    pub bound: Option<String>,
    /// The reading that says what is given where there is no whole; must apply where none does.
    pub not_applicable: Option<String>,
}

/// What a part that can't apply to a school gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotApplicable {
    /// Whether it is taken as met.
    pub met: bool,
    /// Which schools may say so; empty for all.
    pub stages: Vec<Stage>,
}

/// One band of [`Rule::Tiers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Band {
    /// Its lower bound, included.
    pub at_least: Fraction,
    /// What it gives.
    pub points: Points,
}

/// What a deduction counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lapses {
    /// A figure by itself.
    Count(Ask),
    /// What was due and not done.
    Shortfall {
        /// At least 1.
        due: Ask,
        /// More than was due makes nothing up.
        done: Ask,
    },
}

/// One kind of thing that [`Rule::Counts`] counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The key of its count, such as 国家一等奖.
    pub key: String,
    /// Level, such as 国家; empty where there is only one.
    pub level: String,
    /// Prize, such as 一等奖; empty where there is only one.
    pub prize: String,
    /// What each gives.
    pub points: Points,
}

impl Rule {
    /// The most it can give; `None` where each award adds more.
    #[must_use]
    pub fn max(&self) -> Option<Points> {
        match self {
            Self::AllOrNothing { points, .. }
            | Self::Threshold { points, .. }
            | Self::Discretionary { points, .. }
            | Self::CountyRatio { points } => Some(*points),
            Self::Checklist { each, parts } => Some(each.times(parts.len() as u64)),
            Self::Tiers {
                bands, otherwise, ..
            } => {
                let bands = bands.iter().map(|band| band.points);
                bands
                    .chain(otherwise.iter().map(|(_, points)| *points))
                    .max()
            }
            Self::Deduction { full, .. } => Some(*full),
            Self::Grade { options, .. } => options.iter().map(|(_, points)| *points).max(),
            Self::Counts { .. } => None,
            Self::Veto { .. } => Some(Points::ZERO),
        }
    }

    /// The kind in Chinese, for a listing.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::AllOrNothing { .. } => "全有或全无",
            Self::Checklist { .. } => "逐项计分",
            Self::Threshold { .. } => "达标计分",
            Self::Tiers { .. } => "分档计分",
            Self::Deduction { .. } => "扣分",
            Self::Grade { .. } => "等级计分",
            Self::Counts { .. } => "按数量计分",
            Self::Discretionary { .. } => "酌情计分",
            Self::CountyRatio { .. } => "全县折算",
            Self::Veto { .. } => "一票否决",
        }
    }

    /// What must hold, where the rule has conditions.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        match self {
            Self::AllOrNothing { when, .. } | Self::Discretionary { when, .. } => when,
            _ => &[],
        }
    }
}
