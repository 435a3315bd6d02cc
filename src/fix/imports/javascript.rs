//! JavaScript and TypeScript: ES modules, `require`, and rewriting one to the other.

use super::{Binding, Item};
use crate::fix::syntax::{self, Node};
use crate::model::{Language, RepoPath};

/// The module system of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modules {
    /// `import` and `export`.
    Es,
    /// `require` and `module.exports`.
    Common,
}

/// The module system that a file uses. With no sign of either: the extension's, ES for TypeScript, else `CommonJS`, as Node does.
#[must_use]
pub fn modules(path: &RepoPath, text: &str) -> Modules {
    let language = Language::of(path).unwrap_or(Language::JavaScript);
    match path.extension() {
        Some("mjs" | "mts") => return Modules::Es,
        Some("cjs" | "cts") => return Modules::Common,
        _ => {}
    }
    let script = matches!(language, Language::JavaScript | Language::TypeScript | Language::Tsx);
    let Some(tree) = script.then(|| syntax::parse(language, text)).flatten() else { return Modules::Common };
    let root = tree.root();
    let es = root.children().any(|node| matches!(node.kind().as_ref(), "import_statement" | "export_statement"));
    let common = || root.children().any(|node| !required(&node).is_empty()) || text.contains("module.exports");
    if es || (language != Language::JavaScript && !common()) { Modules::Es } else { Modules::Common }
}

pub(super) fn bindings(node: &Node<'_>) -> Vec<Binding> {
    match node.kind().as_ref() {
        "import_statement" => imported(node),
        "lexical_declaration" | "variable_declaration" | "expression_statement" => required(node),
        _ => Vec::new(),
    }
}

fn imported(node: &Node<'_>) -> Vec<Binding> {
    let source = node.field("source").or_else(|| node.dfs().find(|child| child.kind() == "string"));
    let Some(module) = source.map(|source| module_name(&source.text())) else { return Vec::new() };
    let all_types = node.children().any(|child| matches!(child.kind().as_ref(), "type" | "typeof"));
    let mut found = Vec::new();
    for part in node.dfs() {
        let bound = match part.kind().as_ref() {
            "import_specifier" => {
                let Some(name) = part.field("name").map(|name| name.text().into_owned()) else { continue };
                let alias = part.field("alias").map_or_else(|| name.clone(), |alias| alias.text().into_owned());
                let item = if name == "default" { Item::Whole } else { Item::Member(name) };
                let type_only = part.children().any(|child| matches!(child.kind().as_ref(), "type" | "typeof"));
                Binding { type_only, ..binding(Some(alias), &module, item) }
            }
            "identifier" if is_whole(&part) => binding(Some(part.text().into_owned()), &module, Item::Whole),
            _ => continue,
        };
        found.push(Binding { type_only: bound.type_only || all_types, ..bound });
    }
    if found.is_empty() && node.children().all(|child| child.kind() != "import_clause") {
        found.push(binding(None, &module, Item::Nothing));
    }
    found
}

/// `import x from`, `import * as x from`, `import x = require(…)`.
fn is_whole(identifier: &Node<'_>) -> bool {
    let parent = identifier.parent();
    parent.is_some_and(|parent| {
        matches!(parent.kind().as_ref(), "import_clause" | "namespace_import" | "import_require_clause")
    })
}

/// `const x = require('m')`, `const { a, b: c } = require('m')`, `const y = require('m').y`, `require('m')`.
fn required(node: &Node<'_>) -> Vec<Binding> {
    if node.kind() == "expression_statement" {
        let module = node.child(0).and_then(|call| required_module(&call));
        return module.map(|module| binding(None, &module, Item::Nothing)).into_iter().collect();
    }
    if !matches!(node.kind().as_ref(), "lexical_declaration" | "variable_declaration") {
        return Vec::new();
    }
    node.children().filter(|child| child.kind() == "variable_declarator").flat_map(|child| declared(&child)).collect()
}

/// Whether a declaration calls `require` once for each name it declares, and nothing else.
pub(super) fn only_requires(node: &Node<'_>) -> bool {
    let count = |kind: &str| node.dfs().filter(|child| child.kind() == kind).count();
    let declarators = count("variable_declarator");
    declarators == 0 || (count("call_expression") == declarators && required(node).len() >= declarators)
}

fn declared(declarator: &Node<'_>) -> Vec<Binding> {
    let (Some(name), Some(value)) = (declarator.field("name"), declarator.field("value")) else { return Vec::new() };
    if let (Some(module), Some(property)) =
        (value.field("object").and_then(|object| required_module(&object)), value.field("property"))
    {
        let item = Item::Member(property.text().into_owned());
        return vec![binding(Some(name.text().into_owned()), &module, item)];
    }
    let Some(module) = required_module(&value) else { return Vec::new() };
    if name.kind() != "object_pattern" {
        return vec![binding(Some(name.text().into_owned()), &module, Item::Whole)];
    }
    let parts = name.named_children().filter_map(|part| match part.kind().as_ref() {
        "shorthand_property_identifier_pattern" => Some((part.text().into_owned(), part.text().into_owned())),
        "pair_pattern" => Some((part.field("key")?.text().into_owned(), part.field("value")?.text().into_owned())),
        _ => None,
    });
    parts.map(|(item, name)| binding(Some(name), &module, Item::Member(item))).collect()
}

/// The module that a `require('m')` call loads.
fn required_module(node: &Node<'_>) -> Option<String> {
    let called = node.kind() == "call_expression" && node.field("function")?.text() == "require";
    let argument = called.then(|| node.field("arguments")).flatten()?.named_children().next()?;
    (argument.kind() == "string").then(|| module_name(&argument.text()))
}

fn module_name(literal: &str) -> String {
    let name = literal.trim_matches(['\'', '"', '`']);
    name.strip_prefix("node:").unwrap_or(name).to_owned()
}

fn binding(name: Option<String>, module: &str, item: Item) -> Binding {
    Binding { name, module: module.to_owned(), item, top: false, type_only: false }
}

/// The statement in the module system of the file; as it is where it already fits.
pub(super) fn rendered(statement: &str, wanted: &[Binding], modules: Modules) -> String {
    let is_es = statement.starts_with("import");
    let simple = wanted.iter().all(|binding| !binding.type_only);
    if is_es == (modules == Modules::Es) || !simple {
        return statement.to_owned();
    }
    let source = if statement.contains("node:") { "node:" } else { "" };
    let Some(module) = wanted.first().map(|binding| format!("'{source}{}'", binding.module)) else {
        return statement.to_owned();
    };
    let mut lines: Vec<String> = Vec::new();
    let mut members: Vec<String> = Vec::new();
    for binding in wanted {
        match (&binding.name, &binding.item) {
            (Some(name), Item::Member(item)) if name == item => members.push(item.clone()),
            (Some(name), Item::Member(item)) if is_es => members.push(format!("{item}: {name}")),
            (Some(name), Item::Member(item)) => members.push(format!("{item} as {name}")),
            (Some(name), _) if is_es => lines.push(format!("const {name} = require({module});")),
            (Some(name), _) => lines.push(format!("import {name} from {module};")),
            (None, _) if is_es => lines.push(format!("require({module});")),
            (None, _) => lines.push(format!("import {module};")),
        }
    }
    if !members.is_empty() {
        let members = members.join(", ");
        lines.push(match is_es {
            true => format!("const {{ {members} }} = require({module});"),
            false => format!("import {{ {members} }} from {module};"),
        });
    }
    lines.join("\n")
}
