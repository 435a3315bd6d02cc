//! Values that only look different: the same constant, the same code behind a name, the same danger in disguise.

use super::change::{Change, callee_name, field, is_assignment, is_expression_statement};
use super::conditions::truth;
use crate::fix::pattern::kinds;
use crate::fix::pattern::tree::{NodeId, Tree};

/// Calls that run or interpret the text they are given.
const SINKS: [&str; 27] = [
    "execute",
    "executemany",
    "executescript",
    "query",
    "raw",
    "exec",
    "execSync",
    "system",
    "popen",
    "run",
    "call",
    "check_call",
    "check_output",
    "Popen",
    "eval",
    "executeQuery",
    "executeUpdate",
    "prepareStatement",
    "createQuery",
    "createNativeQuery",
    "Query",
    "QueryRow",
    "Exec",
    "Command",
    "QueryContext",
    "ExecContext",
    "spawn",
];

/// Whether a statement computes something and throws it away.
pub fn useless_expression(change: &Change) -> Option<String> {
    let useless = |tree: &Tree, id: NodeId| {
        let node = tree.node(id);
        let idle = |inner: NodeId| {
            let kind = tree.node(inner).kind;
            !(kinds::is_call(kind)
                || is_assignment(kind)
                || matches!(
                    kind,
                    "await"
                        | "await_expression"
                        | "yield"
                        | "yield_expression"
                        | "update_expression"
                        | "ellipsis"
                        | "delete_expression"
                )
                || matches!(tree.text_of(inner), "delete" | "void" | "\"use strict\"" | "'use strict'"))
        };
        let string_only = node.children.first().is_some_and(|child| tree.node(*child).kind.contains("string"));
        let documents = string_only && node.parent.is_some_and(|up| tree.node(up).children.first() == Some(&id));
        is_expression_statement(node.kind) && !documents && tree.subtree(id).all(idle)
    };
    change.more(useless).then(|| "it leaves an expression whose value nobody uses".to_owned())
}

/// Whether a constant was only written in another way: `False` as `0`, `"MD5"` as `"md5"`, or a limit that is none.
pub fn same_constant(change: &Change) -> Option<String> {
    let mut only_spelling = !change.gaps.is_empty();
    for gap in &change.gaps {
        let pair = (gap.deleted(&change.old), gap.inserted(&change.new));
        let ([old], [new]) = pair else {
            only_spelling = false;
            continue;
        };
        let (before, after) = (change.old.text_of(*old), change.new.text_of(*new));
        let text = change.old.node(*old).kind.contains("string");
        only_spelling &= text && change.new.node(*new).kind.contains("string") && before.eq_ignore_ascii_case(after);
        let flag = matches!(change.old.node(*old).kind, "true" | "false");
        if flag && truth(&change.new, *new).is_some_and(|value| Some(value) == truth(&change.old, *old)) {
            return Some(format!("`{after}` means the same as `{before}`"));
        }
    }
    if only_spelling {
        return Some("it only changes the case of a string".to_owned());
    }
    let endless = |tree: &Tree, id: NodeId| {
        let name = |field_name| field(tree, id, field_name).map(|n| tree.text_of(n));
        tree.node(id).kind == "keyword_argument"
            && name("name") == Some("timeout")
            && matches!(name("value"), Some("None" | "0"))
    };
    change.more(endless).then(|| "a timeout of None is no timeout".to_owned())
}

/// Whether the code at fault was only given a name, and is used by that name now.
pub fn moved_aside(change: &Change) -> Option<String> {
    for top in &change.deleted {
        let big = change.old.subtree(*top).filter(|id| change.old.node(*id).size >= 3 && change.old.node(*id).named);
        let outside_defaults = |id: &NodeId| {
            !std::iter::once(*id)
                .chain(change.old.ancestors(*id))
                .any(|up| change.old.node(up).kind.ends_with("default_parameter"))
        };
        for part in big.filter(outside_defaults) {
            let node = change.old.node(part);
            if !node.span.overlaps(change.finding) || !is_dynamic(&change.old, part) && !kinds::is_call(node.kind) {
                continue;
            }
            let named = change.all_inserted().any(|id| {
                change.new.same(id, &change.old, part)
                    && change.new.node(id).parent.is_some_and(|up| {
                        let target = matches!(change.new.node(id).field, Some("right" | "value"));
                        let list = change.new.node(up).kind == "expression_list";
                        (target && is_assignment(change.new.node(up).kind)) || list
                    })
            });
            let was_value = node.parent.is_some_and(|up| is_assignment(change.old.node(up).kind));
            if named && !was_value {
                return Some("it only gives the code at fault another name".to_owned());
            }
        }
    }
    None
}

