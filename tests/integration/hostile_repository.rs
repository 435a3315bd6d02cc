//! Repositories made to harm: nothing of them runs, nothing outside is read, nothing of the user's is touched.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Barrier};

use codehealer::local::git::{LocalForge, MAX_BLOB, history, open, range};
use codehealer::model::{BlobId, CommitId};
use codehealer::ports::{BranchOutcome, ErrorKind, Forge, PullRequestPlan};
use git2::Oid;

use crate::contract::forge::{BRANCH, Local, World, plan, pull_request};
use crate::support::git::{FILE, SYMLINK, TestRepo, oid, path, raw_tree};

const HOOKS: &[&str] = &[
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-receive",
    "post-rewrite",
    "post-update",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
    "pre-receive",
    "prepare-commit-msg",
    "proc-receive",
    "push-to-checkout",
    "reference-transaction",
    "sendemail-validate",
    "update",
];

/// Plants everything that git or a build tool would run; each leaves a file in `canaries`.
fn booby_trap(git: &TestRepo, canaries: &Path) {
    let script = |name: &str| {
        let file = git.path().join(format!("trap-{name}.sh"));
        fs::write(&file, format!("#!/bin/sh\ntouch '{}/{name}'\ncat\n", canaries.display())).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file.display().to_string()
    };
    fs::create_dir_all(git.git_dir().join("hooks")).unwrap();
    for hook in HOOKS {
        fs::copy(script(hook), git.git_dir().join("hooks").join(hook)).unwrap();
    }
    let mut config = git.repo.config().unwrap();
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "core.editor",
        "core.askPass",
        "core.gitProxy",
        "core.alternateRefsCommand",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "diff.evil.textconv",
        "diff.evil.command",
        "diff.external",
        "merge.evil.driver",
        "gpg.program",
        "gpg.ssh.program",
        "credential.helper",
        "uploadpack.packObjectsHook",
        "sequence.editor",
        "alias.status",
    ] {
        let name = key.replace('.', "-");
        config.set_str(key, &script(&name)).unwrap();
    }
    config.set_bool("commit.gpgSign", true).unwrap();
    config.set_str("include.path", "/dev/null").unwrap();
}

fn canary_files(canaries: &Path) -> Vec<String> {
    fs::read_dir(canaries).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// A work tree with one commit, checked out and then made dirty in every way.
fn dirty_repository() -> (TestRepo, CommitId) {
    let git = TestRepo::new();
    let touch = "import os\nos.system('touch canary')\n";
    let parent = git
        .on("main")
        .file("a.py", "a = 1\n")
        .file("staged.py", "s = 1\n")
        .file(".gitattributes", "* filter=evil diff=evil merge=evil\n")
        .file("conftest.py", touch)
        .file("setup.py", touch)
        .file("build.rs", "fn main() { std::fs::write(\"canary\", \"\").unwrap(); }\n")
        .commit("one");
    git.check_out();
    fs::write(git.path().join("staged.py"), "s = 2\n").unwrap();
    let mut index = git.repo.index().unwrap();
    index.add_path(Path::new("staged.py")).unwrap();
    index.write().unwrap();
    fs::write(git.path().join("a.py"), "a = 'not saved yet'\n").unwrap();
    fs::write(git.path().join("untracked.py"), "u\n").unwrap();
    git.repo.reference("refs/stash", oid(&parent), true, "stash").unwrap();
    (git, parent)
}

/// Every file of the repository's folder with its content, except where new objects and our own branch belong.
fn snapshot(git: &TestRepo) -> BTreeMap<PathBuf, Vec<u8>> {
    let ours =
        ["objects", "refs/heads/codehealer", "logs/refs/heads/codehealer"].map(|place| git.git_dir().join(place));
    let mut found = BTreeMap::new();
    let mut waiting = vec![git.path().canonicalize().unwrap()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if ours.iter().any(|place| place.canonicalize().is_ok_and(|place| place == entry)) {
                continue;
            }
            if entry.is_dir() && !entry.is_symlink() {
                found.insert(entry.clone(), Vec::new());
                waiting.push(entry);
            } else {
                found.insert(entry.clone(), fs::read(&entry).unwrap_or_default());
            }
        }
    }
    found
}

