//! Behaviour of the engine with small rules of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::model::{Finding, Language, RepoPath, RepositoryId, RuleId, RuleOrigin, Severity, Span};

pub(super) const EVAL: &str = "id: t-eval
language: Python
severity: error
message: eval runs its argument
metadata: {issue_type: CODE_INJECTION, cwe: [95], severity: HIGH, hint: do not}
rule: {kind: call, has: {field: function, regex: '^eval$'}}
";

const ANY_CALL: &str = "id: t-call
language: Python
severity: warning
message: a call of eval
metadata: {issue_type: CODE_INJECTION, cwe: [95], severity: LOW, hint: do not}
rule: {kind: call, regex: '^eval'}
";

const SUM: &str = "id: t-sum
language: JavaScript
severity: info
message: a sum with a variable
metadata: {issue_type: LOGIC, cwe: [], severity: LOW, hint: do not, languages: [TypeScript], files: ['src/**/*.{js,ts}']}
rule: {kind: binary_expression, has: {kind: identifier, stopBy: end}}
";

fn set(files: &[(&str, &str)]) -> Result<RuleSet, RuleError> {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    RuleSet::parse(files, RuleOrigin::Operator)
}

fn detector() -> Detector {
    let rules = set(&[("t-eval.yml", EVAL), ("t-call.yml", ANY_CALL), ("t-sum.yml", SUM)]).unwrap();
    Detector::new(Arc::new(rules), Limits::default())
}

fn scan_bytes(path: &str, bytes: &[u8]) -> FileScan {
    detector().scan(&RepositoryId("1".to_owned()), &RepoPath::new(path).unwrap(), bytes)
}

fn scan(path: &str, text: &str) -> FileScan {
    scan_bytes(path, text.as_bytes())
}

fn codes<'t>(text: &'t str, findings: &[Finding]) -> Vec<&'t str> {
    findings.iter().map(|finding| &text[finding.span.range()]).collect()
}

#[test]
fn one_span_is_one_finding_of_the_more_severe_rule() {
    let text = "x = eval(a)\ny = evaluate(b)\n";
    let findings = scan("a.py", text).findings;
    assert_eq!(codes(text, &findings), ["eval(a)", "evaluate(b)"]);
    assert_eq!(findings[0].rule.severity, Severity::High);
    assert_eq!(findings[1].rule.id.as_str(), "t-call");
}

#[test]
fn nested_calls_are_findings_of_their_own_but_the_parts_of_a_chain_are_not() {
    let text = "eval(eval(a))\n";
    assert_eq!(codes(text, &scan("a.py", text).findings), ["eval(eval(a))", "eval(a)"]);
    let text = "y = 'a' + b + ('c' + d) + f('e' + g);\n";
    assert_eq!(codes(text, &scan("src/a.js", text).findings), ["'a' + b + ('c' + d) + f('e' + g)", "'e' + g"]);
}

#[test]
fn a_rule_covers_its_languages_and_paths_only() {
    let text = "const y = 1 + a;\n";
    assert_eq!(scan("src/deep/a.ts", text).findings.len(), 1);
    assert_eq!(scan("src/a.tsx", text).findings.len(), 0);
    assert_eq!(scan("lib/a.js", text).findings.len(), 0);
    assert_eq!(scan("src/a.ts", text).findings[0].rule.language, Some(Language::TypeScript));
}

#[test]
fn a_fingerprint_survives_moving_wrapping_and_comments() {
    let before = scan("a.py", "x = eval(a, b)\n").findings;
    let after = scan("a.py", "import os\n\ndef f():\n    x = eval(  # why\n        a,\n        b)\n").findings;
    assert_eq!(before[0].fingerprint, after[0].fingerprint);
    assert_eq!(before[0].normalised, "eval ( a , b )");
    let twice = scan("a.py", "eval(a, b)\neval(a, b)\n").findings;
    assert_eq!(twice[0].fingerprint, before[0].fingerprint);
    assert_ne!(twice[1].fingerprint, before[0].fingerprint);
    assert_ne!(scan("b.py", "x = eval(a, b)\n").findings[0].fingerprint, before[0].fingerprint);
}

