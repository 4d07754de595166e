//! Reports in, minutes committed, acknowledgements out.
//!
//! `decode` → `check` (`refuse`) → `assemble` are pure; `pipeline` batches and commits; `outside` reads an outside broker,
//! `replay` brings quarantine entries back. Not responsible for the embedded broker (`broker`), which hands its
//! reports to the same [`Intake`], nor for questions about usage.

pub mod assemble;
pub mod check;
pub mod decode;
pub mod outside;
pub mod pipeline;
pub mod reason;
mod refuse;
pub mod replay;

pub use pipeline::{Intake, IntakeError, Pipeline};
