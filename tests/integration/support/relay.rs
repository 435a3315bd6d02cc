//! A forge in front of another one. Every verb is passed on here, once; a decorator says only what it does otherwise.

use async_trait::async_trait;
use codehealer::model::{BlobId, CommitId, RepoPath, Repository};
use codehealer::ports::{
    BranchOutcome, BranchPlan, Changes, Decoration, File, Forge, Notice, Permission, PortResult, PullRequest,
    PullRequestPlan,
};

use super::faults::Call;

/// What stands in front of a forge. [`forge_by_relay`] makes a forge of it.
#[async_trait]
pub trait Relay: Send + Sync {
    /// The forge behind.
    fn behind(&self) -> &dyn Forge;

    /// Before each call; an error keeps it from happening.
    async fn before(&self, _call: &Call) -> PortResult<()> {
        Ok(())
    }

    /// After a call that succeeded; an error takes its answer away.
    async fn after(&self, _call: &Call) -> PortResult<()> {
        Ok(())
    }

    async fn head(&self, repository: &Repository, reference: &str) -> PortResult<Option<CommitId>> {
        self.behind().head(repository, reference).await
    }

    async fn changed_files(
        &self,
        repository: &Repository,
        base: Option<&CommitId>,
        head: &CommitId,
    ) -> PortResult<Changes> {
        self.behind().changed_files(repository, base, head).await
    }

    async fn read(&self, repository: &Repository, commit: &CommitId, path: &RepoPath) -> PortResult<Option<File>> {
        self.behind().read(repository, commit, path).await
    }

    async fn read_blob(&self, repository: &Repository, blob: &BlobId) -> PortResult<Vec<u8>> {
        self.behind().read_blob(repository, blob).await
    }

    async fn ensure_branch(&self, repository: &Repository, plan: &BranchPlan) -> PortResult<BranchOutcome> {
        self.behind().ensure_branch(repository, plan).await
    }

    async fn ensure_pull_request(
        &self,
        repository: &Repository,
        plan: &PullRequestPlan,
    ) -> PortResult<(PullRequest, bool)> {
        self.behind().ensure_pull_request(repository, plan).await
    }

    async fn find_pull_request(
        &self,
        repository: &Repository,
        branch: &str,
        base: &str,
    ) -> PortResult<Option<PullRequest>> {
        self.behind().find_pull_request(repository, branch, base).await
    }

    async fn repository(&self, name: &str) -> PortResult<Option<Repository>> {
        self.behind().repository(name).await
    }

    async fn open_pull_requests(&self, repository: &Repository, prefix: &str) -> PortResult<Vec<PullRequest>> {
        self.behind().open_pull_requests(repository, prefix).await
    }

    async fn pull_request(&self, repository: &Repository, number: u64) -> PortResult<Option<PullRequest>> {
        self.behind().pull_request(repository, number).await
    }

    async fn close_pull_request(&self, repository: &Repository, number: u64) -> PortResult<()> {
        self.behind().close_pull_request(repository, number).await
    }

    async fn decorate(&self, repository: &Repository, number: u64, with: &Decoration) -> PortResult<()> {
        self.behind().decorate(repository, number, with).await
    }

    async fn ensure_comment(
        &self,
        repository: &Repository,
        number: u64,
        key: &str,
        markdown: &str,
    ) -> PortResult<String> {
        self.behind().ensure_comment(repository, number, key, markdown).await
    }

    async fn annotate(
        &self,
        repository: &Repository,
        commit: &CommitId,
        key: &str,
        notice: &Notice,
    ) -> PortResult<Option<String>> {
        self.behind().annotate(repository, commit, key, notice).await
    }

    async fn permission(&self, repository: &Repository, login: &str) -> PortResult<Permission> {
        self.behind().permission(repository, login).await
    }
}

/// Makes a [`Relay`] a forge: what stands before and after a call, around the verb.
macro_rules! forge_by_relay {
    ($relay:ty) => {
        $crate::support::relay::forge_by_relay! {
            @verbs $relay;
            head(repository: &Repository, reference: &str) -> Option<CommitId>;
            changed_files(repository: &Repository, base: Option<&CommitId>, head: &CommitId) -> Changes;
            read(repository: &Repository, commit: &CommitId, path: &RepoPath) -> Option<File>;
            read_blob(repository: &Repository, blob: &BlobId) -> Vec<u8>;
            ensure_branch(repository: &Repository, plan: &BranchPlan) -> BranchOutcome, writes &plan.name;
            ensure_pull_request(repository: &Repository, plan: &PullRequestPlan) -> (PullRequest, bool), writes &plan.branch;
            find_pull_request(repository: &Repository, branch: &str, base: &str) -> Option<PullRequest>;
            repository(name: &str) -> Option<Repository>;
            open_pull_requests(repository: &Repository, prefix: &str) -> Vec<PullRequest>;
            pull_request(repository: &Repository, number: u64) -> Option<PullRequest>;
            close_pull_request(repository: &Repository, number: u64) -> (), writes number.to_string();
            decorate(repository: &Repository, number: u64, with: &Decoration) -> (), writes number.to_string();
            ensure_comment(repository: &Repository, number: u64, key: &str, markdown: &str) -> String, writes key;
            annotate(repository: &Repository, commit: &CommitId, key: &str, notice: &Notice) -> Option<String>, writes key;
            permission(repository: &Repository, login: &str) -> Permission;
        }
    };
    (@verbs $relay:ty; $($verb:ident($($name:ident: $type:ty),*) -> $answer:ty $(, writes $key:expr)?;)*) => {
        const _: () = {
            use codehealer::model::{BlobId, CommitId, RepoPath, Repository};
            use codehealer::ports::{
                BranchOutcome, BranchPlan, Changes, Decoration, File, Forge, Notice, Permission, PortResult, PullRequest,
                PullRequestPlan,
            };
            use $crate::support::faults::Call;
            use $crate::support::relay::Relay;

            #[async_trait::async_trait]
            impl Forge for $relay {
                $(async fn $verb(&self, $($name: $type),*) -> PortResult<$answer> {
                    let call = Call::read("forge", stringify!($verb));
                    $(let call = Call::write(call.port, call.verb, $key);)?
                    self.before(&call).await?;
                    let answer = Relay::$verb(self, $($name),*).await?;
                    self.after(&call).await?;
                    Ok(answer)
                })*
            }
        };
    };
}
pub(crate) use forge_by_relay;
