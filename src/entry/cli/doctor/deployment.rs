//! The services that the configuration names: each is asked, nothing is changed.

use std::fmt::Display;

use super::{Check, Status};
use crate::aws::Defect;
use crate::aws::sqs::QueueHealth;
use crate::config::Config;
use crate::model::{Language, Span};
use crate::opensearch::MemoryCheck;
use crate::ports::PortResult;
use crate::wiring::{Backends, Mode};

pub async fn checks(config: &Config) -> Vec<Check> {
    let backends = Backends::new(config, Mode::Read);
    let mut checks = Vec::new();
    github(config, &backends, &mut checks).await;
    if let Some(table) = backends.table() {
        checks.push(defects("state table", table.table(), table.check().await));
        checks.extend(super::table::checks(&table, &*backends.clock()).await);
    }
    if let Some(queue) = backends.queue() {
        // How long the worker may run is not known here; the deployment sees to it.
        checks.push(queues(queue.check(None).await));
    }
    match backends.index() {
        Ok(Some(index)) => checks.push(index_told(index.check().await)),
        Ok(None) => {}
        Err(error) => checks.push(Check::new("memory index", Status::Bad, error.chain())),
    }
    slack(&backends, &mut checks).await;
    if config.services.sagemaker.embedding_endpoint.is_some() {
        checks.push(embedder(&backends).await);
    }
    checks
}

fn told(name: &'static str, found: PortResult<impl Display>) -> Check {
    Check::of(name, found.map(|found| found.to_string()).map_err(|error| error.chain()))
}

fn defects(name: &'static str, what: &str, found: PortResult<Vec<Defect>>) -> Check {
    match found {
        Err(error) => Check::new(name, Status::Bad, error.chain()),
        Ok(defects) if defects.is_empty() => Check::new(name, Status::Ok, format!("{what} is as it must be")),
        Ok(defects) => {
            let lines: Vec<String> = defects.iter().map(|d| format!("{}: {}", d.problem, d.remedy)).collect();
            Check::new(name, Status::Bad, lines.join("; "))
        }
    }
}

fn queues(found: PortResult<QueueHealth>) -> Check {
    match found {
        Ok(health) if health.defects.is_empty() => {
            let (depth, status) = (health.depth, if health.depth.buried == 0 { Status::Ok } else { Status::Warn });
            let remedy = match depth.buried {
                0 => "",
                _ => "; `codehealer inbox list` says why, `codehealer inbox redrive` tries them again",
            };
            let (ready, hidden, buried) = (depth.ready, depth.hidden, depth.buried);
            Check::new("queue", status, format!("{ready} wait, {hidden} are worked on, {buried} put aside{remedy}"))
        }
        other => defects("queue", "the queue", other.map(|health| health.defects)),
    }
}

fn index_told(found: PortResult<MemoryCheck>) -> Check {
    let told = |found: MemoryCheck| {
        let version = found.version.unwrap_or_else(|| "a version it does not tell".to_owned());
        match found.index {
            None => format!("OpenSearch {version}; the index is made when the first fix is stored"),
            Some(index) => format!(
                "OpenSearch {version}, {} fixes, {} dimensions ({}, {})",
                index.fixes, index.dimensions, index.engine, index.space
            ),
        }
    };
    Check::of("memory index", found.map(told).map_err(|error| error.chain()))
}

async fn github(config: &Config, backends: &Backends<'_>, checks: &mut Vec<Check>) {
    let github = match backends.github() {
        Ok(Some(github)) => github,
        Ok(None) => return,
        Err(error) => return checks.push(Check::new("github", Status::Bad, error.chain())),
    };
    for repository in &config.repositories {
        checks.push(match github.check(&repository.name).await {
            Ok(found) if !found.is_fine() => Check::new("github", Status::Bad, found.to_string()),
            Ok(found) if found.renamed => Check::new("github", Status::Warn, found.to_string()),
            Ok(found) if found.calls_left.is_some_and(|(left, limit)| left < limit / 10) => {
                let told = format!("{found}; work waits when none is left: who else uses this App or token?");
                Check::new("github", Status::Warn, told)
            }
            other => told("github", other),
        });
    }
}

async fn slack(backends: &Backends<'_>, checks: &mut Vec<Check>) {
    match backends.slack_team() {
        Ok(Some(team)) => checks.push(told("slack answers", team.check().await)),
        Ok(None) => {}
        Err(error) => checks.push(Check::new("slack answers", Status::Bad, error.chain())),
    }
    match backends.slack_notifier() {
        Ok(Some(notifier)) => checks.push(told("slack notices", notifier.check().await)),
        Ok(None) => {}
        Err(error) => checks.push(Check::new("slack notices", Status::Bad, error.chain())),
    }
}

async fn embedder(backends: &Backends<'_>) -> Check {
    let (embedder, code) = (backends.embedder(), "x = 1\n");
    let asked = embedder.embed(Language::Python, code, Span::new(0, code.len())).await;
    told("embedder", asked.map(|vector| format!("{} answers with {} dimensions", embedder.id(), vector.len())))
}
