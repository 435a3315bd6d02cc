//! Reports as scanners write them, and as attackers would.

use serde_json::{Value, json};

use super::*;
use crate::model::FlowRole;

const SOURCE: &str = "import os\n\ndef f(é, cmd):\n    x = '😀'; os.system(cmd)\n";

fn import(report: &Value, root: Option<&str>) -> Imported {
    let repository = RepositoryId("1".to_owned());
    let read = |path: &RepoPath| (path.as_str() == "src/a b.py").then(|| SOURCE.to_owned());
    read_report(&report.to_string(), &Place { repository: &repository, root, read: &read })
}

fn read_report(text: &str, place: &Place<'_>) -> Imported {
    read(text, place).unwrap()
}

fn report(uri: &str, region: &Value) -> Value {
    json!({"version": "2.1.0", "runs": [{
        "tool": {"driver": {"name": "Bandit Pro", "rules": [{
            "id": "B605", "name": "start_process", "helpUri": "https://bandit.example/b605",
            "shortDescription": {"text": "a shell"},
            "properties": {"tags": ["security", "external/cwe/cwe-078"], "security-severity": "8.1"},
        }]}},
        "results": [{"ruleId": "B605", "ruleIndex": 0, "message": {"text": "Starting a process\nwith a shell"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}]}],
    }]})
}

fn spans(region: &Value) -> Vec<&'static str> {
    let imported = import(&report("src/a%20b.py", region), None);
    imported.findings.iter().map(|finding| &SOURCE[finding.span.range()]).collect()
}

#[test]
fn a_result_becomes_a_finding_of_the_tool() {
    let imported = import(&report("src/a%20b.py", &json!({"startLine": 4, "startColumn": 15, "endColumn": 29})), None);
    let finding = &imported.findings[0];
    assert_eq!(finding.rule.id.as_str(), "bandit-pro/B605");
    assert_eq!(finding.rule.issue_type.as_str(), "COMMAND_INJECTION");
    assert_eq!(finding.rule.cwes, [crate::model::Cwe(78)]);
    assert_eq!(finding.rule.severity, Severity::High);
    assert_eq!(finding.rule.origin, RuleOrigin::External { tool: "bandit-pro".to_owned() });
    assert_eq!(finding.message, "Starting a process");
    assert_eq!((finding.start.line, finding.start.column), (4, 14));
    assert_eq!(&SOURCE[finding.span.range()], "os.system(cmd)");
    assert_eq!(finding.normalised, "os . system ( cmd )");
}

#[test]
fn every_kind_of_region_is_understood() {
    assert_eq!(spans(&json!({"startLine": 4, "startColumn": 15, "endLine": 4, "endColumn": 29})), ["os.system(cmd)"]);
    assert_eq!(spans(&json!({"startLine": 4, "startColumn": 15})), ["os.system(cmd)"]);
    assert_eq!(spans(&json!({"startLine": 4})), ["x = '😀'; os.system(cmd)"]);
    assert_eq!(spans(&json!({"startLine": 3, "endLine": 4, "endColumn": 6})), ["def f(é, cmd):\n    x"]);
    assert_eq!(spans(&json!({"startLine": 1, "startColumn": 3, "endColumn": 3})), ["import os"]);
    assert_eq!(spans(&json!({"byteOffset": 0, "byteLength": 6})), ["import"]);
    assert_eq!(spans(&json!({"charOffset": 17, "charLength": 1})), ["é"]);
    let mut points = report("src/a%20b.py", &json!({"startLine": 4, "startColumn": 14, "endColumn": 28}));
    points["runs"][0]["columnKind"] = json!("unicodeCodePoints");
    assert_eq!(&SOURCE[import(&points, None).findings[0].span.range()], "os.system(cmd)");
}

#[test]
fn regions_outside_the_file_are_refused() {
    for region in [
        json!({"startLine": 99}),
        json!({"startLine": 0}),
        json!({"startLine": -1}),
        json!({"startLine": 2}),
        json!({"byteOffset": 18, "byteLength": 1}),
        json!({"byteOffset": 1, "byteLength": 9_223_372_036_854_775_807_i64}),
        json!({"startLine": "4"}),
        json!({}),
        Value::Null,
    ] {
        let imported = import(&report("src/a%20b.py", &region), None);
        assert_eq!((imported.findings.len(), imported.refused.len()), (0, 1), "{region}");
    }
    assert_eq!(spans(&json!({"startLine": 4, "startColumn": 15, "endColumn": 9_999_999})), ["os.system(cmd)"]);
}

