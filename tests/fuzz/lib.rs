//! Whatever comes from outside, thrown at what reads it: no bytes may stop the service or an agent, or be half believed.
//!
//! Run by `cargo test`, each target replays its kept corpus and then tries a bounded number of inputs at random.
//! `deploy/fuzz` runs the same targets for hours under libFuzzer, which learns from what the code reaches. What it
//! finds is kept under `__fuzz__/…/crashes`, which every later run replays first.

#![cfg(test)]

mod county;
mod evidence;
mod journal;
mod report;
mod rubric;
mod seeds;
mod tables;
mod topic;

/// Longest input, in bytes: longer ones are refused by their size before anything else, or say nothing new.
const MAX_INPUT: usize = 16 * 1024;

/// Runs a target over bytes: all of its corpus, then random ones.
macro_rules! target {
    ($(#[$doc:meta])* $name:ident, $iterations:expr, $body:expr) => {
        $(#[$doc])*
        #[test]
        fn $name() {
            bolero::check!()
                .with_max_len(crate::MAX_INPUT)
                .with_iterations($iterations)
                .for_each($body);
        }
    };
}
pub(crate) use target;