/// Uses every verb of the forge and everything else that looks at a repository.
async fn use_everything(world: &Local, parent: &CommitId) {
    let (forge, repository, git) = (world.forge(), world.repository(), world.git());
    let opened = open::open(git.path()).unwrap();
    range::resolve(&opened, Some("HEAD"), None).unwrap();
    assert_eq!(history::walk(&opened, history::Options::default()).unwrap().count(), 0);
    assert_eq!(forge.head(&repository, "refs/heads/main").await.unwrap().as_ref(), Some(parent));
    assert_eq!(forge.changed_files(&repository, None, parent).await.unwrap().files.len(), 6);
    let file = forge.read(&repository, parent, &path("a.py")).await.unwrap().unwrap();
    assert_eq!(file.bytes, b"a = 1\n", "the commit's content, not the work tree's");
    let made = forge.ensure_branch(&repository, &plan(parent, &[("a.py", "a = 2\n")])).await.unwrap();
    assert!(matches!(made, BranchOutcome::Created(_)));
    assert!(forge.ensure_pull_request(&repository, &pull_request()).await.unwrap().1);
    assert!(forge.find_pull_request(&repository, BRANCH, "main").await.unwrap().is_some());
}

/// S7.
#[tokio::test]
async fn nothing_of_the_repository_is_run() {
    let (git, parent) = dirty_repository();
    let canaries = tempfile::tempdir().unwrap();
    booby_trap(&git, canaries.path());
    let world = Local::over(git);
    use_everything(&world, &parent).await;
    assert_eq!(canary_files(canaries.path()), [""; 0]);
    // The traps are live: git itself springs one at once.
    if Command::new("git").arg("--version").output().is_ok() {
        let status = |args: &[&str]| Command::new("git").current_dir(world.git().path()).args(args).output();
        status(&["branch", "control"]).unwrap();
        status(&["status"]).unwrap();
        let sprung = canary_files(canaries.path());
        assert!(sprung.iter().any(|name| name == "reference-transaction"), "{sprung:?}");
    }
}

#[tokio::test]
async fn the_users_files_index_head_and_stash_stay_as_they_are() {
    let (git, parent) = dirty_repository();
    let world = Local::over(git);
    let (files, references) = (snapshot(world.git()), world.git().references());
    use_everything(&world, &parent).await;
    assert_eq!(snapshot(world.git()), files);
    let mut now = world.git().references();
    assert!(now.remove(&format!("refs/heads/{BRANCH}")).is_some());
    assert_eq!(now, references);
}

#[tokio::test]
async fn a_checked_out_branch_of_ours_is_never_moved_or_born() {
    let (git, parent) = dirty_repository();
    let world = Local::over(git);
    let head = world.git().git_dir().join("HEAD");
    fs::write(&head, format!("ref: refs/heads/{BRANCH}\n")).unwrap();
    let before = snapshot(world.git());
    let plan = plan(&parent, &[("a.py", "a = 2\n")]);
    let error = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.chain().contains("check out another branch"), "{}", error.chain());
    assert_eq!(snapshot(world.git()), before);
    world.git().point(BRANCH, &parent);
    let before = snapshot(world.git());
    let found = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap();
    assert_eq!(found, BranchOutcome::Foreign(parent));
    assert_eq!(snapshot(world.git()), before);
}

/// S6.
#[tokio::test]
async fn a_symlink_to_a_secret_is_never_followed() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.py");
    fs::write(&secret, "TOKEN = 'hunter2'\n").unwrap();
    let git = TestRepo::new();
    let base = git.on("main").file("a.py", "a = 1\n").commit("one");
    let head = git
        .on("main")
        .symlink("link.py", secret.to_str().unwrap())
        .symlink("folder", outside.path().to_str().unwrap())
        .symlink("deep/er/link.py", "../../link.py")
        .commit("links");
    git.check_out();
    let world = Local::over(git);
    let (forge, repository) = (world.forge(), world.repository());
    for base in [None, Some(&base)] {
        let changes = forge.changed_files(&repository, base, &head).await.unwrap();
        assert!(changes.files.iter().all(|change| change.path.as_str() == "a.py"));
        assert_eq!(changes.skipped.len(), 3);
    }
    for name in ["link.py", "folder/secret.py", "folder", "deep/er/link.py"] {
        assert_eq!(forge.read(&repository, &head, &path(name)).await.unwrap(), None, "{name}");
        let plan = plan(&head, &[(name, "TOKEN = ''\n")]);
        assert!(forge.ensure_branch(&repository, &plan).await.is_err(), "{name}");
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "TOKEN = 'hunter2'\n");
}