#[test]
fn uris_are_brought_below_the_root() {
    let region = json!({"startLine": 1});
    for uri in ["src/a%20b.py", "./src/a b.py", "file:///srv/repo/src/a%20b.py", "/srv/repo/src/a b.py"] {
        assert_eq!(import(&report(uri, &region), Some("/srv/repo/")).findings.len(), 1, "{uri}");
    }
    let mut based = report("a%20b.py", &region);
    based["runs"][0]["originalUriBaseIds"] =
        json!({"SRC": {"uri": "src/", "uriBaseId": "ROOT"}, "ROOT": {"uri": "file:///srv/repo/"}});
    based["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uriBaseId"] = json!("SRC");
    assert_eq!(import(&based, None).findings.len(), 1);
    assert_eq!(import(&based, Some("/srv/repo")).findings.len(), 1);
    let mut looped = based.clone();
    looped["runs"][0]["originalUriBaseIds"]["ROOT"] = json!({"uri": "x/", "uriBaseId": "SRC"});
    assert_eq!(import(&looped, None).findings.len(), 0);
    let mut indexed = report("", &region);
    indexed["runs"][0]["artifacts"] = json!([{"location": {"uri": "src/a%20b.py"}}]);
    indexed["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"] = json!({"index": 0});
    assert_eq!(import(&indexed, None).findings.len(), 1);
}

#[test]
fn hostile_uris_are_refused_with_a_reason() {
    for uri in [
        "../src/a b.py",
        "src/../../a",
        "%2e%2e/a",
        "/etc/passwd",
        "file:///etc/passwd",
        "file://evil/share/a",
        "https://x/a.py",
        "src%2f..%2f..%2fa",
        "src\\a.py",
        "C:/a.py",
        "a%00b",
        "a%zz",
        "a\u{202e}b",
        "",
        "data:text/plain,x",
    ] {
        let imported = import(&report(uri, &json!({"startLine": 1})), Some("/srv/repo"));
        assert_eq!((imported.findings.len(), imported.refused.len()), (0, 1), "{uri}");
    }
}

#[test]
fn cwe_numbers_are_found_wherever_scanners_put_them() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut report = report("src/a%20b.py", &json!({"startLine": 1}));
        report["runs"][0]["tool"]["driver"]["rules"][0]["properties"] = json!({});
        change(&mut report["runs"][0]);
        import(&report, None).findings[0].rule.issue_type.as_str().to_owned()
    };
    let rule = |run: &mut Value, key: &str, value: Value| run["tool"]["driver"]["rules"][0][key] = value;
    assert_eq!(with(&|run| rule(run, "properties", json!({"tags": ["CWE-89: SQL Injection"]}))), "SQL_INJECTION");
    assert_eq!(with(&|run| rule(run, "properties", json!({"cwe": ["CWE-79"]}))), "XSS");
    assert_eq!(with(&|run| rule(run, "properties", json!({"cwe": "502"}))), "UNSAFE_DESERIALIZATION");
    assert_eq!(
        with(&|run| rule(run, "relationships", json!([{"target": {"id": "611", "toolComponent": {"name": "CWE"}}}]))),
        "XXE"
    );
    assert_eq!(
        with(&|run| rule(run, "helpUri", json!("https://cwe.mitre.org/data/definitions/22.html"))),
        "PATH_TRAVERSAL"
    );
    assert_eq!(
        with(&|run| {
            run["taxonomies"] = json!([{"name": "CWE", "taxa": [{"id": "918"}]}]);
            run["results"][0]["taxa"] = json!([{"index": 0, "toolComponent": {"index": 0}}]);
        }),
        "SSRF"
    );
    assert_eq!(
        with(&|run| run["results"][0]["taxa"] = json!([{"id": "5", "toolComponent": {"name": "OWASP"}}])),
        "COMMAND_INJECTION"
    );
    assert_eq!(with(&|run| run["tool"]["driver"]["name"] = json!("other")), "LINTING");
    assert_eq!(
        with(&|run| {
            run["tool"]["driver"]["name"] = json!("ruff");
            run["results"][0]["ruleId"] = json!("S608");
            run["results"][0].as_object_mut().unwrap().remove("ruleIndex");
        }),
        "SQL_INJECTION"
    );
}

#[test]
fn what_is_missing_costs_no_more_than_itself() {
    let bare = json!({"runs": [{"tool": {"driver": {}}, "results": [
        {}, 7, null, {"ruleId": "x"},
        {"ruleId": "x y", "locations": [{"physicalLocation": {"artifactLocation": {"uri": "src/a%20b.py"}, "region": {"startLine": 1}}}]},
    ]}, {"results": null}, {}]});
    let imported = import(&bare, None);
    assert_eq!((imported.findings.len(), imported.refused.len()), (1, 4));
    assert_eq!(imported.findings[0].rule.id.as_str(), "unknown/x-y");
    assert_eq!(imported.findings[0].rule.severity, Severity::Medium);
    assert_eq!(imported.findings[0].message, "x y");
}

