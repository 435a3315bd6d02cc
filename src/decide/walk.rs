//! The walk of one run, replayed from its events, and the step that comes next.

use std::collections::{BTreeMap, BTreeSet};

use super::transition::{IllegalStep, after};
use crate::model::{
    AuditEvent, CandidateJudged, CommitId, ConsultOutcome, Consultation, Decided, Decision, EventKind, Finding,
    Fingerprint, RunState, Source, Thresholds, UnixMillis,
};

/// An escalation waits at most this long for a source that could not be asked: 24 hours.
pub const DEFER_AT_MOST_MS: UnixMillis = 24 * 60 * 60 * 1000;

/// What a run has done so far. Made only by [`Walk::replay`], so it always agrees with the trail.
#[derive(Debug, Clone, PartialEq)]
pub struct Walk<'a> {
    pub state: RunState,
    pub findings: &'a [Finding],
    pub commit: &'a CommitId,
    pub blob: &'a str,
    pub reference: &'a str,
    pub pusher: Option<&'a str>,
    pub detected_at: UnixMillis,
    /// The latest answer of each source since the walk last began anew, in the order they were asked.
    pub consulted: Vec<&'a Consultation>,
    pub judged: BTreeMap<Source, &'a [CandidateJudged]>,
    pub decided: Option<&'a Decided>,
    pub branch_refused: Option<&'a str>,
    pub branch: Option<(&'a str, &'a CommitId)>,
    pub pull_request: Option<&'a str>,
    pub notice: Option<&'a str>,
}

/// Why events do not make a walk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error("the run has no events")]
    Empty,
    #[error("the run does not begin with what was detected")]
    NotDetected,
    #[error(transparent)]
    Illegal(#[from] IllegalStep),
}

/// What a run does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask the source about these findings.
    Consult {
        source: Source,
        findings: Vec<Fingerprint>,
    },
    /// Verify and score what the source proposed.
    Judge(Source),
    /// Form the best change and decide.
    Decide,
    /// Wait: a source could not be asked, and without it the result would only be an escalation.
    Defer,
    /// A deferred run whose time has come begins its walk anew.
    Redrive,
    Branch,
    Propose,
    /// Say that a notice is about to be sent.
    PrepareNotice,
    Notify,
    Learn,
    /// Nothing remains to be done.
    Done,
}

impl Step {
    /// Whether the step shows outside of the store: in the repository, in memory, or to people.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        !matches!(self, Self::Consult { .. } | Self::Judge(_) | Self::Decide | Self::Redrive | Self::Done)
    }

    /// Whether the step does something that people see, so that all steps before it must be on record. Saying that a notice is
    /// about to be sent is not yet sending it.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.has_effects() && !matches!(self, Self::PrepareNotice | Self::Learn | Self::Defer)
    }
}

impl<'a> Walk<'a> {
    /// Replays the events of one run, oldest first.
    ///
    /// # Errors
    /// When the events do not begin with a detection, or one of them was not legal where it stands.
    pub fn replay(events: &'a [AuditEvent]) -> Result<Self, ReplayError> {
        let first = events.first().ok_or(ReplayError::Empty)?;
        let EventKind::Detected { findings, commit, blob, reference, pusher } = &first.kind else {
            return Err(ReplayError::NotDetected);
        };
        let mut walk = Self {
            state: after(None, &first.kind)?,
            findings,
            commit,
            blob,
            reference,
            pusher: pusher.as_deref(),
            detected_at: first.at,
            consulted: Vec::new(),
            judged: BTreeMap::new(),
            decided: None,
            branch_refused: None,
            branch: None,
            pull_request: None,
            notice: None,
        };
        for event in &events[1..] {
            walk.take(&event.kind)?;
        }
        Ok(walk)
    }

