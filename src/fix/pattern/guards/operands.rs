//! What a calculation was about: calls, variables and arguments that must still take part in it.

use std::collections::BTreeSet;

use super::change::{Change, callee_name, field, function_around, is_assignment};
use crate::fix::pattern::builtins;
use crate::fix::pattern::kinds;
use crate::fix::pattern::names;
use crate::fix::pattern::tree::{NodeId, Tree};

/// Calls that only change how a value is written or looked at.
const CONVERSIONS: [&str; 40] = [
    "str", "list", "dict", "set", "tuple", "bool", "int", "float", "repr", "bytes", "format", "getattr", "setattr",
    "hasattr", "has_key", "type", "iter", "keys", "toString", "valueOf", "String", "Number", "equals", "len", "encode",
    "decode", "join", "range", "Sprintf", "Sprint", "Errorf", "concat", "super", "deepcopy", "copy", "apply", "bind",
    "isEmpty", "unicode", "sorted",
];

/// Whether a call is gone and nothing that acts took its place.
pub fn lost_call(change: &Change) -> Option<String> {
    for (old, new) in change.replacements() {
        let call = kinds::is_call(change.old.node(old).kind) && !CONVERSIONS.contains(&callee_name(&change.old, old));
        let argument = change.old.subtree(old).any(|id| change.old.same(id, &change.new, new));
        if call && argument && !is_receiver_of(&change.old, old, new, change) {
            return Some(format!("the call of `{}` is gone", callee_name(&change.old, old)));
        }
    }
    let calls = |tree: &Tree, id: NodeId| {
        kinds::is_call(tree.node(id).kind)
            && !CONVERSIONS.contains(&callee_name(tree, id))
            && !in_callee(tree, id)
            && !in_lambda(tree, id)
    };
    let assigns = |tree: &Tree, id: NodeId| {
        let kind = tree.node(id).kind;
        is_assignment(kind) && kind != "variable_declarator"
    };
    let excusable: Vec<NodeId> =
        change.deleted.iter().copied().filter(|top| super::flow::harmless(change, *top)).collect();
    let gone = |id: &NodeId| {
        let acted = (calls(&change.old, *id) && !is_plain_argument(&change.old, *id))
            || (assigns(&change.old, *id) && is_read_still(change, *id));
        acted && !excusable.iter().any(|top| change.old.within(*id, *top))
    };
    let dropped = change.all_deleted().filter(gone).find(|id| !constant_default(change, *id));
    let come = change.all_inserted().filter(|id| calls(&change.new, *id) || assigns(&change.new, *id)).count();
    let gone = change.all_deleted().filter(gone).count();
    let excused = change.deleted.iter().all(|top| constant_default(change, *top));
    let name = dropped.map(|id| callee_name(&change.old, id)).filter(|name| !name.is_empty());
    (gone > come && !excused).then(|| match name {
        Some(name) => format!("the call of `{name}` is gone"),
        None => "an assignment is gone".to_owned(),
    })
}

/// A call without arguments inside another call: how the argument is come by, not what is done.
fn is_plain_argument(tree: &Tree, id: NodeId) -> bool {
    let empty = |id: &NodeId| kinds::is_arguments(tree.node(*id).kind) && tree.node(*id).children.len() == 2;
    let argument = tree.node(id).parent.is_some_and(|up| kinds::is_arguments(tree.node(up).kind));
    argument && tree.node(id).children.iter().any(empty)
}

/// Whether what an assignment sets is an attribute or element, or a name that the code that stays still mentions.
fn is_read_still(change: &Change, assignment: NodeId) -> bool {
    let target = field(&change.old, assignment, "left").or_else(|| field(&change.old, assignment, "name"));
    let Some(target) = target else { return true };
    let name = change.old.text_of(target);
    let bound_anew = change
        .all_inserted()
        .any(|id| change.new.node(id).kind == "as_pattern_target" && change.new.text_of(id) == name);
    let around = function_around(&change.old, assignment).unwrap_or(0);
    let stays = |id: &NodeId| !change.deleted.iter().any(|top| change.old.within(*id, *top));
    let mentioned = || {
        let uses = |id: &NodeId| names::is_free_name(&change.old, *id) && change.old.text_of(*id) == name && stays(id);
        change.old.subtree(around).any(|id| uses(&id))
    };
    !kinds::is_identifier(change.old.node(target).kind) || (!bound_anew && mentioned())
}

