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
    api::{self, Limits, Parts, ReportSink, ServeError, SinkError},
    domain::{
        ids::{SchoolCode, Stage, TerminalId},
        minutes::{DayMinutes, MinuteSet},
    },
    store::{Batch, County, Placement, RegistryChange, School, Store, sqlite::SqliteStore},
};
use classpulse_proto::v1::{self, evaluation_client::EvaluationClient};
use futures::{Stream, TryStreamExt as _};
use jiff::{ToSpan as _, civil::date, tz::TimeZone};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport::Channel};

use super::county::{CALENDAR, MONDAY, county};

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
        let parts = Parts {
            store,
            zone: TimeZone::get("Asia/Shanghai").unwrap(),
            clock: Arc::new(|| "2026-10-08T01:00:00Z".parse().unwrap()),
            sink: Arc::new(Sink),
            changes: api::changes(),
            drain: CancellationToken::new(),
            http: axum::Router::new(),
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

/// One county's year, in the order in which a bureau goes through it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_schools_are_evaluated_and_every_figure_is_the_same_everywhere() {
    let program = Program {
        folder: tempfile::tempdir().unwrap(),
    };
    let store = Arc::new(SqliteStore::open(&program.path("county.db")).unwrap());
    hundred(&store).await;
    let create = [
        "runs",
        "create",
        "2026年秋季考核",
        "--from",
        "2026-09-07",
        "--to",
        "2026-09-20",
        "--by",
        "王科",
    ];
    let run = program.json(&create)["id"].to_string();
    assert_eq!(
        program.json(&create)["id"].to_string(),
        run,
        "the same run again"
    );

    // The workbook goes out, is filled in by openpyxl, and comes back.
    program.done(&["evidence", "template", &run, "--out", "t.xlsx"]);
    fill(&program.path("t.xlsx"), &program.path("f.xlsx"));
    let import = ["evidence", "import", &run, "f.xlsx", "--by", "信息办"];
    let changed = program.json(&import)["changed"].as_u64().unwrap();
    assert_eq!(changed, 100 * 35, "all items but 后台监测 ask something");
    assert_eq!(
        program.json(&import)["changed"],
        0,
        "once more changes nothing"
    );
    program.done(&["evidence", "export", &run, "--out", "e.xlsx"]);
    assert_eq!(
        program.json(&["evidence", "import", &run, "e.xlsx", "--by", "信息办"])["changed"],
        0
    );
    program.refused(
        &[
            "evidence",
            "set",
            &run,
            "2123000001",
            "2.1.2",
            "专任教师人数=0",
            "--by",
            "李",
        ],
        "不小于 1",
    );
    program.refused(
        &[
            "evidence",
            "set",
            &run,
            "2123000001",
            "2.1.2",
            "教师=4",
            "--by",
            "李",
        ],
        "可填:办公电脑台数",
    );

    // Points and files.
    for (format, file) in [
        ("summary.xlsx", "s.xlsx"),
        ("all.xlsx", "a.xlsx"),
        ("summary.csv", "s.csv"),
        ("json", "r.json"),
    ] {
        program.done(&["runs", "export", &run, "--format", format, "--out", file]);
    }
    let totals = totals_of_json(&program.path("r.json"));
    assert_eq!(totals.len(), 100);
    assert_eq!(totals_of_xlsx(&program.path("s.xlsx")), totals);
    assert_eq!(totals_of_xlsx(&program.path("a.xlsx")), totals);
    assert_eq!(totals_of_csv(&program.path("s.csv")), totals);
    let front = Front::start(store.clone()).await;
    let number: i64 = run.parse().unwrap();
    let sheets = v1::ListScoreSheetsRequest {
        run: number,
        ..Default::default()
    };
    let sheets = all(front
        .ask()
        .list_score_sheets(sheets)
        .await
        .unwrap()
        .into_inner())
    .await;
    let shown = sheets.iter().map(|sheet| {
        let code = sheet.school.as_ref().unwrap().code.clone();
        (code, sheet.total.as_ref().unwrap().display.clone())
    });
    assert_eq!(shown.collect::<Totals>(), totals);
    let ranks: Vec<u32> = sheets.iter().map(|sheet| sheet.rank).collect();
    assert!(ranks[0] == 1 && ranks.is_sorted(), "{ranks:?}");
    let asked = v1::ExportRunRequest {
        run: number,
        format: "json".to_owned(),
        ..Default::default()
    };
    let same = bytes(front.ask().export_run(asked).await.unwrap().into_inner()).await;
    assert_eq!(same, std::fs::read(program.path("r.json")).unwrap());

    // 后台监测: school 100 sets the maximum, 120 minutes on one of two terminals.
    let asked = v1::GetRunMonitoringScoresRequest { run: number };
    let scores = front
        .ask()
        .get_run_monitoring_scores(asked)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(scores.highest_schools, ["2123000100"]);
    assert_eq!(scores.schools[0].points_display, "15.00");
    let asked = v1::ExplainRequest {
        run: number,
        school_code: "2123000060".to_owned(),
        item: "4.3.1".to_owned(),
    };
    let why = front.ask().explain(asked).await.unwrap().into_inner();
    assert_eq!(why.terminals.len(), 2);
    assert_eq!(
        (why.terminals[0].counted_minutes, why.terminals[0].due_days),
        (700, 10)
    );
    assert_eq!(why.terminals[0].days[0].used, "08:00-09:20");
    assert_eq!(why.terminals[1].counted_minutes, 0);

    freezes_and_corrects(&program, &front, number, &totals).await;
    front.stop().await;
}

