//! A list of awards or reports as rows of the evidence form: as many as there are and some empty ones, each mistake in its
//! row. A row without a text, or one that is marked, is no row. Whole without any script.
//!
//! What is wrong in a row is said by the workbook's list (`sheets`), whose columns these are; what is wrong with the list
//! as a whole by the rubric (`domain::rubric::evidence::check`).

use maud::{Markup, html};

use super::entry::Typed;
use crate::{
    domain::rubric::{
        ItemEvidence, Value,
        evidence::{EvidenceFault, LIST},
        list::{ListKind, MAX_ROW_TEXT, MAX_ROWS},
        rule::Cell,
    },
    sheets::evidence::list::{self, HEADINGS, LEVEL, Listed, PERSON, PRIZE, PROOF, TITLE},
};

/// Empty rows below those that are filled in.
const BLANK: usize = 3;

/// How many more the button gives.
const MORE: usize = 10;

/// The value of the button that gives more rows, before the item's place.
const MORE_ROWS: &str = "rows.";

/// Rows as texts, in the order of [`HEADINGS`].
type Texts = Vec<[String; 6]>;

/// The list of the item at a place of the form.
pub(super) struct Rows<'a> {
    at: usize,
    listed: Listed<'a>,
    kept: Texts,
    /// What was typed; `None` where the form had no list.
    typed: Option<Texts>,
    /// How many empty rows.
    blank: usize,
}

/// The item's place for which a button asks for more rows.
pub(super) fn asked_for_more(action: Option<&String>) -> Option<usize> {
    action?.strip_prefix(MORE_ROWS)?.parse().ok()
}

impl<'a> Rows<'a> {
    /// The list of the item at this place, with what is kept and what was typed of it.
    pub(super) fn new(
        at: usize,
        listed: Listed<'a>,
        known: Option<&ItemEvidence>,
        typed: Option<&Typed>,
    ) -> Self {
        let id = &listed.item.id;
        // As a browser gives it back: its fields have one line.
        let one_line = |text: String| text.replace(['\n', '\r'], "");
        let kept = list::rows(known).iter();
        let kept = kept.map(|row| list::texts(id, row).map(one_line)).collect();
        let more = typed.and_then(|typed| asked_for_more(typed.get("do")));
        Self {
            at,
            kept,
            typed: typed.and_then(|typed| sent(at, &listed, typed)),
            blank: if more == Some(at) { MORE } else { BLANK },
            listed,
        }
    }

    /// Puts the rows that were typed in the place of those that are kept. What nobody altered stays as it is.
    pub(super) fn put_over(&self, new: &mut ItemEvidence) -> Vec<EvidenceFault> {
        let Some(typed) = self.typed.as_ref().filter(|typed| **typed != self.kept) else {
            return Vec::new();
        };
        let (mut rows, mut faults) = (Vec::new(), Vec::new());
        for (number, texts) in (1..).zip(typed) {
            match self.listed.row(texts) {
                Ok(row) => rows.push(row),
                Err(wrong) => faults.extend(wrong.into_iter().map(|(which, problem)| {
                    let problem = format!("第 {number} 行{}:{problem}", HEADINGS[which]);
                    EvidenceFault {
                        key: LIST.to_owned(),
                        problem,
                    }
                })),
            }
        }
        if rows.is_empty() {
            new.values.remove(LIST);
        } else {
            new.values.insert(LIST.to_owned(), Value::List(rows));
        }
        faults
    }

    /// The rows as fields, with what is wrong beside them.
    pub(super) fn markup(&self, faults: &[EvidenceFault], may: bool) -> Markup {
        let rows = self.typed.as_ref().unwrap_or(&self.kept);
        let blank = if may { self.blank } else { 0 };
        let all = (rows.len() + blank).min(rows.len().max(MAX_ROWS));
        let other = self.typed.as_ref().is_some_and(|typed| *typed != self.kept);
        let id = &self.listed.item.id;
        let wrong: Vec<_> = faults.iter().filter(|fault| fault.key == LIST).collect();
        html! {
            details.list open[!rows.is_empty() || !wrong.is_empty() || self.blank == MORE] {
                summary { (LIST) @if rows.is_empty() { "(一行填一个,数量由名单得出)" } @else { " " (rows.len()) " 行" } }
                @for fault in wrong { p.fault { (fault.problem) } }
                @if all > 0 {
                    input type="hidden" name={ "n" (self.at) } value=(all);
                    div.scroll tabindex="0" role="group" aria-label={ "条目 " (id) " 的名单" } {
                        table {
                            thead { tr { th scope="col" { "行" } @for heading in self.headings(may) { th scope="col" { (heading) } } } }
                            tbody { @for number in 0..all { (self.row(number, rows.get(number), may)) } }
                        }
                    }
                    @if may {
                        p.note {
                            @if self.listed.kind == ListKind::Persons { "同一竞赛中的同一人用同一序号(从 1 起),只计其最高奖。" }
                            "不写姓名。名单与数量只填一种。"
                            button type="submit" name="do" value={ (MORE_ROWS) (self.at) } formnovalidate
                                formaction={ "#i-" (id) } { "再加 " (MORE) " 行" }
                        }
                    }
                    @if other && !self.kept.is_empty() { p.note { "现有:名单 " (self.kept.len()) " 行" } }
                } @else { p.note { "没有名单。" } }
            }
        }
    }

