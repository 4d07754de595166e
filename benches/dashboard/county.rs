//! A county in the last week of a school year, and the service on it.
//!
//! Use is as in classrooms, some lessons a day, differently each day. A few terminals are silent, wait or have clocks that
//! are off, and some reports stand in quarantine: every page has something to show.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use classpulse::{
    app::App,
    clock::Clock,
    config::Config,
    domain::{
        ids::Stage,
        incident::{Incident, Kind},
        minutes::{DayMinutes, MinuteSet},
        usage::Period,
    },
    evaluation::{self, NewEvaluation, enter, freeze},
    query,
    store::{Batch, Contact, Exclusion, Refusal, Store, sqlite::SqliteStore},
};
use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, date},
};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    Cli,
    names::{county, school, terminal},
    registry::{Size, register},
    runs::{answers, freezing, used},
};

/// The last Wednesday of the school year, in the third lesson.
pub(crate) const TODAY: Date = date(2026, 7, 8);

/// 2026-07-08T10:20:00+08:00.
const NOW: i64 = 1_783_477_200;

/// Lessons of the morning that are over, or nearly.
const SO_FAR: (u16, u16) = (480, 620);

const CALENDAR: &str = r#"
name = "试验"
[[term]]
name = "2025年秋"
first = "2025-09-01"
last = "2026-01-16"
[[term]]
name = "2026年春"
first = "2026-03-02"
last = "2026-07-10"
[[timetable]]
lessons = ["08:00-08:40", "08:50-09:30", "10:00-10:40", "10:50-11:30", "13:30-14:10", "14:20-15:00", "15:10-15:50"]
"#;

/// Time stands still.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(NOW).expect("a moment")
    }
}

/// The county.
pub(crate) struct County {
    folder: TempDir,
    /// Schools.
    pub(crate) schools: u32,
    /// A draft over the school year, with evidence and exclusions.
    pub(crate) draft: i64,
    /// A frozen run over the school year, its correction, and one over the first term.
    pub(crate) frozen: [i64; 3],
}

/// The service on the county.
pub(crate) struct Service {
    app: App,
    /// Where it answers.
    pub(crate) address: SocketAddr,
}

impl Service {
    /// Starts one that has shown nothing yet.
    pub(crate) fn start(county: &County, runtime: &Runtime) -> Self {
        let path = county.database();
        let text = format!(
            "store = \"sqlite:{}\"\n[broker]\nlisten = \"127.0.0.1:0\"\n[api]\nlisten = \"127.0.0.1:0\"\n",
            path.display()
        );
        let config = Config::parse(&text, |_| None).expect("a configuration");
        let store = Arc::new(SqliteStore::open(&path).expect("a database"));
        let started = App::start(&config, store, Arc::new(Still));
        let app = runtime.block_on(started).expect("a service");
        Self {
            address: app.api,
            app,
        }
    }

    /// Stops it.
    pub(crate) fn stop(self, runtime: &Runtime) {
        runtime.block_on(self.app.stop(Duration::from_secs(10)));
    }
}

impl County {
    /// Fills a database in a folder of its own.
    pub(crate) fn build(cli: &Cli, runtime: &Runtime) -> Self {
        let mut county = Self {
            folder: tempfile::tempdir().expect("a folder"),
            schools: cli.schools,
            draft: 0,
            frozen: [0; 3],
        };
        let store = SqliteStore::open(&county.database()).expect("a database");
        runtime.block_on(county.fill(&store, cli));
        county
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("dashboard.db")
    }

    /// Deletes it.
    pub(crate) fn close(self) {
        self.folder.close().expect("an empty place");
    }

    async fn fill(&mut self, store: &SqliteStore, cli: &Cli) {
        let first = TODAY.checked_sub((i64::from(cli.weeks) * 7).days());
        let first = first.expect("a day").max(date(2025, 9, 1));
        let size = Size {
            schools: cli.schools,
            terminals: cli.terminals,
            from: first,
        };
        let stages = [Stage::Primary, Stage::Junior];
        register(store, size, &stages, CALENDAR, NOW).await;
        report(store, cli, first).await;
        store.commit(troubles(cli)).await.expect("a commit");
        let rolled = query::freshen(store, drop).await;
        rolled.expect("sums");
        let year = |last| Period { first, last };
        let yesterday = TODAY.yesterday().expect("a day");
        let whole = self.run(store, "year", year(yesterday), None).await;
        frozen(store, whole).await;
        let term = self.run(store, "term", year(date(2026, 1, 16).max(first)), None);
        let term = term.await;
        frozen(store, term).await;
        let corrected = self.run(store, "again", year(yesterday), Some(whole)).await;
        exclude(store, corrected, 1).await;
        frozen(store, corrected).await;
        self.frozen = [whole, corrected, term];
        self.draft = self
            .run(store, "draft", year(date(2026, 7, 10)), None)
            .await;
        exclude(store, self.draft, 2).await;
        exclude(store, self.draft, 3).await;
    }

