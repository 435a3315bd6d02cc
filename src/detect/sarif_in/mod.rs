//! Findings of any other scanner, from its SARIF 2.1.0 report.
//!
//! Scanners fill in SARIF very differently, so every field may be missing; what cannot be understood is refused one
//! result at a time, with the reason. Source: OASIS, Static Analysis Results Interchange Format, version 2.1.0.

mod flow;
mod format;
mod issue;
mod region;
#[cfg(test)]
mod tests;
mod uri;

use std::collections::BTreeMap;
use std::sync::Arc;

use format::{Log, Rule, Run, SarifResult};

use super::language::parse;
use super::lines::LineStarts;
use super::normalise::{normalise, normalise_text};
use super::redact::redact;
use crate::model::{
    Finding, Fingerprint, Language, RepoPath, RepositoryId, RuleId, RuleInfo, RuleOrigin, Severity, Span,
};

/// The text is no SARIF that we can read.
#[derive(Debug, thiserror::Error)]
pub enum SarifError {
    #[error("the report is not SARIF: {0}; write the scanner's output as SARIF 2.1.0")]
    NotSarif(String),
    #[error("the report is SARIF {0}; write SARIF 2.1.0")]
    Version(String),
}

/// What a report says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// In order of the report.
    pub findings: Vec<Finding>,
    /// Results that are not used, each with the reason.
    pub refused: Vec<String>,
}

/// What is known about the place that the report is about.
pub struct Place<'a> {
    pub repository: &'a RepositoryId,
    /// The absolute path of the folder that was scanned, when known: absolute paths below it are taken as its files.
    pub root: Option<&'a str>,
    /// The text of a file as it was scanned; `None` when there is no such file or it is not text.
    pub read: &'a dyn Fn(&RepoPath) -> Option<String>,
}

/// Results of one report that are looked at; more are refused together.
const MAX_RESULTS: usize = 10_000;

/// Longer regions point at nothing in particular, bytes.
const MAX_REGION: usize = 20_000;

/// Files kept in memory at a time, with their trees.
const MAX_FILES: usize = 16;

/// Findings before one that are looked at for its twin: reports list results of one place side by side.
const MAX_TWINS: usize = 64;

/// Characters of a message that are kept.
const MAX_MESSAGE: usize = 400;

/// Reads a report.
///
/// # Errors
/// When the text as a whole is not SARIF 2.1.
pub fn read(text: &str, place: &Place<'_>) -> Result<Imported, SarifError> {
    let text = text.trim_start_matches('\u{feff}');
    let log: Log = serde_json::from_str(text).map_err(|error| SarifError::NotSarif(error.to_string()))?;
    if let Some(version) = log.version.as_deref().filter(|version| !version.starts_with("2.1")) {
        return Err(SarifError::Version(version.to_owned()));
    }
    let runs = log.runs.ok_or_else(|| SarifError::NotSarif("it has no `runs`".to_owned()))?;
    let mut reader = Reader { place, files: BTreeMap::new(), ordinals: BTreeMap::new() };
    let mut imported = Imported::default();
    for run in &runs {
        let rules = Rules::of(run);
        for (index, value) in run.results.iter().enumerate() {
            if imported.findings.len() + imported.refused.len() >= MAX_RESULTS {
                imported.refused.push(format!("more than {MAX_RESULTS} results: the rest is left out"));
                return Ok(imported);
            }
            match reader.result(run, &rules, value) {
                Ok(finding) if told_already(&imported.findings, &finding) => {}
                Ok(finding) => imported.findings.push(finding),
                Err(reason) => imported.refused.push(format!("result {} of {}: {reason}", index + 1, rules.tool)),
            }
        }
    }
    Ok(imported)
}

/// Whether the report says the same of the same place before: scanners that follow data report each way to a place.
fn told_already(findings: &[Finding], new: &Finding) -> bool {
    let same = |old: &&Finding| old.path == new.path && old.span == new.span && old.rule.id == new.rule.id;
    findings.iter().rev().take(MAX_TWINS).any(|old| same(&old))
}

