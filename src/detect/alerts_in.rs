//! Findings of another scanner as GitHub's code scanning keeps them: the answer of `GET /repos/{owner}/{repo}/code-scanning/alerts`.
//!
//! An alert says what SARIF says, under other names; it is brought into SARIF's form and read like any report. Source:
//! GitHub REST API, code scanning, version 2022-11-28.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::sarif_in::{self, Imported, Place, SarifError};

/// The text is no list of alerts.
#[derive(Debug, thiserror::Error)]
pub enum AlertsError {
    #[error(
        "the file is no list of code scanning alerts: {0}; write what `gh api repos/OWNER/NAME/code-scanning/alerts` answers"
    )]
    NotAlerts(String),
    #[error(transparent)]
    Sarif(#[from] SarifError),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Alert {
    number: u64,
    state: Option<String>,
    rule: Rule,
    tool: Tool,
    most_recent_instance: Option<Instance>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rule {
    id: Option<String>,
    name: Option<String>,
    severity: Option<String>,
    security_severity_level: Option<String>,
    description: Option<String>,
    full_description: Option<String>,
    help_uri: Option<String>,
    tags: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tool {
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Instance {
    state: Option<String>,
    message: Message,
    location: Location,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    text: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location {
    path: Option<String>,
    start_line: Option<i64>,
    end_line: Option<i64>,
    start_column: Option<i64>,
    end_column: Option<i64>,
}

/// Whether a text looks like a list of alerts rather than a report: it is a JSON list.
#[must_use]
pub fn is_list(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with('[')
}

/// Reads a list of alerts; pages that were joined into a list of lists are read too. Alerts that were fixed or dismissed
/// are refused like suppressed results, each with its number.
///
/// # Errors
/// When the text is no JSON list of alerts.
pub fn read(text: &str, place: &Place<'_>) -> Result<Imported, AlertsError> {
    let not_alerts = |error: serde_json::Error| AlertsError::NotAlerts(error.to_string());
    let listed: Vec<Value> = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(not_alerts)?;
    let mut runs: BTreeMap<String, Run> = BTreeMap::new();
    let mut refused = Vec::new();
    for value in listed.into_iter().flat_map(pages) {
        let alert: Alert = serde_json::from_value(value).map_err(not_alerts)?;
        if alert.most_recent_instance.is_none() && alert.rule.id.is_none() {
            return Err(AlertsError::NotAlerts("an entry has neither a rule nor an instance".to_owned()));
        }
        match closed(&alert) {
            Some(state) => refused.push(format!("alert {}: it is {state}", alert.number)),
            None => {
                let tool = alert.tool.name.clone().unwrap_or_else(|| "code-scanning".to_owned());
                runs.entry(tool).or_default().add(alert);
            }
        }
    }
    let runs: Vec<Value> = runs.into_iter().map(|(tool, run)| run.sarif(&tool)).collect();
    let mut imported = sarif_in::read(&json!({"version": "2.1.0", "runs": runs}).to_string(), place)?;
    imported.refused.splice(0..0, refused);
    Ok(imported)
}

fn pages(value: Value) -> Vec<Value> {
    match value {
        Value::Array(page) => page,
        alert => vec![alert],
    }
}

/// The state of an alert that asks for nothing any more.
fn closed(alert: &Alert) -> Option<String> {
    let instance = alert.most_recent_instance.as_ref().and_then(|instance| instance.state.clone());
    [alert.state.clone(), instance].into_iter().flatten().find(|state| state != "open")
}

/// The rules and results of one tool.
#[derive(Default)]
struct Run {
    rules: Vec<Value>,
    results: Vec<Value>,
}

impl Run {
    fn add(&mut self, alert: Alert) {
        let Alert { rule, most_recent_instance, .. } = alert;
        let Instance { message, location, .. } = most_recent_instance.unwrap_or_default();
        let mut properties = json!({"tags": rule.tags.unwrap_or_default()});
        if let (Some(score), Some(bag)) =
            (rule.security_severity_level.as_deref().and_then(score), properties.as_object_mut())
        {
            bag.insert("security-severity".to_owned(), json!(score));
        }
        // Each result has its own copy of its rule, which costs little and cannot be mixed up.
        let index = self.rules.len();
        self.rules.push(json!({
            "id": rule.id,
            "name": rule.name,
            "shortDescription": rule.description.map(|text| json!({"text": text})),
            "fullDescription": rule.full_description.map(|text| json!({"text": text})),
            "helpUri": rule.help_uri,
            "properties": properties,
        }));
        self.results.push(json!({
            "ruleId": rule.id,
            "ruleIndex": index,
            "level": rule.severity,
            "message": message.text.map(|text| json!({"text": text})),
            "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": location.path.as_deref().map(encoded)},
                "region": {
                    "startLine": location.start_line,
                    "startColumn": location.start_column.filter(|column| *column > 0),
                    "endLine": location.end_line.filter(|line| *line > 0),
                    "endColumn": location.end_column.filter(|column| *column > 0),
                },
            }}],
        }));
    }

    fn sarif(self, tool: &str) -> Value {
        json!({"tool": {"driver": {"name": tool, "rules": self.rules}}, "results": self.results})
    }
}

