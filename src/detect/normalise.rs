//! A match as text that survives moving, re-indenting and re-wrapping: what fingerprints are made of.

use super::language::Node;
use crate::model::sha256_hex;

/// Longer normal forms end in a hash of the rest, bytes.
const MAX_LENGTH: usize = 2_000;

/// Bytes of the rest that the hash covers.
const MAX_HASHED: usize = 64 << 10;

/// Stands for the text of a string that must not leave the file.
const MASK: &str = "***";

/// The tokens of the node joined by single spaces, comments left out, white space inside a token reduced to one space.
/// With `mask`, what stands inside strings is replaced: the finding is a secret.
#[must_use]
pub fn normalise(node: &Node<'_>, mask: bool) -> String {
    let mut tokens = Tokens { text: String::new() };
    let end = node.range().end;
    let whole = node.get_doc().source();
    let mut at = node.range().start;
    for inner in node.dfs() {
        if tokens.text.len() > MAX_LENGTH {
            return tokens.finish(whole.get(at..end).unwrap_or_default());
        }
        let range = inner.range();
        let comment = inner.kind().contains("comment");
        if range.start < at || range.end > end || !(comment || inner.is_leaf()) {
            continue;
        }
        // Some grammars have no node for the plain text inside a string: it is a gap between leaves.
        tokens.push(whole.get(at..range.start).unwrap_or_default(), mask && in_string(&inner));
        if !comment {
            tokens.push(&inner.text(), mask && in_string(&inner));
        }
        at = range.end;
    }
    tokens.push(whole.get(at..end).unwrap_or_default(), mask);
    tokens.finish("")
}

/// The normal form of plain text, where there is no tree.
#[must_use]
pub fn normalise_text(text: &str) -> String {
    let mut tokens = Tokens { text: String::new() };
    tokens.push(text, false);
    tokens.finish("")
}

fn in_string(node: &Node<'_>) -> bool {
    let stringy = |kind: &str| kind.contains("string") || kind.contains("scalar") || kind.contains("template");
    node.is_named() && stringy(&node.kind())
        || node.parent().is_some_and(|parent| stringy(&parent.kind())) && !node.text().contains(['"', '\'', '`'])
}

struct Tokens {
    text: String,
}

impl Tokens {
    fn push(&mut self, token: &str, masked: bool) {
        for word in token.split_whitespace() {
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            self.text.push_str(if masked { MASK } else { word });
            if masked {
                return;
            }
        }
    }

    /// The tokens, cut where they are long; `unread` is code behind them.
    fn finish(self, unread: &str) -> String {
        if self.text.len() <= MAX_LENGTH {
            return self.text;
        }
        let mut cut = MAX_LENGTH;
        while !self.text.is_char_boundary(cut) {
            cut -= 1;
        }
        let (kept, rest) = self.text.split_at(cut);
        let solid = rest.bytes().chain(unread.bytes()).filter(|byte| !byte.is_ascii_whitespace());
        let hashed: Vec<u8> = solid.take(MAX_HASHED).collect();
        format!("{kept} … {}", sha256_hex(&[&hashed]))
    }
}
