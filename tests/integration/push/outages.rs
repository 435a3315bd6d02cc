//! A service that is down for a whole run, or asks to be left alone: the work waits, is told of, and nothing is lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use codehealer::healer::Caps;
use codehealer::model::{ConsultOutcome, Decision, EventKind, RunState, Source};
use codehealer::ports::{ErrorKind, PortError, PortResult};

use crate::support::faults::{Call, Counting, Down, Fault, Refused};
use crate::support::slack::Chat;
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, ScriptedModel, UNKNOWN, World};

on_both_stores! {
    each_service_may_be_down_for_hours_from_the_beginning,
    a_forge_that_is_gone_for_days_ends_the_run_and_people_are_told,
    what_a_throttled_forge_was_asked_for_is_given_back_and_not_asked_early,
    a_short_wait_is_a_wait_for_every_worker,
    a_repository_is_not_looked_up_while_its_forge_wants_to_be_left_alone,
    a_throttled_model_is_a_source_that_could_not_be_asked,
    what_a_repository_is_like_is_asked_again_after_some_minutes,
    once_people_were_told_days_without_memory_do_not_fail_the_run,
}

const SERVICES: [&str; 8] = ["forge", "state", "team", "memory", "embedder", "model", "notifier", "inbox"];

/// What is decided of a file when all is well, and who is needed for it.
const FILES: [(&str, &str, Decision); 2] =
    [("src/config.py", BAD, Decision::Open), ("src/tell.py", UNKNOWN, Decision::Draft)];

fn rank(decision: Option<Decision>) -> u8 {
    match decision {
        None => 0,
        Some(Decision::Escalate) => 1,
        Some(Decision::Draft) => 2,
        Some(Decision::Open) => 3,
    }
}

/// The source that a service is asked for.
fn source(service: &str) -> Option<Source> {
    match service {
        "team" => Some(Source::TeamKnowledge),
        "memory" | "embedder" => Some(Source::PastFix),
        "model" => Some(Source::Model),
        _ => None,
    }
}

async fn unavailable_sources(world: &World) -> BTreeSet<Source> {
    let mut found = BTreeSet::new();
    for run in world.runs().await {
        for event in world.events(&run).await {
            if let EventKind::Consulted(asked) = event.kind
                && matches!(asked.outcome, ConsultOutcome::Unavailable { .. })
            {
                found.insert(asked.source);
            }
        }
    }
    found
}

async fn each_service_may_be_down_for_hours_from_the_beginning(at: Storage) {
    for service in SERVICES {
        for (file, text, healthy) in FILES {
            let chat = Chat { messages: &[("U1", "py-format-arguments, anybody?")], confirmed: false };
            let (_folder, team) = chat.open();
            let mut world = at.world().await.with_model(&ScriptedModel::rewriting("%s has %s", "%s has", "80"));
            world.team = Some(team);
            let push = world.pushed(file, text).await;
            let down = Down::failing(service);
            let process = world.process_under(down.clone() as Arc<dyn Fault>);
            for _ in 0..10 {
                let _ = process.worker.reconcile().await;
                let _ = process.drain().await;
                world.clock.advance(Duration::from_secs(20 * 60));
            }
            for run in world.runs().await {
                assert!(rank(run.summary.decision) <= rank(Some(healthy)), "{service}: {:?}", run.summary.decision);
                assert_ne!(run.state, RunState::Failed, "{service}");
                assert_ne!(
                    run.summary.decision,
                    Some(Decision::Escalate),
                    "{service}: nobody is told that all was tried"
                );
            }
            // A curated fix opens before any model is needed.
            let needed = service != "model" || healthy == Decision::Draft;
            assert_eq!(down.met() > 0, needed, "{service} of {file}: it is asked when it is needed");
            let told = unavailable_sources(&world).await;
            let expected = source(service).filter(|_| needed).into_iter().collect();
            assert_eq!(told, expected, "{service} of {file}: it is in the trail");
            assert!(world.notices() <= 1, "{service}");

            down.recovers();
            let aside = world.store.inbox().buried(10).await.unwrap();
            assert!(
                aside.is_empty() || (aside.len() == 1 && matches!(service, "forge" | "state")),
                "{service}: {aside:?}"
            );
            for message in aside {
                assert!(message.reason.contains(service), "{service}: {}", message.reason);
                assert!(world.store.inbox().redrive(&message.receipt).await.unwrap());
            }
            world.settle().await;
            world.assert_ok().await;
            assert_eq!(world.run().await.summary.decision, Some(healthy), "{service} of {file}");
            // What was delivered then and comes again now changes nothing.
            world.deliver(&push).await;
            world.settle().await;
            world.assert_ok().await;
        }
    }
}

