//! What a forge must do that has numbers, people and talk: all but the one on a laptop.

use std::collections::BTreeSet;

use async_trait::async_trait;
use codehealer::model::{BRANCH_PREFIX, CommitId, Notice, NoticeKind};
use codehealer::ports::{Decoration, ErrorKind, Permission, PullRequest, PullRequestPlan, PullRequestState};

use super::{BRANCH, World, plan, pull_request};

/// What people do on such a forge, and what they see.
#[async_trait(?Send)]
pub trait Hosted: World {
    /// Somebody who may `read`, `triage`, `write`, `maintain` or `admin`; `none` is somebody whom the repository does not know.
    async fn person(&self, login: &str, level: &str);
    /// A person opens a pull request; its number.
    async fn propose(&self, branch: &str, base: &str) -> u64;
    /// A person comments.
    async fn say(&self, number: u64, text: &str);
    /// Comments of a pull request, oldest first: who and what.
    async fn comments(&self, number: u64) -> Vec<(String, String)>;
    /// What was said about a commit.
    async fn notes(&self, commit: &CommitId) -> Vec<String>;
    async fn labels(&self, number: u64) -> BTreeSet<String>;
    /// People who were asked for a review and have not answered.
    async fn reviewers(&self, number: u64) -> BTreeSet<String>;
    async fn archive(&self);
    /// Gives the repository another name, without its owner.
    async fn rename(&self, to: &str);
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// Our pull request, opened.
async fn opened(world: &dyn Hosted) -> PullRequest {
    let (forge, repository) = (world.forge(), world.repository());
    let parent = world.git().write("a.py", "a = 1\n");
    forge.ensure_branch(&repository, &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap();
    let (opened, new) = forge.ensure_pull_request(&repository, &pull_request()).await.unwrap();
    assert!(new && opened.number > 0 && opened.branch == BRANCH, "{opened:?}");
    opened
}

fn notice() -> Notice {
    Notice {
        key: "case-1#g1".to_owned(),
        kind: NoticeKind::Escalation,
        headline: "SQL_INJECTION in a.py line 1".to_owned(),
        body: "Look **here**.".to_owned(),
        repository: "acme/shop".to_owned(),
        link: None,
        for_senior: true,
        earlier: None,
        since: 0,
    }
}

pub async fn a_repository_is_found_by_its_name(world: &dyn Hosted) {
    world.git().write("a.py", "a = 1\n");
    let expected = world.repository();
    assert_eq!(world.forge().repository(&expected.name).await.unwrap(), Some(expected.clone()));
    for unknown in ["acme/nothing", "nobody/shop", "shop", "", "acme/../shop", "acme/shop/x", "acme/sh op"] {
        assert_eq!(world.forge().repository(unknown).await.unwrap(), None, "{unknown}");
    }
}

pub async fn an_archived_repository_is_denied(world: &dyn Hosted) {
    world.git().write("a.py", "a = 1\n");
    world.archive().await;
    let error = world.forge().repository(&world.repository().name).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.chain().contains("unarchive"), "{}", error.chain());
}

/// A case goes on under the new name: the number is what counts.
pub async fn a_renamed_repository_is_followed(world: &dyn Hosted) {
    let (forge, repository) = (world.forge(), world.repository());
    let parent = world.git().write("a.py", "a = 1\n");
    assert_eq!(forge.head(&repository, "refs/heads/main").await.unwrap(), Some(parent.clone()));
    world.rename("store").await;
    assert_eq!(forge.head(&repository, "refs/heads/main").await.unwrap(), Some(parent.clone()));
    forge.ensure_branch(&repository, &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap();
    let (opened, new) = forge.ensure_pull_request(&repository, &pull_request()).await.unwrap();
    assert!(new);
    assert_eq!(forge.find_pull_request(&repository, BRANCH, "main").await.unwrap(), Some(opened));
    let found = forge.repository(&repository.name).await.unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str()), (repository.id, "acme/store"));
}

pub async fn a_pull_request_is_found_by_its_number(world: &dyn Hosted) {
    let (forge, repository) = (world.forge(), world.repository());
    let opened = opened(world).await;
    assert_eq!(forge.pull_request(&repository, opened.number).await.unwrap(), Some(opened.clone()));
    assert_eq!(forge.pull_request(&repository, opened.number + 1000).await.unwrap(), None);
    world.close(BRANCH).await;
    let closed = PullRequest { state: PullRequestState::Closed, ..opened.clone() };
    assert_eq!(forge.pull_request(&repository, opened.number).await.unwrap(), Some(closed));
}

