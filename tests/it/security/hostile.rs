//! Hostile words, files and messages: names that are scripts, words that are SQL, paths, bombs, and messages that are too big.

use std::fmt::Write as _;

use classpulse::{registry, store::TerminalFilter};
use classpulse_proto::v1::{ImportRequest, registry_client::RegistryClient};

use crate::dashboard::county::{CODE, Morning};

/// A script, an event handler, the end of an attribute, and a formula.
const NAMES: [&str; 4] = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "\"><svg/onload=alert(3)>",
    "=HYPERLINK(\"http://evil.example\")",
];

/// What has made databases talk.
pub(super) const SQL: [&str; 4] = [
    "'; DROP TABLE school; --",
    "' OR '1'='1",
    "1; DELETE FROM terminal",
    "\\'); PRAGMA writable_schema=1; --",
];

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        write!(all, "%{byte:02X}").unwrap();
        all
    })
}

async fn post(morning: &Morning, path: &str, kind: &str, body: &str) -> (u16, String) {
    let host = morning.app.api;
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, _, answer) = morning.ask(request).await;
    (status, String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_text_on_every_page_and_no_formula_in_any_file() {
    let morning = Morning::start().await;
    let mut table = "区县代码,区县名称,乡镇,学校标识码,学校名称,学段\n".to_owned();
    for (number, name) in (10..).zip(NAMES) {
        let name = name.replace('"', "\"\"");
        writeln!(
            table,
            "{CODE},逊克县,\"{name}\",21230000{number},\"{name}\",小学"
        )
        .unwrap();
    }
    let store = morning.app.store.clone();
    let report = registry::import(store.as_ref(), table.as_bytes(), None, "x.csv", false).await;
    let report = report.unwrap();
    assert!(report.applied, "{:?}", report.errors);
    let run = morning.run().await.id;
    let mut shown = 0;
    for path in [
        "/".to_owned(),
        "/schools/2123000010".to_owned(),
        "/schools/2123000012".to_owned(),
        "/settings".to_owned(),
        "/quality".to_owned(),
        "/wall".to_owned(),
        "/runs".to_owned(),
        format!("/runs/{run}"),
        format!("/runs/{run}/schools/2123000010"),
        format!("/runs/{run}/schools/2123000011/evidence"),
        format!("/runs/{run}/exclusions"),
        format!("/?township={}", encoded(NAMES[1])),
        format!("/schools/{}", encoded(NAMES[0])),
    ] {
        let (status, head, body) = morning.get(&path).await;
        let body = String::from_utf8_lossy(&body);
        assert!(status == 200 || status == 404, "{path}: {status}");
        assert!(head.contains("default-src 'none'"), "{path}: {head}");
        for wrong in ["<script>alert", "<img src=x", "<svg/onload"] {
            assert!(!body.contains(wrong), "{path} holds {wrong}");
        }
        shown += body.matches("&lt;script&gt;alert").count();
    }
    assert!(shown >= 5, "the name was shown {shown} times");
    let (status, _, csv) = morning.get("/?format=csv").await;
    let csv = String::from_utf8_lossy(&csv);
    assert_eq!(status, 200);
    assert!(csv.contains("'=HYPERLINK"), "{csv}");
    for cell in csv.split([',', '\n']) {
        let cell = cell.trim_matches(['"', '\r']);
        assert!(
            !cell.starts_with(['=', '+', '@', '\t']),
            "{cell} is a formula"
        );
    }
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_in_any_field_is_text() {
    const FIELDS: [&str; 22] = [
        "terminal", "school", "room", "day", "from", "to", "name", "by", "reason", "key", "first",
        "last", "id", "run", "code", "uses", "days", "rubric", "text", "login", "scope", "expect",
    ];
    let morning = Morning::start().await;
    let store = morning.app.store.clone();
    let run = morning.run().await.id;
    let county = CODE.parse().unwrap();
    let before = (
        store.schools(&county).await.unwrap(),
        store
            .terminals(&TerminalFilter::default())
            .await
            .unwrap()
            .len(),
    );
    for words in SQL {
        let words = encoded(words);
        let body = FIELDS.map(|field| format!("{field}={words}")).join("&");
        for path in [
            "/quality/replay",
            "/quality/approve",
            "/settings/codes",
            "/settings/codes/revoke",
            "/settings/move",
            "/settings/retire",
            "/settings/users/add",
            "/settings/users/change",
            "/settings/users/lock",
            "/settings/users/reset",
            "/runs",
            "/login",
            &format!("/runs/{run}/schools/2123000001/evidence"),
            &format!("/runs/{run}/exclusions"),
            &format!("/runs/{run}/exclusions/remove"),
        ] {
            let (status, answer) =
                post(&morning, path, "application/x-www-form-urlencoded", &body).await;
            assert!(status < 500, "{path}: {status} {answer}");
        }
        for path in [
            "/",
            "/quality",
            "/settings",
            "/runs",
            "/audit",
            "/api/v1/schools",
        ] {
            let query = FIELDS.map(|field| format!("{field}={words}")).join("&");
            let (status, _, _) = morning
                .get(&format!("{path}?{query}&township={words}"))
                .await;
            assert!(status < 500, "{path}: {status}");
        }
        for path in ["/schools/", "/terminals/", "/runs/", "/api/v1/terminals/"] {
            let (status, _, _) = morning.get(&format!("{path}{words}")).await;
            assert!((400..500).contains(&status), "{path}: {status}");
        }
    }
    let after = (
        store.schools(&county).await.unwrap(),
        store
            .terminals(&TerminalFilter::default())
            .await
            .unwrap()
            .len(),
    );
    assert_eq!(before, after);
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploads_name_is_no_path_and_a_bomb_is_refused() {
    let morning = Morning::start().await;
    let upload = |name: &str, content: &str| {
        format!(
            "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n\
             --x\r\nContent-Disposition: form-data; name=\"do\"\r\n\r\napply\r\n--x--\r\n"
        )
    };
    let kind = "multipart/form-data; boundary=x";
    let place = tempfile::tempdir().unwrap();
    let aim = place.path().join("written.csv");
    for name in [
        "../../../../etc/classpulse.csv",
        aim.to_str().unwrap(),
        "..\\..\\windows.csv",
        "a\u{0}b.csv",
        &"长".repeat(5_000),
    ] {
        let (status, answer) = post(
            &morning,
            "/settings/import",
            kind,
            &upload(name, "a,b\n1,2\n"),
        )
        .await;
        assert!(
            (400..500).contains(&status),
            "{name:.40}: {status} {answer}"
        );
    }
    assert!(!aim.exists());
    // 64 KiB of random bytes that say they are a workbook.
    let rubbish = format!("PK\u{3}\u{4}{}", "x".repeat(65_536));
    let (status, answer) = post(
        &morning,
        "/settings/import",
        kind,
        &upload("x.xlsx", &rubbish),
    )
    .await;
    assert!(
        status == 422 && answer.contains("xlsx"),
        "{status} {answer}"
    );
    // More than an upload may have: refused, and the service goes on.
    let big = "x".repeat(10 * 1024 * 1024);
    let (status, answer) = post(&morning, "/settings/import", kind, &upload("x.csv", &big)).await;
    assert!((400..500).contains(&status), "{status} {answer}");
    assert_eq!(morning.get("/settings").await.0, 200);
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_big_is_refused_and_others_go_on() {
    let morning = Morning::start().await;
    let at = format!("http://{}", morning.app.api);
    let mut client = RegistryClient::connect(at.clone())
        .await
        .unwrap()
        .max_encoding_message_size(usize::MAX);
    let request = ImportRequest {
        content: vec![b'x'; 64 * 1024 * 1024],
        ..ImportRequest::default()
    };
    let refused = client.import(request).await.unwrap_err();
    let told = refused.code();
    assert!(
        matches!(
            told,
            tonic::Code::OutOfRange
                | tonic::Code::ResourceExhausted
                | tonic::Code::Internal
                | tonic::Code::Unknown
        ),
        "{refused:?}"
    );
    let mut other = RegistryClient::connect(at).await.unwrap();
    let schools = other
        .list_schools(classpulse_proto::v1::ListSchoolsRequest {
            county: CODE.to_owned(),
        })
        .await
        .unwrap();
    assert!(!schools.into_inner().schools.is_empty());
    morning.stop().await;
}
