//! A small store in memory for tests of what stands above a store: three schools, five terminals, one term.
//!
//! Not a backend: nothing is durable, and of what ingest needs only minutes are kept.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that is wrong must stop the test"
)]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use classpulse::{
    domain::{
        calendar::Calendar,
        ids::{CountyCode, Login, SchoolCode, Stage, TerminalId},
        incident::Incident,
        minutes::{DayMinutes, MinuteSet},
        usage::{self, Minutes, Period},
    },
    store::{
        AccessStore, Account, AuditFilter, Batch, Committed, ContentDigest, County, Digest,
        Enrolled, Enrolment, EnrolmentCode, Entry, EvaluationStore, EvidenceChange, Exclusion,
        FreezeRun, Head, IncidentFilter, KeptEvidence, KeptExclusion, Key, KeyChange, Link,
        NewCode, NewRun, NewToken, PartInfo, Placement, Put, PutAccount, Quarantined, Record,
        Recorded, Recording, RegistryChange, Run, School, SchoolDay, SchoolSum, ServiceSpan,
        Session, SharedStore, Standing, Store, StoreError, StoredCalendar, StoredRubric, Terminal,
        TerminalDays, TerminalFilter, Token,
    },
};
use jiff::civil::{Date, date};
use tokio::sync::mpsc;

pub(crate) const COUNTY: &str = "231123";
/// 小学, two terminals: 60 of 16 × 210 minutes.
pub(crate) const PRIMARY: &str = "2123000001";
/// 初中, one terminal: 100 minutes in 8 days.
pub(crate) const JUNIOR: &str = "2123000002";
/// 小学 in another township, one silent terminal.
pub(crate) const SILENT: &str = "2123000003";

const CALENDAR: &str = r#"
name = "试验"
[[term]]
name = "第一学期"
first = "2026-09-01"
last = "2027-01-15"
[[timetable]]
hours = ["08:00-11:30"]
lessons = ["08:00-08:40", "09:00-09:40"]
"#;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) counties: Vec<County>,
    pub(crate) schools: Vec<School>,
    pub(crate) terminals: BTreeMap<TerminalId, Terminal>,
    pub(crate) calendar: Option<Arc<Calendar>>,
    pub(crate) days: BTreeMap<(TerminalId, Date), DayMinutes>,
    /// What the next rounds of the rollup will say they did.
    pub(crate) dirty: Vec<SchoolDay>,
    /// Newest first.
    pub(crate) codes: Vec<EnrolmentCode>,
    pub(crate) keys: Vec<Key>,
    /// Newest first.
    pub(crate) incidents: Vec<Incident>,
    /// What was recorded.
    pub(crate) entries: Vec<Entry>,
    /// How long a list of counties takes.
    pub(crate) delay: Duration,
    /// Everything fails.
    pub(crate) broken: bool,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct FakeStore {
    state: Arc<Mutex<State>>,
    /// What is recorded with a change.
    recordings: Vec<Recording>,
}

pub(crate) fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn placed(school: &str, room: &str, from: Date, to: Option<Date>) -> Placement {
    Placement {
        school: id(school),
        room: room.to_owned(),
        from,
        to,
    }
}

impl FakeStore {
    pub(crate) fn with_county() -> Arc<Self> {
        let store = Self::default();
        {
            let mut state = store.state();
            state.counties.push(County {
                code: id(COUNTY),
                name: "逊克县".to_owned(),
            });
            for (code, name, stage, township) in [
                (PRIMARY, "奇克镇中心小学", Stage::Primary, "奇克镇"),
                (JUNIOR, "逊克县第一中学", Stage::Junior, "奇克镇"),
                (SILENT, "干岔子乡学校", Stage::Primary, "干岔子乡"),
            ] {
                let (name, township) = (name.to_owned(), township.to_owned());
                state.schools.push(School {
                    code: id(code),
                    name,
                    stage,
                    township,
                    county: id(COUNTY),
                });
            }
            let since = date(2026, 9, 1);
            for (terminal, school) in [
                ("T-1", PRIMARY),
                ("T-2", PRIMARY),
                ("T-3", JUNIOR),
                ("T-4", SILENT),
            ] {
                state.put(terminal, vec![placed(school, "一年一班", since, None)]);
            }
            state.put("T-5", Vec::new());
            state.calendar = Some(Arc::new(Calendar::parse(CALENDAR).unwrap()));
            state.used("T-1", since, 480, 540);
            state.used("T-3", since, 480, 580);
        }
        Arc::new(store)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Remembers what is recorded of a change that was done.
    fn changed(&self, state: &mut State, number: i64) {
        let told = self.recordings.iter().map(|one| one.entry(number));
        state.entries.extend(told);
    }

    fn read(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state();
        if state.broken {
            let source = Box::from("disk /secret/path is full");
            return Err(StoreError::Driver {
                doing: "read",
                source,
            });
        }
        Ok(state)
    }
}

impl State {
    pub(crate) fn put(&mut self, terminal: &str, placements: Vec<Placement>) {
        let id: TerminalId = id(terminal);
        let terminal = Terminal {
            id: id.clone(),
            placements,
            first_heard: Some(1_788_200_000),
            last_heard: Some(1_788_300_000),
            clock_offset: None,
            version: String::new(),
            os: String::new(),
        };
        self.terminals.insert(id, terminal);
    }

