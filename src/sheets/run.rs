//! A run as files: which there are, what they are called, and the one value that all of them show.
//!
//! Not responsible for the run (`evaluation`), nor for how a file looks (`results`).

use std::{fmt, str::FromStr};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    WriteError,
    results::{self, Results, SchoolResult},
};
use crate::{
    domain::{ids::SchoolCode, monitoring},
    evaluation::{self, Loaded},
    store::{Freeze, School},
};

/// Kinds of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// 考核评分汇总表 alone.
    SummaryXlsx,
    /// 考核评分汇总表, and one 考核评分表 a school.
    AllXlsx,
    /// One school's 考核评分表.
    SchoolXlsx,
    /// 考核评分汇总表 as CSV.
    SummaryCsv,
    /// Every school's items as CSV.
    ItemsCsv,
    /// Everything, for programs.
    Json,
}

impl Export {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::SummaryXlsx,
        Self::AllXlsx,
        Self::SchoolXlsx,
        Self::SummaryCsv,
        Self::ItemsCsv,
        Self::Json,
    ];

    /// Its name, as callers write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SummaryXlsx => "summary.xlsx",
            Self::AllXlsx => "all.xlsx",
            Self::SchoolXlsx => "school.xlsx",
            Self::SummaryCsv => "summary.csv",
            Self::ItemsCsv => "items.csv",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A kind of file that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of summary.xlsx, all.xlsx, school.xlsx, summary.csv, items.csv, json")]
pub struct UnknownExport(String);

impl FromStr for Export {
    type Err = UnknownExport;

    fn from_str(text: &str) -> Result<Self, UnknownExport> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownExport(text.chars().take(40).collect()))
    }
}

/// What all files of a run show. Times are those of `zone`.
#[must_use]
pub fn results(loaded: &Loaded, zone: &TimeZone) -> Results {
    let facts = &loaded.inputs.facts;
    let rubric = &loaded.inputs.rubric.rubric;
    let measured = rubric.monitoring_item().map(|item| item.id.as_str());
    let school = |one: &evaluation::SchoolResult| {
        let reason = measured.and_then(|id| one.sheet.item(id));
        SchoolResult {
            school: School {
                code: one.school.code.clone(),
                name: one.school.name.clone(),
                stage: one.school.stage,
                township: one.school.township.clone(),
                county: facts.county.code.clone(),
            },
            sheet: one.sheet.clone(),
            monitoring: Some(monitoring::Score {
                school: one.school.code.clone(),
                average: one.monitoring.average,
                points: one.monitoring.points.value(),
                stage_points: one.monitoring.stage_points.value(),
                reason: reason.map_or_else(String::new, |item| item.reason.clone()),
            }),
        }
    };
    Results {
        county: facts.county.name.clone(),
        run: facts.name.clone(),
        period: facts.period(),
        state: state(loaded.run.frozen(), zone),
        rubric: rubric.clone(),
        schools: loaded.results.schools.iter().map(school).collect(),
    }
}

fn state(freeze: Option<&Freeze>, zone: &TimeZone) -> String {
    let Some(freeze) = freeze else {
        return "试算(未冻结)".to_owned();
    };
    let at = Timestamp::from_second(freeze.at).unwrap_or_default();
    let at = zone.to_datetime(at).strftime("%Y-%m-%d %H:%M");
    // Sixteen digits tell runs apart and fit a page's foot; `runs list --json` and `verify` have all of them.
    let digest: String = freeze.digest.to_string().chars().take(16).collect();
    format!("{at} 由{}冻结 摘要 {digest}", freeze.by)
}

/// The file's name and content; `None` for a school that the run does not have, or for none where one is needed.
///
/// # Errors
/// [`WriteError`].
pub fn export(
    results: &Results,
    kind: Export,
    school: Option<&SchoolCode>,
) -> Result<Option<(String, Vec<u8>)>, WriteError> {
    let (what, ending, content) = match kind {
        Export::SummaryXlsx => ("考核评分汇总表", "xlsx", results::summary_xlsx(results)?),
        Export::AllXlsx => ("考核评分表", "xlsx", results::all_xlsx(results)?),
        Export::SummaryCsv => ("考核评分汇总表", "csv", results::summary_csv(results)),
        Export::ItemsCsv => ("考核评分明细", "csv", results::items_csv(results)),
        Export::Json => ("考核评分", "json", results::json(results)),
        Export::SchoolXlsx => {
            let Some(school) = school else {
                return Ok(None);
            };
            let name = format!("{} 考核评分表-{school}.xlsx", plain(&results.run));
            let content = results::school_xlsx(results, school)?;
            return Ok(content.map(|content| (name, content)));
        }
    };
    let name = format!("{} {what}.{ending}", plain(&results.run));
    Ok(Some((name, content)))
}

/// A name without what a file's name can't have anywhere.
fn plain(name: &str) -> String {
    let fit = |c: char| {
        if c.is_control() || r#"\/:*?"<>|"#.contains(c) {
            '-'
        } else {
            c
        }
    };
    name.chars().map(fit).take(60).collect()
}
