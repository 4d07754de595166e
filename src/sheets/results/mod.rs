//! A run's results as sheets and files: 考核评分汇总表, 考核评分表, CSV and JSON.
//!
//! # Layout
//! All of them say the figures of one [`Results`], by the one text that points have. [`summary_xlsx`], [`school_xlsx`]
//! and [`all_xlsx`] are workbooks; [`summary_csv`] and [`items_csv`] open in WPS and Excel; [`json`] is for programs.
//!
//! Sums and averages over schools are taken from the shown hundredths: a reader who adds up a column finds its sum,
//! and exact sums of many fractions would outgrow their numbers. For the same reason schools rank by what is shown.
//! Not responsible for how points came about (`domain::rubric`).

mod data;
mod school;
mod summary;

pub use data::{items_csv, json, summary_csv};
pub use school::school_xlsx;
pub use summary::{all_xlsx, summary_xlsx};

use crate::{
    domain::{
        monitoring,
        rubric::{Decimal, Group, Indicator, Points, Rubric, ScoreSheet},
        usage::{Fraction, Period},
    },
    store::School,
};

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Results {
    /// The county's name, such as 逊克县.
    pub county: String,
    /// The run's name, such as 2025-2026学年考核.
    pub run: String,
    /// What it covers.
    pub period: Period,
    /// Its state for people: 试算, or 已冻结 with when, by whom and the digest.
    pub state: String,
    /// What was scored by.
    pub rubric: Rubric,
    /// Every school, in any order.
    pub schools: Vec<SchoolResult>,
}

/// What one school came to.
#[derive(Debug, Clone)]
pub struct SchoolResult {
    /// The school, with its name and stage as of the run.
    pub school: School,
    /// Its points.
    pub sheet: ScoreSheet,
    /// Its 后台监测 result: the average and the points among schools of its stage stand beside the total.
    pub monitoring: Option<monitoring::Score>,
}

/// A school with its rank.
#[derive(Debug, Clone, Copy)]
pub struct Ranked<'a> {
    /// From 1; equal totals share a rank.
    pub rank: usize,
    /// The school.
    pub of: &'a SchoolResult,
}

impl Results {
    /// Schools by their shown total, highest first, equals by code.
    #[must_use]
    pub fn ranked(&self) -> Vec<Ranked<'_>> {
        let mut order: Vec<&SchoolResult> = self.schools.iter().collect();
        let total = |one: &SchoolResult| one.sheet.total.hundredths();
        order.sort_by(|one, other| {
            let by_total = total(other).cmp(&total(one));
            by_total.then_with(|| one.school.code.cmp(&other.school.code))
        });
        let mut ranked: Vec<Ranked<'_>> = Vec::new();
        for (number, of) in (1..).zip(order) {
            let rank = match ranked.last() {
                Some(before) if total(before.of) == total(of) => before.rank,
                _ => number,
            };
            ranked.push(Ranked { rank, of });
        }
        ranked
    }

    /// Where and when, in one line.
    fn about(&self) -> String {
        format!(
            "{}\u{3000}{}\u{3000}考核期 {} 至 {}\u{3000}{}",
            self.county, self.run, self.period.first, self.period.last, self.state
        )
    }
}

/// A column of figures in summaries, whose sum over a row is the total.
#[derive(Debug, Clone, Copy)]
enum Figure<'a> {
    /// A second-level indicator.
    Indicator(&'a Group, &'a Indicator),
    /// What a capped group gives after its cap.
    Capped(&'a Group),
}

/// The columns of figures of a rubric. A capped group's indicators only show what the cap was taken from, so a group
/// with one of them has one column, with the cap applied.
fn figures(rubric: &Rubric) -> Vec<Figure<'_>> {
    let of_group = |group| {
        let Group {
            indicators, capped, ..
        }: &Group = group;
        let before_cap = indicators.len() > 1 || !capped;
        let shown = indicators.iter().filter(move |_| before_cap);
        let shown = shown.map(move |one| Figure::Indicator(group, one));
        shown.chain(capped.then_some(Figure::Capped(group)))
    };
    rubric.groups.iter().flat_map(of_group).collect()
}

impl<'a> Figure<'a> {
    const fn group(self) -> &'a Group {
        match self {
            Self::Indicator(group, _) | Self::Capped(group) => group,
        }
    }

    /// Such as 组织机构(2).
    fn heading(self) -> String {
        match self {
            Self::Indicator(group, one) => {
                format!("{}({})", one.title(group), one.weight.short())
            }
            Self::Capped(group) => format!("{}({}分封顶)", group.name, group.weight.short()),
        }
    }

    /// The points in a sheet; `None` where the sheet has no such part.
    fn of(self, sheet: &ScoreSheet) -> Option<Points> {
        let id = &self.group().id;
        let group = sheet.groups.iter().find(|group| group.id == *id)?;
        match self {
            Self::Capped(_) => Some(group.points),
            Self::Indicator(_, one) => {
                let found = group.indicators.iter().find(|found| found.id == one.id);
                found.map(|found| found.points)
            }
        }
    }
}

/// The sum of shown points.
fn sum(all: &[Points]) -> Points {
    let hundredths = all.iter().map(|points| points.hundredths()).sum();
    Decimal::of_hundredths(hundredths).into()
}

/// The average of shown points; `None` where there are none.
fn average(all: &[Points]) -> Option<Points> {
    let count = u128::try_from(all.len()).ok().filter(|count| *count > 0)?;
    let sum = sum(all).value();
    Some(Points::exactly(sum / Fraction::from_integer(count)))
}

#[cfg(test)]
mod tests;
