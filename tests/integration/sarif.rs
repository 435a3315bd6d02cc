//! Reports of other scanners, as they wrote them for sources with characters of one to four bytes.
//!
//! `sarif/*.sarif` were written by Bandit 1.9, ruff, ESLint 9 with Microsoft's formatter and eslint-plugin-security, and
//! Semgrep 1.x, run over the two sources beside them; long texts are left out and the folder is renamed. CodeQL's and
//! gosec's reports below follow what those tools publish.

use codehealer::detect::sarif_in::{Imported, Place, read, unknown_to};
use codehealer::detect::{Detector, Limits, RuleSet};
use codehealer::model::{Finding, RepoPath, RepositoryId, Severity};
use serde_json::json;

const PYTHON: &str = include_str!("sarif/app.py.txt");
const SCRIPT: &str = include_str!("sarif/a.js.txt");
const GO: &str =
    "package main\n\nfunc run(name string) {\n\ts := \"é😀\"; exec.Command(\"sh\", \"-c\", name)\n\t_ = s\n}\n";

fn source(path: &RepoPath) -> Option<String> {
    match path.as_str() {
        "src/app v1.py" => Some(PYTHON.to_owned()),
        "src/a.js" => Some(SCRIPT.to_owned()),
        "main.go" => Some(GO.to_owned()),
        _ => None,
    }
}

fn imported(report: &str) -> Imported {
    let repository = RepositoryId("1".to_owned());
    read(report, &Place { repository: &repository, root: Some("/srv/shop"), read: &source }).expect("it is SARIF")
}

/// Rule, issue type, severity and code of each finding.
fn told(report: &str) -> Vec<(String, String, Severity, String)> {
    let imported = imported(report);
    assert_eq!(imported.refused, Vec::<String>::new());
    let row = |finding: &Finding| {
        let text = source(&finding.path).expect("a source");
        let code = text[finding.span.range()].to_owned();
        (finding.rule.id.to_string(), finding.rule.issue_type.to_string(), finding.rule.severity, code)
    };
    imported.findings.iter().map(row).collect()
}

fn rows(expected: &[(&str, &str, Severity, &str)]) -> Vec<(String, String, Severity, String)> {
    let owned = |(rule, kind, severity, code): &(&str, &str, Severity, &str)| {
        ((*rule).to_owned(), (*kind).to_owned(), *severity, (*code).to_owned())
    };
    expected.iter().map(owned).collect()
}

const LOW: Severity = Severity::Low;
const MEDIUM: Severity = Severity::Medium;
const HIGH: Severity = Severity::High;

#[test]
fn bandit_counts_bytes_and_has_a_scale_of_its_own() {
    let expected = rows(&[
        ("bandit/B403", "UNSAFE_DESERIALIZATION", LOW, "import pickle"),
        ("bandit/B404", "COMMAND_INJECTION", LOW, "import subprocess"),
        ("bandit/B602", "COMMAND_INJECTION", HIGH, "subprocess.call(\"ls \" + name, shell=True)"),
        ("bandit/B506", "UNSAFE_DESERIALIZATION", MEDIUM, "yaml.load(daten)"),
        ("bandit/B324", "WEAK_HASH", HIGH, "hashlib.md5(daten)"),
        ("bandit/B301", "UNSAFE_DESERIALIZATION", MEDIUM, "pickle.loads(daten)"),
        ("bandit/B608", "SQL_INJECTION", MEDIUM, "\"SELECT * FROM t WHERE n = '%s'\""),
    ]);
    assert_eq!(told(include_str!("sarif/bandit.sarif")), expected);
}

