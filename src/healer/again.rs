//! Runs that begin because an earlier one ended: superseded before delivery, merged and undone, or waited for by new findings.
//!
//! A scan sees what a range of commits brought in. What went and came back between two scans, or moved to another file, it does
//! not see: a case that this may have happened to is marked, and looked at until the scan has caught up with what was seen.

use std::collections::BTreeSet;

use serde_json::json;

use super::heal::replay;
use super::lease::Leased;
use super::scan::Ended;
use super::{HealError, Healer, ScanReport, ScanRequest, trail};
use crate::model::{
    BlobId, CaseId, CommitId, EventKind, Finding, Fingerprint, Generation, RepoPath, Repository, RepositoryId,
};
use crate::ports::{ErrorKind, PortError};
use crate::recall::look;
use crate::state::run::{self, FindingStatus, RunHead, Summary};
use crate::state::{Condition, Item, QueryOf, Transaction, Write, keys};

/// New files that are looked through for findings whose own file is gone.
const NEW_FILES: usize = 50;

/// What became of findings that were looked for again.
enum Again {
    /// They stand, and these runs take them up.
    Runs(Vec<(CaseId, Generation)>),
    /// None of them stands, or all that do need nothing. What comes back after `for_good` is seen by a scan.
    Nothing { for_good: bool },
}

/// A case's file as it is now.
struct Found {
    path: RepoPath,
    blob: BlobId,
    bytes: Vec<u8>,
}

impl Healer {
    /// Opens the next runs for a superseded one: its findings, as far as they still stand at the branch's head.
    pub(super) async fn judge_anew(&self, leased: &Leased) -> Result<Vec<(CaseId, Generation)>, HealError> {
        let walk = replay(leased)?;
        let fingerprints = walk.findings.iter().map(|f| f.fingerprint.clone()).collect();
        match self.open_again(&leased.head.summary, walk.commit, &fingerprints).await? {
            Again::Runs(runs) => Ok(runs),
            Again::Nothing { for_good: true } => Ok(Vec::new()),
            Again::Nothing { for_good: false } => {
                let head = &leased.head;
                let since = format!("superseded in {}", head.generation.0);
                trail::put(&*self.ports.state, look_again(&head.summary.repository.id, &head.case, &since)).await?;
                Ok(Vec::new())
            }
        }
    }

    /// Opens runs for findings that waited for a pull request which has ended since, and for those whose fix was undone.
    ///
    /// # Errors
    /// When the forge or the store cannot be asked.
    pub async fn open_waiting(&self, repository: &Repository) -> Result<Vec<(CaseId, Generation)>, HealError> {
        let state = &*self.ports.state;
        let of = QueryOf::Partition { pk: keys::waiting_partition(&repository.id), prefix: String::new() };
        let mut opened = Vec::new();
        for mark in trail::all(state, of).await? {
            match self.look_at(&CaseId::from_stored(mark.key.sk.clone())).await? {
                None | Some(Again::Nothing { for_good: false }) => continue,
                Some(Again::Nothing { for_good: true }) => {}
                Some(Again::Runs(runs)) => opened.extend(runs),
            }
            unmark(&mark, state).await?;
        }
        Ok(opened)
    }

    /// Looks for the findings of a marked case. `None` while its last run goes on.
    async fn look_at(&self, case: &CaseId) -> Result<Option<Again>, HealError> {
        let state = &*self.ports.state;
        let Some(previous) = self.previous_run(case).await? else { return Ok(None) };
        if matches!(previous.ended, Ended::NotYet | Ended::WaitsForPeople) {
            return Ok(None);
        }
        let generation = previous.head.generation;
        let Some(run) = trail::run_head(state, case, generation).await? else { return Ok(None) };
        let Some(commit) = self.began_at(&run).await? else { return Ok(None) };
        let records = trail::findings(state, case).await?;
        let asks = |status| !matches!(status, FindingStatus::Suppressed | FindingStatus::Escalated);
        let fingerprints = records.into_iter().filter(|r| asks(r.status)).map(|r| r.fingerprint).collect();
        self.open_again(&run.summary, &commit, &fingerprints).await.map(Some)
    }

    /// The commit at which a run's findings were detected.
    async fn began_at(&self, run: &RunHead) -> Result<Option<CommitId>, HealError> {
        let events = trail::events(&*self.ports.state, &run.case, run.generation).await?;
        Ok(events.into_iter().find_map(|event| match event.kind {
            EventKind::Detected { commit, .. } => Some(commit),
            _ => None,
        }))
    }

    /// Opens runs for those of the findings, known since `commit`, that still stand at the branch's head.
    async fn open_again(
        &self,
        summary: &Summary,
        commit: &CommitId,
        fingerprints: &BTreeSet<Fingerprint>,
    ) -> Result<Again, HealError> {
        let repository = &summary.repository;
        let head = self.ports.forge.head(repository, &summary.reference).await?;
        let Some(head) = head else { return Ok(Again::Nothing { for_good: true }) };
        // Read after the head: what comes back once the scan stands here is part of a later range.
        let position = self.position(repository, &summary.reference).await?;
        let nothing = Again::Nothing { for_good: position.is_none_or(|position| position == head) };
        let mut runs = Vec::new();
        for file in self.where_it_is(summary, (commit, &head), fingerprints).await? {
            runs.extend(self.open_there(summary, &head, &file, fingerprints).await?);
        }
        Ok(if runs.is_empty() { nothing } else { Again::Runs(runs) })
    }

