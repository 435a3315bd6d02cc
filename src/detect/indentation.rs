//! Python's indentation as its own tokenizer reads it.
//!
//! Source of the algorithm: the Python Language Reference, "Indentation". Each line's indentation is measured twice, with
//! tabs to columns of eight and with tabs as one column; lines that compare differently by the two are refused.

/// A line that Python refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Problem {
    /// Bytes from the beginning of the text to the line's first character behind its indentation.
    pub offset: usize,
    pub cause: &'static str,
}

const MIXED: &str = "tabs and spaces are mixed so that the depth depends on the tab width";
const NO_BLOCK: &str = "the line fits no block that is open here";
const UNEXPECTED: &str = "the line is indented although no block begins here";
const EXPECTED: &str = "a block is expected here: indent the line";

const BLOCK_KEYWORDS: [&str; 14] = [
    "async", "case", "class", "def", "elif", "else", "except", "finally", "for", "if", "match", "try", "while", "with",
];

/// Indentation measured both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Depth {
    column: usize,
    alternative: usize,
}

/// The first line whose indentation Python refuses. Text that cannot be followed (an unclosed string or bracket) ends the
/// search without a problem: that is another kind of error.
pub(super) fn check(text: &str) -> Option<Problem> {
    let mut stack = vec![Depth::default()];
    let mut block_expected = false;
    let mut keyword_before = false;
    let mut reader = Reader { bytes: text.as_bytes(), at: if text.starts_with('\u{feff}') { 3 } else { 0 } };
    while reader.at < reader.bytes.len() {
        let depth = reader.indentation();
        if reader.blank_or_comment() {
            reader.skip_line();
            continue;
        }
        if let Some(cause) = compare(&mut stack, depth, block_expected) {
            // A block without its colon is a slip in the line before, not in the indentation.
            return (cause != UNEXPECTED || !keyword_before).then_some(Problem { offset: reader.at, cause });
        }
        keyword_before = reader.begins_block();
        block_expected = reader.logical_line()? == b':';
    }
    None
}

fn compare(stack: &mut Vec<Depth>, depth: Depth, block_expected: bool) -> Option<&'static str> {
    let top = stack.last().copied().unwrap_or_default();
    if depth.column == top.column {
        if depth.alternative != top.alternative {
            return Some(MIXED);
        }
        return block_expected.then_some(EXPECTED);
    }
    if depth.column > top.column {
        if depth.alternative <= top.alternative {
            return Some(MIXED);
        }
        stack.push(depth);
        return (!block_expected).then_some(UNEXPECTED);
    }
    if block_expected {
        return Some(EXPECTED);
    }
    while stack.last().is_some_and(|open| open.column > depth.column) {
        stack.pop();
    }
    let outer = stack.last().copied().unwrap_or_default();
    if outer.column != depth.column {
        return Some(NO_BLOCK);
    }
    (outer.alternative != depth.alternative).then_some(MIXED)
}

struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(b'\n')
    }

    fn indentation(&mut self) -> Depth {
        let mut depth = Depth::default();
        loop {
            match self.peek(0) {
                b' ' => depth = Depth { column: depth.column + 1, alternative: depth.alternative + 1 },
                b'\t' => depth = Depth { column: (depth.column / 8 + 1) * 8, alternative: depth.alternative + 1 },
                b'\x0c' => depth = Depth::default(),
                _ => return depth,
            }
            self.at += 1;
        }
    }

    fn blank_or_comment(&self) -> bool {
        matches!(self.peek(0), b'\n' | b'\r' | b'#')
    }

    fn begins_block(&self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let word = rest.split(|byte| !byte.is_ascii_alphabetic()).next().unwrap_or_default();
        BLOCK_KEYWORDS.iter().any(|keyword| keyword.as_bytes() == word)
    }

    fn skip_line(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |line_feed| line_feed + 1);
    }

    /// Moves behind the logical line and gives its last byte of code; `None` when its end cannot be told.
    fn logical_line(&mut self) -> Option<u8> {
        let (mut open, mut last) = (0_usize, b' ');
        while self.at < self.bytes.len() {
            match self.peek(0) {
                b'#' => {
                    self.skip_line();
                    if open == 0 {
                        return Some(last);
                    }
                    continue;
                }
                b'\n' if open == 0 => {
                    self.at += 1;
                    return Some(last);
                }
                b'\\' if matches!(self.peek(1), b'\n' | b'\r') => self.at += if self.peek(1) == b'\r' { 2 } else { 1 },
                quote @ (b'"' | b'\'') => {
                    self.string(quote)?;
                    last = quote;
                    continue;
                }
                b'(' | b'[' | b'{' => open += 1,
                b')' | b']' | b'}' => open = open.checked_sub(1)?,
                _ => {}
            }
            if !self.peek(0).is_ascii_whitespace() {
                last = self.peek(0);
            }
            self.at += 1;
        }
        (open == 0).then_some(last)
    }

    /// Moves behind a string literal; `None` when it is not closed.
    fn string(&mut self, quote: u8) -> Option<()> {
        let triple = self.peek(1) == quote && self.peek(2) == quote;
        let width = if triple { 3 } else { 1 };
        self.at += width;
        while self.at < self.bytes.len() {
            match self.peek(0) {
                b'\\' => self.at += if self.peek(1) == b'\r' && self.peek(2) == b'\n' { 3 } else { 2 },
                b'\n' if !triple => return None,
                byte if byte == quote && (!triple || self.peek(1) == quote && self.peek(2) == quote) => {
                    self.at += width;
                    return Some(());
                }
                _ => self.at += 1,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(text: &str) -> Option<&'static str> {
        check(text).map(|problem| problem.cause)
    }

    #[test]
    fn what_python_refuses_is_found() {
        assert_eq!(cause("if x:\n        a()\n\tb()\n"), Some(MIXED));
        assert_eq!(cause("if x:\n    a()\n  b()\n"), Some(NO_BLOCK));
        assert_eq!(cause("a()\n    b()\n"), Some(UNEXPECTED));
        assert_eq!(cause("def f():\nreturn 1\n"), Some(EXPECTED));
        assert_eq!(cause("class A:\n    def f(self):\n    x = 1\n"), Some(EXPECTED));
    }

    #[test]
    fn what_python_accepts_is_left_alone() {
        for text in [
            "if x:\n\ta()\n\tb()\nelse:\n    c()\n",
            "x = [\n  1,\n      2]\ny = 1\n",
            "s = '''\n   a\n b'''\nt = 1\n",
            "if x: y()\nz()\n",
            "if a and \\\n        b:\n    c()\n",
            "if x:\n    # c\n  # d\n    y()\n\n        \nz()\n",
            "d = {'a': 1,\n'b': 2}\n",
            "def f():  # note:\n    return ':'\n",
            "\u{feff}x = 1\n",
            "x = 1  # a:\ny = 2",
            "if x:\r\n    y()\r\nz()\r\n",
            "try:\n    a()\nexcept E:\n    b()\n",
        ] {
            assert_eq!(cause(text), None, "{text:?}");
        }
    }

    #[test]
    fn another_kind_of_error_is_not_called_indentation() {
        assert_eq!(cause("x = (1,\n  2\n"), None);
        assert_eq!(cause("s = 'abc\n    t = 1\n"), None);
        assert_eq!(cause("x)\n    y\n"), None);
    }

    #[test]
    fn the_place_is_the_first_character_of_the_line() {
        assert_eq!(check("a\n  b\n").map(|problem| problem.offset), Some(4));
    }
}
