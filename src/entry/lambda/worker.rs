//! The worker: the records of a batch one after the other, and the schedule.
//!
//! **Who removes what.** A record that was worked on is removed from the queue by the worker itself, at once; Lambda removes it a
//! second time, which does nothing. So a function that dies at the fifth record does not bring the first four back. A
//! record that waits, or that there was no time for, is given back with its delay by us and listed as a failure, which only
//! keeps Lambda from removing it. A record that was put aside lies in the dead-letter queue and is not listed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::metrics::Metrics;
use crate::healer::{Settled, Worker};
use crate::model::{Task, UnixMillis};
use crate::ports::{Clock, Inbox, Taken};

/// No further record is begun with less time left than this, milliseconds.
pub const RESERVE_MS: UnixMillis = 20_000;
/// The first one is begun with less: a function that never has more must get on as well, a few steps at a time.
pub const FIRST_MS: UnixMillis = 10_000;
/// The healer lays its work down in time by itself. Work that goes on nevertheless is stopped this long before the function is, milliseconds: what was recorded stays.
pub const STOP_MS: UnixMillis = 3_000;
/// What an invocation is taken to have when its deadline makes no sense: that of emulators is no time of day.
const UNKNOWN_MS: UnixMillis = 60_000;
/// The longest that Lambda lets a function run.
const LONGEST_MS: UnixMillis = 15 * 60 * 1000;
/// Pause before a record that there was no time for is taken again.
const SOON: Duration = Duration::from_secs(1);

/// Everything that the working function needs.
pub struct LambdaWorker {
    worker: Worker,
    inbox: Arc<dyn Inbox>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    /// The organisation whose memory begins with the starter memory, where it may.
    starter: Option<String>,
    /// Whether this process has looked whether the memory has begun.
    begun: AtomicBool,
}

/// Why an invocation failed; Lambda tries it again.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    #[error("the reconciliation was not finished; the next one does the rest")]
    Reconcile(#[source] crate::healer::HealError),
    #[error("there was no time left to finish the reconciliation; the next one does the rest")]
    OutOfTime,
    #[error("a record has no messageId or no receiptHandle: is the event source a queue of SQS?")]
    Nameless,
}

/// A record of a batch that can be worked on.
struct Record {
    id: String,
    taken: Taken,
}

impl LambdaWorker {
    /// `inbox` is the one that `worker` settles its tasks with.
    #[must_use]
    pub fn new(worker: Worker, inbox: Arc<dyn Inbox>, clock: Arc<dyn Clock>) -> Self {
        let metrics: Arc<Metrics> = Arc::default();
        let worker = worker.observed_by(metrics.observer());
        Self { worker, inbox, clock, metrics, starter: None, begun: AtomicBool::new(false) }
    }

    /// The same, which gives an empty memory of this organisation the starter memory to begin with: beside a reconciliation, for
    /// a push has no time for it.
    #[must_use]
    pub fn beginning_with_starter(self, organisation: String) -> Self {
        Self { starter: Some(organisation), ..self }
    }

    /// Works on the records of a batch, those first that come first, until time runs out. Answers with those that are not done.
    ///
    /// # Errors
    /// When a record cannot be told from the others; none was begun then.
    pub async fn batch(&self, records: Vec<SqsMessage>, deadline: UnixMillis) -> Result<SqsBatchResponse, WorkError> {
        let records: Option<Vec<Record>> = records.into_iter().map(record).collect();
        let records = records.ok_or(WorkError::Nameless)?;
        let deadline = self.deadline(deadline);
        let mut response = SqsBatchResponse::default();
        let (mut begun, mut left) = (0, 0);
        for record in records {
            // The queue hides what a function works on for several times as long as the function may run.
            self.inbox.adopt(&record.taken, self.time_until(deadline) + Duration::from_millis(UNKNOWN_MS));
            let needed = if begun == 0 { FIRST_MS } else { RESERVE_MS };
            let done = if self.clock.now() + needed > deadline {
                left += 1;
                self.give_back(&record).await
            } else {
                begun += 1;
                self.settle(&record, deadline).await
            };
            if !done {
                response.add_failure(record.id);
            }
        }
        if left > 0 {
            tracing::warn!(left, "there was no time for all records; they are taken again");
            self.metrics.left(left);
        }
        Ok(response)
    }