#[test]
fn ruff_counts_characters() {
    let expected = rows(&[
        ("ruff/E702", "LINTING", HIGH, ";"),
        ("ruff/S602", "COMMAND_INJECTION", HIGH, "subprocess.call"),
        ("ruff/S506", "UNSAFE_DESERIALIZATION", HIGH, "yaml.load"),
        ("ruff/S324", "WEAK_HASH", HIGH, "hashlib.md5"),
        ("ruff/S301", "UNSAFE_DESERIALIZATION", HIGH, "pickle.loads(daten)"),
        ("ruff/S608", "SQL_INJECTION", HIGH, "\"SELECT * FROM t WHERE n = '%s'\" % name"),
        ("ruff/S307", "CODE_INJECTION", HIGH, "eval(name)"),
        ("ruff/E711", "LINTING", HIGH, "None"),
    ]);
    assert_eq!(told(include_str!("sarif/ruff.sarif")), expected);
}

#[test]
fn semgrep_counts_bytes_and_names_weaknesses_in_words() {
    let expected = rows(&[
        ("semgrep-oss/py-shell", "COMMAND_INJECTION", MEDIUM, "subprocess.call(\"ls \" + name, shell=True)"),
        ("semgrep-oss/py-md5", "WEAK_HASH", LOW, "hashlib.md5(daten)"),
        ("semgrep-oss/py-eval", "CODE_INJECTION", HIGH, "eval(name)"),
    ]);
    assert_eq!(told(include_str!("sarif/semgrep.sarif")), expected);
}

#[test]
fn eslint_counts_utf_16_and_names_no_weakness() {
    let expected = rows(&[
        ("eslint/no-eval", "CODE_INJECTION", HIGH, "eval"),
        ("eslint/no-cond-assign", "LOGIC", MEDIUM, "s = 1"),
        ("eslint/security/detect-child-process", "COMMAND_INJECTION", MEDIUM, "cp.exec(\"ls \" + s)"),
        ("eslint/use-isnan", "LOGIC", HIGH, "s == NaN"),
    ]);
    assert_eq!(told(include_str!("sarif/eslint.sarif")), expected);
}

fn codeql() -> String {
    let place = json!({"physicalLocation": {
        "artifactLocation": {"uri": "src/a.js", "uriBaseId": "%SRCROOT%", "index": 0},
        "region": {"startLine": 4, "startColumn": 25, "endColumn": 36}}});
    json!({"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [{
        "tool": {"driver": {"name": "CodeQL", "organization": "GitHub", "semanticVersion": "2.20.0", "rules": []},
            "extensions": [{"name": "codeql/javascript-queries", "semanticVersion": "1.2.0", "rules": [
                {"id": "js/other", "name": "js/other", "properties": {"tags": ["security", "external/cwe/cwe-079"]}},
                {"id": "js/code-injection", "name": "js/code-injection",
                 "shortDescription": {"text": "Code injection"}, "defaultConfiguration": {"enabled": true, "level": "error"},
                 "properties": {"tags": ["security", "external/cwe/cwe-094", "external/cwe/cwe-095", "external/cwe/cwe-079"],
                    "kind": "path-problem", "precision": "high", "problem.severity": "error", "security-severity": "9.3"}}]}]},
        "artifacts": [{"location": {"uri": "src/a.js", "uriBaseId": "%SRCROOT%", "index": 0}}],
        "columnKind": "utf16CodeUnits",
        "results": [
            {"ruleId": "js/code-injection", "rule": {"id": "js/code-injection", "index": 1, "toolComponent": {"index": 0}},
             "message": {"text": "This code execution depends on a [user-provided value](1)."}, "locations": [place],
             "partialFingerprints": {"primaryLocationLineHash": "39fa2ee980eb94b0:1"},
             "codeFlows": [{"threadFlows": [{"locations": [{"location": place}]}]}],
             "relatedLocations": [place]},
            {"ruleId": "js/code-injection", "rule": {"id": "js/code-injection", "index": 1, "toolComponent": {"index": 0}},
             "message": {"text": "This code execution depends on another [user-provided value](1)."}, "locations": [place]},
            {"ruleId": "js/other", "rule": {"id": "js/other", "index": 0, "toolComponent": {"index": 0}},
             "message": {"text": "x"}, "locations": [place], "suppressions": [{"kind": "inSource", "status": "underReview"}]}
        ]}]})
    .to_string()
}

