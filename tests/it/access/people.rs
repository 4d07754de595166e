//! A service that lets nobody in without a login or a token, with somebody of every role and of every kind of scope.

use std::sync::Arc;

use classpulse::{
    access::{Access, Who, acting},
    clock::SystemClock,
    domain::{
        access::{Role, Scope},
        ids::Login,
    },
    store::{AuditFilter, Entry, RegistryChange, School, SharedStore},
};
use jiff::civil::date;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    COUNTY, EMBEDDED, JUNIOR, PRIMARY, Service, county, placement, register, school, terminal,
};

/// A school of the county in another township.
pub(super) const FAR: &str = "2123000003";

/// Everybody's password.
pub(super) const PASSWORD: &str = "Xunke-2026-yes";

/// Somebody: an account and a token of the same role and scope.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) role: Role,
    pub(super) scope: Scope,
    pub(super) token: String,
    /// `Cookie` as a browser sends it.
    pub(super) cookie: String,
}

impl Person {
    /// Whether less than a county is seen.
    pub(super) fn is_narrow(&self) -> bool {
        self.scope.is_narrow()
    }
}

const PEOPLE: [(&str, Role, &str); 9] = [
    ("viewer", Role::Viewer, "all"),
    ("evaluator", Role::Evaluator, "all"),
    ("registrar", Role::Registrar, "all"),
    ("auditor", Role::Auditor, "all"),
    ("administrator", Role::Administrator, "all"),
    ("county", Role::Viewer, "county:231123"),
    ("elsewhere", Role::Registrar, "county:231124"),
    ("township", Role::Viewer, "township:231123/奇克镇"),
    ("school", Role::Viewer, "school:2123000001"),
];

pub(super) fn login(name: &str) -> Login {
    name.parse().unwrap()
}

/// A service with people.
pub(super) struct Guarded {
    pub(super) service: Service,
    pub(super) access: Arc<Access>,
    pub(super) people: Vec<Person>,
}

impl Guarded {
    /// One that nobody has set up.
    pub(super) async fn start_empty() -> Self {
        Self::start_as(&format!("{EMBEDDED}\n[access]\nrequired = \"yes\"")).await
    }

    /// One where nobody logs in.
    pub(super) async fn start_open() -> Self {
        Self::start_as(EMBEDDED).await
    }

    /// The same, that is asked by this name too.
    pub(super) async fn start_open_as(name: &str) -> Self {
        Self::start_as(&format!("api.names = \"{name}\"\n{EMBEDDED}")).await
    }

    async fn start_as(config: &str) -> Self {
        let service = Service::start_with(config).await;
        let access = Access::new(service.app.store.clone(), Arc::new(SystemClock));
        Self {
            service,
            access,
            people: Vec::new(),
        }
    }

    pub(super) async fn start() -> Self {
        let mut guarded = Self::start_empty().await;
        let terminals = [("P-1", PRIMARY), ("J-1", JUNIOR)];
        let terminals = terminals.map(|(name, code)| (name.to_owned(), code));
        register(guarded.store(), &terminals).await;
        guarded.register_far().await;
        for (name, role, scope) in PEOPLE {
            let person = guarded.person(name, role, scope).await;
            guarded.people.push(person);
        }
        guarded
    }

    /// The third school, and a second county.
    async fn register_far(&self) {
        let mut other = self.store().counties().await.unwrap()[0].clone();
        other.code = "231124".parse().unwrap();
        let known = self
            .store()
            .school(&school(PRIMARY))
            .await
            .unwrap()
            .unwrap();
        let far = School {
            code: school(FAR),
            name: "丙小学".to_owned(),
            township: "逊河镇".to_owned(),
            ..known
        };
        let change = RegistryChange {
            counties: vec![other],
            schools: vec![far],
            placements: vec![(terminal("X-1"), vec![placement(FAR, date(2026, 9, 1))])],
        };
        self.store().change_registry(change).await.unwrap();
    }

    async fn person(&self, name: &'static str, role: Role, scope: &str) -> Person {
        let scope: Scope = scope.parse().unwrap();
        let made = async {
            let link = self.access.add(&login(name), role, scope.clone()).await;
            let link = link.unwrap().path;
            let code = link.strip_prefix("/setup/").unwrap();
            self.access.set_up(code, "", PASSWORD).await.unwrap();
            // There are no administrators' tokens.
            let named = login(name);
            let token = self.access.add_token(&named, role, scope.clone(), 1);
            token.await.map(|(text, _)| text).unwrap_or_default()
        };
        let token = acting(Who::console("test"), made).await;
        let cookie = self.log_in(name, PASSWORD).await.unwrap();
        Person {
            name,
            role,
            scope,
            token,
            cookie,
        }
    }

    pub(super) fn store(&self) -> &SharedStore {
        &self.service.app.store
    }

    pub(super) fn one(&self, name: &str) -> &Person {
        self.people.iter().find(|one| one.name == name).unwrap()
    }

    /// Logs in as a browser does; the cookie where it was let in.
    pub(super) async fn log_in(&self, name: &str, password: &str) -> Option<String> {
        let body = format!("login={name}&password={password}&next=%2F");
        let answer = self.post("/login", "", &body).await;
        let set = answer.header("set-cookie")?;
        let (cookie, rest) = set.split_once(';').unwrap();
        assert!(
            rest.contains("HttpOnly") && rest.contains("SameSite=Strict"),
            "{set}"
        );
        Some(cookie.to_owned())
    }

    pub(super) async fn get(&self, path: &str, headers: &str) -> Answer {
        self.ask("GET", path, headers, "").await
    }

    /// A form of the service's own page.
    pub(super) async fn post(&self, path: &str, headers: &str, body: &str) -> Answer {
        let origin = format!("Origin: http://{}\r\n{headers}", self.service.app.api);
        self.ask("POST", path, &origin, body).await
    }

    pub(super) async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let host = self.service.app.api.to_string();
        self.ask_by(&host, method, path, headers, body).await
    }

    /// The same by any name.
    pub(super) async fn ask_by(
        &self,
        host: &str,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Answer {
        let headers = format!("{headers}Content-Type: application/x-www-form-urlencoded\r\n");
        self.ask_raw(host, method, path, &headers, body).await
    }

    /// The same with all headers.
    pub(super) async fn ask_raw(
        &self,
        host: &str,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Answer {
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.service.app.api).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A stream has no end: its beginning will do.
        while stream.read_buf(&mut answer).await.unwrap() > 0 {
            let live = answer.windows(17).any(|part| part == b"text/event-stream");
            if live && answer.windows(4).any(|part| part == b"\r\n\r\n") {
                break;
            }
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// The log, oldest first.
    pub(super) async fn log(&self) -> Vec<Entry> {
        let found = self.store().audit(&AuditFilter::default()).await.unwrap();
        found.into_iter().rev().map(|one| one.entry).collect()
    }

    pub(super) async fn stop(self) {
        let whole = classpulse::access::verify(self.store().as_ref(), None).await;
        assert_eq!(whole.unwrap().faults, [], "the log is whole at the end");
        self.service.stop().await;
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// `Cookie: …` of a request.
pub(super) fn cookie(person: &Person) -> String {
    format!("Cookie: {}\r\n", person.cookie)
}

#[test]
fn the_county_is_the_scopes_county() {
    assert_eq!(county().as_str(), COUNTY);
    assert!(PEOPLE.iter().any(|(.., scope)| scope.contains(COUNTY)));
}
