//! The memory of fixes in the state file: exact nearest neighbours, by rule.
//!
//! A look-up compares with every vector of its rule, which are kept in memory from the first look-up on. What other processes
//! store since is read when it is needed: each storing of a fix takes a new row number, higher than all before, and a
//! row that is gone is noticed when it is fetched.

mod record;
mod vectors;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use crate::model::{FixId, PastFix};
use crate::ports::{FixMemory, FixQuery, PortResult};

use super::store::{Database, Problem, Task};
use record::Refused;
use vectors::{Cache, Group, GroupKey, Hit, Vector, Viewer};

/// Fixes looked at more closely than asked for, against rounding and rows that are gone.
const SPARE: usize = 16;

/// Remembered fixes in the embedded file. Clones share their cache.
#[derive(Clone)]
pub struct LocalMemory {
    database: Arc<Database>,
    cache: Arc<Cache>,
}

impl LocalMemory {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, cache: Arc::new(Cache::default()) }
    }
}

#[async_trait]
impl FixMemory for LocalMemory {
    async fn nearest(&self, query: &FixQuery) -> PortResult<Vec<(PastFix, f64)>> {
        let (query, cache) = (query.clone(), Arc::clone(&self.cache));
        let task = task(format!("look up fixes of {}", query.rule));
        self.database.read(task, move |connection, _| nearest(connection, &cache, &query)).await
    }

    async fn get(&self, id: &FixId) -> PortResult<Option<PastFix>> {
        let id = id.clone();
        let sql = "SELECT f.body, v.vector FROM fixes f JOIN fix_vectors v USING (n) WHERE f.id = ?1";
        let read = move |connection: &Connection, _| {
            let row =
                connection.prepare_cached(sql)?.query_row([&id.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            row.map(|(body, vector): (Vec<u8>, Vec<u8>)| record::decode(&body, &vector)).transpose()
        };
        self.database.read(task("get a fix"), read).await
    }

    async fn remember(&self, fix: &PastFix) -> PortResult<()> {
        let fix = fix.clone();
        self.database
            .write(task(format!("remember fix {}", fix.id)), move |connection, _| remember(connection, &fix))
            .await
    }

    async fn remember_new(&self, fix: &PastFix) -> PortResult<bool> {
        let fix = fix.clone();
        let store = move |connection: &Connection, _| {
            let there = connection.prepare_cached("SELECT 1 FROM fixes WHERE id = ?1")?.exists([&fix.id.0])?;
            if !there {
                remember(connection, &fix)?;
            }
            Ok(!there)
        };
        self.database.write(task("remember a new fix"), store).await
    }

    async fn forget(&self, id: &FixId) -> PortResult<bool> {
        let id = id.clone();
        self.database.write(task(format!("forget fix {id}")), move |connection, _| forget(connection, &id)).await
    }

    async fn list(&self, after: Option<&FixId>, limit: usize) -> PortResult<Vec<PastFix>> {
        let after = after.map(|id| id.0.clone());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "SELECT f.body, v.vector FROM fixes f JOIN fix_vectors v USING (n)
                   WHERE ?1 IS NULL OR f.id > ?1 ORDER BY f.id LIMIT ?2";
        let read = move |connection: &Connection, _| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![after, limit])?;
            let mut fixes = Vec::new();
            while let Some(row) = rows.next()? {
                fixes.push(record::decode(&row.get::<_, Vec<u8>>(0)?, &row.get::<_, Vec<u8>>(1)?)?);
            }
            Ok(fixes)
        };
        self.database.read(task("list the fixes"), read).await
    }
}

