//! What can go wrong with the state file, in words that say what to do.

use std::error::Error;
use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::ports::{ErrorKind, PortError};

/// A problem with one state file.
#[derive(Debug, thiserror::Error)]
#[error("state file {file}")]
pub struct StoreError {
    file: String,
    #[source]
    problem: Problem,
}

/// What is wrong, and the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("another process is writing to it for too long; wait, or stop that process")]
    Locked(#[source] rusqlite::Error),
    #[error("it is damaged ({0}); move it away and start anew, or put a backup in its place")]
    Damaged(String),
    #[error("a newer version wrote it (format {found}, this program knows {known}); upgrade, or name another file")]
    Newer { found: i64, known: i64 },
    #[error("it belongs to another program; name another file")]
    Foreign,
    #[error("it cannot be written: the file or its disk is read-only; make it writable or name another file")]
    ReadOnly,
    #[error("its disk is full; free some space and try again, nothing was written by halves")]
    Full(#[source] rusqlite::Error),
    #[error("it does not exist; check the path, or run a command that creates it")]
    Missing,
    #[error("it cannot be opened ({0}); check that the folder exists, can be written and is yours")]
    NoAccess(String),
    #[error("reading or writing failed; check the disk")]
    Io(#[source] rusqlite::Error),
    #[error("an unexpected answer from SQLite; please report this")]
    Unexpected(#[source] rusqlite::Error),
    /// The program is being shut down under the operation, or the operation panicked.
    #[error("the operation was broken off; run it again")]
    BrokenOff,
    /// The condition that did not hold.
    #[error("{0}")]
    Conflict(String),
    /// The request itself; names its own remedy.
    #[error("the request is refused")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
}

impl Problem {
    pub fn refused(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Refused(reason.into())
    }

    /// The error of `port` that could not do what was `attempted`; `None` for a store in memory.
    pub fn of(self, port: &'static str, attempted: impl Into<String>, file: Option<&PathBuf>) -> PortError {
        let kind = self.kind();
        let file = file.map_or_else(|| "(in memory)".to_owned(), |path| path.display().to_string());
        PortError::new(port, attempted, kind).caused_by(StoreError { file, problem: self })
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Locked(_) | Self::Full(_) | Self::Io(_) | Self::BrokenOff => ErrorKind::Unavailable,
            Self::ReadOnly | Self::NoAccess(_) => ErrorKind::Denied,
            Self::Missing => ErrorKind::Missing,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::Damaged(_) | Self::Newer { .. } | Self::Foreign | Self::Refused(_) | Self::Unexpected(_) => {
                ErrorKind::Malformed
            }
        }
    }
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sql;
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                Self::Locked(error)
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            Some(ErrorCode::DiskFull) => Self::Full(error),
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => Self::NoAccess(error.to_string()),
            Some(ErrorCode::SystemIoFailure) => Self::Io(error),
            // A value of a type or form that we never write.
            None if matches!(
                error,
                Sql::FromSqlConversionFailure(..)
                    | Sql::InvalidColumnType(..)
                    | Sql::IntegralValueOutOfRange(..)
                    | Sql::Utf8Error(..)
            ) =>
            {
                Self::Damaged(error.to_string())
            }
            _ => Self::Unexpected(error),
        }
    }
}