async fn a_forge_that_is_gone_for_days_ends_the_run_and_people_are_told(at: Storage) {
    let world = at.world().await;
    world.pushed("src/config.py", BAD).await;
    world.process().worker.work(1).await.unwrap();
    let down = Down::failing("forge");
    for _ in 0..26 {
        let process = world.process_under(down.clone() as Arc<dyn Fault>);
        let _ = process.worker.reconcile().await;
        let _ = process.drain().await;
        world.clock.advance(Duration::from_secs(3600));
    }
    let run = world.run().await;
    assert_eq!(run.state, RunState::Failed);
    let events = world.events(&run).await;
    let Some(EventKind::Failed { reason }) = events.last().map(|event| &event.kind) else { panic!("{events:?}") };
    assert!(reason.contains("forge") && reason.contains("unavailable"), "{reason}");
    let told = world.shown.lock().unwrap().clone();
    assert!(matches!(&told[..], [one] if one.for_senior && one.headline.contains("Failed")), "{told:?}");
    world.assert_ended().await;
}

/// Answers calls of the forge with a throttle: the first one of a verb, or all until it is told otherwise.
struct Throttled {
    verb: &'static str,
    wait: Duration,
    left: AtomicUsize,
}

impl Throttled {
    fn once(verb: &'static str, wait: Duration) -> Arc<Self> {
        Arc::new(Self { verb, wait, left: AtomicUsize::new(1) })
    }
}

#[async_trait]
impl Fault for Throttled {
    async fn before(&self, call: &Call) -> PortResult<()> {
        let spend = |left: usize| left.checked_sub(1);
        let ours = call.port == "forge" && call.verb == self.verb;
        if ours && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend).is_ok() {
            return Err(PortError::new("forge", call.verb, ErrorKind::Throttled(self.wait)));
        }
        Ok(())
    }
}

async fn careful(at: Storage) -> World {
    let mut world = at.world().await;
    world.policy.caps = Some(Caps { per_hour: 1000, open: 1000, cases_a_push: 1000, pause: Duration::ZERO });
    world
}

/// All that the forge is asked for by any verb.
fn asked(counting: &Counting) -> usize {
    counting.all().iter().filter(|call| call.port == "forge").count()
}

async fn what_a_throttled_forge_was_asked_for_is_given_back_and_not_asked_early(at: Storage) {
    for verb in ["head", "changed_files", "read", "read_blob", "ensure_branch", "ensure_pull_request"] {
        let world = careful(at).await;
        world.pushed("src/config.py", BAD).await;
        let wait = Duration::from_secs(300);
        let fault = Throttled::once(verb, wait);
        let process = world.process_under(fault.clone() as Arc<dyn Fault>);
        while fault.left.load(Ordering::SeqCst) > 0 {
            assert_eq!(process.worker.work(1).await.unwrap(), 1, "{verb} is asked at some time");
        }
        // Nobody slept: the clock has not moved, and the work lies in the inbox until the time is over.
        let depth = world.store.inbox().depth().await.unwrap();
        assert_eq!((depth.ready, depth.hidden), (0, 1), "{verb}");
        let counting = Counting::new();
        let rival = world.process_under(counting.clone() as Arc<dyn Fault>);
        world.pushed("src/other.txt", "nothing\n").await;
        for _ in 0..5 {
            world.clock.advance(wait / 6);
            let _ = rival.worker.reconcile().await;
            rival.drain().await.unwrap();
        }
        assert_eq!(asked(&counting), 0, "{verb}: {:?}", counting.all());
        world.clock.advance(wait / 6 + Duration::from_secs(1));
        world.settle().await;
        world.assert_ok().await;
    }
}

