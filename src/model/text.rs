//! What several value types share: the error for a refused value and the hash that names things.

use sha2::{Digest, Sha256};

/// A value that breaks the invariant of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {reason}")]
pub struct InvalidValue {
    pub what: &'static str,
    pub value: String,
    pub reason: &'static str,
}

/// Lower-case hex SHA-256 of the parts, each preceded by its length so that `["ab","c"]` and `["a","bc"]` differ.
#[must_use]
pub fn sha256_hex(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hex::encode(hasher.finalize())
}

/// Control characters, and ones that do not show or that reorder what a reader sees: nothing that somebody means to be read.
#[must_use]
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// As [`is_deceptive`], and marks that only choose how the character before them looks: a run of them can spell text that nobody
/// sees.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    is_deceptive(c) || matches!(c, '\u{fe00}'..='\u{fe0f}')
}
