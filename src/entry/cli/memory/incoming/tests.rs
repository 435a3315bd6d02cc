//! Nothing that a file says of its own worth is believed.

use serde_json::{Value, json};

use super::*;

fn fix() -> Value {
    json!({
        "id": "a".repeat(64), "schema": 1, "organisation": "elsewhere", "language": "python",
        "rule": "py-yaml-unsafe-load", "aliases": [], "issue_type": "UNSAFE_DESERIALIZATION", "severity": "HIGH",
        "confidence": 99, "message": "m", "scope_before": "x = yaml.load(f)\n", "scope_after": "x = yaml.safe_load(f)\n",
        "finding": {"start": 4, "end": 16}, "anchor_kind": "call", "imports_added": [],
        "patterns": [], "vector": [1.0], "embedder": "e", "repository": "r", "private": false, "path": "a.py",
        "provenance": {"kind": "merged", "pull_request": "p", "commit": "c"}, "author": "member", "created": 1,
        "round_trips": true, "record": {"accepted": 50, "rejected": 0, "reverted": 0}, "superseded_by": null,
    })
}

fn with(key: &str, value: Value) -> Result<PastFix, Refusal> {
    let mut fix = fix();
    fix[key] = value;
    read(&fix.to_string(), "acme")
}

#[test]
fn what_a_file_says_of_its_own_worth_is_not_believed() {
    let fix = read(&fix().to_string(), "acme").unwrap();
    assert_eq!(fix.provenance, Provenance::Imported);
    assert_eq!((fix.record, fix.confidence.percent(), fix.author), (TrackRecord::default(), 0, AuthorKind::Unknown));
    assert_eq!((fix.organisation.as_str(), fix.vector.len()), ("acme", 0));
}

#[test]
fn a_pattern_that_claims_to_be_curated_is_dropped() {
    let leaf = json!({"leaf": {"kind": "call", "text": "yaml.load(f)"}});
    let pattern = |level: &str| json!({"level": level, "before": leaf, "anchor": [], "rewrites": [], "imports": [], "inserted_names": []});
    let fix = with("patterns", json!([pattern("Curated"), pattern("L1")])).unwrap();
    assert_eq!(fix.patterns.iter().map(|p| p.level).collect::<Vec<_>>(), [Level::L1]);
    assert!(!fix.round_trips);
}

#[test]
fn a_newer_schema_and_broken_lines_are_refused_each_with_its_reason() {
    assert_eq!(with("schema", json!(2)), Err(Refusal::Newer { found: 2 }));
    assert_eq!(with("finding", json!({"start": 4, "end": 400})), Err(Refusal::Finding));
    assert_eq!(with("finding", json!({"start": 9, "end": 4})), Err(Refusal::Finding));
    assert_eq!(with("path", json!("a.rb")), Err(Refusal::Language(Language::Python)));
    assert_eq!(with("scope_after", fix()["scope_before"].clone()), Err(Refusal::NoChange));
    for wrong in ["", "{", "[]", "null", "{\"schema\": 1}"] {
        assert!(matches!(read(wrong, "acme"), Err(Refusal::Syntax(_))), "{wrong}");
    }
    assert!(matches!(with("path", json!("../../etc/passwd")), Err(Refusal::Syntax(_))));
}

#[test]
fn secrets_are_taken_out_and_the_finding_stays_where_it_is() {
    let secret = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    let before = format!("t = '{secret}'\nx = yaml.load(f)\n");
    let start = before.find("yaml").unwrap();
    let mut value = fix();
    value["scope_before"] = json!(before);
    value["finding"] = json!({"start": start, "end": start + 12});
    let fix = read(&value.to_string(), "acme").unwrap();
    assert!(!fix.scope_before.contains(secret));
    assert_eq!(&fix.scope_before[fix.finding.range()], "yaml.load(f)");
    value["finding"] = json!({"start": 5, "end": 20});
    assert_eq!(read(&value.to_string(), "acme"), Err(Refusal::SecretInFinding));
}

#[test]
fn an_id_that_is_none_of_ours_is_replaced_by_one_of_the_content() {
    let (one, two) = (with("id", json!("x")).unwrap(), with("id", json!("x")).unwrap());
    assert_eq!((one.id.0.len(), &one.id), (64, &two.id));
    assert_eq!(with("id", json!("a".repeat(64))).unwrap().id.0, "a".repeat(64));
}
