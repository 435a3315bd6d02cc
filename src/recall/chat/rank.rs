//! Which threads mention the terms, and which of them most.

use crate::model::Thread;

/// A thread with its text made ready for look-ups.
#[derive(Debug, Clone)]
pub struct Searchable {
    pub thread: Thread,
    /// All text, lower case.
    text: String,
}

impl From<Thread> for Searchable {
    fn from(thread: Thread) -> Self {
        let text: Vec<String> = thread.messages.iter().map(|message| message.text.to_lowercase()).collect();
        Self { text: text.join("\n"), thread }
    }
}

/// The threads with at least one term, those with most of them first, earlier (more telling) terms counting more; of equal
/// ones the newest first. Private ones only when `private`.
#[must_use]
pub fn search<'a>(
    threads: impl IntoIterator<Item = &'a Searchable>,
    private: bool,
    terms: &[String],
    limit: usize,
) -> Vec<Thread> {
    let terms: Vec<String> = terms.iter().map(|term| term.to_lowercase()).collect();
    let mut hits: Vec<(u64, &Searchable)> = threads
        .into_iter()
        .filter(|s| private || !s.thread.private)
        .filter_map(|s| score(&terms, &s.text).map(|score| (score, s)))
        .collect();
    let began = |s: &Searchable| s.thread.messages.first().map_or(0, |m| m.at);
    hits.sort_by(|(a, left), (b, right)| b.cmp(a).then_with(|| began(right).cmp(&began(left))));
    hits.into_iter().take(limit).map(|(_, s)| s.thread.clone()).collect()
}

/// `None` when no term is found.
fn score(terms: &[String], text: &str) -> Option<u64> {
    let weight = |rank: usize| (terms.len() - rank) as u64;
    let score: u64 = terms
        .iter()
        .enumerate()
        .filter(|(_, term)| !term.is_empty() && text.contains(term.as_str()))
        .map(|(rank, _)| weight(rank))
        .sum();
    (score > 0).then_some(score)
}
