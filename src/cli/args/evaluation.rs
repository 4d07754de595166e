//! Arguments of `rubric`, `runs` and `evidence`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::civil::Date;

use crate::{
    domain::ids::{CountyCode, SchoolCode, TerminalId},
    sheets::run::Export,
    store::ContentDigest,
};

/// What to do with rubrics.
#[derive(Debug, Subcommand)]
pub enum RubricCommand {
    /// Check a rubric file; every mistake is shown with its line.
    Check {
        /// The file (TOML).
        file: PathBuf,
    },
    /// Show a rubric in the layout of the published page.
    Show(ShowRubricArgs),
    /// Keep a rubric file, so that runs can score by it.
    Import {
        /// The file (TOML).
        file: PathBuf,
    },
    /// List the built-in rubric and those that are kept.
    List,
}

/// Which rubric, and where to.
#[derive(Debug, Clone, Args)]
pub struct ShowRubricArgs {
    /// A rubric file; the built-in rubric if not given.
    pub file: Option<PathBuf>,
    /// A kept rubric instead.
    #[arg(long, conflicts_with = "file")]
    pub digest: Option<ContentDigest>,
    /// Write a workbook (.xlsx) or Markdown (.md) here instead of printing.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What to do with evaluation runs.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Make a draft.
    Create(CreateRunArgs),
    /// List a county's runs, newest first.
    List {
        /// Six-digit county code; not needed where only one county is registered.
        #[arg(long)]
        county: Option<CountyCode>,
    },
    /// Every school's points: of a draft as of now, of a frozen run as they were frozen.
    Show {
        /// The run.
        run: i64,
        /// One school's sheet, item by item, with reasons.
        #[arg(long)]
        school: Option<SchoolCode>,
    },
    /// Who sets the county's highest average, how far from the next, and what looks doubtful there. Read it before freezing.
    Inspect {
        /// The run.
        run: i64,
    },
    /// What was counted for an item of a school and why; for 后台监测 down to terminal-days and minutes.
    Explain(ExplainArgs),
    /// Exclude days of a terminal from a draft, as if it were not in service then.
    Exclude(ExcludeArgs),
    /// Take an exclusion back.
    Include {
        /// The draft.
        run: i64,
        /// The exclusion's number, as `exclusions` lists it.
        id: i64,
    },
    /// List a run's exclusions.
    Exclusions {
        /// The run.
        run: i64,
    },
    /// How every school's points would move. Nothing is saved.
    WhatIf(WhatIfArgs),
    /// Freeze a draft: nothing of it changes afterwards.
    Freeze(FreezeArgs),
    /// Recompute a frozen run from what was frozen, to the last digit.
    Verify {
        /// The run.
        run: i64,
    },
    /// What differs between two runs, school by school and item by item.
    Compare {
        /// The earlier run.
        before: i64,
        /// The later run.
        after: i64,
    },
    /// Write results to a file: 考核评分汇总表, 考核评分表, CSV or JSON.
    Export(ExportArgs),
    /// Remove a draft with its evidence.
    Discard {
        /// The draft.
        run: i64,
    },
}

/// A run to make.
#[derive(Debug, Clone, Args)]
pub struct CreateRunArgs {
    /// Such as 2025-2026学年考核.
    pub name: String,
    /// First day that counts.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub from: Date,
    /// Last day that counts; the run can be frozen from the day after on.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub to: Date,
    /// Six-digit county code; not needed where only one county is registered.
    #[arg(long)]
    pub county: Option<CountyCode>,
    /// Makes the making repeatable, 1 to 64 characters; a digest of name and days if not given.
    #[arg(long)]
    pub key: Option<String>,
    /// A kept rubric; the built-in one if not given.
    #[arg(long, value_name = "DIGEST")]
    pub rubric: Option<ContentDigest>,
    /// The frozen run that this one corrects; its evidence and exclusions are taken over.
    #[arg(long, value_name = "RUN")]
    pub supersedes: Option<i64>,
    /// Take the minutes of this frozen run instead of the stored ones.
    #[arg(long, value_name = "RUN")]
    pub minutes_from: Option<i64>,
    /// Who makes it.
    #[arg(long, value_name = "NAME")]
    pub by: String,
}

/// What to explain.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// The run.
    pub run: i64,
    /// The school (学校标识码).
    pub school: SchoolCode,
    /// The item, such as 4.3.1.
    pub item: String,
    /// For 后台监测: only this terminal, day by day.
    #[arg(long)]
    pub terminal: Option<TerminalId>,
}