/// `lambda: f()` gives way to `f`: the call happens all the same.
fn in_lambda(tree: &Tree, id: NodeId) -> bool {
    let parent = tree.node(id).parent.map(|up| tree.node(up).kind);
    matches!(parent, Some("lambda" | "arrow_function"))
}

/// Whether the new code is what the old call's callee was: `lambda: f()` and `f`.
fn is_receiver_of(tree: &Tree, old: NodeId, new: NodeId, change: &Change) -> bool {
    let lambda = matches!(tree.node(old).kind, "lambda" | "arrow_function");
    lambda && change.new.node(new).named
}

/// A call that is the receiver of another: the chain counts once.
fn in_callee(tree: &Tree, id: NodeId) -> bool {
    let mut at = id;
    for up in tree.ancestors(id) {
        if kinds::is_call(tree.node(up).kind) {
            let object = matches!(tree.node(at).field, Some("function" | "object"));
            return object;
        }
        if !is_access(tree.node(up).kind) {
            return false;
        }
        at = up;
    }
    false
}

/// A default value, evaluated once, that gives way: `def f(now=time.time())`.
fn constant_default(change: &Change, id: NodeId) -> bool {
    std::iter::once(id)
        .chain(change.old.ancestors(id))
        .any(|up| change.old.node(up).kind.ends_with("default_parameter"))
}

/// Whether a variable or an argument took part before and does no longer.
pub fn lost_operand(change: &Change) -> Option<String> {
    let imported: BTreeSet<String> = names::imports(&change.old).into_iter().map(|import| import.name).collect();
    let bound_here: BTreeSet<&str> =
        change.all_deleted().filter(|id| is_binding(&change.old, *id)).map(|id| change.old.text_of(id)).collect();
    let there = change.inserted_texts();
    for id in change.all_deleted() {
        let old = &change.old;
        let name = old.text_of(id);
        let operand = names::is_free_name(old, id) && kinds::is_identifier(old.node(id).kind) && !is_api(old, id);
        let known =
            imported.contains(name) || builtins::contains(old.language, name) || name.starts_with(char::is_uppercase);
        if operand && !known && !bound_here.contains(name) && !in_type(old, id) && !there.contains(name) {
            let glued = there.iter().any(|text| text.trim_matches('_') == name.trim_matches('_'));
            if !glued && !still_near(change, id) && !stands_alone(change, id) {
                return Some(format!("`{name}` no longer takes part"));
            }
        }
    }
    lost_argument(change)
}

/// The callee of a call, or what an attribute chain that is called begins with: another function may do the work.
fn is_api(tree: &Tree, id: NodeId) -> bool {
    let mut at = id;
    for up in tree.ancestors(id) {
        let (field, kind) = (tree.node(at).field, tree.node(up).kind);
        let called = match kind {
            "method_invocation" | "member_call_expression" | "nullsafe_member_call_expression" => {
                field == Some("object")
            }
            "call" => matches!(field, Some("method" | "receiver")),
            "macro_invocation" => field == Some("macro"),
            _ => false,
        };
        if called || matches!(field, Some("function" | "constructor")) {
            return true;
        }
        if !is_access(kind) {
            return false;
        }
        at = up;
    }
    false
}

/// A name reached through another: `a.b`, `a::b`.
fn is_access(kind: &str) -> bool {
    matches!(
        kind,
        "attribute"
            | "member_expression"
            | "selector_expression"
            | "field_access"
            | "member_access_expression"
            | "field_expression"
            | "scoped_identifier"
            | "generic_function"
    )
}

