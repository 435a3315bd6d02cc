//! A proposal is never believed: it is applied to the file as it is, and every check is made on the result.
//!
//! [`check_edits`] makes the checks that need the texts alone, in the order of [`Check`]; [`check_findings`] those that need the
//! findings before and after, from our detector or the operator's verifier. The two together are the only way to
//! a [`VerifiedCandidate`]. Whoever proposes, and however sure of it, the checks are the same.

use crate::model::{Check, Edit, Finding, Language, Rejection, RejectionKind, RepoPath, Verdict};

use super::{diff, edit, imports, names, paths, syntax};

mod detector;
mod findings;
mod known;
mod meaning;
mod secrets;
mod silence;
mod text;

pub use detector::{all_findings, with_detector};
pub use findings::check_findings;
pub use known::Known;
use known::Trees;

/// How large a change may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Changed lines; a replaced line counts once.
    pub changed_lines: usize,
    /// Bytes of new text, since a line can be of any length.
    pub added_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { changed_lines: 60, added_bytes: 12_000 }
    }
}

/// Whether an import of a package that nothing here shows to exist is a reason to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewPackages {
    /// Only the standard library and packages that the file uses already: for models and unreviewed answers, which invent some.
    Refused,
    /// The edit comes from fixes or answers that people reviewed.
    Allowed,
}

/// A proposal for one file, and what it claims to heal.
#[derive(Debug, Clone)]
pub struct VerifyInput<'a> {
    pub path: &'a RepoPath,
    /// `None` when no grammar of ours reads the file: the checks that need a tree are then not made, nor recorded.
    pub language: Option<Language>,
    /// The file at the head commit.
    pub before: &'a str,
    /// The findings that the edits heal, all of this file.
    pub findings: &'a [Finding],
    pub edits: &'a [Edit],
    pub limits: Limits,
    pub new_packages: NewPackages,
    /// Whether the guards against plausible but wrong edits are asked. Fixes curated with a rule are exempt: people reviewed
    /// each and tested its exact result. So is a union whose parts passed the guards one by one.
    pub guarded: bool,
    /// What is kept between the candidates of one file; `None` when there is one only.
    pub known: Option<&'a Known>,
}

impl<'a> VerifyInput<'a> {
    /// With the language by the path, the default limits, and no packages from nowhere.
    #[must_use]
    pub fn new(path: &'a RepoPath, before: &'a str, findings: &'a [Finding], edits: &'a [Edit]) -> Self {
        let language = Language::of(path);
        Self {
            path,
            language,
            before,
            findings,
            edits,
            limits: Limits::default(),
            new_packages: NewPackages::Refused,
            guarded: true,
            known: None,
        }
    }
}

/// A file with edits made that passed every check but the look at the findings.
#[derive(Debug, Clone)]
pub struct Patched {
    path: RepoPath,
    language: Option<Language>,
    targets: Vec<Finding>,
    edits: Vec<Edit>,
    before: String,
    after: String,
    checks: Vec<Check>,
}

impl Patched {
    /// The whole text with the edits made: what has to be scanned for [`check_findings`].
    #[must_use]
    pub fn text(&self) -> &str {
        &self.after
    }

    #[must_use]
    pub fn path(&self) -> &RepoPath {
        &self.path
    }
}

/// Edits that passed every check that could be made. There is no other way to make one:
///
/// ```compile_fail
/// use codehealer::fix::verify::VerifiedCandidate;
/// # let path = codehealer::model::RepoPath::new("a.py").unwrap();
/// let believed = VerifiedCandidate { path, edits: vec![], before: String::new(), after: String::new(), checks: vec![] };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCandidate {
    path: RepoPath,
    edits: Vec<Edit>,
    before: String,
    after: String,
    checks: Vec<Check>,
}

impl VerifiedCandidate {
    #[must_use]
    pub fn path(&self) -> &RepoPath {
        &self.path
    }

    /// Disjoint, in order of place, as few as make the change.
    #[must_use]
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// The whole text with the edits made.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.after
    }

    /// The checks that were made, in order.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::Verified(self.checks.clone())
    }

    /// The change as a unified diff.
    #[must_use]
    pub fn diff(&self) -> String {
        diff::unified(&self.path, &self.before, &self.after)
    }
}