/// Which days of which terminal.
#[derive(Debug, Clone, Args)]
pub struct ExcludeArgs {
    /// The draft.
    pub run: i64,
    /// The terminal.
    pub terminal: TerminalId,
    /// First day; the run's if not given.
    #[arg(long, requires = "to", value_name = "YYYY-MM-DD")]
    pub from: Option<Date>,
    /// Last day, included.
    #[arg(long, requires = "from", value_name = "YYYY-MM-DD")]
    pub to: Option<Date>,
    /// Why, 1 to 500 characters.
    #[arg(long)]
    pub reason: String,
    /// Who decides it.
    #[arg(long, value_name = "NAME")]
    pub by: String,
}

/// What to try.
#[derive(Debug, Clone, Args)]
pub struct WhatIfArgs {
    /// A draft or a frozen run.
    pub run: i64,
    /// Exclude a terminal: TERMINAL, or TERMINAL:FIRST:LAST for some days. May be repeated.
    #[arg(long, value_name = "TERMINAL[:FIRST:LAST]")]
    pub exclude: Vec<String>,
    /// Turn a reading, such as R3=unmet. May be repeated.
    #[arg(long, value_name = "ID=WORD")]
    pub reading: Vec<String>,
    /// Score by this rubric file instead.
    #[arg(long, value_name = "FILE")]
    pub rubric: Option<PathBuf>,
}

/// Who freezes.
#[derive(Debug, Clone, Args)]
pub struct FreezeArgs {
    /// The draft.
    pub run: i64,
    /// Who freezes it.
    #[arg(long, value_name = "NAME")]
    pub by: String,
    /// What to write beside it, up to 500 characters.
    #[arg(long, default_value = "")]
    pub note: String,
    /// Freeze although answers are missing; they score 0 for good.
    #[arg(long)]
    pub accept_missing: bool,
    /// Only where the points are those that were looked at: 成绩摘要 as `show` and `inspect` print it.
    #[arg(long, value_name = "DIGEST", default_value = "")]
    pub expect: String,
}

/// Which file.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// The run.
    pub run: i64,
    /// summary.xlsx, all.xlsx, school.xlsx, summary.csv, items.csv or json.
    #[arg(long, default_value_t = Export::AllXlsx)]
    pub format: Export,
    /// For school.xlsx: which school.
    #[arg(long, required_if_eq("format", "school.xlsx"))]
    pub school: Option<SchoolCode>,
    /// The file to make; in this folder, with a name of its own, if not given.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What to do with evidence.
#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Make the empty workbook to fill in.
    Template(WorkbookArgs),
    /// Make the workbook with what is known.
    Export(WorkbookArgs),
    /// Take a filled workbook into a draft. All or nothing; every mistake is shown with its cell.
    Import(ImportEvidenceArgs),
    /// Set answers of one item of one school in a draft; what is not given stays.
    Set(SetEvidenceArgs),
    /// What is known of schools, and what is missing (未填).
    List(ListEvidenceArgs),
}

/// Whose evidence, and which.
#[derive(Debug, Clone, Args)]
pub struct ListEvidenceArgs {
    /// The run.
    pub run: i64,
    /// Only this school's.
    #[arg(long)]
    pub school: Option<SchoolCode>,
    /// Only what is missing: what its items need to be scored.
    #[arg(long)]
    pub missing: bool,
}

/// Which workbook, and where to.
#[derive(Debug, Clone, Args)]
pub struct WorkbookArgs {
    /// The run.
    pub run: i64,
    /// The file to make.
    #[arg(long, value_name = "FILE", default_value = "evidence.xlsx")]
    pub out: PathBuf,
}

/// Which workbook, and who filled it.
#[derive(Debug, Clone, Args)]
pub struct ImportEvidenceArgs {
    /// The draft.
    pub run: i64,
    /// The filled workbook (.xlsx).
    pub file: PathBuf,
    /// Who filled it.
    #[arg(long, value_name = "NAME")]
    pub by: String,
    /// Check and count, change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// One item of one school.
#[derive(Debug, Clone, Args)]
pub struct SetEvidenceArgs {
    /// The draft.
    pub run: i64,
    /// The school (学校标识码).
    pub school: SchoolCode,
    /// The item, such as 2.1.2.
    pub item: String,
    /// Answers: QUESTION=ANSWER, such as 专任教师人数=40 or 有制度=是. The item's others stay; QUESTION= clears one.
    #[arg(required_unless_present_any = ["source", "attachment", "clear"])]
    pub answers: Vec<String>,
    /// Where it comes from (材料依据); "" clears it.
    #[arg(long)]
    pub source: Option<String>,
    /// A reference to an attachment. May be repeated; those given replace those kept, "" clears them.
    #[arg(long)]
    pub attachment: Vec<String>,
    /// Take the whole item away.
    #[arg(long, conflicts_with_all = ["answers", "source", "attachment"])]
    pub clear: bool,
    /// Who enters it.
    #[arg(long, value_name = "NAME")]
    pub by: String,
}
