//! Every outside service as a narrow trait, and the one error they share.
//!
//! Ports return raw material (threads, remembered fixes, completions), never scored candidates, so that ranking,
//! verification and confidence stay pure. Every verb is idempotent: `ensure_…` finds what an earlier call made.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::model::{
    BlobId, Change, CommitId, FixId, Language, PastFix, RepoPath, Repository, RuleId, Span, Thread, UnixMillis,
};
use crate::state::{Item, Key, Page, Query, Transaction};

pub use crate::model::{Completion, Notice, NoticeKind, Prompt, Sampling};

pub type PortResult<T> = Result<T, PortError>;

/// A port could not do what was asked. "Could not ask" is never "found nothing".
#[derive(Debug, thiserror::Error)]
#[error("{port}: could not {attempted}: {kind}")]
pub struct PortError {
    /// Which port: `forge`, `state`, `team knowledge`, …
    pub port: &'static str,
    /// What was tried, completing "could not …".
    pub attempted: String,
    pub kind: ErrorKind,
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What an error means for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// Down or unreachable; trying later may help.
    #[error("the service is unavailable")]
    Unavailable,
    /// Asked too often; not before this much time has passed.
    #[error("throttled for {0:?}")]
    Throttled(Duration),
    /// Not allowed; an operator must act.
    #[error("access denied")]
    Denied,
    /// What was named does not exist.
    #[error("it does not exist")]
    Missing,
    /// A condition did not hold: somebody else was first.
    #[error("a condition no longer holds")]
    Conflict,
    /// What came back, or what is stored, cannot be understood.
    #[error("malformed data")]
    Malformed,
}

impl PortError {
    #[must_use]
    pub fn new(port: &'static str, attempted: impl Into<String>, kind: ErrorKind) -> Self {
        Self { port, attempted: attempted.into(), kind, source: None }
    }

    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the work on cases goes on without the port: neither their repository nor their record is behind it.
    #[must_use]
    pub fn is_beside_the_case(&self) -> bool {
        !matches!(self.port, "forge" | "state" | "inbox" | "secrets")
    }

    /// The whole chain of causes in one line, for audit and logs.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Time. Everything that waits or stamps asks here, so that tests can turn the clock.
pub trait Clock: Send + Sync {
    fn now(&self) -> UnixMillis;
}

/// The state and audit store: items by key, written in transactions whose conditions all hold or nothing happens.
#[async_trait]
pub trait State: Send + Sync {
    /// Reads one item, with all writes that were confirmed before.
    async fn get(&self, key: &Key) -> PortResult<Option<Item>>;

    /// Reads the items of one partition, or of one index value, in order.
    async fn query(&self, query: &Query) -> PortResult<Page>;

    /// Applies all writes, or none.
    ///
    /// # Errors
    /// `Conflict` when a condition does not hold. Any other error is ambiguous: the writes may have happened, read back.
    async fn commit(&self, transaction: &Transaction) -> PortResult<()>;
}

/// A file's content at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub blob: BlobId,
    pub bytes: Vec<u8>,
    /// Git mode is 100755.
    pub executable: bool,
}

/// The branch that a run wants to exist: one commit with `files` changed on top of `parent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchPlan {
    pub name: String,
    pub parent: CommitId,
    /// Whole new contents by path; modes are kept.
    pub files: Vec<(RepoPath, Vec<u8>)>,
    pub message: String,
    /// Stamp of the commit, so that making it twice gives the same commit.
    pub at: UnixMillis,
}

/// What `ensure_branch` found or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchOutcome {
    /// Made now.
    Created(CommitId),
    /// Was there with our tree.
    Adopted(CommitId),
    /// Is there with other content: somebody else's work, which we leave alone.
    Foreign(CommitId),
}

/// The pull request that a run wants to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestPlan {
    pub branch: String,
    pub base: String,
    pub title: String,
    /// Markdown.
    pub body: String,
    pub draft: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullRequestState {
    Open,
    Closed,
    Merged,
}