    /// A draft, filled unless it is a correction.
    async fn run(
        &self,
        store: &SqliteStore,
        key: &str,
        period: Period,
        supersedes: Option<i64>,
    ) -> i64 {
        let new = NewEvaluation {
            key: key.to_owned(),
            county: county(),
            name: format!("考核 {key}"),
            period,
            rubric: None,
            supersedes,
            minutes_from: None,
            by: "王五".to_owned(),
            at: NOW,
        };
        let made = evaluation::create(store, new).await.expect("a run").run.id;
        if supersedes.is_none() {
            let entries = answers((0..self.schools).map(school));
            enter(store, made, None, entries).await.expect("evidence");
        }
        made
    }
}

async fn frozen(store: &SqliteStore, run: i64) {
    let done = freeze(store, run, freezing(TODAY)).await;
    done.expect("a frozen run");
}

async fn exclude(store: &SqliteStore, run: i64, number: u32) {
    let day = date(2026, 6, 30);
    let exclusion = Exclusion {
        terminal: terminal(number, 0),
        first: day,
        last: day,
        reason: "通宵未关机".to_owned(),
        by: "王五".to_owned(),
        at: NOW,
    };
    let done = evaluation::exclude(store, run, exclusion).await;
    done.expect("an exclusion");
}

/// Every terminal on every weekday outside the holidays, but for each school's last one, which is never used.
async fn report(store: &SqliteStore, cli: &Cli, first: Date) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let holidays = date(2026, 1, 17)..date(2026, 3, 2);
    let days = first.series(1.day()).take_while(|day| *day <= TODAY);
    let taught = |day: &Date| day.weekday().to_monday_zero_offset() < 5 && !holidays.contains(day);
    for day in days.filter(taught) {
        let mut batch = Batch::default();
        for index in 0..cli.schools {
            for one in 0..cli.terminals - 1 {
                let mut used = used(&mut random);
                if day == TODAY {
                    used = used & MinuteSet::of(SO_FAR.0, SO_FAR.1);
                }
                let mut powered = used;
                powered.insert(470, if day == TODAY { SO_FAR.1 } else { 900 });
                let minutes = DayMinutes {
                    powered,
                    used,
                    last_seen: 1,
                };
                batch.days.push((terminal(index, one), day, minutes));
            }
        }
        store.commit(batch).await.expect("a commit");
    }
}

/// Who was heard, and what is wrong.
fn troubles(cli: &Cli) -> Batch {
    let heard = |name, offset| Contact {
        terminal: name,
        received_at: NOW - 30,
        clock_offset: offset,
        boot_id: [7; 16],
        sequence: None,
        facts: Some(("0.1.0".to_owned(), "Windows 10".to_owned())),
    };
    let mut contacts: Vec<Contact> = (0..cli.schools)
        .flat_map(|index| (0..cli.terminals - 1).map(move |one| (index, one)))
        .map(|(index, one)| heard(terminal(index, one), i64::from(one) * 20))
        .collect();
    // Nobody registered these.
    contacts.extend((0..10).map(|one| heard(terminal(9_000, one), 0)));
    let schools = 0..cli.schools;
    Batch {
        contacts,
        incidents: schools
            .clone()
            .map(|index| {
                let kind = Kind::ALL[index as usize % Kind::ALL.len()];
                Incident::found(terminal(index, 1), kind, index, NOW - 86_400)
            })
            .collect(),
        quarantined: schools
            .flat_map(|index| (0..3_u8).map(move |number| (index, number)))
            .map(|(index, number)| Refusal {
                terminal: terminal(index, 2).to_string(),
                fingerprint: vec![number; 32],
                reason: "before_service".to_owned(),
                detail: "20 minutes before service".to_owned(),
                payload: Vec::new(),
                received_at: NOW - 600,
                received_day: TODAY,
            })
            .collect(),
        ..Batch::default()
    }
}
