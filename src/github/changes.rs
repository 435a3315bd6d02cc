//! What a range of commits changed: regular files only, with the reason for each that is passed over.
//!
//! GitHub's comparison gives the merge base and says what was renamed; what is there, and as what, is read from the trees,
//! since a comparison lists at most 300 files and shows neither modes nor sizes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::GitHubForge;
use super::failure::{Asked, Failure, nullable};
use super::objects::{CommitInfo, Entry, Kind, ObjectId, RawCommit, Sha, commit_id, unknown_commit};
use super::wire::Call;
use crate::model::{Change, CommitId, RepoPath, Repository, tree_path};
use crate::ports::{Changes, ErrorKind};

/// Files that a comparison lists at most; with as many there may be more.
const LISTED: usize = 300;
/// Folders that are read one by one where a repository is too large to be listed at once.
const FOLDERS: usize = 500;

/// A path that differs. Never a folder on either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delta {
    pub path: String,
    pub old: Option<Entry>,
    pub new: Option<Entry>,
}

#[derive(Deserialize)]
struct Comparison {
    merge_base_commit: ComparedCommit,
    #[serde(default, deserialize_with = "nullable")]
    commits: Vec<ComparedCommit>,
    #[serde(default)]
    files: Option<Vec<ComparedFile>>,
}

#[derive(Deserialize)]
struct ComparedCommit {
    sha: String,
    commit: ComparedTree,
    #[serde(default, deserialize_with = "nullable")]
    parents: Vec<Sha>,
}

#[derive(Deserialize)]
struct ComparedTree {
    tree: Sha,
}

#[derive(Deserialize)]
pub(super) struct ComparedFile {
    pub filename: String,
    #[serde(default, deserialize_with = "nullable")]
    pub status: String,
    #[serde(default)]
    pub previous_filename: Option<String>,
}

/// What lies between two commits.
pub(super) struct Range {
    /// The best common ancestor.
    pub fork: CommitId,
    /// Files that differ, at most 300; `None` where GitHub does not list them.
    pub files: Option<Vec<ComparedFile>>,
}

impl Range {
    /// The files where they are all listed: with as many as are listed at most there may be more.
    pub fn all_files(&self) -> Option<&[ComparedFile]> {
        self.files.as_deref().filter(|files| files.len() < LISTED)
    }

    /// Old paths of renamed files by their new ones, as far as they are listed.
    fn renamed(&self) -> BTreeMap<&str, &str> {
        let renamed = self.files.iter().flatten().filter(|file| file.status == "renamed");
        renamed.filter_map(|file| Some((file.filename.as_str(), file.previous_filename.as_deref()?))).collect()
    }
}

impl GitHubForge {
    /// Compares `head` with its merge base with `base`; with the empty tree when `base` is `None`.
    pub(super) async fn changes(
        &self,
        repository: &Repository,
        base: Option<&CommitId>,
        head: &CommitId,
    ) -> Asked<Changes> {
        let Some(base) = base else {
            let tree = self.commit(repository, head).await?.tree;
            return Ok(collect(self.differing(repository, None, &tree).await?, &BTreeMap::new()));
        };
        if base == head {
            return self.commit(repository, head).await.map(|_| Changes::default());
        }
        let range = self.range(repository, base, head).await?;
        if range.fork == *head || range.all_files().is_some_and(<[_]>::is_empty) {
            return Ok(Changes::default());
        }
        let quick = match range.all_files() {
            Some(files) => self.prefetched(repository, (&range.fork, files), head).await?,
            None => None,
        };
        let deltas = match quick {
            Some(deltas) => deltas,
            None => {
                let old = self.commit(repository, &range.fork).await?.tree;
                let new = self.commit(repository, head).await?.tree;
                self.differing(repository, Some(&old), &new).await?
            }
        };
        Ok(collect(deltas, &range.renamed()))
    }

