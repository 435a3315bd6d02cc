//! One table per check: candidates that break this check and no earlier one, refused with its name.

use std::sync::Arc;

use super::*;
use crate::detect::{Detector, Limits as DetectLimits, RuleSet};
use crate::fix::edit;
use crate::model::{RepositoryId, RuleId, RuleInfo, RuleOrigin, Span};

const RULES: &[(&str, &str)] = &[
    (
        "py-yaml-load",
        "id: py-yaml-load
language: Python
severity: error
message: yaml.load builds any object
note: It does.
metadata: {issue_type: UNSAFE_DESERIALIZATION, cwe: [502], severity: HIGH, hint: load with yaml.safe_load, references: ['https://cwe.mitre.org']}
rule: {pattern: yaml.load($A)}
",
    ),
    (
        "py-eval",
        "id: py-eval
language: Python
severity: error
message: eval runs anything
note: It does.
metadata: {issue_type: CODE_INJECTION, cwe: [95], severity: HIGH, hint: parse the value, references: ['https://cwe.mitre.org']}
rule: {pattern: eval($A)}
",
    ),
    (
        "py-breakpoint",
        "id: py-breakpoint
language: Python
severity: warning
message: a breakpoint is left in
note: It is.
metadata: {issue_type: DEBUG_ENABLED, cwe: [489], severity: LOW, hint: remove the breakpoint, references: ['https://cwe.mitre.org']}
rule: {pattern: breakpoint()}
",
    ),
];

const CODE: &str = "\
import os
import yaml


def load(path):
    with open(path) as file:
        data = yaml.load(file)
    return os.fspath(data)
";

fn detector() -> Detector {
    let files = RULES.iter().map(|(id, text)| (format!("{id}.yml"), (*text).to_owned())).collect();
    Detector::new(Arc::new(RuleSet::parse(files, RuleOrigin::BuiltIn).unwrap()), DetectLimits::default())
}

fn repository() -> RepositoryId {
    RepositoryId("1".to_owned())
}

fn path(file: &str) -> RepoPath {
    RepoPath::new(file).unwrap()
}

fn findings(file: &RepoPath, text: &str) -> Vec<Finding> {
    detector().scan(&repository(), file, text.as_bytes()).findings
}

/// Verifies the change from `before` to `after` as the fix of the first finding.
fn change(file: &str, before: &str, after: &str) -> Result<VerifiedCandidate, Rejection> {
    let path = path(file);
    verified(&path, before, &edit::minimal(before, after, &path))
}

fn verified(path: &RepoPath, before: &str, edits: &[Edit]) -> Result<VerifiedCandidate, Rejection> {
    let found = findings(&RepoPath::new("app.py").unwrap(), before);
    let targets: Vec<Finding> = found.into_iter().take(1).collect();
    assert_eq!(targets.len(), 1, "the file has a finding");
    let input = VerifyInput::new(path, before, &targets, edits);
    with_detector(&input, &detector(), &repository())
}

#[track_caller]
fn refused(check: Check, result: Result<VerifiedCandidate, Rejection>) {
    let rejection = result.expect_err("the candidate must be refused");
    assert_eq!(rejection.check, RejectionKind::Failed(check), "{}", rejection.detail);
}

fn fixed(code: &str) -> String {
    code.replacen("yaml.load(", "yaml.safe_load(", 1)
}

