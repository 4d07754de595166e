//! 考核 in a browser: a draft is made, filled, looked at, frozen, verified, corrected and compared; and nothing of it is
//! half-applied.

use classpulse::{
    domain::{ids::SchoolCode, rubric::Value},
    evaluation,
    store::{Run, Store},
};
use rust_xlsxwriter::Workbook;
use serde_json::json;

use super::{
    BROWSERS,
    browser::Browser,
    county::{Morning, SPRING},
};
use crate::support::{JUNIOR, PRIMARY, county, school};

const FIRST: &str = "已成立信息化工作领导小组,职责明确";

/// Puts a text into a field of a form.
pub(super) async fn fill(browser: &Browser, css: &str, text: &str) {
    browser.find(css).await;
    let script = "const one = document.querySelector(arguments[0]); one.value = arguments[1];\
                  one.dispatchEvent(new Event('change', { bubbles: true }))";
    browser.run(script, vec![json!(css), json!(text)]).await;
}

pub(super) async fn answers(
    store: &dyn Store,
    run: i64,
    code: &SchoolCode,
) -> Vec<(String, String, Value)> {
    let known = evaluation::list_evidence(store, run, Some(code))
        .await
        .unwrap();
    let all = known.into_iter().flat_map(|one| {
        let values = one.evidence.values.into_iter();
        values.map(move |(key, value)| (one.item.clone(), key, value))
    });
    all.collect()
}

