//! What helpers in people's sessions tell the agent on the same machine, and the latest of it.
//!
//! A service may see neither the desktop nor its input, so a small helper in each session looks and tells. What it says
//! is bounded in what it can do: it can say "used now", as a hand on the mouse can, and nothing else.
//! Not responsible for looking at a session (`sense`).
//!
//! # Layout
//! - [`wire`]: the messages and how they are framed. [`mod@serve`]: the agent's side of a connection.
//! - `unix`: the carrier on Linux, a socket. `windows`: on Windows, a named pipe.

pub mod serve;
#[cfg(unix)]
pub mod unix;
#[cfg(windows)]
pub mod windows;
pub mod wire;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::warn;

use crate::core::Observation;

pub use serve::{Accept, Hub, StatusBoard, serve};
/// This system's carrier: `DEFAULT`, `listen`, `connect` and `ask_status`, the same on every system.
#[cfg(unix)]
pub use unix as carrier;
/// This system's carrier: `DEFAULT`, `listen`, `connect` and `ask_status`, the same on every system.
#[cfg(windows)]
pub use windows as carrier;

/// A word older than this says nothing of now, ms.
const FRESH_MS: u64 = 30_000;
/// Most sessions at once; what more of them say is not listened to.
pub const MOST_SESSIONS: usize = 64;

/// What a session may lack, as its helper names it; other names are not passed on.
pub mod lack {
    /// The session does not say when its last input was.
    pub const INPUT: &str = "session-input";
    /// The session does not say what lies over the whole screen.
    pub const FULL_SCREEN: &str = "session-full-screen";
    /// The session does not say whether sound is played.
    pub const SOUND: &str = "session-sound";
    /// All of them.
    pub const ALL: [&str; 3] = [INPUT, FULL_SCREEN, SOUND];
}

/// What a helper sees in its session.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Signs {
    /// How long ago the last input in the session was, ms; absent where the session does not tell.
    #[prost(uint64, optional, tag = "1")]
    pub input_ago_ms: Option<u64>,
    /// A presentation or a programme over the whole screen.
    #[prost(bool, tag = "2")]
    pub presenting: bool,
    /// Sound is being played.
    #[prost(bool, tag = "3")]
    pub playing: bool,
    /// Sources that this session does not have, by the names in [`lack`].
    #[prost(string, repeated, tag = "4")]
    pub missing: Vec<String>,
    /// Nobody can see the screen: the session is locked, or a screen saver lies over it.
    #[prost(bool, tag = "5")]
    pub away: bool,
}

/// Whose word on people's sessions is heard, and what was heard. Cheap to clone; clones share.
#[derive(Debug, Clone, Default)]
pub struct Hearing {
    /// What was heard.
    pub feed: Feed,
    /// Whose word is.
    pub speakers: Speakers,
}

/// Whose word on people's sessions is heard.
#[derive(Debug, Clone, Default)]
pub enum Speakers {
    /// Whoever comes to where the agent listens.
    #[default]
    Anybody,
    /// The helpers that the service started, at a place of their own.
    #[cfg(windows)]
    Started(windows::Helpers),
}

/// The latest word of every session's helper. Cheap to clone; clones share.
#[derive(Debug, Clone, Default)]
pub struct Feed {
    words: Arc<Mutex<BTreeMap<u64, Word>>>,
    /// What sessions lack and was said in the log.
    told: Arc<Mutex<Vec<&'static str>>>,
    /// For how long somebody's session has had no helper that speaks, s; 0 where every one has.
    unseen: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Word {
    /// Of which user or session, as the system vouches for it.
    who: u64,
    at_ms: u64,
    signs: Signs,
}

impl Feed {
    /// Takes the word of a helper's connection at a moment, ms since boot; `who` is its user or session. False where
    /// too many speak.
    pub fn hear(&self, connection: u64, who: u64, at_ms: u64, signs: Signs) -> bool {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.len() >= MOST_SESSIONS && !words.contains_key(&connection) {
            return false;
        }
        words.insert(connection, Word { who, at_ms, signs });
        true
    }

    /// Whether a helper of this user or session speaks now.
    #[must_use]
    pub fn speaks(&self, who: u64, mono_ms: u64) -> bool {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |word: &Word| mono_ms.saturating_sub(word.at_ms) <= FRESH_MS;
        words.values().any(|word| word.who == who && fresh(word))
    }

    /// Says for how long somebody's session has had no helper that speaks, s; 0 where every one has.
    pub fn set_unseen(&self, seconds: u64) {
        self.unseen.store(seconds, Ordering::Relaxed);
    }

    /// For how long somebody's session has had no helper that speaks, s; 0 where every one has, or nobody looks.
    #[must_use]
    pub fn unseen_seconds(&self) -> u64 {
        self.unseen.load(Ordering::Relaxed)
    }