#[tokio::test]
async fn a_symlink_among_the_references_does_not_lead_us_out() {
    let outside = tempfile::tempdir().unwrap();
    for place in ["refs/heads/codehealer", "logs/refs/heads/codehealer"] {
        let git = TestRepo::new();
        let parent = git.write("a.py", "a = 1\n");
        symlink(outside.path(), git.git_dir().join(place)).unwrap();
        let world = Local::over(git);
        let plan = plan(&parent, &[("a.py", "a = 2\n")]);
        let error = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{}", error.chain());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}

/// S5 at the forge: names that only bytes can spell are listed with a reason and never become paths.
#[tokio::test]
async fn names_that_deceive_are_passed_over() {
    let git = TestRepo::bare();
    let blob = git.repo.blob(b"evil = 1\n").unwrap();
    let folder = raw_tree(&git.repo, vec![(b"x.py".to_vec(), FILE, blob)]);
    let names: &[&[u8]] = &[
        b"..",
        b"../up.py",
        b"a/b.py",
        b"/abs.py",
        b"back\\slash.py",
        b"new\nline.py",
        b"not-utf8-\xff.py",
        "zero\u{200b}width.py".as_bytes(),
        "over\u{202e}ride.py".as_bytes(),
        b"esc\x1b[31m.py",
        b"c:drive.py",
        b".git",
    ];
    let mut change = git.on("main").file("good.py", "g = 1\n").file("sub/good.py", "g = 2\n");
    for name in names {
        change = change.raw_entry(name, FILE, blob);
    }
    for name in [&b".GIT"[..], b".git.", b"GIT~1", b"..."] {
        change = change.raw_entry(name, 0o040_000, folder);
    }
    let head = change.commit("odd names");
    let world = Local::over(git);
    let changes = world.forge().changed_files(&world.repository(), None, &head).await.unwrap();
    let files: Vec<&str> = changes.files.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(files, [".../x.py", "good.py", "sub/good.py"]);
    assert_eq!(changes.skipped.len(), names.len() + 3, "{:#?}", changes.skipped);
    for (shown, reason) in &changes.skipped {
        assert!(!reason.is_empty() && !shown.chars().any(char::is_control), "{shown:?}: {reason}");
    }
    let plan = plan(&head, &[("good.py", "g = 3\n")]);
    let made = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap();
    let BranchOutcome::Created(commit) = made else { panic!("{made:?}") };
    let after = world.forge().changed_files(&world.repository(), Some(&head), &commit).await.unwrap();
    assert_eq!((after.files.len(), after.skipped.len()), (1, 0), "the odd entries are carried over unchanged");
}

#[tokio::test]
async fn names_that_differ_in_case_only_are_two_files() {
    let git = TestRepo::bare();
    let parent = git.on("main").file("Case.py", "a = 1\n").file("case.py", "b = 1\n").commit("both");
    let world = Local::over(git);
    let made =
        world.forge().ensure_branch(&world.repository(), &plan(&parent, &[("case.py", "b = 2\n")])).await.unwrap();
    let BranchOutcome::Created(commit) = made else { panic!("{made:?}") };
    assert_eq!(world.git().file_at(&commit, "Case.py"), b"a = 1\n");
    assert_eq!(world.git().file_at(&commit, "case.py"), b"b = 2\n");
}

#[tokio::test]
async fn trees_that_hold_themselves_many_times_over_end_in_an_error() {
    let git = TestRepo::bare();
    let mut id = git.repo.blob(b"x\n").unwrap();
    let mut mode = FILE;
    for _ in 0..12 {
        id = raw_tree(&git.repo, (0..10).map(|n| (format!("{n}.py").into_bytes(), mode, id)).collect());
        mode = 0o040_000;
    }
    let head = git.on("main").raw_entry(b"bomb", mode, id).commit("bomb");
    let world = Local::over(git);
    let error = world.forge().changed_files(&world.repository(), None, &head).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed, "{}", error.chain());
}

#[tokio::test]
async fn trees_deeper_than_any_path_are_passed_over() {
    let git = TestRepo::bare();
    let mut id = raw_tree(&git.repo, vec![(b"x.py".to_vec(), FILE, git.repo.blob(b"x\n").unwrap())]);
    for _ in 0..3000 {
        id = raw_tree(&git.repo, vec![(b"d".to_vec(), 0o040_000, id)]);
    }
    let head = git.on("main").raw_entry(b"d", 0o040_000, id).commit("deep");
    let world = Local::over(git);
    let changes = world.forge().changed_files(&world.repository(), None, &head).await.unwrap();
    assert!(changes.files.is_empty());
    let [(_, reason)] = changes.skipped.as_slice() else { panic!("{:?}", changes.skipped) };
    assert_eq!(reason, "it is a folder nested too deeply");
}

#[tokio::test]
async fn huge_and_missing_files_do_not_hide_the_others() {
    let git = TestRepo::bare();
    let huge = vec![b'x'; MAX_BLOB + 1];
    let gone = Oid::from_str(&"d".repeat(40)).unwrap();
    let head = git.on("main").file("a.py", "a\n").file("huge.py", &huge).raw_entry(b"gone.py", FILE, gone).commit("x");
    let world = Local::over(git);
    let (forge, repository) = (world.forge(), world.repository());
    let changes = forge.changed_files(&repository, None, &head).await.unwrap();
    let sizes: Vec<(&str, u64)> = changes.files.iter().map(|change| (change.path.as_str(), change.size)).collect();
    assert_eq!(sizes, [("a.py", 2), ("huge.py", MAX_BLOB as u64 + 1)]);
    assert_eq!(changes.skipped.len(), 1);
    let error = forge.read(&repository, &head, &path("huge.py")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed);
    let commit = BlobId::new(head.as_str()).unwrap();
    assert_eq!(forge.read_blob(&repository, &commit).await.unwrap_err().kind, ErrorKind::Missing);
}

#[tokio::test]
async fn damaged_objects_are_errors_not_content() {
    let git = TestRepo::new();
    let head = git.on("main").file("a.py", "a = 1\n").commit("one");
    let blob = git.repo.blob(b"a = 1\n").unwrap().to_string();
    let object = git.git_dir().join("objects").join(&blob[..2]).join(&blob[2..]);
    fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).unwrap();
    for damage in [&b""[..], b"not zlib", &[0x78, 0x9c, 0x03, 0x00]] {
        fs::write(&object, damage).unwrap();
        let forge = LocalForge::new(Path::new("/nonexistent"), [(git.described().id, git.git_dir())]);
        assert!(forge.read(&git.described(), &head, &path("a.py")).await.is_err(), "{damage:?}");
    }
}

