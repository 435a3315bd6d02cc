//! Code that is gone: statements, branches, results, errors that nobody hears of.

use super::change::{Change, field, function_around, is_assignment, is_expression_statement};
use crate::fix::pattern::kinds;
use crate::fix::pattern::names;
use crate::fix::pattern::tree::{NodeId, Tree};
use crate::model::Language;

/// Whether an error is newly swallowed: a handler that does nothing, or an error value thrown away.
pub fn swallowed(change: &Change) -> Option<String> {
    let reason = || "it swallows an error".to_owned();
    if change.more(swallows) {
        return Some(reason());
    }
    let blank = |tree: &Tree, id: NodeId| {
        tree.language == Language::Go
            && tree.text_of(id) == "_"
            && tree
                .ancestors(id)
                .take(3)
                .any(|up| matches!(tree.node(up).kind, "short_var_declaration" | "assignment_statement"))
    };
    change.more(blank).then(reason)
}

fn swallows(tree: &Tree, id: NodeId) -> bool {
    let kind = tree.node(id).kind;
    match kind {
        "except_clause" | "catch_clause" => {
            let body = tree.node(id).children.iter().copied().rfind(|child| kinds::is_block(tree.node(*child).kind));
            body.is_some_and(|body| does_nothing(tree, body))
        }
        "call" => matches!(super::change::callee_name(tree, id), "suppress"),
        "call_expression" => {
            let handler = || {
                tree.subtree(id)
                    .find(|inner| matches!(tree.node(*inner).kind, "arrow_function" | "function_expression"))
            };
            super::change::callee_name(tree, id) == "catch"
                && handler().and_then(|f| field(tree, f, "body")).is_some_and(|body| does_nothing(tree, body))
        }
        "if_statement" => {
            let condition = field(tree, id, "condition").map(|c| tree.text_of(c)).unwrap_or_default();
            let body = field(tree, id, "consequence");
            condition.starts_with("err")
                && condition.ends_with("nil")
                && body.is_some_and(|body| does_nothing(tree, body))
        }
        _ => false,
    }
}

/// A body of nothing but `pass`, `...`, `continue`, `break`, an empty result or a bare word.
fn does_nothing(tree: &Tree, body: NodeId) -> bool {
    if !kinds::is_block(tree.node(body).kind) {
        return kinds::is_constant(tree, body) || tree.text_of(body) == "{}";
    }
    tree.node(body).children.iter().filter(|child| tree.node(**child).named).all(|statement| {
        let kind = tree.node(*statement).kind;
        let idle = matches!(kind, "pass_statement" | "continue_statement" | "break_statement" | "empty_statement");
        let constant = |id: &NodeId| !tree.node(*id).named || kinds::is_constant(tree, *id);
        let bare = (kind == "return_statement" || is_expression_statement(kind))
            && tree.node(*statement).children.iter().all(constant);
        idle || bare || (kind == "statement_list" && does_nothing(tree, *statement))
    })
}

/// Whether statements are gone that did something.
pub fn deleted(change: &Change) -> Option<String> {
    for gap in &change.gaps {
        let block = kinds::is_block(change.old.node(gap.old_parent).kind);
        let statements = |tree: &Tree, ids: &[NodeId]| {
            ids.iter().filter(|id| tree.node(**id).named && tree.node(**id).kind != "pass_statement").count()
        };
        let gone = gap.deleted(&change.old);
        let (before, after) = (statements(&change.old, gone), statements(&change.new, gap.inserted(&change.new)));
        if !block || before <= after {
            continue;
        }
        let matters = |id: &&NodeId| change.old.node(**id).named && !harmless(change, **id) && !lives_on(change, **id);
        if gone.iter().filter(matters).count() > after {
            return Some("it deletes a statement".to_owned());
        }
    }
    None
}

/// The statement stands elsewhere now, for example inside a new `with` or `try`.
fn lives_on(change: &Change, id: NodeId) -> bool {
    change.all_inserted().any(|new| change.new.same(new, &change.old, id))
}

