//! What goes wrong inside the backend, until it is known what the caller was doing.
//!
//! Keeps apart what trying again may help, what the database refuses of the data itself, and what can't be read back.

use std::error::Error as _;

use deadpool_postgres::PoolError;
use tokio_postgres::{Error, error::SqlState};

use super::values::Unreadable;
use crate::store::StoreError;

/// Why work on a connection failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The driver's word, not yet judged.
    Sql(Error),
    /// No connection could be had.
    Pool(PoolError),
    /// Already said in the trait's words.
    Store(StoreError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// Something that a change refers to is not there.
    pub(super) fn not_found(what: &'static str, id: &impl ToString) -> Self {
        Self::Store(StoreError::NotFound {
            what,
            id: id.to_string(),
        })
    }

    /// Whether the server gave up this transaction for another's sake: the same again at once will do.
    pub(super) fn is_collision(&self) -> bool {
        match self {
            Self::Sql(error) => matches!(
                error.code(),
                Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE)
            ),
            _ => false,
        }
    }

    /// The failure in the trait's words; `doing` completes "the database could not …".
    pub(super) fn while_doing(self, doing: &'static str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Pool(PoolError::Closed) => StoreError::Closed,
            Self::Pool(error) => StoreError::Driver {
                doing,
                source: Box::new(error),
            },
            Self::Sql(error) => judge(error, doing),
        }
    }
}

fn judge(error: Error, doing: &'static str) -> StoreError {
    if error
        .source()
        .is_some_and(<dyn std::error::Error>::is::<Unreadable>)
    {
        return StoreError::Damaged(crate::store::said(&error));
    }
    let class = error.code().map(|state| state.code().get(..2));
    match class.flatten() {
        // Data exception, integrity constraint violation, program limit exceeded.
        Some("22" | "23" | "54") => StoreError::Unfit {
            doing,
            source: Box::new(error),
        },
        Some("XX") if error.code() == Some(&SqlState::DATA_CORRUPTED) => {
            StoreError::Damaged(crate::store::said(&error))
        }
        _ => StoreError::Driver {
            doing,
            source: Box::new(error),
        },
    }
}
