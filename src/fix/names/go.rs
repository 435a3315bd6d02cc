//! Scopes and names of Go.

use super::{At, FILE, Walk};
use crate::fix::imports::{self, Item};
use crate::fix::syntax::Node;
use crate::model::Language;

pub(super) fn visit<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    match node.kind().as_ref() {
        "identifier" | "type_identifier" | "package_identifier" => walk.name(node, at),
        "package_clause" => {}
        "import_declaration" => import(walk, node),
        "function_declaration" => {
            walk.field(node, "name", at.binding());
            function(walk, node, at);
        }
        "method_declaration" | "func_literal" => function(walk, node, at),
        "parameter_declaration"
        | "variadic_parameter_declaration"
        | "type_parameter_declaration"
        | "var_spec"
        | "const_spec" => walk.children_but(node, "name", at.binding(), at.using()),
        "type_spec" | "type_alias" => {
            walk.field(node, "name", at.binding());
            let inner = walk.inner(at);
            walk.children_but(node, "name", inner.binding(), inner);
        }
        "short_var_declaration" | "range_clause" | "receive_statement" => {
            walk.children_but(node, "left", at.binding(), at.using());
        }
        "type_switch_statement" => walk.children_but(node, "alias", at.binding(), at.using()),
        "selector_expression" => walk.field(node, "operand", at.using()),
        "index_expression" | "call_expression" => walk.children(node, at.using()),
        "qualified_type" => walk.field(node, "package", at.using()),
        "keyed_element" => element(walk, node, at),
        _ => walk.children(node, at),
    }
}

fn import(walk: &mut Walk<'_>, node: &Node<'_>) {
    for binding in imports::of_node(Language::Go, node) {
        walk.scopes.open.everything |= binding.item == Item::Star;
        let Some(name) = binding.name else { continue };
        if name.contains(['-', '.']) {
            imports::other_package_names(&name).into_iter().for_each(|other| walk.scopes.bind(FILE, other));
        }
        walk.scopes.bind(FILE, name);
    }
}

fn function<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    let inner = walk.inner(at);
    for field in ["receiver", "type_parameters", "parameters", "result", "body"] {
        walk.field(node, field, inner);
    }
}

/// The key of a composite literal may be a field's name.
fn element<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    if let Some(key) = node.field("key") {
        let bare = key.kind() == "identifier" || key.child(0).is_some_and(|child| child.kind() == "identifier");
        if !bare {
            walk.node(Some(key), at.using());
        }
    }
    walk.field(node, "value", at.using());
}
