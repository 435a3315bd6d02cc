//! The inbox in a standard SQS queue, with another queue for the messages that cannot be worked on.
//!
//! A standard queue delivers at least once and keeps equal messages apart: a `dedupe` key changes nothing here, and a message
//! that comes twice does no harm. Delays end at 15 minutes; what is due later comes back through the index of due work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_lambda_events::sqs::SqsMessage;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};
use tokio::sync::OnceCell;

use crate::model::UnixMillis;
use crate::ports::{Clock, ErrorKind, Inbox, PortError, PortResult, Taken};

use super::client::{Aws, repeatable};
use super::error::port_error;

const PORT: &str = "inbox";
/// Bytes of one message with its attributes. A queue may be set to take less, and says so itself.
pub const MESSAGE_BYTES: usize = 1024 * 1024;
/// Longest delay of a new message.
pub const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);
/// Longest time for which a message can be hidden, counted from when it was taken.
pub const LONGEST_VISIBILITY: Duration = Duration::from_secs(12 * 60 * 60);
/// How far our clock and that of SQS may be apart.
const SLACK: Duration = Duration::from_secs(60);
/// Messages that one request brings.
const BATCH: usize = 10;
/// Longest reason that is sent along with a buried message, characters.
const REASON_CHARS: usize = 1000;

/// The queues.
#[derive(Debug, Clone)]
pub struct SqsOptions {
    /// URL of the queue.
    pub queue: String,
    /// URL of the queue for messages that cannot be worked on.
    pub dead_letters: String,
    /// How long `take` waits for a first message, up to 20 seconds; zero to look once. A single look may miss messages of a
    /// queue that holds few.
    pub wait: Duration,
}

/// The durable queue in SQS. Clones share what is being worked on; a receipt is good in the process that took its message, for
/// as long as it is hidden.
#[derive(Clone)]
pub struct SqsInbox {
    aws: Aws,
    options: Arc<SqsOptions>,
    clock: Arc<dyn Clock>,
    client: Arc<OnceCell<Client>>,
    /// By receipt.
    held: Arc<Mutex<BTreeMap<String, Held>>>,
}

/// A message that is being worked on.
#[derive(Clone)]
struct Held {
    /// SQS moves no messages: to bury one is to send it again.
    body: String,
    since: UnixMillis,
    /// From then on it may be another worker's, although SQS would often still obey the old receipt.
    until: UnixMillis,
}

#[derive(Debug, thiserror::Error)]
#[error("a message has 1 to {MESSAGE_BYTES} bytes and this one has {0}: store the details and enqueue their key")]
struct Size(usize);

impl SqsInbox {
    /// Costs nothing; the queue is first asked by the first call.
    #[must_use]
    pub fn new(aws: Aws, options: SqsOptions, clock: Arc<dyn Clock>) -> Self {
        Self { aws, options: Arc::new(options), clock, client: Arc::default(), held: Arc::default() }
    }

    /// A message that Lambda took from the queue and handed to this process. `visibility` is that of the queue, counted from
    /// now: the receipt is good for so long. Lambda itself removes messages that the response does not name as failed.
    ///
    /// # Errors
    /// `Malformed` when the record has no receipt or no body.
    pub fn accept(&self, record: &SqsMessage, visibility: Duration) -> PortResult<Taken> {
        let (Some(receipt), Some(body)) = (&record.receipt_handle, &record.body) else {
            return Err(PortError::new(PORT, "accept a message from Lambda", ErrorKind::Malformed)
                .caused_by("its record has no receipt or no body: connect the function to an SQS queue"));
        };
        let count = record.attributes.get("ApproximateReceiveCount").map(String::as_str);
        let taken = Taken { receipt: receipt.clone(), body: body.clone(), attempts: attempts(count) };
        self.hold(&taken, self.clock.now(), visibility);
        Ok(taken)
    }

    async fn client(&self) -> PortResult<&Client> {
        self.client.get_or_try_init(async || Ok(Client::new(self.aws.config(PORT).await?))).await
    }

