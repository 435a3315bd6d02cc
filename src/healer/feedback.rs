//! What people did with our proposals: merged, closed, ignored. It changes memory, suppressions and the case's outcome.

use std::collections::BTreeSet;

use super::again::look_again;
use super::deliver::short;
use super::heal::{error_chain, replay};
use super::lease::{LeaseOutcome, Leased};
use super::record::Outcome;
use super::{HealError, Healer, trail};
use crate::decide::Walk;
use crate::detect::redact::redact;
use crate::model::{
    BRANCH_PREFIX, CaseId, CaseOutcome, CommitId, Decided, EventKind, Feedback, Fingerprint, Generation, Provenance,
    Repository, RunState, TrackRecord,
};
use crate::ports::{PullRequest, PullRequestState};
use crate::report::notice;
use crate::state::Write;
use crate::state::run::{FindingRecord, FindingStatus, RunHead};

impl Healer {
    /// Takes in what people did with the pull requests of a repository: ended one that was open, or opened one again that was
    /// closed. Returns the cases that changed.
    ///
    /// # Errors
    /// When the forge or the store cannot be asked.
    pub async fn follow_up(&self, repository: &Repository) -> Result<Vec<CaseId>, HealError> {
        let proposed = |run: &RunHead| run.state == RunState::Done && run.summary.pull_request.is_some();
        let judged = |run: &RunHead| matches!(run.summary.outcome, CaseOutcome::Open | CaseOutcome::Closed);
        let mut runs = self.runs_of(repository).await?;
        runs.retain(|run| proposed(run) && judged(run));
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let open = self.ports.forge.open_pull_requests(repository, BRANCH_PREFIX).await?;
        let open: BTreeSet<String> = open.into_iter().map(|request| request.branch).collect();
        let mut changed = Vec::new();
        let mut outcome = Ok(());
        for head in runs {
            match self.judged_by_people(repository, &head, &open).await {
                Ok(true) => changed.push(head.case),
                Ok(false) => {}
                // One that a memory or a chat keeps from being taken in does not keep the others from it.
                Err(HealError::Port(error)) if error.is_beside_the_case() => {
                    outcome = outcome.and(Err(HealError::Port(error)));
                }
                Err(error) => return Err(error),
            }
        }
        outcome.map(|()| changed)
    }

    /// Takes in what people did with the pull request of one run; whether they did anything. `open`: branches with an open one.
    async fn judged_by_people(
        &self,
        repository: &Repository,
        head: &RunHead,
        open: &BTreeSet<String>,
    ) -> Result<bool, HealError> {
        let branch = head.case.branch(&head.summary.rule, head.generation);
        match (head.summary.outcome, open.contains(&branch)) {
            (CaseOutcome::Open, false) => {
                let base = short(&head.summary.reference);
                let found = self.ports.forge.find_pull_request(repository, &branch, base).await?;
                match found.filter(|request| request.state != PullRequestState::Open) {
                    Some(request) => self.take_feedback(head, &request).await,
                    None => Ok(false),
                }
            }
            (CaseOutcome::Closed, true) => self.reopened(head).await,
            _ => Ok(false),
        }
    }

    /// Opened again by people: its findings may be healed by it, and the edit is judged anew. One that we took back ourselves, or
    /// that a newer generation has followed, stays what it is.
    async fn reopened(&self, head: &RunHead) -> Result<bool, HealError> {
        let current = trail::case_head(&*self.ports.state, &head.case).await?;
        if current.is_none_or(|current| current.generation != head.generation) {
            return Ok(false);
        }
        let LeaseOutcome::Taken(mut leased) = self.lease(&head.case, head.generation).await? else { return Ok(false) };
        let closed = matches!(last_feedback(&leased), Some(Feedback::Closed));
        let done = if closed { self.take_closing_back(&mut leased).await } else { Ok(()) };
        self.release(&leased, self.due(&leased)).await?;
        done?;
        if closed {
            self.bring_notice_up_to_date(&leased).await;
        }
        Ok(closed)
    }

