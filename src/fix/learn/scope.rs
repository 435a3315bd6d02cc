//! The surroundings of an edit: the function it lies in, what its names mean there, and the scope that is remembered.

use std::collections::BTreeSet;

use crate::fix::pattern::tree::{NodeId, Tree};
use crate::fix::pattern::{builtins, kinds, names};
use crate::model::{Language, Span};

use crate::fix::pattern::align::Gap;

/// What the names of an edit mean in the donor's file.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Names that the old file imports.
    imported: BTreeSet<String>,
    /// Names bound in the function that holds the edit.
    local: BTreeSet<String>,
    /// Inserted names that the donor's function had bound before the edit: a pattern must bind them.
    pub needs_binding: BTreeSet<String>,
    /// Inserted names with the import statements that bind them.
    pub imports: Vec<(String, String)>,
    /// Inserted names that the donor's file bound by itself, outside the function.
    pub inserted_names: Vec<String>,
}

impl Facts {
    /// Gathers what the inserted nodes of the gaps mention; `scope` is the function around the edit in the old tree.
    #[must_use]
    pub fn gather(old: &Tree, new: &Tree, gaps: &[&Gap], scope: NodeId) -> Self {
        let mut facts = Self {
            imported: names::imports(old).into_iter().map(|import| import.name).collect(),
            local: bound_names(old, scope),
            ..Self::default()
        };
        let in_old = names::free_names(old, 0);
        let brought = names::imports(new);
        let mut inserted: BTreeSet<&str> = BTreeSet::new();
        for gap in gaps {
            for top in new.node(gap.new_parent).children.get(gap.new.clone()).unwrap_or_default() {
                inserted.extend(names::free_names(new, *top));
            }
        }
        for name in inserted {
            if is_receiver(old.language, name) {
                // Every method has one; where there is none, the name stays unbound, which is checked.
            } else if facts.local.contains(name) {
                facts.needs_binding.insert(name.to_owned());
            } else if let Some(import) = brought.iter().find(|import| import.name == name) {
                facts.imports.push((name.to_owned(), import.statement.clone()));
            } else if in_old.contains(name) && !builtins::contains(old.language, name) {
                facts.inserted_names.push(name.to_owned());
            }
        }
        facts
    }

    /// Whether the name means the same everywhere: imported, or part of the language, and not bound in the function.
    #[must_use]
    pub fn is_global(&self, name: &str, language: Language) -> bool {
        let types = [Language::CSharp, Language::Java, Language::Ruby, Language::Rust];
        let type_like = types.contains(&language) && name.starts_with(char::is_uppercase);
        let known = type_like || self.imported.contains(name) || builtins::contains(language, name);
        known && (!self.local.contains(name) || is_receiver(language, name))
    }
}

/// What a method calls the object that it belongs to.
fn is_receiver(language: Language, name: &str) -> bool {
    language == Language::Python && matches!(name, "self" | "cls")
}

/// Names that parameters, assignments, loops and the like bind below the node.
#[must_use]
pub fn bound_names(tree: &Tree, scope: NodeId) -> BTreeSet<String> {
    tree.subtree(scope)
        .filter(|id| kinds::is_identifier(tree.node(*id).kind) && binds(tree, *id))
        .map(|id| tree.text_of(id).to_owned())
        .collect()
}

/// Whether a name is bound here, and not used.
pub fn binds(tree: &Tree, id: NodeId) -> bool {
    let mut at = id;
    for up in tree.ancestors(id).take(4) {
        let (field, kind) = (tree.node(at).field, tree.node(up).kind);
        if kinds::is_parameters(kind) || matches!(kind, "as_pattern_target" | "catch_formal_parameter" | "catch_clause")
        {
            return field != Some("body") && field != Some("value");
        }
        let role = matches!(
            (kind, field),
            (
                "assignment"
                    | "augmented_assignment"
                    | "for_statement"
                    | "for_in_clause"
                    | "for_in_statement"
                    | "range_clause"
                    | "short_var_declaration",
                Some("left")
            ) | (
                "variable_declarator"
                    | "named_expression"
                    | "var_spec"
                    | "default_parameter"
                    | "typed_default_parameter"
                    | "formal_parameter"
                    | "parameter_declaration"
                    | "enhanced_for_statement"
                    | "resource",
                Some("name")
            ) | ("required_parameter" | "optional_parameter", Some("pattern"))
                | ("except_clause", Some("alias"))
                | ("arrow_function" | "lambda_expression", Some("parameter" | "parameters"))
                | ("typed_parameter", _)
        );
        if role {
            return true;
        }
        let passes = kind.ends_with("_pattern")
            || matches!(
                kind,
                "pattern_list"
                    | "tuple"
                    | "list"
                    | "expression_list"
                    | "inferred_parameters"
                    | "parenthesized_expression"
            );
        if !passes {
            return false;
        }
        at = up;
    }
    false
}

