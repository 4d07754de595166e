//! The same figures on screen, in files, in JSON and over gRPC, and those of the minutes behind them.

use std::{collections::HashMap, io::Cursor};

use calamine::{Data, Reader as _, Xlsx};
use classpulse::evaluation;
use classpulse_proto::v1::{
    self, evaluation_client::EvaluationClient, scoring_client::ScoringClient,
    usage_client::UsageClient,
};
use serde_json::{Value, json};

use super::{
    BROWSERS,
    browser::Browser,
    county::{Morning, SILENT},
};
use crate::support::{JUNIOR, PRIMARY, school};

/// Usage and points of 2026-09-01 to 2026-11-24, as gRPC says them.
async fn contract(morning: &Morning) -> (v1::ListSchoolUsageResponse, v1::MonitoringScores) {
    let days = v1::Period {
        from: "2026-09-01".to_owned(),
        to: "2026-11-24".to_owned(),
    };
    let url = morning.address("");
    let mut usage = UsageClient::connect(url.clone()).await.unwrap();
    let asked = v1::ListSchoolUsageRequest {
        period: Some(days.clone()),
        ..v1::ListSchoolUsageRequest::default()
    };
    let listed = usage.list_school_usage(asked).await.unwrap().into_inner();
    let mut scoring = ScoringClient::connect(url).await.unwrap();
    let asked = v1::GetMonitoringScoresRequest {
        period: Some(days),
        ..v1::GetMonitoringScoresRequest::default()
    };
    let scores = scoring.get_monitoring_scores(asked).await.unwrap();
    (listed, scores.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn screen_file_and_programs_say_the_same() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start().await;
    let query = "from=2026-09-01&to=2026-11-24";
    let (listed, scores) = contract(&morning).await;
    let points: HashMap<_, _> = scores
        .schools
        .iter()
        .map(|one| (one.school_code.clone(), one.points_display.clone()))
        .collect();
    let rate = |one: &v1::SchoolUsage| {
        let ten_thousandths =
            (one.lessons_taught * 20_000 + one.lessons_due) / (one.lessons_due * 2);
        format!("{}.{:02}%", ten_thousandths / 100, ten_thousandths % 100)
    };
    let told: Vec<[String; 6]> = listed
        .schools
        .iter()
        .map(|one| {
            [
                one.name.clone(),
                one.average_display.clone(),
                points[&one.school_code].clone(),
                rate(one),
                one.reporting_terminals.to_string(),
                one.terminals.to_string(),
            ]
        })
        .collect();
    let codes: Vec<_> = listed.schools.iter().map(|one| &*one.school_code).collect();
    assert_eq!(codes, [PRIMARY, JUNIOR, SILENT]);
    assert_eq!(told[0][2], "15.00");
    assert_ne!(told[1][2], "0.00");

    let browser = Browser::start().await;
    browser.open(&morning.address(&format!("/?{query}"))).await;
    let pick = |row: &[String], at: [usize; 6]| at.map(|at| row[at].clone());
    let screen = browser.rows("[data-table=schools]").await;
    let screen: Vec<_> = screen
        .iter()
        .map(|row| pick(row, [1, 4, 6, 7, 8, 9]))
        .collect();
    assert_eq!(screen, told);
    // The link on the page leads to the file.
    let export = browser
        .find("a.export")
        .await
        .prop("href")
        .await
        .unwrap()
        .unwrap();
    browser.stop().await;
    let path = export
        .strip_prefix(&morning.address(""))
        .unwrap()
        .to_owned();
    let (status, head, file) = morning.get(&path).await;
    assert_eq!(status, 200);
    assert!(
        head.contains("attachment; filename=\"schools.csv\""),
        "{head}"
    );
    let text = file
        .strip_prefix(b"\xef\xbb\xbf")
        .expect("a mark for Excel");
    let mut rows = csv::Reader::from_reader(text);
    let file: Vec<_> = rows
        .records()
        .map(|row| {
            let row: Vec<String> = row.unwrap().iter().map(ToOwned::to_owned).collect();
            pick(&row, [1, 5, 7, 8, 9, 10])
        })
        .collect();
    let mut harmless = told.clone();
    harmless[2][0] = "'=丙小学".to_owned();
    assert_eq!(file, harmless);
    // The workbook needs no mark: its texts are texts.
    let (status, head, file) = morning
        .get(&path.replace("format=csv", "format=xlsx"))
        .await;
    assert_eq!(status, 200);
    assert!(head.contains("filename=\"schools.xlsx\""), "{head}");
    let file: Vec<_> = sheet(file)[3..]
        .iter()
        .map(|row| pick(row, [1, 5, 7, 8, 9, 10]))
        .collect();
    let mut counts = told.clone();
    for row in &mut counts {
        // Whole numbers are shown without places, which a cell's format says.
        row[4] += ".00";
        row[5] += ".00";
    }
    assert_eq!(file, counts);

    json_says_the_same(&morning, query, &listed, &scores).await;
    morning.stop().await;
}

async fn json_says_the_same(
    morning: &Morning,
    query: &str,
    listed: &v1::ListSchoolUsageResponse,
    scores: &v1::MonitoringScores,
) {
    let points: HashMap<_, _> = scores
        .schools
        .iter()
        .map(|one| (one.school_code.clone(), one.points_display.clone()))
        .collect();
    let answer = async |path: &str| -> Value {
        let (status, _, body) = morning.get(&format!("{path}?{query}")).await;
        assert_eq!(status, 200);
        serde_json::from_slice(&body).unwrap()
    };
    let (schools, points_told) = (
        answer("/api/v1/schools").await,
        answer("/api/v1/scores").await,
    );
    for (at, one) in listed.schools.iter().enumerate() {
        let found = &schools["schools"][at];
        assert_eq!(found["school_code"], one.school_code);
        assert_eq!(found["average_display"], one.average_display);
        assert_eq!(found["counted_minutes"], one.counted_minutes);
        assert_eq!(found["service_days"], one.service_days);
        assert_eq!(found["lessons_taught"], one.lessons_taught);
        let exact = one.average.unwrap();
        assert_eq!(found["average"]["numerator"], exact.numerator.to_string());
        let found = &points_told["schools"][at];
        assert_eq!(found["points_display"], points[&one.school_code]);
        assert_eq!(found["reason"], scores.schools[at].reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_those_of_the_minutes() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start().await;
    let browser = Browser::start().await;
    // Until 10:20 a day counts 40 minutes of P-1 and, by its date, about 30 of J-1, over four terminals.
    browser.open(&morning.address("/")).await;
    let values = browser.texts(".today .value").await;
    assert_eq!(values, ["18.00", "17.00", "18.25"]);
    let notes = browser.texts(".today .note").await;
    assert!(
        notes[1].contains("2026-11-17") && notes[1].contains("+5.9%"),
        "{notes:?}"
    );
    assert!(
        notes[2].contains("2026-05-26") && notes[2].contains("−1.4%"),
        "{notes:?}"
    );
    let (_, _, now) = morning.get("/api/v1/now").await;
    let now: Value = serde_json::from_slice(&now).unwrap();
    let total = json!({ "terminals": 4, "in_use": 0, "on": 2, "off": 1, "silent": 1 });
    assert_eq!(
        (&now["total"], &now["schools"][0]["counted_minutes"]),
        (&total, &json!(40))
    );

    // P-1 is used in the first and the fourth lesson, P-2 never: half.
    browser
        .open(&morning.address(&format!("/schools/{PRIMARY}")))
        .await;
    let heat = browser.rows("table.heat").await;
    let tuesday: Vec<_> = heat.iter().map(|row| &*row[2]).collect();
    assert_eq!(tuesday, ["50%", "0%", "0%", "50%"]);
    let terminals = browser.rows("[data-table=terminals]").await;
    let told: Vec<_> = terminals
        .iter()
        .map(|row| [&*row[0], &*row[1], &*row[2], &*row[4], &*row[9]])
        .collect();
    assert_eq!(
        told,
        [
            ["P-1", "一年一班", "开机未用", "40", "10:19"],
            ["P-2", "一年二班", "开机未用", "0", "10:19"]
        ]
    );
    browser
        .open(&morning.address(&format!("/schools/{SILENT}")))
        .await;
    assert_eq!(browser.rows("[data-table=terminals]").await[0][2], "静默");

    browser
        .open(&morning.address("/terminals/P-1?date=2026-11-23"))
        .await;
    let said = browser
        .find("svg.strip")
        .await
        .attr("aria-label")
        .await
        .unwrap();
    assert_eq!(
        said.unwrap(),
        "2026-11-23 星期一:开机 95 分钟,使用 80 分钟,计入 80 分钟"
    );
    browser.go_by(".days-nav a:last-of-type").await;
    assert_eq!(browser.text("h2").await, "2026-11-24 星期二");
    let marked = browser.text(".days a[aria-current]").await;
    assert!(marked.starts_with("24"), "{marked}");
    browser.stop().await;
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_describes_what_is_there() {
    let morning = Morning::start().await;
    morning.run().await;
    let (status, _, body) = morning.get("/api/v1/openapi.json").await;
    assert_eq!(status, 200);
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let filled = |path: &str| {
        path.replace("{code}", PRIMARY)
            .replace("{id}", "P-1")
            .replace("{date}", "2026-11-24")
            .replace("{run}", "1")
    };
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 8);
    for (path, described) in paths {
        let (status, head, body) = morning.get(&filled(path)).await;
        assert_eq!(status, 200, "{path}");
        assert!(head.contains("application/json"), "{path}");
        let answer: Value = serde_json::from_slice(&body).unwrap();
        let schema =
            &described["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
        let Some(schema) = schema.as_str() else {
            continue;
        };
        let name = schema.rsplit('/').next().unwrap();
        let properties = document["components"]["schemas"][name]["properties"].as_object();
        let named: Vec<_> = properties.unwrap().keys().collect();
        let given: Vec<_> = answer.as_object().unwrap().keys().collect();
        assert_eq!(given, named, "{path}");
    }
    let (status, _, body) = morning.get("/api/v1/schools/9999999999/terminals").await;
    assert_eq!(status, 404);
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["message"], "没有登记编号为“9999999999”的学校");
    morning.stop().await;
}

/// The rows of a file's first sheet as texts; figures as a page writes them.
fn sheet(content: Vec<u8>) -> Vec<Vec<String>> {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(content)).unwrap();
    let sheet = book.worksheet_range_at(0).unwrap().unwrap();
    let text = |cell: &Data| match cell {
        Data::Empty => String::new(),
        Data::Float(figure) => format!("{figure:.2}"),
        other => other.to_string(),
    };
    sheet
        .rows()
        .map(|row| row.iter().map(text).collect())
        .collect()
}

/// A run's schools: name, points of each first-level indicator, total.
type Points = Vec<Vec<String>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_runs_points_are_the_same_on_screen_in_every_file_and_over_grpc() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start().await;
    let run = morning.run().await;
    let question = "已成立信息化工作领导小组,职责明确";
    let entered = evaluation::Entry {
        school: school(JUNIOR),
        item: "1.1.1".to_owned(),
        evidence: Some(super::county::yes(question)),
    };
    let store = morning.app.store.as_ref();
    evaluation::enter(store, run.id, None, vec![entered])
        .await
        .unwrap();
    let browser = Browser::start().await;
    let page = format!("/runs/{}", run.id);
    browser.open(&morning.address(&page)).await;
    let pick = |row: &[String], name: usize, first: usize| -> Vec<String> {
        let figures = row[first..=first + 6].iter().cloned();
        std::iter::once(row[name].trim_start_matches('\'').to_owned())
            .chain(figures)
            .collect()
    };
    let rows = browser.rows("[data-table=ranking]").await;
    let screen: Points = rows.iter().map(|row| pick(row, 1, 3)).collect();
    assert_eq!(screen.len(), 3);
    let junior = screen.iter().find(|row| row[0] == "乙初中").unwrap();
    assert_eq!(junior[1], "1.00");
    browser.stop().await;

    let file = async |path: String| {
        let (status, _, body) = morning.get(&path).await;
        assert_eq!(status, 200, "{path}");
        body
    };
    let table = file(format!("{page}?format=csv&table=ranking")).await;
    let mut reader = csv::Reader::from_reader(table.strip_prefix(b"\xef\xbb\xbf").unwrap());
    let records = reader.records().map(|row| {
        let row: Vec<String> = row.unwrap().iter().map(ToOwned::to_owned).collect();
        pick(&row, 1, 4)
    });
    assert_eq!(records.collect::<Points>(), screen);
    let table = sheet(file(format!("{page}?format=xlsx&table=ranking")).await);
    let table: Points = table[3..].iter().map(|row| pick(row, 1, 4)).collect();
    assert_eq!(table, screen);

    // The bureau's own sheet has second-level indicators; its totals are the same.
    let totals: Vec<[&str; 2]> = screen.iter().map(|row| [&*row[0], &*row[7]]).collect();
    let book = sheet(file(format!("{page}/files/summary.xlsx")).await);
    let heading = book
        .iter()
        .find(|row| row.iter().any(|cell| cell == "总分"));
    let total = heading
        .unwrap()
        .iter()
        .position(|cell| cell == "总分")
        .unwrap();
    for [name, points] in &totals {
        let row = book.iter().find(|row| row.iter().any(|cell| cell == name));
        assert_eq!(row.unwrap()[total], *points, "{name}");
    }
    let body = file(format!("{page}/files/json")).await;
    assert_eq!(file(format!("/api/v1{page}")).await, body);
    let json: Value = serde_json::from_slice(&body).unwrap();
    let told: Points = json["schools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let groups = one["groups"].as_array().unwrap().iter();
            std::iter::once(text(&one["name"]))
                .chain(groups.map(|group| text(&group["score"]["points"])))
                .chain([text(&one["score"]["points"])])
                .collect()
        })
        .collect();
    assert_eq!(told, screen);

    let mut client = EvaluationClient::connect(morning.address(""))
        .await
        .unwrap();
    let asked = v1::ListScoreSheetsRequest {
        run: run.id,
        ..v1::ListScoreSheetsRequest::default()
    };
    let mut sheets = client.list_score_sheets(asked).await.unwrap().into_inner();
    let mut told = Points::new();
    while let Some(one) = sheets.message().await.unwrap() {
        let display = |points: Option<v1::PointsValue>| points.unwrap().display;
        let groups = one.groups.into_iter().map(|group| display(group.points));
        let own = std::iter::once(one.school.unwrap().name).chain(groups);
        told.push(own.chain([display(one.total)]).collect());
    }
    assert_eq!(told, screen);
    morning.stop().await;
}
