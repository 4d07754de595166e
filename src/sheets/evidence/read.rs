//! A filled workbook → what it changes, or every mistake with its cell.
//!
//! Everything is checked before anything is given back, so a caller stores all or nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{ATTACHMENTS, CODE, Column, MARKER, Origin, SOURCE, known, list, origin, sheet_name};
use crate::{
    domain::{
        ids::SchoolCode,
        rubric::{
            ItemEvidence, Rubric, SchoolEvidence,
            definition::Item,
            evidence::{EvidenceFault, MAX_ATTACHMENTS, MAX_TEXT, check},
        },
    },
    store::School,
    tables::{self, Limits, Sheet},
};

mod awards;
mod edit;
mod grid;
mod place;

use edit::{Edit, apply};
use place::{Faults, Place};

/// Wider than tables that people read: a rubric's awards alone are dozens of columns.
const LIMITS: Limits = Limits {
    columns: 1_000,
    cell: MAX_ATTACHMENTS * (MAX_TEXT + 2),
};

/// What is to be kept for an item of a school from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The school.
    pub school: SchoolCode,
    /// The item's id.
    pub item: String,
    /// Its evidence, with who entered it and when; `None` where all of it was emptied.
    pub evidence: Option<ItemEvidence>,
}

/// A cell of a workbook that is not the latest, where something else was kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Overwritten {
    /// Sheet.
    pub sheet: String,
    /// Row as a spreadsheet numbers it.
    pub row: u32,
    /// Column as a spreadsheet names it, such as `F`.
    pub column: String,
    /// The column's heading, such as `1.1.1 材料依据`.
    pub heading: String,
    /// What was kept before, as the workbook would show it.
    pub kept: String,
}

/// What a workbook comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// What is to be kept from now on.
    pub changes: Vec<Change>,
    /// Kept answers and rows of lists that the workbook does not show, and that stay because it is not the latest.
    pub left_alone: usize,
    /// Cells that replace what is kept, of a workbook that is not the latest: somebody else may have entered it since.
    pub overwritten: Vec<Overwritten>,
}

impl Reading {
    /// How many items are taken away altogether.
    #[must_use]
    pub fn removed(&self) -> usize {
        let gone = self.changes.iter().filter(|one| one.evidence.is_none());
        gone.count()
    }

    /// What whoever imports should know, in Chinese; `None` where the workbook says all there is.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let alone = (self.left_alone > 0).then(|| {
            format!(
                "有 {} 项已有内容在本工作簿中是空的,因为它不是最新导出的材料表(或是空表、单独抄出的表),没有清除:\
                 要清除,请重新导出材料表,清空后再导入。",
                self.left_alone
            )
        });
        let over = (!self.overwritten.is_empty()).then(|| {
            format!(
                "有 {} 格与已有内容不同,以本工作簿为准:可能有人在导出之后改过,请逐格核对。",
                self.overwritten.len()
            )
        });
        let note: String = alone.into_iter().chain(over).collect();
        (!note.is_empty()).then_some(note)
    }
}

/// One mistake in a workbook.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CellFault {
    /// Sheet; empty for the file as a whole.
    pub sheet: String,
    /// Row as a spreadsheet numbers it; 0 for the file as a whole.
    pub row: u32,
    /// Column as a spreadsheet names it, such as `F`; empty for a whole row.
    pub column: String,
    /// The column's heading, such as `1.1.1 材料依据`; empty where it has none.
    pub heading: String,
    /// What is wrong and how to mend it, in Chinese.
    pub problem: String,
}

impl fmt::Display for CellFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.sheet.is_empty() {
            write!(f, "“{}”表", self.sheet)?;
        }
        if self.row > 0 {
            write!(f, "第 {} 行", self.row)?;
        }
        if !self.column.is_empty() {
            write!(f, " {} 列", self.column)?;
        }
        if !self.heading.is_empty() {
            write!(f, "({})", self.heading)?;
        }
        let empty = self.sheet.is_empty() && self.row == 0;
        let colon = if empty { "" } else { ":" };
        write!(f, "{colon}{}", self.problem)
    }
}

