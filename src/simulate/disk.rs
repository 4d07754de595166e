//! A journal's files on a virtual disk: the same steps as the agent's file journal, and what a power cut leaves of them.
//!
//! States are encoded when a machine boots, with the journal's real encoding and checksum. Not responsible for when
//! they are written (`terminal`).

use classpulse_agent::{
    core::JournalState,
    journal::{decode, encode, join, mark, split},
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

/// A part of the journal, and the generation before it.
#[derive(Debug, Clone, Default)]
struct Part {
    file: Option<File>,
    bak: Option<File>,
}

/// The journal's parts: boots that are over, and the one that goes on.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    older: Part,
    current: Part,
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
    pub(super) fn save(&mut self, state: &JournalState) {
        let (older, current) = split(state);
        if self.changes(&older) {
            self.older.save(older);
        }
        self.current.save(current);
    }

    /// Whether the older part is written with this.
    fn changes(&self, older: &JournalState) -> bool {
        let held = read(self.older.file.as_ref());
        match held {
            Some(Ok(held)) => mark(&held) != mark(older),
            Some(Err(())) => true,
            None => mark(older) != mark(&JournalState::default()),
        }
    }

    /// A write that the power cut interrupts, in the one part or in the other.
    pub(super) fn tear(&mut self, state: &JournalState, tear: Tear, random: &mut ChaCha8Rng) {
        let (older, current) = split(state);
        if self.changes(&older) {
            if random.random() {
                return self.older.tear(&older, tear, random);
            }
            self.older.save(older);
        }
        self.current.tear(&current, tear, random);
    }

    /// What an agent finds at its start; bad files are put aside. With `gullible`, a bad file is an empty journal.
    pub(super) fn load(&mut self, gullible: bool) -> Option<JournalState> {
        both(self.older.load(gullible), self.current.load(gullible))
    }

    /// What stands on it, touching nothing.
    pub(super) fn look(&self) -> Option<JournalState> {
        both(self.older.look(), self.current.look())
    }
}

fn both(older: Option<JournalState>, current: Option<JournalState>) -> Option<JournalState> {
    match (older, current) {
        (None, one) | (one, None) => one,
        (Some(older), Some(current)) => Some(join(older, current)),
    }
}

impl Part {
    fn save(&mut self, state: JournalState) {
        // Without a journal to follow it, the last good generation stays.
        if let Some(old) = self.file.take() {
            self.bak = Some(old);
        }
        self.file = Some(File::Whole(state));
    }

    fn tear(&mut self, state: &JournalState, tear: Tear, random: &mut ChaCha8Rng) {
        if tear == Tear::BeforeRename {
            if random.random() {
                self.bak.clone_from(&self.file);
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
        self.bak = match (tear, self.file.take()) {
            (Tear::WithoutBak, _) => None,
            (_, Some(old)) => Some(old),
            (_, None) => self.bak.take(),
        };
        self.file = Some(File::Torn(bytes));
    }

    fn load(&mut self, gullible: bool) -> Option<JournalState> {
        match read(self.file.as_ref()) {
            Some(Err(())) if gullible => return Some(JournalState::default()),
            Some(Err(())) => self.file = None,
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

    fn look(&self) -> Option<JournalState> {
        let file = read(self.file.as_ref()).and_then(Result::ok);
        file.or_else(|| read(self.bak.as_ref()).and_then(Result::ok))
    }
}

/// Through the real encoding and back. `Err` is a file that is no journal.
fn read(file: Option<&File>) -> Option<Result<JournalState, ()>> {
    match file? {
        File::Whole(state) => Some(decode(&encode(state)).map_err(drop)),
        File::Torn(bytes) => Some(decode(bytes).map_err(drop)),
    }
}
