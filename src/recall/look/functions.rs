//! The functions of a file that a model is asked about: named, short enough, and, where a base is known, changed.

use std::collections::BTreeMap;

use crate::detect::{ChangedLines, LineIndex};
use crate::fix::pattern::kinds::{is_class, is_function};
use crate::fix::pattern::tree::{NodeId, Tree};
use crate::model::{Fingerprint, Language, RepoPath, RepositoryId, RuleId, Span, sha256_hex};

/// Longest function that is looked at, lines; of a longer one, the functions inside of it are.
pub const LINES: usize = 80;
/// Longest function that is looked at, bytes: a line can be of any length.
const BYTES: usize = 8_000;
/// Longest name of a function, bytes; what is named longer is left alone.
const NAME_BYTES: usize = 160;

/// One function of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// With the names of what it stands in: `Shop.total`.
    pub name: String,
    /// How many functions of this name stand before it in the file.
    pub ordinal: usize,
    /// From the beginning of its first line to its end.
    pub span: Span,
    /// Its text.
    pub text: String,
}

impl Function {
    /// Identity of a claim of one kind about the function, whatever the function says by now and wherever it stands.
    #[must_use]
    pub fn fingerprint(&self, repository: &RepositoryId, rule: &RuleId, path: &RepoPath) -> Fingerprint {
        Fingerprint::of(repository, rule, path, &self.name, self.ordinal)
    }

    /// Its name and what it says, in short: equal for a function that was only moved.
    #[must_use]
    pub fn state(&self) -> String {
        let words: Vec<&str> = self.text.split_whitespace().collect();
        let hash = sha256_hex(&[words.join(" ").as_bytes()]);
        format!("{} {}", self.name, hash.get(..12).unwrap_or_default())
    }
}

/// The functions of a text, in order; with `changed`, those that have a changed line. None lies in another.
#[must_use]
pub fn functions(language: Language, text: &str, changed: Option<&ChangedLines>) -> Vec<Function> {
    let Ok(tree) = Tree::parse(language, text) else { return Vec::new() };
    let lines = LineIndex::new(text);
    let mut found = Vec::new();
    let mut ordinals: BTreeMap<String, usize> = BTreeMap::new();
    // Everything before this is part of a function that was taken.
    let mut taken = 0;
    for id in tree.ids() {
        let node = tree.node(id);
        if !is_function(node.kind) {
            continue;
        }
        let Some(name) = qualified(&tree, id).filter(|name| name.len() <= NAME_BYTES) else { continue };
        // Counted for every function, so that the number does not hang on which of them changed.
        let ordinal = ordinals.entry(name.clone()).or_default();
        let this = *ordinal;
        *ordinal += 1;
        let (first, last) =
            (lines.line(node.span.start), lines.line(node.span.end.saturating_sub(1).max(node.span.start)));
        let short = last - first < LINES && node.span.end - node.span.start <= BYTES;
        let is_changed = changed.is_none_or(|changed| changed.within(first, last));
        if node.span.start < taken || !short || !is_changed {
            continue;
        }
        let span = Span::new(begin(text, node.span.start), node.span.end);
        let Some(text) = text.get(span.range()) else { continue };
        taken = node.span.end;
        found.push(Function { name, ordinal: this, span, text: text.to_owned() });
    }
    found
}

/// Where the line begins, when nothing but white space stands before the place.
fn begin(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    if before.get(line..).is_some_and(|lead| lead.trim().is_empty()) { line } else { at }
}

/// The function's name behind those of the classes and functions around it; `None` when it has no name.
fn qualified(tree: &Tree, id: NodeId) -> Option<String> {
    let mut names = vec![name(tree, id)?];
    for outer in tree.ancestors(id) {
        let kind = tree.node(outer).kind;
        if is_function(kind) || is_class(kind) {
            names.extend(name(tree, outer));
        }
    }
    names.reverse();
    Some(names.join("."))
}

