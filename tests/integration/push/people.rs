//! What people do with our branches and pull requests, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use codehealer::healer::{FRESH_HEAD, ScanRequest};
use codehealer::model::{CaseOutcome, EventKind, Feedback, Provenance, RunState};
use codehealer::ports::PullRequestState;
use codehealer::state::run::RunHead;

use crate::support::faults::{Counting, Dying, Fault};
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, GOOD, World};

on_both_stores! {
    a_closed_pull_request_is_never_opened_again,
    a_merged_fix_is_trusted_and_its_undoing_begins_one_new_generation,
    a_fix_that_was_amended_is_learned_as_it_was_merged,
    a_commit_of_a_person_on_our_branch_stays_its_tip,
    a_person_who_is_faster_than_our_record_keeps_the_branch,
    our_branch_without_a_pull_request_gets_one,
    a_branch_of_that_name_with_other_content_is_left_alone,
    a_file_that_changed_before_delivery_is_judged_anew_once,
    a_branch_that_was_read_just_now_is_not_read_again_and_later_it_is,
    a_file_that_was_healed_before_delivery_asks_for_nothing,
    what_is_found_while_people_look_waits_and_is_healed_afterwards,
    the_bug_on_another_branch_is_no_undone_merge,
}

const FILE: &str = "src/config.py";

fn branch(run: &RunHead) -> String {
    run.case.branch(&run.summary.rule, run.generation)
}

async fn healed(at: Storage) -> World {
    let world = at.world().await;
    world.pushed(FILE, BAD).await;
    world.settle().await;
    world.assert_ok().await;
    world
}

/// Asks for everything at the head, as `heal --all` does.
async fn heal_all(world: &World) {
    world.heal_head(Vec::new()).await;
}

async fn a_closed_pull_request_is_never_opened_again(at: Storage) {
    let world = healed(at).await;
    world.git.delete_branch(&branch(&world.run().await));
    world.settle().await;
    assert_eq!(world.run().await.summary.outcome, CaseOutcome::Closed);
    let [memory] = world.memories().await.try_into().unwrap();
    assert_eq!(memory.record.rejected, 1);

    heal_all(&world).await;
    world.pushed(FILE, format!("# moved\n\n{BAD}")).await;
    world.settle().await;
    heal_all(&world).await;
    assert_eq!((world.runs().await.len(), world.branches().len(), world.notices()), (1, 0, 1));
    world.assert_ended().await;
}

async fn a_merged_fix_is_trusted_and_its_undoing_begins_one_new_generation(at: Storage) {
    let world = healed(at).await;
    world.git.merge(&branch(&world.run().await), "develop");
    world.settle().await;
    let merged = world.run().await;
    assert_eq!(merged.summary.outcome, CaseOutcome::Merged);
    let [memory] = world.memories().await.try_into().unwrap();
    assert!(matches!(memory.provenance, Provenance::Merged { .. }));
    assert_eq!(memory.record.accepted, 1);
    heal_all(&world).await;
    assert_eq!(world.runs().await.len(), 1, "what was merged asks for nothing");

    // To the byte what it was before: `git revert`.
    let push = world.pushed(FILE, BAD).await;
    world.settle().await;
    world.deliver(&push).await;
    world.settle().await;
    heal_all(&world).await;
    let runs = world.runs().await;
    assert_eq!(runs.len(), 2, "exactly one new generation");
    // What was taken back is not proposed again: a person is told instead.
    assert_eq!((world.branches().len(), world.pull_requests(), world.notices()), (1, 1, 2));
    let again = runs.iter().find(|run| run.generation > merged.generation).unwrap();
    assert_eq!((again.state, again.summary.outcome), (RunState::Done, CaseOutcome::Escalated));
    let undone = world.events(&merged).await;
    assert!(matches!(undone.last().unwrap().kind, EventKind::Feedback(Feedback::Reverted { .. })), "{undone:?}");
    let old = world.memories().await.into_iter().find(|m| m.id == memory.id).unwrap();
    assert_eq!(old.record.reverted, 1, "the edit lost trust");
    world.assert_ended().await;
}

