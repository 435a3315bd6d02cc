//! Our pull requests: looked for before anything is opened, opened once, closed only while open.

use std::sync::PoisonError;

use serde::Deserialize;
use serde_json::json;

use super::GitHubForge;
use super::access::number;
use super::failure::{Asked, Failure};
use super::objects::commit_id;
use super::wire::{Call, encoded};
use crate::model::{BRANCH_PREFIX, Repository, UnixMillis};
use crate::ports::{ErrorKind, PullRequest, PullRequestPlan, PullRequestState};

/// Pull requests of a page, and pages that are read.
const PAGE: usize = 100;
const PAGES: usize = 30;
/// How long it is believed that a branch which did not exist had no pull request, ms.
const BELIEVED: UnixMillis = 60 * 1000;

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Pull {
    pub number: u64,
    html_url: String,
    state: String,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    merged_at: Option<String>,
    #[serde(default)]
    merge_commit_sha: Option<String>,
    pub head: Side,
    pub base: Side,
    #[serde(default)]
    pub user: Option<Login>,
    #[serde(default)]
    pub labels: Vec<Label>,
    #[serde(default)]
    pub requested_reviewers: Vec<Login>,
    #[serde(default)]
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
        let name = self.access.name(repository);
        let owner = name.split('/').next().unwrap_or_default();
        let query = format!("/pulls?state=all&per_page={PAGE}&head={}:{}", encoded(owner), encoded(branch));
        let found: Vec<Pull> = self.access.done(repository, Call::get(query)).await?.json()?;
        let ours = found.into_iter().filter(|pull| pull.is_from(id) && pull.head.branch == branch);
        Ok(ours.max_by_key(|pull| (pull.is_open(), pull.number)))
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
            return found.map(|found| (found, false)).ok_or(failure);
        }
        Err(not_opened(failure, plan))
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
        let mut found = Vec::new();
        for page in 1..=PAGES {
            let query = format!("/pulls?state=open&per_page={PAGE}&page={page}");
            let pulls: Vec<Pull> = self.access.done(repository, Call::get(query)).await?.json()?;
            let last = pulls.len() < PAGE;
            let ours = pulls.into_iter().filter(|pull| pull.is_from(id) && pull.head.branch.starts_with(prefix));
            found.extend(ours.map(|pull| pull.described(id)).collect::<Asked<Vec<_>>>()?);
            if last {
                return Ok(found);
            }
        }
        Err(Failure::malformed(format!("more than {} pull requests are open; close some", PAGE * PAGES)))
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
