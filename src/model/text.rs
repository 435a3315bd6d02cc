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
