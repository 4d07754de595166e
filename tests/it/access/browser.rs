//! The whole way in a real browser: the link, the first administrator, a login, an account for a school, and the way out.

use super::people::{Guarded, PASSWORD};
use crate::{
    dashboard::{BROWSERS, browser::Browser},
    support::{PRIMARY, register},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_bureau_lets_its_people_in() {
    let _alone = BROWSERS.lock().await;
    let guarded = Guarded::start_empty().await;
    register(guarded.store(), &[("P-1".to_owned(), PRIMARY)]).await;
    let browser = Browser::start().await;
    let address = |path: &str| format!("http://{}{path}", guarded.service.app.api);
    let write = async |name: &str, text: &str| {
        let field = browser
            .find(&format!("main input[name='{name}']:not([type=hidden])"))
            .await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    };
    let setup = guarded.service.app.setup.clone().unwrap().path;
    browser.open(&address(&setup)).await;
    assert_eq!(browser.text("h1").await, "设置第一个管理员");
    for (name, text) in [("login", "boss"), ("new", PASSWORD), ("again", PASSWORD)] {
        write(name, text).await;
    }
    browser.go_by("main button[type=submit]").await;
    assert!(browser.text(".good").await.contains("请登录"));
    let log_in = async |name: &str| {
        write("login", name).await;
        write("password", PASSWORD).await;
        browser.go_by("main button[type=submit]").await;
    };
    log_in("boss").await;
    assert_eq!(browser.text("h1").await, "逊克县总览");

    // An account for a school; its link is shown once.
    browser.go_by("nav a[href='/settings/users']").await;
    write("login", "jia-school").await;
    let option = format!("form[action='/settings/users/add'] option[value='school:{PRIMARY}']");
    browser.find(&option).await.click().await.unwrap();
    browser
        .go_by("form[action='/settings/users/add'] button")
        .await;
    let link = browser.text(".good a.code").await;
    assert!(link.starts_with("/setup/"), "{link}");
    let rows = browser.rows("[data-table=users]").await;
    assert_eq!(rows[1][..4], ["jia-school", "查看员", "甲小学", "待设置"]);
    browser.go_by(".person button").await;
    assert_eq!(browser.text("h1").await, "登录");
    browser.open(&address("/settings/users")).await;
    assert_eq!(
        browser.text("h1").await,
        "登录",
        "a page that needs a login leads to it"
    );

    // The school: its own page, the ranking, and nothing else.
    browser.open(&address(&link)).await;
    write("new", PASSWORD).await;
    write("again", PASSWORD).await;
    browser.go_by("main button[type=submit]").await;
    log_in("jia-school").await;
    assert_eq!(browser.texts("header nav a").await, ["总览", "考核"]);
    browser.go_by("[data-table=schools] tbody th a").await;
    assert_eq!(browser.text("h1").await, "甲小学");
    browser.open(&address("/quality")).await;
    assert_eq!(browser.text("h1").await, "没有权限");
    browser.open(&address("/account")).await;
    assert!(browser.text(".lead").await.contains("jia-school"));
    // One refused page, and no script or style that the policy refuses.
    let complaints = browser.complaints().await;
    assert!(
        complaints.iter().all(|one| one.contains(" 403 ")),
        "{complaints:?}"
    );
    browser.stop().await;
    guarded.stop().await;
}