    /// Opens a run for those of the findings that stand in a file.
    async fn open_there(
        &self,
        summary: &Summary,
        head: &CommitId,
        file: &Found,
        fingerprints: &BTreeSet<Fingerprint>,
    ) -> Result<Vec<(CaseId, Generation)>, HealError> {
        let repository = &summary.repository;
        let mut findings = self.standing(summary, (&file.path, &file.bytes), fingerprints);
        if look::of_rule(&summary.rule).is_some() {
            let wanted = |finding: &Finding| fingerprints.contains(&finding.fingerprint);
            findings.extend(self.claimed_before(&repository.id, (&file.path, &file.bytes), wanted).await?);
        }
        if findings.is_empty() {
            return Ok(Vec::new());
        }
        let request = ScanRequest {
            repository: repository.clone(),
            reference: summary.reference.clone(),
            base: None,
            head: head.clone(),
            pusher: summary.pusher.clone(),
            external: Vec::new(),
        };
        let mut report = ScanReport::default();
        self.open_case(&request, &mut report, (&summary.rule, &file.path, &file.blob), &findings).await?;
        Ok(report.runs)
    }

    /// The case's file at the head: under its path, or where it was moved to since `commit`. Of several files with the same
    /// content nobody can say which one it became, and the one that git names may be another: all of them are looked at.
    async fn where_it_is(
        &self,
        summary: &Summary,
        (commit, head): (&CommitId, &CommitId),
        fingerprints: &BTreeSet<Fingerprint>,
    ) -> Result<Vec<Found>, HealError> {
        let (forge, repository) = (&self.ports.forge, &summary.repository);
        if let Some(file) = forge.read(repository, head, &summary.path).await? {
            return Ok(vec![Found { path: summary.path.clone(), blob: file.blob, bytes: file.bytes }]);
        }
        let changes = match forge.changed_files(repository, Some(commit), head).await {
            // A force push took the commit away: what there is now is new to the scan.
            Err(PortError { kind: ErrorKind::Missing, .. }) => return Ok(Vec::new()),
            other => other?,
        };
        // Where a force push came in between it is a new file, which is known by what is in it.
        let (moved, other): (Vec<_>, Vec<_>) =
            changes.files.into_iter().partition(|change| change.base_path.as_ref() == Some(&summary.path));
        let new = other.into_iter().filter(|change| change.base_path.is_none()).take(NEW_FILES);
        let ignored = self.policy.ignored()?;
        let mut found = Vec::new();
        for change in moved.into_iter().chain(new) {
            if ignored.is_match(change.path.as_str()) || self.detector.refuses(&change.path, change.size).is_some() {
                continue;
            }
            let bytes = forge.read_blob(repository, &change.blob).await?;
            if !self.standing(summary, (&change.path, &bytes), fingerprints).is_empty() {
                found.push(Found { path: change.path, blob: change.blob, bytes });
            }
        }
        Ok(found)
    }

    /// Those of the findings that stand in a text, under the path where it is now.
    fn standing(
        &self,
        summary: &Summary,
        (path, bytes): (&RepoPath, &[u8]),
        fingerprints: &BTreeSet<Fingerprint>,
    ) -> Vec<Finding> {
        let scan = |path: &RepoPath| self.detector.scan(&summary.repository.id, path, bytes).findings;
        // A fingerprint covers the path: what moved is known by the one that it would have had.
        let known: Vec<Finding> =
            scan(&summary.path).into_iter().filter(|f| fingerprints.contains(&f.fingerprint)).collect();
        if *path == summary.path {
            return known;
        }
        let is_known = |f: &Finding| known.iter().any(|k| k.rule.id == f.rule.id && k.span == f.span);
        scan(path).into_iter().filter(is_known).collect()
    }
}

/// The mark that a case is to be looked at again. `since` tells marks apart.
pub(super) fn look_again(repository: &RepositoryId, case: &CaseId, since: &str) -> Item {
    let mut mark = run::waiting_item(repository, case);
    mark.fields.insert("since".to_owned(), json!(since));
    mark
}

/// Takes a mark away unless it was set again meanwhile.
async fn unmark(mark: &Item, state: &dyn crate::ports::State) -> Result<(), HealError> {
    let when = match mark.fields.get("since") {
        Some(since) => vec![Condition::Equals("since", since.clone())],
        None => Vec::new(),
    };
    let delete = Write::Delete { key: mark.key.clone(), when };
    match trail::commit(state, &Transaction { writes: vec![delete], token: None }).await {
        Err(error) if error.kind == ErrorKind::Conflict => Ok(()),
        other => Ok(other?),
    }
}
