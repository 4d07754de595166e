//! The storage trait: what the service needs to keep, in the words of the domain.
//!
//! Backends: `sqlite` (embedded) and `postgres`. Each passes the same contract suite (`tests/it/store_contract.rs`).
//! Not responsible for judging reports (ingest) or for asking questions well (`query`).

use std::sync::Arc;

use async_trait::async_trait;
use jiff::civil::Date;
use tokio::sync::mpsc;

use crate::domain::{
    calendar::Calendar,
    ids::{CountyCode, SchoolCode, Stage, TerminalId},
    incident::Incident,
    minutes::DayMinutes,
    usage::{Minutes, Period},
};

mod access;
mod boots;
mod counting;
mod evaluation;
mod identity;
pub mod postgres;
mod record;
pub mod sqlite;

pub use access::{
    AccessStore, Account, AuditFilter, Chain, Ends, Entry, Fault, Head, Link, MAX_ACCOUNTS,
    MAX_ENTRIES, MAX_ENTRY_TEXT, NewToken, Put, PutAccount, Recorded, Recording, Session, Token,
};
pub use evaluation::{
    ContentDigest, EvaluationStore, EvidenceChange, Exclusion, Freeze, FreezeRun, InvalidDigest,
    KeptEvidence, KeptExclusion, MAX_EVIDENCE_BYTES, MAX_EXCLUSIONS, MAX_ITEM_KEY, MAX_PART_BYTES,
    MAX_RUBRIC_BYTES, MAX_RUN_KEY, MAX_WORDS, NewRun, Part, PartInfo, Run, RunState, StoredRubric,
};
pub use identity::{
    CodeFault, Digest, Enrolled, Enrolment, EnrolmentCode, INCIDENT_SPAN, IncidentFilter, Key,
    KeyChange, MAX_CODES, MAX_INCIDENTS_PER_TERMINAL, NewCode, Salted,
};
pub use record::{
    CalendarVersion, Evaluated, Heard, KeptBoots, KeptCode, KeptDay, KeptIdentity, KeptIncident,
    KeptRefusal, KeptRubric, KeptRun, KeptRunEvidence, KeptRunExclusion, KeptRunPart, KeptSum,
    KeptTerminal, OfRun, Record,
};

/// Any backend, shared.
pub type SharedStore = Arc<dyn Store>;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be reached, is full, locked or broken: trying again may help.
    #[error("the database could not {doing}")]
    Driver {
        /// Such as "commit a batch".
        doing: &'static str,
        /// What the driver said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database was reached and refuses the data itself: trying the same again won't help.
    #[error("the database refuses what it was given to {doing}")]
    Unfit {
        /// Such as "commit a batch".
        doing: &'static str,
        /// What the driver said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is stored can't be read as what it should be: trying again won't help.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    /// The change refers to something that is not there.
    #[error("{what} {id} is not registered")]
    NotFound {
        /// Such as "school".
        what: &'static str,
        /// Its id as given.
        id: String,
    },
    /// The change contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// Whoever asks has no business with it.
    #[error("{what} {id} is outside of what this account may see")]
    OutOfReach {
        /// Such as "school".
        what: &'static str,
        /// Its id as given.
        id: String,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Minutes came for a day whose sums are final.
    fn no_longer_kept(day: Date, kept_from: Date) -> Self {
        let said = format!("minutes on {day}, kept from {kept_from} on");
        Self::Unfit {
            doing: "commit a batch",
            source: said.into(),
        }
    }
}

/// An error with its causes, for messages that hold no error.
fn said(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(": ");
        said.push_str(&error.to_string());
        cause = error.source();
    }
    said
}

/// Everything that one ingest commit writes, all or nothing.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// One row a terminal and day, sorted by both, no key twice. Unknown terminals are registered as pending.
    pub days: Vec<(TerminalId, Date, DayMinutes)>,
    /// One row a terminal that was heard, sorted, none twice. Unknown terminals are registered as pending.
    pub contacts: Vec<Contact>,
    /// Reports or sessions that could not be believed.
    pub quarantined: Vec<Refusal>,
    /// Quarantine entries that this batch counts after all.
    pub replayed: Vec<i64>,
    /// What terminals told beside minutes. One that is known already changes nothing. Unknown terminals are registered as
    /// pending.
    pub incidents: Vec<Incident>,
}

/// That a terminal was heard, and what it said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Who.
    pub terminal: TerminalId,
    /// When the service received the report, Unix seconds.
    pub received_at: i64,
    /// The terminal's clock minus the service's, seconds: shows a clock that is off.
    pub clock_offset: i64,
    /// The boot it spoke of.
    pub boot_id: [u8; 16],
    /// The highest sequence number of that boot's reports, where they are of a boot that lives: two living boots that
    /// take turns are two machines (`domain::boots`). The store keeps what it takes to see that, and notes an incident.
    pub sequence: Option<i64>,
    /// Agent version and operating system, when the report had them.
    pub facts: Option<(String, String)>,
}

