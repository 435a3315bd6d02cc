//! A parsed file whose traversal is bounded: matching a hostile file ends after a fixed number of steps.
//!
//! ast-grep matches against any document type. This one counts what a matcher visits and reads, and once the
//! budget is spent every further look finds nothing. The count depends on the file and the rules alone, so the result
//! is the same on every machine; a clock would not give that.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use ast_grep_core::source::{Edit, SgNode};
use ast_grep_core::{Doc, Position};
use ast_grep_language::LanguageExt;
use tree_sitter::{InputEdit, ParseOptions, ParseState, Parser, Point, TreeCursor};

use super::grammar::Grammar;
use super::scanner_state;

/// Matching does not look below this many levels of syntax: beyond any code that people write by hand.
pub const MAX_DEPTH: u32 = 1_000;

/// Steps of the parser, in its own unit of 100 operations; some seconds at most in the worst case that we found.
const MAX_PARSE_CHECKS: u32 = 60_000;

/// Bytes that the parser gets at once, and how often. A scanner may look far ahead for each token, which no step of the parser counts.
const PIECE: usize = 256;
const MAX_PIECES: usize = 1_000_000;

/// Bytes of text that a matcher may read for the price of one step.
const BYTES_A_STEP: usize = 16;

/// What is left to spend on one file, shared by all nodes of its tree.
#[derive(Debug)]
struct Budget {
    left: AtomicU64,
    too_deep: AtomicBool,
    /// Levels below the root that a walk came to.
    deepest: AtomicU32,
}

impl Budget {
    /// Loads and stores apart instead of one atomic subtraction: a race would only lose count, and this is the hot path.
    fn spend(&self, steps: u64) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(steps), Ordering::Relaxed);
        left > steps
    }
}

/// A file's text and syntax tree.
#[derive(Clone)]
pub struct CodeDoc {
    source: String,
    language: Grammar,
    tree: tree_sitter::Tree,
    budget: Arc<Budget>,
}

impl CodeDoc {
    /// Steps that one file may take when nothing else is said: measured at 1 to 1.5 s of a 2024 server's core at worst.
    pub const STEPS: u64 = 8_000_000;

    /// `None` when the parser gave up: the text takes too many steps.
    pub(super) fn parse(text: &str, language: Grammar) -> Option<Self> {
        Self::parse_after(text, language, None)
    }

    /// The file with these edits made, given as the bytes that each replaced and what it wrote, disjoint and in source order:
    /// what they leave as it is is not parsed again. `text` is the result. `None` when the parser gave up.
    ///
    /// What the grammar does not accept may be understood in another way than when the text is parsed from its beginning.
    pub(super) fn edited(&self, text: &str, edits: &[(Range<usize>, &str)]) -> Option<Self> {
        let mut tree = self.tree.clone();
        // The last first: places before it are still those of the old text.
        for (replaced, written) in edits.iter().rev() {
            let start = point(&self.source, replaced.start);
            tree.edit(&InputEdit {
                start_byte: replaced.start,
                old_end_byte: replaced.end,
                new_end_byte: replaced.start + written.len(),
                start_position: start,
                old_end_position: point(&self.source, replaced.end),
                new_end_position: behind(start, written),
            });
        }
        Self::parse_after(text, self.language, Some(&tree))
    }

    fn parse_after(text: &str, language: Grammar, old: Option<&tree_sitter::Tree>) -> Option<Self> {
        scanner_state::fits(language, text).then_some(())?;
        let mut parser = Parser::new();
        parser.set_language(&language.get_ts_language()).ok()?;
        let (mut checks, pieces) = (0, Cell::new(0));
        let mut progress = |_: &ParseState| {
            checks += 1;
            let goes_on = checks < MAX_PARSE_CHECKS && pieces.get() < MAX_PIECES;
            if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let mut read = |offset: usize, _| {
            pieces.set(pieces.get() + 1);
            piece(text, offset, pieces.get() < MAX_PIECES)
        };
        let options = ParseOptions::new().progress_callback(&mut progress);
        let tree = parser.parse_with_options(&mut read, old, Some(options))?;
        (pieces.get() < MAX_PIECES).then_some(())?;
        let budget =
            Budget { left: AtomicU64::new(Self::STEPS), too_deep: AtomicBool::new(false), deepest: AtomicU32::new(0) };
        Some(Self { source: text.to_owned(), language, tree, budget: Arc::new(budget) })
    }

    /// The whole text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Gives the file a new budget of steps.
    pub fn refill(&self, steps: u64) {
        self.budget.left.store(steps, Ordering::Relaxed);
    }

    /// Whether the budget ran out since the last refill. What was found after that moment is not to be trusted.
    #[must_use]
    pub fn exhausted(&self) -> bool {
        self.left() == 0
    }

    /// Steps that are left.
    pub(super) fn left(&self) -> u64 {
        self.budget.left.load(Ordering::Relaxed)
    }

    /// Whether a matcher wanted to look deeper than [`MAX_DEPTH`].
    #[must_use]
    pub fn too_deep(&self) -> bool {
        self.budget.too_deep.load(Ordering::Relaxed)
    }

    /// Levels below the root that walks over the tree came to, at most [`MAX_DEPTH`].
    pub(super) fn deepest(&self) -> usize {
        self.budget.deepest.load(Ordering::Relaxed) as usize
    }

    pub(super) fn raw(&self) -> &tree_sitter::Tree {
        &self.tree
    }
}

/// What the parser reads next: whole characters, or the end of the text when it has read enough. The parser takes the beginning of a
/// character for its whole when there is nothing behind it, so an offset within one is never the end.
fn piece(text: &str, offset: usize, more: bool) -> &[u8] {
    let bytes = text.as_bytes();
    let within = offset < bytes.len() && !text.is_char_boundary(offset);
    let size = if more { PIECE } else { usize::from(within) };
    let end = (offset.saturating_add(size)..bytes.len()).find(|end| !more || text.is_char_boundary(*end));
    bytes.get(offset..end.unwrap_or(bytes.len())).unwrap_or_default()
}

/// Row and column of a byte, both from 0, the column in bytes.
fn point(text: &str, at: usize) -> Point {
    behind(Point { row: 0, column: 0 }, text.get(..at).unwrap_or(text))
}

/// Where a text ends that begins there.
fn behind(start: Point, text: &str) -> Point {
    match text.rfind('\n') {
        Some(last) => Point { row: start.row + text.matches('\n').count(), column: text.len() - last - 1 },
        None => Point { row: start.row, column: start.column + text.len() },
    }
}

impl Doc for CodeDoc {
    type Source = String;
    type Lang = Grammar;
    type Node<'r> = CodeNode<'r>;