    fn hold(&self, taken: &Taken, since: UnixMillis, visibility: Duration) {
        let until = since.saturating_add(millis(visibility));
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Workers that died never gave theirs back.
        held.retain(|_, held| held.until > since);
        held.insert(taken.receipt.clone(), Held { body: taken.body.clone(), since, until });
    }

    /// Ends the work on a message. `None` when its time had run out, or when this process does not work on it.
    fn release(&self, receipt: &str) -> Option<Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(receipt).filter(|held| held.until > self.clock.now())
    }

    /// Keeps a message whose end could not be told to the queue, so that it can be told again.
    fn keep(&self, receipt: &str, held: Held) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(receipt.to_owned(), held);
    }

    async fn receive(&self, limit: usize, visibility: Duration) -> PortResult<Vec<Taken>> {
        let since = self.clock.now();
        // Every attempt hides the messages that it finds: a lost answer is not asked for again.
        let answer = self
            .client()
            .await?
            .receive_message()
            .queue_url(&self.options.queue)
            .max_number_of_messages(i32::try_from(limit.min(BATCH)).unwrap_or(1))
            .visibility_timeout(seconds(visibility))
            .wait_time_seconds(seconds(self.options.wait.min(Duration::from_secs(20))))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await;
        let answer = answer.map_err(|e| port_error(PORT, "take messages", &e))?;
        let taken: Vec<Taken> = answer.messages.unwrap_or_default().into_iter().filter_map(taken).collect();
        for one in &taken {
            self.hold(one, since, visibility);
        }
        Ok(taken)
    }

    async fn remove(&self, receipt: &str, attempted: &str) -> PortResult<()> {
        let asked = self.client().await?.delete_message().queue_url(&self.options.queue).receipt_handle(receipt);
        forgiving(asked.customize().config_override(repeating()).send().await, attempted)
    }

    async fn send_to_dead_letters(&self, body: &str, reason: &str) -> PortResult<()> {
        let attempted = "bury a message";
        let asked = self.client().await?.send_message().queue_url(&self.options.dead_letters).message_body(body);
        let reason = printable(reason);
        // Attributes count as part of the message: one that fills the queue's measure goes without.
        let asked = if body.len() + reason.len() + 64 > MESSAGE_BYTES {
            tracing::warn!("the reason of a buried message does not fit beside it: {reason}");
            asked
        } else {
            let reason = attribute(&reason);
            let reason = reason.map_err(|e| PortError::new(PORT, attempted, ErrorKind::Malformed).caused_by(e))?;
            asked.message_attributes("reason", reason)
        };
        asked.send().await.map_err(|e| port_error(PORT, attempted, &e))?;
        Ok(())
    }
}

#[async_trait]
impl Inbox for SqsInbox {
    async fn enqueue(&self, body: &str, _dedupe: Option<&str>, delay: Duration) -> PortResult<()> {
        let attempted = "enqueue a message";
        if body.is_empty() || body.len() > MESSAGE_BYTES {
            return Err(PortError::new(PORT, attempted, ErrorKind::Malformed).caused_by(Size(body.len())));
        }
        let asked = self.client().await?.send_message().queue_url(&self.options.queue).message_body(body);
        let answer = asked.delay_seconds(seconds(delay.min(LONGEST_DELAY))).send().await;
        answer.map_err(|e| port_error(PORT, attempted, &e))?;
        Ok(())
    }

    async fn take(&self, limit: usize, visibility: Duration) -> PortResult<Vec<Taken>> {
        let visibility = visibility.min(LONGEST_VISIBILITY);
        let mut all = Vec::new();
        while all.len() < limit {
            match self.receive(limit - all.len(), visibility).await {
                Ok(taken) if taken.is_empty() => break,
                Ok(taken) => all.extend(taken),
                // What was taken before is hidden from others and must be worked on.
                Err(error) if !all.is_empty() => {
                    tracing::warn!("fewer messages were taken than wanted: {}", error.chain());
                    break;
                }
                Err(error) => return Err(error),
            }
            if limit <= BATCH {
                break;
            }
        }
        Ok(all)
    }

