//! The file as its edits find it: read once, however many candidates change it.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use super::syntax::{self, Tree};
use super::{Rejection, VerifyInput, could_not};
use crate::fix::pattern::tree::{Tree as LearnedFrom, TreeError};
use crate::fix::{imports, names};
use crate::model::{Edit, Language};

/// What is kept of a file between the candidates that change it.
#[derive(Debug, Default)]
pub struct Known {
    read: OnceLock<Option<Read>>,
    free: OnceLock<BTreeSet<String>>,
    bindings: OnceLock<Vec<imports::Binding>>,
}

/// A text as the grammar reads it, and without its comments where edits of the language are learned.
#[derive(Debug, Clone)]
pub(super) enum Read {
    Both(Arc<LearnedFrom>),
    Syntax(Arc<Parsed>),
}

/// A syntax tree, which says nothing of itself.
pub(super) struct Parsed(Tree);

impl std::fmt::Debug for Parsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parsed")
    }
}

impl Read {
    fn of(language: Language, text: &str) -> Option<Self> {
        Self::either(LearnedFrom::shared(language, text), language, text)
    }

    /// The text after these edits of the one that was read, disjoint and in source order.
    fn edited(&self, language: Language, text: &str, edits: &[Edit]) -> Option<Self> {
        let Self::Both(tree) = self else { return Self::of(language, text) };
        let spans = edits.iter().map(|edit| (edit.span, edit.text.as_str()));
        Self::either(tree.edited(text.to_owned(), spans).map(Arc::new), language, text)
    }

    fn either(tree: Result<Arc<LearnedFrom>, TreeError>, language: Language, text: &str) -> Option<Self> {
        match tree {
            Ok(tree) => Some(Self::Both(tree)),
            Err(TreeError::Parser) => None,
            Err(TreeError::Language(_) | TreeError::TooLarge) => {
                Some(Self::Syntax(Arc::new(Parsed(syntax::parse(language, text)?))))
            }
        }
    }

    pub(super) fn syntax(&self) -> &Tree {
        match self {
            Self::Both(tree) => tree.parsed(),
            Self::Syntax(parsed) => &parsed.0,
        }
    }

    /// `None` when edits of the language are not learned, or the file is too large for it.
    pub(super) fn learned_from(&self) -> Option<&Arc<LearnedFrom>> {
        match self {
            Self::Both(tree) => Some(tree),
            Self::Syntax(_) => None,
        }
    }
}

/// Both texts of a candidate, and what is known of the first.
pub(super) struct Trees<'k> {
    pub language: Language,
    pub old: Read,
    pub new: Read,
    known: &'k Known,
}

impl Trees<'_> {
    /// The two syntax trees.
    pub(super) fn both(&self) -> (&Tree, &Tree) {
        (self.old.syntax(), self.new.syntax())
    }

    /// Names that the edits use and nothing binds.
    pub(super) fn unbound(&self) -> Vec<String> {
        let free = || names::free(self.language, self.old.syntax());
        names::unbound_beside(self.language, self.new.syntax(), || self.known.free.get_or_init(free))
    }

    /// What the imports of the file bind as it is.
    pub(super) fn bindings(&self) -> &[imports::Binding] {
        self.known.bindings.get_or_init(|| imports::bindings(self.language, self.old.syntax()))
    }
}

/// The trees before and after; `None` without a grammar. `edits` are those that make `after` of the file, disjoint and in order.
pub(super) fn trees<'k>(
    input: &VerifyInput<'_>,
    known: &'k Known,
    (edits, after): (&[Edit], &str),
) -> Result<Option<Trees<'k>>, Rejection> {
    let Some(language) = input.language else { return Ok(None) };
    let gave_up = || could_not("the parser gave up on the file");
    let old = known.read.get_or_init(|| Read::of(language, input.before)).as_ref().ok_or_else(gave_up)?;
    syntax::refill(old.syntax());
    let new = old.edited(language, after, edits).ok_or_else(gave_up)?;
    Ok(Some(Trees { language, old: old.clone(), new, known }))
}
