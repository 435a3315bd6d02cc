//! Hiding a finding is not healing it: comments that silence scanners, deleted or commented-out code, dead branches.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::VerifyInput;
use crate::fix::edit;
use crate::fix::syntax::Tree;
use crate::model::{Edit, Finding, Span};

/// Comments and annotations by which scanners, type checkers and coverage tools are told to look away, ours included;
/// and marks that make scanners take a file for generated. Word boundaries are those of ASCII here and below: with the
/// others the search is many times slower in a text with a single letter beyond it.
static MARKERS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)(?-u:\b)no-?qa(?-u:\b)|(?-u:\b)no-?sec(?-u:\b)|(?-u:\b)no-?sem(grep)?(?-u:\b)|(?-u:\b)no-?lint|(?-u:\b)no-?sonar|(?-u:\b)no-?inspection(?-u:\b)|(?-u:\b)skipcq(?-u:\b)|(?-u:\b)lgtm(?-u:\b)",
        r"|(?-u:\b)(type|pyright|mypy|pyre|ruff|flake8|pylint|semgrep|codehealer|codeql|bandit|zizmor|biome|oxlint|tfsec|trivy|deepsource)",
        r"\s*:\s*(ignore|disable|skip|noqa|nosec|off)|(?-u:\b)pylint\s*:\s*\w*|(?-u:\b)pragma\s*:?\s*no(?-u:\b)|#\s*pragma\s+warning",
        r"|(?-u:\b)(eslint|tslint|jshint|jscs|stylelint|yamllint|hadolint|checkstyle|pmd|spotbugs|detekt|ktlint|gosec)[\w\s:-]*",
        r"(?-u:\b)(disable|ignore|off|suppress)|@ts-(ignore|nocheck|expect-error)|@?suppress(warnings|fbwarnings|lint)(?-u:\b)",
        r"|(?-u:\b)(biome|oxlint|ast-grep|sg|dlint|deno-lint|rome)-ignore(?-u:\b)|(?-u:\b)(checkov|kics-scan|snyk|terrascan|tflint|cfn_nag)\s*[:=]\s*",
        r"(skip|ignore)|(?-u:\b)checks?(kov)?:skip=|(?-u:\b)coverity\[|(?-u:\b)(c8|istanbul|v8|coverage)\s+ignore|#nosec|nosemgrep|(?-u:\b)fmt:\s*skip(?-u:\b)",
        r"|(?-u:\b)(rubocop|phpcs|phpstan|psalm|brakeman|reek)(?-u:\b)[\s:@-]*(disable|ignore|suppress|skip|todo)|#!?\[(allow|expect)\(",
        r"|@generated(?-u:\b)|(?-u:\b)code generated .* do not edit|(?-u:\b)do not edit(?-u:\b)|(?-u:\b)auto-?generated(?-u:\b)"
    ))
    .ok()
});

/// Conditions that never hold.
static DEAD_BRANCH: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?-u:\b)(?:if|while|elif)\s*\(?\s*(?:False|false|0|None|null|!\s*true|not\s+True)\s*[):{]").ok()
});

/// Words that stand where code was taken out.
const EMPTY_WORDS: &[&str] = &[
    "pass",
    "None",
    "null",
    "nil",
    "undefined",
    "return",
    "continue",
    "break",
    "True",
    "False",
    "true",
    "false",
    "void",
    "NotImplemented",
    "raise",
    "throw",
    "new",
    "await",
    "else",
    "finally",
    "0",
    "1",
];

/// One option of a call that is set to yes or no: `verify=False`, `rejectUnauthorized: false`.
static SWITCH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"^["']?[\w.-]+["']?\s*[=:]\s*(?:True|False|true|false)\s*,?$"#).ok());

/// What was silenced rather than healed, for people.
pub(super) fn problem(input: &VerifyInput<'_>, edits: &[Edit], after: &str, tree: Option<&Tree>) -> Option<String> {
    if more(&MARKERS, input.before, after) {
        return Some("it adds a comment or mark that tells scanners to look away".to_owned());
    }
    if more(&DEAD_BRANCH, input.before, after) {
        return Some("it puts code under a condition that never holds".to_owned());
    }
    let deleted = input.findings.iter().find(|finding| {
        !removal_heals(finding)
            && !is_switch(input.before, finding.span)
            && has_code(input.before, finding.span, None)
            && { !has_code(after, edit::image(edits, finding.span), tree) }
    })?;
    Some(format!("it takes the code of line {} out instead of healing it", deleted.start.line))
}

