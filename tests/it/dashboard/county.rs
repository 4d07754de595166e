//! A small county on a Tuesday morning, told to the store directly: three schools, five terminals, three terms.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use classpulse::{
    app::App,
    clock::Clock,
    domain::{
        ids::Stage,
        incident::{Incident, Kind},
        minutes::{DayMinutes, MinuteSet},
        rubric::{ItemEvidence, Value},
        usage::Period,
    },
    evaluation::{self, NewEvaluation},
    store::{
        Batch, Contact, County, Placement, Refusal, RegistryChange, Run, School, SharedStore,
        sqlite::SqliteStore,
    },
};
use jiff::{
    Timestamp,
    civil::{Date, Weekday, date},
};
use tempfile::TempDir;

use crate::support::{self, COUNTY, EMBEDDED, JUNIOR, PRIMARY, county, school, terminal};

/// The school whose name a spreadsheet would take for a formula, and whose terminal was never heard.
pub(crate) const SILENT: &str = "2123000003";

/// A term that is over, with use in April and May.
pub(crate) const SPRING: Period = Period {
    first: date(2026, 3, 2),
    last: date(2026, 7, 10),
};

/// In the third lesson of a Tuesday.
pub(crate) const TODAY: Date = date(2026, 11, 24);
pub(crate) const MINUTE: u16 = 10 * 60 + 20;

/// 2026-11-24T10:20:00+08:00.
const NOW: i64 = 1_795_486_800;

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
[[term]]
name = "2026年秋"
first = "2026-09-01"
last = "2027-01-15"
[[timetable]]
lessons = ["08:00-08:40", "09:00-09:40", "10:00-10:40", "13:30-14:10"]
"#;

/// Time stands still.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }
}

/// The service on that morning.
pub(crate) struct Morning {
    pub(crate) app: App,
    folder: TempDir,
}

impl Morning {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore =
            Arc::new(SqliteStore::open(&folder.path().join("test.db")).unwrap());
        seed(&store).await;
        Self::start_on(folder, store).await
    }

    /// Without a county.
    pub(crate) async fn start_empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore =
            Arc::new(SqliteStore::open(&folder.path().join("test.db")).unwrap());
        Self::start_on(folder, store).await
    }

    /// With a hundred schools of twenty terminals, each used today and never alike.
    pub(crate) async fn start_large() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore =
            Arc::new(SqliteStore::open(&folder.path().join("test.db")).unwrap());
        seed_large(&store).await;
        Self::start_on(folder, store).await
    }

    async fn start_on(folder: TempDir, store: SharedStore) -> Self {
        let config = support::config(&folder, EMBEDDED);
        let app = App::start(&config, store, Arc::new(Still)).await.unwrap();
        Self { app, folder }
    }

    /// Changes the database behind the service's back.
    pub(crate) fn tamper(&self, sql: &str) {
        let database = self.folder.path().join("test.db");
        let database = rusqlite::Connection::open(database).unwrap();
        assert_eq!(database.execute(sql, []).unwrap(), 1, "{sql}");
    }

    pub(crate) fn address(&self, path: &str) -> String {
        format!("http://{}{path}", self.app.api)
    }

    /// A draft over the spring.
    pub(crate) async fn run(&self) -> Run {
        self.run_over(SPRING).await
    }

    pub(crate) async fn run_over(&self, period: Period) -> Run {
        let new = NewEvaluation {
            key: "spring".to_owned(),
            county: county(),
            name: "春季考核".to_owned(),
            period,
            rubric: None,
            supersedes: None,
            minutes_from: None,
            by: "王科".to_owned(),
            at: NOW,
        };
        let made = evaluation::create(self.app.store.as_ref(), new).await;
        made.unwrap().run
    }

    /// A terminal is heard now, and was used over these minutes today.
    pub(crate) async fn heard(&self, name: &str, used: (u16, u16)) {
        let batch = Batch {
            days: vec![(terminal(name), TODAY, minutes(&[used]))],
            contacts: vec![contact(name, NOW - 20, 0)],
            ..Batch::default()
        };
        self.app.store.commit(batch).await.unwrap();
    }

    /// Asks without a browser: status, headers and body. HTTP/1.0, so that the body comes as it is.
    pub(crate) async fn ask(&self, request: String) -> (u16, String, Vec<u8>) {
        let address = self.app.api;
        tokio::task::spawn_blocking(move || exchange(address, &request))
            .await
            .unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String, Vec<u8>) {
        let host = self.app.api;
        self.ask(format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n"))
            .await
    }

    pub(crate) async fn stop(self) {
        self.app.stop(Duration::from_secs(10)).await;
    }
}

fn exchange(address: SocketAddr, request: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let body = answer.split_off(end.unwrap() + 4);
    let head = String::from_utf8(answer).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, body)
}

/// Evidence that says yes to one question.
pub(crate) fn yes(question: &str) -> ItemEvidence {
    ItemEvidence {
        values: [(question.to_owned(), Value::YesNo(true))].into(),
        by: "李老师".to_owned(),
        at: NOW,
        ..ItemEvidence::default()
    }
}

fn minutes(used: &[(u16, u16)]) -> DayMinutes {
    let mut day = DayMinutes::default();
    for (start, end) in used {
        day.used.insert(*start, *end);
        day.powered.insert(start.saturating_sub(5), *end);
    }
    day.powered |= MinuteSet::EMPTY;
    day
}