    async fn take_closing_back(&self, leased: &mut Leased) -> Result<(), HealError> {
        if let Some(mut fix) = self.ports.memory.get(&super::learn::fix_id(leased)).await? {
            fix.record.rejected = 0;
            self.ports.memory.remember(&fix).await?;
        }
        let walk = replay(leased)?;
        let records = self.records(leased, |f| proposed(&walk, f), FindingStatus::Open, None)?;
        let mut writes = Self::finding_writes(&leased.head.case, &records);
        writes.extend(Self::outcome_writes(leased, &walk, None));
        self.append_with(leased, EventKind::Feedback(Feedback::Reopened), writes).await
    }

    async fn take_feedback(&self, head: &RunHead, request: &PullRequest) -> Result<bool, HealError> {
        let LeaseOutcome::Taken(mut leased) = self.lease(&head.case, head.generation).await? else { return Ok(false) };
        let outcome = match (&request.state, &request.merge_commit) {
            (PullRequestState::Merged, commit) => self.merged(&mut leased, commit.as_ref()).await,
            _ => self.closed(&mut leased).await,
        };
        self.release(&leased, self.due(&leased)).await?;
        outcome?;
        self.bring_notice_up_to_date(&leased).await;
        Ok(true)
    }

    /// Says in the notice what became of the proposal. Nobody waits for it, so a failure is only logged.
    async fn bring_notice_up_to_date(&self, leased: &Leased) {
        let told = async {
            let walk = replay(leased)?;
            let (Some(feedback), true) = (last_feedback(leased), walk.notice.is_some()) else { return Ok(()) };
            let edits = walk.decided.map(|d| d.edits.as_slice()).unwrap_or_default();
            let changes = self.file_changes(leased, &walk, edits).await?;
            let notice = notice::of_judged(&leased.head, &walk, &changes, feedback);
            self.ports.notifier.ensure_notice(&notice).await?;
            Ok::<(), HealError>(())
        };
        if let Err(error) = told.await {
            let why = redact(&error_chain(&error)).into_owned();
            tracing::warn!(case = leased.head.case.short(), error = why, "the notice was not brought up to date");
        }
    }

    /// Merged: the fix, as people merged it, becomes trusted memory.
    async fn merged(&self, leased: &mut Leased, commit: Option<&CommitId>) -> Result<(), HealError> {
        let walk = replay(leased)?;
        let commit = commit.cloned().unwrap_or_else(|| walk.commit.clone());
        let amended = match walk.decided {
            Some(decided) => self.learn_merged(leased, decided, &commit).await?,
            None => false,
        };
        let records = self.records(leased, |f| proposed(&walk, f), FindingStatus::Healed, None)?;
        let kind = EventKind::Feedback(Feedback::Merged { commit, amended });
        let mut writes = Self::finding_writes(&leased.head.case, &records);
        writes.extend(Self::outcome_writes(leased, &walk, Some(Outcome::Accepted)));
        // The merge may be undone by now, unseen by a scan that looks at both ends of a range.
        writes.push(mark(leased));
        self.append_with(leased, kind, writes).await
    }

    /// Remembers the merged fix; true when people changed it before they merged.
    async fn learn_merged(&self, leased: &Leased, decided: &Decided, commit: &CommitId) -> Result<bool, HealError> {
        let walk = replay(leased)?;
        let summary = &leased.head.summary;
        let changes = self.file_changes(leased, &walk, &decided.edits).await?;
        let Some((before, proposed)) = changes.get(&summary.path) else { return Ok(false) };
        let merged = self.ports.forge.read(&summary.repository, commit, &summary.path).await?;
        let merged = merged.and_then(|file| String::from_utf8(file.bytes).ok());
        // When other work landed in the same file, what is ours cannot be told apart; the proposal stands for it.
        let after = merged.filter(|text| crate::fix::diff::changed_lines(proposed, text) <= AMENDED_LINES);
        let amended = after.as_ref().is_some_and(|text| text != proposed);
        let provenance = Provenance::Merged {
            pull_request: summary.pull_request.clone().unwrap_or_default(),
            commit: commit.to_string(),
        };
        let texts = super::learn::Texts { before, after: after.as_deref().unwrap_or(proposed) };
        if let Ok(mut fix) = self.past_fix(leased, &walk, decided, (texts, provenance)).await? {
            fix.record = TrackRecord { accepted: 1, ..TrackRecord::default() };
            self.ports.memory.remember(&fix).await?;
        }
        Ok(amended)
    }

