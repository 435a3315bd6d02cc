//! The working function: batches of which each record is settled for itself, and never anything after the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use codehealer::entry::lambda::{FIRST_MS, Function, LambdaWorker, RESERVE_MS, Refused};
use codehealer::model::{CaseOutcome, Provenance, RunState, Task};
use codehealer::ports::{Clock, FixMemory, Inbox, PortError, PortResult};
use lambda_runtime::Diagnostic;
use serde_json::{Value, json};

use super::{LONG, Shape, invoke_until, post, schedule, sqs_record};
use crate::support::clock::VirtualClock;
use crate::support::faults::{Call, Counting, Fault, Gate, Healthy};
use crate::support::world::{BAD, ScriptedModel, UNKNOWN, World};

fn worker_under(world: &World, fault: Arc<dyn Fault>) -> Function {
    let inbox: Arc<dyn Inbox> = Arc::new(world.store.inbox());
    Function::Worker(Box::new(LambdaWorker::new(world.process_under(fault).worker, inbox, world.clock.clone())))
}

fn worker(world: &World) -> Function {
    worker_under(world, Arc::new(Healthy))
}

/// What the event source would hand over now, and the ids in it.
async fn batch(world: &World) -> (Value, Vec<String>) {
    let taken = world.store.inbox().take(10, Duration::from_secs(5400)).await.unwrap();
    let ids: Vec<String> = (0..taken.len()).map(|n| format!("message-{n}")).collect();
    let record = |(id, t): (&String, &codehealer::ports::Taken)| sqs_record(id, &t.receipt, &t.body, t.attempts);
    let records: Vec<Value> = ids.iter().zip(&taken).map(record).collect();
    (json!({ "Records": records }), ids)
}

