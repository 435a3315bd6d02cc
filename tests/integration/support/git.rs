//! Small git repositories for tests: any tree that bytes can express, hostile ones included, made without a `git` binary.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use codehealer::model::{CommitId, RepoPath, Repository, RepositoryId, UnixMillis};
use git2::{Commit, ObjectType, Oid, Signature, Time};
use tempfile::TempDir;

pub const FILE: u32 = 0o100_644;
pub const EXECUTABLE: u32 = 0o100_755;
pub const SYMLINK: u32 = 0o120_000;
pub const SUBMODULE: u32 = 0o160_000;
const TREE: u32 = 0o040_000;

/// First commit's time; each further one is a minute later.
pub const START: UnixMillis = 1_700_000_000_000;

pub fn path(text: &str) -> RepoPath {
    RepoPath::new(text).unwrap()
}

/// A repository in a temporary folder that goes away with it. Its branch is `main`.
pub struct TestRepo {
    pub folder: TempDir,
    pub repo: git2::Repository,
    commits: Cell<u64>,
}

impl TestRepo {
    pub fn new() -> Self {
        Self::init(false)
    }

    pub fn bare() -> Self {
        Self::init(true)
    }

    fn init(bare: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(bare).initial_head("main").external_template(false);
        let repo = git2::Repository::init_opts(folder.path(), &options).unwrap();
        Self { folder, repo, commits: Cell::new(0) }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn git_dir(&self) -> PathBuf {
        self.repo.path().to_path_buf()
    }

    /// The repository as the healer names it.
    pub fn described(&self) -> Repository {
        Repository {
            id: RepositoryId("test-1".to_owned()),
            name: "acme/shop".to_owned(),
            organisation: "acme".to_owned(),
            private: true,
        }
    }

    /// Begins a commit on `branch`, on top of what it has.
    pub fn on(&self, branch: &str) -> Change<'_> {
        let reference = format!("refs/heads/{branch}");
        let tip = self.repo.find_reference(&reference).ok().map(|found| found.peel_to_commit().unwrap().id());
        Change { of: self, reference, parents: tip.into_iter().collect(), edits: Vec::new(), raw: Vec::new() }
    }

    /// One commit on `main` that writes one file.
    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) -> CommitId {
        self.on("main").file(file, content).commit(&format!("write {file}"))
    }

    /// Makes or moves a branch without looking.
    pub fn point(&self, branch: &str, at: &CommitId) {
        self.repo.reference(&format!("refs/heads/{branch}"), oid(at), true, "test").unwrap();
    }

    pub fn delete_branch(&self, branch: &str) {
        self.repo.find_reference(&format!("refs/heads/{branch}")).unwrap().delete().unwrap();
    }

    pub fn tip(&self, branch: &str) -> Option<CommitId> {
        let found = self.repo.find_reference(&format!("refs/heads/{branch}")).ok()?;
        Some(commit_id(found.peel_to_commit().unwrap().id()))
    }

    /// Merges `branch` into `base` with a merge commit whose tree is that of `branch`.
    pub fn merge(&self, branch: &str, base: &str) -> CommitId {
        let theirs = self.repo.find_commit(oid(&self.tip(branch).unwrap())).unwrap();
        let ours = self.repo.find_commit(oid(&self.tip(base).unwrap())).unwrap();
        let who = self.signature();
        let reference = format!("refs/heads/{base}");
        let tree = theirs.tree().unwrap();
        commit_id(self.repo.commit(Some(&reference), &who, &who, "merge", &tree, &[&ours, &theirs]).unwrap())
    }

    /// Fills the work tree and the index from `main`.
    pub fn check_out(&self) {
        self.repo.checkout_head(Some(git2::build::CheckoutBuilder::new().force())).unwrap();
    }

    /// All references with their targets, `HEAD` included.
    pub fn references(&self) -> BTreeMap<String, String> {
        let all = self.repo.references().unwrap().map(Result::unwrap);
        let mut found: BTreeMap<String, String> =
            all.map(|one| (one.name().unwrap().to_owned(), one.target().unwrap().to_string())).collect();
        let head = std::fs::read_to_string(self.repo.path().join("HEAD")).unwrap();
        found.insert("HEAD".to_owned(), head);
        found
    }

    pub fn file_at(&self, commit: &CommitId, file: &str) -> Vec<u8> {
        let tree = self.repo.find_commit(oid(commit)).unwrap().tree().unwrap();
        let entry = tree.get_path(Path::new(file)).unwrap();
        self.repo.find_blob(entry.id()).unwrap().content().to_vec()
    }

    pub fn mode_at(&self, commit: &CommitId, file: &str) -> u32 {
        let tree = self.repo.find_commit(oid(commit)).unwrap().tree().unwrap();
        u32::try_from(tree.get_path(Path::new(file)).unwrap().filemode()).unwrap()
    }

    fn signature(&self) -> Signature<'static> {
        let minutes = self.commits.replace(self.commits.get() + 1);
        let seconds = i64::try_from(START / 1000 + minutes * 60).unwrap();
        Signature::new("Ada", "ada@example.org", &Time::new(seconds, 60)).unwrap()
    }
}