/// A pull request as the forge knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// The forge's number within the repository; 0 on a laptop, where there are none.
    pub number: u64,
    /// Web address; on a laptop the path of the file with its text.
    pub url: String,
    /// Name of the branch that it asks to merge, without `refs/heads/`.
    pub branch: String,
    pub state: PullRequestState,
    pub draft: bool,
    /// Set once merged.
    pub merge_commit: Option<CommitId>,
}

/// What a person may do in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    None,
    Read,
    /// May push; also those who maintain or administer.
    Write,
}

/// What is added to a pull request once people were told of it. Adding it again changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoration {
    pub labels: Vec<String>,
    /// Logins; teams as `organisation/team`.
    pub reviewers: Vec<String>,
}

/// The changed files of a range, and what was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    pub files: Vec<Change>,
    /// Paths that were passed over, each with the reason: symlink, submodule, a name that is refused.
    pub skipped: Vec<(String, String)>,
}

/// Where repositories live and pull requests are opened. Paths are never resolved through symlinks, nothing of a
/// repository is executed, and no branch but our own is ever written.
#[async_trait]
pub trait Forge: Send + Sync {
    /// The commit that `reference` (a full name such as `refs/heads/develop`) points at; `None` when it does not exist.
    async fn head(&self, repository: &Repository, reference: &str) -> PortResult<Option<CommitId>>;

    /// Regular files that differ between the merge base of `base` and `head`, and `head`; all files when `base` is `None`.
    /// A base that no longer exists (force push) is `Missing`.
    async fn changed_files(
        &self,
        repository: &Repository,
        base: Option<&CommitId>,
        head: &CommitId,
    ) -> PortResult<Changes>;

    /// A regular file at a commit; `None` when there is none, or it is a symlink or submodule.
    async fn read(&self, repository: &Repository, commit: &CommitId, path: &RepoPath) -> PortResult<Option<File>>;

    /// Content by id, as listed in [`Changes`].
    async fn read_blob(&self, repository: &Repository, blob: &BlobId) -> PortResult<Vec<u8>>;

    /// Creates the branch with one commit unless it exists. Never moves an existing branch.
    async fn ensure_branch(&self, repository: &Repository, plan: &BranchPlan) -> PortResult<BranchOutcome>;

    /// Opens the pull request unless one of this branch exists, in whatever state; returns that one then. The flag says
    /// whether it was opened now.
    async fn ensure_pull_request(
        &self,
        repository: &Repository,
        plan: &PullRequestPlan,
    ) -> PortResult<(PullRequest, bool)>;

    /// The pull request of a branch, in whatever state.
    async fn find_pull_request(
        &self,
        repository: &Repository,
        branch: &str,
        base: &str,
    ) -> PortResult<Option<PullRequest>>;

    /// The repository of this name (`owner/name`); `None` when there is none that we may see. An archived one is `Denied`.
    async fn repository(&self, name: &str) -> PortResult<Option<Repository>>;

    /// The open pull requests whose branch begins with `prefix`.
    async fn open_pull_requests(&self, repository: &Repository, prefix: &str) -> PortResult<Vec<PullRequest>>;

    /// The pull request of this number, in whatever state.
    async fn pull_request(&self, repository: &Repository, number: u64) -> PortResult<Option<PullRequest>>;

    /// Closes our own pull request without merging; one that people ended already stays as it is.
    async fn close_pull_request(&self, repository: &Repository, number: u64) -> PortResult<()>;

    /// Adds labels and asks for reviews. Reviewers who cannot be asked are passed over.
    async fn decorate(&self, repository: &Repository, number: u64, with: &Decoration) -> PortResult<()>;

    /// Comments on a pull request unless a comment of ours with this key is there, which is brought up to date. Returns its
    /// address.
    async fn ensure_comment(
        &self,
        repository: &Repository,
        number: u64,
        key: &str,
        markdown: &str,
    ) -> PortResult<String>;

    /// Says something about a commit where no pull request is possible, once for each key. Returns its address; `None` where the
    /// forge has no place for it.
    async fn annotate(
        &self,
        repository: &Repository,
        commit: &CommitId,
        key: &str,
        notice: &Notice,
    ) -> PortResult<Option<String>>;

