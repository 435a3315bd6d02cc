//! Candidates from the fixes written with a rule.

use crate::detect::{self, FixImport, RuleError, RuleSet};
use crate::model::{
    Candidate, Edit, Evidence, Finding, FixId, Language, Level, Provenance, RepoPath, RuleOrigin, TrackRecord,
};

use super::edit;
use super::imports::{self, Modules};

/// What the curated fixes of the finding's rule make of this file, most preferred first, with the imports they need.
/// Not verified. `record` is what became of earlier fixes of the rule.
///
/// # Errors
/// When a fix file of the rule does not compile.
pub fn candidates(
    rules: &RuleSet,
    finding: &Finding,
    text: &str,
    record: TrackRecord,
) -> Result<Vec<Candidate>, RuleError> {
    let Some(language) = Language::of(&finding.path) else { return Ok(Vec::new()) };
    let fixes = rules.curated_fixes(&finding.rule.id, language)?;
    if fixes.is_empty() {
        return Ok(Vec::new());
    }
    let Ok(tree) = detect::parse(language, text) else { return Ok(Vec::new()) };
    let modules = imports::modules(&finding.path, text);
    let made = detect::proposals(fixes, &tree, finding.span).into_iter().map(|proposal| {
        let statements: Vec<String> = proposal.imports.iter().map(|import| statement(import, modules)).collect();
        let mut edits = imports::insert(language, &finding.path, text, &statements);
        edits.push(Edit { path: finding.path.clone(), span: proposal.span, text: proposal.replacement });
        let evidence = evidence(&finding.rule.origin, (FixId(proposal.fix.to_string()), proposal.caution), record);
        Candidate { title: proposal.title, edits, evidence }
    });
    Ok(made.collect())
}

/// A text with the imports that a fix needs.
#[must_use]
pub fn with_imports(language: Language, path: &RepoPath, text: &str, needed: &[FixImport]) -> String {
    let modules = imports::modules(path, text);
    let statements: Vec<String> = needed.iter().map(|import| statement(import, modules)).collect();
    // One insertion computed for this very text always applies.
    edit::apply(text, &imports::insert(language, path, text, &statements)).unwrap_or_else(|_| text.to_owned())
}

fn statement(import: &FixImport, modules: Modules) -> String {
    match (import, modules) {
        (FixImport::Statement(statement), _) => statement.clone(),
        (FixImport::Module { esm, .. }, Modules::Es) => esm.clone(),
        (FixImport::Module { cjs, .. }, Modules::Common) => cjs.clone(),
    }
}

fn evidence(rule: &RuleOrigin, (fix, caution): (FixId, Option<String>), record: TrackRecord) -> Evidence {
    let origin = match rule {
        RuleOrigin::Operator => "curated with the operator's rule",
        RuleOrigin::BuiltIn | RuleOrigin::External { .. } | RuleOrigin::Model => "curated with the rule",
    };
    Evidence::PastFix {
        fix,
        origin: origin.to_owned(),
        provenance: Provenance::Curated,
        level: Level::Curated,
        // The rule matched this very place.
        similarity: 1.0,
        supports: 0.0,
        contradictions: 0.0,
        record,
        foreign_tokens: Vec::new(),
        donors: 1,
        new_imports: 0,
        caution,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Detector, Limits};
    use crate::fix::verify::{self, NewPackages, VerifyInput};
    use crate::model::RepositoryId;

    const RULE: &str = "\
id: LANG-eval
language: LANGUAGE
severity: error
message: eval runs what it is given
note: It does.
metadata: {issue_type: CODE_INJECTION, cwe: [95], severity: HIGH, hint: parse the value, references: ['https://cwe.mitre.org']}
rule: {pattern: eval($A)}
";

    fn detector() -> Detector {
        let rule = |prefix: &str, language: &str| RULE.replace("LANGUAGE", language).replace("LANG", prefix);
        let fix = |prefix: &str, language: &str, imports: &str, fix: &str| {
            format!(
                "id: {prefix}-eval/parse\nlanguage: {language}\nmessage: parse the value\nmetadata: {{imports: [{imports}]}}\nrule: {{pattern: eval($A)}}\nfix: {fix}\n"
            )
        };
        let js = "{esm: \"import { parse } from 'node:util';\", cjs: \"const { parse } = require('node:util');\"}";
        let files = vec![
            ("py-eval.yml".to_owned(), rule("py", "Python")),
            ("py-eval.fix.yml".to_owned(), fix("py", "Python", "import ast", "ast.literal_eval($A)")),
            ("js-eval.yml".to_owned(), rule("js", "JavaScript")),
            ("js-eval.fix.yml".to_owned(), fix("js", "JavaScript", js, "parse($A)")),
        ];
        let rules = RuleSet::parse(files, RuleOrigin::BuiltIn).unwrap();
        Detector::new(std::sync::Arc::new(rules), Limits::default())
    }

    fn healed(file: &str, text: &str) -> String {
        let (path, repository) = (RepoPath::new(file).unwrap(), RepositoryId("1".to_owned()));
        let detector = detector();
        let findings = detector.scan(&repository, &path, text.as_bytes()).findings;
        let finding = findings.first().expect("the detector sees the problem");
        let candidates = candidates(detector.rules(), finding, text, TrackRecord::default()).unwrap();
        let candidate = candidates.first().expect("the rule has a fix");
        let targets = std::slice::from_ref(finding);
        let input = VerifyInput {
            new_packages: NewPackages::by(&candidate.evidence),
            guarded: !candidate.evidence.is_curated(),
            ..VerifyInput::new(&path, text, targets, &candidate.edits)
        };
        let verified = verify::with_detector(&input, &detector, &repository).unwrap();
        assert_eq!(detector.scan(&repository, &path, verified.text().as_bytes()).findings, [], "it converges");
        verified.diff()
    }

    #[test]
    fn a_curated_fix_heals_the_file_and_brings_its_import() {
        insta::assert_snapshot!(healed("app.py", "import sys\n\n\ndef view(request):\n    return eval(request.args)\n"), @r"
        --- a/app.py
        +++ b/app.py
        @@ -1,5 +1,6 @@
         import sys
        +import ast
         
         
         def view(request):
        -    return eval(request.args)
        +    return ast.literal_eval(request.args)
        ");
    }

    #[test]
    fn imports_follow_the_module_system() {
        let added = |text: &str| {
            let diff = healed("app.js", text);
            diff.lines().find(|line| line.starts_with("+") && line.contains("util")).map(str::to_owned)
        };
        let common = added("const a = require('a');\nmodule.exports = eval(a);\n");
        assert_eq!(common.as_deref(), Some("+const { parse } = require('node:util');"));
        let es = added("import a from 'a';\nexport default eval(a);\n");
        assert_eq!(es.as_deref(), Some("+import { parse } from 'node:util';"));
    }

    #[test]
    fn a_file_without_grammar_has_no_curated_fix() {
        let path = RepoPath::new("a.py").unwrap();
        let repository = RepositoryId("1".to_owned());
        let detector = detector();
        let text = "def view(request):\n    return eval(request.args.get(\"value\"))\n";
        let found = detector.scan(&repository, &path, text.as_bytes()).findings;
        let mut finding = found.first().unwrap().clone();
        finding.path = RepoPath::new("a.cr").unwrap();
        assert_eq!(candidates(detector.rules(), &finding, text, TrackRecord::default()).unwrap(), []);
    }
}
