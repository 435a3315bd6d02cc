//! What goes and comes back, or moves away, between two looks at a branch: a scan that compares two commits does not see it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use codehealer::healer::Caps;
use codehealer::model::{AuditEvent, CaseOutcome, CommitId, EventKind, Feedback, RunState, Task};
use codehealer::ports::{Inbox, PortResult};
use codehealer::state::run::RunHead;

use crate::support::clock::VirtualClock;
use crate::support::faults::{Call, Dying, Fault};
use crate::support::git::oid;
use crate::support::world::{BAD, GOOD, Process, Push, World};

const FILE: &str = "src/config.py";
const MOVED: &str = "src/settings/config.py";

fn branch(run: &RunHead) -> String {
    run.case.branch(&run.summary.rule, run.generation)
}

async fn healed() -> World {
    let world = World::new().await;
    world.pushed(FILE, BAD).await;
    world.settle().await;
    world.assert_ok().await;
    world
}

/// The first run's fix was merged and undone, and one new generation heals what came back.
async fn assert_healed_again(world: &World) {
    world.assert_ended().await;
    let runs = world.runs().await;
    let ended: Vec<_> = runs.iter().map(|run| (run.generation.0, run.state, run.summary.outcome)).collect();
    let (done, merged) = (RunState::Done, CaseOutcome::Merged);
    assert_eq!(ended, [(1, done, merged), (2, done, CaseOutcome::Escalated)], "its one edit is vetoed");
    let last = world.events(&runs[0]).await.pop().unwrap().kind;
    assert!(matches!(last, EventKind::Feedback(Feedback::Reverted { .. })), "{last:?}");
    assert_eq!((world.branches().len(), world.pull_requests(), world.notices()), (1, 1, 2));
}

/// As what the worker does when a webhook tells that a pull request was closed.
async fn follow_up(world: &World) {
    let repository = world.repository();
    let task = Task::FollowUp { repository: repository.id, name: repository.name };
    world.process().worker.handle(&task).await.unwrap();
}

#[tokio::test]
async fn a_fix_that_was_merged_and_undone_before_anybody_looked_is_made_again() {
    let world = healed().await;
    world.git.merge(&branch(&world.run().await), "develop");
    world.push(FILE, BAD);
    world.settle().await;
    assert_healed_again(&world).await;
}

#[tokio::test]
async fn a_fix_whose_undoing_is_scanned_before_its_merge_is_seen_is_made_again() {
    let world = healed().await;
    let before = world.git.tip("develop");
    let after = world.git.merge(&branch(&world.run().await), "develop");
    world.deliver(&Push { before, after }).await;
    world.process().drain().await.unwrap();
    world.pushed(FILE, BAD).await;
    world.process().drain().await.unwrap();
    world.settle().await;
    assert_healed_again(&world).await;
}

#[tokio::test]
async fn a_fix_that_is_undone_after_its_merge_was_seen_and_before_it_was_scanned_is_made_again() {
    let world = healed().await;
    world.git.merge(&branch(&world.run().await), "develop");
    follow_up(&world).await;
    assert_eq!(world.run().await.summary.outcome, CaseOutcome::Merged);
    world.push(FILE, BAD);
    world.settle().await;
    assert_healed_again(&world).await;
}

#[tokio::test]
async fn a_worker_that_dies_while_it_takes_in_a_merge_forgets_no_undoing() {
    for effects in 0..20 {
        let world = healed().await;
        world.git.merge(&branch(&world.run().await), "develop");
        world.push(FILE, BAD);
        let dying = Dying::after(effects);
        let _ = world.process_under(dying.clone() as Arc<dyn Fault>).worker.reconcile().await;
        world.clock.advance(Duration::from_secs(600));
        world.settle().await;
        assert_healed_again(&world).await;
        if !dying.is_dead() {
            assert!(effects > 4, "only {effects} points were tried");
            return;
        }
    }
}

#[tokio::test]
async fn a_bug_that_left_and_returned_before_it_was_delivered_is_healed() {
    let world = World::new().await;
    world.pushed(FILE, BAD).await;
    world.process().worker.work(1).await.unwrap();
    world.push(FILE, GOOD);
    world.process().worker.work(1).await.unwrap();
    assert_eq!(world.run().await.state, RunState::Superseded);
    world.push(FILE, BAD);
    world.settle().await;
    world.assert_ended().await;
    let states: Vec<_> = world.runs().await.iter().map(|run| (run.generation.0, run.state)).collect();
    assert_eq!(states, [(1, RunState::Superseded), (2, RunState::Done)]);
    assert_eq!((world.branches().len(), world.pull_requests(), world.notices()), (1, 1, 1));
}

