//! The only reader of time. Everything else takes time as an argument, or asks a [`Clock`] that it was given.
//!
//! Not responsible for time zones (`config`).

use std::sync::Arc;

use jiff::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Any clock, shared.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the clock's one home")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
