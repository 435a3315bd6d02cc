//! Our pull requests: looked for before anything is opened, opened once, closed only while open.

use std::sync::PoisonError;

use serde::Deserialize;
use serde_json::json;

use super::GitHubForge;
use super::access::number;
use super::failure::{Asked, Failure, nullable};
use super::objects::commit_id;
use super::wire::{Call, encoded};
use crate::model::{BRANCH_PREFIX, Repository, UnixMillis};
use crate::ports::{ErrorKind, PullRequest, PullRequestPlan, PullRequestState};

/// Pull requests of a page, and pages that are read.
const PAGE: usize = 100;
const PAGES: usize = 30;
/// How often a repository is followed to another owner while a list of its pull requests is read.
const MOVES: usize = 3;
/// How long it is believed that a branch which did not exist had no pull request, ms.
const BELIEVED: UnixMillis = 60 * 1000;

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Pull {
    pub number: u64,
    html_url: String,
    state: String,
    #[serde(default, deserialize_with = "nullable")]
    draft: bool,
    #[serde(default)]
    merged_at: Option<String>,
    #[serde(default)]
    merge_commit_sha: Option<String>,
    pub head: Side,
    pub base: Side,
    #[serde(default)]
    pub user: Option<Login>,
    #[serde(default, deserialize_with = "nullable")]
    pub labels: Vec<Label>,
    #[serde(default, deserialize_with = "nullable")]
    pub requested_reviewers: Vec<Login>,
    #[serde(default, deserialize_with = "nullable")]
    pub requested_teams: Vec<Team>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Side {
    #[serde(rename = "ref")]
    pub branch: String,
    pub sha: String,
    /// Gone when a fork was deleted.
    #[serde(default)]
    repo: Option<SideRepository>,
}

#[derive(Debug, Clone, Deserialize)]
struct SideRepository {
    id: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Login {
    pub login: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Label {
    pub name: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Team {
    pub slug: String,
}

impl Pull {
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }

    pub fn has_ended(&self) -> bool {
        !self.is_open()
    }

    /// Whether it asks to merge a branch of the repository itself: anybody may name the branch of a fork like ours.
    fn is_from(&self, repository: u64) -> bool {
        self.head.repo.as_ref().is_some_and(|head| head.id == repository)
    }

    fn described(self, repository: u64) -> Asked<PullRequest> {
        // No branch can have such a name, so that a fork's is never taken for one of ours.
        let branch = if self.is_from(repository) { self.head.branch } else { format!("fork:{}", self.head.branch) };
        let state = match (self.state.as_str(), &self.merged_at) {
            ("open", _) => PullRequestState::Open,
            (_, Some(_)) => PullRequestState::Merged,
            (_, None) => PullRequestState::Closed,
        };
        // While it is open this names a commit that GitHub only tried.
        let merge = self.merge_commit_sha.filter(|_| state == PullRequestState::Merged);
        let merge_commit = merge.map(commit_id).transpose()?;
        Ok(PullRequest { number: self.number, url: self.html_url, branch, state, draft: self.draft, merge_commit })
    }
}

impl GitHubForge {
    /// The pull request of a branch of ours; an open one goes before ended ones, a later one before earlier ones.
    pub(super) async fn pull_of(&self, repository: &Repository, branch: &str) -> Asked<Option<Pull>> {
        let id = number(repository)?;
        for _ in 0..MOVES {
            let name = self.access.name(repository);
            let owner = name.split('/').next().unwrap_or_default();
            let query = format!("state=all&head={}:{}", encoded(owner), encoded(branch));
            let found = self.pulls(repository, &query).await?;
            // Branches are asked for by their owner, and this repository went to another one: that of before has none of them.
            if !self.access.name(repository).eq_ignore_ascii_case(&name) {
                continue;
            }
            let ours = found.into_iter().filter(|pull| pull.is_from(id) && pull.head.branch == branch);
            return Ok(ours.max_by_key(|pull| (pull.is_open(), pull.number)));
        }
        Err(Failure::new(ErrorKind::Unavailable, "the repository moves from owner to owner; try later"))
    }

    /// All pull requests of a query.
    async fn pulls(&self, repository: &Repository, query: &str) -> Asked<Vec<Pull>> {
        let mut found = Vec::new();
        for page in 1..=PAGES {
            let call = Call::get(format!("/pulls?{query}&per_page={PAGE}&page={page}"));
            let answer = self.access.done(repository, call).await?;
            let pulls: Vec<Pull> = answer.json()?;
            let last = answer.ends_list(pulls.len(), PAGE);
            found.extend(pulls);
            if last {
                return Ok(found);
            }
        }
        Err(Failure::malformed(format!("more than {} pull requests are open; close some", PAGE * PAGES)))
    }

    pub(super) async fn find_pull(&self, repository: &Repository, branch: &str) -> Asked<Option<PullRequest>> {
        let id = number(repository)?;
        self.pull_of(repository, branch).await?.map(|pull| pull.described(id)).transpose()
    }

    pub(super) async fn open_pull(
        &self,
        repository: &Repository,
        plan: &PullRequestPlan,
    ) -> Asked<(PullRequest, bool)> {
        if !self.had_no_pull(repository, &plan.branch)
            && let Some(found) = self.find_pull(repository, &plan.branch).await?
        {
            return Ok((found, false));
        }
        let body = json!({
            "title": plan.title, "head": plan.branch, "base": plan.base, "body": plan.body, "draft": plan.draft,
        });
        let failure = match self.access.done(repository, Call::post("/pulls", body)).await {
            Ok(answer) => return Ok((answer.json::<Pull>()?.described(number(repository)?)?, true)),
            Err(failure) => failure,
        };
        if failure.is_ambiguous() {
            // There was none before; what is there now is what was sent.
            let found = self.find_pull(repository, &plan.branch).await?;
            return found.map(|found| (found, true)).ok_or(failure);
        }
        if failure.status == Some(422) && failure.says(&["already exists"]) {
            let found = self.find_pull(repository, &plan.branch).await?;
            // It is there, and the list does not have it yet.
            let later =
                || failure.meaning(ErrorKind::Unavailable, "GitHub does not list what it says is there; try later");
            return found.map(|found| (found, false)).ok_or_else(later);
        }
        let failure = not_opened(failure.unwritable(), plan);
        // A branch that was made a moment ago may not be known everywhere yet.
        if failure.kind == ErrorKind::Missing && self.are_there(repository, plan).await? {
            let reason = "GitHub does not know yet of a branch that is there; try later";
            return Err(failure.meaning(ErrorKind::Unavailable, reason));
        }
        Err(failure)
    }

    /// Whether both branches of a plan exist.
    async fn are_there(&self, repository: &Repository, plan: &PullRequestPlan) -> Asked<bool> {
        for branch in [&plan.branch, &plan.base] {
            if self.tip(repository, &format!("refs/heads/{branch}")).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Remembers that a branch which was just made had no pull request, so that it is not asked twice in a row.
    pub(super) fn note_no_pull(&self, repository: &Repository, branch: &str) {
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.access.clock.now();
        fresh.retain(|_, at| now.saturating_sub(*at) <= BELIEVED);
        fresh.insert((repository.id.clone(), branch.to_owned()), now);
    }

    /// Whether that was a moment ago; told once.
    fn had_no_pull(&self, repository: &Repository, branch: &str) -> bool {
        let key = (repository.id.clone(), branch.to_owned());
        let at = self.fresh.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        at.is_some_and(|at| self.access.clock.now().saturating_sub(at) <= BELIEVED)
    }

    pub(super) async fn open_pulls(&self, repository: &Repository, prefix: &str) -> Asked<Vec<PullRequest>> {
        let id = number(repository)?;
        let pulls = self.pulls(repository, "state=open").await?;
        let ours = pulls.into_iter().filter(|pull| pull.is_from(id) && pull.head.branch.starts_with(prefix));
        ours.map(|pull| pull.described(id)).collect()
    }

    pub(super) async fn pull(&self, repository: &Repository, number: u64) -> Asked<Option<Pull>> {
        let answer = self.access.there(repository, Call::get(format!("/pulls/{number}"))).await?;
        answer.map(|answer| answer.json()).transpose()
    }

    pub(super) async fn pull_by_number(&self, repository: &Repository, pull: u64) -> Asked<Option<PullRequest>> {
        let id = number(repository)?;
        self.pull(repository, pull).await?.map(|pull| pull.described(id)).transpose()
    }

    pub(super) async fn close_pull(&self, repository: &Repository, pull: u64) -> Asked<()> {
        let missing = || Failure::missing(format!("there is no pull request {pull}"));
        let found = self.pull(repository, pull).await?.ok_or_else(missing)?;
        if !found.is_from(number(repository)?) || !found.head.branch.starts_with(BRANCH_PREFIX) {
            return Err(Failure::denied(format!("pull request {pull} is not ours; close it by hand")));
        }
        if found.has_ended() {
            return Ok(());
        }
        let call = Call::patch(format!("/pulls/{pull}"), json!({ "state": "closed" }));
        match self.access.done(repository, call).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_ambiguous() => match self.pull(repository, pull).await? {
                Some(found) if found.has_ended() => Ok(()),
                _ => Err(failure),
            },
            Err(failure) => Err(failure),
        }
    }
}

/// Why a pull request was not opened, in words of ours.
fn not_opened(failure: Failure, plan: &PullRequestPlan) -> Failure {
    if !matches!(failure.status, Some(400 | 422)) {
        return failure;
    }
    if failure.says(&["no commits between"]) {
        let reason = format!("{} has everything that {} proposes", plan.base, plan.branch);
        return failure.meaning(ErrorKind::Conflict, reason);
    }
    if failure.says(&["draft pull requests are not supported"]) {
        let reason = "the repository's plan has no draft pull requests; make it public or use a plan that has them";
        return failure.meaning(ErrorKind::Denied, reason);
    }
    if failure.says(&["no history in common"]) {
        let reason = format!("{} and {} have no history in common", plan.base, plan.branch);
        return failure.meaning(ErrorKind::Conflict, reason);
    }
    let unknown = ["\"field\":\"head\"", "\"field\":\"base\"", "sha can't be blank", "must be a branch"];
    if failure.says(&unknown) {
        let reason = format!("{} or {} does not exist", plan.branch, plan.base);
        return failure.meaning(ErrorKind::Missing, reason);
    }
    failure
}
