//! Signs of use on a machine. Each source stands alone; one that is missing is said so, never guessed.
//!
//! Not responsible for what counts as use (`core`).

use crate::core::Observation;

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(windows)]
pub mod windows;

/// This machine: `SOURCES`, `boot_id`, `os_name` and `open`, the same on every system.
#[cfg(target_os = "linux")]
pub use linux as machine;
/// A person's session on this system, seen from within.
#[cfg(target_os = "linux")]
pub use linux::desktop;
/// This machine: `SOURCES`, `boot_id`, `os_name` and `open`, the same on every system.
#[cfg(windows)]
pub use windows as machine;
/// A person's session on this system, seen from within.
#[cfg(windows)]
pub use windows::desktop;

/// Senses one machine.
pub trait Sense: Send {
    /// What there is to see now. `mono_ms` and `wall_ms` tell the moment, so that sources may translate theirs.
    fn observe(&mut self, mono_ms: u64, wall_ms: i64) -> Observation;

    /// Sources that were asked for and are not on this machine.
    fn missing(&self) -> Vec<String>;

    /// For how long somebody has been at the machine whose session nobody looks at, s; 0 where there is no such thing. It
    /// may have been used, and nobody would know.
    fn unseen_seconds(&self) -> u64 {
        0
    }

    /// What each source saw at the last look, for those who ask why a minute counts. None where there are no sources.
    fn sights(&self) -> Vec<Sight> {
        Vec::new()
    }
}

/// What one source saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// The source's name in the configuration.
    pub source: &'static str,
    /// What it saw; `None` where it is not on this machine, or does not answer.
    pub seen: Option<Observation>,
    /// How many stand behind it (devices, helpers), where that can be counted.
    pub count: Option<usize>,
}

impl Sight {
    /// In words, such as "last input 12 s ago, presenting (1)".
    #[must_use]
    pub fn words(&self, mono_ms: u64) -> String {
        let Some(seen) = self.seen else {
            return "missing".to_owned();
        };
        let input = seen
            .last_input_mono_ms
            .map(|at| format!("last input {} s ago", mono_ms.saturating_sub(at) / 1_000));
        let playing = seen.playing.then(|| "playing".to_owned());
        let presenting = seen.presenting.then(|| "presenting".to_owned());
        let words: Vec<String> = [input, playing, presenting].into_iter().flatten().collect();
        let mut words = words.join(", ");
        if words.is_empty() {
            "nothing".clone_into(&mut words);
        }
        if let Some(count) = self.count {
            words = format!("{words} ({count})");
        }
        words
    }
}

/// What two sources together saw.
fn both(one: Observation, other: Observation) -> Observation {
    Observation {
        last_input_mono_ms: one.last_input_mono_ms.max(other.last_input_mono_ms),
        playing: one.playing || other.playing,
        presenting: one.presenting || other.presenting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sight_says_what_it_saw() {
        let seen = Observation {
            last_input_mono_ms: Some(88_000),
            playing: false,
            presenting: true,
        };
        let mut sight = Sight {
            source: "session",
            seen: Some(both(seen, Observation::default())),
            count: Some(1),
        };
        assert_eq!(sight.words(100_000), "last input 12 s ago, presenting (1)");
        sight.seen = Some(Observation::default());
        sight.count = None;
        assert_eq!(sight.words(100_000), "nothing");
        sight.seen = None;
        assert_eq!(sight.words(100_000), "missing");
    }
}
