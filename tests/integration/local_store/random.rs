//! Random histories: the store and the reference give the same answers.

use std::time::Duration;

use codehealer::local::store::{Options, Store};
use codehealer::ports::{Clock, State};
use codehealer::state::{Condition, Index, IndexEntry, Item, Key, QueryOf, Transaction, Write};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::contract::state::pages;
use crate::support::clock::VirtualClock;
use crate::support::reference::Reference;

/// Few keys and few values, so that histories meet themselves.
const SORT_KEYS: [&str; 6] = ["A", "EVT#1", "EVT#10", "EVT#2", "EVT#é", "EVU"];
const RANGES: [&str; 4] = ["2025", "2026", "2026-01", "2027"];

#[derive(Debug, Clone)]
enum Step {
    Commit(Transaction),
    /// The transaction so many commits ago, once more: a lost answer.
    Again(usize),
    Wait(Duration),
    Query {
        of: QueryOf,
        descending: bool,
        limit: usize,
    },
}

fn keys() -> impl Strategy<Value = Key> {
    (prop::sample::select(vec!["p", "q"]), prop::sample::select(SORT_KEYS.to_vec()))
        .prop_map(|(pk, sk)| Key { pk: pk.to_owned(), sk: sk.to_owned() })
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![(0..4_i64).prop_map(|n| json!(n)), "[ab]".prop_map(Value::String), Just(Value::Null)]
}

fn conditions() -> impl Strategy<Value = Vec<Condition>> {
    let condition = prop_oneof![
        2 => Just(Condition::Absent),
        2 => Just(Condition::Present),
        1 => (prop::sample::select(vec!["n", "m"]), values()).prop_map(|(name, value)| Condition::Equals(name, value)),
        1 => (prop::sample::select(vec!["n", "m"]), 0..4_i64).prop_map(|(name, limit)| Condition::Below(name, limit)),
    ];
    prop_oneof![3 => Just(Vec::new()), 2 => vec(condition, 1..3)]
}

fn entries() -> impl Strategy<Value = Vec<IndexEntry>> {
    let entry = |index| {
        (prop::sample::select(vec!["x", "y"]), prop::sample::select(RANGES.to_vec()))
            .prop_map(move |(hash, range)| IndexEntry { index, hash: hash.to_owned(), range: range.to_owned() })
    };
    (prop::option::of(entry(Index::Due)), prop::option::of(entry(Index::Outcome)))
        .prop_map(|(due, outcome)| due.into_iter().chain(outcome).collect())
}

fn items() -> impl Strategy<Value = Item> {
    let expires = prop::option::weighted(0.3, 1_767_225_600..1_767_225_700_u64);
    (keys(), prop::collection::btree_map("[nm]", values(), 0..3), entries(), expires).prop_map(
        |(key, fields, indexes, expires)| Item { key, fields: fields.into_iter().collect(), indexes, expires },
    )
}

fn writes() -> impl Strategy<Value = Write> {
    prop_oneof![
        6 => (items(), conditions()).prop_map(|(item, when)| Write::Put { item, when }),
        2 => (keys(), conditions()).prop_map(|(key, when)| Write::Delete { key, when }),
        1 => (keys(), conditions()).prop_map(|(key, when)| Write::Check { key, when }),
    ]
}

fn queries() -> impl Strategy<Value = QueryOf> {
    let prefix = prop::sample::select(vec!["", "E", "EVT#", "EVT#1", "Z"]);
    let ranges = (prop::sample::select(RANGES.to_vec()), prop::sample::select(RANGES.to_vec()));
    let index = prop::sample::select(vec![Index::Due, Index::Outcome, Index::Repository]);
    prop_oneof![
        prefix.prop_map(|prefix| QueryOf::Partition { pk: "p".to_owned(), prefix: prefix.to_owned() }),
        (index, ranges).prop_map(|(index, (from, to))| QueryOf::Index {
            index,
            hash: "x".to_owned(),
            from: from.to_owned(),
            to: to.to_owned()
        }),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let token = prop::option::weighted(0.4, "[abc]");
    prop_oneof![
        6 => (vec(writes(), 0..4), token).prop_map(|(writes, token)| Step::Commit(Transaction { writes, token })),
        1 => (0..4_usize).prop_map(Step::Again),
        1 => prop::sample::select(vec![1, 30, 300]).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds))),
        3 => (queries(), any::<bool>(), 1..5_usize)
            .prop_map(|(of, descending, limit)| Step::Query { of, descending, limit }),
    ]
}

async fn play(history: Vec<Step>) {
    let clock = VirtualClock::new();
    let store = Store::in_memory(Options::new(clock.clone())).unwrap();
    let state = store.state();
    let mut reference = Reference::default();
    let mut done: Vec<Transaction> = Vec::new();
    for step in history {
        let transaction = match step {
            Step::Wait(time) => {
                clock.advance(time);
                continue;
            }
            Step::Query { of, descending, limit } => {
                let expected = reference.query(&of, descending, clock.now());
                assert_eq!(pages(&state, &of, descending, limit).await, expected);
                continue;
            }
            Step::Again(ago) => match done.iter().rev().nth(ago) {
                Some(transaction) => transaction.clone(),
                None => continue,
            },
            Step::Commit(transaction) => transaction,
        };
        let answer = state.commit(&transaction).await.map_err(|error| error.kind);
        assert_eq!(answer, reference.commit(&transaction, clock.now()), "{transaction:?}");
        done.push(transaction);
    }
    for (pk, sk) in ["p", "q"].iter().flat_map(|pk| SORT_KEYS.map(|sk| (pk, sk))) {
        let key = Key { pk: (*pk).to_owned(), sk: sk.to_owned() };
        assert_eq!(state.get(&key).await.unwrap().as_ref(), reference.get(&key, clock.now()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_read_as_the_reference_says(history in vec(steps(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(history));
    }
}
