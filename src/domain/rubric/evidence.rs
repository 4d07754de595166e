//! Evidence: what is known of a school for each item, typed, with who said so and from where.
//!
//! Not responsible for what it gives (`scoring`), nor for files it comes in (workbooks).

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    definition::{Item, Rubric},
    list::{self, ListKind, ListRow},
    points::{Decimal, Points},
    rule::{Ask, Cell, Condition, Lapses, Rule, Share},
    scoring::conditions::{Verdict, judge},
};
use crate::domain::ids::Stage;

/// Key of an evaluator's own figure (酌情记分).
pub const GIVEN: &str = "酌情记分";
/// Key of the reason for it.
pub const REASON: &str = "酌情理由";
/// Key of who judged.
pub const JUDGE: &str = "评分人";
/// Key of a list of awards or reports.
pub const LIST: &str = "名单";

/// Largest count: beyond it a figure is a slip of the hand.
pub const MAX_COUNT: u64 = 1_000_000;
/// Longest text, in characters.
pub const MAX_TEXT: usize = 500;
/// Most attachment references of one item.
pub const MAX_ATTACHMENTS: usize = 20;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// 是 or 否.
    YesNo(bool),
    /// How many.
    Count(u64),
    /// A figure with at most two places.
    Number(Decimal),
    /// One of several.
    Choice(String),
    /// There is nothing to be measured by (R3).
    NotApplicable,
    /// An evaluator's own points.
    Points(Decimal),
    /// A reason or a name.
    Text(String),
    /// One row an award or report.
    List(Vec<ListRow>),
}

/// What stands where there is nothing to be measured by.
pub const NOT_APPLICABLE: &str = "不适用";

/// As people write it, and as [`Field::read`] takes it back; a list as how many rows it has.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::YesNo(true) => f.pad("是"),
            Self::YesNo(false) => f.pad("否"),
            Self::Count(count) => count.fmt(f),
            Self::Number(number) | Self::Points(number) => number.fmt(f),
            Self::Choice(text) | Self::Text(text) => f.pad(text),
            Self::NotApplicable => f.pad(NOT_APPLICABLE),
            Self::List(rows) => write!(f, "名单 {} 行", rows.len()),
        }
    }
}

/// What kind of answer a question takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldKind {
    /// 是 or 否.
    YesNo,
    /// 0 to [`MAX_COUNT`].
    Count,
    /// At most two places.
    Number,
    /// One of these.
    Choice(Vec<String>),
    /// 0 to this, at most two places.
    Points {
        /// The item's full points.
        max: Points,
    },
    /// 1 to [`MAX_TEXT`] characters.
    Text,
    /// One row an award or report.
    List {
        /// How rows are counted.
        kind: ListKind,
        /// What rows can be.
        cells: Vec<Cell>,
    },
}

/// A question of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The question, which is its key within the item.
    pub key: String,
    /// What answers it.
    pub kind: FieldKind,
    /// Whether a school of the right stage may answer that it can't apply.
    pub may_not_apply: bool,
}

/// What is known for one item of one school.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemEvidence {
    /// Question → answer. What is not there is missing.
    pub values: BTreeMap<String, Value>,
    /// Where it comes from (材料依据); may be empty.
    #[serde(default)]
    pub source: String,
    /// References to attachments, such as file names or shelf marks.
    #[serde(default)]
    pub attachments: Vec<String>,
    /// Who entered it: an account or the name of an official.
    pub by: String,
    /// When, Unix seconds.
    pub at: i64,
}

/// References to attachments as people write them: one a line, or after semicolons.
#[must_use]
pub fn attachments(text: &str) -> Vec<String> {
    let all = text.split(['\n', ';', '\u{ff1b}']).map(str::trim);
    all.filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What is known of a school, by item id.
pub type SchoolEvidence = BTreeMap<String, ItemEvidence>;

/// Evidence that can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EvidenceFault {
    /// The question; empty for the item as a whole.
    pub key: String,
    /// What is wrong and what is allowed, a Chinese sentence.
    pub problem: String,
}

fn ask(key: &Ask, kind: FieldKind) -> Field {
    Field {
        key: key.clone(),
        kind,
        may_not_apply: false,
    }
}

fn share(share: &Share) -> [Field; 2] {
    let whole = Field {
        may_not_apply: share.not_applicable.is_some(),
        ..ask(&share.whole, FieldKind::Count)
    };
    [ask(&share.part, FieldKind::Count), whole]
}

