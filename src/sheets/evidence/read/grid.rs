//! A sheet of answers: its columns by their headings, its rows by their schools, and the cells that differ.

use std::collections::{BTreeMap, BTreeSet};

use super::{Altered, Place, Reader, edit::edit};
use crate::{
    domain::rubric::Rubric,
    sheets::evidence::{CODE, Column, SCHOOL, SOURCE, STAGE, item_columns, plain_heading, shown},
    store::School,
    tables::Sheet,
};

/// What a column of a sheet of answers is.
enum Role<'a> {
    Code,
    School,
    /// For people; what it says is not read.
    Passed,
    Answer(Column<'a>),
}

impl<'a> Reader<'a> {
    /// A sheet of answers.
    pub(super) fn grid(&mut self, sheet: &Sheet) {
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
    pub(super) fn strays(&mut self, sheet: &Sheet, row: u32, cells: &[String]) {
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

    pub(super) fn school(&mut self, place: &Place, code: &str) -> Option<&'a School> {
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
        let over = Some(kept.read_back()).filter(|kept| !self.latest && !kept.is_empty());
        if over.is_some() && text.is_empty() {
            self.reading.left_alone += 1;
            return;
        }
        let over = over.map(str::to_owned);
        match edit(&column.part, &text) {
            Ok(edit) => {
                let altered = Altered { place, edit, over };
                self.edits.entry(key).or_default().push(altered);
            }
            Err(problem) => self.faults.add(&place, problem),
        }
    }
}

/// Why a heading is not known, and what is near it.
fn unknown(rubric: &Rubric, heading: &str) -> String {
    let id = heading.split(' ').next().unwrap_or_default();
    match rubric.item(id) {
        Some(item) => {
            let columns = item_columns(item);
            let keys: Vec<&str> = columns.iter().map(Column::key).collect();
            format!("不认识的列:条目 {id} 的列为 {}", keys.join("、"))
        }
        None => {
            format!("不认识的列:列名应为“条目编号 问题”,如“1.1.1 {SOURCE}”;本细则没有条目“{id}”")
        }
    }
}
