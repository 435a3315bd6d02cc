//! Edits as values: applying them, finding the few that turn one text into another, and joining
//! those of several findings.

use std::ops::Range;

use crate::model::{Edit, RepoPath, Span};

use super::diff::{self, LineChange};

mod union;

pub use union::{Union, union};

/// Why edits cannot be applied to a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error(
        "the edit of bytes {start}..{end} lies outside the file of {length} bytes: make it for the file at the head commit"
    )]
    OutOfBounds { start: usize, end: usize, length: usize },
    #[error("byte {offset} is in the middle of a character: move the edit to its edge")]
    InsideCharacter { offset: usize },
    #[error("two edits change the same place at byte {offset}: join them into one")]
    Overlap { offset: usize },
}

/// The text with the edits made. Edits may come in any order; their spans refer to `text` as it is.
///
/// # Errors
/// When a span is reversed, outside the text or inside a character, or when two edits share a place. Two
/// insertions at the same offset share it, since their order would be a guess; an insertion at the
/// edge of a replacement does not.
pub fn apply(text: &str, edits: &[Edit]) -> Result<String, EditError> {
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    sorted.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let added: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut result = String::with_capacity(text.len() + added);
    let mut done = 0;
    let mut inserted_at = None;
    for edit in sorted {
        check_span(text, edit.span)?;
        let Span { start, end } = edit.span;
        if start < done || inserted_at == Some(start) && start == end {
            return Err(EditError::Overlap { offset: start });
        }
        result.push_str(slice(text, done..start));
        result.push_str(&edit.text);
        done = end;
        inserted_at = (start == end).then_some(start);
    }
    result.push_str(slice(text, done..text.len()));
    Ok(result)
}

fn check_span(text: &str, Span { start, end }: Span) -> Result<(), EditError> {
    if start > end || end > text.len() {
        return Err(EditError::OutOfBounds { start, end, length: text.len() });
    }
    match [start, end].into_iter().find(|offset| !text.is_char_boundary(*offset)) {
        Some(offset) => Err(EditError::InsideCharacter { offset }),
        None => Ok(()),
    }
}

/// A part of the text, empty when the range is not one of it.
fn slice(text: &str, range: Range<usize>) -> &str {
    text.get(range).unwrap_or_default()
}

/// The few edits that turn `before` into `after`: one for each run of changed lines, without the words
/// that the run keeps at its beginning and end.
#[must_use]
pub fn minimal(before: &str, after: &str, path: &RepoPath) -> Vec<Edit> {
    let changes = diff::line_changes(before, after);
    changes.into_iter().map(|change| narrowed(before, after, change, path)).collect()
}

fn narrowed(before: &str, after: &str, change: LineChange, path: &RepoPath) -> Edit {
    let old = slice(before, change.before.clone());
    let new = slice(after, change.after.clone());
    let lead = common_prefix(old, new);
    let (old_rest, new_rest) = (slice(old, lead..old.len()), slice(new, lead..new.len()));
    let tail = common_suffix(old_rest, new_rest);
    let start = change.before.start + lead;
    Edit {
        path: path.clone(),
        span: Span::new(start, start + old_rest.len() - tail),
        text: slice(new_rest, 0..new_rest.len() - tail).to_owned(),
    }
}

/// Bytes both begin with, ending between two words, so that an edit never starts inside a name or number.
fn common_prefix(a: &str, b: &str) -> usize {
    let same: usize = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum();
    let inside = |text: &str| {
        let (head, tail) = text.split_at_checked(same).unwrap_or((text, ""));
        head.chars().next_back().is_some_and(is_word) && tail.chars().next().is_some_and(is_word)
    };
    if !inside(a) && !inside(b) {
        return same;
    }
    slice(a, 0..same).trim_end_matches(is_word).len()
}

