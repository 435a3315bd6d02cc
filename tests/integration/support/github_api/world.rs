//! What GitHub knows: repositories over git, people, the app, tokens, pull requests and what is said about them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use codehealer::ports::Clock;
use git2::Oid;
use serde_json::Value;

use super::auth::{App, Installation, Token, manifest_events, manifest_permissions};
use super::http::Answer;
use super::registration::Registration;
use super::webhooks::Delivery;

/// The app's number and its name in addresses.
pub const APP_ID: u64 = 4242;
pub const APP_SLUG: &str = "codehealer";
/// What the app writes as.
pub const BOT: &str = "codehealer[bot]";

/// A repository as GitHub hosts it.
pub struct Hosted {
    pub id: u64,
    pub owner: String,
    pub name: String,
    /// Names it had before, which still lead here.
    pub former: BTreeSet<String>,
    pub private: bool,
    pub archived: bool,
    pub default_branch: String,
    pub git: git2::Repository,
    /// Logins with `read`, `triage`, `write`, `maintain` or `admin`.
    pub collaborators: BTreeMap<String, String>,
    /// Branches that nobody may create, move or delete through the API. A `*` at the end stands for anything.
    pub protected: BTreeSet<String>,
    pub pulls: BTreeMap<u64, Pull>,
    /// Comments of pull requests.
    pub comments: Vec<Comment>,
    pub commit_comments: Vec<Comment>,
    /// Check runs, each as it is answered.
    pub checks: Vec<Value>,
    pub labels: BTreeMap<String, u64>,
    /// Most entries of a tree that are listed at once; what is cut off is called truncated.
    pub tree_limit: usize,
    pub(super) next_number: u64,
    /// Where branches and tags were when they were last looked at.
    pub(super) seen: BTreeMap<String, Oid>,
}

/// A pull request.
#[derive(Debug, Clone)]
pub struct Pull {
    pub id: u64,
    pub number: u64,
    pub title: String,
    pub body: Option<String>,
    pub draft: bool,
    pub open: bool,
    pub head: String,
    /// Tip of the branch, for as long as the pull request was open.
    pub head_sha: Oid,
    pub base: String,
    pub base_sha: Oid,
    pub author: String,
    pub labels: BTreeSet<String>,
    pub reviewers: BTreeSet<String>,
    pub teams: BTreeSet<String>,
    /// Milliseconds since the epoch, as all times here.
    pub created: u64,
    pub updated: u64,
    pub closed: Option<u64>,
    pub merged: Option<Merged>,
}

#[derive(Debug, Clone)]
pub struct Merged {
    pub at: u64,
    pub by: String,
    pub commit: Oid,
}

/// Something that was said.
#[derive(Debug, Clone)]
pub struct Comment {
    pub id: u64,
    /// Number of the pull request; 0 for one of a commit.
    pub number: u64,
    /// The commit, of one that is about a commit.
    pub commit: String,
    pub author: String,
    pub body: String,
    pub created: u64,
    pub updated: u64,
}

pub struct World {
    pub clock: Arc<dyn Clock>,
    /// How far GitHub's clock is ahead of ours, milliseconds.
    pub skew: i64,
    /// Where the server listens.
    pub base: String,
    pub users: BTreeMap<String, u64>,
    /// Owners that are people; others are organisations.
    pub people: BTreeSet<String>,
    pub app: App,
    pub installations: Vec<Installation>,
    pub tokens: BTreeMap<String, Token>,
    pub repos: Vec<Hosted>,
    /// Who it is that pushes with git.
    pub pusher: String,
    /// What was sent to whoever listens, in order.
    pub(super) deliveries: Vec<Delivery>,
    /// Deliveries that broke GitHub's schemas.
    pub(super) unlawful: Vec<String>,
    pub registration: Registration,
    /// Requests that are left of this hour's.
    pub remaining: u64,
    /// Whether a token that is made tells the repositories it is for: GitHub's description leaves that open.
    pub names_repositories: bool,
    next_id: u64,
}