/// Imports, debugger stops, code that cannot run, expressions without effect and assignments that nobody reads.
pub fn harmless(change: &Change, id: NodeId) -> bool {
    let old = &change.old;
    let node = old.node(id);
    let text = old.text_of(id);
    if names::is_import_statement(old, id)
        || matches!(node.kind, "pass_statement" | "debugger_statement" | "empty_statement")
    {
        return true;
    }
    if matches!(
        text.trim_end_matches(';'),
        "breakpoint()" | "pdb.set_trace()" | "ipdb.set_trace()" | "import pdb" | "debugger"
    ) {
        return true;
    }
    let managed = |kind: &str| matches!(kind, "with_statement" | "try_with_resources_statement" | "defer_statement");
    if text.trim_end_matches(';').ends_with(".close()") && change.more(|tree, id| managed(tree.node(id).kind)) {
        return true;
    }
    let siblings = node.parent.map(|parent| old.node(parent).children.as_slice()).unwrap_or_default();
    let place = siblings.iter().position(|sibling| *sibling == id);
    let dead = place.is_some_and(|place| {
        siblings.iter().take(place).any(|earlier| {
            matches!(old.node(*earlier).kind, "return_statement" | "raise_statement" | "throw_statement")
        })
    });
    let effect = old.subtree(id).any(|inner| {
        let kind = old.node(inner).kind;
        kinds::is_call(kind)
            || matches!(
                kind,
                "await"
                    | "yield"
                    | "await_expression"
                    | "yield_expression"
                    | "raise_statement"
                    | "return_statement"
                    | "assert_statement"
                    | "delete_statement"
            )
            || kinds::is_function(kind)
            || kinds::is_class(kind)
            || kind.ends_with("_clause")
    });
    dead || (!effect && (pure_expression(old, id) || unread_assignment(change, id)))
}

fn pure_expression(tree: &Tree, id: NodeId) -> bool {
    is_expression_statement(tree.node(id).kind)
        && !tree
            .subtree(id)
            .any(|inner| is_assignment(tree.node(inner).kind) || tree.node(inner).kind == "update_expression")
}

fn unread_assignment(change: &Change, id: NodeId) -> bool {
    let old = &change.old;
    let Some(assignment) = old.subtree(id).find(|inner| is_assignment(old.node(*inner).kind)) else { return false };
    let target = field(old, assignment, "left").or_else(|| field(old, assignment, "name"));
    let Some(target) = target.filter(|target| old.node(*target).size <= 2) else { return false };
    let name = old.text_of(target);
    let around = function_around(old, id).unwrap_or(0);
    let uses = old.subtree(around).filter(|inner| names::is_free_name(old, *inner) && old.text_of(*inner) == name);
    around != 0 && uses.count() == 1
}

/// Whether a function lost a result: a `return` gone, emptied or made constant.
pub fn lost_return(change: &Change) -> Option<String> {
    let gives = |tree: &Tree, id: NodeId| {
        let value = tree.node(id).children.iter().find(|child| tree.node(**child).named);
        tree.node(id).kind == "return_statement" && value.is_some_and(|value| !kinds::is_constant(tree, *value))
    };
    let count = |tree: &Tree| tree.ids().filter(|id| gives(tree, *id)).count();
    let removed: Vec<NodeId> = change.all_deleted().filter(|id| gives(&change.old, *id)).collect();
    let in_finally = |id: &NodeId| change.old.ancestors(*id).any(|up| change.old.node(up).kind == "finally_clause");
    let excused = !removed.is_empty() && removed.iter().all(in_finally);
    (count(&change.new) < count(&change.old) && !excused).then(|| "a function no longer returns what it did".to_owned())
}

/// Whether a branch, loop, handler, `raise` or `assert` is gone.
pub fn lost_branch(change: &Change) -> Option<String> {
    let groups: [(&[&str], &str); 3] = [
        (
            &[
                "if_statement",
                "elif_clause",
                "else_clause",
                "except_clause",
                "finally_clause",
                "catch_clause",
                "case_clause",
                "switch_case",
                "expression_case",
                "for_statement",
                "while_statement",
                "for_in_statement",
                "enhanced_for_statement",
                "with_statement",
                "try_with_resources_statement",
                "defer_statement",
                "synchronized_statement",
            ],
            "it deletes a branch or a loop",
        ),
        (&["raise_statement", "throw_statement"], "an error is no longer raised"),
        (&["assert_statement"], "it deletes an assertion"),
    ];
    let raises = change.balance(|tree, id| matches!(tree.node(id).kind, "raise_statement" | "throw_statement"));
    let suppressed = change
        .balance(|tree, id| kinds::is_call(tree.node(id).kind) && super::change::callee_name(tree, id) == "suppress");
    for (group, reason) in groups {
        let (gone, come) = change.balance(|tree, id| group.contains(&tree.node(id).kind) && !is_dead_branch(tree, id));
        let instead = raises.1.saturating_sub(raises.0) + suppressed.1;
        let excuse = if group.contains(&"raise_statement") { 0 } else { instead };
        if gone > come + excuse {
            return Some(reason.to_owned());
        }
    }
    None
}

/// `if False:`, `while 0:`, or an `else` with nothing in it.
fn is_dead_branch(tree: &Tree, id: NodeId) -> bool {
    let condition = field(tree, id, "condition").map(|c| tree.text_of(c));
    matches!(condition, Some("False" | "0" | "(false)" | "(0)"))
}