/// A report or session that goes to quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Who sent it, as far as the topic tells; not necessarily registered.
    pub terminal: String,
    /// The same mistake repeated (an open session that grows) has the same fingerprint and stays one entry.
    pub fingerprint: Vec<u8>,
    /// Stable key of the reason, such as `ends_before_start`.
    pub reason: String,
    /// The reason in a sentence, with the figures.
    pub detail: String,
    /// What to replay: an encoded `Report` with the refused sessions, or the bytes as received.
    pub payload: Vec<u8>,
    /// Unix seconds.
    pub received_at: i64,
    /// The local day of `received_at`; entries are bounded per terminal and such day.
    pub received_day: Date,
}

/// Most quarantine entries that one terminal can make on one day.
pub const MAX_QUARANTINE_PER_TERMINAL_DAY: u32 = 200;

/// What a commit did with the parts that can be refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// Indices into `Batch::quarantined` that found their terminal's day full: not kept, so not to be acknowledged.
    pub overflowed: Vec<usize>,
    /// Incidents beyond [`MAX_INCIDENTS_PER_TERMINAL`], which are not kept.
    pub dropped_incidents: usize,
}

/// A quarantine entry.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Quarantined {
    /// Its number.
    pub id: i64,
    /// Who sent it.
    pub terminal: String,
    /// Stable key of the reason.
    pub reason: String,
    /// The reason in a sentence.
    pub detail: String,
    /// What to replay.
    #[serde(skip)]
    pub payload: Vec<u8>,
    /// First arrival, Unix seconds.
    pub first_at: i64,
    /// Latest arrival, Unix seconds.
    pub last_at: i64,
    /// How often it came.
    pub times: u64,
}

/// What ingest must know of a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has heard of it.
    Unknown,
    /// It waits for approval; its minutes are kept.
    Pending,
    /// It is or was in service over these periods, in order of time.
    Registered(Vec<Period>),
}

/// Where a terminal stood, and when.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Placement {
    /// The school.
    pub school: SchoolCode,
    /// The room; may be empty.
    pub room: String,
    /// First day in service there.
    pub from: Date,
    /// Last day in service there; `None` while it goes on.
    pub to: Option<Date>,
}

/// A terminal with its whole history.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Terminal {
    /// Its id.
    pub id: TerminalId,
    /// In order of time, never overlapping; empty while it waits for approval.
    pub placements: Vec<Placement>,
    /// When it was first heard, Unix seconds.
    pub first_heard: Option<i64>,
    /// When it was last heard, Unix seconds.
    pub last_heard: Option<i64>,
    /// Its clock minus the service's at the last report, seconds.
    pub clock_offset: Option<i64>,
    /// The agent's version; empty if never said.
    pub version: String,
    /// The operating system; empty if never said.
    pub os: String,
}

/// A county.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct County {
    /// Six digits.
    pub code: CountyCode,
    /// Such as 逊克县.
    pub name: String,
}

/// A school.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct School {
    /// 学校标识码.
    pub code: SchoolCode,
    /// Its name.
    pub name: String,
    /// School stage (学段).
    pub stage: Stage,
    /// Township; may be empty.
    pub township: String,
    /// Its county.
    pub county: CountyCode,
}

/// A change of the registry, applied all or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistryChange {
    /// Added, or renamed where the code is known.
    pub counties: Vec<County>,
    /// Added, or changed where the code is known.
    pub schools: Vec<School>,
    /// A terminal's whole new history; an unknown terminal is added, a pending one thereby approved.
    pub placements: Vec<(TerminalId, Vec<Placement>)>,
}

/// Which terminals to list.
#[derive(Debug, Clone, Default)]
pub struct TerminalFilter {
    /// Only those ever placed in this school.
    pub school: Option<SchoolCode>,
    /// Only those that wait for approval.
    pub pending_only: bool,
    /// Only ids after this one, for paging.
    pub after: Option<TerminalId>,
    /// At most this many; `None` for all.
    pub limit: Option<u32>,
}

/// A county's calendar in force.
#[derive(Debug, Clone)]
pub struct StoredCalendar {
    /// Counts from 1; each stored text is a new version.
    pub version: i64,
    /// As the bureau wrote it.
    pub text: String,
    /// The same, checked.
    pub calendar: Arc<Calendar>,
}

/// Terminals of one school that share their service period: the averages' divisor comes from these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpan {
    /// The school.
    pub school: SchoolCode,
    /// First to last day; open ends reach to 9999-12-31.
    pub service: Period,
    /// How many terminals.
    pub terminals: u64,
}

