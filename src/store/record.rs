//! What is kept, piece by piece, in a form that every backend can give and take: how a county moves between stores.
//!
//! The form is also what an export file holds, so its names and texts are a contract. Not responsible for files (`backup`).

use std::fmt::Write as _;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{Account, County, Placement, Recorded, RegistryChange, School};
use crate::domain::{
    hardware::{Hardware, Mark},
    ids::{CountyCode, SchoolCode, TerminalId},
    incident::{Incident, Kind},
    minutes::{DayMinutes, MinuteSet},
};

mod evaluation;

pub use evaluation::{KeptRubric, KeptRun, KeptRunEvidence, KeptRunExclusion, KeptRunPart, OfRun};

/// Records in one page of an export.
pub(super) const PAGE: usize = 1_000;

/// Bytes of texts and parts in one page of an export, after which it is full: these may be large.
pub(super) const PAGE_BYTES: usize = 8 << 20;

/// One thing that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Record {
    /// A county.
    County(County),
    /// A school.
    School(School),
    /// A version of a county's calendar.
    Calendar(CalendarVersion),
    /// A period whose results stand in a frozen evaluation.
    Evaluated(Evaluated),
    /// An enrolment code.
    Code(KeptCode),
    /// A terminal.
    Terminal(KeptTerminal),
    /// A terminal's key and hardware.
    Identity(KeptIdentity),
    /// An incident.
    Incident(KeptIncident),
    /// From when on minutes are kept, where not all are.
    KeptFrom(Date),
    /// The sums of a school-day whose minutes are no longer kept.
    Sum(KeptSum),
    /// A terminal-day.
    Day(Box<KeptDay>),
    /// A quarantine entry.
    Refusal(KeptRefusal),
    /// A rubric.
    Rubric(KeptRubric),
    /// An evaluation run.
    Run(Box<KeptRun>),
    /// One item's evidence of one school in a run.
    RunEvidence(KeptRunEvidence),
    /// An exclusion in a run.
    RunExclusion(KeptRunExclusion),
    /// A part of a frozen run.
    RunPart(Box<KeptRunPart>),
    /// An account, with the hash of its password. Sessions, links and tokens do not move.
    Account(Box<Account>),
    /// An entry of the audit log.
    Recorded(Box<Recorded>),
}

impl Record {
    /// About how much room it takes, as far as that may be much.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Rubric(rubric) => rubric.text.len(),
            Self::RunEvidence(evidence) => evidence.content.len(),
            Self::RunPart(part) => part.deflated.len(),
            Self::Recorded(one) => one.entry.before.len() + one.entry.after.len(),
            _ => 0,
        }
    }
}

/// A version of a county's calendar. The highest is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarVersion {
    /// Whose.
    pub county: CountyCode,
    /// Counts from 1.
    pub version: i64,
    /// As the bureau wrote it.
    pub text: String,
    /// Unix seconds.
    pub stored_at: i64,
}

/// An evaluated period of a county.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluated {
    /// Whose.
    pub county: CountyCode,
    /// First day.
    pub first: Date,
    /// Last day.
    pub last: Date,
}

/// A school-day's final sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptSum {
    /// The school.
    pub school: SchoolCode,
    /// The day.
    pub day: Date,
    /// Minutes that count.
    pub counted: u64,
    /// Minutes with power.
    pub powered: u64,
    /// Minutes of use.
    pub used: u64,
    /// Lessons taught with a terminal.
    pub lessons_taught: u64,
    /// Terminals that reported.
    pub reporting: u64,
}

/// A terminal with its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptTerminal {
    /// Its id.
    pub id: TerminalId,
    /// Empty while it waits for approval.
    pub placements: Vec<Placement>,
    /// `None` if it was never heard.
    pub heard: Option<Heard>,
}

/// What a terminal said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heard {
    /// Unix seconds.
    pub first: i64,
    /// Unix seconds.
    pub last: i64,
    /// Seconds.
    pub clock_offset: i64,
    /// The boot it spoke of.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub boot_id: Vec<u8>,
    /// Agent version; empty if never said.
    pub version: String,
    /// Operating system; empty if never said.
    pub os: String,
    /// What tells two machines under one identity; `None` where no living boot was heard. `boot_id` is the latest one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boots: Option<KeptBoots>,
}

