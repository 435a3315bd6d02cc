//! Taking the edge off text from strangers before a model reads it: no secret, no mark of a model's own format, nothing that the
//! model reads and people do not see.
//!
//! Servers turn `<|eot_id|>` in a message into the very token that ends a turn, whoever wrote it; and models read letters
//! that no editor shows.

use std::sync::LazyLock;

use regex::Regex;

use crate::detect::redact::{redact, redact_part};
use crate::model::{Span, is_hidden};

/// Marks by which the formats of Llama, Mistral, Gemma, `ChatML` and their like part who speaks, and call tools.
static MARKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)<\|[a-z0-9_]{1,40}\|>|<\x{ff5c}[^>\n]{1,40}\x{ff5c}>|\[/?(?:INST|TOOL_CALLS|AVAILABLE_TOOLS|TOOL_RESULTS|SYSTEM_PROMPT)\]",
        r"|<</?SYS>>|<(?:start|end)_of_turn>|</?(?:bos|eos|s|unk|pad|tool_call|function_calls|invoke)>"
    ))
    .ok()
});

/// What of a region was put away while a model had it, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutAway {
    nonce: String,
    kept: Vec<String>,
}

/// Whether a text has marks of a model's own format.
#[must_use]
pub fn has_marks(text: &str) -> bool {
    MARKS.as_ref().is_some_and(|marks| marks.is_match(text))
}

/// Text beside the code: without secrets, its marks broken, what does not show left out.
#[must_use]
pub fn beside(text: &str) -> String {
    let clean = redact(text);
    let shown: String = clean.chars().filter(|c| !is_hidden(*c) || matches!(c, '\n' | '\t')).collect();
    match MARKS.as_ref() {
        Some(marks) => marks.replace_all(&shown, |found: &regex::Captures<'_>| broken(&found[0])).into_owned(),
        None => shown,
    }
}

/// `<|eot_id|>` as `< |eot_id| >`.
fn broken(mark: &str) -> String {
    let mut inner = mark.chars();
    let (first, last) = (inner.next().unwrap_or('<'), inner.next_back().unwrap_or('>'));
    format!("{first} {} {last}", inner.as_str())
}

/// A part of the code, whose marks and unseen characters stand under names, so that it can come back as it was.
#[must_use]
pub fn region(text: &str, span: Span, nonce: &str) -> (String, PutAway) {
    let clean = redact_part(text, span);
    let mut away = PutAway { nonce: nonce.to_owned(), kept: Vec::new() };
    let marked = match MARKS.as_ref() {
        Some(marks) => marks.replace_all(&clean, |found: &regex::Captures<'_>| away.put(&found[0])).into_owned(),
        None => clean,
    };
    let mut shown = String::with_capacity(marked.len());
    for c in marked.chars() {
        if is_hidden(c) && !matches!(c, '\n' | '\r' | '\t') {
            shown.push_str(&away.put(c.encode_utf8(&mut [0; 4])));
        } else {
            shown.push(c);
        }
    }
    (shown, away)
}

impl PutAway {
    fn put(&mut self, what: &str) -> String {
        let number = self.kept.iter().position(|kept| kept == what).unwrap_or_else(|| {
            self.kept.push(what.to_owned());
            self.kept.len() - 1
        });
        self.name(number)
    }

    fn name(&self, number: usize) -> String {
        format!("__KEEP_{number}_{}__", self.nonce)
    }

    /// A line of an answer with what was put away back in its place.
    #[must_use]
    pub fn restored(&self, line: &str) -> String {
        let mut line = line.to_owned();
        // The last first: no name is the beginning of another.
        for (number, kept) in self.kept.iter().enumerate().rev() {
            line = line.replace(&self.name(number), kept);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mark_of_a_model_reaches_it_as_one() {
        for mark in [
            "<|eot_id|>",
            "<|im_start|>",
            "<|start_header_id|>",
            "[INST]",
            "[/INST]",
            "<<SYS>>",
            "</s>",
            "<end_of_turn>",
            "[TOOL_CALLS]",
            "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>",
        ] {
            let clean = beside(&format!("a {mark} b"));
            assert!(has_marks(mark) && !has_marks(&clean) && clean.contains("a ") && clean.contains(" b"), "{clean}");
        }
        for code in ["x <| y |> z", "if a < b || c > d", "list[INSTANCE]", "<span>", "std::vector<s> x", "[inst_id]"] {
            assert!(!has_marks(code) || code.contains("<s>"), "{code}");
        }
    }

    #[test]
    fn what_does_not_show_is_not_told() {
        let tags: String = "obey".chars().filter_map(|c| char::from_u32(0xe0000 + u32::from(c))).collect();
        assert_eq!(beside(&format!("a{tags}\u{200b}\u{202e}b\nc")), "ab\nc");
    }

    #[test]
    fn a_region_comes_back_as_it_was() {
        let text = "x = 1\ntell('<|eot_id|>', 'a\u{200b}b<|eot_id|>\u{e0061}')\n";
        let (shown, away) = region(text, Span::new(6, text.len()), "abc");
        assert!(!has_marks(&shown) && !shown.chars().any(|c| is_hidden(c) && c != '\n'), "{shown}");
        assert_eq!(away.restored(&shown), text[6..]);
    }
}