/// The ids that the answer lists as failures.
async fn failures(world: &World, function: &Function, event: &Value, time: Duration) -> Vec<String> {
    let deadline = world.clock.now() + u64::try_from(time.as_millis()).unwrap();
    let answer = invoke_until(function, event, deadline).await.unwrap();
    let listed = answer["batchItemFailures"].as_array().expect("the partial answer of a batch");
    listed.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_push_is_scanned_and_healed_in_two_batches() {
    let world = World::new().await;
    world.pushed("src/config.py", BAD).await;
    for round in ["scan", "heal"] {
        let (event, ids) = batch(&world).await;
        assert_eq!(ids.len(), 1, "{round}");
        assert_eq!(failures(&world, &worker(&world), &event, LONG).await, [""; 0], "{round}");
    }
    let depth = world.store.inbox().depth().await.unwrap();
    assert_eq!((depth.ready, depth.hidden), (0, 0), "what is done is removed");
    world.assert_ok().await;
}

#[tokio::test]
async fn a_poison_record_among_ten_is_put_aside_and_nine_finish() {
    let world = World::new().await;
    for number in 0..9 {
        world.pushed(&format!("docs/page{number}.md"), "text\n").await;
        if number == 3 {
            world.store.inbox().enqueue(r#"{"task":"unheard_of"}"#, None, Duration::ZERO).await.unwrap();
        }
    }
    let (event, ids) = batch(&world).await;
    assert_eq!(ids.len(), 10);
    assert_eq!(failures(&world, &worker(&world), &event, LONG).await, [""; 0], "put aside is not to come again");
    let depth = world.store.inbox().depth().await.unwrap();
    assert_eq!((depth.ready, depth.hidden, depth.buried), (0, 0, 1));
    let buried = world.store.inbox().buried(10).await.unwrap();
    assert!(buried[0].reason.contains("not a task of ours"), "{}", buried[0].reason);
}

#[tokio::test]
async fn a_panic_in_one_record_does_not_lose_the_others() {
    let model = ScriptedModel::answering(|_| panic!("the model's client broke"));
    let world = World::new().await.with_model(&model);
    world.pushed("src/tell.py", UNKNOWN).await;
    world.pushed("src/config.py", BAD).await;
    let (event, _) = batch(&world).await;
    assert_eq!(failures(&world, &worker(&world), &event, LONG).await, [""; 0]);
    let (event, ids) = batch(&world).await;
    assert_eq!(ids.len(), 2, "a run each");
    failures(&world, &worker(&world), &event, LONG).await;
    assert!(model.asked() > 0, "the panic happened");
    assert!(world.runs().await.iter().any(|run| run.state == RunState::Done), "the other run is done");
}

/// The first of these calls brings its task down.
struct Panics(&'static str, AtomicBool);

#[async_trait]
impl Fault for Panics {
    async fn before(&self, call: &Call) -> PortResult<()> {
        let hit = call.is("inbox", self.0) && !self.1.swap(true, Ordering::SeqCst);
        assert!(!hit, "a panic on purpose");
        Ok(())
    }
}

#[tokio::test]
async fn a_record_whose_settling_breaks_down_comes_again_alone() {
    let world = World::new().await;
    for number in 0..3 {
        world.pushed(&format!("docs/page{number}.md"), "text\n").await;
    }
    let (event, ids) = batch(&world).await;
    let function = worker_under(&world, Arc::new(Panics("done", AtomicBool::new(false))));
    assert_eq!(failures(&world, &function, &event, LONG).await, ids[..1]);
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(batch(&world).await.1.len(), 1, "soon, not when its time in the queue is up");
}

#[tokio::test]
async fn what_fails_for_now_is_listed_and_waits_its_pause() {
    struct Busy;
    #[async_trait]
    impl Fault for Busy {
        async fn before(&self, call: &Call) -> PortResult<()> {
            let wait = codehealer::ports::ErrorKind::Throttled(Duration::from_secs(90));
            if call.is("forge", "head") { Err(PortError::new("forge", "look", wait)) } else { Ok(()) }
        }
    }
    let world = World::new().await;
    world.pushed("src/config.py", BAD).await;
    let (event, ids) = batch(&world).await;
    assert_eq!(failures(&world, &worker_under(&world, Arc::new(Busy)), &event, LONG).await, ids);
    world.clock.advance(Duration::from_secs(89));
    assert_eq!(batch(&world).await.1.len(), 0, "not earlier than the forge said");
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(batch(&world).await.1.len(), 1);
}

/// Every call to the forge takes a while.
struct Slow(Arc<VirtualClock>, Duration);

#[async_trait]
impl Fault for Slow {
    async fn before(&self, call: &Call) -> PortResult<()> {
        if call.is("forge", "head") {
            self.0.advance(self.1);
        }
        Ok(())
    }
}

#[tokio::test]
async fn no_record_is_begun_without_the_time_for_it() {
    let world = World::new().await;
    for number in 0..4 {
        world.pushed(&format!("docs/page{number}.md"), "text\n").await;
    }
    let (event, ids) = batch(&world).await;
    let seen = Counting::new();
    let function = worker_under(&world, seen.clone());
    let little = Duration::from_millis(FIRST_MS - 1);
    assert_eq!(failures(&world, &function, &event, little).await, ids);
    assert_eq!(seen.calls("forge", "head") + seen.calls("state", "commit"), 0, "nothing was begun");

    // 25 s a record: after the second one of three quarters of a minute are gone.
    world.clock.advance(Duration::from_secs(2));
    let (event, ids) = batch(&world).await;
    assert_eq!(ids.len(), 4, "they were given back at once");
    let slow = worker_under(&world, Arc::new(Slow(world.clock.clone(), Duration::from_secs(25))));
    assert_eq!(failures(&world, &slow, &event, LONG).await, ids[2..]);
    world.clock.advance(Duration::from_secs(2));
    let (event, ids) = batch(&world).await;
    assert_eq!(ids.len(), 2);
    assert_eq!(failures(&world, &worker(&world), &event, LONG).await, [""; 0]);
}

/// A function that never has more time than for one record works on one each time.
#[tokio::test]
async fn a_function_with_little_time_gets_on_one_record_at_a_time() {
    let world = World::new().await;
    for number in 0..3 {
        world.pushed(&format!("docs/page{number}.md"), "text\n").await;
    }
    let little = Duration::from_millis(RESERVE_MS - 1);
    for left in (0..3).rev() {
        let (event, ids) = batch(&world).await;
        assert_eq!(failures(&world, &worker(&world), &event, little).await, ids[1..], "{left} are left");
        world.clock.advance(Duration::from_secs(2));
    }
    let depth = world.store.inbox().depth().await.unwrap();
    assert_eq!((depth.ready, depth.hidden, depth.buried), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn work_that_goes_on_too_long_is_stopped_and_nothing_runs_after_the_answer() {
    let world = World::new().await;
    world.pushed("src/config.py", BAD).await;
    let (event, ids) = batch(&world).await;
    let gate = Gate::before("forge", "head", 0);
    let function = worker_under(&world, gate.clone());
    assert_eq!(failures(&world, &function, &event, Duration::from_secs(30)).await, ids);
    gate.reached().await;
    gate.open();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.runs().await, [], "the stopped work does not go on unseen");
    world.settle().await;
    world.assert_ok().await;
}

/// What has no deadline of its own is stopped as well.
#[tokio::test(start_paused = true)]
async fn following_up_that_goes_on_too_long_is_stopped_too() {
    let world = World::new().await;
    world.pushed("src/config.py", BAD).await;
    world.settle().await;
    let run = world.run().await;
    world.git.merge(&run.case.branch(&run.summary.rule, run.generation), "develop");
    let task = Task::FollowUp { repository: world.repository().id, name: world.repository().name };
    world.store.inbox().enqueue(&serde_json::to_string(&task).unwrap(), None, Duration::ZERO).await.unwrap();
    let (event, ids) = batch(&world).await;
    let gate = Gate::before("forge", "open_pull_requests", 0);
    let function = worker_under(&world, gate.clone());
    assert_eq!(failures(&world, &function, &event, Duration::from_secs(30)).await, ids);
    gate.reached().await;
    gate.open();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.run().await, run, "the stopped work does not go on unseen");
    world.settle().await;
    assert_eq!(world.run().await.summary.outcome, CaseOutcome::Merged);
}

#[tokio::test]
async fn a_deadline_that_is_no_time_of_day_does_not_stop_the_work() {
    let world = World::new().await;
    world.pushed("src/config.py", BAD).await;
    let (event, _) = batch(&world).await;
    let answer = invoke_until(&worker(&world), &event, 600).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!(world.runs().await.len(), 1);
}

#[tokio::test]
async fn the_schedule_finds_a_push_without_a_webhook() {
    let world = World::new().await;
    world.push("src/config.py", BAD);
    let deadline = world.clock.now() + 60_000;
    assert_eq!(invoke_until(&worker(&world), &schedule(), deadline).await.unwrap(), Value::Null);
    let (event, _) = batch(&world).await;
    assert_eq!(failures(&world, &worker(&world), &event, LONG).await, [""; 0]);
    world.assert_ok().await;
}

#[tokio::test]
async fn the_first_reconciliation_begins_an_empty_memory_and_the_next_ones_leave_it_alone() {
    let world = World::new().await;
    let memory = world.store.memory();
    let reconcile = async |starter: bool| {
        let inbox: Arc<dyn Inbox> = Arc::new(world.store.inbox());
        let worker = LambdaWorker::new(world.process().worker, inbox, world.clock.clone());
        let worker = if starter { worker.beginning_with_starter("acme".to_owned()) } else { worker };
        let deadline = world.clock.now() + 600_000;
        invoke_until(&Function::Worker(Box::new(worker)), &schedule(), deadline).await.unwrap();
        memory.list(None, 10_000).await.unwrap()
    };
    assert!(reconcile(false).await.is_empty(), "it is turned off");
    let begun = reconcile(true).await;
    assert!(begun.len() > 100, "{} fixes", begun.len());
    assert!(begun.iter().all(|fix| fix.provenance == Provenance::Starter && fix.organisation == "acme"));
    assert!(memory.forget(&begun[0].id).await.unwrap());
    assert_eq!(reconcile(true).await, begun[1..], "what was forgotten stays away");
}

#[tokio::test]
async fn what_the_worker_does_not_take_is_refused_by_name() {
    let world = World::new().await;
    let refused = async |event: Value| invoke_until(&worker(&world), &event, 0).await.unwrap_err();
    let diagnostic = |error: Refused| {
        let Diagnostic { error_type, error_message } = error.into();
        (error_type, error_message)
    };
    let (kind, message) = diagnostic(refused(json!({"Records": [{"eventSource": "aws:s3", "s3": {}}]})).await);
    assert_eq!((kind.as_str(), message.contains("aws:s3")), ("UnknownEvent", true), "{message}");
    let (kind, message) = diagnostic(refused(post(Shape::Http, &[], b"{}")).await);
    assert_eq!((kind.as_str(), message.contains("`receiver`")), ("WrongFunction", true), "{message}");
    let mut nameless = sqs_record("m", "", "{}", 1);
    nameless["messageId"] = Value::Null;
    let (kind, _) = diagnostic(refused(json!({"Records": [nameless]})).await);
    assert_eq!(kind, "MalformedEvent");
}
