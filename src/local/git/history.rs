//! Walking the history for learning: which commits changed which files, with the content before and after.
//!
//! Cheap commits first: the list of ids costs one walk, a commit costs a comparison of its trees that stops at
//! [`Options::max_files`], and only files of languages that we read are unpacked. Damaged commits are counted, not fatal.

use std::path::Path;

use git2::{Commit, Oid, Repository, Sort};

use super::open::LocalRepository;
use super::trees::{self, Compared};
use super::{open_without_configuration, read};
use crate::model::{BlobId, CommitId, Language, RepoPath, UnixMillis, tree_path};

/// Which commits to walk, in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where to begin; `HEAD` when `None`.
    pub from: Option<CommitId>,
    /// Leaves out these commits and all their ancestors: what an earlier walk has seen.
    pub seen: Vec<CommitId>,
    /// Continues behind this commit of an interrupted walk with the same options. Unknown commits (rewritten history) are
    /// ignored and the walk begins at its beginning.
    pub resume_after: Option<CommitId>,
    /// Leaves out commits made before this time.
    pub since: Option<UnixMillis>,
    pub oldest_first: bool,
    /// Only the branch's own line, without what was merged into it.
    pub first_parent: bool,
    /// At most this many commits are looked at.
    pub max_commits: usize,
    /// Commits that differ in more entries (files and folders) are passed over as bulk.
    pub max_files: usize,
    /// Larger files are passed over, bytes.
    pub max_file_size: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            from: None,
            seen: Vec::new(),
            resume_after: None,
            since: None,
            oldest_first: false,
            first_parent: false,
            max_commits: 50_000,
            max_files: 100,
            max_file_size: 1024 * 1024,
        }
    }
}

/// A commit that modified files of our languages. Text is as the author wrote it: hostile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryCommit {
    pub id: CommitId,
    /// When it was committed.
    pub time: UnixMillis,
    pub author: String,
    /// First line of the message.
    pub summary: String,
    pub files: Vec<ModifiedFile>,
}

/// A regular file that a commit modified in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModifiedFile {
    pub path: RepoPath,
    pub language: Language,
    pub before: Vec<u8>,
    pub before_blob: BlobId,
    pub after: Vec<u8>,
    pub after_blob: BlobId,
}

/// What a walk has met so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// All commits that were looked at.
    pub commits: usize,
    pub merges: usize,
    /// Commits with more than `max_files` entries.
    pub bulk: Vec<CommitId>,
    pub too_old: usize,
    pub large_files: usize,
    /// Commits whose objects are missing or damaged, as at the end of a shallow clone.
    pub unreadable: usize,
}

/// Why there is nothing to walk. Each message ends with what to do.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("the repository has no commit yet; there is nothing to learn from")]
    NoCommits,
    #[error("there is no commit {0} here; `git fetch` may bring it")]
    NoSuchCommit(String),
    #[error("the history cannot be walked: {0}; `git fsck` tells more")]
    Unreadable(#[from] git2::Error),
}

/// A walk in progress; an iterator over the commits that modified something of interest.
pub struct History {
    repo: Repository,
    options: Options,
    ids: std::vec::IntoIter<Oid>,
    last: Option<Oid>,
    report: Report,
}

/// Begins a walk.
///
/// # Errors
/// When there is no commit to begin at or the history cannot be listed.
pub fn walk(repository: &LocalRepository, options: Options) -> Result<History, HistoryError> {
    let from = options.from.as_ref().or(repository.head.commit()).ok_or(HistoryError::NoCommits)?;
    History::begin(&repository.git_dir, from.clone(), options)
}

impl History {
    fn begin(git_dir: &Path, from: CommitId, options: Options) -> Result<Self, HistoryError> {
        let repo = open_without_configuration(git_dir)?;
        let ids = list(&repo, &from, &options)?;
        Ok(Self { repo, options, ids: ids.into_iter(), last: None, report: Report::default() })
    }

    /// Commits that are still to be looked at.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.ids.len()
    }

    /// The commit that was looked at last, whatever it turned out to be: where an interrupted walk continues.
    #[must_use]
    pub fn reached(&self) -> Option<CommitId> {
        self.last.and_then(|id| read::commit_id(id).ok())
    }

    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    fn visit(&mut self, id: Oid) -> Option<HistoryCommit> {
        self.report.commits += 1;
        self.last = Some(id);
        let seen = look(&self.repo, &self.options, id);
        match seen {
            Ok(Seen::Modified(commit, large)) => {
                self.report.large_files += large;
                return (!commit.files.is_empty()).then_some(commit);
            }
            Ok(Seen::Merge) => self.report.merges += 1,
            Ok(Seen::TooOld) => self.report.too_old += 1,
            Ok(Seen::Bulk(id)) => self.report.bulk.push(id),
            Ok(Seen::First) => {}
            Err(_) => self.report.unreadable += 1,
        }
        None
    }
}

