//! What protects the browser and the service: headers, an end to every request, and who may change anything.

use std::time::Duration;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method,
        header::{self, HOST, ORIGIN},
    },
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    Actions,
    failure::{Failure, JsonFailure},
    routes::{Row, Sees, row},
};
use crate::{
    access::{self, Who, acting},
    gate::Gate,
    tasks,
};

/// Longest time to an answer.
const LIMIT: Duration = Duration::from_secs(30);

/// Own files only, nothing inline, no frames, no other host.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Adds what tells browsers to be careful.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// No page is waited for without end.
pub(crate) async fn deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => Failure::Late.into_response(),
    }
}

/// Finds out who asks, and lets them through where the page's row allows it. What is given away as a file is recorded.
pub(super) async fn enter(
    State(gate): State<Gate>,
    matched: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let who = match gate.who(request.headers(), request.extensions()).await {
        Ok(who) => who,
        Err(error) => return Failure::Store(error).into_response(),
    };
    let Some(matched) = matched else {
        // Nothing stands there.
        return acting(who, next.run(request)).await;
    };
    let method = match request.method() {
        &Method::HEAD => &Method::GET,
        method => method,
    };
    let address = request
        .uri()
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    let asked = Asked {
        program: address.starts_with("/api/"),
        page: *method == Method::GET && !address.starts_with("/live"),
        address,
    };
    let refused = match row(method, matched.as_str()) {
        None => Some(Failure::NoRow),
        Some(row) => refusal(row, &who),
    };
    if let Some(failure) = refused {
        return acting(who, async { asked.refuse(failure) }).await;
    }
    let changes = *method != Method::GET;
    let work = acting(who, async move {
        let response = next.run(request).await;
        let file = response.headers().contains_key(header::CONTENT_DISPOSITION);
        if !(file && response.status().is_success()) {
            return response;
        }
        let nothing = serde_json::Value::Null;
        let recorded = gate
            .access()
            .record("export", &asked.address, &nothing, &nothing);
        match recorded.await {
            Ok(_) => response,
            Err(error) => Failure::Store(error).into_response(),
        }
    });
    if !changes {
        return work.await;
    }
    // A change of several steps is made to its end also where the browser has gone by then.
    match tasks::to_its_end(work).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "a change ended in the middle");
            Failure::Unwritten.into_response()
        }
    }
}

/// How an answer is wanted.
struct Asked {
    address: String,
    program: bool,
    page: bool,
}

impl Asked {
    fn refuse(&self, failure: Failure) -> Response {
        match failure {
            failure if self.program => JsonFailure(failure).into_response(),
            Failure::NotLoggedIn if self.page => {
                let next: String =
                    form_urlencoded::byte_serialize(self.address.as_bytes()).collect();
                Redirect::to(&format!("/login?next={next}")).into_response()
            }
            failure => failure.into_response(),
        }
    }
}

/// Why somebody is not let through.
fn refusal(row: &Row, who: &Who) -> Option<Failure> {
    let needs = row.needs?;
    if !who.may(needs) {
        return Some(match who.role() {
            None => Failure::NotLoggedIn,
            Some(role) => Failure::Role(role, needs),
        });
    }
    (row.sees == Sees::County && who.reach().is_narrow()).then_some(Failure::Narrow)
}

/// Whether whoever acts would be let through: pages offer nothing else.
pub(crate) fn opens(method: &Method, path: &str) -> bool {
    let who = access::current();
    who.is_some_and(|who| row(method, path).is_some_and(|row| refusal(row, &who).is_none()))
}

/// Lets a change through only from this service's own pages, and only where changes are allowed.
pub(crate) async fn changes(
    State(actions): State<Actions>,
    request: Request,
    next: Next,
) -> Response {
    if !allowed(actions, request.headers()) {
        return Failure::NotHere.into_response();
    }
    if !same_origin(request.headers()) {
        return Failure::OtherOrigin.into_response();
    }
    next.run(request).await
}

/// Whether whoever asks may change anything; a page offers nothing else.
pub(crate) fn allowed(actions: Actions, headers: &HeaderMap) -> bool {
    match actions {
        Actions::Anyone => true,
        Actions::Nobody => false,
        // The name too: a stranger's name that points to this machine must not open it, nor a proxy before it.
        Actions::Here => host(headers).is_some_and(is_loopback),
    }
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST)?.to_str().ok()
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// Browsers say with every form where it stands.
fn same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some() && authority == host(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(host: &'static str, origin: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        headers
    }

    #[test]
    fn only_loopback_names_are_here() {
        for (host, expected) in [
            ("127.0.0.1:50051", true),
            ("localhost", true),
            ("[::1]:50051", true),
            ("[::1]", true),
            ("classpulse.example:50051", false),
            ("127.0.0.1.example", false),
            ("192.168.1.9", false),
            ("", false),
        ] {
            assert_eq!(
                allowed(Actions::Here, &said(host, None)),
                expected,
                "{host}"
            );
        }
        assert!(!allowed(Actions::Here, &HeaderMap::new()));
        assert!(allowed(Actions::Anyone, &HeaderMap::new()));
        assert!(!allowed(Actions::Nobody, &said("localhost", None)));
    }

    #[test]
    fn a_form_elsewhere_changes_nothing() {
        for (origin, expected) in [
            (Some("http://localhost:1"), true),
            (Some("https://localhost:1"), true),
            (Some("http://localhost:2"), false),
            (Some("http://evil.example"), false),
            (Some("null"), false),
            (None, false),
        ] {
            assert_eq!(
                same_origin(&said("localhost:1", origin)),
                expected,
                "{origin:?}"
            );
        }
    }
}
