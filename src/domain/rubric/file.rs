//! A rubric file (TOML) → a checked [`Rubric`]; every mistake is named with its line and the mend.
//!
//! The format is documented in `deploy/rubric/README.md`. Not responsible for what a rule awards (`scoring`).

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, de::IgnoredAny};
use toml::Spanned;

use super::{
    definition::{Group, Indicator, Item, Reading, Rubric, Switch, VetoScope},
    points::{Decimal, Points},
    rule::NotApplicable,
};
use crate::domain::ids::Stage;

mod rules;

/// Largest file, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// The only format there is so far.
const FORMAT: u32 = 1;

/// Mistakes that are listed of one file.
const MAX_FAULTS: usize = 50;

/// A mistake in a rubric file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.problem),
            line => write!(f, "第 {line} 行:{}", self.problem),
        }
    }
}

/// Why a rubric file can't be used: all its mistakes, by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "细则文件有 {} 处错误", self.0.len())?;
        for fault in &self.0 {
            write!(f, "\n{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A number or a text, read from the file by its own letters: 0.3 is 3/10, and nothing in between is a float.
type Literal = Spanned<IgnoredAny>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Spanned<u32>,
    id: Spanned<String>,
    title: Spanned<String>,
    #[serde(default)]
    issuer: String,
    #[serde(default)]
    issued: String,
    total: Literal,
    #[serde(default)]
    reading: Vec<RawReading>,
    group: Vec<RawGroup>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReading {
    id: Spanned<String>,
    text: String,
    not_applicable: Option<Spanned<String>>,
    #[serde(default)]
    stages: Vec<Spanned<String>>,
    veto: Option<Spanned<String>>,
    bound: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    id: Spanned<String>,
    name: Spanned<String>,
    weight: Literal,
    #[serde(default)]
    capped: bool,
    indicator: Vec<RawIndicator>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIndicator {
    id: Spanned<String>,
    #[serde(default)]
    section: String,
    #[serde(default)]
    name: String,
    weight: Literal,
    item: Vec<RawItem>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawItem {
    id: Spanned<String>,
    text: Spanned<String>,
    #[serde(default)]
    readings: Vec<Spanned<String>>,
    rule: Spanned<rules::RawRule>,
}

/// Collects mistakes while a file is read.
struct Checker<'a> {
    text: &'a str,
    faults: BTreeSet<Fault>,
}

impl Checker<'_> {
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    fn fault<T>(&mut self, at: &Spanned<T>, problem: impl Into<String>) {
        let line = self.line(at.span().start);
        self.faults.insert(Fault {
            line,
            problem: problem.into(),
        });
    }

    /// The letters of a literal, and whether they stand in quotes.
    fn letters(&self, literal: &Literal) -> (&str, bool) {
        let letters = self.text.get(literal.span()).unwrap_or_default();
        let inside = letters
            .strip_prefix(['"', '\''])
            .and_then(|rest| rest.strip_suffix(['"', '\'']));
        (inside.unwrap_or(letters), inside.is_some())
    }

    /// A decimal, in quotes or not.
    fn decimal(&mut self, literal: &Literal) -> Decimal {
        let read: Result<Decimal, _> = self.letters(literal).0.parse();
        read.unwrap_or_else(|error| {
            self.fault(literal, error.to_string());
            Decimal::ZERO
        })
    }

    fn points(&mut self, literal: &Literal) -> Points {
        self.decimal(literal).into()
    }

    /// A text that must say something and fit a cell.
    fn words(&mut self, what: &str, text: &Spanned<String>) -> String {
        let count = text.get_ref().trim().chars().count();
        if !(1..=500).contains(&count) {
            self.fault(text, format!("{what}应为 1 至 500 字"));
        }
        text.get_ref().trim().to_owned()
    }

    /// An id that no other has.
    fn id(&mut self, what: &str, id: &Spanned<String>, taken: &mut BTreeSet<String>) -> String {
        let text = id.get_ref();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !(1..=32).contains(&text.len()) || !text.bytes().all(allowed) {
            self.fault(
                id,
                format!("{what}编号“{text}”应为 1 至 32 个字母、数字、点或横线"),
            );
        }
        if !taken.insert(text.clone()) {
            self.fault(id, format!("{what}编号“{text}”重复"));
        }
        text.clone()
    }
}

impl Rubric {
    /// Reads and checks a rubric file.
    ///
    /// # Errors
    /// [`Faults`]: every mistake with its line: not TOML, unknown keys, ids used twice, weights that do not add up,
    /// bands out of order, readings that are not there.
    pub fn parse(text: &str) -> Result<Self, Faults> {
        let whole = |problem: String| Faults(vec![Fault { line: 0, problem }]);
        if text.len() > MAX_BYTES {
            return Err(whole(format!(
                "文件有 {} 字节,超过上限 {MAX_BYTES} 字节",
                text.len()
            )));
        }
        let mut checker = Checker {
            text,
            faults: BTreeSet::new(),
        };
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| checker.line(span.start));
            let problem = format!("写法有误:{}", error.message());
            Faults(vec![Fault { line, problem }])
        })?;
        let rubric = checker.rubric(file);
        if checker.faults.is_empty() {
            Ok(rubric)
        } else {
            Err(Faults(
                checker.faults.into_iter().take(MAX_FAULTS).collect(),
            ))
        }
    }
}

