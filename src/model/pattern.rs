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
    Text(String),
    Bound(u32),
}

/// A generalised edit, rooted at one syntax node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EditPattern {
    pub level: Level,
    pub before: PatternNode,
    pub template: Vec<TemplatePart>,
    /// Indentation (columns) of the donor's root, for re-indenting multi-line text.
    pub indent: u32,
    /// Import statements the edit needs.
    pub imports: Vec<String>,
    /// Names the template inserts that the donor's file bound by itself.
    pub inserted_names: Vec<String>,
}
