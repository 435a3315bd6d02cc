//! A fix as a document: the fields that look-ups filter by, and the fix itself as text that nothing indexes.
//!
//! The vector is there twice. The one that is searched has length one and few digits; the fix's own, from which the cosine is
//! computed and which is given back, is stored bit by bit.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::error::failed;
use crate::model::{FixId, PastFix, sha256_hex};
use crate::ports::{ErrorKind, PortError, PortResult};

/// Bytes of a fix as JSON, without its vector. A real one takes about ten thousand.
const FIX_BYTES: usize = 1024 * 1024;
/// Dimensions of a vector; the built-in embedder has 768.
const DIMENSIONS: usize = 16 * 1024;
/// Bytes of an id, or of another text that look-ups filter by: far below what the index takes.
const TERM_BYTES: usize = 4096;
/// Digits that are kept of a searched component, which has at most one before the point.
const DIGITS: f64 = 1e6;

/// What is read of a stored document.
pub(super) const STORED: &str = "fix,exact";

/// A document as it is written.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    id: &'a str,
    organisation: &'a str,
    language: String,
    embedder: &'a str,
    rules: BTreeSet<&'a str>,
    repository: &'a str,
    private: bool,
    superseded: bool,
    /// A vector of zeros, which no search by angle finds.
    directionless: bool,
    /// Absent where the fix has no vector of the index's length.
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<Vec<f32>>,
    fix: String,
    exact: String,
    /// Names the write that made the document, to recognise it after an answer was lost.
    write: &'a str,
}

/// A document as it is read: the fix and its own vector.
#[derive(Deserialize)]
pub(super) struct Stored {
    fix: String,
    exact: String,
}

/// The document's id: the same for the same fix, whatever characters its own id has.
pub(super) fn key(id: &FixId) -> String {
    sha256_hex(&[id.0.as_bytes()])
}

/// The fix as a document of an index of so many dimensions, in JSON.
///
/// # Errors
/// `Malformed` when it could not be read back or is out of bounds.
pub(super) fn encode(attempted: &str, fix: &PastFix, dimensions: usize, write: &str) -> PortResult<String> {
    let refused = |said: String, remedy: &str| failed(attempted, ErrorKind::Malformed, said, remedy);
    if fix.schema > PastFix::SCHEMA {
        return Err(newer(attempted, fix));
    }
    if fix.vector.len() > DIMENSIONS || !fix.vector.iter().all(|x| x.is_finite()) {
        return Err(no_vector(attempted));
    }
    let terms = [&fix.id.0, &fix.organisation, &fix.embedder, &fix.repository];
    if terms.iter().any(|term| term.len() > TERM_BYTES) {
        return Err(refused(format!("a name of more than {TERM_BYTES} bytes"), "give a shorter one"));
    }
    let bare = PastFix { vector: Vec::new(), ..fix.clone() };
    let unreadable =
        |e: serde_json::Error| refused(format!("it cannot be read back ({e})"), "leave out its deepest patterns");
    let text = serde_json::to_string(&bare).map_err(unreadable)?;
    if text.len() > FIX_BYTES {
        let said = format!("the fix takes {} bytes and may take {FIX_BYTES}", text.len());
        return Err(refused(said, "leave out its largest patterns"));
    }
    // Reading has a depth limit that writing has not, and patterns are trees.
    serde_json::from_str::<PastFix>(&text).map_err(unreadable)?;
    let comparable = fix.vector.len() == dimensions;
    let vector = if comparable { searched(&fix.vector) } else { None };
    let document = Document {
        id: &fix.id.0,
        organisation: &fix.organisation,
        language: fix.language.to_string(),
        embedder: &fix.embedder,
        rules: fix.aliases.iter().chain([&fix.rule]).map(crate::model::RuleId::as_str).collect(),
        repository: &fix.repository,
        private: fix.private,
        superseded: fix.superseded_by.is_some(),
        directionless: comparable && vector.is_none(),
        vector,
        fix: text,
        exact: BASE64_STANDARD.encode(fix.vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()),
        write,
    };
    serde_json::to_string(&document).map_err(unreadable)
}

/// The fix that a document holds.
///
/// # Errors
/// `Malformed` when it is damaged, of another id, or of a newer schema.
pub(super) fn decode(attempted: &str, found_under: &str, stored: &Stored) -> PortResult<PastFix> {
    let damaged = |what: String| {
        let said = format!("the document {found_under} is damaged: {what}");
        failed(attempted, ErrorKind::Malformed, said, "delete it; the fix can be learned again")
    };
    let mut fix: PastFix = serde_json::from_str(&stored.fix)
        .map_err(|e| damaged(format!("its fix is unreadable ({:?})", e.classify())))?;
    if fix.schema > PastFix::SCHEMA {
        return Err(newer(attempted, &fix));
    }
    if key(&fix.id) != found_under {
        return Err(damaged("it holds a fix of another id".to_owned()));
    }
    let bytes = BASE64_STANDARD.decode(&stored.exact).map_err(|_| damaged("its vector is unreadable".to_owned()))?;
    let (floats, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(damaged("its vector is cut off".to_owned()));
    }
    fix.vector = floats.iter().map(|float| f32::from_le_bytes(*float)).collect();
    Ok(fix)
}

fn newer(attempted: &str, fix: &PastFix) -> PortError {
    let said = format!("fix {} has schema {} and this program knows {}", fix.id, fix.schema, PastFix::SCHEMA);
    failed(attempted, ErrorKind::Malformed, said, "upgrade it")
}

/// What is stored or asked for is no vector.
pub(super) fn no_vector(attempted: &str) -> PortError {
    let said = "the vector is empty, too long or has numbers that are none";
    failed(attempted, ErrorKind::Malformed, said, "make it again with the configured embedder")
}

/// The vector scaled to length one and rounded; `None` when it has no direction.
pub(super) fn searched(vector: &[f32]) -> Option<Vec<f32>> {
    let square: f64 = vector.iter().map(|x| f64::from(*x).powi(2)).sum();
    if square == 0.0 {
        return None;
    }
    let scale = square.sqrt().recip();
    #[allow(clippy::cast_possible_truncation)] // No component is longer than the vector.
    let rounded = |x: &f32| ((f64::from(*x) * scale * DIGITS).round() / DIGITS) as f32;
    Some(vector.iter().map(rounded).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_searched_vector_has_length_one_however_long_it_was() {
        for scale in [1e-30_f32, 1.0, 1e30, f32::MAX / 4.0] {
            assert_eq!(searched(&[3.0 * scale, 0.0, -4.0 * scale]), Some(vec![0.6, 0.0, -0.8]), "{scale}");
        }
        assert_eq!(searched(&[0.0, -0.0]), None);
    }

    #[test]
    fn a_damaged_document_is_named() {
        let stored = |fix: &str, exact: &str| Stored { fix: fix.to_owned(), exact: exact.to_owned() };
        for (fix, exact) in [("", ""), ("{}", ""), ("[", "AAAA")] {
            let error = decode("get a fix", "abc", &stored(fix, exact)).expect_err(fix);
            assert_eq!(error.kind, ErrorKind::Malformed);
            assert!(error.chain().contains("document abc is damaged"), "{}", error.chain());
        }
    }
}
