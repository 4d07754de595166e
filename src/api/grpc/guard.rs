//! Who may call which gRPC method: the table of all methods, and the guard that keeps it.
//!
//! Callers show a token in the metadata `authorization: Bearer …`. What part of the country they see is kept where data is
//! read (`access::guarded`); the guard refuses what a part of a county never sees. A method without a row is refused, and
//! fails a test that reads the contract's own description.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tonic::Status;

use crate::{
    access::acting,
    domain::access::{Permission, Role},
    gate::Gate,
    tasks,
};

/// What a caller must see at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// Nothing: the answer is nobody's data.
    Anything,
    /// A county's ranking: every school of it may have that.
    Ranking,
    /// The school, terminal or run that is asked for.
    Own,
    /// A whole county.
    County,
    /// The whole country.
    All,
}

/// What a method leaves in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trail {
    /// Nothing: it changes nothing, and gives away no file.
    Reads,
    /// Entries that begin so.
    Records(&'static str),
}

/// A method's row.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// Its path.
    pub path: &'static str,
    /// What a caller must be allowed to do; `None` for everybody.
    pub needs: Option<Permission>,
    /// What a caller must see.
    pub sees: Sees,
    /// What it leaves in the audit log.
    pub trail: Trail,
}

const fn method(path: &'static str, needs: Permission, sees: Sees, trail: Trail) -> Method {
    Method {
        path,
        needs: Some(needs),
        sees,
        trail,
    }
}

const fn open(path: &'static str) -> Method {
    Method {
        path,
        needs: None,
        sees: Sees::Anything,
        trail: Trail::Reads,
    }
}

use Permission as P;
use Sees::{All, Anything, County, Own, Ranking};
use Trail::{Reads, Records};

