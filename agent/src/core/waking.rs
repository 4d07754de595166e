//! What a sleep does to a boot's time, and what a large correction does: what lay before it stays where it was, what comes
//! after it is placed anew.
//!
//! Time since boot is counted over a sleep by the hardware clock. One that is dead stands still or starts anew when the
//! power is cut meanwhile (hibernation, Windows's fast start-up), and the boot's own time then lacks the sleep. Not
//! responsible for noticing a sleep (`Core`) or for hearing the time again.

use super::{
    CoreEvent,
    boot::Boot,
    dated::Dated,
    session::{Kind, unix},
};

/// A clock that was moved by more, or an answer that says so, is no drift, ms.
pub(super) const CORRECTION_MS: u64 = 60_000;

/// What time since boot makes of a sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sleep {
    /// It counts it.
    Counted,
    /// It lacks it, or the system's clock says otherwise.
    Uncounted,
    /// The same, and nobody told of it: the clock died.
    Unnoticed,
}

impl Boot {
    /// The machine slept. What is open ended where it was seen last. What was placed by a time that somebody vouched for
    /// stays there; what comes now waits until somebody says the time again. The answer is the use that can't be placed
    /// any more, ms, where there is any session that can't.
    pub(super) fn wake(&mut self, sleep: Sleep, events: &mut Vec<CoreEvent>) -> Option<u64> {
        let (seen_ms, _) = self.last?;
        self.close(Kind::Used, events);
        self.close(Kind::Powered, events);
        self.use_floor_ms = self.use_floor_ms.max(seen_ms.saturating_add(1));
        if self.is_sure() {
            self.settle(Dated::Known);
            self.doubted_ms = Some(seen_ms);
            self.disturbed = sleep != Sleep::Counted;
            return None;
        }
        if sleep == Sleep::Counted {
            return None;
        }
        self.disturbed = true;
        // Nobody vouched for the time before this sleep, and the boot's own time does not reach back over it.
        let lost = self
            .sessions
            .iter()
            .any(|session| session.dated == Dated::AsItsBoot)
            .then(|| self.used_ms());
        self.settle(Dated::Lost);
        lost
    }

    /// The time is another than was vouched for: what is open goes on as a new session, where it belongs now.
    pub(super) fn cut(&mut self, events: &mut Vec<CoreEvent>) {
        let ends: Vec<(Kind, u64)> = [Kind::Powered, Kind::Used]
            .into_iter()
            .filter_map(|kind| Some((kind, self.current(kind)?.end_ms)))
            .collect();
        for (kind, _) in &ends {
            self.close(*kind, events);
        }
        self.settle(Dated::Known);
        for (kind, end_ms) in ends {
            self.open(kind, end_ms, events);
        }
    }

    /// Everything so far stays where the boot's time places it now.
    fn settle(&mut self, dated: Dated) {
        let offset_ms = self.offset_ms;
        for session in &mut self.sessions {
            session.settle(offset_ms, dated);
        }
        for signal in &mut self.signals {
            signal
                .placed
                .get_or_insert_with(|| unix(signal.at_ms, offset_ms));
        }
    }
}
