//! The state store as plainly as it can be said: what real stores are compared with.

use std::collections::BTreeMap;

use codehealer::ports::ErrorKind;
use codehealer::state::{Condition, Item, Key, QueryOf, Transaction, Write};
use serde_json::Value;

#[derive(Default)]
pub struct Reference {
    items: BTreeMap<Key, Item>,
    /// Transactions by token, with the time they were applied.
    tokens: BTreeMap<String, (Transaction, u64)>,
}

impl Reference {
    pub fn get(&self, key: &Key, now: u64) -> Option<&Item> {
        self.items.get(key).filter(|item| item.expires.is_none_or(|at| at * 1000 > now))
    }

    /// All items of the query, in order, without pages.
    pub fn query(&self, of: &QueryOf, descending: bool, now: u64) -> Vec<Item> {
        let live = self.items.keys().filter_map(|key| self.get(key, now));
        let mut found: Vec<(String, &Item)> = match of {
            QueryOf::Partition { pk, prefix } => live
                .filter(|item| item.key.pk == *pk && item.key.sk.starts_with(prefix.as_str()))
                .map(|item| (String::new(), item))
                .collect(),
            QueryOf::Index { index, hash, from, to } => live
                .flat_map(|item| item.indexes.iter().map(move |entry| (entry, item)))
                .filter(|(entry, _)| entry.index == *index && entry.hash == *hash)
                .filter(|(entry, _)| entry.range >= *from && entry.range <= *to)
                .map(|(entry, item)| (entry.range.clone(), item))
                .collect(),
        };
        found.sort_by(|(a, x), (b, y)| (a, &x.key).cmp(&(b, &y.key)));
        if descending {
            found.reverse();
        }
        found.into_iter().map(|(_, item)| item.clone()).collect()
    }

    pub fn commit(&mut self, transaction: &Transaction, now: u64) -> Result<(), ErrorKind> {
        let mut keys: Vec<&Key> = transaction.writes.iter().map(Write::key).collect();
        keys.sort();
        keys.dedup();
        if keys.is_empty() || keys.len() != transaction.writes.len() || keys.len() > 25 {
            return Err(ErrorKind::Malformed);
        }
        self.tokens.retain(|_, (_, at)| *at + 600_000 > now);
        match transaction.token.as_ref().and_then(|token| self.tokens.get(token)) {
            Some((known, _)) if known.writes == transaction.writes => return Ok(()),
            Some(_) => return Err(ErrorKind::Conflict),
            None => {}
        }
        let all_hold = transaction.writes.iter().all(|write| {
            let stored = self.get(write.key(), now);
            write.when().iter().all(|condition| holds(condition, stored))
        });
        if !all_hold {
            return Err(ErrorKind::Conflict);
        }
        for write in &transaction.writes {
            match write {
                Write::Put { item, .. } => drop(self.items.insert(item.key.clone(), item.clone())),
                Write::Delete { key, .. } => drop(self.items.remove(key)),
                Write::Check { .. } => {}
            }
        }
        if let Some(token) = &transaction.token {
            self.tokens.insert(token.clone(), (transaction.clone(), now));
        }
        Ok(())
    }
}

/// Only for the plain values that tests store: whole numbers and text.
fn holds(condition: &Condition, stored: Option<&Item>) -> bool {
    let field = |name: &str| stored.and_then(|item| item.fields.get(name));
    match condition {
        Condition::Absent => stored.is_none(),
        Condition::Present => stored.is_some(),
        Condition::Equals(name, value) => field(name) == Some(value),
        Condition::Below(name, limit) => field(name).and_then(Value::as_i64).is_some_and(|n| n < *limit),
    }
}
