//! What every state store answers.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use codehealer::ports::{ErrorKind, State};
use codehealer::state::limits::{ITEM_BYTES, WRITES};
use codehealer::state::{Condition, Index, IndexEntry, Item, Key, Query, QueryOf, Transaction, Write};
use serde_json::{Map, Value, json};

use crate::support::clock::VirtualClock;

/// A fresh, empty store and the clock it goes by.
pub struct Subject {
    pub state: Arc<dyn State>,
    pub clock: Arc<VirtualClock>,
}

/// Runs the whole suite; `make` gives an empty store each time.
pub async fn contract<F, Made>(make: F)
where
    F: Fn() -> Made,
    Made: Future<Output = Subject>,
{
    refuses_what_no_store_can_hold(&make().await).await;
    a_token_is_applied_once(&make().await).await;
    conditions_guard_writes(&make().await).await;
    sixteen_committers_lose_no_update(&make().await).await;
    one_writer_at_a_time(make).await;
}

/// The suite but for transactions that are known again, conditions that compare texts with numbers, what is too large by DynamoDB's
/// own count, and writers at the same time.
pub async fn one_writer_at_a_time<F, Made>(make: F)
where
    F: Fn() -> Made,
    Made: Future<Output = Subject>,
{
    reads_back_what_was_put(&make().await).await;
    all_writes_happen_or_none(&make().await).await;
    a_conflict_is_not_remembered(&make().await).await;
    partitions_are_read_in_byte_order(&make().await).await;
    pages_fit_together_while_items_come_and_go(&make().await).await;
    indexes_follow_their_items(&make().await).await;
    equal_ranges_are_paged_without_loss(&make().await).await;
    long_pages_end_early(&make().await).await;
    foreign_cursors_are_refused(&make().await).await;
    expired_items_are_absent(&make().await).await;
}

pub fn key(pk: &str, sk: &str) -> Key {
    Key { pk: pk.to_owned(), sk: sk.to_owned() }
}

pub fn item(pk: &str, sk: &str, fields: Value) -> Item {
    let fields = fields.as_object().unwrap().clone();
    Item { key: key(pk, sk), fields, indexes: Vec::new(), expires: None }
}

pub fn put(item: Item, when: Vec<Condition>) -> Write {
    Write::Put { item, when }
}

pub fn transaction(writes: Vec<Write>) -> Transaction {
    Transaction { writes, token: None }
}

async fn commit(subject: &Subject, writes: Vec<Write>) -> Result<(), ErrorKind> {
    subject.state.commit(&transaction(writes)).await.map_err(|error| error.kind)
}

async fn read(subject: &Subject, pk: &str, sk: &str) -> Option<Map<String, Value>> {
    subject.state.get(&key(pk, sk)).await.unwrap().map(|item| item.fields)
}

/// All pages of a query, `limit` items each; the sort keys in order.
async fn walk(subject: &Subject, of: &QueryOf, descending: bool, limit: usize) -> Vec<String> {
    pages(subject.state.as_ref(), of, descending, limit).await.into_iter().map(|item| item.key.sk).collect()
}

pub async fn pages(state: &dyn State, of: &QueryOf, descending: bool, limit: usize) -> Vec<Item> {
    let mut query = Query { of: of.clone(), descending, limit, cursor: None };
    let mut items = Vec::new();
    loop {
        let page = state.query(&query).await.unwrap();
        assert!(page.items.len() <= limit);
        items.extend(page.items);
        match page.cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return items,
        }
    }
}

fn partition(prefix: &str) -> QueryOf {
    QueryOf::Partition { pk: "p".to_owned(), prefix: prefix.to_owned() }
}

fn due(from: &str, to: &str) -> QueryOf {
    QueryOf::Index { index: Index::Due, hash: "0".to_owned(), from: from.to_owned(), to: to.to_owned() }
}

fn indexed(sk: &str, index: Index, range: &str) -> Item {
    let entry = IndexEntry { index, hash: "0".to_owned(), range: range.to_owned() };
    Item { indexes: vec![entry], ..item("p", sk, json!({})) }
}

