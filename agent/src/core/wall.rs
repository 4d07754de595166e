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
#[derive(Debug)]
pub(super) struct Wall {
    /// At the last look, Unix ms minus ms since boot.
    offset_ms: Option<i64>,
    /// Steps while the time was not known: when, by how much, and where they led, ms.
    steps: Vec<(u64, i64, i64)>,
}

impl Wall {
    /// As it was seen last in this boot, before the agent started again.
    pub(super) fn new(offset_ms: Option<i64>) -> Self {
        Self {
            offset_ms,
            steps: Vec::new(),
        }
    }

    /// How far the clock moved away from time since boot since it was asked last, ms. Large ones are remembered.
    pub(super) fn step(&mut self, now: Now) -> i64 {
        let offset_ms = wall_offset(now);
        let before = self.offset_ms.replace(offset_ms).unwrap_or(offset_ms);
        let step = offset_ms.saturating_sub(before);
        if step.unsigned_abs() > STEP_MS && self.steps.len() < MOST_STEPS {
            self.steps.push((now.mono_ms, step, offset_ms));
        }
        step
    }

    /// Notes steps once it can be told whether they led away from the truth.
    pub(super) fn look(&mut self, boot: &mut Boot) {
        if !boot.is_sure() || self.steps.is_empty() {
            return;
        }
        let truth_ms = boot.offset_ms;
        let wrong = |led_ms: i64| led_ms.saturating_sub(truth_ms).unsigned_abs() > STEP_MS;
        for (at_ms, step, led_ms) in self.steps.drain(..) {
            if wrong(led_ms) {
                boot.note(SignalKind::ClockSet, at_ms, step / 1_000);
            }
        }
    }
}
