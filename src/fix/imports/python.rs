//! Python: `import a.b`, `import a as b`, `from a import b as c`, `from a import *`.

use super::{Binding, Item};
use crate::fix::syntax::Node;

pub(super) fn bindings(node: &Node<'_>) -> Vec<Binding> {
    match node.kind().as_ref() {
        "import_statement" => node.field_children("name").map(|name| module(&name)).collect(),
        "import_from_statement" => members(node),
        "future_import_statement" => {
            node.field_children("name").map(|name| member("__future__".to_owned(), &name)).collect()
        }
        _ => Vec::new(),
    }
}

fn module(name: &Node<'_>) -> Binding {
    let (module, alias) = with_alias(name);
    // Without an alias `import a.b` binds `a`.
    let bound = alias.unwrap_or_else(|| module.split('.').next().unwrap_or_default().to_owned());
    binding(Some(bound), module, Item::Whole)
}

fn members(node: &Node<'_>) -> Vec<Binding> {
    let from = node.field("module_name").map(|name| name.text().into_owned()).unwrap_or_default();
    let from: String = from.chars().filter(|c| !c.is_whitespace()).collect();
    if node.children().any(|child| child.kind() == "wildcard_import") {
        return vec![binding(None, from, Item::Star)];
    }
    node.field_children("name").map(|name| member(from.clone(), &name)).collect()
}

fn member(from: String, name: &Node<'_>) -> Binding {
    let (item, alias) = with_alias(name);
    binding(Some(alias.unwrap_or_else(|| item.clone())), from, Item::Member(item))
}

fn with_alias(name: &Node<'_>) -> (String, Option<String>) {
    match (name.field("name"), name.field("alias")) {
        (Some(original), Some(alias)) => (original.text().into_owned(), Some(alias.text().into_owned())),
        _ => (name.text().into_owned(), None),
    }
}

fn binding(name: Option<String>, module: String, item: Item) -> Binding {
    Binding { name, module, item, top: false, type_only: false }
}

/// `import a.b` also loads and binds `a`.
pub(super) fn loads(have: &Binding, wanted: &Binding) -> bool {
    let plain = |binding: &Binding| binding.name.as_deref() == binding.module.split('.').next();
    have.item == Item::Whole
        && wanted.item == Item::Whole
        && plain(have)
        && plain(wanted)
        && have.name == wanted.name
        && have.module.strip_prefix(&wanted.module).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
