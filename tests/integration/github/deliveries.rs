//! What the emulator delivers is what GitHub delivers: its examples, about what happened, by its schemas.

use std::sync::Arc;

use codehealer::webhook::{WebhookSecrets, verify};
use serde_json::{Value, json};

use crate::support::clock::VirtualClock;
use crate::support::git::TestRepo;
use crate::support::github_api::{Delivery, GitHubApi, check_payload};

const SHOP: &str = "acme/shop";

async fn scene() -> (TestRepo, GitHubApi) {
    let git = TestRepo::bare();
    git.on("main").file("a.py", "a = 1\n").file("b.py", "b = 1\n").commit("begin");
    let clock: Arc<VirtualClock> = VirtualClock::new();
    let api = GitHubApi::hosting(clock, SHOP, true, &git.git_dir()).await;
    (git, api)
}

/// Opens a pull request of a new branch that changes `a.py`, as its author would.
fn opened(git: &TestRepo, api: &GitHubApi, branch: &str) -> u64 {
    git.point(branch, &git.tip("main").unwrap());
    git.on(branch).file("a.py", format!("a = '{branch}'\n")).commit("fix");
    let number = api.with(|world| world.open(SHOP, branch, "main", "ann"));
    api.deliveries();
    number
}

fn kinds(deliveries: &[Delivery]) -> Vec<String> {
    let kind = |one: &Delivery| match one.json()["action"].as_str() {
        Some(action) => format!("{} {action}", one.event),
        None => format!("{} {}", one.event, one.json()["ref"].as_str().unwrap()),
    };
    deliveries.iter().map(kind).collect()
}

#[tokio::test]
async fn pushes_tell_every_commit_and_what_became_of_the_branch() {
    let (git, api) = scene().await;
    assert!(api.deliveries().is_empty(), "what was there before is no news");
    let before = git.tip("main").unwrap();
    git.point("develop", &before);
    git.on("develop").file("a.py", "a = 2\n").file("ü b#c.py", "c = 1\n").commit("one");
    let after = git.on("develop").remove("b.py").file("d.py", "b = 1\n").commit("two");
    let first = api.deliveries();
    assert_eq!(kinds(&first), ["push refs/heads/develop"]);
    let push = first[0].json();
    assert_eq!(
        (&push["created"], &push["forced"], &push["before"]),
        (&json!(true), &json!(false), &json!("0".repeat(40)))
    );
    assert_eq!((&push["after"], &push["head_commit"]["id"]), (&json!(after.as_str()), &json!(after.as_str())));
    let commits = push["commits"].as_array().unwrap();
    assert_eq!((&commits[0]["modified"], &commits[0]["added"]), (&json!(["a.py"]), &json!(["ü b#c.py"])));
    assert_eq!((&commits[1]["removed"], &commits[1]["added"]), (&json!(["b.py"]), &json!(["d.py"])));
    assert_eq!((&push["repository"]["full_name"], &push["repository"]["private"]), (&json!(SHOP), &json!(true)));
    assert_eq!(push["installation"]["id"], api.with(|world| world.installations[0].id));
    git.on("develop").parents(&[&before]).file("a.py", "a = 3\n").commit("other");
    let forced = api.deliveries()[0].json();
    assert_eq!(
        (&forced["forced"], &forced["created"], &forced["before"]),
        (&json!(true), &json!(false), &json!(after.as_str()))
    );
    git.delete_branch("develop");
    let gone = api.deliveries()[0].json();
    assert_eq!(
        (&gone["deleted"], &gone["after"], &gone["head_commit"]),
        (&json!(true), &json!("0".repeat(40)), &Value::Null)
    );
    assert!(api.deliveries().is_empty(), "each is delivered once");
}

