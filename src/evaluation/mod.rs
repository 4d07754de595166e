//! Evaluation runs (DESIGN §4): from a county's rubric, calendar, evidence, exclusions and minutes to every school's points;
//! frozen so that a year later the same figures come out of the same parts.
//!
//! # Layout
//! - [`Inputs`]: all that a run's points follow from. A draft's are read from the store as it is, a frozen run's from its
//!   parts (`load`); both are scored by the same [`Results::of`], so freezing changes no figure. [`glance`] reads no more
//!   than what pages show.
//! - `minutes`: a school's terminals, what counts of them and what is due; `parts`: inputs and results ↔ texts.
//! - [`freeze`], [`verify`], [`compare`], [`what_if`], [`explain`]: what can be done with a run; [`watch`]: who sets the
//!   county's maximum, and what looks doubtful there.
//! - [`create`]: a run; [`enter`]: evidence into it ([`form`] says what is asked), checked against the run's rubric.
//!
//! No transport and no clock. Not responsible for points (`domain::rubric`, `domain::monitoring`), for doubts
//! (`domain::doubt`), nor for sheets and workbooks.

mod compare;
mod create;
mod error;
mod evidence;
mod exclude;
mod explain;
mod form;
mod freeze;
mod glance;
mod inputs;
mod lists;
mod load;
mod minutes;
mod parts;
mod results;
mod verify;
pub mod watch;
mod what_if;

pub use compare::{
    Comparison, Depth, EvidenceDifference, InputDifference, ItemDifference, SchoolDifference,
    compare, compare_of,
};
pub use create::{Created, NewEvaluation, create};
pub use error::EvaluationError;
pub use evidence::{Entered, Entry, Unfit, enter};
pub use exclude::exclude;
pub use explain::{
    Explanation, MonitoringExplanation, TerminalDayExplanation, TerminalExplanation, explain,
};
pub use form::{Form, form};
pub use freeze::{Freezing, freeze};
pub use glance::{glance, load_again, with_minutes};
pub use inputs::{CalendarText, CountyName, Inputs, RubricText, RunFacts, SchoolFacts};
pub use lists::{Known, list_evidence, list_exclusions};
pub use load::{Loaded, inputs_of, load};
pub use minutes::{SchoolMinutes, TerminalMinutes};
pub use parts::digest_of;
pub use results::{MonitoringResult, Results, SchoolResult};
pub use verify::{PartFault, Verification, verify};
pub use watch::Watch;
pub use what_if::{Changes, Excluded, WhatIf, what_if, what_if_of};
