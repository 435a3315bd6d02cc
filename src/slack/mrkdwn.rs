//! Our notices' Markdown as Slack's mrkdwn, in which nothing that was quoted comes alive: no mention, no link, no broken fence.

use crate::model::is_hidden;

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// mrkdwn, escaped.
    Text(String),
    /// The lines of a code block, escaped, without its fence.
    Code(String),
}

/// Keeps a character from being a mark.
const BREAK: char = '\u{200b}';

/// Reads the part of Markdown that our notices use: fences, code spans, lists, headings, emphasis, escapes and entities.
#[must_use]
pub fn pieces(markdown: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        let fence = line.chars().take_while(|c| *c == '`').count();
        if fence < 3 {
            text.push_str(&prose(line));
            text.push('\n');
            continue;
        }
        flush(&mut pieces, &mut text);
        let closes = |line: &&str| line.trim_end().len() >= fence && line.trim_end().chars().all(|c| c == '`');
        let inside: Vec<&str> = lines.by_ref().take_while(|line| !closes(line)).collect();
        pieces.push(Piece::Code(code(&inside.join("\n"))));
    }
    flush(&mut pieces, &mut text);
    pieces
}

fn flush(pieces: &mut Vec<Piece>, text: &mut String) {
    let said = std::mem::take(text);
    if !said.trim().is_empty() {
        pieces.push(Piece::Text(said.trim_matches('\n').to_owned()));
    }
}

/// Text that is shown as it is: Slack's three control characters escaped, characters that do not show or that turn the
/// reading direction left out.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().filter(|c| is_shown(*c)).for_each(|c| push(&mut out, c));
    out
}

fn push(out: &mut String, c: char) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    }
}

fn is_shown(c: char) -> bool {
    !is_hidden(c) || matches!(c, '\n' | '\t')
}

/// Code that cannot close its fence.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run = 0;
    for c in escape(text).chars() {
        run = if c == '`' { run + 1 } else { 0 };
        if run == 3 {
            out.push(BREAK);
            run = 1;
        }
        out.push(c);
    }
    out
}

/// One line outside of code.
fn prose(line: &str) -> String {
    let heading = line.trim_start_matches('#');
    if heading.len() < line.len() && heading.starts_with(' ') {
        return format!("*{}*", inline(heading.trim()).replace('*', ""));
    }
    let indented = line.trim_start();
    let indent = line.get(..line.len() - indented.len()).unwrap_or_default();
    match indented.strip_prefix("- ").or_else(|| indented.strip_prefix("* ")) {
        Some(item) => format!("{indent}• {}", inline(item)),
        None => inline(line),
    }
}

fn inline(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '\\' if after.starts_with(|c: char| c.is_ascii_punctuation()) => {
                let quoted = after.chars().next().unwrap_or('\\');
                let after = after.get(1..).unwrap_or_default();
                literal(&mut out, quoted, after);
                after
            }
            '&' => match entity(after) {
                Some((meant, after)) => {
                    literal(&mut out, meant, after);
                    after
                }
                None => {
                    out.push_str("&amp;");
                    after
                }
            },
            '`' => span(&mut out, rest),
            '*' if after.starts_with('*') => {
                out.push('*');
                after.get(1..).unwrap_or_default()
            }
            c if is_shown(c) => {
                push(&mut out, c);
                after
            }
            _ => after,
        };
    }
    out
}

/// A character that means itself, whatever Slack would make of it at the edge of a word.
fn literal(out: &mut String, c: char, after: &str) {
    if !is_shown(c) {
        return;
    }
    let inside_word = out.chars().last().is_some_and(char::is_alphanumeric)
        && after.chars().next().is_some_and(|next| next.is_alphanumeric());
    push(out, c);
    if matches!(c, '*' | '_' | '~' | '`') && !inside_word {
        out.push(BREAK);
    }
}

/// Longest name of an entity, bytes: `#1114111`. Looking further would cost the square of a line of ampersands.
const ENTITY: usize = 8;

/// The character that an entity after its `&` stands for, and what follows.
fn entity(after: &str) -> Option<(char, &str)> {
    let end = after.bytes().take(ENTITY + 1).position(|byte| byte == b';')?;
    let (name, rest) = after.split_at_checked(end).and_then(|(name, rest)| Some((name, rest.get(1..)?)))?;
    let meant = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        _ => char::from_u32(name.strip_prefix('#')?.parse().ok()?)?,
    };
    Some((meant, rest))
}

