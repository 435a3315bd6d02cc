//! The syntax trees that imports, names and verification look at.

use crate::detect::language;
pub(super) use crate::detect::language::{Node, Tree};
use crate::model::Language;

/// Parses a text; `None` when the parser gave up on it.
pub(super) fn parse(language: Language, text: &str) -> Option<Tree> {
    language::parse(language, text).ok()
}

/// Whether a walk over the tree had to stop early, so that what it saw is not the whole.
pub(super) fn exhausted(tree: &Tree) -> bool {
    let document = tree.root().get_doc();
    document.exhausted() || document.too_deep()
}
