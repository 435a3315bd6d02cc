//! Import statements: what a file binds with them, and where a further one goes.
//!
//! A statement that is not there yet goes on its own line right after the last import at the top of
//! the file; with none, at the top after what must stay there (shebang, licence, docstring, `package`, `"use strict"`,
//! `from __future__`), with a blank line around. In Go it goes inside an existing `import ( … )`.

use crate::model::{Edit, Language, RepoPath, Span};

use super::syntax::{self, Node, Tree};

mod go;
mod java;
mod javascript;
pub mod known;
mod plain;
mod python;

pub(super) use go::other_names as other_package_names;
pub use javascript::{Modules, modules};

/// What an import statement binds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binding {
    /// The name in the file; `None` when it binds none, or (`Item::Star`) any number.
    pub name: Option<String>,
    /// Where it comes from, without JavaScript's `node:`.
    pub module: String,
    pub item: Item,
    /// Whether the statement is one of the file's top level.
    pub top: bool,
    /// Whether it holds for types only (TypeScript).
    pub type_only: bool,
}

/// Which part of a module a binding stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// The module itself, or its default export.
    Whole,
    Member(String),
    /// Everything it offers.
    Star,
    /// Loaded for its effect only.
    Nothing,
}

/// What the import statements of a file bind, in order, also those inside functions.
#[must_use]
pub fn bindings(language: Language, tree: &Tree) -> Vec<Binding> {
    let root = tree.root();
    let top_level = root.node_id();
    let mut found = Vec::new();
    for node in root.dfs() {
        let mut here = of_node(language, &node);
        if !here.is_empty() {
            let top = node.parent().is_some_and(|parent| parent.node_id() == top_level);
            here.iter_mut().for_each(|binding| binding.top = top);
            found.append(&mut here);
        }
    }
    found
}

/// What one node binds when it is an import statement.
pub(super) fn of_node(language: Language, node: &Node<'_>) -> Vec<Binding> {
    match language {
        Language::Python => python::bindings(node),
        Language::JavaScript | Language::TypeScript | Language::Tsx => javascript::bindings(node),
        Language::Java => java::bindings(node),
        Language::Go => go::bindings(node),
        Language::CSharp | Language::Php | Language::Ruby | Language::Rust => plain::bindings(node),
        Language::Dockerfile | Language::Hcl | Language::Yaml => Vec::new(),
    }
}

/// The edits that make `text` have these import statements: none when it has them, one otherwise.
///
/// A string that is anything but import statements of the language is passed over, since it may come from a memory
/// or a message. JavaScript statements are rewritten to the module system of the file.
#[must_use]
pub fn insert(language: Language, path: &RepoPath, text: &str, statements: &[String]) -> Vec<Edit> {
    if statements.is_empty() {
        return Vec::new();
    }
    let Some(tree) = syntax::parse(language, text) else { return Vec::new() };
    let mut bound = bindings(language, &tree);
    let modules = modules(path, text);
    let mut missing: Vec<String> = Vec::new();
    for statement in statements {
        let statement = statement.trim();
        let Some(wanted) = pure_import(language, statement) else { continue };
        if wanted.iter().all(|wanted| bound.iter().any(|have| satisfies(language, have, wanted))) {
            continue;
        }
        bound.extend(wanted.iter().cloned());
        missing.push(match language {
            Language::JavaScript | Language::TypeScript | Language::Tsx => {
                javascript::rendered(statement, &wanted, modules)
            }
            Language::CSharp | Language::Java | Language::Php | Language::Rust => {
                format!("{};", statement.trim_end_matches(';'))
            }
            _ => statement.to_owned(),
        });
    }
    if missing.is_empty() {
        return Vec::new();
    }
    let Some((offset, text)) = placed(language, text, &missing) else { return Vec::new() };
    vec![Edit { path: path.clone(), span: Span::new(offset, offset), text }]
}

/// What a statement binds, when it is import statements and nothing else.
fn pure_import(language: Language, statement: &str) -> Option<Vec<Binding>> {
    // What stands outside of `<?php` is markup.
    let tagged = if language == Language::Php { format!("<?php {statement}") } else { statement.to_owned() };
    let tree = syntax::parse(language, &tagged)?;
    let root = tree.root();
    if root.dfs().any(|node| node.is_error() || node.is_missing()) {
        return None;
    }
    let mut found = Vec::new();
    for node in root.named_children().filter(|node| node.kind() != "php_tag") {
        let here = of_node(language, &node);
        if here.is_empty() || !javascript::only_requires(&node) {
            return None;
        }
        found.extend(here.into_iter().map(|binding| Binding { top: true, ..binding }));
    }
    (!found.is_empty()).then_some(found)
}

/// Whether code that needs `wanted` can do with `have`.
fn satisfies(language: Language, have: &Binding, wanted: &Binding) -> bool {
    if !have.top || have.type_only && !wanted.type_only {
        return false;
    }
    match language {
        Language::Python if python::loads(have, wanted) => return true,
        Language::Java if java::covers(have, wanted) => return true,
        _ => {}
    }
    have.name == wanted.name && have.module == wanted.module && have.item == wanted.item
}

