//! Clerks who enter evidence beside each other: by old copies of the workbook, and item by item.

use super::*;

/// A county of a hundred schools with an empty draft; its number.
async fn draft(key: &str) -> (Program, Arc<SqliteStore>, String) {
    let program = Program {
        folder: tempfile::tempdir().unwrap(),
    };
    let store = Arc::new(SqliteStore::open(&program.path("county.db")).unwrap());
    hundred(&store).await;
    let run = create(&program, key);
    (program, store, run)
}

fn create(program: &Program, name: &str) -> String {
    let from_to = ["--from", "2026-09-07", "--to", "2026-09-20", "--by", "王科"];
    let run = program.json(&[&["runs", "create", name], from_to.as_slice()].concat());
    run["run"]["id"].to_string()
}

const ONE: &str = "2123000001";

/// `evidence set` of the first school.
fn set(program: &Program, run: &str, rest: &[&str]) -> (i32, String, String) {
    let head = ["evidence", "set", run, ONE];
    program.run(&[&head, rest, &["--by", "甲"]].concat())
}

fn has_set(program: &Program, run: &str, rest: &[&str]) -> String {
    let (code, out, err) = set(program, run, rest);
    assert_eq!(code, 0, "{rest:?}: {out}{err}");
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_workbook_takes_nothing_from_a_colleague() {
    let (program, store, run) = draft("今年考核").await;
    program.done(&["evidence", "export", &run, "--out", "b.xlsx"]);
    let of_a = ["2.1.2", "办公电脑台数=9", "专任教师人数=40"];
    has_set(&program, &run, &of_a);
    let import = |file| ["evidence", "import", run.as_str(), file, "--by", "乙"];
    let said = program.json(&import("b.xlsx"));
    assert_eq!(
        (&said["changed"], &said["removed"], &said["left_alone"]),
        (&0.into(), &0.into(), &2.into())
    );
    let out = program.done(&import("b.xlsx"));
    assert!(out.contains("2 项") && out.contains("重新导出"), "{out}");
    // The empty form says as little.
    program.done(&["evidence", "template", &run, "--out", "t.xlsx"]);
    assert_eq!(program.json(&import("t.xlsx"))["left_alone"], 2);

    // What both have changed is taken, and named.
    program.done(&["evidence", "export", &run, "--out", "c.xlsx"]);
    has_set(&program, &run, &["2.1.2", "办公电脑台数=10"]);
    let front = Front::start(store).await;
    let number: i64 = run.parse().unwrap();
    let request = |name: &str, run| v1::ImportEvidenceWorkbookRequest {
        run,
        content: std::fs::read(program.path(name)).unwrap(),
        by: "乙".to_owned(),
        dry_run: true,
    };
    let said = said!(front, import_evidence_workbook, request("b.xlsx", number));
    assert_eq!((said.changed, said.removed, said.left_alone), (0, 0, 2));
    assert!(said.note.contains("重新导出"), "{}", said.note);
    let said = said!(front, import_evidence_workbook, request("c.xlsx", number));
    assert_eq!((said.changed, said.overwritten, said.left_alone), (1, 1, 0));
    let cell = &said.overwritten_cells[0];
    assert_eq!(
        (cell.sheet.as_str(), cell.kept.as_str()),
        ("2 设备管理", "10")
    );
    assert!(cell.column.ends_with("2.1.2 办公电脑台数"), "{cell:?}");
    let out = program.done(&import("c.xlsx"));
    assert!(out.contains("原有内容") && out.contains("1 格"), "{out}");

    // Next year's run takes neither.
    let next = create(&program, "明年考核");
    program.refused(
        &["evidence", "import", &next, "c.xlsx", "--by", "乙"],
        "1 处错误",
    );
    let said = said!(
        front,
        import_evidence_workbook,
        request("c.xlsx", next.parse().unwrap())
    );
    let problem = &said.faults[0].problem;
    assert!(
        problem.contains("今年考核") && problem.contains("明年考核"),
        "{problem}"
    );
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_set_joins_what_is_there() {
    let (program, _store, run) = draft("考核").await;
    let known = || {
        let list = ["evidence", "list", &run, "--school", ONE];
        let all = program.json(&list);
        let all = all.as_array().unwrap().clone();
        let found = all.into_iter().find(|one| one["item"] == "2.1.2").unwrap();
        (found["evidence"].clone(), found["missing"].clone())
    };
    assert_eq!(known().0, Json::Null);
    let first = [
        "2.1.2",
        "办公电脑台数=40",
        "--source",
        "台账",
        "--attachment",
        "甲",
    ];
    has_set(&program, &run, &first);
    has_set(&program, &run, &["2.1.2", "专任教师人数=40"]);
    let (evidence, missing) = known();
    assert_eq!(
        (
            evidence["values"].as_object().unwrap().len(),
            &evidence["source"],
            &evidence["attachments"][0]
        ),
        (2, &"台账".into(), &"甲".into())
    );
    assert_eq!(missing, serde_json::json!([]));

    // One answer goes, the rest stays.
    has_set(&program, &run, &["2.1.2", "办公电脑台数="]);
    let (evidence, missing) = known();
    assert_eq!(
        evidence["values"],
        serde_json::json!({ "专任教师人数": { "count": 40 } })
    );
    assert_eq!(missing, serde_json::json!(["办公电脑台数"]));

    // Nothing to set is a slip, not a wish to delete.
    let (code, _, err) = set(&program, &run, &["2.1.2"]);
    assert_eq!(code, 2, "{err}");
    let (code, _, err) = set(&program, &run, &["2.1.2", "--clear", "--source", "x"]);
    assert_eq!(code, 2, "{err}");
    assert_eq!(known().0, evidence);
    assert!(has_set(&program, &run, &["2.1.2", "--clear"]).contains("已清除"));
    assert_eq!(known().0, Json::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_listed() {
    let (program, _store, run) = draft("考核").await;
    has_set(&program, &run, &["1.1.1", "--source", "会议记录"]);
    has_set(
        &program,
        &run,
        &["2.1.2", "办公电脑台数=40", "专任教师人数=40"],
    );
    let list = ["evidence", "list", &run, "--school", ONE];
    let out = program.done(&list);
    let row = |item: &str, words: &[&str]| {
        let mut lines = out.lines().filter(|line| line.contains(item));
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    };
    assert!(row("1.1.1", &["未填", "会议记录", "甲"]), "{out}");
    assert!(row("2.1.2", &["专任教师人数", "40"]), "{out}");
    assert!(row("1.2.3", &["未填"]), "{out}");

    let missing = [list.as_slice(), &["--missing"]].concat();
    let out = program.done(&missing);
    assert!(
        out.contains("1.1.1") && !out.contains("专任教师人数"),
        "{out}"
    );
    let all = program.json(&missing);
    let all = all.as_array().unwrap();
    assert!(!all.is_empty());
    for one in all {
        assert!(!one["missing"].as_array().unwrap().is_empty(), "{one}");
        assert_ne!(one["item"], "2.1.2");
        assert_ne!(one["item"], "4.3.1", "nobody fills in 后台监测");
    }
}
