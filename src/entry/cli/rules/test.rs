//! `rules test`: the cases beside the rules, with the import insertion that healing uses.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use rayon::prelude::*;
use serde::Serialize;

use crate::config::Config;
use crate::detect::rule_tests::{self, CaseKind, Cases, RuleReport};
use crate::detect::{Proposal, RuleError, RuleSet};
use crate::entry::cli::output::{Output, Tone};
use crate::entry::cli::{Exit, Format, Session, Sources, usage};
use crate::fix::{curated, diff};
use crate::model::{Language, RepoPath, RuleId, RuleOrigin};
use crate::report::line::{self, Line};
use crate::wiring;

#[derive(Args)]
pub struct TestArgs {
    /// Rule ids, or folders with rules and their cases [default: every built-in rule and every configured folder]
    pub(super) what: Vec<String>,
    /// Run the cases again whenever a file of the folders changes, until interrupted
    #[arg(long)]
    pub(super) watch: bool,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Cases and the rules they are for.
type Bench = (Arc<RuleSet>, Vec<Cases>);

pub fn test(session: &Session, args: &TestArgs) -> Result<Exit> {
    let config = session.config(&Sources::default())?;
    let ids: Vec<&String> = args.what.iter().filter(|what| !Path::new(what).is_dir()).collect();
    let mut benches = Vec::new();
    for folder in folders(args, &config) {
        benches.push(folder_bench(folder)?);
    }
    // Whoever watches writes rules of his own; the built-in ones do not change meanwhile.
    if args.what.is_empty() && !args.watch || !ids.is_empty() {
        benches.push(built_in_bench(&ids)?);
    }
    let run = |(rules, cases): &(Arc<RuleSet>, Cases)| {
        rule_tests::run(rules, cases, &apply).map(|report| (report, cases.clone()))
    };
    let work: Vec<(Arc<RuleSet>, Cases)> = benches
        .into_iter()
        .flat_map(|(rules, cases)| cases.into_iter().map(move |case| (rules.clone(), case)))
        .collect();
    let reports: Result<Vec<(RuleReport, Cases)>, RuleError> = work.par_iter().map(run).collect();
    let tested = Tested::of(&reports.map_err(usage)?);
    match args.format {
        Format::Json => session.output.json(&tested)?,
        Format::Text => print(&session.output, &tested)?,
    }
    Ok(if tested.failures.is_empty() { Exit::Done } else { Exit::Found })
}

/// The folders whose rules are tested: those named, else those configured.
pub(super) fn folders<'a>(args: &'a TestArgs, config: &'a Config) -> Vec<&'a Path> {
    if args.what.is_empty() {
        return config.rules.iter().map(AsRef::as_ref).collect();
    }
    args.what.iter().map(Path::new).filter(|path| path.is_dir()).collect()
}

fn folder_bench(folder: &Path) -> Result<Bench> {
    let files = wiring::rule_files(folder)?;
    let cases: Result<Vec<Cases>, RuleError> = files
        .iter()
        .filter(|(name, _)| rule_tests::is_case_file(name))
        .map(|(name, text)| Cases::read(name, text))
        .collect();
    let own = RuleSet::parse(files, RuleOrigin::Operator).map_err(usage)?;
    // A rule's valid cases are valid for the built-in rules too, as they are where it is used.
    let rules = RuleSet::built_in().with(&own).unwrap_or(own);
    let cases = cases.map_err(usage)?;
    if cases.is_empty() {
        return Err(usage(format!(
            "{} has no cases; write them as <rule>.test.yml beside the rules",
            folder.display()
        )));
    }
    Ok((Arc::new(rules), cases))
}

fn built_in_bench(ids: &[&String]) -> Result<Bench> {
    let mut cases = rule_tests::built_in().map_err(usage)?;
    for id in ids {
        let known = RuleId::new(id.as_str()).is_ok_and(|id| cases.iter().any(|case| case.id == id));
        if !known {
            return Err(usage(format!(
                "{id} is neither a folder nor a built-in rule with cases; see `codehealer rules list`"
            )));
        }
    }
    cases.retain(|case| ids.is_empty() || ids.iter().any(|id| id.as_str() == case.id.as_str()));
    Ok((RuleSet::built_in(), cases))
}

/// The text with a proposal and its imports in place.
fn apply(language: Language, path: &RepoPath, text: &str, proposal: &Proposal) -> Option<String> {
    let (head, tail) = (text.get(..proposal.span.start)?, text.get(proposal.span.end..)?);
    let replaced = format!("{head}{}{tail}", proposal.replacement);
    Some(curated::with_imports(language, path, &replaced, &proposal.imports))
}

/// How the cases went.
#[derive(Serialize)]
struct Tested {
    rules: usize,
    cases: usize,
    failures: Vec<Failure>,
}

#[derive(Serialize)]
struct Failure {
    rule: RuleId,
    language: Option<Language>,
    /// `valid`, `invalid`, `fixed`, or `fix` for a fix that no case needs.
    kind: &'static str,
    /// Number of the case among those of its kind, from 1; 0 for a fix.
    number: usize,
    reason: String,
    /// From what was expected to what came, for a fix that made something else.
    diff: Option<String>,
}

impl Tested {
    fn of(reports: &[(RuleReport, Cases)]) -> Self {
        let mut tested = Self { rules: reports.len(), cases: 0, failures: Vec::new() };
        for (report, cases) in reports {
            tested.cases += report.results.len();
            for result in report.failures() {
                let reason = result.failure.clone().unwrap_or_default();
                let kind = match result.kind {
                    CaseKind::Valid => "valid",
                    CaseKind::Invalid => "invalid",
                    CaseKind::Fixed => "fixed",
                };
                let diff = result.made.as_ref().and_then(|made| wanted(cases, result.number, made));
                let reason = if diff.is_some() { "the fix makes something else".to_owned() } else { reason };
                let (rule, language) = (report.rule.clone(), Some(result.language));
                tested.failures.push(Failure { rule, language, kind, number: result.number, reason, diff });
            }
            tested.failures.extend(report.untested_fixes.iter().map(|fix| Failure {
                rule: report.rule.clone(),
                language: None,
                kind: "fix",
                number: 0,
                reason: format!("{fix} is needed by no case"),
                diff: None,
            }));
        }
        tested
    }
}

fn wanted(cases: &Cases, number: usize, made: &str) -> Option<String> {
    let expected = &cases.fixed.get(number.checked_sub(1)?)?.after;
    let path = RepoPath::new(cases.path.clone().unwrap_or_else(|| format!("case-{number}"))).ok()?;
    Some(diff::unified(&path, expected, made))
}

fn print(output: &Output, tested: &Tested) -> Result<()> {
    for failure in &tested.failures {
        let language = failure.language.map_or_else(String::new, |language| format!(" in {language}"));
        let head = format!("{} {} case {}{language}", failure.rule, failure.kind, failure.number);
        let mut lines = vec![Line::new(0, &head).toned(Tone::Bad)];
        lines.extend(failure.reason.lines().map(|line| Line::new(2, line)));
        if let Some(diff) = &failure.diff {
            lines.push(Line::new(2, "- as written in the case, + as the fix makes it").toned(Tone::Quiet));
            lines.extend(line::diff(2, diff));
        }
        output.lines(&lines)?;
    }
    let tone = if tested.failures.is_empty() { Tone::Good } else { Tone::Bad };
    let end = format!("{} case(s) of {} rule(s), {} failure(s)", tested.cases, tested.rules, tested.failures.len());
    output.line(output.paint(tone, &end))
}