/// A declaration's own name, or that of the variable, property or key that a nameless function is kept under.
fn name(tree: &Tree, id: NodeId) -> Option<&str> {
    let field = |of: NodeId, wanted: &[&str]| {
        let mut children = tree.node(of).children.iter().copied();
        children.find(|child| tree.node(*child).field.is_some_and(|field| wanted.contains(&field)))
    };
    let plain =
        |id: NodeId| Some(tree.text_of(id)).filter(|text| !text.is_empty() && !text.contains(char::is_whitespace));
    if let Some(named) = field(id, &["name"]).and_then(plain) {
        return Some(named);
    }
    // `impl Shop { … }` names a type.
    if tree.node(id).kind == "impl_item" {
        return field(id, &["type"]).and_then(plain);
    }
    let parent = tree.node(id).parent?;
    let keeps = matches!(
        tree.node(parent).kind,
        "variable_declarator"
            | "assignment_expression"
            | "assignment"
            | "pair"
            | "public_field_definition"
            | "field_definition"
    );
    if !keeps {
        return None;
    }
    field(parent, &["name", "left", "key", "property"]).and_then(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(language: Language, text: &str) -> Vec<String> {
        functions(language, text, None).into_iter().map(|one| one.name).collect()
    }

    #[test]
    fn functions_are_named_with_what_they_stand_in() {
        for (language, text, expected) in [
            (
                Language::Python,
                "def a():\n    def inner():\n        pass\n\nclass B:\n    @property\n    def c(self):\n        return 1\n",
                vec!["a", "B.c"],
            ),
            (
                Language::JavaScript,
                "function a() {}\nconst b = (x) => x;\nclass C { d() { return () => 1; } }\nconst o = { e: function () {} };\nrun(() => 1);\n",
                vec!["a", "b", "C.d", "e"],
            ),
            (Language::Go, "package p\n\nfunc A() {}\n\nfunc (s *Shop) B() {}\n", vec!["A", "B"]),
            (Language::Java, "class A { int b() { return 1; } A() {} }", vec!["A.b", "A.A"]),
            (Language::Rust, "fn a() {}\nimpl Shop { fn b(&self) {} }\n", vec!["a", "Shop.b"]),
            (Language::Ruby, "class A\n  def b\n    1\n  end\nend\n", vec!["A.b"]),
            (Language::Php, "<?php\nfunction a() {}\nclass B { function c() {} }\n", vec!["a", "B.c"]),
            (Language::CSharp, "class A { int B() { return 1; } }", vec!["A.B"]),
            (Language::TypeScript, "export const a = async (): Promise<void> => {};\n", vec!["a"]),
        ] {
            assert_eq!(names(language, text), expected, "{language}");
        }
        assert_eq!(names(Language::Yaml, "a: 1\n"), Vec::<String>::new());
    }

    #[test]
    fn only_changed_functions_are_told_and_their_number_does_not_hang_on_it() {
        let base = "def a():\n    return 1\n\n\ndef a():\n    return 2\n\n\ndef b():\n    return 3\n";
        let head = base.replace("return 2", "return 4");
        let changed = ChangedLines::between(base, &head);
        let found = functions(Language::Python, &head, Some(&changed));
        let told: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.ordinal)).collect();
        assert_eq!(told, [("a", 1)]);
        assert_eq!(found[0].text, "def a():\n    return 4");
    }

    #[test]
    fn of_a_long_function_the_short_ones_inside_are_looked_at() {
        let filler = "    x = 1\n".repeat(LINES);
        let text = format!("def long():\n{filler}    def short():\n        return 1\n    return short\n");
        assert_eq!(names(Language::Python, &text), ["long.short"]);
        let wide = format!("def wide():\n    return '{}'\n", "x".repeat(BYTES));
        assert_eq!(names(Language::Python, &wide), Vec::<String>::new());
    }

    #[test]
    fn a_claim_keeps_its_identity_when_the_function_changes_or_moves() {
        let of = |text: &str| functions(Language::Python, text, None).pop().unwrap();
        let (before, moved) =
            (of("def a(x):\n    return x\n"), of("# more\n\nif True:\n    def a(x):\n        return x\n"));
        let changed = of("def a(x, y):\n    return y\n");
        let (repository, rule, path) =
            (RepositoryId("1".into()), RuleId::new("model/off-by-one").unwrap(), RepoPath::new("a.py").unwrap());
        let identity = |one: &Function| one.fingerprint(&repository, &rule, &path);
        assert_eq!((identity(&before), before.state()), (identity(&moved), moved.state()));
        assert_eq!(identity(&before), identity(&changed));
        assert_ne!(before.state(), changed.state());
    }
}