    /// What a person may do in the repository.
    async fn permission(&self, repository: &Repository, login: &str) -> PortResult<Permission>;
}

/// What to look for in the team's chat. Built from the rule and the API involved, never from secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamQuery {
    pub organisation: String,
    /// Whether the asking repository is private; private channels never answer public ones.
    pub private: bool,
    /// Search terms, most telling first. A thread matches when it has at least one.
    pub terms: Vec<String>,
    /// At most this many threads.
    pub limit: usize,
}

/// The team's chat.
#[async_trait]
pub trait TeamKnowledge: Send + Sync {
    /// Threads that mention the terms, those with most of them first.
    async fn search(&self, query: &TeamQuery) -> PortResult<Vec<Thread>>;

    /// Takes in what was said since the last time, where the backend keeps an index of its own.
    async fn refresh(&self) -> PortResult<()> {
        Ok(())
    }
}

/// Whose fixes to look among.
#[derive(Debug, Clone, PartialEq)]
pub struct FixQuery {
    pub organisation: String,
    /// Whether the asking repository is private; a public one never sees fixes from private ones, its own excepted.
    pub private: bool,
    pub repository: String,
    pub language: Language,
    /// Only fixes of this rule or with it among their aliases.
    pub rule: RuleId,
    pub vector: Vec<f32>,
    /// Vectors of other embedders are never compared.
    pub embedder: String,
    pub limit: usize,
}

/// Remembered fixes.
#[async_trait]
pub trait FixMemory: Send + Sync {
    /// The nearest fixes with their exact cosine (-1 to 1), most similar first; superseded ones left out.
    async fn nearest(&self, query: &FixQuery) -> PortResult<Vec<(PastFix, f64)>>;

    async fn get(&self, id: &FixId) -> PortResult<Option<PastFix>>;

    /// Stores the fix, or replaces the one with the same id.
    async fn remember(&self, fix: &PastFix) -> PortResult<()>;

    /// Stores the fix unless one with its id is there; false when there was. What people said of that one is kept.
    async fn remember_new(&self, fix: &PastFix) -> PortResult<bool>;

    /// Removes the fix; false when there was none.
    async fn forget(&self, id: &FixId) -> PortResult<bool>;

    /// All fixes in order of id after `after`, at most `limit`.
    async fn list(&self, after: Option<&FixId>, limit: usize) -> PortResult<Vec<PastFix>>;
}

/// Makes vectors of code.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Name and version; vectors of different ones are never compared.
    fn id(&self) -> &str;

    /// A unit vector for the lines of `span` in `source`.
    async fn embed(&self, language: Language, source: &str, span: Span) -> PortResult<Vec<f32>>;
}

/// A language model. It has no tools and no credentials: text in, text out.
#[async_trait]
pub trait Model: Send + Sync {
    /// # Errors
    /// `Unavailable` when there is no whole answer within 60 s.
    async fn complete(&self, prompt: &Prompt) -> PortResult<Completion>;

    /// Draws answers in one call: at least one, and as many as wanted where the server gives several at once.
    ///
    /// # Errors
    /// As [`Model::complete`].
    async fn draw(&self, prompt: &Prompt, sampling: &Sampling) -> PortResult<Vec<Completion>> {
        let _ = sampling;
        Ok(vec![self.complete(prompt).await?])
    }
}

#[async_trait]
pub trait Notifier: Send + Sync {
    /// Sends the notice, or brings the one with its key up to date; returns where it can be found. People are told once: an
    /// update draws nobody's attention.
    async fn ensure_notice(&self, notice: &Notice) -> PortResult<String>;
}

/// One message of the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub receipt: String,
    /// JSON, as enqueued.
    pub body: String,
    /// How often it was taken, this time included, from 1.
    pub attempts: u32,
}

