//! `codehealer rules`, `config` and `doctor`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::World;

const RULE: &str = "\
id: our-print
language: Python
severity: warning
message: print is left in
note: Logs are for that.
metadata: {issue_type: LINTING, cwe: [], severity: LOW, hint: use the log, references: ['https://example.org']}
rule: {pattern: print($A)}
";
const FIX: &str = "\
id: our-print/log
language: Python
message: use the log
rule: {pattern: print($A)}
fix: log($A)
";

fn rule_folder(world: &World, after: &str) -> String {
    let folder = world.state.path().join("our rules");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("our-print.yml"), RULE).unwrap();
    fs::write(folder.join("our-print.fix.yml"), FIX).unwrap();
    let cases = format!(
        "id: our-print\nvalid: ['log(1)']\ninvalid: ['print(1)']\nfixed:\n  - before: |\n      print(1)\n    after: |\n      {after}\n"
    );
    fs::write(folder.join("our-print.test.yml"), cases).unwrap();
    folder.to_string_lossy().into_owned()
}

#[test]
fn a_case_that_fails_is_shown_as_a_difference() {
    let world = World::new();
    let folder = rule_folder(&world, "logger.info(1)");
    let told = world.run(&["rules", "test", &folder]).ended(1);
    insta::assert_snapshot!(world.redacted(&told));
    let folder = rule_folder(&world, "log(1)");
    assert!(world.run(&["rules", "test", &folder]).ended(0).contains("0 failure(s)"));
}

#[test]
fn built_in_rules_can_be_tested_one_by_one_and_unknown_ones_are_refused() {
    let world = World::new();
    let told = world.run(&["rules", "test", "py-yaml-unsafe-load", "--format", "json"]).json();
    assert_eq!(told["rules"], 1);
    assert!(told["cases"].as_u64().unwrap() > 2, "{told}");
    let unknown = world.run(&["rules", "test", "no-such-rule"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("rules list"), "{}", unknown.err);
}

#[test]
fn rules_are_listed_and_shown_with_what_they_match() {
    let world = World::new();
    let folder = rule_folder(&world, "log(1)");
    let listed = world.run(&["rules", "list", "--rules", &folder, "--format", "json"]).json();
    assert!(listed.as_array().unwrap().iter().any(|rule| rule["id"] == "our-print"));
    let go = world.run(&["rules", "list", "--language", "go", "--format", "json"]).json();
    let all = go.as_array().unwrap();
    assert!(!all.is_empty() && all.iter().all(|rule| rule["languages"].as_array().unwrap().contains(&"go".into())));
    let kind = world.run(&["rules", "list", "--issue-type", "sql_injection", "--format", "json"]).json();
    assert!(kind.as_array().unwrap().iter().all(|rule| rule["issue_type"] == "SQL_INJECTION"));
    insta::assert_snapshot!(world.run(&["rules", "show", "our-print", "--rules", &folder]).ended(0));
    assert_eq!(world.run(&["rules", "show", "nothing"]).code, 2);
}

#[test]
fn the_configuration_is_shown_with_its_origins() {
    let world = World::new();
    let file = world.repo.path().join("codehealer.toml");
    fs::write(&file, "organisation = 'acme'\n[thresholds]\nopen = 90\n[model]\nurl = 'http://ann:hunter2@127.0.0.1:1/v1'\nkey = 'env:KEY'\n").unwrap();
    let told = world.run_with(&["config", "show", "--model", "llama"], &[("KEY", "hunter3")]).ended(0);
    assert!(!told.contains("hunter"), "{told}");
    insta::assert_snapshot!(world.redacted(&told));
}

#[test]
fn a_check_lists_every_problem_with_its_remedy() {
    let world = World::new();
    fs::write(world.repo.path().join(".codehealer.toml"), "[thresholds]\nopen = 10\n").unwrap();
    let file = world.repo.path().join("codehealer.toml");
    let text = "rules = ['no-rules']\n[slack_export]\npath = 'no-export'\n[model]\nurl = 'http://'\nkey = 'env:NO_SUCH_KEY'\n\
                [[repository]]\nname = 'shop'\npath = '.'\nbranches = ['main']\n";
    fs::write(&file, text).unwrap();
    let ran = world.run(&["config", "check", "--repository", ".", "--format", "json"]);
    let found = ran.json();
    let keys: Vec<&str> = found.as_array().unwrap().iter().map(|p| p["key"].as_str().unwrap()).collect();
    let own = "./.codehealer.toml";
    assert_eq!(
        keys,
        [
            "rules",
            "slack_export",
            "model.url",
            "model.key",
            "serve.webhook_secrets",
            "repository shop",
            "repository shop",
            own
        ]
    );
    assert_eq!(ran.code, 1);
    fs::write(&file, "[thresholds]\nopen = 90\n").unwrap();
    assert_eq!(world.run(&["config", "check"]).code, 0);
    fs::write(&file, "[threshold]\n").unwrap();
    let unknown = world.run(&["config", "check"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("threshold"), "{}", unknown.err);
}

#[test]
fn the_schemas_in_the_documentation_are_those_of_the_program() {
    let world = World::new();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (args, file) in [
        (vec!["config", "schema"], "codehealer.schema.json"),
        (vec!["config", "schema", "--repository"], "codehealer-repository.schema.json"),
    ] {
        let made = world.run(&args).ended(0);
        let written = fs::read_to_string(docs.join(file)).unwrap();
        assert!(made == written, "write it anew: codehealer {} > docs/{file}", args.join(" "));
    }
}

fn status<'a>(checks: &'a Value, name: &str) -> &'a str {
    let check = checks.as_array().unwrap().iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no {name} in {checks}"))["status"].as_str().unwrap()
}

