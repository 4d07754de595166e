//! The only reader of time. Not responsible for deciding whether the clock can be trusted (`core`).

mod hardware;

use crate::core::Now;

pub use hardware::hardware_ms;

/// Tells the time as a machine sees it.
pub trait Clock: Send {
    /// Now.
    fn now(&mut self) -> Now;
}

/// This machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[cfg(target_os = "linux")]
impl Clock for SystemClock {
    fn now(&mut self) -> Now {
        use rustix::time::{ClockId, clock_gettime};
        let ms = |id| {
            let at = clock_gettime(id);
            at.tv_sec
                .saturating_mul(1_000)
                .saturating_add(at.tv_nsec / 1_000_000)
        };
        // Awake first: a moment between the two readings must not look like time awake beyond time since boot.
        let awake_ms = u64::try_from(ms(ClockId::Monotonic)).unwrap_or(0);
        let mono_ms = u64::try_from(ms(ClockId::Boottime)).unwrap_or(0);
        Now {
            mono_ms,
            awake_ms,
            wall_ms: ms(ClockId::Realtime),
            wall_synced: synced(),
        }
    }
}

/// systemd-timesyncd leaves this mark once network time was taken; others are told by the service's clock.
#[cfg(target_os = "linux")]
fn synced() -> bool {
    std::path::Path::new("/run/systemd/timesync/synchronized").exists()
}

#[cfg(windows)]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the clock's home")]
    fn now(&mut self) -> Now {
        use std::time::{SystemTime, UNIX_EPOCH};

        use crate::win32;
        let awake_ms = win32::awake_ms();
        // Both move in steps of some 16 ms, and not at the same moments.
        let mono_ms = win32::ticks_ms().max(awake_ms.unwrap_or(0));
        let ms = |span: std::time::Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Now {
            mono_ms,
            awake_ms: awake_ms.unwrap_or(mono_ms),
            wall_ms: match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => ms(since),
                Err(before) => -ms(before.duration()),
            },
            // Windows' time service says that it runs, not that it was right; the service's clock tells.
            wall_synced: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_run_together_and_none_is_awake_for_longer_than_it_is_on() {
        let first = SystemClock.now();
        std::thread::sleep(std::time::Duration::from_millis(200));
        let later = SystemClock.now();
        assert!(first.awake_ms <= first.mono_ms && later.awake_ms <= later.mono_ms);
        for passed in [
            later.mono_ms - first.mono_ms,
            later.awake_ms - first.awake_ms,
        ] {
            assert!((150..5_000).contains(&passed), "{passed} ms of 200");
        }
        // 2020 to 2100.
        assert!((1_577_836_800_000..4_102_444_800_000).contains(&later.wall_ms));
    }
}
