//! What the core says of itself to those who ask: `status`, logs, drivers. Changes nothing.

use super::{Boot, Core, Lengths, Seen};

impl Core {
    /// Every session of this boot that is still held, or was acknowledged in this process: by kind, then by number.
    #[must_use]
    pub fn sessions(&self) -> Vec<Seen> {
        self.current.seen()
    }

    /// How long the machine was on and used on the civil day of a moment (Unix seconds), as far as it is known where
    /// sessions lie: acknowledged ones too, also from before the agent or the machine started again.
    #[must_use]
    pub fn today(&self, now: i64) -> Lengths {
        let older = self.older.iter().filter(|boot| boot.is_dated());
        let boots = older.chain([&self.current]);
        let held: Vec<Seen> = boots.flat_map(Boot::held).collect();
        self.tally.with(now, &held)
    }

    /// Sessions that no acknowledgement covers yet, of all boots; open ones included.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.older
            .iter()
            .map(|boot| boot.sessions.len())
            .sum::<usize>()
            + self.current.sessions.len()
    }

    /// Earlier boots that are not delivered yet.
    #[must_use]
    pub fn older_boots(&self) -> usize {
        self.older.len()
    }

    /// Seconds between reports, and seconds without input after which use has ended.
    #[must_use]
    pub fn settings(&self) -> (u32, u32) {
        let either = |ordered, own| if ordered == 0 { own } else { ordered };
        (
            either(
                self.ordered.heartbeat_seconds,
                self.config.heartbeat_seconds,
            ),
            either(self.ordered.idle_seconds, self.config.idle_seconds),
        )
    }
}
