//! Answers that GitHub's description allows and its documentation tells of, and that our emulator never gives by itself.

use std::time::Duration;

use codehealer::model::CommitId;
use codehealer::ports::{BranchOutcome, Changes, ErrorKind, Forge, PortError, PullRequestState};
use serde_json::{Value, json};

use super::world::{OnGitHub, Setup};
use crate::contract::forge::{BRANCH, World, plan, pull_request};
use crate::support::proxy::{Answer, Fault, Proxy, Seen};

/// A world with a push of two files, and a proxy on the way to it.
struct Way {
    world: OnGitHub,
    proxy: Proxy,
    base: CommitId,
    head: CommitId,
}

impl Way {
    async fn new() -> Self {
        let world = OnGitHub::new().await;
        let base = world.git.on("main").file("a.py", "a = 1\n").file("d/b.py", "b = 1\n").commit("first");
        let head = world.git.on("main").file("a.py", "a = 2\n").file("d/c.py", "c = 1\n").commit("second");
        let proxy = Proxy::before(&world.api.url()).await;
        Self { world, proxy, base, head }
    }

    /// Answers the next calls of a method whose path has this in it, without its base, with these.
    fn says(&self, method: &'static str, part: &str, answers: impl IntoIterator<Item = Answer>) {
        let part = part.to_owned();
        let matching = move |seen: &Seen| seen.method == method && seen.path.contains(&part);
        self.proxy.spoil(matching, answers.into_iter().map(Fault::Instead));
    }

    /// The same for the repository's own address.
    fn describes(&self, answer: Answer) {
        self.proxy.spoil(|seen: &Seen| seen.path == "/repos/acme/shop", [Fault::Instead(answer)]);
    }

    fn repository(&self) -> codehealer::model::Repository {
        self.world.repository()
    }

    fn id(&self) -> u64 {
        self.repository().id.0.parse().unwrap()
    }

    async fn changes(&self) -> Result<Changes, PortError> {
        self.world.at(self.proxy.url()).changed_files(&self.repository(), Some(&self.base), &self.head).await
    }

    /// What changed, by a way on which nothing happens.
    async fn undisturbed(&self) -> Changes {
        self.world.another().changed_files(&self.repository(), Some(&self.base), &self.head).await.unwrap()
    }

    fn asked(&self, part: &str) -> usize {
        self.proxy.seen().iter().filter(|seen| seen.path.contains(part)).count()
    }

    /// A pull request of our branch as a list shows it.
    fn pull(&self, number: u64, state: &str) -> Value {
        let side = |name: &str| json!({"ref": name, "sha": "d".repeat(40), "repo": {"id": self.id()}});
        json!({
            "number": number, "html_url": format!("https://github.com/acme/shop/pull/{number}"), "state": state,
            "merged_at": null, "merge_commit_sha": null, "user": null, "head": side(BRANCH), "base": side("main"),
        })
    }
}

fn message(status: u16, said: &str) -> Answer {
    Answer::new(status, json!({"message": said, "documentation_url": "https://docs.github.com"}).to_string())
}

fn without(mut value: Value, field: &str) -> Value {
    value.as_object_mut().unwrap().remove(field);
    value
}

#[tokio::test]
async fn lists_may_be_null_and_fields_may_be_left_out() {
    let way = Way::new().await;
    let mut pull = way.pull(5, "open");
    for field in ["requested_reviewers", "requested_teams", "labels", "draft"] {
        pull[field] = Value::Null;
    }
    way.says("GET", "/pulls?", [Answer::new(200, json!([pull]).to_string())]);
    let found =
        way.world.at(way.proxy.url()).find_pull_request(&way.repository(), BRANCH, "main").await.unwrap().unwrap();
    assert_eq!((found.number, found.state, found.draft), (5, PullRequestState::Open, false));
}

/// A page may be short, or empty, and the list go on behind it.
#[tokio::test]
async fn a_list_goes_on_where_its_link_says_so() {
    let way = Way::new().await;
    let first = Answer::new(200, "[]").with("link", "<https://api.github.com/x?page=2>; rel=\"next\"");
    way.says("GET", "/pulls?", [first, Answer::new(200, json!([way.pull(5, "closed")]).to_string())]);
    let found = way.world.at(way.proxy.url()).find_pull_request(&way.repository(), BRANCH, "main").await.unwrap();
    assert_eq!(found.map(|found| (found.number, found.state)), Some((5, PullRequestState::Closed)));
    assert_eq!((way.asked("page=2"), way.proxy.left()), (1, 0));
}

