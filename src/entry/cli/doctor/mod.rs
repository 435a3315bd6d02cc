//! `codehealer doctor`: is everything there, and what to do where it is not.

mod deployment;
mod machine;
mod services;
mod table;
mod webhook;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::output::Tone;
use super::{Exit, Format, Session, Sources};
use crate::report::line::Line;

/// Checks the state file, the repository, the rules, every configured source, and what `serve` needs. Changes nothing.
///
/// Example: codehealer doctor --model-url http://127.0.0.1:8000/v1
#[derive(Args)]
pub struct DoctorArgs {
    /// The repository to look at
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    sources: Sources,
    /// Address that GitHub delivers to, to be sent a signed ping [default: where the App's webhook points]
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    /// Works, but not as somebody may expect.
    Warn,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    /// What was seen; the remedy too where something is wrong.
    detail: String,
}

impl Check {
    fn new(name: &'static str, status: Status, detail: impl Into<String>) -> Self {
        Self { name, status, detail: detail.into() }
    }

    fn of(name: &'static str, found: Result<String, String>) -> Self {
        match found {
            Ok(detail) => Self::new(name, Status::Ok, detail),
            Err(detail) => Self::new(name, Status::Bad, detail),
        }
    }
}

/// Runs the command.
pub async fn run(session: &Session, args: DoctorArgs) -> Result<Exit> {
    let mut checks = Vec::new();
    match session.config(&args.sources) {
        Err(error) => checks.push(Check::new("configuration", Status::Bad, format!("{error:#}"))),
        Ok(config) => {
            let file = config.file.as_ref().map(|path| path.display().to_string());
            let told = file.unwrap_or_else(|| "no file; defaults, environment and flags".to_owned());
            checks.push(Check::new("configuration", Status::Ok, told));
            let spinner = session.output.spinner("looking");
            checks.extend(machine::checks(&config).await);
            checks.extend(services::checks(&config, &args.path).await);
            checks.extend(deployment::checks(&config).await);
            checks.extend(webhook::checks(&config, args.webhook_url.as_deref()).await);
            spinner.finish_and_clear();
        }
    }
    let bad = checks.iter().any(|check| check.status == Status::Bad);
    match args.format {
        Format::Json => session.output.json(&checks)?,
        Format::Text => session.output.lines(&lines(&checks))?,
    }
    Ok(if bad { Exit::Found } else { Exit::Done })
}

fn lines(checks: &[Check]) -> Vec<Line> {
    let line = |check: &Check| {
        let (word, tone) = match check.status {
            Status::Ok => ("ok", Tone::Good),
            Status::Warn => ("warn", Tone::Careful),
            Status::Bad => ("bad", Tone::Bad),
        };
        Line::new(0, &format!("{word:<4}  {:<15} {}", check.name, check.detail)).toned(tone)
    };
    checks.iter().map(line).collect()
}
