//! What a model may claim of a function: a closed list. What it says in words of its own is never part of what a claim is, so that
//! other words make no other case.

use crate::model::{Cwe, IssueType, RuleId, RuleInfo, RuleOrigin, Severity};

/// Begins the id of every rule that stands for a kind of claim.
const PREFIX: &str = "model/";

/// One kind of problem that a single function can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// As the model names it.
    pub id: &'static str,
    issue_type: &'static str,
    cwe: u32,
    severity: Severity,
    /// One line, as a question tells it and as people read it.
    pub what: &'static str,
    hint: &'static str,
}

const fn kind(
    (id, issue_type, cwe): (&'static str, &'static str, u32),
    severity: Severity,
    what: &'static str,
    hint: &'static str,
) -> Kind {
    Kind { id, issue_type, cwe, severity, what, hint }
}

/// Security at most at MEDIUM: whatever our rules find goes before a claim.
const M: Severity = Severity::Medium;
const L: Severity = Severity::Low;

/// All kinds.
pub const KINDS: [Kind; 17] = [
    kind(
        ("sql-injection", "SQL_INJECTION", 89),
        M,
        "A value from outside becomes part of the text of a query",
        "pass the value as a parameter of the query",
    ),
    kind(
        ("command-injection", "COMMAND_INJECTION", 78),
        M,
        "A value from outside becomes part of a command line",
        "pass the value as an argument of its own, without a shell",
    ),
    kind(
        ("path-traversal", "PATH_TRAVERSAL", 22),
        M,
        "A path from outside may leave the folder that it is meant for",
        "check that the resolved path stays in its folder",
    ),
    kind(
        ("code-injection", "CODE_INJECTION", 94),
        M,
        "A value from outside is run as code",
        "read the value as data instead of running it",
    ),
    kind(
        ("cross-site-scripting", "XSS", 79),
        M,
        "A value from outside reaches a page without being escaped",
        "escape the value for where it stands in the page",
    ),
    kind(
        ("open-redirect", "OPEN_REDIRECT", 601),
        M,
        "A visitor is sent to an address that comes from outside",
        "redirect to known addresses only",
    ),
    kind(
        ("request-forgery", "SSRF", 918),
        M,
        "The server asks an address that comes from outside",
        "ask known hosts only",
    ),
    kind(
        ("unsafe-deserialization", "UNSAFE_DESERIALIZATION", 502),
        M,
        "Objects are made from bytes that come from outside",
        "read a format that holds data only",
    ),
    kind(
        ("missing-check", "MISSING_CHECK", 862),
        M,
        "Something is done although the check that the function makes says no",
        "stop where the check fails",
    ),
    kind(
        ("race-condition", "RACE_CONDITION", 362),
        L,
        "What was checked or read may have changed before it is used",
        "make check and use one step",
    ),
    kind(
        ("resource-leak", "RESOURCE_LEAK", 772),
        L,
        "Something that was opened stays open on some way out of the function",
        "close it on every way out",
    ),
    kind(
        ("null-dereference", "NULL_DEREFERENCE", 476),
        L,
        "A value that may be missing is used as if it were there",
        "handle the missing value first",
    ),
    kind(("off-by-one", "LOGIC", 193), L, "A bound or an index is one too large or one too small", "correct the bound"),
    kind(
        ("wrong-condition", "LOGIC", 697),
        L,
        "A condition is the wrong way round, or compares the wrong things",
        "correct the condition",
    ),
    kind(
        ("swallowed-error", "LOGIC", 390),
        L,
        "An error is dropped, and the work goes on as if nothing had happened",
        "handle the error or pass it on",
    ),
    kind(
        ("endless-loop", "LOGIC", 835),
        L,
        "A loop may never end for input that can come",
        "make sure that the loop ends",
    ),
    kind(
        ("division-by-zero", "LOGIC", 369),
        L,
        "A divisor may be zero for input that can come",
        "handle zero before dividing",
    ),
];

/// The kind that a model names; nothing but the exact id is one.
#[must_use]
pub fn named(id: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.id == id)
}

/// The kind that a rule stands for, if it stands for one.
#[must_use]
pub fn of_rule(rule: &RuleId) -> Option<&'static Kind> {
    named(rule.as_str().strip_prefix(PREFIX)?)
}

impl Kind {
    /// The rule that stands for it; cases, fingerprints and comments that ignore it go by its id, `model/sql-injection`.
    #[must_use]
    pub fn rule(&self) -> Option<RuleInfo> {
        Some(RuleInfo {
            id: RuleId::new(format!("{PREFIX}{}", self.id)).ok()?,
            issue_type: IssueType::new(self.issue_type).ok()?,
            cwes: vec![Cwe(self.cwe)],
            severity: self.severity,
            language: None,
            message: self.what.to_owned(),
            note: "A model claims it of this function, and confirmed it when it saw the code alone. No rule can prove it, so it is \
                   a draft at most: look at the code before the change."
                .to_owned(),
            hint: self.hint.to_owned(),
            references: Vec::new(),
            origin: RuleOrigin::Model,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_rule_that_leads_back_to_it() {
        for kind in &KINDS {
            let rule = kind.rule().unwrap();
            assert_eq!(of_rule(&rule.id), Some(kind), "{}", kind.id);
            assert!(rule.severity <= Severity::Medium && rule.origin == RuleOrigin::Model, "{}", kind.id);
            assert!(kind.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", kind.id);
        }
        let ids: std::collections::BTreeSet<&str> = KINDS.iter().map(|kind| kind.id).collect();
        assert_eq!(ids.len(), KINDS.len(), "each once");
    }

    #[test]
    fn nothing_else_is_a_kind() {
        for id in ["", "SQL-INJECTION", "sql-injection ", "model/sql-injection", "sql_injection", "backdoor"] {
            assert_eq!(named(id), None, "{id}");
        }
        assert_eq!(of_rule(&RuleId::new("py-sql-injection").unwrap()), None);
    }
}
