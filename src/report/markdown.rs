//! Quoting hostile text in Markdown so that it stays text: no mention, no closing keyword, no image, no broken fence.

use crate::detect::redact::redact;

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

/// Bare addresses are linked by themselves; a dot-free scheme is not.
fn break_links(text: &str) -> String {
    text.replace("://", "&#58;//").replace("www.", "www&#46;")
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
    let clean = redact(hostile);
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

/// Drops characters that do not show or that reorder what a reader sees.
fn visible(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().filter(|c| {
        let hidden =
            matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        !hidden && (!c.is_control() || matches!(c, '\n' | '\r' | '\t'))
    })
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
        let quoted = text("@team Fixes #1 ![x](http://evil/x.png) <!-- hidden --> <img src=x>");
        for active in ["@team", "#1", "![", "](", "<!--", "<img", "http://"] {
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