    /// A helper is gone, and its session with it.
    pub fn forget(&self, connection: u64) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.remove(&connection);
    }

    /// What all sessions together show now.
    #[must_use]
    pub fn seen(&self, mono_ms: u64) -> Observation {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = words
            .values()
            .filter(|word| mono_ms.saturating_sub(word.at_ms) <= FRESH_MS);
        fresh.fold(Observation::default(), |seen, word| Observation {
            // Input from before the boot is none: a session's own idle time can't be longer than its machine's.
            last_input_mono_ms: seen.last_input_mono_ms.max(
                word.signs
                    .input_ago_ms
                    .and_then(|ago| word.at_ms.checked_sub(ago)),
            ),
            playing: seen.playing || word.signs.playing,
            presenting: seen.presenting || word.signs.presenting,
        })
    }

    /// How many helpers speak now.
    #[must_use]
    pub fn speakers(&self, mono_ms: u64) -> usize {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |word: &&Word| mono_ms.saturating_sub(word.at_ms) <= FRESH_MS;
        words.values().filter(fresh).count()
    }

    /// Whether all sessions that speak now say that nobody can see their screen; false where none speaks.
    #[must_use]
    pub fn all_away(&self, mono_ms: u64) -> bool {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = words
            .values()
            .filter(|word| mono_ms.saturating_sub(word.at_ms) <= FRESH_MS)
            .peekable();
        fresh.peek().is_some() && fresh.all(|word| word.signs.away)
    }

    /// What the sessions that speak now do not have, each named once.
    #[must_use]
    pub fn missing(&self, mono_ms: u64) -> Vec<&'static str> {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = words
            .values()
            .filter(|word| mono_ms.saturating_sub(word.at_ms) <= FRESH_MS);
        let missing: Vec<&String> = fresh.flat_map(|word| &word.signs.missing).collect();
        let lacks = |name: &&'static str| missing.iter().any(|one| one == name);
        lack::ALL.into_iter().filter(lacks).collect()
    }

    /// Says in the log what sessions do not have, each once.
    pub fn tell_missing(&self, mono_ms: u64) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for source in self.missing(mono_ms) {
            if !told.contains(&source) {
                warn!(source, "a session does not have this source");
                told.push(source);
            }
        }
    }

    /// What was said to be missing so far.
    #[cfg(all(test, windows))]
    pub(crate) fn told(&self) -> Vec<&'static str> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(ago: u64) -> Signs {
        Signs {
            input_ago_ms: Some(ago),
            ..Signs::default()
        }
    }

    #[test]
    fn the_latest_input_of_any_session_counts_while_its_helper_speaks() {
        let feed = Feed::default();
        assert_eq!(feed.seen(50_000), Observation::default());
        assert!(feed.hear(1, 1_000, 50_000, input(20_000)));
        assert!(feed.hear(
            2,
            1_001,
            51_000,
            Signs {
                playing: true,
                ..input(40_000)
            }
        ));
        let seen = feed.seen(52_000);
        assert_eq!(
            (seen.last_input_mono_ms, seen.playing),
            (Some(30_000), true)
        );
        assert!(feed.speaks(1_001, 52_000) && !feed.speaks(2, 52_000));
        feed.forget(2);
        assert!(!feed.speaks(1_001, 52_000) && feed.speaks(1_000, 52_000));
        assert!(!feed.seen(52_000).playing);
        // A helper that hangs says nothing of now.
        assert_eq!(feed.seen(80_001), Observation::default());
        assert!(!feed.speaks(1_000, 80_001));
        // Input from before the boot.
        assert!(feed.hear(1, 1_000, 90_000, input(90_001)));
        assert_eq!(feed.seen(90_000).last_input_mono_ms, None);
    }

    #[test]
    fn too_many_sessions_are_not_listened_to() {
        let feed = Feed::default();
        for connection in 0..MOST_SESSIONS as u64 {
            assert!(feed.hear(connection, 7, 1, input(0)));
        }
        assert_eq!(feed.speakers(1), MOST_SESSIONS);
        assert!(!feed.hear(u64::MAX, 7, 1, input(0)));
        assert!(
            feed.hear(0, 7, 2, input(0)),
            "one that speaks already may go on"
        );
    }

    #[test]
    fn what_sessions_lack_is_named_once() {
        let feed = Feed::default();
        for connection in 0..2 {
            let signs = Signs {
                missing: vec![lack::INPUT.to_owned(), "anything\n".to_owned()],
                ..Signs::default()
            };
            feed.hear(connection, 7, 1_000, signs);
        }
        assert_eq!(feed.missing(1_000), [lack::INPUT]);
        assert!(feed.missing(40_000).is_empty());
    }
}
