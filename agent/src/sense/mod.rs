//! Signs of use on a machine. Each source stands alone; one that is missing is said so, never guessed.
//!
//! Not responsible for what counts as use (`core`).

use crate::core::Observation;

#[cfg(target_os = "linux")]
pub mod linux;

/// This machine: `SOURCES`, `boot_id`, `os_name` and `open`, the same on every system.
#[cfg(target_os = "linux")]
pub use linux as machine;

/// Senses one machine.
pub trait Sense: Send {
    /// What there is to see now. `mono_ms` and `wall_ms` tell the moment, so that sources may translate theirs.
    fn observe(&mut self, mono_ms: u64, wall_ms: i64) -> Observation;

    /// Sources that were asked for and are not on this machine.
    fn missing(&self) -> Vec<String>;
}