/// Eight clones of the forge, as eight processes would have them, want the same branch.
#[test]
fn of_eight_that_make_the_branch_one_creates_and_seven_adopt() {
    let git = TestRepo::bare();
    let parent = git.write("a.py", "a = 1\n");
    for round in 0..15 {
        let name = format!("codehealer/race-{round}-g1");
        let outcomes = race(&git, |_| codehealer::ports::BranchPlan {
            name: name.clone(),
            ..plan(&parent, &[("a.py", "a = 2\n")])
        });
        let created = outcomes.iter().filter(|outcome| matches!(outcome, BranchOutcome::Created(_))).count();
        let adopted = outcomes.iter().filter(|outcome| matches!(outcome, BranchOutcome::Adopted(_))).count();
        assert_eq!((created, adopted), (1, 7), "{outcomes:?}");
    }
}

#[test]
fn of_eight_different_plans_one_wins_and_nothing_is_overwritten() {
    let git = TestRepo::bare();
    let parent = git.write("a.py", "a = 1\n");
    for round in 0..15 {
        let name = format!("codehealer/contest-{round}-g1");
        let outcomes = race(&git, |n| {
            let content = format!("a = {}\n", n + 2);
            codehealer::ports::BranchPlan { name: name.clone(), ..plan(&parent, &[("a.py", &content)]) }
        });
        let created: Vec<&BranchOutcome> =
            outcomes.iter().filter(|outcome| matches!(outcome, BranchOutcome::Created(_))).collect();
        let [BranchOutcome::Created(winner)] = created.as_slice() else { panic!("{outcomes:?}") };
        assert_eq!(git.tip(&name).as_ref(), Some(winner));
        let foreign = outcomes.iter().filter(|outcome| **outcome == BranchOutcome::Foreign(winner.clone())).count();
        assert_eq!(foreign, 7, "{outcomes:?}");
    }
}