async fn a_fix_that_was_amended_is_learned_as_it_was_merged(at: Storage) {
    let world = healed(at).await;
    let name = branch(&world.run().await);
    let amended = GOOD.replace("yaml.safe_load(f)", "yaml.safe_load(f) or {}");
    world.git.on(&name).file(FILE, &amended).commit("or nothing");
    world.git.merge(&name, "develop");
    world.settle().await;
    let run = world.run().await;
    let events = world.events(&run).await;
    assert!(matches!(events.last().unwrap().kind, EventKind::Feedback(Feedback::Merged { amended: true, .. })));
    let [memory] = world.memories().await.try_into().unwrap();
    assert!(memory.scope_after.contains("or {}"), "{}", memory.scope_after);
}

async fn a_commit_of_a_person_on_our_branch_stays_its_tip(at: Storage) {
    let world = healed(at).await;
    let name = branch(&world.run().await);
    let theirs = world.git.on(&name).file(FILE, GOOD.replace("path", "place")).commit("better names");
    let push = world.pushed(FILE, format!("{BAD}\n\ndef more(f):\n    return yaml.load(f)\n")).await;
    world.settle().await;
    world.deliver(&push).await;
    heal_all(&world).await;
    assert_eq!(world.git.tip(&name), Some(theirs));
    assert_eq!((world.branches().len(), world.pull_requests(), world.notices()), (1, 1, 1));
}

async fn a_person_who_is_faster_than_our_record_keeps_the_branch(at: Storage) {
    // Killed at every point; a person commits on whatever branch there is by then.
    for effects in 0..30 {
        let world = at.world().await;
        world.pushed(FILE, BAD).await;
        let dying = Dying::after(effects);
        let _ = world.process_under(dying.clone() as Arc<dyn Fault>).drain().await;
        let theirs = world.branches().into_keys().next().map(|reference| {
            let name = reference.strip_prefix("refs/heads/").unwrap().to_owned();
            let tip = world.git.on(&name).file("NOTES.md", "mine\n").commit("mine");
            (name, tip)
        });
        world.settle().await;
        world.assert_ended().await;
        if let Some((name, tip)) = theirs {
            assert_eq!(world.git.tip(&name), Some(tip), "{effects}");
        }
        assert_eq!((world.branches().len(), world.notices()), (1, 1), "{effects}");
        assert!(world.pull_requests() <= 1);
    }
}

async fn our_branch_without_a_pull_request_gets_one(at: Storage) {
    let mut effects = 0;
    let world = loop {
        let world = at.world().await;
        world.pushed(FILE, BAD).await;
        let _ = world.process_under(Dying::after(effects) as Arc<dyn Fault>).drain().await;
        if !world.branches().is_empty() {
            break world;
        }
        effects += 1;
    };
    assert_eq!(world.pull_requests(), 0, "killed right after the branch was made");
    world.settle().await;
    world.assert_ok().await;
    let run = world.run().await;
    assert_eq!(world.pull_request(&run).await.unwrap().state, PullRequestState::Open);
}

async fn a_branch_of_that_name_with_other_content_is_left_alone(at: Storage) {
    let world = at.world().await;
    world.pushed(FILE, BAD).await;
    world.process().worker.work(1).await.unwrap();
    let name = branch(&world.run().await);
    let theirs = world.git.on(&name).file("x", "x").commit("mine");
    world.settle().await;
    let run = world.run().await;
    assert_eq!((run.state, run.summary.outcome), (RunState::Done, CaseOutcome::Escalated));
    assert_eq!(world.git.tip(&name), Some(theirs));
    assert_eq!((world.pull_requests(), world.notices()), (0, 1));
    assert!(world.shown.lock().unwrap()[0].for_senior);
    world.assert_ended().await;
}