/// Stores the fix under a new row number. A superseded one, or one without a vector, is never near anything.
fn remember(connection: &Connection, fix: &PastFix) -> Result<(), Problem> {
    let body = record::encode(fix).map_err(Problem::refused)?;
    forget(connection, &fix.id)?;
    connection.prepare_cached("INSERT INTO fixes (id, body) VALUES (?1, ?2)")?.execute((&fix.id.0, body))?;
    let n = connection.last_insert_rowid();
    connection
        .prepare_cached("INSERT INTO fix_vectors (n, tie, repository, private, vector) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![n, record::tie(&fix.id), fix.repository, fix.private, record::bytes_of(&fix.vector)])?;
    if fix.superseded_by.is_some() || fix.vector.is_empty() {
        return Ok(());
    }
    let rules: BTreeSet<_> = fix.aliases.iter().chain([&fix.rule]).collect();
    let mut insert = connection.prepare_cached(
        "INSERT INTO fix_rules (rule, organisation, language, embedder, n) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for rule in rules {
        insert.execute(params![rule.as_str(), fix.organisation, fix.language.to_string(), fix.embedder, n])?;
    }
    Ok(())
}

fn forget(connection: &Connection, id: &FixId) -> Result<bool, Problem> {
    let n: Option<i64> = connection
        .prepare_cached("SELECT n FROM fixes WHERE id = ?1")?
        .query_row([&id.0], |row| row.get(0))
        .optional()?;
    let Some(n) = n else { return Ok(false) };
    for sql in
        ["DELETE FROM fix_rules WHERE n = ?1", "DELETE FROM fix_vectors WHERE n = ?1", "DELETE FROM fixes WHERE n = ?1"]
    {
        connection.prepare_cached(sql)?.execute([n])?;
    }
    Ok(true)
}

fn nearest(connection: &Connection, cache: &Cache, query: &FixQuery) -> Result<Vec<(PastFix, f64)>, Problem> {
    let Some(wanted) = Vector::new(&query.vector) else { return Err(Problem::refused(Refused::Vector)) };
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let viewer = Viewer { private: query.private, repository: &query.repository };
    let key = GroupKey::of(query);
    let group = cache.group(&key);
    // The second time with nothing but what this transaction sees, if too many rows turned out to be gone.
    for fresh in [false, true] {
        if fresh || has_newer(connection, &key, group.read(Group::newest))? {
            group.update(|group| {
                if fresh {
                    group.clear();
                }
                load(connection, &key, group)
            })?;
        }
        let hits = group.read(|group| group.search(&wanted, viewer, query.limit.saturating_add(SPARE)));
        let enough = hits.len().min(query.limit);
        let near = closest(connection, &wanted, hits)?;
        if near.len() >= enough || fresh {
            cache.trim(&key);
            return near.into_iter().take(query.limit).map(|near| fetch(connection, near)).collect();
        }
    }
    Ok(Vec::new())
}

/// Asked first, so that look-ups wait for each other only when there is something to load.
fn has_newer(connection: &Connection, key: &GroupKey, newest: i64) -> Result<bool, Problem> {
    let sql = "SELECT EXISTS (SELECT 1 FROM fix_rules
               WHERE rule = ?1 AND organisation = ?2 AND language = ?3 AND embedder = ?4 AND n > ?5)";
    let values = params![key.rule, key.organisation, key.language, key.embedder, newest];
    Ok(connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
}

/// Reads the vectors that were stored since the group was last loaded.
fn load(connection: &Connection, key: &GroupKey, group: &mut Group) -> Result<(), Problem> {
    let mut statement = connection.prepare_cached(
        "SELECT v.n, v.tie, v.repository, v.private, v.vector FROM fix_rules r JOIN fix_vectors v ON v.n = r.n
         WHERE r.rule = ?1 AND r.organisation = ?2 AND r.language = ?3 AND r.embedder = ?4 AND r.n > ?5 ORDER BY r.n",
    )?;
    let mut rows = statement.query(params![key.rule, key.organisation, key.language, key.embedder, group.newest()])?;
    while let Some(row) = rows.next()? {
        let hit = Hit { n: row.get(0)?, tie: row.get(1)?, similarity: 0.0 };
        let blob = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
        group.push(hit, row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?, row.get(3)?, blob);
    }
    Ok(())
}

/// The hits that are still there with their exact cosine, most similar first.
fn closest(connection: &Connection, wanted: &Vector, hits: Vec<Hit>) -> Result<Vec<Hit>, Problem> {
    let mut vector = connection.prepare_cached("SELECT vector FROM fix_vectors WHERE n = ?1")?;
    let mut near = Vec::new();
    for hit in hits {
        if let Some(blob) = vector.query_row([hit.n], |row| row.get::<_, Vec<u8>>(0)).optional()? {
            near.push(Hit { similarity: wanted.cosine(&record::floats_of(&blob)), ..hit });
        }
    }
    near.sort_by(Hit::nearer);
    Ok(near)
}

fn fetch(connection: &Connection, hit: Hit) -> Result<(PastFix, f64), Problem> {
    let sql = "SELECT f.body, v.vector FROM fixes f JOIN fix_vectors v USING (n) WHERE f.n = ?1";
    let (body, vector): (Vec<u8>, Vec<u8>) =
        connection.prepare_cached(sql)?.query_row([hit.n], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((record::decode(&body, &vector)?, hit.similarity))
}

fn task(attempted: impl Into<String>) -> Task {
    Task::new("fix memory", attempted)
}
