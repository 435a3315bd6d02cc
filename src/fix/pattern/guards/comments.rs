//! Comments and annotations that tell a detector to look away.

use super::change::Change;
use crate::model::Language;

/// In lower case without white space.
const MARKS: [&str; 33] = [
    "noqa",
    "nosec",
    "type:ignore",
    "pylint:disable",
    "pyright:ignore",
    "mypy:ignore",
    "eslint-disable",
    "tslint:disable",
    "nosonar",
    "codehealer:ignore",
    "codehealer-ignore",
    "codehealer:disable",
    "nolint",
    "@ts-ignore",
    "@ts-nocheck",
    "@ts-expect-error",
    "jshintignore",
    "biome-ignore",
    "nosemgrep",
    "lgtm[",
    "noinspection",
    "checkstyle:off",
    "skipcq",
    "pragma:nocover",
    "istanbulignore",
    "ast-grep-ignore",
    "gosec:disable",
    "rubocop:disable",
    "phpcs:ignore",
    "phpcs:disable",
    "@phpstan-ignore",
    "@psalm-suppress",
    "pragmawarningdisable",
];

/// Whether the candidate adds a comment or annotation that silences.
pub fn silencing(language: Language, before: &str, after: &str, change: Option<&Change>) -> Option<String> {
    let (old, new) = match change {
        Some(change) => (marks(in_comments(&change.old)), marks(in_comments(&change.new))),
        None => (marks(comment_lines(language, before)), marks(comment_lines(language, after))),
    };
    if new > old {
        return Some("it adds a comment that silences the detector".to_owned());
    }
    let annotated =
        |text: &str| text.matches("@SuppressWarnings").count() + text.matches("@SuppressFBWarnings").count();
    (annotated(after) > annotated(before)).then(|| "it adds an annotation that silences the detector".to_owned())
}

fn in_comments(tree: &crate::fix::pattern::tree::Tree) -> impl Iterator<Item = &str> {
    tree.comments.iter().map(|span| tree.slice(*span))
}

/// Without a grammar: the part of each line behind a comment sign.
fn comment_lines(language: Language, text: &str) -> impl Iterator<Item = &str> {
    let signs: &[&str] = match language {
        Language::Dockerfile | Language::Python | Language::Ruby | Language::Yaml => &["#"],
        Language::Hcl | Language::Php => &["#", "//", "/*"],
        _ => &["//", "/*"],
    };
    text.lines()
        .filter_map(move |line| signs.iter().filter_map(|sign| line.find(sign)).min().and_then(|at| line.get(at..)))
}

fn marks<'t>(comments: impl Iterator<Item = &'t str>) -> usize {
    comments
        .map(|comment| {
            let bare: String = comment.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
            MARKS.iter().map(|mark| bare.matches(mark).count()).sum::<usize>()
        })
        .sum()
}
