//! What the store keeps of enrolment: codes, identities, and what an enrolment comes to, in the domain's words.
//!
//! Nothing secret is kept: a code has 60 random bits and a key 256, so a plain SHA-256 of either can't be turned back
//! by trying, as one of a chosen password could. Not responsible for making or comparing secrets (`enrolment`).

use jiff::civil::Date;

use crate::domain::{
    hardware::Hardware,
    ids::{SchoolCode, TerminalId},
    incident::{Incident, Kind},
};

use super::{Placement, School};

/// SHA-256 of a code or key.
pub type Digest = [u8; 32];

/// A key as outside brokers compare it (`enrolment::salted`): a salt of 12 bytes, and what it makes of the key.
pub type Salted = [u8; 76];

/// Most codes in a list.
pub const MAX_CODES: u32 = 1_000;

/// Most incidents that one terminal can make within [`INCIDENT_SPAN`]; more are dropped, counted and logged: their facts
/// would be the two hundred and first of their kind.
pub const MAX_INCIDENTS_PER_TERMINAL: u32 = 200;

/// The time that the bound on incidents is about, seconds.
pub const INCIDENT_SPAN: i64 = 86_400;

/// A code to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCode {
    /// Of its normal form.
    pub hash: Digest,
    /// Whose terminals it enrols.
    pub school: SchoolCode,
    /// How many machines.
    pub uses: u32,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds; from then on it is refused.
    pub expires_at: i64,
}

impl NewCode {
    /// What is kept of it under this number.
    #[must_use]
    pub fn kept_as(&self, id: i64) -> EnrolmentCode {
        EnrolmentCode {
            id,
            school: self.school.clone(),
            uses: self.uses,
            used: 0,
            created_at: self.created_at,
            expires_at: self.expires_at,
            revoked: false,
        }
    }
}

/// A code that is kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EnrolmentCode {
    /// Its number in this store.
    pub id: i64,
    /// Whose terminals it enrols.
    pub school: SchoolCode,
    /// How many machines.
    pub uses: u32,
    /// How many it has enrolled.
    pub used: u32,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub expires_at: i64,
    /// Whether it was taken back.
    pub revoked: bool,
}

/// A terminal's key as it is compared at a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Whose.
    pub terminal: TerminalId,
    /// Of the key as it was said.
    pub hash: Digest,
    /// The same for outside brokers; `None` for a key that was given before there was such a form.
    pub salted: Option<Salted>,
    /// The key that takes its place once it is used.
    pub next: Option<Digest>,
    /// Whether the terminal is asked for a new key and has not used it yet.
    pub renew: bool,
    /// Whether nobody may log in with it any more.
    pub revoked: bool,
    /// When the machine was enrolled last, Unix seconds.
    pub enrolled_at: i64,
    /// When anything of this changed last, Unix seconds; rises with every change, so it may run a little ahead.
    pub changed_at: i64,
}

/// What happens to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyChange {
    /// Nobody may log in with it any more, nor may the machine enrol anew.
    Revoke,
    /// It holds again.
    Restore,
    /// The terminal is asked for a new one.
    Renew,
    /// A terminal that was asked, and showed `shown`, is given a new key: both hold until the new one is used. Changes
    /// nothing where `shown` is not the key, is revoked, or no new one is wanted.
    Offer {
        /// The key that holds.
        shown: Digest,
        /// The new one.
        next: Digest,
        /// The same for outside brokers.
        salted: Salted,
    },
    /// The new key was used: it alone holds. Changes nothing where it is not the one that was offered last.
    Use(Digest),
}

/// A machine that shows a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Of the code's normal form.
    pub code: Digest,
    /// What the machine is.
    pub hardware: Hardware,
    /// Of the key that it gets if all goes well.
    pub key: Digest,
    /// The same for outside brokers.
    pub salted: Salted,
    /// The room, for a terminal that is new.
    pub room: String,
    /// Unix seconds.
    pub at: i64,
    /// The local day of `at`: a new terminal is in service from it on.
    pub today: Date,
}

/// What an enrolment came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolled {
    /// The machine is a terminal.
    Done {
        /// Its id.
        terminal: TerminalId,
        /// Whether this hardware was known.
        known: bool,
        /// The code's school.
        school: School,
    },
    /// It is not; nothing was changed.
    Refused(CodeFault),
}

