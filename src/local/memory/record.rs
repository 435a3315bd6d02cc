//! A fix as it is stored: compressed JSON, its vector apart as little-endian 32-bit floats.

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use crate::local::store::Problem;
use crate::model::{FixId, PastFix, sha256_hex};

/// Bytes of a fix as JSON, without its vector. A real one takes about ten thousand.
const FIX_BYTES: usize = 1024 * 1024;

/// Dimensions of a vector; the built-in embedder has 768.
const DIMENSIONS: usize = 16 * 1024;

/// Best speed for its size: level 6 of 10.
const LEVEL: u8 = 6;

/// Why a fix cannot be remembered, or looked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("the vector is empty, too long or has numbers that are none; make it again with the configured embedder")]
    Vector,
    #[error("the fix takes {0} bytes and may take {FIX_BYTES}; leave out its largest patterns")]
    Size(usize),
    #[error("the fix cannot be read back ({0}); leave out its deepest patterns")]
    Unreadable(String),
    #[error("fix {id} has schema {found} and this program knows {known}; upgrade it", known = PastFix::SCHEMA)]
    Newer { id: FixId, found: u32 },
}

/// The fix as stored, its vector aside.
///
/// # Errors
/// When it could not be read back or is out of bounds.
pub(super) fn encode(fix: &PastFix) -> Result<Vec<u8>, Refused> {
    if fix.schema > PastFix::SCHEMA {
        return Err(Refused::Newer { id: fix.id.clone(), found: fix.schema });
    }
    if fix.vector.len() > DIMENSIONS || !fix.vector.iter().all(|x| x.is_finite()) {
        return Err(Refused::Vector);
    }
    let bare = PastFix { vector: Vec::new(), ..fix.clone() };
    let json = serde_json::to_vec(&bare).map_err(|e| Refused::Unreadable(e.to_string()))?;
    if json.len() > FIX_BYTES {
        return Err(Refused::Size(json.len()));
    }
    // Reading has a depth limit that writing has not, and patterns are trees.
    serde_json::from_slice::<PastFix>(&json).map_err(|e| Refused::Unreadable(e.to_string()))?;
    Ok(compress_to_vec_zlib(&json, LEVEL))
}

pub(super) fn decode(body: &[u8], vector: &[u8]) -> Result<PastFix, Problem> {
    let damaged = |what: &str| Problem::Damaged(format!("a remembered fix: {what}"));
    let json = decompress_to_vec_zlib_with_limit(body, FIX_BYTES).map_err(|e| damaged(&e.to_string()))?;
    let mut fix = match serde_json::from_slice::<PastFix>(&json) {
        Ok(fix) if fix.schema <= PastFix::SCHEMA => fix,
        Ok(fix) => return Err(Problem::refused(Refused::Newer { id: fix.id, found: fix.schema })),
        Err(error) => return Err(damaged(&error.to_string())),
    };
    fix.vector = floats_of(vector);
    Ok(fix)
}

pub(super) fn bytes_of(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

pub(super) fn floats_of(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}

/// Orders equally similar fixes by what they are, not by when they were stored.
pub(super) fn tie(id: &FixId) -> i64 {
    let hash = sha256_hex(&[id.0.as_bytes()]);
    hash.get(..15).and_then(|digits| i64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}
