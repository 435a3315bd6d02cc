//! The process dies, or does not hear what it did, between any two effects.

use std::sync::Arc;

use crate::support::faults::{Counting, Dying, Fault, LosesAnswers};
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{ANSWERED, BAD, ScriptedModel, UNKNOWN};

on_both_stores! {
    a_push_is_healed_once,
    killed_between_any_two_effects_it_goes_on,
    killed_between_any_two_effects_of_a_draft_it_goes_on,
    when_every_answer_is_lost_nothing_is_done_twice,
    deaths_are_counted_since_the_last_progress_only,
}

async fn a_push_is_healed_once(at: Storage) {
    let world = at.world().await;
    world.pushed("src/config.py", BAD).await;
    let counting = Counting::new();
    world.process_under(counting.clone()).drain().await.unwrap();
    world.assert_ok().await;
    assert_eq!(counting.calls("forge", "ensure_branch"), 1);
    assert!(counting.writes().values().filter(|times| **times > 1).count() <= 1, "{:?}", counting.writes());
}

/// One world a point: the process is killed after that many effects, another one takes over later.
async fn killed_everywhere(at: Storage, file: &str, text: &str, model: Option<&Arc<ScriptedModel>>) -> usize {
    for effects in 0.. {
        let world = at.world().await;
        let world = match model {
            Some(model) => world.with_model(model),
            None => world,
        };
        world.pushed(file, text).await;
        let dying = Dying::after(effects);
        let ended = world.process_under(dying.clone()).drain().await;
        assert_eq!(ended.is_err(), dying.is_dead(), "{effects}: {ended:?}");
        world.settle().await;
        world.assert_ok().await;
        if !dying.is_dead() {
            return effects;
        }
    }
    0
}

async fn killed_between_any_two_effects_it_goes_on(at: Storage) {
    let points = killed_everywhere(at, "src/config.py", BAD, None).await;
    assert!(points > 15, "only {points} points were tried");
}

async fn killed_between_any_two_effects_of_a_draft_it_goes_on(at: Storage) {
    let model = ScriptedModel::rewriting("%s has %s", "%s has", "80");
    assert_eq!(UNKNOWN.replace("%s has %s", "%s has"), ANSWERED);
    let points = killed_everywhere(at, "src/tell.py", UNKNOWN, Some(&model)).await;
    assert!(points > 15, "only {points} points were tried");
}

async fn when_every_answer_is_lost_nothing_is_done_twice(at: Storage) {
    let world = at.world().await;
    world.pushed("src/config.py", BAD).await;
    let deaf = LosesAnswers::new();
    for _ in 0..40 {
        let process = world.process_under(deaf.clone() as Arc<dyn Fault>);
        let _ = process.drain().await;
        world.clock.advance(std::time::Duration::from_secs(300));
    }
    world.settle().await;
    world.assert_ok().await;
    let writes = deaf.seen.writes();
    let effects = writes.iter().filter(|(call, _)| call.verb != "take");
    for (call, times) in effects {
        assert!(*times <= 2, "{times} × {call:?}");
    }
    assert!(writes.len() > 15);
}

/// Each of many workers takes a step and dies: that is no run which kills its workers.
async fn deaths_are_counted_since_the_last_progress_only(at: Storage) {
    let mut world = at.world().await;
    world.policy.max_attempts = 2;
    world.pushed("src/config.py", BAD).await;
    world.process().worker.work(1).await.unwrap();
    let mut deaths = 0;
    while !world.run().await.state.is_terminal() {
        // Enough to take the task and the lease, to find what the one before did, and for a record.
        let dying = Dying::after(5);
        let _ = world.process_under(dying.clone() as Arc<dyn Fault>).drain().await;
        deaths += u32::from(dying.is_dead());
        world.clock.advance(world.policy.lease + std::time::Duration::from_secs(1));
    }
    assert!(deaths > world.policy.max_attempts, "only {deaths} died");
    world.settle().await;
    world.assert_ok().await;
}
