//! Git objects through the API: commits, trees and blobs by id, each read once.
//!
//! What has an id never changes, so it is kept in memory; by repository, since being able to read one does not mean being
//! able to read another. Paths are resolved here, through real folders only: GitHub's own contents API follows symlinks.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use git2::{ObjectType, Oid};
use serde::Deserialize;

use super::GitHubForge;
use super::failure::{Asked, Failure, nullable};
use super::kept::Kept;
use super::wire::Call;
use crate::model::{BlobId, CommitId, RepoPath, Repository, RepositoryId};
use crate::ports::{ErrorKind, File};

/// Id of any object.
pub(super) type ObjectId = BlobId;
type Of<T> = (RepositoryId, T);

/// Bytes of blobs and trees that are kept, each.
const KEPT_BYTES: usize = 24 * 1024 * 1024;
/// Commits, and places of files in commits, that are kept.
const KEPT_COUNT: usize = 20_000;

/// The folder of a commit that has no files. Git knows it without being told, so that it may never have been stored.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// What an entry of a tree is, by its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File { executable: bool },
    Symlink,
    Submodule,
    Tree,
}

impl Kind {
    pub fn of_mode(mode: u32) -> Self {
        match mode {
            0o040_000 => Self::Tree,
            0o120_000 => Self::Symlink,
            0o160_000 => Self::Submodule,
            mode => Self::File { executable: mode & 0o111 != 0 },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub id: ObjectId,
    pub kind: Kind,
    /// Of a file, bytes.
    pub size: Option<u64>,
}

impl Entry {
    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File { .. })
    }
}

/// Entries by name, or by path.
pub(super) type Listing = BTreeMap<String, Entry>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommitInfo {
    pub tree: ObjectId,
    pub parents: Vec<CommitId>,
}

/// What was read before.
pub(super) struct Objects {
    commits: Kept<Of<CommitId>, CommitInfo>,
    /// One folder each.
    folders: Kept<Of<ObjectId>, Arc<Listing>>,
    /// All below one folder each, folders themselves left out.
    listings: Kept<Of<ObjectId>, Arc<Listing>>,
    places: Kept<(Of<CommitId>, RepoPath), Option<Entry>>,
    blobs: Kept<Of<ObjectId>, Arc<Vec<u8>>>,
}

impl Objects {
    pub fn new() -> Self {
        Self {
            commits: Kept::new(KEPT_COUNT),
            folders: Kept::new(KEPT_BYTES),
            listings: Kept::new(KEPT_BYTES),
            places: Kept::new(KEPT_COUNT),
            blobs: Kept::new(KEPT_BYTES),
        }
    }

    pub fn keep_commit(&self, repository: &Repository, id: CommitId, commit: CommitInfo) {
        self.commits.put((repository.id.clone(), id), commit, 1);
    }

    pub fn keep_place(&self, repository: &Repository, commit: &CommitId, path: &RepoPath, entry: Option<Entry>) {
        self.places.put(((repository.id.clone(), commit.clone()), path.clone()), entry, 1);
    }

    /// Keeps a blob if it is the one of this id; whether it is.
    pub fn keep_blob(&self, repository: &Repository, id: &ObjectId, bytes: Vec<u8>) -> bool {
        let same = is_blob(id, &bytes);
        if same {
            let weight = bytes.len() + 64;
            self.blobs.put((repository.id.clone(), id.clone()), Arc::new(bytes), weight);
        }
        same
    }
}

/// Whether these bytes have this id.
pub(super) fn is_blob(id: &ObjectId, bytes: &[u8]) -> bool {
    Oid::hash_object(ObjectType::Blob, bytes).is_ok_and(|hash| hash.to_string() == id.as_str())
}

#[derive(Deserialize)]
pub(super) struct Sha {
    pub sha: String,
}

/// A commit as the git data API gives it.
#[derive(Deserialize)]
pub(super) struct RawCommit {
    pub tree: Sha,
    #[serde(default, deserialize_with = "nullable")]
    pub parents: Vec<Sha>,
}

impl RawCommit {
    pub fn info(self) -> Asked<CommitInfo> {
        let parents = self.parents.into_iter().map(|parent| commit_id(parent.sha)).collect::<Asked<_>>()?;
        Ok(CommitInfo { tree: object_id(self.tree.sha)?, parents })
    }
}

#[derive(Deserialize)]
struct RawTree {
    #[serde(default, deserialize_with = "nullable")]
    tree: Vec<RawEntry>,
    #[serde(default, deserialize_with = "nullable")]
    truncated: bool,
}

#[derive(Deserialize)]
struct RawEntry {
    path: String,
    mode: String,
    sha: String,
    #[serde(default)]
    size: Option<u64>,
}

#[derive(Deserialize)]
struct RawBlob {
    content: String,
    encoding: String,
}

pub(super) fn object_id(sha: String) -> Asked<ObjectId> {
    ObjectId::new(sha).map_err(|_| Failure::malformed("GitHub names an object by something that is no id"))
}

pub(super) fn commit_id(sha: String) -> Asked<CommitId> {
    CommitId::new(sha).map_err(|_| Failure::malformed("GitHub names a commit by something that is no id"))
}

impl GitHubForge {
    pub(super) async fn commit(&self, repository: &Repository, id: &CommitId) -> Asked<CommitInfo> {
        let key = (repository.id.clone(), id.clone());
        if let Some(commit) = self.objects.commits.get(&key) {
            return Ok(commit);
        }
        let asked = self.access.done(repository, Call::get(format!("/git/commits/{id}"))).await;
        let commit = asked.map_err(|failure| unknown_commit(failure, id))?.json::<RawCommit>()?.info()?;
        self.objects.commits.put(key, commit.clone(), 1);
        Ok(commit)
    }