/// Living boots (`domain::boots`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptBoots {
    /// The latest boot's highest sequence number.
    pub sequence: i64,
    /// The boot before; empty for none.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub before_id: Vec<u8>,
    /// Its highest sequence number.
    pub before_sequence: i64,
    /// When the newer of the two was first heard, Unix seconds.
    pub since: i64,
    /// How strongly they take turns.
    pub turns: i32,
}

/// An enrolment code, without its text. Its number is the store's own and does not move with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptCode {
    /// SHA-256 of its normal form.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub hash: Vec<u8>,
    /// Whose.
    pub school: SchoolCode,
    /// How many machines it may enrol.
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

/// A terminal's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptIdentity {
    /// Whose.
    pub terminal: TerminalId,
    /// SHA-256 of its key: with it a terminal can still log in after the move.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub key: Vec<u8>,
    /// Mark of the board; empty for none.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub board: Vec<u8>,
    /// Mark of the disk; empty for none.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub disk: Vec<u8>,
    /// Marks of the network adapters, ascending, one after the other.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub macs: Vec<u8>,
    /// Unix seconds.
    pub enrolled_at: i64,
    /// SHA-256 of the code that it was enrolled with last.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub code: Vec<u8>,
    /// Whether nobody may log in with its key any more.
    pub revoked: bool,
    /// When anything about the key changed last, Unix seconds; of two keys the later one holds. Files of older programs
    /// have none of these five.
    #[serde(default)]
    pub changed_at: i64,
    /// The key as outside brokers compare it; empty for none.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "to_hex",
        deserialize_with = "from_hex"
    )]
    pub salted: Vec<u8>,
    /// Whether the terminal is asked for a new key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renew: bool,
    /// SHA-256 of the new key until it was used; empty for none.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "to_hex",
        deserialize_with = "from_hex"
    )]
    pub next_key: Vec<u8>,
    /// The same as outside brokers compare it.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "to_hex",
        deserialize_with = "from_hex"
    )]
    pub next_salted: Vec<u8>,
}

impl KeptIdentity {
    /// The hardware as it is kept; all else is still to be said.
    pub(super) fn of_hardware(terminal: TerminalId, hardware: &Hardware) -> Self {
        let bytes = |mark: Option<Mark>| mark.map(Vec::from).unwrap_or_default();
        Self {
            terminal,
            key: Vec::new(),
            board: bytes(hardware.board),
            disk: bytes(hardware.disk),
            macs: hardware.macs.concat(),
            enrolled_at: 0,
            code: Vec::new(),
            revoked: false,
            changed_at: 0,
            salted: Vec::new(),
            renew: false,
            next_key: Vec::new(),
            next_salted: Vec::new(),
        }
    }

    /// When the key changed last, also in a file that does not say it.
    pub(super) fn changed(&self) -> i64 {
        self.changed_at.max(self.enrolled_at)
    }

    /// What may be empty, as columns have it.
    pub(super) fn optional(bytes: &[u8]) -> Option<&[u8]> {
        (!bytes.is_empty()).then_some(bytes)
    }

    /// The reverse; what is no mark is left out.
    pub(super) fn hardware(&self) -> Hardware {
        let mark = |bytes: &[u8]| Mark::try_from(bytes).ok();
        let macs = self.macs.chunks(16).filter_map(mark);
        Hardware {
            board: mark(&self.board),
            disk: mark(&self.disk),
            macs: macs.collect(),
        }
    }
}

impl KeptIncident {
    pub(super) fn new(incident: Incident) -> Self {
        let Incident {
            terminal,
            boot_id,
            kind,
            number,
            at,
            seconds,
            received_at,
        } = incident;
        Self {
            terminal,
            boot_id: boot_id.to_vec(),
            kind,
            number,
            at,
            seconds,
            received_at,
        }
    }

