//! Pages of a partition or of an index.
//!
//! An index holds keys only and trails its table by moments. The items behind a page are read by key, consistently, and
//! an entry that is no longer the item's own is left out: it stands elsewhere now, or nowhere.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use crate::model::sha256_hex;
use crate::ports::{ErrorKind, PortError, PortResult};
use crate::state::limits::{PAGE_BYTES, PARTITION_KEY_BYTES, Refused, SORT_KEY_BYTES};
use crate::state::{Item, Key, Page, Query, QueryOf};

use super::commit::pause;
use super::item::{self, Attributes, PK, SK};
use super::table::{INDEXES, IndexDefinition};
use super::{DynamoState, PORT, reading};

/// Items that DynamoDB reads by key in one request.
const BATCH: usize = 100;
/// How often what was left unread is asked for again.
const ROUNDS: u32 = 8;

/// What DynamoDB is asked for, in its words.
struct Asked {
    index: Option<&'static IndexDefinition>,
    condition: String,
    names: HashMap<String, String>,
    values: Attributes,
}

/// An answer before it is cut to size: items with the places where a page may end, and where reading would go on.
struct Rows {
    found: Vec<(Item, Attributes)>,
    next: Option<Attributes>,
}

impl DynamoState {
    pub(super) async fn page(&self, query: &Query) -> PortResult<Page> {
        let attempted = || format!("query {:?}", query.of);
        query.check().map_err(|e| Self::malformed(attempted(), e))?;
        let start = query.cursor.as_deref().map(|cursor| place(cursor, &query.of)).transpose();
        let mut start = start.map_err(|e| Self::malformed(attempted(), e))?;
        let mut page = Page { items: Vec::new(), cursor: None };
        let Some(asked) = asked(&query.of) else { return Ok(page) };
        let mut bytes = 0;
        loop {
            let wanted = query.limit.saturating_sub(page.items.len());
            let rows = self.rows(query, &asked, start.take(), wanted).await?;
            let more = rows.next.is_some();
            let count = rows.found.len();
            for (n, (item, at)) in rows.found.into_iter().enumerate() {
                bytes += item.size().unwrap_or(PAGE_BYTES);
                page.items.push(item);
                let last = n + 1 == count && !more;
                if !last && (page.items.len() == query.limit || bytes > PAGE_BYTES) {
                    page.cursor = cursor(&query.of, &at);
                    return Ok(page);
                }
            }
            // Items that are expired, or stand elsewhere now, do not count: the page goes on behind them.
            start = rows.next;
            if start.is_none() {
                return Ok(page);
            }
        }
    }

    async fn rows(&self, query: &Query, asked: &Asked, start: Option<Attributes>, wanted: usize) -> PortResult<Rows> {
        let attempted = || format!("query {:?}", query.of);
        let wanted = if asked.index.is_some() { wanted.min(BATCH) } else { wanted };
        let request = self.client().await?.query().table_name(self.table());
        let request = request
            .set_index_name(asked.index.map(|index| index.name.to_owned()))
            .consistent_read(asked.index.is_none())
            .key_condition_expression(&asked.condition)
            .set_expression_attribute_names(Some(asked.names.clone()))
            .set_expression_attribute_values(Some(asked.values.clone()))
            .scan_index_forward(!query.descending)
            .limit(i32::try_from(wanted).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start);
        let answer = request.customize().config_override(reading()).send().await;
        let answer = answer.map_err(|e| without_index(asked.index, self.failed(attempted(), &e)))?;
        let next = answer.last_evaluated_key.filter(|key| !key.is_empty());
        let rows = answer.items.unwrap_or_default();
        let found = match asked.index {
            Some(index) => self.behind(index, rows).await?,
            None => {
                let read = |row: Attributes| Ok((item::decode(&row)?, row));
                let read: Result<Vec<_>, item::Damaged> = rows.into_iter().map(read).collect();
                read.map_err(|e| Self::malformed(attempted(), e))?
            }
        };
        let now = self.clock.now();
        let found = found.into_iter().filter(|(item, _)| !item.expired(now)).collect();
        Ok(Rows { found, next })
    }

    /// The items behind the entries of an index, in their order, if they still stand there.
    async fn behind(&self, index: &IndexDefinition, rows: Vec<Attributes>) -> PortResult<Vec<(Item, Attributes)>> {
        let attempted = || format!("read the items behind the index {}", index.name);
        let stored = self.by_key(&rows, attempted()).await?;
        let mut found = Vec::new();
        for row in rows {
            let key = item::decode_key(&row).map_err(|e| Self::malformed(attempted(), e))?;
            let Some(stored) = stored.get(&key) else { continue };
            if item::entry(stored, index) == item::entry(&row, index) {
                let item = item::decode(stored).map_err(|e| Self::malformed(attempted(), e))?;
                found.push((item, row));
            }
        }
        Ok(found)
    }

