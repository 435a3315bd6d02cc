//! Quoting hostile text in Markdown so that it stays text: no mention, no closing keyword, no image, no broken fence.

use std::fmt::Write as _;

use crate::detect::redact::redact;
use crate::model::is_hidden;

/// Text inside a sentence: secrets redacted, mark-up escaped, mentions and references to issues broken.
#[must_use]
pub fn text(hostile: &str) -> String {
    let clean = redact(hostile);
    let mut out = String::with_capacity(clean.len());
    for c in visible(&clean) {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            '@' => out.push_str("&#64;"),
            '#' => out.push_str("&#35;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => {
                out.push('\\');
                out.push(c);
            }
            // A bracket pair followed by a parenthesis would be a link.
            '(' if out.ends_with(']') => out.push_str("\\("),
            _ => out.push(c),
        }
    }
    break_links(&out)
}

/// What a forge links by itself, by how it begins, the place of the character to be written otherwise, and that character. `GH-1`
/// also closes an issue when it follows `fixes`.
const LINKED: [(&str, usize, &str); 3] = [("://", 0, "&#58;"), ("www.", 3, "&#46;"), ("gh-", 2, "&#45;")];

fn break_links(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let begins = |word: &str| rest.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
        let end = if let Some((_, at, broken)) = LINKED.iter().find(|(word, ..)| begins(word)) {
            out.push_str(rest.get(..*at).unwrap_or_default());
            out.push_str(broken);
            at + 1
        } else {
            out.push(c);
            c.len_utf8()
        };
        rest = rest.get(end..).unwrap_or_default();
    }
    out
}

/// A code span; secrets redacted. Mentions and references do not work inside one.
#[must_use]
pub fn code(hostile: &str) -> String {
    let clean: String = visible(&redact(hostile)).map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }).collect();
    let fence = "`".repeat(longest_run(&clean, '`') + 1);
    let pad = if clean.starts_with('`') || clean.ends_with('`') || clean.is_empty() { " " } else { "" };
    format!("{fence}{pad}{clean}{pad}{fence}")
}

/// A fenced block that its content cannot close; secrets redacted, at most `limit` bytes of content.
#[must_use]
pub fn block(language: &str, hostile: &str, limit: usize) -> String {
    let clean = revealed(&redact(hostile));
    let cut = cut(&clean, limit);
    let fence = "`".repeat(longest_run(cut, '`').max(2) + 1);
    let end = if cut.ends_with('\n') || cut.is_empty() { "" } else { "\n" };
    let more = if cut.len() < clean.len() { "\n_…cut here; the branch has the rest._\n" } else { "" };
    format!("{fence}{language}\n{cut}{end}{fence}\n{more}")
}

/// At most `limit` bytes, ended at a character.
#[must_use]
pub fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Code as a reader must see it: what does not show, or turns the order of what does, is spelt out.
fn revealed(code: &str) -> String {
    code.chars().fold(String::with_capacity(code.len()), |mut out, c| {
        if is_hidden(c) && !matches!(c, '\n' | '\r' | '\t') {
            let _ = write!(out, "<U+{:04X}>", u32::from(c));
        } else {
            out.push(c);
        }
        out
    })
}

/// Drops characters that do not show or that reorder what a reader sees.
fn visible(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().filter(|c| !is_hidden(*c) || matches!(c, '\n' | '\r' | '\t'))
}

fn longest_run(text: &str, of: char) -> usize {
    let (longest, _) = text.chars().fold((0, 0), |(longest, run), c| {
        let run = if c == of { run + 1 } else { 0 };
        (std::cmp::max(longest, run), run)
    });
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_cannot_mention_close_or_show_an_image() {
        let quoted = text("@team Fixes #1 gh-2 GH-3 ![x](http://evil/x.png) <!-- hidden --> <img src=x> WWW.evil");
        for active in ["@team", "#1", "gh-2", "GH-3", "![", "](", "<!--", "<img", "http://", "WWW."] {
            assert!(!quoted.contains(active), "{active} in {quoted}");
        }
    }

    #[test]
    fn a_block_cannot_be_closed_from_inside() {
        let quoted = block("diff", "+ ```\n+ @team\n", 1000);
        assert!(quoted.starts_with("````diff\n"), "{quoted}");
        assert!(quoted.trim_end().ends_with("\n````"), "{quoted}");
    }

    #[test]
    fn what_does_not_show_is_dropped_from_sentences_and_spelt_out_in_code() {
        let hidden = "a\u{202e}b\u{e0041}c\u{200b}d\u{fe01}e\u{2028}f\u{3164}g";
        assert_eq!((text(hidden).as_str(), code(hidden).as_str()), ("abcdefg", "`abcdefg`"));
        let shown = block("", hidden, 500);
        assert!(shown.contains("a<U+202E>b<U+E0041>c<U+200B>d<U+FE01>e<U+2028>f<U+3164>g"), "{shown}");
    }

    #[test]
    fn a_code_span_keeps_its_backticks_inside() {
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
    }

    #[test]
    fn a_long_block_is_cut_at_a_character_and_says_so() {
        let quoted = block("", &"é".repeat(100), 101);
        assert!(quoted.contains("cut here"), "{quoted}");
    }
}
