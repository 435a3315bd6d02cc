//! The unit that is healed: the findings of one rule in one file of one repository.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{RepoPath, RepositoryId, RuleId, sha256_hex};

/// How the names of our branches begin; no other is ever written.
pub const BRANCH_PREFIX: &str = "codehealer/";

/// Identity of a case: SHA-256 of repository id, rule and path, 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CaseId(String);

impl CaseId {
    #[must_use]
    pub fn of(repository: &RepositoryId, rule: &RuleId, path: &RepoPath) -> Self {
        Self(sha256_hex(&[b"case-1", repository.0.as_bytes(), rule.as_str().as_bytes(), path.as_str().as_bytes()]))
    }

    /// A case id read back from the store or typed by a person, in full.
    #[must_use]
    pub fn from_stored(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// First 12 digits: what branch names and people use.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }

    /// The natural name of the branch that heals this case in generation `generation`.
    #[must_use]
    pub fn branch(&self, rule: &RuleId, generation: Generation) -> String {
        format!("{BRANCH_PREFIX}{}-{}-g{}", rule.slug(), self.short(), generation.0)
    }

    /// What [`CaseId::branch`] put into a name: the beginning of the case's id and the generation; `None` when the branch is none
    /// of ours.
    #[must_use]
    pub fn of_branch(branch: &str) -> Option<(&str, Generation)> {
        let (rest, generation) = branch.strip_prefix(BRANCH_PREFIX)?.rsplit_once("-g")?;
        let (_, short) = rest.rsplit_once('-')?;
        Some((short, Generation(generation.parse().ok()?)))
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How often the case has begun anew, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u32);

/// How far a run (one generation of a case) has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunState {
    Detected,
    Decided,
    Branched,
    Proposed,
    Notifying,
    Notified,
    Done,
    Suppressed,
    Superseded,
    Deferred,
    Failed,
}

impl RunState {
    /// Whether no step of the run's own work remains. Feedback may still arrive.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Suppressed | Self::Superseded | Self::Failed)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Detected => "DETECTED",
            Self::Decided => "DECIDED",
            Self::Branched => "BRANCHED",
            Self::Proposed => "PROPOSED",
            Self::Notifying => "NOTIFYING",
            Self::Notified => "NOTIFIED",
            Self::Done => "DONE",
            Self::Suppressed => "SUPPRESSED",
            Self::Superseded => "SUPERSEDED",
            Self::Deferred => "DEFERRED",
            Self::Failed => "FAILED",
        })
    }
}

/// What became of a case in the eyes of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseOutcome {
    /// Healing, or a pull request waits for people.
    Open,
    Merged,
    Closed,
    Escalated,
    Suppressed,
    Failed,
}

impl fmt::Display for CaseOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "open",
            Self::Merged => "merged",
            Self::Closed => "closed",
            Self::Escalated => "escalated",
            Self::Suppressed => "suppressed",
            Self::Failed => "failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_is_read_from_the_branch() {
        let (rule, path) = (RuleId::new("py-sql-injection").unwrap(), RepoPath::new("a.py").unwrap());
        let case = CaseId::of(&RepositoryId("7".to_owned()), &rule, &path);
        let branch = case.branch(&rule, Generation(12));
        assert_eq!(CaseId::of_branch(&branch), Some((case.short(), Generation(12))));
        for other in ["codehealer/x", "main", "codehealer/a-b-gx", "codehealer/-g"] {
            assert_eq!(CaseId::of_branch(other), None, "{other}");
        }
    }
}
