//! The state store against AWS's own DynamoDB: the contract of its port, exact numbers, its table, and what it costs.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use codehealer::aws::dynamodb::DynamoState;
use codehealer::aws::dynamodb::table::{INDEXES, definition};
use codehealer::ports::{ErrorKind, State};
use codehealer::state::{Condition, Index, IndexEntry, Item, Query, QueryOf, Transaction, Write};
use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};
use uuid::Uuid;

use super::aws;
use crate::contract::state::{Subject, contract, item, key, one_writer_at_a_time, put, transaction};
use crate::support::clock::VirtualClock;
use crate::support::servers;

pub fn fresh_table() -> String {
    format!("codehealer-{}", Uuid::new_v4().simple())
}

/// An empty table of its own behind `endpoint`.
pub async fn table(endpoint: &str) -> (DynamoState, Arc<VirtualClock>) {
    let clock = VirtualClock::new();
    let state = DynamoState::new(aws(endpoint), fresh_table(), clock.clone());
    state.create_table().await.unwrap();
    (state, clock)
}

async fn local() -> (DynamoState, Arc<VirtualClock>) {
    table(&servers::dynamodb().await).await
}

async fn raw() -> Client {
    Client::new(aws(&servers::dynamodb().await).config("state").await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamodb_keeps_the_state_contract() {
    contract(async || {
        let (state, clock) = local().await;
        Subject { state: Arc::new(state), clock }
    })
    .await;
}

/// Another implementation of DynamoDB, which knows no transaction again, compares and counts sizes its own way, and checks a
/// condition and writes in two steps that others may come between: it loses updates that it said were made.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_speaks_like_dynamodb_keeps_the_contract_for_one_writer() {
    one_writer_at_a_time(async || {
        let (state, clock) = table(&servers::moto().await).await;
        Subject { state: Arc::new(state), clock }
    })
    .await;
}

#[tokio::test]
async fn a_token_holds_while_time_goes_on() {
    let (state, clock) = local().await;
    let fields = |n: i64| {
        let many = (0..8).map(|n| (format!("f{n}"), json!({"a": n, "b": [n], "c": 1.0}))).collect::<Map<_, _>>();
        Item { fields: many.into_iter().chain([("n".to_owned(), json!(n))]).collect(), ..item("p", "s", json!({})) }
    };
    let when = vec![Condition::Equals("n", json!(0)), Condition::Below("n", 1), Condition::Present];
    state.commit(&transaction(vec![put(fields(0), vec![])])).await.unwrap();
    let step = Transaction { writes: vec![put(fields(1), when)], token: Some("a step ".repeat(20)) };
    state.commit(&step).await.unwrap();
    for _ in 0..5 {
        clock.advance(Duration::from_secs(100));
        state.commit(&step).await.expect("it was applied then, and says so");
    }
    assert_eq!(state.get(&key("p", "s")).await.unwrap().unwrap().fields["n"], json!(1));
}

#[tokio::test]
async fn tokens_of_two_tables_are_not_confused() {
    let token = Uuid::new_v4().to_string();
    for n in 0..2 {
        let (state, _) = local().await;
        let writes = vec![put(item("p", "s", json!({"n": n})), vec![])];
        state.commit(&Transaction { writes, token: Some(token.clone()) }).await.unwrap();
        assert_eq!(state.get(&key("p", "s")).await.unwrap().unwrap().fields["n"], json!(n));
    }
}

#[tokio::test]
async fn conditions_hold_by_value_however_the_number_is_kept() {
    let (state, _) = local().await;
    let big = 9_007_199_254_740_993_u64;
    let fields = json!({
        "whole": 84.0, "minus": -0.0, "huge": 1e300, "low": -1e300, "list": [{"a": 1.0}, [2]], "big": big, "null": null
    });
    let stored = item("p", "s", fields);
    for token in [None, Some("t")] {
        state.commit(&transaction(vec![put(stored.clone(), vec![])])).await.unwrap();
        let write = |when: Vec<Condition>| Transaction {
            writes: vec![put(stored.clone(), when)],
            token: token.map(|token| format!("{token}{}", Uuid::new_v4())),
        };
        let holds = [
            Condition::Equals("whole", json!(84)),
            Condition::Equals("whole", json!(84.0)),
            Condition::Below("whole", 85),
            Condition::Equals("minus", json!(0)),
            Condition::Below("minus", 1),
            Condition::Equals("huge", json!(1e300)),
            Condition::Below("low", i64::MIN),
            Condition::Equals("list", json!([{"a": 1}, [2.0]])),
            Condition::Equals("big", json!(big)),
            Condition::Equals("null", json!(null)),
        ];
        for condition in &holds {
            let outcome = state.commit(&write(vec![condition.clone()])).await;
            assert!(outcome.is_ok(), "{condition:?}: {}", outcome.unwrap_err().chain());
        }
        state.commit(&write(holds.to_vec())).await.unwrap();
        let fails = [
            Condition::Equals("whole", json!(85)),
            Condition::Below("whole", 84),
            Condition::Below("minus", 0),
            Condition::Below("huge", i64::MAX),
            Condition::Equals("list", json!([{"a": 1}, [3]])),
            Condition::Equals("big", json!(big - 1)),
        ];
        for condition in fails {
            let outcome = state.commit(&write(vec![condition.clone()])).await;
            assert_eq!(outcome.unwrap_err().kind, ErrorKind::Conflict, "{condition:?}");
        }
    }
}

#[tokio::test]
async fn an_item_that_lives_for_a_while_can_be_guarded() {
    let (state, clock) = local().await;
    let short = Item { expires: Some(clock.seconds() + 60), ..item("p", "s", json!({"n": 1})) };
    state.commit(&transaction(vec![put(short.clone(), vec![])])).await.unwrap();
    let delete = |when| transaction(vec![Write::Delete { key: key("p", "s"), when }]);
    let both = |when| {
        let check = Write::Check { key: key("p", "s"), when };
        transaction(vec![check, put(item("p", "other", json!({})), vec![])])
    };
    for condition in [Condition::Present, Condition::Equals("n", json!(1)), Condition::Below("n", 2)] {
        state.commit(&both(vec![condition.clone()])).await.unwrap();
        state.commit(&transaction(vec![put(short.clone(), vec![condition])])).await.unwrap();
    }
    let absent = state.commit(&both(vec![Condition::Absent])).await;
    assert_eq!(absent.unwrap_err().kind, ErrorKind::Conflict);
    clock.advance(Duration::from_secs(60));
    state.commit(&both(vec![Condition::Absent])).await.unwrap();
    let gone = state.commit(&delete(vec![Condition::Equals("n", json!(1))])).await;
    assert_eq!(gone.unwrap_err().kind, ErrorKind::Conflict);
}

#[tokio::test]
async fn entries_keep_their_order_and_leave_with_their_item() {
    let (state, _) = local().await;
    let entry = |index| IndexEntry { index, hash: "h".into(), range: "r".into() };
    let order = [Index::Outcome, Index::Due, Index::Repository];
    let stored = Item { indexes: order.map(entry).to_vec(), ..item("p", "s", json!({})) };
    state.commit(&transaction(vec![put(stored.clone(), vec![])])).await.unwrap();
    assert_eq!(state.get(&stored.key).await.unwrap(), Some(stored));
}

#[tokio::test]
async fn what_cannot_be_there_is_not_looked_for() {
    let (state, _) = local().await;
    let index = |hash: &str, from: &str, to: &str| QueryOf::Index {
        index: Index::Due,
        hash: hash.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let partition = |pk: &str, prefix: &str| QueryOf::Partition { pk: pk.to_owned(), prefix: prefix.to_owned() };
    let long = "x".repeat(3000);
    let impossible = [
        index("h", "b", "a"),
        index("h", "", ""),
        index("", "a", "b"),
        index(&long, "a", "b"),
        partition("", ""),
        partition(&long, ""),
        partition("p", &long),
    ];
    for of in impossible {
        let page = state.query(&Query { of, descending: false, limit: 5, cursor: None }).await.unwrap();
        assert!(page.items.is_empty() && page.cursor.is_none());
    }
    let open = Query { of: index("h", "", "z"), descending: true, limit: 5, cursor: None };
    assert!(state.query(&open).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_table_that_is_not_as_it_must_be_is_told_with_the_remedy() {
    let endpoint = servers::dynamodb().await;
    let name = fresh_table();
    let state = DynamoState::new(aws(&endpoint), name.clone(), VirtualClock::new());
    let missing = state.get(&key("p", "s")).await.unwrap_err();
    assert_eq!(missing.kind, ErrorKind::Missing);
    assert!(missing.chain().contains("create it"), "{}", missing.chain());
    let write = transaction(vec![put(item("p", "s", json!({})), vec![])]);
    assert_eq!(state.commit(&write).await.unwrap_err().kind, ErrorKind::Missing);
    let defects = state.check().await.unwrap();
    assert!(defects.len() == 1 && defects[0].problem.contains("does not exist"), "{defects:?}");

    // A table of somebody else's: without two of the indexes, one of them with other keys.
    let all = definition(&name).unwrap();
    let mut indexes = all.get_global_secondary_indexes().clone().unwrap();
    indexes.retain(|index| index.index_name() != "due");
    let swapped = INDEXES[1];
    indexes[0] = {
        let mut keys = indexes[0].key_schema().to_vec();
        keys.reverse();
        let part = |name: &str, kind: &aws_sdk_dynamodb::types::KeyType| {
            let part = aws_sdk_dynamodb::types::KeySchemaElement::builder().attribute_name(name);
            part.key_type(kind.clone()).build().unwrap()
        };
        let keys = vec![part(swapped.range, keys[1].key_type()), part(swapped.hash, keys[0].key_type())];
        aws_sdk_dynamodb::types::GlobalSecondaryIndex::builder()
            .index_name(swapped.name)
            .set_key_schema(Some(keys))
            .projection(indexes[0].projection().unwrap().clone())
            .build()
            .unwrap()
    };
    let attributes = all.get_attribute_definitions().clone().unwrap();
    let attributes = attributes.into_iter().filter(|a| !a.attribute_name().starts_with("_due")).collect();
    let made = all.set_attribute_definitions(Some(attributes)).set_global_secondary_indexes(Some(indexes));
    made.send_with(&raw().await).await.unwrap();
    let defects = state.check().await.unwrap();
    let problems: Vec<_> = defects.iter().map(|defect| defect.problem.replace(&name, "T")).collect();
    assert_eq!(
        problems,
        [
            "the table T has no index due",
            "the table T has an index repository with other keys",
            "items of T do not expire: it will grow for ever"
        ]
    );
    let due = QueryOf::Index { index: Index::Due, hash: "h".into(), from: "a".into(), to: "b".into() };
    let asked = state.query(&Query { of: due, descending: false, limit: 5, cursor: None }).await.unwrap_err();
    assert_eq!(asked.kind, ErrorKind::Missing);
    assert!(asked.chain().contains("no index due"), "{}", asked.chain());
}

/// A read, a write, a transaction and a check of a table that is not ours.
#[tokio::test]
async fn a_table_with_other_keys_is_told_apart_from_a_request_that_is_wrong() {
    use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
    let name = fresh_table();
    let state = DynamoState::new(aws(&servers::dynamodb().await), name.clone(), VirtualClock::new());
    let id =
        AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S).build().unwrap();
    let hash = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap();
    let client = raw().await;
    let made = client.create_table().table_name(&name).attribute_definitions(id).key_schema(hash);
    made.billing_mode(BillingMode::PayPerRequest).send().await.unwrap();
    let write = transaction(vec![put(item("p", "s", json!({})), vec![])]);
    let two = transaction(vec![put(item("p", "s", json!({})), vec![]), put(item("p", "t", json!({})), vec![])]);
    let refusals = [
        state.get(&key("p", "s")).await.unwrap_err(),
        state.commit(&write).await.unwrap_err(),
        state.commit(&two).await.unwrap_err(),
    ];
    for error in refusals {
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.chain().contains("other keys than pk and sk"), "{}", error.chain());
    }
    let defects = state.check().await.unwrap();
    assert!(defects[0].problem.contains("does not have the keys pk and sk"), "{defects:?}");
}

/// DynamoDB Local does not tell; moto does.
#[tokio::test]
async fn a_table_that_cannot_be_restored_is_told() {
    let way = aws(&servers::moto().await);
    let name = fresh_table();
    let state = DynamoState::new(way.clone(), name.clone(), VirtualClock::new());
    state.create_table().await.unwrap();
    state.enable_expiry().await.unwrap();
    let defects = state.check().await.unwrap();
    assert_eq!(defects.len(), 1, "{defects:?}");
    assert!(defects[0].remedy.contains("point-in-time recovery"), "{defects:?}");
    let client = Client::new(way.config("state").await.unwrap());
    let on = aws_sdk_dynamodb::types::PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true);
    let asked = client.update_continuous_backups().table_name(&name);
    asked.point_in_time_recovery_specification(on.build().unwrap()).send().await.unwrap();
    assert_eq!(state.check().await.unwrap(), []);
}

#[tokio::test]
async fn a_table_of_ours_has_no_defects() {
    let (state, _) = local().await;
    state.create_table().await.expect("creating it again changes nothing");
    state.enable_expiry().await.unwrap();
    state.enable_expiry().await.expect("switching it on again changes nothing");
    assert_eq!(state.check().await.unwrap(), []);
}

/// JSON of every shape, with the numbers that stores like to bend.
fn json_value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("a number", |f| Number::from_f64(f).map(Value::Number)),
        (-2000i32..2000).prop_map(|n| json!(f64::from(n))),
        (-2000i32..2000).prop_map(|n| json!(f64::from(n) / 8.0)),
        (-300i32..300).prop_map(|e| json!(10f64.powi(e))),
        Just(json!(-0.0)),
        Just(json!(1e3)),
        Just(json!(u64::MAX as f64)),
    ];
    let text = prop_oneof!["\\PC{0,12}", any::<String>(), Just(String::new())];
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        4 => number,
        2 => text.prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map(name(), inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    const OURS: [&str; 12] =
        ["pk", "sk", "_expires", "_f:", "_f:pk", "_order", "_due_hash", "", "size", "a.b", "#n0", ":v0"];
    prop_oneof!["\\PC{1,8}", prop::sample::select(&OURS[..]).prop_map(str::to_owned)]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_json_value_comes_back_as_it_was_written() {
    let (state, _) = local().await;
    let fields = prop::collection::btree_map(name(), json_value(), 0..8)
        .prop_map(|map| map.into_iter().collect::<Map<String, Value>>());
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let handle = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&fields, |fields| {
            let written = Item { fields, ..item("p", "s", json!({})) };
            let read = handle.block_on(async {
                state.commit(&transaction(vec![put(written.clone(), vec![])])).await.map_err(|e| e.chain())?;
                state.get(&written.key).await.map_err(|e| e.chain())
            });
            let read = read.map_err(TestCaseError::fail)?.expect("it was put");
            // By text: 84 and 84.0 are equal by value, and hashes cover the text.
            prop_assert_eq!(
                serde_json::to_string(&read.fields).unwrap(),
                serde_json::to_string(&written.fields).unwrap()
            );
            Ok(())
        })
    });
    outcome.unwrap();
}

