//! One file, its findings: all rules in one walk over one tree.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::evidence;
use super::flow::FlowRules;
use super::language::{self, Tree};
use super::lines::LineIndex;
use super::normalise::{normalise, normalise_text};
use super::redact::redact;
use super::rules::{CompiledRule, LanguageRules, RuleSet};
use super::skip::{self, Limits, SkipReason};
use super::suppress::{Notice, Suppressed, Suppressions};
use super::syntax_rule;
use super::test_code::{self, TestCode};
use super::walk::{self, Active, Hit, Marked, span};
use crate::model::{Finding, Fingerprint, FlowStep, Language, RepoPath, RepositoryId, RuleId, RuleInfo, Span};

/// What was found in one file, and what was not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileScan {
    /// In order of place.
    pub findings: Vec<Finding>,
    pub suppressed: Vec<Suppressed>,
    /// About suppression comments that do not work.
    pub notices: Vec<Notice>,
    /// Set when the file was not scanned at all.
    pub skipped: Option<SkipReason>,
    /// Set when it was scanned in part: what was left out, one sentence.
    pub cut_off: Option<String>,
}

impl FileScan {
    /// The outcome for a file that is not scanned.
    #[must_use]
    pub fn skipped(reason: SkipReason) -> Self {
        Self { skipped: Some(reason), ..Self::default() }
    }
}

/// Finds what the rules of a set describe.
#[derive(Clone)]
pub struct Detector {
    rules: Arc<RuleSet>,
    limits: Limits,
    disabled: BTreeSet<RuleId>,
}

impl Detector {
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, limits: Limits) -> Self {
        Self { rules, limits, disabled: BTreeSet::new() }
    }

    /// The same without these rules.
    #[must_use]
    pub fn without(mut self, rules: impl IntoIterator<Item = RuleId>) -> Self {
        self.disabled.extend(rules);
        self
    }

    #[must_use]
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Why a file of this name and size, bytes, is not worth reading; `None` when it is.
    #[must_use]
    pub fn refuses(&self, path: &RepoPath, size: u64) -> Option<SkipReason> {
        let bytes = usize::try_from(size).unwrap_or(usize::MAX);
        let limit = self.limits.max_bytes;
        let large = (bytes > limit).then_some(SkipReason::TooLarge { bytes, limit });
        Language::of(path).is_none().then_some(SkipReason::NoGrammar).or_else(|| skip::vendored(path)).or(large)
    }

    /// Scans a file's bytes. Any input ends, within the limits, without a panic.
    #[must_use]
    pub fn scan(&self, repository: &RepositoryId, path: &RepoPath, bytes: &[u8]) -> FileScan {
        if let Some(reason) = skip::vendored(path) {
            return FileScan::skipped(reason);
        }
        let Some(language) = Language::of(path) else { return FileScan::skipped(SkipReason::NoGrammar) };
        let text = match skip::readable(bytes, &self.limits) {
            Ok(text) => text,
            Err(reason) => return FileScan::skipped(reason),
        };
        match language::parse(language, text) {
            Ok(tree) => self.scan_parsed(repository, path, &tree),
            Err(error) => FileScan { cut_off: Some(error.to_string()), ..FileScan::default() },
        }
    }

    /// Scans a file that is parsed already, whatever its path and size.
    #[must_use]
    pub fn scan_parsed(&self, repository: &RepositoryId, path: &RepoPath, tree: &Tree) -> FileScan {
        let Some(language) = language::of(tree) else { return FileScan::skipped(SkipReason::NoGrammar) };
        let packs = match self.rules.compiled(language) {
            Ok(packs) => packs,
            Err(error) => return FileScan::skipped(SkipReason::BrokenRules { error: error.to_string() }),
        };
        let flows = match self.rules.flow(language) {
            Ok(flows) => flows,
            Err(error) => return FileScan::skipped(SkipReason::BrokenRules { error: error.to_string() }),
        };
        let mut packs: Vec<Active<'_>> = packs.into_iter().map(|rules| self.active(rules, path, tree)).collect();
        let document = language::document(tree);
        // Every node is looked at once; what is bounded is what rules do from there.
        document.refill(u64::MAX);
        let marked = match walk::mark(&packs, tree) {
            Ok(marked) => marked,
            Err(error) => return FileScan::skipped(SkipReason::BrokenRules { error: error.to_string() }),
        };
        document.refill(self.limits.max_steps);
        let work = || self.scan_with(&mut packs, &marked, flows, File { repository, path, tree, language });
        let panicked =
            || FileScan { cut_off: Some("matching stopped in an error of ours".to_owned()), ..FileScan::default() };
        language::with_stack(document.deepest() + 1, work).unwrap_or_else(panicked)
    }

    fn active<'r>(&self, rules: &'r LanguageRules, path: &RepoPath, tree: &Tree) -> Active<'r> {
        let on = |rule: &CompiledRule| !self.disabled.contains(&rule.info.id) && rule.covers(path);
        let share = (self.limits.max_steps / RULE_SHARE).max(1);
        Active::new(rules, language::source(tree), share, on)
    }

    fn scan_with<'t>(
        &self,
        packs: &mut [Active<'_>],
        marked: &Marked<'t>,
        flows: &FlowRules,
        file: File<'t>,
    ) -> FileScan {
        let text = language::source(file.tree);
        let lines = LineIndex::new(text);
        let on: Vec<bool> = flows.infos().map(|info| packs.iter().any(|pack| pack.looks(&info.id))).collect();
        let mut walk = walk::walk(packs, file.tree, marked, self.limits.max_findings);
        let steps = self.limits.max_steps / FLOW_SHARE;
        let followed = evidence::follow(file.tree, file.language, (flows, &on), steps);
        walk.hits.retain(|hit| !followed.refutes(&hit.rule.info, span(&hit.node)));
        if followed.cut && walk.cut_off.is_none() {
            walk.cut_off = Some("the file takes too many steps: data was followed in part".to_owned());
        }
        // Naming what was found has budgets of its own, or the names would depend on what was found before.
        let mut places = keep_most_severe(&walk.hits, self.limits.max_steps);
        language::document(file.tree).refill(self.limits.max_steps);
        followed.add_to(&mut places, file.tree, &lines);
        if let Some(place) = self.broken(&file, &lines) {
            places.push(place);
        }
        places.sort_by(|a, b| (a.span, &a.rule.id).cmp(&(b.span, &b.rule.id)));
        let suppressions = Suppressions::read(text, &lines, &marked.comments);
        let mut scan = FileScan { cut_off: walk.cut_off, ..FileScan::default() };
        // Most files have no findings, and nobody has to know what in them is a test.
        let tests = LazyCell::new(|| TestCode::of(file.tree, file.language, file.path));
        for finding in findings(&file, &lines, places) {
            let comment = suppressions.reason(&finding).map(str::to_owned);
            match comment.or_else(|| self.only_a_test(&finding, text, &tests)) {
                Some(reason) => scan.suppressed.push(Suppressed { reason, finding }),
                None => scan.findings.push(finding),
            }
        }
        scan.notices = suppressions.notices;
        scan
    }

    /// Why a finding is none: it stands in a test, and its rule is about what an attacker could do.
    fn only_a_test(
        &self,
        finding: &Finding,
        text: &str,
        tests: &LazyCell<TestCode, impl FnOnce() -> TestCode>,
    ) -> Option<String> {
        let code = text.get(finding.span.range()).unwrap_or_default();
        let kind = &finding.rule.issue_type;
        let ignored = self.rules.ignores_tests(&finding.rule.id) && !test_code::is_live_secret(kind, code);
        if ignored && tests.holds(finding.span) {
            return Some(IN_A_TEST.to_owned());
        }
        (!test_code::needs_an_attacker(kind) && tests.is_data()).then(|| TEST_DATA.to_owned())
    }

    fn broken(&self, file: &File<'_>, lines: &LineIndex<'_>) -> Option<Place> {
        let broken = syntax_rule::check(file.tree, file.language, lines)?;
        let info = syntax_rule::infos().into_iter().find(|info| info.id.as_str() == broken.rule)?;
        if self.disabled.contains(&info.id) {
            return None;
        }
        let code = language::source(file.tree).get(broken.span.range()).unwrap_or_default();
        let message = format!("{}: {}", info.message, broken.cause);
        let rule = Arc::new(RuleInfo { language: Some(file.language), ..info });
        Some(Place { rule, span: broken.span, normalised: normalise_text(code), message, flow: Vec::new() })
    }
}

