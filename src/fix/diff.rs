//! Line differences: for people (unified, as git prints them), for limits, and for edits.

use std::ops::Range;

use similar::{Algorithm, DiffOp, DiffTag};

use crate::model::RepoPath;

/// Lines shown around a change.
const CONTEXT: usize = 3;

/// Beyond this many differing lines on both sides together the comparison gives up looking for
/// lines in common: its time grows with their product.
const COMPARED_LINES: usize = 6_000;

/// A run of lines that differ, as byte ranges of the two texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineChange {
    pub before: Range<usize>,
    pub after: Range<usize>,
}

/// The runs of lines that differ, in order.
#[must_use]
pub fn line_changes(before: &str, after: &str) -> Vec<LineChange> {
    let (old, new) = (Lines::of(before), Lines::of(after));
    let changed = operations(&old, &new).into_iter().filter(|op| op.tag() != DiffTag::Equal);
    changed.map(|op| LineChange { before: old.bytes(op.old_range()), after: new.bytes(op.new_range()) }).collect()
}

/// Lines added and removed; a replaced line is one of each.
#[must_use]
pub fn stat(before: &str, after: &str) -> (usize, usize) {
    let (old, new) = (Lines::of(before), Lines::of(after));
    let changed = operations(&old, &new).into_iter().filter(|op| op.tag() != DiffTag::Equal);
    changed.fold((0, 0), |(added, removed), op| (added + op.new_range().len(), removed + op.old_range().len()))
}

/// How many lines a reader has to look at: a replaced line counts once.
#[must_use]
pub fn changed_lines(before: &str, after: &str) -> usize {
    let (old, new) = (Lines::of(before), Lines::of(after));
    let changed = operations(&old, &new).into_iter().filter(|op| op.tag() != DiffTag::Equal);
    changed.map(|op| op.old_range().len().max(op.new_range().len())).sum()
}

/// The difference as `git diff` prints it, with three lines of context; empty when there is none.
/// Line ends are shown as they are, so `git apply` takes the result for any text.
#[must_use]
pub fn unified(path: &RepoPath, before: &str, after: &str) -> String {
    let (old, new) = (Lines::of(before), Lines::of(after));
    let hunks = similar::group_diff_ops(operations(&old, &new), CONTEXT);
    let mut text = String::new();
    for hunk in hunks.iter().filter(|hunk| hunk.iter().any(|op| op.tag() != DiffTag::Equal)) {
        if text.is_empty() {
            text = format!("--- {}\n+++ {}\n", quoted("a/", path), quoted("b/", path));
        }
        push_hunk(&mut text, hunk, &old, &new);
    }
    text
}

fn push_hunk(text: &mut String, hunk: &[DiffOp], old: &Lines<'_>, new: &Lines<'_>) {
    let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { return };
    let before = first.old_range().start..last.old_range().end;
    let after = first.new_range().start..last.new_range().end;
    text.push_str(&format!("@@ -{} +{} @@\n", position(before), position(after)));
    for op in hunk {
        let (removed, added) = (old.part(op.old_range()), new.part(op.new_range()));
        if op.tag() == DiffTag::Equal {
            push_lines(text, ' ', removed);
            continue;
        }
        push_lines(text, '-', removed);
        push_lines(text, '+', added);
    }
}

fn push_lines(text: &mut String, sign: char, lines: &[&str]) {
    for line in lines {
        text.push(sign);
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// First line (from 1; the line before when the range is empty) and length, which is left out when 1.
fn position(lines: Range<usize>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => (lines.start + 1).to_string(),
        length => format!("{},{length}", lines.start + 1),
    }
}

/// A path as git writes it in a header: quoted when it has a double quote, with a tab behind it when it has a space.
fn quoted(prefix: &str, path: &RepoPath) -> String {
    let path = path.as_str();
    if path.contains('"') {
        return format!("\"{prefix}{}\"", path.replace('"', "\\\""));
    }
    let end = if path.contains(' ') { "\t" } else { "" };
    format!("{prefix}{path}{end}")
}

/// A text by lines, each with its line end.
struct Lines<'t> {
    lines: Vec<&'t str>,
    /// Byte offset of each line, and of the end.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let mut starts = vec![0];
        let mut end = 0;
        for line in &lines {
            end += line.len();
            starts.push(end);
        }
        Self { lines, starts }
    }

    fn bytes(&self, lines: Range<usize>) -> Range<usize> {
        let at = |line: usize| self.starts.get(line).or(self.starts.last()).copied().unwrap_or(0);
        at(lines.start)..at(lines.end)
    }

    fn part(&self, lines: Range<usize>) -> &[&'t str] {
        self.lines.get(lines).unwrap_or_default()
    }
}

