//! Our findings as SARIF 2.1.0, for code scanning services and other tools.
//!
//! Source: OASIS, Static Analysis Results Interchange Format, version 2.1.0; the properties are those that GitHub's code
//! scanning reads.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::detect::Suppressed;
use crate::detect::redact::redact;
use crate::model::{Finding, FlowStep, Position, RepoPath, RuleId, RuleInfo, Severity, Span};

/// What a report tells.
#[derive(Debug, Clone, Copy, Default)]
pub struct Report<'a> {
    pub findings: &'a [Finding],
    pub suppressed: &'a [Suppressed],
    /// Files that were not scanned, or only in part, each with the reason.
    pub skipped: &'a [(RepoPath, String)],
}

/// The report as JSON text, indented, with a line feed at the end.
///
/// # Errors
/// Never for values made by this crate; JSON writing itself reports none for plain structures.
pub fn sarif(report: &Report<'_>) -> Result<String, serde_json::Error> {
    let all = || report.findings.iter().chain(report.suppressed.iter().map(|one| &one.finding));
    let mut rules: BTreeMap<&RuleId, &RuleInfo> = BTreeMap::new();
    for finding in all() {
        rules.entry(&finding.rule.id).or_insert(&finding.rule);
    }
    let index: BTreeMap<&RuleId, usize> = rules.keys().enumerate().map(|(index, id)| (*id, index)).collect();
    let of = |finding, reason| result(finding, &index, reason);
    let plain = report.findings.iter().map(|finding| of(finding, None));
    let hidden = report.suppressed.iter().map(|one| of(&one.finding, Some(one.reason.as_str())));
    let log = Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver {
                    name: "CodeHealer",
                    semantic_version: env!("CARGO_PKG_VERSION"),
                    rules: rules.values().map(|rule| descriptor(rule)).collect(),
                },
            },
            invocations: [Invocation {
                execution_successful: true,
                tool_execution_notifications: report.skipped.iter().map(notification).collect(),
            }],
            column_kind: "unicodeCodePoints",
            results: plain.chain(hidden).collect(),
        }],
    };
    let mut text = serde_json::to_string_pretty(&log)?;
    text.push('\n');
    Ok(text)
}

fn descriptor(rule: &RuleInfo) -> Descriptor {
    let mut tags = vec![rule.issue_type.to_string()];
    if !rule.cwes.is_empty() {
        tags.push("security".to_owned());
    }
    // GitHub shows tags of this form as links to the list.
    tags.extend(rule.cwes.iter().map(|cwe| format!("external/cwe/cwe-{:03}", cwe.0)));
    let fix = format!("Fix: {}.", rule.hint);
    Descriptor {
        id: rule.id.to_string(),
        name: rule.issue_type.to_string(),
        short_description: Text { text: rule.message.clone() },
        full_description: Text { text: if rule.note.is_empty() { rule.message.clone() } else { rule.note.clone() } },
        help: Help { markdown: format!("{}\n\n{fix}", rule.note.trim_end()), text: fix },
        help_uri: rule.references.first().cloned(),
        default_configuration: Configuration { level: level(rule.severity) },
        properties: RuleProperties {
            tags,
            precision: "high",
            security_severity: (!rule.cwes.is_empty()).then(|| score(rule.severity)),
        },
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

/// The middle of each of the bands that GitHub makes of `security-severity`.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
    }
}

fn result(finding: &Finding, index: &BTreeMap<&RuleId, usize>, suppressed: Option<&str>) -> SarifResult {
    let justification = |reason: &str| Suppression { kind: "inSource", justification: redact(reason).into_owned() };
    SarifResult {
        rule_id: finding.rule.id.to_string(),
        rule_index: index.get(&finding.rule.id).copied(),
        level: level(finding.rule.severity),
        message: Text {
            text: format!("{}. Fix: {}.", redact(&finding.message).trim_end_matches('.'), finding.rule.hint),
        },
        locations: [location(&finding.path, finding.span, finding.start, finding.end)],
        code_flows: code_flow(finding).into_iter().collect(),
        partial_fingerprints: BTreeMap::from([("codehealer/v1", finding.fingerprint.to_string())]),
        suppressions: suppressed.map(justification).into_iter().collect(),
    }
}

