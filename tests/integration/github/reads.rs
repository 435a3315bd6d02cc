//! How reading is done: few calls, the same answers by every way, and nothing asked twice.

use codehealer::model::CommitId;
use codehealer::ports::{Changes, Forge};

use super::world::OnGitHub;
use crate::contract::forge::{World, plan, pull_request};
use crate::support::git::{oid, path};
use crate::support::github_api::Fault;

const GRAPHQL: &str = "POST /graphql";

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