    pub(crate) fn used(&mut self, terminal: &str, day: Date, start: u16, end: u16) {
        let set = MinuteSet::of(start, end);
        let minutes = DayMinutes {
            powered: set,
            used: set,
            last_seen: 1_788_222_000,
        };
        self.days
            .entry((id(terminal), day))
            .or_default()
            .merge(&minutes);
    }

    pub(crate) fn change(&mut self, school: &str, counted: u64) -> SchoolDay {
        let minutes = Minutes {
            counted,
            reporting: 1,
            ..Minutes::default()
        };
        let changed = SchoolDay {
            county: id(COUNTY),
            school: id(school),
            day: date(2026, 9, 1),
            minutes,
        };
        self.dirty.push(changed.clone());
        changed
    }

    fn school_days(
        &self,
        school: &SchoolCode,
        period: Period,
    ) -> Vec<(TerminalId, Date, DayMinutes)> {
        let here = |terminal: &TerminalId, day: Date| {
            self.terminals[terminal].placements.iter().any(|placement| {
                placement.school == *school
                    && placement.from <= day
                    && placement.to.is_none_or(|to| day <= to)
            })
        };
        let days = self
            .days
            .iter()
            .filter(|((terminal, day), _)| period.contains(*day) && here(terminal, *day));
        days.map(|((terminal, day), minutes)| (terminal.clone(), *day, *minutes))
            .collect()
    }
}

/// It keeps nothing of evaluation.
/// Nobody has an account here; what is done is remembered.
#[async_trait]
impl AccessStore for FakeStore {
    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.read().map(|_| Vec::new())
    }

    async fn account(&self, _: &Login) -> Result<Option<Account>, StoreError> {
        self.read().map(|_| None)
    }

    async fn add_account(&self, _: &Account) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn add_first(&self, _: &Account, _: Digest) -> Result<bool, StoreError> {
        Err(StoreError::Closed)
    }

    async fn put_account(&self, _: &PutAccount) -> Result<Put, StoreError> {
        Err(StoreError::Closed)
    }

    async fn session(&self, _: Digest) -> Result<Option<(Session, Account)>, StoreError> {
        self.read().map(|_| None)
    }

    async fn touch_session(&self, _: Digest, _: i64) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn end_session(&self, _: Digest) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn add_token(&self, _: &NewToken) -> Result<Token, StoreError> {
        Err(StoreError::Closed)
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.read().map(|_| Vec::new())
    }

    async fn token(&self, _: Digest) -> Result<Option<Token>, StoreError> {
        self.read().map(|_| None)
    }

    async fn touch_token(&self, _: i64, _: i64) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn revoke_token(&self, _: i64) -> Result<Token, StoreError> {
        Err(StoreError::Closed)
    }

    async fn put_link(&self, _: &Link) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn link(&self, _: Digest) -> Result<Option<Link>, StoreError> {
        self.read().map(|_| None)
    }

    async fn record(&self, entry: &Entry) -> Result<Recorded, StoreError> {
        let mut state = self.read()?;
        state.entries.push(entry.clone());
        Ok(Recorded {
            number: i64::try_from(state.entries.len()).unwrap(),
            entry: entry.clone(),
            hash: ContentDigest::of(b""),
        })
    }

