//! How a change is made, shown, checked and believed: edits, diffs, imports, learned patterns, verification and score.
//!
//! Nothing here trusts a proposal. [`verify`] is the only way to a [`verify::VerifiedCandidate`], and
//! [`score`] makes a confidence of evidence and checks, never of what a source says of itself alone.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod curated;
pub mod diff;
pub mod edit;
pub mod imports;
pub mod learn;
pub mod names;
pub mod paths;
pub mod pattern;
pub mod score;
pub mod verify;

mod syntax;