    pub(super) fn incident(self) -> Incident {
        Incident {
            terminal: self.terminal,
            boot_id: self.boot_id.try_into().unwrap_or_default(),
            kind: self.kind,
            number: self.number,
            at: self.at,
            seconds: self.seconds,
            received_at: self.received_at,
        }
    }
}

/// An incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptIncident {
    /// Whose.
    pub terminal: TerminalId,
    /// The boot that told it.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub boot_id: Vec<u8>,
    /// What happened.
    pub kind: Kind,
    /// Tells it apart.
    pub number: u32,
    /// Unix seconds.
    pub at: i64,
    /// Seconds.
    pub seconds: i64,
    /// Unix seconds.
    pub received_at: i64,
}

/// A terminal-day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptDay {
    /// Whose.
    pub terminal: TerminalId,
    /// Which day.
    pub day: Date,
    /// Minutes with power, as runs: `08:00-08:40 09:05-09:06`.
    #[serde(serialize_with = "to_runs", deserialize_with = "from_runs")]
    pub powered: MinuteSet,
    /// Minutes of use, likewise.
    #[serde(serialize_with = "to_runs", deserialize_with = "from_runs")]
    pub used: MinuteSet,
    /// Unix seconds.
    pub last_seen: i64,
}

/// A quarantine entry. Its number is the store's own and does not move with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRefusal {
    /// Who sent it.
    pub terminal: String,
    /// Tells mistakes of one sender apart.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub fingerprint: Vec<u8>,
    /// Stable key of the reason.
    pub reason: String,
    /// The reason in a sentence.
    pub detail: String,
    /// What to replay.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub payload: Vec<u8>,
    /// Unix seconds.
    pub first_at: i64,
    /// Unix seconds.
    pub last_at: i64,
    /// The day for which it counts.
    pub received_day: Date,
    /// How often it came.
    pub times: i64,
    /// Not yet replayed.
    pub waiting: bool,
}

impl KeptDay {
    /// The minutes.
    #[must_use]
    pub fn minutes(&self) -> DayMinutes {
        DayMinutes {
            powered: self.powered,
            used: self.used,
            last_seen: self.last_seen,
        }
    }
}

/// A page in the order in which a store must write its parts.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) registry: RegistryChange,
    pub(super) calendars: Vec<CalendarVersion>,
    pub(super) evaluated: Vec<Evaluated>,
    pub(super) heard: Vec<(TerminalId, Heard)>,
    pub(super) kept_from: Option<Date>,
    pub(super) sums: Vec<KeptSum>,
    pub(super) days: Vec<(TerminalId, Date, DayMinutes)>,
    pub(super) refusals: Vec<KeptRefusal>,
    pub(super) codes: Vec<KeptCode>,
    pub(super) identities: Vec<KeptIdentity>,
    pub(super) incidents: Vec<Incident>,
    pub(super) rubrics: Vec<KeptRubric>,
    pub(super) runs: Vec<KeptRun>,
    pub(super) evidence: Vec<KeptRunEvidence>,
    pub(super) exclusions: Vec<KeptRunExclusion>,
    /// Parts of frozen runs.
    pub(super) frozen: Vec<KeptRunPart>,
    pub(super) accounts: Vec<Account>,
    /// Entries of the audit log.
    pub(super) recorded: Vec<Recorded>,
}

impl Parts {
    pub(super) fn of(page: Vec<Record>) -> Self {
        let mut parts = Self::default();
        for record in page {
            match record {
                Record::County(county) => parts.registry.counties.push(county),
                Record::School(school) => parts.registry.schools.push(school),
                Record::Calendar(calendar) => parts.calendars.push(calendar),
                Record::Evaluated(period) => parts.evaluated.push(period),
                Record::Code(code) => parts.codes.push(code),
                Record::Identity(identity) => parts.identities.push(identity),
                Record::Incident(incident) => parts.incidents.push(incident.incident()),
                Record::KeptFrom(day) => parts.kept_from = Some(day),
                Record::Sum(sum) => parts.sums.push(sum),
                Record::Terminal(terminal) => {
                    if let Some(heard) = terminal.heard {
                        parts.heard.push((terminal.id.clone(), heard));
                    }
                    parts
                        .registry
                        .placements
                        .push((terminal.id, terminal.placements));
                }
                Record::Day(day) => {
                    let minutes = day.minutes();
                    parts.days.push((day.terminal, day.day, minutes));
                }
                Record::Refusal(refusal) => parts.refusals.push(refusal),
                Record::Rubric(rubric) => parts.rubrics.push(rubric),
                Record::Run(run) => parts.runs.push(*run),
                Record::RunEvidence(evidence) => parts.evidence.push(evidence),
                Record::RunExclusion(exclusion) => parts.exclusions.push(exclusion),
                Record::RunPart(part) => parts.frozen.push(*part),
                Record::Account(account) => parts.accounts.push(*account),
                Record::Recorded(one) => parts.recorded.push(*one),
            }
        }
        parts
    }

