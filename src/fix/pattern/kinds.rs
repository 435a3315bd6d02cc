//! What syntax kinds mean, across the grammars: the only place that lists their names.

use super::tree::{NodeId, Tree};

/// A name that stands for a value; attribute and type names have kinds or roles of their own.
#[must_use]
pub fn is_identifier(kind: &str) -> bool {
    matches!(
        kind,
        "identifier" | "shorthand_property_identifier" | "shorthand_property_identifier_pattern" | "variable_name"
    )
}

/// Any kind of name.
#[must_use]
pub fn is_name(kind: &str) -> bool {
    matches!(kind, "identifier" | "variable_name")
        || kind.ends_with("_identifier")
        || kind.ends_with("_identifier_pattern")
}

/// A number, character or string. `None`, `true`, `null` are constants with a meaning of their own: no literals here.
#[must_use]
pub fn is_literal(tree: &Tree, id: NodeId) -> bool {
    let kind = tree.node(id).kind;
    match kind {
        "integer" | "float" | "number" | "character_literal" | "rune_literal" | "regex" | "text_block" => true,
        "simple_symbol" | "nowdoc" => true,
        "encapsed_string" => tree
            .subtree(id)
            .skip(1)
            .all(|inner| matches!(tree.node(inner).kind, "string_content" | "escape_sequence" | "\"")),
        "string_content" | "string_fragment" | "multiline_string_fragment" => true,
        "string" | "concatenated_string" | "template_string" => {
            !tree.subtree(id).any(|inner| matches!(tree.node(inner).kind, "interpolation" | "template_substitution"))
        }
        _ => {
            (kind.ends_with("_literal") && !matches!(kind, "composite_literal" | "func_literal" | "class_literal"))
                && !kind.ends_with("type_literal")
        }
    }
}

/// The list of a call's arguments.
#[must_use]
pub fn is_arguments(kind: &str) -> bool {
    matches!(kind, "argument_list" | "arguments")
}

/// A call or object creation.
#[must_use]
pub fn is_call(kind: &str) -> bool {
    matches!(
        kind,
        "call"
            | "call_expression"
            | "method_invocation"
            | "new_expression"
            | "object_creation_expression"
            | "implicit_object_creation_expression"
            | "invocation_expression"
            | "function_call_expression"
            | "member_call_expression"
            | "nullsafe_member_call_expression"
            | "scoped_call_expression"
            | "macro_invocation"
    )
}

/// The list of a function's parameters.
#[must_use]
pub fn is_parameters(kind: &str) -> bool {
    matches!(
        kind,
        "parameters"
            | "formal_parameters"
            | "lambda_parameters"
            | "parameter_list"
            | "method_parameters"
            | "block_parameters"
            | "closure_parameters"
    )
}

/// A node whose children are statements or members.
#[must_use]
pub fn is_block(kind: &str) -> bool {
    matches!(
        kind,
        "module"
            | "program"
            | "source_file"
            | "block"
            | "statement_block"
            | "statement_list"
            | "class_body"
            | "interface_body"
            | "enum_body"
            | "constructor_body"
            | "switch_body"
            | "switch_block"
            | "field_declaration_list"
            | "compilation_unit"
            | "declaration_list"
            | "compound_statement"
            | "body_statement"
            | "block_body"
    )
}

/// A node whose children are a list with separators.
#[must_use]
pub fn is_list(kind: &str) -> bool {
    is_arguments(kind)
        || is_parameters(kind)
        || matches!(
            kind,
            "list"
                | "tuple"
                | "set"
                | "dictionary"
                | "array"
                | "object"
                | "expression_list"
                | "pattern_list"
                | "array_initializer"
                | "literal_value"
                | "import_from_statement"
                | "named_imports"
                | "with_clause"
                | "decorated_definition"
                | "modifiers"
                | "hash"
                | "array_expression"
                | "tuple_expression"
                | "array_creation_expression"
                | "initializer_expression"
        )
}

