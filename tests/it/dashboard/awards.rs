//! 名单 by form in a browser: rows added, mended and removed, each mistake named by row and field, nothing half-kept.

use classpulse::domain::rubric::{Value, evidence::LIST, list::ListRow};
use serde_json::json;

use super::{
    BROWSERS,
    browser::Browser,
    county::Morning,
    runs::{answers, fill},
};
use crate::support::{PRIMARY, school};

/// The item whose rows count persons.
const PERSONS: &str = "5.1";

/// Puts texts into the fields of a row of an item's list; rows count from 1.
async fn row(browser: &Browser, item: &str, number: usize, texts: &[(&str, &str)]) {
    let item = item.replace('.', "\\.");
    for (heading, text) in texts {
        let css = format!("#i-{item} .list [aria-label='第 {number} 行{heading}']");
        fill(browser, &css, text).await;
    }
}

/// Puts something into the middle of the window: the bar with the buttons lies over its lower end.
async fn into_view(browser: &Browser, css: &str) {
    browser.find(css).await;
    let script = "document.querySelector(arguments[0]).scrollIntoView({ block: 'center' })";
    browser.run(script, vec![json!(css)]).await;
}

/// Marks a row of an item's list as one to remove.
async fn remove(browser: &Browser, item: &str, number: usize) {
    let item = item.replace('.', "\\.");
    let css = format!("#i-{item} .list [aria-label='第 {number} 行删除']");
    into_view(browser, &css).await;
    browser.find(&css).await.click().await.unwrap();
}

async fn save(browser: &Browser) {
    fill(browser, ".save [name=by]", "李老师").await;
    browser.go_by(".save button[value=save]").await;
}

fn won(title: &str, prize: &str, person: u32) -> ListRow {
    ListRow {
        title: title.to_owned(),
        level: "省".to_owned(),
        prize: prize.to_owned(),
        person: Some(person),
        proof: String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_filled_mended_and_shortened() {
    let _alone = BROWSERS.lock().await;
    let morning = Morning::start().await;
    let run = morning.run().await;
    let browser = Browser::start().await;
    let (store, code) = (morning.app.store.as_ref(), school(PRIMARY));
    let page = morning.address(&format!("/runs/{}/schools/{PRIMARY}/evidence", run.id));
    let kept = async || -> Vec<(String, Vec<ListRow>)> {
        let all = answers(store, run.id, &code).await.into_iter();
        all.map(|(item, key, value)| match value {
            Value::List(rows) if key == LIST => (item, rows),
            other => unreachable!("{item} {key}: {other:?}"),
        })
        .collect()
    };
    browser.open(&page).await;

    // Two rows with mistakes and a sound one between empty ones: the row and the field are named, what was typed stays.
    row(
        &browser,
        PERSONS,
        1,
        &[("名称", "创客大赛"), ("级别奖次", "省一等奖")],
    )
    .await;
    let sound = [
        ("名称", "创客大赛"),
        ("级别奖次", "省二等奖"),
        ("获奖人序号", "2"),
    ];
    row(&browser, PERSONS, 3, &sound).await;
    row(&browser, "5.2a", 1, &[("级别奖次", "县")]).await;
    save(&browser).await;
    let said = browser.text("[role=alert]").await;
    assert!(said.contains("有 2 处要改,什么都没有保存"), "{said}");
    let wrong = "#i-5\\.1 .list .fault";
    let wrong = browser.text(wrong).await;
    assert!(wrong.starts_with("第 1 行获奖人序号:"), "{wrong}");
    let wrong = browser.text("#i-5\\.2a .list .fault").await;
    assert!(wrong.starts_with("第 1 行名称:缺名称"), "{wrong}");
    let marked =
        "return [...document.querySelectorAll('[aria-invalid=true]')].map(one => one.ariaLabel)";
    let marked = browser.run(marked, vec![]).await;
    assert_eq!(marked, json!(["第 1 行获奖人序号", "第 1 行名称"]));
    assert_eq!(kept().await, []);

    // Mended, it is kept; what is to be removed and what is empty is no row.
    row(&browser, PERSONS, 1, &[("获奖人序号", "1")]).await;
    remove(&browser, "5.2a", 1).await;
    save(&browser).await;
    assert!(browser.text("[role=status]").await.contains("已保存 1 条"));
    let both = vec![won("创客大赛", "一等奖", 1), won("创客大赛", "二等奖", 2)];
    assert_eq!(kept().await, [(PERSONS.to_owned(), both.clone())]);
    // Saved again, nothing changes: who entered it and when stays.
    save(&browser).await;
    assert!(browser.text("[role=status]").await.contains("没有改动"));

    // Both a list and counts are refused, with the item's name.
    fill(&browser, "#i-5\\.1 .answer input", "3").await;
    save(&browser).await;
    let said = browser.text("[role=alert]").await;
    assert!(said.contains("5.1 名单:名单与数量只填一种"), "{said}");
    fill(&browser, "#i-5\\.1 .answer input", "").await;

    // More rows by a button, without losing what was typed and without keeping it.
    row(&browser, PERSONS, 3, &[("名称", "微课大赛")]).await;
    into_view(&browser, "#i-5\\.1 .list button").await;
    browser.go_by("#i-5\\.1 .list button").await;
    let rows = "return document.querySelectorAll('#i-5\\\\.1 .list tbody tr').length";
    assert_eq!(browser.run(rows, vec![]).await, 13);
    let value = "return document.querySelector(arguments[0]).value";
    let third = "#i-5\\.1 .list [aria-label='第 3 行名称']";
    assert_eq!(browser.run(value, vec![json!(third)]).await, "微课大赛");
    assert_eq!(kept().await, [(PERSONS.to_owned(), both.clone())]);
    let third = [("级别奖次", "省三等奖"), ("获奖人序号", "1")];
    row(&browser, PERSONS, 3, &third).await;
    remove(&browser, PERSONS, 1).await;
    save(&browser).await;
    let after = vec![both[1].clone(), won("微课大赛", "三等奖", 1)];
    assert_eq!(kept().await, [(PERSONS.to_owned(), after)]);

    // The item's page shows the same rows; without any row the list is gone.
    let item = format!("/runs/{}/schools/{PRIMARY}/items/{PERSONS}", run.id);
    browser.open(&morning.address(&item)).await;
    let shown = browser.rows("[data-table=list]").await;
    assert_eq!(shown[0], ["创客大赛", "省", "二等奖", "2", ""]);
    assert_eq!(shown.len(), 2);
    browser.open(&page).await;
    for number in [1, 2] {
        remove(&browser, PERSONS, number).await;
    }
    save(&browser).await;
    assert_eq!(kept().await, []);
    // The browser itself tells of the two answers that refused a form.
    let complaints = browser.complaints().await;
    let refusals = complaints
        .iter()
        .filter(|one| one.contains("status of 422"));
    assert_eq!(
        (refusals.count(), complaints.len()),
        (2, 2),
        "{complaints:?}"
    );
    browser.stop().await;
    morning.stop().await;
}
