//! What a healed case costs in write units: by AWS's rules on every store, and as DynamoDB Local counts them. It counts otherwise:
//! several small new items of one transaction as one, and index entries twice. Where both differ, AWS's rules decide.

use std::sync::Arc;

use codehealer::model::RunState;
use codehealer::ports::State;

use crate::support::cloud;
use crate::support::stores::Storage;
use crate::support::world::{ANSWERED, BAD, ScriptedModel, UNKNOWN, World};
use crate::support::write_units::Counting;

/// From the push to the end of the run, everything included.
const BUDGET: u64 = 60;

/// A push with one case arrives and is worked on until its run is done. What was written, and the world.
async fn healed(world: &World, file: &str, text: &str) -> Arc<Counting> {
    let counting = Counting::over(Arc::clone(&world.state), world.table.clone());
    let worker = cloud::worker(world, Arc::clone(&counting) as Arc<dyn State>, Arc::new(world.store.inbox()));
    world.pushed(file, text).await;
    while worker.work(10).await.unwrap() > 0 {}
    assert_eq!(world.run().await.state, RunState::Done);
    counting
}

#[tokio::test]
async fn a_case_healed_from_memory_stays_within_its_write_units() {
    let world = World::new().await;
    let counting = healed(&world, "src/config.py", BAD).await;
    assert!(counting.total() <= BUDGET, "{counting}");
    world.assert_ok().await;
}

#[tokio::test]
async fn a_case_healed_by_the_model_stays_within_its_write_units() {
    let model = ScriptedModel::rewriting("has %s", "has", "90");
    let world = World::new().await.with_model(&model);
    let counting = healed(&world, "src/tell.py", UNKNOWN).await;
    assert!(counting.total() <= BUDGET, "{counting}");
    assert!(ANSWERED.len() < UNKNOWN.len() && model.asked() == 1);
}

#[tokio::test]
async fn dynamodb_local_counts_no_more_than_we_reckon() {
    let world = Storage::InDynamoDb.world().await;
    let counting = healed(&world, "src/config.py", BAD).await;
    println!("{counting}");
    assert!(counting.total() <= BUDGET, "{counting}");
}
