//! The ladder: one example, generalised step by step from exact code to any code of the same shape.

mod lists;
mod template;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};

use crate::fix::pattern::kinds;
use crate::fix::pattern::tree::{NodeId, Tree};
use crate::model::{EditPattern, Level, PatternNode, Rewrite, Span, TemplatePart};

use super::scope::Facts;
use crate::fix::pattern::align::Gap;

/// Largest pattern that is stored, in nodes, and its greatest depth.
const MAX_NODES: usize = 400;
const MAX_DEPTH: usize = 36;
/// Most kept children of a list, separators included, that are matched one by one to say where another goes.
const MAX_NEIGHBOURS: usize = 7;

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

/// How far a place is from binding a node best: false before true, then the nearer, then the earlier.
type Cost = (bool, bool, usize, NodeId);

type PlaceInPattern = (Vec<u32>, Option<(u32, u32)>);

struct Builder<'a> {
    example: &'a Example<'a>,
    old: &'a Tree,
    level: Level,
    /// Nodes (by hash) that inserted code repeats and that therefore must be holes.
    wanted: BTreeSet<u64>,
    /// Those of them that are deleted and written again elsewhere: holes from L2 on even where names are fixed.
    moved: BTreeSet<u64>,
    /// Deleted texts, by what they say, that inserted code has as a name: the `b` of `getattr(a, "b")` and `a.b`.
    spelled: BTreeMap<&'a str, u64>,
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
            spelled: BTreeMap::new(),
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
        let exact = Some(node.kind.to_owned());
        if self.is_concrete(id) && !self.is_moved(id) {
            return if level == Level::L4 && self.is_lost_import(id) { Some(exact) } else { self.hole_for_name(id) };
        }
        if self.wanted.contains(&node.hash) {
            // A name that stays where it is and is written once more stays a name.
            let name = self.is_needed(id) && !self.moved.contains(&node.hash);
            let text = self.spelled.contains_key(self.old.text_of(id));
            return Some(if level == Level::L1 || name || text { exact } else { None });
        }
        let above_anchor = id != self.anchor && self.old.within(self.anchor, id);
        if self.holds_wanted.contains(&id) || above_anchor {
            return None;
        }
        let small = (kinds::is_identifier(node.kind) && self.old.is_leaf(id))
            || kinds::is_literal(self.old, id)
            || matches!(node.kind, "string_start" | "string_end");
        if self.is_deleted(id) {
            let whole = self.is_at_fault(id) && !self.is_lost_text(id);
            return match level {
                Level::L4 if whole => Some(None),
                Level::L4 if small && !self.is_lost_text(id) => Some(exact),
                _ => None,
            };
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

    /// What the finding is about and what makes way for something that does not depend on it: `None` for any default value.
    fn is_at_fault(&self, id: NodeId) -> bool {
        let new = self.example.new;
        let top = id == self.anchor && self.example.deleted().any(|top| top == id);
        let fixed = |id: NodeId| !new.is_leaf(id) || !new.node(id).named || kinds::is_constant(new, id);
        let mut inserted = self.example.inserted().peekable();
        let replaced = !self.example.replace_root && inserted.peek().is_some();
        top && replaced && inserted.flat_map(|top| new.subtree(top)).all(fixed)
    }

    /// A name of an import that is taken out: any may have been too many.
    fn is_lost_import(&self, id: NodeId) -> bool {
        let imports = |id: NodeId| kinds::is_import(self.old.node(id).kind);
        let all_gone = self.example.inserted().next().is_none() && self.is_deleted(id);
        all_gone && self.old.is_leaf(id) && self.old.ancestors(id).take(3).any(imports)
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
        let (head, tail) = self.optional_ends(id, &runs);
        let (_, more) = self.optional(id);
        for (index, child) in ids.iter().enumerate() {
            let first = index == 0 && more.contains(&None);
            if (first || head == Some(index)) && !runs.contains(&index) {
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
            let behind = tail == Some(index + 1) || more.contains(&Some(index));
            if behind && !runs.contains(&(index + 1)) {
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

    fn note_places(&mut self, id: NodeId, path: &[u32], starts: &[usize], made: &[PatternNode]) {
        if self.example.replace_root {
            return;
        }
        for (number, gap) in self.example.gaps.iter().enumerate() {
            if gap.old_parent != id {
                continue;
            }
            let begin = self.begin(gap);
            let places = (starts.get(begin).copied(), starts.get(begin + gap.old.len()).copied());
            let (Some(from), Some(to)) = places else { continue };
            // A run that may follow the last deleted child does not belong to it.
            let to = if gap.old.is_empty() { from } else { to.min(from + gap.old.len()) };
            let is_run = |at: Option<usize>| matches!(at.and_then(|i| made.get(i)), Some(PatternNode::Run { .. }));
            self.misplaced |= gap.old.is_empty() && is_run(from.checked_sub(1)) && is_run(Some(from));
            let index = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            if let Some(place) = self.places.get_mut(number) {
                *place = Some((path.to_vec(), Some((index(from), index(to)))));
            }
        }
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
