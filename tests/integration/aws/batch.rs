//! Batches of Lambda whose queue is SQS: what is settled, put aside and given another chance.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use codehealer::aws::sqs::SqsInbox;
use codehealer::entry::lambda::LambdaWorker;
use codehealer::local::clock::SystemClock;
use codehealer::ports::{Aside, Clock, Inbox};
use serde_json::json;

use super::inbox::Queues;
use crate::support::cloud;
use crate::support::proxy::Fault;
use crate::support::world::World;

const POISON: &str = r#"{"task":"unheard_of"}"#;

/// The function over this inbox. Lambda's deadlines, and SQS, go by the real time.
fn function(world: &World, inbox: &SqsInbox) -> LambdaWorker {
    let inbox: Arc<dyn Inbox> = Arc::new(inbox.clone());
    let worker = cloud::worker(world, Arc::new(world.store.state()), Arc::clone(&inbox));
    LambdaWorker::new(worker, inbox, Arc::new(SystemClock))
}

/// What Lambda's event source takes from the queue and hands over: this process never asked for it.
async fn records(queues: &Queues) -> Vec<SqsMessage> {
    let mut records = Vec::new();
    loop {
        let asked = queues.client.receive_message().queue_url(&queues.options.queue).visibility_timeout(360);
        let asked = asked.max_number_of_messages(10).send().await.unwrap();
        let messages = asked.messages.unwrap_or_default();
        if messages.is_empty() {
            return records;
        }
        records.extend(messages.into_iter().map(|message| {
            let record = json!({
                "messageId": message.message_id, "receiptHandle": message.receipt_handle, "body": message.body,
                "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {}, "eventSource": "aws:sqs"
            });
            serde_json::from_value(record).unwrap()
        }));
    }
}

/// Ids of the records that the answer lists as failures.
async fn failures(function: &LambdaWorker, records: Vec<SqsMessage>) -> Vec<String> {
    let answer = function.batch(records, SystemClock.now() + 300_000).await.unwrap();
    answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
}

/// Nine pushes and a message that is no task, in the queue.
async fn nine_and_one(world: &World, queues: &Queues) {
    let inbox = queues.inbox().await;
    for number in 0..9 {
        world.pushed(&format!("docs/page{number}.md"), "text\n").await;
    }
    for taken in world.store.inbox().take(10, Duration::from_secs(5)).await.unwrap() {
        inbox.enqueue(&taken.body, None, Duration::ZERO).await.unwrap();
    }
    inbox.enqueue(POISON, None, Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_poison_message_among_ten_is_put_aside_and_redriven() {
    let (world, queues) = (World::new().await, Queues::new().await);
    nine_and_one(&world, &queues).await;
    let inbox = queues.inbox().await;
    let function = function(&world, &inbox);
    let batch = records(&queues).await;
    assert_eq!(batch.len(), 10);
    assert_eq!(failures(&function, batch).await, [""; 0], "nothing is to come again");
    assert_eq!(queues.left().await, [0, 1], "nine finished");
    let buried = inbox.buried(10).await.unwrap().remove(0);
    assert_eq!((buried.body.as_str(), buried.attempts), (POISON, 1));
    assert!(buried.reason.contains("not a task of ours"), "{}", buried.reason);

    // Redriven it is worked on: by a program that still does not know it, as before.
    assert_eq!(inbox.redrive(10).await.unwrap(), 1);
    let batch = records(&queues).await;
    assert_eq!(batch.len(), 1);
    assert_eq!(failures(&function, batch).await, [""; 0]);
    assert_eq!(queues.left().await, [0, 1]);
}

#[tokio::test]
async fn a_message_that_cannot_be_put_aside_comes_again() {
    let (world, queues) = (World::new().await, Queues::new().await);
    nine_and_one(&world, &queues).await;
    let (inbox, proxy) = queues.spoilt().await;
    proxy.spoil(|seen| seen.body.windows(10).any(|part| part == b"unheard_of"), [Fault::Refused]);
    let batch = records(&queues).await;
    let poison = batch.iter().find(|record| record.body.as_deref() == Some(POISON)).unwrap();
    let poison = poison.message_id.clone().unwrap();
    assert_eq!(failures(&function(&world, &inbox), batch).await, [poison], "Lambda must not remove it");
    assert_eq!((proxy.left(), queues.left().await), (0, [1, 0]));
}
