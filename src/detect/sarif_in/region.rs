//! From a SARIF region to a byte span of the file.

use super::format::Region;
use crate::detect::lines::LineIndex;
use crate::model::Span;

/// What a column counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Units {
    Utf16,
    CodePoints,
    Bytes,
}

impl Units {
    /// What the run says; else what the tool is known to count, by its name in lower case; else UTF-16, SARIF's default.
    /// Bandit writes the columns of Python's trees, gosec those of Go's, and Semgrep its parser's: all bytes of UTF-8.
    pub fn of(column_kind: Option<&str>, tool: &str) -> Self {
        match (column_kind, tool) {
            (Some("unicodeCodePoints"), _) => Self::CodePoints,
            (Some(_), _) => Self::Utf16,
            (None, "bandit" | "gosec" | "staticcheck" | "golangci-lint") => Self::Bytes,
            (None, tool) if tool.starts_with("semgrep") || tool.starts_with("opengrep") => Self::Bytes,
            (None, "ruff") => Self::CodePoints,
            (None, _) => Self::Utf16,
        }
    }

    fn of_char(self, c: char) -> usize {
        match self {
            Self::Utf16 => c.len_utf16(),
            Self::CodePoints => 1,
            Self::Bytes => c.len_utf8(),
        }
    }

    /// Bytes of the first `count` units of the text; all of it when it is shorter.
    fn bytes(self, text: &str, count: usize) -> usize {
        let mut left = count;
        for (at, c) in text.char_indices() {
            if left == 0 {
                return at;
            }
            left = left.saturating_sub(self.of_char(c));
        }
        text.len()
    }
}

/// The span of a region. An exact byte range wins over lines and columns, those over character offsets. A region without
/// columns, or an empty one, is the text of its lines.
pub(super) fn span(region: Option<&Region>, text: &str, lines: &LineIndex<'_>, units: Units) -> Result<Span, String> {
    let region = region.ok_or("it has no region")?;
    let span = if let Some(range) = range(region.byte_offset, region.byte_length) {
        bytes(range, text)?
    } else if let Some(first) = region.start_line {
        columns(region, first, lines, units)?
    } else if let Some((offset, length)) = range(region.char_offset, region.char_length) {
        let start = units.bytes(text, offset);
        Span::new(start, start + units.bytes(text.get(start..).unwrap_or_default(), length))
    } else {
        return Err("its region says neither lines nor offsets".to_owned());
    };
    let code = text.get(span.range()).unwrap_or_default();
    if code.trim().is_empty() { whole_line(text, lines, span.start) } else { Ok(span) }
}

fn range(offset: Option<i64>, length: Option<i64>) -> Option<(usize, usize)> {
    Some((usize::try_from(offset?).ok()?, usize::try_from(length.unwrap_or(0)).ok()?))
}

fn bytes((offset, length): (usize, usize), text: &str) -> Result<Span, String> {
    let end = offset.checked_add(length).filter(|end| text.is_char_boundary(offset) && text.is_char_boundary(*end));
    let end = end.ok_or_else(|| format!("bytes {offset} to {offset}+{length} are not in the file"))?;
    Ok(Span::new(offset, end))
}

fn columns(region: &Region, first: i64, lines: &LineIndex<'_>, units: Units) -> Result<Span, String> {
    let line = |number: i64| {
        usize::try_from(number)
            .ok()
            .filter(|line| (1..=lines.count()).contains(line))
            .ok_or_else(|| format!("line {number} is not in the file"))
    };
    let start_line = line(first)?;
    let end_line = line(region.end_line.unwrap_or(first).max(first))?;
    let at = |line: usize, column: i64| {
        let text = lines.text(line);
        let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let before = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
        lines.span(line).start + mark + units.bytes(text.get(mark..).unwrap_or_default(), before)
    };
    let start = match region.start_column {
        Some(column) => at(start_line, column),
        None => indented(lines, start_line),
    };
    let line_end = lines.span(end_line).start + lines.text(end_line).len();
    let end = match region.end_column {
        Some(column) => at(end_line, column),
        // Many scanners give where a problem begins and nothing more: the rest of the line.
        None => line_end,
    };
    Ok(Span::new(start.min(end), end.max(start)))
}

fn indented(lines: &LineIndex<'_>, line: usize) -> usize {
    let text = lines.text(line);
    lines.span(line).start + (text.len() - text.trim_start_matches(['\u{feff}', ' ', '\t', '\x0c']).len())
}

fn whole_line(text: &str, lines: &LineIndex<'_>, offset: usize) -> Result<Span, String> {
    let line = lines.line(offset.min(text.len()));
    let start = indented(lines, line);
    let end = lines.span(line).start + lines.text(line).trim_end().len();
    if start >= end {
        return Err(format!("line {line} is empty"));
    }
    Ok(Span::new(start, end))
}