fn race(git: &TestRepo, plan: impl Fn(usize) -> codehealer::ports::BranchPlan) -> Vec<BranchOutcome> {
    let start = Arc::new(Barrier::new(8));
    let runs: Vec<_> = (0..8)
        .map(|n| {
            let (start, plan, repository) = (Arc::clone(&start), plan(n), git.described());
            let forge = LocalForge::new(Path::new("/nonexistent"), [(repository.id.clone(), git.git_dir())]);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                start.wait();
                runtime.block_on(forge.ensure_branch(&repository, &plan)).unwrap()
            })
        })
        .collect();
    runs.into_iter().map(|run| run.join().unwrap()).collect()
}

#[tokio::test]
async fn what_stands_in_the_way_of_our_branch_is_named() {
    let git = TestRepo::bare();
    let parent = git.write("a.py", "a = 1\n");
    let lock = git.git_dir().join(format!("refs/heads/{BRANCH}.lock"));
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    fs::write(&lock, "").unwrap();
    let world = Local::over(git);
    let plan = plan(&parent, &[("a.py", "a = 2\n")]);
    let error = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.chain().contains(".lock is held; remove it"), "{}", error.chain());
    fs::remove_file(&lock).unwrap();
    fs::remove_dir(lock.parent().unwrap()).unwrap();
    for other in ["codehealer", &format!("{BRANCH}/more")] {
        world.git().point(other, &parent);
        let error = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict, "{}", error.chain());
        assert!(error.chain().contains("rename that branch"), "{}", error.chain());
        world.git().delete_branch(other);
    }
}

#[tokio::test]
async fn messages_and_titles_with_odd_characters_do_no_harm() {
    let git = TestRepo::bare();
    let parent = git.write("a.py", "a = 1\n");
    let world = Local::over(git);
    let mut nul = plan(&parent, &[("a.py", "a = 2\n")]);
    nul.message = "a\0b".to_owned();
    let error = world.forge().ensure_branch(&world.repository(), &nul).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed);
    world.forge().ensure_branch(&world.repository(), &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap();
    let odd = PullRequestPlan { title: "a\r\n# b".to_owned(), body: "\u{0}\u{1b}[31m".to_owned(), ..pull_request() };
    let (opened, _) = world.forge().ensure_pull_request(&world.repository(), &odd).await.unwrap();
    assert!(Path::new(&opened.url).starts_with(world.state_dir()));
    let text = fs::read_to_string(&opened.url).unwrap();
    let title = text.lines().next().unwrap();
    assert!(title.starts_with("# a ") && title.ends_with('b') && text.lines().nth(1) == Some(""), "{text}");
    for branch in ["../../../etc/passwd", "codehealer/../../x", "", "\0"] {
        let found = world.forge().find_pull_request(&world.repository(), branch, "main").await.unwrap();
        assert_eq!(found, None, "{branch:?}");
    }
}

#[tokio::test]
async fn a_tree_entry_that_is_a_symlink_by_mode_is_not_read_whatever_it_holds() {
    let git = TestRepo::bare();
    let head =
        git.on("main").entry(b"code.py", SYMLINK, "import os\nos.system(x)\n").commit("a link that looks like code");
    let world = Local::over(git);
    assert_eq!(world.forge().read(&world.repository(), &head, &path("code.py")).await.unwrap(), None);
}
