//! A filled workbook → what it changes, or every mistake with its cell.
//!
//! Everything is checked before anything is given back, so a caller stores all or nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    ATTACHMENTS, CODE, Column, FORMAT, KIND, MARKER, NOT_APPLICABLE, Part, SCHOOL, SOURCE, STAGE,
    known, list, plain_heading, sheet_name, shown,
};
use crate::{
    domain::{
        ids::SchoolCode,
        rubric::{
            Field, FieldKind, ItemEvidence, Rubric, SchoolEvidence, Value,
            definition::Item,
            evidence::{EvidenceFault, LIST, MAX_ATTACHMENTS, MAX_TEXT, check, expected},
        },
    },
    store::School,
    tables::{self, Limits, Sheet},
};

mod awards;
mod place;

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

/// Reads a filled workbook against what is kept now.
///
/// Only what differs becomes a change, in the order of codes and of the rubric; `by` (1 to 500 characters) and `at`
/// (Unix seconds) are who entered it and when.
///
/// # Errors
/// Every mistake, by sheet, row and column; beyond 1,000 of them only how many more.
pub fn read(
    rubric: &Rubric,
    schools: &[School],
    current: &BTreeMap<SchoolCode, SchoolEvidence>,
    by: &str,
    at: i64,
    bytes: &[u8],
) -> Result<Vec<Change>, Vec<CellFault>> {
    let file = |problem: String| vec![place::file(problem)];
    if by.trim().is_empty() || by.chars().count() > MAX_TEXT || by.chars().any(char::is_control) {
        return Err(file(format!("填报人应为 1 至 {MAX_TEXT} 字")));
    }
    let sheets = tables::read(bytes, None, LIMITS).map_err(file)?;
    if sheets.iter().any(|sheet| sheet.name.is_empty()) {
        return Err(file("材料表应为 .xlsx 工作簿,不是 CSV".to_owned()));
    }
    if let Some(problem) = foreign(rubric, &sheets) {
        return Err(file(problem));
    }
    let mut reader = Reader {
        rubric,
        schools: schools.iter().map(|one| (one.code.as_str(), one)).collect(),
        current,
        known: known(rubric),
        faults: Faults::default(),
        columns: BTreeMap::new(),
        there: BTreeSet::new(),
        edits: BTreeMap::new(),
    };
    reader.sheets(sheets);
    let changes = reader.changes(by, at);
    reader.faults.none_or_all().map(|()| changes)
}

/// Why this is not the workbook of this rubric, where its hidden sheet says so.
fn foreign(rubric: &Rubric, sheets: &[Sheet]) -> Option<String> {
    let marker = sheets.iter().find(|sheet| sheet.name == MARKER)?;
    let word = |at: usize| marker.headings.get(at).map_or("", String::as_str);
    if word(0) != KIND || word(2) != FORMAT {
        return Some(format!(
            "工作簿的格式版本是“{}”,本程序读的是“{FORMAT}”:请重新导出材料表,把内容抄入后再导入",
            word(2)
        ));
    }
    (word(1) != rubric.id).then(|| {
        format!(
            "这是细则“{}”的材料表,本次考核用的是“{}”({}):请用本细则导出的材料表",
            word(1),
            rubric.id,
            rubric.title
        )
    })
}

/// An answer that a cell alters.
enum Edit {
    Answer(String, Option<Value>),
    Source(String),
    Attachments(Vec<String>),
}

/// What the cells of one item of one school alter, each with its place.
type Edits = Vec<(Place, Edit)>;

struct Reader<'a> {
    rubric: &'a Rubric,
    schools: BTreeMap<&'a str, &'a School>,
    current: &'a BTreeMap<SchoolCode, SchoolEvidence>,
    known: BTreeMap<String, Column<'a>>,
    faults: Faults,
    /// Where each column was found first.
    columns: BTreeMap<String, String>,
    /// Schools and items whose sheet is in the workbook.
    there: BTreeSet<(&'a SchoolCode, &'a str)>,
    edits: BTreeMap<(&'a SchoolCode, &'a str), Edits>,
}

/// What a column of a sheet of answers is.
enum Role<'a> {
    Code,
    School,
    /// For people; what it says is not read.
    Passed,
    Answer(Column<'a>),
}

