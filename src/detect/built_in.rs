//! The rule packs that are part of the binary.

/// Name below `rules/` and text of every rule and fix document, in order of name.
pub(super) static FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// Name below `rules/` and text of the cases of every rule.
pub(super) static CASES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/rule_cases.rs"));
