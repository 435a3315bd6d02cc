//! Files made to hurt: arbitrary bytes, deep nesting, work that grows faster than the file.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::{Language, RepoPath, RepositoryId, RuleOrigin};

fn path_in(language: Language) -> RepoPath {
    let name = match language {
        Language::CSharp => "A.cs",
        Language::Dockerfile => "Dockerfile",
        Language::Go => "a.go",
        Language::Hcl => "a.tf",
        Language::Java => "A.java",
        Language::JavaScript => "a.js",
        Language::Php => "a.php",
        Language::Python => "a.py",
        Language::Ruby => "a.rb",
        Language::Rust => "a.rs",
        Language::Tsx => "a.tsx",
        Language::TypeScript => "a.ts",
        Language::Yaml => ".github/workflows/a.yml",
    };
    RepoPath::new(name).unwrap()
}

fn scan(language: Language, bytes: &[u8], limits: Limits) -> FileScan {
    let detector = Detector::new(RuleSet::built_in(), limits);
    detector.scan(&RepositoryId("1".to_owned()), &path_in(language), bytes)
}

fn check(bytes: &[u8], scan: &FileScan) {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    for finding in &scan.findings {
        assert!(text.get(finding.span.range()).is_some(), "{:?} is no span of the text", finding.span);
        assert!(finding.start <= finding.end);
    }
}

/// Pieces that make more of a language's syntax than random characters do.
fn fragments() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "eval(",
        "cursor.execute(",
        "f'{x}'",
        "\"select * from t where a = \" + b",
        ")",
        "(",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "\n    ",
        "\t",
        "def f(x):",
        "class A",
        "import os",
        "=",
        "+",
        ",",
        ":",
        ";",
        "\"",
        "'",
        "`${a}`",
        "#",
        "//",
        "/*",
        "*/",
        "é",
        "\u{feff}",
        "\r\n",
        "password = 'x1Yz'",
        "a: b",
        "- ",
        "<a>",
        "&&",
        "yaml.load(x)",
        "os.system(",
        "func f() {",
        "return",
        "var x = ",
        "resource \"a\" \"b\" {",
        "codehealer: ignore[py-eval] y",
        "😀",
        "\\",
        "exec.Command(",
        "new ",
        "Runtime.getRuntime().exec(",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn arbitrary_bytes_end_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for language in Language::ALL {
            check(&bytes, &scan(language, &bytes, Limits::default()));
        }
    }

    #[test]
    fn arbitrary_text_has_findings_on_character_boundaries(text in "\\PC{0,200}") {
        for language in Language::ALL {
            check(text.as_bytes(), &scan(language, text.as_bytes(), Limits::default()));
        }
    }

    #[test]
    fn scrambled_code_is_scanned_the_same_way_twice(text in fragments()) {
        for language in Language::ALL {
            let first = scan(language, text.as_bytes(), Limits::default());
            check(text.as_bytes(), &first);
            prop_assert_eq!(first, scan(language, text.as_bytes(), Limits::default()));
        }
    }

    #[test]
    fn redaction_ends_on_any_text(text in "\\PC{0,300}") {
        let spans = redact::secrets_in(&text);
        prop_assert!(spans.iter().all(|span| text.get(span.range()).is_some()));
    }

    #[test]
    fn any_text_is_refused_or_read_as_a_report(text in "\\PC{0,200}") {
        let repository = RepositoryId("1".to_owned());
        let place = sarif_in::Place { repository: &repository, root: None, read: &|_| None };
        let _ = sarif_in::read(&text, &place);
    }
}

#[test]
fn ten_thousand_levels_neither_overflow_nor_go_unsaid() {
    let nested = |open: &str, close: &str| format!("{}{}\n", open.repeat(10_000), close.repeat(10_000));
    for (language, text) in [
        (Language::Python, format!("x = {}", nested("f(\n", ")\n"))),
        (Language::JavaScript, nested("[\n", "]\n")),
        (Language::Yaml, nested("[\n", "]\n")),
        (Language::Java, format!("class A {{ int x = {}; }}", nested("(\n", ")\n"))),
        (Language::Go, format!("package a\nfunc f() {}", nested("{\n", "}\n"))),
        (Language::Hcl, format!("a = {}", nested("[", "]\n"))),
    ] {
        let scanned = scan(language, text.as_bytes(), Limits::default());
        check(text.as_bytes(), &scanned);
        let said = scanned.cut_off.is_some() || scanned.findings.iter().any(|one| one.rule.id.as_str() == SYNTAX_ERROR);
        assert!(said && scanned.skipped.is_none(), "{language}: {scanned:?}");
    }
}

