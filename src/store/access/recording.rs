//! Entries that stand or fall with a change: what a store's view ([`Store::recording`](crate::store::Store::recording))
//! puts at the log's end, in the change's own transaction.
//!
//! Not responsible for what an entry says (`access`), nor for the chain (`chain`).

use std::{fmt, sync::Arc};

use super::{Entry, Put, Recorded, Token};
use crate::{
    domain::ids::TerminalId,
    store::{Committed, ContentDigest, Enrolled, EnrolmentCode, Run},
};

/// An entry for a change that is about to be made.
#[derive(Clone)]
pub struct Recording(Arc<dyn Fn(i64) -> Entry + Send + Sync>);

impl Recording {
    /// Records this, whatever the change comes to.
    #[must_use]
    pub fn of(entry: Entry) -> Self {
        Self::numbered(move |_| entry.clone())
    }

    /// Records what needs the number that only the change gives: that of a new code, run or exclusion, a calendar's
    /// version, or how many keys were changed. The change may be tried again, and this asked again then.
    #[must_use]
    pub fn numbered(entry: impl Fn(i64) -> Entry + Send + Sync + 'static) -> Self {
        Self(Arc::new(entry))
    }

    /// The entry for a change that was done and gave this number; 0 where it gives none.
    #[must_use]
    pub fn entry(&self, number: i64) -> Entry {
        (self.0)(number)
    }
}

/// The entries for a change: none where nothing was done.
pub(in crate::store) fn entries(
    recordings: &[Recording],
    outcome: Outcome,
) -> impl Iterator<Item = Entry> {
    let told = recordings.iter().filter(move |_| outcome.done);
    told.map(move |one| one.entry(outcome.number))
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recording")
    }
}

/// What a change came to, as far as its entry can tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Outcome {
    /// Whether it was done at all; what was not is not recorded.
    pub(in crate::store) done: bool,
    /// The number that the store gave or counted; 0 for what has none.
    pub(in crate::store) number: i64,
}

/// A change's result.
pub(in crate::store) trait Outcomes {
    /// What it came to.
    fn outcome(&self) -> Outcome {
        Outcome {
            done: true,
            number: 0,
        }
    }
}

impl Outcomes for () {}
impl Outcomes for Committed {}
impl Outcomes for Enrolled {}
impl Outcomes for Recorded {}
impl<T> Outcomes for Vec<T> {}

impl Outcomes for bool {
    fn outcome(&self) -> Outcome {
        Outcome {
            done: *self,
            number: 0,
        }
    }
}

impl Outcomes for Put {
    fn outcome(&self) -> Outcome {
        (*self == Self::Done).outcome()
    }
}

macro_rules! numbers {
    ($($result:ty: |$this:ident| $number:expr;)+) => {
        $(impl Outcomes for $result {
            fn outcome(&self) -> Outcome {
                let $this = self;
                Outcome { done: true, number: $number }
            }
        })+
    };
}

numbers! {
    i64: |number| *number;
    u32: |count| i64::from(*count);
    u64: |count| i64::try_from(*count).unwrap_or(i64::MAX);
    EnrolmentCode: |code| code.id;
    Token: |token| token.id;
    Run: |run| run.id;
}

/// A rubric, and whether it was new.
impl Outcomes for (ContentDigest, bool) {
    fn outcome(&self) -> Outcome {
        self.1.outcome()
    }
}

/// With the keys of terminals that became known by it.
impl<T: Outcomes> Outcomes for (T, Vec<(TerminalId, i32)>) {
    fn outcome(&self) -> Outcome {
        self.0.outcome()
    }
}
