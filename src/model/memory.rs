//! Remembered fixes: what was changed, how it generalises, where it came from and how it fared.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Confidence, EditPattern, IssueType, Language, RepoPath, RuleId, Severity, Span, UnixMillis};

/// Identity of a remembered fix: a hash of what it is, so that learning twice changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FixId(pub String);

impl fmt::Display for FixId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who wrote a message or a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorKind {
    Member,
    Guest,
    Bot,
    Unknown,
}

/// Where a remembered fix comes from; decides its weight and its cap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Provenance {
    /// Shipped with the rules, reviewed and tested by us.
    Curated,
    /// Learned from the fixes that are written and tested with the rules, for a memory that begins empty.
    Starter,
    /// A pull request that a person merged.
    Merged { pull_request: String, commit: String },
    /// Mined from a repository's history.
    Mined { commit: String },
    /// An answer in the team's chat.
    Team { permalink: String },
    /// Proposed by us, not yet reviewed.
    Proposed { case: String },
    /// Imported by the operator from a file.
    Imported,
}

impl Provenance {
    /// How many supports the fix counts for: merged by a person 3, curated, starter or mined 1, merely proposed none.
    #[must_use]
    pub fn weight(&self) -> f64 {
        match self {
            Self::Merged { .. } => 3.0,
            Self::Curated | Self::Starter | Self::Mined { .. } | Self::Team { .. } => 1.0,
            Self::Proposed { .. } | Self::Imported => 0.0,
        }
    }
}

/// Reviewed outcomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackRecord {
    pub accepted: u32,
    pub rejected: u32,
    pub reverted: u32,
}

impl TrackRecord {
    #[must_use]
    pub fn reviewed(self) -> u32 {
        self.accepted.saturating_add(self.rejected).saturating_add(self.reverted)
    }
}

/// A remembered fix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastFix {
    pub id: FixId,
    /// Version of this record's shape; readers refuse newer ones.
    pub schema: u32,
    pub organisation: String,
    pub language: Language,
    pub rule: RuleId,
    /// Other rules (of other scanners) that mean the same.
    pub aliases: Vec<RuleId>,
    pub issue_type: IssueType,
    pub severity: Severity,
    /// The confidence it had when it was stored.
    pub confidence: Confidence,
    pub message: String,
    /// Smallest enclosing function or class before and after, comments dropped.
    pub scope_before: String,
    pub scope_after: String,
    /// The finding inside `scope_before`.
    pub finding: Span,
    /// Syntax kind of the node that the finding covers.
    pub anchor_kind: String,
    pub imports_added: Vec<String>,
    pub patterns: Vec<EditPattern>,
    /// Embedding of the finding's lines and the embedder (with version) that made it.
    pub vector: Vec<f32>,
    pub embedder: String,
    pub repository: String,
    /// Whether the repository or channel it came from is private.
    pub private: bool,
    pub path: RepoPath,
    pub provenance: Provenance,
    pub author: AuthorKind,
    pub created: UnixMillis,
    /// Whether the learned pattern reproduces `scope_after`; if not it is text for the model only.
    pub round_trips: bool,
    pub record: TrackRecord,
    pub superseded_by: Option<FixId>,
}

impl PastFix {
    pub const SCHEMA: u32 = 1;
}
