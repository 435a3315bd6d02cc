//! Reading and writing the audit trail through the state port: records, events, large details.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{HealError, audit};
use crate::model::{AuditEvent, CaseId, Generation, sha256_hex};
use crate::ports::{ErrorKind, PortError, PortResult, State};
use crate::state::run::{CaseHead, FindingRecord, RunHead, record};
use crate::state::{Condition, Item, Key, Page, Query, QueryOf, Transaction, Write, keys, run};

/// Event details above this many bytes are stored beside the event, by hash.
const LARGE_DETAIL: usize = 32 * 1024;
/// One part of a large detail, bytes of its JSON text; well below the 400 KB that an item may have.
const DETAIL_PART: usize = 200 * 1024;
/// Items asked for in one page.
const PAGE: usize = 200;
/// A write whose answer was lost is sent at most once more.
const WRITES: usize = 2;

/// Generations of a case that are looked back upon.
const GENERATIONS: u32 = 20;

/// The generations up to `last`, newest first, as many as are looked back upon.
pub(super) fn recent(last: u32) -> impl Iterator<Item = Generation> {
    (last.saturating_sub(GENERATIONS - 1).max(1)..=last).rev().map(Generation)
}

/// Reads a record.
///
/// # Errors
/// When the store cannot be asked or the record cannot be understood.
pub async fn load<T: for<'de> Deserialize<'de>>(state: &dyn State, key: &Key) -> Result<Option<T>, HealError> {
    state.get(key).await?.map(|item| parse(&item)).transpose()
}

pub(super) fn parse<T: for<'de> Deserialize<'de>>(item: &Item) -> Result<T, HealError> {
    record(item).map_err(|source| HealError::Record { key: format!("{}/{}", item.key.pk, item.key.sk), source })
}

/// All items of a query, page by page.
///
/// # Errors
/// When the store cannot be asked.
pub async fn all(state: &dyn State, of: QueryOf) -> PortResult<Vec<Item>> {
    let mut items = Vec::new();
    let mut cursor = None;
    loop {
        let query = Query { of: of.clone(), descending: false, limit: PAGE, cursor };
        let Page { items: page, cursor: next } = state.query(&query).await?;
        items.extend(page);
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(items),
        }
    }
}

/// The events of a run, oldest first, with their details.
///
/// # Errors
/// When the store cannot be asked or an event cannot be understood.
pub async fn events(state: &dyn State, case: &CaseId, generation: Generation) -> Result<Vec<AuditEvent>, HealError> {
    let of = QueryOf::Partition { pk: keys::case_partition(case), prefix: keys::events(generation) };
    let mut events = Vec::new();
    for mut item in all(state, of).await? {
        if let Some(sha) = item.fields.get("kind").and_then(|kind| kind.get("detail_sha")).and_then(Value::as_str) {
            let kind = detail(state, case, sha).await?;
            item.fields.insert("kind".to_owned(), kind);
        }
        events.push(parse(&item)?);
    }
    Ok(events)
}

/// The findings on record for a case.
///
/// # Errors
/// When the store cannot be asked or a record cannot be understood.
pub async fn findings(state: &dyn State, case: &CaseId) -> Result<Vec<FindingRecord>, HealError> {
    let of = QueryOf::Partition { pk: keys::case_partition(case), prefix: keys::FINDINGS.to_owned() };
    all(state, of).await?.iter().map(parse).collect()
}

/// The current generation of a case, if it is known.
///
/// # Errors
/// When the store cannot be asked or the record cannot be understood.
pub async fn case_head(state: &dyn State, case: &CaseId) -> Result<Option<CaseHead>, HealError> {
    load(state, &keys::case_current(case)).await
}

/// The head of a run.
///
/// # Errors
/// As [`case_head`].
pub async fn run_head(state: &dyn State, case: &CaseId, generation: Generation) -> Result<Option<RunHead>, HealError> {
    load(state, &keys::run(case, generation)).await
}

pub(super) async fn detail(state: &dyn State, case: &CaseId, sha: &str) -> Result<Value, HealError> {
    let of = QueryOf::Partition { pk: keys::case_partition(case), prefix: keys::detail_parts(sha) };
    let parts = all(state, of).await?;
    let text: String = parts.iter().filter_map(|p| p.fields.get("text").and_then(Value::as_str)).collect();
    serde_json::from_str(&text)
        .map_err(|source| HealError::Record { key: format!("{}/DET#{sha}", keys::case_partition(case)), source })
}

