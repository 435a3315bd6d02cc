//! The track record of a model: what people did with its proposals moves what its next one is worth, by model and rule, once each.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use codehealer::model::{CaseOutcome, Decision, EventKind, Evidence, FixId, PastFix, Source, TrackRecord};
use codehealer::ports::{Completion, FixMemory, FixQuery, Model, PortResult, Prompt};
use codehealer::state::run::RunHead;

use crate::support::faults::{Dying, Fault, LosesAnswers};
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{ANSWERED, Push, ScriptedModel, UNKNOWN, World};

on_both_stores! {
    what_people_do_with_a_proposal_moves_the_next_one_of_its_rule,
    thirty_outcomes_speak_for_themselves_both_ways,
    an_outcome_counts_once_while_answers_are_lost,
    killed_while_people_are_heard_an_outcome_counts_once,
}

fn good() -> Arc<ScriptedModel> {
    ScriptedModel::rewriting("%s has %s", "%s has", "80")
}

async fn world(at: Storage, model: &Arc<ScriptedModel>) -> World {
    let mut world = at.world().await.with_model(model);
    world.policy.model.samples = 1;
    world.memory = Arc::new(Forgetful);
    world
}

/// Keeps nothing: what people merged would else be proposed as a past fix, and nobody would ask the model.
struct Forgetful;

#[async_trait]
impl FixMemory for Forgetful {
    async fn nearest(&self, _query: &FixQuery) -> PortResult<Vec<(PastFix, f64)>> {
        Ok(Vec::new())
    }

    async fn get(&self, _id: &FixId) -> PortResult<Option<PastFix>> {
        Ok(None)
    }

    async fn remember(&self, _fix: &PastFix) -> PortResult<()> {
        Ok(())
    }

    async fn remember_new(&self, _fix: &PastFix) -> PortResult<bool> {
        Ok(true)
    }

    async fn forget(&self, _id: &FixId) -> PortResult<bool> {
        Ok(false)
    }

    async fn list(&self, _after: Option<&FixId>, _limit: usize) -> PortResult<Vec<PastFix>> {
        Ok(Vec::new())
    }
}

/// Somebody pushes so many files with one finding each, and all are worked on. The runs, oldest first.
async fn proposed(world: &World, name: &str, number: usize) -> Vec<RunHead> {
    let before = world.git.tip("develop");
    let mut change = world.git.on("develop");
    for number in 0..number {
        change = change.file(&format!("src/{name}{number}.py"), UNKNOWN);
    }
    let after = change.commit(name);
    world.deliver(&Push { before, after }).await;
    world.settle().await;
    let runs = world.runs().await;
    runs.into_iter().filter(|run| run.summary.path.as_str().starts_with(&format!("src/{name}"))).collect()
}

fn branch(run: &RunHead) -> String {
    run.case.branch(&run.summary.rule, run.generation)
}

fn merge(world: &World, run: &RunHead) {
    world.git.merge(&branch(run), "develop");
}

/// Merges the change alone, as a rebase does: what was merged before stays.
fn pick(world: &World, run: &RunHead) {
    world.git.on("develop").file(run.summary.path.as_str(), ANSWERED).commit("picked");
}

fn close(world: &World, run: &RunHead) {
    world.git.delete_branch(&branch(run));
}

/// The record that the model's proposal of a run was judged under.
async fn record(world: &World, run: &RunHead) -> TrackRecord {
    let events = world.events(run).await;
    let found = events.iter().find_map(|event| match &event.kind {
        EventKind::Judged { source: Source::Model, candidates } => match &candidates[0].candidate.evidence {
            Evidence::Model { record, .. } => Some(*record),
            other => panic!("{other:?}"),
        },
        _ => None,
    });
    found.expect("a model's proposal was judged")
}

fn percent(run: &RunHead) -> u8 {
    run.summary.confidence.unwrap().percent()
}

fn of(accepted: u32, rejected: u32, reverted: u32) -> TrackRecord {
    TrackRecord { accepted, rejected, reverted }
}

