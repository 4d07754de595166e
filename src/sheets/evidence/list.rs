//! 名单: awards and reports, one a row, for all schools and items together. The dashboard's form has the same columns, and
//! what is wrong in a row is said here for both.
//!
//! Not responsible for counting them (`domain::rubric::list`).

use crate::domain::rubric::{
    Field, FieldKind, ItemEvidence, Rubric, Value,
    definition::Item,
    evidence::LIST,
    list::{ListKind, ListRow},
    rule::Cell,
};

/// Name of the sheet.
pub(super) const SHEET: &str = "名单";

/// Headings beside the school's code: item, title, level, prize, person, proof.
pub const HEADINGS: [&str; 6] = ["条目", "名称", "级别", "奖次", "获奖人序号", "证书号或日期"];

/// The item's place in [`HEADINGS`].
pub const ITEM: usize = 0;
/// The place of what was won or written.
pub const TITLE: usize = 1;
/// The level's.
pub const LEVEL: usize = 2;
/// The prize's.
pub const PRIZE: usize = 3;
/// The place of the winner's running number.
pub const PERSON: usize = 4;
/// The place of the certificate's number or date.
pub const PROOF: usize = 5;

/// An item that may be given as a list.
#[derive(Debug, Clone)]
pub struct Listed<'a> {
    /// The item.
    pub item: &'a Item,
    /// How rows are counted.
    pub kind: ListKind,
    /// What rows can be.
    pub cells: Vec<Cell>,
}

/// The items that may be given as a list, in the rubric's order.
pub(super) fn listed(rubric: &Rubric) -> Vec<Listed<'_>> {
    rubric.items().filter_map(Listed::of).collect()
}

/// Different words of cells in their order, without the empty one.
pub(super) fn words<'a>(listed: &'a [Listed<'_>], of: fn(&Cell) -> &String) -> Vec<&'a str> {
    let mut words = Vec::new();
    for cell in listed.iter().flat_map(|one| &one.cells) {
        let word = of(cell).as_str();
        if !word.is_empty() && !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// The rows that are kept.
#[must_use]
pub fn rows(evidence: Option<&ItemEvidence>) -> &[ListRow] {
    match evidence.and_then(|evidence| evidence.values.get(LIST)) {
        Some(Value::List(rows)) => rows,
        _ => &[],
    }
}

/// A row's texts under [`HEADINGS`], as they are written and read back.
#[must_use]
pub fn texts(item: &str, row: &ListRow) -> [String; 6] {
    let person = row.person.map_or_else(String::new, |it| it.to_string());
    let all = [
        item, &row.title, &row.level, &row.prize, &person, &row.proof,
    ];
    all.map(|text| text.trim().to_owned())
}

impl<'a> Listed<'a> {
    /// An item's list; `None` where it is not given as one.
    #[must_use]
    pub fn of(item: &'a Item) -> Option<Self> {
        let find = |field: Field| match field.kind {
            FieldKind::List { kind, cells } => Some(Self { item, kind, cells }),
            _ => None,
        };
        item.fields().into_iter().find_map(find)
    }

    /// Reads a row under [`HEADINGS`].
    ///
    /// # Errors
    /// Each mistake with the place of its column and a Chinese sentence.
    pub fn row(&self, texts: &[String; 6]) -> Result<ListRow, Vec<(usize, String)>> {
        let mut wrong = Vec::new();
        let row = ListRow {
            title: texts[TITLE].clone(),
            level: texts[LEVEL].clone(),
            prize: texts[PRIZE].clone(),
            person: self.person(&texts[PERSON], &mut wrong),
            proof: texts[PROOF].clone(),
        };
        if row.title.is_empty() {
            wrong.push((TITLE, "缺名称:写竞赛、通讯报道或称号的名称".to_owned()));
        }
        if row.title.contains('\n') {
            wrong.push((TITLE, "名称中不能换行".to_owned()));
        }
        self.level(&row, &mut wrong);
        if wrong.is_empty() {
            Ok(row)
        } else {
            Err(wrong)
        }
    }

    fn person(&self, text: &str, wrong: &mut Vec<(usize, String)>) -> Option<u32> {
        let id = &self.item.id;
        match (self.kind, text) {
            (ListKind::Entries, "") => None,
            (ListKind::Entries, _) => {
                wrong.push((PERSON, format!("条目 {id} 不按人次计,本格应留空")));
                None
            }
            (ListKind::Persons, _) => {
                let number = text.parse().ok().filter(|number| *number > 0);
                if number.is_none() {
                    wrong.push((
                        PERSON,
                        format!("“{text}”不对:同一竞赛中同一人用同一序号,从 1 起的整数,不写姓名"),
                    ));
                }
                number
            }
        }
    }

    fn level(&self, row: &ListRow, wrong: &mut Vec<(usize, String)>) {
        let of_level = |cell: &&Cell| cell.level == row.level;
        let join = |of: fn(&Cell) -> &String, cells: Vec<&Cell>| {
            let mut words: Vec<&str> = cells.into_iter().map(|cell| of(cell).as_str()).collect();
            words.dedup();
            match words.as_slice() {
                [""] => "留空".to_owned(),
                some => format!("为 {} 之一", some.join("、")),
            }
        };
        let id = &self.item.id;
        let same: Vec<&Cell> = self.cells.iter().filter(of_level).collect();
        if same.is_empty() {
            let allowed = join(|cell| &cell.level, self.cells.iter().collect());
            wrong.push((
                LEVEL,
                format!("“{}”不对,条目 {id} 的级别应{allowed}", row.level),
            ));
        } else if !same.iter().any(|cell| cell.prize == row.prize) {
            let allowed = join(|cell| &cell.prize, same);
            wrong.push((
                PRIZE,
                format!("“{}”不对,条目 {id} 的奖次应{allowed}", row.prize),
            ));
        }
    }
}
