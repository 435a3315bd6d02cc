//! The forge on a laptop: a local git repository, read and written through git's objects and references only.
//!
//! Everything in the repository, `.git/config` included, is hostile. libgit2 runs no hook, filter driver, fsmonitor or
//! textconv; besides, the forge replaces the configuration of each handle by an empty one and never checks anything out,
//! fetches or pushes.

mod branch;
mod changes;
mod failure;
pub mod history;
mod merged;
pub mod open;
mod pull_request;
pub mod pushes;
pub mod range;
mod read;
mod record;
mod renames;
mod trees;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use git2::{Config, Oid, RepositoryOpenFlags};

pub use read::MAX_BLOB;

use self::failure::Failure;
use crate::model::{BlobId, CommitId, RepoPath, Repository, RepositoryId};
use crate::ports::{
    BranchOutcome, BranchPlan, Changes, Decoration, ErrorKind, File, Forge, Notice, Permission, PortError, PortResult,
    PullRequest, PullRequestPlan,
};

/// Differing files and folders that one comparison may meet.
const MAX_ENTRIES: usize = 1_000_000;

/// Local clones by repository id, with the pull requests kept in a folder beside the state.
pub struct LocalForge {
    state_dir: PathBuf,
    clones: BTreeMap<RepositoryId, Arc<Clone>>,
}

impl LocalForge {
    /// `clones` gives the git folder of each repository ([`open::LocalRepository::git_dir`]). Pull requests are kept
    /// under `state_dir/pulls/<repository id>/`.
    #[must_use]
    pub fn new(state_dir: &Path, clones: impl IntoIterator<Item = (RepositoryId, PathBuf)>) -> Self {
        let clones = clones.into_iter().map(|(id, git_dir)| (id, Arc::new(Clone::new(git_dir)))).collect();
        Self { state_dir: state_dir.to_path_buf(), clones }
    }

    /// Marks the pull request of `branch` as closed without merging, as a person would on a forge.
    ///
    /// # Errors
    /// `Missing` when there is none, `Conflict` when it is merged already.
    pub async fn close(&self, repository: &Repository, branch: &str) -> PortResult<()> {
        let pulls = self.pulls(repository);
        let branch = branch.to_owned();
        let attempted = format!("close the pull request of {branch}");
        self.on(repository, attempted, move |repo| pull_request::close(repo, &pulls, &branch)).await
    }

    fn pulls(&self, repository: &Repository) -> record::Folder {
        record::Folder::new(&self.state_dir, &repository.id)
    }

    /// Runs `work` on a thread where blocking is allowed, with a handle of the repository.
    async fn on<T: Send + 'static>(
        &self,
        repository: &Repository,
        attempted: String,
        work: impl FnOnce(&git2::Repository) -> Result<T, Failure> + Send + 'static,
    ) -> PortResult<T> {
        let Some(clone) = self.clones.get(&repository.id).map(Arc::clone) else {
            let cause = format!("no local clone of {} ({}) is configured", repository.name, repository.id);
            return Err(Failure::missing(cause).into_port(attempted));
        };
        match tokio::task::spawn_blocking(move || clone.with(work)).await {
            Ok(result) => result.map_err(|failure| failure.into_port(attempted)),
            Err(stopped) => Err(PortError::new("forge", attempted, ErrorKind::Unavailable).caused_by(stopped)),
        }
    }
}

/// One clone and its idle handles. Opening a repository costs more than reading a file of it.
struct Clone {
    git_dir: PathBuf,
    idle: Mutex<Vec<git2::Repository>>,
}

impl Clone {
    fn new(git_dir: PathBuf) -> Self {
        Self { git_dir, idle: Mutex::new(Vec::new()) }
    }

    /// A handle goes back only after a success: after a failure the next call looks at the disk anew.
    fn with<T>(&self, work: impl FnOnce(&git2::Repository) -> Result<T, Failure>) -> Result<T, Failure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let repo = match idle {
            Some(repo) => repo,
            None => open_without_configuration(&self.git_dir)?,
        };
        let result = work(&repo);
        if result.is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(repo);
        }
        result
    }
}

/// Opens a git folder and forgets its configuration, which its owner may have written against us.
pub(super) fn open_without_configuration(git_dir: &Path) -> Result<git2::Repository, git2::Error> {
    let exact = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::NO_DOTGIT;
    let repo = git2::Repository::open_ext(git_dir, exact, &[] as &[&Path])?;
    repo.set_config(&Config::new()?)?;
    Ok(repo)
}

