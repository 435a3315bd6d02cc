//! The forge on a GitHub that others emulate. It keeps objects of its own, with git's own ids, so that a real repository and
//! it can be brought to the same state before and after each call: then the same contract can be asked of it.
//!
//! Left out is what it does otherwise than GitHub, each with the reason; it knows no GraphQL, so that trees are read here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use codehealer::github::{Auth, GitHubForge, GitHubOptions};
use codehealer::local::clock::SystemClock;
use codehealer::model::{CommitId, Notice, RepoPath, Repository, RepositoryId};
use codehealer::ports::{BranchOutcome, BranchPlan, Changes, File, Forge, PortResult, PullRequest, PullRequestPlan};
use git2::Oid;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::Vault;
use super::world::Rest;
use crate::contract::forge::World;
use crate::contract::forge::hosted::Hosted;
use crate::support::faults::Call;
use crate::support::git::TestRepo;
use crate::support::github_api::app_key;
use crate::support::relay::{Relay, forge_by_relay};
use crate::support::servers;

/// A repository of its own on the shared server, mirrored from and to a real one.
pub struct Independent {
    git: TestRepo,
    forge: Mirrored,
    repository: Repository,
}

impl Independent {
    pub async fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let url = servers::emulated_github().await;
        let name = format!("shop-{}", NEXT.fetch_add(1, Ordering::SeqCst));
        let made = reqwest::Client::new()
            .post(format!("{url}/user/repos"))
            .bearer_auth("ghp_owner")
            .json(&json!({"name": name, "private": true}));
        let made: Value = made.send().await.unwrap().json().await.unwrap();
        let git = TestRepo::bare();
        let repository = Repository {
            id: RepositoryId(made["id"].to_string()),
            name: made["full_name"].as_str().unwrap().to_owned(),
            organisation: "acme".to_owned(),
            private: true,
        };
        let auth = Auth::App { id: 4242, private_key: Vault::of(app_key()).credential(), installation: None };
        let clock = Arc::new(SystemClock);
        let options =
            GitHubOptions { api_url: url.clone(), auth, checks: false, organisation: "acme".to_owned(), clock };
        let forge = Mirrored {
            inner: GitHubForge::new(options).unwrap(),
            git_dir: git.git_dir(),
            people: Rest::new(&url, &repository.name, "ghp_owner"),
            ids: Mutex::default(),
        };
        Self { git, forge, repository }
    }
}

/// Commits by their ids there and here: the emulator ends each message with a line end, so that ids may differ.
#[derive(Default)]
struct Ids {
    there: BTreeMap<String, String>,
    here: BTreeMap<String, String>,
    objects: BTreeSet<String>,
    heads: BTreeMap<String, String>,
}

/// The forge, with the two repositories brought to one state before and after each call.
struct Mirrored {
    inner: GitHubForge,
    git_dir: PathBuf,
    people: Rest,
    ids: Mutex<Ids>,
}

/// An object of ours, as it is sent.
struct Outgoing {
    blobs: Vec<(String, Vec<u8>)>,
    commits: Vec<OutgoingCommit>,
    heads: BTreeMap<String, String>,
}

struct OutgoingCommit {
    id: String,
    tree: String,
    entries: Vec<Value>,
    parents: Vec<String>,
    body: Value,
}

fn open(path: &Path) -> git2::Repository {
    git2::Repository::open(path).unwrap()
}

fn person(who: &git2::Signature<'_>) -> Value {
    let zone = chrono::FixedOffset::east_opt(who.when().offset_minutes() * 60).unwrap();
    let at = chrono::DateTime::from_timestamp(who.when().seconds(), 0).unwrap().with_timezone(&zone);
    json!({"name": who.name().unwrap(), "email": who.email().unwrap(), "date": at.to_rfc3339()})
}

/// What is here and was not sent yet.
fn outgoing(git_dir: &Path, ids: &Ids) -> Outgoing {
    let git = open(git_dir);
    let mut out = Outgoing { blobs: Vec::new(), commits: Vec::new(), heads: BTreeMap::new() };
    let mut walk = git.revwalk().unwrap();
    walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::REVERSE).unwrap();
    for found in git.references_glob("refs/heads/*").unwrap().map(Result::unwrap) {
        walk.push(found.target().unwrap()).unwrap();
        out.heads.insert(found.name().unwrap().to_owned(), found.target().unwrap().to_string());
    }
    let mut seen = ids.objects.clone();
    for id in walk.map(Result::unwrap).filter(|id| !ids.there.contains_key(&id.to_string())) {
        let commit = git.find_commit(id).unwrap();
        let mut entries = Vec::new();
        commit
            .tree()
            .unwrap()
            .walk(git2::TreeWalkMode::PreOrder, |folder, entry| {
                let kind = entry.kind().unwrap();
                if kind != git2::ObjectType::Tree {
                    let path = format!("{folder}{}", entry.name().unwrap());
                    let (mode, sha) = (format!("{:06o}", entry.filemode()), entry.id().to_string());
                    entries.push(json!({"path": path, "mode": mode, "type": kind.str(), "sha": sha}));
                    if kind == git2::ObjectType::Blob && seen.insert(sha.clone()) {
                        out.blobs.push((sha, git.find_blob(entry.id()).unwrap().content().to_vec()));
                    }
                }
                git2::TreeWalkResult::Ok
            })
            .unwrap();
        let body = json!({
            "message": commit.message().unwrap(), "author": person(&commit.author()), "committer": person(&commit.committer()),
        });
        let parents = commit.parent_ids().map(|id| id.to_string()).collect();
        out.commits.push(OutgoingCommit {
            id: id.to_string(),
            tree: commit.tree_id().to_string(),
            entries,
            parents,
            body,
        });
    }
    out
}