/// Text built at run time: concatenation, formatting, interpolation.
fn is_dynamic(tree: &Tree, id: NodeId) -> bool {
    let node = tree.node(id);
    let holds_text = || tree.subtree(id).any(|inner| tree.node(inner).kind.contains("string"));
    match node.kind {
        "binary_operator" | "binary_expression" => {
            node.children.iter().any(|child| matches!(tree.text_of(*child), "+" | "%")) && holds_text()
        }
        "string" | "template_string" | "concatenated_string" => {
            tree.subtree(id).any(|inner| matches!(tree.node(inner).kind, "interpolation" | "template_substitution"))
        }
        kind if kinds::is_call(kind) => {
            matches!(callee_name(tree, id), "format" | "join" | "concat" | "Sprintf" | "formatted" | "replace")
                && holds_text()
        }
        _ => false,
    }
}

/// Whether the danger stays in other clothes: text built in another way for the same interpreter, a literal in pieces or
/// encoded, the function looked up by its name, or any exception called by its base.
pub fn disguised(change: &Change) -> Option<String> {
    for (old, new) in change.replacements() {
        if is_dynamic(&change.old, old) && is_dynamic(&change.new, new) && is_sunk(&change.new, new) {
            return Some("the text is still built at run time for the same interpreter".to_owned());
        }
        let literal = |tree: &Tree, id: NodeId| kinds::is_literal(tree, id) && tree.text_of(id).len() > 5;
        if literal(&change.old, old) && !kinds::is_literal(&change.new, new) {
            let copied = change.new.subtree(new).any(|id| change.new.same(id, &change.old, old));
            let decoded = change.new.subtree(new).any(|id| decodes(&change.new, id));
            if copied || decoded {
                return Some("the literal is still in the code".to_owned());
            }
        }
    }
    let pieces = |tree: &Tree, id: NodeId| {
        let node = tree.node(id);
        matches!(node.kind, "binary_operator" | "binary_expression")
            && matches!(node.children.as_slice(), [a, plus, b] if tree.text_of(*plus) == "+"
                && [a, b].iter().all(|side| tree.node(**side).kind.contains("string") && kinds::is_literal(tree, **side)))
    };
    if change.more(pieces) {
        return Some("it only breaks a literal into pieces".to_owned());
    }
    let looked_up = |tree: &Tree, id: NodeId| {
        kinds::is_call(tree.node(id).kind)
            && (matches!(callee_name(tree, id), "__import__" | "import_module" | "globals" | "forName")
                || (callee_name(tree, id) == "getattr"
                    && tree.node(id).parent.is_some_and(|up| kinds::is_call(tree.node(up).kind))))
    };
    let indexed = |tree: &Tree, id: NodeId| {
        matches!(tree.text_of(id), "window" | "globalThis" | "global" | "__builtins__")
            && tree.node(id).parent.is_some_and(|up| tree.node(up).kind.contains("subscript"))
    };
    if change.more(looked_up) || change.more(indexed) {
        return Some("it calls the same thing by way of its name".to_owned());
    }
    let catch_all = |tree: &Tree, id: NodeId| {
        tree.text_of(id) == "BaseException"
            && tree.ancestors(id).take(3).any(|up| tree.node(up).kind == "except_clause")
    };
    change.more(catch_all).then(|| "BaseException catches as much as a bare except".to_owned())
}

/// Whether the node is an argument of a call that interprets it.
fn is_sunk(tree: &Tree, id: NodeId) -> bool {
    let mut ups = tree.ancestors(id).filter(|up| tree.node(*up).kind != "parenthesized_expression");
    let list = ups.next().is_some_and(|up| kinds::is_arguments(tree.node(up).kind));
    list && ups.next().is_some_and(|call| SINKS.contains(&callee_name(tree, call)))
}

fn decodes(tree: &Tree, id: NodeId) -> bool {
    kinds::is_call(tree.node(id).kind)
        && matches!(
            callee_name(tree, id),
            "b64decode"
                | "fromhex"
                | "unhexlify"
                | "atob"
                | "fromCharCode"
                | "decode"
                | "decodeString"
                | "DecodeString"
        )
}
