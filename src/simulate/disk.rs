//! A journal's files on a virtual disk: the same steps as the agent's file journal, and what a power cut leaves of them.
//!
//! States are encoded when a machine boots, with the journal's real encoding and checksum. Not responsible for when
//! they are written (`terminal`).

use classpulse_agent::{
    core::JournalState,
    journal::{decode, encode},
};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// One file.
#[derive(Debug, Clone)]
enum File {
    /// As it was written.
    Whole(JournalState),
    /// What a power cut left.
    Torn(Vec<u8>),
}

/// The journal and the generation before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    journal: Option<File>,
    bak: Option<File>,
}

/// What a power cut in the middle of a write leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tear {
    /// The new file was not finished: the journal is the old one.
    BeforeRename,
    /// The renamed file's bytes did not reach the disk; the generation before it stands beside it.
    WithBak,
    /// The same, and the generation before it is gone as well: the journal is destroyed.
    WithoutBak,
}

impl Disk {
    pub(super) fn save(&mut self, state: JournalState) {
        // Without a journal to follow it, the last good generation stays.
        if let Some(old) = self.journal.take() {
            self.bak = Some(old);
        }
        self.journal = Some(File::Whole(state));
    }

    /// A write that the power cut interrupts.
    pub(super) fn tear(&mut self, state: &JournalState, tear: Tear, random: &mut ChaCha8Rng) {
        if tear == Tear::BeforeRename {
            if random.random() {
                self.bak.clone_from(&self.journal);
            }
            return;
        }
        let mut bytes = encode(state);
        let whole = bytes.len();
        let kept = random.random_range(0..whole);
        bytes.truncate(kept);
        if random.random() {
            // The file has its length, and something else in its last blocks.
            bytes.resize_with(whole, || random.random());
        }
        self.bak = match (tear, self.journal.take()) {
            (Tear::WithoutBak, _) => None,
            (_, Some(old)) => Some(old),
            (_, None) => self.bak.take(),
        };
        self.journal = Some(File::Torn(bytes));
    }

    /// What an agent finds at its start; bad files are put aside. With `gullible`, a bad file is an empty journal.
    pub(super) fn load(&mut self, gullible: bool) -> Option<JournalState> {
        match read(self.journal.as_ref()) {
            Some(Err(())) if gullible => return Some(JournalState::default()),
            Some(Err(())) => self.journal = None,
            Some(Ok(state)) => return Some(state),
            None => {}
        }
        match read(self.bak.as_ref()) {
            Some(Err(())) => {
                self.bak = None;
                None
            }
            Some(Ok(state)) => Some(state),
            None => None,
        }
    }

    /// What stands on it, touching nothing.
    pub(super) fn look(&self) -> Option<JournalState> {
        let journal = read(self.journal.as_ref()).and_then(Result::ok);
        journal.or_else(|| read(self.bak.as_ref()).and_then(Result::ok))
    }
}

/// Through the real encoding and back. `Err` is a file that is no journal.
fn read(file: Option<&File>) -> Option<Result<JournalState, ()>> {
    match file? {
        File::Whole(state) => Some(decode(&encode(state)).map_err(drop)),
        File::Torn(bytes) => Some(decode(bytes).map_err(drop)),
    }
}
