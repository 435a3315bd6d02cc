//! What a service refuses until somebody acts, and what it only seems to: told with the remedy, and nothing is lost meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use codehealer::local::git::MAX_BLOB;
use codehealer::model::{CaseOutcome, EventKind, RunState};
use codehealer::ports::{ErrorKind, PortError, PortResult};

use crate::support::faults::{Call, Fault, Refused};
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, World};

on_both_stores! {
    a_run_that_was_refused_goes_on_where_it_stopped_once_that_is_mended,
    a_run_that_did_not_fail_does_not_begin_anew,
    a_memory_that_refuses_keeps_nobody_from_judging_a_proposal,
    a_forge_that_is_seen_no_more_has_lost_no_commit,
    what_is_not_there_for_a_moment_is_not_taken_for_gone,
    a_file_that_was_too_large_to_be_read_and_no_longer_is_keeps_no_push_back,
    pushes_that_were_on_their_way_when_their_branch_was_first_seen_are_scanned,
}

/// Processes under a fault work until there is nothing to do for now.
async fn worked_under(world: &World, fault: &Arc<Refused>) {
    let process = world.process_under(Arc::clone(fault) as Arc<dyn Fault>);
    world.work_off(&process).await;
}

async fn a_run_that_was_refused_goes_on_where_it_stopped_once_that_is_mended(at: Storage) {
    for verb in ["ensure_branch", "ensure_pull_request"] {
        let world = at.world().await;
        world.pushed("src/config.py", BAD).await;
        let refused = Refused::of("forge", verb, ErrorKind::Denied);
        worked_under(&world, &refused).await;
        let run = world.run().await;
        assert_eq!((run.state, run.summary.outcome), (RunState::Failed, CaseOutcome::Failed), "{verb}");
        let events = world.events(&run).await;
        let Some(EventKind::Failed { reason }) = events.last().map(|event| &event.kind) else { panic!("{events:?}") };
        assert!(reason.contains("store a new one"), "{reason}");
        let told = world.shown.lock().unwrap().clone();
        let [told] = &told[..] else { panic!("{told:?}") };
        assert!(
            told.for_senior && told.body.contains("store a new one") && told.body.contains("audit retry"),
            "{told:?}"
        );

        refused.is_mended();
        world.settle().await;
        assert_eq!(world.run().await.state, RunState::Failed, "nobody asked for it");
        let begun = world.process().worker.healer().redrive(&run.case, "ann").await.unwrap();
        assert_eq!(begun, Some(run.generation));
        world.settle().await;
        let run = world.run().await;
        assert_eq!((run.state, run.summary.outcome), (RunState::Done, CaseOutcome::Open), "{verb}");
        assert_eq!((world.branches().len(), world.pull_requests(), world.memories().await.len()), (1, 1, 1), "{verb}");
        assert_eq!(world.notices(), 2, "that it failed, and that it is proposed");
        let kinds: Vec<&str> = world.events(&run).await.iter().map(|event| event.kind.name()).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == "consulted").count(), 2, "nobody is asked again: {kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| **kind == "redriven").count(), 1, "{kinds:?}");
        world.assert_ended().await;
    }
}

async fn a_run_that_did_not_fail_does_not_begin_anew(at: Storage) {
    let world = at.world().await;
    world.pushed("src/config.py", BAD).await;
    world.settle().await;
    let before = world.run().await;
    let healer = world.process().worker.healer().clone();
    assert_eq!(healer.redrive(&before.case, "ann").await.unwrap(), None);
    let after = world.run().await;
    assert_eq!((after.sequence, after.state, after.due), (before.sequence, RunState::Done, None));
    world.assert_ok().await;
}

/// An index of another shape, or a role that may not write: the proposal stands, and what people do with it counts.
async fn a_memory_that_refuses_keeps_nobody_from_judging_a_proposal(at: Storage) {
    for kind in [ErrorKind::Denied, ErrorKind::Malformed] {
        let world = at.world().await;
        world.pushed("src/config.py", BAD).await;
        worked_under(&world, &Refused::of("memory", "remember_new", kind.clone())).await;
        let run = world.run().await;
        assert_eq!((run.state, world.pull_requests(), world.notices()), (RunState::Done, 1, 1), "{kind:?}");
        let events = world.events(&run).await;
        let learned = events.iter().find_map(|event| match &event.kind {
            EventKind::Learned { fix, detail } => Some((fix.clone(), detail.clone())),
            _ => None,
        });
        let Some((None, detail)) = learned else { panic!("{events:?}") };
        assert!(detail.contains("not remembered") && detail.contains("store a new one"), "{detail}");

        // Closed by people while nothing can be remembered; taken in once it can.
        let push = world.push("src/other.py", BAD);
        world.git.delete_branch(&run.case.branch(&run.summary.rule, run.generation));
        let refused = Refused::of("memory", "remember", kind.clone());
        let process = world.process_under(Arc::clone(&refused) as Arc<dyn Fault>);
        process.worker.reconcile().await.unwrap_err();
        process.drain().await.unwrap();
        assert_eq!(world.run_of("src/config.py").await.summary.outcome, CaseOutcome::Open);
        assert_eq!(world.run_of("src/other.py").await.state, RunState::Done, "other work goes on");
        refused.is_mended();
        world.deliver(&push).await;
        world.settle().await;
        assert_eq!(world.run_of("src/config.py").await.summary.outcome, CaseOutcome::Closed);
        world.assert_ended().await;
    }
}

