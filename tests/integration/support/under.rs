//! Every port once more, with a fault around each call.

use std::time::Duration;

use async_trait::async_trait;
use codehealer::model::{BlobId, CommitId, FixId, Language, PastFix, RepoPath, Repository, Span, Thread};
use codehealer::ports::{
    BranchOutcome, BranchPlan, Changes, Completion, Decoration, Embedder, File, FixMemory, FixQuery, Forge, Inbox,
    Model, Notice, Notifier, Permission, PortResult, Prompt, PullRequest, PullRequestPlan, State, Taken, TeamKnowledge,
    TeamQuery,
};
use codehealer::state::{Item, Key, Page, Query, Transaction};

use super::faults::{Call, Under};

#[async_trait]
impl State for Under<dyn State> {
    async fn get(&self, key: &Key) -> PortResult<Option<Item>> {
        self.around(Call::read("state", "get"), self.inner.get(key)).await
    }

    async fn query(&self, query: &Query) -> PortResult<Page> {
        self.around(Call::read("state", "query"), self.inner.query(query)).await
    }

    async fn commit(&self, transaction: &Transaction) -> PortResult<()> {
        let call = Call::write("state", "commit", format!("{transaction:?}"));
        self.around(call, self.inner.commit(transaction)).await
    }
}

#[async_trait]
impl Forge for Under<dyn Forge> {
    async fn head(&self, repository: &Repository, reference: &str) -> PortResult<Option<CommitId>> {
        self.around(Call::read("forge", "head"), self.inner.head(repository, reference)).await
    }

    async fn changed_files(
        &self,
        repository: &Repository,
        base: Option<&CommitId>,
        head: &CommitId,
    ) -> PortResult<Changes> {
        self.around(Call::read("forge", "changed_files"), self.inner.changed_files(repository, base, head)).await
    }

    async fn read(&self, repository: &Repository, commit: &CommitId, path: &RepoPath) -> PortResult<Option<File>> {
        self.around(Call::read("forge", "read"), self.inner.read(repository, commit, path)).await
    }

    async fn read_blob(&self, repository: &Repository, blob: &BlobId) -> PortResult<Vec<u8>> {
        self.around(Call::read("forge", "read_blob"), self.inner.read_blob(repository, blob)).await
    }

    async fn ensure_branch(&self, repository: &Repository, plan: &BranchPlan) -> PortResult<BranchOutcome> {
        let call = Call::write("forge", "ensure_branch", &plan.name);
        self.around(call, self.inner.ensure_branch(repository, plan)).await
    }

    async fn ensure_pull_request(
        &self,
        repository: &Repository,
        plan: &PullRequestPlan,
    ) -> PortResult<(PullRequest, bool)> {
        let call = Call::write("forge", "ensure_pull_request", &plan.branch);
        self.around(call, self.inner.ensure_pull_request(repository, plan)).await
    }

    async fn find_pull_request(
        &self,
        repository: &Repository,
        branch: &str,
        base: &str,
    ) -> PortResult<Option<PullRequest>> {
        let call = Call::read("forge", "find_pull_request");
        self.around(call, self.inner.find_pull_request(repository, branch, base)).await
    }

    async fn repository(&self, name: &str) -> PortResult<Option<Repository>> {
        let named = self.named.clone().filter(|repository| repository.name == name);
        let found = async { if named.is_some() { Ok(named) } else { self.inner.repository(name).await } };
        self.around(Call::read("forge", "repository"), found).await
    }

    async fn open_pull_requests(&self, repository: &Repository, prefix: &str) -> PortResult<Vec<PullRequest>> {
        let call = Call::read("forge", "open_pull_requests");
        self.around(call, self.inner.open_pull_requests(repository, prefix)).await
    }

    async fn pull_request(&self, repository: &Repository, number: u64) -> PortResult<Option<PullRequest>> {
        self.around(Call::read("forge", "pull_request"), self.inner.pull_request(repository, number)).await
    }

    async fn close_pull_request(&self, repository: &Repository, number: u64) -> PortResult<()> {
        let call = Call::write("forge", "close_pull_request", number.to_string());
        self.around(call, self.inner.close_pull_request(repository, number)).await
    }

    async fn decorate(&self, repository: &Repository, number: u64, with: &Decoration) -> PortResult<()> {
        let call = Call::write("forge", "decorate", number.to_string());
        self.around(call, self.inner.decorate(repository, number, with)).await
    }

