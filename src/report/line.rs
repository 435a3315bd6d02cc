//! Lines for a terminal: text that is only text, with a meaning from which a colour follows.

use crate::model::is_deceptive;

/// What a piece of text means; colours follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Careful,
    Bad,
    Strong,
    Quiet,
}

/// One line for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Columns left free before the text.
    pub indent: usize,
    pub tone: Option<Tone>,
    /// Without control characters.
    pub text: String,
}

impl Line {
    /// A line of text from anywhere, made safe.
    #[must_use]
    pub fn new(indent: usize, text: &str) -> Self {
        Self { indent, tone: None, text: plain(text) }
    }

    #[must_use]
    pub fn toned(self, tone: Tone) -> Self {
        Self { tone: Some(tone), ..self }
    }

    #[must_use]
    pub fn empty() -> Self {
        Self::new(0, "")
    }
}

/// Text from elsewhere, made safe for a terminal: one line, no control characters, none that do not show or that reorder
/// what a reader sees.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if is_deceptive(c) { ' ' } else { c }).collect()
}

/// The lines of a unified diff, coloured as such.
#[must_use]
pub fn diff(indent: usize, unified: &str) -> Vec<Line> {
    let tone = |line: &str| match line.as_bytes().first() {
        Some(b'+') => Tone::Good,
        Some(b'-') => Tone::Bad,
        _ => Tone::Quiet,
    };
    unified.lines().map(|line| Line::new(indent, &line.replace('\t', "    ")).toned(tone(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_the_cursor_or_reorders_text_gets_through() {
        let hostile = "a\u{1b}[2Jb\u{9b}31mc\u{202e}d\r\ne\u{7f}";
        assert_eq!(plain(hostile), "a [2Jb 31mc d  e ");
        assert_eq!(plain("naïve → 日本"), "naïve → 日本");
    }

    #[test]
    fn a_diff_keeps_its_columns_and_loses_its_escapes() {
        let lines = diff(2, "-\ta\u{1b}[0m\n+b\n c\n");
        assert_eq!(lines[0], Line { indent: 2, tone: Some(Tone::Bad), text: "-    a [0m".to_owned() });
        assert_eq!((lines[1].tone, lines[2].tone), (Some(Tone::Good), Some(Tone::Quiet)));
    }
}