    /// Closed unmerged: its findings are never proposed again, and the edit loses trust.
    async fn closed(&self, leased: &mut Leased) -> Result<(), HealError> {
        let walk = replay(leased)?;
        if let Some(decided) = walk.decided {
            let changes = self.file_changes(leased, &walk, &decided.edits).await?;
            if let Some((before, after)) = changes.get(&leased.head.summary.path) {
                let provenance = Provenance::Proposed { case: leased.head.case.to_string() };
                let texts = super::learn::Texts { before, after };
                if let Ok(mut fix) = self.past_fix(leased, &walk, decided, (texts, provenance)).await? {
                    fix.record = TrackRecord { rejected: 1, ..TrackRecord::default() };
                    self.ports.memory.remember(&fix).await?;
                }
            }
        }
        let reason = "its pull request was closed without merging".to_owned();
        let records = self.records(leased, |f| proposed(&walk, f), FindingStatus::Suppressed, Some(reason))?;
        let kind = EventKind::Feedback(Feedback::Closed);
        let mut writes = Self::finding_writes(&leased.head.case, &records);
        writes.extend(Self::outcome_writes(leased, &walk, Some(Outcome::Rejected)));
        self.append_with(leased, kind, writes).await
    }

    /// A finding whose fix was merged is back on the same branch: the fix was undone. The edit loses trust, the finding may be
    /// healed again.
    pub(super) async fn undone(
        &self,
        case: &CaseId,
        generation: Generation,
        (reference, commit): (&str, &CommitId),
    ) -> Result<(), HealError> {
        let LeaseOutcome::Taken(mut leased) = self.lease(case, generation).await? else {
            return Err(HealError::TakenOver(case.clone()));
        };
        let merged_here = matches!(last_feedback(&leased), Some(Feedback::Merged { .. }))
            && leased.head.summary.reference == reference;
        let done = if merged_here { self.take_back(&mut leased, commit).await } else { Ok(()) };
        self.release(&leased, self.due(&leased)).await?;
        done
    }

    async fn take_back(&self, leased: &mut Leased, commit: &CommitId) -> Result<(), HealError> {
        if let Some(mut fix) = self.ports.memory.get(&super::learn::fix_id(leased)).await? {
            fix.record.reverted = 1;
            self.ports.memory.remember(&fix).await?;
        }
        let writes = Self::outcome_writes(leased, &replay(leased)?, Some(Outcome::Reverted));
        self.append_with(leased, EventKind::Feedback(Feedback::Reverted { commit: commit.clone() }), writes).await
    }

    /// Ignores one finding of a case for good, or all of them.
    ///
    /// # Errors
    /// When the case is not known, is being worked on, or the store cannot be asked.
    pub async fn ignore(
        &self,
        case: &CaseId,
        finding: Option<&Fingerprint>,
        by: &str,
        reason: &str,
    ) -> Result<usize, HealError> {
        let head = trail::case_head(&*self.ports.state, case).await?;
        let generation = head.map(|h| h.generation).ok_or_else(|| HealError::UnknownCase(case.clone()))?;
        let LeaseOutcome::Taken(mut leased) = self.lease(case, generation).await? else {
            return Err(HealError::TakenOver(case.clone()));
        };
        let done = self.ignore_leased(&mut leased, finding, by, reason).await;
        self.release(&leased, self.due(&leased)).await?;
        done
    }