async fn by_path(world: &World) -> Vec<RunHead> {
    let mut runs = world.runs().await;
    runs.sort_by(|a, b| a.summary.path.cmp(&b.summary.path));
    runs
}

fn moves(world: &World, text: &str) -> Push {
    let before = world.git.tip("develop");
    let after = world.git.on("develop").remove(FILE).file(MOVED, text).commit("move it");
    Push { before, after }
}

#[tokio::test]
async fn a_file_that_was_renamed_before_delivery_is_healed_where_it_is_now() {
    for text in [BAD.to_owned(), format!("\"\"\"Reads settings.\"\"\"\n{BAD}")] {
        let world = World::new().await;
        world.pushed(FILE, BAD).await;
        world.process().worker.work(1).await.unwrap();
        let push = moves(&world, &text);
        world.deliver(&push).await;
        world.settle().await;
        world.assert_ended().await;
        let states = by_path(&world).await.into_iter().map(|run| (run.summary.path.to_string(), run.state));
        let states: Vec<_> = states.collect();
        let expected = [(FILE.to_owned(), RunState::Superseded), (MOVED.to_owned(), RunState::Done)];
        assert_eq!(states, expected);
        assert_eq!((world.branches().len(), world.pull_requests(), world.notices()), (1, 1, 1));
    }
}

/// Git takes one of several files with the same content for the one that was moved, perhaps the wrong one.
#[tokio::test]
async fn a_file_that_was_renamed_is_found_also_beside_a_new_one_with_the_same_content() {
    for twin in ["aa/first.py", "src/twin.py", "zz/last.py"] {
        let world = World::new().await;
        world.pushed(FILE, BAD).await;
        world.process().worker.work(1).await.unwrap();
        moves(&world, BAD);
        world.process().worker.reconcile().await.unwrap();
        world.push(twin, BAD);
        world.settle().await;
        world.assert_ended().await;
        let mut states: Vec<_> =
            world.runs().await.into_iter().map(|run| (run.summary.path.to_string(), run.state)).collect();
        states.sort_by(|a, b| a.0.cmp(&b.0));
        let mut expected = vec![
            (FILE.to_owned(), RunState::Superseded),
            (MOVED.to_owned(), RunState::Done),
            (twin.to_owned(), RunState::Done),
        ];
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(states, expected);
        assert_eq!((world.branches().len(), world.pull_requests(), world.notices()), (2, 2, 2));
    }
}

#[tokio::test]
async fn a_file_that_was_renamed_while_its_findings_waited_is_healed_where_it_is_now() {
    let world = healed().await;
    let more = "\n\ndef more(stream):\n    return yaml.unsafe_load(stream)\n";
    world.pushed(FILE, format!("{BAD}{more}")).await;
    world.settle().await;
    assert_eq!(world.runs().await.len(), 1, "it waits");
    moves(&world, &format!("{BAD}{more}"));
    world.git.delete_branch(&branch(&world.run().await));
    world.settle().await;
    world.assert_ended().await;
    let runs = by_path(&world).await;
    let [closed, moved] = runs.as_slice() else { panic!("{runs:#?}") };
    assert_eq!(closed.summary.outcome, CaseOutcome::Closed);
    assert_eq!((moved.summary.path.as_str(), moved.state), (MOVED, RunState::Done));
    let EventKind::Detected { findings, .. } = &world.events(moved).await[0].kind else { panic!("not detected") };
    assert_eq!(findings.len(), 1, "what was closed is not proposed again: {findings:#?}");
    assert!(findings[0].normalised.contains("unsafe_load"), "{findings:#?}");
}

#[tokio::test]
async fn a_run_that_is_ignored_or_retried_while_it_is_under_way_is_brought_to_its_end() {
    let mut under_way = 0;
    for effects in 0..20 {
        let world = World::new().await;
        world.pushed(FILE, BAD).await;
        world.process().worker.work(1).await.unwrap();
        // Only the index of due work brings the run back.
        for taken in world.store.inbox().take(10, Duration::from_secs(1)).await.unwrap() {
            world.store.inbox().done(&taken.receipt).await.unwrap();
        }
        let run = world.run().await;
        let dying = Dying::after(effects);
        let _ =
            world.process_under(dying as Arc<dyn Fault>).worker.healer().heal(&run.case, run.generation, &|_| {}).await;
        world.clock.advance(Duration::from_secs(60));
        let begun = world.run().await.state;
        under_way += usize::from(!begun.is_terminal());
        let healer = world.process().worker.healer().clone();
        let ignored = healer.ignore(&run.case, None, "ann", "generated").await;
        assert!(ignored.is_ok() || begun == RunState::Branched, "{begun}: {ignored:?}");
        world.settle().await;
        world.assert_ended().await;
        assert!(world.notices() <= 1);
    }
    assert!(under_way > 5, "only {under_way} were under way");
}

