//! The ladder: one example, generalised step by step from exact code to any code of the same shape.

use std::collections::{BTreeMap, BTreeSet};

use crate::fix::pattern::kinds;
use crate::fix::pattern::names;
use crate::fix::pattern::splice::relative;
use crate::fix::pattern::tree::{NodeId, Tree};
use crate::model::{EditPattern, Level, PatternNode, Rewrite, Span, TemplatePart};

use super::minimise::{Layout, layout};
use super::scope::Facts;
use crate::fix::pattern::align::Gap;

/// Largest pattern that is stored, in nodes, and its greatest depth.
const MAX_NODES: usize = 400;
const MAX_DEPTH: usize = 36;

/// One edit to generalise: the chosen gaps below a root of the old tree.
#[derive(Debug, Clone, Copy)]
pub struct Example<'a> {
    pub old: &'a Tree,
    pub new: &'a Tree,
    pub gaps: &'a [&'a Gap],
    pub facts: &'a Facts,
    pub root: NodeId,
    /// Whether the root itself is replaced (the one gap is the root) instead of children below it.
    pub replace_root: bool,
    pub finding: Span,
}

/// Why a level gave no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    TooLarge,
    /// An inserted name is local to the donor and nothing that the pattern matches binds it.
    Unbound,
    /// An insertion between two runs has no place of its own.
    NoPlace,
    /// Inserted text spans lines inside a string.
    LongString,
}

/// Builds the pattern of one level.
///
/// # Errors
/// When the level has no usable pattern for this example.
pub fn pattern(example: &Example<'_>, level: Level) -> Result<EditPattern, Unfit> {
    let mut builder = Builder::new(example, level);
    let before = builder.root()?;
    let (nodes, depth) = measure(&before);
    if nodes > MAX_NODES || depth > MAX_DEPTH {
        return Err(Unfit::TooLarge);
    }
    let mut rewrites = Vec::with_capacity(example.gaps.len());
    for (gap, place) in example.gaps.iter().zip(std::mem::take(&mut builder.places)) {
        let (path, children) = place.ok_or(Unfit::NoPlace)?;
        rewrites.push(builder.rewrite(gap, path, children)?);
    }
    if builder.misplaced {
        return Err(Unfit::NoPlace);
    }
    // What a hole brings along is bound where it comes from.
    let written = written(&rewrites);
    let imports = example.facts.imports.iter().filter(|(name, _)| written.contains(name.as_str()));
    let names = example.facts.inserted_names.iter().filter(|name| written.contains(name.as_str()));
    Ok(EditPattern {
        level,
        before,
        anchor: builder.anchor_path,
        imports: imports.map(|(_, statement)| statement.clone()).collect(),
        inserted_names: names.cloned().collect(),
        rewrites,
    })
}

/// Words of the text that rewrites write themselves.
fn written(rewrites: &[Rewrite]) -> BTreeSet<String> {
    let parts = rewrites.iter().flat_map(|rewrite| &rewrite.template);
    let texts = parts.filter_map(|part| match part {
        TemplatePart::Text(text) => Some(text),
        TemplatePart::Bound(_) => None,
    });
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    texts.flat_map(|text| text.split(move |c| !word(c))).map(str::to_owned).collect()
}

fn measure(pattern: &PatternNode) -> (usize, usize) {
    let (mut nodes, mut deepest) = (0, 0);
    let mut open = vec![(pattern, 1)];
    while let Some((node, depth)) = open.pop() {
        nodes += 1;
        deepest = deepest.max(depth);
        if let PatternNode::Tree { children, .. } = node {
            open.extend(children.iter().map(|child| (child, depth + 1)));
        }
    }
    (nodes, deepest)
}

type PlaceInPattern = (Vec<u32>, Option<(u32, u32)>);

