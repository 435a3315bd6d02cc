//! The edit tree: which nodes of the old tree live on in the new one, and where they differ.
//!
//! After Bader et al., *Getafix: Learning to Fix Bugs Automatically* (OOPSLA 2019), with a weighted longest common
//! subsequence of the children in place of GumTree's two phases.

use std::collections::BTreeMap;
use std::ops::Range;

use super::kinds;
use super::tree::{NodeId, Tree};

/// Least share of common tokens for which two unequal nodes of a kind are one changed node.
const MIN_DICE: f64 = 0.3;
/// Most cells of one table of children.
const MAX_CELLS: usize = 250_000;
/// Most tokens of a node that are compared.
const MAX_TOKENS: usize = 4_000;

/// Children that were replaced: `old` of the old parent by `new` of the new one. Not both are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub old_parent: NodeId,
    pub old: Range<usize>,
    pub new_parent: NodeId,
    pub new: Range<usize>,
}

/// Finds the gaps between two trees, in source order.
#[must_use]
pub fn gaps(old: &Tree, new: &Tree) -> Vec<Gap> {
    let mut found = Vec::new();
    let mut open = vec![(0, 0)];
    while let Some((a, b)) = open.pop() {
        if old.same(a, new, b) {
            continue;
        }
        for (left, right) in unmatched(old, new, (a, b), &mut open) {
            found.push(Gap { old_parent: a, old: left, new_parent: b, new: right });
        }
    }
    found.sort_by_key(|gap| start(old, gap));
    found
}

/// Byte at which the gap begins in the old text.
#[must_use]
pub fn start(old: &Tree, gap: &Gap) -> usize {
    let node = old.node(gap.old_parent);
    let next = node.children.get(gap.old.start).map(|child| old.node(*child).span.start);
    next.unwrap_or(node.span.end)
}

/// Byte at which what the gap deletes ends in the old text; where it deletes nothing, where it begins.
#[must_use]
pub fn end(old: &Tree, gap: &Gap) -> usize {
    gap.deleted(old).last().map_or_else(|| start(old, gap), |last| old.node(*last).span.end)
}

/// Pairs up the children of a changed node; unequal pairs go to `open`, what stays alone is returned.
fn unmatched(
    old: &Tree,
    new: &Tree,
    (a, b): (NodeId, NodeId),
    open: &mut Vec<(NodeId, NodeId)>,
) -> Vec<(Range<usize>, Range<usize>)> {
    let (left, right) = (&old.node(a).children, &new.node(b).children);
    let equal = |(x, y): (&NodeId, &NodeId)| old.same(*x, new, *y);
    let prefix = left.iter().zip(right).take_while(|(x, y)| equal((x, y))).count();
    let rest = left.len().min(right.len()) - prefix;
    let suffix = left.iter().rev().zip(right.iter().rev()).take(rest).take_while(|(x, y)| equal((x, y))).count();
    let (left_end, right_end) = (left.len() - suffix, right.len() - suffix);
    let middle = (left.get(prefix..left_end).unwrap_or_default(), right.get(prefix..right_end).unwrap_or_default());
    let mut alone = Vec::new();
    let (mut i, mut j) = (0, 0);
    let ends = [(middle.0.len(), middle.1.len())];
    for (x, y) in common(old, new, middle).into_iter().chain(ends) {
        if i < x || j < y {
            let gap = (prefix + i..prefix + x, prefix + j..prefix + y);
            alone.push(separator_first((old, left), (new, right), gap));
        }
        if let (Some(x), Some(y)) = (middle.0.get(x), middle.1.get(y)) {
            open.push((*x, *y));
        }
        (i, j) = (x + 1, y + 1);
    }
    alone
}

/// What is put into a list, or taken out of it, goes with the separator before it where there is one: `, b` and not `b, ` of
/// `a, b, c`. The same change may be read either way, and so donors agree on one.
fn separator_first(
    (old, left): (&Tree, &[NodeId]),
    (new, right): (&Tree, &[NodeId]),
    (gone, come): (Range<usize>, Range<usize>),
) -> (Range<usize>, Range<usize>) {
    let back = |range: &Range<usize>| range.start - 1..range.end - 1;
    let separator = |tree: &Tree, ids: &[NodeId], at: Option<usize>| {
        at.and_then(|at| ids.get(at)).is_some_and(|id| tree.node(*id).kind == ",")
    };
    let before = |range: &Range<usize>| range.start.checked_sub(1);
    let (behind_old, behind_new) = (separator(old, left, before(&gone)), separator(new, right, before(&come)));
    let ends = |tree: &Tree, ids: &[NodeId], range: &Range<usize>| separator(tree, ids, range.end.checked_sub(1));
    let one_sided = (gone.is_empty() && ends(new, right, &come)) || (come.is_empty() && ends(old, left, &gone));
    if behind_old && behind_new && one_sided { (back(&gone), back(&come)) } else { (gone, come) }
}