fn condition(condition: &Condition) -> Vec<Field> {
    match condition {
        Condition::Met(met) => vec![ask(met, FieldKind::YesNo)],
        Condition::AllDone { due, done } => {
            vec![ask(due, FieldKind::Count), ask(done, FieldKind::Count)]
        }
        Condition::AtLeast { ask: figure, .. } => vec![ask(figure, FieldKind::Number)],
        Condition::Share(one) => share(one).to_vec(),
    }
}

impl Field {
    /// An answer as a person writes it, trimmed and not empty. Whether it fits the others is [`check`]'s to say.
    ///
    /// # Errors
    /// A Chinese sentence that says what is expected. A list is not one text.
    pub fn read(&self, text: &str) -> Result<Value, String> {
        if text == NOT_APPLICABLE && self.may_not_apply {
            return Ok(Value::NotApplicable);
        }
        let value = match &self.kind {
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
            let or = if self.may_not_apply {
                "或“不适用”"
            } else {
                ""
            };
            format!("“{found}”不对,应为{}{or}", expected(&self.kind))
        })
    }
}

impl Item {
    /// Its questions, in the order of its text. 后台监测 asks nothing: the system measures it.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let own = |key: &str, kind| ask(&key.to_owned(), kind);
        match &self.rule {
            Rule::AllOrNothing { when, .. } => when.iter().flat_map(condition).collect(),
            Rule::Checklist { parts, .. } => parts
                .iter()
                .map(|part| ask(part, FieldKind::YesNo))
                .collect(),
            Rule::Threshold { share: one, .. } => share(one).to_vec(),
            Rule::Tiers {
                part,
                whole,
                otherwise,
                ..
            } => {
                let mut fields = vec![ask(part, FieldKind::Count), ask(whole, FieldKind::Count)];
                fields.extend(otherwise.iter().map(|(met, _)| ask(met, FieldKind::YesNo)));
                fields
            }
            Rule::Deduction { lapses, .. } => match lapses {
                Lapses::Count(count) => vec![ask(count, FieldKind::Count)],
                Lapses::Shortfall { due, done } => {
                    vec![ask(due, FieldKind::Count), ask(done, FieldKind::Count)]
                }
            },
            Rule::Grade {
                ask: grade,
                options,
            } => {
                let names = options.iter().map(|(name, _)| name.clone()).collect();
                vec![ask(grade, FieldKind::Choice(names))]
            }
            Rule::Counts { cells, list, .. } => {
                let mut fields: Vec<Field> = cells
                    .iter()
                    .map(|cell| ask(&cell.key, FieldKind::Count))
                    .collect();
                fields.extend(list.map(|kind| {
                    let cells = cells.clone();
                    own(LIST, FieldKind::List { kind, cells })
                }));
                fields
            }
            Rule::Discretionary { points, when } => {
                let mut fields: Vec<Field> = when.iter().flat_map(condition).collect();
                fields.push(own(GIVEN, FieldKind::Points { max: *points }));
                fields.push(own(REASON, FieldKind::Text));
                fields.push(own(JUDGE, FieldKind::Text));
                fields
            }
            Rule::CountyRatio { .. } => Vec::new(),
            Rule::Veto { ask: happened, .. } => vec![ask(happened, FieldKind::YesNo)],
        }
    }
}

/// Checks what is to be kept for an item of a school of this stage; no fault where it is fit.
///
/// Missing answers are no fault: they score 0 until they are given.
#[must_use]
pub fn check(
    rubric: &Rubric,
    stage: Stage,
    item: &Item,
    evidence: &ItemEvidence,
) -> Vec<EvidenceFault> {
    let mut checker = Checker {
        rubric,
        stage,
        values: &evidence.values,
        faults: unsound(rubric, stage, item, &evidence.values),
    };
    checker.around(evidence);
    if checker.faults.is_empty()
        && let Rule::Discretionary { when, .. } = &item.rule
    {
        checker.discretionary(when);
    }
    checker.faults
}

/// Checks answers by themselves and against each other, as scoring does once more: a stage may have been mended since
/// they were entered, or another rubric be tried.
#[must_use]
pub fn unsound(
    rubric: &Rubric,
    stage: Stage,
    item: &Item,
    values: &BTreeMap<String, Value>,
) -> Vec<EvidenceFault> {
    let mut checker = Checker {
        rubric,
        stage,
        values,
        faults: Vec::new(),
    };
    checker.fields(&item.fields());
    // Contradictions are only looked for among answers that are sound by themselves.
    if checker.faults.is_empty() {
        checker.together(&item.rule);
    }
    checker.faults
}

