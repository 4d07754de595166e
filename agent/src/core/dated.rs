//! What the place of a boot, and of a session, in civil time rests on. Not responsible for finding that out (`dating`,
//! `waking`).

/// What is held of an undated boot's hardware clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Verdict {
    /// Nobody knows yet: the boot goes on, or waits for the next that hears the time.
    #[default]
    Open,
    /// Borne out: its sessions are where it says.
    BorneOut,
    /// Something speaks against it: its sessions can't be placed.
    Unplaceable,
}

impl Verdict {
    pub(super) const fn stored(self) -> u32 {
        match self {
            Self::Open => 0,
            Self::BorneOut => 1,
            Self::Unplaceable => 2,
        }
    }

    pub(super) const fn from_stored(number: u32) -> Self {
        match number {
            1 => Self::BorneOut,
            2 => Self::Unplaceable,
            _ => Self::Open,
        }
    }
}

/// What a session's place in civil time rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Dated {
    /// What its boot's does: it may still move until it is reported.
    #[default]
    AsItsBoot,
    /// The time that was known before a sleep: placed for good.
    Known,
    /// Nothing: the boot's own time could not be counted over a sleep, and nobody had said the time before it.
    Lost,
}

impl Dated {
    pub(super) const fn stored(self) -> u32 {
        match self {
            Self::AsItsBoot => 0,
            Self::Known => 1,
            Self::Lost => 2,
        }
    }

    pub(super) const fn from_stored(number: u32) -> Self {
        match number {
            1 => Self::Known,
            2 => Self::Lost,
            _ => Self::AsItsBoot,
        }
    }
}