/// Every method. Reports over gRPC are data, not somebody's decision: they leave minutes, not entries.
#[rustfmt::skip]
pub const METHODS: [Method; 44] = [
    method("/classpulse.v1.Usage/ListSchoolUsage", P::ViewUsage, Ranking, Reads),
    method("/classpulse.v1.Usage/ListTerminalUsage", P::ViewUsage, Own, Reads),
    method("/classpulse.v1.Usage/GetTerminalDay", P::ViewUsage, Own, Reads),
    method("/classpulse.v1.Usage/WatchSchoolDays", P::ViewUsage, County, Reads),
    method("/classpulse.v1.Scoring/GetMonitoringScores", P::ViewUsage, Ranking, Reads),
    method("/classpulse.v1.Evaluation/ListRubrics", P::ViewScores, Anything, Reads),
    method("/classpulse.v1.Evaluation/GetRubric", P::ViewScores, Anything, Reads),
    method("/classpulse.v1.Evaluation/PutRubric", P::ManageRuns, County, Records("rubric.put")),
    method("/classpulse.v1.Evaluation/CreateRun", P::ManageRuns, County, Records("run.create")),
    method("/classpulse.v1.Evaluation/ListRuns", P::ViewScores, Ranking, Reads),
    method("/classpulse.v1.Evaluation/GetRun", P::ViewScores, Ranking, Reads),
    method("/classpulse.v1.Evaluation/DiscardRun", P::ManageRuns, County, Records("run.discard")),
    method("/classpulse.v1.Evaluation/ListEvidence", P::ViewScores, County, Reads),
    method("/classpulse.v1.Evaluation/PutEvidence", P::EnterEvidence, County, Records("evidence.put")),
    method("/classpulse.v1.Evaluation/GetEvidenceWorkbook", P::ViewScores, County, Records("export")),
    method("/classpulse.v1.Evaluation/ImportEvidenceWorkbook", P::EnterEvidence, County, Records("evidence.put")),
    method("/classpulse.v1.Evaluation/ListExclusions", P::ViewScores, County, Reads),
    method("/classpulse.v1.Evaluation/AddExclusion", P::ManageRuns, County, Records("exclusion.add")),
    method("/classpulse.v1.Evaluation/RemoveExclusion", P::ManageRuns, County, Records("exclusion.remove")),
    method("/classpulse.v1.Evaluation/ListScoreSheets", P::ViewScores, Own, Reads),
    method("/classpulse.v1.Evaluation/GetRunMonitoringScores", P::ViewScores, County, Reads),
    method("/classpulse.v1.Evaluation/InspectRun", P::ViewScores, County, Reads),
    method("/classpulse.v1.Evaluation/FreezeRun", P::FreezeRuns, County, Records("run.freeze")),
    method("/classpulse.v1.Evaluation/VerifyRun", P::ViewScores, County, Reads),
    method("/classpulse.v1.Evaluation/CompareRuns", P::ViewScores, County, Reads),
    method("/classpulse.v1.Evaluation/WhatIf", P::ViewScores, County, Reads),
    method("/classpulse.v1.Evaluation/Explain", P::ViewScores, Own, Reads),
    method("/classpulse.v1.Evaluation/ExportRun", P::ViewScores, County, Records("export")),
    method("/classpulse.v1.Registry/ListCounties", P::ViewUsage, Ranking, Reads),
    method("/classpulse.v1.Registry/ListSchools", P::ViewUsage, Ranking, Reads),
    method("/classpulse.v1.Registry/ListTerminals", P::ViewUsage, Own, Reads),
    method("/classpulse.v1.Registry/ApproveTerminals", P::ManageRegistry, County, Records("registry.change")),
    method("/classpulse.v1.Registry/Import", P::ManageRegistry, County, Records("registry.change")),
    method("/classpulse.v1.Registry/CreateEnrolmentCode", P::ManageCodes, County, Records("code.add")),
    method("/classpulse.v1.Registry/ListEnrolmentCodes", P::ManageCodes, County, Reads),
    method("/classpulse.v1.Registry/RevokeEnrolmentCode", P::ManageCodes, County, Records("code.revoke")),
    method("/classpulse.v1.Registry/ListTerminalKeys", P::ManageCodes, County, Reads),
    method("/classpulse.v1.Registry/ChangeTerminalKeys", P::ManageCodes, County, Records("key.")),
    method("/classpulse.v1.Registry/ListIncidents", P::ViewQuality, County, Reads),
    method("/classpulse.v1.Ingest/Report", P::Report, All, Reads),
    // Load balancers ask without a token.
    open("/grpc.health.v1.Health/Check"),
    open("/grpc.health.v1.Health/Watch"),
    method("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", P::ViewUsage, Anything, Reads),
    method("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", P::ViewUsage, Anything, Reads),
];

/// Finds out who calls, and lets them through where the method's row allows it.
pub(super) async fn enter(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let Some(method) = METHODS.iter().find(|method| method.path == path) else {
        return Status::unimplemented("there is no such method").into_http();
    };
    let who = match gate.program(request.headers(), request.extensions()).await {
        Ok(who) => who,
        Err(error) => return Status::from(error).into_http(),
    };
    if let Some(needs) = method.needs {
        if who.role().is_none() && !who.may(needs) {
            let message = "show a token that holds: authorization: Bearer …";
            return Status::unauthenticated(message).into_http();
        }
        if !who.may(needs) {
            let role = who.role().map(Role::key).unwrap_or_default();
            let message = format!("a token of role {role} may not call this method");
            return Status::permission_denied(message).into_http();
        }
        let reach = who.reach();
        let seen = match method.sees {
            Sees::Anything | Sees::Ranking | Sees::Own => true,
            Sees::County => !reach.is_narrow(),
            Sees::All => *reach == crate::access::Reach::All,
        };
        if !seen {
            let message = "this token sees only a part of what the method is about";
            return Status::permission_denied(message).into_http();
        }
    }
    let work = acting(who, next.run(request));
    if !matches!(method.trail, Records(_)) {
        return work.await;
    }
    // A change of several steps is made to its end also where its caller has gone by then.
    match tasks::to_its_end(work).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "a change ended in the middle");
            Status::internal("the change ended in the middle; see the service's log").into_http()
        }
    }
}