/// Indexes may trail behind their items in a distributed store, by seconds.
async fn settles(subject: &Subject, of: &QueryOf, descending: bool, expected: &[&str]) {
    for _ in 0..100 {
        if walk(subject, of, descending, 10).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(walk(subject, of, descending, 10).await, expected);
}

async fn reads_back_what_was_put(subject: &Subject) {
    let stored = Item {
        key: key("CASE#ü\u{0}x", "G1#STATE"),
        fields: json!({
            "text": "zero \u{0} quote \" é 漢 \u{10FFFF}", "null": null, "true": true, "list": [1, "a", {"b": []}], "empty": "",
            "big": 9_007_199_254_740_993_u64, "negative": i64::MIN, "cosine": 0.1 + 0.2, "tiny": 1.234_567_890_123_456_7e-100
        })
        .as_object()
        .unwrap()
        .clone(),
        indexes: vec![
            IndexEntry { index: Index::Due, hash: "DUE#3".into(), range: "2026".into() },
            IndexEntry { index: Index::Outcome, hash: "merged".into(), range: "2026".into() },
        ],
        expires: Some(subject.clock.seconds() + 60),
    };
    assert_eq!(subject.state.get(&stored.key).await.unwrap(), None);
    commit(subject, vec![put(stored.clone(), vec![])]).await.unwrap();
    assert_eq!(subject.state.get(&stored.key).await.unwrap(), Some(stored.clone()));

    let replaced =
        Item { fields: json!({"n": 1}).as_object().unwrap().clone(), indexes: vec![], expires: None, ..stored };
    commit(subject, vec![put(replaced.clone(), vec![])]).await.unwrap();
    assert_eq!(
        subject.state.get(&replaced.key).await.unwrap(),
        Some(replaced.clone()),
        "nothing of the old item stays"
    );

    commit(subject, vec![Write::Delete { key: replaced.key.clone(), when: vec![] }]).await.unwrap();
    assert_eq!(subject.state.get(&replaced.key).await.unwrap(), None);
    commit(subject, vec![Write::Delete { key: replaced.key, when: vec![] }]).await.unwrap();
}

async fn conditions_guard_writes(subject: &Subject) {
    use Condition::{Absent, Below, Equals, Present};
    let write = |when: Vec<Condition>| vec![put(item("p", "s", json!({"n": 5, "state": "open"})), when)];
    for condition in [Present, Equals("n", json!(5)), Below("n", 6)] {
        assert_eq!(commit(subject, write(vec![condition])).await, Err(ErrorKind::Conflict), "of an absent item");
    }
    commit(subject, write(vec![Absent])).await.unwrap();

    let fails = [
        Absent,
        Equals("n", json!(4)),
        Equals("n", json!("5")),
        Equals("state", json!("Open")),
        Equals("other", json!(null)),
        Below("n", 5),
        Below("state", 9),
        Below("other", 9),
    ];
    for condition in fails {
        let outcome = commit(subject, write(vec![Present, condition.clone()])).await;
        assert_eq!(outcome, Err(ErrorKind::Conflict), "{condition:?}");
    }
    let holds =
        vec![Present, Equals("n", json!(5)), Equals("n", json!(5.0)), Equals("state", json!("open")), Below("n", 6)];
    commit(subject, write(holds)).await.unwrap();

    let guarded = Write::Delete { key: key("p", "s"), when: vec![Equals("n", json!(4))] };
    assert_eq!(commit(subject, vec![guarded]).await, Err(ErrorKind::Conflict));
    assert!(read(subject, "p", "s").await.is_some());
}

async fn all_writes_happen_or_none(subject: &Subject) {
    commit(subject, vec![put(item("p", "old", json!({"n": 1})), vec![])]).await.unwrap();
    let writes = |fence: i64| {
        vec![
            put(item("p", "new", json!({"n": 2})), vec![Condition::Absent]),
            Write::Delete { key: key("p", "old"), when: vec![] },
            put(item("q", "far", json!({"n": 2})), vec![]),
            Write::Check { key: key("p", "fence"), when: vec![Condition::Equals("n", json!(fence))] },
        ]
    };
    commit(subject, vec![put(item("p", "fence", json!({"n": 7})), vec![])]).await.unwrap();
    assert_eq!(commit(subject, writes(8)).await, Err(ErrorKind::Conflict));
    assert!(read(subject, "p", "old").await.is_some());
    assert!(read(subject, "p", "new").await.is_none() && read(subject, "q", "far").await.is_none());

    commit(subject, writes(7)).await.unwrap();
    assert!(read(subject, "p", "old").await.is_none());
    assert!(read(subject, "p", "new").await.is_some() && read(subject, "q", "far").await.is_some());
    assert_eq!(read(subject, "p", "fence").await.unwrap()["n"], json!(7), "a check writes nothing");
}

async fn refuses_what_no_store_can_hold(subject: &Subject) {
    let many = |n: usize| (0..n).map(|i| put(item("p", &format!("s{i:02}"), json!({})), vec![])).collect::<Vec<_>>();
    commit(subject, many(WRITES)).await.unwrap();

    let one = || put(item("p", "s", json!({"n": 1})), vec![]);
    let huge = put(item("p", "s", json!({"text": "x".repeat(ITEM_BYTES)})), vec![]);
    let twice = Item {
        indexes: vec![IndexEntry { index: Index::Due, hash: "a".into(), range: "b".into() }; 2],
        ..item("p", "s", json!({}))
    };
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    let refused = [
        ("no write", vec![]),
        ("too many writes", many(WRITES + 1)),
        ("a key twice", vec![one(), Write::Delete { key: key("p", "s"), when: vec![] }]),
        ("an item too large", vec![huge]),
        ("an empty key", vec![put(item("p", "", json!({})), vec![])]),
        ("a long key", vec![put(item("p", &"x".repeat(1025), json!({})), vec![])]),
        ("an index twice", vec![put(twice, vec![])]),
        ("a deep item", vec![put(item("p", "s", json!({"deep": deep})), vec![])]),
    ];
    for (what, writes) in refused {
        let error = subject.state.commit(&transaction(writes)).await.expect_err(what);
        assert_eq!(error.kind, ErrorKind::Malformed, "{what}");
        assert!(error.chain().len() < 5_000, "the error of {what} repeats the data");
    }
    assert!(read(subject, "p", "s").await.is_none());

    let room = ITEM_BYTES - item("p", "full", json!({"text": ""})).size().unwrap();
    commit(subject, vec![put(item("p", "full", json!({"text": "x".repeat(room)})), vec![])]).await.unwrap();
    assert_eq!(read(subject, "p", "full").await.unwrap()["text"].as_str().unwrap().len(), room);
    let empty = Query { of: partition(""), descending: false, limit: 0, cursor: None };
    assert_eq!(subject.state.query(&empty).await.unwrap_err().kind, ErrorKind::Malformed);
}

fn with_token(token: &str, writes: Vec<Write>) -> Transaction {
    Transaction { writes, token: Some(token.to_owned()) }
}

async fn a_token_is_applied_once(subject: &Subject) {
    let first = with_token("t1", vec![put(item("p", "s", json!({"n": 1})), vec![Condition::Absent])]);
    subject.state.commit(&first).await.unwrap();
    subject.state.commit(&first).await.expect("the same again is no conflict, though the item is there now");

    commit(subject, vec![put(item("p", "s", json!({"n": 2})), vec![])]).await.unwrap();
    subject.state.commit(&first).await.unwrap();
    assert_eq!(read(subject, "p", "s").await.unwrap()["n"], json!(2), "and changes nothing");

    let other = with_token("t1", vec![put(item("p", "s", json!({"n": 3})), vec![])]);
    assert_eq!(subject.state.commit(&other).await.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(read(subject, "p", "s").await.unwrap()["n"], json!(2));
}

async fn a_conflict_is_not_remembered(subject: &Subject) {
    let guarded = with_token("t2", vec![put(item("p", "s", json!({"n": 1})), vec![Condition::Present])]);
    assert_eq!(subject.state.commit(&guarded).await.unwrap_err().kind, ErrorKind::Conflict);
    commit(subject, vec![put(item("p", "s", json!({"n": 0})), vec![])]).await.unwrap();
    subject.state.commit(&guarded).await.unwrap();
    assert_eq!(read(subject, "p", "s").await.unwrap()["n"], json!(1));
}

async fn partitions_are_read_in_byte_order(subject: &Subject) {
    // By byte, not by letter, length or UTF-16 unit: "\u{FFFF}" stands before "😀".
    let sorted = [
        "E",
        "EVT",
        "EVT#",
        "EVT#00",
        "EVT#1",
        "EVT#10",
        "EVT#2",
        "EVT#Z",
        "EVT#a",
        "EVT#é",
        "EVT#\u{FFFF}",
        "EVT#😀",
        "EVU",
    ];
    let mut shuffled = sorted.to_vec();
    shuffled.reverse();
    shuffled.rotate_left(5);
    commit(subject, shuffled.iter().map(|sk| put(item("p", sk, json!({})), vec![])).collect()).await.unwrap();
    commit(subject, vec![put(item("pp", "EVT#3", json!({})), vec![])]).await.unwrap();

    for limit in [1, 2, 5, 100] {
        assert_eq!(walk(subject, &partition(""), false, limit).await, sorted);
        assert_eq!(walk(subject, &partition("EVT#"), false, limit).await, sorted[2..12]);
        let mut down = walk(subject, &partition("EVT#"), true, limit).await;
        down.reverse();
        assert_eq!(down, sorted[2..12]);
    }
    assert!(walk(subject, &partition("F"), false, 5).await.is_empty());
    let exact = Query { of: partition("EVT#"), descending: false, limit: 10, cursor: None };
    let page = subject.state.query(&exact).await.unwrap();
    assert_eq!((page.items.len(), page.items[3].key.sk.as_str()), (10, "EVT#10"));
}

async fn pages_fit_together_while_items_come_and_go(subject: &Subject) {
    let add = |sk: &str| put(item("p", sk, json!({})), vec![]);
    commit(subject, vec![add("b"), add("d"), add("f"), add("h")]).await.unwrap();
    let mut query = Query { of: partition(""), descending: false, limit: 2, cursor: None };
    let first = subject.state.query(&query).await.unwrap();
    assert_eq!(first.items.len(), 2);

    // The item that the page ended on goes; others come before and behind that place.
    commit(subject, vec![Write::Delete { key: key("p", "d"), when: vec![] }, add("a"), add("e")]).await.unwrap();
    query.cursor = first.cursor;
    let second = subject.state.query(&query).await.unwrap();
    let found: Vec<_> = second.items.iter().map(|item| item.key.sk.as_str()).collect();
    assert_eq!(found, ["e", "f"]);
}

async fn indexes_follow_their_items(subject: &Subject) {
    let writes = [("a", "2026-03"), ("b", "2026-01"), ("c", "2026-02"), ("d", "2027-01")];
    commit(subject, writes.iter().map(|(sk, range)| put(indexed(sk, Index::Due, range), vec![])).collect())
        .await
        .unwrap();
    commit(subject, vec![put(indexed("other", Index::Outcome, "2026-01"), vec![])]).await.unwrap();
    settles(subject, &due("2026-01", "2026-03"), false, &["b", "c", "a"]).await;
    settles(subject, &due("2026-01", "2026-03"), true, &["a", "c", "b"]).await;
    settles(subject, &due("2026-02", "2026-02"), false, &["c"]).await;
    settles(subject, &due("2028", "2029"), false, &[]).await;

    let moved = put(indexed("b", Index::Due, "2026-09"), vec![]);
    let left = put(item("p", "c", json!({})), vec![]);
    let gone = Write::Delete { key: key("p", "a"), when: vec![] };
    commit(subject, vec![moved, left, gone]).await.unwrap();
    settles(subject, &due("2026", "2026-99"), false, &["b"]).await;
    settles(subject, &due("0", "9"), true, &["d", "b"]).await;
}

async fn equal_ranges_are_paged_without_loss(subject: &Subject) {
    let all: Vec<String> = (0..20).map(|n| format!("s{n:02}")).collect();
    commit(subject, all.iter().map(|sk| put(indexed(sk, Index::Due, "same"), vec![])).collect()).await.unwrap();
    let mut expected: Vec<&str> = all.iter().map(String::as_str).collect();
    for descending in [false, true] {
        for _ in 0..100 {
            if walk(subject, &due("same", "same"), descending, 20).await.len() == all.len() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut found = walk(subject, &due("same", "same"), descending, 3).await;
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

async fn long_pages_end_early(subject: &Subject) {
    for n in 0..6 {
        let long = item("p", &format!("s{n}"), json!({"text": "x".repeat(300_000)}));
        commit(subject, vec![put(long, vec![])]).await.unwrap();
    }
    let query = Query { of: partition(""), descending: false, limit: 100, cursor: None };
    let page = subject.state.query(&query).await.unwrap();
    assert!((1..6).contains(&page.items.len()) && page.cursor.is_some(), "{} items in a page", page.items.len());
    assert_eq!(walk(subject, &partition(""), false, 100).await.len(), 6);
}

async fn foreign_cursors_are_refused(subject: &Subject) {
    commit(subject, (0..3).map(|n| put(item("p", &format!("s{n}"), json!({})), vec![])).collect()).await.unwrap();
    let mut query = Query { of: partition(""), descending: false, limit: 1, cursor: None };
    let cursor = subject.state.query(&query).await.unwrap().cursor;
    query.of = partition("s");
    for cursor in [cursor, Some(String::new()), Some("[]".into()), Some("rubbish".into())] {
        query.cursor = cursor;
        assert_eq!(subject.state.query(&query).await.unwrap_err().kind, ErrorKind::Malformed, "{:?}", query.cursor);
    }
}

async fn expired_items_are_absent(subject: &Subject) {
    let expires = Some(subject.clock.seconds() + 60);
    let short = Item { expires, ..indexed("short", Index::Due, "r2") };
    commit(subject, vec![put(short.clone(), vec![]), put(indexed("long", Index::Due, "r1"), vec![])]).await.unwrap();
    subject.clock.advance(Duration::from_secs(59));
    assert!(read(subject, "p", "short").await.is_some());
    settles(subject, &due("r1", "r2"), true, &["short", "long"]).await;

    subject.clock.advance(Duration::from_secs(1));
    assert!(read(subject, "p", "short").await.is_none());
    assert_eq!(walk(subject, &partition(""), false, 10).await, ["long"]);
    settles(subject, &due("r1", "r2"), false, &["long"]).await;
    let present = Write::Check { key: key("p", "short"), when: vec![Condition::Present] };
    assert_eq!(commit(subject, vec![present]).await, Err(ErrorKind::Conflict));
    let again = Item { expires: None, ..short };
    commit(subject, vec![put(again, vec![Condition::Absent])]).await.expect("as good as absent");
    assert!(read(subject, "p", "short").await.is_some());
}

async fn sixteen_committers_lose_no_update(subject: &Subject) {
    const EACH: usize = 8;
    commit(subject, vec![put(item("p", "counter", json!({"n": 0})), vec![])]).await.unwrap();
    let workers = (0..16).map(|_| {
        let state = Arc::clone(&subject.state);
        tokio::spawn(async move {
            for _ in 0..EACH {
                increment(state.as_ref()).await;
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    assert_eq!(read(subject, "p", "counter").await.unwrap()["n"], json!(16 * EACH));
}

/// Reads, adds one and writes if nobody was faster; again until it works.
pub async fn increment(state: &dyn State) {
    loop {
        let read = state.get(&key("p", "counter")).await.unwrap().unwrap();
        let n = read.fields["n"].as_i64().unwrap();
        let write = put(item("p", "counter", json!({"n": n + 1})), vec![Condition::Equals("n", json!(n))]);
        match state.commit(&transaction(vec![write])).await {
            Ok(()) => return,
            Err(error) if error.kind == ErrorKind::Conflict => {}
            Err(error) => panic!("{}", error.chain()),
        }
    }
}
