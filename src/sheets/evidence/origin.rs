//! What a workbook was made of, in its hidden sheet: which run's it is, and whether an empty cell of it means anything.
//!
//! Whoever exported before a colleague imported has empty cells where the colleague's answers now are. Only the
//! workbook of the run's present revision can tell an emptied cell from one that was never filled.

use super::{FORMAT, KIND, MARKER, plain_heading};
use crate::{
    domain::{ids::CountyCode, rubric::Rubric},
    evaluation::Form,
    tables::Sheet,
};

/// Where [`Origin`] stands in the marker: county, run, revision, template or not, the run's name.
const COUNTY: usize = 3;
const RUN: usize = 4;
const REVISION: usize = 5;
const CONTENT: usize = 6;
const NAME: usize = 7;
/// The first column of the marker sheet that [`Origin::words`] leave free.
pub(super) const FREE: u16 = 9;
/// That a workbook was made without what was known.
const TEMPLATE: &str = "template";
/// That it was made with all of it.
const FILLED: &str = "filled";

/// What a workbook is made of; for reading, the run that it goes into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Whose run.
    pub county: CountyCode,
    /// The run's key among the county's.
    pub run_key: String,
    /// How people call the run: its name and days. Keys may be digests, which say nothing to them.
    pub run_name: String,
    /// The run's revision.
    pub revision: i64,
    /// Whether what is known was left out.
    pub empty: bool,
}

impl Origin {
    /// Of a run as its form says.
    #[must_use]
    pub fn of(form: &Form, empty: bool) -> Self {
        Self {
            county: form.county.clone(),
            run_key: form.key.clone(),
            run_name: format!(
                "{}({} 至 {})",
                form.name, form.period.first, form.period.last
            ),
            revision: form.revision,
            empty,
        }
    }

    /// The marker's words.
    pub(super) fn words(&self, rubric: &Rubric) -> [String; 8] {
        let content = if self.empty { TEMPLATE } else { FILLED };
        [
            KIND.to_owned(),
            rubric.id.clone(),
            FORMAT.to_owned(),
            self.county.to_string(),
            self.run_key.clone(),
            self.revision.to_string(),
            content.to_owned(),
            self.run_name.clone(),
        ]
    }
}

/// Whether a workbook shows all that this run keeps now, so that an empty cell clears.
///
/// `Ok(false)` for an older one, a template, and one without a marker, such as a sheet that was copied out.
/// `Err` says why it is not this run's.
pub(super) fn latest(rubric: &Rubric, own: &Origin, sheets: &[Sheet]) -> Result<bool, String> {
    let Some(marker) = sheets.iter().find(|sheet| sheet.name == MARKER) else {
        return Ok(false);
    };
    let word = |at: usize| marker.headings.get(at).map_or("", String::as_str);
    if word(0) != KIND || word(2) != FORMAT {
        return Err(format!(
            "工作簿的格式版本是“{}”,本程序读的是“{FORMAT}”:请重新导出材料表,把内容抄入后再导入",
            word(2)
        ));
    }
    if word(1) != rubric.id {
        return Err(format!(
            "这是细则“{}”的材料表,本次考核用的是“{}”({}):请用本细则导出的材料表",
            word(1),
            rubric.id,
            rubric.title
        ));
    }
    let same_run = plain_heading(word(RUN)) == plain_heading(&own.run_key);
    if word(COUNTY) != own.county.as_str() || !same_run {
        return Err(format!(
            "这是 {} 的考核“{}”的材料表,要导入的是 {} 的考核“{}”:请用本次考核导出的材料表",
            word(COUNTY),
            word(NAME),
            own.county,
            own.run_name
        ));
    }
    // A newer revision than the run's comes from another copy of the store; it knows no better.
    Ok(word(REVISION) == own.revision.to_string() && word(CONTENT) == FILLED)
}