    /// Asks GitHub to compare; the commits it shows are kept.
    pub(super) async fn range(&self, repository: &Repository, base: &CommitId, head: &CommitId) -> Asked<Range> {
        let path = format!("/compare/{base}...{head}");
        let asked = match self.access.done(repository, Call::get(path.clone())).await {
            // Files stand on the first page only, so that the second one comes also where listing them takes too long.
            Err(failure) if failure.is_about_the_diff() => {
                self.access.done(repository, Call::get(format!("{path}?per_page=1&page=2"))).await
            }
            asked => asked,
        };
        let comparison: Comparison = match asked {
            Ok(answer) => answer.json()?,
            Err(failure) => return Err(self.incomparable(repository, failure, (base, head)).await),
        };
        let fork = self.keep(repository, comparison.merge_base_commit)?;
        for commit in comparison.commits {
            self.keep(repository, commit)?;
        }
        Ok(Range { fork, files: comparison.files })
    }

    /// Why two commits cannot be compared. That the older one is gone is believed only where the newer one can be seen: what was
    /// pushed a moment ago may not be known everywhere yet, and of a repository that we may not see nothing is.
    async fn incomparable(
        &self,
        repository: &Repository,
        failure: Failure,
        (base, head): (&CommitId, &CommitId),
    ) -> Failure {
        if !matches!(failure.status, Some(404 | 409 | 422)) {
            return failure;
        }
        if failure.says(&["common ancestor"]) {
            let reason = format!("{} and {} have no common ancestor; choose another base", base.short(), head.short());
            return failure.meaning(ErrorKind::Missing, reason);
        }
        match self.access.named(repository, Call::get(format!("/git/commits/{head}"))).await {
            Ok(_) => unknown_commit(failure, base),
            Err(unseen) => unseen,
        }
    }

    fn keep(&self, repository: &Repository, commit: ComparedCommit) -> Asked<CommitId> {
        let id = commit_id(commit.sha)?;
        let info: CommitInfo = RawCommit { tree: commit.commit.tree, parents: commit.parents }.info()?;
        self.objects.keep_commit(repository, id.clone(), info);
        Ok(id)
    }

    /// All paths that differ between two folders, in order; `None` is the empty one.
    async fn differing(&self, repository: &Repository, old: Option<&ObjectId>, new: &ObjectId) -> Asked<Vec<Delta>> {
        if old == Some(new) {
            return Ok(Vec::new());
        }
        let new_list = self.below(repository, new).await?;
        let old_list = match (&new_list, old) {
            (Some(_), Some(old)) => self.below(repository, old).await?,
            (Some(_), None) => Some(std::sync::Arc::default()),
            (None, _) => None,
        };
        let (Some(old_list), Some(new_list)) = (old_list, new_list) else {
            return self.walk(repository, old, new).await;
        };
        let paths: BTreeSet<&String> = old_list.keys().chain(new_list.keys()).collect();
        let deltas = paths.into_iter().filter_map(|path| delta(path, old_list.get(path), new_list.get(path)));
        Ok(deltas.collect())
    }

    /// Compares folder by folder; equal ones are never opened.
    async fn walk(&self, repository: &Repository, old: Option<&ObjectId>, new: &ObjectId) -> Asked<Vec<Delta>> {
        let mut deltas = Vec::new();
        let mut read = 0;
        let mut waiting = vec![(String::new(), old.cloned(), Some(new.clone()))];
        while let Some((prefix, old, new)) = waiting.pop() {
            read += 1;
            if read > FOLDERS {
                return Err(Failure::malformed(format!("more than {FOLDERS} folders differ; choose a smaller range")));
            }
            let (old, new) =
                (self.optional_folder(repository, old).await?, self.optional_folder(repository, new).await?);
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let (old, new) = (old.get(name), new.get(name));
                if old == new {
                    continue;
                }
                let path = format!("{prefix}{name}");
                let folder = |entry: Option<&Entry>| {
                    entry.filter(|entry| entry.kind == Kind::Tree).map(|entry| entry.id.clone())
                };
                let (old_folder, new_folder) = (folder(old), folder(new));
                if old_folder.is_some() || new_folder.is_some() {
                    waiting.push((format!("{path}/"), old_folder, new_folder));
                }
                deltas.extend(delta(&path, old, new));
            }
        }
        deltas.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(deltas)
    }

    async fn optional_folder(
        &self,
        repository: &Repository,
        id: Option<ObjectId>,
    ) -> Asked<std::sync::Arc<super::objects::Listing>> {
        match id {
            Some(id) => self.folder(repository, &id).await,
            None => Ok(std::sync::Arc::default()),
        }
    }
}

