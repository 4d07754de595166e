//! The helper in a person's session: looks at it every few seconds and tells the agent, for as long as it lasts.
//!
//! Small on purpose: one thread, no configuration, nothing kept. Not responsible for how a session is looked at
//! (`sense`) or for what counts as use (`core`, in the agent).

use std::{io, path::Path, thread, time::Duration};

use crate::{
    local::{Signs, carrier, wire},
    sense::desktop::{Desktop, Gone},
};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// Between two tries to reach the agent, which may not run yet or may be being replaced.
const AGAIN: (Duration, Duration) = (LOOK, Duration::from_mins(1));

/// Looks and tells until the session is gone.
pub fn run(mut desktop: Desktop, agent: &Path) {
    let mut pause = AGAIN.0;
    loop {
        // Looked at first: a session that is gone has nothing to say, and the helper ends with it.
        let first = match desktop.look() {
            Ok(signs) => signs,
            Err(Gone) => return,
        };
        let ended = match carrier::connect(agent) {
            Ok(mut stream) => {
                pause = AGAIN.0;
                tell(&mut desktop, &mut stream, first)
            }
            Err(_) => Ended::Agent,
        };
        if let Ended::Session = ended {
            return;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(AGAIN.1);
    }
}

/// Which end went away.
enum Ended {
    Session,
    Agent,
}

fn tell(desktop: &mut Desktop, agent: &mut impl io::Write, first: Signs) -> Ended {
    let mut signs = first;
    loop {
        if wire::tell(agent, &signs.into()).is_err() {
            return Ended::Agent;
        }
        thread::sleep(LOOK);
        signs = match desktop.look() {
            Ok(signs) => signs,
            Err(Gone) => return Ended::Session,
        };
    }
}
