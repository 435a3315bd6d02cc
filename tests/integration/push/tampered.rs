//! Somebody who can write to the store alters what is recorded: it is named, whatever the store.

use codehealer::healer::audit::{Verification, verify, verify_case};
use codehealer::model::RunState;
use codehealer::state::chain::PushHead;
use codehealer::state::run::{RunHead, record};
use codehealer::state::{Item, Key, QueryOf, Transaction, Write, keys};
use serde_json::{Value, json};

use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{ScriptedModel, UNKNOWN, World};

on_both_stores! {
    what_was_not_touched_is_as_it_was_written,
    every_event_that_is_altered_is_named,
    every_event_that_is_removed_is_named,
    events_that_change_places_are_named,
    an_event_that_was_added_is_named,
    a_head_that_is_altered_or_removed_is_named,
    a_large_detail_that_is_altered_or_removed_is_named,
    the_trail_of_a_push_is_held_to_the_same,
}

/// A draft whose first event is so large that its detail stands beside it.
async fn healed(at: Storage) -> World {
    let world = at.world().await.with_model(&ScriptedModel::rewriting("%s has %s", "%s has", "80"));
    world.pushed("src/tell.py", UNKNOWN).await;
    world.settle().await;
    world.assert_ok().await;
    world
}

impl World {
    /// Writes past all rules, as somebody could who has the keys of the store.
    async fn tamper(&self, key: &Key, change: impl FnOnce(&mut Item)) {
        let mut item = self.state.get(key).await.unwrap().expect("it is there to be altered");
        change(&mut item);
        self.force(Write::Put { item, when: Vec::new() }).await;
    }

    async fn remove(&self, key: &Key) {
        self.force(Write::Delete { key: key.clone(), when: Vec::new() }).await;
    }

    async fn force(&self, write: Write) {
        self.state.commit(&Transaction { writes: vec![write], token: None }).await.unwrap();
    }
}

async fn problems(world: &World) -> Vec<String> {
    told(&verify(&*world.state).await.unwrap())
}

fn told(found: &Verification) -> Vec<String> {
    found.broken.iter().flat_map(|one| one.problems.iter().map(|what| format!("{}: {what}", one.trail))).collect()
}

/// Puts the item back as it was.
async fn restore(world: &World, item: Item) {
    world.force(Write::Put { item, when: Vec::new() }).await;
    assert_eq!(problems(world).await, Vec::<String>::new());
}

fn event(run: &RunHead, sequence: u64) -> Key {
    keys::event(&run.case, run.generation, sequence)
}

async fn what_was_not_touched_is_as_it_was_written(at: Storage) {
    let world = healed(at).await;
    let found = verify(&*world.state).await.unwrap();
    assert_eq!((found.cases, found.runs, found.broken.len()), (1, 1, 0), "{:?}", told(&found));
    assert!(found.events >= 10 && found.pushes >= 1, "{found:?}");
}

/// Every place where a value stands, as a JSON pointer.
fn places(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, inner)| {
            places(inner, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), into);
        }),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(number, inner)| places(inner, format!("{at}/{number}"), into));
        }
        _ => into.push(at),
    }
}

/// Another value of the same kind.
fn bent(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(format!("{text}x")),
        Value::Number(number) => json!(number.as_f64().unwrap_or_default() + 1.0),
        Value::Bool(yes) => json!(!yes),
        Value::Null => json!("something"),
        other => panic!("{other} is no leaf"),
    }
}

async fn every_event_that_is_altered_is_named(at: Storage) {
    let world = healed(at).await;
    let run = world.run().await;
    for sequence in 0..run.sequence {
        let key = event(&run, sequence);
        let item = world.state.get(&key).await.unwrap().unwrap();
        let mut all = Vec::new();
        places(&Value::Object(item.fields.clone()), String::new(), &mut all);
        // Of a long event some places; the step is odd, so that each kind of field has its turn.
        let step = (all.len() / 12) | 1;
        for place in all.iter().step_by(step) {
            world
                .tamper(&key, |item| {
                    let mut fields = Value::Object(std::mem::take(&mut item.fields));
                    let leaf = fields.pointer_mut(place).unwrap();
                    *leaf = bent(leaf);
                    let Value::Object(fields) = fields else { panic!("it is an object") };
                    item.fields = fields;
                })
                .await;
            let found = told(&verify_case(&*world.state, &run.case).await.unwrap());
            let named = found.iter().any(|problem| problem.contains(&format!("event {sequence}")));
            assert!(named, "event {sequence} at {place}: {found:?}");
            world.force(Write::Put { item: item.clone(), when: Vec::new() }).await;
        }
        restore(&world, item).await;
    }
}

async fn every_event_that_is_removed_is_named(at: Storage) {
    let world = healed(at).await;
    let run = world.run().await;
    for sequence in 0..run.sequence {
        let item = world.state.get(&event(&run, sequence)).await.unwrap().unwrap();
        world.remove(&item.key).await;
        let found = problems(&world).await;
        let named = found.iter().any(|problem| problem.contains(&format!("event {sequence} is missing")));
        assert!(named, "event {sequence}: {found:?}");
        restore(&world, item).await;
    }
}