struct Builder<'a> {
    example: &'a Example<'a>,
    old: &'a Tree,
    level: Level,
    /// Nodes (by hash) that inserted code repeats and that therefore must be holes.
    wanted: BTreeSet<u64>,
    /// Those of them that are deleted and written again elsewhere: holes from L2 on even where names are fixed.
    moved: BTreeSet<u64>,
    /// Where the wanted nodes are bound.
    sites: BTreeSet<NodeId>,
    /// Old nodes with such a place strictly below them.
    holds_wanted: BTreeSet<NodeId>,
    holes: BTreeMap<u64, u32>,
    next: u32,
    /// The finding's own node, when it lies below the root.
    anchor: NodeId,
    anchor_path: Vec<u32>,
    /// For each gap of the example.
    places: Vec<Option<PlaceInPattern>>,
    misplaced: bool,
    budget: usize,
}

impl<'a> Builder<'a> {
    fn new(example: &'a Example<'a>, level: Level) -> Self {
        let old = example.old;
        let covering = old.covering(example.finding);
        let anchor = if old.within(covering, example.root) { covering } else { example.root };
        let mut builder = Self {
            example,
            old,
            level,
            wanted: BTreeSet::new(),
            moved: BTreeSet::new(),
            sites: BTreeSet::new(),
            holds_wanted: BTreeSet::new(),
            holes: BTreeMap::new(),
            next: 0,
            anchor,
            anchor_path: Vec::new(),
            places: vec![None; example.gaps.len()],
            misplaced: false,
            budget: MAX_NODES * 4,
        };
        builder.find_wanted();
        builder
    }

    /// Inserted subtrees that are also below the root: leaves at L1, the largest from L2 on.
    fn find_wanted(&mut self) {
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
        self.sites = self.binding_sites();
        for site in &self.sites {
            self.holds_wanted.extend(old.ancestors(*site).take_while(|up| old.within(*up, self.example.root)));
        }
    }