/// A path as a reference: GitHub gives it plain.
fn encoded(path: &str) -> String {
    path.replace('%', "%25").replace(' ', "%20").replace('#', "%23").replace('?', "%3F")
}

/// The middle of the range of CVSS scores that GitHub's word stands for.
fn score(level: &str) -> Option<&'static str> {
    match level {
        "critical" => Some("9.5"),
        "high" => Some("8.0"),
        "medium" => Some("5.5"),
        "low" => Some("2.0"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RepoPath, RepositoryId, Severity};

    const SOURCE: &str = "const a = require('a');\n\nfunction f(req) {\n  eval(req.query.x);\n}\n";

    fn imported(text: &str) -> Result<Imported, AlertsError> {
        let repository = RepositoryId("1".to_owned());
        let read_file = |path: &RepoPath| (path.as_str() == "lib/a b.js").then(|| SOURCE.to_owned());
        read(text, &Place { repository: &repository, root: None, read: &read_file })
    }

    fn alert() -> Value {
        json!({
            "number": 4, "state": "open", "html_url": "https://github.com/o/r/security/code-scanning/4",
            "rule": {"id": "js/code-injection", "severity": "error", "security_severity_level": "critical",
                "tags": ["external/cwe/cwe-094", "security"], "description": "Code injection", "name": "js/code-injection"},
            "tool": {"name": "CodeQL", "guid": null, "version": "2.20.0"},
            "most_recent_instance": {"ref": "refs/heads/main", "state": "open", "commit_sha": "39406e42cb832f683daa691dd652a8dc36ee8930",
                "message": {"text": "This code execution depends on a user-provided value."},
                "location": {"path": "lib/a b.js", "start_line": 4, "end_line": 4, "start_column": 8, "end_column": 19}}
        })
    }

    #[test]
    fn an_alert_becomes_a_finding_of_its_tool() {
        let imported = imported(&json!([alert()]).to_string()).unwrap();
        let finding = &imported.findings[0];
        assert_eq!(finding.rule.id.as_str(), "codeql/js/code-injection");
        assert_eq!((finding.rule.issue_type.as_str(), finding.rule.severity), ("CODE_INJECTION", Severity::Critical));
        assert_eq!(&SOURCE[finding.span.range()], "req.query.x");
        assert_eq!(finding.message, "This code execution depends on a user-provided value.");
    }

    #[test]
    fn what_people_dismissed_or_fixed_is_refused_by_number() {
        let mut dismissed = alert();
        dismissed["state"] = json!("dismissed");
        let mut fixed = alert();
        fixed["most_recent_instance"]["state"] = json!("fixed");
        let imported = imported(&json!([[dismissed], [fixed, alert()]]).to_string()).unwrap();
        assert_eq!(imported.findings.len(), 1, "pages are joined");
        assert_eq!(imported.refused, ["alert 4: it is dismissed", "alert 4: it is fixed"]);
    }

    #[test]
    fn no_alerts_are_none_and_other_json_is_an_error() {
        assert_eq!(imported("[]").unwrap(), Imported::default());
        for text in ["{}", "[1]", "[{}]", "nonsense", "[{\"runs\": []}]"] {
            let error = imported(text).unwrap_err().to_string();
            assert!(error.contains("code-scanning/alerts"), "{error}");
        }
        let mut elsewhere = alert();
        elsewhere["most_recent_instance"]["location"]["path"] = json!("../../etc/passwd");
        let refused = imported(&json!([elsewhere]).to_string()).unwrap();
        assert_eq!((refused.findings.len(), refused.refused.len()), (0, 1));
    }
}