#[async_trait]
impl Forge for LocalForge {
    async fn head(&self, repository: &Repository, reference: &str) -> PortResult<Option<CommitId>> {
        let name = reference.to_owned();
        self.on(repository, format!("resolve {reference}"), move |repo| {
            read::head(repo, &name)?.map(read::commit_id).transpose()
        })
        .await
    }

    async fn changed_files(
        &self,
        repository: &Repository,
        base: Option<&CommitId>,
        head: &CommitId,
    ) -> PortResult<Changes> {
        let since = base.map_or("the beginning", CommitId::short);
        let attempted = format!("list what changed from {since} to {}", head.short());
        let (base, head) = (base.cloned(), head.clone());
        self.on(repository, attempted, move |repo| changes::changed_files(repo, base.as_ref(), &head)).await
    }

    async fn read(&self, repository: &Repository, commit: &CommitId, path: &RepoPath) -> PortResult<Option<File>> {
        let attempted = format!("read {path} at {}", commit.short());
        let (commit, path) = (commit.clone(), path.clone());
        self.on(repository, attempted, move |repo| read::file(repo, &commit, &path)).await
    }

    async fn read_blob(&self, repository: &Repository, blob: &BlobId) -> PortResult<Vec<u8>> {
        let attempted = format!("read blob {blob}");
        let blob = blob.clone();
        self.on(repository, attempted, move |repo| {
            let id = Oid::from_str(blob.as_str()).map_err(Failure::missing)?;
            read::blob(repo, id)
        })
        .await
    }

    async fn ensure_branch(&self, repository: &Repository, plan: &BranchPlan) -> PortResult<BranchOutcome> {
        let (pulls, plan) = (self.pulls(repository), plan.clone());
        self.on(repository, format!("make the branch {}", plan.name), move |repo| {
            // Who comes late does not bring back a branch that people merged or deleted.
            let ended = pull_request::ended(repo, &pulls, &plan.name)?;
            branch::ensure(repo, &plan, ended)
        })
        .await
    }

    async fn ensure_pull_request(
        &self,
        repository: &Repository,
        plan: &PullRequestPlan,
    ) -> PortResult<(PullRequest, bool)> {
        let (pulls, plan) = (self.pulls(repository), plan.clone());
        let attempted = format!("open the pull request of {}", plan.branch);
        self.on(repository, attempted, move |repo| pull_request::ensure(repo, &pulls, &plan)).await
    }

    async fn find_pull_request(
        &self,
        repository: &Repository,
        branch: &str,
        _base: &str,
    ) -> PortResult<Option<PullRequest>> {
        let (pulls, branch) = (self.pulls(repository), branch.to_owned());
        let attempted = format!("look for the pull request of {branch}");
        self.on(repository, attempted, move |repo| pull_request::find(repo, &pulls, &branch)).await
    }

    /// Clones are described by the configuration.
    async fn repository(&self, _name: &str) -> PortResult<Option<Repository>> {
        Ok(None)
    }

    async fn open_pull_requests(&self, repository: &Repository, prefix: &str) -> PortResult<Vec<PullRequest>> {
        let (pulls, prefix) = (self.pulls(repository), prefix.to_owned());
        self.on(repository, "list the open pull requests".to_owned(), move |repo| {
            pull_request::open(repo, &pulls, &prefix)
        })
        .await
    }

    /// Pull requests on a laptop have no numbers.
    async fn pull_request(&self, _repository: &Repository, _number: u64) -> PortResult<Option<PullRequest>> {
        Ok(None)
    }

    async fn close_pull_request(&self, _repository: &Repository, _number: u64) -> PortResult<()> {
        Err(PortError::new("forge", "close a pull request of a local clone by its number", ErrorKind::Missing))
    }

    /// A laptop knows neither labels nor reviewers.
    async fn decorate(&self, _repository: &Repository, _number: u64, _with: &Decoration) -> PortResult<()> {
        Ok(())
    }

    async fn ensure_comment(
        &self,
        _repository: &Repository,
        _number: u64,
        _key: &str,
        _markdown: &str,
    ) -> PortResult<String> {
        Err(PortError::new("forge", "comment on a pull request of a local clone", ErrorKind::Missing))
    }

    async fn annotate(
        &self,
        _repository: &Repository,
        _commit: &CommitId,
        _key: &str,
        _notice: &Notice,
    ) -> PortResult<Option<String>> {
        Ok(None)
    }

    /// Nobody gives orders through a clone: its owner has the command line.
    async fn permission(&self, _repository: &Repository, _login: &str) -> PortResult<Permission> {
        Ok(Permission::None)
    }
}
