//! What the bureau should see beside minutes: noted once, dated like sessions, said until acknowledged.
//!
//! Facts without judgement. Not responsible for noticing them (`Core`, the driver).

use classpulse_proto::v1::{self, SignalKind};

use super::{session::unix, state::StoredSignal};

/// Most signals of one kind that wait: a machine that stumbles all day says so, and does not fill its journal.
pub(super) const MOST_OF_A_KIND: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) kind: SignalKind,
    pub(super) number: u32,
    /// Ms since boot.
    pub(super) at_ms: u64,
    pub(super) seconds: i64,
    /// Unix seconds, where it was settled before a sleep.
    pub(super) placed: Option<i64>,
}

impl Noted {
    pub(super) fn said(&self, offset_ms: i64) -> v1::Signal {
        v1::Signal {
            kind: self.kind.into(),
            number: self.number,
            at: self.placed.unwrap_or_else(|| unix(self.at_ms, offset_ms)),
            seconds: self.seconds,
        }
    }

    pub(super) fn stored(&self) -> StoredSignal {
        StoredSignal {
            kind: self.kind.into(),
            number: self.number,
            at_ms: self.at_ms,
            seconds: self.seconds,
            placed: self.placed,
        }
    }

    /// `None` for a kind of a later program.
    pub(super) fn from_stored(stored: &StoredSignal) -> Option<Self> {
        Some(Self {
            kind: SignalKind::try_from(stored.kind).ok()?,
            number: stored.number,
            at_ms: stored.at_ms,
            seconds: stored.seconds,
            placed: stored.placed,
        })
    }
}
