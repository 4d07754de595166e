//! The chain of the audit log: each entry's hash is over the hash before it, so that an edit, a gap or a change of order
//! shows at once, and a cut end against the head that is kept beside the log.
//!
//! Whoever can write to the database can also make a whole new chain: against that, note number and hash of the head
//! elsewhere now and then, and give them to the check. Not responsible for keeping entries.

use sha2::{Digest as _, Sha256};

use super::{Entry, Head, MAX_ENTRY_TEXT, Recorded};
use crate::store::{ContentDigest, StoreError};

impl Head {
    /// Of an empty log.
    pub const NONE: Self = Self {
        number: 0,
        hash: ContentDigest([0; 32]),
    };

    /// The next entry after this head.
    pub(in crate::store) fn next(self, entry: &Entry) -> Recorded {
        let number = self.number + 1;
        let entry = Entry {
            before: bounded(&entry.before),
            after: bounded(&entry.after),
            who: storable(&entry.who),
            origin: storable(&entry.origin),
            action: storable(&entry.action),
            target: storable(&entry.target),
            at: entry.at,
        };
        let hash = hash(self.hash, number, &entry);
        Recorded {
            number,
            entry,
            hash,
        }
    }
}

/// What becomes of an entry of another store's log: true to put it at this one's end, false where it is there.
///
/// # Errors
/// `Conflict` where this store has a log of its own.
pub(in crate::store) fn moves_in(
    head: Head,
    kept: Option<&Recorded>,
    from: &Recorded,
) -> Result<bool, StoreError> {
    if from.number > head.number {
        return Ok(true);
    }
    if kept.is_some_and(|kept| kept == from) {
        return Ok(false);
    }
    Err(StoreError::Conflict(
        "this store has an audit log of its own: take the other one into an empty store".to_owned(),
    ))
}

/// What every backend reads back as it was written: PostgreSQL's texts have no NUL.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// At most [`MAX_ENTRY_TEXT`] bytes; what is cut is told apart by its digest.
fn bounded(text: &str) -> String {
    let text = storable(text);
    if text.len() <= MAX_ENTRY_TEXT {
        return text;
    }
    let digest = ContentDigest::of(text.as_bytes());
    let end = text.floor_char_boundary(MAX_ENTRY_TEXT - 128);
    format!("{}… {} bytes, SHA-256 {digest}", &text[..end], text.len())
}

/// Every field with its length, so that no two entries read the same.
fn hash(before: ContentDigest, number: i64, entry: &Entry) -> ContentDigest {
    let mut sum = Sha256::new();
    sum.update(before.0);
    sum.update(number.to_be_bytes());
    sum.update(entry.at.to_be_bytes());
    for text in [
        &entry.who,
        &entry.origin,
        &entry.action,
        &entry.target,
        &entry.before,
        &entry.after,
    ] {
        sum.update((text.len() as u64).to_be_bytes());
        sum.update(text.as_bytes());
    }
    ContentDigest(sum.finalize().into())
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Entries are missing.
    #[error("entries {from} to {to} are missing")]
    Gap {
        /// The first that is missing.
        from: i64,
        /// The last that is missing.
        to: i64,
    },
    /// An entry, or the one before it, was edited.
    #[error("entry {0} is not what was recorded: it or the one before it was edited")]
    Edited(i64),
    /// The end was cut off, or entries were put at it.
    #[error("the log ends with entry {found}, but {kept} was the last that was recorded")]
    End {
        /// The last that is there.
        found: i64,
        /// The last that was recorded.
        kept: i64,
    },
    /// The last entry is not the one that was noted.
    #[error("entry {0} has another hash than the one that was noted")]
    Noted(i64),
}

/// Follows a log from its beginning.
#[derive(Debug, Clone)]
pub struct Chain {
    head: Head,
    noted: Option<Head>,
    /// In the order in which they show; at most a hundred.
    faults: Vec<Fault>,
}

impl Chain {
    /// Begins; `noted` is a number and hash that were noted outside the database.
    #[must_use]
    pub const fn new(noted: Option<Head>) -> Self {
        Self {
            head: Head::NONE,
            noted,
            faults: Vec::new(),
        }
    }

