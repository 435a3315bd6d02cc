//! The forge on our emulator of GitHub, and the people there.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use codehealer::github::{Auth, GitHubForge, GitHubOptions};
use codehealer::model::{CommitId, Repository, RepositoryId};
use codehealer::ports::{Clock, Forge};
use serde_json::{Value, json};

use super::Vault;
use crate::contract::forge::World;
use crate::contract::forge::hosted::Hosted;
use crate::support::clock::VirtualClock;
use crate::support::git::TestRepo;
use crate::support::github_api::{APP_ID, GitHubApi, app_key, permissions};

/// The owner's token, which people act with.
const OWNER: &str = "ghp_owner";

/// Our emulator with one private repository, and the forge as an app there.
pub struct OnGitHub {
    pub git: TestRepo,
    pub api: GitHubApi,
    pub clock: Arc<VirtualClock>,
    pub key: Arc<Vault>,
    pub forge: GitHubForge,
    people: Rest,
}

/// How the world is set up.
pub struct Setup {
    pub checks: bool,
    /// A person's token instead of the app.
    pub personal: bool,
}

impl OnGitHub {
    pub async fn new() -> Self {
        Self::with(Setup { checks: false, personal: false }).await
    }

    pub async fn with(setup: Setup) -> Self {
        let (git, clock) = (TestRepo::bare(), VirtualClock::new());
        let api = GitHubApi::hosting(Arc::clone(&clock) as Arc<dyn Clock>, "acme/shop", true, &git.git_dir()).await;
        api.with(|world| {
            world.personal_token(OWNER, "acme", "repo");
            world.personal_token("ghp_ours", "healer", "repo");
            world.repo("acme/shop").collaborators.insert("healer".to_owned(), "write".to_owned());
            if setup.checks {
                let all =
                    [("contents", "write"), ("metadata", "read"), ("pull_requests", "write"), ("checks", "write")];
                world.installations[0].permissions = permissions(&all);
            }
        });
        let key = Vault::of(if setup.personal { "ghp_ours" } else { app_key() });
        let forge = forge(&api.url(), &key, &clock, &setup);
        let people = Rest::new(&api.url(), "acme/shop", OWNER);
        Self { git, api, clock, key, forge, people }
    }

    /// The same forge again, which remembers nothing.
    pub fn another(&self) -> GitHubForge {
        self.at(&self.api.url())
    }

    /// What the owner is answered to a read, as it is.
    pub async fn answered(&self, path: &str) -> Value {
        self.people.ask("GET", path, None).await
    }

    /// A forge that reaches GitHub at another address.
    pub fn at(&self, url: &str) -> GitHubForge {
        forge(url, &self.key, &self.clock, &Setup { checks: false, personal: false })
    }
}

fn forge(url: &str, key: &Arc<Vault>, clock: &Arc<VirtualClock>, setup: &Setup) -> GitHubForge {
    let auth = match setup.personal {
        true => Auth::Token(key.credential()),
        false => Auth::App { id: APP_ID, private_key: key.credential(), installation: None },
    };
    let options = GitHubOptions {
        api_url: url.to_owned(),
        auth,
        checks: setup.checks,
        organisation: "acme".to_owned(),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
    };
    GitHubForge::new(options).unwrap()
}

/// What people do through the API.
pub struct Rest {
    client: reqwest::Client,
    base: String,
    token: &'static str,
}

impl Rest {
    pub fn new(url: &str, name: &str, token: &'static str) -> Self {
        Self { client: reqwest::Client::new(), base: format!("{url}/repos/{name}"), token }
    }

    pub async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(self.token);
        request = request.header("user-agent", "tests").header("x-github-api-version", "2022-11-28");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The number of a branch's pull request.
    pub async fn number(&self, branch: &str) -> u64 {
        let all = self.ask("GET", "/pulls?state=all", None).await;
        let found = all.as_array().unwrap().iter().find(|pull| pull["head"]["ref"] == branch);
        found.unwrap()["number"].as_u64().unwrap()
    }

    pub async fn close(&self, branch: &str) {
        let number = self.number(branch).await;
        self.ask("PATCH", &format!("/pulls/{number}"), Some(json!({"state": "closed"}))).await;
    }

    pub async fn propose(&self, branch: &str, base: &str) -> u64 {
        let body = json!({"title": "By a person", "head": branch, "base": base});
        self.ask("POST", "/pulls", Some(body)).await["number"].as_u64().unwrap()
    }

    pub async fn comments(&self, path: &str) -> Vec<(String, String)> {
        let all = self.ask("GET", path, None).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        all.as_array().unwrap().iter().map(|one| (text(&one["user"]["login"]), text(&one["body"]))).collect()
    }

    /// Names out of a list of a pull request.
    pub async fn names(&self, number: u64, list: &str, name: &str) -> BTreeSet<String> {
        let pull = self.ask("GET", &format!("/pulls/{number}"), None).await;
        pull[list].as_array().unwrap().iter().map(|one| one[name].as_str().unwrap().to_owned()).collect()
    }
}

#[async_trait(?Send)]
impl World for OnGitHub {
    fn forge(&self) -> &dyn Forge {
        &self.forge
    }

    fn repository(&self) -> Repository {
        let id = self.api.with(|world| world.repos[0].id);
        Repository { id: RepositoryId(id.to_string()), ..self.git.described() }
    }

    fn git(&self) -> &TestRepo {
        &self.git
    }

    async fn close(&self, branch: &str) {
        self.people.close(branch).await;
    }

    async fn merge(&self, branch: &str, base: &str) -> CommitId {
        let merge = self.git.merge(branch, base);
        // What was pushed is seen now, before something else is pushed.
        self.api.with(|_| ());
        merge
    }
}

#[async_trait(?Send)]
impl Hosted for OnGitHub {
    async fn person(&self, login: &str, level: &str) {
        self.api.with(|world| {
            world.user(login);
            if level != "none" {
                world.repo("acme/shop").collaborators.insert(login.to_owned(), level.to_owned());
            }
        });
    }

    async fn propose(&self, branch: &str, base: &str) -> u64 {
        self.people.propose(branch, base).await
    }

    async fn say(&self, number: u64, text: &str) {
        self.people.ask("POST", &format!("/issues/{number}/comments"), Some(json!({"body": text}))).await;
    }

    async fn comments(&self, number: u64) -> Vec<(String, String)> {
        self.people.comments(&format!("/issues/{number}/comments")).await
    }

    async fn notes(&self, commit: &CommitId) -> Vec<String> {
        let said = self.people.comments(&format!("/commits/{commit}/comments")).await;
        let runs = self.people.ask("GET", &format!("/commits/{commit}/check-runs?filter=all"), None).await;
        let text = |run: &Value| format!("{} {}", run["output"]["title"], run["output"]["summary"]);
        let runs = runs["check_runs"].as_array().unwrap().iter().map(text);
        said.into_iter().map(|(_, text)| text).chain(runs).collect()
    }

    async fn labels(&self, number: u64) -> BTreeSet<String> {
        self.people.names(number, "labels", "name").await
    }

    async fn reviewers(&self, number: u64) -> BTreeSet<String> {
        self.people.names(number, "requested_reviewers", "login").await
    }

    async fn archive(&self) {
        self.api.with(|world| world.repo("acme/shop").archived = true);
    }

    async fn rename(&self, to: &str) {
        self.api.with(|world| world.rename("acme/shop", to));
    }
}