/// Whether a pattern occurs more often after than before.
fn more(pattern: &LazyLock<Option<Regex>>, before: &str, after: &str) -> bool {
    let count = |text: &str| pattern.as_ref().map_or(0, |pattern| pattern.find_iter(text).count());
    count(after) > count(before)
}

/// Whether the rule itself asks to take the code out: left-over debugging, unused names.
fn removal_heals(finding: &Finding) -> bool {
    let asks = |text: &str| {
        let first = text.split_whitespace().next().unwrap_or_default().to_lowercase();
        matches!(first.as_str(), "remove" | "delete" | "drop" | "strip")
    };
    asks(&finding.rule.hint)
        || asks(&finding.message)
        || matches!(finding.rule.issue_type.as_str(), "LINTING" | "IMPORT" | "SYNTAX" | "INDENTATION")
}

/// Whether a finding is such an option and nothing else: without it the call does what it does by default.
fn is_switch(text: &str, span: Span) -> bool {
    let code = text.get(span.range()).unwrap_or_default().trim();
    SWITCH.as_ref().is_some_and(|switch| switch.is_match(code))
}

/// Whether a place holds code: a name, number or string that is not one of the words left where code was.
/// With a tree, comments do not count.
fn has_code(text: &str, span: Span, tree: Option<&Tree>) -> bool {
    let Some(tree) = tree else {
        let lines = text.get(span.range()).unwrap_or_default().lines();
        let code = lines.filter(|line| !["#", "//", "--", ";;"].iter().any(|sign| line.trim_start().starts_with(sign)));
        return code.flat_map(words).any(is_code);
    };
    let root = tree.root();
    let comments: Vec<Range<usize>> =
        root.dfs().filter(|node| node.kind().contains("comment")).map(|node| node.range()).collect();
    // In order of the file and apart from each other.
    let in_comment = |at: usize| {
        let behind = comments.partition_point(|comment| comment.start <= at);
        behind.checked_sub(1).and_then(|last| comments.get(last)).is_some_and(|comment| comment.contains(&at))
    };
    let offset = |word: &str| (word.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    words(text.get(span.range()).unwrap_or_default()).filter(|word| !in_comment(offset(word))).any(is_code)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

fn is_code(word: &str) -> bool {
    !EMPTY_WORDS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_many_tools_are_known() {
        for mark in [
            "# noqa",
            "# noqa: E711",
            "# nosec B101",
            "# type: ignore[arg-type]",
            "# pylint: disable=eval-used",
            "# pragma: no cover",
            "// eslint-disable-next-line no-eval",
            "/* eslint-disable */",
            "// @ts-ignore",
            "// @ts-expect-error",
            "//nolint:gosec",
            "// #nosec G201",
            "// NOSONAR",
            "@SuppressWarnings(\"all\")",
            "# nosemgrep: rule",
            "// nosemgrep",
            "# codehealer: ignore[x] y",
            "# ruff: noqa",
            "# pyright: ignore",
            "// biome-ignore lint: x",
            "#checkov:skip=CKV_1: y",
            "#tfsec:ignore:aws",
            "# trivy:ignore:x",
            "# hadolint ignore=DL3",
            "# yamllint disable",
            "//noinspection All",
            "# skipcq: X",
            "# zizmor: ignore[a]",
            "// lgtm[js/x]",
            "// @generated",
            "// Code generated by x. DO NOT EDIT.",
            "# flake8: noqa",
            "# bandit: skip",
            "// istanbul ignore next",
        ] {
            assert!(more(&MARKERS, "", mark), "{mark}");
        }
        for code in [
            "knows_exec(x)",
            "type: str",
            "is_secure = True",
            "# ignore case here",
            "disable(eslint)",
            "no_section = 1",
            "generate(x)",
        ] {
            assert!(!more(&MARKERS, "", code), "{code}");
        }
    }

    #[test]
    fn branches_that_never_run_are_known() {
        for code in ["if False:", "if (false) {", "if 0:", "while False:", "if (0) {", "if (!true) {"] {
            assert!(more(&DEAD_BRANCH, "", code), "{code}");
        }
        for code in ["if falsey:", "if x == 0:", "if (0 < x) {", "if none_left:", "elif Falsey():"] {
            assert!(!more(&DEAD_BRANCH, "", code), "{code}");
        }
    }
}
