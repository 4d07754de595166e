//! What a page's address asks for: county, days, stage, township, and the export.
//!
//! Plain GET forms fill it, so every view has an address that can be kept and sent on.

use std::{collections::BTreeSet, str::FromStr, sync::Arc};

use jiff::{ToSpan as _, civil::Date};
use serde::Deserialize;

use super::{Context, failure::Failure};
use crate::{
    domain::{
        calendar::{Calendar, Term},
        ids::{CountyCode, Stage},
        usage::Period,
    },
    query::{self, SchoolFilter},
    store::{County, School},
};

/// As it stands in the address; empty where nothing is asked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filters {
    /// Six digits.
    pub(super) county: String,
    /// A term, by its first day.
    pub(super) term: String,
    /// First day.
    pub(super) from: String,
    /// Last day.
    pub(super) to: String,
    /// 学段.
    pub(super) stage: String,
    /// 乡镇.
    pub(super) township: String,
    /// One day, where a page shows one.
    pub(super) date: String,
    /// A terminal that a form begins with.
    pub(super) terminal: String,
    /// `csv` or `xlsx`; empty for the page.
    pub(super) format: String,
    /// Which table to export.
    pub(super) table: String,
    /// What a form before did, for a message.
    pub(super) done: String,
    /// How many it tried.
    pub(super) tried: u64,
    /// How many it brought about.
    pub(super) counted: u64,
}

/// What the address means.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// All counties.
    pub(super) counties: Vec<County>,
    /// The one meant.
    pub(super) county: County,
    /// Its calendar.
    pub(super) calendar: Arc<Calendar>,
    /// The days meant.
    pub(super) period: Period,
    /// The term meant, where the days are a term's.
    pub(super) term: Option<Term>,
    /// Which schools.
    pub(super) filter: SchoolFilter,
}

fn parsed<T: FromStr>(what: &'static str, text: &str, help: &str) -> Result<Option<T>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |_error| Failure::field(what, help);
    text.parse().map(Some).map_err(wrong)
}

impl Filters {
    fn date_of(what: &'static str, text: &str) -> Result<Option<Date>, Failure> {
        parsed(what, text, "请写成 2026-09-01 这样的日期")
    }

    /// The one day asked for.
    pub(super) fn date(&self) -> Result<Option<Date>, Failure> {
        Self::date_of("日期", &self.date)
    }

    /// The county meant.
    pub(super) async fn county(&self, at: &Context) -> Result<(Vec<County>, County), Failure> {
        let given: Option<CountyCode> = parsed("区县", &self.county, "请写 6 位行政区划代码")?;
        let counties = at.store().counties().await?;
        // Without a choice the first one: a page offers the others.
        let given = given.or_else(|| counties.first().map(|county| county.code.clone()));
        let code = query::resolve_county(at.store(), given).await?;
        let county = counties.iter().find(|county| county.code == code);
        let county = county.cloned().ok_or(query::QueryError::NoCounty)?;
        Ok((counties, county))
    }

    /// Which schools.
    pub(super) fn schools(&self) -> Result<SchoolFilter, Failure> {
        let names = Stage::ALL.map(Stage::name).join("、");
        Ok(SchoolFilter {
            stage: parsed("学段", &self.stage, &format!("请选择:{names}"))?,
            township: (!self.township.is_empty()).then(|| self.township.clone()),
        })
    }

    /// Everything meant.
    pub(super) async fn scope(&self, at: &Context) -> Result<Scope, Failure> {
        let (counties, county) = self.county(at).await?;
        let stored = at.store().calendar(&county.code).await?;
        let calendar = stored.ok_or_else(|| query::QueryError::NoCalendar {
            county: county.code.clone(),
        })?;
        let calendar = calendar.calendar;
        let (asked, term) = self.days(&calendar, at.today())?;
        let period = query::resolve_period(at.store(), &county.code, asked, at.today()).await?;
        Ok(Scope {
            counties,
            county,
            period,
            term,
            filter: self.schools()?,
            calendar,
        })
    }

    /// The period asked for, if any, and the term that it is.
    fn days(
        &self,
        calendar: &Calendar,
        today: Date,
    ) -> Result<(Option<Period>, Option<Term>), Failure> {
        let first = Self::date_of("开始日期", &self.from)?;
        let last = Self::date_of("结束日期", &self.to)?;
        let named = Self::date_of("学期", &self.term)?;
        let term = match named {
            None => calendar.term_at(today),
            Some(named) => {
                let found = calendar.terms().iter().find(|term| term.first == named);
                Some(found.ok_or_else(|| Failure::field("学期", "教学日历中没有这个学期"))?)
            }
        };
        if first.is_some() || last.is_some() {
            let begins = term.map_or(today, |term| term.first);
            let period = Period {
                first: first.unwrap_or_else(|| begins.min(last.unwrap_or(begins))),
                last: last.unwrap_or(today),
            };
            return Ok((Some(period), None));
        }
        let Some(term) = term else {
            return Ok((None, None));
        };
        let yesterday = today.saturating_sub(1.day());
        let period = Period {
            first: term.first,
            last: yesterday.min(term.last).max(term.first),
        };
        Ok((named.map(|_| period), Some(term.clone())))
    }

    /// The address again, without what asks for an export.
    pub(super) fn query(&self) -> String {
        Self::join(&[
            ("county", &self.county),
            ("term", &self.term),
            ("from", &self.from),
            ("to", &self.to),
            ("stage", &self.stage),
            ("township", &self.township),
            ("date", &self.date),
        ])
    }

    /// The days alone, for a page about one school or terminal.
    pub(super) fn days_query(&self) -> String {
        Self::join(&[("term", &self.term), ("from", &self.from), ("to", &self.to)])
    }

    fn join(pairs: &[(&str, &String)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        query.finish()
    }
}

/// A page's address with its query, if it has one.
pub(super) fn address(path: &str, query: &str) -> String {
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

/// The townships of schools, each once.
pub(super) fn townships<'a>(schools: impl Iterator<Item = &'a School>) -> Vec<String> {
    let names: BTreeSet<_> = schools.map(|school| school.township.clone()).collect();
    names.into_iter().filter(|name| !name.is_empty()).collect()
}

impl Scope {
    /// The days in words: a file's name ends so too.
    pub(super) fn days(&self) -> String {
        format!("{}_{}", self.period.first, self.period.last)
    }
}
