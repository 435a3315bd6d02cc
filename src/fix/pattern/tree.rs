//! A source file as a flat syntax tree without comments: what edits are learned from and matched against.
//!
//! Nodes lie in one vector in pre-order, so a subtree is a slice, and every walk is a loop: hostile nesting cannot
//! exhaust the stack.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use ast_grep_core::tree_sitter::LanguageExt;

use crate::detect::language;
use crate::model::{Language, Span};

/// Index of a node in its tree.
pub type NodeId = usize;

/// Deepest tree that is read. Real code stays below 100.
const MAX_DEPTH: usize = 400;
/// Most nodes of a tree that is read: a file of about a megabyte.
const MAX_NODES: usize = 400_000;

/// A syntax node. Its subtree is `id..id + size`.
#[derive(Debug, Clone)]
pub struct Node {
    pub kind: &'static str,
    /// The name of the role it plays in its parent, where the grammar gives one.
    pub field: Option<&'static str>,
    /// Whether the grammar names it; keywords and punctuation are not named.
    pub named: bool,
    pub span: Span,
    pub parent: Option<NodeId>,
    pub children: Vec<NodeId>,
    pub size: usize,
    /// Hash of kinds and texts, white space and comments aside. Equal code has an equal hash; see [`Tree::same`].
    pub hash: u64,
}

/// Why a text was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    #[error("{0} is not a language that edits are learned for: use a programming language of ours")]
    Language(Language),
    #[error("the code is too large or too deeply nested to be read; split the file")]
    TooLarge,
    #[error("the parser gave up on the file")]
    Parser,
}

/// A parsed text.
#[derive(Debug, Clone)]
pub struct Tree {
    pub language: Language,
    pub text: String,
    nodes: Vec<Node>,
    /// Comments in source order; they are not nodes.
    pub comments: Vec<Span>,
    /// Syntax errors and missing tokens.
    pub errors: usize,
    /// What [`super::loose`] makes of it, when it was asked.
    pub(super) outline: OnceLock<Option<u64>>,
    parsed: Parsed,
}

/// What the parser made of the text: kept for the checks that look at all of the grammar's nodes, and so that a text that
/// differs in a few bytes need not be parsed from its beginning.
#[derive(Clone)]
struct Parsed(Arc<language::Tree>);

impl std::fmt::Debug for Parsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parsed")
    }
}

/// Edits of other languages are not learned.
fn is_learned(language: Language) -> bool {
    !matches!(language, Language::Dockerfile | Language::Hcl | Language::Yaml)
}

/// Names of a grammar's kinds and fields, read once, so that a tree can outlive its parser.
struct Grammar {
    kinds: Vec<String>,
    fields: Vec<String>,
}

