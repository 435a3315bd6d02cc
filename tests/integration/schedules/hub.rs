//! The forge of a schedule: the local one, with numbers, comments and permissions as a forge across a network has them, a ledger of
//! what was made, and with what R4 takes away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use codehealer::local::git::LocalForge;
use codehealer::model::{CommitId, PushTask, Repository};
use codehealer::ports::{
    BranchOutcome, BranchPlan, ErrorKind, Forge, Permission, PortError, PortResult, PullRequest, PullRequestPlan,
    PullRequestState,
};

use super::stage::Removed;
use crate::support::relay::{Relay, forge_by_relay};

/// What was made on the forge, whoever heard of it.
#[derive(Default)]
pub struct Ledger {
    /// Names of branches, each as often as it was created.
    pub branches: Vec<String>,
    /// Branches of pull requests, each as often as one was opened.
    pub pull_requests: Vec<String>,
    /// Branches by the number of their pull request, from 1; other people's too.
    pub numbers: Vec<String>,
    /// Comments: pull request, key and text.
    pub comments: Vec<(u64, String, String)>,
    /// Who may push.
    pub writers: BTreeSet<String>,
    /// Names that were looked up.
    pub looked_up: Vec<String>,
    /// What a forge shows of pull requests by their branch, whatever the repository looks like: closed and opened again, say.
    pub shown: BTreeMap<String, (PullRequestState, Option<CommitId>)>,
    /// The name that a branch really has, where names are not natural.
    renamed: BTreeMap<String, String>,
}

impl Ledger {
    fn number(&mut self, branch: &str) -> u64 {
        let known = self.numbers.iter().position(|name| name == branch);
        let at = known.unwrap_or_else(|| {
            self.numbers.push(branch.to_owned());
            self.numbers.len() - 1
        });
        at as u64 + 1
    }
}

/// The push whose delivery a process works on.
pub type Told = Arc<Mutex<Option<PushTask>>>;

/// The forge as one process sees it.
pub struct Hub {
    pub inner: Arc<LocalForge>,
    pub ledger: Arc<Mutex<Ledger>>,
    pub removed: Removed,
    pub told: Told,
}

impl Hub {
    /// The real name of a branch.
    fn real(&self, branch: &str) -> String {
        self.ledger.lock().unwrap().renamed.get(branch).cloned().unwrap_or_else(|| branch.to_owned())
    }

    /// The branch of a pull request.
    fn branch(&self, number: u64) -> Option<String> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        self.ledger.lock().unwrap().numbers.get(at).cloned()
    }

    /// A pull request as this forge shows it.
    fn numbered(&self, request: PullRequest) -> PullRequest {
        let mut ledger = self.ledger.lock().unwrap();
        let number = ledger.number(&request.branch);
        let local = (request.state, request.merge_commit.clone());
        let (state, merge_commit) = ledger.shown.get(&request.branch).cloned().unwrap_or(local);
        PullRequest { number, state, merge_commit, ..request }
    }
}

#[async_trait]
impl Relay for Hub {
    fn behind(&self) -> &dyn Forge {
        &*self.inner
    }

    async fn head(&self, repository: &Repository, reference: &str) -> PortResult<Option<CommitId>> {
        let told = self.told.lock().unwrap().clone();
        match told.filter(|push| self.removed == Removed::LevelTrigger && push.reference == reference) {
            Some(push) => Ok(Some(push.after)),
            None => self.inner.head(repository, reference).await,
        }
    }

    async fn ensure_branch(&self, repository: &Repository, plan: &BranchPlan) -> PortResult<BranchOutcome> {
        let mut plan = plan.clone();
        if self.removed == Removed::NaturalName {
            let mut ledger = self.ledger.lock().unwrap();
            let name = format!("{}-{}", plan.name, ledger.branches.len());
            ledger.renamed.insert(std::mem::replace(&mut plan.name, name.clone()), name);
        }
        let outcome = self.inner.ensure_branch(repository, &plan).await?;
        if let BranchOutcome::Created(_) = &outcome {
            self.ledger.lock().unwrap().branches.push(plan.name);
        }
        Ok(outcome)
    }

    async fn ensure_pull_request(
        &self,
        repository: &Repository,
        plan: &PullRequestPlan,
    ) -> PortResult<(PullRequest, bool)> {
        let plan = PullRequestPlan { branch: self.real(&plan.branch), ..plan.clone() };
        let (request, new) = self.inner.ensure_pull_request(repository, &plan).await?;
        if new {
            self.ledger.lock().unwrap().pull_requests.push(plan.branch);
        }
        Ok((self.numbered(request), new))
    }

    async fn find_pull_request(
        &self,
        repository: &Repository,
        branch: &str,
        base: &str,
    ) -> PortResult<Option<PullRequest>> {
        let found = self.inner.find_pull_request(repository, &self.real(branch), base).await?;
        Ok(found.map(|request| self.numbered(request)))
    }

    async fn open_pull_requests(&self, repository: &Repository, prefix: &str) -> PortResult<Vec<PullRequest>> {
        let shown: Vec<String> = self.ledger.lock().unwrap().shown.keys().cloned().collect();
        let mut found = self.inner.open_pull_requests(repository, prefix).await?;
        found.retain(|request| !shown.contains(&request.branch));
        for branch in shown {
            found.extend(self.inner.find_pull_request(repository, &branch, "develop").await?);
        }
        let shown = found.into_iter().map(|request| self.numbered(request));
        Ok(shown.filter(|request| request.state == PullRequestState::Open).collect())
    }

    async fn pull_request(&self, repository: &Repository, number: u64) -> PortResult<Option<PullRequest>> {
        let Some(branch) = self.branch(number) else { return Ok(None) };
        if branch.starts_with("codehealer/") {
            return Relay::find_pull_request(self, repository, &branch, "develop").await;
        }
        let (state, merge_commit) = (PullRequestState::Open, None);
        Ok(Some(PullRequest { number, url: String::new(), branch, state, draft: false, merge_commit }))
    }

    async fn close_pull_request(&self, repository: &Repository, number: u64) -> PortResult<()> {
        match self.branch(number) {
            Some(branch) => self.inner.close(repository, &branch).await,
            None => Err(PortError::new("forge", "close a pull request", ErrorKind::Missing)),
        }
    }

    async fn ensure_comment(
        &self,
        repository: &Repository,
        number: u64,
        key: &str,
        markdown: &str,
    ) -> PortResult<String> {
        assert_eq!(repository.name, "acme/shop");
        let comments = &mut self.ledger.lock().unwrap().comments;
        comments.retain(|(_, known, _)| known != key);
        comments.push((number, key.to_owned(), markdown.to_owned()));
        Ok(format!("comment/{key}"))
    }

    async fn permission(&self, repository: &Repository, login: &str) -> PortResult<Permission> {
        assert_eq!(repository.name, "acme/shop");
        let mut ledger = self.ledger.lock().unwrap();
        ledger.looked_up.push(login.to_owned());
        Ok(if ledger.writers.contains(login) { Permission::Write } else { Permission::Read })
    }
}

forge_by_relay!(Hub);