/// The findings of other scanners that say something new: neither what one of `ours` says, nor what another scanner said
/// before it. Two say the same when their issue type is the same and they share code, or begin on the same line; ours are kept,
/// because they can be looked for again when a fix is verified.
#[must_use]
pub fn unknown_to(ours: &[Finding], others: Vec<Finding>) -> Vec<Finding> {
    let mut by_path: BTreeMap<RepoPath, Vec<(String, Span, usize)>> = BTreeMap::new();
    let place = |finding: &Finding| (finding.rule.issue_type.to_string(), finding.span, finding.start.line);
    for finding in ours {
        by_path.entry(finding.path.clone()).or_default().push(place(finding));
    }
    let mut new = Vec::new();
    for finding in others {
        let known = by_path.entry(finding.path.clone()).or_default();
        let (kind, span, line) = place(&finding);
        // Several matters of style or logic may well be on one line.
        let broad = matches!(kind.as_str(), "LINTING" | "LOGIC");
        let same = |(k, s, l): &(String, Span, usize)| *k == kind && (s.overlaps(span) || *l == line && !broad);
        if !known.iter().any(same) {
            new.push(finding);
        }
    }
    distinct(new)
}

/// Of findings that different scanners made of the same problem, the first.
fn distinct(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    let mut by_line: BTreeMap<(RepoPath, usize), Vec<usize>> = BTreeMap::new();
    for finding in findings {
        let tool = |finding: &Finding| finding.rule.origin.clone();
        let here = by_line.entry((finding.path.clone(), finding.start.line)).or_default();
        let same = |old: &Finding| {
            old.rule.issue_type == finding.rule.issue_type
                && tool(old) != tool(&finding)
                && finding.rule.issue_type.as_str() != "LINTING"
        };
        if !here.iter().filter_map(|index| kept.get(*index)).any(same) {
            here.push(kept.len());
            kept.push(finding);
        }
    }
    kept
}

/// A file that findings point into.
struct File {
    text: String,
    line_starts: LineStarts,
    tree: Option<super::Tree>,
}

impl File {
    fn open(path: &RepoPath, place: &Place<'_>) -> Option<Self> {
        let text = (place.read)(path)?;
        let tree = Language::of(path).and_then(|language| parse(language, &text).ok());
        Some(Self { line_starts: LineStarts::of(&text), tree, text })
    }
}

struct Reader<'a> {
    place: &'a Place<'a>,
    files: BTreeMap<RepoPath, Option<File>>,
    ordinals: BTreeMap<(RuleId, RepoPath, String), usize>,
}

impl Reader<'_> {
    fn result(&mut self, run: &Run, rules: &Rules<'_>, value: &serde_json::Value) -> Result<Finding, String> {
        let result: SarifResult = serde::Deserialize::deserialize(value).map_err(|error| format!("{error}"))?;
        if let Some(reason) = not_a_finding(&result) {
            return Err(reason);
        }
        let location = result.locations.first().and_then(|location| location.physical_location.as_ref());
        let location = location.ok_or("it has no physical location")?;
        let path = uri::path(run, location.artifact_location.as_ref(), self.place.root)?;
        if self.files.len() >= MAX_FILES && !self.files.contains_key(&path) {
            self.files.clear();
        }
        let file = self.files.entry(path.clone()).or_insert_with(|| File::open(&path, self.place));
        let file = file.as_ref().ok_or_else(|| format!("{path} is not a text file of the repository"))?;
        let lines = file.line_starts.index(&file.text);
        let units = region::Units::of(run.column_kind.as_deref(), &rules.tool);
        let span = region::span(location.region.as_ref(), &file.text, &lines, units)?;
        if span.end - span.start > MAX_REGION {
            return Err(format!("its region is longer than {MAX_REGION} bytes"));
        }
        let rule = rules.info(run, &result)?;
        let normalised = normal_form(file, span);
        let ordinal = self.ordinals.entry((rule.id.clone(), path.clone(), normalised.clone())).or_default();
        let fingerprint = Fingerprint::of(self.place.repository, &rule.id, &path, &normalised, *ordinal);
        *ordinal += 1;
        let message = rules.message(&result).unwrap_or_else(|| rule.message.clone());
        let (start, end) = (lines.position(span.start), lines.position(span.end));
        let normalised = redact(&normalised).into_owned();
        let flow = flow::steps(run, &result, &flow::At { path: &path, file, units, root: self.place.root });
        Ok(Finding { rule: Arc::new(rule), path, span, start, end, normalised, fingerprint, message, flow })
    }
}