fn contact(name: &str, received_at: i64, clock_offset: i64) -> Contact {
    Contact {
        terminal: terminal(name),
        received_at,
        clock_offset,
        boot_id: [7; 16],
        sequence: None,
        facts: None,
    }
}

fn registry() -> RegistryChange {
    let schools = [
        (PRIMARY, "甲小学", Stage::Primary, "奇克镇"),
        (JUNIOR, "乙初中", Stage::Junior, "奇克镇"),
        (SILENT, "=丙小学", Stage::Primary, "逊河镇"),
    ];
    let stands = |name: &str, code: &str, room: &str| {
        let placement = Placement {
            school: school(code),
            room: room.to_owned(),
            from: date(2025, 9, 1),
            to: None,
        };
        (terminal(name), vec![placement])
    };
    RegistryChange {
        counties: vec![County {
            code: county(),
            name: "逊克县".to_owned(),
        }],
        schools: schools
            .map(|(code, name, stage, township)| School {
                code: school(code),
                name: name.to_owned(),
                stage,
                township: township.to_owned(),
                county: county(),
            })
            .to_vec(),
        placements: vec![
            stands("P-1", PRIMARY, "一年一班"),
            stands("P-2", PRIMARY, "一年二班"),
            stands("J-1", JUNIOR, "七年一班"),
            stands("S-1", SILENT, "二年一班"),
        ],
    }
}

/// Weekdays in September to November, and in the spring.
fn days() -> Vec<Date> {
    let one_day = jiff::Span::new().days(1);
    let of = |first: Date, last: Date| first.series(one_day).take_while(move |day| *day <= last);
    let weekend = |day: &Date| matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
    of(date(2026, 4, 1), date(2026, 5, 29))
        .chain(of(date(2026, 9, 1), TODAY))
        .filter(|day| !weekend(day))
        .collect()
}

async fn seed(store: &SharedStore) {
    store.change_registry(registry()).await.unwrap();
    store.set_calendar(&county(), CALENDAR, 0).await.unwrap();
    let mut batch = Batch::default();
    for day in days() {
        let until = if day == TODAY { MINUTE } else { 850 };
        let long = u16::try_from(day.day()).unwrap();
        batch
            .days
            .push((terminal("J-1"), day, minutes(&[(480, 500 + long / 2)])));
        let used = [(485, 515), (600, 600 + 10.min(until - 600)), (810, until)];
        let used: Vec<_> = used.into_iter().filter(|(a, b)| a < b).collect();
        batch.days.push((terminal("P-1"), day, minutes(&used)));
    }
    batch.days.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    batch.contacts = vec![
        contact("J-1", NOW - 7_200, -400),
        contact("P-1", NOW - 30, 0),
        contact("P-2", NOW - 40, 1),
        contact("W-1", NOW - 900, 0),
    ];
    batch.incidents = vec![Incident::found(
        terminal("J-1"),
        Kind::ClockOff,
        1,
        NOW - 86_400,
    )];
    batch.quarantined = vec![refusal("P-2")];
    store.commit(batch).await.unwrap();
}

async fn seed_large(store: &SharedStore) {
    let (mut change, mut batch) = (registry(), Batch::default());
    change.schools.clear();
    change.placements.clear();
    for number in 1..=100_u16 {
        let code = format!("21231{number:05}");
        change.schools.push(School {
            code: school(&code),
            name: format!("奇克镇第{number}中心小学"),
            stage: Stage::Primary,
            township: format!("第{}镇", number % 9),
            county: county(),
        });
        for at in 1..=20_u16 {
            let name = format!("L-{number:03}-{at:02}");
            let placement = Placement {
                school: school(&code),
                room: format!("{}年{}班", at / 4 + 1, at % 4 + 1),
                from: date(2026, 9, 1),
                to: None,
            };
            change.placements.push((terminal(&name), vec![placement]));
            let used = [
                (480, 480 + (number * at) % 40),
                (540, 541 + (number + at) % 40),
            ];
            let used: Vec<_> = used.into_iter().filter(|(a, b)| a < b).collect();
            batch.days.push((terminal(&name), TODAY, minutes(&used)));
            batch.contacts.push(contact(&name, NOW - i64::from(at), 0));
        }
    }
    store.change_registry(change).await.unwrap();
    store.set_calendar(&county(), CALENDAR, 0).await.unwrap();
    store.commit(batch).await.unwrap();
}

/// A session of the morning that was refused as too early: the same would be taken now.
fn refusal(name: &str) -> Refusal {
    use classpulse_proto::v1::{Kind, Report, Session};
    use prost::Message as _;
    let at = |minute: i64| NOW - (i64::from(MINUTE) - minute) * 60;
    let report = Report {
        terminal: name.to_owned(),
        boot_id: vec![7; 16],
        sequence: 1,
        sessions: vec![Session {
            kind: Kind::Used.into(),
            number: 1,
            start: at(480),
            end: at(500),
            open: false,
        }],
        ..Report::default()
    };
    Refusal {
        terminal: name.to_owned(),
        fingerprint: vec![1; 32],
        reason: "before_service".to_owned(),
        detail: "20 minutes before service".to_owned(),
        payload: report.encode_to_vec(),
        received_at: NOW - 600,
        received_day: TODAY,
    }
}

/// The county's code, for requests.
pub(crate) const CODE: &str = COUNTY;