    fn headings(&self, may: bool) -> Vec<&'static str> {
        let mut headings = vec![HEADINGS[TITLE], "级别奖次"];
        if self.listed.kind == ListKind::Persons {
            headings.push(HEADINGS[PERSON]);
        }
        headings.push(HEADINGS[PROOF]);
        if may {
            headings.push("删除");
        }
        headings
    }

    fn row(&self, number: usize, texts: Option<&[String; 6]>, may: bool) -> Markup {
        let nothing = <[String; 6]>::default();
        let wrong: Vec<usize> = match texts.map(|texts| self.listed.row(texts)) {
            Some(Err(wrong)) => wrong.into_iter().map(|(which, _)| which).collect(),
            _ => Vec::new(),
        };
        let filled = texts.is_some();
        let texts = texts.unwrap_or(&nothing);
        let invalid = |places: &[usize]| {
            let wrong = places.iter().any(|place| wrong.contains(place));
            wrong.then_some("true")
        };
        let label = |heading: &str| format!("第 {} 行{heading}", number + 1);
        let name = |what| field_name(self.at, number, what);
        let chosen = |cell: &Cell| (&cell.level, &cell.prize) == (&texts[LEVEL], &texts[PRIZE]);
        html! {
            tr {
                th scope="row" { (number + 1) }
                td { input type="text" name=(name('t')) value=(texts[TITLE]) maxlength=(MAX_ROW_TEXT) size="24"
                    aria-label=(label(HEADINGS[TITLE])) aria-invalid=[invalid(&[TITLE])]; }
                td { select name=(name('c')) aria-label=(label("级别奖次")) aria-invalid=[invalid(&[LEVEL, PRIZE])] {
                    option value="" { "未选" }
                    @for cell in &self.listed.cells {
                        option value=(cell.key) selected[filled && chosen(cell)] { (cell.key) }
                    }
                } }
                @if self.listed.kind == ListKind::Persons {
                    td { input type="text" name=(name('p')) value=(texts[PERSON]) inputmode="numeric" maxlength="9" size="4"
                        aria-label=(label(HEADINGS[PERSON])) aria-invalid=[invalid(&[PERSON])]; }
                }
                td { input type="text" name=(name('f')) value=(texts[PROOF]) maxlength=(MAX_ROW_TEXT) size="14"
                    aria-label=(label(HEADINGS[PROOF])) aria-invalid=[invalid(&[PROOF])]; }
                @if may {
                    td { input type="checkbox" name=(name('x')) value="1" aria-label=(label("删除")); }
                }
            }
        }
    }
}

fn field_name(at: usize, row: usize, what: char) -> String {
    format!("l{at}.{row}.{what}")
}

/// The rows that a browser sent, in their order; those without a text and those marked are left out.
fn sent(at: usize, listed: &Listed<'_>, typed: &Typed) -> Option<Texts> {
    let count: usize = typed.get(&format!("n{at}"))?.parse().ok()?;
    let text = |row, what| {
        let text = typed.get(&field_name(at, row, what));
        text.map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    let row = |row| {
        let [title, cell, person, proof] = ['t', 'c', 'p', 'f'].map(|what| text(row, what));
        let removed = typed.contains_key(&field_name(at, row, 'x'));
        if removed
            || [&title, &cell, &person, &proof]
                .iter()
                .all(|text| text.is_empty())
        {
            return None;
        }
        let found = listed.cells.iter().find(|one| one.key == cell);
        // What is no cell is shown as it came.
        let (level, prize) = match found {
            Some(found) => (found.level.clone(), found.prize.clone()),
            None => (cell, String::new()),
        };
        let id = listed.item.id.clone();
        Some([id, title, level, prize, person, proof])
    };
    // One more than is allowed, so that too many are refused and not cut.
    Some((0..count).take(MAX_ROWS + MORE).filter_map(row).collect())
}
