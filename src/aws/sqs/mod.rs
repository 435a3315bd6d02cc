//! The inbox in a standard SQS queue, with another queue for the messages that cannot be worked on.
//!
//! A standard queue delivers at least once and keeps equal messages apart: a `dedupe` key changes nothing here, and a message
//! that comes twice does no harm. Delays end at 15 minutes; what is due later comes back through the index of due work.

mod aside;
mod check;
mod held;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use tokio::sync::OnceCell;

use self::held::Held;
use self::trouble::{Asked, has_run_out};
use super::client::{Aws, repeatable};
use super::error::is_mistimed;
use crate::ports::{Clock, ErrorKind, Inbox, PortError, PortResult, Taken};

pub use self::check::QueueHealth;

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
/// Attributes of a buried message: why it was put aside, and how often it had been taken.
const REASON: &str = "reason";
const ATTEMPTS: &str = "attempts";

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

/// The durable queue in SQS. Clones share what is being worked on. A receipt is good in the process that took its message or
/// adopted it, for as long as it is hidden.
#[derive(Clone)]
pub struct SqsInbox {
    aws: Aws,
    options: Arc<SqsOptions>,
    clock: Arc<dyn Clock>,
    client: Arc<OnceCell<Client>>,
    held: Held,
}

#[derive(Debug, thiserror::Error)]
#[error("a message has 1 to {MESSAGE_BYTES} bytes and this one has {0}: store the details and enqueue their key")]
struct Size(usize);

impl SqsInbox {
    /// Costs nothing; the queue is first asked by the first call.
    #[must_use]
    pub fn new(aws: Aws, options: SqsOptions, clock: Arc<dyn Clock>) -> Self {
        Self { aws, options: Arc::new(options), clock, client: Arc::default(), held: Held::default() }
    }

    async fn client(&self) -> PortResult<&Client> {
        self.client.get_or_try_init(async || Ok(Client::new(self.aws.config(PORT).await?))).await
    }

    async fn receive(&self, limit: usize, visibility: Duration) -> PortResult<Vec<Taken>> {
        let since = self.clock.now();
        let queue = &self.options.queue;
        // Every attempt hides the messages that it finds: a lost answer is not asked for again.
        let answer = self
            .client()
            .await?
            .receive_message()
            .queue_url(queue)
            .max_number_of_messages(i32::try_from(limit.min(BATCH)).unwrap_or(1))
            .visibility_timeout(seconds(visibility))
            .wait_time_seconds(seconds(self.options.wait.min(Duration::from_secs(20))))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await;
        let asked = Asked { queue, action: "sqs:ReceiveMessage", attempted: "take messages" };
        let answer = answer.map_err(|e| asked.failed(&e))?;
        let taken: Vec<Taken> = answer.messages.unwrap_or_default().into_iter().filter_map(taken).collect();
        for one in &taken {
            self.held.hold(one, since, visibility);
        }
        Ok(taken)
    }

    async fn remove(&self, receipt: &str, attempted: &str) -> PortResult<()> {
        let asked = Asked { queue: &self.options.queue, action: "sqs:DeleteMessage", attempted };
        let request = self.client().await?.delete_message().queue_url(asked.queue).receipt_handle(receipt);
        match request.customize().config_override(repeating()).send().await {
            Err(error) if !has_run_out(&error) => Err(asked.failed(&error)),
            _ => Ok(()),
        }
    }

    /// Hides a message for so long from now on. False when its receipt has run out.
    async fn hide(&self, receipt: &str, wait: Duration) -> PortResult<bool> {
        let attempted = "give a message back";
        let asked = Asked { queue: &self.options.queue, action: "sqs:ChangeMessageVisibility", attempted };
        let request = self.client().await?.change_message_visibility().queue_url(asked.queue);
        let request = request.receipt_handle(receipt).visibility_timeout(seconds(wait));
        match request.customize().config_override(repeating()).send().await {
            Ok(_) => Ok(true),
            Err(error) if has_run_out(&error) => Ok(false),
            Err(error) => Err(asked.failed(&error)),
        }
    }
}

#[async_trait]
impl Inbox for SqsInbox {
    async fn enqueue(&self, body: &str, _dedupe: Option<&str>, delay: Duration) -> PortResult<()> {
        let asked = Asked { queue: &self.options.queue, action: "sqs:SendMessage", attempted: "enqueue a message" };
        if body.is_empty() || body.len() > MESSAGE_BYTES {
            return Err(PortError::new(PORT, asked.attempted, ErrorKind::Malformed).caused_by(Size(body.len())));
        }
        let request = self.client().await?.send_message().queue_url(asked.queue).message_body(body);
        let request = request.delay_seconds(seconds(delay.min(LONGEST_DELAY)));
        let answer = match request.clone().send().await {
            // Nothing was stored, and the next one is signed by the clock of SQS.
            Err(error) if is_mistimed(&error) => request.send().await,
            answer => answer,
        };
        answer.map_err(|e| asked.failed(&e))?;
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

    fn adopt(&self, taken: &Taken, visibility: Duration) {
        self.held.hold(taken, self.clock.now(), visibility);
    }

    async fn done(&self, receipt: &str) -> PortResult<()> {
        let Some(held) = self.held.release(receipt, self.clock.now()) else { return Ok(()) };
        let removed = self.remove(receipt, "finish a message").await;
        if removed.is_err() {
            self.held.keep(receipt, held);
        }
        removed
    }

    async fn retry(&self, receipt: &str, delay: Duration) -> PortResult<()> {
        let now = self.clock.now();
        let Some(held) = self.held.release(receipt, now) else { return Ok(()) };
        let spent = Duration::from_millis(now.saturating_sub(held.since));
        let wait = delay.min(LONGEST_VISIBILITY.saturating_sub(spent + SLACK));
        match self.hide(receipt, wait).await {
            Ok(true) => self.held.prolong(receipt, held, now, wait),
            Ok(false) => {}
            Err(error) => {
                self.held.keep(receipt, held);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn bury(&self, receipt: &str, reason: &str) -> PortResult<()> {
        let Some(mut held) = self.held.release(receipt, self.clock.now()) else { return Ok(()) };
        // Sent first: a message that is lost cannot be redriven, one that is there twice can be thrown away.
        let buried = async {
            if !held.sent {
                self.send_to_dead_letters(&held.body, held.attempts, reason).await?;
                held.sent = true;
            }
            self.remove(receipt, "bury a message").await
        };
        let buried = buried.await;
        if buried.is_err() {
            self.held.keep(receipt, held);
        }
        buried
    }
}

/// To remove a message or to change its time twice is as good as once.
fn repeating() -> Builder {
    Builder::new().retry_config(repeatable())
}

fn taken(message: Message) -> Option<Taken> {
    let count = message.attributes.as_ref().and_then(|a| a.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    let attempts = count.and_then(|count| count.parse().ok()).unwrap_or(1).max(1);
    Some(Taken { receipt: message.receipt_handle?, body: message.body?, attempts })
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
