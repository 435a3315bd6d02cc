//! The manifest of our GitHub App asks for what the backend's calls and our events need, and for nothing else.
//!
//! Calls are not listed by hand: the backend does everything that the port can ask of it, against the emulator, which records
//! what arrived. What a call needs comes from GitHub's own map.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use codehealer::github::{Auth, GitHubForge, GitHubOptions};
use codehealer::model::CommitId;
use codehealer::ports::{
    BranchPlan, Credential, Decoration, Forge, Notice, NoticeKind, Permission, PortResult, PullRequestPlan, Secrets,
};
use secrecy::SecretString;
use serde_json::Value;

use crate::support::clock::VirtualClock;
use crate::support::git::{START, TestRepo, oid, path};
use crate::support::github_api::{
    APP_ID, GitHubApi, MANIFEST, Permissions, app_key, grants, manifest_events, manifest_permissions, openapi,
    unsupported_events,
};

const BRANCH: &str = "codehealer/py-yaml-unsafe-load-0123456789ab-g1";

/// A call as its operation: method and path of GitHub's reference.
type Used = BTreeSet<(String, String)>;

struct Key;

#[async_trait]
impl Secrets for Key {
    async fn secret(&self, _: &str) -> PortResult<SecretString> {
        Ok(app_key().to_owned().into())
    }
}

fn notice(commit: &CommitId) -> Notice {
    Notice {
        key: "case-1".to_owned(),
        kind: NoticeKind::Escalation,
        headline: "A bug".to_owned(),
        body: format!("In {}.", commit.short()),
        repository: "acme/shop".to_owned(),
        link: None,
        for_senior: false,
        earlier: None,
        since: START,
    }
}

/// Everything that the port can be asked, once. Returns the operations that it took.
async fn everything(checks: bool) -> Used {
    let git = TestRepo::bare();
    let first = git.on("main").file("a.py", "a = 1\n").file(".github/CODEOWNERS", "* @bob\n").commit("begin");
    let head = git.on("main").file("a.py", "a = 2\n").file("b.py", b"b = '\xe9'\n").commit("more");
    let tagged = git.repo.find_object(oid(&head), None).unwrap();
    let who = git2::Signature::new("Ann", "ann@example.org", &git2::Time::new(1_700_000_000, 0)).unwrap();
    git.repo.tag("v1", &tagged, &who, "one", false).unwrap();
    let clock = VirtualClock::new();
    let api = GitHubApi::hosting(clock.clone(), "acme/shop", true, &git.git_dir()).await;
    api.with(|world| {
        world.collaborator("acme/shop", "bob", "write");
        if checks {
            world.installations[0].permissions.insert("checks".into(), "write".into());
        }
    });
    let private_key = Credential::new(Arc::new(Key), "key");
    let auth = Auth::App { id: APP_ID, private_key, installation: None };
    let organisation = "acme".to_owned();
    let forge = GitHubForge::new(GitHubOptions { api_url: api.url(), auth, checks, organisation, clock }).unwrap();
    work(&forge, &first, &head).await;
    api.log().into_iter().map(|call| (call.method, call.route)).collect()
}

async fn work(forge: &GitHubForge, first: &CommitId, head: &CommitId) {
    let shop = forge.repository("acme/shop").await.unwrap().unwrap();
    for reference in ["refs/heads/main", "refs/tags/v1"] {
        assert_eq!(forge.head(&shop, reference).await.unwrap().as_ref(), Some(head));
    }
    let changes = forge.changed_files(&shop, Some(first), head).await.unwrap();
    assert_eq!(changes.files.len(), 2);
    assert_eq!(forge.changed_files(&shop, None, head).await.unwrap().files.len(), 3);
    let file = forge.read(&shop, head, &path("b.py")).await.unwrap().unwrap();
    assert_eq!(forge.read_blob(&shop, &file.blob).await.unwrap(), file.bytes);
    let plan = BranchPlan {
        name: BRANCH.to_owned(),
        parent: head.clone(),
        files: vec![(path("a.py"), b"a = 3\n".to_vec())],
        message: "Fix a\n".to_owned(),
        at: START + 9_000_000,
    };
    forge.ensure_branch(&shop, &plan).await.unwrap();
    let (title, body) = ("Fix a".to_owned(), "Because.".to_owned());
    let asked = PullRequestPlan { branch: BRANCH.to_owned(), base: "main".to_owned(), title, body, draft: false };
    let (pull, opened) = forge.ensure_pull_request(&shop, &asked).await.unwrap();
    assert!(opened && forge.find_pull_request(&shop, BRANCH, "main").await.unwrap().is_some());
    assert_eq!(forge.open_pull_requests(&shop, "codehealer/").await.unwrap().len(), 1);
    assert!(forge.pull_request(&shop, pull.number).await.unwrap().is_some());
    let with = Decoration { labels: vec!["codehealer".to_owned()], reviewers: vec!["bob".to_owned()] };
    forge.decorate(&shop, pull.number, &with).await.unwrap();
    for text in ["One.", "Two."] {
        forge.ensure_comment(&shop, pull.number, "k", text).await.unwrap();
        forge.annotate(&shop, head, "k", &notice(head)).await.unwrap();
    }
    assert_eq!(forge.permission(&shop, "bob").await.unwrap(), Permission::Write);
    forge.close_pull_request(&shop, pull.number).await.unwrap();
    forge.check("acme/shop").await.unwrap();
}