#[test]
fn spans_are_exact_with_byte_order_mark_crlf_and_tabs() {
    let text = "\u{feff}if é:\r\n\teval('ü', [\r\n\t\t1])\r\n";
    let findings = scan("a.py", text).findings;
    assert_eq!(codes(text, &findings), ["eval('ü', [\r\n\t\t1])"]);
    assert_eq!((findings[0].start.line, findings[0].start.column), (2, 2));
    assert_eq!((findings[0].end.line, findings[0].end.column), (3, 6));
}

#[test]
fn a_comment_with_a_reason_suppresses_and_one_without_is_noticed() {
    let scanned = scan("a.py", "eval(a)  # codehealer: ignore[t-eval] input is a constant\n");
    assert_eq!((scanned.findings.len(), scanned.suppressed.len()), (0, 1));
    assert_eq!(scanned.suppressed[0].reason, "input is a constant");
    assert_eq!(scan("a.py", "# codehealer: ignore[t-eval] fine\n# more\neval(a)\neval(b)\n").suppressed.len(), 1);
    assert_eq!(scan("a.py", "x = 1  # codehealer: ignore[t-eval] fine\neval(a)\n").suppressed.len(), 0);
    assert_eq!(scan("a.py", "eval(a)  # codehealer: ignore[t-call] other rule\n").findings.len(), 1);
    let unfounded = scan("a.py", "eval(a)  # codehealer: ignore[t-eval]\n");
    assert_eq!((unfounded.findings.len(), unfounded.notices.len()), (1, 1));
}

#[test]
fn comments_of_other_tools_suppress_nothing() {
    assert_eq!(scan("a.py", "# ast-grep-ignore\n\neval(a)  # nosec\n").findings.len(), 1);
    assert_eq!(scan("a.py", "# ast-grep-ignore: t-eval\neval(a)\n").findings.len(), 1);
}

#[test]
fn a_file_that_does_not_parse_has_one_finding_that_says_where_and_why() {
    for (path, text, line, cause) in [
        ("a.py", "def f(x):\n    return g(x\n\n\ndef h():\n    pass\n", 2, "`(` is never closed"),
        ("a.py", "x = 1\ny = = 2\n", 2, "does not belong here"),
        ("a.py", "def f(x)\n    return x\n", 1, ""),
        ("a.js", "function f() {\n  return 1;\n", 1, "`{` is never closed"),
        ("a.ts", "const a: number[] = [1, 2;\n", 1, "`[`"),
        ("a.go", "package a\n\nfunc f() {\n\tg(]\n}\n", 4, "`(` is closed by `]`"),
        ("A.java", "class A {\n  void f() {\n    g();\n  }\n", 1, "`{` is never closed"),
        ("a.tf", "resource \"a\" \"b\" {\n  x = 1\n", 1, "`{` is never closed"),
    ] {
        let findings = scan(path, text).findings;
        assert_eq!(findings.len(), 1, "{text}: {findings:#?}");
        assert_eq!(findings[0].rule.id.as_str(), SYNTAX_ERROR, "{text}");
        assert_eq!(findings[0].start.line, line, "{text}: {}", findings[0].message);
        assert!(findings[0].message.contains(cause), "{text}: {}", findings[0].message);
    }
    let findings = scan("a.py", "if x:\n    a()\n  b()\n").findings;
    assert_eq!((findings.len(), findings[0].rule.id.as_str()), (1, INDENTATION));
}

#[test]
fn dialects_that_a_grammar_does_not_know_are_not_called_broken() {
    for (path, text) in [
        ("a.py", "print \"x\" % y, z\n"),
        ("a.py", "try:\n    pass\nexcept A, b:\n    pass\n"),
        ("templates/deploy.yaml", "a:\n{{- if .Values.x }}\n  b: {{ .Values.y }\n{{- end }}\n"),
        ("a.js", "// @flow\nconst x = (y: any);\ntype T = {| a: string |};\n"),
    ] {
        assert_eq!(scan(path, text).findings, [], "{text}");
    }
}