/// Applies the edits and makes every check but the look at the findings, in the order of [`Check`].
///
/// # Errors
/// The first check that failed, and what it saw.
pub fn check_edits(input: &VerifyInput<'_>) -> Result<Patched, Rejection> {
    let mut checks = Vec::new();
    let mut pass = |check: Check, problem: Option<String>| match problem {
        Some(detail) => Err(rejected(check, detail)),
        None => {
            checks.push(check);
            Ok(())
        }
    };
    pass(Check::PathsAllowed, path_problem(input))?;
    let applied = edit::apply(input.before, input.edits);
    pass(Check::AppliesExactly, applied.as_ref().err().map(ToString::to_string))?;
    let after = applied.unwrap_or_default();
    if after == input.before {
        let detail = "the edit leaves the file as it is".to_owned();
        return Err(Rejection { check: RejectionKind::NoChange, detail });
    }
    let edits = edit::minimal(input.before, &after, input.path);
    pass(Check::SmallEnough, size_problem(input, &edits, &after))?;
    pass(Check::NoHiddenText, text::hidden(&edits))?;
    pass(Check::NoSecretAdded, secrets::added(input.before, &after))?;
    let alone = Known::default();
    let trees = known::trees(input, input.known.unwrap_or(&alone), (&edits, &after))?;
    pass(Check::NotSilenced, silence::problem(input, &edits, &after, trees.as_ref().map(|trees| trees.both().1)))?;
    if let Some(trees) = &trees {
        let (old, new) = trees.both();
        pass(Check::ParsesCleanly, meaning::syntax_problem(old, new))?;
        if syntax::exhausted(old) || syntax::exhausted(new) {
            return Err(could_not("the file is too large or too deeply nested to be checked"));
        }
        pass(Check::MeaningKept, meaning::lost(input, &after, trees))?;
        let names = names_problem(input, trees);
        // Where nothing is known of names, only invented packages are refused, and the check does not count as made.
        if names.is_some() || names::are_known(trees.language) {
            pass(Check::NamesBound, names)?;
        }
    }
    let (path, targets) = (input.path.clone(), input.findings.to_vec());
    Ok(Patched { path, language: input.language, targets, edits, before: input.before.to_owned(), after, checks })
}

fn rejected(check: Check, detail: String) -> Rejection {
    Rejection { check: RejectionKind::Failed(check), detail }
}

fn could_not(why: &str) -> Rejection {
    Rejection { check: RejectionKind::CouldNotCheck, detail: why.to_owned() }
}

fn path_problem(input: &VerifyInput<'_>) -> Option<String> {
    if let Some(reason) = paths::refusal(input.path) {
        return Some(reason.to_owned());
    }
    let other = input.edits.iter().find(|edit| edit.path != *input.path)?;
    Some(format!("it also edits {}, where there is no finding to heal", other.path))
}

fn size_problem(input: &VerifyInput<'_>, edits: &[Edit], after: &str) -> Option<String> {
    let lines = diff::changed_lines(input.before, after);
    if lines > input.limits.changed_lines {
        return Some(format!("{lines} lines change, at most {} may", input.limits.changed_lines));
    }
    let added: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let most = input.limits.added_bytes;
    (added > most).then(|| format!("{added} bytes of text are added, at most {most} may be"))
}

fn names_problem(input: &VerifyInput<'_>, trees: &Trees<'_>) -> Option<String> {
    if input.new_packages == NewPackages::Refused {
        let (old, new) = trees.both();
        let unknown = imports::known::unknown_modules(trees.language, old, new);
        if !unknown.is_empty() {
            return Some(format!("nothing shows that these packages exist here: {}", listed(&unknown)));
        }
    }
    let mut unbound = trees.unbound();
    unbound.retain(|name| !input.findings.iter().any(|finding| calls_in_text(input.before, finding, name)));
    (!unbound.is_empty()).then(|| format!("bound nowhere: {}", listed(&unbound)))
}

/// Whether the finding is code kept in a string that calls this name, as in `setTimeout("refresh(1)")`: as code the
/// name is as bound as it was as text.
fn calls_in_text(before: &str, finding: &Finding, name: &str) -> bool {
    let code = before.get(finding.span.range()).unwrap_or_default();
    code.match_indices(name).any(|(at, _)| {
        let quoted = code
            .get(..at)
            .is_some_and(|head| head.ends_with(['"', '\'', '`', ' ', ';']) && head.contains(['"', '\'', '`']));
        quoted && code.get(at + name.len()..).is_some_and(|tail| tail.starts_with('('))
    })
}

/// The first few, for people.
fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(5).map(|name| name.chars().take(60).collect()).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests;
