//! The `Usage` service: averages, terminals, days, and the watch on changes.

use std::{sync::Arc, time::Duration};

use classpulse_proto::v1::{self, usage_server};
use futures::StreamExt as _;
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};
use tonic::{Request, Response, Status};

use super::{Answers, Context};
use crate::{
    access,
    api::{
        convert,
        page::{self, Question},
    },
    domain::{
        ids::{CountyCode, SchoolCode, TerminalId},
        usage::{Fraction, ranking},
    },
    query::{self, SchoolFilter, SchoolUsage, TerminalUsage},
    store::SchoolDay,
};

/// Longest watch; whoever still may comes again.
const LONGEST_WATCH: Duration = Duration::from_mins(10);

/// Answers from the store.
pub(super) struct Service(pub(super) Arc<Context>);

#[tonic::async_trait]
impl usage_server::Usage for Service {
    async fn list_school_usage(
        &self,
        request: Request<v1::ListSchoolUsageRequest>,
    ) -> Result<Response<v1::ListSchoolUsageResponse>, Status> {
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        let stage = convert::optional("stage", &request.stage)?;
        let township = (!request.township.is_empty()).then_some(request.township.clone());
        let asked = convert::asked(&request.county, request.period)?;
        let found = query::resolve(self.0.store(), asked, self.0.today()).await?;
        let period = convert::to_period(found.period);
        let question = Question::new(&[
            "ListSchoolUsage",
            found.county.as_str(),
            &period.from,
            &period.to,
            &request.stage,
            &request.township,
        ]);
        let after = question
            .key(&request.page_token)?
            .map(|key| school_key(&key))
            .transpose()?;
        self.0.freshen().await?;
        let filter = SchoolFilter { stage, township };
        let all = query::school_usage(self.0.store(), &found.county, found.period, &filter).await?;
        let later = |school: &SchoolUsage| {
            let key = |after: &(Fraction, SchoolCode)| {
                ranking((school.average, &school.school.code), (after.0, &after.1)).is_gt()
            };
            after.as_ref().is_none_or(key)
        };
        let (page, next_page_token) = page_of(&all, later, size, |last| {
            let average = last.average;
            question.token(&format!(
                "{}/{}/{}",
                average.numer(),
                average.denom(),
                last.school.code
            ))
        });
        Ok(Response::new(v1::ListSchoolUsageResponse {
            schools: page
                .iter()
                .map(convert::school_usage)
                .collect::<Result<_, _>>()?,
            next_page_token,
            period: Some(period),
            total_schools: convert::narrow("total_schools", all.len())?,
        }))
    }

    async fn list_terminal_usage(
        &self,
        request: Request<v1::ListTerminalUsageRequest>,
    ) -> Result<Response<v1::ListTerminalUsageResponse>, Status> {
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        let code: SchoolCode = convert::required("school_code", &request.school_code)?;
        let asked = convert::period(request.period)?;
        let school = query::school(self.0.store(), &code).await?;
        let found =
            query::resolve_period(self.0.store(), &school.county, asked, self.0.today()).await?;
        let period = convert::to_period(found);
        let question =
            Question::new(&["ListTerminalUsage", code.as_str(), &period.from, &period.to]);
        let after = question
            .key(&request.page_token)?
            .map(|key| terminal_key(&key))
            .transpose()?;
        let all = query::terminal_usage(self.0.store(), &code, found).await?;
        let later = |terminal: &TerminalUsage| {
            after
                .as_ref()
                .is_none_or(|(heard, counted, id)| terminal.rank() > (*heard, *counted, id))
        };
        let (page, next_page_token) = page_of(&all, later, size, |last| {
            let (heard, counted, id) = last.rank();
            question.token(&format!("{}/{counted}/{id}", u8::from(heard)))
        });
        Ok(Response::new(v1::ListTerminalUsageResponse {
            terminals: page
                .iter()
                .map(convert::terminal_usage)
                .collect::<Result<_, _>>()?,
            next_page_token,
            period: Some(period),
        }))
    }

    async fn get_terminal_day(
        &self,
        request: Request<v1::GetTerminalDayRequest>,
    ) -> Result<Response<v1::TerminalDay>, Status> {
        let request = request.into_inner();
        let terminal: TerminalId = convert::required("terminal", &request.terminal)?;
        let day = if request.date.is_empty() {
            self.0.today()
        } else {
            convert::date("date", &request.date)?
        };
        let found = query::terminal_day(self.0.store(), &terminal, day).await?;
        Ok(Response::new(convert::terminal_day(found)?))
    }

