//! What every state store refuses, before it touches anything: the limits of DynamoDB, held by all backends alike.
//!
//! Sizes follow the DynamoDB developer guide ("Item sizes and formats"), rounded up where it says "approximately".

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Item, Key, Query, Transaction, Write};

/// Writes in one transaction.
pub const WRITES: usize = 25;
/// Bytes of one item, names and index entries included.
pub const ITEM_BYTES: usize = 400 * 1024;
/// Bytes of all items that one transaction puts.
pub const TRANSACTION_BYTES: usize = 4 * 1024 * 1024;
/// Bytes after which a page of a query ends.
pub const PAGE_BYTES: usize = 1024 * 1024;
/// Bytes of a partition key or of an index hash.
pub const PARTITION_KEY_BYTES: usize = 2048;
/// Bytes of a sort key or of an index range.
pub const SORT_KEY_BYTES: usize = 1024;
/// Arrays and objects inside each other.
pub const DEPTH: usize = 32;
/// How long a token is remembered, in milliseconds.
pub const TOKEN_MILLIS: u64 = 10 * 60 * 1000;

/// A request that no store accepts. The caller has to ask otherwise; trying again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("a transaction has 1 to {WRITES} writes and this one has {0}: split it")]
    Writes(usize),
    #[error("the transaction writes {0:?} twice: merge the two writes into one")]
    Twice(Key),
    #[error("item {key:?} takes {size} bytes and may take {ITEM_BYTES}: store large details apart, by their hash")]
    ItemSize { key: Key, size: usize },
    #[error("the transaction puts {0} bytes and may put {TRANSACTION_BYTES}: split it")]
    TransactionSize(usize),
    #[error("item {0:?} nests deeper than {DEPTH} levels: flatten it or store it as text")]
    Depth(Key),
    #[error("{what} is {bytes} bytes long: it has to have 1 to {max}")]
    KeySize { what: &'static str, bytes: usize, max: usize },
    #[error("item {0:?} stands twice in one index: give it one entry for each index")]
    IndexedTwice(Key),
    #[error("item {0:?} expires at a time that no store can keep: give seconds since the epoch")]
    Expiry(Key),
    #[error("the token of a transaction is empty: leave it out or fill it")]
    EmptyToken,
    #[error("a page of no items was asked for: ask for at least one")]
    EmptyPage,
    #[error("the cursor is not one that this query gave: begin at the first page")]
    Cursor,
}

impl Transaction {
    /// # Errors
    /// When the transaction breaks a limit that holds whatever is stored.
    pub fn check(&self) -> Result<(), Refused> {
        if self.writes.is_empty() || self.writes.len() > WRITES {
            return Err(Refused::Writes(self.writes.len()));
        }
        if self.token.as_ref().is_some_and(String::is_empty) {
            return Err(Refused::EmptyToken);
        }
        let mut keys = BTreeSet::new();
        let mut total = 0;
        for write in &self.writes {
            let key = write.key();
            key.check()?;
            if !keys.insert(key) {
                return Err(Refused::Twice(key.clone()));
            }
            if let Write::Put { item, .. } = write {
                total += item.check()?;
            }
        }
        if total > TRANSACTION_BYTES {
            return Err(Refused::TransactionSize(total));
        }
        Ok(())
    }
}

impl Query {
    /// # Errors
    /// When no items are asked for.
    pub fn check(&self) -> Result<(), Refused> {
        if self.limit == 0 { Err(Refused::EmptyPage) } else { Ok(()) }
    }
}

impl Key {
    /// # Errors
    /// When a part is empty or too long.
    pub fn check(&self) -> Result<(), Refused> {
        key_size("a partition key", &self.pk, PARTITION_KEY_BYTES)?;
        key_size("a sort key", &self.sk, SORT_KEY_BYTES)
    }
}

impl Item {
    /// Checks the item by itself and returns its size in bytes.
    fn check(&self) -> Result<usize, Refused> {
        let mut indexes = BTreeSet::new();
        for entry in &self.indexes {
            key_size("an index hash", &entry.hash, PARTITION_KEY_BYTES)?;
            key_size("an index range", &entry.range, SORT_KEY_BYTES)?;
            if !indexes.insert(entry.index) {
                return Err(Refused::IndexedTwice(self.key.clone()));
            }
        }
        if self.expires.is_some_and(|seconds| i64::try_from(seconds).is_err()) {
            return Err(Refused::Expiry(self.key.clone()));
        }
        let size = self.size().ok_or_else(|| Refused::Depth(self.key.clone()))?;
        if size > ITEM_BYTES {
            return Err(Refused::ItemSize { key: self.key.clone(), size });
        }
        Ok(size)
    }

