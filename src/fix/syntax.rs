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

/// Lets the tree be walked as often as a new one: it is looked at for each of the edits that are tried on its file.
pub(super) fn refill(tree: &Tree) {
    tree.root().get_doc().refill(crate::detect::CodeDoc::STEPS);
}

/// Whether the grammar accepts all of the text.
pub(super) fn is_accepted(tree: &Tree) -> bool {
    language::is_accepted(tree)
}
