//! The whole system in virtual time: real agent core, real ingest core, a store, seeded faults, and a truth to compare with.
//!
//! One thread, one event queue, no real clock: the same seed plays the same world to the last byte (`Outcome::digest`).
//! Not responsible for sockets, tasks and files: those have tests of their own.
//!
//! # Layout
//! [`world`] the queue and the events; `terminal` a machine and on it the agent's driver; `plan` what people do with it;
//! `disk` the journal's files; [`case`] conditions that hold throughout; `network` messages and what befalls them; `service` the aggregator; [`memory`] a store;
//! `truth` what really happened; `verdict` the comparison; [`report`] the figures.
//!
//! # What is proved
//! In the end every minute of truth (what a machine's true intervals paint by the domain's rule) must stand in the
//! store, in quarantine with a reason, or in a living journal; and the store may hold no other minute. Allowed are only:
//! - **tail**: the last 15 s before a power cut or a suspend, so that a boundary minute may differ. A suspend's 15 s
//!   may be placed right before the waking instead of right before the sleep. Where no agent runs, its last look counts.
//! - **gone with the disk**: what a restored or destroyed journal held unacknowledged, read from its bytes at that
//!   moment, minus what the journal in its place holds too.
//! - **misdated**: boots that heard no time and whose clock was wrong, and yet borne out from both sides (`core::dating`).
//!   They must be dated by exactly that clock, and that can be off by an hour at most: a clock that was an hour off for
//!   one boot. A dead clock's minutes, or what follows a sleep that the clock did not count, are never in the store on a
//!   wrong place, but for two cases that no agent can tell: a clock that stood still since a boot of which the journal
//!   knows nothing (it is gone with the disk, or no agent ran), and one that was set right after a sleep that nobody told
//!   of, before the first look and before anybody had vouched for the time. What came before that sleep is then moved by
//!   its length, and so is an input before it that no look saw until after it. An operating system that vouches for a
//!   wrong clock is not played.
//! - a clock that was set over a sleep while nobody had said the time: what came before is where the clock before said, what
//!   comes after where the new one says, and neither is in the store.
//! - boots whose wrong clock was corrected by the service's answer: up to [`truth::SERVICE_DATING`] seconds of shift.
//!
//! A minute that was used is one that a look could see: of two inputs between two looks only the later is known.

pub mod case;
mod disk;
pub mod memory;
mod network;
mod plan;
pub mod report;
mod service;
mod terminal;
pub mod truth;
mod verdict;
pub mod world;

use crate::store::StoreError;

pub use case::Case;
pub use memory::{Keeper, MemoryStore};
pub use report::{Difference, Faults, Figures, Outcome};

/// What to play.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Virtual days, 1 to 60.
    pub days: u16,
    /// Terminals, 1 to 1,000.
    pub terminals: u16,
    /// A fault of the product to build in, so that the checker is checked.
    pub sabotage: Option<Sabotage>,
    /// What holds for every machine and boot; `None` where all is drawn.
    pub case: Option<Case>,
}

/// A deliberate fault of the product. The checker must find each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sabotage {
    /// The store keeps the last writer's minutes instead of the union.
    LastWriterWins,
    /// Reports are acknowledged before their commit, and not kept when that fails.
    AckBeforeCommit,
    /// The journal is never written.
    JournalNotWritten,
    /// A torn journal is taken for an empty one instead of falling back to the last good one.
    TornAccepted,
    /// The agent says after a report that it was acknowledged, before anything came back.
    ForgetEarly,
    /// Minutes are added that nobody used.
    Invented,
}

/// Plays one seed against a store and compares.
///
/// # Errors
/// The store's own, which the simulated refusals are not.
pub fn run(seed: u64, options: &Options, store: &mut dyn Keeper) -> Result<Outcome, StoreError> {
    let mut world = world::World::new(seed, options, store)?;
    world.play()?;
    world.judge()
}