/// A commit that was made there, as objects here: its id here.
fn take_in(git_dir: &Path, name: &str, commit: &Value, parents: &[String], files: &[(String, i32, Vec<u8>)]) -> String {
    let git = open(git_dir);
    let parents: Vec<git2::Commit<'_>> =
        parents.iter().map(|id| git.find_commit(Oid::from_str(id).unwrap()).unwrap()).collect();
    let mut update = git2::build::TreeUpdateBuilder::new();
    for (path, mode, bytes) in files {
        let mode = if *mode == 0o100_755 { git2::FileMode::BlobExecutable } else { git2::FileMode::Blob };
        update.upsert(path.as_str(), git.blob(bytes).unwrap(), mode);
    }
    let tree = update.create_updated(&git, &parents[0].tree().unwrap()).unwrap();
    assert_eq!(tree.to_string(), commit["tree"]["sha"], "the trees are the same");
    let who = |role: &str| {
        let at = chrono::DateTime::parse_from_rfc3339(commit[role]["date"].as_str().unwrap()).unwrap();
        let text = |field: &str| commit[role][field].as_str().unwrap();
        git2::Signature::new(text("name"), text("email"), &git2::Time::new(at.timestamp(), 0)).unwrap()
    };
    let (tree, parents) = (git.find_tree(tree).unwrap(), parents.iter().collect::<Vec<_>>());
    let message = commit["message"].as_str().unwrap();
    let id = git.commit(None, &who("author"), &who("committer"), message, &tree, &parents).unwrap();
    git.reference(name, id, true, "mirrored").unwrap();
    id.to_string()
}

impl Mirrored {
    async fn push(&self) {
        let mut ids = self.ids.lock().await;
        let out = outgoing(&self.git_dir, &ids);
        for (id, bytes) in out.blobs {
            let body = json!({"content": BASE64_STANDARD.encode(bytes), "encoding": "base64"});
            assert_eq!(self.people.ask("POST", "/git/blobs", Some(body)).await["sha"], id);
            ids.objects.insert(id);
        }
        for commit in out.commits {
            let tree = self.people.ask("POST", "/git/trees", Some(json!({"tree": commit.entries}))).await;
            assert_eq!(tree["sha"], commit.tree);
            let parents: Vec<&String> = commit.parents.iter().map(|id| &ids.there[id]).collect();
            let mut body = commit.body;
            (body["tree"], body["parents"]) = (json!(commit.tree), json!(parents));
            let made = self.people.ask("POST", "/git/commits", Some(body)).await;
            let there = made["sha"].as_str().unwrap().to_owned();
            ids.here.insert(there.clone(), commit.id.clone());
            ids.there.insert(commit.id, there);
        }
        for (name, id) in &out.heads {
            let short = name.trim_start_matches("refs/");
            let sha = ids.there[id].clone();
            match ids.heads.get(name) {
                Some(before) if *before == sha => {}
                Some(_) => {
                    let body = json!({"sha": sha, "force": true});
                    self.people.ask("PATCH", &format!("/git/refs/{short}"), Some(body)).await;
                }
                None => {
                    self.people.ask("POST", "/git/refs", Some(json!({"ref": name, "sha": sha}))).await;
                }
            }
        }
        for name in ids.heads.keys().filter(|name| !out.heads.contains_key(*name)) {
            self.people.ask("DELETE", &format!("/git/{name}"), None).await;
        }
        ids.heads = out.heads.into_iter().map(|(name, id)| (name, ids.there[&id].clone())).collect();
    }