#[test]
fn keywords_that_are_names_here_break_nothing_and_hide_no_other_error() {
    let names = "function f(options) {\n  if (options.using) {\n    using = function (p) { return p; };\n  }\n  return g(using);\n}\n";
    assert_eq!(scan("a.js", names).findings, []);
    let broken = format!("{names}function h() {{\n  return [1, using;\n}}\n");
    let findings = scan("a.js", &broken).findings;
    assert_eq!((findings.len(), findings[0].rule.id.as_str(), findings[0].start.line), (1, SYNTAX_ERROR, 8));
}

#[test]
fn only_what_the_base_does_not_account_for_is_introduced() {
    let base_text = "eval(a)\neval(b)\n";
    let head_text = "import os\nif x:\n    eval(b)\neval(a)\neval(c)\neval(a)\n";
    let (base, head) = (scan("old.py", base_text).findings, scan("new.py", head_text).findings);
    let new = introduced(&head, &base, None);
    assert_eq!(new.iter().map(|finding| finding.start.line).collect::<Vec<_>>(), [5, 6]);
    let changed = ChangedLines::between("eval(a)\n", "eval(a)\neval(a)\nx\n");
    let (base, head) = (scan("a.py", "eval(a)\n").findings, scan("a.py", "eval(a)\neval(a)\nx\n").findings);
    assert_eq!(introduced(&head, &base, Some(&changed))[0].start.line, 2);
    let before = ChangedLines::between("x\neval(a)\n", "eval(a)\nx\neval(a)\n");
    let (base, head) = (scan("a.py", "x\neval(a)\n").findings, scan("a.py", "eval(a)\nx\neval(a)\n").findings);
    assert_eq!(introduced(&head, &base, Some(&before))[0].start.line, 1);
}

#[test]
fn a_file_that_was_broken_before_is_not_newly_broken() {
    let (base, head) = (scan("a.py", "x = = 2\n").findings, scan("a.py", "y = 1\nz = f(\n").findings);
    assert_eq!((base.len(), head.len()), (1, 1));
    assert_eq!(introduced(&head, &base, None), []);
    assert_eq!(introduced(&head, &[], None).len(), 1);
}

#[test]
fn a_broken_rule_file_is_refused_with_place_and_remedy() {
    let refused = |name: &str, text: &str| set(&[(name, text)]).map(|_| ()).unwrap_err().to_string();
    let unknown_key = EVAL.replace("hint:", "tip: x, hint:");
    assert!(refused("t-eval.yml", &unknown_key).contains("tip"), "{}", refused("t-eval.yml", &unknown_key));
    assert!(refused("t-eval.yml", &EVAL.replace("Python", "Kotlin")).contains("Hcl, Java"));
    assert!(refused("t-eval.yml", &EVAL.replace("kind: call", "kind: cull")).contains("cull"));
    assert!(refused("other.yml", EVAL).contains("name the file t-eval.yml"));
    assert!(refused("t-eval.yml", "id: [").contains("line 1"));
    assert!(refused("t-eval.yml", &EVAL.replace("rule:", "ignore: x\nrule:")).contains("ignore"));
    assert!(refused("t-eval.yml", &format!("{EVAL}fix: x\n")).contains("t-eval.fix.yml"));
    assert!(refused("t-eval.fix.yml", EVAL).contains("no rule beside it"));
}

#[test]
fn sets_are_joined_unless_an_id_is_taken() {
    let (one, two) = (set(&[("t-eval.yml", EVAL)]).unwrap(), set(&[("t-call.yml", ANY_CALL)]).unwrap());
    let both = one.with(&two).unwrap();
    let ids: Vec<String> = both.infos().unwrap().iter().map(|info| info.id.to_string()).collect();
    assert_eq!(ids, [INDENTATION, SYNTAX_ERROR, "t-call", "t-eval"]);
    assert!(both.with(&one).is_err());
}