fn location(path: &RepoPath, span: Span, start: Position, end: Position) -> Location {
    let region = Region {
        start_line: start.line,
        start_column: start.column,
        end_line: end.line,
        end_column: end.column,
        byte_offset: span.start,
        byte_length: span.end.saturating_sub(span.start),
    };
    Location { physical_location: PhysicalLocation { artifact_location: artifact(path), region } }
}

/// The way of an untrusted value, from its source on.
fn code_flow(finding: &Finding) -> Option<CodeFlow> {
    let place = |step: &FlowStep| FlowLocation {
        location: StepLocation {
            place: location(&finding.path, step.span, step.start, step.end),
            message: Text { text: format!("{}: {}", step.role, redact(&step.code)) },
        },
    };
    let locations: Vec<FlowLocation> = finding.flow.iter().map(place).collect();
    (!locations.is_empty()).then_some(CodeFlow { thread_flows: [ThreadFlow { locations }] })
}

fn notification((path, reason): &(RepoPath, String)) -> Notification {
    Notification {
        level: "note",
        message: Text { text: redact(reason).into_owned() },
        locations: [SkippedLocation { physical_location: SkippedPlace { artifact_location: artifact(path) } }],
    }
}

fn artifact(path: &RepoPath) -> ArtifactLocation {
    ArtifactLocation { uri: encoded(path.as_str()), uri_base_id: "%SRCROOT%" }
}

/// The path as a relative URI reference (RFC 3986): everything but unreserved characters and `/` is percent-encoded.
fn encoded(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[derive(Serialize)]
struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    invocations: [Invocation; 1],
    column_kind: &'static str,
    results: Vec<SarifResult>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    semantic_version: &'static str,
    rules: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    tool_execution_notifications: Vec<Notification>,
}

