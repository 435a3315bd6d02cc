//! A local repository as people have them: how it is opened, which range is meant, how pull requests end, what its
//! history teaches.

use std::fs;
use std::path::Path;

use codehealer::local::git::history::{self, HistoryError, Options};
use codehealer::local::git::open::{self, HeadState, LocalRepository, OpenError};
use codehealer::local::git::range::{self, Chosen, RangeError};
use codehealer::model::{CommitId, Language};
use codehealer::ports::{BranchOutcome, ErrorKind, PullRequestPlan, PullRequestState};
use git2::Oid;

use crate::contract::forge::{BRANCH, Local, World, plan, pull_request};
use crate::support::git::{FILE, START, TestRepo, commit_id, oid, raw_tree};

fn opened(git: &TestRepo) -> LocalRepository {
    open::open(git.path()).unwrap()
}

// ---- opening

#[test]
fn a_repository_is_found_from_any_folder_inside() {
    let git = TestRepo::new();
    let head = git.write("src/deep/a.py", "a = 1\n");
    git.check_out();
    let found = open::open(&git.path().join("src/deep")).unwrap();
    assert_eq!(found, opened(&git));
    assert_eq!(found.work_tree.as_deref(), Some(git.path().canonicalize().unwrap().as_path()));
    assert_eq!(found.head, HeadState::Branch { reference: "refs/heads/main".to_owned(), commit: head });
    assert_eq!(found.name, git.path().file_name().unwrap().to_string_lossy());
    assert_eq!((found.organisation.as_str(), found.shallow), ("local", false));
    assert_eq!((found.base_branch(), found.default_branch.as_deref()), (Some("main"), Some("main")));
    let described = found.describe(found.default_id());
    assert!(described.private, "private until somebody says otherwise");
}

#[test]
fn the_forge_named_by_origin_names_the_repository() {
    let git = TestRepo::bare();
    git.repo.remote("origin", "https://token@github.com/acme/shop.git").unwrap();
    let found = opened(&git);
    assert_eq!((found.name.as_str(), found.organisation.as_str()), ("acme/shop", "acme"));
    assert_eq!(found.work_tree, None);
}

#[test]
fn work_trees_of_one_repository_share_their_identity() {
    let git = TestRepo::new();
    let head = git.write("a.py", "a = 1\n");
    let elsewhere = tempfile::tempdir().unwrap();
    let linked = elsewhere.path().join("linked");
    git.repo.worktree("linked", &linked, None).unwrap();
    let (main, linked) = (opened(&git), open::open(&linked).unwrap());
    assert_ne!(main.git_dir, linked.git_dir);
    assert_eq!((main.default_id(), &main.name), (linked.default_id(), &linked.name));
    assert_eq!(linked.head, HeadState::Branch { reference: "refs/heads/linked".to_owned(), commit: head });
    assert_ne!(main.default_id(), opened(&TestRepo::new()).default_id());
}

#[tokio::test]
async fn a_branch_made_through_a_linked_work_tree_belongs_to_the_repository() {
    let git = TestRepo::new();
    let parent = git.write("a.py", "a = 1\n");
    let elsewhere = tempfile::tempdir().unwrap();
    git.repo.worktree("linked", &elsewhere.path().join("linked"), None).unwrap();
    let linked = open::open(&elsewhere.path().join("linked")).unwrap();
    let forge = codehealer::local::git::LocalForge::new(elsewhere.path(), [(git.described().id, linked.git_dir)]);
    let plan = plan(&parent, &[("a.py", "a = 2\n")]);
    let made = codehealer::ports::Forge::ensure_branch(&forge, &git.described(), &plan).await.unwrap();
    assert_eq!(made, BranchOutcome::Created(git.tip(BRANCH).unwrap()));
}

