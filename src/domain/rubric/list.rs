//! Awards and reports as a list, one a row: how a list becomes counts.
//!
//! A list names contests, papers and sites, never a person: who won is a running number within the contest.
//! Not responsible for points (`scoring`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{points::Points, rule::Cell};

/// Most rows of one school's list for one item.
pub const MAX_ROWS: usize = 500;

/// Longest title and longest proof of a row, in characters: a full list fits what the store keeps of one item.
pub const MAX_ROW_TEXT: usize = 200;

/// How rows are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListKind {
    /// Of one person's prizes in one contest, only the one that gives most (R8).
    Persons,
    /// Every row counts.
    Entries,
}

/// One award or report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListRow {
    /// The contest, or the title of the report and where it stood.
    pub title: String,
    /// Such as 国家.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub level: String,
    /// Such as 一等奖; empty where there are no prizes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prize: String,
    /// The winner's running number within the contest, from 1, where persons are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<u32>,
    /// Certificate number or date; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub proof: String,
}

/// What a list comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted<'a> {
    /// Cell key → how many.
    pub counts: BTreeMap<&'a str, u64>,
    /// Rows that do not count because the same person has a better prize in the same contest.
    pub passed_over: usize,
}

/// The cell that a row falls into.
#[must_use]
pub fn cell<'a>(cells: &'a [Cell], row: &ListRow) -> Option<&'a Cell> {
    cells
        .iter()
        .find(|cell| cell.level == row.level && cell.prize == row.prize)
}

/// Counts a list. Rows that fall into no cell count nothing; evidence with such rows is refused before.
#[must_use]
pub fn count<'a>(kind: ListKind, cells: &'a [Cell], rows: &[ListRow]) -> Counted<'a> {
    let mut counted = Counted::default();
    let mut best: BTreeMap<(&str, u32), &Cell> = BTreeMap::new();
    for row in rows {
        let Some(cell) = cell(cells, row) else {
            continue;
        };
        let (ListKind::Persons, Some(person)) = (kind, row.person) else {
            *counted.counts.entry(&cell.key).or_default() += 1;
            continue;
        };
        let kept = best.entry((&row.title, person)).or_insert(cell);
        if cell.points > kept.points {
            *kept = cell;
        }
    }
    for cell in best.values() {
        *counted.counts.entry(&cell.key).or_default() += 1;
    }
    let counted_rows: u64 = counted.counts.values().sum();
    counted.passed_over = rows
        .len()
        .saturating_sub(usize::try_from(counted_rows).unwrap_or(usize::MAX));
    counted
}

/// What counts come to.
#[must_use]
pub fn worth(cells: &[Cell], counts: &BTreeMap<&str, u64>) -> Points {
    let of = |cell: &Cell| {
        let count = counts.get(cell.key.as_str()).copied().unwrap_or_default();
        cell.points.times(count)
    };
    cells.iter().map(of).sum()
}
