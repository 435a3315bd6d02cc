//! The inbox against moto's SQS: the contract of its port, what only SQS can refuse, and what goes wrong on the way.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::SqsEvent;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use codehealer::aws::sqs::{MESSAGE_BYTES, SqsInbox, SqsOptions};
use codehealer::local::clock::SystemClock;
use codehealer::ports::{ErrorKind, Inbox};
use serde_json::json;
use uuid::Uuid;

use super::{aws, options};
use crate::contract::inbox::{Subject, Time, contract};
use crate::support::proxy::{Answer, Fault, Proxy, Seen};
use crate::support::servers;

const NOW: Duration = Duration::ZERO;
const MINUTE: Duration = Duration::from_secs(60);

/// Two queues of their own and a client that looks at them from outside.
struct Queues {
    client: Client,
    options: SqsOptions,
}

impl Queues {
    async fn new() -> Self {
        let client = Client::new(aws(&servers::moto().await).config("inbox").await.unwrap());
        let make = async |name: String| {
            let asked = client.create_queue().queue_name(name);
            let largest = (QueueAttributeName::MaximumMessageSize, MESSAGE_BYTES.to_string());
            let asked = asked.attributes(largest.0, largest.1);
            asked.send().await.unwrap().queue_url.unwrap()
        };
        let name = Uuid::new_v4().simple().to_string();
        let (queue, dead_letters) = (make(format!("q-{name}")).await, make(format!("d-{name}")).await);
        Self { options: SqsOptions { queue, dead_letters, wait: NOW }, client }
    }

    async fn inbox(&self) -> SqsInbox {
        SqsInbox::new(aws(&servers::moto().await), self.options.clone(), Arc::new(SystemClock))
    }

    /// An inbox that goes through a proxy.
    async fn spoilt(&self) -> (SqsInbox, Proxy) {
        let proxy = Proxy::before(&servers::moto().await).await;
        let mut options = options(proxy.url());
        options.attempt_timeout = Duration::from_secs(8);
        let way = codehealer::aws::client::Aws::new(options);
        (SqsInbox::new(way, self.options.clone(), Arc::new(SystemClock)), proxy)
    }

    /// Body and reason of what was buried.
    async fn buried(&self) -> Vec<(String, Option<String>)> {
        let asked = self.client.receive_message().queue_url(&self.options.dead_letters).max_number_of_messages(10);
        let answer = asked.message_attribute_names("All").send().await.unwrap();
        let read = |message: aws_sdk_sqs::types::Message| {
            let reason = message.message_attributes.and_then(|mut all| all.remove("reason")?.string_value);
            (message.body.unwrap(), reason)
        };
        answer.messages.unwrap_or_default().into_iter().map(read).collect()
    }
}