    async fn audit(&self, _: &AuditFilter) -> Result<Vec<Recorded>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn audit_after(&self, _: i64) -> Result<Vec<Recorded>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        self.read().map(|_| Head::NONE)
    }
}

#[async_trait]
impl EvaluationStore for FakeStore {
    async fn rubrics(&self) -> Result<Vec<StoredRubric>, StoreError> {
        self.read().map(|_| Vec::new())
    }

    async fn rubric(&self, _: ContentDigest) -> Result<Option<StoredRubric>, StoreError> {
        self.read().map(|_| None)
    }

    async fn put_rubric(&self, _: &str, _: i64) -> Result<ContentDigest, StoreError> {
        Err(StoreError::Closed)
    }

    async fn create_run(&self, _: NewRun) -> Result<Run, StoreError> {
        Err(StoreError::Closed)
    }

    async fn runs(&self, _: &CountyCode) -> Result<Vec<Run>, StoreError> {
        self.read().map(|_| Vec::new())
    }

    async fn run(&self, run: i64) -> Result<Run, StoreError> {
        drop(self.read()?);
        Err(StoreError::NotFound {
            what: "evaluation run",
            id: run.to_string(),
        })
    }

    async fn discard_run(&self, _: i64) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn evidence(
        &self,
        _: i64,
        _: Option<&SchoolCode>,
    ) -> Result<Vec<KeptEvidence>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn put_evidence(
        &self,
        _: i64,
        _: Option<i64>,
        _: Vec<EvidenceChange>,
    ) -> Result<i64, StoreError> {
        Err(StoreError::Closed)
    }

    async fn exclusions(&self, _: i64) -> Result<Vec<KeptExclusion>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn add_exclusion(&self, _: i64, _: Exclusion) -> Result<i64, StoreError> {
        Err(StoreError::Closed)
    }

    async fn remove_exclusion(&self, _: i64, _: i64) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn freeze_run(&self, _: FreezeRun) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn run_parts(&self, _: i64) -> Result<Vec<PartInfo>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn run_part(&self, _: i64, _: &str) -> Result<String, StoreError> {
        Err(StoreError::Closed)
    }
}

#[async_trait]
impl Store for FakeStore {
    fn recording(&self, recording: Recording) -> SharedStore {
        let mut store = self.clone();
        store.recordings.push(recording);
        Arc::new(store)
    }

    async fn standings(&self, terminals: &[TerminalId]) -> Result<Vec<Standing>, StoreError> {
        drop(self.read()?);
        Ok(vec![Standing::Pending; terminals.len()])
    }

    async fn pending_count(&self) -> Result<u64, StoreError> {
        self.read().map(|_| 0)
    }

    async fn registry_version(&self) -> Result<i64, StoreError> {
        self.read().map(|_| 1)
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let mut state = self.read()?;
        for (terminal, day, minutes) in batch.days {
            state
                .days
                .entry((terminal, day))
                .or_default()
                .merge(&minutes);
        }
        self.changed(&mut state, 0);
        Ok(Committed::default())
    }

    async fn roll_up(&self, limit: u32) -> Result<Vec<SchoolDay>, StoreError> {
        let mut state = self.read()?;
        let round = state.dirty.len().min(limit as usize);
        Ok(state.dirty.drain(..round).collect())
    }

    async fn mark_all_dirty(&self, _: &CountyCode, _: Period) -> Result<u64, StoreError> {
        Err(StoreError::Closed)
    }

    async fn counties(&self) -> Result<Vec<County>, StoreError> {
        let delay = self.state().delay;
        tokio::time::sleep(delay).await;
        Ok(self.read()?.counties.clone())
    }

    async fn schools(&self, county: &CountyCode) -> Result<Vec<School>, StoreError> {
        Ok(self
            .read()?
            .schools
            .iter()
            .filter(|school| school.county == *county)
            .cloned()
            .collect())
    }

    async fn school(&self, code: &SchoolCode) -> Result<Option<School>, StoreError> {
        Ok(self
            .read()?
            .schools
            .iter()
            .find(|school| school.code == *code)
            .cloned())
    }