async fn a_short_wait_is_a_wait_for_every_worker(at: Storage) {
    let world = careful(at).await;
    world.pushed("src/config.py", BAD).await;
    world.process_under(Throttled::once("head", Duration::from_secs(3))).worker.work(1).await.unwrap();
    world.pushed("src/other.txt", "nothing\n").await;
    let counting = Counting::new();
    let rival = world.process_under(counting.clone() as Arc<dyn Fault>);
    rival.drain().await.unwrap();
    world.clock.advance(Duration::from_millis(2_900));
    rival.drain().await.unwrap();
    assert_eq!(asked(&counting), 0, "{:?}", counting.all());
    world.clock.advance(Duration::from_millis(200));
    world.settle().await;
    world.assert_ok().await;
}

async fn a_repository_is_not_looked_up_while_its_forge_wants_to_be_left_alone(at: Storage) {
    let mut world = careful(at).await;
    world.by_name = true;
    world.pushed("src/config.py", BAD).await;
    let wait = Duration::from_secs(1200);
    let fault = Throttled::once("repository", wait);
    world.process_under(fault.clone() as Arc<dyn Fault>).worker.work(1).await.unwrap();
    assert_eq!(fault.left.load(Ordering::SeqCst), 0);
    let counting = Counting::new();
    for _ in 0..3 {
        let rival = world.process_under(counting.clone() as Arc<dyn Fault>);
        world.pushed("src/other.txt", "nothing\n").await;
        let _ = rival.worker.reconcile().await;
        rival.drain().await.unwrap();
        world.clock.advance(wait / 4);
    }
    assert_eq!(asked(&counting), 0, "{:?}", counting.all());
    world.clock.advance(wait / 4);
    world.settle().await;
    world.assert_ok().await;
}

async fn a_throttled_model_is_a_source_that_could_not_be_asked(at: Storage) {
    let wait = Duration::from_secs(600);
    let model = ScriptedModel::answering(move |_| Err(PortError::new("model", "answer", ErrorKind::Throttled(wait))));
    let world = at.world().await.with_model(&model);
    world.pushed("src/tell.py", UNKNOWN).await;
    world.process().drain().await.unwrap();
    assert_eq!(unavailable_sources(&world).await, BTreeSet::from([Source::Model]));
    assert_eq!((world.run().await.state, world.notices()), (RunState::Deferred, 0));
}

/// It may have become public since: then what is private must not be told there.
async fn what_a_repository_is_like_is_asked_again_after_some_minutes(at: Storage) {
    let mut world = at.world().await;
    world.by_name = true;
    let counting = Counting::new();
    let process = world.process_under(counting.clone() as Arc<dyn Fault>);
    for (wait, asked) in [(0, 1), (4 * 60, 1), (2 * 60, 2), (60, 2), (5 * 60, 3)] {
        world.clock.advance(Duration::from_secs(wait));
        world.pushed("src/other.txt", format!("{wait}\n")).await;
        process.drain().await.unwrap();
        assert_eq!(counting.calls("forge", "repository"), asked, "after {wait} s more");
    }
}

/// Else what they do with the pull request would be lost with it.
async fn once_people_were_told_days_without_memory_do_not_fail_the_run(at: Storage) {
    let world = at.world().await;
    world.pushed("src/config.py", BAD).await;
    let forgets = Refused::of("memory", "remember_new", ErrorKind::Unavailable);
    for _ in 0..30 {
        let process = world.process_under(forgets.clone() as Arc<dyn Fault>);
        let _ = process.worker.reconcile().await;
        let _ = process.drain().await;
        world.clock.advance(Duration::from_secs(3600));
    }
    assert_eq!((world.run().await.state, world.notices(), world.pull_requests()), (RunState::Notified, 1, 1));
    forgets.is_mended();
    world.settle().await;
    world.assert_ok().await;
}