/// R11: pull requests are asked for by the owner of their branch. A repository that went to another owner has those it had.
#[tokio::test]
async fn what_people_closed_is_found_at_the_repositorys_new_owner() {
    let way = Way::new().await;
    let moved = Answer::new(301, "{}").with("location", format!("{}/repositories/{}/pulls", way.proxy.url(), way.id()));
    way.says("GET", "/repos/acme/shop/pulls?", [moved]);
    let named = json!({"id": way.id(), "full_name": "globex/shop"}).to_string();
    way.describes(Answer::new(200, named));
    way.says("GET", "head=acme", [Answer::new(200, "[]")]);
    way.says("GET", "head=globex", [Answer::new(200, json!([way.pull(7, "closed")]).to_string())]);
    let found = way.world.at(way.proxy.url()).find_pull_request(&way.repository(), BRANCH, "main").await.unwrap();
    assert_eq!(found.map(|found| (found.number, found.state)), Some((7, PullRequestState::Closed)));
    assert_eq!(way.proxy.left(), 0, "{:?}", way.proxy.seen());
}

/// R7, R8: GitHub tells of a push before all of it knows the commit. That is no force push, after which nothing would be scanned.
#[tokio::test]
async fn a_commit_that_is_not_known_yet_is_waited_for() {
    let way = Way::new().await;
    way.says("GET", "/compare/", [message(404, "Not Found")]);
    way.says("GET", &format!("/git/commits/{}", way.head), [message(404, "Not Found")]);
    let error = way.changes().await.unwrap_err();
    assert_eq!((error.kind.clone(), way.proxy.left()), (ErrorKind::Unavailable, 0), "{}", error.chain());
    assert_eq!(way.changes().await.unwrap(), way.undisturbed().await);
}

#[tokio::test]
async fn a_folder_that_is_not_known_yet_is_waited_for() {
    let way = Way::new().await;
    way.says("POST", "/graphql", [message(502, "")]);
    way.says("GET", "/git/trees/", [message(404, "Not Found")]);
    let error = way.changes().await.unwrap_err();
    assert_eq!((error.kind.clone(), way.proxy.left()), (ErrorKind::Unavailable, 0), "{}", error.chain());
}

/// An app that is taken off a repository in the middle of a scan has lost nothing that was pushed.
#[tokio::test]
async fn a_repository_that_is_seen_no_more_lost_no_commit() {
    let way = Way::new().await;
    way.says("GET", "/compare/", [message(404, "Not Found")]);
    way.says("GET", &format!("/git/commits/{}", way.head), [message(404, "Not Found")]);
    way.describes(message(404, "Not Found"));
    let error = way.changes().await.unwrap_err();
    assert_eq!((error.kind.clone(), way.proxy.left()), (ErrorKind::Denied, 0), "{}", error.chain());
    assert!(error.chain().contains("give the app or token access"), "{}", error.chain());
}

/// A large comparison may come without its files, or only where they are not asked for.
#[tokio::test]
async fn files_that_are_not_listed_are_read_from_the_trees() {
    let way = Way::new().await;
    let expected = way.undisturbed().await;
    assert_eq!(expected.files.len(), 2);
    let told = way.world.answered(&format!("/compare/{}...{}", way.base, way.head)).await;
    way.says("GET", "/compare/", [Answer::new(200, without(told, "files").to_string())]);
    assert_eq!(way.changes().await.unwrap(), expected);

    let body = json!({
        "message": "Server Error: Sorry, this diff is taking too long to generate.",
        "errors": [{"resource": "Comparison", "field": "diff", "code": "not_available"}],
    });
    for status in [500, 422] {
        way.says("GET", "/compare/", [Answer::new(status, body.to_string())]);
        assert_eq!(way.changes().await.unwrap(), expected, "{status}");
    }
    assert_eq!((way.asked("page=2"), way.proxy.left()), (2, 0), "the page without files was asked for");
}

/// The size of a file is not among what a tree must tell.
#[tokio::test]
async fn a_file_of_untold_size_is_not_passed_over() {
    let way = Way::new().await;
    way.says("POST", "/graphql", [message(502, "")]);
    for commit in [&way.head, &way.base] {
        let tree =
            way.world.answered(&format!("/git/commits/{commit}")).await["tree"]["sha"].as_str().unwrap().to_owned();
        let path = format!("/git/trees/{tree}?recursive=1");
        let mut told = way.world.answered(&path).await;
        for entry in told["tree"].as_array_mut().unwrap() {
            *entry = without(entry.take(), "size");
        }
        way.says("GET", &path, [Answer::new(200, told.to_string())]);
    }
    let changes = way.changes().await.unwrap();
    let names: Vec<(&str, u64)> = changes.files.iter().map(|change| (change.path.as_str(), change.size)).collect();
    assert_eq!((names, changes.skipped), (vec![("a.py", 0), ("d/c.py", 0)], vec![]));
    assert_eq!(way.proxy.left(), 0);
}

