//! What every forge must do. A backend implements [`World`] and names itself in [`forge_contract!`].

pub mod hosted;

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use codehealer::local::git::LocalForge;
use codehealer::model::{BlobId, Change, CommitId, Repository};
use codehealer::ports::{BranchOutcome, BranchPlan, Changes, ErrorKind, Forge, PullRequestPlan, PullRequestState};

use crate::support::git::{EXECUTABLE, FILE, START, TestRepo, oid, path};

/// A forge with one repository, and the people who use it.
#[async_trait(?Send)]
pub trait World {
    fn forge(&self) -> &dyn Forge;
    fn repository(&self) -> Repository;
    /// The repository behind the forge, for what people push.
    fn git(&self) -> &TestRepo;
    /// A person closes the pull request without merging.
    async fn close(&self, branch: &str);
    /// A person merges the pull request with a merge commit.
    async fn merge(&self, branch: &str, base: &str) -> CommitId;
}

/// The forge on a laptop.
pub struct Local {
    git: TestRepo,
    forge: LocalForge,
    _state: tempfile::TempDir,
}

impl Local {
    pub fn new() -> Self {
        Self::over(TestRepo::bare())
    }

    pub fn over(git: TestRepo) -> Self {
        let state = tempfile::tempdir().unwrap();
        let forge = LocalForge::new(state.path(), [(git.described().id, git.git_dir())]);
        Self { git, forge, _state: state }
    }

    pub fn state_dir(&self) -> &Path {
        self._state.path()
    }
}

#[async_trait(?Send)]
impl World for Local {
    fn forge(&self) -> &dyn Forge {
        &self.forge
    }

    fn repository(&self) -> Repository {
        self.git.described()
    }

    fn git(&self) -> &TestRepo {
        &self.git
    }

    async fn close(&self, branch: &str) {
        self.forge.close(&self.repository(), branch).await.unwrap();
    }

    async fn merge(&self, branch: &str, base: &str) -> CommitId {
        self.git.merge(branch, base)
    }
}

pub const BRANCH: &str = "codehealer/py-yaml-unsafe-load-0123456789ab-g1";

pub fn plan(parent: &CommitId, files: &[(&str, &str)]) -> BranchPlan {
    BranchPlan {
        name: BRANCH.to_owned(),
        parent: parent.clone(),
        files: files.iter().map(|(name, content)| (path(name), content.as_bytes().to_vec())).collect(),
        message: "Use yaml.safe_load\n\nBecause.\n".to_owned(),
        at: START + 7_000_123,
    }
}

pub fn pull_request() -> PullRequestPlan {
    PullRequestPlan {
        branch: BRANCH.to_owned(),
        base: "main".to_owned(),
        title: "Use yaml.safe_load".to_owned(),
        body: "Because **it** matters.".to_owned(),
        draft: false,
    }
}

fn names(changes: &Changes) -> Vec<&str> {
    changes.files.iter().map(|change| change.path.as_str()).collect()
}

fn change<'a>(changes: &'a Changes, name: &str) -> &'a Change {
    changes.files.iter().find(|change| change.path.as_str() == name).unwrap()
}

pub async fn heads_are_commits_or_nothing(world: &dyn World) {
    let (forge, repository) = (world.forge(), world.repository());
    assert_eq!(forge.head(&repository, "refs/heads/main").await.unwrap(), None);
    let first = world.git().write("a.py", "a = 1\n");
    let second = world.git().write("a.py", "a = 2\n");
    assert_eq!(forge.head(&repository, "refs/heads/main").await.unwrap(), Some(second));
    world.git().point("main", &first);
    assert_eq!(forge.head(&repository, "refs/heads/main").await.unwrap(), Some(first));
    assert_eq!(forge.head(&repository, "refs/heads/other").await.unwrap(), None);
}

