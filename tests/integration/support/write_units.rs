//! What transactions cost in DynamoDB's write units, by the rules that AWS publishes, and a store that keeps the account.
//!
//! * A write costs one unit for each begun KB of the item, before or after, whichever is larger; in a transaction two. So does a
//!   condition check in a transaction, by the item that it looks at.
//! * An item has the bytes of its attributes' names and values: texts in UTF-8, a number one byte for two digits and one more,
//!   a truth value one byte, a list or map three bytes, and one for each of its elements.
//! * An index is written when what it holds of an item changes: one unit where an entry comes or goes, two where its key changes,
//!   for it then goes and comes. Our indexes hold keys only, which fit into a KB. The price list does not say that index entries cost double
//!   in a transaction, and DynamoDB Local does not count them so; [`Cost::at_most`] does.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use codehealer::aws::dynamodb::DynamoState;
use codehealer::aws::dynamodb::table::INDEXES;
use codehealer::ports::{PortResult, State};
use codehealer::state::{Item, Key, Page, Query, Transaction, Write};
use serde_json::Value;

/// What one request cost.
#[derive(Debug, Clone, Default)]
pub struct Cost {
    pub table: u64,
    pub indexes: u64,
    /// Whether it was a transaction.
    pub double: bool,
    /// Sort key, bytes, units of the table and of the indexes for each write.
    pub parts: Vec<(String, usize, u64, u64)>,
    /// What the service says that it was.
    pub counted: Option<f64>,
}

impl Cost {
    pub fn total(&self) -> u64 {
        self.table + self.indexes
    }

    /// If index entries cost double in a transaction.
    pub fn at_most(&self) -> u64 {
        self.table + self.indexes * if self.double { 2 } else { 1 }
    }

    /// By what was stored before at the place of each write.
    pub fn of(transaction: &Transaction, before: &[Option<Item>]) -> Self {
        let double = transaction.writes.len() > 1 || transaction.token.is_some();
        let mut cost = Self { double, ..Self::default() };
        for (write, old) in transaction.writes.iter().zip(before) {
            let new = match write {
                Write::Put { item, .. } => Some(item),
                Write::Delete { .. } => None,
                // Alone it is a read.
                Write::Check { .. } if !double => continue,
                Write::Check { .. } => old.as_ref(),
            };
            let bytes = [old.as_ref(), new].into_iter().flatten().map(item_bytes).max().unwrap_or(0);
            let units = (u64::try_from(bytes.div_ceil(1024)).unwrap()).max(1) * if double { 2 } else { 1 };
            let indexes = index_units(old.as_ref(), new);
            cost.table += units;
            cost.indexes += indexes;
            cost.parts.push((write.key().sk.clone(), bytes, units, indexes));
        }
        cost
    }
}

fn index_units(old: Option<&Item>, new: Option<&Item>) -> u64 {
    let entries = |item: Option<&Item>| -> BTreeMap<_, (String, String)> {
        let all = item.into_iter().flat_map(|item| &item.indexes);
        all.map(|entry| (entry.index, (entry.hash.clone(), entry.range.clone()))).collect()
    };
    let (old, new) = (entries(old), entries(new));
    let units = |index| match (old.get(index), new.get(index)) {
        (None, None) => 0,
        (Some(a), Some(b)) if a == b => 0,
        (Some(_), Some(_)) => 2,
        _ => 1,
    };
    INDEXES.iter().map(|definition| units(&definition.index)).sum()
}

/// Bytes of an item as it is stored: key, fields, index attributes, expiry.
pub fn item_bytes(item: &Item) -> usize {
    let key = "pk".len() + item.key.pk.len() + "sk".len() + item.key.sk.len();
    let fields: usize = item.fields.iter().map(|(name, value)| name.len() + value_bytes(value)).sum();
    let entry = |entry: &codehealer::state::IndexEntry| {
        let definition = INDEXES.iter().find(|definition| definition.index == entry.index).unwrap();
        definition.hash.len() + entry.hash.len() + definition.range.len() + entry.range.len()
    };
    let indexes: usize = item.indexes.iter().map(entry).sum();
    key + fields + indexes + item.expires.map_or(0, |seconds| "_expires".len() + digits(&seconds.to_string()))
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => digits(&number.to_string()),
        Value::String(text) => text.len(),
        Value::Array(values) => 3 + values.iter().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        Value::Object(fields) => {
            3 + fields.iter().map(|(name, value)| 1 + name.len() + value_bytes(value)).sum::<usize>()
        }
    }
}

fn digits(number: &str) -> usize {
    let significant = number.chars().filter(char::is_ascii_digit).count();
    significant.div_ceil(2) + 1 + usize::from(number.starts_with('-'))
}

/// A store that writes down what its transactions cost.
pub struct Counting {
    inner: Arc<dyn State>,
    /// Where the service itself counts.
    table: Option<DynamoState>,
    account: Mutex<Vec<Cost>>,
}

impl Counting {
    pub fn over(inner: Arc<dyn State>, table: Option<DynamoState>) -> Arc<Self> {
        Arc::new(Self { inner, table, account: Mutex::default() })
    }

    fn meter(&self) -> Option<f64> {
        self.table.as_ref().map(DynamoState::write_units)
    }

    pub fn account(&self) -> Vec<Cost> {
        self.account.lock().unwrap().clone()
    }

    pub fn total(&self) -> u64 {
        self.account().iter().map(Cost::total).sum()
    }

    pub fn at_most(&self) -> u64 {
        self.account().iter().map(Cost::at_most).sum()
    }
}

#[async_trait]
impl State for Counting {
    async fn get(&self, key: &Key) -> PortResult<Option<Item>> {
        self.inner.get(key).await
    }

    async fn query(&self, query: &Query) -> PortResult<Page> {
        self.inner.query(query).await
    }

    async fn commit(&self, transaction: &Transaction) -> PortResult<()> {
        let mut before = Vec::new();
        for write in &transaction.writes {
            before.push(self.inner.get(write.key()).await?);
        }
        let counted = self.meter();
        self.inner.commit(transaction).await?;
        let counted = self.meter().map(|units| units - counted.unwrap_or_default());
        self.account.lock().unwrap().push(Cost { counted, ..Cost::of(transaction, &before) });
        Ok(())
    }
}

/// The account, a line for each write.
impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, cost) in self.account().iter().enumerate() {
            let counted = cost.counted.map(|units| format!(", counted {units}")).unwrap_or_default();
            writeln!(f, "{n}: {} + {}{counted}", cost.table, cost.indexes)?;
            for (sk, bytes, units, indexes) in &cost.parts {
                writeln!(f, "    {units} + {indexes}  {bytes:5} B  {sk}")?;
            }
        }
        writeln!(f, "total {} (at most {})", self.total(), self.at_most())
    }
}