fn operations(old: &Lines<'_>, new: &Lines<'_>) -> Vec<DiffOp> {
    let same = old.lines.iter().zip(&new.lines).take_while(|(a, b)| a == b).count();
    let (rest_old, rest_new) = (old.part(same..old.lines.len()), new.part(same..new.lines.len()));
    let tail = rest_old.iter().rev().zip(rest_new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_len, new_len) = (rest_old.len() - tail, rest_new.len() - tail);
    if old_len + new_len <= COMPARED_LINES {
        return similar::capture_diff_slices(Algorithm::Myers, &old.lines, &new.lines);
    }
    vec![
        DiffOp::Equal { old_index: 0, new_index: 0, len: same },
        DiffOp::Replace { old_index: same, old_len, new_index: same, new_len },
        DiffOp::Equal { old_index: same + old_len, new_index: same + new_len, len: tail },
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn diff(before: &str, after: &str) -> String {
        unified(&RepoPath::new("src/a.py").unwrap(), before, after)
    }

    #[test]
    fn a_change_shows_three_lines_around_it() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n";
        let after = before.replace("5\n6", "five\n6").replace("15\n", "");
        insta::assert_snapshot!(diff(before, &after), @r"
        --- a/src/a.py
        +++ b/src/a.py
        @@ -2,7 +2,7 @@
         2
         3
         4
        -5
        +five
         6
         7
         8
        @@ -12,5 +12,4 @@
         12
         13
         14
        -15
         16
        ");
    }

    #[test]
    fn a_missing_last_newline_is_told() {
        insta::assert_snapshot!(diff("a\nb", "a\nc\n"), @r"
        --- a/src/a.py
        +++ b/src/a.py
        @@ -1,2 +1,2 @@
         a
        -b
        \ No newline at end of file
        +c
        ");
        insta::assert_snapshot!(diff("", "a"), @r"
        --- a/src/a.py
        +++ b/src/a.py
        @@ -0,0 +1 @@
        +a
        \ No newline at end of file
        ");
    }

    #[test]
    fn carriage_returns_are_part_of_the_line() {
        assert_eq!(
            diff("a\r\nb\r\n", "a\r\nc\r\n"),
            "--- a/src/a.py\n+++ b/src/a.py\n@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n"
        );
        assert_eq!(changed_lines("a\r\nb\r\n", "a\nb\n"), 2);
    }

    #[test]
    fn paths_are_written_as_git_reads_them() {
        let header =
            |path: &str| unified(&RepoPath::new(path).unwrap(), "a\n", "b\n").lines().next().unwrap().to_owned();
        assert_eq!(header("my file.py"), "--- a/my file.py\t");
        assert_eq!(header("a\"b.py"), "--- \"a/a\\\"b.py\"");
    }

    #[test]
    fn a_replaced_line_counts_once_for_the_reader() {
        assert_eq!(changed_lines("a\nb\nc\n", "a\nB\nc\n"), 1);
        assert_eq!(changed_lines("a\nb\nc\n", "a\nB\nB\nB\nc\n"), 3);
        assert_eq!(changed_lines("a\n", "a\n"), 0);
        assert_eq!(stat("a\nb\nc\n", "a\nB\nB\nc\n"), (2, 1));
    }

    #[test]
    fn a_hostile_rewrite_of_a_huge_file_is_compared_in_bounded_time() {
        let before: String = (0..200_000).map(|i| format!("{i}\n")).collect();
        let after: String = (0..200_000).rev().map(|i| format!("{i}\n")).collect();
        assert!(changed_lines(&before, &after) > 190_000);
    }

    /// Makes the new text of the old one and a unified diff, reading only the diff.
    fn patched(before: &str, diff: &str) -> String {
        let old: Vec<&str> = before.split_inclusive('\n').collect();
        let mut lines: Vec<&str> = diff.split_inclusive('\n').skip(2).collect();
        lines.reverse();
        let (mut result, mut at) = (String::new(), 0);
        while let Some(line) = lines.pop() {
            if let Some(header) = line.strip_prefix("@@ -") {
                let position = header.split([' ', ',']).next().unwrap().parse::<usize>().unwrap();
                let start = if header.split(' ').next().unwrap().ends_with(",0") { position } else { position - 1 };
                result.extend(old.get(at..start).unwrap().iter().copied());
                at = start;
                continue;
            }
            let bare = lines.last().is_some_and(|next| next.starts_with('\\'));
            if bare {
                lines.pop();
            }
            let body = if bare { line[1..].trim_end_matches('\n') } else { &line[1..] };
            if line.starts_with([' ', '-']) {
                assert_eq!(old.get(at), Some(&body));
                at += 1;
            }
            if line.starts_with([' ', '+']) {
                result.push_str(body);
            }
        }
        result.extend(old.get(at..).unwrap().iter().copied());
        result
    }

    proptest! {
        #[test]
        fn the_diff_alone_makes_the_new_text(before in "[abc\n]{0,60}", after in "[abc\n]{0,60}") {
            prop_assert_eq!(patched(&before, &diff(&before, &after)), after);
        }
    }
}