pub async fn changes_are_those_since_the_merge_base(world: &dyn World) {
    let git = world.git();
    let long = (0..40).map(|n| format!("line_{n} = {n}\n")).collect::<String>();
    git.on("main").file("kept.py", "k = 1\n").file("edited.py", "e = 1\n").file("gone.py", "g = 1\n").commit("one");
    let fork = git.on("main").file("src/old_name.py", &long).commit("two");
    let base = git.on("main").file("on_main.py", "m = 1\n").file("kept.py", "k = 2\n").commit("main goes on");
    git.point("topic", &fork);
    let renamed = long.replace("line_3 = 3", "line_3 = 33");
    let head = git
        .on("topic")
        .file("edited.py", "e = 2\n")
        .file("new.py", "n = 1\n")
        .remove("gone.py")
        .remove("src/old_name.py")
        .file("lib/new_name.py", &renamed)
        .commit("topic");
    let changes = world.forge().changed_files(&world.repository(), Some(&base), &head).await.unwrap();
    assert_eq!(names(&changes), ["edited.py", "lib/new_name.py", "new.py"]);
    assert!(changes.skipped.is_empty(), "{:?}", changes.skipped);
    let edited = change(&changes, "edited.py");
    assert_eq!(edited.base_path, Some(path("edited.py")));
    let (old, new) = (edited.base_blob.as_ref().unwrap(), &edited.blob);
    assert_eq!(world.forge().read_blob(&world.repository(), old).await.unwrap(), b"e = 1\n");
    assert_eq!(world.forge().read_blob(&world.repository(), new).await.unwrap(), b"e = 2\n");
    assert_eq!(edited.size, 6);
    assert_eq!((&change(&changes, "new.py").base_path, &change(&changes, "new.py").base_blob), (&None, &None));
    assert_eq!(change(&changes, "lib/new_name.py").base_path, Some(path("src/old_name.py")));
}

pub async fn without_a_base_every_file_is_new(world: &dyn World) {
    let git = world.git();
    git.on("main").file("a.py", "a\n").file("deep/er/b.py", "").commit("one");
    let head = git.on("main").executable("run.sh", "true\n").remove("a.py").commit("two");
    let changes = world.forge().changed_files(&world.repository(), None, &head).await.unwrap();
    assert_eq!(names(&changes), ["deep/er/b.py", "run.sh"]);
    assert!(changes.files.iter().all(|change| change.base_path.is_none() && change.base_blob.is_none()));
    let same = world.forge().changed_files(&world.repository(), Some(&head), &head).await.unwrap();
    assert_eq!(same, Changes::default());
}

pub async fn links_and_submodules_are_named_but_never_files(world: &dyn World) {
    let git = world.git();
    let base = git.on("main").symlink("was_link.py", "a.py").file("was_file.py", "x = 1\n").commit("one");
    let head = git
        .on("main")
        .symlink("link.py", "/etc/passwd")
        .submodule("vendor/lib", oid(&base))
        .file("was_link.py", "y = 1\n")
        .symlink("was_file.py", "a.py")
        .commit("two");
    let changes = world.forge().changed_files(&world.repository(), Some(&base), &head).await.unwrap();
    assert_eq!(names(&changes), ["was_link.py"]);
    assert_eq!(change(&changes, "was_link.py").base_blob, None, "what was a link has no old content");
    let skipped: BTreeMap<&str, &str> =
        changes.skipped.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
    assert_eq!(skipped.keys().copied().collect::<Vec<_>>(), ["link.py", "vendor/lib", "was_file.py"]);
    assert!(skipped["link.py"].contains("symlink") && skipped["vendor/lib"].contains("submodule"));
    for name in ["link.py", "vendor/lib", "vendor", "link.py/x", "absent.py"] {
        let read = world.forge().read(&world.repository(), &head, &path(name)).await.unwrap();
        assert_eq!(read, None, "{name}");
    }
}

pub async fn commits_that_are_gone_are_missing(world: &dyn World) {
    let head = world.git().write("a.py", "a = 1\n");
    let gone = CommitId::new("d".repeat(40)).unwrap();
    let (forge, repository) = (world.forge(), world.repository());
    let kinds = [
        forge.changed_files(&repository, Some(&gone), &head).await.unwrap_err().kind,
        forge.changed_files(&repository, None, &gone).await.unwrap_err().kind,
        forge.read(&repository, &gone, &path("a.py")).await.unwrap_err().kind,
        forge.read_blob(&repository, &BlobId::new("d".repeat(40)).unwrap()).await.unwrap_err().kind,
        forge.ensure_branch(&repository, &plan(&gone, &[("a.py", "b")])).await.unwrap_err().kind,
    ];
    assert_eq!(kinds, [const { ErrorKind::Missing }; 5]);
    let unrelated = world.git().on("other").parents(&[]).file("b.py", "b\n").commit("root");
    let error = forge.changed_files(&repository, Some(&unrelated), &head).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Missing);
}

