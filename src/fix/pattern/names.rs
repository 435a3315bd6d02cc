//! Names of a file: what it imports, what it mentions, and what the language itself brings.

use std::collections::BTreeSet;

use super::builtins;
use super::kinds;
use super::tree::{NodeId, Tree};

/// One name bound by an import, with a statement that binds it and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub name: String,
    pub statement: String,
}

/// Every name that the file's imports bind, in source order. `import *` binds none that we know.
#[must_use]
pub fn imports(tree: &Tree) -> Vec<Import> {
    let mut found = Vec::new();
    for id in tree.ids() {
        let node = tree.node(id);
        match node.kind {
            "import_statement" if tree.text_of(id).contains(['\'', '"', '`']) => script_import(tree, id, &mut found),
            "import_statement" => python_import(tree, id, "", &mut found),
            "import_from_statement" => {
                let module = child_by_field(tree, id, "module_name").map(|m| tree.text_of(m)).unwrap_or_default();
                python_import(tree, id, module, &mut found);
            }
            "import_declaration" if tree.text_of(id).starts_with("import ") && tree.text_of(id).ends_with(';') => {
                java_import(tree.text_of(id), &mut found);
            }
            "import_spec" => go_import(tree, id, &mut found),
            "lexical_declaration" | "variable_declaration" => require(tree, id, &mut found),
            _ => {}
        }
    }
    found
}

/// Whether the statement imports: an import of the grammar, or `const x = require("y")`.
#[must_use]
pub fn is_import_statement(tree: &Tree, id: NodeId) -> bool {
    let mut found = Vec::new();
    let kind = tree.node(id).kind;
    if kinds::is_import(kind) || kind == "import_spec" {
        return true;
    }
    if matches!(kind, "lexical_declaration" | "variable_declaration") {
        require(tree, id, &mut found);
    }
    !found.is_empty()
}

fn child_by_field(tree: &Tree, id: NodeId, field: &str) -> Option<NodeId> {
    tree.node(id).children.iter().copied().find(|child| tree.node(*child).field == Some(field))
}

/// `import a.b, c as d` and `from m import x, y as z`.
fn python_import(tree: &Tree, id: NodeId, module: &str, found: &mut Vec<Import>) {
    for child in &tree.node(id).children {
        if tree.node(*child).field != Some("name") {
            continue;
        }
        let text = tree.text_of(*child);
        let alias = child_by_field(tree, *child, "alias").map(|alias| tree.text_of(alias));
        let first = text.split(['.', ' ']).next().unwrap_or_default();
        let statement =
            if module.is_empty() { format!("import {text}") } else { format!("from {module} import {text}") };
        found.push(Import { name: alias.unwrap_or(first).to_owned(), statement });
    }
}

/// `import a, * as b, { c as d } from "m"`.
fn script_import(tree: &Tree, id: NodeId, found: &mut Vec<Import>) {
    let Some(source) = child_by_field(tree, id, "source").map(|source| tree.text_of(source)) else { return };
    for inner in tree.subtree(id) {
        let node = tree.node(inner);
        let parent = node.parent.map(|parent| tree.node(parent).kind).unwrap_or_default();
        let (name, clause) = match (parent, node.kind) {
            ("import_clause", "identifier") => (tree.text_of(inner), tree.text_of(inner).to_owned()),
            ("namespace_import", "identifier") => (tree.text_of(inner), format!("* as {}", tree.text_of(inner))),
            (_, "import_specifier") => {
                let name = child_by_field(tree, inner, "alias").or_else(|| child_by_field(tree, inner, "name"));
                (name.map(|name| tree.text_of(name)).unwrap_or_default(), format!("{{ {} }}", tree.text_of(inner)))
            }
            _ => continue,
        };
        found.push(Import { name: name.to_owned(), statement: format!("import {clause} from {source};") });
    }
}

fn java_import(text: &str, found: &mut Vec<Import>) {
    let name = text.trim_end_matches(';').rsplit(['.', ' ']).next().unwrap_or_default();
    if name != "*" {
        found.push(Import { name: name.to_owned(), statement: text.to_owned() });
    }
}