#[tokio::test]
async fn what_people_do_with_pull_requests_is_told() {
    let (git, api) = scene().await;
    let number = opened(&git, &api, "one");
    api.with(|world| world.comment(SHOP, number, "bob", "/codehealer explain"));
    api.with(|world| world.close(SHOP, number, "bob"));
    api.with(|world| world.reopen(SHOP, number, "bob"));
    let amended = api.with(|world| world.amend(SHOP, number, "bob", &[("a.py", "a = 9\n")]));
    let merge = api.with(|world| world.merge(SHOP, number, "bob"));
    let told = api.deliveries();
    assert_eq!(
        kinds(&told),
        [
            "issue_comment created",
            "pull_request closed",
            "pull_request reopened",
            "push refs/heads/one",
            "pull_request synchronize",
            "push refs/heads/main",
            "pull_request closed",
        ]
    );
    let comment = told[0].json();
    assert_eq!(comment["comment"]["body"], "/codehealer explain");
    assert_eq!((&comment["issue"]["number"], &comment["sender"]["login"]), (&json!(number), &json!("bob")));
    assert!(comment["issue"]["pull_request"]["url"].as_str().unwrap().starts_with("https://api.github.com/"));
    assert_eq!(told[1].json()["pull_request"]["merged"], false);
    assert_eq!(told[4].json()["after"], amended.as_str());
    let merged = told[6].json();
    assert_eq!(
        (&merged["pull_request"]["merged"], &merged["pull_request"]["merged_by"]["login"]),
        (&json!(true), &json!("bob"))
    );
    assert_eq!(merged["pull_request"]["merge_commit_sha"], merge.as_str());
    assert_eq!(
        (&merged["pull_request"]["base"]["ref"], &merged["pull_request"]["head"]["ref"]),
        (&json!("main"), &json!("one"))
    );
    assert_eq!(git.file_at(&merge, "a.py"), b"a = 9\n");
    let second = opened(&git, &api, "two");
    let squashed = api.with(|world| world.squash(SHOP, second, "ann"));
    assert_eq!(kinds(&api.deliveries()), ["push refs/heads/main", "pull_request closed"]);
    let reverted = api.with(|world| world.revert(SHOP, "main", &squashed, "ann"));
    assert_eq!(git.file_at(&reverted, "a.py"), b"a = 9\n");
    let back = api.with(|world| world.revert(SHOP, "main", &merge, "ann"));
    assert_eq!(git.file_at(&back, "a.py"), b"a = 1\n");
    let pushes = api.deliveries();
    let message = pushes[0].json()["head_commit"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with(&format!("Revert \"fix (#{second})\"")), "{message}");
    assert!(message.contains(&format!("This reverts commit {}.", squashed.as_str())));
    let fourth = opened(&git, &api, "four");
    api.with(|world| world.repo(SHOP).pulls.get_mut(&fourth).unwrap().draft = true);
    api.with(|world| world.ready(SHOP, fourth, "ann"));
    let amended = api.with(|world| world.amend_and_merge(SHOP, fourth, "ann", &[("b.py", "b = 4\n")]));
    assert_eq!(git.file_at(&amended, "b.py"), b"b = 4\n");
    assert_eq!(kinds(&api.deliveries())[0], "pull_request ready_for_review");
    let third = opened(&git, &api, "three");
    git.delete_branch("three");
    assert_eq!(kinds(&api.deliveries()), ["push refs/heads/three", "pull_request closed"]);
    assert!(api.with(|world| world.repo(SHOP).pulls[&third].merged.is_none()));
}

#[tokio::test]
async fn deliveries_are_signed_over_their_exact_bytes() {
    let (git, api) = scene().await;
    git.write("a.py", "a = 2\n");
    let delivery = api.deliveries().remove(0);
    let [event, id, signature] = delivery.headers("secret");
    assert_eq!((event, id.0), (("X-GitHub-Event", "push".to_owned()), "X-GitHub-Delivery"));
    let secrets = WebhookSecrets::new(vec!["secret".to_owned().into()]).unwrap();
    let believed = |body: &str| verify(&secrets, [signature.1.as_bytes()].into_iter(), body.as_bytes()).is_ok();
    assert!(believed(&delivery.body) && !believed(&format!("{} ", delivery.body)));
    assert_eq!(delivery.json()["repository"]["full_name"], SHOP);
}

#[tokio::test]
async fn payloads_that_github_would_not_send_are_noticed() {
    let (git, api) = scene().await;
    git.write("a.py", "a = 2\n");
    let good = api.deliveries().remove(0).json();
    assert_eq!(check_payload("push", &good), [""; 0]);
    for (pointer, value) in [
        ("/commits/0/timestamp", json!("yesterday")),
        ("/commits/0/added", json!("a.py")),
        ("/repository/private", json!("yes")),
        ("/forced", Value::Null),
        ("/pusher/extra", json!(1)),
    ] {
        let mut bad = good.clone();
        let (inside, name) = pointer.rsplit_once('/').unwrap();
        bad.pointer_mut(inside).unwrap()[name] = value;
        let wrong = check_payload("push", &bad);
        assert!(!wrong.is_empty() && wrong[0].contains(pointer.split('/').nth(1).unwrap()), "{pointer}: {wrong:?}");
    }
}