impl<'a> Reader<'a> {
    fn sheets(&mut self, sheets: Vec<Sheet>) {
        let own: Vec<String> = self.rubric.groups.iter().map(sheet_name).collect();
        let (mut found, mut awards) = (false, Vec::new());
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
                awards.push((self.faults.sheet(), sheet));
            } else {
                self.grid(&sheet);
            }
        }
        if !found {
            let problem = format!("工作簿中没有带“{CODE}”列的表");
            self.faults.add(&Place::default(), problem);
        }
        // Lists last: what they leave out depends on which items have their sheet here.
        for (number, sheet) in awards {
            self.faults.back_to(number);
            self.awards(&sheet);
        }
    }

    /// A sheet of answers.
    fn grid(&mut self, sheet: &Sheet) {
        let roles = self.roles(sheet);
        let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
        for (number, cells) in &sheet.rows {
            let text = |at: usize| cells.get(at).map_or("", String::as_str);
            self.strays(sheet, *number, cells);
            let Some(code_at) = roles.iter().find_map(|(at, role)| match role {
                Role::Code => Some(*at),
                _ => None,
            }) else {
                continue;
            };
            let place = self.faults.cell(*number, code_at, CODE);
            let Some(school) = self.school(&place, text(code_at)) else {
                continue;
            };
            if let Some(before) = seen.insert(school.code.as_str(), *number) {
                let problem = format!("{} 与第 {before} 行重复,一所学校只能有一行", school.code);
                self.faults.add(&place, problem);
                continue;
            }
            for (at, role) in &roles {
                let place = |heading: &str| self.faults.cell(*number, *at, heading);
                match role {
                    Role::Code | Role::Passed => {}
                    Role::School => {
                        let place = place(SCHOOL);
                        self.name(&place, school, text(*at));
                    }
                    Role::Answer(column) => {
                        let place = place(&column.heading());
                        let unsolved = sheet.unsolved.contains(&(*number, *at));
                        self.answer(place, school, column, text(*at), unsolved);
                    }
                }
            }
        }
    }

    /// What the columns are; those that are not known are mistakes.
    fn roles(&mut self, sheet: &Sheet) -> Vec<(usize, Role<'a>)> {
        let mut roles = Vec::new();
        let mut seen = BTreeSet::new();
        let named = sheet.headings.iter().enumerate();
        for (at, cell) in named.filter(|(_, cell)| !cell.is_empty()) {
            let heading = plain_heading(cell);
            let place = self.faults.cell(sheet.heading_row, at, &heading);
            if !seen.insert(heading.clone()) {
                self.faults.add(&place, "此列出现了两次,请删去一列");
                continue;
            }
            let role = match heading.as_str() {
                CODE => Role::Code,
                SCHOOL => Role::School,
                STAGE => Role::Passed,
                _ => {
                    let Some(column) = self.known.get(&heading).cloned() else {
                        self.faults.add(&place, unknown(self.rubric, &heading));
                        continue;
                    };
                    let first = self
                        .columns
                        .entry(heading)
                        .or_insert_with(|| sheet.name.clone());
                    if *first != sheet.name {
                        let problem = format!("此列在“{first}”表中已有,请删去一处");
                        self.faults.add(&place, problem);
                        continue;
                    }
                    Role::Answer(column)
                }
            };
            roles.push((at, role));
        }
        roles
    }

    /// Cells under no heading would be lost in silence.
    fn strays(&mut self, sheet: &Sheet, row: u32, cells: &[String]) {
        for (at, cell) in cells.iter().enumerate() {
            let headed = sheet
                .headings
                .get(at)
                .is_some_and(|heading| !heading.is_empty());
            if !headed && !cell.is_empty() {
                let place = self.faults.cell(row, at, "");
                self.faults
                    .add(&place, "此列没有列名,内容无处可归:请移到有列名的列或删去");
            }
        }
    }

    fn school(&mut self, place: &Place, code: &str) -> Option<&'a School> {
        let found = self.schools.get(code).copied();
        if found.is_none() {
            let problem = if code.is_empty() {
                "缺学校标识码,不知道是哪所学校".to_owned()
            } else {
                format!("“{code}”不是本次考核的学校,请核对学校标识码")
            };
            self.faults.add(place, problem);
        }
        found
    }

    /// A name beside another school's code shows that only some of the columns were sorted.
    fn name(&mut self, place: &Place, school: &School, name: &str) {
        if !name.is_empty() && name != school.name.trim() {
            let problem = format!(
                "{} 是“{}”,这里写的是“{name}”:请核对本行是否填错了学校(例如只对部分列排了序)",
                school.code, school.name
            );
            self.faults.add(place, problem);
        }
    }

    fn kept(&self, school: &SchoolCode, item: &str) -> Option<&'a ItemEvidence> {
        self.current.get(school)?.get(item)
    }

    fn answer(
        &mut self,
        place: Place,
        school: &'a School,
        column: &Column<'a>,
        text: &str,
        unsolved: bool,
    ) {
        let key = (&school.code, column.item.id.as_str());
        self.there.insert(key);
        if unsolved {
            self.faults.add(
                &place,
                "公式没有结果:请在 WPS 或 Excel 中打开并保存,或改填数值",
            );
            return;
        }
        let kept = shown(&column.part, self.kept(key.0, key.1));
        let text = text.replace("\r\n", "\n");
        if kept.read_back() == text {
            return;
        }
        match edit(&column.part, &text) {
            Ok(edit) => self.edits.entry(key).or_default().push((place, edit)),
            Err(problem) => self.faults.add(&place, problem),
        }
    }

    /// Puts the altered cells together with what is kept, item by item, and checks the whole.
    fn changes(&mut self, by: &str, at: i64) -> Vec<Change> {
        let order: BTreeMap<&str, usize> = (self.rubric.items().enumerate())
            .map(|(number, item)| (item.id.as_str(), number))
            .collect();
        let mut changes = Vec::new();
        for ((school, id), edits) in std::mem::take(&mut self.edits) {
            let Some(item) = self.rubric.item(id) else {
                continue;
            };
            let kept = self.kept(school, id);
            let mut evidence = kept.cloned().unwrap_or_default();
            let mut places = BTreeMap::new();
            for (place, edit) in edits {
                places.insert(apply(&mut evidence, edit), place);
            }
            let same = kept.is_some_and(|kept| {
                (&kept.values, &kept.source, &kept.attachments)
                    == (&evidence.values, &evidence.source, &evidence.attachments)
            });
            if same {
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
        changes
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

/// Why a heading is not known, and what is near it.
fn unknown(rubric: &Rubric, heading: &str) -> String {
    let id = heading.split(' ').next().unwrap_or_default();
    match rubric.item(id) {
        Some(item) => {
            let columns = super::item_columns(item);
            let keys: Vec<&str> = columns.iter().map(Column::key).collect();
            format!("不认识的列:条目 {id} 的列为 {}", keys.join("、"))
        }
        None => {
            format!("不认识的列:列名应为“条目编号 问题”,如“1.1.1 {SOURCE}”;本细则没有条目“{id}”")
        }
    }
}

/// Alters evidence; gives the key of what was altered.
fn apply(evidence: &mut ItemEvidence, edit: Edit) -> String {
    match edit {
        Edit::Answer(key, Some(value)) => {
            evidence.values.insert(key.clone(), value);
            key
        }
        Edit::Answer(key, None) => {
            evidence.values.remove(&key);
            key
        }
        Edit::Source(text) => {
            evidence.source = text;
            SOURCE.to_owned()
        }
        Edit::Attachments(all) => {
            evidence.attachments = all;
            ATTACHMENTS.to_owned()
        }
    }
}

fn edit(part: &Part, text: &str) -> Result<Edit, String> {
    match part {
        Part::Source => Ok(Edit::Source(text.to_owned())),
        Part::Attachments => {
            let all = text.split(['\n', ';', '\u{ff1b}']).map(str::trim);
            let all = all.filter(|one| !one.is_empty()).map(str::to_owned);
            Ok(Edit::Attachments(all.collect()))
        }
        Part::Answer(field) => {
            let value = if text.is_empty() {
                None
            } else {
                Some(value(field, text)?)
            };
            Ok(Edit::Answer(field.key.clone(), value))
        }
    }
}

fn value(field: &Field, text: &str) -> Result<Value, String> {
    if text == NOT_APPLICABLE && field.may_not_apply {
        return Ok(Value::NotApplicable);
    }
    let value = match &field.kind {
        FieldKind::YesNo => match text {
            "是" => Some(Value::YesNo(true)),
            "否" => Some(Value::YesNo(false)),
            _ => None,
        },
        FieldKind::Count => text.parse().ok().map(Value::Count),
        FieldKind::Number => text.parse().ok().map(Value::Number),
        FieldKind::Points { .. } => text.parse().ok().map(Value::Points),
        FieldKind::Choice(names) => {
            let name = names.iter().find(|name| name.trim() == text);
            name.cloned().map(Value::Choice)
        }
        FieldKind::Text => Some(Value::Text(text.to_owned())),
        FieldKind::List { .. } => None,
    };
    value.ok_or_else(|| {
        let found: String = text.chars().take(40).collect();
        let or = if field.may_not_apply {
            "或“不适用”"
        } else {
            ""
        };
        format!("“{found}”不对,应为{}{or}", expected(&field.kind))
    })
}

/// An altered list, for `awards`.
fn listed(rows: Option<Value>) -> Edit {
    Edit::Answer(LIST.to_owned(), rows)
}
