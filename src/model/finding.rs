//! A rule that matched a place in a file at a commit.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{RepoPath, RepositoryId, RuleId, RuleInfo, sha256_hex};

/// Half-open byte range in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end);
        Self { start, end }
    }

    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// Whether the two share a byte, or one is empty and lies inside or at the edge of the other.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        if self.start == self.end || other.start == other.end {
            return self.start <= other.end && other.start <= self.end;
        }
        self.start < other.end && other.start < self.end
    }
}

/// Line and column as editors show them: both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// A finding's identity across moved and re-indented lines: 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Hash of repository, rule, path, normalised matched code and its ordinal among equals in the file.
    /// There is no line number in it, so moving or re-indenting code keeps the identity.
    #[must_use]
    pub fn of(repository: &RepositoryId, rule: &RuleId, path: &RepoPath, normalised: &str, ordinal: usize) -> Self {
        let ordinal = ordinal.to_string();
        Self(sha256_hex(&[
            b"finding-1",
            repository.0.as_bytes(),
            rule.as_str().as_bytes(),
            path.as_str().as_bytes(),
            normalised.as_bytes(),
            ordinal.as_bytes(),
        ]))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// First 12 digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One place where a rule matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub rule: Arc<RuleInfo>,
    pub path: RepoPath,
    pub span: Span,
    pub start: Position,
    pub end: Position,
    /// Matched code, tokens joined by single spaces: what the fingerprint is made of.
    pub normalised: String,
    pub fingerprint: Fingerprint,
    /// What is wrong here; the rule's message unless the scanner said more.
    pub message: String,
    /// How an untrusted value comes here, from its source to this place; empty when the rule follows no data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flow: Vec<FlowStep>,
}

/// What a place has to do with a flow of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowRole {
    Source,
    Step,
    Sink,
}

impl fmt::Display for FlowRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Source => "source",
            Self::Step => "step",
            Self::Sink => "sink",
        })
    }
}

/// One place that an untrusted value goes through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowStep {
    pub role: FlowRole,
    pub span: Span,
    pub start: Position,
    pub end: Position,
    /// The code there on one line, shortened, without secrets.
    pub code: String,
}

impl Finding {
    /// The line that people read: `SQL_INJECTION in src/auth.py line 15 → Fix: use a parameterized query`.
    #[must_use]
    pub fn headline(&self) -> String {
        let Self { rule, path, start, .. } = self;
        format!("{} in {} line {} → Fix: {}", rule.issue_type, path, start.line, rule.hint)
    }
}
