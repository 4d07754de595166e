//! The dashboard in a real browser: every page, its filters, a keyboard; changes and figures have files of their own.
//!
//! Chromium comes from Debian (`deploy/test`). Nothing here waits for the clock: it stands still on a Tuesday morning.

mod access;
mod awards;
pub(crate) mod browser;
mod changes;
pub(crate) mod county;
mod exports;
mod figures;
mod runs;

use classpulse::domain::usage::Period;
use jiff::civil::date;
use serde_json::json;
use tokio::sync::Mutex;

use browser::Browser;
use county::Morning;

/// One browser at a time: each takes as much memory as a small service.
pub(crate) static BROWSERS: Mutex<()> = Mutex::const_new(());

const PAGES: [(&str, &str); 20] = [
    ("/", "逊克县总览"),
    ("/schools/2123000001", "甲小学"),
    ("/terminals/P-1", "终端 P-1"),
    ("/quality", "数据质量"),
    ("/wall", "逊克县班班通使用实况"),
    ("/settings", "设置"),
    ("/runs", "考核"),
    ("/runs/1", "春季考核"),
    ("/runs/1/schools/2123000001", "甲小学"),
    ("/runs/1/schools/2123000001/items/4.3.1", "条目 4.3.1"),
    ("/runs/1/schools/2123000001/evidence", "甲小学的材料"),
    ("/runs/1/evidence", "材料"),
    ("/runs/1/exclusions", "排除"),
    ("/runs/1/what-if?exclude=P-1", "假设试算"),
    ("/runs/1/freeze", "冻结"),
    ("/runs/compare?before=1&after=1", "比较两次考核"),
    ("/runs/compare/minutes?before=1&after=1", "比较使用分钟"),
    (
        "/rubric",
        "逊克县中小学教育信息化管理与应用工作考核评估细则(试行)",
    ),
    ("/settings/users", "用户"),
    ("/audit", "操作记录"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_page_loads_fits_and_asks_no_other_host() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start().await;
    morning.run().await;
    let browser = Browser::start().await;
    for (width, height) in [(1_366, 768), (1_920, 1_080), (390, 844)] {
        browser.size(width, height).await;
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
                         getComputedStyle(document.body).backgroundColor, root.clientWidth]",
                    vec![],
                )
                .await;
            assert_eq!(told[0], 0, "{path} is wider than {width}");
            assert_eq!(told[1], json!([]), "{path}");
            assert_ne!(told[2], "rgba(0, 0, 0, 0)", "{path} has its style");
            // All but a scroll bar, where there is one.
            let inside = told[3].as_u64().unwrap();
            assert!(
                (u64::from(width) - 20..=u64::from(width)).contains(&inside),
                "{inside}"
            );
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
    let autumn = Period {
        first: date(2026, 9, 1),
        last: date(2026, 11, 30),
    };
    morning.run_over(autumn).await;
    for path in [
        "/",
        "/schools/2123100001",
        "/terminals/L-001-01",
        "/quality",
        "/wall",
        "/settings",
        "/api/v1/schools",
        "/runs",
        "/runs/1",
        "/runs/1/schools/2123100001",
        "/runs/1/schools/2123100001/evidence",
        "/runs/1/evidence",
        "/runs/1/what-if?exclude=L-001-01",
        "/runs/1/freeze",
        "/rubric",
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