#[tokio::test]
async fn the_deepest_and_the_longest_item_can_be_kept() {
    let (state, _) = local().await;
    for kind in ["list", "object"] {
        let wrap = |inner: Value| if kind == "list" { json!([inner]) } else { json!({ "k": inner }) };
        let deep = (1..codehealer::state::limits::DEPTH).fold(json!(84.0), |inner, _| wrap(inner));
        let deep = item("p", kind, json!({ "deep": deep }));
        state.commit(&transaction(vec![put(deep.clone(), vec![])])).await.unwrap();
        assert_eq!(state.get(&deep.key).await.unwrap(), Some(deep));
    }
}

/// Write units of the requests that a step of a run makes, as DynamoDB counts them.
#[tokio::test]
async fn rewriting_a_head_does_not_rewrite_its_indexes() {
    let (state, _) = local().await;
    let entry = |index| IndexEntry { index, hash: "h".into(), range: "r".into() };
    let order = [Index::Due, Index::Repository, Index::IssueType, Index::Outcome];
    let head = |n: i64| {
        let fields = json!({"fence": n, "text": "x".repeat(1500)});
        Item { indexes: order.map(entry).to_vec(), ..item("p", "head", fields) }
    };
    state.commit(&transaction(vec![put(head(0), vec![])])).await.unwrap();
    let stored = raw().await.get_item().table_name(state.table()).key("pk", text("p")).key("sk", text("head"));
    let mut again = stored.send().await.unwrap().item.unwrap();
    again.insert("fence".to_owned(), aws_sdk_dynamodb::types::AttributeValue::N("1".to_owned()));
    let client = raw().await;
    let asked = client.put_item().table_name(state.table()).set_item(Some(again));
    let answer = asked.return_consumed_capacity(ReturnConsumedCapacity::Indexes).send().await.unwrap();
    let used = answer.consumed_capacity().unwrap();
    assert_eq!(used.table().unwrap().capacity_units(), Some(2.0));
    assert_eq!(used.capacity_units(), Some(2.0), "{used:?}");
}

fn text(text: &str) -> aws_sdk_dynamodb::types::AttributeValue {
    aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned())
}
