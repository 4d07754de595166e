//! The only reader of time. Not responsible for deciding whether the clock can be trusted (`core`).

use crate::core::Now;

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
