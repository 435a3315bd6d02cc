//! Where a change of a node's children lands in the bytes of its file, and how its text is laid out there.

use std::ops::Range;

use super::kinds;
use super::tree::{NodeId, Tree};
use crate::model::{Language, Span};

/// Children `range` of `parent` are what a change replaces; empty for an insertion before `range.start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub parent: NodeId,
    pub range: Range<usize>,
}

/// Text to put into a place. After each newline stands indentation relative to the line where the change begins.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    pub lead: &'a str,
    pub trail: &'a str,
    pub text: &'a str,
}

/// Where text goes, what stands around it there, and the indentation its further lines get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub span: Span,
    pub head: String,
    pub tail: String,
    pub indent: String,
}

impl Place {
    fn neighbours(&self, tree: &Tree) -> (Option<NodeId>, Option<NodeId>) {
        let children = &tree.node(self.parent).children;
        let before = self.range.start.checked_sub(1).and_then(|i| children.get(i));
        (before.copied(), children.get(self.range.end).copied())
    }

    /// Bytes of the children that are replaced; `None` for an insertion.
    #[must_use]
    pub fn replaced(&self, tree: &Tree) -> Option<Span> {
        let children = tree.node(self.parent).children.get(self.range.clone())?;
        let (first, last) = (children.first()?, children.last()?);
        Some(Span { start: tree.node(*first).span.start, end: tree.node(*last).span.end })
    }

    /// Finds the slot for a body; `None` when the place does not exist in the tree.
    #[must_use]
    pub fn slot(&self, tree: &Tree, body: Body<'_>) -> Option<Slot> {
        if let Some(span) = self.replaced(tree) {
            if body.text.is_empty() {
                return Some(self.deletion(tree, span));
            }
            let indent = line_indent(&tree.text, span.start).to_owned();
            return Some(Slot { span, head: String::new(), tail: String::new(), indent });
        }
        match self.neighbours(tree) {
            (Some(before), after) if body.lead.contains('\n') => Some(own_line_after(tree, before, after)),
            (Some(before), after) => Some(inline_after(tree, before, after, body)),
            (None, Some(after)) => Some(before_first(tree, after, body)),
            (None, None) => None,
        }
    }

    /// Whole lines go with their line ends; a list item goes with the space that set it apart.
    fn deletion(&self, tree: &Tree, span: Span) -> Slot {
        let text = &tree.text;
        let line_start = line_start(text, span.start);
        let line_end = text.get(span.end..).and_then(|rest| rest.find('\n')).map_or(text.len(), |i| span.end + i + 1);
        let before = text.get(line_start..span.start).unwrap_or_default();
        let after = Span { start: span.end, end: line_end };
        let span = if before.trim().is_empty() && blank_or_comment(tree, after) {
            Span { start: line_start, end: line_end }
        } else {
            self.inline_deletion(tree, span)
        };
        Slot { span, head: String::new(), tail: String::new(), indent: String::new() }
    }

    /// What was deleted, with the space after it, else with the space before it, unless two words would be glued.
    fn inline_deletion(&self, tree: &Tree, span: Span) -> Span {
        let (previous, next) = self.neighbours(tree);
        let start = previous.map_or(span.start, |id| tree.node(id).span.end);
        let end = next.map_or(span.end, |id| tree.node(id).span.start);
        let blank = |s: Span| tree.slice(s).bytes().all(|b| b == b' ' || b == b'\t');
        let (before, after) = (Span { start, end: span.start }, Span { start: span.end, end });
        let (space_before, space_after) = (blank(before) && start < span.start, blank(after) && span.end < end);
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let glues = tree.slice(Span { start: 0, end: start }).ends_with(word)
            && tree.text.get(end..).is_some_and(|rest| rest.starts_with(word));
        match (space_before, space_after) {
            (_, true) if space_before || !glues => Span { start: span.start, end },
            (true, false) if !glues => Span { start, end: span.end },
            _ => span,
        }
    }
}

fn own_line_after(tree: &Tree, before: NodeId, after: Option<NodeId>) -> Slot {
    let text = &tree.text;
    let end = tree.node(before).span.end;
    let line_end = text.get(end..).and_then(|rest| rest.find('\n')).map_or(text.len(), |i| end + i);
    let own_line = |id: &NodeId| starts_line(text, tree.node(*id).span.start) && tree.node(*id).named;
    let kind = tree.node(before).kind;
    let indent = match after.filter(own_line) {
        Some(next) => line_indent(text, tree.node(next).span.start).to_owned(),
        None if kinds::is_block(kind) => {
            let parent = tree.node(before).parent.unwrap_or(before);
            line_indent(text, tree.node(parent).span.start).to_owned()
        }
        None => {
            let outer = line_indent(text, tree.node(before).span.start);
            let unit = if kind != "{" {
                ""
            } else if tree.language == Language::Go || outer.contains('\t') {
                "\t"
            } else {
                "    "
            };
            format!("{outer}{unit}")
        }
    };
    if blank_or_comment(tree, Span { start: end, end: line_end }) {
        let at = text.get(..line_end).map_or(line_end, |t| if t.ends_with('\r') { line_end - 1 } else { line_end });
        return Slot { span: Span { start: at, end: at }, head: format!("\n{indent}"), tail: String::new(), indent };
    }
    Slot { span: Span { start: end, end }, head: format!("\n{indent}"), tail: format!("\n{indent}"), indent }
}

