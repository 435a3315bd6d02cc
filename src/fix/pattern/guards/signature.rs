//! What callers rely on: a function's name, parameters and result type; and defaults that lost their value.

use super::change::{Change, field, function_around};
use crate::fix::pattern::kinds;
use crate::fix::pattern::tree::{NodeId, Tree};
use crate::model::Language;

/// Whether a function's name or parameters changed, other than a default value or a type note.
pub fn changed(change: &Change) -> Option<String> {
    for gap in &change.gaps {
        let parent = gap.old_parent;
        let kind = change.old.node(parent).kind;
        let changes = |name: &str| gap.deleted(&change.old).iter().any(|id| change.old.node(*id).field == Some(name));
        let renamed = changes("name") && !is_hidden(&change.old, parent);
        if kinds::is_function(kind) && (renamed || changes("parameters") || changes("parameter")) {
            return Some("it changes the name or parameters of a function".to_owned());
        }
        let lists = (parameters_around(&change.old, parent), parameters_around(&change.new, gap.new_parent));
        if let (Some(before), Some(after)) = lists
            && parameters(&change.old, before) != parameters(&change.new, after)
        {
            return Some("it changes the parameters of a function".to_owned());
        }
    }
    None
}

/// Whether a later function of the same name and block takes the place of this one, or an earlier one of it: nobody can
/// call the one that was hidden.
fn is_hidden(tree: &Tree, function: NodeId) -> bool {
    let name = |id: NodeId| field(tree, id, "name").map(|name| tree.text_of(name));
    let bare = |id: NodeId| match tree.node(id).kind {
        "decorated_definition" => tree.node(id).children.last().copied().unwrap_or(id),
        _ => id,
    };
    let outer = tree.ancestors(function).find(|up| kinds::is_block(tree.node(*up).kind)).unwrap_or(0);
    let like = |child: &&NodeId| {
        let child = bare(**child);
        child != function && kinds::is_function(tree.node(child).kind) && name(child) == name(function)
    };
    tree.language == Language::Python && tree.node(outer).children.iter().any(|child| like(&child))
}

/// What callers see of each parameter: its name and whether it may be left out; where types are part of a signature, all of it.
fn parameters(tree: &Tree, list: NodeId) -> Vec<(String, bool)> {
    let named = tree.node(list).children.iter().filter(|child| tree.node(**child).named);
    named
        .map(|child| {
            let optional = ["value", "right"].iter().any(|name| field(tree, *child, name).is_some());
            let seen = match tree.language {
                Language::CSharp | Language::Go | Language::Java | Language::Php | Language::Rust => {
                    tree.text_of(*child)
                }
                _ => tree.text_of(*child).split([':', '=']).next().unwrap_or_default().trim_end_matches('?'),
            };
            (seen.split_whitespace().collect(), optional)
        })
        .collect()
}

/// The list of a function's parameters around a node, no other function's body in between.
fn parameters_around(tree: &Tree, id: NodeId) -> Option<NodeId> {
    std::iter::once(id).chain(tree.ancestors(id)).take_while(|up| !kinds::is_block(tree.node(*up).kind)).find(|up| {
        let of_function = tree.node(*up).parent.is_some_and(|outer| kinds::is_function(tree.node(outer).kind));
        kinds::is_parameters(tree.node(*up).kind) && of_function && tree.node(*up).field != Some("result")
    })
}

/// Whether a default became `None` and the body uses the parameter without asking for `None`.
pub fn default_without_guard(change: &Change) -> Option<String> {
    let new = &change.new;
    for (old_value, value) in change.replacements() {
        let emptied = new.node(value).kind == "none" && change.old.node(old_value).kind != "none";
        let Some(parameter) = new.node(value).parent.filter(|_| emptied) else { continue };
        if !matches!(new.node(parameter).kind, "default_parameter" | "typed_default_parameter") {
            continue;
        }
        let name = field(new, parameter, "name").map(|name| new.text_of(name)).unwrap_or_default();
        let body = function_around(new, parameter).and_then(|function| field(new, function, "body"));
        let Some(body) = body else { continue };
        let uses = |id: &NodeId| new.is_leaf(*id) && new.text_of(*id) == name && !kinds::is_fixed_name(new, *id);
        let used = new.subtree(body).any(|id| uses(&id));
        let asked = new.subtree(body).any(|id| uses(&id) && asks(new, id));
        if used && !asked {
            return Some(format!("the default of `{name}` is now None but the body does not handle None"));
        }
    }
    None
}

/// Whether this use of a name is a test of it: compared to `None`, negated, or a condition or operand of `and`, `or`, `if`.
fn asks(tree: &Tree, id: NodeId) -> bool {
    let Some(parent) = tree.node(id).parent else { return false };
    let outer = tree.node(parent);
    let tests_none = outer.kind == "comparison_operator" && tree.text_of(parent).contains("None");
    let condition = matches!(outer.kind, "if_statement" | "while_statement" | "elif_clause")
        && tree.node(id).field == Some("condition");
    tests_none || condition || matches!(outer.kind, "not_operator" | "boolean_operator" | "conditional_expression")
}