/// A terminal's minutes on days on which it stood in a school.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalDays {
    /// Where it stood on these days.
    pub school: SchoolCode,
    /// Whose minutes.
    pub terminal: TerminalId,
    /// Days with a powered minute, in order; at least one.
    pub days: Vec<(Date, DayMinutes)>,
}

/// Sums of a school from the rollup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchoolSum {
    /// The school.
    pub school: SchoolCode,
    /// Summed over the period.
    pub minutes: Minutes,
    /// Terminals with at least one powered minute in the period while placed there.
    pub reporting_terminals: u32,
}

/// A school-day that the rollup has brought up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchoolDay {
    /// The school's county.
    pub county: CountyCode,
    /// The school.
    pub school: SchoolCode,
    /// The day.
    pub day: Date,
    /// Its sums.
    pub minutes: Minutes,
}

/// What the service keeps.
///
/// Every method either does the whole of what it says, durably, or nothing. Methods that write may be called from
/// several tasks and processes at once; merging makes their order irrelevant.
#[async_trait]
pub trait Store: AccessStore + EvaluationStore + Send + Sync + std::fmt::Debug {
    /// The same store, every change of which puts this entry at the audit log's end as well, in the change's own
    /// transaction: neither stands without the other, and an entry that can't be written fails the change. What is refused
    /// or changes nothing leaves none. A view of a view puts both, the earlier one first. Asking is as ever.
    fn recording(&self, recording: Recording) -> SharedStore;

    /// What ingest must know of these terminals, in their order.
    async fn standings(&self, terminals: &[TerminalId]) -> Result<Vec<Standing>, StoreError>;

    /// How many terminals wait for approval: ingest refuses more unknown ones beyond its bound.
    async fn pending_count(&self) -> Result<u64, StoreError>;

    /// Rises with every change of the registry or a calendar by any process; caches are stale when it differs.
    async fn registry_version(&self) -> Result<i64, StoreError>;

    /// Writes a batch: merges minutes (OR, in the database), marks touched school-days as dirty, keeps contacts
    /// and quarantine entries. All in one transaction.
    ///
    /// # Errors
    /// `Unfit` where the same batch would be refused again, as for a day before [`Store::kept_from`].
    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError>;

    /// Brings up to `limit` dirty school-days up to date, oldest mark first. Marks vanish in the same transaction
    /// as the sums appear. Returns what was done; empty when nothing is dirty.
    async fn roll_up(&self, limit: u32) -> Result<Vec<SchoolDay>, StoreError>;

    /// Marks every school-day of a period that has any terminal-day as dirty (after a change of what counts).
    async fn mark_all_dirty(&self, county: &CountyCode, period: Period) -> Result<u64, StoreError>;

    /// All counties, by code.
    async fn counties(&self) -> Result<Vec<County>, StoreError>;

    /// A county's schools, by code.
    async fn schools(&self, county: &CountyCode) -> Result<Vec<School>, StoreError>;

    /// One school.
    async fn school(&self, school: &SchoolCode) -> Result<Option<School>, StoreError>;

    /// Terminals by id.
    async fn terminals(&self, filter: &TerminalFilter) -> Result<Vec<Terminal>, StoreError>;

    /// One terminal.
    async fn terminal(&self, terminal: &TerminalId) -> Result<Option<Terminal>, StoreError>;

    /// Changes the registry; school-days whose sums this may change are marked dirty in the same transaction.
    ///
    /// # Errors
    /// `NotFound` where a placement names an unknown school or a school an unknown county.
    async fn change_registry(&self, change: RegistryChange) -> Result<(), StoreError>;

    /// A county's calendar in force.
    async fn calendar(&self, county: &CountyCode) -> Result<Option<StoredCalendar>, StoreError>;

    /// Puts a calendar in force as a new version and marks the county's school-days dirty. The text must parse.
    /// The same text again changes nothing and returns the version in force.
    async fn set_calendar(
        &self,
        county: &CountyCode,
        text: &str,
        at: i64,
    ) -> Result<i64, StoreError>;

    /// The spans over which a county's terminals are in service, equal ones counted together.
    async fn service_spans(&self, county: &CountyCode) -> Result<Vec<ServiceSpan>, StoreError>;

    /// Sums of a county's schools over a period, from the rollup; schools without a row are left out.
    async fn school_sums(
        &self,
        county: &CountyCode,
        period: Period,
    ) -> Result<Vec<SchoolSum>, StoreError>;

    /// Terminal-days of one school: those on which the terminal stood there. By terminal and day.
    async fn school_terminal_days(
        &self,
        school: &SchoolCode,
        period: Period,
    ) -> Result<Vec<(TerminalId, Date, DayMinutes)>, StoreError>;

