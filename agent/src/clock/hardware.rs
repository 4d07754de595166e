//! The hardware clock, where it can be read apart from the system's: once network time has set the system's, it alone
//! tells whether the battery is well.

use crate::core::Now;

/// Clocks in local time are off by whole quarters of an hour, ms.
const QUARTER_MS: i64 = 15 * 60 * 1_000;
/// The farthest time zone, ms. What is farther off is no zone but a dead battery.
const ZONE_MS: i64 = 14 * 60 * 60 * 1_000;

/// The hardware clock minus ms since boot; `None` where it can't be read.
#[must_use]
pub fn hardware_ms(now: Now) -> Option<i64> {
    #[cfg(target_os = "linux")]
    let text = std::fs::read_to_string("/sys/class/rtc/rtc0/since_epoch").ok();
    #[cfg(not(target_os = "linux"))]
    let text: Option<String> = None;
    let seconds: i64 = text?.trim().parse().ok()?;
    Some(since_boot(now, seconds))
}

fn since_boot(now: Now, seconds: i64) -> i64 {
    // It tells whole seconds: on average it is half a second later than it says.
    let said = seconds.saturating_mul(1_000).saturating_add(500);
    let off = said.saturating_sub(now.wall_ms);
    let zone = if off.abs() <= ZONE_MS + QUARTER_MS / 2 {
        (off + QUARTER_MS / 2).div_euclid(QUARTER_MS) * QUARTER_MS
    } else {
        0
    };
    said.saturating_sub(zone)
        .saturating_sub(i64::try_from(now.mono_ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_taken_off_and_a_dead_battery_is_not() {
        let now = Now {
            mono_ms: 60_000,
            awake_ms: 60_000,
            wall_ms: 1_788_220_800_000,
            wall_synced: true,
        };
        let start = now.wall_ms - 60_000;
        for (said, off) in [
            (0, 500),
            (8 * 3_600, 500),
            (-5 * 3_600 - 1_800, 500),
            (5 * 3_600 + 2_700 + 120, 120_500),
            (-300, -299_500),
            // A year is no zone.
            (-31_536_000, -31_536_000_000 + 500),
            (-1_788_220_800, -1_788_220_800_000 + 500),
        ] {
            let found = since_boot(now, 1_788_220_800 + said);
            assert_eq!(found - start, off, "{said}");
        }
        let _: i64 = since_boot(now, i64::MAX);
    }
}
