//! The PostgreSQL backend: for a city or a country, and for several aggregators at once.
//!
//! # Layout
//! `connection` keeps connections, transactions and the locks that processes share; `commit`, `rollup`, `registry`,
//! `calendars`, `terminals`, `usage`, `quarantine`, `identity`, `incidents` and `transfer` work inside a transaction that this file
//! opens by the macros of `work`, `evaluation` in one of its own (it also implements its part of the trait). `partitions` makes months, `dirty` says what the rollup must do again, `migrations` owns the schema, `values` knows how minutes
//! and days stand in columns, `failure` which errors are worth another try.
//!
//! Any number of processes may work on one database; none leads.

#[macro_use]
mod work;

mod access;
mod calendars;
mod commit;
mod connection;
mod dirty;
mod evaluation;
mod failure;
mod identity;
mod incidents;
mod migrations;
mod partitions;
mod quarantine;
mod registry;
mod retention;
mod rollup;
mod terminals;
mod transfer;
mod usage;
mod values;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use jiff::civil::Date;
use tokio::sync::mpsc;

use self::{commit::Keys, connection::Connections, partitions::Months};
use super::{
    Batch, Committed, County, Enrolled, Enrolment, EnrolmentCode, IncidentFilter, Key, KeyChange,
    NewCode, Quarantined, Record, Recording, RegistryChange, School, SchoolDay, SchoolSum,
    ServiceSpan, SharedStore, Standing, Store, StoreError, StoredCalendar, Terminal, TerminalDays,
    TerminalFilter, counting::Calendars, record::Parts,
};
use crate::{
    domain::{
        ids::{CountyCode, SchoolCode, TerminalId},
        incident::Incident,
        minutes::DayMinutes,
        usage::{Minutes, Period},
    },
    tls::TlsOptions,
};

/// Which database, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// `postgres://user@host:port/database?…`, as libpq takes it. Over a network TLS is required unless `sslmode` is given.
    pub url: String,
    /// Instead of one in the URL.
    pub password: Option<String>,
    /// Whom to trust.
    pub tls: TlsOptions,
    /// Most connections at once; at least 2, so that questions are answered while a batch commits.
    pub connections: usize,
}

/// A PostgreSQL database.
///
/// A failed connection is made anew for the next piece of work; a transaction that collided with another's is done again.
#[derive(Clone)]
pub struct PostgresStore {
    connections: Arc<Connections>,
    keys: Arc<Keys>,
    months: Arc<Months>,
    /// Parsed once, for the rollup and for questions.
    calendars: Arc<Calendars>,
    /// What is recorded with every change.
    recordings: Vec<Recording>,
}

impl PostgresStore {
    /// Connects, and brings the database's schema up to date.
    ///
    /// # Errors
    /// `Driver` if the database can't be reached, `Conflict` if the options are wrong, or the database is another
    /// program's or a newer program's: it is left as it was.
    pub async fn open(options: &PostgresOptions) -> Result<Self, StoreError> {
        let store = Self {
            connections: Arc::new(Connections::new(options)?),
            keys: Arc::default(),
            months: Arc::default(),
            calendars: Arc::default(),
            recordings: Vec::new(),
        };
        write!(store, "bring its schema up to date", |on| migrations::run(
            &on
        ))?;
        Ok(store)
    }

