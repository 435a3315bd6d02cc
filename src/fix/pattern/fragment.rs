//! Remembered scopes are parts of files: a method without its class, say. Reading them needs the right surroundings.

use std::sync::Arc;

use super::tree::Tree;
use crate::model::{Language, Span};

/// Surroundings in which a part of a file may stand, the plain one first.
fn surroundings(language: Language) -> &'static [(&'static str, &'static str)] {
    match language {
        Language::Java | Language::CSharp => {
            &[("", ""), ("class C {\n", "\n}\n"), ("class C { void f() {\n", "\n} }\n")]
        }
        // Without a tag a part would be markup, in which nothing can be wrong.
        Language::Php => &[("<?php\n", ""), ("<?php class C {\n", "\n}\n"), ("", "")],
        Language::Rust => &[("", ""), ("impl C {\n", "\n}\n"), ("fn f() {\n", "\n}\n")],
        Language::Ruby => &[("", ""), ("class C\n", "\nend\n")],
        Language::JavaScript | Language::TypeScript | Language::Tsx => {
            &[("", ""), ("class C {\n", "\n}\n"), ("async function f() {\n", "\n}\n")]
        }
        Language::Go => &[("", ""), ("package p\n", "\n"), ("package p\nfunc f() {\n", "\n}\n")],
        _ => &[("", "")],
    }
}

/// A part of a file, before and after a fix, read in the same surroundings.
#[derive(Debug, Clone)]
pub struct Pair {
    pub before: Tree,
    pub after: Arc<Tree>,
    /// Where the part begins in `before` and `after`.
    pub offset: usize,
}

impl Pair {
    /// Reads both with the fewest syntax errors; `None` when a text cannot be read at all.
    #[must_use]
    pub fn read(language: Language, before: &str, after: &str) -> Option<Self> {
        let mut best: Option<Self> = None;
        for (head, tail) in surroundings(language) {
            let tree = Tree::parse(language, &format!("{head}{before}{tail}")).ok()?;
            if best.as_ref().is_none_or(|best| tree.errors < best.before.errors) {
                let after = tree.becoming(&format!("{head}{after}{tail}")).ok()?;
                best = Some(Self { before: tree, after: Arc::new(after), offset: head.len() });
            }
            if best.as_ref().is_some_and(|best| best.before.errors == 0) {
                break;
            }
        }
        best
    }

    /// A span of the part, in `before`.
    #[must_use]
    pub fn span(&self, span: Span) -> Span {
        Span { start: span.start + self.offset, end: span.end + self.offset }
    }
}
