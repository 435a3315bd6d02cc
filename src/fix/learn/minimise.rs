//! Which part of a developer's change makes the finding go away: the smallest set of gaps, at most three.

use crate::fix::pattern::kinds;
use crate::fix::pattern::splice::{Body, Place, indented, line_indent, relative};
use crate::fix::pattern::tree::{NodeId, Tree};
use crate::model::Span;

use crate::fix::pattern::align::{self, Gap};

/// How many of the gaps nearest to the finding are tried alone, in pairs and in threes.
const NEAREST: [usize; 3] = [12, 8, 5];

/// A gap's text in the new tree, laid out relative to the line where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub lead: String,
    pub trail: String,
    /// Bytes of the inserted nodes in the new text; `None` for a deletion.
    pub inserted: Option<Span>,
    /// Indentation of the line where the change begins, in the new text.
    pub indent: String,
}

/// How the inserted nodes of a gap lie in the new text.
#[must_use]
pub fn layout(new: &Tree, gap: &Gap) -> Layout {
    let place = Place { parent: gap.new_parent, range: gap.new.clone() };
    let Some(span) = place.replaced(new) else {
        return Layout { lead: String::new(), trail: String::new(), inserted: None, indent: String::new() };
    };
    let children = &new.node(gap.new_parent).children;
    let before = gap.new.start.checked_sub(1).and_then(|i| children.get(i)).map(|id| new.node(*id).span.end);
    let after = children.get(gap.new.end).map(|id| new.node(*id).span.start);
    let space = |from: usize, to: usize| {
        let text = new.slice(Span { start: from, end: to });
        if text.contains('\n') { "\n".to_owned() } else { " ".repeat(usize::from(!text.is_empty())) }
    };
    let lead = before.map_or_else(String::new, |end| space(end, span.start));
    let trail = after.map_or_else(String::new, |start| space(span.end, start));
    Layout { lead, trail, inserted: Some(span), indent: line_indent(&new.text, span.start).to_owned() }
}

/// The old text with these gaps closed as in the new text, comments of the new text left out.
#[must_use]
pub fn patched(old: &Tree, new: &Tree, gaps: &[&Gap]) -> Option<String> {
    let mut edits = Vec::with_capacity(gaps.len());
    for gap in gaps {
        let layout = layout(new, gap);
        let text = layout.inserted.map(|span| relative(new, span, &layout.indent)).unwrap_or_default();
        let place = Place { parent: gap.old_parent, range: gap.old.clone() };
        let slot = place.slot(old, Body { lead: &layout.lead, trail: &layout.trail, text: &text })?;
        edits.push((slot.span, format!("{}{}{}", slot.head, indented(&text, &slot.indent), slot.tail)));
    }
    edits.sort_by_key(|(span, _)| *span);
    let mut out = String::with_capacity(old.text.len());
    let mut at = 0;
    for (span, text) in edits {
        out.push_str(old.text.get(at..span.start)?);
        out.push_str(&text);
        at = span.end;
    }
    out.push_str(old.text.get(at..)?);
    Some(out)
}

/// Gaps that belong together: another callee and its arguments change as one.
fn units<'g>(old: &Tree, gaps: &'g [Gap]) -> Vec<Vec<&'g Gap>> {
    let mut calls: Vec<NodeId> = gaps.iter().filter_map(|gap| changed_call(old, gap)).collect();
    calls.sort_unstable();
    let mut units: Vec<(Option<NodeId>, Vec<&Gap>)> = Vec::new();
    for gap in gaps {
        // The outermost such call, so that nested ones are one unit.
        let call = calls.iter().copied().find(|call| old.within(gap.old_parent, *call));
        match units.iter_mut().find(|(known, _)| call.is_some() && *known == call) {
            Some((_, unit)) => unit.push(gap),
            None => units.push((call, vec![gap])),
        }
    }
    units.into_iter().map(|(_, unit)| unit).collect()
}

/// The call whose callee the gap changes, or what it is called on: where that has a place of its own (`args.toString()` in Java), it
/// may become an argument (`Arrays.toString(args)`).
fn changed_call(old: &Tree, gap: &Gap) -> Option<NodeId> {
    let children = old.node(gap.old_parent).children.get(gap.old.clone())?;
    let callee = |id: NodeId| {
        let names =
            matches!(old.node(id).field, Some("function" | "constructor" | "name" | "object" | "receiver" | "scope"));
        old.node(id).parent.filter(|call| names && kinds::is_call(old.node(*call).kind))
    };
    let inside = || std::iter::once(gap.old_parent).chain(old.ancestors(gap.old_parent)).find_map(callee);
    children.iter().find_map(|child| callee(*child)).or_else(inside)
}

/// The smallest set of gaps that is `good`, nearest to the finding first; at most three, where a callee and its arguments
/// count as one. About fifty trials.
#[must_use]
pub fn smallest<'g>(
    old: &Tree,
    gaps: &'g [Gap],
    finding: Span,
    good: &dyn Fn(&[&'g Gap]) -> bool,
) -> Option<Vec<&'g Gap>> {
    let mut near = units(old, gaps);
    near.sort_by_key(|unit| unit.iter().map(|gap| distance(old, gap, finding)).min());
    for size in 1..=3 {
        let limit = NEAREST.get(size - 1).copied().unwrap_or(0);
        for chosen in subsets(near.len().min(limit), size) {
            let chosen: Vec<&'g Gap> = chosen.iter().filter_map(|index| near.get(*index)).flatten().copied().collect();
            if good(&chosen) {
                return Some(chosen);
            }
        }
    }
    None
}

fn distance(old: &Tree, gap: &Gap, finding: Span) -> usize {
    let place = Place { parent: gap.old_parent, range: gap.old.clone() };
    let at = align::start(old, gap);
    let span = place.replaced(old).unwrap_or(Span { start: at, end: at });
    if span.overlaps(finding) {
        return 0;
    }
    span.start.saturating_sub(finding.end).max(finding.start.saturating_sub(span.end)) + 1
}

/// Subsets of `0..count`, earlier elements first.
fn subsets(count: usize, size: usize) -> Vec<Vec<usize>> {
    let mut grown: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..size {
        let longer = |chosen: Vec<usize>| {
            let from = chosen.last().map_or(0, |last| last + 1);
            (from..count).map(move |index| chosen.iter().copied().chain([index]).collect())
        };
        grown = grown.into_iter().flat_map(longer).collect();
    }
    grown
}
