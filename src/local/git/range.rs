//! Which commits `heal` looks at: what a person named, or else the last push.

use git2::{ErrorCode, Oid, Repository};

use super::open::{HeadState, LocalRepository};
use super::{open_without_configuration, read};
use crate::model::CommitId;

/// A range of commits and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// `None` means the empty tree: everything is new.
    pub base: Option<CommitId>,
    pub head: CommitId,
    pub chosen: Chosen,
}

/// How the base was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// The person named it.
    Named,
    /// Commits that the upstream branch (its short name) does not have yet.
    Unpushed(String),
    /// What the last push to, or fetch of, the upstream branch (its short name) brought.
    LastPush(String),
    /// The last commit alone.
    LastCommit,
    /// The first commit of the history, compared with nothing.
    FirstCommit,
}

/// Why there is no such range. Each message ends with what to do.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    #[error("the repository has no commit yet; commit something first")]
    NoCommits,
    #[error("there is no revision `{0}` here; `git branch --all` and `git log` show what can be named")]
    Unknown(String),
    #[error(
        "there is no revision `{0}` here, and this is a shallow clone; `git fetch --unshallow` brings older commits"
    )]
    BeyondShallow(String),
    #[error("`{0}` could mean several objects; give more digits")]
    Ambiguous(String),
    #[error("`{0}` is not a commit; name a branch, a tag or a commit id")]
    NotACommit(String),
    #[error("`{0}` is no valid revision; give a branch, a tag, a commit id or something like HEAD~3")]
    Invalid(String),
    #[error("this shallow clone has only the last commit; `git fetch --deepen=1` brings the one before, or use --all")]
    NoParent,
    #[error("the repository cannot be read: {0}; `git fsck` tells more")]
    Unreadable(#[from] git2::Error),
}

/// Resolves `base` and `head` (branches, tags, ids, `HEAD~3`). Without a head it is `HEAD`; without a base it is where the
/// last push began, or the parent of the head.
///
/// # Errors
/// When a revision does not exist or is not a commit, or there is no commit at all.
pub fn resolve(repository: &LocalRepository, base: Option<&str>, head: Option<&str>) -> Result<Range, RangeError> {
    let configured = Repository::open(&repository.git_dir)?;
    let repo = open_without_configuration(&repository.git_dir)?;
    let tip = match head {
        Some(revision) => commit_of(&repo, revision)?,
        None => current(&repo, repository)?,
    };
    let (base, chosen) = match base {
        Some(revision) => (Some(commit_of(&repo, revision)?), Chosen::Named),
        None if head.is_none() => default_base(&repo, upstream(&configured, repository), tip)?,
        None => parent(&repo, tip)?,
    };
    Ok(Range { base: base.map(id).transpose()?, head: id(tip)?, chosen })
}

/// The full name of the local branch that a person's word means; `None` when it is no branch.
#[must_use]
pub fn branch(repository: &LocalRepository, name: &str) -> Option<String> {
    let repo = open_without_configuration(&repository.git_dir).ok()?;
    let short = name.strip_prefix("refs/heads/").unwrap_or(name);
    let found = repo.find_branch(short, git2::BranchType::Local).ok()?;
    Some(found.get().name().ok()?.to_owned())
}

fn id(oid: Oid) -> Result<CommitId, RangeError> {
    read::commit_id(oid).map_err(|failure| RangeError::Invalid(failure.cause.to_string()))
}

fn current(repo: &Repository, repository: &LocalRepository) -> Result<Oid, RangeError> {
    match &repository.head {
        HeadState::Unborn { .. } => Err(RangeError::NoCommits),
        HeadState::Branch { reference, .. } => commit_of(repo, reference),
        HeadState::Detached(commit) => commit_of(repo, commit.as_str()),
    }
}

/// The commit that a person's words name; annotated tags are followed.
fn commit_of(repo: &Repository, revision: &str) -> Result<Oid, RangeError> {
    let named = || revision.to_owned();
    let missing = || if repo.is_shallow() { RangeError::BeyondShallow(named()) } else { RangeError::Unknown(named()) };
    if revision.contains('\0') {
        return Err(RangeError::Invalid(named()));
    }
    let object = repo.revparse_single(revision).map_err(|error| match error.code() {
        ErrorCode::NotFound | ErrorCode::UnbornBranch => missing(),
        ErrorCode::Ambiguous => RangeError::Ambiguous(named()),
        ErrorCode::InvalidSpec => RangeError::Invalid(named()),
        _ => RangeError::Unreadable(error),
    })?;
    let commit = object.peel_to_commit().map_err(|_| RangeError::NotACommit(named()))?;
    Ok(commit.id())
}

/// The full name of the branch that the checked out one tracks. This is the only place where the repository's own
/// configuration counts: it names a reference, nothing more.
fn upstream(repo: &Repository, repository: &LocalRepository) -> Option<String> {
    let HeadState::Branch { reference, .. } = &repository.head else { return None };
    let name = repo.branch_upstream_name(reference).ok()?;
    Some(name.as_str().ok()?.to_owned())
}

fn default_base(repo: &Repository, upstream: Option<String>, head: Oid) -> Result<(Option<Oid>, Chosen), RangeError> {
    let found = upstream.and_then(|name| read::head(repo, &name).ok().flatten().map(|tip| (name, tip)));
    let Some((name, pushed)) = found else { return parent(repo, head) };
    let short = name.strip_prefix("refs/remotes/").unwrap_or(&name).to_owned();
    if pushed == head {
        return match before_last_push(repo, &name, head) {
            Some(base) => Ok((Some(base), Chosen::LastPush(short))),
            None => parent(repo, head),
        };
    }
    match repo.merge_base(pushed, head) {
        Ok(fork) if fork != head => Ok((Some(fork), Chosen::Unpushed(short))),
        _ => parent(repo, head),
    }
}

/// Where the upstream branch stood before it came to `tip`, by its reflog, if that commit is still there.
fn before_last_push(repo: &Repository, upstream: &str, tip: Oid) -> Option<Oid> {
    let log = repo.reflog(upstream).ok()?;
    let last = log.iter().find(|entry| entry.id_new() == tip && entry.id_old() != tip)?;
    let base = last.id_old();
    repo.merge_base(base, tip).ok().filter(|fork| *fork != tip).and(Some(base))
}

fn parent(repo: &Repository, head: Oid) -> Result<(Option<Oid>, Chosen), RangeError> {
    let commit = repo.find_commit(head)?;
    match commit.parent_ids().next() {
        Some(parent) if repo.find_commit(parent).is_ok() => Ok((Some(parent), Chosen::LastCommit)),
        None if !is_cut_off(repo, head) => Ok((None, Chosen::FirstCommit)),
        _ => Err(RangeError::NoParent),
    }
}

/// Whether a shallow clone ends at this commit, which then only seems to be the first one.
fn is_cut_off(repo: &Repository, commit: Oid) -> bool {
    let Ok(header) = repo.odb().and_then(|odb| odb.read(commit).map(|object| object.data().to_vec())) else {
        return repo.is_shallow();
    };
    let has_parent = header.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
    repo.is_shallow() && has_parent.into_iter().any(|line| line.starts_with(b"parent "))
}
