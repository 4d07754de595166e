//! What usage means: minutes, sessions, calendar, averages, points. Pure and exact.
//!
//! No IO, no clock, no async, no float: time and data are arguments, numbers are integers and fractions.
//! Not responsible for where minutes come from (ingest) or where they are kept (store).

#![deny(clippy::float_arithmetic)]

pub mod access;
pub mod boots;
pub mod calendar;
pub mod doubt;
pub mod hardware;
pub mod ids;
pub mod incident;
pub mod minutes;
pub mod monitoring;
pub mod rubric;
pub mod session;
pub mod usage;