    /// How far it has come.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < 100 {
            self.faults.push(fault);
        }
    }

    /// Takes the next entry, by number.
    pub fn take(&mut self, next: &Recorded) {
        let expected = self.head.number + 1;
        if next.number > expected {
            let (from, to) = (expected, next.number - 1);
            self.fault(Fault::Gap { from, to });
        } else if next.number < expected
            || next.hash != hash(self.head.hash, next.number, &next.entry)
        {
            self.fault(Fault::Edited(next.number));
        }
        if let Some(noted) = self.noted
            && noted.number == next.number
            && noted.hash != next.hash
        {
            self.fault(Fault::Noted(next.number));
        }
        // Goes on from what is there: the faults after this one show as well.
        self.head = Head {
            number: next.number,
            hash: next.hash,
        };
    }

    /// Ends with the head that was kept beside the log.
    ///
    /// # Errors
    /// Everything that is wrong, at most a hundred faults.
    pub fn finish(mut self, kept: Head) -> Result<Head, Vec<Fault>> {
        if self.head.number != kept.number {
            let (found, kept) = (self.head.number, kept.number);
            self.fault(Fault::End { found, kept });
        } else if self.head.hash != kept.hash {
            self.fault(Fault::Edited(kept.number));
        }
        if let Some(noted) = self.noted
            && noted.number > self.head.number
        {
            let (found, kept) = (self.head.number, noted.number);
            self.fault(Fault::End { found, kept });
        }
        if self.faults.is_empty() {
            Ok(self.head)
        } else {
            Err(self.faults)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(length: usize) -> Vec<Recorded> {
        let mut head = Head::NONE;
        (0..length)
            .map(|number| {
                let entry = Entry {
                    at: 7,
                    who: format!("w{number}"),
                    ..Entry::default()
                };
                let next = head.next(&entry);
                head = Head {
                    number: next.number,
                    hash: next.hash,
                };
                next
            })
            .collect()
    }

    fn check(entries: &[Recorded], kept: Head) -> Result<Head, Vec<Fault>> {
        let mut chain = Chain::new(None);
        for entry in entries {
            chain.take(entry);
        }
        chain.finish(kept)
    }

    fn end(entries: &[Recorded]) -> Head {
        let last = entries.last().unwrap();
        Head {
            number: last.number,
            hash: last.hash,
        }
    }

    #[test]
    fn every_edit_gap_and_cut_shows() {
        let whole = log(5);
        let kept = end(&whole);
        assert_eq!(check(&whole, kept), Ok(kept));
        assert_eq!(check(&[], Head::NONE), Ok(Head::NONE));
        let edit = |change: fn(&mut Entry)| {
            let mut log = whole.clone();
            change(&mut log[2].entry);
            check(&log, kept)
        };
        for change in [
            (|entry| entry.at += 1) as fn(&mut Entry),
            |entry| entry.who.push('x'),
            |entry| entry.origin.push('x'),
            |entry| entry.action.push('x'),
            |entry| entry.target.push('x'),
            |entry| entry.before.push('x'),
            |entry| std::mem::swap(&mut entry.who, &mut entry.after),
        ] {
            assert_eq!(edit(change), Err(vec![Fault::Edited(3)]));
        }
        let mut gap = whole.clone();
        gap.drain(1..3);
        assert_eq!(check(&gap, kept), Err(vec![Fault::Gap { from: 2, to: 3 }]));
        let cut = Fault::End { found: 3, kept: 5 };
        assert_eq!(check(&whole[..3], kept), Err(vec![cut]));
        // Made anew from the third on, with a head to match: only what was noted elsewhere tells.
        let mut anew = whole[..2].to_vec();
        anew.push(end(&anew).next(&Entry::default()));
        let forged = end(&anew);
        assert!(check(&anew, forged).is_ok());
        let mut chain = Chain::new(Some(end(&whole[..3])));
        for entry in &anew {
            chain.take(entry);
        }
        assert_eq!(chain.finish(forged), Err(vec![Fault::Noted(3)]));
        let mut chain = Chain::new(Some(kept));
        for entry in &anew {
            chain.take(entry);
        }
        assert_eq!(
            chain.finish(forged),
            Err(vec![Fault::End { found: 3, kept: 5 }])
        );
    }

    #[test]
    fn what_is_too_long_is_cut_with_its_digest() {
        let entry = Entry {
            after: "课".repeat(MAX_ENTRY_TEXT),
            target: "a\0b".to_owned(),
            ..Entry::default()
        };
        let kept = Head::NONE.next(&entry).entry;
        assert!(kept.after.len() <= MAX_ENTRY_TEXT && kept.after.contains("SHA-256"));
        assert_eq!(kept.target, "a\u{FFFD}b");
    }
}
