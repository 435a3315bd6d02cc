//! The way to Lambda's Runtime API: start, report what keeps a function from starting, stop when asked.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use serde_json::json;
use serde_json::value::RawValue;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::prepare::prepare;
use super::{Function, Outcome, Refused};
use crate::config::Environment;
use crate::detect::redact::redact;
use crate::telemetry;

/// The whole life of a function: `api` is the address of the Runtime API, as `AWS_LAMBDA_RUNTIME_API` has it.
pub fn main(environment: &Environment, api: &str) -> ExitCode {
    telemetry::begin_in_function(environment.log.as_deref());
    // Lambda gives a share of a processor, or two: more threads would only cost memory.
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = threads.context("start threads").and_then(|rt| rt.block_on(run(api, prepare(environment))));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = told(&error), "the function ends");
            ExitCode::FAILURE
        }
    }
}

/// Prepares the function, then takes one event after the other until the process is stopped. What keeps it from starting is
/// reported to Lambda, which shows it to people.
///
/// # Errors
/// When the function cannot be prepared, or the Runtime API does not answer.
pub async fn run(api: &str, prepare: impl Future<Output = Result<Function>>) -> Result<()> {
    let function = match prepare.await {
        Ok(function) => Arc::new(function),
        Err(error) => {
            report(api, &error).await;
            return Err(error);
        }
    };
    stop_when_asked().await;
    let handler = service_fn(move |event: LambdaEvent<Box<RawValue>>| handle(Arc::clone(&function), event));
    // It panics where Lambda's variables are missing.
    let runtime = tokio::spawn(async move { Runtime::new(handler).run().await });
    match runtime.await {
        Ok(ended) => ended.map_err(|error| anyhow!(error)).context("talk to Lambda's Runtime API"),
        Err(_) => {
            let error = anyhow!("AWS_LAMBDA_FUNCTION_NAME, _VERSION and _MEMORY_SIZE must be set, as Lambda does");
            report(api, &error).await;
            Err(error)
        }
    }
}

/// In a task of its own, so that what a panic says, which may be text of a repository, is not told to Lambda.
async fn handle(function: Arc<Function>, event: LambdaEvent<Box<RawValue>>) -> Result<Outcome, Diagnostic> {
    let work = tokio::spawn(async move { function.invoke(event).await }.in_current_span());
    let outcome = AbortOnDropHandle::new(work).await.unwrap_or(Err(Refused::Panicked));
    outcome.map_err(Diagnostic::from)
}

/// Lambda tells a function that it ends only when an extension is registered. One that cannot be is no reason not to start.
async fn stop_when_asked() {
    let told = || async { tracing::info!("stopping: the function is no longer needed") };
    let registered = tokio::spawn(lambda_runtime::spawn_graceful_shutdown_handler(told)).await;
    if registered.is_err() {
        tracing::warn!("Lambda did not take the extension that hears of the end; the function will end unannounced");
    }
}

/// An error with its causes in one line, without secrets.
fn told(error: &anyhow::Error) -> String {
    redact(&format!("{error:#}")).into_owned()
}

/// Tells Lambda why the function does not start.
async fn report(api: &str, error: &anyhow::Error) {
    let message = told(error);
    tracing::error!(error = message, "the function does not start");
    let base = if api.contains("://") { api.to_owned() } else { format!("http://{api}") };
    let url = format!("{}/2018-06-01/runtime/init/error", base.trim_end_matches('/'));
    let body = json!({ "errorType": "InitError", "errorMessage": message, "stackTrace": [] });
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build();
    let sent = match client {
        Ok(client) => {
            let request = client.post(url).header("lambda-runtime-function-error-type", "Runtime.InitError");
            request.json(&body).send().await.map(drop)
        }
        Err(error) => Err(error),
    };
    if let Err(error) = sent {
        tracing::warn!(%error, "Lambda could not be told why");
    }
}