fn is(operation: &'static str) -> impl Fn(&Seen) -> bool + Send + 'static {
    move |request| request.header("x-amz-target").is_some_and(|target| target.ends_with(operation))
}

#[tokio::test(flavor = "multi_thread")]
async fn sqs_keeps_the_inbox_contract() {
    contract(async || {
        let inbox = Arc::new(Queues::new().await.inbox().await);
        Subject { inbox, time: Time::Real, dedupes: false }
    })
    .await;
}

#[tokio::test]
async fn what_is_buried_can_be_read_and_redriven() {
    let queues = Queues::new().await;
    let inbox = queues.inbox().await;
    inbox.enqueue(r#"{"task":"heal"}"#, None, NOW).await.unwrap();
    let taken = inbox.take(1, MINUTE).await.unwrap().remove(0);
    inbox.bury(&taken.receipt, "it cannot\nbe read").await.unwrap();
    inbox.bury(&taken.receipt, "again").await.unwrap();
    let reason = Some("it cannot be read".to_owned());
    assert_eq!(queues.buried().await, [(r#"{"task":"heal"}"#.to_owned(), reason)]);

    let full = "x".repeat(MESSAGE_BYTES);
    inbox.enqueue(&full, None, NOW).await.unwrap();
    let taken = inbox.take(1, MINUTE).await.unwrap().remove(0);
    inbox.bury(&taken.receipt, "no room for this").await.unwrap();
    assert_eq!(queues.buried().await, [(full, None)]);
}

#[tokio::test]
async fn waits_beyond_what_sqs_knows_are_cut() {
    let queues = Queues::new().await;
    let (inbox, proxy) = queues.spoilt().await;
    inbox.enqueue("m", None, Duration::from_secs(86_400)).await.unwrap();
    inbox.enqueue("n", None, NOW).await.unwrap();
    let taken = inbox.take(1, Duration::from_secs(86_400)).await.unwrap().remove(0);
    inbox.retry(&taken.receipt, Duration::from_secs(86_400)).await.unwrap();
    let asked: Vec<serde_json::Value> =
        proxy.seen().iter().map(|seen| serde_json::from_slice(&seen.body).unwrap()).collect();
    assert_eq!(asked[0]["DelaySeconds"], json!(900));
    assert_eq!(asked[2]["VisibilityTimeout"], json!(43_200));
    let rest = asked[3]["VisibilityTimeout"].as_i64().unwrap();
    assert!((43_000..43_200).contains(&rest), "{rest}: the time since it was taken counts");
}

#[tokio::test]
async fn many_messages_are_taken_in_several_requests() {
    let inbox = Queues::new().await.inbox().await;
    for n in 0..13 {
        inbox.enqueue(&format!("m{n}"), None, NOW).await.unwrap();
    }
    assert_eq!(inbox.take(12, MINUTE).await.unwrap().len(), 12);
    assert_eq!(inbox.take(12, MINUTE).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_lambda_took_is_worked_on_like_what_we_took() {
    let queues = Queues::new().await;
    let inbox = queues.inbox().await;
    inbox.enqueue("from lambda", None, NOW).await.unwrap();
    let asked = queues.client.receive_message().queue_url(&queues.options.queue).visibility_timeout(60);
    let message = asked.send().await.unwrap().messages.unwrap().remove(0);
    let event = json!({"Records": [{
        "messageId": message.message_id, "receiptHandle": message.receipt_handle, "body": message.body,
        "attributes": {"ApproximateReceiveCount": "3"}, "messageAttributes": {}, "eventSource": "aws:sqs"
    }]});
    let mut event: SqsEvent = serde_json::from_value(event).unwrap();
    let taken = inbox.accept(&event.records[0], MINUTE).unwrap();
    assert_eq!((taken.body.as_str(), taken.attempts), ("from lambda", 3));
    inbox.bury(&taken.receipt, "poison").await.unwrap();
    assert_eq!(queues.buried().await.len(), 1);
    event.records[0].body = None;
    assert_eq!(inbox.accept(&event.records[0], MINUTE).unwrap_err().kind, ErrorKind::Malformed);
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_missing() {
    let mut queues = Queues::new().await;
    queues.options.queue.push_str("-other");
    let inbox = queues.inbox().await;
    let error = inbox.enqueue("m", None, NOW).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Missing, "{}", error.chain());
    assert!(error.chain().contains("create it"), "{}", error.chain());
    assert_eq!(inbox.take(1, MINUTE).await.unwrap_err().kind, ErrorKind::Missing);
}

#[tokio::test]
async fn a_message_is_sent_once_and_its_end_is_told_until_it_is_heard() {
    let queues = Queues::new().await;
    let (inbox, proxy) = queues.spoilt().await;
    proxy.spoil(is("SendMessage"), [Fault::AnswerLost]);
    let lost = inbox.enqueue("m", None, NOW).await.unwrap_err();
    assert_eq!(lost.kind, ErrorKind::Unavailable, "{}", lost.chain());
    assert_eq!(proxy.seen().len(), 1, "not sent again: it is there");

    let taken = inbox.take(10, MINUTE).await.unwrap();
    assert_eq!(taken.len(), 1);
    proxy.spoil(is("DeleteMessage"), [Fault::AnswerLost, Fault::Instead(Answer::new(503, "busy"))]);
    inbox.done(&taken[0].receipt).await.unwrap();
    assert_eq!(proxy.seen().iter().filter(|seen| is("DeleteMessage")(seen)).count(), 3);
}

#[tokio::test]
async fn a_message_whose_burial_failed_is_still_held() {
    let queues = Queues::new().await;
    let (inbox, proxy) = queues.spoilt().await;
    inbox.enqueue("poison", None, NOW).await.unwrap();
    let taken = inbox.take(1, MINUTE).await.unwrap().remove(0);
    proxy.spoil(is("SendMessage"), [Fault::Refused]);
    assert_eq!(inbox.bury(&taken.receipt, "why").await.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(queues.buried().await.is_empty());
    inbox.bury(&taken.receipt, "why").await.unwrap();
    assert_eq!(queues.buried().await.len(), 1);
}

#[tokio::test]
async fn trouble_of_sqs_is_told_as_what_it_is() {
    let queues = Queues::new().await;
    let (inbox, proxy) = queues.spoilt().await;
    let says =
        |status, code: &str| Fault::Instead(Answer::new(status, json!({"__type": code, "message": "m"}).to_string()));
    let cases = [
        (says(403, "com.amazonaws.sqs#AccessDenied"), ErrorKind::Denied),
        (says(400, "com.amazonaws.sqs#RequestThrottled"), ErrorKind::Throttled(Duration::from_secs(1))),
        (says(500, "InternalFailure"), ErrorKind::Unavailable),
        (Fault::Instead(Answer::new(503, "<html>")), ErrorKind::Unavailable),
        (Fault::Instead(Answer::new(429, "{}").with("retry-after", "7")), ErrorKind::Throttled(Duration::from_secs(7))),
        (Fault::Slow(Duration::from_secs(60)), ErrorKind::Unavailable),
    ];
    for (fault, kind) in cases {
        proxy.spoil(is("SendMessage"), [fault.clone()]);
        let error = inbox.enqueue("m", None, NOW).await.unwrap_err();
        assert_eq!(error.kind, kind, "{fault:?}: {}", error.chain());
    }
    assert_eq!(proxy.left(), 0);
}
