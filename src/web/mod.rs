//! What every page is made of, whichever module shows it: who may open it, the headers that browsers need, the frame around
//! it, and what is said where there is none.
//!
//! # Layout
//! `routes` is the table of all pages and `guard` keeps it; `layout` is the frame, with the files of `assets`; `failure`
//! says why there is no page. Not responsible for what stands in a page (`dashboard`, `login`), nor for finding out who asks
//! (`gate`).

use axum::{Router, middleware};

use crate::gate::Gate;

pub(crate) mod assets;
pub(crate) mod failure;
pub(crate) mod guard;
pub(crate) mod layout;
mod routes;

pub use routes::{PAGES, Row, Sees, Trail};

/// Who may change anything from a page, where nobody logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actions {
    /// A browser on this machine, by a loopback name. Only for a service that listens on loopback: elsewhere whoever
    /// asks may say any name.
    Here,
    /// Whoever reaches the port: the operator said so.
    Anyone,
    /// Nobody.
    Nobody,
}

/// Routes behind the gate: each needs its row in [`PAGES`], and answers with the headers that browsers need.
pub fn guarded(routes: Router, gate: Gate) -> Router {
    routes
        .layer(middleware::from_fn_with_state(gate, guard::enter))
        .layer(middleware::from_fn(guard::headers))
}