/// A code span, which `rest` begins with; returns what follows. Without its end the backticks are text.
fn span<'r>(out: &mut String, rest: &'r str) -> &'r str {
    let length = rest.chars().take_while(|c| *c == '`').count();
    let inside = rest.get(length..).unwrap_or_default();
    let mut from = 0;
    while let Some(at) = inside.get(from..).and_then(|tail| tail.find('`')).map(|at| at + from) {
        let tail = inside.get(at..).unwrap_or_default();
        let run = tail.chars().take_while(|c| *c == '`').count();
        if run == length {
            // Slack knows no longer delimiter, so a backtick inside of code is shown as its look-alike.
            let content = inside.get(..at).unwrap_or_default();
            let content = content.strip_prefix(' ').and_then(|c| c.strip_suffix(' ')).unwrap_or(content);
            out.push('`');
            out.push_str(&escape(content).replace('`', "\u{2cb}"));
            out.push('`');
            return tail.get(run..).unwrap_or_default();
        }
        from = at + run;
    }
    (0..length).for_each(|_| literal(out, '`', ""));
    inside
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::markdown;

    fn text(markdown: &str) -> String {
        match pieces(markdown).as_slice() {
            [Piece::Text(text)] => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_our_markdown_quotes_is_read_as_it_was() {
        let hostile = "a < b && c > d @team #1 http://x.example [l](u) $\\x SQL_INJECTION";
        assert_eq!(text(&markdown::text(hostile)).replace(BREAK, ""), escape(hostile));
        assert!(text(&markdown::text("SQL_INJECTION")).contains("SQL_INJECTION"), "a word is not torn");
    }

    #[test]
    fn a_mention_of_any_form_stays_text() {
        for hostile in ["<!here>", "<!channel|x>", "<@U123>", "<!subteam^S1>", "<http://evil.example|safe>", "<#C1>"] {
            for markdown in
                [hostile.to_owned(), markdown::text(hostile), markdown::code(hostile), markdown::block("", hostile, 99)]
            {
                let shown = format!("{:?}", pieces(&markdown));
                assert!(!shown.contains('<') && !shown.contains('>'), "{markdown} became {shown}");
            }
        }
    }

    #[test]
    fn code_cannot_close_its_fence() {
        let hostile = "x\n```\n<!here>\n`````` y";
        let [Piece::Code(shown)] = &pieces(&markdown::block("diff", hostile, 500))[..] else { panic!() };
        assert!(!shown.contains("```"), "{shown}");
        assert_eq!(shown.replace(BREAK, ""), escape(hostile));
    }

    #[test]
    fn emphasis_that_was_quoted_does_not_come_alive() {
        assert_eq!(text("\\_x\\_ \\*y\\*"), format!("_{BREAK}x_{BREAK} *{BREAK}y*{BREAK}"));
        assert_eq!(text("**bold** and `code_x` and ``a`b``"), "*bold* and `code_x` and `a\u{2cb}b`");
    }

    #[test]
    fn lists_and_headings_are_shown_as_slack_can() {
        assert_eq!(text("## Head\n- one\n  - two"), "*Head*\n• one\n  • two");
    }

    #[test]
    fn an_open_fence_or_span_ends_with_the_text() {
        assert_eq!(pieces("a\n```\nb"), [Piece::Text("a".into()), Piece::Code("b".into())]);
        assert_eq!(text("a `b").replace(BREAK, ""), "a `b");
    }

    #[test]
    fn marks_without_an_end_grow_by_a_bounded_factor() {
        for seed in ["&", "&#", "&lt", "`", "` `` ", "\\", "\\`", "*", "*_~", "``` ", "# ", "- ", "<!here", "&#65"] {
            for end in ["", "\n"] {
                let hostile = format!("{seed}{end}").repeat(50_000 / seed.len());
                let shown = pieces(&hostile).into_iter().map(|piece| match piece {
                    Piece::Text(text) | Piece::Code(text) => text.len(),
                });
                assert!(shown.sum::<usize>() <= 5 * hostile.len(), "{seed:?}");
            }
        }
    }

    /// However long a line of ampersands is, each looks only a little way ahead.
    #[test]
    fn the_end_of_an_entity_is_looked_for_nearby() {
        assert_eq!(text("&#65;&lt;&#128512;"), "A&lt;\u{1f600}");
        let far = format!("&#{}65;", "0".repeat(ENTITY));
        assert_eq!(text(&far), format!("&amp;{}", &far[1..]));
        assert_eq!(text("&;&"), "&amp;;&amp;");
    }
}
