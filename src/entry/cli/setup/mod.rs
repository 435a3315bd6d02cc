//! `codehealer setup`: from nothing to a GitHub App that is registered, whose secrets are stored and whose webhook answers.
//!
//! Every step looks at what is there before it does anything, so that a call which broke off is simply made again. What GitHub
//! tells only once, the private key, is in a file before the next step begins.

mod browser;
mod kept;
pub(super) mod manifest;
mod place;
mod steps;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

use super::output::Tone;
use super::{Exit, Session, Sources, usage};
use crate::config::Config;
use crate::config::services::GitHubAuth;
use crate::github::registration::{self, AppName};
use crate::local::clock::SystemClock;
use crate::report::line::Line;
use kept::{Kept, Progress};
use manifest::Wanted;
use place::Place;

const GITHUB: &str = "https://api.github.com";

/// Registers the GitHub App, stores its secrets, checks its permissions and its webhook. Calling it again goes on from where it
/// was, and changes nothing that is as it should be.
///
/// Example: codehealer setup --organisation acme
/// After the deployment: codehealer setup --store aws:codehealer --webhook-url https://…/live/webhook
#[derive(Args)]
pub struct SetupArgs {
    /// Organisation that owns the App [default: yourself]
    #[arg(long, value_name = "LOGIN")]
    organisation: Option<String>,
    /// Name of the App, which nobody else on GitHub may have; at most 34 characters
    #[arg(long, default_value = "CodeHealer")]
    name: String,
    /// Address that deliveries go to; may be left out until there is one
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// Where private key and webhook secret are kept: file:FOLDER, or aws:NAME for NAME/github-app and NAME/webhook in Secrets
    /// Manager [default: where they are, else the state folder]
    #[arg(long, value_name = "PLACE", value_parser = Place::parse)]
    store: Option<Place>,
    /// Code of a registration that was begun elsewhere: no browser is waited for
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Address on this machine that the browser comes back to
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How long the browser is waited for, minutes; GitHub's code is good for 60
    #[arg(long, value_name = "MINUTES", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=60))]
    wait: u64,
    /// Address of GitHub's API, https://HOST/api/v3 of an Enterprise Server [default: github.api_url, else GitHub's own]
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// Register another App although there is one
    #[arg(long)]
    again: bool,
    /// Write the result as JSON and wait for nobody
    #[arg(long)]
    json: bool,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Done,
    /// For something that a person does elsewhere.
    Waits,
    Bad,
}

/// One step and how it stands.
#[derive(Debug, Serialize)]
struct Step {
    step: &'static str,
    status: Status,
    /// What was seen; what to do where it is not done.
    detail: String,
}

/// What the command answers with.
#[derive(Serialize)]
struct Outcome<'p> {
    app: &'p AppName,
    steps: Vec<Step>,
    /// Lines for `codehealer.toml`.
    configuration: String,
    next: Vec<String>,
}

impl Step {
    fn new(step: &'static str, status: Status, detail: impl Into<String>) -> Self {
        Self { step, status, detail: detail.into() }
    }
}

/// Runs the command.
pub async fn run(session: &Session, args: SetupArgs) -> Result<Exit> {
    let config = session.config(&Sources::default())?;
    let wanted = wanted(&args, &config)?;
    let kept = Kept::open(&config.state.join("setup"))?;
    let mut steps = Vec::new();
    let mut progress = match kept.progress()?.filter(|_| !args.again) {
        Some(progress) => {
            steps.push(Step::new("app", Status::Done, format!("{} was registered before", progress.app)));
            progress
        }
        None => {
            let progress = register(session, &args, &wanted, &kept).await?;
            steps.push(Step::new("app", Status::Done, format!("{} is registered", progress.app)));
            progress
        }
    };
    let work = steps::Work { config: &config, kept: &kept, wanted: &wanted };
    steps.push(work.secrets(&mut progress, args.store.as_ref()).await);
    steps.extend(work.app(&progress).await?);
    steps.extend(work.webhook(&mut progress, args.webhook_url.as_deref()).await?);
    let outcome = Outcome {
        app: &progress.app,
        configuration: configuration(&progress),
        next: next(&progress, &steps, args.webhook_url.is_some()),
        steps,
    };
    if args.json {
        session.output.json(&outcome)?
    } else {
        session.output.lines(&lines(&outcome))?
    }
    let bad = outcome.steps.iter().any(|step| step.status == Status::Bad);
    Ok(if bad { Exit::Found } else { Exit::Done })
}