    /// The entries of one folder.
    pub(super) async fn folder(&self, repository: &Repository, id: &ObjectId) -> Asked<Arc<Listing>> {
        let key = (repository.id.clone(), id.clone());
        if let Some(folder) = self.objects.folders.get(&key) {
            return Ok(folder);
        }
        if id.as_str() == EMPTY_TREE {
            return Ok(Arc::default());
        }
        let answer = self.access.named(repository, Call::get(format!("/git/trees/{id}"))).await?;
        let weight = answer.body.len();
        let tree: RawTree = answer.json()?;
        if tree.truncated {
            return Err(Failure::malformed("a folder has more entries than GitHub lists; split it up"));
        }
        let folder = Arc::new(listing(tree)?);
        self.objects.folders.put(key, Arc::clone(&folder), weight);
        Ok(folder)
    }

    /// All files, links and submodules below a folder, by path; `None` when there are more than GitHub lists at once.
    pub(super) async fn below(&self, repository: &Repository, id: &ObjectId) -> Asked<Option<Arc<Listing>>> {
        let key = (repository.id.clone(), id.clone());
        if let Some(listing) = self.objects.listings.get(&key) {
            return Ok(Some(listing));
        }
        if id.as_str() == EMPTY_TREE {
            return Ok(Some(Arc::default()));
        }
        let answer = self.access.named(repository, Call::get(format!("/git/trees/{id}?recursive=1"))).await?;
        let weight = answer.body.len();
        let tree: RawTree = answer.json()?;
        if tree.truncated {
            return Ok(None);
        }
        let mut listing = listing(tree)?;
        listing.retain(|_, entry| entry.kind != Kind::Tree);
        let listing = Arc::new(listing);
        self.objects.listings.put(key, Arc::clone(&listing), weight);
        Ok(Some(listing))
    }

    /// What stands at a path of a commit, reached through real folders only.
    pub(super) async fn entry(
        &self,
        repository: &Repository,
        commit: &CommitId,
        path: &RepoPath,
    ) -> Asked<Option<Entry>> {
        let place = ((repository.id.clone(), commit.clone()), path.clone());
        if let Some(entry) = self.objects.places.get(&place) {
            return Ok(entry);
        }
        let root = self.commit(repository, commit).await?.tree;
        let listed = self.objects.listings.get(&(repository.id.clone(), root.clone()));
        let entry = match listed.and_then(|listing| listing.get(path.as_str()).cloned()) {
            Some(entry) => Some(entry),
            None => self.walk_to(repository, root, path).await?,
        };
        self.objects.places.put(place, entry.clone(), 1);
        Ok(entry)
    }

    async fn walk_to(&self, repository: &Repository, root: ObjectId, path: &RepoPath) -> Asked<Option<Entry>> {
        let mut folder = root;
        let mut parts = path.as_str().split('/').peekable();
        while let Some(part) = parts.next() {
            let Some(entry) = self.folder(repository, &folder).await?.get(part).cloned() else { return Ok(None) };
            if parts.peek().is_none() {
                return Ok(Some(entry));
            }
            if entry.kind != Kind::Tree {
                return Ok(None);
            }
            folder = entry.id;
        }
        Ok(None)
    }

    pub(super) async fn file(
        &self,
        repository: &Repository,
        commit: &CommitId,
        path: &RepoPath,
    ) -> Asked<Option<File>> {
        let Some(entry) = self.entry(repository, commit, path).await? else { return Ok(None) };
        let Kind::File { executable } = entry.kind else { return Ok(None) };
        let bytes = self.blob(repository, &entry.id).await?.as_ref().clone();
        Ok(Some(File { blob: entry.id, bytes, executable }))
    }

    /// The bytes of a blob, exactly: what comes back has the id, or it is refused.
    pub(super) async fn blob(&self, repository: &Repository, id: &ObjectId) -> Asked<Arc<Vec<u8>>> {
        let key = (repository.id.clone(), id.clone());
        if let Some(bytes) = self.objects.blobs.get(&key) {
            return Ok(bytes);
        }
        let blob: RawBlob = self.access.done(repository, Call::get(format!("/git/blobs/{id}"))).await?.json()?;
        let bytes = match blob.encoding.as_str() {
            "base64" => {
                let text: String = blob.content.split_ascii_whitespace().collect();
                STANDARD.decode(text).map_err(|_| Failure::malformed("a file came back in broken base64"))?
            }
            "utf-8" => blob.content.into_bytes(),
            _ => return Err(Failure::malformed("a file came back in an encoding that is not known")),
        };
        if !is_blob(id, &bytes) {
            return Err(Failure::malformed("a file came back with other content than its id says"));
        }
        let (bytes, weight) = (Arc::new(bytes), key.1.as_str().len());
        self.objects.blobs.put(key, Arc::clone(&bytes), bytes.len() + weight);
        Ok(bytes)
    }
}

fn listing(tree: RawTree) -> Asked<Listing> {
    let entry = |raw: RawEntry| {
        let mode = u32::from_str_radix(&raw.mode, 8);
        let mode = mode.map_err(|_| Failure::malformed("GitHub gives a file mode that is no octal number"))?;
        Ok((raw.path, Entry { id: object_id(raw.sha)?, kind: Kind::of_mode(mode), size: raw.size }))
    };
    tree.tree.into_iter().map(entry).collect()
}

/// What GitHub says of a commit that it does not have: 404, or 422 where something else has that id.
pub(super) fn unknown_commit(failure: Failure, id: &CommitId) -> Failure {
    match failure.status {
        Some(404 | 409 | 422) => {
            let reason = format!("there is no commit {} there; it may be gone after a force push", id.short());
            failure.meaning(ErrorKind::Missing, reason)
        }
        _ => failure,
    }
}
