//! `/broker/auth` and `/broker/acl`, asked as EMQX 5 and RMQTT ask: JSON and forms, each answered in its own way; and as
//! somebody asks who is neither.

use std::fs;

use classpulse::store::KeyChange;
use classpulse_proto::topic::{self, Channel};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    enrolment::{ask, code, enrolled, keys::change, until},
    support::{EMBEDDED, Service},
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// One question over HTTP/1.1; the status, the answer's kind and its body.
async fn post(
    at: std::net::SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, String) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let headers = headers.concat();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let kind = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .map(|(_, value)| value.to_owned());
    (status, kind.unwrap_or_default(), body.to_owned())
}

/// Both brokers, each as `deploy/broker` has it ask.
struct Asking {
    at: std::net::SocketAddr,
    secret: &'static str,
}

impl Asking {
    async fn emqx(&self, path: &str, body: serde_json::Value) -> bool {
        let headers = [
            ("content-type", "application/json"),
            ("x-classpulse-secret", self.secret),
        ];
        let (status, kind, said) = post(self.at, path, &headers, &body.to_string()).await;
        assert_eq!((status, kind.as_str()), (200, "application/json"), "{said}");
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["is_superuser"], false);
        match said["result"].as_str().unwrap() {
            "allow" => true,
            "deny" => false,
            other => panic!("{other}"),
        }
    }

    /// RMQTT reads rules from the answer to a login, which must then be JSON.
    async fn rmqtt(&self, path: &str, fields: &[(&str, &str)]) -> bool {
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("X-Classpulse-Secret", self.secret),
        ];
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let (status, kind, said) = post(self.at, path, &headers, &body).await;
        let word = if kind == "application/json" {
            assert_eq!((status, path), (200, "/broker/auth"), "{said}");
            let said: serde_json::Value = serde_json::from_str(&said).unwrap();
            assert_eq!(said["superuser"], false);
            let rules = said["acl"].as_array().unwrap();
            let own = fields.contains(&("username", "classpulse"));
            assert!(!rules.is_empty() || own, "{said}");
            assert!(rules.iter().all(|rule| rule["permission"] == "deny"));
            said["result"].as_str().unwrap().to_owned()
        } else {
            assert_eq!((status, kind.as_str()), (200, "text/plain"), "{said}");
            said
        };
        match word.as_str() {
            "allow" => true,
            "deny" => false,
            other => panic!("{other}"),
        }
    }

    /// Both give the same answer.
    async fn auth(&self, client: &str, user: &str, password: &str) -> bool {
        let body = json!({ "clientid": client, "username": user, "password": password, "peerhost": "10.0.0.1" });
        let emqx = self.emqx("/broker/auth", body).await;
        let fields = [
            ("clientid", client),
            ("username", user),
            ("password", password),
        ];
        assert_eq!(self.rmqtt("/broker/auth", &fields).await, emqx);
        emqx
    }

    async fn acl(&self, client: &str, user: &str, action: &str, topic: &str) -> bool {
        let body = json!({ "clientid": client, "username": user, "action": action, "topic": topic, "qos": 1, "retain": false });
        let emqx = self.emqx("/broker/acl", body).await;
        let access = if action == "publish" { "2" } else { "1" };
        let fields = [
            ("access", access),
            ("username", user),
            ("clientid", client),
            ("ipaddr", "10.0.0.1"),
            ("topic", topic),
        ];
        assert_eq!(self.rmqtt("/broker/acl", &fields).await, emqx);
        emqx
    }
}

