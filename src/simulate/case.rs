//! One cell of the matrix: a clock, a way to lose power, a disk and an image that hold for every machine and boot.
//!
//! Everything else is drawn as ever. Not responsible for playing it (`terminal`, `plan`).

use serde::Serialize;

macro_rules! axis {
    ($(#[$of:meta])* $axis:ident: $($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $axis {
            $($(#[$doc])* $name,)*
        }

        impl $axis {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// In words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

axis! {
    /// What the hardware clock does.
    Clock:
    /// It is right.
    Right = "right",
    /// Every boot begins in 1970.
    Year1970 = "1970 at every boot",
    /// Every boot begins in 2000.
    Year2000 = "2000 at every boot",
    /// Every boot begins in 2018.
    Year2018 = "2018 at every boot",
    /// It stands still while power is off.
    StandsStill = "stands still without power",
    /// Somebody sets the system's clock back by an hour in the middle of every boot.
    SetBack = "set back an hour while on",
    /// It is right until power is cut while the machine hibernates, in every longer boot; then it begins in 2000.
    DiesAsleep = "2000 after a hibernation",
    /// The same, and it goes on where it stood.
    StillAsleep = "stands still in a hibernation",
}

axis! {
    /// How power goes.
    Power:
    /// In order.
    Orderly = "orderly",
    /// At the wall.
    Cut = "cut",
    /// At the wall, in the middle of a write.
    CutInWrite = "cut in a write",
}

axis! {
    /// What becomes of the disk between two boots.
    DiskFate:
    /// Nothing.
    Kept = "kept",
    /// A card sets it back to the first day's image.
    Restored = "restored",
    /// It is emptied.
    Emptied = "emptied",
}

axis! {
    /// Whose disk image a machine has.
    Image:
    /// Its own.
    Own = "own",
    /// From the second day on every second machine has another's, and its hardware tells: it is a terminal of its own.
    ToldApart = "cloned, told apart",
    /// The same, and nothing tells them apart: two machines under one identity.
    OneIdentity = "cloned, one identity",
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Case {
    /// The hardware clock.
    pub clock: Clock,
    /// The power.
    pub power: Power,
    /// The disk.
    pub disk: DiskFate,
    /// The image.
    pub image: Image,
}

impl Case {
    /// The whole matrix, in the order of its axes.
    pub fn all() -> impl Iterator<Item = Self> {
        Clock::ALL.iter().flat_map(|clock| {
            Power::ALL.iter().flat_map(move |power| {
                DiskFate::ALL.iter().flat_map(move |disk| {
                    Image::ALL.iter().map(move |image| Self {
                        clock: *clock,
                        power: *power,
                        disk: *disk,
                        image: *image,
                    })
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_has_every_cell_once() {
        let all: Vec<Case> = Case::all().collect();
        assert_eq!(all.len(), 8 * 3 * 3 * 3);
        for (index, case) in all.iter().enumerate() {
            assert!(!all[..index].contains(case));
        }
    }
}