    /// Looks for everything that time alone asks for.
    ///
    /// # Errors
    /// When not everything could be looked at.
    pub async fn reconcile(&self, deadline: UnixMillis) -> Result<(), WorkError> {
        let deadline = self.deadline(deadline);
        let worker = self.worker.clone().until(deadline);
        let outcome = tokio::time::timeout(self.time_until(deadline), worker.reconcile()).await;
        outcome.map_err(|_| WorkError::OutOfTime)?.map_err(WorkError::Reconcile)?;
        self.begin_memory(deadline).await;
        Ok(())
    }

    /// Gives an empty memory something to begin with, in the time that is left. Without it the work is done as well.
    async fn begin_memory(&self, deadline: UnixMillis) {
        let Some(organisation) = self.starter.as_deref().filter(|_| !self.begun.load(Ordering::Relaxed)) else {
            return;
        };
        let begun = self.worker.healer().begin_with_starter(organisation);
        match tokio::time::timeout(self.time_until(deadline), begun).await {
            Ok(Ok(report)) => {
                self.begun.store(true, Ordering::Relaxed);
                if let Some(report) = report {
                    tracing::info!(fixes = report.fixes(), "the starter memory was taken in");
                }
            }
            Ok(Err(error)) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(error, "the starter memory was not taken in");
            }
            Err(_) => tracing::warn!(
                "there was no time to take all of the starter memory in; `codehealer memory import --starter` does the rest"
            ),
        }
    }

    /// Works on one record. Whether it must not come again.
    async fn settle(&self, record: &Record, deadline: UnixMillis) -> bool {
        let span = span(record);
        let (worker, taken) = (self.worker.clone().until(deadline), record.taken.clone());
        // In a task of its own a panic is this record's alone; dropped, it is stopped, for nothing may run after the answer.
        let work = tokio::spawn(async move { worker.settle(&taken).await }.instrument(span.clone()));
        let outcome = tokio::time::timeout(self.time_until(deadline), AbortOnDropHandle::new(work)).await;
        let _inside = span.enter();
        match outcome {
            Ok(Ok(Ok(settled))) => return settled != Settled::GivenBack,
            Ok(Ok(Err(error))) => tracing::error!(error = error.chain(), "the inbox could not be told of a task"),
            Ok(Err(_)) => tracing::error!("the work on a task broke down"),
            Err(_) => tracing::error!("a task was stopped before the function would have been; it is taken again"),
        }
        drop(_inside);
        self.give_back(record).await
    }

    /// Lets the record be taken again soon, not only when its time in the queue is up. It is not done.
    async fn give_back(&self, record: &Record) -> bool {
        if let Err(error) = self.inbox.retry(&record.taken.receipt, SOON).await {
            tracing::warn!(message = record.id, error = error.chain(), "a record comes back later than it could");
        }
        false
    }

    /// The deadline in the time of our clock.
    fn deadline(&self, told: UnixMillis) -> UnixMillis {
        let now = self.clock.now();
        if told <= now { now + UNKNOWN_MS } else { told.min(now + LONGEST_MS) }
    }

    /// How long work may go on.
    fn time_until(&self, deadline: UnixMillis) -> Duration {
        Duration::from_millis(deadline.saturating_sub(STOP_MS).saturating_sub(self.clock.now()))
    }
}

/// The record as the inbox would have handed it over.
fn record(message: SqsMessage) -> Option<Record> {
    let attempts = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1);
    let receipt = message.receipt_handle.filter(|receipt| !receipt.is_empty())?;
    let id = message.message_id.filter(|id| !id.is_empty())?;
    Some(Record { id, taken: Taken { receipt, body: message.body.unwrap_or_default(), attempts } })
}

/// What the lines of a record's work are found by.
fn span(record: &Record) -> tracing::Span {
    let span = tracing::info_span!(
        "task",
        message = record.id,
        attempt = record.taken.attempts,
        delivery = tracing::field::Empty,
        case = tracing::field::Empty,
        repository = tracing::field::Empty,
    );
    match serde_json::from_str(&record.taken.body) {
        Ok(Task::Push(push)) => {
            span.record("delivery", push.delivery).record("repository", push.name);
        }
        Ok(Task::Heal { case, .. }) => {
            span.record("case", case.to_string());
        }
        Ok(Task::FollowUp { name, .. }) => {
            span.record("repository", name);
        }
        Ok(Task::Command(command)) => {
            span.record("repository", command.name);
        }
        Ok(Task::Reconcile) | Err(_) => {}
    }
    span
}
