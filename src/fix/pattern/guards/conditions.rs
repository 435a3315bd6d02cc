//! Tests that no longer test: constant conditions and assertions, a comparison that assigns, a test turned around.

use super::change::{Change, callee_name, field, is_assignment};
use crate::fix::pattern::kinds;
use crate::fix::pattern::names;
use crate::fix::pattern::tree::{NodeId, Tree};

/// Whether an assertion no longer depends on anything.
pub fn constant_assert(change: &Change) -> Option<String> {
    let vacuous = |tree: &Tree, id: NodeId| {
        let kind = tree.node(id).kind;
        if kind == "assert_statement" {
            let condition = tree.node(id).children.iter().find(|child| tree.node(**child).named);
            return condition.is_some_and(|condition| is_true(tree, *condition));
        }
        let name = callee_name(tree, id);
        let asserts = kinds::is_call(kind) && (name.starts_with("assert") || name == "ok" || name == "expect");
        asserts && arguments_are_vacuous(tree, id)
    };
    change.more(vacuous).then(|| "it makes an assertion that is always true".to_owned())
}

fn arguments_are_vacuous(tree: &Tree, call: NodeId) -> bool {
    let Some(list) = tree.node(call).children.iter().find(|child| kinds::is_arguments(tree.node(**child).kind)) else {
        return false;
    };
    let named: Vec<NodeId> =
        tree.node(*list).children.iter().copied().filter(|child| tree.node(*child).named).collect();
    match named.as_slice() {
        [only] => kinds::is_constant(tree, *only),
        [a, b, ..] => tree.same(*a, tree, *b),
        [] => false,
    }
}

fn is_true(tree: &Tree, id: NodeId) -> bool {
    // A constant that is false fails on purpose.
    truth(tree, id) != Some(false) && (tree.node(id).kind == "tuple" || is_decided(tree, id))
}

/// The truth of a constant, negations followed; `None` for what is not constant.
pub fn truth(tree: &Tree, id: NodeId) -> Option<bool> {
    let node = tree.node(id);
    if matches!(node.kind, "not_operator" | "unary_expression" | "parenthesized_expression") {
        let inner = node.children.iter().rev().find(|child| tree.node(**child).named)?;
        let negates = node.children.first().is_some_and(|first| matches!(tree.text_of(*first), "not" | "!"));
        let value = truth_of_leaf(tree, *inner)?;
        return Some(value != negates);
    }
    truth_of_leaf(tree, id)
}

fn truth_of_leaf(tree: &Tree, id: NodeId) -> Option<bool> {
    if !kinds::is_constant(tree, id) {
        return None;
    }
    Some(!matches!(
        tree.text_of(id),
        "False" | "false" | "None" | "null" | "nil" | "undefined" | "0" | "0.0" | "0L" | "\"\"" | "''" | "``"
    ))
}

/// Whether the value of a test is known without running it: constant, without names, or decided by one constant operand.
fn is_decided(tree: &Tree, id: NodeId) -> bool {
    let free = tree.subtree(id).any(|inner| {
        names::is_free_name(tree, inner)
            || kinds::is_call(tree.node(inner).kind)
            || matches!(tree.node(inner).kind, "this" | "super")
    });
    if !free {
        return true;
    }
    let node = tree.node(id);
    if matches!(node.kind, "parenthesized_expression" | "not_operator" | "unary_expression") {
        return node.children.iter().any(|child| tree.node(*child).named && is_decided(tree, *child));
    }
    let operator = node.children.iter().find(|child| matches!(tree.text_of(**child), "and" | "&&" | "or" | "||"));
    let Some(operator) = operator else {
        let compares = matches!(node.kind, "comparison_operator" | "binary_expression");
        return compares && matches!(node.children.as_slice(), [a, _, b] if tree.same(*a, tree, *b));
    };
    let decides = matches!(tree.text_of(*operator), "or" | "||");
    node.children.iter().any(|child| child != operator && truth(tree, *child) == Some(decides))
}

/// Whether a condition is constant that was none.
pub fn constant_condition(change: &Change) -> Option<String> {
    let constant = |tree: &Tree, id: NodeId| {
        let node = tree.node(id);
        let condition = match node.kind {
            "conditional_expression" => node.children.get(2).copied(),
            _ => field(tree, id, "condition"),
        };
        condition.is_some_and(|condition| is_decided(tree, condition))
    };
    change.more(constant).then(|| "it makes a condition constant".to_owned())
}