#[test]
fn what_is_no_problem_is_not_imported() {
    let with = |key: &str, value: Value| {
        let mut report = report("src/a%20b.py", &json!({"startLine": 1}));
        report["runs"][0]["results"][0][key] = value;
        import(&report, None).findings.len()
    };
    assert_eq!(with("kind", json!("pass")), 0);
    assert_eq!(with("kind", json!("fail")), 1);
    assert_eq!(with("baselineState", json!("absent")), 0);
    assert_eq!(with("suppressions", json!([{"kind": "inSource"}])), 0);
    assert_eq!(with("suppressions", json!([{"kind": "external", "status": "rejected"}])), 1);
}

#[test]
fn what_is_not_sarif_is_an_error_with_the_remedy() {
    let repository = RepositoryId("1".to_owned());
    let place = Place { repository: &repository, root: None, read: &|_| None };
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for text in ["", "{", "[]", "nonsense", &deep, "{\"version\": \"1.0.0\", \"runs\": []}"] {
        let error = read(text, &place).unwrap_err().to_string();
        assert!(error.contains("SARIF 2.1.0"), "{error}");
    }
}

#[test]
fn equal_findings_have_their_own_fingerprints_and_secrets_stay_inside() {
    let mut report = report("src/a%20b.py", &json!({"startLine": 1, "startColumn": 8, "endColumn": 10}));
    let mut again = report["runs"][0]["results"][0].clone();
    let place = json!({"startLine": 4, "startColumn": 15, "endColumn": 17});
    again["locations"][0]["physicalLocation"]["region"] = place;
    let token = ["ghp", "_", &"aB3dE5".repeat(6)].concat();
    report["runs"][0]["results"].as_array_mut().unwrap().push(again);
    report["runs"][0]["results"][0]["message"]["text"] = json!(format!("found {token} here"));
    let findings = import(&report, None).findings;
    assert_eq!(findings[0].normalised, findings[1].normalised);
    assert_ne!(findings[0].fingerprint, findings[1].fingerprint);
    assert!(!findings[0].message.contains(&token));
}

fn way(steps: &[(&str, u64, u64, u64)]) -> Value {
    let location = |(uri, line, from, to): &(&str, u64, u64, u64)| {
        let region = json!({"startLine": line, "startColumn": from, "endColumn": to});
        let mut place = json!({"region": region});
        if !uri.is_empty() {
            place["artifactLocation"] = json!({"uri": uri});
        }
        json!({"location": {"physicalLocation": place}})
    };
    json!({"threadFlows": [{"locations": steps.iter().map(location).collect::<Vec<_>>()}]})
}

fn told(code_flows: &Value) -> Vec<(FlowRole, String)> {
    let mut report = report("src/a%20b.py", &json!({"startLine": 4, "startColumn": 15, "endColumn": 29}));
    report["runs"][0]["results"][0]["codeFlows"] = code_flows.clone();
    let imported = import(&report, None);
    assert_eq!(imported.refused, Vec::<String>::new());
    imported.findings[0].flow.iter().map(|step| (step.role, step.code.clone())).collect()
}

#[test]
fn the_way_that_a_scanner_followed_is_the_way_of_the_finding() {
    let long = way(&[("src/a%20b.py", 3, 7, 8), ("", 3, 10, 13), ("", 4, 25, 28), ("src/a%20b.py", 4, 15, 29)]);
    let short = way(&[("src/a%20b.py", 3, 10, 13), ("src/a%20b.py", 4, 25, 28), ("src/a%20b.py", 4, 15, 29)]);
    let step = |role, code: &str| (role, code.to_owned());
    let expected = [step(FlowRole::Source, "cmd"), step(FlowRole::Step, "cmd"), step(FlowRole::Sink, "os.system(cmd)")];
    assert_eq!(told(&json!([long, short])), expected);
}

#[test]
fn steps_in_other_files_are_left_out_and_what_follows_is_no_source() {
    let steps =
        [("web.py", 1, 1, 2), ("src/a%20b.py", 3, 10, 13), ("../../etc/passwd", 1, 1, 2), ("src/a%20b.py", 4, 15, 29)];
    let told = told(&json!([way(&steps)]));
    assert_eq!(told.iter().map(|(role, _)| *role).collect::<Vec<_>>(), [FlowRole::Step, FlowRole::Sink]);
}

#[test]
fn a_way_that_says_nothing_costs_no_result() {
    let one = [("src/a%20b.py", 4, 15, 29)];
    let outside = [("src/a%20b.py", 90, 1, 2), ("src/a%20b.py", 4, 15, 29)];
    for flows in [Value::Null, json!("x"), json!([{"threadFlows": null}]), json!([way(&one)]), json!([way(&outside)])] {
        assert_eq!(told(&flows), [], "{flows}");
    }
    let many: Vec<_> = (0..2_000).map(|n| ("src/a%20b.py", 3, 1 + n % 9, 11)).collect();
    assert_eq!(told(&json!([way(&many)])).len(), 16);
}