    /// Makes the partitions that these days need.
    async fn provide(&self, days: &[(TerminalId, Date, DayMinutes)]) -> Result<(), StoreError> {
        self.months
            .provide(&self.connections, days.iter().map(|(_, day, _)| *day))
            .await
            .map_err(|failure| failure.while_doing("make a month's partition"))
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn recording(&self, recording: Recording) -> SharedStore {
        let mut store = self.clone();
        store.recordings.push(recording);
        Arc::new(store)
    }

    async fn standings(&self, terminals: &[TerminalId]) -> Result<Vec<Standing>, StoreError> {
        read!(self, "read where terminals stand", |on| {
            terminals::standings(&on, terminals)
        })
    }

    async fn pending_count(&self) -> Result<u64, StoreError> {
        read!(self, "count pending terminals", |on| {
            terminals::pending_count(&on)
        })
    }

    async fn registry_version(&self) -> Result<i64, StoreError> {
        read!(self, "read the registry's version", |on| registry::version(
            &on
        ))
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.provide(&batch.days).await?;
        let (committed, added) = write!(self, "commit a batch", |on| commit::commit(
            &on, &self.keys, &batch
        ))?;
        self.keys.remember(added);
        Ok(committed)
    }

    async fn roll_up(&self, limit: u32) -> Result<Vec<SchoolDay>, StoreError> {
        write!(self, "roll up", |on| rollup::roll_up(
            &on,
            &self.calendars,
            limit
        ))
    }

    async fn mark_all_dirty(&self, county: &CountyCode, period: Period) -> Result<u64, StoreError> {
        write!(self, "mark school-days", |on| dirty::mark_period(
            &on, county, period
        ))
    }

    async fn counties(&self) -> Result<Vec<County>, StoreError> {
        read!(self, "list counties", |on| registry::counties(&on))
    }

    async fn schools(&self, county: &CountyCode) -> Result<Vec<School>, StoreError> {
        read!(self, "list schools", |on| registry::schools(&on, county))
    }

    async fn school(&self, school: &SchoolCode) -> Result<Option<School>, StoreError> {
        read!(self, "read a school", |on| registry::school(&on, school))
    }

    async fn terminals(&self, filter: &TerminalFilter) -> Result<Vec<Terminal>, StoreError> {
        read!(self, "list terminals", |on| terminals::list(&on, filter))
    }

    async fn terminal(&self, terminal: &TerminalId) -> Result<Option<Terminal>, StoreError> {
        read!(self, "read a terminal", |on| terminals::one(&on, terminal))
    }

    async fn change_registry(&self, change: RegistryChange) -> Result<(), StoreError> {
        let added = write!(self, "change the registry", |on| registry::change(
            &on, &self.keys, &change
        ))?;
        self.keys.remember(added);
        Ok(())
    }

    async fn calendar(&self, county: &CountyCode) -> Result<Option<StoredCalendar>, StoreError> {
        read!(self, "read a calendar", |on| async {
            match registry::county_key(&on, county).await? {
                Some(key) => calendars::in_force(&on, &self.calendars, key).await,
                None => Ok(None),
            }
        })
    }

    async fn set_calendar(
        &self,
        county: &CountyCode,
        text: &str,
        at: i64,
    ) -> Result<i64, StoreError> {
        write!(self, "store a calendar", |on| calendars::set(
            &on, county, text, at
        ))
    }

    async fn service_spans(&self, county: &CountyCode) -> Result<Vec<ServiceSpan>, StoreError> {
        read!(self, "read service spans", |on| registry::service_spans(
            &on, county
        ))
    }

    async fn school_sums(
        &self,
        county: &CountyCode,
        period: Period,
    ) -> Result<Vec<SchoolSum>, StoreError> {
        read!(self, "sum up schools", |on| usage::school_sums(
            &on, county, period
        ))
    }

    async fn school_terminal_days(
        &self,
        school: &SchoolCode,
        period: Period,
    ) -> Result<Vec<(TerminalId, Date, DayMinutes)>, StoreError> {
        read!(self, "read a school's days", |on| {
            usage::school_terminal_days(&on, school, period)
        })
    }

    async fn school_days(
        &self,
        school: &SchoolCode,
        period: Period,
    ) -> Result<Vec<(Date, Minutes)>, StoreError> {
        read!(self, "read a school's sums", |on| usage::school_days(
            &on, school, period
        ))
    }

    async fn county_days(
        &self,
        county: &CountyCode,
        days: &[Date],
    ) -> Result<Vec<TerminalDays>, StoreError> {
        read!(self, "read a county's days", |on| usage::county_days(
            &on, county, days
        ))
    }

    async fn terminal_days(
        &self,
        terminal: &TerminalId,
        period: Period,
    ) -> Result<Vec<(Date, DayMinutes)>, StoreError> {
        read!(self, "read a terminal's days", |on| usage::terminal_days(
            &on, terminal, period
        ))
    }

    async fn quarantine(&self, after: i64, limit: u32) -> Result<Vec<Quarantined>, StoreError> {
        read!(self, "list the quarantine", |on| quarantine::list(
            &on, after, limit
        ))
    }

    async fn quarantine_counts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        read!(self, "count the quarantine", |on| quarantine::counts(&on))
    }

