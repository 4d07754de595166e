//! How many requests are taken in a time: a bucket that fills steadily. Pure.

use jiff::Timestamp;

/// Milliseconds in a second: what one request costs.
const COST: i64 = 1_000;

/// A bucket. It holds thousandths of requests.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: i64,
    most: i64,
    filled: i64,
    at: Option<Timestamp>,
}

impl Rate {
    /// So many a second, and so many at once.
    pub(super) fn new(per_second: u32, at_once: u32) -> Self {
        let most = i64::from(at_once) * COST;
        Self {
            per_second: per_second.into(),
            most,
            filled: most,
            at: None,
        }
    }

    /// Whether one more is taken now. A clock that was set back fills nothing.
    pub(super) fn take(&mut self, now: Timestamp) -> bool {
        let since = self.at.map_or(0, |at| {
            now.as_millisecond().saturating_sub(at.as_millisecond())
        });
        self.at = Some(now);
        let gained = since.max(0).saturating_mul(self.per_second);
        self.filled = self.filled.saturating_add(gained).min(self.most);
        if self.filled < COST {
            return false;
        }
        self.filled -= COST;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_a_steady_rate() {
        let mut rate = Rate::new(20, 40);
        let at = |ms: i64| Timestamp::from_millisecond(1_788_220_800_000 + ms).unwrap();
        let mut taken = |ms, times: usize| (0..times).filter(|_| rate.take(at(ms))).count();
        assert_eq!(taken(0, 100), 40);
        assert_eq!(taken(49, 10), 0);
        assert_eq!(taken(50, 10), 1);
        assert_eq!(taken(1_050, 100), 20);
        assert_eq!(taken(0, 5), 0, "set back");
        assert_eq!(taken(3_600_000, 100), 40);
    }
}
