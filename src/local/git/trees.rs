//! Walking and comparing tree objects, without index, work tree, attributes or configuration.
//!
//! Equal subtrees are never opened. Trees are hostile: the number of entries and the length of paths are bounded, so a
//! tree that holds itself many times over ends in an error instead of filling the memory.

use std::collections::BTreeMap;

use git2::{Commit, Oid, Repository, Tree};

use super::failure::Failure;
use crate::model::tree_path::{self, MAX_PATH};
use crate::model::{CommitId, RepoPath};

/// What an entry is, by its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File { executable: bool },
    Symlink,
    Submodule,
    Tree,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub id: Oid,
    pub kind: Kind,
}

impl Entry {
    pub fn is_file(self) -> bool {
        matches!(self.kind, Kind::File { .. })
    }
}

/// One path that differs between two trees. Never a tree on either side, except one too deep to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delta {
    pub path: Vec<u8>,
    pub old: Option<Entry>,
    pub new: Option<Entry>,
}

/// How a comparison ended.
#[derive(Debug)]
pub(super) enum Compared {
    /// All differences, in byte order of path.
    All(Vec<Delta>),
    /// More than the limit; nothing is returned.
    TooMany,
}

/// Compares two trees; `None` is the empty tree. Visits at most `limit` differing entries.
pub(super) fn compare(
    repo: &Repository,
    old: Option<Oid>,
    new: Option<Oid>,
    limit: usize,
) -> Result<Compared, git2::Error> {
    let mut deltas = Vec::new();
    let mut visited = 0;
    let mut waiting = vec![(Vec::new(), old, new)];
    while let Some((prefix, old, new)) = waiting.pop() {
        for (name, (old, new)) in differing(repo, old, new)? {
            visited += 1;
            if visited > limit {
                return Ok(Compared::TooMany);
            }
            let path = join(&prefix, &name);
            let (old_tree, old) = split(old, path.len());
            let (new_tree, new) = split(new, path.len());
            if old_tree.is_some() || new_tree.is_some() {
                waiting.push((path.clone(), old_tree, new_tree));
            }
            if old.is_some() || new.is_some() {
                deltas.push(Delta { path, old, new });
            }
        }
    }
    deltas.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Compared::All(deltas))
}

type Pair = (Option<Entry>, Option<Entry>);

/// The entries of one folder that are not equal on both sides.
fn differing(repo: &Repository, old: Option<Oid>, new: Option<Oid>) -> Result<BTreeMap<Vec<u8>, Pair>, git2::Error> {
    let mut pairs: BTreeMap<Vec<u8>, Pair> = BTreeMap::new();
    if old == new {
        return Ok(pairs);
    }
    for entry in old.map(|id| repo.find_tree(id)).transpose()?.iter().flat_map(Tree::iter) {
        pairs.entry(entry.name_bytes().to_vec()).or_default().0 = Some(entry_of(&entry));
    }
    for entry in new.map(|id| repo.find_tree(id)).transpose()?.iter().flat_map(Tree::iter) {
        pairs.entry(entry.name_bytes().to_vec()).or_default().1 = Some(entry_of(&entry));
    }
    pairs.retain(|_, (old, new)| old != new);
    Ok(pairs)
}

/// Parts a side into the tree to walk into and the entry to report.
fn split(entry: Option<Entry>, path_length: usize) -> (Option<Oid>, Option<Entry>) {
    match entry {
        // A folder without a name would pass its files off as those of the folder above.
        Some(Entry { id, kind: Kind::Tree }) if (1..=MAX_PATH).contains(&path_length) => (Some(id), None),
        other => (None, other),
    }
}

fn join(prefix: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(prefix.len() + 1 + name.len());
    path.extend_from_slice(prefix);
    if !prefix.is_empty() {
        path.push(b'/');
    }
    // A slash inside one name would make two different trees look alike; `//` is refused as a path.
    path.extend(name.iter().flat_map(|byte| if *byte == b'/' { &b"//"[..] } else { std::slice::from_ref(byte) }));
    path
}

fn entry_of(entry: &git2::TreeEntry<'_>) -> Entry {
    let kind = match entry.filemode() {
        0o040_000 => Kind::Tree,
        0o120_000 => Kind::Symlink,
        0o160_000 => Kind::Submodule,
        mode => Kind::File { executable: mode & 0o111 != 0 },
    };
    Entry { id: entry.id(), kind }
}

/// The entry at `path`, reached through real folders only; a symlink or file on the way means there is none.
pub(super) fn lookup(repo: &Repository, root: Oid, path: &RepoPath) -> Result<Option<Entry>, git2::Error> {
    let mut tree = repo.find_tree(root)?;
    let mut parts = path.as_str().split('/').peekable();
    while let Some(part) = parts.next() {
        let Some(entry) = tree.get_name_bytes(part.as_bytes()).map(|entry| entry_of(&entry)) else {
            return Ok(None);
        };
        if parts.peek().is_none() {
            return Ok(Some(entry));
        }
        if entry.kind != Kind::Tree {
            return Ok(None);
        }
        tree = repo.find_tree(entry.id)?;
    }
    Ok(None)
}

/// The commit, or a `Missing` that names what may have happened to it.
pub(super) fn commit<'repo>(repo: &'repo Repository, id: &CommitId) -> Result<Commit<'repo>, Failure> {
    let found = Oid::from_str(id.as_str()).and_then(|oid| repo.find_commit(oid));
    found.map_err(|error| match error.code() {
        git2::ErrorCode::NotFound | git2::ErrorCode::Invalid | git2::ErrorCode::InvalidSpec => {
            Failure::missing(gone(repo, id))
        }
        _ => error.into(),
    })
}

fn gone(repo: &Repository, id: &CommitId) -> String {
    let remedy = if repo.is_shallow() {
        "this is a shallow clone: `git fetch --unshallow` brings older commits"
    } else {
        "it may be gone after a force push, or was not fetched yet: `git fetch`"
    };
    format!("there is no commit {} here; {remedy}", id.short())
}

/// The reason why a non-file entry is passed over; `None` for a regular file.
pub(super) fn not_a_file(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::File { .. } => None,
        Kind::Symlink => Some("it is a symlink, which is never followed"),
        Kind::Submodule => Some("it is a submodule, another repository"),
        Kind::Tree => Some("it is a folder nested too deeply"),
    }
}

/// [`tree_path::believe`] for a delta whose new side is a regular file.
pub(super) fn believe_file(path: &[u8], entry: Entry) -> Result<RepoPath, String> {
    match not_a_file(entry.kind) {
        Some(reason) => Err(reason.to_owned()),
        None => tree_path::believe(path),
    }
}
