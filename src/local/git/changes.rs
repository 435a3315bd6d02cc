//! What a range of commits changed: regular files only, with the reason for each that is passed over.

use git2::{ErrorCode, Odb, Oid, Repository};

use super::MAX_ENTRIES;
use super::failure::Failure;
use super::read::blob_id;
use super::renames::{self, Candidate};
use super::trees::{self, Compared, Delta, Entry};
use crate::model::{Change, CommitId, RepoPath, tree_path};
use crate::ports::Changes;

/// Compares `head` with its merge base with `base`; with the empty tree when `base` is `None`.
pub(super) fn changed_files(repo: &Repository, base: Option<&CommitId>, head: &CommitId) -> Result<Changes, Failure> {
    let head = trees::commit(repo, head)?;
    let old = match base {
        None => None,
        Some(base) => Some(fork_tree(repo, base, head.id())?),
    };
    let deltas = match trees::compare(repo, old, Some(head.tree_id()), MAX_ENTRIES)? {
        Compared::All(deltas) => deltas,
        Compared::TooMany => {
            return Err(Failure::malformed(format!("more than {MAX_ENTRIES} files differ; choose a smaller range")));
        }
    };
    collect(repo, &deltas)
}

/// The tree of the best common ancestor.
fn fork_tree(repo: &Repository, base: &CommitId, head: Oid) -> Result<Oid, Failure> {
    let base = trees::commit(repo, base)?;
    let fork = repo.merge_base(base.id(), head).map_err(|error| match error.code() {
        ErrorCode::NotFound => Failure::missing(no_ancestor(repo, base.id(), head)),
        _ => error.into(),
    })?;
    Ok(repo.find_commit(fork)?.tree_id())
}

fn no_ancestor(repo: &Repository, base: Oid, head: Oid) -> String {
    let remedy = if repo.is_shallow() {
        "this is a shallow clone: `git fetch --unshallow` brings it"
    } else {
        "the history was rewritten: choose another base"
    };
    format!("{base} and {head} have no common ancestor here; {remedy}")
}

/// The size of a blob, bytes. A blob that is named but not there must not hide the other files.
fn size_of(odb: &Odb<'_>, id: Oid) -> Option<u64> {
    odb.read_header(id).ok().and_then(|(size, _)| u64::try_from(size).ok())
}

fn collect(repo: &Repository, deltas: &[Delta]) -> Result<Changes, Failure> {
    let odb = repo.odb()?;
    let mut changes = Changes::default();
    let mut added = Vec::new();
    for delta in deltas {
        let Some(new) = delta.new else { continue };
        if let Some(old) = delta.old
            && old.is_file()
            && new.is_file()
            && old.id == new.id
        {
            continue; // only the mode differs
        }
        let believed = trees::believe_file(&delta.path, new)
            .and_then(|path| Ok((path, size_of(&odb, new.id).ok_or("its content is missing from the repository")?)));
        match believed {
            Err(reason) => changes.skipped.push((tree_path::display(&delta.path), reason)),
            Ok((path, size)) => {
                let old = delta.old.filter(|old| old.is_file());
                if old.is_none() {
                    added.push(changes.files.len());
                }
                changes.files.push(change(path, new, old, size)?);
            }
        }
    }
    let removed = removed_files(&odb, deltas);
    if !removed.is_empty() {
        join_renames(repo, &mut changes, &added, &removed)?;
    }
    Ok(changes)
}

fn change(path: RepoPath, new: Entry, old: Option<Entry>, size: u64) -> Result<Change, Failure> {
    Ok(Change {
        blob: blob_id(new.id)?,
        base_path: old.map(|_| path.clone()),
        base_blob: old.map(|old| blob_id(old.id)).transpose()?,
        path,
        size,
    })
}

/// Regular files that are gone at the head, as possible origins of renames.
fn removed_files(odb: &Odb<'_>, deltas: &[Delta]) -> Vec<Candidate> {
    let gone = deltas.iter().filter(|delta| delta.new.is_none_or(|new| !new.is_file()));
    gone.filter_map(|delta| {
        let old = delta.old.filter(|old| old.is_file())?;
        Some(Candidate { path: tree_path::believe(&delta.path).ok()?, id: old.id, size: size_of(odb, old.id)? })
    })
    .collect()
}

fn join_renames(
    repo: &Repository,
    changes: &mut Changes,
    added: &[usize],
    removed: &[Candidate],
) -> Result<(), Failure> {
    let mut targets = Vec::with_capacity(added.len());
    for index in added {
        let Some(change) = changes.files.get(*index) else { continue };
        let id = Oid::from_str(change.blob.as_str())?;
        targets.push(Candidate { path: change.path.clone(), id, size: change.size });
    }
    for (target, origin) in renames::pair(repo, removed, &targets) {
        let change = added.get(target).and_then(|index| changes.files.get_mut(*index));
        if let (Some(change), Some(origin)) = (change, removed.get(origin)) {
            change.base_path = Some(origin.path.clone());
            change.base_blob = Some(blob_id(origin.id)?);
        }
    }
    Ok(())
}
