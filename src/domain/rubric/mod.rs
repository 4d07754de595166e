//! The rubric (考核评估细则): what a county scores its schools by, what is known of a school, and what that gives.
//!
//! # Layout
//! - [`points`]: exact points and decimals.
//! - [`definition`]: groups, indicators, items and readings, as checked; [`rule`]: the kinds of rules.
//! - [`file`](mod@file): the TOML that a bureau writes → a definition, mistakes named by their line.
//! - [`evidence`]: typed values for each item, and what makes one unfit; [`list`]: awards and reports, one a row.
//! - [`scoring`]: definition, evidence and 后台监测 → [`sheet`], each figure with its reason.
//!
//! Pure: not responsible for keeping any of it (store), nor for runs (`evaluation`) and workbooks.

pub mod definition;
pub mod evidence;
pub mod file;
pub mod list;
pub mod points;
pub mod rule;
pub mod scoring;
pub mod sheet;

pub use definition::{Group, Indicator, Item, Reading, Rubric, Switch, VetoScope};
pub use evidence::{Field, FieldKind, ItemEvidence, SchoolEvidence, Value};
pub use points::{Decimal, Points};
pub use rule::Rule;
pub use scoring::score;
pub use sheet::ScoreSheet;

/// The rubric of 逊克县, 2018: what is used where a county gives none of its own.
pub const DEFAULT: &str = include_str!("../../../deploy/rubric/xunke-2018.toml");
