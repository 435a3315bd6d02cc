//! Making our branch: a tree, a commit, and one new reference. No reference is ever moved.
//!
//! The commit is a function of the plan alone, like that of the local forge: author and time are given. GitHub would sign a
//! commit without them, but with the time of the moment, so that two workers, or one before and after a crash, would make
//! different commits of one plan. Being able to recognise our own work wins; GitHub signs the merge.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::GitHubForge;
use super::failure::{Asked, Failure};
use super::objects::{Kind, ObjectId, Sha, commit_id, object_id, unknown_commit};
use super::wire::{Call, encoded_path};
use crate::fix::paths::refusal;
use crate::model::{BRANCH_PREFIX, CommitId, RepoPath, Repository, UnixMillis};
use crate::ports::{BranchOutcome, BranchPlan, ErrorKind};

const AUTHOR: &str = "CodeHealer";
/// Nobody's address on GitHub.
const EMAIL: &str = "codehealer@localhost";
/// Commits that people may have put on ours and it is still recognised.
const FOLLOWED: usize = 200;

/// A reference, or an annotated tag.
#[derive(Deserialize)]
struct Pointer {
    object: Pointed,
}

#[derive(Deserialize)]
struct Pointed {
    #[serde(rename = "type")]
    kind: String,
    sha: String,
}

impl GitHubForge {
    /// Creates the branch, or says whose it is. One whose pull request people ended is not made again.
    pub(super) async fn make_branch(&self, repository: &Repository, plan: &BranchPlan) -> Asked<BranchOutcome> {
        let reference = reference_name(&plan.name)?;
        let entries = self.entries(repository, plan).await?;
        let before = self.commit(repository, &plan.parent).await?.tree;
        let earlier = self.pull_of(repository, &plan.name).await?;
        if let Some(pull) = earlier.as_ref().filter(|pull| pull.has_ended())
            && self.tip(repository, &reference).await?.is_none()
        {
            return Ok(BranchOutcome::Adopted(commit_id(pull.head.sha.clone())?));
        }
        let tree = self.post_tree(repository, &before, entries).await?;
        let commit = self.post_commit(repository, plan, &tree).await?;
        let outcome = self.post_reference(repository, plan, &reference, (&commit, &tree)).await?;
        if earlier.is_none() && matches!(outcome, BranchOutcome::Created(_)) {
            self.note_no_pull(repository, &plan.name);
        }
        Ok(outcome)
    }

