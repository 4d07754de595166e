//! A store as the acting person may use it: they see their own part of the country, and what they change is recorded.
//!
//! Every front that people or other systems reach works on this store, so that no page or method can forget either.
//! What is missing here is not allowed: where nobody acts, nothing is answered. A change and its entry are one transaction:
//! one that can't be recorded is not done. Not responsible for what a role may do: fronts ask that.

mod access;
mod evaluation;
mod reach;
mod told;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::civil::Date;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use self::reach::{Sight, out_of_reach};
use crate::{
    clock::SharedClock,
    domain::{
        ids::{CountyCode, SchoolCode, TerminalId},
        incident::Incident,
        minutes::DayMinutes,
        usage::{Minutes, Period},
    },
    store::{
        Batch, Committed, County, Enrolled, Enrolment, EnrolmentCode, IncidentFilter, Key,
        KeyChange, NewCode, Quarantined, Record, Recording, RegistryChange, School, SchoolDay,
        SchoolSum, ServiceSpan, SharedStore, Standing, Store, StoreError, StoredCalendar, Terminal,
        TerminalDays, TerminalFilter,
    },
};

/// Entries of the quarantine that are looked through at a time.
const PAGE: u32 = 1_000;

/// The store as the acting person may use it.
#[must_use]
pub fn guarded(store: SharedStore, clock: SharedClock) -> SharedStore {
    Arc::new(Guarded {
        inner: store,
        clock,
    })
}

/// What an entry says of a change.
#[derive(Default)]
struct Said {
    target: String,
    before: Value,
    after: Value,
}

#[derive(Debug)]
struct Guarded {
    inner: SharedStore,
    clock: SharedClock,
}

impl Guarded {
    /// The store itself, where the next change is recorded as the acting person's: both or neither.
    fn with_entry(&self, action: &str, target: &str, before: &Value, after: &Value) -> SharedStore {
        let entry = super::entry(self.second(), action, target, before, after);
        self.inner.recording(Recording::of(entry))
    }

    /// The same where only the change gives the number that is told.
    fn with_numbered_entry(
        &self,
        action: &str,
        said: impl Fn(i64) -> Said + Send + Sync + 'static,
    ) -> SharedStore {
        let entry = super::entry(self.second(), action, "", &Value::Null, &Value::Null);
        self.inner.recording(Recording::numbered(move |number| {
            let said = said(number);
            super::about(entry.clone(), &said.target, &said.before, &said.after)
        }))
    }

    fn second(&self) -> i64 {
        self.clock.now().as_second()
    }

    fn sight(&self) -> Result<Sight<'_>, StoreError> {
        Sight::new(self.inner.as_ref())
    }
}

#[async_trait]
impl Store for Guarded {
    fn recording(&self, recording: Recording) -> SharedStore {
        guarded(self.inner.recording(recording), self.clock.clone())
    }

    async fn standings(&self, terminals: &[TerminalId]) -> Result<Vec<Standing>, StoreError> {
        for terminal in terminals {
            self.sight()?.terminal(terminal).await?;
        }
        self.inner.standings(terminals).await
    }

    async fn pending_count(&self) -> Result<u64, StoreError> {
        self.sight()?.broad("pending terminals")?;
        self.inner.pending_count().await
    }

    async fn registry_version(&self) -> Result<i64, StoreError> {
        self.inner.registry_version().await
    }

