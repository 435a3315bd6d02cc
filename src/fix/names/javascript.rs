//! Scopes and names of JavaScript and TypeScript. Types are left out: their names come from too many places.

use super::{At, Mode, Walk};
use crate::fix::imports;
use crate::fix::syntax::Node;
use crate::model::Language;

pub(super) fn visit<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    match node.kind().as_ref() {
        "identifier" | "shorthand_property_identifier" | "shorthand_property_identifier_pattern" => walk.name(node, at),
        // A class' own name; elsewhere a type.
        "type_identifier" if at.mode == Mode::Bind => walk.name(node, at),
        "import_statement" => {
            let names = imports::of_node(Language::TypeScript, node).into_iter().filter_map(|binding| binding.name);
            names.for_each(|name| walk.scopes.bind(at.scope, name));
        }
        "export_statement" if node.field("source").is_some() => {}
        "export_specifier" => walk.field(node, "name", at.using()),
        "namespace_export" => {}
        "variable_declarator" => walk.children_but(node, "name", at.binding(), at.using()),
        "for_in_statement" => walk.children_but(node, "left", at.binding(), at.using()),
        "function_declaration" | "generator_function_declaration" | "function_signature" => {
            walk.field(node, "name", at.binding());
            function(walk, node, at);
        }
        "function_expression" | "generator_function" | "arrow_function" | "method_definition" => {
            function(walk, node, at)
        }
        "class_declaration" | "abstract_class_declaration" | "class" | "internal_module" | "module" => {
            walk.field(node, "name", at.binding());
            let inner = walk.inner(at);
            walk.children_but(node, "name", inner.binding(), inner);
        }
        "enum_declaration" => {
            walk.field(node, "name", at.binding());
            let inner = walk.inner(at);
            node.dfs()
                .filter(|part| part.kind() == "property_identifier")
                .for_each(|part| walk.name(&part, inner.binding()));
            walk.field(node, "body", inner);
        }
        "catch_clause" => walk.children_but(node, "parameter", at.binding(), at.using()),
        "pair_pattern" => {
            walk.field(node, "key", at.using());
            walk.field(node, "value", at);
        }
        "assignment_pattern" | "object_assignment_pattern" => walk.children_but(node, "left", at, at.using()),
        "required_parameter" | "optional_parameter" => walk.children_but(node, "pattern", at.binding(), at.using()),
        "member_expression" | "subscript_expression" | "call_expression" | "decorator" => {
            walk.children(node, at.using())
        }
        "as_expression" | "satisfies_expression" => walk.node(node.child(0), at),
        "interface_declaration" | "type_alias_declaration" => {}
        "jsx_opening_element" | "jsx_self_closing_element" | "jsx_closing_element" => element(walk, node, at),
        kind if is_type(kind) => {}
        _ => walk.children(node, at),
    }
}

fn function<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    let inner = walk.inner(at);
    if node.kind() == "method_definition" {
        // Only a computed name holds identifiers.
        walk.field(node, "name", at.using());
    } else {
        walk.field(node, "name", inner.binding());
    }
    walk.field(node, "parameter", inner.binding());
    walk.field(node, "parameters", inner.binding());
    walk.field(node, "body", inner);
    node.field_children("decorator").for_each(|decorator| walk.node(Some(decorator), at.using()));
}

/// `<div>` is not a name, `<Panel>` is.
fn element<'t>(walk: &mut Walk<'t>, node: &Node<'t>, at: At) {
    for child in node.children() {
        let tag = child.kind() == "identifier" && child.text().starts_with(|c: char| c.is_lowercase());
        if !tag {
            walk.node(Some(child), At { mode: Mode::Use, ..at });
        }
    }
}

fn is_type(kind: &str) -> bool {
    kind.ends_with("_type") && kind != "computed_type"
        || matches!(
            kind,
            "type_annotation"
                | "type_arguments"
                | "type_parameters"
                | "type_query"
                | "type_predicate"
                | "asserts"
                | "type_predicate_annotation"
                | "asserts_annotation"
                | "index_signature"
                | "implements_clause"
                | "type_assertion"
        )
}