impl World {
    pub fn new(clock: Arc<dyn Clock>, base: String) -> Self {
        let app = App {
            id: APP_ID,
            slug: APP_SLUG.to_owned(),
            owner: "acme".to_owned(),
            permissions: manifest_permissions(),
            events: manifest_events(),
        };
        Self {
            clock,
            skew: 0,
            base,
            users: BTreeMap::new(),
            people: BTreeSet::new(),
            app,
            installations: Vec::new(),
            tokens: BTreeMap::new(),
            repos: Vec::new(),
            pusher: "ada".to_owned(),
            deliveries: Vec::new(),
            unlawful: Vec::new(),
            registration: Registration::default(),
            remaining: 5000,
            names_repositories: true,
            next_id: 1000,
        }
    }

    /// Hosts the git repository at this path, with the app installed on it. Returns its number.
    pub fn host(&mut self, owner: &str, name: &str, private: bool, git_dir: &Path) -> u64 {
        let id = self.fresh_id();
        self.user(owner);
        self.repos.push(Hosted {
            id,
            owner: owner.to_owned(),
            name: name.to_owned(),
            former: BTreeSet::new(),
            private,
            archived: false,
            default_branch: "main".to_owned(),
            git: git2::Repository::open(git_dir).unwrap(),
            collaborators: BTreeMap::new(),
            protected: BTreeSet::new(),
            pulls: BTreeMap::new(),
            comments: Vec::new(),
            commit_comments: Vec::new(),
            checks: Vec::new(),
            labels: BTreeMap::new(),
            tree_limit: 100_000,
            next_number: 1,
            seen: BTreeMap::new(),
        });
        let repo = self.repos.last_mut().unwrap();
        repo.seen = repo.references();
        let account = owner.to_owned();
        match self.installations.iter_mut().find(|one| one.account == account) {
            Some(found) => drop(found.repositories.insert(id)),
            None => {
                let permissions = self.app.permissions.clone();
                let installation = Installation {
                    id: self.fresh_id(),
                    account,
                    repositories: BTreeSet::from([id]),
                    permissions,
                    suspended: false,
                };
                self.installations.push(installation);
            }
        }
        id
    }

    pub fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The number of a user, who begins to exist when first named.
    pub fn user(&mut self, login: &str) -> u64 {
        if let Some(id) = self.users.get(login) {
            return *id;
        }
        let id = self.fresh_id();
        self.users.insert(login.to_owned(), id);
        id
    }

    /// A classic personal token of somebody, with the scopes named (parted by blanks).
    pub fn personal_token(&mut self, token: &str, login: &str, scopes: &str) {
        self.user(login);
        self.people.insert(login.to_owned());
        let made = Token {
            login: login.to_owned(),
            installation: None,
            repositories: BTreeSet::new(),
            permissions: BTreeMap::new(),
            scopes: scopes.split_whitespace().map(str::to_owned).collect(),
            expires: None,
            revoked: false,
        };
        self.tokens.insert(token.to_owned(), made);
    }

    /// Milliseconds since the epoch by this world's clock.
    pub fn now(&self) -> u64 {
        u64::try_from(i64::try_from(self.clock.now()).unwrap() + self.skew).unwrap()
    }

    /// Sees what was pushed meanwhile, by whom, and tells of it.
    pub(super) fn settle(&mut self, by: &str) {
        let now = self.now();
        self.user(by);
        for at in 0..self.repos.len() {
            for moved in self.repos[at].moved() {
                let push = self.push_json(at, &moved, by);
                self.emit("push", push);
            }
            for (number, action, was) in self.repos[at].settle(now, by) {
                self.emit_pull((at, number), action, by, was);
            }
        }
    }