impl Checker<'_> {
    fn rubric(&mut self, file: File) -> Rubric {
        if *file.format.get_ref() != FORMAT {
            self.fault(
                &file.format,
                format!("format 应为 {FORMAT},本程序只认识这种格式"),
            );
        }
        let mut taken = BTreeSet::new();
        let id = self.id("细则", &file.id, &mut taken);
        let title = self.words("title", &file.title);
        let readings = self.readings(file.reading);
        let mut ids = Taken::default();
        let groups: Vec<Group> = file
            .group
            .into_iter()
            .map(|group| self.group(group, &readings, &mut ids))
            .collect();
        let total = self.points(&file.total);
        let sum: Points = groups.iter().map(|group| group.weight).sum();
        if sum != total || total == Points::ZERO {
            self.fault(
                &file.total,
                format!(
                    "各一级指标权重合计 {},与 total = {} 不符",
                    sum.short(),
                    total.short()
                ),
            );
        }
        let county_ratios = ids.county_ratios;
        if county_ratios > 1 {
            self.fault(
                &file.total,
                format!("county_ratio(全县折算)只能有一条,现有 {county_ratios} 条"),
            );
        }
        Rubric {
            id,
            title,
            issuer: file.issuer,
            issued: file.issued,
            total,
            groups,
            readings,
        }
    }

    fn readings(&mut self, raw: Vec<RawReading>) -> Vec<Reading> {
        let mut taken = BTreeSet::new();
        raw.into_iter()
            .map(|raw| Reading {
                id: self.id("解读", &raw.id, &mut taken),
                switch: self.switch(&raw),
                text: raw.text,
            })
            .collect()
    }

    fn switch(&mut self, raw: &RawReading) -> Option<Switch> {
        let stages = self.stages(&raw.stages);
        let not_applicable = Switch::NotApplicable(NotApplicable { met: true, stages });
        let given = [
            (&raw.not_applicable, not_applicable),
            (&raw.veto, Switch::Veto(VetoScope::Indicator)),
            (&raw.bound, Switch::Bound { inclusive: true }),
        ];
        let mut found = None;
        for (word, kind) in given {
            let Some(word) = word else { continue };
            if found.is_some() {
                self.fault(
                    word,
                    "一条解读只能有一个选项(not_applicable、veto、bound 之一)",
                );
            }
            match kind.turned(word.get_ref()) {
                Ok(switch) => found = Some(switch),
                Err(allowed) => {
                    self.fault(word, format!("不能取“{}”,可取:{allowed}", word.get_ref()));
                }
            }
        }
        if raw.not_applicable.is_none()
            && let Some(stage) = raw.stages.first()
        {
            self.fault(stage, "stages 只与 not_applicable 一起使用");
        }
        found
    }

    fn stages(&mut self, raw: &[Spanned<String>]) -> Vec<Stage> {
        let mut stages = Vec::new();
        for text in raw {
            match text.get_ref().parse() {
                Ok(stage) => stages.push(stage),
                Err(_unknown) => {
                    let known: Vec<&str> = Stage::ALL.iter().map(|stage| stage.name()).collect();
                    self.fault(
                        text,
                        format!("没有学段“{}”,可取:{}", text.get_ref(), known.join("、")),
                    );
                }
            }
        }
        stages
    }

    fn group(&mut self, raw: RawGroup, readings: &[Reading], ids: &mut Taken) -> Group {
        let id = self.id("一级指标", &raw.id, &mut ids.groups);
        let name = self.words("一级指标名称", &raw.name);
        let capped = raw.capped;
        let indicators: Vec<Indicator> = raw
            .indicator
            .into_iter()
            .map(|indicator| self.indicator(indicator, capped, readings, ids))
            .collect();
        let weight = self.points(&raw.weight);
        let sum: Points = indicators.iter().map(|indicator| indicator.weight).sum();
        if sum != weight {
            self.fault(
                &raw.weight,
                format!(
                    "“{name}”的权重为 {},二级指标权重合计 {}",
                    weight.short(),
                    sum.short()
                ),
            );
        }
        Group {
            id,
            name,
            weight,
            capped,
            indicators,
        }
    }

    fn indicator(
        &mut self,
        raw: RawIndicator,
        capped: bool,
        readings: &[Reading],
        ids: &mut Taken,
    ) -> Indicator {
        let id = self.id("二级指标", &raw.id, &mut ids.indicators);
        if raw.item.is_empty() {
            self.fault(&raw.id, format!("二级指标 {id} 没有条目"));
        }
        let mut items = Vec::new();
        for item in raw.item {
            let at = item.id.clone();
            let item = self.item(item, readings, ids);
            if item.max().is_none() && !capped {
                self.fault(
                    &at,
                    format!("{id} 按数量计分没有上限,只能用在 capped = true 的一级指标中"),
                );
            }
            items.push(item);
        }
        let weight = self.points(&raw.weight);
        let sum: Points = items.iter().filter_map(Item::max).sum();
        if !capped && sum != weight {
            self.fault(
                &raw.weight,
                format!(
                    "二级指标 {id} 的权重为 {},各条满分合计 {}",
                    weight.short(),
                    sum.short()
                ),
            );
        }
        Indicator {
            id,
            section: raw.section,
            name: raw.name,
            weight,
            items,
        }
    }

    fn item(&mut self, raw: RawItem, readings: &[Reading], ids: &mut Taken) -> Item {
        let id = self.id("条目", &raw.id, &mut ids.items);
        let text = self.words("条目文字", &raw.text);
        for reading in &raw.readings {
            if !readings.iter().any(|known| known.id == *reading.get_ref()) {
                self.fault(reading, format!("没有编号为 {} 的解读", reading.get_ref()));
            }
        }
        let rule = rules::rule(self, raw.rule, readings);
        if matches!(rule, super::rule::Rule::CountyRatio { .. }) {
            ids.county_ratios += 1;
        }
        Item {
            id,
            text,
            rule,
            readings: raw.readings.into_iter().map(Spanned::into_inner).collect(),
        }
    }
}

/// Ids that are used already.
#[derive(Default)]
struct Taken {
    groups: BTreeSet<String>,
    indicators: BTreeSet<String>,
    items: BTreeSet<String>,
    county_ratios: usize,
}

#[cfg(test)]
mod tests;
