//! `config check`: the file and everything it names.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::config::{Config, SecretSource};
use crate::entry::cli::output::{Tone, plain};
use crate::entry::cli::{Exit, Format, Session, Sources, usage};
use crate::healer::RepositoryConfig;
use crate::local::git::open::open;
use crate::local::git::range;
use crate::model::REPOSITORY_CONFIG;
use crate::report::line::Line;
use crate::wiring::{self, Backends, Mode};

#[derive(Args)]
pub struct CheckArgs {
    /// Also check the .codehealer.toml in this folder
    #[arg(long, value_name = "DIR")]
    repository: Option<PathBuf>,
    #[command(flatten)]
    sources: Sources,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// One thing that is wrong, with its remedy.
#[derive(Serialize)]
struct Problem {
    key: String,
    problem: String,
}

pub fn check(session: &Session, args: &CheckArgs) -> Result<Exit> {
    // A file that cannot be read as a whole is the caller's mistake and says so by itself.
    let config = session.config(&args.sources)?;
    let mut problems = Vec::new();
    rules(&config, &mut problems);
    slack(&config, &mut problems);
    model(&config, &mut problems);
    secrets(&config, &mut problems);
    repositories(&config, &mut problems);
    if let Some(folder) = &args.repository {
        own_file(&config, folder, &mut problems)?;
    }
    let output = &session.output;
    if args.format == Format::Json {
        output.json(&problems)?;
    } else {
        let lines: Vec<Line> =
            problems.iter().map(|p| Line::new(0, &format!("{}: {}", p.key, p.problem)).toned(Tone::Bad)).collect();
        output.lines(&lines)?;
        let file = config.file.as_ref().map_or_else(|| "no file".to_owned(), |path| path.display().to_string());
        let found =
            if problems.is_empty() { "nothing is wrong".to_owned() } else { format!("{} problem(s)", problems.len()) };
        output.line(plain(&format!("{file}: {found}")))?;
    }
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Found })
}

fn add(problems: &mut Vec<Problem>, key: impl Into<String>, problem: impl std::fmt::Display) {
    problems.push(Problem { key: key.into(), problem: problem.to_string() });
}

fn rules(config: &Config, problems: &mut Vec<Problem>) {
    let detector = match wiring::detector(config) {
        Ok(detector) => detector,
        Err(error) => return add(problems, "rules", format!("{error:#}")),
    };
    for id in &config.policy.ignore_rules {
        let known =
            crate::model::RuleId::new(id.clone()).is_ok_and(|id| matches!(detector.rules().info(&id), Ok(Some(_))));
        // Other scanners' rules have a slash in their id and are known only when they report something.
        if !known && !id.contains('/') {
            add(problems, "ignore.rules", format!("there is no rule {id}; `codehealer rules list` shows all"));
        }
    }
}

fn slack(config: &Config, problems: &mut Vec<Problem>) {
    if let Err(error) = Backends::new(config, Mode::Read).slack_export() {
        add(problems, "slack_export", error.chain());
    }
}

fn model(config: &Config, problems: &mut Vec<Problem>) {
    let Some(model) = &config.models.first else { return };
    match reqwest::Url::parse(&model.url) {
        Err(error) => add(problems, "model.url", format!("it is no address ({error}); write http://host:port/v1")),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            add(problems, "model.url", "there is a login in it; take it out and name the key with model.key");
        }
        Ok(url) if url.query().is_some() => {
            add(problems, "model.url", "there is a query in it; write the base address alone");
        }
        Ok(_) => {}
    }
    if let Some(Err(error)) = model.key.as_ref().map(SecretSource::read) {
        add(problems, "model.key", error);
    }
}

fn secrets(config: &Config, problems: &mut Vec<Problem>) {
    // Without repositories nothing is served, so no secret is needed.
    if config.repositories.is_empty() {
        return;
    }
    for secret in &config.serve.webhook_secrets {
        if matches!(secret, SecretSource::Aws(_)) {
            continue; // kept elsewhere: `codehealer doctor` tries to read it
        }
        if let Err(error) = secret.read() {
            add(problems, "serve.webhook_secrets", error);
        }
    }
}

fn repositories(config: &Config, problems: &mut Vec<Problem>) {
    let mut names = std::collections::BTreeSet::new();
    for repository in &config.repositories {
        let key = format!("repository {}", repository.name);
        if !names.insert(repository.name.to_ascii_lowercase()) {
            add(problems, key.clone(), "it is there twice; keep one");
        }
        if repository.name.split('/').count() != 2 || repository.name.split('/').any(str::is_empty) {
            add(problems, key.clone(), "its name is not owner/name, as webhooks write it");
        }
        // Without a clone GitHub is asked, which `codehealer doctor` tries.
        let Some(path) = &repository.path else { continue };
        let local = match open(path) {
            Ok(local) => local,
            Err(error) => {
                add(problems, key, error);
                continue;
            }
        };
        for branch in repository.branches() {
            if range::branch(&local, &branch).is_none() {
                let problem = format!("there is no branch {branch} in {}; fetch it or name another", path.display());
                add(problems, key.clone(), problem);
            }
        }
    }
}

fn own_file(config: &Config, folder: &Path, problems: &mut Vec<Problem>) -> Result<()> {
    let path = folder.join(REPOSITORY_CONFIG);
    let text = std::fs::read_to_string(&path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
    let key = path.display().to_string();
    if let Err(error) = toml::from_str::<RepositoryConfig>(&text) {
        add(problems, key, error);
    } else if let Err(error) = config.policy.tighten(&text) {
        add(problems, key, error);
    }
    Ok(())
}