/// Why a result is no problem to heal.
fn not_a_finding(result: &SarifResult) -> Option<String> {
    if let Some(kind) = result.kind.as_deref().filter(|kind| !matches!(*kind, "fail" | "open" | "review")) {
        return Some(format!("its kind is {kind}"));
    }
    if result.baseline_state.as_deref() == Some("absent") {
        return Some("it is absent now".to_owned());
    }
    let accepted = |status: Option<&str>| !matches!(status, Some("underReview" | "rejected"));
    let suppressed = result.suppressions.iter().any(|one| accepted(one.status.as_deref()));
    suppressed.then(|| "it is suppressed in the report".to_owned())
}

/// The normal form of the smallest node that covers the span, if it covers nothing else; of the plain text otherwise.
fn normal_form(file: &File, span: Span) -> String {
    let code = file.text.get(span.range()).unwrap_or_default();
    let exact = file.tree.as_ref().and_then(|tree| {
        let mut node = tree.root();
        loop {
            if node.range() == span.range() {
                return Some(normalise(&node, false));
            }
            let around = |c: &super::Node<'_>| c.range().start <= span.start && c.range().end >= span.end;
            let child = node.children().find(around)?;
            node = child;
        }
    });
    redact(&exact.unwrap_or_else(|| normalise_text(code))).into_owned()
}

/// The rules of one run, found by id or index.
struct Rules<'r> {
    /// Lower case, as in rule ids.
    tool: String,
    driver: &'r [Rule],
    extensions: Vec<&'r [Rule]>,
}

impl<'r> Rules<'r> {
    fn of(run: &'r Run) -> Self {
        let name = run.tool.driver.name.as_deref().unwrap_or("unknown");
        let tool = slug(&name.to_ascii_lowercase());
        let extensions = run.tool.extensions.iter().map(|extension| extension.rules.as_slice()).collect();
        Self { tool, driver: &run.tool.driver.rules, extensions }
    }