    async fn pull(&self) {
        let mut ids = self.ids.lock().await;
        let heads = self.people.ask("GET", "/git/matching-refs/heads/", None).await;
        for head in heads.as_array().unwrap() {
            let (name, sha) = (head["ref"].as_str().unwrap(), head["object"]["sha"].as_str().unwrap());
            if ids.heads.get(name).is_some_and(|known| known == sha) {
                continue;
            }
            if !ids.here.contains_key(sha) {
                let commit = self.people.ask("GET", &format!("/git/commits/{sha}"), None).await;
                let parents: Vec<String> = commit["parents"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|parent| ids.here[parent["sha"].as_str().unwrap()].clone())
                    .collect();
                let tree = commit["tree"]["sha"].as_str().unwrap();
                let tree = self.people.ask("GET", &format!("/git/trees/{tree}?recursive=1"), None).await;
                let mut files = Vec::new();
                for entry in tree["tree"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|entry| entry["mode"].as_str().unwrap().starts_with("100"))
                {
                    let blob = entry["sha"].as_str().unwrap();
                    let blob = self.people.ask("GET", &format!("/git/blobs/{blob}"), None).await;
                    let text: String = blob["content"].as_str().unwrap().split_whitespace().collect();
                    let mode = i32::from_str_radix(entry["mode"].as_str().unwrap(), 8).unwrap();
                    files.push((
                        entry["path"].as_str().unwrap().to_owned(),
                        mode,
                        BASE64_STANDARD.decode(text).unwrap(),
                    ));
                }
                let id = take_in(&self.git_dir, name, &commit, &parents, &files);
                ids.here.insert(sha.to_owned(), id.clone());
                ids.there.insert(id, sha.to_owned());
            } else {
                let id = Oid::from_str(&ids.here[sha]).unwrap();
                open(&self.git_dir).reference(name, id, true, "mirrored").unwrap();
            }
            ids.heads.insert(name.to_owned(), sha.to_owned());
        }
    }

    async fn there(&self, id: &CommitId) -> CommitId {
        let known = self.ids.lock().await.there.get(id.as_str()).cloned();
        known.map_or_else(|| id.clone(), |known| CommitId::new(known).unwrap())
    }

    async fn here(&self, id: CommitId) -> CommitId {
        let known = self.ids.lock().await.here.get(id.as_str()).cloned();
        known.map_or(id, |known| CommitId::new(known).unwrap())
    }

    async fn pull_here(&self, mut request: PullRequest) -> PullRequest {
        if let Some(merge) = request.merge_commit {
            request.merge_commit = Some(self.here(merge).await);
        }
        request
    }
}

#[async_trait]
impl Relay for Mirrored {
    fn behind(&self) -> &dyn Forge {
        &self.inner
    }

    async fn before(&self, call: &Call) -> PortResult<()> {
        // An archived repository, which takes nothing any more, can still be looked at.
        if call.verb != "repository" {
            self.push().await;
        }
        Ok(())
    }

    async fn head(&self, repository: &Repository, reference: &str) -> PortResult<Option<CommitId>> {
        match self.inner.head(repository, reference).await? {
            Some(id) => Ok(Some(self.here(id).await)),
            None => Ok(None),
        }
    }

    async fn changed_files(
        &self,
        repository: &Repository,
        base: Option<&CommitId>,
        head: &CommitId,
    ) -> PortResult<Changes> {
        let head = self.there(head).await;
        match base {
            Some(base) => self.inner.changed_files(repository, Some(&self.there(base).await), &head).await,
            None => self.inner.changed_files(repository, None, &head).await,
        }
    }

    async fn read(&self, repository: &Repository, commit: &CommitId, path: &RepoPath) -> PortResult<Option<File>> {
        self.inner.read(repository, &self.there(commit).await, path).await
    }

    async fn ensure_branch(&self, repository: &Repository, plan: &BranchPlan) -> PortResult<BranchOutcome> {
        let plan = BranchPlan { parent: self.there(&plan.parent).await, ..plan.clone() };
        let outcome = self.inner.ensure_branch(repository, &plan).await?;
        self.pull().await;
        Ok(match outcome {
            BranchOutcome::Created(id) => BranchOutcome::Created(self.here(id).await),
            BranchOutcome::Adopted(id) => BranchOutcome::Adopted(self.here(id).await),
            BranchOutcome::Foreign(id) => BranchOutcome::Foreign(self.here(id).await),
        })
    }

    async fn ensure_pull_request(
        &self,
        repository: &Repository,
        plan: &PullRequestPlan,
    ) -> PortResult<(PullRequest, bool)> {
        let (request, new) = self.inner.ensure_pull_request(repository, plan).await?;
        Ok((self.pull_here(request).await, new))
    }

    async fn find_pull_request(
        &self,
        repository: &Repository,
        branch: &str,
        base: &str,
    ) -> PortResult<Option<PullRequest>> {
        match self.inner.find_pull_request(repository, branch, base).await? {
            Some(request) => Ok(Some(self.pull_here(request).await)),
            None => Ok(None),
        }
    }