/// What is wrong with a code: for the log, not for whoever shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeFault {
    /// Nobody issued it.
    Unknown,
    /// It was taken back.
    Revoked,
    /// It is out of date.
    Expired,
    /// It has enrolled as many new machines as it may.
    UsedUp,
    /// The machine's identity was revoked; a code does not bring it back.
    IdentityRevoked,
}

impl CodeFault {
    /// For the log.
    #[must_use]
    pub const fn said(self) -> &'static str {
        match self {
            Self::Unknown => "nobody issued this code",
            Self::Revoked => "the code was revoked",
            Self::Expired => "the code is out of date",
            Self::UsedUp => "the code is used up",
            Self::IdentityRevoked => "the machine's identity was revoked",
        }
    }
}

/// A code as an enrolment finds it.
#[derive(Debug, Clone)]
pub(super) struct FoundCode<K> {
    pub(super) key: K,
    pub(super) school: School,
    pub(super) uses: u32,
    pub(super) used: u32,
    pub(super) expires_at: i64,
    pub(super) revoked: bool,
}

impl<K> FoundCode<K> {
    /// What is wrong with it for any machine.
    pub(super) fn fault(&self, at: i64) -> Option<CodeFault> {
        if self.revoked {
            Some(CodeFault::Revoked)
        } else if at >= self.expires_at {
            Some(CodeFault::Expired)
        } else {
            None
        }
    }

    /// What is wrong with it for a machine that is new.
    pub(super) fn is_used_up(&self) -> bool {
        self.used >= self.uses
    }
}

/// The terminal id that a school's next new machine gets: the school's code and the number after the highest that any
/// terminal has, so that it reads well on a sticker and never comes twice. `named` are the names that begin with the
/// school's code and a dash.
pub(super) fn next_name<'a>(
    school: &SchoolCode,
    named: impl Iterator<Item = &'a str>,
) -> Result<TerminalId, super::StoreError> {
    let prefix = format!("{school}-");
    let highest = named
        .filter_map(|name| name.strip_prefix(&prefix))
        .filter(|rest| (4..=6).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_digit()))
        .filter_map(|rest| rest.parse::<u32>().ok())
        .max()
        .unwrap_or(0);
    let name = format!("{prefix}{:04}", highest + 1);
    name.parse()
        .map_err(|error| super::StoreError::Conflict(format!("{error}")))
}

/// What the bureau should see of an enrolment of a machine that was known: it has a new key, the registry does not see it
/// in the code's school today, or it could be two terminals.
pub(super) fn incidents_of(
    terminal: &TerminalId,
    placements: &[Placement],
    school: &SchoolCode,
    mixed: bool,
    enrolment: &Enrolment,
) -> Vec<Incident> {
    let here = placements.iter().any(|placement| {
        placement.school == *school && placement.to.is_none_or(|to| enrolment.today <= to)
    });
    // The moment tells one enrolment from the next.
    let moment = u32::try_from(enrolment.at).unwrap_or(u32::MAX);
    let found = |kind| Incident::found(terminal.clone(), kind, moment, enrolment.at);
    let elsewhere = (!here).then(|| found(Kind::EnrolledElsewhere));
    let mixed = mixed.then(|| found(Kind::MixedHardware));
    let again = Incident::enrolled_again(terminal.clone(), enrolment.at);
    elsewhere.into_iter().chain(mixed).chain([again]).collect()
}

/// Which incidents to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentFilter {
    /// Only this terminal's.
    pub terminal: Option<TerminalId>,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only those received at or after this moment, Unix seconds.
    pub since: i64,
    /// Only those received before this moment, Unix seconds.
    pub until: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_name_follows_the_highest() {
        let school: SchoolCode = "XK-01".parse().unwrap();
        let next = |names: &[&str]| {
            next_name(&school, names.iter().copied())
                .unwrap()
                .to_string()
        };
        assert_eq!(next(&[]), "XK-01-0001");
        let names = [
            "XK-01-0009",
            "XK-01-0003",
            "XK-01-001x",
            "XK-01-99999999",
            "XK-01-7",
        ];
        assert_eq!(next(&names), "XK-01-0010");
        assert_eq!(next(&["XK-01-9999"]), "XK-01-10000");
    }
}