    /// The planned contents as entries of a tree. Only regular files that the parent has are replaced, so that no link,
    /// submodule or mode can be made.
    async fn entries(&self, repository: &Repository, plan: &BranchPlan) -> Asked<Vec<Value>> {
        if plan.message.contains('\0') {
            return Err(Failure::malformed("the commit message has a NUL character"));
        }
        let mut contents: BTreeMap<&RepoPath, (&[u8], bool)> = BTreeMap::new();
        for (path, bytes) in &plan.files {
            // The gate refused these already; whatever the forge is handed, it does not write them.
            if let Some(reason) = refusal(path) {
                return Err(Failure::denied(format!("{path} is not to be changed: {reason}")));
            }
            let executable = self.replaceable(repository, &plan.parent, path).await?;
            if contents.insert(path, (bytes, executable)).is_some() {
                return Err(Failure::malformed(format!("the plan has {path} twice")));
            }
        }
        if contents.is_empty() {
            return Err(nothing_to_do());
        }
        let mut entries = Vec::new();
        for (path, (bytes, executable)) in contents {
            let mode = if executable { "100755" } else { "100644" };
            let mut entry = json!({ "path": path.as_str(), "mode": mode, "type": "blob" });
            let (key, value) = match std::str::from_utf8(bytes) {
                // GitHub takes a text that is empty for none.
                Ok(text) if !text.is_empty() && !text.contains('\0') => ("content", text.to_owned()),
                _ => ("sha", self.post_blob(repository, bytes).await?.as_str().to_owned()),
            };
            entry[key] = Value::String(value);
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Whether the file that is to be replaced is executable.
    async fn replaceable(&self, repository: &Repository, parent: &CommitId, path: &RepoPath) -> Asked<bool> {
        let missing = || Failure::missing(format!("{path} is no regular file of commit {}", parent.short()));
        let reason = match self.entry(repository, parent, path).await?.ok_or_else(missing)?.kind {
            Kind::File { executable } => return Ok(executable),
            Kind::Symlink => "it is a symlink, which is never followed",
            Kind::Submodule => "it is a submodule, another repository",
            Kind::Tree => return Err(missing()),
        };
        Err(Failure::denied(format!("{path} is not to be changed: {reason}")))
    }

    async fn post_blob(&self, repository: &Repository, bytes: &[u8]) -> Asked<ObjectId> {
        let body = json!({ "content": STANDARD.encode(bytes), "encoding": "base64" });
        let made = self.access.done(repository, Call::post("/git/blobs", body)).await;
        let made: Sha = made.map_err(Failure::unwritable)?.json()?;
        object_id(made.sha)
    }

    async fn post_tree(&self, repository: &Repository, before: &ObjectId, entries: Vec<Value>) -> Asked<ObjectId> {
        let body = json!({ "base_tree": before.as_str(), "tree": entries });
        let made = self.access.done(repository, Call::post("/git/trees", body)).await;
        let made: Sha = made.map_err(Failure::unwritable)?.json()?;
        let tree = object_id(made.sha)?;
        if tree == *before { Err(nothing_to_do()) } else { Ok(tree) }
    }

    async fn post_commit(&self, repository: &Repository, plan: &BranchPlan, tree: &ObjectId) -> Asked<CommitId> {
        let who = json!({ "name": AUTHOR, "email": EMAIL, "date": date(plan.at)? });
        let body = json!({
            "message": plan.message, "tree": tree.as_str(), "parents": [plan.parent.as_str()], "author": who, "committer": who,
        });
        let asked = self.access.done(repository, Call::post("/git/commits", body)).await;
        let made: Sha = asked.map_err(|failure| unknown_commit(failure, &plan.parent))?.json()?;
        commit_id(made.sha)
    }

    /// Creates the reference, once. Whatever else is answered, what is there decides.
    async fn post_reference(
        &self,
        repository: &Repository,
        plan: &BranchPlan,
        reference: &str,
        (commit, tree): (&CommitId, &ObjectId),
    ) -> Asked<BranchOutcome> {
        let body = json!({ "ref": reference, "sha": commit.as_str() });
        let failure = match self.access.done(repository, Call::post("/git/refs", body)).await {
            Ok(_) => return Ok(BranchOutcome::Created(commit.clone())),
            Err(failure) => failure.unwritable(),
        };
        let decided_by_what_is_there = failure.is_ambiguous() || matches!(failure.status, Some(409 | 422));
        if !decided_by_what_is_there || failure.kind == ErrorKind::Denied {
            return Err(failure);
        }
        match self.tip(repository, reference).await? {
            Some(tip) if tip == *commit && failure.is_ambiguous() => Ok(BranchOutcome::Created(tip)),
            Some(tip) => self.judge(repository, plan, tip, (commit, tree)).await,
            None if failure.is_ambiguous() => Err(failure),
            None => {
                let reason =
                    format!("{} cannot be created; a branch whose name is a part of it may be in the way", plan.name);
                Err(failure.meaning(ErrorKind::Conflict, reason))
            }
        }
    }

    /// An existing branch is ours when it holds exactly our tree on our parent, whoever made the commit, or when people went
    /// on from there: then their work stays and the branch still proposes the fix.
    async fn judge(
        &self,
        repository: &Repository,
        plan: &BranchPlan,
        tip: CommitId,
        (commit, tree): (&CommitId, &ObjectId),
    ) -> Asked<BranchOutcome> {
        if tip == *commit {
            return Ok(BranchOutcome::Adopted(tip));
        }
        // One comparison shows the commits in between, so that following them asks nothing more.
        match self.range(repository, &plan.parent, &tip).await {
            Ok(range) if range.fork == plan.parent && tip != plan.parent => {}
            Ok(_) => return Ok(BranchOutcome::Foreign(tip)),
            Err(failure) if failure.kind == ErrorKind::Missing => return Ok(BranchOutcome::Foreign(tip)),
            Err(failure) => return Err(failure),
        }
        let mut id = tip.clone();
        for _ in 0..FOLLOWED {
            let info = self.commit(repository, &id).await?;
            if info.tree == *tree && info.parents == [plan.parent.clone()] {
                return Ok(BranchOutcome::Adopted(tip));
            }
            match info.parents.into_iter().next() {
                Some(earlier) if id != plan.parent => id = earlier,
                _ => break,
            }
        }
        Ok(BranchOutcome::Foreign(tip))
    }

    /// The commit that a full reference name points at; `None` when there is no such reference.
    pub(super) async fn tip(&self, repository: &Repository, reference: &str) -> Asked<Option<CommitId>> {
        let Some(rest) = reference.strip_prefix("refs/").filter(|_| git2::Reference::is_valid_name(reference)) else {
            return Ok(None);
        };
        let call = Call::get(format!("/git/ref/{}", encoded_path(rest)));
        let Some(answer) = self.access.there(repository, call).await? else { return Ok(None) };
        let mut pointed = answer.json::<Pointer>()?.object;
        for _ in 0..3 {
            match pointed.kind.as_str() {
                "commit" => return commit_id(pointed.sha).map(Some),
                "tag" => {
                    let id = object_id(pointed.sha)?;
                    let tag = self.access.done(repository, Call::get(format!("/git/tags/{id}"))).await?;
                    pointed = tag.json::<Pointer>()?.object;
                }
                _ => break,
            }
        }
        Err(Failure::malformed("the reference leads to no commit"))
    }
}

/// The full name, refused unless it is a valid name of one of our branches.
fn reference_name(branch: &str) -> Asked<String> {
    let reference = format!("refs/heads/{branch}");
    if !branch.starts_with(BRANCH_PREFIX) {
        return Err(Failure::denied(format!("{branch:?} is not a branch of ours: they begin with `{BRANCH_PREFIX}`")));
    }
    if !git2::Reference::is_valid_name(&reference) {
        return Err(Failure::denied(format!("{branch:?} is not a valid branch name")));
    }
    Ok(reference)
}

fn date(at: UnixMillis) -> Asked<String> {
    let seconds = i64::try_from(at / 1000).ok().and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    let date = seconds.ok_or_else(|| Failure::malformed("the plan's time is out of range"))?;
    Ok(date.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn nothing_to_do() -> Failure {
    Failure::malformed("the plan changes nothing; there is no branch to make")
}