    fn of_result(&self, result: &SarifResult) -> Option<&'r Rule> {
        let reference = result.rule.as_ref();
        let component = reference.and_then(|rule| rule.tool_component.as_ref()).and_then(|tool| tool.index);
        let listed = match component {
            Some(index) => self.extensions.get(index).copied().unwrap_or_default(),
            None => self.driver,
        };
        let index = reference.and_then(|rule| rule.index).or(result.rule_index);
        let by_index = index.and_then(|index| listed.get(usize::try_from(index).ok()?));
        by_index.or_else(|| {
            let id = self.id_of(result)?;
            let all = self.driver.iter().chain(self.extensions.iter().copied().flatten());
            // A result may name a sub-rule: `CA1711/1` of `CA1711`.
            let of = |rule: &&Rule| {
                rule.id
                    .as_deref()
                    .is_some_and(|own| id == own || id.strip_prefix(own).is_some_and(|rest| rest.starts_with('/')))
            };
            all.into_iter().find(of)
        })
    }

    fn id_of<'x>(&self, result: &'x SarifResult) -> Option<&'x str> {
        result.rule_id.as_deref().or_else(|| result.rule.as_ref()?.id.as_deref())
    }

    fn info(&self, run: &Run, result: &SarifResult) -> Result<RuleInfo, String> {
        let rule = self.of_result(result);
        let id = self.id_of(result).or_else(|| rule?.id.as_deref()).ok_or("it names no rule")?;
        let foreign = slug(id);
        let full: String = format!("{}/{foreign}", self.tool).chars().take(200).collect();
        let rule_id = RuleId::new(full).map_err(|error| error.to_string())?;
        let cwes = issue::cwes(run, rule, result);
        let said = rule.and_then(|rule| rule.name.as_deref()).unwrap_or_default();
        let issue_type = issue::issue_type(&self.tool, (id, said), &cwes).ok_or("its issue type has no name")?;
        let text = |text: Option<&format::Text>| text.and_then(|text| text.text.clone().or(text.markdown.clone()));
        let short = text(rule.and_then(|rule| rule.short_description.as_ref()));
        let name = rule.and_then(|rule| rule.name.clone());
        let note = text(rule.and_then(|rule| rule.full_description.as_ref()));
        Ok(RuleInfo {
            hint: issue::hint(&issue_type).to_owned(),
            message: one_line(&short.or(name).unwrap_or_else(|| id.to_owned())),
            note: redact(&note.unwrap_or_default()).chars().take(4 * MAX_MESSAGE).collect(),
            severity: severity(rule, result),
            references: rule.and_then(|rule| rule.help_uri.clone()).filter(|link| is_link(link)).into_iter().collect(),
            id: rule_id,
            issue_type,
            cwes,
            language: None,
            origin: RuleOrigin::External { tool: self.tool.clone() },
        })
    }

    /// The result's own message, with the rule's template and arguments where it gives those.
    fn message(&self, result: &SarifResult) -> Option<String> {
        let message = result.message.as_ref()?;
        let template = || {
            let strings = &self.of_result(result)?.message_strings;
            strings.get(message.id.as_deref()?)?.text.clone()
        };
        let mut text = message.text.clone().or_else(template).or_else(|| message.markdown.clone())?;
        for (index, argument) in message.arguments.iter().enumerate().take(10) {
            text = text.replace(&format!("{{{index}}}"), &argument.chars().take(MAX_MESSAGE).collect::<String>());
        }
        Some(one_line(&text)).filter(|line| !line.is_empty())
    }
}

fn is_link(link: &str) -> bool {
    link.starts_with("https://") && link.len() < 500 && !link.contains(char::is_whitespace)
}

fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let visible = line.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE);
    redact(&visible.collect::<String>()).into_owned()
}

/// The text with everything that a rule id cannot hold as `-`.
fn slug(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    text.trim().chars().map(|c| if allowed(c) { c } else { '-' }).collect()
}

/// GitHub's `security-severity` (a CVSS score) when the result or its rule has one, else the level.
fn severity(rule: Option<&Rule>, result: &SarifResult) -> Severity {
    let score = result.properties.text("security-severity");
    let score = score.or_else(|| rule.and_then(|rule| rule.properties.text("security-severity")));
    if let Some(score) = score.and_then(|score| score.parse::<f64>().ok()).filter(|score| score.is_finite()) {
        return match score {
            score if score >= 9.0 => Severity::Critical,
            score if score >= 7.0 => Severity::High,
            score if score >= 4.0 => Severity::Medium,
            _ => Severity::Low,
        };
    }
    // Bandit's own scale, which its levels follow only in part.
    match result.properties.text("issue_severity").as_deref() {
        Some("HIGH") => return Severity::High,
        Some("MEDIUM") => return Severity::Medium,
        Some("LOW") => return Severity::Low,
        _ => {}
    }
    let default =
        rule.and_then(|rule| rule.default_configuration.as_ref()).and_then(|default| default.level.as_deref());
    match result.level.as_deref().or(default) {
        Some("error") => Severity::High,
        Some("note" | "none") => Severity::Low,
        _ => Severity::Medium,
    }
}