#[test]
fn a_curated_fix_tells_what_it_would_put_where() {
    let fix = "id: t-eval/literal
language: Python
message: read the literal
metadata: {imports: [import ast]}
rule: {pattern: eval($A)}
fix: ast.literal_eval($A)
";
    let rules = set(&[("t-eval.yml", EVAL), ("t-eval.fix.yml", fix)]).unwrap();
    let fixes = rules.curated_fixes(&RuleId::new("t-eval").unwrap(), Language::Python).unwrap();
    let text = "def f():\n    return eval(\n        a)\n";
    let tree = parse(Language::Python, text).unwrap();
    let start = text.find("eval").unwrap();
    let found = proposals(fixes, &tree, Span::new(start, text.len() - 1));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].title.as_str(), found[0].replacement.as_str()), ("read the literal", "ast.literal_eval(a)"));
    assert_eq!(found[0].span, Span::new(start, text.len() - 1));
    assert_eq!(found[0].imports, [FixImport::Statement("import ast".to_owned())]);
    assert_eq!(proposals(fixes, &tree, Span::new(0, 3)), []);
}

#[test]
fn cases_group_by_rule_and_path() {
    let mut findings = scan("a.py", "eval(a)\neval(b)\nevaluate(c)\n").findings;
    findings.extend(scan("b.py", "eval(a)\n").findings);
    assert_eq!(cases(findings).values().map(Vec::len).collect::<Vec<_>>(), [1, 2, 1]);
}

#[test]
fn disabled_rules_find_nothing() {
    let text = "eval(a)\n";
    let without = detector().without([RuleId::new("t-eval").unwrap(), RuleId::new("t-call").unwrap()]);
    let path = RepoPath::new("a.py").unwrap();
    assert_eq!(without.scan(&RepositoryId("1".to_owned()), &path, text.as_bytes()).findings, []);
}

#[test]
fn a_value_that_comes_by_another_way_over_a_changed_line_is_new() {
    let base = "import os\nfrom flask import request\ndef f(a):\n    b = a\n    os.system(\"ls \" + b)\n";
    let head = base.replace("b = a", "b = request.args[a]");
    let moved = base.replace("def f", "\n\ndef f");
    let detector = Detector::new(RuleSet::built_in(), Limits::default());
    let path = RepoPath::new("a.py").unwrap();
    let scan = |text: &str| detector.scan(&RepositoryId("1".to_owned()), &path, text.as_bytes()).findings;
    let new = |head: &str| introduced(&scan(head), &scan(base), Some(&ChangedLines::between(base, head))).len();
    assert_eq!((scan(base).len(), new(base), new(&moved), new(&head)), (1, 0, 0, 1));
}

const SECRET: &str = "id: t-secret
language: Python
severity: error
message: a secret
metadata: {issue_type: HARDCODED_SECRET, cwe: [798], severity: HIGH, hint: do not}
rule: {kind: assignment, has: {field: left, regex: 'key$'}}
";

const LOST: &str = "id: t-lost
language: Python
severity: warning
message: the sum is lost
metadata: {issue_type: LOGIC, cwe: [], severity: LOW, hint: do not}
rule: {kind: expression_statement, has: {kind: binary_operator}}
";

fn in_a_test(body: &str, settings: &[(&str, &str)]) -> FileScan {
    let mut files = BTreeMap::from([("t-eval.yml", EVAL), ("t-secret.yml", SECRET), ("t-lost.yml", LOST)]);
    files.extend(settings.iter().copied());
    let files: Vec<_> = files.into_iter().collect();
    let detector = Detector::new(Arc::new(set(&files).unwrap()), Limits::default());
    let text = format!("import pytest\n\n\ndef test_it():\n    {body}\n    assert result\n");
    let path = RepoPath::new("tests/test_it.py").unwrap();
    detector.scan(&RepositoryId("1".to_owned()), &path, text.as_bytes())
}

