//! `model check`: one known case, from the question to the verdict.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::show;
use crate::detect::Detector;
use crate::detect::redact::redact;
use crate::entry::cli::{Exit, Session, Sources, usage};
use crate::fix::verify::{self, VerifyInput};
use crate::model::{Completion, Finding, Language, Prompt, RepoPath, RepositoryId, Sampling};
use crate::ports::{Model, PortError, PortResult};
use crate::recall::{prompt, reply};
use crate::wiring::{self, Backends, Mode};

/// The known case: a function with one defect that has one plain repair.
const CASE: &str = include_str!("case.py");
const PATH: &str = "shop/users.py";
const RULE: &str = "py-sql-injection";

#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    sources: Sources,
    /// Which of the configured models
    #[arg(long, value_enum, default_value_t = Which::First, value_name = "WHICH")]
    which: Which,
    /// Write one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    First,
    Fallback,
    Large,
}

/// What the check saw.
#[derive(Serialize)]
pub(super) struct Report {
    pub question: Question,
    pub answers: Vec<Answer>,
    /// Whether at least one answer passed every check.
    pub passed: bool,
    pub latency_ms: u64,
    pub tokens: Tokens,
    /// Millionths of a dollar by the configured prices.
    pub cost_micros: u64,
}

#[derive(Serialize)]
pub(super) struct Question {
    pub rule: String,
    pub system: String,
    pub user: String,
    pub max_tokens: u32,
}

#[derive(Serialize)]
pub(super) struct Answer {
    pub model: String,
    /// As it came, without secrets.
    pub text: String,
    /// The edit as a unified diff; absent when none could be read.
    pub diff: Option<String>,
    /// What the model says of itself, percent.
    pub claimed: Option<u8>,
    pub passed: bool,
    /// `passed 9 checks`, or why not.
    pub verdict: String,
}

#[derive(Serialize)]
pub(super) struct Tokens {
    /// Of the question, estimated before it was sent.
    pub expected: u64,
    pub input: u64,
    pub output: u64,
    /// Whether the server counted none, so that these are estimates.
    pub estimated: bool,
}

/// Asks and tells.
pub async fn check(session: &Session, args: CheckArgs) -> Result<Exit> {
    let config = session.config(&args.sources)?;
    let backends = Backends::new(&config, Mode::Read);
    let (model, remedy) = match args.which {
        Which::First => (backends.model()?, "set model.url or sagemaker.model_endpoint, or give --model-url"),
        Which::Fallback => (backends.fallback_model()?, "add a section [model.fallback]"),
        Which::Large => (backends.large_model()?, "add a section [model.large]"),
    };
    let Some(model) = model else { return Err(usage(format!("no such model is configured; {remedy}"))) };
    let detector = wiring::detector(&config)?;
    let case = Case::new(&detector, config.policy.model.question_tokens)?;
    let (policy, timeout) = (&config.policy.model, config.policy.model_timeout);
    let temperature = if policy.samples > 1 { policy.temperature } else { 0.0 };
    let sampling = Sampling { count: policy.samples, temperature, seed: 1 };
    let spinner = session.output.spinner("asking the model");
    let begun = Instant::now();
    let drawn = draw(&*model, &case.asked.prompt, &sampling, timeout).await;
    let latency_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    spinner.finish_and_clear();
    let drawn = drawn.context("ask the model")?;
    let (input, output) = (sum(&drawn, |one| one.input_tokens), sum(&drawn, |one| one.output_tokens));
    let answers: Vec<Answer> = drawn.iter().map(|one| case.judged(&detector, one)).collect();
    let Prompt { system, user, max_tokens } = case.asked.prompt;
    let report = Report {
        question: Question { rule: RULE.to_owned(), system, user, max_tokens },
        passed: answers.iter().any(|answer| answer.passed),
        answers,
        latency_ms,
        tokens: Tokens { expected: case.asked.tokens, input, output, estimated: drawn.iter().any(|one| one.estimated) },
        cost_micros: policy.prices.of(input, output),
    };
    if args.json {
        session.output.json(&report)?;
    } else {
        session.output.lines(&show::lines(&report))?;
    }
    Ok(if report.passed { Exit::Done } else { Exit::Found })
}

fn sum(drawn: &[Completion], of: impl Fn(&Completion) -> u64) -> u64 {
    drawn.iter().map(of).fold(0, u64::saturating_add)
}

