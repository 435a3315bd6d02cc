//! How reading is done: few calls, the same answers by every way, and nothing asked twice.

use codehealer::github::GitHubForge;
use codehealer::model::CommitId;
use codehealer::ports::{Changes, Decoration, ErrorKind, Forge, PullRequestState};

use super::faults::notice;
use super::world::OnGitHub;
use crate::contract::forge::hosted::Hosted;
use crate::contract::forge::{BRANCH, World, plan, pull_request};
use crate::support::git::{oid, path};
use crate::support::github_api::Fault;

const GRAPHQL: &str = "POST /graphql";
/// Nothing could be read, and so nothing seems to be there.
const PARTLY_WRONG: &str = r#"{"errors":[{"message":"timeout"}],"data":{"repository":{
    "h":{"f0":null,"f1":null,"f2":null,"f3":null,"f4":null,"f5":null,"f6":null,"f7":null,"f8":null,"f9":null,"f10":null,
        "f11":null,"f12":null,"f13":null,"f14":null,"f15":null},
    "b":{"f0":null,"f1":null,"f2":null,"f3":null,"f4":null,"f5":null,"f6":null,"f7":null,"f8":null,"f9":null,"f10":null,
        "f11":null,"f12":null,"f13":null,"f14":null,"f15":null}}}}"#;

/// P5: from a push to an open pull request with eight calls, the token apart.
#[tokio::test]
async fn a_pull_request_takes_eight_calls() {
    let world = OnGitHub::new().await;
    let (forge, repository) = (&world.forge, world.repository());
    let base = world.git.on("main").file("a.py", "a = 1\n").file("d/b.py", "b = 1\n").commit("one");
    world.git.on("main").file("a.py", "a = 2\n").commit("two");
    let head = world.git.on("main").file("d/b.py", "b = 2\n").file("new.py", "n\n").commit("three");
    // A running worker has a token.
    forge.repository(&repository.name).await.unwrap();
    let before = world.api.log().len();

    assert_eq!(forge.head(&repository, "refs/heads/main").await.unwrap(), Some(head.clone()));
    let changes = forge.changed_files(&repository, Some(&base), &head).await.unwrap();
    assert_eq!(changes.files.len(), 3);
    for change in &changes.files {
        forge.read_blob(&repository, &change.blob).await.unwrap();
        if let Some(blob) = &change.base_blob {
            forge.read_blob(&repository, blob).await.unwrap();
        }
        assert!(forge.read(&repository, &head, &change.path).await.unwrap().is_some());
    }
    forge.ensure_branch(&repository, &plan(&head, &[("a.py", "a = 3\n")])).await.unwrap();
    forge.ensure_pull_request(&repository, &pull_request()).await.unwrap();

    let calls: Vec<String> =
        world.api.log()[before..].iter().map(|call| format!("{} {}", call.method, call.route)).collect();
    assert!(calls.len() <= 8, "{calls:#?}");
}

async fn changes(world: &OnGitHub, base: &CommitId, head: &CommitId) -> Changes {
    world.another().changed_files(&world.repository(), Some(base), head).await.unwrap()
}

fn odd_history(world: &OnGitHub) -> (CommitId, CommitId) {
    let git = &world.git;
    let first = git.write("seed.py", "s\n");
    let long = (0..40).map(|n| format!("line_{n} = {n}\n")).collect::<String>();
    let base = git
        .on("main")
        .file("edited.py", "e = 1\n")
        .file("gone.py", "g = 1\n")
        .file("old/name.py", &long)
        .file("deep/er/still/x.py", "x = 1\n")
        .symlink("was_link.py", "a.py")
        .file("was_file.py", "f = 1\n")
        .file("binary.dat", b"\0\x01\xff".as_slice())
        .commit("base");
    let head = git
        .on("main")
        .file("edited.py", "e = 2 # \"quoted\\\" \u{1F600}\n")
        .remove("gone.py")
        .remove("old/name.py")
        .file("new/name.py", long.replace("line_3 = 3", "line_3 = 33"))
        .executable("deep/er/still/x.py", "x = 2\r\n")
        .file("was_link.py", "l = 1\n")
        .symlink("was_file.py", "a.py")
        .file("binary.dat", b"\0\x02\xff".as_slice())
        .file("latin.py", b"s = '\xe9'\n".as_slice())
        .file("w\"e i\\u0041/ü.py".replace('\\', "_").as_str(), "u = 1\n")
        .submodule("vendor/lib", oid(&first))
        .commit("head");
    (base, head)
}

