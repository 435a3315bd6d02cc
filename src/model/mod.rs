//! Plain types that every part shares. No logic beyond keeping their own invariants.

mod audit;
mod case;
mod command;
mod confidence;
mod exchange;
mod finding;
mod fix;
mod memory;
mod pattern;
mod repo;
mod rule;
mod task;
mod team;
mod text;
pub mod tree_path;

pub use audit::{
    AuditEvent, CandidateJudged, ConsultOutcome, Consultation, Decided, EventKind, Feedback, UnhealedFinding,
};
pub use case::{BRANCH_PREFIX, CaseId, CaseOutcome, Generation, RunState};
pub use command::Command;
pub use confidence::{Confidence, Decision, ScoreLine, Scored, Thresholds};
pub use exchange::{Completion, ModelCall, Notice, NoticeKind, Prompt, Review, Sampling, Vote};
pub use finding::{Finding, Fingerprint, FlowRole, FlowStep, Position, Span};
pub use fix::{Candidate, Check, Edit, Evidence, Rejection, RejectionKind, Source, Verdict};
pub use memory::{AuthorKind, FixId, PastFix, Provenance, TrackRecord};
pub use pattern::{EditPattern, Level, PatternNode, Rewrite, TemplatePart};
pub use repo::{BlobId, Change, CommitId, PathError, REPOSITORY_CONFIG, RepoPath, Repository, RepositoryId};
pub use rule::{Cwe, IssueType, Language, RuleId, RuleInfo, RuleOrigin, Severity};
pub use task::{CommandTask, PushTask, Task};
pub use team::{Message, MessageAuthor, Thread};
pub use text::{InvalidValue, is_deceptive, is_hidden, sha256_hex};

/// Milliseconds since the Unix epoch, UTC.
pub type UnixMillis = u64;
