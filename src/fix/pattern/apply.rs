//! One pattern at one finding.

use std::sync::Arc;

use super::kinds;
use super::matching::{Match, Matcher};
use super::render::{Applied, Rendered, render};
use super::tree::{NodeId, Tree};
use crate::model::{EditPattern, Language, PatternNode, Rewrite, Span};

/// Node comparisons that one pattern may make in one file.
pub const DEFAULT_STEPS: usize = 20_000;
/// Deepest and largest pattern that is tried; learning makes none beyond it, a store may hold anything.
const MAX_PATTERN_DEPTH: usize = 48;
const MAX_PATTERN_NODES: usize = 2_000;
/// Most places in a file at which a pattern is applied.
const MAX_MATCHES: usize = 8;

/// What a pattern makes of a file: the edits of one match, disjoint and in source order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Bytes of the node that the pattern's root matched; nothing outside changes.
    pub matched: Span,
    pub edits: Vec<Applied>,
}

impl Application {
    /// The whole file with the edits made.
    #[must_use]
    pub fn patched(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for edit in &self.edits {
            out.push_str(text.get(at..edit.span.start).unwrap_or_default());
            out.push_str(&edit.text);
            at = edit.span.end;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        out
    }
}

/// Applies the pattern at every node that overlaps the finding and has it where the donor had it; outermost first.
///
/// An application is left out when it changes nothing, when its result does not parse, when copied code would not stay
/// one expression (an operator of its new surroundings would tear it), or when the pattern would match its own result
/// again. At most `steps` node comparisons are made. A language without edit learning, or a file too large to read, has none.
#[must_use]
pub fn apply(pattern: &EditPattern, language: Language, text: &str, finding: Span, steps: usize) -> Vec<Application> {
    Tree::parse(language, text).map(|tree| apply_to(pattern, &tree, finding, steps)).unwrap_or_default()
}

/// [`apply`] on a tree that is parsed already.
#[must_use]
pub fn apply_to(pattern: &EditPattern, tree: &Tree, finding: Span, steps: usize) -> Vec<Application> {
    let made = results(pattern, tree, finding, (steps, &mut Results::default()));
    made.into_iter().map(|(application, _)| application).collect()
}

/// Patched files by the edits that made them, so that patterns which agree cost one parse together.
#[derive(Debug, Default)]
pub struct Results {
    made: Vec<(Vec<Applied>, Option<Arc<Tree>>)>,
    /// A file that some of them make, parsed before.
    expected: Option<Arc<Tree>>,
}

impl Results {
    /// With a file that may well be made.
    #[must_use]
    pub fn expecting(file: &Arc<Tree>) -> Self {
        Self { made: Vec::new(), expected: Some(Arc::clone(file)) }
    }

