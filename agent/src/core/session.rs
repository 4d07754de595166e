//! One session: an interval in a boot's own time, and the moment in civil time at which it was placed for good.
//!
//! Not responsible for when it grows or ends (`boot`).

use classpulse_proto::v1;

use super::{as_signed, dated::Dated, state::StoredSession};

/// A session is cut after so long: the service refuses sessions of more than a day.
pub(super) const CUT_MS: u64 = 12 * 3_600 * 1_000;

/// What a session stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The machine was on.
    Powered,
    /// Somebody used it.
    Used,
}

impl From<Kind> for v1::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Powered => Self::Powered,
            Kind::Used => Self::Used,
        }
    }
}

/// A session as a log line shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What it stands for.
    pub kind: Kind,
    /// Number within boot and kind.
    pub number: u32,
    /// Unix seconds, by the best knowledge of time.
    pub start: i64,
    /// Unix seconds.
    pub end: i64,
    /// Whether it may still grow.
    pub open: bool,
}

/// What a report said of a session: its name and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carried {
    kind: Kind,
    number: u32,
    end_ms: u64,
    open: bool,
}

impl Carried {
    /// Whether this is the session's final form.
    pub(super) fn is_end_of(&self, session: &Session) -> bool {
        (self.kind, self.number, self.end_ms) == (session.kind, session.number, session.end_ms)
            && !self.open
            && !session.open
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) kind: Kind,
    pub(super) number: u32,
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    pub(super) open: bool,
    /// Start in Unix seconds, fixed when first reported: from then on the session only grows.
    placed: Option<i64>,
    pub(super) dated: Dated,
}

impl Session {
    /// Open, and as yet without length.
    pub(super) fn new(kind: Kind, number: u32, start_ms: u64) -> Self {
        Self {
            kind,
            number,
            start_ms,
            end_ms: start_ms,
            open: true,
            placed: None,
            dated: Dated::AsItsBoot,
        }
    }

    pub(super) fn from_stored(stored: &StoredSession) -> Self {
        Self {
            kind: if stored.used {
                Kind::Used
            } else {
                Kind::Powered
            },
            number: stored.number,
            start_ms: stored.start_ms,
            end_ms: stored.start_ms.saturating_add(stored.length_ms.min(CUT_MS)),
            open: stored.open,
            placed: stored.placed,
            dated: Dated::from_stored(stored.dated),
        }
    }

    pub(super) fn stored(&self) -> StoredSession {
        StoredSession {
            used: self.kind == Kind::Used,
            number: self.number,
            start_ms: self.start_ms,
            length_ms: self.end_ms.saturating_sub(self.start_ms),
            open: self.open,
            placed: self.placed,
            dated: self.dated.stored(),
        }
    }

    /// Places it for good, unless that was done, and says by what.
    pub(super) fn settle(&mut self, offset_ms: i64, dated: Dated) {
        self.placed = Some(self.seen(offset_ms).start);
        if self.dated == Dated::AsItsBoot {
            self.dated = dated;
        }
    }

    pub(super) fn seen(&self, offset_ms: i64) -> Seen {
        let start = self
            .placed
            .unwrap_or_else(|| unix(self.start_ms, offset_ms));
        let seconds = self.end_ms.saturating_sub(self.start_ms) / 1_000;
        Seen {
            kind: self.kind,
            number: self.number,
            start,
            end: start.saturating_add(as_signed(seconds)),
            open: self.open,
        }
    }

    /// As a report says it. Places it for good.
    pub(super) fn say(&mut self, offset_ms: i64) -> (v1::Session, Carried) {
        let seen = self.seen(offset_ms);
        self.placed = Some(seen.start);
        let said = v1::Session {
            kind: v1::Kind::from(self.kind).into(),
            number: self.number,
            start: seen.start,
            end: seen.end,
            open: self.open,
        };
        let carried = Carried {
            kind: self.kind,
            number: self.number,
            end_ms: self.end_ms,
            open: self.open,
        };
        (said, carried)
    }
}

/// A boot's moment in Unix seconds.
pub(super) fn unix(mono_ms: u64, offset_ms: i64) -> i64 {
    offset_ms
        .saturating_add(as_signed(mono_ms))
        .div_euclid(1_000)
}
