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
    /// The session lies before the terminal's service began.
    BeforeService,
    /// The session lies after the terminal's service ended, or between two services.
    AfterService,
    /// The database refuses the report, though it passed every check.
    Unstorable,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 16] = [
        Self::Undecodable,
        Self::TooLarge,
        Self::BadTerminal,
        Self::TopicMismatch,
        Self::BadBootId,
        Self::BadSequence,
        Self::TooManySessions,
        Self::TooManyUnknown,
        Self::UnknownKind,
        Self::EndsBeforeStart,
        Self::TooLong,
        Self::InFuture,
        Self::ClockUnset,
        Self::BeforeService,
        Self::AfterService,
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
            Self::TooManyUnknown => "too_many_unknown",
            Self::UnknownKind => "unknown_kind",
            Self::EndsBeforeStart => "ends_before_start",
            Self::TooLong => "too_long",
            Self::InFuture => "in_future",
            Self::ClockUnset => "clock_unset",
            Self::BeforeService => "before_service",
            Self::AfterService => "after_service",
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
            Self::UnknownKind => "sessions.kind",
            Self::EndsBeforeStart | Self::TooLong | Self::InFuture => "sessions.end",
            Self::ClockUnset | Self::BeforeService | Self::AfterService => "sessions.start",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
}
