//! Many workers, one case: who holds the lease works, who lost it stops.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use codehealer::healer::HealError;
use codehealer::model::{CaseId, Generation, Provenance};
use codehealer::ports::{ErrorKind, Inbox, PortResult};
use codehealer::state::run::{lease, prolong};

use crate::support::clock::VirtualClock;
use crate::support::faults::{Call, Fault, Gate};
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, Process, ScriptedModel, UNKNOWN, World};

on_both_stores! {
    on_threads:
    sixteen_workers_take_one_case_and_ask_the_model_once,
    a_slow_model_is_not_asked_again_by_a_rival,
    who_sleeps_past_the_lease_writes_nothing_stale,
    who_read_before_the_lease_was_prolonged_does_not_get_it,
}

/// A world whose one run waits to be healed.
async fn detected(world: &World, file: &str, text: &str) -> (CaseId, Generation) {
    world.pushed(file, text).await;
    world.process().worker.work(1).await.unwrap();
    let run = world.run().await;
    (run.case, run.generation)
}

fn heals(
    process: Process,
    (case, generation): (CaseId, Generation),
) -> tokio::task::JoinHandle<Result<Option<u64>, HealError>> {
    tokio::spawn(async move {
        let report = process.worker.healer().heal(&case, generation, &|_| {}).await?;
        Ok(report.busy_until)
    })
}

async fn sixteen_workers_take_one_case_and_ask_the_model_once(at: Storage) {
    for _ in 0..5 {
        let model = ScriptedModel::rewriting("%s has %s", "%s has", "80");
        let world = at.world().await.with_model(&model);
        let run = detected(&world, "src/tell.py", UNKNOWN).await;
        let workers: Vec<_> = (0..16).map(|_| heals(world.process(), run.clone())).collect();
        let mut busy = 0;
        for worker in workers {
            busy += usize::from(worker.await.unwrap().unwrap().is_some());
        }
        world.settle().await;
        world.assert_ok().await;
        assert_eq!(model.asked(), 1);
        assert!(busy <= 15, "nobody worked");
    }
}

async fn a_slow_model_is_not_asked_again_by_a_rival(at: Storage) {
    let model = ScriptedModel::rewriting("%s has %s", "%s has", "80");
    let mut world = at.world().await.with_model(&model);
    world.policy.lease = Duration::from_millis(300);
    let run = detected(&world, "src/tell.py", UNKNOWN).await;
    let gate = Gate::before("model", "complete", 0);
    let asking = heals(world.process_under(gate.clone() as Arc<dyn Fault>), run.clone());
    gate.reached().await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.clock.advance(Duration::from_millis(50));
    }
    let rival = world.process().worker.healer().heal(&run.0, run.1, &|_| {}).await.unwrap();
    assert!(rival.busy_until.is_some(), "the lease lives as long as the one who waits");
    gate.open();
    asking.await.unwrap().unwrap();
    world.settle().await;
    world.assert_ok().await;
    assert_eq!(model.asked(), 1);
}

/// One worker sleeps before this call until its lease is long over and its rival is done, then a person merges, then it wakes.
async fn sleeps_before(at: Storage, port: &'static str, verb: &'static str, number: usize) {
    let world = at.world().await;
    let run = detected(&world, "src/config.py", BAD).await;
    let gate = Gate::before(port, verb, number);
    let sleeper = heals(world.process_under(gate.clone() as Arc<dyn Fault>), run.clone());
    gate.reached().await;

    world.clock.advance(Duration::from_secs(600));
    world.settle().await;
    world.assert_ok().await;
    let branch = world.run().await.case.branch(&world.run().await.summary.rule, run.1);
    world.git.merge(&branch, "develop");
    world.git.delete_branch(&branch);
    world.settle().await;
    let head = world.run().await;
    let references = world.git.references();

    gate.open();
    let woken = sleeper.await.unwrap();
    assert!(matches!(woken, Err(HealError::TakenOver(_)) | Ok(Some(_))), "{port}.{verb} {number}: {woken:?}");
    assert_eq!(world.run().await, head, "{port}.{verb} {number}: a stale write");
    assert_eq!(world.git.references(), references, "{port}.{verb} {number}: a stale reference");
    let [memory] = world.memories().await.try_into().unwrap();
    assert!(matches!(memory.provenance, Provenance::Merged { .. }), "{port}.{verb} {number}: {:?}", memory.provenance);
    assert_eq!((world.notices(), world.pull_requests()), (1, 1));
    world.assert_ended().await;
}

async fn who_sleeps_past_the_lease_writes_nothing_stale(at: Storage) {
    for (port, verb) in [
        ("forge", "ensure_branch"),
        ("forge", "ensure_pull_request"),
        ("notifier", "ensure_notice"),
        ("memory", "remember_new"),
        ("memory", "nearest"),
    ] {
        sleeps_before(at, port, verb, 0).await;
    }
    // Every transaction of the sleeper: the lease, the decision, the branch, the proposal, the rest. Giving the lease back, which
    // is the last one, may come late.
    for number in 0..5 {
        sleeps_before(at, "state", "commit", number).await;
    }
}

/// Prolonging leaves fence, sequence and state as they are: only the time tells that the lease lives.
async fn who_read_before_the_lease_was_prolonged_does_not_get_it(at: Storage) {
    let world = at.world().await;
    detected(&world, "src/config.py", BAD).await;
    let (head, now) = (world.run().await, 1_000_000);
    let (ours, taken) = lease(&head, "ours", now, now + 20);
    world.state.commit(&taken).await.unwrap();
    // It ran out; a rival reads that, and only then its holder, who was slow, prolongs it.
    let (_, rival) = lease(&ours, "rival", now + 30, now + 50);
    let (held, prolonged) = prolong(&ours, now + 60, Some(now + 60));
    world.state.commit(&prolonged).await.unwrap();
    assert_eq!(world.state.commit(&rival).await.unwrap_err().kind, ErrorKind::Conflict);
    let (_, later) = lease(&held, "rival", now + 61, now + 80);
    world.state.commit(&later).await.unwrap();
    let (_, stale) = prolong(&held, now + 90, Some(now + 90));
    assert_eq!(world.state.commit(&stale).await.unwrap_err().kind, ErrorKind::Conflict, "the old holder is fenced");
}

/// A scan that takes several times as long as its message is hidden for, and somebody who looks for work meanwhile.
struct Long {
    inbox: Arc<dyn Inbox>,
    clock: Arc<VirtualClock>,
    step: Duration,
}

#[async_trait]
impl Fault for Long {
    async fn before(&self, call: &Call) -> PortResult<()> {
        for _ in 0..if call.is("forge", "changed_files") { 12 } else { 0 } {
            tokio::time::sleep(self.step).await;
            self.clock.advance(self.step);
            assert_eq!(self.inbox.take(1, self.step).await?, [], "it was given to another worker");
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_takes_long_is_kept_from_others_meanwhile() {
    let world = World::new().await;
    world.pushed("src/config.py", BAD).await;
    let (inbox, clock) = (Arc::new(world.store.inbox()), world.clock.clone());
    let long = Arc::new(Long { inbox, clock, step: world.policy.lease / 2 });
    assert_eq!(world.process_under(long as Arc<dyn Fault>).worker.work(1).await.unwrap(), 1);
    assert_eq!(world.runs().await.len(), 1, "it was scanned once");
    world.settle().await;
    world.assert_ok().await;
}