/// Whether a comparison became an assignment.
pub fn comparison_assigned(change: &Change) -> Option<String> {
    let reason = || "it turns a comparison into an assignment".to_owned();
    let compares = |tree: &Tree, id: NodeId| {
        let node = tree.node(id);
        matches!(node.kind, "comparison_operator" | "binary_expression")
            && node
                .children
                .iter()
                .any(|child| matches!(tree.text_of(*child), "==" | "===" | "!=" | "!==" | "is" | "is not"))
    };
    for (old, new) in change.replacements() {
        let (before, after) = (unwrapped(&change.old, old), unwrapped(&change.new, new));
        let kind = change.new.node(after).kind;
        if compares(&change.old, before) && (is_assignment(kind) || kind == "keyword_argument") {
            return Some(reason());
        }
    }
    let in_condition = |tree: &Tree, id: NodeId| {
        matches!(tree.node(id).kind, "assignment_expression" | "named_expression")
            && tree.ancestors(id).take(3).any(|up| tree.node(up).field == Some("condition"))
    };
    let (gone, come) = change.balance(in_condition);
    let (compared, still) = change.balance(compares);
    (come > gone && compared > still).then(reason)
}

/// Without the statement or parentheses around it.
fn unwrapped(tree: &Tree, id: NodeId) -> NodeId {
    let mut at = id;
    while matches!(tree.node(at).kind, "expression_statement" | "parenthesized_expression") {
        match tree.node(at).children.iter().find(|child| tree.node(**child).named) {
            Some(inner) => at = *inner,
            None => break,
        }
    }
    at
}

/// Whether a test now says the opposite: `== None` and `is not None`, `== False` and no `not`.
pub fn turned_around(change: &Change) -> Option<String> {
    let pairs = change.gaps.iter().map(|gap| (gap.old_parent, gap.new_parent)).chain(change.replacements());
    for (old, new) in pairs {
        let (old, new) = (unwrapped(&change.old, old), unwrapped(&change.new, new));
        let (Some(before), Some(after)) = (sense(&change.old, old), sense(&change.new, new)) else { continue };
        if change.old.same(before.0, &change.new, after.0) && before.1 != after.1 {
            let negated = |tree: &Tree, id: NodeId| {
                tree.node(id).parent.map(|up| unwrap_up(tree, up)).is_some_and(|up| negation(tree, up))
            };
            if negated(&change.old, old) == negated(&change.new, new) {
                return Some("it turns a test into its opposite".to_owned());
            }
        }
    }
    None
}

fn unwrap_up(tree: &Tree, id: NodeId) -> NodeId {
    match tree.node(id).parent {
        Some(parent) if tree.node(id).kind == "parenthesized_expression" => parent,
        _ => id,
    }
}

fn negation(tree: &Tree, id: NodeId) -> bool {
    let node = tree.node(id);
    matches!(node.kind, "not_operator" | "unary_expression")
        && node.children.first().is_some_and(|first| matches!(tree.text_of(*first), "not" | "!"))
}

/// What a test is about, and whether it holds when that is true (present, equal) rather than false.
fn sense(tree: &Tree, id: NodeId) -> Option<(NodeId, bool)> {
    let node = tree.node(id);
    if negation(tree, id) {
        let inner = unwrapped(tree, *node.children.get(1)?);
        let (about, positive) = sense(tree, inner)?;
        return Some((about, !positive));
    }
    if !matches!(node.kind, "comparison_operator" | "binary_expression") {
        return tree.node(id).named.then_some((id, true));
    }
    let [left, operator, right] = node.children.as_slice() else { return None };
    let positive = match tree.text_of(*operator).split_whitespace().collect::<Vec<_>>().join(" ").as_str() {
        "==" | "===" | "is" | "in" => true,
        "!=" | "!==" | "<>" | "is not" | "not in" => false,
        _ => return None,
    };
    let (left_truth, right_truth) = (truth(tree, *left), truth(tree, *right));
    match (left_truth, right_truth) {
        (None, Some(value)) if is_singleton(tree, *right) => Some((*left, positive == value)),
        (Some(value), None) if is_singleton(tree, *left) => Some((*right, positive == value)),
        _ => Some((*left, positive)),
    }
}

fn is_singleton(tree: &Tree, id: NodeId) -> bool {
    matches!(tree.text_of(id), "True" | "False" | "None" | "true" | "false" | "null" | "nil" | "undefined")
}
