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
        /// `owner/name`.
        name: String,
    },
    /// Do what a person wrote in a comment on one of our pull requests.
    Command(CommandTask),
    /// Look for everything that time alone asks for.
    Reconcile,
}

/// A push that was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushTask {
    pub repository: RepositoryId,
    /// `owner/name`, as in the delivery.
    pub name: String,
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

/// A comment that begins with `/codehealer`. Whether its author may ask for it is looked up when it is worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandTask {
    pub repository: RepositoryId,
    /// `owner/name`.
    pub name: String,
    /// The pull request's number.
    pub number: u64,
    pub comment: u64,
    /// Tells an edited comment from the one before.
    pub updated_at: String,
    pub login: String,
    /// The first line, at most 500 characters.
    pub text: String,
}
