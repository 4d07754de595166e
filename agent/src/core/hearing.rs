//! What the core knows of the time: who vouches for it, when a sleep makes it doubtful, when it is judged.
//!
//! Not responsible for what follows for a boot's sessions (`boot`, `waking`) or for judging boots that heard no time
//! (`dating`).

use classpulse_proto::v1::SignalKind;

use super::{
    Core, CoreEvent, Now, as_signed,
    boot::SUSPEND_MS,
    dating,
    waking::{CORRECTION_MS, Sleep},
    wall_offset,
};

/// The system says that it has slept up to so long after a look that saw it, ms.
const TOLD_LATE_MS: u64 = 60_000;

/// What is known of sleeps.
#[derive(Debug, Default)]
pub(super) struct Sleeps {
    /// The system said that the machine has slept.
    pub(super) woken: bool,
    /// The last look that saw one that time since boot had counted.
    counted_ms: Option<u64>,
    /// How long the machine had slept when that was noticed last, ms: an answer may come before the next look, and one
    /// sleep asks for the time once.
    noticed_ms: u64,
    /// The first look after the last one: what was asked before it tells no time.
    pub(super) woke_ms: u64,
}

/// A server clock nearer than this is not worth a correction.
const CLOCK_TOLERANCE_MS: u64 = 2_000;
/// An unvouched clock that moves by more between two looks was set, ms.
const DISTURBED_MS: u64 = 5_000;
/// A clock that says so much less than was known already was dead: its battery could not carry it through a sleep, ms.
const DEAD_MS: i64 = 86_400_000;

impl Core {
    pub(super) fn sync_from_system(&mut self, now: Now) {
        if self.current.is_sure() {
            return;
        }
        let offset_ms = wall_offset(now);
        if self.current.synced {
            // After a sleep. A system that vouches may not have noticed that its clock died meanwhile: it is believed
            // where it says what was known before.
            let off = offset_ms.saturating_sub(self.current.offset_ms);
            if now.wall_synced && off.unsigned_abs() <= CORRECTION_MS {
                self.date(now, offset_ms, 0);
            }
            return;
        }
        let first = self.current.hardware_ms.is_none() && self.looked.is_none();
        if first {
            // Where network time was sooner, only the hardware itself still tells what it said.
            let system = (!now.wall_synced).then_some(offset_ms);
            self.current.hardware_ms = system.or(self.config.hardware_ms);
        } else if !now.wall_synced {
            let moved = offset_ms.saturating_sub(self.current.offset_ms);
            self.current.disturbed |= moved.unsigned_abs() > DISTURBED_MS;
        }
        self.current.offset_ms = offset_ms;
        if now.wall_synced {
            self.date(now, offset_ms, 0);
        }
    }

    /// Takes an offset that somebody vouches for, and that took up to `age_ms` to arrive. The journal must know it
    /// before sessions are placed by it, so that an agent that is cut off and started again would place them at the
    /// same moment: hence the write at once.
    pub(super) fn date(&mut self, now: Now, offset_ms: i64, age_ms: u64) {
        let off = offset_ms.saturating_sub(self.current.offset_ms);
        let news = off.unsigned_abs() > CLOCK_TOLERANCE_MS.saturating_add(age_ms);
        let sure = self.current.is_sure();
        if sure && !news {
            return;
        }
        if sure && off.unsigned_abs() > CORRECTION_MS {
            // A sleep that nobody noticed: what was placed before it stays.
            self.current.cut(&mut self.events);
        }
        if news {
            self.current.offset_ms = offset_ms;
        }
        if !sure {
            let first = !std::mem::replace(&mut self.current.synced, true);
            self.current.doubted_ms = None;
            self.events.push(CoreEvent::ClockSynced(off));
            if first {
                self.judge(now);
            }
            // Sessions waited for the time; they go at once.
            self.outbox.hurry();
        }
        self.changed = true;
        self.written_ms = None;
    }

    /// The time is known: what the hardware clock said before can be judged.
    fn judge(&mut self, now: Now) {
        if let Some(error) = self.current.clock_error_ms()
            && error.unsigned_abs() > dating::RIGHT_MS
        {
            self.current
                .note(SignalKind::ClockOff, now.mono_ms, -error / 1_000);
        }
        let unplaced = dating::judge(&mut self.older, &self.current, self.known_time_ms);
        if let Some(seconds) = unplaced {
            self.current
                .note(SignalKind::Unplaced, now.mono_ms, as_signed(seconds));
        }
    }

    /// The time as it is known, for the journal: no later boot began before it.
    pub(super) fn know_time(&mut self, now: Now) {
        if self.current.is_sure() {
            let at = self
                .current
                .offset_ms
                .saturating_add(as_signed(now.mono_ms));
            self.known_time_ms = self.known_time_ms.max(at);
        }
    }

    /// What kind of sleep the machine was in since the last look, if any. `step` is how far the system's clock moved away
    /// from time since boot, ms.
    fn slept(&mut self, now: Now, step: i64) -> Option<Sleep> {
        let woken = std::mem::take(&mut self.sleep.woken);
        let moved = step.unsigned_abs() > CORRECTION_MS && !now.wall_synced;
        let nap = self.current.last.is_some_and(|(_, before)| {
            let slept = now.mono_ms.saturating_sub(now.awake_ms);
            slept.saturating_sub(before.max(self.sleep.noticed_ms)) > SUSPEND_MS
        });
        if nap {
            self.sleep.noticed_ms = now.mono_ms.saturating_sub(now.awake_ms);
            self.sleep.counted_ms = Some(now.mono_ms);
            return Some(if moved {
                Sleep::Uncounted
            } else {
                Sleep::Counted
            });
        }
        let counted = self
            .sleep
            .counted_ms
            .is_some_and(|at| now.mono_ms.saturating_sub(at) <= TOLD_LATE_MS);
        let known_ms = self.known_time_ms.saturating_sub(DEAD_MS);
        let dead = now.wall_ms < known_ms.max(dating::BEGINNING_MS);
        // A system that vouches for another time than was known: whoever is right, a sleep may lie between.
        let off = wall_offset(now).saturating_sub(self.current.offset_ms);
        let otherwise = now.wall_synced
            && self.current.is_sure()
            && off.unsigned_abs() > CORRECTION_MS
            && step.unsigned_abs() > CORRECTION_MS;
        match (woken, moved && dead || otherwise) {
            (true, _) if !counted => Some(Sleep::Uncounted),
            (_, true) => Some(Sleep::Unnoticed),
            _ => None,
        }
    }

    /// After a sleep nothing is sure until the time was heard again.
    pub(super) fn notice_sleep(&mut self, now: Now) {
        let step = self.wall.step(now);
        self.current.wall_ms = Some(wall_offset(now));
        let Some(sleep) = self.slept(now, step) else {
            return;
        };
        if sleep == Sleep::Unnoticed {
            // When it woke nobody knows; input of before may look young.
            self.current.use_floor_ms = now.mono_ms;
        }
        if let Some(lost_ms) = self.current.wake(sleep, &mut self.events) {
            let seconds = as_signed(lost_ms / 1_000);
            self.current
                .note(SignalKind::Unplaced, now.mono_ms, seconds);
        }
        self.sleep.woke_ms = now.mono_ms;
        // The time is asked for at once.
        self.outbox.hurry();
    }
}