#[test]
fn more_indentations_than_a_scanner_can_keep_do_not_end_the_process() {
    let ladder = |piece: &str| (0..300).map(|n| format!("{}{piece}\n", " ".repeat(n))).collect::<String>();
    for (language, text) in [
        (Language::Yaml, format!("{}a\n", "- ".repeat(400))),
        (Language::Yaml, ladder("a:")),
        (Language::Python, ladder("if a:")),
    ] {
        let limits = Limits { max_bytes: usize::MAX, ..Limits::default() };
        let said = scan(language, text.as_bytes(), limits);
        assert!(said.cut_off.is_some_and(|why| why.contains("gave up")), "{language}");
    }
}

fn scan_with(rule: (&str, &str), limits: Limits, text: &str) -> FileScan {
    let rules = RuleSet::parse(vec![(rule.0.to_owned(), rule.1.to_owned())], RuleOrigin::Operator).unwrap();
    let detector = Detector::new(Arc::new(rules), limits);
    detector.scan(&RepositoryId("1".to_owned()), &path_in(Language::Python), text.as_bytes())
}

#[test]
fn a_file_that_takes_too_many_steps_is_cut_off_and_keeps_what_was_sound() {
    let text = "eval(x)\n".repeat(200);
    let scanned = scan_with(("t-eval.yml", tests::EVAL), Limits { max_steps: 400, ..Limits::default() }, &text);
    assert!(scanned.cut_off.as_ref().is_some_and(|reason| reason.contains("too many steps")));
    let whole = scan_with(("t-eval.yml", tests::EVAL), Limits::default(), &text);
    assert!(whole.cut_off.is_none());
    assert!((1..whole.findings.len()).contains(&scanned.findings.len()));
    assert!(scanned.findings.iter().all(|finding| whole.findings.contains(finding)));
}

#[test]
fn one_costly_rule_does_not_keep_the_others_from_the_file() {
    let costly = "id: t-costly
language: Python
severity: info
message: an equal name before
metadata: {issue_type: LINTING, cwe: [], severity: LOW, hint: none}
rule: {kind: expression_statement, follows: {stopBy: end, regex: '^never$'}}
";
    let files = [("t-costly.yml", costly), ("t-eval.yml", tests::EVAL)];
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let rules = RuleSet::parse(files, RuleOrigin::Operator).unwrap();
    let detector = Detector::new(Arc::new(rules), Limits { max_steps: 200_000, ..Limits::default() });
    let text = format!("{}eval(x)  # never\n", "y\n".repeat(2_000));
    let scanned = detector.scan(&RepositoryId("1".to_owned()), &path_in(Language::Python), text.as_bytes());
    assert_eq!(scanned.findings.len(), 1);
    assert!(scanned.cut_off.is_some_and(|reason| reason.contains("t-costly") && !reason.contains("t-eval")));
}

#[test]
fn very_many_comments_cost_no_more_than_their_number() {
    let text = "# codehealer: ignore[a] b\n".repeat(20_000) + "eval(x)\n";
    let scanned = scan_with(("t-eval.yml", tests::EVAL), Limits::default(), &text.replace("[a]", "[t-eval]"));
    assert_eq!(scanned.suppressed.len(), 1);
}

#[test]
fn more_findings_than_the_limit_are_cut_off_and_it_is_said() {
    let rule = "id: t-name
language: Python
severity: info
message: a name
metadata: {issue_type: LINTING, cwe: [], severity: LOW, hint: none}
rule: {kind: identifier}
";
    let limits = Limits { max_findings: 10, ..Limits::default() };
    let scanned = scan_with(("t-name.yml", rule), limits, &"x\n".repeat(50));
    assert_eq!(scanned.findings.len(), 10);
    assert!(scanned.cut_off.is_some_and(|reason| reason.contains("line 10")));
}

#[test]
fn hostile_rule_files_are_refused() {
    let refused = |text: String| RuleSet::parse(vec![("a.yml".to_owned(), text)], RuleOrigin::Operator).is_err();
    assert!(refused(format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))));
    assert!(refused("a: ".repeat(10_000)));
    assert!(refused(format!("id: &a [{}]\nx: *a", "*a,".repeat(1_000))));
    let bomb = "id: a
language: Python
message: m
metadata: {issue_type: LINTING, cwe: [], severity: LOW, hint: h}
rule: {kind: call, regex: '(((a{100}){100}){100}){100}'}
";
    assert!(refused(bomb.to_owned()));
}
