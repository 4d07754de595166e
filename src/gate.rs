//! Finding out who a request is from: by the session's cookie or by a bearer token in its headers.
//!
//! Not responsible for what they may do, nor for what becomes of a request that is refused (fronts).

use std::sync::Arc;

use axum::http::{Extensions, HeaderMap, header};
use tonic::transport::server::TcpConnectInfo;

use crate::{
    access::{Access, Who},
    store::StoreError,
};

/// The door of the service's port.
#[derive(Debug, Clone)]
pub struct Gate {
    access: Arc<Access>,
    required: bool,
    secure: bool,
}

impl Gate {
    /// `required` where nobody gets in without a login or a token; `secure` where browsers come by TLS.
    #[must_use]
    pub const fn new(access: Arc<Access>, required: bool, secure: bool) -> Self {
        Self {
            access,
            required,
            secure,
        }
    }

    /// What proves and keeps.
    #[must_use]
    pub const fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Whether nobody gets in without a login or a token.
    #[must_use]
    pub const fn is_required(&self) -> bool {
        self.required
    }

    /// Who a request is from. Where nobody must log in, whoever comes may do everything.
    ///
    /// # Errors
    /// The store's.
    pub async fn who(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Who, StoreError> {
        let origin = origin(extensions);
        if !self.required {
            return Ok(Who::anyone(&origin));
        }
        let found = match (bearer(headers), self.cookie(headers)) {
            (Some(token), _) => self.access.by_token(token, &origin).await?,
            (None, Some(cookie)) => self.access.by_cookie(cookie, &origin).await?,
            (None, None) => None,
        };
        Ok(found.unwrap_or_else(|| Who::nobody(&origin)))
    }

    /// The same for an interface of programs alone: a browser's cookie proves nothing there, for it comes along unasked.
    ///
    /// # Errors
    /// The store's.
    pub async fn program(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Who, StoreError> {
        let mut headers = headers.clone();
        headers.remove(header::COOKIE);
        self.who(&headers, extensions).await
    }

    /// With TLS browsers keep the cookie to this host and to TLS, whatever a neighbour sets.
    const fn cookie_name(&self) -> &'static str {
        if self.secure {
            "__Host-classpulse"
        } else {
            "classpulse"
        }
    }

    fn cookie<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let mut cookies = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        cookies.find_map(|(name, value)| (name == self.cookie_name()).then_some(value))
    }

    /// `Set-Cookie` for a session; an empty value ends it in the browser.
    #[must_use]
    pub fn set_cookie(&self, value: &str) -> String {
        let (name, secure) = (
            self.cookie_name(),
            if self.secure { "; Secure" } else { "" },
        );
        let age = if value.is_empty() { "; Max-Age=0" } else { "" };
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}")
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The address that a connection comes from; `?` where that is not known.
fn origin(extensions: &Extensions) -> String {
    let known = extensions.get::<TcpConnectInfo>();
    let address = known.and_then(TcpConnectInfo::remote_addr);
    address.map_or_else(|| "?".to_owned(), |address| address.ip().to_string())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::{clock::SystemClock, store::sqlite::SqliteStore};

    fn gate(secure: bool) -> (tempfile::TempDir, Gate) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("a.db")).unwrap();
        let access = Access::new(Arc::new(store), Arc::new(SystemClock));
        (folder, Gate::new(access, true, secure))
    }

    #[test]
    fn cookies_are_for_this_host_and_no_script() {
        let (_folder, plain) = gate(false);
        assert_eq!(
            plain.set_cookie("x"),
            "classpulse=x; Path=/; HttpOnly; SameSite=Strict"
        );
        let (_folder, secure) = gate(true);
        let set = secure.set_cookie("");
        assert!(
            set.starts_with("__Host-classpulse=; Path=/") && set.contains("; Secure; Max-Age=0")
        );
        let mut headers = HeaderMap::new();
        let cookies = HeaderValue::from_static("a=b; classpulse=plain; __Host-classpulse=s-1_");
        headers.insert(header::COOKIE, cookies);
        assert_eq!(secure.cookie(&headers), Some("s-1_"));
        assert_eq!(plain.cookie(&headers), Some("plain"));
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
        ] {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(bearer(&headers), token, "{value}");
        }
    }
}