/// The smallest function or class around a node, or the root.
#[must_use]
pub fn enclosing(tree: &Tree, id: NodeId) -> NodeId {
    let holds = |id: &NodeId| kinds::is_function(tree.node(*id).kind) || kinds::is_class(tree.node(*id).kind);
    std::iter::once(id).chain(tree.ancestors(id)).find(holds).unwrap_or(0)
}

/// The part of the old file that is remembered: the enclosing function or class, or else the statements of the file that
/// hold the edit and the finding.
#[must_use]
pub fn remembered(old: &Tree, root: NodeId, finding: Span, changed: Span) -> Span {
    let covering = old.covering(finding);
    let inner = common_ancestor(old, root, covering);
    let scope = enclosing(old, inner);
    if scope != 0 {
        return to_line_end(old, old.node(scope).span);
    }
    let wanted = Span { start: finding.start.min(changed.start), end: finding.end.max(changed.end) };
    let mut span = wanted;
    for child in &old.node(0).children {
        let statement = old.node(*child).span;
        if statement.overlaps(wanted) {
            span = Span { start: span.start.min(statement.start), end: span.end.max(statement.end) };
        }
    }
    to_line_end(old, span)
}

/// The lowest node that holds both.
#[must_use]
pub fn common_ancestor(tree: &Tree, a: NodeId, b: NodeId) -> NodeId {
    std::iter::once(a).chain(tree.ancestors(a)).find(|up| tree.within(b, *up)).unwrap_or(0)
}

/// An edit may reach to the end of the line, after a comment.
fn to_line_end(tree: &Tree, span: Span) -> Span {
    let rest = tree.text.get(span.end..).unwrap_or_default();
    let end = span.end + rest.find('\n').unwrap_or(rest.len());
    let tail = Span { start: span.end, end };
    let bare = tree.comments_in(tail).first().map_or(tail, |comment| Span { start: tail.start, end: comment.start });
    if tree.slice(bare).trim().is_empty() { Span { start: span.start, end } } else { span }
}

/// Text of a span without comments, and where two offsets of it have moved.
#[must_use]
pub fn without_comments(tree: &Tree, span: Span, finding: Span) -> (String, Span) {
    let mut out = String::with_capacity(span.end.saturating_sub(span.start));
    let mut moved = Span { start: 0, end: 0 };
    let mut at = span.start;
    let mut copy = |out: &mut String, from: usize, to: usize| {
        for (old, new) in [(finding.start, &mut moved.start), (finding.end, &mut moved.end)] {
            if from <= old {
                *new = out.len() + old.min(to) - from;
            }
        }
        out.push_str(tree.slice(Span { start: from, end: to }));
    };
    for comment in tree.comments_in(span) {
        let head = tree.slice(Span { start: at, end: comment.start.max(at) });
        let bare = head.trim_end_matches([' ', '\t']);
        let rest = tree.text.get(comment.end..span.end).unwrap_or_default();
        let ends_line = rest.is_empty() || rest.starts_with(['\n', '\r']);
        let keep = if !ends_line {
            head.len()
        } else if bare.ends_with('\n') {
            bare.trim_end_matches(['\n', '\r']).len()
        } else {
            bare.len()
        };
        copy(&mut out, at, at + keep);
        at = comment.end.clamp(at, span.end);
    }
    copy(&mut out, at, span.end);
    moved.start = moved.start.min(out.len());
    moved.end = moved.end.clamp(moved.start, out.len());
    (out, moved)
}