/// Bytes both end with, beginning between two words.
fn common_suffix(a: &str, b: &str) -> usize {
    let pairs = a.chars().rev().zip(b.chars().rev());
    let same: usize = pairs.take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum();
    let inside = |text: &str| {
        let (head, tail) = text.split_at_checked(text.len() - same).unwrap_or(("", text));
        head.chars().next_back().is_some_and(is_word) && tail.chars().next().is_some_and(is_word)
    };
    if !inside(a) && !inside(b) {
        return same;
    }
    slice(a, a.len() - same..a.len()).trim_start_matches(is_word).len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where a span of the old text lies in the new one. Bytes that an edit replaces map to the edit's whole text.
#[must_use]
pub fn image(edits: &[Edit], span: Span) -> Span {
    let mut start = span.start as i128;
    let mut end = span.end as i128;
    for edit in edits {
        let growth = edit.text.len() as i128 - (edit.span.end - edit.span.start) as i128;
        if edit.span.end <= span.start && edit.span.start < span.start {
            start += growth;
            end += growth;
        } else if edit.span.start <= span.end && edit.span.end >= span.start {
            start -= span.start.saturating_sub(edit.span.start) as i128;
            end += edit.span.end.saturating_sub(span.end) as i128 + growth;
        }
    }
    let start = usize::try_from(start).unwrap_or(0);
    Span { start, end: usize::try_from(end).unwrap_or(start).max(start) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn path() -> RepoPath {
        RepoPath::new("src/a.py").unwrap()
    }

    pub(super) fn edit(start: usize, end: usize, text: &str) -> Edit {
        Edit { path: path(), span: Span { start, end }, text: text.to_owned() }
    }

    #[test]
    fn edits_apply_in_any_order_of_the_list() {
        let edits = [edit(4, 5, "X"), edit(0, 1, ""), edit(2, 2, "+")];
        assert_eq!(apply("abcdef", &edits).unwrap(), "b+cdXf");
    }

    #[test]
    fn an_insertion_may_touch_a_replacement_but_not_another_insertion() {
        assert_eq!(apply("abc", &[edit(1, 2, "B"), edit(1, 1, "<"), edit(2, 2, ">")]).unwrap(), "a<B>c");
        let twice = apply("abc", &[edit(1, 1, "x"), edit(1, 1, "y")]);
        assert_eq!(twice, Err(EditError::Overlap { offset: 1 }));
    }

    #[test]
    fn what_does_not_fit_the_text_is_refused() {
        let refused = |edits: &[Edit]| apply("aé", edits).unwrap_err();
        assert_eq!(refused(&[edit(0, 9, "")]), EditError::OutOfBounds { start: 0, end: 9, length: 3 });
        assert_eq!(refused(&[edit(2, 1, "")]), EditError::OutOfBounds { start: 2, end: 1, length: 3 });
        assert_eq!(refused(&[edit(0, 2, "")]), EditError::InsideCharacter { offset: 2 });
        assert_eq!(refused(&[edit(0, 1, "x"), edit(0, 1, "y")]), EditError::Overlap { offset: 0 });
    }

    #[test]
    fn a_minimal_edit_keeps_whole_words_on_both_sides() {
        let edits = minimal("a\nx = load(f, old_loader)\nb\n", "a\nx = safe_load(f, new_loader)\nb\n", &path());
        assert_eq!(edits, [edit(6, 24, "safe_load(f, new_loader")]);
        assert_eq!(minimal("same\n", "same\n", &path()), []);
    }

    #[test]
    fn distant_changes_are_separate_edits() {
        let edits = minimal("a = 1\nkeep\nkeep\nb = 2\n", "a = 3\nkeep\nkeep\nb = 4\n", &path());
        assert_eq!(edits, [edit(4, 5, "3"), edit(20, 21, "4")]);
    }

    #[test]
    fn an_image_follows_its_code() {
        let before = "x = yaml.load(f)\ny = 1\n";
        let edits = [edit(0, 0, "import os\n"), edit(9, 13, "safe_load")];
        let after = apply(before, &edits).unwrap();
        let image_of = |code: &str| {
            let start = before.find(code).unwrap();
            after.get(image(&edits, Span::new(start, start + code.len())).range()).unwrap()
        };
        assert_eq!(image_of("yaml.load(f)"), "yaml.safe_load(f)");
        assert_eq!(image_of("y = 1"), "y = 1");
        assert_eq!(image_of("oad(f"), "safe_load(f");
    }

    proptest! {
        #[test]
        fn minimal_edits_make_the_new_text(before in "[ab\n é]{0,40}", after in "[ab\n é]{0,40}") {
            let edits = minimal(&before, &after, &path());
            prop_assert_eq!(apply(&before, &edits).unwrap(), after);
        }

        #[test]
        fn arbitrary_edits_never_panic(
            text in ".{0,30}",
            raw in proptest::collection::vec((0usize..50, 0usize..50, ".{0,5}"), 0..5),
            span in (0usize..50, 0usize..50),
        ) {
            let edits: Vec<Edit> = raw.iter().map(|(start, end, text)| edit(*start, *end, text)).collect();
            let applied = apply(&text, &edits);
            let joined = union(&[edits.clone(), edits.clone()]);
            if applied.is_ok() {
                let _ = image(&edits, Span { start: span.0.min(span.1), end: span.0.max(span.1) });
                prop_assert_eq!(apply(&text, &joined.edits), applied);
            }
        }
    }
}