#[test]
fn what_needs_an_attacker_is_set_aside_in_a_test_with_the_reason() {
    let scan = in_a_test("eval(text)", &[]);
    assert_eq!(scan.findings, []);
    assert_eq!(scan.suppressed.len(), 1);
    assert_eq!(scan.suppressed[0].reason, "it is part of a test");
    assert_eq!(scan.suppressed[0].finding.rule.id.as_str(), "t-eval");
}

#[test]
fn a_mistake_is_one_in_a_test_too() {
    let scan = in_a_test("result + 1", &[]);
    assert_eq!(scan.findings.len(), 1, "{:?}", scan.suppressed);
}

#[test]
fn a_mistake_in_what_tests_read_is_set_aside_and_what_an_attacker_could_use_is_not() {
    let rules = set(&[("t-eval.yml", EVAL), ("t-lost.yml", LOST)]).unwrap();
    let detector = Detector::new(Arc::new(rules), Limits::default());
    let scan = |path: &str, text: &str| {
        let path = RepoPath::new(path).unwrap();
        detector.scan(&RepositoryId("1".to_owned()), &path, text.as_bytes())
    };
    let data = scan("tests/data/cases/a.py", "result + 1\n");
    assert_eq!((data.findings.len(), data.suppressed.len()), (0, 1));
    assert_eq!(data.suppressed[0].reason, "it is data of a test, which nothing runs");
    assert_eq!(scan("tests/data/cases/a.py", "eval(text)\n").findings.len(), 1);
    assert_eq!(scan("data/cases/a.py", "result + 1\n").findings.len(), 1);
    assert_eq!(scan("tests/a.py", "result + 1\n").findings.len(), 1);
    let test = "import pytest\n\ndef test_it():\n    result + 1\n    assert result\n";
    assert_eq!(scan("tests/data/cases/test_a.py", test).findings.len(), 1);
}

#[test]
fn a_rule_says_itself_what_tests_are_to_it() {
    let silent = LOST.replace("hint: do not", "hint: do not, in_tests: ignore");
    assert_eq!(in_a_test("result + 1", &[("t-lost.yml", &silent)]).findings, []);
    let loud = EVAL.replace("hint: do not", "hint: do not, in_tests: report");
    assert_eq!(in_a_test("eval(text)", &[("t-eval.yml", &loud)]).findings.len(), 1);
    let other = EVAL.replace("hint: do not", "hint: do not, in_tests: sometimes");
    assert!(set(&[("t-eval.yml", &other)]).is_err());
}

#[test]
fn a_secret_that_a_service_issued_matters_in_a_test_and_an_example_of_one_does_not() {
    let token = format!("api_key = '{}{}'", "ghp", "_R4nD0mPa7tW1thEn0ughLen6thQz8XyKvLm2");
    assert_eq!(in_a_test(&token, &[]).findings.len(), 1);
    assert_eq!(in_a_test("api_key = 'AKIAIOSFODNN7EXAMPLE'", &[]).findings.len(), 0);
    assert_eq!(in_a_test("api_key = 'hunter2hunter2'", &[]).findings.len(), 0);
}

#[test]
fn what_only_the_grammar_does_not_know_yet_is_no_mistake() {
    let cases = [
        ("a.go", "package a\n\nfunc f() *int64 {\n\treturn new(int64(1))\n}\n"),
        ("a.go", "package a\n\nvar name = new(\"(\")\n"),
        ("a.py", "class Box[T = int]:\n    pass\n"),
        ("bin/tool.py", "#!/usr/bin/env ruby\nENV[\"A\"] ||= File.expand_path(\"..\", __dir__)\n"),
    ];
    for (path, text) in cases {
        assert_eq!(scan(path, text).findings, [], "{text}");
    }
    let cases = [
        ("a.go", "package a\n\nfunc f() *int64 {\n\treturn int64(1\n}\n"),
        ("bin/tool.py", "#!/usr/bin/env python3\nprint((1)\n"),
    ];
    for (path, text) in cases {
        assert_eq!(scan(path, text).findings.len(), 1, "{text}");
    }
}
