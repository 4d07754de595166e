//! A person's session on Windows, seen from within: last input, what lies over the whole screen, sound.
//!
//! Not responsible for what the system's questions look like (`win32`).

use std::{convert::Infallible, thread, time::Duration};

use windows::Win32::UI::Shell::{
    QUNS_BUSY, QUNS_NOT_PRESENT, QUNS_PRESENTATION_MODE, QUNS_RUNNING_D3D_FULL_SCREEN,
};

use crate::{
    local::{Signs, lack},
    win32::{self, Sound},
};

/// Quieter is no sound: what is left of a stream that plays silence.
const SILENCE: f32 = 0.000_1;
/// A meter tells a hundredth of a second: speech has gaps, so it is asked some times.
const LISTEN: (usize, Duration) = (10, Duration::from_millis(30));

/// Where the session's own programs find its screen: nothing needs to be said on Windows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place;

/// The session that this process is in. Stays in the thread that opened it.
#[derive(Debug)]
pub struct Desktop {
    input: LastInput,
    sound: Option<Sound>,
}

/// The session has ended: on Windows its helper ends with it, and is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl Desktop {
    /// Finds the session's screen, which is always there.
    ///
    /// # Errors
    /// None.
    #[must_use]
    pub fn open(_: &Place) -> Result<Self, Infallible> {
        Ok(Self {
            input: LastInput::default(),
            sound: Sound::open(),
        })
    }

    /// What there is to see now.
    ///
    /// # Errors
    /// None: see [`Gone`].
    pub fn look(&mut self) -> Result<Signs, Gone> {
        let input = win32::last_input_ticks();
        let screen = win32::notification_state();
        let playing = self.sound.as_ref().and_then(listen);
        let lacking = [
            (input.is_none(), lack::INPUT),
            (screen.is_none(), lack::FULL_SCREEN),
            (playing.is_none(), lack::SOUND),
        ];
        let missing = lacking.into_iter().filter(|(lacks, _)| *lacks);
        Ok(Signs {
            input_ago_ms: input.map(|ticks| self.input.ago(ticks, win32::ticks_ms())),
            presenting: screen.is_some_and(is_presenting),
            playing: playing.unwrap_or(false),
            missing: missing.map(|(_, name)| name.to_owned()).collect(),
            away: screen == Some(QUNS_NOT_PRESENT.0),
        })
    }
}

/// Of the shell's states, those in which somebody shows something. With nobody there, behind a screen saver or a lock,
/// the shell tells that instead of them.
fn is_presenting(state: i32) -> bool {
    [
        QUNS_BUSY,
        QUNS_RUNNING_D3D_FULL_SCREEN,
        QUNS_PRESENTATION_MODE,
    ]
    .iter()
    .any(|one| one.0 == state)
}

/// Whether sound is heard; `None` where it can't be told.
fn listen(sound: &Sound) -> Option<bool> {
    for _ in 0..LISTEN.0 {
        if sound.peak()? > SILENCE {
            return Some(true);
        }
        thread::sleep(LISTEN.1);
    }
    Some(false)
}

/// The latest input, on a clock that does not wrap.
#[derive(Debug, Default)]
struct LastInput {
    /// As the system told it, and when that was on the long clock, ms.
    last: Option<(u32, u64)>,
}

/// The system's word may be a moment ahead of its own clock; more than this is 49 days behind it instead, ms.
const AHEAD_MS: u32 = 60_000;

impl LastInput {
    /// How long ago it was, ms. `ticks` is the lower half of a clock that wraps after 49 days; the system may also tell
    /// an earlier input than before, and the later one was seen.
    fn ago(&mut self, ticks: u32, now_ms: u64) -> u64 {
        let at_ms = match self.last {
            // Told again: the clock may have wrapped since, the input is the same.
            Some((told, at_ms)) if told == ticks => at_ms,
            last => {
                #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
                let ago = (now_ms as u32).wrapping_sub(ticks);
                let ago = if ago > u32::MAX - AHEAD_MS { 0 } else { ago };
                let at_ms = now_ms.saturating_sub(ago.into());
                at_ms.max(last.map_or(0, |(_, before)| before))
            }
        };
        self.last = Some((ticks, at_ms));
        now_ms.saturating_sub(at_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRAP: u64 = 1 << 32;

    #[test]
    fn the_last_input_goes_neither_backwards_nor_round_with_the_clock() {
        let mut input = LastInput::default();
        for (ticks, now_ms, ago) in [
            (90_000, 100_000, 10_000),
            (99_000, 100_000, 1_000),
            // An earlier one than was seen already.
            (50_000, 101_000, 2_000),
            // A moment ahead of its own clock.
            (101_020, 101_010, 0),
            // Nobody for 50 days: the short clock is past it again.
            (101_020, 101_010 + WRAP + 5_000, WRAP + 5_000),
            // Just before it wraps, seen just after.
            (u32::MAX, 2 * WRAP + 999, 1_000),
        ] {
            assert_eq!(input.ago(ticks, now_ms), ago, "{ticks} at {now_ms}");
        }
        assert_eq!(LastInput::default().ago(4_000, 3_000 + WRAP), 0);
        let long = LastInput::default().ago(200_000, 100_000 + WRAP);
        assert_eq!(long, WRAP - 100_000, "seen first after 49 days");
    }

    #[test]
    fn only_what_is_over_the_whole_screen_is_a_presentation() {
        // Nobody there, full screen, full-screen graphics, presentation, usual, quiet, an app's window.
        let states = [1, 2, 3, 4, 5, 6, 7].map(is_presenting);
        assert_eq!(states, [false, true, true, true, false, false, false]);
    }

    #[test]
    fn a_session_is_looked_at_and_says_what_it_lacks() {
        let mut desktop = Desktop::open(&Place).unwrap();
        let signs = desktop.look().unwrap();
        assert_eq!(
            signs.input_ago_ms.is_none(),
            signs.missing.iter().any(|name| name == lack::INPUT)
        );
        // Wherever this runs, there is a session with input.
        let ago = signs.input_ago_ms.unwrap();
        assert!(ago <= win32::ticks_ms(), "{ago} ms ago");
    }
}
