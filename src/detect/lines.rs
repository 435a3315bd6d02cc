//! From byte offsets to the lines and columns that people see.

use std::sync::Arc;

use crate::model::{Position, Span};

/// Where each line of a text begins, apart from the text.
#[derive(Debug, Clone)]
pub struct LineStarts(Arc<[usize]>);

impl LineStarts {
    #[must_use]
    pub fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    /// The index of the text that these were made of.
    #[must_use]
    pub fn index<'t>(&self, text: &'t str) -> LineIndex<'t> {
        LineIndex { text, starts: Arc::clone(&self.0) }
    }
}

/// The lines of a text. They end with `\n`; the `\r` of a CRLF belongs to the line before it.
pub struct LineIndex<'t> {
    text: &'t str,
    starts: Arc<[usize]>,
}

impl<'t> LineIndex<'t> {
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        LineStarts::of(text).index(text)
    }

    /// Line, from 1, of a byte offset; an offset behind the end is on the last line.
    #[must_use]
    pub fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    /// Line and column, both from 1, the column in characters. A byte order mark has no column.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position {
        let line = self.line(offset);
        let start = self.start(line);
        let before = self.text.get(start..offset).unwrap_or_default();
        Position { line, column: before.trim_start_matches('\u{feff}').chars().count() + 1 }
    }

    /// Number of lines; a text that ends with a line feed has an empty last line.
    #[must_use]
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// Bytes of a line, its end included; empty when there is no such line.
    #[must_use]
    pub fn span(&self, line: usize) -> Span {
        let start = self.start(line);
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        Span::new(start.min(end), end)
    }

    /// A line without its end.
    #[must_use]
    pub fn text(&self, line: usize) -> &'t str {
        self.text.get(self.span(line).range()).unwrap_or_default().trim_end_matches(['\n', '\r'])
    }

    fn start(&self, line: usize) -> usize {
        line.checked_sub(1).and_then(|index| self.starts.get(index)).copied().unwrap_or(self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, offset: usize) -> (usize, usize) {
        let Position { line, column } = LineIndex::new(text).position(offset);
        (line, column)
    }

    #[test]
    fn columns_count_characters_and_lines_end_with_line_feeds() {
        assert_eq!(at("ab\r\ncd", 4), (2, 1));
        assert_eq!(at("é = x", 5), (1, 5));
        assert_eq!(at("\tx", 1), (1, 2));
        assert_eq!(at("a\n", 2), (2, 1));
        assert_eq!(at("", 0), (1, 1));
    }

    #[test]
    fn a_byte_order_mark_has_no_column() {
        assert_eq!(at("\u{feff}x = 1", 3), (1, 1));
        assert_eq!(at("\u{feff}x = 1", 7), (1, 5));
    }

    #[test]
    fn lines_come_without_their_end() {
        let index = LineIndex::new("a\r\nb\n");
        assert_eq!((index.count(), index.text(1), index.text(2), index.text(3)), (3, "a", "b", ""));
        assert_eq!(index.span(9), Span::new(5, 5));
    }
}
