//! What changes on the dashboard: live, by forms, and never by a stranger.

use classpulse::store::{County, RegistryChange};
use serde_json::{Value, json};

use super::{
    BROWSERS, PAGES,
    browser::Browser,
    county::{CODE, Morning, SILENT},
};
use crate::support::{JUNIOR, PRIMARY, school, terminal};

/// Every address that changes something.
const FORMS: [&str; 17] = [
    "/quality/replay",
    "/quality/approve",
    "/settings/import",
    "/settings/calendar",
    "/settings/calendar/days",
    "/settings/codes",
    "/settings/codes/revoke",
    "/settings/move",
    "/settings/retire",
    "/runs",
    "/runs/1/discard",
    "/runs/1/workbook",
    "/runs/1/schools/2123000001/evidence",
    "/runs/1/exclusions",
    "/runs/1/exclusions/remove",
    "/runs/1/freeze",
    "/rubric",
];

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
    special_days(&browser, &morning).await;

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
    // Of the page before any school, of the table and of the calendar with mistakes, of the day that
    // stood there already, of a page that was old by then, and of nothing else.
    let complaints = browser.complaints().await;
    let told = |status: &str| complaints.iter().filter(|one| one.contains(status)).count();
    assert_eq!((told(" 409 "), told(" 422 ")), (2, 3), "{complaints:?}");
    assert_eq!(complaints.len(), 5, "{complaints:?}");
    browser.stop().await;
    morning.stop().await;
}

