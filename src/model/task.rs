//! What waits in the inbox.

use serde::{Deserialize, Serialize};

use super::{CaseId, CommitId, Generation, RepositoryId};

/// What waits in the inbox. Small whatever the push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    Push(PushTask),
    Heal {
        case: CaseId,
        generation: Generation,
    },
    /// Look what people did with the open pull requests of a repository.
    FollowUp {
        repository: RepositoryId,
    },
}

/// A push that was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushTask {
    pub repository: RepositoryId,
    /// Full reference name.
    pub reference: String,
    /// `None` when the branch was created.
    pub before: Option<CommitId>,
    pub after: CommitId,
    pub delivery: String,
    /// SHA-256 of the delivery's body: the identity for replay.
    pub body_sha: String,
    pub pusher: Option<String>,
}
