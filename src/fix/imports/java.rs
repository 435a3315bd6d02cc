//! Java: `import a.B;`, `import a.*;`, `import static a.B.c;`.

use super::{Binding, Item};
use crate::fix::syntax::Node;

pub(super) fn bindings(node: &Node<'_>) -> Vec<Binding> {
    if node.kind() != "import_declaration" {
        return Vec::new();
    }
    let path = node.children().find(|child| matches!(child.kind().as_ref(), "scoped_identifier" | "identifier"));
    let Some(path) = path.map(|path| path.text().split_whitespace().collect::<String>()) else { return Vec::new() };
    let has = |kind: &str| node.children().any(|child| child.kind() == kind);
    if has("asterisk") {
        let item = if has("static") { Item::Member("*".to_owned()) } else { Item::Star };
        return vec![Binding { name: None, module: path, item, top: false, type_only: false }];
    }
    let (module, name) = path.rsplit_once('.').unwrap_or(("", &path));
    let item = Item::Member(name.to_owned());
    vec![Binding { name: Some(name.to_owned()), module: module.to_owned(), item, top: false, type_only: false }]
}

/// A star import of the package covers its classes.
pub(super) fn covers(have: &Binding, wanted: &Binding) -> bool {
    have.item == Item::Star && have.module == wanted.module
}
