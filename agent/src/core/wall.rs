//! What the system's clock did while the machine was on: set away from the true time is a fact for the bureau, set
//! right is none.
//!
//! Not responsible for placing sessions: their time is the boot's own, whatever the system's clock does.

use classpulse_proto::v1::SignalKind;

use super::{Now, boot::Boot, wall_offset};

/// A smaller step is a correction of drift, ms.
const STEP_MS: u64 = 60_000;
/// Most steps that wait for the time to be known.
const MOST_STEPS: usize = 5;

/// The system's clock as it was seen.
#[derive(Debug, Default)]
pub(super) struct Wall {
    /// At the last look, Unix ms minus ms since boot.
    offset_ms: Option<i64>,
    /// Steps before the time was known: when, and by how much, ms.
    steps: Vec<(u64, i64)>,
}

impl Wall {
    /// Looks at the clock, and notes its steps once it can be told whether they led away from the truth.
    pub(super) fn look(&mut self, now: Now, boot: &mut Boot) {
        let offset_ms = wall_offset(now);
        let before = self.offset_ms.replace(offset_ms).unwrap_or(offset_ms);
        let step = offset_ms.saturating_sub(before);
        if step.unsigned_abs() > STEP_MS && self.steps.len() < MOST_STEPS {
            self.steps.push((now.mono_ms, step));
        }
        if !boot.synced || self.steps.is_empty() {
            return;
        }
        let wrong = offset_ms.saturating_sub(boot.offset_ms).unsigned_abs() > STEP_MS;
        for (at_ms, step) in self.steps.drain(..).filter(|_| wrong) {
            boot.note(SignalKind::ClockSet, at_ms, step / 1_000);
        }
    }
}
