//! One county's year, in the order in which a bureau goes through it.

use super::*;

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
    let run = program.json(&create)["run"]["id"].to_string();
    assert_eq!(
        program.json(&create)["run"]["id"].to_string(),
        run,
        "the same run again"
    );

    fills_in(&program, &run);
    let totals = totals_of_files(&program, &run);
    let front = Front::start(store).await;
    let number: i64 = run.parse().unwrap();
    says_the_same(&program, &front, number, &totals).await;
    measures_and_explains(&front, number).await;
    tries_otherwise(&program, &front, number).await;
    freezes(&program, &front, number).await;
    corrects(&program, &front, number, &totals).await;
    front.stop().await;
}

fn fills_in(program: &Program, run: &str) {
    // The workbook goes out, is filled in by openpyxl, and comes back.
    program.done(&["evidence", "template", run, "--out", "t.xlsx"]);
    fill(&program.path("t.xlsx"), &program.path("f.xlsx"));
    let import = ["evidence", "import", run, "f.xlsx", "--by", "信息办"];
    let changed = program.json(&import)["changed"].as_u64().unwrap();
    assert_eq!(changed, 100 * 35, "all items but 后台监测 ask something");
    assert_eq!(
        program.json(&import)["changed"],
        0,
        "once more changes nothing"
    );
    program.done(&["evidence", "export", run, "--out", "e.xlsx"]);
    assert_eq!(
        program.json(&["evidence", "import", run, "e.xlsx", "--by", "信息办"])["changed"],
        0
    );
    program.refused(
        &[
            "evidence",
            "set",
            run,
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
            run,
            "2123000001",
            "2.1.2",
            "教师=4",
            "--by",
            "李",
        ],
        "可填:办公电脑台数",
    );
}

fn totals_of_files(program: &Program, run: &str) -> Totals {
    // Points and files.
    for (format, file) in [
        ("summary.xlsx", "s.xlsx"),
        ("all.xlsx", "a.xlsx"),
        ("summary.csv", "s.csv"),
        ("json", "r.json"),
    ] {
        program.done(&["runs", "export", run, "--format", format, "--out", file]);
    }
    let totals = totals_of_json(&program.path("r.json"));
    assert_eq!(totals.len(), 100);
    assert_eq!(totals_of_xlsx(&program.path("s.xlsx")), totals);
    assert_eq!(totals_of_xlsx(&program.path("a.xlsx")), totals);
    assert_eq!(totals_of_csv(&program.path("s.csv")), totals);
    totals
}

async fn says_the_same(program: &Program, front: &Front, number: i64, totals: &Totals) {
    let sheets = v1::ListScoreSheetsRequest {
        run: number,
        ..Default::default()
    };
    let sheets = all(said!(front, list_score_sheets, sheets)).await;
    let shown = sheets.iter().map(|sheet| {
        let code = sheet.school.as_ref().unwrap().code.clone();
        (code, sheet.total.as_ref().unwrap().display.clone())
    });
    assert_eq!(&shown.collect::<Totals>(), totals);
    let ranks: Vec<u32> = sheets.iter().map(|sheet| sheet.rank).collect();
    assert!(ranks[0] == 1 && ranks.is_sorted(), "{ranks:?}");
    let asked = v1::ExportRunRequest {
        run: number,
        format: "json".to_owned(),
        ..Default::default()
    };
    let same = bytes(said!(front, export_run, asked)).await;
    assert_eq!(same, std::fs::read(program.path("r.json")).unwrap());
}

async fn measures_and_explains(front: &Front, number: i64) {
    // 后台监测: school 100 sets the maximum, 120 minutes on one of two terminals.
    let asked = v1::GetRunMonitoringScoresRequest { run: number };
    let scores = said!(front, get_run_monitoring_scores, asked);
    assert_eq!(scores.highest_schools, ["2123000100"]);
    assert_eq!(scores.schools[0].points_display, "15.00");
    let asked = v1::ExplainRequest {
        run: number,
        school_code: "2123000060".to_owned(),
        item: "4.3.1".to_owned(),
    };
    let why = said!(front, explain, asked);
    assert_eq!(why.terminals.len(), 2);
    assert_eq!(
        (why.terminals[0].counted_minutes, why.terminals[0].due_days),
        (700, 10)
    );
    assert_eq!(why.terminals[0].days[0].used, "08:00-09:20");
    assert_eq!(why.terminals[1].counted_minutes, 0);
    assert_eq!((why.counted_minutes, why.service_days), (700, 20));
    assert_eq!(why.highest_average, "50.00");
}

async fn tries_otherwise(program: &Program, front: &Front, number: i64) {
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
    let tried = said!(front, what_if, asked);
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
}

async fn freezes(program: &Program, front: &Front, number: i64) {
    let run = number.to_string();
    // Freezing wants to be told that answers are missing; then nothing changes any more.
    let missing = "answers are missing";
    program.refused(&["runs", "freeze", &run, "--by", "王科"], missing);
    let seen = said!(front, inspect_run, v1::InspectRunRequest { run: number });
    let figures = seen.figures;
    let freeze = |accept_missing| v1::FreezeRunRequest {
        run: number,
        by: "王科".to_owned(),
        note: String::new(),
        accept_missing,
        expected_revision: None,
        expected_figures: figures.clone(),
    };
    let refused = refused!(front, freeze_run, freeze(false));
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let frozen = said!(front, freeze_run, freeze(true));
    let digest = frozen.freeze.unwrap().digest;
    assert!(program.done(&["runs", "verify", &run]).contains(&digest));
    program.refused(
        &[
            "evidence",
            "set",
            &run,
            "2123000001",
            "5.6",
            "--clear",
            "--by",
            "李",
        ],
        "frozen",
    );
    let put = v1::PutEvidenceRequest {
        run: number,
        evidence: vec![evidence("2123000001", "1.1.1", true)],
        expected_revision: None,
    };
    let refused = refused!(front, put_evidence, put);
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
}

async fn corrects(program: &Program, front: &Front, number: i64, totals: &Totals) {
    let run = number.to_string();
    // A correction begins with what was known, and the comparison finds what was changed.
    let asked = v1::CreateRunRequest {
        key: "correction".to_owned(),
        name: "更正".to_owned(),
        period: said!(front, get_run, v1::GetRunRequest { run: number }).period,
        supersedes: number,
        by: "王科".to_owned(),
        ..Default::default()
    };
    let second = said!(front, create_run, asked.clone()).run.unwrap();
    assert_eq!(said!(front, create_run, asked).run, Some(second.clone()));
    let put = |yes| v1::PutEvidenceRequest {
        run: second.id,
        evidence: vec![evidence("2123000001", "1.1.1", yes)],
        expected_revision: None,
    };
    // School 1 has 领导小组 already; school 3 lacks it.
    let mut change = put(true);
    "2123000003".clone_into(&mut change.evidence[0].school_code);
    let put = said!(front, put_evidence, change);
    assert_eq!((put.changed, put.faults.len()), (1, 0));
    let asked = v1::CompareRunsRequest {
        before: number,
        after: second.id,
    };
    let compared = said!(front, compare_runs, asked);
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