pub async fn bytes_come_back_as_they_are(world: &dyn World) {
    let odd = b"\xef\xbb\xbfa = 1\r\n\tb = '\xff\xfe'\r\n\0".as_slice();
    let git = world.git();
    let head = git.on("main").file(".gitattributes", "* text eol=lf ident\n").file("d/odd.py", odd).commit("odd");
    let head = git.on("main").parents(&[&head]).executable("run.py", "$Id$\n").commit("more");
    let read = |name: &'static str| {
        let (repository, head) = (world.repository(), head.clone());
        async move { world.forge().read(&repository, &head, &path(name)).await.unwrap().unwrap() }
    };
    let file = read("d/odd.py").await;
    assert_eq!((file.bytes.as_slice(), file.executable), (odd, false));
    assert_eq!(world.forge().read_blob(&world.repository(), &file.blob).await.unwrap(), odd);
    let file = read("run.py").await;
    assert_eq!((file.bytes.as_slice(), file.executable), (b"$Id$\n".as_slice(), true));
}

pub async fn a_branch_is_made_once_and_then_adopted(world: &dyn World) {
    let git = world.git();
    let parent =
        git.on("main").file("a.py", "a = 1\n").executable("bin/run.py", "r = 1\n").file("b.py", "b\n").commit("x");
    let before = git.references();
    let plan = plan(&parent, &[("a.py", "a = 2\n"), ("bin/run.py", "r = 2\r\n")]);
    let made = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap();
    let BranchOutcome::Created(commit) = made else { panic!("{made:?}") };
    assert_eq!(git.tip(BRANCH), Some(commit.clone()));
    assert_eq!(git.file_at(&commit, "a.py"), b"a = 2\n");
    assert_eq!(git.file_at(&commit, "bin/run.py"), b"r = 2\r\n");
    assert_eq!(git.file_at(&commit, "b.py"), b"b\n");
    assert_eq!((git.mode_at(&commit, "a.py"), git.mode_at(&commit, "bin/run.py")), (FILE, EXECUTABLE));
    let again = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap();
    assert_eq!(again, BranchOutcome::Adopted(commit.clone()));
    let mut after = git.references();
    assert!(after.remove(&format!("refs/heads/{BRANCH}")).is_some());
    assert_eq!(after, before, "no other reference moved");
    git.delete_branch(BRANCH);
    let remade = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap();
    assert_eq!(remade, BranchOutcome::Created(commit), "the same plan makes the same commit");
}

pub async fn a_persons_commit_on_our_branch_is_kept(world: &dyn World) {
    let git = world.git();
    let parent = git.write("a.py", "a = 1\n");
    let plan = plan(&parent, &[("a.py", "a = 2\n")]);
    world.forge().ensure_branch(&world.repository(), &plan).await.unwrap();
    let theirs = git.on(BRANCH).file("a.py", "a = 3\n").commit("by a person");
    let found = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap();
    assert_eq!(found, BranchOutcome::Adopted(theirs.clone()));
    assert_eq!(git.tip(BRANCH), Some(theirs));
}

pub async fn a_branch_with_other_content_is_left_alone(world: &dyn World) {
    let git = world.git();
    let parent = git.write("a.py", "a = 1\n");
    let plan = plan(&parent, &[("a.py", "a = 2\n")]);
    git.point(BRANCH, &parent);
    let theirs = git.on(BRANCH).file("a.py", "a = 3\n").commit("by a person");
    let found = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap();
    assert_eq!(found, BranchOutcome::Foreign(theirs.clone()));
    let back = git.on(BRANCH).file("a.py", "a = 2\n").commit("our content, but on top of theirs");
    let found = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap();
    assert_eq!(found, BranchOutcome::Foreign(back.clone()));
    assert_eq!(git.tip(BRANCH), Some(back));
}

