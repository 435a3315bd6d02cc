//! What is asked of a model, what it answers, and what people are told.

use super::UnixMillis;

/// A question to a model: fixed instructions and the data they are about, kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub system: String,
    pub user: String,
    pub max_tokens: u32,
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
