//! The audit trail: one event for each step of a case, taken or skipped.

use serde::{Deserialize, Serialize};

use super::{
    Candidate, CaseId, CommitId, Confidence, Decision, Edit, Finding, Fingerprint, Generation, ModelCall, Review,
    Scored, Source, Thresholds, UnixMillis, Verdict,
};

/// One step of one run. Its hash covers the event before it, so nothing can be altered or taken out unseen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    pub case: CaseId,
    pub generation: Generation,
    /// From 0, without gaps.
    pub sequence: u64,
    pub at: UnixMillis,
    pub kind: EventKind,
    /// Hash of the event before; empty for the first.
    pub previous: String,
    /// SHA-256 over every other field, hex.
    pub hash: String,
}

/// What happened. Details that a person or a replay needs are inside; secrets are redacted before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    Detected {
        findings: Vec<Finding>,
        /// The commit at which the findings stand, and the file's blob there: what every later step is pinned to.
        commit: CommitId,
        blob: String,
        /// Branch the fix is meant for.
        reference: String,
        /// Who pushed, where known.
        pusher: Option<String>,
    },
    Consulted(Consultation),
    Judged {
        source: Source,
        candidates: Vec<CandidateJudged>,
    },
    Decided(Box<Decided>),
    /// The branch's name is taken by other content, which we leave alone: people are told instead.
    BranchRefused {
        branch: String,
        reason: String,
    },
    Branched {
        branch: String,
        commit: CommitId,
        adopted: bool,
    },
    Proposed {
        url: String,
        /// The forge's number; 0 on a laptop.
        #[serde(default)]
        number: u64,
        draft: bool,
        adopted: bool,
    },
    /// The notice is about to be sent: after this one may exist.
    Notifying,
    Notified {
        reference: String,
    },
    Learned {
        fix: Option<String>,
        detail: String,
    },
    Suppressed {
        fingerprints: Vec<Fingerprint>,
        reason: String,
    },
    Superseded {
        reason: String,
    },
    Deferred {
        reason: String,
        until: UnixMillis,
    },
    Failed {
        reason: String,
    },
    Feedback(Feedback),
    /// The walk begins anew: sources that could not be asked are asked again.
    Redriven {
        reason: String,
    },
}

impl EventKind {
    /// The name people and queries use, as serialised.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Detected { .. } => "detected",
            Self::Consulted(_) => "consulted",
            Self::Judged { .. } => "judged",
            Self::Decided(_) => "decided",
            Self::BranchRefused { .. } => "branch_refused",
            Self::Branched { .. } => "branched",
            Self::Proposed { .. } => "proposed",
            Self::Notifying => "notifying",
            Self::Notified { .. } => "notified",
            Self::Learned { .. } => "learned",
            Self::Suppressed { .. } => "suppressed",
            Self::Superseded { .. } => "superseded",
            Self::Deferred { .. } => "deferred",
            Self::Failed { .. } => "failed",
            Self::Feedback(_) => "feedback",
            Self::Redriven { .. } => "redriven",
        }
    }
}

/// A source was asked, or was not, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Consultation {
    pub source: Source,
    pub outcome: ConsultOutcome,
    /// What was asked, for people.
    pub question: String,
    /// What came back, for people: one line an answer, also those of no use.
    pub answers: Vec<String>,
    /// Candidates by finding.
    pub candidates: Vec<(Fingerprint, Candidate)>,
    /// Text found on the way that later sources may read (prose, threads without code). Hostile data.
    pub context: Vec<String>,
    pub millis: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Each call of a model, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ModelCall>,
    /// What reviewers said of verified proposals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<Review>,
}

/// What came of asking. Only `Unavailable` defers an escalation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ConsultOutcome {
    Answered,
    NothingFound,
    /// The operator did not configure the source.
    NotConfigured,
    /// Configured, but could not be asked.
    Unavailable {
        error: String,
    },
}

/// A candidate with its verdict and, when verified, its confidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateJudged {
    pub finding: Fingerprint,
    pub candidate: Candidate,
    pub verdict: Verdict,
    pub scored: Option<Scored>,
}

/// What is done, and why. A recorded decision always beats a fresh answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    pub decision: Decision,
    pub confidence: Confidence,
    pub thresholds: Thresholds,
    /// The verified union of the best candidates; empty when there was none.
    pub edits: Vec<Edit>,
    /// The candidates whose union `edits` is.
    pub chosen: Vec<CandidateJudged>,
    pub unhealed: Vec<UnhealedFinding>,
    /// One sentence for people.
    pub reason: String,
}

/// A finding of the case that the change does not heal, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnhealedFinding {
    pub fingerprint: Fingerprint,
    pub headline: String,
    pub reason: String,
}

/// What people did with a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "feedback", rename_all = "snake_case")]
pub enum Feedback {
    Merged {
        commit: CommitId,
        amended: bool,
    },
    Closed,
    /// A pull request that was closed is open again: what closing it meant is taken back.
    Reopened,
    Reverted {
        commit: CommitId,
    },
    Ignored {
        by: String,
        reason: String,
    },
    /// A person asked for another attempt: the proposal was taken back, which says nothing about the edit.
    Retried {
        by: String,
    },
}

impl Consultation {
    /// What its calls cost, millionths of a dollar by the configured prices.
    #[must_use]
    pub fn cost_micros(&self) -> u64 {
        self.calls.iter().map(|call| call.cost_micros).fold(0, u64::saturating_add)
    }

    /// Whether the source was configured but could not be asked.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self.outcome, ConsultOutcome::Unavailable { .. })
    }
}