    /// Sums of one school's days from the rollup, by day; days without a row are left out.
    async fn school_days(
        &self,
        school: &SchoolCode,
        period: Period,
    ) -> Result<Vec<(Date, Minutes)>, StoreError>;

    /// Minutes of every terminal that stood in a school of the county on any of these days, which may come in any order.
    /// By school and terminal, one entry for both together: a terminal that moved has one in each of its schools.
    async fn county_days(
        &self,
        county: &CountyCode,
        days: &[Date],
    ) -> Result<Vec<TerminalDays>, StoreError>;

    /// One terminal's days in a period, wherever it stood, by day.
    async fn terminal_days(
        &self,
        terminal: &TerminalId,
        period: Period,
    ) -> Result<Vec<(Date, DayMinutes)>, StoreError>;

    /// Quarantine entries not yet replayed, with a number above `after`, by number.
    async fn quarantine(&self, after: i64, limit: u32) -> Result<Vec<Quarantined>, StoreError>;

    /// How many quarantine entries wait, by reason.
    async fn quarantine_counts(&self) -> Result<Vec<(String, u64)>, StoreError>;

    /// The first day whose minutes are kept; earlier days take no more minutes and their sums are final. `None` while all
    /// days are kept.
    async fn kept_from(&self) -> Result<Option<Date>, StoreError>;

    /// The first day that has minutes.
    async fn first_day(&self) -> Result<Option<Date>, StoreError>;

    /// From now on keeps minutes from this day on only; a day before the one that holds changes nothing. Raises the
    /// registry's version.
    ///
    /// # Errors
    /// `Conflict` while a school-day before it is dirty.
    async fn keep_from(&self, day: Date) -> Result<(), StoreError>;

    /// Removes some of the terminal-days before [`Store::kept_from`]; returns how many, 0 when none are left.
    async fn sweep(&self) -> Result<u64, StoreError>;

    /// Notes that a period of a county stands in a frozen evaluation: its minutes may go when they are old enough.
    async fn note_evaluated(&self, county: &CountyCode, period: Period) -> Result<(), StoreError>;

    /// A county's evaluated periods, by first and last day.
    async fn evaluated(&self, county: &CountyCode) -> Result<Vec<Period>, StoreError>;

    /// Keeps a new enrolment code.
    ///
    /// # Errors
    /// `NotFound` where the school is not registered, `Conflict` where the code is kept already.
    async fn add_code(&self, code: NewCode) -> Result<EnrolmentCode, StoreError>;

    /// Enrolment codes, newest first, at most [`MAX_CODES`].
    async fn codes(&self, school: Option<&SchoolCode>) -> Result<Vec<EnrolmentCode>, StoreError>;

    /// Takes a code back; again changes nothing.
    ///
    /// # Errors
    /// `NotFound`.
    async fn revoke_code(&self, id: i64) -> Result<(), StoreError>;

    /// A machine shows a code: a known one gets its terminal back with the new key, at no cost and where the registry has
    /// it; a new one becomes a terminal of the code's school, as long as the code has uses left. All in one
    /// transaction, and enrolments follow one another, so that no use is spent twice and no machine becomes two.
    async fn enrol(&self, enrolment: Enrolment) -> Result<Enrolled, StoreError>;

    /// Rises with every change of a key by any process.
    async fn identity_version(&self) -> Result<i64, StoreError>;

    /// Every terminal's key.
    async fn keys(&self) -> Result<Vec<Key>, StoreError>;

    /// Changes terminals' keys, all or none; the answer is how many were not so before.
    ///
    /// # Errors
    /// `NotFound` names a terminal that has no key.
    async fn change_keys(
        &self,
        terminals: &[TerminalId],
        change: KeyChange,
        at: i64,
    ) -> Result<u32, StoreError>;

    /// Incidents, newest first.
    async fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, StoreError>;

    /// Everything that is kept, as it is at one moment, in pages: counties, schools, calendars, evaluated periods,
    /// enrolment codes, terminals, identities, incidents,
    /// final sums, terminal-days, quarantine, rubrics, runs with all that is theirs, accounts, the audit log; each by code or name, so that
    /// two stores with the same content say the same. Sums that follow from the rest are left out. Ends early, without an error, when nobody takes the pages any more.
    async fn export(&self, pages: mpsc::Sender<Vec<Record>>) -> Result<(), StoreError>;

    /// Takes in a page of another store's export, all or nothing. What is there already stays or is merged, so a page may
    /// come again. Pages must come in the order in which they were exported.
    async fn take_in(&self, page: Vec<Record>) -> Result<(), StoreError>;

    /// Waits for running work and closes the database. Later calls fail with `Closed`.
    async fn close(&self);
}
