//! What inserted code takes from the code that was there: which nodes must be bound, and where.

use std::collections::{BTreeMap, BTreeSet};

use super::{Builder, Cost};
use crate::fix::learn::scope;
use crate::fix::pattern::kinds;
use crate::fix::pattern::tree::{NodeId, Tree};
use crate::model::Level;

impl Builder<'_> {
    /// Inserted subtrees that are also below the root: leaves at L1, the largest from L2 on.
    pub(super) fn find_wanted(&mut self) {
        if self.level < Level::L1 {
            return;
        }
        let (old, new) = (self.old, self.example.new);
        let mut there: BTreeMap<u64, bool> = BTreeMap::new();
        for id in old.subtree(self.example.root) {
            let moves = self.level >= Level::L2 && self.is_deleted(id);
            if old.node(id).named && (moves || !self.is_concrete(id)) {
                *there.entry(old.node(id).hash).or_default() |= self.is_deleted(id);
            }
        }
        for top in self.example.inserted() {
            let mut at = top;
            while at < new.subtree(top).end {
                let node = new.node(at);
                let leafy = new.is_leaf(at) || kinds::is_literal(new, at);
                let value = node.named && !self.names_something(at) && (leafy || self.level >= Level::L2);
                let deleted = there.get(&node.hash) == Some(&true);
                let useful = deleted || !kinds::is_constant(new, at);
                let repeated = value && useful && there.contains_key(&node.hash);
                if repeated {
                    self.wanted.insert(node.hash);
                    if deleted && self.level >= Level::L2 {
                        self.moved.insert(node.hash);
                    }
                }
                at += if repeated { node.size } else { 1 };
            }
        }
        self.find_spelled();
        self.sites = self.binding_sites();
        for site in &self.sites {
            self.holds_wanted.extend(old.ancestors(*site).take_while(|up| old.within(*up, self.example.root)));
        }
    }

    pub(super) fn find_spelled(&mut self) {
        let (old, new) = (self.old, self.example.new);
        if self.level < Level::L4 {
            return;
        }
        let leaves = |tree: &Tree, top: NodeId| tree.subtree(top).filter(|id| tree.is_leaf(*id)).collect::<Vec<_>>();
        let deleted: Vec<NodeId> = self.example.deleted().flat_map(|top| leaves(old, top)).collect();
        for id in self.example.inserted().flat_map(|top| leaves(new, top)) {
            let text = new.text_of(id);
            let mut same = deleted.iter().copied().filter(|gone| old.text_of(*gone) == text);
            let is_name = |id: NodeId| kinds::is_name(old.node(id).kind);
            let content = |id: &NodeId| matches!(old.node(*id).kind, "string_content" | "string_fragment");
            // A name that was one already says more of itself than a text.
            if kinds::is_name(new.node(id).kind)
                && !same.clone().any(is_name)
                && let Some(gone) = same.find(content)
            {
                let hash = old.node(gone).hash;
                self.spelled.insert(old.text_of(gone), hash);
                self.wanted.insert(hash);
                self.moved.insert(hash);
            }
        }
    }

    /// Whether inserted code says by this node what it does, not what it does it to: a callee, an attribute, the name or
    /// constant of a keyword, a module.
    pub(super) fn names_something(&self, id: NodeId) -> bool {
        let new = self.example.new;
        let node = new.node(id);
        let parent = node.parent.map(|parent| new.node(parent).kind).unwrap_or_default();
        let receiver = matches!(node.field, Some("object" | "operand"))
            && new.is_leaf(id)
            && self.example.facts.is_global(new.text_of(id), new.language);
        let role = matches!(node.field, Some("function" | "constructor" | "attribute" | "property" | "field"))
            || matches!((parent, node.field), ("keyword_argument" | "method_invocation", Some("name")))
            || (parent == "keyword_argument" && kinds::is_constant(new, id));
        role || receiver
    }

    /// For each wanted node the one place that binds it: in what is deleted, else where a name that must be bound is bound, else
    /// nearest to the edit or the finding.
    pub(super) fn binding_sites(&self) -> BTreeSet<NodeId> {
        let mut best: BTreeMap<u64, (Cost, NodeId)> = BTreeMap::new();
        for id in self.old.subtree(self.example.root) {
            let hash = self.old.node(id).hash;
            if self.wanted.contains(&hash) && (self.is_moved(id) || !self.is_concrete(id)) {
                let near = |up: &NodeId| self.old.within(self.anchor, *up) || self.is_changed(*up);
                let up = std::iter::once(id).chain(self.old.ancestors(id)).find(near).unwrap_or(0);
                let cost = (!self.is_deleted(id), !self.binds_needed(id), self.old.node(up).size, id);
                let entry = best.entry(hash).or_insert((cost, id));
                *entry = (*entry).min((cost, id));
            }
        }
        best.into_values().map(|(_, id)| id).collect()
    }

    /// Whether the edit needs a name that is bound just here.
    pub(super) fn binds_needed(&self, id: NodeId) -> bool {
        self.is_needed(id) && scope::binds(self.old, id)
    }

    pub(super) fn is_needed(&self, id: NodeId) -> bool {
        self.old.is_leaf(id) && self.example.facts.needs_binding.contains(self.old.text_of(id))
    }
}