/// Reads a filled workbook against what is kept now; `own` is the run that it goes into.
///
/// An empty cell clears only in the workbook of the run's present revision: in an older one, a template or one without
/// a marker it is no change, and so is a row that its 名单 lacks.
/// Only what differs becomes a change, in the order of codes and of the rubric; `by` (1 to 500 characters) and `at`
/// (Unix seconds) are who entered it and when.
///
/// # Errors
/// Every mistake, by sheet, row and column; beyond 1,000 of them only how many more.
pub fn read(
    rubric: &Rubric,
    schools: &[School],
    current: &BTreeMap<SchoolCode, SchoolEvidence>,
    own: &Origin,
    by: &str,
    at: i64,
    bytes: &[u8],
) -> Result<Reading, Vec<CellFault>> {
    let file = |problem: String| vec![place::file(problem)];
    if by.trim().is_empty() || by.chars().count() > MAX_TEXT || by.chars().any(char::is_control) {
        return Err(file(format!("填报人应为 1 至 {MAX_TEXT} 字")));
    }
    let sheets = tables::read(bytes, None, LIMITS).map_err(file)?;
    if sheets.iter().any(|sheet| sheet.name.is_empty()) {
        return Err(file("材料表应为 .xlsx 工作簿,不是 CSV".to_owned()));
    }
    let latest = origin::latest(rubric, own, &sheets).map_err(file)?;
    let mut reader = Reader {
        rubric,
        schools: schools.iter().map(|one| (one.code.as_str(), one)).collect(),
        current,
        latest,
        known: known(rubric),
        faults: Faults::default(),
        columns: BTreeMap::new(),
        there: BTreeSet::new(),
        edits: BTreeMap::new(),
        reading: Reading::default(),
    };
    reader.sheets(sheets);
    reader.changes(by, at);
    reader.faults.none_or_all().map(|()| reader.reading)
}

/// What the cells of one item of one school alter, each with its place.
type Edits = Vec<Altered>;

/// What a cell alters.
struct Altered {
    place: Place,
    edit: Edit,
    /// What it replaces, where somebody else may have entered it since the workbook was made.
    over: Option<String>,
}

struct Reader<'a> {
    rubric: &'a Rubric,
    schools: BTreeMap<&'a str, &'a School>,
    current: &'a BTreeMap<SchoolCode, SchoolEvidence>,
    /// Whether the workbook shows all that is kept, so that an empty cell clears.
    latest: bool,
    known: BTreeMap<String, Column<'a>>,
    faults: Faults,
    /// Where each column was found first.
    columns: BTreeMap<String, String>,
    /// Schools and items whose sheet is in the workbook.
    there: BTreeSet<(&'a SchoolCode, &'a str)>,
    edits: BTreeMap<(&'a SchoolCode, &'a str), Edits>,
    reading: Reading,
}

impl<'a> Reader<'a> {
    fn sheets(&mut self, sheets: Vec<Sheet>) {
        let own: Vec<String> = self.rubric.groups.iter().map(sheet_name).collect();
        let mut found = false;
        let mut awards: Option<(usize, Sheet)> = None;
        for sheet in sheets.into_iter().filter(|sheet| sheet.name != MARKER) {
            self.faults.next_sheet(&sheet.name);
            let (name, row) = (sheet.name.clone(), sheet.heading_row);
            let Some(sheet) = sheet.headed_by(CODE) else {
                // Other sheets may hold notes of whoever filled it in.
                if own.contains(&name) || name == list::SHEET {
                    let place = self.faults.row(row);
                    self.faults.add(&place, format!("缺少“{CODE}”列"));
                    found = true;
                }
                continue;
            };
            found = true;
            let has = |heading: &str| sheet.headings.iter().any(|cell| cell == heading);
            if has(list::HEADINGS[list::ITEM]) {
                // Two are not put together: the second is often a copy, and its rows would count twice.
                if let Some((_, first)) = &awards {
                    let problem = format!(
                        "“{}”表已是名单,一个工作簿只能有一张:请把“{name}”表的内容并入其中,再删去此表",
                        first.name
                    );
                    let place = self.faults.row(row);
                    self.faults.add(&place, problem);
                } else {
                    awards = Some((self.faults.sheet(), sheet));
                }
            } else {
                self.grid(&sheet);
            }
        }
        if !found {
            let problem = format!("工作簿中没有带“{CODE}”列的表");
            self.faults.add(&Place::default(), problem);
        }
        // Lists last: what they leave out depends on which items have their sheet here.
        if let Some((number, sheet)) = awards {
            self.faults.back_to(number);
            self.awards(&sheet);
        }
    }

