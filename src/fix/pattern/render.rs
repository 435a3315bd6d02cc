//! Writing a matched pattern's rewrites into the bytes of a file.

use super::kinds;
use super::matching::{Binding, Match, at_path};
use super::splice::{Body, Place, Slot, indented, line_indent, line_start};
use super::tree::{NodeId, Tree};
use crate::model::{PatternNode, Rewrite, Span, TemplatePart};

/// Replaces the bytes of `span` by `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub span: Span,
    pub text: String,
}

/// An edit with the places, in its text, of the nodes it copied.
#[derive(Debug, Clone)]
pub struct Rendered {
    pub applied: Applied,
    /// The node whose children change.
    pub parent: NodeId,
    pub copies: Vec<(Span, NodeId)>,
}

/// Writes one rewrite at a match; `None` when the match gives it no place or a reference is unbound.
#[must_use]
pub fn render(tree: &Tree, root: NodeId, pattern: &PatternNode, rewrite: &Rewrite, found: &Match) -> Option<Rendered> {
    let (parent, slot) = slot(tree, root, pattern, rewrite, found)?;
    let mut text = slot.head.clone();
    let mut copies = Vec::new();
    for (index, part) in rewrite.template.iter().enumerate() {
        match part {
            TemplatePart::Text(literal) => text.push_str(&indented(literal, &slot.indent)),
            TemplatePart::Bound(id) => {
                let span = match found.bindings.get(id)? {
                    Binding::Node(node) => tree.node(*node).span,
                    Binding::Run(span) => span.unwrap_or(Span { start: 0, end: 0 }),
                };
                let start = text.len();
                let written = moved(tree, span, current_indent(&text, &slot));
                if doubles(&text, &written, rewrite.template.get(index + 1)) {
                    return None;
                }
                text.push_str(&written);
                if let Some(Binding::Node(node)) = found.bindings.get(id) {
                    copies.push((Span { start, end: text.len() }, *node));
                }
            }
        }
    }
    text.push_str(&slot.tail);
    Some(Rendered { applied: Applied { span: slot.span, text }, parent, copies })
}

/// Whether a name that gets underscores has them already.
fn doubles(before: &str, copied: &str, after: Option<&TemplatePart>) -> bool {
    let next = matches!(after, Some(TemplatePart::Text(text)) if text.starts_with('_'));
    (before.ends_with('_') && copied.starts_with('_')) || (next && copied.ends_with('_'))
}

fn slot(tree: &Tree, root: NodeId, pattern: &PatternNode, rewrite: &Rewrite, found: &Match) -> Option<(NodeId, Slot)> {
    let Some((from, to)) = rewrite.children else {
        let span = tree.node(root).span;
        let indent = line_indent(&tree.text, span.start).to_owned();
        return Some((root, Slot { span, head: String::new(), tail: String::new(), indent }));
    };
    let (parent, starts) = found.place(at_path(pattern, &rewrite.path))?;
    let mut place = Place { parent: *parent, range: *starts.get(from as usize)?..*starts.get(to as usize)? };
    let text = if rewrite.template.is_empty() { "" } else { "-" };
    let mut lead = rewrite.lead.as_str();
    if place.range == (0..0) && kinds::opens_with_text(tree, *parent) {
        (place.range, lead) = (1..1, "\n");
    }
    place.slot(tree, Body { lead, trail: &rewrite.trail, text }).map(|slot| (*parent, slot))
}

/// Indentation of the line that `text` has come to.
fn current_indent<'a>(text: &'a str, slot: &'a Slot) -> &'a str {
    if text.contains('\n') { line_indent(text, text.len()) } else { &slot.indent }
}

/// Code copied to a line of another indentation: its further lines move with it, those inside strings excepted.
fn moved(tree: &Tree, span: Span, indent: &str) -> String {
    let text = tree.slice(span);
    let from = line_indent(&tree.text, span.start);
    if from == indent || !text.contains('\n') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut at = span.start;
    for line in text.split_inclusive('\n') {
        let movable = at > span.start && line_start(&tree.text, at) == at && !inside_leaf(tree, at);
        match line.strip_prefix(from).filter(|_| movable) {
            Some(rest) => {
                out.push_str(indent);
                out.push_str(rest);
            }
            None => out.push_str(line),
        }
        at += line.len();
    }
    out
}

/// Whether a line that begins at this byte begins inside a token, such as a string over several lines.
fn inside_leaf(tree: &Tree, at: usize) -> bool {
    let node = tree.covering(Span { start: at, end: at });
    tree.is_leaf(node) && tree.node(node).span.start < at && at < tree.node(node).span.end
}