async fn only_run(morning: &Morning) -> Run {
    let runs = morning.app.store.runs(&county()).await.unwrap();
    assert_eq!(runs.len(), 1);
    runs[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_made_filled_and_frozen() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start().await;
    let browser = Browser::start().await;
    let store = morning.app.store.as_ref();

    // Made by a form: the term is chosen, the rubric is the built-in one.
    browser.open(&morning.address("/runs")).await;
    assert_eq!(browser.text(".empty").await, "还没有考核。");
    fill(&browser, "form[action='/runs'] [name=name]", "春季考核").await;
    let term = format!("{}_{}", SPRING.first, SPRING.last);
    fill(&browser, "[name=span]", &term).await;
    fill(&browser, "form[action='/runs'] [name=by]", "王科").await;
    browser.go_by("form[action='/runs'] button").await;
    assert_eq!(browser.text("h1").await, "春季考核");
    let run = only_run(&morning).await;
    assert_eq!((run.period, &*run.by), (SPRING, "王科"));
    let ranking = browser.rows("[data-table=ranking]").await;
    assert_eq!(ranking.len(), 3);
    let missing = |row: &[String]| row.last().unwrap().parse::<u32>().unwrap();
    assert!(ranking.iter().all(|row| missing(row) > 40), "{ranking:?}");

    // A mistake stands beside its field, what was typed stays, and nothing is kept.
    let code = school(PRIMARY);
    let entry = morning.address(&format!("/runs/{}/schools/{PRIMARY}/evidence", run.id));
    browser.open(&entry).await;
    let grade = "#i-1\\.1\\.1 select";
    fill(&browser, grade, "是").await;
    let figure = browser.find("fieldset input[inputmode=decimal]").await;
    let name = figure.attr("name").await.unwrap().unwrap();
    let figure = format!("[name='{name}']");
    fill(&browser, &figure, "很多").await;
    fill(&browser, ".save [name=by]", "李老师").await;
    browser.go_by(".save button[value=save]").await;
    assert!(
        browser
            .text("[role=alert]")
            .await
            .contains("什么都没有保存")
    );
    let field = browser.find(&figure).await;
    assert_eq!(field.attr("aria-invalid").await.unwrap().unwrap(), "true");
    let value = "return document.querySelector(arguments[0]).value";
    assert_eq!(browser.run(value, vec![json!(figure)]).await, "很多");
    assert_eq!(browser.run(value, vec![json!(grade)]).await, "是");
    let said = field.attr("aria-describedby").await.unwrap().unwrap();
    let said = browser.text(&format!("[id='{said}']")).await;
    assert!(said.contains("“很多”不对,应为"), "{said}");
    assert_eq!(answers(store, run.id, &code).await, []);
    // Tried, it says what it would give, and still nothing is kept.
    fill(&browser, &figure, "").await;
    browser.go_by(".save button[value=try]").await;
    let tried = browser.rows("[data-table=what-if]").await;
    assert_eq!(tried.len(), 1, "{tried:?}");
    assert_eq!(tried[0][0], "甲小学");
    assert_eq!(tried[0][3..], ["+1.00", "1.1.1 0.00→1.00"]);
    assert_eq!(answers(store, run.id, &code).await, []);
    fill(&browser, ".save [name=by]", "李老师").await;
    browser.go_by(".save button[value=save]").await;
    assert!(browser.text("[role=status]").await.contains("已保存 1 条"));
    let kept = answers(store, run.id, &code).await;
    let expected = ("1.1.1".to_owned(), FIRST.to_owned(), Value::YesNo(true));
    assert_eq!(kept, [expected]);

    // The sheet says why, down to the terminal's minutes.
    browser
        .open(&morning.address(&format!("/runs/{}/schools/{PRIMARY}", run.id)))
        .await;
    let items = browser.rows("[data-table=items]").await;
    let first = items.iter().find(|row| row[0] == "1.1.1").unwrap();
    assert_eq!(first[4], "1.00", "{first:?}");
    let measured = items
        .iter()
        .find(|row| row[5].contains("全县最高"))
        .unwrap();
    browser
        .go_by(&format!(
            "[data-table=items] a[href$='/items/{}']",
            measured[0]
        ))
        .await;
    browser.go_by("[data-table=terminals] tbody a").await;
    let days = browser.rows("[data-table=days]").await;
    let day = days.iter().find(|row| row[0] == "2026-04-01").unwrap();
    assert_eq!(day[3], "80", "{day:?}");
    assert_eq!(
        browser
            .complaints()
            .await
            .iter()
            .filter(|one| !one.contains(" 422 "))
            .count(),
        0
    );

    exclude_and_try(&browser, &morning, &run).await;
    freeze(&browser, &morning, &run).await;
    browser.stop().await;
    morning.stop().await;
}

/// Days are excluded with a reason, taken back, and tried without being kept.
async fn exclude_and_try(browser: &Browser, morning: &Morning, run: &Run) {
    let store = morning.app.store.as_ref();
    browser
        .open(&morning.address(&format!("/runs/{}", run.id)))
        .await;
    let before = browser.rows("[data-table=ranking]").await;
    browser
        .go_by("[data-table=doubts] a[href*='/exclusions']")
        .await;
    fill(browser, "#add ~ form [name=by]", "王科").await;
    browser.go_by("#add ~ form button").await;
    let excluded = store.exclusions(run.id).await.unwrap();
    assert_eq!(excluded.len(), 1);
    assert!(!excluded[0].exclusion.reason.is_empty());
    browser
        .open(&morning.address(&format!("/runs/{}", run.id)))
        .await;
    assert_ne!(browser.rows("[data-table=ranking]").await, before);
    browser
        .open(&morning.address(&format!("/runs/{}/exclusions", run.id)))
        .await;
    browser.go_by("[data-table=exclusions] button").await;
    assert!(store.exclusions(run.id).await.unwrap().is_empty());

    browser
        .open(&morning.address(&format!("/runs/{}/what-if?exclude=P-1", run.id)))
        .await;
    let rows = browser.rows("[data-table=what-if]").await;
    let own = rows.iter().find(|row| row[0] == "甲小学").unwrap();
    assert!(own[3].starts_with('−'), "{own:?}");
    assert!(store.exclusions(run.id).await.unwrap().is_empty());
    browser
        .open(&morning.address(&format!("/runs/{}", run.id)))
        .await;
    assert_eq!(browser.rows("[data-table=ranking]").await, before);
}

/// What was looked at is what is frozen; afterwards nothing changes, and it can be verified and corrected.
async fn freeze(browser: &Browser, morning: &Morning, run: &Run) {
    let store = morning.app.store.as_ref();
    let page = morning.address(&format!("/runs/{}/freeze", run.id));
    browser.open(&page).await;
    let shown = browser.text("code.digest").await;
    assert_eq!(shown.len(), 64);
    // Somebody writes while the page is open: other figures than those are not frozen.
    let entered = evaluation::Entry {
        school: school(JUNIOR),
        item: "1.1.1".to_owned(),
        evidence: Some(super::county::yes(FIRST)),
    };
    evaluation::enter(store, run.id, None, vec![entered])
        .await
        .unwrap();
    let confirm = async || {
        for name in ["accept", "sure"] {
            browser
                .find(&format!("[name={name}]"))
                .await
                .click()
                .await
                .unwrap();
        }
        fill(browser, "#confirm ~ form [name=by]", "王科").await;
        browser.go_by("#confirm ~ form button").await;
    };
    confirm().await;
    let said = browser.text("[role=alert]").await;
    assert!(said.contains("没有冻结") && said.contains("改过"), "{said}");
    assert!(store.run(run.id).await.unwrap().frozen().is_none());
    let shown_now = browser.text("code.digest").await;
    assert_ne!(shown_now, shown);
    confirm().await;
    assert!(browser.text("[role=status]").await.contains("已冻结"));
    let frozen = store.run(run.id).await.unwrap();
    let digest = frozen.frozen().unwrap().digest.to_string();
    assert_eq!(browser.text("code.digest").await, digest);
    let figures = evaluation::load(store, run.id)
        .await
        .unwrap()
        .results
        .figures();
    assert_eq!(figures.to_string(), shown_now);

    browser
        .open(&morning.address(&format!("/runs/{}/verify", run.id)))
        .await;
    assert_eq!(browser.text("code.digest").await, digest);
    browser
        .until("return document.querySelector('[data-part=verified]').textContent.includes('完全一致')")
        .await;
    let result = morning.address(&format!("/runs/{}/verify/result", run.id));
    browser.open(&result).await;
    assert!(browser.text("[role=status]").await.contains("完全一致"));
    let entry = morning.address(&format!("/runs/{}/schools/{PRIMARY}/evidence", run.id));
    browser.open(&entry).await;
    let open = "return document.querySelectorAll('fieldset:not(:disabled), .save').length";
    assert_eq!(browser.run(open, vec![]).await, 0);

    // A correction begins with what the corrected run knew, and can be compared.
    browser
        .open(&morning.address(&format!("/runs?supersedes={}", run.id)))
        .await;
    fill(
        browser,
        "form[action='/runs'] [name=supersedes]",
        &run.id.to_string(),
    )
    .await;
    fill(browser, "form[action='/runs'] [name=by]", "王科").await;
    browser.go_by("form[action='/runs'] button").await;
    let runs = store.runs(&county()).await.unwrap();
    assert_eq!((runs.len(), runs[0].supersedes), (2, Some(run.id)));
    browser.go_by("nav.jump a[href^='/runs/compare']").await;
    let said = browser.text("section.card").await;
    assert!(said.contains("完全相同"), "{said}");
    // A draft's minutes are compared by another page, which comes by itself.
    browser
        .until("return document.querySelector('[data-part=minutes]').textContent.includes('各校使用分钟相同')")
        .await;

    // What somebody altered since is found, on the page and in its file.
    morning.tamper("UPDATE run SET name = '别的考核' WHERE supersedes IS NULL");
    let page = format!("/runs/{}/verify", run.id);
    browser.open(&morning.address(&page)).await;
    browser
        .until("return document.querySelector('[data-part=verified]').textContent.includes('与冻结时不一致:1 处')")
        .await;
    browser.go_by("[data-part=verified] a").await;
    assert!(browser.text("[role=alert]").await.contains("请用备份恢复"));
    assert_eq!(browser.text("table tbody th").await, "run");
    let (status, _, file) = morning
        .get(&format!("{page}/result?format=csv&table=faults"))
        .await;
    assert_eq!(status, 200);
    assert!(String::from_utf8(file).unwrap().contains("run,"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workbook_is_checked_previewed_and_taken_whole() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start().await;
    let run = morning.run().await;
    let browser = Browser::start().await;
    let store = morning.app.store.as_ref();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("材料.xlsx");
    let page = morning.address(&format!("/runs/{}/evidence", run.id));
    let send = async |answer: &str| {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        sheet.set_name("1 组织管理").unwrap();
        let heading = format!("1.1.1 {FIRST}");
        for (column, text) in (0..).zip(["学校标识码", "学校", "学段", &heading]) {
            sheet.write(0, column, text).unwrap();
        }
        for (column, text) in (0..).zip([PRIMARY, "甲小学", "小学", answer]) {
            sheet.write(1, column, text).unwrap();
        }
        book.save(&path).unwrap();
        browser.open(&page).await;
        let field = browser.find("#workbook ~ form input[type=file]").await;
        field.send_keys(path.to_str().unwrap()).await.unwrap();
        fill(&browser, "#workbook ~ form [name=by]", "信息办").await;
        browser.go_by("#workbook ~ form button").await;
    };
    send("也许").await;
    assert!(
        browser
            .text("[role=alert]")
            .await
            .contains("没有导入任何内容")
    );
    let wrong = browser.rows("[data-table=errors]").await;
    assert_eq!(wrong[0][..3], ["1 组织管理", "2", "D"], "{wrong:?}");
    assert!(wrong[0][4].contains("“也许”不对"), "{wrong:?}");

    send("是").await;
    let preview = browser.rows("[data-table=changes]").await;
    assert_eq!(preview, [["甲小学", "1.1.1", FIRST, "(空)", "是"]]);
    let code = school(PRIMARY);
    assert_eq!(answers(store, run.id, &code).await, []);
    // Somebody enters in between: what is confirmed is looked at once more.
    let between = evaluation::Entry {
        school: code.clone(),
        item: "1.1.2".to_owned(),
        evidence: Some(super::county::yes("已成立信息化办公室,职责明确")),
    };
    evaluation::enter(store, run.id, None, vec![between])
        .await
        .unwrap();
    browser.go_by("form button[value=apply]").await;
    assert_eq!(answers(store, run.id, &code).await.len(), 1);
    browser.go_by("form button[value=apply]").await;
    assert!(
        browser
            .text("[role=status]")
            .await
            .contains("1 条材料有变化")
    );
    let kept = answers(store, run.id, &code).await;
    assert_eq!(kept.len(), 2);
    let (status, head, file) = morning.get(&format!("/runs/{}/workbook", run.id)).await;
    assert_eq!((status, &file[..2]), (200, &b"PK"[..]));
    assert!(head.contains("evidence-1.xlsx"), "{head}");
    browser.stop().await;
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_refuses_is_said_in_chinese() {
    let morning = Morning::start().await;
    let run = morning.run().await;
    let id = run.id;
    let host = morning.app.api;
    let post = |path: String, body: &str| {
        format!(
            "POST {path} HTTP/1.0\r\nHost: {host}\r\nOrigin: http://{host}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let by = "by=%E7%8E%8B";
    for (path, body, status, said) in [
        (
            "/runs/99/exclusions".to_owned(),
            format!("terminal=P-1&from=&to=&reason=a&{by}"),
            404,
            "没有编号为“99”的考核",
        ),
        (
            format!("/runs/{id}/exclusions"),
            format!("terminal=X-9&from=&to=&reason=a&{by}"),
            400,
            "不在本县任何学校",
        ),
        (
            format!("/runs/{id}/exclusions"),
            format!("terminal=P-1&from=2026-05-01&to=2026-04-01&reason=a&{by}"),
            400,
            "不能早于开始日期",
        ),
        (
            format!("/runs/{id}/exclusions"),
            "terminal=P-1&from=&to=&reason=a&by=".to_owned(),
            400,
            "经办人",
        ),
        (
            format!("/runs/{id}/exclusions/remove"),
            "id=7".to_owned(),
            404,
            "没有编号为“7”的排除",
        ),
        (
            format!("/runs/{id}/freeze"),
            format!("revision=0&figures=&{by}"),
            400,
            "勾选确认",
        ),
        (
            "/runs".to_owned(),
            format!(
                "county=231123&name=a&from=2026-05-01&to=2026-04-01&rubric={}&{by}",
                run.rubric
            ),
            400,
            "不能晚于结束日期",
        ),
        (
            "/runs".to_owned(),
            format!("county=231123&name=a&rubric={}&{by}", run.rubric),
            400,
            "请选择学年或学期",
        ),
    ] {
        let (found, _, page) = morning.ask(post(path.clone(), &body)).await;
        let page = String::from_utf8(page).unwrap();
        assert_eq!(found, status, "{path} {body}");
        assert!(page.contains(said), "{path} {body}: {page}");
    }
    assert!(morning.app.store.exclusions(id).await.unwrap().is_empty());
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_does_not_have_is_said_in_chinese() {
    let morning = Morning::start().await;
    morning.run().await;
    for (path, status, said) in [
        ("/runs/9", 404, "没有编号为“9”的考核"),
        ("/runs/x", 404, "没有编号为“x”的考核"),
        ("/runs/1/schools/2123999999", 404, "这次考核中没有学校"),
        (
            "/runs/1/schools/2123000001/items/9.9",
            404,
            "这次考核中没有条目“9.9”",
        ),
        (
            "/runs/1/what-if?exclude=X-9",
            404,
            "这次考核中没有终端“X-9”",
        ),
        ("/runs/1/what-if?r.R3=maybe", 400, "解读 R3 不能取"),
        ("/runs/1/verify", 409, "还是草稿"),
        ("/runs/1/verify/result", 409, "还是草稿"),
        ("/runs/1/files/all.pdf", 400, "可下载"),
        ("/rubric?digest=1", 400, "没有保存这个摘要的细则"),
    ] {
        let (found, _, page) = morning.get(path).await;
        let page = String::from_utf8(page).unwrap();
        assert_eq!(found, status, "{path}");
        assert!(page.contains(said), "{path}: {page}");
    }
    let (_, _, page) = morning.get("/runs/1/freeze").await;
    assert!(String::from_utf8(page).unwrap().contains("确认冻结"));
    morning.stop().await;
}
