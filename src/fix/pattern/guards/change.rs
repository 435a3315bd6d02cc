//! What a candidate deletes and inserts, as trees.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::fix::pattern::align::{self, Gap};
use crate::fix::pattern::kinds;
use crate::fix::pattern::names;
use crate::fix::pattern::tree::{NodeId, Tree};
use crate::model::Span;

/// Two versions of a file and where they differ.
pub struct Change {
    pub old: Arc<Tree>,
    pub new: Arc<Tree>,
    pub gaps: Vec<Gap>,
    pub finding: Span,
    /// Topmost deleted and inserted nodes, imports left out.
    pub deleted: Vec<NodeId>,
    pub inserted: Vec<NodeId>,
}

impl Change {
    pub fn between(old: &Arc<Tree>, new: &Arc<Tree>, finding: Span) -> Self {
        let (old, new) = (Arc::clone(old), Arc::clone(new));
        let gaps = align::gaps(&old, &new);
        let mut change = Self { old, new, gaps, finding, deleted: Vec::new(), inserted: Vec::new() };
        let imports = |tree: &Tree, id: NodeId| {
            std::iter::once(id).chain(tree.ancestors(id)).any(|up| names::is_import_statement(tree, up))
        };
        for gap in &change.gaps {
            change.deleted.extend(gap.deleted(&change.old).iter().filter(|id| !imports(&change.old, **id)));
            change.inserted.extend(gap.inserted(&change.new).iter().filter(|id| !imports(&change.new, **id)));
        }
        change
    }

    /// Everything in the deleted code.
    pub fn all_deleted(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.deleted.iter().flat_map(|top| self.old.subtree(*top))
    }

    /// Everything in the inserted code.
    pub fn all_inserted(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.inserted.iter().flat_map(|top| self.new.subtree(*top))
    }

    /// Gaps that replace one node by one other.
    pub fn replacements(&self) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
        self.gaps.iter().filter_map(|gap| match (gap.deleted(&self.old), gap.inserted(&self.new)) {
            ([old], [new]) => Some((*old, *new)),
            _ => None,
        })
    }

    /// How many more nodes of the new tree than of the old one are like this.
    pub fn more(&self, like: impl Fn(&Tree, NodeId) -> bool) -> bool {
        let count = |tree: &Tree| tree.ids().filter(|id| like(tree, *id)).count();
        count(&self.new) > count(&self.old)
    }

    /// How many deleted and inserted nodes are like this.
    pub fn balance(&self, like: impl Fn(&Tree, NodeId) -> bool) -> (usize, usize) {
        let deleted = self.all_deleted().filter(|id| like(&self.old, *id)).count();
        (deleted, self.all_inserted().filter(|id| like(&self.new, *id)).count())
    }

    /// Texts of all leaves of the inserted code.
    pub fn inserted_texts(&self) -> BTreeSet<&str> {
        self.all_inserted().filter(|id| self.new.is_leaf(*id)).map(|id| self.new.text_of(id)).collect()
    }
}

/// The child with this field name.
pub fn field(tree: &Tree, id: NodeId, name: &str) -> Option<NodeId> {
    tree.node(id).children.iter().copied().find(|child| tree.node(*child).field == Some(name))
}

/// The nearest function around a node.
pub fn function_around(tree: &Tree, id: NodeId) -> Option<NodeId> {
    std::iter::once(id).chain(tree.ancestors(id)).find(|up| kinds::is_function(tree.node(*up).kind))
}

/// The last name of what a call calls: `execute` of `self.db.execute(q)`.
pub fn callee_name(tree: &Tree, call: NodeId) -> &str {
    let callee =
        ["function", "constructor", "method", "macro", "name", "type"].iter().find_map(|name| field(tree, call, name));
    let Some(callee) = callee else { return "" };
    let last = tree.subtree(callee).filter(|id| kinds::is_name(tree.node(*id).kind) && tree.is_leaf(*id));
    let outside = |id: &NodeId| {
        !tree.ancestors(*id).take_while(|up| *up != callee).any(|up| kinds::is_arguments(tree.node(up).kind))
    };
    last.filter(outside).max().map(|id| tree.text_of(id)).unwrap_or_default()
}

/// Statement kinds that hold an expression and nothing else.
pub fn is_expression_statement(kind: &str) -> bool {
    kind == "expression_statement"
}

/// Assignments of every grammar.
pub fn is_assignment(kind: &str) -> bool {
    matches!(
        kind,
        "assignment"
            | "assignment_expression"
            | "assignment_statement"
            | "augmented_assignment"
            | "augmented_assignment_expression"
            | "named_expression"
            | "short_var_declaration"
            | "variable_declarator"
            | "var_spec"
    )
}
