//! Pages from elsewhere, where nobody must log in and where everybody must: by a name that was turned to this machine, or
//! across origins, they read nothing and change nothing, in pages, JSON and gRPC-Web.

use classpulse::{
    api::{METHODS, Trail},
    web::{PAGES, Row},
};
use classpulse_proto::v1::{ListCountiesRequest, registry_client::RegistryClient};
use tonic::{Code, transport::Endpoint};

use super::people::{Answer, Guarded, cookie};
use crate::support::{PRIMARY, register};

/// A row's path with something that may stand there.
fn address(row: &Row) -> String {
    row.path
        .replace("{run}", "1")
        .replace("{item}", "4.3.1")
        .replace("{kind}", "summary.csv")
        .replace("{id}", "P-1")
        .replace("{date}", "2026-11-24")
        .replace("{code}", PRIMARY)
        .replace("{name}", "style.css")
}

/// As a browser asks by gRPC-Web.
async fn web(guarded: &Guarded, host: &str, path: &str, headers: &str) -> Answer {
    let kind = "Content-Type: application/grpc-web+proto\r\n";
    let empty = "\0\0\0\0\0";
    let headers = format!("{kind}X-Grpc-Web: 1\r\n{headers}");
    guarded.ask_raw(host, "POST", path, &headers, empty).await
}

/// What gRPC-Web says came of it: in a header where there is nothing else, else at the end.
fn code(answer: &Answer) -> Option<i32> {
    let said = answer.header("grpc-status").or_else(|| {
        let (_, rest) = answer.body.split_once("grpc-status:")?;
        rest.lines().next()
    });
    said?.trim().parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_strangers_name_nothing_is_answered_where_nobody_logs_in() {
    let guarded = Guarded::start_open().await;
    register(guarded.store(), &[("P-1".to_owned(), PRIMARY)]).await;
    let port = guarded.service.app.api.port();
    let stranger = format!("evil.example:{port}");
    let version = guarded.store().registry_version().await.unwrap();
    for row in PAGES {
        let address = address(&row);
        let own = format!("Origin: http://{stranger}\r\n");
        let answer = guarded
            .ask_by(&stranger, row.method, &address, &own, "")
            .await;
        assert_eq!(answer.status, 421, "{} {address}: {answer:?}", row.method);
        assert!(answer.body.contains("api.names"), "{answer:?}");
        assert!(!answer.body.contains("小学"), "{answer:?}");
        // The right name, and a page of another origin.
        let here = format!("localhost:{port}");
        let other = "Origin: http://evil.example\r\n";
        let answer = guarded.ask_by(&here, row.method, &address, other, "").await;
        assert_eq!(answer.status, 403, "{} {address}: {answer:?}", row.method);
    }
    for method in METHODS {
        let by_name = web(&guarded, &stranger, method.path, "").await;
        let other = "Origin: http://evil.example\r\n";
        let across = web(&guarded, &format!("localhost:{port}"), method.path, other).await;
        for answer in [by_name, across] {
            let denied = Some(Code::PermissionDenied as i32);
            assert_eq!(code(&answer), denied, "{}: {answer:?}", method.path);
            assert!(!answer.body.contains("小学"), "{answer:?}");
        }
    }
    // Nothing was done, and nothing but our own names was needed.
    assert_eq!(guarded.log().await, []);
    let still = guarded.store().registry_version().await.unwrap();
    assert_eq!(still, version);
    for host in [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
    ] {
        let page = guarded.ask_by(&host, "GET", "/", "", "").await;
        assert_eq!(page.status, 200, "{host}");
        let own = format!("Origin: http://{host}\r\n");
        let list = web(
            &guarded,
            &host,
            "/classpulse.v1.Registry/ListCounties",
            &own,
        )
        .await;
        assert!(list.body.contains("逊克县"), "{list:?}");
    }
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_caller_by_a_strangers_name_is_refused_likewise() {
    let guarded = Guarded::start_open_as("county.example").await;
    register(guarded.store(), &[]).await;
    let address = format!("http://{}", guarded.service.app.api);
    for (name, code) in [
        ("http://evil.example:50051", Some(Code::PermissionDenied)),
        ("http://county.example:50051", None),
        ("http://localhost:50051", None),
    ] {
        let endpoint = Endpoint::from_shared(address.clone()).unwrap();
        let endpoint = endpoint.origin(name.parse().unwrap());
        let mut client = RegistryClient::new(endpoint.connect().await.unwrap());
        let answer = client.list_counties(ListCountiesRequest {}).await;
        let said = answer.as_ref().err().map(tonic::Status::code);
        assert_eq!(said, code, "{name}: {answer:?}");
    }
    for (host, status) in [
        ("county.example", 200),
        ("COUNTY.example:80", 200),
        ("county.example.evil.example", 421),
    ] {
        let page = guarded.ask_by(host, "GET", "/", "", "").await;
        assert_eq!(page.status, status, "{host}");
    }
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_people_log_in_every_change_looks_at_its_origin() {
    let guarded = Guarded::start().await;
    let before = guarded.log().await.len();
    // By any name: it is the cookie that does not come along to another.
    let login = guarded
        .ask_by("classpulse.example", "GET", "/login", "", "")
        .await;
    assert_eq!(login.status, 200, "{login:?}");
    let mut tried = 0;
    for person in &guarded.people {
        for row in PAGES.iter().filter(|row| row.method != "GET") {
            for origin in [
                "",
                "Origin: null\r\n",
                "Origin: http://evil.example\r\n",
                "Origin: http://127.0.0.1\r\n",
            ] {
                let headers = format!("{}{origin}", cookie(person));
                let answer = guarded.ask("POST", &address(row), &headers, "").await;
                let told = format!("{} as {}: {answer:?}", row.path, person.name);
                assert_eq!(answer.status, 403, "{told}");
                tried += 1;
            }
        }
        // A cookie proves nothing to gRPC-Web, wherever it comes from.
        for method in METHODS.iter().filter(|one| one.trail != Trail::Reads) {
            let host = guarded.service.app.api.to_string();
            let answer = web(&guarded, &host, method.path, &cookie(person)).await;
            let refused = Some(Code::Unauthenticated as i32);
            assert_eq!(code(&answer), refused, "{}: {answer:?}", method.path);
        }
    }
    assert!(tried > 500, "{tried}");
    assert_eq!(guarded.log().await.len(), before, "nothing was recorded");
    guarded.stop().await;
}
