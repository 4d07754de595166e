//! The bureau's dashboard: pages in Chinese, the same figures as CSV, and JSON over HTTP, on the port of gRPC.
//!
//! Pages are whole before any script runs; a small script adds what is live. Nothing is fetched from another host.
//! Not responsible for figures (`query`), nor for changes of the registry (`registry`): it asks and shows.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};
use jiff::{civil::Date, tz::TimeZone};
use tokio::sync::{Semaphore, broadcast};
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

use crate::{
    clock::SharedClock,
    gate::Gate,
    query::{self, Moment, QueryError},
    store::{SchoolDay, SharedStore, Store, StoreError},
    web::{self, Actions, assets, failure, layout},
};

mod chart;
mod filters;
mod form;
mod guard;
mod json;
mod live;
mod pages;
mod recent;
mod table;
mod text;
mod translate;

use pages::runs;

/// Live views open at once; each costs a look at the county whenever something changes.
const MAX_LIVE: usize = 64;

/// Largest upload: a table of 8 MiB and its envelope.
const MAX_UPLOAD: usize = 9 * 1024 * 1024;

/// What a replay of quarantine entries came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Entries tried.
    pub tried: u64,
    /// Entries that count now.
    pub counted: u64,
}

/// Which quarantine entries to try again; `None` for any.
#[derive(Debug, Clone, Default)]
pub struct Again {
    /// Only this entry.
    pub id: Option<i64>,
    /// Only those refused for this reason (its key).
    pub reason: Option<String>,
}

/// Tries quarantine entries again; `ingest` and the dashboard meet only in the composition root.
#[async_trait]
pub trait Replayer: Send + Sync {
    /// Tries the selected entries.
    ///
    /// # Errors
    /// The store's.
    async fn replay(&self, which: Again) -> Result<Replayed, StoreError>;
}

/// What the dashboard is made of; the caller wires it.
#[derive(Clone)]
pub struct Parts {
    /// Answers come from here.
    pub store: SharedStore,
    /// Cuts days and shows times.
    pub zone: TimeZone,
    /// Says what moment it is.
    pub clock: SharedClock,
    /// Seconds between two reports of a terminal: tells which are on.
    pub heartbeat: u32,
    /// Changed school-days: live views listen, and whatever brings sums up to date tells of it here.
    pub changes: broadcast::Sender<SchoolDay>,
    /// Live views end with it.
    pub drain: CancellationToken,
    /// Tries quarantine entries again.
    pub replayer: Arc<dyn Replayer>,
    /// Who may change anything, where nobody logs in.
    pub actions: Actions,
    /// Finds out who asks.
    pub gate: Gate,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("store", &self.store)
            .field("actions", &self.actions)
            .finish_non_exhaustive()
    }
}

/// What every page needs to answer.
#[derive(Clone)]
struct Context {
    parts: Parts,
    /// Places for live views.
    live: Arc<Semaphore>,
    /// Runs that were just looked at.
    runs: Arc<recent::Runs>,
}

impl Context {
    fn store(&self) -> &dyn Store {
        self.parts.store.as_ref()
    }

    fn moment(&self) -> Moment {
        Moment {
            at: self.parts.clock.now(),
            zone: self.parts.zone.clone(),
            heartbeat: self.parts.heartbeat,
        }
    }

    fn today(&self) -> Date {
        self.moment().today()
    }

    /// Brings the sums up to date and tells whoever listens.
    async fn freshen(&self) -> Result<(), QueryError> {
        // Sending fails where nobody listens, which is no failure.
        query::freshen(self.store(), |day| drop(self.parts.changes.send(day))).await?;
        Ok(())
    }
}

/// Every route of the dashboard.
pub fn router(parts: Parts) -> Router {
    let context = Context {
        live: Arc::new(Semaphore::new(MAX_LIVE)),
        runs: Arc::new(recent::Runs::new(&parts.changes)),
        parts,
    };
    let changes = Router::new()
        .route("/quality/replay", post(pages::quality::forms::replay))
        .route("/quality/approve", post(pages::quality::forms::approve))
        .route("/settings/import", post(pages::settings::import))
        .route("/settings/calendar", post(pages::settings::calendar))
        .route(
            "/settings/calendar/days",
            post(pages::settings::days::change),
        )
        .route("/settings/move", post(pages::settings::moves::relocate))
        .route("/settings/retire", post(pages::settings::moves::retire))
        .route("/settings/codes", post(pages::settings::codes::issue))
        .route(
            "/settings/codes/revoke",
            post(pages::settings::codes::revoke),
        )
        .route("/runs", post(runs::list::create))
        .route("/runs/{run}/discard", post(runs::list::discard))
        .route("/runs/{run}/workbook", post(runs::workbook::upload))
        .route(
            "/runs/{run}/schools/{code}/evidence",
            post(runs::entry::save),
        )
        .route("/runs/{run}/exclusions", post(runs::exclusions::add))
        .route(
            "/runs/{run}/exclusions/remove",
            post(runs::exclusions::remove),
        )
        .route("/runs/{run}/freeze", post(runs::freeze::freeze))
        .route("/rubric", post(runs::rubric::upload))
        .route("/settings/users/add", post(pages::settings::users::add))
        .route(
            "/settings/users/change",
            post(pages::settings::users::change),
        )
        .route("/settings/users/lock", post(pages::settings::users::lock))
        .route("/settings/users/reset", post(pages::settings::users::reset))
        .layer(DefaultBodyLimit::max(MAX_UPLOAD))
        .layer(middleware::from_fn_with_state(
            context.parts.actions,
            web::guard::changes,
        ));
    let pages = Router::new()
        .route("/", get(pages::overview::page))
        .route("/schools/{code}", get(pages::school::page))
        .route("/terminals/{id}", get(pages::terminal::page))
        .route("/quality", get(pages::quality::page))
        .route("/wall", get(pages::wall::page))
        .route("/settings", get(pages::settings::page))
        .route("/runs", get(runs::list::page))
        .route("/runs/compare", get(runs::compare::page))
        .route("/runs/compare/minutes", get(runs::compare::minutes))
        .route("/runs/{run}", get(runs::summary::page))
        .route("/runs/{run}/schools/{code}", get(runs::school::page))
        .route(
            "/runs/{run}/schools/{code}/items/{item}",
            get(runs::item::page),
        )
        .route(
            "/runs/{run}/schools/{code}/evidence",
            get(runs::entry::page),
        )
        .route("/runs/{run}/evidence", get(runs::evidence::page))
        .route("/runs/{run}/workbook", get(runs::workbook::download))
        .route("/runs/{run}/exclusions", get(runs::exclusions::page))
        .route("/runs/{run}/what-if", get(runs::what_if::page))
        .route("/runs/{run}/freeze", get(runs::freeze::page))
        .route("/runs/{run}/verify", get(runs::verify::page))
        .route("/runs/{run}/verify/result", get(runs::verify::result))
        .route("/runs/{run}/files/{kind}", get(runs::files::file))
        .route("/rubric", get(runs::rubric::page))
        .route("/rubric/file", get(runs::rubric::download))
        .route("/settings/users", get(pages::settings::users::page))
        .route("/audit", get(pages::audit::page))
        .merge(json::routes())
        .merge(changes)
        .layer(middleware::from_fn(web::guard::deadline))
        .layer(CompressionLayer::new());
    let gate = context.parts.gate.clone();
    let routes = pages
        .route("/live", get(live::stream))
        .route("/assets/{name}", get(assets::serve))
        .fallback(failure::nowhere)
        .with_state(context);
    web::guarded(routes, gate)
}