/// By GraphQL, by whole trees and folder by folder: the same.
#[tokio::test]
async fn changes_are_the_same_by_every_way() {
    let world = OnGitHub::new().await;
    let (base, head) = odd_history(&world);
    let quick = changes(&world, &base, &head).await;
    assert_eq!(world.api.calls(GRAPHQL).len(), 1);
    assert_eq!(quick.files.len(), 7, "{quick:?}");
    assert_eq!(quick.skipped.len(), 2, "{quick:?}");
    for fault in [
        Fault::Status(502),
        Fault::Garbage("{\"data\":{\"repository\":null}}"),
        Fault::Garbage("{\"data\":{\"repository\":{\"h\":{},\"b\":{}}}}"),
        Fault::Garbage("{\"data\":null,\"errors\":[{\"message\":\"timeout\"}]}"),
        Fault::Garbage("[[["),
        Fault::Garbage(PARTLY_WRONG),
    ] {
        world.api.fails(GRAPHQL, fault.clone());
        assert_eq!(changes(&world, &base, &head).await, quick, "{fault:?}");
    }
    world.api.with(|world| world.repo("acme/shop").tree_limit = 11);
    world.api.fails(GRAPHQL, Fault::Status(502));
    assert_eq!(changes(&world, &base, &head).await, quick, "folder by folder");
}

/// What GraphQL brings as text is the file's bytes, or is not used.
#[tokio::test]
async fn texts_that_are_not_the_file_are_read_again() {
    let world = OnGitHub::new().await;
    let (base, head) = odd_history(&world);
    let repository = world.repository();
    let found = world.forge.changed_files(&repository, Some(&base), &head).await.unwrap();
    let blobs = "GET /repos/{owner}/{repo}/git/blobs/{file_sha}";
    for change in &found.files {
        let bytes = world.forge.read_blob(&repository, &change.blob).await.unwrap();
        assert_eq!(bytes, world.git.file_at(&head, change.path.as_str()), "{}", change.path);
    }
    // The binary one and the one that is no UTF-8; all others came with the first request.
    assert_eq!(world.api.calls(blobs).len(), 2);
}

/// What cannot change is not asked for twice, and not taken from another repository.
#[tokio::test]
async fn objects_are_read_once() {
    let world = OnGitHub::new().await;
    let commit = world.git.on("main").file("d/a.py", "a = 1\n").commit("one");
    let repository = world.repository();
    let read = async || world.forge.read(&repository, &commit, &path("d/a.py")).await.unwrap().unwrap();
    let first = read().await;
    let before = world.api.log().len();
    assert_eq!(read().await, first);
    assert_eq!(world.forge.read_blob(&repository, &first.blob).await.unwrap(), first.bytes);
    assert_eq!(world.api.log().len(), before);
    let mut foreign = repository.clone();
    foreign.id.0 = "999999".to_owned();
    assert!(world.forge.read_blob(&foreign, &first.blob).await.is_err());
}