    /// Bytes that the item takes in a store; `None` when it nests too deeply to be stored.
    #[must_use]
    pub fn size(&self) -> Option<usize> {
        // Names of the key, index and expiry attributes, and numbers at their longest.
        const ATTRIBUTE: usize = 24;
        let indexes: usize = self.indexes.iter().map(|e| e.hash.len() + e.range.len() + 2 * ATTRIBUTE).sum();
        let mut size = self.key.pk.len() + self.key.sk.len() + 3 * ATTRIBUTE + indexes;
        for (name, value) in &self.fields {
            size += name.len() + value_size(value, 1)?;
        }
        Some(size)
    }
}

fn value_size(value: &Value, depth: usize) -> Option<usize> {
    if depth > DEPTH {
        return None;
    }
    Some(match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 21,
        Value::String(text) => text.len(),
        Value::Array(values) => {
            let mut size = 3;
            for value in values {
                size += 1 + value_size(value, depth + 1)?;
            }
            size
        }
        Value::Object(fields) => {
            let mut size = 3;
            for (name, value) in fields {
                size += 1 + name.len() + value_size(value, depth + 1)?;
            }
            size
        }
    })
}

fn key_size(what: &'static str, text: &str, max: usize) -> Result<(), Refused> {
    if (1..=max).contains(&text.len()) { Ok(()) } else { Err(Refused::KeySize { what, bytes: text.len(), max }) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::super::{Condition, Index, IndexEntry};
    use super::*;

    fn item(sk: &str, value: Value) -> Item {
        let fields = Map::from_iter([("v".to_owned(), value)]);
        Item { key: Key { pk: "p".into(), sk: sk.into() }, fields, indexes: Vec::new(), expires: None }
    }

    fn check(items: Vec<Item>) -> Result<(), Refused> {
        let writes = items.into_iter().map(|item| Write::Put { item, when: vec![Condition::Absent] }).collect();
        Transaction { writes, token: None }.check()
    }

    fn nested(levels: usize) -> Value {
        (1..levels).fold(json!([]), |inner, _| json!([inner]))
    }

    #[test]
    fn size_limits_are_exact() {
        let room = ITEM_BYTES - item("s", json!("")).size().unwrap();
        assert_eq!(check(vec![item("s", json!("x".repeat(room)))]), Ok(()));
        let over = check(vec![item("s", json!("x".repeat(room + 1)))]);
        assert!(matches!(over, Err(Refused::ItemSize { size, .. }) if size == ITEM_BYTES + 1), "{over:?}");
    }

    #[test]
    fn eleven_full_items_are_more_than_a_transaction_holds() {
        let full = |n: usize| item(&format!("s{n}"), json!("x".repeat(ITEM_BYTES - 200)));
        assert_eq!(check((0..10).map(full).collect()), Ok(()));
        assert!(matches!(check((0..11).map(full).collect()), Err(Refused::TransactionSize(_))));
    }

    #[test]
    fn nesting_is_bounded_so_that_all_that_is_stored_can_be_read_back() {
        assert_eq!(check(vec![item("s", nested(DEPTH))]), Ok(()));
        assert!(matches!(check(vec![item("s", nested(DEPTH + 1))]), Err(Refused::Depth(_))));
    }

    #[test]
    fn keys_have_bytes_within_bounds() {
        assert!(matches!(check(vec![item("", json!(1))]), Err(Refused::KeySize { bytes: 0, .. })));
        assert_eq!(check(vec![item(&"é".repeat(512), json!(1))]), Ok(()));
        assert!(matches!(check(vec![item(&"é".repeat(513), json!(1))]), Err(Refused::KeySize { bytes: 1026, .. })));
    }

    #[test]
    fn one_entry_an_index_and_a_year_that_fits() {
        let entry = || IndexEntry { index: Index::Due, hash: "h".into(), range: "r".into() };
        let mut twice = item("s", json!(1));
        twice.indexes = vec![entry(), entry()];
        assert!(matches!(check(vec![twice]), Err(Refused::IndexedTwice(_))));
        let mut late = item("s", json!(1));
        late.expires = Some(u64::MAX);
        assert!(matches!(check(vec![late]), Err(Refused::Expiry(_))));
    }
}
