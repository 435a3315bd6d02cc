//! What is asked of a model, what it answers, and what people are told.

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
    /// Whether the answer was cut off by the token limit.
    pub truncated: bool,
}

/// A notice to people about one case, found again by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The case and generation: one notice each.
    pub key: String,
    /// First line, plain text.
    pub headline: String,
    /// Markdown.
    pub body: String,
    /// Whether a senior is asked to look.
    pub for_senior: bool,
}