/// A rival heals everything just before a worker's nth look at the state.
struct Rival {
    process: Process,
    number: usize,
    looked: AtomicUsize,
}

#[async_trait]
impl Fault for Rival {
    async fn before(&self, call: &Call) -> PortResult<()> {
        if call.is("state", "get") && self.looked.fetch_add(1, Ordering::SeqCst) == self.number {
            let due = self.process.worker.healer().due_runs().await.unwrap().due;
            for (case, generation) in due {
                self.process.worker.healer().heal(&case, generation, &|_| {}).await.unwrap();
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_run_that_a_rival_ended_meanwhile_is_not_told_of_as_put_off() {
    let caps = Caps { per_hour: 100, open: 100, cases_a_push: 1, pause: Duration::ZERO };
    let mut ended_first = 0;
    for number in 0..60 {
        let mut world = World::new().await;
        world.policy.caps = Some(caps);
        let before = world.git.tip("develop");
        let after = world.git.on("develop").file("src/a.py", BAD).file("src/b.py", BAD).commit("two");
        world.deliver(&Push { before, after }).await;
        let rival = Arc::new(Rival { process: world.process(), number, looked: AtomicUsize::new(0) });
        world.process_under(rival.clone() as Arc<dyn Fault>).worker.work(1).await.unwrap();
        let told = world.shown.lock().unwrap().clone();
        let report = told.into_iter().find(|notice| notice.headline.contains("wait for their turn"));
        let done = world.runs().await.into_iter().filter(|run| run.state == RunState::Done);
        for run in done {
            assert_eq!(run.due, None, "look {number}: an ended run is due");
            let headline = run.summary.headline.as_str();
            assert!(report.as_ref().is_none_or(|r| !r.body.contains(headline)), "look {number}: {report:?}");
            ended_first += usize::from(run.summary.path.as_str() == "src/b.py");
        }
        if rival.looked.load(Ordering::SeqCst) <= number {
            break;
        }
    }
    assert!(ended_first > 0, "the rival never was first");
}

/// A worker sleeps through its lease just before it makes a branch, while the file is mended and another worker ends the run.
struct Sleeper {
    rival: Process,
    clock: Arc<VirtualClock>,
    git_dir: PathBuf,
    mended: CommitId,
    slept: AtomicUsize,
}

#[async_trait]
impl Fault for Sleeper {
    async fn before(&self, call: &Call) -> PortResult<()> {
        if call.is("forge", "ensure_branch") && self.slept.fetch_add(1, Ordering::SeqCst) == 0 {
            let repo = git2::Repository::open(&self.git_dir).unwrap();
            repo.reference("refs/heads/develop", oid(&self.mended), true, "mended").unwrap();
            self.clock.advance(Duration::from_secs(3600));
            let due = self.rival.worker.healer().due_runs().await.unwrap().due;
            assert_eq!(due.len(), 1, "the lease has run out");
            for (case, generation) in due {
                self.rival.worker.healer().heal(&case, generation, &|_| {}).await.unwrap();
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_branch_that_comes_after_its_run_had_ended_is_in_the_trail() {
    let world = World::new().await;
    world.pushed(FILE, BAD).await;
    let bad = world.git.tip("develop").unwrap();
    let mended = world.git.on("develop").file(FILE, GOOD).commit("mend it");
    world.git.point("develop", &bad);
    let (rival, clock, git_dir) = (world.process(), world.clock.clone(), world.git.git_dir());
    let sleeper = Arc::new(Sleeper { rival, clock, git_dir, mended, slept: AtomicUsize::new(0) });
    let _ = world.process_under(sleeper as Arc<dyn Fault>).drain().await;
    let run = world.run().await;
    assert_eq!((run.state, world.branches().len()), (RunState::Superseded, 1), "it ended without its branch");
    let recorded = |events: Vec<AuditEvent>| {
        let late = |e: &AuditEvent| matches!(&e.kind, EventKind::Branched { branch: name, adopted: true, .. } if *name == branch(&run));
        events.iter().filter(|event| late(event)).count()
    };
    assert_eq!(recorded(world.events(&run).await), 0);
    for _ in 0..2 {
        world.clock.advance(Duration::from_secs(3600));
        world.settle().await;
        assert_eq!(recorded(world.events(&run).await), 1, "once, however often it is looked for");
        world.assert_ended().await;
    }
    assert_eq!((world.runs().await.len(), world.pull_requests(), world.notices()), (1, 0, 0));
}
