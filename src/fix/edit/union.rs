//! Joining the edits of several findings in one file.

use crate::model::Edit;

/// The joined edits, and which sets could not take part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Union {
    /// Disjoint, sorted by place.
    pub edits: Vec<Edit>,
    /// Index of each set left out, and why, for people.
    pub left_out: Vec<(usize, String)>,
}

/// Joins sets of edits of one file, the first before the later: identical edits collapse, insertions of
/// import lines at the same place become one insertion with each line once, and a set that
/// changes a place which an earlier one changes otherwise is left out as a whole.
#[must_use]
pub fn union(sets: &[Vec<Edit>]) -> Union {
    let mut result = Union::default();
    for (index, set) in sets.iter().enumerate() {
        match joined(&result.edits, set) {
            Ok(edits) => result.edits = edits,
            Err(offset) => {
                let reason = format!("it changes the same place as another fix (byte {offset})");
                result.left_out.push((index, reason));
            }
        }
    }
    result.edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    result
}

/// `Err` holds the offset of the first conflict.
fn joined(chosen: &[Edit], set: &[Edit]) -> Result<Vec<Edit>, usize> {
    let mut edits = chosen.to_vec();
    for new in set {
        let rivals: Vec<usize> =
            (0..edits.len()).filter(|i| edits.get(*i).is_some_and(|old| rival(old, new))).collect();
        match rivals.as_slice() {
            [] => edits.push(new.clone()),
            [only] => {
                let Some(old) = edits.get_mut(*only) else { continue };
                if old != new {
                    old.text = merged_imports(old, new).ok_or(new.span.start)?;
                }
            }
            _ => return Err(new.span.start),
        }
    }
    Ok(edits)
}

/// Whether two edits claim the same place: they share a byte, or insert at the same offset, or one inserts inside the other.
fn rival(a: &Edit, b: &Edit) -> bool {
    if a.path != b.path {
        return false;
    }
    if a.span == b.span {
        return true;
    }
    a.span.start < b.span.end && b.span.start < a.span.end
}

/// Two insertions of import lines at one place as one; `None` when they are anything else.
fn merged_imports(a: &Edit, b: &Edit) -> Option<String> {
    if a.span != b.span || a.span.start != a.span.end {
        return None;
    }
    let mut lines: Vec<&str> = import_lines(&a.text)?;
    for line in import_lines(&b.text)? {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let newline = if a.text.contains("\r\n") { "\r\n" } else { "\n" };
    let lead = if a.text.starts_with(newline) || b.text.starts_with(newline) { newline } else { "" };
    let tail = if [a, b].iter().any(|edit| edit.text.ends_with(&newline.repeat(2))) { newline } else { "" };
    let last = if a.text.ends_with('\n') && b.text.ends_with('\n') { newline } else { "" };
    Some(format!("{lead}{}{last}{tail}", lines.join(newline)))
}

/// The lines of a text that consists of import statements and blank lines only.
fn import_lines(text: &str) -> Option<Vec<&str>> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    (!lines.is_empty() && lines.iter().all(|line| is_import(line))).then_some(lines)
}

/// One whole import statement of Python, JavaScript, TypeScript, Java or Go, or a line of Go's import block.
fn is_import(line: &str) -> bool {
    let line = line.trim().trim_end_matches(';');
    let required = || {
        let begins = ["const ", "let ", "var "].iter().any(|keyword| line.starts_with(keyword));
        begins && line.contains("= require(") && line.ends_with(')')
    };
    line.starts_with("import ")
        || (line.starts_with("from ") && line.contains(" import "))
        || (line.len() > 2 && line.ends_with('"') && line.matches('"').count() == 2 && !line.contains('='))
        || required()
}

#[cfg(test)]
mod tests {
    use super::super::apply;
    use super::super::tests::edit;
    use super::*;

    #[test]
    fn identical_edits_collapse_and_distinct_ones_add_up() {
        let joined = union(&[
            vec![edit(0, 0, "import os\n"), edit(9, 10, "x")],
            vec![edit(0, 0, "import os\n"), edit(4, 5, "y")],
        ]);
        assert_eq!(joined.edits, [edit(0, 0, "import os\n"), edit(4, 5, "y"), edit(9, 10, "x")]);
        assert_eq!(joined.left_out, []);
    }

    #[test]
    fn imports_at_the_same_place_merge_each_once() {
        let sets = [
            vec![edit(3, 3, "import os\nimport re\n")],
            vec![edit(3, 3, "import ast\nimport os\n")],
            vec![edit(3, 3, "from a import b\n")],
        ];
        let joined = union(&sets);
        assert_eq!(joined.edits, [edit(3, 3, "import os\nimport re\nimport ast\nfrom a import b\n")]);
    }

    #[test]
    fn the_blank_line_around_merged_imports_stays_single() {
        let at_top = union(&[vec![edit(0, 0, "import os\r\n\r\n")], vec![edit(0, 0, "import re\r\n\r\n")]]);
        assert_eq!(at_top.edits, [edit(0, 0, "import os\r\nimport re\r\n\r\n")]);
        let go = union(&[vec![edit(0, 0, "\t\"os\"\n")], vec![edit(0, 0, "\t\"os/exec\"\n")]]);
        assert_eq!(go.edits, [edit(0, 0, "\t\"os\"\n\t\"os/exec\"\n")]);
    }

    #[test]
    fn a_conflicting_set_is_left_out_as_a_whole() {
        let sets = [vec![edit(2, 6, "a")], vec![edit(0, 1, "z"), edit(4, 8, "b")], vec![edit(8, 9, "c")]];
        let joined = union(&sets);
        assert_eq!(joined.edits, [edit(2, 6, "a"), edit(8, 9, "c")]);
        assert_eq!(joined.left_out, [(1, "it changes the same place as another fix (byte 4)".to_owned())]);
        assert_eq!(apply("0123456789", &joined.edits).unwrap(), "01a67c9");
    }

    #[test]
    fn code_inserted_at_the_same_place_is_a_conflict() {
        let joined = union(&[vec![edit(3, 3, "check(a)\n")], vec![edit(3, 3, "check(b)\n")]]);
        assert_eq!(joined.left_out.len(), 1);
    }
}