fn wanted(args: &SetupArgs, config: &Config) -> Result<Wanted> {
    let github = config.services.github.as_ref();
    let api_url = args.api_url.clone().or_else(|| github.map(|github| github.api_url.clone()));
    let wanted = Wanted {
        name: args.name.clone(),
        organisation: args.organisation.clone(),
        webhook_url: args.webhook_url.clone(),
        api_url: api_url.unwrap_or_else(|| GITHUB.to_owned()).trim_end_matches('/').to_owned(),
        checks: github.is_some_and(|github| github.checks),
    };
    if github.is_some_and(|github| matches!(github.auth, GitHubAuth::Token(_))) {
        return Err(usage("github.token is configured, which needs no App; take it out to set an App up"));
    }
    if !args.listen.ip().is_loopback() {
        return Err(usage("--listen must be an address of this machine, such as 127.0.0.1:0: others could send codes"));
    }
    wanted.check().map_err(usage)?;
    Ok(wanted)
}

/// Gets a code, exchanges it, and puts what came into files at once: it does not come a second time.
async fn register(session: &Session, args: &SetupArgs, wanted: &Wanted, kept: &Kept) -> Result<Progress> {
    let code = match &args.code {
        Some(code) => code.clone(),
        None if args.json => return Err(usage("no App was registered yet: give --code, or leave out --json")),
        None => {
            let patience = Duration::from_secs(args.wait * 60);
            browser::code(args.listen, wanted, patience, |address| {
                session.output.note(&format!(
                    "Open {address} in a browser on this machine and press the button. Waiting for {} minutes.",
                    args.wait
                ));
            })
            .await?
        }
    };
    if code.is_empty() || code.len() > 200 || !code.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(usage(
            "--code is not one of GitHub's: it is what stands after code= in the address of the last page",
        ));
    }
    let made = registration::register(&wanted.api_url, &code, &SystemClock).await?;
    kept.keep(&made, &wanted.api_url)
        .context("the App is registered and its private key could not be stored: delete the App")
}

fn configuration(progress: &Progress) -> String {
    let api = match progress.api_url.as_str() {
        GITHUB => String::new(),
        other => format!("api_url = \"{other}\"\n"),
    };
    format!(
        "[github]\n{api}app_id = {}\nprivate_key = \"{}\"\n\n[serve]\nwebhook_secrets = [\"{}\"]\n",
        progress.app.id, progress.key, progress.webhook
    )
}

/// What is left to a person.
fn next(progress: &Progress, steps: &[Step], has_webhook: bool) -> Vec<String> {
    let mut next: Vec<String> = steps
        .iter()
        .filter(|step| step.status != Status::Done)
        .map(|step| format!("{}: {}", step.step, step.detail))
        .collect();
    if progress.key.starts_with("file:") {
        next.push(format!(
            "on AWS: write app_id = {} into your .tfvars, deploy, then call `codehealer setup --store aws:NAME --webhook-url URL` \
             with the deployment's name and the address that it printed",
            progress.app.id
        ));
    }
    if !has_webhook {
        next.push(
            "elsewhere: call `codehealer setup --webhook-url https://YOUR-HOST/webhook` once the receiver runs".into(),
        );
    }
    next.push(
        "write the lines above into codehealer.toml, name your repositories, and call `codehealer doctor`".into(),
    );
    next
}

fn lines(outcome: &Outcome<'_>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for step in &outcome.steps {
        let (word, tone) = match step.status {
            Status::Done => ("done", Tone::Good),
            Status::Waits => ("waits", Tone::Careful),
            Status::Bad => ("bad", Tone::Bad),
        };
        lines.push(Line::new(0, &format!("{word:<5}  {:<13} {}", step.step, step.detail)).toned(tone));
    }
    lines.push(Line::new(0, ""));
    lines.extend(outcome.configuration.lines().map(|line| Line::new(2, line)));
    lines.push(Line::new(0, ""));
    lines.push(Line::new(0, "Next:"));
    lines.extend(outcome.next.iter().map(|line| Line::new(2, &format!("- {line}"))));
    lines
}

/// The clock of everything that is asked here.
fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock)
}
