//! The state port over SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use crate::model::{UnixMillis, sha256_hex};
use crate::ports::{PortResult, State};
use crate::state::limits::TOKEN_MILLIS;
use crate::state::{Item, Key, Page, Query, Transaction, Write};

use super::database::{Database, Task};
use super::error::Problem;
use super::query;

/// The state and audit store in the embedded file.
#[derive(Clone)]
pub struct LocalState {
    database: Arc<Database>,
}

impl LocalState {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl State for LocalState {
    async fn get(&self, key: &Key) -> PortResult<Option<Item>> {
        let task = Task::new("state", format!("read {}/{}", key.pk, key.sk));
        let key = key.clone();
        self.database
            .read(task, move |connection, now| {
                key.check().map_err(Problem::refused)?;
                query::get(connection, &key, now)
            })
            .await
    }

    async fn query(&self, query: &Query) -> PortResult<Page> {
        let task = Task::new("state", format!("query {:?}", query.of));
        let query = query.clone();
        self.database.read(task, move |connection, now| query::page(connection, &query, now)).await
    }

    async fn commit(&self, transaction: &Transaction) -> PortResult<()> {
        let first = transaction.writes.first().map(|write| format!("{}/{}", write.key().pk, write.key().sk));
        let task = Task::new("state", format!("commit {} writes from {first:?}", transaction.writes.len()));
        transaction
            .check()
            .map_err(|e| Problem::refused(e).of(task.port, task.attempted.clone(), self.database.file()))?;
        let transaction = transaction.clone();
        self.database.write(task, move |connection, now| commit(connection, &transaction, now)).await
    }
}

fn commit(connection: &Connection, transaction: &Transaction, now: UnixMillis) -> Result<(), Problem> {
    let now_sql = i64::try_from(now).unwrap_or(i64::MAX);
    if let Some(token) = &transaction.token {
        let digest = digest(transaction)?;
        let since = now_sql.saturating_sub_unsigned(TOKEN_MILLIS);
        connection.prepare_cached("DELETE FROM tokens WHERE at <= ?1")?.execute([since])?;
        let known = connection
            .prepare_cached("SELECT digest FROM tokens WHERE token = ?1")?
            .query_row([token], |row| row.get::<_, String>(0))
            .optional()?;
        match known {
            Some(known) if known == digest => return Ok(()),
            Some(_) => return Err(Problem::Conflict("its token was used for another transaction".to_owned())),
            None => {}
        }
        connection
            .prepare_cached("INSERT INTO tokens VALUES (?1, ?2, ?3)")?
            .execute(params![token, digest, now_sql])?;
    }
    for write in &transaction.writes {
        apply(connection, write, now)?;
    }
    drop_expired(connection, now)
}

fn apply(connection: &Connection, write: &Write, now: UnixMillis) -> Result<(), Problem> {
    let key = write.key();
    if !write.when().is_empty() {
        let stored = query::get(connection, key, now)?;
        let failed = write.when().iter().find(|condition| !condition.holds(stored.as_ref().map(|item| &item.fields)));
        if let Some(condition) = failed {
            return Err(Problem::Conflict(format!("{}/{} is not {condition:?}", key.pk, key.sk)));
        }
    }
    match write {
        Write::Put { item, .. } => put(connection, item),
        Write::Delete { .. } => delete(connection, key),
        Write::Check { .. } => Ok(()),
    }
}

fn put(connection: &Connection, item: &Item) -> Result<(), Problem> {
    let Key { pk, sk } = &item.key;
    let fields = serde_json::to_string(&item.fields).map_err(Problem::refused)?;
    let entries = serde_json::to_string(&item.indexes).map_err(Problem::refused)?;
    let expires = item.expires.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
    connection.prepare_cached("DELETE FROM index_entries WHERE pk = ?1 AND sk = ?2")?.execute((pk, sk))?;
    connection
        .prepare_cached(
            "INSERT INTO items (pk, sk, fields, entries, expires) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (pk, sk) DO UPDATE SET
                 fields = excluded.fields, entries = excluded.entries, expires = excluded.expires",
        )?
        .execute(params![pk, sk, fields, entries, expires])?;
    let mut insert = connection.prepare_cached("INSERT INTO index_entries VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for entry in &item.indexes {
        insert.execute((query::index_name(entry.index), &entry.hash, &entry.range, pk, sk))?;
    }
    Ok(())
}

fn delete(connection: &Connection, Key { pk, sk }: &Key) -> Result<(), Problem> {
    connection.prepare_cached("DELETE FROM index_entries WHERE pk = ?1 AND sk = ?2")?.execute((pk, sk))?;
    connection.prepare_cached("DELETE FROM items WHERE pk = ?1 AND sk = ?2")?.execute((pk, sk))?;
    Ok(())
}

/// Removes a few items whose time is over; more of them by and by, so that no commit waits for a great clean-up.
fn drop_expired(connection: &Connection, now: UnixMillis) -> Result<(), Problem> {
    let seconds = i64::try_from(now / 1000).unwrap_or(i64::MAX);
    let expired = connection
        .prepare_cached("SELECT pk, sk FROM items WHERE expires <= ?1 ORDER BY expires LIMIT 8")?
        .query_map([seconds], |row| Ok(Key { pk: row.get(0)?, sk: row.get(1)? }))?
        .collect::<Result<Vec<Key>, _>>()?;
    expired.iter().try_for_each(|key| delete(connection, key))
}

fn digest(transaction: &Transaction) -> Result<String, Problem> {
    let text = serde_json::to_vec(&transaction.writes).map_err(Problem::refused)?;
    Ok(sha256_hex(&[&text]))
}
