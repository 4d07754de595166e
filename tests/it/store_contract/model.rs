//! What a store should answer, worked out in memory with no cleverness: every sum is recomputed from every minute.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use classpulse::{
    domain::{
        calendar::Calendar,
        ids::{CountyCode, SchoolCode, TerminalId},
        minutes::DayMinutes,
        usage::{self, Minutes, Period},
    },
    store::{Batch, Placement, RegistryChange, School, SchoolSum, ServiceSpan, Standing, Store},
};
use jiff::civil::{Date, date};

use super::fixtures::{ALWAYS, roll_up_all};

/// The whole state.
#[derive(Default)]
pub(super) struct Model {
    days: BTreeMap<(TerminalId, Date), DayMinutes>,
    placements: BTreeMap<TerminalId, Vec<Placement>>,
    schools: BTreeMap<SchoolCode, School>,
    calendars: HashMap<CountyCode, Calendar>,
}

impl Model {
    pub(super) fn commit(&mut self, batch: &Batch) {
        for (terminal, day, minutes) in &batch.days {
            self.days
                .entry((terminal.clone(), *day))
                .or_default()
                .merge(minutes);
            self.placements.entry(terminal.clone()).or_default();
        }
        for contact in &batch.contacts {
            self.placements.entry(contact.terminal.clone()).or_default();
        }
    }

    pub(super) fn change(&mut self, change: &RegistryChange) {
        for school in &change.schools {
            self.schools.insert(school.code.clone(), school.clone());
        }
        for (terminal, placements) in &change.placements {
            self.placements.insert(terminal.clone(), placements.clone());
        }
    }

    pub(super) fn set_calendar(&mut self, county: &CountyCode, text: &str) {
        self.calendars
            .insert(county.clone(), Calendar::parse(text).unwrap());
    }

    fn school_of(&self, terminal: &TerminalId, day: Date) -> Option<&School> {
        let placements = self.placements.get(terminal)?;
        let there = placements
            .iter()
            .find(|one| one.from <= day && one.to.is_none_or(|to| day <= to))?;
        self.schools.get(&there.school)
    }

    fn days_in(
        &self,
        period: Period,
    ) -> impl Iterator<Item = (&TerminalId, Date, &DayMinutes, &School)> {
        self.days
            .iter()
            .filter(move |((_, day), _)| period.contains(*day))
            .filter_map(|((terminal, day), minutes)| {
                Some((terminal, *day, minutes, self.school_of(terminal, *day)?))
            })
    }

    fn sums(&self, county: &CountyCode, period: Period) -> Vec<SchoolSum> {
        let mut sums: BTreeMap<&SchoolCode, (Minutes, BTreeSet<&TerminalId>)> = BTreeMap::new();
        for (terminal, day, minutes, school) in self.days_in(period) {
            if school.county != *county {
                continue;
            }
            let (sum, reporting) = sums.entry(&school.code).or_default();
            reporting.insert(terminal);
            *sum += match self.calendars.get(county) {
                Some(calendar) => usage::terminal_day(calendar, school.stage, day, minutes),
                None => Minutes {
                    powered: minutes.powered.count().into(),
                    used: minutes.used.count().into(),
                    reporting: 1,
                    ..Minutes::default()
                },
            };
        }
        sums.into_iter()
            .map(|(school, (minutes, reporting))| SchoolSum {
                school: school.clone(),
                minutes,
                reporting_terminals: u32::try_from(reporting.len()).unwrap(),
            })
            .collect()
    }

    fn spans(&self, county: &CountyCode) -> Vec<ServiceSpan> {
        let mut spans: BTreeMap<(SchoolCode, Date, Date), u64> = BTreeMap::new();
        for one in self.placements.values().flatten() {
            if self.schools[&one.school].county == *county {
                let to = one.to.unwrap_or(date(9999, 12, 31));
                *spans.entry((one.school.clone(), one.from, to)).or_default() += 1;
            }
        }
        spans
            .into_iter()
            .map(|((school, first, last), terminals)| ServiceSpan {
                school,
                service: Period { first, last },
                terminals,
            })
            .collect()
    }

    /// How many school-days of a county have data.
    pub(super) fn school_days(&self, county: &CountyCode, period: Period) -> u64 {
        let days: BTreeSet<_> = self
            .days_in(period)
            .filter(|(.., school)| school.county == *county)
            .map(|(_, day, _, school)| (&school.code, day))
            .collect();
        days.len() as u64
    }

    /// Compares everything that can be asked, once the rollup is up to date.
    pub(super) async fn check(&self, store: &dyn Store) {
        roll_up_all(store).await;
        let counties: BTreeSet<_> = self.schools.values().map(|school| &school.county).collect();
        let week = Period {
            first: date(2026, 9, 3),
            last: date(2026, 9, 9),
        };
        let none = Period {
            first: date(2026, 9, 9),
            last: date(2026, 9, 3),
        };
        for county in counties {
            for period in [ALWAYS, week, none] {
                let found = store.school_sums(county, period).await.unwrap();
                assert_eq!(found, self.sums(county, period), "{county} {period:?}");
            }
            assert_eq!(
                store.service_spans(county).await.unwrap(),
                self.spans(county)
            );
        }
        for school in self.schools.keys() {
            for period in [ALWAYS, week, none] {
                let expected: Vec<_> = self
                    .days_in(period)
                    .filter(|(.., stood)| stood.code == *school)
                    .map(|(terminal, day, minutes, _)| (terminal.clone(), day, *minutes))
                    .collect();
                assert_eq!(
                    store.school_terminal_days(school, period).await.unwrap(),
                    expected
                );
            }
        }
        for (terminal, placements) in &self.placements {
            let expected: Vec<_> = self
                .days
                .iter()
                .filter(|((id, day), _)| id == terminal && week.contains(*day))
                .map(|((_, day), minutes)| (*day, *minutes))
                .collect();
            assert_eq!(store.terminal_days(terminal, week).await.unwrap(), expected);
            let found = store.terminal(terminal).await.unwrap().unwrap();
            assert_eq!(found.placements, *placements);
        }
        let pending = self
            .placements
            .values()
            .filter(|placements| placements.is_empty())
            .count();
        assert_eq!(store.pending_count().await.unwrap(), pending as u64);
        self.check_standings(store).await;
    }

    async fn check_standings(&self, store: &dyn Store) {
        let terminals: Vec<_> = self.placements.keys().cloned().collect();
        let found = store.standings(&terminals).await.unwrap();
        assert_eq!(found.len(), terminals.len());
        for (terminal, standing) in terminals.iter().zip(found) {
            let periods: Vec<_> = self.placements[terminal]
                .iter()
                .map(|one| Period {
                    first: one.from,
                    last: one.to.unwrap_or(date(9999, 12, 31)),
                })
                .collect();
            let expected = if periods.is_empty() {
                Standing::Pending
            } else {
                Standing::Registered(periods)
            };
            assert_eq!(standing, expected, "{terminal}");
        }
    }
}
