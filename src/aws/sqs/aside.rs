//! What was put aside: the dead-letter queue looked at, and given another chance.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName,
};

use super::trouble::Asked;
use super::{ATTEMPTS, BATCH, MESSAGE_BYTES, PORT, REASON, SqsInbox, printable, repeating, seconds};
use crate::ports::{Aside, Buried, Depth, ErrorKind, PortError, PortResult};

/// How long dead letters are hidden from others while they are looked at or sent back.
const LOOKED_AT: Duration = Duration::from_secs(60);
/// How long a look waits for a first letter: one that does not wait asks only some of the servers of SQS.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of the names and types of the attributes of a dead letter, and of its count.
const ATTRIBUTES: usize = 96;
/// What people read of a letter that SQS itself put aside.
const BY_SQS: &str = "it was taken more often than the queue allows (maxReceiveCount), and no worker said why";

impl SqsInbox {
    /// Sends a message to the dead letters, with the reason beside it.
    pub(super) async fn send_to_dead_letters(&self, body: &str, attempts: u32, reason: &str) -> PortResult<()> {
        let queue = &self.options.dead_letters;
        let asked = Asked { queue, action: "sqs:SendMessage", attempted: "bury a message" };
        let request = self.client().await?.send_message().queue_url(queue).message_body(body);
        let reason = printable(reason);
        // Attributes count as part of the message: one that fills the queue's measure goes without.
        let request = if body.len() + reason.len() + ATTRIBUTES > MESSAGE_BYTES {
            tracing::warn!("the reason of a buried message does not fit beside it: {reason}");
            request
        } else {
            let attribute = |kind, text: &str| {
                let made = MessageAttributeValue::builder().data_type(kind).string_value(text).build();
                made.map_err(|e: BuildError| malformed(asked.attempted, e))
            };
            request
                .message_attributes(REASON, attribute("String", &reason)?)
                .message_attributes(ATTEMPTS, attribute("Number", &attempts.to_string())?)
        };
        request.send().await.map_err(|e| asked.failed(&e))?;
        Ok(())
    }

    async fn dead_letters(&self, limit: usize, attempted: &str) -> PortResult<Vec<Message>> {
        let queue = &self.options.dead_letters;
        let asked = Asked { queue, action: "sqs:ReceiveMessage", attempted };
        let request = self.client().await?.receive_message().queue_url(queue);
        let request = request
            .max_number_of_messages(i32::try_from(limit.min(BATCH)).unwrap_or(1))
            .visibility_timeout(seconds(LOOKED_AT))
            .wait_time_seconds(seconds(self.options.wait.max(PATIENCE)))
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_attribute_names("All");
        Ok(request.send().await.map_err(|e| asked.failed(&e))?.messages.unwrap_or_default())
    }

    /// Lets letters be seen again at once. It is no harm when that fails: their time comes.
    async fn give_back(&self, letters: &[Message]) {
        for some in letters.chunks(BATCH) {
            let entry = |(n, letter): (usize, &Message)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(n.to_string()).visibility_timeout(0);
                entry.set_receipt_handle(letter.receipt_handle.clone()).build().ok()
            };
            let entries: Vec<_> = some.iter().enumerate().filter_map(entry).collect();
            let Ok(client) = self.client().await else { return };
            let request = client.change_message_visibility_batch().queue_url(&self.options.dead_letters);
            if let Err(error) = request.set_entries(Some(entries)).send().await {
                let asked = Asked {
                    queue: &self.options.dead_letters,
                    action: "sqs:ChangeMessageVisibility",
                    attempted: "show dead letters again",
                };
                tracing::debug!("{}", asked.failed(&error).chain());
            }
        }
    }

    /// Sends a dead letter back to the queue and removes it. In this order it is there twice at the worst.
    async fn send_back(&self, letter: &Message, attempted: &str) -> PortResult<()> {
        let (Some(body), Some(receipt)) = (&letter.body, &letter.receipt_handle) else {
            return Err(malformed(attempted, "the letter has no body or no receipt"));
        };
        let asked = Asked { queue: &self.options.queue, action: "sqs:SendMessage", attempted };
        let request = self.client().await?.send_message().queue_url(asked.queue).message_body(body);
        request.send().await.map_err(|e| asked.failed(&e))?;
        let asked = Asked { queue: &self.options.dead_letters, action: "sqs:DeleteMessage", attempted };
        let request = self.client().await?.delete_message().queue_url(asked.queue).receipt_handle(receipt);
        request.customize().config_override(repeating()).send().await.map_err(|e| asked.failed(&e))?;
        Ok(())
    }
}

#[async_trait]
impl Aside for SqsInbox {
    async fn buried(&self, limit: usize) -> PortResult<Vec<Buried>> {
        let mut seen: BTreeMap<String, Message> = BTreeMap::new();
        let mut looked = Vec::new();
        let mut outcome = Ok(());
        while seen.len() < limit {
            match self.dead_letters(limit - seen.len(), "look at the dead letters").await {
                Ok(letters) if letters.is_empty() => break,
                Ok(letters) => {
                    looked.extend(letters.iter().cloned());
                    seen.extend(
                        letters.into_iter().map(|letter| (letter.message_id.clone().unwrap_or_default(), letter)),
                    );
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        self.give_back(&looked).await;
        outcome?;
        let mut letters: Vec<(String, Message)> = seen.into_iter().collect();
        letters.sort_by_key(|(_, letter)| sent(letter));
        Ok(letters.into_iter().map(|(id, letter)| buried(id, &letter)).collect())
    }

    async fn redrive(&self, limit: usize) -> PortResult<u64> {
        let mut count = 0;
        while count < limit {
            let attempted = format!("redrive message {}", count + 1);
            let letters = self.dead_letters(limit - count, &attempted).await?;
            if letters.is_empty() {
                break;
            }
            for (n, letter) in letters.iter().enumerate() {
                if let Err(error) = self.send_back(letter, &format!("redrive message {}", count + 1)).await {
                    self.give_back(letters.get(n..).unwrap_or_default()).await;
                    return Err(error);
                }
                count += 1;
            }
        }
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    async fn depth(&self) -> PortResult<Depth> {
        let (queue, dead) = self.attributes().await?;
        Ok(Depth { ready: queue.ready, hidden: queue.hidden, buried: dead.ready + dead.hidden })
    }
}

fn malformed(attempted: &str, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
    PortError::new(PORT, attempted, ErrorKind::Malformed).caused_by(why)
}

/// When a letter came, milliseconds.
fn sent(letter: &Message) -> u64 {
    let stamp = letter.attributes.as_ref().and_then(|all| all.get(&MessageSystemAttributeName::SentTimestamp));
    stamp.and_then(|stamp| stamp.parse().ok()).unwrap_or(u64::MAX)
}

fn buried(id: String, letter: &Message) -> Buried {
    let attribute = |name| letter.message_attributes.as_ref()?.get(name)?.string_value.as_deref();
    Buried {
        receipt: id,
        body: letter.body.clone().unwrap_or_default(),
        attempts: attribute(ATTEMPTS).and_then(|count| count.parse().ok()).unwrap_or(0),
        reason: attribute(REASON).unwrap_or(BY_SQS).to_owned(),
    }
}
