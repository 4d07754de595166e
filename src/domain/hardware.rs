//! What a machine is, told from marks that outlive its disk image: how a re-imaged machine finds its old identity back,
//! and a clone does not.
//!
//! Not responsible for where marks come from (the agent) or where they are kept (store).

use std::cmp::Reverse;

/// A mark: the first half of a SHA-256.
pub type Mark = [u8; 16];

/// Most network adapters that count.
pub const MAX_MACS: usize = 8;

/// A machine's marks. What it does not tell is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hardware {
    /// The board.
    pub board: Option<Mark>,
    /// The system disk.
    pub disk: Option<Mark>,
    /// Built-in network adapters, ascending, none twice.
    pub macs: Vec<Mark>,
}

/// Which kind a mark is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkKind {
    /// [`Hardware::board`].
    Board,
    /// [`Hardware::disk`].
    Disk,
    /// [`Hardware::macs`].
    Mac,
}

impl MarkKind {
    /// As it is stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Board => 0,
            Self::Disk => 1,
            Self::Mac => 2,
        }
    }

    /// The reverse of [`MarkKind::number`].
    #[must_use]
    pub const fn of(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Board),
            1 => Some(Self::Disk),
            2 => Some(Self::Mac),
            _ => None,
        }
    }
}

/// How alike two machines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Likeness {
    /// Kinds that are equal.
    equal: u8,
    /// Kinds that both tell, differently.
    different: Reverse<u8>,
}

impl Hardware {
    /// Every mark with its kind.
    pub fn marks(&self) -> impl Iterator<Item = (MarkKind, Mark)> + '_ {
        let board = self.board.iter().map(|mark| (MarkKind::Board, *mark));
        let disk = self.disk.iter().map(|mark| (MarkKind::Disk, *mark));
        let macs = self.macs.iter().map(|mark| (MarkKind::Mac, *mark));
        board.chain(disk).chain(macs)
    }

    /// The reverse of [`Hardware::marks`], in any order.
    #[must_use]
    pub fn of_marks(marks: impl IntoIterator<Item = (MarkKind, Mark)>) -> Self {
        let mut hardware = Self::default();
        for (kind, mark) in marks {
            match kind {
                MarkKind::Board => hardware.board = Some(mark),
                MarkKind::Disk => hardware.disk = Some(mark),
                MarkKind::Mac => hardware.macs.push(mark),
            }
        }
        hardware.macs.sort_unstable();
        hardware.macs.dedup();
        hardware
    }

    /// How alike this machine is to one that is known, if it can be that one: two of the three kinds are equal; or one
    /// is, where the known one never told more, and no other kind says otherwise. A part may have been replaced, but a
    /// disk moved to another board is no proof, and one mark alone is told too easily by somebody else.
    #[must_use]
    pub fn likeness(&self, known: &Self) -> Option<Likeness> {
        let other = known;
        let one = |a: Option<Mark>, b: Option<Mark>| Some(a? == b?);
        let macs = (!self.macs.is_empty() && !other.macs.is_empty())
            .then(|| self.macs.iter().any(|mac| other.macs.contains(mac)));
        let kinds = [
            one(self.board, other.board),
            one(self.disk, other.disk),
            macs,
        ];
        let count = |wanted| {
            kinds
                .iter()
                .map(|kind| u8::from(*kind == Some(wanted)))
                .sum()
        };
        let (equal, different): (u8, u8) = (count(true), count(false));
        let told = [
            known.board.is_some(),
            known.disk.is_some(),
            !known.macs.is_empty(),
        ];
        let tells_one = told.iter().filter(|told| **told).count() == 1;
        let same = equal >= 2 || (equal == 1 && different == 0 && tells_one);
        same.then_some(Likeness {
            equal,
            different: Reverse(different),
        })
    }

    /// Which of the machines that are known this one is: the one that it is most like; among equals the first. And
    /// whether there is a second one that it could be.
    #[must_use]
    pub fn recognise<'a, T>(&self, known: &'a [(T, Self)]) -> Option<(&'a T, bool)> {
        let mut alike: Vec<(Reverse<Likeness>, &T)> = known
            .iter()
            .filter_map(|(name, other)| Some((Reverse(self.likeness(other)?), name)))
            .collect();
        // Stable, so that the first stays first.
        alike.sort_by_key(|(likeness, _)| *likeness);
        let (_, name) = alike.first()?;
        Some((name, alike.len() > 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hardware(board: u8, disk: u8, macs: &[u8]) -> Hardware {
        let mark = |byte| [byte; 16];
        Hardware {
            board: (board > 0).then(|| mark(board)),
            disk: (disk > 0).then(|| mark(disk)),
            macs: macs.iter().copied().map(mark).collect(),
        }
    }

    #[test]
    fn a_machine_is_known_by_two_of_three_or_by_all_that_it_ever_told() {
        let known = hardware(1, 2, &[3, 4]);
        for (other, same) in [
            (hardware(1, 2, &[3, 4]), true),
            (hardware(1, 9, &[4]), true),    // a new disk
            (hardware(9, 2, &[4, 5]), true), // a new board with the old adapter
            (hardware(1, 2, &[9]), true),    // a new adapter
            (hardware(1, 9, &[9]), false),
            (hardware(9, 2, &[9]), false), // the disk in another machine: a clone's best try
            (hardware(9, 9, &[3]), false),
            (hardware(1, 2, &[]), true),
            (hardware(1, 0, &[]), false), // one mark alone, of a machine that told three
            (hardware(0, 0, &[4]), false),
            (hardware(1, 0, &[9]), false),
            (hardware(0, 0, &[]), false),
            (hardware(7, 8, &[9]), false),
        ] {
            assert_eq!(other.likeness(&known).is_some(), same, "{other:?}");
        }
        let known = hardware(1, 0, &[]);
        for (other, same) in [
            (hardware(1, 0, &[]), true),
            (hardware(1, 2, &[3]), true), // told one kind only, and now more
            (hardware(9, 2, &[3]), false),
            (hardware(0, 2, &[]), false),
        ] {
            assert_eq!(other.likeness(&known).is_some(), same, "{other:?}");
        }
        let silent = Hardware::default();
        assert_eq!(silent.likeness(&silent), None);
    }

    #[test]
    fn the_better_likeness_wins_and_a_second_one_is_told() {
        let known = [
            ("a", hardware(1, 2, &[3])),
            ("b", hardware(4, 5, &[6])),
            ("c", hardware(1, 2, &[9])),
        ];
        let found = |other: Hardware| other.recognise(&known).map(|(name, two)| (*name, two));
        assert_eq!(found(hardware(4, 5, &[7])), Some(("b", false)));
        assert_eq!(found(hardware(1, 2, &[9])), Some(("c", true)));
        assert_eq!(found(hardware(1, 2, &[8])), Some(("a", true)));
        assert_eq!(found(hardware(8, 8, &[8])), None);
    }

    #[test]
    fn marks_are_read_back() {
        let one = hardware(1, 0, &[3, 4]);
        let mut marks: Vec<_> = one.marks().collect();
        marks.reverse();
        assert_eq!(Hardware::of_marks(marks), one);
        for kind in [MarkKind::Board, MarkKind::Disk, MarkKind::Mac] {
            assert_eq!(MarkKind::of(kind.number()), Some(kind));
        }
        assert_eq!(MarkKind::of(3), None);
    }
}
