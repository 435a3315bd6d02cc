//! What goes wrong inside the forge, before it is known which verb was tried.

use std::error::Error;
use std::io;

use git2::{ErrorClass, ErrorCode};

use crate::ports::{ErrorKind, PortError};

/// A cause with its meaning; becomes a [`PortError`] once the verb is named.
#[derive(Debug)]
pub(super) struct Failure {
    pub kind: ErrorKind,
    pub cause: Box<dyn Error + Send + Sync>,
}

impl Failure {
    pub fn new(kind: ErrorKind, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, cause: cause.into() }
    }

    pub fn missing(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Missing, cause)
    }

    pub fn denied(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Denied, cause)
    }

    pub fn malformed(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Malformed, cause)
    }

    pub fn conflict(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Conflict, cause)
    }

    pub fn into_port(self, attempted: impl Into<String>) -> PortError {
        PortError { port: "forge", attempted: attempted.into(), kind: self.kind, source: Some(self.cause) }
    }
}

impl From<git2::Error> for Failure {
    fn from(error: git2::Error) -> Self {
        Self::new(kind_of(&error), error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::Missing,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, error)
    }
}

fn kind_of(error: &git2::Error) -> ErrorKind {
    match error.code() {
        ErrorCode::NotFound => ErrorKind::Missing,
        ErrorCode::Exists | ErrorCode::Modified | ErrorCode::Locked => ErrorKind::Conflict,
        ErrorCode::Owner | ErrorCode::Auth => ErrorKind::Denied,
        _ if error.class() == ErrorClass::Os && error.message().contains("ermission denied") => ErrorKind::Denied,
        _ if matches!(error.class(), ErrorClass::Os | ErrorClass::Filesystem | ErrorClass::NoMemory) => {
            ErrorKind::Unavailable
        }
        _ => ErrorKind::Malformed,
    }
}