    fn get_lang(&self) -> &Grammar {
        &self.language
    }

    fn get_source(&self) -> &String {
        &self.source
    }

    fn do_edit(&mut self, _: &Edit<String>) -> Result<(), String> {
        Err("a parsed file is read-only: apply the edit to its text and parse again".to_owned())
    }

    fn root_node(&self) -> CodeNode<'_> {
        CodeNode { inner: self.tree.root_node(), budget: &self.budget, depth: 0 }
    }

    fn get_node_text<'a>(&'a self, node: &CodeNode<'a>) -> Cow<'a, str> {
        let range = node.range();
        node.budget.spend(1 + (range.len() / BYTES_A_STEP) as u64);
        Cow::Borrowed(self.source.get(range).unwrap_or_default())
    }
}

/// A node that knows its depth and pays for every look around.
#[derive(Clone)]
pub struct CodeNode<'r> {
    inner: tree_sitter::Node<'r>,
    budget: &'r Budget,
    depth: u32,
}

impl<'r> CodeNode<'r> {
    fn at(&self, inner: tree_sitter::Node<'r>, depth: u32) -> Self {
        Self { inner, budget: self.budget, depth }
    }

    fn below(&self, inner: Option<tree_sitter::Node<'r>>) -> Option<Self> {
        self.may_descend().then_some(())?;
        Some(self.at(inner?, self.depth + 1))
    }

    fn beside(&self, inner: Option<tree_sitter::Node<'r>>) -> Option<Self> {
        self.budget.spend(u64::from(self.depth) + 1).then_some(())?;
        Some(self.at(inner?, self.depth))
    }

    fn may_descend(&self) -> bool {
        if self.depth >= MAX_DEPTH {
            self.budget.too_deep.store(true, Ordering::Relaxed);
            return false;
        }
        self.budget.spend(1)
    }

    /// The siblings before this node and those behind it, in order.
    fn siblings(&self) -> (Vec<Self>, Vec<Self>) {
        let Some(parent) = self.inner.parent() else { return (Vec::new(), Vec::new()) };
        let count = parent.child_count() as u64;
        if !self.budget.spend(count + u64::from(self.depth)) {
            return (Vec::new(), Vec::new());
        }
        let mut cursor = parent.walk();
        let mut before: Vec<Self> = parent.children(&mut cursor).map(|node| self.at(node, self.depth)).collect();
        let own = before.iter().position(|node| node.inner.id() == self.inner.id()).unwrap_or(before.len());
        let behind = before.split_off((own + 1).min(before.len()));
        before.truncate(own);
        (before, behind)
    }
}

/// Children in order, through a cursor: asking for the n-th each time would take quadratic time.
struct Children<'r> {
    parent: CodeNode<'r>,
    cursor: TreeCursor<'r>,
    left: usize,
}

impl<'r> Iterator for Children<'r> {
    type Item = CodeNode<'r>;

    fn next(&mut self) -> Option<CodeNode<'r>> {
        self.left = self.left.checked_sub(1)?;
        let node = self.parent.at(self.cursor.node(), self.parent.depth + 1);
        self.cursor.goto_next_sibling();
        Some(node)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Children<'_> {}

/// Pre-order walk over a node and all below it, without recursion.
struct Walk<'r> {
    top: CodeNode<'r>,
    cursor: TreeCursor<'r>,
    depth: u32,
    deepest: u32,
    done: bool,
}