/// What is as it should be is not written again: people see each write, and GitHub counts it.
#[tokio::test]
async fn what_is_as_wanted_already_is_not_written_again() {
    let world = OnGitHub::new().await;
    world.person("ann", "write").await;
    let parent = world.git.write("a.py", "a = 1\n");
    let repository = world.repository();
    world.forge.ensure_branch(&repository, &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap();
    let with = Decoration { labels: vec!["codehealer".to_owned()], reviewers: vec!["ann".to_owned()] };
    let bare = Decoration { labels: Vec::new(), ..with.clone() };
    let say = async |forge: &GitHubForge, with: &Decoration| {
        let (pull, _) = forge.ensure_pull_request(&repository, &pull_request()).await.unwrap();
        forge.ensure_comment(&repository, pull.number, "k", "One.").await.unwrap();
        forge.decorate(&repository, pull.number, with).await.unwrap();
        forge.annotate(&repository, &parent, "k", &notice()).await.unwrap();
        pull.number
    };
    let number = say(&world.forge, &with).await;
    let before = world.api.writes().len();
    let again = async |with: &Decoration| {
        say(&world.forge, with).await;
        say(&world.another(), with).await;
        let routes = |call: &crate::support::github_api::Call| format!("{} {}", call.method, call.route);
        assert_eq!(world.api.writes()[before..].iter().map(routes).collect::<Vec<_>>(), [""; 0]);
    };
    again(&with).await;
    again(&bare).await;
    // Ann has answered: she is asked no longer, and not once more.
    world.api.with(|world| world.repo("acme/shop").pulls.get_mut(&number).unwrap().reviewers.clear());
    again(&with).await;
    world.forge.close_pull_request(&repository, number).await.unwrap();
    for forge in [&world.forge, &world.another()] {
        forge.close_pull_request(&repository, number).await.unwrap();
        forge.decorate(&repository, number, &with).await.unwrap();
    }
    assert_eq!(world.api.writes().len(), before + 1, "it was closed once");
}

/// Comments of ours may lie behind many of people.
#[tokio::test]
async fn our_comment_is_found_behind_a_hundred_others() {
    let world = OnGitHub::new().await;
    let parent = world.git.write("a.py", "a = 1\n");
    let repository = world.repository();
    world.forge.ensure_branch(&repository, &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap();
    let (pull, _) = world.forge.ensure_pull_request(&repository, &pull_request()).await.unwrap();
    for n in 0..103 {
        world.api.with(|world| world.comment("acme/shop", pull.number, "bob", &format!("thought {n}")));
    }
    let first = world.forge.ensure_comment(&repository, pull.number, "k", "One.").await.unwrap();
    assert_eq!(world.another().ensure_comment(&repository, pull.number, "k", "Two.").await.unwrap(), first);
    assert_eq!(world.api.with(|world| world.repo("acme/shop").comments.len()), 104);
}

/// A branch may have had several pull requests; the one that people look at counts.
#[tokio::test]
async fn an_open_pull_request_goes_before_a_later_one_that_ended() {
    let world = OnGitHub::new().await;
    let parent = world.git.write("a.py", "a = 1\n");
    let repository = world.repository();
    world.forge.ensure_branch(&repository, &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap();
    let (ours, _) = world.forge.ensure_pull_request(&repository, &pull_request()).await.unwrap();
    world.git.point("release", &parent);
    let theirs = world.propose(BRANCH, "release").await;
    assert!(theirs > ours.number);
    world.api.with(|world| world.close("acme/shop", theirs, "bob"));
    assert_eq!(world.another().find_pull_request(&repository, BRANCH, "main").await.unwrap(), Some(ours.clone()));
    world.api.with(|world| world.close("acme/shop", ours.number, "bob"));
    let last = world.another().find_pull_request(&repository, BRANCH, "main").await.unwrap().unwrap();
    assert_eq!((last.number, last.state), (theirs, PullRequestState::Closed), "of ended ones the last");
}

#[tokio::test]
async fn a_tag_leads_to_its_commit() {
    let world = OnGitHub::new().await;
    let commit = world.git.write("a.py", "a = 1\n");
    let repo = &world.git.repo;
    let signature = git2::Signature::now("Ann", "ann@example.org").unwrap();
    let target = repo.find_object(oid(&commit), None).unwrap();
    let tag = repo.tag("v1", &target, &signature, "one", false).unwrap();
    repo.tag("v1-signed-off", &repo.find_object(tag, None).unwrap(), &signature, "a tag of a tag", false).unwrap();
    let repository = world.repository();
    for name in ["refs/tags/v1", "refs/tags/v1-signed-off"] {
        assert_eq!(world.forge.head(&repository, name).await.unwrap(), Some(commit.clone()), "{name}");
    }
    assert_eq!(world.forge.head(&repository, "refs/tags/v2").await.unwrap(), None);
}

/// R17: who is asked to wait by GraphQL does not go on with REST.
#[tokio::test]
async fn a_throttled_graphql_is_a_throttled_github() {
    let world = OnGitHub::new().await;
    let (base, head) = odd_history(&world);
    world.api.fails(GRAPHQL, Fault::SecondaryLimit(Some(20)));
    let forge = world.another();
    let error = forge.changed_files(&world.repository(), Some(&base), &head).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Throttled(std::time::Duration::from_secs(20)));
    assert_eq!(world.api.log().last().unwrap().route, "/graphql", "nothing was asked after that");
}