/// A service that answers brokers. Its own is the embedded one, so that machines can enrol without another.
async fn service(more: &str) -> (Service, TempDir) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let text = format!(
        "{EMBEDDED}\nauth_secret_file = \"{}\"\n{more}",
        file.display()
    );
    (Service::start_with(&text).await, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_brokers_are_told_who_may_do_what() {
    let (service, _folder) = service("keys = \"required\"").await;
    let (broker, store) = (service.broker(), service.app.store.clone());
    let code = code(&store, 5).await;
    let (one, other) = (
        enrolled(ask(broker, &code, 1).await),
        enrolled(ask(broker, &code, 50).await),
    );
    let asking = Asking {
        at: service.app.api,
        secret: SECRET,
    };
    let (terminal, passing) = (one.terminal.as_str(), topic::passing(7));
    for (client, user, password, expected) in [
        (terminal, terminal, one.key.as_str(), true),
        (terminal, terminal, &other.key, false),
        (terminal, terminal, "", false),
        (terminal, &other.terminal, &other.key, false),
        ("", "", "", false),
        ("nobody", "nobody", "", false),
        // A machine that asks, and a terminal that renews its key.
        (&passing, &passing, &code, true),
        (&passing, &passing, "", false),
        (&passing, terminal, &one.key, true),
        (&passing, terminal, &other.key, false),
        (&passing, &topic::passing(8), &code, false),
        // Nobody is the service here: its own broker is the embedded one.
        ("classpulse-1", "classpulse", "x", false),
    ] {
        let said = asking.auth(client, user, password).await;
        assert_eq!(said, expected, "{client} {user} {password}");
    }
    let of = |channel| topic::of(terminal, channel);
    let asks = |channel| topic::of(&passing, channel);
    for (client, user, action, topic, expected) in [
        (terminal, terminal, "publish", of(Channel::Report), true),
        (terminal, terminal, "publish", of(Channel::State), true),
        (terminal, terminal, "subscribe", of(Channel::Ack), true),
        (terminal, terminal, "publish", of(Channel::Ack), false),
        (terminal, terminal, "subscribe", of(Channel::Report), false),
        (
            terminal,
            terminal,
            "publish",
            topic::of(&other.terminal, Channel::Report),
            false,
        ),
        (terminal, terminal, "subscribe", "#".to_owned(), false),
        (
            terminal,
            terminal,
            "subscribe",
            topic::SHARED_REPORTS.to_owned(),
            false,
        ),
        (
            terminal,
            "classpulse",
            "publish",
            of(Channel::Report),
            false,
        ),
        (&passing, &passing, "publish", asks(Channel::Enrol), true),
        (
            &passing,
            &passing,
            "subscribe",
            asks(Channel::Enrolled),
            true,
        ),
        (&passing, terminal, "publish", asks(Channel::Enrol), true),
        (&passing, terminal, "publish", of(Channel::Report), false),
    ] {
        let said = asking.acl(client, user, action, &topic).await;
        assert_eq!(said, expected, "{client} {user} {action} {topic}");
    }
    // Revoked while it is connected there: what it says next is refused.
    change(&store, terminal, KeyChange::Revoke).await;
    until("revoked", async || {
        !asking
            .acl(terminal, terminal, "publish", &of(Channel::Report))
            .await
    })
    .await;
    assert!(!asking.auth(terminal, terminal, &one.key).await);
    assert!(
        asking
            .auth(&other.terminal, &other.terminal, &other.key)
            .await
    );

    service.stop().await;
}

/// Who shows no secret, or another one, hears no in both ways, whatever is right.
#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_secret_hears_no() {
    let (service, _folder) = service("").await;
    let code = code(&service.app.store, 5).await;
    let one = enrolled(ask(service.broker(), &code, 1).await);
    for secret in ["", "0123456789abcdef0123456789abcdeg"] {
        let stranger = Asking {
            at: service.app.api,
            secret,
        };
        assert!(!stranger.auth(&one.terminal, &one.terminal, &one.key).await);
    }
    // What can't be read is refused.
    let json = ("content-type", "application/json");
    let shown = ("x-classpulse-secret", SECRET);
    for body in ["", "{", "[]", "{\"clientid\": 7}"] {
        let (status, _, said) = post(service.app.api, "/broker/auth", &[json, shown], body).await;
        assert_eq!((status, said.contains("deny")), (200, true), "{body}");
    }
    let large = format!("{{\"password\": \"{}\"}}", "x".repeat(20_000));
    for path in ["/broker/auth", "/broker/acl"] {
        let (status, _, said) = post(service.app.api, path, &[json, shown], &large).await;
        assert_eq!((status, said.contains("deny")), (200, true), "{said}");
    }
    service.stop().await;
}

/// The service logs in at the broker that asks it, and reads and answers everybody there.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_itself_gets_in_at_the_broker_that_asks() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let text = format!(
        "[broker]\nkind = \"outside\"\nport = 1\nuser = \"classpulse\"\npassword_file = {:?}\nauth_secret_file = {:?}",
        file("password", "our own\n"),
        file("secret", SECRET)
    );
    let service = Service::start_with(&text).await;
    let asking = Asking {
        at: service.app.api,
        secret: SECRET,
    };
    let us = "classpulse";
    for (client, password, expected) in [
        ("classpulse-1", "our own", true),
        ("classpulse-2", "our own", true),
        ("classpulse-1", "another", false),
        ("classpulse-1", "", false),
    ] {
        let said = asking.auth(client, us, password).await;
        assert_eq!(said, expected, "{client} {password}");
    }
    for (action, topic, expected) in [
        ("subscribe", topic::ALL_REPORTS, true),
        ("subscribe", topic::SHARED_ENROLS, true),
        ("subscribe", "#", false),
        ("publish", "classpulse/v1/t-1/ack", true),
        ("publish", "classpulse/v1/t-1/enrolled", true),
        ("publish", "classpulse/v1/t-1/report", false),
    ] {
        let said = asking.acl("classpulse-1", us, action, topic).await;
        assert_eq!(said, expected, "{action} {topic}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_nobody_is_answered_and_a_short_one_is_none() {
    let service = Service::start().await;
    let (status, ..) = post(service.app.api, "/broker/auth", &[], "").await;
    assert_eq!(status, 404);
    service.stop().await;
    let folder = TempDir::new().unwrap();
    let (file, store) = (
        folder.path().join("secret").display().to_string(),
        format!("sqlite:{}", folder.path().join("x.db").display()),
    );
    fs::write(&file, "short").unwrap();
    let environment = [
        ("CLASSPULSE_STORE", store.as_str()),
        ("CLASSPULSE_BROKER_AUTH_SECRET_FILE", &file),
        ("CLASSPULSE_API_LISTEN", "127.0.0.1:0"),
        ("CLASSPULSE_BROKER_LISTEN", "127.0.0.1:0"),
    ];
    let (status, _, said) = super::run(&environment, &["serve"]);
    assert!(
        status == 1 && said.contains(&file) && said.contains("32"),
        "{said}"
    );
}