#[test]
fn a_detached_head_and_an_unborn_branch_are_states_not_errors() {
    let git = TestRepo::new();
    assert_eq!(opened(&git).head, HeadState::Unborn { reference: "refs/heads/main".to_owned() });
    let first = git.write("a.py", "a = 1\n");
    git.repo.set_head_detached(oid(&first)).unwrap();
    let found = opened(&git);
    assert_eq!(found.head, HeadState::Detached(first));
    assert_eq!(found.base_branch(), Some("main"));
}

#[test]
fn what_cannot_be_opened_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = open::open(&folder.path().join("absent")).unwrap_err();
    assert!(matches!(error, OpenError::NoSuchPath(_)), "{error}");
    let error = open::open(folder.path()).unwrap_err();
    assert!(matches!(error, OpenError::NotARepository(_)), "{error}");
    fs::write(folder.path().join(".git"), "gitdir: /nonexistent/worktrees/x\n").unwrap();
    let error = open::open(folder.path()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    for (file, content) in
        [("HEAD", "rubbish\n"), ("HEAD", ""), ("config", "[core\nbroken"), ("refs/heads/main", "zz\n")]
    {
        let git = TestRepo::new();
        git.write("a.py", "a = 1\n");
        fs::write(git.git_dir().join(file), content).unwrap();
        let error = open::open(git.path()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{file}: {error}");
        assert!(error.to_string().contains("git fsck"), "{error}");
    }
    for (key, value) in [("extensions.partialClone", "origin"), ("extensions.refStorage", "reftable")] {
        let git = TestRepo::new();
        git.repo.config().unwrap().set_i32("core.repositoryformatversion", 1).unwrap();
        git.repo.config().unwrap().set_str(key, value).unwrap();
        let error = open::open(git.path()).unwrap_err();
        assert!(matches!(error, OpenError::Unsupported { .. }), "{key}: {error}");
    }
}

#[test]
fn a_head_whose_commit_is_lost_is_damage() {
    let git = TestRepo::new();
    let head = git.write("a.py", "a = 1\n");
    let (folder, file) = head.as_str().split_at(2);
    fs::remove_file(git.git_dir().join("objects").join(folder).join(file)).unwrap();
    assert!(matches!(open::open(git.path()), Err(OpenError::Damaged { .. })));
}

// ---- ranges

fn resolved(git: &TestRepo, base: Option<&str>, head: Option<&str>) -> Result<range::Range, RangeError> {
    range::resolve(&opened(git), base, head)
}

#[test]
fn revisions_are_named_as_people_name_them() {
    let git = TestRepo::new();
    let first = git.write("a.py", "a = 1\n");
    let second = git.write("a.py", "a = 2\n");
    let third = git.write("a.py", "a = 3\n");
    let tag = git.repo.find_object(oid(&first), None).unwrap();
    git.repo.tag("v1", &tag, &git.repo.find_commit(oid(&first)).unwrap().author(), "one", false).unwrap();
    for (name, commit) in
        [("main", &third), ("HEAD~1", &second), ("v1", &first), ("HEAD^^", &first), (second.short(), &second)]
    {
        let range = resolved(&git, Some(name), None).unwrap();
        assert_eq!((range.base.as_ref(), &range.head), (Some(commit), &third), "{name}");
    }
    let range = resolved(&git, Some("v1"), Some("main~1")).unwrap();
    assert_eq!((range.base, range.head, range.chosen), (Some(first), second, Chosen::Named));
}

#[test]
fn revisions_that_name_nothing_are_explained() {
    let git = TestRepo::new();
    assert!(matches!(resolved(&git, None, None), Err(RangeError::NoCommits)));
    assert!(matches!(resolved(&git, Some("main"), Some("main")), Err(RangeError::Unknown(_))));
    git.write("a.py", "a = 1\n");
    for name in ["nope", "HEAD~5", &"d".repeat(40), "refs/heads/x"] {
        let error = resolved(&git, Some(name), None).unwrap_err();
        assert!(matches!(error, RangeError::Unknown(_)), "{name}: {error}");
        assert!(error.to_string().contains(name));
    }
    for name in ["", "a..b", "HEAD^{tree", "-x", "\u{0}"] {
        let error = resolved(&git, Some(name), None).unwrap_err();
        assert!(matches!(error, RangeError::Invalid(_) | RangeError::Unknown(_)), "{name:?}: {error:?}");
    }
    let error = resolved(&git, Some("HEAD:a.py"), None).unwrap_err();
    assert!(matches!(error, RangeError::NotACommit(_)), "{error}");
}

#[test]
fn without_an_upstream_the_last_commit_is_meant() {
    let git = TestRepo::new();
    let first = git.write("a.py", "a = 1\n");
    let range = resolved(&git, None, None).unwrap();
    assert_eq!((range.base, range.chosen), (None, Chosen::FirstCommit));
    git.write("a.py", "a = 2\n");
    let range = resolved(&git, None, None).unwrap();
    assert_eq!((range.base, range.chosen), (Some(first), Chosen::LastCommit));
}

/// Gives `main` an upstream whose reflog says that it went from `old` to `new`.
fn pushed(git: &TestRepo, old: &CommitId, new: &CommitId) {
    let mut config = git.repo.config().unwrap();
    config.set_str("remote.origin.url", "https://example.org/acme/shop.git").unwrap();
    config.set_str("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*").unwrap();
    config.set_str("branch.main.remote", "origin").unwrap();
    config.set_str("branch.main.merge", "refs/heads/main").unwrap();
    config.set_str("user.name", "Ada").unwrap();
    config.set_str("user.email", "ada@example.org").unwrap();
    for commit in [old, new] {
        git.repo.reference("refs/remotes/origin/main", oid(commit), true, "update by push").unwrap();
    }
}

#[test]
fn with_an_upstream_the_last_push_is_meant() {
    let git = TestRepo::new();
    let first = git.write("a.py", "a = 1\n");
    git.write("a.py", "a = 2\n");
    let third = git.write("a.py", "a = 3\n");
    pushed(&git, &first, &third);
    let range = resolved(&git, None, None).unwrap();
    assert_eq!((range.base, &range.head), (Some(first), &third));
    assert_eq!(range.chosen, Chosen::LastPush("origin/main".to_owned()));
    git.write("a.py", "a = 4\n");
    let last = git.write("a.py", "a = 5\n");
    let range = resolved(&git, None, None).unwrap();
    assert_eq!((range.base, range.head), (Some(third), last));
    assert_eq!(range.chosen, Chosen::Unpushed("origin/main".to_owned()));
}

#[test]
fn a_fresh_clone_and_a_rewritten_upstream_fall_back_to_the_last_commit() {
    let git = TestRepo::new();
    let first = git.write("a.py", "a = 1\n");
    let second = git.write("a.py", "a = 2\n");
    pushed(&git, &second, &second);
    assert_eq!(resolved(&git, None, None).unwrap().base, Some(first.clone()));
    let unrelated = git.on("other").parents(&[]).file("b.py", "b\n").commit("root");
    pushed(&git, &unrelated, &second);
    let range = resolved(&git, None, None).unwrap();
    assert_eq!((range.base, range.chosen), (Some(first), Chosen::LastCommit));
}

/// A clone with the newest commit only: its parent is named but not there.
fn shallow() -> (TestRepo, CommitId) {
    let full = TestRepo::new();
    full.write("a.py", "a = 1\n");
    let head = full.write("a.py", "a = 2\n");
    let cut = TestRepo::new();
    let from = full.repo.odb().unwrap();
    let commit = full.repo.find_commit(oid(&head)).unwrap();
    let blob = full.repo.blob(b"a = 2\n").unwrap();
    for id in [commit.id(), commit.tree_id(), blob] {
        let object = from.read(id).unwrap();
        cut.repo.odb().unwrap().write(object.kind(), object.data()).unwrap();
    }
    fs::write(cut.git_dir().join("shallow"), format!("{head}\n")).unwrap();
    fs::write(cut.git_dir().join("refs/heads/main"), format!("{head}\n")).unwrap();
    (cut, head)
}

#[tokio::test]
async fn a_shallow_clone_names_the_remedy_where_history_is_missing() {
    let (git, head) = shallow();
    let found = opened(&git);
    assert!(found.shallow);
    assert!(matches!(range::resolve(&found, None, None), Err(RangeError::NoParent)));
    let error = range::resolve(&found, Some("HEAD~1"), None).unwrap_err();
    assert!(error.to_string().contains("--unshallow"), "{error}");
    assert_eq!(history::walk(&found, Options::default()).unwrap().count(), 0);
    let world = Local::over(git);
    let gone = CommitId::new("d".repeat(40)).unwrap();
    let error = world.forge().changed_files(&world.repository(), Some(&gone), &head).await.unwrap_err();
    assert!(error.kind == ErrorKind::Missing && error.chain().contains("--unshallow"), "{}", error.chain());
    assert_eq!(world.forge().changed_files(&world.repository(), None, &head).await.unwrap().files.len(), 1);
    let made = world.forge().ensure_branch(&world.repository(), &plan(&head, &[("a.py", "a = 3\n")])).await.unwrap();
    assert!(matches!(made, BranchOutcome::Created(_)));
}

// ---- changes

#[tokio::test]
async fn a_hundred_thousand_files_are_listed() {
    let git = TestRepo::bare();
    let blob = git.repo.blob(b"x = 1\n").unwrap();
    let folder = |n: usize| (0..1000).map(|m| (format!("f{m}_{n}.py").into_bytes(), FILE, blob)).collect();
    let folders = (0..100).map(|n| (format!("d{n}").into_bytes(), 0o040_000, raw_tree(&git.repo, folder(n)))).collect();
    let base = git.on("main").file("a.py", "a = 1\n").commit("small");
    let head = git.on("main").raw_entry(b"many", 0o040_000, raw_tree(&git.repo, folders)).commit("large");
    let world = Local::over(git);
    for (base, expected) in [(None, 100_000), (Some(&base), 100_000)] {
        let changes = world.forge().changed_files(&world.repository(), base, &head).await.unwrap();
        assert!((expected..=expected + 1).contains(&changes.files.len()));
    }
    let next = world.git().on("main").file("a.py", "a = 2\n").parents(&[&head]).file("b.py", "b\n").commit("next");
    let changes = world.forge().changed_files(&world.repository(), Some(&base), &next).await.unwrap();
    assert!(changes.files.iter().any(|change| change.path.as_str() == "b.py"));
}

#[tokio::test]
async fn moved_files_are_followed_and_chance_likeness_is_not() {
    let git = TestRepo::bare();
    let text = |seed: usize| (0..30).map(|n| format!("value_{n} = {}\n", n * seed)).collect::<String>();
    let base = git
        .on("main")
        .file("a/one.py", text(7))
        .file("a/two.py", text(11))
        .file("a/copy.py", text(13))
        .file("b/copy.py", text(13))
        .file("empty.py", "")
        .commit("before");
    let head = git
        .on("main")
        .remove("a/one.py")
        .remove("a/two.py")
        .remove("a/copy.py")
        .remove("b/copy.py")
        .remove("empty.py")
        .file("new/one.py", text(7) + "added = 1\n")
        .file("new/two.txt", text(11).replace("value_1 ", "v "))
        .file("new/other.py", text(17))
        .file("c/copy.py", text(13))
        .file("vacant.py", "")
        .commit("after");
    let world = Local::over(git);
    let changes = world.forge().changed_files(&world.repository(), Some(&base), &head).await.unwrap();
    let pairs: Vec<(&str, Option<&str>)> =
        changes.files.iter().map(|c| (c.path.as_str(), c.base_path.as_ref().map(|path| path.as_str()))).collect();
    let expected = [
        ("c/copy.py", Some("a/copy.py")),
        ("new/one.py", Some("a/one.py")),
        ("new/other.py", None),
        ("new/two.txt", None),
        ("vacant.py", None),
    ];
    assert_eq!(pairs, expected);
}

// ---- how pull requests end

/// A world with `main`, our branch that fixes line 2 of `a.py`, and its open pull request.
async fn proposed() -> (Local, CommitId) {
    let world = Local::new();
    let parent = world.git().write("a.py", lines("old", "tail"));
    let fixed = lines("fixed", "tail");
    let plan = plan(&parent, &[("a.py", &fixed)]);
    let made = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap();
    assert!(world.forge().ensure_pull_request(&world.repository(), &pull_request()).await.unwrap().1);
    let BranchOutcome::Created(tip) = made else { panic!("{made:?}") };
    (world, tip)
}

fn lines(second: &str, last: &str) -> String {
    let filler = (0..12).map(|n| format!("filler_{n} = {n}\n")).collect::<String>();
    format!("first = 1\n{second} = 2\n{filler}{last} = 3\n")
}

async fn state(world: &Local) -> (PullRequestState, Option<CommitId>) {
    let found = world.forge().find_pull_request(&world.repository(), BRANCH, "main").await.unwrap().unwrap();
    (found.state, found.merge_commit)
}

#[tokio::test]
async fn the_text_of_a_pull_request_is_for_people() {
    let (world, _) = proposed().await;
    let found = world.forge().find_pull_request(&world.repository(), BRANCH, "main").await.unwrap().unwrap();
    assert_eq!(Path::new(&found.url), world.state_dir().join("pulls/test-1/py-yaml-unsafe-load-0123456789ab-g1.md"));
    let text = fs::read_to_string(&found.url).unwrap();
    assert!(text.starts_with("# Use yaml.safe\\_load\n\nPull request, `codehealer/"), "{text}");
    assert!(text.contains(&format!("git diff main...{BRANCH}")) && text.ends_with("Because **it** matters.\n"));
    fs::remove_file(&found.url).unwrap();
    let other = PullRequestPlan { body: "other".to_owned(), ..pull_request() };
    assert!(!world.forge().ensure_pull_request(&world.repository(), &other).await.unwrap().1);
    assert_eq!(fs::read_to_string(&found.url).unwrap(), text, "a lost text comes back as it was");
}

#[tokio::test]
async fn a_fast_forward_merges_with_our_own_commit() {
    let (world, tip) = proposed().await;
    world.git().write("b.py", "nothing to do with it\n");
    assert_eq!(state(&world).await, (PullRequestState::Open, None));
    world.git().point("main", &tip);
    world.git().write("later.py", "l = 1\n");
    assert_eq!(state(&world).await, (PullRequestState::Merged, Some(tip)));
}

#[tokio::test]
async fn a_squash_onto_a_base_that_moved_is_found_by_its_patch() {
    let (world, _) = proposed().await;
    world.git().write("a.py", lines("old", "other_tail"));
    assert_eq!(state(&world).await.0, PullRequestState::Open);
    let squash = world.git().write("a.py", lines("fixed", "other_tail"));
    world.git().write("a.py", lines("rewritten", "again"));
    world.git().delete_branch(BRANCH);
    assert_eq!(state(&world).await, (PullRequestState::Merged, Some(squash)));
}

#[tokio::test]
async fn the_same_line_written_differently_is_no_merge() {
    let (world, _) = proposed().await;
    world.git().write("a.py", lines("solved_otherwise", "tail"));
    assert_eq!(state(&world).await, (PullRequestState::Open, None));
}

#[tokio::test]
async fn deleting_the_branch_closes_and_making_it_again_does_not_reopen() {
    let (world, tip) = proposed().await;
    world.git().delete_branch(BRANCH);
    assert_eq!(state(&world).await, (PullRequestState::Closed, None));
    world.git().point(BRANCH, &tip);
    assert_eq!(state(&world).await, (PullRequestState::Closed, None));
    world.git().merge(BRANCH, "main");
    assert_eq!(state(&world).await, (PullRequestState::Closed, None), "what was closed was judged");
}

#[tokio::test]
async fn what_was_merged_stays_merged_after_a_revert_or_a_force_push() {
    let (world, tip) = proposed().await;
    let before = world.git().tip("main").unwrap();
    let merge = world.git().merge(BRANCH, "main");
    assert_eq!(state(&world).await, (PullRequestState::Merged, Some(merge.clone())));
    world.git().point("main", &before);
    world.git().delete_branch(BRANCH);
    assert_eq!(state(&world).await, (PullRequestState::Merged, Some(merge)));
    assert_ne!(before, tip);
    let error = world.forge().ensure_branch(&world.repository(), &plan(&tip, &[])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed);
}

#[tokio::test]
async fn a_person_who_amends_and_squashes_has_merged() {
    let (world, _) = proposed().await;
    let amended = world.git().on(BRANCH).file("a.py", lines("better", "tail")).commit("better");
    assert_eq!(state(&world).await, (PullRequestState::Open, None));
    assert_eq!(world.git().tip(BRANCH), Some(amended));
    let squash = world.git().write("a.py", lines("better", "tail"));
    world.git().delete_branch(BRANCH);
    assert_eq!(state(&world).await, (PullRequestState::Merged, Some(squash)));
}

#[tokio::test]
async fn a_branch_that_was_emptied_is_not_merged() {
    let (world, _) = proposed().await;
    let main = world.git().tip("main").unwrap();
    world.git().point(BRANCH, &main);
    assert_eq!(state(&world).await, (PullRequestState::Open, None));
}

#[tokio::test]
async fn a_closed_pull_request_cannot_be_closed_into_something_else() {
    let (world, _) = proposed().await;
    world.git().merge(BRANCH, "main");
    let forge =
        codehealer::local::git::LocalForge::new(world.state_dir(), [(world.repository().id, world.git().git_dir())]);
    let error = forge.close(&world.repository(), BRANCH).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    let error = forge.close(&world.repository(), "codehealer/other-g1").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Missing);
}

