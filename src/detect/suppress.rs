//! Inline suppression: a comment `codehealer: ignore[rule-id, other] reason` on the finding's line or the line above.
//!
//! A reason is required. Comments of other tools (`# nosec`, `# ast-grep-ignore`) suppress nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::lines::LineIndex;
use crate::model::{Finding, RuleId, Span};

/// A finding that a comment took out, with the comment's reason, or that is part of a test. The problem is still there: a change that only adds such
/// a comment heals nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suppressed {
    pub finding: Finding,
    pub reason: String,
}

/// Something a person should know about their comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// From 1.
    pub line: usize,
    pub text: String,
}

/// The suppressions of a file.
#[derive(Debug, Default)]
pub struct Suppressions {
    /// By line of the code they are about.
    by_line: BTreeMap<usize, Vec<Ignore>>,
    pub notices: Vec<Notice>,
}

#[derive(Debug)]
struct Ignore {
    rules: Vec<RuleId>,
    reason: String,
}

impl Suppressions {
    /// Reads the comments of a file, given by their spans in order.
    #[must_use]
    pub fn read(text: &str, lines: &LineIndex<'_>, comments: &[Span]) -> Self {
        let mut found = Self::default();
        let code_below = code_below(&lines_of_comments(text, lines, comments));
        for span in comments {
            let comment = text.get(span.range()).unwrap_or_default();
            let line = lines.line(span.start);
            match parse(comment) {
                None => {}
                Some(Err(problem)) => found.notices.push(Notice { line, text: problem.to_owned() }),
                Some(Ok(ignore)) => {
                    let target = code_below.get(&line).copied().unwrap_or(line);
                    found.by_line.entry(target).or_default().push(ignore);
                }
            }
        }
        found
    }

    /// The reason why the finding is to be left alone, if there is one.
    #[must_use]
    pub fn reason(&self, finding: &Finding) -> Option<&str> {
        let at = |line: usize| self.by_line.get(&line).into_iter().flatten();
        at(finding.start.line)
            .chain(at(finding.end.line))
            .find(|ignore| ignore.rules.contains(&finding.rule.id))
            .map(|ignore| ignore.reason.as_str())
    }
}

/// Lines that hold nothing but comments: one there is about the next line of code.
fn lines_of_comments(text: &str, lines: &LineIndex<'_>, comments: &[Span]) -> BTreeSet<usize> {
    let mut alone = BTreeSet::new();
    for span in comments {
        let (first, last) = (lines.line(span.start), lines.line(span.end.saturating_sub(1).max(span.start)));
        let before = text.get(lines.span(first).start..span.start).unwrap_or_default();
        let behind = text.get(span.end..lines.span(last).end.max(span.end)).unwrap_or_default();
        if before.trim().is_empty() && behind.trim().is_empty() {
            alone.extend(first..=last);
        }
    }
    alone
}

/// The next line of code below each line of comments.
fn code_below(alone: &BTreeSet<usize>) -> BTreeMap<usize, usize> {
    let mut below = BTreeMap::new();
    for line in alone.iter().rev() {
        let next = below.get(&(line + 1)).copied().unwrap_or(line + 1);
        below.insert(*line, next);
    }
    below
}

/// `None` when the comment is none of ours; an error when it is, but cannot be followed.
fn parse(comment: &str) -> Option<Result<Ignore, &'static str>> {
    let text = comment.trim_start_matches(|c: char| c.is_whitespace() || "/*#-<!;".contains(c));
    let rest = text.strip_prefix("codehealer:")?.trim_start().strip_prefix("ignore")?;
    let Some((listed, reason)) = rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return Some(Err("`codehealer: ignore` suppresses nothing: name the rules, as in `ignore[rule-id] reason`"));
    };
    let rules: Option<Vec<RuleId>> = listed.split(',').map(|id| RuleId::new(id.trim()).ok()).collect();
    let Some(rules) = rules else {
        return Some(Err("`codehealer: ignore[…]` suppresses nothing: list rule ids, separated by commas"));
    };
    let first_line = reason.lines().next().unwrap_or_default();
    let reason = first_line.trim().trim_end_matches("*/").trim_end_matches("-->").trim();
    let reason = reason.trim_start_matches([':', '-', '—', '–']).trim();
    if !reason.chars().any(char::is_alphanumeric) {
        return Some(Err("`codehealer: ignore[…]` suppresses nothing: write the reason behind the bracket"));
    }
    Some(Ok(Ignore { rules, reason: reason.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(comment: &str) -> Option<Result<String, &'static str>> {
        parse(comment).map(|parsed| parsed.map(|ignore| ignore.reason))
    }

    #[test]
    fn any_comment_syntax_is_read() {
        for comment in [
            "# codehealer: ignore[py-eval] reviewed by ops",
            "// codehealer: ignore[py-eval, js-eval] reviewed by ops",
            "/* codehealer: ignore[py-eval]: reviewed by ops */",
            "/**\n",
        ] {
            let expected = comment.contains("codehealer").then(|| Ok("reviewed by ops".to_owned()));
            assert_eq!(reason(comment), expected, "{comment}");
        }
    }

    #[test]
    fn without_reason_or_rules_nothing_is_suppressed_and_it_is_said() {
        for comment in [
            "# codehealer: ignore[py-eval]",
            "# codehealer: ignore all of it",
            "# codehealer: ignore[a b] x",
            "# codehealer: ignore[] x",
        ] {
            assert!(matches!(reason(comment), Some(Err(_))), "{comment}");
        }
        assert_eq!(reason("# we could write codehealer: ignore[x] y"), None);
        assert_eq!(reason("# ast-grep-ignore"), None);
    }

    /// Comments that begin like ours and do not end: each is read once, and none of it suppresses anything.
    #[test]
    fn hostile_comments_are_read_once_and_suppress_nothing() {
        let many = |piece: &str| piece.repeat(50_000);
        for hostile in [
            format!("# codehealer: ignore[{}", many("[")),
            format!("# codehealer: ignore[{}]", many("a,")),
            format!("# codehealer: ignore[{}] x", many(" ,")),
            format!("# codehealer: ignore[a] {}", many("*/")),
            format!("# codehealer: ignore[a] {}", many("— ")),
            format!("{}codehealer: ignore", many("/*#-<!; ")),
            format!("# codehealer:{}ignore{}", many(" "), many(" ")),
        ] {
            assert!(matches!(parse(&hostile), Some(Err(_))), "{hostile:.60}");
        }
        assert!(parse(&many("codehealer: ignor")).is_none());
        let ids: Vec<String> = (0..10_000).map(|number| format!("r-{number}")).collect();
        let ignore = parse(&format!("# codehealer: ignore[{}] why", ids.join(","))).unwrap().unwrap();
        assert_eq!((ignore.rules.len(), ignore.reason.as_str()), (10_000, "why"));
    }
}
