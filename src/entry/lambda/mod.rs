//! AWS Lambda: one program, deployed as two functions. The receiver answers GitHub, the worker works on the queue.
//!
//! Nothing runs after the answer of an invocation, because Lambda freezes the process: work is done or on a queue, and metrics
//! and logs are written.

pub mod event;
pub mod http;
pub mod keys;
pub mod metrics;
mod prepare;
mod receiver;
mod runtime;
mod worker;

use std::str::FromStr;
use std::sync::Arc;

use aws_lambda_events::sqs::SqsBatchResponse;
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde::Serialize;
use serde_json::value::RawValue;
use tracing::Instrument as _;

use self::event::{Event, EventError};
use self::http::HttpResponse;
use self::metrics::Metrics;
use crate::ports::Clock;

pub use receiver::LambdaReceiver;
pub use runtime::{main, run};
pub use worker::{FIRST_MS, LambdaWorker, RESERVE_MS, STOP_MS, WorkError};

/// Which of the two functions this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Receiver,
    Worker,
}

/// `CODEHEALER_ROLE` does not say what this function is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("CODEHEALER_ROLE is {0:?}; set it to `receiver` or `worker`")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        match text {
            "receiver" => Ok(Self::Receiver),
            "worker" => Ok(Self::Worker),
            other => Err(UnknownRole(other.chars().take(60).collect())),
        }
    }
}

/// One of the two functions with all that it needs.
pub enum Function {
    Receiver(LambdaReceiver),
    Worker(Box<LambdaWorker>),
}

/// What an invocation is answered with.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    Http(Box<HttpResponse>),
    Batch(SqsBatchResponse),
    Done,
}

/// Why an invocation fails.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Event(#[from] EventError),
    #[error("{event} was sent to the {role}; {remedy}")]
    Role { event: &'static str, role: &'static str, remedy: &'static str },
    #[error(transparent)]
    Work(#[from] WorkError),
    #[error("the work broke down; the log says where")]
    Panicked,
}

impl Function {
    /// Works on one event and writes its metrics.
    ///
    /// # Errors
    /// When the event is none of ours, or the work on it could not be finished.
    pub async fn invoke(&self, event: LambdaEvent<Box<RawValue>>) -> Result<Outcome, Refused> {
        let (payload, context) = event.into_parts();
        let span = tracing::info_span!("invocation", request_id = context.request_id);
        let outcome = self.dispatch(&payload, context.deadline).instrument(span.clone()).await;
        let _inside = span.enter();
        if let Err(refused) = &outcome {
            tracing::error!(error = chain(refused), "an invocation failed");
        }
        let (metrics, clock) = self.measured();
        if let Err(error) = metrics.flush(clock.now(), &context.request_id, &mut std::io::stdout().lock()) {
            tracing::warn!(%error, "metrics could not be written");
        }
        outcome
    }

    async fn dispatch(&self, payload: &RawValue, deadline: u64) -> Result<Outcome, Refused> {
        match (self, Event::parse(payload)?) {
            (Self::Receiver(receiver), Event::Http(request)) => {
                Ok(Outcome::Http(Box::new(receiver.respond(&request).await)))
            }
            (Self::Worker(worker), Event::Batch(batch)) => {
                Ok(Outcome::Batch(worker.batch(batch.records, deadline).await?))
            }
            (Self::Worker(worker), Event::Reconcile) => Ok(worker.reconcile(deadline).await.map(|()| Outcome::Done)?),
            (Self::Receiver(_), event) => {
                let remedy = "send it to the function whose CODEHEALER_ROLE is `worker`";
                Err(Refused::Role { event: event.name(), role: "receiver", remedy })
            }
            (Self::Worker(_), event) => {
                let remedy = "send it to the function whose CODEHEALER_ROLE is `receiver`";
                Err(Refused::Role { event: event.name(), role: "worker", remedy })
            }
        }
    }

    fn measured(&self) -> (&Metrics, &Arc<dyn Clock>) {
        match self {
            Self::Receiver(receiver) => (&receiver.metrics, &receiver.clock),
            Self::Worker(worker) => (&worker.metrics, &worker.clock),
        }
    }
}

impl Refused {
    fn kind(&self) -> &'static str {
        match self {
            Self::Event(EventError::Unknown(_)) => "UnknownEvent",
            Self::Event(EventError::Malformed { .. }) | Self::Work(WorkError::Nameless) => "MalformedEvent",
            Self::Role { .. } => "WrongFunction",
            Self::Work(WorkError::OutOfTime) => "OutOfTime",
            Self::Work(WorkError::Reconcile(_)) => "ReconcileFailed",
            Self::Panicked => "Panicked",
        }
    }
}

impl From<Refused> for Diagnostic {
    fn from(refused: Refused) -> Self {
        Self { error_type: refused.kind().to_owned(), error_message: chain(&refused) }
    }
}

/// An error with its causes in one line, without secrets.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    crate::detect::redact::redact(&text).into_owned()
}
