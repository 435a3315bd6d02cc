//! Import statements of languages whose names are not followed: C#, PHP, Ruby and Rust. A statement stands for itself.

use super::{Binding, Item};
use crate::fix::syntax::Node;

/// `using X.Y;`, `use X\Y;`, `require "x"`, `use x::y;`: what it loads, and no name.
pub(super) fn bindings(node: &Node<'_>) -> Vec<Binding> {
    let module = match node.kind().as_ref() {
        // `using (var x = …)` is a statement of another kind.
        "using_directive" => statement(node, &["global", "using", "static"]),
        "namespace_use_declaration" => statement(node, &["use", "function", "const"]),
        // PHP uses traits inside of classes by the same kind of node.
        "use_declaration" if node.parent().is_none_or(|parent| parent.kind() != "declaration_list") => {
            statement(node, &["pub", "use"])
        }
        "call" => required(node),
        _ => None,
    };
    let binding = |module| Binding { name: None, module, item: Item::Nothing, top: false, type_only: false };
    module.map(binding).into_iter().collect()
}

/// The statement without its key words, white space and semicolon.
fn statement(node: &Node<'_>, words: &[&str]) -> Option<String> {
    let text = node.text();
    let rest = text.trim().trim_end_matches(';');
    let kept = rest.split_whitespace().skip_while(|word| words.contains(word));
    let module = kept.collect::<Vec<_>>().join(" ");
    (!module.is_empty()).then_some(module.trim_start_matches('\\').to_owned())
}

/// `x` of `require "x"`, for a text without anything inserted.
fn required(node: &Node<'_>) -> Option<String> {
    if node.field("receiver").is_some() || node.field("method")?.text() != "require" {
        return None;
    }
    let arguments = node.field("arguments")?;
    let mut named = arguments.children().filter(Node::is_named);
    let (text, None) = (named.next()?, named.next()) else { return None };
    let parts: Vec<Node<'_>> = text.children().filter(Node::is_named).collect();
    match parts.as_slice() {
        [content] if text.kind() == "string" && content.kind() == "string_content" => Some(content.text().into_owned()),
        _ => None,
    }
}