#[derive(Serialize)]
struct Notification {
    level: &'static str,
    message: Text,
    locations: [SkippedLocation; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SkippedLocation {
    physical_location: SkippedPlace,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SkippedPlace {
    artifact_location: ArtifactLocation,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    id: String,
    name: String,
    short_description: Text,
    full_description: Text,
    help: Help,
    #[serde(skip_serializing_if = "Option::is_none")]
    help_uri: Option<String>,
    default_configuration: Configuration,
    properties: RuleProperties,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
struct Help {
    text: String,
    markdown: String,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CodeFlow {
    thread_flows: [ThreadFlow; 1],
}

#[derive(Serialize)]
struct ThreadFlow {
    locations: Vec<FlowLocation>,
}

#[derive(Serialize)]
struct FlowLocation {
    location: StepLocation,
}

#[derive(Serialize)]
struct StepLocation {
    #[serde(flatten)]
    place: Location,
    message: Text,
}

#[derive(Serialize)]
struct RuleProperties {
    tags: Vec<String>,
    precision: &'static str,
    #[serde(rename = "security-severity", skip_serializing_if = "Option::is_none")]
    security_severity: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifResult {
    rule_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_index: Option<usize>,
    level: &'static str,
    message: Text,
    locations: [Location; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    code_flows: Vec<CodeFlow>,
    partial_fingerprints: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suppressions: Vec<Suppression>,
}

#[derive(Serialize)]
struct Suppression {
    kind: &'static str,
    justification: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: PhysicalLocation,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    region: Region,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactLocation {
    uri: String,
    uri_base_id: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
    end_line: usize,
    end_column: usize,
    byte_offset: usize,
    byte_length: usize,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;
    use crate::detect::sarif_in::{Place, read};
    use crate::detect::{Detector, Limits, RuleSet};
    use crate::model::{FlowRole, RepositoryId, RuleOrigin};

    const RULE: &str = "id: t-eval
language: Python
severity: error
message: eval runs its argument
note: Anybody may be the author.
metadata: {issue_type: CODE_INJECTION, cwe: [95], severity: HIGH, hint: parse it, references: ['https://x.example/a']}
rule: {kind: call, has: {field: function, regex: '^eval$'}}
";

    const SOURCE: &str = "é = eval(a)\neval(b)  # codehealer: ignore[t-eval] a constant\n";

    fn scanned() -> (String, Vec<Finding>) {
        let rules = RuleSet::parse(vec![("t-eval.yml".to_owned(), RULE.to_owned())], RuleOrigin::BuiltIn).unwrap();
        let path = RepoPath::new("src/a b#é.py").unwrap();
        let repository = RepositoryId("1".to_owned());
        let scan = Detector::new(Arc::new(rules), Limits::default()).scan(&repository, &path, SOURCE.as_bytes());
        let skipped = [(RepoPath::new("x.min.js").unwrap(), "x.min.js holds code from elsewhere".to_owned())];
        let report = Report { findings: &scan.findings, suppressed: &scan.suppressed, skipped: &skipped };
        (sarif(&report).unwrap(), scan.findings)
    }

    #[test]
    fn a_report_names_rules_places_suppressions_and_what_was_left_out() {
        let (text, _) = scanned();
        let log: Value = serde_json::from_str(&text).unwrap();
        let run = &log["runs"][0];
        assert_eq!(run["tool"]["driver"]["rules"][0]["properties"]["tags"][2], "external/cwe/cwe-095");
        let result = &run["results"][0];
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "src/a%20b%23%C3%A9.py");
        assert_eq!(place["region"]["startColumn"], 5);
        assert_eq!((&result["ruleIndex"], &result["level"]), (&Value::from(0), &Value::from("error")));
        assert_eq!(run["results"][1]["suppressions"][0]["justification"], "a constant");
        assert_eq!(run["invocations"][0]["toolExecutionNotifications"][0]["level"], "note");
    }

    #[test]
    fn the_way_of_a_value_is_a_code_flow() {
        let (_, mut findings) = scanned();
        let finding = findings.first_mut().unwrap();
        let step = |role, column| FlowStep {
            role,
            span: finding.span,
            start: Position { line: 1, column },
            end: Position { line: 1, column: column + 1 },
            code: "a".to_owned(),
        };
        finding.flow = vec![step(FlowRole::Source, 10), step(FlowRole::Sink, 5)];
        let report = Report { findings: &findings, ..Report::default() };
        let log: Value = serde_json::from_str(&sarif(&report).unwrap()).unwrap();
        let steps = &log["runs"][0]["results"][0]["codeFlows"][0]["threadFlows"][0]["locations"];
        assert_eq!(steps.as_array().map(Vec::len), Some(2));
        assert_eq!(steps[0]["location"]["message"]["text"], "source: a");
        assert_eq!(steps[0]["location"]["physicalLocation"]["region"]["startColumn"], 10);
        assert_eq!(steps[1]["location"]["message"]["text"], "sink: a");
    }

    #[test]
    fn what_we_write_we_read_back_at_the_same_place() {
        let (text, findings) = scanned();
        let repository = RepositoryId("1".to_owned());
        let source = |path: &RepoPath| (path.as_str() == "src/a b#é.py").then(|| SOURCE.to_owned());
        let imported = read(&text, &Place { repository: &repository, root: None, read: &source }).unwrap();
        assert_eq!(imported.refused.len(), 1, "{:?}", imported.refused);
        let [again] = imported.findings.as_slice() else { panic!("{imported:?}") };
        assert_eq!((again.span, again.start, again.end), (findings[0].span, findings[0].start, findings[0].end));
        assert_eq!(
            (&again.rule.issue_type, again.rule.severity),
            (&findings[0].rule.issue_type, findings[0].rule.severity)
        );
        assert_eq!(again.rule.id.as_str(), "codehealer/t-eval");
    }
}