// ---- history

/// `main`: root, edit of a.py (1), new file (2), merge of a topic whose commit edits b.js, bulk, edit of both with a link.
fn with_history() -> (TestRepo, Vec<CommitId>) {
    let git = TestRepo::bare();
    let root = git.on("main").file("a.py", "a = 1\n").file("b.js", "b = 1\n").file("notes.txt", "n\n").commit("root");
    let edit = git.on("main").file("a.py", "a = 2\n").file("notes.txt", "m\n").commit("fix a\n\nlong story");
    git.point("topic", &edit);
    let topic = git.on("topic").file("b.js", "b = 2\n").commit("fix b");
    git.on("main").file("new.py", "n = 1\n").commit("only new files");
    let main = git.tip("main").unwrap();
    git.on("main").parents(&[&main, &topic]).file("b.js", "b = 2\n").commit("merge");
    let mut bulk = git.on("main").file("a.py", "a = 'bulk'\n");
    for n in 0..50 {
        bulk = bulk.file(&format!("gen/{n}.py"), "g\n");
    }
    let bulk = bulk.commit("bulk");
    let last =
        git.on("main").file("a.py", "a = 4\n").file("b.js", vec![b'x'; 5000]).symlink("l.py", "x").commit("last");
    (git, vec![root, edit, topic, bulk, last])
}

