//! Runs the cases that stand beside the rules: code that must be left alone, code that must be found, and files before
//! and after their fix.

use std::sync::Arc;

use serde::Deserialize;

use super::built_in;
use super::curated::{Proposal, proposals};
use super::introduced::introduced;
use super::language::{parse, syntax_errors};
use super::rule_file::{CuratedFix, RuleError};
use super::rules::RuleSet;
use super::scan::{Detector, FileScan};
use super::skip::Limits;
use crate::model::{Finding, Language, RepoPath, RepositoryId, RuleId};

/// The cases of one rule, as `<id>.test.yml` holds them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    pub id: RuleId,
    /// No rule finds anything here.
    #[serde(default)]
    pub valid: Vec<String>,
    /// The rule finds something here.
    #[serde(default)]
    pub invalid: Vec<String>,
    /// Path that the cases are pretended to be at.
    #[serde(default)]
    pub path: Option<String>,
    #[serde(default)]
    pub fixed: Vec<Fixed>,
}

/// A whole file before and after the rule's fixes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixed {
    pub before: String,
    pub after: String,
}

impl Cases {
    /// Reads a test document.
    ///
    /// # Errors
    /// Names the file, the place and the remedy.
    pub fn read(file: &str, text: &str) -> Result<Self, RuleError> {
        ast_grep_config::from_str(text).map_err(|error| RuleError::yaml(file, &error))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CaseKind {
    Valid,
    Invalid,
    Fixed,
}

/// How one case went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    pub language: Language,
    pub kind: CaseKind,
    /// Number of the case among those of its kind, from 1.
    pub number: usize,
    /// What went wrong; `None` when nothing did.
    pub failure: Option<String>,
    /// What the fixes made of the file, where that is what went wrong.
    pub made: Option<String>,
}

/// How the cases of one rule went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleReport {
    pub rule: RuleId,
    pub results: Vec<CaseResult>,
    /// Fixes that no case needs: nobody knows whether they work.
    pub untested_fixes: Vec<RuleId>,
}

impl RuleReport {
    /// The cases that failed.
    pub fn failures(&self) -> impl Iterator<Item = &CaseResult> {
        self.results.iter().filter(|result| result.failure.is_some())
    }
}

/// The whole text of a file with a proposal and the imports it needs in place; `None` when that cannot be done. The module
/// that knows imports builds upon this one, so it is handed in.
pub type Apply<'a> = &'a dyn Fn(Language, &RepoPath, &str, &Proposal) -> Option<String>;

/// Runs the cases of one rule against all rules of the set.
///
/// # Errors
/// When the set has no such rule, or one of its files is broken.
pub fn run(rules: &Arc<RuleSet>, cases: &Cases, apply: Apply<'_>) -> Result<RuleReport, RuleError> {
    let languages = rules.languages(&cases.id)?;
    let Some(main) = languages.first().copied() else {
        return Err(RuleError::new(
            cases.id.as_str(),
            "the cases are for a rule that is not there",
            "correct their id",
        ));
    };
    let limits = Limits { max_bytes: usize::MAX, ..Limits::default() };
    let detector = Detector::new(Arc::clone(rules), limits);
    let mut report = RuleReport { rule: cases.id.clone(), results: Vec::new(), untested_fixes: Vec::new() };
    for language in languages {
        let path = path_of(cases, language, main)?;
        let bench = Bench { detector: &detector, path, language, rule: &cases.id, apply };
        // In further languages a snippet counts when it is one of theirs.
        let counts = |text: &str| language == main || parses(language, text);
        for (kind, texts) in [(CaseKind::Valid, &cases.valid), (CaseKind::Invalid, &cases.invalid)] {
            for (index, text) in texts.iter().enumerate().filter(|(_, text)| counts(text)) {
                let failure = bench.found(kind, text);
                report.results.push(CaseResult { language, kind, number: index + 1, failure, made: None });
            }
        }
        let fixes = rules.curated_fixes(&cases.id, language)?;
        let mut used = Vec::new();
        for (index, fixed) in cases.fixed.iter().enumerate().filter(|(_, fixed)| counts(&fixed.before)) {
            let wrong = bench.fixed(fixes, fixed, &mut used);
            let (failure, made) = wrong.map_or((None, None), |wrong| (Some(wrong.reason), wrong.made));
            report.results.push(CaseResult { language, kind: CaseKind::Fixed, number: index + 1, failure, made });
        }
        if language == main {
            report.untested_fixes = fixes.iter().map(|fix| fix.id.clone()).filter(|id| !used.contains(id)).collect();
        }
    }
    Ok(report)
}

/// Where the cases of a rule pretend to be: in a file of the rule's first language.
///
/// # Errors
/// When the set has no such rule, or the path of the cases is none.
pub fn place(rules: &RuleSet, cases: &Cases) -> Result<RepoPath, RuleError> {
    let unknown =
        || RuleError::new(cases.id.as_str(), "the cases are for a rule that is not there", "correct their id");
    let main = rules.languages(&cases.id)?.first().copied().ok_or_else(unknown)?;
    path_of(cases, main, main)
}

