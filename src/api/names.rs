//! By which names the port is asked, where nobody must log in: a page elsewhere whose name is turned to this machine after
//! the browser has loaded it (DNS rebinding) would speak to the port as if it were one of ours, and a login is all that
//! such a page does not have. So what is asked by a stranger's name, or from another origin, is not answered.
//!
//! An address is nobody's name, and so is always answered. Where people log in, the browser keeps the cookie to the name
//! that it came from, and programs show a token: there nothing is looked at. Not responsible for which changes are taken
//! from which page (`web`).

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode, Uri,
        header::{CONTENT_TYPE, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS},
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tonic::Status;
use tracing::debug;

/// Names by which the port may be asked.
#[derive(Debug, Clone)]
pub enum Names {
    /// By any: people log in.
    Any,
    /// By addresses, `localhost` and these, in lower case.
    Only(Arc<[String]>),
}

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stranger {
    /// It is asked by a name that is not one of ours, or by none.
    Name(String),
    /// A page from elsewhere asks.
    Origin,
}

/// Lets through what is asked by one of our names.
pub(super) async fn known(State(names): State<Names>, request: Request, next: Next) -> Response {
    match names.stranger(request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(stranger) => {
            debug!(?stranger, path = request.uri().path(), "not answered");
            refuse(&stranger, request.headers())
        }
    }
}

impl Names {
    fn stranger(&self, uri: &Uri, headers: &HeaderMap) -> Option<Stranger> {
        let Self::Only(names) = self else { return None };
        let text = |name| {
            headers
                .get(name)
                .map(|value| value.to_str().unwrap_or_default())
        };
        // HTTP/2 and proxies say it in the address, HTTP/1 in a header; who says both must be right in both.
        let asked: Vec<&str> = uri
            .authority()
            .map(Authority::as_str)
            .into_iter()
            .chain(text(HOST))
            .collect();
        let wrong = asked.iter().find(|asked| !is_ours(host(asked), names));
        if let Some(asked) = wrong.or(asked.is_empty().then_some(&"")) {
            return Some(Stranger::Name(host(asked).to_owned()));
        }
        let origin = text(ORIGIN)?;
        let own = origin
            .split_once("://")
            .is_some_and(|(_, authority)| asked.contains(&authority));
        (!own).then_some(Stranger::Origin)
    }
}

/// A host without its port.
fn host(authority: &str) -> &str {
    let after_bracket = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[after_bracket..].find(':') {
        Some(colon) => &authority[..after_bracket + colon],
        None => authority,
    }
}

fn is_ours(host: &str, names: &[String]) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || names.iter().any(|name| host.eq_ignore_ascii_case(name))
}

fn refuse(stranger: &Stranger, headers: &HeaderMap) -> Response {
    let grpc = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if grpc {
        return Status::permission_denied(stranger.message()).into_http();
    }
    let status = match stranger {
        Stranger::Name(_) => StatusCode::MISDIRECTED_REQUEST,
        Stranger::Origin => StatusCode::FORBIDDEN,
    };
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, stranger.sentence()).into_response()
}

impl Stranger {
    /// For people, with the mend.
    fn sentence(&self) -> String {
        match self {
            Self::Name(name) => format!(
                "本服务没有开启登录,因此只应答用 IP 地址、localhost 或 api.names 中的名称打开的网址,不应答“{name}”。\
                 请改用 http://127.0.0.1 加端口打开;确需使用此名称时,由管理员写入配置 api.names,或开启登录(access.required = \"yes\")。\n"
            ),
            Self::Origin => {
                "本服务没有开启登录,因此不应答其他网站的页面发来的请求。请直接打开本系统的网址。\n"
                    .to_owned()
            }
        }
    }

    /// For programs.
    fn message(&self) -> &'static str {
        match self {
            Self::Name(_) => {
                "nobody must log in here, so only addresses, localhost and the names in api.names are answered"
            }
            Self::Origin => "nobody must log in here, so pages of other origins are not answered",
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn ask(
        uri: &'static str,
        host: Option<&'static str>,
        origin: Option<&'static str>,
    ) -> Option<Stranger> {
        let names = Names::Only(Arc::new(["classroom.example".to_owned()]));
        let mut headers = HeaderMap::new();
        for (name, value) in [(HOST, host), (ORIGIN, origin)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        names.stranger(&Uri::from_static(uri), &headers)
    }

    #[test]
    fn addresses_and_known_names_are_answered() {
        for (host, name) in [
            ("127.0.0.1:50051", None),
            ("localhost", None),
            ("LOCALHOST:1", None),
            ("[::1]:50051", None),
            ("[::1]", None),
            ("192.168.1.9:50051", None),
            ("classroom.example:50051", None),
            ("Classroom.Example", None),
            ("evil.example", Some("evil.example")),
            ("evil.example:50051", Some("evil.example")),
            ("localhost.evil.example", Some("localhost.evil.example")),
            ("127.0.0.1.evil.example:1", Some("127.0.0.1.evil.example")),
            ("classroom.example.evil", Some("classroom.example.evil")),
            ("localhost.", Some("localhost.")),
            ("[evil.example]", Some("[evil.example]")),
            ("", Some("")),
        ] {
            let expected = name.map(|name| Stranger::Name(name.to_owned()));
            assert_eq!(ask("/", Some(host), None), expected, "{host}");
        }
        let nameless = Some(Stranger::Name(String::new()));
        assert_eq!(ask("/", None, None), nameless);
        // HTTP/2, and a request that says two things.
        assert_eq!(ask("http://localhost:1/", None, None), None);
        let evil = Some(Stranger::Name("evil.example".to_owned()));
        assert_eq!(ask("http://evil.example:1/", None, None), evil);
        assert_eq!(
            ask("http://evil.example:1/", Some("localhost:1"), None),
            evil
        );
        assert_eq!(
            ask("http://localhost:1/", Some("evil.example:1"), None),
            evil
        );
        let headers = HeaderMap::new();
        assert_eq!(Names::Any.stranger(&Uri::from_static("/"), &headers), None);
    }

    #[test]
    fn only_pages_of_ours_are_answered() {
        for (origin, own) in [
            ("http://localhost:1", true),
            ("https://localhost:1", true),
            ("http://localhost:2", false),
            ("http://evil.example", false),
            ("null", false),
            ("", false),
        ] {
            let expected = (!own).then_some(Stranger::Origin);
            assert_eq!(
                ask("/", Some("localhost:1"), Some(origin)),
                expected,
                "{origin}"
            );
        }
    }
}