/// A function, method or constructor, whatever it is called in the grammar.
#[must_use]
pub fn is_function(kind: &str) -> bool {
    matches!(
        kind,
        "function_definition"
            | "function_declaration"
            | "generator_function_declaration"
            | "function_expression"
            | "generator_function"
            | "arrow_function"
            | "method_definition"
            | "method_declaration"
            | "constructor_declaration"
            | "compact_constructor_declaration"
            | "func_literal"
            | "lambda"
            | "lambda_expression"
            | "method"
            | "singleton_method"
            | "function_item"
            | "closure_expression"
            | "local_function_statement"
            | "anonymous_function"
            | "anonymous_method_expression"
            | "destructor_declaration"
    )
}

/// Whether the first statement of a block is a text that says what the block is for, or how it is read: what is put at the top
/// of the block goes behind it.
#[must_use]
pub fn opens_with_text(tree: &Tree, block: NodeId) -> bool {
    let Some(first) = tree.node(block).children.first().filter(|_| is_block(tree.node(block).kind)) else {
        return false;
    };
    let inner: Vec<NodeId> = tree.node(*first).children.iter().copied().filter(|id| tree.node(*id).named).collect();
    tree.node(*first).kind == "expression_statement"
        && matches!(inner.as_slice(), [text] if tree.node(*text).kind.contains("string") && is_literal(tree, *text))
}

/// Whether a node of the first kind may be matched where the pattern has one of the second: a parameter with a note of its
/// type is a parameter.
#[must_use]
pub fn plays(kind: &str, wanted: &str) -> bool {
    kind == wanted || (is_defaulted(kind) && is_defaulted(wanted))
}

/// A parameter with a default value, in Python.
#[must_use]
pub fn is_defaulted(kind: &str) -> bool {
    matches!(kind, "default_parameter" | "typed_default_parameter")
}

/// A class-like declaration.
#[must_use]
pub fn is_class(kind: &str) -> bool {
    matches!(
        kind,
        "class_definition"
            | "class_declaration"
            | "class"
            | "abstract_class_declaration"
            | "interface_declaration"
            | "enum_declaration"
            | "record_declaration"
            | "type_declaration"
            | "singleton_class"
            | "struct_declaration"
            | "trait_declaration"
            | "struct_item"
            | "enum_item"
            | "trait_item"
            | "impl_item"
    )
}

/// An import, at the level of statements.
#[must_use]
pub fn is_import(kind: &str) -> bool {
    matches!(kind, "import_statement" | "import_from_statement" | "future_import_statement" | "import_declaration")
}

/// An expression whose value does not depend on anything.
#[must_use]
pub fn is_constant(tree: &Tree, id: NodeId) -> bool {
    matches!(
        tree.node(id).kind,
        "true"
            | "false"
            | "none"
            | "null"
            | "nil"
            | "null_literal"
            | "undefined"
            | "ellipsis"
            | "True"
            | "False"
            | "boolean"
    ) || is_literal(tree, id)
}

/// Whether a name's text is its meaning and never becomes a hole: callees, attributes, keyword names, exception and type names.
#[must_use]
pub fn is_fixed_name(tree: &Tree, id: NodeId) -> bool {
    let node = tree.node(id);
    if is_name(node.kind) && !is_identifier(node.kind) {
        return true;
    }
    let Some(parent) = node.parent else { return false };
    let outer = tree.node(parent);
    match (outer.kind, node.field) {
        (_, Some("function" | "constructor" | "attribute" | "property" | "field" | "type" | "method" | "macro")) => {
            true
        }
        ("member_access_expression" | "member_binding_expression", Some("name")) => true,
        ("scoped_identifier" | "qualified_name" | "attribute_item", _) => true,
        ("keyword_argument" | "method_invocation" | "pair" | "method_definition", Some("name" | "key")) => true,
        ("except_clause" | "decorator" | "dotted_name" | "type" | "catch_type" | "selector_expression", field) => {
            field != Some("operand") && field != Some("alias")
        }
        ("as_pattern" | "tuple", _) => in_except_header(tree, parent),
        _ => false,
    }
}

fn in_except_header(tree: &Tree, id: NodeId) -> bool {
    let header = |id: NodeId| tree.node(id).kind == "except_clause";
    tree.ancestors(id).take(2).any(header)
}