    /// Only a replay: reports come in another way.
    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let sight = self.sight()?;
        sight.broad("quarantine")?;
        for (terminal, ..) in &batch.days {
            sight.terminal(terminal).await?;
        }
        if batch.replayed.is_empty() {
            return self.inner.commit(batch).await;
        }
        let after = json!({ "entries": batch.replayed });
        self.with_entry("quarantine.replay", "", &Value::Null, &after)
            .commit(batch)
            .await
    }

    /// Brings sums up to date for whoever looks: changes nothing that anybody decides.
    async fn roll_up(&self, limit: u32) -> Result<Vec<SchoolDay>, StoreError> {
        self.inner.roll_up(limit).await
    }

    async fn mark_all_dirty(&self, county: &CountyCode, period: Period) -> Result<u64, StoreError> {
        self.sight()?.covers(county)?;
        self.inner.mark_all_dirty(county, period).await
    }

    async fn counties(&self) -> Result<Vec<County>, StoreError> {
        let sight = self.sight()?;
        let mut counties = self.inner.counties().await?;
        counties.retain(|county| sight.reach.ranks(&county.code));
        Ok(counties)
    }

    async fn schools(&self, county: &CountyCode) -> Result<Vec<School>, StoreError> {
        self.sight()?.ranks(county)?;
        self.inner.schools(county).await
    }

    async fn school(&self, school: &SchoolCode) -> Result<Option<School>, StoreError> {
        self.sight()?.school(school).await?;
        self.inner.school(school).await
    }

    async fn terminals(&self, filter: &TerminalFilter) -> Result<Vec<Terminal>, StoreError> {
        let sight = self.sight()?;
        match &filter.school {
            Some(school) => sight.school(school).await?,
            None => sight.broad("terminals")?,
        }
        sight.terminals(filter).await
    }

    async fn terminal(&self, terminal: &TerminalId) -> Result<Option<Terminal>, StoreError> {
        self.sight()?.terminal(terminal).await
    }

    async fn change_registry(&self, change: RegistryChange) -> Result<(), StoreError> {
        self.sight()?.change(&change).await?;
        let (before, after) = told::registry(self.inner.as_ref(), &change).await?;
        self.with_entry("registry.change", "", &before, &after)
            .change_registry(change)
            .await
    }

    async fn calendar(&self, county: &CountyCode) -> Result<Option<StoredCalendar>, StoreError> {
        self.sight()?.ranks(county)?;
        self.inner.calendar(county).await
    }

    async fn set_calendar(
        &self,
        county: &CountyCode,
        text: &str,
        at: i64,
    ) -> Result<i64, StoreError> {
        self.sight()?.covers(county)?;
        let before = self.inner.calendar(county).await?;
        let before = before.map_or(Value::Null, |stored| {
            told::calendar(stored.version, &stored.text)
        });
        let (target, new) = (county.to_string(), text.to_owned());
        let store = self.with_numbered_entry("calendar.set", move |version| Said {
            target: target.clone(),
            before: before.clone(),
            after: told::calendar(version, &new),
        });
        store.set_calendar(county, text, at).await
    }

    async fn service_spans(&self, county: &CountyCode) -> Result<Vec<ServiceSpan>, StoreError> {
        self.sight()?.ranks(county)?;
        self.inner.service_spans(county).await
    }

    async fn school_sums(
        &self,
        county: &CountyCode,
        period: Period,
    ) -> Result<Vec<SchoolSum>, StoreError> {
        self.sight()?.ranks(county)?;
        self.inner.school_sums(county, period).await
    }

    async fn school_terminal_days(
        &self,
        school: &SchoolCode,
        period: Period,
    ) -> Result<Vec<(TerminalId, Date, DayMinutes)>, StoreError> {
        self.sight()?.school(school).await?;
        self.inner.school_terminal_days(school, period).await
    }

    async fn school_days(
        &self,
        school: &SchoolCode,
        period: Period,
    ) -> Result<Vec<(Date, Minutes)>, StoreError> {
        self.sight()?.school(school).await?;
        self.inner.school_days(school, period).await
    }

    async fn county_days(
        &self,
        county: &CountyCode,
        days: &[Date],
    ) -> Result<Vec<TerminalDays>, StoreError> {
        self.sight()?.covers(county)?;
        self.inner.county_days(county, days).await
    }

    /// The days on which the terminal stood in a school that may be seen.
    async fn terminal_days(
        &self,
        terminal: &TerminalId,
        period: Period,
    ) -> Result<Vec<(Date, DayMinutes)>, StoreError> {
        let sight = self.sight()?;
        let found = sight.terminal(terminal).await?;
        let mut days = self.inner.terminal_days(terminal, period).await?;
        if let Some(places) = sight.places(found.as_ref()).await? {
            days.retain(|(day, _)| places.iter().any(|period| period.contains(*day)));
        }
        Ok(days)
    }

    async fn quarantine(&self, after: i64, limit: u32) -> Result<Vec<Quarantined>, StoreError> {
        let sight = self.sight()?;
        sight.broad("quarantine")?;
        let Some(known) = sight.known_terminals().await? else {
            return self.inner.quarantine(after, limit).await;
        };
        let (mut found, mut after) = (Vec::new(), after);
        while found.len() < limit as usize {
            let page = self.inner.quarantine(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            found.extend(page.into_iter().filter(|one| known.contains(&one.terminal)));
        }
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn quarantine_counts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let sight = self.sight()?;
        sight.broad("quarantine")?;
        let Some(known) = sight.known_terminals().await? else {
            return self.inner.quarantine_counts().await;
        };
        let (mut counts, mut after) = (std::collections::BTreeMap::new(), 0);
        loop {
            let page = self.inner.quarantine(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for entry in page {
                if known.contains(&entry.terminal) {
                    *counts.entry(entry.reason).or_default() += 1;
                }
            }
        }
        Ok(counts.into_iter().collect())
    }

    async fn kept_from(&self) -> Result<Option<Date>, StoreError> {
        self.inner.kept_from().await
    }

    async fn first_day(&self) -> Result<Option<Date>, StoreError> {
        self.inner.first_day().await
    }

    async fn keep_from(&self, day: Date) -> Result<(), StoreError> {
        self.sight()?.whole("minutes")?;
        let before = self.inner.kept_from().await?;
        let (before, after) = (json!(before), json!(day));
        self.with_entry("retention.keep_from", "", &before, &after)
            .keep_from(day)
            .await
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        self.sight()?.whole("minutes")?;
        self.inner.sweep().await
    }

    async fn note_evaluated(&self, county: &CountyCode, period: Period) -> Result<(), StoreError> {
        self.sight()?.covers(county)?;
        let after = json!({ "first": period.first, "last": period.last });
        self.with_entry("retention.evaluated", county.as_str(), &Value::Null, &after)
            .note_evaluated(county, period)
            .await
    }

    async fn evaluated(&self, county: &CountyCode) -> Result<Vec<Period>, StoreError> {
        self.sight()?.ranks(county)?;
        self.inner.evaluated(county).await
    }

    async fn add_code(&self, code: NewCode) -> Result<EnrolmentCode, StoreError> {
        let sight = self.sight()?;
        sight.broad("enrolment codes")?;
        sight.school(&code.school).await?;
        let new = code.clone();
        let store = self.with_numbered_entry("code.add", move |id| Said {
            target: id.to_string(),
            after: json!(new.kept_as(id)),
            ..Said::default()
        });
        store.add_code(code).await
    }

    async fn codes(&self, school: Option<&SchoolCode>) -> Result<Vec<EnrolmentCode>, StoreError> {
        let sight = self.sight()?;
        match school {
            Some(school) => sight.school(school).await?,
            None => sight.broad("enrolment codes")?,
        }
        let mut codes = self.inner.codes(school).await?;
        if let Some(schools) = sight.schools().await? {
            codes.retain(|code| schools.contains(&code.school));
        }
        Ok(codes)
    }

    async fn revoke_code(&self, id: i64) -> Result<(), StoreError> {
        let sight = self.sight()?;
        sight.broad("enrolment codes")?;
        let before = self.inner.codes(None).await?;
        let before = before.into_iter().find(|code| code.id == id);
        match (&before, sight.schools().await?) {
            (Some(code), Some(schools)) if !schools.contains(&code.school) => {
                return Err(out_of_reach("enrolment code", &id));
            }
            (None, Some(_)) => return Err(out_of_reach("enrolment code", &id)),
            _ => {}
        }
        let after = json!({ "revoked": true });
        self.with_entry("code.revoke", &id.to_string(), &json!(before), &after)
            .revoke_code(id)
            .await
    }

    async fn enrol(&self, enrolment: Enrolment) -> Result<Enrolled, StoreError> {
        self.sight()?.whole("enrolment")?;
        self.inner.enrol(enrolment).await
    }

    async fn identity_version(&self) -> Result<i64, StoreError> {
        self.inner.identity_version().await
    }

    async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        let sight = self.sight()?;
        sight.broad("keys")?;
        let mut keys = self.inner.keys().await?;
        if let Some(known) = sight.known_terminals().await? {
            keys.retain(|key| known.contains(key.terminal.as_str()));
        }
        Ok(keys)
    }

    async fn change_keys(
        &self,
        terminals: &[TerminalId],
        change: KeyChange,
        at: i64,
    ) -> Result<u32, StoreError> {
        let sight = self.sight()?;
        sight.broad("keys")?;
        for terminal in terminals {
            drop(sight.terminal(terminal).await?);
        }
        let action = match &change {
            KeyChange::Revoke => "key.revoke",
            KeyChange::Restore => "key.restore",
            KeyChange::Renew => "key.renew",
            KeyChange::Offer { .. } | KeyChange::Use(_) => {
                return Err(out_of_reach("a terminal's own doing", &"key"));
            }
        };
        let names: Vec<String> = terminals.iter().map(ToString::to_string).collect();
        let store = self.with_numbered_entry(action, move |changed| Said {
            target: told::many(&names),
            after: json!({ "terminals": names, "changed": changed }),
            ..Said::default()
        });
        store.change_keys(terminals, change, at).await
    }

    async fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, StoreError> {
        let sight = self.sight()?;
        if let Some(terminal) = &filter.terminal {
            drop(sight.terminal(terminal).await?);
            return self.inner.incidents(filter).await;
        }
        sight.broad("incidents")?;
        let Some(known) = sight.known_terminals().await? else {
            return self.inner.incidents(filter).await;
        };
        // Others' must not take the place of those that are seen.
        let all = IncidentFilter {
            limit: u32::MAX,
            ..filter.clone()
        };
        let mut incidents = self.inner.incidents(&all).await?;
        incidents.retain(|one| known.contains(one.terminal.as_str()));
        incidents.truncate(filter.limit as usize);
        Ok(incidents)
    }

    async fn export(&self, pages: mpsc::Sender<Vec<Record>>) -> Result<(), StoreError> {
        self.sight()?.whole("export")?;
        self.inner.export(pages).await
    }

    /// A restore is recorded as a whole, not page by page.
    async fn take_in(&self, page: Vec<Record>) -> Result<(), StoreError> {
        self.sight()?.whole("import")?;
        self.inner.take_in(page).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