impl Grammar {
    fn of(language: Language) -> Result<&'static Self, TreeError> {
        static READ: [OnceLock<Grammar>; Language::ALL.len()] = [const { OnceLock::new() }; Language::ALL.len()];
        let grammar = language::grammar(language).get_ts_language();
        let place = Language::ALL.iter().position(|known| *known == language).and_then(|i| READ.get(i));
        let place = place.ok_or(TreeError::Language(language))?;
        Ok(place.get_or_init(|| {
            let kinds = 0..u16::try_from(grammar.node_kind_count()).unwrap_or(u16::MAX);
            let fields = 0..=u16::try_from(grammar.field_count()).unwrap_or(u16::MAX);
            Self {
                kinds: kinds.map(|id| grammar.node_kind_for_id(id).unwrap_or_default().to_owned()).collect(),
                fields: fields.map(|id| grammar.field_name_for_id(id).unwrap_or_default().to_owned()).collect(),
            }
        }))
    }

    fn kind(&'static self, id: u16) -> &'static str {
        self.kinds.get(usize::from(id)).map_or("ERROR", String::as_str)
    }

    fn field(&'static self, id: Option<std::num::NonZeroU16>) -> Option<&'static str> {
        self.fields.get(usize::from(id?.get())).map(String::as_str)
    }
}

impl Tree {
    /// # Errors
    /// When the language has no edit learning, or the text is too large or nested too deeply. Syntax errors are
    /// counted in [`Tree::errors`], not refused.
    pub fn parse(language: Language, text: &str) -> Result<Self, TreeError> {
        if !is_learned(language) {
            return Err(TreeError::Language(language));
        }
        let parsed = language::parse(language, text).map_err(|_| TreeError::Parser)?;
        Self::of(language, text.to_owned(), parsed)
    }

    /// [`Tree::parse`] of a file that is looked at several times in a row: for its vector, its proposals, and their checks. The one
    /// that was read last is kept, for each thread.
    ///
    /// # Errors
    /// Those of [`Tree::parse`].
    pub fn shared(language: Language, text: &str) -> Result<Arc<Self>, TreeError> {
        thread_local! {
            static LAST: RefCell<Option<Arc<Tree>>> = const { RefCell::new(None) };
        }
        let same = |tree: &Arc<Self>| tree.language == language && tree.text == text;
        if let Some(tree) = LAST.with_borrow(|last| last.clone()).filter(same) {
            return Ok(tree);
        }
        let tree = Arc::new(Self::parse(language, text)?);
        LAST.set(Some(Arc::clone(&tree)));
        Ok(tree)
    }

    /// The tree of the text with disjoint edits made that are in source order; the same as [`Tree::parse`] gives of it.
    ///
    /// # Errors
    /// Those of [`Tree::parse`].
    pub fn edited<'e>(
        &self,
        text: String,
        edits: impl IntoIterator<Item = (Span, &'e str)>,
    ) -> Result<Self, TreeError> {
        let edits: Vec<_> = edits.into_iter().map(|(span, written)| (span.range(), written)).collect();
        let parsed = language::reparse(self.language, &self.parsed.0, &text, &edits).map_err(|_| TreeError::Parser)?;
        Self::of(self.language, text, parsed)
    }

    /// The tree of another version of the text, of which all is kept that the two begin and end with.
    ///
    /// # Errors
    /// Those of [`Tree::parse`].
    pub fn becoming(&self, text: &str) -> Result<Self, TreeError> {
        let same = |(a, b): &(char, char)| a == b;
        let lead: usize = self.text.chars().zip(text.chars()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
        let (old, new) = (self.text.get(lead..).unwrap_or_default(), text.get(lead..).unwrap_or_default());
        let tail: usize = old.chars().rev().zip(new.chars().rev()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
        let written = new.get(..new.len() - tail).unwrap_or_default();
        self.edited(text.to_owned(), [(Span { start: lead, end: self.text.len() - tail }, written)])
    }

    /// All that the grammar says of the text, comments included.
    #[must_use]
    pub fn parsed(&self) -> &language::Tree {
        &self.parsed.0
    }

    fn of(language: Language, text: String, parsed: language::Tree) -> Result<Self, TreeError> {
        let parsed = Arc::new(parsed);
        let kept = Parsed(Arc::clone(&parsed));
        let (nodes, comments, outline) = (Vec::new(), Vec::new(), OnceLock::new());
        let mut tree = Self { language, text, nodes, comments, errors: 0, outline, parsed: kept };
        let names = Grammar::of(language)?;
        let mut cursor = language::cursor(&parsed);
        let mut open: Vec<NodeId> = Vec::new();
        loop {
            let node = cursor.node();
            let span = Span { start: node.start_byte(), end: node.end_byte() };
            tree.errors += usize::from(node.is_error() || node.is_missing());
            let extra = node.is_extra() && !node.is_error();
            let kind = names.kind(node.kind_id());
            if tree.keep(kind, extra, node.is_named(), span) {
                let mut shape = Shape { kind, field: names.field(cursor.field_id()), named: node.is_named(), span };
                if let Some(prefix) = tree.split_prefix(&mut shape) {
                    tree.push(prefix, open.last().copied());
                }
                let id = tree.push(shape, open.last().copied());
                if open.len() >= MAX_DEPTH || tree.nodes.len() > MAX_NODES {
                    return Err(TreeError::TooLarge);
                }
                if cursor.goto_first_child() {
                    open.push(id);
                    continue;
                }
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() || open.pop().is_none() {
                    tree.finish();
                    return Ok(tree);
                }
            }
        }
    }

    /// Whether a node of the grammar becomes a node here; comments are noted on the way.
    fn keep(&mut self, kind: &str, extra: bool, named: bool, span: Span) -> bool {
        // The markup between two parts of PHP is no code either.
        if kind.contains("comment") || kind == "text_interpolation" {
            self.comments.push(span);
            return false;
        }
        !extra && (named || !self.slice(span).trim().is_empty())
    }

    /// The letters before a string's quote say how it is read, whatever quote follows: a token of their own.
    fn split_prefix(&self, shape: &mut Shape) -> Option<Shape> {
        if shape.kind != "string_start" {
            return None;
        }
        let letters = self.slice(shape.span).find(['"', '\'']).filter(|letters| *letters > 0)?;
        let span = Span { start: shape.span.start, end: shape.span.start + letters };
        shape.span.start = span.end;
        Some(Shape { kind: "string_prefix", field: None, named: false, span })
    }

    fn push(&mut self, shape: Shape, parent: Option<NodeId>) -> NodeId {
        let id = self.nodes.len();
        let Shape { kind, field, named, span } = shape;
        self.nodes.push(Node { kind, field, named, span, parent, children: Vec::new(), size: 1, hash: 0 });
        if let Some(parent) = parent.and_then(|parent| self.nodes.get_mut(parent)) {
            parent.children.push(id);
        }
        id
    }

    /// Folds nodes whose children do not cover their text into leaves, then computes sizes and hashes.
    fn finish(&mut self) {
        self.fold_opaque();
        for id in (0..self.nodes.len()).rev() {
            let node = self.node(id);
            let mut hash = Fnv::new();
            hash.add(node.kind.as_bytes());
            if node.children.is_empty() {
                hash.add(self.slice(node.span).as_bytes());
            }
            let mut size = 1;
            for child in &node.children {
                hash.add(&self.node(*child).hash.to_le_bytes());
                size += self.node(*child).size;
            }
            let value = hash.value();
            if let Some(node) = self.nodes.get_mut(id) {
                (node.hash, node.size) = (value, size);
            }
        }
    }

    /// A string whose characters are no nodes, for example, becomes one leaf: else its text would be lost.
    fn fold_opaque(&mut self) {
        let mut opaque: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for (id, node) in self.nodes.iter().enumerate() {
            let inside = node.parent.is_some_and(|parent| opaque.get(parent) == Some(&true));
            opaque.push(inside || self.has_uncovered_text(id));
        }
        if !self.nodes.iter().zip(&opaque).any(|(node, opaque)| *opaque && !node.children.is_empty()) {
            return;
        }
        let old = std::mem::take(&mut self.nodes);
        let mut moved: Vec<Option<NodeId>> = Vec::with_capacity(old.len());
        for Node { kind, field, named, span, parent, .. } in old {
            let hidden = parent.is_some_and(|parent| opaque.get(parent) == Some(&true));
            let parent = parent.and_then(|parent| moved.get(parent).copied().flatten());
            moved.push((!hidden).then(|| self.push(Shape { kind, field, named, span }, parent)));
        }
    }

    fn has_uncovered_text(&self, id: NodeId) -> bool {
        let node = self.node(id);
        if node.children.is_empty() || node.kind == "concatenated_string" {
            return false;
        }
        // PHP's `$` is part of the name.
        if node.kind == "variable_name" {
            return true;
        }
        let blank_counts = node.kind.contains("string") || node.kind.contains("template");
        let mut at = node.span.start;
        let children = node.children.iter().map(|child| self.node(*child).span);
        for next in children.chain([Span { start: node.span.end, end: node.span.end }]) {
            let gap = Span { start: at, end: next.start.max(at) };
            let text = self.slice(gap);
            let bare = text.contains(|c: char| !c.is_whitespace() && c != '\\');
            if (blank_counts && !text.is_empty()) || (bare && self.comments_in(gap).is_empty()) {
                return true;
            }
            at = next.end.max(at);
        }
        false
    }

    /// Comments that begin inside `span`.
    #[must_use]
    pub fn comments_in(&self, span: Span) -> &[Span] {
        let from = self.comments.partition_point(|comment| comment.start < span.start);
        let to = self.comments.partition_point(|comment| comment.start < span.end);
        self.comments.get(from..to).unwrap_or_default()
    }

    /// The node; ids come from this tree. Another id gives an empty node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        static NOTHING: Node = Node {
            kind: "",
            field: None,
            named: false,
            span: Span { start: 0, end: 0 },
            parent: None,
            children: Vec::new(),
            size: 1,
            hash: 0,
        };
        self.nodes.get(id).unwrap_or(&NOTHING)
    }

    /// Every node in pre-order, the root first.
    pub fn ids(&self) -> std::ops::Range<NodeId> {
        0..self.nodes.len()
    }

    /// The node and everything below it, in pre-order.
    #[must_use]
    pub fn subtree(&self, id: NodeId) -> std::ops::Range<NodeId> {
        id..id + self.node(id).size
    }

    /// Text of a span; empty when it does not lie on character boundaries.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    #[must_use]
    pub fn text_of(&self, id: NodeId) -> &str {
        self.slice(self.node(id).span)
    }

    #[must_use]
    pub fn is_leaf(&self, id: NodeId) -> bool {
        self.node(id).children.is_empty()
    }

    /// Whether `inner` is `outer` or lies below it.
    #[must_use]
    pub fn within(&self, inner: NodeId, outer: NodeId) -> bool {
        self.subtree(outer).contains(&inner)
    }

    /// The node's ancestors, nearest first, itself not included.
    pub fn ancestors(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(self.node(id).parent, |at| self.node(*at).parent)
    }

    /// The smallest node that covers the span, white space around it aside; the innermost of equals.
    #[must_use]
    pub fn covering(&self, span: Span) -> NodeId {
        let text = self.slice(span);
        let start = span.start + (text.len() - text.trim_start().len());
        let end = (span.end - (text.len() - text.trim_end().len())).max(start);
        let mut at = 0;
        'down: loop {
            for child in &self.node(at).children {
                let inner = self.node(*child).span;
                if inner.start <= start && end <= inner.end && inner.start < inner.end {
                    at = *child;
                    continue 'down;
                }
            }
            return at;
        }
    }

    /// Whether two subtrees, of this tree and another, are the same code: kinds and leaf texts, white space and comments aside.
    #[must_use]
    pub fn same(&self, id: NodeId, other: &Self, other_id: NodeId) -> bool {
        let (a, b) = (self.node(id), other.node(other_id));
        a.hash == b.hash
            && a.size == b.size
            && self.subtree(id).zip(other.subtree(other_id)).all(|(a, b)| {
                let (left, right) = (self.node(a), other.node(b));
                left.kind == right.kind
                    && left.children.len() == right.children.len()
                    && (!left.children.is_empty() || self.text_of(a) == other.text_of(b))
            })
    }

    /// Whether the two texts are the same code.
    #[must_use]
    pub fn same_code(&self, other: &Self) -> bool {
        self.same(0, other, 0)
    }
}

/// What the grammar says of a node.
struct Shape {
    kind: &'static str,
    field: Option<&'static str>,
    named: bool,
    span: Span,
}

/// FNV-1a, 64 bits: small, and the same on every machine and in every version.
pub struct Fnv(u64);

impl Fnv {
    #[must_use]
    pub fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds bytes and a separator, so that `ab` + `c` and `a` + `bc` differ.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().chain(&[0xff]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The hash, with its bits mixed (the finaliser of SplitMix64) so that its low bits may be used alone.
    #[must_use]
    pub fn value(&self) -> u64 {
        let a = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ (b >> 31)
    }
}

impl Default for Fnv {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
