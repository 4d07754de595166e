//! What goes wrong inside the backend, until it is known what the caller was doing.
//!
//! Keeps apart what the driver could not do (trying again may help) and what can't be read (it won't).

use rusqlite::{Error, ErrorCode, ffi};

use crate::store::StoreError;

/// Why work on a connection failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The driver's word, not yet judged.
    Sql(Error),
    /// Already said in the trait's words.
    Store(StoreError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sql(error)
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

    /// The failure in the trait's words; `doing` completes "the database could not …".
    pub(super) fn while_doing(self, doing: &'static str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sql(error) if is_damage(&error) => StoreError::Damaged(error.to_string()),
            Self::Sql(error) if is_unfit(&error) => StoreError::Unfit {
                doing,
                source: Box::new(error),
            },
            Self::Sql(error) => StoreError::Driver {
                doing,
                source: Box::new(error),
            },
        }
    }
}

/// Whether the same data would be refused again.
fn is_unfit(error: &Error) -> bool {
    match error {
        Error::ToSqlConversionFailure(_) => true,
        Error::SqliteFailure(error, _) => matches!(
            error.extended_code,
            ffi::SQLITE_TOOBIG
                | ffi::SQLITE_MISMATCH
                | ffi::SQLITE_CONSTRAINT_CHECK
                | ffi::SQLITE_CONSTRAINT_NOTNULL
                | ffi::SQLITE_CONSTRAINT_DATATYPE
        ),
        _ => false,
    }
}

fn is_damage(error: &Error) -> bool {
    match error {
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..) => true,
        Error::SqliteFailure(error, _) => {
            matches!(
                error.code,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase
            )
        }
        _ => false,
    }
}