pub async fn open_pull_requests_are_those_with_the_prefix(world: &dyn Hosted) {
    let (forge, repository) = (world.forge(), world.repository());
    assert_eq!(forge.open_pull_requests(&repository, BRANCH_PREFIX).await.unwrap(), []);
    let first = opened(world).await;
    let parent = world.git().tip("main").unwrap();
    let mut second = plan(&parent, &[("a.py", "a = 3\n")]);
    second.name = "codehealer/other-0123456789ab-g1".to_owned();
    forge.ensure_branch(&repository, &second).await.unwrap();
    let asked = PullRequestPlan { branch: second.name.clone(), draft: true, ..pull_request() };
    let (second, _) = forge.ensure_pull_request(&repository, &asked).await.unwrap();
    world.git().point("topic", &parent);
    world.git().on("topic").file("b.py", "b\n").commit("by a person");
    world.propose("topic", "main").await;
    let mut found = forge.open_pull_requests(&repository, BRANCH_PREFIX).await.unwrap();
    found.sort_by_key(|request| request.number);
    assert_eq!(found, [first.clone(), second.clone()]);
    world.close(BRANCH).await;
    assert_eq!(forge.open_pull_requests(&repository, BRANCH_PREFIX).await.unwrap(), [second]);
}

pub async fn we_close_our_own_and_what_ended_stays(world: &dyn Hosted) {
    let (forge, repository) = (world.forge(), world.repository());
    let ours = opened(world).await;
    let parent = world.git().tip("main").unwrap();
    world.git().point("topic", &parent);
    world.git().on("topic").file("b.py", "b\n").commit("by a person");
    let theirs = world.propose("topic", "main").await;
    let error = forge.close_pull_request(&repository, theirs).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{}", error.chain());
    let state = |number| async move { forge.pull_request(&world.repository(), number).await.unwrap().unwrap().state };
    assert_eq!(state(theirs).await, PullRequestState::Open);
    for _ in 0..2 {
        forge.close_pull_request(&repository, ours.number).await.unwrap();
        assert_eq!(state(ours.number).await, PullRequestState::Closed);
    }
    let error = forge.close_pull_request(&repository, ours.number + 1000).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Missing);
}

pub async fn a_merged_pull_request_is_not_closed(world: &dyn Hosted) {
    let (forge, repository) = (world.forge(), world.repository());
    let ours = opened(world).await;
    let merge = world.merge(BRANCH, "main").await;
    forge.close_pull_request(&repository, ours.number).await.unwrap();
    let found = forge.pull_request(&repository, ours.number).await.unwrap().unwrap();
    assert_eq!((found.state, found.merge_commit), (PullRequestState::Merged, Some(merge)));
}

/// Who comes late does not bring back a branch that people merged and deleted.
pub async fn a_branch_that_people_were_done_with_is_not_made_again(world: &dyn Hosted) {
    let (forge, repository) = (world.forge(), world.repository());
    opened(world).await;
    let parent = world.git().tip("main").unwrap();
    let tip = world.git().tip(BRANCH).unwrap();
    world.close(BRANCH).await;
    world.git().delete_branch(BRANCH);
    let found = forge.ensure_branch(&repository, &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap();
    assert_eq!(found, codehealer::ports::BranchOutcome::Adopted(tip));
    assert_eq!(world.git().tip(BRANCH), None);
}

pub async fn a_comment_is_made_once_and_brought_up_to_date(world: &dyn Hosted) {
    let (forge, repository) = (world.forge(), world.repository());
    let number = opened(world).await.number;
    let first = forge.ensure_comment(&repository, number, "one", "Hello **you**.").await.unwrap();
    assert!(first.starts_with("http"), "{first}");
    assert_eq!(forge.ensure_comment(&repository, number, "one", "Hello **you**.").await.unwrap(), first);
    let other = forge.ensure_comment(&repository, number, "two", "Another.").await.unwrap();
    assert_ne!(other, first);
    // A person's copy is not ours, wherever it stands.
    let ours = world.comments(number).await;
    world.say(number, &ours[0].1).await;
    assert_eq!(forge.ensure_comment(&repository, number, "one", "Hello again.").await.unwrap(), first);
    let comments = world.comments(number).await;
    assert_eq!(comments.len(), 3, "{comments:?}");
    assert!(comments[0].1.starts_with("Hello again.") && comments[1].1.starts_with("Another."), "{comments:?}");
    assert_eq!(comments[2].1, ours[0].1, "what people write stays");
    let error = forge.ensure_comment(&repository, number + 1000, "one", "x").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Missing);
}

