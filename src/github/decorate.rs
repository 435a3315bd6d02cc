//! Labels and reviewers of a pull request: code owners where CODEOWNERS names some, else those that are configured.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use super::GitHubForge;
use super::codeowners::{CodeOwners, PLACES};
use super::failure::{Asked, Failure};
use super::objects::commit_id;
use super::pulls::Pull;
use super::wire::Call;
use crate::model::{RepoPath, Repository};
use crate::ports::{Decoration, ErrorKind};

/// Most that GitHub takes for one pull request.
const REVIEWERS: usize = 15;
/// Files of a pull request that are looked at: ours are small.
const FILES: usize = 100;

#[derive(Deserialize)]
struct Named {
    filename: String,
}

impl GitHubForge {
    pub(super) async fn dress(&self, repository: &Repository, number: u64, with: &Decoration) -> Asked<()> {
        let missing = || Failure::missing(format!("there is no pull request {number}"));
        let pull = self.pull(repository, number).await?.ok_or_else(missing)?;
        if pull.has_ended() {
            return Ok(());
        }
        let is_there = |label: &String| pull.labels.iter().any(|there| there.name.eq_ignore_ascii_case(label));
        if !with.labels.is_empty() && with.labels.iter().all(is_there) {
            return Ok(()); // they come last: all was done before
        }
        let owners = self.owners(repository, &pull).await?;
        let wanted = if owners.is_empty() { with.reviewers.clone() } else { owners };
        self.ask_for_reviews(repository, number, &not_asked_yet(&pull, wanted)).await?;
        if with.labels.is_empty() {
            return Ok(());
        }
        let call = Call::post(format!("/issues/{number}/labels"), json!({ "labels": with.labels }));
        self.access.done(repository, call).await.map(|_| ())
    }

    /// Who owns the changed files by the CODEOWNERS of the branch that is to be merged into.
    async fn owners(&self, repository: &Repository, pull: &Pull) -> Asked<Vec<String>> {
        let base = commit_id(pull.base.sha.clone())?;
        for place in PLACES {
            let Ok(path) = RepoPath::new(place) else { continue };
            let Some(file) = self.file(repository, &base, &path).await? else { continue };
            let call = Call::get(format!("/pulls/{}/files?per_page={FILES}", pull.number));
            let files: Vec<Named> = self.access.done(repository, call).await?.json()?;
            let owners = CodeOwners::parse(&String::from_utf8_lossy(&file.bytes));
            return Ok(owners.of(files.iter().map(|file| file.filename.as_str())));
        }
        Ok(Vec::new())
    }

    /// All at once; when one of them cannot be asked, one by one, and that one is passed over.
    async fn ask_for_reviews(&self, repository: &Repository, number: u64, wanted: &[String]) -> Asked<()> {
        if wanted.is_empty() || self.request_review(repository, number, wanted).await? {
            return Ok(());
        }
        if wanted.len() > 1 {
            for one in wanted {
                self.request_review(repository, number, std::slice::from_ref(one)).await?;
            }
        }
        Ok(())
    }

    /// Whether GitHub took it.
    async fn request_review(&self, repository: &Repository, number: u64, wanted: &[String]) -> Asked<bool> {
        let people: Vec<&str> = wanted.iter().filter(|one| !one.contains('/')).map(String::as_str).collect();
        let teams: Vec<&str> = wanted.iter().filter_map(|one| one.split_once('/')).map(|(_, team)| team).collect();
        let body = json!({ "reviewers": people, "team_reviewers": teams });
        let call = Call::post(format!("/pulls/{number}/requested_reviewers"), body);
        match self.access.done(repository, call).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.status == Some(422) && failure.kind != ErrorKind::Denied => {
                tracing::info!(reviewers = wanted.len(), "GitHub does not let somebody be asked for a review");
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }
}

/// Asking somebody again would draw their attention twice; the author cannot be asked.
fn not_asked_yet(pull: &Pull, wanted: Vec<String>) -> Vec<String> {
    let lower = |text: &str| text.to_lowercase();
    let people = pull.requested_reviewers.iter().chain(&pull.user).map(|one| lower(&one.login));
    let people: BTreeSet<String> = people.collect();
    let teams: BTreeSet<String> = pull.requested_teams.iter().map(|team| lower(&team.slug)).collect();
    let is_new = |one: &String| match one.split_once('/') {
        Some((_, team)) => !teams.contains(&lower(team)),
        None => !people.contains(&lower(one)),
    };
    wanted.into_iter().filter(is_new).take(REVIEWERS).collect()
}
