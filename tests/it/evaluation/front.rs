//! A county of a hundred schools, evaluated as its bureau does it: on the command line, with a workbook that a stranger's
//! program fills in, and over gRPC. The figures are the same everywhere, to the digit.

use std::{
    collections::BTreeMap,
    io::Cursor,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use async_trait::async_trait;
use calamine::{Data, Reader as _, Xlsx};
use classpulse::{
    api::{self, Limits, Names, Parts, ReportSink, ServeError, SinkError},
    domain::{
        ids::{SchoolCode, Stage, TerminalId},
        minutes::{DayMinutes, MinuteSet},
    },
    store::{
        Batch, County, EvaluationStore as _, Placement, RegistryChange, School, Store,
        sqlite::SqliteStore,
    },
};
use classpulse_proto::v1::{self, evaluation_client::EvaluationClient};
use futures::{Stream, TryStreamExt as _};
use jiff::{ToSpan as _, civil::date, tz::TimeZone};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport::Channel};

mod clerks;
mod mistakes;
mod year;

/// What the service answers.
macro_rules! said {
    ($front:expr, $method:ident, $request:expr) => {
        $front.ask().$method($request).await.unwrap().into_inner()
    };
}

/// Why the service refuses.
macro_rules! refused {
    ($front:expr, $method:ident, $request:expr) => {
        $front.ask().$method($request).await.map(drop).unwrap_err()
    };
}

use {refused, said};

use super::county::{CALENDAR, MONDAY, county};
use crate::support::open_door;

const STAGES: [Stage; 4] = [
    Stage::Primary,
    Stage::Junior,
    Stage::NineYear,
    Stage::TeachingPoint,
];

fn school(number: u32) -> SchoolCode {
    format!("21230{number:05}").parse().unwrap()
}

fn terminal(school: u32, number: u32) -> TerminalId {
    format!("t-{school}-{number}").parse().unwrap()
}

/// A hundred schools with two terminals each; those of school n are used n + 20 minutes a teaching day, the second silent.
async fn hundred(store: &SqliteStore) {
    let all = 1..=100_u32;
    let schools = all.clone().map(|number| School {
        code: school(number),
        name: format!("第{number}学校"),
        stage: STAGES[number as usize % 4],
        township: "奇克镇".to_owned(),
        county: county(),
    });
    let stands = |number: u32| Placement {
        school: school(number),
        room: String::new(),
        from: date(2026, 9, 1),
        to: None,
    };
    let placements = all
        .clone()
        .flat_map(|number| [1, 2].map(|each| (terminal(number, each), vec![stands(number)])));
    let change = RegistryChange {
        counties: vec![County {
            code: county(),
            name: "逊克县".to_owned(),
        }],
        schools: schools.collect(),
        placements: placements.collect(),
    };
    store.change_registry(change).await.unwrap();
    store.set_calendar(&county(), CALENDAR, 0).await.unwrap();
    let used = |number: u32| {
        let minutes = u16::try_from(number + 20).unwrap();
        MinuteSet::of(480, 480 + minutes)
    };
    let mut days = Vec::new();
    for number in all {
        for day in [0, 1, 2, 3, 4, 7, 8, 9, 10, 11] {
            let minutes = DayMinutes {
                powered: used(number),
                used: used(number),
                last_seen: 7,
            };
            days.push((terminal(number, 1), MONDAY + day.days(), minutes));
        }
    }
    days.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let batch = Batch {
        days,
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
}

/// The program on a store, as an operator runs it.
struct Program {
    folder: TempDir,
}

impl Program {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Exit code, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_classpulse"))
            .env(
                "CLASSPULSE_STORE",
                format!("sqlite:{}", self.path("county.db").display()),
            )
            .current_dir(self.folder.path())
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        (output.status.code().unwrap(), out, err)
    }

    fn done(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    }

    fn json(&self, arguments: &[&str]) -> Json {
        let out = self.done(&[&["--json"], arguments].concat());
        serde_json::from_str(&out).unwrap()
    }

    fn refused(&self, arguments: &[&str], says: &str) {
        let (code, out, err) = self.run(arguments);
        assert!(
            code == 3 && err.contains(says),
            "{arguments:?}: {code} {out}{err}"
        );
    }
}

