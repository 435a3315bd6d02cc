//! What can stop the healer, and whether trying again may help.

use crate::decide::{IllegalStep, ReplayError};
use crate::model::CaseId;
use crate::ports::{ErrorKind, PortError};

/// Work on a case, a push or a repository could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum HealError {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("case {case}: the audit trail cannot be replayed; run `codehealer audit verify`")]
    Replay { case: CaseId, source: ReplayError },
    #[error(transparent)]
    Illegal(#[from] IllegalStep),
    #[error("stored record {key} cannot be read; it was written by another version or altered")]
    Record { key: String, source: serde_json::Error },
    #[error("case {0} is not known; `codehealer audit list` shows the known ones")]
    UnknownCase(CaseId),
    #[error(transparent)]
    Policy(#[from] super::PolicyError),
    #[error("{0} attempts ended without any progress")]
    TooManyAttempts(u32),
    #[error("the work broke down: {0}")]
    Panicked(String),
    /// Another worker took over; its work stands and ours is dropped.
    #[error("case {0} was taken over by another worker")]
    TakenOver(CaseId),
    /// The deadline is near; what was recorded stays, and the rest is done next time.
    #[error("there is no time left for the next step")]
    OutOfTime,
}

impl HealError {
    /// As an error of the store that was asked: what it gave and cannot be read is malformed. `attempted` says what for.
    pub(super) fn into_port(self, attempted: &str) -> PortError {
        match self {
            Self::Port(error) => error,
            other => PortError::new("state", attempted, ErrorKind::Malformed).caused_by(other),
        }
    }

    /// Whether what a port failed with passes by itself.
    pub(super) fn is_passing(error: &PortError) -> bool {
        matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Throttled(_) | ErrorKind::Conflict)
    }

    /// Whether the same work may succeed later without anybody acting.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Port(error) => Self::is_passing(error),
            Self::TakenOver(_) | Self::OutOfTime => true,
            _ => false,
        }
    }
}
