//! Matching a pattern against a tree, with holes, runs and a cap on the work.

use std::collections::BTreeMap;
use std::ops::Range;

use super::kinds;
use super::tree::{NodeId, Tree};
use crate::model::{EditPattern, PatternNode, Span};

/// What a hole or run stands for in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    Node(NodeId),
    /// Consecutive children of one node; `None` when the run is empty.
    Run(Option<Span>),
}

/// A successful match.
#[derive(Debug, Clone, Default)]
pub struct Match {
    pub bindings: BTreeMap<u32, Binding>,
    /// For each matched inner pattern node: the target node, and at which child of it each pattern child begins.
    places: BTreeMap<usize, (NodeId, Vec<usize>)>,
}

impl Match {
    /// The target of an inner pattern node and the place where each of its pattern children begins, plus the end.
    #[must_use]
    pub fn place(&self, pattern: &PatternNode) -> Option<&(NodeId, Vec<usize>)> {
        self.places.get(&key(pattern))
    }
}

/// Identifies a pattern node while its pattern is borrowed.
fn key(pattern: &PatternNode) -> usize {
    std::ptr::from_ref(pattern).addr()
}

/// The pattern node at a path of child indexes; where the path leaves the tree, the last node on it.
#[must_use]
pub fn at_path<'p>(root: &'p PatternNode, path: &[u32]) -> &'p PatternNode {
    let mut at = root;
    for index in path {
        let PatternNode::Tree { children, .. } = at else { return at };
        let Some(child) = children.get(*index as usize) else { return at };
        at = child;
    }
    at
}

/// Matches one pattern at nodes of one tree.
pub struct Matcher<'a> {
    tree: &'a Tree,
    finding: Span,
    pattern: &'a EditPattern,
    anchor: &'a PatternNode,
    steps: usize,
    found: Match,
}

impl<'a> Matcher<'a> {
    /// `steps` bounds the node comparisons of all matches that this matcher makes.
    #[must_use]
    pub fn new(tree: &'a Tree, pattern: &'a EditPattern, finding: Span, steps: usize) -> Self {
        let anchor = at_path(&pattern.before, &pattern.anchor);
        Self { tree, finding, pattern, anchor, steps, found: Match::default() }
    }

    /// Matches with the pattern's root at `node`; `None` when it does not match or the steps are used up.
    pub fn at(&mut self, node: NodeId) -> Option<Match> {
        self.found = Match::default();
        self.node(&self.pattern.before, node).then(|| std::mem::take(&mut self.found))
    }

    fn spend(&mut self) -> bool {
        self.steps = self.steps.saturating_sub(1);
        self.steps > 0
    }

    fn node(&mut self, pattern: &PatternNode, id: NodeId) -> bool {
        let node = self.tree.node(id);
        let off_anchor = std::ptr::eq(pattern, self.anchor) && !node.span.overlaps(self.finding);
        if !self.spend() || off_anchor {
            return false;
        }
        match pattern {
            PatternNode::Leaf { kind, text } => {
                node.kind == kind && node.children.is_empty() && self.tree.text_of(id) == text
            }
            PatternNode::Hole { id: hole, kind } => {
                node.named && kind.as_deref().is_none_or(|kind| kind == node.kind) && self.bind(*hole, id)
            }
            PatternNode::Tree { kind, children } => {
                if !kinds::plays(node.kind, kind) || node.children.is_empty() {
                    return false;
                }
                let mut starts = Vec::with_capacity(children.len() + 1);
                let matched = self.sequence(children, id, 0..node.children.len(), &mut starts);
                if matched {
                    self.found.places.insert(key(pattern), (id, starts));
                }
                matched
            }
            PatternNode::Run { .. } => false,
        }
    }

    fn bind(&mut self, hole: u32, id: NodeId) -> bool {
        match self.found.bindings.get(&hole) {
            Some(Binding::Node(bound)) => self.tree.same(*bound, self.tree, id),
            Some(Binding::Run(_)) => false,
            None => self.found.bindings.insert(hole, Binding::Node(id)).is_none(),
        }
    }

    /// Matches `patterns` against the children `at` of `parent`, all of them. Runs are tried shortest first.
    fn sequence(
        &mut self,
        patterns: &[PatternNode],
        parent: NodeId,
        at: Range<usize>,
        starts: &mut Vec<usize>,
    ) -> bool {
        let Some((first, rest)) = patterns.split_first() else {
            starts.push(at.start);
            return at.is_empty() && self.spend();
        };
        starts.push(at.start);
        if let PatternNode::Run { id } = first {
            return self.run((first, *id), rest, (parent, at), starts);
        }
        let child = self.tree.node(parent).children.get(at.start).copied().filter(|_| !at.is_empty());
        child.is_some_and(|child| self.node(first, child)) && self.sequence(rest, parent, at.start + 1..at.end, starts)
    }

    fn run(
        &mut self,
        (run, id): (&PatternNode, u32),
        rest: &[PatternNode],
        (parent, at): (NodeId, Range<usize>),
        starts: &mut Vec<usize>,
    ) -> bool {
        let fixed = rest.iter().filter(|pattern| !matches!(pattern, PatternNode::Run { .. })).count();
        let Some(longest) = at.len().checked_sub(fixed) else { return false };
        let shortest = if rest.is_empty() { longest } else { 0 };
        let (depth, bound) = (starts.len(), self.found.bindings.clone());
        for length in shortest..=longest {
            let end = at.start + length;
            let span = run_span(self.tree, parent, at.start..end);
            let on_anchor = !std::ptr::eq(run, self.anchor) || span.is_some_and(|span| span.overlaps(self.finding));
            if on_anchor {
                self.found.bindings.insert(id, Binding::Run(span));
                if self.sequence(rest, parent, end..at.end, starts) {
                    return true;
                }
            }
            if !self.spend() {
                return false;
            }
            starts.truncate(depth);
            self.found.bindings.clone_from(&bound);
        }
        false
    }
}

fn run_span(tree: &Tree, parent: NodeId, at: Range<usize>) -> Option<Span> {
    let children = tree.node(parent).children.get(at)?;
    let (first, last) = (children.first()?, children.last()?);
    Some(Span { start: tree.node(*first).span.start, end: tree.node(*last).span.end })
}