pub async fn a_persons_copy_of_our_comment_does_not_silence_us(world: &dyn Hosted) {
    let (forge, repository) = (world.forge(), world.repository());
    let number = opened(world).await.number;
    forge.ensure_comment(&repository, number, "one", "Hello.").await.unwrap();
    let ours = world.comments(number).await.remove(0).1;
    let parent = world.git().tip("main").unwrap();
    world.git().point("topic", &parent);
    world.git().on("topic").file("b.py", "b\n").commit("by a person");
    let elsewhere = world.propose("topic", "main").await;
    world.say(elsewhere, &ours).await;
    forge.ensure_comment(&repository, elsewhere, "one", "Hello.").await.unwrap();
    assert_eq!(world.comments(elsewhere).await.len(), 2);
}

pub async fn a_note_at_a_commit_is_left_once_for_each_key(world: &dyn Hosted) {
    let (forge, repository) = (world.forge(), world.repository());
    let commit = world.git().write("a.py", "a = 1\n");
    let first = forge.annotate(&repository, &commit, "one", &notice()).await.unwrap();
    assert_eq!(forge.annotate(&repository, &commit, "one", &notice()).await.unwrap(), first);
    let notes = world.notes(&commit).await;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("SQL_INJECTION in a.py line 1") && notes[0].contains("Look **here**."), "{notes:?}");
    forge.annotate(&repository, &commit, "two", &notice()).await.unwrap();
    assert_eq!(world.notes(&commit).await.len(), 2);
}

pub async fn decoration_is_added_once_and_passes_over_who_cannot_be_asked(world: &dyn Hosted) {
    let (forge, repository) = (world.forge(), world.repository());
    world.person("ann", "write").await;
    world.person("bob", "write").await;
    world.person("stranger", "none").await;
    let number = opened(world).await.number;
    let reviewers = ["ann", "stranger", "nobody-at-all", "bob"].map(str::to_owned).to_vec();
    let with = Decoration { labels: vec!["codehealer".to_owned(), "security".to_owned()], reviewers };
    for _ in 0..2 {
        forge.decorate(&repository, number, &with).await.unwrap();
        assert_eq!(world.labels(number).await, set(["codehealer", "security"]));
        assert_eq!(world.reviewers(number).await, set(["ann", "bob"]));
    }
    let error = forge.decorate(&repository, number + 1000, &with).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Missing);
}

pub async fn code_owners_go_before_configured_reviewers(world: &dyn Hosted) {
    let (forge, repository) = (world.forge(), world.repository());
    world.person("ann", "write").await;
    world.person("bob", "write").await;
    world.person("carol", "write").await;
    world
        .git()
        .on("main")
        .file(".github/CODEOWNERS", "* @bob\n*.py @ann\n")
        .file("CODEOWNERS", "* @carol\n")
        .commit("x");
    let number = opened(world).await.number;
    let with = Decoration { labels: Vec::new(), reviewers: vec!["carol".to_owned()] };
    forge.decorate(&repository, number, &with).await.unwrap();
    assert_eq!(world.reviewers(number).await, set(["ann"]));
}

pub async fn permissions_are_those_that_people_have(world: &dyn Hosted) {
    let (forge, repository) = (world.forge(), world.repository());
    world.git().write("a.py", "a = 1\n");
    for (login, level, expected) in [
        ("ann", "write", Permission::Write),
        ("max", "maintain", Permission::Write),
        ("adam", "admin", Permission::Write),
        ("rita", "read", Permission::Read),
        ("tom", "triage", Permission::Read),
        ("stranger", "none", Permission::None),
    ] {
        world.person(login, level).await;
        assert_eq!(forge.permission(&repository, login).await.unwrap(), expected, "{login}");
    }
    for unknown in ["nobody-at-all", "", "../../x", "a b"] {
        assert_eq!(forge.permission(&repository, unknown).await.unwrap(), Permission::None, "{unknown}");
    }
}

/// Runs every case on the world that `$world` makes.
macro_rules! hosted_forge_contract {
    ($world:expr; $($case:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::contract::forge::hosted::$case(&$world).await;
            }
        )*
    };
    ($world:expr) => {
        $crate::contract::forge::hosted::hosted_forge_contract! {
            $world;
            a_repository_is_found_by_its_name,
            an_archived_repository_is_denied,
            a_renamed_repository_is_followed,
            a_pull_request_is_found_by_its_number,
            open_pull_requests_are_those_with_the_prefix,
            we_close_our_own_and_what_ended_stays,
            a_merged_pull_request_is_not_closed,
            a_branch_that_people_were_done_with_is_not_made_again,
            a_comment_is_made_once_and_brought_up_to_date,
            a_persons_copy_of_our_comment_does_not_silence_us,
            a_note_at_a_commit_is_left_once_for_each_key,
            decoration_is_added_once_and_passes_over_who_cannot_be_asked,
            code_owners_go_before_configured_reviewers,
            permissions_are_those_that_people_have,
        }
    };
}
pub(crate) use hosted_forge_contract;
