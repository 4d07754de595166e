//! Whether an earlier boot that heard no time may be dated by its own hardware clock.
//!
//! A clock battery that is dead or dying dates a boot in 1970, at the firmware's birthday, or where the clock stood when
//! power went. None of these may put minutes on a wrong day, and a boot without network and with a good clock must not
//! lose its minutes either. So the hardware clock is believed only where it is borne out from both sides: the boot lies
//! after the last known time and before this boot, no later than what came after it, its clock was not set meanwhile, and
//! the same clock was right when the time was heard next. It must not begin just where the last known time ended either:
//! that is what a clock says that stood still for days, and somebody, or the system's own time service, may have set it
//! right before this boot's first look. Nor may it begin just where the boot before left the clock, right or wrong: one that
//! stood still goes on from there. Not responsible for hearing the time (`Core`).

use super::{boot::Boot, dated::Verdict};

/// A hardware clock that is off by no more is right: it drifts by seconds a week.
pub(super) const RIGHT_MS: u64 = 300_000;
/// From the last known moment to the next boot a clock that stands still without power tells no more than a shutdown and
/// the firmware take, ms.
const STOOD_MS: i64 = 180_000;
/// Nothing was recorded before this program was written: 2026-09-01, Unix ms.
pub const BEGINNING_MS: i64 = 1_788_192_000_000;

/// Judges the boots that wait, oldest first, now that the current one knows the time. `known_ms` is the latest time that
/// was known before it, Unix ms. The answer is how many seconds of use can't be placed, where
/// any boot can't.
pub(super) fn judge(older: &mut [Boot], current: &Boot, known_ms: i64) -> Option<u64> {
    let right = current
        .clock_error_ms()
        .is_some_and(|error| error.unsigned_abs() <= RIGHT_MS);
    let mut floor = known_ms.max(BEGINNING_MS);
    let mut unplaced_ms = None;
    for boot in older.iter_mut().filter(|boot| boot.is_undated()) {
        let span = boot.span_ms();
        // After a sleep: it was counted, or the clock counts as disturbed.
        let stood = if boot.doubted_ms.is_some() {
            0
        } else {
            STOOD_MS
        };
        let after = floor.saturating_add(stood);
        let fits = after <= *span.start() && *span.end() <= current.offset_ms;
        let begins = *span.start();
        let mut left = boot.left_ms.iter();
        let goes_on = left.any(|at| (*at..at.saturating_add(STOOD_MS)).contains(&begins));
        if right && fits && !goes_on && !boot.disturbed {
            boot.verdict = Verdict::BorneOut;
            floor = *span.end();
        } else {
            boot.verdict = Verdict::Unplaceable;
            unplaced_ms = Some(unplaced_ms.unwrap_or(0) + boot.used_ms());
        }
    }
    unplaced_ms.map(|ms| ms / 1_000)
}
