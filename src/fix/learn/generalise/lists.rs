//! Which children another place may have more or fewer of: items of a list, statements of a block, what a function says of itself.

use std::collections::BTreeSet;

use super::{Builder, MAX_NEIGHBOURS, is_delimiter};
use crate::fix::pattern::align::Gap;
use crate::fix::pattern::kinds;
use crate::fix::pattern::tree::NodeId;
use crate::model::Level;

impl Builder<'_> {
    pub(super) fn is_insertion_point(&self, parent: NodeId, index: usize) -> bool {
        let here = |gap: &&&Gap| gap.old_parent == parent && gap.old.is_empty() && self.begin(gap) == index;
        !self.example.replace_root && self.example.gaps.iter().find(here).is_some()
    }

    /// At which child of its parent a gap begins. From L2 on what is put behind the text that opens a block is put at its top,
    /// which is behind such a text where there is one.
    pub(super) fn begin(&self, gap: &Gap) -> usize {
        let behind_text = gap.old.is_empty() && gap.old.start == 1 && kinds::opens_with_text(self.old, gap.old_parent);
        if behind_text && self.level >= Level::L2 { 0 } else { gap.old.start }
    }

    /// Indexes of children of a changed function or parameter that another may do without, and after which children (and, with
    /// `None`, before all of which) another may have such: a modifier, the type of the result, the type of the parameter.
    pub(super) fn optional(&self, id: NodeId) -> (BTreeSet<usize>, Vec<Option<usize>>) {
        let node = self.old.node(id);
        let (function, parameter) = (kinds::is_function(node.kind), kinds::is_defaulted(node.kind));
        if self.level < Level::L3 || !self.is_changed(id) || !(function || parameter) {
            return (BTreeSet::new(), Vec::new());
        }
        let child = |index: usize| node.children.get(index).map(|child| self.old.node(*child));
        let found = |is: &dyn Fn(usize) -> bool| (0..node.children.len()).find(|index| is(*index));
        let (from, to) = if function {
            // Go has a list for the receiver before that of the parameters.
            let lists = |index: &usize| child(*index).is_some_and(|child| kinds::is_parameters(child.kind));
            let list = (0..node.children.len()).rev().find(lists);
            let body = found(&|index| child(index).is_some_and(|child| child.field == Some("body")));
            let colon = body.filter(|body| body.checked_sub(1).and_then(child).is_some_and(|child| child.kind == ":"));
            (list, colon.map(|body| body - 1).or(body))
        } else {
            (Some(0), found(&|index| child(index).is_some_and(|child| child.kind == "=")))
        };
        let (Some(from), Some(to)) = (from, to) else { return (BTreeSet::new(), Vec::new()) };
        let modifier = |index: &usize| {
            child(*index).is_some_and(|child| matches!(child.kind, "async" | "modifiers" | "visibility_modifier"))
        };
        let head = (0..from).filter(modifier).take_while(|_| function);
        let free = |index: &usize| node.children.get(*index).is_some_and(|child| self.is_untouched(*child));
        let without = head.chain(from + 1..to).filter(free).collect();
        (without, if function { vec![None, Some(from)] } else { vec![Some(from)] })
    }

    /// Whether nothing of the edit, the finding or what it needs lies at or below the node.
    pub(super) fn is_untouched(&self, id: NodeId) -> bool {
        !self.is_changed(id)
            && !self.is_deleted(id)
            && !self.old.within(self.anchor, id)
            && !self.sites.contains(&id)
            && !self.holds_wanted.contains(&id)
    }

    /// Indexes of kept children that a run stands for.
    pub(super) fn runs(&self, id: NodeId) -> BTreeSet<usize> {
        let node = self.old.node(id);
        let (block, list) = (kinds::is_block(node.kind), kinds::is_list(node.kind));
        if self.level < Level::L2 || !(block || list) || !self.is_changed(id) {
            return self.optional(id).0;
        }
        let free = |child: NodeId| self.is_untouched(child) && !is_delimiter(self.old, child);
        let mut runs: BTreeSet<usize> =
            node.children.iter().enumerate().filter(|(_, child)| free(**child)).map(|(index, _)| index).collect();
        if list {
            self.keep_neighbours(id, &mut runs);
        }
        if list && self.level == Level::L2 {
            let named = runs.iter().filter(|i| node.children.get(**i).is_some_and(|c| self.old.node(*c).named)).count();
            if named < 2 {
                runs.clear();
            }
        }
        runs
    }

    /// An insertion between two runs has no place of its own: what comes before it in the list, or behind it where that is less,
    /// is matched one by one then.
    pub(super) fn keep_neighbours(&self, id: NodeId, runs: &mut BTreeSet<usize>) {
        let here = |gap: &&&Gap| gap.old_parent == id && gap.old.is_empty();
        let between = |at: &usize| runs.contains(at) && at.checked_sub(1).is_some_and(|before| runs.contains(&before));
        let places: Vec<usize> =
            self.example.gaps.iter().filter(here).map(|gap| self.begin(gap)).filter(between).collect();
        for at in places {
            let before: Vec<usize> = (0..at).rev().take_while(|index| runs.contains(index)).collect();
            let behind: Vec<usize> = (at..).take_while(|index| runs.contains(index)).collect();
            let fewer = if behind.len() < before.len() { behind } else { before };
            if fewer.len() <= MAX_NEIGHBOURS {
                fewer.iter().for_each(|index| {
                    runs.remove(index);
                });
            }
        }
    }

    /// Where a changed block (and from L3 on a changed list) may have more than the donor had: before and after these children.
    pub(super) fn optional_ends(&self, id: NodeId, runs: &BTreeSet<usize>) -> (Option<usize>, Option<usize>) {
        let node = self.old.node(id);
        let wide = kinds::is_block(node.kind) || (self.level >= Level::L3 && kinds::is_list(node.kind));
        if self.level < Level::L2 || !wide || !self.is_changed(id) {
            return (None, None);
        }
        let opens = |i: usize| node.children.get(i).is_some_and(|c| matches!(self.old.text_of(*c), "{" | "(" | "["));
        let closes = |i: usize| node.children.get(i).is_some_and(|c| matches!(self.old.text_of(*c), "}" | ")" | "]"));
        let first = usize::from(opens(0));
        let last = node.children.len() - usize::from(closes(node.children.len().saturating_sub(1)));
        // What says where something goes in a list says it from that end of the list.
        let counted = |mut between: std::ops::Range<usize>| {
            kinds::is_list(node.kind) && !between.is_empty() && between.all(|index| !runs.contains(&index))
        };
        let inserted = |within: std::ops::Range<usize>| within.filter(|at| self.is_insertion_point(id, *at));
        let from_head = inserted(first + 1..last).any(|at| counted(first..at));
        let from_tail = inserted(first + 1..last).any(|at| counted(at..last));
        let head = (!from_head && !self.is_insertion_point(id, first)).then_some(first);
        let tail = (last > first && !from_tail && !self.is_insertion_point(id, last)).then_some(last);
        (head, tail)
    }
}