/// Why what a rule found in a test is set aside.
const IN_A_TEST: &str = "it is part of a test";
/// Why a mistake is set aside in what a test reads.
const TEST_DATA: &str = "it is data of a test, which nothing runs";

/// The file that is scanned.
struct File<'f> {
    repository: &'f RepositoryId,
    path: &'f RepoPath,
    tree: &'f Tree,
    language: Language,
}

/// The part of a file's steps that a single rule may take, so that one rule with a costly question does not keep the
/// others from the file.
const RULE_SHARE: u64 = 4;

/// The part of a file's steps, which are larger there, that following data may take on top.
const FLOW_SHARE: u64 = 16;

/// A finding before it knows its ordinal.
pub(super) struct Place {
    pub rule: Arc<RuleInfo>,
    pub span: Span,
    pub normalised: String,
    pub message: String,
    pub flow: Vec<FlowStep>,
}

/// One place for each span and issue type: that of the most severe rule, the first by id among equals.
fn keep_most_severe(hits: &[Hit<'_, '_>], steps: u64) -> Vec<Place> {
    let mut best: BTreeMap<(Span, &str), &Hit<'_, '_>> = BTreeMap::new();
    for hit in hits {
        let slot = best.entry((span(&hit.node), hit.rule.info.issue_type.as_str())).or_insert(hit);
        let (old, new) = (&slot.rule.info, &hit.rule.info);
        if (new.severity, &old.id) > (old.severity, &new.id) {
            *slot = hit;
        }
    }
    let place = |hit: &Hit<'_, '_>| {
        let secret = hit.rule.info.issue_type.as_str() == "HARDCODED_SECRET";
        hit.node.get_doc().refill(steps);
        Place {
            rule: Arc::clone(&hit.rule.info),
            span: span(&hit.node),
            normalised: normalise(&hit.node, secret),
            message: hit.rule.info.message.clone(),
            flow: Vec::new(),
        }
    };
    best.into_values().map(place).collect()
}

fn findings(file: &File<'_>, lines: &LineIndex<'_>, places: Vec<Place>) -> Vec<Finding> {
    let mut ordinals: BTreeMap<(RuleId, String), usize> = BTreeMap::new();
    let mut findings = Vec::with_capacity(places.len());
    for Place { rule, span, normalised, message, flow } in places {
        let ordinal = ordinals.entry((rule.id.clone(), normalised.clone())).or_default();
        let fingerprint = Fingerprint::of(file.repository, &rule.id, file.path, &normalised, *ordinal);
        *ordinal += 1;
        let (start, end) = (lines.position(span.start), lines.position(span.end));
        // The identity knows the code as it is; what is recorded and shown must not hold a secret.
        let (normalised, message) = (redact(&normalised).into_owned(), redact(&message).into_owned());
        let path = file.path.clone();
        findings.push(Finding { rule, path, span, start, end, normalised, fingerprint, message, flow });
    }
    findings
}
