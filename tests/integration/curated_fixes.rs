//! Every curated fix through the real verification: what a rule's cases promise is what verification lets pass.

use codehealer::detect::rule_tests::{Cases, is_case_file};
use codehealer::detect::{Detector, Limits, RuleSet};
use codehealer::fix::curated;
use codehealer::fix::verify::{self, NewPackages, VerifiedCandidate, VerifyInput};
use codehealer::model::{Candidate, Finding, Language, RepoPath, RepositoryId, TrackRecord};

struct World {
    detector: Detector,
    repository: RepositoryId,
}

impl World {
    fn findings(&self, path: &RepoPath, text: &str, cases: &Cases) -> Vec<Finding> {
        let findings = self.detector.scan(&self.repository, path, text.as_bytes()).findings;
        findings.into_iter().filter(|finding| finding.rule.id == cases.id).collect()
    }

    fn candidates(&self, finding: &Finding, text: &str) -> Vec<Candidate> {
        curated::candidates(self.detector.rules(), finding, text, TrackRecord::default()).expect("the fixes compile")
    }

    fn verified(&self, finding: &Finding, text: &str, candidate: &Candidate) -> Result<VerifiedCandidate, String> {
        let input = VerifyInput {
            new_packages: NewPackages::by(&candidate.evidence),
            guarded: !candidate.evidence.is_curated(),
            ..VerifyInput::new(&finding.path, text, std::slice::from_ref(finding), &candidate.edits)
        };
        let verdict = verify::with_detector(&input, &self.detector, &self.repository);
        verdict.map_err(|rejection| format!("{:?}: {}", rejection.check, rejection.detail))
    }

    /// Heals finding after finding with the first candidate that verifies, as long as there is one.
    fn healed(&self, path: &RepoPath, before: &str, cases: &Cases, refused: &mut Vec<String>) -> String {
        let mut text = before.to_owned();
        for _ in 0..20 {
            let step = self.findings(path, &text, cases).into_iter().find_map(|finding| {
                self.candidates(&finding, &text).iter().find_map(|candidate| {
                    let verdict = self.verified(&finding, &text, candidate);
                    verdict.map_err(|why| refused.push(format!("{}: {why}", candidate.title))).ok()
                })
            });
            match step {
                Some(verified) => text = verified.text().to_owned(),
                None => break,
            }
        }
        text
    }
}

pub(crate) fn all_cases() -> Vec<Cases> {
    let rules = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let folders = std::fs::read_dir(rules).expect("the rules are there").map(|entry| entry.expect("readable").path());
    let files =
        folders.flat_map(|folder| std::fs::read_dir(folder).expect("a folder")).map(|e| e.expect("readable").path());
    let names = files.map(|file| (file.to_string_lossy().into_owned(), file)).filter(|(name, _)| is_case_file(name));
    names
        .map(|(name, file)| Cases::read(&name, &std::fs::read_to_string(file).expect("UTF-8")).expect("cases"))
        .collect()
}

pub(crate) fn path_of(cases: &Cases, language: Language) -> RepoPath {
    let extension = match language {
        Language::CSharp => "cs",
        Language::Dockerfile => "dockerfile",
        Language::Php => "php",
        Language::Ruby => "rb",
        Language::Rust => "rs",
        Language::Hcl => "tf",
        Language::Java => "java",
        Language::JavaScript => "js",
        Language::Python => "py",
        Language::Yaml => "yml",
        Language::Tsx => "tsx",
        Language::TypeScript => "ts",
        Language::Go => "go",
    };
    RepoPath::new(cases.path.clone().unwrap_or_else(|| format!("case.{extension}"))).expect("a path")
}

#[test]
fn verification_lets_every_promised_fix_pass() {
    let world = World {
        detector: Detector::new(RuleSet::built_in(), Limits::default()),
        repository: RepositoryId("1".to_owned()),
    };
    let (mut failures, mut promised) = (Vec::new(), 0);
    for cases in all_cases() {
        let languages = world.detector.rules().languages(&cases.id).expect("the rules compile");
        let path = path_of(&cases, *languages.first().expect("a language"));
        for fixed in &cases.fixed {
            promised += 1;
            let mut refused = Vec::new();
            let text = world.healed(&path, &fixed.before, &cases, &mut refused);
            if text != fixed.after {
                failures
                    .push(format!("{} makes\n{text}\ninstead of\n{}\nrefused: {refused:#?}", cases.id, fixed.after));
            }
        }
    }
    assert!(promised > 50, "only {promised} promised fixes");
    assert!(failures.is_empty(), "{} of {promised} fail:\n{}", failures.len(), failures.join("\n\n"));
}
