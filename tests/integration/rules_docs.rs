//! The worked examples of `docs/RULES.md`, and how one begins and watches a rule of one's own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use codehealer::model::Language;

fn program(state: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codehealer"));
    command.args(args).arg("--state").arg(state).env_remove("CODEHEALER_CONFIG").current_dir(state);
    command
}

fn run(state: &Path, args: &[&str]) -> Output {
    program(state, args).output().expect("the program runs")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The files of the page: a line with a name in back quotes, then a block of YAML.
fn examples() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/RULES.md");
    let page = fs::read_to_string(page).expect("the page");
    let mut found = Vec::new();
    for part in page.split("\n`our-").skip(1) {
        let (name, rest) = part.split_once('`').expect("a closed name");
        let block =
            rest.strip_prefix("\n\n```yaml\n").and_then(|rest| rest.split_once("```\n")).expect("a block of YAML");
        found.push((format!("our-{name}"), block.0.to_owned()));
    }
    found
}

#[test]
fn the_worked_examples_of_the_documentation_work() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join("our-rules");
    fs::create_dir(&folder).unwrap();
    let files = examples();
    assert_eq!(files.iter().filter(|(name, _)| name.ends_with(".test.yml")).count(), 3, "{files:?}");
    for (name, document) in &files {
        fs::write(folder.join(name), document).unwrap();
    }
    let told = run(state.path(), &["rules", "test", "our-rules"]);
    assert!(told.status.success() && text(&told).contains("of 3 rule(s), 0 failure(s)"), "{}", text(&told));
    // Each example needs all that it shows.
    for (name, part) in [
        ("our-no-pry.yml", "binding.pry"),
        ("our-exact-money.yml", "kind: float"),
        ("our-exact-money.fix.yml", "\"$VALUE\""),
        ("our-internal-services.yml", "kind: Service"),
        ("our-internal-services.yml", "internal["),
        ("our-internal-services.fix.yml", "ClusterIP"),
    ] {
        let whole = fs::read_to_string(folder.join(name)).unwrap();
        let broken = if part == "kind: float" { "kind: string" } else { "other" };
        fs::write(folder.join(name), whole.replace(part, broken)).unwrap();
        let told = run(state.path(), &["rules", "test", "our-rules"]);
        assert!(!told.status.success(), "{name} without {part}: {}", text(&told));
        fs::write(folder.join(name), whole).unwrap();
    }
}

#[test]
fn a_new_rule_fails_in_every_language_until_it_is_written() {
    for language in Language::ALL {
        let state = tempfile::tempdir().unwrap();
        let name = language.to_string();
        let made = run(state.path(), &["rules", "new", "our-rule", "--language", &name]);
        assert!(made.status.success(), "{language}: {}", text(&made));
        let told = run(state.path(), &["rules", "test", ".codehealer/rules", "--format", "json"]);
        assert_eq!(told.status.code(), Some(1), "{language}: {}", text(&told));
        let report: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
        let failures = report["failures"].as_array().expect("failures");
        assert!(!failures.is_empty() && failures.iter().all(|one| one["kind"] == "invalid"), "{language}: {report}");
        assert!(failures.iter().all(|one| one["reason"] == "nothing is found"), "{language}: {report}");
    }
}

#[test]
fn nothing_is_overwritten_and_ids_are_plain_names() {
    let state = tempfile::tempdir().unwrap();
    let new = |id: &str| run(state.path(), &["rules", "new", id, "--language", "python", "--folder", "mine"]);
    assert!(new("our-rule").status.success());
    fs::write(state.path().join("mine/our-rule.yml"), "precious").unwrap();
    let again = new("our-rule");
    assert_eq!(again.status.code(), Some(2), "{}", text(&again));
    assert_eq!(fs::read_to_string(state.path().join("mine/our-rule.yml")).unwrap(), "precious");
    for id in ["../evil", "a/b", "A", "py-eval", ""] {
        assert_eq!(new(id).status.code(), Some(2), "{id}");
    }
    assert_eq!(fs::read_dir(state.path().join("mine")).unwrap().count(), 2);
}

#[test]
fn a_rule_finds_once_it_is_written_and_the_watch_says_so() {
    let state = tempfile::tempdir().unwrap();
    assert!(
        run(state.path(), &["rules", "new", "our-rule", "--language", "ruby", "--folder", "mine"]).status.success()
    );
    let mut child: Child = program(state.path(), &["rules", "test", "mine", "--watch"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next_end = || {
        lines.by_ref().map(|line| line.expect("text")).find(|line| line.contains("case(s)")).expect("an end of a run")
    };
    assert_eq!(next_end(), "3 case(s) of 1 rule(s), 2 failure(s)");
    let rule = state.path().join("mine/our-rule.yml");
    let document = fs::read_to_string(&rule).unwrap();
    let cases = "id: our-rule\nvalid: ['a = 1']\ninvalid: ['puts(1)', 'puts(2)']\n";
    // A moment in which the document is broken ends nothing.
    fs::write(&rule, "id: [").unwrap();
    fs::write(state.path().join("mine/our-rule.test.yml"), cases).unwrap();
    fs::write(&rule, document.replace("WRITE_THE_RULE($VALUE)", "puts($VALUE)")).unwrap();
    let mut last = next_end();
    while last.contains(" 2 failure(s)") {
        last = next_end();
    }
    assert_eq!(last, "3 case(s) of 1 rule(s), 0 failure(s)");
    child.kill().expect("it still runs");
    child.wait().expect("it ended");
    let alone = run(state.path(), &["rules", "test", "--watch"]);
    assert_eq!(alone.status.code(), Some(2), "{}", text(&alone));
}
