//! The pushes of a branch as its history tells them: the commits of its first-parent line, each with the one before it. A merge stands
//! for all that it brought; a commit that was put onto the branch directly stands for itself.

use git2::Repository;

use super::open::LocalRepository;
use super::range::RangeError;
use super::{open_without_configuration, read, trees};
use crate::model::{CommitId, UnixMillis};

/// One step of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushStep {
    pub base: CommitId,
    pub head: CommitId,
    /// Whether the head is a merge.
    pub merge: bool,
    /// When the head was committed.
    pub at: UnixMillis,
    /// First line of its message. Hostile.
    pub summary: String,
}

/// The last steps of a branch, oldest first; fewer where its history, or a shallow clone, ends.
///
/// # Errors
/// When the commit is not there or the repository cannot be read.
pub fn last(repository: &LocalRepository, tip: &CommitId, count: usize) -> Result<Vec<PushStep>, RangeError> {
    let repo = open_without_configuration(&repository.git_dir)?;
    let mut steps = Vec::new();
    let mut at = tip.clone();
    while steps.len() < count {
        let Some(step) = step(&repo, &at)? else { break };
        at = step.base.clone();
        steps.push(step);
    }
    steps.reverse();
    Ok(steps)
}

/// The step that ends at a commit; `None` when there is nothing before it here.
fn step(repo: &Repository, head: &CommitId) -> Result<Option<PushStep>, RangeError> {
    let commit = trees::commit(repo, head).map_err(|_| RangeError::Unknown(head.to_string()))?;
    let Some(parent) = commit.parent_ids().next().filter(|parent| repo.find_commit(*parent).is_ok()) else {
        return Ok(None);
    };
    let base = read::commit_id(parent).map_err(|failure| RangeError::Invalid(failure.cause.to_string()))?;
    Ok(Some(PushStep {
        base,
        head: head.clone(),
        merge: commit.parent_count() > 1,
        at: u64::try_from(commit.time().seconds()).unwrap_or(0).saturating_mul(1000),
        summary: commit.summary_bytes().map(String::from_utf8_lossy).unwrap_or_default().into_owned(),
    }))
}
