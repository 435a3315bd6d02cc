//! The vocabulary of the state store: keys, items, conditions and the transactions built from them. Pure.
//!
//! What a store refuses is part of the vocabulary ([`limits`]), so that every backend answers alike.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod condition;

pub mod chain;
pub mod keys;
pub mod limits;
pub mod quota;
pub mod run;
pub mod spend;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Primary key of an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Partition.
    pub pk: String,
    /// Place inside the partition; items of a partition are read in its byte order.
    pub sk: String,
}

/// Names of the secondary indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Index {
    /// Due work by time.
    Due,
    /// Cases of a repository by time.
    Repository,
    /// Cases of an issue type by time.
    IssueType,
    /// Cases by outcome and time.
    Outcome,
}

/// Where an item stands in a secondary index. An item without an entry is not in that index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    pub index: Index,
    pub hash: String,
    /// Items of one hash are read in the byte order of this.
    pub range: String,
}

/// A stored thing: JSON fields under a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub key: Key,
    pub fields: Map<String, Value>,
    pub indexes: Vec<IndexEntry>,
    /// Seconds since the epoch. From then on the item is as good as absent; the store drops it when it comes by.
    pub expires: Option<u64>,
}

/// What must hold of the stored item, before the write, for the transaction to happen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Condition {
    /// There is no such item.
    Absent,
    /// There is one.
    Present,
    /// The item exists and this field equals this value. Numbers are equal by value: 1 is 1.0.
    Equals(&'static str, Value),
    /// The item exists and this numeric field is below this number.
    Below(&'static str, i64),
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Write {
    /// Stores the whole item, replacing what was there.
    Put {
        item: Item,
        when: Vec<Condition>,
    },
    Delete {
        key: Key,
        when: Vec<Condition>,
    },
    /// Writes nothing; only its conditions count.
    Check {
        key: Key,
        when: Vec<Condition>,
    },
}

/// Writes that happen all together or not at all. One to 25, each key once; more in [`limits`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transaction {
    pub writes: Vec<Write>,
    /// The same transaction with the same token within ten minutes is applied once, and answers as it did then. Another
    /// transaction with that token is a conflict. A transaction that failed leaves no trace of its token.
    pub token: Option<String>,
}

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub of: QueryOf,
    /// Newest (greatest) first.
    pub descending: bool,
    /// At most this many items in the page, 1 or more. A page also ends after about 1 MB.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryOf {
    /// Items of a partition whose `sk` begins with `prefix`.
    Partition { pk: String, prefix: String },
    /// Items of an index value whose range lies in `from..=to`, byte order.
    Index { index: Index, hash: String, from: String, to: String },
}

/// Part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub items: Vec<Item>,
    /// Present when there may be more; only then. Good for the same query, whatever was written in between.
    pub cursor: Option<String>,
}