async fn events_that_change_places_are_named(at: Storage) {
    let world = healed(at).await;
    let run = world.run().await;
    let (first, second) = (event(&run, 2), event(&run, 3));
    let (one, other) =
        (world.state.get(&first).await.unwrap().unwrap(), world.state.get(&second).await.unwrap().unwrap());
    world.tamper(&first, |item| item.fields = other.fields.clone()).await;
    world.tamper(&second, |item| item.fields = one.fields.clone()).await;
    let found = problems(&world).await;
    for number in [2, 3] {
        assert!(found.iter().any(|problem| problem.contains(&format!("event {number}"))), "{found:?}");
    }
}

async fn an_event_that_was_added_is_named(at: Storage) {
    let world = healed(at).await;
    let run = world.run().await;
    let last = world.state.get(&event(&run, run.sequence - 1)).await.unwrap().unwrap();
    let mut added = Item { key: event(&run, run.sequence), ..last };
    added.fields.insert("sequence".to_owned(), json!(run.sequence));
    world.force(Write::Put { item: added, when: Vec::new() }).await;
    let found = problems(&world).await;
    assert!(found.iter().any(|problem| problem.contains("the trail has events up to")), "{found:?}");
}

async fn a_head_that_is_altered_or_removed_is_named(at: Storage) {
    let world = healed(at).await;
    let run = world.run().await;
    let key = keys::run(&run.case, run.generation);
    let item = world.state.get(&key).await.unwrap().unwrap();
    for (place, value) in [
        ("/sequence", json!(3)),
        ("/head_hash", json!("0".repeat(64))),
        ("/state", json!("FAILED")),
        ("/summary/decision", json!("open")),
        ("/summary/outcome", json!("merged")),
        ("/summary/confidence", json!(99)),
    ] {
        world
            .tamper(&key, |item| {
                let mut fields = Value::Object(std::mem::take(&mut item.fields));
                *fields.pointer_mut(place).expect(place) = value.clone();
                let Value::Object(fields) = fields else { panic!("it is an object") };
                item.fields = fields;
            })
            .await;
        let found = problems(&world).await;
        assert!(found.iter().any(|problem| problem.contains(run.case.as_str())), "{place}: {found:?}");
        restore(&world, item.clone()).await;
    }
    world.remove(&key).await;
    let found = told(&verify_case(&*world.state, &run.case).await.unwrap());
    assert!(found.iter().any(|problem| problem.contains("head STATE is missing")), "{found:?}");
}

async fn a_large_detail_that_is_altered_or_removed_is_named(at: Storage) {
    // A model that answers at length leaves a large event.
    let text =
        format!("{UNKNOWN}\n\ndef other():\n{}    return 1\n", "    call('some words to make it long')\n".repeat(900));
    let model = ScriptedModel::answering(|prompt| {
        Ok(crate::support::world::rewrite(prompt, "80", |region| {
            region.replace("%s has %s", &format!("%s has{}", " ".repeat(40_000)))
        }))
    });
    let world = at.world().await.with_model(&model);
    world.pushed("src/tell.py", text).await;
    world.settle().await;
    let run = world.run().await;
    assert!(run.state != RunState::Failed);
    let of = QueryOf::Partition { pk: keys::case_partition(&run.case), prefix: "DET#".to_owned() };
    let details = codehealer::healer::trail::all(&*world.state, of).await.unwrap();
    assert!(!details.is_empty(), "an event is large");
    for item in details {
        world.remove(&item.key).await;
        let found = problems(&world).await;
        assert!(found.iter().any(|problem| problem.contains("its detail")), "{found:?}");
        restore(&world, item.clone()).await;
        world
            .tamper(&item.key, |item| {
                let text = item.fields["text"].as_str().unwrap().replacen('a', "b", 1);
                item.fields.insert("text".to_owned(), json!(text));
            })
            .await;
        let found = problems(&world).await;
        assert!(found.iter().any(|problem| problem.contains("event ")), "{found:?}");
        restore(&world, item).await;
    }
}

async fn the_trail_of_a_push_is_held_to_the_same(at: Storage) {
    let world = healed(at).await;
    let of = QueryOf::Partition { pk: keys::pushes(&world.repository().id), prefix: String::new() };
    let heads = codehealer::healer::trail::all(&*world.state, of).await.unwrap();
    assert!(!heads.is_empty());
    for head in heads {
        let told: PushHead = record(&head).unwrap();
        for sequence in 0..told.sequence {
            let key = keys::push_event(&told.partition, sequence);
            let item = world.state.get(&key).await.unwrap().unwrap();
            world.remove(&key).await;
            let found = problems(&world).await;
            assert!(found.iter().any(|p| p.contains(&format!("event {sequence} is missing"))), "{sequence}: {found:?}");
            restore(&world, item.clone()).await;
            world.tamper(&key, |item| drop(item.fields.insert("at".to_owned(), json!(7)))).await;
            let found = problems(&world).await;
            assert!(found.iter().any(|p| p.contains(&format!("event {sequence}"))), "{sequence}: {found:?}");
            restore(&world, item).await;
        }
    }
}
