//! Every shipped rule against its own cases.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use codehealer::detect::rule_tests::{self, CaseKind, Cases};
use codehealer::detect::{INDENTATION, Proposal, RuleSet, SYNTAX_ERROR};
use codehealer::fix::curated;
use codehealer::model::{Language, RepoPath, RuleId};

fn case_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the rules are there") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            case_files(&path, found);
        } else if rule_tests::is_case_file(&path.to_string_lossy()) {
            found.push(path);
        }
    }
}

fn all_cases() -> BTreeMap<RuleId, Cases> {
    let mut files = Vec::new();
    case_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules"), &mut files);
    let read = |file: &PathBuf| {
        let text = fs::read_to_string(file).expect("UTF-8");
        let cases = Cases::read(&file.to_string_lossy(), &text).unwrap_or_else(|error| panic!("{error}"));
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        assert_eq!(name, format!("{}.test.yml", cases.id), "the file is named after its rule");
        (cases.id.clone(), cases)
    };
    files.iter().map(read).collect()
}

fn apply(language: Language, path: &RepoPath, text: &str, proposal: &Proposal) -> Option<String> {
    let (head, tail) = (text.get(..proposal.span.start)?, text.get(proposal.span.end..)?);
    let replaced = format!("{head}{}{tail}", proposal.replacement);
    Some(curated::with_imports(language, path, &replaced, &proposal.imports))
}

#[test]
fn every_built_in_rule_and_fix_compiles_in_all_its_languages() {
    RuleSet::built_in().check().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_rule_finds_its_invalid_cases_leaves_the_valid_ones_and_heals_the_fixed_ones() {
    let rules = RuleSet::built_in();
    let mut failures = Vec::new();
    for cases in all_cases().values() {
        let report = rule_tests::run(&rules, cases, &apply).unwrap_or_else(|error| panic!("{error}"));
        for kind in [CaseKind::Valid, CaseKind::Invalid] {
            assert!(report.results.iter().any(|result| result.kind == kind), "{} has no {kind:?} case", cases.id);
        }
        for failed in report.failures() {
            let reason = failed.failure.as_deref().unwrap_or_default();
            failures.push(format!("{} {:?} {} in {}: {reason}", cases.id, failed.kind, failed.number, failed.language));
        }
        failures.extend(report.untested_fixes.iter().map(|fix| format!("{fix} is needed by no case")));
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn there_are_enough_rules_and_each_has_cases() {
    let rules = RuleSet::built_in();
    let infos = rules.infos().unwrap_or_else(|error| panic!("{error}"));
    let cases = all_cases();
    let mut counts: BTreeMap<Language, usize> = BTreeMap::new();
    for info in &infos {
        for language in rules.languages(&info.id).expect("checked above") {
            *counts.entry(language).or_default() += 1;
        }
        let own = [SYNTAX_ERROR, INDENTATION].contains(&info.id.as_str());
        assert!(own || cases.contains_key(&info.id), "{} has no cases", info.id);
    }
    let of = |language: Language| counts.get(&language).copied().unwrap_or(0);
    assert!(infos.len() >= 70, "{} rules", infos.len());
    for (language, least) in [
        (Language::Python, 28),
        (Language::JavaScript, 16),
        (Language::TypeScript, 16),
        (Language::Java, 10),
        (Language::Go, 10),
        (Language::Ruby, 18),
        (Language::Php, 18),
        (Language::CSharp, 18),
        (Language::Rust, 12),
    ] {
        assert!(of(language) >= least, "{} rules for {language}", of(language));
    }
}

#[test]
fn a_rule_tells_all_that_people_and_reports_need() {
    for info in RuleSet::built_in().infos().unwrap_or_else(|error| panic!("{error}")) {
        assert!(info.message.len() <= 120 && !info.message.ends_with('.'), "{}: {}", info.id, info.message);
        assert!(!info.note.is_empty(), "{} says nothing of why", info.id);
        let first = info.hint.chars().next().unwrap_or('A');
        assert!(!info.hint.ends_with('.') && !first.is_uppercase(), "{}: {}", info.id, info.hint);
    }
}