async fn draw(
    model: &dyn Model,
    prompt: &Prompt,
    sampling: &Sampling,
    timeout: Duration,
) -> PortResult<Vec<Completion>> {
    let late = || {
        let remedy = format!("get an answer within {timeout:?}; a smaller model or a larger machine is faster");
        PortError::new("model", remedy, crate::ports::ErrorKind::Unavailable)
    };
    tokio::time::timeout(timeout, model.draw(prompt, sampling)).await.map_err(|_| late())?
}

/// The known case and the question about it.
struct Case {
    path: RepoPath,
    repository: RepositoryId,
    finding: Finding,
    region: prompt::Region,
    asked: prompt::Asked,
}

impl Case {
    fn new(detector: &Detector, budget: u64) -> Result<Self> {
        let (path, repository) = (RepoPath::new(PATH)?, RepositoryId("model-check".to_owned()));
        let found = detector.scan(&repository, &path, CASE.as_bytes()).findings;
        let Some(finding) = found.into_iter().find(|finding| finding.rule.id.as_str() == RULE) else {
            bail!("the rule {RULE} is switched off by ignore.rules; the check needs it");
        };
        let region = prompt::region(Some(Language::Python), CASE, &finding);
        let asked = prompt::build(&prompt::Inputs {
            finding: &finding,
            path: &path,
            text: CASE,
            region: &region,
            flow: &[],
            pairs: &[],
            context: &[],
            conventions: None,
            refused: &[],
            budget,
        });
        Ok(Self { path, repository, finding, region, asked })
    }

    fn judged(&self, detector: &Detector, completion: &Completion) -> Answer {
        let about = reply::About {
            rule: &self.finding.rule,
            path: &self.path,
            language: Some(Language::Python),
            text: CASE,
            region: &self.region,
            key: &self.asked.key,
        };
        let mut answer = Answer {
            model: completion.model.clone(),
            text: redact(&completion.text).into_owned(),
            diff: None,
            claimed: None,
            passed: false,
            verdict: String::new(),
        };
        match reply::read(completion, &about) {
            Err(refusal) => answer.verdict = format!("refused: {refusal}"),
            Ok(rewrite) => {
                answer.claimed = rewrite.claimed;
                answer.diff = crate::fix::edit::apply(CASE, &rewrite.edits)
                    .ok()
                    .map(|after| redact(&crate::fix::diff::unified(&self.path, CASE, &after)).into_owned());
                let input = VerifyInput::new(&self.path, CASE, std::slice::from_ref(&self.finding), &rewrite.edits);
                match verify::with_detector(&input, detector, &self.repository) {
                    Ok(verified) => {
                        answer.passed = true;
                        answer.verdict = format!("passed {} checks", verified.checks().len());
                    }
                    Err(rejection) => answer.verdict = format!("fails the checks: {}", rejection.detail),
                }
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Limits, RuleSet};

    fn detector() -> Detector {
        Detector::new(RuleSet::built_in(), Limits::default())
    }

    fn judged(change: impl Fn(&str) -> String) -> Answer {
        let case = Case::new(&detector(), 6_000).unwrap();
        let nonce = &case.asked.key.nonce;
        let region = &CASE[case.region.span.range()];
        let text = format!("BEGIN {nonce}\n{}\nEND {nonce}\nCONFIDENCE 80", change(region).trim_end());
        let completion = Completion {
            text,
            model: "m".to_owned(),
            input_tokens: 1,
            output_tokens: 1,
            estimated: false,
            truncated: false,
        };
        case.judged(&detector(), &completion)
    }

    #[test]
    fn the_known_case_can_be_repaired_and_is_judged() {
        let repaired = |region: &str| {
            region.replace(
                "\"SELECT * FROM users WHERE name = '%s'\" % name",
                "\"SELECT * FROM users WHERE name = ?\", (name,)",
            )
        };
        let good = judged(repaired);
        assert!(good.passed && good.claimed == Some(80), "{}", good.verdict);
        assert!(good.diff.is_some_and(|diff| diff.contains("(name,)")));
        let same = judged(str::to_owned);
        assert!(!same.passed && same.verdict.contains("changes nothing"), "{}", same.verdict);
        let silenced = judged(|region| region.replace("% name)", "% name)  # nosec"));
        assert!(!silenced.passed && silenced.verdict.starts_with("fails the checks"), "{}", silenced.verdict);
    }
}