/// The order-preserving pairing of greatest weight, as index pairs.
fn common(old: &Tree, new: &Tree, (left, right): (&[NodeId], &[NodeId])) -> Vec<(usize, usize)> {
    let (n, m) = (left.len(), right.len());
    if n == 0 || m == 0 || n.saturating_mul(m) > MAX_CELLS {
        return Vec::new();
    }
    let bags: Vec<Bag<'_>> = right.iter().map(|id| Bag::of(new, *id)).collect();
    let mut weights = Vec::with_capacity(n * m);
    for x in left {
        let bag = Bag::of(old, *x);
        for (y, other) in right.iter().zip(&bags) {
            weights.push(weight((old, *x), (new, *y), &bag, other));
        }
    }
    let at = |table: &[f64], i: usize, j: usize, width: usize| table.get(i * width + j).copied().unwrap_or(0.0);
    let mut best = vec![0.0; (n + 1) * (m + 1)];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            let skip = at(&best, i + 1, j, m + 1).max(at(&best, i, j + 1, m + 1));
            let pair = at(&weights, i, j, m);
            let taken = if pair > 0.0 { pair + at(&best, i + 1, j + 1, m + 1) } else { 0.0 };
            if let Some(cell) = best.get_mut(i * (m + 1) + j) {
                *cell = skip.max(taken);
            }
        }
    }
    let mut pairs = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < n && j < m {
        let pair = at(&weights, i, j, m);
        let here = at(&best, i, j, m + 1);
        if pair > 0.0 && here <= pair + at(&best, i + 1, j + 1, m + 1) {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if here <= at(&best, i + 1, j, m + 1) {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

fn weight((old, x): (&Tree, NodeId), (new, y): (&Tree, NodeId), left: &Bag<'_>, right: &Bag<'_>) -> f64 {
    let (a, b) = (old.node(x), new.node(y));
    if old.same(x, new, y) {
        return 2.0 * a.size as f64 + if a.named { 1.0 } else { 0.0 };
    }
    if a.kind != b.kind || a.children.is_empty() || b.children.is_empty() {
        return 0.0;
    }
    if is_path(a.kind) && !is_same_path((old, x), (new, y)) {
        return 0.0;
    }
    // `f(a)` in `g(f(a))` is wrapped, not changed into another call that happens to have it as its argument.
    if kinds::is_call(a.kind) && (contains((new, y), (old, x)) || contains((old, x), (new, y))) {
        return 0.0;
    }
    let dice = left.dice(right);
    if dice >= MIN_DICE { dice * a.size.min(b.size) as f64 } else { 0.0 }
}

/// `a.b`: a name reached through another.
fn is_path(kind: &str) -> bool {
    matches!(kind, "attribute" | "member_expression" | "selector_expression" | "field_access" | "scoped_identifier")
}

/// Whether the second subtree is a whole part of the first.
fn contains((tree, whole): (&Tree, NodeId), (other, part): (&Tree, NodeId)) -> bool {
    let wanted = other.node(part).size;
    let mut below = tree.subtree(whole).filter(|id| *id != whole && tree.node(*id).size == wanted);
    below.any(|id| tree.same(id, other, part))
}

/// Whether one path is the other one changed, and not another thing: what it is reached through is the same, or the same is
/// reached through another: `log.debug` and `logger.debug`, `get(a).text` and `get(b).text`.
fn is_same_path((old, x): (&Tree, NodeId), (new, y): (&Tree, NodeId)) -> bool {
    let ends = |tree: &Tree, id: NodeId| {
        let children = &tree.node(id).children;
        Some((*children.first()?, *children.last()?))
    };
    let (Some(a), Some(b)) = (ends(old, x), ends(new, y)) else { return false };
    old.same(a.0, new, b.0) || old.same(a.1, new, b.1)
}

/// Tokens of a subtree with their number.
struct Bag<'a> {
    tokens: BTreeMap<&'a str, usize>,
    total: usize,
}

impl<'a> Bag<'a> {
    fn of(tree: &'a Tree, id: NodeId) -> Self {
        let mut bag = Self { tokens: BTreeMap::new(), total: 0 };
        for leaf in tree.subtree(id).filter(|leaf| tree.is_leaf(*leaf)).take(MAX_TOKENS) {
            *bag.tokens.entry(tree.text_of(leaf)).or_default() += 1;
            bag.total += 1;
        }
        bag
    }

    fn dice(&self, other: &Self) -> f64 {
        let shared: usize = self.tokens.iter().map(|(t, n)| *n.min(other.tokens.get(t).unwrap_or(&0))).sum();
        2.0 * shared as f64 / (self.total + other.total).max(1) as f64
    }
}

impl Gap {
    /// The deleted nodes.
    #[must_use]
    pub fn deleted<'t>(&self, old: &'t Tree) -> &'t [NodeId] {
        old.node(self.old_parent).children.get(self.old.clone()).unwrap_or_default()
    }

    /// The inserted nodes.
    #[must_use]
    pub fn inserted<'t>(&self, new: &'t Tree) -> &'t [NodeId] {
        new.node(self.new_parent).children.get(self.new.clone()).unwrap_or_default()
    }
}
