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
    what_was_written_beside_is_named,
    a_trail_that_was_replaced_by_another_one_is_named,
    a_run_of_which_nothing_is_left_is_named,
    an_event_that_was_sealed_anew_is_named,
    every_part_of_an_event_of_a_push_counts,
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

/// Nothing that anybody reads there may have been put in afterwards.
async fn what_was_written_beside_is_named(at: Storage) {
    let world = healed(at).await;
    let run = world.run().await;
    let of = QueryOf::Partition { pk: keys::pushes(&world.repository().id), prefix: String::new() };
    let push = codehealer::healer::trail::all(&*world.state, of).await.unwrap().remove(0);
    let push: PushHead = record(&push).unwrap();
    for key in [event(&run, 2), keys::run(&run.case, run.generation), keys::push_event(&push.partition, 0)] {
        let item = world.state.get(&key).await.unwrap().unwrap();
        for (name, value) in [("approved_by", json!("ann")), ("note", json!({"deep": [1, 2]}))] {
            world.tamper(&key, |item| drop(item.fields.insert(name.to_owned(), value))).await;
            assert!(!problems(&world).await.is_empty(), "{name} in {key:?}");
            restore(&world, item.clone()).await;
        }
    }
    // Also inside of what was written.
    let key = keys::run(&run.case, run.generation);
    let item = world.state.get(&key).await.unwrap().unwrap();
    world
        .tamper(&key, |item| {
            let Some(Value::Object(summary)) = item.fields.get_mut("summary") else { panic!("{item:?}") };
            summary.insert("approved_by".to_owned(), json!("ann"));
        })
        .await;
    assert!(!problems(&world).await.is_empty(), "inside of the summary");
    restore(&world, item).await;
}

impl World {
    async fn item(&self, key: &Key) -> Item {
        self.state.get(key).await.unwrap().expect("it is there")
    }

    async fn put(&self, item: Item) {
        self.force(Write::Put { item, when: Vec::new() }).await;
    }
}

/// Every event of one run in the places of another's, with the account of them in the head: all hashes fit.
async fn replace(world: &World, (one, other): (&RunHead, &RunHead), as_its_own: bool) {
    let of = QueryOf::Partition { pk: keys::case_partition(&one.case), prefix: "DET#".to_owned() };
    for mut detail in codehealer::healer::trail::all(&*world.state, of).await.unwrap() {
        detail.key.pk = keys::case_partition(&other.case);
        world.put(detail).await;
    }
    for sequence in 0..other.sequence {
        world.remove(&event(other, sequence)).await;
    }
    for sequence in 0..one.sequence {
        let mut item = Item { key: event(other, sequence), ..world.item(&event(one, sequence)).await };
        if as_its_own {
            item.fields.insert("case".to_owned(), json!(other.case));
        }
        world.put(item).await;
    }
    let told = world.item(&keys::run(&one.case, one.generation)).await.fields;
    world
        .tamper(&keys::run(&other.case, other.generation), |item| {
            for name in ["sequence", "head_hash", "state", "summary"] {
                item.fields.insert(name.to_owned(), told[name].clone());
            }
        })
        .await;
}

async fn a_trail_that_was_replaced_by_another_one_is_named(at: Storage) {
    for as_its_own in [false, true] {
        let world = healed(at).await;
        world.pushed("src/other.py", UNKNOWN).await;
        world.settle().await;
        let [one, other] = world.runs().await.try_into().unwrap();
        assert_eq!(problems(&world).await, Vec::<String>::new());
        replace(&world, (&one, &other), as_its_own).await;
        let found = problems(&world).await;
        assert!(found.iter().any(|problem| problem.contains(other.case.as_str())), "{as_its_own}: {found:?}");
        assert!(found.iter().all(|problem| !problem.contains(one.case.as_str())), "{as_its_own}: {found:?}");
    }
    // The same with pushes.
    for as_its_own in [false, true] {
        let world = healed(at).await;
        world.pushed("src/more.txt", "more\n").await;
        world.settle().await;
        let of = QueryOf::Partition { pk: keys::pushes(&world.repository().id), prefix: String::new() };
        let heads = codehealer::healer::trail::all(&*world.state, of).await.unwrap();
        let [one, .., other] = &heads[..] else { panic!("{heads:?}") };
        let (from, to): (PushHead, PushHead) = (record(one).unwrap(), record(other).unwrap());
        for sequence in 0..to.sequence {
            world.remove(&keys::push_event(&to.partition, sequence)).await;
        }
        for sequence in 0..from.sequence {
            let item = world.item(&keys::push_event(&from.partition, sequence)).await;
            let mut copy = Item { key: keys::push_event(&to.partition, sequence), ..item };
            if as_its_own {
                copy.fields.insert("partition".to_owned(), json!(to.partition));
            }
            world.put(copy).await;
        }
        world
            .tamper(&other.key, |item| {
                item.fields.insert("sequence".to_owned(), json!(from.sequence));
                item.fields.insert("head_hash".to_owned(), json!(from.head_hash));
            })
            .await;
        assert!(!problems(&world).await.is_empty(), "{as_its_own}");
    }
}

async fn a_run_of_which_nothing_is_left_is_named(at: Storage) {
    let world = healed(at).await;
    let run = world.run().await;
    for sequence in 0..run.sequence {
        world.remove(&event(&run, sequence)).await;
    }
    world.remove(&keys::run(&run.case, run.generation)).await;
    let found = told(&verify_case(&*world.state, &run.case).await.unwrap());
    assert!(found.iter().any(|problem| problem.contains("generation 1")), "{found:?}");
}

/// Who knows how hashes are made gives the event a new one; the next event, or the head, still names the old.
async fn an_event_that_was_sealed_anew_is_named(at: Storage) {
    let world = healed(at).await;
    let run = world.run().await;
    for sequence in [1, run.sequence - 1] {
        let key = event(&run, sequence);
        let item = world.item(&key).await;
        let mut altered: codehealer::model::AuditEvent = record(&item).unwrap();
        altered.at += 1;
        let sealed = codehealer::state::chain::seal(altered);
        world.tamper(&key, |item| item.fields = codehealer::state::run::fields(&sealed)).await;
        let found = problems(&world).await;
        let named = |p: &&String| p.contains(&format!("event {}", sequence + 1)) || p.contains("the last event");
        assert!(found.iter().any(|p| named(&p)), "event {sequence}: {found:?}");
        restore(&world, item).await;
    }
}

async fn every_part_of_an_event_of_a_push_counts(at: Storage) {
    let world = healed(at).await;
    let of = QueryOf::Partition { pk: keys::pushes(&world.repository().id), prefix: String::new() };
    let head: PushHead = record(&codehealer::healer::trail::all(&*world.state, of).await.unwrap()[0]).unwrap();
    for sequence in 0..head.sequence {
        let key = keys::push_event(&head.partition, sequence);
        let item = world.item(&key).await;
        let mut all = Vec::new();
        places(&Value::Object(item.fields.clone()), String::new(), &mut all);
        for place in all {
            world
                .tamper(&key, |item| {
                    let mut fields = Value::Object(std::mem::take(&mut item.fields));
                    let leaf = fields.pointer_mut(&place).unwrap();
                    *leaf = bent(leaf);
                    let Value::Object(fields) = fields else { panic!("it is an object") };
                    item.fields = fields;
                })
                .await;
            assert!(!problems(&world).await.is_empty(), "event {sequence} at {place}");
            world.put(item.clone()).await;
        }
        restore(&world, item).await;
    }
}
