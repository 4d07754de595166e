//! The embedded backend: one SQLite file, for a county on one machine.
//!
//! # Layout
//! Writes go through one thread (`writer`), questions through a few read-only connections (`readers`); both run the
//! synchronous functions of `commit`, `rollup`, `registry`, `calendars`, `terminals`, `usage`, `quarantine`, `identity`,
//! `incidents` and `evaluation` (which also implements its part of the trait).
//! `dirty` says what the rollup must do again; `migrations` owns the schema; `values` and `functions` are the only
//! places that know how minutes and days stand in columns.
//!
//! Several processes may open the same file, each with a [`SqliteStore`]. It must not lie on a network drive:
//! write-ahead logging needs memory that the processes share.

mod access;
mod calendars;
mod commit;
mod connection;
mod copy;
mod dirty;
mod evaluation;
mod failure;
mod functions;
mod identity;
mod incidents;
mod migrations;
mod quarantine;
mod readers;
mod registry;
mod retention;
mod rollup;
mod terminals;
mod transfer;
mod usage;
mod values;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use jiff::civil::Date;
use tokio::sync::mpsc;

pub use self::{
    copy::copy,
    migrations::{Table, schema},
};
use self::{readers::Readers, writer::Writer};
use super::{
    Batch, Committed, County, Enrolled, Enrolment, EnrolmentCode, IncidentFilter, Key, KeyChange,
    NewCode, Quarantined, Record, Recording, RegistryChange, School, SchoolDay, SchoolSum,
    ServiceSpan, SharedStore, Standing, Store, StoreError, StoredCalendar, Terminal, TerminalDays,
    TerminalFilter, counting::Calendars,
};
use crate::domain::{
    ids::{CountyCode, SchoolCode, TerminalId},
    incident::Incident,
    minutes::DayMinutes,
    usage::{Minutes, Period},
};

/// A SQLite file.
///
/// Dropping it without [`Store::close`] loses nothing that was committed: queued work is still done, in the background.
#[derive(Clone)]
pub struct SqliteStore {
    path: PathBuf,
    writer: Writer,
    readers: Readers,
    /// Parsed once, for the rollup and for questions.
    calendars: Arc<Calendars>,
}

impl SqliteStore {
    /// Opens a database, creating it where there is none and bringing its schema up to date. Blocks meanwhile.
    ///
    /// # Errors
    /// `Driver` if the file can't be opened, `Damaged` if it is no database, `Conflict` if it is another program's or
    /// a newer program's: it is left as it was.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        const DOING: &str = "open its file";
        let connection = connection::open_writer(path).map_err(|error| error.while_doing(DOING))?;
        let writer = Writer::start(connection).map_err(|error| StoreError::Driver {
            doing: DOING,
            source: Box::new(error),
        })?;
        Ok(Self {
            path: path.to_owned(),
            writer,
            readers: Readers::new(path.to_owned()),
            calendars: Arc::default(),
        })
    }
}

