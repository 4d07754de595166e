//! Errors as gRPC says them: the code, a message that helps, and the wrong field's name in `BadRequest` details.
//!
//! Inner causes are logged here, once, and never shown to a caller.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::SinkError;
use crate::{
    evaluation::EvaluationError,
    observe::chain,
    query::QueryError,
    registry::{ApproveError, ImportError},
    store::StoreError,
    tasks::CutOff,
};

/// A wrong field of the request.
pub(super) fn field(field: impl Into<String>, problem: impl Into<String>) -> Status {
    let (field, problem) = (field.into(), problem.into());
    let message = format!("{field}: {problem}");
    let details = ErrorDetails::with_bad_request_violation(field, problem);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// A figure that does not fit the contract's type: stored data or a sum is broken.
pub(super) fn out_of_range(what: &'static str) -> Status {
    tracing::error!(what, "a figure does not fit its field in the contract");
    Status::internal(format!("{what} is out of range"))
}

impl From<QueryError> for Status {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Field {
                field: name,
                problem,
            } => field(name, problem),
            QueryError::NotFound { .. } => Self::not_found(error.to_string()),
            QueryError::NoCounty | QueryError::NoCalendar { .. } | QueryError::NoTerm { .. } => {
                Self::failed_precondition(error.to_string())
            }
            QueryError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { .. } => Self::not_found(error.to_string()),
            StoreError::Conflict(_) => Self::failed_precondition(error.to_string()),
            StoreError::OutOfReach { .. } => Self::permission_denied(error.to_string()),
            StoreError::Closed => Self::unavailable("the service is stopping, try again"),
            StoreError::Driver { .. } => {
                log(&error);
                Self::unavailable("the database is not available, try again")
            }
            StoreError::Unfit { .. } => {
                log(&error);
                Self::internal("the database refuses the data, the operator's log says why")
            }
            StoreError::Damaged(_) => {
                log(&error);
                Self::data_loss("stored data can't be read, the operator's log says which")
            }
        }
    }
}

impl From<EvaluationError> for Status {
    fn from(error: EvaluationError) -> Self {
        let said = chain(&error);
        match error {
            EvaluationError::Store(error) => error.into(),
            EvaluationError::NoRubric(_) | EvaluationError::Unknown { .. } => Self::not_found(said),
            EvaluationError::Rubric(_) => field("rubric_text", said),
            EvaluationError::Reading(_) => field("readings", said),
            EvaluationError::Exclusions(_) => field("exclude", said),
            EvaluationError::Unfit(_) => field("evidence", said),
            EvaluationError::Period { .. } => field("period", said),
            EvaluationError::Exclusion { .. } => field("terminal", said),
            EvaluationError::NoCalendar(_)
            | EvaluationError::MinutesGone { .. }
            | EvaluationError::MinutesFrom { .. }
            | EvaluationError::NotOver { .. }
            | EvaluationError::Missing(_)
            | EvaluationError::Changed { .. }
            | EvaluationError::NotFrozen(_) => Self::failed_precondition(said),
            EvaluationError::Calendar(_)
            | EvaluationError::Evidence { .. }
            | EvaluationError::Part { .. } => {
                tracing::error!(said, "what is kept of a run can't be read");
                Self::data_loss(said)
            }
            EvaluationError::CutOff(_) | EvaluationError::Unread(_) => Self::unavailable(said),
        }
    }
}

impl From<CutOff> for Status {
    fn from(error: CutOff) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<SinkError> for Status {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Refused {
                field: name,
                message,
            } => field(name, message),
            SinkError::Full => Self::resource_exhausted(error.to_string()),
            SinkError::Draining => Self::unavailable(error.to_string()),
            SinkError::Store(error) => error.into(),
        }
    }
}

impl From<ImportError> for Status {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Store(error) => error.into(),
        }
    }
}

impl From<ApproveError> for Status {
    fn from(error: ApproveError) -> Self {
        match error {
            ApproveError::Store(error) => error.into(),
            ApproveError::UnknownTerminal(_) => Self::not_found(error.to_string()),
            ApproveError::InService(_) => Self::failed_precondition(error.to_string()),
            ApproveError::Twice(_) => field("approvals", error.to_string()),
        }
    }
}

fn log(error: &StoreError) {
    let error: &(dyn std::error::Error + 'static) = error;
    tracing::error!(error, "a request failed in the store");
}
