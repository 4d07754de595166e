//! Evidence and results as workbooks: bytes in, bytes out.
//!
//! # Layout
//! - [`evidence`]: the workbook that bureaus fill in, and what was filled in.
//! - [`results`]: 考核评分汇总表, 考核评分表, CSV and JSON, all from one value.
//! - [`run`]: which files a run has.
//! - [`rubric`]: the rubric itself, in the page's layout. [`table`]: any table of a page.
//!
//! Points come only from their own texts. A spreadsheet holds floating numbers, so a text such as 87.35 becomes one at
//! the very edge (`style::number`): nothing is computed with it, and 0.00 shows the same digits again.
//! Not responsible for keeping evidence or runs (`store`), nor for scoring (`domain`).

pub mod evidence;
mod page;
pub mod results;
pub mod rubric;
pub mod run;
#[cfg(test)]
mod sample;
mod style;
pub mod table;

/// A workbook that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the workbook could not be written")]
pub struct WriteError(#[from] rust_xlsxwriter::XlsxError);
