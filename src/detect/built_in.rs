//! The rule packs that are part of the binary.

/// Name below `rules/` and text of every rule and fix document, in order of name.
pub(super) static FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/rules.rs"));
