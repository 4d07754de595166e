//! Rubrics of other counties, and mistakes with their place.

use super::*;

/// A county of a hundred schools, served.
async fn served() -> (Program, Front) {
    let program = Program {
        folder: tempfile::tempdir().unwrap(),
    };
    let store = Arc::new(SqliteStore::open(&program.path("county.db")).unwrap());
    hundred(&store).await;
    let front = Front::start(store).await;
    (program, front)
}

/// A run that scores by another county's rubric.
async fn example_run(front: &Front) -> v1::Run {
    let text = include_str!("../../../../deploy/rubric/example.toml").to_owned();
    let dry_run = false;
    let kept = said!(front, put_rubric, v1::PutRubricRequest { text, dry_run });
    let asked = example(kept.rubric.unwrap().digest);
    said!(front, create_run, asked).run.unwrap()
}

fn example(rubric: String) -> v1::CreateRunRequest {
    v1::CreateRunRequest {
        key: "k".to_owned(),
        name: "学期考核".to_owned(),
        period: Some(v1::Period {
            from: "2026-09-07".to_owned(),
            to: "2026-09-20".to_owned(),
        }),
        rubric,
        by: "王科".to_owned(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_county_s_rubric_is_checked_kept_and_scored_by() {
    let (program, front) = served().await;
    let rubric = said!(front, get_rubric, v1::GetRubricRequest::default());
    assert_eq!((rubric.total.as_str(), rubric.groups.len()), ("100", 6));
    let items: usize = rubric
        .groups
        .iter()
        .flat_map(|one| &one.indicators)
        .map(|one| one.items.len())
        .sum();
    assert_eq!(items, 36);

    // Another county's rubric is checked, kept, listed and scored by.
    let file = include_str!("../../../../deploy/rubric/example.toml");
    let put = |text: String, dry_run| v1::PutRubricRequest { text, dry_run };
    let spoilt = file.replace("weight = 30", "weight = 31");
    let said = said!(front, put_rubric, put(spoilt, false));
    assert!(
        said.rubric.is_none() && said.faults.iter().any(|fault| fault.line > 20),
        "{said:?}"
    );
    front
        .ask()
        .put_rubric(put(file.to_owned(), true))
        .await
        .unwrap();
    let list = || async { said!(front, list_rubrics, v1::ListRubricsRequest {}).rubrics };
    assert_eq!(list().await.len(), 1, "a dry run keeps nothing");
    front
        .ask()
        .put_rubric(put(file.to_owned(), false))
        .await
        .unwrap();
    let listed = list().await;
    assert_eq!(listed[1].id, "example-term");
    let asked = example(listed[1].digest.clone());
    let run = said!(front, create_run, asked.clone()).run.unwrap();
    let sheets = v1::ListScoreSheetsRequest {
        run: run.id,
        school_code: "2123000100".to_owned(),
    };
    let sheets = all(said!(front, list_score_sheets, sheets)).await;
    assert_eq!(
        sheets[0].total.as_ref().unwrap().display,
        "40.00",
        "its 后台监测 weighs 40"
    );

    // One that this version can't read hides no other, and says why.
    let unread = SqliteStore::open(&program.path("county.db")).unwrap();
    unread.put_rubric("name = \"旧\"", 0).await.unwrap();
    let (again, shown) = (list().await, program.json(&["rubric", "list"]));
    assert_eq!(again.len(), 3);
    for (index, one) in again.iter().enumerate() {
        let told = shown.as_array().unwrap();
        let told = told.iter().find(|row| row["digest"] == one.digest.as_str());
        let fault = told.unwrap()["fault"].as_str().unwrap_or_default();
        assert_eq!(fault, one.fault);
        let usable = listed.iter().any(|known| known.digest == one.digest);
        assert_eq!(one.fault.is_empty(), usable, "{index}: {one:?}");
    }
    assert!(program.done(&["rubric", "list"]).contains("无法读取"));

    // The same key with other content is a mistake.
    let other = v1::CreateRunRequest {
        name: "另一个".to_owned(),
        ..asked
    };
    assert_eq!(
        refused!(front, create_run, other).code(),
        Code::FailedPrecondition
    );
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_name_their_place() {
    let (_program, front) = served().await;
    let run = example_run(&front).await;
    let put = |item: &str, key: &str, answer| v1::PutEvidenceRequest {
        run: run.id,
        evidence: vec![v1::Evidence {
            school_code: "2123000001".to_owned(),
            item: item.to_owned(),
            answers: [(key.to_owned(), v1::Answer { answer })].into(),
            by: "王科".to_owned(),
            ..Default::default()
        }],
        expected_revision: None,
    };
    let count = |count| Some(v1::answer::Answer::Count(count));
    let said = said!(front, put_evidence, put("A1-1", "管理制度", count(1)));
    assert_eq!(
        (said.changed, said.faults[0].question.as_str()),
        (0, "管理制度")
    );
    assert!(said.faults[0].problem.contains("“是”或“否”"));
    let said = said!(front, put_evidence, put("Z9", "x", count(1)));
    assert!(said.faults[0].problem.contains("没有条目 Z9"));
    let points = Some(v1::answer::Answer::Points("1,5".to_owned()));
    let refused = refused!(front, put_evidence, put("A2-1", "酌情记分", points));
    assert!(
        refused.message().contains("evidence[0].answers[酌情记分]"),
        "{refused}"
    );
    let refused = refused!(front, put_evidence, put("A1-1", "管理制度", None));
    assert_eq!(refused.code(), Code::InvalidArgument);
    let asked = v1::GetRunRequest { run: 99 };
    assert_eq!(refused!(front, get_run, asked).code(), Code::NotFound);
    let asked = v1::ExportRunRequest {
        run: run.id,
        format: "pdf".to_owned(),
        ..Default::default()
    };
    let refused = front.ask().export_run(asked).await.map(drop).unwrap_err();
    assert!(refused.message().contains("all.xlsx"), "{refused}");
    let asked = v1::VerifyRunRequest { run: run.id };
    assert_eq!(
        refused!(front, verify_run, asked).code(),
        Code::FailedPrecondition
    );
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workbooks_and_exclusions_go_over_the_wire() {
    let (_program, front) = served().await;
    let run = example_run(&front).await;
    // A workbook over the wire, there and back.
    let asked = v1::GetEvidenceWorkbookRequest {
        run: run.id,
        empty: false,
    };
    let book = bytes(said!(front, get_evidence_workbook, asked)).await;
    let import = |content| v1::ImportEvidenceWorkbookRequest {
        run: run.id,
        content,
        by: "信息办".to_owned(),
        dry_run: false,
    };
    let said = said!(front, import_evidence_workbook, import(book));
    assert_eq!((said.changed, said.faults.len()), (0, 0));
    let said = said!(front, import_evidence_workbook, import(b"PK".to_vec()));
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
    let mut nowhere = exclude("整夜开机");
    nowhere.period = Some(v1::Period {
        from: "2026-10-07".to_owned(),
        to: "2026-10-08".to_owned(),
    });
    let refused = refused!(front, add_exclusion, nowhere);
    assert!(refused.message().contains("check its id"), "{refused}");
    let kept = said!(front, add_exclusion, exclude("整夜开机"));
    let asked = v1::InspectRunRequest { run: run.id };
    let inspected = said!(front, inspect_run, asked);
    assert_eq!(inspected.highest_schools, ["2123000099"]);
    let asked = v1::RemoveExclusionRequest {
        run: run.id,
        id: kept.id,
    };
    front.ask().remove_exclusion(asked).await.unwrap();
    front.stop().await;
}
