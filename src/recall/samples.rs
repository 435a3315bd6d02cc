//! Several answers to one question: which of them are the same edit, and how far that speaks for it.
//!
//! After the idea of self-consistency (Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models",
//! ICLR 2023): of answers that were drawn apart from each other, the one that most agree on is more often right. An answer that is
//! the same to the last byte was perhaps not drawn apart: a cache or a server without dice gives it, so it counts once.

use std::collections::BTreeSet;

use super::reply::Rewrite;
use crate::fix::edit;

/// One edit, and the answers that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// As the first answer gave it.
    pub rewrite: Rewrite,
    /// Answers that gave it and differ from each other in some byte, at least 1.
    pub agreeing: u32,
    /// All answers that gave it.
    pub answers: u32,
    result: String,
    seen: BTreeSet<String>,
}

/// What answers to one question give, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    pub groups: Vec<Group>,
    /// Answers read so far, refused ones included.
    pub read: u32,
}

impl Samples {
    /// Takes one more answer whose edits of `text` were read from `answer`.
    pub fn add(&mut self, text: &str, answer: &str, rewrite: Rewrite) {
        self.read += 1;
        let Ok(patched) = edit::apply(text, &rewrite.edits) else { return };
        let result = normalised(&patched);
        match self.groups.iter_mut().find(|group| group.result == result) {
            Some(group) => {
                group.answers += 1;
                group.seen.insert(answer.to_owned());
                group.agreeing = u32::try_from(group.seen.len()).unwrap_or(u32::MAX);
                // The more careful claim of two is believed.
                group.rewrite.claimed = lower(group.rewrite.claimed, rewrite.claimed);
            }
            None => self.groups.push(Group {
                rewrite,
                agreeing: 1,
                answers: 1,
                result,
                seen: BTreeSet::from([answer.to_owned()]),
            }),
        }
    }

    /// Notes an answer that was refused.
    pub fn refuse(&mut self) {
        self.read += 1;
    }

    /// Whether further answers would tell nothing new: two agree already, or the server gives the same answer again.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.groups.iter().any(|group| group.answers >= 2)
    }

    /// Of how many answers the agreement is told, when `wanted` were to be drawn: those that were not drawn because two
    /// agree already are counted against the edit.
    #[must_use]
    pub fn of(&self, wanted: u8) -> u32 {
        self.read.max(if self.is_settled() { u32::from(wanted) } else { 0 })
    }
}

fn lower(a: Option<u8>, b: Option<u8>) -> Option<u8> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

/// What two edits are compared by: the text that they make, without empty lines and white space at the ends of lines.
#[must_use]
pub fn normalised(text: &str) -> String {
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Edit, RepoPath, Span};

    fn rewrite(text: &str, claimed: Option<u8>) -> Rewrite {
        let path = RepoPath::new("a.py").unwrap();
        Rewrite { edits: vec![Edit { path, span: Span::new(4, 5), text: text.to_owned() }], claimed }
    }

    fn drawn(answers: &[(&str, &str)]) -> Samples {
        let mut samples = Samples::default();
        for (answer, text) in answers {
            samples.add("x = 1\n", answer, rewrite(text, Some(90)));
        }
        samples
    }

    #[test]
    fn the_same_edit_in_other_words_agrees() {
        let samples = drawn(&[("so", "2"), ("or so", "2  "), ("else", "3")]);
        let agreeing: Vec<_> = samples.groups.iter().map(|group| (group.agreeing, group.answers)).collect();
        assert_eq!(agreeing, [(2, 2), (1, 1)]);
        assert!(samples.is_settled() && samples.of(3) == 3);
    }

    #[test]
    fn the_same_answer_again_counts_once() {
        let samples = drawn(&[("so", "2"), ("so", "2"), ("so", "2")]);
        assert_eq!((samples.groups.len(), samples.groups[0].agreeing, samples.groups[0].answers), (1, 1, 3));
    }

    #[test]
    fn answers_that_were_not_drawn_count_against() {
        let samples = drawn(&[("so", "2"), ("or so", "2")]);
        assert_eq!((samples.groups[0].agreeing, samples.of(3), samples.of(5)), (2, 3, 5));
        assert_eq!(drawn(&[("so", "2")]).of(3), 1);
    }

    #[test]
    fn the_more_careful_claim_holds() {
        let mut samples = drawn(&[("so", "2")]);
        samples.add("x = 1\n", "less sure", rewrite("2", Some(40)));
        samples.add("x = 1\n", "silent", rewrite("2", None));
        assert_eq!(samples.groups[0].rewrite.claimed, Some(40));
    }
}
