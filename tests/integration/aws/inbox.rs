//! The inbox against moto's SQS: the contract of its port, what only SQS can refuse, and what goes wrong on the way.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use codehealer::aws::sqs::{MESSAGE_BYTES, SqsInbox, SqsOptions};
use codehealer::local::clock::SystemClock;
use codehealer::ports::{Aside, ErrorKind, Inbox, Taken};
use serde_json::json;
use uuid::Uuid;

use super::{aws, options};
use crate::contract::inbox::{Subject, Time, contract};
use crate::support::proxy::{Answer, Fault, Proxy, Seen};
use crate::support::servers;

const NOW: Duration = Duration::ZERO;
const MINUTE: Duration = Duration::from_secs(60);

/// Two queues of their own and a client that looks at them from outside.
pub struct Queues {
    pub client: Client,
    pub options: SqsOptions,
}

impl Queues {
    pub async fn new() -> Self {
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

    pub async fn inbox(&self) -> SqsInbox {
        SqsInbox::new(aws(&servers::moto().await), self.options.clone(), Arc::new(SystemClock))
    }

    /// An inbox that goes through a proxy.
    pub async fn spoilt(&self) -> (SqsInbox, Proxy) {
        let proxy = Proxy::before(&servers::moto().await).await;
        let mut options = options(proxy.url());
        options.attempt_timeout = Duration::from_secs(8);
        let way = codehealer::aws::client::Aws::new(options);
        (SqsInbox::new(way, self.options.clone(), Arc::new(SystemClock)), proxy)
    }

    /// Messages in the queue and among the dead letters, taken or not.
    pub async fn left(&self) -> [u64; 2] {
        let depth = self.inbox().await.depth().await.unwrap();
        [depth.ready + depth.hidden, depth.buried]
    }

    async fn set(&self, queue: &str, name: QueueAttributeName, value: impl Into<String>) {
        let asked = self.client.set_queue_attributes().queue_url(queue);
        asked.attributes(name, value.into()).send().await.unwrap();
    }

    async fn arn(&self, queue: &str) -> String {
        let asked = self.client.get_queue_attributes().queue_url(queue).attribute_names(QueueAttributeName::QueueArn);
        asked.send().await.unwrap().attributes.unwrap().remove(&QueueAttributeName::QueueArn).unwrap()
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
        Subject { inbox: inbox.clone(), aside: inbox, time: Time::Real, dedupes: false }
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
    let (receipt, body) = (message.receipt_handle.unwrap(), message.body.unwrap());
    inbox.bury(&receipt, "nobody told us of it").await.unwrap();
    assert_eq!(queues.buried().await, []);
    inbox.adopt(&Taken { receipt: receipt.clone(), body, attempts: 3 }, MINUTE);
    inbox.retry(&receipt, MINUTE).await.unwrap();
    inbox.bury(&receipt, "poison").await.unwrap();
    let buried = inbox.buried(10).await.unwrap().remove(0);
    assert_eq!((buried.body.as_str(), buried.attempts, buried.reason.as_str()), ("from lambda", 3, "poison"));
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

    // Not heard at all, it is told again by who asked for it.
    inbox.enqueue("n", None, NOW).await.unwrap();
    let taken = inbox.take(10, MINUTE).await.unwrap();
    proxy.spoil(is("DeleteMessage"), (0..3).map(|_| Fault::Refused));
    assert_eq!(inbox.done(&taken[0].receipt).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(queues.left().await, [1, 0]);
    inbox.done(&taken[0].receipt).await.unwrap();
    assert_eq!((queues.left().await, proxy.left()), ([0, 0], 0));
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

    // Sent and not removed: the next try only removes it.
    inbox.enqueue("poison too", None, NOW).await.unwrap();
    let taken = inbox.take(1, MINUTE).await.unwrap().remove(0);
    proxy.spoil(is("DeleteMessage"), (0..3).map(|_| Fault::Refused));
    assert_eq!(inbox.bury(&taken.receipt, "why").await.unwrap_err().kind, ErrorKind::Unavailable);
    inbox.bury(&taken.receipt, "why").await.unwrap();
    assert_eq!(queues.buried().await, [("poison too".to_owned(), Some("why".to_owned()))], "there once");
    assert_eq!(queues.left().await, [0, 2]);
}

#[tokio::test]
async fn trouble_of_sqs_is_told_as_what_it_is() {
    let queues = Queues::new().await;
    let (inbox, proxy) = queues.spoilt().await;
    let says =
        |status, code: &str| Fault::Instead(Answer::new(status, json!({"__type": code, "message": "m"}).to_string()));
    let kms = "KmsAccessDenied";
    let cases = [
        (says(403, "com.amazonaws.sqs#AccessDenied"), ErrorKind::Denied, "sqs:SendMessage"),
        (says(400, kms), ErrorKind::Denied, "kms:Decrypt"),
        (says(400, "KmsDisabled"), ErrorKind::Denied, "the key that encrypts"),
        (says(400, "com.amazonaws.sqs#RequestThrottled"), ErrorKind::Throttled(Duration::from_secs(1)), "m"),
        (says(403, "com.amazonaws.sqs#OverLimit"), ErrorKind::Throttled(Duration::from_secs(30)), "120,000"),
        (says(400, "AWS.SimpleQueueService.NonExistentQueue"), ErrorKind::Missing, "terraform apply"),
        (says(500, "InternalFailure"), ErrorKind::Unavailable, "check the network"),
        (Fault::Instead(Answer::new(503, "<html>")), ErrorKind::Unavailable, ""),
        (
            Fault::Instead(Answer::new(429, "{}").with("retry-after", "7")),
            ErrorKind::Throttled(Duration::from_secs(7)),
            "",
        ),
        (Fault::Slow(Duration::from_secs(60)), ErrorKind::Unavailable, ""),
    ];
    for (fault, kind, remedy) in cases {
        proxy.spoil(is("SendMessage"), [fault.clone()]);
        let error = inbox.enqueue("m", None, NOW).await.unwrap_err();
        assert_eq!(error.kind, kind, "{fault:?}: {}", error.chain());
        assert!(error.chain().contains(remedy), "{}", error.chain());
    }
    assert_eq!(proxy.left(), 0);
}

/// The first message of a process whose clock is off: it was not stored, and is sent again by the clock of SQS.
#[tokio::test]
async fn a_message_that_was_refused_for_its_time_is_sent_again() {
    let queues = Queues::new().await;
    let (inbox, proxy) = queues.spoilt().await;
    let refused = || {
        let said = json!({"__type": "com.amazon.coral.service#InvalidSignatureException", "message": "Signature not yet current: x"});
        Fault::Instead(Answer::new(403, said.to_string()))
    };
    proxy.spoil(is("SendMessage"), [refused()]);
    inbox.enqueue("m", None, NOW).await.unwrap();
    assert_eq!((queues.left().await, proxy.seen().len()), ([1, 0], 2));
    proxy.spoil(is("SendMessage"), [refused(), refused()]);
    let error = inbox.enqueue("n", None, NOW).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.chain().contains("set this machine's clock"), "{}", error.chain());
}

/// The names of errors are those of the older protocol or of the newer one, as the server likes.
#[tokio::test]
async fn a_receipt_that_ran_out_is_known_by_either_name() {
    let queues = Queues::new().await;
    let (inbox, proxy) = queues.spoilt().await;
    let said = "Value x for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.";
    for name in ["InvalidParameterValue", "InvalidParameterValueException", "com.amazonaws.sqs#ReceiptHandleIsInvalid"]
    {
        inbox.enqueue("m", None, NOW).await.unwrap();
        let taken = inbox.take(1, MINUTE).await.unwrap().remove(0);
        let answer = || Fault::Instead(Answer::new(400, json!({"__type": name, "message": said}).to_string()));
        proxy.spoil(is("ChangeMessageVisibility"), [answer()]);
        inbox.retry(&taken.receipt, MINUTE).await.unwrap();
        assert_eq!(proxy.left(), 0, "{name}");
    }
}

#[tokio::test]
async fn a_message_too_large_for_its_queue_names_the_limit() {
    let queues = Queues::new().await;
    queues.set(&queues.options.queue, QueueAttributeName::MaximumMessageSize, "1024").await;
    let error = queues.inbox().await.enqueue(&"x".repeat(2000), None, NOW).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed);
    assert!(error.chain().contains("set MaximumMessageSize"), "{}", error.chain());
    assert!(!error.chain().contains("xxxx"), "{}", error.chain());
}

#[tokio::test]
async fn a_redrive_that_breaks_off_loses_nothing() {
    let queues = Queues::new().await;
    let (inbox, proxy) = queues.spoilt().await;
    for n in 0..3 {
        inbox.enqueue(&format!("m{n}"), None, NOW).await.unwrap();
    }
    for taken in inbox.take(10, MINUTE).await.unwrap() {
        inbox.bury(&taken.receipt, "why").await.unwrap();
    }
    proxy.spoil(is("SendMessage"), [Fault::Instead(Answer::new(503, "busy"))]);
    let error = inbox.redrive(10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.attempted.contains("message 1"), "{error}");
    assert_eq!((queues.left().await, inbox.buried(10).await.unwrap().len()), ([0, 3], 3), "seen again at once");

    proxy.spoil(is("DeleteMessage"), (0..3).map(|_| Fault::Refused));
    inbox.redrive(10).await.unwrap_err();
    assert_eq!(queues.left().await, [1, 3], "twice, not never");
    assert_eq!(inbox.redrive(10).await.unwrap(), 3);
    assert_eq!(queues.left().await, [4, 0]);
}

#[tokio::test]
async fn what_sqs_itself_put_aside_says_so() {
    let queues = Queues::new().await;
    let send = queues.client.send_message().queue_url(&queues.options.dead_letters).message_body("taken too often");
    send.send().await.unwrap();
    let buried = queues.inbox().await.buried(1).await.unwrap().remove(0);
    assert_eq!((buried.body.as_str(), buried.attempts), ("taken too often", 0));
    assert!(buried.reason.contains("maxReceiveCount"), "{}", buried.reason);
}

#[tokio::test]
async fn queues_are_checked_for_what_would_lose_or_double_messages() {
    let queues = Queues::new().await;
    let (inbox, minute) = (queues.inbox().await, Some(MINUTE));
    let (queue, dead) = (queues.options.queue.clone(), queues.options.dead_letters.clone());
    let problems = async || {
        let health = inbox.check(minute).await.unwrap();
        health.defects.into_iter().map(|defect| format!("{}: {}", defect.problem, defect.remedy)).collect::<Vec<_>>()
    };
    let found = problems().await;
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].contains("no redrive policy") && found[0].contains(&queue), "{}", found[0]);
    assert!(found[1].contains("hidden for 30 s") && found[1].contains("at least 360"), "{}", found[1]);
    assert!(found[2].contains("96 hours") && found[2].contains(&dead), "{}", found[2]);

    let policy =
        |target: &str, count: u32| json!({"deadLetterTargetArn": target, "maxReceiveCount": count}).to_string();
    let (own, other) = (queues.arn(&dead).await, queues.arn(&queue).await);
    queues.set(&queue, QueueAttributeName::RedrivePolicy, policy(&other, 5)).await;
    assert!(problems().await[0].contains("not to the configured queue"));
    queues.set(&queue, QueueAttributeName::RedrivePolicy, policy(&own, 2)).await;
    assert!(problems().await[0].contains("after 2 attempts"));

    queues.set(&queue, QueueAttributeName::RedrivePolicy, policy(&own, 5)).await;
    queues.set(&queue, QueueAttributeName::VisibilityTimeout, "360").await;
    queues.set(&dead, QueueAttributeName::MessageRetentionPeriod, "1209600").await;
    inbox.enqueue("m", None, NOW).await.unwrap();
    let health = inbox.check(minute).await.unwrap();
    assert_eq!((health.defects.as_slice(), health.depth.ready), (&[][..], 1));

    let mut elsewhere = queues.options.clone();
    elsewhere.dead_letters.push_str("-other");
    let inbox = SqsInbox::new(aws(&servers::moto().await), elsewhere, Arc::new(SystemClock));
    let error = inbox.check(None).await.unwrap_err();
    assert!(error.kind == ErrorKind::Missing && error.chain().contains("-other"), "{}", error.chain());
}