    async fn ignore_leased(
        &self,
        leased: &mut Leased,
        finding: Option<&Fingerprint>,
        by: &str,
        reason: &str,
    ) -> Result<usize, HealError> {
        let wanted = |f: &Fingerprint| finding.is_none_or(|wanted| wanted == f);
        if let Some(done) = self.ignored_already(leased, wanted).await? {
            return Ok(done);
        }
        let records = self.records(leased, wanted, FindingStatus::Suppressed, Some(format!("{reason} ({by})")))?;
        let mut writes = Self::finding_writes(&leased.head.case.clone(), &records);
        let kind = if matches!(leased.head.state, RunState::Detected | RunState::Decided | RunState::Deferred) {
            // The run ends with this, so what remains of its findings gets a run of its own.
            writes.extend(self.let_rest_wait(leased, |f| !wanted(f))?);
            let fingerprints = records.iter().map(|r| r.fingerprint.clone()).collect();
            EventKind::Suppressed { fingerprints, reason: reason.to_owned() }
        } else {
            EventKind::Feedback(Feedback::Ignored { by: by.to_owned(), reason: reason.to_owned() })
        };
        self.append_with(leased, kind, writes).await?;
        Ok(records.len())
    }

    /// The number of wanted findings when all of them are ignored: asked twice, it is on record once.
    async fn ignored_already(
        &self,
        leased: &Leased,
        wanted: impl Fn(&Fingerprint) -> bool,
    ) -> Result<Option<usize>, HealError> {
        if matches!(last_feedback(leased), Some(Feedback::Closed)) {
            // Closing can be taken back by opening again; this is for good.
            return Ok(None);
        }
        let walk = replay(leased)?;
        let known = trail::findings(&*self.ports.state, &leased.head.case).await?;
        let ignored = |f: &&Fingerprint| {
            known.iter().any(|record| record.fingerprint == **f && record.status == FindingStatus::Suppressed)
        };
        let asked: Vec<&Fingerprint> = walk.findings.iter().map(|f| &f.fingerprint).filter(|f| wanted(f)).collect();
        Ok((!asked.is_empty() && asked.iter().all(ignored)).then_some(asked.len()))
    }

    fn let_rest_wait(&self, leased: &Leased, rest: impl Fn(&Fingerprint) -> bool) -> Result<Vec<Write>, HealError> {
        let reason = "another finding of its case was ignored before this one was healed".to_owned();
        let waiting = self.records(leased, rest, FindingStatus::Waiting, Some(reason))?;
        let case = &leased.head.case;
        let mut writes = Self::finding_writes(case, &waiting);
        if !waiting.is_empty() {
            writes.push(mark(leased));
        }
        Ok(writes)
    }

    fn records(
        &self,
        leased: &Leased,
        wanted: impl Fn(&Fingerprint) -> bool,
        status: FindingStatus,
        reason: Option<String>,
    ) -> Result<Vec<FindingRecord>, HealError> {
        let walk = replay(leased)?;
        let findings = walk.findings.iter().filter(|f| wanted(&f.fingerprint));
        Ok(findings
            .map(|f| FindingRecord { reason: reason.clone(), ..self.finding_record(leased, &walk, f, status) })
            .collect())
    }
}

/// The mark that the run's case is to be looked at again, unlike every earlier one.
pub(super) fn mark(leased: &Leased) -> Write {
    let head = &leased.head;
    let since = format!("{} of {}", head.sequence, head.generation.0);
    Write::Put { item: look_again(&head.summary.repository.id, &head.case, &since), when: Vec::new() }
}

/// What people did last.
fn last_feedback(leased: &Leased) -> Option<&Feedback> {
    leased.events.iter().rev().find_map(|e| match &e.kind {
        EventKind::Feedback(feedback) => Some(feedback),
        _ => None,
    })
}

/// Whether the pull request held a fix for the finding; what it only listed is not judged with it.
fn proposed(walk: &Walk<'_>, finding: &Fingerprint) -> bool {
    walk.decided.is_some_and(|decided| decided.chosen.iter().any(|c| c.finding == *finding))
}

/// A merged file that differs from the proposal by at most this many lines was amended; beyond, other work is in it.
const AMENDED_LINES: usize = 20;
