//! Code that differs only in how it is written: parentheses that change nothing, the kind of quotes, a comma behind the last item.

use super::kinds;
use super::tree::{Fnv, NodeId, Tree};

/// Whether the two texts are the same code but for that. Never asked of code that is to be the same: it tells two developers
/// who made one edit from two who made different ones.
#[must_use]
pub fn same_edit(a: &Tree, b: &Tree) -> bool {
    let of = |tree: &Tree| *tree.outline.get_or_init(|| outline(tree));
    a.same_code(b) || of(a) == of(b)
}

/// A hash of the whole tree without what does not count.
fn outline(tree: &Tree) -> Option<u64> {
    let mut hashes: Vec<u64> = vec![0; tree.ids().len()];
    for id in tree.ids().rev() {
        let node = tree.node(id);
        let hash = match inside_parentheses(tree, id) {
            Some(inner) => hashes.get(inner).copied()?,
            None => {
                let mut hash = Fnv::new();
                hash.add(node.kind.as_bytes());
                if node.children.is_empty() {
                    hash.add(tree.text_of(id).as_bytes());
                }
                for (place, child) in node.children.iter().enumerate() {
                    if counts(tree, id, place) {
                        hash.add(&hashes.get(*child)?.to_le_bytes());
                    }
                }
                hash.value()
            }
        };
        *hashes.get_mut(id)? = hash;
    }
    hashes.first().copied()
}

/// What parentheses hold that only group: those of a grammar's own kind, not of a call or a tuple.
fn inside_parentheses(tree: &Tree, id: NodeId) -> Option<NodeId> {
    let node = tree.node(id);
    let mut named = node.children.iter().copied().filter(|child| tree.node(*child).named);
    let only = named.next().filter(|_| node.kind == "parenthesized_expression")?;
    named.next().is_none().then_some(only)
}

/// Whether the child says more than how its parent is written.
fn counts(tree: &Tree, parent: NodeId, place: usize) -> bool {
    let children = &tree.node(parent).children;
    let Some(child) = children.get(place).map(|child| tree.node(*child)) else { return false };
    let quote = matches!(child.kind, "string_start" | "string_end" | "\"" | "'");
    if quote && tree.node(parent).kind == "string" {
        return false;
    }
    let closes = children.get(place + 1).is_some_and(|next| matches!(tree.text_of(*next), ")" | "]" | "}"));
    !(child.kind == "," && closes && kinds::is_list(tree.node(parent).kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Language;

    fn same(a: &str, b: &str) -> bool {
        let tree = |text: &str| Tree::parse(Language::Python, text).unwrap();
        same_edit(&tree(a), &tree(b))
    }

    #[test]
    fn another_way_to_write_it_is_the_same_edit() {
        assert!(same("if (a is None):\n    go()\n", "if a is None:\n    go()\n"));
        assert!(same("f('a', \"b\")\n", "f(\"a\", 'b',)\n"));
        assert!(same("x = {'a': ('b')}\n", "x = {\"a\": \"b\",}\n"));
        assert!(same("x = (a, b,)\n", "x = (a, b)\n"));
    }

    #[test]
    fn another_meaning_is_another_edit() {
        assert!(!same("x = a\n", "x = b\n"));
        assert!(!same("x = 'a'\n", "x = b'a'\n"));
        assert!(!same("x = (a,)\n", "x = (a)\n"));
        assert!(!same("x = (a + b) * c\n", "x = a + b * c\n"));
        assert!(!same("f(a)(b)\n", "f(a, b)\n"));
        assert!(!same("f(a)\n", "f\n"));
    }
}