    fn take(&mut self, kind: &'a EventKind) -> Result<(), IllegalStep> {
        self.state = after(Some(self.state), kind)?;
        match kind {
            EventKind::Consulted(consultation) => self.consulted.push(consultation),
            EventKind::Judged { source, candidates } => {
                self.judged.insert(*source, candidates);
            }
            EventKind::Decided(decided) => self.decided = Some(decided),
            EventKind::BranchRefused { reason, .. } => self.branch_refused = Some(reason),
            EventKind::Branched { branch, commit, .. } => self.branch = Some((branch, commit)),
            EventKind::Proposed { url, .. } => self.pull_request = Some(url),
            EventKind::Notified { reference } => self.notice = Some(reference),
            EventKind::Redriven { .. } => self.forget_the_unanswered(),
            _ => {}
        }
        Ok(())
    }

    /// Answers stay: a recorded answer beats a fresh one. Only sources that could not be asked are asked again.
    fn forget_the_unanswered(&mut self) {
        self.consulted.retain(|c| !matches!(c.outcome, ConsultOutcome::Unavailable { .. }));
        let answered: BTreeSet<Source> = self.consulted.iter().map(|c| c.source).collect();
        self.judged.retain(|source, _| answered.contains(source));
        self.decided = None;
    }

    /// The next step. `now` matters only to a run that waits for a source.
    #[must_use]
    pub fn next(&self, thresholds: &Thresholds, now: UnixMillis) -> Step {
        match self.state {
            RunState::Detected => self.next_question(thresholds, now),
            RunState::Decided if self.branch_refused.is_some() => Step::PrepareNotice,
            RunState::Decided => match self.decided.map(|d| d.decision) {
                Some(Decision::Open | Decision::Draft) => Step::Branch,
                _ => Step::PrepareNotice,
            },
            RunState::Branched => Step::Propose,
            RunState::Proposed => Step::PrepareNotice,
            RunState::Notifying => Step::Notify,
            RunState::Notified => Step::Learn,
            RunState::Deferred => Step::Redrive,
            RunState::Done | RunState::Suppressed | RunState::Superseded | RunState::Failed => Step::Done,
        }
    }

    fn next_question(&self, thresholds: &Thresholds, now: UnixMillis) -> Step {
        for source in Source::ORDER {
            let Some(consultation) = self.consultation(source) else {
                let findings = self.without_open_candidate(thresholds);
                if findings.is_empty() {
                    return Step::Decide;
                }
                return Step::Consult { source, findings };
            };
            if !consultation.candidates.is_empty() && !self.judged.contains_key(&source) {
                return Step::Judge(source);
            }
        }
        if self.would_escalate(thresholds) && self.someone_was_unavailable() && self.may_still_wait(now) {
            return Step::Defer;
        }
        Step::Decide
    }

    /// What a source answered, if it was asked.
    #[must_use]
    pub fn consultation(&self, source: Source) -> Option<&'a Consultation> {
        self.consulted.iter().rev().find(|c| c.source == source).copied()
    }

    /// All candidates that were judged, in the order of the tree.
    pub fn candidates(&self) -> impl Iterator<Item = &'a CandidateJudged> {
        self.judged.values().flat_map(|candidates| candidates.iter())
    }

    fn without_open_candidate(&self, thresholds: &Thresholds) -> Vec<Fingerprint> {
        let opened: BTreeSet<&Fingerprint> =
            self.candidates().filter(|c| reaches(c, thresholds.open.percent())).map(|c| &c.finding).collect();
        let missing = |f: &&Finding| !opened.contains(&f.fingerprint);
        self.findings.iter().filter(missing).map(|f| f.fingerprint.clone()).collect()
    }

    fn would_escalate(&self, thresholds: &Thresholds) -> bool {
        !self.candidates().any(|c| reaches(c, thresholds.draft.percent()))
    }

    fn someone_was_unavailable(&self) -> bool {
        self.consulted.iter().any(|c| matches!(c.outcome, ConsultOutcome::Unavailable { .. }))
    }

    fn may_still_wait(&self, now: UnixMillis) -> bool {
        now < self.detected_at.saturating_add(DEFER_AT_MOST_MS)
    }
}

fn reaches(judged: &CandidateJudged, percent: u8) -> bool {
    judged.verdict.is_verified() && judged.scored.as_ref().is_some_and(|s| s.confidence.percent() >= percent)
}
