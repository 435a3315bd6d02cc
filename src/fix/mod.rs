//! How a change is made, shown, checked and believed: edits, diffs, imports, verification and score.
//!
//! Nothing here trusts a proposal. [`verify`] is the only way to a [`verify::VerifiedCandidate`], and
//! [`score`] makes a confidence of evidence and checks, never of what a source says of itself alone.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod diff;
pub mod edit;
pub mod learn;
pub mod paths;
pub mod pattern;
