//! The languages whose grammar is linked in, and parsing with them.

use std::ops::Range;
use std::thread;

use ast_grep_language::SupportLang;

use super::grammar::Grammar;
use super::tree::CodeDoc;
use crate::model::{Language, Span};

/// A parsed file.
pub type Tree = ast_grep_core::AstGrep<CodeDoc>;

/// A node of a parsed file.
pub type Node<'t> = ast_grep_core::Node<'t, CodeDoc>;

/// A node that a rule matched, with what its variables bound.
pub type Match<'t> = ast_grep_core::NodeMatch<'t, CodeDoc>;

/// Trees up to this many levels are matched on the caller's stack.
const SHALLOW: usize = 64;

/// Room for matching a tree of [`super::tree::MAX_DEPTH`] levels; touched only as far as it is used.
const DEEP_STACK: usize = 256 << 20;

/// The file takes more steps to parse than any sane file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {0} parser gave up: the text is too large or too ambiguous for it")]
pub struct ParseError(pub Language);

/// The grammar of a language. The linked ones alone are named, since ast-grep panics on any other.
#[must_use]
pub fn grammar(language: Language) -> Grammar {
    Grammar::Shared(match language {
        Language::CSharp => SupportLang::CSharp,
        Language::Dockerfile => return Grammar::Dockerfile,
        Language::Go => SupportLang::Go,
        Language::Hcl => SupportLang::Hcl,
        Language::Java => SupportLang::Java,
        Language::JavaScript => SupportLang::JavaScript,
        Language::Php => return Grammar::Php,
        Language::Python => SupportLang::Python,
        Language::Ruby => SupportLang::Ruby,
        Language::Rust => SupportLang::Rust,
        Language::Tsx => SupportLang::Tsx,
        Language::TypeScript => SupportLang::TypeScript,
        Language::Yaml => SupportLang::Yaml,
    })
}

/// The language by one of the names that a rule may use, as ast-grep's; `None` when its grammar is not linked in.
#[must_use]
pub fn named(name: &str) -> Option<Language> {
    let grammar_named: Grammar = name.parse().ok()?;
    Language::ALL.into_iter().find(|language| grammar(*language) == grammar_named)
}

/// The language of a parsed file.
#[must_use]
pub fn of(tree: &Tree) -> Option<Language> {
    Language::ALL.into_iter().find(|language| grammar(*language) == *tree.lang())
}

/// Parses a text. Any text gives a tree; what the grammar does not accept is in it as error nodes.
///
/// # Errors
/// When the parser gave up, which needs a text made for that.
pub fn parse(language: Language, text: &str) -> Result<Tree, ParseError> {
    CodeDoc::parse(text, grammar(language)).map(Tree::doc).ok_or(ParseError(language))
}

/// The file with these edits made: the bytes that each replaced and what it wrote, disjoint and in source order. `text` is the
/// result, `old` is of the same language. The tree is the one that [`parse`] gives, in a fraction of the time where little changed and the grammar accepts all.
///
/// # Errors
/// When the parser gave up.
pub fn reparse(language: Language, old: &Tree, text: &str, edits: &[(Range<usize>, &str)]) -> Result<Tree, ParseError> {
    // How a parser mends what it does not understand depends on where it came from.
    let edited = if is_accepted(old) { document(old).edited(text, edits).map(Tree::doc) } else { None };
    edited.filter(is_accepted).map_or_else(|| parse(language, text), Ok)
}

/// Whether the grammar accepts all of the text.
#[must_use]
pub fn is_accepted(tree: &Tree) -> bool {
    !document(tree).raw().root_node().has_error()
}

/// A walk over the nodes of a parsed file as the grammar gives them.
#[must_use]
pub fn cursor(tree: &Tree) -> tree_sitter::TreeCursor<'_> {
    document(tree).raw().walk()
}

/// The text of a parsed file.
#[must_use]
pub fn source(tree: &Tree) -> &str {
    tree.root().get_doc().source()
}

/// The document behind a tree: its text and its budget.
pub(super) fn document(tree: &Tree) -> &CodeDoc {
    tree.root().get_doc()
}

/// A place that the grammar does not accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    pub span: Span,
    /// The token that the parser had to make up to go on; `None` when it passed over text instead.
    pub missing: Option<String>,
}

/// The places that the grammar does not accept, outermost only, in order of the file; at most `limit`.
#[must_use]
pub fn syntax_errors(tree: &Tree, limit: usize) -> Vec<SyntaxError> {
    let mut errors = Vec::new();
    let mut cursor = document(tree).raw().walk();
    loop {
        let node = cursor.node();
        let found = node.is_error() || node.is_missing();
        if found {
            let missing = node.is_missing().then(|| node.kind().to_owned());
            errors.push(SyntaxError { span: Span::new(node.start_byte(), node.end_byte()), missing });
        }
        if errors.len() >= limit {
            return errors;
        }
        if !found && node.has_error() && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return errors;
            }
        }
    }
}

/// Levels of the tree, the root's included.
#[must_use]
pub fn depth(tree: &Tree) -> usize {
    let mut cursor = document(tree).raw().walk();
    let (mut level, mut deepest) = (1, 1);
    loop {
        if cursor.goto_first_child() {
            level += 1;
            deepest = deepest.max(level);
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return deepest;
            }
            level -= 1;
        }
    }
}

/// Runs `work`, which matches against a tree of so many levels, where the stack is deep enough for it: matchers recurse into the tree.
/// `None` when no thread could be had or the work panicked. A thread of its own has the name of the one that asked, so that
/// what is said of a panic tells whose it was.
pub(super) fn with_stack<T: Send>(levels: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
    if levels <= SHALLOW {
        return Some(work());
    }
    let name = thread::current().name().unwrap_or("matching").to_owned();
    thread::scope(|scope| {
        let spawned = thread::Builder::new().name(name).stack_size(DEEP_STACK).spawn_scoped(scope, work);
        spawned.ok()?.join().ok()
    })
}
