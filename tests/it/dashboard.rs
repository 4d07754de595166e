//! The dashboard in a real browser: every page, its filters, a live change, an import, and the same figures everywhere.
//!
//! Chromium comes from Debian (`deploy/test`). Nothing here waits for the clock: it stands still on a Tuesday morning.

mod browser;
mod county;

use std::collections::HashMap;

use classpulse_proto::v1::{self, scoring_client::ScoringClient, usage_client::UsageClient};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    dashboard::{
        browser::Browser,
        county::{CODE, Morning, SILENT},
    },
    support::{JUNIOR, PRIMARY, school, terminal},
};

/// One browser at a time: each takes as much memory as a small service.
static BROWSERS: Mutex<()> = Mutex::const_new(());

const PAGES: [(&str, &str); 6] = [
    ("/", "逊克县总览"),
    ("/schools/2123000001", "甲小学"),
    ("/terminals/P-1", "终端 P-1"),
    ("/quality", "数据质量"),
    ("/wall", "逊克县班班通使用实况"),
    ("/settings", "设置"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_page_loads_fits_and_asks_no_other_host() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start().await;
    let browser = Browser::start().await;
    for (width, height) in [(1_366, 768), (1_920, 1_080), (390, 844)] {
        // A headless window is its inside; a phone's width is set as the browser's own tools set it.
        browser.client.set_window_size(width, height).await.unwrap();
        for (path, heading) in PAGES {
            browser.open(&morning.address(path)).await;
            assert_eq!(browser.text("h1").await, heading, "{path}");
            let title = browser.client.title().await.unwrap();
            assert_eq!(title, format!("{heading} · 课脉"));
            let told = browser
                .run(
                    "const root = document.documentElement;\
                     const hosts = performance.getEntriesByType('resource').map(one => new URL(one.name).host);\
                     return [root.scrollWidth - root.clientWidth, hosts.filter(host => host !== location.host),\
                         getComputedStyle(document.body).backgroundColor, document.styleSheets.length]",
                    vec![],
                )
                .await;
            assert_eq!(told[0], 0, "{path} is wider than {width}");
            assert_eq!(told[1], json!([]), "{path}");
            assert_ne!(told[2], "rgba(0, 0, 0, 0)", "{path} has its style");
            assert_eq!(browser.complaints().await, Vec::<String>::new(), "{path}");
        }
    }
    // The complaints are told at all.
    browser.run("console.error('told')", vec![]).await;
    assert!(browser.complaints().await[0].contains("told"));
    browser.stop().await;
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_forms_with_addresses() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start().await;
    let browser = Browser::start().await;
    browser.open(&morning.address("/")).await;
    let names = async || browser.texts("[data-table=schools] tbody th").await;
    assert_eq!(names().await, ["甲小学", "乙初中", "=丙小学"]);
    let best = browser.rows("[data-table=schools]").await[0].clone();
    browser
        .find("option[value='初中']")
        .await
        .click()
        .await
        .unwrap();
    browser.go_by("form.filters button[type=submit]").await;
    assert_eq!(names().await, ["乙初中"]);
    let second = browser.rows("[data-table=schools]").await[0].clone();
    assert_eq!(second[0], "2", "its rank is the county's");
    assert_ne!(second[6], best[6], "and so are its points");
    let address = browser.client.current_url().await.unwrap();
    assert!(
        address
            .query()
            .unwrap()
            .contains("stage=%E5%88%9D%E4%B8%AD")
    );

    // A term's figures are another term's.
    browser.open(&morning.address("/?term=2026-03-02")).await;
    let spring = browser.rows("[data-table=schools]").await[0].clone();
    assert_ne!(spring[4], best[4]);
    browser
        .open(&morning.address("/?from=2026-11-23&to=2026-11-23&township=逊河镇"))
        .await;
    assert_eq!(names().await, ["=丙小学"]);

    // The school's page keeps the days; its silent terminal stands first.
    browser.open(&morning.address("/?term=2026-03-02")).await;
    browser.go_by("[data-table=schools] tbody th a").await;
    let address = browser.client.current_url().await.unwrap();
    assert_eq!(address.query(), Some("term=2026-03-02"));
    let circles = browser.texts("svg.trend .series.now circle").await;
    assert_eq!(circles.len(), 19, "a point for every week with teaching");

    browser.open(&morning.address("/?from=gestern")).await;
    let said = browser.text("[role=alert]").await;
    assert!(said.contains("开始日期有误"), "{said}");
    let (status, ..) = morning.get("/?from=gestern").await;
    assert_eq!(status, 400);
    browser.stop().await;
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_appears_on_the_wall_without_a_reload() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start().await;
    let browser = Browser::start().await;
    browser.open(&morning.address("/wall")).await;
    let figures = browser.texts(".wall-figures dd").await;
    assert_eq!(figures[..4], ["0", "2", "1", "1"], "{figures:?}");
    browser
        .until("return document.querySelector('[data-live]').dataset.state === 'live'")
        .await;
    browser.run("window.same = true", vec![]).await;
    morning.heard("P-2", (600, 621)).await;
    browser
        .until("return document.querySelector('.wall-figures dd').textContent === '1'")
        .await;
    assert_eq!(browser.run("return window.same", vec![]).await, true);
    let tiles = browser.texts(".tile").await;
    let tile = tiles.iter().find(|tile| tile.contains("甲小学")).unwrap();
    assert!(tile.contains("1/2"), "{tile}");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.stop().await;
    // An open stream does not hold up the stop.
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(8), morning.stop()).await;
    assert!(stopped.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bureau_sets_itself_up_and_sees_every_mistake() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start_empty().await;
    let browser = Browser::start().await;
    browser.open(&morning.address("/")).await;
    let said = browser.text("[role=alert]").await;
    assert!(said.contains("还没有登记学校"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("schools.csv");
    let send = async |content: &str, button: &str| {
        std::fs::write(&file, content).unwrap();
        browser.open(&morning.address("/settings")).await;
        let field = browser.find("input[type=file]").await;
        field.send_keys(file.to_str().unwrap()).await.unwrap();
        browser
            .go_by(&format!(
                "form[action='/settings/import'] button[value={button}]"
            ))
            .await;
    };
    let heading = "区县代码,区县名称,乡镇,学校标识码,学校名称,学段\n";
    send(
        &format!("{heading}231123,逊克县,奇克镇,12,甲小学,小学\n231123,逊克县,奇克镇,2123000001,乙小学,大学\n"),
        "import",
    )
    .await;
    let rows = browser.rows("[data-table=errors]").await;
    let places: Vec<_> = rows.iter().map(|row| (&*row[0], &*row[2])).collect();
    assert_eq!(places, [("2", "学校标识码"), ("3", "学段")]);
    assert!(morning.app.store.counties().await.unwrap().is_empty());
    let good = format!("{heading}231123,逊克县,奇克镇,2123000001,甲小学,小学\n");
    send(&good, "check").await;
    assert!(browser.text(".good").await.contains("检查通过"));
    assert!(morning.app.store.counties().await.unwrap().is_empty());
    send(&good, "import").await;
    assert!(browser.text(".good").await.contains("新增 1 行"));

    // The calendar: a mistake keeps what was typed, then it is checked and saved.
    let write = async |text: &str, button: &str| {
        let script = "document.querySelector('textarea').value = arguments[0]";
        browser.run(script, vec![json!(text)]).await;
        let form = "form[action='/settings/calendar']";
        browser
            .go_by(&format!("{form} button[value={button}]"))
            .await;
    };
    write("name = \"试验\"\n[[term]]\nname = \"秋\"", "save").await;
    assert!(browser.text(".bad").await.contains("没有保存"));
    let kept = browser
        .run("return document.querySelector('textarea').value", vec![])
        .await;
    assert_eq!(kept, "name = \"试验\"\n[[term]]\nname = \"秋\"");
    let calendar = "name = \"试验\"\n[[term]]\nname = \"秋\"\nfirst = \"2026-09-01\"\nlast = \"2027-01-15\"\n\
                    [[timetable]]\nlessons = [\"08:00-08:40\"]";
    write(calendar, "check").await;
    assert!(browser.text(".good").await.contains("还没有保存"));
    write(calendar, "save").await;
    assert!(browser.text(".good").await.contains("第 1 版"));
    let stored = morning
        .app
        .store
        .calendar(&CODE.parse().unwrap())
        .await
        .unwrap();
    assert_eq!(stored.unwrap().text, calendar);

    // A code is shown once, works, and can be taken back.
    browser
        .find("form[action='/settings/codes'] option[value='2123000001']")
        .await
        .click()
        .await
        .unwrap();
    browser.go_by("form[action='/settings/codes'] button").await;
    assert_eq!(browser.text(".code").await.len(), 14);
    browser
        .go_by("form[action='/settings/codes/revoke'] button")
        .await;
    assert!(browser.rows("[data-table=codes]").await[0].contains(&"已收回".to_owned()));
    // Of the page before any school, of the table and of the calendar with mistakes, and of nothing else.
    let complaints = browser.complaints().await;
    let told = |status: &str| complaints.iter().filter(|one| one.contains(status)).count();
    assert_eq!((told(" 409 "), told(" 422 ")), (1, 2), "{complaints:?}");
    assert_eq!(complaints.len(), 3, "{complaints:?}");
    browser.stop().await;
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_mended_on_the_page() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start().await;
    let browser = Browser::start().await;
    browser.open(&morning.address("/quality")).await;
    let first = async |table: &str| browser.rows(&format!("[data-table={table}]")).await[0].clone();
    assert_eq!(first("silent").await[..2], ["S-1", "=丙小学"]);
    assert_eq!(first("pending").await[0], "W-1");
    assert_eq!(first("clocks").await[..3], ["J-1", "乙初中", "慢 6 分钟"]);
    let incident = first("incidents").await;
    assert!(incident[3].contains("主板电池"), "{incident:?}");
    let refused = first("quarantine").await;
    assert_eq!(refused[1..3], ["P-2", "早于启用日期"]);

    browser.go_by("form[action='/quality/replay'] button").await;
    let said = browser.text("[role=status]").await;
    assert!(said.contains("已重放 1 条,其中 1 条现已计入"), "{said}");
    let found = morning.app.store.quarantine(0, 9).await.unwrap();
    assert!(found.is_empty());
    let (_, _, day) = morning.get("/api/v1/terminals/P-2/days/2026-11-24").await;
    let day: Value = serde_json::from_slice(&day).unwrap();
    assert_eq!(day["counted_minutes"], 20);

    let option = format!("form[action='/quality/approve'] option[value='{PRIMARY}']");
    browser.find(&option).await.click().await.unwrap();
    browser
        .go_by("form[action='/quality/approve'] button")
        .await;
    let approved = morning.app.store.terminal(&terminal("W-1")).await.unwrap();
    assert_eq!(approved.unwrap().placements[0].school, school(PRIMARY));
    browser.stop().await;
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_changes_nothing() {
    let morning = Morning::start().await;
    let host = morning.app.api.to_string();
    let post = |host: &str, origin: &str| {
        let body = "terminal=W-1&school=2123000001";
        format!(
            "POST /quality/approve HTTP/1.0\r\nHost: {host}\r\n{origin}Content-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let own = format!("Origin: http://{host}\r\n");
    for (host, origin) in [
        (host.as_str(), ""),
        (host.as_str(), "Origin: null\r\n"),
        (host.as_str(), "Origin: http://evil.example\r\n"),
        ("evil.example", "Origin: http://evil.example\r\n"),
    ] {
        let (status, _, body) = morning.ask(post(host, origin)).await;
        assert_eq!(status, 403, "{host} {origin}");
        assert!(String::from_utf8(body).unwrap().contains("暂时无法显示"));
    }
    let waiting = morning.app.store.terminal(&terminal("W-1")).await.unwrap();
    assert!(waiting.unwrap().placements.is_empty());
    let (status, ..) = morning.ask(post(&host, &own)).await;
    assert_eq!(status, 303);
    // A page by another name offers no forms that would be refused.
    let page = "GET /quality HTTP/1.0\r\nHost: evil.example\r\n\r\n".to_owned();
    let (status, _, body) = morning.ask(page).await;
    assert_eq!(status, 200);
    assert!(!String::from_utf8(body).unwrap().contains("method=\"post\""));
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn screen_file_and_programs_say_the_same() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start().await;
    let days = v1::Period {
        from: "2026-09-01".to_owned(),
        to: "2026-11-24".to_owned(),
    };
    let query = "from=2026-09-01&to=2026-11-24";

    // School → average, points, lessons, terminals: as the contract says it.
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
    let scores = scores.into_inner();
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

    let answer = async |path: &str| -> Value {
        let (status, _, body) = morning.get(&format!("{path}?{query}")).await;
        assert_eq!(status, 200);
        serde_json::from_slice(&body).unwrap()
    };
    let (schools, scored) = (
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
        let found = &scored["schools"][at];
        assert_eq!(found["points_display"], points[&one.school_code]);
        assert_eq!(found["reason"], scores.schools[at].reason);
    }
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_describes_what_is_there() {
    let morning = Morning::start().await;
    let (status, _, body) = morning.get("/api/v1/openapi.json").await;
    assert_eq!(status, 200);
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let filled = |path: &str| {
        path.replace("{code}", PRIMARY)
            .replace("{id}", "P-1")
            .replace("{date}", "2026-11-24")
    };
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 6);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_keyboard_reaches_the_content_first() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start().await;
    let browser = Browser::start().await;
    browser.open(&morning.address("/")).await;
    let focused = "return document.activeElement.textContent";
    let tab = || browser.client.active_element();
    browser
        .find("body")
        .await
        .send_keys("\u{e004}")
        .await
        .unwrap();
    assert_eq!(browser.run(focused, vec![]).await, "跳到正文");
    tab().await.unwrap().send_keys("\u{e007}").await.unwrap();
    let id = "return document.activeElement.id === 'main'";
    browser.until(id).await;
    // A heading sorts, and says so.
    let heading = "[data-table=schools] th:nth-child(5) button";
    browser
        .find(heading)
        .await
        .send_keys("\u{e007}")
        .await
        .unwrap();
    browser
        .find(heading)
        .await
        .send_keys("\u{e007}")
        .await
        .unwrap();
    let sorted = browser.rows("[data-table=schools]").await;
    let first: Vec<_> = sorted.iter().map(|row| &*row[1]).collect();
    assert_eq!(first, ["=丙小学", "乙初中", "甲小学"]);
    let said = browser.find("[data-table=schools] [aria-sort]").await;
    assert_eq!(said.attr("aria-sort").await.unwrap().unwrap(), "ascending");
    browser.stop().await;
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_schools_fit_an_old_line() {
    let morning = Morning::start_large().await;
    for path in [
        "/",
        "/schools/2123100001",
        "/terminals/L-001-01",
        "/quality",
        "/wall",
        "/settings",
        "/api/v1/schools",
    ] {
        let host = morning.app.api;
        let request =
            format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept-Encoding: gzip\r\n\r\n");
        let (status, head, body) = morning.ask(request).await;
        assert_eq!(status, 200, "{path}");
        assert!(head.contains("content-encoding: gzip"), "{path}");
        assert!(body.len() <= 60 * 1024, "{path}: {} bytes", body.len());
    }
    let (_, _, wall) = morning.get("/wall").await;
    let wall = String::from_utf8(wall).unwrap();
    assert!(wall.contains("<noscript><meta http-equiv=\"refresh\""));
    assert_eq!(wall.matches("class=\"tile\"").count(), 100);
    morning.stop().await;
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
