//! Whether the base branch has taken a pull request in, and with which commit.
//!
//! A merge keeps our commits as ancestors. A squash or rebase does not: then the first commit of the base is looked for
//! whose files are ours, or whose patch to those files is ours (git's `patch-id` notion: hunks with three lines of
//! context, without line numbers).

use git2::{DiffOptions, Oid, Patch, Repository, Sort};

use super::failure::Failure;
use super::read;
use super::trees::{self, Compared, Entry};
use crate::model::{CommitId, RepoPath, tree_path};

/// Commits of the base that are looked through.
const MAX_COMMITS: usize = 5_000;
/// Files of one pull request.
const MAX_FILES: usize = 100;
/// Files above this are compared by id only, bytes.
const MAX_PATCHED: usize = 2 * 1024 * 1024;

/// The commit of `base` that brought in what `tip` has on top of `parent`; `None` when it is not merged.
pub(super) fn merged_as(
    repo: &Repository,
    base: Oid,
    parent: &CommitId,
    tip: &CommitId,
) -> Result<Option<Oid>, Failure> {
    let (parent, tip) = (Oid::from_str(parent.as_str())?, Oid::from_str(tip.as_str())?);
    let reset = tip == parent || repo.graph_descendant_of(parent, tip).unwrap_or(false);
    if reset || repo.find_commit(tip).is_err() {
        return Ok(None); // nothing is left of the proposal, or its objects were cleaned up
    }
    if base == tip || repo.graph_descendant_of(base, tip)? {
        return Ok(Some(merge_commit(repo, base, tip)?));
    }
    let Ok(fork) = repo.merge_base(base, tip) else { return Ok(None) };
    let Some(files) = proposal(repo, fork, tip)? else { return Ok(None) };
    for commit in first_parents(repo, base, fork)?.into_iter().rev() {
        if brings_in(repo, commit, &files)? {
            return Ok(Some(commit));
        }
    }
    Ok(None)
}

/// The oldest commit on the base's own line that has `tip` among its ancestors; `tip` itself after a fast-forward.
fn merge_commit(repo: &Repository, base: Oid, tip: Oid) -> Result<Oid, Failure> {
    let line = first_parents(repo, base, tip)?;
    let mut merge = tip;
    let (mut low, mut high) = (0, line.len());
    // Newest first: those that contain the tip come before those that do not.
    while low < high {
        let middle = low.midpoint(high);
        let Some(commit) = line.get(middle).copied() else { break };
        if repo.graph_descendant_of(commit, tip)? {
            merge = commit;
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let on_the_line = repo.find_commit(merge)?.parent_ids().next() == Some(tip);
    Ok(if on_the_line { tip } else { merge })
}

/// The first-parent line from `head`, newest first, without what `until` reaches.
fn first_parents(repo: &Repository, head: Oid, until: Oid) -> Result<Vec<Oid>, Failure> {
    let mut walk = repo.revwalk()?;
    walk.simplify_first_parent()?;
    walk.set_sorting(Sort::TOPOLOGICAL)?;
    walk.push(head)?;
    walk.hide(until)?;
    Ok(walk.take(MAX_COMMITS).collect::<Result<_, _>>()?)
}

/// A file of the proposal: what it was and what it shall be.
struct Proposed {
    path: RepoPath,
    new: Oid,
    patch: Option<Vec<u8>>,
}

/// The changed files of the branch; `None` when it is not a plain change of regular files.
fn proposal(repo: &Repository, fork: Oid, tip: Oid) -> Result<Option<Vec<Proposed>>, Failure> {
    let (old, new) = (repo.find_commit(fork)?.tree_id(), repo.find_commit(tip)?.tree_id());
    let deltas = match trees::compare(repo, Some(old), Some(new), MAX_FILES)? {
        Compared::All(deltas) if !deltas.is_empty() => deltas,
        _ => return Ok(None),
    };
    let mut files = Vec::new();
    for delta in deltas {
        let (Ok(path), Some(new)) = (tree_path::believe(&delta.path), delta.new) else { return Ok(None) };
        files.push(Proposed { path, new: new.id, patch: patch(repo, delta.old, Some(new)) });
    }
    Ok(Some(files))
}

/// Whether this commit changes each proposed file to the proposed content or by the proposed patch.
fn brings_in(repo: &Repository, commit: Oid, files: &[Proposed]) -> Result<bool, Failure> {
    let commit = repo.find_commit(commit)?;
    let before = commit.parents().next().map(|parent| parent.tree_id());
    let mut touched = false;
    for file in files {
        let new = trees::lookup(repo, commit.tree_id(), &file.path)?;
        let old = match before {
            Some(tree) => trees::lookup(repo, tree, &file.path)?,
            None => None,
        };
        touched |= old != new;
        let same_content = new.is_some_and(|new| new.id == file.new);
        if !same_content && (file.patch.is_none() || old == new || patch(repo, old, new) != file.patch) {
            return Ok(false);
        }
    }
    Ok(touched)
}

/// Hunks of a change without their line numbers; `None` for large or binary files, and for files that come or go.
fn patch(repo: &Repository, old: Option<Entry>, new: Option<Entry>) -> Option<Vec<u8>> {
    let (old, new) = (old.filter(|old| old.is_file())?, new.filter(|new| new.is_file())?);
    let (old, new) = (small(repo, old.id)?, small(repo, new.id)?);
    // Buffers without a name: no attribute or driver of the repository is looked up.
    let patch = Patch::from_buffers(&old, None, &new, None, Some(DiffOptions::new().context_lines(3))).ok()?;
    let mut lines = Vec::new();
    for hunk in 0..patch.num_hunks() {
        for line in 0..patch.num_lines_in_hunk(hunk).ok()? {
            let line = patch.line_in_hunk(hunk, line).ok()?;
            lines.push(u8::try_from(line.origin()).ok()?);
            lines.extend_from_slice(line.content());
        }
    }
    (!lines.is_empty()).then_some(lines)
}

fn small(repo: &Repository, id: Oid) -> Option<Vec<u8>> {
    let (size, _) = repo.odb().ok()?.read_header(id).ok()?;
    if size <= MAX_PATCHED { read::blob(repo, id).ok() } else { None }
}
