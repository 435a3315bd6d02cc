//! GitHub as the forge: reads through its API, writes only what cannot be found already.
//!
//! A write is sent once. When its answer is lost, what it would have made is looked for; what cannot be seen is an error, and
//! the caller, who tries again later, looks first again. Everything GitHub sends is bounded and nothing in it is followed: no
//! address of a payload, no redirect to elsewhere, no symlink.

mod access;
mod branch;
mod changes;
mod check;
mod codeowners;
mod comments;
mod decorate;
mod failure;
mod kept;
mod objects;
mod prefetch;
mod pulls;
pub mod registration;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde::Deserialize;
use tokio::sync::OnceCell;

pub use access::Auth;
pub use check::GitHubCheck;

use self::access::Access;
use self::failure::{Asked, Failure};
use self::objects::Objects;
use self::wire::{Call, encoded};
use crate::model::{BlobId, CommitId, RepoPath, Repository, RepositoryId, UnixMillis};
use crate::ports::{
    BranchOutcome, BranchPlan, Changes, Clock, Decoration, File, Forge, Notice, Permission, PortResult, PullRequest,
    PullRequestPlan,
};

/// How GitHub is reached and what we are there.
pub struct GitHubOptions {
    /// `https://api.github.com`, or `https://HOST/api/v3` of an Enterprise Server; http for this machine only.
    pub api_url: String,
    pub auth: Auth,
    /// Whether check runs may be made; the app then needs checks: write.
    pub checks: bool,
    /// Whose knowledge our repositories share: [`Repository::organisation`] of all that are found here.
    pub organisation: String,
    pub clock: Arc<dyn Clock>,
}

/// GitHub's API. Making one costs nothing; the first call connects.
pub struct GitHubForge {
    access: Access,
    objects: Objects,
    checks: bool,
    organisation: String,
    /// Branches that were made a moment ago and had no pull request then.
    fresh: Mutex<BTreeMap<(RepositoryId, String), UnixMillis>>,
    /// Our login.
    me: OnceCell<String>,
}

impl GitHubForge {
    /// # Errors
    /// When the address is none, or would send tokens unencrypted to another machine.
    pub fn new(options: GitHubOptions) -> PortResult<Self> {
        let GitHubOptions { api_url, auth, checks, organisation, clock } = options;
        Ok(Self {
            access: Access::new(&api_url, auth, checks, clock)?,
            objects: Objects::new(),
            checks,
            organisation,
            fresh: Mutex::default(),
            me: OnceCell::new(),
        })
    }

    async fn described(&self, name: &str) -> Asked<Option<Repository>> {
        let Some((info, _)) = self.access.find(name).await? else { return Ok(None) };
        if info.archived {
            return Err(Failure::denied(failure::archived()));
        }
        if info.disabled {
            return Err(Failure::denied("GitHub has disabled the repository; its owner can ask why"));
        }
        let private = info.private || info.visibility.is_some_and(|visibility| visibility != "public");
        let (id, organisation) = (RepositoryId(info.id.to_string()), self.organisation.clone());
        Ok(Some(Repository { id, name: info.full_name, organisation, private }))
    }

    async fn may(&self, repository: &Repository, login: &str) -> Asked<Permission> {
        #[derive(Deserialize)]
        struct Level {
            permission: String,
        }
        if login.is_empty() {
            return Ok(Permission::None);
        }
        let call = Call::get(format!("/collaborators/{}/permission", encoded(login)));
        let Some(answer) = self.access.there(repository, call).await? else { return Ok(Permission::None) };
        // `maintain` counts as write here and `triage` as read, by GitHub's own account.
        Ok(match answer.json::<Level>()?.permission.as_str() {
            "admin" | "maintain" | "write" => Permission::Write,
            "read" | "triage" => Permission::Read,
            _ => Permission::None,
        })
    }
}

#[async_trait]
impl Forge for GitHubForge {
    async fn head(&self, repository: &Repository, reference: &str) -> PortResult<Option<CommitId>> {
        let found = self.tip(repository, reference).await;
        found.map_err(|failure| failure.into_port(format!("resolve {reference}")))
    }