#[test]
fn the_doctor_is_content_with_a_healthy_laptop() {
    let world = World::healed();
    let ran = world.run_with(&["doctor", "--format", "json"], &[("CODEHEALER_WEBHOOK_SECRET", "s3cret")]);
    let checks = ran.json();
    for name in ["configuration", "state", "clock", "repository", "rules", "model", "webhook secret"] {
        assert_eq!(status(&checks, name), "ok", "{name} in {checks}");
    }
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(!ran.out.contains("s3cret"));
}

#[test]
fn the_doctor_names_what_is_bad() {
    let world = World::healed();
    // Nothing listens on the discard port.
    let args = ["doctor", "--format", "json", "--model-url", "http://127.0.0.1:9/v1", "--verify-command", "echo no"];
    let ran = world.run(&args);
    let checks = ran.json();
    assert_eq!((status(&checks, "model"), status(&checks, "verify command")), ("bad", "bad"), "{checks}");
    assert_eq!((status(&checks, "webhook secret"), ran.code), ("warn", 1));
    let works = "echo '{\"version\":\"2.1.0\",\"runs\":[]}'";
    let ran = world.run(&["doctor", "--format", "json", "--verify-command", works]);
    assert_eq!(status(&ran.json(), "verify command"), "ok", "{}", ran.out);
    fs::write(world.state.path().join("codehealer.db"), "this is no database, however long one makes it").unwrap();
    let ran = world.run(&["doctor", "--format", "json"]);
    assert_eq!((status(&ran.json(), "state"), ran.code), ("bad", 1), "{}", ran.out);
}

#[test]
fn help_teaches_with_an_example() {
    let world = World::new();
    for group in ["audit", "memory", "rules", "config"] {
        let help = world.run(&[group, "--help"]).ended(0);
        let commands = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
        let names: Vec<&str> = commands
            .take_while(|line| !line.is_empty())
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
            .collect();
        assert!(names.len() >= 3, "{help}");
        for name in names {
            let help = world.run(&[group, name, "--help"]).ended(0);
            assert!(help.contains("codehealer ") && help.contains("xample"), "{group} {name}: {help}");
        }
    }
}
