//! How much of one terminal may be in ingest at once, so that none takes the room of others.
//!
//! The broker takes one publish of a connection at a time; this bounds a terminal over all its connections, among them
//! those that it has given up. Not responsible for what happens to a report that gets no turn.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Reports of one terminal that may be in ingest at once.
pub(super) const PER_TERMINAL: u8 = 4;

/// Who has how many reports in ingest.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<String, u8>>>);

/// One report's turn, until dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    terminal: String,
}

impl Turns {
    /// Every change is one step, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn for a terminal's report; `None` while too many of its reports are in ingest.
    pub(super) fn take(&self, terminal: &str) -> Option<Turn> {
        let mut taken = self.lock();
        match taken.get_mut(terminal) {
            Some(count) if *count >= PER_TERMINAL => return None,
            Some(count) => *count += 1,
            None => {
                taken.insert(terminal.to_owned(), 1);
            }
        }
        drop(taken);
        Some(Turn {
            turns: self.clone(),
            terminal: terminal.to_owned(),
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.turns.lock();
        if let Some(count) = taken.get_mut(&self.terminal) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.terminal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_has_its_turns_and_no_more_and_gives_them_back() {
        let turns = Turns::default();
        let mut held: Vec<_> = (0..PER_TERMINAL)
            .map(|_| turns.take("a").unwrap())
            .collect();
        assert!(turns.take("a").is_none());
        assert!(turns.take("b").is_some(), "another's are its own");
        held.pop();
        held.push(turns.take("a").unwrap());
        drop(held);
        assert!(turns.lock().is_empty(), "nothing is kept of who is done");
    }
}
