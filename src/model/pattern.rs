//! A learned edit: what to match in the old tree and what to write in its place.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far an edit pattern is generalised from its one example. Ordered from exact to general.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Written by us with the rule.
    Curated,
    /// Exact code.
    L0,
    /// Holes for kept identifiers and literals.
    L1,
    /// Argument holes; runs of kept siblings become `$$$`.
    L2,
    /// Any kept subtree.
    L3,
    /// Deleted names and literals too.
    L4,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Curated => "curated",
            Self::L0 => "L0",
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
            Self::L4 => "L4",
        })
    }
}

/// What to match: a concrete syntax tree with holes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatternNode {
    /// A leaf with this kind and text.
    Leaf { kind: String, text: String },
    /// An inner node of this kind with these children, in order, comments aside.
    Tree { kind: String, children: Vec<PatternNode> },
    /// Any one node; the same number binds the same code. `kind` restricts it.
    Hole { id: u32, kind: Option<String> },
    /// Any run of siblings, none included.
    Run { id: u32 },
}

/// What to write: text and references to what the holes bound.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplatePart {
    /// Literal text. White space after a newline is relative to the line where the rewrite begins.
    Text(String),
    Bound(u32),
}

/// One local change inside the matched tree. Code that no rewrite touches stays as it is, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rewrite {
    /// Child indexes in the pattern, from its root to the node whose children change.
    pub path: Vec<u32>,
    /// Half-open range of that node's children in the pattern; empty for an insertion. `None` replaces the node itself.
    pub children: Option<(u32, u32)>,
    /// White space that an insertion had before and after it; a newline in it asks for a line of its own.
    pub lead: String,
    pub trail: String,
    /// Empty for a deletion.
    pub template: Vec<TemplatePart>,
}

/// A generalised edit, rooted at one syntax node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EditPattern {
    pub level: Level,
    pub before: PatternNode,
    /// Child indexes in the pattern, from its root to where the donor's finding was; a match needs its finding there too.
    pub anchor: Vec<u32>,
    /// Disjoint, in source order.
    pub rewrites: Vec<Rewrite>,
    /// Import statements the edit needs.
    pub imports: Vec<String>,
    /// Names the rewrites insert that the donor's file bound by itself.
    pub inserted_names: Vec<String>,
}