/// What GitHub wants for an operation; any one of them does. The app itself needs nothing for what it asks about itself.
fn needed((method, route): &(String, String)) -> Vec<(String, String)> {
    match route.as_str() {
        // The one query that is sent reads files at commits.
        "/graphql" => vec![("contents".to_owned(), "read".to_owned())],
        _ => openapi::permissions(method, route),
    }
}

/// Operations and events that these permissions do not allow.
fn refused(permissions: &Permissions, used: &Used, events: &[String]) -> Vec<String> {
    let allowed = |one: &&(String, String)| {
        let needed = needed(one);
        needed.is_empty() || needed.iter().any(|(name, access)| grants(permissions, name, access))
    };
    let calls = used.iter().filter(|one| !allowed(one)).map(|(method, route)| format!("{method} {route}"));
    calls.chain(unsupported_events(permissions, events)).collect()
}

#[tokio::test]
async fn the_manifest_asks_for_what_is_used_and_for_nothing_else() {
    let (asked, events) = (manifest_permissions(), manifest_events());
    let used = everything(false).await;
    assert!(used.len() > 20, "the backend was at work: {used:?}");
    assert_eq!(refused(&asked, &used, &events), [""; 0], "every call and event is allowed");
    for (name, access) in &asked {
        let mut less = asked.clone();
        match access.as_str() {
            "read" => drop(less.remove(name)),
            _ => drop(less.insert(name.clone(), "read".to_owned())),
        }
        assert!(!refused(&less, &used, &events).is_empty(), "{name}: {access} is more than anything needs");
    }
    assert!(!asked.contains_key("workflows"), "workflow files are never changed");
}

#[tokio::test]
async fn check_runs_need_one_permission_more_where_they_are_configured() {
    let (mut asked, events) = (manifest_permissions(), manifest_events());
    let used = everything(true).await;
    let without = refused(&asked, &used, &events);
    assert!(!without.is_empty() && without.iter().all(|one| one.contains("/check-runs")), "{without:?}");
    asked.insert("checks".to_owned(), "write".to_owned());
    assert_eq!(refused(&asked, &used, &events), [""; 0]);
}

#[test]
fn the_manifest_is_one_that_github_takes() {
    let manifest: Value = serde_json::from_str(MANIFEST).unwrap();
    let known = [
        "name",
        "description",
        "url",
        "hook_attributes",
        "redirect_url",
        "callback_urls",
        "setup_url",
        "public",
        "default_events",
        "default_permissions",
        "request_oauth_on_install",
        "setup_on_update",
    ];
    let unknown: Vec<&String> =
        manifest.as_object().unwrap().keys().filter(|key| !known.contains(&key.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert_eq!(manifest["public"], false);
    for address in [&manifest["url"], &manifest["redirect_url"], &manifest["hook_attributes"]["url"]] {
        assert!(address.as_str().unwrap().starts_with("https://"), "{address}");
    }
    // GitHub refuses the whole manifest otherwise: "Default events are not supported by permissions".
    assert_eq!(unsupported_events(&manifest_permissions(), &manifest_events()), [""; 0]);
    let mut less = manifest_permissions();
    less.remove("issues");
    assert_eq!(unsupported_events(&less, &manifest_events()), ["issue_comment"], "comments are read through issues");
}
