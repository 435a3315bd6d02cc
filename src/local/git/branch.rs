//! Making our branch: objects and one new reference, nothing else.
//!
//! The index, the work tree, `HEAD`, the stash and every other reference stay as they are. The commit is a function of the
//! plan alone, so that two processes, or one before and after a crash, make the same commit.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use git2::{Commit, ErrorCode, Oid, Reference, Repository, Signature, Time};

use super::failure::Failure;
use super::read::{self, commit_id};
use super::trees::{self, Kind};
use crate::fix::paths::refusal;
use crate::model::{BRANCH_PREFIX, CommitId, RepoPath, UnixMillis};
use crate::ports::{BranchOutcome, BranchPlan};

const AUTHOR: &str = "CodeHealer";
const EMAIL: &str = "codehealer@localhost";

/// Commits that people may have put on ours and it is still recognised.
const FOLLOWED: usize = 200;
/// Tries while another process holds the reference's lock: 20 × 25 ms.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// Creates the branch, or says whose it is. Never moves it. One that `ended`, as its last commit says, is not made again.
pub(super) fn ensure(repo: &Repository, plan: &BranchPlan, ended: Option<CommitId>) -> Result<BranchOutcome, Failure> {
    let reference = reference_name(&plan.name)?;
    let parent = trees::commit(repo, &plan.parent)?;
    let tree = plan_tree(repo, &parent, &plan.files)?;
    if let Some(tip) = read::head(repo, &reference)? {
        return judge(repo, tip, parent.id(), tree);
    }
    if let Some(tip) = ended {
        return Ok(BranchOutcome::Adopted(tip));
    }
    refuse_detours(repo, &reference)?;
    refuse_unborn_checkout(repo, &reference)?;
    let commit = write_commit(repo, &parent, tree, plan)?;
    if create(repo, &reference, commit)? {
        return Ok(BranchOutcome::Created(commit_id(commit)?));
    }
    match read::head(repo, &reference)? {
        Some(tip) => judge(repo, tip, parent.id(), tree),
        None => Err(Failure::conflict(format!("the branch {} was deleted while it was made; run again", plan.name))),
    }
}

/// The full name, refused unless it is a valid name of one of our branches.
pub(super) fn reference_name(branch: &str) -> Result<String, Failure> {
    let reference = format!("refs/heads/{branch}");
    if !branch.starts_with(BRANCH_PREFIX) {
        return Err(Failure::denied(format!("{branch:?} is not a branch of ours: they begin with `{BRANCH_PREFIX}`")));
    }
    if !Reference::is_valid_name(&reference) {
        return Err(Failure::denied(format!("{branch:?} is not a valid branch name")));
    }
    Ok(reference)
}

/// An existing branch is ours when it holds exactly our tree on our parent, whoever made the commit, or when people went
/// on from there: then their work stays and the branch still proposes the fix.
fn judge(repo: &Repository, tip: Oid, parent: Oid, tree: Oid) -> Result<BranchOutcome, Failure> {
    let id = commit_id(tip)?;
    let mut commit = repo.find_commit(tip)?;
    for _ in 0..FOLLOWED {
        if commit.tree_id() == tree && commit.parent_ids().eq([parent]) {
            return Ok(BranchOutcome::Adopted(id));
        }
        match commit.parent(0) {
            Ok(earlier) => commit = earlier,
            Err(_) => break,
        }
    }
    Ok(BranchOutcome::Foreign(id))
}

/// Writes the parent's tree with the planned contents and returns its id.
fn plan_tree(repo: &Repository, parent: &Commit<'_>, files: &[(RepoPath, Vec<u8>)]) -> Result<Oid, Failure> {
    let mut contents: BTreeMap<&str, Oid> = BTreeMap::new();
    for (path, bytes) in files {
        // The gate refused these already; whatever the forge is handed, it does not write them.
        if let Some(reason) = refusal(path) {
            return Err(Failure::denied(format!("{path} is not to be changed: {reason}")));
        }
        require_file(repo, parent, path)?;
        if contents.insert(path.as_str(), repo.blob(bytes)?).is_some() {
            return Err(Failure::malformed(format!("the plan has {path} twice")));
        }
    }
    let tree = replace(repo, parent.tree_id(), "", &contents)?;
    if tree == parent.tree_id() {
        return Err(Failure::malformed("the plan changes nothing; there is no branch to make"));
    }
    Ok(tree)
}

/// Only regular files that the parent has are replaced, so that no link, submodule or mode can be made.
fn require_file(repo: &Repository, parent: &Commit<'_>, path: &RepoPath) -> Result<(), Failure> {
    match trees::lookup(repo, parent.tree_id(), path)?.map(|entry| entry.kind) {
        Some(Kind::File { .. }) => Ok(()),
        Some(kind) => {
            let reason = trees::not_a_file(kind).unwrap_or("it is no regular file");
            Err(Failure::denied(format!("{path} is not to be changed: {reason}")))
        }
        None => Err(Failure::missing(format!("{path} is no regular file of commit {}", parent.id()))),
    }
}

/// Rebuilds the folder `prefix` with new blobs; modes and all other entries stay.
fn replace(repo: &Repository, tree: Oid, prefix: &str, contents: &BTreeMap<&str, Oid>) -> Result<Oid, git2::Error> {
    let tree = repo.find_tree(tree)?;
    let mut builder = repo.treebuilder(Some(&tree))?;
    let mut folders: BTreeMap<&str, BTreeMap<&str, Oid>> = BTreeMap::new();
    for (path, blob) in contents {
        match path.split_once('/') {
            Some((folder, rest)) => {
                folders.entry(folder).or_default().insert(rest, *blob);
            }
            None => put(&mut builder, &tree, path, *blob)?,
        }
    }
    for (folder, contents) in &folders {
        let place = format!("{prefix}{folder}/");
        let entry = tree.get_name(folder).ok_or_else(|| git2::Error::from_str(&format!("{place} is gone")))?;
        put(&mut builder, &tree, folder, replace(repo, entry.id(), &place, contents)?)?;
    }
    builder.write()
}