fn ids(walk: history::History) -> Vec<CommitId> {
    walk.map(|commit| commit.id).collect()
}

#[test]
fn history_gives_the_modified_files_of_each_commit() {
    let (git, commits) = with_history();
    let [_, edit, topic, bulk, last] = commits.as_slice() else { panic!() };
    let options = Options { max_files: 40, max_file_size: 1000, ..Options::default() };
    let mut walk = history::walk(&opened(&git), options.clone()).unwrap();
    let found: Vec<_> = walk.by_ref().collect();
    let order: Vec<&CommitId> = found.iter().map(|commit| &commit.id).collect();
    assert_eq!(order, [last, topic, edit]);
    let report = walk.report();
    assert_eq!((report.commits, report.merges, report.large_files, report.unreadable), (7, 1, 1, 0));
    assert_eq!(report.bulk, std::slice::from_ref(bulk));
    let fix = &found[2];
    assert_eq!((fix.author.as_str(), fix.summary.as_str(), fix.time), ("Ada", "fix a", START + 60_000));
    let [file] = fix.files.as_slice() else { panic!("{:?}", fix.files) };
    assert_eq!((file.path.as_str(), file.language), ("a.py", Language::Python));
    assert_eq!((file.before.as_slice(), file.after.as_slice()), (&b"a = 1\n"[..], &b"a = 2\n"[..]));
    let oldest = Options { oldest_first: true, ..options.clone() };
    assert_eq!(ids(history::walk(&opened(&git), oldest).unwrap()), [edit.clone(), topic.clone(), last.clone()]);
    let own_line = Options { first_parent: true, ..options };
    assert_eq!(ids(history::walk(&opened(&git), own_line).unwrap()), [last.clone(), edit.clone()]);
}