fn path_of(cases: &Cases, language: Language, main: Language) -> Result<RepoPath, RuleError> {
    let extension = match language {
        Language::CSharp => "cs",
        Language::Dockerfile => "dockerfile",
        Language::Php => "php",
        Language::Ruby => "rb",
        Language::Rust => "rs",
        Language::Go => "go",
        Language::Hcl => "tf",
        Language::Java => "java",
        Language::JavaScript => "js",
        Language::Python => "py",
        Language::Tsx => "tsx",
        Language::TypeScript => "ts",
        Language::Yaml => "yml",
    };
    let named = cases.path.clone().filter(|_| language == main);
    RepoPath::new(named.unwrap_or_else(|| format!("case.{extension}")))
        .map_err(|error| RuleError::new(cases.id.as_str(), error.to_string(), "correct `path`"))
}

fn parses(language: Language, text: &str) -> bool {
    parse(language, text).is_ok_and(|tree| syntax_errors(&tree, 1).is_empty())
}

/// What every case of a rule in a language has in common.
struct Bench<'a> {
    detector: &'a Detector,
    path: RepoPath,
    language: Language,
    rule: &'a RuleId,
    apply: Apply<'a>,
}

/// What went wrong with a fix.
struct Wrong {
    reason: String,
    made: Option<String>,
}

impl Wrong {
    fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), made: None }
    }
}

/// One file has at most this many findings to heal in a case.
const MAX_ROUNDS: usize = 20;

impl Bench<'_> {
    fn scan(&self, text: &str) -> Result<FileScan, String> {
        let scan = self.detector.scan(&RepositoryId("cases".to_owned()), &self.path, text.as_bytes());
        match (&scan.skipped, &scan.cut_off) {
            (Some(reason), _) => Err(format!("the case is not scanned: {reason}")),
            (_, Some(reason)) => Err(format!("the case is scanned in part: {reason}")),
            _ => Ok(scan),
        }
    }

    fn own(&self, findings: &[Finding]) -> Vec<Finding> {
        findings.iter().filter(|finding| finding.rule.id == *self.rule).cloned().collect()
    }

    fn found(&self, kind: CaseKind, text: &str) -> Option<String> {
        let findings = match self.scan(text) {
            Ok(scan) => scan.findings,
            Err(reason) => return Some(reason),
        };
        match kind {
            CaseKind::Valid => findings.first().map(|finding| {
                format!("{} finds line {}: {}", finding.rule.id, finding.start.line, finding.normalised)
            }),
            _ => self.own(&findings).is_empty().then(|| "nothing is found".to_owned()),
        }
    }

    fn fixed(&self, fixes: &[CuratedFix], case: &Fixed, used: &mut Vec<RuleId>) -> Option<Wrong> {
        let mut text = case.before.clone();
        for round in 0..MAX_ROUNDS {
            let before = match self.scan(&text) {
                Ok(scan) => scan.findings,
                Err(reason) => return Some(Wrong::because(reason)),
            };
            let own = self.own(&before);
            if own.is_empty() {
                if round == 0 {
                    return Some(Wrong::because("nothing is found before the fix"));
                }
                let reason = || format!("the fix makes\n{text}");
                return (text != case.after).then(|| Wrong { reason: reason(), made: Some(text.clone()) });
            }
            let Some((healed, fix)) = own.iter().find_map(|finding| self.heal(fixes, &text, &before, finding)) else {
                let line = own.first().map_or(0, |one| one.start.line);
                return Some(Wrong::because(format!("no fix heals line {line} of\n{text}")));
            };
            used.push(fix);
            text = healed;
        }
        Some(Wrong::because(format!("not healed after {MAX_ROUNDS} rounds")))
    }

    /// The text after the first proposal that heals the finding and harms nothing.
    fn heal(
        &self,
        fixes: &[CuratedFix],
        text: &str,
        before: &[Finding],
        finding: &Finding,
    ) -> Option<(String, RuleId)> {
        let tree = parse(self.language, text).ok()?;
        let errors = syntax_errors(&tree, usize::MAX).len();
        proposals(fixes, &tree, finding.span).into_iter().find_map(|proposal| {
            let healed = (self.apply)(self.language, &self.path, text, &proposal)?;
            let parsed = parse(self.language, &healed).ok()?;
            let after = self.scan(&healed).ok()?.findings;
            let fewer = self.own(&after).len() < self.own(before).len();
            let harmless =
                introduced(&after, before, None).is_empty() && syntax_errors(&parsed, usize::MAX).len() <= errors;
            (fewer && harmless).then_some((healed, proposal.fix))
        })
    }
}

/// The cases of the built-in rules, in order of their files.
///
/// # Errors
/// When one of the documents is broken.
pub fn built_in() -> Result<Vec<Cases>, RuleError> {
    built_in::CASES.iter().map(|(file, text)| Cases::read(file, text)).collect()
}

/// The name of the file with a rule's cases.
#[must_use]
pub fn is_case_file(name: &str) -> bool {
    name.ends_with(".test.yml")
}