    async fn by_key(&self, rows: &[Attributes], attempted: String) -> PortResult<HashMap<Key, Attributes>> {
        // An item that moved can be there twice for a moment, and DynamoDB refuses to read one twice.
        let mut asked = HashSet::new();
        let mut left = Vec::new();
        for row in rows {
            let key = item::decode_key(row).map_err(|e| Self::malformed(attempted.clone(), e))?;
            if asked.insert(key.clone()) {
                left.push(item::key(&key));
            }
        }
        let mut stored = HashMap::new();
        for round in 0..ROUNDS {
            if left.is_empty() {
                return Ok(stored);
            }
            if round > 0 {
                pause(round).await;
            }
            let keys = KeysAndAttributes::builder().set_keys(Some(left)).consistent_read(true).build();
            let keys = keys.map_err(|e| Self::malformed(attempted.clone(), e))?;
            let request = self.client().await?.batch_get_item().request_items(self.table(), keys);
            let answer = request.customize().config_override(reading()).send().await;
            let answer = answer.map_err(|e| self.failed(attempted.clone(), &e))?;
            for found in answer.responses.unwrap_or_default().into_values().flatten() {
                let key = item::decode_key(&found).map_err(|e| Self::malformed(attempted.clone(), e))?;
                stored.insert(key, found);
            }
            let unread = answer.unprocessed_keys.unwrap_or_default();
            left = unread.into_values().flat_map(|keys| keys.keys).collect();
        }
        let busy = PortError::new(PORT, attempted, ErrorKind::Throttled(std::time::Duration::from_secs(1)));
        if left.is_empty() { Ok(stored) } else { Err(busy.caused_by("DynamoDB leaves items unread")) }
    }
}

/// The query in DynamoDB's words; `None` when nothing can be found, which DynamoDB would refuse to look for.
fn asked(of: &QueryOf) -> Option<Asked> {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let possible = |text: &str, most: usize| (1..=most).contains(&text.len());
    let mut names = HashMap::new();
    let mut values = HashMap::new();
    match of {
        QueryOf::Partition { pk, prefix } => {
            if !possible(pk, PARTITION_KEY_BYTES) || prefix.len() > SORT_KEY_BYTES {
                return None;
            }
            names.insert("#h".to_owned(), PK.to_owned());
            values.insert(":h".to_owned(), text(pk));
            let mut condition = "#h = :h".to_owned();
            if !prefix.is_empty() {
                names.insert("#r".to_owned(), SK.to_owned());
                values.insert(":p".to_owned(), text(prefix));
                condition.push_str(" AND begins_with(#r, :p)");
            }
            Some(Asked { index: None, condition, names, values })
        }
        QueryOf::Index { index, hash, from, to } => {
            if !possible(hash, PARTITION_KEY_BYTES) || to.is_empty() || from > to {
                return None;
            }
            let index = INDEXES.iter().find(|definition| definition.index == *index)?;
            names.insert("#h".to_owned(), index.hash.to_owned());
            names.insert("#r".to_owned(), index.range.to_owned());
            values.insert(":h".to_owned(), text(hash));
            values.insert(":t".to_owned(), text(to));
            let range = if from.is_empty() { "#r <= :t" } else { "#r BETWEEN :f AND :t" };
            if !from.is_empty() {
                values.insert(":f".to_owned(), text(from));
            }
            Some(Asked { index: Some(index), condition: format!("#h = :h AND {range}"), names, values })
        }
    }
}

/// An index that is not there is refused as if the request were wrong; it is the table that is.
fn without_index(index: Option<&IndexDefinition>, error: PortError) -> PortError {
    let Some(index) = index.filter(|_| error.kind == ErrorKind::Malformed) else { return error };
    let said = error.chain();
    if !said.contains("index") {
        return error;
    }
    let remedy = format!("the table has no index {}: add it with terraform apply ({said})", index.name);
    PortError { kind: ErrorKind::Missing, ..error }.caused_by(remedy)
}

/// Where a page ended: the query that gave it, and the key of its last item; for an index its entry too.
fn cursor(of: &QueryOf, at: &Attributes) -> Option<String> {
    let parts: Option<Vec<&String>> =
        places(of).into_iter().map(|name| at.get(name).and_then(|value| value.as_s().ok())).collect();
    Some(serde_json::json!([digest(of), parts?]).to_string())
}

fn place(cursor: &str, of: &QueryOf) -> Result<Attributes, Refused> {
    let names = places(of);
    match serde_json::from_str::<(String, Vec<String>)>(cursor) {
        Ok((from, at)) if from == digest(of) && at.len() == names.len() => {
            Ok(names.into_iter().map(str::to_owned).zip(at.into_iter().map(AttributeValue::S)).collect())
        }
        _ => Err(Refused::Cursor),
    }
}

/// Attributes that make up a place.
fn places(of: &QueryOf) -> Vec<&'static str> {
    let mut names = vec![PK, SK];
    if let QueryOf::Index { index, .. } = of {
        let definition = INDEXES.iter().find(|definition| definition.index == *index);
        names.extend(definition.iter().flat_map(|definition| [definition.hash, definition.range]));
    }
    names
}

fn digest(of: &QueryOf) -> String {
    let parts = match of {
        QueryOf::Partition { pk, prefix } => sha256_hex(&[b"partition", pk.as_bytes(), prefix.as_bytes()]),
        QueryOf::Index { index, hash, from, to } => {
            let index = format!("{index:?}");
            sha256_hex(&[index.as_bytes(), hash.as_bytes(), from.as_bytes(), to.as_bytes()])
        }
    };
    parts.chars().take(16).collect()
}