/// Between two neighbours on a line: their space becomes the donor's, unless a line end or comment is in it.
fn inline_after(tree: &Tree, before: NodeId, after: Option<NodeId>, body: Body<'_>) -> Slot {
    let end = tree.node(before).span.end;
    let indent = line_indent(&tree.text, end).to_owned();
    let between = after.map(|after| Span { start: end, end: tree.node(after).span.start });
    let plain = |span: &Span| {
        let text = tree.slice(*span);
        text.bytes().all(|b| b == b' ') && !body.trail.contains('\n')
    };
    if let Some(span) = between.filter(plain) {
        return Slot { span, head: body.lead.to_owned(), tail: body.trail.to_owned(), indent };
    }
    Slot { span: Span { start: end, end }, head: body.lead.to_owned(), tail: String::new(), indent }
}

fn before_first(tree: &Tree, after: NodeId, body: Body<'_>) -> Slot {
    let start = tree.node(after).span.start;
    let indent = line_indent(&tree.text, start).to_owned();
    let tail = if body.trail.contains('\n') { format!("\n{indent}") } else { body.trail.to_owned() };
    Slot { span: Span { start, end: start }, head: String::new(), tail, indent }
}

fn blank_or_comment(tree: &Tree, span: Span) -> bool {
    match tree.comments_in(span).first() {
        Some(comment) => tree.slice(Span { start: span.start, end: comment.start }).trim().is_empty(),
        None => tree.slice(span).trim().is_empty(),
    }
}

/// First byte of the line that holds `at`.
#[must_use]
pub fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|head| head.rfind('\n')).map_or(0, |i| i + 1)
}

/// White space at the beginning of the line that holds `at`.
#[must_use]
pub fn line_indent(text: &str, at: usize) -> &str {
    let line = text.get(line_start(text, at)..).unwrap_or_default();
    let width = line.len() - line.trim_start_matches([' ', '\t']).len();
    line.get(..width).unwrap_or_default()
}

fn starts_line(text: &str, at: usize) -> bool {
    text.get(line_start(text, at)..at).is_some_and(|head| head.trim().is_empty())
}

/// Puts the indentation of the target behind every newline of relatively indented text, in the target's own kind of
/// white space. Blank lines stay blank; the last line may be continued by other text and is always indented.
#[must_use]
pub fn indented(text: &str, indent: &str) -> String {
    let last = text.matches('\n').count();
    let mut out = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number == 0 {
            out.push_str(line);
            continue;
        }
        out.push('\n');
        let rest = line.trim_start_matches([' ', '\t']);
        if rest.is_empty() && number < last {
            continue;
        }
        out.push_str(indent);
        let width = line.get(..line.len() - rest.len()).unwrap_or_default();
        if indent.contains('\t') && !width.contains('\t') {
            out.push_str(&"\t".repeat(width.len().div_ceil(4)));
        } else if indent.starts_with(' ') && width.contains('\t') {
            out.push_str(&width.replace('\t', "    "));
        } else {
            out.push_str(width);
        }
        out.push_str(rest);
    }
    out
}

/// Text of `span` without comments, its further lines indented relative to `indent`.
#[must_use]
pub fn relative(tree: &Tree, span: Span, indent: &str) -> String {
    let mut bare = String::with_capacity(span.end.saturating_sub(span.start));
    let mut at = span.start;
    for comment in tree.comments_in(span) {
        let head = tree.slice(Span { start: at, end: comment.start.max(at) });
        bare.push_str(if head.trim_end_matches([' ', '\t']).ends_with('\n') {
            head.trim_end_matches([' ', '\t', '\r', '\n'])
        } else {
            head.trim_end_matches([' ', '\t'])
        });
        at = comment.end.max(at).min(span.end);
    }
    bare.push_str(tree.slice(Span { start: at, end: span.end }));
    let mut lines = bare.split('\n').map(|line| line.trim_end_matches('\r'));
    let mut out = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        out.push('\n');
        let stripped = line.strip_prefix(indent).unwrap_or_else(|| line.trim_start_matches([' ', '\t']));
        out.push_str(stripped);
    }
    out
}
