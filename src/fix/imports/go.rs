//! Go: `import "a/b"`, `import x "a/b"`, grouped imports.

use super::{Binding, Item};
use crate::fix::syntax::Node;

pub(super) fn bindings(node: &Node<'_>) -> Vec<Binding> {
    if node.kind() != "import_declaration" {
        return Vec::new();
    }
    node.dfs().filter(|child| child.kind() == "import_spec").filter_map(|spec| binding(&spec)).collect()
}

fn binding(spec: &Node<'_>) -> Option<Binding> {
    let module = spec.field("path")?.text().trim_matches(['"', '`']).to_owned();
    let alias = spec.field("name").map(|name| name.text().into_owned());
    let (name, item) = match alias.as_deref() {
        Some(".") => (None, Item::Star),
        Some("_") => (None, Item::Nothing),
        Some(alias) => (Some(alias.to_owned()), Item::Whole),
        None => (Some(package_name(&module)), Item::Whole),
    };
    Some(Binding { name, module, item, top: false, type_only: false })
}

/// The name that a package most likely has, by its path: the last element that is not a version, `yaml` for `yaml.v3`.
fn package_name(path: &str) -> String {
    let version = |part: &&str| {
        let digits = part.strip_prefix('v').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    let last = path.rsplit('/').find(|part| !version(part)).unwrap_or(path);
    let (stem, _) = last.rsplit_once(".v").unwrap_or((last, ""));
    stem.to_owned()
}

/// Further names that a package may have when its path is not one word: `go-redis` is usually `redis`.
pub(in crate::fix) fn other_names(name: &str) -> Vec<String> {
    name.split(['-', '.'])
        .map(str::to_owned)
        .chain([name.replace(['-', '.'], ""), name.replace(['-', '.'], "_")])
        .collect()
}

/// A place inside the last `import ( … )`; `None` when there is none.
pub(super) fn in_block(root: &Node<'_>, text: &str, statements: &[String], newline: &str) -> Option<(usize, String)> {
    let declarations = root.children().filter(|node| node.kind() == "import_declaration");
    let list =
        declarations.filter_map(|node| node.children().find(|child| child.kind() == "import_spec_list")).last()?;
    let close = list.children().find(|child| child.kind() == ")")?.range().start;
    let specs: Vec<&str> = statements.iter().map(|s| s.strip_prefix("import").unwrap_or(s).trim()).collect();
    let line = text.get(..close)?.rfind('\n').map_or(0, |newline| newline + 1);
    let own_line = line > list.range().start && text.get(line..close)?.trim().is_empty();
    if own_line {
        let lines: String = specs.iter().map(|spec| format!("\t{spec}{newline}")).collect();
        return Some((line, lines));
    }
    let empty = !list.children().any(|child| child.kind() == "import_spec");
    Some((close, format!("{}{}", if empty { "" } else { "; " }, specs.join("; "))))
}