    async fn done(&self, receipt: &str) -> PortResult<()> {
        let Some(held) = self.release(receipt) else { return Ok(()) };
        let removed = self.remove(receipt, "finish a message").await;
        if removed.is_err() {
            self.keep(receipt, held);
        }
        removed
    }

    async fn retry(&self, receipt: &str, delay: Duration) -> PortResult<()> {
        let Some(held) = self.release(receipt) else { return Ok(()) };
        let asked = self.client().await?.change_message_visibility().queue_url(&self.options.queue);
        let spent = Duration::from_millis(self.clock.now().saturating_sub(held.since));
        let longest = LONGEST_VISIBILITY.saturating_sub(spent + SLACK);
        let asked = asked.receipt_handle(receipt).visibility_timeout(seconds(delay.min(longest)));
        let given = forgiving(asked.customize().config_override(repeating()).send().await, "give a message back");
        if given.is_err() {
            self.keep(receipt, held);
        }
        given
    }

    async fn bury(&self, receipt: &str, reason: &str) -> PortResult<()> {
        let Some(held) = self.release(receipt) else { return Ok(()) };
        // Sent first: a message that is lost cannot be redriven, one that is there twice can be thrown away.
        let buried = match self.send_to_dead_letters(&held.body, reason).await {
            Ok(()) => self.remove(receipt, "bury a message").await,
            Err(error) => Err(error),
        };
        if buried.is_err() {
            self.keep(receipt, held);
        }
        buried
    }
}

/// To remove a message or to change its time twice is as good as once.
fn repeating() -> Builder {
    Builder::new().retry_config(repeatable())
}

/// A receipt that has run out is no error: the message is another's now, or gone.
fn forgiving<T, E>(answer: Result<T, SdkError<E, HttpResponse>>, attempted: &str) -> PortResult<()>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Err(error) = answer else { return Ok(()) };
    let said = error.as_service_error().map(|e| (e.code().unwrap_or_default(), e.message().unwrap_or_default()));
    match said {
        Some((code, _)) if code.ends_with("MessageNotInflight") || code.ends_with("ReceiptHandleIsInvalid") => Ok(()),
        Some((code, text)) if code.ends_with("InvalidParameterValue") && text.contains("ReceiptHandle") => Ok(()),
        _ => Err(port_error(PORT, attempted, &error)),
    }
}

fn taken(message: Message) -> Option<Taken> {
    let count = message.attributes.as_ref().and_then(|a| a.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    let attempts = attempts(count.map(String::as_str));
    Some(Taken { receipt: message.receipt_handle?, body: message.body?, attempts })
}

fn attempts(count: Option<&str>) -> u32 {
    count.and_then(|count| count.parse().ok()).unwrap_or(1).max(1)
}

fn attribute(text: &str) -> Result<MessageAttributeValue, BuildError> {
    MessageAttributeValue::builder().data_type("String").string_value(text).build()
}

/// A reason as an attribute takes it: not empty, not long, and of characters that SQS transports.
fn printable(reason: &str) -> String {
    let plain = |c: char| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { ' ' } else { c };
    let text: String = reason.chars().take(REASON_CHARS).map(plain).collect();
    if text.trim().is_empty() { "no reason was given".to_owned() } else { text }
}

/// Whole seconds, rounded up: nothing comes back too early.
fn seconds(wait: Duration) -> i32 {
    let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(60)), 60);
    }

    #[test]
    fn a_reason_is_short_printable_and_never_empty() {
        assert_eq!(printable("a\u{0}b\nc\u{ffff}"), "a b c ");
        assert_eq!(printable("\n"), "no reason was given");
        assert_eq!(printable(&"é".repeat(5000)).chars().count(), REASON_CHARS);
    }
}
