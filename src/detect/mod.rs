//! The rule engine: which problems a file has, where, and which of them a push brought in.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod alerts_in;
pub mod language;
pub mod redact;
pub mod rule_tests;
pub mod sarif_in;

mod built_in;
mod case;
mod curated;
mod evidence;
mod flow;
mod grammar;
mod indentation;
mod introduced;
mod lines;
mod normalise;
mod prefilter;
mod rule_file;
mod rules;
mod scan;
mod scanner_state;
mod skip;
mod suppress;
mod syntax_rule;
mod test_code;
mod tree;
mod utilities;
mod walk;

pub use case::cases;
pub use curated::{Proposal, proposals};
pub use grammar::{Grammar, UnknownGrammar};
pub use introduced::{ChangedLines, introduced};
pub use language::{Match, Node, SyntaxError, Tree, parse, syntax_errors};
pub use lines::LineIndex;
pub use normalise::{normalise, normalise_text};
pub use rule_file::{CuratedFix, FixImport, RuleError};
pub use rules::RuleSet;
pub use scan::{Detector, FileScan};
pub use skip::{Limits, SkipReason};
pub use suppress::{Notice, Suppressed, Suppressions};
pub use syntax_rule::{INDENTATION, SYNTAX_ERROR};
pub use tree::{CodeDoc, MAX_DEPTH};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_hostile;
