//! What inputs are made of: the cases of all rules of a language, cut along their syntax.

use std::collections::BTreeMap;

use codehealer::detect::RuleSet;
use codehealer::detect::parse;
use codehealer::detect::rule_tests::Cases;
use codehealer::model::{Language, RepoPath, Span};

use crate::curated_fixes::{all_cases, path_of};

/// Nodes of one text that are looked at; the largest texts have some thousands.
const MAX_NODES: usize = 4_000;

/// A text of a case, and where it pretends to be.
pub struct Text {
    pub path: RepoPath,
    pub text: String,
}

/// A piece of syntax: what it is and where it stands in its text.
#[derive(Clone)]
pub struct Piece {
    pub kind: String,
    pub span: Span,
}

/// All texts of a language, and their pieces by kind.
pub struct Corpus {
    pub language: Language,
    pub texts: Vec<Text>,
    by_kind: BTreeMap<String, Vec<(usize, Span)>>,
}

impl Corpus {
    pub fn of(language: Language, rules: &RuleSet) -> Self {
        let mut texts = Vec::new();
        for cases in all_cases() {
            let valid_for = rules.languages(&cases.id).expect("the rules compile");
            if valid_for.contains(&language) {
                let path = Some(path_of(&cases, language)).filter(|path| Language::of(path) == Some(language));
                // Where the path is of the rule's first language, a further one has the usual one.
                let path = path.unwrap_or_else(|| path_of(&Cases { path: None, ..cases.clone() }, language));
                texts.extend(texts_of(cases).map(|text| Text { path: path.clone(), text }));
            }
        }
        // Folders are listed in any order, and a seed must mean the same inputs everywhere.
        texts.sort_by(|a, b| (a.path.as_str(), &a.text).cmp(&(b.path.as_str(), &b.text)));
        let mut by_kind: BTreeMap<String, Vec<(usize, Span)>> = BTreeMap::new();
        for (number, text) in texts.iter().enumerate() {
            for piece in pieces(language, &text.text) {
                by_kind.entry(piece.kind).or_default().push((number, piece.span));
            }
        }
        Self { language, texts, by_kind }
    }

    /// Pieces of a kind in all texts.
    pub fn of_kind(&self, kind: &str) -> &[(usize, Span)] {
        self.by_kind.get(kind).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn slice(&self, (text, span): (usize, Span)) -> &str {
        self.texts.get(text).and_then(|text| text.text.get(span.range())).unwrap_or_default()
    }
}

fn texts_of(cases: Cases) -> impl Iterator<Item = String> {
    let fixed = cases.fixed.into_iter().flat_map(|fixed| [fixed.before, fixed.after]);
    cases.valid.into_iter().chain(cases.invalid).chain(fixed)
}

/// The named nodes of a text, outermost first; none when the parser gives up.
pub fn pieces(language: Language, text: &str) -> Vec<Piece> {
    let Ok(tree) = parse(language, text) else { return Vec::new() };
    let piece = |range: std::ops::Range<usize>, kind: String| Piece { kind, span: Span::new(range.start, range.end) };
    let root = tree.root();
    let named = root.dfs().filter(|node| node.is_named() && !node.range().is_empty()).take(MAX_NODES);
    named.map(|node| piece(node.range(), node.kind().into_owned())).collect()
}