async fn freezes_and_corrects(program: &Program, front: &Front, number: i64, totals: &Totals) {
    let run = number.to_string();
    // Who sets the maximum is shown first, and what excluding it would do.
    let inspected = program.done(&["runs", "inspect", &run]);
    assert!(
        inspected.contains("第100学校") && inspected.contains("第99学校"),
        "{inspected}"
    );
    let asked = v1::WhatIfRequest {
        run: number,
        exclude: vec![v1::TrialExclusion {
            terminal: "t-100-1".to_owned(),
            period: None,
        }],
        readings: [("R3".to_owned(), "unmet".to_owned())].into(),
        rubric_text: String::new(),
    };
    let tried = front.ask().what_if(asked).await.unwrap().into_inner();
    let of = |schools: &[v1::SchoolDifference], code: &str| {
        schools
            .iter()
            .find(|one| one.school_code == code)
            .unwrap()
            .clone()
    };
    let best = of(&tried.schools, "2123000100");
    let lost = best.items.iter().find(|item| item.item == "4.3.1").unwrap();
    assert_eq!(lost.after.as_ref().unwrap().display, "0.00");

    // Freezing wants to be told that answers are missing; then nothing changes any more.
    let missing = "answers are missing";
    program.refused(&["runs", "freeze", &run, "--by", "王科"], missing);
    let freeze = |accept_missing| v1::FreezeRunRequest {
        run: number,
        by: "王科".to_owned(),
        note: String::new(),
        accept_missing,
    };
    let refused = front.ask().freeze_run(freeze(false)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let frozen = front
        .ask()
        .freeze_run(freeze(true))
        .await
        .unwrap()
        .into_inner();
    let digest = frozen.freeze.unwrap().digest;
    assert!(program.done(&["runs", "verify", &run]).contains(&digest));
    program.refused(
        &["evidence", "set", &run, "2123000001", "5.6", "--by", "李"],
        "frozen",
    );
    let put = v1::PutEvidenceRequest {
        run: number,
        evidence: vec![evidence("2123000001", "1.1.1", true)],
        expected_revision: 0,
    };
    let refused = front.ask().put_evidence(put).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");

    // A correction begins with what was known, and the comparison finds what was changed.
    let asked = v1::CreateRunRequest {
        key: "correction".to_owned(),
        name: "更正".to_owned(),
        period: frozen.period,
        supersedes: number,
        by: "王科".to_owned(),
        ..Default::default()
    };
    let second = front
        .ask()
        .create_run(asked.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        front.ask().create_run(asked).await.unwrap().into_inner(),
        second
    );
    let put = |yes| v1::PutEvidenceRequest {
        run: second.id,
        evidence: vec![evidence("2123000001", "1.1.1", yes)],
        expected_revision: 0,
    };
    // School 1 has 领导小组 already; school 3 lacks it.
    let mut change = put(true);
    change.evidence[0].school_code = "2123000003".to_owned();
    let put = front.ask().put_evidence(change).await.unwrap().into_inner();
    assert_eq!((put.changed, put.faults.len()), (1, 0));
    let asked = v1::CompareRunsRequest {
        before: number,
        after: second.id,
    };
    let compared = front.ask().compare_runs(asked).await.unwrap().into_inner();
    assert_eq!(compared.inputs, ["evidence"]);
    assert_eq!(compared.schools.len(), 1, "{:?}", compared.schools);
    let one = &compared.schools[0];
    assert_eq!(one.school_code, "2123000003");
    assert_eq!(one.before.as_ref().unwrap().display, totals["2123000003"]);
    let items: Vec<&str> = one.items.iter().map(|item| item.item.as_str()).collect();
    assert_eq!(items, ["1.1.1"]);
    let listed = program.json(&["runs", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    program.done(&["runs", "discard", &second.id.to_string()]);
    program.refused(&["runs", "discard", &run], "frozen");
}

fn evidence(school: &str, item: &str, yes: bool) -> v1::Evidence {
    let key = "已成立信息化工作领导小组,职责明确".to_owned();
    let answer = v1::Answer {
        answer: Some(v1::answer::Answer::YesNo(yes)),
    };
    v1::Evidence {
        school_code: school.to_owned(),
        item: item.to_owned(),
        answers: [(key, answer)].into(),
        by: "王科".to_owned(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rubrics_and_mistakes_are_answered_with_their_place() {
    let program = Program {
        folder: tempfile::tempdir().unwrap(),
    };
    let store = Arc::new(SqliteStore::open(&program.path("county.db")).unwrap());
    hundred(&store).await;
    let front = Front::start(store.clone()).await;
    let rubric = front
        .ask()
        .get_rubric(v1::GetRubricRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((rubric.total.as_str(), rubric.groups.len()), ("100", 6));
    let items: usize = rubric
        .groups
        .iter()
        .flat_map(|one| &one.indicators)
        .map(|one| one.items.len())
        .sum();
    assert_eq!(items, 36);

    // Another county's rubric is checked, kept, listed and scored by.
    let example = include_str!("../../../deploy/rubric/example.toml");
    let put = |text: String, dry_run| v1::PutRubricRequest { text, dry_run };
    let spoilt = example.replace("weight = 30", "weight = 31");
    let said = front
        .ask()
        .put_rubric(put(spoilt, false))
        .await
        .unwrap()
        .into_inner();
    assert!(
        said.rubric.is_none() && said.faults.iter().any(|fault| fault.line > 20),
        "{said:?}"
    );
    front
        .ask()
        .put_rubric(put(example.to_owned(), true))
        .await
        .unwrap();
    let list = || async {
        front
            .ask()
            .list_rubrics(v1::ListRubricsRequest {})
            .await
            .unwrap()
            .into_inner()
            .rubrics
    };
    assert_eq!(list().await.len(), 1, "a dry run keeps nothing");
    front
        .ask()
        .put_rubric(put(example.to_owned(), false))
        .await
        .unwrap();
    let listed = list().await;
    assert_eq!(listed[1].id, "example-term");
    let asked = v1::CreateRunRequest {
        key: "k".to_owned(),
        name: "学期考核".to_owned(),
        period: Some(v1::Period {
            from: "2026-09-07".to_owned(),
            to: "2026-09-20".to_owned(),
        }),
        rubric: listed[1].digest.clone(),
        by: "王科".to_owned(),
        ..Default::default()
    };
    let run = front
        .ask()
        .create_run(asked.clone())
        .await
        .unwrap()
        .into_inner();
    let sheets = v1::ListScoreSheetsRequest {
        run: run.id,
        school_code: "2123000100".to_owned(),
    };
    let sheets = all(front
        .ask()
        .list_score_sheets(sheets)
        .await
        .unwrap()
        .into_inner())
    .await;
    assert_eq!(
        sheets[0].total.as_ref().unwrap().display,
        "40.00",
        "its 后台监测 weighs 40"
    );

    // Mistakes name their place.
    let other = v1::CreateRunRequest {
        name: "另一个".to_owned(),
        ..asked
    };
    assert_eq!(
        front.ask().create_run(other).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    let put = |item: &str, key: &str, answer| v1::PutEvidenceRequest {
        run: run.id,
        evidence: vec![v1::Evidence {
            school_code: "2123000001".to_owned(),
            item: item.to_owned(),
            answers: [(key.to_owned(), v1::Answer { answer })].into(),
            by: "王科".to_owned(),
            ..Default::default()
        }],
        expected_revision: 0,
    };
    let count = |count| Some(v1::answer::Answer::Count(count));
    let said = front
        .ask()
        .put_evidence(put("A1-1", "管理制度", count(1)))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (said.changed, said.faults[0].question.as_str()),
        (0, "管理制度")
    );
    assert!(said.faults[0].problem.contains("“是”或“否”"));
    let said = front
        .ask()
        .put_evidence(put("Z9", "x", count(1)))
        .await
        .unwrap()
        .into_inner();
    assert!(said.faults[0].problem.contains("没有条目 Z9"));
    let points = Some(v1::answer::Answer::Points("1,5".to_owned()));
    let refused = front
        .ask()
        .put_evidence(put("A2-1", "酌情记分", points))
        .await
        .unwrap_err();
    assert!(
        refused.message().contains("evidence[0].answers[酌情记分]"),
        "{refused}"
    );
    let refused = front
        .ask()
        .put_evidence(put("A1-1", "管理制度", None))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let asked = v1::GetRunRequest { run: 99 };
    assert_eq!(
        front.ask().get_run(asked).await.unwrap_err().code(),
        Code::NotFound
    );
    let asked = v1::ExportRunRequest {
        run: run.id,
        format: "pdf".to_owned(),
        ..Default::default()
    };
    let refused = front.ask().export_run(asked).await.map(drop).unwrap_err();
    assert!(refused.message().contains("all.xlsx"), "{refused}");
    let asked = v1::VerifyRunRequest { run: run.id };
    assert_eq!(
        front.ask().verify_run(asked).await.unwrap_err().code(),
        Code::FailedPrecondition
    );

    // A workbook over the wire, there and back.
    let asked = v1::GetEvidenceWorkbookRequest {
        run: run.id,
        empty: false,
    };
    let book = bytes(
        front
            .ask()
            .get_evidence_workbook(asked)
            .await
            .unwrap()
            .into_inner(),
    )
    .await;
    let import = |content| v1::ImportEvidenceWorkbookRequest {
        run: run.id,
        content,
        by: "信息办".to_owned(),
        dry_run: false,
    };
    let said = front
        .ask()
        .import_evidence_workbook(import(book))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((said.changed, said.faults.len()), (0, 0));
    let said = front
        .ask()
        .import_evidence_workbook(import(b"PK".to_vec()))
        .await
        .unwrap()
        .into_inner();
    assert!(!said.faults.is_empty());

    // Exclusions have a name and a reason.
    let exclude = |reason: &str| v1::AddExclusionRequest {
        run: run.id,
        terminal: "t-100-1".to_owned(),
        period: run.period.clone(),
        reason: reason.to_owned(),
        by: "王科".to_owned(),
    };
    assert!(front.ask().add_exclusion(exclude(" ")).await.is_err());
    let kept = front
        .ask()
        .add_exclusion(exclude("整夜开机"))
        .await
        .unwrap()
        .into_inner();
    let asked = v1::InspectRunRequest { run: run.id };
    let inspected = front.ask().inspect_run(asked).await.unwrap().into_inner();
    assert_eq!(inspected.highest_schools, ["2123000099"]);
    let asked = v1::RemoveExclusionRequest {
        run: run.id,
        id: kept.id,
    };
    front.ask().remove_exclusion(asked).await.unwrap();
    front.stop().await;
}