/// A durable queue: at least once, in no promised order.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Stores the message; it can be taken after `delay`. Of messages with an equal `dedupe` key, while one still waits or is
    /// being worked on, a store that can keeps one; a message that comes twice must do no harm.
    async fn enqueue(&self, body: &str, dedupe: Option<&str>, delay: Duration) -> PortResult<()>;

    /// Takes up to `limit` messages and hides them from others for `visibility`.
    async fn take(&self, limit: usize, visibility: Duration) -> PortResult<Vec<Taken>>;

    /// Takes note of a message that somebody else took for this process, as Lambda's event source does: from now on its receipt
    /// is as good as that of one from [`Inbox::take`], for at least `visibility`. Queues that know their receipts need no note.
    fn adopt(&self, _taken: &Taken, _visibility: Duration) {}

    /// Removes a taken message for good. A receipt that has run out is not an error.
    async fn done(&self, receipt: &str) -> PortResult<()>;

    /// Gives a taken message back, to be taken again after `delay`. Until then its receipt stays good: who goes on working
    /// prolongs its time so, and ends it with `done` or `bury`.
    async fn retry(&self, receipt: &str, delay: Duration) -> PortResult<()>;

    /// Puts a message that cannot be worked on aside, with the reason. An error means that it was not, or that it may be there
    /// twice; it is never lost.
    async fn bury(&self, receipt: &str, reason: &str) -> PortResult<()>;
}

/// A message that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buried {
    /// By which people name it: good until it is worked on again.
    pub receipt: String,
    /// JSON, as enqueued.
    pub body: String,
    /// How often it was taken before it was put aside; 0 where the queue does not tell.
    pub attempts: u32,
    /// Why it was put aside, in words.
    pub reason: String,
}

/// What was put aside from an inbox, and its way back.
#[async_trait]
pub trait Aside: Send + Sync {
    /// Messages that were put aside, at most `limit`, those first that lie there the longest as far as the queue tells. Looking
    /// takes nothing away.
    async fn buried(&self, limit: usize) -> PortResult<Vec<Buried>>;

    /// Gives up to `limit` of them another chance, their attempts counted from the start; returns how many went back. One that
    /// failed on its way lies there still, or twice: it is never lost.
    async fn redrive(&self, limit: usize) -> PortResult<u64>;

    /// Counts the messages; some queues know it only roughly.
    async fn depth(&self) -> PortResult<Depth>;
}

/// How full an inbox is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that can be taken now.
    pub ready: u64,
    /// Messages that somebody works on or that wait for their time.
    pub hidden: u64,
    pub buried: u64,
}

#[async_trait]
pub trait Secrets: Send + Sync {
    /// # Errors
    /// `Missing` when there is no such secret, `Malformed` when it is empty.
    async fn secret(&self, name: &str) -> PortResult<SecretString>;

    /// The secret as it is now, past any cache: for when nothing but a rotation explains what was seen.
    ///
    /// # Errors
    /// As [`Secrets::secret`].
    async fn fresh(&self, name: &str) -> PortResult<SecretString> {
        self.secret(name).await
    }
}

/// A secret by its name, read each time it is needed: a rotated one takes effect without a restart.
#[derive(Clone)]
pub struct Credential {
    secrets: Arc<dyn Secrets>,
    name: String,
}

impl Credential {
    #[must_use]
    pub fn new(secrets: Arc<dyn Secrets>, name: impl Into<String>) -> Self {
        Self { secrets, name: name.into() }
    }

    /// # Errors
    /// As [`Secrets::secret`].
    pub async fn read(&self) -> PortResult<SecretString> {
        self.secrets.secret(&self.name).await
    }

    /// # Errors
    /// As [`Secrets::secret`].
    pub async fn fresh(&self) -> PortResult<SecretString> {
        self.secrets.fresh(&self.name).await
    }

    /// Its name, which is no secret.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.name)
    }
}

/// A file as a scanner is to see it.
pub struct SnapshotFile<'a> {
    pub path: &'a RepoPath,
    pub bytes: &'a [u8],
}

/// Another scanner, run by the operator's own command; the second opinion for findings that our rules cannot re-check.
#[async_trait]
pub trait ExternalScanner: Send + Sync {
    /// Runs over a scratch copy of the commit in which `changed` replaces files, and returns its report (SARIF 2.1.0 text).
    async fn scan(
        &self,
        repository: &Repository,
        commit: &CommitId,
        changed: &[SnapshotFile<'_>],
    ) -> PortResult<String>;
}
