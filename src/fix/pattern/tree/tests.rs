//! A text that was changed is read as one that was never anything else.

use proptest::prelude::*;

use super::*;

const PYTHON: &str = "import os\n\n\nclass A:\n    \"\"\"Text.\"\"\"\n\n    def f(self, a, b=None):\n        if a == None:  # why\n            return f\"{b} x\" + 'y'\n        with open(a) as g:\n            for line in g:\n                print(line, end=\"\")\n        return [x for x in b if x]\n\n\ndef last():\n    pass\n";
const SCRIPT: &str = "import a from 'b';\n\nfunction f(x, { y = 1 }) {\n  // why\n  if (x == null) return `${y} z`;\n  return x.map((v) => v / 2).filter(/a+/.test);\n}\n\nclass C {\n  get z() { return this.y; }\n}\n";

/// Everything that a tree says of its text, with the lines that the checks name to people.
fn told(tree: &Tree) -> (Vec<String>, Vec<Span>, usize) {
    let node = |id: NodeId| {
        let node = tree.node(id);
        format!("{} {:?} {} {:?} {:?} {}", node.kind, node.field, node.named, node.span, node.parent, node.hash)
    };
    let line = |node: language::Node<'_>| format!("{} in line {}", node.kind(), node.start_pos().line());
    let root = tree.parsed().root();
    let lines = root.dfs().map(line);
    (tree.ids().map(node).chain(lines).collect(), tree.comments.clone(), tree.errors)
}

fn piece() -> impl Strategy<Value = String> {
    let pieces = vec![
        "",
        "x",
        " = 1",
        "None",
        "(",
        ")",
        "\n",
        "\n    ",
        "f(a, b)",
        "# c",
        "\"",
        "'",
        "if a:\n        b()\n",
        "é",
        ",",
        "is",
    ];
    proptest::sample::select(pieces).prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_edited_tree_is_the_tree_of_the_edited_text(
        script in any::<bool>(), first in 0_usize..400, length in 0_usize..12, gap in 0_usize..60, second in 0_usize..12,
        texts in (piece(), piece()),
    ) {
        let (language, text) = if script { (Language::JavaScript, SCRIPT) } else { (Language::Python, PYTHON) };
        let at = |byte: usize| byte.min(text.len());
        let a = Span { start: at(first), end: at(first + length) };
        let b = Span { start: at(a.end + gap), end: at(a.end + gap + second) };
        let after = format!("{}{}{}{}{}", &text[..a.start], texts.0, &text[a.end..b.start], texts.1, &text[b.end..]);
        let old = Tree::parse(language, text).unwrap();
        let fresh = told(&Tree::parse(language, &after).unwrap());
        let edits = [(a, texts.0.as_str()), (b, texts.1.as_str())];
        prop_assert_eq!(&told(&old.edited(after.clone(), edits).unwrap()), &fresh, "edited: {}", after);
        prop_assert_eq!(&told(&old.becoming(&after).unwrap()), &fresh, "becoming: {}", after);
    }
}

#[test]
fn the_letters_before_a_string_are_a_token_of_their_own() {
    let tree = Tree::parse(Language::Python, "x = rb'a' + 'b'\n").unwrap();
    let leaves: Vec<&str> = tree.ids().filter(|id| tree.is_leaf(*id)).map(|id| tree.text_of(id)).collect();
    assert_eq!(leaves, ["x", "=", "rb", "'", "a", "'", "+", "'", "b", "'"]);
}