    /// Whether inserted code says by this node what it does, not what it does it to: a callee, an attribute, the name or
    /// constant of a keyword, a module.
    fn names_something(&self, id: NodeId) -> bool {
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

    /// For each wanted node the one place that binds it: in what is deleted, else nearest to the edit or the finding.
    fn binding_sites(&self) -> BTreeSet<NodeId> {
        let mut best: BTreeMap<u64, ((bool, usize, NodeId), NodeId)> = BTreeMap::new();
        for id in self.old.subtree(self.example.root) {
            let hash = self.old.node(id).hash;
            if self.wanted.contains(&hash) && (self.is_moved(id) || !self.is_concrete(id)) {
                let near = |up: &NodeId| self.old.within(self.anchor, *up) || self.is_changed(*up);
                let up = std::iter::once(id).chain(self.old.ancestors(id)).find(near).unwrap_or(0);
                let cost = (!self.is_deleted(id), self.old.node(up).size, id);
                let entry = best.entry(hash).or_insert((cost, id));
                *entry = (*entry).min((cost, id));
            }
        }
        best.into_values().map(|(_, id)| id).collect()
    }

    fn is_deleted(&self, id: NodeId) -> bool {
        self.example.replace_root || self.example.deleted().any(|top| self.old.within(id, top))
    }

    /// Whether a gap lies at or below this node.
    fn is_changed(&self, id: NodeId) -> bool {
        !self.example.replace_root && self.example.gaps.iter().any(|gap| self.old.within(gap.old_parent, id))
    }

    /// Names whose text is their meaning: fixed by their role, imported, or of the language, unless bound here.
    fn is_concrete(&self, id: NodeId) -> bool {
        kinds::is_fixed_name(self.old, id)
            || (kinds::is_identifier(self.old.node(id).kind)
                && self.example.facts.is_global(self.old.text_of(id), self.old.language))
    }

    fn is_moved(&self, id: NodeId) -> bool {
        self.moved.contains(&self.old.node(id).hash) && self.is_deleted(id)
    }

    fn hole_kind(&self, id: NodeId) -> Option<Option<String>> {
        let (node, level) = (self.old.node(id), self.level);
        if level == Level::L0 || !node.named || self.is_changed(id) {
            return None;
        }
        if self.is_concrete(id) && !self.is_moved(id) {
            return self.hole_for_name(id);
        }
        let exact = Some(node.kind.to_owned());
        if self.wanted.contains(&node.hash) {
            return Some(if level == Level::L1 { exact } else { None });
        }
        let above_anchor = id != self.anchor && self.old.within(self.anchor, id);
        if self.holds_wanted.contains(&id) || above_anchor {
            return None;
        }
        let small = (kinds::is_identifier(node.kind) && self.old.is_leaf(id)) || kinds::is_literal(self.old, id);
        if self.is_deleted(id) {
            return (small && level >= Level::L4 && !self.is_lost_text(id)).then_some(exact);
        }
        let argument = self.is_argument(id);
        if level >= Level::L2 && argument && node.kind != "keyword_argument" {
            return Some(None);
        }
        if level >= Level::L3 && !kinds::is_constant(self.old, id) && node.kind != "keyword_argument" {
            return Some(None);
        }
        small.then_some(exact)
    }

    /// A name that is kept, and that the edit does not hang on, may be another from L3 on: the exception that is caught, the
    /// function that is called. What says which argument or key this is stays.
    fn hole_for_name(&self, id: NodeId) -> Option<Option<String>> {
        let node = self.old.node(id);
        let label = matches!(node.field, Some("name" | "key"));
        let needed = self.holds_wanted.contains(&id) || (id != self.anchor && self.old.within(self.anchor, id));
        let free = self.level >= Level::L3 && !label && !needed && !self.is_deleted(id);
        free.then(|| Some(node.kind.to_owned()))
    }

    /// A deleted text that makes way for another: which text to write is no edit that another place could repeat.
    fn is_lost_text(&self, id: NodeId) -> bool {
        let text = |tree: &Tree, id: NodeId| tree.node(id).kind.contains("string") && kinds::is_literal(tree, id);
        let new = self.example.new;
        text(self.old, id) && self.example.inserted().flat_map(|top| new.subtree(top)).any(|inner| text(new, inner))
    }

    fn is_argument(&self, id: NodeId) -> bool {
        let node = self.old.node(id);
        let Some(parent) = node.parent else { return false };
        let outer = self.old.node(parent);
        kinds::is_arguments(outer.kind) || (outer.kind == "keyword_argument" && node.field == Some("value"))
    }

    fn root(&mut self) -> Result<PatternNode, Unfit> {
        let mut path = Vec::new();
        let root = self.example.root;
        if self.example.replace_root {
            if let Some(place) = self.places.first_mut() {
                *place = Some((Vec::new(), None));
            }
            if self.hole_kind(root).is_some() {
                return Err(Unfit::TooLarge);
            }
        }
        self.node(root, &mut path)
    }

    fn node(&mut self, id: NodeId, path: &mut Vec<u32>) -> Result<PatternNode, Unfit> {
        self.budget = self.budget.checked_sub(1).filter(|_| path.len() <= MAX_DEPTH).ok_or(Unfit::TooLarge)?;
        if self.old.within(self.anchor, id) {
            self.anchor_path.clone_from(path);
        }
        let node = self.old.node(id);
        if let Some(kind) = self.hole_kind(id) {
            let next = &mut self.next;
            let hole = *self.holes.entry(node.hash).or_insert_with(|| {
                *next += 1;
                *next
            });
            return Ok(PatternNode::Hole { id: hole, kind });
        }
        let kind = node.kind.to_owned();
        if node.children.is_empty() {
            return Ok(PatternNode::Leaf { kind, text: self.old.text_of(id).to_owned() });
        }
        Ok(PatternNode::Tree { kind, children: self.children(id, path)? })
    }

    fn children(&mut self, id: NodeId, path: &mut Vec<u32>) -> Result<Vec<PatternNode>, Unfit> {
        let ids = &self.old.node(id).children;
        let runs = self.runs(id);
        let mut made: Vec<PatternNode> = Vec::with_capacity(ids.len() + 2);
        let mut starts: Vec<usize> = Vec::with_capacity(ids.len() + 1);
        let (head, tail) = self.optional_ends(id);
        for (index, child) in ids.iter().enumerate() {
            if head == Some(index) && !runs.contains(&index) {
                self.push_run(&mut made);
            }
            let joins = runs.contains(&index)
                && index > 0
                && runs.contains(&(index - 1))
                && !self.is_insertion_point(id, index);
            if joins {
                starts.push(made.len() - 1);
                continue;
            }
            starts.push(made.len());
            if runs.contains(&index) {
                self.push_run(&mut made);
                continue;
            }
            path.push(u32::try_from(made.len()).map_err(|_| Unfit::TooLarge)?);
            made.push(self.node(*child, path)?);
            path.pop();
            if tail == Some(index + 1) && !runs.contains(&(index + 1)) {
                self.push_run(&mut made);
            }
        }
        starts.push(made.len());
        self.note_places(id, path, &starts, &made);
        Ok(made)
    }

    fn push_run(&mut self, made: &mut Vec<PatternNode>) {
        self.next += 1;
        made.push(PatternNode::Run { id: self.next });
    }

    fn is_insertion_point(&self, parent: NodeId, index: usize) -> bool {
        let here = |gap: &&&Gap| gap.old_parent == parent && gap.old.is_empty() && gap.old.start == index;
        !self.example.replace_root && self.example.gaps.iter().find(here).is_some()
    }

    /// Indexes of kept children that a run stands for.
    fn runs(&self, id: NodeId) -> BTreeSet<usize> {
        let node = self.old.node(id);
        let (block, list) = (kinds::is_block(node.kind), kinds::is_list(node.kind));
        if self.level < Level::L2 || !(block || list) || !self.is_changed(id) {
            return BTreeSet::new();
        }
        let free = |child: NodeId| {
            !self.is_changed(child)
                && !self.is_deleted(child)
                && !self.old.within(self.anchor, child)
                && !self.sites.contains(&child)
                && !self.holds_wanted.contains(&child)
                && !is_delimiter(self.old, child)
        };
        let mut runs: BTreeSet<usize> =
            node.children.iter().enumerate().filter(|(_, child)| free(**child)).map(|(index, _)| index).collect();
        if list && self.level == Level::L2 {
            let named = runs.iter().filter(|i| node.children.get(**i).is_some_and(|c| self.old.node(*c).named)).count();
            if named < 2 {
                runs.clear();
            }
        }
        runs
    }

    /// Where a changed block (and from L3 on a changed list) may have more than the donor had: before and after these children.
    fn optional_ends(&self, id: NodeId) -> (Option<usize>, Option<usize>) {
        let node = self.old.node(id);
        let wide = kinds::is_block(node.kind) || (self.level >= Level::L3 && kinds::is_list(node.kind));
        if self.level < Level::L2 || !wide || !self.is_changed(id) {
            return (None, None);
        }
        let opens = |i: usize| node.children.get(i).is_some_and(|c| matches!(self.old.text_of(*c), "{" | "(" | "["));
        let closes = |i: usize| node.children.get(i).is_some_and(|c| matches!(self.old.text_of(*c), "}" | ")" | "]"));
        let first = usize::from(opens(0));
        let last = node.children.len() - usize::from(closes(node.children.len().saturating_sub(1)));
        let head = (!self.is_insertion_point(id, first)).then_some(first);
        let tail = (last > first && !self.is_insertion_point(id, last)).then_some(last);
        (head, tail)
    }

    fn note_places(&mut self, id: NodeId, path: &[u32], starts: &[usize], made: &[PatternNode]) {
        if self.example.replace_root {
            return;
        }
        for (gap, place) in self.example.gaps.iter().zip(&mut self.places) {
            if gap.old_parent != id {
                continue;
            }
            let (Some(from), Some(to)) = (starts.get(gap.old.start).copied(), starts.get(gap.old.end).copied()) else {
                continue;
            };
            // A run that may follow the last deleted child does not belong to it.
            let to = if gap.old.is_empty() { from } else { to.min(from + gap.old.len()) };
            let is_run = |at: Option<usize>| matches!(at.and_then(|i| made.get(i)), Some(PatternNode::Run { .. }));
            self.misplaced |= gap.old.is_empty() && is_run(from.checked_sub(1)) && is_run(Some(from));
            let index = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            *place = Some((path.to_vec(), Some((index(from), index(to)))));
        }
    }

    fn rewrite(&self, gap: &Gap, path: Vec<u32>, children: Option<(u32, u32)>) -> Result<Rewrite, Unfit> {
        let Layout { lead, trail, inserted, indent } = layout(self.example.new, gap);
        let mut template = Vec::new();
        if let Some(span) = inserted {
            let mut copies = Vec::new();
            let tops = self.example.new.node(gap.new_parent).children.get(gap.new.clone()).unwrap_or_default();
            for top in tops {
                self.copies(*top, &mut copies)?;
            }
            self.template(span, &indent, &copies, &mut template);
        }
        Ok(Rewrite { path, children, lead, trail, template })
    }

    /// Spans of an inserted subtree that are copied from holes.
    fn copies(&self, top: NodeId, copies: &mut Vec<(Span, u32)>) -> Result<(), Unfit> {
        let new = self.example.new;
        let mut at = top;
        while at < new.subtree(top).end {
            let node = new.node(at);
            let hole = self.holes.get(&node.hash).filter(|_| self.wanted.contains(&node.hash));
            if let Some(hole) = hole.filter(|_| !self.names_something(at)) {
                copies.push((node.span, *hole));
                at += node.size;
                continue;
            }
            if new.is_leaf(at) {
                let text = new.text_of(at);
                if text.contains('\n') {
                    return Err(Unfit::LongString);
                }
                if let Some(copy) = self.underscored(at) {
                    copies.push(copy);
                    at += 1;
                    continue;
                }
                if self.level > Level::L0
                    && names::is_free_name(new, at)
                    && self.example.facts.needs_binding.contains(text)
                {
                    return Err(Unfit::Unbound);
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// A deleted name that is written again with underscores around it: `i` and `_i`, `filter` and `filter_`.
    fn underscored(&self, id: NodeId) -> Option<(Span, u32)> {
        let (new, text) = (self.example.new, self.example.new.text_of(id));
        let (bare, start) = (text.trim_matches('_'), new.node(id).span.start);
        if self.level < Level::L4 || bare.len() == text.len() || !kinds::is_identifier(new.node(id).kind) {
            return None;
        }
        let deleted = self.example.deleted().flat_map(|top| self.old.subtree(top));
        let same = |old: &NodeId| kinds::is_identifier(self.old.node(*old).kind) && self.old.text_of(*old) == bare;
        let hole = deleted.into_iter().find(same).and_then(|old| self.holes.get(&self.old.node(old).hash))?;
        let start = start + (text.len() - text.trim_start_matches('_').len());
        Some((Span { start, end: start + bare.len() }, *hole))
    }

    fn template(&self, span: Span, indent: &str, copies: &[(Span, u32)], template: &mut Vec<TemplatePart>) {
        let mut at = span.start;
        let literal = |from: usize, to: usize, template: &mut Vec<TemplatePart>| {
            let text = relative(self.example.new, Span { start: from, end: to }, indent);
            if !text.is_empty() {
                template.push(TemplatePart::Text(text));
            }
        };
        for (copy, hole) in copies {
            literal(at, copy.start, template);
            template.push(TemplatePart::Bound(*hole));
            at = copy.end;
        }
        literal(at, span.end, template);
    }
}

fn is_delimiter(tree: &Tree, id: NodeId) -> bool {
    let node = tree.node(id);
    !node.named && !matches!(node.kind, "," | ";")
}

impl Example<'_> {
    /// Topmost deleted nodes.
    pub fn deleted(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.gaps.iter().flat_map(|gap| {
            self.old.node(gap.old_parent).children.get(gap.old.clone()).unwrap_or_default().iter().copied()
        })
    }

    /// Topmost inserted nodes.
    pub fn inserted(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.gaps.iter().flat_map(|gap| {
            self.new.node(gap.new_parent).children.get(gap.new.clone()).unwrap_or_default().iter().copied()
        })
    }
}