fn put(builder: &mut git2::TreeBuilder<'_>, tree: &git2::Tree<'_>, name: &str, id: Oid) -> Result<(), git2::Error> {
    let mode = tree.get_name(name).map_or(0o100_644, |entry| entry.filemode());
    builder.insert(name, id, mode).map(|_| ())
}

fn write_commit(repo: &Repository, parent: &Commit<'_>, tree: Oid, plan: &BranchPlan) -> Result<Oid, Failure> {
    if plan.message.contains('\0') {
        return Err(Failure::malformed("the commit message has a NUL character"));
    }
    let signature = signature(plan.at)?;
    let tree = repo.find_tree(tree)?;
    Ok(repo.commit(None, &signature, &signature, &plan.message, &tree, &[parent])?)
}

fn signature(at: UnixMillis) -> Result<Signature<'static>, Failure> {
    let seconds = i64::try_from(at / 1000).map_err(Failure::malformed)?;
    Ok(Signature::new(AUTHOR, EMAIL, &Time::new(seconds, 0))?)
}

/// Creates the reference if it does not exist, also against a process that does the same at the same time: the expected
/// old value (none) is compared under the reference's lock. False when somebody else was first.
fn create(repo: &Repository, reference: &str, commit: Oid) -> Result<bool, Failure> {
    let mut tries = 0;
    loop {
        let made = repo.reference_matching(reference, commit, false, Oid::ZERO_SHA1, "branch: Created by CodeHealer");
        match made {
            Ok(_) => return Ok(true),
            Err(error)
                if matches!(error.code(), ErrorCode::Exists | ErrorCode::Modified)
                    && repo.find_reference(reference).is_ok() =>
            {
                return Ok(false);
            }
            Err(error) if error.code() == ErrorCode::Locked && tries < LOCK_TRIES => {
                tries += 1;
                thread::sleep(LOCK_PAUSE);
            }
            Err(error) => return Err(explain(repo, reference, error)),
        }
    }
}

fn explain(repo: &Repository, reference: &str, error: git2::Error) -> Failure {
    let lock = repo.commondir().join(format!("{reference}.lock"));
    if error.code() == ErrorCode::Locked {
        return Failure::conflict(format!("{} is held; remove it if no git process runs", lock.display()));
    }
    match in_the_way(repo, reference) {
        Some(other) => Failure::conflict(format!("{other} stands in the way of {reference}; rename that branch")),
        None => error.into(),
    }
}

/// A reference whose name is a folder of ours, or the other way round: git cannot keep both.
fn in_the_way(repo: &Repository, reference: &str) -> Option<String> {
    let above = Path::new(reference).ancestors().skip(1).filter_map(Path::to_str);
    let above = above.filter(|name| name.starts_with("refs/heads/") && repo.find_reference(name).is_ok());
    let mut below = repo.references_glob(&format!("{reference}/*")).ok()?;
    let below = below.names().flatten().next().map(str::to_owned);
    above.map(str::to_owned).next().or(below)
}

/// A symlink among the folders of our references would let the repository choose where we write.
fn refuse_detours(repo: &Repository, reference: &str) -> Result<(), Failure> {
    for root in [repo.commondir().to_path_buf(), repo.commondir().join("logs")] {
        for place in Path::new(reference).ancestors().filter(|place| !place.as_os_str().is_empty()) {
            let place = root.join(place);
            if place.symlink_metadata().is_ok_and(|found| found.file_type().is_symlink()) {
                return Err(Failure::denied(format!("{} is a symlink; remove it", place.display())));
            }
        }
    }
    Ok(())
}

/// Creating the branch that an unborn `HEAD` names would change what is checked out there.
fn refuse_unborn_checkout(repo: &Repository, reference: &str) -> Result<(), Failure> {
    let mut heads = vec![repo.commondir().join("HEAD"), repo.path().join("HEAD")];
    if let Ok(worktrees) = std::fs::read_dir(repo.commondir().join("worktrees")) {
        heads.extend(worktrees.flatten().map(|entry| entry.path().join("HEAD")));
    }
    for head in heads {
        let Ok(text) = std::fs::read_to_string(&head) else { continue };
        if text.strip_prefix("ref:").is_some_and(|target| target.trim() == reference) {
            let remedy = "check out another branch there first";
            return Err(Failure::conflict(format!("{} already names {reference}; {remedy}", head.display())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The moment between looking for the branch and creating it, in which a rival created it.
    #[test]
    fn a_branch_that_appeared_in_between_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repository::init_bare(folder.path()).unwrap();
        let tree = repo.find_tree(repo.treebuilder(None).unwrap().write().unwrap()).unwrap();
        let commit = |message: &str| {
            let who = signature(0).unwrap();
            repo.commit(None, &who, &who, message, &tree, &[]).unwrap()
        };
        let (theirs, ours) = (commit("theirs"), commit("ours"));
        let reference = reference_name("codehealer/x-g1").unwrap();
        assert!(create(&repo, &reference, theirs).unwrap());
        assert!(!create(&repo, &reference, ours).unwrap());
        assert!(!create(&repo, &reference, theirs).unwrap());
        assert_eq!(repo.refname_to_id(&reference).unwrap(), theirs);
    }
}
