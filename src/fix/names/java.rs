//! Scopes and names of Java.

use super::{At, FILE, Mode, Walk};
use crate::fix::imports::{self, Item};
use crate::fix::syntax::Node;
use crate::model::Language;

pub(super) fn visit<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    match node.kind().as_ref() {
        "identifier" | "type_identifier" => walk.name(node, at),
        "import_declaration" => import(walk, node),
        "package_declaration" => package(walk, &node.text()),
        "class_declaration"
        | "interface_declaration"
        | "enum_declaration"
        | "record_declaration"
        | "annotation_type_declaration" => class(walk, node, at),
        "method_declaration" | "constructor_declaration" | "compact_constructor_declaration" => {
            walk.field(node, "name", at.binding());
            let inner = walk.inner(at);
            walk.children_but(node, "name", inner.binding(), inner);
        }
        "lambda_expression" => {
            let inner = walk.inner(at);
            walk.children_but(node, "parameters", inner.binding(), inner);
        }
        "inferred_parameters" => walk.children(node, at.binding()),
        "formal_parameters" => walk.children(node, at.using()),
        "formal_parameter"
        | "variable_declarator"
        | "enhanced_for_statement"
        | "catch_formal_parameter"
        | "resource"
        | "instanceof_expression"
        | "enum_constant"
        | "annotation_type_element_declaration" => {
            walk.children_but(node, "name", at.binding(), at.using());
        }
        "type_pattern" | "record_pattern_component" => pattern(walk, node, at),
        "type_parameter" => type_parameter(walk, node, at),
        "method_invocation" => call(walk, node, at),
        "field_access" => walk.node(qualifier(node, "object"), at.using()),
        "method_reference" | "scoped_type_identifier" | "scoped_identifier" => first(walk, node, at),
        "element_value_pair" => walk.field(node, "value", at.using()),
        "labeled_statement" => node.children().skip(1).for_each(|child| walk.node(Some(child), at.using())),
        "break_statement" | "continue_statement" => {}
        "switch_label" => labels(walk, node, at),
        "object_creation_expression" => {
            walk.scopes.open.members |= node.children().any(|child| child.kind() == "class_body");
            walk.children(node, at.using());
        }
        _ => walk.children(node, at),
    }
}

fn import(walk: &mut Walk<'_>, node: &Node<'_>) {
    for binding in imports::of_node(Language::Java, node) {
        walk.scopes.open.types |= binding.item == Item::Star;
        walk.scopes.open.everything |= binding.item == Item::Member("*".to_owned());
        package(walk, &binding.module);
        if let Some(name) = binding.name {
            walk.scopes.bind(FILE, name);
        }
    }
}

/// The first part of a package name begins qualified names: `com` in `com.shop.Cart.of()`.
fn package(walk: &mut Walk<'_>, text: &str) {
    let name = text.trim_start_matches("package").trim_start();
    let root = name.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
    walk.scopes.bind(FILE, root);
}

fn class<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    walk.field(node, "name", at.binding());
    let heritage = ["superclass", "super_interfaces", "extends_interfaces"];
    walk.scopes.open.members |= node.children().any(|child| heritage.contains(&child.kind().as_ref()));
    let inner = walk.inner(at);
    walk.children_but(node, "name", inner.binding(), inner);
}

/// A bare method call names a method of the class or one imported statically.
fn call<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    if node.field("object").is_none() {
        walk.field(node, "name", at.using());
    }
    walk.node(qualifier(node, "object"), at.using());
    walk.field(node, "arguments", at.using());
    walk.field(node, "type_arguments", at.using());
}

/// What stands before the dot.
fn qualifier<'t>(node: &Node<'t>, field: &str) -> Option<Node<'t>> {
    node.field(field)
}

/// Of `Map.Entry` and `Files::delete` the first part is a name; of `java.util.List` no part is, the whole is.
fn first<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    let Some(child) = node.child(0) else { return };
    let package = child.kind().contains("type_identifier") && child.text().starts_with(|c: char| c.is_lowercase());
    if !package {
        walk.node(Some(child), at.using());
    }
    node.children()
        .filter(|child| child.kind() == "type_arguments")
        .for_each(|child| walk.node(Some(child), at.using()));
}

/// `case RED` names a constant of another class; patterns and expressions are visited.
fn labels<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    node.children().filter(|child| child.kind() != "identifier").for_each(|child| walk.node(Some(child), at.using()));
}

/// `Type name`.
fn pattern<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    for child in node.children() {
        let mode = if child.kind() == "identifier" { Mode::Bind } else { Mode::Use };
        walk.node(Some(child), At { mode, ..at });
    }
}

fn type_parameter<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    for child in node.children() {
        let mode = if child.kind().contains("identifier") { Mode::Bind } else { Mode::Use };
        walk.node(Some(child), At { mode, ..at });
    }
}
