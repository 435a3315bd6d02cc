//! What we did comes back to us as news, and another program undoes what we do: it ends.

use std::sync::Arc;
use std::time::Duration;

use codehealer::model::{CaseOutcome, Decision, RunState, Task};
use codehealer::ports::Inbox as _;

use crate::support::faults::{Counting, Fault};
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, GOOD, Push, ScriptedModel, UNKNOWN, World};

on_both_stores! {
    our_own_branches_pushes_and_merges_are_no_news,
    a_bot_that_undoes_what_is_merged_does_not_get_it_again_and_a_person_is_told,
    a_bot_that_undoes_a_draft_gets_no_second_one_of_the_same_edit,
    a_bot_that_closes_what_we_propose_gets_it_once,
    what_our_fix_brought_in_is_healed_at_most_once,
}

const FILE: &str = "src/config.py";

async fn follow_up(world: &World) {
    let task = Task::FollowUp { repository: world.repository().id, name: world.repository().name };
    let body = serde_json::to_string(&task).unwrap();
    world.store.inbox().enqueue(&body, None, Duration::ZERO).await.unwrap();
}

async fn branch_of_the_last_run(world: &World) -> Option<String> {
    let run = world.runs().await.into_iter().max_by_key(|run| run.generation)?;
    let name = run.case.branch(&run.summary.rule, run.generation);
    let waits = run.summary.outcome == CaseOutcome::Open && world.git.tip(&name).is_some();
    waits.then_some(name)
}

async fn our_own_branches_pushes_and_merges_are_no_news(at: Storage) {
    let world = at.world().await;
    world.pushed(FILE, BAD).await;
    world.settle().await;
    world.assert_ok().await;
    let name = branch_of_the_last_run(&world).await.unwrap();
    let before = world.git.tip("develop");
    let merged = world.git.merge(&name, "develop");
    let counting = Counting::new();
    // GitHub tells of the merge as a push to the branch and as a closed pull request, in any order and more than once.
    for _ in 0..3 {
        follow_up(&world).await;
        world.deliver(&Push { before: before.clone(), after: merged.clone() }).await;
        world.process_under(counting.clone() as Arc<dyn Fault>).drain().await.unwrap();
        world.settle().await;
    }
    world.git.delete_branch(&name);
    follow_up(&world).await;
    world.settle().await;
    assert_eq!(world.run().await.summary.outcome, CaseOutcome::Merged, "one run, and it ended well");
    assert_eq!((world.pull_requests(), world.notices(), world.memories().await.len()), (1, 1, 1));
    for verb in ["ensure_branch", "ensure_pull_request"] {
        assert_eq!(counting.calls("forge", verb), 0, "{verb}");
    }
    world.assert_ended().await;
}

/// Somebody merges everything at once and another program undoes it at once; returns how many pull requests that made.
async fn ping_pong(world: &World, (good, bad): (&str, &str)) -> usize {
    for round in 0..6 {
        world.settle().await;
        let Some(name) = branch_of_the_last_run(world).await else { break };
        world.git.merge(&name, "develop");
        world.settle().await;
        assert_eq!(world.git.file_at(&world.git.tip("develop").unwrap(), FILE), good.as_bytes(), "round {round}");
        world.pushed(FILE, bad).await;
    }
    world.settle().await;
    world.assert_ended().await;
    world.pull_requests()
}

async fn a_bot_that_undoes_what_is_merged_does_not_get_it_again_and_a_person_is_told(at: Storage) {
    let world = at.world().await;
    world.pushed(FILE, BAD).await;
    let made = ping_pong(&world, (GOOD, BAD)).await;
    assert_eq!(made, 1, "the edit that was undone is not proposed again");
    let last = world.runs().await.into_iter().max_by_key(|run| run.generation).unwrap();
    assert_eq!((last.state, last.summary.outcome), (RunState::Done, CaseOutcome::Escalated), "{last:#?}");
    assert!(world.shown.lock().unwrap().last().unwrap().for_senior);
    // And from then on it is quiet.
    let (runs, notices) = (world.runs().await.len(), world.notices());
    for text in [GOOD, BAD, GOOD, BAD] {
        world.pushed(FILE, text).await;
        world.settle().await;
    }
    assert_eq!(world.pull_requests(), made);
    assert_eq!((world.runs().await.len(), world.notices()), (runs, notices));
}

async fn a_bot_that_undoes_a_draft_gets_no_second_one_of_the_same_edit(at: Storage) {
    let model = ScriptedModel::rewriting("%s has %s", "%s has", "80");
    let world = at.world().await.with_model(&model);
    world.pushed(FILE, UNKNOWN).await;
    let made = ping_pong(&world, (crate::support::world::ANSWERED, UNKNOWN)).await;
    assert_eq!((made, model.asked()), (1, 2), "asked once for each generation");
    let last = world.runs().await.into_iter().max_by_key(|run| run.generation).unwrap();
    assert_ne!(last.summary.decision, Some(Decision::Open));
}

async fn a_bot_that_closes_what_we_propose_gets_it_once(at: Storage) {
    let world = at.world().await;
    world.pushed(FILE, BAD).await;
    for text in [GOOD, BAD, GOOD, BAD] {
        world.settle().await;
        if let Some(name) = branch_of_the_last_run(&world).await {
            world.git.delete_branch(&name);
            follow_up(&world).await;
            world.settle().await;
        }
        world.pushed(FILE, text).await;
    }
    world.settle().await;
    world.assert_ended().await;
    assert_eq!((world.pull_requests(), world.notices()), (1, 1));
}

async fn what_our_fix_brought_in_is_healed_at_most_once(at: Storage) {
    // A bot formats whatever is merged, so that the place looks new each time, and puts another finding of the same rule into it.
    let world = at.world().await;
    world.pushed(FILE, BAD).await;
    for round in 0..4 {
        world.settle().await;
        if let Some(name) = branch_of_the_last_run(&world).await {
            world.git.merge(&name, "develop");
            world.settle().await;
        }
        world.pushed(FILE, format!("# formatted {round}\n{GOOD}")).await;
    }
    world.settle().await;
    world.assert_ended().await;
    assert_eq!((world.runs().await.len(), world.pull_requests()), (1, 1), "a formatted fix is no new finding");
}
