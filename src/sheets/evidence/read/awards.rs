//! The rows of 名单 → lists of schools and items.

use std::collections::BTreeMap;

use super::{Altered, Place, Reader, edit::listed};
use crate::{
    domain::{
        ids::SchoolCode,
        rubric::{
            Value,
            list::{ListRow, MAX_ROWS},
        },
    },
    sheets::evidence::{
        CODE, SCHOOL,
        list::{self, HEADINGS, ITEM, Listed},
        plain_heading,
    },
    tables::Sheet,
};

/// Rows of one school and item, in their order: number and texts.
type Rows = Vec<(u32, [String; 6])>;

/// Where the columns are: the school's code, and [`HEADINGS`].
struct Columns {
    code: usize,
    places: [Option<usize>; 6],
}

impl<'a> Reader<'a> {
    pub(super) fn awards(&mut self, sheet: &Sheet) {
        let lists = list::listed(self.rubric);
        let Some(columns) = self.award_columns(sheet) else {
            return;
        };
        let mut found: BTreeMap<(&'a SchoolCode, &'a str), Rows> = BTreeMap::new();
        for (number, cells) in &sheet.rows {
            self.strays(sheet, *number, cells);
            if let Some((key, texts)) = self.award(sheet, &columns, *number, cells, &lists) {
                found.entry(key).or_default().push((*number, texts));
            }
        }
        // A school whose sheet of the item is here has nothing but what 名单 says.
        for one in &lists {
            let here = self.there.iter().filter(|(_, id)| *id == one.item.id);
            for key in here.copied().collect::<Vec<_>>() {
                found.entry(key).or_default();
            }
        }
        for ((school, id), rows) in found {
            if let Some(one) = lists.iter().find(|one| one.item.id == id) {
                self.award_list(school, one, &rows, &columns);
            }
        }
    }

    /// The columns; `None` where one is missing that says which row is whose.
    fn award_columns(&mut self, sheet: &Sheet) -> Option<Columns> {
        let (mut code, mut places) = (None, [None; 6]);
        let named = sheet.headings.iter().enumerate();
        for (at, cell) in named.filter(|(_, cell)| !cell.is_empty()) {
            let heading = plain_heading(cell);
            let place = self.faults.cell(sheet.heading_row, at, &heading);
            let known = HEADINGS.iter().position(|known| *known == heading);
            let taken = match (heading.as_str(), known) {
                (CODE, _) => code.replace(at),
                // For people who add it to find their way.
                (SCHOOL, _) => None,
                (_, Some(known)) => places[known].replace(at),
                (_, None) => {
                    let all = HEADINGS.join("、");
                    let problem = format!("不认识的列,可用的列:{CODE}、{all}");
                    self.faults.add(&place, problem);
                    None
                }
            };
            if taken.is_some() {
                self.faults.add(&place, "此列出现了两次,请删去一列");
            }
        }
        let lacking = HEADINGS.iter().zip(places).filter(|(_, at)| at.is_none());
        let lacking: Vec<&str> = lacking.map(|(heading, _)| *heading).collect();
        if !lacking.is_empty() {
            let place = self.faults.row(sheet.heading_row);
            let problem = format!("缺少列:{}", lacking.join("、"));
            self.faults.add(&place, problem);
            return None;
        }
        Some(Columns {
            code: code?,
            places,
        })
    }

    /// Whose row it is, and its texts.
    fn award(
        &mut self,
        sheet: &Sheet,
        columns: &Columns,
        number: u32,
        cells: &[String],
        lists: &[Listed<'a>],
    ) -> Option<((&'a SchoolCode, &'a str), [String; 6])> {
        let text = |at: Option<usize>| at.and_then(|at| cells.get(at)).cloned();
        let texts = columns.places.map(|at| text(at).unwrap_or_default());
        let code = text(Some(columns.code)).unwrap_or_default();
        let mut solved = true;
        for (heading, at) in HEADINGS.iter().zip(columns.places) {
            if let Some(at) = at.filter(|at| sheet.unsolved.contains(&(number, *at))) {
                let place = self.faults.cell(number, at, heading);
                self.faults.add(
                    &place,
                    "公式没有结果:请在 WPS 或 Excel 中打开并保存,或改填数值",
                );
                solved = false;
            }
        }
        let place = self.faults.cell(number, columns.code, CODE);
        let school = self.school(&place, &code);
        let one = lists.iter().find(|one| one.item.id == texts[ITEM]);
        if one.is_none() {
            let known: Vec<&str> = lists.iter().map(|one| one.item.id.as_str()).collect();
            let problem = format!(
                "“{}”不对,应为可用名单填写的条目:{}",
                texts[ITEM],
                known.join("、")
            );
            let place = self.award_place(columns, number, ITEM);
            self.faults.add(&place, problem);
        }
        let (school, one) = (school?, one?);
        solved.then_some(((&school.code, one.item.id.as_str()), texts))
    }

    fn award_place(&self, columns: &Columns, row: u32, which: usize) -> Place {
        let at = columns.places[which].unwrap_or(columns.code);
        self.faults.cell(row, at, HEADINGS[which])
    }

    fn award_list(
        &mut self,
        school: &'a SchoolCode,
        one: &Listed<'a>,
        found: &Rows,
        columns: &Columns,
    ) {
        let id = one.item.id.as_str();
        let kept = list::rows(self.kept(school, id));
        // The order of rows says nothing, and people sort.
        let mut before: Vec<[String; 6]> = kept.iter().map(|row| list::texts(id, row)).collect();
        let mut after: Vec<&[String; 6]> = found.iter().map(|(_, texts)| texts).collect();
        before.sort();
        after.sort();
        if before.iter().eq(after.iter().copied()) {
            return;
        }
        let mut rows: Vec<ListRow> = Vec::new();
        for (number, texts) in found {
            match one.row(texts) {
                Ok(row) => rows.push(row),
                Err(wrong) => {
                    for (which, problem) in wrong {
                        let place = self.award_place(columns, *number, which);
                        self.faults.add(&place, problem);
                    }
                }
            }
        }
        if rows.len() < found.len() {
            return;
        }
        if !self.latest {
            // Rows that somebody else may have added since stay, as what an empty cell does not show stays.
            let missing = beside(kept, &rows);
            self.reading.left_alone += missing.len();
            rows.extend(missing);
            if rows.len() == kept.len() {
                return;
            }
        }
        let first = found.first().map(|(number, _)| *number);
        let place = first.map_or_else(Place::default, |row| self.award_place(columns, row, ITEM));
        if rows.len() > MAX_ROWS {
            let problem = format!(
                "{school} 的条目 {id} 有 {} 行,一所学校一个条目最多 {MAX_ROWS} 行",
                rows.len()
            );
            self.faults.add(&place, problem);
            return;
        }
        let value = (!rows.is_empty()).then_some(Value::List(rows));
        let edits = self.edits.entry((school, id)).or_default();
        edits.push(Altered {
            place,
            edit: listed(value),
            over: None,
        });
    }
}

/// The kept rows that are not among these; of equal ones, as many as are lacking.
fn beside(kept: &[ListRow], rows: &[ListRow]) -> Vec<ListRow> {
    let same = |one: &ListRow, other: &ListRow| list::texts("", one) == list::texts("", other);
    let mut rows: Vec<&ListRow> = rows.iter().collect();
    let mut missing = Vec::new();
    for one in kept {
        match rows.iter().position(|row| same(row, one)) {
            Some(at) => drop(rows.swap_remove(at)),
            None => missing.push(one.clone()),
        }
    }
    missing
}