    async fn terminals(&self, filter: &TerminalFilter) -> Result<Vec<Terminal>, StoreError> {
        let state = self.read()?;
        let fits = |terminal: &&Terminal| {
            filter
                .school
                .as_ref()
                .is_none_or(|school| terminal.placements.iter().any(|at| at.school == *school))
                && (!filter.pending_only || terminal.placements.is_empty())
                && filter
                    .after
                    .as_ref()
                    .is_none_or(|after| terminal.id > *after)
        };
        let limit = filter.limit.map_or(usize::MAX, |limit| limit as usize);
        Ok(state
            .terminals
            .values()
            .filter(fits)
            .take(limit)
            .cloned()
            .collect())
    }

    async fn terminal(&self, id: &TerminalId) -> Result<Option<Terminal>, StoreError> {
        Ok(self.read()?.terminals.get(id).cloned())
    }

    async fn change_registry(&self, change: RegistryChange) -> Result<(), StoreError> {
        let mut state = self.read()?;
        for (terminal, placements) in change.placements {
            state.put(terminal.as_str(), placements);
        }
        self.changed(&mut state, 0);
        Ok(())
    }

    async fn calendar(&self, _: &CountyCode) -> Result<Option<StoredCalendar>, StoreError> {
        let calendar = self.read()?.calendar.clone();
        Ok(calendar.map(|calendar| StoredCalendar {
            version: 1,
            text: String::new(),
            calendar,
        }))
    }

    async fn set_calendar(&self, _: &CountyCode, _: &str, _: i64) -> Result<i64, StoreError> {
        Err(StoreError::Closed)
    }

    async fn service_spans(&self, _: &CountyCode) -> Result<Vec<ServiceSpan>, StoreError> {
        let mut spans = BTreeMap::new();
        for place in self
            .read()?
            .terminals
            .values()
            .flat_map(|terminal| &terminal.placements)
        {
            let last = place.to.unwrap_or(Date::MAX);
            *spans
                .entry((place.school.clone(), place.from, last))
                .or_default() += 1;
        }
        let span = |((school, first, last), terminals)| ServiceSpan {
            school,
            service: Period { first, last },
            terminals,
        };
        Ok(spans.into_iter().map(span).collect())
    }

    async fn school_sums(
        &self,
        _: &CountyCode,
        period: Period,
    ) -> Result<Vec<SchoolSum>, StoreError> {
        let state = self.read()?;
        let calendar = state.calendar.clone().unwrap();
        let sum = |school: &School| {
            let days = state.school_days(&school.code, period);
            let mut reporting: Vec<_> = days.iter().map(|(terminal, _, _)| terminal).collect();
            reporting.dedup();
            let one = |(_, day, minutes): &(_, Date, DayMinutes)| {
                usage::terminal_day(&calendar, school.stage, *day, minutes)
            };
            SchoolSum {
                school: school.code.clone(),
                minutes: days.iter().map(one).sum(),
                reporting_terminals: u32::try_from(reporting.len()).unwrap(),
            }
        };
        Ok(state
            .schools
            .iter()
            .map(sum)
            .filter(|sum| sum.minutes.reporting != 0)
            .collect())
    }

    async fn school_terminal_days(
        &self,
        school: &SchoolCode,
        period: Period,
    ) -> Result<Vec<(TerminalId, Date, DayMinutes)>, StoreError> {
        Ok(self.read()?.school_days(school, period))
    }

    async fn school_days(
        &self,
        code: &SchoolCode,
        period: Period,
    ) -> Result<Vec<(Date, Minutes)>, StoreError> {
        let known = self.read()?;
        let calendar = known.calendar.clone().unwrap();
        let stage = known
            .schools
            .iter()
            .find(|school| school.code == *code)
            .unwrap()
            .stage;
        let mut sums: BTreeMap<Date, Minutes> = BTreeMap::new();
        for (_, day, minutes) in known.school_days(code, period) {
            *sums.entry(day).or_default() += usage::terminal_day(&calendar, stage, day, &minutes);
        }
        Ok(sums.into_iter().collect())
    }

    async fn county_days(
        &self,
        _: &CountyCode,
        days: &[Date],
    ) -> Result<Vec<TerminalDays>, StoreError> {
        let state = self.read()?;
        let mut found: BTreeMap<(SchoolCode, TerminalId), BTreeMap<Date, DayMinutes>> =
            BTreeMap::new();
        for school in &state.schools {
            for day in days {
                let one_day = Period {
                    first: *day,
                    last: *day,
                };
                for (terminal, day, minutes) in state.school_days(&school.code, one_day) {
                    let of_terminal = found.entry((school.code.clone(), terminal)).or_default();
                    of_terminal.insert(day, minutes);
                }
            }
        }
        let found = found.into_iter();
        let found = found.map(|((school, terminal), days)| TerminalDays {
            school,
            terminal,
            days: days.into_iter().collect(),
        });
        Ok(found.collect())
    }