/// Once something was asked about a range, nothing of the repository can be seen any more: the app was taken off it.
struct TakenOff {
    on: AtomicBool,
    begun: AtomicBool,
}

#[async_trait]
impl Fault for TakenOff {
    async fn before(&self, call: &Call) -> PortResult<()> {
        if call.is("forge", "changed_files") {
            self.begun.store(true, Ordering::SeqCst);
        }
        let gone = call.port == "forge" && self.on.load(Ordering::SeqCst) && self.begun.load(Ordering::SeqCst);
        let error = || PortError::new("forge", call.verb, ErrorKind::Missing).caused_by("the app is not installed");
        if gone { Err(error()) } else { Ok(()) }
    }
}

async fn a_forge_that_is_seen_no_more_has_lost_no_commit(at: Storage) {
    let world = at.world().await;
    world.pushed("src/config.py", BAD).await;
    let taken_off = Arc::new(TakenOff { on: AtomicBool::new(true), begun: AtomicBool::new(false) });
    let process = world.process_under(taken_off.clone() as Arc<dyn Fault>);
    process.drain().await.unwrap();
    assert_eq!(world.runs().await.len(), 0);
    let [aside] = world.store.inbox().buried(10).await.unwrap().try_into().unwrap();
    assert!(aside.reason.contains("not installed"), "{}", aside.reason);
    taken_off.on.store(false, Ordering::SeqCst);
    // Before anybody redrives it.
    world.settle().await;
    assert_eq!(world.run().await.state, RunState::Done, "what was pushed is not taken for known");
    assert!(world.store.inbox().redrive(&aside.receipt).await.unwrap());
    world.settle().await;
    world.assert_ok().await;
}

async fn what_is_not_there_for_a_moment_is_not_taken_for_gone(at: Storage) {
    let world = at.world().await;
    world.pushed("src/config.py", BAD).await;
    let missing = Refused::of("forge", "read_blob", ErrorKind::Missing);
    let process = world.process_under(missing.clone() as Arc<dyn Fault>);
    process.worker.work(1).await.unwrap();
    assert_eq!(world.runs().await.len(), 0);
    missing.is_mended();
    world.settle().await;
    world.assert_ok().await;
}

/// Its version of before cannot be read, then or ever; that must not keep every later push from being scanned.
async fn a_file_that_was_too_large_to_be_read_and_no_longer_is_keeps_no_push_back(at: Storage) {
    let world = at.world().await;
    world.pushed("src/config.py", vec![b'#'; MAX_BLOB + 1]).await;
    world.settle().await;
    world.pushed("src/config.py", BAD).await;
    world.settle().await;
    world.assert_ok().await;
}

/// In a fresh deployment the schedule may look at a branch for the first time before its first pushes are worked on.
async fn pushes_that_were_on_their_way_when_their_branch_was_first_seen_are_scanned(at: Storage) {
    for order in [[0, 1], [1, 0]] {
        let world = at.unseen().await;
        world.git.on("develop").file("src/old.py", BAD).commit("begin");
        let pushes = [world.push("src/a.py", BAD), world.push("src/b.py", BAD)];
        world.process().worker.reconcile().await.unwrap();
        for number in order {
            world.deliver(&pushes[number]).await;
            world.process().drain().await.unwrap();
        }
        world.settle().await;
        let files =
            async || -> Vec<String> { world.runs().await.iter().map(|run| run.summary.path.to_string()).collect() };
        let mut found = files().await;
        found.sort();
        assert_eq!(found, ["src/a.py", "src/b.py"], "{order:?}: what was there before counts as known");
        world.assert_ended().await;
        // Delivered again, before and after the branch has gone on, they change nothing.
        world.deliver(&pushes[0]).await;
        world.settle().await;
        world.pushed("README.md", "more\n").await;
        world.deliver(&pushes[1]).await;
        world.settle().await;
        assert_eq!((files().await.len(), world.branches().len(), world.notices()), (2, 2, 2), "{order:?}");
    }
}
