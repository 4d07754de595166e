//! Where data is kept: the key `store`, and `postgres.*`.

use std::path::PathBuf;

use super::{
    Mistake,
    values::{Values, mistake},
};
use crate::tls::TlsOptions;

/// Where data is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// One file.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(PostgresUrl),
}

/// Where a PostgreSQL server is, and as whom to speak to it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    /// `postgres://user@host:port/database`, as libpq takes it.
    pub url: String,
    /// File that holds the password, nothing else.
    pub password_file: Option<PathBuf>,
    /// Whom to trust.
    pub tls: TlsOptions,
    /// Most connections at once.
    pub connections: usize,
}

impl std::fmt::Debug for PostgresUrl {
    /// Leaves out a password inside the URL.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresUrl")
            .field("url", &without_password(&self.url))
            .field("password_file", &self.password_file)
            .field("tls", &self.tls)
            .field("connections", &self.connections)
            .finish()
    }
}

/// `postgres://user:…@host/database`: what may be shown of a URL.
#[must_use]
pub fn without_password(url: &str) -> String {
    let shown = url.split_once("://").and_then(|(scheme, rest)| {
        let (login, place) = rest.rsplit_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some(format!("{scheme}://{user}:…@{place}"))
    });
    let shown = shown.unwrap_or_else(|| url.to_owned());
    match shown.split_once("password=") {
        Some((before, _)) => format!("{before}password=…"),
        None => shown,
    }
}

impl Values {
    pub(super) fn store(&self, mistakes: &mut Vec<Mistake>) -> Option<StoreUrl> {
        let connections = self.between("postgres.connections", 2, 100, mistakes)?;
        let said = self.get("store");
        if let Some(path) = said.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            return Some(StoreUrl::Sqlite(path.into()));
        }
        if said.starts_with("postgres://") || said.starts_with("postgresql://") {
            return Some(StoreUrl::Postgres(PostgresUrl {
                url: said.to_owned(),
                password_file: self.file("postgres.password_file"),
                tls: TlsOptions {
                    ca_file: self.file("postgres.ca_file"),
                    identity: None,
                },
                connections: usize::try_from(connections).ok()?,
            }));
        }
        mistake(
            mistakes,
            "store",
            format!(
                "{:?} is not valid here: sqlite:FILE or postgres://USER@HOST:PORT/DATABASE",
                without_password(said)
            ),
        );
        None
    }
}
