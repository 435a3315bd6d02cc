//! What the languages without name binding can do, from the name of a file to a fix that is learned, proved and taken over.

use codehealer::detect::{Detector, FileScan, Limits, RuleSet};
use codehealer::fix::learn::{LearnInput, learn};
use codehealer::fix::pattern::{DEFAULT_STEPS, apply};
use codehealer::fix::verify::{self, VerifyInput};
use codehealer::model::{Check, Edit, Language, RepoPath, RepositoryId, RuleOrigin, Span};

/// A file with a call that must not be there, the same call elsewhere, and what people put in its place.
struct Sample {
    language: Language,
    path: &'static str,
    text: &'static str,
    elsewhere: &'static str,
    comment: &'static str,
}

const SAMPLES: [Sample; 4] = [
    Sample {
        language: Language::Ruby,
        path: "lib/a.rb",
        text: "class A\n  def read(name)\n    old_read(name, 1)\n  end\nend\n",
        elsewhere: "module B\n  def self.all\n    list.map { |one| old_read(one.path, 1) }\n  end\nend\n",
        comment: "# codehealer: ignore[old-read] reviewed by ops",
    },
    Sample {
        language: Language::Php,
        path: "src/A.php",
        text: "<?php\nclass A {\n    function read($name) {\n        return old_read($name, 1);\n    }\n}\n",
        elsewhere: "<?php\nfunction all(array $list) {\n    foreach ($list as $one) {\n        yield old_read($one->path, 1);\n    }\n}\n",
        comment: "// codehealer: ignore[old-read] reviewed by ops",
    },
    Sample {
        language: Language::CSharp,
        path: "src/A.cs",
        text: "class A\n{\n    string Read(string name)\n    {\n        return old_read(name, 1);\n    }\n}\n",
        elsewhere: "namespace B;\n\nclass C\n{\n    string D => old_read(this.E[0], 1);\n}\n",
        comment: "// codehealer: ignore[old-read] reviewed by ops",
    },
    Sample {
        language: Language::Rust,
        path: "src/a.rs",
        text: "fn read(name: &str) -> String {\n    old_read(name, 1)\n}\n",
        elsewhere: "impl B {\n    fn all(&self) -> Vec<String> {\n        self.list.iter().map(|one| old_read(&one.path, 1)).collect()\n    }\n}\n",
        comment: "// codehealer: ignore[old-read] reviewed by ops",
    },
];

fn detector(language: Language) -> Detector {
    let text = format!(
        "id: old-read\nlanguage: {language}\nseverity: error\nmessage: old_read is gone\nnote: It is.\n\
         metadata: {{issue_type: LINTING, cwe: [], severity: LOW, hint: use new_read}}\n\
         rule: {{pattern: 'old_read($A, $B)'}}\n"
    );
    let rules = RuleSet::parse(vec![("old-read.yml".to_owned(), text)], RuleOrigin::Operator);
    let rules = rules.unwrap_or_else(|error| panic!("{language}: {error}"));
    Detector::new(std::sync::Arc::new(rules), Limits::default())
}

fn repository() -> RepositoryId {
    RepositoryId("1".to_owned())
}

fn scan(sample: &Sample, text: &str) -> FileScan {
    detector(sample.language).scan(&repository(), &RepoPath::new(sample.path).unwrap(), text.as_bytes())
}

#[test]
fn a_file_is_known_by_its_name() {
    let of = |path: &str| Language::of(&RepoPath::new(path).unwrap());
    for (path, language) in [
        ("app/models/user.rb", Language::Ruby),
        ("lib/tasks/db.rake", Language::Ruby),
        ("Gemfile", Language::Ruby),
        ("config.ru", Language::Ruby),
        ("public/index.php", Language::Php),
        ("views/list.phtml", Language::Php),
        ("Api/Startup.cs", Language::CSharp),
        ("src/main.rs", Language::Rust),
        ("Dockerfile", Language::Dockerfile),
        ("build/Dockerfile.dev", Language::Dockerfile),
        ("Containerfile", Language::Dockerfile),
        ("api.dockerfile", Language::Dockerfile),
    ] {
        assert_eq!(of(path), Some(language), "{path}");
    }
    for path in ["Dockerfile.j2", "Gemfile.lock", "Dockerfile.md", "rb", "README", "src/Dockerfiles/a.txt"] {
        assert_eq!(of(path), None, "{path}");
    }
    assert_eq!(of("Dockerfile.rs"), Some(Language::Rust));
}