#[test]
fn codeql_keeps_its_rules_in_extensions_and_tells_each_way_to_a_place() {
    let expected = rows(&[
        ("codeql/js/code-injection", "CODE_INJECTION", Severity::Critical, "req.query.x"),
        ("codeql/js/other", "XSS", MEDIUM, "req.query.x"),
    ]);
    assert_eq!(told(&codeql()), expected);
}

#[test]
fn gosec_counts_bytes_and_relates_its_rules_to_weaknesses() {
    let rule = |id: &str, cwe: &str| {
        json!({"id": id, "name": id, "shortDescription": {"text": id}, "defaultConfiguration": {"level": "error"},
            "properties": {"precision": "high", "tags": ["security", "HIGH"]},
            "relationships": [{"kinds": ["superset"], "target": {"id": cwe, "guid": "cb7cb3ce-0b37-3b04-9d1a-5f4d6dd80e1a",
                "toolComponent": {"name": "CWE", "guid": "f2856fc0-85b7-373f-83e7-6f8582243547"}}}]})
    };
    let result = |id: &str, index: usize, columns: (usize, usize)| {
        json!({"ruleId": id, "ruleIndex": index, "level": "error", "message": {"text": "found"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": "main.go"},
                "region": {"startLine": 4, "endLine": 4, "startColumn": columns.0, "endColumn": columns.1, "sourceLanguage": "go"}}}]})
    };
    let report = json!({"version": "2.1.0", "runs": [{
        "taxonomies": [{"name": "CWE", "guid": "f2856fc0-85b7-373f-83e7-6f8582243547", "taxa": [{"id": "78"}, {"id": "327"}]}],
        "tool": {"driver": {"name": "gosec", "rules": [rule("G204", "78"), rule("G401", "327"), rule("G999", "22")]}},
        "results": [result("G204", 0, (17, 46)), result("G401", 1, (17, 46)), result("G999", 2, (2, 3))]}]});
    let expected = rows(&[
        ("gosec/G204", "COMMAND_INJECTION", HIGH, "exec.Command(\"sh\", \"-c\", name"),
        ("gosec/G401", "WEAK_HASH", HIGH, "exec.Command(\"sh\", \"-c\", name"),
        ("gosec/G999", "PATH_TRAVERSAL", HIGH, "s"),
    ]);
    assert_eq!(told(&report.to_string()), expected);
}

#[test]
fn what_ours_or_another_scanner_said_of_the_same_place_is_said_once() {
    let path = RepoPath::new("src/app v1.py").expect("a path");
    let detector = Detector::new(RuleSet::built_in(), Limits::default());
    let ours = detector.scan(&RepositoryId("1".to_owned()), &path, PYTHON.as_bytes()).findings;
    let found = |kind: &str| ours.iter().any(|finding| finding.rule.issue_type.as_str() == kind);
    assert!(found("COMMAND_INJECTION") && found("SQL_INJECTION"), "{ours:#?}");
    let others = |ours: &[Finding]| {
        let reports =
            [include_str!("sarif/bandit.sarif"), include_str!("sarif/ruff.sarif"), include_str!("sarif/semgrep.sarif")];
        let all = reports.iter().flat_map(|report| imported(report).findings).collect();
        let kept = unknown_to(ours, all);
        kept.iter().map(|one| (one.rule.id.to_string(), one.start.line)).collect::<Vec<_>>()
    };
    let alone = others(&[]);
    let at = |line: usize| alone.iter().filter(|(_, at)| *at == line).map(|(id, _)| id.as_str()).collect::<Vec<_>>();
    assert_eq!(at(9), ["bandit/B602", "ruff/E702"], "one of three that say the same, and one that says something else");
    assert_eq!(at(11), ["bandit/B324", "bandit/B301"]);
    assert_eq!(at(16), ["ruff/S307"]);
    let beside_ours = others(&ours);
    assert!(
        !beside_ours.iter().any(|(id, _)| ["bandit/B602", "ruff/S602", "semgrep-oss/py-shell"].contains(&id.as_str()))
    );
    assert!(beside_ours.contains(&("bandit/B404".to_owned(), 3)), "an import is another place: {beside_ours:?}");
}