impl SqliteStore {
    /// Whether a database has this program's schema: opening it changes nothing then.
    ///
    /// # Errors
    /// As for [`SqliteStore::open`].
    pub fn is_current(path: &Path) -> Result<bool, StoreError> {
        let current = || {
            let mut connection = connection::open_reader(path)?;
            migrations::needed(&mut connection, path).map(|needed| !needed)
        };
        current().map_err(|failure: failure::Failure| failure.while_doing("open its file"))
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn recording(&self, recording: Recording) -> SharedStore {
        Arc::new(Self {
            writer: self.writer.recording(recording),
            ..self.clone()
        })
    }

    async fn standings(&self, terminals: &[TerminalId]) -> Result<Vec<Standing>, StoreError> {
        let wanted = terminals.to_vec();
        self.readers
            .run("read where terminals stand", move |on| {
                terminals::standings(on, &wanted)
            })
            .await
    }

    async fn pending_count(&self) -> Result<u64, StoreError> {
        self.readers
            .run("count pending terminals", terminals::pending_count)
            .await
    }

    async fn registry_version(&self) -> Result<i64, StoreError> {
        self.readers
            .run("read the registry's version", registry::version)
            .await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.writer
            .run("commit a batch", move |on| commit::commit(on, &batch))
            .await
    }

    async fn roll_up(&self, limit: u32) -> Result<Vec<SchoolDay>, StoreError> {
        let calendars = Arc::clone(&self.calendars);
        self.writer
            .run("roll up", move |on| rollup::roll_up(on, &calendars, limit))
            .await
    }

    async fn mark_all_dirty(&self, county: &CountyCode, period: Period) -> Result<u64, StoreError> {
        let county = county.clone();
        self.writer
            .run("mark school-days", move |on| {
                dirty::mark_period(on, &county, period)
            })
            .await
    }

    async fn counties(&self) -> Result<Vec<County>, StoreError> {
        self.readers.run("list counties", registry::counties).await
    }

    async fn schools(&self, county: &CountyCode) -> Result<Vec<School>, StoreError> {
        let county = county.clone();
        self.readers
            .run("list schools", move |on| registry::schools(on, &county))
            .await
    }

    async fn school(&self, school: &SchoolCode) -> Result<Option<School>, StoreError> {
        let school = school.clone();
        self.readers
            .run("read a school", move |on| registry::school(on, &school))
            .await
    }

    async fn terminals(&self, filter: &TerminalFilter) -> Result<Vec<Terminal>, StoreError> {
        let filter = filter.clone();
        self.readers
            .run("list terminals", move |on| terminals::list(on, &filter))
            .await
    }

    async fn terminal(&self, terminal: &TerminalId) -> Result<Option<Terminal>, StoreError> {
        let terminal = terminal.clone();
        self.readers
            .run("read a terminal", move |on| terminals::one(on, &terminal))
            .await
    }

    async fn change_registry(&self, change: RegistryChange) -> Result<(), StoreError> {
        self.writer
            .run("change the registry", move |on| {
                registry::change(on, &change)
            })
            .await
    }

    async fn calendar(&self, county: &CountyCode) -> Result<Option<StoredCalendar>, StoreError> {
        let (county, calendars) = (county.clone(), Arc::clone(&self.calendars));
        self.readers
            .run("read a calendar", move |on| {
                match registry::county_key(on, &county)? {
                    Some(key) => calendars::in_force(on, &calendars, key),
                    None => Ok(None),
                }
            })
            .await
    }

    async fn set_calendar(
        &self,
        county: &CountyCode,
        text: &str,
        at: i64,
    ) -> Result<i64, StoreError> {
        let (county, text) = (county.clone(), text.to_owned());
        self.writer
            .run("set a calendar", move |on| {
                calendars::set(on, &county, &text, at)
            })
            .await
    }

    async fn service_spans(&self, county: &CountyCode) -> Result<Vec<ServiceSpan>, StoreError> {
        let county = county.clone();
        self.readers
            .run("read service spans", move |on| {
                registry::service_spans(on, &county)
            })
            .await
    }

    async fn school_sums(
        &self,
        county: &CountyCode,
        period: Period,
    ) -> Result<Vec<SchoolSum>, StoreError> {
        let county = county.clone();
        self.readers
            .run("sum up schools", move |on| {
                usage::school_sums(on, &county, period)
            })
            .await
    }

    async fn school_terminal_days(
        &self,
        school: &SchoolCode,
        period: Period,
    ) -> Result<Vec<(TerminalId, Date, DayMinutes)>, StoreError> {
        let school = school.clone();
        self.readers
            .run("read a school's days", move |on| {
                usage::school_terminal_days(on, &school, period)
            })
            .await
    }

    async fn school_days(
        &self,
        school: &SchoolCode,
        period: Period,
    ) -> Result<Vec<(Date, Minutes)>, StoreError> {
        let school = school.clone();
        self.readers
            .run("read a school's sums", move |on| {
                usage::school_days(on, &school, period)
            })
            .await
    }

    async fn county_days(
        &self,
        county: &CountyCode,
        days: &[Date],
    ) -> Result<Vec<TerminalDays>, StoreError> {
        let (county, days) = (county.clone(), days.to_vec());
        self.readers
            .run("read a county's days", move |on| {
                usage::county_days(on, &county, &days)
            })
            .await
    }

    async fn terminal_days(
        &self,
        terminal: &TerminalId,
        period: Period,
    ) -> Result<Vec<(Date, DayMinutes)>, StoreError> {
        let terminal = terminal.clone();
        self.readers
            .run("read a terminal's days", move |on| {
                usage::terminal_days(on, &terminal, period)
            })
            .await
    }

    async fn quarantine(&self, after: i64, limit: u32) -> Result<Vec<Quarantined>, StoreError> {
        self.readers
            .run("list the quarantine", move |on| {
                quarantine::list(on, after, limit)
            })
            .await
    }

    async fn quarantine_counts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.readers
            .run("count the quarantine", quarantine::counts)
            .await
    }