    async fn pull_request(&self, repository: &Repository, number: u64) -> PortResult<Option<PullRequest>> {
        match self.inner.pull_request(repository, number).await? {
            Some(request) => Ok(Some(self.pull_here(request).await)),
            None => Ok(None),
        }
    }

    async fn annotate(
        &self,
        repository: &Repository,
        commit: &CommitId,
        key: &str,
        notice: &Notice,
    ) -> PortResult<Option<String>> {
        self.inner.annotate(repository, &self.there(commit).await, key, notice).await
    }
}

forge_by_relay!(Mirrored);

#[async_trait(?Send)]
impl World for Independent {
    fn forge(&self) -> &dyn Forge {
        &self.forge
    }

    fn repository(&self) -> Repository {
        self.repository.clone()
    }

    fn git(&self) -> &TestRepo {
        &self.git
    }

    async fn close(&self, branch: &str) {
        self.forge.people.close(branch).await;
    }

    async fn merge(&self, branch: &str, _base: &str) -> CommitId {
        let number = self.forge.people.number(branch).await;
        self.forge.push().await;
        let merged = self.forge.people.ask("PUT", &format!("/pulls/{number}/merge"), Some(json!({}))).await;
        self.forge.pull().await;
        self.forge.here(CommitId::new(merged["sha"].as_str().unwrap()).unwrap()).await
    }
}

#[async_trait(?Send)]
impl Hosted for Independent {
    async fn person(&self, login: &str, level: &str) {
        if level != "none" {
            let body = json!({"permission": match level { "write" => "push", "read" => "pull", other => other }});
            self.forge.people.ask("PUT", &format!("/collaborators/{login}"), Some(body)).await;
        }
    }

    async fn propose(&self, branch: &str, base: &str) -> u64 {
        self.forge.push().await;
        self.forge.people.propose(branch, base).await
    }

    async fn say(&self, number: u64, text: &str) {
        self.forge.people.ask("POST", &format!("/issues/{number}/comments"), Some(json!({"body": text}))).await;
    }

    async fn comments(&self, number: u64) -> Vec<(String, String)> {
        self.forge.people.comments(&format!("/issues/{number}/comments")).await
    }

    async fn notes(&self, commit: &CommitId) -> Vec<String> {
        let commit = self.forge.there(commit).await;
        let said = self.forge.people.comments(&format!("/commits/{commit}/comments")).await;
        said.into_iter().map(|(_, text)| text).collect()
    }

    async fn labels(&self, number: u64) -> BTreeSet<String> {
        self.forge.people.names(number, "labels", "name").await
    }

    async fn reviewers(&self, number: u64) -> BTreeSet<String> {
        self.forge.people.names(number, "requested_reviewers", "login").await
    }

    async fn archive(&self) {
        self.forge.people.ask("PATCH", "", Some(json!({"archived": true}))).await;
    }

    async fn rename(&self, to: &str) {
        self.forge.people.ask("PATCH", "", Some(json!({"name": to}))).await;
    }
}

mod contract {
    use super::Independent;
    use crate::contract::forge::forge_contract;
    use crate::contract::forge::hosted::hosted_forge_contract;

    forge_contract! {
        Independent::new().await;
        heads_are_commits_or_nothing,
        // changes_are_those_since_the_merge_base: only files that were renamed unchanged are renamed there.
        without_a_base_every_file_is_new,
        links_and_submodules_are_named_but_never_files,
        commits_that_are_gone_are_missing,
        bytes_come_back_as_they_are,
        files_and_folders_may_change_places,
        // many_files_are_all_seen: mirroring as many would use up the hour's requests of the shared server.
        a_branch_is_made_once_and_then_adopted,
        a_persons_commit_on_our_branch_is_kept,
        a_branch_with_other_content_is_left_alone,
        plans_that_reach_too_far_are_refused,
        // a_pull_request_is_opened_once: a branch that does not exist is made there when it is proposed.
        a_draft_is_a_draft,
        a_closed_pull_request_stays_closed,
        a_merged_pull_request_names_its_commit,
    }

    hosted_forge_contract! {
        Independent::new().await;
        a_repository_is_found_by_its_name,
        an_archived_repository_is_denied,
        // a_renamed_repository_is_followed: an old name leads nowhere there.
        a_pull_request_is_found_by_its_number,
        open_pull_requests_are_those_with_the_prefix,
        we_close_our_own_and_what_ended_stays,
        a_merged_pull_request_is_not_closed,
        a_branch_that_people_were_done_with_is_not_made_again,
        // Comments: there an app speaks as the account that it is installed on, so that ours are not told from the owner's.
        // Decoration: whoever exists can be asked for a review there.
        // code_owners_go_before_configured_reviewers: it makes up the files of a pull request.
        // permissions_are_those_that_people_have: it says `push` and `pull` where GitHub says `write` and `read`.
    }
}