    type WatchSchoolDaysStream = Answers<v1::SchoolDayChange>;

    async fn watch_school_days(
        &self,
        request: Request<v1::WatchSchoolDaysRequest>,
    ) -> Result<Response<Self::WatchSchoolDaysStream>, Status> {
        let county: Option<CountyCode> = convert::optional("county", &request.get_ref().county)?;
        if county.is_some() {
            query::resolve_county(self.0.store(), county.clone()).await?;
        }
        let changes = BroadcastStream::new(self.0.changes.subscribe());
        let who = access::current();
        let answers = changes.filter_map(move |change| {
            let covered = |day: &SchoolDay| {
                let who = who.as_ref();
                who.is_some_and(|who| who.reach().covers(&day.county))
            };
            let answer = match change {
                Ok(day) if !covered(&day) => None,
                Ok(day) if county.as_ref().is_some_and(|county| *county != day.county) => None,
                Ok(day) => Some(convert::school_day(&day)),
                Err(BroadcastStreamRecvError::Lagged(missed)) => {
                    tracing::debug!(missed, "a watcher fell behind");
                    Some(Ok(v1::SchoolDayChange {
                        resync: true,
                        ..v1::SchoolDayChange::default()
                    }))
                }
            };
            std::future::ready(answer)
        });
        // A token may be revoked or run out meanwhile: whoever still may comes again.
        let longest = tokio::time::sleep(LONGEST_WATCH);
        let ending = self.0.ending.clone().cancelled_owned();
        let answers = answers.take_until(ending).take_until(longest);
        Ok(Response::new(answers.boxed()))
    }
}

/// The entries after the key, at most `size`, and the next page's token; entries are in order.
fn page_of<T>(
    all: &[T],
    later: impl Fn(&T) -> bool,
    size: u32,
    token: impl Fn(&T) -> String,
) -> (&[T], String) {
    let start = all.partition_point(|entry| !later(entry));
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let end = start.saturating_add(size).min(all.len());
    let page = &all[start..end];
    let more = end < all.len();
    let token = page.last().filter(|_| more).map(token).unwrap_or_default();
    (page, token)
}

fn school_key(key: &str) -> Result<(Fraction, SchoolCode), Status> {
    let read = || {
        let mut parts = key.splitn(3, '/');
        let (numer, denom): (u128, u128) =
            (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let code = parts.next()?.parse().ok()?;
        (denom != 0).then(|| (Fraction::new(numer, denom), code))
    };
    read().ok_or_else(page::unreadable)
}

fn terminal_key(key: &str) -> Result<(bool, u64, TerminalId), Status> {
    let read = || {
        let mut parts = key.splitn(3, '/');
        Some((
            parts.next()? == "1",
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
        ))
    };
    read().ok_or_else(page::unreadable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_that_nobody_made_are_refused() {
        for bad in [
            "",
            "1",
            "1/0/2123000001",
            "1/2",
            "1/2/",
            "a/2/2123000001",
            "-1/2/2123000001",
        ] {
            assert!(school_key(bad).is_err(), "{bad}");
        }
        for bad in ["", "1", "1/2", "1/2/", "1/x/T1", "1/2/T 1"] {
            assert!(terminal_key(bad).is_err(), "{bad}");
        }
        assert_eq!(school_key("10/4/XK-01").unwrap().0, Fraction::new(5, 2));
    }

    proptest! {
        #[test]
        fn pages_hold_every_entry_once(mut all in proptest::collection::btree_set(0..500_u32, 0..60), size in 1..20_u32) {
            let all: Vec<u32> = std::mem::take(&mut all).into_iter().collect();
            let (mut seen, mut token) = (Vec::new(), String::new());
            loop {
                let after: Option<u32> = token.parse().ok();
                let (page, next) = page_of(&all, |one| after.is_none_or(|after| *one > after), size, u32::to_string);
                prop_assert!(page.len() <= size as usize);
                seen.extend_from_slice(page);
                if next.is_empty() {
                    break;
                }
                token = next;
            }
            prop_assert_eq!(seen, all);
        }
    }
}
