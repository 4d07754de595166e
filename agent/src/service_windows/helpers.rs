//! Which session of people has its helper, and when one is started: at the service's start, at a logon, at an unlock,
//! and where the service's own was killed. Nobody else starts any.
//!
//! Not responsible for what a helper does (`helper`): one that finds another in its session ends at once.

use std::{collections::BTreeMap, io, sync::mpsc, time::Duration};

use tracing::{debug, warn};

use super::process::{self, Process};

/// Between two looks at the helpers.
const LOOK: Duration = Duration::from_mins(1);
/// So many looks, and all sessions are tried: a helper of the service before this one may have ended meanwhile.
const ALL: u32 = 10;

/// What the service says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// A session began or woke: look at all of them.
    Look,
}

/// The helpers that this service started, by session.
#[derive(Debug, Default)]
pub struct Helpers {
    started: BTreeMap<u32, Process>,
}

impl Helpers {
    /// Until the service is gone.
    pub fn run(&mut self, words: &mpsc::Receiver<Word>) {
        self.look(true);
        let mut looks = 0_u32;
        loop {
            match words.recv_timeout(LOOK) {
                Ok(Word::Look) => self.look(true),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    looks = looks.wrapping_add(1);
                    self.look(looks.is_multiple_of(ALL));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Starts what is missing. A helper that ended by itself found another in its session, or had nothing to see: it is
    /// tried again only where the session changed, or all are.
    fn look(&mut self, changed: bool) {
        let sessions = process::sessions();
        self.started.retain(|session, _| sessions.contains(session));
        for session in sessions {
            let start = match self.started.get(&session).map(Process::ended) {
                Some(None) => false,
                Some(Some(0)) => changed,
                None | Some(Some(_)) => true,
            };
            if start {
                self.start(session);
            }
        }
    }

    fn start(&mut self, session: u32) {
        match process::start(session) {
            Ok(helper) => {
                debug!(session, "a session has its helper");
                self.started.insert(session, helper);
            }
            // Nobody is logged on there yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => warn!(%error, session, "no helper could be started in a session"),
        }
    }
}