    async fn kept_from(&self) -> Result<Option<Date>, StoreError> {
        read!(self, "read from when minutes are kept", |on| {
            retention::kept_from(&on)
        })
    }

    async fn first_day(&self) -> Result<Option<Date>, StoreError> {
        read!(self, "read the first day", |on| retention::first_day(&on))
    }

    async fn keep_from(&self, day: Date) -> Result<(), StoreError> {
        write!(self, "set from when minutes are kept", |on| {
            retention::keep_from(&on, day)
        })
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        write!(self, "remove old minutes", |on| retention::sweep(&on))
    }

    async fn note_evaluated(&self, county: &CountyCode, period: Period) -> Result<(), StoreError> {
        write!(self, "note an evaluated period", |on| {
            retention::note_evaluated(&on, county, period)
        })
    }

    async fn evaluated(&self, county: &CountyCode) -> Result<Vec<Period>, StoreError> {
        read!(self, "read evaluated periods", |on| retention::evaluated(
            &on, county
        ))
    }

    async fn add_code(&self, code: NewCode) -> Result<EnrolmentCode, StoreError> {
        write!(self, "keep an enrolment code", |on| identity::add_code(
            &on, &code
        ))
    }

    async fn codes(&self, school: Option<&SchoolCode>) -> Result<Vec<EnrolmentCode>, StoreError> {
        read!(self, "list enrolment codes", |on| identity::codes(
            &on, school
        ))
    }

    async fn revoke_code(&self, id: i64) -> Result<(), StoreError> {
        write!(self, "revoke an enrolment code", |on| {
            identity::revoke_code(&on, id)
        })
    }

    async fn enrol(&self, enrolment: Enrolment) -> Result<Enrolled, StoreError> {
        let (enrolled, added) = write!(self, "enrol a machine", |on| identity::enrol(
            &on, &self.keys, &enrolment
        ))?;
        self.keys.remember(added);
        Ok(enrolled)
    }

    async fn identity_version(&self) -> Result<i64, StoreError> {
        read!(self, "read the identities' version", |on| {
            identity::version(&on)
        })
    }

    async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        read!(self, "read keys", |on| identity::keys(&on))
    }

    async fn change_keys(
        &self,
        terminals: &[TerminalId],
        change: KeyChange,
        at: i64,
    ) -> Result<u32, StoreError> {
        write!(self, "change keys", |on| identity::change_keys(
            &on, terminals, change, at
        ))
    }

    async fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, StoreError> {
        read!(self, "list incidents", |on| incidents::list(&on, filter))
    }

    async fn export(&self, pages: mpsc::Sender<Vec<Record>>) -> Result<(), StoreError> {
        read!(self, "read everything", |on| transfer::export(&on, &pages))
    }

    async fn take_in(&self, page: Vec<Record>) -> Result<(), StoreError> {
        let parts = Parts::of(page);
        self.provide(&parts.days).await?;
        let added = write!(self, "take in a page", |on| transfer::take_in(
            &on, &self.keys, &parts
        ))?;
        self.keys.remember(added);
        Ok(())
    }

    async fn close(&self) {
        self.connections.close().await;
    }
}