impl<'r> Walk<'r> {
    /// Goes on to the node behind `node`, where the cursor stands.
    fn advance(&mut self, node: &CodeNode<'r>) {
        if node.inner.child_count() > 0 && node.may_descend() && self.cursor.goto_first_child() {
            self.depth += 1;
            if self.depth > self.deepest {
                self.deepest = self.depth;
                self.top.budget.deepest.fetch_max(self.depth, Ordering::Relaxed);
            }
            return;
        }
        while self.depth > self.top.depth {
            if self.cursor.goto_next_sibling() {
                return;
            }
            if !self.cursor.goto_parent() {
                break;
            }
            self.depth -= 1;
        }
        self.done = true;
    }
}

impl<'r> Iterator for Walk<'r> {
    type Item = CodeNode<'r>;

    fn next(&mut self) -> Option<CodeNode<'r>> {
        if self.done || !self.top.budget.spend(1) {
            return None;
        }
        let node = self.top.at(self.cursor.node(), self.depth);
        self.advance(&node);
        Some(node)
    }
}

impl<'r> SgNode<'r> for CodeNode<'r> {
    fn parent(&self) -> Option<Self> {
        self.budget.spend(u64::from(self.depth) + 1).then_some(())?;
        Some(self.at(self.inner.parent()?, self.depth.saturating_sub(1)))
    }

    /// From the parent up to the root.
    fn ancestors(&self, root: Self) -> impl Iterator<Item = Self> {
        let mut path = Vec::new();
        let mut next = self.budget.spend(u64::from(self.depth) + 1).then_some(root.inner);
        let mut depth = root.depth;
        while let Some(node) = next.filter(|node| node.id() != self.inner.id()) {
            path.push(self.at(node, depth));
            depth += 1;
            next = node.child_with_descendant(self.inner);
        }
        path.into_iter().rev()
    }

    fn dfs(&self) -> impl Iterator<Item = Self> {
        let (top, cursor) = (self.clone(), self.inner.walk());
        Walk { top, cursor, depth: self.depth, deepest: self.depth, done: false }
    }

    fn child(&self, nth: usize) -> Option<Self> {
        self.below(self.inner.child(u32::try_from(nth).ok()?))
    }

    fn children(&self) -> impl ExactSizeIterator<Item = Self> {
        let count = self.inner.child_count() as usize;
        let mut cursor = self.inner.walk();
        let open = count > 0 && self.may_descend() && self.budget.spend(count as u64) && cursor.goto_first_child();
        Children { parent: self.clone(), cursor, left: if open { count } else { 0 } }
    }

    fn child_by_field_id(&self, field_id: u16) -> Option<Self> {
        self.below(self.inner.child_by_field_id(field_id))
    }

    fn next(&self) -> Option<Self> {
        self.beside(self.inner.next_sibling())
    }

    fn prev(&self) -> Option<Self> {
        self.beside(self.inner.prev_sibling())
    }

    fn next_all(&self) -> impl Iterator<Item = Self> {
        self.siblings().1.into_iter()
    }

    fn prev_all(&self) -> impl Iterator<Item = Self> {
        self.siblings().0.into_iter().rev()
    }

    fn is_named(&self) -> bool {
        self.inner.is_named()
    }

    fn is_named_leaf(&self) -> bool {
        self.inner.named_child_count() == 0
    }

    fn is_leaf(&self) -> bool {
        self.inner.child_count() == 0
    }

    fn kind(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.inner.kind())
    }

    fn kind_id(&self) -> u16 {
        self.inner.kind_id()
    }

    fn node_id(&self) -> usize {
        self.inner.id()
    }

    fn range(&self) -> Range<usize> {
        self.inner.byte_range()
    }

    fn start_pos(&self) -> Position {
        let at = self.inner.start_position();
        Position::new(at.row, at.column, self.inner.start_byte())
    }

    fn end_pos(&self) -> Position {
        let at = self.inner.end_position();
        Position::new(at.row, at.column, self.inner.end_byte())
    }

    fn is_missing(&self) -> bool {
        self.inner.is_missing()
    }

    fn is_error(&self) -> bool {
        self.inner.is_error()
    }

    fn is_extra(&self) -> bool {
        self.inner.is_extra()
    }

    fn field(&self, name: &str) -> Option<Self> {
        self.below(self.inner.child_by_field_name(name))
    }

    fn field_children(&self, field_id: Option<u16>) -> impl Iterator<Item = Self> {
        let mut cursor = self.inner.walk();
        let mut open = field_id.is_some() && self.may_descend() && cursor.goto_first_child();
        let wanted = field_id.and_then(std::num::NonZeroU16::new);
        std::iter::from_fn(move || {
            while open && self.budget.spend(1) {
                let found = (cursor.field_id() == wanted).then(|| cursor.node());
                open = cursor.goto_next_sibling();
                if let Some(node) = found {
                    return Some(self.at(node, self.depth + 1));
                }
            }
            None
        })
    }
}