fn is_binding(tree: &Tree, id: NodeId) -> bool {
    let mut at = id;
    for up in tree.ancestors(id).take(4) {
        let (kind, field) = (tree.node(up).kind, tree.node(at).field);
        if matches!(field, Some("left" | "alias"))
            || matches!(kind, "as_pattern_target" | "lambda_parameters" | "formal_parameters" | "parameters")
        {
            return true;
        }
        if matches!(
            (kind, field),
            (
                "variable_declarator"
                    | "named_expression"
                    | "arrow_function"
                    | "catch_clause"
                    | "catch_formal_parameter",
                Some("name" | "parameter")
            )
        ) {
            return true;
        }
        if !(kind.ends_with("_pattern") || matches!(kind, "pattern_list" | "tuple" | "expression_list")) {
            return false;
        }
        at = up;
    }
    false
}

fn in_type(tree: &Tree, id: NodeId) -> bool {
    tree.ancestors(id).take(6).any(|up| matches!(tree.node(up).kind, "type" | "type_annotation" | "type_arguments"))
}

/// Whether the same name is kept in the statement around: `x in d and d[x]` and `d.get(x)`.
fn still_near(change: &Change, id: NodeId) -> bool {
    let name = change.old.text_of(id);
    let gap = change.gaps.iter().find(|gap| gap.deleted(&change.old).iter().any(|top| change.old.within(id, *top)));
    let Some(gap) = gap else { return false };
    let new = &change.new;
    let statement = std::iter::once(gap.new_parent)
        .chain(new.ancestors(gap.new_parent))
        .take_while(|up| !kinds::is_block(new.node(*up).kind))
        .last()
        .filter(|up| !kinds::is_function(new.node(*up).kind) && !kinds::is_class(new.node(*up).kind));
    statement.is_some_and(|statement| new.subtree(statement).any(|leaf| new.is_leaf(leaf) && new.text_of(leaf) == name))
}

/// A whole statement that [`super::flow::deleted`] has judged already, or an operand of an expression without effect.
fn stands_alone(change: &Change, id: NodeId) -> bool {
    change.gaps.iter().any(|gap| {
        let holds = gap.deleted(&change.old).iter().any(|top| change.old.within(id, *top));
        holds && gap.inserted(&change.new).is_empty() && kinds::is_block(change.old.node(gap.old_parent).kind)
    })
}

/// Whether a call that stays the same call lost an argument that is no switch.
fn lost_argument(change: &Change) -> Option<String> {
    for gap in &change.gaps {
        let parent = gap.old_parent;
        let Some(call) = change.old.node(parent).parent.filter(|_| kinds::is_arguments(change.old.node(parent).kind))
        else {
            continue;
        };
        let Some(new_call) = change.new.node(gap.new_parent).parent else { continue };
        let count = |tree: &Tree, ids: &[NodeId]| {
            ids.iter().filter(|id| tree.node(**id).named && !is_switch(tree, **id)).count()
        };
        let (gone, come) =
            (count(&change.old, gap.deleted(&change.old)), count(&change.new, gap.inserted(&change.new)));
        let same_callee = callee_name(&change.old, call) == callee_name(&change.new, new_call);
        let renders = CONVERSIONS.contains(&callee_name(&change.old, call));
        let reused = gap
            .deleted(&change.old)
            .iter()
            .filter(|id| change.old.node(**id).named)
            .all(|id| change.all_inserted().any(|new| change.new.same(new, &change.old, *id)));
        if same_callee && !renders && gone > come && come == 0 && !reused {
            return Some(format!("the call of `{}` lost an argument", callee_name(&change.old, call)));
        }
    }
    None
}

/// `verify=False`, `shell=True`, `{ rejectUnauthorized: false }`: dropping it leaves the default.
fn is_switch(tree: &Tree, id: NodeId) -> bool {
    let node = tree.node(id);
    let constant = |id: NodeId| matches!(tree.node(id).kind, "true" | "false" | "none" | "null");
    let value = node.children.last().copied();
    match node.kind {
        "keyword_argument" | "pair" => value.is_some_and(constant),
        "object" => node.children.iter().filter(|child| tree.node(**child).named).all(|child| is_switch(tree, *child)),
        _ => false,
    }
}