/// A holiday and a make-up day by form: added, refused where they stand already, taken out, refused on an old page.
async fn special_days(browser: &Browser, morning: &Morning) {
    let form = "form[action='/settings/calendar/days']";
    let add = async |fields: Value, button: &str| {
        let script = "const [fields, button] = arguments; const form = document.querySelector(button).form; \
             for (const [name, value] of Object.entries(fields)) form.elements[name].value = value";
        let button = format!("{form} button[value={button}]");
        browser.run(script, vec![fields, json!(button)]).await;
        browser.go_by(&button).await;
    };
    let sports = json!({"name": "运动会", "first": "2026-11-05", "last": "2026-11-06"});
    add(sports.clone(), "add_holiday").await;
    assert!(browser.text(".good").await.contains("已保存"));
    add(json!({"first": "2026-11-07", "follows": "3"}), "add_makeup").await;
    let stored = async || {
        let calendar = morning.app.store.calendar(&CODE.parse().unwrap()).await;
        calendar.unwrap().unwrap()
    };
    let now = stored().await;
    assert_eq!(now.version, 3);
    let taught = |day: i8| {
        let day = jiff::civil::date(2026, 11, day);
        now.calendar
            .teaching(classpulse::domain::ids::Stage::Primary, day)
            .is_some()
    };
    assert_eq!(
        [4, 5, 6, 7, 8].map(taught),
        [true, false, false, true, false]
    );
    let listed = browser.texts(".plain li span").await;
    assert_eq!(
        listed,
        [
            "运动会 2026-11-05 至 2026-11-06",
            "2026-11-07 星期六 按星期四课表"
        ]
    );
    add(sports, "add_holiday").await;
    let said = browser.text(".bad").await;
    assert!(said.contains("同样的日期已经有了"), "{said}");

    // A page that another tab has made old changes nothing.
    browser.open(&morning.address("/settings")).await;
    let text = format!("{}\n# 备注\n", now.text);
    morning
        .app
        .store
        .set_calendar(&CODE.parse().unwrap(), &text, 0)
        .await
        .unwrap();
    browser
        .go_by(&format!("{form} button[value=drop_holiday]"))
        .await;
    let said = browser.text("[role=alert]").await;
    assert!(said.contains("刚刚被改过"), "{said}");
    browser.open(&morning.address("/settings")).await;
    browser
        .go_by(&format!("{form} button[value=drop_holiday]"))
        .await;
    browser
        .go_by(&format!("{form} button[value=drop_makeup]"))
        .await;
    let last = stored().await;
    assert_eq!(last.calendar.holidays(), []);
    assert_eq!(last.calendar.makeups().count(), 0);
    assert!(last.text.contains("# 备注"), "what else is written stays");
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
async fn terminals_move_and_leave_and_doubts_are_told() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start().await;
    let browser = Browser::start().await;
    let set = async |form: &str, fields: &[(&str, &str)]| {
        browser.open(&morning.address("/settings")).await;
        for (name, value) in fields {
            let script = "document.querySelector(arguments[0]).value = arguments[1]";
            let field = format!("{form} [name={name}]");
            browser.run(script, vec![json!(field), json!(value)]).await;
        }
        browser.go_by(&format!("{form} button")).await;
    };
    let history = async |name: &str| {
        let found = morning.app.store.terminal(&terminal(name)).await.unwrap();
        let places = found.unwrap().placements.into_iter();
        let told = places.map(|one| {
            let to = one.to.map_or_else(String::new, |to| to.to_string());
            (one.school.to_string(), one.room, one.from.to_string(), to)
        });
        told.collect::<Vec<_>>()
    };
    let place = |code: &str, room: &str, from: &str, to: &str| {
        let [code, room, from, to] = [code, room, from, to].map(ToOwned::to_owned);
        (code, room, from, to)
    };
    let moving = "form[action='/settings/move']";
    let to = ("school", SILENT);
    set(moving, &[("terminal", "P-2"), to, ("day", "2026-11-25")]).await;
    assert!(browser.text("[role=status]").await.contains("1 台终端"));
    let there = [
        place(PRIMARY, "一年二班", "2025-09-01", "2026-11-24"),
        place(SILENT, "一年二班", "2026-11-25", ""),
    ];
    assert_eq!(history("P-2").await, there);
    set(moving, &[("terminal", "P-2"), to, ("day", "2026-11-25")]).await;
    assert!(browser.text("[role=alert]").await.contains("日期要更晚"));
    assert_eq!(history("P-2").await, there);
    let retire = "form[action='/settings/retire']";
    set(retire, &[("terminal", "J-1"), ("day", "2026-11-20")]).await;
    let left = [place(JUNIOR, "七年一班", "2025-09-01", "2026-11-20")];
    assert_eq!(history("J-1").await, left);
    set(retire, &[("terminal", "X-9"), ("day", "2026-11-20")]).await;
    assert!(
        browser
            .text("[role=alert]")
            .await
            .contains("没有登记编号为“X-9”的终端")
    );

    // P-1 is used in the very same minutes every day, which a person should look at.
    browser.open(&morning.address("/terminals/P-1")).await;
    let doubts = browser.rows("[data-table=doubts]").await;
    let same = doubts.iter().find(|row| row[1].contains("完全相同"));
    assert!(same.unwrap()[2].contains("定时脚本"), "{doubts:?}");
    browser.open(&morning.address("/quality")).await;
    let doubts = browser.rows("[data-table=doubts]").await;
    assert_eq!(doubts[0][..2], ["P-1", "甲小学"], "{doubts:?}");
    browser.stop().await;
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_county_can_be_chosen() {
    let morning = Morning::start().await;
    let pages = ["/", "/wall", "/quality"];
    let text = async |path: &str| {
        let (status, _, page) = morning.get(path).await;
        assert_eq!(status, 200, "{path}");
        String::from_utf8(page).unwrap()
    };
    for path in pages {
        assert!(!text(path).await.contains("name=\"county\""), "{path}");
    }
    let other = County {
        code: "231124".parse().unwrap(),
        name: "孙吴县".to_owned(),
    };
    let change = RegistryChange {
        counties: vec![other],
        ..RegistryChange::default()
    };
    morning.app.store.change_registry(change).await.unwrap();
    for path in pages {
        let page = text(path).await;
        assert!(page.contains("<option value=\"231124\""), "{path}");
    }
    let wall = text("/wall?county=231124").await;
    assert!(wall.contains("<h1>孙吴县班班通使用实况</h1>"));
    assert!(wall.contains("/live?view=wall&amp;county=231124"));
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
    for (host, origin, expected, said) in [
        (host.as_str(), "", 403, "暂时无法显示"),
        (host.as_str(), "Origin: null\r\n", 403, "其他网站"),
        (
            host.as_str(),
            "Origin: http://evil.example\r\n",
            403,
            "其他网站",
        ),
        (
            "evil.example",
            "Origin: http://evil.example\r\n",
            421,
            "evil.example",
        ),
        // An address that is not this machine's: another machine's browser, which only looks.
        (
            "192.0.2.7",
            "Origin: http://192.0.2.7\r\n",
            403,
            "暂时无法显示",
        ),
    ] {
        let (status, _, body) = morning.ask(post(host, origin)).await;
        assert_eq!(status, expected, "{host} {origin}");
        assert!(String::from_utf8(body).unwrap().contains(said), "{said}");
    }
    let waiting = morning.app.store.terminal(&terminal("W-1")).await.unwrap();
    assert!(waiting.unwrap().placements.is_empty());
    // Nor by any other form.
    for path in FORMS {
        let request = format!(
            "POST {path} HTTP/1.0\r\nHost: {host}\r\nOrigin: http://evil.example\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n"
        );
        let (status, ..) = morning.ask(request).await;
        assert_eq!(status, 403, "{path}");
    }
    let (status, ..) = morning.ask(post(&host, &own)).await;
    assert_eq!(status, 303);
    // A page at another address offers no forms that would be refused.
    morning.run().await;
    for (path, _) in PAGES {
        let page = format!("GET {path} HTTP/1.0\r\nHost: 192.0.2.7\r\n\r\n");
        let (status, _, body) = morning.ask(page).await;
        assert_eq!(status, 200, "{path}");
        let body = String::from_utf8(body).unwrap();
        assert!(!body.contains("method=\"post\""), "{path}");
    }
    morning.stop().await;
}
