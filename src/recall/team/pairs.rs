//! Pairs of old and new code in a thread: from diffs, from blocks with words such as "instead of", from question and answer.

use super::blocks::{Block, blocks, hunks, is_diff};
use crate::model::{Message, Span, Thread};

/// Old code, new code, and the message that gives the new one.
#[derive(Debug, Clone)]
pub struct Pair<'a> {
    pub before: String,
    pub after: String,
    pub message: &'a Message,
}

/// Words before a block that say it is the one to leave.
const WRONG: [&str; 10] =
    ["instead of", "before", "wrong", "bad", "don't", "do not", "never", "vulnerable", "old", "avoid"];
/// Words before a block that say it is the one to use.
const RIGHT: [&str; 10] = ["use", "after", "right", "good", "do ", "fixed", "safe", "new", "should be", "replace"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Wrong,
    Right,
    Unsaid,
}

/// The pairs of a thread, the newest answers last. `matches` tells where the rule matches in a block.
#[must_use]
pub fn of_thread<'a>(thread: &'a Thread, matches: &dyn Fn(&str) -> Option<Span>) -> Vec<Pair<'a>> {
    let mut pairs = Vec::new();
    let mut earlier: Vec<(Block, Side)> = Vec::new();
    for message in &thread.messages {
        for block in blocks(&message.text) {
            if is_diff(&block.code) {
                let sides = hunks(&block.code);
                pairs.extend(sides.into_iter().map(|(before, after)| Pair { before, after, message }));
                continue;
            }
            let side = side(&block, matches);
            if side != Side::Wrong {
                let wrong = earlier.iter().rev().find(|(_, side)| *side == Side::Wrong);
                pairs.extend(wrong.map(|(b, _)| Pair { before: b.code.clone(), after: block.code.clone(), message }));
            } else if let Some((right, _)) = earlier.last().filter(|(_, side)| *side == Side::Right) {
                // "Use X instead of Y": the right one comes first.
                pairs.push(Pair { before: block.code.clone(), after: right.code.clone(), message });
            }
            earlier.push((block, side));
        }
    }
    pairs.retain(|pair| pair.before != pair.after);
    pairs
}

/// What the rule says counts before what the words say.
fn side(block: &Block, matches: &dyn Fn(&str) -> Option<Span>) -> Side {
    if matches(&block.code).is_some() {
        return Side::Wrong;
    }
    let last = |words: &[&str]| words.iter().filter_map(|word| block.lead.rfind(word)).max();
    match (last(&WRONG), last(&RIGHT)) {
        (Some(wrong), Some(right)) if wrong > right => Side::Wrong,
        (Some(_), None) => Side::Wrong,
        (None | Some(_), Some(_)) => Side::Right,
        (None, None) => Side::Unsaid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AuthorKind, MessageAuthor};

    fn thread(texts: &[&str]) -> Thread {
        let author = MessageAuthor { id: "U1".into(), name: "ann".into(), kind: AuthorKind::Member };
        let message = |text: &&str| Message {
            author: author.clone(),
            at: 0,
            text: (*text).to_owned(),
            permalink: String::new(),
            confirmed: false,
            pull_requests: Vec::new(),
        };
        Thread {
            channel: "fixes".into(),
            channel_configured: true,
            private: false,
            permalink: String::new(),
            messages: texts.iter().map(message).collect(),
        }
    }

    fn found(texts: &[&str]) -> Vec<(String, String)> {
        let matches = |code: &str| code.contains("eval").then(|| Span::new(0, 1));
        let thread = thread(texts);
        of_thread(&thread, &matches).into_iter().map(|p| (p.before, p.after)).collect()
    }

    fn pair(before: &str, after: &str) -> (String, String) {
        (before.to_owned(), after.to_owned())
    }

    #[test]
    fn a_question_that_matches_the_rule_and_an_answer_that_does_not() {
        assert_eq!(found(&["how? ```eval(x)```", "like so ```int(x)```"]), [pair("eval(x)\n", "int(x)\n")]);
    }

    #[test]
    fn words_tell_the_sides_where_the_rule_does_not() {
        assert_eq!(found(&["Instead of ```a(x)``` use ```b(x)```"]), [pair("a(x)\n", "b(x)\n")]);
        assert_eq!(found(&["Use ```b(x)``` instead of ```a(x)```"]), [pair("a(x)\n", "b(x)\n")]);
    }

    #[test]
    fn a_diff_is_a_pair_by_itself() {
        assert_eq!(found(&["```-a(x)\n+b(x)\n```"]), [pair("a(x)\n", "b(x)\n")]);
    }

    #[test]
    fn one_block_alone_is_no_pair() {
        assert!(found(&["look: ```b(x)```"]).is_empty());
    }
}
