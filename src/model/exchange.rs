//! What is asked of a model, what it answers, and what people are told.

use serde::{Deserialize, Serialize};

use super::{Fingerprint, UnixMillis};

/// A question to a model: fixed instructions and the data they are about, kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub system: String,
    pub user: String,
    pub max_tokens: u32,
}

/// How answers to one question are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Answers wanted, at least 1.
    pub count: u8,
    /// 0: always the likeliest word; higher: more varied. At most 2.
    pub temperature: f32,
    /// Where the server's dice start; another number, other answers.
    pub seed: u64,
}

impl Sampling {
    /// The likeliest answer alone.
    pub const ONE: Self = Self { count: 1, temperature: 0.0, seed: 0 };
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    pub text: String,
    pub model: String,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Whether the numbers of tokens are our estimate, because the server did not count them.
    pub estimated: bool,
    /// Whether the answer was cut off by the token limit.
    pub truncated: bool,
}

/// One call of a model, as it is kept on record: what it took and what it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCall {
    /// What it was for: `fix`, `revision`, `security review`.
    pub purpose: String,
    /// As the server names itself.
    pub model: String,
    /// Answers that came.
    pub answers: u32,
    pub millis: u64,
    /// Tokens of the question as estimated before it was sent.
    pub expected_tokens: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Whether the numbers of tokens are our estimate, because the server did not count them.
    pub estimated: bool,
    /// Millionths of a dollar by the configured prices; 0 without prices.
    pub cost_micros: u64,
}

/// What a reviewer says of a verified change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vote {
    Approve,
    Revise,
    Reject,
}

impl std::fmt::Display for Vote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Approve => "approve",
            Self::Revise => "revise",
            Self::Reject => "reject",
        })
    }
}

/// One review of a verified change by a model that sees the change alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub finding: Fingerprint,
    /// What it looked at: `security`, `behaviour`, `maintainability`.
    pub concern: String,
    pub vote: Vote,
    /// One line, as the reviewer gave it: hostile.
    pub reason: String,
}

/// A notice to people about one case, found again by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The case and generation: one notice each.
    pub key: String,
    pub kind: NoticeKind,
    /// First line, plain text.
    pub headline: String,
    /// Markdown.
    pub body: String,
    /// `owner/name`.
    pub repository: String,
    /// Address of the pull request, where there is one.
    pub link: Option<String>,
    /// Whether a senior is asked to look.
    pub for_senior: bool,
    /// Where the notice stands if it was sent before, as the notifier returned it.
    pub earlier: Option<String>,
    /// From when on it may have been sent: nobody has to look for it before.
    pub since: UnixMillis,
}

/// What a notice tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    PullRequest,
    Draft,
    Escalation,
    Failure,
    /// Something about the service itself: a limit, a pause, a budget.
    Report,
}