async fn what_people_do_with_a_proposal_moves_the_next_one_of_its_rule(at: Storage) {
    let model = good();
    let world = world(at, &model).await;
    let first = proposed(&world, "first", 1).await.remove(0);
    assert_eq!((record(&world, &first).await, percent(&first)), (of(0, 0, 0), 80));

    merge(&world, &first);
    world.settle().await;
    let second = proposed(&world, "second", 1).await.remove(0);
    // (10 · 0.80 + 1) / (10 + 1)
    assert_eq!((record(&world, &second).await, percent(&second)), (of(1, 0, 0), 81));

    close(&world, &second);
    world.settle().await;
    let third = proposed(&world, "third", 1).await.remove(0);
    // (10 · 0.80 + 1) / (10 + 2)
    assert_eq!((record(&world, &third).await, percent(&third)), (of(1, 1, 0), 75));

    // The first fix is undone: what was accepted is not any more.
    world.pushed("src/first0.py", UNKNOWN).await;
    world.settle().await;
    let fourth = proposed(&world, "fourth", 1).await.remove(0);
    // (10 · 0.80) / (10 + 2)
    assert_eq!((record(&world, &fourth).await, percent(&fourth)), (of(0, 1, 1), 66));

    // Another rule, and another model, begin without a record.
    let js = "export function f(list) {\n  return list.length < 0;\n}\n";
    let other = ScriptedModel::rewriting("list.length < 0", "list.length === 0", "80");
    let mut world = world.with_model(&other);
    world.pushed("src/count.js", js).await;
    world.settle().await;
    let run = world.runs().await.into_iter().find(|run| run.summary.path.as_str() == "src/count.js").unwrap();
    assert_eq!((record(&world, &run).await, percent(&run)), (of(0, 0, 0), 80));
    world.model = Some(Arc::new(Renamed(good())));
    let fifth = proposed(&world, "fifth", 1).await.remove(0);
    assert_eq!((record(&world, &fifth).await, percent(&fifth)), (of(0, 0, 0), 80));
}

/// The same model under another name.
struct Renamed(Arc<ScriptedModel>);

#[async_trait]
impl Model for Renamed {
    async fn complete(&self, prompt: &Prompt) -> PortResult<Completion> {
        let one = self.0.complete(prompt).await?;
        Ok(Completion { model: "another".to_owned(), ..one })
    }
}

async fn thirty_outcomes_speak_for_themselves_both_ways(at: Storage) {
    for (merged, decision, expected) in [(true, Decision::Open, 95), (false, Decision::Escalate, 20)] {
        let model = good();
        let world = world(at, &model).await;
        let runs = proposed(&world, "many", 30).await;
        assert_eq!(runs.len(), 30);
        for run in &runs {
            assert_eq!(run.summary.decision, Some(Decision::Draft));
            if merged { pick(&world, run) } else { close(&world, run) }
        }
        world.settle().await;
        let next = proposed(&world, "next", 1).await.remove(0);
        // (10 · 0.80 + 30) / 40 and (10 · 0.80) / 40: a long record lifts the cap of 84, and a bad one leaves nothing.
        assert_eq!((next.summary.decision, percent(&next)), (Some(decision), expected), "{merged}");
        assert_eq!(record(&world, &next).await.reviewed(), 30);
    }
}

async fn an_outcome_counts_once_while_answers_are_lost(at: Storage) {
    let model = good();
    let world = world(at, &model).await;
    let runs = proposed(&world, "first", 2).await;
    merge(&world, &runs[0]);
    close(&world, &runs[1]);
    let unreliable = world.process_under(LosesAnswers::new() as Arc<dyn Fault>);
    world.work_off(&unreliable).await;
    world.settle().await;
    for run in world.runs().await {
        assert_ne!(run.summary.outcome, CaseOutcome::Open);
    }
    let next = proposed(&world, "next", 1).await.remove(0);
    assert_eq!(record(&world, &next).await, of(1, 1, 0));
}

async fn killed_while_people_are_heard_an_outcome_counts_once(at: Storage) {
    for effects in 0..20 {
        let model = good();
        let world = world(at, &model).await;
        let first = proposed(&world, "first", 1).await.remove(0);
        merge(&world, &first);
        let dying = Dying::after(effects);
        let process = world.process_under(Arc::clone(&dying) as Arc<dyn Fault>);
        let _ = process.worker.reconcile().await;
        drop(process);
        world.clock.advance(Duration::from_secs(60));
        world.settle().await;
        let next = proposed(&world, "next", 1).await.remove(0);
        assert_eq!(record(&world, &next).await, of(1, 0, 0), "after {effects} effects");
        if !dying.is_dead() {
            assert!(effects > 2, "it was killed on the way at least some times");
            return;
        }
    }
    panic!("hearing of one merge has fewer effects than that");
}