pub async fn plans_that_reach_too_far_are_refused(world: &dyn World) {
    let git = world.git();
    let parent = git
        .on("main")
        .file("a.py", "a = 1\n")
        .symlink("link.py", "a.py")
        .symlink("folder", "/tmp")
        .submodule("vendor/lib", oid(&git.write("seed.py", "s\n")))
        .file(".github/workflows/ci.yml", "on: push\n")
        .file("package-lock.json", "{}\n")
        .commit("x");
    let before = git.references();
    let refused = [
        ("link.py", ErrorKind::Denied),
        ("vendor/lib", ErrorKind::Denied),
        (".github/workflows/ci.yml", ErrorKind::Denied),
        ("package-lock.json", ErrorKind::Denied),
        (".git/hooks/post-commit", ErrorKind::Denied),
        ("folder/evil.py", ErrorKind::Missing),
        ("a.py/b.py", ErrorKind::Missing),
        ("new.py", ErrorKind::Missing),
    ];
    for (name, kind) in refused {
        let plan = plan(&parent, &[("a.py", "a = 2\n"), (name, "x\n")]);
        let error = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap_err();
        assert_eq!(error.kind, kind, "{name}: {}", error.chain());
    }
    for name in ["main", "refs/heads/main", "codehealer/../main", "codehealer/a..b", "codehealer/", "codehealer/x.lock"]
    {
        let plan = BranchPlan { name: name.to_owned(), ..plan(&parent, &[("a.py", "a = 2\n")]) };
        let error = world.forge().ensure_branch(&world.repository(), &plan).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{name}: {}", error.chain());
    }
    for files in [&[][..], &[("a.py", "a = 1\n")]] {
        let error = world.forge().ensure_branch(&world.repository(), &plan(&parent, files)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{}", error.chain());
    }
    assert_eq!(git.references(), before);
}

/// Links, odd names and modes come and go in one range; what was a folder is a file now.
pub async fn files_and_folders_may_change_places(world: &dyn World) {
    let git = world.git();
    let base =
        git.on("main").file("a/x.py", "x = 1\n").file("b", "b = 1\n").executable("run.sh", "true\n").commit("one");
    let change = git.on("main").remove("a/x.py").file("a", "a = 1\n").remove("b").file("b/y.py", "y = 1\n");
    let head = change.file("run.sh", "true\n").file("we ird/ü#?%.py", "u = 1\n").commit("two");
    let (forge, repository) = (world.forge(), world.repository());
    let changes = forge.changed_files(&repository, Some(&base), &head).await.unwrap();
    assert_eq!(names(&changes), ["a", "b/y.py", "we ird/ü#?%.py"], "a change of mode alone is none");
    let odd = forge.read(&repository, &head, &path("we ird/ü#?%.py")).await.unwrap().unwrap();
    assert_eq!(odd.bytes, b"u = 1\n");
    assert_eq!(forge.read(&repository, &head, &path("b")).await.unwrap(), None, "a folder is no file");
}

/// More than a forge lists at once.
pub async fn many_files_are_all_seen(world: &dyn World) {
    let git = world.git();
    let base = git.write("a.py", "a = 1\n");
    let name = |n: usize| format!("d{}/f{n:03}.py", n % 7);
    let many = |count: usize| (0..count).fold(git.on("main"), |on, n| on.file(&name(n), format!("n = {n}\n")));
    let middle = many(150).commit("half");
    let head = many(420).commit("all");
    for (from, expected) in [(&base, 420), (&middle, 270)] {
        let changes = world.forge().changed_files(&world.repository(), Some(from), &head).await.unwrap();
        assert_eq!((changes.files.len(), changes.skipped.len()), (expected, 0));
    }
}

/// R13: a branch without a pull request gets one; a second call finds it.
pub async fn a_pull_request_is_opened_once(world: &dyn World) {
    let (forge, repository) = (world.forge(), world.repository());
    let parent = world.git().write("a.py", "a = 1\n");
    assert_eq!(forge.find_pull_request(&repository, BRANCH, "main").await.unwrap(), None);
    let error = forge.ensure_pull_request(&repository, &pull_request()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Missing, "a pull request needs its branch");
    assert_eq!(forge.find_pull_request(&repository, BRANCH, "main").await.unwrap(), None);
    forge.ensure_branch(&repository, &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap();
    let nowhere = PullRequestPlan { base: "nowhere".to_owned(), ..pull_request() };
    assert_eq!(forge.ensure_pull_request(&repository, &nowhere).await.unwrap_err().kind, ErrorKind::Missing);
    let (opened, new) = forge.ensure_pull_request(&repository, &pull_request()).await.unwrap();
    assert!(new);
    assert_eq!((opened.state, opened.draft, &opened.merge_commit), (PullRequestState::Open, false, &None));
    let other = PullRequestPlan { title: "Another".to_owned(), draft: true, ..pull_request() };
    assert_eq!(forge.ensure_pull_request(&repository, &other).await.unwrap(), (opened.clone(), false));
    assert_eq!(forge.find_pull_request(&repository, BRANCH, "main").await.unwrap(), Some(opened));
}

pub async fn a_draft_is_a_draft(world: &dyn World) {
    let (forge, repository) = (world.forge(), world.repository());
    let parent = world.git().write("a.py", "a = 1\n");
    forge.ensure_branch(&repository, &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap();
    let draft = PullRequestPlan { draft: true, ..pull_request() };
    assert!(forge.ensure_pull_request(&repository, &draft).await.unwrap().0.draft);
    assert!(forge.find_pull_request(&repository, BRANCH, "main").await.unwrap().unwrap().draft);
}

/// R11: what people closed is never opened again.
pub async fn a_closed_pull_request_stays_closed(world: &dyn World) {
    let (forge, repository) = (world.forge(), world.repository());
    let parent = world.git().write("a.py", "a = 1\n");
    forge.ensure_branch(&repository, &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap();
    forge.ensure_pull_request(&repository, &pull_request()).await.unwrap();
    world.close(BRANCH).await;
    let found = forge.find_pull_request(&repository, BRANCH, "main").await.unwrap().unwrap();
    assert_eq!(found.state, PullRequestState::Closed);
    assert_eq!(forge.ensure_pull_request(&repository, &pull_request()).await.unwrap(), (found, false));
}

pub async fn a_merged_pull_request_names_its_commit(world: &dyn World) {
    let (forge, repository) = (world.forge(), world.repository());
    let parent = world.git().write("a.py", "a = 1\n");
    forge.ensure_branch(&repository, &plan(&parent, &[("a.py", "a = 2\n")])).await.unwrap();
    forge.ensure_pull_request(&repository, &pull_request()).await.unwrap();
    let merge = world.merge(BRANCH, "main").await;
    world.git().write("later.py", "l = 1\n");
    let found = forge.find_pull_request(&repository, BRANCH, "main").await.unwrap().unwrap();
    assert_eq!((found.state, found.merge_commit), (PullRequestState::Merged, Some(merge)));
}

/// Runs every case of the contract on the world that `$world` makes.
macro_rules! forge_contract {
    ($world:expr; $($case:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::contract::forge::$case(&$world).await;
            }
        )*
    };
    ($world:expr) => {
        $crate::contract::forge::forge_contract! {
            $world;
            heads_are_commits_or_nothing,
            changes_are_those_since_the_merge_base,
            without_a_base_every_file_is_new,
            links_and_submodules_are_named_but_never_files,
            commits_that_are_gone_are_missing,
            bytes_come_back_as_they_are,
            files_and_folders_may_change_places,
            many_files_are_all_seen,
            a_branch_is_made_once_and_then_adopted,
            a_persons_commit_on_our_branch_is_kept,
            a_branch_with_other_content_is_left_alone,
            plans_that_reach_too_far_are_refused,
            a_pull_request_is_opened_once,
            a_draft_is_a_draft,
            a_closed_pull_request_stays_closed,
            a_merged_pull_request_names_its_commit,
        }
    };
}
pub(crate) use forge_contract;

mod local {
    use super::Local;

    super::forge_contract!(Local::new());
}