/// Where the statements go, and the text to insert there.
fn placed(language: Language, text: &str, statements: &[String]) -> Option<(usize, String)> {
    let tree = syntax::parse(language, text)?;
    let root = tree.root();
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    if language == Language::Go
        && let Some(place) = go::in_block(&root, text, statements, newline)
    {
        return Some(place);
    }
    let children: Vec<Node<'_>> = root.children().collect();
    let code = children.iter().take_while(|node| !is_definition(node));
    let last = code.filter(|node| is_anchor(language, node)).last();
    let block = statements.join(newline);
    if let Some(anchor) = last {
        let block = if anchor_has_semicolon(language, anchor) { block } else { without_semicolons(language, block) };
        return Some(after_line(text, anchor.range().end, "", &block, newline));
    }
    Some(at_top(text, header_end(language, &children, text), &block, newline))
}

/// Imports behind the first definition load late on purpose: nothing is added there.
fn is_definition(node: &Node<'_>) -> bool {
    matches!(
        node.kind().as_ref(),
        "function_definition"
            | "class_definition"
            | "decorated_definition"
            | "function_declaration"
            | "class_declaration"
            | "namespace_declaration"
            | "class"
            | "module"
            | "method"
            | "function_item"
            | "struct_item"
            | "mod_item"
    )
}

fn is_anchor(language: Language, node: &Node<'_>) -> bool {
    node.kind() != "future_import_statement" && !of_node(language, node).is_empty()
}

fn anchor_has_semicolon(language: Language, anchor: &Node<'_>) -> bool {
    !matches!(language, Language::JavaScript | Language::TypeScript | Language::Tsx) || anchor.text().ends_with(';')
}

fn without_semicolons(language: Language, block: String) -> String {
    match language {
        Language::JavaScript | Language::TypeScript | Language::Tsx => {
            let lines: Vec<&str> = block.lines().map(|line| line.trim_end_matches(';')).collect();
            lines.join("\n")
        }
        _ => block,
    }
}

/// An insertion behind the line that `offset` is on.
fn after_line(text: &str, offset: usize, lead: &str, block: &str, newline: &str) -> (usize, String) {
    // Some statements' nodes include their newline.
    let offset = if text.get(..offset).is_some_and(|head| head.ends_with('\n')) { offset - 1 } else { offset };
    match text.get(offset..).and_then(|rest| rest.find('\n')) {
        Some(length) => (offset + length + 1, format!("{lead}{block}{newline}")),
        None => (text.len(), format!("{newline}{lead}{block}")),
    }
}

/// An insertion at the top, below `header` bytes that must stay first, with a blank line on both sides.
fn at_top(text: &str, header: usize, block: &str, newline: &str) -> (usize, String) {
    if header == 0 {
        let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let blank = text.get(start..).is_none_or(|rest| rest.is_empty() || rest.starts_with(['\n', '\r']));
        let tail = if blank { "" } else { newline };
        return (start, format!("{block}{newline}{tail}"));
    }
    let (offset, mut inserted) = after_line(text, header, newline, block, newline);
    let rest = text.get(offset..).unwrap_or_default();
    if !rest.is_empty() && !rest.starts_with(['\n', '\r']) {
        inserted.push_str(newline);
    }
    (offset, inserted)
}

/// End of what must stay first; 0 when there is nothing of the kind.
fn header_end(language: Language, children: &[Node<'_>], text: &str) -> usize {
    let mut end = 0;
    for (index, node) in children.iter().enumerate() {
        let range = node.range();
        let kind = node.kind();
        let header = match kind.as_ref() {
            "comment" | "line_comment" | "block_comment" => {
                stands_alone(text, range.end, children.get(index + 1)) || is_interpreter_line(text, range.start)
            }
            "hash_bang_line" | "future_import_statement" | "package_declaration" | "package_clause" => true,
            "php_tag" | "namespace_definition" | "declare_statement" | "inner_attribute_item" => true,
            "expression_statement" => is_directive(language, node, end == 0 || only_comments(children, index)),
            _ => kind == ";" || kind == "\n",
        };
        if header {
            end = range.end;
        } else if !kind.contains("comment") {
            break;
        }
    }
    end
}

/// Whether a comment belongs to the file rather than to the code below it: a blank line or the end follows.
fn stands_alone(text: &str, end: usize, next: Option<&Node<'_>>) -> bool {
    let Some(next) = next else { return true };
    let gap = text.get(end..next.range().start).unwrap_or_default();
    gap.matches('\n').count() >= 2 || next.kind() == "future_import_statement" || next.kind().starts_with("package_")
}

/// Shebang and encoding lines, which count only on the first two lines.
fn is_interpreter_line(text: &str, start: usize) -> bool {
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let number = text.get(..start).map_or(0, |head| head.matches('\n').count());
    (number == 0 && line.starts_with("#!")) || (number < 2 && line.contains("coding"))
}

fn only_comments(children: &[Node<'_>], until: usize) -> bool {
    children.iter().take(until).all(|node| node.kind().contains("comment") || node.kind() == "hash_bang_line")
}

/// A docstring (first statement only) or a directive like `"use strict"`.
fn is_directive(language: Language, node: &Node<'_>, first: bool) -> bool {
    let Some(child) = node.child(0) else { return false };
    let string = child.kind() == "string" || child.kind() == "concatenated_string";
    string && (language != Language::Python || first)
}

#[cfg(test)]
mod tests;