    fn kept(&self, school: &SchoolCode, item: &str) -> Option<&'a ItemEvidence> {
        self.current.get(school)?.get(item)
    }

    /// Puts the altered cells together with what is kept, item by item, and checks the whole.
    fn changes(&mut self, by: &str, at: i64) {
        let order: BTreeMap<&str, usize> = (self.rubric.items().enumerate())
            .map(|(number, item)| (item.id.as_str(), number))
            .collect();
        let (mut changes, mut over) = (Vec::new(), Vec::new());
        for ((school, id), edits) in std::mem::take(&mut self.edits) {
            let Some(item) = self.rubric.item(id) else {
                continue;
            };
            let kept = self.kept(school, id);
            let mut evidence = kept.cloned().unwrap_or_default();
            let mut places = BTreeMap::new();
            for altered in edits {
                let before = evidence.clone();
                let key = apply(&mut evidence, altered.edit);
                if let Some(kept) = altered.over.filter(|_| evidence != before) {
                    over.push((altered.place.clone(), kept));
                }
                places.insert(key, altered.place);
            }
            if kept == Some(&evidence) {
                continue;
            }
            by.clone_into(&mut evidence.by);
            evidence.at = at;
            let empty = evidence.values.is_empty()
                && evidence.source.is_empty()
                && evidence.attachments.is_empty();
            if empty {
                if kept.is_some() {
                    changes.push(change(school, id, None));
                }
                continue;
            }
            self.check(school, item, &evidence, &places);
            changes.push(change(school, id, Some(evidence)));
        }
        changes.sort_by(|one, other| {
            let key = |change: &Change| order.get(change.item.as_str()).copied();
            (&one.school, key(one)).cmp(&(&other.school, key(other)))
        });
        over.sort();
        let over = over
            .into_iter()
            .map(|(place, kept)| self.overwritten(&place, kept));
        self.reading.overwritten = over.collect();
        self.reading.changes = changes;
    }

    fn overwritten(&self, place: &Place, kept: String) -> Overwritten {
        let cell = self.faults.named(place, kept);
        Overwritten {
            sheet: cell.sheet,
            row: cell.row,
            column: cell.column,
            heading: cell.heading,
            kept: cell.problem,
        }
    }

    fn check(
        &mut self,
        school: &SchoolCode,
        item: &Item,
        evidence: &ItemEvidence,
        places: &BTreeMap<String, Place>,
    ) {
        let Some(school) = self.schools.get(school.as_str()) else {
            return;
        };
        for fault in check(self.rubric, school.stage, item, evidence) {
            let key = fault_key(&fault);
            // A contradiction may lie in a cell that is not in this workbook; then it shows at one that is.
            let place = places.get(key).or_else(|| places.values().next());
            let place = place.cloned().unwrap_or_default();
            let at_it = places.contains_key(key) || fault.key.is_empty();
            let problem = if at_it {
                fault.problem
            } else {
                format!("“{}”{}", fault.key, fault.problem)
            };
            self.faults.add(&place, problem);
        }
    }
}

fn change(school: &SchoolCode, item: &str, evidence: Option<ItemEvidence>) -> Change {
    Change {
        school: school.clone(),
        item: item.to_owned(),
        evidence,
    }
}

/// The column that a fault of an item concerns.
fn fault_key(fault: &EvidenceFault) -> &str {
    if !fault.key.is_empty() {
        return &fault.key;
    }
    let around = [SOURCE, ATTACHMENTS];
    let named = around
        .into_iter()
        .find(|name| fault.problem.starts_with(name));
    named.unwrap_or_default()
}