pub fn oid(commit: &CommitId) -> Oid {
    Oid::from_str(commit.as_str()).unwrap()
}

pub fn commit_id(oid: Oid) -> CommitId {
    CommitId::new(oid.to_string()).unwrap()
}

type Place = Vec<Vec<u8>>;

/// A commit in the making.
pub struct Change<'a> {
    of: &'a TestRepo,
    reference: String,
    parents: Vec<Oid>,
    edits: Vec<(Place, Option<(u32, Oid)>)>,
    raw: Vec<(Vec<u8>, u32, Oid)>,
}

impl Change<'_> {
    /// On top of these instead; none makes a root commit.
    pub fn parents(mut self, parents: &[&CommitId]) -> Self {
        self.parents = parents.iter().map(|id| oid(id)).collect();
        self
    }

    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(path.as_bytes(), FILE, content)
    }

    pub fn executable(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(path.as_bytes(), EXECUTABLE, content)
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(path.as_bytes(), SYMLINK, target)
    }

    pub fn submodule(mut self, path: &str, commit: Oid) -> Self {
        self.edits.push((place(path.as_bytes()), Some((SUBMODULE, commit))));
        self
    }

    /// A blob under any name bytes can spell (`/` parts folders).
    pub fn entry(mut self, path: &[u8], mode: u32, content: impl AsRef<[u8]>) -> Self {
        let blob = self.of.repo.blob(content.as_ref()).unwrap();
        self.edits.push((place(path), Some((mode, blob))));
        self
    }

    /// An entry of the root folder with exactly this name, slashes included.
    pub fn raw_entry(mut self, name: &[u8], mode: u32, id: Oid) -> Self {
        self.raw.push((name.to_vec(), mode, id));
        self
    }

    pub fn remove(mut self, path: &str) -> Self {
        self.edits.push((place(path.as_bytes()), None));
        self
    }

    pub fn commit(self, message: &str) -> CommitId {
        let repo = &self.of.repo;
        let parents: Vec<Commit<'_>> = self.parents.iter().map(|id| repo.find_commit(*id).unwrap()).collect();
        let mut entries = BTreeMap::new();
        if let Some(parent) = parents.first() {
            flatten(repo, parent.tree_id(), &Vec::new(), &mut entries);
        }
        for (place, entry) in self.edits {
            match entry {
                Some(entry) => entries.insert(place, entry),
                None => entries.remove(&place),
            };
        }
        let tree = repo.find_tree(write_tree(repo, &entries, &self.raw)).unwrap();
        let who = self.of.signature();
        let id = repo.commit(None, &who, &who, message, &tree, &parents.iter().collect::<Vec<_>>()).unwrap();
        repo.reference(&self.reference, id, true, "test").unwrap();
        commit_id(id)
    }
}

fn place(path: &[u8]) -> Place {
    path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect()
}

fn flatten(repo: &git2::Repository, tree: Oid, prefix: &Place, into: &mut BTreeMap<Place, (u32, Oid)>) {
    for entry in &repo.find_tree(tree).unwrap() {
        let mut place = prefix.clone();
        place.push(entry.name_bytes().to_vec());
        match u32::try_from(entry.filemode()).unwrap() {
            TREE => flatten(repo, entry.id(), &place, into),
            mode => {
                into.insert(place, (mode, entry.id()));
            }
        }
    }
}

/// Writes the bytes of tree objects itself, since libgit2 refuses to make hostile ones.
fn write_tree(repo: &git2::Repository, entries: &BTreeMap<Place, (u32, Oid)>, raw: &[(Vec<u8>, u32, Oid)]) -> Oid {
    let mut folders: BTreeMap<Vec<u8>, BTreeMap<Place, (u32, Oid)>> = BTreeMap::new();
    let mut here = raw.to_vec();
    for (place, (mode, id)) in entries {
        match place.as_slice() {
            [name] => here.push((name.clone(), *mode, *id)),
            [folder, rest @ ..] => {
                folders.entry(folder.clone()).or_default().insert(rest.to_vec(), (*mode, *id));
            }
            [] => {}
        }
    }
    for (name, inner) in &folders {
        here.push((name.clone(), TREE, write_tree(repo, inner, &[])));
    }
    raw_tree(repo, here)
}

/// A tree object of exactly these entries, in git's order.
pub fn raw_tree(repo: &git2::Repository, mut entries: Vec<(Vec<u8>, u32, Oid)>) -> Oid {
    entries.sort_by_key(|(name, mode, _)| if *mode == TREE { [name.as_slice(), b"/"].concat() } else { name.clone() });
    let mut bytes = Vec::new();
    for (name, mode, id) in entries {
        bytes.extend_from_slice(format!("{mode:o} ").as_bytes());
        bytes.extend_from_slice(&name);
        bytes.push(0);
        bytes.extend_from_slice(id.as_bytes());
    }
    repo.odb().unwrap().write(ObjectType::Tree, &bytes).unwrap()
}