struct Checker<'a> {
    rubric: &'a Rubric,
    stage: Stage,
    values: &'a BTreeMap<String, Value>,
    faults: Vec<EvidenceFault>,
}

impl Checker<'_> {
    fn fault(&mut self, key: &str, problem: impl Into<String>) {
        self.faults.push(EvidenceFault {
            key: key.to_owned(),
            problem: problem.into(),
        });
    }

    fn text(&mut self, key: &str, what: &str, text: &str, empty: bool) {
        self.text_within(key, what, text, empty, MAX_TEXT);
    }

    fn text_within(&mut self, key: &str, what: &str, text: &str, empty: bool, most: usize) {
        let count = text.chars().count();
        if count > most || (!empty && text.trim().is_empty()) {
            self.fault(key, format!("{what}应为 1 至 {most} 字"));
        }
        if text.chars().any(|c| c.is_control() && c != '\n') {
            self.fault(key, format!("{what}中有不可见的控制字符"));
        }
    }

    fn around(&mut self, evidence: &ItemEvidence) {
        self.text("", "材料依据", &evidence.source, true);
        self.text("", "填报人", &evidence.by, false);
        if evidence.attachments.len() > MAX_ATTACHMENTS {
            self.fault("", format!("附件最多 {MAX_ATTACHMENTS} 个"));
        }
        for attachment in &evidence.attachments {
            self.text("", "附件", attachment, false);
        }
    }

    fn fields(&mut self, fields: &[Field]) {
        let values = self.values;
        for (key, value) in values {
            match fields.iter().find(|field| field.key == *key) {
                None => self.fault(key, "本条没有这一项"),
                Some(field) => self.field(field, value),
            }
        }
    }

    fn field(&mut self, field: &Field, value: &Value) {
        let key = field.key.as_str();
        match (&field.kind, value) {
            (FieldKind::YesNo, Value::YesNo(_)) | (FieldKind::Number, Value::Number(_)) => {}
            (FieldKind::Count, Value::Count(count)) => {
                if *count > MAX_COUNT {
                    self.fault(key, format!("应为 0 至 {MAX_COUNT} 的整数"));
                }
            }
            // Whether this school may say so is judged together with the rest.
            (FieldKind::Count, Value::NotApplicable) if field.may_not_apply => {}
            (FieldKind::Choice(names), Value::Choice(name)) => {
                if !names.contains(name) {
                    self.fault(key, format!("应为 {} 之一", names.join("、")));
                }
            }
            (FieldKind::Points { max }, Value::Points(points)) => {
                if Points::from(*points) > *max {
                    self.fault(key, format!("应为 0 至 {} 分", max.short()));
                }
            }
            (FieldKind::Text, Value::Text(text)) => self.text(key, key, text, false),
            (FieldKind::List { kind, cells }, Value::List(rows)) => {
                self.list(*kind, cells, rows);
            }
            (kind, Value::NotApplicable) => {
                self.fault(key, format!("本项不能填“不适用”,应为{}", expected(kind)));
            }
            (kind, _) => self.fault(key, format!("应为{}", expected(kind))),
        }
    }

    fn list(&mut self, kind: ListKind, cells: &[Cell], rows: &[ListRow]) {
        if rows.is_empty() || rows.len() > list::MAX_ROWS {
            self.fault(LIST, format!("名单应有 1 至 {} 行", list::MAX_ROWS));
        }
        for (index, row) in rows.iter().enumerate() {
            let number = index + 1;
            let what = |text: &str| format!("名单第 {number} 行的{text}");
            let most = list::MAX_ROW_TEXT;
            self.text_within(LIST, &what("名称"), &row.title, false, most);
            self.text_within(LIST, &what("证书号"), &row.proof, true, most);
            // Who won twice in a contest is told by its title, so two that look alike may not differ.
            if row.title.trim() != row.title || row.title.contains('\n') {
                self.fault(LIST, what("名称前后不能有空格,中间不能换行"));
            }
            if list::cell(cells, row).is_none() {
                let known: Vec<&str> = cells.iter().map(|cell| cell.key.as_str()).collect();
                self.fault(
                    LIST,
                    format!(
                        "名单第 {number} 行的级别、奖次“{}{}”应为 {} 之一",
                        row.level,
                        row.prize,
                        known.join("、")
                    ),
                );
            }
            match (kind, row.person) {
                (ListKind::Persons, None | Some(0)) => self.fault(
                    LIST,
                    format!(
                        "名单第 {number} 行缺获奖人序号:同一竞赛中同一人用同一序号,从 1 起,不写姓名"
                    ),
                ),
                (ListKind::Entries, Some(_)) => {
                    self.fault(LIST, format!("名单第 {number} 行不需要获奖人序号"));
                }
                _ => {}
            }
        }
    }

    fn count(&self, key: &str) -> Option<u64> {
        match self.values.get(key) {
            Some(Value::Count(count)) => Some(*count),
            _ => None,
        }
    }

    fn part_of(&mut self, part: &str, whole: &str, within: bool) {
        if self.count(whole) == Some(0) {
            self.fault(whole, "应不小于 1");
        }
        if within
            && let (Some(of), Some(all)) = (self.count(part), self.count(whole))
            && of > all
        {
            self.fault(part, format!("{of} 多于“{whole}”的 {all}"));
        }
    }

    fn share(&mut self, share: &Share) {
        if self.values.get(&share.whole) == Some(&Value::NotApplicable) {
            if !self.rubric.may_not_apply(share, self.stage) {
                let stages = self.rubric.not_applicable(share).map(|reading| {
                    let names: Vec<&str> =
                        reading.stages.iter().map(|stage| stage.name()).collect();
                    names.join("、")
                });
                self.fault(
                    &share.whole,
                    format!(
                        "本校学段是{},只有{}可以填“不适用”",
                        self.stage,
                        stages.unwrap_or_default()
                    ),
                );
            }
            if self.values.contains_key(&share.part) {
                self.fault(
                    &share.part,
                    format!("“{}”填了“不适用”,本项应留空", share.whole),
                );
            }
            return;
        }
        if self.count(&share.whole) == Some(0) && self.rubric.may_not_apply(share, self.stage) {
            self.fault(&share.whole, "没有时应填“不适用”,不填 0");
            return;
        }
        self.part_of(&share.part, &share.whole, true);
    }

    fn together(&mut self, rule: &Rule) {
        for condition in rule.conditions() {
            match condition {
                Condition::AllDone { due, done } => self.part_of(done, due, true),
                Condition::Share(share) => self.share(share),
                Condition::Met(_) | Condition::AtLeast { .. } => {}
            }
        }
        match rule {
            Rule::Threshold { share, .. } => self.share(share),
            Rule::Tiers {
                part,
                whole,
                within,
                ..
            } => self.part_of(part, whole, *within),
            Rule::Deduction {
                lapses: Lapses::Shortfall { due, done },
                ..
            } => self.part_of(done, due, true),
            Rule::Counts { cells, .. } => {
                let counts = cells.iter().any(|cell| self.values.contains_key(&cell.key));
                if counts && self.values.contains_key(LIST) {
                    self.fault(LIST, "名单与数量只填一种:有名单时数量由名单得出");
                }
            }
            _ => {}
        }
    }

    fn discretionary(&mut self, when: &[Condition]) {
        let [given, reason, judged] =
            [GIVEN, REASON, JUDGE].map(|key| self.values.contains_key(key));
        if given && !(reason && judged) {
            self.fault(GIVEN, "酌情记分须同时写明酌情理由和评分人");
        }
        if !given && (reason || judged) {
            let key = if reason { REASON } else { JUDGE };
            self.fault(key, "没有酌情记分时不填酌情理由和评分人");
        }
        if !given {
            return;
        }
        let judged = judge(self.rubric, when, self.values);
        match judged.verdict {
            Verdict::Met => self.fault(GIVEN, "条件已达到,按满分记,不再酌情"),
            Verdict::Open => {
                let missing = judged.missing.join("、");
                self.fault(GIVEN, format!("先填写条件({missing}),未达到才酌情记分"));
            }
            Verdict::Unmet => {}
        }
    }
}

/// What answers a question, in Chinese: follows 应为.
#[must_use]
pub fn expected(kind: &FieldKind) -> String {
    match kind {
        FieldKind::YesNo => "“是”或“否”".to_owned(),
        FieldKind::Count => format!("0 至 {MAX_COUNT} 的整数"),
        FieldKind::Number => "不小于 0、最多两位小数的数".to_owned(),
        FieldKind::Choice(names) => format!(" {} 之一", names.join("、")),
        FieldKind::Points { max } => format!(" 0 至 {} 分,最多两位小数", max.short()),
        FieldKind::Text => format!(" 1 至 {MAX_TEXT} 字"),
        FieldKind::List { .. } => "名单,每行一条".to_owned(),
    }
}

#[cfg(test)]
mod tests;
