//! Whether two changes of one text are the same, or at least of the same shape.

use super::align;
use super::kinds;
use super::tree::{NodeId, Tree};
use crate::model::Language;

/// Whether the texts are the same code, white space and comments aside; where no grammar reads them, the same text.
#[must_use]
pub fn same_code(language: Language, a: &str, b: &str) -> bool {
    match (Tree::parse(language, a), Tree::parse(language, b)) {
        (Ok(left), Ok(right)) => left.same_code(&right),
        _ => a == b,
    }
}

/// What a change does, whatever the names and literals in it are: the kinds of the deleted and inserted syntax, in order.
/// `None` where no grammar reads the texts, or where they are the same code.
#[must_use]
pub fn shape(language: Language, before: &str, after: &str) -> Option<String> {
    let (old, new) = (Tree::parse(language, before).ok()?, Tree::parse(language, after).ok()?);
    let gaps = align::gaps(&old, &new);
    let outline = |tree: &Tree, tops: &[NodeId]| {
        let kinds = tops.iter().flat_map(|top| tree.subtree(*top)).filter(|id| !below_literal(tree, *id));
        kinds.map(|id| tree.node(id).kind).collect::<Vec<_>>().join(" ")
    };
    let one = |gap: &align::Gap| {
        let parent = old.node(gap.old_parent).kind;
        format!("{parent}: {} -> {}", outline(&old, gap.deleted(&old)), outline(&new, gap.inserted(&new)))
    };
    (!gaps.is_empty()).then(|| gaps.iter().map(one).collect::<Vec<_>>().join("; "))
}

/// What a literal is made of is no shape.
fn below_literal(tree: &Tree, id: NodeId) -> bool {
    tree.node(id).parent.is_some_and(|parent| kinds::is_literal(tree, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_and_comments_make_no_other_code() {
        let same = |a: &str, b: &str| same_code(Language::Python, a, b);
        assert!(same("x = f(a, b)\n", "x = f(a,\n      b)  # why\n"));
        assert!(!same("x = f(a, b)\n", "x = f(b, a)\n"));
    }

    #[test]
    fn a_shape_forgets_names_and_literals_and_keeps_the_rest() {
        let of = |before: &str, after: &str| shape(Language::Python, before, after);
        let none = of("if a == None:\n    go()\n", "if a is None:\n    go()\n");
        assert_eq!(none, of("if other == None:\n    stop(1)\n", "if other is None:\n    stop(1)\n"));
        assert_ne!(none, of("if a != None:\n    go()\n", "if a is not None:\n    go()\n"));
        let argument = of("get(url)\n", "get(url, timeout=10)\n");
        assert_eq!(argument, of("post(data)\n", "post(data, timeout=5)\n"));
        assert_eq!(of("a = 1\n", "a = 1  # one\n"), None);
    }
}
