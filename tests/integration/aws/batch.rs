//! Batches of Lambda whose queue is SQS: what is settled, put aside and given another chance.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use codehealer::aws::sqs::{SqsInbox, SqsOptions};
use codehealer::entry::lambda::LambdaWorker;
use codehealer::local::clock::SystemClock;
use codehealer::ports::{Aside, Clock, Inbox};
use serde_json::{Value, json};

use super::inbox::Queues;
use crate::support::cloud;
use crate::support::proxy::Fault;
use crate::support::servers;
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

/// The command line on the operator's machine, which knows the two queues and nothing else: exit code, output and complaint.
fn told(queues: &Queues, moto: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let SqsOptions { queue, dead_letters, .. } = &queues.options;
    let config = format!("[aws]\nregion = 'eu-central-1'\nqueue = '{queue}'\ndead_letter_queue = '{dead_letters}'\n");
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_codehealer"));
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder.path());
    command.env("CODEHEALER_CONFIG_TEXT", config).env("AWS_ENDPOINT_URL_SQS", moto).current_dir(folder.path());
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// R14 as an operator does it: look at what was put aside, mend the cause, put it back.
#[tokio::test]
async fn the_command_line_shows_what_was_put_aside_and_puts_it_back() {
    let (queues, moto) = (Queues::new().await, servers::moto().await);
    let inbox = queues.inbox().await;
    let bodies = [r#"{"task":"reconcile"}"#, POISON, r#"{"task":"follow_up","repository":"7","name":"acme/shop"}"#];
    for body in bodies {
        inbox.enqueue(body, None, Duration::ZERO).await.unwrap();
    }
    for taken in inbox.take(10, Duration::from_secs(60)).await.unwrap() {
        inbox.bury(&taken.receipt, "the forge\u{1b}[31m was down").await.unwrap();
    }
    let (code, out, _) = told(&queues, &moto, &["inbox", "list", "--format", "json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &listed["depth"]), (Some(1), &json!({"ready": 0, "hidden": 0, "buried": 3})), "{out}");
    let tasks: BTreeSet<&str> =
        listed["buried"].as_array().unwrap().iter().map(|task| task["task"].as_str().unwrap()).collect();
    assert_eq!(tasks, bodies.into());
    let (code, out, _) = told(&queues, &moto, &["inbox", "list"]);
    for said in ["reconcile", "look what people did in acme/shop", "not a task of ours", "the forge", "3 put aside"] {
        assert!(code == Some(1) && out.contains(said) && !out.contains('\u{1b}'), "{said} in {out}");
    }
    assert_eq!(queues.left().await, [0, 3], "looking changes nothing");

    let (code, out, _) = told(&queues, &moto, &["inbox", "redrive", "--limit", "2", "--format", "json"]);
    assert_eq!((code, serde_json::from_str(&out).unwrap()), (Some(0), json!({"redriven": 2})));
    assert_eq!(queues.left().await, [2, 1]);
    let (code, out, _) = told(&queues, &moto, &["inbox", "redrive"]);
    assert!(code == Some(0) && out.contains("1 task(s) are put back"), "{out}");
    assert_eq!(queues.left().await, [3, 0]);
    let (code, out, _) = told(&queues, &moto, &["inbox", "list"]);
    assert!(code == Some(0) && out.contains("3 task(s) wait") && out.contains("nothing is put aside"), "{out}");
    let taken = inbox.take(10, Duration::from_secs(60)).await.unwrap();
    assert_eq!(taken.iter().map(|taken| taken.body.as_str()).collect::<BTreeSet<_>>(), bodies.into());

    let mut elsewhere = Queues::new().await;
    elsewhere.options.dead_letters.push_str("-other");
    for command in ["list", "redrive"] {
        let (code, _, complaint) = told(&elsewhere, &moto, &["inbox", command]);
        assert!(code == Some(3) && complaint.contains("create it"), "{code:?}: {complaint}");
    }
}