/// `import m "path"`; without an alias the package is named by the last part of its path that is no version.
fn go_import(tree: &Tree, id: NodeId, found: &mut Vec<Import>) {
    let Some(path) = child_by_field(tree, id, "path").map(|path| tree.text_of(path)) else { return };
    let alias = child_by_field(tree, id, "name").map(|alias| tree.text_of(alias));
    let version = |part: &&str| part.strip_prefix('v').is_some_and(|n| n.parse::<u32>().is_ok());
    let last = path.trim_matches('"').rsplit('/').find(|part| !version(part)).unwrap_or_default();
    let name = alias.unwrap_or(last.split('.').next().unwrap_or_default());
    found.push(Import { name: name.to_owned(), statement: format!("import {}", tree.text_of(id)) });
}

/// `const a = require("m")` and `const { a, b } = require("m")`, one declarator only.
fn require(tree: &Tree, id: NodeId, found: &mut Vec<Import>) {
    let node = tree.node(id);
    let mut declarators = node.children.iter().copied().filter(|c| tree.node(*c).kind == "variable_declarator");
    let (Some(declarator), None) = (declarators.next(), declarators.next()) else { return };
    let is_require = |value: &NodeId| {
        tree.node(*value).kind == "call_expression"
            && child_by_field(tree, *value, "function").is_some_and(|callee| tree.text_of(callee) == "require")
    };
    let Some(value) = child_by_field(tree, declarator, "value").filter(is_require) else { return };
    let Some(target) = child_by_field(tree, declarator, "name") else { return };
    if tree.node(target).kind == "identifier" {
        found.push(Import { name: tree.text_of(target).to_owned(), statement: tree.text_of(id).to_owned() });
        return;
    }
    for child in &tree.node(target).children {
        if tree.node(*child).kind == "shorthand_property_identifier_pattern" {
            let name = tree.text_of(*child);
            let statement = format!("const {{ {name} }} = {};", tree.text_of(value));
            found.push(Import { name: name.to_owned(), statement });
        }
    }
}

/// Whether the node is a name that must be bound somewhere: no attribute, keyword name or key.
#[must_use]
pub fn is_free_name(tree: &Tree, id: NodeId) -> bool {
    let node = tree.node(id);
    let type_name = node.kind == "type_identifier";
    if !(kinds::is_identifier(node.kind) || type_name) || !tree.is_leaf(id) {
        return false;
    }
    let Some(parent) = node.parent else { return true };
    !matches!(
        (tree.node(parent).kind, node.field),
        (_, Some("attribute" | "property" | "field" | "method" | "macro"))
            | ("member_access_expression" | "member_binding_expression" | "scoped_identifier", Some("name"))
            | ("keyword_argument" | "method_invocation" | "method_definition", Some("name"))
            | ("pair", Some("key"))
    )
}

/// Texts of the free names below the node.
#[must_use]
pub fn free_names(tree: &Tree, id: NodeId) -> BTreeSet<&str> {
    tree.subtree(id).filter(|inner| is_free_name(tree, *inner)).map(|inner| tree.text_of(inner)).collect()
}

/// Names of `patched` that occur nowhere in `file`, are bound by none of `imports` and do not belong to the language.
/// Attribute and keyword names are not counted, but for those of the method's own object.
#[must_use]
pub fn foreign_names(file: &Tree, patched: &Tree, imports: &[String]) -> Vec<String> {
    let known = free_names(file, 0);
    let imported: BTreeSet<&str> =
        imports.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric() && c != '_')).collect();
    let there: BTreeSet<&str> = file.ids().filter(|id| file.is_leaf(*id)).map(|id| file.text_of(id)).collect();
    let own = patched.ids().filter_map(|id| own_attribute(patched, id)).filter(|name| !there.contains(name));
    let own: BTreeSet<String> = own.map(str::to_owned).collect();
    free_names(patched, 0)
        .into_iter()
        .filter(|name| !known.contains(name) && !imported.contains(name))
        .filter(|name| !builtins::contains(file.language, name))
        .map(str::to_owned)
        .chain(own)
        .collect()
}

/// The `b` of `self.b` or `this.b`.
fn own_attribute(tree: &Tree, id: NodeId) -> Option<&str> {
    let [object, _, name] = tree.node(id).children.as_slice() else { return None };
    let reached = matches!(tree.node(*name).field, Some("attribute" | "property" | "field"));
    (reached && matches!(tree.text_of(*object), "self" | "cls" | "this")).then(|| tree.text_of(*name))
}
