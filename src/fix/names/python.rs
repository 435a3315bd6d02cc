//! Scopes and names of Python.

use super::{At, FILE, Mode, Walk};
use crate::fix::imports::{self, Item};
use crate::fix::syntax::Node;
use crate::model::Language;

pub(super) fn visit<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    match node.kind().as_ref() {
        "identifier" => walk.name(node, at),
        "attribute" => walk.field(node, "object", at.using()),
        "subscript" | "call" => walk.children(node, at.using()),
        "keyword_argument" => walk.field(node, "value", at.using()),
        "import_statement" | "import_from_statement" | "future_import_statement" => import(walk, node, at),
        "function_definition" | "lambda" => function(walk, node, at),
        "class_definition" => class(walk, node, at),
        "list_comprehension" | "set_comprehension" | "dictionary_comprehension" | "generator_expression" => {
            let inner = walk.inner(at);
            walk.children(node, inner);
        }
        "assignment" | "for_statement" | "for_in_clause" | "type_alias_statement" => {
            walk.children_but(node, "left", at.binding(), at.using());
        }
        "except_clause" | "except_group_clause" => walk.children_but(node, "alias", at.binding(), at.using()),
        "named_expression" => {
            // Inside a comprehension it binds in the scope around.
            let around = walk.scopes.parents.get(at.scope).copied().unwrap_or(FILE);
            walk.field(node, "name", At { scope: around, mode: Mode::Bind });
            walk.children_but(node, "name", at.binding(), at.using());
        }
        "as_pattern" => alias(walk, node, at),
        "as_pattern_target" | "splat_pattern" => walk.children(node, at.binding()),
        "global_statement" | "nonlocal_statement" => walk.children(node, At { scope: FILE, mode: Mode::Bind }),
        "default_parameter" | "typed_default_parameter" => {
            walk.children_but(node, "name", at.binding(), at.using());
        }
        "typed_parameter" => walk.children_but(node, "type", at.using(), at.binding()),
        "case_pattern" => capture(walk, node, at),
        "keyword_pattern" => {
            for child in node.children().skip(1) {
                walk.node(Some(child), at.using());
            }
        }
        "dotted_name" => walk.node(node.child(0), at),
        _ => walk.children(node, at),
    }
}

fn import<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    for binding in imports::of_node(Language::Python, node) {
        walk.scopes.open.everything |= binding.item == Item::Star;
        if let Some(name) = binding.name {
            walk.scopes.bind(at.scope, name);
        }
    }
}

fn function<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    walk.field(node, "name", at.binding());
    let inner = walk.inner(at);
    walk.field(node, "type_parameters", inner.binding());
    walk.field(node, "parameters", inner.binding());
    walk.field(node, "return_type", inner);
    walk.field(node, "body", inner);
}

fn class<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    walk.field(node, "name", at.binding());
    let inner = walk.inner(at);
    walk.field(node, "type_parameters", inner.binding());
    walk.field(node, "superclasses", inner);
    walk.field(node, "body", inner);
}

/// `with a as b`, `except a as b`, `case a as b`.
fn alias<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    let mut behind = false;
    for child in node.children() {
        behind |= child.kind() == "as";
        let at = if behind { at.binding() } else { at.using() };
        walk.node(Some(child), at);
    }
}

/// A bare name in a pattern captures; a dotted one is a constant.
fn capture<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    for child in node.children() {
        let bare = child.kind() == "identifier" || (child.kind() == "dotted_name" && child.children().len() == 1);
        walk.node(Some(child), if bare { at.binding() } else { at.using() });
    }
}