impl Iterator for History {
    type Item = HistoryCommit;

    fn next(&mut self) -> Option<HistoryCommit> {
        loop {
            let id = self.ids.next()?;
            if let Some(commit) = self.visit(id) {
                return Some(commit);
            }
        }
    }
}

/// The ids in walking order, already behind `resume_after`.
fn list(repo: &Repository, from: &CommitId, options: &Options) -> Result<Vec<Oid>, HistoryError> {
    let start = trees::commit(repo, from).map_err(|_| HistoryError::NoSuchCommit(from.short().to_owned()))?.id();
    let mut walk = repo.revwalk()?;
    let order = Sort::TOPOLOGICAL | Sort::TIME;
    walk.set_sorting(if options.oldest_first { order | Sort::REVERSE } else { order })?;
    if options.first_parent {
        walk.simplify_first_parent()?;
    }
    walk.push(start)?;
    for seen in &options.seen {
        // A commit that is gone hides nothing.
        if let Ok(commit) = trees::commit(repo, seen) {
            walk.hide(commit.id())?;
        }
    }
    let mut ids = walk.collect::<Result<Vec<_>, _>>()?;
    let resume = options.resume_after.as_ref().and_then(|id| Oid::from_str(id.as_str()).ok());
    if let Some(place) = resume.and_then(|resume| ids.iter().position(|id| *id == resume)) {
        ids.drain(..=place);
    }
    ids.truncate(options.max_commits);
    Ok(ids)
}

/// What a commit turned out to be.
enum Seen {
    /// With the number of files that were too large.
    Modified(HistoryCommit, usize),
    Merge,
    Bulk(CommitId),
    TooOld,
    First,
}

fn look(repo: &Repository, options: &Options, id: Oid) -> Result<Seen, super::Failure> {
    let commit = repo.find_commit(id)?;
    if commit.parent_count() > 1 {
        return Ok(Seen::Merge);
    }
    let time = time_of(&commit);
    if options.since.is_some_and(|since| time < since) {
        return Ok(Seen::TooOld);
    }
    if commit.parent_count() == 0 {
        return Ok(Seen::First);
    }
    let old = commit.parent(0)?.tree_id();
    let deltas = match trees::compare(repo, Some(old), Some(commit.tree_id()), options.max_files)? {
        Compared::All(deltas) => deltas,
        Compared::TooMany => return Ok(Seen::Bulk(read::commit_id(id)?)),
    };
    let mut large = 0;
    let mut files = Vec::new();
    for delta in &deltas {
        match modified(repo, options.max_file_size, delta)? {
            Modified::File(file) => files.push(file),
            Modified::Large => large += 1,
            Modified::Other => {}
        }
    }
    let author = String::from_utf8_lossy(commit.author().name_bytes()).into_owned();
    let summary = commit.summary_bytes().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
    Ok(Seen::Modified(HistoryCommit { id: read::commit_id(id)?, time, author, summary, files }, large))
}

fn time_of(commit: &Commit<'_>) -> UnixMillis {
    u64::try_from(commit.time().seconds()).unwrap_or(0).saturating_mul(1000)
}

enum Modified {
    File(ModifiedFile),
    Large,
    Other,
}

fn modified(repo: &Repository, max_size: usize, delta: &trees::Delta) -> Result<Modified, super::Failure> {
    let (Some(old), Some(new)) = (delta.old, delta.new) else { return Ok(Modified::Other) };
    if !old.is_file() || !new.is_file() || old.id == new.id {
        return Ok(Modified::Other);
    }
    let Ok(path) = tree_path::believe(&delta.path) else { return Ok(Modified::Other) };
    let Some(language) = Language::of(&path) else { return Ok(Modified::Other) };
    let odb = repo.odb()?;
    if odb.read_header(old.id)?.0 > max_size || odb.read_header(new.id)?.0 > max_size {
        return Ok(Modified::Large);
    }
    Ok(Modified::File(ModifiedFile {
        path,
        language,
        before: read::blob(repo, old.id)?,
        before_blob: read::blob_id(old.id)?,
        after: read::blob(repo, new.id)?,
        after_blob: read::blob_id(new.id)?,
    }))
}