#[test]
fn a_right_fix_passes_every_check_and_converges() {
    let verified = change("app.py", CODE, &fixed(CODE)).unwrap();
    let all = [
        Check::PathsAllowed,
        Check::AppliesExactly,
        Check::SmallEnough,
        Check::NoHiddenText,
        Check::NoSecretAdded,
        Check::NotSilenced,
        Check::ParsesCleanly,
        Check::MeaningKept,
        Check::NamesBound,
        Check::FindingGone,
        Check::NothingNew,
    ];
    assert_eq!(verified.checks(), all);
    assert_eq!(findings(&path("app.py"), verified.text()), []);
    insta::assert_snapshot!(verified.diff(), @r"
    --- a/app.py
    +++ b/app.py
    @@ -4,5 +4,5 @@
     
     def load(path):
         with open(path) as file:
    -        data = yaml.load(file)
    +        data = yaml.safe_load(file)
         return os.fspath(data)
    ");
}

#[test]
fn other_files_and_machinery_are_never_edited() {
    let at = |file: &str| Edit { path: path(file), span: Span::new(0, 0), text: "x = 1\n".to_owned() };
    let start = CODE.find("yaml.load").unwrap();
    let fix = Edit { path: path("app.py"), span: Span::new(start, start + 9), text: "yaml.safe_load".to_owned() };
    assert!(verified(&path("app.py"), CODE, std::slice::from_ref(&fix)).is_ok());
    for other in ["other.py", ".github/workflows/ci.yml", "CODEOWNERS", "setup.py", "APP.py"] {
        refused(Check::PathsAllowed, verified(&path("app.py"), CODE, &[fix.clone(), at(other)]));
    }
    for machinery in
        ["setup.py", "tests/conftest.py", ".github/scripts/a.py", ".git/hooks/a.py", "Build.Gradle", "sub/.GIT./x.py"]
    {
        refused(Check::PathsAllowed, change(machinery, CODE, &fixed(CODE)));
    }
}

#[test]
fn edits_for_another_text_do_not_apply() {
    for (start, end) in [(0, 9_999), (9_999, 9_999), (5, 2)] {
        let edit = Edit { path: path("app.py"), span: Span { start, end }, text: "x".to_owned() };
        refused(Check::AppliesExactly, verified(&path("app.py"), CODE, &[edit]));
    }
    let edit = |start: usize| Edit { path: path("app.py"), span: Span { start, end: start + 5 }, text: "x".to_owned() };
    refused(Check::AppliesExactly, verified(&path("app.py"), CODE, &[edit(3), edit(5)]));
    let accented = format!("{CODE}é = 1\n");
    let inside = Edit { path: path("app.py"), span: Span::new(CODE.len() + 1, CODE.len() + 1), text: String::new() };
    refused(Check::AppliesExactly, verified(&path("app.py"), &accented, &[inside]));
}

#[test]
fn an_edit_that_changes_nothing_is_no_fix() {
    assert_eq!(change("app.py", CODE, CODE).unwrap_err().check, RejectionKind::NoChange);
}

#[test]
fn large_changes_are_refused() {
    let lines = |count: usize| format!("{}{}", fixed(CODE), "print(os.sep)\n".repeat(count));
    assert!(change("app.py", CODE, &lines(59)).is_ok());
    refused(Check::SmallEnough, change("app.py", CODE, &lines(60)));
    let wide = format!("{}print('{}')\n", fixed(CODE), "x y ".repeat(5_000));
    refused(Check::SmallEnough, change("app.py", CODE, &wide));
}

#[test]
fn hidden_text_is_refused() {
    for c in ["\u{200b}", "\u{202e}", "\u{2066}", "\u{feff}", "\u{0}", "\u{8}", "\u{1b}", "\u{e0041}", "\u{c}"] {
        let after = format!("{}# note {c} here\n", fixed(CODE));
        refused(Check::NoHiddenText, change("app.py", CODE, &after));
    }
}

#[test]
fn hidden_text_that_was_there_before_does_not_count() {
    let before = format!("# old\u{200b}\n{CODE}");
    assert!(change("app.py", &before, &fixed(&before)).is_ok());
}

#[test]
fn secrets_are_refused_and_not_repeated() {
    let token = ["ghp", "_16C7e42F292c6912E7710c838347Ae178B4a"].concat();
    let key = ["AKIA", "2E0A8F3B244C9986"].concat();
    for secret in [token, key] {
        let after = fixed(CODE).replace("(file)", &format!("(file, '{secret}')"));
        let rejection = change("app.py", CODE, &after).unwrap_err();
        assert_eq!(rejection.check, RejectionKind::Failed(Check::NoSecretAdded));
        assert!(!rejection.detail.contains(&secret));
        let before = format!("KEY = '{secret}'\n{CODE}");
        assert!(change("app.py", &before, &fixed(&before)).is_ok(), "an old secret is not this fix' doing");
    }
}

#[test]
fn silencing_is_refused() {
    let line = "data = yaml.load(file)";
    for silenced in [
        "data = yaml.load(file)  # nosec",
        "data = yaml.safe_load(file)  # noqa: S506",
        "data = yaml.load(file)  # codehealer: ignore[py-yaml-load] reviewed",
        "data = yaml.safe_load(file)  # type: ignore",
    ] {
        refused(Check::NotSilenced, change("app.py", CODE, &CODE.replace(line, silenced)));
    }
}

#[test]
fn taking_the_code_out_is_refused() {
    let line = "data = yaml.load(file)";
    for gone in [
        "data = None",
        "pass",
        "data = None  # yaml.load(file)",
        "# data = yaml.load(file)\n        pass",
        "if False:\n            data = yaml.safe_load(file)",
    ] {
        refused(Check::NotSilenced, change("app.py", CODE, &CODE.replace(line, gone)));
    }
    refused(
        Check::NotSilenced,
        change("app.py", CODE, &CODE.replace("        data = yaml.load(file)\n", "        pass\n")),
    );
    refused(Check::NotSilenced, change("app.py", CODE, ""));
}

#[test]
fn a_rule_that_asks_to_take_code_out_is_healed_by_that() {
    let before = "def f(x):\n    breakpoint()\n    return x\n";
    assert!(change("app.py", before, "def f(x):\n    return x\n").is_ok());
}

#[test]
fn a_mark_that_makes_the_file_look_generated_is_refused() {
    let after = format!("# @generated\n{}", fixed(CODE));
    refused(Check::NotSilenced, change("app.py", CODE, &after));
}

#[test]
fn broken_code_is_refused() {
    refused(Check::ParsesCleanly, change("app.py", CODE, &CODE.replace("yaml.load(file)", "yaml.safe_load(file")));
    refused(
        Check::ParsesCleanly,
        change("app.py", CODE, &CODE.replace("data = yaml.load(file)", "data = = yaml.safe_load(file)")),
    );
    let broken = format!("{CODE}\ndef g(:\n    pass\n");
    assert!(change("app.py", &broken, &fixed(&broken)).is_ok(), "an old error elsewhere is not this fix' doing");
}

#[test]
fn an_import_that_hides_a_name_is_refused() {
    let before = format!("{CODE}\n\ndef json():\n    return 1\n");
    let after = fixed(&before).replace("import os\n", "import os\nimport json\n");
    refused(Check::MeaningKept, change("app.py", &before, &after));
    let replaced = fixed(CODE).replace("import os\n", "import os\nimport posixpath as os\n");
    refused(Check::MeaningKept, change("app.py", CODE, &replaced));
}

#[test]
fn names_from_nowhere_are_refused() {
    refused(Check::NamesBound, change("app.py", CODE, &CODE.replace("yaml.load(file)", "safe_parse(file)")));
    refused(Check::NamesBound, change("app.py", CODE, &CODE.replace("yaml.load(file)", "json.load(file)")));
    refused(Check::NamesBound, change("app.py", CODE, &fixed(CODE).replace("import os\n", "")));
    let known = CODE.replace("yaml.load(file)", "json.load(file)").replace("import os\n", "import os\nimport json\n");
    assert!(change("app.py", CODE, &known).is_ok());
}

#[test]
fn a_call_that_stood_in_a_string_is_bound_as_it_was() {
    let before = "data = eval(\"total(1)\")\n";
    assert!(change("app.py", before, "data = total(1)\n").is_ok());
    refused(Check::NamesBound, change("app.py", before, "data = totals(1)\n"));
    refused(Check::NamesBound, change("app.py", "data = eval(total)\n", "data = other(total)\n"));
}

#[test]
fn invented_packages_are_refused_unless_people_reviewed_them() {
    let after = CODE
        .replace("yaml.load(file)", "safeyaml.load(file)")
        .replace("import yaml\n", "import yaml\nimport safeyaml\n");
    refused(Check::NamesBound, change("app.py", CODE, &after));
    let path = path("app.py");
    let (targets, edits) = (findings(&path, CODE), edit::minimal(CODE, &after, &path));
    let input = VerifyInput { new_packages: NewPackages::Allowed, ..VerifyInput::new(&path, CODE, &targets, &edits) };
    assert!(with_detector(&input, &detector(), &repository()).is_ok());
}

#[test]
fn a_finding_that_stays_in_any_form_is_refused() {
    for still in ["yaml.load( file )", "yaml.load(file.buffer)", "(yaml.load(file))"] {
        refused(Check::FindingGone, change("app.py", CODE, &CODE.replace("yaml.load(file)", still)));
    }
    let moved =
        CODE.replace("        data = yaml.load(file)\n", "        print(path)\n        data = yaml.load(file)\n");
    refused(Check::FindingGone, change("app.py", CODE, &moved));
}

#[test]
fn a_finding_moved_under_an_old_suppression_is_not_gone() {
    let before = "import yaml\n# codehealer: ignore[py-yaml-load] trusted input\nold = yaml\ndata = yaml.load(old)\n";
    let after = "import yaml\nold = yaml\n# codehealer: ignore[py-yaml-load] trusted input\ndata = yaml.load(old)\n";
    refused(Check::FindingGone, change("app.py", before, after));
}

#[test]
fn a_new_finding_is_refused() {
    refused(Check::NothingNew, change("app.py", CODE, &CODE.replace("yaml.load(file)", "eval(file.read())")));
    let elsewhere = fixed(CODE).replace("os.fspath(data)", "eval(os.fspath(data))");
    refused(Check::NothingNew, change("app.py", CODE, &elsewhere));
}

#[test]
fn siblings_and_findings_around_may_stay() {
    let twice = CODE.replace("return os.fspath(data)", "return os.fspath(yaml.load(file))");
    assert!(change("app.py", &twice, &fixed(&twice)).is_ok(), "one of two equal findings is healed");
    let nested = CODE.replace("yaml.load(file)", "yaml.load(eval(path))");
    assert!(change("app.py", &nested, &fixed(&nested)).is_ok(), "the finding inside only moved");
    let inner = "import ast\nimport yaml\n\n\ndef f(path):\n    return yaml.load(eval(path))\n";
    let found = findings(&path("app.py"), inner);
    let target: Vec<Finding> = found.into_iter().filter(|finding| finding.rule.id.as_str() == "py-eval").collect();
    let edits = edit::minimal(inner, &inner.replace("eval(", "ast.literal_eval("), &path("app.py"));
    let path = path("app.py");
    let input = VerifyInput::new(&path, inner, &target, &edits);
    let verified = with_detector(&input, &detector(), &repository());
    assert!(verified.is_ok(), "the finding around was there before: {verified:?}");
}

#[test]
fn a_file_that_is_no_longer_scanned_is_not_healed() {
    let path = path("app.py");
    let targets = findings(&path, CODE);
    let edits = edit::minimal(CODE, &fixed(CODE), &path);
    let small = DetectLimits { max_bytes: 10, ..DetectLimits::default() };
    let files = RULES.iter().map(|(id, text)| (format!("{id}.yml"), (*text).to_owned())).collect();
    let blind = Detector::new(Arc::new(RuleSet::parse(files, RuleOrigin::BuiltIn).unwrap()), small);
    let rejection = with_detector(&VerifyInput::new(&path, CODE, &targets, &edits), &blind, &repository()).unwrap_err();
    assert_eq!(rejection.check, RejectionKind::CouldNotCheck);
}

fn external(path: &RepoPath, text: &str, code: &str) -> Finding {
    let mut finding = findings(&RepoPath::new("app.py").unwrap(), CODE).remove(0);
    let rule = RuleInfo {
        id: RuleId::new("rubocop/Security").unwrap(),
        origin: RuleOrigin::External { tool: "rubocop".to_owned() },
        ..(*finding.rule).clone()
    };
    let start = text.find(code).unwrap();
    finding.rule = Arc::new(rule);
    finding.path = path.clone();
    finding.span = Span::new(start, start + code.len());
    finding.normalised = code.to_owned();
    finding
}

#[test]
fn without_a_grammar_only_the_checks_that_were_made_are_recorded() {
    let (path, before) = (path("app.cr"), "def load(f)\n  YAML.load(f)\nend\n");
    let target = [external(&path, before, "YAML.load(f)")];
    let edits = edit::minimal(before, &before.replace("load(f)\nend", "safe_load(f)\nend"), &path);
    let verified =
        with_detector(&VerifyInput::new(&path, before, &target, &edits), &detector(), &repository()).unwrap();
    let texts = [
        Check::PathsAllowed,
        Check::AppliesExactly,
        Check::SmallEnough,
        Check::NoHiddenText,
        Check::NoSecretAdded,
        Check::NotSilenced,
    ];
    assert_eq!(verified.checks(), texts);
    let gone = edit::minimal(before, "def load(f)\n  # YAML.load(f)\nend\n", &path);
    let rejected = with_detector(&VerifyInput::new(&path, before, &target, &gone), &detector(), &repository());
    refused(Check::NotSilenced, rejected);
}

#[test]
fn a_verifier_proves_what_our_rules_cannot() {
    let (path, before) = (path("app.cr"), "def load(f)\n  YAML.load(f)\nend\n");
    let target = [external(&path, before, "YAML.load(f)")];
    let edits = edit::minimal(before, &before.replace("load(f)\nend", "safe_load(f)\nend"), &path);
    let input = VerifyInput::new(&path, before, &target, &edits);
    let patched = || check_edits(&input).unwrap();
    let verified = check_findings(patched(), &target, &[]).unwrap();
    assert!(verified.checks().ends_with(&[Check::FindingGone, Check::NothingNew]));
    refused(Check::FindingGone, check_findings(patched(), &target, &target));
}

#[test]
fn a_target_of_our_rules_that_the_scan_does_not_show_cannot_be_judged() {
    let path = path("app.py");
    let targets = findings(&path, CODE);
    let edits = edit::minimal(CODE, &fixed(CODE), &path);
    let patched = check_edits(&VerifyInput::new(&path, CODE, &targets, &edits)).unwrap();
    assert_eq!(check_findings(patched, &[], &[]).unwrap_err().check, RejectionKind::CouldNotCheck);
}

#[test]
fn several_findings_heal_together_and_one_bad_edit_fails_the_whole() {
    let before = format!("{CODE}\n\ndef two(file):\n    return eval(file), yaml.load(open(file))\n");
    let path = path("app.py");
    let found = findings(&path, &before);
    let edits = |index: usize, to: &str, import: bool| {
        let mut edits = vec![Edit { path: path.clone(), span: found[index].span, text: to.to_owned() }];
        if import {
            edits.extend(imports::insert(Language::Python, &path, &before, &["import ast".to_owned()]));
        }
        edits
    };
    let whole = |last: &str| {
        let sets =
            [edits(0, "yaml.safe_load(file)", false), edits(1, "ast.literal_eval(file)", true), edits(2, last, true)];
        let union = edit::union(&sets);
        let input = VerifyInput { guarded: false, ..VerifyInput::new(&path, &before, &found, &union.edits) };
        with_detector(&input, &detector(), &repository())
    };
    let verified = whole("yaml.safe_load(open(file))").unwrap();
    assert_eq!(findings(&path, verified.text()), []);
    assert_eq!(whole("unknown(file)").unwrap_err().detail, "bound nowhere: unknown");
}
