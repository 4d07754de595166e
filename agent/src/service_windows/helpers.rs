//! Which session of people has its helper, and when one is started: at the service's start, at a logon, at an unlock,
//! and where the service's own was killed or hangs. Nobody else starts any that is heard.
//!
//! Not responsible for what a helper does (`helper`) or for whose word is taken (`local`).

use std::{collections::BTreeMap, io, sync::mpsc, time::Duration};

use tracing::{debug, info, warn};

use super::{process, stale};
use crate::local::{Feed, windows::Helpers};

/// Between two looks at the helpers.
const LOOK: Duration = Duration::from_mins(1);
/// A helper speaks every few seconds. One that runs and is not heard at so many looks in a row hangs, or somebody holds
/// it: another is started in its place.
const HANGS: u32 = 2;
/// A session whose helper is not heard at so many looks in a row is not seen, and that is said.
const UNSEEN: u32 = 5;

/// What the service says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// A session began or woke: look at all of them.
    Look,
}

/// Sees to it that each session is seen.
#[derive(Debug)]
pub struct Keeper {
    helpers: Helpers,
    feed: Feed,
    /// Tells ms since boot, as whoever hears the helpers does.
    now_ms: fn() -> u64,
    seats: BTreeMap<u32, Seat>,
    /// It was said that a session is not seen.
    told: bool,
}

/// What is known of a session's helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Seat {
    /// At how many looks in a row, a minute apart, it was not heard.
    silent: u32,
}

/// What is to be done in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Nothing,
    Start,
    /// The one that runs is of no use.
    Replace,
}

impl Seat {
    /// One look; `minute` where it comes a minute after the one before.
    fn look(&mut self, speaks: bool, runs: bool, minute: bool) -> Step {
        if speaks {
            self.silent = 0;
        } else if minute {
            self.silent = self.silent.saturating_add(1);
        }
        let hangs = minute && self.silent > 0 && self.silent.is_multiple_of(HANGS);
        if !runs {
            Step::Start
        } else if hangs {
            Step::Replace
        } else {
            Step::Nothing
        }
    }

    /// For how long it has been silent, s; 0 where that may pass.
    fn unseen_seconds(self) -> u64 {
        if self.silent < UNSEEN {
            return 0;
        }
        u64::from(self.silent).saturating_mul(LOOK.as_secs())
    }
}

impl Keeper {
    /// Of these helpers, whose words are in this feed.
    #[must_use]
    pub fn new(helpers: Helpers, feed: Feed, now_ms: fn() -> u64) -> Self {
        Self {
            helpers,
            feed,
            now_ms,
            seats: BTreeMap::new(),
            told: false,
        }
    }

    /// Until the service is gone.
    pub fn run(&mut self, words: &mpsc::Receiver<Word>) {
        stale::end_left_behind();
        self.look(false);
        loop {
            match words.recv_timeout(LOOK) {
                Ok(Word::Look) => self.look(false),
                Err(mpsc::RecvTimeoutError::Timeout) => self.look(true),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&mut self, minute: bool) {
        let sessions = process::sessions();
        self.seats.retain(|session, _| sessions.contains(session));
        self.helpers.keep_those_of(&sessions);
        let now_ms = (self.now_ms)();
        for session in sessions {
            let speaks = self.feed.speaks(session.into(), now_ms);
            let runs = self.helpers.run_in(session);
            let seat = self.seats.entry(session).or_default();
            match seat.look(speaks, runs, minute) {
                Step::Nothing => {}
                Step::Start => self.start(session),
                Step::Replace => {
                    warn!(session, "a helper runs and is not heard; it is replaced");
                    if let Err(error) = self.helpers.end(session) {
                        warn!(%error, session, "it can't be ended");
                    }
                    self.start(session);
                }
            }
        }
        self.tell_unseen();
    }

    fn start(&mut self, session: u32) {
        match process::start(session, self.helpers.place()) {
            Ok(helper) => {
                debug!(session, "a session has its helper");
                self.helpers.take(session, helper);
                stale::note(&self.helpers.marks());
            }
            // Nobody is logged on there yet: there is nothing to see.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.seats.remove(&session);
            }
            Err(error) => warn!(%error, session, "no helper could be started in a session"),
        }
    }

    fn tell_unseen(&mut self) {
        let longest = self.seats.values().map(|seat| seat.unseen_seconds()).max();
        let seconds = longest.unwrap_or(0);
        self.feed.set_unseen(seconds);
        match (seconds, self.told) {
            (0, true) => info!("every session is seen again"),
            (1.., false) => warn!(
                seconds,
                "somebody's session is not seen: its helper is not heard"
            ),
            _ => {}
        }
        self.told = seconds > 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_that_ended_is_started_at_once_and_one_that_hangs_is_replaced() {
        let mut seat = Seat::default();
        assert_eq!(seat.look(false, false, false), Step::Start);
        // Started, and looked at again before it could speak.
        assert_eq!(seat.look(false, true, false), Step::Nothing);
        assert_eq!(seat.look(true, true, true), Step::Nothing);
        // After a sleep its last word is old.
        assert_eq!(seat.look(false, true, true), Step::Nothing);
        assert_eq!(seat.look(true, true, true), Step::Nothing);
        // It hangs.
        assert_eq!(seat.look(false, true, true), Step::Nothing);
        assert_eq!(seat.look(false, true, true), Step::Replace);
        assert_eq!(seat.look(false, true, false), Step::Nothing, "just started");
        assert_eq!(seat.unseen_seconds(), 0);
        // And so does the next; somebody kills the one after it, again and again.
        assert_eq!(seat.look(false, true, true), Step::Nothing);
        assert_eq!(seat.look(false, true, true), Step::Replace);
        assert_eq!(seat.unseen_seconds(), 0);
        assert_eq!(seat.look(false, false, true), Step::Start);
        assert_eq!(seat.unseen_seconds(), 300);
        assert_eq!(seat.look(false, false, true), Step::Start);
        assert_eq!(seat.unseen_seconds(), 360);
        assert_eq!(seat.look(true, true, true), Step::Nothing);
        assert_eq!(seat, Seat::default());
    }

    #[test]
    fn a_session_that_is_not_seen_is_told_until_it_is_seen_again() {
        let feed = Feed::default();
        let mut keeper = Keeper::new(Helpers::new(), feed.clone(), || 0);
        keeper.seats.insert(1, Seat { silent: UNSEEN - 1 });
        keeper.seats.insert(2, Seat::default());
        keeper.tell_unseen();
        assert_eq!((feed.unseen_seconds(), keeper.told), (0, false));
        keeper.seats.insert(2, Seat { silent: UNSEEN });
        keeper.tell_unseen();
        assert_eq!((feed.unseen_seconds(), keeper.told), (300, true));
        keeper.seats.remove(&2);
        keeper.tell_unseen();
        assert_eq!((feed.unseen_seconds(), keeper.told), (0, false));
    }
}