/// The folder of nothing may never have been stored.
#[tokio::test]
async fn a_commit_without_files_is_not_asked_for_its_folder() {
    let way = Way::new().await;
    let empty = way.world.git.on("main").remove("a.py").remove("d/b.py").remove("d/c.py").commit("all gone");
    let forge = way.world.another();
    assert_eq!(forge.changed_files(&way.repository(), None, &empty).await.unwrap(), Changes::default());
    let gone = forge.changed_files(&way.repository(), Some(&way.head), &empty).await.unwrap();
    assert_eq!(gone.files, []);
    let asked =
        way.world.api.log().into_iter().filter(|call| call.path.contains("4b825dc642cb6eb9a060e54bf8d69288fbee4904"));
    assert_eq!(asked.count(), 0);
}

/// A token need not tell which repositories it is for: then it is asked which one it leads to.
#[tokio::test]
async fn a_token_that_names_no_repository_is_held_to_the_one_it_leads_to() {
    let world = OnGitHub::new().await;
    world.git.write("a.py", "a = 1\n");
    world.api.with(|world| world.names_repositories = false);
    let found = world.another().repository("acme/shop").await.unwrap().unwrap();
    assert_eq!((found.id, found.private), (world.repository().id, true));
    assert!(world.another().head(&world.repository(), "refs/heads/main").await.unwrap().is_some());
}

/// R2: what GitHub says is there, or just made, and does not list yet.
#[tokio::test]
async fn what_is_there_and_not_known_everywhere_is_tried_again() {
    let way = Way::new().await;
    let (forge, repository) = (way.world.at(way.proxy.url()), way.repository());
    forge.ensure_branch(&repository, &plan(&way.head, &[("a.py", "a = 3\n")])).await.unwrap();
    let invalid = |field: &str| {
        let error = json!({"resource": "PullRequest", "field": field, "code": "invalid"});
        Answer::new(422, json!({"message": "Validation Failed", "errors": [error]}).to_string())
    };
    let exists =
        json!({"message": "Validation Failed", "errors": [{"message": "A pull request already exists for acme:x."}]});
    for answer in [invalid("head"), invalid("base"), Answer::new(422, exists.to_string())] {
        let what = answer.body.clone();
        way.says("POST", "/pulls", [answer]);
        let error = forge.ensure_pull_request(&repository, &pull_request()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{what}: {}", error.chain());
    }
    assert!(forge.ensure_pull_request(&repository, &pull_request()).await.unwrap().1);
    assert_eq!(way.proxy.left(), 0);
}

/// A classic token that may read and not write is told that there is nothing.
#[tokio::test]
async fn a_token_that_may_only_read_is_named_as_that() {
    let world = OnGitHub::with(Setup { checks: false, personal: true }).await;
    let parent = world.git.write("a.py", "a = 1\n");
    world.api.with(|world| drop(world.repo("acme/shop").collaborators.insert("healer".to_owned(), "read".to_owned())));
    let error =
        world.forge.ensure_branch(&world.repository(), &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{}", error.chain());
    assert!(error.chain().contains("contents: write"), "{}", error.chain());
    assert_eq!(world.git.tip(BRANCH), None);
}

/// GraphQL refuses within an answer. Its own points do not count for REST; GitHub's patience does.
#[tokio::test]
async fn haste_that_graphql_tells_of_within_an_answer_is_haste() {
    let way = Way::new().await;
    let refused = |kind: &str, said: &str| {
        Answer::new(200, json!({"data": null, "errors": [{"type": kind, "message": said}]}).to_string())
    };
    let secondary = refused("", "You have exceeded a secondary rate limit.").with("retry-after", "33");
    way.says("POST", "/graphql", [secondary, refused("RATE_LIMITED", "API rate limit exceeded")]);
    assert_eq!(way.changes().await.unwrap_err().kind, ErrorKind::Throttled(Duration::from_secs(33)));
    assert_eq!(way.changes().await.unwrap(), way.undisturbed().await);
    assert_eq!(way.proxy.left(), 0);
}

/// A text that is empty is none to GitHub's trees.
#[tokio::test]
async fn a_file_can_be_emptied() {
    let way = Way::new().await;
    let made = way.world.forge.ensure_branch(&way.repository(), &plan(&way.head, &[("a.py", "")])).await.unwrap();
    let BranchOutcome::Created(commit) = made else { panic!("{made:?}") };
    assert_eq!(way.world.git.file_at(&commit, "a.py"), b"");
    let trees = way.world.api.calls("POST /repos/{owner}/{repo}/git/trees");
    assert!(trees.iter().all(|call| call.body["tree"][0].get("content").is_none()), "{trees:?}");
}