    async fn ensure_comment(
        &self,
        repository: &Repository,
        number: u64,
        key: &str,
        markdown: &str,
    ) -> PortResult<String> {
        let call = Call::write("forge", "ensure_comment", key);
        self.around(call, self.inner.ensure_comment(repository, number, key, markdown)).await
    }

    async fn annotate(
        &self,
        repository: &Repository,
        commit: &CommitId,
        key: &str,
        notice: &Notice,
    ) -> PortResult<Option<String>> {
        let call = Call::write("forge", "annotate", key);
        self.around(call, self.inner.annotate(repository, commit, key, notice)).await
    }

    async fn permission(&self, repository: &Repository, login: &str) -> PortResult<Permission> {
        self.around(Call::read("forge", "permission"), self.inner.permission(repository, login)).await
    }
}

#[async_trait]
impl TeamKnowledge for Under<dyn TeamKnowledge> {
    async fn search(&self, query: &TeamQuery) -> PortResult<Vec<Thread>> {
        self.around(Call::read("team", "search"), self.inner.search(query)).await
    }
}

#[async_trait]
impl FixMemory for Under<dyn FixMemory> {
    async fn nearest(&self, query: &FixQuery) -> PortResult<Vec<(PastFix, f64)>> {
        self.around(Call::read("memory", "nearest"), self.inner.nearest(query)).await
    }

    async fn get(&self, id: &FixId) -> PortResult<Option<PastFix>> {
        self.around(Call::read("memory", "get"), self.inner.get(id)).await
    }

    async fn remember(&self, fix: &PastFix) -> PortResult<()> {
        self.around(Call::write("memory", "remember", &fix.id.0), self.inner.remember(fix)).await
    }

    async fn remember_new(&self, fix: &PastFix) -> PortResult<bool> {
        self.around(Call::write("memory", "remember_new", &fix.id.0), self.inner.remember_new(fix)).await
    }

    async fn forget(&self, id: &FixId) -> PortResult<bool> {
        self.around(Call::write("memory", "forget", &id.0), self.inner.forget(id)).await
    }

    async fn list(&self, after: Option<&FixId>, limit: usize) -> PortResult<Vec<PastFix>> {
        self.around(Call::read("memory", "list"), self.inner.list(after, limit)).await
    }
}

#[async_trait]
impl Embedder for Under<dyn Embedder> {
    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn embed(&self, language: Language, source: &str, span: Span) -> PortResult<Vec<f32>> {
        self.around(Call::read("embedder", "embed"), self.inner.embed(language, source, span)).await
    }
}

#[async_trait]
impl Model for Under<dyn Model> {
    async fn complete(&self, prompt: &Prompt) -> PortResult<Completion> {
        self.around(Call::read("model", "complete"), self.inner.complete(prompt)).await
    }
}

#[async_trait]
impl Notifier for Under<dyn Notifier> {
    async fn ensure_notice(&self, notice: &Notice) -> PortResult<String> {
        self.around(Call::write("notifier", "ensure_notice", &notice.key), self.inner.ensure_notice(notice)).await
    }
}

#[async_trait]
impl Inbox for Under<dyn Inbox> {
    async fn enqueue(&self, body: &str, dedupe: Option<&str>, delay: Duration) -> PortResult<()> {
        self.around(Call::write("inbox", "enqueue", body), self.inner.enqueue(body, dedupe, delay)).await
    }

    async fn take(&self, limit: usize, visibility: Duration) -> PortResult<Vec<Taken>> {
        self.around(Call::write("inbox", "take", ""), self.inner.take(limit, visibility)).await
    }

    fn adopt(&self, taken: &Taken, visibility: Duration) {
        self.inner.adopt(taken, visibility);
    }

    async fn done(&self, receipt: &str) -> PortResult<()> {
        self.around(Call::write("inbox", "done", receipt), self.inner.done(receipt)).await
    }

    async fn retry(&self, receipt: &str, delay: Duration) -> PortResult<()> {
        self.around(Call::write("inbox", "retry", receipt), self.inner.retry(receipt, delay)).await
    }

    async fn bury(&self, receipt: &str, reason: &str) -> PortResult<()> {
        self.around(Call::write("inbox", "bury", receipt), self.inner.bury(receipt, reason)).await
    }
}
