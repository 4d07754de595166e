//! Getting in: the first administrator, links, sessions, failures; and who does not get in.

use std::time::Duration;

use classpulse::{
    access::{Who, acting},
    domain::access::{MAX_FAILURES, Role, Scope},
};

use super::people::{Guarded, PASSWORD, cookie, login};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_comes_by_a_link_that_is_used_once() {
    let guarded = Guarded::start_empty().await;
    let link = guarded.service.app.setup.clone().unwrap().path;
    assert!(
        guarded.store().accounts().await.unwrap().is_empty(),
        "no account is there by itself"
    );
    let page = guarded.get(&link, "").await;
    assert!(
        page.status == 200 && page.body.contains("第一个管理员"),
        "{page:?}"
    );
    for (body, words) in [
        ("login=boss&new=short&again=short", "至少"),
        (
            "login=boss&new=Xunke-2026-yes&again=Xunke-2026-no",
            "不一致",
        ),
        (
            "login=%E7%8E%8B&new=Xunke-2026-yes&again=Xunke-2026-yes",
            "登录名",
        ),
        ("login=boss&new=Boss-1234567&again=Boss-1234567", "相近"),
    ] {
        let answer = guarded.post(&link, "", body).await;
        let told = answer.body.contains(words);
        assert!(
            answer.status == 422 && told || body.contains("Boss-"),
            "{body}: {answer:?}"
        );
        if body.contains("Boss-") {
            // Enough is left of it: it sets the account up.
            assert_eq!(answer.status, 303, "{answer:?}");
        }
    }
    for answer in [
        guarded.get(&link, "").await,
        guarded
            .post(
                &link,
                "",
                "login=other&new=Xunke-2026-yes&again=Xunke-2026-yes",
            )
            .await,
        guarded.get("/setup/AAAA", "").await,
    ] {
        assert_eq!(answer.status, 410, "{answer:?}");
    }
    let boss = guarded.log_in("boss", "Boss-1234567").await.unwrap();
    let page = guarded
        .get("/settings/users", &format!("Cookie: {boss}\r\n"))
        .await;
    assert!(
        page.status == 200 && page.body.contains("管理员"),
        "{page:?}"
    );
    let actions: Vec<_> = guarded
        .log()
        .await
        .into_iter()
        .map(|one| one.action)
        .collect();
    assert_eq!(
        actions,
        ["account.link", "account.add", "account.setup", "login"]
    );
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_lock_and_are_told_alike() {
    let guarded = Guarded::start().await;
    let wrong = async |name: &str| {
        let body = format!("login={name}&password=Wrong-1-password");
        guarded.post("/login", "", &body).await
    };
    let (known, unknown) = (wrong("viewer").await, wrong("stranger").await);
    assert_eq!((known.status, unknown.status), (401, 401));
    let same = known.body.replace("viewer", "stranger");
    assert_eq!(same, unknown.body, "nobody learns which accounts there are");
    for _ in 1..MAX_FAILURES {
        wrong("viewer").await;
        wrong("stranger").await;
    }
    assert_eq!(guarded.log_in("viewer", PASSWORD).await, None, "locked");
    assert_eq!(
        wrong("viewer").await.body.replace("viewer", "stranger"),
        wrong("stranger").await.body
    );
    // A session that was open goes on; another's login is not touched.
    let open = guarded.get("/", &cookie(guarded.one("viewer"))).await;
    assert_eq!(open.status, 200);
    assert!(guarded.log_in("auditor", PASSWORD).await.is_some());
    // An administrator lets the owner in again.
    let admin = cookie(guarded.one("administrator"));
    let body = "login=viewer&locked=false";
    assert_eq!(
        guarded
            .post("/settings/users/lock", &admin, body)
            .await
            .status,
        303
    );
    assert!(guarded.log_in("viewer", PASSWORD).await.is_some());
    let log = guarded.log().await;
    let failed = log.iter().filter(|one| one.action == "login.failed");
    let failed: Vec<_> = failed
        .map(|one| (one.who.as_str(), one.target.as_str()))
        .collect();
    assert!(failed.contains(&("-", "viewer")) && failed.contains(&("-", "stranger")));
    assert!(
        log.iter()
            .all(|one| !one.after.contains("Wrong") && !one.target.contains("Wrong"))
    );
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_when_they_must() {
    let guarded = Guarded::start().await;
    let status = async |cookie: &str| {
        guarded
            .get("/", &format!("Cookie: {cookie}\r\n"))
            .await
            .status
    };
    let [one, two, three] = [
        guarded.log_in("evaluator", PASSWORD).await.unwrap(),
        guarded.log_in("evaluator", PASSWORD).await.unwrap(),
        guarded.log_in("registrar", PASSWORD).await.unwrap(),
    ];
    assert!(one != two);
    for bad in [
        "classpulse=",
        "classpulse=AAAA",
        "other=x",
        &one[..one.len() - 1],
    ] {
        assert_eq!(status(bad).await, 303, "{bad}");
    }
    // Logging out ends this one.
    let header = format!("Cookie: {one}\r\n");
    let out = guarded.post("/logout", &header, "").await;
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!((status(&one).await, status(&two).await), (303, 200));
    // A new password ends the others.
    let [four, header] = [
        guarded.log_in("evaluator", PASSWORD).await.unwrap(),
        format!("Cookie: {two}\r\n"),
    ];
    let change = |old: &str, new: &str| format!("old={old}&new={new}&again={new}");
    let body = change("Wrong-1-password", "Another-2027-one");
    assert_eq!(guarded.post("/account", &header, &body).await.status, 422);
    let body = change(PASSWORD, "Another-2027-one");
    assert_eq!(guarded.post("/account", &header, &body).await.status, 303);
    assert_eq!((status(&two).await, status(&four).await), (200, 303));
    assert!(guarded.log_in("evaluator", PASSWORD).await.is_none());
    // A change of role, a lock and a reset end all of an account.
    let admin = cookie(guarded.one("administrator"));
    let body = "login=evaluator&role=viewer&scope=all";
    guarded.post("/settings/users/change", &admin, body).await;
    assert_eq!(status(&two).await, 303);
    guarded
        .post(
            "/settings/users/lock",
            &admin,
            "login=registrar&locked=true",
        )
        .await;
    assert_eq!(status(&three).await, 303);
    assert!(guarded.log_in("registrar", PASSWORD).await.is_none());
    let reset = guarded
        .post("/settings/users/reset", &admin, "login=auditor")
        .await;
    let link = reset.body.split("href=\"/setup/").nth(1).unwrap();
    let link = format!("/setup/{}", link.split('"').next().unwrap());
    assert_eq!(
        guarded
            .get("/audit", &cookie(guarded.one("auditor")))
            .await
            .status,
        303
    );
    let body = "new=Another-2027-one&again=Another-2027-one";
    assert_eq!(guarded.post(&link, "", body).await.status, 303);
    assert!(
        guarded
            .log_in("auditor", "Another-2027-one")
            .await
            .is_some()
    );
    // Nobody becomes what they may not be.
    for body in [
        "login=administrator&role=viewer&scope=all",
        "login=auditor&role=administrator&scope=all",
        "login=auditor&role=viewer&scope=all",
        "login=school&role=registrar&scope=school:2123000001",
    ] {
        let answer = guarded.post("/settings/users/change", &admin, body).await;
        assert_eq!(answer.status, 422, "{body}: {answer:?}");
    }
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_stays_but_for_the_console() {
    let guarded = Guarded::start().await;
    let admin = cookie(guarded.one("administrator"));
    for (path, body) in [
        ("/settings/users/lock", "login=administrator&locked=true"),
        ("/settings/users/reset", "login=administrator"),
    ] {
        let answer = guarded.post(path, &admin, body).await;
        assert!(
            answer.status == 422 && answer.body.contains("至少要有一个"),
            "{path}: {answer:?}"
        );
    }
    assert_eq!(guarded.get("/settings/users", &admin).await.status, 200);
    let boss = login("administrator");
    let reset = acting(Who::console("test"), guarded.access.reset(&boss)).await;
    let link = reset.unwrap().path;
    assert_eq!(guarded.get("/settings/users", &admin).await.status, 303);
    let body = format!("new={PASSWORD}&again={PASSWORD}");
    assert_eq!(guarded.post(&link, "", &body).await.status, 303);
    assert!(guarded.log_in("administrator", PASSWORD).await.is_some());
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_link_ends_when_another_way_made_an_administrator() {
    let guarded = Guarded::start_empty().await;
    let first = guarded.service.app.setup.clone().unwrap().path;
    let made = async {
        let boss = login("boss");
        let added = guarded.access.add(&boss, Role::Administrator, Scope::All);
        let link = added.await.unwrap().path;
        let code = link.strip_prefix("/setup/").unwrap();
        assert_eq!(guarded.get(&first, "").await.status, 200, "nobody yet");
        guarded.access.set_up(code, "", PASSWORD).await.unwrap();
    };
    acting(Who::console("test"), made).await;
    let body = format!("login=other&new={PASSWORD}&again={PASSWORD}");
    assert_eq!(guarded.get(&first, "").await.status, 410);
    assert_eq!(guarded.post(&first, "", &body).await.status, 410);
    let accounts = guarded.store().accounts().await.unwrap();
    assert_eq!(accounts.len(), 1);
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_logs_in_no_page_sends_in_a_circle() {
    let guarded = Guarded::start_open().await;
    let account = guarded.get("/account", "").await;
    let to = account.header("location").unwrap_or_default();
    assert!(to.starts_with("/login?next="), "{account:?}");
    let answer = guarded.get(to, "").await;
    assert_eq!(answer.header("location"), Some("/"), "{answer:?}");
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_form_and_a_stolen_address_do_nothing() {
    let guarded = Guarded::start().await;
    let admin = cookie(guarded.one("administrator"));
    let body = "login=evil&role=administrator&scope=all";
    for origin in ["", "Origin: null\r\n", "Origin: http://evil.example\r\n"] {
        for (path, body) in [
            ("/settings/users/add", body),
            ("/account", "old=a&new=b&again=b"),
            ("/logout", ""),
            ("/login", "login=viewer&password=Xunke-2026-yes"),
        ] {
            let headers = format!("{admin}{origin}");
            let answer = guarded.ask("POST", path, &headers, body).await;
            assert_eq!(answer.status, 403, "{path} {origin}: {answer:?}");
        }
    }
    assert!(
        guarded
            .store()
            .account(&login("evil"))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        guarded.get("/settings/users", &admin).await.status,
        200,
        "still logged in"
    );
    // Where to go after a login is never another host.
    for next in ["https://evil.example", "//evil.example", "/%5Cevil.example"] {
        let body = format!("login=viewer&password={PASSWORD}&next={next}");
        let answer = guarded.post("/login", "", &body).await;
        assert_eq!(answer.header("location"), Some("/"), "{next}");
    }
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_bad_logins_keeps_nobody_out() {
    let guarded = Guarded::start().await;
    let flood = (0..400).map(|number| {
        let body = format!("login=guess{number}&password=Guess-{number}-Guess");
        let guarded = &guarded;
        async move { guarded.post("/login", "", &body).await.status }
    });
    let open = cookie(guarded.one("viewer"));
    let open =
        async { tokio::time::timeout(Duration::from_secs(20), guarded.get("/", &open)).await };
    let (flood, open) = futures::future::join(futures::future::join_all(flood), open).await;
    assert_eq!(open.unwrap().status, 200, "who is in goes on");
    assert!(
        flood.iter().all(|status| [401, 429].contains(status)),
        "{flood:?}"
    );
    let busy = flood.iter().filter(|status| **status == 429).count();
    assert!(busy > 0, "most are refused unhashed");
    assert!(guarded.log_in("viewer", PASSWORD).await.is_some());
    let told = guarded.log().await;
    let told = told
        .iter()
        .filter(|one| one.action == "login.failed")
        .count();
    assert!(told <= 120, "{told} entries");
    guarded.stop().await;
}