    async fn kept_from(&self) -> Result<Option<Date>, StoreError> {
        self.readers
            .run("read from when minutes are kept", retention::kept_from)
            .await
    }

    async fn first_day(&self) -> Result<Option<Date>, StoreError> {
        self.readers
            .run("read the first day", retention::first_day)
            .await
    }

    async fn keep_from(&self, day: Date) -> Result<(), StoreError> {
        self.writer
            .run("set from when minutes are kept", move |on| {
                retention::keep_from(on, day)
            })
            .await
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        self.writer
            .run("remove old minutes", retention::sweep)
            .await
    }

    async fn note_evaluated(&self, county: &CountyCode, period: Period) -> Result<(), StoreError> {
        let county = county.clone();
        self.writer
            .run("note an evaluated period", move |on| {
                retention::note_evaluated(on, &county, period)
            })
            .await
    }

    async fn evaluated(&self, county: &CountyCode) -> Result<Vec<Period>, StoreError> {
        let county = county.clone();
        self.readers
            .run("read evaluated periods", move |on| {
                retention::evaluated(on, &county)
            })
            .await
    }

    async fn add_code(&self, code: NewCode) -> Result<EnrolmentCode, StoreError> {
        self.writer
            .run("keep an enrolment code", move |on| {
                identity::add_code(on, &code)
            })
            .await
    }

    async fn codes(&self, school: Option<&SchoolCode>) -> Result<Vec<EnrolmentCode>, StoreError> {
        let school = school.cloned();
        self.readers
            .run("list enrolment codes", move |on| {
                identity::codes(on, school.as_ref())
            })
            .await
    }

    async fn revoke_code(&self, id: i64) -> Result<(), StoreError> {
        self.writer
            .run("revoke an enrolment code", move |on| {
                identity::revoke_code(on, id)
            })
            .await
    }

    async fn enrol(&self, enrolment: Enrolment) -> Result<Enrolled, StoreError> {
        self.writer
            .run("enrol a machine", move |on| identity::enrol(on, &enrolment))
            .await
    }

    async fn identity_version(&self) -> Result<i64, StoreError> {
        self.readers
            .run("read the identities' version", identity::version)
            .await
    }

    async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.readers.run("read keys", identity::keys).await
    }

    async fn change_keys(
        &self,
        terminals: &[TerminalId],
        change: KeyChange,
        at: i64,
    ) -> Result<u32, StoreError> {
        let terminals = terminals.to_vec();
        self.writer
            .run("change keys", move |on| {
                identity::change_keys(on, &terminals, change, at)
            })
            .await
    }

    async fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, StoreError> {
        let filter = filter.clone();
        self.readers
            .run("list incidents", move |on| incidents::list(on, &filter))
            .await
    }

    async fn export(&self, pages: mpsc::Sender<Vec<Record>>) -> Result<(), StoreError> {
        self.readers
            .run("read everything", move |on| transfer::export(on, pages))
            .await
    }

    async fn take_in(&self, page: Vec<Record>) -> Result<(), StoreError> {
        self.writer
            .run("take in a page", move |on| transfer::take_in(on, page))
            .await
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