#[test]
fn a_walk_can_be_limited_and_taken_up_again() {
    let (git, commits) = with_history();
    let [_, edit, topic, bulk, last] = commits.as_slice() else { panic!() };
    let walk = |options: Options| ids(history::walk(&opened(&git), options).unwrap());
    let all = walk(Options::default());
    assert_eq!(all, [last.clone(), bulk.clone(), topic.clone(), edit.clone()]);
    for (index, stop) in all.iter().enumerate() {
        let rest = walk(Options { resume_after: Some(stop.clone()), ..Options::default() });
        assert_eq!(rest, all[index + 1..]);
    }
    let gone = CommitId::new("d".repeat(40)).unwrap();
    assert_eq!(walk(Options { resume_after: Some(gone.clone()), ..Options::default() }), all);
    assert_eq!(
        walk(Options { seen: vec![bulk.clone(), gone.clone()], ..Options::default() }),
        std::slice::from_ref(last)
    );
    assert_eq!(walk(Options { from: Some(edit.clone()), ..Options::default() }), std::slice::from_ref(edit));
    assert_eq!(walk(Options { max_commits: 1, ..Options::default() }), std::slice::from_ref(last));
    let since = Options { since: Some(START + 300_000), ..Options::default() };
    assert_eq!(walk(since), [last.clone(), bulk.clone()]);
    let absent = history::walk(&opened(&git), Options { from: Some(gone), ..Options::default() });
    assert!(matches!(absent, Err(HistoryError::NoSuchCommit(_))));
    let empty = history::walk(&opened(&TestRepo::new()), Options::default());
    assert!(matches!(empty, Err(HistoryError::NoCommits)));
}

#[test]
fn a_damaged_commit_is_counted_and_passed_over() {
    let (git, commits) = with_history();
    let blob = git.repo.blob(b"b = 1\n").unwrap().to_string();
    fs::remove_file(git.git_dir().join("objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    let mut walk = history::walk(&opened(&git), Options::default()).unwrap();
    let found: Vec<CommitId> = walk.by_ref().map(|commit| commit.id).collect();
    assert!(!found.contains(&commits[2]) && found.contains(&commits[1]), "{found:?}");
    assert_eq!(walk.report().unreadable, 1);
    assert!(commit_id(Oid::from_str(commits[0].as_str()).unwrap()) == commits[0]);
}