/// The item of an event; a large detail is stored first, by hash, so that the event stays small.
///
/// # Errors
/// When the detail cannot be stored.
pub async fn event_item(state: &dyn State, event: &AuditEvent) -> Result<Item, HealError> {
    let kind = serde_json::to_value(&event.kind)
        .map_err(|source| HealError::Record { key: format!("event {}", event.sequence), source })?;
    let text = kind.to_string();
    if text.len() <= LARGE_DETAIL {
        return Ok(run::event_item(event, kind));
    }
    let sha = sha256_hex(&[text.as_bytes()]);
    for (number, part) in split(&text, DETAIL_PART).into_iter().enumerate() {
        let mut fields = serde_json::Map::new();
        fields.insert("text".to_owned(), Value::String(part.to_owned()));
        let item = Item { key: keys::detail(&event.case, &sha, number), fields, indexes: Vec::new(), expires: None };
        commit(state, &Transaction { writes: vec![Write::Put { item, when: Vec::new() }], token: None }).await?;
    }
    Ok(run::event_item(event, json!({ "event": event.kind.name(), "detail_sha": sha })))
}

/// Splits at character boundaries into parts of at most `size` bytes.
fn split(text: &str, size: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > size {
        let mut end = size;
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (part, tail) = rest.split_at(end);
        parts.push(part);
        rest = tail;
    }
    parts.push(rest);
    parts
}

/// Commits; when the answer is lost, asks whether the first write is there, and sends it at most once more.
///
/// # Errors
/// `Conflict` when a condition does not hold, other kinds when the store could not be asked.
pub async fn commit(state: &dyn State, transaction: &Transaction) -> PortResult<()> {
    let mut last = None;
    for _ in 0..WRITES {
        match state.commit(transaction).await {
            Ok(()) => return Ok(()),
            Err(error) if error.kind == ErrorKind::Conflict => {
                // After a lost answer our own write is what stands in the way.
                return if last.is_some() && is_written(state, transaction).await? { Ok(()) } else { Err(error) };
            }
            Err(error) if error.kind == ErrorKind::Unavailable => {
                if is_written(state, transaction).await? {
                    return Ok(());
                }
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| PortError::new("state", "commit", ErrorKind::Unavailable)))
}

/// Whether the transaction took effect: what it puts is there, what it deletes is not.
async fn is_written(state: &dyn State, transaction: &Transaction) -> PortResult<bool> {
    for write in &transaction.writes {
        let holds = match write {
            Write::Put { item, .. } => state.get(&item.key).await?.is_some_and(|stored| stored.fields == item.fields),
            Write::Delete { key, .. } => state.get(key).await?.is_none(),
            Write::Check { .. } => true,
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Stores a record unconditionally.
///
/// # Errors
/// When the store cannot be asked.
pub async fn put(state: &dyn State, item: Item) -> PortResult<()> {
    commit(state, &Transaction { writes: vec![Write::Put { item, when: Vec::new() }], token: None }).await
}

/// Stores a record unless one is there; false when there was.
///
/// # Errors
/// When the store cannot be asked.
pub async fn put_new(state: &dyn State, item: Item) -> PortResult<bool> {
    let transaction = Transaction { writes: vec![Write::Put { item, when: vec![Condition::Absent] }], token: None };
    match commit(state, &transaction).await {
        Ok(()) => Ok(true),
        Err(error) if error.kind == ErrorKind::Conflict => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a trail check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrailCheck {
    Whole { events: usize },
    Broken { reason: String },
}

/// Checks the trail of one run against its head, large details included; [`audit::verify`] checks all of them.
///
/// # Errors
/// When the store cannot be asked.
pub async fn check(state: &dyn State, head: &RunHead) -> Result<TrailCheck, HealError> {
    let (events, problems) = audit::verify_run(state, &head.case, head.generation).await?;
    Ok(if problems.is_empty() {
        TrailCheck::Whole { events }
    } else {
        TrailCheck::Broken { reason: problems.join("; ") }
    })
}

/// Milliseconds of a duration, saturating.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