/// The difference at one path, folders left out; `None` when there is none.
pub(super) fn delta(path: &str, old: Option<&Entry>, new: Option<&Entry>) -> Option<Delta> {
    let leaf = |entry: Option<&Entry>| entry.filter(|entry| entry.kind != Kind::Tree).cloned();
    let (old, new) = (leaf(old), leaf(new));
    (old != new).then(|| Delta { path: path.to_owned(), old, new })
}

/// `renamed` gives old paths by new ones, as GitHub sees it.
pub(super) fn collect(deltas: Vec<Delta>, renamed: &BTreeMap<&str, &str>) -> Changes {
    let mut changes = Changes::default();
    let mut origins = Origins::of(&deltas);
    for Delta { path, old, new } in deltas {
        let Some(new) = new else { continue };
        let old = old.filter(Entry::is_file);
        if old.as_ref().is_some_and(|old| new.is_file() && old.id == new.id) {
            continue; // only the mode differs
        }
        let believed = believe(&path, &new);
        let (path, size) = match believed {
            Ok(believed) => believed,
            Err(reason) => {
                changes.skipped.push((tree_path::display(path.as_bytes()), reason));
                continue;
            }
        };
        let before = match old {
            Some(old) => Some((path.clone(), old.id)),
            None => origins.take(&path, &new, renamed.get(path.as_str()).copied()),
        };
        let (base_path, base_blob) = before.unzip();
        changes.files.push(Change { path, blob: new.id, base_path, base_blob, size });
    }
    changes
}

fn believe(path: &str, entry: &Entry) -> Result<(RepoPath, u64), String> {
    match entry.kind {
        Kind::File { .. } => {}
        Kind::Symlink => return Err("it is a symlink, which is never followed".to_owned()),
        Kind::Submodule => return Err("it is a submodule, another repository".to_owned()),
        Kind::Tree => return Err("it is a folder".to_owned()),
    }
    // What JSON cannot carry arrives as this character, and would name another file.
    if path.contains(char::REPLACEMENT_CHARACTER) {
        return Err("its name is not valid UTF-8".to_owned());
    }
    // A file whose size is not told is measured when it has been read.
    Ok((tree_path::believe(path.as_bytes())?, entry.size.unwrap_or(0)))
}

/// Files that are gone, each the possible origin of one that is new.
struct Origins {
    gone: BTreeMap<String, Entry>,
}

impl Origins {
    fn of(deltas: &[Delta]) -> Self {
        let gone = deltas.iter().filter(|delta| delta.new.as_ref().is_none_or(|new| !new.is_file()));
        let files = gone.filter_map(|delta| {
            let old = delta.old.clone().filter(Entry::is_file)?;
            Some((delta.path.clone(), old))
        });
        Self { gone: files.collect() }
    }

    /// What GitHub named, else a file of the same content, one of the same name preferred.
    fn take(&mut self, path: &RepoPath, new: &Entry, named: Option<&str>) -> Option<(RepoPath, ObjectId)> {
        let named = named.filter(|named| self.gone.contains_key(*named)).map(str::to_owned);
        let origin = named.or_else(|| {
            let same = |(_, old): &(&String, &Entry)| old.id == new.id && new.size != Some(0);
            let mut alike = self.gone.iter().filter(same).map(|(origin, _)| origin);
            let first = alike.clone().next();
            let name = |origin: &&String| origin.rsplit('/').next() == Some(path.file_name());
            alike.find(name).or(first).cloned()
        })?;
        let old = self.gone.remove(&origin)?;
        Some((tree_path::believe(origin.as_bytes()).ok()?, old.id))
    }
}
