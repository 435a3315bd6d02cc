//! The emulator that the tests trust: it refuses what GitHub refuses, and holds everybody to GitHub's description.

use std::sync::Arc;
use std::time::Duration;

use codehealer::ports::Clock as _;
use octocrab::jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::clock::VirtualClock;
use crate::support::git::{SYMLINK, TestRepo};
use crate::support::github_api::{APP_ID, Fault, GitHubApi, app_key, permissions};

const REPO: &str = "/repos/acme/shop";
const REFS: &str = "POST /repos/{owner}/{repo}/git/refs";
const ANN: &str = "ghp_ann";

/// A GitHub with one repository, and a client.
struct Scene {
    git: TestRepo,
    clock: Arc<VirtualClock>,
    api: GitHubApi,
    client: reqwest::Client,
}

/// What came back.
struct Got {
    status: u16,
    body: Value,
    headers: reqwest::header::HeaderMap,
}

impl Got {
    fn message(&self) -> (u16, &str) {
        (self.status, self.body["message"].as_str().unwrap_or_default())
    }

    /// Status and the message of the first error of a validation.
    fn error(&self) -> (u16, &str) {
        assert_eq!(self.body["message"], "Validation Failed", "{}", self.body);
        let error = &self.body["errors"][0];
        (self.status, error["message"].as_str().unwrap_or_else(|| error["field"].as_str().unwrap()))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Scene {
    async fn new() -> Self {
        let git = TestRepo::bare();
        git.on("main").file("a.py", "a = 1\n").file("src/b.py", "b = 1\n").commit("begin");
        let clock = VirtualClock::new();
        let api = GitHubApi::hosting(clock.clone(), "acme/shop", true, &git.git_dir()).await;
        api.with(|world| {
            world.personal_token(ANN, "ann", "repo");
            world.collaborator("acme/shop", "ann", "write");
        });
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).user_agent("test");
        Self { git, clock, api, client: client.build().unwrap() }
    }

    async fn ask(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> Got {
        let request = self.client.request(method, format!("{}{path}", self.api.url()));
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = body.into_iter().fold(request, |request, body| request.json(&body));
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default();
        Got { status, body, headers }
    }

    async fn get(&self, path: &str) -> Got {
        self.ask(ANN, Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Got {
        self.ask(ANN, Method::POST, path, Some(body)).await
    }

    async fn patch(&self, path: &str, body: Value) -> Got {
        self.ask(ANN, Method::PATCH, path, Some(body)).await
    }

    /// What the app says about itself, issued and ending so many seconds from now.
    fn signed(&self, issued: i64, expires: i64) -> String {
        let now = i64::try_from(self.clock.seconds()).unwrap();
        let claims = json!({"iss": APP_ID.to_string(), "iat": now + issued, "exp": now + expires});
        let key = EncodingKey::from_rsa_pem(app_key().as_bytes()).unwrap();
        encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
    }

    /// A token of the installation, asked for with this body.
    async fn minted(&self, body: Value) -> Got {
        let app = self.signed(-60, 540);
        let id = self.ask(&app, Method::GET, &format!("{REPO}/installation"), None).await.body["id"].to_string();
        let path = format!("/app/installations/{id}/access_tokens");
        self.ask(&app, Method::POST, &path, Some(body)).await
    }

    async fn token(&self, list: &[(&str, &str)]) -> String {
        let got = self.minted(json!({"permissions": permissions(list)})).await;
        got.body["token"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn an_app_proves_itself_by_a_signature_of_the_right_time() {
    let scene = Scene::new().await;
    let app = async |token: String| scene.ask(&token, Method::GET, "/app", None).await;
    assert_eq!(app(scene.signed(-60, 540)).await.body["slug"], "codehealer");
    for (issued, expires, claim) in [(300, 600, "'Issued at'"), (-900, -300, "'Expiration time'"), (0, 900, "too far")]
    {
        let got = app(scene.signed(issued, expires)).await;
        assert!(got.status == 401 && got.message().1.contains(claim), "{:?}", got.message());
    }
    // GitHub's clock decides, not ours.
    scene.api.with(|world| world.skew = -300_000);
    assert_eq!(app(scene.signed(0, 300)).await.status, 401);
    scene.api.with(|world| world.skew = 0);
    let mut forged = scene.signed(-60, 540);
    forged.replace_range(forged.len() - 8..forged.len() - 4, "AAAA");
    assert_eq!(app(forged).await.message(), (401, "A JSON web token could not be decoded"));
    let shared = EncodingKey::from_secret(b"secret");
    let symmetric = encode(&Header::default(), &json!({"iss": "4242"}), &shared).unwrap();
    assert_eq!(app(symmetric).await.message(), (401, "A JSON web token could not be decoded"));
    assert_eq!(app(ANN.to_owned()).await.status, 401, "people are no apps");
    let own = scene.ask(&scene.signed(-60, 540), Method::GET, REPO, None).await;
    assert_eq!(own.message(), (401, "Bad credentials"), "an app reads through its installations");
}

#[tokio::test]
async fn tokens_of_installations_can_what_they_were_made_for_and_for_an_hour() {
    let scene = Scene::new().await;
    let whole = scene.minted(json!({"repositories": ["shop"]})).await;
    assert_eq!((whole.status, &whole.body["repositories"][0]["full_name"]), (201, &json!("acme/shop")));
    assert_eq!(whole.body["permissions"]["contents"], "write");
    for (body, message) in [
        (json!({"repositories": ["other"]}), "There is at least one repository that does not exist"),
        (json!({"repository_ids": [77]}), "There is at least one repository that does not exist"),
        (json!({"permissions": {"workflows": "write"}}), "The permissions requested are not granted"),
        (json!({"permissions": {"contents": "write", "checks": "read"}}), "The permissions requested are not granted"),
    ] {
        let got = scene.minted(body).await;
        assert!(got.status == 422 && got.message().1.starts_with(message), "{:?}", got.message());
    }
    let reader = scene.token(&[("contents", "read")]).await;
    let main = format!("{REPO}/git/ref/heads/main");
    let sha = scene.ask(&reader, Method::GET, &main, None).await.body["object"]["sha"].clone();
    assert_eq!(sha, scene.git.tip("main").unwrap().as_str());
    let body = json!({"ref": "refs/heads/x", "sha": sha});
    let refused = scene.ask(&reader, Method::POST, &format!("{REPO}/git/refs"), Some(body.clone())).await;
    assert_eq!(refused.message(), (403, "Resource not accessible by integration"));
    assert_eq!(refused.header("x-accepted-github-permissions"), "contents=write");
    let pulls = scene.ask(&reader, Method::GET, &format!("{REPO}/pulls"), None).await;
    assert_eq!(pulls.header("x-accepted-github-permissions"), "pull_requests=read");
    let listed = scene.ask(&reader, Method::GET, "/installation/repositories", None).await;
    assert_eq!(listed.body["total_count"], 1);
    scene.clock.advance(Duration::from_secs(3599));
    assert_eq!(scene.ask(&reader, Method::GET, &main, None).await.status, 200);
    scene.clock.advance(Duration::from_secs(1));
    assert_eq!(scene.ask(&reader, Method::GET, &main, None).await.message(), (401, "Bad credentials"));
    let writer = scene.token(&[("contents", "write")]).await;
    assert_eq!(scene.ask(&writer, Method::POST, &format!("{REPO}/git/refs"), Some(body)).await.status, 201);
    scene.api.with(|world| world.tokens.get_mut(&writer).unwrap().revoked = true);
    assert_eq!(scene.ask(&writer, Method::GET, &main, None).await.status, 401);
}

#[tokio::test]
async fn people_see_and_do_what_they_may() {
    let scene = Scene::new().await;
    scene.api.with(|world| {
        for (token, login, scopes) in [("ghp_eve", "eve", "repo"), ("ghp_ro", "rob", "repo"), ("ghp_pub", "ann", "")] {
            world.personal_token(token, login, scopes);
        }
        world.collaborator("acme/shop", "rob", "read");
    });
    let sha = scene.git.tip("main").unwrap().as_str().to_owned();
    let body = json!({"ref": "refs/heads/x", "sha": sha});
    for (token, reads, writes) in [(ANN, 200, 201), ("ghp_ro", 200, 404), ("ghp_eve", 404, 404), ("ghp_pub", 404, 404)]
    {
        assert_eq!(scene.ask(token, Method::GET, REPO, None).await.status, reads, "{token}");
        let wrote = scene.ask(token, Method::POST, &format!("{REPO}/git/refs"), Some(body.clone())).await;
        assert_eq!(wrote.status, writes, "{token}");
    }
    assert_eq!(scene.get("/user").await.body["login"], "ann");
    let level = |login: &str| format!("{REPO}/collaborators/{login}/permission");
    assert_eq!(scene.get(&level("ann")).await.body["permission"], "write");
    assert_eq!(scene.get(&level("eve")).await.body["permission"], "none");
    assert_eq!(scene.get(&level("nobody")).await.status, 404);
    let anonymous = scene.client.get(format!("{}{REPO}", scene.api.url())).send().await.unwrap();
    assert_eq!(anonymous.status(), StatusCode::NOT_FOUND);
    let unnamed = reqwest::Client::new().get(format!("{}{REPO}", scene.api.url())).send().await.unwrap();
    assert_eq!(unnamed.status(), StatusCode::FORBIDDEN, "a user agent is asked for");
}

#[tokio::test]
async fn commits_are_made_of_blobs_and_trees_and_are_git_s_own() {
    let scene = Scene::new().await;
    let parent = scene.git.tip("main").unwrap();
    let blob = scene.post(&format!("{REPO}/git/blobs"), json!({"content": "YSA9IDIK", "encoding": "base64"})).await;
    let entries = json!([
        {"path": "a.py", "mode": "100755", "type": "blob", "sha": blob.body["sha"]},
        {"path": "new/c.py", "mode": "100644", "type": "blob", "content": "c = 1\n"},
        {"path": "src/b.py", "mode": "100644", "type": "blob", "sha": null},
    ]);
    let asked = json!({"base_tree": parent.as_str(), "tree": entries});
    let tree = scene.post(&format!("{REPO}/git/trees"), asked).await.body["sha"].clone();
    let who = json!({"name": "Bot", "email": "bot@example.org", "date": "2025-05-05T02:00:00+02:00"});
    let body = json!({"message": "fix\n", "tree": tree, "parents": [parent.as_str()], "author": who});
    let first = scene.post(&format!("{REPO}/git/commits"), body.clone()).await;
    assert_eq!(first.body["committer"]["date"], "2025-05-05T00:00:00Z");
    let again = scene.post(&format!("{REPO}/git/commits"), body).await;
    assert_eq!(first.body["sha"], again.body["sha"], "the same commit whenever it is made");
    let reference = json!({"ref": "refs/heads/fix/a", "sha": first.body["sha"]});
    assert_eq!(scene.post(&format!("{REPO}/git/refs"), reference).await.status, 201);
    let tip = scene.git.tip("fix/a").unwrap();
    assert_eq!(scene.git.file_at(&tip, "a.py"), b"a = 2\n");
    assert_eq!((scene.git.mode_at(&tip, "a.py"), scene.git.mode_at(&tip, "new/c.py")), (0o100_755, 0o100_644));
    let names = |got: &Got| {
        let entries = got.body["tree"].as_array().unwrap().iter();
        entries.map(|entry| entry["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let whole = scene.get(&format!("{REPO}/git/trees/{}?recursive=1", tip.as_str())).await;
    assert_eq!(names(&whole), ["a.py", "new", "new/c.py"]);
    scene.api.with(|world| world.repo("acme/shop").tree_limit = 2);
    let cut = scene.get(&format!("{REPO}/git/trees/{}?recursive=1", tip.as_str())).await;
    assert_eq!((names(&cut).len(), &cut.body["truncated"]), (2, &json!(true)));
    let read = scene.get(&format!("{REPO}/git/blobs/{}", blob.body["sha"].as_str().unwrap())).await;
    assert_eq!(read.body["content"], "YSA9IDIK\n");
    let matching = scene.get(&format!("{REPO}/git/matching-refs/heads/fix")).await;
    assert_eq!(matching.body[0]["ref"], "refs/heads/fix/a");
}

#[tokio::test]
async fn references_and_objects_that_git_would_not_have_are_refused() {
    let scene = Scene::new().await;
    let sha = scene.git.tip("main").unwrap().as_str().to_owned();
    scene.api.with(|world| world.protect("acme/shop", "locked/*"));
    let refs = format!("{REPO}/git/refs");
    for (name, at, message) in [
        ("refs/heads/main", sha.as_str(), "Reference already exists"),
        ("refs/heads/main/x", sha.as_str(), "Reference update failed"),
        ("refs/heads/new", &"1".repeat(40), "Object does not exist"),
        ("heads/new", &sha, "Reference name must start with"),
        ("refs/heads/a..b", &sha, "refs/heads/a..b is not a valid ref name."),
        ("refs/heads/locked/x", &sha, "Repository rule violations found"),
    ] {
        let got = scene.post(&refs, json!({"ref": name, "sha": at})).await;
        assert!(got.status == 422 && got.message().1.starts_with(message), "{name}: {:?}", got.message());
    }
    assert_eq!(scene.get(&format!("{REPO}/git/ref/heads/none")).await.message(), (404, "Not Found"));
    let tree = |entry: Value| json!({"tree": [entry]});
    for (entry, message) in [
        (json!({"path": "x", "mode": "100644", "type": "blob", "sha": "1".repeat(40)}), "tree.sha 1111"),
        (json!({"path": "/x", "mode": "100644", "type": "blob", "content": ""}), "tree.path cannot start"),
        (json!({"path": "x/../y", "mode": "100644", "type": "blob", "content": ""}), "tree.path contains a malformed"),
    ] {
        let got = scene.post(&format!("{REPO}/git/trees"), tree(entry)).await;
        assert!(got.status == 422 && got.message().1.starts_with(message), "{:?}", got.message());
    }
    let commits = format!("{REPO}/git/commits");
    let got = scene.post(&commits, json!({"message": "m", "tree": "1".repeat(40)})).await;
    assert_eq!(got.message(), (422, "Tree SHA does not exist"));
    let side = scene.git.on("main").file("a.py", "a = 9\n").commit("one more");
    let moved = scene.patch(&format!("{refs}/heads/main"), json!({"sha": sha})).await;
    assert_eq!(moved.message(), (422, "Update is not a fast forward"));
    assert_eq!(scene.git.tip("main"), Some(side));
    let empty = TestRepo::bare();
    scene.api.with(|world| world.host("ann", "empty", false, &empty.git_dir()));
    let got = scene.get("/repos/ann/empty/git/ref/heads/main").await;
    assert_eq!(got.message(), (409, "Git Repository is empty."));
}

#[tokio::test]
async fn comparisons_begin_where_branches_parted() {
    let scene = Scene::new().await;
    let git = &scene.git;
    let base = git.on("main").file("old.py", "x = 1\n".repeat(30)).commit("long");
    git.point("topic", &base);
    let long = "x = 1\n".repeat(30) + "y = 2\n";
    git.on("topic").remove("old.py").file("new.py", long).remove("a.py").file("src/b.py", "b = 2\n").commit("one");
    git.on("topic").entry(b"link", SYMLINK, "a.py").commit("two");
    git.on("main").file("later.py", "l = 1\n").commit("main goes on");
    let got = scene.get(&format!("{REPO}/compare/main...topic")).await;
    assert_eq!(got.body["merge_base_commit"]["sha"], base.as_str());
    assert_eq!(
        (&got.body["status"], &got.body["ahead_by"], &got.body["behind_by"]),
        (&json!("diverged"), &json!(2), &json!(1))
    );
    let files: Vec<(&str, &str)> = got.body["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["filename"].as_str().unwrap(), file["status"].as_str().unwrap()))
        .collect();
    assert_eq!(files, [("a.py", "removed"), ("link", "added"), ("new.py", "renamed"), ("src/b.py", "modified")]);
    assert_eq!(got.body["files"][2]["previous_filename"], "old.py");
    let second = scene.get(&format!("{REPO}/compare/main...topic?per_page=1&page=2")).await;
    assert_eq!(second.body["commits"][0]["commit"]["message"], "two");
    assert!(second.body.get("files").is_none(), "files are on the first page only");
    assert!(second.header("link").contains("page=1>; rel=\"prev\""), "{}", second.header("link"));
    let many = (0..310).fold(git.on("many").parents(&[&base]), |change, n| change.file(&format!("f{n}"), "x"));
    many.commit("many");
    let got = scene.get(&format!("{REPO}/compare/main...many")).await;
    assert_eq!(got.body["files"].as_array().unwrap().len(), 300);
    git.on("orphan").file("z", "z").commit("root");
    assert_eq!(scene.get(&format!("{REPO}/compare/main...orphan")).await.message().0, 404);
    assert_eq!(scene.get(&format!("{REPO}/compare/{}...main", "1".repeat(40))).await.message(), (404, "Not Found"));
    let file = scene.get(&format!("{REPO}/contents/src/b.py?ref=topic")).await;
    assert_eq!((&file.body["content"], &file.body["type"]), (&json!("YiA9IDIK\n"), &json!("file")));
    let dangling = scene.get(&format!("{REPO}/contents/link?ref=topic")).await;
    assert_eq!((&dangling.body["type"], &dangling.body["target"]), (&json!("symlink"), &json!("a.py")));
    assert_eq!(scene.get(&format!("{REPO}/contents/none.py?ref=topic")).await.status, 404);
    assert_eq!(scene.get(&format!("{REPO}/contents/src?ref=topic")).await.body[0]["path"], "src/b.py");
}

#[tokio::test]
async fn pull_requests_are_opened_once_and_know_whether_they_merge() {
    let scene = Scene::new().await;
    let (git, pulls) = (&scene.git, format!("{REPO}/pulls"));
    git.point("fix", &git.tip("main").unwrap());
    let plan = |head: &str, base: &str| json!({"title": "Fix", "head": head, "base": base, "body": "b", "draft": true});
    assert_eq!(scene.post(&pulls, plan("fix", "main")).await.error(), (422, "No commits between main and fix"));
    git.on("fix").file("a.py", "a = 2\n").commit("fix");
    assert_eq!(scene.post(&pulls, plan("fix", "none")).await.error(), (422, "base"));
    assert_eq!(scene.post(&pulls, plan("none", "main")).await.error(), (422, "head"));
    git.on("orphan").file("z", "z").commit("root");
    let unrelated = scene.post(&pulls, plan("orphan", "main")).await;
    assert_eq!(unrelated.error(), (422, "The orphan branch has no history in common with main"));
    let made = scene.post(&pulls, plan("fix", "main")).await;
    assert_eq!((made.status, &made.body["number"], &made.body["draft"]), (201, &json!(1), &json!(true)));
    let twice = scene.post(&pulls, plan("acme:fix", "main")).await;
    assert_eq!(twice.error(), (422, "A pull request already exists for acme:fix."));
    let first = format!("{pulls}/1");
    let got = scene.get(&first).await.body;
    assert_eq!((&got["mergeable"], &got["merged"], &got["changed_files"]), (&json!(true), &json!(false), &json!(1)));
    assert!(got["merge_commit_sha"].is_string(), "of a merge that was tried");
    git.on("main").file("a.py", "a = 3\n").commit("people");
    let got = scene.get(&first).await.body;
    assert_eq!((&got["mergeable"], &got["mergeable_state"]), (&json!(false), &json!("dirty")));
    let closed = scene.patch(&first, json!({"state": "closed"})).await;
    assert_eq!((&closed.body["state"], &closed.body["merged"]), (&json!("closed"), &json!(false)));
    assert_eq!(scene.get(&pulls).await.body, json!([]));
    let found = scene.get(&format!("{pulls}?state=all&head=acme:fix&base=main")).await;
    assert_eq!(found.body.as_array().unwrap().len(), 1);
    assert_eq!(scene.get(&format!("{pulls}?state=all&head=acme:other")).await.body, json!([]));
    assert_eq!(scene.patch(&first, json!({"state": "open"})).await.body["state"], "open");
    git.merge("fix", "main");
    let got = scene.get(&first).await.body;
    assert_eq!((&got["merged"], &got["state"]), (&json!(true), &json!("closed")));
    assert_eq!(got["merge_commit_sha"], git.tip("main").unwrap().as_str());
    let reopened = scene.patch(&first, json!({"state": "open"})).await;
    assert_eq!(reopened.status, 422);
}

#[tokio::test]
async fn lists_come_in_pages_that_link_to_each_other() {
    let scene = Scene::new().await;
    for number in 1..=5 {
        let branch = format!("b{number}");
        scene.git.point(&branch, &scene.git.tip("main").unwrap());
        scene.git.on(&branch).file("a.py", format!("a = {number}\n")).commit("x");
        let plan = json!({"title": "t", "head": branch, "base": "main"});
        assert_eq!(scene.post(&format!("{REPO}/pulls"), plan).await.status, 201);
    }
    let mut next = Some(format!("{REPO}/pulls?per_page=2&state=open"));
    let mut seen = Vec::new();
    while let Some(path) = next {
        let got = scene.get(&path).await;
        seen.extend(got.body.as_array().unwrap().iter().map(|pull| pull["number"].as_u64().unwrap()));
        let link = got.header("link").split(", ").find(|link| link.ends_with("rel=\"next\""));
        next = link.map(|link| link[1..link.find('>').unwrap()].replace(&scene.api.url(), ""));
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn people_talk_about_pull_requests_and_commits() {
    let scene = Scene::new().await;
    let sha = scene.git.tip("main").unwrap().as_str().to_owned();
    scene.git.point("fix", &scene.git.tip("main").unwrap());
    scene.git.on("fix").file("a.py", "a = 2\n").commit("fix");
    scene.post(&format!("{REPO}/pulls"), json!({"title": "t", "head": "fix", "base": "main"})).await;
    let comments = format!("{REPO}/issues/1/comments");
    let made = scene.post(&comments, json!({"body": "hello"})).await;
    let edited = scene.patch(&format!("{REPO}/issues/comments/{}", made.body["id"]), json!({"body": "bye"})).await;
    assert_eq!(edited.body["body"], "bye");
    assert_eq!(scene.get(&comments).await.body.as_array().unwrap().len(), 1);
    assert_eq!(scene.post(&comments, json!({"body": "x".repeat(65_537)})).await.status, 422);
    assert_eq!(scene.post(&format!("{REPO}/issues/9/comments"), json!({"body": "x"})).await.status, 404);
    let labels = scene.post(&format!("{REPO}/issues/1/labels"), json!({"labels": ["bug", "codehealer"]})).await;
    assert_eq!((labels.status, labels.body.as_array().unwrap().len()), (200, 2));
    let reviewers = format!("{REPO}/pulls/1/requested_reviewers");
    let refused = scene.post(&reviewers, json!({"reviewers": ["eve"]})).await;
    assert!(refused.status == 422 && refused.message().1.starts_with("Reviews may only be requested"));
    assert_eq!(scene.post(&reviewers, json!({"reviewers": ["ann"]})).await.status, 422, "the author");
    scene.api.with(|world| world.collaborator("acme/shop", "bob", "read"));
    let asked = scene.post(&reviewers, json!({"reviewers": ["bob"]})).await;
    assert_eq!(asked.body["requested_reviewers"][0]["login"], "bob", "{}", asked.body);
    let said = scene.post(&format!("{REPO}/commits/{sha}/comments"), json!({"body": "here"})).await;
    let edited = scene.patch(&format!("{REPO}/comments/{}", said.body["id"]), json!({"body": "there"})).await;
    assert_eq!(edited.body["body"], "there");
    assert_eq!(scene.get(&format!("{REPO}/commits/{sha}/comments")).await.body[0]["body"], "there");
    let run = json!({
        "name": "CodeHealer", "head_sha": sha, "external_id": "k", "conclusion": "neutral",
        "output": {"title": "t", "summary": "s"},
    });
    let check = scene.post(&format!("{REPO}/check-runs"), run).await;
    assert_eq!((check.status, &check.body["status"]), (201, &json!("completed")));
    let path = format!("{REPO}/check-runs/{}", check.body["id"]);
    let output = json!({"output": {"title": "t", "summary": "other"}});
    assert_eq!(scene.patch(&path, output).await.body["output"]["summary"], "other");
    let listed = scene.get(&format!("{REPO}/commits/{sha}/check-runs?check_name=CodeHealer")).await;
    assert_eq!(listed.body["check_runs"][0]["external_id"], "k");
}

#[tokio::test]
async fn a_renamed_repository_is_found_by_its_number_and_an_archived_one_is_closed_to_writes() {
    let scene = Scene::new().await;
    scene.api.with(|world| world.rename("acme/shop", "store"));
    let got = scene.get(&format!("{REPO}/git/ref/heads/main?")).await;
    assert_eq!(got.message(), (301, "Moved Permanently"));
    let there = got.header("location").replace(&scene.api.url(), "");
    assert_eq!(scene.get(&there).await.body["ref"], "refs/heads/main");
    let by_number = there.split("/git/").next().unwrap();
    assert_eq!(scene.get(by_number).await.body["full_name"], "acme/store");
    scene.api.with(|world| world.archive("acme/store"));
    let body = json!({"ref": "refs/heads/x", "sha": scene.git.tip("main").unwrap().as_str()});
    let refused = scene.post("/repos/acme/store/git/refs", body).await;
    assert_eq!(refused.message(), (403, "Repository was archived so is read-only."));
    assert_eq!(scene.get("/repos/acme/store").await.body["archived"], true);
}

#[tokio::test]
async fn graphql_reads_many_files_of_two_commits_at_once() {
    let scene = Scene::new().await;
    let git = &scene.git;
    let first = git.tip("main").unwrap();
    let next = git.on("main").executable("run.sh", "#!/bin/sh\n").entry(b"link", SYMLINK, "a.py");
    let next = next.file("bin", b"\0\xff").file("latin.py", b"# \xe9\n").commit("more");
    let query = r#"query($owner: String!, $name: String!, $head: GitObjectID!) {
        repository(owner: $owner, name: $name) {
            h: object(oid: $head) { ... on Commit {
                f0: file(path: "run.sh") { mode type object { ... on Blob { oid byteSize isBinary isTruncated text } } }
                f1: file(path: "link") { mode type object { ... on Blob { text } } }
                f2: file(path: "none") { mode }
                f3: file(path: "bin") { object { ... on Blob { isBinary text byteSize } } }
                f4: file(path: "src") { mode type object { ... on Blob { text } } }
            } }
            b: object(oid: "BASE") { ... on Commit { f0: file(path: "run.sh") { mode } f1: file(path: "a.py") { mode } } }
            gone: object(oid: "1111111111111111111111111111111111111111") { ... on Commit { oid } }
        }
    }"#;
    let query = query.replace("BASE", first.as_str());
    let variables = json!({"owner": "acme", "name": "shop", "head": next.as_str()});
    let got = scene.post("/graphql", json!({"query": query, "variables": variables})).await.body;
    let repository = &got["data"]["repository"];
    let run = &repository["h"]["f0"];
    assert_eq!(
        (&run["mode"], &run["type"], &run["object"]["text"]),
        (&json!(33261), &json!("blob"), &json!("#!/bin/sh\n"))
    );
    assert_eq!((&run["object"]["byteSize"], &run["object"]["isTruncated"]), (&json!(10), &json!(false)));
    assert_eq!((&repository["h"]["f1"]["mode"], &repository["h"]["f1"]["type"]), (&json!(40960), &json!("blob")));
    assert_eq!((&repository["h"]["f2"], &repository["gone"]), (&Value::Null, &Value::Null));
    assert_eq!(repository["h"]["f3"]["object"], json!({"isBinary": true, "text": null, "byteSize": 2}));
    assert_eq!((&repository["h"]["f4"]["type"], &repository["h"]["f4"]["object"]), (&json!("tree"), &json!({})));
    assert_eq!((&repository["b"]["f0"], &repository["b"]["f1"]["mode"]), (&Value::Null, &json!(33188)));
    let errors = async |query: &str| scene.post("/graphql", json!({"query": query})).await.body;
    let missing = errors(r#"{ repository(owner: "acme", name: "none") { nameWithOwner } }"#).await;
    assert_eq!((&missing["data"]["repository"], &missing["errors"][0]["type"]), (&Value::Null, &json!("NOT_FOUND")));
    let unknown = errors(r#"{ repository(owner: "acme", name: "shop") { stars } }"#).await;
    assert!(unknown.get("data").is_none() && unknown["errors"][0]["message"].as_str().unwrap().contains("stars"));
    let broken = errors("{ repository(owner: ").await;
    assert_eq!(broken["errors"][0]["locations"][0]["line"], 1);
    let blind = scene.token(&[("metadata", "read")]).await;
    let body = json!({"query": r#"{ repository(owner: "acme", name: "shop") { nameWithOwner } }"#});
    let refused = scene.ask(&blind, Method::POST, "/graphql", Some(body)).await;
    assert_eq!(refused.body["errors"][0]["type"], "FORBIDDEN");
}

#[tokio::test]
async fn what_github_does_not_describe_is_a_violation() {
    let scene = Scene::new().await;
    for (path, word) in [
        ("/repos/acme/shop/pulls?state=opened", "state"),
        ("/repos/acme/shop/pulls?stat=open", "stat"),
        ("/repos/acme/shop/pulls/one", "pull_number"),
        ("/repos/acme/shop/nonsense", "not emulated"),
    ] {
        assert!(matches!(scene.get(path).await.status, 404 | 500), "{path}");
        let violations = scene.api.violations();
        assert!(violations.len() == 1 && violations[0].contains(word), "{path}: {violations:?}");
    }
    for (path, body, word) in [
        ("/repos/acme/shop/git/refs", json!({"ref": "refs/heads/x"}), "sha"),
        ("/repos/acme/shop/pulls", json!({"title": 1, "head": "a", "base": "b"}), "/title"),
        ("/repos/acme/shop/issues/1/comments", json!({}), "body"),
        ("/repos/acme/shop/git/trees", json!({"tree": [{"path": "x", "mode": "100600", "content": ""}]}), "mode"),
    ] {
        assert_eq!(scene.post(path, body).await.status, 500, "{path}");
        let violations = scene.api.violations();
        assert!(!violations.is_empty() && violations[0].contains(word), "{path}: {violations:?}");
    }
    // An answer is held to it too.
    scene.api.with(|world| {
        world.repo("acme/shop").checks.push(json!({"head_sha": scene.git.tip("main").unwrap().as_str()}))
    });
    let got = scene.get(&format!("{REPO}/commits/main/check-runs")).await;
    assert_eq!(got.status, 500);
    let violations = scene.api.violations();
    assert!(violations[0].contains("answer 200"), "{violations:?}");
}

#[tokio::test]
#[should_panic(expected = "there is no parameter stat")]
async fn a_violation_fails_the_test_that_owns_the_server() {
    let scene = Scene::new().await;
    scene.get("/repos/acme/shop/pulls?stat=open").await;
}

#[tokio::test]
async fn faults_come_when_they_are_planned_and_early_calls_are_noticed() {
    let scene = Scene::new().await;
    let body = json!({"ref": "refs/heads/x", "sha": scene.git.tip("main").unwrap().as_str()});
    let lost = |path: &str| scene.client.post(format!("{}{path}", scene.api.url())).bearer_auth(ANN);
    scene.api.fails(REFS, Fault::LostAnswer);
    let answer = lost(&format!("{REPO}/git/refs")).json(&body).send().await;
    let heard = match answer {
        Ok(answer) => answer.bytes().await.is_ok(),
        Err(_) => false,
    };
    assert!(!heard && scene.git.tip("x").is_some(), "done, and nobody heard");
    assert_eq!(scene.api.writes_of(REFS), 1);
    scene.api.fails_at("*", 2, Fault::Status(502));
    assert_eq!((scene.get(REPO).await.status, scene.get(REPO).await.status), (200, 502));
    for (fault, status, seconds) in [
        (Fault::PrimaryLimit(90), 403, 90),
        (Fault::SecondaryLimit(Some(30)), 403, 30),
        (Fault::SecondaryLimit(None), 403, 60),
        (Fault::TooManyRequests(Some(5)), 429, 5),
    ] {
        scene.api.fails("*", fault);
        let got = scene.get(REPO).await;
        assert_eq!(got.status, status);
        assert!(
            got.header("retry-after").parse::<u64>().is_ok_and(|s| s == seconds)
                || got.header("retry-after").is_empty()
        );
        scene.clock.advance(Duration::from_secs(seconds - 1));
        let before = scene.api.early().len();
        scene.get(REPO).await;
        assert_eq!(scene.api.early().len(), before + 1, "a second too soon");
        scene.clock.advance(Duration::from_secs(1));
        assert_eq!(scene.get(REPO).await.status, 200);
        assert_eq!(scene.api.early().len(), before + 1, "in time");
    }
    scene.api.fails("*", Fault::PrimaryLimit(90));
    let got = scene.get(REPO).await;
    assert_eq!(got.header("x-ratelimit-remaining"), "0");
    assert_eq!(got.header("x-ratelimit-reset"), (scene.clock.now() / 1000 + 90).to_string());
    scene.api.fails(REFS, Fault::DoneAnd(502));
    let again = json!({"ref": "refs/heads/y", "sha": body["sha"]});
    assert_eq!(scene.post(&format!("{REPO}/git/refs"), again).await.status, 502);
    assert!(scene.git.tip("y").is_some() && scene.api.writes_of(REFS) == 2, "done all the same");
    scene.api.fails("*", Fault::Garbage("{\"tru"));
    assert_eq!(scene.get(REPO).await.body, Value::Null);
    assert!(scene.api.log().iter().all(|call| call.credential.as_deref() == Some(ANN)));
    assert!(scene.api.writes().iter().all(|call| call.route.ends_with("/git/refs")));
}

#[tokio::test]
async fn answers_can_hang_at_every_point() {
    let scene = Scene::new().await;
    let patient = |seconds| scene.client.get(format!("{}{REPO}", scene.api.url())).bearer_auth(ANN).timeout(seconds);
    scene.api.fails("*", Fault::Silence);
    let silence = patient(Duration::from_millis(300)).send().await;
    assert!(silence.unwrap_err().is_timeout());
    scene.api.fails("*", Fault::SlowBody);
    let begun = patient(Duration::from_secs(2)).send().await.unwrap();
    assert_eq!(begun.status(), StatusCode::OK);
    assert!(begun.bytes().await.unwrap_err().is_timeout());
    scene.api.takes(Duration::from_secs(600));
    assert!(patient(Duration::from_millis(300)).send().await.unwrap_err().is_timeout());
}
