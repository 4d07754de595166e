//! Who may open which page: the table of all routes over HTTP, what each needs, and what it leaves in the audit log.
//!
//! A route without a row is refused, and fails a test that reads the sources. What part of the country somebody sees is
//! kept where data is read (`access::guarded`); here it is refused what a part of a county never sees.

use axum::http::Method;

use crate::domain::access::Permission;

/// What somebody must see at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// Their own part of a county: the page shows no more.
    Part,
    /// A whole county.
    County,
}

/// What a route leaves in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trail {
    /// Nothing, but for files that it gives away (`export`).
    Reads,
    /// Entries that begin so.
    Records(&'static str),
}

/// A route's row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Its path, as the router has it.
    pub path: &'static str,
    /// What is needed; `None` for everybody.
    pub needs: Option<Permission>,
    /// What must be seen.
    pub sees: Sees,
    /// What it leaves.
    pub trail: Trail,
}

const fn get(path: &'static str, needs: Permission, sees: Sees) -> Row {
    Row {
        method: "GET",
        path,
        needs: Some(needs),
        sees,
        trail: Trail::Reads,
    }
}

const fn post(path: &'static str, needs: Permission, sees: Sees, leaves: &'static str) -> Row {
    Row {
        method: "POST",
        path,
        needs: Some(needs),
        sees,
        trail: Trail::Records(leaves),
    }
}

const fn open(method: &'static str, path: &'static str, trail: Trail) -> Row {
    Row {
        method,
        path,
        needs: None,
        sees: Sees::Part,
        trail,
    }
}

use Permission as P;
use Sees::{County, Part};

/// Every route.
#[rustfmt::skip]
pub const PAGES: [Row; 64] = [
    get("/", P::ViewUsage, Part),
    get("/schools/{code}", P::ViewUsage, Part),
    get("/terminals/{id}", P::ViewUsage, Part),
    get("/quality", P::ViewQuality, County),
    post("/quality/replay", P::Replay, County, "quarantine.replay"),
    post("/quality/approve", P::ManageRegistry, County, "registry.change"),
    get("/wall", P::ViewUsage, County),
    get("/live", P::ViewUsage, County),
    get("/settings", P::ViewRegistry, County),
    post("/settings/import", P::ManageRegistry, County, "registry.change"),
    post("/settings/calendar", P::ManageRegistry, County, "calendar.set"),
    post("/settings/calendar/days", P::ManageRegistry, County, "calendar.set"),
    post("/settings/codes", P::ManageCodes, County, "code.add"),
    post("/settings/codes/revoke", P::ManageCodes, County, "code.revoke"),
    get("/settings/users", P::ManageUsers, County),
    post("/settings/users/add", P::ManageUsers, County, "account."),
    post("/settings/users/change", P::ManageUsers, County, "account.change"),
    post("/settings/users/lock", P::ManageUsers, County, "account.change"),
    post("/settings/users/reset", P::ManageUsers, County, "account."),
    post("/settings/move", P::ManageRegistry, County, "registry.change"),
    post("/settings/retire", P::ManageRegistry, County, "registry.change"),
    get("/runs", P::ViewScores, Part),
    post("/runs", P::ManageRuns, County, "run.create"),
    get("/runs/compare", P::ViewScores, County),
    get("/runs/compare/minutes", P::ViewScores, County),
    get("/runs/{run}", P::ViewScores, County),
    post("/runs/{run}/discard", P::ManageRuns, County, "run.discard"),
    get("/runs/{run}/schools/{code}", P::ViewScores, Part),
    get("/runs/{run}/schools/{code}/items/{item}", P::ViewScores, Part),
    get("/runs/{run}/schools/{code}/evidence", P::ViewScores, County),
    post("/runs/{run}/schools/{code}/evidence", P::EnterEvidence, County, "evidence.put"),
    get("/runs/{run}/evidence", P::ViewScores, County),
    get("/runs/{run}/workbook", P::ViewScores, County),
    post("/runs/{run}/workbook", P::EnterEvidence, County, "evidence.put"),
    get("/runs/{run}/exclusions", P::ViewScores, County),
    post("/runs/{run}/exclusions", P::ManageRuns, County, "exclusion.add"),
    post("/runs/{run}/exclusions/remove", P::ManageRuns, County, "exclusion.remove"),
    get("/runs/{run}/what-if", P::ViewScores, County),
    get("/runs/{run}/freeze", P::ViewScores, County),
    post("/runs/{run}/freeze", P::FreezeRuns, County, "run.freeze"),
    get("/runs/{run}/verify", P::ViewScores, County),
    get("/runs/{run}/verify/result", P::ViewScores, County),
    get("/runs/{run}/files/{kind}", P::ViewScores, County),
    get("/rubric", P::ViewScores, Part),
    get("/rubric/file", P::ViewScores, Part),
    post("/rubric", P::ManageRuns, County, "rubric.put"),
    get("/api/v1/runs", P::ViewScores, County),
    get("/api/v1/runs/{run}", P::ViewScores, County),
    get("/audit", P::ViewAudit, County),
    get("/api/v1/openapi.json", P::ViewUsage, Part),
    get("/api/v1/now", P::ViewUsage, County),
    get("/api/v1/schools", P::ViewUsage, Part),
    get("/api/v1/schools/{code}/terminals", P::ViewUsage, Part),
    get("/api/v1/terminals/{id}/days/{date}", P::ViewUsage, Part),
    get("/api/v1/scores", P::ViewUsage, Part),
    get("/metrics", P::ViewMetrics, County),
    get("/account", P::OwnAccount, Part),
    post("/account", P::OwnAccount, Part, "account.password"),
    post("/logout", P::OwnAccount, Part, "logout"),
    open("GET", "/login", Trail::Reads),
    open("POST", "/login", Trail::Records("login")),
    open("GET", "/setup/{code}", Trail::Reads),
    open("POST", "/setup/{code}", Trail::Records("account.")),
    open("GET", "/assets/{name}", Trail::Reads),
];

/// A route's row.
pub(super) fn row(method: &Method, path: &str) -> Option<&'static Row> {
    PAGES
        .iter()
        .find(|row| row.method == method.as_str() && row.path == path)
}
