//! What a simulation found: faults that were played, minutes by what became of them, differences.
//!
//! Not responsible for printing (`cli`).

use std::{fmt, ops::AddAssign};

use serde::{Serialize, Serializer, ser::SerializeMap as _};

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Something that goes wrong in the world.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// Every fault.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// In words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

faults! {
    /// A report or acknowledgement never arrives.
    Lost = "messages lost",
    /// It arrives twice.
    Duplicated = "messages duplicated",
    /// A report arrives after one that was sent later.
    Reordered = "reports reordered",
    /// It takes up to two minutes.
    Delayed = "messages delayed by seconds to minutes",
    /// It takes days.
    Late = "messages delivered days later",
    /// The broker forgets all that is under way.
    Amnesia = "broker amnesias",
    /// The aggregator dies before its commit.
    CrashBefore = "aggregator crashes before the commit",
    /// The aggregator dies after its commit, before the acknowledgements.
    CrashAfter = "aggregator crashes between commit and acknowledgement",
    /// The store fails for a while.
    Refusing = "store refusals (spells)",
    /// A commit that failed.
    Refused = "commits refused",
    /// A school without network.
    Outage = "network outages",
    /// Power cut.
    Cut = "power cuts",
    /// Power cut in a write, before the rename.
    TornNew = "journals torn before the rename",
    /// Power cut in a write; the last good generation is left.
    TornKept = "journals torn, the last generation left",
    /// Power cut in a write; nothing is left.
    TornGone = "journals torn, nothing left",
    /// The disk is set back.
    Restored = "disks restored to an older image",
    /// The disk is emptied.
    Emptied = "disks emptied",
    /// The clock is set by an hour.
    Jump = "clock jumps while on",
    /// The boot begins an hour off.
    ClockOff = "boots with a clock an hour off",
    /// The boot begins in 1970, 2000 or 2018.
    ClockDead = "boots in 1970, 2000 or 2018",
    /// The clock stood still while power was off.
    ClockStopped = "boots with a clock that stood still",
    /// A second machine with the same disk.
    Clone = "cloned disks",
    /// Two machines under one identity throw each other out.
    Takeover = "connections taken over by a clone",
    /// Suspend and resume.
    Suspend = "suspends",
    /// One that time since boot does not count: the clock died or stood still.
    UncountedSleep = "hibernations that the clock did not count",
    /// The agent dies and starts again.
    Killed = "agents killed",
}

/// How often each fault was played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults([u64; Fault::ALL.len()]);

impl Default for Faults {
    fn default() -> Self {
        Self([0; Fault::ALL.len()])
    }
}

impl Faults {
    /// Counts one.
    pub(super) fn note(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// How often.
    #[must_use]
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }
}

impl AddAssign<&Self> for Faults {
    fn add_assign(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

impl Serialize for Faults {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(Fault::ALL.len()))?;
        for fault in Fault::ALL {
            map.serialize_entry(fault.name(), &self.of(*fault))?;
        }
        map.end()
    }
}

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Sums. Minutes are powered and used minutes together.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
        pub struct Figures {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl AddAssign<&Self> for Figures {
            fn add_assign(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

figures! {
    /// Seeds played.
    seeds,
    /// Hours of virtual time, times terminals.
    terminal_hours,
    /// Boots of machines.
    boots,
    /// Reports that agents sent.
    reports_sent,
    /// Reports that reached the aggregator, copies included.
    reports_delivered,
    /// Copies among them.
    reports_duplicated,
    /// Batches committed.
    commits,
    /// Minutes that truly were.
    truth,
    /// Of those, in the store.
    counted,
    /// Else waiting in a living journal.
    waiting,
    /// Else in quarantine with a reason.
    quarantined,
    /// Else counted where a clock put them that was wrong to the end and that nobody vouched for.
    misdated,
    /// Else held, unacknowledged, by a journal that was restored or destroyed.
    gone,
    /// Else in the 15 s before the power went.
    tail,
    /// Else. Must be 0.
    lost,
    /// Minutes in the store (or on their way) that never were. Must be 0.
    doubled,
}

/// A minute that is not where it must be, or a clock that was not handled as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which terminal.
    pub terminal: String,
    /// What is wrong, such as "lost".
    pub what: String,
    /// When and why, in words.
    pub why: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.terminal, self.what, self.why)
    }
}

/// What one seed came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// A digest of everything that happened, in order.
    pub digest: u64,
    /// The sums.
    pub figures: Figures,
    /// What was played.
    pub faults: Faults,
    /// Empty, or the product is at fault: the first of each terminal and kind.
    pub differences: Vec<Difference>,
}