    async fn terminal_days(
        &self,
        id: &TerminalId,
        period: Period,
    ) -> Result<Vec<(Date, DayMinutes)>, StoreError> {
        let state = self.read()?;
        let days = state
            .days
            .iter()
            .filter(|((terminal, day), _)| terminal == id && period.contains(*day));
        Ok(days.map(|((_, day), minutes)| (*day, *minutes)).collect())
    }

    async fn quarantine(&self, _: i64, _: u32) -> Result<Vec<Quarantined>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn quarantine_counts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn kept_from(&self) -> Result<Option<Date>, StoreError> {
        Ok(None)
    }

    async fn first_day(&self) -> Result<Option<Date>, StoreError> {
        Ok(None)
    }

    async fn keep_from(&self, _: Date) -> Result<(), StoreError> {
        Ok(())
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn note_evaluated(&self, _: &CountyCode, _: Period) -> Result<(), StoreError> {
        Ok(())
    }

    async fn evaluated(&self, _: &CountyCode) -> Result<Vec<Period>, StoreError> {
        Ok(Vec::new())
    }

    async fn add_code(&self, code: NewCode) -> Result<EnrolmentCode, StoreError> {
        let mut state = self.read()?;
        if !state
            .schools
            .iter()
            .any(|school| school.code == code.school)
        {
            return Err(StoreError::NotFound {
                what: "school",
                id: code.school.to_string(),
            });
        }
        let kept = code.kept_as(i64::try_from(state.codes.len()).unwrap() + 1);
        state.codes.insert(0, kept.clone());
        self.changed(&mut state, kept.id);
        Ok(kept)
    }

    async fn codes(&self, school: Option<&SchoolCode>) -> Result<Vec<EnrolmentCode>, StoreError> {
        let mut codes = self.read()?.codes.clone();
        codes.retain(|code| school.is_none_or(|school| code.school == *school));
        Ok(codes)
    }

    async fn revoke_code(&self, id: i64) -> Result<(), StoreError> {
        let mut state = self.read()?;
        let code = state.codes.iter_mut().find(|code| code.id == id);
        let code = code.ok_or_else(|| StoreError::NotFound {
            what: "enrolment code",
            id: id.to_string(),
        })?;
        code.revoked = true;
        self.changed(&mut state, 0);
        Ok(())
    }

    async fn enrol(&self, _: Enrolment) -> Result<Enrolled, StoreError> {
        Err(StoreError::Closed)
    }

    async fn identity_version(&self) -> Result<i64, StoreError> {
        self.read().map(|_| 1)
    }

    async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.read().map(|state| state.keys.clone())
    }

    async fn change_keys(
        &self,
        terminals: &[TerminalId],
        change: KeyChange,
        at: i64,
    ) -> Result<u32, StoreError> {
        let mut state = self.read()?;
        for id in terminals {
            let mut keys = state.keys.iter_mut();
            let key = keys.find(|key| key.terminal == *id);
            let key = key.ok_or_else(|| StoreError::NotFound {
                what: "key of terminal",
                id: id.to_string(),
            })?;
            match change {
                KeyChange::Renew => key.renew = true,
                _ => key.revoked = change == KeyChange::Revoke,
            }
            key.changed_at = at;
        }
        let changed = u32::try_from(terminals.len()).unwrap();
        self.changed(&mut state, changed.into());
        Ok(changed)
    }

    async fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, StoreError> {
        let mut incidents = self.read()?.incidents.clone();
        incidents.retain(|one| {
            one.received_at >= filter.since
                && filter.until.is_none_or(|until| one.received_at < until)
                && filter.kind.is_none_or(|kind| one.kind == kind)
                && filter
                    .terminal
                    .as_ref()
                    .is_none_or(|terminal| one.terminal == *terminal)
        });
        incidents.truncate(filter.limit as usize);
        Ok(incidents)
    }

    async fn export(&self, _: mpsc::Sender<Vec<Record>>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn take_in(&self, _: Vec<Record>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn close(&self) {}
}
