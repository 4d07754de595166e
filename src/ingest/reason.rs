//! Why a report or session was refused: the words that stand in quarantine.
//!
//! Not responsible for finding the fault (`decode`, `check`).

use std::fmt;

/// Why something could not be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Neither protobuf nor JSON of a Report.
    Undecodable,
    /// The payload is larger than a report may be.
    TooLarge,
    /// The topic or message names no possible terminal.
    BadTerminal,
    /// The message says another terminal than its topic.
    TopicMismatch,
    /// The boot id does not have 16 bytes.
    BadBootId,
    /// The sequence number is 0.
    BadSequence,
    /// More sessions than a report may have.
    TooManySessions,
    /// More signals than a report may have.
    TooManySignals,
    /// A signal that says nothing that could be read.
    BadSignal,
    /// A terminal nobody knows, while too many others wait for approval already.
    TooManyUnknown,
    /// The session is neither POWERED nor USED.
    UnknownKind,
    /// The session ends before it starts.
    EndsBeforeStart,
    /// The session is longer than a day.
    TooLong,
    /// The session ends more than 5 minutes after now.
    InFuture,
    /// The session lies before 2020: the terminal's clock was never set.
    ClockUnset,
    /// Nothing vouches for the clock by which the session is dated.
    Unplaced,
    /// A session of use from before the agent was installed: nothing could have sensed it.
    HistoryUsed,
    /// A session from before the installation that lies too far back.
    HistoryTooOld,
    /// The session lies before the terminal's service began.
    BeforeService,
    /// The session lies after the terminal's service ended, or between two services.
    AfterService,
    /// The session lies on a day whose sums are final: its minutes are no longer kept.
    NoLongerKept,
    /// The database refuses the report, though it passed every check.
    Unstorable,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 22] = [
        Self::Undecodable,
        Self::TooLarge,
        Self::BadTerminal,
        Self::TopicMismatch,
        Self::BadBootId,
        Self::BadSequence,
        Self::TooManySessions,
        Self::TooManySignals,
        Self::BadSignal,
        Self::TooManyUnknown,
        Self::UnknownKind,
        Self::EndsBeforeStart,
        Self::TooLong,
        Self::InFuture,
        Self::ClockUnset,
        Self::Unplaced,
        Self::HistoryUsed,
        Self::HistoryTooOld,
        Self::BeforeService,
        Self::AfterService,
        Self::NoLongerKept,
        Self::Unstorable,
    ];

    /// The stable key that is stored and filtered by.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::TooLarge => "too_large",
            Self::BadTerminal => "bad_terminal",
            Self::TopicMismatch => "topic_mismatch",
            Self::BadBootId => "bad_boot_id",
            Self::BadSequence => "bad_sequence",
            Self::TooManySessions => "too_many_sessions",
            Self::TooManySignals => "too_many_signals",
            Self::BadSignal => "bad_signal",
            Self::TooManyUnknown => "too_many_unknown",
            Self::UnknownKind => "unknown_kind",
            Self::EndsBeforeStart => "ends_before_start",
            Self::TooLong => "too_long",
            Self::InFuture => "in_future",
            Self::ClockUnset => "clock_unset",
            Self::Unplaced => "unplaced",
            Self::HistoryUsed => "history_used",
            Self::HistoryTooOld => "history_too_old",
            Self::BeforeService => "before_service",
            Self::AfterService => "after_service",
            Self::NoLongerKept => "no_longer_kept",
            Self::Unstorable => "unstorable",
        }
    }

    /// The field of a Report that is wrong, for callers that sent it themselves.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Undecodable | Self::TooLarge | Self::Unstorable => "report",
            Self::BadTerminal | Self::TopicMismatch | Self::TooManyUnknown => "terminal",
            Self::BadBootId => "boot_id",
            Self::BadSequence => "sequence",
            Self::TooManySessions => "sessions",
            Self::TooManySignals | Self::BadSignal => "signals",
            Self::UnknownKind | Self::HistoryUsed => "sessions.kind",
            Self::EndsBeforeStart | Self::TooLong | Self::InFuture => "sessions.end",
            Self::ClockUnset
            | Self::Unplaced
            | Self::HistoryTooOld
            | Self::BeforeService
            | Self::AfterService
            | Self::NoLongerKept => "sessions.start",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
}
