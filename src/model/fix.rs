//! What sources propose, why, and what verification says of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AuthorKind, FixId, Level, Provenance, RepoPath, Span, TrackRecord};

/// A rung of the decision tree. Ordered as they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    TeamKnowledge,
    PastFix,
    Model,
}

impl Source {
    /// The fixed order of the tree: cheapest and most trusted first.
    pub const ORDER: [Self; 3] = [Self::TeamKnowledge, Self::PastFix, Self::Model];
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TeamKnowledge => "team knowledge",
            Self::PastFix => "past fix",
            Self::Model => "model",
        })
    }
}

/// Replaces the bytes of `span` in `path` by `text`. The edits of one candidate are disjoint and refer to the same base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    pub path: RepoPath,
    pub span: Span,
    pub text: String,
}

/// Edits proposed by a source for one finding, with the evidence for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Imperative, for the title of the pull request: `use yaml.safe_load`.
    pub title: String,
    pub edits: Vec<Edit>,
    pub evidence: Evidence,
}

/// Why a source proposes a candidate: raw facts, from which `fix::score` makes a confidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Evidence {
    TeamKnowledge {
        permalink: String,
        channel: String,
        author: AuthorKind,
        /// ✅ by a full member who is not the author, or a merged pull request of the same owner.
        confirmed: bool,
        /// Whether the channel is one the operator configured.
        channel_configured: bool,
        /// Whether the edit comes from a diff or a code block (else from prose).
        has_code: bool,
    },
    PastFix {
        fix: FixId,
        /// Where the donor came from, for people: `commit 1a2b3c4d5e6f in shop`, `curated with the rule`.
        origin: String,
        provenance: Provenance,
        level: Level,
        /// Cosine between the donor's and this finding's embedding, -1 to 1.
        similarity: f64,
        /// Weighted number of remembered fixes that this pattern reproduces, and of those it contradicts.
        supports: f64,
        contradictions: f64,
        /// Reviewed outcomes of the rule, all patterns together.
        record: TrackRecord,
        /// Inserted tokens unknown to the file, its imports and builtins.
        foreign_tokens: Vec<String>,
        donors: u32,
        /// Imports that the file lacks and the edit adds: where the file does without, it may have another way.
        #[serde(default)]
        new_imports: u32,
        /// What the authors of a curated fix want a person to consider before it is merged.
        #[serde(default)]
        caution: Option<String>,
    },
    Model {
        model: String,
        /// What the model says of itself, percent; absent when it said nothing.
        claimed: Option<u8>,
        /// Of `samples` completions, how many gave this same edit.
        agreeing: u32,
        samples: u32,
        /// Whether a past fix of the same edit shape agrees.
        past_fix_agrees: bool,
        /// What the edit brings in that neither the code nor the rule has, for people: agreement counts for no such edit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of_its_own: Option<String>,
        /// Whether the prompt had to leave out context.
        truncated: bool,
        record: TrackRecord,
        input_tokens: u64,
        output_tokens: u64,
    },
}

impl Evidence {
    /// Whether the edit was written and tested with its rule.
    #[must_use]
    pub fn is_curated(&self) -> bool {
        matches!(self, Self::PastFix { provenance: Provenance::Curated, .. })
    }

    #[must_use]
    pub fn source(&self) -> Source {
        match self {
            Self::TeamKnowledge { .. } => Source::TeamKnowledge,
            Self::PastFix { .. } => Source::PastFix,
            Self::Model { .. } => Source::Model,
        }
    }
}

/// A check that every candidate must pass, in the order they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    PathsAllowed,
    AppliesExactly,
    SmallEnough,
    NoHiddenText,
    NoSecretAdded,
    NotSilenced,
    ParsesCleanly,
    MeaningKept,
    NamesBound,
    FindingGone,
    NothingNew,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::PathsAllowed => "only allowed files are touched",
            Self::AppliesExactly => "applies exactly to the file at the head commit",
            Self::SmallEnough => "the change is small",
            Self::NoHiddenText => "no invisible or control characters are added",
            Self::NoSecretAdded => "no secret is added",
            Self::NotSilenced => "the finding is fixed, not silenced",
            Self::ParsesCleanly => "the file parses without new errors",
            Self::MeaningKept => "nothing else of the code's meaning is lost",
            Self::NamesBound => "every name used is bound",
            Self::FindingGone => "the finding is gone",
            Self::NothingNew => "no new finding of any rule",
        })
    }
}

/// Why a candidate was refused: the check that failed and what it saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    pub check: RejectionKind,
    /// One sentence for people, without repository secrets.
    pub detail: String,
}

/// A failed check, or that the check itself could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectionKind {
    Failed(Check),
    /// The verifier (for example the operator's command) could not run.
    CouldNotCheck,
    /// The edit leaves the file as it was.
    NoChange,
    /// People merged this edit before, and undid it.
    Vetoed,
}

/// What verification says of a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The checks that were made and passed.
    Verified(Vec<Check>),
    Rejected(Rejection),
}

impl Verdict {
    #[must_use]
    pub fn is_verified(&self) -> bool {
        matches!(self, Self::Verified(_))
    }
}
