//! Every shipped rule against its own cases.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use codehealer::detect::rule_tests::{self, CaseKind, Cases};
use codehealer::detect::{FixImport, RuleSet};
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

/// Statements at the top of the file; enough for cases whose fixes need none.
fn add_imports(language: Language, path: &RepoPath, text: &str, imports: &[FixImport]) -> String {
    let _ = (language, path);
    assert!(imports.is_empty() || !text.is_empty());
    text.to_owned()
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
        let report = rule_tests::run(&rules, cases, &add_imports).unwrap_or_else(|error| panic!("{error}"));
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