    /// The repository of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn repo(&mut self, name: &str) -> &mut Hosted {
        let at = self.find(name).unwrap_or_else(|| panic!("{name} is not hosted"));
        &mut self.repos[at]
    }

    /// Lets somebody into a repository, as `read`, `triage`, `write`, `maintain` or `admin`. A team is `@` and its name.
    pub fn collaborator(&mut self, repo: &str, login: &str, level: &str) {
        self.user(login);
        self.repo(repo).collaborators.insert(login.to_owned(), level.to_owned());
    }

    /// Closes branches to the API: one, or with a `*` at the end all that begin so.
    pub fn protect(&mut self, repo: &str, pattern: &str) {
        self.repo(repo).protected.insert(pattern.to_owned());
    }

    /// Gives a repository another name; the old one leads to it from now on.
    pub fn rename(&mut self, name: &str, to: &str) {
        let repo = self.repo(name);
        repo.former.insert(name.to_lowercase());
        repo.name = to.to_owned();
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        self.repos.iter().position(|repo| repo.full_name().eq_ignore_ascii_case(name))
    }

    /// A repository that had this name before.
    pub fn find_former(&self, name: &str) -> Option<usize> {
        self.repos.iter().position(|repo| repo.former.contains(&name.to_lowercase()))
    }
}

impl Hosted {
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// What somebody may do, in GitHub's words.
    pub fn level(&self, login: &str) -> &str {
        if login == self.owner {
            return "admin";
        }
        self.collaborators.get(login).map_or(if self.private { "none" } else { "read" }, String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.git.references().unwrap().next().is_none()
    }

    pub fn tip(&self, branch: &str) -> Option<Oid> {
        let found = self.git.find_reference(&format!("refs/heads/{branch}")).ok()?;
        Some(found.peel_to_commit().ok()?.id())
    }

    pub fn is_protected(&self, branch: &str) -> bool {
        self.protected.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => branch.starts_with(beginning),
            None => branch == pattern,
        })
    }

    /// The commit that a name stands for: a branch, a tag, a full or shortened id.
    pub fn commit(&self, name: &str) -> Option<git2::Commit<'_>> {
        let named = |place: &str| self.git.find_reference(&format!("refs/{place}{name}")).ok();
        let found = ["heads/", "tags/", ""].into_iter().find_map(named).and_then(|found| found.peel_to_commit().ok());
        found.or_else(|| {
            let is_id = name.len() >= 7 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            self.git.revparse_single(name).ok().filter(|_| is_id)?.peel_to_commit().ok()
        })
    }

    pub fn pull(&self, number: u64) -> Result<&Pull, Answer> {
        self.pulls.get(&number).ok_or_else(Answer::not_found)
    }

    /// Brings open pull requests up to date with what was pushed: a branch that is gone closes its own, and what is already in
    /// the base is merged. Returns what happened to which, and where the branch was before it moved.
    fn settle(&mut self, now: u64, by: &str) -> Vec<(u64, &'static str, Option<Oid>)> {
        let tips: BTreeMap<u64, (Option<Oid>, Option<Oid>)> =
            self.pulls.values().map(|pull| (pull.number, (self.tip(&pull.head), self.tip(&pull.base)))).collect();
        let mut happened = Vec::new();
        for pull in self.pulls.values_mut().filter(|pull| pull.open) {
            let (head, base) = tips[&pull.number];
            let Some(head) = head else {
                (pull.open, pull.closed, pull.updated) = (false, Some(now), now);
                happened.push((pull.number, "closed", None));
                continue;
            };
            if pull.head_sha != head {
                happened.push((pull.number, "synchronize", Some(pull.head_sha)));
                (pull.head_sha, pull.updated) = (head, now);
            }
            let Some(base) = base else { continue };
            let has = |tip: Oid| tip == head || self.git.graph_descendant_of(tip, head).unwrap_or(false);
            if has(base) && !has(pull.base_sha) {
                (pull.open, pull.closed, pull.updated) = (false, Some(now), now);
                pull.merged = Some(Merged { at: now, by: by.to_owned(), commit: base });
                happened.push((pull.number, "closed", None));
            } else {
                pull.base_sha = base;
            }
        }
        happened
    }
}