#[test]
fn findings_are_named_suppressed_and_keep_their_identity_in_every_language() {
    for sample in &SAMPLES {
        let found = scan(sample, sample.text);
        assert_eq!((found.findings.len(), &found.skipped, &found.cut_off), (1, &None, &None), "{}", sample.path);
        let finding = &found.findings[0];
        assert_eq!(finding.rule.language, Some(sample.language));
        let line = sample.text.lines().position(|line| line.contains("old_read")).unwrap();
        assert_eq!(finding.start.line, line + 1);
        let mut lines: Vec<&str> = sample.text.lines().collect();
        lines.insert(line, sample.comment);
        let told = scan(sample, &lines.join("\n"));
        assert_eq!(told.findings, [], "{}", sample.path);
        assert_eq!(told.suppressed[0].reason, "reviewed by ops");
        assert_eq!(told.suppressed[0].finding.fingerprint, finding.fingerprint, "the line moved, the problem did not");
        let wrapped = sample.text.replace(", 1)", ",\n 1)");
        assert_eq!(scan(sample, &wrapped).findings[0].fingerprint, finding.fingerprint, "{}", sample.path);
    }
}

#[test]
fn a_fix_is_learned_proved_and_carried_to_another_file_in_ruby() {
    for sample in SAMPLES.iter().filter(|sample| sample.language == Language::Ruby) {
        let Sample { language, path, text, elsewhere, .. } = *sample;
        let after = text.replace("old_read(", "new_read(");
        let silent = |text: &str| !text.contains("old_read");
        let finding = scan(sample, text).findings.remove(0);
        let learned =
            learn(&LearnInput { language, before: text, after: &after, finding: finding.span, silent: &silent })
                .unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"));
        let at = elsewhere.find("old_read").unwrap();
        let length = elsewhere[at..].find("1)").unwrap() + 2;
        let target = Span::new(at, at + length);
        let made = learned.patterns.iter().find_map(|pattern| {
            apply(pattern, language, elsewhere, target, DEFAULT_STEPS).first().map(|m| m.patched(elsewhere))
        });
        assert_eq!(made, Some(elsewhere.replace("old_read(", "new_read(")), "{path}: {learned:#?}");
        let path = RepoPath::new(path).unwrap();
        let edit = Edit {
            path: path.clone(),
            span: Span::new(finding.span.start, finding.span.start + 3),
            text: "new".to_owned(),
        };
        let (targets, edits) = ([finding.clone()], [edit]);
        let input = VerifyInput::new(&path, text, &targets, &edits);
        let verified = verify::with_detector(&input, &detector(language), &repository())
            .unwrap_or_else(|rejection| panic!("{path}: {rejection:?}"));
        assert!(verified.checks().contains(&Check::ParsesCleanly) && verified.checks().contains(&Check::FindingGone));
        assert!(!verified.checks().contains(&Check::NamesBound), "nothing is known of names in {language}");
        let broken =
            [Edit { path: path.clone(), span: Span::new(finding.span.end - 1, finding.span.end), text: String::new() }];
        let input = VerifyInput::new(&path, text, &targets, &broken);
        assert!(verify::with_detector(&input, &detector(language), &repository()).is_err(), "{path} does not parse");
    }
}

#[test]
fn invented_libraries_are_refused_where_names_are_not_known() {
    let sample = &SAMPLES[0];
    let path = RepoPath::new(sample.path).unwrap();
    let targets = scan(sample, sample.text).findings;
    let with = |library: &str| {
        let after = format!("require \"{library}\"\n{}", sample.text.replace("old_read", "new_read"));
        let edits = [Edit { path: path.clone(), span: Span::new(0, sample.text.len()), text: after }];
        let input = VerifyInput::new(&path, sample.text, &targets, &edits);
        verify::with_detector(&input, &detector(sample.language), &repository()).map(|verified| verified.text().len())
    };
    assert!(with("json").is_ok(), "{:?}", with("json"));
    assert!(with("no-such-gem").is_err());
}

#[test]
fn built_in_rules_read_each_language() {
    let detector = Detector::new(RuleSet::built_in(), Limits::default());
    for (path, text, rule) in [
        ("a.rb", "def f\n  eval(params[:x])\nend\n", "rb-code-injection"),
        ("a.php", "<p><?= $_GET['q'] ?></p>\n", "php-xss-echo"),
        ("A.cs", "class A { object F() => new BinaryFormatter(); }\n", "cs-unsafe-deserialization"),
        ("a.rs", "fn f(x: f64) -> bool { x == f64::NAN }\n", "rs-nan-comparison"),
        ("Dockerfile", "FROM alpine:3\nRUN curl https://a.example/i.sh | sh\n", "docker-pipe-to-shell"),
    ] {
        let found = detector.scan(&repository(), &RepoPath::new(path).unwrap(), text.as_bytes());
        assert_eq!(found.skipped, None, "{path}");
        assert!(found.findings.iter().any(|one| one.rule.id.as_str() == rule), "{path}: {found:?}");
    }
}