    fn of(&mut self, application: &Application, tree: &Tree) -> Option<Arc<Tree>> {
        if let Some((_, known)) = self.made.iter().find(|(edits, _)| *edits == application.edits) {
            return known.clone();
        }
        let text = application.patched(&tree.text);
        let parsed = match &self.expected {
            Some(expected) if expected.text == text => Some(Arc::clone(expected)),
            _ => tree.edited(text, application.edits.iter().map(|e| (e.span, e.text.as_str()))).ok().map(Arc::new),
        };
        self.made.push((application.edits.clone(), parsed.clone()));
        parsed
    }
}

/// [`apply_to`], with the patched file of each application. `known` is of this same tree.
#[must_use]
pub fn results(
    pattern: &EditPattern,
    tree: &Tree,
    finding: Span,
    (steps, known): (usize, &mut Results),
) -> Vec<(Application, Arc<Tree>)> {
    if !is_bounded(&pattern.before) || finding.end > tree.text.len() || finding.start > finding.end {
        return Vec::new();
    }
    let mut matcher = Matcher::new(tree, pattern, finding, steps);
    let mut found = Vec::new();
    for id in tree.ids() {
        let node = tree.node(id);
        if found.len() >= MAX_MATCHES || node.span.start > finding.end {
            break;
        }
        if !node.span.overlaps(finding) || !root_kind_fits(&pattern.before, node.kind) {
            continue;
        }
        if let Some(matched) = matcher.at(id)
            && let Some(result) = one(pattern, tree, (id, &matched), (steps, &mut *known))
        {
            found.push(result);
        }
    }
    found
}

fn root_kind_fits(pattern: &PatternNode, kind: &str) -> bool {
    match pattern {
        PatternNode::Leaf { kind: wanted, .. } | PatternNode::Tree { kind: wanted, .. } => kinds::plays(kind, wanted),
        PatternNode::Hole { kind: wanted, .. } => wanted.as_deref().is_none_or(|wanted| wanted == kind),
        PatternNode::Run { .. } => false,
    }
}

fn is_bounded(pattern: &PatternNode) -> bool {
    let mut open = vec![(pattern, 1)];
    let mut nodes = 0;
    while let Some((node, depth)) = open.pop() {
        nodes += 1;
        if depth > MAX_PATTERN_DEPTH || nodes > MAX_PATTERN_NODES {
            return false;
        }
        if let PatternNode::Tree { children, .. } = node {
            open.extend(children.iter().map(|child| (child, depth + 1)));
        }
    }
    true
}

fn one(
    pattern: &EditPattern,
    tree: &Tree,
    (root, found): (NodeId, &Match),
    (steps, known): (usize, &mut Results),
) -> Option<(Application, Arc<Tree>)> {
    let mut rendered: Vec<Rendered> = Vec::with_capacity(pattern.rewrites.len());
    for rewrite in &pattern.rewrites {
        rendered.push(render(tree, root, &pattern.before, rewrite, found)?);
    }
    rendered.sort_by_key(|r| (r.applied.span, r.applied.text.clone()));
    let disjoint = rendered.windows(2).all(|pair| match pair {
        [a, b] => a.applied.span.end <= b.applied.span.start,
        _ => true,
    });
    if !disjoint || rendered.iter().zip(&pattern.rewrites).any(|(made, rewrite)| is_there_already(tree, made, rewrite))
    {
        return None;
    }
    if tree.text.contains("\r\n") {
        for made in &mut rendered {
            made.applied.text = made.applied.text.replace("\r\n", "\n").replace('\n', "\r\n");
            made.copies.clear();
        }
    }
    let edits = rendered.iter().map(|made| made.applied.clone()).collect();
    let application = Application { matched: tree.node(root).span, edits };
    let patched = known.of(&application, tree)?;
    let sound = patched.errors <= tree.errors
        && !patched.same_code(tree)
        && copies_stay_whole(tree, &patched, &rendered)
        && arguments_stay_in_order(&patched, &rendered);
    (sound && converges(pattern, &patched, &rendered, steps)).then_some((application, patched))
}

/// Whether what is to be written stands there: a pure insertion's tokens in the slot's surroundings, or the code that a
/// replacement wraps something in around just that thing or at its own ends.
fn is_there_already(tree: &Tree, made: &Rendered, rewrite: &Rewrite) -> bool {
    let written = made.applied.text.trim();
    if rewrite.children.is_none_or(|(from, to)| from != to) {
        if wraps_again(tree, made) {
            return true;
        }
        let holds = |id: &NodeId| {
            let span = tree.node(*id).span;
            let around = span.start <= made.applied.span.start && made.applied.span.end <= span.end;
            around && span != made.applied.span && span.end - span.start <= 2 * written.len()
        };
        let mut ups = std::iter::once(made.parent).chain(tree.ancestors(made.parent)).take(8).filter(holds);
        return ups.any(|up| tokens(tree.text_of(up)) == tokens(written));
    }
    let body = tokens(written.trim_matches([',', ';']));
    let around = tokens(tree.text_of(made.parent));
    !body.is_empty() && body.len() > 1 && around.windows(body.len()).any(|window| window == body)
}

/// Whether all of the replaced code is copied into new surroundings that it has already: `Optional[a]` into `Optional[…]`.
fn wraps_again(tree: &Tree, made: &Rendered) -> bool {
    let [(copy, id)] = made.copies.as_slice() else { return false };
    if tree.node(*id).span != made.applied.span {
        return false;
    }
    let text = &made.applied.text;
    let (head, tail) = (text.get(..copy.start).unwrap_or_default(), text.get(copy.end..).unwrap_or_default());
    let (head, tail, there) = (tokens(head), tokens(tail), tokens(tree.text_of(*id)));
    head.len() + tail.len() > 0
        && there.len() > head.len() + tail.len()
        && there.starts_with(&head)
        && there.ends_with(&tail)
}

/// Words and single characters, white space aside.
fn tokens(text: &str) -> Vec<&str> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if word(first) { rest.find(|c| !word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (token, tail) = rest.split_at(length);
        found.push(token);
        rest = tail.trim_start();
    }
    found
}

/// Whether no argument by place has come to stand behind one by name, which Python's grammar lets pass and Python does not.
fn arguments_stay_in_order(patched: &Tree, rendered: &[Rendered]) -> bool {
    if patched.language != Language::Python {
        return true;
    }
    let mut shift = 0_isize;
    rendered.iter().all(|made| {
        let start = made.applied.span.start.saturating_add_signed(shift);
        let span = Span { start, end: start + made.applied.text.len() };
        let replaced = made.applied.span.end - made.applied.span.start;
        shift += made.applied.text.len().cast_signed() - replaced.cast_signed();
        let mut ups = std::iter::once(patched.covering(span)).chain(patched.ancestors(patched.covering(span))).take(3);
        let list = ups.find(|up| kinds::is_arguments(patched.node(*up).kind));
        let kinds = list.into_iter().flat_map(|list| &patched.node(list).children).map(|id| patched.node(*id));
        // `*rest` may stand anywhere.
        let counted = kinds.filter(|node| node.named && node.kind != "list_splat");
        counted.map(|node| matches!(node.kind, "keyword_argument" | "dictionary_splat")).is_sorted()
    })
}

/// Whether each copied subtree is a subtree of the result as well.
fn copies_stay_whole(tree: &Tree, patched: &Tree, rendered: &[Rendered]) -> bool {
    let mut shift = 0_isize;
    for made in rendered {
        let Some(base) = made.applied.span.start.checked_add_signed(shift) else { return false };
        for (span, id) in &made.copies {
            let span = Span { start: base + span.start, end: base + span.end };
            let covering = patched.covering(span);
            let mut at = Some(covering);
            let name = patched.text_of(covering).trim_matches('_') == tree.text_of(*id).trim_matches('_');
            let mut whole = name && patched.is_leaf(covering) && tree.is_leaf(*id);
            while let Some(node) = at.filter(|node| patched.node(*node).span == span) {
                whole |= patched.node(node).size == tree.node(*id).size && patched.same(node, tree, *id);
                at = patched.node(node).parent;
            }
            if !whole {
                return false;
            }
        }
        shift +=
            made.applied.text.len().cast_signed() - (made.applied.span.end - made.applied.span.start).cast_signed();
    }
    true
}

/// Whether the pattern finds nothing more to do to what it has just written. Code that it copied into the new text may
/// well match again: that is another place.
fn converges(pattern: &EditPattern, patched: &Tree, rendered: &[Rendered], steps: usize) -> bool {
    let mut shift = 0_isize;
    for (made, rewrite) in rendered.iter().zip(&pattern.rewrites) {
        let edit = &made.applied;
        let start = edit.span.start.saturating_add_signed(shift);
        let written = Span { start, end: start + edit.text.len() };
        shift += edit.text.len().cast_signed() - (edit.span.end - edit.span.start).cast_signed();
        if edit.text.trim().is_empty() || rewrite.template.is_empty() {
            continue;
        }
        let mut matcher = Matcher::new(patched, pattern, written, steps);
        let again = patched
            .ids()
            .filter(|id| patched.node(*id).span.start <= written.start && written.end <= patched.node(*id).span.end)
            .filter(|id| root_kind_fits(&pattern.before, patched.node(*id).kind))
            .any(|id| {
                let Some(found) = matcher.at(id) else { return false };
                let made = render(patched, id, &pattern.before, rewrite, &found);
                made.is_some_and(|made| {
                    !is_there_already(patched, &made, rewrite) && patched.slice(made.applied.span) != made.applied.text
                })
            });
        if again {
            return false;
        }
    }
    true
}