fn fill(template: &Path, out: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/stock-client/bin/python");
    assert!(
        python.exists(),
        "run ./deploy/test once: it makes {}",
        python.display()
    );
    let script = root.join("tests/it/fill_evidence.py");
    let output = Command::new(python)
        .args([script.as_path(), template, out])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// 学校标识码 → 总分, as a table shows them.
type Totals = BTreeMap<String, String>;

fn totals_of_rows(rows: &[Vec<String>]) -> Totals {
    let (headings, code, total) = rows
        .iter()
        .enumerate()
        .find_map(|(at, row)| {
            let column = |name: &str| row.iter().position(|cell| cell == name);
            Some((at, column("学校标识码")?, column("总分")?))
        })
        .unwrap();
    let schools = rows[headings + 1..]
        .iter()
        .filter(|row| row[code].len() == 10);
    schools
        .map(|row| (row[code].clone(), row[total].clone()))
        .collect()
}

fn totals_of_xlsx(path: &Path) -> Totals {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(std::fs::read(path).unwrap())).unwrap();
    let sheet = book.worksheet_range_at(0).unwrap().unwrap();
    let text = |cell: &Data| match cell {
        Data::Float(number) => format!("{number:.2}"),
        other => other.to_string(),
    };
    let rows: Vec<Vec<String>> = sheet
        .rows()
        .map(|row| row.iter().map(text).collect())
        .collect();
    totals_of_rows(&rows)
}

fn totals_of_csv(path: &Path) -> Totals {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.strip_prefix('\u{feff}').expect("with a BOM");
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(text.as_bytes());
    let rows = reader
        .records()
        .map(|row| row.unwrap().iter().map(str::to_owned).collect());
    totals_of_rows(&rows.collect::<Vec<_>>())
}

fn totals_of_json(path: &Path) -> Totals {
    let all: Json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let schools = all["schools"].as_array().unwrap();
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    schools
        .iter()
        .map(|one| (text(&one["code"]), text(&one["score"]["points"])))
        .collect()
}

struct Sink;

#[async_trait]
impl ReportSink for Sink {
    async fn accept(&self, _report: v1::Report) -> Result<v1::Ack, SinkError> {
        Err(SinkError::Draining)
    }
}

/// The front, served until it is dropped.
struct Front {
    client: EvaluationClient<Channel>,
    shutdown: CancellationToken,
    served: JoinSet<Result<(), ServeError>>,
}

impl Front {
    async fn start(store: Arc<SqliteStore>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let (gate, store) = open_door(store);
        let parts = Parts {
            store,
            gate,
            names: Names::Any,
            zone: TimeZone::get("Asia/Shanghai").unwrap(),
            clock: Arc::new(|| "2026-10-08T01:00:00Z".parse().unwrap()),
            sink: Arc::new(Sink),
            changes: api::changes(),
            drain: CancellationToken::new(),
            http: axum::Router::new(),
            tls: None,
            limits: Limits::default(),
        };
        let mut served = JoinSet::new();
        served.spawn(api::serve(listener, parts, shutdown.clone()));
        let channel = Channel::from_shared(format!("http://{address}")).unwrap();
        let client = EvaluationClient::new(channel.connect().await.unwrap());
        Self {
            client: client.max_decoding_message_size(16 * 1024 * 1024),
            shutdown,
            served,
        }
    }

    fn ask(&self) -> EvaluationClient<Channel> {
        self.client.clone()
    }

    async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(done) = self.served.join_next().await {
            done.unwrap().unwrap();
        }
    }
}

async fn all<T>(stream: impl Stream<Item = Result<T, Status>>) -> Vec<T> {
    stream.try_collect().await.unwrap()
}

async fn bytes(stream: impl Stream<Item = Result<v1::FileChunk, Status>>) -> Vec<u8> {
    let chunks = all(stream).await;
    assert!(!chunks[0].file_name.is_empty());
    chunks.into_iter().flat_map(|chunk| chunk.content).collect()
}
