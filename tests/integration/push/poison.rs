//! Messages that nobody can work on, and what becomes of them once the cause is mended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use codehealer::model::{EventKind, RunState};
use codehealer::ports::{Inbox as _, PortResult};

use crate::support::faults::{Call, Dying, Fault};
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, Push, ScriptedModel, UNKNOWN, World};

on_both_stores! {
    one_run_of_ten_breaks_every_worker_and_nine_are_healed,
    a_push_that_breaks_its_worker_is_put_aside_and_redriven_once_that_is_mended,
    what_is_no_task_is_put_aside_as_often_as_it_is_redriven,
    a_push_that_no_worker_survives_is_put_aside_and_one_that_the_last_survives_is_healed,
}

/// Ten files of one push: nine that anything heals, and one that only the model can.
async fn ten(world: &World) {
    let before = world.git.tip("develop");
    let mut change = world.git.on("develop");
    for number in 0..9 {
        change = change.file(&format!("src/part{number}.py"), BAD);
    }
    let after = change.file("src/tell.py", UNKNOWN).commit("ten files");
    world.deliver(&Push { before, after }).await;
}

async fn one_run_of_ten_breaks_every_worker_and_nine_are_healed(at: Storage) {
    let model = ScriptedModel::answering(|_| panic!("the model's client broke"));
    let world = at.world().await.with_model(&model);
    ten(&world).await;
    world.process().worker.work(1).await.unwrap();
    assert_eq!(world.store.inbox().depth().await.unwrap().ready, 10, "a message for each run");
    world.settle().await;
    world.assert_ended().await;
    let (done, other): (Vec<_>, Vec<_>) = world.runs().await.into_iter().partition(|run| run.state == RunState::Done);
    assert_eq!(done.len(), 9);
    let [poison] = other.try_into().unwrap();
    assert_eq!(poison.state, RunState::Failed);
    let events = world.events(&poison).await;
    let Some(EventKind::Failed { reason }) = events.last().map(|event| &event.kind) else { panic!("{events:?}") };
    assert!(reason.contains("attempts ended without any progress"), "{reason}");
    let limit = usize::try_from(world.policy.max_attempts).unwrap();
    assert!((2..=limit).contains(&model.asked()), "{} attempts", model.asked());
    assert_eq!((world.branches().len(), world.pull_requests(), world.memories().await.len()), (9, 9, 9));
    let told = world.shown.lock().unwrap().clone();
    assert_eq!((told.len(), world.notices()), (10, 10), "one each");
    assert_eq!(told.iter().filter(|notice| notice.for_senior && notice.headline.contains("Failed")).count(), 1);

    // Once the client is mended, and somebody asks for it.
    let mended = world.with_model(&ScriptedModel::rewriting("%s has %s", "%s has", "80"));
    assert!(mended.process().worker.healer().redrive(&poison.case, "ann").await.unwrap().is_some());
    mended.settle().await;
    mended.assert_ended().await;
    assert!(mended.runs().await.iter().all(|run| run.state == RunState::Done));
    assert_eq!((mended.branches().len(), mended.pull_requests(), mended.memories().await.len()), (10, 10, 10));
}

/// Every look at what changed brings the worker down, until it is mended.
struct Breaks(AtomicBool);

#[async_trait]
impl Fault for Breaks {
    async fn before(&self, call: &Call) -> PortResult<()> {
        assert!(!(call.is("forge", "changed_files") && self.0.load(Ordering::SeqCst)), "broken on purpose");
        Ok(())
    }
}

async fn a_push_that_breaks_its_worker_is_put_aside_and_redriven_once_that_is_mended(at: Storage) {
    let world = at.world().await;
    let push = world.pushed("src/config.py", BAD).await;
    let breaks = Arc::new(Breaks(AtomicBool::new(true)));
    let process = world.process_under(breaks.clone() as Arc<dyn Fault>);
    process.drain().await.unwrap();
    let [aside] = world.store.inbox().buried(10).await.unwrap().try_into().unwrap();
    assert!(aside.reason.contains("broke down"), "{}", aside.reason);
    assert_eq!(world.runs().await.len(), 0);
    // Redriven too early it is put aside again.
    assert!(world.store.inbox().redrive(&aside.receipt).await.unwrap());
    process.drain().await.unwrap();
    let [aside] = world.store.inbox().buried(10).await.unwrap().try_into().unwrap();

    breaks.0.store(false, Ordering::SeqCst);
    assert!(world.store.inbox().redrive(&aside.receipt).await.unwrap());
    assert!(!world.store.inbox().redrive(&aside.receipt).await.unwrap(), "it is no longer there");
    process.drain().await.unwrap();
    world.settle().await;
    world.assert_ok().await;
    // The same once more, after all is done.
    world.deliver(&push).await;
    world.settle().await;
    world.assert_ok().await;
}

async fn what_is_no_task_is_put_aside_as_often_as_it_is_redriven(at: Storage) {
    let world = at.world().await;
    ten(&world).await;
    let inbox = world.store.inbox();
    for body in [r#"{"task":"unheard_of"}"#, "not JSON", "{}", "[]", r#"{"task":"heal","case":"../..","generation":1}"#]
    {
        inbox.enqueue(body, None, Duration::ZERO).await.unwrap();
    }
    for _ in 0..2 {
        while world.process().worker.work(10).await.unwrap() > 0 {}
        let aside = inbox.buried(10).await.unwrap();
        assert_eq!(aside.len(), 5, "{aside:?}");
        for message in aside {
            assert!(!message.reason.is_empty() && message.reason.len() < 500, "{}", message.reason);
            assert!(inbox.redrive(&message.receipt).await.unwrap());
        }
    }
    while world.process().worker.work(10).await.unwrap() > 0 {}
    assert_eq!(inbox.buried(10).await.unwrap().len(), 5);
    assert_eq!(world.pull_requests(), 9, "and the others went on");
}

/// Workers that take a task and are never heard of again, one after the other.
async fn die(world: &World, workers: usize) {
    for _ in 0..workers {
        let dying = Dying::after(1);
        let _ = world.process_under(dying.clone() as Arc<dyn Fault>).drain().await;
        assert!(dying.is_dead(), "it died at what it took");
        world.clock.advance(world.policy.lease + Duration::from_secs(1));
    }
}

async fn a_push_that_no_worker_survives_is_put_aside_and_one_that_the_last_survives_is_healed(at: Storage) {
    let world = at.world().await;
    world.pushed("src/config.py", BAD).await;
    die(&world, 7).await;
    world.process().drain().await.unwrap();
    world.settle().await;
    world.assert_ok().await;

    let world = at.world().await;
    world.pushed("src/config.py", BAD).await;
    die(&world, 8).await;
    world.process().drain().await.unwrap();
    let [aside] = world.store.inbox().buried(10).await.unwrap().try_into().unwrap();
    assert!(aside.reason.contains("8 workers took it and none came back"), "{}", aside.reason);
    assert_eq!(world.runs().await.len(), 0);
    assert!(world.store.inbox().redrive(&aside.receipt).await.unwrap());
    world.process().drain().await.unwrap();
    world.settle().await;
    world.assert_ok().await;
}