async fn a_file_that_changed_before_delivery_is_judged_anew_once(at: Storage) {
    let world = at.world().await;
    world.pushed(FILE, BAD).await;
    world.process().worker.work(1).await.unwrap();
    world.push(FILE, format!("\"\"\"Reads settings.\"\"\"\n{BAD}"));
    world.settle().await;
    let runs = world.runs().await;
    let states: Vec<_> = runs.iter().map(|run| (run.generation.0, run.state)).collect();
    assert_eq!(states, [(1, RunState::Superseded), (2, RunState::Done)]);
    assert_eq!((world.branches().len(), world.pull_requests(), world.notices()), (1, 1, 1));
    world.assert_ended().await;
}

/// Across a network the branch is not read again for a decision that comes within seconds.
async fn a_branch_that_was_read_just_now_is_not_read_again_and_later_it_is(at: Storage) {
    for (wait, looks) in [(Duration::from_millis(4_900), 0), (FRESH_HEAD, 1)] {
        let mut world = at.world().await;
        world.policy.fresh_head = FRESH_HEAD;
        world.pushed(FILE, BAD).await;
        world.process().worker.work(1).await.unwrap();
        // The file is healed: what is made of the decision tells whether anybody looked.
        world.push(FILE, GOOD);
        world.clock.advance(wait);
        let counting = Counting::new();
        world.process_under(counting.clone() as Arc<dyn Fault>).drain().await.unwrap();
        let read = counting.verbs("forge").iter().filter(|verb| **verb == "head").count();
        assert_eq!(world.branches().len(), 1 - looks, "after {wait:?}");
        assert_eq!(read > 0, looks > 0, "after {wait:?}: {:?}", counting.verbs("forge"));
    }
}

async fn a_file_that_was_healed_before_delivery_asks_for_nothing(at: Storage) {
    let world = at.world().await;
    world.pushed(FILE, BAD).await;
    world.process().worker.work(1).await.unwrap();
    world.push(FILE, GOOD);
    world.settle().await;
    assert_eq!(world.run().await.state, RunState::Superseded);
    assert_eq!((world.branches().len(), world.pull_requests(), world.notices()), (0, 0, 0));
    world.assert_ended().await;
}

async fn what_is_found_while_people_look_waits_and_is_healed_afterwards(at: Storage) {
    let world = healed(at).await;
    let name = branch(&world.run().await);
    let more = "\n\ndef more(stream):\n    return yaml.unsafe_load(stream)\n";
    world.pushed(FILE, format!("{BAD}{more}")).await;
    world.settle().await;
    assert_eq!((world.runs().await.len(), world.pull_requests()), (1, 1), "it waits");

    let (ours, theirs) = (world.git.tip("develop").unwrap(), world.git.tip(&name).unwrap());
    world.git.on("develop").parents(&[&ours, &theirs]).file(FILE, format!("{GOOD}{more}")).commit("merge");
    world.settle().await;
    let runs = world.runs().await;
    assert_eq!(runs.len(), 2, "what waited is healed: {runs:#?}");
    assert_eq!((world.pull_requests(), world.notices()), (2, 2));
    world.assert_ended().await;
}

/// A release that never had the fix says nothing about it.
async fn the_bug_on_another_branch_is_no_undone_merge(at: Storage) {
    let world = healed(at).await;
    let buggy = world.git.tip("develop").unwrap();
    world.git.merge(&branch(&world.run().await), "develop");
    world.settle().await;
    let merged = world.run().await;
    world.git.point("release", &buggy);
    let release = world.git.on("release").file("VERSION", "1\n").commit("release");
    let request = ScanRequest {
        repository: world.repository(),
        reference: "refs/heads/release".to_owned(),
        base: None,
        head: release,
        pusher: None,
        external: Vec::new(),
    };
    world.process().worker.healer().scan(&request).await.unwrap();
    let events = world.events(&merged).await;
    let last = &events.last().unwrap().kind;
    assert!(matches!(last, EventKind::Feedback(Feedback::Merged { .. })), "{last:?}");
    let [memory] = world.memories().await.try_into().unwrap();
    assert_eq!((memory.record.accepted, memory.record.reverted), (1, 0), "the edit keeps its trust");
}