    /// Whether anything of it is a run's.
    pub(super) fn has_evaluation(&self) -> bool {
        !(self.runs.is_empty()
            && self.evidence.is_empty()
            && self.exclusions.is_empty()
            && self.frozen.is_empty())
    }
}

fn to_hex<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    let text = bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string never fails.
        let _ = write!(text, "{byte:02x}");
        text
    });
    to.serialize_str(&text)
}

fn from_hex<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    let pairs = text.as_bytes().chunks(2).map(|pair| {
        let digits = std::str::from_utf8(pair).ok().filter(|_| pair.len() == 2)?;
        u8::from_str_radix(digits, 16).ok()
    });
    pairs
        .collect::<Option<_>>()
        .ok_or_else(|| D::Error::custom("not pairs of hexadecimal digits"))
}

fn to_runs<S: Serializer>(set: &MinuteSet, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(set)
}

fn from_runs<'de, D: Deserializer<'de>>(from: D) -> Result<MinuteSet, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn day(powered: MinuteSet, used: MinuteSet) -> Record {
        Record::Day(Box::new(KeptDay {
            terminal: "t-1".parse().unwrap(),
            day: date(2026, 9, 1),
            powered,
            used,
            last_seen: 7,
        }))
    }

    #[test]
    fn a_record_is_readable_text() {
        let mut powered = MinuteSet::of(480, 520);
        powered.insert(1_430, 1_440);
        let text = serde_json::to_string(&day(powered, MinuteSet::EMPTY)).unwrap();
        assert_eq!(
            text,
            r#"{"day":{"terminal":"t-1","day":"2026-09-01","powered":"08:00-08:40 23:50-24:00","used":"","last_seen":7}}"#
        );
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for wrong in [
            r#"{"day":{"terminal":"t-1","day":"2026-09-01","powered":"08:40-08:00","used":"","last_seen":7}}"#,
            r#"{"day":{"terminal":"t-1","day":"2026-09-01","powered":"08:00-24:01","used":"","last_seen":7}}"#,
            r#"{"day":{"terminal":"t 1","day":"2026-09-01","powered":"","used":"","last_seen":7}}"#,
            r#"{"day":{"terminal":"t-1","day":"2026-09-31","powered":"","used":"","last_seen":7}}"#,
            r#"{"night":{}}"#,
            r#"{"county":{"code":"231123"}}"#,
        ] {
            assert!(serde_json::from_str::<Record>(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn records_read_back_as_written(
            runs in prop::collection::vec((0..1_440_u16, 1..200_u16), 0..20),
            payload in prop::collection::vec(any::<u8>(), 0..50),
            detail in ".*",
        ) {
            let mut powered = MinuteSet::EMPTY;
            for (start, length) in &runs {
                powered.insert(*start, start + length);
            }
            let refusal = Record::Refusal(KeptRefusal {
                terminal: detail.clone(),
                fingerprint: payload.clone(),
                reason: "future".to_owned(),
                detail,
                payload,
                first_at: -1,
                last_at: 1,
                received_day: date(2026, 9, 1),
                times: 3,
                waiting: false,
            });
            for record in [day(powered, MinuteSet::EMPTY), refusal] {
                let text = serde_json::to_string(&record).unwrap();
                prop_assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
            }
        }
    }
}
