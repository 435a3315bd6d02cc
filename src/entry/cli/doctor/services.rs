//! What is worked on and asked: the repository, the rules, the chat, the model, the verifier, the webhook's secret.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Check, Status};
use crate::config::Config;
use crate::config::model::{Model, Models};
use crate::local::git::open::{LocalRepository, open};
use crate::ports::Prompt;
use crate::report::time::instant;
use crate::wiring::{self, Backends, Clone, Mode};

/// The model is given at most this long for one word.
const PATIENCE: Duration = Duration::from_secs(15);

pub async fn checks(config: &Config, path: &Path) -> Vec<Check> {
    let local = open(path);
    let mut checks = vec![repository(local.as_ref()), rules(config), chat(config)];
    checks.push(model(config).await);
    checks.push(verifier(config, local.ok()).await);
    checks.push(secrets(config).await);
    checks
}

fn repository(local: Result<&LocalRepository, &crate::local::git::open::OpenError>) -> Check {
    match local {
        Err(error) => Check::new("repository", Status::Warn, error.to_string()),
        Ok(local) if local.head.commit().is_none() => {
            Check::new("repository", Status::Warn, format!("{} has no commit yet; commit something first", local.name))
        }
        Ok(local) if local.shallow => {
            let told = format!(
                "{} is a shallow clone: little to learn from; `git fetch --unshallow` brings the rest",
                local.name
            );
            Check::new("repository", Status::Warn, told)
        }
        Ok(local) => {
            let branch = local.base_branch().unwrap_or("no branch");
            Check::new("repository", Status::Ok, format!("{} on {branch}", local.name))
        }
    }
}

fn rules(config: &Config) -> Check {
    let counted = wiring::detector(config).and_then(|detector| {
        detector.rules().check()?;
        Ok(format!("{} rules", detector.rules().infos()?.len()))
    });
    Check::of("rules", counted.map_err(|error| format!("{error:#}")))
}

fn chat(config: &Config) -> Check {
    match Backends::new(config, Mode::Read).slack_export() {
        Ok(None) => Check::new("team knowledge", Status::Ok, "not configured, so it is not asked"),
        Ok(Some(export)) if export.is_empty() => {
            Check::new("team knowledge", Status::Warn, "the export holds no thread; export the workspace again")
        }
        Ok(Some(export)) => {
            let newest = export.newest().map_or_else(|| "never".to_owned(), instant);
            Check::new("team knowledge", Status::Ok, format!("{} threads, newest {newest}", export.len()))
        }
        Err(error) => Check::new("team knowledge", Status::Bad, error.chain()),
    }
}

async fn model(config: &Config) -> Check {
    let quick = config.models.first.clone().map(|model| Model { timeout: model.timeout.min(PATIENCE), ..model });
    let config = Config { models: Models { first: quick, ..config.models.clone() }, ..config.clone() };
    let model = match Backends::new(&config, Mode::Read).model() {
        Ok(Some(model)) => model,
        Ok(None) => return Check::new("model", Status::Ok, "not configured, so it is not asked"),
        Err(error) => return Check::new("model", Status::Bad, error.chain()),
    };
    let prompt = Prompt { system: "Answer with one word.".to_owned(), user: "Ready?".to_owned(), max_tokens: 1 };
    match (model.complete(&prompt).await, &config.models.first) {
        (Ok(answer), _) => Check::new("model", Status::Ok, format!("{} answers", answer.model)),
        (Err(error), Some(named)) => {
            let url = crate::config::origin::without_login(&named.url);
            let remedy = format!("check that the server at {url} runs and knows the model {:?}", named.name);
            Check::new("model", Status::Bad, format!("{}; {remedy}", error.chain()))
        }
        (Err(error), None) => Check::new("model", Status::Bad, error.chain()),
    }
}

async fn verifier(config: &Config, local: Option<LocalRepository>) -> Check {
    const NAME: &str = "verify command";
    if config.verify.is_none() {
        return Check::new(NAME, Status::Ok, "not configured; findings of other scanners are not re-checked");
    }
    let head = local.as_ref().and_then(|local| local.head.commit().cloned());
    let (Some(local), Some(head)) = (local, head) else {
        return Check::new(NAME, Status::Warn, "not tried, since there is no commit here; give a repository's path");
    };
    let clone = Clone::of(config, local);
    // Neither chat nor model belong to this check.
    let config = Config { slack_export: None, models: Models::default(), ..config.clone() };
    let wired = match wiring::wire(&config, std::slice::from_ref(&clone), Mode::DryRun, Arc::new(|_| {})) {
        Ok(wired) => wired,
        Err(error) => return Check::new(NAME, Status::Bad, format!("{error:#}")),
    };
    let Some(external) = wired.healer.ports().external.clone() else {
        return Check::new(NAME, Status::Ok, "not configured");
    };
    let ran = external.scan(&clone.repository, &head, &[]).await;
    Check::of(NAME, ran.map(|_| "it runs and prints SARIF".to_owned()).map_err(|error| error.chain()))
}

async fn secrets(config: &Config) -> Check {
    const NAME: &str = "webhook secret";
    let backends = Backends::new(config, Mode::Read);
    let mut unread = Vec::new();
    for source in &config.serve.webhook_secrets {
        if let Err(error) = backends.credential(source).read().await {
            unread.push(error.chain());
        }
    }
    if unread.is_empty() {
        return Check::new(NAME, Status::Ok, "present");
    }
    // Only a receiver needs it, and only with repositories to watch.
    let status = if config.repositories.is_empty() { Status::Warn } else { Status::Bad };
    let needed = if config.repositories.is_empty() { "; only `serve` needs it" } else { "" };
    Check::new(NAME, status, format!("{}{needed}", unread.join("; ")))
}