    async fn changed_files(
        &self,
        repository: &Repository,
        base: Option<&CommitId>,
        head: &CommitId,
    ) -> PortResult<Changes> {
        let since = base.map_or("the beginning", CommitId::short);
        let attempted = format!("list what changed from {since} to {}", head.short());
        self.changes(repository, base, head).await.map_err(|failure| failure.into_port(attempted))
    }

    async fn read(&self, repository: &Repository, commit: &CommitId, path: &RepoPath) -> PortResult<Option<File>> {
        let attempted = format!("read {path} at {}", commit.short());
        self.file(repository, commit, path).await.map_err(|failure| failure.into_port(attempted))
    }

    async fn read_blob(&self, repository: &Repository, blob: &BlobId) -> PortResult<Vec<u8>> {
        let read = self.blob(repository, blob).await;
        read.map(|bytes| bytes.as_ref().clone()).map_err(|failure| failure.into_port(format!("read blob {blob}")))
    }

    async fn ensure_branch(&self, repository: &Repository, plan: &BranchPlan) -> PortResult<BranchOutcome> {
        let made = self.make_branch(repository, plan).await;
        made.map_err(|failure| failure.into_port(format!("make the branch {}", plan.name)))
    }

    async fn ensure_pull_request(
        &self,
        repository: &Repository,
        plan: &PullRequestPlan,
    ) -> PortResult<(PullRequest, bool)> {
        let opened = self.open_pull(repository, plan).await;
        opened.map_err(|failure| failure.into_port(format!("open the pull request of {}", plan.branch)))
    }

    async fn find_pull_request(
        &self,
        repository: &Repository,
        branch: &str,
        _base: &str,
    ) -> PortResult<Option<PullRequest>> {
        let found = self.find_pull(repository, branch).await;
        found.map_err(|failure| failure.into_port(format!("look for the pull request of {branch}")))
    }

    async fn repository(&self, name: &str) -> PortResult<Option<Repository>> {
        self.described(name).await.map_err(|failure| failure.into_port(format!("look at the repository {name}")))
    }

    async fn open_pull_requests(&self, repository: &Repository, prefix: &str) -> PortResult<Vec<PullRequest>> {
        let found = self.open_pulls(repository, prefix).await;
        found.map_err(|failure| failure.into_port("list the open pull requests"))
    }

    async fn pull_request(&self, repository: &Repository, number: u64) -> PortResult<Option<PullRequest>> {
        let found = self.pull_by_number(repository, number).await;
        found.map_err(|failure| failure.into_port(format!("look at pull request {number}")))
    }

    async fn close_pull_request(&self, repository: &Repository, number: u64) -> PortResult<()> {
        let closed = self.close_pull(repository, number).await;
        closed.map_err(|failure| failure.into_port(format!("close pull request {number}")))
    }

    async fn decorate(&self, repository: &Repository, number: u64, with: &Decoration) -> PortResult<()> {
        let done = self.dress(repository, number, with).await;
        done.map_err(|failure| failure.into_port(format!("label pull request {number} and ask for reviews")))
    }

    async fn ensure_comment(
        &self,
        repository: &Repository,
        number: u64,
        key: &str,
        markdown: &str,
    ) -> PortResult<String> {
        let there = self.comment(repository, number, key, markdown).await;
        there.map_err(|failure| failure.into_port(format!("comment on pull request {number}")))
    }

    async fn annotate(
        &self,
        repository: &Repository,
        commit: &CommitId,
        key: &str,
        notice: &Notice,
    ) -> PortResult<Option<String>> {
        let there = self.note(repository, commit, key, notice).await;
        there.map_err(|failure| failure.into_port(format!("leave a note at commit {}", commit.short())))
    }

    async fn permission(&self, repository: &Repository, login: &str) -> PortResult<Permission> {
        let may = self.may(repository, login).await;
        may.map_err(|failure| failure.into_port("ask what a person may do"))
    }
}
