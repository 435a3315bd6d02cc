//! Pull requests without a forge: a record and a text per branch; people answer with git itself.
//!
//! Merging the branch (or its squashed or rebased change) merges the pull request, deleting the branch closes it.

use git2::Repository;

use super::failure::Failure;
use super::merged::merged_as;
use super::record::{Folder, Record};
use super::{branch, read, trees};
use crate::model::CommitId;
use crate::ports::{PullRequest, PullRequestPlan, PullRequestState};

/// Opens the pull request unless there is one of this branch; true when it was opened now.
pub(super) fn ensure(
    repo: &Repository,
    pulls: &Folder,
    plan: &PullRequestPlan,
) -> Result<(PullRequest, bool), Failure> {
    if let Some(record) = pulls.load(&plan.branch)? {
        pulls.ensure_text(&record)?;
        return Ok((current(repo, pulls, record)?, false));
    }
    let record = opened(repo, pulls, plan)?;
    let created = pulls.create(&record)?;
    let stored = if created { None } else { pulls.load(&plan.branch)? };
    Ok((current(repo, pulls, stored.unwrap_or(record))?, created))
}

/// The pull request of a branch, with the state that the repository shows now.
pub(super) fn find(repo: &Repository, pulls: &Folder, branch: &str) -> Result<Option<PullRequest>, Failure> {
    pulls.load(branch)?.map(|record| current(repo, pulls, record)).transpose()
}

/// Those that wait for people, of branches that begin with `prefix`.
pub(super) fn open(repo: &Repository, pulls: &Folder, prefix: &str) -> Result<Vec<PullRequest>, Failure> {
    let mut found = Vec::new();
    for branch in pulls.branches()?.into_iter().filter(|branch| branch.starts_with(prefix)) {
        found.extend(find(repo, pulls, &branch)?.filter(|request| request.state == PullRequestState::Open));
    }
    Ok(found)
}

/// The last commit of the branch when its pull request was merged or closed.
pub(super) fn ended(repo: &Repository, pulls: &Folder, branch: &str) -> Result<Option<CommitId>, Failure> {
    let Some(record) = pulls.load(branch)? else { return Ok(None) };
    let seen = observed(repo, record)?;
    Ok((seen.closed || seen.merged.is_some()).then_some(seen.tip))
}

/// Closes without merging.
pub(super) fn close(repo: &Repository, pulls: &Folder, branch: &str) -> Result<(), Failure> {
    let Some(record) = pulls.load(branch)? else {
        return Err(Failure::missing(format!("{branch} has no pull request")));
    };
    let record = observed(repo, record)?;
    if let Some(commit) = &record.merged {
        return Err(Failure::conflict(format!("it was merged already with {commit}")));
    }
    pulls.update(&Record { closed: true, ..record })
}

/// A record for the plan, if both branches exist.
fn opened(repo: &Repository, pulls: &Folder, plan: &PullRequestPlan) -> Result<Record, Failure> {
    let reference = branch::reference_name(&plan.branch)?;
    let Some(tip) = read::head(repo, &reference)? else {
        return Err(Failure::missing(format!("there is no branch {}", plan.branch)));
    };
    let is_commit = || CommitId::new(plan.base.clone()).is_ok_and(|id| trees::commit(repo, &id).is_ok());
    if read::head(repo, &base_reference(&plan.base))?.is_none() && !is_commit() {
        return Err(Failure::missing(format!("there is no branch {} to propose to", plan.base)));
    }
    let tip = read::commit_id(tip)?;
    let parent = trees::commit(repo, &tip)?.parent_id(0).map_err(Failure::from).and_then(read::commit_id)?;
    Ok(Record {
        version: Record::version(),
        repository: pulls.repository().clone(),
        branch: plan.branch.clone(),
        base: plan.base.clone(),
        title: plan.title.clone(),
        body: plan.body.clone(),
        draft: plan.draft,
        parent,
        tip,
        closed: false,
        merged: None,
    })
}

fn base_reference(base: &str) -> String {
    format!("refs/heads/{base}")
}

/// The record after looking at the repository; what is final once (merged, closed) is written down, so that a later
/// force push or clean-up does not change the answer.
fn current(repo: &Repository, pulls: &Folder, record: Record) -> Result<PullRequest, Failure> {
    let seen = observed(repo, record.clone())?;
    if seen != record {
        pulls.update(&seen)?;
    }
    let state = match (&seen.merged, seen.closed) {
        (Some(_), _) => PullRequestState::Merged,
        (None, true) => PullRequestState::Closed,
        (None, false) => PullRequestState::Open,
    };
    let url = pulls.text_path(&seen.branch).display().to_string();
    Ok(PullRequest { number: 0, url, branch: seen.branch, state, draft: seen.draft, merge_commit: seen.merged })
}

fn observed(repo: &Repository, mut record: Record) -> Result<Record, Failure> {
    if record.merged.is_some() || record.closed {
        return Ok(record);
    }
    let tip = read::head(repo, &branch::reference_name(&record.branch)?)?;
    if let Some(tip) = tip {
        record.tip = read::commit_id(tip)?;
    }
    if let Some(base) = read::head(repo, &base_reference(&record.base))? {
        record.merged = merged_as(repo, base, &record.parent, &record.tip)?.map(read::commit_id).transpose()?;
    }
    record.closed = record.merged.is_none() && tip.is_none();
    Ok(record)
}
